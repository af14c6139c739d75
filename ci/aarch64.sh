#!/bin/sh
# Tests the lowest layers on AArch64 (switch, slot, stacks, overflow, threads) with qemu's user mode on another machine.
#
# It builds the layers up to src/fiber alone, as a crate of their own. The layers above know no instruction set, and a
# whole runtime under emulation would test qemu. Where qemu lacks a feature (guards by madvise), the pool of stacks
# falls back by itself. One C test runs with the whole library, since it depends on the frames of signals: what a thread
# keeps while it is held. (qemu passes on timers of the CPU time of one thread.)
#
# Exit: 0 passed, 1 failed, 77 a tool is missing. Needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user and
# `rustup target add aarch64-unknown-linux-gnu`.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=aarch64-unknown-linux-gnu
work=${CARGO_TARGET_DIR:-$root/target}/aarch64

native=no
[ "$(uname -m)" = aarch64 ] && native=yes
missing() { echo "aarch64: skipped, no $1"; exit 77; }
if [ $native = no ]; then
    command -v aarch64-linux-gnu-gcc >/dev/null || missing aarch64-linux-gnu-gcc
    command -v qemu-aarch64 >/dev/null || missing qemu-aarch64
fi
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || missing "Rust target $target"

mkdir -p "$work/crate/src"
cat >"$work/crate/Cargo.toml" <<TOML
[package]
name = "lowest"
edition = "2024"
[lib]
path = "src/lib.rs"
[dependencies]
libc = "0.2"
[dev-dependencies]
crossbeam-deque = "0.8"
[lints.rust]
unexpected_cfgs = "allow"
[profile.dev]
panic = "abort"
[workspace]
TOML
# Links and not paths, so that files beside these can be left out.
for d in sys sync ds fiber; do rm -rf "$work/crate/src/$d"; ln -s "$root/src/$d" "$work/crate/src/$d"; done
printf 'pub mod ds;\npub mod fiber;\npub mod sync;\npub mod sys;\n' >"$work/crate/src/lib.rs"
cp "$root/Cargo.lock" "$work/crate/Cargo.lock" 2>/dev/null || true

if [ $native = no ]; then
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
fi
cd "$work/crate"
for profile in "" --release; do
    # Left out are tests that hit qemu and not the program: limits on address space and memory, absurd mappings, tests
    # that execute themselves again.
    if ! CARGO_TARGET_DIR="$work/target" cargo test --quiet --lib --target $target $profile -- \
        --skip sys::ncpu --skip sync::rank --skip a_limit_on_address_space --skip locked_memory --skip a_hundred_thousand \
        --skip thread_that_is_too_large --skip signals_of_the_main_thread; then
        echo "aarch64: failed ${profile:-debug}"
        exit 1
    fi
done

[ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] || [ $native = yes ] || missing "libc6-dev-arm64-cross"
cd "$root"
CARGO_TARGET_DIR="$work/target" cargo build --quiet --release --lib --locked --target $target
lib=$work/target/$target/release
ln -sf libgomax.so "$lib/libgomax.so.0"
cc=aarch64-linux-gnu-gcc run="qemu-aarch64 -L /usr/aarch64-linux-gnu" threads=1 # qemu has a thread of its own
[ $native = no ] || cc=cc run='' threads=0
$cc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Iinclude -Ictests -o "$work/hog_state" ctests/hog_state.c -pthread \
    -lm -L"$lib" -lgomax -Wl,-rpath,"$lib"
# shellcheck disable=SC2086
if ! GMX_TEST_THREADS=$threads timeout 240 $run "$work/hog_state" >"$work/said" 2>&1 ||
    ! grep -q '^threads were held [1-9]' "$work/said"; then
    cat "$work/said"
    echo "aarch64: failed, hog_state"
    exit 1
fi
echo "aarch64: passed"
