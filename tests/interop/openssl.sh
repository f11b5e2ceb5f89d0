#!/bin/sh
# openssl.sh: prints OPENSSL_NO_VENDOR=1 if the build can use the OpenSSL of the system, otherwise nothing.
#
# Use it as `env $(sh tests/interop/openssl.sh) cargo build`. Without the setting, cargo compiles OpenSSL from source, which
# takes minutes. As root on Debian, the script installs OpenSSL's headers if they are missing. A setting in the environment
# has precedence.
set -u
if [ -n "${OPENSSL_NO_VENDOR:-}" ]; then exit 0; fi

# Versions before 3.0 get no more security fixes.
has_openssl() { pkg-config --atleast-version=3.0.0 openssl 2>/dev/null; }

if ! has_openssl && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo 'openssl.sh: installing libssl-dev and pkg-config' >&2
    sh "$(dirname "$0")/need.sh" --install libssl-dev pkg-config >&2
fi
if has_openssl; then
    echo OPENSSL_NO_VENDOR=1
else
    echo "openssl.sh: no headers of OpenSSL 3 found, building OpenSSL from source (on Debian, install libssl-dev pkg-config)" >&2
fi
