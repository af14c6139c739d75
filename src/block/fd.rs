//! Descriptors of the host on which Gs read, write, accept and connect.
//!
//! The paper of this directory. The rounds of a call are in call.rs, its epoll in epoll.rs, and the calls themselves in
//! stream.rs, message.rs, connect.rs, ready.rs and [`many`].
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
//! | `polled` | a caller of [`ready::wait`] has been here | that caller |
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
//! The host may close the epoll, and then a new one takes its place (NETPOLL-L2). For each descriptor,
//! [`epoll::watch_again`]:
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
use super::edges::Edges;
use super::vain;
use super::waitq::{self, How};
use crate::ds::slab::Slab;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::sync::own::{OwnBool, OwnI32, OwnI64, OwnU8, OwnU64};
use crate::sync::widen::widen;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::file;
use crate::sys::io::{self, Kind, Means};
use crate::sys::poll::{ERROR, HANGUP, IN, OUT, PEER_DONE, URGENT};
use crate::sys::without::is_sealed;
use std::mem::offset_of;
use std::ptr::from_ref;

pub mod call;
pub mod connect;
pub mod epoll;
pub mod many;
pub mod message;
pub mod ready;
pub mod stream;

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
    // DISK-R4
    let direct = kind == Kind::File && file::is_direct(number);
    if patient || direct {
        with(m, handle, |fd| {
            fd.patient.set(patient);
            fd.waits.store(direct, Ordering::Relaxed);
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

impl Fd {
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
}
