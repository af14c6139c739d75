//! read, write, readv, writev.
//!
//! A socket takes the calls of [`crate::socket`]. Of any other descriptor poll says whether the call would wait: a
//! regular file never does, as poll sees it. Between poll and the call another reader or writer may be faster; then the
//! call takes the thread until it is its turn.
//!
//! A pipe that is ready has room for 4096 bytes: a longer write goes in parts of this size. A terminal may have less
//! room, and then takes the thread.

use crate::caller::not_for_libgomax;
use crate::socket::{IN, OUT, Then, Way, all, once, receive, rest, transmit, would_wait};
use crate::{api, held, next, sys};
use core::ffi::{c_int, c_void};
use libc::{iovec, msghdr};

const EAGAIN: isize = -(libc::EAGAIN as isize);
const ENOTSOCK: isize = -(libc::ENOTSOCK as isize);
/// What a pipe that is ready has room for.
const PART: usize = 4096;

/// A call on a descriptor that is no socket, which writes errno itself.
///
/// # Migrates
fn on_file(fd: c_int, way: Way, call: impl Fn() -> isize) -> isize {
    let mut until = None;
    while !sys::is_ready(fd, way.events as i16) {
        match would_wait(fd, way, &mut until) {
            Then::Again => {}
            Then::Ends(r) => return sys::result(r),
            Then::Next => return held::on_thread(call),
        }
    }
    call()
}

/// # Safety
/// As for read(2).
unsafe extern "C" fn our_read(fd: c_int, buf: *mut c_void, n: usize) -> isize {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::read(fd, buf, n) };
    if n == 0 || !api::is_active(api::FILES) {
        return next();
    }
    // SAFETY: the caller's promise.
    let now = || unsafe { receive(fd, buf as usize, n, 0, 0, 0) };
    match now() {
        ENOTSOCK => on_file(fd, IN, next),
        EAGAIN => once(fd, IN, now, next),
        r => sys::result(r),
    }
}

/// # Safety
/// As for readv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readv(fd: c_int, v: *const iovec, n: c_int) -> isize {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::readv(fd, v, n) };
    if n <= 0 || !api::is_active(api::FILES) {
        return next();
    }
    // SAFETY: zeros are a message.
    let mut msg: msghdr = unsafe { core::mem::zeroed() };
    msg.msg_iov = v.cast_mut();
    msg.msg_iovlen = n as _;
    let (at, flags) = ((&raw mut msg) as usize, libc::MSG_DONTWAIT as usize);
    // SAFETY: the caller's promise.
    let now = || unsafe { sys::call(libc::SYS_recvmsg, [fd as usize, at, flags, 0, 0, 0]) };
    match now() {
        ENOTSOCK => on_file(fd, IN, next),
        EAGAIN => once(fd, IN, now, next),
        r => sys::result(r),
    }
}

/// # Safety
/// As for write(2).
unsafe extern "C" fn our_write(fd: c_int, buf: *const c_void, n: usize) -> isize {
    if n == 0 || !api::is_active(api::FILES) {
        // SAFETY: the caller's promise.
        return unsafe { next::write(fd, buf, n) };
    }
    // SAFETY: the caller's promise.
    let now = |done| unsafe { transmit(fd, buf, n, 0, done, (0, 0)) };
    // SAFETY: the caller's promise.
    let next = |done: usize| unsafe { next::write(fd, buf.wrapping_byte_add(done), n - done) };
    match now(0) {
        // SAFETY: the caller's promise.
        ENOTSOCK => unsafe { write_file(fd, buf, n) },
        r if r == n as isize || r < 0 && r != EAGAIN => sys::result(r),
        // The first part has gone, or waits: either way the rest is sent as the whole would be.
        r => {
            let sent = r.max(0) as usize;
            match all(fd, OUT, n - sent, |done| now(sent + done), |done| next(sent + done)) {
                r if r < 0 => {
                    if sent > 0 {
                        sent as isize
                    } else {
                        r
                    }
                }
                r => sent as isize + r,
            }
        }
    }
}

/// # Migrates
///
/// # Safety
/// As for write(2).
unsafe fn write_file(fd: c_int, buf: *const c_void, n: usize) -> isize {
    // SAFETY: the caller's promise; `done` and `part` are not more than `n`.
    let part = |done: usize, part: usize| unsafe { next::write(fd, buf.wrapping_byte_add(done), part) };
    if n <= PART || sys::file_type(fd) != libc::S_IFIFO || sys::is_nonblocking(fd) != Ok(false) {
        return on_file(fd, OUT, || part(0, n));
    }
    let mut done = 0;
    while done < n {
        match on_file(fd, OUT, || part(done, PART.min(n - done))) {
            r if r > 0 => done += r as usize,
            r if done == 0 => return r,
            _ => break,
        }
    }
    done as isize
}

/// # Safety
/// As for writev(2).
unsafe extern "C" fn our_writev(fd: c_int, v: *const iovec, n: c_int) -> isize {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::writev(fd, v, n) };
    if n <= 0 || !api::is_active(api::FILES) {
        return next();
    }
    // SAFETY: zeros are a message.
    let mut msg: msghdr = unsafe { core::mem::zeroed() };
    msg.msg_iov = v.cast_mut();
    msg.msg_iovlen = n as _;
    let (at, flags) = ((&raw mut msg) as usize, libc::MSG_DONTWAIT as usize);
    // SAFETY: the caller's promise.
    let now = || unsafe { sys::call(libc::SYS_sendmsg, [fd as usize, at, flags, 0, 0, 0]) };
    let first = match now() {
        // SAFETY: the caller's promise.
        ENOTSOCK => return unsafe { writev_file(fd, v, n) },
        EAGAIN => once(fd, OUT, now, next),
        r => sys::result(r),
    };
    // SAFETY: the caller's promise.
    unsafe { rest(fd, v, n as usize, 0, first) }
}

/// # Migrates
///
/// # Safety
/// As for writev(2).
unsafe fn writev_file(fd: c_int, v: *const iovec, n: c_int) -> isize {
    // SAFETY: the caller's promise.
    let part = |i: usize| unsafe { v.wrapping_add(i).read() };
    let total = (0..n as usize).fold(0usize, |sum, i| sum.saturating_add(part(i).iov_len));
    if total <= PART || sys::file_type(fd) != libc::S_IFIFO || sys::is_nonblocking(fd) != Ok(false) {
        // SAFETY: the caller's promise.
        return on_file(fd, OUT, || unsafe { next::writev(fd, v, n) });
    }
    let mut done = 0;
    for i in (0..n as usize).filter(|&i| part(i).iov_len > 0) {
        let part = part(i);
        // SAFETY: the caller's promise.
        match unsafe { write_file(fd, part.iov_base, part.iov_len) } {
            r if r < 0 => return if done > 0 { done } else { r },
            r => {
                done += r;
                if (r as usize) < part.iov_len {
                    return done;
                }
            }
        }
    }
    done
}

/// # Safety
/// As for read(2), with the size of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __read_chk(fd: c_int, buf: *mut c_void, n: usize, room: usize) -> isize {
    if n <= room && api::is_active(api::FILES) {
        // SAFETY: the caller's promise.
        return unsafe { our_read(fd, buf, n) };
    }
    // SAFETY: the caller's promise.
    unsafe { next::__read_chk(fd, buf, n, room) }
}

not_for_libgomax! {
    read = our_read;
    write = our_write;
    writev = our_writev;
}
