//! Being told of a cancellation
//!
//! A function runs when a token is canceled: for code that ends a wait outside the library, such as a read from a
//! socket.

use super::cancel::{gmx_cancel, token_of};
use super::chan::gmx_chan;
use super::*;
use crate::block::cancel::Ref;
use crate::block::{done, hook};
use crate::gmp::error::Error;
use std::ffi::c_void;

/// A function that runs when a token is canceled. A handle is never used again, and 0 is no handle.
pub type gmx_cancel_hook = u64;

/// As [`token_of`], where there must be one.
fn existing(m: MRef, handle: gmx_cancel) -> crate::gmp::Result<Ref> {
    token_of(m, handle)?.ok_or(Error::Stale)
}

/// A channel that is closed when a token is canceled, for gmx_select: one of its cases may be a cancellation, or
/// several may, of different tokens. Nothing is ever sent there, and only the library closes it. 0: the caller's
/// current token.
///
/// ```c
/// gmx_status status = gmx_cancel_chan(0, &canceled);
/// if (status != GMX_OK) return status;
/// gmx_select_case cases[2] = {{.chan = jobs, .elem = &job}, {.chan = canceled}};
/// status = gmx_select(cases, 2, timeout, &chosen); // chosen == 1 and GMX_ECLOSED: canceled
/// ```
///
/// Each call returns the same channel. If the token ends without being canceled, the channel stays open.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the caller has one reference, also when the token is freed; gmx_chan_free gives it back.
/// Returns: GMX_OK, also if the token is canceled; GMX_EINVAL if out is NULL; GMX_ESTALE, also for 0 if there is none;
/// GMX_ENOMEM.
/// Since: 0.2
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cancel_chan(token: gmx_cancel, out: *mut *mut gmx_chan) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    let chan = |m: MRef| existing(m, token).and_then(|token| done::chan(m, &token));
    match any().and_then(|m| chan(*m).map_err(|e| status::from(e))) {
        Ok(chan) => {
            // SAFETY: the caller's promise.
            unsafe { *out = chan.as_ptr().cast() };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Runs fn(arg) on a goroutine of its own when a token is canceled; at once if it is. 0: the caller's current token.
/// The goroutine is under no token.
///
/// hook: where the hook is written, which gmx_cancel_hook_stop frees. NULL: fn is not to be stopped.
///
/// ```c
/// gmx_cancel_hook hook;
/// gmx_status status = gmx_cancel_after(0, wakes_the_reader, &reader, &hook); // read_all waits outside the library
/// if (status != GMX_OK) return status;
/// read_all(&reader);
/// bool stopped;
/// gmx_cancel_hook_stop(hook, &stopped); // false: wakes_the_reader runs, or has run
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg stays the caller's. The hook is the caller's until gmx_cancel_hook_stop, and the token lives until then;
/// without a hook, until fn is started.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ESTALE, also for 0 if there is none; GMX_ENOMEM.
/// Since: 0.2
///
/// # Safety
/// `hook` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cancel_after(
    token: gmx_cancel,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
    hook: *mut gmx_cancel_hook,
) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    let after = |m: MRef| existing(m, token).and_then(|token| hook::after(m, token, f, arg, !hook.is_null()));
    match any().and_then(|m| after(*m).map_err(|e| status::from(e))) {
        Ok(_) if hook.is_null() => GMX_OK,
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { *hook = handle };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Ends a hook of gmx_cancel_after. It does not wait for fn.
///
/// stopped (may be NULL): true if fn will not be started; false if fn runs, has run, or is about to run.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the hook is the library's again.
/// Returns: GMX_OK; GMX_ESTALE.
/// Since: 0.2
///
/// # Safety
/// `stopped` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cancel_hook_stop(hook: gmx_cancel_hook, stopped: *mut bool) -> gmx_status {
    match any().and_then(|m| hook::stop(*m, hook).map_err(|e| status::from(e))) {
        Ok(did) => {
            if !stopped.is_null() {
                // SAFETY: the caller's promise.
                unsafe { *stopped = did };
            }
            GMX_OK
        }
        Err(status) => status,
    }
}
