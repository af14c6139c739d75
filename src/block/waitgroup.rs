//! Wait groups: a count, and waiters that wait until it is zero.
//!
//! # Problem
//! Many Gs change the count of one group at the same time, each by one. A wrong change must leave the count as it was.
//! The first waiter that returns may begin the next round, or free the group's memory, while other waiters are still in
//! the queue.
//!
//! # Words
//! ```text
//!  state   63                  32 31            1    0
//!         +----------------------+---------------+-------+
//!         |       count          |     zero      | WAIT  |
//!         +----------------------+---------------+-------+
//! ```
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `count` | the sum of the changes | any caller, by one instruction that reads and writes |
//! | WAIT | there are waiters in the queue, or there were | under the root's lock only |
//!
//! | count | WAIT | state of the group | a waiter |
//! |---|---|---|---|
//! | 0 | - | nothing to wait for | returns (WAITGROUP-V1) |
//! | above 0 | - | work to wait for, no waiter yet | sets WAIT and queues (WAITGROUP-V2) |
//! | above 0 | set | waiters in the queue, or they gave up | queues (WAITGROUP-V2) |
//! | 0 | set | the caller that made the count zero is about to do WAITGROUP-D2 | queues; WAITGROUP-D2 locks after it |
//! | below 0, or too high | any | a change is under way that will be refused (WAITGROUP-D3) | as with 0, or above 0 |
//!
//! # Protocol
//! A change:
//! * WAITGROUP-D1 adds the change to the count. A change by +1 or -1 is added blindly: in this way Gs that meet at a
//!   group need its cache line once, not twice or more.
//! * WAITGROUP-D2 the caller that makes the count zero while WAIT is set takes the root's lock. If the count is still
//!   not above zero, it clears WAIT and ends the waits of all waiters in the queue by hand-off: they return without
//!   another look at the group.
//! * WAITGROUP-D3 the caller that makes the count less than zero, or too high, takes its change back, if the count is
//!   still so. If it is not, another change came meanwhile, and the result is as if that change had come first. A
//!   change by more than 1 is added only after a look has shown that it is right: taking it back could have made
//!   another caller's right call look wrong.
//!
//! A wait:
//! * WAITGROUP-V1 returns if the count is not above zero and WAIT is clear.
//! * WAITGROUP-V2 under the root's lock looks once more; if it still has to wait, it sets WAIT and gets into the queue.
//! * WAITGROUP-V3 returns when WAITGROUP-D2 has ended the wait.
//!
//! # Invariants
//! * WAITGROUP-G1 WAIT is set only while the count is above zero. So some caller makes the count zero later, and does
//!   WAITGROUP-D2.
//! * WAITGROUP-G2 No waiter returns with success while WAIT is set. So the caller that makes the count zero may touch
//!   the group until it has cleared WAIT, and does not touch it afterwards.
//! * WAITGROUP-G3 A waiter that WAITGROUP-D2 has taken out of the queue does not touch the group again. So the first
//!   one that returns may free or reuse the memory.
//!
//! # Orderings
//! The Release of WAITGROUP-D1 pairs with the Acquire of WAITGROUP-V1, WAITGROUP-V2 and WAITGROUP-D1: the work before a
//! `done` happens before the return of the wait. Count and WAIT are one word, and WAIT is set under the lock that
//! WAITGROUP-D2 takes: either WAITGROUP-D1 sees WAIT, or WAITGROUP-V2 sees the count of WAITGROUP-D1.
//!
//! # Rejected
//! Clearing WAIT in the step that makes the count zero, and waking afterwards: the wake may reach waiters of the next
//! round. So they would have to look again, at memory that may be gone.

use super::cancel::Kind;
use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::widen::widen;
use crate::sync::{AtomicU64, Ordering};

const WAIT: u64 = 1;
const ONE: u64 = 1 << 32;
const MOST: i64 = i32::MAX as i64;

/// The count as a number, from -2^30 on (WAITGROUP-D3): fewer wrong calls than that are under way at once.
#[inline(always)]
fn count(s: u64) -> i64 {
    (s.wrapping_add(1 << 62) >> 32) as i64 - (1 << 30)
}

/// A change of the count, as a change of the word.
#[inline(always)]
fn steps(n: i64) -> u64 {
    (n as u64).wrapping_mul(ONE)
}

/// Laid out as the C struct; zero is ready.
#[repr(C)]
#[derive(Default)]
pub struct WaitGroup {
    state: AtomicU64,
    reserved: [u32; 2],
}

impl WaitGroup {
    /// Changes the count. Invalid, and nothing changes, if it would go below zero or too high.
    #[inline(always)]
    pub fn add(&self, m: MRef, delta: i32) -> Result<()> {
        if delta != 1 && delta != -1 {
            return self.add_seeing(m, delta);
        }
        self.add_one(delta).map_or(Ok(()), |s| self.added(m, delta, s))
    }

    /// WAITGROUP-D1 for a delta of 1 or -1. Some: [`WaitGroup::added`] with this word follows.
    #[inline(always)]
    pub fn add_one(&self, delta: i32) -> Option<u64> {
        // WAITGROUP-D1. AcqRel: see Orderings.
        let change = steps(i64::from(delta));
        let s = self.state.fetch_add(change, Ordering::AcqRel).wrapping_add(change);
        (s == WAIT || (s as i64) < 0).then_some(s)
    }

    /// As [`WaitGroup::add`], if the change is right and ends no wait. False: nothing has changed.
    #[must_use]
    pub fn add_alone(&self, delta: i32) -> bool {
        self.change(delta, false).is_some()
    }

    #[inline(never)]
    fn add_seeing(&self, m: MRef, delta: i32) -> Result<()> {
        if self.change(delta, true).ok_or(Error::Invalid)? == WAIT {
            self.release(m);
        }
        Ok(())
    }

    /// WAITGROUP-D1 for a caller that looks first. Returns the new word; None, and nothing changes, if the count would
    /// not be valid, or if WAITGROUP-D2 would be due and the caller cannot do it.
    fn change(&self, delta: i32, releases: bool) -> Option<u64> {
        let mut s = self.state.load(Ordering::Relaxed);
        loop {
            let n = count(s) + i64::from(delta);
            let to = s.wrapping_add(steps(i64::from(delta)));
            if !(0..=MOST).contains(&n) || (to == WAIT && !releases) {
                return None;
            }
            match self.state.compare_exchange_weak(s, to, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(to),
                Err(now) => s = now,
            }
        }
    }

    /// WAITGROUP-D2 and WAITGROUP-D3; `s` is the word after the change.
    #[cold]
    pub fn added(&self, m: MRef, delta: i32, s: u64) -> Result<()> {
        widen!();
        if s == WAIT {
            self.release(m);
            return Ok(());
        }
        // WAITGROUP-D3
        let mut s = s;
        while if delta < 0 { count(s) < 0 } else { count(s) > MOST } {
            let to = s.wrapping_sub(steps(i64::from(delta)));
            match self.state.compare_exchange_weak(s, to, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Err(Error::Invalid),
                Err(now) => s = now,
            }
        }
        Ok(())
    }

    /// WAITGROUP-D2.
    #[cold]
    fn release(&self, m: MRef) {
        let addr = self.addr();
        widen!();
        waitq::wake_some(m, addr, |w| {
            let mut s = self.state.load(Ordering::Relaxed);
            while s & WAIT != 0 && count(s) <= 0 {
                match self.state.compare_exchange_weak(s, s & !WAIT, Ordering::AcqRel, Ordering::Relaxed) {
                    // From here on this caller does not touch the group (WAITGROUP-G2).
                    Ok(_) => {
                        w.take_all(addr, Wake::Handoff);
                        return;
                    }
                    Err(now) => s = now,
                }
            }
        });
    }

    fn addr(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// WAITGROUP-V1 in its most frequent case.
    #[inline(always)]
    pub fn is_zero(&self) -> bool {
        self.state.load(Ordering::Acquire) == 0
    }

    /// `kind` is `Lock` or `Own`.
    ///
    /// # Migrates
    pub fn wait(&self, mut m: MRef, deadline: Option<i64>, kind: Kind) -> (MRef, Result<()>) {
        let addr = self.addr();
        let how = How::new(kind, WaitReason::WAITGROUP, deadline);
        loop {
            // WAITGROUP-V1
            let s = self.state.load(Ordering::Acquire);
            if s & WAIT == 0 && count(s) <= 0 {
                return (m, Ok(()));
            }
            let waited;
            (m, waited) = waitq::wait(m, addr, how, || self.announce());
            match waited {
                // WAITGROUP-V3
                Waited::Not | Waited::Handoff => return (m, Ok(())),
                waited => {
                    if let Some(e) = waited.error() {
                        return (m, Err(e));
                    }
                }
            }
        }
    }

    /// WAITGROUP-V2, under the root's lock: returns whether to wait.
    fn announce(&self) -> bool {
        let mut s = self.state.load(Ordering::Acquire);
        // (With WAIT set and a count of zero, the caller of WAITGROUP-D2 is about to take the lock.)
        while s & WAIT == 0 {
            if count(s) <= 0 {
                return false;
            }
            // WAITGROUP-G1: the count is above zero in this step.
            match self.state.compare_exchange_weak(s, s | WAIT, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => s = now,
            }
        }
        true
    }
}
