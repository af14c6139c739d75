//! Timers
//!
//! A timer sends the time to a channel, or runs a function, once or again and again. For a limit on one wait use the
//! call with a timeout; for a limit on everything that a goroutine does, a token with a deadline.

use super::chan::gmx_chan;
use super::*;
use crate::block::chan::Chan;
use crate::block::timer::{self, What};
use std::ffi::c_void;
use std::ptr::NonNull;

/// A timer. A handle is never used again, and 0 is no handle.
pub type gmx_timer = u64;

/// Runs fn(arg) on a goroutine of its own after delay nanoseconds (GMX_FOREVER: not before gmx_timer_reset). NULL out:
/// it cannot be stopped, and nothing needs to be freed; delay is not GMX_FOREVER then.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg stays the caller's; the timer is the caller's until gmx_timer_free.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL, or for GMX_FOREVER with a NULL out; GMX_ENOMEM.
/// Since: 0.1
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_after_func(
    delay: i64,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
    out: *mut gmx_timer,
) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    if out.is_null() && delay == FOREVER {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match timer::after(*m, delay, 0, What::Call(f, arg), out.is_null()) {
        Ok(t) => {
            if !out.is_null() {
                // SAFETY: the caller's promise.
                unsafe { *out = t };
            }
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

/// Makes a timer with a channel of int64_t: after delay nanoseconds (GMX_FOREVER: not before gmx_timer_reset) the time
/// of gmx_now is sent to it, and then every period nanoseconds; 0: once. There is room for one time: a slow receiver
/// loses some.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the timer is the caller's until gmx_timer_free, and so is one reference to the channel until gmx_chan_free.
/// Only the timer may send to the channel.
/// Returns: GMX_OK; GMX_EINVAL if out or chan is NULL, or period is negative; GMX_ENOMEM.
/// Since: 0.1
///
/// # Safety
/// `out` and `chan` are null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_timer_new(
    delay: i64,
    period: i64,
    out: *mut gmx_timer,
    chan: *mut *mut gmx_chan,
) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { new(delay, period, out, chan) }
}

/// # Safety
/// As for gmx_timer_new.
#[track_caller]
unsafe fn new(delay: i64, period: i64, out: *mut gmx_timer, chan: *mut *mut gmx_chan) -> gmx_status {
    if out.is_null() || chan.is_null() || period < 0 {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match with_channel(*m, delay, period) {
        Ok((t, c)) => {
            // SAFETY: the caller's promise.
            unsafe { *out = t };
            // SAFETY: the caller's promise.
            unsafe { *chan = c.as_ptr().cast() };
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

fn with_channel(m: MRef, delay: i64, period: i64) -> crate::gmp::Result<(gmx_timer, NonNull<Chan>)> {
    let c = Chan::make(m.sched(), std::mem::size_of::<i64>(), 1)?;
    // SAFETY: just made.
    unsafe { c.as_ref() }.add_ref()?;
    match timer::after(m, delay, period, What::Send(c), false) {
        Ok(t) => Ok((t, c)),
        Err(e) => {
            for _ in 0..2 {
                // SAFETY: both references are ours, and no other thread knows the channel, so none waits there.
                let _ = unsafe { Chan::free(c) };
            }
            Err(e)
        }
    }
}

/// Makes a channel of int64_t that gets one value: the time of gmx_now, once delay nanoseconds have passed
/// (GMX_FOREVER: never). With a delay of 0 or less the value is in the channel when the call returns. For a gmx_select
/// that waits for several things and a moment, and for a moment that several wait for.
///
/// The channel brings its timer along: there is nothing to stop, and gmx_chan_free ends both, before or after the value
/// came.
///
/// ```c
/// gmx_chan *late;
/// if (gmx_after(5000000000, &late) != GMX_OK) return;
/// gmx_select_case cases[] = {GMX_RECV(answers, &answer), GMX_RECV(late, NULL)};
/// gmx_status status = gmx_select(cases, 2, GMX_FOREVER, &chosen);
/// gmx_chan_free(late);
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the caller has one reference to the channel until gmx_chan_free. Only the timer may send to the channel.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ENOMEM.
/// Since: 0.2
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_after(delay: i64, out: *mut *mut gmx_chan) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match timer::after_chan(*m, delay) {
        Ok(c) => {
            // SAFETY: the caller's promise.
            unsafe { *out = c.as_ptr().cast() };
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

/// # Safety
/// `stopped` is null or writable.
#[track_caller]
unsafe fn tell(r: crate::gmp::Result<bool>, stopped: *mut bool) -> gmx_status {
    match r {
        Ok(yes) => {
            if !stopped.is_null() {
                // SAFETY: the caller's promise.
                unsafe { *stopped = yes };
            }
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

/// Makes a timer that sends the time every period nanoseconds: gmx_timer_new with period as both delay and period.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: as gmx_timer_new.
/// Returns: as gmx_timer_new; GMX_EINVAL if period is not above 0.
/// Since: 0.1
///
/// # Safety
/// `out` and `chan` are null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_ticker_new(period: i64, out: *mut gmx_timer, chan: *mut *mut gmx_chan) -> gmx_status {
    if period <= 0 {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise.
    unsafe { new(period, period, out, chan) }
}

/// Sets a timer anew, whatever it did: it fires after delay nanoseconds (GMX_FOREVER: never), and then every period; 0:
/// once. It stops the timer first, as gmx_timer_stop does: no earlier firing is seen any more.
///
/// A function that is called again and again is not called while the goroutine of the last firing has not begun.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing. stopped (may be NULL) gets whether that prevented an earlier firing.
/// Returns: GMX_OK; GMX_ESTALE; GMX_EINVAL if period is negative; GMX_ENOMEM: it is stopped.
/// Since: 0.1
///
/// # Safety
/// `stopped` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_timer_reset(timer: gmx_timer, delay: i64, period: i64, stopped: *mut bool) -> gmx_status {
    if period < 0 {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise.
    unsafe { reset(timer, delay, period, stopped) }
}

/// # Safety
/// As for gmx_timer_reset.
#[track_caller]
unsafe fn reset(timer: gmx_timer, delay: i64, period: i64, stopped: *mut bool) -> gmx_status {
    match started() {
        // SAFETY: the caller's promise.
        Ok(m) => unsafe { tell(timer::reset(*m, timer, delay, period), stopped) },
        Err(status) => status,
    }
}

/// Sets a timer to fire every period nanoseconds from now on: gmx_timer_reset with period as both delay and period.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: as gmx_timer_reset.
/// Returns: as gmx_timer_reset; GMX_EINVAL if period is not above 0.
/// Since: 0.1
///
/// # Safety
/// `stopped` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_ticker_reset(timer: gmx_timer, period: i64, stopped: *mut bool) -> gmx_status {
    // SAFETY: the caller's promise.
    if period <= 0 { wrong(GMX_EINVAL) } else { unsafe { reset(timer, period, period, stopped) } }
}

/// Stops a timer. When it has returned no function of this timer begins any more, and no time of before can be received
/// from its channel. A function that has begun continues.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing. stopped (NULL: not asked for) gets true if it was set, or had fired and the time was not received, or
/// its function had not begun; false if there was nothing to stop.
/// Returns: GMX_OK; GMX_ESTALE.
/// Since: 0.1
///
/// # Safety
/// `stopped` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_timer_stop(timer: gmx_timer, stopped: *mut bool) -> gmx_status {
    match any() {
        // SAFETY: the caller's promise.
        Ok(m) => unsafe { tell(timer::stop(*m, timer), stopped) },
        Err(status) => status,
    }
}

/// Stops a timer, as gmx_timer_stop, and frees it. Its channel stays as long as there is a reference to it.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the timer is the library's again. stopped: as gmx_timer_stop.
/// Returns: GMX_OK; GMX_ESTALE; GMX_EBUSY if there is no reference to its channel and a caller waits there all the
/// same: the timer is stopped only.
/// Since: 0.1
///
/// # Safety
/// `stopped` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_timer_free(timer: gmx_timer, stopped: *mut bool) -> gmx_status {
    match any() {
        // SAFETY: the caller's promise.
        Ok(m) => unsafe { tell(timer::free(*m, timer), stopped) },
        Err(status) => status,
    }
}
