//! How a runtime begins and ends, and how its number of Ps changes while it is down.

use super::world::acquire;
use crate::block::sema;
use crate::gmp::error::{Error, Result};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::PStatus;
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::gmp::timers::Timers;
use crate::protocol::{idle, stw};
use crate::sync::Ordering;

/// How long an attempt to end the runtime waits for Ps that are not idle yet, in nanoseconds.
const CLOSE_PATIENCE: i64 = 10_000_000;

/// Before the first G: makes the first Ps, Stopped as in a runtime that is down.
pub fn first_procs(sched: &Sched, n: u32) -> bool {
    if !sched.grow_allp(n) {
        return false;
    }
    for p in (0..n).filter_map(|i| sched.p_at(i)) {
        p.move_status(PStatus::Dead, PStatus::Stopped);
    }
    sched.gomaxprocs.store(n as i32, Ordering::Release);
    true
}

/// Changes the number of Ps while the runtime is down: all of them are Stopped.
pub fn procs_while_down(sched: &Sched, n: u32) -> bool {
    if !sched.grow_allp(n) {
        return false;
    }
    let old = sched.procs();
    let Some(first) = sched.p_at(0) else { return false };
    // Threads of the host may wait with deadlines.
    for p in (n..old).filter_map(|i| sched.p_at(i)) {
        if !Timers::move_all(p, first) {
            (n..old).filter_map(|i| sched.p_at(i)).for_each(|p| p.timers.open());
            return false;
        }
    }
    for p in (n..old).filter_map(|i| sched.p_at(i)) {
        p.move_status(PStatus::Stopped, PStatus::Dead);
    }
    for p in (old..n).filter_map(|i| sched.p_at(i)) {
        p.timers.open();
        p.move_status(PStatus::Dead, PStatus::Stopped);
    }
    sched.gomaxprocs.store(n as i32, Ordering::Release);
    true
}

/// After all threads of the library have left a stopped world: empties the lists of sleepers, and returns cached stacks
/// to the system. (nmspinning stays as it is: each searcher has taken its count back, or is a thread of the host that
/// is about to.) The Ps stay Stopped until the runtime begins again.
pub fn tidy_while_down(sched: &Sched) {
    crate::block::timer::stop_all(sched);
    {
        let mut lk = sched.lock.lock();
        lk.midle = std::ptr::null_mut();
        lk.nmidle = 0;
        lk.nm = 0;
        lk.stopping = false;
    }
    sched.timer_waiter.store(std::ptr::null_mut(), Ordering::Relaxed);
    sched.timer_waiter_until.store(crate::gmp::timers::NEVER, Ordering::Relaxed);
    for p in sched.live_ps() {
        // The caches are reached only through the token. Afterwards the P is Stopped again.
        let pp = p.acquire_from(PStatus::Stopped);
        pp.drain_stacks(|s| sched.free_stack(s));
        pp.drain_blocks();
        pp.forget().move_status(PStatus::Running, PStatus::Stopped);
    }
    for p in sched.every_p() {
        p.slots.iter().for_each(|slot| slot.set(std::ptr::null_mut()));
    }
    sched.stacks.trim(0);
}

/// Opens a runtime that was down.
pub fn open(sched: &Sched) {
    let mut lk = sched.lock.lock();
    for p in (0..sched.procs()).rev().filter_map(|i| sched.p_at(i)) {
        if p.status() == PStatus::Stopped {
            p.move_status(PStatus::Stopped, PStatus::Idle);
            idle::pidle_link(sched, &mut lk, p);
        }
    }
    sched.closing.store(false, Ordering::SeqCst);
}

/// Ends the runtime if no G is alive: `end` runs in a stopped world, which stays stopped. False if a G is alive.
pub fn close(m: MRef, deadline: Option<i64>, end: impl FnOnce(&Sched)) -> Result<bool> {
    let sched = m.sched();
    let m = match acquire(m, deadline) {
        Err(Error::ShutDown) => return Ok(true),
        other => other?,
    };
    m.set_ctx(Ctx::Sched);
    // Threads that are about to go idle get a moment for it.
    let mut over = false;
    record::stops_world(&m, b"");
    if stw::stop(sched, m, stw::Stop::Ps, Some(crate::sync::now() + CLOSE_PATIENCE), |_| ()) {
        over = sched.close();
        if over {
            end(sched);
        } else {
            stw::start(sched, m);
        }
    }
    m.set_ctx(Ctx::Foreign);
    sema::release_handoff(m, &sched.worldsema);
    Ok(over)
}
