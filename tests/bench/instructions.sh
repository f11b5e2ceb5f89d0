#!/bin/sh
# instructions.sh [--record]: counts the instructions of the hottest paths. It fails if one has grown by more than 5 % over
# the record.
#
# Instructions, unlike time, do not depend on the load of the host. Each case runs with two counts of repetitions, and the
# difference is what one repetition takes, so startup does not count. Signatures are left out, because they take different
# instructions each time and on each CPU, and other projects optimize them. Symbols are not needed, so the binary is the
# shipped one.
#
# A record holds for one architecture, compiler and C library. If any of them differs from the record, the script reports
# the counts and does not fail. After such a change, record again.
set -eu
cd "$(dirname "$0")/../.."
record=tests/bench/instructions.json
binary=${CLAIMSMITH_BENCH:-target/release/claimsmith-bench}
few=100
many=600

# glibc selects memcpy, memcmp and others by CPU features. Without AVX2, a cache hit takes 2,400 instructions more, so
# all CPUs use the functions for SSE2, which each x86-64 has. The list has the names that glibc selects by.
hwcaps=-SSSE3,-SSE4_1,-SSE4_2,-AVX,-AVX2,-BMI1,-BMI2,-LZCNT,-MOVBE,-ERMS,-FSRM,-RTM,-AVX512F,-AVX512VL,-AVX512BW
hwcaps=$hwcaps,-Fast_Copy_Backward,-Fast_Unaligned_Copy,-AVX_Fast_Unaligned_Load

sh tests/interop/need.sh valgrind valgrind

count() { # CASE REPETITIONS: instructions of the whole process
    # The environment is fixed, because its size moves the stack, and mimalloc must not return memory by the clock.
    if ! output=$(env -i PATH="$PATH" GLIBC_TUNABLES="glibc.cpu.hwcaps=$hwcaps" MIMALLOC_PURGE_DELAY=-1 \
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$binary" instructions "$1" "$2" 2>&1); then
        echo "$output" >&2
        exit 1
    fi
    echo "$output" | awk '/Collected :/ { print $NF }'
}

minimum() { # CASE: instructions of one repetition, the minimum of some runs, because addresses and hash seeds differ
    least=
    for _ in 1 2 3 4 5; do
        first=$(count "$1" "$few")
        second=$(count "$1" "$many")
        now=$(((second - first) / (many - few)))
        if [ -z "$least" ] || [ "$now" -lt "$least" ]; then least=$now; fi
    done
    echo "$least"
}

recorded() { # NAME: the member of the record
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$record" 2>/dev/null || true
}

rust=$(rustc --version | cut -d ' ' -f 2)
libc=$(getconf GNU_LIBC_VERSION)
arch=$(uname -m)
hit=$(minimum hit)
miss=$(minimum miss)

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

here="$arch, Rust $rust, $libc"
there="$(recorded arch), Rust $(recorded rust), $(recorded libc)"
echo "$here; recorded on $there"
echo
echo '| case | instructions | recorded | change |'
echo '| --- | --- | --- | --- |'
worse=
for name in hit miss; do
    now=$(eval "echo \$$name")
    was=$(recorded "$name")
    if [ -z "$was" ]; then
        echo "instructions.sh: $record has no \"$name\"; run tests/bench/instructions.sh --record" >&2
        exit 1
    fi
    change=$(awk -v now="$now" -v was="$was" 'BEGIN { printf "%+.2f %%", (now / was - 1) * 100 }')
    echo "| $name | $now | $was | $change |"
    if [ $((now * 100)) -gt $((was * 105)) ]; then worse="$worse $name"; fi
done
if [ "$here" != "$there" ]; then
    echo
    echo 'not compared: the record is for another architecture, compiler or C library'
elif [ -n "$worse" ]; then
    echo >&2
    echo "instructions.sh: more than 5 % above the record:$worse; make it faster, or record again and give the reason" >&2
    exit 1
fi
