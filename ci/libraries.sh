#!/usr/bin/env bash
# Builds and runs the examples that use another library beside this one, on 1, 2 and 8 Ps. Without the header of a
# library its example is left out. Ends with `N passed, N failed, N skipped`.
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

# example NAME SOURCE HEADER PACKAGE LIBRARY...
example() {
  if ! echo "#include <$3>" | "${CC:-cc}" -E "${cflags[@]}" - >/dev/null 2>&1; then
    skip "$1: $3 is not installed ($4)"
    return
  fi
  check "$1 builds without a warning" build "$1" "$2" "${@:5}"
  for ps in 1 2 8; do check "$1 on $ps Ps" env GMX_MAXPROCS="$ps" timeout 60 "$work/$1"; done
}

example libuv examples/host_loop/libuv.c uv.h libuv1-dev -luv
example tls examples/tls/tls.c openssl/ssl.h libssl-dev -lssl -lcrypto
settle
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
