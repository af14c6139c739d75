//! Descriptors of the host on which Gs read, write, accept and connect.
//!
//! # Problem
//! A call on a descriptor is made without waiting; if there is nothing for it to do, its G waits for an event and makes
//! the call again. Meanwhile another G may close the descriptor, and the system gives its number to the next file: then
//! the first G would read what belongs to another. An event may come late, a deadline may move while a G waits for it,
//! two Gs may read from one connection, and a peer that always has something to say may keep a P to itself.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | `handle` | the handle that the place in the slab serves; 0: none | the maker, the closer |
//! | `users` | the calls that are inside, and CLOSED | each call; the closer |
//! | `watch` | whether the epoll reports on it: not yet, about to, yes; or it is lost | the party that adds it |
//! | `watched` | the number under which the epoll knows it | the party that adds it |
//! | `ended` | bits that say that no later event may come: hang-up, error, urgent data | the deliverer |
//! | `polled` | a caller of [`wait`] has been here | that caller |
//! | `group`, `wants`, `next` | of a descriptor in a group ([`many`]) | the caller that makes the group |
//! | direction | the edges, the lock, the deadline of the readers; the same for the writers | |
//! | `drained` | the count of edges at which a read found less than it wanted | the holder of the lock |
//!
//! # Protocol
//! A call:
//! * FD-A1 finds the place by the handle, adds itself to `users` unless CLOSED is set, and looks at `handle` again: a
//!   stale handle ends here. It takes itself out of `users` at the end;
//! * FD-A2 takes the lock of its direction, in the order of arrival. (A wait for readiness takes none.)
//! * FD-A3 reads the count of edges (NETPOLL-A1), and then looks at CLOSED and at the deadline;
//! * FD-A4 makes the call of the system, unless the direction is drained at this very count, no bit of `ended` is set
//!   and the epoll reports on the descriptor: then the call would find nothing;
//! * FD-A5 if there was nothing, and the epoll does not report on the descriptor yet, adds it: that reports the state
//!   of now as an event. If another call is about to add it, this one relies on that;
//! * FD-A6 waits for an edge after the count of FD-A3, until its timeout or the deadline (NETPOLL-A2). Then FD-A3;
//! * FD-A7 a call that has something to show for serves the requests to its P (PREEMPT of park.rs), also a write after
//!   each part.
//!
//! The party that adds the descriptor and fails takes `watch` back and wakes all that rely on it; each tries by itself.
//!
//! The deliverer ([`event`]):
//! * FD-E1 finds the place by the key, which is the handle;
//! * FD-E2 sets the bits of `ended`, and only then adds the edges (NETPOLL-B1).
//!
//! A new deadline:
//! * FD-D1 is stored, and then an edge is added in its direction: each waiter comes to FD-A3.
//!
//! The closer:
//! * FD-C1 adds itself to `users`, as FD-A1, and sets CLOSED. Only one closer succeeds;
//! * FD-C2 adds an edge in each direction: each waiter comes to FD-A3 and leaves. The lock passes from one to the next,
//!   and each that gets it leaves as well;
//! * FD-C3 takes itself out of `users`, and waits until no call is inside. The last to leave wakes it;
//! * FD-C4 takes the descriptor out of the epoll, closes it, and frees the place.
//!
//! The host may close the epoll, and then a new one takes its place (NETPOLL-L2). For each descriptor, [`watch_again`]:
//! * FD-L1 is inside like a call (FD-A1), so it is not closed meanwhile;
//! * FD-L2 looks whether the number still has a file of this kind. If not, the descriptor is lost: each of its calls
//!   comes to FD-A3 and ends as if the descriptor were closed. The number is never closed: it may be the host's;
//! * FD-L3 adds it again if it was watched. A party that adds a descriptor at this time looks at the turn of the epoll
//!   before and after, and adds it once more if that has changed.
//!
//! # Invariants
//! * FD-I1 while a call is inside, the number belongs to the descriptor of its handle: FD-C4 comes after FD-C3.
//! * FD-I2 an event whose handle is stale changes nothing (FD-E1). If the place passes to the next descriptor between
//!   FD-E1 and FD-E2, that gets an edge for nothing, and does without drained reads: it loses one call, and no event.
//! * FD-I3 whatever changes after FD-A3 comes with an edge after the count of FD-A3: so no close, no deadline and no
//!   event is missed by FD-A6.
//! * FD-I4 a drained direction gets an edge for each byte that comes. The read that found less than it wanted has taken
//!   all that was there. What comes later makes an event, since the epoll reports each arrival; and the end of the data
//!   is a bit of `ended`, which is seen with its edge (FD-E2). Urgent data ends a read early, and sets such a bit too.
//! * FD-I5 O_NONBLOCK of a descriptor that is the host's is not changed, except for the moment of a connect. It is set
//!   for those that the library owns, except 0, 1 and 2, which the host shares with its parent and its children.
//!
//! # Orderings
//! The maker stores `users` with Release, and FD-A1 takes it with Acquire: it sees the fields. The edges order FD-E2,
//! FD-D1 and FD-C2 before FD-A3 of the waiter that they wake (edges.rs). FD-A1's end and FD-C3 are WAITQ-B1 and
//! WAITQ-A1 with `users` as the word.
//!
//! FD-L3: the party that adds a descriptor stores YES, executes a fence, and reads the turn. [`Poll::replace`] raises
//! the turn, and executes a fence before `watch` is read. So either the party sees the new turn, or YES is seen.
//!
//! [`Poll::replace`]: crate::sync::Poll::replace
//!
//! `polled`: the caller sets it, executes a fence, and asks the system for what is ready. The deliverer has the event
//! from the system, executes a fence (of the edges before), and reads `polled`. So if the deliverer sees no caller, the
//! caller sees what is ready.
//!
//! # Why it ends
//! Each round through FD-A3 follows an edge. A closed descriptor lets no call in and wakes those that are inside; what
//! a call does in the system ends by itself, except a read or a write of a descriptor that waits, which another process
//! has emptied or filled after the look at it, or of a terminal that has too little room: the closer waits for that.
//!
//! # Rejected
//! * Drained pipes: a pipe of packets ends each read early, and its reader cannot know.
//! * Drained messages, counters and listeners: a short answer says nothing of what is behind it.
//! * To be told of one event and ask for the next (EPOLLONESHOT): a call of the system for each wait.
//! * One entry in the epoll for two handles of one number: the events of one would go to the other. The second handle
//!   is watched by a number of its own.
//!
//! # Differences from Go
//! A read that has come to the end of the data waits without asking the system again. Go adds each descriptor when it
//! is opened; here one that never waits is never added. The deadlines need no timers of their own.

use super::cancel;
use super::disk::{self, Parts};
use super::edges::Edges;
use super::offload::{self, Lasts};
use super::sema;
use super::vain;
use super::waitq::{self, How, Waited, deadline_of};
use crate::ds::slab::Slab;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::protocol::netpoll;
use crate::sync::own::{OwnBool, OwnI32, OwnI64, OwnU8, OwnU64};
use crate::sync::widen::widen;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence, now};
use crate::sys::file;
use crate::sys::io::{self, Kind, Means, iovec, msghdr, sockaddr};
use crate::sys::poll::{ERROR, HANGUP, IN, OUT, PEER_DONE, URGENT};
use crate::sys::without::is_sealed;
use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr::from_ref;

pub mod many;
pub mod message;

/// A descriptor. Its memory is reused for later ones.
#[derive(Default)]
pub struct Fd {
    handle: AtomicU64,
    users: AtomicU32,
    /// Fixed while there is a handle, as are `kind`, `borrowed` and `nonblocking`.
    number: OwnI32,
    kind: OwnU8,
    borrowed: OwnBool,
    /// O_NONBLOCK is set.
    nonblocking: OwnBool,
    /// Its reads wait for a disk: it has said so (DISK-R3 of disk.rs).
    waits: AtomicBool,
    watch: AtomicU32,
    /// Owner: the party that adds the descriptor to the epoll.
    watched: OwnI32,
    ended: AtomicU32,
    polled: AtomicBool,
    /// Fixed while there is a handle: an accept waits until the system has descriptors and memory for a connection.
    patient: OwnBool,
    /// Of [`many`].
    group: AtomicU64,
    wants: AtomicU32,
    next: OwnU64,
    read: Direction,
    write: Direction,
    ready: Edges,
}

#[derive(Default)]
pub(super) struct Direction {
    pub edges: Edges,
    /// Where the holder of the lock waits, if it does so elsewhere: a copy between two descriptors (COPY-P2 of
    /// copy.rs).
    pub also: AtomicPtr<Edges>,
    /// A semaphore of one permit.
    lock: AtomicU32,
    /// When its calls end; [`FOREVER`]: never. The last of several writers at a time wins.
    deadline: OwnI64,
    /// Owner: the holder of the lock, as of `means`.
    drained: OwnU64,
    means: OwnU8,
}

const CLOSED: u32 = 1 << 31;

/// In `watch`.
const NOT_YET: u32 = 0;
const ABOUT_TO: u32 = 1;
const YES: u32 = 2;
const LOST: u32 = 3;

/// How a direction makes its calls, beside those of [`Means`]: a look whether it is ready, and then a call in a
/// syscall, since another process may be faster.
const WHEN_READY: u8 = 100;
/// A plain call in a syscall: it is always ready.
const IN_SYSCALL: u8 = 101;

pub use super::disk::{MOST, MOST_PARTS};

pub const FOREVER: i64 = waitq::FOREVER;

const STALE: Error = Error::Os(libc::EBADF);

const fn is(r: isize, errno: i32) -> bool {
    r == -(errno as isize)
}

const EBADF: i32 = libc::EBADF;

// SAFETY: the only type of this kind.
unsafe impl Object for Fd {
    const KIND: handles::Kind = handles::Kind::Fd;
}

/// The direction of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Read,
    Write,
}

impl Way {
    pub fn reason(self) -> WaitReason {
        match self {
            Way::Read => WaitReason::IO_READ,
            Way::Write => WaitReason::IO_WRITE,
        }
    }
}

impl Direction {
    /// When its calls end; [`FOREVER`]: never.
    pub fn deadline(&self) -> i64 {
        self.deadline.get()
    }

    /// FD-C2, FD-D1: each waiter comes to FD-A3.
    fn wake(&self, m: MRef) {
        self.edges.wake(m);
        // COPY-P2
        fence(Ordering::SeqCst);
        // SAFETY: null, or part of a descriptor's memory, which is only reused. It loses no more than a call by this.
        if let Some(also) = unsafe { self.also.load(Ordering::Acquire).as_ref() } {
            also.wake(m);
        }
    }
}

/// The end of a call's patience.
pub(super) struct Until {
    timeout: i64,
    at: Option<i64>,
}

impl Until {
    pub fn new(timeout: i64) -> Until {
        Until { timeout, at: None }
    }

    /// The call only tries.
    fn is_now(&self) -> bool {
        self.timeout <= 0
    }

    /// The moment; None: never. The clock is read at the first wait.
    fn at(&mut self) -> Option<i64> {
        if self.at.is_none() {
            self.at = deadline_of(self.timeout);
        }
        self.at
    }

    fn is_over(&mut self) -> bool {
        self.at().is_some_and(|at| at <= now())
    }

    /// This, or a deadline that comes earlier.
    fn or(&mut self, deadline: i64) -> Option<i64> {
        match self.at() {
            Some(at) => Some(at.min(deadline)),
            None => (deadline != FOREVER).then_some(deadline),
        }
    }
}

// ---- handles --------------------------------------------------------------------------------------------------------

/// A handle for a descriptor of the host. If it is not borrowed, it belongs to the handle from here on.
pub fn open(m: MRef, number: i32, borrow: bool, patient: bool) -> Result<u64> {
    if is_sealed() {
        return Err(Error::Os(libc::ENOTSUP));
    }
    let kind = io::kind(number).map_err(Error::Os)?;
    if kind != Kind::File {
        m.sched().net.poll.open().map_err(Error::Os)?;
    }
    // FD-I5
    let own = !borrow && kind != Kind::File && number > 2;
    let nonblocking = || io::is_nonblocking(number) || own && io::set_nonblocking(number, true);
    let handle = make(m, number, kind, borrow, nonblocking)?;
    if patient {
        with(m, handle, |fd| {
            fd.patient.set(true);
            Ok(())
        })?;
    }
    Ok(handle)
}

/// A handle for a descriptor that is known. `nonblocking` is called when nothing can fail any more.
pub fn make(m: MRef, number: i32, kind: Kind, borrowed: bool, nonblocking: impl FnOnce() -> bool) -> Result<u64> {
    let (handle, fd) = m.sched().slab_to_fill::<Fd>()?.make(m.id).ok_or(Error::NoMemory)?;
    let nonblocking = nonblocking();
    fd.number.set(number);
    fd.watched.set(number);
    fd.kind.set(kind as u8);
    fd.borrowed.set(borrowed);
    fd.nonblocking.set(nonblocking);
    fd.watch.store(NOT_YET, Ordering::Relaxed);
    fd.ended.store(0, Ordering::Relaxed);
    fd.polled.store(false, Ordering::Relaxed);
    fd.patient.set(false);
    fd.group.store(0, Ordering::Relaxed);
    fd.waits.store(false, Ordering::Relaxed);
    let means = match kind {
        Kind::File => IN_SYSCALL,
        Kind::Tcp | Kind::Socket => Means::Socket as u8,
        Kind::UnixStream => Means::UnixStream as u8,
        Kind::Pipe | Kind::Other if nonblocking => Means::Plain as u8,
        Kind::Pipe | Kind::Other => Means::NoWait as u8,
    };
    for d in [&fd.read, &fd.write] {
        d.lock.store(1, Ordering::Relaxed);
        d.deadline.set(FOREVER);
        d.drained.set(d.edges.seen().wrapping_sub(1));
        d.means.set(means);
    }
    fd.handle.store(handle, Ordering::Relaxed);
    // Release: pairs with FD-A1.
    fd.users.store(0, Ordering::Release);
    Ok(handle)
}

/// FD-A1.
pub(super) fn enter(m: MRef, handle: u64) -> Result<&'static Fd> {
    let fds = m.sched().slab::<Fd>().map_err(|_| STALE)?;
    let fd = fds.get(handle).ok_or(STALE)?;
    widen!();
    let mut users = fd.users.load(Ordering::Relaxed);
    loop {
        if users >= CLOSED - 1 {
            return Err(STALE);
        }
        match fd.users.compare_exchange_weak(users, users + 1, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => users = now,
        }
    }
    if fd.handle.load(Ordering::Relaxed) != handle {
        leave(m, fd);
        return Err(STALE);
    }
    Ok(fd)
}

/// The end of FD-A1.
pub(super) fn leave(m: MRef, fd: &Fd) {
    if fd.users.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1 {
        // FD-C3. The place may be the next descriptor's already: its closer looks again.
        let addr = from_ref(&fd.users) as u64;
        fence(Ordering::SeqCst);
        if waitq::has_waiters(m.sched(), addr) {
            waitq::wake_all(m, addr, |_| ());
        }
    }
}

/// FD-C1 to FD-C4, without closing the descriptor. Returns its number, and whether it is borrowed.
///
/// # Migrates
pub fn release(m: MRef, handle: u64) -> Result<(i32, bool)> {
    let fd = enter(m, handle)?;
    // FD-C1
    if fd.users.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED != 0 {
        leave(m, fd);
        return Err(STALE);
    }
    widen!();
    // FD-C2
    fd.wake_all(m);
    // FD-C3
    fd.users.fetch_sub(1, Ordering::AcqRel);
    let how = How::new(cancel::Kind::Own, WaitReason::IO_WAIT, None);
    let mut m = m;
    while fd.users.load(Ordering::Acquire) != CLOSED {
        if m.ctx() == Ctx::Sched {
            // What the scheduler closes has no caller. Only FD-L1 may be inside, for the time of a call of the system.
            crate::sync::give_way();
            continue;
        }
        (m, _) = waitq::wait(m, from_ref(&fd.users) as u64, how, || fd.users.load(Ordering::Acquire) != CLOSED);
    }
    widen!();
    // FD-C4
    let number = fd.number.get();
    let watch = fd.watch.load(Ordering::Acquire);
    if watch == YES {
        let watched = fd.watched.get();
        m.sched().net.poll.remove(watched);
        if watched != number {
            io::close(watched);
        }
    }
    // FD-L2
    let borrowed = fd.borrowed.get() || watch == LOST;
    widen!();
    fd.handle.store(0, Ordering::Relaxed);
    m.sched().slab::<Fd>()?.free(handle);
    Ok((number, borrowed))
}

/// FD-C1 to FD-C4.
///
/// # Migrates
pub fn close(m: MRef, handle: u64) -> Result<()> {
    let (number, borrowed) = release(m, handle)?;
    if !borrowed {
        // FD-I1: no call is inside, and none comes in.
        io::close(number);
    }
    Ok(())
}

/// Where a reader of memory from outside finds the descriptors: `packaging/gomax-gdb.py` names these in this order,
/// behind those of the slab.
pub const LAYOUT: [usize; 6] = [
    size_of::<Fd>(),
    offset_of!(Fd, number),
    offset_of!(Fd, kind),
    offset_of!(Fd, watch),
    offset_of!(Fd, read.deadline),
    offset_of!(Fd, write.deadline),
];
pub const SLAB: [usize; 8] = Slab::<Fd>::LAYOUT;

/// How many handles there are.
pub fn count(sched: &Sched) -> i64 {
    let mut n = 0;
    if let Ok(fds) = sched.slab::<Fd>() {
        fds.each(|_, _| n += 1);
    }
    n
}

/// The number and the kind of the descriptor for which a G waits that waits at this address.
pub fn at_address(sched: &Sched, addr: u64) -> Option<(i32, Kind)> {
    let (_, fd) = sched.slab::<Fd>().ok()?.at_address(addr as usize)?;
    Some((fd.number.get(), fd.kind()))
}

/// The number of a descriptor.
pub fn number(m: MRef, handle: u64) -> Result<i32> {
    with(m, handle, |fd| Ok(fd.number.get()))
}

/// FD-D1. `which`: IN, OUT or both.
pub fn set_deadline(m: MRef, handle: u64, which: u32, when: i64) -> Result<()> {
    with(m, handle, |fd| {
        for (bit, d) in [(IN, &fd.read), (OUT, &fd.write)] {
            if which & bit != 0 {
                d.deadline.set(when);
                widen!();
                d.wake(m);
            }
        }
        fd.ready.wake(m);
        Ok(())
    })
}

/// FD-A5: the epoll reports on the descriptor from now on, also while no call waits.
pub fn watch(m: MRef, handle: u64) -> Result<()> {
    with(m, handle, |fd| fd.watch(m))
}

/// Ends one direction or both for the peer, as shutdown does.
pub fn shutdown(m: MRef, handle: u64, how: i32) -> Result<()> {
    with(m, handle, |fd| match io::shutdown(fd.number.get(), how) {
        0 => Ok(()),
        e => Err(Error::Os(-e)),
    })
}

/// A call that takes no lock and waits for no event; with the number, and the memory of DISK-R3.
///
/// # Migrates
pub(super) fn inside<R>(
    m: MRef,
    handle: u64,
    f: impl FnOnce(MRef, i32, &AtomicBool) -> (MRef, Result<R>),
) -> Result<R> {
    let fd = enter(m, handle)?;
    let (m, r) = f(m, fd.number.get(), &fd.waits);
    leave(m, fd);
    if r.is_ok() {
        // FD-A7
        vain::serve(m);
    }
    r
}

/// A call that neither waits nor takes a lock.
fn with<R>(m: MRef, handle: u64, f: impl FnOnce(&Fd) -> Result<R>) -> Result<R> {
    let fd = enter(m, handle)?;
    let r = f(fd);
    leave(m, fd);
    r
}

// ---- events ---------------------------------------------------------------------------------------------------------

/// NETPOLL-B1 for the descriptor with this key.
pub fn event(sched: &Sched, key: u64, bits: u32, list: &mut GList) {
    // FD-E1, FD-I2, NETPOLL-I4
    let Some(fd) = sched.slab::<Fd>().ok().and_then(|fds| fds.get(key)) else { return };
    widen!();
    // FD-E2
    let ends = bits & (PEER_DONE | HANGUP | ERROR | URGENT);
    if ends != 0 {
        fd.ended.fetch_or(ends, Ordering::Relaxed);
    }
    if ends != 0 || bits & IN != 0 {
        fd.read.edges.happen(sched, list);
    }
    if bits & (OUT | HANGUP | ERROR) != 0 {
        fd.write.edges.happen(sched, list);
    }
    if fd.polled.load(Ordering::Relaxed) {
        fd.ready.happen(sched, list);
    }
    many::event(sched, fd, bits, list);
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

    pub(super) fn kind(&self) -> Kind {
        let is = |kind: &Kind| self.kind.get() == *kind as u8;
        [Kind::File, Kind::Tcp, Kind::UnixStream, Kind::Socket, Kind::Pipe].into_iter().find(is).unwrap_or(Kind::Other)
    }

    pub(super) fn direction(&self, way: Way) -> &Direction {
        match way {
            Way::Read => &self.read,
            Way::Write => &self.write,
        }
    }

    pub(super) fn number(&self) -> i32 {
        self.number.get()
    }

    /// Whether its flags may be changed (FD-I5).
    pub(super) fn is_own(&self) -> bool {
        !self.borrowed.get() && self.number.get() > 2
    }

    fn wake_all(&self, m: MRef) {
        self.read.wake(m);
        self.write.wake(m);
        self.ready.wake(m);
    }

    fn is_closed(&self) -> bool {
        self.users.load(Ordering::Acquire) & CLOSED != 0
    }

    /// The second half of FD-A3.
    pub(super) fn may(&self, d: &Direction) -> Result<()> {
        if self.is_closed() {
            return Err(STALE);
        }
        // FD-L2
        if self.watch.load(Ordering::Relaxed) == LOST {
            return Err(STALE);
        }
        let deadline = d.deadline.get();
        if deadline != FOREVER && deadline <= now() {
            return Err(Error::TimedOut);
        }
        Ok(())
    }

    /// FD-A5.
    fn watch(&self, m: MRef) -> Result<()> {
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

    /// FD-A5 and FD-A6. An error of the deadline is found by FD-A3.
    ///
    /// # Migrates
    pub(super) fn wait(
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
    pub(super) fn lock(&self, mut m: MRef, way: Way, until: &mut Until) -> (MRef, Result<()>) {
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

    pub(super) fn unlock(&self, m: MRef, way: Way) {
        sema::pass_on(m, &self.direction(way).lock);
    }

    /// FD-A3 to FD-A6 until the call has a result. `f` makes it, by the means that it is told; EINTR: once more.
    ///
    /// # Migrates
    fn repeat(
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

    /// FD-I4. The reader has read the count of edges before.
    fn is_drained(&self, d: &Direction, seen: u64) -> bool {
        d.drained.get() == seen && self.ended.load(Ordering::Relaxed) == 0 && self.watch.load(Ordering::Acquire) == YES
    }

    /// One call of the system, which does not wait with a P. EAGAIN: there was nothing to do for it.
    ///
    /// # Migrates
    pub(super) fn attempt(
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

// ---- calls ----------------------------------------------------------------------------------------------------------

/// FD-A1, FD-A2 and FD-A7 around `f`.
///
/// # Migrates
fn locked<R>(
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
fn note_drained(d: &Direction, seen: u64, (n, more): io::Got, wanted: usize) -> isize {
    if !more && n > 0 && (n as usize) < wanted {
        d.drained.set(seen);
    }
    n
}

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
                Kind::Pipe => io::without_signal(|| f(fd.number.get(), by, *done)),
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

/// recv.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recv(m: MRef, handle: u64, buf: *mut c_void, n: usize, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Read, timeout, |fd| unsafe { io::recv(fd, buf, n.min(MOST), flags) })
}

/// send.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn send(m: MRef, handle: u64, buf: *const c_void, n: usize, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Write, timeout, |fd| unsafe { io::send(fd, buf, n.min(MOST), flags) })
}

/// An address of the host's, and its length.
#[derive(Clone, Copy)]
pub struct From {
    pub addr: *mut sockaddr,
    pub len: *mut u32,
}

/// An address of the host's, and its length.
#[derive(Clone, Copy)]
pub struct To {
    pub addr: *const sockaddr,
    pub len: u32,
}

/// recvfrom.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvfrom(
    m: MRef,
    handle: u64,
    buf: *mut c_void,
    n: usize,
    flags: i32,
    from: From,
    timeout: i64,
) -> Result<usize> {
    on_socket(m, handle, Way::Read, timeout, |fd| {
        // SAFETY: the caller's promise.
        unsafe { io::recvfrom(fd, buf, n.min(MOST), flags, from.addr, from.len) }
    })
}

/// sendto.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn sendto(
    m: MRef,
    handle: u64,
    buf: *const c_void,
    n: usize,
    flags: i32,
    to: To,
    timeout: i64,
) -> Result<usize> {
    on_socket(m, handle, Way::Write, timeout, |fd| {
        // SAFETY: the caller's promise.
        unsafe { io::sendto(fd, buf, n.min(MOST), flags, to.addr, to.len) }
    })
}

/// recvmsg.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvmsg(m: MRef, handle: u64, msg: *mut msghdr, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Read, timeout, |fd| unsafe { io::recvmsg(fd, msg, flags) })
}

/// sendmsg.
///
/// # Migrates
///
/// # Safety
/// As for the call of the system.
pub unsafe fn sendmsg(m: MRef, handle: u64, msg: *const msghdr, flags: i32, timeout: i64) -> Result<usize> {
    // SAFETY: the caller's promise.
    on_socket(m, handle, Way::Write, timeout, |fd| unsafe { io::sendmsg(fd, msg, flags) })
}

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

/// Waits until one of these events (of poll) is there, and returns those that are.
///
/// # Migrates
pub fn wait(m: MRef, handle: u64, events: u32, timeout: i64) -> Result<u32> {
    let fd = enter(m, handle)?;
    let (m, r) = fd.wait_ready(m, events, &mut Until::new(timeout));
    leave(m, fd);
    if r.is_ok() {
        // FD-A7
        vain::serve(m);
    }
    r
}

impl Fd {
    fn wait_ready(&self, mut m: MRef, events: u32, until: &mut Until) -> (MRef, Result<u32>) {
        let events = if events & IN != 0 { events | PEER_DONE } else { events };
        self.polled.store(true, Ordering::Relaxed);
        // Pairs with the fence between the edges of `event` and its look at `polled`.
        fence(Ordering::SeqCst);
        loop {
            let seen = self.ready.seen();
            let mut deadline = FOREVER;
            for (_, d) in [(IN, &self.read), (OUT, &self.write)].iter().filter(|(bit, _)| events & bit != 0) {
                if let Err(e) = self.may(d) {
                    return (m, Err(e));
                }
                deadline = deadline.min(d.deadline.get());
            }
            match io::ready(self.number.get(), events) {
                0 => {}
                bits if bits & io::NOT_OPEN != 0 => return (m, Err(Error::Os(EBADF))),
                bits => return (m, Ok(bits)),
            }
            let waited;
            (m, waited) = self.wait(m, &self.ready, seen, WaitReason::IO_WAIT, until, deadline);
            if let Err(e) = waited {
                return (m, Err(e));
            }
        }
    }
}

/// As [`wait`], for a number that has no handle.
///
/// # Migrates
pub fn wait_number(m: MRef, number: i32, events: u32, timeout: i64) -> Result<u32> {
    let handle = open(m, number, true, false)?;
    let r = wait(m, handle, events, timeout);
    // The caller may be on another thread by now.
    if let Some(m) = MRef::current() {
        let _ = close(m, handle);
    }
    r
}
