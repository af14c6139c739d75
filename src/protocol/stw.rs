//! Stop-the-world and start-the-world.
//!
//! # Problem
//! Somebody needs that no G runs but its own: to change the number of Ps, to look at everything at once, to collect.
//!
//! # Words
//! * `worldsema`: who may stop the world (or run a barrier). Held from before the stop until after the start.
//! * STOP in each P word; `stopping`, `stopwait` (Ps that have yet to stop): under `sched.lock`. `stopnote`: set by who
//!   brings stopwait to 0.
//!
//! # Protocol
//! Stopper (holds worldsema; keeps its own P, if it has one):
//! * A1 under `sched.lock`: every idle P becomes Stopped; every other one gets STOP and is counted in stopwait;
//! * A2 without the lock, since it interrupts every CPU: HEAVY (T2 in syscall.rs). Then, under the lock again: those in
//!   syscalls are taken, become Stopped and are not waited for. Wait for the note, or for the deadline;
//! * A3 past the deadline, under `sched.lock`: if stopwait is 0 after all, fine. Otherwise take STOP back from those
//!   that still run, and start the world again.
//!
//! Owner of a P with STOP, at its next way through the scheduler, into a syscall or into the idle list:
//! * B1 ([`stop_p`], in preempt.rs) under `sched.lock`: P Stopped, STOP cleared, stopwait - 1; at 0 set the note, still
//!   under the lock: so A3 need not wait for it, and no note of this stop comes in the next. (The system wakes the
//!   stopper when the lock is open.) Its M sleeps, its G is runnable.
//!
//! Starter:
//! * C1 a resize, if one was asked for (resize.rs);
//! * C2 under `sched.lock`: a stopped P with Gs becomes Running and gets an M, one without becomes Idle;
//! * C3 look again (wake.rs): work may have come while no P was idle.
//!
//! # Invariants
//! * Z1 after A2 every P but the stopper's is Stopped, and stays so until C2: only C2, A3 and a resize lead out of
//!   Stopped, and a thread without a P finds none idle. (A runtime that ends does so from a stopped world, and leaves
//!   its Ps Stopped until it begins again: sched/life.rs.)
//! * Z2 stopwait counts exactly the STOP bits that are set: both change together under `sched.lock`.
//!
//! # Why it ends
//! A P that was counted sees STOP at its next transition (P1 in preempt.rs). One that never comes: the deadline.
//!
//! # Differences from Go
//! No request is sent twice, because none is lost; the wait may have a deadline. The count and the note are not shared
//! with the barrier, as in Go since #10618 (row S5).

pub use super::preempt::stop_p;
use super::preempt::tell;
use super::{idle, wake};
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus, STOP};
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sync::{heavy_fence, now};

/// A1 to A3. `own` is the caller's P. False: time is up, and the world runs as before; `late` was told of each P that
/// did not stop.
#[must_use]
pub fn stop(sched: &Sched, me: MRef, deadline: Option<i64>, mut late: impl FnMut(PRef)) -> bool {
    let begun = now();
    let own = me.p().map(|p| p.p());
    {
        let mut lk = sched.lock.lock();
        debug_assert!(!lk.stopping);
        sched.stopnote.clear();
        lk.stopping = true;
        // A1
        for p in sched.busy_ps() {
            widen!();
            if Some(p) != own && p.request(STOP) == (PStatus::Running, true) {
                lk.stopwait += 1;
            }
        }
        while let Some(p) = idle::pidle_unlink(sched, &mut lk) {
            p.move_status(PStatus::Idle, PStatus::Stopped);
        }
        if lk.stopwait == 0 {
            return stopped(sched, me, begun);
        }
    }
    widen!();
    // A2
    heavy_fence();
    {
        let mut lk = sched.lock.lock();
        for p in sched.busy_ps() {
            widen!();
            if let Some(pp) = p.try_take_requested(STOP) {
                pp.stop();
                lk.stopwait -= 1;
            }
        }
        if lk.stopwait == 0 {
            return stopped(sched, me, begun);
        }
    }
    widen!();
    tell(sched, false);
    if sched.stopnote.sleep_until(deadline) {
        return stopped(sched, me, begun);
    }
    // A3
    {
        let mut lk = sched.lock.lock();
        if lk.stopwait == 0 {
            return stopped(sched, me, begun);
        }
        for p in sched.live_ps() {
            if p.clear_request(STOP) {
                late(p);
            }
        }
        lk.stopwait = 0;
    }
    start(sched, me);
    false
}

fn stopped(sched: &Sched, me: MRef, begun: i64) -> bool {
    debug_assert!(
        sched.live_ps().all(|p| p.status() == PStatus::Stopped || me.p().is_some_and(|own| own.p() == p)),
        "Z1"
    );
    let took = (now() - begun) as u64;
    let stats = &sched.stats;
    stats.stops.bump();
    stats.stop_ns_total.add(took);
    stats.stop_ns_max.set(stats.stop_ns_max.get().max(took));
    true
}

/// C2 and C3. Whoever calls has stopped the world, and has done what a resize asks for.
pub fn start(sched: &Sched, me: MRef) {
    // Ps with work, through their idle link: they are nobody's until they get an M.
    let mut busy: *mut crate::gmp::P = std::ptr::null_mut();
    {
        let mut lk = sched.lock.lock();
        lk.stopping = false;
        // From the last to the first, so that low numbers are used first.
        for i in (0..sched.procs()).rev() {
            let Some(p) = sched.p_at(i) else { continue };
            if p.status() != PStatus::Stopped {
                continue;
            }
            if p.runq_empty() {
                p.move_status(PStatus::Stopped, PStatus::Idle);
                idle::pidle_link(sched, &mut lk, p);
            } else {
                p.own(PStatus::Stopped).forget();
                p.idle_link.set(busy);
                busy = p.as_ptr();
            }
        }
        idle::end_deep_sleep(sched, &mut lk);
    }
    // SAFETY: the list holds Ps, whose tokens were forgotten above.
    while let Some(p) = unsafe { PRef::from_ptr(busy) } {
        busy = p.idle_link.take();
        widen!();
        // SAFETY: as above.
        wake::startm(sched, me, unsafe { OwnedP::remember(p) }, false);
    }
    wake::look_again(sched, me);
}
