#!/bin/sh
# reproducible.sh [OUT]: builds the release twice, each time from a clean folder of its own, and compares the bytes.
# Where this user is root, the builds run as nobody, without the network. OUT, a new folder, gets the root of the image.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d "${TMPDIR:-/tmp}/claimsmith-release.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
chmod 0755 "$work"

CARGO_HOME=$work/cargo cargo fetch --locked --quiet
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
mkdir "$work/home" "$work/rust"
for folder in first elsewhere; do
    mkdir -p "$work/$folder/claimsmith"
    git archive HEAD | tar -x -C "$work/$folder/claimsmith"
done

build() {
    # The environment is empty but for this, as in a new machine.
    set -- env -i HOME="$work/home" CARGO_HOME="$work/cargo" CARGO_NET_OFFLINE=true CARGO_TARGET_DIR="$work/target" \
        CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-$(nproc)}" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
        PATH="$work/rust/bin:/usr/bin:/bin" sh "$work/$1/claimsmith/deploy/docker/build.sh" "$work/$1/out"
    sysroot=$(rustc --print sysroot)
    if [ "$(id -u)" = 0 ]; then
        chown -R nobody: "$work"
        # shellcheck disable=SC2016
        unshare --mount --net sh -euc 'mount --bind "$1" "$2"; shift 2
            exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs "$@"' sh "$sysroot" "$work/rust" "$@"
    else
        rm -rf "$work/rust"
        ln -s "$sysroot" "$work/rust"
        "$@"
    fi
}

for folder in first elsewhere; do
    began=$(date +%s)
    build "$folder"
    echo "$folder: built in $(($(date +%s) - began))s"
    # OpenSSL remembers the path that it was built at, so the second build gets the same one, empty.
    rm -rf "$work/target"
done

(cd "$work/first/out" && find . -type f -exec sha256sum {} + | sort -k 2) > "$work/first.sums"
(cd "$work/elsewhere/out" && find . -type f -exec sha256sum {} + | sort -k 2) > "$work/elsewhere.sums"
cat "$work/first.sums"
ldd "$work/first/out/usr/local/bin/claimsmith"
ls -l "$work/first/out/usr/local/bin/claimsmith"
cmp "$work/first.sums" "$work/elsewhere.sums"
if strings "$work/first/out/usr/local/bin/claimsmith" | grep -F "$work/first"; then
    echo "expected no path of the sources in the binary" >&2
    exit 1
fi
if [ -n "${1:-}" ]; then cp -a "$work/first/out" "$1"; fi
echo "both builds are the same, byte for byte"
