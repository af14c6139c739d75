//! The loop on g0: how an M without a running goroutine finds the next one.
//!
//! The search looks in this order, and PARK-N1 to PARK-N4 say why: requests to the P, its due timers,
//! runnext, the global queue when its turn has come, the P's own queues, the global queue, the queues of other Ps. If
//! all are empty the M goes idle (wake.rs).

use crate::gmp::g::GRef;
use crate::gmp::m::MRef;
use crate::gmp::p::{FN, OwnedP, PREEMPT, PStatus, STOP};
use crate::gmp::probes;
use crate::gmp::sched::Sched;
use crate::gmp::timers::{NEVER, Timers};
use crate::protocol::park::{FAIR_TICK, is_fair_slice, is_fair_switch};
use crate::protocol::wake::{self, Idle};
use crate::protocol::{lockedm, netpoll, preempt, store, syscall, tidy};
use crate::sync::{Ordering, give_way, now, spin_loop};

/// The most Gs that a P takes from the global queue at once.
const GLOBAL_BATCH: usize = 32;
/// How many Gs a P takes, instead of its fair share, if Gs have waited in the global queue for two slices.
const LATE_BATCH: usize = 128;
/// Rounds over all Ps before a search ends; timers and runnext are stolen in the last. (One round in a model: each
/// further round multiplies the schedules.)
const STEAL_ROUNDS: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 4 };
/// Pauses before runnext of a running P is stolen: the owner is most likely about to run it.
const RUNNEXT_PAUSES: u32 = 100;

/// Returns the next G for this M, on its g0, and whether the G inherits the slice. None: the thread ends.
pub fn schedule(sched: &Sched, m: MRef) -> Option<(GRef, bool)> {
    loop {
        if m.exiting.get() {
            if m.p().is_some() {
                syscall::handoffp(sched, m, m.releasep());
            }
            return None;
        }
        if let Some(gp) = m.lockedg() {
            lockedm::wait(sched, m, gp);
            // The M that found it has counted its slice.
            return Some((gp, true));
        }
        let (gp, inherit) = match find_runnable(sched, m) {
            Found::G(gp, inherit) => (gp, inherit),
            Found::Again => continue,
            Found::Exit => return None,
        };
        wake::reset_spinning(sched, m);
        if !gp.lockedm.is_null() {
            if !inherit {
                m.must_p().schedtick.bump();
            }
            if let Idle::Exit = lockedm::startlockedm(sched, m, gp) {
                return None;
            }
            continue;
        }
        let pp = m.must_p();
        if !store::bind_stack(m, pp, gp) {
            store::wait_for_stack(m, gp);
            continue;
        }
        return Some((gp, inherit));
    }
}

enum Found {
    G(GRef, bool),
    Again,
    Exit,
}

/// Searches for a G, and sleeps if there is none. `handoffp` must check everything that is checked here (SYSCALL-Y2).
fn find_runnable(sched: &Sched, m: MRef) -> Found {
    let pp = m.must_p();
    let requests = pp.requests();
    let (mut slice_over, mut global_late) = (false, false);
    if requests != 0 {
        match serve(sched, m, requests) {
            Served::Found(found) => return found,
            Served::SliceOver => slice_over = true,
            Served::GlobalLate => global_late = true,
            Served::Nothing => {}
        }
    }
    // SAFETY: chosen is null or a G that was taken from our queue.
    if let Some(gp) = unsafe { GRef::from_ptr(m.chosen.take()) } {
        // Its slice was counted when it was chosen.
        return Found::G(gp, true);
    }
    let pp = m.must_p();
    if pp.timers.first() != NEVER {
        let now = now();
        while pp.timers.first() <= now {
            // SAFETY: we are on g0 and hold a P.
            unsafe { Timers::run(pp.p(), m, now) };
            // The next batch waits until some Gs that this one has readied have run, or until a request is served.
            if !pp.has_nothing() {
                break;
            }
            if pp.requests() != 0 {
                return Found::Again;
            }
        }
    }
    // PARK-N4
    if slice_over && let Some(gp) = after_slice(sched, pp) {
        return Found::G(gp, false);
    }
    // PARK-N1
    if let Some(gp) = pp.take_runnext() {
        return Found::G(gp, true);
    }
    // RESCUE-5
    if global_late
        && sched.globq_late.swap(false, Ordering::Relaxed)
        && let Some(gp) = take_global(sched, pp, LATE_BATCH)
    {
        return Found::G(gp, false);
    }
    // PARK-N2
    if (is_fair_slice(pp) || (pp.has_parents() && is_fair_switch(pp)))
        && let Some(found) = fair_turn(sched, m, pp)
    {
        return found;
    }
    // SEIZE-C1
    if sched.nhogs() > 0
        && !pp.runq_empty()
        && let Some(gp) = hog_turn(sched, pp)
    {
        return Found::G(gp, false);
    }
    // PARK-N3
    if let Some((gp, inherit)) = pp.get() {
        return Found::G(gp, inherit);
    }
    if let Some(gp) = from_global(sched, pp, GLOBAL_BATCH) {
        return Found::G(gp, false);
    }
    // NETPOLL-C2
    if ask_kernel(sched, m) {
        return Found::Again;
    }
    if m.spinning.get() || wake::may_spin(sched) {
        if !m.spinning.get() {
            wake::become_spinning(sched, m);
        }
        if let Some(gp) = steal(sched, m, pp) {
            pp.stats.steals.bump();
            return Found::G(gp, false);
        }
        if pp.requests() != 0 {
            return Found::Again;
        }
    }
    match wake::go_idle(sched, m) {
        Idle::Search | Idle::Requests => Found::Again,
        Idle::Exit => Found::Exit,
    }
}

/// NETPOLL-C2, NETPOLL-C3: whether Gs that waited for descriptors are in the queue of our P now.
fn ask_kernel(sched: &Sched, m: MRef) -> bool {
    if !netpoll::is_wanted(sched) {
        return false;
    }
    let alone = m.must_p().has_nothing();
    let n = netpoll::look(sched, m);
    if n > usize::from(alone) {
        wake::wakep(sched, m);
    }
    n > 0
}

/// PARK-N2: a turn for the Gs that the order of the P's own queues could keep waiting forever.
fn fair_turn(sched: &Sched, m: MRef, pp: &OwnedP) -> Option<Found> {
    let tick = pp.schedtick.get();
    if !is_fair_slice(pp) {
        // Suspended parents follow one another.
        return from_either(sched, pp).map(|gp| Found::G(gp, false));
    }
    tidy::look(sched, pp);
    // The turn of the backlog leaves the tick unchanged, so that it takes no turn from the global queue.
    if !(tick / FAIR_TICK).is_multiple_of(2) && pp.behind_tick.get() != tick {
        pp.behind_tick.set(tick);
        if let Some(gp) = pp.get_behind() {
            return Some(Found::G(gp, true));
        }
    }
    // NETPOLL-C3: behind the others.
    ask_kernel(sched, m);
    if let Some(gp) = from_global(sched, pp, 1) {
        return Some(Found::G(gp, false));
    }
    // Nothing waited there. The turn is over, also if an heir of the slice runs next.
    pp.schedtick.bump();
    None
}

/// SEIZE-C1: a held thread has a turn in spite of others if the last one here ended three slices ago.
#[cold]
fn hog_turn(sched: &Sched, pp: &OwnedP) -> Option<GRef> {
    let now = now();
    if now < pp.hog_when.get().saturating_add(sched.cfg.slice_ns.get().saturating_mul(3)) {
        return None;
    }
    pp.hog_when.set(now);
    sched.globrunqget_hog()
}

/// PARK-N4: the next G when a request has ended the slice, the only case in which runnext does not go first (PARK-K6).
#[cold]
fn after_slice(sched: &Sched, pp: &OwnedP) -> Option<GRef> {
    tidy::look(sched, pp);
    from_either(sched, pp)
}

/// Takes from the queue of the P or from the global queue, from each first every other time. A counter of its own
/// decides: a count of switches or slices may be in step with the Gs that run here, so that one of the two queues is
/// never first.
fn from_either(sched: &Sched, pp: &OwnedP) -> Option<GRef> {
    let turn = pp.turns.get();
    pp.turns.bump();
    if turn.is_multiple_of(2) {
        pp.get_queued().or_else(|| from_global(sched, pp, 1))
    } else {
        from_global(sched, pp, 1).or_else(|| pp.get_queued())
    }
}

/// The result of [`serve`].
enum Served {
    Found(Found),
    SliceOver,
    GlobalLate,
    Nothing,
}

/// Serves the requests to our P.
#[cold]
fn serve(sched: &Sched, m: MRef, requests: u64) -> Served {
    let pp = m.must_p();
    if requests & FN != 0 {
        preempt::run_safe_point_fn(sched, m, pp.p());
        return Served::Found(Found::Again);
    }
    if requests & STOP != 0 {
        // The chosen G goes back into runnext, where the next owner of this P finds it.
        // SAFETY: chosen is null or a G that was taken from our queue.
        if let Some(gp) = unsafe { GRef::from_ptr(m.chosen.take()) } {
            pp.put_next(gp);
        }
        if m.spinning.replace(false) {
            sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        }
        {
            let mut lk = sched.lock.lock();
            if let Err(pp) = preempt::stop_p(&mut lk, sched, m.releasep()) {
                m.acquirep(pp);
                return Served::Found(Found::Again);
            }
        }
        return Served::Found(match wake::stopm(sched, m) {
            Idle::Exit => Found::Exit,
            _ => Found::Again,
        });
    }
    if !pp.clear_request(PREEMPT) {
        return Served::Nothing;
    }
    if pp.slice_is_over(now(), sched.cfg.slice_ns.get()) {
        // PARK-N4. The G was in no queue for a moment: WAKE-S2 to WAKE-S5.
        if let Some(next) = pp.take_runnext() {
            sched.globrunqput(next);
            wake::wakep(sched, m);
        }
        return Served::SliceOver;
    }
    if sched.globq_late.load(Ordering::Relaxed) { Served::GlobalLate } else { Served::Nothing }
}

/// Takes a fair share of the global queue, at most `most`: returns one G to run, and puts the others into our queue.
fn from_global(sched: &Sched, pp: &OwnedP, most: usize) -> Option<GRef> {
    let len = sched.globq_len() as usize;
    if len == 0 {
        return None;
    }
    let share = len / sched.procs().max(1) as usize + 1;
    take_global(sched, pp, share.min(most))
}

/// Takes `n` Gs from the global queue, or as many as there are: returns one to run, and puts the others into our queue.
fn take_global(sched: &Sched, pp: &OwnedP, n: usize) -> Option<GRef> {
    let mut first = None;
    sched.globrunqget(n.min(pp.room() + 1), |gp| {
        if first.is_none() {
            first = Some(gp);
        } else {
            pp.put_tail(gp);
        }
    });
    first
}

/// Looks at every P that is not idle, beginning with a random one, in several rounds. The last round also looks at
/// timers, those of idle Ps too.
fn steal(sched: &Sched, m: MRef, pp: &OwnedP) -> Option<GRef> {
    for round in 0..STEAL_ROUNDS {
        let last = round == STEAL_ROUNDS - 1;
        if last && let Some(gp) = run_timers_of_others(sched, m, pp) {
            return Some(gp);
        }
        let busy = sched.busy_ps();
        let before = m.rng.next() as usize % busy.clone().count().max(1);
        for other in busy.clone().skip(before).chain(busy.take(before)) {
            if pp.requests() != 0 {
                return None;
            }
            if other == pp.p() {
                continue;
            }
            if last && other.has_one_parent() && other.seen_status() == PStatus::Running {
                // As below: the child is most likely about to begin, and runs before its parent.
                give_way();
                (0..RUNNEXT_PAUSES).take_while(|_| other.has_one_parent()).for_each(|_| spin_loop());
            }
            if let Some(gp) = other.steal(pp, last) {
                probes::steal(pp.p(), other);
                return Some(gp);
            }
            let next = other.runnext();
            if last && !next.is_null() {
                if other.seen_status() == PStatus::Running {
                    // Its owner is most likely about to run it, and may need this very CPU for that.
                    give_way();
                    (0..RUNNEXT_PAUSES).take_while(|_| other.runnext() == next).for_each(|_| spin_loop());
                }
                // If another G is in runnext by now, leave it: it deserves the same pause.
                if other.runnext() == next
                    && let Some(gp) = other.take_runnext()
                {
                    probes::steal(pp.p(), other);
                    return Some(gp);
                }
            }
        }
    }
    None
}

/// Runs the due timers of other Ps until they have readied a G for this one.
fn run_timers_of_others(sched: &Sched, m: MRef, pp: &OwnedP) -> Option<GRef> {
    for other in sched.timed_ps() {
        if pp.requests() != 0 {
            return None;
        }
        let first = other.timers.first();
        if other == pp.p() || first == NEVER {
            continue;
        }
        let now = now();
        if first <= now
            // SAFETY: this code is on g0 and holds a P.
            && unsafe { Timers::run(other, m, now) } > 0
            && let Some((gp, _)) = pp.get()
        {
            return Some(gp);
        }
    }
    None
}
