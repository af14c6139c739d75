//! Wait groups
//!
//! A wait group counts what is under way, and wakes its waiters when nothing is. Use it where goroutines are
//! independent; use a scope where one that fails should end the others.

use super::*;
use crate::block::cancel::Kind;
use crate::block::waitgroup::WaitGroup;
use crate::block::{spawn, waitq};
use crate::gmp::m::MRef;
use std::ffi::c_void;

/// Counts what is under way; others wait until nothing is. Zero is ready; nothing needs to be freed. May be used again
/// after every wait.
#[repr(C)]
pub struct gmx_waitgroup {
    pub state: u64,
    pub sema: u32,
    pub reserved: u32,
}

// SAFETY: the fields of one are those of the other.
unsafe impl Object for gmx_waitgroup {
    type Is = WaitGroup;
}

/// Adds delta to the count. At 0 every waiter returns, even if the first waiter that is back adds to the count again or
/// frees the memory of the group.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if the count would fall below 0 or exceed 2^31-1 (it is unchanged), or wg is NULL or not
/// aligned.
/// Since: 0.1
///
/// # Safety
/// `wg` is null or points to a wait group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_waitgroup_add(wg: *mut gmx_waitgroup, delta: i32) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Some(group) = unsafe { object(wg) }
        && let Some(m) = MRef::current()
    {
        return if delta == 1 || delta == -1 {
            add_one(group, m, delta)
        } else {
            map(group.add(*Inside::enter(m), delta))
        };
    }
    // SAFETY: the caller's promise.
    unsafe { add(wg, delta) }
}

/// # Safety
/// As for gmx_waitgroup_add.
#[inline(always)]
#[track_caller]
fn add_one(group: &WaitGroup, m: MRef, delta: i32) -> gmx_status {
    match group.add_one(delta) {
        None => GMX_OK,
        Some(s) => map(group.added(*Inside::enter(m), delta, s)),
    }
}

#[inline(never)]
#[track_caller]
unsafe fn add(wg: *mut gmx_waitgroup, delta: i32) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(wg) = (unsafe { object(wg) }) else { return wrong(GMX_EINVAL) };
    // A thread that is not known need not be for this.
    if wg.add_alone(delta) {
        return GMX_OK;
    }
    match any() {
        Ok(m) => map(wg.add(*m, delta)),
        Err(status) => status,
    }
}

/// Takes one from the count.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: as gmx_waitgroup_add with -1.
/// Since: 0.1
///
/// # Safety
/// `wg` is null or points to a wait group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_waitgroup_done(wg: *mut gmx_waitgroup) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Some(group) = unsafe { object(wg) }
        && let Some(m) = MRef::current()
    {
        return add_one(group, m, -1);
    }
    // SAFETY: the caller's promise.
    unsafe { add(wg, -1) }
}

/// Starts a goroutine that runs fn(arg), and counts it until it has ended, by the return of fn or by gmx_goexit. The
/// count goes down when the destructors of the goroutine's keys have run. Otherwise as gmx_spawn.
///
/// ```c
/// gmx_waitgroup all = {0};
/// gmx_status status = GMX_OK;
/// for (int i = 0; i < n && status == GMX_OK; i++) status = gmx_waitgroup_go(&all, work, &jobs[i]);
/// gmx_waitgroup_wait(&all);
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg stays the caller's; wg is there until it has been waited for.
/// Returns: GMX_OK; and with the count as it was: GMX_EINVAL if fn is NULL, the count would exceed 2^31-1, or wg is
/// NULL or not aligned; GMX_ENOMEM; GMX_ESHUTDOWN from a thread of the host while the runtime ends.
/// Since: 0.2
///
/// # Safety
/// `wg` is null or points to a wait group.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_waitgroup_go(
    wg: *mut gmx_waitgroup,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let (Some(wg), Some(f)) = (unsafe { object(wg) }, r#fn) else { return wrong(GMX_EINVAL) };
    match started() {
        Ok(m) => map(spawn::counted(*m, wg, f, arg)),
        Err(status) => status,
    }
}

/// Waits until the count is 0.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if wg is NULL or not aligned; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `wg` is null or points to a wait group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_waitgroup_wait(wg: *mut gmx_waitgroup) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { object(wg) } {
        Some(wg) if is_free() && wg.is_zero() => GMX_OK,
        // SAFETY: the caller's promise.
        _ => unsafe { wait(wg, FOREVER) },
    }
}

/// As gmx_waitgroup_wait, but gives up after timeout nanoseconds.
///
/// Blocks: as gmx_waitgroup_wait, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EINVAL if wg is NULL or not aligned; GMX_ENOMEM; GMX_ENOTG,
/// GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `wg` is null or points to a wait group.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_waitgroup_wait_timeout(wg: *mut gmx_waitgroup, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { wait(wg, timeout) }
}

/// # Safety
/// As for gmx_waitgroup_wait.
#[inline(never)]
#[track_caller]
unsafe fn wait(wg: *mut gmx_waitgroup, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(wg) = (unsafe { object(wg) }) else { return wrong(GMX_EINVAL) };
    match may_wait() {
        Ok(m) => tried(wg.wait(*m, waitq::deadline_of(timeout), Kind::Lock).1),
        Err(status) => status,
    }
}
