#!/bin/sh
# Writes .env and secrets/ with new secrets, once. Compose and the containers read them.
set -eu
cd "$(dirname "$0")"
test ! -e .env || { echo ".env exists already and is not changed" >&2; exit 0; }
umask 077
secret() { head -c 64 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 32; }
caller=$(secret)
mkdir -p secrets
printf '%s' "$caller" > secrets/claimsmith
echo "proxy_set_header X-Claimsmith-Secret \"$caller\";" > secrets/claimsmith-secret.conf
for name in envoy envoy-grpc; do
    sed "s/the-secret/$caller/" "$name/envoy.yaml" > "secrets/$name.yaml"
done
# The directory is closed to other users. A container mounts one file, and its user is not the owner.
chmod 0444 secrets/*
{
    echo "CALLER_SECRET=$caller"
    for name in KRATOS_COOKIE_SECRET KRATOS_CIPHER_SECRET UI_COOKIE_SECRET UI_CSRF_SECRET; do
        echo "$name=$(secret)"
    done
} > .env
