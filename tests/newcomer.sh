#!/bin/sh
# newcomer.sh start [DIRECTORY]: measures the time from a clone of this repository to the first verified token, with the
# first command of the README. The clone stays in DIRECTORY, which must not exist.
# newcomer.sh migrate: measures the time from an Oathkeeper configuration (tests/fixtures/oathkeeper) to the same
# claims, first with that configuration and then with the imported one. BINARY is the path of the claimsmith binary.
# Prints and counts each command that a user types.
set -eu
repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/claimsmith-newcomer.XXXXXX")
service=
leave() {
    if [ -n "$service" ]; then kill "$service" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 1' INT TERM

# Prints the elapsed time and the CPU time. Other processes on the host do not increase the CPU time.
begin() {
    times > "$work/times"
    began=$(date +%s.%N)
}
since() {
    ended=$(date +%s.%N)
    times >> "$work/times"
    awk -v clock="$(echo "$began $ended" | awk '{ print $2 - $1 }')" '
        function seconds(text,  part) { split(text, part, "[ms]"); return part[1] * 60 + part[2] }
        { worked[NR] = seconds($1) + seconds($2) }
        END { printf "%.1fs (%.1fs of CPU)", clock, worked[3] + worked[4] - worked[1] - worked[2] }' "$work/times"
}
commands=0
# Prints and runs a line of shell.
type_in() {
    commands=$((commands + 1))
    echo "\$ $1" >&2
    eval "$1"
}

start() {
    begin
    folder=${1:-$work/claimsmith}
    type_in "git clone --quiet $repository $folder"
    type_in "cd $folder"
    first=$(awk '/^```sh$/ { shown = 1; next } /^```/ && shown { exit } shown' README.md)
    type_in "$first ARGS=--once" > "$work/demo"
    grep '^== 3. Verified against' "$work/demo"
    since > "$work/whole"
    begin
    "${CARGO_TARGET_DIR:-target}/debug/claimsmith" demo --once > "$work/demo"
    grep -q '^== 3. Verified against' "$work/demo"
    since > "$work/demo"
    echo "from a clone to the first verified token: $commands commands, $(cat "$work/whole"); of that $(cat "$work/demo")" \
        "without clone and build"
}

claimsmith() {
    if [ "$1" = serve ]; then
        shift
        serve "$@"
    else
        "$BINARY" "$@"
    fi
}

# Starts the service with the given arguments and sets api to its address.
serve() {
    : > "$work/log"
    CLAIMSMITH_SERVE_API_PORT=0 CLAIMSMITH_SERVE_ADMIN_PORT=0 CLAIMSMITH_LOG_FORMAT=json \
        "$BINARY" serve "$@" 2> "$work/log" &
    service=$!
    until api=$(grep '"message":"serving"' "$work/log" | sed -n 's/.*"api":"\([^"]*\)".*/\1/p') && [ -n "$api" ]; do
        kill -0 "$service" || { cat "$work/log" >&2; exit 1; }
        sleep 0.02
    done
}

# Requests a token for each profile and compares its claims with those of Oathkeeper.
compare() {
    for profile in id_token orders; do
        type_in "curl -sf http://$api/hydrate/$profile -d @session.json > answer.json"
        jq -r '.header.Authorization[0] | ltrimstr("Bearer ")' answer.json > token
        "$BINARY" verify - --jwks "http://$api/.well-known/jwks.json" --json < token > verified.json
        jq -S '.claims | del(.exp, .iat, .jti, .nbf)' verified.json > claims.json
        jq -S . $profile.claims.json | diff - claims.json
    done
    kill "$service"
    wait "$service" || true
    service=
}

migrate() {
    BINARY=${BINARY:?migrate: BINARY must name a claimsmith}
    case $BINARY in /*) ;; *) BINARY=$PWD/$BINARY ;; esac
    mkdir "$work/oathkeeper"
    cp "$repository"/tests/fixtures/oathkeeper/* "$work/oathkeeper"
    cd "$work/oathkeeper"
    # A user of Oathkeeper already has a key.
    claimsmith keys generate --alg RS256 --out id_token.jwks.json > "$work/out"

    begin
    type_in "claimsmith check --oathkeeper oathkeeper.yml"
    type_in "claimsmith serve --oathkeeper oathkeeper.yml"
    compare
    since > "$work/whole"
    echo "from an Oathkeeper configuration, as it is, to the same claims: $commands commands, $(cat "$work/whole")"

    begin
    commands=0
    type_in "claimsmith import oathkeeper oathkeeper.yml --out claimsmith"
    type_in "claimsmith check --config claimsmith/claimsmith.yaml"
    type_in "claimsmith serve --config claimsmith/claimsmith.yaml"
    compare
    since > "$work/whole"
    echo "from an Oathkeeper configuration, imported, to the same claims: $commands commands, $(cat "$work/whole")"
}

case ${1:-} in
    start) start "${2:-}" ;;
    migrate) migrate ;;
    *) echo "usage: newcomer.sh start [DIRECTORY] | migrate" >&2; exit 2 ;;
esac
