//! Into a blocking call and back, and what becomes of the P meanwhile.
//!
//! # Problem
//! A thread that blocks in the system must not keep a P from others, yet most calls do not block, and for those the
//! bracket must cost next to nothing. So the P stays behind, loosely tied, and anybody may take it.
//!
//! # Words
//! * the P word (gmp/p.rs): requests, and `tick`, which counts how often the P was taken from a syscall;
//! * `m.insys`: 0, or which P this M has left and at what tick; written by the M. `m.oldp`, `m.left`: the same for
//!   itself.
//!
//! # Protocol
//! Enter (the M, on its G's stack):
//! * E1 note where the G's stack ends, status Syscall: from E2 on another thread may look at the G;
//! * E2 insys = (P, tick); from here on the P is not touched;
//! * E3 LIGHT fence; look at the requests of the P. STOP or FN: come back (X1 to X2), serve them, and enter again.
//!
//! Exit:
//! * X1 insys = 0; LIGHT fence; the P word is as it was left: the P is still here, done;
//! * X2 otherwise CAS it, tick + 1, if its tick is what it was: there were requests, but nobody has taken the P;
//! * X3 otherwise take an idle P;
//! * X4 otherwise, on the scheduler's stack and under `sched.lock`: an idle P after all, or the G goes to the global
//!   queue and the M sleeps.
//!
//! Take (a stop, a barrier; sysmon's retake, of a P that is where it was at the last look, or whose slice is over):
//! * T1 set a bit in the P word: STOP, FN, or TAKE;
//! * T2 HEAVY fence, one for all Ps;
//! * T3 read the word; the bit is there, and insys of the P's M is (P, the word's tick): it is in a syscall;
//! * T4 CAS this very word, tick + 1 and without the bit: the P is the taker's;
//! * T5 a P taken to be used goes through [`handoffp`].
//!
//! # Invariants
//! * Y1 a P has one owner: T4 succeeds only while its M is in the syscall, or behind X1 and before X2. (If X1's look at
//!   the word came before T1, then HEAVY makes X1's insys = 0 seen in T3. Otherwise X1 sees the bit, and X2 and T4
//!   replace the same word: one of them succeeds.)
//! * Y2 [`handoffp`] starts an M exactly when a search on that P would find something: the list there is the list in
//!   `sched::find::find_runnable`. Otherwise a P idles beside work.
//! * Y3 no request is overlooked: either E3 sees the bit, or T3 sees insys.
//! * Y4 a P that is on its way from hand to hand is not taken: its tick differs from that in the insys of the M that
//!   lost it, and an M that gives a P away has insys = 0.
//! * Y5 once HEAVY is lost, T3 takes a P only from an M that is marked `fenced`: its LIGHT before the mark was a full fence,
//!   so each one after it is. Otherwise its X1 may still be a LIGHT that nothing answers, and Y1 does not hold.
//!
//! # Orderings
//! LIGHT and HEAVY (sync) are the two halves of a fence that costs only one side: behind HEAVY every thread has either
//! done its LIGHT, and its stores before that are seen, or will see in its loads after it what was stored before HEAVY.
//! The system lends it (membarrier); without it LIGHT is a fence like any other.
//!
//! A filter of the host may forbid membarrier while the runtime is up. Then LOST is set, and LIGHT becomes a full fence on each
//! thread that sees it. T3 reads `fenced` (Acquire) before insys; the M writes it (Release) behind E3, so what T3 reads of insys
//! was written by this bracket of the M or a later one, and X1 of all these is a full fence. A P that was left before stays with
//! its M until the call ends: a stop waits for it.
//!
//! # Rejected
//! When membarrier is lost: mprotect of a page that all CPUs use, since processors exist that flush it without an interrupt; a
//! signal to each thread, since the host may block it; two equal readings of a thread's CPU time, since that clock stands
//! still while an interrupt or another virtual machine has the CPU.
//!
//! # Differences from Go
//! Go marks the G with a compare-and-swap at each enter and exit (since 1.26), and needs flags and second looks beside
//! it. Here the bracket writes a word of its own twice and no more; who takes a P, which is rare, pays.

use super::{idle, rescue, wake};
use crate::gmp::g::{GRef, GStatus};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{FN, OwnedP, PREEMPT, PRef, PStatus, STOP};
use crate::gmp::sched::Sched;
use crate::gmp::timers::{NEVER, Timers};
use crate::sync::widen::widen;
use crate::sync::{Ordering, heavy_fence, light_fence};

/// E1 to E3. `sp` is where the G's stack ends for a collector.
#[inline(always)]
pub fn entersyscall(m: MRef, gp: GRef, sp: *mut u8) {
    // E1
    gp.sp.set(sp);
    gp.set_status(GStatus::Syscall);
    m.set_ctx(Ctx::Syscall);
    widen!();
    m.must_p().stats.syscalls.bump();
    if !leave(m) {
        entersyscall_slow(m);
    }
}

/// E2 and E3. False: there are requests.
#[inline(always)]
fn leave(m: MRef) -> bool {
    // E2
    let p = m.releasep().forget();
    m.leave_p(p, p.word());
    widen!();
    // E3
    if light_fence() {
        // Y5
        m.set_fenced(true);
    }
    p.requests() & (STOP | FN) == 0
}

/// E3 with requests.
#[cold]
#[inline(never)]
fn entersyscall_slow(m: MRef) {
    let sched = m.sched();
    loop {
        // Whoever asked before we said that we are here counts on the owner.
        // SAFETY: oldp is null or a P.
        let Some(pp) = unsafe { PRef::from_ptr(m.oldp.get()) }.and_then(|p| come_back(m, p)) else {
            // Whoever asked has taken the P.
            return;
        };
        if pp.requests() & FN != 0 {
            m.acquirep(pp);
            super::preempt::run_safe_point_fn(sched, m, m.must_p().p());
        } else {
            let mut lk = sched.lock.lock();
            match super::preempt::stop_p(&mut lk, sched, pp) {
                Ok(()) => {
                    m.oldp.set(std::ptr::null_mut());
                    return;
                }
                Err(pp) => m.acquirep(pp),
            }
        }
        if leave(m) {
            return;
        }
    }
}

/// X1 and X2.
#[inline(always)]
fn come_back(m: MRef, p: PRef) -> Option<OwnedP> {
    // X1
    m.come_back();
    widen!();
    light_fence();
    match OwnedP::back(p, m.left()) {
        None => come_back_slow(m, p),
        back => back,
    }
}

/// X2.
#[cold]
#[inline(never)]
fn come_back_slow(m: MRef, p: PRef) -> Option<OwnedP> {
    OwnedP::back_slow(p, m.left())
}

/// Calls a function of the host on a worker that runs no G, and returns whether the P that it had is still there: it may be
/// taken meanwhile, as from a syscall, so nobody waits for what the function does.
#[cold]
pub fn call_apart(sched: &Sched, m: MRef, f: impl FnOnce()) -> bool {
    // A thread that searches would be counted on (S2 to S5 in wake.rs). What it would have found it finds afterwards, or
    // whoever gets the P.
    if m.spinning.replace(false) {
        sched.nmspinning.fetch_sub(1, Ordering::SeqCst);
    }
    m.must_p().stats.syscalls.bump();
    if !leave(m) {
        entersyscall_slow(m);
    }
    f();
    // SAFETY: oldp is null or a P.
    match unsafe { PRef::from_ptr(m.oldp.get()) }.and_then(|p| come_back(m, p)) {
        Some(pp) => {
            m.acquirep(pp);
            true
        }
        None => false,
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

/// X1 to X3. False: there is no P to be had, X4 is next.
#[inline(always)]
pub fn exitsyscall(m: MRef, gp: GRef) -> bool {
    // SAFETY: oldp is null or a P.
    if let Some(p) = unsafe { PRef::from_ptr(m.oldp.get()) }
        && let Some(pp) = come_back(m, p)
    {
        m.acquirep(pp);
        gp.set_status(GStatus::Running);
        m.set_ctx(Ctx::G);
        return true;
    }
    exitsyscall_slow(m, gp)
}

/// X3.
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
    gp.set_status(GStatus::Running);
    m.set_ctx(Ctx::G);
    true
}

/// For a thread that does not come back: the P of its last syscall, if it is still there, goes to whoever has use for
/// it.
pub fn give_up_p(m: MRef) {
    // SAFETY: oldp is null or a P.
    if let Some(p) = unsafe { PRef::from_ptr(m.oldp.take()) }
        && let Some(pp) = come_back(m, p)
    {
        handoffp(m.sched(), m, pp);
    }
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

/// X4, off the G's stack.
pub fn exitsyscall_no_p(sched: &Sched, m: MRef, gp: GRef) -> NoP {
    {
        let mut lk = sched.lock.lock();
        if sched.closing.load(Ordering::Relaxed) {
            return NoP::Closed;
        }
        gp.set_status(GStatus::Runnable);
        if let Some(pp) = idle::pidleget(sched, &mut lk) {
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
    Timers::hide(pp.p());
    wake::pidleput_carried(sched, sched.lock.lock(), me, pp);
    wake::look_again(sched, me);
}

/// Sysmon's look at the Ps: takes those from syscalls that last, ends slices, and takes out what waits with a P that
/// does not answer. True if it did something.
pub fn retake(sched: &Sched, me: MRef, ps: impl Iterator<Item = PRef> + Clone, now: i64) -> bool {
    let (mut did, mut any) = (false, false);
    for p in ps.clone() {
        match look(sched, p, now) {
            Look::Nothing => {}
            Look::Did => did = true,
            Look::Deaf => {
                did |= rescue::take_out(sched, me, p);
                rescue::ask_seldom(p, sched.cfg.slice_ns.get(), now);
            }
            Look::Take => {
                // T1
                p.announce();
                any = true;
            }
        }
    }
    if !any {
        return did;
    }
    widen!();
    // T2
    heavy_fence();
    for p in ps {
        widen!();
        // T3, T4
        if let Some(pp) = p.try_retake() {
            sched.stats.retakes.fetch_add(1, Ordering::Relaxed);
            // T5
            handoffp(sched, me, pp);
            did = true;
        }
    }
    did
}

enum Look {
    Nothing,
    Did,
    /// Its owner has not answered for a slice (rescue.rs).
    Deaf,
    Take,
}

fn look(sched: &Sched, p: PRef, now: i64) -> Look {
    let w = p.word();
    if w.status() != PStatus::Running {
        return Look::Nothing;
    }
    let watch = &p.watch;
    let tick = p.schedtick.get();
    if watch.schedtick.get() != tick {
        watch.schedtick.set(tick);
        watch.sched_when.set(now);
        watch.deaf.set(false);
    }
    let slice = sched.cfg.slice_ns.get();
    let slice_over = watch.sched_when.get().saturating_add(slice) <= now;
    if !p.in_syscall(w) {
        if slice_over && rescue::is_deaf(p, slice, now) {
            return Look::Deaf;
        }
        if !slice_over || w.requests() & PREEMPT != 0 || !super::preempt::preempt_one(p) {
            return Look::Nothing;
        }
        sched.stats.preempts.fetch_add(1, Ordering::Relaxed);
        return Look::Did;
    }
    let tick = p.stats.syscalls.get();
    let same = watch.syscalltick.get() == tick;
    if !same {
        watch.syscalltick.set(tick);
        watch.syscall_when.set(now);
    }
    let work_waits = !p.runq_empty() || sched.globq_len() > 0;
    let wanted = if work_waits {
        // One short syscall after the other is seen Running hardly ever: the slice ends here, too.
        same || slice_over
    } else {
        // Nobody needs it, unless nobody would look for work, or it blocks for long: somebody might wait to go quiet.
        let others = sched.nmspinning.load(Ordering::Relaxed) + sched.npidle.load(Ordering::Relaxed);
        same && (others == 0 || watch.syscall_when.get().saturating_add(slice) <= now)
    };
    if wanted { Look::Take } else { Look::Nothing }
}
