//! `gmx_main`: the main G, and the detection of a deadlock.
//!
//! In a deadlock every P is idle, every G waits, no timer is armed, and no thread is left that could ready a G. The
//! paper of protocol/quiet.rs says how the library finds that out without a look at every G. The system tells whether
//! there is another thread: if the process has more threads than the library made and than wait in the library without
//! a deadline, such a thread may still call in, and nothing is reported.

use super::report;
use crate::block::{join, waitq};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GName, gflag};
use crate::gmp::m::{Kind, M, MRef};
use crate::gmp::sched::Sched;
use crate::protocol::quiet;
use crate::protocol::store::Spawn;
use crate::protocol::{park, store};
use crate::sched::world;
use crate::sync::{AtomicBool, AtomicI32, AtomicU32, Ordering, fence, now};
use crate::sys;
use std::ffi::c_void;

/// How often to count the threads while unknown threads exist, whose ends are not reported.
const COUNT_EVERY: i64 = 250_000_000;

/// Runs `entry` as the main G and waits for its end. The caller is a thread of the host.
pub fn run(m: MRef, entry: *mut c_void, arg: *mut c_void) -> Result<()> {
    let sched = m.sched();
    let what = Spawn { entry, arg, flags: gflag::JOINABLE | gflag::WATCHED, stack_size: 0, name: GName::new(b"main") };
    let Some(gp) = store::newproc(m, &what) else { return Err(Error::NoMemory) };
    let handle = gp.handle();
    WAITING.fetch_add(1, Ordering::SeqCst);
    sched.watchers.fetch_add(1, Ordering::SeqCst);
    let ended = if park::start(m, gp) { wait(sched, m, handle) } else { Err(Error::ShutDown) };
    sched.watchers.fetch_sub(1, Ordering::SeqCst);
    WAITING.fetch_sub(1, Ordering::SeqCst);
    ended
}

/// The number of threads in [`run`].
static WAITING: AtomicU32 = AtomicU32::new(0);

/// Whether a thread waits in [`run`], which will see a deadlock itself.
pub fn waits() -> bool {
    WAITING.load(Ordering::SeqCst) != 0
}

fn wait(sched: &Sched, m: MRef, handle: u64) -> Result<()> {
    loop {
        // QUIET-V1
        let seen = sched.watch.now();
        match join::join_any(m, handle, Some(now())) {
            Err(Error::TimedOut) => {}
            other => return other,
        }
        m.watching.set(M::WATCHING | u64::from(seen));
        let state = stuck(sched, seen);
        let deadline = match state {
            Stuck::Yes => {
                m.watching.set(0);
                report::deadlock(sched);
                let _ = join::detach_any(m, handle);
                return Err(Error::Deadlock);
            }
            Stuck::Perhaps => waitq::deadline_of(COUNT_EVERY),
            Stuck::No => None,
            Stuck::Changed => continue,
        };
        sched.watch.wait(seen, deadline);
        m.watching.set(0);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    No,
    /// Yes, unless a thread that the library does not know, or one that is outside the library, calls in.
    Perhaps,
    /// An event has come meanwhile.
    Changed,
    Yes,
}

/// QUIET-V2 to QUIET-V5, for a caller that has read `seen` first (QUIET-V1).
pub fn stuck(sched: &Sched, seen: u32) -> Stuck {
    let Some(workers) = quiet::still(sched) else { return Stuck::No };
    // QUIET-V4. The lock is open again, which does no harm (QUIET-Q3).
    let mut waiting = 0;
    for m in sched.every_m().filter(|m| m.kind == Kind::Extra && m.alive.get()) {
        // Another watcher sleeps if it has seen the same value as the caller; otherwise it is about to wake.
        if !m.parked.get() && m.watching.get() != (M::WATCHING | u64::from(seen)) {
            return Stuck::Perhaps;
        }
        waiting += 1;
    }
    // The watchdog and the template thread are known too.
    let known = waiting + workers as usize + 2;
    if sys::thread_count().is_none_or(|n| n > known) {
        return Stuck::Perhaps;
    }
    // QUIET-V5
    fence(Ordering::SeqCst);
    if sched.watch.now() == seen { Stuck::Yes } else { Stuck::Changed }
}

// ---- gomaxprocs follows the machine ---------------------------------------------------------------------------------

/// The machine has another number of CPUs: makes a G that changes gomaxprocs, because the template thread must not wait
/// for the world. The G tries once, with little patience. No caller waits for the new number, so a G that does not poll
/// must not hold up the others for it. The template thread asks again in a second.
pub fn spawn_resizer(m: MRef) {
    if RESIZING.swap(true, Ordering::Relaxed) {
        return;
    }
    let what =
        Spawn { entry: resize as *mut c_void, arg: std::ptr::null_mut(), flags: 0, stack_size: 0, name: GName::NONE };
    if !store::newproc(m, &what).is_some_and(|gp| park::start(m, gp)) {
        RESIZING.store(false, Ordering::Relaxed);
    }
}

/// In a child of fork, which has no resizer, and no thread that waits.
pub fn forget() {
    WAITING.store(0, Ordering::Relaxed);
    RESIZING.store(false, Ordering::Relaxed);
    TARGET.store(0, Ordering::Relaxed);
}

/// A resizer G lives. Only that G writes the two words below.
static RESIZING: AtomicBool = AtomicBool::new(false);
/// The number that the last resizer tried to set, and how often in a row it could not.
static TARGET: AtomicI32 = AtomicI32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);

/// After this many failed tries, a second apart, the report function is told, once.
const TRIES: u32 = 5;

extern "C" fn resize(_: *mut c_void) {
    crate::protocol::seize::come_back();
    let Some(m) = MRef::current() else { return };
    let sched = m.sched();
    let n = sched.procs_default.get();
    if n > 0 {
        if TARGET.swap(n, Ordering::Relaxed) != n {
            FAILED.store(0, Ordering::Relaxed);
        }
        let (mut late, old) = (None, sched.procs());
        match world::follow_machine(m, n, |p| late = late.or(Some(p))) {
            Err(Error::TimedOut) => {
                if FAILED.fetch_add(1, Ordering::Relaxed) + 1 == TRIES {
                    report::resize_put_off(old, n, TRIES, late);
                }
            }
            // No memory: the next try is in a second.
            _ => FAILED.store(0, Ordering::Relaxed),
        }
    }
    RESIZING.store(false, Ordering::Relaxed);
}
