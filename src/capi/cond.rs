//! Condition variables
//!
//! A condition variable waits until something that a mutex protects is true. A channel, a semaphore or a wait group
//! says the same with less to get wrong; a condition is for states that none of them describes.

use super::*;
use crate::block::cond::Cond;
use crate::block::waitq;

/// Where goroutines and threads wait for something that a mutex guards. Zero is ready; nothing needs to be freed. Do
/// not copy it once a caller has waited.
#[repr(C)]
pub struct gmx_cond {
    pub mutex: u64,
    pub home: u64,
}

// SAFETY: the fields of one are those of the other.
unsafe impl Object for gmx_cond {
    type Is = Cond;
}

/// Unlocks the mutex and waits for a signal, as one step, and locks the mutex again. Test in a loop whether the
/// expected state is there: another caller may have changed it again.
///
/// On return the caller has the mutex, whatever the status is. Except after a wrong call, the mutex was unlocked
/// meanwhile and others could run, also if the wait was refused or the timeout has passed.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes, except for a wrong call.
/// Migrates: yes, except for a wrong call.
/// Cancellable: the wait for the signal, not the lock after it.
/// Owns: the mutex, as before.
/// Returns: GMX_OK after a signal; GMX_ECANCELED; GMX_EPERM if the caller does not have the mutex; GMX_EINVAL while
/// others wait with another mutex, for a copy of one that was used, or if c or m is NULL or not aligned; GMX_ENOTG,
/// GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `c` is null or points to a condition variable, `m` is null or points to a mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cond_wait(c: *mut gmx_cond, m: *mut gmx_mutex) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { wait(c, m, FOREVER) }
}

/// As gmx_cond_wait, but waits for a signal no longer than timeout nanoseconds. A signal that was given
/// is not lost: either it ends this wait with GMX_OK, or it is for the next.
///
/// Blocks: as gmx_cond_wait: for a signal no longer than timeout, then for the mutex.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes, except for a wrong call.
/// Migrates: yes, except for a wrong call.
/// Cancellable: the wait for the signal, not the lock after it.
/// Owns: the mutex, as before.
/// Returns: as gmx_cond_wait; GMX_ETIMEDOUT; GMX_ENOMEM.
/// Since: 0.1
///
/// # Safety
/// `c` is null or points to a condition variable, `m` is null or points to a mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cond_wait_timeout(c: *mut gmx_cond, m: *mut gmx_mutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { wait(c, m, timeout) }
}

/// # Safety
/// As for gmx_cond_wait.
#[track_caller]
unsafe fn wait(c: *mut gmx_cond, m: *mut gmx_mutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(cond) = (unsafe { object(c) }) else { return wrong(GMX_EINVAL) };
    // SAFETY: the caller's promise.
    let Some(mutex) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match may_wait() {
        Ok(m) => tried(cond.wait(*m, mutex, waitq::deadline_of(timeout))),
        Err(status) => status,
    }
}

/// Wakes the caller that has waited longest, if any waits. The calling goroutine may hold the mutex, but need not.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL for a copy of one that was used, or if c is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `c` is null or points to a condition variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cond_signal(c: *mut gmx_cond) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(cond) = (unsafe { object(c) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(cond.signal(*m)),
        Err(status) => status,
    }
}

/// Wakes all waiters.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL for a copy of one that was used, or if c is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `c` is null or points to a condition variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cond_broadcast(c: *mut gmx_cond) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(cond) = (unsafe { object(c) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(cond.broadcast(*m)),
        Err(status) => status,
    }
}

/// How many goroutines and threads wait for a signal. Otherwise as gmx_sema_waiters.
///
/// A caller that holds the mutex of the waiters misses none of them: a waiter is counted before it unlocks the mutex.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number, which may have changed by then; 0 if c is NULL or not aligned, and without a runtime.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cond_waiters(c: *const gmx_cond) -> u32 {
    waiters(c, waitq::count)
}
