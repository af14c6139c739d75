//! Listeners
//!
//! gmx_listen_tcp, gmx_listen_unix and gmx_listen_inherit give a handle to a listener, for gmx_accept; gmx_udp_open
//! gives one to a socket for datagrams. Their descriptors are closed by exec. gmx_poll_fd gives the number of the
//! descriptor, for getsockname and the like.
//!
//! ```c
//! gmx_listen_opts opts = GMX_LISTEN_OPTS_INIT;
//! opts.flags = GMX_ACCEPT_PATIENT;
//! gmx_poll listener;
//! if (gmx_listen_tcp(NULL, "8080", &opts, &listener) != GMX_OK) return;
//! ```

use super::*;
use crate::block::listen::{self, Wishes};
use crate::block::names::Names;
use std::ffi::{CStr, c_char};

/// Several sockets, also of other processes of the same user, may have this address. Each must have the flag.
pub const GMX_LISTEN_REUSEPORT: u32 = 4;
/// Only IPv6: the socket leaves the addresses of IPv4 to others.
pub const GMX_LISTEN_V6ONLY: u32 = 8;
/// The file of a Unix socket is removed, if it is there and no process answers at it.
pub const GMX_LISTEN_UNLINK: u32 = 16;

/// Options for listeners. Zero is the default of every field.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_listen_opts {
    /// sizeof(gmx_listen_opts), or 0.
    pub struct_size: usize,
    /// GMX_ACCEPT_PATIENT, GMX_LISTEN_*.
    pub flags: u32,
    /// How many connections may wait for gmx_accept. 0: as many as the system allows, SOMAXCONN.
    pub backlog: i32,
    /// How long a host or a service that is a name may be looked up. 0: no limit.
    pub timeout: i64,
}

/// # Safety
/// `opts` is null or points to options.
#[track_caller]
unsafe fn wishes(opts: *const gmx_listen_opts, may: u32) -> Result<Wishes, gmx_status> {
    // SAFETY: the caller's promise.
    let opts = unsafe { read_sized(opts) }?;
    let opts = opts.unwrap_or(gmx_listen_opts { struct_size: 0, flags: 0, backlog: 0, timeout: 0 });
    if opts.flags & !may != 0 || opts.backlog < 0 || opts.timeout < 0 {
        return Err(wrong(GMX_EINVAL));
    }
    let has = |flag| opts.flags & flag != 0;
    Ok(Wishes {
        queue: opts.backlog,
        patient: has(GMX_ACCEPT_PATIENT),
        reuse_port: has(GMX_LISTEN_REUSEPORT),
        only_ipv6: has(GMX_LISTEN_V6ONLY),
        unlink: has(GMX_LISTEN_UNLINK),
        timeout: if opts.timeout == 0 { FOREVER } else { opts.timeout },
    })
}

/// A name of the host's; None: there is none.
///
/// # Safety
/// `name` is null, or terminated.
pub(super) unsafe fn name<'a>(name: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
}

/// # Safety
/// `out` is writable.
#[track_caller]
pub(super) unsafe fn made(r: crate::gmp::Result<u64>, out: *mut gmx_poll) -> gmx_status {
    match r {
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// Listens for connections of TCP at an address of this machine. host: its name or number; NULL for all addresses, of
/// IPv6 and of IPv4 where the system has both. service: the port, as a number or a name; "0" for any that is free.
/// opts may be NULL, its flags are GMX_ACCEPT_PATIENT, GMX_LISTEN_REUSEPORT and GMX_LISTEN_V6ONLY. SO_REUSEADDR is set,
/// so that a server that starts again gets its port.
///
/// A host that is a name is looked up, as by gmx_getaddrinfo; the first of its addresses counts at which this machine
/// can listen.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; while a name is looked up, and no longer than
/// opts.timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: the new handle and its descriptor are the caller's, until gmx_close.
/// Returns: GMX_OK; -EADDRINUSE and the like, as the system says; GMX_EAI_* if there is no such name; GMX_ETIMEDOUT;
/// GMX_ECANCELED; GMX_EINVAL if service or out is NULL, or if opts is not right; GMX_ENOTSUP after a start with
/// GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `host` and `service` are null or terminated, `opts` is null or points to options, `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_listen_tcp(
    host: *const c_char,
    service: *const c_char,
    opts: *const gmx_listen_opts,
    out: *mut gmx_poll,
) -> gmx_status {
    let may = GMX_ACCEPT_PATIENT | GMX_LISTEN_REUSEPORT | GMX_LISTEN_V6ONLY;
    // SAFETY: the caller's promise.
    let wishes = match unsafe { wishes(opts, may) } {
        Ok(wishes) if !service.is_null() && !out.is_null() => wishes,
        Ok(_) => return wrong(GMX_EINVAL),
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    let names = Names { node: unsafe { name(host) }, service: unsafe { name(service) } };
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => unsafe { made(listen::tcp(*m, names, wishes), out) },
        Err(status) => status,
    }
}

/// A socket for datagrams of UDP, at an address of this machine: host and service are as for gmx_listen_tcp. opts may
/// be NULL, its flags are GMX_LISTEN_REUSEPORT and GMX_LISTEN_V6ONLY.
///
/// ```c
/// gmx_poll socket;
/// if (gmx_udp_open(NULL, "9000", NULL, &socket) != GMX_OK) return;
/// char text[1500];
/// gmx_status n = gmx_recv(socket, text, sizeof text, 0, GMX_FOREVER);
/// ```
///
/// Blocks: as gmx_listen_tcp.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: the new handle and its descriptor are the caller's, until gmx_close.
/// Returns: as gmx_listen_tcp.
/// Since: 0.2
///
/// # Safety
/// As for gmx_listen_tcp.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_udp_open(
    host: *const c_char,
    service: *const c_char,
    opts: *const gmx_listen_opts,
    out: *mut gmx_poll,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let wishes = match unsafe { wishes(opts, GMX_LISTEN_REUSEPORT | GMX_LISTEN_V6ONLY) } {
        Ok(wishes) if !service.is_null() && !out.is_null() => wishes,
        Ok(_) => return wrong(GMX_EINVAL),
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    let names = Names { node: unsafe { name(host) }, service: unsafe { name(service) } };
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => unsafe { made(listen::udp(*m, names, wishes), out) },
        Err(status) => status,
    }
}

/// Listens for connections of the Unix domain, as streams. A path that begins with an at sign is an abstract name,
/// which has no file. opts may be NULL, its flags are GMX_ACCEPT_PATIENT and GMX_LISTEN_UNLINK.
///
/// The file of the socket stays after gmx_close, and the next gmx_listen_unix finds the address in use. With
/// GMX_LISTEN_UNLINK it removes the file, if it is one of a socket and no process answers there. (A listener that is
/// there gets a connection that is closed at once.) Two processes that begin at the same time must agree by other means
/// which of them listens.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the new handle and its descriptor are the caller's, until gmx_close.
/// Returns: GMX_OK; -EADDRINUSE; -ENAMETOOLONG if path is empty or has more than 107 bytes; GMX_EINVAL if path or out
/// is NULL, or if opts is not right; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ESHUTDOWN;
/// any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `path` is null or terminated, `opts` is null or points to options, `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_listen_unix(
    path: *const c_char,
    opts: *const gmx_listen_opts,
    out: *mut gmx_poll,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let wishes = match unsafe { wishes(opts, GMX_ACCEPT_PATIENT | GMX_LISTEN_UNLINK) } {
        Ok(wishes) if !out.is_null() => wishes,
        Ok(_) => return wrong(GMX_EINVAL),
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    let Some(path) = (unsafe { name(path) }) else { return wrong(GMX_EINVAL) };
    match started().and_then(|m| listen::unix(*m, path, wishes).map_err(|e| status::from(e))) {
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Gives a handle to one of the sockets that the process was started with, by systemd's protocol: LISTEN_PID is this
/// process, and LISTEN_FDS says how many there are. index counts them from 0. The environment stays as it is: ask for
/// each index once, and unset both variables before starting other programs.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the descriptor is the handle's if GMX_OK, and is closed by exec from here on.
/// Returns: GMX_OK; -ENOENT if there is no such socket, or if the sockets are another process's; GMX_EBADF if it is not
/// open; otherwise as gmx_poll_open.
/// Since: 0.2
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_listen_inherit(index: usize, out: *mut gmx_poll) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    let Some(number) = crate::rt::inherited(index) else { return -libc::ENOENT };
    match started().and_then(|m| listen::inherited(*m, number).map_err(|e| status::from(e))) {
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(status) => status,
    }
}
