//! Functions that run when a token is canceled, each on its own G.
//!
//! # Problem
//! A caller wants a function to run on a cancellation, without waiting for it, and may withdraw it at the same moment.
//! A stop that returns true has kept the function from being started. A cancellation must not fail because memory is
//! exhausted.
//!
//! # Words
//!
//! | word of a hook | meaning | guarded by |
//! |---|---|---|
//! | `handle` | the owner's; 0 once the hook is stopped | atomic |
//! | `gp` | a free descriptor, reserved for the G from the beginning | the token's lock |
//! | `listed`, links | the hook's place in the token's list | the token's lock |
//!
//! A hook holds a count for its token until it is freed.
//!
//! # Protocol
//! * HOOK-H1 begin: do everything first that may fail. Then put the hook into the list, under the token's lock. If the
//!   token is canceled already, start the function here.
//! * HOOK-H2 The canceller (CANCEL-K2), under the lock, takes the hook out of the list, and owns the descriptor. With
//!   the lock open it starts the G.
//! * HOOK-H3 stop: set the handle to 0 by CAS, so that only one stop continues. Under the lock, if the hook is still
//!   listed, take it out; the descriptor is freed, and the function was kept from being started. Then free the hook.
//!
//! # Invariants
//! * HOOK-J1 The party that takes the hook from the list owns the descriptor, and no other party does.
//! * HOOK-J2 A hook is freed once: by HOOK-H3, or, if it has no owner, by HOOK-H1 or HOOK-H2. After the lock HOOK-H2
//!   does not touch a hook that has an owner.
//!
//! # Files
//! Here are begin and stop; cancel/hooks.rs has the hook, the list of a token's hooks, and the start of a function.
//!
//! # Rejected
//! * A timer that the cancellation arms: its heap may have no room by then.
//! * A G that waits for the token: it has a stack, and counts as alive.

use super::cancel::hooks::Hook;
use super::cancel::{self, Ref, Token};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::GRef;
use crate::gmp::m::MRef;
use crate::sync::Ordering;
use std::ffi::c_void;
use std::ptr::from_ref;

/// HOOK-H1. `owned`: the caller will call [`stop`] with the handle.
pub fn after(m: MRef, token: Ref, f: extern "C" fn(*mut c_void), arg: *mut c_void, owned: bool) -> Result<u64> {
    let sched = m.sched();
    // A token above may be canceled already.
    let _ = cancel::reason(m, &token);
    let slab = sched.slab_to_fill::<Hook>()?;
    let gp = sched.galloc().ok_or(Error::NoMemory)?;
    let Some((handle, hook)) = slab.make(m.id) else {
        sched.gfree(gp);
        return Err(Error::NoMemory);
    };
    hook.entry.set(f as *mut c_void);
    hook.arg.set(arg);
    hook.owned.set(owned);
    hook.gp.set(gp.as_ptr());
    hook.listed.set(false);
    let token = token.forget();
    hook.token.set(from_ref(token).cast_mut());
    // Release: pairs with `stop`.
    hook.handle.store(handle, Ordering::Release);
    if !cancel::add_hook(token, |hooks| hooks.add(hook))
        && let Some(ready) = hook.ready()
    {
        ready.start(m);
    }
    Ok(handle)
}

/// HOOK-H3. Returns whether it kept the function from being started.
pub fn stop(m: MRef, handle: u64) -> Result<bool> {
    let hook = m.sched().slab::<Hook>()?.get(handle).ok_or(Error::Stale)?;
    if handle == 0 || hook.handle.compare_exchange(handle, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return Err(Error::Stale);
    }
    // SAFETY: the hook holds a count for its token until it is freed, which only this caller does (HOOK-J2).
    let token: &'static Token = unsafe { &*hook.token.get() };
    let gp = cancel::with_hooks(token, |hooks| {
        if !hook.listed.get() {
            return None;
        }
        hooks.remove(hook);
        // SAFETY: null or a G (HOOK-J1).
        unsafe { GRef::from_ptr(hook.gp.take()) }
    });
    if let Some(gp) = gp {
        m.sched().gfree(gp);
    }
    hook.give_back(m, handle);
    Ok(gp.is_some())
}
