#!/bin/sh
# rules.sh: holds the Prometheus alerts to their tests, with promtool. Where that is not installed, it is taken out of
# Debian's package into .tools, so that no Prometheus is started.
set -eu
cd "$(dirname "$0")/../.."
tools=$PWD/.tools
PATH=$tools/bin:$PATH
if ! command -v promtool >/dev/null 2>&1; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "The tests of the alerts need promtool, which comes with Prometheus. Install it first." >&2
        exit 1
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    [ "$(id -u)" != 0 ] || apt-get update -qq
    (cd "$folder" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" prometheus && dpkg-deb -x prometheus_*.deb .)
    mkdir -p "$tools/bin"
    cp "$folder/usr/bin/promtool" "$tools/bin/promtool"
fi
cd deploy/prometheus
promtool check rules claimsmith.rules.yml
promtool test rules claimsmith.rules.test.yml
