//! The guards: how they are made, when they run out, and whose guard an address is in.

use super::arena::arena_ref;
use super::pool::StackPool;
use super::{GuardKind, guard_size, to_his, to_los};
use crate::sys::mem;
use core::sync::atomic::Ordering;

impl StackPool {
    pub(super) fn guard(&self) -> GuardKind {
        GuardKind::from_u8(self.guard.load(Ordering::Relaxed))
    }

    pub(super) fn note_scarcity(&self) {
        let scarce = self.guard_required.load(Ordering::Relaxed) && self.guard() == GuardKind::Mprotect;
        self.scarce.store(scarce, Ordering::Relaxed);
    }

    /// Whether a new G must get its stack at once, so that its spawn fails if there is no guarded stack. Relaxed: a G
    /// that is made while this changes gets its stack when it first runs, or waits for one.
    pub fn bind_at_spawn(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }

    /// Makes the guards of stacks that were never handed out. Sorts the stacks that may be handed out to the front, and
    /// returns their number.
    pub(super) fn install_guards(&self, class: usize, his: &mut [*mut u8]) -> usize {
        let mut colours = to_los(class, his);
        let mut done = match self.guard() {
            GuardKind::None => his.len(),
            GuardKind::Madvise => {
                his.iter_mut().for_each(|lo| *lo = lo.wrapping_sub(guard_size()));
                // SAFETY: the low ends of slots that no G uses.
                let made = unsafe { mem::guard_each(his, guard_size()) };
                his.iter_mut().for_each(|slot| *slot = slot.wrapping_add(guard_size()));
                match made {
                    Ok(()) => his.len(),
                    Err((done, e)) => {
                        if e == libc::EINVAL {
                            // The host locks its memory, or the kernel does not know the call: do not try again.
                            self.guard.store(GuardKind::Mprotect as u8, Ordering::Relaxed);
                            self.note_scarcity();
                        }
                        done
                    }
                }
            }
            GuardKind::Mprotect => 0,
        };
        let rest = done..his.len();
        for i in rest {
            if self.may_be_handed_out(his[i].wrapping_sub(guard_size())) {
                his.swap(i, done);
                colours.swap(i, done);
                done += 1;
            }
        }
        to_his(class, his, &colours);
        done
    }

    /// Makes the guard of a slot by mprotect. False if that fails and guards are required.
    fn may_be_handed_out(&self, slot: *mut u8) -> bool {
        // Relaxed: a count.
        if self.protected.fetch_add(1, Ordering::Relaxed) < self.protect_limit {
            // SAFETY: the low end of a slot that no G uses.
            if unsafe { mem::protect(slot, guard_size()) }.is_ok() {
                return true;
            }
        }
        self.protected.fetch_sub(1, Ordering::Relaxed);
        if self.guard_required.load(Ordering::Relaxed) {
            return false;
        }
        self.unguarded.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Stacks that were cut without a guard though one was wanted.
    #[inline(always)]
    pub fn unguarded(&self) -> usize {
        self.unguarded.load(Ordering::Relaxed)
    }

    /// Whether the address is in the guard of one of the slots. Signal-safe.
    pub fn contains_guard(&self, addr: usize) -> bool {
        self.guard_of(addr).is_some()
    }

    /// The lowest usable byte of the stack in whose guard the address is. Signal-safe: no lock, and arenas stay.
    pub fn guard_of(&self, addr: usize) -> Option<*mut u8> {
        let mut arena = self.arenas.load(Ordering::Acquire);
        while !arena.is_null() {
            let a = arena_ref(arena);
            let off = addr.wrapping_sub(a.slots as usize);
            if off < a.n * a.slot_size {
                let in_slot = off % a.slot_size;
                return (in_slot < guard_size()).then(|| a.slots.wrapping_add(off - in_slot + guard_size()));
            }
            arena = a.next;
        }
        None
    }
}

// (The locks of a model can be made only inside a model.)
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::fiber::stack::arena::FIRST_ARENA;
    use crate::fiber::stack::tests::{faults, in_child, pool, touch};
    use crate::fiber::stack::{PoolOptions, Rules, Stack};

    #[test]
    fn no_guards_when_told_so() {
        let pool = pool(Some(GuardKind::None));
        let s = pool.alloc(1).unwrap();
        touch(s.lo().wrapping_sub(1));
        assert_eq!(pool.stats().guard, GuardKind::None);
        pool.free(s);
    }

    #[test]
    fn mprotect_stops_at_its_limit() {
        let pool = StackPool::new(PoolOptions { force_guard: Some(GuardKind::Mprotect), mprotect_limit: 10 });
        let all: Vec<Stack> = (0..200).map(|_| pool.alloc(1).unwrap()).collect();
        assert!(pool.stats().unguarded >= 190);
        pool.free_batch(&all);
    }

    #[test]
    fn no_stack_without_a_required_guard() {
        let pool = StackPool::new(PoolOptions { force_guard: Some(GuardKind::Mprotect), mprotect_limit: 10 });
        assert!(pool.set_rules(Rules { guard_required: true, ..Rules::default() }) && pool.bind_at_spawn());
        let mut all: Vec<Stack> = (0..10).map(|_| pool.alloc(1).unwrap()).collect();
        let before = pool.stats().reserved_bytes;
        for _ in 0..1000 {
            assert_eq!(pool.alloc(1), Err(libc::ENOMEM));
            assert_eq!(pool.ensure(1), Ok(()), "one that comes back will do");
            assert_eq!(pool.ensure(64 << 10), Err(libc::ENOMEM));
        }
        let s = pool.stats();
        assert_eq!((s.unguarded, s.inuse, s.cached), (0, 10, 0));
        assert!(s.reserved_bytes <= before + FIRST_ARENA, "what is refused is tried again");
        assert!(all.iter().all(|s| faults(s.lo().wrapping_sub(1))));
        pool.free(all[3]);
        assert_eq!(pool.alloc(1), Ok(all[3]));
        // Without the rule the refused slots are stacks like others.
        assert!(pool.set_rules(Rules::default()) && !pool.bind_at_spawn());
        all.extend((0..40).map(|_| pool.alloc(1).unwrap()));
        all.iter().for_each(|s| touch(s.lo()));
        assert!(pool.stats().unguarded >= 40);
        pool.free_batch(&all);
        all.sort_by_key(|s| s.lo());
        assert!(all.windows(2).all(|w| w[0].hi <= w[1].lo()));
        assert!(!pool.set_rules(Rules { guard_required: true, ..Rules::default() }) && !pool.bind_at_spawn());
    }

    #[test]
    fn what_is_required_comes_before_a_forced_guard() {
        let pool = pool(Some(GuardKind::None));
        assert!(pool.set_rules(Rules { guard_required: true, ..Rules::default() }));
        assert!(faults(pool.alloc(1).unwrap().lo().wrapping_sub(1)));
    }

    #[test]
    fn locked_memory_falls_back() {
        let status = in_child(|| {
            // SAFETY: this child's; where locking is not allowed there is nothing to see.
            if unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) } != 0 {
                return 0;
            }
            let pool = pool(Some(GuardKind::Madvise));
            let Ok(s) = pool.alloc(1) else { return 2 };
            let ok = pool.stats().guard == GuardKind::Mprotect && pool.stats().unguarded == 0;
            touch(s.lo());
            if ok { 0 } else { 1 }
        });
        assert_eq!(status, 0);
    }
}
