//! poll and ppoll: gmx_poll_many.
//!
//! A signal mask is a thread's: with one, ppoll blocks the thread (SHIM-A4). No signal ends the wait of a G.

use crate::caller::not_for_libgomax;
use crate::{api, gmx, held, next, sys};
use core::ffi::c_int;
use libc::{nfds_t, pollfd, sigset_t, timespec};

/// # Migrates
///
/// # Safety
/// As for poll(2); `next` is the function behind.
unsafe fn wait(fds: *mut pollfd, n: nfds_t, timeout: i64, next: impl Fn() -> c_int) -> c_int {
    if held::is_held() {
        return held::on_thread(next);
    }
    // SAFETY: the caller's promise.
    match unsafe { gmx::gmx_poll_many(fds, n as usize, timeout) } {
        ready @ 1.. => ready,
        gmx::ETIMEDOUT => 0,
        gmx::ECANCELED => sys::result(-(libc::ECANCELED as isize)) as c_int,
        // SHIM-A6; and what is wrong with the arguments, the system says best.
        _ => next(),
    }
}

/// # Safety
/// As for poll(2).
unsafe extern "C" fn our_poll(fds: *mut pollfd, n: nfds_t, ms: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::poll(fds, n, ms) };
    if ms == 0 || !api::is_active(api::POLL) {
        return next();
    }
    let timeout = if ms < 0 { gmx::FOREVER } else { i64::from(ms) * 1_000_000 };
    // SAFETY: the caller's promise.
    unsafe { wait(fds, n, timeout, next) }
}

/// # Safety
/// As for ppoll(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::ppoll(fds, n, time, mask) };
    if !api::is_active(api::POLL) {
        return next();
    }
    // SAFETY: the caller's promise.
    let timeout = match unsafe { sys::given(time) } {
        None => gmx::FOREVER,
        Some(t) => match sys::nanoseconds(&t) {
            None | Some(0) => return next(),
            Some(ns) => ns,
        },
    };
    if !mask.is_null() {
        return held::on_thread(next);
    }
    // SAFETY: the caller's promise.
    unsafe { wait(fds, n, timeout, next) }
}

/// Whether there is room for `n` entries: otherwise the next function ends the program.
fn fits(n: nfds_t, room: usize) -> bool {
    room / size_of::<pollfd>() >= n as usize
}

/// # Safety
/// As for poll(2), with the size of the array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __poll_chk(fds: *mut pollfd, n: nfds_t, ms: c_int, room: usize) -> c_int {
    if fits(n, room) && api::is_active(api::POLL) {
        // SAFETY: the caller's promise.
        return unsafe { our_poll(fds, n, ms) };
    }
    // SAFETY: the caller's promise.
    unsafe { next::__poll_chk(fds, n, ms, room) }
}

/// # Safety
/// As for ppoll(2), with the size of the array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __ppoll_chk(
    fds: *mut pollfd,
    n: nfds_t,
    time: *const timespec,
    mask: *const sigset_t,
    room: usize,
) -> c_int {
    if fits(n, room) && api::is_active(api::POLL) {
        // SAFETY: the caller's promise.
        return unsafe { ppoll(fds, n, time, mask) };
    }
    // SAFETY: the caller's promise.
    unsafe { next::__ppoll_chk(fds, n, time, mask, room) }
}

not_for_libgomax! {
    poll = our_poll;
}
