"""claimsmith, started as docs/oathkeeper.md and docs/migrate-from-oathkeeper.md describe it."""

import contextlib
import dataclasses
import json
import re

from programs import CLAIMSMITH, call, free_port, run, running, write

PASSWORD = "a-password-for-this-test-alone"


@dataclasses.dataclass
class Claimsmith:
    """A claimsmith on fixed ports, so that it can stop and start again."""

    directory: object
    arguments: list
    environment: dict
    api_port: int = dataclasses.field(default_factory=free_port)
    admin_port: int = dataclasses.field(default_factory=free_port)

    @property
    def api(self):
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def jwks(self):
        return f"{self.api}/.well-known/jwks.json"

    def hydrate(self, profile):
        """Returns the URL for Oathkeeper's hydrator."""
        return f"{self.api}/hydrate/{profile}"

    def hydrate_like(self, rule):
        """Returns the URL of the profile that has the claims of an access rule with an `id_token` mutator."""
        return self.hydrate(profile_like(rule))

    def callers(self):
        """Returns the variables that configure the callers."""
        password = write(self.directory / "oathkeeper.password", PASSWORD)
        password.chmod(0o600)
        basic = {"username": "oathkeeper", "password_file": str(password)}
        return {"CLAIMSMITH_CALLERS": json.dumps([{"name": "oathkeeper", "basic": basic}])}

    @contextlib.contextmanager
    def serving(self):
        environment = {
            "CLAIMSMITH_SERVE_API_PORT": str(self.api_port),
            "CLAIMSMITH_SERVE_ADMIN_PORT": str(self.admin_port),
            "CLAIMSMITH_RELOAD_INTERVAL": "1s",
            **self.callers(),
            **self.environment,
        }
        ready = lambda: call(f"http://127.0.0.1:{self.admin_port}/health/ready").status == 200
        with running([CLAIMSMITH, "serve", *self.arguments], self.directory, ready, environment) as process:
            yield process

    def metric(self, name, **labels):
        """Returns the sum of all series of a metric that have these labels."""
        text = call(f"http://127.0.0.1:{self.admin_port}/metrics").body.decode()
        series = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
        pairs = {f'{label}="{value}"' for label, value in labels.items()}
        return sum(float(value) for found, value in series if pairs <= set(found.split(",")))

    def has_profile(self, name):
        return call(f"{self.api}/{name}/.well-known/jwks.json").status == 200


def profile_like(rule):
    """Returns the profile that has the claims of an access rule with an `id_token` mutator."""
    return rule["id"] if "config" in rule["mutators"][0] else "id_token"


def basic_authentication():
    """Returns the credentials for the configuration of Oathkeeper's hydrator."""
    return {"basic": {"username": "oathkeeper", "password": PASSWORD}}


def as_it_is(oathkeeper, **environment):
    """Returns a claimsmith that reads the configuration of Oathkeeper."""
    return Claimsmith(oathkeeper.directory, ["--oathkeeper", "oathkeeper.yml"], environment)


def imported(oathkeeper, **environment):
    """Returns a claimsmith with a configuration of its own, imported from Oathkeeper."""
    directory = oathkeeper.directory
    run(CLAIMSMITH, "import", "oathkeeper", "oathkeeper.yml", "--out", "claimsmith", directory=directory)
    run(CLAIMSMITH, "check", "--config", "claimsmith/claimsmith.yaml", directory=directory)
    return Claimsmith(directory, ["--config", "claimsmith/claimsmith.yaml"], environment)
