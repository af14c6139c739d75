#!/usr/bin/env bash
# The collector of examples/marksweep with 1 to 8 Ps; and that its test finds what is taken out of it. Ends with
# `N passed, N failed`. Environment: GMX_LIB another libgomax.so than target/release's, CC.
set -uo pipefail
cd "$(dirname "$0")/.."
lib=$(realpath -m "${GMX_LIB:-${CARGO_TARGET_DIR:-target}/release/libgomax.so}")
[[ -e $lib ]] || { echo "there is no $lib: make build" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$lib" "$work/libgomax.so"
ln -s "$lib" "$work/libgomax.so.0"
export LD_LIBRARY_PATH=$work
flags=(-std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude -Iexamples/marksweep -pthread)
passed=0 failed=0
ulimit -c 0 # what is taken out makes it abort

result() { # NAME STATUS
  if (($2 == 0)); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $1"
    sed 's/^/    | /' "$work/said"
  fi
}

"${CC:-cc}" "${flags[@]}" -Werror -o "$work/marksweep" examples/marksweep/*.c -L"$work" -lgomax >"$work/said" 2>&1
result "builds without a warning" $?
for ps in 1 2 4 8; do
  timeout 120 "$work/marksweep" 2000 $ps >"$work/said" 2>&1
  result "2000 Gs on $ps Ps" $?
  cat "$work/said"
done

without() { # WHAT SED-EXPRESSION: the test must notice
  sed "$2" examples/marksweep/gc.c >"$work/gc.c"
  if cmp -s "$work/gc.c" examples/marksweep/gc.c; then
    echo "nothing was taken out" >"$work/said"
    result "without $1" 1
    return
  fi
  "${CC:-cc}" "${flags[@]}" -w -o "$work/broken" "$work/gc.c" examples/marksweep/marksweep.c -L"$work" -lgomax || exit 1
  for _ in 1 2 3 4 5; do # each run has a good chance
    if ! timeout 120 "$work/broken" 2000 4 >"$work/said" 2>&1; then
      result "without $1" 0
      return
    fi
  done
  result "without $1 it passes" 1
}
without "the write barrier" 's/if (atomic_load_explicit(&marking, memory_order_relaxed)) {/if (0) {/'
without "the stacks" 's/^  for (uintptr_t at = ((uintptr_t)g->sp/  if (0) &/'

echo "$passed passed, $failed failed"
((failed == 0))
