//! close, dup2, dup3: they end the waits for the number that they close.

use crate::caller::not_for_libgomax;
use crate::{api, next, sys, wait};
use core::ffi::c_int;

/// # Safety
/// As for close(2).
unsafe extern "C" fn our_close(fd: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::close(fd) };
    if api::is_on() { wait::closing(fd, next) } else { next() }
}

/// Makes a call that puts a duplicate of `from` at `to`, and so closes what is there; unless it changes nothing.
fn puts(from: c_int, to: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if !api::is_on() || from == to || wait::are_none() || sys::is_nonblocking(from).is_err() {
        return call();
    }
    wait::closing(to, call)
}

/// # Safety
/// As for dup2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(from: c_int, to: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::dup2(from, to) };
    puts(from, to, next)
}

/// # Safety
/// As for dup3(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::dup3(from, to, flags) };
    puts(from, to, next)
}

not_for_libgomax! {
    close = our_close;
}
