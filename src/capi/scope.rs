//! Scopes
//!
//! A scope starts goroutines and is left only when all have ended. The first that fails cancels the others. It is what
//! to use wherever one function starts several goroutines to do its work.

use super::cancel::gmx_cancel;
use super::*;
use crate::block::scope::{self, By};
use std::ffi::c_void;

/// Goroutines that belong together: the caller that leaves the scope waits for all of them. A handle is never used
/// again, and 0 is no handle.
pub type gmx_scope = u64;

/// Makes a scope. It has a token of cancellation under the caller's current one, which is canceled when a goroutine of
/// the scope fails, or after timeout nanoseconds.
///
/// Blocks: never.
/// Call from: G, attached thread, foreign thread; also in a syscall, pinned, or with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the scope is the caller's until gmx_scope_leave.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ENOMEM; GMX_ENOTG in a scheduler's callback.
/// Since: 0.1
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_scope_new(timeout: i64, out: *mut gmx_scope) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) if m.ctx() == crate::gmp::m::Ctx::Sched => return wrong(GMX_ENOTG),
        Ok(m) => m,
        Err(status) => return status,
    };
    match scope::make(*m, timeout) {
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

/// Starts a goroutine in a scope that runs fn(arg), under the scope's token. What fn returns is an error if it is below
/// 0: the first one is kept, and cancels the token.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL, or for more than 2^31-1; GMX_ESTALE if the scope was left; GMX_ENOMEM;
/// GMX_ESHUTDOWN.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_scope_spawn(
    scope: gmx_scope,
    r#fn: Option<extern "C" fn(*mut c_void) -> gmx_status>,
    arg: *mut c_void,
) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    match started() {
        Ok(m) => map(scope::spawn(*m, scope, f, arg)),
        Err(status) => status,
    }
}

/// Puts the caller into a scope, under its token, until gmx_scope_leave: the deadline of the scope, the first error of
/// its goroutines and gmx_scope_cancel end what the caller waits for, as if it were one of them. Leaving the scope
/// makes the caller's former token the current one again. Scopes nest, and may be left in any order.
///
/// One goroutine or thread at a time is in a scope, and only it leaves the scope. If it ends before, or the thread is
/// detached, no caller is in the scope, and any other may leave it.
///
/// Blocks: never.
/// Call from: G, attached thread, foreign thread; also in a syscall, pinned, or with the world stopped by a goroutine.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the scope is there until it is left.
/// Returns: GMX_OK; GMX_EBUSY if a goroutine or thread is in the scope, perhaps the caller, or leaves it; GMX_EDEADLK
/// from a goroutine of the scope, or of a scope that such a one has made; GMX_ESTALE; GMX_ENOMEM; GMX_ENOTG in a
/// scheduler's callback and on a thread that has stopped the world.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_scope_enter(scope: gmx_scope) -> gmx_status {
    match any() {
        Ok(m) if super::cancel::holder(*m).is_none() => wrong(GMX_ENOTG),
        Ok(m) => map(scope::enter(*m, scope)),
        Err(status) => status,
    }
}

/// Waits until all goroutines of a scope have ended, and frees the scope. Neither the caller's own token nor that of
/// the scope ends the wait: the cancellation has reached the goroutines.
///
/// timeout: nanoseconds; GMX_FOREVER; 0 only looks.
///
/// result: where the first error is written, or GMX_OK, unless NULL.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: no.
/// Owns: on GMX_OK the scope is the library's again.
/// Returns: GMX_OK: it is left; GMX_ETIMEDOUT: it is not left, and the call has canceled nothing; GMX_EBUSY while
/// another leaves it; GMX_EPERM if another has entered it; GMX_EDEADLK from a goroutine of the scope, or of a scope
/// that such a one has made; GMX_ESTALE; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
///
/// # Safety
/// `result` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_scope_leave(scope: gmx_scope, timeout: i64, result: *mut gmx_status) -> gmx_status {
    match may_wait().and_then(|m| scope::leave(*m, scope, timeout).map_err(|e| failed(e))) {
        Ok(error) => {
            if !result.is_null() {
                // SAFETY: the caller's promise.
                unsafe { *result = error };
            }
            GMX_OK
        }
        Err(status) => status,
    }
}

/// gmx_scope_end.by: nothing ended the scope before its goroutines.
pub const GMX_SCOPE_ITSELF: u32 = 0;
/// gmx_scope_end.by: an error of one of its goroutines canceled the others.
pub const GMX_SCOPE_FAILURE: u32 = 1;
/// gmx_scope_end.by: its deadline, or one above it.
pub const GMX_SCOPE_DEADLINE: u32 = 2;
/// gmx_scope_end.by: it was canceled from outside: by gmx_scope_cancel, its token, or one above that.
pub const GMX_SCOPE_CANCEL: u32 = 3;

/// By what a scope was ended: by what canceled its token first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_scope_end {
    /// sizeof(gmx_scope_end) of the caller.
    pub struct_size: usize,
    /// GMX_SCOPE_*.
    pub by: u32,
    /// GMX_OK; after a failure its error; after a deadline GMX_ETIMEDOUT; after a cancel its reason: see
    /// gmx_cancel_reason.
    pub status: gmx_status,
    /// After a failure the goroutine that failed, which has ended since; otherwise 0.
    pub g: gmx_g,
}

/// As gmx_scope_leave, and says by what the scope was ended.
///
/// ```c
/// gmx_scope_end end = {.struct_size = sizeof end};
/// gmx_status status = gmx_scope_leave_why(scope, timeout, &end);
/// if (status != GMX_OK) return status; // GMX_ETIMEDOUT: it is not left
/// if (end.by == GMX_SCOPE_DEADLINE) return late();
/// if (end.by == GMX_SCOPE_FAILURE) return failed(end.status);
/// ```
///
/// Blocks: as gmx_scope_leave.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: when it waits, and unless GMX_OK.
/// Migrates: when it waits, and unless GMX_OK.
/// Cancellable: no.
/// Owns: on GMX_OK the scope is the library's again.
/// Returns: as gmx_scope_leave; GMX_EINVAL if end is NULL or its struct_size cannot be: the scope is not left.
/// Since: 0.2
///
/// # Safety
/// `end` is null or points to as many bytes as its `struct_size` says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_scope_leave_why(scope: gmx_scope, timeout: i64, end: *mut gmx_scope_end) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { read_sized(end.cast_const()) } {
        Ok(Some(_)) => {}
        Ok(None) => return wrong(GMX_EINVAL),
        Err(status) => return status,
    }
    match may_wait().and_then(|m| scope::leave_why(*m, scope, timeout).map_err(|e| failed(e))) {
        Ok(ended) => {
            let (by, status, g) = match ended.by {
                By::Itself => (GMX_SCOPE_ITSELF, GMX_OK, 0),
                By::Failure(error, g) => (GMX_SCOPE_FAILURE, error, g),
                By::Deadline => (GMX_SCOPE_DEADLINE, GMX_ETIMEDOUT, 0),
                By::Cancel(reason) => (GMX_SCOPE_CANCEL, reason, 0),
            };
            // SAFETY: the caller's promise; its size was looked at.
            unsafe { write_sized(end, &gmx_scope_end { struct_size: 0, by, status, g }) }
        }
        Err(status) => status,
    }
}

/// Cancels the token of a scope: what its goroutines wait for ends with GMX_ECANCELED.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ESTALE.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_scope_cancel(scope: gmx_scope) -> gmx_status {
    match any() {
        Ok(m) => map(scope::cancel(*m, scope)),
        Err(status) => status,
    }
}

/// The token of a scope: for tokens to be made under it, and to ask for its reason.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the token is the scope's; leaving the scope frees it.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ESTALE.
/// Since: 0.1
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_scope_token(scope: gmx_scope, out: *mut gmx_cancel) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    match any().and_then(|m| scope::token(*m, scope).map_err(|e| status::from(e))) {
        Ok(token) => {
            // SAFETY: the caller's promise.
            unsafe { *out = token.handle.get() };
            GMX_OK
        }
        Err(status) => status,
    }
}
