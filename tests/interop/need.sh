#!/bin/sh
# need.sh COMMAND PACKAGE...: installs the Debian packages if COMMAND is missing and the user is root.
# need.sh --install PACKAGE...: installs the Debian packages.
set -eu
install() {
    # The package lists can be current although the index cannot be fetched, so only a failed installation counts.
    apt-get update -qq || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

command=$1
shift
case $command in
    --install)
        install "$@"
        exit
        ;;
    # Debian packages `venv` apart from Python.
    python3) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 && exit 0 ;;
    *) command -v "$command" >/dev/null 2>&1 && exit 0 ;;
esac
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    install "$@"
    exit 0
fi
echo "need.sh: $command is missing; install it, on Debian with: apt-get install $*" >&2
exit 1
