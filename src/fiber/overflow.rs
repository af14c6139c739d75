//! A fault in a G says which G it was; then it is the host's, as if the library were not there.
//!
//! The handler of this file stands before the host's, since only it runs where a G has overflown its stack, and it
//! hands every signal on. What must hold:
//!
//! - SIG-1: everything from the fault on is async-signal-safe: no allocation, no lock, no thread-local but the slot of
//!   the M.
//! - SIG-2: on a thread that is not the library's the host's handler runs where, as often and with what it asked for.
//!   Its mask and flags are those of our disposition too, so the kernel has done most of it. Two things are left.
//!   `SA_RESETHAND` is done by hand. `SA_ONSTACK` is ours alone: where the host did not ask for it, `to_own_stack`
//!   moves what the kernel has put on the alternate stack to where it would have been without, and enters the host's
//!   handler there.
//! - SIG-3: a fault is told once, and handed on once. Handlers that keep each other as the next one make a circle; a
//!   crash reporter that was installed over ours, and found again as the host's handler after a restart of the runtime,
//!   would be one. So ours is not put in front of what may have it as its next ([`install`]); and a signal ends at ours
//!   that comes back to it while it is being handed on (`PassedOn`), or would go to the handler that had it first
//!   (`first_handler`).
//!
//! A worker has an [`AltStack`], on which the host's handlers run for faults of Gs: the stack that faulted may have no
//! room. Threads of the host overflow their own stacks as they did before.
//!
//! The statics here are the exception to "no statics below `rt/`": signal dispositions are the process's, not a
//! scheduler's.
//!
//! Rejected: to let the fault happen again with the host's disposition in place. Meanwhile no other thread has ours,
//! and nothing says when the host's handler is done.

use crate::ds::escape::Escaped;
use crate::sys::arch::{Entry, gmx_arch_signal, signal};
use crate::sys::{self, mem};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::fmt::{self, Write};
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
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

/// A fault, as [`Describe`] sees it.
pub struct Fault {
    pub signal: c_int,
    pub addr: usize,
    /// The host has nothing that could handle it.
    pub dies: bool,
}

/// What [`Describe`] knows of it.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// There is something to tell.
    pub told: bool,
    /// It happened on a thread of the library.
    pub ours: bool,
}

/// Describes a fault; async-signal-safe.
pub type Describe = unsafe fn(fault: &Fault, out: &mut Line) -> Seen;
/// Where the line goes; async-signal-safe.
pub type Emit = fn(&[u8]);

const SIGNALS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// What the host had for a signal.
struct Hosts {
    handler: AtomicUsize,
    flags: AtomicI32,
    /// All of it. Written and read while installing and uninstalling, which is once at a time.
    action: UnsafeCell<libc::sigaction>,
    /// Our handler was once in place: any handler that came later may have it as its next.
    ever: AtomicBool,
    /// And went away again, as the first of its chain.
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

static HOSTS: [Hosts; 2] = [const { Hosts::none() }; 2];
/// [`Describe`] and [`Emit`] as addresses; null while not installed.
static DESCRIBE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static EMIT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
/// A host whose handler returns would fault, and be told, forever.
static TOLD: AtomicBool = AtomicBool::new(false);

crate::sys::arch::signal_entry!(handler);

fn ours() -> usize {
    gmx_arch_signal as *const () as usize
}

/// Puts the handler in front of the host's. Installing twice changes `describe` and `emit`.
///
/// SIG-3: where ours was before, and another handler stands there now, ours stays where it is in the chain of that one,
/// if it is: the signal comes to it all the same.
///
/// # Safety
/// Not while another thread installs or uninstalls. `describe` and `emit` are async-signal-safe, and the library stays
/// mapped (a host that installs its own handler later may keep ours as its next).
pub unsafe fn install(describe: Describe, emit: Emit) -> Result<(), i32> {
    EMIT.store(emit as *mut (), Ordering::Relaxed);
    // Release: a handler that sees `describe` sees `emit`; pairs with Acquire in `handler`.
    DESCRIBE.store(describe as *mut (), Ordering::Release);
    TOLD.store(false, Ordering::Relaxed);
    for (hosts, sig) in HOSTS.iter().zip(SIGNALS) {
        // SAFETY: reads the host's disposition; ours is stored only when the host's has been kept, since a fault may
        // come in between.
        unsafe {
            let mut old: libc::sigaction = cmem::zeroed();
            libc::sigaction(sig, ptr::null(), &mut old);
            let first = !hosts.ever.load(Ordering::Relaxed) || hosts.put_back.load(Ordering::Relaxed);
            if old.sa_sigaction == ours() || !(first || is_default(&old)) {
                continue;
            }
            *hosts.action.get() = old;
            hosts.flags.store(old.sa_flags, Ordering::Relaxed);
            hosts.handler.store(old.sa_sigaction, Ordering::Relaxed);
            hosts.ever.store(true, Ordering::Relaxed);
            hosts.put_back.store(false, Ordering::Relaxed);
            let mut new = old;
            new.sa_sigaction = ours();
            new.sa_flags = (old.sa_flags & !libc::SA_RESETHAND) | libc::SA_SIGINFO | libc::SA_ONSTACK;
            if is_default(&old) {
                libc::sigemptyset(&mut new.sa_mask);
            }
            if old.sa_sigaction == libc::SIG_IGN {
                // A signal that is ignored interrupts nothing.
                new.sa_flags |= libc::SA_RESTART;
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
    for (hosts, sig) in HOSTS.iter().zip(SIGNALS) {
        // SAFETY: `HOSTS` is what the host had if our handler is there.
        unsafe {
            let mut now: libc::sigaction = cmem::zeroed();
            libc::sigaction(sig, ptr::null(), &mut now);
            if now.sa_sigaction == ours() {
                let mut back = *hosts.action.get();
                // SA_RESETHAND may have been done.
                back.sa_sigaction = hosts.handler.load(Ordering::Relaxed);
                libc::sigaction(sig, &back, ptr::null_mut());
                hosts.put_back.store(true, Ordering::Relaxed);
            }
        }
    }
}

fn is_default(a: &libc::sigaction) -> bool {
    a.sa_sigaction == libc::SIG_DFL || a.sa_sigaction == libc::SIG_IGN
}

/// The signals that are being handed on, by the address of their context, which lies on the stack of their thread. A
/// handler that jumps out leaves its place as it is; the next signal of the thread may have the same address, so a
/// place counts only for a call that comes from further down the stack, where no call by the kernel does. Two that fall
/// on one place cost a turn of a circle.
struct PassedOn {
    context: AtomicUsize,
    sp: AtomicUsize,
}

static PASSED_ON: [PassedOn; 64] = [const { PassedOn { context: AtomicUsize::new(0), sp: AtomicUsize::new(0) } }; 64];

impl PassedOn {
    fn place(context: *mut c_void) -> &'static PassedOn {
        // Contexts are 16-aligned or so, and stacks a power of two apart.
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

/// The handler that the kernel calls: ours, or one that has had the signal when it calls ours.
fn first_handler(sig: c_int) -> usize {
    // SAFETY: asks only.
    unsafe {
        let mut now: libc::sigaction = cmem::zeroed();
        libc::sigaction(sig, ptr::null(), &mut now);
        now.sa_sigaction
    }
}

/// What `gmx_arch_signal` calls.
extern "C" fn handler(sig: c_int, info: *mut libc::siginfo_t, context: *mut c_void, sp: usize, fp: usize, lr: usize) {
    let entry = Entry { sp, fp, lr };
    // SAFETY: the kernel's.
    let (code, addr) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Sent by a process and not raised by an access: there is no address.
    let sent = code <= 0;
    let hosts = &HOSTS[if sig == libc::SIGSEGV { 0 } else { 1 }];
    let flags = hosts.flags.load(Ordering::Relaxed);
    let mut f = hosts.handler.load(Ordering::Relaxed);
    if f == first_handler(sig) || PassedOn::is_again(context, sp) {
        f = libc::SIG_DFL; // SIG-3
    } else if flags & libc::SA_RESETHAND != 0 {
        f = hosts.handler.swap(libc::SIG_DFL, Ordering::Relaxed);
    }
    let dies = f == libc::SIG_DFL || (f == libc::SIG_IGN && !sent);
    let seen = if sent { Seen::default() } else { tell(&Fault { signal: sig, addr, dies }) };
    if dies {
        // SAFETY: sigaction and raise are async-signal-safe. A fault happens again when we return and meets the
        // default, with the registers of the fault; what was sent is sent again and comes when we return.
        unsafe {
            let default: libc::sigaction = cmem::zeroed();
            libc::sigaction(sig, &default, ptr::null_mut());
            if sent {
                libc::raise(sig);
            }
        }
        return;
    }
    if f == libc::SIG_IGN {
        return;
    }
    let f = HostHandler { f, info: flags & libc::SA_SIGINFO != 0 };
    if signal::by_kernel(entry, info, context.cast()) && !seen.ours && flags & libc::SA_ONSTACK == 0 {
        // SAFETY: called by the kernel.
        unsafe { to_own_stack(f, sig, info, context, entry) };
    }
    PassedOn::begin(context, sp);
    // SAFETY: the host's handler, called as its flags say. It may jump out: nothing here needs to be undone.
    unsafe {
        if f.info {
            cmem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(f.f)(sig, info, context);
        } else {
            cmem::transmute::<usize, extern "C" fn(c_int)>(f.f)(sig);
        }
    }
    PassedOn::end(context);
}

#[derive(Clone, Copy)]
struct HostHandler {
    f: usize,
    info: bool,
}

fn tell(fault: &Fault) -> Seen {
    let describe = DESCRIBE.load(Ordering::Acquire);
    if describe.is_null() {
        return Seen::default();
    }
    // SAFETY: stored from these types by `install`.
    let (describe, emit) = unsafe {
        (cmem::transmute::<*mut (), Describe>(describe), cmem::transmute::<*mut (), Emit>(EMIT.load(Ordering::Relaxed)))
    };
    let mut line = Line::new();
    // SAFETY: `install`'s caller vouches for it.
    let seen = unsafe { describe(fault, &mut line) };
    if seen.told && !TOLD.swap(true, Ordering::Relaxed) {
        emit(line.as_bytes());
    }
    seen
}

/// SIG-2: if the kernel has switched to the alternate stack only because of our flags, continues in the host's handler
/// on the stack that was interrupted. Nothing of ours is left then: the handler returns to the kernel.
///
/// # Safety
/// The kernel called our handler with these.
unsafe fn to_own_stack(f: HostHandler, sig: c_int, info: *mut libc::siginfo_t, context: *mut c_void, entry: Entry) {
    let kernels: *mut libc::ucontext_t = context.cast();
    // SAFETY: the caller's promise. What is copied is what the kernel has put at the end of the alternate stack; the
    // place is where it would have put it without one, and if there is no room it faults, as that would have.
    unsafe {
        let alt = (*kernels).uc_stack;
        let alt = alt.ss_sp as usize..alt.ss_sp as usize + alt.ss_size;
        let (from, room) = (signal::lowest(info, kernels), signal::room_below(kernels));
        if !alt.contains(&from) || alt.contains(&room) {
            return;
        }
        let len = alt.end - from;
        let mut to = room - len;
        // The same place within a line, as the state of vector registers needs.
        to -= to.wrapping_sub(from) % 64;
        let by = to.wrapping_sub(from);
        ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, len);
        let (info, context) = (info.wrapping_byte_add(by), context.wrapping_byte_add(by));
        signal::moved(context.cast(), by);
        PassedOn::begin(context, to);
        signal::deliver(f.f, sig, info, context, to, entry, by);
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
    /// has one already, or if there is no address space; overflows then kill without a word.
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
        if sys::without::is_sealed() {
            // The system may not be asked. A handler may still run there until the thread has ended, so the mapping stays.
            return;
        }
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

    unsafe fn describe(fault: &Fault, out: &mut Line) -> Seen {
        // SAFETY: set before the handler was.
        let pool = unsafe { &*POOL.load(Ordering::Relaxed) };
        if !pool.contains_guard(fault.addr) {
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

    /// What a child writes, and its wait status.
    fn child(fault: By, host: impl FnOnce()) -> (String, i32) {
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
