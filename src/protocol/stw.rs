//! Stop-the-world and start-the-world.
//!
//! # Problem
//! A caller needs that no G runs except its own: to change the number of Ps, to look at everything at once, to collect
//! garbage. It cannot interrupt the other threads, so it asks each P to stop and waits. A P that goes idle, enters a
//! syscall or is handed off in that moment must be counted exactly once: if it is missed, its G runs in a stopped
//! world; if it is counted and never answers, the stop hangs.
//!
//! # Words
//! * `worldsema`: the right to stop the world or to run a barrier. The stopper holds it from before the stop until
//!   after the start.
//! * STOP, a bit in each P word: this P is to stop.
//! * `stopping`, and `stopwait` (the number of Ps that have yet to stop): written under `sched.lock`.
//! * `stopnote`: set by the thread that brings stopwait to 0.
//!
//! # Protocol
//! Stopper. It holds worldsema, and keeps its own P if it has one:
//! * STW-A0 a stop of all code ([`Stop::Code`]) has held threads go on first, and counts each G without a P in stopwait
//!   (SEIZE-B1, SEIZE-G6). A stop at any instruction ([`Stop::Anywhere`]) counts them too, and leaves held threads held
//!   (SEIZE-A1);
//! * STW-A1 under `sched.lock`: each idle P becomes Stopped; each other P gets STOP and is counted in stopwait;
//! * STW-A2 without the lock, since it interrupts every CPU: HEAVY (SYSCALL-T2). Then, under the lock again: take the
//!   Ps in syscalls; they become Stopped and are not waited for. Wait for the note, or until the deadline;
//!   A stop for the Ps ([`Stop::Ps`]) also takes those whose Ms run the host's code, and looks again after a while: an
//!   M may have been in the library at the first look, and then leave it for code that computes for long. A stop at any
//!   instruction has the threads that it waits for nudged, again and again (SEIZE-A2);
//! * STW-A3 past the deadline, under `sched.lock`: if stopwait is 0 after all, the world is stopped. Otherwise withdraw
//!   STOP from the Ps that still run, and start the world again.
//!
//! Owner of a P with STOP, at its next pass through the scheduler, into a syscall or into the idle list:
//! * STW-B1 ([`stop_p`], in preempt.rs) under `sched.lock`: the P becomes Stopped, STOP is cleared, stopwait - 1. At 0
//!   set the note, still under the lock: so STW-A3 need not wait for the note, and no note of this stop is set during
//!   the next one. (The system call that wakes the stopper comes after the unlock.) The owner's M sleeps, and its G is
//!   runnable.
//!
//! Starter:
//! * STW-C1 a resize, if one was asked for (resize.rs);
//! * STW-C2 under `sched.lock`: a stopped P with Gs becomes Running and gets an M; a stopped P without Gs becomes Idle;
//! * STW-C3 look again (wake.rs): work may have come while no P was idle.
//!
//! # Invariants
//! * STW-Z1 after STW-A2 each P except the stopper's is Stopped, and stays so until STW-C2: only STW-C2, STW-A3 and a
//!   resize lead out of Stopped, and a thread without a P finds none idle. (A runtime that ends does so from a stopped
//!   world, and leaves its Ps Stopped until it begins again: sched/life.rs.)
//! * STW-Z2 stopwait is exactly the number of STOP bits that are set: both change together under `sched.lock`.
//!
//! # Why it ends
//! The owner of a counted P sees STOP at its next pass (STW-B1; PREEMPT-P1). If an owner never comes there, the
//! deadline ends the stop.
//!
//! # Differences from Go
//! * No request is sent twice, because none is lost. The wait may have a deadline.
//! * The count and the note are not shared with the barrier: a shared count was a bug in Go (golang/go#10618).

pub use super::preempt::stop_p;
use super::preempt::tell;
use super::{idle, seize, syscall, wake};
use crate::gmp::g::{GList, GRef};
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus, STOP};
use crate::gmp::probes;
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sync::{asymmetric_fence_heavy, now};

/// STW-A1 to STW-A3. False if the time is up: then the world runs as before, and `late` was called for each P that did
/// not stop.
#[must_use]
pub fn stop(sched: &Sched, me: MRef, what: Stop, deadline: Option<i64>, mut late: impl FnMut(Late)) -> bool {
    let begun = now();
    probes::stop_begin(me, sched);
    let own = me.p().map(|p| p.p());
    let loose = what == Stop::Ps && sched.cfg.seizes.get();
    let mut held = GList::new();
    let none = {
        let mut lk = sched.lock.lock();
        debug_assert!(!lk.stopping);
        sched.stopnote.clear();
        lk.stopping = true;
        // STW-A0
        match what {
            Stop::Ps => {}
            Stop::Code => held = seize::stop_code(sched, &mut lk),
            Stop::Anywhere => seize::stop_anywhere(sched, &mut lk),
        }
        // STW-A1
        for p in sched.busy_ps() {
            widen!();
            if Some(p) != own && p.request(STOP) == (PStatus::Running, true) {
                lk.stopwait += 1;
            }
        }
        while let Some(p) = idle::pidle_unlink(sched, &mut lk) {
            p.move_status(PStatus::Idle, PStatus::Stopped);
        }
        lk.stopwait == 0
    };
    seize::go_on(sched, held);
    if none {
        return stopped(sched, me, begun);
    }
    let (mut pause, longest) = if what == Stop::Anywhere { (TICK, 16 * TICK) } else { (FIRST_PAUSE, LONGEST_PAUSE) };
    let looks_again = loose || what == Stop::Anywhere;
    loop {
        widen!();
        // STW-A2
        asymmetric_fence_heavy();
        let mut out = false;
        let none = {
            let mut lk = sched.lock.lock();
            for p in sched.busy_ps() {
                widen!();
                if let Some(taken) = p.try_take_requested(STOP, loose) {
                    record::taken(&me, &taken);
                    taken.pp.stop();
                    lk.stopwait -= 1;
                    if let Some(m) = taken.from {
                        syscall::went_out(sched, &mut lk, m);
                        out = true;
                    }
                }
            }
            lk.stopwait == 0
        };
        if out {
            syscall::hold_later(sched);
        }
        if none {
            return stopped(sched, me, begun);
        }
        widen!();
        tell(sched, false);
        if what == Stop::Anywhere {
            // SEIZE-A2
            syscall::hold_later(sched);
        }
        // A P that is to be taken from the host's code may be in the library's just now.
        let again = now() + pause;
        let until = if looks_again { Some(deadline.map_or(again, |d| d.min(again))) } else { deadline };
        if sched.stopnote.sleep_until(until) {
            return stopped(sched, me, begun);
        }
        if !looks_again || deadline.is_some_and(|d| d <= now()) {
            break;
        }
        pause = (pause * 2).min(longest);
    }
    // STW-A3
    {
        let mut lk = sched.lock.lock();
        if lk.stopwait == 0 {
            return stopped(sched, me, begun);
        }
        for p in sched.live_ps() {
            if p.clear_request(STOP) {
                // SAFETY: null or an M, and Ms are never freed.
                late(Late::new(Some(p), unsafe { MRef::from_ptr(p.m()) }));
            }
        }
        if lk.exact {
            sched.every_m().filter(|m| m.out.get()).for_each(|m| late(Late::new(None, Some(m))));
        }
        lk.stopwait = 0;
        seize::let_code_run(sched, &mut lk);
    }
    start(sched, me);
    false
}

/// What a stop is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The stopper needs the Ps: what the host's code does between two calls of the library is nothing to it.
    Ps,
    /// No code of a goroutine may run: each is at a call of the library.
    Code,
    /// No code of a goroutine may run: what computes is held where it is. Only where threads can be nudged.
    Anywhere,
}

/// What a stop has waited for in vain.
#[derive(Clone, Copy)]
pub struct Late {
    /// None: the G has no P (SEIZE-G6).
    pub p: Option<PRef>,
    /// The G that ran there, and its number: it may have ended since. None: the M was between two Gs.
    pub g: Option<(GRef, u64)>,
}

impl Late {
    fn new(p: Option<PRef>, m: Option<MRef>) -> Late {
        Late { p, g: m.and_then(|m| m.g()).map(|gp| (gp, gp.goid.get())) }
    }
}

/// How long the stopper waits for the Ps before it looks at them again.
pub const FIRST_PAUSE: i64 = 20_000;
pub const LONGEST_PAUSE: i64 = 1_000_000;
/// The same, where it waits for ticks of the system's clock.
const TICK: i64 = 1_000_000;

fn stopped(sched: &Sched, me: MRef, begun: i64) -> bool {
    debug_assert!(
        sched.live_ps().all(|p| p.status() == PStatus::Stopped || me.p().is_some_and(|own| own.p() == p)),
        "STW-Z1"
    );
    let took = (now() - begun) as u64;
    let stats = &sched.stats;
    stats.stops.bump();
    stats.stop_began.set(begun);
    stats.stopping.record(took as i64);
    stats.stop_ns_total.add(took);
    stats.stop_ns_max.set(stats.stop_ns_max.get().max(took));
    true
}

/// STW-C2 and STW-C3. The caller has stopped the world, and has done the resize if one was asked for (STW-C1).
pub fn start(sched: &Sched, me: MRef) {
    probes::stop_end(me, sched);
    record::starts_world(&me);
    // Ps with work, linked by `idle_link`. They have no owner until they get an M.
    let mut busy: *mut crate::gmp::P = std::ptr::null_mut();
    {
        let mut lk = sched.lock.lock();
        lk.stopping = false;
        seize::let_code_run(sched, &mut lk);
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
                p.acquire_from(PStatus::Stopped).forget();
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
