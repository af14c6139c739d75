//! forEachP: a ragged barrier over all Ps.
//!
//! # Problem
//! A function must run once for every P, while no other thread uses that P, and without stopping the world: to flush a
//! cache, to merge a count, to make sure that every P has passed a point. Meanwhile Ps go idle, enter syscalls and
//! change hands, and each of them must be served exactly once.
//!
//! # Words
//! * FN, a bit in each P word: this P is to run the function.
//! * `barrier.wait`: the number of Ps for which the function has not returned. `barrier.note`: set when that is 0.
//!   `barrier.f`, `barrier.arg`: the function. A stop of the world uses none of them. (golang/go#10618: with a shared
//!   count, a thread that was late in its syscall entry answered the wrong request.)
//! * `worldsema`: held by the caller, so that the number of Ps stays the same and no stop and no other barrier runs.
//!
//! # Protocol
//! Caller:
//! * RAGGED-R1 set wait to the number of Ps before anything else, so that no owner brings it to 0 early;
//! * RAGGED-R2 under `sched.lock`: each P that is not idle gets FN, and the whole idle list is frozen, that is taken
//!   away, so that no thread finds its Ps. Then without the lock, since it interrupts every CPU: HEAVY (SYSCALL-T2);
//!   take the Ps in syscalls, and their FN with them;
//! * RAGGED-R3 without the lock: run the function for the caller's own P; for the frozen Ps, which are then put back;
//!   and for the taken Ps, which are then handed off. Count all of them;
//! * RAGGED-R4 wait for the note, if RAGGED-R2 set FN in any P. Now and then look again for Ps whose Ms run the host's
//!   code (seize.rs), and do RAGGED-R3 for them: an M may have been in the library at the first look.
//!
//! Owner of a P with FN, at its next pass through the scheduler, into a syscall or into the idle list (which is closed
//! to a P with FN):
//! * RAGGED-O1 ([`run_safe_point_fn`], in preempt.rs) clear FN, run the function, then wait - 1; at 0 set the note.
//!
//! # Invariants
//! * RAGGED-F1 each P is counted once and served once. It is in exactly one of four sets: own, taken, frozen, or with
//!   FN set. FN is cleared by the owner, or together with the P by its taker; by SYSCALL-Y1 only one of the two does
//!   it.
//! * RAGGED-F2 while the function runs for a P, that P is Running and owned by the thread that runs the function, or
//!   frozen by the caller.
//!
//! # Why it ends
//! As for a stop: the owner sees FN at its next pass (RAGGED-O1). The function must be short and must not wait.
//!
//! # Differences from Go
//! The function runs without `sched.lock`, also for idle Ps (Go holds the lock for these; here they are frozen under
//! it): it may spawn, ready and release. Since the frozen Ps are not in the idle list, a submitter may skip a wake
//! meanwhile; the second look in RAGGED-R3 finds that work.

pub use super::preempt::{PFn, run_safe_point_fn};
use super::preempt::{count_fns, run_fn, tell};
use super::stw::{FIRST_PAUSE, LONGEST_PAUSE};
use super::{idle, syscall, wake};
use crate::gmp::m::MRef;
use crate::gmp::p::{FN, OwnedP, PRef};
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sync::{Ordering, asymmetric_fence_heavy, now};
use std::ffi::c_void;

/// RAGGED-R1 to RAGGED-R4. The caller holds worldsema.
pub fn for_each_p(sched: &Sched, me: MRef, f: PFn, arg: *mut c_void) {
    let begun = now();
    let b = &sched.barrier;
    let own = me.p().map(|p| p.p());
    // RAGGED-R1
    b.note.clear();
    b.f.set(f as *mut c_void);
    b.arg.set(arg);
    b.wait.store(sched.procs() as i32, Ordering::Relaxed);
    let idle;
    // Whether another thread may count down.
    let mut asked = false;
    let mut called: *mut crate::gmp::P = std::ptr::null_mut();
    // RAGGED-R2
    {
        let mut lk = sched.lock.lock();
        for p in sched.busy_ps() {
            asked |= Some(p) != own && p.request(FN).1;
        }
        idle = idle::pidle_freeze(sched, &mut lk);
    }
    if asked {
        take_outside(sched, me, &mut called);
        tell(sched, false);
    }
    widen!();
    // RAGGED-R3
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
    // RAGGED-R4
    if asked {
        count_fns(sched, ran);
        wait(sched, me);
    } else {
        debug_assert!(ran == sched.procs() as i32, "RAGGED-F1");
    }
    sched.stats.barriers.bump();
    sched.stats.barrier.record(now() - begun);
}

/// Takes the Ps with FN whose Ms are in syscalls, or run the host's code.
fn take_outside(sched: &Sched, me: MRef, called: &mut *mut crate::gmp::P) {
    widen!();
    asymmetric_fence_heavy();
    // A P that still has FN is not idle, so the mask does not leave it out.
    for p in sched.busy_ps() {
        widen!();
        if let Some(taken) = syscall::take(sched, me, p, |host| p.try_take_requested(FN, host)) {
            if taken.from.is_some() {
                syscall::hold_later(sched);
            }
            push(called, taken.pp);
        }
    }
}

/// RAGGED-R4. A P that is to be taken from the host's code may have been in the library's at the first look.
fn wait(sched: &Sched, me: MRef) {
    let b = &sched.barrier;
    if !sched.cfg.seizes.get() {
        return b.note.sleep();
    }
    let mut pause = FIRST_PAUSE;
    while !b.note.sleep_until(Some(now() + pause)) {
        let mut called: *mut crate::gmp::P = std::ptr::null_mut();
        take_outside(sched, me, &mut called);
        while let Some(pp) = pop(&mut called) {
            run_fn(sched, me, pp.p());
            syscall::handoffp(sched, me, pp);
            count_fns(sched, 1);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn push(list: &mut *mut crate::gmp::P, pp: OwnedP) {
    let p = pp.forget();
    p.idle_link.set(*list);
    *list = p.as_ptr();
}

fn pop(list: &mut *mut crate::gmp::P) -> Option<OwnedP> {
    // SAFETY: the list holds Ps, and ends with null.
    let p = unsafe { PRef::from_ptr(*list) }?;
    *list = p.idle_link.take();
    // SAFETY: `push` forgot the token of this P, which has left the list.
    Some(unsafe { OwnedP::remember(p) })
}
