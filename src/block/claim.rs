//! A wait that several parties may end: the first party to claim it does.
//!
//! # Problem
//! A select waits in several queues at once, and a deadline or a cancellation may end any wait. A partner takes the
//! waiter's record out of a queue under that queue's lock. That lock no longer decides: a partner at another queue
//! holds another lock, and a timer or a canceller holds none. Two of them could end the wait at the same moment, and
//! ready the G twice. So each party first claims the wait, by a compare-and-swap on one word of the G, and only the
//! winner ends it.
//!
//! # Words
//! ```text
//!  gp.wait   63                     4 3      0
//!           +------------------------+--------+
//!           |  number of the wait    |  state |
//!           +------------------------+--------+
//! ```
//!
//! | state | written by | meaning |
//! |---|---|---|
//! | PREPARING | the waiter (CLAIM-C1) | the wait has begun; the G still runs on its stack |
//! | OPEN | the commit of its park (CLAIM-C3) | any party may claim the wait |
//! | TAKEN | a partner (CLAIM-E1) | the partner brought the event, or says that nothing will come |
//! | TIMED_OUT | the timer, or the waiting thread itself (CLAIM-E1) | the deadline passed first |
//! | CANCELED | a canceller (CLAIM-E1) | the cancellation came first |
//! | EARLY_TIMED_OUT | the timer (CLAIM-E2) | as TIMED_OUT, but before the commit |
//! | EARLY_CANCELED | a canceller (CLAIM-E2) | as CANCELED, but before the commit |
//! | EARLY_TAKEN | `gmx_ready` | as TAKEN, but before the commit; for a park of the host (parking.rs) |
//!
//! PREPARING becomes OPEN or an EARLY state, OPEN becomes TAKEN, TIMED_OUT or CANCELED, and the next wait begins again
//! with PREPARING.
//!
//! # Protocol
//! The waiter:
//! * CLAIM-C1 takes a new number and writes PREPARING. If a token covers the wait, it registers with the token
//!   (cancel.rs); from here on a canceller may know of the wait.
//! * CLAIM-C2 puts its records into their queues, under the locks of the queues.
//! * CLAIM-C3 parks. The commit arms the timer, changes PREPARING to OPEN by CAS, and then opens the locks. From OPEN
//!   on the G may run, so the commit does not touch the G any more.
//! * CLAIM-C4 awake again: stops the timer, unregisters from the token, and takes the remaining records out of their
//!   queues, each under its lock.
//!
//! The party that ends the wait:
//! * CLAIM-E1 changes (number, OPEN) to one of the ends by CAS. The winner writes the result that the G is to find, and
//!   readies the G.
//! * CLAIM-E2 a canceller or a timer that finds PREPARING writes the EARLY state instead. The G has not left its stack
//!   yet, so its commit readies it.
//!
//! # Invariants
//! * CLAIM-I1 A wait ends once: the state leaves OPEN once, and a number is used once. A party that comes too late
//!   finds another word.
//! * CLAIM-I2 A partner sees a record only under the lock of its queue. CLAIM-C3 opens that lock after it has written
//!   OPEN, so a partner never finds PREPARING.
//! * CLAIM-I3 The waiter's frame lives until the commit has opened every lock: CLAIM-C4 takes the lock of each queue
//!   that still holds a record, and the partner that took a record did so under the lock of its queue.
//!
//! # Orderings
//! The store of OPEN is a Release, a claim an Acquire: the G's saved context happens before the run that follows. The
//! run queue, or the note of the waiting thread, brings to the G what the winner of CLAIM-E1 wrote.
//!
//! # Rejected
//! Arming the timer after OPEN: a canceller may end the wait between the two steps. The G then finds no timer to stop,
//! and begins its next wait with a timer that is armed for this one.
//!
//! # Why it ends
//! The loop of `end` repeats only when another party has changed the word, which happens at most twice in a wait.
//!
//! # Differences from Go
//! Go's `selectDone` is a flag in the G. Here the number of the wait stands beside the flag: a timer that comes too
//! late, which Go's selects do not have, sees from the word alone that it is late, and needs no other lock.

use super::{cancel, waitq};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GRef, WaitReason};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::gmp::p::PRef;
use crate::gmp::timers::{Alarm, Timers};
use crate::protocol::{park, thread, wake};
use crate::sync::Ordering;
use std::ffi::c_void;

const STATE_BITS: u32 = 4;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;

pub(super) const PREPARING: u64 = 1;
pub(super) const OPEN: u64 = 2;
pub(super) const TAKEN: u64 = 3;
pub(super) const TIMED_OUT: u64 = 4;
const CANCELED: u64 = 5;
const EARLY_TIMED_OUT: u64 = 6;
pub(super) const EARLY_CANCELED: u64 = 7;
pub(super) const EARLY_TAKEN: u64 = 8;

pub(super) fn word(seq: u64, state: u64) -> u64 {
    seq << STATE_BITS | state
}

/// The number and the state in a word.
pub(super) fn parts(word: u64) -> (u64, u64) {
    (word >> STATE_BITS, word & STATE_MASK)
}

pub(super) fn change(gp: &G, seq: u64, from: u64, to: u64) -> bool {
    // AcqRel: the G's context, stored before OPEN, happens before the code that the winner lets run.
    gp.wait.compare_exchange(word(seq, from), word(seq, to), Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// CLAIM-E1 for a partner, which never finds PREPARING (CLAIM-I2). If it returns true, the caller readies the G.
#[inline]
#[must_use]
pub fn take(gp: &G, seq: u64) -> bool {
    change(gp, seq, OPEN, TAKEN)
}

/// Whether the wait of a record that lies in a queue can still be claimed. The caller holds the lock of the queue.
#[must_use]
pub fn is_open(gp: &G, seq: u64) -> bool {
    gp.wait.load(Ordering::Relaxed) == word(seq, OPEN)
}

/// Ends a wait whose deadline has passed.
pub fn expire(m: MRef, gp: GRef, seq: u64) {
    end(m, gp, seq, TIMED_OUT, EARLY_TIMED_OUT);
}

/// Cancels a wait; allowed at any moment after CLAIM-C1.
pub fn cancel(m: MRef, gp: GRef, seq: u64) {
    end(m, gp, seq, CANCELED, EARLY_CANCELED);
}

fn end(m: MRef, gp: GRef, seq: u64, how: u64, early: u64) {
    loop {
        let now = gp.wait.load(Ordering::Relaxed);
        if now == word(seq, OPEN) {
            // CLAIM-E1
            if change(&gp, seq, OPEN, how) {
                return park::goready(m, gp);
            }
        } else if now == word(seq, PREPARING) {
            // CLAIM-E2
            if change(&gp, seq, PREPARING, early) {
                return;
            }
        } else {
            // CLAIM-I1: it comes too late.
            return;
        }
    }
}

unsafe fn interrupt(m: MRef, gp: GRef, seq: u64, _: u64) {
    cancel(m, gp, seq);
}

/// How to open the locks that a waiter holds.
#[derive(Clone, Copy)]
pub struct Locks {
    pub open: unsafe fn(*mut c_void),
    pub arg: *mut c_void,
}

/// A wait that is about to begin: every step that may fail is done.
pub struct Wait {
    pub gp: GRef,
    /// 0: only a partner, under the one lock, can end the wait, so that the partner need not claim it.
    pub seq: u64,
    pub(super) foreign: bool,
    pub(super) deadline: Option<i64>,
    token: Option<cancel::Current>,
}

/// The arguments of the commit, in the waiter's frame.
struct Leaving {
    seq: u64,
    deadline: Option<i64>,
    locks: Locks,
}

impl Wait {
    /// A wait with one record that only a partner ends; None if a deadline or a token may end it. The caller may hold
    /// locks.
    #[inline(always)]
    pub fn plain(m: MRef, timeout: i64) -> Option<Wait> {
        let gp = waitq::waiter(m);
        let plain = timeout == waitq::FOREVER && cancel::ends(gp, cancel::Kind::Event).is_none();
        plain.then_some(Wait { gp, seq: 0, foreign: false, deadline: None, token: None })
    }

    /// CLAIM-C1. The caller holds no lock of a queue.
    pub fn begin(m: MRef, timeout: i64) -> Result<Wait> {
        let mut wait = Wait::number(m, timeout)?;
        if let Err(e) = wait.register() {
            wait.abandon(m);
            return Err(e);
        }
        Ok(wait)
    }

    /// CLAIM-C1 without the token.
    #[inline(always)]
    pub(super) fn number(m: MRef, timeout: i64) -> Result<Wait> {
        let gp = waitq::waiter(m);
        let foreign = m.ctx() == Ctx::Foreign;
        let deadline = waitq::deadline_of(timeout);
        if deadline.is_some() && !foreign && m.must_p().timers.reserve().is_err() {
            return Err(Error::NoMemory);
        }
        // Only the G itself begins its waits, and a late claim fails whatever it finds here.
        let seq = (gp.wait.load(Ordering::Relaxed) >> STATE_BITS) + 1;
        // Release: pairs with PARKING-R1.
        gp.wait.store(word(seq, PREPARING), Ordering::Release);
        Ok(Wait { gp, seq, foreign, deadline, token: None })
    }

    /// CLAIM-C1 with the token, if one ends the G's waits.
    #[inline(always)]
    pub(super) fn register(&mut self) -> Result<()> {
        if let Some(token) = cancel::ends(self.gp, cancel::Kind::Event) {
            token.register(self.gp, self.seq, 0, interrupt)?;
            self.token = Some(token);
        }
        Ok(())
    }

    /// Ends a wait that did not come about: no record was queued.
    pub fn abandon(self, m: MRef) {
        if let Some(token) = self.token {
            token.unregister(self.gp);
        }
        if self.deadline.is_some() && !self.foreign {
            m.must_p().timers.unreserve();
        }
    }

    /// CLAIM-C3 and CLAIM-C4, except for the records. Ok: a partner ended the wait.
    ///
    /// # Migrates
    #[inline]
    pub fn park(self, m: MRef, reason: WaitReason, locks: Locks) -> (MRef, Result<()>) {
        if self.seq == 0 {
            let mut locks = locks;
            let commit = Commit { host: false, f: Some(open_locks), arg: (&raw mut locks).cast() };
            // (gopark also serves a thread of the host.)
            return (park::gopark(m, reason, commit), Ok(()));
        }
        self.park_claimed(m, reason, locks)
    }

    fn park_claimed(self, m: MRef, reason: WaitReason, locks: Locks) -> (MRef, Result<()>) {
        let Wait { seq, foreign, deadline, .. } = self;
        let mut leaving = Leaving { seq, deadline: deadline.filter(|_| !foreign), locks };
        let commit = Commit { host: false, f: Some(leave), arg: (&raw mut leaving).cast() };
        let m = if foreign {
            thread::park(m, reason, commit, deadline, |gp| expire(m, gp, seq));
            m
        } else {
            park::gopark(m, reason, commit)
        };
        (m, self.over(deadline.is_some() && !foreign))
    }

    /// CLAIM-C4, except for the records. `armed`: the commit armed the G's timer.
    #[inline(always)]
    pub(super) fn over(self, armed: bool) -> Result<()> {
        let end = match parts(self.gp.wait.load(Ordering::Relaxed)).1 {
            TAKEN | EARLY_TAKEN => Ok(()),
            TIMED_OUT | EARLY_TIMED_OUT => Err(Error::TimedOut),
            _ => Err(Error::Canceled),
        };
        if armed && end != Err(Error::TimedOut) {
            Timers::remove(&self.gp.timer);
        }
        if let Some(token) = self.token {
            token.unregister(self.gp);
        }
        end
    }
}

/// The commit of a wait that need not be claimed.
unsafe fn open_locks(_: MRef, _: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `park` passes its locks, which live on the G's stack until they are open (CLAIM-I3).
    let Locks { open, arg } = unsafe { *arg.cast::<Locks>() };
    // SAFETY: the argument is the one that came with it; the locks are opened once.
    unsafe { open(arg) };
    true
}

/// The commit of CLAIM-C3.
unsafe fn leave(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `park_claimed` passes its record. It is copied here: from OPEN on the record may be gone.
    let Leaving { seq, deadline, locks } = unsafe { std::ptr::read(arg.cast::<Leaving>()) };
    let first = deadline.is_some_and(|when| {
        // SAFETY: the G's timer is in no heap: its last wait took it out, or it fired. Before OPEN no party lets the G
        // run.
        unsafe { Timers::add(m.must_p().p(), &gp.timer, Alarm { when, fire, arg: gp.as_ptr().cast(), seq }) }
    });
    let early = !change(&gp, seq, PREPARING, OPEN);
    // SAFETY: the waiter holds these locks, and passed them with their argument.
    unsafe { (locks.open)(locks.arg) };
    if let (true, Some(when)) = (first, deadline) {
        wake::timer_added_on_the_way(m.sched(), m, when);
    }
    if early {
        // CLAIM-E2: the party that came early leaves this to the commit.
        park::goready(m, gp);
    }
    true
}

/// The callback of a timer that ends a wait.
pub(super) unsafe fn fire(m: MRef, _: PRef, arg: *mut c_void, seq: u64) -> bool {
    // SAFETY: the timer was armed with its G.
    if let Some(gp) = unsafe { GRef::from_ptr(arg.cast()) } {
        expire(m, gp, seq);
    }
    false
}
