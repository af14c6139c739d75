//! Reports a fault in a goroutine: the report names the goroutine. After that the fault is the host's, as if the
//! library were not there (signals.rs).
//!
//! Each worker has an [`AltStack`], on which the host's handlers run for faults of goroutines, because the stack that
//! faulted may have no room. A thread of the host that overflows its own stack is handled as without the library.

use super::signals::{self, Call};
use super::text::Line;
use crate::sys::arch::Entry;
use crate::sys::{self, mem};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use core::{mem as cmem, ptr};

/// A fault, as [`Describe`] sees it.
pub struct Fault {
    pub signal: c_int,
    /// None: the code has called `abort`.
    pub addr: Option<usize>,
    /// The host has no handler for it: the process ends.
    pub dies: bool,
}

/// The answer of [`Describe`].
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// There is something to report.
    pub told: bool,
    /// It happened on a thread of the library.
    pub ours: bool,
}

/// Builds the line of a report about a fault; async-signal-safe (SIG-1).
pub type Describe = unsafe fn(fault: &Fault, out: &mut Line) -> Seen;
/// Writes the line of a report; async-signal-safe (SIG-1).
pub type Emit = fn(&[u8]);

/// [`Describe`] and [`Emit`] as addresses; null while not installed.
static DESCRIBE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static EMIT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
/// Set by the first report. A host whose handler returns faults again, and would cause reports forever.
static TOLD: AtomicBool = AtomicBool::new(false);

crate::sys::arch::signal_entry!(handler);

/// Reports faults from now on. To install twice changes `describe` and `emit`.
///
/// # Safety
/// Not while another thread installs or uninstalls. `describe` and `emit` are async-signal-safe, and the library stays
/// mapped (a host that installs its own handler later may keep the library's as its next).
pub unsafe fn install(describe: Describe, emit: Emit) -> Result<(), i32> {
    EMIT.store(emit as *mut (), Ordering::Relaxed);
    // Release: a handler that sees `describe` sees `emit`; pairs with Acquire in `tell`.
    DESCRIBE.store(describe as *mut (), Ordering::Release);
    TOLD.store(false, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    unsafe { signals::install() }
}

/// Reports nothing from now on. Restores the host's dispositions, unless the host has changed them since.
///
/// # Safety
/// As for [`install`].
pub unsafe fn uninstall() {
    DESCRIBE.store(ptr::null_mut(), Ordering::Release);
    // SAFETY: the caller's promise.
    unsafe { signals::uninstall() }
}

/// Called by `gmx_arch_signal`.
extern "C" fn handler(sig: c_int, info: *mut libc::siginfo_t, context: *mut c_void, sp: usize, fp: usize, lr: usize) {
    let call = Call { sig, info, context, entry: Entry { sp, fp, lr } };
    let next = signals::next(&call);
    let seen = if call.aborts() {
        tell(&Fault { signal: sig, addr: None, dies: next.dies })
    } else if call.sent() {
        Seen::default()
    } else {
        // SAFETY: the kernel's, for the call.
        let info = unsafe { &*info };
        // SAFETY: a fault of the kernel has an address.
        let addr = unsafe { info.si_addr() } as usize;
        tell(&Fault { signal: sig, addr: Some(addr), dies: next.dies })
    };
    signals::pass_on(call, next, seen.ours);
}

fn tell(fault: &Fault) -> Seen {
    let describe = DESCRIBE.load(Ordering::Acquire);
    if describe.is_null() {
        return Seen::default();
    }
    // SAFETY: `install` has stored a Describe.
    let describe = unsafe { cmem::transmute::<*mut (), Describe>(describe) };
    // SAFETY: `install` has stored an Emit before.
    let emit = unsafe { cmem::transmute::<*mut (), Emit>(EMIT.load(Ordering::Relaxed)) };
    let mut line = Line::new();
    // SAFETY: the promise of `install`'s caller.
    let seen = unsafe { describe(fault, &mut line) };
    if seen.told && !TOLD.swap(true, Ordering::Relaxed) {
        emit(line.as_bytes());
    }
    seen
}

/// The alternate signal stack of a thread that the library made. Dropped on that thread, at its end.
pub struct AltStack {
    base: *mut u8,
    len: usize,
    _not_send: PhantomData<*mut ()>,
}

impl AltStack {
    /// Installs a stack with room for a host's crash handler that looks up symbols, plus the processor's state. None if
    /// the thread has one already, or if there is no address space: then an overflow kills the process without a
    /// report.
    pub fn install() -> Option<AltStack> {
        let page = sys::page_size();
        let frame = sys::c::auxval(libc::AT_MINSIGSTKSZ);
        let len = (page + (64 << 10) + frame).next_multiple_of(page);
        if sys::c::alternate_stack().ss_flags & libc::SS_DISABLE == 0 {
            return None;
        }
        let base = mem::reserve(len).ok()?;
        // SAFETY: the lowest page of a mapping of our own. A stack without a guard is still better than none.
        let _ = unsafe { mem::protect(base, page) };
        let new = libc::stack_t { ss_sp: base.wrapping_add(page).cast(), ss_flags: 0, ss_size: len - page };
        // SAFETY: a mapping of our own, which stays until the drop.
        if unsafe { libc::sigaltstack(&new, ptr::null_mut()) } != 0 {
            // SAFETY: a mapping of our own, which nothing refers to.
            unsafe { mem::release(base, len) };
            return None;
        }
        Some(AltStack { base, len, _not_send: PhantomData })
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        if sys::without::is_sealed() {
            // No system call is allowed any more. A handler may still run there until the thread has ended, so the
            // mapping stays.
            return;
        }
        // If the host has set another stack meanwhile, that one stays.
        if sys::c::alternate_stack().ss_sp as usize == self.base as usize + sys::page_size() {
            let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: on the thread that installed it, outside the handler.
            unsafe { libc::sigaltstack(&off, ptr::null_mut()) };
        }
        // SAFETY: the mapping is ours, and no signal stack any more.
        unsafe { mem::release(self.base, self.len) };
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::multiple_unsafe_ops_per_block,
        reason = "one reason for all: a child of the test's own, which exits"
    )]
    use super::*;
    use crate::fiber::stack::{PoolOptions, Stack, StackPool};
    use crate::sys::arch::{Sp, prepare, switch};
    use core::sync::atomic::{AtomicI32, AtomicUsize};

    static POOL: AtomicPtr<StackPool> = AtomicPtr::new(ptr::null_mut());
    static OUT: AtomicI32 = AtomicI32::new(-1);

    unsafe fn describe(fault: &Fault, out: &mut Line) -> Seen {
        // SAFETY: set before the handler was.
        let pool = unsafe { &*POOL.load(Ordering::Relaxed) };
        if !fault.addr.is_some_and(|at| pool.contains_guard(at)) {
            return Seen { told: false, ours: true };
        }
        out.text("stack overflow in G ").dec(42).text(" (").name(b"na\nme").text(")");
        Seen { told: true, ours: true }
    }

    fn emit(line: &[u8]) {
        let _ = sys::write_all(OUT.load(Ordering::Relaxed), line);
    }

    #[inline(never)]
    fn deep(n: usize) -> usize {
        let mut block = [n; 64];
        core::hint::black_box(&mut block);
        if n == usize::MAX { 0 } else { deep(n + 1) + block[n % 64] }
    }

    unsafe extern "C" fn overflows(_: usize) -> ! {
        core::hint::black_box(deep(0));
        unreachable!()
    }

    enum By {
        Overflow,
        Null,
        Sent,
    }

    /// The output of a child, and its wait status.
    fn child(fault: By, host: impl FnOnce()) -> (String, i32) {
        let mut fds = [0; 2];
        // SAFETY: room for two; the child leaves by the fault or `_exit`.
        unsafe {
            assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
            let pid = libc::fork();
            if pid == 0 {
                OUT.store(fds[1], Ordering::Relaxed);
                // Remove Rust's own handler and alternate stack: the host of this test has none.
                let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                libc::sigaltstack(&off, ptr::null_mut());
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
                host();
                let pool = StackPool::new(PoolOptions::default());
                POOL.store((&raw const pool).cast_mut(), Ordering::Relaxed);
                let Some(_alt) = AltStack::install() else { libc::_exit(90) };
                if AltStack::install().is_some() || install(describe, emit).is_err() {
                    libc::_exit(91);
                }
                match fault {
                    By::Overflow => {
                        let Ok(Stack { hi, .. }) = pool.alloc(64 << 10) else { libc::_exit(92) };
                        let mut here = Sp::NULL;
                        switch(&mut here, prepare(hi, overflows), 0);
                    }
                    By::Null => ptr::without_provenance_mut::<u8>(8).write_volatile(1),
                    By::Sent => {
                        libc::raise(libc::SIGSEGV);
                    }
                }
                libc::_exit(93);
            }
            libc::close(fds[1]);
            let mut text = Vec::new();
            let mut buf = [0u8; 256];
            while let n @ 1.. = libc::read(fds[0], buf.as_mut_ptr().cast(), buf.len()) {
                text.extend_from_slice(&buf[..n as usize]);
            }
            libc::close(fds[0]);
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            (String::from_utf8(text).unwrap(), status)
        }
    }

    fn killed(status: i32) -> bool {
        libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV
    }

    fn exited(status: i32) -> i32 {
        assert!(libc::WIFEXITED(status), "{status:#x}");
        libc::WEXITSTATUS(status)
    }

    #[test]
    fn overflow_says_who_and_dies() {
        let (text, status) = child(By::Overflow, || ());
        assert_eq!(text, "stack overflow in G 42 (na\\nme)");
        assert!(killed(status), "{status:#x}");
    }

    #[test]
    fn other_faults_say_nothing_and_die() {
        for fault in [By::Null, By::Sent] {
            let (text, status) = child(fault, || ());
            assert_eq!(text, "");
            assert!(killed(status), "{status:#x}");
        }
    }

    extern "C" fn hosts_info(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
        emit(b"|host");
        // SAFETY: the kernel's; leaves.
        unsafe { libc::_exit(if (*info).si_addr() as usize == 8 { 10 } else { 11 }) }
    }

    extern "C" fn hosts_plain(_: c_int) {
        emit(b"|plain");
        // SAFETY: leaves.
        unsafe { libc::_exit(12) }
    }

    fn set_host(f: usize, flags: c_int) {
        // SAFETY: in the child.
        unsafe {
            let mut a: libc::sigaction = cmem::zeroed();
            a.sa_sigaction = f;
            a.sa_flags = flags;
            libc::sigaction(libc::SIGSEGV, &a, ptr::null_mut());
        }
    }

    #[test]
    fn the_hosts_handler_gets_it_after_us() {
        let info = || set_host(hosts_info as *const () as usize, libc::SA_SIGINFO);
        let (text, status) = child(By::Overflow, info);
        assert_eq!(text, "stack overflow in G 42 (na\\nme)|host");
        assert_eq!(exited(status), 11);
        let (text, status) = child(By::Null, info);
        assert_eq!(text, "|host");
        assert_eq!(exited(status), 10);
        let (text, status) = child(By::Null, || set_host(hosts_plain as *const () as usize, 0));
        assert_eq!(text, "|plain");
        assert_eq!(exited(status), 12);
    }

    extern "C" fn hosts_once(_: c_int) {
        emit(b"|once");
    }

    #[test]
    fn a_host_that_resets_its_handler_dies_the_second_time() {
        let (text, status) = child(By::Overflow, || set_host(hosts_once as *const () as usize, libc::SA_RESETHAND));
        assert_eq!(text, "stack overflow in G 42 (na\\nme)|once");
        assert!(killed(status));
    }

    #[test]
    fn a_host_that_ignores_sent_ones_goes_on() {
        let (text, status) = child(By::Sent, || set_host(libc::SIG_IGN, 0));
        assert_eq!((text.as_str(), exited(status)), ("", 93));
        let (_, status) = child(By::Null, || set_host(libc::SIG_IGN, 0));
        assert!(killed(status));
    }

    static TRAP: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
    static WHERE: AtomicUsize = AtomicUsize::new(0);

    unsafe fn knows_nothing(_: &Fault, _: &mut Line) -> Seen {
        Seen::default()
    }

    extern "C" fn hosts_repairs(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
        WHERE.store(crate::sys::arch::stack_pointer() as usize, Ordering::Relaxed);
        // SAFETY: a page of the test's.
        unsafe { libc::mprotect(TRAP.load(Ordering::Relaxed).cast(), 1, libc::PROT_READ | libc::PROT_WRITE) };
    }

    /// SIG-2, with the frame that the kernel of this instruction set makes.
    #[test]
    fn a_handler_without_sa_onstack_runs_on_the_stack_that_faulted() {
        // SAFETY: forks; the child leaves by `_exit`.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                libc::sigaltstack(&off, ptr::null_mut());
                let Some(alt) = AltStack::install() else { libc::_exit(90) };
                let on_alt = |sp: usize| (alt.base as usize..alt.base as usize + alt.len).contains(&sp);
                for (round, flag) in [0, libc::SA_ONSTACK, 0, 0].into_iter().enumerate() {
                    set_host(hosts_repairs as *const () as usize, libc::SA_SIGINFO | flag);
                    if install(knows_nothing, emit).is_err() {
                        libc::_exit(91);
                    }
                    let trap = libc::mmap(ptr::null_mut(), 1, libc::PROT_NONE, flags, -1, 0);
                    TRAP.store(trap.cast(), Ordering::Relaxed);
                    let (a, b) = (core::hint::black_box(1.5f64), core::hint::black_box(round));
                    trap.cast::<u8>().write_volatile(7);
                    let whole = a * 2.0 == 3.0 && b == round && trap.cast::<u8>().read_volatile() == 7;
                    if !whole || on_alt(WHERE.swap(0, Ordering::Relaxed)) != (flag != 0) {
                        libc::_exit(1 + round as c_int);
                    }
                    uninstall();
                }
                libc::_exit(0);
            }
            let mut status = 0;
            libc::waitpid(pid, &mut status, 0);
            assert_eq!(status, 0);
        }
    }

    #[test]
    fn uninstall_leaves_the_host_as_it_was() {
        // SAFETY: forks; the child leaves by `_exit`.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                let mut before: libc::sigaction = cmem::zeroed();
                let mut after = before;
                libc::sigaction(libc::SIGSEGV, ptr::null(), &mut before);
                let ok = install(describe, emit).is_ok();
                uninstall();
                libc::sigaction(libc::SIGSEGV, ptr::null(), &mut after);
                let mut good = ok && before.sa_sigaction == after.sa_sigaction;
                // Another handler came later: it stays.
                good &= install(describe, emit).is_ok();
                set_host(hosts_plain as *const () as usize, 0);
                uninstall();
                libc::sigaction(libc::SIGSEGV, ptr::null(), &mut after);
                good &= after.sa_sigaction == hosts_plain as *const () as usize;
                libc::_exit(if good { 0 } else { 1 });
            }
            let mut status = 0;
            libc::waitpid(pid, &mut status, 0);
            assert_eq!(status, 0);
        }
    }
}
