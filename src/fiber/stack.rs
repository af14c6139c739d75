//! Stacks of goroutines: much address space, little memory, a guard below each stack, the hottest stack first.
//!
//! This file has one stack: its slot, and the kinds of guards. `stack/pool.rs` has the pool, `stack/list.rs` its lists
//! of free stacks, `stack/arena.rs` and `stack/grow.rs` the arenas and how slots are cut from them, `stack/guard.rs`
//! how guards are made, `stack/age.rs` how memory goes back, `stack/valgrind.rs` what valgrind is told.
//!
//! Sizes come in classes, 16 KiB << 2n up to 1 GiB. A class cuts its slots from arenas, which are large NORESERVE
//! mappings:
//!
//! ```text
//!   arena    | header page | slot 0 | slot 1 | ...                    | slot n-1 |
//!
//!   slot     | guard 64 KiB | class size (usable)          | one page of slack   |
//!                           ^ lo                                  ^ hi    <-----> colour, 0..=960 bytes
//! ```
//!
//! Guard and slack come on top of the class size, so that a request for 64 KiB is served from the 64 KiB class and not
//! from the next one. That makes page tables a quarter larger (648 bytes for a 256 KiB stack) and costs no memory. `hi`
//! lies below the end of the slot by the slot's colour: otherwise the hot ends of all stacks would compete for the same
//! few cache sets. The first slot of an arena gets a random colour. A colour is far less than a page, so a G that parks
//! early costs one page.
//!
//! Invariants:
//!
//! - A slot is in exactly one state: not cut yet (from `cut` on), `warm` (free, its memory is still there), `clean`
//!   (free, its memory went back to the system, or it never had any), `bare`, or in use. Otherwise two Gs would run on
//!   one stack.
//! - A slot has its guard before it is handed out for the first time, and keeps it. Guards are made for the slots that
//!   are cut, a few at a time, not for whole arenas.
//! - If the system makes no guard, a G without a guard is better than no G: such slots are counted. If guards are
//!   required ([`Rules`]) such a slot is `bare`: it is not handed out, and it is the first to be tried again.
//! - To free a stack never fails, and touches neither the stack nor the allocator: the lists have room for every slot
//!   ever cut, made together with the arena.
//! - Arenas are unmapped only with the pool, so a signal handler may walk them.
//!
//! # How memory goes back
//!
//! A spike of load leaves thousands of warm stacks. The list of warm stacks is used from its young end only, so its old
//! end holds the stacks that no G has needed for the longest time. Each class keeps the smallest length that the list
//! had in each of the last periods (`Class::fewest`). The smallest of these marks is the number of stacks at the old
//! end that stayed untouched in all these periods. The caller calls [`StackPool::age`] once a period, and it returns
//! the memory of exactly these stacks to the system. A load that comes in pulses keeps its warm stacks as long as two
//! pulses are no further apart than the periods reach. A program whose load is over gets down to `KEPT_BYTES` a class.
//! [`StackPool::trim`] returns memory without waiting for periods.
//!
//! - No long system call is made under the lock, except the rare call that makes an arena.
//!
//! Rejected:
//!
//! - Links inside free stacks: a fault for each stack whose memory went back.
//! - A mapping per stack: 5.6 us each (docs/measurements.md), and the kernel's limit ends it at 32,754 stacks.
//! - One guard for two slots, to halve the mappings: all stacks grow down, so each needs a guard below it. N stacks
//!   with a guard between any two of them are N readable ranges and N guards, in any layout.
//! - MAP_GROWSDOWN: a mapping per stack again, with gaps of its own.

mod age;
mod arena;
mod grow;
mod guard;
mod list;
mod pool;
mod valgrind;

use super::sanitize;
use crate::sys::{self, mem};
pub use pool::{PERIODS, PoolOptions, PoolStats, Rules, StackPool};

/// The usable size of class 0; each class is four times as large as the one before.
pub const SMALLEST: usize = 16 << 10;
/// Frames are several times as large under a sanitizer.
const SMALLEST_TOLD: usize = 64 << 10;
/// Up to 1 GiB.
const CLASSES: usize = 9;
/// A frame may be larger than a page and touch only its far end; a guard of 64 KiB catches nearly all. (Code that is
/// compiled with `-fstack-clash-protection` touches every page on its way down.)
const GUARD: usize = 64 << 10;
const COLOURS: usize = 16;
const COLOUR: usize = 64;
/// How many fresh slots are cut, and how many ranges go back to the system, at a time. Arrays of this length lie on
/// stacks that may be small.
const BATCH: usize = 32;

/// A stack that the holder owns. A copy only passes it on: it goes back to its pool exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// One past the highest usable byte; 16-aligned.
    pub hi: *mut u8,
    pub class: u8,
}

// SAFETY: the memory belongs to the holder of the value.
unsafe impl Send for Stack {}

impl Stack {
    /// The lowest usable byte. The colour is less than a page, so the end of the slot is the next page boundary.
    pub fn lo(&self) -> *mut u8 {
        let end = (self.hi as usize).next_multiple_of(sys::page_size());
        self.hi.with_addr(end - (slot_size(self.class as usize) - guard_size()))
    }

    /// Usable bytes; at least as many as were requested.
    pub fn size(&self) -> usize {
        self.hi as usize - self.lo() as usize
    }

    /// Whether the address is in the guard below this stack. Signal-safe.
    pub fn in_guard(&self, addr: usize) -> bool {
        let lo = self.lo() as usize;
        (lo - guard_size()..lo).contains(&addr)
    }
}

/// How overflows are caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GuardKind {
    /// Not at all.
    None = 0,
    /// MADV_GUARD_INSTALL, Linux 6.13: costs no mapping.
    Madvise = 1,
    /// mprotect: two mappings a stack. So it stops at a share of the mappings that the process may have; stacks beyond
    /// have no guard.
    Mprotect = 2,
}

impl GuardKind {
    fn from_u8(n: u8) -> GuardKind {
        match n {
            0 => GuardKind::None,
            1 => GuardKind::Madvise,
            _ => GuardKind::Mprotect,
        }
    }
}

/// The best kind of guard that the system has. valgrind does not know guards that are not mappings, and reads memory
/// that it takes for readable.
fn best_guard(valgrind: bool) -> GuardKind {
    if !valgrind && mem::guards_work() { GuardKind::Madvise } else { GuardKind::Mprotect }
}

fn guard_size() -> usize {
    GUARD.max(sys::page_size())
}

fn class_size(class: usize) -> usize {
    SMALLEST << (2 * class)
}

fn slot_size(class: usize) -> usize {
    (guard_size() + class_size(class) + sys::page_size()).next_multiple_of(sys::page_size())
}

fn class_for(usable: usize) -> Result<usize, i32> {
    let usable = if sanitize::is_there() { usable.max(SMALLEST_TOLD) } else { usable };
    (0..CLASSES).find(|&c| class_size(c) >= usable).ok_or(libc::EINVAL)
}

/// The stack whose `hi` is in a list.
fn stack_at(hi: *mut u8, class: usize) -> Stack {
    Stack { hi, class: class as u8 }
}

/// Replaces the `hi` of each stack by its lowest usable byte, and returns the colours. [`to_his`] converts back. A
/// second array of addresses would do, but it would lie on a stack that may be small.
fn to_los(class: usize, his: &mut [*mut u8]) -> [u16; BATCH] {
    let mut colours = [0; BATCH];
    for (hi, colour) in his.iter_mut().zip(&mut colours) {
        let lo = stack_at(*hi, class).lo();
        *colour = (lo.addr() + slot_size(class) - guard_size() - hi.addr()) as u16;
        *hi = lo;
    }
    colours
}

fn to_his(class: usize, los: &mut [*mut u8], colours: &[u16; BATCH]) {
    for (lo, &colour) in los.iter_mut().zip(colours) {
        *lo = lo.wrapping_add(slot_size(class) - guard_size() - colour as usize);
    }
}

// (The locks of a model can be made only inside a model.)
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    pub(super) fn pool(force_guard: Option<GuardKind>) -> StackPool {
        StackPool::new(PoolOptions { force_guard, ..Default::default() })
    }

    pub(super) fn touch(p: *mut u8) {
        // SAFETY: of a stack that the test owns; or the access is meant to fault, in a child.
        unsafe { p.write_volatile(0xa5) }
    }

    /// The wait status of a child that runs `f`. Threads of other tests are not in the child, so `f` takes no lock that
    /// those may hold.
    pub(super) fn in_child(f: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child calls `f` and leaves without running anything else.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // The test harness prints where a Rust thread overflows. Here the system's disposition is needed.
            // SAFETY: the default is no function of ours.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            sys::exit_now(f());
        }
        let mut status = 0;
        // SAFETY: `status` is writable.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        status
    }

    pub(super) fn faults(p: *mut u8) -> bool {
        let status = in_child(|| {
            touch(p);
            0
        });
        libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV
    }

    #[test]
    fn every_byte_is_usable_and_the_guard_faults() {
        for kind in [None, Some(GuardKind::Mprotect)] {
            let pool = pool(kind);
            for want in [0, 1, 16 << 10, (16 << 10) + 1, 256 << 10, 1 << 20] {
                let s = pool.alloc(want).unwrap();
                assert!(s.size() >= want && s.hi as usize & 15 == 0);
                touch(s.lo());
                touch(s.hi.wrapping_sub(1));
                assert!(faults(s.lo().wrapping_sub(1)));
                assert!(faults(s.lo().wrapping_sub(guard_size())));
                assert!(pool.contains_guard(s.lo() as usize - 1) && s.in_guard(s.lo() as usize - 1));
                assert_eq!(pool.guard_of(s.lo() as usize - guard_size()), Some(s.lo()));
                assert!(!pool.contains_guard(s.lo() as usize) && !s.in_guard(s.lo() as usize));
                assert!(!pool.contains_guard(s.hi as usize - 1));
                pool.free(s);
            }
            assert_eq!(pool.stats().unguarded, 0);
        }
    }
}
