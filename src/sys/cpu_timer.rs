//! A POSIX timer on the CPU clock of one thread.
//!
//! It runs only while that thread has a CPU. So a timer of one nanosecond fires at the next tick of the system's clock
//! at which the thread runs, and where the system does the work of such timers on the way back to the thread's own code
//! (CONFIG_POSIX_CPU_TIMERS_TASK_WORK) no system call of the thread is interrupted: EINTR cannot happen. That is so on
//! x86-64, AArch64 and RISC-V since Linux 5.10 or earlier; [`is_sound`] asks for it.

use super::c;
use core::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, Ordering};

/// The default of this signal is to be ignored, and debuggers pass it on silently.
const DEFAULT: c_int = libc::SIGURG;

static SIGNAL: AtomicI32 = AtomicI32::new(DEFAULT);

/// The signal of these timers.
pub fn signal() -> c_int {
    SIGNAL.load(Ordering::Relaxed)
}

/// Before there is a timer; 0 is the default.
pub fn set_signal(n: c_int) {
    SIGNAL.store(if n == 0 { DEFAULT } else { n }, Ordering::Relaxed);
}

/// Whether timers may have this signal: a program can handle it, and it does not say that something has happened.
pub fn may_use(n: c_int) -> bool {
    const OF_THE_C_LIBRARY: core::ops::RangeInclusive<c_int> = 32..=34;
    let taken = [libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD].contains(&n) || super::is_synchronous(n);
    (1..=64).contains(&n) && !taken && !OF_THE_C_LIBRARY.contains(&n)
}

/// `si_value` of the signals of these timers: no other signal has it.
fn value() -> *mut c_void {
    static HERE: u8 = 0;
    (&raw const HERE).cast_mut().cast()
}

/// The clock that counts the CPU time of a thread.
fn clock_of(tid: i32) -> libc::clockid_t {
    const PER_THREAD: i32 = 4;
    const SCHED: i32 = 2;
    !tid << 3 | PER_THREAD | SCHED
}

/// The CPU time of a thread in nanoseconds; None where the system does not tell.
pub fn cpu_time(tid: i32) -> Option<i64> {
    let mut t: libc::timespec = c::zeros();
    // SAFETY: writes the time.
    (unsafe { libc::clock_gettime(clock_of(tid), &raw mut t) } == 0).then(|| t.tv_sec * 1_000_000_000 + t.tv_nsec)
}

/// A timer for a thread of this process.
pub fn create(tid: i32) -> Option<i32> {
    let mut event: libc::sigevent = c::zeros();
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = signal();
    event.sigev_notify_thread_id = tid;
    event.sigev_value = libc::sigval { sival_ptr: value() };
    let mut id: c_int = 0;
    // SAFETY: reads the event, writes the id. (Past libc, whose own timers have other ids.)
    let r = unsafe { libc::syscall(libc::SYS_timer_create, clock_of(tid), &raw mut event, &raw mut id) };
    (r == 0).then_some(id)
}

/// Has the timer fire as soon as its thread runs.
pub fn arm(timer: i32) -> bool {
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let when = libc::itimerspec { it_interval: zero, it_value: libc::timespec { tv_sec: 0, tv_nsec: 1 } };
    // SAFETY: reads the time.
    unsafe { libc::syscall(libc::SYS_timer_settime, timer, 0, &raw const when, 0usize) == 0 }
}

pub fn delete(timer: i32) {
    // SAFETY: takes a number.
    unsafe { libc::syscall(libc::SYS_timer_delete, timer) };
}

/// Whether the timers work here, and interrupt no system call.
pub fn is_sound() -> bool {
    let arch = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    // Under valgrind threads take turns, and callgrind fails when a handler waits.
    if c::kernel_version() < (5, 10) || !arch || super::checker::under_valgrind() {
        return false;
    }
    let tid = super::gettid();
    match create(tid) {
        Some(timer) => {
            delete(timer);
            cpu_time(tid).is_some()
        }
        None => false,
    }
}

/// Whether this signal comes from one of these timers.
///
/// # Safety
/// `info` is what the system passed to a handler.
pub unsafe fn is_ours(info: *const libc::siginfo_t) -> bool {
    // SAFETY: the caller's promise.
    let info = unsafe { &*info };
    const SI_TIMER: c_int = -2;
    // SAFETY: a signal of a timer has a value.
    info.si_code == SI_TIMER && unsafe { info.si_value() }.sival_ptr == value()
}
