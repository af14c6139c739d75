#!/usr/bin/env bash
# The programs of ctests/stress, each for MINUTES, and the C tests with calls of the system failed (ci/faults.sh); then a
# table. What is drawn at random is drawn from one seed: GMX_SEED=... ci/stress.sh does it again.
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
begin=$SECONDS
ci/faults.sh "$minutes" $((GMX_SEED % 32768)) 2>&1 | tee -a "$log"
faults=${PIPESTATUS[0]}

printf '\n%-16s %-8s %8s\n' program result seconds
sed -nE 's/^(ok|FAILED|skipped) +([0-9.]+) s  ([^:]*).*/\3 \1 \2/p' "$log" |
  while read -r name result seconds; do printf '%-16s %-8s %8.0f\n' "$name" "$result" "$seconds"; done
printf '%-16s %-8s %8d\n' faults.sh "$( ((faults == 0)) && echo ok || echo FAILED)" $((SECONDS - begin))
printf 'seed %s\n' "$GMX_SEED"
((failed == 0 && faults == 0))
