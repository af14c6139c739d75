//! The looks that the watchdog has the template thread take when nothing moves: for Gs that lack a thread or a stack,
//! for a deadlock that no `gmx_main` waits to report, and for a stop of the world or a barrier that takes long.
//!
//! Each is reported once, until something has moved again.

use super::main_g::Stuck;
use super::{apart, main_g, report};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sched::sysmon::SLOW_WAIT;
use crate::sync::{Ordering, now};

/// How long nothing must have moved before the lack of a thread or a stack is reported, in ns.
const PATIENCE: i64 = 1_000_000_000;
/// A lack that was not seen for this long is over, in ns.
const FORGOTTEN: i64 = 1_000_000_000;
/// The time between two looks for a deadlock, at first and at most, in ns.
const LOOK_EVERY: i64 = 1_000_000_000;
const LOOK_AT_MOST: i64 = 16_000_000_000;

/// The amount of progress: each P counts the turns of Gs and the syscalls.
fn moves(sched: &Sched) -> u64 {
    sched.every_p().fold(0, |n, p| n.wrapping_add(p.stats.switches.get()).wrapping_add(p.stats.syscalls.get()))
}

/// Whether a G runs on this P, other than in a syscall.
fn computes(p: PRef) -> bool {
    // SAFETY: null or an M.
    let m = unsafe { MRef::from_ptr(p.m()) };
    p.seen_status() == PStatus::Running && m.is_some_and(|m| m.ctx() == Ctx::G)
}

/// The results of the last looks.
pub struct Trouble {
    /// Since when nothing has moved while a thread or a stack was lacking, and `moves` at that time. 0: there was no
    /// lack.
    since: i64,
    moves: u64,
    /// When the lack was seen last.
    seen: i64,
    told: bool,
    /// The time until the next look for a deadlock.
    look_again: i64,
    /// The stop or the barrier that was last reported, by its beginning.
    slow_wait: i64,
    /// `moves` when a deadlock was last reported.
    deadlock_at: Option<u64>,
}

impl Default for Trouble {
    fn default() -> Trouble {
        Trouble { since: 0, moves: 0, seen: 0, told: false, look_again: LOOK_EVERY, slow_wait: 0, deadlock_at: None }
    }
}

impl Trouble {
    /// Takes a look; returns when to look again.
    pub fn look(&mut self, sched: &Sched) -> i64 {
        let waits = sched.world_waits.get();
        if waits != 0 && waits != self.slow_wait && now() - waits >= SLOW_WAIT && apart::tell(sched, report::slow_wait)
        {
            self.slow_wait = waits;
        }
        let threads = sched.thread_wanted.load(Ordering::Relaxed);
        if threads || sched.stackwait_len.load(Ordering::Relaxed) != 0 {
            self.lack(sched, threads);
            return NEVER;
        }
        self.deadlock(sched)
    }

    fn lack(&mut self, sched: &Sched, threads: bool) {
        let (now, moves) = (now(), moves(sched));
        let over = now - std::mem::replace(&mut self.seen, now) > FORGOTTEN;
        if over || moves != self.moves || sched.busy_ps().any(computes) || sched.every_m().any(|m| m.out.get()) {
            (self.since, self.moves, self.told) = (now, moves, false);
        } else if !self.told && now - self.since >= PATIENCE {
            self.told = apart::tell(sched, if threads { report::lack_of_threads } else { report::lack_of_stacks });
        }
    }

    fn deadlock(&mut self, sched: &Sched) -> i64 {
        if main_g::waits() {
            // That thread looks itself.
            return NEVER;
        }
        sched.watchers.fetch_add(1, Ordering::SeqCst);
        let state = main_g::stuck(sched, sched.watch.now());
        sched.watchers.fetch_sub(1, Ordering::SeqCst);
        let moves = moves(sched);
        match state {
            Stuck::No => NEVER,
            Stuck::Yes => {
                if self.deadlock_at != Some(moves) && apart::tell(sched, report::deadlock_of_threads) {
                    self.deadlock_at = Some(moves);
                }
                NEVER
            }
            // A thread that the library does not know does not report its end.
            Stuck::Perhaps | Stuck::Changed => {
                let moved = std::mem::replace(&mut self.moves, moves) != moves;
                self.look_again = if moved { LOOK_EVERY } else { (self.look_again * 2).min(LOOK_AT_MOST) };
                now() + self.look_again
            }
        }
    }
}
