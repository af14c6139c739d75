//! Reading and writing bytes.

use super::call::{locked, note_drained};
use super::{Fd, MOST, MOST_PARTS, Way, with};
use crate::block::disk::{self, Parts};
use crate::block::vain;
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::sys::file;
use crate::sys::io::{self, Kind, Means, iovec};
use std::ffi::c_void;

/// Reads what is there, at most `n` bytes.
///
/// # Migrates
///
/// # Safety
/// `buf` is the host's, with room for `n` bytes.
pub unsafe fn read(m: MRef, handle: u64, buf: *mut c_void, n: usize, timeout: i64) -> Result<usize> {
    let n = n.min(MOST);
    if n == 0 {
        return with(m, handle, |_| Ok(0));
    }
    locked(m, handle, Way::Read, timeout, |m, fd, until| {
        if fd.kind() == Kind::File {
            let v = file::one(buf, n);
            // SAFETY: the caller's promise.
            return unsafe { fd.read_file(m, Parts::new(&raw const v, 1)) };
        }
        fd.repeat(m, Way::Read, None, until, |d, seen, by| {
            // SAFETY: the caller's promise.
            note_drained(d, seen, unsafe { io::read(fd.number.get(), by, buf, n) }, n)
        })
    })
}

/// As [`read`], into several places.
///
/// # Migrates
///
/// # Safety
/// `v` has `n` elements, as readv wants them.
pub unsafe fn readv(m: MRef, handle: u64, v: *const iovec, n: usize, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    let wanted = unsafe { Parts::new(v, n).length() };
    if wanted == 0 {
        return with(m, handle, |_| Ok(0));
    }
    let parts = n.min(MOST_PARTS) as i32;
    locked(m, handle, Way::Read, timeout, |m, fd, until| {
        if fd.kind() == Kind::File {
            // SAFETY: the caller's promise.
            return unsafe { fd.read_file(m, Parts::new(v, n)) };
        }
        fd.repeat(m, Way::Read, None, until, |d, seen, by| {
            // SAFETY: the caller's promise.
            note_drained(d, seen, unsafe { io::readv(fd.number.get(), by, v, parts) }, wanted)
        })
    })
}

/// Writes all `n` bytes. `done` says how many were written, also in an error.
///
/// # Migrates
///
/// # Safety
/// `buf` is the host's, with `n` bytes.
pub unsafe fn write(m: MRef, handle: u64, buf: *const c_void, n: usize, timeout: i64, done: &mut usize) -> Result<()> {
    write_all(m, handle, n, timeout, done, |fd, by, done| {
        // SAFETY: the caller's promise.
        unsafe { io::write(fd, by, buf.wrapping_byte_add(done), (n - done).min(MOST)) }
    })
}

/// As [`write()`], from several places.
///
/// # Migrates
///
/// # Safety
/// `v` has `n` elements, as writev wants them.
pub unsafe fn writev(m: MRef, handle: u64, v: *const iovec, n: usize, timeout: i64, done: &mut usize) -> Result<()> {
    let mut parts = Parts::new(v, n);
    // SAFETY: the caller's promise.
    let all = unsafe { parts.length() };
    write_all(m, handle, all, timeout, done, |fd, by, done| {
        // SAFETY: the caller's promise.
        let call = |v, n| unsafe { io::writev(fd, by, v, n) };
        // SAFETY: the caller's promise.
        unsafe { parts.after(done, call) }
    })
}

/// Makes calls until all `n` bytes are written. `f` writes what is behind the bytes that are done.
///
/// # Migrates
fn write_all(
    m: MRef,
    handle: u64,
    n: usize,
    timeout: i64,
    done: &mut usize,
    mut f: impl FnMut(i32, Means, usize) -> isize,
) -> Result<()> {
    *done = 0;
    if n == 0 {
        return with(m, handle, |_| Ok(()));
    }
    locked(m, handle, Way::Write, timeout, |mut m, fd, until| {
        loop {
            let r;
            (m, r) = fd.repeat(m, Way::Write, None, until, |_, _, by| match fd.kind() {
                Kind::Pipe => io::to_pipe(by, |by| f(fd.number.get(), by, *done)),
                _ => f(fd.number.get(), by, *done),
            });
            match r {
                Ok(0) => return (m, Err(Error::Os(libc::EIO))),
                Ok(r) => *done += r,
                Err(e) => return (m, Err(e)),
            }
            if *done >= n {
                return (m, Ok(()));
            }
            // FD-A7
            m = vain::serve(m);
        }
    })
}

/// Reads until `n` bytes are there. `done` says how many were read, also in an error. EPIPE: the data ended before.
///
/// # Migrates
///
/// # Safety
/// `buf` is the host's, with room for `n` bytes.
pub unsafe fn read_full(
    m: MRef,
    handle: u64,
    buf: *mut c_void,
    n: usize,
    timeout: i64,
    done: &mut usize,
) -> Result<()> {
    *done = 0;
    if n == 0 {
        return with(m, handle, |_| Ok(()));
    }
    locked(m, handle, Way::Read, timeout, |mut m, fd, until| {
        loop {
            let (at, rest) = (buf.wrapping_byte_add(*done), (n - *done).min(MOST));
            let r;
            (m, r) = fd.repeat(m, Way::Read, None, until, |d, seen, by| {
                // SAFETY: the caller's promise.
                note_drained(d, seen, unsafe { io::read(fd.number.get(), by, at, rest) }, rest)
            });
            match r {
                Ok(0) => return (m, Err(Error::Os(libc::EPIPE))),
                Ok(r) => *done += r,
                Err(e) => return (m, Err(e)),
            }
            if *done >= n {
                return (m, Ok(()));
            }
            // FD-A7
            m = vain::serve(m);
        }
    })
}

impl Fd {
    /// A read of a file, by the holder of the lock.
    ///
    /// # Migrates
    ///
    /// # Safety
    /// As for [`disk::read`].
    unsafe fn read_file(&self, m: MRef, parts: Parts) -> (MRef, Result<usize>) {
        match self.may(&self.read) {
            // SAFETY: the caller's promise.
            Ok(()) => unsafe { disk::read(m, self.number.get(), &self.waits, parts, file::HERE) },
            Err(e) => (m, Err(e)),
        }
    }
}
