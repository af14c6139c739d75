//! Read-write mutexes
//!
//! Many readers at a time, or one writer. It pays where reading takes long and is frequent; for a few instructions a
//! plain mutex is faster. A goroutine must not read twice at a time: a writer that comes between would wait for the
//! first read, and the second for the writer.

use super::*;
use crate::block::rwmutex::{self, RwMutex};
use crate::block::waitq;
use crate::gmp::error::Error;

/// A lock for many readers or one writer. Zero is unlocked; nothing needs to be freed. A writer that waits keeps new
/// readers out, and readers that wait for a writer go before the next writer.
#[repr(C)]
pub struct gmx_rwmutex {
    pub writers: gmx_mutex,
    pub state: u64,
    pub reserved: u64,
}

// SAFETY: the fields of one are those of the other.
unsafe impl Object for gmx_rwmutex {
    type Is = RwMutex;
}

/// Locks it for writing: waits until no reader and no other writer has it. New readers wait behind.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: the lock, until gmx_rwmutex_unlock by the same goroutine or thread.
/// Returns: GMX_OK; GMX_EDEADLK if the caller has it for writing (a reader that becomes a writer waits for
/// itself, which is not detected); GMX_EINVAL if m is NULL or not aligned; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_lock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Some(rw) = unsafe { object(m) }
        && let Some(me) = calm_id()
        && rw.write_alone(me)
    {
        return GMX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { lock(m, FOREVER) }
}

/// # Safety
/// As for gmx_rwmutex_lock.
#[inline(never)]
#[track_caller]
unsafe fn lock(m: *mut gmx_rwmutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(rw) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match may_wait_calmly() {
        Ok(m) => tried(rw.write(*m, waitq::deadline_of(timeout))),
        Err(status) => status,
    }
}

/// As gmx_rwmutex_lock, but gives up after timeout nanoseconds. Readers that it has kept out continue then.
///
/// Blocks: as gmx_rwmutex_lock, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: the lock, if GMX_OK.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EDEADLK if the caller has it for writing; GMX_EINVAL if m is NULL or
/// not aligned; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_lock_timeout(m: *mut gmx_rwmutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { lock(m, timeout) }
}

/// Locks it for writing if it is free.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: unless GMX_OK.
/// Migrates: unless GMX_OK.
/// Cancellable: no.
/// Owns: the lock, if GMX_OK.
/// Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_try_lock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(rw) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) if rw.write_alone(waitq::self_id(*m)) => GMX_OK,
        Ok(_) => failed(Error::Busy),
        Err(status) => status,
    }
}

/// Unlocks it after writing. Readers that wait have it then; otherwise the next writer.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if it is not locked for writing, or by another; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_unlock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Some(rw) = unsafe { object(m) }
        && let Some(me) = free_id()
        && rw.leave_alone(me)
    {
        return GMX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { unlock(m) }
}

/// # Safety
/// As for gmx_rwmutex_unlock.
#[inline(never)]
#[track_caller]
unsafe fn unlock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(rw) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(rw.write_unlock(*m)),
        Err(status) => status,
    }
}

/// Locks it for reading: waits while a writer has it or waits for it. Do not lock it twice: a writer may come between.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: a share of the lock, until gmx_rwmutex_runlock, which may be called by another.
/// Returns: GMX_OK; GMX_EDEADLK if the caller has it for writing; GMX_EINVAL if m is NULL or not aligned;
/// GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_rlock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { object(m) } {
        Some(rw) if is_free() => match rw.enter() {
            true => GMX_OK,
            false => rlock_entered(rw, FOREVER),
        },
        // SAFETY: the caller's promise.
        _ => unsafe { rlock(m, FOREVER) },
    }
}

/// For a caller that may wait, and is counted.
#[inline(never)]
#[track_caller]
fn rlock_entered(rw: &RwMutex, timeout: i64) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(rw.read_entered(*m, waitq::deadline_of(timeout))),
        Err(status) => status,
    }
}

/// # Safety
/// As for gmx_rwmutex_rlock.
#[inline(never)]
#[track_caller]
unsafe fn rlock(m: *mut gmx_rwmutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(rw) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match may_wait() {
        Ok(m) => tried(rw.read(*m, waitq::deadline_of(timeout))),
        Err(status) => status,
    }
}

/// As gmx_rwmutex_rlock, but gives up after timeout nanoseconds.
///
/// Blocks: as gmx_rwmutex_rlock, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: a share of the lock, if GMX_OK.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_EDEADLK if the caller has it for writing; GMX_EINVAL if m is NULL or
/// not aligned; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_rlock_timeout(m: *mut gmx_rwmutex, timeout: i64) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { object(m) } {
        Some(rw) if is_free() => match rw.enter() {
            true => GMX_OK,
            false => rlock_entered(rw, timeout),
        },
        // SAFETY: the caller's promise.
        _ => unsafe { rlock(m, timeout) },
    }
}

/// Locks it for reading if no writer has it or waits for it.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: unless GMX_OK.
/// Migrates: unless GMX_OK.
/// Cancellable: no.
/// Owns: a share of the lock, if GMX_OK.
/// Returns: GMX_OK; GMX_EBUSY; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_try_rlock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(rw) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    rw.try_read().map_or_else(|e| failed_outside(e), |()| GMX_OK)
}

/// Unlocks it after reading.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if no reader has it; GMX_EINVAL if m is NULL or not aligned.
/// Since: 0.1
///
/// # Safety
/// `m` is null or points to a read-write mutex.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rwmutex_runlock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { object(m) } {
        // A caller that could not wake a writer must not subtract itself from the readers.
        Some(rw) if is_free() => match rw.leave() {
            Ok(()) => GMX_OK,
            Err(s) => left(rw, s),
        },
        // SAFETY: the caller's promise.
        _ => unsafe { runlock(m) },
    }
}

#[inline(never)]
#[track_caller]
fn left(rw: &RwMutex, s: u64) -> gmx_status {
    match any() {
        Ok(m) => map(rw.left(*m, s)),
        Err(status) => status,
    }
}

/// # Safety
/// As for gmx_rwmutex_runlock.
#[inline(never)]
#[track_caller]
unsafe fn runlock(m: *mut gmx_rwmutex) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(rw) = (unsafe { object(m) }) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(rw.read_unlock(*m)),
        Err(status) => status,
    }
}

/// How many goroutines and threads wait for a read-write mutex, to read or to write. Otherwise as gmx_sema_waiters.
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
pub extern "C" fn gmx_rwmutex_waiters(m: *const gmx_rwmutex) -> u32 {
    waiters(m, rwmutex::waiters)
}
