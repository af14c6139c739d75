//! How long goroutines run without a call by which their P could change hands, as the watchdog sees it.
//!
//! A turn is the time during which one goroutine runs on a P and neither leaves it, nor enters a syscall, nor answers a
//! request. A goroutine that is asked to give up its P, which happens after a slice, ends its turn at its next safe
//! point: so a turn that is much longer than a slice is a computation without polls, and turns show the goroutines
//! that others wait for.
//!
//! To time each turn would need the clock at each switch. The watchdog looks at all busy Ps anyway, 20 us to 10 ms
//! after its last look (sysmon.rs), and the counts of a P say whether the turn is still the one that it saw before. A
//! turn that two looks saw is counted when a look finds it ended, as the time since the first look that saw it: both
//! ends are late by at most the time between two looks. Turns between two looks are not seen.
//!
//! # Rejected
//! * The time of the last look that saw the turn as its end: it makes each turn shorter by half a look on average.
//! * To count a turn while it lasts: it would be counted again when it is longer.

use crate::gmp::m::MRef;
use crate::gmp::p::{PRef, PStatus};
use crate::gmp::sched::Sched;

/// A look at all busy Ps. `open`: how many turns the last look saw for the second time, or more; owner: the watchdog.
pub fn look(sched: &Sched, open: &mut usize, now: i64) {
    let mut last = *open;
    *open = 0;
    for p in sched.busy_ps() {
        last -= usize::from(p.watch.turn_lasts.get()).min(last);
        *open += usize::from(look_at(sched, p, now));
    }
    if last != 0 {
        // The P has gone idle, or is gone.
        *open = 0;
        for p in sched.every_p().filter(|p| p.watch.turn_lasts.get()) {
            if p.status() == PStatus::Running {
                *open += 1;
            } else {
                end(sched, p, now);
            }
        }
    }
}

/// Whether a turn lasts.
fn look_at(sched: &Sched, p: PRef, now: i64) -> bool {
    let watch = &p.watch;
    let w = p.word();
    // SAFETY: null or an M, and Ms are never freed.
    let runs = unsafe { MRef::from_ptr(p.m()) }.is_some_and(|m| m.g().is_some());
    if w.status() != PStatus::Running || !runs || p.in_syscall(w) {
        end(sched, p, now);
        return false;
    }
    // Each of these only rises.
    let stats = &p.stats;
    let turn = [&p.schedtick, &stats.switches, &stats.preempts, &stats.syscalls];
    let turn = turn.into_iter().fold(0u64, |sum, n| sum.wrapping_add(n.get()));
    if watch.turn.get() == turn && watch.turn_since.get() != 0 {
        watch.turn_lasts.set(true);
        return true;
    }
    end(sched, p, now);
    watch.turn.set(turn);
    watch.turn_since.set(now);
    false
}

fn end(sched: &Sched, p: PRef, now: i64) {
    let watch = &p.watch;
    let since = watch.turn_since.replace(0);
    if watch.turn_lasts.replace(false) {
        sched.stats.turns.record(now - since);
    }
}
