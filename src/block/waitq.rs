//! Waiting for an address, and waking who waits for it.
//!
//! # Problem
//! Semaphores, mutexes, wait groups and joins all wait the same way: test a word; if it says wait, get into a queue; no
//! wake between the two may be lost, and a deadline may come at any moment.
//!
//! # Words
//! The root of the address (gmp/semtable.rs): its lock guards the queue and the wait records in it; `nwait` counts who
//! waits or is about to.
//!
//! # Protocol
//! Waiter:
//! * A1 under the root's lock: nwait + 1, fence;
//! * A2 test the word once more; still to wait: into the queue;
//! * A3 park; the commit arms the timer, if there is a deadline, and opens the lock: only now may anybody ready the G;
//! * A4 awake: stop the timer. `sudog.wake` says how the wait ended.
//!
//! Waker:
//! * B1 change the word, fence, read nwait: 0 and nobody needs to be woken;
//! * B2 under the lock: take a waiter out, nwait - 1, write how its wait ended; after the lock ready it.
//!
//! Deadline: the timer (or the waiting thread itself) does B2 for this one waiter, if the wait is still the one that the
//! timer was armed for: `seq`.
//!
//! # Invariants
//! * M1 whoever takes the record out of the queue readies the G, and nobody else does.
//! * M2 a wait ends once: out of the queue is out.
//!
//! # Orderings
//! A1's fence pairs with B1's: either the waker sees nwait, or the waiter's test in A2 sees the changed word.

use crate::gmp::g::{GRef, WaitReason, Wake};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::gmp::sched::Sched;
use crate::gmp::semtable::Queue;
use crate::gmp::timers::Timers;
use crate::protocol::{park, wake};
use crate::sync::{Guard, Ordering, fence};
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
}

/// How to wait.
#[derive(Clone, Copy)]
pub struct How {
    pub reason: WaitReason,
    /// Before the others: it was woken in vain.
    pub first: bool,
    pub deadline: Option<i64>,
    /// When it began to wait, for fairness; 0 where nobody asks.
    pub since: i64,
}

/// The G that stands in queues for the code on `m`.
pub fn waiter(m: MRef) -> GRef {
    if m.ctx() == Ctx::Foreign { park::own_g(m) } else { park::running(m) }
}

struct Waiting<'a> {
    guard: ManuallyDrop<Guard<'a, Queue>>,
    deadline: Option<i64>,
    seq: u64,
}

/// A1 to A4.
///
/// # Migrates
pub fn wait(m: MRef, addr: u64, how: How, still: impl FnOnce() -> bool) -> (MRef, Waited) {
    let sched = m.sched();
    let gp = waiter(m);
    let foreign = m.ctx() == Ctx::Foreign;
    if how.deadline.is_some() && !foreign && m.must_p().timers.reserve().is_err() {
        return (m, Waited::NoMemory);
    }
    let root = sched.sems.root(addr);
    // A1
    let mut guard = root.queue.lock();
    root.nwait.store(root.nwait.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    // A2
    if !still() {
        root.less_waiting(1);
        drop(guard);
        if how.deadline.is_some() && !foreign {
            m.must_p().timers.unreserve();
        }
        return (m, Waited::Not);
    }
    let s = &gp.sudog;
    let seq = s.seq.get().wrapping_add(1);
    s.seq.set(seq);
    s.since.set(how.since);
    s.wake.set(Wake::None as u8);
    guard.push(gp, addr, how.first);
    // A3
    let mut waiting = Waiting { guard: ManuallyDrop::new(guard), deadline: how.deadline.filter(|_| !foreign), seq };
    let commit = Commit { host: false, f: Some(open), arg: (&raw mut waiting).cast() };
    let m = if foreign {
        park::park_thread(m, how.reason, commit, how.deadline, |gp| expire(m, gp, seq));
        m
    } else {
        park::gopark(m, how.reason, commit)
    };
    // A4
    let wake = gp.sudog.wake.get();
    if wake == Wake::TimedOut as u8 {
        return (m, Waited::TimedOut);
    }
    if how.deadline.is_some() && !foreign {
        Timers::remove(&gp.timer);
    }
    (m, if wake == Wake::Handoff as u8 { Waited::Handoff } else { Waited::Woken })
}

/// The commit of A3.
unsafe fn open(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `wait` passes its record, which lives on the G's stack until the lock is open.
    let waiting = unsafe { &mut *arg.cast::<Waiting<'_>>() };
    if let Some(when) = waiting.deadline {
        // SAFETY: the G's timer is in no heap: its last wait took it out, or it fired. The callback of a timer that
        // fires at once waits for the root's lock.
        let first = unsafe { Timers::add(m.must_p().p(), &gp.timer, when, fire, gp.as_ptr().cast(), waiting.seq) };
        // SAFETY: taken out once; after the drop the record is not touched (K2 in park.rs).
        drop(unsafe { ManuallyDrop::take(&mut waiting.guard) });
        if first {
            wake::timer_added(m.sched(), m, when);
        }
        return true;
    }
    // SAFETY: as above.
    drop(unsafe { ManuallyDrop::take(&mut waiting.guard) });
    true
}

unsafe fn fire(m: MRef, arg: *mut c_void, seq: u64) {
    // SAFETY: `open` armed the timer with its G.
    if let Some(gp) = unsafe { GRef::from_ptr(arg.cast()) } {
        expire(m, gp, seq);
    }
}

/// B2 for one waiter whose deadline has passed.
fn expire(m: MRef, gp: GRef, seq: u64) {
    let sched = m.sched();
    loop {
        let addr = gp.sudog.addr.get();
        if addr == 0 {
            return;
        }
        let root = sched.sems.root(addr);
        let mut q = root.queue.lock();
        // Only under the lock of the address's root is the record to be believed.
        if gp.sudog.addr.get() != addr {
            continue;
        }
        if gp.sudog.seq.get() != seq {
            return;
        }
        q.remove(gp);
        gp.sudog.wake.set(Wake::TimedOut as u8);
        root.less_waiting(1);
        break;
    }
    park::goready(m, gp);
}

/// Whether somebody may wait at this root: B1, behind the caller's change of the word and a fence.
#[inline(always)]
pub fn anybody(sched: &Sched, addr: u64) -> bool {
    sched.sems.root(addr).nwait.load(Ordering::SeqCst) != 0
}

/// B2: wakes the first waiter. `decide` runs under the lock, also when there is nobody; it gets the waiter and whether
/// there are more, and says how to wake.
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

/// B2 for all who wait. `begin` runs under the lock first, and is told whether anybody waits.
pub fn wake_all(m: MRef, addr: u64, begin: impl FnOnce(bool)) -> usize {
    let root = m.sched().sems.root(addr);
    let mut list = crate::gmp::g::GList::new();
    {
        let mut q = root.queue.lock();
        begin(q.peek(addr).is_some());
        while let Some((gp, _)) = q.pop(addr) {
            gp.sudog.wake.set(Wake::Ready as u8);
            list.push_back(gp);
        }
        root.less_waiting(list.len() as u32);
    }
    let n = list.len();
    while let Some(gp) = list.pop_front() {
        park::goready(m, gp);
    }
    n
}

/// What tells owners apart: the G's number, or the M's in a scheduler's callback.
#[inline]
pub fn self_id(m: MRef) -> u64 {
    match m.g() {
        Some(gp) => gp.goid.get(),
        None => 1 << 63 | u64::from(m.id),
    }
}

/// The moment at which a wait of `timeout` ends: none for a negative one.
pub fn deadline_of(timeout: i64) -> Option<i64> {
    (timeout >= 0).then(|| crate::sync::now().saturating_add(timeout))
}
