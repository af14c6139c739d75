//! Recursive mutexes
//!
//! A mutex that its owner may lock again. It is for code that calls itself through callbacks; where that can be
//! avoided, a plain mutex is smaller and faster.

use super::*;
use crate::block::rmutex::RMutex;
use crate::block::waitq;

/// A mutex that its owner, a goroutine or a thread, may lock again, and then unlocks as often. Zero is unlocked;
/// nothing needs to be freed. Without that need take gmx_mutex, which returns GMX_EDEADLK at a second lock.
#[repr(C)]
pub struct gmx_rmutex {
    pub mutex: gmx_mutex,
    pub again: u64,
}

// SAFETY: the fields of one are those of the other.
unsafe impl Object for gmx_rmutex {
    type Is = RMutex;
}

/// Locks a recursive mutex, waiting no longer than timeout nanoseconds while another has it. The owner locks it once
/// more.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: the mutex, until as many gmx_rmutex_unlock by the same goroutine or thread.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBUSY after 2^64 locks; GMX_EINVAL if m is NULL or not aligned;
/// GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `m` is null or points to a recursive mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rmutex_lock(m: *mut gmx_rmutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(mutex) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match may_wait_calmly() {
        Ok(m) => tried(mutex.lock(*m, waitq::deadline_of(timeout))),
        Err(status) => status,
    }
}

/// Locks a recursive mutex if no other owner has it.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: unless GMX_OK.
/// Migrates: unless GMX_OK.
/// Cancellable: no.
/// Owns: the mutex, if GMX_OK.
/// Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.2
///
/// # Safety
/// `m` is null or points to a recursive mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rmutex_try_lock(m: *mut gmx_rmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(mutex) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => tried(mutex.try_lock(*m)),
        Err(status) => status,
    }
}

/// Takes one lock of a recursive mutex back; with the last one others may have it.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if it is not locked, or locked by another; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.2
///
/// # Safety
/// `m` is null or points to a recursive mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rmutex_unlock(m: *mut gmx_rmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(mutex) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(mutex.unlock(*m)),
        Err(status) => status,
    }
}

/// How many goroutines and threads wait for a recursive mutex. Otherwise as gmx_sema_waiters.
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
pub extern "C" fn gmx_rmutex_waiters(m: *const gmx_rmutex) -> u32 {
    waiters(m, waitq::count)
}
