//! The lock: one word, on whose address the threads sleep that wait for it.
//!
//! # Problem
//! Thread A holds the lock and thread B wants it, so B must sleep. A may unlock between B's last look at the word and
//! B's sleep: then no thread wakes B (a lost wake-up). A wake by each unlock would prevent that, but it is a system
//! call, and hardly any unlock needs one. So the word says whether a thread may sleep, and that must stay true while
//! threads come and go: when A has woken B, and C still sleeps, only B knows of C.
//!
//! # Words
//! | word | meaning | left by |
//! |---|---|---|
//! | OPEN | free | a thread that takes it: to HELD, or to AWAITED if it has slept or is about to |
//! | HELD | held, and the unlock wakes no thread | the holder: to OPEN; a thread that is about to sleep: to AWAITED |
//! | AWAITED | held, and threads may sleep | the holder: to OPEN, and it wakes one sleeper |
//!
//! # Protocol
//! A thread that wants the lock:
//! * LOCK-A1 changes OPEN to HELD, and has it. Otherwise:
//! * LOCK-A2 it looks at the word a few times, with pauses, and takes the lock if it is OPEN: as HELD, or as AWAITED if
//!   it has slept;
//! * LOCK-A3 it swaps AWAITED in. If the word was OPEN, the thread has the lock;
//! * LOCK-A4 it sleeps while the word is AWAITED, and continues at LOCK-A2.
//!
//! The holder:
//! * LOCK-R1 swaps OPEN in;
//! * LOCK-R2 wakes one sleeper if the word was AWAITED.
//!
//! A child of fork has none of the threads that held or awaited the lock: it sets the word to OPEN.
//!
//! # Invariants
//! * LOCK-I1 while a thread sleeps at LOCK-A4, the word is AWAITED, or a holder is between LOCK-R1 and LOCK-R2, or a
//!   thread that has slept is awake and without the lock. That thread takes the lock as AWAITED, or swaps AWAITED in
//!   before it sleeps again. So the last unlock wakes a sleeper.
//! * LOCK-I2 after LOCK-R1 the thread that was the holder does not touch the word: the next holder may free the lock.
//!   LOCK-R2 passes on the address only.
//!
//! # Orderings
//! * LOCK-O1 the Release of LOCK-R1 pairs with the Acquire of LOCK-A1, LOCK-A2 and LOCK-A3: a holder sees what all
//!   earlier holders did. A swap to AWAITED in between is a read-modify-write, which keeps the pair. The looks of
//!   LOCK-A2 are Relaxed: the exchange after the look decides.
//!
//! # Why it ends
//! A lock is held for a few instructions, and its holder waits at most for locks of larger ranks (rank.rs), so no
//! threads wait in a circle. A newcomer may take the lock before a woken thread (barging): a hand-off would leave the
//! lock idle for the time that a wake takes.
//!
//! # Rejected
//! * `std::sync::Mutex`: it changes `errno`, has no rank, and a child of fork cannot open it.
//! * parking_lot: it allocates per thread and aborts without memory, and a child of fork inherits its locked buckets.
//! * To give up the CPU between two looks: the next thread would keep it for longer than most locks are held.

use super::Inner;
use super::prim::{AtomicU32, Ordering, futex, spin_loop};
use super::rank::{self, Rank};
use super::widen::widen;
use std::cell::UnsafeCell;
use std::marker::PhantomData;

/// A lock without a value and without a rank: see the module. A waiter takes no memory, no state is kept per thread,
/// and a child of fork can reset it.
pub struct RawMutex(AtomicU32);

const OPEN: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;
/// LOCK-A2 looks so many times. Between two looks it pauses, each time twice as long as before, so that the holder and
/// the newcomer do not take the cache line from each other all the time. (More than one look would only multiply the
/// schedules of a model.)
const LOOKS: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 16 };
const LONGEST_PAUSE: u32 = 32;

impl RawMutex {
    #[cfg(not(any(loom, shuttle)))]
    pub const fn new() -> Self {
        RawMutex(AtomicU32::new(OPEN))
    }

    /// Not `const`: the atomics of a checker are made while it runs.
    #[cfg(any(loom, shuttle))]
    pub fn new() -> Self {
        RawMutex(AtomicU32::new(OPEN))
    }

    #[inline(always)]
    pub fn try_lock(&self) -> bool {
        // LOCK-A1. LOCK-O1: pairs with LOCK-R1, as do the Acquires below.
        self.0.compare_exchange(OPEN, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    pub fn lock(&self) {
        widen!();
        if !self.try_lock() {
            self.lock_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self) {
        let mut taken = HELD;
        loop {
            // LOCK-A2. Also after a sleep: a lock is held for less time than a sleep and a wake take.
            for look in 0..LOOKS {
                if self.0.load(Ordering::Relaxed) == OPEN
                    && self.0.compare_exchange(OPEN, taken, Ordering::Acquire, Ordering::Relaxed).is_ok()
                {
                    return;
                }
                (0..LONGEST_PAUSE.min(1 << look)).for_each(|_| spin_loop());
            }
            // LOCK-A3
            if self.0.swap(AWAITED, Ordering::Acquire) == OPEN {
                return;
            }
            // LOCK-A4
            futex::lock_wait(&self.0, AWAITED);
            // LOCK-I1: other threads may sleep as well.
            taken = AWAITED;
        }
    }

    /// The caller holds the lock.
    #[inline(always)]
    pub fn unlock(&self) {
        let word: *const AtomicU32 = &self.0;
        // LOCK-R1
        if self.0.swap(OPEN, Ordering::Release) == AWAITED {
            wake(word);
        }
        widen!();
    }

    /// For a child of fork: the thread that held the lock does not exist in the child.
    pub fn reopen(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }
}

/// LOCK-R2. LOCK-I2: only the address.
#[cold]
#[inline(never)]
fn wake(word: *const AtomicU32) {
    futex::lock_wake(word);
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

/// A mutual exclusion lock with a place in the lock order.
///
/// A thread may take a lock only while every lock that it holds has a smaller [`Rank`]; debug builds check it. No lock
/// is held when a G leaves its stack, except the one lock that a park hands to its commit.
pub struct Lock<T> {
    mutex: Inner,
    rank: Rank,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, which holds the mutex.
unsafe impl<T: Send> Sync for Lock<T> {}

/// Proof that a [`Lock`] is held, and the way to what it protects. It stays on its thread.
pub struct Guard<'a, T>(&'a Lock<T>, PhantomData<*mut T>);

impl<T> Lock<T> {
    pub fn new(rank: Rank, value: T) -> Self {
        Lock { mutex: Inner::new(), rank, value: UnsafeCell::new(value) }
    }

    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> Guard<'_, T> {
        rank::acquire(self.rank);
        self.mutex.lock();
        Guard(self, PhantomData)
    }

    /// Takes the lock while another lock of its rank is held. The caller must say why no threads can wait for each
    /// other in a circle.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_beside(&self) -> Guard<'_, T> {
        rank::acquire_unordered(self.rank);
        self.mutex.lock();
        Guard(self, PhantomData)
    }

    /// Takes the lock only if it is free. It cannot wait, so the caller may hold any other locks.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        if !self.mutex.try_lock() {
            return None;
        }
        rank::acquire_unordered(self.rank);
        Some(Guard(self, PhantomData))
    }
}

impl<T> std::ops::Deref for Guard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the mutex is held.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> std::ops::DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is held.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // LOCK-I2
        let rank = self.0.rank;
        self.0.mutex.unlock();
        rank::release(rank);
    }
}

/// The lock of a channel. It is released in another function than it was taken, perhaps on another stack, and a thread
/// may hold several, taken in the order of their addresses.
pub struct Latch(Inner);

impl Latch {
    #[expect(clippy::new_without_default, reason = "a lock is made where it is used")]
    pub fn new() -> Latch {
        Latch(Inner::new())
    }

    #[inline(always)]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) {
        rank::acquire_chan(std::ptr::from_ref(self) as usize);
        self.0.lock();
    }

    #[inline(always)]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> bool {
        let locked = self.0.try_lock();
        if locked {
            rank::acquire_chan(std::ptr::from_ref(self) as usize);
        }
        locked
    }

    /// The caller holds the lock. Once another thread may take the lock this function does not touch it (LOCK-I2).
    #[inline(always)]
    pub fn unlock(&self) {
        self.0.unlock();
        rank::release_chan();
    }
}
