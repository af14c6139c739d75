//! How the memory of free stacks goes back to the system: by age, by a trim, or at once.

use super::pool::{Class, StackPool};
use super::{BATCH, CLASSES, Stack, class_size, guard_size, slot_size, to_his, to_los};
use crate::sys::mem;
use core::ptr;

/// Each class keeps so many usable bytes of warm stacks, however long they lie unused: a few Gs that come now and then
/// should not pay a page fault each time.
const KEPT_BYTES: usize = 1 << 20;

impl StackPool {
    /// Frees stacks and returns their memory to the system at once. No code may run on them.
    pub fn free_cold(&self, stacks: &[Stack]) {
        let mut rest = stacks;
        while let Some(first) = rest.first() {
            let n = rest.iter().take_while(|s| s.class == first.class).count().min(BATCH);
            let mut his = [ptr::null_mut(); BATCH];
            for (hi, s) in his.iter_mut().zip(&rest[..n]) {
                *hi = s.hi;
            }
            self.discard(first.class as usize, &mut his[..n], |c| c.handed_out -= n);
            rest = &rest[n..];
        }
    }

    /// Returns the memory of warm stacks to the system, except of the `keep` hottest of each class. The address space
    /// stays, and with it the page tables.
    pub fn trim(&self, keep: usize) {
        for class in 0..CLASSES {
            // The number is fixed now: other threads may free stacks as fast as this loop goes.
            let surplus = self.class(class).warm.len().saturating_sub(keep);
            self.discard_oldest(class, surplus);
        }
    }

    /// Ends a period: returns the memory of those warm stacks to the system that no G has needed for
    /// [`PERIODS`](super::PERIODS) periods. True while the memory of more stacks will go back if they stay unused. One
    /// caller at a time.
    pub fn age(&self) -> bool {
        let mut more = false;
        for class in 0..CLASSES {
            let keep = KEPT_BYTES / class_size(class);
            let unneeded = {
                let mut c = self.class(class);
                let unneeded = c.fewest.iter().copied().min().unwrap_or(0);
                c.fewest.rotate_right(1);
                c.fewest[0] = c.warm.len();
                unneeded
            };
            self.discard_oldest(class, unneeded.saturating_sub(keep));
            more |= self.class(class).warm.len() > keep;
        }
        more
    }

    /// Returns the memory of the `most` oldest warm stacks of a class to the system, or of as many as there are.
    fn discard_oldest(&self, class: usize, most: usize) {
        let mut left = most;
        while left > 0 {
            let mut his = [ptr::null_mut(); BATCH];
            let mut n = 0;
            let mut c = self.class(class);
            while n < BATCH.min(left)
                && let Some(hi) = c.warm.take_oldest()
            {
                his[n] = hi;
                n += 1;
            }
            for mark in &mut c.fewest {
                *mark = mark.saturating_sub(n);
            }
            drop(c);
            if n == 0 {
                return;
            }
            left -= n;
            self.discard(class, &mut his[..n], |_| ());
        }
    }

    /// Returns the memory of free stacks that are in no list to the system, and lists them as clean. While the system
    /// works on them they belong to this caller, so the lock is free for others.
    fn discard(&self, class: usize, his: &mut [*mut u8], and: impl FnOnce(&mut Class)) {
        let colours = to_los(class, his);
        // SAFETY: free stacks, from the lowest usable byte to the end of the slot.
        unsafe { mem::discard(his, slot_size(class) - guard_size()) };
        to_his(class, his, &colours);
        let mut c = self.class(class);
        for &hi in his.iter() {
            c.clean.push(hi);
        }
        c.released += his.len() as u64;
        and(&mut c);
    }
}

// (The locks of a model can be made only inside a model.)
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::fiber::stack::pool::PERIODS;
    use crate::fiber::stack::tests::{faults, pool, touch};

    fn touched(pool: &StackPool, n: usize, usable: usize) -> Vec<Stack> {
        let all: Vec<Stack> = (0..n).map(|_| pool.alloc(usable).unwrap()).collect();
        all.iter().for_each(|s| touch(s.hi.wrapping_sub(1)));
        all
    }

    /// Whether the memory of a stack is still there. The test owns the stack, and has touched it once.
    fn is_warm(s: &Stack) -> bool {
        // SAFETY: ours.
        unsafe { s.hi.wrapping_sub(1).read() == 0xa5 }
    }

    #[test]
    fn trim_gives_memory_back_and_keeps_the_hottest() {
        let pool = pool(None);
        let all: Vec<Stack> = (0..300).map(|_| pool.alloc(1).unwrap()).collect();
        all.iter().for_each(|s| touch(s.hi.wrapping_sub(1)));
        pool.free_batch(&all);
        pool.trim(5);
        let s = pool.stats();
        assert_eq!((s.warm, s.inuse), (5, 0));
        for (i, want) in all.iter().rev().enumerate() {
            let got = pool.alloc(1).unwrap();
            // SAFETY: ours.
            let byte = unsafe { got.hi.wrapping_sub(1).read() };
            if i < 5 {
                assert_eq!((got, byte), (*want, 0xa5));
            } else {
                assert_eq!(byte, 0);
            }
        }
        // The list has been moved up by the trim; all of them still fit.
        pool.free_batch(&all);
        assert_eq!(pool.stats().warm, 300);
        assert!(faults(all[0].lo().wrapping_sub(1)), "guards survive");
    }

    /// The memory that lay unused in all periods goes back; memory that was needed in one of them stays, and so do the
    /// few stacks that each class keeps.
    #[test]
    fn what_is_not_needed_for_long_goes_back() {
        for (usable, keep) in [(1, 64), (256 << 10, 4), (1 << 20, 1), (4 << 20, 0)] {
            let pool = pool(None);
            let all = touched(&pool, 200, usable);
            pool.free_batch(&all);
            // The period of the spike, and then as many as it takes.
            for _ in 0..PERIODS {
                assert!(pool.age());
                assert_eq!((pool.stats().warm, pool.stats().released), (200, 0));
            }
            // A pulse in each of the next periods: the 70 hottest stay.
            for _ in 0..2 * PERIODS {
                let pulse: Vec<Stack> = (0..70).map(|_| pool.alloc(usable).unwrap()).collect();
                assert!(pulse.iter().all(is_warm));
                pool.free_batch(&pulse);
                assert!(pool.age());
            }
            assert_eq!(pool.stats().warm, 70 + keep);
            for _ in 0..PERIODS - 1 {
                assert!(pool.age());
                assert_eq!(pool.stats().warm, 70 + keep);
            }
            assert!(!pool.age());
            let s = pool.stats();
            assert_eq!((s.warm, s.released, s.inuse), (keep, 200 - keep as u64, 0));
            assert!(faults(all[0].lo().wrapping_sub(1)), "guards survive");
            let got: Vec<Stack> = (0..200).map(|_| pool.alloc(usable).unwrap()).collect();
            assert_eq!(got.iter().filter(|s| is_warm(s)).count(), keep);
            pool.free_batch(&got);
        }
    }

    /// A pulse no rarer than the periods reach finds its stacks warm each time, though it comes at the end of a period
    /// once and at the beginning of another.
    #[test]
    fn rare_pulses_find_their_stacks() {
        let pool = pool(None);
        pool.free_batch(&touched(&pool, 100, 256 << 10));
        for _ in 0..5 {
            for _ in 0..PERIODS {
                pool.age();
            }
            let pulse: Vec<Stack> = (0..100).map(|_| pool.alloc(256 << 10).unwrap()).collect();
            assert!(pulse.iter().all(is_warm));
            pool.free_batch(&pulse);
        }
    }

    #[test]
    fn stacks_that_come_back_cold_have_no_memory() {
        let pool = pool(None);
        let mut all = touched(&pool, 150, 1);
        all.extend(touched(&pool, 3, 1 << 20));
        pool.free_cold(&all);
        let s = pool.stats();
        assert_eq!((s.warm, s.inuse, s.released), (0, 0, 153));
        assert!(!is_warm(&pool.alloc(1).unwrap()) && !is_warm(&pool.alloc(1 << 20).unwrap()));
    }
}
