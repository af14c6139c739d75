//! Messages, with their addresses and with descriptors that go along.

use super::call::on_socket;
use super::{MOST, Way, with};
use crate::gmp::error::Result;
use crate::gmp::m::MRef;
use crate::sys::io::{self, msghdr, sockaddr};
use crate::sys::net::{self, Control, mmsghdr};
use std::ffi::c_void;

/// The most messages of one call, as the system has it.
const MOST_MESSAGES: usize = 1024;

/// recv.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recv(m: MRef, handle: u64, buf: *mut c_void, n: usize, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Read, timeout, |fd| unsafe { io::recv(fd, buf, n.min(MOST), flags) })
}

/// send.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn send(m: MRef, handle: u64, buf: *const c_void, n: usize, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Write, timeout, |fd| unsafe { io::send(fd, buf, n.min(MOST), flags) })
}

/// An address of the host's, and its length.
#[derive(Clone, Copy)]
pub struct From {
    pub addr: *mut sockaddr,
    pub len: *mut u32,
}

/// An address of the host's, and its length.
#[derive(Clone, Copy)]
pub struct To {
    pub addr: *const sockaddr,
    pub len: u32,
}

/// recvfrom.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvfrom(
    m: MRef,
    handle: u64,
    buf: *mut c_void,
    n: usize,
    flags: i32,
    from: From,
    timeout: i64,
) -> Result<usize> {
    on_socket(m, handle, Way::Read, timeout, |fd| {
        // SAFETY: the caller's promise.
        unsafe { io::recvfrom(fd, buf, n.min(MOST), flags, from.addr, from.len) }
    })
}

/// sendto.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn sendto(
    m: MRef,
    handle: u64,
    buf: *const c_void,
    n: usize,
    flags: i32,
    to: To,
    timeout: i64,
) -> Result<usize> {
    on_socket(m, handle, Way::Write, timeout, |fd| {
        // SAFETY: the caller's promise.
        unsafe { io::sendto(fd, buf, n.min(MOST), flags, to.addr, to.len) }
    })
}

/// recvmsg.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvmsg(m: MRef, handle: u64, msg: *mut msghdr, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Read, timeout, |fd| unsafe { io::recvmsg(fd, msg, flags) })
}

/// sendmsg.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn sendmsg(m: MRef, handle: u64, msg: *const msghdr, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Write, timeout, |fd| unsafe { io::sendmsg(fd, msg, flags) })
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
