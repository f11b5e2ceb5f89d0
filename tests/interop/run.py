"""Verifies claimsmith's tokens with libraries that it does not know, and its HTTP against its own OpenAPI document.

Starts the real binary on loopback, takes tokens from it, and verifies them from the key set it serves with PyJWT,
joserfc and npm jose. Then lets schemathesis try the API, open and with a caller configured. Exits 1 on the first thing
that is not as it must be.
"""

import base64
import collections
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings

import jwt
from joserfc import jwt as joserfc_jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, InvalidTokenError, JoseError, SecurityWarning
from joserfc.jwk import KeySet, OctKey

HERE = pathlib.Path(__file__).resolve().parent
BINARY = HERE.parent.parent / "target" / "debug" / "claimsmith"
ISSUER = "https://issuer.example/"
AUDIENCE = "orders"
TTL = 900
ALGS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
]
# Whoever can verify this can sign, so its key must stay in the house.
SYMMETRIC = "HS256"
CALLER = ("oathkeeper", "c0rrect horse")
SESSION = {
    "subject": "zoe",
    "extra": {"name": 'Zoë "Zo" O\'Neil', "big": 12345678901234567890, "roles": ["editor", None, {"deep": True}]},
    "header": None,
    "match_context": None,
}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def claimsmith(*arguments):
    return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout


def prepare(folder):
    """Makes a key for each algorithm and the template; returns a profile for each."""
    profiles = {}
    for alg in [*ALGS, SYMMETRIC]:
        claimsmith("keys", "generate", "--alg", alg, "--kid", f"key-{alg}", "--out", str(folder / f"{alg}.json"))
        profiles[alg] = {"issuer": ISSUER, "jwks": f"{alg}.json", "audience": [AUDIENCE], "template": "claims"}
        profiles[alg]["ttl"] = f"{TTL}s"
    profiles["id_token"] = {"issuer": ISSUER, "jwks": "ES256.json", "template": "claims", "missing": "as_null"}
    template = folder / "templates" / "claims" / "claims.hbs"
    template.parent.mkdir(parents=True)
    template.write_text('{"session": {{Extra}}, "hello": "hi {{Extra.name}}"}')
    return profiles


class Served(str):
    """The address of a service, which also knows that of its admin listener, and its process."""

    admin = None
    process = None


@contextlib.contextmanager
def serving(folder, name, profiles, callers=(), environment=None, more=None):
    """The address of a service with these profiles; it has to be alive at the end."""
    config = {"serve": {"api": {"port": 0}, "admin": {"port": 0}}, "profiles": profiles, "callers": list(callers), **(more or {})}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    log = folder / f"{name}.log"
    with log.open("w") as stderr:
        service = subprocess.Popen(
            [BINARY, "--config", path, "serve"], stderr=stderr, env={**os.environ, **(environment or {})}
        )
    try:
        api, admin = addresses(service, log)
        served = Served(api)
        served.admin = admin
        served.process = service
        yield served
        assert service.poll() is None, f"the service ended: {log.read_text()[-2000:]}"
    finally:
        service.terminate()
        service.wait(timeout=40)


def addresses(service, log):
    for _ in range(200):
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["message"] == "serving":
                return f"http://{event['api']}", f"http://{event['admin']}"
        if service.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"the service did not start: {log.read_text()}")


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        return json.load(answer)


def refuses(what, errors, action):
    try:
        action()
    except errors:
        return
    raise SystemExit(f"expected a refusal: {what}")


def tampered(token):
    head, payload, signature = token.split(".")
    other = payload[:-2] + ("A" if payload[-2] != "A" else "B") + payload[-1]
    return f"{head}.{other}.{signature}"


def check_claims(claims, alg):
    assert claims["sub"] == "zoe" and claims["iss"] == ISSUER and claims["aud"] == [AUDIENCE], alg
    assert claims["session"] == SESSION["extra"], alg
    assert claims["hello"] == f"hi {SESSION['extra']['name']}", alg
    assert claims["exp"] - claims["iat"] == TTL and claims["nbf"] == claims["iat"], alg


def verify_with_pyjwt(base, alg, token):
    keys = jwt.PyJWKClient(f"{base}/.well-known/jwks.json")
    check_with_pyjwt(alg, token, keys.get_signing_key_from_jwt(token).key)


def check_with_pyjwt(alg, token, key):
    options = {"algorithms": [alg], "issuer": ISSUER, "audience": AUDIENCE}
    check_claims(jwt.decode(token, key, **options), alg)
    header = jwt.get_unverified_header(token)
    assert header == {"alg": alg, "kid": f"key-{alg}", "typ": "JWT"}, header
    refuses("tampered", jwt.InvalidTokenError, lambda: jwt.decode(tampered(token), key, **options))
    refuses("audience", jwt.InvalidAudienceError, lambda: jwt.decode(token, key, **{**options, "audience": "x"}))
    refuses("issuer", jwt.InvalidIssuerError, lambda: jwt.decode(token, key, **{**options, "issuer": "x"}))
    # PyJWT's clock cannot be set, only its patience: a negative one is a clock ahead for exp and behind for nbf.
    ahead = {**options, "leeway": -TTL - 1, "options": {"verify_iat": False, "verify_nbf": False}}
    refuses("expired", jwt.ExpiredSignatureError, lambda: jwt.decode(token, key, **ahead))
    behind = {**options, "leeway": -60, "options": {"verify_iat": False}}
    refuses("not valid yet", jwt.ImmatureSignatureError, lambda: jwt.decode(token, key, **behind))


def verify_with_joserfc(base, alg, token):
    check_with_joserfc(alg, token, KeySet.import_key_set(call(f"{base}/{alg}/.well-known/jwks.json")))


def check_with_joserfc(alg, token, keys):
    claims = joserfc_jwt.decode(token, keys, algorithms=[alg]).claims
    check_claims(claims, alg)

    def validate(now=None, issuer=ISSUER, audience=AUDIENCE):
        expected = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}}
        joserfc_jwt.JWTClaimsRegistry(now=now, **expected).validate(claims)

    validate()
    refuses("tampered", (JoseError, ValueError), lambda: joserfc_jwt.decode(tampered(token), keys, algorithms=[alg]))
    refuses("audience", InvalidClaimError, lambda: validate(audience="x"))
    refuses("issuer", InvalidClaimError, lambda: validate(issuer="x"))
    refuses("expired", ExpiredTokenError, lambda: validate(now=claims["exp"] + 1))
    refuses("not valid yet", InvalidTokenError, lambda: validate(now=claims["nbf"] - 60))


def verify_with_npm_jose(base, tokens):
    cases = [
        {"alg": alg, "token": token, "bad": tampered(token), "isPublished": alg != SYMMETRIC}
        for alg, token in tokens.items()
    ]
    subprocess.run(
        ["node", HERE / "verify.mjs", f"{base}/.well-known/jwks.json", ISSUER, AUDIENCE],
        input=json.dumps(cases),
        text=True,
        check=True,
        timeout=60,
    )


def check_published_keys(base):
    keys = call(f"{base}/.well-known/jwks.json")["keys"]
    assert {key["kid"] for key in keys} == {f"key-{alg}" for alg in ALGS}, keys
    assert not any(PRIVATE_MEMBERS & key.keys() for key in keys), "a private member is published"


def check_symmetric_key(base, folder, token):
    """The key verifies the token, and it is nowhere in what the service publishes."""
    (key,) = json.loads((folder / f"{SYMMETRIC}.json").read_text())["keys"]
    secret = base64.urlsafe_b64decode(key["k"] + "=" * (-len(key["k"]) % 4))
    check_with_pyjwt(SYMMETRIC, token, secret)
    check_with_joserfc(SYMMETRIC, token, OctKey.import_key(secret))
    assert call(f"{base}/{SYMMETRIC}/.well-known/jwks.json") == {"keys": []}
    for path in ("/.well-known/jwks.json", f"/{SYMMETRIC}/.well-known/jwks.json"):
        published = json.dumps(call(base + path))
        assert f"key-{SYMMETRIC}" not in published and '"oct"' not in published and key["k"] not in published, path
        keys = jwt.PyJWKClient(base + path)
        refuses("a key nobody publishes", jwt.PyJWTError, lambda: keys.get_signing_key_from_jwt(token))


def run_schemathesis(base, folder, name, *arguments, profile=None):
    """Any answer must be documented and match its schema, and none may be a server error. Counts the statuses."""
    config = folder / "schemathesis.toml"
    # Without a name that exists, nearly every answer would be a 404.
    config.write_text(f'[parameters]\n"path.profile" = "{profile}"\n' if profile else "")
    report = folder / f"{name}.har"
    checks = [
        *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
        *("response_schema_conformance", "unsupported_method", "negative_data_rejection"),
    ]
    command = [pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", config]
    command += ["run", f"{base}/openapi.json", "--url", base, "--checks", ",".join(checks)]
    # The same cases in every run: no example database, and a fixed seed.
    command += ["--generation-database", "none", "--seed", "20261123", "--max-examples", "100"]
    command += ["--request-timeout", "10", "--report-har-path", report, "--no-color", *arguments]
    done = subprocess.run(command, cwd=folder, check=False, timeout=300, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"schemathesis ({name}):\n{done.stdout}\n{done.stderr}")
    statuses = collections.Counter()
    for entry in json.loads(report.read_text())["log"]["entries"]:
        statuses[(entry["request"]["method"], entry["response"]["status"])] += 1
    shown = ", ".join(f"{method} {status}: {count}" for (method, status), count in sorted(statuses.items()))
    print(f"schemathesis ({name}): {sum(statuses.values())} answers as documented ({shown})", flush=True)
    return statuses


def main():
    warnings.simplefilter("ignore", SecurityWarning)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        profiles = prepare(folder)
        with serving(folder, "open", profiles) as base:
            check_published_keys(base)
            tokens = {}
            for alg in [*ALGS, SYMMETRIC]:
                hydrated = call(f"{base}/hydrate/{alg}", SESSION)
                tokens[alg] = hydrated["header"]["Authorization"][0].removeprefix("Bearer ")
                issued = call(f"{base}/issue/{alg}", SESSION)["token"]
                for token in (tokens[alg], issued):
                    if alg == SYMMETRIC:
                        check_symmetric_key(base, folder, token)
                    else:
                        verify_with_pyjwt(base, alg, token)
                        verify_with_joserfc(base, alg, token)
                print(f"{alg}: verified by PyJWT and joserfc", flush=True)
            verify_with_npm_jose(base, tokens)
            run_schemathesis(base, folder, "any profile")
            statuses = run_schemathesis(base, folder, "a profile that exists", profile="id_token")
            assert statuses["POST", 200] >= 50, "too few sessions got a token"
        (folder / "password").write_text(CALLER[1])
        caller = {"name": "gateway", "basic": {"username": CALLER[0], "password_file": "password"}}
        # An unknown caller fails some 350 times. The tests in tests/it check the delay of a failure.
        more = {"limits": {"failed_delay": "0s"}}
        with serving(folder, "guarded", profiles, [caller], more=more) as base:
            known = ["--auth", ":".join(CALLER)]
            statuses = run_schemathesis(base, folder, "a known caller", *known, profile="id_token")
            assert statuses["POST", 200] >= 50 and statuses["POST", 401] == 0, "a known caller got too few tokens"
            unknown = ["--auth", f"{CALLER[0]}:another"]
            statuses = run_schemathesis(base, folder, "an unknown caller", *unknown, profile="id_token")
            answered = {status for method, status in statuses if method == "POST"}
            # The endpoints of proxies have 403 for every caller that is not a trusted proxy, known or not.
            assert answered == {401, 403, 405}, "an unknown caller was told more than that it is unknown"
    print(f"{3 * len([*ALGS, SYMMETRIC]) + 1 + 4} passed, 0 failed")


if __name__ == "__main__":
    main()
