//! The watchdog, Go's sysmon: a thread without a P that does what no other thread would do.
//!
//! In each round it takes Ps from long syscalls, ends slices that are over, gets a thread for an overdue timer, and
//! moves the cheap clock. It never waits for the host: it makes no thread, takes no memory, opens and writes no file.
//! For such work it asks the template thread (template.rs): to try again where there was no thread, to count the CPUs
//! once a second, to write `schedtrace`, to return memory to the system.
//!
//! At first there is a round every 20 us. After a millisecond with nothing to do the rounds become rarer, down to one
//! in 10 ms. A step whose time is known, as the end of a slice for which a G waits, has a round of its own. When every
//! P has been idle for a while, it sleeps until a P is used again or a timer is due: the deep sleep.

use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::protocol::preempt::{self, preempt_one};
use crate::protocol::{netpoll, rescue, seize, store, syscall, tidy, wake};
use crate::sched::template::{self, Errand};
use crate::sched::turns;
use crate::sync::{Ordering, now};
use crate::sys;

const SHORTEST: i64 = 20_000;
const LONGEST: i64 = 10_000_000;
/// How late a timer may be before sysmon calls another thread for it: until then the thread that is about to run it
/// anyway is not disturbed.
const GRACE: i64 = 200_000;
/// How long to leave between two looks at a timer that is late already.
const LATE: i64 = 1_000_000;
/// After so many rounds with nothing to do the rounds become rarer.
const PATIENCE: u32 = 50;
/// How often the number of CPUs is counted.
const LOOK_EVERY: i64 = 1_000_000_000;

/// How often to check whether a lack of threads or stacks keeps everything from moving.
const LACK_EVERY: i64 = 100_000_000;

/// How long a stop of the world or a barrier may wait before a report says for what, in ns.
pub const SLOW_WAIT: i64 = 5_000_000_000;

/// The last check for a deadlock: the number of slices at that time, and when the next check may come.
struct Looked {
    slices: u64,
    next: i64,
}

/// The watchdog's loop, until the end of the runtime.
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
    let mut told_wait = 0;
    let mut tidy_when = now() + tidy::PERIOD;
    let mut head = rescue::Head::default();
    let mut again = NEVER;
    // RESCUE-7: whether threads run without Ps that were held.
    let mut let_go = false;
    let mut open_turns = 0;
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
        let deep = rest(sched, delay, again, &mut slices, if untidy { tidy_when } else { NEVER }, &mut looked);
        let now = now();
        if deep && !untidy {
            // It was a deep sleep, and a P is used again.
            sched.untidy.store(true, Ordering::Relaxed);
            tidy_when = now + tidy::PERIOD;
        }
        sched.coarse.set(now);
        turns::look(sched, &mut open_turns, now);
        let look = syscall::retake(sched, m, sched.busy_ps(), now);
        let mut did = look.did;
        again = look.again;
        // RESCUE-7
        if let_go || sched.nhogs() > 0 {
            if !rescue::all_stuck(sched, now) {
                if std::mem::take(&mut let_go) {
                    syscall::hold_later(sched);
                }
            } else if seize::let_go(sched) {
                (did, let_go) = (true, true);
            }
        }
        syscall::hold_those_out(sched);
        if sched.hogs.has_news() {
            template::ask(sched, Errand::Hog);
        }
        did |= overdue_timers(sched, m, now);
        did |= rescue::hurry_global(sched, &mut head, now);
        netpoll::tell_if_lost(sched);
        // NETPOLL-C4
        if netpoll::next_look(sched).is_some_and(|when| when <= now) && netpoll::look(sched, m) > 0 {
            wake::wakep(sched, m);
        }
        let tell = now >= tell_when;
        if tell {
            tell_when = now + preempt::AGAIN;
        }
        preempt::tell(sched, tell);
        if starved(sched, m) && now >= lack_when {
            lack_when = now + LACK_EVERY;
            template::ask(sched, Errand::Trouble);
        }
        let waits = sched.world_waits.get();
        if waits != 0 && waits != told_wait && now >= waits + SLOW_WAIT {
            told_wait = waits;
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
                // The previous line has not been written yet.
                sys::stderr::drop_line();
            }
        }
        idle = if did { 0 } else { idle.saturating_add(1) };
    }
}

/// Sleeps for `delay`, or until `again`; or, if nothing has run for long, deeply: until the first use of a P, or until
/// `latest`. Returns whether it was a deep sleep.
fn rest(sched: &Sched, delay: i64, again: i64, slices: &mut u64, latest: i64, looked: &mut Looked) -> bool {
    let mut quiet = delay >= LONGEST && sched.schedtrace_ms.get() == 0;
    if quiet {
        // The first user of a P after a deep sleep must wake sysmon. That must not become one wake for each timer.
        let now = sched.live_ps().fold(0u64, |n, p| n.wrapping_add(p.schedtick.get()));
        quiet = std::mem::replace(slices, now) == now;
    }
    let mut until = (now() + delay).min(again.max(now() + SHORTEST));
    let mut deep = false;
    if quiet {
        let lk = sched.lock.lock();
        let all_idle = sched.npidle.load(Ordering::Relaxed) >= sched.procs() || lk.stopping;
        // RESCUE-7: a stop for the Ps may wait for code that waits for a held thread.
        let is_held = !lk.exact && sched.nhogs() > 0;
        if all_idle
            && !is_held
            && !sched.thread_wanted.load(Ordering::Relaxed)
            && sched.stackwait_len.load(Ordering::Relaxed) == 0
            && !sched.exiting.load(Ordering::Relaxed)
        {
            sched.sysmon_parked.store(true, Ordering::Relaxed);
            // A timer waiter watches the timers.
            until = latest;
            deep = true;
        }
    }
    if deep {
        until = until.min(look_for_deadlock(sched, *slices, looked));
    }
    let waits = sched.world_waits.get();
    if waits != 0 && deep {
        until = until.min((waits + SLOW_WAIT).max(now() + LONGEST));
    }
    // If there is no timer waiter, sysmon watches the timers.
    let first = wake::next_timer(sched);
    if first != NEVER && sched.timer_waiter.load(Ordering::Relaxed).is_null() {
        // One that is late waits for the end of a slice, of which `again` tells.
        let (now, late) = (now(), first.saturating_add(GRACE));
        until = until.min(if late > now { late.max(now + SHORTEST) } else { now + LATE });
    }
    if let Some(when) = netpoll::next_look(sched) {
        until = until.min(when.max(now() + SHORTEST));
    }
    let deadline = (until != NEVER).then_some(until);
    if sched.sysmon_note.sleep_until(deadline) {
        sched.sysmon_note.clear();
    }
    if sched.sysmon_parked.load(Ordering::Relaxed) {
        sched.sysmon_parked.store(false, Ordering::Relaxed);
    }
    deep
}

/// Finds a thread for timers that are late, because their P runs a long G or the timer waiter was given a P.
fn overdue_timers(sched: &Sched, m: MRef, now: i64) -> bool {
    let mut did = false;
    for p in sched.timed_ps().filter(|p| p.timers.first() < now - GRACE) {
        if rescue::timers_wait(sched, p, now) {
            did |= template::ask(sched, Errand::Timers);
        } else if sched.npidle.load(Ordering::Relaxed) > 0 {
            // A searcher looks at the timers of all Ps.
            wake::start_searcher(sched, m);
            return did || !sched.thread_wanted.load(Ordering::Relaxed);
        } else {
            // If it runs the host's code, the end of its slice has a round of its own.
            did |= preempt_one(p) && !p.in_host(p.word());
        }
    }
    did
}

/// Called before a deep sleep: perhaps all Gs wait forever. The template thread finds that out, once each time that
/// everything went idle. Returns until when to sleep, since the template thread may want to look again.
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

/// Helps Gs that wait because there was no thread or no memory. Returns whether there are any.
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
