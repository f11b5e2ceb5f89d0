#!/bin/sh
# Writes .env with secrets of your own, once; compose reads it.
set -eu
cd "$(dirname "$0")"
test ! -e .env || { echo ".env is there already; it stays as it is" >&2; exit 0; }
umask 077
secret() { head -c 64 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 32; }
for name in HYDRATOR_PASSWORD KRATOS_COOKIE_SECRET KRATOS_CIPHER_SECRET UI_COOKIE_SECRET UI_CSRF_SECRET; do
    echo "$name=$(secret)"
done > .env
