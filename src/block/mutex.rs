//! Mutual exclusion of Gs and threads.
//!
//! # Problem
//! A lock or an unlock that meets no other caller should be one compare-and-swap. Under contention two simple rules
//! fail. If every unlock hands the lock to the first waiter, each round costs a switch, and the lock is idle while the
//! waiter wakes up. If a newcomer may always take a free lock (barging), a waiter may starve.
//!
//! # Words
//! ```text
//!  state   63                            2      1         0
//!         +-------------------------------+-------+---------+
//!         |  number of the owner, or 0    | WOKEN | WAITERS |
//!         +-------------------------------+-------+---------+
//! ```
//!
//! | owner | flags | meaning | an unlock |
//! |---|---|---|---|
//! | 0 | - | unlocked | is refused |
//! | id | - | locked, no waiter | clears the owner |
//! | id | WAITERS | locked, waiters in the queue (or they gave up) | wakes one, or hands the lock over |
//! | id | WOKEN, perhaps WAITERS | locked, and a woken waiter competes | clears the owner, wakes none |
//! | 0 | WOKEN, perhaps WAITERS | unlocked, and a woken waiter competes with newcomers | is refused |
//!
//! # Protocol
//! * A caller that finds the lock free takes it, also past the queue: that keeps it hot.
//! * A caller that finds it taken spins for a short while, sets WAITERS, and waits at the mutex's address (waitq.rs).
//! * An unlock with WAITERS set and WOKEN clear wakes the first waiter and sets WOKEN. So at most one woken waiter
//!   competes at a time. Without WOKEN, a lock that is taken and released in a loop would wake a G in each round for
//!   nothing. A caller that spins before its first wait does not set WOKEN: otherwise no unlock would hand over for as
//!   long as any caller spins.
//! * A woken waiter that finds the lock taken again goes back to the front of the queue. If it has then waited for more
//!   than a millisecond, the next unlock hands the lock over to it: no waiter starves.
//! * Having waited long is not enough for a hand-off; the waiter must also have lost a race after a wake. If the system
//!   stops the owner's thread for a while, all waiters have waited for long. Were the lock then handed from each to the
//!   next, none of them would do more than one round in its turn; with many waiters that state would last forever.
//!
//! # Invariants
//! * The owner stands in the word itself. So a wrong unlock and a second lock by the owner are statuses, and the
//!   uncontended lock and unlock are one compare-and-swap.
//! * After the step that unlocks, the caller does not touch the mutex: the next owner may be its last one, and free its
//!   memory.

use super::cancel::Kind;
use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::{AtomicU64, Ordering, now, spin_loop};

const WAITERS: u64 = 1;
const WOKEN: u64 = 2;
const FLAGS: u64 = WAITERS | WOKEN;

/// The owner's part of the word.
#[inline(always)]
fn held_by(id: u64) -> u64 {
    id << 2
}

/// The number of the owner in a word that a report has read; 0 if there is none.
pub fn owner_of(word: u64) -> u64 {
    word >> 2
}

/// The time after which a waiter that has lost a race gets the lock by hand-off, in ns: the value of Go's `sync.Mutex`.
const STARVED: i64 = 1_000_000;
/// Rounds of a short spin before a wait, and pauses in a round: the values of Go's `active_spin` and `active_spin_cnt`.
const SPINS: u32 = 4;
const SPIN_PAUSES: u32 = 30;

/// A short busy wait that keeps the P. It lasts only while another P may be about to unlock and this P has no other G
/// to run.
pub struct Spin(u32);

impl Spin {
    pub fn new(m: MRef) -> Spin {
        Spin(if m.sched().procs() > 1 { SPINS } else { 0 })
    }

    /// Spins once. False: it has spun enough.
    pub fn once(&mut self, m: MRef) -> bool {
        let spins = self.0 > 0 && m.p().is_some_and(|pp| pp.runq_empty());
        if spins {
            self.0 -= 1;
            (0..SPIN_PAUSES).for_each(|_| spin_loop());
        }
        spins
    }
}

/// Laid out as the C struct; zero is unlocked.
#[repr(C)]
#[derive(Default)]
pub struct Mutex {
    state: AtomicU64,
    reserved: u64,
}

impl Mutex {
    /// Locks it if it is free and has no waiters. The first try guesses that it is so: a look before the
    /// compare-and-swap costs half as much as the compare-and-swap, which looks anyway (docs/measurements.md). Where
    /// the guess is wrong it tries once more with the word it has seen: a woken waiter may not run for a while, and
    /// until it does all calls come through here.
    #[inline(always)]
    pub fn lock_fast(&self, me: u64) -> bool {
        match self.take(0, me) {
            Ok(()) => true,
            Err(s) => s & !FLAGS == 0 && self.take(s, me).is_ok(),
        }
    }

    #[inline(always)]
    fn take(&self, s: u64, me: u64) -> core::result::Result<(), u64> {
        // Acquire: pairs with the Release of the unlock.
        self.state.compare_exchange(s, s | held_by(me), Ordering::Acquire, Ordering::Relaxed).map(drop)
    }

    /// Unlocks it if the caller is the owner and no waiter has to be woken: there is none, or one is awake. The first
    /// try guesses, as in [`Mutex::lock_fast`].
    #[inline(always)]
    pub fn unlock_fast(&self, me: u64) -> bool {
        match self.give(held_by(me)) {
            Ok(()) => true,
            Err(s) => s & !FLAGS == held_by(me) && s & FLAGS != WAITERS && self.give(s).is_ok(),
        }
    }

    #[inline(always)]
    fn give(&self, s: u64) -> core::result::Result<(), u64> {
        self.state.compare_exchange(s, s & FLAGS, Ordering::Release, Ordering::Relaxed).map(drop)
    }

    /// Locks it if it is free, even if others wait.
    pub fn try_lock(&self, me: u64) -> Result<()> {
        let mut s = self.state.load(Ordering::Relaxed);
        while s & !FLAGS == 0 {
            match self.take(s, me) {
                Ok(()) => return Ok(()),
                Err(now) => s = now,
            }
        }
        Err(Error::Busy)
    }

    /// # Migrates
    #[inline]
    pub fn lock(&self, m: MRef, deadline: Option<i64>) -> (MRef, Result<()>) {
        let me = waitq::self_id(m);
        // Only the caller writes its own number there, so the number cannot appear or vanish in between.
        if self.is_owner(me) {
            return (m, Err(Error::Deadlock));
        }
        self.lock_waiting(m, me, deadline, Kind::Lock)
    }

    /// Locks it for a caller that has waited for something else, and that may not have unlocked it yet.
    ///
    /// # Migrates
    pub fn lock_again(&self, m: MRef) -> MRef {
        let (m, locked) = self.lock_waiting(m, waitq::self_id(m), None, Kind::Own);
        debug_assert!(locked.is_ok());
        m
    }

    fn lock_waiting(&self, mut m: MRef, me: u64, deadline: Option<i64>, kind: Kind) -> (MRef, Result<()>) {
        let addr = self.addr();
        // MAX: no hand-off before this waiter has lost a race.
        let mut how = How { since: i64::MAX, ..How::new(kind, WaitReason::MUTEX, deadline) };
        let mut spin = Spin::new(m);
        // WOKEN if it is set for this caller.
        let mut woken = 0;
        let mut since = 0;
        loop {
            let s = self.state.load(Ordering::Relaxed);
            if s & !FLAGS == 0 {
                let to = (s | held_by(me)) & !woken;
                if self.state.compare_exchange(s, to, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return (m, Ok(()));
                }
                continue;
            }
            if spin.once(m) {
                continue;
            }
            let to = (s | WAITERS) & !woken;
            if s != to && self.state.compare_exchange(s, to, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                continue;
            }
            woken = 0;
            if since == 0 {
                since = now();
            }
            let waited;
            (m, waited) = waitq::wait(m, addr, how, || {
                let s = self.state.load(Ordering::Relaxed);
                s & !FLAGS != 0 && s & WAITERS != 0
            });
            match waited {
                Waited::Handoff => return (m, Ok(())),
                Waited::Woken => {
                    woken = WOKEN;
                    how.first = true;
                    how.since = since;
                    spin = Spin::new(m);
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

    /// Whether `me` holds it. Only `me` may ask.
    #[inline(always)]
    pub fn is_owner(&self, me: u64) -> bool {
        self.state.load(Ordering::Relaxed) & !FLAGS == held_by(me)
    }

    #[inline]
    pub fn unlock(&self, m: MRef) -> Result<()> {
        if !self.is_owner(waitq::self_id(m)) {
            return Err(Error::Perm);
        }
        self.unlock_for(m);
        Ok(())
    }

    /// Unlocks it for its owner, which waits for something else by now.
    #[inline]
    pub fn unlock_for(&self, m: MRef) {
        let mut s = self.state.load(Ordering::Relaxed);
        // No waiter has to be woken: there is none, or one is awake.
        while s & FLAGS != WAITERS {
            match self.give(s) {
                Ok(()) => return,
                Err(now) => s = now,
            }
        }
        self.unlock_to(m);
    }

    /// Unlocks it for its owner, and wakes a waiter. No other thread changes the word meanwhile: a caller that is about
    /// to wait finds WAITERS set, and WOKEN is clear, so no waiter is awake to compete.
    #[cold]
    fn unlock_to(&self, m: MRef) {
        let addr = self.addr();
        waitq::wake_one(m, addr, |gp, more| {
            let rest = if more { WAITERS } else { 0 };
            let (to, wake) = match gp {
                // The waiters have given up.
                None => (0, Wake::Ready),
                Some(gp) if now() - gp.sudog.since.get() > STARVED => (rest | held_by(gp.goid.get()), Wake::Handoff),
                Some(_) => (rest | WOKEN, Wake::Ready),
            };
            // Under the root's lock, where callers that are about to wait test the word.
            self.state.store(to, Ordering::Release);
            wake
        });
    }
}
