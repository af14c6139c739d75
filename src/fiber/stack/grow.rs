//! How the pool grows: it maps arenas, and cuts slots from them, each with its colour.

use super::arena::{Arena, LARGEST_ARENA, arena_ref};
use super::pool::{Class, StackPool};
use super::valgrind::vg_register;
use super::{COLOUR, COLOURS, slot_size, stack_at};
use crate::sys::{self, mem};
use core::sync::atomic::Ordering;

impl StackPool {
    /// Computes the stacks of the slots of an arena from `first` on. These slots belong to the caller.
    pub(super) fn cut(&self, arena: *mut Arena, class: usize, first: usize, his: &mut [*mut u8]) {
        let a = arena_ref(arena);
        // Each arena begins with another colour, so that the address of one stack does not tell the neighbour's to the
        // byte.
        let begin = self.seed.wrapping_mul(a.slots.addr() as u64 | 1) >> 59;
        for (i, hi) in (first..).zip(his) {
            *hi = a.slots.wrapping_add((i + 1) * a.slot_size - (i + begin as usize) % COLOURS * COLOUR);
            if self.valgrind {
                let s = stack_at(*hi, class);
                // SAFETY: the ids have room for every slot; this one is ours.
                unsafe { a.vg_ids.wrapping_add(i).write(vg_register(s.lo(), s.hi)) };
            }
        }
    }

    /// Maps memory for an arena, as the rules require: a stack that would be dumped against the rules is not made.
    fn reserve(&self, len: usize) -> Result<*mut u8, i32> {
        let base = mem::reserve_stacks(len)?;
        if self.no_dump.load(Ordering::Relaxed) {
            // SAFETY: our fresh mapping.
            if let Err(e) = unsafe { mem::dump(base, len, false) } {
                // SAFETY: our fresh mapping, which nothing refers to.
                unsafe { mem::release(base, len) };
                return Err(e);
            }
        }
        Ok(base)
    }

    /// Adds an arena. Arenas double in size up to a limit; if there is no room for one, half of it will do, down to one
    /// slot.
    #[cold]
    pub(super) fn add_arena(&self, c: &mut Class, class: usize) -> Result<(), i32> {
        let slot_size = slot_size(class);
        let page = sys::page_size();
        let mut n = (c.next_arena / slot_size).max(1);
        loop {
            let header = if self.valgrind { size_of::<Arena>() + n * 4 } else { size_of::<Arena>() };
            let header = header.next_multiple_of(page);
            let len = header + n * slot_size;
            let lists = [&mut c.warm, &mut c.clean, &mut c.bare];
            let made = lists.into_iter().try_for_each(|list| list.make_room(c.slots + n));
            match made.and_then(|()| self.reserve(len)) {
                Ok(base) => {
                    let arena: *mut Arena = base.cast();
                    let mut head = self.arenas.load(Ordering::Relaxed);
                    let (slots, vg_ids) = (base.wrapping_add(header), arena.wrapping_add(1).cast());
                    // SAFETY: the mapping is ours, has room for an Arena, and begins on a page.
                    unsafe { arena.write(Arena { next: head, len, slots, slot_size, n, vg_ids }) };
                    // Other classes publish at the same time, under other locks.
                    while let Err(now) =
                        self.arenas.compare_exchange_weak(head, arena, Ordering::Release, Ordering::Relaxed)
                    {
                        head = now;
                        // SAFETY: not published yet.
                        unsafe { (*arena).next = head };
                    }
                    (c.arena, c.cut) = (arena, 0);
                    c.slots += n;
                    c.reserved += len;
                    c.next_arena = (c.next_arena * 2).min(LARGEST_ARENA);
                    return Ok(());
                }
                Err(e) if n == 1 => return Err(e),
                Err(_) => {
                    n /= 2;
                    c.next_arena = n * slot_size;
                }
            }
        }
    }
}

// (The locks of a model can be made only inside a model.)
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::fiber::stack::Stack;
    use crate::fiber::stack::tests::{in_child, pool, touch};

    #[test]
    fn the_first_colour_hangs_on_the_seed() {
        // Unrelated seeds: the seeds of an arithmetic series would go through the colours in steps, which may be small.
        let rng = crate::ds::rng::Rng::new(1);
        let first: std::collections::HashSet<usize> = (0..64)
            .map(|_| {
                let mut pool = pool(None);
                pool.seed = u64::from(rng.next()) << 32 | u64::from(rng.next());
                let s = pool.alloc(1).unwrap();
                let colour = s.hi as usize % 4096;
                pool.free(s);
                colour
            })
            .collect();
        assert!(first.len() > COLOURS / 2, "{first:?}");
    }

    #[test]
    fn colours_spread_and_stay_within_a_page() {
        let pool = pool(None);
        let all: Vec<Stack> = (0..64).map(|_| pool.alloc(1).unwrap()).collect();
        let mut colours: Vec<usize> = all.iter().map(|s| s.hi as usize % 4096).collect();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), COLOURS);
        pool.free_batch(&all);
    }

    #[test]
    fn a_limit_on_address_space_is_an_error() {
        let status = in_child(|| {
            let pool = pool(None);
            let used = {
                let mut buf = [0u8; 64];
                // SAFETY: a constant path.
                let fd = unsafe { libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY) };
                sys::c::read(fd, &mut buf);
                sys::c::close(fd);
                buf.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + (b - b'0') as u64) * 4096
            };
            let limit = libc::rlimit { rlim_cur: used + (64 << 20), rlim_max: libc::RLIM_INFINITY };
            // SAFETY: this child's.
            if unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } != 0 {
                return 3;
            }
            let mut n = 0;
            let e = loop {
                match pool.alloc(256 << 10) {
                    Ok(s) => {
                        touch(s.lo());
                        n += 1;
                    }
                    Err(e) => break e,
                }
            };
            // Halving gets close to the limit: 64 MiB hold some 202 slots.
            if e == libc::ENOMEM && n > 170 { 0 } else { 1 }
        });
        assert_eq!(status, 0);
    }
}
