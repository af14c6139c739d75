//! sleep, usleep, nanosleep, clock_nanosleep.
//!
//! No signal ends the sleep of a G: signals are a thread's. A canceled token does, with ECANCELED.

use crate::caller::not_for_libgomax;
use crate::{api, gmx, held, next, sys};
use core::ffi::{c_int, c_uint};
use libc::{clockid_t, timespec, useconds_t};

/// Sleeps on the G. None: it cannot.
///
/// # Migrates
fn park(ns: i64) -> Option<Result<(), c_int>> {
    match gmx::gmx_sleep(ns) {
        gmx::OK => Some(Ok(())),
        gmx::ECANCELED => Some(Err(libc::ECANCELED)),
        _ => None,
    }
}

/// As [`park`], with a function for callers that are held or cannot park.
fn pass<R>(ns: i64, next: impl Fn() -> R, ends: impl Fn(Result<(), c_int>) -> R) -> R {
    if held::is_held() {
        return held::on_thread(next);
    }
    match park(ns) {
        Some(r) => ends(r),
        None => next(),
    }
}

/// -1 and errno, or 0.
fn ends(r: Result<(), c_int>) -> c_int {
    sys::result(r.map_or_else(|e| -(e as isize), |()| 0)) as c_int
}

/// # Safety
/// As for sleep(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sleep(seconds: c_uint) -> c_uint {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::sleep(seconds) };
    if !api::is_active(api::SLEEP) {
        return next();
    }
    let until = gmx::gmx_deadline(i64::from(seconds) * 1_000_000_000);
    pass(i64::from(seconds) * 1_000_000_000, next, |r| match r {
        Ok(()) => 0,
        Err(_) => (gmx::gmx_time_left(until) / 1_000_000_000) as c_uint,
    })
}

/// # Safety
/// As for usleep(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usleep(us: useconds_t) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::usleep(us) };
    if !api::is_active(api::SLEEP) {
        return next();
    }
    pass(i64::from(us) * 1000, next, ends)
}

/// # Safety
/// As for nanosleep(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::nanosleep(time, left) };
    if !api::is_active(api::SLEEP) {
        return next();
    }
    // SAFETY: the caller's promise.
    match unsafe { sys::given(time) }.as_ref().and_then(sys::nanoseconds) {
        Some(ns) => pass(ns, next, ends),
        None => next(),
    }
}

/// Relative times pass on the clock of libgomax, as all these clocks advance alike, and so do moments of the monotonic
/// clock. A moment of another clock moves when that clock is set, or while the machine sleeps: the system waits for it.
///
/// # Safety
/// As for clock_nanosleep(2).
unsafe extern "C" fn our_clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::clock_nanosleep(clock, flags, time, left) };
    if !api::is_active(api::SLEEP) {
        return next();
    }
    // SAFETY: the caller's promise.
    let ns = unsafe { sys::given(time) }.as_ref().and_then(sys::nanoseconds);
    match (ns, clock, flags) {
        (Some(ns), libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC, 0) => pass(ns, next, |r| r.err().unwrap_or(0)),
        (Some(at), libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME) => {
            pass(at.saturating_sub(sys::now(clock)).max(0), next, |r| r.err().unwrap_or(0))
        }
        (Some(_), ..) => held::on_thread(next),
        _ => next(),
    }
}

not_for_libgomax! {
    clock_nanosleep = our_clock_nanosleep;
}
