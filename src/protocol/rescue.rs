//! Frees Gs and timers that wait behind a P that does not answer, and Gs that wait too long in the global queue.
//!
//! # Problem
//! A G that computes for long without a safe point keeps its P from all that waits there: runnext, suspended parents,
//! the queue, due timers. An idle P would steal that work. A busy P steals nothing, since it always finds work of its
//! own. So while all other Ps are busy the work waits until that G is done, or forever.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | `watch` of a P | which slice sysmon saw there, since when, and whether the P is `deaf` in it | sysmon |
//! | PREEMPT in the P word | the owner has yet to end the slice, or to look at its timers | sysmon, the owner |
//! | `globq_late` | the same G has headed the global queue for two slices | sysmon sets, the P that looks clears |
//!
//! # Protocol
//! sysmon, at each look:
//! * RESCUE-1 call a P deaf when its slice has lasted for two slices and PREEMPT is still set. It is deaf until another
//!   slice begins there. (A P that can be taken from its G is taken instead: SEIZE-W1. That of a pinned G cannot.)
//! * RESCUE-2 take up to [`BATCH`] Gs from a deaf P, as any thief does: runnext, then parents, then the queue.
//! * RESCUE-3 put them into the global queue, then do WAKE-S2 to WAKE-S5. Every P takes Gs from there, however busy it
//!   is: at every 61st slice and when a slice ends (PARK-N2 and PARK-N4).
//! * RESCUE-4 ask the template thread to fire the timers of a P that has not answered PREEMPT, if they were due a slice
//!   ago. (sysmon does not fire them itself: a callback takes memory, and sysmon never waits for the host.) The Gs that
//!   they ready go to the global queue, behind all that waits there. A P that can be taken (seize.rs) gets the time for
//!   that first: its next owner fires the timers, and their Gs run at once.
//! * RESCUE-5 if the G at the head of the global queue is the same as two slices ago, set `globq_late` and preempt a P
//!   that answers. Its owner takes a batch from there, unless its slice has an heir in runnext; in that case sysmon
//!   asks again half a slice later.
//! * RESCUE-6 withdraw PREEMPT from a P whose slice has lasted for `PATIENCE` slices, and set it again during one slice
//!   in `SELDOM`. Each pending request, on any P, sends each `gmx_safepoint` of the process through its slow path, and
//!   the owner of a deaf P has shown that it does not look.
//! * RESCUE-7 while threads are held in the middle of their Gs: call a P stuck if it has passed no step of its schedule
//!   for `STUCK`, and was meanwhile, at each look, in no state in which a held thread gets it: idle, in a syscall, or
//!   with code that may be seized. If every P is stuck, let the held threads go (SEIZE-B2): what keeps the Ps may wait
//!   for a lock of the host that one of them has. Once some P is not stuck any more, have them held again.
//!
//! # Invariants
//! * RESCUE-I1 sysmon takes as a thief, and does nothing that only an owner may do. So a P that answers, stops or goes
//!   idle meanwhile just has fewer Gs than it expected, as after any theft.
//! * RESCUE-I2 between RESCUE-2 and RESCUE-3 the Gs are in no queue. An M that finds nothing then and goes idle is seen
//!   by WAKE-S2. Otherwise a P would idle beside work.
//! * RESCUE-I3 one look takes a bounded number of Gs, and holds no lock longer than a thief does.
//! * RESCUE-I4 RESCUE-7 is a guess: the words of a P are read one after another, while they change. Nothing depends on
//!   it, since a held thread may be let go at any time (SEIZE-B2). But a P that no held thread gets must not count as
//!   one that serves them, forever. So what is not known to serve one counts as stuck: a P that was stopped for a
//!   resize or is frozen for a barrier, one for which a thread is being made, an owner in the scheduler, in a commit or
//!   in the function of a barrier, pinned code, also while it calls the library.
//!
//! # Why it ends
//! A P that answers is not deaf. RESCUE-2 takes a batch from a deaf P at each look, and sysmon looks again and again
//! while it finds something to do.
//!
//! # Rejected
//! * Busy Ps that steal every now and then: all would pay for it, also when no P is deaf.
//! * To let held threads go as soon as all Ps are deaf: plain hogs make them so too, for some slices, and then more Gs
//!   run than there are Ps, all the time.
//! * A hand-off of the deaf P to another M: the G that runs on it still believes that it owns the P.
//!
//! # Differences from Go
//! Go sends a signal to interrupt a goroutine that does not answer. Code of the host cannot bear that.

use super::{preempt, wake};
use crate::gmp::g::{GList, GRef};
use crate::gmp::m::{Ctx, MRef, Outside};
use crate::gmp::p::{PREEMPT, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sync::{Ordering, has_asymmetric_fence};

/// The most Gs that one look takes from one P.
pub const BATCH: usize = if cfg!(any(loom, shuttle)) { 2 } else { 128 };

/// How late the timers of a P that does not answer may be at most, however long a slice is.
const SLICE: i64 = 10_000_000;
/// How late they may be on a P that can be taken: twice as long as three nudges last (SEIZE-W5).
const SEIZED: i64 = 100_000_000;

/// A deaf P is asked all the time for so many slices, and after that during one slice in `SELDOM`.
const PATIENCE: i64 = 5;
const SELDOM: i64 = 10;

/// RESCUE-1, for a P whose watch sysmon has just brought up to date.
pub fn is_deaf(p: PRef, slice: i64, now: i64) -> bool {
    if !p.watch.deaf.get() && ignores(p) && slices(p, slice, now) >= 2 {
        p.watch.deaf.set(true);
    }
    p.watch.deaf.get()
}

/// For how many slices the present slice of `p` has lasted.
fn slices(p: PRef, slice: i64, now: i64) -> i64 {
    now.saturating_sub(p.watch.sched_when.get()) / slice.max(1)
}

/// Whether the owner does not answer PREEMPT. (A P in a syscall is not asked.)
pub fn ignores(p: PRef) -> bool {
    let w = p.word();
    w.status() == PStatus::Running && (w.requests() & PREEMPT != 0 || p.watch.deaf.get())
}

/// RESCUE-6, for a deaf P.
pub fn ask_seldom(p: PRef, slice: i64, now: i64) {
    let lasted = slices(p, slice, now);
    let asks = lasted < PATIENCE || lasted % SELDOM == 0;
    match p.word().requests() & PREEMPT != 0 {
        false if asks => _ = p.request(PREEMPT),
        true if !asks => _ = p.clear_request(PREEMPT),
        _ => {}
    }
}

/// RESCUE-4: whether timers of this P wait for another thread to fire them.
pub fn timers_wait(sched: &Sched, p: PRef, now: i64) -> bool {
    let late = now - p.timers.first();
    late > SLICE.min(sched.cfg.slice_ns.get()) && ignores(p) && (late > SEIZED || is_kept(sched, p))
}

/// Whether a G keeps this P although it does not answer: the watchdog may not take the P from it (seize.rs). An owner
/// that is in the scheduler is about to look at its timers.
pub fn is_kept(sched: &Sched, p: PRef) -> bool {
    // SAFETY: null or an M, and Ms are never freed.
    let m = unsafe { MRef::from_ptr(p.m()) };
    let keeps = |m: MRef| m.pins() != 0 || (p.in_host(p.word()) && !m.may_lose_p());
    !sched.cfg.seizes.get() || m.is_some_and(|m| m.ctx() == Ctx::G && keeps(m))
}

/// RESCUE-7: for so long a P serves no held thread before it counts as stuck. A pin and a commit are shorter, unless
/// they wait.
const STUCK: i64 = 100_000_000;

/// RESCUE-7: whether every P is stuck. The watchdog asks at each look while there are threads that it is about.
pub fn all_stuck(sched: &Sched, now: i64) -> bool {
    // Each P is looked at, since its time counts from look to look.
    sched.live_ps().filter(|&p| !is_stuck(sched, p, now)).count() == 0
}

fn is_stuck(sched: &Sched, p: PRef, now: i64) -> bool {
    let tick = p.schedtick.get().wrapping_add(p.stats.syscalls.get()).wrapping_add(u64::from(p.word().tick()));
    if serves(sched, p) || p.watch.stuck_tick.get() != tick {
        p.watch.stuck_tick.set(tick);
        p.watch.stuck_when.set(now);
    }
    now - p.watch.stuck_when.get() >= STUCK
}

/// RESCUE-I4: whether a held thread gets this P in its turn.
fn serves(sched: &Sched, p: PRef) -> bool {
    let w = p.word();
    match w.status() {
        // Not those that a barrier has frozen.
        PStatus::Idle => sched.npidle.load(Ordering::Relaxed) != 0,
        PStatus::Running => {
            // SAFETY: null or an M, and Ms are never freed.
            let m = unsafe { MRef::from_ptr(p.m()) };
            m.is_some_and(|m| match m.outside(p.id, w) {
                Some(Outside::Left) => m.is_reached(),
                Some(Outside::Host) => has_asymmetric_fence() && m.may_lose_p(),
                None => false,
            })
        }
        _ => false,
    }
}

/// RESCUE-2 and RESCUE-3. True if there was something to take.
pub fn take_out(sched: &Sched, me: MRef, p: PRef) -> bool {
    // With a single P there is no other to run them.
    if sched.procs() < 2 || p.runq_empty() {
        return false;
    }
    let mut gs = GList::new();
    // RESCUE-I1, RESCUE-I3
    p.take_out(BATCH, |gp| gs.push_back(gp));
    if gs.is_empty() {
        return false;
    }
    // RESCUE-I2
    widen!();
    sched.globrunqput_all(&mut gs);
    wake::wakep(sched, me);
    true
}

/// What sysmon remembers of the global queue.
#[derive(Default)]
pub struct Head {
    gp: Option<GRef>,
    since: i64,
}

/// RESCUE-5. True if it asked a P.
pub fn hurry_global(sched: &Sched, head: &mut Head, now: i64) -> bool {
    let gp = sched.globrunq_head();
    if gp != head.gp {
        *head = Head { gp, since: now };
    }
    let slice = sched.cfg.slice_ns.get();
    if gp.is_none() || head.since.saturating_add(slice.saturating_mul(2)) > now {
        return false;
    }
    head.since = head.since.saturating_add(slice / 2);
    sched.globq_late.store(true, Ordering::Relaxed);
    // A P that ignores PREEMPT is skipped. If the asked P does not answer, the next look asks another.
    sched.busy_ps().any(preempt::preempt_one)
}
