//! Where threads and goroutines begin and end.

use super::find::schedule;
use crate::block::{cancel, cleanup, join, once, scope, spawn};
use crate::fiber::host::HostThread;
use crate::fiber::overflow::AltStack;
use crate::gmp::g::{GRef, GStatus, extra, gflag};
use crate::gmp::m::{Ctx, M, MRef, Mcall};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::protocol::syscall::NoP;
use crate::protocol::wake::{self, Idle};
use crate::protocol::{coro, foreign, lockedm, park, quiet, seize, store, syscall};
use crate::sync::Ordering;
use crate::sys;
use std::ffi::c_void;

/// Counts this thread as ready: it needs nothing more from the system until it has work.
pub fn take_seat(sched: &Sched) {
    // Release: pairs with the Acquire in `rt`, which waits for this count if all threads are made at the start.
    sched.seated.fetch_add(1, Ordering::Release);
    if sched.cfg.sealed.get() {
        sched.watch.happen();
    }
}

/// The function of a worker thread. Its stack is g0.
pub extern "C" fn mstart(arg: *mut c_void) -> *mut c_void {
    // SAFETY: `start_thread` passes the M, which is this thread's from here on.
    let Some(m) = (unsafe { MRef::from_ptr(arg.cast::<M>()) }) else { return std::ptr::null_mut() };
    let sched = m.sched();
    m.thread.set(sys::this_thread());
    minit(m);
    m.set_ctx(Ctx::Sched);
    if !knows_its_host(sched, m) {
        mexit(sched, m);
        return std::ptr::null_mut();
    }
    // The report of a G's overflow runs on this stack. Without memory for it there is no report.
    let alt = AltStack::install();
    // Only now: before this point a signal would have met a half-made thread.
    sys::Signals(sched.signals.get()).block_here();
    if sched.cfg.sealed.get() {
        // Set forever: a sealed thread cannot ask for it later.
        sys::wake_on_time(true);
    }
    take_seat(sched);
    let mut has_p = false;
    if let Some(pp) = m.take_nextp() {
        wake::born(sched, m);
        m.acquirep(pp);
        has_p = true;
    }
    let on_start = sched.cfg.on_thread_start.get();
    if !on_start.is_null() {
        let tell = || tell_host(sched, on_start);
        if has_p { has_p = syscall::call_apart(sched, m, tell) } else { tell() }
    }
    if has_p || !matches!(wake::stopm(sched, m), Idle::Exit) {
        g0_loop(sched, m);
    }
    let on_end = sched.cfg.on_thread_end.get();
    if !on_end.is_null() {
        tell_host(sched, on_end);
    }
    drop(alt);
    mexit(sched, m);
    std::ptr::null_mut()
}

/// Calls the host's function for the start or the end of a thread. The M is on g0, so this is a callback of the
/// scheduler.
fn tell_host(sched: &Sched, f: *mut c_void) {
    // SAFETY: the runtime was started with functions of this type.
    let f = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void)>(f) };
    // Without a P here or with one that it has left for the call.
    sys::call::plain(f, sched.cfg.on_arg.get());
}

/// Sets up the fields that each thread of the library needs.
pub fn minit(m: MRef) {
    sys::arch::set_current_m(m.as_ptr().cast());
    m.tid.set(sys::gettid());
    record::thread(&m);
    m.stack_hi.set(std::ptr::null_mut());
}

/// Makes sure that a thread has the memory that it needs to run Gs. False if there is none: then the thread ends as if
/// it had never been made. A thread without a P (the first worker of a runtime) waits for memory instead, because
/// without it no thread would run Gs at all.
fn knows_its_host(sched: &Sched, m: MRef) -> bool {
    while !HostThread::has_room() {
        let spinning = m.spinning.replace(false);
        if let Some(pp) = m.take_nextp() {
            wake::no_thread(sched, sched.lock.lock(), m, pp, spinning);
            return false;
        }
        if sched.exiting.load(Ordering::Acquire) {
            return false;
        }
        sys::sleep_until(sys::now() + MEMORY_EVERY);
    }
    // SAFETY: the M is this thread's.
    unsafe { *m.host.get() = HostThread::of_this_thread() };
    true
}

/// How often a thread that waits for memory asks for it, in nanoseconds.
const MEMORY_EVERY: i64 = 1_000_000;

/// The bounds of the stack that the caller runs on: the stack of its G, or the thread's own. None on any other stack.
pub fn stack_bounds() -> Option<(*mut u8, *mut u8)> {
    let sp = sys::arch::stack_pointer();
    let here = |&(lo, hi): &(*mut u8, *mut u8)| (lo..hi).contains(&sp);
    let m = MRef::current();
    // SAFETY: the G runs on this very thread; if it does not, its stack is not the current one.
    let of_g = m.as_ref().and_then(|m| m.g()).and_then(|gp| unsafe { gp.stack() }).map(|s| (s.lo(), s.hi));
    of_g.filter(here).or_else(|| thread_bounds(m).filter(here))
}

#[cold]
fn thread_bounds(m: Option<MRef>) -> Option<(*mut u8, *mut u8)> {
    let Some(m) = m else { return sys::thread_stack() };
    if m.stack_hi.is_null() {
        let (lo, hi) = sys::thread_stack()?;
        m.stack_lo.set(lo);
        m.stack_hi.set(hi);
    }
    Some((m.stack_lo.get(), m.stack_hi.get()))
}

/// The loop of a worker: find a G, enter it, do what it wants when it comes back.
fn g0_loop(sched: &Sched, m: MRef) {
    while let Some((mut gp, mut inherit)) = schedule(sched, m) {
        loop {
            // SAFETY: this is g0; the G is ours to run, has a stack, and the M has a P.
            unsafe { park::execute(m, gp, inherit) };
            let Some(left) = m.take_left() else { break };
            if !came_back(sched, m, left, m.pending()) {
                break;
            }
            // Refused: the G that came back continues. It need not be the G that was entered last: others may have run
            // since.
            (gp, inherit) = (left, true);
        }
    }
}

/// Executes the pending call of a G that came to g0. True: the G continues.
fn came_back(sched: &Sched, m: MRef, gp: GRef, call: Mcall) -> bool {
    match call {
        Mcall::ExitSyscallNoP => {
            // A runtime with a G in a syscall is not down.
            if syscall::exitsyscall_no_p(sched, m, gp) == NoP::Runs {
                return true;
            }
            if m.lockedg().is_none()
                && let Idle::Exit = wake::stopm(sched, m)
            {
                m.exiting.set(true);
            }
            false
        }
        Mcall::Exit => {
            // `lockedm` first: most Gs end without a look at their `Cold`.
            if !gp.lockedm.is_null() && gp.locks.replace(0) > 0 {
                // The G may have changed its thread in unknown ways, so no other G runs on it (golang/go#20395).
                lockedm::unlock(m, gp);
                m.exiting.set(true);
            }
            store::free(m, gp);
            false
        }
        call => park::finish_or_refuse(m, gp, call),
    }
}

fn mexit(sched: &Sched, m: MRef) {
    sys::arch::set_current_m(std::ptr::null_mut());
    m.tid.set(0);
    {
        let mut lk = sched.lock.lock();
        lk.nm -= 1;
        // Under the lock: the thread that ends the runtime either joins this M, or sees here that it has gone.
        if !sched.exiting.load(Ordering::Relaxed) {
            sys::detach_self();
            m.alive.set(false);
            m.exiting.set(false);
            m.link.set(lk.mfree);
            lk.mfree = m.as_ptr();
        }
    }
    quiet::notify_if_all_idle(sched);
}

/// Where every G begins: the bottom of its stack.
///
/// # Safety
/// Entered by a switch only, with the M as payload.
pub unsafe extern "C" fn g_entry(payload: usize) -> ! {
    // SAFETY: the switch passes the M.
    let mut m = unsafe { MRef::from_payload(payload) };
    let mut gp = park::running(m);
    // SAFETY: just entered.
    unsafe { park::arrive(m, gp) };
    loop {
        // SAFETY: the spawner stored a function of this type.
        let f = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void)>(gp.entry.get()) };
        m.go_outside();
        f(gp.arg.get());
        seize::come_back();
        m = end(gp, true);
        // SAFETY: this is the bottom of the stack of gp, which has ended.
        if let Some(next) = unsafe { park::goexit(m, gp, true) } {
            gp = next;
        }
    }
}

/// [`g_entry`] where switches are announced to a sanitizer.
///
/// # Safety
/// As there.
pub unsafe extern "C" fn g_entry_told(payload: usize) -> ! {
    // SAFETY: the switch passes the M.
    let m = unsafe { MRef::from_payload(payload) };
    // SAFETY: the G runs here now, so it is ours.
    unsafe { (*park::running(m).fiber.get()).arrived() };
    // SAFETY: just entered.
    unsafe { g_entry(payload) }
}

/// Ends the running G from any depth of its stack. For Gs of workers only.
pub fn goexit_now(gp: GRef) -> ! {
    let m = end(gp, false);
    // SAFETY: gp has ended; its frames are abandoned.
    unsafe { park::goexit(m, gp, false) };
    unreachable!("goexit came back")
}

/// The end of a G, on the G: closes the brackets that it left open, runs its cleanups and destructors, and tells the
/// waiters.
///
/// `returned`: the function of the G has returned, and the frames of its callees are gone.
///
/// # Migrates
fn end(gp: GRef, returned: bool) -> MRef {
    // The function of the host may have moved to another thread, so the M is read anew.
    let Some(m) = MRef::current().filter(|m| !m.is_extra()) else {
        // A child of fork that returned from the G that called fork: there is no scheduler for it in this process.
        sys::exit_now(0);
    };
    let mut m = close_open_brackets(m, gp);
    if gp.may_have(extra::ALL) {
        m = run_exit_hooks(m, gp, returned);
    }
    if gp.has(gflag::JOINABLE | gflag::CORO) {
        if gp.has(gflag::CORO) {
            coro::on_exit(m, gp);
        }
        if gp.has(gflag::JOINABLE) {
            join::on_exit(m, gp);
        }
    }
    m
}

/// # Migrates
#[inline(never)]
fn run_exit_hooks(mut m: MRef, gp: GRef, returned: bool) -> MRef {
    if gp.may_have(extra::CLEANUP | extra::KEYS) {
        m = end_with_code(m, gp, returned);
    }
    if gp.may_have(extra::INSIDE) {
        once::on_exit(m, gp);
        scope::on_exit_inside(m, gp);
    }
    if gp.may_have(extra::TOKEN | extra::SHIELD | extra::SCOPE) {
        cancel::on_exit(m.sched(), gp);
    }
    if gp.may_have(extra::SCOPE) {
        scope::on_exit(m, gp);
    }
    if gp.may_have(extra::GROUP) {
        spawn::on_exit(m, gp);
    }
    gp.forget_extras();
    m
}

/// The part of the end that calls the host.
///
/// # Migrates
#[cold]
fn end_with_code(mut m: MRef, gp: GRef, returned: bool) -> MRef {
    if !gp.cleanups.is_null() {
        cleanup::run(gp, returned, 0..0);
        m = MRef::current().unwrap_or(m);
        m = close_open_brackets(m, gp);
    }
    if !gp.keys.is_null() {
        super::keys::run_key_destructors(gp);
        m = MRef::current().unwrap_or(m);
        m = close_open_brackets(m, gp);
    }
    m
}

/// Closes the brackets that the code on this thread has opened and not closed: a pin, a stopped world, a syscall.
///
/// # Migrates
#[inline]
pub fn close_open_brackets(m: MRef, gp: GRef) -> MRef {
    if m.ctx() == Ctx::G && m.pins() == 0 {
        return m;
    }
    mend_slow(m, gp)
}

#[cold]
fn mend_slow(mut m: MRef, gp: GRef) -> MRef {
    m.set_pins(0);
    if m.ctx() == Ctx::Stopped {
        super::world::start_the_world(m);
    }
    if m.ctx() == Ctx::Syscall {
        m = park::exit_syscall(m, gp);
    }
    m
}

/// The end of a thread of the host that has an M.
pub fn thread_exit(m: MRef) {
    let gp = m.own_g();
    seize::come_back();
    // First of all: a thread that stopped the world without being a G becomes Foreign here.
    let m = close_open_brackets(m, gp);
    if m.ctx() == Ctx::Foreign && !gp.keys.is_null() {
        // Destructors run on a G, if there is still a runtime for one.
        if foreign::enter_counted(m).is_none() {
            super::keys::forget_key_values(gp);
        }
    }
    if m.ctx() != Ctx::Foreign {
        end_thread_g(m, gp);
        foreign::leave_for_good(m, gp, sys::arch::stack_pointer());
        foreign::count_end(m);
        count_detach(m);
    }
    debug_assert!(gp.status() == GStatus::Syscall);
    gp.callbacks.set(0);
    gp.once.set(std::ptr::null_mut());
    scope::on_exit_inside(m, gp);
    cancel::on_exit(m.sched(), gp);
    foreign::dropm(m);
}

/// The end of an attached thread's G: runs the destructors of its keys.
pub fn end_thread_g(m: MRef, gp: GRef) {
    // The cleanups lie in stack frames that are gone, if the thread ends; or that continue without a goroutine.
    gp.cleanups.set(std::ptr::null_mut());
    if !gp.keys.is_null() {
        super::keys::run_key_destructors(gp);
        close_open_brackets(m, gp);
    }
}

/// Ends the count of an attached thread as a live G.
pub fn count_detach(m: MRef) {
    if m.attached.replace(false) {
        m.sched().stats.ended.fetch_add(1, Ordering::SeqCst);
        m.sched().tell_watchers();
    }
}
