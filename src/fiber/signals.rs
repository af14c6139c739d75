//! The signals of faults: the library's handler sees them before the host's, and hands them on.
//!
//! The library's handler stands in front of the host's, since only it can run where a goroutine has overflowed its
//! stack. Invariants:
//!
//! - SIG-1: all code from the fault on is async-signal-safe: no allocation, no lock, no thread-local except the slot of
//!   the M.
//! - SIG-2: on a thread that is not the library's, the host's handler runs where, as often and with the flags that the
//!   host asked for. Its mask and flags are in the library's disposition too, so the kernel does most of this. Two
//!   things are left. `SA_RESETHAND` is done by hand. `SA_ONSTACK` is the library's alone: if the host did not ask for
//!   it, `to_own_stack` copies what the kernel has put on the alternate stack to the place where it would be without
//!   one, and enters the host's handler there.
//! - SIG-3: a fault is reported once and handed on once. Handlers that each keep the other as the next one form a
//!   circle: for example a crash reporter that was installed over the library's handler, and is found again as the
//!   host's handler after a restart of the runtime. So the library's handler is not put in front of a handler that may
//!   have it as its next ([`install`]). And the signal ends at the library's handler if it comes back while it is being
//!   handed on (`PassedOn`), or if it would go to the handler that had it first (`first_handler`).
//!
//! The statics here are an exception to "no statics below `rt/`": a signal's disposition belongs to the process, not to
//! a scheduler.
//!
//! Rejected: to let the fault happen again with the host's disposition in place. Meanwhile no other thread has the
//! library's handler, and nothing tells when the host's handler has finished.

use crate::sys::arch::{Entry, gmx_arch_signal, signal};
use crate::sys::{self, c};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use core::{mem as cmem, ptr};

const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// The host's disposition for a signal.
struct Hosts {
    handler: AtomicUsize,
    flags: AtomicI32,
    /// The whole disposition. Written and read while installing and uninstalling, which only one thread does at a time.
    action: UnsafeCell<libc::sigaction>,
    /// The library's handler was in place once: any handler that came later may have it as its next.
    ever: AtomicBool,
    /// And it was removed again while it was the first of its chain.
    put_back: AtomicBool,
}
// SAFETY: see the fields.
unsafe impl Sync for Hosts {}

impl Hosts {
    const fn none() -> Hosts {
        Hosts {
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            // SAFETY: all zeroes is SIG_DFL with nothing blocked.
            action: UnsafeCell::new(unsafe { cmem::zeroed() }),
            ever: AtomicBool::new(false),
            put_back: AtomicBool::new(false),
        }
    }
}

static HOSTS: [Hosts; SIGNALS.len()] = [const { Hosts::none() }; SIGNALS.len()];

fn ours() -> usize {
    gmx_arch_signal as *const () as usize
}

/// Puts the library's handler in front of the host's. To install it twice changes nothing.
///
/// SIG-3: if the library's handler was in place before and another handler stands there now, that handler may have it
/// in its chain. So it is not put in front again: the signal reaches it all the same.
///
/// # Safety
/// Not while another thread installs or uninstalls. The library stays mapped: a host that installs its own handler
/// later may keep the library's as its next.
pub(super) unsafe fn install() -> Result<(), i32> {
    for (hosts, sig) in HOSTS.iter().zip(SIGNALS) {
        let old = c::disposition(sig);
        let first = !hosts.ever.load(Ordering::Relaxed) || hosts.put_back.load(Ordering::Relaxed);
        if old.sa_sigaction == ours() || !(first || is_default(&old)) {
            continue;
        }
        // SAFETY: no other thread installs or uninstalls, by the caller's promise.
        unsafe { *hosts.action.get() = old };
        hosts.flags.store(old.sa_flags, Ordering::Relaxed);
        hosts.handler.store(old.sa_sigaction, Ordering::Relaxed);
        hosts.ever.store(true, Ordering::Relaxed);
        hosts.put_back.store(false, Ordering::Relaxed);
        let mut new = old;
        new.sa_sigaction = ours();
        new.sa_flags = (old.sa_flags & !libc::SA_RESETHAND) | libc::SA_SIGINFO | libc::SA_ONSTACK;
        if is_default(&old) {
            new.sa_mask = c::zeros();
        }
        if old.sa_sigaction == libc::SIG_IGN {
            // An ignored signal interrupts nothing.
            new.sa_flags |= libc::SA_RESTART;
        }
        // Ours is set only after the host's is kept, since a fault may come in between.
        // SAFETY: `gmx_arch_signal` is a handler with three arguments, and stays mapped, by the caller's promise.
        if unsafe { libc::sigaction(sig, &new, ptr::null_mut()) } != 0 {
            return Err(c::errno());
        }
    }
    Ok(())
}

/// Restores the host's disposition, unless the host has changed it since. In that case the library's handler stays in
/// the host's chain, and only hands signals on.
///
/// # Safety
/// As for [`install`].
pub(super) unsafe fn uninstall() {
    for (hosts, sig) in HOSTS.iter().zip(SIGNALS) {
        if c::disposition(sig).sa_sigaction == ours() {
            // SAFETY: no other thread installs or uninstalls, by the caller's promise.
            let mut back = unsafe { *hosts.action.get() };
            // SA_RESETHAND may have been done.
            back.sa_sigaction = hosts.handler.load(Ordering::Relaxed);
            // SAFETY: the host's own disposition: `install` has kept it before it put our handler in place.
            unsafe { libc::sigaction(sig, &back, ptr::null_mut()) };
            hosts.put_back.store(true, Ordering::Relaxed);
        }
    }
}

fn is_default(a: &libc::sigaction) -> bool {
    a.sa_sigaction == libc::SIG_DFL || a.sa_sigaction == libc::SIG_IGN
}

/// The signals that are being handed on, by the address of their context, which lies on the stack of their thread. A
/// host's handler that jumps out leaves its entry behind, and the next signal of the thread may have the same address.
/// So an entry counts only for a call from further down the stack, where the kernel never calls. If two signals share
/// one entry, a circle takes one more turn.
struct PassedOn {
    context: AtomicUsize,
    sp: AtomicUsize,
}

static PASSED_ON: [PassedOn; 64] = [const { PassedOn { context: AtomicUsize::new(0), sp: AtomicUsize::new(0) } }; 64];

impl PassedOn {
    fn place(context: *mut c_void) -> &'static PassedOn {
        // Contexts are 16-aligned or so, and stacks lie a power of two apart.
        let at = context as usize;
        &PASSED_ON[(at >> 4 ^ at >> 12 ^ at >> 20) % PASSED_ON.len()]
    }

    fn is_again(context: *mut c_void, sp: usize) -> bool {
        let place = PassedOn::place(context);
        place.context.load(Ordering::Relaxed) == context as usize && sp < place.sp.load(Ordering::Relaxed)
    }

    fn begin(context: *mut c_void, sp: usize) {
        let place = PassedOn::place(context);
        place.sp.store(sp, Ordering::Relaxed);
        place.context.store(context as usize, Ordering::Relaxed);
    }

    fn end(context: *mut c_void) {
        let place = PassedOn::place(context);
        let _ = place.context.compare_exchange(context as usize, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The handler that the kernel calls: the library's, or one that already has the signal when it calls the library's.
fn first_handler(sig: c_int) -> usize {
    c::disposition(sig).sa_sigaction
}

/// A signal, with the arguments of the kernel's call.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub sig: c_int,
    pub info: *mut libc::siginfo_t,
    pub context: *mut c_void,
    pub entry: Entry,
}

impl Call {
    /// Whether a process has sent the signal: then no instruction has raised it, and it has no address.
    pub fn sent(&self) -> bool {
        // SAFETY: the kernel's.
        unsafe { (*self.info).si_code <= 0 }
    }

    /// Whether it is the SIGABRT of `abort`, which the thread sends to itself. Another process, or another thread, may
    /// also send one to this thread.
    pub fn aborts(&self) -> bool {
        // SAFETY: the kernel's, for the call.
        let info = unsafe { &*self.info };
        // SAFETY: a sent signal has the number of its sender.
        self.sig == libc::SIGABRT && info.si_code == libc::SI_TKILL && unsafe { info.si_pid() } == sys::main_tid()
    }
}

/// What happens to a signal next.
#[derive(Clone, Copy)]
pub(super) struct Next {
    f: usize,
    flags: c_int,
    /// The process ends.
    pub dies: bool,
}

/// The host's present disposition for a signal.
pub(super) fn next(call: &Call) -> Next {
    let hosts = &HOSTS[SIGNALS.iter().position(|&s| s == call.sig).unwrap_or(0)];
    let flags = hosts.flags.load(Ordering::Relaxed);
    let mut f = hosts.handler.load(Ordering::Relaxed);
    if f == first_handler(call.sig) || PassedOn::is_again(call.context, call.entry.sp) {
        f = libc::SIG_DFL; // SIG-3
    } else if flags & libc::SA_RESETHAND != 0 {
        f = hosts.handler.swap(libc::SIG_DFL, Ordering::Relaxed);
    }
    Next { f, flags, dies: f == libc::SIG_DFL || (f == libc::SIG_IGN && !call.sent()) }
}

/// Hands a signal on. `alt`: the host's handler runs on the alternate stack in any case.
pub(super) fn pass_on(call: Call, next: Next, alt: bool) {
    let Call { sig, info, context, entry } = call;
    if next.dies {
        // A fault happens again after the return and meets the default, with the registers of the fault. A sent signal
        // is sent again, and arrives after the return.
        // SAFETY: async-signal-safe; all zeros are the default disposition.
        unsafe { libc::sigaction(sig, &c::zeros(), ptr::null_mut()) };
        if call.sent() {
            // SAFETY: async-signal-safe, and takes a number.
            unsafe { libc::raise(sig) };
        }
        return;
    }
    if next.f == libc::SIG_IGN {
        return;
    }
    if signal::by_kernel(entry, info, context.cast()) && !alt && next.flags & libc::SA_ONSTACK == 0 {
        // SAFETY: called by the kernel.
        unsafe { to_own_stack(next.f, call) };
    }
    PassedOn::begin(context, entry.sp);
    // The host's handler may jump out: nothing here needs undoing.
    if next.flags & libc::SA_SIGINFO != 0 {
        // SAFETY: by its flag the host's handler has these arguments.
        let f = unsafe { cmem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(next.f) };
        f(sig, info, context);
    } else {
        // SAFETY: without the flag the host's handler has one argument.
        let f = unsafe { cmem::transmute::<usize, extern "C" fn(c_int)>(next.f) };
        f(sig);
    }
    PassedOn::end(context);
}

/// SIG-2: if the kernel has switched to the alternate stack only because of the library's flags, continues in the
/// host's handler on the interrupted stack. No frame of the library is left then: the handler returns to the kernel.
///
/// # Safety
/// The kernel called the library's handler with these.
unsafe fn to_own_stack(f: usize, call: Call) {
    let Call { sig, info, context, entry } = call;
    let kernels: *mut libc::ucontext_t = context.cast();
    // SAFETY: the kernel's frame, by the caller's promise.
    let alt = unsafe { (*kernels).uc_stack };
    let alt = alt.ss_sp as usize..alt.ss_sp as usize + alt.ss_size;
    let from = signal::lowest(info, kernels);
    // SAFETY: the kernel's frame, by the caller's promise.
    let room = unsafe { signal::room_below(kernels) };
    if !alt.contains(&from) || alt.contains(&room) {
        return;
    }
    let len = alt.end - from;
    let mut to = room - len;
    // The same offset within a cache line, as the state of vector registers needs.
    to -= to.wrapping_sub(from) % 64;
    let by = to.wrapping_sub(from);
    // SAFETY: the frame that the kernel has put at the end of the alternate stack goes to where the kernel would have
    // put it without one. If there is no room it faults, as the kernel's own write would have.
    unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, len) };
    let (info, context) = (info.wrapping_byte_add(by), context.wrapping_byte_add(by));
    // SAFETY: the copy of the frame, moved by so many bytes.
    unsafe { signal::moved(context.cast(), by) };
    PassedOn::begin(context, to);
    // SAFETY: the copy lies at `to`, where the kernel would have put it; `f` is the host's handler.
    unsafe { signal::deliver(f, sig, info, context, to, entry, by) };
}
