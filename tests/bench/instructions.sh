#!/bin/sh
# instructions.sh [--record]: counts the instructions of the hottest paths and fails where one has grown by more than 5 %.
#
# Instructions, unlike time, are the same on a busy machine. Each case runs with two counts of repetitions, and the
# difference is what one repetition takes, so the start of the process does not count. Signatures are left out: they take
# other instructions each time and on each CPU, and they are not ours. No symbols are needed, so the binary is built like
# the product.
#
# The figures belong to a compiler and a C library, which the record names; after a change of either, record anew.
set -eu
cd "$(dirname "$0")/../.."
record=tests/bench/instructions.json
binary=${CLAIMSMITH_BENCH:-target/release/claimsmith-bench}
few=100
many=600

sh tests/interop/need.sh valgrind valgrind

collected() { # CASE COUNT: instructions of the whole process
    if ! told=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" instructions "$1" "$2" 2>&1); then
        echo "$told" >&2
        exit 1
    fi
    echo "$told" | awk '/Collected :/ { print $NF }'
}

each() { # CASE: instructions of one repetition, the least of some runs: where memory comes to lie makes some of 7 %
    least=
    for _ in 1 2 3 4 5 6 7; do
        first=$(collected "$1" "$few")
        second=$(collected "$1" "$many")
        now=$(((second - first) / (many - few)))
        if [ -z "$least" ] || [ "$now" -lt "$least" ]; then least=$now; fi
    done
    echo "$least"
}

recorded() { # NAME: the figure or text under this name in the record
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$record" 2>/dev/null || true
}

rust=$(rustc --version | cut -d ' ' -f 2)
libc=$(getconf GNU_LIBC_VERSION)
arch=$(uname -m)
hit=$(each hit)
miss=$(each miss)

if [ "${1:-}" = --record ]; then
    cat >"$record" <<JSON
{
  "arch": "$arch",
  "libc": "$libc",
  "rust": "$rust",
  "hit": $hit,
  "miss": $miss
}
JSON
    echo "recorded in $record"
fi

echo "$arch, Rust $rust, $libc; recorded on $(recorded arch), Rust $(recorded rust), $(recorded libc)"
echo
echo '| case | instructions | recorded | change |'
echo '| --- | --- | --- | --- |'
worse=
for name in hit miss; do
    now=$(eval "echo \$$name")
    was=$(recorded "$name")
    if [ -z "$was" ]; then
        echo "$record has no figure for $name: tests/bench/instructions.sh --record" >&2
        exit 1
    fi
    change=$(awk -v now="$now" -v was="$was" 'BEGIN { printf "%+.2f %%", (now / was - 1) * 100 }')
    echo "| $name | $now | $was | $change |"
    if [ $((now * 100)) -gt $((was * 105)) ]; then worse="$worse $name"; fi
done
if [ -n "$worse" ]; then
    echo >&2
    echo "more than 5 % above the record:$worse; mend it, or record anew and say why" >&2
    exit 1
fi
