//! The pool of stacks: a class for each size, whose free stacks are taken and given back.

use super::arena::{Arena, FIRST_ARENA, arena_ref};
use super::list::List;
use super::valgrind::{VG_MAKE_MEM_DEFINED, vg_deregister};
use super::{BATCH, CLASSES, GuardKind, Stack, best_guard, class_for, class_size, stack_at};
use crate::sync::{Guard, Lock, Rank};
use crate::sys::arch::valgrind;
use crate::sys::{self, mem};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};

/// How many periods a stack lies unused before its memory goes back.
pub const PERIODS: usize = 3;

#[derive(Clone, Copy, Debug, Default)]
pub struct PoolOptions {
    /// Use this kind instead of the best one that the system has.
    pub force_guard: Option<GuardKind>,
    /// How many guards mprotect may make. 0: an eighth of the mappings that the process may have.
    pub mprotect_limit: usize,
}

/// The host's rules for all stacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// No stack without a guard is handed out.
    pub guard_required: bool,
    /// Core dumps do not contain stacks.
    pub no_dump: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct PoolStats {
    /// Address space of all arenas.
    pub reserved_bytes: usize,
    /// Stacks handed out, with the stacks in the callers' caches.
    pub inuse: usize,
    /// Free stacks: freed and not handed out again.
    pub cached: usize,
    /// The stacks of `cached` whose memory is still there.
    pub warm: usize,
    /// How often the memory of a free stack went back to the system.
    pub released: u64,
    /// Usable address space of the stacks. It is not memory: only the kernel knows how much of it was touched.
    pub inuse_bytes: usize,
    pub cached_bytes: usize,
    pub guard: GuardKind,
    /// Stacks that were cut without a guard though one was wanted.
    pub unguarded: usize,
}

pub(super) struct Class {
    pub(super) warm: List,
    pub(super) clean: List,
    /// Cut, but without a guard while guards are required.
    pub(super) bare: List,
    /// The arena that is being cut, and the number of slots cut so far.
    pub(super) arena: *mut Arena,
    pub(super) cut: usize,
    /// Slots of all arenas.
    pub(super) slots: usize,
    pub(super) handed_out: usize,
    pub(super) next_arena: usize,
    pub(super) reserved: usize,
    /// The smallest length that `warm` had in each period, the present period first. A mark counts stacks at the old
    /// end of the list that no G has taken since; [`StackPool::discard_oldest`] takes stacks there, and subtracts them
    /// from all marks.
    pub(super) fewest: [usize; PERIODS],
    pub(super) released: u64,
}

impl Class {
    const EMPTY: Class = Class {
        warm: List::EMPTY,
        clean: List::EMPTY,
        bare: List::EMPTY,
        arena: ptr::null_mut(),
        cut: 0,
        slots: 0,
        handed_out: 0,
        next_arena: FIRST_ARENA,
        reserved: 0,
        fewest: [0; PERIODS],
        released: 0,
    };
}

// SAFETY: the pointers are the class's own, reached under its lock only.
unsafe impl Send for Class {}

pub struct StackPool {
    pub(super) classes: [Lock<Class>; CLASSES],
    /// All arenas, newest first. Release on publishing pairs with Acquire in [`StackPool::guard_of`].
    pub(super) arenas: AtomicPtr<Arena>,
    /// [`GuardKind`]; goes from Madvise to Mprotect when the kernel refuses (memory that the host locks).
    pub(super) guard: AtomicU8,
    pub(super) protected: AtomicUsize,
    pub(super) protect_limit: usize,
    pub(super) unguarded: AtomicUsize,
    /// [`Rules::guard_required`].
    pub(super) guard_required: AtomicBool,
    /// [`Rules::no_dump`].
    pub(super) no_dump: AtomicBool,
    /// Guards are required and may run out.
    pub(super) scarce: AtomicBool,
    pub(super) valgrind: bool,
    /// The seed of the colours.
    pub(super) seed: u64,
}

impl StackPool {
    pub fn new(opts: PoolOptions) -> StackPool {
        let valgrind = crate::sys::checker::under_valgrind();
        let guard = opts.force_guard.unwrap_or_else(|| best_guard(valgrind));
        let protect_limit = match opts.mprotect_limit {
            // Two mappings each: a quarter of the mappings that the process may have.
            0 => mem::map_count_limit() / 8,
            n => n,
        };
        StackPool {
            classes: std::array::from_fn(|_| Lock::new(Rank::StackPool, Class::EMPTY)),
            arenas: AtomicPtr::new(ptr::null_mut()),
            guard: AtomicU8::new(guard as u8),
            protected: AtomicUsize::new(0),
            protect_limit,
            unguarded: AtomicUsize::new(0),
            guard_required: AtomicBool::new(false),
            no_dump: AtomicBool::new(false),
            scarce: AtomicBool::new(false),
            valgrind,
            seed: crate::sys::random_seed(),
        }
    }

    /// Sets the rules. If guards are required and there are stacks that never had one, changes nothing and returns
    /// false. No stack may be in use.
    pub fn set_rules(&self, rules: Rules) -> bool {
        if rules.guard_required {
            let none = self.guard() == GuardKind::None;
            if self.unguarded() != 0 || none && (0..CLASSES).any(|class| self.class(class).slots != 0) {
                return false;
            }
            if none {
                // A requirement of the host overrides the environment.
                self.guard.store(best_guard(self.valgrind) as u8, Ordering::Relaxed);
            }
        }
        if self.no_dump.swap(rules.no_dump, Ordering::Relaxed) != rules.no_dump {
            let mut arena = self.arenas.load(Ordering::Acquire);
            while !arena.is_null() {
                let a = arena_ref(arena);
                // SAFETY: a mapping of the pool. To make it dumpable again cannot fail; to hide it was not refused when
                // the arena was made, and it is the same kind of memory.
                let _ = unsafe { mem::dump(arena.cast(), a.len, !rules.no_dump) };
                arena = a.next;
            }
        }
        self.guard_required.store(rules.guard_required, Ordering::Relaxed);
        self.note_scarcity();
        true
    }

    pub(super) fn class(&self, class: usize) -> Guard<'_, Class> {
        self.classes[class].lock()
    }

    /// Makes sure that a stack of this size exists, in use or not: so a G that waits for one gets it some day.
    pub fn ensure(&self, usable: usize) -> Result<(), i32> {
        let c = self.class(class_for(usable)?);
        let none = c.handed_out + c.warm.len() + c.clean.len() == 0;
        drop(c);
        if none {
            self.free(self.alloc(usable)?);
        }
        Ok(())
    }

    /// Takes a stack with at least `usable` bytes. EINVAL: more than 1 GiB. ENOMEM: no address space.
    pub fn alloc(&self, usable: usize) -> Result<Stack, i32> {
        let mut out = [MaybeUninit::uninit()];
        match self.take(class_for(usable)?, &mut out) {
            // SAFETY: one was written.
            Ok(_) => Ok(unsafe { out[0].assume_init() }),
            Err(e) => Err(e),
        }
    }

    /// Takes as many stacks as `out` has room for, the hottest first. Fewer if there is no address space, none if
    /// `usable` is too large.
    pub fn alloc_batch(&self, usable: usize, out: &mut [MaybeUninit<Stack>]) -> usize {
        let Ok(class) = class_for(usable) else { return 0 };
        let mut n = 0;
        while n < out.len() {
            match self.take(class, &mut out[n..]) {
                Ok(got) => n += got,
                Err(_) => break,
            }
        }
        n
    }

    /// Takes at least one stack, unless `out` is empty.
    fn take(&self, class: usize, out: &mut [MaybeUninit<Stack>]) -> Result<usize, i32> {
        let mut c = self.class(class);
        let mut n = 0;
        while n < out.len()
            && let Some(hi) = c.warm.pop().or_else(|| c.clean.pop())
        {
            out[n].write(stack_at(hi, class));
            n += 1;
        }
        c.fewest[0] = c.fewest[0].min(c.warm.len());
        c.handed_out += n;
        if n > 0 || out.is_empty() {
            return Ok(n);
        }

        // No stack is free: cut some more, for later requests too. Few at first, since a small program needs few.
        let mut his = [ptr::null_mut(); BATCH];
        let want = out.len().max(c.handed_out / 4).min(BATCH);
        let mut k = 0;
        while k < want
            && let Some(hi) = c.bare.pop()
        {
            his[k] = hi;
            k += 1;
        }
        if k != 0 {
            drop(c);
        } else {
            if c.arena.is_null() || c.cut == arena_ref(c.arena).n {
                self.add_arena(&mut c, class)?;
            }
            let (arena, first) = (c.arena, c.cut);
            k = want.min(arena_ref(arena).n - first);
            c.cut += k;
            drop(c);
            self.cut(arena, class, first, &mut his[..k]);
        }

        let guarded = self.install_guards(class, &mut his[..k]);
        let n = guarded.min(out.len());
        for (o, &hi) in out[..n].iter_mut().zip(&his) {
            o.write(stack_at(hi, class));
        }
        let mut c = self.class(class);
        c.handed_out += n;
        // Backwards, so that they are taken in the order of their addresses.
        for &hi in his[n..guarded].iter().rev() {
            c.clean.push(hi);
        }
        for &hi in his[guarded..k].iter().rev() {
            c.bare.push(hi);
        }
        if n == 0 { Err(libc::ENOMEM) } else { Ok(n) }
    }

    /// Frees a stack. No code may run on it.
    pub fn free(&self, s: Stack) {
        let mut c = self.class(s.class as usize);
        c.warm.push(s.hi);
        c.handed_out -= 1;
    }

    /// Erases all that was written to a stack that is about to be freed.
    pub fn wipe(&self, s: Stack) {
        let (lo, len) = (s.lo(), s.size().next_multiple_of(sys::page_size()));
        if self.valgrind {
            // valgrind takes the memory below the last frame for unused.
            valgrind(0, &[VG_MAKE_MEM_DEFINED, lo as usize, len, 0, 0, 0]);
        }
        // SAFETY: the caller's stack, from its lowest usable byte, where a page begins, to the end of its slot.
        unsafe { mem::wipe(lo, len) };
    }

    /// [`StackPool::free`] for many stacks, the hottest last.
    pub fn free_batch(&self, stacks: &[Stack]) {
        let mut rest = stacks;
        while let Some(first) = rest.first() {
            let n = rest.iter().take_while(|s| s.class == first.class).count();
            let mut c = self.class(first.class as usize);
            for s in &rest[..n] {
                c.warm.push(s.hi);
            }
            c.handed_out -= n;
            rest = &rest[n..];
        }
    }

    pub fn stats(&self) -> PoolStats {
        let mut s = PoolStats {
            reserved_bytes: 0,
            inuse: 0,
            cached: 0,
            warm: 0,
            released: 0,
            inuse_bytes: 0,
            cached_bytes: 0,
            guard: self.guard(),
            unguarded: self.unguarded(),
        };
        for class in 0..CLASSES {
            let c = self.class(class);
            let cached = c.warm.len() + c.clean.len();
            s.reserved_bytes += c.reserved;
            s.inuse += c.handed_out;
            s.cached += cached;
            s.warm += c.warm.len();
            s.released += c.released;
            s.inuse_bytes += c.handed_out * class_size(class);
            s.cached_bytes += cached * class_size(class);
        }
        s
    }
}

/// Each stack has been freed, or its G never runs on it again.
impl Drop for StackPool {
    fn drop(&mut self) {
        for class in 0..CLASSES {
            let mut c = self.class(class);
            let Class { warm, clean, bare, .. } = &mut *c;
            for list in [warm, clean, bare] {
                // SAFETY: the pool is being dropped: nothing is pushed or popped any more.
                unsafe { list.release() };
            }
            if self.valgrind && !c.arena.is_null() {
                // Arenas before the last one are cut to the end; the uncut slots of the last one have no ids.
                // SAFETY: no other thread uses the pool.
                unsafe { (*c.arena).n = c.cut };
            }
        }
        let mut arena = *self.arenas.get_mut();
        while !arena.is_null() {
            let a = arena_ref(arena);
            let (next, len) = (a.next, a.len);
            if self.valgrind {
                for i in 0..a.n {
                    // SAFETY: every slot that was cut has its id.
                    vg_deregister(unsafe { a.vg_ids.wrapping_add(i).read() });
                }
            }
            // SAFETY: no code runs on these stacks, and this was the last read of the header.
            unsafe { mem::release(arena.cast(), len) };
            arena = next;
        }
    }
}

// (The locks of a model can be made only inside a model.)
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::fiber::stack::guard_size;
    use crate::fiber::stack::tests::{pool, touch};
    use crate::sys::mem as sys_mem;

    #[test]
    fn the_last_one_back_is_the_first_one_out() {
        let pool = pool(None);
        let (a, b) = (pool.alloc(1).unwrap(), pool.alloc(1).unwrap());
        assert_ne!(a.lo(), b.lo());
        pool.free(a);
        pool.free(b);
        assert_eq!(pool.alloc(1), Ok(b));
        assert_eq!(pool.alloc(1), Ok(a));
        pool.free_batch(&[a, b]);
        let mut out = [MaybeUninit::uninit(); 2];
        assert_eq!(pool.alloc_batch(1, &mut out), 2);
        // SAFETY: two were written.
        assert_eq!(out.map(|s| unsafe { s.assume_init() }), [b, a]);
    }

    #[test]
    fn batches_cross_arenas_and_stacks_do_not_overlap() {
        let pool = pool(None);
        let mut out = vec![MaybeUninit::uninit(); 1000];
        assert_eq!(pool.alloc_batch(256 << 10, &mut out), 1000);
        // SAFETY: all were written.
        let mut all: Vec<Stack> = out.iter().map(|s| unsafe { s.assume_init() }).collect();
        all.sort_by_key(|s| s.lo());
        for w in all.windows(2) {
            assert!(w[0].hi as usize + guard_size() <= w[1].lo() as usize);
        }
        let s = pool.stats();
        assert_eq!((s.inuse, s.inuse_bytes), (1000, 1000 * (256 << 10)));
        pool.free_batch(&all);
        let s = pool.stats();
        assert_eq!((s.inuse, s.warm), (0, 1000));
        assert!(s.cached >= 1000);
    }

    #[test]
    fn too_large_is_invalid() {
        let pool = pool(None);
        assert_eq!(pool.alloc((1 << 30) + 1), Err(libc::EINVAL));
        assert_eq!(pool.alloc_batch(usize::MAX, &mut [MaybeUninit::uninit()]), 0);
        let s = pool.alloc(1 << 30).unwrap();
        touch(s.lo());
        pool.free(s);
    }

    #[test]
    fn a_hundred_thousand_stacks() {
        let pool = pool(None);
        let mut out = vec![MaybeUninit::uninit(); 100_000];
        assert_eq!(pool.alloc_batch(256 << 10, &mut out), out.len());
        for s in &out {
            // SAFETY: all were written.
            touch(unsafe { s.assume_init() }.hi.wrapping_sub(1));
        }
        assert_eq!(pool.stats().unguarded, 0);
        for s in &out {
            // SAFETY: all were written.
            pool.free(unsafe { s.assume_init() });
        }
    }

    #[test]
    fn threads_share_a_pool() {
        let pool = pool(None);
        std::thread::scope(|scope| {
            for t in 0..4usize {
                let pool = &pool;
                scope.spawn(move || {
                    for round in 0..200 {
                        let mut out = [MaybeUninit::uninit(); 17];
                        let n = pool.alloc_batch((16 << 10) << (2 * (t % 2)), &mut out);
                        assert_eq!(n, 17);
                        for s in &out {
                            // SAFETY: written.
                            let s = unsafe { s.assume_init() };
                            let top = s.hi.cast::<usize>().wrapping_sub(1);
                            // SAFETY: the stack is ours until it is freed.
                            unsafe { top.write_volatile(t) };
                            core::hint::spin_loop();
                            // SAFETY: the stack is ours until it is freed.
                            assert_eq!(unsafe { top.read_volatile() }, t);
                            pool.free(s);
                        }
                        // One thread at a time ages.
                        match (round % 50, t) {
                            (0, _) => pool.trim(3),
                            (_, 0) => _ = pool.age(),
                            _ => {}
                        }
                    }
                });
            }
        });
        assert_eq!(pool.stats().inuse, 0);
    }

    #[test]
    fn many_pools_come_and_go() {
        for _ in 0..100 {
            let pool = pool(None);
            touch(pool.alloc(1).unwrap().lo());
        }
        assert!(sys_mem::map_count_limit() >= 1024);
    }
}
