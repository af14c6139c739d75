//! Status codes
//!
//! Every call that can fail returns a gmx_status. A negative status is an error, and the call has changed nothing;
//! GMX_OK is 0, and a few calls return a count above it. Compare with the names below, and never with numbers.
//!
//! A program that is run with GMXDEBUG=strict=1 in its environment reports the calls that are wrong, with the reason;
//! with strict=2 it aborts at the first.

use crate::gmp::error::Error;
use std::ffi::c_char;

/// The result of a call: GMX_OK, a count above it, or a negative error. An error of the system is its errno, negated.
/// The errors that the library itself returns have names here; where no errno fits they count down from -1001. An error
/// of names is -1100 and the EAI_ code of getaddrinfo, which is negative.
pub type gmx_status = i32;

/// A row of the one list of statuses.
pub struct StatusRow {
    pub name: &'static str,
    pub value: gmx_status,
    /// With a NUL at its end.
    pub text: &'static str,
    c_name: &'static str,
    c_text: &'static str,
}

macro_rules! statuses {
    ($($name:ident = $value:literal, $text:literal;)+) => {
        $(#[doc = $text] pub const $name: gmx_status = $value;)+
        /// Every status, in the order of the header.
        pub const STATUS_LIST: &[StatusRow] = &[$(StatusRow {
            name: stringify!($name),
            value: $name,
            text: $text,
            c_name: concat!(stringify!($name), "\0"),
            c_text: concat!($text, "\0"),
        }),+];
    };
}

statuses! {
    GMX_OK = 0, "no error";
    GMX_EPERM = -1, "not permitted";
    GMX_EINTR = -4, "interrupted by a signal";
    GMX_EBADF = -9, "closed, or not open for this";
    GMX_EAGAIN = -11, "would block";
    GMX_ENOMEM = -12, "out of memory";
    GMX_EBUSY = -16, "in use";
    GMX_EINVAL = -22, "invalid argument";
    GMX_EPIPE = -32, "the other end is closed";
    GMX_EDEADLK = -35, "deadlock";
    GMX_EMSGSIZE = -90, "the message is too long";
    GMX_ENOTSUP = -95, "not supported";
    GMX_ETIMEDOUT = -110, "timed out";
    GMX_ECANCELED = -125, "canceled";
    GMX_ENOTG = -1001, "not on a goroutine, or where it cannot wait";
    GMX_EINSYSCALL = -1002, "between gmx_enter_syscall and gmx_exit_syscall";
    GMX_ESHUTDOWN = -1003, "the runtime is going down";
    GMX_ESTALE = -1004, "a stale handle";
    GMX_ECLOSED = -1005, "the channel is closed";
    GMX_EAI_BADFLAGS = -1101, "names: the flags are not valid";
    GMX_EAI_NONAME = -1102, "names: no such host or service";
    GMX_EAI_AGAIN = -1103, "names: no answer for now, try again";
    GMX_EAI_FAIL = -1104, "names: the lookup failed";
    GMX_EAI_NODATA = -1105, "names: the host has no address";
    GMX_EAI_FAMILY = -1106, "names: the address family is not supported";
    GMX_EAI_SOCKTYPE = -1107, "names: the type of socket is not supported";
    GMX_EAI_SERVICE = -1108, "names: no such service for this type of socket";
    GMX_EAI_ADDRFAMILY = -1109, "names: the host has no address of this family";
}

/// The status of an error; reported if the call was wrong ([`super::wrong`]).
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn from(e: Error) -> gmx_status {
    let status = plain(e);
    match e {
        Error::Perm | Error::Invalid | Error::Deadlock | Error::Stale | Error::Os(libc::EBADF) => super::wrong(status),
        _ => status,
    }
}

/// The status of an error that a correct program may meet here.
pub(super) fn plain(e: Error) -> gmx_status {
    match e {
        Error::Perm => GMX_EPERM,
        Error::Again => GMX_EAGAIN,
        Error::NoMemory => GMX_ENOMEM,
        Error::Busy => GMX_EBUSY,
        Error::Invalid => GMX_EINVAL,
        Error::Deadlock => GMX_EDEADLK,
        Error::TimedOut => GMX_ETIMEDOUT,
        Error::Canceled => GMX_ECANCELED,
        Error::Stale => GMX_ESTALE,
        Error::ShutDown => GMX_ESHUTDOWN,
        Error::Closed => GMX_ECLOSED,
        Error::Gone => GMX_EBADF,
        Error::Os(errno) => -errno,
        Error::Name(e) if (1..=9).contains(&e) => -1100 - e,
        Error::Name(_) => GMX_EAI_FAIL,
    }
}

/// An errno of the system that has no name among the statuses.
struct ErrnoRow {
    value: i32,
    c_name: &'static str,
    c_text: &'static str,
}

macro_rules! errnos {
    ($($name:ident, $text:literal;)+) => {
        &[$(ErrnoRow {
            value: libc::$name,
            c_name: concat!(stringify!($name), "\0"),
            c_text: concat!($text, "\0"),
        }),+]
    };
}

const ERRNO_LIST: &[ErrnoRow] = errnos! {
    ENOENT, "no such file or directory";
    ESRCH, "no such process";
    EIO, "input or output failed";
    ENXIO, "no such device or address";
    E2BIG, "the argument list is too long";
    ENOEXEC, "not an executable format";
    ECHILD, "no child processes";
    EACCES, "permission denied";
    EFAULT, "bad address";
    ENOTBLK, "not a block device";
    EEXIST, "exists already";
    EXDEV, "a link to another device";
    ENODEV, "no such device";
    ENOTDIR, "not a directory";
    EISDIR, "a directory";
    ENFILE, "too many files are open in the system";
    EMFILE, "too many files are open";
    ENOTTY, "not a terminal";
    ETXTBSY, "the program file is in use";
    EFBIG, "the file is too large";
    ENOSPC, "no space left";
    ESPIPE, "cannot seek";
    EROFS, "the file system is read-only";
    EMLINK, "too many links";
    EDOM, "the argument is outside the domain of the function";
    ERANGE, "the result is too large";
    ENAMETOOLONG, "the name is too long";
    ENOLCK, "no locks left";
    ENOSYS, "the system has no such call";
    ENOTEMPTY, "the directory is not empty";
    ELOOP, "too many symbolic links";
    ENOMSG, "no such message";
    EIDRM, "the identifier was removed";
    ENOSTR, "not a stream";
    ENODATA, "no data";
    ENOSR, "no stream resources left";
    EREMOTE, "the object is remote";
    ENOLINK, "the link was cut";
    EPROTO, "protocol error";
    EMULTIHOP, "a multihop was attempted";
    EBADMSG, "not a data message";
    EOVERFLOW, "the value is too large for its type";
    EILSEQ, "an invalid sequence of bytes";
    EUSERS, "too many users";
    ENOTSOCK, "not a socket";
    EDESTADDRREQ, "a destination address is required";
    EPROTOTYPE, "the wrong type of protocol for a socket";
    ENOPROTOOPT, "the protocol is not available";
    EPROTONOSUPPORT, "the protocol is not supported";
    ESOCKTNOSUPPORT, "the type of socket is not supported";
    EPFNOSUPPORT, "the protocol family is not supported";
    EAFNOSUPPORT, "the address family is not supported";
    EADDRINUSE, "the address is in use";
    EADDRNOTAVAIL, "the address is not available";
    ENETDOWN, "the network is down";
    ENETUNREACH, "the network cannot be reached";
    ENETRESET, "the network dropped the connection";
    ECONNABORTED, "the connection was aborted";
    ECONNRESET, "the connection was reset by the peer";
    ENOBUFS, "no buffer space left";
    EISCONN, "connected already";
    ENOTCONN, "not connected";
    ESHUTDOWN, "sending after the socket was shut down";
    ETOOMANYREFS, "too many references";
    ECONNREFUSED, "the connection was refused";
    EHOSTDOWN, "the host is down";
    EHOSTUNREACH, "no route to the host";
    EALREADY, "under way already";
    EINPROGRESS, "under way now";
    ESTALE, "a stale file handle";
    EDQUOT, "the disk quota is exceeded";
    EOWNERDEAD, "the owner has died";
    ENOTRECOVERABLE, "the state cannot be recovered";
};

/// The row of one of the library's own statuses.
pub(super) fn row(status: gmx_status) -> &'static StatusRow {
    STATUS_LIST.iter().find(|row| row.value == status).unwrap_or(&STATUS_LIST[0])
}

/// Name and text of a status, each with a NUL at its end.
fn words(s: gmx_status) -> Option<(&'static str, &'static str)> {
    let s = s.min(0);
    if let Some(row) = STATUS_LIST.iter().find(|row| row.value == s) {
        return Some((row.c_name, row.c_text));
    }
    ERRNO_LIST.iter().find(|row| row.value == s.wrapping_neg()).map(|row| (row.c_name, row.c_text))
}

/// A short English text for a status, also for the negative of any errno. Counts (values above zero) are "no error".
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the text is static, and not to be freed.
/// Returns: never NULL; "unknown status" for any other value.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_strerror(status: gmx_status) -> *const c_char {
    words(status).map_or(c"unknown status".as_ptr(), |(_, text)| text.as_ptr().cast())
}

/// The name of a status, such as "GMX_EINVAL"; for an errno without such a name its own, such as "ENOENT".
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the name is static, and not to be freed.
/// Returns: never NULL; "GMX_EUNKNOWN" for any other value, "GMX_OK" for counts.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_err_name(status: gmx_status) -> *const c_char {
    words(status).map_or(c"GMX_EUNKNOWN".as_ptr(), |(name, _)| name.as_ptr().cast())
}
