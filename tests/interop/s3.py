"""Keys in S3: the real binary against moto's server, a store that claimsmith does not know.

It starts with the set of an object, takes over the next one when it looks again, and keeps what it has when the object
is garbage, forbidden or gone. Exits 1 on the first thing that is not as it must be.
"""

import logging
import pathlib
import signal
import subprocess
import tempfile
import time

import boto3
import jwt
from moto.server import ThreadedMotoServer

from run import BINARY, ISSUER, SESSION, call, claimsmith, serving

BUCKET, OBJECT = "keys", "tokens/id_token.jwks.json"


def put(store, body):
    store.put_object(Bucket=BUCKET, Key=OBJECT, Body=body)


def new_token(base):
    return call(f"{base}/issue/id_token", SESSION)["token"]


def kid(token):
    return jwt.get_unverified_header(token)["kid"]


def verified_kid(base):
    """The key of a new token, once PyJWT has verified it with the served set. No change of keys may be under way."""
    token = new_token(base)
    key = jwt.PyJWKClient(f"{base}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key.key, algorithms=["ES256"], issuer=ISSUER)
    assert claims["sub"] == "zoe"
    return kid(token)


def wait_for_key(base, expected):
    """A set that lost a key altogether verifies no token of it, so nothing is verified before the change is over."""
    wait_for(f"a token of {expected}", lambda: kid(new_token(base)) == expected)
    assert verified_kid(base) == expected


def wait_for(what, holds):
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise SystemExit(f"expected within ten seconds: {what}")


def check(folder, endpoint):
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "canary-secret-key",
    }
    store = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="canary-secret-key",
    )
    template = folder / "templates" / "claims" / "claims.hbs"
    template.parent.mkdir(parents=True)
    template.write_text("{}")
    profiles = {"id_token": {"issuer": ISSUER, "jwks": f"s3://{BUCKET}/{OBJECT}", "template": "claims"}}

    (folder / "claimsmith.yaml").write_text('{"profiles": {"p": {"issuer": "i", "jwks": "s3://none/x"}}}')
    refused = subprocess.run([BINARY, "check"], cwd=folder, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1 and "s3://none/x: expected the object, found no such object" in refused.stderr, refused

    store.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    put(store, claimsmith("keys", "generate", "--kid", "first"))
    with serving(folder, "s3", profiles, environment=environment) as base:
        assert verified_kid(base) == "first"

        put(store, claimsmith("keys", "generate", "--kid", "second"))
        base.process.send_signal(signal.SIGHUP)
        wait_for_key(base, "second")

        log = folder / "s3.log"
        for count, spoil in enumerate([lambda: put(store, "<html>"), lambda: store.delete_object(Bucket=BUCKET, Key=OBJECT)]):
            spoil()
            base.process.send_signal(signal.SIGHUP)
            wait_for("a word of the failure", lambda: log.read_text().count("keeping its last good key set") == count + 1)
            assert verified_kid(base) == "second"

        put(store, claimsmith("keys", "generate", "--kid", "third"))
        base.process.send_signal(signal.SIGHUP)
        wait_for_key(base, "third")
        assert "canary" not in log.read_text()


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with tempfile.TemporaryDirectory() as folder:
            check(pathlib.Path(folder), f"http://{host}:{port}")
    finally:
        server.stop()
    print("ok: keys in S3 are read, followed, and kept when the object turns bad")


if __name__ == "__main__":
    main()
