//! Doing something once
//!
//! A once runs a function the first time that it is asked, and makes all callers wait until that has returned: for
//! tables that are built at their first use.

use super::*;
use crate::block::once::{self, Begun, Frame, Once};
use crate::block::waitq;
use crate::gmp::m::MRef;
use crate::protocol::seize;
use crate::sys::call;
use std::ffi::c_void;

/// Something to be done once. Zero is ready; nothing needs to be freed.
#[repr(C)]
pub struct gmx_once {
    pub state: u32,
    pub reserved: u32,
    pub owner: u64,
}

/// For the part of the header that is inline.
///
/// cbindgen:ignore
#[doc(hidden)]
pub const ONCE_DONE: u32 = once::DONE;

// SAFETY: the fields of one are those of the other.
unsafe impl Object for gmx_once {
    type Is = Once;
}

/// Calls fn(arg) if this is the first call for this once; a caller that comes meanwhile waits until fn has returned. If
/// a goroutine ends within fn, the once is done.
///
/// Blocks: while fn runs, as fn does; while another caller is running fn, the calling goroutine; on a foreign thread,
/// the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK: it is done; GMX_EDEADLK from within fn; GMX_EINVAL if once is NULL
/// or not aligned, or fn is NULL; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `once` is null or points to a once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_once_do(
    once: *mut gmx_once,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
) -> gmx_status {
    if r#fn.is_some()
        // SAFETY: the caller's promise.
        && let Some(once) = unsafe { object(once) }
        && once.is_done()
    {
        return GMX_OK;
    }
    // SAFETY: the caller's promise.
    unsafe { do_timeout(once, r#fn, arg, FOREVER) }
}

/// As gmx_once_do, but waits for another's fn no longer than timeout nanoseconds.
///
/// Blocks: as gmx_once_do, for another no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: arg stays the caller's.
/// Returns: as gmx_once_do; GMX_ETIMEDOUT; GMX_ENOMEM.
/// Since: 0.1
///
/// # Safety
/// `once` is null or points to a once.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_once_do_timeout(
    once: *mut gmx_once,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
    timeout: i64,
) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { do_timeout(once, r#fn, arg, timeout) }
}

/// # Safety
/// As for gmx_once_do.
#[inline(never)]
#[track_caller]
unsafe fn do_timeout(
    once: *mut gmx_once,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
    timeout: i64,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let (Some(once), Some(f)) = (unsafe { object(once) }, r#fn) else { return wrong(GMX_EINVAL) };
    if once.is_done() {
        return GMX_OK;
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let (m, begun) = once.begin(*m, waitq::deadline_of(timeout));
    match begun {
        Ok(Begun::Yes) => do_it(m, once, f, arg),
        begun => tried(begun.map(|_| ())),
    }
}

#[track_caller]
fn do_it(m: MRef, once: &Once, f: extern "C" fn(*mut c_void), arg: *mut c_void) -> gmx_status {
    let gp = waitq::waiter(m);
    let mut frame = Frame::default();
    once.enter(gp, &mut frame);
    seize::host(m, || call::plain(f, arg));
    frame.leave(gp);
    // It may be on another thread now.
    match MRef::current() {
        Some(m) => {
            once.end(m);
            GMX_OK
        }
        None => wrong(GMX_ENOTG),
    }
}
