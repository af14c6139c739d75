//! The queue of one P: a ring, and a backlog behind it that is never full.
//!
//! The ring ([`RunQ`]) is what the owner and thieves share without a lock. What has no place in it waits in the
//! backlog: a list through the Gs themselves, so that nothing is allocated, under a lock that hardly anybody but the
//! owner takes. (Go sends it to the one global queue. There, Ps with many Gs that yield wait for each other's lock.)
//!
//! # Order
//! * O1 A G that is new or readied goes to the end of the ring. From a full one the older half goes to the end of the
//!   backlog.
//! * O2 A G that yields goes behind all others: to the end of the backlog, if there is one.
//! * O3 The owner takes the oldest of the ring; when that is empty, half a ring from the backlog. Thieves likewise.
//! * O4 What always comes in by O1 could keep the backlog waiting for ever: every so often its oldest goes first
//!   ([`Queue::pop_behind`]).
//!
//! # Many Gs
//! Who comes from a backlog has not run for a while, and a switch to him would wait for his stack, and for the way to
//! it through the page tables. So half a ring at a time is asked for when it is taken, and comes while others run: with
//! 10,000 that is a third of a switch. (One by one from the ring, just before, it costs where all are near, and is too
//! late where they are not.)
//!
//! # Who looks for work sees it
//! V1: between backlog and ring a G is to be seen in one of them. Whoever takes from the backlog lowers `count`
//! (Release) when the ring has the others, and who looks whether all is empty looks at `count` first (Acquire). The
//! other way, O1, a half stays in the ring, and a searcher who finds it empty knows of a thief, who has a G then and
//! calls for others.
//!
//! # Rejected
//! First in, first out over all of them (a second ring behind the backlog): where every G makes more, a whole level of
//! the tree lives at once. Skynet with a million leaves held five times as many Gs and took twice as long.

use crate::ds::runq::RunQ;
use crate::gmp::g::{G, GList, GRef};
use crate::sync::widen::widen;
use crate::sync::{AtomicU32, Lock, Ordering, Rank};

/// See the module. N: places in the ring.
#[repr(C)]
pub struct Queue<const N: usize> {
    /// Length of the backlog. Under its lock; anybody reads.
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
    /// What comes from the backlog at once.
    const HALF: usize = N / 2;

    /// O1.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn push(&self, gp: GRef) {
        // SAFETY: the caller's promise.
        unsafe {
            if !self.ring.push(gp.0) {
                self.spill();
                // There is room now: by us, or by a thief who was faster.
                let fits = self.ring.push(gp.0);
                debug_assert!(fits);
            }
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
        // Relaxed: whoever sees it takes the lock.
        self.count.store(backlog.len() as u32, Ordering::Relaxed);
    }

    /// O2.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn push_last(&self, gp: GRef) {
        // SAFETY: the caller's promise. Count: only the owner raises it.
        if self.behind() == 0 && unsafe { self.ring.push(gp.0) } {
            return;
        }
        self.append(&mut GList::of(gp));
    }

    /// O3.
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

    /// O4.
    ///
    /// # Safety
    /// The caller is the owner.
    pub unsafe fn pop_behind(&self) -> Option<GRef> {
        // SAFETY: the caller's promise.
        unsafe { self.take(1, &self.ring) }
    }

    /// For another P that has nothing: the older half of the ring, or some of the backlog. One is returned, the others
    /// go to his ring.
    ///
    /// # Safety
    /// The caller is the owner of `thief`.
    pub unsafe fn steal(&self, thief: &Self) -> Option<GRef> {
        // SAFETY: the caller's promise.
        unsafe {
            let stolen = self.ring.steal_half(&thief.ring).map(GRef);
            stolen.or_else(|| self.take(self.behind().div_ceil(2).min(Self::HALF), &thief.ring))
        }
    }

    /// For a thief without a queue of its own: up to `most`, the oldest first.
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
        // Release: as in `take`. The thief has the others, and calls for searchers.
        self.count.store(backlog.len() as u32, Ordering::Release);
    }

    /// Up to `most` of the backlog, the oldest: one is returned, the others go to `ring`, which has room for them.
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
        // V1. Release: pairs with the Acquire in `behind`.
        self.count.store(backlog.len() as u32, Ordering::Release);
        first
    }

    /// How many wait behind the ring.
    #[inline(always)]
    fn behind(&self) -> usize {
        self.count.load(Ordering::Acquire) as usize
    }

    /// How many there were at some moment.
    pub fn len(&self) -> usize {
        self.behind() + self.ring.len()
    }

    /// V1.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.behind() == 0 && self.ring.is_empty()
    }

    /// How many more fit into the ring, at least.
    ///
    /// # Safety
    /// The caller is the owner.
    pub unsafe fn room(&self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.ring.room() }
    }
}
