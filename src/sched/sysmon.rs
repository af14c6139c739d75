//! The watchdog: a thread without a P that sees to what nobody else would.
//!
//! It takes Ps from syscalls that last, ends slices, starts somebody for a timer that is overdue, and moves the cheap
//! clock. It never waits for the host: it makes no thread, takes no memory, opens and writes no file. What needs one of
//! these it asks the template thread for (template.rs): another try where there was no thread, the number of CPUs once
//! a second, `schedtrace`, memory that goes back to the system.
//!
//! It looks every 20 us at first, after a millisecond of nothing to do less and less often, at last every 10 ms; and
//! when every P has been idle for a while it sleeps until a P is used again or a timer is due.

use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::protocol::preempt::{self, preempt_one};
use crate::protocol::{rescue, store, syscall, tidy, wake};
use crate::sched::template::{self, Errand};
use crate::sync::{Ordering, now};
use crate::sys;

const SHORTEST: i64 = 20_000;
const LONGEST: i64 = 10_000_000;
/// How late a timer may be before somebody else is found for it: those who are about to see to it anyway are not
/// disturbed.
const GRACE: i64 = 200_000;
/// Rounds without anything to do before it slows down.
const PATIENCE: u32 = 50;
/// How often the machine is looked at.
const LOOK_EVERY: i64 = 1_000_000_000;

/// How often it is looked whether what is lacking keeps all from moving.
const LACK_EVERY: i64 = 100_000_000;

/// The last look for a deadlock: after how many slices, and when there may be another.
struct Looked {
    slices: u64,
    next: i64,
}

/// Until the end of the runtime.
pub fn sysmon(sched: &Sched, m: MRef) {
    m.set_ctx(Ctx::Sched);
    sched.sysmon.set(m.as_ptr());
    let (mut idle, mut delay) = (0u32, SHORTEST);
    let mut slices = 0;
    let mut looked = Looked { slices: 0, next: 0 };
    let mut lack_when = now();
    let mut tell_when = now();
    let mut look_when = now() + LOOK_EVERY;
    let mut trace_when = now();
    let mut told = false;
    let mut tidy_when = now() + tidy::PERIOD;
    let mut head = rescue::Head::default();
    loop {
        if sched.exiting.load(Ordering::Acquire) {
            return;
        }
        if idle == 0 {
            delay = SHORTEST;
        } else if idle > PATIENCE {
            delay = (delay * 2).min(LONGEST);
        }
        let untidy = sched.untidy.load(Ordering::Relaxed);
        let deep = rest(sched, delay, &mut slices, if untidy { tidy_when } else { NEVER }, &mut looked);
        let now = now();
        if deep && !untidy {
            // A P is used again.
            sched.untidy.store(true, Ordering::Relaxed);
            tidy_when = now + tidy::PERIOD;
        }
        sched.coarse.set(now);
        let mut did = syscall::retake(sched, m, sched.busy_ps(), now);
        did |= overdue_timers(sched, m, now);
        did |= rescue::hurry_global(sched, &mut head, now);
        let again = now >= tell_when;
        if again {
            tell_when = now + preempt::AGAIN;
        }
        preempt::tell(sched, again);
        if starved(sched, m) && now >= lack_when {
            lack_when = now + LACK_EVERY;
            template::ask(sched, Errand::Trouble);
        }
        if now >= look_when {
            look_when = now + LOOK_EVERY;
            template::ask(sched, Errand::Look);
        }
        if !told && sched.stacks.unguarded() != 0 {
            told = true;
            template::ask(sched, Errand::Unguarded);
        }
        if sys::fence_is_lost() && sys::first_to_tell_of_it() {
            template::ask(sched, Errand::Fence);
        }
        if now >= tidy_when {
            tidy_when = now + tidy::PERIOD;
            template::ask(sched, Errand::Tidy);
        }
        let every = sched.schedtrace_ms.get() as i64 * 1_000_000;
        if every > 0 && now >= trace_when {
            trace_when = now + every;
            if !template::ask(sched, Errand::Trace) {
                // The one before has not been written yet.
                sys::stderr::drop_line();
            }
        }
        idle = if did { 0 } else { idle.saturating_add(1) };
    }
}

/// Sleeps for a moment; or, when it has long been quiet, until it is called, at the latest until `latest`. Whether it
/// was so.
fn rest(sched: &Sched, delay: i64, slices: &mut u64, latest: i64, looked: &mut Looked) -> bool {
    let mut quiet = delay >= LONGEST && sched.schedtrace_ms.get() == 0;
    if quiet {
        // Whoever uses a P after a deep sleep wakes us for it: that must not become one wake for each timer.
        let now = sched.live_ps().fold(0u64, |n, p| n.wrapping_add(p.schedtick.get()));
        quiet = std::mem::replace(slices, now) == now;
    }
    let mut until = now() + delay;
    let mut deep = false;
    if quiet {
        let lk = sched.lock.lock();
        let all_idle = sched.npidle.load(Ordering::Relaxed) >= sched.procs() || lk.stopping;
        if all_idle
            && !sched.thread_wanted.load(Ordering::Relaxed)
            && sched.stackwait_len.load(Ordering::Relaxed) == 0
            && !sched.exiting.load(Ordering::Relaxed)
        {
            sched.sysmon_deep.store(true, Ordering::Relaxed);
            // A keeper sees to the timers.
            until = latest;
            deep = true;
        }
    }
    if deep {
        until = until.min(look_for_deadlock(sched, *slices, looked));
    }
    // With a keeper there is somebody for the timers; without one they are sysmon's.
    let first = wake::next_timer(sched);
    if first != NEVER && sched.keeper.load(Ordering::Relaxed).is_null() {
        until = until.min(first.saturating_add(GRACE).max(now() + SHORTEST));
    }
    let deadline = (until != NEVER).then_some(until);
    if sched.sysmon_note.sleep_until(deadline) {
        sched.sysmon_note.clear();
    }
    if sched.sysmon_deep.load(Ordering::Relaxed) {
        sched.sysmon_deep.store(false, Ordering::Relaxed);
    }
    deep
}

/// Timers are late: their P runs a long G, or the keeper was put to work.
fn overdue_timers(sched: &Sched, m: MRef, now: i64) -> bool {
    let mut did = false;
    for p in sched.timed_ps().filter(|p| p.timers.first() < now - GRACE) {
        if rescue::timers_wait(sched, p, now) {
            did |= template::ask(sched, Errand::Timers);
        } else if sched.npidle.load(Ordering::Relaxed) > 0 {
            // A searcher looks at the timers of all.
            wake::start_searcher(sched, m);
            return did || !sched.thread_wanted.load(Ordering::Relaxed);
        } else {
            did |= preempt_one(p);
        }
    }
    did
}

/// Before a deep sleep: all may wait for good, which the template thread finds out, once for each time that all went
/// idle. Until when to sleep: it may want to look again.
fn look_for_deadlock(sched: &Sched, slices: u64, looked: &mut Looked) -> i64 {
    let now = now();
    let again = sched.look_when.load(Ordering::Relaxed);
    if slices == looked.slices && now < again {
        return again;
    }
    if now < looked.next {
        return looked.next;
    }
    *looked = Looked { slices, next: now + LOOK_EVERY };
    // Until it has answered.
    sched.look_when.store(looked.next, Ordering::Relaxed);
    template::ask(sched, Errand::Trouble);
    sched.look_when.load(Ordering::Relaxed)
}

/// Gs that wait because there was no thread or no memory when they needed it. Whether there are some.
fn starved(sched: &Sched, m: MRef) -> bool {
    let stacks = sched.stackwait_len.load(Ordering::Relaxed) > 0;
    if stacks {
        store::stack_came_free(m);
    }
    let threads = sched.thread_wanted.swap(false, Ordering::Relaxed);
    if threads {
        template::ask(sched, Errand::Thread);
    }
    stacks || threads
}
