//! procresize: change the number of Ps.
//!
//! # Problem
//! `gomaxprocs` changes while everything runs, to any number. A P that is removed must leave nothing behind, neither a
//! G nor a timer. Pointers to it that other threads hold (an M in a syscall) must stay usable.
//!
//! # Words
//! `gomaxprocs` and the table of Ps (gmp/allp.rs): written here, while the world is stopped.
//!
//! # Protocol
//! The caller holds worldsema and has stopped the world, and the needed Ps exist ([`Sched::grow_allp`]):
//! * RESIZE-N1 when shrinking, move the timers of the removed Ps to a P that stays. Only this step may fail, so it
//!   comes first;
//! * RESIZE-N2 if the caller's own P is removed, the caller moves to P 0;
//! * RESIZE-N3 for each removed P: move its Gs to the global queue, its free descriptors and stacks to the common
//!   stores, and set its status to Dead;
//! * RESIZE-N4 when growing, Dead becomes Stopped; the start of the world makes these Ps idle;
//! * RESIZE-N5 publish the number.
//!
//! # Invariants
//! * RESIZE-V1 a Dead P has no Gs and no timers. Its counters and its P-local slots stay, and come back with it.
//! * RESIZE-V2 a reader without a P sees at worst the old number: so it meets a Dead P, which it skips by its status,
//!   or it sees too few Ps.
//!
//! # Differences from Go
//! * Readers take no lock (Go: allpLock), since tables and Ps are never freed.
//! * Timers are moved under the locks of both heaps (Go: under none), since a thread without a P may stop a timer at
//!   any moment.

use super::wake;
use crate::gmp::g::GList;
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::gmp::timers::Timers;
use crate::sync::Ordering;

/// RESIZE-N1 to RESIZE-N5. False if there is no memory: then the number stays as it is.
#[must_use]
pub fn procresize(sched: &Sched, me: MRef, n: u32) -> bool {
    let old = sched.procs();
    let Some(first) = sched.p_at(0) else { return false };
    // RESIZE-N1
    for p in (n..old).filter_map(|i| sched.p_at(i)) {
        if !Timers::move_all(p, first) {
            // The Ps before this one have no timers left, and stay in use.
            (n..old).filter_map(|i| sched.p_at(i)).for_each(|p| p.timers.open());
            return false;
        }
    }
    // RESIZE-N2
    if me.p().is_some_and(|own| own.id >= n) {
        let gone = me.releasep();
        me.acquirep(first.acquire_from(PStatus::Stopped));
        destroy(sched, gone);
    }
    // RESIZE-N3
    for p in (n..old).filter_map(|i| sched.p_at(i)) {
        if p.status() == PStatus::Stopped {
            destroy(sched, p.acquire_from(PStatus::Stopped));
        }
    }
    // RESIZE-N4
    for p in (old..n).filter_map(|i| sched.p_at(i)) {
        p.timers.open();
        p.move_status(PStatus::Dead, PStatus::Stopped);
    }
    // RESIZE-N5. Release: pairs with the Acquire in `procs`. A reader may see the old number for a while (RESIZE-V2).
    sched.gomaxprocs.store(n as i32, Ordering::Release);
    record::procs(&me, n);
    true
}

fn destroy(sched: &Sched, pp: OwnedP) {
    wake::drain_to_global(sched, &pp);
    let mut free = GList::new();
    while let Some(gp) = pp.gfree_pop() {
        free.push_back(gp);
    }
    sched.gfree_list(&mut free);
    pp.drain_stacks(|s| sched.free_stack(s));
    pp.drain_blocks();
    let p: PRef = pp.forget();
    p.set_m(std::ptr::null_mut());
    p.move_status(PStatus::Running, PStatus::Dead);
}
