//! Mutexes
//!
//! A mutex protects memory for as long as a few lines run. It has an owner, which alone may unlock it, and a goroutine
//! may sleep or call into the system while it holds one. No order is promised, but no waiter starves: after a
//! millisecond the longest waiter has the next turn.

use super::*;
use crate::block::mutex::Mutex;
use crate::block::waitq;

/// A mutual exclusion lock for goroutines and threads. Zero is unlocked; nothing needs to be freed. A newcomer may take
/// the lock ahead of a waiter. A waiter that was woken, lost that race and has waited for more than a millisecond gets
/// the lock at the next unlock.
#[repr(C)]
pub struct gmx_mutex {
    pub state: u64,
    pub reserved: u64,
}

// SAFETY: the fields of one are those of the other.
unsafe impl Object for gmx_mutex {
    type Is = Mutex;
}

/// Locks a mutex, waiting while another has it.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: the mutex, until gmx_mutex_unlock by the same goroutine or thread.
/// Returns: GMX_OK; GMX_EDEADLK if the caller has it; GMX_EINVAL if m is NULL or not aligned; GMX_ENOTG,
/// GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_mutex_lock(m: *mut gmx_mutex) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Some(mutex) = unsafe { object(m) }
        && let Some(me) = calm_id()
        && mutex.lock_fast(me)
    {
        return GMX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { lock(m, FOREVER) }
}

/// # Safety
/// As for gmx_mutex_lock.
#[inline(never)]
#[track_caller]
unsafe fn lock(m: *mut gmx_mutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(mutex) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match may_wait_calmly() {
        Ok(m) => tried(mutex.lock(*m, waitq::deadline_of(timeout)).1),
        Err(status) => status,
    }
}

/// As gmx_mutex_lock, but gives up after timeout nanoseconds.
///
/// Blocks: as gmx_mutex_lock, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: the mutex, if GMX_OK.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EDEADLK if the caller has it; GMX_EINVAL if m is NULL or not
/// aligned; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_mutex_lock_timeout(m: *mut gmx_mutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Some(mutex) = unsafe { object(m) }
        && let Some(me) = calm_id()
        && mutex.lock_fast(me)
    {
        return GMX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { lock(m, timeout) }
}

/// Locks a mutex if it is free.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: unless GMX_OK.
/// Migrates: unless GMX_OK.
/// Cancellable: no.
/// Owns: the mutex, if GMX_OK.
/// Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_mutex_try_lock(m: *mut gmx_mutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(mutex) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => tried(mutex.try_lock(waitq::self_id(*m))),
        Err(status) => status,
    }
}

/// Unlocks a mutex that the caller has locked.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if it is not locked, or locked by another; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_mutex_unlock(m: *mut gmx_mutex) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Some(mutex) = unsafe { object(m) }
        && let Some(me) = free_id()
        && mutex.unlock_fast(me)
    {
        return GMX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { unlock(m) }
}

/// # Safety
/// As for gmx_mutex_unlock.
#[inline(never)]
#[track_caller]
unsafe fn unlock(m: *mut gmx_mutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(mutex) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(mutex.unlock(*m)),
        Err(status) => status,
    }
}

/// How many goroutines and threads wait for a mutex. Otherwise as gmx_sema_waiters.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number, which may have changed by then; 0 if m is NULL or not aligned, and without a runtime.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_mutex_waiters(m: *const gmx_mutex) -> u32 {
    waiters(m, waitq::count)
}
