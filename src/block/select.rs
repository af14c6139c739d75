//! Select: one operation out of several, at the first channel that is ready.
//!
//! # Problem
//! A select sends or receives at one of several channels. It never does so at two, it never finds none if some are
//! ready, and it prefers no case to another. While it waits it stands in the queue of each channel, so partners at
//! several channels may want it at the same moment.
//!
//! # Protocol
//! * SELECT-S1 Look at each case without a lock. Choose one of the cases that may be ready, each with the same
//!   probability, and try it under its channel's latch. (A case that only watches asks whether the channel is ready,
//!   chan/watch.rs.) Mostly the select ends here. If no case may be ready, look at the timers that send to the channels
//!   (TIMER-T1).
//! * SELECT-S2 Take the latches of all channels, in the order of their addresses, each once: nothing changes any more.
//!   Choose and try as in SELECT-S1, until a try succeeds or no case may be ready.
//! * SELECT-S3 If the caller does not want to wait, open all latches. Otherwise put a record into the queue of each
//!   case: the case itself is the record. The wait is a claimed one (claim.rs), which was begun before the first latch
//!   was taken. Where several cases stand in one queue, each of them is their first with the same probability, since a
//!   partner takes the first. Park; the commit opens the latches.
//! * SELECT-S4 Awake again: the party that claimed the wait has chosen the case whose record says how it ended. Take
//!   the other records out of their lists, each under the latch of its channel.
//!
//! # Invariants
//! * SELECT-I1 One case: a partner moves a value only after it has claimed the wait, and one claim succeeds.
//! * SELECT-I2 The cases belong to the select until it returns. Before it returns, every record is out of every list.
//! * SELECT-I3 The commit reads no case after it has opened the last latch of the order: SELECT-S4 waits for that
//!   latch, or follows a claim under it.
//!
//! # Why it ends
//! A try in SELECT-S2 that fails has found only records of ended waits in that queue, and has emptied the queue.
//!
//! # Rejected
//! A random order in which the cases are tried, as in Go: it needs n random numbers and room for n places. Choosing
//! among the ready cases in one pass needs a random number for the second ready case and for each further one.
//!
//! # Differences from Go
//! SELECT-S1: a select that need not wait takes one lock. As in Go, a default (timeout 0) is taken only when no case is
//! ready under all latches: two unlocked looks in sequence would miss a value that moves from one channel to the other.
//! There is a deadline.

use super::chan::{Attempt, Case, Chan, Op, Told, wait_for_nothing};
use super::claim::{Locks, Wait};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason};
use crate::gmp::m::MRef;
use std::ffi::c_void;

/// The cases of one select. A case without a channel is never ready.
#[derive(Clone, Copy)]
pub struct Cases<'a>(pub &'a [Case]);

impl<'a> Cases<'a> {
    /// The channel of a case.
    ///
    /// # Safety
    /// (of the whole struct) Channels are null, or live as long as the select.
    #[inline(always)]
    fn chan(self, i: usize) -> Option<&'a Chan> {
        // SAFETY: see above.
        unsafe { self.0[i].chan().as_ref() }
    }

    /// Chooses one of the cases that may be ready.
    #[inline(always)]
    fn pick(self, m: MRef) -> Option<usize> {
        self.pick_if(m, |c, op| c.might_proceed(op))
    }

    /// Chooses one of the cases that are ready because a timer is due that has not fired yet. The caller holds no
    /// latch.
    #[cold]
    fn pick_timer(self, m: MRef) -> Option<usize> {
        self.pick_if(m, |c, op| c.timer_came(m, op))
    }

    #[inline(always)]
    fn pick_if(self, m: MRef, ready_if: impl Fn(&Chan, Op) -> bool) -> Option<usize> {
        let mut chosen = None;
        let mut ready = 0;
        for i in 0..self.0.len() {
            if self.chan(i).is_some_and(|c| ready_if(c, self.0[i].wants())) {
                ready += 1;
                if ready == 1 || m.rng.next().is_multiple_of(ready) {
                    chosen = Some(i);
                }
            }
        }
        chosen
    }

    /// Tries a case. The caller holds the latch of its channel.
    #[inline(always)]
    fn attempt(self, i: usize) -> Attempt {
        let case = &self.0[i];
        self.chan(i).map_or(Attempt::WouldBlock, |c| match case.watches() {
            // WATCH-V1
            true if c.ready(case.wants()) => Attempt::Moved,
            true => Attempt::WouldBlock,
            false => c.attempt(case.wants(), case.elem()),
        })
    }

    fn key(self, place: usize) -> usize {
        self.0[self.at(place)].chan() as usize
    }

    /// The number of the case at a place of the order.
    fn at(self, place: usize) -> usize {
        self.0[place].order.get() as usize
    }

    fn swap(self, a: usize, b: usize) {
        let (x, y) = (&self.0[a].order, &self.0[b].order);
        x.set(y.replace(x.get()));
    }

    /// Sorts the cases by the addresses of their channels, in place and in n log n steps.
    fn sort(self) {
        let n = self.0.len();
        for i in 0..n {
            self.0[i].order.set(i as u32);
        }
        for i in (0..n / 2).rev() {
            self.down(i, n);
        }
        for end in (1..n).rev() {
            self.swap(0, end);
            self.down(0, end);
        }
    }

    /// Heapsort's sift-down.
    fn down(self, mut at: usize, end: usize) {
        loop {
            let mut child = 2 * at + 1;
            if child >= end {
                return;
            }
            if child + 1 < end && self.key(child + 1) > self.key(child) {
                child += 1;
            }
            if self.key(at) >= self.key(child) {
                return;
            }
            self.swap(at, child);
            at = child;
        }
    }

    /// SELECT-S2.
    fn lock(self) {
        let mut last = std::ptr::null_mut();
        for place in 0..self.0.len() {
            let i = self.at(place);
            if let Some(c) = self.chan(i)
                && self.0[i].chan() != last
            {
                c.latch.lock();
                last = self.0[i].chan();
            }
        }
    }

    /// SELECT-S3: puts a record into each queue. The nth record of one queue goes before the others with a probability
    /// of 1/n. Returns the watchers that are told of it.
    fn enqueue(self, m: MRef, wait: &Wait) -> GList {
        let mut told = GList::new();
        for case in self.0 {
            // SAFETY: the promise of `chan`.
            if let (false, Some(c)) = (case.watches(), unsafe { case.chan().as_ref() }) {
                c.tell_of(case.wants(), &mut told);
            }
        }
        let mut chan = std::ptr::null_mut();
        let mut first: [Option<&Case>; 2] = [None; 2];
        let mut count = [0; 2];
        // Cases of one channel follow each other in the order.
        for place in 0..self.0.len() {
            let i = self.at(place);
            let Some(c) = self.chan(i) else { continue };
            let case = &self.0[i];
            if case.chan() != chan {
                (chan, first, count) = (case.chan(), [None; 2], [0; 2]);
            }
            if case.watches() {
                c.watch(case, wait);
                continue;
            }
            let queue = case.wants() as usize;
            count[queue] += 1;
            let before = first[queue].filter(|_| m.rng.next().is_multiple_of(count[queue]));
            c.enqueue(case, wait, before);
            if before.is_some() || first[queue].is_none() {
                first[queue] = Some(case);
            }
        }
        told
    }

    /// Opens every latch. All reads of the cases come before the last latch is open (SELECT-I3).
    fn unlock(self) {
        let mut last: Option<&Chan> = None;
        for place in 0..self.0.len() {
            let c = self.chan(self.at(place));
            if let Some(c) = c {
                if let Some(before) = last
                    && !std::ptr::eq(before, c)
                {
                    before.latch.unlock();
                }
                last = Some(c);
            }
        }
        if let Some(c) = last {
            c.latch.unlock();
        }
    }

    /// SELECT-S4: returns the case that was chosen, if any. Afterwards all records are out of their lists (SELECT-I2).
    fn leave(self) -> Option<usize> {
        let mut chosen = None;
        let mut held: Option<&Chan> = None;
        for place in 0..self.0.len() {
            let i = self.at(place);
            let Some(c) = self.chan(i) else { continue };
            // SELECT-I1: at most one.
            if self.0[i].ended().is_some() {
                chosen = Some(i);
                continue;
            }
            if held.is_none_or(|h| !std::ptr::eq(h, c)) {
                if let Some(h) = held {
                    h.latch.unlock();
                }
                c.latch.lock();
                held = Some(c);
            }
            c.take_back(&self.0[i]);
        }
        if let Some(h) = held {
            h.latch.unlock();
        }
        chosen
    }
}

/// Sends or receives at one of the cases, and waits for at most `timeout` to do so; does not wait if that has passed.
/// Ok: the chosen case and its result.
///
/// # Migrates
pub fn select(m: MRef, cases: Cases<'_>, timeout: i64) -> Result<(usize, Result<()>)> {
    if let ([case], Some(c)) = (cases.0, cases.0.first().and_then(|_| cases.chan(0)))
        && !case.watches()
    {
        let r = if timeout <= 0 {
            c.try_transfer(m, case.wants(), case.elem())
                .map_err(|e| if e == Error::Again { Error::TimedOut } else { e })
        } else {
            c.transfer(m, case.wants(), case.elem(), timeout)
        };
        return match r {
            Ok(()) | Err(Error::Closed) => Ok((0, r)),
            Err(e) => Err(e),
        };
    }
    // SELECT-S1
    if let Some(i) = cases.pick(m).or_else(|| cases.pick_timer(m))
        && let Some(c) = cases.chan(i)
    {
        c.latch.lock();
        let did = cases.attempt(i);
        c.latch.unlock();
        if !matches!(did, Attempt::WouldBlock) {
            return chosen(i, did.done(m, c, cases.0[i].elem()));
        }
    }
    select_slow(m, cases, timeout)
}

/// A case was chosen. If it is a send to an unbounded channel, and there is no memory for the value, no case was done.
#[inline(always)]
fn chosen(i: usize, r: Result<()>) -> Result<(usize, Result<()>)> {
    match r {
        Err(Error::NoMemory) => Err(Error::NoMemory),
        r => Ok((i, r)),
    }
}

#[inline(never)]
fn select_slow(m: MRef, cases: Cases<'_>, timeout: i64) -> Result<(usize, Result<()>)> {
    if (0..cases.0.len()).all(|i| cases.chan(i).is_none()) {
        if timeout <= 0 {
            return Err(Error::TimedOut);
        }
        return Err(wait_for_nothing(m, WaitReason::SELECT_NONE, timeout).err().unwrap_or(Error::TimedOut));
    }
    // SELECT-S2
    let wait = if timeout <= 0 { None } else { Some(Wait::begin(m, timeout)?) };
    cases.sort();
    cases.lock();
    while let Some(i) = cases.pick(m) {
        match cases.attempt(i) {
            Attempt::WouldBlock => {}
            did => {
                cases.unlock();
                if let Some(wait) = wait {
                    wait.abandon(m);
                }
                return match cases.chan(i) {
                    Some(c) => chosen(i, did.done(m, c, cases.0[i].elem())),
                    None => Err(Error::Invalid),
                };
            }
        }
    }
    // SELECT-S3
    let Some(wait) = wait else {
        cases.unlock();
        return Err(Error::TimedOut);
    };
    let told = cases.enqueue(m, &wait);
    let mut all = Opening { cases, m, told: Told::of(&told) };
    let locks = Locks { open: open_all, arg: (&raw mut all).cast() };
    let (_, end) = wait.park(m, WaitReason::SELECT, locks);
    // SELECT-S4
    match (cases.leave(), end) {
        (Some(i), _) => Ok((i, cases.0[i].ended().unwrap_or(Ok(())))),
        (None, Err(e)) => Err(e),
        (None, Ok(())) => crate::gmp::fatal::throw(m.sched(), "a select was ended by none of its cases"),
    }
}

unsafe fn open_all(arg: *mut c_void) {
    // SAFETY: `select_slow` passes this, and holds the latches of its cases. It is copied here, and the cases stay
    // until SELECT-S4 (SELECT-I3).
    let Opening { cases, m, told } = unsafe { arg.cast::<Opening<'_>>().read() };
    cases.unlock();
    // WATCH-V4
    if let Some(told) = told {
        told.ready(m);
    }
}

struct Opening<'a> {
    cases: Cases<'a>,
    m: MRef,
    told: Option<Told>,
}
