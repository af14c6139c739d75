#!/usr/bin/env bash
# Runs the C tests under AddressSanitizer, ThreadSanitizer and valgrind; then prints a table of the tests that ran, and
# of those left out and why.
#
#   ci/sanitize.sh [address|thread|valgrind]... [-- TEST...]
#
# AddressSanitizer: the release library, or GMX_LIB, which announces stacks and switches (src/fiber/sanitize.rs). For
# ThreadSanitizer a nightly toolchain builds and instruments the library and std (-Zbuild-std), so that ThreadSanitizer
# sees the order that locks and atomics of std make, and no report need be suppressed. Every report is an error.
# ThreadSanitizer does not know fences and membarrier. No plain access of the library is ordered by those alone (each
# paper names a Release and an Acquire), so this causes no false positives. It checks no fence either: the models do.
#
# Leak detection is off: memory that only the stack of a parked G refers to would count as a leak.
#
# valgrind's "unhandled" remarks about system calls newer than itself are no errors.
set -uo pipefail
cd "$(dirname "$0")/.."

# not WHY KIND... -- TEST...
declare -A why
not() {
  local reason=$1 kinds=()
  shift
  while [[ $1 != -- ]]; do kinds+=("$1"); shift; done
  shift
  for kind in "${kinds[@]}"; do for test; do why[$kind $test]=$reason; done; done
}
not "holds computing threads by signals, which ThreadSanitizer delivers at calls only" thread -- stop_anywhere
not "reads other Gs' stacks word by word, as a collector does" address -- stop_anywhere
not "reads other Gs' stacks word by word, while they run" thread -- dump
not "reads other Gs' stacks word by word, as a collector does, while one in a syscall writes to its own" address thread -- world
not "fails malloc or other calls itself, the sanitizer's too" address thread valgrind -- chan_memory faults hog_faults net_faults
not "is about the memory that the library has when there is no checker" address thread valgrind -- heap
not "has a malloc of its own" address thread valgrind -- hostile no_malloc stuck_host
not "has a malloc of its own, which ThreadSanitizer calls before it is there itself" thread -- hog_malloc
not "measures memory, which a sanitizer has much of" address thread valgrind -- memory ratchets
not "has little address space" address thread valgrind -- limits timers_memory
not "takes address space away, of which valgrind needs some itself" valgrind -- lack
not "overflows stacks, and counts on the library's own handler of the fault" address thread valgrind -- overflow
not "writes where it must not: valgrind tells each time, and continues with registers that are not those of the fault" valgrind -- signals
not "looks on which stack a handler runs: ThreadSanitizer stands between the kernel and the library's own" thread -- signals
not "forbids calls of the system that AddressSanitizer makes" address -- sandbox
not "has a sigaltstack of its own, which ThreadSanitizer calls before it is there itself" thread -- sandbox
not "installs a filter, which valgrind does not know" valgrind -- sandbox
not "lowers the limit of descriptors, which valgrind keeps to itself: a message brings them, a refused connection is gone" \
  valgrind -- fd_crowds fd_messages fd_net
not "a million Gs: more memory than there is, with a shadow" address thread valgrind -- million
not "has a thread of its own, which might call in: so no deadlock is seen" thread -- deadlock stderr_taken
not "measures CPU time" address thread valgrind -- idle
not "measures how long locks are held" valgrind -- lock_holds
not "loads the library late: the sanitizer must come first" address thread -- dlopen
not "wants a process without __cxa_throw until a plugin comes, and AddressSanitizer brings one" address -- cxx_late
not "forks among threads, for which the sanitizer is not made: in the child its lock is held forever, or it takes a thread for another" \
  address thread -- fork
not "forks a thousand times, and each time all that valgrind has is copied" valgrind -- fork
not "is about what happens at once: valgrind runs one thread at a time" valgrind -- barrier chan_cancel fuzz procs random \
  safepoint sched_order steal stop_barrier_syscall timers_ps world_lock
not "waits for threads beside one that computes: valgrind runs one at a time, and each turn takes minutes" \
  valgrind -- deaf hog_eintr hog_kinds hog_locks hog_malloc hog_many hog_reports hog_state hog_throws
not "takes turns by the million: minutes with an instrumented library, and what it asks has nothing to do with memory" thread -- sched_order
not "has more Gs at a time than ThreadSanitizer has threads (8128)" thread -- guards guards_required steal
not "reads what is left on a stack below its own frame" address thread valgrind -- wipe
not "paints the stack below its own frame" valgrind -- stack_use
not "Python is not instrumented" address thread valgrind -- py_smoke

kinds=() only=()
while (($#)); do
  [[ $1 == -- ]] && { shift; only=("$@"); break; }
  kinds+=("$1")
  shift
done
((${#kinds[@]})) || kinds=(address thread valgrind)
all=()
for file in ctests/*.c ctests/*.cpp; do
  name=$(basename "$file")
  all+=("${name%.*}")
done
cargo=${CARGO:-cargo} target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
machine=$(rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
table=() bad=0 given=${GMX_LIB:-}

# compilers KIND [FILE]: GMX_CC and GMX_CXX take no flags
compilers() {
  for cc in cc:${CC:-cc} cxx:${CXX:-c++}; do
    printf '#!/bin/sh\nexec %s -fsanitize=%s -fno-omit-frame-pointer -Wno-tsan "$@" %s\n' "${cc#*:}" "$1" "${2:+-x none $2}" >"$work/${cc%%:*}"
    chmod +x "$work/${cc%%:*}"
  done
  export GMX_CC=$work/cc GMX_CXX=$work/cxx
}

# build KIND: builds the library, and sets the compilers and the runner of the tests. Says why if it cannot.
build() {
  local make=("$cargo" build --quiet --lib --target "$machine") flags=
  built=$CARGO_TARGET_DIR/$machine/debug/libgomax.so
  case $1 in
    address)
      compilers address
      built=${given:-$target/release/libgomax.so}
      make=("$cargo" build --quiet --lib --release --target-dir "$target")
      [[ ! $given ]] || make=(true)
      ;;
    thread)
      cargo +nightly --version >/dev/null 2>&1 || { echo "there is no nightly toolchain"; return 1; }
      [[ -d $(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library ]] ||
        { echo "std is not there to be instrumented: rustup component add rust-src --toolchain nightly"; return 1; }
      built=$CARGO_TARGET_DIR/$machine/release/libgomax.so
      make=(cargo +nightly build --quiet -Zbuild-std=std,panic_abort --lib --target "$machine" --release
        --config 'profile.release.lto=false' --config 'profile.release.codegen-units=16')
      flags="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
      # functions that rustc calls and gcc's runtime lacks
      printf '%s\n' '#include <string.h>' \
        'void *__tsan_memcpy(void *to, const void *from, size_t n) { return memcpy(to, from, n); }' \
        'void *__tsan_memmove(void *to, const void *from, size_t n) { return memmove(to, from, n); }' \
        'void *__tsan_memset(void *to, int c, size_t n) { return memset(to, c, n); }' >"$work/names.c"
      "${CC:-cc}" -fsanitize=thread -fno-builtin -O1 -c -o "$work/names.o" "$work/names.c" || { echo "no ThreadSanitizer in ${CC:-cc}"; return 1; }
      compilers thread "$work/names.o"
      ;;
    valgrind)
      command -v valgrind >/dev/null || { echo "there is no valgrind"; return 1; }
      export GMX_RUNNER="valgrind -q --error-exitcode=9 --fair-sched=yes --suppressions=$PWD/ci/valgrind.supp"
      ;;
    *) echo "no such kind"; return 1 ;;
  esac
  RUSTFLAGS=$flags "${make[@]}" >&2 || { echo "the library does not build"; bad=1; return 1; }
}

for kind in "${kinds[@]}"; do
  unset GMX_CC GMX_CXX GMX_RUNNER
  export CARGO_TARGET_DIR=$target/sanitize-$kind GMX_TIMEOUT_SCALE=6
  export ASAN_OPTIONS="detect_leaks=0 allocator_may_return_null=1"
  export TSAN_OPTIONS="exitcode=66 report_signal_unsafe=0 allocator_may_return_null=1 die_after_fork=0"
  begin=$SECONDS
  if ! build "$kind" >"$work/why"; then
    table+=("$(printf '%-10s skipped: %s' "$kind" "$(cat "$work/why")")")
    continue
  fi
  tests=() left=()
  for test in "${all[@]}"; do
    if ((${#only[@]})) && [[ " ${only[*]} " != *" $test "* ]]; then continue; fi
    if [[ -n ${why[$kind $test]:-} ]]; then left+=("$test: ${why[$kind $test]}"); else tests+=("$test"); fi
  done
  GMX_LIB=$built CARGO_TARGET_DIR=$target "$cargo" test --quiet --test ctests -- --exact "${tests[@]}" 2>&1 | tee "$work/log"
  [[ ${PIPESTATUS[0]} == 0 ]] || bad=1
  table+=("$(printf '%-10s %s; %d s with the build' "$kind" "$(grep -E '^[0-9]+ passed' "$work/log" || echo 'FAILED: the tests did not run')" $((SECONDS - begin)))")
  while read -r line; do table+=("$line"); done < <(sed -nE 's/^(FAILED|skipped) +[0-9.]+ s  (.*)/  \1 \2/p' "$work/log")
  for line in "${left[@]}"; do table+=("  left out $line"); done
done
printf '\n'
printf '%s\n' "${table[@]}"
exit $bad
