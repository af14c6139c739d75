//! Waits that several may end, of whom one does: the first to claim it.
//!
//! # Problem
//! A G that waits for several things stands in several queues, and a deadline or a cancel may come beside. Being taken
//! out of a queue under its lock is not enough any more: somebody else may have come first, under another lock.
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
//! | PREPARING | the G | begun; it is still on its stack |
//! | OPEN | the commit of its park | to be claimed |
//! | TAKEN | a partner | it brought what the G waited for, or says that nothing will come |
//! | TIMED_OUT | the timer, or the thread itself | the deadline passed first |
//! | CANCELED | a canceller | it came first |
//! | EARLY_* | as those two | it came before the commit |
//! | EARLY_TAKEN | `gmx_ready` | as above, for a park of the host (parking.rs) |
//!
//! # Protocol
//! The waiter:
//! * C1 a new number, PREPARING; with a token it is registered there (cancel.rs): from here on a canceller may know of
//!   it;
//! * C2 the records get into their queues, under the locks of those;
//! * C3 park. The commit: the timer is armed; PREPARING becomes OPEN by CAS; the locks are opened. From OPEN on the G
//!   may run, so nothing of it is touched any more;
//! * C4 awake: stop the timer, leave the token, take what records are left out of their queues, each under its lock.
//!
//! Who ends it:
//! * E1 CAS from (number, OPEN) to one of the ends. Who succeeds writes what the G is to find, and readies it;
//! * E2 a canceller or a timer that finds PREPARING writes EARLY instead: the G is not off its stack, so its commit
//!   readies it.
//!
//! # Invariants
//! * I1 one end: the state leaves OPEN once, and a number is used once. Whoever is late finds another word.
//! * I2 partners see a record only under the lock of its queue, which was open after OPEN was written: they never find
//!   PREPARING.
//! * I3 the waiter's frame lives until the commit has opened every lock: what it waits on is left by C4 under each
//!   lock.
//!
//! # Orderings
//! OPEN is a Release, a claim an Acquire: the G's saved context comes before the run that follows. What the one that
//! ended the wait wrote comes to the G through the run queue, or the note of its thread.
//!
//! # Rejected
//! To arm the timer behind OPEN: a canceller may end the wait between the two, the G finds no timer to stop, and begins
//! its next wait with one that is armed.
//!
//! # Why it ends
//! A loop goes round when another has moved the word, which happens twice in a wait at most.
//!
//! # Differences from Go
//! `selectDone` is a flag in the G; here the number is beside it, so that a late timer, which Go's selects do not have,
//! needs no other lock to know that it is late.

use super::{cancel, waitq};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GRef, WaitReason};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::gmp::p::PRef;
use crate::gmp::timers::{Alarm, Timers};
use crate::protocol::{park, wake};
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
    // AcqRel: the G's context, stored before OPEN, comes before whatever the winner lets run.
    gp.wait.compare_exchange(word(seq, from), word(seq, to), Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// E1 for a partner, which readies the G if this is true.
#[inline]
#[must_use]
pub fn take(gp: &G, seq: u64) -> bool {
    change(gp, seq, OPEN, TAKEN)
}

/// Whether a wait whose record lies in a queue can still be claimed. The lock of the queue is held.
#[must_use]
pub fn is_open(gp: &G, seq: u64) -> bool {
    gp.wait.load(Ordering::Relaxed) == word(seq, OPEN)
}

/// The deadline of a wait has passed.
pub fn expire(m: MRef, gp: GRef, seq: u64) {
    end(m, gp, seq, TIMED_OUT, EARLY_TIMED_OUT);
}

/// Cancels a wait, at any moment after C1.
pub fn cancel(m: MRef, gp: GRef, seq: u64) {
    end(m, gp, seq, CANCELED, EARLY_CANCELED);
}

fn end(m: MRef, gp: GRef, seq: u64, how: u64, early: u64) {
    loop {
        let now = gp.wait.load(Ordering::Relaxed);
        if now == word(seq, OPEN) {
            // E1
            if change(&gp, seq, OPEN, how) {
                return park::goready(m, gp);
            }
        } else if now == word(seq, PREPARING) {
            // E2
            if change(&gp, seq, PREPARING, early) {
                return;
            }
        } else {
            return;
        }
    }
}

unsafe fn interrupt(m: MRef, gp: GRef, seq: u64, _: u64) {
    cancel(m, gp, seq);
}

/// What opens the locks that a waiter holds.
#[derive(Clone, Copy)]
pub struct Locks {
    pub open: unsafe fn(*mut c_void),
    pub arg: *mut c_void,
}

/// A wait that is about to begin: everything that may fail has been done.
pub struct Wait {
    pub gp: GRef,
    /// 0: nobody but a partner under the one lock can end it, and need not claim it.
    pub seq: u64,
    pub(super) foreign: bool,
    pub(super) deadline: Option<i64>,
    token: Option<cancel::Current>,
}

/// What the commit needs, in the waiter's frame.
struct Leaving {
    seq: u64,
    deadline: Option<i64>,
    locks: Locks,
}

impl Wait {
    /// A wait with one record that nobody but a partner will end; None if a deadline or a token may. Locks may be held.
    #[inline(always)]
    pub fn plain(m: MRef, timeout: i64) -> Option<Wait> {
        let gp = waitq::waiter(m);
        let plain = timeout == waitq::FOREVER && cancel::ends(gp, waitq::Kind::Event).is_none();
        plain.then_some(Wait { gp, seq: 0, foreign: false, deadline: None, token: None })
    }

    /// C1. No lock of a queue is held.
    pub fn begin(m: MRef, timeout: i64) -> Result<Wait> {
        let mut wait = Wait::number(m, timeout)?;
        if let Err(e) = wait.register() {
            wait.abandon(m);
            return Err(e);
        }
        Ok(wait)
    }

    /// C1 without the token.
    #[inline(always)]
    pub(super) fn number(m: MRef, timeout: i64) -> Result<Wait> {
        let gp = waitq::waiter(m);
        let foreign = m.ctx() == Ctx::Foreign;
        let deadline = waitq::deadline_of(timeout);
        if deadline.is_some() && !foreign && m.must_p().timers.reserve().is_err() {
            return Err(Error::NoMemory);
        }
        // Only the G begins, and every late claim fails whatever it finds.
        let seq = (gp.wait.load(Ordering::Relaxed) >> STATE_BITS) + 1;
        // Release: pairs with R1 in parking.rs.
        gp.wait.store(word(seq, PREPARING), Ordering::Release);
        Ok(Wait { gp, seq, foreign, deadline, token: None })
    }

    /// C1 with the token, if one ends the G's waits.
    #[inline(always)]
    pub(super) fn register(&mut self) -> Result<()> {
        if let Some(token) = cancel::ends(self.gp, waitq::Kind::Event) {
            token.register(self.gp, self.seq, 0, interrupt)?;
            self.token = Some(token);
        }
        Ok(())
    }

    /// Not to wait after all: no record was queued.
    pub fn abandon(self, m: MRef) {
        if let Some(token) = self.token {
            token.unregister(self.gp);
        }
        if self.deadline.is_some() && !self.foreign {
            m.must_p().timers.unreserve();
        }
    }

    /// C3 and C4, but for the records. Ok: a partner ended it.
    ///
    /// # Migrates
    #[inline]
    pub fn park(self, m: MRef, reason: WaitReason, locks: Locks) -> (MRef, Result<()>) {
        if self.seq == 0 {
            let mut locks = locks;
            let commit = Commit { host: false, f: Some(open_locks), arg: (&raw mut locks).cast() };
            // (also for a thread of the host)
            return (park::gopark(m, reason, commit), Ok(()));
        }
        self.park_claimed(m, reason, locks)
    }

    fn park_claimed(self, m: MRef, reason: WaitReason, locks: Locks) -> (MRef, Result<()>) {
        let Wait { seq, foreign, deadline, .. } = self;
        let mut leaving = Leaving { seq, deadline: deadline.filter(|_| !foreign), locks };
        let commit = Commit { host: false, f: Some(leave), arg: (&raw mut leaving).cast() };
        let m = if foreign {
            park::park_thread(m, reason, commit, deadline, |gp| expire(m, gp, seq));
            m
        } else {
            park::gopark(m, reason, commit)
        };
        (m, self.over(deadline.is_some() && !foreign))
    }

    /// C4, but for the records; `armed`: its timer was.
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
    // SAFETY: `park` passes its locks, which live on the G's stack until they are open (I3).
    unsafe {
        let Locks { open, arg } = *arg.cast::<Locks>();
        open(arg);
    }
    true
}

/// The commit of C3.
unsafe fn leave(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `park_claimed` passes its record. It is copied: from OPEN on it may be gone.
    let Leaving { seq, deadline, locks } = unsafe { std::ptr::read(arg.cast::<Leaving>()) };
    let first = deadline.is_some_and(|when| {
        // SAFETY: the G's timer is in no heap: its last wait took it out, or it fired. Nobody lets the G run yet.
        unsafe { Timers::add(m.must_p().p(), &gp.timer, Alarm { when, fire, arg: gp.as_ptr().cast(), seq }) }
    });
    let early = !change(&gp, seq, PREPARING, OPEN);
    // SAFETY: the waiter holds these locks, and passed them with their argument.
    unsafe { (locks.open)(locks.arg) };
    if let (true, Some(when)) = (first, deadline) {
        wake::timer_added_on_the_way(m.sched(), m, when);
    }
    if early {
        // E2: nobody else does.
        park::goready(m, gp);
    }
    true
}

/// What a timer that ends a wait does.
pub(super) unsafe fn fire(m: MRef, _: PRef, arg: *mut c_void, seq: u64) -> bool {
    // SAFETY: the timer was armed with its G.
    if let Some(gp) = unsafe { GRef::from_ptr(arg.cast()) } {
        expire(m, gp, seq);
    }
    false
}
