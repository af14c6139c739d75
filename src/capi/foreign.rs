//! Threads of the host
//!
//! A thread that the library has not made may call most functions as it is, and waits as a thread. It attaches itself
//! where code that runs on it expects to be on a goroutine, as a callback does that a C library makes on a thread of
//! its own: gmx_callback for one call, gmx_attach_thread for longer.

use super::*;
use crate::block::{cancel, scope};
use crate::gmp::g::GRef;
use crate::gmp::m::{Ctx, MRef};
use crate::protocol::{foreign, lockedm, park, seize};
use crate::sched::run;
use crate::sync::Ordering;
use crate::sys::arch::stack_pointer;
use std::ffi::c_void;

/// Makes the calling thread a goroutine of its own, which holds a P, until gmx_detach_thread or the end of the thread.
/// It runs on the thread's own stack and is tied to it.
///
/// Blocks: the thread, until it has a P.
/// Call from: foreign threads.
/// Safepoint: yes.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if it is attached, or on a goroutine; GMX_EINSYSCALL; GMX_ENOTG; GMX_ENOMEM;
/// GMX_ESHUTDOWN.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_attach_thread() -> gmx_status {
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match m.ctx() {
        Ctx::Foreign => {}
        Ctx::G => return wrong(GMX_EPERM),
        _ => return why_not(*m),
    }
    m.sched().stats.spawned.fetch_add(1, Ordering::SeqCst);
    m.attached.set(true);
    if m.sched().is_closing() || foreign::enter_go(*m).is_none() {
        run::count_detach(*m);
        return GMX_ESHUTDOWN;
    }
    GMX_OK
}

/// Makes an attached thread an ordinary thread of the host again. Its P goes to others. What it left open (a pin, a
/// syscall, a stopped world) is ended, and it has no current token any more.
///
/// Blocks: never; in a syscall with values under keys, whose destructors run then, the thread until it has a P.
/// Call from: attached thread, outside of callbacks.
/// Safepoint: yes.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if the thread is not attached, or within gmx_callback; GMX_ENOTG in a scheduler's
/// callback.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_detach_thread() -> gmx_status {
    let Some(m) = MRef::current().map(Inside::enter) else { return wrong(GMX_EPERM) };
    if !m.attached.get() || m.own_g().callbacks.get() != 0 {
        return wrong(GMX_EPERM);
    }
    if m.ctx() == Ctx::Sched {
        return wrong(GMX_ENOTG);
    }
    let gp = m.own_g();
    // Destructors need a P. With none to run one in a syscall goes as it is, also if it would wait long for a P.
    let m = if m.ctx() == Ctx::Syscall && gp.keys.is_null() { *m } else { run::close_open_brackets(*m, gp) };
    gp.locks.set(0);
    run::end_thread_g(m, gp);
    scope::on_exit_inside(m, gp);
    cancel::on_exit(m.sched(), gp);
    foreign::leave_for_good(m, gp, stack_pointer());
    run::count_detach(m);
    GMX_OK
}

/// Runs fn(arg) as a goroutine on this very thread, whatever the thread is: a thread of the host becomes one for the
/// call (the first call of a thread makes it known, later ones cost tens of nanoseconds; it is forgotten when the
/// thread ends). A goroutine just calls fn; a goroutine in a syscall leaves the syscall for the call, and stays on its
/// thread meanwhile. Calls nest.
///
/// Blocks: the thread, until it has a P; and as long as fn does.
/// Call from: every context but a scheduler's callback and a stopped world.
/// Safepoint: yes.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK when fn has returned; GMX_EINVAL if fn is NULL; GMX_ENOTG; GMX_ENOMEM; GMX_ESHUTDOWN.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_callback(r#fn: Option<extern "C" fn(*mut c_void)>, arg: *mut c_void) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match m.ctx() {
        Ctx::Foreign => {
            let Some(gp) = foreign::enter_counted(*m) else { return GMX_ESHUTDOWN };
            call(*m, gp, f, arg);
            let m = run::close_open_brackets(*m, gp);
            foreign::count_end(m);
            foreign::leave_go(m, gp, stack_pointer());
            m.sched().tell_watchers();
            GMX_OK
        }
        Ctx::G => {
            call(*m, park::running(*m), f, arg);
            GMX_OK
        }
        Ctx::Syscall => in_syscall(*m, f, arg),
        _ => wrong(GMX_ENOTG),
    }
}

/// Counted in the G: it may be on another thread afterwards.
#[inline(always)]
fn call(m: MRef, gp: GRef, f: extern "C" fn(*mut c_void), arg: *mut c_void) {
    gp.callbacks.set(gp.callbacks.get() + 1);
    seize::host(m, || crate::sys::call::plain(f, arg));
    gp.callbacks.set(gp.callbacks.get() - 1);
}

/// A callback from C code that a goroutine called in a syscall: the thread's C frames below wait for it on this thread.
fn in_syscall(m: MRef, f: extern "C" fn(*mut c_void), arg: *mut c_void) -> gmx_status {
    let gp = park::running(m);
    // Before the way out: from there on it may go on elsewhere.
    gp.ties.set(gp.ties.get() + 1);
    lockedm::lock(m, gp);
    let m = park::exit_syscall(m, gp);
    call(m, gp, f, arg);
    let m = run::close_open_brackets(m, gp);
    gp.ties.set(gp.ties.get() - 1);
    lockedm::unlock(m, gp);
    crate::protocol::syscall::entersyscall(m, gp, stack_pointer());
    GMX_OK
}
