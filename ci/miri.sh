#!/usr/bin/env bash
# Runs under Miri the unit tests of what is Rust alone: data structures, queues, the wait table, timers. Miri interprets
# them, and reports what Rust does not define: a pointer that is used after its memory, or beside another reference, a
# data race, a value that its type does not have.
#
#   ci/miri.sh [WORD...]    without words all groups below, otherwise the tests whose names contain a word
#
# Miri needs a nightly toolchain: rustup component add miri rust-src --toolchain nightly.
#
# Each group is a process, so that a report in one does not hide the others. A test repeats its random steps a hundredth
# as often (`ds::rng::rounds`). It takes the seed 1; GMX_SEED chooses another.
#
# -Zmiri-disable-isolation      tests read the clock and the environment
# -Zmiri-ignore-leaks           Gs, Ms, Ps and the places of handles are never freed
# -Zmiri-permissive-provenance  a handle or a stack pointer is a number for a while
set -uo pipefail
cd "$(dirname "$0")/.."

groups=(sys::heap sys::array ds:: gmp::keys gmp::globq gmp::p gmp::semtable gmp::timers fiber::host fiber::text block::segments rt::config)
left_out=(
  "src/sys, src/fiber, src/sync: the rest is assembly, signals, mappings and calls of the C library or children that Miri does not know"
  "src/protocol, src/sched, src/block, src/capi: their tests switch stacks. The models run the protocols, and the C tests run all of it under the sanitizers"
  "does_as_crossbeams_deque: crossbeam-epoch itself breaks a rule that Miri checks"
  "a_runtime_is_there_before_anything_needs_it: looks for the C++ runtime, and Miri has no loader"
)

cargo +nightly miri --version >/dev/null 2>&1 ||
  { echo "there is no Miri: rustup component add miri rust-src --toolchain nightly" >&2; exit 1; }
export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-permissive-provenance ${MIRIFLAGS:-}"
export GMX_SEED=${GMX_SEED:-1} CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/miri
(($#)) && groups=("$@")
table=() bad=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for group in "${groups[@]}"; do
  begin=$SECONDS
  cargo +nightly miri test --quiet --lib -- --skip does_as_crossbeams_deque --skip a_runtime_is_there "$group" 2>&1 |
    tee "$work/log"
  status=${PIPESTATUS[0]}
  passed=$(sed -nE 's/^test result: ok\. ([0-9]+) passed.*/\1/p' "$work/log")
  # a group that has lost its tests shows nothing
  if ((status == 0 && ${passed:-0} > 0)); then said="$passed passed"; else said=FAILED bad=1; fi
  table+=("$(printf '%-18s %s; %d s' "$group" "$said" $((SECONDS - begin)))")
done
printf '\n'
printf '%s\n' "${table[@]}"
printf 'left out: %s\n' "${left_out[@]}"
exit $bad
