#!/bin/sh
# build.sh OUT: builds the release and lays out in OUT, a new folder, what the image adds to its base.
# BINARY names one that is built already. CARGO_TARGET_DIR says where to build, and what is up to date there stays.
set -eu
out=${1:?usage: build.sh OUT}
test ! -e "$out" || { echo "build.sh: expected $out to be a new folder, found one that exists" >&2; exit 1; }
case $out in /*) ;; *) out=$PWD/$out ;; esac
case ${BINARY:-/} in /*) ;; *) BINARY=$PWD/$BINARY ;; esac
cd "$(dirname "$0")/../.."

if [ -z "${BINARY:-}" ]; then
    # The same sources in another folder give the same bytes: no path of theirs stands in the binary. OpenSSL alone
    # remembers where it was built, so the target folder has to have the same path (in the image: /src/target).
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    export RUSTFLAGS="--remap-path-prefix=$PWD=/claimsmith --remap-path-prefix=$cargo_home=/cargo"
    export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"
    # The base of the image has no OpenSSL.
    unset OPENSSL_NO_VENDOR
    cargo build --locked --release --bin claimsmith
    BINARY=${CARGO_TARGET_DIR:-target}/release/claimsmith
fi

install -D -m 0755 "$BINARY" "$out/usr/local/bin/claimsmith"
install -D -m 0644 LICENSE "$out/usr/share/doc/claimsmith/LICENSE"
install -d -m 0755 "$out/etc/claimsmith" "$out/usr/share/claimsmith"
cp -R templates "$out/usr/share/claimsmith/templates"
chmod -R u=rwX,go=rX "$out/usr/share/claimsmith"
# For keys that the service changes itself. A volume that is new takes over the owner from here.
install -d -m 0700 "$out/var/lib/claimsmith"
