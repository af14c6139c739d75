//! Mutual exclusion of Gs and threads.
//!
//! ```text
//!  state   63                            2      1         0
//!         +-------------------------------+-------+---------+
//!         |  number of who has it, or 0   | WOKEN | WAITERS |
//!         +-------------------------------+-------+---------+
//! ```
//!
//! Normally whoever comes takes a free lock, also past the queue: that keeps it hot. A waiter that was woken, found it
//! taken again and has waited for more than a millisecond gets it handed over at the next unlock, so nobody starves.
//! (Not one that has only waited: where the system stops the owner's thread for a while, all have waited for long then,
//! and were it handed from each to the next, none of them would do more than one round in its turn, for ever if they
//! are many.) One waiter at a time is awake to compete (WOKEN); without that, a lock that is taken and given in a loop
//! wakes a G each time for nothing. One who spins before it waits does not say so: as long as somebody did, nothing
//! would be handed over.
//!
//! The owner stands in the word itself, so that a wrong unlock and a second lock by the owner are statuses, and one
//! compare-and-swap is all that a lock or an unlock is that meets nobody. Whoever unlocks does not touch the mutex
//! afterwards: the next owner may be its last, and give its memory back.

use super::waitq::{self, How, Kind, Waited};
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

/// The number of the owner in a word that a report has read; 0 for none.
pub fn owner_of(word: u64) -> u64 {
    word >> 2
}

/// From here on a waiter gets the lock handed over.
const STARVED: i64 = 1_000_000;
/// Rounds of a short spin before a wait.
const SPINS: u32 = 4;
const SPIN_PAUSES: u32 = 30;

/// A short wait without giving up the P, for as long as another P may be about to unlock and this one has nothing to
/// run.
pub struct Spin(u32);

impl Spin {
    pub fn new(m: MRef) -> Spin {
        Spin(if m.sched().procs() > 1 { SPINS } else { 0 })
    }

    /// False: it has been enough.
    pub fn once(&mut self, m: MRef) -> bool {
        let spins = self.0 > 0 && m.p().is_some_and(|pp| pp.runq_empty());
        if spins {
            self.0 -= 1;
            (0..SPIN_PAUSES).for_each(|_| spin_loop());
        }
        spins
    }
}

/// As the C struct lays it out; zero is unlocked.
#[repr(C)]
#[derive(Default)]
pub struct Mutex {
    state: AtomicU64,
    reserved: u64,
}

impl Mutex {
    /// Locks it if nobody has it and nobody waits, which is guessed: a look before costs as much as half of a
    /// compare-and-swap, which looks anyway. Where the guess is wrong it tries once more with what it has seen: whoever
    /// was woken need not run yet, and until then all calls come by here.
    #[inline(always)]
    pub fn lock_fast(&self, me: u64) -> bool {
        match self.take(0, me) {
            Ok(()) => true,
            Err(s) => s & !FLAGS == 0 && self.take(s, me).is_ok(),
        }
    }

    #[inline(always)]
    fn take(&self, s: u64, me: u64) -> core::result::Result<(), u64> {
        // Acquire: pairs with the Release of whoever gave it back.
        self.state.compare_exchange(s, s | held_by(me), Ordering::Acquire, Ordering::Relaxed).map(drop)
    }

    /// Gives it back if the caller has it and nobody is to be woken: nobody waits, or one who does is awake. Guessed as
    /// in [`Mutex::lock_fast`].
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

    /// Locks it if it is free, though others may wait.
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
        // Only we write our own number there, so it cannot appear or vanish meanwhile.
        if self.is_owner(me) {
            return (m, Err(Error::Deadlock));
        }
        self.lock_waiting(m, me, deadline, Kind::Lock)
    }

    /// Locks it for one who has waited for something else, and may not have given it back yet.
    ///
    /// # Migrates
    pub fn lock_again(&self, m: MRef) -> MRef {
        let (m, locked) = self.lock_waiting(m, waitq::self_id(m), None, Kind::Own);
        debug_assert!(locked.is_ok());
        m
    }

    fn lock_waiting(&self, mut m: MRef, me: u64, deadline: Option<i64>, kind: Kind) -> (MRef, Result<()>) {
        let addr = self.addr();
        // Nothing is handed over to it yet.
        let mut how = How { since: i64::MAX, ..How::new(kind, WaitReason::MUTEX, deadline) };
        let mut spin = Spin::new(m);
        // WOKEN, if that is for us.
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

    /// Whether `me` holds it. For `me` alone.
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

    /// Gives it back for its owner, who waits for something else by now.
    #[inline]
    pub fn unlock_for(&self, m: MRef) {
        let mut s = self.state.load(Ordering::Relaxed);
        // Nobody is to be woken: nobody waits, or one who does is awake.
        while s & FLAGS != WAITERS {
            match self.give(s) {
                Ok(()) => return,
                Err(now) => s = now,
            }
        }
        self.unlock_to(m);
    }

    /// Gives it back for its owner, and wakes one who waits. Nobody else changes the word meanwhile: whoever is about
    /// to wait finds WAITERS set, and WOKEN is not, so nobody is awake to compete.
    #[cold]
    fn unlock_to(&self, m: MRef) {
        let addr = self.addr();
        waitq::wake_one(m, addr, |gp, more| {
            let rest = if more { WAITERS } else { 0 };
            let (to, wake) = match gp {
                // They have given up.
                None => (0, Wake::Ready),
                Some(gp) if now() - gp.sudog.since.get() > STARVED => (rest | held_by(gp.goid.get()), Wake::Handoff),
                Some(_) => (rest | WOKEN, Wake::Ready),
            };
            // Under the root's lock, where those who are about to wait test it.
            self.state.store(to, Ordering::Release);
            wake
        });
    }
}
