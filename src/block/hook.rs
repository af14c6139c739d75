//! Functions that run when a token is cancelled, each on a G of its own.
//!
//! # Problem
//! Somebody wants to be told of a cancellation without waiting for it, and may give that up at the same moment. A stop
//! that says so has kept the function from being started; a cancellation must not fail for want of memory.
//!
//! # Words
//! A hook: `handle`, the owner's, 0 once it is stopped; `gp`, a free descriptor, kept for the G from the beginning; its
//! place in the list of the token, whose lock guards `gp`, `listed` and the links. It counts for its token until it is
//! given back.
//!
//! # Protocol
//! * H1 begin: all that may fail is done first. Then under the token's lock: into the list; or, if the token is
//!   cancelled, the function is started here.
//! * H2 the canceller (K2 in cancel.rs), under the lock: out of the list, and the descriptor is the canceller's; after
//!   the lock the G starts.
//! * H3 stop: the handle becomes 0 by CAS, so one stop goes on. Under the lock: if it is still listed it is taken out,
//!   the descriptor goes back, and the function was kept from being started. Then the hook is given back.
//!
//! # Invariants
//! * J1 whoever takes the hook from the list has the descriptor, and nobody else does.
//! * J2 a hook is given back once: by H3, or by H1 or H2 where it has no owner. Behind the lock H2 does not touch a
//!   hook that has one.
//!
//! # Rejected
//! A timer that is armed by the cancellation: its heap may have no room by then. A G that waits for the token: it has a
//! stack, and counts as alive.

use super::cancel::{self, Ref, Token};
use super::objects::objects;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GName, GRef};
use crate::gmp::m::MRef;
use crate::protocol::store::Spawn;
use crate::protocol::{park, store};
use crate::sync::own::{OwnBool, OwnPtr};
use crate::sync::{AtomicU64, Ordering};
use std::ffi::c_void;
use std::ptr::{from_ref, null_mut};

/// A hook. Its memory serves one after another.
#[derive(Default)]
pub struct Hook {
    handle: AtomicU64,
    /// For which it counts. Fixed while it is there.
    token: OwnPtr<Token>,
    /// What runs. Fixed while it is there.
    entry: OwnPtr<c_void>,
    arg: OwnPtr<c_void>,
    /// Somebody has the handle. Fixed while it is there.
    owned: OwnBool,
    // Under the token's lock.
    gp: OwnPtr<G>,
    listed: OwnBool,
    next: OwnPtr<Hook>,
    prev: OwnPtr<Hook>,
}

/// The hooks of a token.
pub struct Hooks {
    first: *mut Hook,
    last: *mut Hook,
}

impl Hooks {
    pub const NEW: Hooks = Hooks { first: null_mut(), last: null_mut() };

    fn add(&mut self, hook: &'static Hook) {
        let this = from_ref(hook).cast_mut();
        hook.next.set(null_mut());
        hook.prev.set(self.last);
        // SAFETY: the list holds hooks, and is ours while the lock is held.
        match unsafe { self.last.as_ref() } {
            Some(last) => last.next.set(this),
            None => self.first = this,
        }
        self.last = this;
        hook.listed.set(true);
    }

    fn remove(&mut self, hook: &Hook) {
        let (prev, next) = (hook.prev.get(), hook.next.get());
        // SAFETY: as in `add`.
        unsafe {
            match prev.as_ref() {
                Some(prev) => prev.next.set(next),
                None => self.first = next,
            }
            match next.as_ref() {
                Some(next) => next.prev.set(prev),
                None => self.last = prev,
            }
        }
        hook.listed.set(false);
    }

    /// H2, under the lock.
    pub fn take(&mut self) -> Option<Ready> {
        // SAFETY: as in `add`.
        let hook: &'static Hook = unsafe { self.first.as_ref() }?;
        self.remove(hook);
        hook.ready()
    }
}

/// A function that is to be started (J1).
pub struct Ready {
    gp: GRef,
    entry: *mut c_void,
    arg: *mut c_void,
    /// To be given back (J2).
    hook: Option<&'static Hook>,
}

impl Ready {
    /// H2, when the lock is open.
    pub fn start(self, m: MRef) {
        let what = Spawn { entry: self.entry, arg: self.arg, flags: 0, stack_size: 0, name: GName::NONE };
        // False: the runtime ends, and the G is not.
        let _ = park::start(m, store::newproc_from(m, self.gp, &what));
        if let Some(hook) = self.hook {
            let handle = hook.handle.swap(0, Ordering::AcqRel);
            hook.give_back(m, handle);
        }
    }
}

impl Hook {
    fn ready(&'static self) -> Option<Ready> {
        // SAFETY: null or a G.
        let gp = unsafe { GRef::from_ptr(self.gp.take()) }?;
        let hook = (!self.owned.get()).then_some(self);
        Some(Ready { gp, entry: self.entry.get(), arg: self.arg.get(), hook })
    }

    fn give_back(&self, m: MRef, handle: u64) {
        // SAFETY: the hook counts for its token.
        let token = unsafe { cancel::counted(m.sched(), self.token.take()) };
        if let Ok(objects) = objects(m.sched()) {
            objects.hooks.free(handle);
        }
        drop(token);
    }
}

/// H1. `owned`: the caller will call [`stop`] with the handle.
pub fn after(m: MRef, token: Ref, f: extern "C" fn(*mut c_void), arg: *mut c_void, owned: bool) -> Result<u64> {
    let sched = m.sched();
    // One above may be cancelled already.
    let _ = cancel::reason(m, &token);
    let gp = sched.galloc().ok_or(Error::NoMemory)?;
    let Some((handle, hook)) = objects(sched)?.hooks.make(m.id) else {
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

/// H3. Whether it kept the function from being started.
pub fn stop(m: MRef, handle: u64) -> Result<bool> {
    let hook = objects(m.sched())?.hooks.get(handle).ok_or(Error::Stale)?;
    if handle == 0 || hook.handle.compare_exchange(handle, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return Err(Error::Stale);
    }
    // SAFETY: the hook counts for its token until it is given back, which is ours to do (J2).
    let token: &'static Token = unsafe { &*hook.token.get() };
    let gp = cancel::with_hooks(token, |hooks| {
        if !hook.listed.get() {
            return None;
        }
        hooks.remove(hook);
        // SAFETY: null or a G (J1).
        unsafe { GRef::from_ptr(hook.gp.take()) }
    });
    if let Some(gp) = gp {
        m.sched().gfree(gp);
    }
    hook.give_back(m, handle);
    Ok(gp.is_some())
}
