//! Waiting at an address, and waking the waiters there.
//!
//! # Problem
//! Semaphores, mutexes, wait groups and joins all wait in the same way. The waiter tests a word; if the word says to
//! wait, it gets into a queue and parks. A waker changes the word and wakes a waiter. If the waker comes between the
//! waiter's test and its entry into the queue, the wake-up is lost. Besides, a deadline or a cancellation may end the
//! wait at any moment.
//!
//! # Words
//!
//! | word | meaning | guarded by |
//! |---|---|---|
//! | root | the bucket of the address (gmp/semtable.rs): a queue and its lock | |
//! | wait record | `gp.sudog`, a waiter's entry in the queue | the root's lock while it is in the queue |
//! | `nwait` | how many Gs wait at the root or are about to | written under the root's lock, read without it |
//! | `seq` | the number of the wait, new for each; the record's `seq` | written by the waiter before WAITQ-A1 |
//!
//! # Protocol
//! The waiter:
//! * WAITQ-A1 takes the root's lock, adds 1 to nwait, and executes a fence.
//! * WAITQ-A2 tests the word once more. If it still has to wait, it gets into the queue.
//! * WAITQ-A3 parks. The commit arms the timer, if there is a deadline, and opens the lock; not before then may a waker
//!   ready the G.
//! * WAITQ-A4 awake again: stops the timer. `sudog.wake` says how the wait ended.
//!
//! The waker:
//! * WAITQ-B1 changes the word, executes a fence, and reads nwait. If it is 0, no G needs to be woken.
//! * WAITQ-B2 under the lock takes a waiter out of the queue, subtracts 1 from nwait, and writes how the wait ended.
//!   After it has opened the lock it readies the G.
//!
//! The deadline: the timer (or the waiting foreign thread itself) does WAITQ-B2 for this one waiter, if the G is still
//! in the wait that the timer was armed for, which `seq` tells.
//!
//! The cancellation: the canceller of the token that covers the wait does WAITQ-B2 in the same way (`interrupt`). For
//! this the waiter registers with the token before WAITQ-A1, and looks at the token in WAITQ-A2 (CANCEL-C1 and
//! CANCEL-C2).
//!
//! # Invariants
//! * WAITQ-M1 The party that takes the record out of the queue readies the G, and no other party does.
//! * WAITQ-M2 A wait ends once: a record that was taken out of the queue does not get back into it for the same wait.
//! * WAITQ-M3 The action that a waiter asked for ([`After`]) runs after its entry into the queue, with the lock open:
//!   it may take the lock of another root, and the G may run meanwhile.
//! * WAITQ-M4 A wake says either "look again" (`Ready`) or "it is yours" (`Handoff`). A waiter that got a hand-off does
//!   not look at its object again, because the object may be gone. A waker hands off only while no other thread can
//!   have given the object away. A wake by `Ready` needs the address alone. It may come late, when the memory already
//!   holds another object; the waiter of that object then looks again in vain (a spurious wake-up). The address of a G
//!   never becomes the address of another object.
//! * WAITQ-M5 A waiter that its object counts ([`wait_counted`]) is counted for as long as it is in the queue. The
//!   party that takes it out because it gives up subtracts it from the count in the same step.
//!
//! # Orderings
//! WAITQ-A1's fence pairs with WAITQ-B1's: either the waker sees nwait, or the waiter's test in WAITQ-A2 sees the
//! changed word.

use super::cancel::{self, Kind};
use crate::gmp::error::Error;
use crate::gmp::g::{GList, GRef, WaitReason, Wake};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::gmp::p::PRef;
use crate::gmp::sched::Sched;
use crate::gmp::semtable::{Queue, Root};
use crate::gmp::timers::{Alarm, Timers, later};
use crate::protocol::{park, thread, wake};
use crate::sync::{AtomicU32, Guard, Ordering, fence};
use std::ffi::c_void;
use std::mem::ManuallyDrop;

/// How [`wait`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waited {
    /// The test said not to wait.
    Not,
    /// No memory for the timer.
    NoMemory,
    Woken,
    Handoff,
    TimedOut,
    Canceled,
    /// The token was canceled before: the waiter has not been in the queue.
    Refused,
}

impl Waited {
    /// The caller's error, if the wait ended without its event; None if the caller is to look again.
    pub fn error(self) -> Option<Error> {
        match self {
            Waited::NoMemory => Some(Error::NoMemory),
            Waited::TimedOut => Some(Error::TimedOut),
            Waited::Canceled | Waited::Refused => Some(Error::Canceled),
            Waited::Not | Waited::Woken | Waited::Handoff => None,
        }
    }
}

/// How to wait.
#[derive(Clone, Copy)]
pub struct How {
    pub reason: WaitReason,
    /// Ahead of the others, because the waiter was woken in vain.
    pub first: bool,
    pub deadline: Option<i64>,
    /// When the waiter began to wait, for fairness; 0 where no waker asks.
    pub since: i64,
    pub kind: Kind,
}

impl How {
    /// A wait for an event.
    pub fn event(reason: WaitReason, deadline: Option<i64>) -> How {
        How::new(Kind::Event, reason, deadline)
    }

    /// A wait for a lock or an end.
    pub fn lock(reason: WaitReason, deadline: Option<i64>) -> How {
        How::new(Kind::Lock, reason, deadline)
    }

    pub fn new(kind: Kind, reason: WaitReason, deadline: Option<i64>) -> How {
        How { reason, first: false, deadline, since: 0, kind }
    }
}

/// The action to run when the waiter is in the queue (WAITQ-M3).
#[derive(Clone, Copy)]
pub struct After {
    pub f: unsafe fn(m: MRef, arg: *mut c_void),
    pub arg: *mut c_void,
}

/// The G that stands in queues for the code that runs on `m`.
pub fn waiter(m: MRef) -> GRef {
    if m.ctx() == Ctx::Foreign { m.own_g() } else { park::running(m) }
}

struct Waiting<'a> {
    guard: ManuallyDrop<Guard<'a, Queue>>,
    deadline: Option<i64>,
    seq: u64,
    after: Option<After>,
}

/// WAITQ-A1 to WAITQ-A4.
///
/// # Migrates
#[inline]
pub fn wait(m: MRef, addr: u64, how: How, still: impl FnOnce() -> bool) -> (MRef, Waited) {
    wait_then(m, addr, how, None, |_| still(), |_| ())
}

/// As [`wait`], for a waiter that `count` includes while it is in the queue (WAITQ-M5). A waker that ends the wait
/// corrects the count itself. The test sees the queue.
///
/// # Migrates
pub fn wait_counted(
    m: MRef,
    addr: u64,
    how: How,
    count: &AtomicU32,
    still: impl FnOnce(&mut Queue) -> bool,
) -> (MRef, Waited) {
    let gp = waiter(m);
    let woken = wait_then(m, addr, how, None, still, |gp| {
        // Under the lock, as every access to the count.
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        gp.sudog.counted.set(std::ptr::from_ref(count).cast_mut());
    });
    gp.sudog.counted.set(std::ptr::null_mut());
    woken
}

/// As [`wait`]; the test sees the queue, and `queued` runs under the lock once the waiter is in it.
///
/// # Migrates
pub fn wait_then(
    m: MRef,
    addr: u64,
    how: How,
    after: Option<After>,
    still: impl FnOnce(&mut Queue) -> bool,
    queued: impl FnOnce(GRef),
) -> (MRef, Waited) {
    let sched = m.sched();
    let gp = waiter(m);
    let foreign = m.ctx() == Ctx::Foreign;
    let timed = how.deadline.is_some() && !foreign;
    if timed && m.must_p().timers.reserve().is_err() {
        return (m, Waited::NoMemory);
    }
    // Each wait takes a number of its own, even if it does not come about: a canceller may come late with an older
    // number.
    let seq = gp.sudog.seq.get().wrapping_add(1);
    gp.sudog.seq.set(seq);
    let token = cancel::ends(gp, how.kind);
    let mut canceled = token.is_some_and(|t| t.register(gp, seq, addr, interrupt).is_err());
    let registered = token.filter(|_| !canceled);
    let root = sched.sems.root(addr);
    // WAITQ-A1
    let mut guard = root.queue.lock();
    root.nwait.store(root.nwait.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    // WAITQ-A2
    let waits = still(&mut guard);
    // A canceller that comes after this look waits for the lock, and then finds the waiter in the queue.
    canceled = canceled || registered.is_some_and(|t| t.is_canceled());
    if !waits || canceled {
        root.less_waiting(1);
        drop(guard);
        if timed {
            m.must_p().timers.unreserve();
        }
        if let Some(token) = registered {
            token.unregister(gp);
        }
        return (m, if waits { Waited::Refused } else { Waited::Not });
    }
    let s = &gp.sudog;
    s.since.set(how.since);
    s.wake.set(Wake::None as u8);
    guard.push(gp, addr, how.first);
    queued(gp);
    // WAITQ-A3
    let deadline = how.deadline.filter(|_| timed);
    let mut waiting = Waiting { guard: ManuallyDrop::new(guard), deadline, seq, after };
    let commit = Commit { host: false, f: Some(open), arg: (&raw mut waiting).cast() };
    let m = if foreign {
        thread::park(m, how.reason, commit, how.deadline, |gp| expire(m, gp, seq));
        m
    } else {
        park::gopark(m, how.reason, commit)
    };
    // WAITQ-A4
    if let Some(token) = registered {
        token.unregister(gp);
    }
    let wake = gp.sudog.wake.get();
    if timed && wake != Wake::TimedOut as u8 {
        Timers::remove(&gp.timer);
    }
    let waited = match wake {
        w if w == Wake::TimedOut as u8 => Waited::TimedOut,
        w if w == Wake::Canceled as u8 => Waited::Canceled,
        w if w == Wake::Handoff as u8 => Waited::Handoff,
        _ => Waited::Woken,
    };
    (m, waited)
}

/// The commit of WAITQ-A3.
unsafe fn open(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `wait_then` passes its record, which lives on the G's stack until the lock is open.
    let waiting = unsafe { &mut *arg.cast::<Waiting<'_>>() };
    let (after, deadline) = (waiting.after, waiting.deadline);
    let mut first = false;
    if let Some(when) = deadline {
        let alarm = Alarm { when, fire, arg: gp.as_ptr().cast(), seq: waiting.seq };
        // SAFETY: the G's timer is not armed: its last wait stopped it, or it fired. The callback of a timer that fires
        // at once waits for the root's lock.
        first = unsafe { Timers::add(m.must_p().p(), &gp.timer, alarm) };
    }
    // SAFETY: taken out once; after the drop the commit does not touch the record (PARK-K2).
    drop(unsafe { ManuallyDrop::take(&mut waiting.guard) });
    if let Some(when) = deadline
        && first
    {
        wake::timer_added_on_the_way(m.sched(), m, when);
    }
    if let Some(after) = after {
        // SAFETY: `f` gets the argument that came with it.
        unsafe { (after.f)(m, after.arg) };
    }
    true
}

unsafe fn fire(m: MRef, _: PRef, arg: *mut c_void, seq: u64) -> bool {
    // SAFETY: `open` armed the timer with its G.
    if let Some(gp) = unsafe { GRef::from_ptr(arg.cast()) } {
        expire(m, gp, seq);
    }
    false
}

/// WAITQ-B2 for one waiter whose deadline has passed.
fn expire(m: MRef, gp: GRef, seq: u64) {
    while !end_wait(m, gp, seq, gp.sudog.addr.get(), Wake::TimedOut) {}
}

/// WAITQ-B2 for one waiter whose token was canceled: it waits at `addr`, or is about to, or has done so.
unsafe fn interrupt(m: MRef, gp: GRef, seq: u64, addr: u64) {
    end_wait(m, gp, seq, addr, Wake::Canceled);
}

/// Ends the wait `seq` of a G if that wait is at `addr`. False: the G waits at another address.
fn end_wait(m: MRef, gp: GRef, seq: u64, addr: u64, how: Wake) -> bool {
    if addr == 0 {
        return true;
    }
    let root = m.sched().sems.root(addr);
    {
        let mut q = root.queue.lock();
        // The record is reliable only under the lock of its address's root.
        if gp.sudog.addr.get() != addr {
            return false;
        }
        // CANCEL-T2: a wake or a deadline may have ended the wait before.
        if gp.sudog.seq.get() != seq {
            return true;
        }
        q.remove(gp);
        // SAFETY: null, or a word of the object at `addr`, which lives as long as there is a waiter.
        if let Some(count) = unsafe { gp.sudog.counted.get().as_ref() } {
            // WAITQ-M5
            count.store(count.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        }
        gp.sudog.wake.set(how as u8);
        root.less_waiting(1);
    }
    park::goready(m, gp);
    true
}

/// Whether a G may wait at this root: WAITQ-B1, after the caller has changed the word and executed a fence.
#[inline(always)]
pub fn has_waiters(sched: &Sched, addr: u64) -> bool {
    sched.sems.root(addr).has_waiters()
}

/// How many Gs wait at an address, each with a record in the queue.
pub fn count(sched: &Sched, addr: u64) -> u32 {
    let root = sched.sems.root(addr);
    if root.has_waiters() { root.queue.lock().count(addr) as u32 } else { 0 }
}

/// WAITQ-B2: wakes the first waiter. `decide` runs under the lock, even if no G waits. Its arguments are the waiter and
/// whether there are more; it returns how to wake.
pub fn wake_one(m: MRef, addr: u64, decide: impl FnOnce(Option<GRef>, bool) -> Wake) -> bool {
    let root = m.sched().sems.root(addr);
    let woken = {
        let mut q = root.queue.lock();
        match q.pop(addr) {
            None => {
                decide(None, false);
                None
            }
            Some((gp, more)) => {
                gp.sudog.wake.set(decide(Some(gp), more) as u8);
                root.less_waiting(1);
                Some(gp)
            }
        }
    };
    match woken {
        Some(gp) => {
            park::goready(m, gp);
            true
        }
        None => false,
    }
}

/// WAITQ-B2 for all waiters. `begin` runs under the lock first; its argument is whether any G waits.
pub fn wake_all(m: MRef, addr: u64, begin: impl FnOnce(bool)) -> usize {
    wake_some(m, addr, |w| {
        begin(w.any(addr));
        w.take_all(addr, Wake::Ready)
    })
}

/// The operations of a waker under a root's lock; all addresses belong to this root.
pub struct Waker<'a> {
    queue: &'a mut Queue,
    list: GList,
}

impl<'a> Waker<'a> {
    /// For a test of [`wait_then`] that ends other Gs' waits: the caller holds the lock of their root.
    pub fn of(queue: &'a mut Queue) -> Waker<'a> {
        Waker { queue, list: GList::new() }
    }

    /// The Gs whose waits this waker has ended; the caller passes them to [`ready_all`] when the lock is open.
    #[must_use]
    pub fn end(self, root: &Root) -> GList {
        root.less_waiting(self.list.len() as u32);
        self.list
    }

    pub fn any(&mut self, addr: u64) -> bool {
        self.queue.peek(addr).is_some()
    }

    /// Ends the wait of the first waiter at an address; also returns whether there are more.
    pub fn take(&mut self, addr: u64, how: Wake) -> Option<(GRef, bool)> {
        let (gp, more) = self.queue.pop(addr)?;
        gp.sudog.wake.set(how as u8);
        self.list.push_back(gp);
        Some((gp, more))
    }

    /// Ends the wait of every waiter at an address; returns how many there were.
    pub fn take_all(&mut self, addr: u64, how: Wake) -> usize {
        let mut n = 0;
        while self.take(addr, how).is_some() {
            n += 1;
        }
        n
    }
}

/// WAITQ-B2 for the waiters that `f` takes under the lock of an address's root.
pub fn wake_some<R>(m: MRef, addr: u64, f: impl FnOnce(&mut Waker<'_>) -> R) -> R {
    let root = m.sched().sems.root(addr);
    let list;
    let result = {
        let mut q = root.queue.lock();
        let mut waker = Waker::of(&mut q);
        let result = f(&mut waker);
        list = waker.end(root);
        result
    };
    ready_all(m, list);
    result
}

/// WAITQ-B1 and WAITQ-B2 for all waiters at an address, whom the caller readies.
pub fn end_all(sched: &Sched, addr: u64, list: &mut GList) {
    let root = sched.sems.root(addr);
    fence(Ordering::SeqCst);
    if root.has_waiters() {
        let mut q = root.queue.lock();
        let mut waker = Waker::of(&mut q);
        waker.take_all(addr, Wake::Ready);
        list.append(&mut waker.end(root));
    }
}

/// Readies the Gs whose waits were ended. The caller holds no lock.
#[inline]
pub fn ready_all(m: MRef, mut list: GList) {
    while let Some(gp) = list.pop_front() {
        park::goready(m, gp);
    }
}

/// The identity of an owner: the number of the G, which is never 0, or a number made of the M's in a scheduler's
/// callback. The two highest bits are free.
#[inline]
pub fn self_id(m: MRef) -> u64 {
    match m.g() {
        Some(gp) => gp.goid.get(),
        None => 1 << 61 | u64::from(m.id),
    }
}

/// The timeout that never ends. A timeout of zero or less has passed already.
pub const FOREVER: i64 = i64::MAX;

/// The moment at which a wait of `timeout` ends; None for [`FOREVER`].
pub fn deadline_of(timeout: i64) -> Option<i64> {
    (timeout != FOREVER).then(|| later(crate::sync::now(), timeout))
}
