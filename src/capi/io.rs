//! Reading and writing
//!
//! These calls are read, write, recv, send and their like, on the handles of the section before. Each has a timeout in
//! nanoseconds: GMX_FOREVER for none; with 0 or less the call only tries, and returns GMX_ETIMEDOUT where it would have
//! to wait. A call that does not wait lets others run at the end of the goroutine's time slice.
//!
//! A number of bytes is the status; an error of the system is its errno, negated. A write to a socket or a pipe whose
//! other end is closed returns GMX_EPIPE and raises no SIGPIPE.
//!
//! ```c
//! char head[4], body[4096];
//! struct iovec parts[2] = {{head, sizeof head}, {body, sizeof body}};
//! gmx_status n = gmx_readv(conn, parts, 2, 1000000000);
//! size_t done = 0;
//! if (n > 0) n = gmx_write(conn, body, sizeof body, 1000000000, &done);
//! if (n == GMX_ETIMEDOUT) printf("only %zu bytes were written\n", done);
//! ```

use super::*;
use crate::block::fd;
use crate::block::fd::message::{From, To};
use crate::sys::io::{iovec, msghdr, sockaddr};
use std::ffi::c_void;

/// Whether a buffer is there, or has no bytes.
pub(super) fn is_buffer(buf: *const c_void, n: usize) -> bool {
    !buf.is_null() || n == 0
}

/// A call that moves all of its bytes, if its arguments are right. In any case, `done` says how many were moved.
///
/// # Safety
/// `done` is null or writable.
#[track_caller]
pub(super) unsafe fn moved(
    right: bool,
    done: *mut usize,
    call: impl FnOnce(MRef, &mut usize) -> crate::gmp::Result<()>,
) -> gmx_status {
    let mut n = 0;
    let status = if right {
        match may_wait() {
            Ok(m) => tried(call(*m, &mut n)),
            Err(status) => status,
        }
    } else {
        wrong(GMX_EINVAL)
    };
    if !done.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *done = n };
    }
    status
}

/// Reads what is there, at most n bytes, and waits while there is nothing. At most 1 GiB is read at a time. Of a file
/// all is there: fewer than n bytes come only at its end.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of bytes; 0 at the end of the data, and at once if n is 0; GMX_ETIMEDOUT; GMX_ECANCELED;
/// GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if buf is NULL and n is not 0;
/// GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has room for `n` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_read(p: gmx_poll, buf: *mut c_void, n: usize, timeout: i64) -> gmx_status {
    if !is_buffer(buf, n) {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::stream::read(*m, p, buf, n, timeout) }),
        Err(status) => status,
    }
}

/// Reads n bytes, and waits until all are there. *done says how many were read, whatever the status is; done may be
/// NULL. No other reader of this handle gets bytes in between.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK when all are read; and when fewer are: GMX_EPIPE if the data ends there; GMX_ETIMEDOUT;
/// GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if buf is NULL
/// and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has room for `n` bytes; `done` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_read_full(
    p: gmx_poll,
    buf: *mut c_void,
    n: usize,
    timeout: i64,
    done: *mut usize,
) -> gmx_status {
    let read = |m, done: &mut usize| {
        // SAFETY: the caller's promise.
        unsafe { fd::stream::read_full(m, p, buf, n, timeout, done) }
    };
    // SAFETY: the caller's promise.
    unsafe { moved(is_buffer(buf, n), done, read) }
}

/// Writes all n bytes, and waits where the descriptor takes no more. *done says how many bytes were written, whatever
/// the status is; done may be NULL.
///
/// What is written is not mixed with what other callers write by this handle, unless the call ends early.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK when all is written; and when less is: GMX_EPIPE if the other end is closed; GMX_ETIMEDOUT;
/// GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if buf is NULL
/// and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has `n` bytes; `done` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_write(
    p: gmx_poll,
    buf: *const c_void,
    n: usize,
    timeout: i64,
    done: *mut usize,
) -> gmx_status {
    let write = |m, done: &mut usize| {
        // SAFETY: the caller's promise.
        unsafe { fd::stream::write(m, p, buf, n, timeout, done) }
    };
    // SAFETY: the caller's promise.
    unsafe { moved(is_buffer(buf, n), done, write) }
}

/// As gmx_read, into n places one after the other.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of bytes; 0 at the end of the data, and at once if there is no room for any; GMX_ETIMEDOUT;
/// GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if v is NULL or
/// n is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `v` is null, or has `n` elements, which describe memory that may be written to.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_readv(p: gmx_poll, v: *const iovec, n: i32, timeout: i64) -> gmx_status {
    if v.is_null() || n < 0 {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::stream::readv(*m, p, v, n as usize, timeout) }),
        Err(status) => status,
    }
}

/// As gmx_write, from n places one after the other.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK when all is written; and when less is: GMX_EPIPE if the other end is closed; GMX_ETIMEDOUT;
/// GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this; GMX_EINVAL if v is NULL or
/// n is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `v` is null, or has `n` elements, which describe memory that may be read; `done` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_writev(
    p: gmx_poll,
    v: *const iovec,
    n: i32,
    timeout: i64,
    done: *mut usize,
) -> gmx_status {
    let write = |m, done: &mut usize| {
        // SAFETY: the caller's promise.
        unsafe { fd::stream::writev(m, p, v, n as usize, timeout, done) }
    };
    // SAFETY: the caller's promise.
    unsafe { moved(!v.is_null() && n >= 0, done, write) }
}

/// One recv: what is there, or one message. flags: as for recv. The call of the system never waits, so MSG_WAITALL has
/// no effect. A message of no bytes is 0, as is the end of a stream.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
/// for this; GMX_EINVAL if buf is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
/// errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has room for `n` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_recv(p: gmx_poll, buf: *mut c_void, n: usize, flags: i32, timeout: i64) -> gmx_status {
    if !is_buffer(buf, n) {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::recv(*m, p, buf, n, flags, timeout) }),
        Err(status) => status,
    }
}

/// One send: of a stream as much as there is room for, or one message. flags: as for send; MSG_NOSIGNAL is always set.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
/// for this; GMX_EINVAL if buf is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
/// errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has `n` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_send(p: gmx_poll, buf: *const c_void, n: usize, flags: i32, timeout: i64) -> gmx_status {
    if !is_buffer(buf, n) {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::send(*m, p, buf, n, flags, timeout) }),
        Err(status) => status,
    }
}

/// One recvmsg. Descriptors that come with the message are closed by exec: MSG_CMSG_CLOEXEC is always set.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: received descriptors are the caller's.
/// Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
/// for this; GMX_EINVAL if msg is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the
/// system, negated.
/// Since: 0.2
///
/// # Safety
/// `msg` is null, or as recvmsg wants it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_recvmsg(p: gmx_poll, msg: *mut msghdr, flags: i32, timeout: i64) -> gmx_status {
    if msg.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::recvmsg(*m, p, msg, flags, timeout) }),
        Err(status) => status,
    }
}

/// One sendmsg. MSG_NOSIGNAL is always set.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
/// for this; GMX_EINVAL if msg is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the
/// system, negated.
/// Since: 0.2
///
/// # Safety
/// `msg` is null, or as sendmsg wants it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sendmsg(p: gmx_poll, msg: *const msghdr, flags: i32, timeout: i64) -> gmx_status {
    if msg.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::sendmsg(*m, p, msg, flags, timeout) }),
        Err(status) => status,
    }
}

/// One recvfrom. *len is the room at addr, and then the length of the address, as a socklen_t; both may be NULL.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
/// for this; GMX_EINVAL if buf is NULL and n is not 0, or if one of addr and len is NULL; GMX_ENOMEM;
/// GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has room for `n` bytes; `addr` has as many as `len` says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_recvfrom(
    p: gmx_poll,
    buf: *mut c_void,
    n: usize,
    flags: i32,
    addr: *mut sockaddr,
    len: *mut u32,
    timeout: i64,
) -> gmx_status {
    if !is_buffer(buf, n) || addr.is_null() != len.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::recvfrom(*m, p, buf, n, flags, From { addr, len }, timeout) }),
        Err(status) => status,
    }
}

/// One sendto. len is the length of the address.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open
/// for this; GMX_EINVAL if buf is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
/// errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has `n` bytes; `addr` has `len` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sendto(
    p: gmx_poll,
    buf: *const c_void,
    n: usize,
    flags: i32,
    addr: *const sockaddr,
    len: u32,
    timeout: i64,
) -> gmx_status {
    if !is_buffer(buf, n) {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::sendto(*m, p, buf, n, flags, To { addr, len }, timeout) }),
        Err(status) => status,
    }
}
