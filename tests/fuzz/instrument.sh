#!/bin/sh
# The RUSTC_WRAPPER of `make fuzz`: adds libFuzzer's coverage instrumentation to claimsmith and its fuzz targets.
#
# Dependencies stay uninstrumented, so that other builds can share them. The options are those of cargo-fuzz without a
# sanitizer. They need no unstable compiler option, and claimsmith itself forbids `unsafe`.
set -eu
compiler=$1
shift
case ${CARGO_PKG_NAME:-} in
claimsmith | claimsmith-fuzz)
    set -- "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$compiler" "$@"
