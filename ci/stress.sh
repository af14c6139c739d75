#!/usr/bin/env bash
# Runs the long tests, each for MINUTES, and prints a table: the programs of ctests/stress; inputs that are programs of
# calls (ci/fuzz.sh); the operations of gomax.hpp with two failures each, and its channels against a model (ci/cpp.sh);
# the C tests with failing system calls (ci/faults.sh) and in hostile hosts (ci/hosts.sh); the growth of costs, in CPU
# time (ci/growth.py); the tests of zlib, lz4 and SQLite with polls (ci/polls.sh); the Zig binding in all modes of its
# compiler (ci/zig.sh); the readers of the header (ci/parsers.sh); traces before Go's own parser, and the programs of
# ctests/stress again, whose traces must have an order (ci/inside.sh); latencies beside Go's (benches/latency.py). All
# random choices come from one seed: GMX_SEED=... ci/stress.sh repeats them.
set -uo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}
export GMX_SEED=${GMX_SEED:-$(date +%s%N)}
export GMX_LIB=$(realpath -m "${GMX_LIB:-${CARGO_TARGET_DIR:-target}/release/libgomax.so}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "seed $GMX_SEED, $minutes minutes each, $GMX_LIB"

GMX_STRESS=$minutes ${CARGO:-cargo} test --quiet --test ctests -- stress/ "${@:2}" 2>&1 | tee "$log"
failed=${PIPESTATUS[0]}

rows=()
# suite NAME COMMAND...
suite() {
  local name=$1 begin=$SECONDS result=ok
  shift
  "$@"
  case $? in 0) ;; 77) result=skipped ;; *) result=FAILED failed=1 ;; esac
  rows+=("$(printf '%-16s %-8s %8d' "$name" "$result" $((SECONDS - begin)))")
}
suite reproducible ci/reproducible.sh
suite fuzz.sh ci/fuzz.sh "$minutes"
suite cpp.sh env ALL=1 GMX_STRESS="$minutes" ci/cpp.sh failing model
suite faults.sh ci/faults.sh "$minutes" $((GMX_SEED % 32768))
suite hosts.sh ci/hosts.sh all
suite nim.sh env GMX_SECONDS=$((minutes * 15)) ci/nim.sh stress
suite growth.py ci/growth.py --time
suite polls.sh ci/polls.sh stress
suite python.sh env GMX_STRESS=1 ci/python.sh
suite zig.sh env GMX_ZIG_MODES="debug safe fast small" ci/zig.sh
suite parsers.sh ci/parsers.sh all
suite inside.sh ci/inside.sh go
suite oracle ci/inside.sh oracle "$minutes"
suite latency.py env PEERS=go benches/run.sh --latency

printf '\n%-16s %-8s %8s\n' program result seconds
sed -nE 's/^(ok|FAILED|skipped) +([0-9.]+) s  ([^:]*).*/\3 \1 \2/p' "$log" |
  while read -r name result seconds; do printf '%-16s %-8s %8.0f\n' "$name" "$result" "$seconds"; done
printf '%s\n' "${rows[@]}"
printf 'seed %s\n' "$GMX_SEED"
((failed == 0))
