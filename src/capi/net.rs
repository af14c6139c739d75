//! Connections
//!
//! A listener comes from gmx_listen_tcp and its like, or is a socket that the host has made, bound and told to listen,
//! with a handle (gmx_poll_open). gmx_accept gives a handle to each connection. A client calls gmx_dial; or it makes a
//! socket, gets a handle for it, and connects.
//!
//! ```c
//! for (gmx_poll conn; gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER) == GMX_OK;) {
//!   if (gmx_spawn(serve, (void *)(uintptr_t)conn) != GMX_OK) gmx_close(conn);
//! }
//! ```

use super::*;
use crate::block::fd;
use crate::block::fd::message::{From, To};
use crate::sys::io::sockaddr;

/// Ends a direction of a connection for good, as shutdown does: SHUT_RD, SHUT_WR or SHUT_RDWR. Calls that wait there
/// return; the handle stays.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBADF if p is closed; any other errno of the system, negated.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_poll_shutdown(p: gmx_poll, how: i32) -> gmx_status {
    match any() {
        Ok(m) => map(fd::shutdown(*m, p, how)),
        Err(status) => status,
    }
}

/// Connects a socket to an address of len bytes, and waits until the connection is there. After an error close the
/// handle: an attempt that was given up may still succeed later. A second gmx_connect waits for the attempt that is
/// under way.
///
/// A borrowed socket whose calls wait has O_NONBLOCK for the moment in which the attempt begins.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile, or not open for this;
/// GMX_EINVAL if addr is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
/// negated.
/// Since: 0.2
///
/// # Safety
/// `addr` is null, or has `len` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_connect(p: gmx_poll, addr: *const sockaddr, len: u32, timeout: i64) -> gmx_status {
    if addr.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => tried(unsafe { fd::connect::connect(*m, p, To { addr, len }, timeout) }),
        Err(status) => status,
    }
}

/// Waits for a connection of a listener, and gives a handle to it: *out, which owns its descriptor. Its descriptor is
/// closed by exec, and O_NONBLOCK is not set. Connections that fail before they are taken are left out.
///
/// addr: for the address of the other end; *len is the room there, and then its length, as a socklen_t. Both may be
/// NULL.
///
/// On a borrowed listener whose calls wait, a connection that another process takes first leaves the call on its thread
/// until the next one comes, whatever the timeout is.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: the new handle and its descriptor are the caller's, until gmx_close.
/// Returns: GMX_OK; -EMFILE and the like if there are no more descriptors: the connection waits for a later call (with
/// GMX_ACCEPT_PATIENT this one waits instead); GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile,
/// or not open for this; GMX_EINVAL if out is NULL, or one of addr and len is NULL; GMX_ENOMEM; GMX_ENOTG,
/// GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `out` is null or writable; `addr` has as many bytes as `len` says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_accept(
    p: gmx_poll,
    out: *mut gmx_poll,
    addr: *mut sockaddr,
    len: *mut u32,
    timeout: i64,
) -> gmx_status {
    if out.is_null() || addr.is_null() != len.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => match unsafe { fd::connect::accept(*m, p, From { addr, len }, timeout) } {
            Ok(handle) => {
                // SAFETY: the caller's promise.
                unsafe { *out = handle };
                GMX_OK
            }
            Err(e) => failed(e),
        },
        Err(status) => status,
    }
}
