//! getaddrinfo.
//!
//! libgomax asks the C library's resolver on a goroutine of its own, in a syscall: that call is passed on (CALLER-A2).

use crate::caller::not_for_libgomax;
use crate::{api, gmx, held, next, sys};
use core::ffi::{c_char, c_int};
use libc::addrinfo;

/// # Safety
/// As for getaddrinfo(3).
unsafe extern "C" fn our_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    res: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: the caller's promise.
    let flags = unsafe { hints.as_ref() }.map_or(0, |h| h.ai_flags);
    // SAFETY: the caller's promise.
    let next = || unsafe { next::getaddrinfo(node, service, hints, res) };
    if !api::is_active(api::NAMES) || node.is_null() || flags & libc::AI_NUMERICHOST != 0 {
        return next();
    }
    if held::is_held() {
        return held::on_thread(next);
    }
    // SAFETY: the caller's promise.
    match unsafe { gmx::gmx_getaddrinfo(node, service, hints, res, gmx::FOREVER) } {
        gmx::OK => 0,
        e @ gmx::EAI_MOST..gmx::EAI => e - gmx::EAI,
        gmx::ECANCELED => {
            sys::set_errno(libc::ECANCELED);
            libc::EAI_SYSTEM
        }
        _ => next(),
    }
}

not_for_libgomax! {
    getaddrinfo = our_getaddrinfo;
}
