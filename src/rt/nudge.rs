//! The handler of the signal that has a thread ask whether it is to be held (protocol/seize.rs).
//!
//! The signal comes from the timers of sys/cpu_timer.rs, and its `si_value` says so: every other signal of that number
//! is the host's, and goes to the handler that the host had before. Everything here is async-signal-safe.

use crate::gmp::m::MRef;
use crate::protocol::seize;
use crate::sys::{c, cpu_timer};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// The host's disposition.
static HANDLER: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static FLAGS: AtomicI32 = AtomicI32::new(0);

fn ours() -> usize {
    on_signal as *const () as usize
}

/// Installs the handler in front of the host's. False: the system refuses.
///
/// # Safety
/// Not while another thread installs or uninstalls. The library stays mapped.
pub unsafe fn install() -> bool {
    let old = c::disposition(cpu_timer::signal());
    if old.sa_sigaction == ours() {
        return true;
    }
    FLAGS.store(old.sa_flags, Ordering::Relaxed);
    HANDLER.store(old.sa_sigaction, Ordering::Relaxed);
    let mut new = old;
    new.sa_sigaction = ours();
    new.sa_flags = (old.sa_flags & !libc::SA_RESETHAND) | libc::SA_SIGINFO | libc::SA_ONSTACK;
    if old.sa_sigaction == libc::SIG_DFL || old.sa_sigaction == libc::SIG_IGN {
        new.sa_mask = c::zeros();
        new.sa_flags |= libc::SA_RESTART;
    }
    // SAFETY: a handler with three arguments, which stays mapped.
    unsafe { libc::sigaction(cpu_timer::signal(), &raw const new, std::ptr::null_mut()) == 0 }
}

/// Restores the host's disposition, unless the host has changed it since.
///
/// # Safety
/// As for [`install`]. No timer fires any more.
pub unsafe fn uninstall() {
    let mut now = c::disposition(cpu_timer::signal());
    if now.sa_sigaction == ours() {
        now.sa_sigaction = HANDLER.load(Ordering::Relaxed);
        now.sa_flags = FLAGS.load(Ordering::Relaxed);
        // SAFETY: the host's own disposition.
        unsafe { libc::sigaction(cpu_timer::signal(), &raw const now, std::ptr::null_mut()) };
    }
}

extern "C" fn on_signal(sig: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system's.
    if !unsafe { cpu_timer::is_ours(info) } {
        return pass_on(sig, info, context);
    }
    let Some(m) = MRef::current() else { return };
    let errno = c::errno();
    // SAFETY: the system's.
    let sp = unsafe { crate::sys::arch::interrupted_sp(context) };
    // SAFETY: as above.
    let (regs, end) = unsafe { crate::sys::arch::interrupted_registers(context, sp) };
    m.regs.set(regs);
    m.regs_end.set(end);
    // While the thread is held, signals to the process find another thread.
    let blocked = c::mask_signals(libc::SIG_BLOCK, &c::signals_except([]));
    seize::hold(m, sp);
    c::mask_signals(libc::SIG_SETMASK, &blocked);
    c::set_errno(errno);
}

fn pass_on(sig: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        if handler == libc::SIG_DFL && sig != libc::SIGURG {
            // Its default comes when this handler has returned.
            // SAFETY: the default needs no handler.
            unsafe { libc::signal(sig, libc::SIG_DFL) };
            // SAFETY: takes a number.
            unsafe { libc::raise(sig) };
        }
        return;
    }
    if FLAGS.load(Ordering::Relaxed) & libc::SA_SIGINFO != 0 {
        type F = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: the host installed it as such.
        let f = unsafe { std::mem::transmute::<usize, F>(handler) };
        f(sig, info, context);
    } else {
        // SAFETY: as above.
        let f = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
        f(sig);
    }
}
