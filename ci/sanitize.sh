#!/usr/bin/env bash
# The C tests under AddressSanitizer, ThreadSanitizer (library and tests) and valgrind.
#
#   ci/sanitize.sh [address|thread|valgrind]... [-- TEST...]
#
# The library is built with `--cfg gmx_sanitize`, which announces stacks and switches (src/fiber/sanitize.rs); for
# ThreadSanitizer by a nightly toolchain, instrumented, so that its atomics are seen. What is no error:
#   - AddressSanitizer on a test that reads other Gs' stacks word by word, as a collector does (world), that fails malloc
#     itself (faults), or that has little address space (limits): they are left out;
#   - ThreadSanitizer with a frame of std that holds the other side: std is not instrumented. What the library itself takes
#     part in uses none of it;
#   - valgrind's "unhandled" remarks about system calls that are newer than itself.
# All else is one.
set -uo pipefail
cd "$(dirname "$0")/.."

kinds=() tests=()
while (($#)); do
  [[ $1 == -- ]] && { shift; tests=("$@"); break; }
  kinds+=("$1")
  shift
done
((${#kinds[@]})) || kinds=(address thread valgrind)
((${#tests[@]})) || tests=(00_smoke sema mutex waitgroup sleep keys syscalls handles steal foreign lock_thread barrier s3 s5
  random fuzz fuzz_finds chan select timers cancel cond rwmutex once scope pin)
cargo=${CARGO:-cargo} target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
machine=$(rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=()

# compilers KIND [FILE]: GMX_CC and GMX_CXX take no flags
compilers() {
  for cc in cc:${CC:-cc} cxx:${CXX:-c++}; do
    printf '#!/bin/sh\nexec %s -fsanitize=%s -fno-omit-frame-pointer -Wno-tsan "$@" %s\n' "${cc#*:}" "$1" "${2:-}" >"$work/${cc%%:*}"
    chmod +x "$work/${cc%%:*}"
  done
  export GMX_CC=$work/cc GMX_CXX=$work/cxx
}

for kind in "${kinds[@]}"; do
  unset GMX_CC GMX_CXX GMX_RUNNER
  export CARGO_TARGET_DIR=$target/sanitize-$kind GMX_TIMEOUT_SCALE=6
  export ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS="exitcode=66 report_signal_unsafe=0"
  built=$CARGO_TARGET_DIR/$machine/debug
  build=("$cargo" build --lib --target "$machine")
  case $kind in
    address)
      RUSTFLAGS="--cfg gmx_sanitize" "${build[@]}" --quiet || exit 1
      compilers address
      ;;
    thread)
      if ! cargo +nightly --version >/dev/null 2>&1; then
        rows+=("thread: skipped, there is no nightly toolchain")
        continue
      fi
      built=$CARGO_TARGET_DIR/$machine/release
      RUSTFLAGS="--cfg gmx_sanitize -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" cargo +nightly build --quiet \
        --lib --target "$machine" --release --config 'profile.release.lto=false' --config 'profile.release.codegen-units=16' || exit 1
      # names that rustc uses and gcc's runtime does not have
      printf '%s\n' '#include <string.h>' \
        'void *__tsan_memcpy(void *to, const void *from, size_t n) { return memcpy(to, from, n); }' \
        'void *__tsan_memmove(void *to, const void *from, size_t n) { return memmove(to, from, n); }' \
        'void *__tsan_memset(void *to, int c, size_t n) { return memset(to, c, n); }' >"$work/names.c"
      "${CC:-cc}" -fsanitize=thread -fno-builtin -O1 -c -o "$work/names.o" "$work/names.c" || exit 1
      compilers thread "$work/names.o"
      ;;
    valgrind)
      if ! command -v valgrind >/dev/null; then
        rows+=("valgrind: skipped, there is none")
        continue
      fi
      "${build[@]}" --quiet || exit 1
      export GMX_RUNNER="valgrind -q --error-exitcode=9 --fair-sched=yes"
      ;;
    *) echo "no such kind: $kind"; exit 1 ;;
  esac
  GMX_LIB=$built/libgomax.so CARGO_TARGET_DIR=$target "$cargo" test --quiet --test ctests -- --exact "${tests[@]}" 2>&1 | tee "$work/log"
  rows+=("$kind: $(grep -E '^[0-9]+ passed' "$work/log")")
done
printf '%s\n' "${rows[@]}"
! printf '%s\n' "${rows[@]}" | grep -qvE ' 0 failed|skipped'
