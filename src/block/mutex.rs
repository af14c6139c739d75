//! Mutual exclusion of Gs and threads.
//!
//! ```text
//!  state   31        3   2      1        0
//!         +-----------+-------+---------+--------+
//!         |   zero    | WOKEN | WAITERS | LOCKED |
//!         +-----------+-------+---------+--------+
//! ```
//!
//! Normally whoever comes takes a free lock, also past the queue: that keeps it hot. A waiter that has waited for more
//! than a millisecond gets it handed over at the next unlock, so nobody starves. One waiter at a time is awake to compete
//! (WOKEN); without that, a lock that is taken and given in a loop wakes a G each time for nothing.
//!
//! The owner is noted, so that a wrong unlock and a second lock by the owner are statuses.

use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::{AtomicU32, AtomicU64, Ordering, now, spin_loop};

const LOCKED: u32 = 1;
const WAITERS: u32 = 2;
const WOKEN: u32 = 4;

/// From here on a waiter gets the lock handed over.
const STARVED: i64 = 1_000_000;
/// Rounds of a short spin before a wait, where another P may be about to unlock.
const SPINS: u32 = 4;
const SPIN_PAUSES: u32 = 30;

/// As the C struct lays it out; zero is unlocked.
#[repr(C)]
#[derive(Default)]
pub struct Mutex {
    state: AtomicU32,
    reserved: AtomicU32,
    owner: AtomicU64,
}

impl Mutex {
    #[inline]
    pub fn try_lock(&self, me: u64) -> Result<()> {
        let s = self.state.load(Ordering::Relaxed);
        if s & LOCKED == 0 && self.state.compare_exchange(s, s | LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            self.owner.store(me, Ordering::Relaxed);
            return Ok(());
        }
        Err(Error::Busy)
    }

    /// `cancel`: the caller's token may end the wait.
    ///
    /// # Migrates
    #[inline]
    pub fn lock(&self, m: MRef, deadline: Option<i64>, cancel: bool) -> (MRef, Result<()>) {
        let me = waitq::self_id(m);
        if self.state.compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            self.owner.store(me, Ordering::Relaxed);
            return (m, Ok(()));
        }
        self.lock_slow(m, me, deadline, cancel)
    }

    fn lock_slow(&self, m: MRef, me: u64, deadline: Option<i64>, cancel: bool) -> (MRef, Result<()>) {
        // Only we write our own id there, so a stale value is never taken for it.
        if self.is_owner(me) && self.state.load(Ordering::Relaxed) & LOCKED != 0 {
            return (m, Err(Error::Deadlock));
        }
        self.lock_waiting(m, me, deadline, cancel)
    }

    /// Locks it for one who has waited for something else, and may not have given it back yet.
    ///
    /// # Migrates
    pub fn lock_again(&self, m: MRef) -> MRef {
        let (m, locked) = self.lock_waiting(m, waitq::self_id(m), None, false);
        debug_assert!(locked.is_ok());
        m
    }

    fn lock_waiting(&self, mut m: MRef, me: u64, deadline: Option<i64>, cancel: bool) -> (MRef, Result<()>) {
        let addr = self.addr();
        let mut how = How { cancel, ..How::new(WaitReason::MUTEX, deadline) };
        let mut spins = if m.sched().procs() > 1 { SPINS } else { 0 };
        let mut woken = 0;
        loop {
            let s = self.state.load(Ordering::Relaxed);
            if s & LOCKED == 0 {
                let to = (s | LOCKED) & !woken;
                if self.state.compare_exchange(s, to, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    self.owner.store(me, Ordering::Relaxed);
                    return (m, Ok(()));
                }
                continue;
            }
            if spins > 0 && m.p().is_some_and(|pp| pp.runq_empty()) {
                spins -= 1;
                (0..SPIN_PAUSES).for_each(|_| spin_loop());
                continue;
            }
            let to = (s | WAITERS) & !woken;
            if s != to && self.state.compare_exchange(s, to, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            woken = 0;
            if how.since == 0 {
                how.since = now();
            }
            let both = LOCKED | WAITERS;
            let waited;
            (m, waited) = waitq::wait(m, addr, how, || self.state.load(Ordering::Relaxed) & both == both);
            match waited {
                Waited::Handoff => {
                    self.owner.store(me, Ordering::Relaxed);
                    return (m, Ok(()));
                }
                Waited::Woken => {
                    woken = WOKEN;
                    how.first = true;
                }
                waited => {
                    if let Some(e) = waited.error() {
                        return (m, Err(e));
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn addr(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// Whether `me` holds it. For `me` alone.
    #[inline(always)]
    pub fn is_owner(&self, me: u64) -> bool {
        self.owner.load(Ordering::Relaxed) == me
    }

    #[inline]
    pub fn unlock(&self, m: MRef) -> Result<()> {
        if !self.is_owner(waitq::self_id(m)) {
            return Err(Error::Perm);
        }
        self.unlock_for(m);
        Ok(())
    }

    /// Gives it back for its owner, who waits for something else by now.
    #[inline]
    pub fn unlock_for(&self, m: MRef) {
        self.owner.store(0, Ordering::Relaxed);
        if self.state.compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.unlock_slow(m);
        }
    }

    #[cold]
    fn unlock_slow(&self, m: MRef) {
        let mut s = self.state.load(Ordering::Relaxed);
        while s & WAITERS == 0 || s & WOKEN != 0 {
            match self.state.compare_exchange_weak(s, s & !LOCKED, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => s = now,
            }
        }
        let addr = self.addr();
        // Under the root's lock: WAITERS is changed by us alone, but for those who are about to wait and set it again.
        waitq::wake_one(m, addr, |gp, more| {
            let Some(gp) = gp else {
                self.change(|s| s & !(LOCKED | WAITERS));
                return Wake::Ready;
            };
            let rest = if more { WAITERS } else { 0 };
            if now() - gp.sudog.since.get() > STARVED {
                self.change(|s| s & !WAITERS | rest | LOCKED);
                Wake::Handoff
            } else {
                self.change(|s| s & !(WAITERS | LOCKED) | rest | WOKEN);
                Wake::Ready
            }
        });
    }

    fn change(&self, f: impl Fn(u32) -> u32) {
        let mut s = self.state.load(Ordering::Relaxed);
        while let Err(now) = self.state.compare_exchange_weak(s, f(s), Ordering::Release, Ordering::Relaxed) {
            s = now;
        }
    }
}
