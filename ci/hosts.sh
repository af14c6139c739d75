#!/usr/bin/env bash
# Runs the C tests in hostile hosts, and prints a table of the tests left out and why. The kinds of hosts:
# ctests/hosts/host.c.
#
#   ci/hosts.sh [KIND|all]... [-- TEST...]
#
# Without a kind it runs the part that `make test` has time for: each quick test in a constructor, and a few tests in
# the other hosts. GMX_LIB: another libgomax.so than the release build's.
set -uo pipefail
cd "$(dirname "$0")/.."

declare -A why
not() {
  local reason=$1 kinds=()
  shift
  while [[ $1 != -- ]]; do kinds+=("$1"); shift; done
  shift
  for kind in "${kinds[@]}"; do for test; do why[$kind $test]=$reason; done; done
}
every=(constructor loader malloc forks thread)
not "has a malloc of its own, which must be the program's" "${every[@]}" -- chan_memory faults heap hog_faults hog_malloc hostile net_faults no_malloc stuck_host
not "has a resolver of its own, which must be the program's" "${every[@]}" -- net_dial net_names
not "has a clock of its own, which must be the program's" "${every[@]}" -- clock_jumps
not "has a posix_spawn of its own, which must be the program's" "${every[@]}" -- process_faults
not "runs its own program anew" "${every[@]}" -- attributes cxx_late environment
not "its thread leaves by pthread_exit, which loads libgcc" constructor loader -- cxx_throws
not "loads and unloads the library itself, which stays linked here" "${every[@]}" -- dlopen
not "takes the process's memory or threads away, the host's too" malloc forks loader thread -- limits timers_memory
not "asks for a deadlock, and the host's thread might call in" malloc forks loader thread -- deadlock
not "asks the loader" loader -- cxx_without stack_use
not "counts the threads of its process" malloc forks loader thread -- leaving
not "measures what an idle process costs" malloc forks loader thread -- idle
not "loads a library on a goroutine, while the host has the lock of the loader" constructor loader -- hog_kinds
not "counts on the signals that its thread has open" thread -- signals
not "its threads compute beside one another, and have one real-time CPU for all" thread -- hog_kinds signals_chan
not "blocks a signal in its own threads, and the host has others" loader malloc forks thread -- fd_wait
not "each child of a fork keeps its listeners open" forks -- fd_net net_listen
not "each child of a fork keeps the other ends of its pipes and sockets open" forks -- fd_streams fd_messages
not "counts how often threads of the process wait" malloc forks loader thread -- fd_sched
not "waits for any child, and the host has others" forks -- process
not "a million Gs: every fork copies their page tables" forks -- million
slow=(barrier cancel faults fuzz idle limits memory million random safepoint)
few=(foreign fork procs syscalls timers)

kinds=() only=()
while (($#)); do
  [[ $1 == -- ]] && { shift; only=("$@"); break; }
  if [[ $1 == all ]]; then kinds+=("${every[@]}"); else kinds+=("$1"); fi
  shift
done
all=()
for file in ctests/*.c ctests/*.cpp; do
  name=$(basename "$file")
  all+=("${name%.*}")
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export GMX_LIB=$(realpath -m "${GMX_LIB:-${CARGO_TARGET_DIR:-target}/release/libgomax.so}")
passed=0 failed=0 skipped=0 left=()

# host KIND TEST...
host() {
  local kind=$1 test tests=() p f s
  shift
  for test; do
    if [[ -n ${why[$kind $test]:-} ]]; then left+=("$kind $test: ${why[$kind $test]}"); else tests+=("$test"); fi
  done
  echo "-- $kind"
  # with two tests at a time, two real-time threads could share a CPU: one test would wait for the whole other test
  [[ $kind == thread ]] && local -x GMX_JOBS=1
  GMX_HOST=$kind "${CARGO:-cargo}" test --quiet --test ctests -- --exact "${tests[@]}" 2>&1 | tee "$log"
  read -r p f s < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log")
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-1})) skipped=$((skipped + ${s:-0}))
}

if ((${#kinds[@]})); then
  for kind in "${kinds[@]}"; do
    if ((${#only[@]})); then host "$kind" "${only[@]}"; else host "$kind" "${all[@]}"; fi
  done
else
  quick=()
  for test in "${all[@]}"; do
    [[ " ${slow[*]} " == *" $test "* ]] || quick+=("$test")
  done
  host constructor "${quick[@]}"
  for kind in loader malloc forks thread; do host "$kind" "${few[@]}"; done
fi

((${#left[@]} == 0)) || printf 'left out: %s\n' "${left[@]}"
echo "$passed passed, $failed failed, $skipped skipped" | sed 's/, 0 skipped//'
((failed == 0))
