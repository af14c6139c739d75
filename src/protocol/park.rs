//! The life of a G: spawn, run, park, ready, yield, end.
//!
//! # Problem
//! A G publishes itself as a waiter and leaves its stack. A waker on another thread sees it in between and readies it,
//! and a third thread enters its stack: now two threads run on one stack. So a G must be off its stack before any other
//! thread may run it. And the thread that it leaves must find the next G within a few nanoseconds.
//!
//! # Words
//! * status of a G: the table in gmp/g.rs says which thread may change it.
//! * pending call (`Mcall`) of an M: the G that left its stack last, and what that G wants done now that it is off the
//!   stack: run a commit, queue it, free it. Written by the M.
//! * commit: the function of a park that publishes the G to its future waker. A commit of the library is short, calls
//!   nothing of the host and does not refuse ([`gopark`]). A commit that may do any of these runs on g0
//!   ([`gopark_host`], [`gopark_by_g0`]). If it refuses, the G keeps running.
//! * slice: the time (`slice_ns`) after which a P is asked to let other Gs run. `schedtick` of the P counts its slices.
//! * runnext: a place for one G, which runs before the queue of the P. That G is the heir: it inherits the rest of the
//!   slice.
//! * backlog: the part of a P's queue that has no place in its ring (gmp/queue.rs).
//! * suspended parent: a G whose spawned child runs first ([`run_child_first`]).
//!
//! # Protocol
//! Leave. A G on its stack stops running:
//! * PARK-L1 write its status and the pending call. (Parking and Parked, which let any thread ready the G by its
//!   handle, are written only in PARK-L3.)
//! * PARK-L2 take the next G from this P's own queues and enter its stack directly. Enter the scheduler's stack (g0)
//!   instead if these queues are empty, if a request waits, if it is this P's turn to look elsewhere, or if the next G
//!   needs a stack that must be made first.
//! * PARK-L3 the next code on this thread, a G or g0, first executes the pending call (the commit, the queue, the end):
//!   now the G that left is off its stack. Only g0 executes a call that may refuse or that calls the host.
//!
//! Next. The owner of a P takes the next G, in `pick` and in `sched::find::find_runnable`:
//! * PARK-N1 runnext. It inherits the slice: `schedtick` does not count it. So a pair of Gs that hand the P to each
//!   other shares one slice, and the G that was spawned or readied last runs next, whatever else waits;
//! * PARK-N2 at every 61st slice the global queue first; at every 122nd also the oldest G of the backlog. Suspended
//!   parents inherit the slice too, so while there are any, every 61st switch counts as such a turn as well: then the
//!   queue of the P and the global queue go before the parents, each of the two first every other time;
//! * PARK-N3 the newest suspended parent, then the oldest G of the queue, then a batch from the global queue;
//! * PARK-N4 when a request ends the slice, its heir in runnext goes behind all others, to the end of the global queue,
//!   as a preempted G does. The next G comes from the queue of the P or from the global queue, from each first every
//!   other time; suspended parents come only after both.
//!
//! Ready. The waker has taken the G from the object where it waited:
//! * PARK-D1 set the status to Runnable;
//! * PARK-D2 put the G into runnext of this P, or into the global queue if the waker has no P;
//! * PARK-D3 wakep.
//! * If the waiter is a thread of the host, the waker sets the note of its M instead.
//!
//! # Invariants
//! * PARK-K1 a G is in a queue, or can be reached from a wait object, only after PARK-L3. Otherwise two threads run on
//!   one stack.
//! * PARK-K2 after a commit of the library has published a G, the thread that ran the commit does not touch it: the G
//!   may run already, or be gone.
//! * PARK-K3 a G that is locked to its M, or on an extra M, is never entered from another G's stack.
//! * PARK-K4 code after a switch uses the M that the switch returned, and nothing that it knew of its thread before.
//! * PARK-K6 only the end of a slice (PARK-N4) breaks PARK-N1. Otherwise a pair would lose its slice to Gs that wait,
//!   and the header's promise about which G runs next would not hold. PARK-N4 ends every chain of heirs, and PARK-N2
//!   bounds every other wait.
//! * PARK-K5 a commit of the host runs while the status is Parking. A waker that readies the G then (it may have known
//!   the handle for long) only changes the status: this M continues the G when the commit has returned. Otherwise the
//!   commit would use variables on the stack of a G that runs. (A park that a deadline or a token may end too:
//!   block/parking.rs.)
//!
//! # Orderings
//! A status is stored with Release. Queues and locks pass the G from thread to thread.
//!
//! # Rejected
//! * Always through g0, as Go does: two switches for each yield.
//! * A lock in each G that says "still on its stack": an atomic operation per switch.
//!
//! # Differences from Go
//! * Go looks at the global queue (PARK-N2) before runnext, libgomax after it: so PARK-N1 has no exception, and the
//!   look waits at most until the slice ends.
//! * `gosched` puts the G behind all others in the P's own queue; Go puts it into the global queue. (A G on an extra M
//!   goes to the global queue here, too.)
//! * A G that ends passes its stack to the next G if that has none yet, without leaving the stack.

use super::syscall::NoP;
use super::{lockedm, netpoll, store, syscall, thread, wake};
use crate::fiber::host::HostState;
use crate::fiber::sanitize::Fiber;
use crate::fiber::{self, Sp};
use crate::gmp::g::{GRef, GStatus, WaitReason, gflag};
use crate::gmp::latency;
use crate::gmp::m::{Commit, Ctx, MRef, Mcall, Place};
use crate::gmp::p::{OwnedP, PREEMPT};
use crate::gmp::probes;
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sync::widen::widen;
use crate::sync::{Ordering, fence, fence_after_rmw, now};

/// A P looks at the global queue before its own once in this many slices, so that no G starves there.
pub const FAIR_TICK: u64 = 61;
/// A P with timers looks at the clock once in this many switches.
const TIMER_TICK: u64 = 8;
// ---- leaving --------------------------------------------------------------------------------------------------------

/// Leaves the running G through the scheduler's stack. Returns the M on which the G continues.
///
/// # Migrates
///
/// # Safety
/// `gp` runs on `m`, this is its stack, and its status already says what becomes of it.
#[inline(never)]
pub unsafe fn mcall(m: MRef, gp: GRef, call: Mcall) -> MRef {
    if m.is_extra() {
        mcall_in_place(m, gp, call);
        return m;
    }
    // PARK-L1. The caller has written the status.
    m.set_pending(gp, call);
    m.set_ctx(Ctx::Sched);
    if m.is_told() {
        // SAFETY: only its thread, which is this one, uses it.
        let entered = unsafe { &(*m.host.get()).fiber };
        // SAFETY: as below.
        return unsafe { told_from(m, gp, m.g0(), entered) };
    }
    // SAFETY: g0 waits in `execute`; PARK-K4.
    unsafe { switch_from(m, gp, m.g0()) }
}

/// [`mcall`] for the G of an extra M. It stays on its own stack, since only this M resumes it (LOCKEDM-H1).
fn mcall_in_place(m: MRef, gp: GRef, call: Mcall) {
    let sched = m.sched();
    m.set_ctx(Ctx::Sched);
    let runs = match call {
        Mcall::ExitSyscallNoP => syscall::exitsyscall_no_p(sched, m, gp) == NoP::Runs,
        Mcall::Yield(_) => {
            sched.globrunqput(gp);
            false
        }
        call => finish_or_refuse(m, gp, call),
    };
    lockedm::run_on(sched, m, gp, runs);
}

/// Leaves the running G for the next one of this P, or for the scheduler. `traced`: the M writes records. The caller
/// has written that of `gp`.
///
/// # Migrates
///
/// # Safety
/// As for [`mcall`]; `call` cannot refuse and does not call the host.
#[inline(always)]
unsafe fn leave(m: MRef, gp: GRef, call: Mcall, traced: bool) -> MRef {
    debug_assert!(if traced { m.is_free_but_traced() } else { m.is_free() });
    let pp = m.must_p();
    match pick(pp) {
        Some(next) if enter(m, pp, next) => {
            if traced {
                record::start(&m, next);
            }
            m.set_pending(gp, call);
            // SAFETY: the G is ours to run and has a stack.
            unsafe { switch_from(m, gp, Sp(next.sp.get())) }
        }
        // SAFETY: the caller's promise.
        _ => unsafe { mcall(m, gp, call) },
    }
}

/// Stores the G's context and enters another one. When it returns, the G runs again.
///
/// # Safety
/// `to` may be entered, and expects an M.
#[inline(always)]
unsafe fn switch_from(m: MRef, gp: GRef, to: Sp) -> MRef {
    // SAFETY: the G is ours until it is off its stack.
    let own = unsafe { &mut *gp.host.get() };
    // SAFETY: only its thread, which is this one, uses it.
    let thread = unsafe { &*m.host.get() };
    // SAFETY: `thread` is of the calling thread.
    unsafe { own.save(thread) };
    widen!();
    // SAFETY: `to` by the caller; the G's context goes to where its next owner looks for it.
    let payload = unsafe { fiber::switch(gp.sp.as_ptr().cast(), to, m.as_ptr() as usize) };
    // SAFETY: each switch to a G brings the M that it runs on now.
    let m = unsafe { MRef::from_payload(payload) };
    // SAFETY: the switch has just entered it there.
    unsafe { arrive(m, gp) };
    m
}

/// [`switch_from`], announced to a sanitizer. `entered` is the stack of `to`.
///
/// # Safety
/// As there.
#[cold]
#[inline(never)]
unsafe fn told_from(m: MRef, gp: GRef, to: Sp, entered: &Fiber) -> MRef {
    // SAFETY: the G is ours until it is off its stack, and again when it is back.
    let own = unsafe { &mut *gp.fiber.get() };
    // SAFETY: as above.
    let values = unsafe { &mut *gp.host.get() };
    // SAFETY: only its thread, which is this one, uses it.
    let thread = unsafe { &*m.host.get() };
    // SAFETY: `thread` is of the calling thread.
    unsafe { values.save(thread) };
    own.leave_for(entered, m.ended() == Some(gp));
    // SAFETY: as in `switch_from`.
    let payload = unsafe { fiber::switch(gp.sp.as_ptr().cast(), to, m.as_ptr() as usize) };
    own.arrived();
    // SAFETY: each switch to a G brings the M that it runs on now.
    let m = unsafe { MRef::from_payload(payload) };
    // SAFETY: the switch has just entered it there.
    unsafe { arrive(m, gp) };
    m
}

/// The stack of a G that is entered now, for a sanitizer.
fn fiber_of(gp: GRef) -> &'static mut Fiber {
    // SAFETY: the G is ours. Its descriptor is never freed.
    let fiber = unsafe { &mut *gp.fiber.get() };
    // SAFETY: as above; it has a stack.
    if let Some(stack) = unsafe { gp.stack() } {
        fiber.begin(stack.lo(), stack.hi);
    }
    fiber
}

/// First thing on a G's stack after a switch to it (PARK-L3).
///
/// # Safety
/// `gp` was just entered on `m`.
#[inline(always)]
pub unsafe fn arrive(m: MRef, gp: GRef) {
    // SAFETY: the G runs here now, so it is ours.
    let own = unsafe { &mut *gp.host.get() };
    // SAFETY: only its thread, which is this one, uses it.
    let thread = unsafe { &*m.host.get() };
    // SAFETY: `thread` is of the calling thread, and the G or g0 before has saved its values before its switch.
    unsafe { own.restore(thread) };
    if let Some(prev) = m.take_left() {
        finish_left(m, prev);
    }
}

/// PARK-L3, for a G whose call cannot be refused.
#[inline(never)]
fn finish_left(m: MRef, prev: GRef) {
    let resumed = finish(m, prev, m.pending());
    debug_assert!(!resumed);
}

/// Executes the call of a G that has left its stack. True: the call was refused, and the G continues.
#[inline(always)]
pub fn finish(m: MRef, gp: GRef, call: Mcall) -> bool {
    let sched = m.sched();
    // The G is off its stack, and PARK-L3 is not done yet.
    widen!();
    match call {
        Mcall::Stay => false,
        Mcall::Park(commit) => {
            m.must_p().stats.parks.bump();
            if commit.host {
                return !park_by_host(m, gp, commit);
            }
            // SAFETY: the commit came with its argument; PARK-K1.
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
            // While the next G was entered, or chosen for g0 to enter, this G was in no queue, and a searcher may have
            // found nothing: WAKE-S2 to WAKE-S5. (With one P there is no searcher.) If g0 has yet to choose, the G is
            // in a queue before another is taken out, so a searcher finds it.
            if (m.ctx() == Ctx::G || !m.chosen.is_null()) && sched.procs() > 1 {
                wake::wakep(sched, m);
            }
            false
        }
        Mcall::Parent => {
            // To wake a thread takes longer than the child needs to begin, so a searcher is started already here: the
            // parent is published last of all. WAKE-S2 to WAKE-S5 follow all the same.
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

/// As [`finish`], for a call that may be refused.
pub fn finish_or_refuse(m: MRef, gp: GRef, call: Mcall) -> bool {
    let refused = finish(m, gp, call);
    if refused {
        // No other thread can run it.
        record::unblock(&m, gp);
    }
    refused
}

/// PARK-L3 for a commit of the host. False: the G continues.
#[inline(never)]
fn park_by_host(m: MRef, gp: GRef, commit: Commit) -> bool {
    // Only now: from here on any thread that knows the handle may ready it (PARK-K1, PARK-K5).
    gp.set_status(GStatus::Parking);
    // SAFETY: the commit came with its argument, and PARK-K5.
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

/// PARK-L2: the next G of this P. None if the scheduler must choose. For code that
/// [`M::is_free`](crate::gmp::M::is_free).
#[inline(always)]
fn pick(pp: &OwnedP) -> Option<GRef> {
    if pp.requests() != 0 {
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

/// PARK-N2: whether the next slice begins with a look at the global queue.
#[inline(always)]
pub fn is_fair_slice(pp: &OwnedP) -> bool {
    pp.schedtick.get().is_multiple_of(FAIR_TICK)
}

/// PARK-N2: whether the suspended parents wait this time.
#[inline(always)]
pub fn is_fair_switch(pp: &OwnedP) -> bool {
    pp.stats.switches.get().is_multiple_of(FAIR_TICK)
}

/// Makes a picked G the running one, if it can be entered from a G's stack. If not (PARK-K3, or it is timed, or it
/// has no stack and the P keeps none), g0 enters it. g0 makes the stack, because there the commit of the leaving G has
/// run: until then that G may hold the lock of the object that it waits for.
#[inline(always)]
fn enter(m: MRef, pp: &OwnedP, gp: GRef) -> bool {
    if !gp.lockedm.is_plain() || !store::bind_kept_stack(m, pp, gp) {
        m.chosen.set(gp.as_ptr());
        return false;
    }
    make_running(m, pp, gp);
    true
}

#[inline(always)]
pub fn make_running(m: MRef, pp: &OwnedP, gp: GRef) {
    pp.stats.switches.bump();
    gp.count_run();
    // ASK-4
    gp.asked.clear();
    gp.m.set(m.as_ptr());
    probes::go_start(gp, pp.p());
    gp.set_status(GStatus::Running);
    m.curg.set(gp.as_ptr());
}

/// Enters a G from g0. Returns when this M is on g0 again. The G has a stack.
///
/// # Safety
/// On `m`'s g0; the M holds a P, and the G is its to run.
pub unsafe fn execute(m: MRef, gp: GRef, inherit: bool) {
    let pp = m.must_p();
    if !inherit {
        pp.schedtick.bump();
    }
    latency::note_start(pp, &gp);
    make_running(m, pp, gp);
    m.set_ctx(Ctx::G);
    if m.is_traced() {
        record::start(&m, gp);
    }
    if m.is_told() {
        // SAFETY: only its thread, which is this one, uses it.
        unsafe { (*m.host.get()).fiber.leave_for(fiber_of(gp), false) };
    }
    // SAFETY: g0's context is stored where `mcall` finds it. The G is off its stack (PARK-K1).
    unsafe { fiber::switch(m.g0_sp.as_ptr().cast(), Sp(gp.sp.get()), m.as_ptr() as usize) };
    if m.is_told() {
        // SAFETY: as before the switch: g0 does not migrate.
        unsafe { (*m.host.get()).fiber.arrived() };
        if let Some(ended) = m.ended() {
            // SAFETY: it is off its stack, and not freed yet.
            unsafe { (*ended.fiber.get()).end() };
        }
    }
    m.set_ctx(Ctx::Sched);
    m.curg.set(std::ptr::null_mut());
}

// ---- park and ready -------------------------------------------------------------------------------------------------

/// Parks the running G; on a thread of the host that runs no G, the thread. The commit runs when the G is off its
/// stack, on the stack of the next G or of g0: so it must be short, call nothing of the host and never refuse.
///
/// # Migrates
#[inline]
pub fn gopark(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    if !m.is_free() {
        return gopark_with_care(m, reason, commit);
    }
    let gp = running(m);
    gp.begin_wait(reason, m.sched().coarse_now());
    gp.set_status(GStatus::Waiting);
    // SAFETY: gp runs here and waits from now on.
    unsafe { leave(m, gp, Mcall::Park(commit), false) }
}

/// [`gopark`] for every caller that is not free.
///
/// # Migrates
#[inline(never)]
fn gopark_with_care(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    if !m.is_free_but_traced() {
        return park_slow(m, reason, commit);
    }
    let gp = running(m);
    gp.begin_wait(reason, m.sched().coarse_now());
    record::block(&m, gp, reason);
    gp.set_status(GStatus::Waiting);
    // SAFETY: gp runs here and waits from now on.
    unsafe { leave(m, gp, Mcall::Park(commit), true) }
}

/// As [`gopark`] for a commit of the host, which may refuse.
///
/// # Migrates
pub fn gopark_host(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    debug_assert!(commit.host);
    park_slow(m, reason, commit)
}

/// As [`gopark`], through g0: the commit may take its time, call the host, and refuse. It sets the status itself.
///
/// # Migrates
pub fn gopark_by_g0(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    debug_assert!(!commit.host);
    park_slow(m, reason, commit)
}

fn park_slow(m: MRef, reason: WaitReason, commit: Commit) -> MRef {
    if m.ctx() == Ctx::Foreign {
        thread::park(m, reason, commit, None, |_| ());
        return m;
    }
    let gp = running(m);
    gp.begin_wait(reason, m.sched().coarse_now());
    if m.is_traced() {
        record::block(&m, gp, reason);
    }
    gp.set_status(GStatus::Waiting);
    // SAFETY: gp runs here and waits from now on.
    unsafe { mcall(m, gp, Mcall::Park(commit)) }
}

/// Leaves the running G (or the thread of the host that runs none) for `to`, a waiting G that the caller owns
/// (coro.rs). Enters `to` directly, with `call` as the pending call; or goes through the scheduler, where the commit
/// `ready` readies `to`.
///
/// # Migrates
#[inline(always)]
pub fn hand_over(m: MRef, gp: GRef, to: GRef, reason: WaitReason, call: Mcall, ready: Commit) -> MRef {
    if !m.is_free() {
        return park_slow(m, reason, ready);
    }
    let pp = m.must_p();
    let timers_turn = pp.timers.first() != NEVER && pp.stats.switches.get().is_multiple_of(TIMER_TICK);
    // CO-I4
    if pp.requests() != 0 || timers_turn || !to.lockedm.is_plain() || !store::bind_kept_stack(m, pp, to) {
        return park_slow(m, reason, ready);
    }
    gp.begin_wait(reason, m.sched().coarse_now());
    gp.set_status(GStatus::Waiting);
    // CO-I3: `to` is in no queue.
    make_running(m, pp, to);
    m.set_pending(gp, call);
    // SAFETY: `to` is ours to run, off its stack (PARK-K1), and has one; gp waits from now on.
    unsafe { switch_from(m, gp, Sp(to.sp.get())) }
}

/// The G that runs on `m`.
#[inline(always)]
pub fn running(m: MRef) -> GRef {
    match m.g() {
        Some(gp) => gp,
        None => crate::gmp::fatal::throw(m.sched(), "no G runs here"),
    }
}

/// PARK-D1 to PARK-D3, for a G whose wait record the caller has taken. Any context.
#[inline(always)]
pub fn goready(m: MRef, gp: GRef) {
    probes::go_ready(gp, m);
    if !m.is_free() || gp.has(gflag::THREAD_WAIT) {
        return goready_with_care(m, gp);
    }
    gp.set_status(GStatus::Runnable);
    widen!();
    ready_queue_with_p(m, m.free_p(), gp);
}

/// [`goready`] for every caller that is not free (the callbacks of the scheduler, and all that write records), and for
/// threads that wait.
#[inline(never)]
fn goready_with_care(m: MRef, gp: GRef) {
    if gp.has(gflag::THREAD_WAIT) {
        return thread::ready(gp);
    }
    if m.ring().is_some() {
        record::unblock(&m, gp);
    }
    gp.set_status(GStatus::Runnable);
    widen!();
    ready_queue_with_care(m, gp);
}

/// PARK-D2 and PARK-D3 for a G that is Runnable already, and has not waited.
#[inline(always)]
pub fn ready_queue(m: MRef, gp: GRef) {
    if m.is_free() { ready_queue_with_p(m, m.free_p(), gp) } else { ready_queue_with_care(m, gp) }
}

#[inline(never)]
fn ready_queue_with_care(m: MRef, gp: GRef) {
    match m.p() {
        Some(pp) => ready_queue_with_p(m, pp, gp),
        None => {
            let sched = m.sched();
            m.note_ready(&gp);
            sched.globrunqput(gp);
            wake::wakep(sched, m);
        }
    }
}

#[inline(always)]
fn ready_queue_with_p(m: MRef, pp: &OwnedP, gp: GRef) {
    let sched = m.sched();
    m.note_ready(&gp);
    // `put_next` has moved the former runnext into the queue. A wake was done for that G when it was submitted. But a
    // thief may take `gp` before it can see the other G in the queue, and call no further M since all Ps are busy; and
    // then a P goes idle. So this submit needs its fence too. (With one P, which is this one, no other can be idle.)
    if !pp.put_next(gp) {
        fence_after_rmw();
    } else if sched.procs() > 1 {
        fence(Ordering::SeqCst);
    }
    wake::wakep_fenced(sched, m);
}

/// Readies a G that parked by [`gopark_host`], if `handle` still names it and it is parked so.
#[must_use]
pub fn ready_parked(m: MRef, gp: GRef, handle: u64) -> bool {
    loop {
        // Read first: the G's commit may return at any moment.
        let parking = gp.status() == GStatus::Parking;
        if gp.cas_status_of(handle, GStatus::Parked, GStatus::Runnable) {
            break;
        }
        // PARK-K5: the G continues when its commit has returned.
        if gp.cas_status_of(handle, GStatus::Parking, GStatus::Runnable) {
            return true;
        }
        if !parking {
            return false;
        }
    }
    probes::go_ready(gp, m);
    if m.is_free() && !gp.has(gflag::THREAD_WAIT) {
        ready_queue_with_p(m, m.free_p(), gp);
    } else {
        goready_with_care(m, gp);
    }
    true
}

// ---- yield ----------------------------------------------------------------------------------------------------------

/// Lets others run.
///
/// # Migrates
#[inline(always)]
pub fn gosched(m: MRef) -> MRef {
    let gp = running(m);
    if has_no_other(m, m.must_p()) {
        return m;
    }
    if m.is_traced() {
        record::yields(&m, gp);
    }
    gp.set_status(GStatus::Runnable);
    if m.is_free_but_traced() {
        // SAFETY: gp runs here and is runnable from now on; no other thread sees it before PARK-L3.
        return unsafe { leave(m, gp, Mcall::Yield(Place::Tail), true) };
    }
    if !m.is_free() {
        let place = if m.is_extra() { Place::Global } else { Place::Tail };
        // SAFETY: gp runs here and is runnable from now on.
        return unsafe { mcall(m, gp, Mcall::Yield(place)) };
    }
    // SAFETY: gp runs here and is runnable from now on; no other thread sees it before PARK-L3.
    unsafe { leave(m, gp, Mcall::Yield(Place::Tail), false) }
}

/// As [`gosched`], for code that [`M::is_free`](crate::gmp::M::is_free).
///
/// # Migrates
#[inline(always)]
pub fn gosched_free(m: MRef) -> MRef {
    if has_no_other(m, m.free_p()) {
        return m;
    }
    let gp = m.free_g();
    gp.set_status(GStatus::Runnable);
    // SAFETY: as in `gosched`.
    unsafe { leave(m, gp, Mcall::Yield(Place::Tail), false) }
}

/// Whether a yield has nothing to do; then it is done.
#[inline(always)]
fn has_no_other(m: MRef, pp: &OwnedP) -> bool {
    // No other G waits here, and no M is woken for a yield to nothing (golang/go#13527).
    if pp.has_nothing() && pp.requests() == 0 && m.sched().globq_len() == 0 && pp.timers.first() == NEVER {
        pp.schedtick.bump();
        // NETPOLL-C3: otherwise a G that yields alone would keep all others from their descriptors.
        return !(is_fair_slice(pp) && netpoll::is_wanted(m.sched()));
    }
    false
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
    record::preempted(&m, gp);
    gp.set_status(GStatus::Runnable);
    // If its slice is over, the G goes behind all others. For a stop, a barrier, timers or the global queue it keeps
    // its place.
    let over = requests & PREEMPT != 0 && pp.slice_is_over(now(), m.sched().cfg.slice_ns.get());
    let place = if over { Place::Global } else { Place::Next };
    // SAFETY: gp runs here and is runnable from now on.
    unsafe { mcall(m, gp, Mcall::Yield(place)) }
}

/// Exits a syscall, through the scheduler if there is no P.
///
/// # Migrates
#[inline]
pub fn exit_syscall(m: MRef, gp: GRef) -> MRef {
    if syscall::exitsyscall(m, gp) {
        return m;
    }
    // SAFETY: gp runs here and found no P.
    unsafe { mcall(m, gp, Mcall::ExitSyscallNoP) }
}

/// As [`exit_syscall`], for code that [`M::is_free_in_syscall`](crate::gmp::M::is_free_in_syscall).
///
/// # Migrates
#[inline(always)]
pub fn exit_syscall_free(m: MRef, gp: GRef) -> MRef {
    if syscall::exitsyscall_free(m, gp) {
        return m;
    }
    // SAFETY: gp runs here and found no P.
    unsafe { mcall(m, gp, Mcall::ExitSyscallNoP) }
}

// ---- begin and end --------------------------------------------------------------------------------------------------

/// Runs a new G at once, before its parent continues: the parent's continuation is what other Ps may steal.
///
/// # Migrates
#[inline]
pub fn run_child_first(m: MRef, child: GRef) -> MRef {
    let gp = running(m);
    let pp = m.must_p();
    // Requests wait until the next pass through the scheduler: at the latest when the child ends.
    if !m.is_free() {
        return run_child_with_care(m, gp, child);
    }
    if !store::bind_stack(m, pp, child) {
        ready_queue(m, child);
        return m;
    }
    switch_to_child(m, gp, child)
}

/// [`run_child_first`] for every caller that is not free.
///
/// # Migrates
#[cold]
#[inline(never)]
fn run_child_with_care(m: MRef, gp: GRef, child: GRef) -> MRef {
    if m.lockedg().is_some() || !store::bind_stack(m, m.must_p(), child) {
        ready_queue(m, child);
        return m;
    }
    if m.is_traced() {
        record::child_first(&m, gp);
        record::start(&m, child);
    }
    if m.is_told() {
        become_child(m, gp, child);
        // SAFETY: as in `switch_to_child`.
        return unsafe { told_from(m, gp, Sp(child.sp.get()), fiber_of(child)) };
    }
    switch_to_child(m, gp, child)
}

#[inline(always)]
fn become_child(m: MRef, gp: GRef, child: GRef) {
    gp.set_status(GStatus::Runnable);
    make_running(m, m.must_p(), child);
    m.set_pending(gp, Mcall::Parent);
}

/// # Migrates
#[inline(always)]
fn switch_to_child(m: MRef, gp: GRef, child: GRef) -> MRef {
    become_child(m, gp, child);
    // SAFETY: the child is ours and has its stack. The parent is published when it is off its own stack (PARK-L3).
    unsafe { switch_from(m, gp, Sp(child.sp.get())) }
}

/// Ends the running G. After that its descriptor may serve again (a zombie's descriptor waits to be joined). Returns
/// the next G if that begins on this very stack; otherwise does not return.
///
/// # Safety
/// `gp` runs on `m`, a worker, and nothing on its stack is needed any more. `bottom`: the caller is the function at the
/// bottom of the stack, where the next G may begin.
#[inline(always)]
pub unsafe fn goexit(m: MRef, gp: GRef, bottom: bool) -> Option<GRef> {
    let pp = m.must_p();
    pp.stats.ended.bump();
    probes::go_end(gp, pp.p());
    if !gp.has(gflag::ZOMBIE) {
        gp.set_status(GStatus::Dead);
    }
    // SAFETY: only its thread, which is this one, uses it.
    let thread = unsafe { &*m.host.get() };
    // SAFETY: `thread` is of the calling thread.
    unsafe { HostState::end(thread) };
    // What is locked, or writes records, ends on g0.
    if bottom && m.is_free() {
        match pick(pp) {
            Some(next)
                if next.sp.is_null() && next.stack_size.get() | gp.stack_size.get() == 0 && next.lockedm.is_plain() =>
            {
                // SAFETY: both Gs are ours; the stack passes from one to the other, which has none.
                unsafe { next.take_stack_of(&gp) };
                // Only a sign that it has a stack. The next switch away overwrites it.
                next.sp.set(gp.sp.get());
                store::recycle(m, gp);
                make_running(m, pp, next);
                return Some(next);
            }
            Some(next) if enter(m, pp, next) => {
                m.set_pending(gp, Mcall::Exit);
                // SAFETY: the G is ours to run and has a stack. The ended G is never entered again.
                unsafe { switch_from(m, gp, Sp(next.sp.get())) };
            }
            _ => {}
        }
    }
    if m.is_traced() {
        record::destroy(&m, gp);
    }
    // SAFETY: the G is gone after this.
    unsafe { mcall(m, gp, Mcall::Exit) };
    crate::gmp::fatal::throw(m.sched(), "a G ran on after its end")
}

/// Queues a new G. False if the runtime has ended meanwhile: then the G is unmade.
#[inline(always)]
pub fn start(m: MRef, gp: GRef) -> bool {
    if m.p().is_none() && m.sched().is_closing() {
        store::unmake(m, gp);
        return false;
    }
    ready_queue(m, gp);
    true
}

/// As [`start`], behind all Gs that wait in the queue of this P.
pub fn start_last(m: MRef, gp: GRef) -> bool {
    let Some(pp) = m.p() else { return start(m, gp) };
    m.note_ready(&gp);
    pp.put_last(gp);
    wake::wakep(m.sched(), m);
    true
}
