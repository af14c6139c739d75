//! A stack overflow of a G says which G it was; then the process dies as the host has it.
//!
//! What must hold: everything from the fault on is async-signal-safe: no allocation, no lock, no thread-local. A fault
//! that is not ours goes to the host's disposition as if we were not there. The handler runs on an alternate stack,
//! since the one that faulted has no room; threads that the library makes have an [`AltStack`] each, other threads
//! overflow their own stacks as they did before.
//!
//! The statics here are the exception to "no statics below `rt/`": signal dispositions are the process's, not a
//! scheduler's.

use crate::ds::escape::Escaped;
use crate::sys::{self, mem};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use core::{mem as cmem, ptr};

/// A line of text that can be put together in a signal handler. What does not fit is cut off.
pub struct Line {
    len: usize,
    buf: [u8; 512],
}

impl Line {
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Line {
        Line { len: 0, buf: [0; 512] }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    pub fn text(&mut self, s: &str) -> &mut Self {
        for &b in s.as_bytes() {
            self.byte(b);
        }
        self
    }

    /// Bytes of the host's, such as a name.
    pub fn name(&mut self, s: &[u8]) -> &mut Self {
        let _ = write!(self, "{}", Escaped(s));
        self
    }

    pub fn dec(&mut self, n: u64) -> &mut Self {
        self.number(n, 10)
    }

    /// With `0x` in front.
    pub fn hex(&mut self, n: u64) -> &mut Self {
        self.text("0x").number(n, 16)
    }

    fn number(&mut self, mut n: u64, base: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(n % base) as usize];
            n /= base;
            if n == 0 {
                break;
            }
        }
        for &d in &digits[at..] {
            self.byte(d);
        }
        self
    }

    fn byte(&mut self, b: u8) {
        if let Some(at) = self.buf.get_mut(self.len) {
            *at = b;
            self.len += 1;
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.text(s);
        Ok(())
    }
}

/// Says whether the address is in the guard of a G, and if so which; async-signal-safe.
pub type Describe = unsafe fn(fault_addr: usize, out: &mut Line) -> bool;
/// Where the line goes; async-signal-safe.
pub type Emit = fn(&[u8]);

const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// What the host had. Written before our handler is in place, read by the handler; installing is once at a time.
struct Hosts(UnsafeCell<[libc::sigaction; 2]>);
// SAFETY: see the field.
unsafe impl Sync for Hosts {}
// SAFETY: all zeroes is SIG_DFL with nothing blocked.
static HOSTS: Hosts = Hosts(UnsafeCell::new(unsafe { cmem::zeroed() }));
/// [`Describe`] and [`Emit`] as addresses; null while not installed.
static DESCRIBE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static EMIT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
/// A host whose handler returns would fault, and be told, for ever.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Puts the handler in front of the host's. Installing twice changes `describe` and `emit`.
///
/// # Safety
/// Not while another thread installs or uninstalls. `describe` and `emit` are async-signal-safe, and the library stays
/// mapped (a host that installs its own handler later may keep ours as the one to chain to).
pub unsafe fn install(describe: Describe, emit: Emit) -> Result<(), i32> {
    EMIT.store(emit as *mut (), Ordering::Relaxed);
    // Release: whoever sees `describe` sees `emit`; pairs with Acquire in `handler`.
    DESCRIBE.store(describe as *mut (), Ordering::Release);
    TOLD.store(false, Ordering::Relaxed);
    for (i, sig) in SIGNALS.into_iter().enumerate() {
        // SAFETY: reads the host's disposition; ours is stored only when the host's has been kept, since a fault may
        // come in between.
        unsafe {
            let mut old: libc::sigaction = cmem::zeroed();
            libc::sigaction(sig, ptr::null(), &mut old);
            if old.sa_sigaction == handler as *const () as usize {
                continue;
            }
            (*HOSTS.0.get())[i] = old;
            // What the host wants blocked in its handler is blocked in ours, which calls it.
            let mut new = old;
            new.sa_sigaction = handler as *const () as usize;
            new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | (old.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART));
            if is_default(&old) {
                libc::sigemptyset(&mut new.sa_mask);
            }
            if libc::sigaction(sig, &new, ptr::null_mut()) != 0 {
                return Err(*libc::__errno_location());
            }
        }
    }
    Ok(())
}

/// Puts the host's disposition back, unless the host has changed it since; then ours stays in its chain and only
/// passes on.
///
/// # Safety
/// As for [`install`].
pub unsafe fn uninstall() {
    DESCRIBE.store(ptr::null_mut(), Ordering::Release);
    for (i, sig) in SIGNALS.into_iter().enumerate() {
        // SAFETY: `HOSTS` is what the host had if our handler is there.
        unsafe {
            let mut now: libc::sigaction = cmem::zeroed();
            libc::sigaction(sig, ptr::null(), &mut now);
            if now.sa_sigaction == handler as *const () as usize {
                libc::sigaction(sig, &(*HOSTS.0.get())[i], ptr::null_mut());
            }
        }
    }
}

fn is_default(a: &libc::sigaction) -> bool {
    a.sa_sigaction == libc::SIG_DFL || a.sa_sigaction == libc::SIG_IGN
}

extern "C" fn handler(sig: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's.
    let (code, addr) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Sent by somebody and not raised by an access: there is no address.
    let sent = code <= 0;
    let describe = DESCRIBE.load(Ordering::Acquire);
    if !sent && !describe.is_null() {
        // SAFETY: stored from these types by `install`.
        let (describe, emit) = unsafe {
            (
                cmem::transmute::<*mut (), Describe>(describe),
                cmem::transmute::<*mut (), Emit>(EMIT.load(Ordering::Relaxed)),
            )
        };
        let mut line = Line::new();
        // SAFETY: `install`'s caller vouches for it.
        if unsafe { describe(addr, &mut line) } && !TOLD.swap(true, Ordering::Relaxed) {
            emit(line.as_bytes());
        }
    }
    let i = if sig == libc::SIGSEGV { 0 } else { 1 };
    // SAFETY: written before this handler was in place.
    let host = unsafe { (*HOSTS.0.get())[i] };
    if host.sa_sigaction == libc::SIG_IGN && sent {
        return;
    }
    if is_default(&host) {
        // SAFETY: sigaction and raise are async-signal-safe. A fault happens again when we return and meets the host's
        // disposition, with the registers of the fault; what was sent is sent again and comes when we return.
        unsafe {
            libc::sigaction(sig, &host, ptr::null_mut());
            if sent {
                libc::raise(sig);
            }
        }
        return;
    }
    // SAFETY: the host's handler, called as its flags say. It may jump out: nothing here needs to be undone.
    unsafe {
        if host.sa_flags & libc::SA_RESETHAND != 0 {
            (*HOSTS.0.get())[i].sa_sigaction = libc::SIG_DFL;
        }
        if host.sa_flags & libc::SA_SIGINFO != 0 {
            cmem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(host.sa_sigaction)(
                sig, info, context,
            );
        } else {
            cmem::transmute::<usize, extern "C" fn(c_int)>(host.sa_sigaction)(sig);
        }
    }
}

/// The alternate signal stack of a thread that the library made. Dropped on that thread, at its end.
pub struct AltStack {
    base: *mut u8,
    len: usize,
    _not_send: PhantomData<*mut ()>,
}

impl AltStack {
    /// Room for a host's crash handler that symbolises, on top of what the processor's state takes. None if the thread
    /// has one already, or for want of address space; overflows then kill without a word.
    pub fn install() -> Option<AltStack> {
        let page = sys::page_size();
        // SAFETY: reads the auxiliary vector.
        let frame = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let len = (page + (64 << 10) + frame).next_multiple_of(page);
        // SAFETY: asks for what is there, then registers a mapping of our own whose lowest page is a guard.
        unsafe {
            let mut old: libc::stack_t = cmem::zeroed();
            libc::sigaltstack(ptr::null(), &mut old);
            if old.ss_flags & libc::SS_DISABLE == 0 {
                return None;
            }
            let base = mem::reserve(len).ok()?;
            // Without a guard it is still better than none.
            let _ = mem::protect(base, page);
            let new = libc::stack_t { ss_sp: base.add(page).cast(), ss_flags: 0, ss_size: len - page };
            if libc::sigaltstack(&new, ptr::null_mut()) != 0 {
                mem::release(base, len);
                return None;
            }
            Some(AltStack { base, len, _not_send: PhantomData })
        }
    }
}

impl Drop for AltStack {
    fn drop(&mut self) {
        // SAFETY: on the thread that installed it, outside the handler; the mapping is ours. If the host put another
        // one in place meanwhile, that one stays.
        unsafe {
            let mut now: libc::stack_t = cmem::zeroed();
            libc::sigaltstack(ptr::null(), &mut now);
            if now.ss_sp as usize == self.base as usize + sys::page_size() {
                let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                libc::sigaltstack(&off, ptr::null_mut());
            }
            mem::release(self.base, self.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiber::stack::{PoolOptions, Stack, StackPool};
    use crate::sys::arch::{Sp, prepare, switch};
    use core::sync::atomic::AtomicI32;

    static POOL: AtomicPtr<StackPool> = AtomicPtr::new(ptr::null_mut());
    static OUT: AtomicI32 = AtomicI32::new(-1);

    unsafe fn describe(addr: usize, out: &mut Line) -> bool {
        // SAFETY: set before the handler was.
        let pool = unsafe { &*POOL.load(Ordering::Relaxed) };
        if !pool.contains_guard(addr) {
            return false;
        }
        out.text("stack overflow in G ").dec(42).text(" (").name(b"na\nme").text(")");
        true
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

    enum Fault {
        Overflow,
        Null,
        Sent,
    }

    /// What a child writes, and its wait status.
    fn child(fault: Fault, host: impl FnOnce()) -> (String, i32) {
        let mut fds = [0; 2];
        // SAFETY: room for two; the child leaves by the fault or `_exit`.
        unsafe {
            assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
            let pid = libc::fork();
            if pid == 0 {
                OUT.store(fds[1], Ordering::Relaxed);
                // Rust's own handler and alternate stack go: the host of this test starts bare.
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
                    Fault::Overflow => {
                        let Ok(Stack { hi, .. }) = pool.alloc(64 << 10) else { libc::_exit(92) };
                        let mut here = Sp::NULL;
                        switch(&mut here, prepare(hi, overflows), 0);
                    }
                    Fault::Null => ptr::without_provenance_mut::<u8>(8).write_volatile(1),
                    Fault::Sent => {
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
        let (text, status) = child(Fault::Overflow, || ());
        assert_eq!(text, "stack overflow in G 42 (na\\nme)");
        assert!(killed(status), "{status:#x}");
    }

    #[test]
    fn other_faults_say_nothing_and_die() {
        for fault in [Fault::Null, Fault::Sent] {
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
        let (text, status) = child(Fault::Overflow, info);
        assert_eq!(text, "stack overflow in G 42 (na\\nme)|host");
        assert_eq!(exited(status), 11);
        let (text, status) = child(Fault::Null, info);
        assert_eq!(text, "|host");
        assert_eq!(exited(status), 10);
        let (text, status) = child(Fault::Null, || set_host(hosts_plain as *const () as usize, 0));
        assert_eq!(text, "|plain");
        assert_eq!(exited(status), 12);
    }

    extern "C" fn hosts_once(_: c_int) {
        emit(b"|once");
    }

    #[test]
    fn a_host_that_resets_its_handler_dies_the_second_time() {
        let (text, status) = child(Fault::Overflow, || set_host(hosts_once as *const () as usize, libc::SA_RESETHAND));
        assert_eq!(text, "stack overflow in G 42 (na\\nme)|once");
        assert!(killed(status));
    }

    #[test]
    fn a_host_that_ignores_sent_ones_goes_on() {
        let (text, status) = child(Fault::Sent, || set_host(libc::SIG_IGN, 0));
        assert_eq!((text.as_str(), exited(status)), ("", 93));
        let (_, status) = child(Fault::Null, || set_host(libc::SIG_IGN, 0));
        assert!(killed(status));
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
                // Somebody else came after us: theirs stays.
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

    #[test]
    fn lines_are_cut_off() {
        let mut l = Line::new();
        l.text("a").dec(0).text(" ").dec(u64::MAX).text(" ").hex(0xbeef);
        assert_eq!(l.as_bytes(), b"a0 18446744073709551615 0xbeef");
        for _ in 0..100 {
            l.text("0123456789");
        }
        assert_eq!(l.as_bytes().len(), 512);
    }
}
