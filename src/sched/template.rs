//! The template thread: makes every other thread of the library, and does whatever may have to wait for the host.
//!
//! A thread inherits its maker's signal mask, CPU affinity and scheduling class, and the first call of the library may
//! come from a thread with unusual ones. So that thread makes this one alone, which takes on those of the main thread
//! and then makes the watchdog and the workers. It never runs a G and never changes.
//!
//! To make a thread takes memory, and the locks of the C library. To look up the number of CPUs means to read files,
//! and a trace is written to whatever stderr is. The host decides how long each of these takes. So the watchdog does
//! none of them and asks this thread. A request that is still open when the next one like it comes is served once.

use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::gmp::timers::Timers;
use crate::protocol::{quiet, rescue, tidy, wake};
use crate::sync::{Ordering, now};

/// What the template thread is asked for beside threads.
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
    /// Nothing seems to move: look whether a thread or a stack is lacking, or all wait for good.
    Trouble = 64,
    /// The system has taken membarrier back.
    Fence = 128,
}

const FENCE_LOST: &str = "libgomax: membarrier has been forbidden since the start: each way into a syscall has a fence of its own from now on; a \
                          call that began before keeps its P until it ends (GMX_CONFIG_NO_MEMBARRIER avoids this)\n";

const UNGUARDED: &str = "libgomax: some stacks have no guard: guards by mprotect take mappings, of which a quarter of vm.max_map_count is \
                         used up; an overflow of such a stack is not caught (gmx_mem_stats.stacks_unguarded counts them)\n";

/// What the layers above do for it.
pub struct Duties<'a> {
    /// The default for gomaxprocs as it is now.
    pub procs: &'a mut dyn FnMut() -> i32,
    /// A G is to change gomaxprocs to this.
    pub resize: &'a mut dyn FnMut(i32),
    /// A line of schedtrace.
    pub trace: &'a mut dyn FnMut(&Sched, i64),
    /// A look at what does not move, and when to look again.
    pub trouble: &'a mut dyn FnMut(&Sched) -> i64,
}

/// Asks for something. Never waits. False: it is asked for already.
pub fn ask(sched: &Sched, errand: Errand) -> bool {
    // Release: pairs with the Acquire in `template`. The note comes after, so no request is slept over.
    let before = sched.errands.fetch_or(errand as u32, Ordering::Release);
    sched.template_note.wakeup();
    before & errand as u32 == 0
}

/// Until the end of the runtime.
pub fn template(sched: &Sched, m: MRef, duties: &mut Duties<'_>) {
    m.set_ctx(Ctx::Sched);
    while !sched.exiting.load(Ordering::Acquire) {
        wake::make_threads(sched, m);
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
            // Relaxed: sysmon sleeps a period longer or less long by it.
            sched.untidy.store(tidy::tidy(sched), Ordering::Relaxed);
        }
        if asked(Errand::Unguarded) {
            (sched.hooks.report)(sched, UNGUARDED);
        }
        if asked(Errand::Fence) {
            (sched.hooks.report)(sched, FENCE_LOST);
        }
        if asked(Errand::Trouble) {
            // Relaxed: sysmon sleeps longer or less long by it.
            sched.look_when.store((duties.trouble)(sched), Ordering::Relaxed);
        }
        // Cleared before the next round looks: what is asked for from here on is found there, or sets the note anew.
        sched.template_note.sleep();
        sched.template_note.clear();
    }
}

/// Gs wait because there was no thread for a P.
pub fn try_again(sched: &Sched, m: MRef) {
    // Timers may be due that only a thread which is not there would see.
    while_firing(sched, || {
        for p in sched.timed_ps() {
            let now = now();
            if p.timers.first() <= now {
                // SAFETY: callbacks ready Gs, for which this M need not hold a P: they go to the global queue.
                unsafe { Timers::run(p, m, now) };
            }
        }
    });
    wake::look_again(sched, m);
}

/// RESCUE-4 in rescue.rs.
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

/// N3 in quiet.rs.
fn while_firing(sched: &Sched, fire: impl FnOnce()) {
    sched.lock.lock().firing = true;
    fire();
    sched.lock.lock().firing = false;
    quiet::tell(sched);
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
