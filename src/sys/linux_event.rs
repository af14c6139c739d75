//! Linux: a descriptor that is readable while something has happened, by an eventfd. The contract is in [`crate::sys`].
//!
//! [`signal`] may be called in a signal handler.

use super::linux::KeepErrno;
use super::{c, held};
use core::ffi::c_int;

/// Makes one, closed by `exec`; or returns an errno.
pub fn open() -> Result<c_int, i32> {
    held::nothing_for("eventfd");
    let errno = KeepErrno::new();
    // SAFETY: takes no memory of ours.
    match unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) } {
        -1 => Err(errno.now()),
        fd => Ok(fd),
    }
}

/// It is readable from now on, and an epoll that watches it has an event.
pub fn signal(fd: c_int) {
    let _errno = KeepErrno::new();
    let one = 1u64;
    // SAFETY: 8 bytes of ours. A full counter is readable as well.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

/// It is not readable any more.
pub fn clear(fd: c_int) {
    held::nothing_for("read");
    let _errno = KeepErrno::new();
    c::read(fd, &mut [0; 8]);
}

/// Closes it, also a copy in a child of fork.
pub fn close(fd: c_int) {
    let _errno = KeepErrno::new();
    c::close(fd);
}
