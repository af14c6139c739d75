#!/usr/bin/env bash
# Builds and runs the examples that use another library beside this one, on 1, 2 and 8 Ps. Without the header of a
# library its example is left out. `ci/libraries.sh cost` instead prints what they cost: docs/libraries.md.
# Ends with `N passed, N failed, N skipped`.
# Environment: GMX_LIB another libgomax.so than target/release's, CC; CFLAGS and LDFLAGS for libraries elsewhere.
source "$(dirname "$0")/lib.sh"
use_library
skipped=0
skip() { echo "left out: $1"; skipped=$((skipped + 1)); }
read -ra cflags <<<"${CFLAGS:-}"
read -ra ldflags <<<"${LDFLAGS:-}"

build() {
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Iinclude "${cflags[@]}" -pthread -o "$work/$1" "$2" \
    -L"$work/lib" -lgomax "${ldflags[@]}" "${@:3}"
}

# example NAME SOURCE HEADER PACKAGE FLAG...
example() {
  if ! echo "#include <$3>" | "${CC:-cc}" -E "${cflags[@]}" "${@:5}" - >/dev/null 2>&1; then
    skip "$1: $3 is not installed ($4)"
    return 1
  fi
  check "$1 builds without a warning" build "$1" "$2" "${@:5}"
  if [[ $cost ]]; then
    grep -q 'argv\[1\], "cost"' "$2" || return 1
    echo "== $1"
    "$work/$1" cost
    return 1
  fi
  for ps in 1 2 8; do check "$1 on $ps Ps" env GMX_MAXPROCS="$ps" timeout 60 "$work/$1"; done
}

# own NAME HEADER PACKAGE FLAG...: a program of examples/libraries
own() { example "$1" "examples/libraries/$1.c" "${@:2}"; }

# without NAME SED-EXPRESSION FLAG...: the program must notice what is taken out
without() {
  sed "$2" "examples/libraries/$1.c" >"$work/$1.c"
  ! cmp -s "$work/$1.c" "examples/libraries/$1.c" || { echo "nothing was taken out"; return 1; }
  build broken "$work/$1.c" -Iexamples/libraries -w "${@:3}" || return 1
  for ps in 1 1 2; do
    env GMX_MAXPROCS="$ps" timeout 60 "$work/broken" || return 0
  done
  echo "it passes"
  return 1
}

cost=${1:-}
ulimit -c 0 # what is broken may crash
read -ra glib <<<"$(pkg-config --cflags --libs glib-2.0 2>/dev/null)"
read -ra lua <<<"$(pkg-config --cflags --libs lua5.4 2>/dev/null)"

example libuv examples/host_loop/libuv.c uv.h libuv1-dev -luv
example tls examples/tls/tls.c openssl/ssl.h libssl-dev -lssl -lcrypto
own recursive pthread.h libc6-dev
own curl curl/curl.h libcurl4-openssl-dev -lcurl
own glib glib.h libglib2.0-dev "${glib[@]}"
if own sqlite sqlite3.h libsqlite3-dev -lsqlite3; then
  check "sqlite with the mutexes of threads" without sqlite 's/^  use_goroutines();//' -lsqlite3
fi
own lua lua.h liblua5.4-dev "${lua[@]}"
own duktape duktape.h duktape-dev -lduktape -lm
if own gc gc/gc.h libgc-dev -lgc; then
  check "gc without the stacks" without gc 's/^    GC_push_all_eager(roots.i..lo.*//' -lgc
fi
own zstd zstd.h libzstd-dev -lzstd
own blas cblas.h libopenblas-pthread-dev -lopenblas
own openmp omp.h gcc -fopenmp
settle
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
