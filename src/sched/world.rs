//! Those who need every P, or the number of Ps to stand still: stop-the-world, the barrier, gomaxprocs.
//!
//! All of them take worldsema first, and park for it on their own stack, as any G does (Go's #8749: taken on the
//! scheduler's stack, there is nobody to park). They hold it until the world runs again, and hand it to the next in
//! line, so nobody starves (Go's #10618).

use crate::block::{sema, waitq};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GRef, WaitReason, extra};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{MAX_KEYS, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::gmp::timers::Timers;
use crate::protocol::ragged::PFn;
use crate::protocol::{ragged, resize, stw, wake};
use crate::sync::Ordering;
use std::ffi::c_void;

/// Stops the world; the caller's context is Stopped then, until [`start_the_world`].
///
/// # Migrates
pub fn stop_the_world(m: MRef, timeout: i64, mut late: impl FnMut(PRef)) -> Result<()> {
    let deadline = waitq::deadline_of(timeout);
    let sched = m.sched();
    let m = acquire(m, deadline)?;
    let ctx = m.ctx();
    m.set_ctx(Ctx::Sched);
    let stopped = stw::stop(sched, m, deadline, &mut late);
    if !stopped {
        m.set_ctx(ctx);
        sema::release_handoff(m, &sched.worldsema);
        return Err(Error::TimedOut);
    }
    m.set_ctx(Ctx::Stopped);
    Ok(())
}

/// Starts the world that the caller has stopped.
pub fn start_the_world(m: MRef) {
    let sched = m.sched();
    m.set_ctx(Ctx::Sched);
    stw::start(sched, m);
    m.set_ctx(if m.p().is_some() { Ctx::G } else { Ctx::Foreign });
    sema::release_handoff(m, &sched.worldsema);
}

/// Runs something in a stopped world.
///
/// # Migrates
pub fn with_stopped_world<T>(m: MRef, f: impl FnOnce(&Sched, MRef) -> T) -> Result<T> {
    if m.ctx() == Ctx::Stopped {
        return Ok(f(m.sched(), m));
    }
    with_stopped_world_within(m, None, |_| (), f)
}

/// As [`with_stopped_world`]; with `patience` the Ps have no more time than that to stop. (The wait for worldsema does
/// not count: it holds up nothing else.)
///
/// # Migrates
fn with_stopped_world_within<T>(
    m: MRef,
    patience: Option<i64>,
    mut late: impl FnMut(PRef),
    f: impl FnOnce(&Sched, MRef) -> T,
) -> Result<T> {
    let sched = m.sched();
    let m = acquire(m, None)?;
    let ctx = m.ctx();
    m.set_ctx(Ctx::Sched);
    let deadline = patience.map(|ns| crate::sync::now() + ns);
    if !stw::stop(sched, m, deadline, &mut late) {
        m.set_ctx(ctx);
        sema::release_handoff(m, &sched.worldsema);
        return Err(Error::TimedOut);
    }
    m.set_ctx(Ctx::Stopped);
    let r = f(sched, m);
    start_the_world(m);
    Ok(r)
}

/// Takes worldsema. Only a thread of the host can find the runtime down then.
///
/// # Migrates
fn acquire(m: MRef, deadline: Option<i64>) -> Result<MRef> {
    let sched = m.sched();
    let (m, got) = sema::acquire(m, &sched.worldsema, deadline, WaitReason::WORLD);
    got?;
    if sched.closing.load(Ordering::Acquire) {
        sema::release_handoff(m, &sched.worldsema);
        return Err(Error::ShutDown);
    }
    Ok(m)
}

/// Ends the runtime if nothing lives: `end` runs in a world that is stopped and stays so. False if something does.
pub fn close(m: MRef, deadline: Option<i64>, end: impl FnOnce(&Sched)) -> Result<bool> {
    let sched = m.sched();
    let m = match acquire(m, deadline) {
        Err(Error::ShutDown) => return Ok(true),
        other => other?,
    };
    m.set_ctx(Ctx::Sched);
    // What is on its way to sleep gets a moment.
    let mut over = false;
    if stw::stop(sched, m, Some(crate::sync::now() + CLOSE_PATIENCE), |_| ()) {
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

/// How long an end waits for Ps that are not idle yet.
const CLOSE_PATIENCE: i64 = 10_000_000;

/// Sets gomaxprocs; the previous value.
///
/// # Migrates
pub fn gomaxprocs(m: MRef, n: i32) -> Result<i32> {
    resize_within(m, n, None, |_| (), |_| true)
}

/// Sets gomaxprocs to the machine's number, if the host still leaves it to the library when the world has stopped. The
/// library itself asks for it, so it takes `FOLLOW_PATIENCE` at most from the goroutines that run: `TimedOut` names
/// the Ps that did not stop by `late`, and the caller tries again later.
///
/// # Migrates
pub fn follow_machine(m: MRef, n: i32, late: impl FnMut(PRef)) -> Result<i32> {
    resize_within(m, n, Some(FOLLOW_PATIENCE), late, |sched| sched.procs_follow.get())
}

/// How long a resize that no caller waits for may hold up the goroutines that run.
const FOLLOW_PATIENCE: i64 = 5_000_000;

/// # Migrates
fn resize_within(
    m: MRef,
    n: i32,
    patience: Option<i64>,
    late: impl FnMut(PRef),
    wanted: impl FnOnce(&Sched) -> bool,
) -> Result<i32> {
    let sched = m.sched();
    if n == sched.gomaxprocs.load(Ordering::Acquire) {
        return Ok(n);
    }
    if !fits(n) || !sched.grow_allp(n as u32) {
        return Err(Error::NoMemory);
    }
    with_stopped_world_within(m, patience, late, |sched, m| {
        let old = sched.gomaxprocs.load(Ordering::Relaxed);
        if old != n && wanted(sched) && !resize::procresize(sched, m, n as u32) {
            return Err(Error::NoMemory);
        }
        Ok(old)
    })?
}

/// Whether the machine has the memory for so many Ps: they are made with malloc, which would say yes to far more.
pub fn fits(n: i32) -> bool {
    // Two queues of 64 places each are made beside the P itself.
    let each = std::mem::size_of::<crate::gmp::P>() as u64 + 4096;
    (n as u64).saturating_mul(each) < crate::sys::physical_memory() / 2
}

/// Runs `f` once for every P.
///
/// # Migrates
pub fn for_each_p(m: MRef, f: PFn, arg: *mut c_void) -> Result<()> {
    let sched = m.sched();
    let m = acquire(m, None)?;
    let ctx = m.ctx();
    m.set_ctx(Ctx::Sched);
    ragged::for_each_p(sched, m, f, arg);
    m.set_ctx(ctx);
    sema::release_handoff(m, &sched.worldsema);
    Ok(())
}

/// Before the first G: the first Ps, Stopped as in a runtime that is down.
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

/// Another number of Ps while the runtime is down: they are all Stopped.
pub fn procs_while_down(sched: &Sched, n: u32) -> bool {
    if !sched.grow_allp(n) {
        return false;
    }
    let old = sched.procs();
    let Some(first) = sched.p_at(0) else { return false };
    // Threads of the host may have deadlines.
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

/// All threads of the library have left a stopped world: nobody sleeps, cached stacks go back to the system.
/// (nmspinning is left alone: who searched has taken its count back, and a thread of the host may be about to.) The Ps
/// stay Stopped until the runtime begins again.
pub fn tidy_while_down(sched: &Sched) {
    crate::block::timer::stop_all(sched);
    {
        let mut lk = sched.lock.lock();
        lk.midle = std::ptr::null_mut();
        lk.nmidle = 0;
        lk.nm = 0;
        lk.stopping = false;
    }
    sched.keeper.store(std::ptr::null_mut(), Ordering::Relaxed);
    sched.keeper_until.store(crate::gmp::timers::NEVER, Ordering::Relaxed);
    for p in sched.live_ps() {
        // Its caches are reached through the token; it goes back to where it was.
        let pp = p.own(PStatus::Stopped);
        pp.drain_stacks(|s| sched.free_stack(s));
        pp.forget().move_status(PStatus::Running, PStatus::Stopped);
    }
    for p in sched.every_p() {
        p.slots.iter().for_each(|slot| slot.set(std::ptr::null_mut()));
    }
    sched.stacks.trim(0);
}

/// The beginning of a runtime that was down.
pub fn open(sched: &Sched) {
    let mut lk = sched.lock.lock();
    for p in (0..sched.procs()).rev().filter_map(|i| sched.p_at(i)) {
        if p.status() == PStatus::Stopped {
            p.move_status(PStatus::Stopped, PStatus::Idle);
            wake::pidle_link(sched, &mut lk, p);
        }
    }
    sched.closing.store(false, Ordering::SeqCst);
}

// ---- keys ------------------------------------------------------------------------------------------------------------

/// Values of a G's keys, each with the number of the key that it was set under.
pub struct KeyValues(pub [(u32, *mut c_void); MAX_KEYS]);

/// How often destructors may set new values before the rest is left alone, as POSIX has it.
const DESTRUCTOR_ROUNDS: u32 = 4;

/// Calls the destructors of what a G has set, on the G.
///
/// # Migrates
pub fn run_key_destructors(gp: GRef) {
    let table: *mut KeyValues = gp.keys.get().cast();
    // As in a callback: they may not end the G or detach its thread, which would come back here.
    gp.callbacks.set(gp.callbacks.get() + 1);
    for _ in 0..DESTRUCTOR_ROUNDS {
        let mut again = false;
        for i in 0..MAX_KEYS {
            // SAFETY: the table is the G's, and lives until below.
            let (key, value) = unsafe { std::mem::replace(&mut (*table).0[i], (0, std::ptr::null_mut())) };
            if value.is_null() {
                continue;
            }
            let Some(m) = super::run::current() else { break };
            if let Some(f) = m.sched().gkeys.destructor(key) {
                again = true;
                crate::sys::call::plain(f, value);
            }
        }
        if !again {
            break;
        }
    }
    gp.callbacks.set(gp.callbacks.get() - 1);
    forget_key_values(gp);
}

/// Gives back the memory of what a G has set.
pub fn forget_key_values(gp: GRef) {
    let table: *mut KeyValues = gp.keys.take().cast();
    if !table.is_null() {
        // SAFETY: made by `key_set`, with the layout of a box, and taken once.
        drop(unsafe { Box::from_raw(table) });
    }
}

pub fn key_set(gp: GRef, sched: &Sched, key: u32, value: *mut c_void) -> Result<()> {
    let at = sched.gkeys.place(key).ok_or(Error::Invalid)?;
    let mut table: *mut KeyValues = gp.keys.get().cast();
    if table.is_null() {
        if value.is_null() {
            return Ok(());
        }
        let new = crate::ds::leak::try_leak(KeyValues([(0, std::ptr::null_mut()); MAX_KEYS])).ok_or(Error::NoMemory)?;
        table = std::ptr::from_ref(new).cast_mut();
        gp.note_extra(extra::KEYS);
        gp.keys.set(table.cast());
    }
    // SAFETY: the table is the running G's.
    unsafe { (*table).0[at] = (key, value) };
    Ok(())
}

pub fn key_get(gp: GRef, sched: &Sched, key: u32) -> *mut c_void {
    let table: *mut KeyValues = gp.keys.get().cast();
    match sched.gkeys.place(key) {
        Some(at) if !table.is_null() => {
            // SAFETY: the table is the running G's.
            let (set, value) = unsafe { (*table).0[at] };
            if set == key { value } else { std::ptr::null_mut() }
        }
        _ => std::ptr::null_mut(),
    }
}

/// A new P-local key: NULL on every P.
pub fn p_key_create(sched: &Sched) -> Result<u32> {
    let (key, at) = sched.pkeys.create(None).ok_or(Error::Again)?;
    for p in sched.every_p() {
        // Nobody else knows the key yet.
        p.slots[at].set(std::ptr::null_mut());
    }
    Ok(key)
}
