//! The queue of one P: first in, first out, and never full.
//!
//! ```text
//!             oldest                                        newest
//!   owner <-  front (ring)  <-  backlog (list, lock)  <-  back (ring)  <- owner
//! ```
//!
//! The rings ([`RunQ`]) are what owner and thieves share without a lock. What has no place in them waits in the backlog: a
//! list through the Gs themselves, so that nothing is allocated, under a lock that is taken once for half a ring of Gs. (Go has
//! one ring, and sends the rest to the global queue: there, Ps with many Gs that yield wait for each other's lock, and who
//! comes later may go first.)
//!
//! # Words
//! `behind`: something may be behind the front. `count`: length of the backlog. Both are the owner's, but for `count`, which
//! is written under the backlog's lock and lowered by thieves, too.
//!
//! # Protocol
//! * U1 push: to the front while there is room and nothing behind it; otherwise to the back. From a full back the older half
//!   goes to the backlog.
//! * U2 pop: from the front. When that is empty: up to half a ring of the backlog comes into the front, or, without a backlog,
//!   half of the back. If nothing is left behind then, `behind` is off.
//! * U3 steal: half of the front, or as many of the backlog, or half of the back.
//!
//! # Who looks for work sees it
//! While G after G comes to the front there is always one to be seen: from the back goes half at a time, and a half that is not
//! less stays; from the backlog a G goes while the back has some. So the back is empty last, and then all are out. (A thief who
//! has not seen a new backlog may take the last of the back before it. `count` tells then, and goes down (Release) behind the
//! pushes into the front, as does `behind`; who looks reads both with Acquire.)

use crate::ds::runq::RunQ;
use crate::gmp::g::{G, GList, GRef};
use crate::sync::widen::widen;
use crate::sync::{AtomicU32, Lock, Ordering, Rank};

/// See the module. N: places in a ring.
#[repr(C, align(64))]
pub struct Queue<const N: usize> {
    /// 0 or 1. Owner: the owner.
    behind: AtomicU32,
    /// Under the lock; anybody reads.
    count: AtomicU32,
    backlog: Lock<GList>,
    // Who only looks whether there is something needs this line alone, most times.
    front: RunQ<G, N>,
    back: RunQ<G, N>,
}

impl<const N: usize> Default for Queue<N> {
    fn default() -> Self {
        Queue {
            behind: AtomicU32::new(0),
            count: AtomicU32::new(0),
            backlog: Lock::new(Rank::Backlog, GList::new()),
            front: RunQ::default(),
            back: RunQ::default(),
        }
    }
}

impl<const N: usize> Queue<N> {
    /// U1.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn push(&self, gp: GRef) {
        // SAFETY: the caller's promise, here and below. Relaxed: the owner's own word.
        if self.behind.load(Ordering::Relaxed) != 0 || unsafe { !self.front.push(gp.0) } {
            unsafe { self.push_behind(gp) }
        }
    }

    /// # Safety
    /// The caller is the owner.
    #[inline(never)]
    unsafe fn push_behind(&self, gp: GRef) {
        // Relaxed: whoever was to see this push and does not is met by the fence behind it (SUBMIT in wake.rs).
        self.behind.store(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe {
            if !self.back.push(gp.0) {
                self.spill();
                // There is room now: by us, or by a thief who was faster.
                let fits = self.back.push(gp.0);
                debug_assert!(fits);
            }
        }
    }

    /// # Safety
    /// The caller is the owner.
    unsafe fn spill(&self) {
        let mut half = GList::new();
        // SAFETY: the caller's promise.
        unsafe { self.back.pop_half(|gp| half.push_back(GRef(gp))) };
        widen!();
        let mut backlog = self.backlog.lock();
        backlog.append(&mut half);
        // Relaxed: whoever sees it takes the lock.
        self.count.store(backlog.len() as u32, Ordering::Relaxed);
    }

    /// U2.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn pop(&self) -> Option<GRef> {
        // SAFETY: the caller's promise, here and below.
        match unsafe { self.front.pop_oldest() } {
            Some(gp) => Some(GRef(gp)),
            None if self.behind.load(Ordering::Relaxed) == 0 => None,
            None => unsafe { self.pop_behind() },
        }
    }

    /// # Safety
    /// The caller is the owner, and the front is empty.
    #[inline(never)]
    unsafe fn pop_behind(&self) -> Option<GRef> {
        // SAFETY: the caller's promise.
        let gp = unsafe { self.steal_behind(N / 2, &self.front) };
        if self.back.is_empty() && self.count.load(Ordering::Relaxed) == 0 {
            // Release: pairs with the Acquire in `is_empty`.
            self.behind.store(0, Ordering::Release);
        }
        gp
    }

    /// U3: for another P, that has nothing. One G is returned, the others go to his front.
    ///
    /// # Safety
    /// The caller is the owner of `thief`.
    pub unsafe fn steal(&self, thief: &Self) -> Option<GRef> {
        // SAFETY: the caller's promise, here and below.
        if let Some(gp) = unsafe { self.front.steal_half(&thief.front) } {
            return Some(GRef(gp));
        }
        if self.behind.load(Ordering::Acquire) == 0 {
            return None;
        }
        let half = self.count.load(Ordering::Relaxed).div_ceil(2) as usize;
        unsafe { self.steal_behind(half.min(N / 2), &thief.front) }
    }

    /// Up to `most` of the backlog, or half of the back: one is returned, the others go to `front`, which is empty.
    ///
    /// # Safety
    /// The caller is the owner of `front`.
    unsafe fn steal_behind(&self, most: usize, front: &RunQ<G, N>) -> Option<GRef> {
        // Relaxed: it says whether to look.
        if self.count.load(Ordering::Relaxed) != 0 {
            let mut backlog = self.backlog.lock();
            let first = backlog.pop_front();
            for gp in (1..most).map_while(|_| backlog.pop_front()) {
                // SAFETY: the caller's promise.
                let fits = unsafe { front.push(gp.0) };
                debug_assert!(fits);
                widen!();
            }
            // Release: pairs with the Acquire in `is_empty`.
            self.count.store(backlog.len() as u32, Ordering::Release);
            if first.is_some() {
                return first;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.back.steal_half(front) }.map(GRef)
    }

    /// How many there were at some moment.
    pub fn len(&self) -> usize {
        self.back.len() + self.count.load(Ordering::Acquire) as usize + self.front.len()
    }

    /// See the module.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        let nothing_behind =
            self.behind.load(Ordering::Acquire) == 0 || self.back.is_empty() && self.count.load(Ordering::Acquire) == 0;
        nothing_behind && self.front.is_empty()
    }

    /// How many more fit into the front, at least.
    ///
    /// # Safety
    /// The caller is the owner.
    pub unsafe fn room(&self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.front.room() }
    }
}
