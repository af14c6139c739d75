#!/usr/bin/env bash
# Readers of gomax.h that are not C compilers: cffi (and with it pycparser), Rust's bindgen, and with `ci/parsers.sh
# all` Zig's translate-c, which Zig compiles first, in minutes. Each must take the header as docs/c.md says, and its
# output must work. Ends with `N passed, N failed, N skipped`. cffi comes from pip into target/parsers; Zig is the one
# that ci/zig.sh has found; bindgen is $GMX_BINDGEN, or the one on the PATH, or the one that `ci/parsers.sh setup` has
# built in target/parsers, which takes minutes, with the libclang of PyPI if the system has none. Environment: GMX_LIB
# another libgomax.so than target/release's, GMX_BINDGEN, GMX_ZIG, PYTHON, CC.
source "$(dirname "$0")/lib.sh"
home=$target/parsers skipped=0
python=$home/venv/bin/python
pip() { "$python" -m pip -q --disable-pip-version-check install "$@"; }
[[ -x $python ]] || "${PYTHON:-python3}" -m venv "$home/venv"
if [[ ${1:-} == setup ]]; then
  pip cffi libclang && cargo install --quiet --root "$home" --target-dir "$home/build" bindgen-cli
  exit
fi
skip() { echo "left out: $1"; skipped=$((skipped + 1)); }
use_library
plain=(-DGMX_NO_INLINE -DGMX_API= -DGMX_MUST_USE= -DGMX_NORETURN= -DGMX_DEPRECATED=)

by_cffi() {
  { grep -v '^#include' include/gomax.h | "${CC:-cc}" -E -P "${plain[@]}" - && grep -E '^#define GMX_[A-Z_]+ [0-9]+$' include/gomax.h; } \
    >"$work/gomax.cdef" &&
    "$python" - "$work" <<'PY'
import sys
from cffi import FFI

ffi = FFI()
ffi.cdef(open(sys.argv[1] + "/gomax.cdef").read())
lib = ffi.dlopen(sys.argv[1] + "/lib/libgomax.so.0")
ran = []

@ffi.callback("void (void *)")
def on_a_g(arg):
    ran.append(lib.gmx_goid())
    lib.gmx_safepoint()

assert lib.gmx_callback(on_a_g, ffi.NULL) == 0 and ran and ran[0] > 0
config = ffi.new("gmx_config *")
assert lib.gmx_config_default(config) == 0 and config.struct_size == ffi.sizeof("gmx_config")
assert ffi.string(lib.gmx_err_name(lib.GMX_EINVAL)) == b"GMX_EINVAL" and lib.GMX_OK == 0 and lib.GMX_SPAWN_JOINABLE == 1 and lib.gmx_poll_word == 0
PY
}
if "$python" -c 'import cffi' 2>/dev/null || pip cffi 2>/dev/null; then check "cffi" by_cffi; else skip "cffi cannot be installed"; fi

# a bindgen knows no libclang that is much newer than itself: the oldest one that is there
oldest=$(ls -d /usr/lib/llvm-*/lib/libclang*.so* 2>/dev/null | sort -V | head -1)
[[ -z $oldest ]] || export LIBCLANG_PATH=${LIBCLANG_PATH:-${oldest%/*}}

# the status codes have the type of what returns them, so that Rust compares the two
by_bindgen() {
  "$bindgen" --no-layout-tests -o "$work/gomax.rs" include/gomax.h -- -DGMX_NO_INLINE "${clang[@]}" &&
    cat >"$work/main.rs" <<'RUST' && rustc --edition 2021 -D warnings -L "$work/lib" -l gomax -o "$work/main" "$work/main.rs" && "$work/main"
#[allow(non_camel_case_types, non_upper_case_globals, non_snake_case, dead_code, unsafe_op_in_unsafe_fn, clippy::all)]
mod gomax {
    include!("gomax.rs");
}
use gomax::*;
const STATUSES: [gmx_status; 4] = [GMX_OK, GMX_EINVAL, GMX_EAGAIN, GMX_ENOTG];
unsafe extern "C" fn on_a_g(arg: *mut std::ffi::c_void) {
    *(arg as *mut u64) = gmx_goid();
    gmx_safepoint();
}
fn main() {
    let mut goid = 0u64;
    unsafe {
        let status: gmx_status = gmx_callback(Some(on_a_g), std::ptr::addr_of_mut!(goid).cast());
        assert!(match status { GMX_OK => true, GMX_EINVAL | GMX_ENOTG => false, _ => false } && goid > 0);
        assert_eq!(gmx_callback(None, std::ptr::null_mut()), STATUSES[1]);
    }
}
RUST
}
bindgen=${GMX_BINDGEN:-$(command -v bindgen || echo "$home/bin/bindgen")}
# libclang alone, as PyPI and Debian's libclang1 bring it, has no headers of its own
clang=(-isystem "$("${CC:-cc}" -print-file-name=include)")
if [[ -z ${LIBCLANG_PATH:-} ]] && found=$("$python" -c 'import clang, os; print(os.path.join(list(clang.__path__)[0], "native"))' 2>/dev/null); then
  export LIBCLANG_PATH=$found
fi
if "$bindgen" --version >/dev/null 2>&1; then check "bindgen" by_bindgen; else skip "there is no bindgen: ci/parsers.sh setup"; fi

zig=("${GMX_ZIG:-$target/zig/venv/bin/python}")
[[ -n ${GMX_ZIG:-} ]] || zig+=(-m ziglang)
export ZIG_GLOBAL_CACHE_DIR=$target/zig/global ZIG_LOCAL_CACHE_DIR=$target/zig/local
by_zig() {
  timeout "${GMX_ZIG_LIMIT:-800}" "${zig[@]}" translate-c -lc -Iinclude -DGMX_NO_INLINE include/gomax.h >"$work/gomax.zig" &&
    ! grep -E '@compileError.*' "$work/gomax.zig" | grep -E 'pub (extern )?(fn|const) (gmx|GMX)_' | grep -v 'GMX_\(API\|MUST_USE\|NORETURN\|DEPRECATED\)' &&
    cat >"$work/main.zig" <<'ZIG' && (cd "$work" && timeout 800 "${zig[@]}" run main.zig -lc -L"$work/lib" -lgomax)
const gomax = @import("gomax.zig");
fn onG(arg: ?*anyopaque) callconv(.c) void {
    const goid: *u64 = @ptrCast(@alignCast(arg.?));
    goid.* = gomax.gmx_goid();
    gomax.gmx_safepoint();
}
pub fn main() !void {
    var goid: u64 = 0;
    if (gomax.gmx_callback(onG, &goid) != gomax.GMX_OK or goid == 0) return error.NotOnAG;
    if (gomax.gmx_callback(null, null) != gomax.GMX_EINVAL) return error.NotRefused;
}
ZIG
}
if [[ ${1:-} != all ]]; then
  :
elif "${zig[@]}" version >/dev/null 2>&1; then check "zig translate-c" by_zig; else skip "there is no Zig: ci/zig.sh setup"; fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
