//! A glance at the stack of a G that waits, while nothing stops.
//!
//! # Problem
//! A dump walks the frames of a parked G. Meanwhile a waker readies the G; it runs, writes on its stack, and parks
//! again, perhaps at the same place with the same stack pointer. The reader would then mix the frames of two waits, and
//! show functions that never called each other. Or the G ends, and its stack serves another G. The reader must neither
//! fault nor show such a mixture, and neither the G nor its waker may notice the reader.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | `runs` | how often the descriptor was entered; it only rises, from one G to the next | the M that enters the G |
//! | status | the table in gmp/g.rs | |
//! | `sp` | the saved stack pointer; null from the decision to wait until the G is off its stack | the M of the G |
//! | `stack` | the end of its stack; null if there is none | the M of the G |
//!
//! # Protocol
//! Wait:
//! * GLANCE-W1 the G sets `sp` to null, before its status says that it waits;
//! * GLANCE-W2 the switch stores `sp`, after everything else that the G wrote on its stack.
//!
//! Enter:
//! * GLANCE-E1 the M counts `runs`, before anything is written on the stack.
//!
//! Glance, for a batch of Gs at a time:
//! * GLANCE-L1 read `runs`, the generation and `stack`, then the status, then `sp`. Leave out a G that does not wait,
//!   and one whose `sp` is null: it is still on its stack;
//! * GLANCE-L2 fence, and read `runs` and the generation again. If one is another number, the G has run, or the
//!   descriptor serves a G that has yet to run: leave it out. Otherwise `sp` and `stack` belong to one wait, and lie in
//!   one slot of the pool;
//! * GLANCE-L3 read words of the stack, only between `sp` and `stack`;
//! * GLANCE-L4 as GLANCE-L2. If one is another number, what was read is thrown away.
//!
//! # Invariants
//! * GLANCE-I1 reading in the slot of a stack never faults: slots that were in use once stay mapped and readable as
//!   long as the process lives (fiber/stack.rs), and so do the descriptors (SCHED-I1). Memory that went back to the
//!   system reads as zeros.
//! * GLANCE-I2 what is left after GLANCE-L4 was written before the G left its stack, by one wait.
//!
//! # Orderings
//! * The store of GLANCE-E1 is a Release, and the load of GLANCE-L1 an Acquire: a reader that finds the number of a
//!   later run also finds that the wait before it is over, so it never pairs that number with the old `sp`. A reader
//!   that finds the status or the `sp` of a later wait finds the number of its run at GLANCE-L2.
//! * Between GLANCE-E1 and the writes of the run, and between these writes and GLANCE-W2, stand light fences, whose
//!   heavy half is the fence of GLANCE-L2 and GLANCE-L4. The switch is assembly, which is what a light fence is to the
//!   compiler. Between the end of a generation and the `sp` of the next one stand a run queue or the lock of the pool,
//!   which are more than that. On x86-64 no store overtakes another, so there the reader needs no heavy fence.
//!
//! # Rejected
//! * A bit in the status that makes a run wait for the reader, as Go has it (`_Gscan`): each entry would test it, and a
//!   dump of 100,000 goroutines would delay those that it looks at.
//! * process_vm_readv: a system call a stack, which sandboxes refuse, and it makes no frame consistent.
//! * `sp` null at each entry instead of GLANCE-W1: exits of syscalls and of held threads leave an `sp` behind as well.
//! * Copies of stacks: a walk reads two or three lines of each.

use super::g::{G, GRef, GStatus, gflag};
use crate::sync::{Ordering, asymmetric_fence_heavy, fence, has_asymmetric_fence};
use crate::sys::arch::STORES_IN_ORDER;

/// What GLANCE-L1 found.
#[derive(Clone, Copy)]
pub struct Glance {
    runs: u32,
    handle: u64,
    pub sp: *mut u8,
    /// One past the highest byte of the stack.
    pub hi: *mut u8,
}

/// Whether glances are possible. Not where stores overtake each other and the system refuses membarrier.
pub fn is_possible() -> bool {
    STORES_IN_ORDER || has_asymmetric_fence()
}

/// The fence of GLANCE-L2 and of GLANCE-L4.
pub fn settle() {
    if STORES_IN_ORDER {
        fence(Ordering::Acquire);
    } else {
        asymmetric_fence_heavy();
    }
}

impl Glance {
    /// GLANCE-L1. None if the G does not wait, is still on its stack, or has none.
    pub fn at(gp: GRef) -> Option<Glance> {
        let runs = gp.runs.load(Ordering::Acquire);
        let handle = gp.handle();
        let hi = gp.stack.get();
        let status = gp.status();
        // An ended G that is being joined is called Waiting (block/join.rs).
        if !(status.waits() || status == GStatus::Parking) || gp.has(gflag::ZOMBIE) {
            return None;
        }
        let sp = gp.sp.get();
        (!sp.is_null() && !hi.is_null()).then_some(Glance { runs, handle, sp, hi })
    }

    /// GLANCE-L2 and GLANCE-L4, after [`settle`].
    #[must_use]
    pub fn still_holds(&self, gp: GRef) -> bool {
        self.has_not_run(gp) && gp.handle() == self.handle
    }

    pub fn has_not_run(&self, gp: GRef) -> bool {
        gp.runs.load(Ordering::Relaxed) == self.runs
    }
}

impl G {
    /// GLANCE-E1.
    #[inline(always)]
    pub fn count_run(&self) {
        self.runs.store(self.runs.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
}
