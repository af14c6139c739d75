//! The global run queue.

use crate::gmp::g::{GList, GRef};
use crate::gmp::sched::Sched;
use crate::sync::Ordering;
use crate::sync::widen::widen;

/// The global run queue: first in, first out. Gs that are locked to their Ms stand in a list of their own, because a P
/// without a thread looks only for them.
#[derive(Default)]
pub(super) struct GlobalQ {
    free: GList,
    locked: GList,
    /// Gs whose threads are held in the middle of the host's code (protocol/seize.rs), locked to their Ms like the
    /// others. They come after all others: `get_hog` says when they have a turn all the same.
    hogs: GList,
    /// How many Gs were ever put into `free`, and taken out of it. A locked G notes how many came before it.
    put: u64,
    taken: u64,
}

impl GlobalQ {
    fn len(&self) -> usize {
        self.free.len() + self.locked.len() + self.hogs.len()
    }

    fn put(&mut self, gp: GRef) {
        if gp.lockedm.is_null() {
            self.free.push_back(gp);
            self.put += 1;
        } else {
            gp.globq_turn.set(self.put);
            self.locked.push_back(gp);
        }
    }

    /// In `locked`, each G's turn counts from the first of `free`; here it becomes a turn of the whole queue.
    fn put_all(&mut self, free: &mut GList, locked: &mut GList) {
        while let Some(gp) = locked.pop_front() {
            gp.globq_turn.set(self.put + gp.globq_turn.get());
            self.locked.push_back(gp);
        }
        self.put += free.len() as u64;
        self.free.append(free);
    }

    /// Whether the next G in order is a locked one.
    fn locked_is_next(&self) -> bool {
        self.locked.first().is_some_and(|gp| gp.globq_turn.get() <= self.taken)
    }

    fn head(&self) -> Option<GRef> {
        if self.locked_is_next() { self.locked.first() } else { self.free.first() }
    }

    fn get(&mut self) -> Option<GRef> {
        if self.locked_is_next() {
            return self.locked.pop_front();
        }
        let gp = self.free.pop_front();
        self.taken += u64::from(gp.is_some());
        gp
    }

    fn get_locked(&mut self) -> Option<GRef> {
        self.locked.pop_front().or_else(|| self.hogs.pop_front())
    }
}

impl Sched {
    pub fn globrunqput(&self, gp: GRef) {
        let mut q = self.globq.lock();
        q.put(gp);
        widen!();
        self.globq_len.store(q.len() as u32, Ordering::Release);
    }

    /// Puts all of these behind the others.
    pub fn globrunqput_all(&self, gs: &mut GList) {
        // Separated before the lock is taken: there may be many.
        let (mut free, mut locked) = (GList::new(), GList::new());
        while let Some(gp) = gs.pop_front() {
            if gp.lockedm.is_null() {
                free.push_back(gp);
            } else {
                gp.globq_turn.set(free.len() as u64);
                locked.push_back(gp);
            }
        }
        let mut q = self.globq.lock();
        q.put_all(&mut free, &mut locked);
        widen!();
        self.globq_len.store(q.len() as u32, Ordering::Release);
    }

    /// The oldest G, for a comparison.
    pub fn globrunq_head(&self) -> Option<GRef> {
        if self.globq_len() == 0 {
            return None;
        }
        self.globq.lock().head()
    }

    /// Takes up to `n` Gs, the oldest first.
    pub fn globrunqget(&self, n: usize, mut each: impl FnMut(GRef)) {
        if self.globq_len() == 0 {
            return;
        }
        let mut q = self.globq.lock();
        for i in 0..n {
            // A hog is taken alone: it does not stand in the queue of a P.
            let Some(gp) = q.get().or_else(|| if i == 0 { q.hogs.pop_front() } else { None }) else { break };
            each(gp);
        }
        self.nhogs.store(q.hogs.len() as u32, Ordering::Release);
        self.globq_len.store(q.len() as u32, Ordering::Release);
    }

    /// Takes the oldest G that is locked to its M.
    pub fn globrunqget_locked(&self) -> Option<GRef> {
        let mut q = self.globq.lock();
        let gp = q.get_locked();
        self.nhogs.store(q.hogs.len() as u32, Ordering::Release);
        self.globq_len.store(q.len() as u32, Ordering::Release);
        gp
    }

    /// Whether a G is there that is locked to its M.
    pub fn globrunq_has_locked(&self) -> bool {
        let q = self.globq.lock();
        !q.locked.is_empty() || !q.hogs.is_empty()
    }

    /// Puts a G whose thread is held behind the others of its kind.
    pub fn globrunqput_hog(&self, gp: GRef) {
        let mut q = self.globq.lock();
        q.hogs.push_back(gp);
        self.nhogs.store(q.hogs.len() as u32, Ordering::Release);
        widen!();
        self.globq_len.store(q.len() as u32, Ordering::Release);
    }

    /// Takes the oldest G whose thread is held.
    pub fn globrunqget_hog(&self) -> Option<GRef> {
        if self.nhogs() == 0 {
            return None;
        }
        let mut q = self.globq.lock();
        let gp = q.hogs.pop_front();
        self.nhogs.store(q.hogs.len() as u32, Ordering::Release);
        self.globq_len.store(q.len() as u32, Ordering::Release);
        gp
    }

    /// How many Gs wait whose threads are held.
    #[inline(always)]
    pub fn nhogs(&self) -> u32 {
        self.nhogs.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub fn globq_len(&self) -> u32 {
        self.globq_len.load(Ordering::Acquire)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Random puts and gets against one plain list.
    #[test]
    fn the_global_queue_is_first_in_first_out() {
        crate::ds::rng::seeds(8).for_each(|seed| {
            let rng = crate::ds::rng::Rng::new(seed);
            let all: Vec<GRef> = (0..200).map(GRef::for_test).collect();
            // Any address serves: the queue only asks whether a G is locked.
            all.iter().step_by(3).for_each(|gp| gp.lockedm.set(std::ptr::dangling_mut()));
            let (mut q, mut model) = (GlobalQ::default(), VecDeque::new());
            let mut out = all.clone();
            for _ in 0..5000 {
                match rng.next() % 8 {
                    0..4 => {
                        if let Some(gp) = (!out.is_empty()).then(|| out.swap_remove(rng.next() as usize % out.len())) {
                            q.put(gp);
                            model.push_back(gp);
                        }
                    }
                    4..7 => {
                        assert!(q.head() == model.front().copied());
                        let got = q.get();
                        assert!(got == model.pop_front());
                        out.extend(got);
                    }
                    _ => {
                        let at = model.iter().position(|gp| !gp.lockedm.is_null());
                        let got = q.get_locked();
                        assert!(got == at.and_then(|at| model.remove(at)));
                        out.extend(got);
                    }
                }
                assert_eq!(q.len(), model.len());
            }
        });
    }
}
