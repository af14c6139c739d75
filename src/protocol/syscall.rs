//! Into a blocking call and back, and what happens to the P meanwhile.
//!
//! # Problem
//! A thread that blocks in the system must not keep a P from others. Yet most calls do not block, and for those enter
//! and exit must cost next to nothing. So the M leaves its P behind, loosely tied, and a taker (sysmon, a stop, a
//! barrier) may take it. The danger: the M comes back just when a taker takes the P, and both believe that they own it.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | P word | status, requests, and `tick`: how often the P was taken from a syscall (gmp/p/word.rs) | any (RMW) |
//! | `m.insys` | 0, or the mark of the P that this M has left: the P and its tick | the M |
//! | `m.oldp`, `m.left`, `m.mark` | the P, its word without requests, and the mark, for the M itself | the M |
//! | `fenced` of an M | its LIGHT fence is a full fence (SYSCALL-Y5) | the M |
//!
//! # Protocol
//! Enter. The M, on the stack of its G:
//! * SYSCALL-E1 note where the G's stack ends, and set its status to Syscall: from SYSCALL-E2 on another thread may
//!   look at the G;
//! * SYSCALL-E2 insys = mark; from here on the M does not touch the P;
//! * SYSCALL-E3 LIGHT fence; read the requests of the P. If STOP or FN is set, come back (SYSCALL-X1, SYSCALL-X2),
//!   serve it, and enter again.
//!
//! Exit. The M comes back:
//! * SYSCALL-X1 insys = 0; LIGHT fence; if the P word is as the M left it, the P is still here: done;
//! * SYSCALL-X2 otherwise, if the tick is unchanged, CAS the word to tick + 1: there were requests, but no taker has
//!   taken the P;
//! * SYSCALL-X3 otherwise take an idle P;
//! * SYSCALL-X4 otherwise, on the scheduler's stack and under `sched.lock`: take an idle P if there is one now; if not,
//!   the G goes to the global queue and the M sleeps.
//!
//! Take. A stop, a barrier, or sysmon's retake (of a P whose M is in the same syscall as at the last look, or whose
//! slice is over):
//! * SYSCALL-T1 set a bit in the P word: STOP, FN or TAKE;
//! * SYSCALL-T2 HEAVY fence, one for all Ps;
//! * SYSCALL-T3 read the word. If the bit is still there, and insys of the P's M is (P, the word's tick), the M is in
//!   the syscall;
//! * SYSCALL-T4 CAS exactly this word to tick + 1, without the bit: the P belongs to the taker;
//! * SYSCALL-T5 a P that is taken in order to be used goes through [`handoffp`].
//!
//! Code of the host that calls nothing of the library is outside in the same way, with another mark (seize.rs).
//!
//! # Invariants
//! * SYSCALL-Y1 a P has one owner. SYSCALL-T4 succeeds only while its M is in the syscall, or between SYSCALL-X1 and
//!   SYSCALL-X2. (If SYSCALL-X1 reads the word before SYSCALL-T1, HEAVY makes SYSCALL-X1's insys = 0 visible in
//!   SYSCALL-T3. Otherwise SYSCALL-X1 sees the bit, and SYSCALL-X2 and SYSCALL-T4 replace the same word: only one of
//!   them succeeds.)
//! * SYSCALL-Y2 [`handoffp`] starts an M exactly when a search on that P would find something: its list of checks is
//!   the list in `sched::find::find_runnable`. Otherwise a P idles beside work.
//! * SYSCALL-Y3 no request is overlooked: either SYSCALL-E3 sees the bit, or SYSCALL-T3 sees insys.
//! * SYSCALL-Y4 a P that passes from one owner to another is not taken on the way: its tick differs from the tick in
//!   insys of the M that lost it, and an M that gives a P away has insys = 0.
//! * SYSCALL-Y5 once HEAVY is lost, SYSCALL-T3 takes a P only from an M that is marked `fenced`: its LIGHT before the
//!   mark was a full fence, and so is each LIGHT after it. Otherwise its SYSCALL-X1 may still use a LIGHT that no HEAVY
//!   answers, and SYSCALL-Y1 does not hold.
//!
//! # Orderings
//! LIGHT and HEAVY (sync) are the two halves of an asymmetric fence, which costs only the rare side. After a HEAVY
//! fence, each other thread either has done its LIGHT, and its stores before that are visible; or has yet to do it, and
//! its loads after it see all that was stored before HEAVY. The kernel provides HEAVY (membarrier). Without membarrier
//! LIGHT is a full fence.
//!
//! A filter of the host may forbid membarrier while the runtime is up. Then LOST is set, and LIGHT becomes a full fence
//! on each thread that sees LOST. SYSCALL-T3 reads `fenced` (Acquire) before insys; the M writes it (Release) after
//! SYSCALL-E3. So the insys that SYSCALL-T3 reads was written in this bracket of the M or in a later one, and
//! SYSCALL-X1 of all these is a full fence. A P that was left before that stays with its M until the call ends: a stop
//! waits for it.
//!
//! # Rejected
//! When membarrier is lost:
//! * mprotect of a page that all CPUs use: processors exist that flush it without an interrupt;
//! * a signal to each thread: the host may block it;
//! * two equal readings of a thread's CPU time: that clock stands still while an interrupt or another virtual machine
//!   has the CPU.
//!
//! # Differences from Go
//! Go marks the G by a compare-and-swap at each enter and each exit (since 1.26), and needs flags and second looks
//! beside it. Here enter and exit write one word of the M each, and no more. The taker, which is rare, pays.

use super::{idle, rescue, wake};
use crate::gmp::g::{GRef, GStatus};
use crate::gmp::lock::SchedLocked;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, OwnedP, PREEMPT, PRef, PStatus, STOP, Taken};
use crate::gmp::probes;
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::gmp::timers::{NEVER, Timers};
use crate::sync::widen::widen;
use crate::sync::{Ordering, asymmetric_fence_heavy, asymmetric_fence_light, has_asymmetric_fence};
use crate::sys;

/// SYSCALL-E1 to SYSCALL-E3. `sp` is the end of the G's stack, for a collector.
#[inline(always)]
pub fn entersyscall(m: MRef, gp: GRef, sp: *mut u8) {
    if m.is_traced() {
        record::sys_begin(&m, gp);
    }
    entersyscall_free(m, gp, sp);
}

/// As [`entersyscall`], for code that [`M::is_free`](crate::gmp::M::is_free).
#[inline(always)]
pub fn entersyscall_free(m: MRef, gp: GRef, sp: *mut u8) {
    probes::syscall_enter(gp, m);
    // SYSCALL-E1
    gp.sp.set(sp);
    gp.set_status(GStatus::Syscall);
    m.set_ctx(Ctx::Syscall);
    widen!();
    m.must_p().stats.syscalls.bump();
    if !leave(m) {
        entersyscall_slow(m);
    }
}

/// SYSCALL-E2 and SYSCALL-E3. False if there are requests to serve.
#[inline(always)]
fn leave(m: MRef) -> bool {
    // SYSCALL-E2
    let p = m.leave_p();
    widen!();
    // SYSCALL-E3
    if asymmetric_fence_light() {
        // SYSCALL-Y5
        m.set_fenced(true);
    }
    p.requests() & (STOP | FN) == 0
}

/// SYSCALL-E3 with requests.
#[cold]
#[inline(never)]
fn entersyscall_slow(m: MRef) {
    let sched = m.sched();
    loop {
        // SAFETY: null, or a P, which is never freed.
        let old = unsafe { PRef::from_ptr(m.oldp.get()) };
        // A taker that asked before this M set insys (SYSCALL-E2) relies on the owner to answer.
        if !old.is_some_and(|p| come_back(m, p)) {
            // The taker has taken the P.
            return;
        }
        if m.must_p().requests() & FN != 0 {
            super::preempt::run_safe_point_fn(sched, m, m.must_p().p());
        } else {
            let mut lk = sched.lock.lock();
            let id = m.must_p().p();
            match super::preempt::stop_p(&mut lk, sched, m.releasep_silently()) {
                Ok(()) => {
                    // Still under the lock: no other thread has it yet.
                    record::proc_stop(&m, id);
                    m.oldp.set(std::ptr::null_mut());
                    return;
                }
                Err(pp) => m.retie(pp),
            }
        }
        if leave(m) {
            return;
        }
    }
}

/// SYSCALL-X1 and SYSCALL-X2: the M has the P again that it left. False: a taker has it.
#[inline(always)]
fn come_back(m: MRef, p: PRef) -> bool {
    // SYSCALL-X1
    m.end_syscall_mark();
    widen!();
    asymmetric_fence_light();
    match OwnedP::reclaim(p, m.saved_word()) {
        Some(pp) => {
            m.reacquirep(pp);
            true
        }
        None => come_back_slow(m, p),
    }
}

/// SYSCALL-X2.
#[cold]
#[inline(never)]
fn come_back_slow(m: MRef, p: PRef) -> bool {
    OwnedP::reclaim_slow(p, m.saved_word()).map(|pp| m.retie(pp)).is_some()
}

/// Calls a function of the host on a worker that runs no G. As in a syscall, the P may be taken meanwhile, so that no
/// thread waits for the function. Returns whether the P is still there.
#[cold]
pub fn call_apart(sched: &Sched, m: MRef, f: impl FnOnce()) -> bool {
    // Other threads rely on a thread that searches (WAKE-S2 to WAKE-S5), so it stops searching first. The work that it
    // would have found is found by itself afterwards, or by the next owner of the P.
    if m.spinning.replace(false) {
        sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
    }
    m.must_p().stats.syscalls.bump();
    let p = m.must_p().p();
    if m.is_traced() {
        record::proc_stop(&m, p);
        p.shown_idle.set(true);
    }
    if !leave(m) {
        entersyscall_slow(m);
    }
    f();
    // SAFETY: oldp is null or a P.
    let back = unsafe { PRef::from_ptr(m.oldp.get()) }.is_some_and(|p| come_back(m, p));
    if back && p.shown_idle.replace(false) {
        record::proc_start(&m, p);
    }
    back
}

/// As [`entersyscall`], and hands the P off at once.
pub fn entersyscallblock(m: MRef, gp: GRef, sp: *mut u8) {
    probes::syscall_enter(gp, m);
    record::sys_begin(&m, gp);
    gp.sp.set(sp);
    gp.set_status(GStatus::Syscall);
    m.set_ctx(Ctx::Syscall);
    let pp = m.releasep();
    pp.stats.syscalls.bump();
    m.oldp.set(std::ptr::null_mut());
    handoffp(m.sched(), m, pp);
}

/// SYSCALL-X1 to SYSCALL-X3. False if there is no P; SYSCALL-X4 is next.
#[inline(always)]
pub fn exitsyscall(m: MRef, gp: GRef) -> bool {
    probes::syscall_exit(gp, m);
    // SAFETY: oldp is null or a P.
    if let Some(p) = unsafe { PRef::from_ptr(m.oldp.get()) }
        && come_back(m, p)
    {
        if m.is_traced() {
            record::sys_end(&m, gp);
        }
        gp.set_status(GStatus::Running);
        m.set_ctx(Ctx::G);
        return true;
    }
    exitsyscall_slow(m, gp)
}

/// As [`exitsyscall`], for an M of which no records are written.
#[inline(always)]
pub fn exitsyscall_free(m: MRef, gp: GRef) -> bool {
    probes::syscall_exit(gp, m);
    // SAFETY: oldp is null or a P.
    if let Some(p) = unsafe { PRef::from_ptr(m.oldp.get()) }
        && come_back(m, p)
    {
        gp.set_status(GStatus::Running);
        m.set_ctx(Ctx::G);
        return true;
    }
    exitsyscall_slow(m, gp)
}

/// SYSCALL-X3.
#[cold]
#[inline(never)]
fn exitsyscall_slow(m: MRef, gp: GRef) -> bool {
    let sched = m.sched();
    if sched.npidle.load(Ordering::Relaxed) == 0 {
        return false;
    }
    widen!();
    let mut lk = sched.lock.lock();
    let Some(pp) = idle::pidleget(sched, &mut lk) else { return false };
    drop(lk);
    m.acquirep(pp);
    if m.is_traced() {
        record::sys_blocked(&m, gp);
        record::start(&m, gp);
    }
    gp.set_status(GStatus::Running);
    m.set_ctx(Ctx::G);
    true
}

/// For a thread that does not come back: hands off the P of its last syscall, if that is still there.
pub fn give_up_p(m: MRef) {
    // SAFETY: oldp is null or a P.
    if let Some(p) = unsafe { PRef::from_ptr(m.oldp.take()) }
        && come_back(m, p)
    {
        let pp = m.releasep_silently();
        record::took_back(&m, p);
        handoffp(m.sched(), m, pp);
    }
}

/// How [`exitsyscall_no_p`] ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NoP {
    /// The M has a P after all and continues the G.
    Runs,
    /// The G is in the global queue.
    Queued,
    /// The runtime is down: a thread of the host stays where it was.
    Closed,
}

/// SYSCALL-X4, off the G's stack.
pub fn exitsyscall_no_p(sched: &Sched, m: MRef, gp: GRef) -> NoP {
    {
        let mut lk = sched.lock.lock();
        if sched.closing.load(Ordering::Relaxed) {
            return NoP::Closed;
        }
        record::sys_blocked(&m, gp);
        gp.set_status(GStatus::Runnable);
        if let Some(pp) = idle::pidleget(sched, &mut lk) {
            drop(lk);
            m.acquirep(pp);
            return NoP::Runs;
        }
        m.note_ready(&gp);
        sched.globrunqput(gp);
    }
    wake::wakep(sched, m);
    NoP::Queued
}

/// Hands off a P that `me` owns: to an M if there is a use for the P, otherwise to the idle list.
pub fn handoffp(sched: &Sched, me: MRef, pp: OwnedP) {
    sched.stats.handoffs.fetch_add(1, Ordering::Relaxed);
    widen!();
    // SYSCALL-Y2
    if !pp.runq_empty() || sched.globq_len() > 0 {
        return wake::startm(sched, me, pp, false);
    }
    // No M searches, and no idle P is left for a searcher: so this P searches.
    if sched.nmspinning.load(Ordering::Relaxed) + sched.npidle.load(Ordering::Relaxed) == 0
        && sched.nmspinning.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    {
        return wake::startm(sched, me, pp, true);
    }
    let first = pp.timers.first();
    if first != NEVER && first < sched.timer_waiter_until.load(Ordering::Relaxed) {
        // An M must sleep until that timer is due: the M that finds nothing else to do with this P.
        return wake::startm(sched, me, pp, false);
    }
    Timers::retract(pp.p());
    wake::pidleput_carried(sched, sched.lock.lock(), me, pp);
    wake::look_again(sched, me);
}

/// What came of a look at the Ps.
pub struct Look {
    /// It did something.
    pub did: bool,
    /// When the next step is due that is known now: the end of a slice, or of the time that a thread has to answer.
    pub again: i64,
}

/// One look of sysmon at the Ps: takes Ps from long syscalls, ends slices that are over, and takes Gs from behind a P
/// that does not answer.
pub fn retake(sched: &Sched, me: MRef, ps: impl Iterator<Item = PRef> + Clone, now: i64) -> Look {
    let (mut did, mut any, mut again) = (false, false, NEVER);
    for p in ps.clone() {
        match assess(sched, p, now) {
            RetakeVerdict::Nothing => {}
            RetakeVerdict::Did => did = true,
            RetakeVerdict::Again(at) => again = again.min(at),
            RetakeVerdict::Deaf => {
                did |= rescue::take_out(sched, me, p);
                rescue::ask_seldom(p, sched.cfg.slice_ns.get(), now);
            }
            RetakeVerdict::Nudge(m) => {
                nudge(sched, m, p, now);
                again = again.min(now + PAUSE);
            }
            RetakeVerdict::Take => {
                // SYSCALL-T1
                p.announce();
                any = true;
            }
        }
    }
    if !any {
        return Look { did, again };
    }
    widen!();
    // SYSCALL-T2, SEIZE-W2
    asymmetric_fence_heavy();
    for p in ps {
        widen!();
        // SYSCALL-T3, SYSCALL-T4
        if let Some(Taken { pp, from, .. }) = take(sched, me, p, |host| p.try_retake(host)) {
            match from {
                None => {
                    sched.stats.retakes.fetch_add(1, Ordering::Relaxed);
                    did = true;
                }
                Some(m) => {
                    // It was meant for the G that continues without a P, as was the slice.
                    pp.clear_request(PREEMPT);
                    pp.schedtick.bump();
                    hold_one(sched, m);
                    again = again.min(now + PAUSE);
                }
            }
            // SYSCALL-T5
            handoffp(sched, me, pp);
        }
    }
    Look { did, again }
}

/// SYSCALL-T3 and SYSCALL-T4 for one P, by `take`, which is told whether the P may be taken from the host's code.
pub fn take(sched: &Sched, me: MRef, p: PRef, take: impl Fn(bool) -> Option<Taken>) -> Option<Taken> {
    if !sched.cfg.seizes.get() || !p.in_host(p.word()) {
        return take(false).inspect(|taken| record::taken(&me, taken));
    }
    // SEIZE-W4
    let mut lk = sched.lock.lock();
    let taken = take(!lk.exact);
    if let Some(taken) = &taken {
        record::taken(&me, taken);
    }
    if let Some(Taken { from: Some(m), .. }) = &taken {
        went_out(sched, &mut lk, *m);
    }
    taken
}

/// SEIZE-W4: a P was taken from the host's code on this M. [`hold_later`] follows, without the lock.
pub fn went_out(sched: &Sched, lk: &mut SchedLocked<'_>, m: MRef) {
    lk.taken += 1;
    m.out.set(true);
    if lk.exact {
        // SEIZE-G6
        lk.stopwait += 1;
        sched.poll.fetch_add(1, Ordering::SeqCst);
    }
    sched.stats.taken.fetch_add(1, Ordering::Relaxed);
}

/// SEIZE-W6: has the watchdog arm the timers of the threads that have lost their Ps.
pub fn hold_later(sched: &Sched) {
    if sched.cfg.nudges.get() && !sched.hold_wanted.swap(true, Ordering::Relaxed) {
        sched.sysmon_note.wakeup();
    }
}

/// SEIZE-W5: has the thread of `m` find out in its next moment on a CPU that it is to be held.
fn nudge(sched: &Sched, m: MRef, p: PRef, now: i64) {
    p.watch.asked_when.set(now);
    p.watch.nudges.set(p.watch.nudges.get() + 1);
    sched.stats.nudges.fetch_add(1, Ordering::Relaxed);
    arm(m);
}

/// SEIZE-W6: should a G that has lost its P compute on, its thread is held.
fn hold_one(sched: &Sched, m: MRef) {
    if sched.cfg.nudges.get() && !m.is_extra() {
        arm(m);
    }
}

/// SEIZE-W6, for the Ps that others have taken; and SEIZE-A2.
pub fn hold_those_out(sched: &Sched) {
    if sched.hold_wanted.load(Ordering::Relaxed) && sched.hold_wanted.swap(false, Ordering::Relaxed) {
        for m in sched.every_m().filter(|m| m.alive.get() && m.out.get()) {
            hold_one(sched, m);
        }
        if sched.anywhere.get() {
            sched.busy_ps().filter(|p| p.requests() & STOP != 0).for_each(|p| hold_for_a_stop(sched, p));
        }
    }
}

/// SEIZE-A2, for a thread that has its P.
fn hold_for_a_stop(sched: &Sched, p: PRef) {
    // SAFETY: null or an M, and Ms are never freed.
    if let Some(m) = unsafe { MRef::from_ptr(p.m()) }
        && p.in_host(p.word())
    {
        hold_one(sched, m);
    }
}

fn arm(m: MRef) -> bool {
    let tid = m.tid.get();
    if m.timer_tid.get() != tid {
        if m.timer_tid.get() != 0 {
            sys::cpu_timer::delete(m.timer.get());
        }
        m.timer_tid.set(0);
        let Some(timer) = sys::cpu_timer::create(tid) else { return false };
        m.timer.set(timer);
        m.timer_tid.set(tid);
    }
    sys::cpu_timer::arm(m.timer.get())
}

/// SEIZE-W1: how long a P that is asked to end its slice has time for that before it is taken, and how often its thread
/// is nudged before that, and how long it has time after each.
const GRACE: i64 = 200_000;
const NUDGES: u32 = 3;
const TICKS: i64 = 12_000_000;
/// In `asked_when`: not in this slice.
const NOT_ASKED: i64 = 0;
/// How long the watchdog leaves between two looks at a thread that is to answer.
const PAUSE: i64 = 1_000_000;

/// Whether there is a thread for a P that is taken now.
fn has_heir(sched: &Sched) -> bool {
    sched.nhogs() > 0 || idle::any_idle_m(sched, &sched.lock.lock())
}

/// Has the template thread make an idle M.
pub fn ask_for_reserve(sched: &Sched) {
    sched.reserve_wanted.store(true, Ordering::Relaxed);
    sched.template_note.wakeup();
}

/// A P was asked to end its slice.
fn asked(sched: &Sched, p: PRef, now: i64) {
    sched.stats.preempts.fetch_add(1, Ordering::Relaxed);
    p.watch.asked_when.set(now);
    p.watch.nudges.set(0);
    // SAFETY: null or an M, and Ms are never freed.
    if let Some(m) = unsafe { MRef::from_ptr(p.m()) }
        && sched.cfg.nudges.get()
    {
        p.watch.cpu_then.set(sys::cpu_timer::cpu_time(m.tid.get()).unwrap_or(0));
    }
}

/// SEIZE-W3 to SEIZE-W5: what becomes of a P that was asked to end its slice, runs the host's code, and is needed.
fn seize(sched: &Sched, p: PRef, now: i64) -> RetakeVerdict {
    let watch = &p.watch;
    let nudged = watch.nudges.get();
    let patience = match nudged {
        // A host that is told looks at a flag now and then.
        0 if sched.tells.load(Ordering::Relaxed) => sched.cfg.slice_ns.get(),
        0 => GRACE,
        _ => TICKS,
    };
    if watch.asked_when.get() == NOT_ASKED {
        // The request was for a timer.
        asked(sched, p, now);
        return RetakeVerdict::Again(now + GRACE);
    }
    // SAFETY: null or an M, and Ms are never freed.
    let m = unsafe { MRef::from_ptr(p.m()) };
    if now - watch.asked_when.get() < patience {
        // After a nudge the thread may give the P away at any moment, and the next slice begins.
        let next = if nudged > 0 { now + PAUSE } else { i64::MAX };
        return RetakeVerdict::Again(next.min(watch.asked_when.get().saturating_add(patience)));
    }
    let Some(m) = m.filter(|m| m.may_lose_p()) else { return RetakeVerdict::Nothing };
    if !has_heir(sched) {
        // SEIZE-G4
        ask_for_reserve(sched);
        return RetakeVerdict::Again(now + PAUSE);
    }
    if nudged == 0
        && let Some(gp) = m.g()
    {
        sched.hogs.took(gp, now);
    }
    // SEIZE-N4
    p.nudge();
    // Without the fence nothing can be taken (SEIZE-G1): then only the thread itself gives its P away.
    let in_vain = nudged >= NUDGES && has_asymmetric_fence();
    if !sched.cfg.nudges.get() || m.is_extra() || in_vain {
        return RetakeVerdict::Take;
    }
    // A thread that has used no CPU since it was asked sleeps in the system, or waits for a CPU.
    match sys::cpu_timer::cpu_time(m.tid.get()) {
        Some(cpu) if watch.cpu_then.replace(cpu) != cpu => RetakeVerdict::Nudge(m),
        _ => RetakeVerdict::Take,
    }
}

enum RetakeVerdict {
    Nothing,
    Nudge(MRef),
    Did,
    /// Nothing before this time.
    Again(i64),
    /// Its owner has not answered for a slice (rescue.rs).
    Deaf,
    Take,
}

fn assess(sched: &Sched, p: PRef, now: i64) -> RetakeVerdict {
    let w = p.word();
    if w.status() != PStatus::Running {
        return RetakeVerdict::Nothing;
    }
    let watch = &p.watch;
    let tick = p.schedtick.get();
    if watch.schedtick.get() != tick {
        watch.schedtick.set(tick);
        watch.sched_when.set(now);
        watch.deaf.set(false);
        watch.asked_when.set(NOT_ASKED);
    }
    let slice = sched.cfg.slice_ns.get();
    let slice_over = watch.sched_when.get().saturating_add(slice) <= now;
    if !p.in_syscall(w) {
        // RESCUE-1: what cannot be taken from its G may be deaf.
        let kept = slice_over && rescue::is_kept(sched, p);
        if sched.cfg.seizes.get() && p.in_host(w) && !kept {
            // Since when a G waits for this P.
            let waits = if !p.runq_empty() || sched.globq_len() > 0 { 0 } else { p.timers.first() };
            if slice_over && waits <= now {
                if w.requests() & PREEMPT != 0 {
                    return seize(sched, p, now);
                }
                if p.request(PREEMPT).1 {
                    asked(sched, p, now);
                    if !idle::any_idle_m(sched, &sched.lock.lock()) {
                        // If the thread has to be held, another one is there by then.
                        ask_for_reserve(sched);
                    }
                }
                return RetakeVerdict::Again(now + GRACE);
            }
            if !slice_over && waits != NEVER {
                return RetakeVerdict::Again(waits.max(watch.sched_when.get().saturating_add(slice)));
            }
        }
        if slice_over && rescue::is_deaf(p, slice, now) {
            return RetakeVerdict::Deaf;
        }
        if !slice_over || w.requests() & PREEMPT != 0 || !super::preempt::preempt_one(p) {
            return RetakeVerdict::Nothing;
        }
        asked(sched, p, now);
        return RetakeVerdict::Did;
    }
    let tick = p.stats.syscalls.get();
    let same = watch.syscalltick.get() == tick;
    if !same {
        watch.syscalltick.set(tick);
        watch.syscall_when.set(now);
    }
    let work_waits = !p.runq_empty() || sched.globq_len() > 0;
    let wanted = if work_waits {
        // Between one short syscall and the next the P is hardly ever seen Running. So the slice ends here, too.
        same || slice_over
    } else {
        // No G needs this P now. Take it only if no other M would look for new work; or if the call blocks for long,
        // since a watcher of quiet (quiet.rs) may wait until all Ps are idle.
        let others = sched.nmspinning.load(Ordering::Relaxed) + sched.npidle.load(Ordering::Relaxed);
        same && (others == 0 || watch.syscall_when.get().saturating_add(slice) <= now)
    };
    if wanted { RetakeVerdict::Take } else { RetakeVerdict::Nothing }
}
