//! Requests to a running P, and how an owner answers them.
//!
//! # Problem
//! A P is wanted for a stop or a barrier, or its slice is over, and nothing may interrupt C code at an arbitrary
//! instruction: a lock of the host's C library might be held there.
//!
//! # Words
//! The request bits in the P word (gmp/p.rs); `poll`, the number of bits set in all words, which `gmx_safepoint` reads
//! in the host's code.
//!
//! # Protocol
//! * Q1 whoever wants something sets a bit in the word of a Running P, and counts it in `poll`.
//! * Q2 the owner looks at its word at every way through the scheduler, at every way into a syscall, and when `poll` is
//!   not zero in `gmx_safepoint`. It goes to the scheduler's stack, serves the bit and clears it.
//!
//! # Invariants
//! * P1 a bit once set stays until it is served or the P leaves Running, so no request is sent twice (Go re-sends). But
//!   sysmon withdraws the PREEMPT of a P that does not answer, and asks again by itself (RESCUE-6 in rescue.rs).
//!
//! # Why it ends
//! It does not: a G that never polls runs on. Stops have a time-out for that, and name it.

use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, OwnedP, PREEMPT, PRef, STOP};
use crate::gmp::sched::{Sched, SchedLocked};
use crate::sync::Ordering;
use crate::sync::widen::widen;
use std::ffi::c_void;

/// Asks a P to go through its scheduler. True if that is news. One in a syscall is not asked: everybody else would look
/// at every safe point whether it is they who are meant, for as long as the call lasts.
pub fn preempt_one(p: PRef) -> bool {
    !p.watch.deaf.get() && !p.in_syscall(p.word()) && p.request(PREEMPT).1
}

/// B1 in stw.rs, for a P that the caller owns. It comes back if the stop was given up just before (A3).
pub fn stop_p(lk: &mut SchedLocked<'_>, sched: &Sched, pp: OwnedP) -> Result<(), OwnedP> {
    if pp.word().requests() & STOP == 0 {
        return Err(pp);
    }
    pp.stop();
    widen!();
    lk.stopwait -= 1;
    if lk.stopwait == 0 {
        lk.wake_after(sched.stopnote.set());
    }
    Ok(())
}

/// What runs for each P.
pub type PFn = unsafe extern "C" fn(*mut c_void);

/// O1 in ragged.rs, for a P with FN that the caller owns.
#[cold]
pub fn run_safe_point_fn(sched: &Sched, me: MRef, p: PRef) {
    let asked = p.clear_request(FN);
    debug_assert!(asked, "F1");
    run_fn(sched, me, p);
    count_fns(sched, 1);
}

/// Runs the barrier's function for a P that the caller owns, or that is frozen.
pub fn run_fn(sched: &Sched, me: MRef, p: PRef) {
    let b = &sched.barrier;
    let before = me.fnp.get();
    let ctx = me.swap_ctx(Ctx::Sched);
    let pins = me.pins();
    me.set_pins(0);
    me.fnp.set(p.as_ptr());
    // SAFETY: `for_each_p` stored a PFn, which stays until the wait is 0; F2.
    let f = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void)>(b.f.get()) };
    crate::sys::call::plain(f, b.arg.get());
    me.fnp.set(before);
    me.set_pins(pins);
    me.set_ctx(ctx);
}

/// Counts Ps for which the function has run.
pub fn count_fns(sched: &Sched, n: i32) {
    widen!();
    // AcqRel: all functions come before the caller's return from R4.
    if sched.barrier.wait.fetch_sub(n, Ordering::AcqRel) == n {
        sched.barrier.note.wakeup();
    }
}
