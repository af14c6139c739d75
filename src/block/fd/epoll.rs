//! What the epoll knows of a descriptor: FD-A5, and FD-L1 to FD-L3 of the paper in [`super`].

use super::{ABOUT_TO, Fd, LOST, NOT_YET, YES, enter, leave, with};
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::protocol::netpoll;
use crate::sync::{Ordering, fence};
use crate::sys::io::{self, Kind};

/// FD-A5: the epoll reports on the descriptor from now on, also while no call waits.
pub fn watch(m: MRef, handle: u64) -> Result<()> {
    with(m, handle, |fd| fd.watch(m))
}

/// FD-L1 to FD-L3 for each descriptor, after the epoll was replaced. Returns how many are watched again, and how many
/// are lost.
pub fn watch_again(m: MRef) -> (u32, u32) {
    let (mut watched, mut lost) = (0, 0);
    let Ok(fds) = m.sched().slab::<Fd>() else { return (0, 0) };
    fds.each(|handle, _| {
        let Ok(fd) = enter(m, handle) else { return };
        match fd.watch_again(m) {
            YES => watched += 1,
            LOST => lost += 1,
            _ => {}
        }
        leave(m, fd);
    });
    (watched, lost)
}

/// Whether the number has a file of this kind. (If the host has given it another file of the same kind, that is not
/// found out: it need not have lost the epoll for that.)
#[cfg(not(any(loom, shuttle)))]
fn is_same(number: i32, kind: Kind) -> bool {
    io::kind(number) == Ok(kind)
}

/// The numbers of a model have no files.
#[cfg(any(loom, shuttle))]
fn is_same(_: i32, _: Kind) -> bool {
    true
}

impl Fd {
    /// FD-L2 and FD-L3. Returns `watch`.
    fn watch_again(&self, m: MRef) -> u32 {
        let watch = self.watch.load(Ordering::Acquire);
        if watch == LOST {
            return watch;
        }
        if is_same(self.number.get(), self.kind()) {
            if watch != YES {
                return watch;
            }
            if let Ok(watched) = self.add(m) {
                self.watched.set(watched);
                return watch;
            }
            if m.sched().net.poll.is_lost() {
                // It is replaced once more.
                return watch;
            }
        }
        // A party that is about to add it finds out by itself.
        if self.watch.compare_exchange(watch, LOST, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.wake_all(m);
        }
        LOST
    }

    /// FD-A5.
    pub(super) fn watch(&self, m: MRef) -> Result<()> {
        if self.watch.load(Ordering::Relaxed) != NOT_YET
            || self.watch.compare_exchange(NOT_YET, ABOUT_TO, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        let poll = &m.sched().net.poll;
        let turn = poll.turn();
        let added = match self.add(m) {
            // FD-L3 adds it.
            Err(_) if poll.is_lost() => Ok(self.number.get()),
            // It was replaced just now.
            Err(_) if poll.turn() != turn => self.add(m),
            added => added,
        };
        match added {
            Ok(watched) => {
                self.watched.set(watched);
                // Release: pairs with the Acquire of FD-A4 and FD-C4.
                self.watch.store(YES, Ordering::Release);
                fence(Ordering::SeqCst);
                if poll.turn() != turn {
                    // FD-L3. It is there perhaps; and if it is lost, that is found as for any other.
                    let _ = poll.add(watched, self.handle.load(Ordering::Relaxed));
                }
                netpoll::tell_if_lost(m.sched());
                Ok(())
            }
            Err(errno) => {
                self.watch.store(NOT_YET, Ordering::Release);
                self.wake_all(m);
                Err(Error::Os(errno))
            }
        }
    }

    /// The number under which the epoll knows the descriptor now; or an errno.
    fn add(&self, m: MRef) -> std::result::Result<i32, i32> {
        let (poll, number) = (&m.sched().net.poll, self.number.get());
        let handle = self.handle.load(Ordering::Relaxed);
        match poll.add(number, handle) {
            Ok(()) => return Ok(number),
            // Another handle has this number, too.
            Err(libc::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
        let own = io::duplicate(number);
        if own < 0 {
            return Err(-own);
        }
        poll.add(own, handle).inspect_err(|_| io::close(own))?;
        Ok(own)
    }
}
