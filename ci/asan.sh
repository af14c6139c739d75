#!/usr/bin/env bash
# The library that is shipped in hosts under AddressSanitizer: what it reports about the stack of a goroutine is
# complete, and some of the C tests pass in such a host (ci/sanitize.sh runs all of them). A host under
# ThreadSanitizer runs. Ends with `N passed, N failed`. Environment: GMX_LIB another libgomax.so than
# target/release's, CC, CLANG.
source "$(dirname "$0")/lib.sh"
use_library
export GMX_LIB=$lib

host() { # COMPILER SANITIZER
  "$1" -std=c11 -D_GNU_SOURCE -O1 -g "-fsanitize=$2" -fno-omit-frame-pointer -Iinclude -pthread -o "$work/host" ctests/hosts/overflow.c \
    -L"$work/lib" -lgomax
}
reports() { # COMPILER: the variable, the function that wrote, and the one whose goroutine it was
  host "$1" address && "$work/host" right || return 1
  "$work/host" >"$work/report" 2>&1
  (($? == 1)) || { echo "ended otherwise than by a report"; cat "$work/report"; return 1; }
  local words
  for words in 'stack-buffer-overflow' '#0 .* in put ' '#1 .* in fill ' 'located in stack of thread' "'victim' .*overflows this variable"; do
    grep -qE "$words" "$work/report" || { echo "the report lacks: $words"; cat "$work/report"; return 1; }
  done
  ! grep -q 'wild pointer' "$work/report"
}
runs() { # COMPILER: its reports need marks that are not there (docs/traps.md)
  host "$1" thread && TSAN_OPTIONS=report_bugs=0 "$work/host" right
}
tests() { ci/sanitize.sh address -- "$@" && printf '%s passed, 0 failed\n' $#; }

for cc in "${CC:-cc}" "${CLANG:-clang}"; do
  check "$cc: a write behind an array of a goroutine" reports "$cc"
  check "$cc: under ThreadSanitizer" runs "$cc"
done
counted "C tests" tests smoke child_first coro cxx_throws fork select stack_bounds
summary
