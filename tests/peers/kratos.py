"""Kratos with a database in a file, whose users log in with a password."""

import base64
import contextlib
import dataclasses
import hmac
import http.cookies
import json
import sqlite3
import time
import urllib.parse
import uuid

from programs import TOOLS, call, free_port, run, running, write

COOKIE = "ory_kratos_session"
PASSWORD = "correct-horse-8-battery-staple"

# The traits are free-form, because the tests store all kinds of values in them.
SCHEMA = {
    "$id": "https://schemas.example.org/person",
    "type": "object",
    "properties": {
        "traits": {
            "type": "object",
            "properties": {
                "email": {
                    "type": "string",
                    "ory.sh/kratos": {
                        "credentials": {"password": {"identifier": True}, "totp": {"account_name": True}}
                    },
                }
            },
            "required": ["email"],
        }
    },
}


BINARY = TOOLS / "kratos"
JSON = {"Content-Type": "application/json"}


@dataclasses.dataclass
class Kratos:
    """A Kratos on fixed ports, with a database of its own, so that it can stop and start again."""

    directory: object
    return_urls: list
    public_port: int = dataclasses.field(default_factory=free_port)
    admin_port: int = dataclasses.field(default_factory=free_port)

    @property
    def public(self):
        return f"http://127.0.0.1:{self.public_port}"

    @property
    def admin(self):
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def database(self):
        return self.directory / "kratos.sqlite"

    @contextlib.contextmanager
    def running(self):
        ready = lambda: call(f"{self.admin}/admin/health/ready").status == 200
        with running([BINARY, "serve", "--dev", "--config", "kratos.json"], self.directory, ready) as process:
            yield process

    @contextlib.contextmanager
    def connected(self):
        """Opens the database beside Kratos. Every change is committed at once."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=30, isolation_level=None)) as connection:
            yield connection

    def session(self, headers):
        """Returns the session that these credentials have."""
        response = call(f"{self.public}/sessions/whoami", headers=headers)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def create_user(self, traits, metadata=None):
        """Returns a user with these traits, and an email address of its own."""
        email = f"{uuid.uuid4()}@example.org"
        identity = {
            "schema_id": "person",
            "traits": {"email": email, **traits},
            "metadata_public": metadata,
            "credentials": {"password": {"config": {"password": PASSWORD}}},
        }
        created = call(f"{self.admin}/admin/identities", "POST", JSON, json.dumps(identity))
        assert created.status == 201, created.body
        return User(self, json.loads(created.body)["id"], email)

    def register(self):
        """Returns a user who registered in the API flow, and the headers of their first session."""
        email = f"{uuid.uuid4()}@example.org"
        form = {"method": "password", "traits": {"email": email}, "password": PASSWORD}
        done = self.submit("registration/api", form)
        return User(self, done["identity"]["id"], email), bearer(done["session_token"])

    def submit(self, flow, form, headers=None):
        """Returns the result of a self-service flow of an API client."""
        flow = call(f"{self.public}/self-service/{flow}", headers=headers)
        assert flow.status == 200, flow.body
        form = form(json.loads(flow.body)) if callable(form) else form
        action = json.loads(flow.body)["ui"]["action"]
        done = call(action, "POST", {**JSON, **(headers or {})}, json.dumps(form))
        assert done.status == 200, done.body
        return json.loads(done.body)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@dataclasses.dataclass
class User:
    kratos: Kratos
    id: str
    email: str
    totp_key: str = ""

    def password_form(self):
        return {"method": "password", "identifier": self.email, "password": PASSWORD}

    def log_in_with_api(self):
        """Returns the headers of a client that has a session token from an API flow."""
        return bearer(self.kratos.submit("login/api", self.password_form())["session_token"])

    def log_in_again(self, headers):
        """Authenticates the same session once more."""
        self.kratos.submit("login/api?refresh=true", self.password_form(), headers)

    def enroll_totp(self, headers):
        """Adds a second factor in a settings flow."""

        def form(flow):
            nodes = {node["attributes"].get("id"): node["attributes"] for node in flow["ui"]["nodes"]}
            self.totp_key = nodes["totp_secret_key"]["text"]["text"]
            return self.totp_form()

        self.kratos.submit("settings/api", form, headers)

    def step_up(self, headers):
        """Completes the second factor of a session."""
        self.kratos.submit("login/api?aal=aal2", self.totp_form(), headers)

    def totp_form(self):
        return {"method": "totp", "totp_code": totp(self.totp_key, time.time())}

    def log_in_with_browser(self):
        """Returns the headers of a browser that has the session cookie from a browser flow."""
        browser = Browser()
        browser.complete(f"{self.kratos.public}/self-service/login/browser", self.password_form())
        return browser.headers()

    def log_out_everywhere(self):
        """Ends every session of the user."""
        assert call(f"{self.kratos.admin}/admin/identities/{self.id}/sessions", "DELETE").status == 204

    def disable(self):
        patch = json.dumps([{"op": "replace", "path": "/state", "value": "inactive"}])
        assert call(f"{self.kratos.admin}/admin/identities/{self.id}", "PATCH", JSON, patch).status == 200


class Browser:
    """A browser that keeps cookies and does not follow redirects."""

    def __init__(self):
        self.jar = http.cookies.SimpleCookie()

    def browse(self, url, method="GET", body=None, accept="text/html"):
        cookies = "; ".join(f"{one.key}={one.coded_value}" for one in self.jar.values())
        headers = {"Accept": accept, "Cookie": cookies}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        response = call(url, method, headers, body)
        for line in response.headers.get_all("Set-Cookie", []):
            self.jar.load(line)
        return response

    def complete(self, url, form):
        """Completes the login flow that starts at `url`. Returns the URL to which Kratos sends the browser afterwards."""
        start = self.browse(url)
        assert start.status == 303, start.body
        parts = urllib.parse.urlsplit(start.headers["Location"])
        flow_id = urllib.parse.parse_qs(parts.query)["flow"][0]
        public = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url))
        flow = json.loads(self.browse(f"{public}/self-service/login/flows?id={flow_id}").body)
        nodes = {node["attributes"]["name"]: node["attributes"].get("value") for node in flow["ui"]["nodes"]}
        filled = {"csrf_token": nodes["csrf_token"], **form}
        done = self.browse(flow["ui"]["action"], "POST", urllib.parse.urlencode(filled))
        assert done.status == 303 and COOKIE in self.jar, (done.status, done.headers["Location"])
        return done.headers["Location"]

    def headers(self):
        return {"Cookie": f"{COOKIE}={self.jar[COOKIE].coded_value}"}

    def log_out(self, kratos):
        answer = self.browse(f"{kratos.public}/self-service/logout/browser", accept="application/json")
        assert answer.status == 200, answer.body
        assert self.browse(json.loads(answer.body)["logout_url"]).status == 303


def totp(key, seconds):
    """Returns the code of an authenticator app (RFC 6238, 6 digits, 30 s, HMAC-SHA-1)."""
    key = base64.b32decode(key + "=" * (-len(key) % 8))
    digest = hmac.digest(key, int(seconds // 30).to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def prepared(directory, return_urls=(), **settings):
    """Returns a Kratos with a new database and these `settings`. It sends browsers back to URLs below `return_urls`."""
    kratos = Kratos(directory, list(return_urls))
    schema = write(directory / "person.schema.json", json.dumps(SCHEMA))
    config = {
        "version": "v1.3.1",
        "dsn": f"sqlite://{kratos.database}?_fk=true&mode=rwc&_busy_timeout=10000",
        "serve": {
            "public": {"host": "127.0.0.1", "port": kratos.public_port, "base_url": kratos.public},
            "admin": {"host": "127.0.0.1", "port": kratos.admin_port, "base_url": kratos.admin},
        },
        "identity": {"default_schema_id": "person", "schemas": [{"id": "person", "url": f"file://{schema}"}]},
        "selfservice": {
            "default_browser_return_url": f"{kratos.public}/welcome",
            "allowed_return_urls": kratos.return_urls,
            "methods": {
                "password": {"enabled": True, "config": {"haveibeenpwned_enabled": False}},
                "totp": {"enabled": True, "config": {"issuer": "example.org"}},
            },
            "flows": {
                "login": {"ui_url": f"{kratos.public}/login"},
                "registration": {
                    "ui_url": f"{kratos.public}/registration",
                    "after": {"password": {"hooks": [{"hook": "session"}]}},
                },
                "settings": {"ui_url": f"{kratos.public}/settings"},
            },
        },
        "hashers": {"algorithm": "bcrypt", "bcrypt": {"cost": 4}},
        "secrets": {"cookie": ["a-secret-for-this-test-alone"], "cipher": ["32-characters-for-this-test-only"]},
        "courier": {"smtp": {"connection_uri": "smtp://127.0.0.1:9/"}},
        "log": {"level": "warning", "format": "json"},
        **settings,
    }
    write(directory / "kratos.json", json.dumps(config))
    run(BINARY, "migrate", "sql", "--yes", config["dsn"], directory=directory)
    return kratos


@contextlib.contextmanager
def serving(directory, return_urls=()):
    """Runs Kratos with a new database."""
    kratos = prepared(directory, return_urls)
    with kratos.running():
        yield kratos
