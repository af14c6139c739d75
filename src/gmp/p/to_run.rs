//! The Gs that a P has to run: runnext, the suspended parents, then the queue with its backlog (queue.rs). The owner
//! takes them in this order. A thief takes the oldest parent, otherwise half of the queue, and runnext only at last.

use super::{OwnedP, P};
use crate::gmp::g::{G, GRef};
use crate::sync::Ordering;
use crate::sync::widen::widen;

/// The most Gs in the ring of a P's own queue, and the most suspended parents. Few under a model.
pub(super) const RING: usize = if cfg!(any(loom, shuttle)) { 16 } else { 256 };
pub(super) const PARENTS: usize = if cfg!(any(loom, shuttle)) { 16 } else { 64 };

impl P {
    /// Whether there is no G to run here. Runnext is read first, because a G goes from runnext to the queue and never
    /// back. The G that a newer one displaces is in the queue before the owner takes the newer one (Acquire: pairs with
    /// the swap there). A thief may take the newer one before that: then the P looks empty, and the owner calls for
    /// searchers after its push (`park::ready_queue`).
    pub fn runq_empty(&self) -> bool {
        self.runnext.load(Ordering::Acquire).is_null() && self.lifo.is_empty() && self.runq.is_empty()
    }

    pub fn runq_len(&self) -> usize {
        self.runq.len() + self.lifo.len() + usize::from(!self.runnext.load(Ordering::Relaxed).is_null())
    }

    /// Takes the oldest of the parents; or moves the oldest half of the queue to the thief's and returns one G of it.
    /// `last_parent`: also takes a parent that is the only one.
    pub fn steal(&self, thief: &OwnedP, last_parent: bool) -> Option<GRef> {
        if (last_parent || self.lifo.len() > 1)
            && let Some(gp) = self.lifo.steal()
        {
            return Some(GRef(gp));
        }
        // SAFETY: `thief` owns its queues.
        unsafe { self.runq.steal(&thief.runq) }
    }

    /// Takes up to `most` of the Gs that wait here, in the order in which they would run, for a thief without a P.
    pub fn take_out(&self, most: usize, mut each: impl FnMut(GRef)) {
        let mut left = most;
        let heirs = self.take_runnext().into_iter().chain(std::iter::from_fn(|| self.lifo.steal().map(GRef)));
        for gp in heirs.take(most) {
            each(gp);
            left -= 1;
        }
        self.runq.take_out(left, each);
    }

    /// Whether exactly one parent is suspended here: its child may be about to begin.
    pub fn has_one_parent(&self) -> bool {
        self.lifo.len() == 1
    }

    /// The next G, for an unlocked look.
    pub fn runnext(&self) -> *mut G {
        self.runnext.load(Ordering::Relaxed)
    }

    pub fn has_runnext(&self) -> bool {
        !self.runnext.load(Ordering::Relaxed).is_null()
    }

    /// Takes runnext, for the owner or a thief.
    pub fn take_runnext(&self) -> Option<GRef> {
        if self.runnext.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // AcqRel: pairs with the swap in `put_runnext`.
        // SAFETY: runnext holds null or a G.
        unsafe { GRef::from_ptr(self.runnext.swap(std::ptr::null_mut(), Ordering::AcqRel)) }
    }
}

impl OwnedP {
    /// Makes `gp` the next G to run in this slice; the former next one goes to the queue. Returns whether there was
    /// one. If not, the last step of this function is a locked read-modify-write.
    #[inline(always)]
    pub fn put_next(&self, gp: GRef) -> bool {
        // A swap, not a store: a thief may take the old G at the same moment. AcqRel: pairs with `take_runnext`.
        // SAFETY: runnext holds null or a G.
        let old = unsafe { GRef::from_ptr(self.runnext.swap(gp.as_ptr(), Ordering::AcqRel)) };
        if let Some(old) = old {
            widen!();
            self.put_tail(old);
        }
        old.is_some()
    }

    /// Appends to the queue.
    #[inline(always)]
    pub fn put_tail(&self, gp: GRef) {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.push(gp) }
    }

    /// Puts it after all others.
    #[inline(always)]
    pub fn put_last(&self, gp: GRef) {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.push_last(gp) }
    }

    /// Adds the suspended parent of a child-first spawn. If the deque is full, its oldest parent goes to the queue.
    pub fn put_parent(&self, gp: GRef) {
        // SAFETY: `self` owns the P.
        while !unsafe { self.lifo.push(gp.0) } {
            if let Some(oldest) = self.lifo.steal() {
                self.put_tail(GRef(oldest));
            }
        }
    }

    /// The next G to run, and whether it inherits the slice.
    #[inline(always)]
    pub fn get(&self) -> Option<(GRef, bool)> {
        if let Some(gp) = self.take_runnext() {
            return Some((gp, true));
        }
        if let Some(gp) = self.get_parent() {
            return Some((gp, true));
        }
        self.get_queued().map(|gp| (gp, false))
    }

    /// The newest of the suspended parents.
    #[inline(always)]
    pub fn get_parent(&self) -> Option<GRef> {
        // SAFETY: `self` owns the P.
        unsafe { self.lifo.pop_newest() }.map(GRef)
    }

    /// The oldest G of the queue, past runnext and the parents.
    #[inline(always)]
    pub fn get_queued(&self) -> Option<GRef> {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.pop() }
    }

    /// Whether parents are suspended here.
    #[inline(always)]
    pub fn has_parents(&self) -> bool {
        !self.lifo.is_empty()
    }

    /// The oldest G of the queue's backlog.
    pub fn get_behind(&self) -> Option<GRef> {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.pop_behind() }
    }

    /// Whether its queues are empty, for the owner.
    #[inline(always)]
    pub fn has_nothing(&self) -> bool {
        !self.has_runnext() && self.lifo.is_empty() && self.runq.is_empty()
    }

    pub fn room(&self) -> usize {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.room() }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ds::leak::try_leak;
    use crate::ds::rng::{Rng, seeds};
    use crate::gmp::p::{Durations, PStatus};
    use crate::gmp::timers::TimerMask;
    use std::collections::VecDeque;

    /// The Gs that a P has to run, in the obvious representation.
    #[derive(Default)]
    struct Model {
        next: Option<u32>,
        parents: Vec<u32>,
        ring: VecDeque<u32>,
        backlog: VecDeque<u32>,
    }

    impl Model {
        fn put_next(&mut self, g: u32) {
            if let Some(old) = self.next.replace(g) {
                self.put_tail(old);
            }
        }

        fn put_tail(&mut self, g: u32) {
            if self.ring.len() == RING {
                self.backlog.extend(self.ring.drain(..RING / 2));
            }
            self.ring.push_back(g);
        }

        fn put_last(&mut self, g: u32) {
            let to = if self.backlog.is_empty() && self.ring.len() < RING { &mut self.ring } else { &mut self.backlog };
            to.push_back(g);
        }

        fn get(&mut self) -> Option<(u32, bool)> {
            let inherits = self.next.take().or_else(|| self.parents.pop());
            inherits.map(|g| (g, true)).or_else(|| self.get_queued().map(|g| (g, false)))
        }

        fn get_queued(&mut self) -> Option<u32> {
            if self.ring.is_empty() {
                self.ring.extend(self.backlog.drain(..self.backlog.len().min(RING / 2)));
            }
            self.ring.pop_front()
        }

        fn steal(&mut self) -> Vec<u32> {
            if !self.parents.is_empty() {
                return vec![self.parents.remove(0)];
            }
            let (from, most) =
                if self.ring.is_empty() { (&mut self.backlog, RING / 2) } else { (&mut self.ring, RING) };
            let half = from.len().div_ceil(2).min(most);
            from.drain(..half).collect()
        }

        fn len(&self) -> usize {
            self.ring.len() + self.backlog.len() + self.parents.len() + usize::from(self.next.is_some())
        }
    }

    /// The run queue with runnext and the suspended parents, and a thief that steals, against deques.
    #[test]
    fn what_is_to_run_is_as_in_deques() {
        let gs: Vec<GRef> = (0..4 * RING as u32 + PARENTS as u32).map(GRef::for_test).collect();
        seeds(6).for_each(|seed| against_deques(&gs, seed));
    }

    fn against_deques(gs: &[GRef], seed: u64) {
        static POLL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let rng = Rng::new(seed);
        let [pp, thief] = [0, 1].map(|id| {
            let mask = try_leak(TimerMask::default()).unwrap();
            let p = P::new(id, &POLL, mask, Durations::new().unwrap());
            try_leak(p).unwrap().acquire_from(PStatus::Dead)
        });
        let mut model = Model::default();
        let mut free: Vec<u32> = (0..gs.len() as u32).collect();
        let number = |gp: GRef| gp.index;
        // Alternates between phases with more puts and phases with more takes.
        let mut more = 2;
        for i in 0..crate::ds::rng::rounds(30_000) as u32 {
            if i % 3000 == 0 {
                more = 1 + rng.next() % 5;
            }
            let put = rng.next() % 6 < more;
            if let (true, Some(g)) = (put, free.pop()) {
                let gp = gs[g as usize];
                match rng.next() % 5 {
                    0 => {
                        assert_eq!(pp.put_next(gp), model.next.is_some());
                        model.put_next(g);
                    }
                    1 => {
                        pp.put_parent(gp);
                        if model.parents.len() == PARENTS {
                            let oldest = model.parents.remove(0);
                            model.put_tail(oldest);
                        }
                        model.parents.push(g);
                    }
                    2 => {
                        pp.put_last(gp);
                        model.put_last(g);
                    }
                    _ => {
                        pp.put_tail(gp);
                        model.put_tail(g);
                    }
                }
            } else {
                match rng.next() % 9 {
                    0..4 => {
                        let want = model.get();
                        assert_eq!(pp.get().map(|(gp, inherits)| (gp.index, inherits)), want);
                        free.extend(want.map(|w| w.0));
                    }
                    4 | 5 => {
                        let want = model.get_queued();
                        assert_eq!(pp.get_queued().map(number), want);
                        free.extend(want);
                    }
                    8 => {
                        let want = model.backlog.pop_front();
                        assert_eq!(pp.get_behind().map(number), want);
                        free.extend(want);
                    }
                    6 => {
                        let want = model.next.take();
                        assert_eq!(pp.take_runnext().map(number), want);
                        free.extend(want);
                    }
                    _ => {
                        let mut want = model.steal();
                        assert_eq!(pp.steal(&thief, true).map(number), want.first().copied());
                        free.append(&mut want.clone());
                        want.drain(..want.len().min(1));
                        for g in want {
                            assert_eq!(thief.get().map(|(gp, _)| gp.index), Some(g));
                        }
                        assert!(thief.has_nothing());
                    }
                }
            }
            let n = model.len();
            assert_eq!((pp.runq_len(), pp.runq_empty(), pp.has_nothing()), (n, n == 0, n == 0));
            assert_eq!(pp.room(), RING - model.ring.len());
        }
        for pp in [pp, thief] {
            pp.forget();
        }
    }
}
