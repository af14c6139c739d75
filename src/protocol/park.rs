//! Gs come and go: spawn, run, park, ready, yield, end.
//!
//! # Problem
//! A G that waits must be off its stack before anybody may run it again, and the thread it leaves must find the next G
//! in a few nanoseconds.
//!
//! # Words
//! The G's status (table in gmp/g.rs); the M's pending call: who left last, and what it wants done.
//!
//! # Protocol
//! Leave (a G on its stack):
//! * L1 status and pending call are written (Parking and Parked, which let anybody ready it by its handle, only in L3);
//! * L2 the next G is taken from this P's own queues, and its stack entered directly. When there is none, a request
//!   waits, or it is this P's turn to look elsewhere, or the next G needs a stack that has to be made first, the
//!   scheduler's stack (g0) is entered instead;
//! * L3 whoever runs next on this thread, a G or g0, first does what the one that left wanted (the commit, the queue,
//!   the end): now it is off its stack. Only g0 runs what may call the host or may refuse.
//!
//! Next (the owner of a P, in `pick` and in `sched::find::find_runnable`):
//! * N1 runnext, which inherits the slice: `schedtick` does not count it. So a pair that hands the P to and fro shares
//!   one slice, and what was spawned or readied last runs next, whatever else waits;
//! * N2 every 61st slice the global queue, and every 122nd also the oldest of the backlog. While parents are suspended,
//!   which inherit the slice too, every 61st switch as well, and then the queue of the P: each first every other time;
//! * N3 the newest of the suspended parents, the oldest of the queue, a batch of the global queue;
//! * N4 when a request ends the slice, its heir in runnext goes behind all others, to the end of the global queue, as a
//!   preempted G does. The next G comes from the queue or from the global one, from each first every other time; only
//!   then come suspended parents.
//!
//! Ready (whoever took the G from where it waited):
//! * D1 status Runnable; D2 into runnext of this P, or the global queue when there is no P; D3 wakep.
//! * A thread of the host that waits as one is woken by its M's note instead.
//!
//! # Invariants
//! * K1 a G is in a queue or readable from a wait object only after L3, otherwise two threads run on one stack.
//! * K2 after a commit of the library's has published a G nobody here touches it: it may run, or be gone.
//! * K3 a G locked to its M, or on an extra M, is never entered from another G's stack.
//! * K4 code after a switch uses the M that the switch returned, nothing that it knew of its thread before.
//! * K6 only the end of a slice (N4) breaks N1, otherwise a pair loses its slice to those that wait, and the header's
//!   word on what runs next. N4 ends every chain of heirs, and N2 bounds every other wait.
//! * K5 the commit of the host runs while the status is Parking: who readies the G then (its handle may have been known
//!   for long) leaves it to this M, and the G goes on when the commit has returned. Otherwise the commit would use what
//!   lies on the stack of a G that runs. (A park that a deadline or a token may end too: block/parking.rs.)
//!
//! # Orderings
//! A status is stored with Release; queues and locks hand the G from thread to thread.
//!
//! # Rejected
//! Always over g0, as Go does: two switches for each yield. A lock in each G that says "still on its stack": an atomic
//! per switch.
//!
//! # Differences from Go
//! Go looks at the global queue (N2) before runnext, here it comes after it: N1 has no exception, and the look waits
//! for the end of the slice at most. `gosched` goes to the end of the P's own queue, or of the global one while that is
//! not empty (Go: always the global one). A G that ends hands its stack to the next one that has none yet, without
//! leaving it.

use super::syscall::NoP;
use super::{lockedm, store, syscall, wake};
use crate::fiber::host::HostState;
use crate::fiber::{self, Sp};
use crate::gmp::g::{GRef, GStatus, WaitReason, gflag};
use crate::gmp::m::{Commit, Ctx, MRef, Mcall, Place};
use crate::gmp::p::{OwnedP, PREEMPT};
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sync::widen::widen;
use crate::sync::{Ordering, fence, fence_after_rmw, now};

/// Every this many slices a P looks at the global queue before its own, so that no G starves there.
pub const FAIR_TICK: u64 = 61;
/// Every this many switches a P with timers looks at the clock.
const TIMER_TICK: u64 = 8;
// ---- leaving ---------------------------------------------------------------------------------------------------------

/// Leaves the running G by the scheduler's stack. Returns the M on which it goes on.
///
/// # Migrates
///
/// # Safety
/// `gp` runs on `m`, this is its stack, and its status says already what becomes of it.
#[inline(never)]
pub unsafe fn mcall(m: MRef, gp: GRef, call: Mcall) -> MRef {
    if m.is_extra() {
        mcall_in_place(m, gp, call);
        return m;
    }
    m.set_pending(gp, call);
    m.set_ctx(Ctx::Sched);
    // SAFETY: g0 waits in `execute`; K4.
    unsafe { switch_from(m, gp, m.g0()) }
}

/// What [`mcall`] is for the G of an extra M, on its own stack: it is resumed by this M only (H1 in lockedm.rs).
fn mcall_in_place(m: MRef, gp: GRef, call: Mcall) {
    let sched = m.sched();
    m.set_ctx(Ctx::Sched);
    let runs = match call {
        Mcall::ExitSyscallNoP => syscall::exitsyscall_no_p(sched, m, gp) == NoP::Runs,
        Mcall::Yield(_) => {
            sched.globrunqput(gp);
            false
        }
        call => finish(m, gp, call),
    };
    lockedm::run_on(sched, m, gp, runs);
}

/// Leaves the running G for the next one of this P, or for the scheduler.
///
/// # Migrates
///
/// # Safety
/// As for [`mcall`]; `call` cannot refuse and does not call the host.
#[inline(always)]
unsafe fn leave(m: MRef, gp: GRef, call: Mcall) -> MRef {
    let pp = m.must_p();
    match pick(m, pp) {
        Some(next) if enter(m, pp, next) => {
            m.set_pending(gp, call);
            // SAFETY: the G is ours to run and has a stack.
            unsafe { switch_from(m, gp, Sp(next.sp.get())) }
        }
        // SAFETY: the caller's promise.
        _ => unsafe { mcall(m, gp, call) },
    }
}

/// Stores the G's context and enters another; on return the G runs again.
///
/// # Safety
/// `to` may be entered, and expects an M.
#[inline(always)]
unsafe fn switch_from(m: MRef, gp: GRef, to: Sp) -> MRef {
    // SAFETY: the G is ours until it is off its stack, and again when it is back; `to` by the caller.
    unsafe {
        (*gp.host.get()).save(&*m.host.get());
        widen!();
        if fiber::sanitize::Fiber::TOLD {
            let to = if to == m.g0() { &(*m.host.get()).fiber } else { &(*running(m).host.get()).fiber };
            (*gp.host.get()).fiber.leave_for(to);
        }
        let payload = fiber::switch(gp.sp.as_ptr().cast(), to, m.as_ptr() as usize);
        let m = MRef::from_payload(payload);
        arrive(m, gp);
        m
    }
}

/// First thing on a G's stack after a switch to it (L3).
///
/// # Safety
/// `gp` was just entered on `m`.
#[inline(always)]
pub unsafe fn arrive(m: MRef, gp: GRef) {
    // SAFETY: the G runs here now.
    unsafe {
        (*gp.host.get()).fiber.arrived();
        (*gp.host.get()).restore(&*m.host.get());
    }
    if let Some(prev) = m.take_left() {
        finish_left(m, prev);
    }
}

/// For a G whose wish cannot be refused.
#[inline(never)]
fn finish_left(m: MRef, prev: GRef) {
    let resumed = finish(m, prev, m.pending());
    debug_assert!(!resumed);
}

/// Does what a G wanted that has left its stack. True: it was refused, the G goes on.
#[inline(always)]
pub fn finish(m: MRef, gp: GRef, call: Mcall) -> bool {
    let sched = m.sched();
    // Between the way off the stack and L3.
    widen!();
    match call {
        Mcall::None => false,
        Mcall::Park(commit) => {
            m.must_p().stats.parks.bump();
            if commit.host {
                return !park_by_host(m, gp, commit);
            }
            // SAFETY: the commit came with its argument; K1.
            commit.f.is_some_and(|f| !unsafe { f(m, gp, commit.arg) })
        }
        Mcall::Suspend => {
            gp.set_status(GStatus::Suspended);
            false
        }
        Mcall::Yield(place) => {
            match place {
                Place::Next => _ = m.must_p().put_next(gp),
                Place::Tail => m.must_p().put_last(gp),
                Place::Global => sched.globrunqput(gp),
            }
            // It was in no queue for a moment while another G was entered, and a searcher may have found nothing: S2 to
            // S5. (With one P there is no searcher.) On g0 it is in a queue before another is taken out, which a
            // searcher finds.
            if m.ctx() == Ctx::G && sched.procs() > 1 {
                wake::wakep(sched, m);
            }
            false
        }
        Mcall::Parent => {
            // Another M may begin to search before, since to wake one takes longer than the child needs to begin: the
            // parent is seen last of all. S2 to S5 come behind it all the same.
            let others = sched.procs() > 1;
            if others {
                wake::start_searcher(sched, m);
            }
            m.must_p().put_parent(gp);
            if others {
                wake::wakep(sched, m);
            }
            false
        }
        Mcall::Exit => {
            store::free(m, gp);
            false
        }
        Mcall::ExitSyscallNoP => wake_bug(sched),
    }
}

/// L3 for a commit of the host; false: the G goes on.
#[inline(never)]
fn park_by_host(m: MRef, gp: GRef, commit: Commit) -> bool {
    // Only now: whoever knows the handle may ready it from here on (K1, K5).
    gp.set_status(GStatus::Parking);
    // SAFETY: the commit came with its argument, and K5.
    let parks = commit.f.is_none_or(|f| unsafe { f(m, gp, commit.arg) });
    let parked = parks && gp.cas_status(GStatus::Parking, GStatus::Parked);
    if !parked {
        gp.set_status(GStatus::Runnable);
    }
    parked
}

#[cold]
fn wake_bug(sched: &Sched) -> ! {
    crate::gmp::fatal::throw(sched, "a G without a P was left on a G's stack")
}

/// L2: the next G of this P, unless the scheduler is to choose.
#[inline(always)]
fn pick(m: MRef, pp: &OwnedP) -> Option<GRef> {
    if pp.requests() != 0 || m.lockedg().is_some() {
        return None;
    }
    if pp.timers.first() != NEVER && pp.stats.switches.get().is_multiple_of(TIMER_TICK) {
        return None;
    }
    if let Some(gp) = pp.take_runnext() {
        return Some(gp);
    }
    if is_fair_slice(pp) {
        return None;
    }
    if pp.has_parents() {
        if is_fair_switch(pp) {
            return None;
        }
        if let Some(gp) = pp.get_parent() {
            return Some(gp);
        }
    }
    let gp = pp.get_queued()?;
    pp.schedtick.bump();
    Some(gp)
}

/// N2: whether the next slice begins with a look at the global queue.
#[inline(always)]
pub fn is_fair_slice(pp: &OwnedP) -> bool {
    pp.schedtick.get().is_multiple_of(FAIR_TICK)
}

/// N2: whether suspended parents wait for once.
#[inline(always)]
pub fn is_fair_switch(pp: &OwnedP) -> bool {
    pp.stats.switches.get().is_multiple_of(FAIR_TICK)
}

/// Makes a picked G the running one, if it can be entered from a G's stack; otherwise g0 will: K3, or it has no stack
/// and the P keeps none. To make one is for g0, where the commit of the G that leaves has run: until then that G may
/// hold the lock of what it waits for.
#[inline(always)]
fn enter(m: MRef, pp: &OwnedP, gp: GRef) -> bool {
    if !gp.lockedm.is_null() || !store::bind_kept_stack(m, pp, gp) {
        m.chosen.set(gp.as_ptr());
        return false;
    }
    make_running(m, pp, gp);
    true
}

#[inline(always)]
pub fn make_running(m: MRef, pp: &OwnedP, gp: GRef) {
    pp.stats.switches.bump();
    // ASK-4 in preempt.rs
    gp.asked.clear();
    gp.m.set(m.as_ptr());
    gp.set_status(GStatus::Running);
    m.curg.set(gp.as_ptr());
}

/// Enters a G from g0; returns when this M is back on g0. The G has a stack.
///
/// # Safety
/// On `m`'s g0; the M holds a P, and the G is its to run.
pub unsafe fn execute(m: MRef, gp: GRef, inherit: bool) {
    let pp = m.must_p();
    if !inherit {
        pp.schedtick.bump();
    }
    make_running(m, pp, gp);
    m.set_ctx(Ctx::G);
    // SAFETY: g0's context is stored where `mcall` finds it; the G is off its stack (K1).
    unsafe {
        (*m.host.get()).fiber.leave_for(&(*gp.host.get()).fiber);
        fiber::switch(m.g0_sp.as_ptr().cast(), Sp(gp.sp.get()), m.as_ptr() as usize);
        (*m.host.get()).fiber.arrived();
    }
    m.set_ctx(Ctx::Sched);
    m.curg.set(std::ptr::null_mut());
}

// ---- park and ready --------------------------------------------------------------------------------------------------

/// Parks the running G, or the thread of the host that has none. The commit runs when it is off its stack, on whatever
/// stack runs then: it must be short, call nothing of the host and never refuse.
///
/// # Migrates
#[inline]
pub fn gopark(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    if !m.is_free() {
        return park_slow(m, reason, commit);
    }
    let gp = running(m);
    note_wait(gp, reason, m.sched().coarse_now());
    gp.set_status(GStatus::Waiting);
    // SAFETY: gp runs here and waits from now on.
    unsafe { leave(m, gp, Mcall::Park(commit)) }
}

/// As [`gopark`] for a commit of the host, which may refuse.
///
/// # Migrates
pub fn gopark_host(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    debug_assert!(commit.host);
    park_slow(m, reason, commit)
}

/// As [`gopark`], by way of g0: the commit may take its time, call the host, and refuse. It sees to the status itself.
///
/// # Migrates
pub fn gopark_by_g0(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    debug_assert!(!commit.host);
    park_slow(m, reason, commit)
}

fn park_slow(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    if m.ctx() == Ctx::Foreign {
        park_thread(m, reason, commit, None, |_| ());
        return m;
    }
    let gp = running(m);
    note_wait(gp, reason, m.sched().coarse_now());
    gp.set_status(GStatus::Waiting);
    // SAFETY: gp runs here and waits from now on.
    unsafe { mcall(m, gp, Mcall::Park(commit)) }
}

/// Parks a thread of the host, without a P. At the deadline `expire` is called once: it may take the wait record back
/// and ready the thread, or leave it to whoever has taken it.
pub fn park_thread(m: MRef, reason: WaitReason, commit: Commit, deadline: Option<i64>, expire: impl FnOnce(GRef)) {
    thread_waits(m, reason, deadline, expire, |gp| {
        // SAFETY: the commit came with its argument; only this thread runs the G, so it may be readied from now on.
        let parks = || commit.f.is_none_or(|f| unsafe { f(m, gp, commit.arg) });
        if !commit.host {
            gp.set_status(GStatus::Waiting);
            if deadline.is_none() {
                thread_sticks(m);
            }
            return parks();
        }
        gp.set_status(GStatus::Parking);
        // K5: nobody wakes the thread before the status is changed.
        let parked = parks() && gp.cas_status(GStatus::Parking, GStatus::Parked);
        if parked && deadline.is_none() {
            thread_sticks(m);
        }
        parked
    });
}

/// N2 in quiet.rs, for a thread without a deadline: counted before the thread is seen to be parked, told when the commit
/// has opened what it opens.
pub fn thread_sticks(m: MRef) {
    m.sched().count_for_watchers();
    m.parked.set(true);
}

/// As [`park_thread`]. `commit` says whether it is parked, and has called [`thread_sticks`] then, if it has no deadline.
pub fn thread_waits(
    m: MRef,
    reason: WaitReason,
    deadline: Option<i64>,
    expire: impl FnOnce(GRef),
    commit: impl FnOnce(GRef) -> bool,
) {
    let gp = own_g(m);
    gp.set_flag(gflag::THREAD_WAIT, true);
    // Where no P is used nobody moves the cheap clock.
    note_wait(gp, reason, now());
    let old = m.swap_ctx(Ctx::Sched);
    let parked = commit(gp);
    m.set_ctx(old);
    if parked {
        if deadline.is_none() {
            m.sched().tell_watchers();
        }
        if !m.park.sleep_until(deadline) {
            expire(gp);
            m.park.sleep();
        }
        m.park.clear();
    }
    m.parked.set(false);
    gp.set_flag(gflag::THREAD_WAIT, false);
    gp.set_status(GStatus::Syscall);
}

/// Leaves the running G, or the thread of the host that has none, for `to`, which waits and is the caller's to run
/// (coro.rs). Directly, with `call` as what it wants done, or through the scheduler, where the commit `ready` readies `to`.
///
/// # Migrates
#[inline(always)]
pub fn hand_over(m: MRef, gp: GRef, to: GRef, reason: WaitReason, call: Mcall, ready: Commit) -> MRef {
    if !m.is_free() {
        return park_slow(m, reason, ready);
    }
    let pp = m.must_p();
    let timers_turn = pp.timers.first() != NEVER && pp.stats.switches.get().is_multiple_of(TIMER_TICK);
    if pp.requests() != 0 || timers_turn || !to.lockedm.is_null() || !store::bind_kept_stack(m, pp, to) {
        return park_slow(m, reason, ready);
    }
    note_wait(gp, reason, m.sched().coarse_now());
    gp.set_status(GStatus::Waiting);
    make_running(m, pp, to);
    m.set_pending(gp, call);
    // SAFETY: `to` is ours to run, off its stack (K1), and has one; gp waits from now on.
    unsafe { switch_from(m, gp, Sp(to.sp.get())) }
}

#[inline(always)]
pub fn note_wait(gp: GRef, reason: WaitReason, since: i64) {
    gp.wait_reason.set(reason.as_ptr().cast_mut());
    gp.wait_since.set(since);
}

/// The G that runs on `m`.
#[inline(always)]
pub fn running(m: MRef) -> GRef {
    match m.g() {
        Some(gp) => gp,
        None => crate::gmp::fatal::throw(m.sched(), "no G runs here"),
    }
}

/// The G of an extra M.
pub fn own_g(m: MRef) -> GRef {
    // SAFETY: an extra M has its G from birth.
    match unsafe { GRef::from_ptr(m.own_g.get()) } {
        Some(gp) => gp,
        None => crate::gmp::fatal::throw(m.sched(), "an extra M without a G"),
    }
}

/// D1 to D3, for a G whose wait record the caller has taken. From any context.
#[inline]
pub fn goready(m: MRef, gp: GRef) {
    if gp.has(gflag::THREAD_WAIT) {
        return thread_ready(gp);
    }
    gp.set_status(GStatus::Runnable);
    widen!();
    ready_queue(m, gp);
}

#[cold]
fn thread_ready(gp: GRef) {
    // SAFETY: a G that waits as a thread has its M. The note comes last: after it the M may serve another thread.
    if let Some(m) = unsafe { MRef::from_ptr(gp.m.get()) } {
        // It does not wait for ever any more, though it may take a while until it gets a CPU.
        m.parked.set(false);
        widen!();
        m.park.wakeup();
    }
}

/// D2 and D3 for a G that is Runnable already.
#[inline]
pub fn ready_queue(m: MRef, gp: GRef) {
    let sched = m.sched();
    match m.p() {
        Some(pp) => {
            // A G that was next was called for when it was submitted. But a thief may take `gp` before that one is seen
            // in the queue, and call for nobody since all Ps are busy; and then one goes idle. (With one P, which is
            // this one, nobody is idle.)
            if !pp.put_next(gp) {
                fence_after_rmw();
            } else if sched.procs() > 1 {
                fence(Ordering::SeqCst);
            }
            wake::wakep_fenced(sched, m);
        }
        None => {
            sched.globrunqput(gp);
            wake::wakep(sched, m);
        }
    }
}

/// Readies a G that parked by [`gopark_host`], if `handle` still names it and it is parked so.
#[must_use]
pub fn ready_parked(m: MRef, gp: GRef, handle: u64) -> bool {
    loop {
        // Read first: its commit may return at any moment.
        let parking = gp.status() == GStatus::Parking;
        if gp.cas_status_of(handle, GStatus::Parked, GStatus::Runnable) {
            break;
        }
        // K5: it goes on when the commit has returned.
        if gp.cas_status_of(handle, GStatus::Parking, GStatus::Runnable) {
            return true;
        }
        if !parking {
            return false;
        }
    }
    if gp.has(gflag::THREAD_WAIT) {
        thread_ready(gp);
    } else {
        ready_queue(m, gp);
    }
    true
}

// ---- yield -----------------------------------------------------------------------------------------------------------

/// Lets others run.
///
/// # Migrates
#[inline(always)]
pub fn gosched(m: MRef) -> MRef {
    let gp = running(m);
    let pp = m.must_p();
    // Nobody else is here, and nobody is woken for it (Go's #13527).
    if pp.has_nothing() && pp.requests() == 0 && m.sched().globq_len() == 0 && pp.timers.first() == NEVER {
        pp.schedtick.bump();
        return m;
    }
    gp.set_status(GStatus::Runnable);
    // SAFETY: gp runs here and is runnable from now on; nobody sees it before L3.
    unsafe {
        if m.is_extra() {
            return mcall(m, gp, Mcall::Yield(Place::Global));
        }
        leave(m, gp, Mcall::Yield(Place::Tail))
    }
}

/// Serves the requests to this P: the G goes through the scheduler.
///
/// # Migrates
#[cold]
pub fn safepoint(m: MRef) -> MRef {
    let gp = running(m);
    let pp = m.must_p();
    let requests = pp.requests();
    if requests == 0 {
        return m;
    }
    pp.stats.preempts.bump();
    gp.set_status(GStatus::Runnable);
    // A slice that is over goes behind everybody; for a stop, a barrier, timers or the global queue the G keeps its
    // place.
    let over = requests & PREEMPT != 0 && pp.slice_is_over(now(), m.sched().cfg.slice_ns.get());
    let place = if over { Place::Global } else { Place::Next };
    // SAFETY: gp runs here and is runnable from now on.
    unsafe { mcall(m, gp, Mcall::Yield(place)) }
}

// ---- begin and end ---------------------------------------------------------------------------------------------------

/// Starts a new G before its parent goes on: the parent's continuation is what others may steal.
///
/// # Migrates
#[inline]
pub fn run_child_first(m: MRef, child: GRef) -> MRef {
    let gp = running(m);
    let pp = m.must_p();
    // Requests wait for the next way through the scheduler, which the child's end is at the latest.
    if m.lockedg().is_some() || !store::bind_stack(m, pp, child) {
        ready_queue(m, child);
        return m;
    }
    gp.set_status(GStatus::Runnable);
    make_running(m, pp, child);
    m.set_pending(gp, Mcall::Parent);
    // SAFETY: the child is ours and has its stack; the parent is published when it is off its own (L3).
    unsafe { switch_from(m, gp, Sp(child.sp.get())) }
}

/// The end of the running G, after which its descriptor may serve again (a zombie's waits to be joined). Returns the
/// next G if that begins on this very stack; otherwise does not return.
///
/// # Safety
/// `gp` runs on `m`, a worker, and nothing on its stack is needed any more. `bottom`: this is called from the bottom of
/// the stack, where the next G may begin.
#[inline(always)]
pub unsafe fn goexit(m: MRef, gp: GRef, bottom: bool) -> Option<GRef> {
    let pp = m.must_p();
    pp.stats.ended.bump();
    if !gp.has(gflag::ZOMBIE) {
        gp.set_status(GStatus::Dead);
    }
    // SAFETY: the G runs on this thread.
    unsafe { HostState::end(&*m.host.get()) };
    if bottom {
        match pick(m, pp) {
            Some(next)
                if next.sp.is_null() && next.stack_size.get() | gp.stack_size.get() == 0 && next.lockedm.is_null() =>
            {
                // SAFETY: both Gs are ours; the stack passes from one to the other.
                unsafe {
                    next.take_stack_of(&gp);
                    (*next.host.get()).fiber = (*gp.host.get()).fiber;
                }
                // Only says that it has a stack; the next switch away overwrites it.
                next.sp.set(gp.sp.get());
                store::recycle(m, gp);
                make_running(m, pp, next);
                return Some(next);
            }
            Some(next) if enter(m, pp, next) => {
                m.set_pending(gp, Mcall::Exit);
                // SAFETY: the G is ours to run and has a stack; the one that ends is never entered again.
                unsafe { switch_from(m, gp, Sp(next.sp.get())) };
            }
            _ => {}
        }
    }
    // SAFETY: the G is gone after this.
    unsafe { mcall(m, gp, Mcall::Exit) };
    crate::gmp::fatal::throw(m.sched(), "a G ran on after its end")
}

/// Puts a new G where it will run; false if the runtime has ended meanwhile, and the G is not.
#[inline(always)]
pub fn start(m: MRef, gp: GRef) -> bool {
    if m.p().is_none() && m.sched().is_closing() {
        store::unmake(m, gp);
        return false;
    }
    ready_queue(m, gp);
    true
}

/// As [`start`], behind all that wait in the queue of this P.
pub fn start_last(m: MRef, gp: GRef) -> bool {
    let Some(pp) = m.p() else { return start(m, gp) };
    pp.put_last(gp);
    wake::wakep(m.sched(), m);
    true
}
