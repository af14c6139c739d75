//! The template thread: makes every other thread of the library, and does all work that may have to wait for the host.
//!
//! A thread inherits its maker's signal mask, CPU affinity and scheduling class, and the first call of the library may
//! come from a thread with unusual ones. So the calling thread makes only the template thread. The template thread
//! takes the settings of the main thread, and then makes the watchdog and the workers. It never runs a G, and its
//! settings never change.
//!
//! To make a thread takes memory, and the locks of the C library. To count the CPUs means to read files, and a trace
//! goes to whatever stderr is. The host decides how long each of these takes. So the watchdog does none of them, and
//! asks this thread instead. If the same request is made twice before it is served, it is served once.

use crate::gmp::hogs::Hog;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::gmp::timers::Timers;
use crate::protocol::{netpoll, quiet, rescue, tidy, wake};
use crate::sync::{Ordering, now};

/// What the template thread may be asked for, in addition to threads.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Errand {
    /// There was no thread when one was needed: try again.
    Thread = 1,
    /// A second has passed: look at the machine.
    Look = 2,
    /// A line of schedtrace.
    Trace = 4,
    /// A period of protocol/tidy.rs is over.
    Tidy = 8,
    /// Timers are due on a P that does not answer: fire them.
    Timers = 16,
    /// There are stacks without a guard.
    Unguarded = 32,
    /// Nothing seems to move: check whether a thread or a stack is lacking, or whether all Gs wait forever.
    Trouble = 64,
    /// The system no longer allows membarrier.
    Fence = 128,
    /// A goroutine computes for long without calling the library.
    Hog = 256,
}

/// How long to leave between two tries to replace the poll, if the system has no descriptors for it.
const RETRY: i64 = 20_000_000;

const FENCE_LOST: &str = "libgomax: membarrier has been forbidden since the start: each way into a syscall has a fence of its own from now on; a \
                          call that began before keeps its P until it ends (GMX_CONFIG_NO_MEMBARRIER avoids this)\n";

const UNGUARDED: &str = "libgomax: some stacks have no guard: guards by mprotect take mappings, of which a quarter of vm.max_map_count is \
                         used up; an overflow of such a stack is not caught (gmx_mem_stats.stacks_unguarded counts them)\n";

/// The functions that the layers above provide for the template thread.
pub struct Duties<'a> {
    /// The default for gomaxprocs as it is now.
    pub procs: &'a mut dyn FnMut() -> i32,
    /// Has a G change gomaxprocs to this number.
    pub resize: &'a mut dyn FnMut(i32),
    /// A line of schedtrace.
    pub trace: &'a mut dyn FnMut(&Sched, i64),
    /// Names a goroutine that computes.
    pub hog: &'a mut dyn FnMut(&Hog),
    /// Adds all descriptors to a new epoll, and reports that (NETPOLL-L2).
    pub watch_again: &'a mut dyn FnMut(MRef),
    /// Checks what does not move. Returns when to check again.
    pub trouble: &'a mut dyn FnMut(&Sched) -> i64,
}

/// Makes a request. Never waits. False if the same request is open already.
pub fn ask(sched: &Sched, errand: Errand) -> bool {
    // Release: pairs with the Acquire in `template`. The note is set after that, so no request is slept over.
    let before = sched.errands.fetch_or(errand as u32, Ordering::Release);
    sched.template_note.wakeup();
    before & errand as u32 == 0
}

/// The template thread's loop, until the end of the runtime.
pub fn template(sched: &Sched, m: MRef, duties: &mut Duties<'_>) {
    m.set_ctx(Ctx::Sched);
    while !sched.exiting.load(Ordering::Acquire) {
        wake::make_threads(sched, m);
        if sched.reserve_wanted.swap(false, Ordering::Relaxed) {
            wake::make_reserve(sched);
        }
        if netpoll::must_replace(sched) {
            replace_poll(sched, m, duties);
        }
        let errands = sched.errands.swap(0, Ordering::Acquire);
        let asked = |errand: Errand| errands & errand as u32 != 0;
        if asked(Errand::Thread) {
            try_again(sched, m);
        }
        if asked(Errand::Timers) {
            fire_timers(sched, m);
        }
        if asked(Errand::Look) {
            look(sched, duties);
        }
        if asked(Errand::Trace) {
            (duties.trace)(sched, now());
        }
        if asked(Errand::Tidy) {
            // Relaxed: a stale value makes sysmon sleep for a period more or less.
            sched.untidy.store(tidy::tidy(sched), Ordering::Relaxed);
        }
        if asked(Errand::Unguarded) {
            (sched.hooks.report)(sched, UNGUARDED);
        }
        if asked(Errand::Hog)
            && let Some(hog) = sched.hogs.to_tell()
        {
            (duties.hog)(&hog);
        }
        if asked(Errand::Fence) {
            (sched.hooks.report)(sched, FENCE_LOST);
        }
        if asked(Errand::Trouble) {
            // Relaxed: a stale value makes sysmon sleep longer or shorter.
            sched.look_when.store((duties.trouble)(sched), Ordering::Relaxed);
        }
        // Cleared before the next round reads the requests: a request that comes from here on is found there, or sets
        // the note again.
        sched.template_note.sleep();
        sched.template_note.clear();
    }
}

/// Tries again for Gs that wait because there was no thread for a P.
pub fn try_again(sched: &Sched, m: MRef) {
    // The missing thread may be the only one that would have seen the due timers.
    while_firing(sched, || {
        for p in sched.timed_ps() {
            let now = now();
            if p.timers.first() <= now {
                // SAFETY: callbacks ready Gs, for which this M needs no P: they go to the global queue.
                unsafe { Timers::run(p, m, now) };
            }
        }
    });
    wake::look_again(sched, m);
}

/// RESCUE-4.
fn fire_timers(sched: &Sched, m: MRef) {
    while_firing(sched, || {
        for p in sched.timed_ps() {
            let now = now();
            while rescue::timers_wait(sched, p, now) {
                // SAFETY: as in `try_again`.
                unsafe { Timers::run(p, m, now) };
            }
        }
    });
}

/// QUIET-N3.
fn while_firing(sched: &Sched, fire: impl FnOnce()) {
    sched.lock.lock().firing = true;
    fire();
    sched.lock.lock().firing = false;
    quiet::notify_if_all_idle(sched);
}

/// NETPOLL-L2 and NETPOLL-L3.
fn replace_poll(sched: &Sched, m: MRef, duties: &mut Duties<'_>) {
    if sched.net.poll.replace().is_ok() {
        (duties.watch_again)(m);
        wake::look_again(sched, m);
        return;
    }
    sched.net.retry.set(now() + RETRY);
    // The watchdog comes back to it.
    sched.sysmon_parked.store(false, Ordering::Relaxed);
    sched.sysmon_note.wakeup();
}

fn look(sched: &Sched, duties: &mut Duties<'_>) {
    if !sched.procs_follow.get() {
        return;
    }
    let n = (duties.procs)();
    sched.procs_default.set(n);
    if n > 0 && n != sched.gomaxprocs.load(Ordering::Relaxed) && sched.procs_follow.get() {
        (duties.resize)(n);
    }
}
