//! Time

use super::*;
use crate::block::sleep;
use crate::gmp::timers::later;
use crate::sync::now;

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

/// Sleeps for at least this many nanoseconds; 0 or less yields.
///
/// Blocks: the goroutine, or the thread of a caller that is none.
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
        return gmx_yield();
    }
    match may_wait() {
        Ok(m) => tried(sleep::sleep_until(m, later(now(), ns)).1),
        Err(status) => status,
    }
}
