//! Cancellation
//!
//! A token cancels waits. A goroutine runs under one; when it is canceled, or its deadline passes, what the goroutine
//! waits for ends with GMX_ECANCELED, and it tidies up and returns. Tokens form a tree: a token made under another is
//! canceled with it. Waits for locks and for the end of goroutines are not ended, so that what was begun is finished.

use super::*;
use crate::block::cancel::{self, Reason, Ref};
use crate::block::waitq;
use crate::gmp::error::Error;
use crate::gmp::g::GRef;
use crate::gmp::m::{Ctx, MRef};

/// A token of cancellation. When a token, or the one that it was made under, is canceled, by hand or at its deadline,
/// the calls that wait for an event under it end with GMX_ECANCELED: channels, select, sleep, semaphores and condition
/// variables. The wait for a lock or for an end does not: mutex, rwmutex, once, wait group, join, leaving a scope. So a
/// caller that does not check the status of a lock holds the lock, and a join has waited, also in a scope that fails.
/// The line "Cancellable" of each function says whether a token ends its wait.
///
/// A handle is never used again, and 0 is no handle.
pub type gmx_cancel = u64;

/// The G whose current token the caller may change: its own, or the one that stands for the thread.
pub(super) fn holder(m: MRef) -> Option<GRef> {
    match m.ctx() {
        Ctx::Foreign => Some(m.own_g()),
        Ctx::G | Ctx::Syscall => m.g(),
        Ctx::Stopped if m.p().is_some() => m.g(),
        _ => None,
    }
}

/// The token of a handle; 0 is the caller's current one.
pub(super) fn token_of(m: MRef, handle: gmx_cancel) -> crate::gmp::Result<Option<Ref>> {
    let handle = match handle {
        0 => match holder(m).and_then(cancel::current) {
            Some(current) => current.token().handle.get(),
            None => return Ok(None),
        },
        handle => return cancel::find(m.sched(), handle, false).map(Some),
    };
    cancel::find(m.sched(), handle, true).map(Some)
}

fn why(m: MRef, handle: gmx_cancel) -> crate::gmp::Result<Option<Reason>> {
    Ok(token_of(m, handle)?.and_then(|token| cancel::reason(m, &token)))
}

/// Makes a token. It is canceled by gmx_cancel_now, after timeout nanoseconds, or with the token parent (0: no parent).
/// It is canceled from the beginning if parent is, or if timeout is 0.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the token is the caller's until gmx_cancel_free.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_ESTALE for a parent that is not valid; GMX_ENOMEM.
/// Since: 0.1
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cancel_new(parent: gmx_cancel, timeout: i64, out: *mut gmx_cancel) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let parent = match parent {
        0 => Ok(None),
        parent => cancel::find(m.sched(), parent, false).map(Some),
    };
    match parent.and_then(|parent| cancel::make(*m, parent.as_ref(), waitq::deadline_of(timeout))) {
        Ok(token) => {
            // SAFETY: the caller's promise.
            unsafe { *out = token.forget().handle.get() };
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

/// Cancels a token and all that were made under it. A wait under one of them ends with GMX_ECANCELED, and
/// so does the next one; what it would have waited for is unchanged.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK, also if it was canceled already; GMX_ESTALE.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_now(token: gmx_cancel) -> gmx_status {
    match any() {
        Ok(m) => map(cancel::find(m.sched(), token, false).map(|token| {
            cancel::cancel(*m, &token, Reason::BY_HAND);
        })),
        Err(status) => status,
    }
}

/// As gmx_cancel_now, with a reason of the caller's own, which gmx_cancel_reason returns for this token and for those
/// made under it. Waits end with GMX_ECANCELED all the same. If the token was canceled before, its reason stays.
///
/// reason: any status below 0, of the library or of the program.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK, also if it was canceled already; GMX_EINVAL if reason is not below 0; GMX_ESTALE.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_now_because(token: gmx_cancel, reason: gmx_status) -> gmx_status {
    let Some(reason) = Reason::own(reason) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(cancel::find(m.sched(), token, false).map(|token| {
            cancel::cancel(*m, &token, reason);
        })),
        Err(status) => status,
    }
}

/// Why a token is canceled. 0: the caller's current one.
///
/// reason: GMX_OK if it is not canceled, or there is none; GMX_ECANCELED by gmx_cancel_now; GMX_ETIMEDOUT by its
/// deadline; or what gmx_cancel_now_because was given. A token that is canceled with one above it has that one's
/// reason.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if reason is NULL; GMX_ESTALE.
/// Since: 0.2
///
/// # Safety
/// `reason` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cancel_reason(token: gmx_cancel, reason: *mut gmx_status) -> gmx_status {
    if reason.is_null() {
        return wrong(GMX_EINVAL);
    }
    match any().and_then(|m| why(*m, token).map_err(|e| status::from(e))) {
        Ok(why) => {
            // SAFETY: the caller's promise.
            unsafe { *reason = why.map_or(GMX_OK, Reason::status) };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// When a token is canceled at the latest, on the clock of gmx_now: the earliest of its own deadline and those above
/// it. 0: the caller's current one.
///
/// deadline: INT64_MAX if there is none.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if deadline is NULL; GMX_ESTALE.
/// Since: 0.2
///
/// # Safety
/// `deadline` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cancel_deadline(token: gmx_cancel, deadline: *mut i64) -> gmx_status {
    if deadline.is_null() {
        return wrong(GMX_EINVAL);
    }
    match any().and_then(|m| token_of(*m, token).map_err(|e| status::from(e))) {
        Ok(token) => {
            // SAFETY: the caller's promise.
            unsafe { *deadline = token.map_or(i64::MAX, |token| token.deadline()) };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Whether a token is canceled, for a loop that waits for nothing. 0: the caller's current one.
///
/// A stale token counts as canceled: an answer of true stays true when the token is freed, and a loop ends although
/// its token is gone. gmx_cancel_reason tells the two apart.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: true if it is canceled or stale; false if it is not canceled, for 0 if there is none, and on a thread
/// that the library did not know and has no memory to know.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_is_canceled(token: gmx_cancel) -> bool {
    any().is_ok_and(|m| why(*m, token).map_or_else(|e| e == Error::Stale, |reason| reason.is_some()))
}

/// Makes a token the caller's current one: from now on it ends what the caller waits for, as "Cancellable" of each
/// function says. 0: none. A goroutine begins with none, except one that a scope has spawned, and ends with its own;
/// an attached thread begins with the thread's, and has none after gmx_detach_thread.
///
/// previous: where the former token is written, unless NULL. It can be made current again even if it was freed
/// meanwhile, as long as a token that was made under it exists, or it is the current token of a goroutine or thread.
///
/// Blocks: never.
/// Call from: every context but a scheduler's callback and a foreign thread that has stopped the world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: a token that is freed lives on as long as it is the current token of a goroutine or thread.
/// Returns: GMX_OK; GMX_ESTALE; GMX_ENOTG.
/// Since: 0.1
///
/// # Safety
/// `previous` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_cancel_use(token: gmx_cancel, previous: *mut gmx_cancel) -> gmx_status {
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let Some(gp) = holder(*m) else { return wrong(GMX_ENOTG) };
    let token = match token {
        0 => None,
        token => match cancel::find(m.sched(), token, true) {
            Ok(token) => Some(token),
            Err(e) => return status::from(e),
        },
    };
    let old = cancel::replace(gp, token);
    if !previous.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *previous = old.map_or(0, |old| old.handle.get()) };
    }
    if let Some(old) = old {
        cancel::unref(m.sched(), old);
    }
    GMX_OK
}

/// Sets whether the caller's token also ends the caller's waits for locks and for ends: mutex, rwmutex, once, wait
/// group and join return GMX_ECANCELED then. Not to be set around code that does not check each of these calls. An
/// interpreter whose main thread has to react to a signal needs it:
///
/// ```c
/// bool before = gmx_cancel_locks(true);
/// gmx_status status = gmx_mutex_lock(&m); // GMX_ECANCELED: it is not locked
/// gmx_cancel_locks(before);
/// ```
///
/// A goroutine begins without it; an attached thread begins with what the thread has.
///
/// Blocks: never.
/// Call from: every context; it does nothing in a scheduler's callback and on a foreign thread that has stopped the
/// world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: what it was before.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_locks(too: bool) -> bool {
    any().is_ok_and(|m| holder(*m).is_some_and(|gp| cancel::set_locks(gp, too)))
}

/// Begins a shield around the caller: until gmx_cancel_unshield no token ends what the caller waits for. It is for code
/// that cleans up in a goroutine that is canceled, and has to wait for that. Shields nest. A token that is canceled
/// meanwhile stays so: gmx_cancel_reason tells it, and the first wait behind the shield ends with GMX_ECANCELED.
///
/// ```c
/// gmx_status status = gmx_chan_send(out, &block); // GMX_ECANCELED: the scope gives up
/// if (status != GMX_OK) {
///   gmx_cancel_shield();
///   status = gmx_chan_send(spare, &block); // the block goes back all the same
///   gmx_cancel_unshield();
/// }
/// ```
///
/// A shield is the caller's alone: a goroutine that it spawns has none. A goroutine that ends within a shield has ended
/// it, and so has gmx_detach_thread.
///
/// Blocks: never.
/// Call from: every context but a scheduler's callback and a foreign thread that has stopped the world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBUSY if there are 2^32 - 1 around the caller; GMX_ENOTG.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_shield() -> gmx_status {
    shield(cancel::shield)
}

/// Ends the last shield that the caller has begun and not ended.
///
/// Blocks: never.
/// Call from: every context but a scheduler's callback and a foreign thread that has stopped the world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if there is none; GMX_ENOTG.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_unshield() -> gmx_status {
    shield(cancel::unshield)
}

#[track_caller]
fn shield(f: fn(GRef) -> crate::gmp::Result<()>) -> gmx_status {
    match any() {
        Ok(m) => match holder(*m) {
            Some(gp) => map(f(gp)),
            None => wrong(GMX_ENOTG),
        },
        Err(status) => status,
    }
}

/// The caller's current token.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the token; 0 if there is none.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_current() -> gmx_cancel {
    match MRef::current() {
        Some(m) => holder(m).and_then(cancel::current).map_or(0, |current| current.token().handle.get()),
        None => 0,
    }
}

/// Cancels the goroutine g, which was spawned with GMX_SPAWN_CANCELLABLE: its own token is canceled, so that its waits
/// for events end with GMX_ECANCELED, the one that it is in and those to come, and so do those of whatever is below
/// that token. The goroutine is not stopped: it ends when its function returns. gmx_cancel_reason gives the reason of
/// the token: a status, or any other number below zero.
///
/// While a goroutine has another current token (gmx_cancel_use), the cancellation does not reach it.
///
/// ```c
/// gmx_spawn_opts opts = {.flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_CANCELLABLE};
/// gmx_g worker;
/// if (gmx_spawn_with(&opts, work, job, &worker) == GMX_OK) {
///   if (too_late()) (void)gmx_cancel_g(worker, GMX_ECANCELED);
///   if (gmx_join(worker, GMX_FOREVER) != GMX_OK) abort();
/// }
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK, also if it was canceled already, which keeps the first reason; GMX_ESTALE: it has ended;
/// GMX_EPERM: it was spawned without GMX_SPAWN_CANCELLABLE; GMX_EINVAL: reason is not below zero.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_g(g: gmx_g, reason: gmx_status) -> gmx_status {
    let Some(reason) = Reason::own(reason) else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => match cancel::cancel_g(*m, g, reason) {
            Ok(_) => GMX_OK,
            // The goroutine may have ended meanwhile.
            Err(Error::Stale) => GMX_ESTALE,
            Err(e) => status::from(e),
        },
        Err(status) => status,
    }
}

/// Frees a token. That does not cancel it: waits under it continue, tokens made under it stay as they are, and its
/// deadline still cancels it.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the token is the library's again.
/// Returns: GMX_OK; GMX_ESTALE.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_cancel_free(token: gmx_cancel) -> gmx_status {
    match any() {
        Ok(m) => map(cancel::free(m.sched(), token)),
        Err(status) => status,
    }
}
