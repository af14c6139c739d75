//! Coroutines: a G that runs only while another G waits for it, and then hands the thread back.
//!
//! # Problem
//! A generator runs a little, yields a value, and waits until the next value is wanted. Two Gs and two channels can do
//! that. But then each value costs two passes through a run queue, and an idle P may steal one half of the pair. Since
//! the two Gs never run at the same time, the G that stops can enter the other directly. The danger: two resumers enter
//! the same coroutine, or one enters it before it is off its stack.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | coroutine | a G with the flag CORO. It is Suspended off its stack after a yield, and before its begin | |
//! | resumer | the G, or thread of the host, that entered the coroutine and waits for it; not always the same | |
//! | claimer | the resumer or closer whose compare-and-swap took the coroutine out of Suspended | |
//! | `resumer` of the coroutine | its resumer; null while it is Suspended | the claimer, then the coroutine |
//! | `told` of a resumer | how its wait ended: yielded or ended | the coroutine, before it hands over |
//! | CLOSING of a coroutine | it must end, and yields no more | the claimer |
//!
//! # Protocol
//! Resume:
//! * CO-R1 the resumer claims the coroutine: one compare-and-swap from Suspended to Waiting, which also checks that the
//!   handle is not stale. If it fails, nothing has changed;
//! * CO-R2 the resumer stores itself in `resumer`;
//! * CO-R3 it waits, and hands its thread to the coroutine ([`park::hand_over`]).
//!
//! Yield:
//! * CO-Y1 the coroutine takes its resumer out of `resumer` and writes `told`;
//! * CO-Y2 it hands its thread to the resumer. Once it is off its stack it becomes Suspended, and may be claimed again.
//!
//! End:
//! * CO-E1 the handle becomes stale while the coroutine still runs, so that its resumer never finds it half alive;
//! * CO-E2 the coroutine writes `told` and readies its resumer, as the last action before its end.
//!
//! Close:
//! * CO-C1 claim as in CO-R1. A coroutine that has never begun is freed without being run;
//! * CO-C2 otherwise set CLOSING, then do CO-R2 and CO-R3: the coroutine's yield returns with an error, and so does
//!   each later yield, at once. So the closer's wait ends when the coroutine ends (CO-E2).
//!
//! To hand over, the leaving G enters the other one directly (PARK-L2), in the same slice. It goes through the
//! scheduler instead, and readies the other G there, if a request waits at the P, if it is the turn of the P's timers,
//! if one of the two is locked to its thread, if the resumer is a thread of the host, or if the coroutine needs a stack
//! that must be made first.
//!
//! # Invariants
//! * CO-I1 one of the pair runs or is ready to run. The coroutine has a resumer exactly as long as it is claimed, and
//!   only the coroutine ends that wait. Otherwise two threads would run on one stack.
//! * CO-I2 a coroutine is Suspended only when it is off its stack: PARK-K1.
//! * CO-I3 a G that is entered directly is in no queue, so no thief finds it, and no idle P need be woken for it.
//! * CO-I4 each switch serves requests, so a stop, a barrier or the end of a slice waits for at most one switch.
//!
//! # Orderings
//! The status passes the coroutine from its last thread to the claimer: Release in the commit of CO-Y2, Acquire in
//! CO-R1.
//!
//! # Why it ends
//! A resumer waits as long as the coroutine runs or itself waits, as a caller waits for a function. Two coroutines
//! cannot wait for each other: a coroutine that has a resumer cannot be claimed.
//!
//! # Rejected
//! * Both halves in run queues (`gmx_park` and `gmx_ready`): now and then half of a pair is stolen, and comes back with
//!   cold caches.
//! * An object beside the G: one more allocation, and a second name for the same thing. The G's handle is checked
//!   anyway.
//!
//! # Differences from Go
//! * `coroswitch` throws if one of the two is locked to a thread other than the current one. Here such a switch goes
//!   through the scheduler.
//! * Go leaves the end of a coroutine to its user (`iter.Pull` sets a flag). Here [`close`] ends it.

use super::park;
use super::store::{self, Spawn};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GRef, GStatus, WaitReason, gflag};
use crate::gmp::m::{Commit, Ctx, MRef, Mcall};
use std::ffi::c_void;
use std::ptr::null_mut;

/// `told`: the coroutine has yielded.
const YIELDED: u8 = 0;
/// `told`: the coroutine has ended.
const ENDED: u8 = 1;

/// Makes a coroutine that has not begun. Returns the handle of its G.
pub fn make(m: MRef, what: &Spawn) -> Result<u64> {
    let gp = store::newproc_to_start(m, &Spawn { flags: what.flags | gflag::CORO, ..*what })?;
    gp.resumer.set(null_mut());
    gp.note_wait(WaitReason::COROUTINE, m.sched().coarse_now());
    let handle = gp.handle();
    // CO-I2: it has no stack yet.
    gp.set_status(GStatus::Suspended);
    Ok(handle)
}

/// The G that stands for the caller.
fn caller(m: MRef) -> GRef {
    if m.ctx() == Ctx::Foreign { m.own_g() } else { park::running(m) }
}

/// Resumes a coroutine; or yields, if the caller is the coroutine itself. Closed if the coroutine has ended in this
/// call. The caller must be allowed to wait.
///
/// # Migrates
#[inline]
pub fn switch(m: MRef, handle: u64) -> Result<()> {
    let Some(co) = m.sched().g_of(handle) else { return Err(Error::Stale) };
    let me = caller(m);
    if me == co {
        return suspend(m, co);
    }
    claim(co, handle)?;
    let (_, told) = enter(m, me, co);
    if told == ENDED { Err(Error::Closed) } else { Ok(()) }
}

/// CO-C1 and CO-C2: when this returns the coroutine has ended.
///
/// # Migrates
pub fn close(m: MRef, handle: u64) -> Result<()> {
    let Some(co) = m.sched().g_of(handle) else { return Err(Error::Stale) };
    let me = caller(m);
    if me == co {
        return Err(if co.has(gflag::CORO) { Error::Deadlock } else { Error::Invalid });
    }
    claim(co, handle)?;
    if co.sp.is_null() {
        store::forget(m, co);
        return Ok(());
    }
    co.set_flag(gflag::CLOSING, true);
    let (_, told) = enter(m, me, co);
    debug_assert!(told == ENDED, "a coroutine that is to end has yielded");
    Ok(())
}

/// CO-R1.
#[inline(always)]
pub fn claim(co: GRef, handle: u64) -> Result<()> {
    if co.cas_status_of(handle, GStatus::Suspended, GStatus::Waiting) { Ok(()) } else { Err(why_not(co, handle)) }
}

#[cold]
fn why_not(co: GRef, handle: u64) -> Error {
    let is_coro = co.has(gflag::CORO);
    if !co.handle_is(handle) {
        Error::Stale
    } else if is_coro {
        Error::Busy
    } else {
        Error::Invalid
    }
}

/// CO-R2 and CO-R3, for a coroutine that the caller has claimed.
///
/// # Migrates
#[inline(always)]
fn enter(m: MRef, me: GRef, co: GRef) -> (MRef, u8) {
    note_resumer(me, co);
    let m = park::hand_over(m, me, co, WaitReason::COROUTINE, Mcall::Stay, resumed(co));
    (m, me.told.get())
}

/// CO-R2.
#[inline(always)]
pub fn note_resumer(me: GRef, co: GRef) {
    co.resumer.set(me.as_ptr());
}

/// CO-Y1 and CO-Y2.
///
/// # Migrates
#[inline]
fn suspend(m: MRef, co: GRef) -> Result<()> {
    if !co.has(gflag::CORO) {
        return Err(Error::Invalid);
    }
    if co.has(gflag::CLOSING) {
        return Err(Error::Canceled);
    }
    let to = take_resumer(m, co, YIELDED);
    park::hand_over(m, co, to, WaitReason::COROUTINE, Mcall::Suspend, yielded(to));
    if co.has(gflag::CLOSING) { Err(Error::Canceled) } else { Ok(()) }
}

/// CO-Y1, and the first half of CO-E2.
#[inline(always)]
fn take_resumer(m: MRef, co: GRef, told: u8) -> GRef {
    // SAFETY: null or a G.
    let Some(to) = (unsafe { GRef::from_ptr(co.resumer.take()) }) else {
        crate::gmp::fatal::throw(m.sched(), "a coroutine runs without a resumer")
    };
    to.told.set(told);
    to
}

/// CO-Y1 and the commit of CO-Y2 for a coroutine that goes through the scheduler.
#[cfg(any(loom, shuttle))]
pub fn yielding(m: MRef, co: GRef) -> (GRef, Commit) {
    let to = take_resumer(m, co, YIELDED);
    (to, yielded(to))
}

/// The commit of CO-R3 through the scheduler.
pub fn resumed(co: GRef) -> Commit {
    unsafe fn ready(m: MRef, _: GRef, co: *mut c_void) -> bool {
        // SAFETY: the coroutine, which is ours: it is claimed.
        if let Some(co) = unsafe { GRef::from_ptr(co.cast()) } {
            park::goready(m, co);
        }
        true
    }
    Commit { host: false, f: Some(ready), arg: co.as_ptr().cast() }
}

/// The commit of CO-Y2 through the scheduler.
fn yielded(to: GRef) -> Commit {
    unsafe fn ready(m: MRef, co: GRef, to: *mut c_void) -> bool {
        co.set_status(GStatus::Suspended);
        // SAFETY: the resumer, which only the coroutine readies (CO-I1).
        if let Some(to) = unsafe { GRef::from_ptr(to.cast()) } {
            park::goready(m, to);
        }
        true
    }
    Commit { host: false, f: Some(ready), arg: to.as_ptr().cast() }
}

/// CO-E1 and CO-E2, on the coroutine's stack.
#[cold]
pub fn on_exit(m: MRef, co: GRef) {
    co.set_flag(gflag::RETIRED, true);
    co.retire();
    let to = take_resumer(m, co, ENDED);
    park::goready(m, to);
}
