//! One wait for several descriptors, as poll(2) has it: by numbers, without handles.
//!
//! # Problem
//! The caller waits until one of many descriptors is ready. Each has events of its own, but the caller can wait in one
//! place only. And only the system can say what is ready: a number may stand in two entries, or name no open
//! descriptor.
//!
//! # Words
//! | word | meaning |
//! |---|---|
//! | group | a place in the slab without a descriptor; the caller waits for the edges of its `ready` |
//! | member | a place for one entry; its `group` is the handle of the group, its `wants` the bits that matter |
//! | `next` | the chain of all places of a call, which begins with the group: so the call needs no other memory |
//!
//! # Protocol
//! The caller:
//! * MANY-A1 asks the system what is ready, without waiting. If something is, or if the time is over, the call ends;
//! * MANY-A2 makes the group and the members, and adds each member to the epoll under its own handle. A descriptor that
//!   the epoll does not take (EPERM) never changes its state;
//! * MANY-A3 reads the count of edges of the group, asks the system again, and if nothing is ready waits for an edge
//!   after this count. Then MANY-A3 again;
//! * MANY-A4 closes the places of the chain (FD-C1 to FD-C4). They borrow their descriptors, so these stay open.
//!
//! The deliverer:
//! * MANY-B1 finds the member by the key (FD-E1), and the group by the member. If the bits matter, it adds an edge to
//!   the group.
//!
//! # Invariants
//! * MANY-I1 what becomes ready after the system was asked in MANY-A3 makes an event, and so an edge after the count:
//!   the members were added before, and the epoll reports each change.
//! * MANY-I2 an event that comes after MANY-A4 finds no place, or the next user of a place. That user gets an edge for
//!   nothing, as in FD-I2.
//!
//! # Why it ends
//! Each round of MANY-A3 follows an edge.
//!
//! # Rejected
//! * An epoll for each call: a descriptor more, and a thread or a second epoll that waits for it.
//! * One member for two entries with the same number: the list would have to be sorted or searched. The second member
//!   is watched by a number of its own, as a second handle is.

use super::call::Until;
use super::{Fd, close, make};
use crate::block::vain;
use crate::block::waitq::How;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason};
use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::sync::Ordering;
use crate::sync::widen::widen;
use crate::sys::io::{self, Kind, pollfd};
use crate::sys::poll::{ERROR, HANGUP, IN, OUT, PEER_DONE, URGENT};
use crate::sys::poll::{READ_BAND, READ_NORMAL, WRITE_BAND, WRITE_NORMAL};
use crate::sys::without::is_sealed;

/// MANY-B1.
pub(super) fn event(sched: &Sched, fd: &Fd, bits: u32, list: &mut GList) {
    let group = fd.group.load(Ordering::Relaxed);
    if group == 0 || bits & (fd.wants.load(Ordering::Relaxed) | ERROR | HANGUP) == 0 {
        return;
    }
    widen!();
    // MANY-I2
    if let Some(group) = sched.slab::<Fd>().ok().and_then(|fds| fds.get(group)) {
        group.ready.happen(sched, list);
    }
}

/// Waits until one of the entries is ready, and returns how many are; their `revents` say what is. TimedOut: none is.
///
/// # Migrates
///
/// # Safety
/// `fds` is the host's, with `n` elements, which no other code uses meanwhile.
pub unsafe fn poll(m: MRef, fds: *mut pollfd, n: usize, timeout: i64) -> Result<usize> {
    // MANY-A1
    // SAFETY: the caller's promise.
    let now = unsafe { look(fds, n) }?;
    if now > 0 {
        // FD-A7
        vain::serve(m);
        return Ok(now);
    }
    if timeout <= 0 {
        return Err(Error::TimedOut);
    }
    if is_sealed() {
        return Err(Error::Os(libc::ENOTSUP));
    }
    m.sched().net.poll.open().map_err(Error::Os)?;
    // MANY-A2
    let group = make(m, -1, Kind::File, true, || false)?;
    let places = m.sched().slab::<Fd>()?;
    let Some(head) = places.get(group) else { return Err(Error::NoMemory) };
    head.next.set(0);
    // SAFETY: the caller's promise.
    let joined = (0..n).try_for_each(|i| join(m, group, head, unsafe { fds.wrapping_add(i).read() }));
    let (m, r) = match joined {
        // SAFETY: the caller's promise.
        Ok(()) => unsafe { wait(m, head, fds, n, timeout) },
        Err(e) => (m, Err(e)),
    };
    // MANY-A4. No call is inside one of these places; a close waits at most for a party that replaces the epoll.
    let mut next = group;
    while let Some(fd) = places.get(next) {
        let handle = std::mem::replace(&mut next, fd.next.get());
        let closed = close(m.by_now(), handle);
        debug_assert!(closed.is_ok());
    }
    if r.is_ok() {
        vain::serve(m.by_now());
    }
    r
}

/// # Safety
/// As for [`poll`].
unsafe fn look(fds: *mut pollfd, n: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    let ready = unsafe { io::ready_many(fds, n) };
    usize::try_from(ready).map_err(|_| Error::Os(-ready as i32))
}

/// MANY-A2 for one entry.
fn join(m: MRef, group: u64, head: &Fd, entry: pollfd) -> Result<()> {
    if entry.fd < 0 {
        return Ok(());
    }
    let handle = make(m, entry.fd, Kind::Other, true, || false)?;
    let Some(fd) = m.sched().slab::<Fd>()?.get(handle) else { return Err(Error::NoMemory) };
    let events = u32::from(entry.events as u16);
    let mut wants = events & (IN | OUT | PEER_DONE | URGENT);
    wants |= if events & (READ_NORMAL | READ_BAND) != 0 { IN | URGENT } else { 0 };
    wants |= if events & (WRITE_NORMAL | WRITE_BAND) != 0 { OUT } else { 0 };
    fd.wants.store(wants, Ordering::Relaxed);
    fd.group.store(group, Ordering::Relaxed);
    fd.next.set(head.next.get());
    head.next.set(handle);
    match fd.watch(m) {
        // It never changes; or it is not open any more, as MANY-A3 will see.
        Err(Error::Os(libc::EPERM | libc::EBADF)) => Ok(()),
        r => r,
    }
}

/// MANY-A3.
///
/// # Migrates
///
/// # Safety
/// As for [`poll`].
unsafe fn wait(mut m: MRef, group: &Fd, fds: *mut pollfd, n: usize, timeout: i64) -> (MRef, Result<usize>) {
    let mut until = Until::new(timeout);
    loop {
        let seen = group.ready.seen();
        // SAFETY: the caller's promise.
        match unsafe { look(fds, n) } {
            Ok(0) => {}
            r => return (m, r),
        }
        widen!();
        // MANY-I1
        let waited;
        (m, waited) = group.ready.wait(m, seen, How::event(WaitReason::IO_WAIT, until.at()));
        if let Some(e) = waited.error() {
            return (m, Err(e));
        }
    }
}
