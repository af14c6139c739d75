//! procresize: another number of Ps.
//!
//! # Problem
//! gomaxprocs changes while everything runs, with no cap. Ps that go must leave nothing behind, and pointers to them
//! that others hold (an M in a syscall) must stay good.
//!
//! # Words
//! `gomaxprocs` and the table of Ps (gmp/allp.rs): written here, with the world stopped.
//!
//! # Protocol (the caller holds worldsema and has stopped the world; the Ps needed exist, [`Sched::grow_allp`])
//! * N1 shrinking: the timers of the Ps that go move to a P that stays. This is all that may fail, so it comes first;
//! * N2 the caller's own P may be one that goes: it moves to P 0;
//! * N3 each P that goes: Gs to the global queue, free descriptors and stacks to the common stores, status Dead;
//! * N4 growing: Dead to Stopped; the start of the world makes them idle;
//! * N5 the number is published.
//!
//! # Invariants
//! * V1 a Dead P has no Gs and no timers. Its counters and its P-local slots stay and come back with it.
//! * V2 a reader without a P sees at worst the old number: a Dead P, which it skips by its status, or too few.
//!
//! # Differences from Go
//! Readers take no lock (Go: allpLock): tables and Ps are never freed. Timers are moved under both heaps' locks (Go:
//! under none), since threads without a P stop timers at any moment.

use super::wake;
use crate::gmp::g::GList;
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::gmp::timers::Timers;
use crate::sync::Ordering;

/// N1 to N5. False: no memory; the number stays as it is.
#[must_use]
pub fn procresize(sched: &Sched, me: MRef, n: u32) -> bool {
    let old = sched.procs();
    let Some(first) = sched.p_at(0) else { return false };
    // N1
    for p in (n..old).filter_map(|i| sched.p_at(i)) {
        if !Timers::move_all(p, first) {
            // Those before it have none left, and stay.
            (n..old).filter_map(|i| sched.p_at(i)).for_each(|p| p.timers.open());
            return false;
        }
    }
    // N2
    if me.p().is_some_and(|own| own.id >= n) {
        let gone = me.releasep();
        me.acquirep(first.own(PStatus::Stopped));
        destroy(sched, gone);
    }
    // N3
    for p in (n..old).filter_map(|i| sched.p_at(i)) {
        if p.status() == PStatus::Stopped {
            destroy(sched, p.own(PStatus::Stopped));
        }
    }
    // N4
    for p in (old..n).filter_map(|i| sched.p_at(i)) {
        p.timers.open();
        p.move_status(PStatus::Dead, PStatus::Stopped);
    }
    // N5. Release: pairs with the Acquire in `procs`.
    sched.gomaxprocs.store(n as i32, Ordering::Release);
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
    let p: PRef = pp.forget();
    p.set_m(std::ptr::null_mut());
    p.move_status(PStatus::Running, PStatus::Dead);
}
