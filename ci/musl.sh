#!/usr/bin/env bash
# The C tests with musl: `ci/musl.sh`, or a few of them with a debug build, `ci/musl.sh some`, or those whose names
# follow. A table of what was left out, and why, comes at the end.
#
# Exit: 0 passed, 1 failed, 77 a tool is missing. Needs musl-tools, the kernel's headers (linux-libc-dev) and
# `rustup target add x86_64-unknown-linux-musl`.
set -uo pipefail
cd "$(dirname "$0")/.."

machine=x86_64-unknown-linux-musl
missing() { echo "musl: skipped, there is no $1"; exit 77; }
[[ $(uname -m) == x86_64 ]] || missing "x86-64"
command -v musl-gcc >/dev/null || missing musl-gcc
std=$(rustc --print sysroot)/lib/rustlib/$machine/lib
[[ -d $std ]] || missing "Rust target $machine"

# not WHY TEST...
declare -A why
not() { for test in "${@:2}"; do why[$test]=$1; done; }
not "Debian has no C++ for musl" cxx_exceptions cxx_late cxx_throws hog_throws leaving
not "asks glibc's malloc how much is in use" chan_memory
not "Debian has no Python for musl" py_smoke

profile=release flags=(--release) tests=("$@")
if [[ $* == some ]]; then
  profile=debug flags=()
  tests=(smoke attributes blocking_calls dlopen errno fd_messages foreign net_names overflow process signals)
elif (($# == 0)); then
  for file in ctests/*.{c,cpp}; do
    test=$(basename "${file%.*}")
    [[ -n ${why[$test]:-} ]] || tests+=("$test")
  done
fi

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/musl
mkdir -p "$work/lib" "$work/include"
# Debian has no libgcc_s for musl: the unwinder that Rust brings takes its place.
echo "INPUT($std/self-contained/libunwind.a)" >"$work/lib/libgcc_s.so"
CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=musl-gcc RUSTFLAGS="-Ctarget-feature=-crt-static -Lnative=$work/lib" \
  "${CARGO:-cargo}" build --quiet --lib --locked --target $machine "${flags[@]}" || exit 1

# musl-gcc leaves out the kernel's headers. GMX_CC takes no flags.
for dir in linux asm asm-generic mtd; do
  for at in /usr/include /usr/include/x86_64-linux-gnu; do [[ ! -d $at/$dir ]] || ln -sfn "$at/$dir" "$work/include/$dir"; done
done
musl-gcc -O2 -D_GNU_SOURCE -c -o "$work/malloc.o" ctests/musl/malloc.c && ar rcs "$work/malloc.a" "$work/malloc.o" || exit 1
printf '#!/bin/sh\nexec musl-gcc -I%s -idirafter %s "$@" %s\n' "$PWD/ctests/musl" "$work/include" "$work/malloc.a" >"$work/cc"
chmod +x "$work/cc"

export GMX_LIB=$target/$machine/$profile/libgomax.so GMX_CC=$work/cc GMX_CXX=/nonexistent
status=0
"${CARGO:-cargo}" test --quiet --test ctests -- --exact "${tests[@]}" || status=1

# a static program, which many want musl for
if "$work/cc" -static -std=c11 -D_GNU_SOURCE -O2 -pthread -Iinclude -Ictests -o "$work/static" ctests/smoke.c \
  "${GMX_LIB%.so}.a" "$std/self-contained/libunwind.a" && GMX_TEST_TIMEOUT=60 timeout 60 "$work/static"; then
  echo "1 passed, 0 failed"
else
  echo "the static program fails"
  status=1
fi
if (($# == 0)); then
  for test in "${!why[@]}"; do echo "left out: $test: ${why[$test]}"; done | sort
fi
exit $status
