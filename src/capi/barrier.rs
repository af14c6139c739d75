//! Barriers
//!
//! A barrier lets n parties meet, again and again: for computations in rounds, where each round needs the results of
//! all parts of the one before.

use super::*;
use crate::block::barrier::Barrier;
use crate::block::waitq;

/// Where n goroutines and threads meet, again and again. GMX_BARRIER_INIT(n) makes one; nothing needs to be freed.
/// Without the initialiser, set n, and the rest to zero; n may change while there is no waiter. Do not copy it while
/// there is one.
#[repr(C)]
pub struct gmx_barrier {
    /// How many meet.
    pub n: u32,
    pub arrived: u32,
    pub reserved: u64,
}

// SAFETY: the fields of one are those of the other.
unsafe impl Object for gmx_barrier {
    type Is = Barrier;
}

/// Waits until n callers have arrived, this one included. In each round one of them, the last, gets *serial = true; the
/// others get false. serial may be NULL.
///
/// ```c
/// for (int i = 0; i < steps; i++) {
///   bool serial;
///   compute(i);
///   if (gmx_barrier_wait(&step, &serial) != GMX_OK) return;
///   if (serial) report(i);
/// }
/// ```
///
/// The barrier is ready for the next round when the first caller is back. If no further round is to come, its memory
/// may be freed then.
///
/// A caller that returns anything but GMX_OK has not arrived: the others wait for one more, which may be the same
/// caller again.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes: otherwise the others would wait forever for a caller that was canceled elsewhere.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ECANCELED; GMX_EINVAL if n is 0, for a copy of a barrier with waiters, or if b is NULL or not
/// aligned; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `b` is null or points to a barrier; `serial` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_barrier_wait(b: *mut gmx_barrier, serial: *mut bool) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { wait(b, FOREVER, serial) }
}

/// As gmx_barrier_wait, but gives up after timeout nanoseconds. With 0 or less only the last caller of a round gets
/// through.
///
/// Blocks: as gmx_barrier_wait, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: as gmx_barrier_wait; GMX_ETIMEDOUT; GMX_ENOMEM.
/// Since: 0.2
///
/// # Safety
/// `b` is null or points to a barrier; `serial` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_barrier_wait_timeout(b: *mut gmx_barrier, timeout: i64, serial: *mut bool) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { wait(b, timeout, serial) }
}

/// # Safety
/// As for gmx_barrier_wait.
#[track_caller]
unsafe fn wait(b: *mut gmx_barrier, timeout: i64, serial: *mut bool) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(barrier) = (unsafe { object(b) }) else { return wrong(GMX_EINVAL) };
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let waits = timeout > 0;
    match barrier.wait(*m, waitq::deadline_of(timeout).filter(|_| waits), waits) {
        Ok(last) => {
            if !serial.is_null() {
                // SAFETY: the caller's promise.
                unsafe { *serial = last };
            }
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// How many goroutines and threads wait at a barrier: how many have arrived in this round. Otherwise as
/// gmx_sema_waiters.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number, which may have changed by then; 0 if b is NULL or not aligned, and without a runtime.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_barrier_waiters(b: *const gmx_barrier) -> u32 {
    waiters(b, waitq::count)
}
