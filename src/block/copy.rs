//! Copies from one descriptor to another, within the system where it can.
//!
//! # Problem
//! The system moves bytes between descriptors without showing them to the process: but which call does so depends on
//! what both are, some of these calls wait where others do not, and each refuses some files. A copy waits now for the
//! one side and now for the other, and must leave when either is closed.
//!
//! # Words
//! | way | from, to | by |
//! |---|---|---|
//! | `Range` | file, file | copy_file_range |
//! | `Send` | file, stream socket | sendfile |
//! | `Splice` | a pipe on either side | splice |
//! | `Relay` | stream socket, stream socket | splice into a pipe of the copy's own, and out of it |
//! | `Bytes` | all else | read and write |
//!
//! # Protocol
//! * COPY-P1 The copy takes the lock of the readers of `from` and that of the writers of `to`, in this order (FD-A2):
//!   no copy that holds the second waits for the first.
//! * COPY-P2 It notes at each direction where it waits when it does not wait there, executes a fence, and only then
//!   looks whether a handle is closed or a deadline has passed. The closer, or the setter of a deadline, changes that,
//!   wakes the direction, executes a fence, and wakes the place that is noted there (FD-C2, FD-D1).
//! * COPY-P3 A round reads both counts of edges, does COPY-P2's look, and makes one call. If that had nothing to do,
//!   the copy waits at the side that was not ready, for an edge after the count (FD-A6).
//! * COPY-P4 A call that refuses these files makes the rest a copy of `Bytes`. So does the first end of a `Range`: the
//!   system says so of files that it makes up, as in /proc.
//! * COPY-P5 After each call requests to the P are served (FD-A7).
//!
//! # Invariants
//! * COPY-I1 `done` counts what `to` has taken. A file that was read is put back to behind that. What was read from
//!   anything else and not taken when the copy ended early is lost.
//! * COPY-I2 No call waits with a P: sockets whose calls wait are told not to, and where that must not be (a borrowed
//!   one) the copy is one of `Bytes`. Calls on files are made as in file.rs.
//! * COPY-I3 No call raises a signal.
//!
//! A copy that waits for its turn to write to `to` (COPY-P1) does not see that `from` is closed: the closer waits.

use super::fd::call::Until;
use super::fd::{self, Fd, Way};
use super::offload::{self, Lasts};
use super::vain;
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::gmp::p::blocks;
use crate::sync::{Ordering, fence};
use crate::sys::file;
use crate::sys::io::{self, Kind, Means};
use crate::sys::poll::{IN, OUT};
use std::alloc::Layout;
use std::ptr::{from_ref, null_mut};

/// The most bytes of one call: other calls on the P wait no longer.
const CHUNK: usize = 4 << 20;
/// The room for bytes on their way; as much as a pipe has.
const ROOM: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Range,
    Send,
    Splice,
    Relay,
    Bytes,
}

/// What came of a call.
enum Step {
    /// So many bytes have come into the copy's room.
    In(usize),
    /// So many bytes have come to `to`.
    Out(usize),
    End,
    /// This side was not ready.
    Not(Way),
    Refused(i32),
}

struct Copy<'a> {
    from: &'a Fd,
    to: &'a Fd,
    by: By,
    /// The pipe of `Relay`.
    pipe: Option<[i32; 2]>,
    /// The buffer of `Bytes`: null until it is needed.
    room: *mut u8,
    /// The bytes in the pipe, or in the room: so many, of which so many are out.
    held: usize,
    out: usize,
}

const LAYOUT: Layout = match Layout::from_size_align(ROOM, 16) {
    Ok(layout) => layout,
    Err(_) => unreachable!(),
};

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        for end in self.pipe.into_iter().flatten() {
            io::close(end);
        }
        if !self.room.is_null() {
            // SAFETY: allocated with this layout.
            unsafe { blocks::dealloc(self.room, LAYOUT) };
        }
        if self.by == By::Bytes && self.held > self.out && self.from.kind() == Kind::File {
            // COPY-I1
            file::seek_by(self.from.number(), self.out as i64 - self.held as i64);
        }
    }
}

/// Whether the calls on a descriptor of a connection can be made without waiting (COPY-I2).
fn does_not_wait(fd: &Fd) -> bool {
    io::is_nonblocking(fd.number()) || fd.is_own() && io::set_nonblocking(fd.number(), true)
}

fn choose(from: &Fd, to: &Fd) -> By {
    let stream = |kind| matches!(kind, Kind::Tcp | Kind::UnixStream);
    let (a, b) = (from.kind(), to.kind());
    let by = match (a, b) {
        (Kind::File, Kind::File) => By::Range,
        (Kind::File, b) if stream(b) => By::Send,
        (Kind::Pipe, b) if b == Kind::File || b == Kind::Pipe || stream(b) => By::Splice,
        (a, Kind::Pipe) if a == Kind::File || stream(a) => By::Splice,
        (a, b) if stream(a) && stream(b) => By::Relay,
        _ => By::Bytes,
    };
    let may = by == By::Bytes || [from, to].into_iter().all(|fd| !stream(fd.kind()) || does_not_wait(fd));
    if may { by } else { By::Bytes }
}

/// Copies `n` bytes, or until there are no more. `done` says how many came to `to`, also in an error.
///
/// # Migrates
pub fn copy(m: MRef, from: u64, to: u64, n: u64, timeout: i64, done: &mut u64) -> Result<()> {
    *done = 0;
    let a = fd::enter(m, from)?;
    let b = match fd::enter(m, to) {
        Ok(b) => b,
        Err(e) => {
            fd::leave(m, a);
            return Err(e);
        }
    };
    let mut until = Until::new(timeout);
    // COPY-P1
    let (mut m, mut got) = a.lock(m, Way::Read, &mut until);
    if got.is_ok() {
        (m, got) = b.lock(m, Way::Write, &mut until);
        if got.is_ok() {
            let mut copy = Copy { from: a, to: b, by: choose(a, b), pipe: None, room: null_mut(), held: 0, out: 0 };
            (m, got) = copy.run(m, n, &mut until, done);
            drop(copy);
            b.unlock(m, Way::Write);
        }
        a.unlock(m, Way::Read);
    }
    fd::leave(m, b);
    fd::leave(m, a);
    if got.is_ok() {
        vain::serve(m);
    }
    got
}

impl Copy<'_> {
    /// # Migrates
    fn run(&mut self, mut m: MRef, n: u64, until: &mut Until, done: &mut u64) -> (MRef, Result<()>) {
        let (read, write) = (self.from.direction(Way::Read), self.to.direction(Way::Write));
        // COPY-P2
        read.also.store(from_ref(&write.edges).cast_mut(), Ordering::Release);
        write.also.store(from_ref(&read.edges).cast_mut(), Ordering::Release);
        fence(Ordering::SeqCst);
        let r = loop {
            if *done >= n && self.held == self.out {
                break Ok(());
            }
            // COPY-P3
            let seen = (read.edges.seen(), write.edges.seen());
            if let Err(e) = self.from.may(read).and_then(|()| self.to.may(write)) {
                break Err(e);
            }
            let step;
            (m, step) = self.step(m, (n - *done).min(CHUNK as u64) as usize);
            match step {
                Step::In(n) => (self.held, self.out) = (n, 0),
                Step::Out(n) => *done += n as u64,
                // COPY-P4
                Step::End if self.by == By::Range => self.by = By::Bytes,
                Step::End => break Ok(()),
                Step::Refused(_) if self.by != By::Bytes && self.held == self.out => self.by = By::Bytes,
                Step::Refused(errno) => break Err(Error::Os(errno)),
                Step::Not(side) => {
                    let deadline = read.deadline().min(write.deadline());
                    let waited;
                    (m, waited) = match side {
                        Way::Read => self.from.wait(m, &read.edges, seen.0, Way::Read.reason(), until, deadline),
                        Way::Write => self.to.wait(m, &write.edges, seen.1, Way::Write.reason(), until, deadline),
                    };
                    if let Err(e) = waited {
                        break Err(e);
                    }
                }
            }
            // COPY-P5
            m = vain::serve(m);
        };
        read.also.store(null_mut(), Ordering::Relaxed);
        write.also.store(null_mut(), Ordering::Relaxed);
        (m, r)
    }

    /// One call of the system.
    ///
    /// # Migrates
    fn step(&mut self, m: MRef, n: usize) -> (MRef, Step) {
        let (from, to) = (self.from.number(), self.to.number());
        match self.by {
            By::Range => self.within(m, || file::copy_range(from, to, n)),
            By::Send => self.within(m, || io::without_signal_in_parts(|| file::sendfile(from, to, n))),
            By::Splice => self.within(m, || io::without_signal_in_parts(|| file::splice(from, to, n))),
            By::Relay => (m, self.relay(n)),
            By::Bytes => self.bytes(m, n),
        }
    }

    /// A call from `from` to `to`; on a file in a syscall.
    ///
    /// # Migrates
    fn within(&self, m: MRef, call: impl FnOnce() -> isize) -> (MRef, Step) {
        let disk = [self.from, self.to].into_iter().any(|fd| fd.kind() == Kind::File);
        let (m, r) = if disk { offload::file(m, Lasts::Short, call) } else { (m, Ok(call())) };
        let step = match r {
            Ok(r) => self.told(r, Step::Out),
            Err(_) => Step::Refused(libc::ENOMEM),
        };
        (m, step)
    }

    /// What the result of a call says, of which either side may not have been ready.
    fn told(&self, r: isize, moved: impl FnOnce(usize) -> Step) -> Step {
        match r {
            0 => Step::End,
            r if r > 0 => moved(r as usize),
            r if r != -(libc::EAGAIN as isize) => Step::Refused(-r as i32),
            _ if io::ready(self.from.number(), IN) == 0 => Step::Not(Way::Read),
            _ if io::ready(self.to.number(), OUT) == 0 => Step::Not(Way::Write),
            // It is ready by now, or not for this call. A copy of `Bytes` never waits for a side that is ready.
            _ => Step::Refused(libc::EAGAIN),
        }
    }

    /// `Relay`.
    fn relay(&mut self, n: usize) -> Step {
        let pipe = match self.pipe {
            Some(pipe) => pipe,
            None => match file::pipe() {
                Ok(pipe) => *self.pipe.insert(pipe),
                Err(errno) => return Step::Refused(errno),
            },
        };
        if self.held == self.out {
            self.held = 0;
            self.out = 0;
            return match file::splice(self.from.number(), pipe[1], n.min(ROOM)) {
                r if r == -(libc::EAGAIN as isize) => Step::Not(Way::Read),
                r => self.told(r, Step::In),
            };
        }
        let r = io::without_signal_in_parts(|| file::splice(pipe[0], self.to.number(), self.held - self.out));
        self.taken(r)
    }

    /// `Bytes`.
    ///
    /// # Migrates
    fn bytes(&mut self, m: MRef, n: usize) -> (MRef, Step) {
        if self.room.is_null() {
            // SAFETY: the layout is not empty.
            self.room = unsafe { blocks::alloc(LAYOUT) };
            if self.room.is_null() {
                return (m, Step::Refused(libc::ENOMEM));
            }
        }
        let (room, number) = (self.room, self.from.number());
        if self.held == self.out {
            self.held = 0;
            self.out = 0;
            // SAFETY: the room is that large.
            let read = |by: Means| unsafe { io::read(number, by, room.cast(), n.min(ROOM)) }.0;
            let (m, r) = self.from.attempt(m, Way::Read, None, read);
            return match r {
                r if r == -(libc::EAGAIN as isize) => (m, Step::Not(Way::Read)),
                r => (m, self.told(r, Step::In)),
            };
        }
        let (number, from, n) = (self.to.number(), room.wrapping_add(self.out), self.held - self.out);
        // SAFETY: so many bytes are held.
        let put = |by: Means| unsafe { io::write(number, by, from.cast(), n) };
        let pipe = self.to.kind() == Kind::Pipe;
        // COPY-I3
        let write = |by: Means| if pipe { io::to_pipe(by, put) } else { put(by) };
        let (m, r) = self.to.attempt(m, Way::Write, None, write);
        (m, self.taken(r))
    }

    /// What the result of a call to `to` says.
    fn taken(&mut self, r: isize) -> Step {
        match r {
            r if r > 0 => {
                self.out += r as usize;
                Step::Out(r as usize)
            }
            0 => Step::Refused(libc::EIO),
            r if r == -(libc::EAGAIN as isize) => Step::Not(Way::Write),
            r => Step::Refused(-r as i32),
        }
    }
}
