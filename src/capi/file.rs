//! Files
//!
//! A file has a handle as a socket has: gmx_open gives it, gmx_close ends it, and gmx_read and gmx_write go on from
//! where the file is. The calls of this section read and write at an offset, and do what else is done with files.
//!
//! The system never says that a file is ready later: a call on one takes its thread until it is done. A read of what is
//! in memory is made at once. Every other call runs beside the Ps, as between gmx_enter_syscall and gmx_exit_syscall,
//! so that other goroutines run meanwhile. No more than 32 such calls of goroutines are in the system at a time,
//! however many goroutines there are; the rest park until it is their turn. (GMXDEBUG=filecalls=N changes the number.)
//!
//! So none of these calls has a timeout, and no token ends one: what the system has begun, it ends. A call that waits
//! for another one of the kind, as the open of one end of a FIFO does for the other end, keeps its turn all the while:
//! open a FIFO with O_NONBLOCK, or in gmx_blocking.
//!
//! ```c
//! gmx_poll file;
//! gmx_status status = gmx_open("/etc/hostname", O_RDONLY, 0, &file);
//! if (status != GMX_OK) return status;
//! char name[256];
//! status = gmx_pread(file, name, sizeof name, 0);
//! if (status > 0) printf("%.*s", (int)status, name);
//! gmx_close(file);
//! ```

use super::io::{is_buffer, moved};
use super::*;
use crate::block::{batch, copy, file, waitq};
use crate::gmp::error::Error;
use crate::sys::file::{one, statx};
use crate::sys::io::iovec;
use std::ffi::{c_char, c_void};

/// Opens a file, and gives a handle to it, which owns its descriptor. flags and mode: as for open; exec closes it
/// (O_CLOEXEC), whatever flags is. A relative path leads from the directory of the process.
///
/// What it opens may be a FIFO or a device: then the calls on its handle wait for events, as on any other of the kind.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the handle and its descriptor are the caller's, until gmx_close.
/// Returns: GMX_OK; GMX_EINVAL if path or out is NULL; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START;
/// GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `path` is null or terminated; `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_open(path: *const c_char, flags: i32, mode: u32, out: *mut gmx_poll) -> gmx_status {
    if path.is_null() || out.is_null() {
        return wrong(GMX_EINVAL);
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    match unsafe { file::open(*m, path, flags, mode) } {
        Ok(handle) => {
            // SAFETY: the caller's promise.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(e) => failed(e),
    }
}

/// Reads n bytes from the offset on, and fewer only if the file ends before. More than 1 GiB may take several calls.
/// The place of the file, from which gmx_read continues, does not matter and stays.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number of bytes; 0 at the end of the file and behind it; GMX_EBADF if p is closed, or not open for
/// this; GMX_EINVAL if buf is NULL and n is not 0, or offset is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any
/// other errno of the system, negated, such as that of ESPIPE if p is no file.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has room for `n` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_pread(p: gmx_poll, buf: *mut c_void, n: usize, offset: i64) -> gmx_status {
    if !is_buffer(buf, n) || offset < 0 {
        return wrong(GMX_EINVAL);
    }
    let v = one(buf, n.min(crate::block::disk::MOST));
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { file::read(*m, p, &raw const v, 1, offset) }),
        Err(status) => status,
    }
}

/// As gmx_pread, into n places one after the other.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: as gmx_pread; GMX_EINVAL if v is NULL, or n or offset is negative.
/// Since: 0.2
///
/// # Safety
/// `v` is null, or has `n` elements, which describe memory that may be written to.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_preadv(p: gmx_poll, v: *const iovec, n: i32, offset: i64) -> gmx_status {
    if v.is_null() || n < 0 || offset < 0 {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { file::read(*m, p, v, n as usize, offset) }),
        Err(status) => status,
    }
}

/// Writes all n bytes, from the offset on. *done says how many bytes were written, whatever the status is; done may be
/// NULL. The place of the file does not matter and stays. If the file was opened with O_APPEND, the system writes at
/// its end instead.
///
/// The bytes are in the memory of the system then, not yet on a disk: see gmx_fsync.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK when all is written; and when less is: GMX_EBADF if p is closed, or not open for this; GMX_EINVAL if
/// buf is NULL and n is not 0, or offset is negative; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the
/// system, negated, such as that of ENOSPC.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has `n` bytes; `done` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_pwrite(
    p: gmx_poll,
    buf: *const c_void,
    n: usize,
    offset: i64,
    done: *mut usize,
) -> gmx_status {
    let v = one(buf.cast_mut(), n);
    let write = |m, done: &mut usize| {
        // SAFETY: the caller's promise.
        unsafe { file::write(m, p, &raw const v, 1, offset, done) }
    };
    // SAFETY: the caller's promise.
    unsafe { moved(is_buffer(buf, n) && offset >= 0, done, write) }
}

/// As gmx_pwrite, from n places one after the other.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: as gmx_pwrite; GMX_EINVAL if v is NULL, or n or offset is negative.
/// Since: 0.2
///
/// # Safety
/// `v` is null, or has `n` elements, which describe memory that may be read; `done` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_pwritev(
    p: gmx_poll,
    v: *const iovec,
    n: i32,
    offset: i64,
    done: *mut usize,
) -> gmx_status {
    let write = |m, done: &mut usize| {
        // SAFETY: the caller's promise.
        unsafe { file::write(m, p, v, n as usize, offset, done) }
    };
    // SAFETY: the caller's promise.
    unsafe { moved(!v.is_null() && n >= 0 && offset >= 0, done, write) }
}

/// Waits until all that was written to the file is on its disk, as fsync.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBADF if p is closed; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
/// negated: of EIO, and bytes that were written before are lost.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_fsync(p: gmx_poll) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(file::sync(*m, p, false)),
        Err(status) => status,
    }
}

/// As gmx_fsync, without what is not needed to read the bytes again, such as the times of the file.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: as gmx_fsync.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_fdatasync(p: gmx_poll) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(file::sync(*m, p, true)),
        Err(status) => status,
    }
}

/// Makes the file so many bytes long: cuts it, or adds zeros.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBADF if p is closed; GMX_EINVAL if it is not open for writing; GMX_ENOMEM; GMX_ENOTG,
/// GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_ftruncate(p: gmx_poll, size: i64) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(file::truncate(*m, p, size)),
        Err(status) => status,
    }
}

/// Takes room on the disk for n bytes from the offset on, or gives it back: mode as for fallocate of Linux, 0 to take
/// room and make the file that long.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBADF if p is closed, or not open for writing; GMX_ENOTSUP where the file system cannot;
/// GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_fallocate(p: gmx_poll, mode: i32, offset: i64, n: i64) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(file::allocate(*m, p, mode, offset, n)),
        Err(status) => status,
    }
}

/// Asks what a file is, as statx, whose flags and mask these are. Which file:
///
/// - p and no path (NULL): the file of the handle;
/// - a path and no handle (0): the file of that name;
/// - both: p is a directory, from which a relative path leads.
///
/// ```c
/// struct statx what;
/// gmx_status status = gmx_statx(file, NULL, 0, STATX_SIZE, &what);
/// if (status == GMX_OK) printf("%llu bytes\n", (unsigned long long)what.stx_size);
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EBADF if p is closed; GMX_EINVAL if out is NULL, or there is neither a handle nor a path;
/// GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `path` is null or terminated; `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_statx(
    p: gmx_poll,
    path: *const c_char,
    flags: i32,
    mask: u32,
    out: *mut statx,
) -> gmx_status {
    if out.is_null() || p == 0 && path.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => tried(unsafe { file::stat(*m, p, path, flags, mask, out) }),
        Err(status) => status,
    }
}

/// Reads the next entries of a directory into n bytes, as getdents64: each is a struct dirent64, and its d_reclen says
/// how many bytes it takes. "." and ".." are among them. The place of the directory moves on; lseek to 0 begins again.
///
/// ```c
/// struct dirent64 entries[16];
/// gmx_status n;
/// while ((n = gmx_readdir(directory, entries, sizeof entries)) > 0)
///     for (gmx_status at = 0; at < n;) {
///         struct dirent64 *entry = (struct dirent64 *)((char *)entries + at);
///         puts(entry->d_name);
///         at += entry->d_reclen;
///     }
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number of bytes; 0 when there are no more entries; GMX_EBADF if p is closed; GMX_EINVAL if buf is NULL,
/// or has no room for the next entry (280 bytes are enough for any); GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other
/// errno of the system, negated, such as that of ENOTDIR.
/// Since: 0.2
///
/// # Safety
/// `buf` is null, or has room for `n` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_readdir(p: gmx_poll, buf: *mut c_void, n: usize) -> gmx_status {
    if buf.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => count(unsafe { file::entries(*m, p, buf, n.min(crate::block::disk::MOST)) }),
        Err(status) => status,
    }
}

/// Gives a file another name. What has that name is replaced, unless flags is RENAME_NOREPLACE: flags as for renameat2.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if a path is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
/// negated.
/// Since: 0.2
///
/// # Safety
/// Both are null or terminated.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_rename(from: *const c_char, to: *const c_char, flags: u32) -> gmx_status {
    if from.is_null() || to.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => tried(unsafe { file::rename(*m, from, to, flags) }),
        Err(status) => status,
    }
}

/// Removes a name of a file, or with AT_REMOVEDIR as flags an empty directory.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if path is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
/// negated.
/// Since: 0.2
///
/// # Safety
/// `path` is null or terminated.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_unlink(path: *const c_char, flags: i32) -> gmx_status {
    if path.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => tried(unsafe { file::unlink(*m, path, flags) }),
        Err(status) => status,
    }
}

/// Makes a directory.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until the system is done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if path is NULL; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system,
/// negated.
/// Since: 0.2
///
/// # Safety
/// `path` is null or terminated.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_mkdir(path: *const c_char, mode: u32) -> gmx_status {
    if path.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        // SAFETY: the caller's promise.
        Ok(m) => tried(unsafe { file::mkdir(*m, path, mode) }),
        Err(status) => status,
    }
}

/// Copies n bytes from where one descriptor is to the other, or all until the end of the data (n is UINT64_MAX, or more
/// than there is). The bytes stay in the system where it can do that: from file to file (copy_file_range), from a file
/// to a connection (sendfile), from and to a pipe, and from connection to connection (splice). Otherwise they are read
/// and written. *done says how many bytes have come to the other end, whatever the status is; done may be NULL.
///
/// Between files and pipes any two may be copied; sockets have to be streams. A file is read and written at its place,
/// which moves on, as by gmx_read and gmx_write; readers of from and writers of to wait for their turn meanwhile. The
/// timeout limits the copy as a whole. What was read from a connection or a pipe and cannot be written any more is
/// lost; a file stays behind what was copied.
///
/// A connection that the library owns gets O_NONBLOCK.
///
/// ```c
/// uint64_t sent;
/// gmx_status status = gmx_copy(file, conn, UINT64_MAX, &sent, 30000000000);
/// if (status != GMX_OK) printf("%s after %llu bytes\n", gmx_strerror(status), (unsigned long long)sent);
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; no longer than timeout, except for files.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes, while it waits for an event.
/// Owns: nothing.
/// Returns: GMX_OK when n bytes are copied, or all that there are; and when less is: GMX_EPIPE if the other end of to
/// is closed; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EBADF if one of them is closed, also meanwhile, or not open for this;
/// GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; any other errno of the system, negated.
/// Since: 0.2
///
/// # Safety
/// `done` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_copy(from: gmx_poll, to: gmx_poll, n: u64, done: *mut u64, timeout: i64) -> gmx_status {
    let mut copied = 0;
    let status = match may_wait() {
        Ok(m) => tried(copy::copy(*m, from, to, n, timeout, &mut copied)),
        Err(status) => status,
    };
    if !done.is_null() {
        // SAFETY: the caller's promise.
        unsafe { *done = copied };
    }
    status
}

/// For gmx_io_op: what gmx_pread does.
pub const GMX_IO_READ: u32 = 0;
/// What gmx_pwrite does.
pub const GMX_IO_WRITE: u32 = 1;
/// What gmx_fsync does.
pub const GMX_IO_FSYNC: u32 = 2;
/// What gmx_fdatasync does.
pub const GMX_IO_FDATASYNC: u32 = 3;

/// An operation of gmx_io_batch.
#[repr(C)]
pub struct gmx_io_op {
    /// GMX_IO_READ and so on.
    pub op: u32,
    /// Written by gmx_io_batch: GMX_OK, also for a read that came to the end of the file; or what went wrong.
    pub status: gmx_status,
    pub p: gmx_poll,
    /// Of a read or a write.
    pub buf: *mut c_void,
    pub n: usize,
    pub offset: i64,
    /// Written by gmx_io_batch: how many bytes were read or written, whatever the status is.
    pub done: usize,
}

/// Does n operations on files at the same time, in no order, and returns when all of them are done. Each has a status
/// of its own. Reads of what is in memory are made by the caller; the others by as many goroutines as there may be such
/// calls at a time, so a disk has many of them to choose from.
///
/// A read and a write of the same place, or an fsync and a write, may come in either order: use two batches.
///
/// timeout: after it no operation is begun any more, and those that were not have GMX_ETIMEDOUT; those that were are
/// waited for. The buffers are the caller's again when the call returns, and not before.
///
/// ```c
/// gmx_io_op ops[2] = {
///     {GMX_IO_READ, 0, file, head, sizeof head, 0, 0},
///     {GMX_IO_READ, 0, file, tail, sizeof tail, at, 0},
/// };
/// gmx_status status = gmx_io_batch(ops, 2, GMX_FOREVER);
/// if (status == GMX_OK && ops[1].status == GMX_OK) printf("%zu bytes\n", ops[1].done);
/// ```
///
/// Blocks: the calling goroutine; on a foreign thread, the thread; until all operations that were begun are done.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK when all were begun and are done, whatever their statuses are; GMX_ETIMEDOUT if some were not begun;
/// GMX_EINVAL if ops is NULL and n is not 0; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `ops` is null, or has `n` elements, which no other thread uses; each of them has a buffer as gmx_pread or gmx_pwrite
/// wants it.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_io_batch(ops: *mut gmx_io_op, n: usize, timeout: i64) -> gmx_status {
    if ops.is_null() && n != 0 {
        return wrong(GMX_EINVAL);
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { (*ops.wrapping_add(i)).status = NOT_DONE };
    }
    tried(batch::run(*m, &Ops { ops, n }, waitq::deadline_of(timeout)))
}

/// Of an operation that waits; no status.
const NOT_DONE: gmx_status = 1;

struct Ops {
    ops: *mut gmx_io_op,
    n: usize,
}

// SAFETY: the batch passes each operation to one thread, and the host uses none of them meanwhile.
unsafe impl Sync for Ops {}

impl batch::Ops for Ops {
    fn count(&self) -> usize {
        self.n
    }

    fn get(&self, i: usize) -> crate::gmp::Result<batch::Op> {
        // SAFETY: the caller's promise, and that of `Ops`.
        let op = unsafe { &*self.ops.wrapping_add(i) };
        let what = match op.op {
            GMX_IO_READ => batch::What::Read,
            GMX_IO_WRITE => batch::What::Write,
            GMX_IO_FSYNC => batch::What::Sync,
            GMX_IO_FDATASYNC => batch::What::DataSync,
            _ => return Err(Error::Invalid),
        };
        if op.op <= GMX_IO_WRITE && (op.offset < 0 || !is_buffer(op.buf, op.n)) {
            return Err(Error::Invalid);
        }
        Ok(batch::Op { what, handle: op.p, buf: op.buf, n: op.n.min(crate::block::disk::MOST), at: op.offset })
    }

    fn set(&self, i: usize, r: crate::gmp::Result<()>, done: usize) {
        // SAFETY: as in `get`.
        let op = unsafe { &mut *self.ops.wrapping_add(i) };
        op.done = done;
        op.status = r.map_or_else(status::plain, |()| GMX_OK);
    }

    fn is_done(&self, i: usize) -> bool {
        // SAFETY: as in `get`.
        unsafe { (*self.ops.wrapping_add(i)).status != NOT_DONE }
    }
}
