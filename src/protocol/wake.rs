//! Who sleeps, who searches, who is woken.
//!
//! # Problem
//! Threads must not sleep while a G could run on an idle P, and must not be woken (20 to 50 us each) or kept searching
//! when there is nothing to find. Work appears on one thread while another goes to sleep; neither may miss the other.
//!
//! # Words
//! * run queues of the Ps, the global queue: written by their protocols; here they are "work".
//! * `npidle`: length of the idle list of Ps; written under `sched.lock`.
//! * `nmspinning`: Ms that search, plus Ms that were started to search; anybody, by read-modify-write.
//! * `midle`, `keeper`: sleeping Ms; under `sched.lock`.
//! * an M's `nextp` and note: the waker writes nextp, then sets the note.
//! * `newm`: Ps that wait for a thread to be made; under `sched.lock`. They are Running, and a stop waits for them.
//!
//! # Protocol
//! Submit (whoever put a G into a queue, also a G that yields to another):
//! * S1 put the G into a queue;
//! * S2 fence; if no P is idle, done: whoever has a P will look before it sleeps;
//! * S3 if somebody searches, done: it will find this G, or look again after it has stopped searching;
//! * S4 become the one who starts a searcher: CAS nmspinning 0 -> 1;
//! * S5 take an idle P and start an M on it, spinning. Without one, undo S4.
//!
//! Idle (an M that found nothing):
//! * I1 under `sched.lock`: look at the requests of the P and at the global queue once more, put the P into the idle
//!   list;
//! * I2 if it was searching: nmspinning - 1;
//! * I3 fence; look at every queue and every timer again. If there is something and an idle P: take it, search on;
//! * I4 otherwise sleep. The one that knows the earliest timer sleeps until then: the keeper. An M that arms an earlier
//!   timer while a P is idle tells the keeper, or starts a searcher that becomes it ([`timer_added`]); unless it goes
//!   idle next itself ([`timer_added_on_the_way`]). A keeper that is given a P counts as a searcher, so that it calls
//!   for the next keeper when it has found a G (F1).
//!
//! Found (a searching M has found a G):
//! * F1 nmspinning - 1, then S2 to S5 for the next one: work seldom comes alone.
//!
//! Thread (a waker has a P, and no M sleeps):
//! * N1 under `sched.lock`: the waker counts the thread and leaves the P in `newm`; then it wakes the template thread;
//! * N2 the template thread takes the P, makes an M and its thread, and gives the M the P as its nextp. If there is no
//!   memory or no thread, the P goes back to the idle list and its Gs to the global queue.
//!
//! A P that goes idle by other ways than this (a hand-off, a barrier, a resize) does I3 as well: [`look_again`].
//!
//! # Invariants
//! * W1 a P in the idle list has empty queues (it may have timers), otherwise I3, which skips idle Ps, misses a G.
//! * W2 nmspinning is never below the number of Ms that search, otherwise S3 trusts a searcher that is none.
//! * W3 an M is in `midle`, is the keeper, or is awake; each wake takes it out first, otherwise it gets two Ps.
//!
//! # Orderings
//! SUBMIT (the fence of S2) pairs with SPIN (the fence of I3): either the submitter sees npidle (or nmspinning) as the
//! idler left it and goes on to S4, or the idler's second look sees the G. A note's set pairs with its sleep: nextp.
//! TIMER (behind the arming of a timer) pairs with SPIN and with KEEPER (before a keeper asks for the earliest one):
//! either the armer sees who went idle, or keeps the timers, or they see the timer, and before it that its P has any
//! (`Shown` in gmp/timers.rs). (sysmon would, too, a while later.)
//!
//! # Why it ends
//! Each search is one pass over the Ps; who finds nothing sleeps. A wake is caused by a submit, a timer or a hand-off.
//!
//! # Rejected
//! A wake for each submit: a futex storm. A search over all Ps in a random order: with a thousand, of which ten are
//! busy, it was nine tenths of what the library did. A count of searchers alone (S3 before S2): when nobody searches
//! and no P is idle every submit would take `sched.lock`.
//!
//! A waker that makes the thread itself: it may be a thread of the host, or one that a G has changed, and a thread
//! inherits its maker's signal mask, affinity and scheduling class; and it would wait for the locks of malloc and of
//! the loader, which the host may hold for as long as it likes, with a P that others wait for.
//!
//! # Differences from Go
//! The template thread makes all threads; in Go it does so where the waker is locked to a G. Every M that idles looks
//! again (I3), not only a searching one; so S2 may trust npidle, and `needspinning` (#45867) is not needed. The keeper
//! does what a thread in netpoll does there; it is replaced without being woken.

use super::{idle, quiet};
use crate::gmp::g::GRef;
use crate::gmp::lock::SchedLocked;
use crate::gmp::m::{Ctx, Kind, MRef};
use crate::gmp::p::{FN, OwnedP, PRef, STOP};
use crate::gmp::sched::Sched;
use crate::gmp::timers::{NEVER, Timers};
use crate::sync::widen::widen;
use crate::sync::{Ordering, fence, now};

// ---- the keeper ------------------------------------------------------------------------------------------------------

fn count_wake(sched: &Sched, slept: bool) {
    if slept {
        sched.stats.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Wakes the keeper to look at the timers again, if it would sleep past `when`.
pub fn kick_keeper(sched: &Sched, when: i64) {
    if sched.keeper.load(Ordering::Acquire).is_null() || sched.keeper_until.load(Ordering::Relaxed) <= when {
        return;
    }
    let mut lk = sched.lock.lock();
    // SAFETY: the word holds null or an M; under the lock it is asleep, or about to be (its note keeps the wake).
    if let Some(m) = unsafe { MRef::from_ptr(sched.keeper.load(Ordering::Relaxed)) } {
        sched.keeper_until.store(when, Ordering::Relaxed);
        let sleeper = m.park.set();
        count_wake(sched, sleeper.is_some());
        lk.wake_after(sleeper);
    }
}

/// A P has a new first timer, and its G runs on, for how long it alone knows: an idle M becomes the keeper of the
/// timer. (Without this call sysmon finds the timer late. While all sleep it does not look at all.)
pub fn timer_added(sched: &Sched, me: MRef, when: i64) {
    // TIMER: pairs with SPIN in `go_idle` and with KEEPER in `settle`.
    fence(Ordering::SeqCst);
    if sched.npidle.load(Ordering::Relaxed) == 0 {
        return;
    }
    if sched.keeper.load(Ordering::Relaxed).is_null() {
        wakep_slow(sched, me);
    } else {
        kick_keeper(sched, when);
    }
}

/// As [`timer_added`], for a commit of the library's and a callback of a timer. On g0, and with nothing to run, this M
/// goes idle next and keeps the timer itself: no thread is woken for a sleep. On the stack of the next G it does not:
/// that G may compute.
pub fn timer_added_on_the_way(sched: &Sched, me: MRef, when: i64) {
    if me.ctx() != Ctx::Sched || me.p().is_none_or(|pp| !pp.has_nothing()) {
        timer_added(sched, me, when);
    }
}

// ---- submit ----------------------------------------------------------------------------------------------------------

/// S2 to S5: after a G was made runnable. `me` is the M of this thread, if it has one.
#[inline]
pub fn wakep(sched: &Sched, me: MRef) {
    // SUBMIT: pairs with SPIN in `go_idle`.
    fence(Ordering::SeqCst);
    wakep_fenced(sched, me);
}

/// As [`wakep`], behind a fence of the caller's (SUBMIT).
#[inline(always)]
pub fn wakep_fenced(sched: &Sched, me: MRef) {
    if sched.npidle.load(Ordering::Relaxed) != 0 {
        wakep_slow(sched, me);
    }
}

#[cold]
#[inline(never)]
fn wakep_slow(sched: &Sched, me: MRef) {
    // S3, S4
    if sched.nmspinning.load(Ordering::Relaxed) != 0
        || sched.nmspinning.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_err()
    {
        return;
    }
    widen!();
    // S5
    let mut lk = sched.lock.lock();
    if sched.thread_wanted.load(Ordering::Relaxed) && !idle::any_idle_m(sched, &lk) {
        // There is no thread to be had; sysmon asks again soon.
        sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        return;
    }
    match idle::pidleget(sched, &mut lk) {
        Some(pp) => startm_locked(sched, lk, me, pp, true),
        None => {
            sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Starts an M on a P.
pub fn startm(sched: &Sched, me: MRef, pp: OwnedP, spinning: bool) {
    startm_locked(sched, sched.lock.lock(), me, pp, spinning);
}

/// As [`startm`]; gives the lock up.
pub fn startm_locked<'a>(sched: &'a Sched, mut lk: SchedLocked<'a>, me: MRef, pp: OwnedP, spinning: bool) {
    let kept = !sched.keeper.load(Ordering::Relaxed).is_null();
    if let Some(m) = idle::mget(sched, &mut lk) {
        debug_assert!(!m.spinning.get());
        // I4: was it the keeper?
        let kept = kept && sched.keeper.load(Ordering::Relaxed).is_null();
        if kept && !spinning {
            sched.nmspinning.fetch_add(1, Ordering::SeqCst);
        }
        m.spinning.set(spinning || kept);
        // Under the lock (W3): whoever wakes by itself meanwhile finds the P, or is still in the list.
        m.set_nextp(pp);
        drop(lk);
        widen!();
        count_wake(sched, m.park.wakeup());
        return;
    }
    newm(sched, lk, me, pp, spinning);
}

/// Starts one more M to search, if there is an idle P and nobody searches.
pub fn start_searcher(sched: &Sched, me: MRef) {
    if sched.npidle.load(Ordering::Relaxed) != 0 {
        wakep_slow(sched, me);
    }
}

// ---- threads ---------------------------------------------------------------------------------------------------------

/// ENOMEM.
const NO_MEMORY: i32 = 12;

/// N1: has a thread made for a P.
fn newm<'a>(sched: &'a Sched, mut lk: SchedLocked<'a>, me: MRef, pp: OwnedP, spinning: bool) {
    if sched.cfg.no_more_threads(lk.nm) {
        sched.thread_errno.set(0);
        return no_thread(sched, lk, me, pp, spinning);
    }
    // Counted before the lock is dropped: a count of the threads contains this one (Go's #59600).
    lk.nm += 1;
    let p = pp.forget();
    let list = &mut lk.newm[usize::from(spinning)];
    p.idle_link.set(*list);
    *list = p.as_ptr();
    drop(lk);
    widen!();
    sched.template_note.wakeup();
}

/// N2: makes the threads that were asked for. For the template thread, whose M `me` is.
pub fn make_threads(sched: &Sched, me: MRef) {
    loop {
        let mut lk = sched.lock.lock();
        let Some((pp, spinning)) = take_newm(&mut lk) else { return };
        let free = take_mfree(&mut lk);
        drop(lk);
        let failed = match free.or_else(|| sched.malloc(Kind::Worker)) {
            Some(m) => {
                m.spinning.set(spinning);
                m.set_nextp(pp);
                try_start(sched, m).err().flatten()
            }
            None => {
                sched.lock.lock().nm -= 1;
                sched.thread_errno.set(NO_MEMORY);
                Some((pp, spinning))
            }
        };
        if let Some((pp, spinning)) = failed {
            no_thread(sched, sched.lock.lock(), me, pp, spinning);
        }
    }
}

/// A P that waits for a thread, and whether that is to search.
fn take_newm(lk: &mut SchedLocked<'_>) -> Option<(OwnedP, bool)> {
    let spinning = !lk.newm[1].is_null();
    let list = &mut lk.newm[usize::from(spinning)];
    // SAFETY: the list holds Ps.
    let p = unsafe { PRef::from_ptr(*list) }?;
    *list = p.idle_link.take();
    // SAFETY: `newm` has forgotten the token, and what is taken from the list is taken once.
    Some((unsafe { OwnedP::remember(p) }, spinning))
}

fn take_mfree(lk: &mut SchedLocked<'_>) -> Option<MRef> {
    // SAFETY: the list holds Ms.
    let m = unsafe { MRef::from_ptr(lk.mfree) }?;
    lk.mfree = m.link.take();
    Some(m)
}

/// Starts the thread of an M that is counted already; without one the M is free again, and not counted, and what it was
/// to run comes back.
fn try_start(sched: &Sched, m: MRef) -> Result<(), Option<(OwnedP, bool)>> {
    m.alive.set(true);
    m.exiting.set(false);
    // The thread itself writes it, first of all.
    m.thread.set(0);
    // SAFETY: the M is set up and nobody else has it.
    match unsafe { (sched.hooks.start_thread)(m) } {
        Ok(()) => return Ok(()),
        Err(errno) => sched.thread_errno.set(errno),
    }
    m.alive.set(false);
    // Before it is free: whoever takes it next gives it a P of his own.
    let spinning = m.spinning.replace(false);
    let back = m.take_nextp().map(|pp| (pp, spinning));
    let mut lk = sched.lock.lock();
    lk.nm -= 1;
    m.link.set(lk.mfree);
    lk.mfree = m.as_ptr();
    Err(back)
}

/// Makes the idle workers of the start: from then on there is always a thread to go on with. That is one worker, or all that
/// there will ever be. False if one of them could not be made.
#[must_use]
pub fn first_workers(sched: &Sched) -> bool {
    let n = if sched.cfg.sealed.get() { sched.cfg.max_threads.get() } else { 1 };
    (0..n).all(|_| first_worker(sched))
}

fn first_worker(sched: &Sched) -> bool {
    let m = {
        let mut lk = sched.lock.lock();
        lk.nm += 1;
        take_mfree(&mut lk)
    };
    match m.or_else(|| sched.malloc(Kind::Worker)) {
        Some(m) => try_start(sched, m).is_ok(),
        None => {
            sched.lock.lock().nm -= 1;
            false
        }
    }
}

/// No thread for this P: Gs wait their turn.
#[cold]
pub fn no_thread<'a>(sched: &'a Sched, mut lk: SchedLocked<'a>, me: MRef, mut pp: OwnedP, spinning: bool) {
    if spinning {
        sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
    }
    loop {
        drain_to_global(sched, &pp);
        // A G that waits with its own thread needs no other.
        if pp.requests() & (STOP | FN) == 0
            && let Some(gp) = sched.globrunqget_locked()
        {
            drop(lk);
            pp.schedtick.bump();
            return hand_to_locked(sched, gp, pp);
        }
        match idle::pidleput(sched, &mut lk, pp) {
            Ok(()) => break,
            Err((p, requests)) => match serve_for(sched, lk, me, p, requests) {
                Some((l, p)) => (lk, pp) = (l, p),
                None => return,
            },
        }
    }
    // sysmon tries again; another M may come by before.
    let news = !sched.thread_wanted.swap(true, Ordering::Relaxed);
    drop(lk);
    if news && sched.sysmon.get() != me.as_ptr() {
        sched.sysmon_deep.store(false, Ordering::Relaxed);
        sched.sysmon_note.wakeup();
    }
    quiet::tell(sched);
}

/// Gives a P to the M of a locked G, which sleeps or is about to.
pub fn hand_to_locked(sched: &Sched, gp: GRef, pp: OwnedP) {
    // SAFETY: lockedm of a locked G is its M.
    let Some(lm) = (unsafe { MRef::from_ptr(gp.lockedm.get()) }) else {
        crate::gmp::fatal::throw(sched, "a G lost its M");
    };
    lm.set_nextp(pp);
    widen!();
    count_wake(sched, lm.park.wakeup());
}

/// Moves the Gs of a P to the global queue.
pub fn drain_to_global(sched: &Sched, pp: &OwnedP) {
    while let Some((gp, _)) = pp.get() {
        sched.globrunqput(gp);
    }
}

/// Serves the requests to a P that `me` only carries: a stop takes it (None), after a barrier's function it is handed
/// back.
pub fn serve_for<'a>(
    sched: &'a Sched,
    mut lk: SchedLocked<'a>,
    me: MRef,
    pp: OwnedP,
    requests: u64,
) -> Option<(SchedLocked<'a>, OwnedP)> {
    if requests & FN != 0 {
        drop(lk);
        super::preempt::run_safe_point_fn(sched, me, pp.p());
        return Some((sched.lock.lock(), pp));
    }
    debug_assert!(requests & STOP != 0);
    super::preempt::stop_p(&mut lk, sched, pp).err().map(|pp| (lk, pp))
}

/// Puts a P that `me` carries into the idle list, after its requests were served (or leaves it to a stop).
pub fn pidleput_carried<'a>(sched: &'a Sched, mut lk: SchedLocked<'a>, me: MRef, mut pp: OwnedP) {
    loop {
        match idle::pidleput(sched, &mut lk, pp) {
            Ok(()) => return,
            Err((p, requests)) => match serve_for(sched, lk, me, p, requests) {
                Some((l, p)) => (lk, pp) = (l, p),
                None => return,
            },
        }
    }
}

// ---- search and sleep ------------------------------------------------------------------------------------------------

/// Whether a G waits in a queue. (Idle Ps have none: W1.)
fn any_work(sched: &Sched) -> bool {
    sched.globq_len() > 0 || sched.busy_ps().any(|p| !p.runq_empty())
}

/// When the next timer fires: of any P, without a lock (Go's #35375: never under `sched.lock` and a heap's).
pub fn next_timer(sched: &Sched) -> i64 {
    sched.next_timer()
}

/// I3 for a P that went idle elsewhere.
pub fn look_again(sched: &Sched, me: MRef) {
    // SPIN: pairs with SUBMIT in `wakep`.
    fence(Ordering::SeqCst);
    if sched.npidle.load(Ordering::Relaxed) == 0 {
        return;
    }
    let first = next_timer(sched);
    if any_work(sched) {
        wakep_slow(sched, me);
    } else if first < sched.keeper_until.load(Ordering::Relaxed) {
        // Its timers need a keeper: the one there is, or an M that finds nothing and becomes it.
        if sched.keeper.load(Ordering::Relaxed).is_null() {
            wakep_slow(sched, me);
        } else {
            kick_keeper(sched, first);
        }
    }
    quiet::tell(sched);
}

/// Whether one more M may search: at most half as many as Ps are busy.
pub fn may_spin(sched: &Sched) -> bool {
    let busy = sched.procs().saturating_sub(sched.npidle.load(Ordering::Relaxed));
    2 * sched.nmspinning.load(Ordering::Relaxed) < busy
}

pub fn become_spinning(sched: &Sched, m: MRef) {
    m.spinning.set(true);
    sched.nmspinning.fetch_add(1, Ordering::SeqCst);
}

/// F1: this M searched and found.
pub fn reset_spinning(sched: &Sched, m: MRef) {
    if m.spinning.replace(false) {
        sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        wakep(sched, m);
    }
}

/// What an M that found nothing is to do.
pub enum Idle {
    /// It has a P again: search.
    Search,
    /// Requests came for its P: serve them.
    Requests,
    /// The end of the thread.
    Exit,
}

/// I1 to I4, and back with a P.
pub fn go_idle(sched: &Sched, m: MRef) -> Idle {
    Timers::hide(m.must_p().p());
    // I1
    {
        let mut lk = sched.lock.lock();
        if sched.globq_len() > 0 {
            return Idle::Search;
        }
        if let Err((pp, _)) = idle::pidleput(sched, &mut lk, m.releasep()) {
            m.acquirep(pp);
            return Idle::Requests;
        }
    }
    widen!();
    // I2
    let was_spinning = m.spinning.replace(false);
    if was_spinning {
        let before = sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        debug_assert!(before > 0, "W2");
    }
    // I3. SPIN: pairs with SUBMIT in `wakep`.
    fence(Ordering::SeqCst);
    let first = next_timer(sched);
    let due = first != NEVER && first <= now();
    if due || any_work(sched) {
        let mut lk = sched.lock.lock();
        if let Some(pp) = idle::pidleget(sched, &mut lk) {
            drop(lk);
            m.acquirep(pp);
            become_spinning(sched, m);
            return Idle::Search;
        }
    }
    widen!();
    sleep_idle(sched, m, Some(first))
}

/// Sleeps until somebody brings a P (I4).
pub fn stopm(sched: &Sched, m: MRef) -> Idle {
    sleep_idle(sched, m, None)
}

/// `first`: the next timer, if it was asked for behind SPIN. (It walks over all Ps.)
fn sleep_idle(sched: &Sched, m: MRef, first: Option<i64>) -> Idle {
    debug_assert!(m.p().is_none() && !m.spinning.get());
    let old = m.swap_ctx(Ctx::Sched);
    m.parked.set(true);
    let mut until = {
        let mut lk = sched.lock.lock();
        if sched.exiting.load(Ordering::Relaxed) {
            m.parked.set(false);
            return Idle::Exit;
        }
        settle(sched, &mut lk, m, first)
    };
    quiet::tell(sched);
    let got = loop {
        let set = m.park.sleep_exactly(until);
        if set {
            m.park.clear();
            if let Some(pp) = m.take_nextp() {
                break Some(pp);
            }
        }
        let mut lk = sched.lock.lock();
        // Who is not there any more was taken out for a P, and its note is on its way (W3): neither the P is lost, nor
        // the count of whoever was to search with it.
        if sched.exiting.load(Ordering::Relaxed) && idle::leave_idle(sched, &mut lk, m) {
            break None;
        }
        if sched.keeper.load(Ordering::Relaxed) == m.as_ptr() {
            idle::take_keeper(sched);
            if next_timer(sched) <= now() {
                if let Some(pp) = idle::pidleget(sched, &mut lk) {
                    drop(lk);
                    m.acquirep(pp);
                    m.parked.set(false);
                    m.set_ctx(old);
                    become_spinning(sched, m);
                    return Idle::Search;
                }
                // Every P is busy: their Ms see to the timers.
                idle::mput(&mut lk, m);
                until = None;
                continue;
            }
            until = settle(sched, &mut lk, m, None);
        } else {
            // In the idle list, or taken out of it; it may have been the keeper once.
            until = None;
        }
    };
    m.parked.set(false);
    m.set_ctx(old);
    match got {
        Some(pp) => {
            m.acquirep(pp);
            Idle::Search
        }
        None => Idle::Exit,
    }
}

/// Enters the idle list, or becomes the keeper: then until when.
pub fn settle(sched: &Sched, lk: &mut SchedLocked<'_>, m: MRef, first: Option<i64>) -> Option<i64> {
    let first = first.unwrap_or_else(|| {
        // KEEPER: pairs with TIMER in `timer_added`. It may have been the keeper until now, and an armer that still
        // sees it so counts on it. (Who comes from `go_idle` has asked behind SPIN. Whoever arms one since sees an idle
        // P and starts a searcher; or sees none, and then whoever took the P of this M asks again before he sleeps.)
        fence(Ordering::SeqCst);
        next_timer(sched)
    });
    if first == NEVER || first >= sched.keeper_until.load(Ordering::Relaxed) {
        idle::mput(lk, m);
        return None;
    }
    if let Some(old) = idle::take_keeper(sched) {
        // It sleeps on, as one of the idle ones.
        idle::mput(lk, old);
    }
    sched.keeper_until.store(first, Ordering::Relaxed);
    // Release: pairs with the Acquire in `kick_keeper`, which must not take the time of an earlier keeper for this
    // one's.
    sched.keeper.store(m.as_ptr(), Ordering::Release);
    Some(first)
}

/// Wakes every sleeping M, so that it sees that the end has come.
pub fn wake_all(sched: &Sched) {
    {
        let lk = sched.lock.lock();
        let mut at = lk.midle;
        // SAFETY: the list holds Ms, and none leaves it while the lock is held.
        while let Some(m) = unsafe { MRef::from_ptr(at) } {
            at = m.link.get();
            let _ = m.park.set();
        }
        // SAFETY: null or an M.
        if let Some(m) = unsafe { MRef::from_ptr(sched.keeper.load(Ordering::Relaxed)) } {
            let _ = m.park.set();
        }
    }
    // Their notes are set: now the system wakes those that sleep. Another M takes it as a spurious wake-up.
    sched.every_m().filter(|m| m.kind == Kind::Worker).for_each(|m| m.park.nudge());
}
