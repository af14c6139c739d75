//! A G locked to its M, and an M that runs no other G.
//!
//! # Problem
//! Code of the host may need its thread: thread-local state, a GUI, a callback that must return where it was called.
//! Its G runs on this M only, and the M runs nothing else, yet the P must go on to work for others while the G waits.
//!
//! # Words
//! `g.lockedm`, `m.lockedg`: written by the M that both belong to, while the G runs there.
//!
//! # Protocol
//! * K1 a locked G that leaves the processor (parks, yields, finds no P) leaves its M: the M hands its P off and sleeps
//!   on its note;
//! * K2 an M that takes a locked G from a queue gives its own P to the G's M by that note, and sleeps like an idle one;
//! * K3 the G's M wakes with a P, and the G is Runnable and its.
//!
//! # Invariants
//! * H1 a locked G is resumed by its own M only, so it need not be off its stack before it is published: the G of an
//!   extra M parks, waits and goes on without any switch of stacks.
//! * H2 an M that waits here is in no idle list; only K2 wakes it.
//!
//! # Differences from Go
//! An extra M has no scheduler's stack: what g0 would do for its one G is done on the thread's own (H1).

use super::syscall::NoP;
use super::{preempt, quiet, syscall, wake};
use crate::gmp::g::{GRef, GStatus};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, STOP};
use crate::gmp::sched::Sched;
use crate::sync::Ordering;
use crate::sync::widen::widen;

/// A thread of the host wants to run as a G and has found no P. False if the runtime is down.
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

/// K1 for the G of an extra M, once it has left the processor: returns when it runs again. `runs`: it has a P and goes
/// on.
pub fn run_on(sched: &Sched, m: MRef, gp: GRef, runs: bool) {
    if !runs || !serve(sched, m, gp) {
        wait(sched, m, gp);
    }
    gp.set_status(GStatus::Running);
    m.curg.set(gp.as_ptr());
    let pp = m.must_p();
    // A G that was found in a queue was counted by the finder, unless it inherits the slice.
    if runs {
        pp.schedtick.bump();
    }
    // What is due every so many switches would be due for ever without this one.
    pp.stats.switches.bump();
    m.set_ctx(Ctx::G);
}

/// K1 and K3: hands the P off, sleeps, and comes back with a P for the locked G.
pub fn wait(sched: &Sched, m: MRef, gp: GRef) {
    loop {
        if m.p().is_some() {
            syscall::handoffp(sched, m, m.releasep());
        }
        m.parked.set(true);
        if !m.is_extra() {
            sched.nmlocked.fetch_add(1, Ordering::SeqCst);
        }
        // N1 in quiet.rs: the P may have been idle before this thread was seen to sleep.
        quiet::tell(sched);
        widen!();
        let pp = loop {
            m.park.sleep();
            m.park.clear();
            if let Some(pp) = m.take_nextp() {
                break pp;
            }
        };
        m.parked.set(false);
        if !m.is_extra() {
            sched.nmlocked.fetch_sub(1, Ordering::SeqCst);
        }
        m.acquirep(pp);
        if serve(sched, m, gp) {
            return;
        }
    }
}

/// Serves the requests to the P with which the G is about to run. False: a stop took it, and the G is queued again.
fn serve(sched: &Sched, m: MRef, gp: GRef) -> bool {
    loop {
        let requests = m.must_p().requests();
        if requests & FN != 0 {
            preempt::run_safe_point_fn(sched, m, m.must_p().p());
        } else if requests & STOP != 0 {
            let mut lk = sched.lock.lock();
            match preempt::stop_p(&mut lk, sched, m.releasep()) {
                Ok(()) => {
                    // Still under the lock, without which the world cannot start again.
                    gp.set_status(GStatus::Runnable);
                    sched.globrunqput(gp);
                    return false;
                }
                Err(pp) => m.acquirep(pp),
            }
        } else {
            return true;
        }
    }
}

/// K2. The M, which has found the G and so searches no more (F1 in wake.rs), sleeps; it comes back as one that idles.
pub fn startlockedm(sched: &Sched, m: MRef, gp: GRef) -> wake::Idle {
    wake::hand_to_locked(sched, gp, m.releasep());
    wake::stopm(sched, m)
}

/// Ties the running G to its M. The caller counts how often.
pub fn lock(m: MRef, gp: GRef) {
    gp.lockedm.set(m.as_ptr());
    m.set_lockedg(Some(gp));
}

/// Unties them, when neither the host nor the library wants them tied any more.
pub fn unlock(m: MRef, gp: GRef) {
    if m.is_extra() || gp.locks.get() != 0 || gp.ties.get() != 0 {
        return;
    }
    gp.lockedm.set(std::ptr::null_mut());
    m.set_lockedg(None);
}
