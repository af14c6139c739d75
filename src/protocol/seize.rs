//! Takes the P of a G that runs code of the host and does not come back.
//!
//! # Problem
//! A G that runs C code without calling the library keeps its P: other Gs starve, a barrier waits, a `read` without a
//! bracket holds a P for hours. Code of the host cannot be moved to another thread in the middle (its errno, its locks
//! and its thread-local values are the thread's), and it must not see EINTR for the library's sake. But it needs no P
//! until it calls the library. So the P is taken, and the thread stays with its G: it is left alone while it sleeps in
//! the system, and held where it is if it computes.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | `m.mark` | the P of this M and its tick; 0 while the M has none (gmp/m.rs) | the M |
//! | `m.insys` | 0 while code of the library runs here, otherwise `mark` | the M |
//! | NUDGE in the P word | the owner has not answered PREEMPT: hold it, or it steps aside | watchdog; owner clears |
//! | timer of an M | a timer on the CPU clock of its thread (sys/cpu_timer.rs) | the watchdog |
//! | hogs | Gs whose threads are held, a part of the global queue (gmp/globq.rs) | under the queue's lock |
//! | `taken` | how many Gs run the host's code after their P was taken | the holder of `sched.lock` |
//! | `m.bailed` | a held thread is to go on without a P | a stopper sets, the thread clears |
//! | `m.regs`, `m.regs_end` | where the registers of a held thread lie, on its alternate stack | the handler |
//! | `anywhere` | a stop at any instruction is under way or in force | the stopper, under `sched.lock` |
//!
//! # Protocol
//! A call is a syscall turned inside out: while the host's code runs, the M is outside, as it is in a syscall
//! (syscall.rs), except that it keeps the P and uses nothing of it.
//! * SEIZE-N1 the way in ([`Inside::enter`], and [`come_back`] after a function of the host): insys = 0; LIGHT; if the
//!   P word is as this M saw it last, and had no bit then that a taker sets, the P is here: done. Otherwise SYSCALL-X2:
//!   if the tick is unchanged, CAS the word to tick + 1, so that a taker fails.
//! * SEIZE-N2 the way out (the drop of [`Inside`]; before a function of the host): insys = mark (Release).
//! * SEIZE-N3 a way in that finds another tick has lost the P. The G is tied to its M, so that it continues here and
//!   nowhere else, and gets a P as a G does that comes back from a syscall (SYSCALL-X4). Then the call continues.
//!
//! * SEIZE-N4 a way in that finds NUDGE (SEIZE-W5) gives the P away as SEIZE-H3 does, and waits for a P as SEIZE-N3: a
//!   thread that is nearly always in the library is hardly ever met outside.
//!
//! * SEIZE-N5 the way into a syscall needs no P: if it finds another tick, the G is in the syscall.
//!   So such a call never waits, whatever lock of the host its caller has.
//!
//! Take. A thread that takes Ps from syscalls (SYSCALL-T1 to SYSCALL-T5) takes them from the host's code as well:
//! * SEIZE-W1 the watchdog asks for the end of the slice first (PREEMPT-Q1), and takes the P only `GRACE` later, if
//!   another G, or a timer, waits for this P. A stop for the Ps (stw.rs) and a barrier (ragged.rs) go on at once, and
//!   look again after a while at Ps whose Ms were inside;
//! * SEIZE-W2 SYSCALL-T1, and HEAVY;
//! * SEIZE-W3 the M is outside with this P (insys), its G is neither pinned nor spawned with NO_PREEMPT, and no
//!   callback of the scheduler runs. All this stays as it is until the M has seen the bit of SYSCALL-T1, so SEIZE-W4
//!   fails if it does not;
//! * SEIZE-W4 CAS the word to tick + 1. The P belongs to the taker, and `taken` is one more. The lock is held over
//!   both, because a stop of all code counts with `taken`;
//! * SEIZE-W5 the watchdog takes the P in this way only from a thread that has used no CPU since it was asked: it
//!   sleeps in the system. One that computes is nudged: NUDGE, and its timer, which fires at the next tick of that
//!   thread. After three nudges in vain (the host blocks the signal, or has a handler of its own) the P is taken all
//!   the same;
//! * SEIZE-W6 the timer of a thread whose P was taken is armed too: if it computes on, it is held.
//!
//! Hold. The handler of the timer's signal, on the thread's alternate stack, between two instructions of the host:
//! * SEIZE-H1 the M is outside, with a G that may lose its P; otherwise the signal came too late: return;
//! * SEIZE-H2 the way in, as SEIZE-N1. If the P is here and nothing asks for it: return through SEIZE-N2;
//! * SEIZE-H3 tie the G, put it among the hogs, and give the P away: to an idle M if a G waits that is no hog,
//!   otherwise to the oldest hog. If there is neither, return: a new thread would take locks that this one may hold.
//!   (The template thread makes an idle M for the next time.) A thread that has no P is not held while a P waits for a
//!   new thread: it may have what the template thread needs for that, and that P may be the only one. It is nudged
//!   again;
//! * SEIZE-H4 sleep until an M that takes the G from the queue brings a P (LOCKEDM-K2), or until SEIZE-B1 or SEIZE-B2.
//!   Untie, and return: the code continues at the same instruction.
//!
//! Turns, and the end of a hold:
//! * SEIZE-C1 an M takes a hog when it finds nothing else; or if the last turn of a hog on this P ended three slices
//!   ago. Otherwise a G that was readied would wait for one slice of each hog;
//! * SEIZE-B1 a stop of all code takes the hogs out of the queue. Their threads go on without Ps, and stop at their
//!   next call (SEIZE-N3);
//! * SEIZE-B2 so does the watchdog if every P is stuck (RESCUE-7). A held thread may have a lock of the host (that of
//!   malloc, say) for which the code waits that keeps the Ps: pinned or spawned with NO_PREEMPT, a commit, the function
//!   of a barrier. Otherwise neither side would continue. During a stop of all code, or anywhere, the watchdog lets
//!   none go: the first has let them go itself, and the second has rounds in which the watchdog may (SEIZE-A4). The
//!   price: until some P moves again, and then until their next ticks, these threads run beside the owners of all Ps,
//!   so that more Gs run than there are Ps. Then the watchdog has them held again, as SEIZE-W6. And what waits for such
//!   a lock waits for 0.1 s;
//! * SEIZE-B3 a held thread that gets a P with FN leaves the function of the barrier to the caller, which takes this P
//!   as soon as the host's code runs again (RAGGED-R4). The function may want what the interrupted code has locked.
//!   (Where nothing can be taken, SEIZE-G1, the held thread runs it: only an owner can.)
//!
//! A stop at any instruction (`Stop::Anywhere`) holds the threads instead of waiting for their next calls:
//! * SEIZE-A1 the stopper counts Ps and `taken` as a stop of all code does (SEIZE-G6), and sets `anywhere`. Hogs stay
//!   in the queue, and their threads stay held;
//! * SEIZE-A2 the stopper has the watchdog arm the timer of each thread that it waits for: a thread with a P that has
//!   STOP, or without a P. It asks again after a while, since a signal that meets the thread inside is lost;
//! * SEIZE-A3 the handler, or a way in as SEIZE-N4, puts the G into the queue. Under the same hold of
//!   `sched.lock` it stops the P (STW-B1), or counts out a G without a P. So the stopper finds the G at rest. SEIZE-H4
//!   follows. (A P for which a thread is being made comes first: SEIZE-G4.)
//! * SEIZE-A4 after a while in vain the stopper starts the world, lets it run for as long, and begins again
//!   (`world::stop_the_world_anywhere`). A thread that sleeps in the system may wait for a lock of the host that a held
//!   thread has.
//!
//! A thread that sleeps in the system outside of a bracket is late: the stopper waits for it and names it. It runs no
//! code now, but it may wake at any moment, and would then run until its next tick. Its registers are in the kernel,
//! where no collector finds them. It stops when it wakes: by its timer or at its next call. Late are as well, until
//! their next calls: Gs that are pinned or were spawned with NO_PREEMPT, threads of the host that run as Gs, and
//! threads that block the signal.
//!
//! # Invariants
//! * SEIZE-G1 a P has one owner: SYSCALL-Y1 for an M that is outside, with SEIZE-N1 as SYSCALL-X1 and SYSCALL-X2. The
//!   way in has no full fence in any case, so nothing is taken where there is no HEAVY.
//! * SEIZE-G2 a thread is held, or its P taken, only outside: it holds no lock of the library, and no P is half
//!   changed. In debug builds each lock, and each use of the P, checks that ([`may_lock`]).
//! * SEIZE-G3 a G whose P was taken continues on its own thread: it is tied from SEIZE-N3 or SEIZE-H3 until it has a P.
//! * SEIZE-G4 what gives a P away waits for no lock of the host. A held thread may hold every one of them. So no memory
//!   is taken from malloc for it (sys/heap.rs), and where the next thread would have to be made, a hog gets the P
//!   (`wake::startm`). So no thread is held without a P while a thread is made for one, until that thread has begun,
//!   since it takes memory from malloc itself: the Ps that are left come to a held thread in its turn, but the last P
//!   would wait for that new thread.
//! * SEIZE-G5 a G that was held wants a P until it has one: it is in the queue, or SEIZE-B1 or SEIZE-B2 has made it one
//!   of `taken`.
//! * SEIZE-G6 in a world that was stopped for all code (`Stop::Code`) no G runs: `stopwait` contains `taken`, each G
//!   that comes in (SEIZE-N3) counts itself out, and meanwhile nothing is taken and no thread is held.
//! * SEIZE-G7 in a world that was stopped anywhere no G runs either. `stopwait` contains `taken`, and nothing is taken
//!   from the host's code meanwhile. A held thread continues only with a P (LOCKEDM-K3) or by SEIZE-B1. A P that was
//!   on its way to a held thread has STOP: the thread stops it and its G is queued again, without running. SEIZE-B1
//!   and SEIZE-B2 do not happen; what SEIZE-B2 let go before is one of `taken`, and is held like the others.
//!
//! # Orderings
//! insys behind HEAVY is the pair of syscall.rs. SEIZE-N2 pairs with the Acquire of SEIZE-W3: the taker sees all that
//! the last call did with the P. `bailed` is set with Release before the note, and read with Acquire after it.
//!
//! # Why it ends
//! Outside and asleep: SEIZE-W4 at the first look. Outside and computing: a tick of the system, and SEIZE-H1; or
//! SEIZE-W4 after three. Inside: a call ends, parks or is a safe point, and the watchdog looks again. No step needs the
//! signal: without it more threads compute than there are Ps, and that is all. (A stop anywhere needs it, so there is
//! none without. It ends at its deadline; without one it has another round, in which a sleeper may have woken.)
//!
//! A lock of the host that a held G has is free in the end. Either some P comes to held threads in their turns; or
//! every P is stuck, and SEIZE-B2 lets them all go. They run until they are at a call or some P is not stuck, and are
//! let go again as long as every P is. Only if the owner of such a lock calls the library, it waits there for a P
//! (SEIZE-N3), and what keeps the Ps waits for it forever: the host must not do that.
//!
//! # Rejected
//! * tgkill: EINTR. To switch away in the handler and continue on another thread: errno, locks, thread-local values.
//! * A byte `inside` and a word `asked` in each thread: two words more, and a second proof that a P has one owner.
//! * To find out from the program counter whether the library runs: it calls libc, and may be linked into the host.
//! * To count a sleeper as stopped, and to hold it when it wakes: no signal comes between its wake and its first
//!   instruction, unless it interrupts the system call.
//! * To hand the P over through the watchdog, since a handler may do so little: outside, this one may do what any G
//!   may.
//!
//! # Differences from Go
//! Go interrupts Go code only, at points that its compiler knows, and moves it; C code runs without a P, behind a
//! bracket at each call. Here C code is what is interrupted, it stays on its thread, and the bracket only makes it
//! cheaper.

use super::{idle, lockedm, preempt, syscall, wake};
use crate::gmp::g::{GList, GRef, GStatus, gflag};
use crate::gmp::lock::SchedLocked;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::{OwnedP, PREEMPT, PRef, STOP};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::sync::widen::widen;
use crate::sync::{Ordering, light_fence, now};

/// SEIZE-G2: whether this thread may take a lock of the library. Code of the host may not: its thread may be held.
pub fn may_lock() -> bool {
    MRef::current().is_none_or(|m| m.is_inside() || m.ctx() != Ctx::G)
}

// ---- the way in and the way out -------------------------------------------------------------------------------------

/// A call of the library: from SEIZE-N1 to SEIZE-N2, which the drop does. It stands for the M on which the call began;
/// a G that migrates in the call learns its new M from what made it migrate.
#[must_use]
pub struct Inside(MRef);

impl Inside {
    /// SEIZE-N1.
    #[inline(always)]
    pub fn enter(m: MRef) -> Inside {
        enter(m);
        Inside(m)
    }

    /// SEIZE-N1, for code that [`MRef::is_free`](crate::gmp::M::is_free).
    #[inline(always)]
    pub fn enter_free(m: MRef) -> Inside {
        debug_assert!(!m.is_inside(), "a call within a call");
        come_in_with(m, m.free_p());
        Inside(m)
    }

    /// As [`Inside::enter_free`]. None: the P word needs a closer look, and the caller is outside again.
    #[inline(always)]
    pub fn try_enter_free(m: MRef) -> Option<Inside> {
        debug_assert!(!m.is_inside(), "a call within a call");
        m.end_syscall_mark();
        widen!();
        light_fence();
        if m.free_p().word() != m.saved_word() {
            m.go_outside();
            return None;
        }
        Some(Inside(m))
    }

    /// The way in of a call that gives the P away, for a syscall. None: the P was taken before, and the G is in the
    /// syscall by now (SEIZE-N5). `sp` is the end of its stack.
    #[inline(always)]
    pub fn enter_to_leave(m: MRef, gp: GRef, sp: *mut u8) -> Option<Inside> {
        debug_assert!(m.ctx() == Ctx::G && !m.is_inside(), "a call within a call");
        m.end_syscall_mark();
        widen!();
        light_fence();
        if m.p().is_none_or(|pp| pp.word() != m.saved_word()) && !is_here(m) {
            leave_without(m, gp, sp);
            return None;
        }
        Some(Inside(m))
    }

    /// The rest of a call that has come in by another way: the exit from a syscall.
    #[inline(always)]
    pub fn already(m: MRef) -> Inside {
        Inside(m)
    }

    /// The end of a call that has gone out by itself: the entry into a syscall.
    #[inline(always)]
    pub fn is_out(self) {
        std::mem::forget(self);
    }

    /// SEIZE-N2, on the M that this stands for.
    #[inline(always)]
    pub fn end(self) {
        debug_assert!(MRef::current() == Some(self.0), "the call has migrated");
        self.0.go_outside();
        std::mem::forget(self);
    }

    /// The same call, after `f`, which may migrate.
    #[inline(always)]
    pub fn then(self, f: impl FnOnce(MRef) -> MRef) -> Inside {
        let m = f(self.0);
        std::mem::forget(self);
        Inside(m)
    }
}

impl std::ops::Deref for Inside {
    type Target = MRef;
    #[inline(always)]
    fn deref(&self) -> &MRef {
        &self.0
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        // The G may be on another thread by now.
        // SAFETY: a thread keeps its M for as long as a G or a call runs on it.
        unsafe { MRef::current().unwrap_unchecked() }.go_outside();
    }
}

/// SEIZE-N1.
#[inline(always)]
pub fn enter(m: MRef) {
    debug_assert!(m.ctx() != Ctx::G || !m.is_inside(), "a call within a call");
    come_in(m);
}

#[inline(always)]
pub fn come_in(m: MRef) {
    // In a syscall the M has no P, and stays outside.
    if let Some(pp) = m.p() {
        come_in_with(m, pp);
    }
}

#[inline(always)]
fn come_in_with(m: MRef, pp: &OwnedP) {
    m.end_syscall_mark();
    widen!();
    light_fence();
    if pp.word() != m.saved_word() {
        enter_slow(m);
    }
}

#[cold]
#[inline(never)]
fn enter_slow(m: MRef) {
    let Some(p) = m.p().map(|pp| pp.p()) else { return };
    if !is_here(m) {
        lost(m);
    } else if p.take_nudge() || is_to_be_held(m.sched(), p) {
        step_aside(m);
    }
}

/// SYSCALL-X2: whether the P of this M was not taken.
#[cold]
#[inline(never)]
fn is_here(m: MRef) -> bool {
    let Some(p) = m.p().map(|pp| pp.p()) else { return false };
    let own = if m.has_p() { OwnedP::reclaim_slow(p, m.saved_word()) } else { None };
    let here = own.map(OwnedP::forget);
    if let Some(p) = here {
        m.note_word(p, p.word());
    }
    here.is_some()
}

/// SEIZE-N5
#[cold]
#[inline(never)]
fn leave_without(m: MRef, gp: GRef, sp: *mut u8) {
    let sched = m.sched();
    m.forget_taken();
    m.oldp.set(std::ptr::null_mut());
    gp.sp.set(sp);
    gp.set_status(GStatus::Syscall);
    m.set_ctx(Ctx::Syscall);
    widen!();
    came_in(sched, &mut sched.lock.lock(), m);
}

/// SEIZE-A3: whether a stop anywhere waits for the owner of this P. The answer may be late: [`hold_on`] looks again.
fn is_to_be_held(sched: &Sched, p: PRef) -> bool {
    p.requests() & STOP != 0 && sched.anywhere.get()
}

/// SEIZE-N4: the thread was nudged in vain, since it is nearly always in the library.
#[cold]
fn step_aside(m: MRef) {
    if m.is_extra() || m.ctx() != Ctx::G || m.pins() != 0 {
        return;
    }
    let Some(gp) = m.g().filter(|gp| !gp.has(gflag::NO_PREEMPT)) else { return };
    let mut kept = crate::sys::arch::kept_registers();
    hold_on(m.sched(), m, gp, (&raw mut kept).cast(), Has::P, false);
    std::hint::black_box(&kept);
}

/// Calls a function of the host. If it runs as part of the G, it may lose its P meanwhile; a callback of the scheduler
/// may not.
///
/// # Migrates
#[inline(always)]
pub fn host<R>(m: MRef, f: impl FnOnce() -> R) -> R {
    if m.ctx() == Ctx::G {
        // SEIZE-N2
        m.go_outside();
    }
    let r = f();
    come_back();
    r
}

/// As [`host`], for a caller that may have migrated.
///
/// # Migrates
pub fn outside<R>(f: impl FnOnce() -> R) -> R {
    match MRef::current() {
        Some(m) => host(m, f),
        None => f(),
    }
}

/// SEIZE-N1, after a function of the host.
#[inline]
pub fn come_back() {
    if let Some(m) = MRef::current() {
        come_in(m);
    }
}

/// SEIZE-N2, for what is no call: its other end was [`come_back`].
pub fn end_of_call() {
    if let Some(m) = MRef::current()
        && m.ctx() == Ctx::G
    {
        m.go_outside();
    }
}

/// SEIZE-N3: the P was taken while the G ran the host's code. The G stays on its thread and gets another P, in turn.
#[cold]
fn lost(m: MRef) {
    let sched = m.sched();
    let Some(gp) = m.g() else { crate::gmp::fatal::throw(sched, "a P was taken from the scheduler") };
    debug_assert!(m.ctx() == Ctx::G && m.pins() == 0, "SEIZE-G2");
    m.forget_taken();
    // A collector that stops the world finds here what the callers keep in registers: this thread keeps them too.
    let mut kept = crate::sys::arch::kept_registers();
    gp.sp.set((&raw mut kept).cast());
    tie(m, gp);
    // A stopper may look at the G from here on.
    gp.set_status(GStatus::Runnable);
    came_in(sched, &mut sched.lock.lock(), m);
    lockedm::enter_in_place(m, gp);
    untie(m, gp);
    std::hint::black_box(&kept);
}

/// SEIZE-G3: only this M may run the G, until [`untie`].
fn tie(m: MRef, gp: GRef) {
    gp.ties.set(gp.ties.get() + 1);
    lockedm::lock(m, gp);
}

fn untie(m: MRef, gp: GRef) {
    gp.ties.set(gp.ties.get() - 1);
    lockedm::unlock(m, gp);
}

/// A G that has lost its P waits for another one.
fn came_in(sched: &Sched, lk: &mut SchedLocked<'_>, m: MRef) {
    debug_assert!(lk.taken > 0 && m.out.get());
    lk.taken -= 1;
    m.out.set(false);
    if lk.exact {
        poll(sched, -1);
        lk.stopwait -= 1;
        if lk.stopwait == 0 {
            lk.wake_after(sched.stopnote.set());
        }
    }
}

// ---- held threads ---------------------------------------------------------------------------------------------------

/// SEIZE-H1 to SEIZE-H4: called by the handler of the nudge, which has interrupted this thread anywhere. `sp` is the
/// end of what is used of the stack.
pub fn hold(m: MRef, sp: *mut u8) {
    // SEIZE-H1
    if m.is_extra() || m.is_inside() || m.ctx() != Ctx::G || m.pins() != 0 {
        return;
    }
    let Some(gp) = m.g().filter(|gp| !gp.has(gflag::NO_PREEMPT)) else { return };
    if let Some(from) = step_in(m) {
        hold_on(m.sched(), m, gp, sp, from, true);
    }
    m.go_outside();
}

/// What a thread that is to be held has: its P, or nothing, if the P was taken before.
enum Has {
    P,
    Nothing,
}

/// SEIZE-H2: the library's code begins here. None: it is not asked for.
fn step_in(m: MRef) -> Option<Has> {
    let p = m.p()?.p();
    m.end_syscall_mark();
    light_fence();
    if !m.has_p() {
        return Some(Has::Nothing);
    }
    match OwnedP::reclaim_slow(p, m.saved_word()) {
        None => Some(Has::Nothing),
        Some(pp) => {
            let p = pp.forget();
            m.note_word(p, p.word());
            (p.take_nudge() || is_to_be_held(m.sched(), p)).then_some(Has::P)
        }
    }
}

/// SEIZE-H3 and SEIZE-H4.
fn hold_on(sched: &Sched, m: MRef, gp: GRef, sp: *mut u8, has: Has, held: bool) {
    let Some(last) = m.p().map(|pp| pp.p()) else { return };
    let mut lk = sched.lock.lock();
    if lk.exact && !sched.anywhere.get() {
        // The stop waits for this G, which must reach a call.
        return;
    }
    let had_p = matches!(has, Has::P);
    let stops = sched.anywhere.get();
    if (stops || !had_p) && lk.p_waits_for_thread() {
        // SEIZE-G4
        drop(lk);
        syscall::hold_later(sched);
        return;
    }
    let mut to = To::None;
    match has {
        // SEIZE-A3
        Has::P if stops => to = To::Stop,
        // The request was withdrawn, or is that of a stop which finds the G at its next call.
        Has::P if last.requests() & PREEMPT == 0 => return,
        Has::P => match find_heir(sched, &lk, last) {
            // No G needs the P, or there is no thread for it.
            To::None => {
                drop(lk);
                syscall::ask_for_reserve(sched);
                return;
            }
            heir => to = heir,
        },
        Has::Nothing => {
            m.forget_taken();
            if let Some(pp) = idle::pidleget(sched, &mut lk) {
                came_in(sched, &mut lk, m);
                drop(lk);
                pp.schedtick.bump();
                m.acquirep(pp);
                if m.is_traced() {
                    record::sys_blocked(&m, gp);
                    record::start(&m, gp);
                }
                return;
            }
        }
    }
    sched.stats.seized.fetch_add(1, Ordering::Relaxed);
    gp.sp.set(sp);
    tie(m, gp);
    m.held.set(held);
    m.set_ctx(Ctx::Sched);
    if had_p {
        record::held(&m, gp)
    } else {
        record::sys_blocked(&m, gp)
    }
    gp.set_status(GStatus::Runnable);
    widen!();
    if held {
        sched.globrunqput_hog(gp);
    } else {
        sched.globrunqput(gp);
    }
    if !had_p {
        came_in(sched, &mut lk, m);
    }
    match to {
        To::Stop => {
            let pp = m.releasep();
            pp.clear_request(PREEMPT);
            if preempt::stop_p(&mut lk, sched, pp).is_err() {
                crate::gmp::fatal::throw(sched, "a P without STOP in a world that stops")
            }
            drop(lk);
        }
        To::None => {
            drop(lk);
            wake::wakep(sched, m);
        }
        To::M => {
            let pp = m.releasep();
            pp.clear_request(PREEMPT);
            // The slice is over. Otherwise what its next owner readies first counts as its heir, and goes behind all.
            pp.schedtick.bump();
            // SEIZE-C1: from the end of the turn, which may have been longer than three slices.
            pp.hog_when.set(now());
            wake::startm_locked(sched, lk, m, pp, false);
        }
        To::Hog(next, others) => {
            drop(lk);
            if others {
                syscall::ask_for_reserve(sched);
            }
            let pp = m.releasep();
            pp.clear_request(PREEMPT);
            pp.schedtick.bump();
            wake::hand_to_locked(sched, next, pp);
        }
    }
    widen!();
    // SEIZE-G5
    let runs = lockedm::wait(sched, m, gp);
    m.held.set(false);
    if runs {
        record::start(&m, gp);
        m.must_p().stats.switches.bump();
    } else {
        m.bailed.store(false, Ordering::Relaxed);
        m.go_on_without(last);
    }
    gp.set_status(GStatus::Running);
    m.set_ctx(Ctx::G);
    untie(m, gp);
}

/// The next owner of the P of a thread that is about to be held.
enum To {
    None,
    /// The stop of the world.
    Stop,
    /// An idle M.
    M,
    /// Another held thread; and whether others wait, for which there is no M.
    Hog(GRef, bool),
}

/// A new thread takes memory and locks that a held thread may have. So there must be one already.
fn find_heir(sched: &Sched, lk: &SchedLocked<'_>, p: PRef) -> To {
    let hogs = sched.nhogs();
    let others = sched.globq_len() > hogs || !p.runq_empty() || p.timers.first() <= now();
    match others && idle::any_idle_m(sched, lk) {
        true => To::M,
        false => sched.globrunqget_hog().map_or(To::None, |gp| To::Hog(gp, others)),
    }
}

/// SEIZE-B1 and SEIZE-G6, for a stop of all code. [`go_on`] follows, without the lock.
pub fn stop_code(sched: &Sched, lk: &mut SchedLocked<'_>) -> GList {
    lk.exact = true;
    sched.code_stops.set(true);
    let gs = take_hogs(sched, lk);
    lk.stopwait = lk.taken;
    // What has no P has no request either: `poll` sends it into a call.
    poll(sched, lk.taken);
    gs
}

/// The first half of SEIZE-B1 and of SEIZE-B2.
fn take_hogs(sched: &Sched, lk: &mut SchedLocked<'_>) -> GList {
    let mut gs = GList::new();
    while let Some(gp) = sched.globrunqget_hog() {
        lk.taken += 1;
        if let Some(m) = held_on(gp) {
            m.out.set(true);
        }
        gs.push_back(gp);
    }
    gs
}

/// SEIZE-B2. True if a thread was held.
pub fn let_go(sched: &Sched) -> bool {
    let gs = {
        let mut lk = sched.lock.lock();
        if lk.exact {
            // A stop of all code has let them go, and a stop anywhere holds them (SEIZE-G7).
            return false;
        }
        take_hogs(sched, &mut lk)
    };
    let any = !gs.is_empty();
    go_on(sched, gs);
    any
}

/// SEIZE-A1, for a stop at any instruction.
pub fn stop_anywhere(sched: &Sched, lk: &mut SchedLocked<'_>) {
    lk.exact = true;
    sched.anywhere.set(true);
    sched.code_stops.set(true);
    lk.stopwait = lk.taken;
    poll(sched, lk.taken);
}

/// The stop of all code is over, or was given up.
pub fn let_code_run(sched: &Sched, lk: &mut SchedLocked<'_>) {
    sched.anywhere.set(false);
    if std::mem::take(&mut lk.exact) {
        sched.code_stops.set(false);
        poll(sched, -lk.taken);
    }
}

/// Changes the count of requests that `gmx_safepoint` looks at.
fn poll(sched: &Sched, n: i32) {
    sched.poll.fetch_add(n as u32, Ordering::SeqCst);
}

/// Where the registers of this G lie, if its thread is held. In a stopped world.
pub fn registers_of(gp: GRef) -> Option<(*mut u8, *mut u8)> {
    held_on(gp).filter(|m| m.held.get()).map(|m| (m.regs.get(), m.regs_end.get()))
}

/// The M whose thread is held in the middle of this G.
fn held_on(gp: GRef) -> Option<MRef> {
    // SAFETY: null, or the M of a locked G.
    unsafe { MRef::from_ptr(gp.lockedm.get()) }
}

/// SEIZE-B1 and SEIZE-B2, without the lock: their threads go on without Ps.
pub fn go_on(sched: &Sched, mut gs: GList) {
    while let Some(gp) = gs.pop_front() {
        let Some(m) = held_on(gp) else { continue };
        sched.stats.bailed.fetch_add(1, Ordering::Relaxed);
        // Release: pairs with the Acquire in `lockedm::wait`.
        m.bailed.store(true, Ordering::Release);
        widen!();
        wake::count_wake(sched, m.park.wakeup());
    }
}
