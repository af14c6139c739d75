//! Many messages, and descriptors in messages
//!
//! gmx_recvmmsg and gmx_sendmmsg move several datagrams in one call of the system. gmx_send_fds and gmx_recv_fds pass
//! open descriptors to another process by a socket of the Unix domain.
//!
//! ```c
//! int log = open("/tmp/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
//! gmx_status n = gmx_send_fds(to_child, &log, 1, "log", 3, 1000000000);
//! if (n == 3) printf("the child has the log too\n");
//! ```

use super::*;
use crate::block::fd;
use crate::sys::net::{MOST_FDS, mmsghdr};
use std::ffi::c_void;

/// recvmmsg: waits for a message, and receives as many of n as are there; 1024 at most. msg_len of each says how long
/// it is. Descriptors that come with a message are closed by exec, as with gmx_recvmsg.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: received descriptors are the caller's.
/// Returns: the number of messages; 0 if n is 0; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also
/// meanwhile, or not open for this; GMX_EINVAL if msgs is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL;
/// any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `msgs` is null, or has `n` elements, as recvmmsg wants them.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_recvmmsg(
    p: gmx_poll,
    msgs: *mut mmsghdr,
    n: usize,
    flags: i32,
    timeout: i64,
) -> gmx_status {
    if msgs.is_null() && n != 0 {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::recvmmsg(*m, p, msgs, n, flags, timeout) }),
        Err(status) => status,
    }
}

/// sendmmsg: waits until there is room for a message, and sends as many of n as there is room for; 1024 at most.
/// MSG_NOSIGNAL is always set.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of messages; 0 if n is 0; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also
/// meanwhile, or not open for this; GMX_EINVAL if msgs is NULL and n is not 0; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL;
/// any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `msgs` is null, or has `n` elements, as sendmmsg wants them.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_sendmmsg(
    p: gmx_poll,
    msgs: *mut mmsghdr,
    n: usize,
    flags: i32,
    timeout: i64,
) -> gmx_status {
    if msgs.is_null() && n != 0 {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::sendmmsg(*m, p, msgs, n, flags, timeout) }),
        Err(status) => status,
    }
}

/// Sends len bytes and n descriptors, by a socket of the Unix domain. The descriptors go with the first byte, so at
/// least one byte is sent. Of a stream it sends as many bytes as there is room for, as gmx_send; the descriptors are on
/// their way then, and a gmx_write sends the rest.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: the descriptors stay the caller's, which may close them afterwards.
/// Returns: the number of bytes; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or if one of
/// fds is not open; GMX_EINVAL if fds or buf is NULL, len is 0, or n is 0 or greater than 253; GMX_ENOMEM; GMX_ENOTG,
/// GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `fds` is null, or has `n` elements; `buf` is null, or has `len` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_send_fds(
    p: gmx_poll,
    fds: *const i32,
    n: usize,
    buf: *const c_void,
    len: usize,
    timeout: i64,
) -> gmx_status {
    if fds.is_null() || n == 0 || n > MOST_FDS || buf.is_null() || len == 0 {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::message::send_fds(*m, p, fds, n, buf, len, timeout) }),
        Err(status) => status,
    }
}

/// Receives at most len bytes, and the descriptors that come with them. *n is the room at fds, and then the number of
/// the descriptors, which may be 0. They are closed by exec.
///
/// If more descriptors come than there is room for, or if the process has no room for them all, those that came are
/// closed, the bytes are lost, and the status is GMX_EMSGSIZE.
///
/// ```c
/// int fds[4];
/// size_t n = 4;
/// char name[32];
/// gmx_status len = gmx_recv_fds(conn, fds, &n, name, sizeof name, GMX_FOREVER);
/// if (len > 0) printf("%zu descriptors came with %d bytes\n", n, (int)len);
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: the received descriptors are the caller's.
/// Returns: the number of bytes; 0 at the end of the data; GMX_EMSGSIZE; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p
/// is closed, also meanwhile, or not open for this; GMX_EINVAL if fds, n or buf is NULL, or len is 0; GMX_ENOMEM;
/// GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `n` is null or writable; `fds` is null, or has room for as many as `n` says; `buf` is null, or has room for `len`
/// bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_recv_fds(
    p: gmx_poll,
    fds: *mut i32,
    n: *mut usize,
    buf: *mut c_void,
    len: usize,
    timeout: i64,
) -> gmx_status {
    if fds.is_null() || n.is_null() || buf.is_null() || len == 0 {
        return wrong(GMX_EINVAL);
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    let room = unsafe { n.read() };
    // SAFETY: the caller's promise.
    match unsafe { fd::message::recv_fds(*m, p, fds, room, buf, len, timeout) } {
        Ok((bytes, got)) => {
            // SAFETY: the caller's promise.
            unsafe { n.write(got) };
            count(Ok(bytes))
        }
        Err(e) => failed(e),
    }
}
