//! Traces
//!
//! The library can record what every goroutine, processor and thread does, in a ring for each thread, until it is asked
//! to write the last of it to a file. The tool gomax-trace makes a file for `go tool trace` of that. While nothing is
//! recorded nothing is slower. GMXDEBUG=trace=FILE does the same for a whole run, without a change of the program. The
//! program can add what it is about: tasks, regions and lines.

use super::g::on_g_pinned;
use super::*;
use crate::gmp::error::Error;
use crate::gmp::record;
use crate::rt::trace::{self, File, LEAST_RING_BYTES, MOST_RING_BYTES, RING_BYTES};
use crate::sched::tracing;
use crate::sync::Ordering;
use crate::trace::raw::kind;
use std::ffi::{CStr, c_char};

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

/// Whether what the caller does is recorded: whether a text for gmx_trace_log is worth making.
///
/// Blocks: never.
/// Call from: everywhere.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: true or false. Another thread may begin or end to record at any time.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_trace_is_on() -> bool {
    MRef::current().is_some_and(|m| m.ring().is_some())
}

/// Begins a task: work for one purpose, such as a request, which may be spread over many goroutines. It shows in the
/// trace with all regions and lines that name it. A task is a number and no more: while nothing is recorded it costs an
/// addition, and one that is never ended leaks nothing.
///
/// ```c
/// uint64_t task;
/// gmx_trace_task_begin("GET /index.html", 0, &task);
/// gmx_trace_region_begin(task, "read the file");
/// read_file();
/// gmx_trace_region_end();
/// gmx_trace_task_end(task);
/// ```
///
/// name: what kind of task it is; a trace holds the first 1,008 bytes of it, 768 in a ring of 4 KiB.
/// parent: the task that this one is a part of; 0: none.
///
/// Blocks: never.
/// Call from: G, attached thread; also pinned, and with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing; name is copied.
/// Returns: GMX_OK, and the number of the task, which is not 0; GMX_EINVAL for a NULL; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `name` is null or a string; `task` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_trace_task_begin(name: *const c_char, parent: u64, task: *mut u64) -> gmx_status {
    if task.is_null() {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise.
    let (m, name) = match unsafe { speaker(name) } {
        Ok(speaker) => speaker,
        Err(status) => return status,
    };
    // Relaxed: only a number that no other task has.
    let number = m.sched().trace.tasks.fetch_add(1, Ordering::Relaxed) + 1;
    record::says(&m, kind::TASK_BEGIN, parent as u32, number, name);
    // SAFETY: the caller's promise.
    unsafe { task.write(number) };
    GMX_OK
}

/// Ends a task. Any goroutine may do it.
///
/// Blocks: never.
/// Call from: G, attached thread; also pinned, and with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK, also for a task that has ended; GMX_EINVAL for 0; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_trace_task_end(task: u64) -> gmx_status {
    if task == 0 {
        return wrong(GMX_EINVAL);
    }
    say(kind::TASK_END, task)
}

/// Begins a region: a span of time of the calling goroutine, with a name. Regions nest.
///
/// task: what the work is for; 0: no task.
/// name: as in gmx_trace_task_begin.
///
/// Blocks: never.
/// Call from: G, attached thread; also pinned, and with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing; name is copied.
/// Returns: GMX_OK; GMX_EINVAL for a NULL; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `name` is null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_trace_region_begin(task: u64, name: *const c_char) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { say_text(kind::REGION_BEGIN, task, name) }
}

/// Ends the region that the calling goroutine has begun last. What is open at the end of a goroutine ends there; an end
/// without a begin changes nothing.
///
/// Blocks: never.
/// Call from: G, attached thread; also pinned, and with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_trace_region_end() -> gmx_status {
    say(kind::REGION_END, 0)
}

/// Writes a line into the trace.
///
/// ```c
/// if (gmx_trace_is_on()) {
///   char line[64];
///   snprintf(line, sizeof line, "%d rows", rows);
///   gmx_trace_log(task, line);
/// }
/// ```
///
/// task: what the line belongs to; 0: no task.
/// line: as name in gmx_trace_task_begin.
///
/// Blocks: never.
/// Call from: G, attached thread; also pinned, and with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing; line is copied.
/// Returns: GMX_OK; GMX_EINVAL for a NULL; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `line` is null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_trace_log(task: u64, line: *const c_char) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { say_text(kind::LOG, task, line) }
}

/// The M of a G, which may be pinned or have stopped the world, and the bytes of what it says.
///
/// # Safety
/// `said` is null or a string.
#[track_caller]
unsafe fn speaker<'a>(said: *const c_char) -> Result<(Inside, &'a [u8]), gmx_status> {
    if said.is_null() {
        return Err(wrong(GMX_EINVAL));
    }
    // SAFETY: the caller's promise.
    on_g_pinned().map(|m| (m, unsafe { CStr::from_ptr(said) }.to_bytes()))
}

/// # Safety
/// As for [`speaker`].
#[track_caller]
unsafe fn say_text(kind: u8, task: u64, said: *const c_char) -> gmx_status {
    // SAFETY: the caller's promise.
    match unsafe { speaker(said) } {
        Ok((m, said)) => {
            record::says(&m, kind, 0, task, said);
            GMX_OK
        }
        Err(status) => status,
    }
}

#[track_caller]
fn say(kind: u8, task: u64) -> gmx_status {
    // SAFETY: a string.
    unsafe { say_text(kind, task, c"".as_ptr()) }
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
