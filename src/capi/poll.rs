//! Descriptors
//!
//! A goroutine that reads from a socket should not keep a thread for that. So the library makes each call on a
//! descriptor without waiting; if there is nothing to do, the goroutine parks, and continues when the system says that
//! the descriptor is ready. gmx_poll_open gives a handle to a descriptor: a socket, a pipe, an eventfd, a terminal, a
//! file. The calls of the next two sections take handles. After gmx_close a handle names nothing, also when the system
//! uses the number again.
//!
//! ```c
//! gmx_poll conn;
//! gmx_status status = gmx_poll_open(fd, 0, &conn);
//! if (status != GMX_OK) return status;
//! char line[128];
//! status = gmx_read(conn, line, sizeof line, 5000000000);
//! if (status > 0) status = gmx_write(conn, line, (size_t)status, GMX_FOREVER, NULL);
//! gmx_close(conn);
//! ```
//!
//! Any number of goroutines and threads may use a handle at the same time. Those that read take turns in the order in
//! which they come, and so do those that write: what a gmx_write writes is not mixed with what another one does. A
//! reader and a writer do not wait for each other.
//!
//! Two limits end a wait: the timeout of the call, and the deadline of the handle (gmx_poll_set_deadline).
//!
//! Regular files are always ready, as the system sees it: the section "Files" says how they are read and written. A
//! call on a borrowed descriptor that waits and cannot be told not to, such as a terminal, takes its thread for as long
//! as it lasts, as between gmx_enter_syscall and gmx_exit_syscall; it is made when there is something to do, but may
//! outlast its timeout.

use super::*;
use crate::block::fd;
use crate::sys::io::pollfd;

/// A descriptor that goroutines wait for. A handle is never used again, and 0 is no handle.
pub type gmx_poll = u64;

/// For gmx_poll_open: the descriptor remains the caller's. The library neither closes it nor changes its flags, and the
/// caller closes it only after gmx_close.
pub const GMX_POLL_BORROW: u32 = 1;

/// For gmx_poll_open of a listener, and for gmx_listen_opts: while the system has no descriptor or no memory for a
/// connection (EMFILE, ENFILE, ENOBUFS, ENOMEM), gmx_accept waits and tries again, after 5 ms at first and after 1 s at
/// most. The connections stay in the queue of the listener meanwhile. Without this flag such an error is the caller's.
pub const GMX_ACCEPT_PATIENT: u32 = 2;

/// Something can be read, a connection can be accepted, or there is nothing more to come.
pub const GMX_POLL_IN: u32 = 1;
/// Something can be written, or the attempt to connect is over.
pub const GMX_POLL_OUT: u32 = 4;
/// An error.
pub const GMX_POLL_ERR: u32 = 8;
/// The other end is closed.
pub const GMX_POLL_HUP: u32 = 16;
/// The other end writes no more.
pub const GMX_POLL_RDHUP: u32 = 8192;

const ANSWERS: u32 = GMX_POLL_ERR | GMX_POLL_HUP | GMX_POLL_RDHUP;

/// Whether some of the two directions are named, and nothing else except `more`.
fn names_directions(events: u32, more: u32) -> bool {
    events & (GMX_POLL_IN | GMX_POLL_OUT) != 0 && events & !(GMX_POLL_IN | GMX_POLL_OUT | more) == 0
}

/// A count, as a status.
#[track_caller]
pub(super) fn count(r: crate::gmp::Result<usize>) -> gmx_status {
    match r {
        Ok(n) => i32::try_from(n).unwrap_or(i32::MAX),
        Err(e) => failed(e),
    }
}

/// Gives a handle to a descriptor. The descriptor belongs to the handle from here on, and gmx_close closes it, unless
/// flags has GMX_POLL_BORROW. The other flag is GMX_ACCEPT_PATIENT.
///
/// O_NONBLOCK is set, except for borrowed descriptors, for files, and for 0, 1 and 2, which other processes may share.
/// Nothing else of the descriptor changes, and it is not used before the first call.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the descriptor is the handle's if GMX_OK, unless it is borrowed.
/// Returns: GMX_OK; GMX_EBADF if fd is not open; GMX_EINVAL if out is NULL or flags has another bit; GMX_ENOTSUP after
/// a start with GMX_CONFIG_ALL_AT_START; GMX_ENOMEM; GMX_ESHUTDOWN; the errno of the system, negated, if it has no
/// descriptors for the library.
/// Since: 0.2
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_poll_open(fd: i32, flags: u32, out: *mut gmx_poll) -> gmx_status {
    if out.is_null() || flags & !(GMX_POLL_BORROW | GMX_ACCEPT_PATIENT) != 0 {
        return wrong(GMX_EINVAL);
    }
    let (borrow, patient) = (flags & GMX_POLL_BORROW != 0, flags & GMX_ACCEPT_PATIENT != 0);
    match started().and_then(|m| fd::open(*m, fd, borrow, patient).map_err(|e| status::from(e))) {
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// The number of the descriptor, for calls of the system that the library does not have, such as setsockopt. It is
/// good until gmx_close.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number; GMX_EBADF after gmx_close, or if there never was such a handle.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_poll_fd(p: gmx_poll) -> gmx_status {
    match any() {
        Ok(m) => match fd::number(*m, p) {
            Ok(number) => number,
            Err(e) => status::from(e),
        },
        Err(status) => status,
    }
}

/// Waits until the descriptor is ready for one of events: GMX_POLL_IN, GMX_POLL_OUT, or both. An error or a hang-up
/// always ends the wait; with GMX_POLL_IN so does an end that writes no more. *ready says what is there, in the bits of
/// poll. It may be gone when the caller uses it, if others use the descriptor too.
///
/// The deadline of each direction in events counts, as for a call in this direction. Several callers may wait for the
/// same.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if p is closed, also meanwhile; GMX_EINVAL if ready is NULL
/// or events has neither bit or another one; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `ready` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_poll_wait(p: gmx_poll, events: u32, timeout: i64, ready: *mut u32) -> gmx_status {
    if ready.is_null() || !names_directions(events, ANSWERS) {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => unsafe { told(fd::ready::wait(*m, p, events, timeout), ready) },
        Err(status) => status,
    }
}

/// # Safety
/// `ready` is writable.
#[track_caller]
unsafe fn told(r: crate::gmp::Result<u32>, ready: *mut u32) -> gmx_status {
    match r {
        Ok(bits) => {
            // SAFETY: the caller's promise.
            unsafe { *ready = bits };
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// Sets the moment, on the clock of gmx_now, at which calls in a direction end with GMX_ETIMEDOUT: those that wait now
/// as well as later ones, also if there is something to read. which: GMX_POLL_IN for reads and accepts, GMX_POLL_OUT
/// for writes and connects, or both. GMX_FOREVER: no deadline, as at the beginning. A deadline limits a conversation of
/// many calls, of which each has its timeout as well.
///
/// ```c
/// int64_t at = gmx_now() + 30000000000;
/// if (gmx_poll_set_deadline(conn, GMX_POLL_IN | GMX_POLL_OUT, at) != GMX_OK) return;
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBADF if p is closed; GMX_EINVAL if which has neither bit or another one.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_poll_set_deadline(p: gmx_poll, which: u32, when: i64) -> gmx_status {
    if !names_directions(which, 0) {
        return wrong(GMX_EINVAL);
    }
    match any() {
        Ok(m) => map(fd::set_deadline(*m, p, which, when)),
        Err(status) => status,
    }
}

/// Ends the handle as gmx_close does, and gives the descriptor back: it stays open. Its O_NONBLOCK stays as it is.
///
/// Blocks: as gmx_close.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the descriptor is the caller's again.
/// Returns: as gmx_close; GMX_EINVAL if fd is NULL.
/// Since: 0.2
///
/// # Safety
/// `fd` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_poll_release(p: gmx_poll, fd: *mut i32) -> gmx_status {
    if fd.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match fd::release(*m, p) {
        Ok((number, _)) => {
            // SAFETY: the caller's promise.
            unsafe { *fd = number };
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// Ends a handle, and closes its descriptor unless that is borrowed. Each call that waits there returns GMX_EBADF, and
/// each later one does; gmx_close returns when the last of them has left.
///
/// Blocks: the calling goroutine (on a foreign thread, the thread) for a moment, or until a call has returned that was
/// made on a thread of its own: on a file, or on a descriptor that waits.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the handle is gone, and so is the descriptor unless it is borrowed.
/// Returns: GMX_OK; GMX_EBADF if it is closed already, or is being closed; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_close(p: gmx_poll) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(fd::close(*m, p)),
        Err(status) => status,
    }
}

/// As gmx_poll_wait, for a descriptor without a handle, which stays the caller's. It must not be closed meanwhile. For
/// one wait: several are cheaper with a handle.
///
/// ```c
/// uint32_t ready;
/// if (gmx_wait_fd(fd, GMX_POLL_IN, GMX_FOREVER, &ready) != GMX_OK) return;
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if fd is not open; GMX_EINVAL if ready is NULL or events
/// has neither bit or another one; otherwise as gmx_poll_open; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `ready` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_wait_fd(fd: i32, events: u32, timeout: i64, ready: *mut u32) -> gmx_status {
    if ready.is_null() || !names_directions(events, ANSWERS) {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => unsafe { told(fd::ready::wait_number(*m, fd, events, timeout), ready) },
        Err(status) => status,
    }
}

/// poll(2) for goroutines: waits until one of n descriptors is ready for one of its events, and returns how many are.
/// revents of each entry says what is there, as poll(2) says it: POLLERR, POLLHUP and POLLNVAL also if they are not
/// among the events, and 0 for an entry whose fd is negative. The descriptors need no handles, stay the caller's, and
/// must not be closed meanwhile. Without entries it only waits.
///
/// While it waits, each entry is watched by the system: a goroutine that waits for the same descriptors again and again
/// is cheaper with handles. An entry whose descriptor is watched already, by a handle or another entry, takes one more
/// descriptor for the time of the wait.
///
/// ```c
/// struct pollfd fds[2] = {{from, POLLIN, 0}, {to, POLLOUT, 0}};
/// gmx_status n = gmx_poll_many(fds, 2, 5000000000);
/// if (n > 0 && fds[0].revents & (POLLIN | POLLHUP)) printf("something to read, or the end\n");
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: the number of entries whose revents is not 0, at least 1; GMX_ETIMEDOUT, and revents of each is 0;
/// GMX_ECANCELED; GMX_EINVAL if fds is NULL and n is not 0, or if n is greater than the limit of open descriptors;
/// GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START, if it would wait; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; the
/// errno of the system, negated, if it has no descriptors for the library.
/// Since: 0.2
///
/// # Safety
/// `fds` is null, or has `n` elements, which may be written to and which no other code uses meanwhile.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_poll_many(fds: *mut pollfd, n: usize, timeout: i64) -> gmx_status {
    if fds.is_null() && n != 0 {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { fd::many::poll(*m, fds, n, timeout) }),
        Err(status) => status,
    }
}
