//! Calls on files: by handles, and by paths.
//!
//! Regular files are always ready, as the system sees it, so none of these calls waits for an event. Each runs to its
//! end ([`super::offload`]): no timeout and no token ends it, and a handle is closed when the last call has left. Reads
//! and writes at an offset take no lock of the handle: any number may be under way.

use super::disk::{self, Parts};
use super::fd;
use super::offload::{self, Lasts};
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::sys::file;
use crate::sys::io;
use crate::sys::io::iovec;
use crate::sys::without::is_sealed;
use std::ffi::{c_char, c_void};

/// A result of the system.
fn told(r: Result<i32>) -> Result<i32> {
    match r {
        Ok(r) if r < 0 => Err(Error::Os(-r)),
        r => r,
    }
}

/// Opens a file, as a handle that owns its descriptor.
///
/// # Migrates
///
/// # Safety
/// `path` is a text of the host's.
pub unsafe fn open(m: MRef, path: *const c_char, flags: i32, mode: u32) -> Result<u64> {
    if is_sealed() {
        return Err(Error::Os(libc::ENOTSUP));
    }
    // SAFETY: the caller's promise.
    let (m, number) = offload::file(m, Lasts::Short, || unsafe { file::open(path, flags, mode) });
    let number = told(number)?;
    fd::open(m, number, false, false).inspect_err(|_| io::close(number))
}

/// A call on the descriptor of a handle.
///
/// # Migrates
fn on(m: MRef, handle: u64, lasts: Lasts, f: impl FnOnce(i32) -> i32) -> Result<i32> {
    fd::inside(m, handle, |m, number, _| {
        let (m, r) = offload::file(m, lasts, || f(number));
        (m, told(r))
    })
}

/// A call on paths.
///
/// # Migrates
fn by_path(m: MRef, f: impl FnOnce() -> i32) -> Result<()> {
    told(offload::file(m, Lasts::Short, f).1).map(|_| ())
}

/// Reads from `at` on, until all is read or the file ends.
///
/// # Migrates
///
/// # Safety
/// `v` has `n` elements, as readv wants them.
pub unsafe fn read(m: MRef, handle: u64, v: *const iovec, n: usize, at: i64) -> Result<usize> {
    fd::inside(m, handle, |m, number, waits| {
        // SAFETY: the caller's promise.
        unsafe { disk::read(m, number, waits, Parts::new(v, n), at) }
    })
}

/// Reads what is in memory, if that is all. None: it is to be read by [`read`].
///
/// # Migrates
///
/// # Safety
/// `buf` is the host's, with room for `n` bytes.
pub unsafe fn read_now(m: MRef, handle: u64, buf: *mut c_void, n: usize, at: i64) -> Option<Result<usize>> {
    let v = file::one(buf, n);
    let r = fd::inside(m, handle, |m, number, waits| {
        // SAFETY: the caller's promise.
        (m, Ok(unsafe { disk::read_if_there(number, waits, Parts::new(&raw const v, 1), at) }))
    });
    r.unwrap_or_else(|e| Some(Err(e)))
}

/// Writes all, from `at` on. `done` says how many bytes were written, also in an error.
///
/// # Migrates
///
/// # Safety
/// `v` has `n` elements, as writev wants them.
pub unsafe fn write(m: MRef, handle: u64, v: *const iovec, n: usize, at: i64, done: &mut usize) -> Result<()> {
    fd::inside(m, handle, |m, number, waits| {
        // SAFETY: the caller's promise.
        unsafe { disk::write(m, number, waits, Parts::new(v, n), at, done) }
    })
}

/// Writes to the disk what was written to the file; `data`: without times and the like.
///
/// # Migrates
pub fn sync(m: MRef, handle: u64, data: bool) -> Result<()> {
    on(m, handle, Lasts::Long, |number| file::sync(number, data)).map(|_| ())
}

/// # Migrates
pub fn truncate(m: MRef, handle: u64, size: i64) -> Result<()> {
    on(m, handle, Lasts::Short, |number| file::truncate(number, size)).map(|_| ())
}

/// # Migrates
pub fn allocate(m: MRef, handle: u64, mode: i32, at: i64, size: i64) -> Result<()> {
    on(m, handle, Lasts::Short, |number| file::allocate(number, mode, at, size)).map(|_| ())
}

/// `handle`: a directory, from which the path leads, or the file itself if the path is null; 0: the directory of the
/// process.
///
/// # Migrates
///
/// # Safety
/// `path` is null or a text of the host's, and `out` has room for a `struct statx`.
pub unsafe fn stat(
    m: MRef,
    handle: u64,
    path: *const c_char,
    flags: i32,
    mask: u32,
    out: *mut file::statx,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let stat = |number| unsafe { file::stat(number, path, flags, mask, out) };
    match handle {
        0 => by_path(m, || stat(None)),
        handle => on(m, handle, Lasts::Short, |number| stat(Some(number))).map(|_| ()),
    }
}

/// The next entries of a directory; 0: there are no more.
///
/// # Migrates
///
/// # Safety
/// `buf` is the host's, with room for `n` bytes.
pub unsafe fn entries(m: MRef, handle: u64, buf: *mut c_void, n: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    on(m, handle, Lasts::Short, |number| unsafe { file::entries(number, buf, n) }).map(|n| n as usize)
}

/// # Migrates
///
/// # Safety
/// Both are texts of the host's.
pub unsafe fn rename(m: MRef, from: *const c_char, to: *const c_char, flags: u32) -> Result<()> {
    // SAFETY: the caller's promise.
    by_path(m, || unsafe { file::rename(from, to, flags) })
}

/// # Migrates
///
/// # Safety
/// `path` is a text of the host's.
pub unsafe fn unlink(m: MRef, path: *const c_char, flags: i32) -> Result<()> {
    // SAFETY: the caller's promise.
    by_path(m, || unsafe { file::unlink(path, flags) })
}

/// # Migrates
///
/// # Safety
/// `path` is a text of the host's.
pub unsafe fn mkdir(m: MRef, path: *const c_char, mode: u32) -> Result<()> {
    // SAFETY: the caller's promise.
    by_path(m, || unsafe { file::mkdir(path, mode) })
}
