//! Requests to a running P, and how its owner answers them.
//!
//! # Problem
//! A stop or a barrier needs a P, or the slice of its G is over, while C code runs on it. Nothing may interrupt that
//! code at an arbitrary instruction: it might hold a lock of the host's C library. So the request waits until the code
//! passes a safe point, and long-running code needs a cheap way to learn that a request waits.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | request bits | STOP, FN, PREEMPT in the P word (gmp/p/word.rs) | the requester sets, the owner clears |
//! | `poll` | how many request bits are set in all P words; `gmx_safepoint` reads it | with the bits |
//! | `sched.tells` | the host wants to be told of requests (ASK-1 to ASK-4) | the start; `gmx_preempt_word` |
//! | `asked` of a G | 1: this G was asked to answer a request | a teller sets, the G and sysmon clear |
//!
//! # Protocol
//! * PREEMPT-Q1 the requester sets a bit in the word of a Running P, and counts it in `poll`.
//! * PREEMPT-Q2 the owner reads its P word in each pass through the scheduler, on each way into a syscall, and in
//!   `gmx_safepoint` if `poll` is not zero. It goes to the scheduler's stack, serves the request and clears the bit.
//!
//! Telling the host. If the host asked for it (`sched.tells`), code that does not call `gmx_safepoint` can read a word
//! of its G, or the library calls a function of the host, `on_preempt`, which sets a flag:
//! * ASK-1 a stopper and a barrier look at all Ps with requests, once they have taken the Ps in syscalls and hold no
//!   lock; sysmon does so in each of its rounds ([`tell`]).
//! * ASK-2 the teller sets `asked` of the G that runs on such a P to 1. The teller that changes it from 0 calls the
//!   function: so the function is called once for a G, however many tellers there are, until the G has yielded. The
//!   host may miss a call if its interpreter was not ready for it. So while the request stands sysmon calls again,
//!   every [`AGAIN`].
//! * ASK-3 the host's code sees the word, or its own flag, and calls `gmx_safepoint_slow` or any function that yields.
//! * ASK-4 `asked` is 0 again when the G is entered, and before `gmx_safepoint_slow` reads the requests of the P
//!   ([`answer`]). sysmon clears `asked` of a G whose P has no requests (they were withdrawn).
//!
//! # Invariants
//! * PREEMPT-P1 a bit stays set until it is served or the P leaves Running, so no request is sent twice (Go sends some
//!   again). The exception: sysmon withdraws PREEMPT from a P that does not answer, and asks again itself (RESCUE-6).
//! * PREEMPT-P2 a G that runs on a P with requests has been told since it was entered and since it last answered, or
//!   sysmon tells it in its next round; and after that round `asked` of a G that runs on a P without requests is 0. A
//!   stopper may look at a G that has just left, and an ASK-4 may come after an ASK-2: they are not ordered. An order
//!   would cost a fence at each switch, and a round takes no longer than a slice.
//!
//! The models are `models::asks`. They fail without each step except ASK-3, which is the host's, and the order within
//! [`answer`]. Nothing depends on that order: a request that comes in between is told in the next round (PREEMPT-P2).
//! The order saves the wait for that round.
//!
//! # Why it ends
//! It need not end: a G that never reaches a safe point runs on. So a stop may have a deadline, and then names the P.

use crate::gmp::g::GRef;
use crate::gmp::lock::SchedLocked;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, OwnedP, PREEMPT, PRef, STOP};
use crate::gmp::sched::Sched;
use crate::sync::Ordering;
use crate::sync::widen::widen;
use std::ffi::c_void;

/// Asks the owner of a P to go through the scheduler. True if no such request was there yet. A P in a syscall is not
/// asked: the bit would count in `poll` for as long as the call lasts, and all other Gs would look for requests at each
/// of their safe points.
pub fn preempt_one(p: PRef) -> bool {
    !p.watch.deaf.get() && !p.in_syscall(p.word()) && p.request(PREEMPT).1
}

/// STW-B1, for a P that the caller owns. The P comes back if the stop was given up just before (STW-A3).
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

/// How long until the host is told again (ASK-2), in nanoseconds.
pub const AGAIN: i64 = 100_000_000;

/// ASK-1 and ASK-2. The function of the host must not block: stops and sysmon call it. `again`: also tell Gs that were
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
            // ASK-4. (Written only if set: the cache line belongs to another thread.)
            if asked {
                gp.asked.clear();
            }
        } else if asked && again || !asked && gp.asked.ask() {
            tell_one(sched, gp);
        }
    }
    if sched.code_stops.get() {
        // SEIZE-G6: they have no P to which a request could be made.
        for gp in sched.every_m().filter(|m| m.out.get()).filter_map(|m| m.g()) {
            if again || gp.asked.ask() {
                tell_one(sched, gp);
            }
        }
    }
}

/// ASK-2
fn tell_one(sched: &Sched, gp: GRef) {
    let f = sched.cfg.on_preempt.get();
    if !f.is_null() {
        // SAFETY: the runtime was started with a function of this type.
        let f = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void, u64)>(f) };
        let tell = || crate::sys::call::tell(f, sched.cfg.on_arg.get(), gp.handle());
        // A stopper has a P of its own; the watchdog has none.
        MRef::current().map_or_else(tell, |m| m.tell_host(tell));
    }
}

/// ASK-4, for a G that answers on its M. Returns whether its P has requests to serve.
pub fn answer(m: MRef, gp: GRef) -> bool {
    gp.asked.clear();
    m.must_p().requests() != 0
}

/// The function of a barrier.
pub type PFn = unsafe extern "C" fn(*mut c_void);

/// RAGGED-O1, for a P with FN that the caller owns.
#[cold]
pub fn run_safe_point_fn(sched: &Sched, me: MRef, p: PRef) {
    let asked = p.clear_request(FN);
    debug_assert!(asked, "RAGGED-F1");
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
    // SAFETY: `for_each_p` stored a PFn, which stays until the wait is 0; RAGGED-F2.
    let f = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void)>(b.f.get()) };
    me.call_host(|| crate::sys::call::plain(f, b.arg.get()));
    me.fnp.set(before);
    me.set_pins(pins);
    me.set_ctx(ctx);
}

/// Counts Ps for which the function has run.
pub fn count_fns(sched: &Sched, n: i32) {
    widen!();
    // AcqRel: all functions happen before RAGGED-R4 of the caller returns.
    if sched.barrier.wait.fetch_sub(n, Ordering::AcqRel) == n {
        sched.barrier.note.wakeup();
    }
}
