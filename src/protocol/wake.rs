//! How work and idle threads find each other: when an M searches, when it sleeps, and when another thread wakes it.
//!
//! # Problem
//! Thread A puts a G into a queue and asks whether to wake another thread. Thread B has found nothing and goes to
//! sleep. If A looks before B counts as idle, and B has looked before the G is in the queue, neither acts: a lost
//! wake-up, and the G waits beside an idle P. But A cannot simply wake a thread each time: a wake costs 20 to 50 us
//! (docs/measurements.md), and a thread that searches where there is nothing burns a CPU. So A must skip the wake
//! whenever another thread is certain to find the G.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | work | a G in the run queue of a P or in the global queue | the protocols of those queues |
//! | `npidle` | the number of Ps in the idle list | the holder of `sched.lock` |
//! | search | one pass of an M with a P over the queues of all Ps (sched/find.rs) | the M, which is "spinning" |
//! | `nmspinning` | the Ms that search, plus Ms that are woken or made in order to search | any thread (RMW) |
//! | `midle` | the list of Ms that sleep until they are given a P | the holder of `sched.lock` |
//! | `timer_waiter` | the idle M that sleeps only until the earliest timer is due | as `midle` |
//! | `timer_waiter_until` | the time until which it sleeps | as `midle` |
//! | `nextp`, note of an M | the P that the M is given; the event that wakes it | the waker: nextp, then the note |
//! | `newm` | Ps for which a thread will be made: they are Running, and a stop waits for them | as `midle` |
//! | template thread | the thread that makes all worker threads (sched/template.rs) | |
//!
//! # Protocol
//! Submit. The submitter is the thread that makes a G runnable, also a thread whose G yields to another G:
//! * WAKE-S1 put the G into a queue;
//! * WAKE-S2 fence; if no P is idle, return: each owner of a P looks into the queues before it sleeps;
//! * WAKE-S3 if an M searches, return: it finds this G, or looks again after it has stopped searching (WAKE-I3);
//! * WAKE-S4 win the right to start a searcher: CAS nmspinning 0 -> 1; if the CAS fails, return;
//! * WAKE-S5 take an idle P and start a spinning M on it. If there is no idle P, undo WAKE-S4.
//!
//! Idle. An M with a P has found nothing:
//! * WAKE-I1 under `sched.lock`, check the requests of the P and the global queue once more, then put the P into the
//!   idle list;
//! * WAKE-I2 if the M was searching, nmspinning - 1;
//! * WAKE-I3 fence; look into every queue and at every timer again. If there is work or a timer is due, and a P is
//!   idle, take that P and search again;
//! * WAKE-I4 otherwise sleep. If the earliest timer is due before `timer_waiter_until`, the M becomes the timer waiter
//!   and sleeps until that time; the former timer waiter becomes one of `midle` without being woken. An M that arms an
//!   earlier timer while a P is idle tells the timer waiter, or starts a searcher that becomes the timer waiter
//!   ([`timer_added`]); it does neither if it goes idle next itself ([`timer_added_on_the_way`]). A timer waiter that
//!   is given a P counts as a searcher, so that it starts the next timer waiter when it has found a G (WAKE-F1).
//!
//! Found. A searching M has found a G:
//! * WAKE-F1 nmspinning - 1, then WAKE-S2 to WAKE-S5: where there was one G there are often more, and the next searcher
//!   looks for them.
//!
//! Thread. A waker has a P to give, and no M sleeps:
//! * WAKE-N1 under `sched.lock`, the waker counts the new thread and puts the P into `newm`; then it wakes the template
//!   thread;
//! * WAKE-N2 the template thread takes the P, makes an M and its thread, and gives the M the P as its nextp. If there
//!   is no memory or no thread, the P goes back to the idle list and its Gs go to the global queue.
//!
//! A P that goes idle in another way (a hand-off, a barrier, a resize) needs WAKE-I3 as well: [`look_again`].
//!
//! # Invariants
//! * WAKE-W1 a P in the idle list has empty queues (it may have timers). Otherwise WAKE-I3, which skips idle Ps, misses
//!   a G.
//! * WAKE-W2 nmspinning is never below the number of Ms that search. Otherwise WAKE-I2 or WAKE-F1 wraps the count below
//!   zero, and WAKE-S3 relies on a searcher that does not exist.
//! * WAKE-W3 an M is in `midle`, or is the timer waiter, or is awake; each waker takes it out of its place before it
//!   sets the note. Otherwise two wakers give it a P each.
//!
//! # Orderings
//! * SUBMIT (the fence of WAKE-S2) pairs with SPIN (the fence of WAKE-I3): either the submitter sees npidle (or
//!   nmspinning) as the idle M left it and continues with WAKE-S4, or the second look of the idle M sees the G.
//! * The set of a note pairs with its sleep: the woken M sees nextp.
//! * TIMER (after a timer is armed) pairs with SPIN, and with WAITER (before an M that may become the timer waiter asks
//!   for the earliest timer). Either the arming thread sees the idle P or the timer waiter; or the idle M sees the
//!   timer, and before it the mark that this P has timers at all (`TimerMask` in gmp/timers.rs). sysmon would find a
//!   missed timer too, but later.
//!
//! # Why it ends
//! Each search is one pass over the Ps, and an M that finds nothing sleeps. Only a submit, a timer or a hand-off causes
//! a wake.
//!
//! # Rejected
//! * A wake for each submit: a futex storm.
//! * A search over all Ps in random order: with a thousand Ps, ten of them busy, it was nine tenths of all time spent
//!   in the library (docs/measurements.md).
//! * Only WAKE-S3, without WAKE-S2, that is a count of searchers alone: when no M searches and no P is idle, each
//!   submit would take `sched.lock`.
//! * A waker that makes the thread itself. A thread inherits its maker's signal mask, affinity and scheduling class,
//!   and the waker may be a thread of the host, or one that a G has changed. It would also wait for the locks of malloc
//!   and of the loader, which the host may hold for any time, while it carries a P that others wait for.
//!
//! # Differences from Go
//! * The template thread makes all threads; Go uses its template thread only where the waker is locked to a G.
//! * Each M that goes idle looks again (WAKE-I3); in Go only an M that was searching does. So WAKE-S2 may rely on
//!   npidle, and `needspinning` (golang/go#45867) is not needed.
//! * The timer waiter does the work of Go's thread in netpoll that waits for the next timer. It is replaced without
//!   being woken.

use super::{idle, netpoll, quiet};
use crate::gmp::g::GRef;
use crate::gmp::lock::SchedLocked;
use crate::gmp::m::{Ctx, Kind, MRef};
use crate::gmp::p::{FN, OwnedP, PRef, STOP};
use crate::gmp::sched::Sched;
use crate::gmp::timers::{NEVER, Timers};
use crate::sync::widen::widen;
use crate::sync::{Events, Ordering, fence, now};

// ---- the timer waiter -----------------------------------------------------------------------------------------------

pub fn count_wake(sched: &Sched, slept: bool) {
    if slept {
        sched.stats.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Wakes the timer waiter to look at the timers again, if it would sleep past `when`.
pub fn kick_timer_waiter(sched: &Sched, when: i64) {
    if sched.timer_waiter.load(Ordering::Acquire).is_null() || sched.timer_waiter_until.load(Ordering::Relaxed) <= when
    {
        return;
    }
    let mut lk = sched.lock.lock();
    // SAFETY: the word holds null or an M. Under the lock that M is asleep, or about to be (its note keeps the wake).
    if let Some(m) = unsafe { MRef::from_ptr(sched.timer_waiter.load(Ordering::Relaxed)) } {
        sched.timer_waiter_until.store(when, Ordering::Relaxed);
        let sleeper = m.park.set();
        count_wake(sched, sleeper.is_some());
        lk.wake_after(sleeper);
    }
}

/// The P of `me` has a new earliest timer, while its G computes for a time that only this G knows. So an idle M becomes
/// the timer waiter. (Without this call sysmon would find the timer late, and while all threads sleep
/// sysmon does not look at all.)
pub fn timer_added(sched: &Sched, me: MRef, when: i64) {
    // TIMER: pairs with SPIN in `go_idle` and with WAITER in `enlist_idle`.
    fence(Ordering::SeqCst);
    if sched.npidle.load(Ordering::Relaxed) == 0 {
        return;
    }
    if sched.timer_waiter.load(Ordering::Relaxed).is_null() {
        wakep_slow(sched, me);
    } else {
        kick_timer_waiter(sched, when);
    }
}

/// As [`timer_added`], for a commit of the library and for the callback of a timer. If it runs on g0 and this P has
/// nothing to run, this M goes idle next and keeps the timer itself: waking a thread just to sleep would be a waste. If
/// it runs on the stack of the next G, that G may compute, and the timer needs another thread.
pub fn timer_added_on_the_way(sched: &Sched, me: MRef, when: i64) {
    if me.ctx() != Ctx::Sched || me.p().is_none_or(|pp| !pp.has_nothing()) {
        timer_added(sched, me, when);
    }
}

/// NETPOLL-A3: a G waits for a descriptor, and some thread must ask the kernel for it. The caller has done the fence
/// (IO) itself.
pub fn io_added(sched: &Sched, me: MRef) {
    if sched.npidle.load(Ordering::Relaxed) != 0 {
        have_it_polled(sched, me);
    }
}

/// A P is idle, and a G waits for a descriptor: the timer waiter polls, or a searcher becomes it.
fn have_it_polled(sched: &Sched, me: MRef) {
    if sched.net.polls.load(Ordering::Relaxed) {
        return;
    }
    if sched.timer_waiter.load(Ordering::Acquire).is_null() {
        wakep_slow(sched, me);
    } else {
        let mut lk = sched.lock.lock();
        // SAFETY: as in `kick_timer_waiter`.
        if let Some(m) = unsafe { MRef::from_ptr(sched.timer_waiter.load(Ordering::Relaxed)) }
            && !sched.net.polls.load(Ordering::Relaxed)
        {
            let sleeper = m.park.set();
            count_wake(sched, sleeper.is_some());
            lk.wake_after(sleeper);
        }
    }
}

/// As [`io_added`], for the commit of a park: if this M has nothing to run, it goes idle next and asks itself.
pub fn io_added_on_the_way(sched: &Sched, me: MRef) {
    if me.ctx() != Ctx::Sched || me.p().is_none_or(|pp| !pp.has_nothing()) {
        io_added(sched, me);
    }
}

// ---- submit ---------------------------------------------------------------------------------------------------------

/// WAKE-S2 to WAKE-S5, after a G was put into a queue (WAKE-S1). `me` is the M of the calling thread.
#[inline]
pub fn wakep(sched: &Sched, me: MRef) {
    // SUBMIT: pairs with SPIN in `go_idle`.
    fence(Ordering::SeqCst);
    wakep_fenced(sched, me);
}

/// As [`wakep`], for a caller that has just done the fence (SUBMIT) itself.
#[inline(always)]
pub fn wakep_fenced(sched: &Sched, me: MRef) {
    if sched.npidle.load(Ordering::Relaxed) != 0 {
        wakep_slow(sched, me);
    }
}

#[cold]
#[inline(never)]
fn wakep_slow(sched: &Sched, me: MRef) {
    // WAKE-S3, WAKE-S4
    if sched.nmspinning.load(Ordering::Relaxed) != 0
        || sched.nmspinning.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_err()
    {
        return;
    }
    widen!();
    // WAKE-S5
    let mut lk = sched.lock.lock();
    if sched.thread_wanted.load(Ordering::Relaxed) && !idle::any_idle_m(sched, &lk) {
        // No thread could be made the last time. sysmon tries again soon.
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

/// Starts an M on a P: a sleeping M, or a new one.
pub fn startm(sched: &Sched, me: MRef, pp: OwnedP, spinning: bool) {
    startm_locked(sched, sched.lock.lock(), me, pp, spinning);
}

/// As [`startm`]; releases the lock.
pub fn startm_locked<'a>(sched: &'a Sched, mut lk: SchedLocked<'a>, me: MRef, pp: OwnedP, spinning: bool) {
    let kept = !sched.timer_waiter.load(Ordering::Relaxed).is_null();
    if let Some(m) = idle::mget(sched, &mut lk) {
        debug_assert!(!m.spinning.get());
        // WAKE-I4: a timer waiter that is given a P counts as a searcher.
        let kept = kept && sched.timer_waiter.load(Ordering::Relaxed).is_null();
        if kept && !spinning {
            sched.nmspinning.fetch_add(1, Ordering::SeqCst);
        }
        m.spinning.set(spinning || kept);
        // Under the lock (WAKE-W3): if `m` wakes by itself now, it finds the P, since it is in no list any more.
        m.set_nextp(pp);
        drop(lk);
        widen!();
        count_wake(sched, m.park.wakeup());
        return;
    }
    // A held thread needs no other one, and may have what the maker of threads waits for (SEIZE-G4).
    if let Some(gp) = sched.globrunqget_hog() {
        if spinning {
            sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        }
        drop(lk);
        sched.reserve_wanted.store(true, Ordering::Relaxed);
        sched.template_note.wakeup();
        pp.schedtick.bump();
        return hand_to_locked(sched, gp, pp);
    }
    newm(sched, lk, me, pp, spinning);
}

/// Starts a searcher if a P is idle and no M searches. (WAKE-S2 to WAKE-S5 without the fence.)
pub fn start_searcher(sched: &Sched, me: MRef) {
    if sched.npidle.load(Ordering::Relaxed) != 0 {
        wakep_slow(sched, me);
    }
}

// ---- threads --------------------------------------------------------------------------------------------------------

/// ENOMEM.
const NO_MEMORY: i32 = 12;

/// WAKE-N1: requests a new thread for a P.
fn newm<'a>(sched: &'a Sched, mut lk: SchedLocked<'a>, me: MRef, pp: OwnedP, spinning: bool) {
    if sched.cfg.no_more_threads(lk.nm) {
        sched.thread_errno.set(0);
        return no_thread(sched, lk, me, pp, spinning);
    }
    // Counted before the lock is released, so that every count of the threads contains this one (golang/go#59600).
    lk.nm += 1;
    let p = pp.forget();
    let list = &mut lk.newm[usize::from(spinning)];
    p.idle_link.set(*list);
    *list = p.as_ptr();
    drop(lk);
    widen!();
    sched.template_note.wakeup();
}

/// WAKE-N2: makes the requested threads. Called by the template thread, whose M is `me`.
pub fn make_threads(sched: &Sched, me: MRef) {
    loop {
        let mut lk = sched.lock.lock();
        let Some((pp, spinning)) = take_newm(&mut lk) else { return };
        let free = take_mfree(&mut lk);
        drop(lk);
        let failed = match free.or_else(|| sched.malloc(Kind::Worker)) {
            Some(m) => {
                m.spinning.set(spinning);
                m.newborn.set(true);
                m.set_nextp(pp);
                try_start(sched, m).err().flatten().inspect(|_| m.newborn.set(false))
            }
            None => {
                sched.lock.lock().nm -= 1;
                sched.thread_errno.set(NO_MEMORY);
                Some((pp, spinning))
            }
        };
        if let Some((pp, spinning)) = failed {
            let mut lk = sched.lock.lock();
            lk.newm_taken -= 1;
            no_thread(sched, lk, me, pp, spinning);
        }
    }
}

/// SEIZE-G4: a thread that was made for a P has got what it needs from the host, and takes the P.
pub fn born(sched: &Sched, m: MRef) {
    if m.newborn.replace(false) {
        sched.lock.lock().newm_taken -= 1;
    }
}

/// Takes a P that waits for a thread, and says whether that thread is to search.
fn take_newm(lk: &mut SchedLocked<'_>) -> Option<(OwnedP, bool)> {
    let spinning = !lk.newm[1].is_null();
    let list = &mut lk.newm[usize::from(spinning)];
    // SAFETY: the list holds Ps.
    let p = unsafe { PRef::from_ptr(*list) }?;
    *list = p.idle_link.take();
    lk.newm_taken += 1;
    // SAFETY: `newm` has forgotten the token, and each P is taken from the list once.
    Some((unsafe { OwnedP::remember(p) }, spinning))
}

fn take_mfree(lk: &mut SchedLocked<'_>) -> Option<MRef> {
    // SAFETY: the list holds Ms.
    let m = unsafe { MRef::from_ptr(lk.mfree) }?;
    lk.mfree = m.link.take();
    Some(m)
}

/// Starts the thread of an M that is counted already. On failure the M is free again and no longer counted, and the P
/// that it was to run comes back.
fn try_start(sched: &Sched, m: MRef) -> Result<(), Option<(OwnedP, bool)>> {
    m.alive.set(true);
    m.exiting.set(false);
    // The new thread writes its own id first of all.
    m.thread.set(0);
    // SAFETY: the M is set up, and no other thread has it.
    match unsafe { (sched.hooks.start_thread)(m) } {
        Ok(()) => return Ok(()),
        Err(errno) => sched.thread_errno.set(errno),
    }
    m.alive.set(false);
    // Taken back before the M is free: its next user gives it another P.
    let spinning = m.spinning.replace(false);
    let back = m.take_nextp().map(|pp| (pp, spinning));
    let mut lk = sched.lock.lock();
    lk.nm -= 1;
    m.link.set(lk.mfree);
    lk.mfree = m.as_ptr();
    Err(back)
}

/// Makes the first idle workers, so that from then on there is always a thread to continue with: one worker, or all
/// that there will ever be if the process is sealed. False if a worker could not be made.
#[must_use]
pub fn first_workers(sched: &Sched) -> bool {
    let n = if sched.cfg.sealed.get() { sched.cfg.max_threads.get() } else { 1 };
    (0..n).all(|_| first_worker(sched))
}

/// Makes an idle M, unless there is one.
pub fn make_reserve(sched: &Sched) {
    let more = {
        let lk = sched.lock.lock();
        !idle::any_idle_m(sched, &lk) && !sched.cfg.no_more_threads(lk.nm)
    };
    if more {
        first_worker(sched);
    }
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

/// There is no thread for this P: its Gs wait in the global queue.
#[cold]
pub fn no_thread<'a>(sched: &'a Sched, mut lk: SchedLocked<'a>, me: MRef, mut pp: OwnedP, spinning: bool) {
    if spinning {
        sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
    }
    loop {
        drain_to_global(sched, &pp);
        // A G that is locked to a thread brings its own.
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
    // sysmon tries again. Another M may take the Gs before that.
    let news = !sched.thread_wanted.swap(true, Ordering::Relaxed);
    drop(lk);
    if news && sched.sysmon.get() != me.as_ptr() {
        sched.sysmon_parked.store(false, Ordering::Relaxed);
        sched.sysmon_note.wakeup();
    }
    quiet::notify_if_all_idle(sched);
}

/// Gives a P to the M of a locked G. That M sleeps or is about to.
pub fn hand_to_locked(sched: &Sched, gp: GRef, pp: OwnedP) {
    // SAFETY: `lockedm` of a locked G is its M.
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

/// Serves the requests to a P that `me` only carries. A stop takes the P (None); after a barrier's function the P comes
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

/// Puts a P that `me` carries into the idle list, once its requests are served. A stop may take the P instead.
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

// ---- search and sleep -----------------------------------------------------------------------------------------------

/// Whether a G waits in any queue. (Idle Ps have none: WAKE-W1.)
fn any_work(sched: &Sched) -> bool {
    sched.globq_len() > 0 || sched.busy_ps().any(|p| !p.runq_empty())
}

/// When the next timer of any P is due. Takes no lock, so that no thread ever holds `sched.lock` and a heap's lock
/// together (golang/go#35375).
pub fn next_timer(sched: &Sched) -> i64 {
    sched.next_timer()
}

/// WAKE-I3, for a P that went idle in another way than by [`go_idle`].
pub fn look_again(sched: &Sched, me: MRef) {
    // SPIN: pairs with SUBMIT in `wakep`.
    fence(Ordering::SeqCst);
    if sched.npidle.load(Ordering::Relaxed) == 0 {
        return;
    }
    let first = next_timer(sched);
    if any_work(sched) {
        wakep_slow(sched, me);
    } else if first < sched.timer_waiter_until.load(Ordering::Relaxed) {
        // Its timers need a timer waiter: the present one, or an M that finds nothing and becomes the timer waiter.
        if sched.timer_waiter.load(Ordering::Relaxed).is_null() {
            wakep_slow(sched, me);
        } else {
            kick_timer_waiter(sched, first);
        }
    }
    if netpoll::is_wanted(sched) {
        have_it_polled(sched, me);
    }
    quiet::notify_if_all_idle(sched);
}

/// Whether one more M may search: at most half as many Ms search as Ps are busy.
pub fn may_spin(sched: &Sched) -> bool {
    let busy = sched.procs().saturating_sub(sched.npidle.load(Ordering::Relaxed));
    2 * sched.nmspinning.load(Ordering::Relaxed) < busy
}

pub fn become_spinning(sched: &Sched, m: MRef) {
    m.spinning.set(true);
    sched.nmspinning.fetch_add(1, Ordering::SeqCst);
}

/// WAKE-F1: this M was searching and has found a G.
pub fn reset_spinning(sched: &Sched, m: MRef) {
    if m.spinning.replace(false) {
        sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        wakep(sched, m);
    }
}

/// What an M that found nothing does next.
pub enum Idle {
    /// It has a P again: search.
    Search,
    /// Requests came for its P: serve them.
    Requests,
    /// The runtime ends: leave the loop, and end the thread.
    Exit,
}

/// WAKE-I1 to WAKE-I4; returns when the M has a P again, has requests to serve, or must exit.
pub fn go_idle(sched: &Sched, m: MRef) -> Idle {
    Timers::retract(m.must_p().p());
    // WAKE-I1
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
    // WAKE-I2
    let was_spinning = m.spinning.replace(false);
    if was_spinning {
        let before = sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
        debug_assert!(before > 0, "WAKE-W2");
    }
    // WAKE-I3. SPIN: pairs with SUBMIT in `wakep`.
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

/// Sleeps until a waker gives this M a P (WAKE-I4).
pub fn stopm(sched: &Sched, m: MRef) -> Idle {
    sleep_idle(sched, m, None)
}

/// How an idle M sleeps.
#[derive(Clone, Copy)]
pub enum Sleep {
    /// In the idle list.
    Listed,
    /// As the timer waiter, until this time ([`NEVER`]: until it is woken).
    Until(i64),
    /// As before, in the poll (NETPOLL-C1).
    Polling(i64),
}

/// NETPOLL-B2 for a thread that slept in the poll and has no P: takes an idle one for the Gs that it readies. True if
/// it has a P now.
fn bring(sched: &Sched, m: MRef, events: &mut Events) -> bool {
    if events.is_empty() {
        return false;
    }
    let pp = {
        let mut lk = sched.lock.lock();
        idle::pidleget(sched, &mut lk)
    };
    let has_p = pp.is_some();
    if let Some(pp) = pp {
        m.acquirep(pp);
    }
    let n = netpoll::deliver(sched, m, events);
    // With a P, this M runs the first of them.
    if n > usize::from(has_p) {
        wakep(sched, m);
    }
    if has_p && n == 0 {
        become_spinning(sched, m);
    }
    has_p
}

/// `first`: the earliest timer, if the caller asked for it after SPIN. (To ask is a walk over all Ps.)
fn sleep_idle(sched: &Sched, m: MRef, first: Option<i64>) -> Idle {
    debug_assert!(m.p().is_none() && !m.spinning.get());
    let old = m.swap_ctx(Ctx::Sched);
    m.parked.set(true);
    let mut events = Events::default();
    let mut how = {
        let mut lk = sched.lock.lock();
        if sched.exiting.load(Ordering::Relaxed) {
            m.parked.set(false);
            return Idle::Exit;
        }
        enlist_idle(sched, &mut lk, m, first)
    };
    quiet::notify_if_all_idle(sched);
    let got = loop {
        let set = match how {
            Sleep::Listed => m.park.sleep_exactly(None),
            Sleep::Until(when) => m.park.sleep_exactly((when != NEVER).then_some(when)),
            Sleep::Polling(when) => {
                let when = (when != NEVER).then_some(when);
                let set = m.park.sleep_polling(&m.sched().net.poll, when, &mut events);
                netpoll::tell_if_lost(sched);
                set
            }
        };
        if set {
            m.park.clear();
            if let Some(pp) = m.take_nextp() {
                if let Sleep::Polling(_) = how {
                    let _lk = sched.lock.lock();
                    sched.net.polls.store(false, Ordering::Relaxed);
                }
                break Some(pp);
            }
        }
        let mut lk = sched.lock.lock();
        if let Sleep::Polling(_) = how {
            // In the same hold as what follows: another M that goes idle would take the place of this one, which has
            // events to deliver.
            sched.net.polls.store(false, Ordering::Relaxed);
        }
        // If `m` is no longer listed, a waker has taken it out for a P and is about to set its note (WAKE-W3). To leave
        // now would lose that P, and the count of the searcher that `m` was to be.
        if sched.exiting.load(Ordering::Relaxed) && idle::leave_idle(sched, &mut lk, m) {
            break None;
        }
        if sched.timer_waiter.load(Ordering::Relaxed) == m.as_ptr() {
            idle::take_timer_waiter(sched);
            if !events.is_empty() {
                drop(lk);
                if bring(sched, m, &mut events) {
                    m.parked.set(false);
                    m.set_ctx(old);
                    return Idle::Search;
                }
                lk = sched.lock.lock();
                if sched.exiting.load(Ordering::Relaxed) {
                    break None;
                }
            }
            if next_timer(sched) <= now() {
                if let Some(pp) = idle::pidleget(sched, &mut lk) {
                    drop(lk);
                    m.acquirep(pp);
                    m.parked.set(false);
                    m.set_ctx(old);
                    become_spinning(sched, m);
                    return Idle::Search;
                }
                // Every P is busy: their Ms run the due timers.
                idle::mput(&mut lk, m);
                how = Sleep::Listed;
                continue;
            }
            how = enlist_idle(sched, &mut lk, m, None);
        } else {
            // `m` is in the idle list, or a waker took it out. It may have been the timer waiter before.
            how = Sleep::Listed;
        }
    };
    m.parked.set(false);
    m.set_ctx(old);
    match got {
        Some(pp) => {
            m.acquirep(pp);
            if !events.is_empty() && netpoll::deliver(sched, m, &mut events) > 0 {
                wakep(sched, m);
            }
            Idle::Search
        }
        None => {
            // For threads of the host.
            netpoll::deliver(sched, m, &mut events);
            Idle::Exit
        }
    }
}

/// Puts `m` into the idle list, or makes it the timer waiter.
pub fn enlist_idle(sched: &Sched, lk: &mut SchedLocked<'_>, m: MRef, first: Option<i64>) -> Sleep {
    let first = first.unwrap_or_else(|| {
        // WAITER: pairs with TIMER in `timer_added`. This M may have been the timer waiter until now, and a thread that
        // arms a timer and still sees it as the timer waiter relies on it. (A caller from `go_idle` has asked after
        // SPIN. A thread that has armed a timer since then either sees an idle P and starts a searcher; or it sees
        // none, and then the M that took the idle P asks again before it sleeps.)
        fence(Ordering::SeqCst);
        next_timer(sched)
    });
    // SAFETY: null or an M.
    let present = unsafe { MRef::from_ptr(sched.timer_waiter.load(Ordering::Relaxed)) };
    let earlier = first < sched.timer_waiter_until.load(Ordering::Relaxed);
    // NETPOLL-I3: an M may be on its way out of the poll.
    let polled = sched.net.polls.load(Ordering::Relaxed);
    let polls = !polled && netpoll::is_wanted(sched) && sched.net.poll.works();
    if let Some(present) = present
        && polled
    {
        // NETPOLL-I3: it stays in the poll.
        if earlier {
            sched.timer_waiter_until.store(first, Ordering::Relaxed);
            let sleeper = present.park.set();
            count_wake(sched, sleeper.is_some());
            lk.wake_after(sleeper);
        }
        idle::mput(lk, m);
        return Sleep::Listed;
    }
    if !earlier && !polls {
        idle::mput(lk, m);
        return Sleep::Listed;
    }
    if let Some(old) = idle::take_timer_waiter(sched) {
        // The former timer waiter sleeps on in the idle list.
        idle::mput(lk, old);
    }
    if polls {
        sched.net.polls.store(true, Ordering::Relaxed);
    }
    sched.timer_waiter_until.store(first, Ordering::Relaxed);
    // Release: pairs with the Acquire in `kick_timer_waiter`. Otherwise `kick_timer_waiter` could compare with the time
    // of an earlier timer waiter.
    sched.timer_waiter.store(m.as_ptr(), Ordering::Release);
    if polls { Sleep::Polling(first) } else { Sleep::Until(first) }
}

/// Wakes every sleeping M, so that each one sees that the runtime ends.
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
        if let Some(m) = unsafe { MRef::from_ptr(sched.timer_waiter.load(Ordering::Relaxed)) } {
            let _ = m.park.set();
        }
    }
    if sched.net.polls.load(Ordering::Relaxed) {
        sched.net.poll.kick();
    }
    // Their notes are set; now the system wakes the sleepers. For any other M the nudge is a spurious wake-up.
    sched.every_m().filter(|m| m.kind == Kind::Worker).for_each(|m| m.park.nudge());
}
