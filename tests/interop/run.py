"""Verifies claimsmith's tokens with libraries that it does not know, and its HTTP against its own OpenAPI document.

Starts the real binary on loopback, takes tokens from it, and verifies them from the key set it serves with PyJWT, joserfc and
npm jose. Then lets schemathesis try the API. Exits 1 on the first thing that is not as it must be.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import jwt
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

HERE = pathlib.Path(__file__).resolve().parent
BINARY = HERE.parent.parent / "target" / "debug" / "claimsmith"
ISSUER = "https://issuer.example/"
ALGS = ["RS256", "PS256", "ES256", "EdDSA", "RS512", "PS384", "ES384", "ES512"]
SESSION = {
    "subject": "zoe",
    "extra": {"name": 'Zoë "Zo" O\'Neil', "big": 12345678901234567890, "roles": ["editor", None, {"deep": True}]},
    "header": None,
    "match_context": None,
}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def claimsmith(*arguments):
    return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout


def start(folder):
    """Starts the service with a profile for each algorithm; returns the process and its address."""
    profiles = {}
    for alg in ALGS:
        claimsmith("keys", "generate", "--alg", alg, "--kid", f"key-{alg}", "--out", str(folder / f"{alg}.json"))
        profiles[alg] = {"issuer": ISSUER, "jwks": f"{alg}.json", "audience": ["orders"], "template": "claims"}
    profiles["id_token"] = {"issuer": ISSUER, "jwks": "ES256.json", "template": "claims", "missing": "as_null"}
    template = folder / "templates" / "claims" / "claims.hbs"
    template.parent.mkdir(parents=True)
    template.write_text('{"session": {{Extra}}, "hello": "hi {{Extra.name}}"}')
    config = {
        "serve": {"api": {"port": 0}, "admin": {"port": 0}},
        "profiles": profiles,
    }
    path = folder / "claimsmith.yaml"
    path.write_text(json.dumps(config))
    log = folder / "service.log"
    with log.open("w") as stderr:
        service = subprocess.Popen([BINARY, "--config", path, "serve"], stderr=stderr)
    for _ in range(200):
        for line in log.read_text().splitlines():
            event = json.loads(line)
            if event["message"] == "serving":
                return service, f"http://{event['api']}"
        if service.poll() is not None:
            break
        time.sleep(0.05)
    service.kill()
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
    assert claims["sub"] == "zoe" and claims["iss"] == ISSUER and claims["aud"] == ["orders"], alg
    assert claims["session"] == SESSION["extra"], alg
    assert claims["hello"] == f"hi {SESSION['extra']['name']}", alg
    assert claims["exp"] - claims["iat"] == 900 and claims["nbf"] == claims["iat"], alg


def verify_with_pyjwt(base, alg, token):
    keys = jwt.PyJWKClient(f"{base}/.well-known/jwks.json")
    key = keys.get_signing_key_from_jwt(token).key
    options = {"algorithms": [alg], "issuer": ISSUER, "audience": "orders"}
    check_claims(jwt.decode(token, key, **options), alg)
    header = jwt.get_unverified_header(token)
    assert header == {"alg": alg, "kid": f"key-{alg}", "typ": "JWT"}, header
    refuses("tampered", jwt.InvalidTokenError, lambda: jwt.decode(tampered(token), key, **options))
    refuses("audience", jwt.InvalidAudienceError, lambda: jwt.decode(token, key, **{**options, "audience": "x"}))
    refuses("issuer", jwt.InvalidIssuerError, lambda: jwt.decode(token, key, **{**options, "issuer": "x"}))


def verify_with_joserfc(base, alg, token):
    keys = KeySet.import_key_set(call(f"{base}/{alg}/.well-known/jwks.json"))
    check_claims(joserfc_jwt.decode(token, keys, algorithms=[alg]).claims, alg)
    refuses("tampered", (JoseError, ValueError), lambda: joserfc_jwt.decode(tampered(token), keys, algorithms=[alg]))


def verify_with_npm_jose(base, tokens):
    cases = [{"alg": alg, "token": token, "bad": tampered(token)} for alg, token in tokens.items()]
    subprocess.run(
        ["node", HERE / "verify.mjs", f"{base}/.well-known/jwks.json", ISSUER, "orders"],
        input=json.dumps(cases),
        text=True,
        check=True,
        timeout=60,
    )


def check_published_keys(base):
    keys = call(f"{base}/.well-known/jwks.json")["keys"]
    assert {key["kid"] for key in keys} == {f"key-{alg}" for alg in ALGS}, keys
    assert not any(PRIVATE_MEMBERS & key.keys() for key in keys), "a private member is published"


def run_schemathesis(base):
    """Any answer must be documented and match its schema, and none may be a server error."""
    subprocess.run(
        [
            pathlib.Path(sys.executable).parent / "schemathesis",
            "run",
            f"{base}/openapi.json",
            "--url",
            base,
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
            "response_schema_conformance,unsupported_method,negative_data_rejection",
            "--max-examples",
            "60",
            "--seed",
            "20261123",
            "--request-timeout",
            "10",
            "--no-color",
        ],
        cwd=HERE,
        check=True,
        timeout=300,
    )


def main():
    with tempfile.TemporaryDirectory() as folder:
        service, base = start(pathlib.Path(folder))
        try:
            check_published_keys(base)
            tokens = {}
            for alg in ALGS:
                hydrated = call(f"{base}/hydrate/{alg}", SESSION)
                tokens[alg] = hydrated["header"]["Authorization"][0].removeprefix("Bearer ")
                issued = call(f"{base}/issue/{alg}", SESSION)["token"]
                for token in (tokens[alg], issued):
                    verify_with_pyjwt(base, alg, token)
                    verify_with_joserfc(base, alg, token)
                print(f"{alg}: verified by PyJWT and joserfc", flush=True)
            verify_with_npm_jose(base, tokens)
            run_schemathesis(base)
            assert service.poll() is None, "the service ended"
        finally:
            service.terminate()
            service.wait(timeout=40)
    print(f"{2 * len(ALGS) + 2} passed, 0 failed")


if __name__ == "__main__":
    main()
