//! Time
//!
//! The clock is monotonic, in nanoseconds, and the same for every call of this library that takes a moment.

use super::*;
use crate::block::{sleep, waitq};
use crate::gmp::timers::later;
use crate::sync::now;

/// A timeout without an end. All others are nanoseconds; one of 0 or less has passed: the call looks once.
pub const GMX_FOREVER: i64 = i64::MAX;

/// The monotonic clock, in nanoseconds from a point that does not matter.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the time.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_now() -> i64 {
    now()
}

/// Sleeps for at least this many nanoseconds; 0 or less yields; with GMX_FOREVER only a canceled token ends the sleep.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ECANCELED; GMX_ENOMEM if there is no memory for the timer: it has not slept; GMX_ENOTG,
/// GMX_EINSYSCALL.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_sleep(ns: i64) -> gmx_status {
    if ns <= 0 {
        return if is_free() { gmx_yield() } else { super::g::yield_slow() };
    }
    match may_wait() {
        Ok(m) => tried(sleep::sleep_until(*m, later(now(), ns)).1),
        Err(status) => status,
    }
}

/// The moment, on the clock of gmx_now, at which a timeout ends that begins now. For several waits that share one end:
///
/// ```c
/// int64_t end = gmx_deadline(timeout);
/// while (!done && s == GMX_OK) s = gmx_cond_wait_timeout(&c, &m, gmx_time_left(end));
/// ```
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the moment; GMX_FOREVER for GMX_FOREVER and for whatever is too far away.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_deadline(timeout: i64) -> i64 {
    now().saturating_add(timeout)
}

/// The timeout that ends at a moment of gmx_deadline.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the nanoseconds until then; GMX_FOREVER for GMX_FOREVER; 0 if it has passed.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_time_left(deadline: i64) -> i64 {
    if deadline == waitq::FOREVER { waitq::FOREVER } else { deadline.saturating_sub(now()).max(0) }
}
