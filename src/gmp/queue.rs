//! The queue of one P: a ring, and behind it a backlog that is never full.
//!
//! The owner and the thieves share the ring ([`RunQ`]) without a lock. Gs for which it has no place wait in the
//! backlog: a list through the Gs themselves, so that nothing is allocated, under a lock that the owner takes almost
//! alone. (Go sends them to the one global queue; there, Ps with many yielding Gs wait for each other's lock.)
//!
//! | the ring | the backlog | a new or readied G | a G that yields | the owner takes | a thief takes |
//! |---|---|---|---|---|---|
//! | has room | empty | ring's end | ring's end | ring's oldest | half of the ring |
//! | has room | Gs | ring's end | backlog's end | ring's oldest | half of the ring |
//! | full | any | QUEUE-O1 | backlog's end | ring's oldest | half of the ring |
//! | empty | Gs | ring's end | backlog's end | half a ring of it | half of it, at most half a ring |
//!
//! # Order
//! * QUEUE-O1 A G that is new or readied goes to the end of the ring. If the ring is full, its older half goes to the
//!   end of the backlog first.
//! * QUEUE-O2 A G that yields goes behind all others: to the end of the backlog, if the backlog has Gs or the ring is
//!   full.
//! * QUEUE-O3 The owner takes the oldest of the ring; if the ring is empty, it moves half a ring from the backlog.
//!   Thieves do the same.
//! * QUEUE-O4 A steady stream of Gs by QUEUE-O1 could keep the backlog waiting forever. So every so often the backlog's
//!   oldest G goes first ([`Queue::pop_behind`]).
//!
//! # Many Gs
//! A G from the backlog is cold: it has not run for a while, so neither its stack nor the page-table entries for it are
//! in a cache. The thread that moves half a ring prefetches it, and the lines arrive while other Gs run. With 10,000 Gs
//! this saves a third of a switch (docs/measurements.md). (Prefetching one G at a time, just before it leaves the ring,
//! costs time where all stacks are near, and comes too late where they are not.)
//!
//! # A searcher sees every G
//! * QUEUE-V1 A G that moves between backlog and ring is always visible in one of them. From the backlog to the ring:
//!   the thread that takes lowers `count` (Release) after the other Gs are in the ring, and a searcher that asks
//!   whether the queue is empty reads `count` first (Acquire). From the ring to the backlog (QUEUE-O1): half of the
//!   ring stays there. If a searcher finds the ring empty all the same, a thief has taken that half; the thief has a G
//!   then, and calls for other searchers.
//!
//! # Rejected
//! First in, first out over all of them (a second ring behind the backlog): where every G makes more, a whole level of
//! the tree lives at once. Skynet with a million leaves held five times as many Gs and took twice as long
//! (docs/measurements.md).

use crate::ds::runq::RunQ;
use crate::gmp::g::{G, GList, GRef};
use crate::sync::widen::widen;
use crate::sync::{AtomicU32, Lock, Ordering, Rank};

/// The queue of a P: see the module. N: places in the ring.
#[repr(C)]
pub struct Queue<const N: usize> {
    /// The length of the backlog. Written under its lock; any thread reads.
    count: AtomicU32,
    backlog: Lock<GList>,
    ring: RunQ<G, N>,
}

impl<const N: usize> Default for Queue<N> {
    fn default() -> Self {
        Queue { count: AtomicU32::new(0), backlog: Lock::new(Rank::Backlog, GList::new()), ring: RunQ::default() }
    }
}

impl<const N: usize> Queue<N> {
    /// The most Gs that come from the backlog at once.
    const HALF: usize = N / 2;

    /// QUEUE-O1.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn push(&self, gp: GRef) {
        // SAFETY: the caller is the owner of the ring.
        if !unsafe { self.ring.push(gp.0) } {
            // SAFETY: the caller is the owner.
            unsafe { self.spill() };
            // There is room now: made by this push, or by a thief that was faster.
            // SAFETY: the caller is the owner of the ring.
            let fits = unsafe { self.ring.push(gp.0) };
            debug_assert!(fits);
        }
    }

    /// # Safety
    /// The caller is the owner.
    #[cold]
    #[inline(never)]
    unsafe fn spill(&self) {
        let mut half = GList::new();
        // SAFETY: the caller's promise.
        unsafe { self.ring.pop_half(|gp| half.push_back(GRef(gp))) };
        widen!();
        self.append(&mut half);
    }

    fn append(&self, gs: &mut GList) {
        let mut backlog = self.backlog.lock();
        backlog.append(gs);
        // Relaxed: a thread that sees it takes the lock.
        self.count.store(backlog.len() as u32, Ordering::Relaxed);
    }

    /// QUEUE-O2.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn push_last(&self, gp: GRef) {
        // SAFETY: the caller's promise. `behind`: only the owner raises the count.
        if self.behind() == 0 && unsafe { self.ring.push(gp.0) } {
            return;
        }
        self.append(&mut GList::of(gp));
    }

    /// QUEUE-O3.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn pop(&self) -> Option<GRef> {
        // SAFETY: the caller's promise.
        match unsafe { self.ring.pop_oldest() } {
            Some(gp) => Some(GRef(gp)),
            None if self.behind() == 0 => None,
            // SAFETY: the caller's promise.
            None => unsafe { self.take(Self::HALF, &self.ring) },
        }
    }

    /// QUEUE-O4.
    ///
    /// # Safety
    /// The caller is the owner.
    pub unsafe fn pop_behind(&self) -> Option<GRef> {
        // SAFETY: the caller's promise.
        unsafe { self.take(1, &self.ring) }
    }

    /// For another P that has no G: the older half of the ring, or some of the backlog. Returns one G; the others go to
    /// the thief's ring.
    ///
    /// # Safety
    /// The caller is the owner of `thief`.
    pub unsafe fn steal(&self, thief: &Self) -> Option<GRef> {
        // SAFETY: the caller is the owner of the thief's ring.
        if let Some(stolen) = unsafe { self.ring.steal_half(&thief.ring) } {
            return Some(GRef(stolen));
        }
        // SAFETY: as `steal_half`, and that has left the thief's ring empty.
        unsafe { self.take(self.behind().div_ceil(2).min(Self::HALF), &thief.ring) }
    }

    /// For a thief without a queue: takes up to `most` Gs, the oldest first.
    pub fn take_out(&self, most: usize, mut each: impl FnMut(GRef)) {
        let mut left = most;
        while left > 0
            && let Some(gp) = self.ring.steal()
        {
            each(GRef(gp));
            left -= 1;
        }
        if left == 0 || self.behind() == 0 {
            return;
        }
        let mut backlog = self.backlog.lock();
        (0..left).map_while(|_| backlog.pop_front()).for_each(each);
        // Release: as in `take`. The thief has the other Gs, and calls for searchers.
        self.count.store(backlog.len() as u32, Ordering::Release);
    }

    /// Takes up to `most` Gs of the backlog, the oldest first. Returns one; the others go to `ring`, which has room for
    /// them.
    ///
    /// # Safety
    /// The caller is the owner of `ring`.
    #[inline(never)]
    unsafe fn take(&self, most: usize, ring: &RunQ<G, N>) -> Option<GRef> {
        if self.behind() == 0 {
            return None;
        }
        let mut backlog = self.backlog.lock();
        let first = backlog.pop_front();
        for gp in (1..most).map_while(|_| backlog.pop_front()) {
            // SAFETY: the caller's promise.
            let fits = unsafe { ring.push(gp.0) };
            debug_assert!(fits);
            gp.prefetch();
            widen!();
        }
        // QUEUE-V1. Release: pairs with the Acquire in `behind`.
        self.count.store(backlog.len() as u32, Ordering::Release);
        first
    }

    /// The number of Gs in the backlog.
    #[inline(always)]
    fn behind(&self) -> usize {
        self.count.load(Ordering::Acquire) as usize
    }

    /// The number of Gs at some moment.
    pub fn len(&self) -> usize {
        self.behind() + self.ring.len()
    }

    /// QUEUE-V1.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.behind() == 0 && self.ring.is_empty()
    }

    /// The number of Gs that fit into the ring, or fewer.
    ///
    /// # Safety
    /// The caller is the owner.
    pub unsafe fn room(&self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.ring.room() }
    }
}
