//! A G locked to its M, and an M that runs no other G.
//!
//! # Problem
//! Code of the host may need its own thread: for thread-local state, a GUI, or a callback that must return where it was
//! called. Such a G runs on this M only, and the M runs no other G. Yet the P must work for other Gs while this G
//! waits, and another M may find this G in a queue without being allowed to run it.
//!
//! # Words
//! `g.lockedm`, `m.lockedg`: the G and the M that belong together. Written by that M while the G runs there.
//!
//! # Protocol
//! * LOCKEDM-K1 when a locked G stops running (it parks, yields, or finds no P), its M hands the P off and sleeps on
//!   its note;
//! * LOCKEDM-K2 another M that takes the locked G from a queue gives its own P to the G's M, sets that M's note, and
//!   sleeps like an idle M;
//! * LOCKEDM-K3 the G's M wakes with a P; the G is Runnable, and belongs to that M.
//!
//! # Invariants
//! * LOCKEDM-H1 only its own M resumes a locked G, so the G need not be off its stack before it is published: the G of
//!   an extra M parks, waits and continues without a switch of stacks.
//! * LOCKEDM-H2 an M that waits here is in no idle list; only LOCKEDM-K2 wakes it.
//!
//! # Differences from Go
//! An extra M has no scheduler's stack: the scheduler's work for its only G is done on the thread's own stack
//! (LOCKEDM-H1).

use super::syscall::NoP;
use super::{preempt, quiet, syscall, wake};
use crate::gmp::g::{GRef, GStatus};
use crate::gmp::latency;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, STOP};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sync::{Ordering, has_asymmetric_fence};

/// A thread of the host runs as a G, after it has found no P. False if the runtime is down.
pub fn enter_in_place(m: MRef, gp: GRef) -> bool {
    let sched = m.sched();
    m.set_ctx(Ctx::Sched);
    match syscall::exitsyscall_no_p(sched, m, gp) {
        NoP::Closed => {
            m.set_ctx(Ctx::Foreign);
            return false;
        }
        found => run_on(sched, m, gp, found == NoP::Runs),
    }
    true
}

/// LOCKEDM-K1 for the G of an extra M that has stopped running: returns when the G runs again. `runs`: it has a P and
/// continues at once.
pub fn run_on(sched: &Sched, m: MRef, gp: GRef, runs: bool) {
    if !runs || serve(sched, m, gp) != Served::Runs {
        wait(sched, m, gp);
    }
    if m.is_traced() {
        record::start(&m, gp);
    }
    gp.set_status(GStatus::Running);
    m.curg.set(gp.as_ptr());
    let pp = m.must_p();
    // For a G from a queue the M that found it has counted the slice, unless the G inherits one.
    if runs {
        pp.schedtick.bump();
    }
    // Counted as a switch: otherwise the checks that are due once in so many switches would never be done on this P.
    pp.stats.switches.bump();
    latency::note_start(pp, &gp);
    m.set_ctx(Ctx::G);
}

/// LOCKEDM-K1 and LOCKEDM-K3: hands the P off, sleeps, and comes back with a P for the locked G. False: the G is held,
/// and continues without a P (SEIZE-B1, SEIZE-B2).
pub fn wait(sched: &Sched, m: MRef, gp: GRef) -> bool {
    loop {
        if m.p().is_some() {
            syscall::handoffp(sched, m, m.releasep());
        }
        m.parked.set(true);
        if !m.is_extra() {
            sched.nmlocked.fetch_add(1, Ordering::SeqCst);
        }
        // QUIET-N1: the P may have gone idle before this thread was counted as asleep.
        quiet::notify_if_all_idle(sched);
        widen!();
        // LOCKEDM-H2
        let pp = loop {
            m.park.sleep();
            m.park.clear();
            if let Some(pp) = m.take_nextp() {
                break Some(pp);
            }
            // Acquire: pairs with the Release in `seize::bail`.
            if m.bailed.load(Ordering::Acquire) {
                break None;
            }
        };
        m.parked.set(false);
        if !m.is_extra() {
            sched.nmlocked.fetch_sub(1, Ordering::SeqCst);
        }
        let Some(pp) = pp else { return false };
        m.acquirep(pp);
        match serve(sched, m, gp) {
            Served::Runs => return true,
            Served::Queued => {}
            Served::Out => return false,
        }
    }
}

/// The result of [`serve`].
#[derive(PartialEq, Eq)]
enum Served {
    Runs,
    /// A stop took the P, and the G is queued again.
    Queued,
    /// A stop of all code took the P, and the held G continues without one.
    Out,
}

/// Serves the requests to the P with which the G is about to run.
fn serve(sched: &Sched, m: MRef, gp: GRef) -> Served {
    loop {
        let requests = m.must_p().requests();
        // SEIZE-B3. Where no P can be taken, nothing else is left.
        let leaves_fn = m.held.get() && has_asymmetric_fence();
        if requests & FN != 0 && !leaves_fn {
            preempt::run_safe_point_fn(sched, m, m.must_p().p());
        } else if requests & STOP != 0 {
            let mut lk = sched.lock.lock();
            // SEIZE-B1: a held G is at no call. (SEIZE-G7: a stop anywhere has it stay held.)
            let out = m.held.get() && lk.exact && !sched.anywhere.get();
            if out {
                super::syscall::went_out(sched, &mut lk, m);
            }
            match preempt::stop_p(&mut lk, sched, m.releasep()) {
                Ok(()) => {
                    if out {
                        return Served::Out;
                    }
                    // Still under the lock: the world cannot start again without it.
                    gp.set_status(GStatus::Runnable);
                    if m.held.get() {
                        sched.globrunqput_hog(gp);
                    } else {
                        sched.globrunqput(gp);
                    }
                    return Served::Queued;
                }
                Err(pp) => {
                    debug_assert!(!out, "a stop of code was given up under the lock");
                    m.acquirep(pp);
                }
            }
        } else {
            return Served::Runs;
        }
    }
}

/// LOCKEDM-K2. The M has found the G, so it no longer searches (WAKE-F1). It sleeps, and comes back as an M that was
/// idle.
pub fn startlockedm(sched: &Sched, m: MRef, gp: GRef) -> wake::Idle {
    wake::hand_to_locked(sched, gp, m.releasep());
    wake::stopm(sched, m)
}

/// Locks the running G to its M. The caller counts how often.
pub fn lock(m: MRef, gp: GRef) {
    gp.lockedm.set(m.as_ptr());
    m.set_lockedg(Some(gp));
}

/// Unlocks the G from its M, if neither the host nor the library needs them locked any more.
pub fn unlock(m: MRef, gp: GRef) {
    if m.is_extra() || gp.locks.get() != 0 || gp.ties.get() != 0 {
        return;
    }
    gp.lockedm.set(std::ptr::null_mut());
    m.set_lockedg(None);
}
