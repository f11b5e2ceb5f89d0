"""Verification of tokens with the key set that a service publishes."""

import json
import re
import threading
import time

import jwt
from programs import call

# Two tokens of one session differ in these claims.
TIMES = ("exp", "iat", "nbf", "jti")


def verified(token, jwks):
    """Returns the claims of `token`, whose signature must verify with the key set at the URL `jwks`."""
    keys = jwt.PyJWKSet.from_json(call(jwks).body.decode())
    return claims_of(token, {key.key_id: key for key in keys.keys})


def claims_of(token, keys):
    """Returns the claims of `token`, which one of `keys` must verify."""
    kid = jwt.get_unverified_header(token)["kid"]
    assert kid in keys, f"the key set has no key {kid}"
    return jwt.decode(token, keys[kid], [keys[kid].algorithm_name], options={"verify_aud": False})


def untimed(claims):
    """Returns the claims that two tokens of one session have in common."""
    return {name: value for name, value in claims.items() if name not in TIMES}


def lifetime(claims):
    return claims["exp"] - claims["iat"]


class Verifier:
    """A verifier that caches a key set for as long as its response permits, and never fetches it earlier."""

    def __init__(self, jwks):
        self.jwks = jwks
        self.keys = {}
        self.fresh_until = 0
        self.lock = threading.Lock()

    def claims(self, token):
        with self.lock:
            if time.monotonic() >= self.fresh_until:
                self.fetch()
            return claims_of(token, self.keys)

    def fetch(self):
        began = time.monotonic()
        response = call(self.jwks)
        assert response.status == 200, response.body
        max_age = int(re.search(r"max-age=(\d+)", response.headers["Cache-Control"])[1])
        self.fresh_until = began + max_age
        self.keys = {key["kid"]: jwt.PyJWK(key) for key in json.loads(response.body)["keys"]}
