//! forEachP: a ragged barrier over all Ps.
//!
//! # Problem
//! Something must be done once for every P, with nobody else using that P meanwhile, and without stopping the world:
//! flush a cache, merge a count, agree that all have passed a point.
//!
//! # Words
//! * FN in each P word; `barrier.wait` (Ps for which the function has not returned), `barrier.note`, `barrier.f`,
//!   `.arg`. None of them is used by a stop of the world (Go's #10618: a shared count let a thread that was late in its
//!   syscall entry answer the wrong question).
//! * `worldsema` is held by the caller: the number of Ps stands still, no stop and no other barrier is under way.
//!
//! # Protocol
//! Caller:
//! * R1 wait = number of Ps, before anything else: nobody may bring it to 0 early;
//! * R2 under `sched.lock`: every P that is not idle gets FN, and the idle list as a whole is frozen: taken away, so
//!   that no thread finds its Ps. Then without the lock, since it interrupts every CPU: HEAVY (T2 in syscall.rs); the
//!   Ps in syscalls are taken, and their FN with them;
//! * R3 without the lock: run the function for the caller's own P, for the frozen ones, which are put back then, and
//!   for those taken, which are handed off; count all of them;
//! * R4 wait for the note, if R2 gave anybody FN.
//!
//! Owner of a P with FN, at its next way through the scheduler, into a syscall or into the idle list (which FN bars):
//! * O1 ([`run_safe_point_fn`], in preempt.rs) clear FN, run the function, then wait - 1; at 0 set the note.
//!
//! # Invariants
//! * F1 each P is counted once and served once: it is in exactly one of own, taken, frozen, or FN set; FN is cleared by
//!   the owner, or with the P by who takes it, and by Y1 (syscall.rs) only one of the two is.
//! * F2 while the function runs for a P, that P is Running and owned by who runs it, or frozen by the caller.
//!
//! # Why it ends
//! As for a stop: FN is seen at the next transition. The function must be short and must not wait.
//!
//! # Differences from Go
//! The function runs without `sched.lock`, also for idle Ps (there they are frozen under it): it may spawn, ready and
//! release. What is missed meanwhile, since those Ps are not in the idle list, is found by the second look in R3.

pub use super::preempt::{PFn, run_safe_point_fn};
use super::preempt::{count_fns, run_fn, tell};
use super::{idle, syscall, wake};
use crate::gmp::m::MRef;
use crate::gmp::p::{FN, OwnedP, PRef};
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sync::{Ordering, heavy_fence};
use std::ffi::c_void;

/// R1 to R4. The caller holds worldsema.
pub fn for_each_p(sched: &Sched, me: MRef, f: PFn, arg: *mut c_void) {
    let b = &sched.barrier;
    let own = me.p().map(|p| p.p());
    // R1
    b.note.clear();
    b.f.set(f as *mut c_void);
    b.arg.set(arg);
    b.wait.store(sched.procs() as i32, Ordering::Relaxed);
    let idle;
    // Whether anybody else may count down.
    let mut asked = false;
    let mut called: *mut crate::gmp::P = std::ptr::null_mut();
    // R2
    {
        let mut lk = sched.lock.lock();
        for p in sched.busy_ps() {
            asked |= Some(p) != own && p.request(FN).1;
        }
        idle = idle::pidle_freeze(sched, &mut lk);
    }
    if asked {
        widen!();
        heavy_fence();
        // A P that still has FN is not idle, so the mask cannot leave it out.
        for p in sched.busy_ps() {
            widen!();
            if let Some(pp) = p.try_take_requested(FN) {
                push(&mut called, pp);
            }
        }
        tell(sched, false);
    }
    widen!();
    // R3
    let mut ran = 0;
    if let Some(p) = own {
        run_fn(sched, me, p);
        ran += 1;
    }
    // SAFETY: the list holds Ps.
    let frozen =
        std::iter::successors(unsafe { PRef::from_ptr(idle) }, |p| unsafe { PRef::from_ptr(p.idle_link.get()) });
    let (mut last, mut n) = (None, 0);
    for p in frozen {
        run_fn(sched, me, p);
        (last, n) = (Some(p), n + 1);
    }
    if let Some(last) = last {
        idle::pidle_thaw(sched, &mut sched.lock.lock(), idle, last, n);
        wake::look_again(sched, me);
    }
    while let Some(pp) = pop(&mut called) {
        run_fn(sched, me, pp.p());
        ran += 1;
        syscall::handoffp(sched, me, pp);
    }
    let ran = ran + n as i32;
    // R4
    if asked {
        count_fns(sched, ran);
        b.note.sleep();
    } else {
        debug_assert!(ran == sched.procs() as i32, "F1");
    }
    sched.stats.barriers.bump();
}

fn push(list: &mut *mut crate::gmp::P, pp: OwnedP) {
    let p = pp.forget();
    p.idle_link.set(*list);
    *list = p.as_ptr();
}

fn pop(list: &mut *mut crate::gmp::P) -> Option<OwnedP> {
    // SAFETY: the list holds Ps, whose tokens `push` forgot.
    unsafe {
        let p = PRef::from_ptr(*list)?;
        *list = p.idle_link.take();
        Some(OwnedP::remember(p))
    }
}
