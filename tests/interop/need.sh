#!/bin/sh
# need.sh COMMAND PACKAGE...: makes sure that COMMAND works, installing Debian packages where this user may.
set -eu
command=$1
shift
if [ "$command" = python3 ]; then
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 && exit 0
else
    command -v "$command" >/dev/null 2>&1 && exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    exit 0
fi
echo "The tests need $command. Install it first, on Debian with: apt-get install $*" >&2
exit 1
