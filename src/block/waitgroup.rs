//! Wait groups: a count, and those who wait for it to be zero.
//!
//! ```text
//!  state   63                  32 31            1    0
//!         +----------------------+---------------+-------+
//!         |       count          |     zero      | WAIT  |
//!         +----------------------+---------------+-------+
//! ```
//!
//! # Problem
//! Many Gs come by at one group at once, each to change the count by one. A wrong change leaves the count as it was.
//! The first waiter that is back may begin the next round, or give the memory of the group away, while others still
//! wait.
//!
//! # Words
//! `state`. `count` is below zero, or higher than it may be, while a change is under way that is to be refused (D3);
//! any caller changes it, by one instruction that reads and writes. WAIT: there are waiters in the queue, or there
//! were. It changes under the root's lock only.
//!
//! # Protocol
//! Change:
//! * D1 count + change. One is added, or taken away, blindly: those who meet at a group need its line once that way,
//!   not twice or more.
//! * D2 the caller that makes the count zero while WAIT is set takes the root's lock. If the count is still not above
//!   zero, it takes WAIT off and ends the wait of all in the queue, by hand-off: they return without a look at the
//!   group.
//! * D3 the caller that makes the count less than zero, or too high, takes the change back, if it is still so. If it is
//!   not, another change came meanwhile, and all is as it would be had that come before. More than one at a time is
//!   added only where it is seen to be right: taken back, it could have made another's call look wrong that is right.
//!
//! Wait:
//! * V1 back, if the count is not above zero and WAIT is off.
//! * V2 under the lock: the same look again; otherwise WAIT on, and into the queue.
//! * V3 a waiter whose wait was ended by D2 returns.
//!
//! # Invariants
//! * G1 WAIT comes on while the count is above zero. So a caller makes it zero later, and does D2.
//! * G2 no waiter returns with success while WAIT is on. So the caller that makes the count zero may touch the group
//!   until it has taken WAIT off, and does not touch it afterwards.
//! * G3 a waiter that D2 has taken out of the queue does not touch the group again. So the first one back may do with
//!   the memory what it likes.
//!
//! # Orderings
//! D1's Release and the Acquire of V1, V2 and D1: what was done before `done` comes before the return. Count and WAIT
//! are one word, and WAIT comes on under the lock that D2 takes: either D1 sees WAIT, or V2 sees the count of D1.
//!
//! # Rejected
//! To take WAIT off in the step that makes the count zero, and to wake afterwards: the wake may come to waiters of the
//! next round, so they would have to look again, at memory that may be gone.

use super::waitq::{self, How, Kind, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::widen::widen;
use crate::sync::{AtomicU64, Ordering};

const WAIT: u64 = 1;
const ONE: u64 = 1 << 32;
const MOST: i64 = i32::MAX as i64;

/// The count of D3, from -2^30 on: so many calls are not under way at once.
#[inline(always)]
fn count(s: u64) -> i64 {
    (s.wrapping_add(1 << 62) >> 32) as i64 - (1 << 30)
}

/// That of a change.
#[inline(always)]
fn steps(n: i64) -> u64 {
    (n as u64).wrapping_mul(ONE)
}

/// As the C struct lays it out; zero is ready.
#[repr(C)]
#[derive(Default)]
pub struct WaitGroup {
    state: AtomicU64,
    reserved: [u32; 2],
}

impl WaitGroup {
    /// Changes the count; below zero (or too high) is Invalid and changes nothing.
    #[inline(always)]
    pub fn add(&self, m: MRef, delta: i32) -> Result<()> {
        if delta != 1 && delta != -1 {
            return self.add_seeing(m, delta);
        }
        // D1. AcqRel: see Orderings.
        let change = steps(i64::from(delta));
        let s = self.state.fetch_add(change, Ordering::AcqRel).wrapping_add(change);
        if s == WAIT || (s as i64) < 0 { self.added(m, delta, s) } else { Ok(()) }
    }

    /// As [`WaitGroup::add`], if no wait ends by it and it is right. False: nothing is changed.
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

    /// D1 for a caller that looks before. The word as it is then; None, and nothing is changed, if the count would not
    /// be one, or if the caller cannot do D2 and would have to.
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

    /// D2 and D3: `s` is there now.
    #[cold]
    fn added(&self, m: MRef, delta: i32, s: u64) -> Result<()> {
        widen!();
        if s == WAIT {
            self.release(m);
            return Ok(());
        }
        // D3
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

    /// D2.
    #[cold]
    fn release(&self, m: MRef) {
        let addr = self.addr();
        widen!();
        waitq::wake_some(m, addr, |w| {
            let mut s = self.state.load(Ordering::Relaxed);
            while s & WAIT != 0 && count(s) <= 0 {
                match self.state.compare_exchange_weak(s, s & !WAIT, Ordering::AcqRel, Ordering::Relaxed) {
                    // From here on the group is not touched (G2).
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

    /// V1, as it nearly always is.
    #[inline(always)]
    pub fn is_zero(&self) -> bool {
        self.state.load(Ordering::Acquire) == 0
    }

    /// `kind`: `Lock`, or `Own`.
    ///
    /// # Migrates
    pub fn wait(&self, mut m: MRef, deadline: Option<i64>, kind: Kind) -> (MRef, Result<()>) {
        let addr = self.addr();
        let how = How::new(kind, WaitReason::WAITGROUP, deadline);
        loop {
            // V1
            let s = self.state.load(Ordering::Acquire);
            if s & WAIT == 0 && count(s) <= 0 {
                return (m, Ok(()));
            }
            let waited;
            (m, waited) = waitq::wait(m, addr, how, || self.announce());
            match waited {
                // V3
                Waited::Not | Waited::Handoff => return (m, Ok(())),
                waited => {
                    if let Some(e) = waited.error() {
                        return (m, Err(e));
                    }
                }
            }
        }
    }

    /// V2, under the root's lock: whether to wait.
    fn announce(&self) -> bool {
        let mut s = self.state.load(Ordering::Acquire);
        // (With WAIT on and a count of zero the caller of D2 is about to take the lock.)
        while s & WAIT == 0 {
            if count(s) <= 0 {
                return false;
            }
            match self.state.compare_exchange_weak(s, s | WAIT, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => s = now,
            }
        }
        true
    }
}
