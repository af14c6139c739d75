//! Connecting and accepting.

use super::call::{Until, locked};
use super::message::{From, To};
use super::{Direction, Fd, WHEN_READY, Way, make};
use crate::block::waitq::How;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::WaitReason;
use crate::gmp::m::MRef;
use crate::sync::now;
use crate::sys::io::{self, Means};

/// Connects, and waits until the system says what came of it.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn connect(m: MRef, handle: u64, to: To, timeout: i64) -> Result<()> {
    locked(m, handle, Way::Write, timeout, |m, fd, until| {
        if let Err(e) = fd.may(&fd.write) {
            return (m, Err(e));
        }
        // SAFETY: the caller's promise.
        match -unsafe { io::connect(fd.number.get(), to.addr, to.len) } {
            0 => return (m, Ok(())),
            libc::EINPROGRESS | libc::EALREADY | libc::EINTR => {}
            e => return (m, Err(Error::Os(e))),
        }
        let means = Some(Means::Socket as u8);
        let (m, r) = fd.repeat(m, Way::Write, means, until, |_, _, _| io::connected(fd.number.get()));
        (m, r.map(|_| ()))
    })
}

/// Takes a connection of a listener, as a handle that owns its descriptor.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn accept(m: MRef, handle: u64, from: From, timeout: i64) -> Result<u64> {
    locked(m, handle, Way::Read, timeout, |m, fd, until| {
        let means = if fd.nonblocking.get() { Means::Plain as u8 } else { WHEN_READY };
        if means == WHEN_READY
            && let Err(e) = io::listens(fd.number.get())
        {
            // It would never be ready.
            return (m, Err(Error::Os(e)));
        }
        // SAFETY: the caller's promise.
        let accept = |_: &Direction, _, _| unsafe { io::accept(fd.number.get(), from.addr, from.len) };
        let (m, r) = match fd.patient.get() {
            true => fd.accept_patiently(m, means, until, accept),
            false => fd.repeat(m, Way::Read, Some(means), until, accept),
        };
        let made = r.and_then(|number| {
            let number = number as i32;
            make(m, number, fd.kind(), false, || false).inspect_err(|_| io::close(number))
        });
        (m, made)
    })
}

/// The first and the longest pause of a patient accept.
const PAUSE: i64 = 5_000_000;

const LONGEST_PAUSE: i64 = 1_000_000_000;

impl Fd {
    /// As `repeat`, with a pause after each attempt that fails because the system has no descriptor or no memory left.
    /// The connection stays in the queue of the listener meanwhile, and makes no other event: only time helps.
    ///
    /// # Migrates
    fn accept_patiently(
        &self,
        mut m: MRef,
        means: u8,
        until: &mut Until,
        mut accept: impl FnMut(&Direction, u64, Means) -> isize,
    ) -> (MRef, Result<usize>) {
        let mut pause = PAUSE;
        loop {
            let r;
            (m, r) = self.repeat(m, Way::Read, Some(means), until, &mut accept);
            match r {
                Err(Error::Os(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => {}
                r => return (m, r),
            }
            if until.is_now() {
                return (m, Err(Error::TimedOut));
            }
            let end = now() + pause;
            // An edge is a further connection, for which there is no descriptor either; or the handle has changed.
            while now() < end {
                let seen = self.read.edges.seen();
                if let Err(e) = self.may(&self.read) {
                    return (m, Err(e));
                }
                let at = until.or(self.read.deadline.get()).map_or(end, |at| at.min(end));
                let waited;
                (m, waited) = self.read.edges.wait(m, seen, How::event(WaitReason::IO_READ, Some(at)));
                match waited.error() {
                    Some(Error::TimedOut) if until.is_over() => return (m, Err(Error::TimedOut)),
                    None | Some(Error::TimedOut) => {}
                    Some(e) => return (m, Err(e)),
                }
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }
}
