//! The interface of this library by itself: include/gomax_posix.h has the same, for C.

use crate::{gmx, held, next, wait};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// poll, ppoll, select, pselect.
pub const POLL: u32 = 1;
/// recv, send and their like, accept, connect.
pub const SOCKETS: u32 = 2;
/// read, write, readv, writev.
pub const FILES: u32 = 4;
/// sleep, usleep, nanosleep, clock_nanosleep.
pub const SLEEP: u32 = 8;
/// getaddrinfo.
pub const NAMES: u32 = 16;
/// pthread_mutex_lock, pthread_rwlock_rdlock, pthread_rwlock_wrlock.
pub const LOCKS: u32 = 32;
const ALL: u32 = POLL | SOCKETS | FILES | SLEEP | NAMES | LOCKS;

/// The groups that are on.
static GROUPS: AtomicU32 = AtomicU32::new(0);

/// Whether a call of this group is ours; otherwise it is passed on (SHIM-A1).
#[inline(always)]
pub fn is_active(group: u32) -> bool {
    // Relaxed: a call that runs beside gmx_posix_enable may go either way.
    GROUPS.load(Ordering::Relaxed) & group != 0 && gmx::gmx_self() != 0
}

/// Whether any group is on.
#[inline(always)]
pub fn is_on() -> bool {
    GROUPS.load(Ordering::Relaxed) != 0
}

/// Switches groups of functions on, and all others off. Calls that wait already are not affected. A child of fork
/// begins with all groups off.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL for other bits; GMX_ENOTSUP if this library does not stand before the C library, so that
/// no call comes here.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_posix_enable(groups: u32) -> gmx::Status {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if groups & !ALL != 0 {
        return gmx::EINVAL;
    }
    if !next::is_before_libc() {
        return gmx::ENOTSUP;
    }
    if !WATCHED.swap(true, Ordering::Relaxed) {
        // SAFETY: the function may run in a child of fork: it only writes words.
        unsafe { pthread_atfork(None, None, Some(in_child)) };
    }
    wait::own();
    GROUPS.store(groups, Ordering::Relaxed);
    gmx::OK
}

unsafe extern "C" {
    fn pthread_atfork(
        before: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> i32;
}

extern "C" fn in_child() {
    GROUPS.store(0, Ordering::Relaxed);
    wait::forget();
}

/// Ties the calling goroutine to its thread, and lets its calls block this thread instead of parking. The thread gives
/// its P away meanwhile. errno and thread-local variables are as on a thread of its own. Calls nest.
///
/// Blocks: never.
/// Call from: G, attached thread.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the thread, until gmx_posix_release.
/// Returns: GMX_OK; otherwise as gmx_lock_os_thread.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_posix_hold() -> gmx::Status {
    let status = gmx::gmx_lock_os_thread();
    if status == gmx::OK {
        held::add();
    }
    status
}

/// Takes one gmx_posix_hold back.
///
/// Blocks: never.
/// Call from: G, attached thread.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM without a hold; otherwise as gmx_unlock_os_thread.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_posix_release() -> gmx::Status {
    if !held::is_held() {
        return gmx::EPERM;
    }
    let status = gmx::gmx_unlock_os_thread();
    if status == gmx::OK {
        held::take();
    }
    status
}
