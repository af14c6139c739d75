//! Scopes: Gs that belong together, and end together.
//!
//! # Problem
//! A G starts several Gs for one task. It wants to continue when all of them have ended, and to know which error came
//! first. When one fails, the others should end as soon as they can see that their work is of no use any more.
//!
//! # Words
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `open` | children that have not ended | SCOPE-S1, SCOPE-S3 |
//! | `error` | the first error of a child, or 0 | SCOPE-S2, by CAS from 0 |
//! | `failed` | the G whose error canceled the token, or 0 | SCOPE-S2, before SCOPE-S3 of the same G |
//! | `token` | the children's token, below the maker's | fixed |
//! | `handle` | 0 when the scope is left | under the lock |
//! | `leaving` | a G is in SCOPE-L1 | under the lock |
//! | `inside` | the G in the body, or null | under the lock |
//! | `scope` (of a G) | the scope whose child it is | SCOPE-S1, SCOPE-S3 |
//! | `entered` (of a G) | the last scope that the G has entered | the G that is inside |
//! | `around` | the scope that this G had entered before, or null | the G that is inside |
//! | `before` | the G's current token before SCOPE-E1, with a count | the G that is inside |
//!
//! The body is the code between enter and leave, on the G (or thread of the host) that enters. A G may be inside
//! several scopes.
//!
//! # Protocol
//! * SCOPE-S1 spawn: add 1 to open. If the handle is still the scope's, the count stands, and concurrent spawners share
//!   nothing else. If it is not, take the count back and do the same under the lock, because SCOPE-L2 takes the handle
//!   away for a moment. Then make the G; the scope lends it the scope's token.
//! * SCOPE-S2 The child runs, and its result is noted: the first error cancels the token.
//! * SCOPE-S3 The child ends, in whichever way: subtract 1 from open. The last child wakes the G that leaves.
//! * SCOPE-E1 enter: under the lock, if no G is inside and none leaves, the caller is inside; the scope's token
//!   replaces its current one. From here on the first error, the deadline and a cancellation end the waits of the body
//!   too.
//! * SCOPE-L1 leave, by the G that is inside if there is one: wait until open is 0. The caller's own token does not end
//!   this wait (its cancellation has reached the children).
//! * SCOPE-L2 Under the lock take the handle away, and look at open. If it is still 0, it stays 0, and the scope is
//!   left. Otherwise put the handle back and repeat SCOPE-L1.
//! * SCOPE-L3 The token from before SCOPE-E1 becomes the current one again. If the caller entered another scope later
//!   and has not left it, that scope keeps its own token, and returns to the token from before SCOPE-E1 in its turn.
//! * SCOPE-X1 A G that is inside ends, or a thread does: it is inside no more. Any G may leave the scope then.
//!
//! # Invariants
//! * SCOPE-I1 A scope exists as long as it has children: only SCOPE-L2 frees its memory, and it finds no child.
//! * SCOPE-I2 A count that stands was added before SCOPE-L2's look, or under the lock with a valid handle. So no count
//!   is added after SCOPE-L2's look. (A count that will be taken back may be added at any time, perhaps to the next
//!   scope in this memory. Only a caller with a stale handle does that, and at worst that scope's SCOPE-L1 waits until
//!   the count is gone.)
//! * SCOPE-I3 A scope is in the list of the G that is inside, and only that G leaves it. So every scope in the list
//!   exists.

use super::cancel::{self, Reason, Ref, Token};
use super::waitgroup::WaitGroup;
use super::waitq;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GName, GRef, extra};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::MRef;
use crate::protocol::{park, store};
use crate::sync::own::{OwnPtr, OwnU64};
use crate::sync::{AtomicI32, AtomicU64, Guard, Lock, Ordering, Rank, fence, fence_after_rmw};
use std::ffi::c_void;
use std::ptr::{from_ref, null_mut};

/// A scope. Its memory is reused for later scopes.
pub struct Scope {
    open: WaitGroup,
    error: AtomicI32,
    /// 0: no error of a child has canceled the token. Written by SCOPE-S2 before the SCOPE-S3 of the same G.
    failed: AtomicU64,
    /// The scope holds a count for it. Fixed while the scope exists.
    token: OwnPtr<Token>,
    handle: AtomicU64,
    /// The handle of the scope whose child the maker was. Fixed.
    outer: OwnU64,
    /// Null if there is none. Owner: the G that is inside.
    before: OwnPtr<Token>,
    /// Null if there is none. Owner: the G that is inside.
    around: OwnPtr<Scope>,
    state: Lock<State>,
}

struct State {
    leaving: bool,
    /// The G in the body, which may stand for a thread; null if there is none.
    inside: *mut G,
}

// SAFETY: Gs are never freed.
unsafe impl Send for State {}

// SAFETY: the only type of this kind.
unsafe impl Object for Scope {
    const KIND: handles::Kind = handles::Kind::Scope;
}

impl Default for Scope {
    fn default() -> Scope {
        Scope {
            open: WaitGroup::default(),
            error: AtomicI32::new(0),
            failed: AtomicU64::new(0),
            token: OwnPtr::null(),
            handle: AtomicU64::new(0),
            outer: OwnU64::new(0),
            before: OwnPtr::null(),
            around: OwnPtr::null(),
            state: Lock::new(Rank::Scope, State { leaving: false, inside: null_mut() }),
        }
    }
}

/// The function of a child; an error is a result below 0.
pub type Child = extern "C" fn(*mut c_void) -> i32;

/// A new scope, whose token is made under the caller's.
pub fn make(m: MRef, timeout: i64) -> Result<u64> {
    let scopes = m.sched().slab_to_fill::<Scope>()?;
    let gp = waitq::waiter(m);
    let above = match cancel::current(gp) {
        Some(current) => Some(cancel::find(m.sched(), current.token().handle.get(), true)?),
        None => None,
    };
    let token = cancel::make(m, above.as_ref(), waitq::deadline_of(timeout))?;
    let (handle, s) = scopes.make(m.id).ok_or(Error::NoMemory)?;
    s.error.store(0, Ordering::Relaxed);
    s.failed.store(0, Ordering::Relaxed);
    // Two counts: the scope's own, and the count of the handle, which the host may free.
    s.token.set(from_ref(cancel::find(m.sched(), token.handle.get(), true)?.forget()).cast_mut());
    token.forget();
    // SAFETY: a scope exists as long as it has a child.
    let outer = unsafe { gp.scope.get().cast::<Scope>().as_ref() };
    // Under the lock: a leaver takes the handle away while it looks at the count (SCOPE-L2), and puts it back since
    // this child counts.
    s.outer.set(outer.map_or(0, |outer| {
        let _state = outer.state.lock();
        outer.handle.load(Ordering::Relaxed)
    }));
    let mut state = s.state.lock();
    *state = State { leaving: false, inside: null_mut() };
    s.handle.store(handle, Ordering::Release);
    drop(state);
    Ok(handle)
}

/// The handle of the scope around a scope; 0 if there is none.
#[cfg(test)]
pub fn outer_of(m: MRef, handle: u64) -> Result<u64> {
    find(m, handle).map(|(s, _state)| s.outer.get())
}

/// The scope of a handle, locked.
fn find(m: MRef, handle: u64) -> Result<(&'static Scope, Guard<'static, State>)> {
    let s = m.sched().slab::<Scope>()?.get(handle).ok_or(Error::Stale)?;
    let state = s.state.lock();
    // The memory may have become another scope's before the lock was taken.
    if s.handle.load(Ordering::Relaxed) == handle { Ok((s, state)) } else { Err(Error::Stale) }
}

impl Scope {
    /// For a caller that is a child or holds the lock.
    fn token(&self) -> &'static Token {
        // SAFETY: the scope holds a count for it.
        unsafe { &*self.token.get() }
    }
}

/// The token of a scope, counted.
pub fn token(m: MRef, handle: u64) -> Result<Ref> {
    let (s, _state) = find(m, handle)?;
    cancel::find(m.sched(), s.token().handle.get(), true)
}

/// SCOPE-S1.
pub fn spawn(m: MRef, handle: u64, f: Child, arg: *mut c_void) -> Result<()> {
    let s = m.sched().slab::<Scope>()?.get(handle).ok_or(Error::Stale)?;
    s.open.add(m, 1)?;
    // Pairs with SCOPE-L2.
    fence_after_rmw();
    if s.handle.load(Ordering::Relaxed) != handle {
        s.open.add(m, -1)?;
        count_locked(m, handle)?;
    }
    let entry = begin as extern "C" fn(*mut c_void) as *mut c_void;
    let what = store::Spawn { entry, arg, flags: 0, stack_size: 0, name: GName::NONE };
    let gp = match store::newproc_to_start(m, &what) {
        Ok(gp) => gp,
        Err(e) => {
            s.open.add(m, -1)?;
            return Err(e);
        }
    };
    // The scope exists (SCOPE-I1), and holds a count for its token.
    gp.note_extra(extra::SCOPE);
    gp.scope.set(from_ref(s).cast_mut().cast());
    gp.child.set(f as *mut c_void);
    cancel::lend(gp, s.token());
    park::ready_queue(m, gp);
    Ok(())
}

/// SCOPE-S1 under the lock.
#[cold]
fn count_locked(m: MRef, handle: u64) -> Result<()> {
    let (s, _state) = find(m, handle)?;
    s.open.add(m, 1)
}

/// SCOPE-S2.
pub extern "C" fn begin(arg: *mut c_void) {
    crate::protocol::seize::come_back();
    // SAFETY: a G runs on an M.
    let Some(m) = (unsafe { MRef::from_ptr(crate::sys::arch::current_m().cast()) }) else { return };
    let gp = park::running(m);
    // SAFETY: `spawn` stored a Child.
    let f = unsafe { std::mem::transmute::<*mut c_void, Child>(gp.child.get()) };
    let result = crate::protocol::seize::host(m, || crate::sys::call::child(f, arg));
    // SAFETY: as above; the M may be another one now.
    let Some(m) = (unsafe { MRef::from_ptr(crate::sys::arch::current_m().cast()) }) else { return };
    if result < 0 {
        returned(m, gp, result);
    }
}

/// Notes the result of a child.
pub fn returned(m: MRef, gp: GRef, result: i32) {
    // SAFETY: null or a scope, which exists as long as it has a child.
    let Some(s) = (unsafe { gp.scope.get().cast::<Scope>().as_ref() }) else { return };
    if result < 0
        && s.error.compare_exchange(0, result, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        && cancel_children(m, s)
    {
        s.failed.store(gp.handle(), Ordering::Relaxed);
    }
}

/// Cancels the token of a scope.
pub fn cancel(m: MRef, handle: u64) -> Result<()> {
    let token = token(m, handle)?;
    cancel::cancel(m, &token, Reason::BY_HAND);
    Ok(())
}

/// Whether this call canceled them.
fn cancel_children(m: MRef, s: &Scope) -> bool {
    let token = cancel::find(m.sched(), s.token().handle.get(), true);
    token.is_ok_and(|token| cancel::cancel(m, &token, Reason::BY_HAND))
}

/// SCOPE-S3: a G ends.
#[inline]
pub fn on_exit(m: MRef, gp: GRef) {
    if gp.scope.is_null() {
        return;
    }
    // SAFETY: a scope exists as long as it has a child; `add` does not touch the wait group after the step that may
    // free it.
    let done = unsafe { &*gp.scope.take().cast::<Scope>() }.open.add(m, -1);
    debug_assert!(done.is_ok());
}

/// SCOPE-E1.
pub fn enter(m: MRef, handle: u64) -> Result<()> {
    let gp = waitq::waiter(m);
    let (s, mut state) = find(m, handle)?;
    if is_within(m, s) {
        return Err(Error::Deadlock);
    }
    if state.leaving || !state.inside.is_null() {
        return Err(Error::Busy);
    }
    let token = cancel::find(m.sched(), s.token().handle.get(), true)?;
    state.inside = gp.as_ptr();
    drop(state);
    gp.note_extra(extra::INSIDE);
    s.before.set(cancel::replace(gp, Some(token)).map_or(null_mut(), |t| from_ref(t).cast_mut()));
    s.around.set(gp.entered.get().cast());
    gp.entered.set(from_ref(s).cast_mut().cast());
    Ok(())
}

/// SCOPE-L3, once the handle is stale.
fn step_out(m: MRef, gp: GRef, s: &'static Scope) {
    let (before, around) = (s.before.take(), s.around.take());
    if gp.entered.get() == from_ref(s).cast_mut().cast() {
        gp.entered.set(around.cast());
        // SAFETY: the scope held a count for it.
        let before = unsafe { cancel::counted(m.sched(), before) };
        drop_token(m, cancel::replace(gp, before));
        return;
    }
    // SAFETY: the list holds scopes that exist (SCOPE-I3).
    let mut at: Option<&Scope> = unsafe { gp.entered.get().cast::<Scope>().as_ref() };
    while let Some(later) = at {
        if std::ptr::eq(later.around.get(), s) {
            later.around.set(around);
            // It returns to the token that `s` would return to, or to the token that the host has chosen meanwhile.
            let mut dropped = before;
            if later.before.get() == s.token.get() {
                dropped = later.before.take();
                later.before.set(before);
            }
            // SAFETY: null, or a token that one of the two held a count for.
            drop_token(m, unsafe { dropped.as_ref() });
            return;
        }
        // SAFETY: as above.
        at = unsafe { later.around.get().as_ref() };
    }
    debug_assert!(false, "SCOPE-I3");
}

fn drop_token(m: MRef, token: Option<&'static Token>) {
    if let Some(token) = token {
        cancel::unref(m.sched(), token);
    }
}

/// SCOPE-X1.
#[inline]
pub fn on_exit_inside(m: MRef, gp: GRef) {
    if !gp.entered.is_null() {
        leave_all(m, gp);
    }
}

#[cold]
fn leave_all(m: MRef, gp: GRef) {
    // SAFETY: the list holds scopes that exist (SCOPE-I3).
    while let Some(s) = unsafe { gp.entered.get().cast::<Scope>().as_ref() } {
        gp.entered.set(s.around.take().cast());
        // SAFETY: null, or a token that the scope holds a count for.
        drop_token(m, unsafe { s.before.take().as_ref() });
        // From here on another G may leave it.
        s.state.lock().inside = null_mut();
    }
}

/// The result of a scope.
pub struct Ended {
    /// The first error, or 0.
    pub error: i32,
    pub by: By,
}

/// The cause that ended a scope: the first that canceled its token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// No cause: its Gs have ended.
    Itself,
    /// The error of one of its Gs: the error, and the G's handle.
    Failure(i32, u64),
    Deadline,
    /// A cancellation from outside, with this reason.
    Cancel(i32),
}

/// As [`leave_why`]; returns the first error, or 0.
///
/// # Migrates
pub fn leave(m: MRef, handle: u64, timeout: i64) -> Result<i32> {
    leave_why(m, handle, timeout).map(|ended| ended.error)
}

/// SCOPE-L1 to SCOPE-L3. TimedOut: the scope is not left; the caller may try again.
///
/// # Migrates
pub fn leave_why(mut m: MRef, handle: u64, timeout: i64) -> Result<Ended> {
    let deadline = waitq::deadline_of(timeout);
    loop {
        let (s, mut state) = find(m, handle)?;
        if is_within(m, s) {
            return Err(Error::Deadlock);
        }
        let gp = waitq::waiter(m);
        if !state.inside.is_null() && state.inside != gp.as_ptr() {
            return Err(Error::Perm);
        }
        if state.leaving {
            return Err(Error::Busy);
        }
        // SCOPE-L2
        s.handle.store(0, Ordering::Relaxed);
        // Pairs with SCOPE-S1: either the spawner sees that the handle is gone, or this caller sees the spawner's
        // count.
        fence(Ordering::SeqCst);
        // SCOPE-I2: a count that comes later is taken back.
        if s.open.is_zero() {
            let inside = !std::mem::replace(&mut state.inside, null_mut()).is_null();
            drop(state);
            if inside {
                step_out(m, gp, s);
            }
            return Ok(give_back(m, s, handle));
        }
        s.handle.store(handle, Ordering::Relaxed);
        state.leaving = true;
        drop(state);
        let waited;
        (m, waited) = s.open.wait(m, deadline, cancel::Kind::Own);
        s.state.lock().leaving = false;
        waited?;
    }
}

/// Whether the caller is a child of this scope, or a child of a child: it would wait for itself.
fn is_within(m: MRef, s: &Scope) -> bool {
    let Ok(scopes) = m.sched().slab::<Scope>() else { return false };
    // SAFETY: a scope exists as long as it has a child.
    let mut at: Option<&Scope> = unsafe { waitq::waiter(m).scope.get().cast::<Scope>().as_ref() };
    while let Some(mine) = at {
        if std::ptr::eq(mine, s) {
            return true;
        }
        // A scope whose maker has ended since may be gone.
        at = scopes.get(mine.outer.get());
    }
    false
}

/// Frees a scope whose handle is stale already and that has no children.
fn give_back(m: MRef, s: &'static Scope, handle: u64) -> Ended {
    let (token, error) = (s.token(), s.error.load(Ordering::Acquire));
    let by = match (s.failed.load(Ordering::Relaxed), cancel::why(token)) {
        (0, None) => By::Itself,
        (0, Some(Reason::DEADLINE)) => By::Deadline,
        (0, Some(reason)) => By::Cancel(reason.status()),
        (g, _) => By::Failure(error, g),
    };
    if let Ok(scopes) = m.sched().slab::<Scope>() {
        scopes.free(handle);
    }
    // Fails if the host has freed it.
    let _ = cancel::free(m.sched(), token.handle.get());
    cancel::unref(m.sched(), token);
    Ended { error, by }
}
