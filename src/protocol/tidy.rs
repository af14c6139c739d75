//! Gives the memory of unused stacks back to the system after a spike of load.
//!
//! # Problem
//! Ten thousand Gs at once leave ten thousand stacks, with memory behind them, in the pool and in the caches of Ps.
//! Most programs never need these stacks again; a program whose load comes in pulses needs them again within a second.
//! And the system may work for a long time on memory that it gets back, so no thread that others wait for may return
//! memory.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | period | [`PERIOD`], the time between two looks of the tidier | |
//! | `sched.tidy` | the number of periods that have ended (low half), and of releases (high half) | any thread adds |
//! | `P::tidied` | the value of `sched.tidy` that the owner of the P saw last | the owner |
//! | `P::watch.tidy_tick` | `schedtick` of the P at the tidier's last look | the tidier |
//!
//! # Protocol
//! The tidier, which is the template thread (sched/template.rs), once in each period:
//! * TIDY-T1 the pool returns the memory of those stacks that no G has needed for some periods
//!   ([`StackPool::age`](crate::fiber::stack::StackPool::age));
//! * TIDY-T2 count one more period in `tidy`;
//! * TIDY-T3 move the whole cache of each idle P on which nothing ran since the last look to the pool, where the stacks
//!   age.
//!
//! The owner of a P, on g0, whenever it is this P's turn to look at the global queue, and when a slice was ended:
//! * TIDY-T4 if `tidy` is not the value that the owner saw last, move the stacks at the bottom of the cache that were
//!   not needed since then to the pool.
//!
//! A caller of [`release`]:
//! * TIDY-R1 count one more release in `tidy`: so in TIDY-T4 each owner returns the memory of its whole cache to the
//!   system;
//! * TIDY-R2 return the memory in the caches of idle Ps, and of all stacks in the pool.
//!
//! # Invariants
//! * TIDY-I1 the cache of an idle P belongs to the holder of `sched.lock`: a P leaves Idle only under that lock, and a
//!   barrier that has frozen the idle list does not touch caches.
//! * TIDY-I2 `sched.lock` is held for one P at a time, and no system call is made under it.
//!
//! # Rejected
//! * Halve the rest in each period: a load with a pulse every few seconds would lose half its stacks between two
//!   pulses.
//! * Return memory where a G ends: a system call of microseconds on a path of nanoseconds.
//!
//! # Differences from Go
//! Go frees stacks when its collector runs, and its scavenger returns memory to the system.

use crate::fiber::stack::Stack;
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::sync::Ordering;
use std::mem::MaybeUninit;

/// The time between two looks of the tidier, in nanoseconds.
pub const PERIOD: i64 = 2_000_000_000;

const ONE_RELEASE: u64 = 1 << 32;
/// How many stacks are taken from an idle P under one hold of the lock.
const AT_ONCE: usize = 16;

/// TIDY-T1 to TIDY-T3. False if nothing ran in this period and nothing is left that would be returned later.
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

/// To be called before [`release`] by a caller that may have a P: moves the cache of that P to the pool, where TIDY-R2
/// finds it.
pub fn drain_own(sched: &Sched, m: Option<MRef>) {
    if let Some(pp) = m.as_ref().and_then(|m| m.p()) {
        pp.take_unneeded(true, |stacks| sched.stacks.free_batch(stacks));
    }
}

/// TIDY-R1 and TIDY-R2, for a caller in any context.
pub fn release(sched: &Sched) {
    // Relaxed: as above.
    sched.tidy.fetch_add(ONE_RELEASE, Ordering::Relaxed);
    for p in sched.live_ps().filter(|p| p.stacks_kept() != 0) {
        idle_stacks(sched, p, |stacks| sched.stacks.free_cold(stacks));
    }
    sched.stacks.trim(0);
    crate::sys::heap::trim();
}

/// Takes the stacks in the cache of an idle P, and passes them to `give` after the unlock (TIDY-I2).
pub fn idle_stacks(sched: &Sched, p: PRef, mut give: impl FnMut(&[Stack])) {
    loop {
        let mut out = [const { MaybeUninit::<Stack>::uninit() }; AT_ONCE];
        let n = {
            let _lk = sched.lock.lock();
            if p.status() != PStatus::Idle {
                return;
            }
            // SAFETY: TIDY-I1.
            unsafe { p.take_idle_stacks(&mut out) }
        };
        if n == 0 {
            return;
        }
        // SAFETY: the first n were written.
        give(unsafe { std::slice::from_raw_parts(out.as_ptr().cast(), n) });
    }
}

/// TIDY-T4.
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
