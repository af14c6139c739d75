//! Cancellation: tokens, under which Gs and threads wait.
//!
//! # Problem
//! A thread wants to end the wait of a G, whatever the G waits for: by hand, at a deadline, or because the scope around
//! it ends. The waiter must be told promptly, and nothing else may have changed. A wait that has succeeded at the same
//! moment has succeeded.
//!
//! # Words
//!
//! | word | meaning | guarded by |
//! |---|---|---|
//! | `reason` (token) | 0 until the token is canceled, then forever the reason | one CAS |
//! | children, waiters (token) | the tokens below it; the Gs that wait under it | the token's lock |
//! | `refs` (token) | counted references, listed below | atomic |
//! | `cancel` (G) | the G's current token | the G itself |
//! | `cancelable` (G) | the G's record in the token's list of waiters | the token's lock |
//! | `own_token` (G) | the handle of the token that was made for this G at its spawn, or 0 | atomic |
//!
//! These count in `refs`: the handle until it is freed, each G whose current token it is, each child, and each thread
//! that works on the token.
//!
//! # Protocol
//! The waiter, only on the slow path of a call, and only with a token:
//! * CANCEL-C1 Under the token's lock: if the token is canceled already, it does not wait. Otherwise its record gets
//!   into the list, with the number of the wait and a function that interrupts the wait.
//! * CANCEL-C2 It begins to wait. As soon as the wait can be interrupted, it looks at `reason` once more; if that is
//!   set, it interrupts itself.
//! * CANCEL-C3 It parks.
//! * CANCEL-C4 Awake again: it takes its record out of the token's list, if it still is there.
//!
//! The canceller:
//! * CANCEL-K1 It sets `reason` by CAS; only the one canceller that succeeds continues.
//! * CANCEL-K2 Under the lock it takes out all children, each with a count, to cancel them after this token. Then,
//!   under the lock, it takes out one waiter or one hook (hook.rs), opens the lock, and interrupts the waiter or starts
//!   the hook. It repeats this until the lists are empty. It takes one at a time, since a waiter that continues may use
//!   its record for its next wait.
//! * CANCEL-K3 It closes the channel of the token (done.rs), if there is one.
//!
//! The channel of a token is made when a caller first asks for it: the caller puts it into the token under the lock,
//! where CANCEL-K2 finds it, and then looks at `reason`. If that is set, the caller closes the channel too.
//!
//! Canceling a G by its handle:
//! * CANCEL-G1 Read `own_token`.
//! * CANCEL-G2 Check that the handle still names the G. Otherwise the value read in CANCEL-G1 may be a later G's.
//! * CANCEL-G3 Cancel the token of that handle, if there is one: the handle is freed when the G ends.
//!
//! How CANCEL-C2 is done: in the wait table (waitq.rs) the interruption takes the lock of the root, and the waiter has
//! looked at `reason` and queued under the same lock. A claimed wait (claim.rs) needs no look: it keeps an interruption
//! that comes early.
//!
//! # Invariants
//! * CANCEL-T1 An interruption is for one wait; if it finds another number it does nothing. Gs are never freed, so an
//!   interruption may be arbitrarily late.
//! * CANCEL-T2 A partner that ends the wait otherwise (a wake, a deadline) and the interruption exclude each other as a
//!   wake and a deadline do: by the record in the queue. So no permit that was handed over and no ticket that was drawn
//!   is lost.
//! * CANCEL-T3 A thread that follows a pointer to a token holds a count for it: a child is taken from its parent's list
//!   only with a count that was not 0 already. A G of a scope need not hold one: the scope does, and the scope exists
//!   until the G has ended (SCOPE-I1).
//!
//! # Orderings
//! * The CAS of CANCEL-K1, before the lock of CANCEL-K2, pairs with the lock of CANCEL-C1: either CANCEL-C1 sees the
//!   reason, or CANCEL-K2 sees the record. The same holds for a hook and for the channel.
//! * The CAS of CANCEL-K1, before the root's lock, pairs with CANCEL-C2 under that lock, in the same way.
//! * The read of CANCEL-G1 is an Acquire and pairs with the Release by which a spawner stores `own_token`: if CANCEL-G1
//!   reads the value of a later G, CANCEL-G2 sees that the handle is stale.
//!
//! # Why it ends
//! No record gets into a list after CANCEL-K1, so CANCEL-K2 empties the lists. Children are walked by a list, not by
//! recursion.
//!
//! # Rejected
//! * A flag that each wait polls: not prompt.
//! * A separate queue for each wait under a token (a channel, as in Go's context): every wait would wait for two
//!   events.

pub(super) mod hooks;

use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GRef, Interrupt, extra, gflag};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::MRef;
use crate::gmp::p::PRef;
use crate::gmp::sched::Sched;
use crate::gmp::timers::{Alarm, NEVER, Timer, Timers};
use crate::protocol::wake;
use crate::sync::own::{OwnBool, OwnI64, OwnPtr, OwnU64};
use crate::sync::{AtomicU32, Lock, Ordering, Rank, now};
use hooks::Hooks;
use std::ffi::c_void;
use std::ptr::{NonNull, from_ref, null_mut};

/// Why a token is canceled: a status below 0. A child takes over its parent's reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason(i32);

impl Reason {
    pub const BY_HAND: Reason = Reason(-libc::ECANCELED);
    pub const DEADLINE: Reason = Reason(-libc::ETIMEDOUT);

    /// A reason of the host's own.
    pub fn own(status: i32) -> Option<Reason> {
        (status < 0).then_some(Reason(status))
    }

    pub fn status(self) -> i32 {
        self.0
    }
}

/// Added to [`Token::refs`] once the handle is freed.
const FREED: u32 = 1 << 31;

/// A token. Its memory is reused for later tokens.
pub struct Token {
    pub handle: OwnU64,
    /// The value of [`Reason`]; 0: not canceled.
    reason: AtomicU32,
    /// The earliest deadline of this token and those above it; `NEVER` if there is none. Fixed until its end.
    deadline: OwnI64,
    /// The counts, and FREED.
    refs: AtomicU32,
    /// Fires at the deadline, if there is one.
    timer: Timer,
    /// The parent, for which the token holds a count. Fixed until its end.
    parent: OwnPtr<Token>,
    inner: Lock<Inner>,
    // Under the parent's lock: whether the token is in the parent's list, and where.
    listed: OwnBool,
    next: OwnPtr<Token>,
    prev: OwnPtr<Token>,
    /// The next token on one canceller's list of work.
    work: OwnPtr<Token>,
}

struct Inner {
    children: *mut Token,
    /// First and last waiter.
    head: *mut G,
    tail: *mut G,
    /// The functions that a cancellation starts (hook.rs).
    hooks: Hooks,
    /// The channel that a cancellation closes, made at the first request.
    done: Option<Done>,
}

/// The channel of a token, and what is to be done with it. The token is one of its users (done.rs).
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub chan: NonNull<c_void>,
    pub acts: &'static Acts,
}

/// What a token does with its channel. Both get [`Done::chan`], and are called with the token's lock open.
pub(super) struct Acts {
    /// CANCEL-K3. The caller holds a count for the token.
    pub close: unsafe fn(MRef, NonNull<c_void>),
    /// Ends the token's use of it. Called once, at the end of the token.
    pub free: unsafe fn(NonNull<c_void>),
}

impl Inner {
    const NEW: Inner =
        Inner { children: null_mut(), head: null_mut(), tail: null_mut(), hooks: Hooks::NEW, done: None };
}

// SAFETY: the pointers are to Gs and tokens, which are never freed, and to a channel of which the token is a user.
unsafe impl Send for Inner {}

// SAFETY: the only type of this kind.
unsafe impl Object for Token {
    const KIND: handles::Kind = handles::Kind::Token;
}

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
    /// Adds a count, unless the token has ended.
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

    /// The earliest deadline of this token and those above it; `NEVER` if there is none.
    pub fn deadline(&self) -> i64 {
        self.deadline.get()
    }
}

/// A counted reference to a token.
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
    /// The count passes to the caller, which ends it by [`unref`].
    pub fn forget(self) -> &'static Token {
        let token = self.token;
        std::mem::forget(self);
        token
    }
}

/// The token of a handle. `freed`: also when the handle was freed and other counts remain.
pub fn find(sched: &'static Sched, handle: u64, freed: bool) -> Result<Ref> {
    let token = sched.slab::<Token>()?.get(handle).ok_or(Error::Stale)?;
    if !token.try_ref() {
        return Err(Error::Stale);
    }
    let found = Ref { sched, token };
    // The memory may have become another token's before the count was added.
    if token.handle.get() != handle || (!freed && token.refs.load(Ordering::Relaxed) & FREED != 0) {
        return Err(Error::Stale);
    }
    Ok(found)
}

/// A new token: canceled with its parent, and at its deadline. The caller owns the handle's count.
pub fn make(m: MRef, parent: Option<&Ref>, deadline: Option<i64>) -> Result<Ref> {
    let sched = m.sched();
    let (handle, token) = sched.slab_to_fill::<Token>()?.make(m.id).ok_or(Error::NoMemory)?;
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
                // Canceled meanwhile: that canceller looked for the timer before it was armed.
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

/// Ends the count of the handle; from here on the handle is stale for new calls.
pub fn free(sched: &'static Sched, handle: u64) -> Result<()> {
    let found = find(sched, handle, false)?;
    // The caller holds two counts here: its own, and the handle's.
    if found.refs.fetch_or(FREED, Ordering::AcqRel) & FREED != 0 {
        return Err(Error::Stale);
    }
    unref(sched, found.token);
    Ok(())
}

/// Ends a count. The last one ends the token, which ends its count for its parent, and so on upwards.
pub fn unref(sched: &'static Sched, mut token: &'static Token) {
    loop {
        // AcqRel: the end of the token comes after the last use by every other thread.
        let counted = token.refs.fetch_sub(1, Ordering::AcqRel) & !FREED;
        debug_assert!(counted > 0, "CANCEL-T3");
        if counted != 1 {
            return;
        }
        Timers::remove(&token.timer);
        // SAFETY: null, or a token for which this token holds a count.
        let parent: Option<&'static Token> = unsafe { token.parent.get().as_ref() };
        if let Some(parent) = parent {
            let mut inner = parent.inner.lock();
            if token.listed.get() {
                unlist(&mut inner, token);
            }
        }
        let done = token.inner.lock().done.take();
        if let Some(Done { chan, acts }) = done {
            // SAFETY: `with_done` got it with this channel, and the token has ended.
            unsafe { (acts.free)(chan) };
        }
        let Ok(tokens) = sched.slab::<Token>() else { return };
        tokens.free(token.handle.get());
        let Some(parent) = parent else { return };
        token = parent;
    }
}

/// Takes a child from its parent's list. The caller holds the parent's lock.
fn unlist(inner: &mut Inner, token: &Token) {
    let (prev, next) = (token.prev.get(), token.next.get());
    // SAFETY: links in the list are null or tokens in it, which the parent's lock keeps there.
    match unsafe { prev.as_ref() } {
        Some(prev) => prev.next.set(next),
        None => inner.children = next,
    }
    // SAFETY: links in the list are null or tokens in it, which the parent's lock keeps there.
    if let Some(next) = unsafe { next.as_ref() } {
        next.prev.set(prev);
    }
    token.listed.set(false);
}

// ---- canceling ------------------------------------------------------------------------------------------------------

/// Cancels a token and all tokens below it. False if it was canceled already. From any context.
pub fn cancel(m: MRef, token: &Ref, reason: Reason) -> bool {
    let mut work = null_mut();
    let did = cancel_one(m, token.token, reason, &mut work);
    // SAFETY: the list holds tokens, each with a count of this caller (CANCEL-T3).
    while let Some(token) = unsafe { work.as_ref() } {
        work = token.work.take();
        cancel_one(m, token, reason, &mut work);
        unref(m.sched(), token);
    }
    did
}

/// Why a token is canceled. A token above it may be canceled already, by a canceller that has not come down to this
/// token yet. Then this call cancels it, so that no caller sees one of the two canceled and the other not.
pub fn reason(m: MRef, token: &Ref) -> Option<Reason> {
    cancel(m, token, why(token)?);
    token.reason()
}

/// Why a token is canceled, or will be at once because a token above it is. The caller holds a count.
pub fn why(token: &Token) -> Option<Reason> {
    let mut at = token;
    loop {
        if let Some(reason) = at.reason() {
            return Some(reason);
        }
        // SAFETY: null, or a token for which this token holds a count.
        at = unsafe { at.parent.get().as_ref() }?;
    }
}

/// CANCEL-K1 and CANCEL-K2, and CANCEL-K3; children go to `work`.
fn cancel_one(m: MRef, token: &'static Token, reason: Reason, work: &mut *mut Token) -> bool {
    // CANCEL-K1
    if token.reason.compare_exchange(0, reason.0 as u32, Ordering::SeqCst, Ordering::Relaxed).is_err() {
        return false;
    }
    Timers::remove(&token.timer);
    // CANCEL-K2
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
        let interrupt = unsafe { std::mem::transmute::<*mut c_void, Interrupt>(interrupt) };
        // SAFETY: the number and the argument are those that came with it.
        unsafe { interrupt(m, gp, seq, arg) };
        inner = token.inner.lock();
    }
    while let Some(ready) = inner.hooks.take() {
        drop(inner);
        ready.start(m);
        inner = token.inner.lock();
    }
    let done = inner.done;
    drop(inner);
    if let Some(Done { chan, acts }) = done {
        // SAFETY: `with_done` got it with this channel, of which the token is a user for as long as it exists.
        unsafe { (acts.close)(m, chan) };
    }
    true
}

/// HOOK-H1: puts the hook into the list. False: the token is canceled already.
pub(super) fn add_hook(token: &Token, add: impl FnOnce(&mut Hooks)) -> bool {
    let mut inner = token.inner.lock();
    let waits = token.reason().is_none();
    if waits {
        add(&mut inner.hooks);
    }
    waits
}

/// Runs `f` on the hooks of a token, under its lock.
pub(super) fn with_hooks<R>(token: &Token, f: impl FnOnce(&mut Hooks) -> R) -> R {
    f(&mut token.inner.lock().hooks)
}

/// Runs `f` on the place for a token's channel, under its lock. A channel that `f` puts there stays until the token
/// ends.
pub(super) fn with_done<R>(token: &Token, f: impl FnOnce(&mut Option<Done>) -> R) -> R {
    f(&mut token.inner.lock().done)
}

/// Takes a waiter from the list. The caller holds the token's lock.
fn take_out(inner: &mut Inner, gp: GRef) {
    let c = &gp.cancelable;
    debug_assert!(c.listed.get());
    let (prev, next) = (c.prev.get(), c.next.get());
    // SAFETY: links in the list are null or Gs, which are never freed.
    match unsafe { GRef::from_ptr(prev) } {
        Some(prev) => prev.cancelable.next.set(next),
        None => inner.head = next,
    }
    // SAFETY: links in the list are null or Gs, which are never freed.
    match unsafe { GRef::from_ptr(next) } {
        Some(next) => next.cancelable.prev.set(prev),
        None => inner.tail = prev,
    }
    c.listed.set(false);
}

// ---- waiting under a token ------------------------------------------------------------------------------------------

/// The token under which a G waits. While it is the current one, the G holds a count for it. For use by the G itself.
#[derive(Clone, Copy)]
pub struct Current(&'static Token);

/// The current token of the G that runs here.
#[inline(always)]
pub fn current(gp: GRef) -> Option<Current> {
    // SAFETY: null, or a token for which the G holds a count.
    unsafe { gp.cancel.get().cast::<Token>().as_ref() }.map(Current)
}

/// Whether a token may end a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// For an event: a token ends it.
    Event,
    /// For a lock or an end: a token ends it only if the caller asks for that (`gmx_cancel_locks`). Otherwise a caller
    /// that does not check the result would continue without the lock, or before the end.
    Lock,
    /// The library's own wait: only its event ends it.
    Own,
}

/// The token that may end a wait of this kind of the G that runs here; None within a shield.
#[inline(always)]
pub fn ends(gp: GRef, kind: Kind) -> Option<Current> {
    match kind {
        Kind::Event => current(gp).filter(|_| gp.shields.get() == 0),
        Kind::Lock if gp.cancel_locks.get() => ends(gp, Kind::Event),
        Kind::Lock | Kind::Own => None,
    }
}

/// Begins a shield around the G that runs here. Shields nest. A token that is canceled meanwhile stays canceled.
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

/// Whether a token is to end this G's waits for locks and ends too. Returns the former setting.
pub fn set_locks(gp: GRef, too: bool) -> bool {
    gp.note_extra(extra::SHIELD);
    gp.cancel_locks.replace(too)
}

impl Current {
    /// CANCEL-C2. Tokens are never freed, so a late look from the commit of the park (CANCEL-C3) does no harm.
    pub fn is_canceled(self) -> bool {
        self.0.reason.load(Ordering::SeqCst) != 0
    }

    pub fn token(self) -> &'static Token {
        self.0
    }

    /// CANCEL-C1. From here on until [`Current::unregister`] returns, `interrupt` may be called. It may be called later
    /// too, but then with a stale number (CANCEL-T1).
    pub fn register(self, gp: GRef, seq: u64, arg: u64, interrupt: Interrupt) -> Result<()> {
        let mut inner = self.0.inner.lock();
        if self.is_canceled() {
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

    /// CANCEL-C4.
    pub fn unregister(self, gp: GRef) {
        let mut inner = self.0.inner.lock();
        if gp.cancelable.listed.get() {
            take_out(&mut inner, gp);
        }
    }
}

/// The count that belongs to a pointer from [`Ref::forget`] or [`replace`].
///
/// # Safety
/// Null, or a token for which the caller holds a count, which passes to the result.
pub unsafe fn counted(sched: &'static Sched, token: *mut Token) -> Option<Ref> {
    // SAFETY: the caller's promise (CANCEL-T3).
    unsafe { token.as_ref() }.map(|token| Ref { sched, token })
}

/// Makes `token` the current one of a G; the count of the former token passes to the caller.
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

/// Makes `token` the current one of a new G without a count: the lender's count lasts until the G has ended.
#[inline]
pub fn lend(gp: GRef, token: &'static Token) {
    debug_assert!(!gp.may_have(extra::TOKEN) && gp.may_have(extra::SCOPE));
    gp.cancel.set(from_ref(token).cast_mut().cast());
}

/// Gives a new G the current token of the G that runs here.
pub fn inherit(m: MRef, from: GRef, to: GRef) {
    if let Some(current) = current(from) {
        // The spawner holds a count for it.
        let counts = current.0.try_ref();
        debug_assert!(counts, "CANCEL-T3");
        let old = replace(to, Some(Ref { sched: m.sched(), token: current.0 }));
        debug_assert!(old.is_none());
    }
}

/// Gives a new G its own token, which [`cancel_g`] cancels, below the current token of `above`.
pub fn give_own(m: MRef, above: Option<GRef>, gp: GRef) -> Result<()> {
    debug_assert!(gp.has(gflag::CANCELLABLE));
    let sched = m.sched();
    // CANCEL-T3: the spawner holds a count for it.
    let parent = above.and_then(current).filter(|c| c.0.try_ref()).map(|c| Ref { sched, token: c.0 });
    let token = make(m, parent.as_ref(), None)?;
    let handle = token.handle.get();
    let counts = token.try_ref();
    debug_assert!(counts, "CANCEL-T3");
    let old = replace(gp, Some(token));
    debug_assert!(old.is_none());
    // Release: pairs with CANCEL-G1.
    gp.own_token.store(handle, Ordering::Release);
    Ok(())
}

/// CANCEL-G1 to CANCEL-G3, in any context. False: it was canceled already.
pub fn cancel_g(m: MRef, handle: u64, reason: Reason) -> Result<bool> {
    let sched = m.sched();
    let gp = sched.g_of(handle).ok_or(Error::Stale)?;
    // CANCEL-G1
    let (has, token) = (gp.has(gflag::CANCELLABLE), gp.own_token.load(Ordering::Acquire));
    // CANCEL-G2
    if !gp.handle_is(handle) {
        return Err(Error::Stale);
    }
    if !has {
        return Err(Error::Perm);
    }
    // CANCEL-G3
    Ok(cancel(m, &find(sched, token, true)?, reason))
}

/// The end of a G, or of a thread of the host: it gives up its counts.
#[inline]
pub fn on_exit(sched: &'static Sched, gp: GRef) {
    if gp.may_have(extra::SHIELD) {
        gp.cancel_locks.set(false);
        gp.shields.set(0);
    }
    if !gp.may_have(extra::TOKEN) {
        // None, or a token that is lent.
        gp.cancel.set(null_mut());
        return;
    }
    if gp.has(gflag::CANCELLABLE) {
        // Relaxed: a canceller that has read it finds a stale handle. An error here is Stale: the host has freed the
        // handle.
        let _ = free(sched, gp.own_token.swap(0, Ordering::Relaxed));
    }
    if let Some(old) = replace(gp, None) {
        unref(sched, old);
    }
}
