//! Calls that move more than one run of bytes: all of a length, several messages, descriptors.
//!
//! Each is as the calls of [`super`], with the lock of its direction and the same wait.

use super::{MOST, Way, locked, note_drained, on_socket, with};
use crate::block::vain;
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::sys::io;
use crate::sys::net::{self, Control, mmsghdr};
use std::ffi::c_void;

/// The most messages of one call, as the system has it.
const MOST_MESSAGES: usize = 1024;

/// Reads until `n` bytes are there. `done` says how many were read, also in an error. EPIPE: the data ended before.
///
/// # Migrates
///
/// # Safety
/// `buf` is the host's, with room for `n` bytes.
pub unsafe fn read_full(
    m: MRef,
    handle: u64,
    buf: *mut c_void,
    n: usize,
    timeout: i64,
    done: &mut usize,
) -> Result<()> {
    *done = 0;
    if n == 0 {
        return with(m, handle, |_| Ok(()));
    }
    locked(m, handle, Way::Read, timeout, |mut m, fd, until| {
        loop {
            let (at, rest) = (buf.wrapping_byte_add(*done), (n - *done).min(MOST));
            let r;
            (m, r) = fd.repeat(m, Way::Read, None, until, |d, seen, by| {
                // SAFETY: the caller's promise.
                note_drained(d, seen, unsafe { io::read(fd.number.get(), by, at, rest) }, rest)
            });
            match r {
                Ok(0) => return (m, Err(Error::Os(libc::EPIPE))),
                Ok(r) => *done += r,
                Err(e) => return (m, Err(e)),
            }
            if *done >= n {
                return (m, Ok(()));
            }
            // FD-A7
            m = vain::serve(m);
        }
    })
}

/// recvmmsg: waits for the first message, and takes those that are there.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvmmsg(m: MRef, handle: u64, msgs: *mut mmsghdr, n: usize, flags: i32, timeout: i64) -> Result<usize> {
    if n == 0 {
        return with(m, handle, |_| Ok(0));
    }
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Read, timeout, |fd| unsafe { net::recvmmsg(fd, msgs, n.min(MOST_MESSAGES), flags) })
}

/// sendmmsg: waits until there is room for the first message, and sends those for which there is room.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn sendmmsg(m: MRef, handle: u64, msgs: *mut mmsghdr, n: usize, flags: i32, timeout: i64) -> Result<usize> {
    if n == 0 {
        return with(m, handle, |_| Ok(0));
    }
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Write, timeout, |fd| unsafe { net::sendmmsg(fd, msgs, n.min(MOST_MESSAGES), flags) })
}

/// Sends bytes, and these descriptors with the first of them.
///
/// # Migrates
///
/// # Safety
/// `fds` is the host's, with `n` elements, at most [`net::MOST_FDS`]; `buf` with `len` bytes.
pub unsafe fn send_fds(
    m: MRef,
    handle: u64,
    fds: *const i32,
    n: usize,
    buf: *const c_void,
    len: usize,
    timeout: i64,
) -> Result<usize> {
    let mut control = Control::default();
    // SAFETY: the caller's promise.
    let filled = unsafe { control.put(fds, n) };
    on_socket(m, handle, Way::Write, timeout, |fd| {
        // SAFETY: the caller's promise.
        unsafe { net::send_with(fd, &mut control, filled, buf, len.min(MOST)) }
    })
}

/// Receives bytes, and the descriptors that come with them: at most `room`. Returns how many of each came. EMSGSIZE:
/// there were more descriptors, or the system could not give them all; none is left open.
///
/// # Migrates
///
/// # Safety
/// `fds` is the host's, with room for `room` descriptors; `buf` with room for `len` bytes.
pub unsafe fn recv_fds(
    m: MRef,
    handle: u64,
    fds: *mut i32,
    room: usize,
    buf: *mut c_void,
    len: usize,
    timeout: i64,
) -> Result<(usize, usize)> {
    let mut got = 0;
    let n = on_socket(m, handle, Way::Read, timeout, |fd| {
        // SAFETY: the caller's promise.
        unsafe { net::recv_with(fd, buf, len.min(MOST), fds, room, &mut got) }
    })?;
    Ok((n, got))
}
