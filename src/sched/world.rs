//! Operations that need every P, or that need the number of Ps to stay the same: stop-the-world, the barrier,
//! gomaxprocs.
//!
//! Each of them takes worldsema first, and parks for it on its own stack, as any G does. (On the scheduler's stack
//! there would be no G to park: golang/go#8749.) It holds worldsema until the world runs again, and then hands it to
//! the next waiter in line, so that no waiter starves (golang/go#10618).

use crate::block::{sema, waitq};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::WaitReason;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::protocol::ragged::PFn;
use crate::protocol::stw::{Late, Stop};
use crate::protocol::{ragged, resize, stw};
use crate::sync::{AtomicU32, Ordering, now};
use std::ffi::c_void;

/// Stops the world. The caller's context is Stopped until [`start_the_world`].
///
/// # Migrates
pub fn stop_the_world(m: MRef, timeout: i64, late: impl FnMut(Late)) -> Result<()> {
    stop_the_world_because(m, b"", timeout, late)
}

/// As [`stop_the_world`], with a reason for records.
///
/// # Migrates
pub fn stop_the_world_because(m: MRef, why: &[u8], timeout: i64, mut late: impl FnMut(Late)) -> Result<()> {
    let deadline = waitq::deadline_of(timeout);
    let sched = m.sched();
    let m = acquire(m, deadline)?;
    let ctx = m.ctx();
    m.set_ctx(Ctx::Sched);
    sched.world_waits.set(now());
    record::stops_world(&m, why);
    let stopped = stw::stop(sched, m, Stop::Code, deadline, &mut late);
    sched.world_waits.set(0);
    if !stopped {
        m.set_ctx(ctx);
        sema::release_handoff(m, &sched.worldsema);
        return Err(Error::TimedOut);
    }
    m.set_ctx(Ctx::Stopped);
    Ok(())
}

/// As [`stop_the_world`], but holds goroutines that compute where they are (SEIZE-A1 to SEIZE-A4). `late` is emptied,
/// and filled if the time is up. The caller has found that threads can be nudged here.
///
/// # Migrates
pub fn stop_the_world_anywhere(m: MRef, timeout: i64, late: &mut Latecomers) -> Result<()> {
    stop_the_world_anywhere_because(m, b"", timeout, late)
}

/// As [`stop_the_world_anywhere`], with a reason for records.
///
/// # Migrates
pub fn stop_the_world_anywhere_because(m: MRef, why: &[u8], timeout: i64, late: &mut Latecomers) -> Result<()> {
    let deadline = waitq::deadline_of(timeout);
    let mut m = acquire(m, deadline)?;
    let sched = m.sched();
    let mut round = FIRST_ROUND;
    loop {
        let ctx = m.ctx();
        m.set_ctx(Ctx::Sched);
        *late = Latecomers::default();
        let end = now() + round;
        let until = deadline.map_or(end, |d| d.min(end));
        record::stops_world(&m, why);
        if stw::stop(sched, m, Stop::Anywhere, Some(until), |one| late.add(one)) {
            m.set_ctx(Ctx::Stopped);
            return Ok(());
        }
        m.set_ctx(ctx);
        if deadline.is_some_and(|d| d <= now()) {
            sema::release_handoff(m, &sched.worldsema);
            return Err(Error::TimedOut);
        }
        // SEIZE-A4
        m = let_run(m, round, deadline)?;
        round = (round * 2).min(LONGEST_ROUND);
    }
}

/// How long a stop anywhere waits for what is late, before it lets the world run for as long: some ticks of the
/// system's clock at first.
const FIRST_ROUND: i64 = 20_000_000;
const LONGEST_ROUND: i64 = 640_000_000;

/// Waits, with worldsema and without the P.
///
/// # Migrates
fn let_run(m: MRef, ns: i64, deadline: Option<i64>) -> Result<MRef> {
    let end = now() + ns;
    let until = deadline.map_or(end, |d| d.min(end));
    let never = AtomicU32::new(0);
    let (m, waited) = sema::acquire(m, &never, Some(until), WaitReason::WORLD);
    match waited {
        Ok(()) | Err(Error::TimedOut) => Ok(m),
        Err(e) => {
            sema::release_handoff(m, &m.sched().worldsema);
            Err(e)
        }
    }
}

/// What a stop has waited for in vain. In fixed room: nothing may be allocated while others hold still.
#[derive(Default)]
pub struct Latecomers {
    some: [Option<Late>; 32],
    /// How many there were.
    pub n: usize,
}

impl Latecomers {
    pub fn add(&mut self, one: Late) {
        if let Some(slot) = self.some.get_mut(self.n) {
            *slot = Some(one);
        }
        self.n += 1;
    }

    /// Those for which there was room.
    pub fn some(&self) -> impl Iterator<Item = Late> + '_ {
        self.some.iter().flatten().copied()
    }
}

/// Starts the world that the caller has stopped.
pub fn start_the_world(m: MRef) {
    let sched = m.sched();
    m.set_ctx(Ctx::Sched);
    stw::start(sched, m);
    sched.stats.stopped.record(now() - sched.stats.stop_began.get());
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

/// As [`with_stopped_world`]; with `patience` the Ps have at most that time to stop. (The wait for worldsema does not
/// count, since it holds up nothing else.)
///
/// # Migrates
fn with_stopped_world_within<T>(
    m: MRef,
    patience: Option<i64>,
    mut late: impl FnMut(Late),
    f: impl FnOnce(&Sched, MRef) -> T,
) -> Result<T> {
    let sched = m.sched();
    let m = acquire(m, None)?;
    let ctx = m.ctx();
    m.set_ctx(Ctx::Sched);
    let deadline = patience.map(|ns| now() + ns);
    record::stops_world(&m, b"");
    if !stw::stop(sched, m, Stop::Ps, deadline, &mut late) {
        m.set_ctx(ctx);
        sema::release_handoff(m, &sched.worldsema);
        return Err(Error::TimedOut);
    }
    m.set_ctx(Ctx::Stopped);
    let r = f(sched, m);
    start_the_world(m);
    Ok(r)
}

/// Takes worldsema. ShutDown if the runtime is down; only a thread of the host can find it so.
///
/// # Migrates
pub(super) fn acquire(m: MRef, deadline: Option<i64>) -> Result<MRef> {
    let sched = m.sched();
    let (m, got) = sema::acquire(m, &sched.worldsema, deadline, WaitReason::WORLD);
    got?;
    if sched.closing.load(Ordering::Acquire) {
        sema::release_handoff(m, &sched.worldsema);
        return Err(Error::ShutDown);
    }
    Ok(m)
}

/// Sets gomaxprocs. Returns the previous value.
///
/// # Migrates
pub fn gomaxprocs(m: MRef, n: i32) -> Result<i32> {
    resize_within(m, n, None, |_| (), |_| true)
}

/// Sets gomaxprocs to the machine's number of CPUs, if the host still leaves it to the library once the world has
/// stopped. No call of the host waits for this, so it holds up the running goroutines for at most `FOLLOW_PATIENCE`. On
/// `TimedOut`, `late` was called for each P that did not stop, and the caller tries again later.
///
/// # Migrates
pub fn follow_machine(m: MRef, n: i32, late: impl FnMut(Late)) -> Result<i32> {
    resize_within(m, n, Some(FOLLOW_PATIENCE), late, |sched| sched.procs_follow.get())
}

/// How long a resize that no call of the host waits for may hold up the running goroutines, in nanoseconds.
const FOLLOW_PATIENCE: i64 = 5_000_000;

/// # Migrates
fn resize_within(
    m: MRef,
    n: i32,
    patience: Option<i64>,
    late: impl FnMut(Late),
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

/// Whether the machine has the memory for so many Ps. They are made with malloc, which would promise far more.
pub fn fits(n: i32) -> bool {
    // The P itself, and the room that its first timers take.
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
    sched.world_waits.set(now());
    ragged::for_each_p(sched, m, f, arg);
    sched.world_waits.set(0);
    m.set_ctx(ctx);
    sema::release_handoff(m, &sched.worldsema);
    Ok(())
}
