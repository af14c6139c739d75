//! Semaphores
//!
//! A semaphore counts what is left of something: permits, places, buffers. It is one word of the caller's. Use a mutex
//! for exclusion, a channel where values travel, and a semaphore where only their number matters.

use super::*;
use crate::block::{sema, waitq};
use crate::gmp::error::Error;
use crate::gmp::g::WaitReason;
use crate::sync::AtomicU32;

/// # Safety
/// `s` is null, or points to a word that lives as long as it is used as a semaphore.
unsafe fn word<'a>(s: *mut u32) -> Option<&'a AtomicU32> {
    if s.is_null() || !s.is_aligned() {
        return None;
    }
    // SAFETY: the caller's promise; the word is used by atomic operations only.
    Some(unsafe { &*s.cast::<AtomicU32>() })
}

/// Takes a permit from a semaphore, waiting while the count is 0. Any uint32_t is a semaphore, and its value is the
/// count.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: one of the count.
/// Returns: GMX_OK; GMX_ECANCELED; GMX_EINVAL if s is NULL or not aligned; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `s` is null or points to a semaphore.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sema_acquire(s: *mut u32) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { word(s) } {
        Some(word) if is_free() && sema::try_acquire(word) => GMX_OK,
        // SAFETY: the caller's promise.
        _ => unsafe { acquire(s, FOREVER) },
    }
}

/// # Safety
/// As for gmx_sema_acquire.
#[inline(never)]
#[track_caller]
unsafe fn acquire(s: *mut u32, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(s) = (unsafe { word(s) }) else { return wrong(GMX_EINVAL) };
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    if timeout <= 0 {
        return if sema::try_acquire(s) { GMX_OK } else { failed(Error::TimedOut) };
    }
    tried(sema::acquire(*m, s, waitq::deadline_of(timeout), WaitReason::SEMACQUIRE).1)
}

/// As gmx_sema_acquire, but gives up after timeout nanoseconds.
///
/// Blocks: as gmx_sema_acquire, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: one of the count, if GMX_OK.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if s is NULL or not aligned; GMX_ENOMEM; GMX_ENOTG,
/// GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `s` is null or points to a semaphore.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sema_acquire_timeout(s: *mut u32, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { word(s) } {
        Some(word) if is_free() && sema::try_acquire(word) => GMX_OK,
        // SAFETY: the caller's promise.
        _ => unsafe { acquire(s, timeout) },
    }
}

/// Takes one from a semaphore if there is one.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: unless GMX_OK.
/// Migrates: unless GMX_OK.
/// Cancellable: no.
/// Owns: one of the count, if GMX_OK.
/// Returns: GMX_OK; GMX_EAGAIN if the count is 0; GMX_EINVAL if s is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `s` is null or points to a semaphore.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sema_try_acquire(s: *mut u32) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { word(s) } {
        None => wrong(GMX_EINVAL),
        Some(s) if sema::try_acquire(s) => GMX_OK,
        Some(_) => failed_outside(Error::Again),
    }
}

/// Releases one to a semaphore, and wakes a waiter if there is one: the first, which runs next on the caller's P.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBUSY if the count is 2^32-1; GMX_EINVAL if s is NULL or not aligned; GMX_ENOMEM from a thread
/// that the library did not know and has no memory to know.
/// Since: 0.1
///
/// # Safety
/// `s` is null or points to a semaphore.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sema_release(s: *mut u32) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(s) = (unsafe { word(s) }) else { return wrong(GMX_EINVAL) };
    match MRef::current() {
        // Without a waiter only the caller's word changes, for which a thread need not be inside.
        Some(m) => map(sema::release_by(m, s, |addr| sema::wake_inside(m, addr))),
        None => release_slow(s),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn release_slow(s: &AtomicU32) -> gmx_status {
    match any() {
        Ok(m) => map(sema::release(*m, s)),
        Err(status) => status,
    }
}

/// Releases a permit, and hands it over if there is a waiter: the first waiter gets the permit, which no newcomer can
/// take before it, and runs at once, on the caller's P and in the caller's time slice. The caller goes to the end of
/// the P's run queue. For a semaphore with many waiters, where a fair order is worth a switch for each release.
///
/// Only the permit changes hands if the caller has no P or may not leave it, or if the waiter is a thread of the host.
///
/// ```c
/// if (gmx_sema_acquire(&turn) != GMX_OK) return;
/// take_a_turn();
/// gmx_sema_release_handoff(&turn);
/// ```
///
/// Blocks: the goroutine, for a moment.
/// Call from: every context.
/// Safepoint: when it hands its P over.
/// Migrates: when it hands its P over.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBUSY if the count is 2^32-1; GMX_EINVAL if s is NULL or not aligned; GMX_ENOMEM from a thread
/// that the library did not know and has no memory to know.
/// Since: 0.2
///
/// # Safety
/// `s` is null or points to a semaphore.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sema_release_handoff(s: *mut u32) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(s) = (unsafe { word(s) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(sema::hand_over(*m, s)),
        Err(status) => status,
    }
}

/// How many goroutines and threads wait for a semaphore, for tests, dumps and metrics. One that was woken and has not
/// taken its permit yet does not count. The call takes time in proportion to their number. It does not read the
/// semaphore, whose memory may be gone.
///
/// ```c
/// while (gmx_sema_waiters(&ready) < 2) gmx_yield();
/// gmx_sema_release(&ready);
/// ```
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number, which may have changed by then; 0 if s is NULL or not aligned, and without a runtime.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_sema_waiters(s: *const u32) -> u32 {
    waiters(s, waitq::count)
}
