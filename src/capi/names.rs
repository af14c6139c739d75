//! Names
//!
//! gmx_getaddrinfo asks the resolver of the C library, which takes a thread for as long as it thinks; the goroutine
//! waits without one. gmx_dial looks up a name and connects to the first of its addresses that answers.
//!
//! ```c
//! gmx_poll conn;
//! gmx_status status = gmx_dial("tcp", "example.org", "https", NULL, 10000000000, &conn);
//! if (status != GMX_OK) printf("%s\n", gmx_strerror(status));
//! ```

use super::listen::{made, name};
use super::*;
use crate::block::dial::{self, DELAY, Network};
use crate::block::names::{self, Names};
use crate::sys::net::addrinfo;
use std::ffi::c_char;

/// getaddrinfo: the addresses of a host and a service, either of which may be NULL. *res is a list, which the caller
/// frees by freeaddrinfo. hints may be NULL.
///
/// Numbers are answered at once, on the caller's stack. For names the library asks on another thread, at most 16
/// questions at a time; the others wait. If the time is over, or the token canceled, the caller continues, and the
/// answer that comes later is dropped. gmx_shutdown waits for it.
///
/// ```c
/// struct addrinfo *list;
/// gmx_status status = gmx_getaddrinfo("localhost", "http", NULL, &list, 5000000000);
/// if (status == GMX_OK) freeaddrinfo(list);
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: the list is the caller's.
/// Returns: GMX_OK; GMX_EAI_* for an error EAI_* of the resolver; the errno of the system, negated, for EAI_SYSTEM;
/// GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if res is NULL; GMX_ENOTSUP for names after a start with
/// GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ESHUTDOWN; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `node` and `service` are null or terminated, `hints` is null or as getaddrinfo wants it, `res` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    res: *mut *mut addrinfo,
    timeout: i64,
) -> gmx_status {
    if res.is_null() {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise.
    let names = Names { node: unsafe { name(node) }, service: unsafe { name(service) } };
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    match unsafe { names::look_up(*m, names, hints, timeout) } {
        Ok(found) => {
            // SAFETY: the caller's promise.
            unsafe { *res = found };
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// Options for gmx_dial. Zero is the default of every field.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_dial_opts {
    /// sizeof(gmx_dial_opts), or 0.
    pub struct_size: usize,
    /// The time after which an attempt without an answer is joined by the next one. 0: 250 ms.
    pub delay: i64,
}

/// Connects to a name, and gives a handle to the connection. network is "tcp", "udp", one of the two with a 4 or a 6
/// behind it for one family of addresses only, "unix", "unixgram" or "unixpacket". host and service are as for
/// gmx_getaddrinfo; for unix sockets host is the path (after an at sign: an abstract name) and service is NULL.
///
/// The addresses are tried one after the other, in turns of both families, each 250 ms after the one before or as soon
/// as that has failed (RFC 8305). The first connection that is there is the result; all other attempts are closed. If
/// all fail, the status tells of the first address.
///
/// A socket of UDP is connected at once, and only the first message shows whether a process receives at the other end.
/// A listener of the Unix domain whose queue is full refuses at once, with GMX_EAGAIN.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: the new handle and its descriptor are the caller's, until gmx_close.
/// Returns: GMX_OK; -ECONNREFUSED and the like, as the system says; GMX_EAI_* if there is no such name; GMX_ETIMEDOUT;
/// GMX_ECANCELED; GMX_EINVAL if network is not one of these, if out is NULL, if host is NULL for a unix socket, or if
/// opts is not right; -ENAMETOOLONG; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ENOTG,
/// GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `network`, `host` and `service` are null or terminated, `opts` is null or points to options, `out` is null or
/// writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_dial(
    network: *const c_char,
    host: *const c_char,
    service: *const c_char,
    opts: *const gmx_dial_opts,
    timeout: i64,
    out: *mut gmx_poll,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(network) = (unsafe { name(network) }).and_then(Network::named) else { return wrong(GMX_EINVAL) };
    // SAFETY: the caller's promise.
    let names = Names { node: unsafe { name(host) }, service: unsafe { name(service) } };
    // SAFETY: the caller's promise.
    let delay = match unsafe { read_sized(opts) } {
        Ok(None) => DELAY,
        Ok(Some(opts)) if opts.delay == 0 => DELAY,
        Ok(Some(opts)) if opts.delay > 0 => opts.delay,
        Ok(_) => return wrong(GMX_EINVAL),
        Err(status) => return status,
    };
    let right =
        if network.is_unix() { names.node.is_some() && names.service.is_none() } else { names.service.is_some() };
    if out.is_null() || !right {
        return wrong(GMX_EINVAL);
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let made_by = match names.node {
        Some(path) if network.is_unix() => dial::unix(*m, network, path),
        _ => dial::dial(*m, network, names, delay, timeout),
    };
    // SAFETY: the caller's promise.
    unsafe { made(made_by, out) }
}
