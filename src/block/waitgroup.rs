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
//! Many come by at one group at once, each to change the count by one. A wrong change leaves it as it was, whoever waits
//! may give the memory back as soon as he returns, and the group may be used again at once.
//!
//! # Words
//! `state`. `count` is below zero, or higher than it may be, while a change is under way that is to be refused (D3). WAIT:
//! somebody waits. Anybody, by one instruction that reads and writes.
//!
//! # Protocol
//! Change: D1 count + change. One is added, or taken away, blindly: those who meet at a group need its line once that way, not
//! twice or more. D2 whoever makes the count zero while WAIT is set takes WAIT off, if it is still so, and wakes all who
//! wait. D3 whoever makes it less than zero, or too high, takes the change back, if it is still so (D2 holds for that, too).
//! If it is not, another change came meanwhile, and all is as it would be had that come before. More than one at a time is
//! added only where it is seen to be right: taken back, it could have made another's call look wrong that is right.
//!
//! Wait: V1 back if the count is zero, or less, and WAIT is off. V2 WAIT on, if the count is higher. V3 into the queue, if WAIT is still on, under the
//! lock; whoever is woken begins again: the wake may be a late one, for those who waited the last time.
//!
//! # Invariants
//! * G1 WAIT is on from a time at which the count was not zero. So there is one who makes it zero behind that, and does D2.
//! * G2 nobody returns while WAIT is on. So whoever makes the count zero may touch the group until he has taken WAIT off,
//!   and if it is not on, or somebody else takes it off, he does not touch it again.
//!
//! # Orderings
//! The Release of each change and the Acquire of V1: what was done before `done` comes before the return. D2 (WAIT off, then
//! the look for waiters) and V3 (the announcement of a waiter, then the look at WAIT) are SeqCst: one of them sees the other.

use super::waitq::{self, How};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::WaitReason;
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
        // D1
        let change = steps(i64::from(delta));
        let s = self.state.fetch_add(change, Ordering::SeqCst).wrapping_add(change);
        if s == WAIT || (s as i64) < 0 { self.added(m, delta, s) } else { Ok(()) }
    }

    /// As [`WaitGroup::add`], where nobody is to be woken for it and it is right. False: nothing is changed.
    #[must_use]
    pub fn add_alone(&self, delta: i32) -> bool {
        self.change(delta, false) == Some(false)
    }

    #[inline(never)]
    fn add_seeing(&self, m: MRef, delta: i32) -> Result<()> {
        let wake = self.change(delta, true).ok_or(Error::Invalid)?;
        if wake {
            self.wake(m);
        }
        Ok(())
    }

    /// D1 for one who looks before. Whether somebody is to be woken now, WAIT being off; None, and nothing is changed, if the
    /// caller does not wake then, or if the count would not be one.
    fn change(&self, delta: i32, wakes: bool) -> Option<bool> {
        let mut s = self.state.load(Ordering::Relaxed);
        loop {
            let n = count(s) + i64::from(delta);
            if !(0..=MOST).contains(&n) {
                return None;
            }
            let (to, wake) = without_waiters(s.wrapping_add(steps(i64::from(delta))));
            if wake && !wakes {
                return None;
            }
            match self.state.compare_exchange_weak(s, to, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Some(wake),
                Err(now) => s = now,
            }
        }
    }

    /// D2 and D3: `s` is there now.
    #[cold]
    fn added(&self, m: MRef, delta: i32, s: u64) -> Result<()> {
        widen!();
        if s == WAIT {
            // D2
            if self.state.compare_exchange(WAIT, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                self.wake(m);
            }
            return Ok(());
        }
        // D3
        let mut s = s;
        while if delta < 0 { count(s) < 0 } else { count(s) > MOST } {
            let (to, wake) = without_waiters(s.wrapping_sub(steps(i64::from(delta))));
            match self.state.compare_exchange_weak(s, to, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => {
                    if wake {
                        self.wake(m);
                    }
                    return Err(Error::Invalid);
                }
                Err(now) => s = now,
            }
        }
        Ok(())
    }

    fn wake(&self, m: MRef) {
        waitq::wake_all(m, std::ptr::from_ref(self) as u64, |_| ());
    }

    /// V1, as it nearly always is.
    #[inline(always)]
    pub fn is_zero(&self) -> bool {
        self.state.load(Ordering::Acquire) == 0
    }

    /// `cancel`: the caller's token may end the wait.
    ///
    /// # Migrates
    pub fn wait(&self, mut m: MRef, deadline: Option<i64>, cancel: bool) -> (MRef, Result<()>) {
        let addr = std::ptr::from_ref(self) as u64;
        let how = How { cancel, ..How::new(WaitReason::WAITGROUP, deadline) };
        loop {
            // V1
            let s = self.state.load(Ordering::Acquire);
            if s & WAIT == 0 && count(s) <= 0 {
                return (m, Ok(()));
            }
            // V2
            if s & WAIT == 0 && self.state.compare_exchange(s, s | WAIT, Ordering::Relaxed, Ordering::Relaxed).is_err()
            {
                continue;
            }
            // V3
            let waited;
            (m, waited) = waitq::wait(m, addr, how, || self.state.load(Ordering::SeqCst) & WAIT != 0);
            if let Some(e) = waited.error() {
                return (m, Err(e));
            }
        }
    }
}

/// D2 in the step that makes the count zero: the word, and whether somebody is to be woken.
fn without_waiters(s: u64) -> (u64, bool) {
    if s == WAIT { (0, true) } else { (s, false) }
}
