#!/usr/bin/env bash
# Runs the collector of examples/marksweep with 1 to 8 Ps. Then leaves out one part of it at a time (the write barrier,
# the stacks), and its test must fail. Ends with `N passed, N failed`.
# Environment: GMX_LIB another libgomax.so than target/release's, CC.
source "$(dirname "$0")/lib.sh"
use_library
ulimit -c 0 # a program with a part left out may abort

build() { # PROGRAM SOURCE...
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -Iexamples/marksweep -pthread -o "$@" -L"$work/lib" -lgomax
}
check "builds without a warning" build "$work/marksweep" -Werror examples/marksweep/*.c
for ps in 1 2 4 8; do
  check "2000 Gs on $ps Ps" timeout 120 "$work/marksweep" 2000 $ps
  cat "$work/said"
done

without() { # SED-EXPRESSION: the test must notice
  sed "$1" examples/marksweep/gc.c >"$work/gc.c"
  ! cmp -s "$work/gc.c" examples/marksweep/gc.c || { echo "nothing was taken out"; return 1; }
  build "$work/broken" -w "$work/gc.c" examples/marksweep/marksweep.c || return 1
  for _ in 1 2 3 4 5; do # each run has a good chance
    timeout 120 "$work/broken" 2000 4 || return 0
  done
  echo "it passes"
  return 1
}
check "without the write barrier" without 's/if (atomic_load_explicit(&marking, memory_order_relaxed)) {/if (0) {/'
check "without the stacks" without 's/^  for (uintptr_t at = ((uintptr_t)g->sp/  if (0) &/'

summary
