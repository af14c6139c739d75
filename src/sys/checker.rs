//! Whether a checker of memory watches this process.
//!
//! A checker knows the blocks of malloc: it tells when one is used after its end, or never freed. So under a checker
//! the library takes its memory from malloc (`sys/heap.rs`).

use super::arch::valgrind;
use core::arch::global_asm;
use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, Ordering};

// Functions of the runtimes of AddressSanitizer and LeakSanitizer, ThreadSanitizer and MemorySanitizer, as the linker
// or the loader finds them; null where there is none. No question to the loader: that allocates if it finds nothing.
global_asm!(
    ".pushsection .data.rel.ro.gmx_checkers,\"aw\",@progbits",
    ".balign 8",
    ".weak __lsan_do_leak_check",
    ".weak __tsan_init",
    ".weak __msan_init",
    ".hidden gmx_checkers",
    ".globl gmx_checkers",
    ".type gmx_checkers,@object",
    ".size gmx_checkers, 24",
    "gmx_checkers:",
    ".quad __lsan_do_leak_check",
    ".quad __tsan_init",
    ".quad __msan_init",
    ".popsection",
);

unsafe extern "C" {
    #[link_name = "gmx_checkers"]
    static CHECKERS: [AtomicPtr<c_void>; 3];
}

/// A request that valgrind answers, and that is nothing without it.
const RUNNING: usize = 0x1001;

pub fn under_valgrind() -> bool {
    valgrind(0, &[RUNNING, 0, 0, 0, 0, 0]) != 0
}

pub fn is_there() -> bool {
    // SAFETY: written by the linker or the loader, before any code.
    let checkers = unsafe { &CHECKERS };
    checkers.iter().any(|f| !f.load(Ordering::Relaxed).is_null()) || under_valgrind()
}
