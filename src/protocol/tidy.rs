//! What a spike of load leaves behind goes back to the system.
//!
//! # Problem
//! Ten thousand Gs at once leave ten thousand stacks with memory behind them, in the pool and in the caches of Ps. Most
//! programs never need them again, but a program whose load comes in pulses needs them in a second. And the system may
//! work for a long time on memory that goes back, so no thread that others wait for may do it.
//!
//! # Words
//! * `sched.tidy`: the number of periods that have ended (low half) and of releases (high half). Any thread adds to it.
//! * `P::tidied`: what the owner of the P has seen of it. Owner: the M.
//! * `P::watch.tidy_tick`: `schedtick` of the P when the tidier looked last. Owner: the tidier.
//!
//! # Protocol
//! The tidier, the template thread (sched/template.rs), once in each [`PERIOD`]:
//! * T1 the pool gives the memory of those stacks to the system that no G has needed for some periods
//!   ([`StackPool::age`](crate::fiber::stack::StackPool::age));
//! * T2 `tidy` counts one more period;
//! * T3 each idle P on which nothing ran since the last look hands its whole cache to the pool, where the stacks age.
//!
//! The owner of a P, on g0, whenever it is this P's turn to look at the global queue, and when a slice was ended:
//! * T4 `tidy` is not what the owner saw last: the stacks at the bottom of the cache that were not needed since then go
//!   to the pool.
//!
//! A caller of [`release`]:
//! * R1 `tidy` counts one more release: at T4 each owner gives the memory of its whole cache to the system;
//! * R2 the memory of what idle Ps keep, and of all that is in the pool, goes to the system.
//!
//! # Invariants
//! * T-I1 the cache of an idle P belongs to the holder of `sched.lock`: a P leaves Idle under that lock only, and a
//!   barrier that has frozen the idle list does not touch caches.
//! * T-I2 `sched.lock` is held for one P at a time, and no system call is made under it.
//!
//! # Rejected
//! Halving what is left in each period: a load with a pulse every few seconds would lose half its stacks between two of
//! them. Giving memory back where a G ends: a system call of microseconds on a path of nanoseconds.
//!
//! # Differences from Go
//! Go frees stacks when its collector runs, and its scavenger gives memory to the system.

use crate::fiber::stack::Stack;
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::sync::Ordering;
use std::mem::MaybeUninit;

/// How often the tidier comes, in nanoseconds.
pub const PERIOD: i64 = 2_000_000_000;

const ONE_RELEASE: u64 = 1 << 32;
/// How many stacks are taken from an idle P under one hold of the lock.
const AT_ONCE: usize = 16;

/// T1 to T3. False: nothing ran in this period, and nothing is left that would go back later.
pub fn tidy(sched: &Sched) -> bool {
    let mut more = sched.stacks.age();
    // Relaxed: a count. A P that sees it late tidies late.
    sched.tidy.fetch_add(1, Ordering::Relaxed);
    for p in sched.live_ps() {
        let tick = p.schedtick.get();
        let ran = p.watch.tidy_tick.replace(tick) != tick;
        let kept = p.stacks_kept() != 0;
        if kept && !ran {
            idle_stacks(sched, p, |stacks| sched.stacks.free_batch(stacks));
        }
        more |= kept || ran;
    }
    more
}

/// Before [`release`], for a caller that may have a P: its cache goes to the pool, where R2 finds it.
pub fn drain_own(sched: &Sched, m: Option<MRef>) {
    if let Some(pp) = m.as_ref().and_then(|m| m.p()) {
        pp.take_unneeded(true, |stacks| sched.stacks.free_batch(stacks));
    }
}

/// R1 and R2, for a caller in any context.
pub fn release(sched: &Sched) {
    // Relaxed: as above.
    sched.tidy.fetch_add(ONE_RELEASE, Ordering::Relaxed);
    for p in sched.live_ps().filter(|p| p.stacks_kept() != 0) {
        idle_stacks(sched, p, |stacks| sched.stacks.free_cold(stacks));
    }
    sched.stacks.trim(0);
}

/// Takes what an idle P keeps, and gives it to `each` when the lock is open again (T-I2).
pub fn idle_stacks(sched: &Sched, p: PRef, mut give: impl FnMut(&[Stack])) {
    loop {
        let mut out = [const { MaybeUninit::<Stack>::uninit() }; AT_ONCE];
        let n = {
            let _lk = sched.lock.lock();
            if p.status() != PStatus::Idle {
                return;
            }
            // SAFETY: T-I1.
            unsafe { p.take_idle_stacks(&mut out) }
        };
        if n == 0 {
            return;
        }
        // SAFETY: the first n were written.
        give(unsafe { std::slice::from_raw_parts(out.as_ptr().cast(), n) });
    }
}

/// T4.
#[inline(always)]
pub fn look(sched: &Sched, pp: &OwnedP) {
    if pp.tidied.get() != sched.tidy.load(Ordering::Relaxed) {
        look_slow(sched, pp);
    }
}

#[cold]
#[inline(never)]
fn look_slow(sched: &Sched, pp: &OwnedP) {
    let now = sched.tidy.load(Ordering::Relaxed);
    let all = (now ^ pp.tidied.replace(now)) >= ONE_RELEASE;
    pp.take_unneeded(all, |stacks| {
        if all {
            sched.stacks.free_cold(stacks);
        } else {
            sched.stacks.free_batch(stacks);
        }
    });
}
