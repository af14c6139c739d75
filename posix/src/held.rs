//! Threads that a G must not leave: a count for each thread, and calls that stay on theirs.
//!
//! # Problem
//! A G locks a mutex of the C library and then waits in a call that parks. Another G on the same thread wants the
//! mutex: it blocks the thread, or, if the mutex is recursive, gets a lock that it must not have. The first G
//! continues on another thread and unlocks there, which is not defined.
//!
//! # Words
//! `count`, a word of thread-local storage: how many locks this thread holds, and how many `gmx_posix_hold` have no
//! `gmx_posix_release` yet.
//!
//! # Protocol
//! * HELD-A1 Each function that locks a mutex or a read-write lock adds one on success, and each that unlocks takes one
//!   away, on every thread, whether a group is on or not: so the count is right also for a lock that was taken before.
//! * HELD-A2 `gmx_posix_hold` ties the G to its thread and adds one; `gmx_posix_release` does the reverse.
//! * HELD-A3 A call that would park, and finds a count above zero, ties the G to its thread, gives the P away, and
//!   calls the next function. The thread waits in the system, and runs no other G.
//!
//! # Invariants
//! * HELD-I1 The count is changed on the thread that it belongs to, and read there.
//! * HELD-I2 While the count is above zero no call of this library lets its G leave the thread, or another G run there.
//!   A loss of the P does neither: the G waits for its turn on its thread.
//!
//! # Rejected
//! A count for each G, under a key: a key costs a kilobyte for each G, needs memory in the middle of an allocator that
//! locks a mutex, and is slower than the lock. The lock is the thread's in any case.

use crate::{gmx, sys};
use core::arch::{asm, global_asm};
use core::cell::Cell;

global_asm!(
    ".pushsection .tbss,\"awT\",@nobits",
    ".p2align 2",
    ".globl gmx_posix_count",
    ".hidden gmx_posix_count",
    ".type gmx_posix_count,@object",
    ".size gmx_posix_count,4",
    "gmx_posix_count:",
    ".zero 4",
    ".popsection",
);

/// The count of this thread. The address is computed anew each time: the compiler must not keep it over a call that
/// migrates.
#[inline(always)]
fn count() -> &'static Cell<u32> {
    let at: *const Cell<u32>;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the thread pointer and the offset of the word, which the loader has written.
    unsafe {
        asm!("mov {0}, qword ptr fs:[0]", "add {0}, qword ptr [rip + gmx_posix_count@GOTTPOFF]", out(reg) at,
            options(nostack));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!("mrs {0}, tpidr_el0", "adrp {1}, :gottprel:gmx_posix_count",
            "ldr {1}, [{1}, :gottprel_lo12:gmx_posix_count]", "add {0}, {0}, {1}", out(reg) at, out(reg) _,
            options(nostack));
    }
    // SAFETY: HELD-I1: the word is this thread's, and lives as long as the thread; the reference is used at once.
    unsafe { &*at }
}

#[inline(always)]
pub fn is_held() -> bool {
    count().get() != 0
}

/// HELD-A1, HELD-A2.
#[inline(always)]
pub fn add() {
    let count = count();
    count.set(count.get().wrapping_add(1));
}

/// HELD-A1, HELD-A2. A lock that another thread has taken, which its kind may allow, takes away nothing here.
#[inline(always)]
pub fn take() {
    let count = count();
    count.set(count.get().saturating_sub(1));
}

/// HELD-A3: makes a call that blocks the thread, and returns on the same thread. The P is given away where that is
/// possible.
pub fn on_thread<R>(call: impl FnOnce() -> R) -> R {
    // HELD-I2
    if gmx::gmx_lock_os_thread() != gmx::OK {
        return call();
    }
    let gave = gmx::gmx_enter_syscall_blocking() == gmx::OK;
    let r = call();
    let e = sys::errno();
    if gave {
        gmx::gmx_exit_syscall();
    }
    gmx::gmx_unlock_os_thread();
    // SHIM-I4: the thread is the same, and errno is what the call has left there.
    sys::set_errno(e);
    r
}
