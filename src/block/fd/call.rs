//! The rounds of a call: FD-A2 to FD-A7 of the paper in [`super`].

use super::{Direction, FOREVER, Fd, IN_SYSCALL, LOST, WHEN_READY, Way, YES, enter, is, leave};
use crate::block::edges::Edges;
use crate::block::offload::{self, Lasts};
use crate::block::waitq::{How, Waited, deadline_of};
use crate::block::{sema, vain};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::WaitReason;
use crate::gmp::m::MRef;
use crate::sync::widen::widen;
use crate::sync::{Ordering, now};
use crate::sys::io::{self, Kind, Means};
use crate::sys::poll::{IN, OUT};

/// The end of a call's patience.
pub(in crate::block) struct Until {
    timeout: i64,
    at: Option<i64>,
}

impl Until {
    pub fn new(timeout: i64) -> Until {
        Until { timeout, at: None }
    }

    /// The call only tries.
    pub(super) fn is_now(&self) -> bool {
        self.timeout <= 0
    }

    /// The moment; None: never. The clock is read at the first wait.
    pub(super) fn at(&mut self) -> Option<i64> {
        if self.at.is_none() {
            self.at = deadline_of(self.timeout);
        }
        self.at
    }

    pub(super) fn is_over(&mut self) -> bool {
        self.at().is_some_and(|at| at <= now())
    }

    /// This, or a deadline that comes earlier.
    pub(super) fn or(&mut self, deadline: i64) -> Option<i64> {
        match self.at() {
            Some(at) => Some(at.min(deadline)),
            None => (deadline != FOREVER).then_some(deadline),
        }
    }
}

impl Fd {
    /// The second half of FD-A3.
    pub(in crate::block) fn may(&self, d: &Direction) -> Result<()> {
        if self.is_closed() {
            return Err(Error::Gone);
        }
        // FD-L2
        if self.watch.load(Ordering::Relaxed) == LOST {
            return Err(Error::Gone);
        }
        let deadline = d.deadline.get();
        if deadline != FOREVER && deadline <= now() {
            return Err(Error::TimedOut);
        }
        Ok(())
    }

    /// FD-A5 and FD-A6. An error of the deadline is found by FD-A3.
    ///
    /// # Migrates
    pub(in crate::block) fn wait(
        &self,
        m: MRef,
        edges: &Edges,
        seen: u64,
        reason: WaitReason,
        until: &mut Until,
        deadline: i64,
    ) -> (MRef, Result<()>) {
        if until.is_now() {
            return (m, Err(Error::TimedOut));
        }
        if let Err(e) = self.watch(m) {
            return (m, Err(e));
        }
        widen!();
        // FD-I3, NETPOLL-I5
        let (m, waited) = edges.wait(m, seen, How::event(reason, until.or(deadline)));
        match waited {
            Waited::TimedOut if !until.is_over() => (m, Ok(())),
            waited => (m, waited.error().map_or(Ok(()), Err)),
        }
    }

    /// FD-A2.
    ///
    /// # Migrates
    pub(in crate::block) fn lock(&self, mut m: MRef, way: Way, until: &mut Until) -> (MRef, Result<()>) {
        let (d, reason) = (self.direction(way), way.reason());
        loop {
            if sema::try_acquire(&d.lock) {
                return (m, Ok(()));
            }
            if let Err(e) = self.may(d) {
                return (m, Err(e));
            }
            if until.is_now() {
                return (m, Err(Error::TimedOut));
            }
            let got;
            (m, got) = sema::acquire(m, &d.lock, until.or(d.deadline.get()), reason);
            match got {
                Err(Error::TimedOut) if !until.is_over() => {}
                got => return (m, got),
            }
        }
    }

    pub(in crate::block) fn unlock(&self, m: MRef, way: Way) {
        sema::pass_on(m, &self.direction(way).lock);
    }

    /// FD-A3 to FD-A6 until the call has a result. `f` makes it, by the means that it is told; EINTR: once more.
    ///
    /// # Migrates
    pub(super) fn repeat(
        &self,
        mut m: MRef,
        way: Way,
        means: Option<u8>,
        until: &mut Until,
        mut f: impl FnMut(&Direction, u64, Means) -> isize,
    ) -> (MRef, Result<usize>) {
        let (d, reason) = (self.direction(way), way.reason());
        loop {
            // FD-A3
            let seen = d.edges.seen();
            if let Err(e) = self.may(d) {
                return (m, Err(e));
            }
            // FD-A4
            if until.is_now() || !self.is_drained(d, seen) {
                let r;
                (m, r) = self.attempt(m, way, means, |by| f(d, seen, by));
                if r >= 0 {
                    return (m, Ok(r as usize));
                }
                if is(r, libc::EINTR) {
                    // FD-A7
                    m = vain::serve(m);
                    continue;
                }
                if !is(r, libc::EAGAIN) {
                    return (m, Err(Error::Os(-r as i32)));
                }
            }
            let waited;
            (m, waited) = self.wait(m, &d.edges, seen, reason, until, d.deadline.get());
            if let Err(e) = waited {
                return (m, Err(e));
            }
        }
    }

    /// FD-I4. The reader has read the count of edges before.
    fn is_drained(&self, d: &Direction, seen: u64) -> bool {
        d.drained.get() == seen && self.ended.load(Ordering::Relaxed) == 0 && self.watch.load(Ordering::Acquire) == YES
    }

    /// One call of the system, which does not wait with a P. EAGAIN: there was nothing to do for it.
    ///
    /// # Migrates
    pub(in crate::block) fn attempt(
        &self,
        m: MRef,
        way: Way,
        means: Option<u8>,
        mut f: impl FnMut(Means) -> isize,
    ) -> (MRef, isize) {
        let d = self.direction(way);
        match means.unwrap_or(d.means.get()) {
            WHEN_READY => {}
            IN_SYSCALL => {
                let (m, r) = offload::file(m, Lasts::Short, || f(Means::Plain));
                return (m, r.unwrap_or(-(libc::ENOMEM as isize)));
            }
            means if means == Means::Socket as u8 => return (m, f(Means::Socket)),
            means if means == Means::UnixStream as u8 => return (m, f(Means::UnixStream)),
            means if means == Means::Plain as u8 => return (m, f(Means::Plain)),
            _ => {
                let r = f(Means::NoWait);
                if !is(r, libc::EOPNOTSUPP) {
                    return (m, r);
                }
                d.means.set(WHEN_READY);
            }
        }
        if io::ready(self.number.get(), if way == Way::Read { IN } else { OUT }) == 0 {
            return (m, -(libc::EAGAIN as isize));
        }
        let part = if self.kind() == Kind::Pipe { Means::Part } else { Means::SmallPart };
        offload::in_syscall(m, Lasts::Short, || f(part))
    }
}

/// FD-A1, FD-A2 and FD-A7 around `f`.
///
/// # Migrates
pub(super) fn locked<R>(
    m: MRef,
    handle: u64,
    way: Way,
    timeout: i64,
    f: impl FnOnce(MRef, &'static Fd, &mut Until) -> (MRef, Result<R>),
) -> Result<R> {
    let fd = enter(m, handle)?;
    let mut until = Until::new(timeout);
    let (mut m, got) = fd.lock(m, way, &mut until);
    let r = match got {
        Ok(()) => {
            let r;
            (m, r) = f(m, fd, &mut until);
            fd.unlock(m, way);
            r
        }
        Err(e) => Err(e),
    };
    leave(m, fd);
    if r.is_ok() {
        // FD-A7
        vain::serve(m);
    }
    r
}

/// One call of the system on a socket, which says by itself if the descriptor is none. `f` gets its number, and returns
/// a negative errno; EAGAIN: not ready.
///
/// # Migrates
pub fn on_socket(m: MRef, handle: u64, way: Way, timeout: i64, mut f: impl FnMut(i32) -> isize) -> Result<usize> {
    locked(m, handle, way, timeout, |m, fd, until| {
        fd.repeat(m, way, Some(Means::Socket as u8), until, |_, _, _| f(fd.number.get()))
    })
}

/// FD-I4: notes what a read says of the data that is left.
pub(super) fn note_drained(d: &Direction, seen: u64, (n, more): io::Got, wanted: usize) -> isize {
    if !more && n > 0 && (n as usize) < wanted {
        d.drained.set(seen);
    }
    n
}
