"""Oathkeeper in front of an upstream, with Kratos behind it."""

import contextlib
import dataclasses
import json
import pathlib

import yaml
from programs import TOOLS, Response, call, free_port, run, running, write

# The token of Ory's zero-trust guide.
GLOBAL_CLAIMS = '{ "session": {{ .Extra | toJson }} }'
# What Oathkeeper logs when it has reloaded its configuration.
APPLIED = "Configuration change processed successfully."
ISSUER = "https://id.example.org/"


def generate_key(file, alg):
    """Writes a key set as an operator of Oathkeeper does."""
    bits = ["--bits", "2048"] if alg.startswith("RS") else []
    command = [TOOLS / "oathkeeper", "credentials", "generate", "--alg", alg, *bits]
    write(file, run(*command, directory=file.parent))


def rule(name, host, upstream, *mutators):
    """Returns an access rule for all paths of `host`."""
    return {
        "id": name,
        "upstream": {"url": upstream},
        "match": {"url": f"http://{host}/<.*>", "methods": ["GET"]},
        "authenticators": [{"handler": "cookie_session"}, {"handler": "bearer_token"}],
        "authorizer": {"handler": "allow"},
        "mutators": list(mutators),
    }


@dataclasses.dataclass
class Oathkeeper:
    directory: pathlib.Path
    proxy: str
    api: str
    config: dict
    rules: list
    applied: int = 0

    @classmethod
    def prepare(cls, directory, kratos, alg="RS256"):
        """Writes a configuration with the `id_token` mutator, a key, and no access rules."""
        session = {
            "check_session_url": f"{kratos.public}/sessions/whoami",
            "preserve_path": True,
            "force_method": "GET",
            "extra_from": "@this",
            "subject_from": "identity.id",
        }
        ports = [free_port() for _ in range(3)]
        serve = {name: {"host": "127.0.0.1", "port": port} for name, port in zip(("proxy", "api", "prometheus"), ports)}
        id_token = {"issuer_url": ISSUER, "jwks_url": "file://id_token.jwks.json", "claims": GLOBAL_CLAIMS}
        config = {
            "serve": serve,
            "log": {"level": "info", "format": "json"},
            "access_rules": {"matching_strategy": "regexp", "repositories": ["file://access-rules.yml"]},
            "errors": {"fallback": ["json"], "handlers": {"json": {"enabled": True}}},
            "authenticators": {
                "cookie_session": {"enabled": True, "config": {**session, "only": ["ory_kratos_session"]}},
                "bearer_token": {"enabled": True, "config": session},
            },
            "authorizers": {"allow": {"enabled": True}},
            "mutators": {"id_token": {"enabled": True, "config": id_token}},
        }
        directory.mkdir(parents=True, exist_ok=True)
        generate_key(directory / "id_token.jwks.json", alg)
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        self = cls(directory, addresses[0], addresses[1], config, [])
        self.write_config()
        self.write_rules()
        return self

    @property
    def jwks(self):
        return f"{self.api}/.well-known/jwks.json"

    @property
    def keys(self):
        return self.directory / "id_token.jwks.json"

    def enable_hydrator(self, url, **api):
        """Adds the `hydrator` mutator of docs/oathkeeper.md to the configuration."""
        api = {"url": url, "retry": {"give_up_after": "500ms", "max_delay": "50ms"}, **api}
        self.config["mutators"]["hydrator"] = {"enabled": True, "config": {"api": api}}
        self.write_config()

    def disable_id_token(self):
        self.config["mutators"]["id_token"] = {"enabled": False}
        self.write_config()

    def write_config(self):
        self.applied = self.log().count(APPLIED)
        write(self.directory / "oathkeeper.yml", yaml.safe_dump(self.config, sort_keys=False))

    def has_applied_configuration(self):
        """Returns `True` if the running Oathkeeper has applied the configuration since it was last written."""
        return self.log().count(APPLIED) > self.applied

    def log(self):
        log = self.directory / "oathkeeper.log"
        return log.read_text() if log.exists() else ""

    def write_rules(self):
        write(self.directory / "access-rules.yml", yaml.safe_dump(self.rules, sort_keys=False))

    @contextlib.contextmanager
    def serving(self):
        """Runs Oathkeeper, which has loaded its access rules when the block starts."""
        ready = lambda: call(f"{self.api}/health/ready").status == 200 and self.loaded() == self.written()
        with running([TOOLS / "oathkeeper", "serve", "--config", "oathkeeper.yml"], self.directory, ready):
            yield

    def loaded(self):
        """Returns the mutators of each valid rule that Oathkeeper has loaded."""
        listed = json.loads(call(f"{self.api}/rules?limit=500").body)
        return {one["id"]: [(m["handler"], m["config"] or None) for m in one["mutators"]] for one in listed}

    def written(self):
        return {one["id"]: [(m["handler"], m.get("config")) for m in one["mutators"]] for one in self.rules}

    def through_proxy(self, host, path="/", headers=None):
        """Returns the response to a request for the upstream."""
        return call(self.proxy + path, headers={"Host": host, **(headers or {})})

    def through_decisions(self, host, path="/", headers=None):
        """Returns the response to a request that a proxy in front of the upstream would send."""
        forwarded = {
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": host,
            "X-Forwarded-Uri": path,
        }
        return call(f"{self.api}/decisions", headers={**forwarded, **(headers or {})})

    def response(self, entry, host, path="/", headers=None) -> Response:
        return {"proxy": self.through_proxy, "decisions": self.through_decisions}[entry](host, path, headers)

    def token(self, entry, host, path="/", headers=None):
        """Returns the token that the upstream receives."""
        response = self.response(entry, host, path, headers)
        assert response.status == 200, f"{entry} {host}{path}: {response.status} {response.body!r}"
        if entry == "proxy":
            authorization = json.loads(response.body)["headers"]["Authorization"]
        else:
            authorization = response.headers["Authorization"]
        scheme, token = authorization.split(" ")
        assert scheme == "Bearer"
        return token
