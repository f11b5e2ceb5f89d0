"""Exchanges key sets with libraries that claimsmith does not know.

PyJWT, joserfc and npm jose each make a private key for every algorithm. The real binary lists and publishes the sets,
serves with them, and each library verifies with its own key what came out. Then each library signs and verifies with
the sets that claimsmith made. Exits 1 on the first thing that is not as it must be.
"""

import json
import pathlib
import subprocess
import tempfile
import warnings

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwt as joserfc_jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from run import ALGS, BINARY, HERE, ISSUER, PRIVATE_MEMBERS, SESSION, call, claimsmith, serving

SYMMETRIC_BITS = {"HS256": 256, "HS384": 384, "HS512": 512}
CURVES = {
    "ES256": ("P-256", ec.SECP256R1),
    "ES256K": ("secp256k1", ec.SECP256K1),
    "ES384": ("P-384", ec.SECP384R1),
    "ES512": ("P-521", ec.SECP521R1),
}
EVERY_ALG = [*ALGS, *SYMMETRIC_BITS]


class PyJwt:
    """Its keys are those of cryptography, which it writes as JWKs."""

    @staticmethod
    def make(alg):
        algorithm = jwt.get_algorithm_by_name(alg)
        if alg in SYMMETRIC_BITS:
            key = bytes(range(7, 7 + SYMMETRIC_BITS[alg] // 8))
        elif alg in CURVES:
            key = ec.generate_private_key(CURVES[alg][1]())
        elif alg == "EdDSA":
            key = ed25519.Ed25519PrivateKey.generate()
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        # PyJWT writes `key_ops` too, which stays as it is.
        return {**algorithm.to_jwk(key, as_dict=True), "alg": alg, "kid": f"key-{alg}"}

    @staticmethod
    def verify(alg, token, jwk):
        assert jwt.get_unverified_header(token)["kid"] == jwk["kid"]
        return jwt.decode(token, jwt.PyJWK(public_half(jwk)).key, algorithms=[alg], options={"verify_aud": False})

    @staticmethod
    def sign(alg, jwk):
        return jwt.encode({"sub": "zoe"}, jwt.PyJWK(jwk).key, algorithm=alg, headers={"kid": jwk["kid"]})


class JoseRfc:
    @staticmethod
    def make(alg):
        named = {"alg": alg, "kid": f"key-{alg}", "use": "sig"}
        if alg in SYMMETRIC_BITS:
            key = OctKey.generate_key(SYMMETRIC_BITS[alg], parameters=named)
        elif alg in CURVES:
            key = ECKey.generate_key(CURVES[alg][0], parameters=named)
        elif alg == "EdDSA":
            key = OKPKey.generate_key("Ed25519", parameters=named)
        else:
            key = RSAKey.generate_key(2048, parameters=named)
        return key.as_dict(private=True)

    @staticmethod
    def verify(alg, token, jwk):
        keys = KeySet.import_key_set({"keys": [public_half(jwk)]})
        return joserfc_jwt.decode(token, keys, algorithms=[alg]).claims

    @staticmethod
    def sign(alg, jwk):
        keys = KeySet.import_key_set({"keys": [jwk]})
        return joserfc_jwt.encode({"alg": alg, "kid": jwk["kid"]}, {"sub": "zoe"}, keys, algorithms=[alg])


def npm_jose(*arguments, cases=None):
    text = None if cases is None else json.dumps(cases)
    command = ["node", HERE / "keys.mjs", *arguments]
    return subprocess.run(command, input=text, text=True, check=True, timeout=60, stdout=subprocess.PIPE).stdout


def public_half(jwk):
    """What whoever verifies needs; of a symmetric key, that is all of it."""
    hidden = PRIVATE_MEMBERS - ({"k"} if jwk["kty"] == "oct" else set())
    return {name: value for name, value in jwk.items() if name not in hidden and name != "key_ops"}


def write_set(folder, maker, jwk):
    path = folder / f"{maker}-{jwk['alg']}.json"
    path.write_text(json.dumps({"keys": [jwk]}))
    path.chmod(0o600)
    return path


def check_listing(path, jwk):
    """The binary takes the key for what it is, without a note, and shows nothing that verifiers may not see."""
    done = subprocess.run([BINARY, "keys", "list", "--json", path], check=True, capture_output=True, text=True)
    assert done.stderr == "", done.stderr
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    expected = {"kid": jwk["kid"], "alg": jwk["alg"], "state": "active", "signs": True}
    assert {name: row[name] for name in expected} == expected, row
    published = json.loads(claimsmith("keys", "public", path))["keys"]
    if jwk["kty"] == "oct":
        assert published == [], "a symmetric key is published"
    else:
        (key,) = published
        members = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e", "alg", "kid") if name in jwk}
        assert key == {**members, "use": "sig"}, key


def check_sets_of_others(folder):
    """Sets of each library sign here, and the library that made the key verifies."""
    made = {"pyjwt": [PyJwt.make(alg) for alg in EVERY_ALG], "joserfc": [JoseRfc.make(alg) for alg in EVERY_ALG]}
    made["npm-jose"] = json.loads(npm_jose("make", *EVERY_ALG))
    profiles = {}
    for maker, jwks in made.items():
        for jwk in jwks:
            path = write_set(folder, maker, jwk)
            check_listing(path, jwk)
            profiles[f"{maker}-{jwk['alg']}"] = {"issuer": ISSUER, "jwks": path.name, "template": "claims"}
    with serving(folder, "keys", profiles) as base:
        tokens = {name: call(f"{base}/issue/{name}", SESSION)["token"] for name in profiles}
    for maker, library in (("pyjwt", PyJwt), ("joserfc", JoseRfc)):
        for jwk in made[maker]:
            claims = library.verify(jwk["alg"], tokens[f"{maker}-{jwk['alg']}"], jwk)
            assert claims["sub"] == "zoe" and claims["iss"] == ISSUER, claims
    cases = [{"alg": jwk["alg"], "token": tokens[f"npm-jose-{jwk['alg']}"], "jwk": jwk} for jwk in made["npm-jose"]]
    npm_jose("verify", cases=cases)
    print(f"sets of {', '.join(made)}: each signs here for every algorithm and is verified there", flush=True)
    return len(profiles)


def check_sets_of_ours(folder):
    """Sets that claimsmith made sign in each library, and what it publishes verifies."""
    cases = []
    for alg in EVERY_ALG:
        path = folder / f"claimsmith-{alg}.json"
        claimsmith("keys", "generate", "--alg", alg, "--kid", f"key-{alg}", "--out", path)
        (private,) = json.loads(path.read_text())["keys"]
        published = json.loads(claimsmith("keys", "public", path))["keys"]
        assert len(published) == (alg not in SYMMETRIC_BITS), alg
        cases.append({"alg": alg, "private": private, "public": published[0] if published else None})
    for library in (PyJwt, JoseRfc):
        for case in cases:
            token = library.sign(case["alg"], case["private"])
            claims = library.verify(case["alg"], token, case["public"] or case["private"])
            assert claims["sub"] == "zoe", claims
    npm_jose("use", cases=cases)
    print("sets of claimsmith: each signs and verifies in all three for every algorithm", flush=True)
    return 3 * len(cases)


def main():
    warnings.simplefilter("ignore", SecurityWarning)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        template = folder / "templates" / "claims" / "claims.hbs"
        template.parent.mkdir(parents=True)
        template.write_text('{"session": {{Extra}}}')
        passed = check_sets_of_others(folder) + check_sets_of_ours(folder)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
