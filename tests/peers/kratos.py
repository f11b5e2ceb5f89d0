"""Kratos with a database in a file, whose users log in with a password."""

import contextlib
import dataclasses
import http.cookies
import json
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
                "email": {"type": "string", "ory.sh/kratos": {"credentials": {"password": {"identifier": True}}}}
            },
            "required": ["email"],
        }
    },
}


@dataclasses.dataclass
class Kratos:
    public: str
    admin: str

    def create_user(self, traits, metadata=None):
        """Returns a user with these traits, and an email address of its own."""
        email = f"{uuid.uuid4()}@example.org"
        identity = {
            "schema_id": "person",
            "traits": {"email": email, **traits},
            "metadata_public": metadata,
            "credentials": {"password": {"config": {"password": PASSWORD}}},
        }
        headers = {"Content-Type": "application/json"}
        created = call(f"{self.admin}/admin/identities", "POST", headers, json.dumps(identity))
        assert created.status == 201, created.body
        return User(self, json.loads(created.body)["id"], email)


@dataclasses.dataclass
class User:
    kratos: Kratos
    id: str
    email: str

    def log_in_with_api(self):
        """Returns the headers of a client that has a session token from an API flow."""
        flow = call(f"{self.kratos.public}/self-service/login/api")
        assert flow.status == 200, flow.body
        form = {"method": "password", "identifier": self.email, "password": PASSWORD}
        action = json.loads(flow.body)["ui"]["action"]
        done = call(action, "POST", {"Content-Type": "application/json"}, json.dumps(form))
        assert done.status == 200, done.body
        return {"Authorization": f"Bearer {json.loads(done.body)['session_token']}"}

    def log_in_with_browser(self):
        """Returns the headers of a browser that has the session cookie from a browser flow."""
        jar = http.cookies.SimpleCookie()

        def browse(url, method="GET", body=None):
            cookies = "; ".join(f"{one.key}={one.coded_value}" for one in jar.values())
            headers = {"Accept": "text/html", "Cookie": cookies}
            if body:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            response = call(url, method, headers, body)
            for line in response.headers.get_all("Set-Cookie", []):
                jar.load(line)
            return response

        start = browse(f"{self.kratos.public}/self-service/login/browser")
        assert start.status == 303, start.body
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(start.headers["Location"]).query)
        flow = json.loads(browse(f"{self.kratos.public}/self-service/login/flows?id={query['flow'][0]}").body)
        nodes = {node["attributes"]["name"]: node["attributes"].get("value") for node in flow["ui"]["nodes"]}
        form = {
            "csrf_token": nodes["csrf_token"],
            "method": "password",
            "identifier": self.email,
            "password": PASSWORD,
        }
        done = browse(flow["ui"]["action"], "POST", urllib.parse.urlencode(form))
        assert done.status == 303 and COOKIE in jar, (done.status, done.headers["Location"])
        return {"Cookie": f"{COOKIE}={jar[COOKIE].coded_value}"}

    def log_out_everywhere(self):
        """Ends every session of the user."""
        assert call(f"{self.kratos.admin}/admin/identities/{self.id}/sessions", "DELETE").status == 204


@contextlib.contextmanager
def serving(directory):
    """Runs Kratos with a new database."""
    public, admin = free_port(), free_port()
    kratos = Kratos(f"http://127.0.0.1:{public}", f"http://127.0.0.1:{admin}")
    schema = write(directory / "person.schema.json", json.dumps(SCHEMA))
    config = {
        "version": "v1.3.1",
        "dsn": f"sqlite://{directory}/kratos.sqlite?_fk=true&mode=rwc&_busy_timeout=10000",
        "serve": {
            "public": {"host": "127.0.0.1", "port": public, "base_url": kratos.public},
            "admin": {"host": "127.0.0.1", "port": admin, "base_url": kratos.admin},
        },
        "identity": {"default_schema_id": "person", "schemas": [{"id": "person", "url": f"file://{schema}"}]},
        "selfservice": {
            "default_browser_return_url": f"{kratos.public}/welcome",
            "methods": {"password": {"enabled": True, "config": {"haveibeenpwned_enabled": False}}},
            "flows": {"login": {"ui_url": f"{kratos.public}/login"}},
        },
        "hashers": {"algorithm": "bcrypt", "bcrypt": {"cost": 4}},
        "secrets": {"cookie": ["a-secret-for-this-test-alone"], "cipher": ["32-characters-for-this-test-only"]},
        "courier": {"smtp": {"connection_uri": "smtp://127.0.0.1:9/"}},
        "log": {"level": "warning", "format": "json"},
    }
    file = write(directory / "kratos.json", json.dumps(config))
    binary = TOOLS / "kratos"
    run(binary, "migrate", "sql", "--yes", config["dsn"], directory=directory)
    ready = lambda: call(f"{kratos.admin}/admin/health/ready").status == 200
    with running([binary, "serve", "--dev", "--config", file], directory, ready):
        yield kratos
