//! Linux: calls on files, which the system cannot report as ready. The contract is in [`crate::sys`].
//!
//! A result is a number, or a negative errno. A call that a signal has interrupted is made again. No call here switches
//! stacks. Each may wait for a disk, except [`read_now`].
//!
//! A path or a pointer comes from the host. The system checks it.

use super::held;
use super::io::{call, iovec};
use core::ffi::{c_char, c_int, c_void};

/// In place of an offset: where the file is, which moves on.
pub const HERE: i64 = -1;

const CWD: usize = libc::AT_FDCWD as isize as usize;

/// Reads what is in memory. EAGAIN: nothing is; EOPNOTSUPP: the file has no such reads.
///
/// # Safety
/// `v` is the host's, with `n` elements, as readv wants them.
pub unsafe fn read_now(fd: c_int, v: *const iovec, n: c_int, at: i64) -> isize {
    held::nothing_for("preadv2");
    // SAFETY: the caller's promise.
    let r = unsafe { vectored(libc::SYS_preadv2, fd, v, n, at, libc::RWF_NOWAIT) };
    // An older system says otherwise that it has no such call, and so may a filter. What is wrong with this call, the
    // next one says as well.
    match -r as i32 {
        libc::ENOSYS | libc::EINVAL | libc::EPERM if r < 0 => -(libc::EOPNOTSUPP as isize),
        _ => r,
    }
}

/// # Safety
/// As for [`read_now`].
pub unsafe fn read(fd: c_int, v: *const iovec, n: c_int, at: i64) -> isize {
    held::nothing_for("a read");
    match at {
        // SAFETY: the caller's promise.
        HERE => unsafe { call(libc::SYS_readv, fd, [v as usize, n as usize, 0, 0, 0]) },
        // SAFETY: the caller's promise.
        at => unsafe { vectored(libc::SYS_preadv, fd, v, n, at, 0) },
    }
}

/// # Safety
/// `v` is the host's, with `n` elements, as writev wants them.
pub unsafe fn write(fd: c_int, v: *const iovec, n: c_int, at: i64) -> isize {
    held::nothing_for("a write");
    match at {
        // SAFETY: the caller's promise.
        HERE => unsafe { call(libc::SYS_writev, fd, [v as usize, n as usize, 0, 0, 0]) },
        // SAFETY: the caller's promise.
        at => unsafe { vectored(libc::SYS_pwritev, fd, v, n, at, 0) },
    }
}

/// The kernel takes the offset in two halves, of which the first is all of it where a long has 64 bits.
///
/// # Safety
/// As for the call of the system.
unsafe fn vectored(what: libc::c_long, fd: c_int, v: *const iovec, n: c_int, at: i64, flags: c_int) -> isize {
    let high = if at == HERE { usize::MAX } else { 0 };
    // SAFETY: the caller's promise.
    unsafe { call(what, fd, [v as usize, n as usize, at as usize, high, flags as usize]) }
}

/// Opens a file, which exec closes.
///
/// # Safety
/// `path` is a text of the host's.
pub unsafe fn open(path: *const c_char, flags: c_int, mode: u32) -> i32 {
    held::nothing_for("openat");
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_openat, libc::AT_FDCWD, [path as usize, flags as usize, mode as usize, 0, 0]) as i32 }
}

/// Whether its reads and writes go past the memory of the system (O_DIRECT).
pub fn is_direct(fd: c_int) -> bool {
    held::nothing_for("fcntl");
    // SAFETY: takes numbers.
    let flags = unsafe { call(libc::SYS_fcntl, fd, [libc::F_GETFL as usize, 0, 0, 0, 0]) as i32 };
    flags >= 0 && flags & libc::O_DIRECT != 0
}

/// Writes to the disk what was written to the file; `data`: without times and the like.
pub fn sync(fd: c_int, data: bool) -> i32 {
    held::nothing_for("fsync");
    let what = if data { libc::SYS_fdatasync } else { libc::SYS_fsync };
    // SAFETY: takes a number.
    unsafe { call(what, fd, [0; 5]) as i32 }
}

pub fn truncate(fd: c_int, size: i64) -> i32 {
    held::nothing_for("ftruncate");
    // SAFETY: takes numbers.
    unsafe { call(libc::SYS_ftruncate, fd, [size as usize, 0, 0, 0, 0]) as i32 }
}

pub fn allocate(fd: c_int, mode: c_int, at: i64, size: i64) -> i32 {
    held::nothing_for("fallocate");
    // SAFETY: takes numbers.
    unsafe { call(libc::SYS_fallocate, fd, [mode as usize, at as usize, size as usize, 0, 0]) as i32 }
}

#[allow(non_camel_case_types)]
pub type statx = libc::statx;

/// What a file is. `fd`: a directory, from which the path leads, or the file itself if the path is null; None: the path
/// leads from the directory of the process.
///
/// # Safety
/// `path` is null or a text of the host's, and `out` has room for a `struct statx`.
pub unsafe fn stat(fd: Option<c_int>, path: *const c_char, flags: c_int, mask: u32, out: *mut statx) -> i32 {
    held::nothing_for("statx");
    let (path, flags) = if path.is_null() { (c"".as_ptr(), flags | libc::AT_EMPTY_PATH) } else { (path, flags) };
    let fd = fd.unwrap_or(libc::AT_FDCWD);
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_statx, fd, [path as usize, flags as usize, mask as usize, out as usize, 0]) as i32 }
}

/// The next entries of a directory, each a `struct dirent64`; 0: there are no more.
///
/// # Safety
/// `buf` is the host's, with room for `n` bytes.
pub unsafe fn entries(fd: c_int, buf: *mut c_void, n: usize) -> i32 {
    held::nothing_for("getdents64");
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_getdents64, fd, [buf as usize, n, 0, 0, 0]) as i32 }
}

/// # Safety
/// Both are texts of the host's.
pub unsafe fn rename(from: *const c_char, to: *const c_char, flags: u32) -> i32 {
    held::nothing_for("renameat2");
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_renameat2, libc::AT_FDCWD, [from as usize, CWD, to as usize, flags as usize, 0]) as i32 }
}

/// # Safety
/// `path` is a text of the host's.
pub unsafe fn unlink(path: *const c_char, flags: c_int) -> i32 {
    held::nothing_for("unlinkat");
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_unlinkat, libc::AT_FDCWD, [path as usize, flags as usize, 0, 0, 0]) as i32 }
}

/// # Safety
/// `path` is a text of the host's.
pub unsafe fn mkdir(path: *const c_char, mode: u32) -> i32 {
    held::nothing_for("mkdirat");
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_mkdirat, libc::AT_FDCWD, [path as usize, mode as usize, 0, 0, 0]) as i32 }
}

// ---- copies within the system ---------------------------------------------------------------------------------------

/// From file to file.
pub fn copy_range(from: c_int, to: c_int, n: usize) -> isize {
    held::nothing_for("copy_file_range");
    // SAFETY: null for both offsets: where the files are.
    unsafe { call(libc::SYS_copy_file_range, from, [0, to as usize, 0, n, 0]) }
}

/// From a file. It waits unless `to` does not; and raises SIGPIPE.
pub fn sendfile(from: c_int, to: c_int, n: usize) -> isize {
    held::nothing_for("sendfile");
    // SAFETY: null for the offset: where the file is.
    unsafe { call(libc::SYS_sendfile, to, [from as usize, 0, n, 0, 0]) }
}

/// From or to a pipe. It does not wait for the pipe; for the other it may, unless that does not wait. It raises
/// SIGPIPE.
pub fn splice(from: c_int, to: c_int, n: usize) -> isize {
    held::nothing_for("splice");
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    // SAFETY: null for both offsets.
    unsafe { call(libc::SYS_splice, from, [0, to as usize, 0, n, flags as usize]) }
}

/// A pipe that does not wait: the end that is read, and the one that is written.
pub fn pipe() -> Result<[c_int; 2], i32> {
    held::nothing_for("pipe2");
    let _errno = super::linux::KeepErrno::new();
    let mut fds = [0; 2];
    // SAFETY: room for two.
    match unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } {
        0 => Ok(fds),
        _ => Err(super::c::errno()),
    }
}

/// Moves the place of a file; what has no place stays.
pub fn seek_by(fd: c_int, by: i64) {
    held::nothing_for("lseek");
    // SAFETY: takes numbers.
    unsafe { call(libc::SYS_lseek, fd, [by as usize, libc::SEEK_CUR as usize, 0, 0, 0]) };
}

/// One place, as a vector.
pub fn one(buf: *mut c_void, n: usize) -> iovec {
    iovec { iov_base: buf, iov_len: n }
}
