"""claimsmith with a Kratos source, and the request that Traefik or Caddy sends about another request."""

import dataclasses
import json
import urllib.parse

from claimsmith import Claimsmith
from programs import CLAIMSMITH, ROOT, call, run, write
from tokens import verified

ORIGIN = "https://app.example.org"
TARGET = "/orders?page=2"


@dataclasses.dataclass
class Sessions(Claimsmith):
    def callers(self):
        return {"CLAIMSMITH_CALLERS": json.dumps([{"name": "proxy", "networks": ["127.0.0.1"]}])}

    def ask(self, check, credentials, **headers):
        """Returns the response to a check of a request with these credentials."""
        metadata = {
            "X-Forwarded-Method": "GET",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": urllib.parse.urlsplit(ORIGIN).netloc,
            "X-Forwarded-Uri": TARGET,
        }
        return call(f"{self.api}/forward-auth/{check}", headers={**metadata, **credentials, **headers})

    def claims(self, check, credentials):
        """Returns the verified claims of a request that passes."""
        response = self.ask(check, credentials)
        assert response.status == 200, response.body
        return verified(response.headers["Authorization"].removeprefix("Bearer "), self.jwks)

    def redirect(self, check, credentials):
        """Returns where a page view of a browser is redirected to."""
        response = self.ask(check, credentials, Accept="text/html")
        assert response.status == 302, (response.status, response.body)
        return response.headers["Location"]

    def error(self, check, credentials):
        """Returns the status and the problem of an API client's request that does not pass."""
        response = self.ask(check, credentials, Accept="application/json")
        return response.status, json.loads(response.body)


def of(kratos, directory, **source):
    """Returns a claimsmith that asks `kratos` and has a check of each kind. `source` has further settings of the source."""
    login = {"login": f"{kratos.public}/self-service/login/browser", "origins": [ORIGIN]}
    check = {"sources": ["kratos"], "profile": "identity", **login, "headers": {"X-User-Id": "sub"}}
    config = {
        "profiles": {
            "identity": {
                "issuer": "https://id.example.org/",
                "jwks": "keys/identity.jwks.json",
                "ttl": "1m",
                "template": "identity",
            }
        },
        "sources": {"kratos": {"type": "kratos", "public": kratos.public, **source}},
        "checks": {
            "web": check,
            "strong": {**check, "require": {"aal": "aal2"}},
            "fresh": {**check, "require": {"max_auth_age": "15m"}},
        },
    }
    write(directory / "claimsmith.yaml", json.dumps(config))
    (directory / "templates").symlink_to(ROOT / "templates")
    (directory / "keys").mkdir()
    run(CLAIMSMITH, "keys", "generate", "--alg", "ES256", "--out", "keys/identity.jwks.json", directory=directory)
    return Sessions(directory, ["--config", "claimsmith.yaml"], {})
