#!/usr/bin/env bash
# Builds and runs examples/host_loop/libuv.c, goroutines beside a loop of libuv, where the header of libuv is installed
# (libuv1-dev). (ci/python.sh runs the example for asyncio.) Ends with `N passed, N failed`.
# Environment: GMX_LIB another libgomax.so than target/release's, CC; UV_CFLAGS and UV_LIBS for a libuv elsewhere.
source "$(dirname "$0")/lib.sh"
use_library
read -ra cflags <<<"${UV_CFLAGS:-}"
read -ra libs <<<"${UV_LIBS:--luv}"

if ! echo '#include <uv.h>' | "${CC:-cc}" -E "${cflags[@]}" - >/dev/null 2>&1; then
  echo "the header of libuv is not installed (libuv1-dev)"
  exit 77
fi
build() {
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Iinclude "${cflags[@]}" -pthread -o "$work/libuv" \
    examples/host_loop/libuv.c -L"$work/lib" -lgomax "${libs[@]}"
}
check "builds without a warning" build
for ps in 1 2 8; do check "on $ps Ps" env GMX_MAXPROCS="$ps" timeout 60 "$work/libuv"; done
summary
