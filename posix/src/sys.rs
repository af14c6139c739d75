//! System calls that neither wait nor touch errno, and errno itself.
//!
//! The C library's functions would write errno also where the call is then made again and succeeds (SHIM-I3). So the
//! calls are made directly; a result is a number, or a negative errno.

use core::arch::asm;
use core::ffi::{c_int, c_long};
use core::mem;
use libc::{pollfd, timespec};

/// # Safety
/// As for the call.
#[cfg(target_arch = "x86_64")]
#[inline]
pub unsafe fn call(what: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let r: isize;
    // SAFETY: the caller's promise; the instruction changes these registers and no others.
    unsafe {
        asm!("syscall", inlateout("rax") what as isize => r, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    r
}

/// # Safety
/// As for the call.
#[cfg(target_arch = "aarch64")]
#[inline]
pub unsafe fn call(what: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let r: isize;
    // SAFETY: the caller's promise; the instruction changes this register and no other.
    unsafe {
        asm!("svc #0", in("x8") what, inlateout("x0") a => r, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            in("x5") f, options(nostack));
    }
    r
}

/// Ends a call of the C library's kind: the number, or -1 and errno.
pub fn result(r: isize) -> isize {
    if r >= 0 {
        return r;
    }
    set_errno(-r as c_int);
    -1
}

/// errno of the thread on which the caller runs now.
#[inline(never)]
pub fn errno() -> c_int {
    let at = errno_at();
    // SAFETY: the word is this thread's.
    unsafe { at.read() }
}

#[inline(never)]
pub fn set_errno(e: c_int) {
    let at = errno_at();
    // SAFETY: the word is this thread's.
    unsafe { at.write(e) }
}

#[inline]
fn errno_at() -> *mut c_int {
    // SAFETY: only asks.
    unsafe { libc::__errno_location() }
}

/// Whether a descriptor has O_NONBLOCK; a negative errno if it is not open.
pub fn is_nonblocking(fd: c_int) -> Result<bool, isize> {
    // SAFETY: asks for flags.
    match unsafe { call(libc::SYS_fcntl, [fd as usize, libc::F_GETFL as usize, 0, 0, 0, 0]) } {
        e if e < 0 => Err(e),
        flags => Ok(flags as c_int & libc::O_NONBLOCK != 0),
    }
}

/// What a socket tells of itself; a negative errno if it does not.
pub fn option<T>(fd: c_int, name: c_int, mut value: T) -> Result<T, isize> {
    let mut size = mem::size_of::<T>() as libc::socklen_t;
    let (at, size_at) = ((&raw mut value) as usize, (&raw mut size) as usize);
    // SAFETY: both are writable, and the size is that of the value.
    match unsafe { call(libc::SYS_getsockopt, [fd as usize, libc::SOL_SOCKET as usize, name as usize, at, size_at, 0]) }
    {
        e if e < 0 => Err(e),
        _ => Ok(value),
    }
}

/// How many of the entries are ready now.
///
/// # Safety
/// `fds` has `n` elements, or the system says EFAULT.
pub unsafe fn poll_now(fds: *mut pollfd, n: usize) -> isize {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_ppoll, [fds as usize, n, (&raw mut now) as usize, 0, 0, 0]) }
}

/// Whether a descriptor is ready for one of these events, or is in error.
pub fn is_ready(fd: c_int, events: i16) -> bool {
    let mut entry = pollfd { fd, events, revents: 0 };
    // SAFETY: one entry.
    unsafe { poll_now(&raw mut entry, 1) != 0 }
}

/// The type of a descriptor as fstat has it (S_IFMT); 0 if it is not open.
pub fn file_type(fd: c_int) -> libc::mode_t {
    let mut stat = mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` is writable, and is what the system writes on these machines.
    let r = unsafe { call(libc::SYS_fstat, [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    if r < 0 {
        return 0;
    }
    // SAFETY: zeros are a value, and the system has written another.
    unsafe { stat.assume_init() }.st_mode & libc::S_IFMT
}

pub fn process_id() -> isize {
    // SAFETY: only asks.
    unsafe { call(libc::SYS_getpid, [0; 6]) }
}

pub fn yield_thread() {
    // SAFETY: only yields.
    unsafe { call(libc::SYS_sched_yield, [0; 6]) };
}

/// The time of a clock, in nanoseconds.
pub fn now(clock: c_int) -> i64 {
    let mut t = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is writable.
    unsafe { libc::clock_gettime(clock, &raw mut t) };
    nanoseconds(&t).unwrap_or(i64::MAX)
}

/// A time as nanoseconds, which do not overflow. None: it is not valid.
pub fn nanoseconds(t: &timespec) -> Option<i64> {
    if t.tv_sec < 0 || !(0..1_000_000_000).contains(&t.tv_nsec) {
        return None;
    }
    Some(t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_nsec))
}

/// Reads what a pointer of the caller points to. None: it is NULL.
///
/// # Safety
/// `p` is null or readable.
pub unsafe fn given<T: Copy>(p: *const T) -> Option<T> {
    if p.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { p.read_unaligned() })
}
