//! Reads and writes of files: what is in memory at once, the rest on a thread of its own.
//!
//! # Problem
//! A read of a file mostly finds its bytes in memory, and then takes a microsecond; but it may wait for a disk. A
//! syscall with a P to give away for each read would cost more than the read. And a read without waiting may end in the
//! middle of what was asked for, where the bytes in memory end, although it is not the end of the file.
//!
//! # Protocol
//! * DISK-R1 A read first takes what is in memory (RWF_NOWAIT), on its P. If that is all, it is done.
//! * DISK-R2 It reads the rest as a call that may block ([`super::offload`]), until there is no more: only 0 is the end
//!   of the file. If there was nothing in memory, the call is expected to block.
//! * DISK-R3 A file system that has no reads without waiting says so at the first one. Its descriptor remembers that.
//! * DISK-R4 A descriptor with O_DIRECT goes past the memory of the system. A read without waiting waits for the disk
//!   all the same there, and would do so on its P. So such a descriptor counts as one without such reads from the
//!   beginning ([`super::fd::open`]), and each of its calls is expected to block. (If the host sets O_DIRECT later,
//!   the reads stay right, and block their Ps.)
//! * DISK-W1 A write is a call that may block, and mostly does not. It is repeated until all is written.
//!
//! The 0 of a read without waiting is not the end: Linux 5.9 and 5.10 return it elsewhere, too.
//!
//! # Rejected
//! * Writes without waiting: the common file systems refuse them (EOPNOTSUPP), or write part.

use super::offload::{self, Lasts};
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::sync::{AtomicBool, Ordering};
use crate::sys::file;
use crate::sys::io::iovec;

/// The most parts of one call.
pub const MOST_PARTS: usize = 1024;
/// The most bytes of one call that are promised: a status has room for the number.
pub const MOST: usize = 1 << 30;

/// Several places of the host's, one after the other, and how far a caller is with them.
pub struct Parts {
    v: *const iovec,
    n: usize,
    /// The part that is next, and how many bytes are in those before it.
    part: usize,
    before: usize,
}

impl Parts {
    pub fn new(v: *const iovec, n: usize) -> Parts {
        Parts { v, n, part: 0, before: 0 }
    }

    /// # Safety
    /// There are as many places as said.
    pub unsafe fn length(&self) -> usize {
        // SAFETY: the caller's promise.
        (0..self.n).fold(0usize, |sum, i| sum.saturating_add(unsafe { &*self.v.wrapping_add(i) }.iov_len))
    }

    /// Calls `f` with what is left after `done` bytes, which are no fewer than in the call before, and not all; or with
    /// the rest of the first place that is left.
    ///
    /// # Safety
    /// There are as many places as said.
    pub unsafe fn after<R>(&mut self, done: usize, f: impl FnOnce(*const iovec, i32) -> R) -> R {
        loop {
            // SAFETY: there are bytes left, so there is such a part.
            let len = unsafe { &*self.v.wrapping_add(self.part) }.iov_len;
            if done - self.before < len {
                break;
            }
            self.before += len;
            self.part += 1;
        }
        let (skip, rest) = (done - self.before, self.v.wrapping_add(self.part));
        if skip == 0 {
            return f(rest, (self.n - self.part).min(MOST_PARTS) as i32);
        }
        // SAFETY: as above.
        let first = unsafe { &*rest };
        let left = file::one(first.iov_base.wrapping_byte_add(skip), first.iov_len - skip);
        f(&raw const left, 1)
    }
}

fn is(r: isize, errno: i32) -> bool {
    r == -(errno as isize)
}

/// The offset of what is left after `done` bytes.
fn behind(at: i64, done: usize) -> i64 {
    if at == file::HERE { at } else { at.saturating_add(done as i64) }
}

/// DISK-R1. The bytes that were read, or a negative errno. What is left is to be read in another way.
///
/// # Safety
/// As for [`read`].
unsafe fn read_now(number: i32, waits: &AtomicBool, parts: &mut Parts, at: i64) -> isize {
    // DISK-R3
    if waits.load(Ordering::Relaxed) {
        return 0;
    }
    // SAFETY: the caller's promise.
    let call = |v, n| unsafe { file::read_now(number, v, n, at) };
    // SAFETY: the caller's promise.
    let r = unsafe { parts.after(0, call) };
    if is(r, libc::EOPNOTSUPP) {
        waits.store(true, Ordering::Relaxed);
        return 0;
    }
    r
}

/// DISK-R1 alone. None: it is to be read in another way, if not all of it is in memory.
///
/// # Safety
/// As for [`read`].
pub unsafe fn read_if_there(number: i32, waits: &AtomicBool, mut parts: Parts, at: i64) -> Option<Result<usize>> {
    // SAFETY: the caller's promise.
    let all = unsafe { parts.length() };
    if all == 0 {
        return Some(Ok(0));
    }
    // SAFETY: the caller's promise.
    let r = unsafe { read_now(number, waits, &mut parts, at) };
    if r < 0 && !is(r, libc::EAGAIN) {
        return Some(Err(Error::Os(-r as i32)));
    }
    (r > 0 && r as usize == all).then_some(Ok(all))
}

/// Reads all, unless the file ends before. `waits`: the memory of DISK-R3.
///
/// # Migrates
///
/// # Safety
/// `parts` describes memory of the host's that may be written to.
pub unsafe fn read(mut m: MRef, number: i32, waits: &AtomicBool, mut parts: Parts, at: i64) -> (MRef, Result<usize>) {
    // SAFETY: the caller's promise.
    let all = unsafe { parts.length() };
    if all == 0 {
        return (m, Ok(0));
    }
    // SAFETY: the caller's promise.
    let first = unsafe { read_now(number, waits, &mut parts, at) };
    if first < 0 && !is(first, libc::EAGAIN) {
        return (m, Err(Error::Os(-first as i32)));
    }
    let mut lasts = if first < 0 { Lasts::Long } else { expected(number, waits) };
    let mut done = first.max(0) as usize;
    // DISK-R2. (What is beyond `MOST` may be left to the next call.)
    while done < all && (done == 0 || all <= MOST) {
        let r;
        // SAFETY: the caller's promise.
        let call = |v, n| unsafe { file::read(number, v, n, behind(at, done)) };
        // SAFETY: the caller's promise.
        (m, r) = offload::file(m, lasts, || unsafe { parts.after(done, call) });
        match r {
            Ok(0) => break,
            Ok(r) if r > 0 => done += r as usize,
            _ if done > 0 => break,
            Ok(r) => return (m, Err(Error::Os(-r as i32))),
            Err(e) => return (m, Err(e)),
        }
        lasts = Lasts::Short;
    }
    (m, Ok(done))
}

/// How long a call on a descriptor is expected to block, as far as that is known of it (DISK-R4).
fn expected(number: i32, waits: &AtomicBool) -> Lasts {
    if waits.load(Ordering::Relaxed) && file::is_direct(number) { Lasts::Long } else { Lasts::Short }
}

/// DISK-W1. `done` says how many bytes were written, also in an error.
///
/// # Migrates
///
/// # Safety
/// `parts` describes memory of the host's that may be read.
pub unsafe fn write(
    mut m: MRef,
    number: i32,
    waits: &AtomicBool,
    mut parts: Parts,
    at: i64,
    done: &mut usize,
) -> (MRef, Result<()>) {
    *done = 0;
    // SAFETY: the caller's promise.
    let all = unsafe { parts.length() };
    let lasts = expected(number, waits);
    while *done < all {
        let r;
        let from = *done;
        // SAFETY: the caller's promise.
        let call = |v, n| unsafe { file::write(number, v, n, behind(at, from)) };
        // SAFETY: the caller's promise.
        (m, r) = offload::file(m, lasts, || unsafe { parts.after(from, call) });
        match r {
            Ok(0) => return (m, Err(Error::Os(libc::EIO))),
            Ok(r) if r > 0 => *done += r as usize,
            Ok(r) => return (m, Err(Error::Os(-r as i32))),
            Err(e) => return (m, Err(e)),
        }
    }
    (m, Ok(()))
}
