//! Traces
//!
//! The library can record what every goroutine, processor and thread does, in a ring for each thread, until it is asked
//! to write the last of it to a file. The tool gomax-trace makes a file for `go tool trace` of that. While nothing is
//! recorded nothing is slower. GMXDEBUG=trace=FILE does the same for a whole run, without a change of the program.

use super::*;
use crate::gmp::error::Error;
use crate::rt::trace::{self, File, LEAST_RING_BYTES, MOST_RING_BYTES, RING_BYTES};
use crate::sched::tracing;

/// How to record. Zero is the default everywhere; struct_size is sizeof(gmx_trace_opts) or 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_trace_opts {
    /// sizeof(gmx_trace_opts) of the caller.
    pub struct_size: usize,
    /// The bytes of each ring, of which a record takes 32; rounded up to a power of two. 0: 256 KiB. A thread that has
    /// a ring from an earlier start keeps that one.
    pub ring_bytes: usize,
    /// Must be 0.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// Begins to record. The world is not stopped; when the call is over everything that happens is recorded.
///
/// opts: NULL for the defaults.
///
/// Blocks: as gmx_for_each_p.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: memory for a ring for each thread, to the end of the process; the next start uses it again.
/// Returns: GMX_OK; GMX_EBUSY if it has begun before; GMX_EINVAL for flags, and for ring_bytes below 4 KiB or above
/// 1 GiB; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.2
///
/// # Safety
/// `opts` is null or points to as many bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_trace_start(opts: *const gmx_trace_opts) -> gmx_status {
    // SAFETY: the caller's promise.
    let bytes = match unsafe { read_sized(opts) } {
        Ok(None) => RING_BYTES,
        Ok(Some(o)) if o.flags != 0 || o.reserved != 0 => return wrong(GMX_EINVAL),
        Ok(Some(o)) if o.ring_bytes == 0 => RING_BYTES,
        Ok(Some(o)) if !(LEAST_RING_BYTES..=MOST_RING_BYTES).contains(&o.ring_bytes) => return wrong(GMX_EINVAL),
        Ok(Some(o)) => o.ring_bytes,
        Err(status) => return status,
    };
    match may_wait() {
        Ok(m) => map(tracing::begin(*m, bytes)),
        Err(status) => status,
    }
}

/// Writes what the rings hold to fd, as one file, and continues to record.
///
/// ```c
/// int fd = open("late.gmxtrace", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
/// if (latency > limit) gmx_trace_snapshot(fd);
/// ```
///
/// Blocks: the thread, while fd takes the file. A goroutine's P runs others meanwhile, unless it is pinned.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: on a goroutine.
/// Migrates: on a goroutine.
/// Cancellable: no.
/// Owns: fd stays the caller's.
/// Returns: GMX_OK; GMX_EPERM if nothing is recorded; GMX_EBADF if fd is not open; the negative errno of write, without
/// SIGPIPE; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_trace_snapshot(fd: i32) -> gmx_status {
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let file = match taken(*m, fd) {
        Ok(file) => file,
        Err(e) => return status::from(e),
    };
    drop(m);
    write_apart(fd, &file)
}

/// Ends what gmx_trace_start began, and writes what the rings hold to fd, as one file. If the write fails the file is
/// not whole, and recording has ended nevertheless.
///
/// fd: -1 for no file.
///
/// Blocks: as gmx_for_each_p; and the thread, while fd takes the file.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: fd stays the caller's.
/// Returns: GMX_OK; GMX_EPERM if nothing is recorded; GMX_EBADF if fd is neither -1 nor open, and GMX_ENOMEM: then
/// recording continues; the negative errno of write, without SIGPIPE; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_trace_stop(fd: i32) -> gmx_status {
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let file = match (fd != -1).then(|| taken(*m, fd)).transpose() {
        Ok(file) => file,
        Err(e) => return status::from(e),
    };
    if let Err(e) = tracing::end(*m) {
        return status::from(e);
    }
    drop(m);
    file.map_or(GMX_OK, |file| write_apart(fd, &file))
}

/// What is to be written to fd, if that is open.
fn taken(m: MRef, fd: i32) -> crate::gmp::Result<File> {
    if !m.sched().trace.on.get() {
        return Err(Error::Perm);
    }
    crate::sys::io::is_open(fd).map_err(Error::Os)?;
    trace::snapshot(m.sched())
}

/// Writes without the caller's P.
fn write_apart(fd: i32, file: &File) -> gmx_status {
    let write = || crate::sys::write_quietly(fd, file.as_bytes()).map_or_else(|errno| -errno, |()| GMX_OK);
    if !may_leave() || gmx_enter_syscall() != GMX_OK {
        return write();
    }
    let status = write();
    gmx_exit_syscall();
    status
}
