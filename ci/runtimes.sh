#!/usr/bin/env bash
# Runs the collectors of examples/marksweep with 1 to 8 Ps. Then leaves out one part of them at a time (the write
# barrier, the stacks, the registers), and the test must fail. Ends with `N passed, N failed`.
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
# exit status 77: the system holds no thread
anywhere() { timeout 120 "$@" || (($? == 77)); }
for ps in 1 2 4; do
  check "8 Gs that call nothing on $ps Ps" anywhere "$work/marksweep" anywhere 8 $ps
  cat "$work/said"
done

without() { # FILE SED-EXPRESSION ARGUMENT...: the test must notice
  local file=$1 others=()
  sed "$2" examples/marksweep/"$file" >"$work/$file"
  ! cmp -s "$work/$file" examples/marksweep/"$file" || { echo "nothing was taken out"; return 1; }
  for other in examples/marksweep/*.c; do
    [[ $other == */$file ]] || others+=("$other")
  done
  build "$work/broken" -w "$work/$file" "${others[@]}" || return 1
  for _ in 1 2 3 4 5; do # each run has a good chance
    timeout 120 "$work/broken" "${@:3}" || return 0
  done
  echo "it passes"
  return 1
}
check "without the write barrier" without gc.c 's/if (atomic_load_explicit(&marking, memory_order_relaxed)) {/if (0) {/' 2000 4
check "without the stacks" without gc.c 's/^  for (uintptr_t at = ((uintptr_t)g->sp/  if (0) &/' 2000 4
check "without the stacks of held Gs" without anywhere.c 's/^  shade_all(g->sp, g->stack_hi);//' anywhere 8 2
check "without their registers" without anywhere.c 's/ shade_all(g->regs_lo, g->regs_hi);/ 1;/' anywhere 8 2

summary
