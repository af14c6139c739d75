//! What is used of libgomax: its public interface, as gomax.h has it.

use core::ffi::{c_char, c_int};
use libc::{addrinfo, pollfd};

pub type Status = i32;

pub const OK: Status = 0;
pub const EBADF: Status = -libc::EBADF;
pub const EINVAL: Status = -libc::EINVAL;
pub const ENOTSUP: Status = -libc::ENOTSUP;
pub const EPERM: Status = -libc::EPERM;
pub const ETIMEDOUT: Status = -libc::ETIMEDOUT;
pub const ECANCELED: Status = -libc::ECANCELED;
/// An error of names is this and the EAI_ code.
pub const EAI: Status = -1100;
pub const EAI_MOST: Status = -1300;

pub const FOREVER: i64 = i64::MAX;
pub const POLL_IN: u32 = 1;
pub const POLL_OUT: u32 = 4;
pub const POLL_BORROW: u32 = 1;

#[repr(C)]
pub struct Mutex {
    state: u64,
    reserved: u64,
}

impl Mutex {
    pub const fn new() -> Mutex {
        Mutex { state: 0, reserved: 0 }
    }
}

unsafe extern "C" {
    pub safe fn gmx_self() -> u64;
    pub safe fn gmx_yield() -> Status;
    pub safe fn gmx_pin() -> i32;
    pub safe fn gmx_unpin() -> Status;
    pub safe fn gmx_lock_os_thread() -> Status;
    pub safe fn gmx_unlock_os_thread() -> Status;
    pub safe fn gmx_enter_syscall_blocking() -> Status;
    pub safe fn gmx_exit_syscall() -> Status;
    pub safe fn gmx_sleep(ns: i64) -> Status;
    pub safe fn gmx_deadline(timeout: i64) -> i64;
    pub safe fn gmx_time_left(deadline: i64) -> i64;
    pub fn gmx_mutex_lock(m: *mut Mutex) -> Status;
    pub fn gmx_mutex_unlock(m: *mut Mutex) -> Status;
    pub fn gmx_poll_open(fd: c_int, flags: u32, out: *mut u64) -> Status;
    pub fn gmx_poll_wait(p: u64, events: u32, timeout: i64, ready: *mut u32) -> Status;
    pub safe fn gmx_close(p: u64) -> Status;
    pub fn gmx_poll_many(fds: *mut pollfd, n: usize, timeout: i64) -> Status;
    pub fn gmx_getaddrinfo(
        node: *const c_char,
        service: *const c_char,
        hints: *const addrinfo,
        res: *mut *mut addrinfo,
        timeout: i64,
    ) -> Status;
}
