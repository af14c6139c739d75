//! A token's hooks: hook.rs has their protocol.

use super::{Token, counted};
use crate::gmp::g::{G, GName, GRef};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::MRef;
use crate::protocol::store::Spawn;
use crate::protocol::{park, store};
use crate::sync::own::{OwnBool, OwnPtr};
use crate::sync::{AtomicU64, Ordering};
use std::ffi::c_void;
use std::ptr::{from_ref, null_mut};

/// A hook. Its memory is reused for later hooks.
#[derive(Default)]
pub struct Hook {
    pub(in crate::block) handle: AtomicU64,
    /// The hook holds a count for it. Fixed while the hook exists.
    pub(in crate::block) token: OwnPtr<Token>,
    /// The function to run. Fixed while the hook exists.
    pub(in crate::block) entry: OwnPtr<c_void>,
    pub(in crate::block) arg: OwnPtr<c_void>,
    /// A caller has the handle. Fixed while the hook exists.
    pub(in crate::block) owned: OwnBool,
    // Under the token's lock.
    pub(in crate::block) gp: OwnPtr<G>,
    pub(in crate::block) listed: OwnBool,
    next: OwnPtr<Hook>,
    prev: OwnPtr<Hook>,
}

// SAFETY: the only type of this kind.
unsafe impl Object for Hook {
    const KIND: handles::Kind = handles::Kind::Hook;
}

/// The hooks of a token.
pub struct Hooks {
    first: *mut Hook,
    last: *mut Hook,
}

impl Hooks {
    pub(super) const NEW: Hooks = Hooks { first: null_mut(), last: null_mut() };

    pub(in crate::block) fn add(&mut self, hook: &'static Hook) {
        let this = from_ref(hook).cast_mut();
        hook.next.set(null_mut());
        hook.prev.set(self.last);
        // SAFETY: the list holds hooks, and is the caller's while it holds the lock.
        match unsafe { self.last.as_ref() } {
            Some(last) => last.next.set(this),
            None => self.first = this,
        }
        self.last = this;
        hook.listed.set(true);
    }

    pub(in crate::block) fn remove(&mut self, hook: &Hook) {
        let (prev, next) = (hook.prev.get(), hook.next.get());
        // SAFETY: links are null or hooks in the list, which is the caller's while it holds the lock.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.next.set(next),
            None => self.first = next,
        }
        // SAFETY: links are null or hooks in the list, which is the caller's while it holds the lock.
        match unsafe { next.as_ref() } {
            Some(next) => next.prev.set(prev),
            None => self.last = prev,
        }
        hook.listed.set(false);
    }

    /// HOOK-H2, under the lock.
    pub(super) fn take(&mut self) -> Option<Ready> {
        // SAFETY: as in `add`.
        let hook: &'static Hook = unsafe { self.first.as_ref() }?;
        self.remove(hook);
        hook.ready()
    }
}

/// A function that the caller is to start (HOOK-J1).
pub struct Ready {
    gp: GRef,
    entry: *mut c_void,
    arg: *mut c_void,
    /// The hook to free (HOOK-J2).
    hook: Option<&'static Hook>,
}

impl Ready {
    /// HOOK-H2, when the lock is open.
    pub(in crate::block) fn start(self, m: MRef) {
        let what = Spawn { entry: self.entry, arg: self.arg, flags: 0, stack_size: 0, name: GName::NONE };
        // False: the runtime ends, and the G is gone.
        let _ = park::start(m, store::newproc_from(m, self.gp, &what));
        if let Some(hook) = self.hook {
            let handle = hook.handle.swap(0, Ordering::AcqRel);
            hook.give_back(m, handle);
        }
    }
}

impl Hook {
    pub(in crate::block) fn ready(&'static self) -> Option<Ready> {
        // SAFETY: null or a G.
        let gp = unsafe { GRef::from_ptr(self.gp.take()) }?;
        let hook = (!self.owned.get()).then_some(self);
        Some(Ready { gp, entry: self.entry.get(), arg: self.arg.get(), hook })
    }

    pub(in crate::block) fn give_back(&self, m: MRef, handle: u64) {
        // SAFETY: the hook holds a count for its token.
        let token = unsafe { counted(m.sched(), self.token.take()) };
        if let Ok(hooks) = m.sched().slab::<Hook>() {
            hooks.free(handle);
        }
        drop(token);
    }
}
