"""Rotation of keys while requests run through Oathkeeper and verifiers fetch the key set as docs/keys.md describes."""

import jwt
import pytest
from claimsmith import basic_authentication, imported
from load import Load
from oathkeeper import Oathkeeper, rule
from programs import CLAIMSMITH, run, wait_until
from tokens import Verifier, claims_of

HOST = "orders.example.org"
MAX_AGE = "1s"
# A key is published after `reload.interval`, which is 1 s here, and known to all verifiers 1 s later.
LEAD = "5s"
CHANGES = 2


@pytest.fixture
def oathkeeper(kratos, upstream, tmp_path):
    # On a busy host, the generation of an RSA key can take longer than LEAD.
    self = Oathkeeper.prepare(tmp_path, kratos, "ES256")
    self.rules = [rule("orders", HOST, upstream.url, {"handler": "hydrator"})]
    self.write_rules()
    return self


class Client:
    """A user whose tokens are verified in two ways, one for each way to cache a key set."""

    def __init__(self, oathkeeper, service, entry, headers):
        self.oathkeeper, self.entry, self.headers = oathkeeper, entry, headers
        self.verifier = Verifier(service.jwks)
        # This client fetches the key set again if it does not know a key.
        self.jwks_client = jwt.PyJWKClient(service.jwks, cache_jwk_set=True, lifespan=1)
        self.tokens = {}

    def request(self):
        token = self.oathkeeper.token(self.entry, HOST, "/", self.headers)
        self.verify(token)
        self.tokens.setdefault(jwt.get_unverified_header(token)["kid"], token)

    def verify(self, token):
        assert self.verifier.claims(token)["session"]["active"]
        key = self.jwks_client.get_signing_key_from_jwt(token)
        assert claims_of(token, {key.key_id: key})["session"]["active"]


def verifies(client):
    try:
        client.request()
    except (AssertionError, jwt.PyJWKClientError):
        return False
    return True


def active_key(oathkeeper, headers):
    return jwt.get_unverified_header(oathkeeper.token("proxy", HOST, "/", headers))["kid"]


def clients(oathkeeper, service, kratos):
    user = kratos.create_user({"name": "Zoe"})
    cookie, token = user.log_in_with_browser(), user.log_in_with_api()
    return [Client(oathkeeper, service, "proxy", cookie), Client(oathkeeper, service, "decisions", token)]


def rotate_by_hand(service, oathkeeper, *arguments):
    command = [CLAIMSMITH, "keys", "rotate", oathkeeper.keys, "--config", "claimsmith/claimsmith.yaml", *arguments]
    run(*command, directory=service.directory, environment={"CLAIMSMITH_JWKS_MAX_AGE": MAX_AGE})


@pytest.mark.parametrize("operator", ["keys rotate", "the service"])
def test_no_token_fails_to_verify_while_keys_rotate(oathkeeper, kratos, operator):
    environment = {"CLAIMSMITH_JWKS_MAX_AGE": MAX_AGE}
    if operator == "the service":
        environment["CLAIMSMITH_ROTATION"] = f"{{every: 6s, lead: {LEAD}}}"
    service = imported(oathkeeper, **environment)
    oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication())
    with service.serving(), oathkeeper.serving():
        users = clients(oathkeeper, service, kratos)
        known = {active_key(oathkeeper, users[0].headers)}
        with Load(*(user.request for user in users)).running() as load:
            for _ in range(CHANGES):
                if operator == "keys rotate":
                    rotate_by_hand(service, oathkeeper, "--lead", LEAD)

                def has_changed():
                    load.check()
                    return not known >= {active_key(oathkeeper, users[0].headers)}

                wait_until(has_changed, "another key signs")
                known.add(active_key(oathkeeper, users[0].headers))
            counts = list(load.counts)
            wait_until(lambda: load.is_past(counts), "requests continue")
        # Tokens of earlier keys stay valid until they expire.
        for user in users:
            assert len(user.tokens) == CHANGES + 1
            for token in user.tokens.values():
                user.verify(token)


def test_leaked_keys_no_longer_verify_after_rotation(oathkeeper, kratos):
    service = imported(oathkeeper, CLAIMSMITH_JWKS_MAX_AGE=MAX_AGE)
    oathkeeper.enable_hydrator(service.hydrate("id_token"), auth=basic_authentication())
    with service.serving(), oathkeeper.serving():
        user, _ = clients(oathkeeper, service, kratos)
        user.request()
        ((leaked, token),) = user.tokens.items()
        rotate_by_hand(service, oathkeeper, "--now")
        wait_until(lambda: active_key(oathkeeper, user.headers) != leaked, "another key signs")
        restarted = Client(oathkeeper, service, user.entry, user.headers)
        restarted.request()
        with pytest.raises(AssertionError, match="has no key"):
            restarted.verifier.claims(token)
        # A verifier that is not restarted knows the new key as soon as its copy of the key set is too old.
        wait_until(lambda: verifies(user), "the verifier fetches the key set again")
        with pytest.raises(AssertionError, match="has no key"):
            user.verifier.claims(token)
