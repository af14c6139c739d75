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
//! What the host is told, if it wants to be (`sched.tells`): code that does not call `gmx_safepoint` looks at a word of
//! its G, or has a flag set by the function of the host, `on_preempt`.
//! * ASK-1 a stopper and a barrier, once they have taken what is in syscalls and hold no lock, look at all Ps that have
//!   requests; so does sysmon in each of its rounds ([`tell`]).
//! * ASK-2 the G that runs on such a P gets 1 into its word, `asked`. The one that changes it from 0 calls the
//!   function: so it is called once for a G, however many ask it, until it has given way. The host may have missed the
//!   call, since its interpreter was not ready to be told: while the request stands sysmon calls again, every
//!   [`AGAIN`].
//! * ASK-3 the host's code sees the word, or its own flag, and calls `gmx_safepoint_slow`, or anything that gives way.
//! * ASK-4 the word is 0 again when the G is entered, and before `gmx_safepoint_slow` looks at the P ([`answer`]).
//!   sysmon clears that of a G whose P has no requests (they were withdrawn).
//!
//! # Invariants
//! * P1 a bit once set stays until it is served or the P leaves Running, so no request is sent twice (Go re-sends). But
//!   sysmon withdraws the PREEMPT of a P that does not answer, and asks again by itself (RESCUE-6 in rescue.rs).
//! * P2 a G that runs on a P with requests has been told since it was entered and since it last answered, or will be in
//!   sysmon's next round; and after that round the word of a G that runs on a P without requests is 0. A stopper may
//!   look at the G that has just left, and ASK-4 may come after an ASK-2: nothing orders them, since an order would
//!   cost each switch a fence, and a round is no longer than a slice.
//!
//! The models are `models::asks`: they miss each step but ASK-3, which is the host's, and the order within [`answer`].
//! Nothing rests on that order: a request that comes between is told by the next round (P2). It saves waiting for that
//! round.
//!
//! # Why it ends
//! It does not: a G that never polls runs on. Stops have a time-out for that, and name it.

use crate::gmp::g::GRef;
use crate::gmp::lock::SchedLocked;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, OwnedP, PREEMPT, PRef, STOP};
use crate::gmp::sched::Sched;
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

/// After so long the host is told again (ASK-2).
pub const AGAIN: i64 = 100_000_000;

/// ASK-1 and ASK-2. The function of the host must not block: stops and sysmon call it. `again`: also for Gs that were
/// asked before.
pub fn tell(sched: &Sched, again: bool) {
    if !sched.tells.load(Ordering::Relaxed) {
        return;
    }
    for p in sched.busy_ps() {
        // SAFETY: null or an M, and Ms are never freed.
        let Some(gp) = unsafe { MRef::from_ptr(p.m()) }.and_then(|m| m.g()) else { continue };
        let asked = gp.asked.is_set();
        if p.requests() == 0 {
            // ASK-4. (Not written for nothing: the line is another thread's.)
            if asked {
                gp.asked.clear();
            }
        } else if asked && again || !asked && gp.asked.ask() {
            let f = sched.cfg.on_preempt.get();
            if !f.is_null() {
                // SAFETY: the runtime was started with a function of this type.
                let f = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void, u64)>(f) };
                crate::sys::call::tell(f, sched.cfg.on_arg.get(), gp.handle());
            }
        }
    }
}

/// ASK-4, for the G that answers on its M. Whether its P has requests to serve.
pub fn answer(m: MRef, gp: GRef) -> bool {
    gp.asked.clear();
    m.must_p().requests() != 0
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
