//! Into a blocking call and back, and what becomes of the P meanwhile.
//!
//! # Problem
//! A thread that blocks in the system must not keep a P from others, yet most calls do not block, and for those the
//! bracket must cost next to nothing. So the P stays behind, loosely tied, and anybody may take it.
//!
//! # Words
//! The P word (gmp/p.rs), whose tick counts the ways out of Syscall; `m.oldp` and `m.left`: the P that was left and its
//! word then; written by the M.
//!
//! # Protocol
//! Enter (the M, on its G's stack):
//! * E1 note where the G's stack ends, status Syscall: from E3 on another thread may look at the G;
//! * E2 serve requests (a barrier's function, a stop: the P is handed in and the call begins without one);
//! * E3 CAS the P word Running -> Syscall from a word without requests. From here on the P is not touched.
//!
//! Exit:
//! * X1 CAS the word that was left -> Running, tick + 1: the P is still here, done;
//! * X2 otherwise take an idle P;
//! * X3 otherwise, on the scheduler's stack and under `sched.lock`: an idle P after all, or the G goes to the global queue
//!   and the M sleeps.
//!
//! Take (sysmon's retake, a barrier, a stop):
//! * T1 read the word: Syscall, the same as at the last look, or the slice is over; T2 CAS exactly this word -> Running (or Stopped), tick + 1: the P is the taker's;
//! * T3 a P taken to be used goes through [`handoffp`].
//!
//! # Invariants
//! * Y1 of X1 and T2 one succeeds: they replace the same word. The tick makes the word of each syscall another one, so
//!   a slow taker does not hit a later syscall (Go's ABA in retake).
//! * Y2 [`handoffp`] starts an M exactly when a search on that P would find something: the list there is the list in
//!   `sched::find_runnable`. Otherwise a P idles beside work.
//!
//! # Differences from Go
//! Go marks the G, not the P (since 1.26), and checks its flags before and after; here request, status and tick are one
//! word, so E3 fails when a request came first, and a taker needs no second look.

use super::wake;
use crate::gmp::g::{GRef, GStatus};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, OwnedP, PREEMPT, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sync::Ordering;
use crate::sync::widen::widen;

/// E1 to E3. `sp` is where the G's stack ends for a collector.
#[inline(always)]
pub fn entersyscall(m: MRef, gp: GRef, sp: *mut u8) {
    // E1
    gp.sp.set(sp);
    gp.set_status(GStatus::Syscall);
    m.set_ctx(Ctx::Syscall);
    widen!();
    let pp = m.must_p();
    pp.stats.syscalls.bump();
    // E3
    match pp.try_syscall() {
        Ok(left) => {
            m.left.set(left.0);
            m.oldp.set(m.releasep().forget().as_ptr());
        }
        Err(_) => entersyscall_slow(m),
    }
}

/// E2.
#[cold]
#[inline(never)]
fn entersyscall_slow(m: MRef) {
    let sched = m.sched();
    loop {
        let pp = m.must_p();
        match pp.try_syscall() {
            Ok(left) => {
                m.left.set(left.0);
                m.oldp.set(m.releasep().forget().as_ptr());
                return;
            }
            Err(w) if w.requests() & FN != 0 => super::preempt::run_safe_point_fn(sched, m, pp.p()),
            Err(_) => {
                let mut lk = sched.lock.lock();
                let pp = m.releasep();
                match super::preempt::stop_p(&mut lk, sched, pp) {
                    Ok(()) => {
                        m.oldp.set(std::ptr::null_mut());
                        return;
                    }
                    Err(pp) => m.acquirep(pp),
                }
            }
        }
    }
}

/// As [`entersyscall`], and hands the P on at once.
pub fn entersyscallblock(m: MRef, gp: GRef, sp: *mut u8) {
    gp.sp.set(sp);
    gp.set_status(GStatus::Syscall);
    m.set_ctx(Ctx::Syscall);
    let pp = m.releasep();
    pp.stats.syscalls.bump();
    m.oldp.set(std::ptr::null_mut());
    handoffp(m.sched(), m, pp);
}

/// X1 and X2. False: there is no P to be had, X3 is next.
#[inline(always)]
pub fn exitsyscall(m: MRef, gp: GRef) -> bool {
    // SAFETY: oldp is null or a P.
    if let Some(p) = unsafe { PRef::from_ptr(m.oldp.get()) } {
        // X1
        if let Some(pp) = OwnedP::try_return(p, m.left_word()) {
            m.acquirep(pp);
            gp.set_status(GStatus::Running);
            m.set_ctx(Ctx::G);
            return true;
        }
    }
    exitsyscall_slow(m, gp)
}

/// X2.
#[cold]
#[inline(never)]
fn exitsyscall_slow(m: MRef, gp: GRef) -> bool {
    let sched = m.sched();
    if sched.npidle.load(Ordering::Relaxed) == 0 {
        return false;
    }
    widen!();
    let mut lk = sched.lock.lock();
    let Some(pp) = wake::pidleget(sched, &mut lk) else { return false };
    drop(lk);
    m.acquirep(pp);
    gp.set_status(GStatus::Running);
    m.set_ctx(Ctx::G);
    true
}

/// How [`exitsyscall_no_p`] ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NoP {
    /// The M has a P after all and runs the G on.
    Runs,
    /// The G is in the global queue.
    Queued,
    /// The runtime is down: a thread of the host stays where it was.
    Closed,
}

/// X3, off the G's stack.
pub fn exitsyscall_no_p(sched: &Sched, m: MRef, gp: GRef) -> NoP {
    {
        let mut lk = sched.lock.lock();
        if sched.closing.load(Ordering::Relaxed) {
            return NoP::Closed;
        }
        gp.set_status(GStatus::Runnable);
        if let Some(pp) = wake::pidleget(sched, &mut lk) {
            drop(lk);
            m.acquirep(pp);
            return NoP::Runs;
        }
        sched.globrunqput(gp);
    }
    wake::wakep(sched, m);
    NoP::Queued
}

/// Gives a P that `me` owns to whoever has use for it.
pub fn handoffp(sched: &Sched, me: MRef, pp: OwnedP) {
    sched.stats.handoffs.fetch_add(1, Ordering::Relaxed);
    widen!();
    // Y2
    if !pp.runq_empty() || sched.globq_len() > 0 {
        return wake::startm(sched, me, pp, false);
    }
    // Nobody searches and nobody could be started to: this P should search.
    if sched.nmspinning.load(Ordering::Relaxed) + sched.npidle.load(Ordering::Relaxed) == 0
        && sched.nmspinning.compare_exchange(0, 1, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    {
        return wake::startm(sched, me, pp, true);
    }
    let first = pp.timers.first();
    if first != NEVER && first < sched.keeper_until.load(Ordering::Relaxed) {
        // Somebody must sleep until then: the M that finds nothing else to do here.
        return wake::startm(sched, me, pp, false);
    }
    wake::pidleput_carried(sched, sched.lock.lock(), me, pp);
    wake::look_again(sched, me);
}

/// Sysmon's look at one P: takes it from a syscall that lasts, ends its slice. True if it did something.
pub fn retake(sched: &Sched, me: MRef, p: PRef, now: i64) -> bool {
    let w = p.word();
    if !matches!(w.status(), PStatus::Running | PStatus::Syscall) {
        return false;
    }
    let watch = &p.watch;
    let tick = p.schedtick.get();
    if watch.schedtick.get() != tick {
        watch.schedtick.set(tick);
        watch.sched_when.set(now);
    }
    let slice = sched.cfg.slice_ns.get();
    let slice_over = watch.sched_when.get() + slice <= now;
    if w.status() == PStatus::Running {
        if !slice_over || w.requests() & PREEMPT != 0 {
            return false;
        }
        sched.stats.preempts.fetch_add(1, Ordering::Relaxed);
        return super::preempt::preempt_one(p);
    }
    // T1
    let same = watch.syscalltick.get() == w.tick();
    if !same {
        watch.syscalltick.set(w.tick());
        watch.syscall_when.set(now);
    }
    let work_waits = !p.runq_empty() || sched.globq_len() > 0;
    let wanted = if work_waits {
        // One short syscall after the other is seen Running hardly ever: the slice ends here, too.
        same || slice_over
    } else {
        // Nobody needs it, unless nobody would look for work, or it blocks for long: somebody might wait to go quiet.
        let others = sched.nmspinning.load(Ordering::Relaxed) + sched.npidle.load(Ordering::Relaxed);
        same && (others == 0 || watch.syscall_when.get() + slice <= now)
    };
    if !wanted {
        return false;
    }
    widen!();
    // T2
    let Some(pp) = p.try_retake(w) else { return false };
    sched.stats.retakes.fetch_add(1, Ordering::Relaxed);
    // T3
    handoffp(sched, me, pp);
    true
}
