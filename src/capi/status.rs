//! Status codes

use crate::gmp::error::Error;
use std::ffi::c_char;

/// What a call came to: GMX_OK or a count, or a negative error. Negative errno values where one fits, from -1001 down
/// where none does.
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
    GMX_EPERM = -1, "the operation does not match what the caller holds";
    GMX_EINTR = -4, "interrupted by a signal";
    GMX_EAGAIN = -11, "it would have to wait, or there is none to be had now";
    GMX_ENOMEM = -12, "no memory";
    GMX_EBUSY = -16, "in use";
    GMX_EINVAL = -22, "an argument is not valid";
    GMX_ECLOSED = -32, "closed";
    GMX_EPIPE = -32, "closed";
    GMX_EDEADLK = -35, "it would wait for ever";
    GMX_ENOTSUP = -95, "not supported here";
    GMX_ETIMEDOUT = -110, "the time is up";
    GMX_ECANCELED = -125, "cancelled";
    GMX_ENOTG = -1001, "this context cannot park, or is not on a goroutine";
    GMX_EINSYSCALL = -1002, "the goroutine is between enter and exit of a syscall";
    GMX_ESHUTDOWN = -1003, "the runtime is going down";
    GMX_ESTALE = -1004, "the handle's goroutine is no more, or never was";
}

pub(super) fn from(e: Error) -> gmx_status {
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
    }
}

fn row(s: gmx_status) -> Option<&'static StatusRow> {
    STATUS_LIST.iter().find(|row| row.value == s.min(0))
}

/// A short English text for a status. Counts (values above zero) are "no error".
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the text is static; nobody frees it.
/// Returns: never NULL; "unknown status" for a value that is none.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_strerror(status: gmx_status) -> *const c_char {
    row(status).map_or(c"unknown status".as_ptr(), |row| row.c_text.as_ptr().cast())
}

/// The name of a status, such as "GMX_EINVAL".
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the name is static; nobody frees it.
/// Returns: never NULL; "GMX_EUNKNOWN" for a value that is none, "GMX_OK" for counts.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_err_name(status: gmx_status) -> *const c_char {
    row(status).map_or(c"GMX_EUNKNOWN".as_ptr(), |row| row.c_name.as_ptr().cast())
}
