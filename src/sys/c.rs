//! Calls of the C library that are sound with any argument: the arguments are numbers and references. What they write,
//! the caller reads as a value.

use core::ffi::c_int;
use core::{mem, ptr};

/// A type of the C library for which all zeros are a value.
///
/// # Safety
/// They are.
pub unsafe trait Zeros {}

macro_rules! zeros {
    ($($t:ident)*) => {$(
        // SAFETY: it is made of numbers, arrays of numbers, and pointers and functions that may be null.
        unsafe impl Zeros for libc::$t {}
    )*};
}

zeros!(Dl_info addrinfo iovec msghdr pthread_attr_t pthread_t sched_param sigaction sigevent sigset_t sockaddr_un);
zeros!(stack_t stat timespec utsname);

/// The value that is all zeros.
#[inline(always)]
pub fn zeros<T: Zeros>() -> T {
    // SAFETY: by the promise of the trait.
    unsafe { mem::zeroed() }
}

/// `errno` of the calling thread. For a function that does not switch stacks.
#[inline(always)]
pub fn errno() -> c_int {
    // SAFETY: the C library keeps the address readable as long as the thread lives.
    unsafe { at_errno().read() }
}

/// Sets `errno` of the calling thread. For a function that does not switch stacks.
#[inline(always)]
pub fn set_errno(e: c_int) {
    // SAFETY: the C library keeps the address writable as long as the thread lives; no other thread uses it.
    unsafe { at_errno().write(e) }
}

#[inline(always)]
pub fn at_errno() -> *mut c_int {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::__errno_location() }
}

/// A number of the system; negative if the system does not say.
pub fn sysconf(which: c_int) -> i64 {
    // SAFETY: asks for a number.
    unsafe { libc::sysconf(which) }
}

/// The first two numbers of the system's version; zeros if it does not say.
pub fn kernel_version() -> (u32, u32) {
    let mut name: libc::utsname = zeros();
    // SAFETY: the name is writable.
    unsafe { libc::uname(&raw mut name) };
    let mut numbers = name
        .release
        .split(|&c| !(c as u8).is_ascii_digit())
        .map(|digits| digits.iter().fold(0u32, |n, &c| n.saturating_mul(10).saturating_add(u32::from(c as u8 - b'0'))));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// An entry of the auxiliary vector; 0 if there is none.
pub fn auxval(which: libc::c_ulong) -> usize {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(which) as usize }
}

/// Closes a descriptor. The caller made it, and nothing uses it any more.
pub fn close(fd: c_int) {
    // SAFETY: the system checks the number; no memory depends on a descriptor of the library.
    unsafe { libc::close(fd) };
}

/// Reads from a descriptor; returns the number of bytes, or -1.
pub fn read(fd: c_int, into: &mut [u8]) -> isize {
    // SAFETY: the slice is writable, and as long as said.
    unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) }
}

/// A set of these signals.
pub fn signals(which: impl IntoIterator<Item = c_int>) -> libc::sigset_t {
    let mut set = zeros();
    for sig in which {
        // SAFETY: the set is writable; a number that is no signal is an error.
        unsafe { libc::sigaddset(&mut set, sig) };
    }
    set
}

/// A set of all signals except these.
pub fn signals_except(which: impl IntoIterator<Item = c_int>) -> libc::sigset_t {
    let mut set = zeros();
    // SAFETY: the set is writable.
    unsafe { libc::sigfillset(&mut set) };
    for sig in which {
        // SAFETY: the set is writable; a number that is no signal is an error.
        unsafe { libc::sigdelset(&mut set, sig) };
    }
    set
}

/// Whether a signal is in a set.
pub fn has_signal(set: &libc::sigset_t, sig: c_int) -> bool {
    // SAFETY: the set is readable; a number that is no signal is an error.
    unsafe { libc::sigismember(set, sig) == 1 }
}

/// What happens at a signal.
pub fn disposition(sig: c_int) -> libc::sigaction {
    let mut now = zeros();
    // SAFETY: `now` is writable; nothing is changed.
    unsafe { libc::sigaction(sig, ptr::null(), &mut now) };
    now
}

/// The alternate signal stack of the calling thread.
pub fn alternate_stack() -> libc::stack_t {
    let mut now = zeros();
    // SAFETY: `now` is writable; nothing is changed.
    unsafe { libc::sigaltstack(ptr::null(), &mut now) };
    now
}

/// Changes which signals the calling thread blocks, and returns which it blocked before.
pub fn mask_signals(how: c_int, set: &libc::sigset_t) -> libc::sigset_t {
    let mut old = zeros();
    // SAFETY: both sets are memory of ours; the mask is the calling thread's own.
    unsafe { libc::pthread_sigmask(how, set, &mut old) };
    old
}

/// The signals that the calling thread blocks.
pub fn blocked_signals() -> libc::sigset_t {
    mask_signals(libc::SIG_BLOCK, &zeros())
}

/// The signals that are blocked and waiting to be delivered.
pub fn pending_signals() -> libc::sigset_t {
    let mut set = zeros();
    // SAFETY: the set is writable.
    unsafe { libc::sigpending(&mut set) };
    set
}
