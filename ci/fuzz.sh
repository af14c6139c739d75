#!/usr/bin/env bash
# Runs ctests/fuzz/bytes.c, whose inputs are programs of calls, for MINUTES: with libFuzzer and AddressSanitizer if
# clang has them; otherwise with random inputs from GMX_SEED, and with the AddressSanitizer of cc if it has one. The
# library is the debug build, with assertions. An input that fails is kept in target/fuzz, and the script prints how to
# run it again.
#
#   ci/fuzz.sh [MINUTES]
#   ci/fuzz.sh --replay FILE
set -uo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}") seed=${GMX_SEED:-$(date +%s%N)}
dir=$target/fuzz
mkdir -p "$dir/corpus"
CARGO_TARGET_DIR=$target ${CARGO:-cargo} build --quiet --lib || exit 1
built=$target/debug
ln -sf libgomax.so "$built/libgomax.so.0"

flags=(-std=c11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -Iinclude)
link=(-pthread "-L$built" -lgomax "-Wl,-rpath,$built")
build() { "$@" "${flags[@]}" -o "$dir/bytes" ctests/fuzz/bytes.c "${link[@]}"; }
kind=libfuzzer
if ! { command -v "${CLANG:-clang}" && build "${CLANG:-clang}" -fsanitize=fuzzer,address -DFUZZER; } >/dev/null 2>&1; then
  kind=random
  build "${CC:-cc}" -fsanitize=address 2>/dev/null || build "${CC:-cc}" || exit 1
fi
# the sanitizer would poison a larger stack byte by byte
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=64:abort_on_error=1 GMX_SEED=$seed

if [[ ${1:-} == --replay ]]; then
  if [[ $kind == libfuzzer ]]; then exec "$dir/bytes" -runs=100 "$2"; else exec "$dir/bytes" "$2"; fi
fi
seconds=$(awk -v m="${1:-10}" 'BEGIN { print int(m * 60) }')
echo "$kind, seed $seed, $seconds s"
if [[ $kind == libfuzzer ]]; then
  "$dir/bytes" -max_total_time="$seconds" -seed=$((seed % 2147483647)) -max_len=2048 -timeout=60 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="$dir/" "$dir/corpus" >"$dir/log" 2>&1
  status=$?
  failing=$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$dir/log" | tail -n 1)
else
  # the random driver ends by itself; timeout ends a driver that hangs
  timeout -k 10 $((seconds + 200)) "$dir/bytes" "$dir/current" "$seconds" >"$dir/log" 2>&1
  status=$?
  failing=$dir/crash-$seed
  ((status == 0)) || mv "$dir/current" "$failing"
fi
if ((status != 0)); then
  tail -n 60 "$dir/log"
  echo "FAILED with status $status: ci/fuzz.sh --replay $failing"
  exit 1
fi
grep -E 'stat::number_of_executed_units|inputs' "$dir/log"
