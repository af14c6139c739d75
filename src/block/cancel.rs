//! Cancellation: tokens, under which Gs and threads wait.
//!
//! # Problem
//! Somebody else is to end a wait, whatever it waits for: by hand, at a deadline, or because what it belongs to is
//! ended. Whoever waits is told promptly and nothing else has changed; a wait that has succeeded anyway has succeeded.
//!
//! # Words
//! A token: `reason`, 0 until it is cancelled, then for ever what for, by one CAS; under its lock its children and the
//! Gs that wait under it; `refs`: its handle until that is freed, each G whose current token it is, each child, and
//! whoever works on it. G: `cancel`, its current token (the G itself), and its record `cancelable`, which the token's
//! lock guards. `own_token`, for a G that was spawned with a token of its own: the handle of that.
//!
//! # Protocol
//! Waiter, on the slow path of a call and with a token only:
//! * C1 under the token's lock: cancelled already: do not wait. Otherwise into its list, with the number of the wait
//!   and a function to interrupt it;
//! * C2 begin to wait; once the wait can be interrupted look at `reason` once more: if it is set interrupt oneself;
//! * C3 park;
//! * C4 awake: out of the token's list, if still there.
//!
//! Canceller:
//! * K1 CAS of `reason`: one canceller goes on;
//! * K2 under the lock: take out one child, one waiter or one hook (hook.rs); after the lock cancel, interrupt or start
//!   it; until there is none. One at a time, since a waiter that goes on may use its record for the next wait.
//! * K3 the channel of the token, if there is one, is closed.
//!
//! Channel, made when it is first asked for: under the lock, for the canceller to find in K2; then `reason` is looked
//! at, and if it is set the channel is closed here too.
//!
//! A G is cancelled by its handle:
//! * G1 read `own_token`; G2 look whether the handle still names the G: otherwise what was read may be another's;
//! * G3 cancel the token of that handle, if there is one: it is freed when the G ends.
//!
//! What C2 is: in the wait table (waitq.rs) the interruption takes the lock of the root, under which the waiter has
//! looked at `reason` and got into the queue. A claimed wait (claim.rs) needs none: there an interruption that comes
//! early is kept.
//!
//! # Invariants
//! * T1 an interruption is for one wait: where its number is another one it does nothing. Gs are never freed, so it may
//!   be as late as it likes.
//! * T2 whoever ends the wait otherwise (a wake, a deadline) and the interruption exclude each other as those two
//!   always did: by the record in the queue. So a count that was handed over, a ticket that was drawn is never lost.
//! * T3 whoever follows a pointer to a token counts for it: a child is taken from its parent's list only with a count
//!   that was not 0 already. A G of a scope need not count: the scope does, and is there until the G has ended (I1 in
//!   scope.rs).
//!
//! # Orderings
//! K1 before K2's lock pairs with C1's lock: either C1 sees the reason, or K2 the record. The same holds for a hook and
//! for the channel. K1 before the root's lock
//! pairs with C2 under it in the same way.
//!
//! G1 is an Acquire and pairs with the Release by which a spawner stores `own_token`: if it reads that of a later G, G2
//! sees that the handle is stale.
//!
//! # Why it ends
//! Nobody gets into a list after K1, so K2 empties it. Children are walked by a list, not by recursion.
//!
//! # Rejected
//! A flag that each wait polls: not prompt. A queue of its own for each wait under a token (a channel as in Go's
//! context): every wait would wait for two things.

use super::chan::Chan;
use super::hook::Hooks;
use super::objects::objects;
use super::waitq::Kind;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GRef, Interrupt, extra, gflag};
use crate::gmp::m::MRef;
use crate::gmp::p::PRef;
use crate::gmp::sched::Sched;
use crate::gmp::timers::{Alarm, NEVER, Timer, Timers};
use crate::protocol::wake;
use crate::sync::own::{OwnBool, OwnI64, OwnPtr, OwnU64};
use crate::sync::{AtomicU32, Lock, Ordering, Rank, now};
use std::ffi::c_void;
use std::ptr::{NonNull, from_ref, null_mut};

/// Why a token is cancelled: a status, below 0. Children have their parent's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason(i32);

impl Reason {
    pub const BY_HAND: Reason = Reason(-libc::ECANCELED);
    pub const DEADLINE: Reason = Reason(-libc::ETIMEDOUT);

    /// One of the host's own.
    pub fn own(status: i32) -> Option<Reason> {
        (status < 0).then_some(Reason(status))
    }

    pub fn status(self) -> i32 {
        self.0
    }
}

/// Added to [`Token::refs`] once the handle is freed.
const FREED: u32 = 1 << 31;

/// A token. Its memory serves one after another.
pub struct Token {
    pub handle: OwnU64,
    /// That of [`Reason`]; 0: not cancelled.
    reason: AtomicU32,
    /// The earliest of its own and those above it; `NEVER` for none. Fixed until its end.
    deadline: OwnI64,
    /// Who counts, and FREED.
    refs: AtomicU32,
    /// Fires at the deadline, if there is one.
    timer: Timer,
    /// Which it counts for. Fixed until its end.
    parent: OwnPtr<Token>,
    inner: Lock<Inner>,
    // Under the parent's lock: whether it is in its list, and where.
    listed: OwnBool,
    next: OwnPtr<Token>,
    prev: OwnPtr<Token>,
    /// The next that one canceller has to see to.
    work: OwnPtr<Token>,
}

struct Inner {
    children: *mut Token,
    /// First and last waiter.
    head: *mut G,
    tail: *mut G,
    /// Functions that run when it is cancelled (hook.rs).
    hooks: Hooks,
    /// Closed when it is cancelled, made when it is first asked for; null for none. The token is one of its users.
    chan: *mut Chan,
}

impl Inner {
    const NEW: Inner =
        Inner { children: null_mut(), head: null_mut(), tail: null_mut(), hooks: Hooks::NEW, chan: null_mut() };
}

// SAFETY: the pointers are to Gs and tokens, which are never freed.
unsafe impl Send for Inner {}

impl Default for Token {
    fn default() -> Token {
        Token {
            handle: OwnU64::new(0),
            reason: AtomicU32::new(0),
            deadline: OwnI64::new(NEVER),
            refs: AtomicU32::new(0),
            timer: Timer::default(),
            parent: OwnPtr::null(),
            inner: Lock::new(Rank::Cancel, Inner::NEW),
            listed: OwnBool::new(false),
            next: OwnPtr::null(),
            prev: OwnPtr::null(),
            work: OwnPtr::null(),
        }
    }
}

impl Token {
    /// One more who counts, unless it has ended.
    fn try_ref(&self) -> bool {
        let mut n = self.refs.load(Ordering::Relaxed);
        while n & !FREED != 0 {
            match self.refs.compare_exchange_weak(n, n + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => n = now,
            }
        }
        false
    }

    pub fn reason(&self) -> Option<Reason> {
        Reason::own(self.reason.load(Ordering::SeqCst) as i32)
    }

    /// The earliest of its deadline and those above it; `NEVER` for none.
    pub fn deadline(&self) -> i64 {
        self.deadline.get()
    }
}

/// One count for a token.
pub struct Ref {
    sched: &'static Sched,
    token: &'static Token,
}

impl std::ops::Deref for Ref {
    type Target = Token;
    fn deref(&self) -> &Token {
        self.token
    }
}

impl Drop for Ref {
    fn drop(&mut self) {
        unref(self.sched, self.token);
    }
}

impl Ref {
    /// The count is somebody's, who gives it back by [`unref`].
    pub fn forget(self) -> &'static Token {
        let token = self.token;
        std::mem::forget(self);
        token
    }
}

/// The token of a handle. `freed`: also when the handle was freed and others still count.
pub fn find(sched: &'static Sched, handle: u64, freed: bool) -> Result<Ref> {
    let token = objects(sched)?.tokens.get(handle).ok_or(Error::Stale)?;
    if !token.try_ref() {
        return Err(Error::Stale);
    }
    let found = Ref { sched, token };
    // It may have been another's memory by the time that we counted.
    if token.handle.get() != handle || (!freed && token.refs.load(Ordering::Relaxed) & FREED != 0) {
        return Err(Error::Stale);
    }
    Ok(found)
}

/// A new token: cancelled with its parent, and at its deadline. The count of its handle is the caller's.
pub fn make(m: MRef, parent: Option<&Ref>, deadline: Option<i64>) -> Result<Ref> {
    let sched = m.sched();
    let (handle, token) = objects(sched)?.tokens.make(m.id).ok_or(Error::NoMemory)?;
    token.handle.set(handle);
    token.parent.set(null_mut());
    token.listed.set(false);
    token.reason.store(0, Ordering::Relaxed);
    let above = parent.map_or(NEVER, |parent| parent.deadline());
    token.deadline.set(deadline.unwrap_or(NEVER).min(above));
    // Release: pairs with `try_ref`.
    token.refs.store(1, Ordering::Release);
    let new = Ref { sched, token };
    if let Some(parent) = parent {
        let mut inner = parent.inner.lock();
        match parent.reason() {
            Some(reason) => token.reason.store(reason.0 as u32, Ordering::SeqCst),
            None => {
                let counts = parent.try_ref();
                debug_assert!(counts);
                token.parent.set(from_ref(parent.token).cast_mut());
                token.prev.set(null_mut());
                token.next.set(inner.children);
                // SAFETY: the list holds tokens, and is ours while the lock is held.
                if let Some(next) = unsafe { inner.children.as_ref() } {
                    next.prev.set(from_ref(token).cast_mut());
                }
                inner.children = from_ref(token).cast_mut();
                token.listed.set(true);
            }
        }
    }
    match deadline {
        Some(when) if token.reason().is_none() => {
            if when <= now() {
                cancel(m, &new, Reason::DEADLINE);
            } else {
                let alarm = Alarm { when, fire: at_deadline, arg: from_ref(token).cast_mut().cast(), seq: handle };
                // SAFETY: the timer is not armed, and tokens are never freed.
                let (_, first) = unsafe { Timers::add_somewhere(sched, m, &token.timer, alarm) }?;
                if first {
                    wake::timer_added(sched, m, when);
                }
                // Cancelled meanwhile: whoever did it looked for the timer before it was there.
                if token.reason().is_some() {
                    Timers::remove(&token.timer);
                }
            }
        }
        _ => {}
    }
    Ok(new)
}

unsafe fn at_deadline(m: MRef, _: PRef, arg: *mut c_void, handle: u64) -> bool {
    // SAFETY: `make` passed its token; tokens are never freed.
    let token: &'static Token = unsafe { &*arg.cast::<Token>() };
    if token.try_ref() {
        let found = Ref { sched: m.sched(), token };
        if found.handle.get() == handle {
            cancel(m, &found, Reason::DEADLINE);
        }
    }
    false
}

/// Gives the count of the handle back: stale from here on for whoever would count for it anew.
pub fn free(sched: &'static Sched, handle: u64) -> Result<()> {
    let found = find(sched, handle, false)?;
    // One who frees counts twice here: itself, and the handle.
    if found.refs.fetch_or(FREED, Ordering::AcqRel) & FREED != 0 {
        return Err(Error::Stale);
    }
    unref(sched, found.token);
    Ok(())
}

/// One less who counts. The last one ends the token; and with it perhaps its parent, and so on.
pub fn unref(sched: &'static Sched, mut token: &'static Token) {
    loop {
        // AcqRel: whoever ends it does so after all others are done with it.
        let counted = token.refs.fetch_sub(1, Ordering::AcqRel) & !FREED;
        debug_assert!(counted > 0, "T3");
        if counted != 1 {
            return;
        }
        Timers::remove(&token.timer);
        // SAFETY: null or a token, for which this one counts.
        let parent: Option<&'static Token> = unsafe { token.parent.get().as_ref() };
        if let Some(parent) = parent {
            let mut inner = parent.inner.lock();
            if token.listed.get() {
                unlist(&mut inner, token);
            }
        }
        let chan = std::mem::replace(&mut token.inner.lock().chan, null_mut());
        if let Some(chan) = NonNull::new(chan) {
            // SAFETY: the token was one of its users. Busy: somebody waits there without being one.
            let _ = unsafe { Chan::free(chan) };
        }
        let Ok(objects) = objects(sched) else { return };
        objects.tokens.free(token.handle.get());
        let Some(parent) = parent else { return };
        token = parent;
    }
}

/// Takes a child from its parent's list, whose lock is held.
fn unlist(inner: &mut Inner, token: &Token) {
    let (prev, next) = (token.prev.get(), token.next.get());
    // SAFETY: links in the list are null or tokens in it.
    unsafe {
        match prev.as_ref() {
            Some(prev) => prev.next.set(next),
            None => inner.children = next,
        }
        if let Some(next) = next.as_ref() {
            next.prev.set(prev);
        }
    }
    token.listed.set(false);
}

// ---- cancelling ------------------------------------------------------------------------------------------------------

/// Cancels a token and all below it. False if it was cancelled already. From any context.
pub fn cancel(m: MRef, token: &Ref, reason: Reason) -> bool {
    let mut work = null_mut();
    let did = cancel_one(m, token.token, reason, &mut work);
    // SAFETY: the list holds tokens, each with a count of ours (T3).
    while let Some(token) = unsafe { work.as_ref() } {
        work = token.work.take();
        cancel_one(m, token, reason, &mut work);
        unref(m.sched(), token);
    }
    did
}

/// Why a token is cancelled. One above may be, by somebody who has not come down here yet: then it is cancelled now, so
/// that nobody sees the one cancelled and the other not.
pub fn reason(m: MRef, token: &Ref) -> Option<Reason> {
    cancel(m, token, why(token)?);
    token.reason()
}

/// Why a token, for which the caller counts, is cancelled, or will be at once: with one above it.
pub fn why(token: &Token) -> Option<Reason> {
    let mut at = token;
    loop {
        if let Some(reason) = at.reason() {
            return Some(reason);
        }
        // SAFETY: null or a token, for which this one counts.
        at = unsafe { at.parent.get().as_ref() }?;
    }
}

/// K1 and K2; children go to `work`.
fn cancel_one(m: MRef, token: &'static Token, reason: Reason, work: &mut *mut Token) -> bool {
    // K1
    if token.reason.compare_exchange(0, reason.0 as u32, Ordering::SeqCst, Ordering::Relaxed).is_err() {
        return false;
    }
    Timers::remove(&token.timer);
    // K2
    let mut inner = token.inner.lock();
    // SAFETY: as in `unlist`.
    while let Some(child) = unsafe { inner.children.as_ref() } {
        unlist(&mut inner, child);
        if child.try_ref() {
            child.work.set(*work);
            *work = from_ref(child).cast_mut();
        }
    }
    // SAFETY: the list holds Gs.
    while let Some(gp) = unsafe { GRef::from_ptr(inner.head) } {
        take_out(&mut inner, gp);
        let c = &gp.cancelable;
        let (interrupt, seq, arg) = (c.interrupt.get(), c.seq.get(), c.arg.get());
        drop(inner);
        // SAFETY: `register` stored an Interrupt.
        unsafe { std::mem::transmute::<*mut c_void, Interrupt>(interrupt)(m, gp, seq, arg) };
        inner = token.inner.lock();
    }
    while let Some(ready) = inner.hooks.take() {
        drop(inner);
        ready.start(m);
        inner = token.inner.lock();
    }
    let chan = inner.chan;
    drop(inner);
    // SAFETY: null, or a channel of which the token is a user as long as it is there.
    if let Some(chan) = unsafe { chan.as_ref() } {
        // Failing, it is closed: by the caller of `chan`, or by the host.
        let _ = chan.close(m);
    }
    true
}

/// H1 in hook.rs: the hook gets into the list. False: it is cancelled already.
pub(super) fn add_hook(token: &Token, add: impl FnOnce(&mut Hooks)) -> bool {
    let mut inner = token.inner.lock();
    let waits = token.reason().is_none();
    if waits {
        add(&mut inner.hooks);
    }
    waits
}

/// The hooks of a token, locked.
pub(super) fn with_hooks<R>(token: &Token, f: impl FnOnce(&mut Hooks) -> R) -> R {
    f(&mut token.inner.lock().hooks)
}

/// The channel that is closed when a token is cancelled, with one more user, which is the caller.
pub fn chan(m: MRef, token: &Ref) -> Result<NonNull<Chan>> {
    // One above may be cancelled already: see `reason`.
    let _ = reason(m, token);
    let mut made = None;
    loop {
        let mut inner = token.inner.lock();
        if inner.chan.is_null() {
            let Some(new) = made.take() else {
                drop(inner);
                made = Some(Chan::make(m.sched(), 0, 0)?);
                continue;
            };
            inner.chan = NonNull::as_ptr(new);
        }
        let chan = inner.chan;
        drop(inner);
        if let Some(unused) = made {
            // SAFETY: made above, and nobody else knows it.
            unsafe { Chan::free(unused) }?;
        }
        let chan = NonNull::new(chan).ok_or(Error::NoMemory)?;
        // SAFETY: the token is one of its users, and the caller counts for the token.
        let c = unsafe { chan.as_ref() };
        c.add_ref()?;
        // The canceller has looked before the channel was there, or will look, or both close it.
        if token.reason().is_some() {
            let _ = c.close(m);
        }
        return Ok(chan);
    }
}

/// Takes a waiter from the list, whose lock is held.
fn take_out(inner: &mut Inner, gp: GRef) {
    let c = &gp.cancelable;
    debug_assert!(c.listed.get());
    let (prev, next) = (c.prev.get(), c.next.get());
    // SAFETY: links in the list are null or Gs in it.
    unsafe {
        match GRef::from_ptr(prev) {
            Some(prev) => prev.cancelable.next.set(next),
            None => inner.head = next,
        }
        match GRef::from_ptr(next) {
            Some(next) => next.cancelable.prev.set(prev),
            None => inner.tail = prev,
        }
    }
    c.listed.set(false);
}

// ---- waiting under a token -------------------------------------------------------------------------------------------

/// The token under which a G waits. The G counts for it as long as it is the current one: for the G itself.
#[derive(Clone, Copy)]
pub struct Current(&'static Token);

/// The current token of the G that runs here.
#[inline(always)]
pub fn current(gp: GRef) -> Option<Current> {
    // SAFETY: null or a token for which the G counts.
    unsafe { gp.cancel.get().cast::<Token>().as_ref() }.map(Current)
}

/// The token that may end a wait of this kind of the G that runs here: none within a shield.
#[inline(always)]
pub fn ends(gp: GRef, kind: Kind) -> Option<Current> {
    match kind {
        Kind::Event => current(gp).filter(|_| gp.shields.get() == 0),
        Kind::Lock if gp.cancel_locks.get() => ends(gp, Kind::Event),
        Kind::Lock | Kind::Own => None,
    }
}

/// Begins a shield around the G that runs here. They nest; a token that is cancelled meanwhile stays so.
pub fn shield(gp: GRef) -> Result<()> {
    gp.note_extra(extra::SHIELD);
    gp.shields.set(gp.shields.get().checked_add(1).ok_or(Error::Busy)?);
    Ok(())
}

/// Ends the last shield that the G has begun.
pub fn unshield(gp: GRef) -> Result<()> {
    gp.shields.set(gp.shields.get().checked_sub(1).ok_or(Error::Perm)?);
    Ok(())
}

/// Whether a token is to end the waits of this G for locks and ends too; and whether it was so before.
pub fn set_locks(gp: GRef, too: bool) -> bool {
    gp.note_extra(extra::SHIELD);
    gp.cancel_locks.replace(too)
}

impl Current {
    /// C2. Tokens are never freed: from the commit of a park a late look does no harm.
    pub fn is_cancelled(self) -> bool {
        self.0.reason.load(Ordering::SeqCst) != 0
    }

    pub fn token(self) -> &'static Token {
        self.0
    }

    /// C1. From here on, until [`Current::unregister`] is back, `interrupt` may be called; and later, with a number
    /// that is stale then.
    pub fn register(self, gp: GRef, seq: u64, arg: u64, interrupt: Interrupt) -> Result<()> {
        let mut inner = self.0.inner.lock();
        if self.is_cancelled() {
            return Err(Error::Canceled);
        }
        let c = &gp.cancelable;
        debug_assert!(!c.listed.get());
        c.seq.set(seq);
        c.arg.set(arg);
        c.interrupt.set(interrupt as *mut c_void);
        c.next.set(null_mut());
        c.prev.set(inner.tail);
        // SAFETY: the list holds Gs.
        match unsafe { GRef::from_ptr(inner.tail) } {
            Some(last) => last.cancelable.next.set(gp.as_ptr()),
            None => inner.head = gp.as_ptr(),
        }
        inner.tail = gp.as_ptr();
        c.listed.set(true);
        Ok(())
    }

    /// C4.
    pub fn unregister(self, gp: GRef) {
        let mut inner = self.0.inner.lock();
        if gp.cancelable.listed.get() {
            take_out(&mut inner, gp);
        }
    }
}

/// The count of a pointer to a token, which [`Ref::forget`] or [`replace`] gave.
///
/// # Safety
/// Null, or a token for which the caller counts; the count is the result's.
pub unsafe fn counted(sched: &'static Sched, token: *mut Token) -> Option<Ref> {
    // SAFETY: the caller's promise (T3).
    unsafe { token.as_ref() }.map(|token| Ref { sched, token })
}

/// Makes `token` the current one of a G; the count of the former is the caller's.
#[must_use]
pub fn replace(gp: GRef, token: Option<Ref>) -> Option<&'static Token> {
    let old = current(gp).map(Current::token);
    if let Some(lent) = old
        && !gp.may_have(extra::TOKEN)
    {
        lent.refs.fetch_add(1, Ordering::Relaxed);
    }
    gp.note_extra(extra::TOKEN);
    gp.cancel.set(token.map_or(null_mut(), |t| from_ref(t.forget()).cast_mut().cast()));
    old
}

/// Makes `token` the current one of a new G, which does not count for it: something else does until the G has ended.
#[inline]
pub fn lend(gp: GRef, token: &'static Token) {
    debug_assert!(!gp.may_have(extra::TOKEN) && gp.may_have(extra::SCOPE));
    gp.cancel.set(from_ref(token).cast_mut().cast());
}

/// A new G gets the current token of the G that runs here.
pub fn inherit(m: MRef, from: GRef, to: GRef) {
    if let Some(current) = current(from) {
        // The spawner counts for it.
        let counts = current.0.try_ref();
        debug_assert!(counts, "T3");
        let old = replace(to, Some(Ref { sched: m.sched(), token: current.0 }));
        debug_assert!(old.is_none());
    }
}

/// A new G gets a token of its own, which [`cancel_g`] cancels, below the current token of `above`.
pub fn give_own(m: MRef, above: Option<GRef>, gp: GRef) -> Result<()> {
    debug_assert!(gp.has(gflag::CANCELLABLE));
    let sched = m.sched();
    // T3: the spawner counts for it.
    let parent = above.and_then(current).filter(|c| c.0.try_ref()).map(|c| Ref { sched, token: c.0 });
    let token = make(m, parent.as_ref(), None)?;
    let handle = token.handle.get();
    let counts = token.try_ref();
    debug_assert!(counts, "T3");
    let old = replace(gp, Some(token));
    debug_assert!(old.is_none());
    // Release: pairs with G1.
    gp.own_token.store(handle, Ordering::Release);
    Ok(())
}

/// G1 to G3, in any context. False: it was cancelled already.
pub fn cancel_g(m: MRef, handle: u64, reason: Reason) -> Result<bool> {
    let sched = m.sched();
    let gp = sched.g_of(handle).ok_or(Error::Stale)?;
    // G1
    let (has, token) = (gp.has(gflag::CANCELLABLE), gp.own_token.load(Ordering::Acquire));
    // G2
    if !gp.handle_is(handle) {
        return Err(Error::Stale);
    }
    if !has {
        return Err(Error::Perm);
    }
    // G3
    Ok(cancel(m, &find(sched, token, true)?, reason))
}

/// A G ends, or a thread of the host does: it counts for no token any more.
#[inline]
pub fn on_exit(sched: &'static Sched, gp: GRef) {
    if gp.may_have(extra::SHIELD) {
        gp.cancel_locks.set(false);
        gp.shields.set(0);
    }
    if !gp.may_have(extra::TOKEN) {
        // None, or one that is lent.
        gp.cancel.set(null_mut());
        return;
    }
    if gp.has(gflag::CANCELLABLE) {
        // Relaxed: a canceller that has read it finds a stale handle. Stale here: the host has freed it.
        let _ = free(sched, gp.own_token.swap(0, Ordering::Relaxed));
    }
    if let Some(old) = replace(gp, None) {
        unref(sched, old);
    }
}
