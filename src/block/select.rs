//! One of several: whatever channel is ready first.
//!
//! # Problem
//! A select sends or receives at one of several channels, never at two and never at none of those that are ready, and
//! prefers none. While it waits it stands at each of them.
//!
//! # Protocol
//! * S1 look at each case without a lock; of those that may be ready choose one, each with the same probability, and
//!   try it under its latch (one that only watches: look whether it is ready, watch.rs). Mostly that is all. If none
//!   may be, look at the timers that send to the channels (T1 in timer.rs).
//! * S2 take the latches of all channels, in the order of their addresses, each once: nothing changes any more. Choose
//!   and try as above, until one succeeds or none may be ready.
//! * S3 not to wait? Everything is given back. Otherwise the claimed wait (claim.rs), which was begun before any latch
//!   was taken, gets a record in the queue of each case: the case itself. Of several in one queue each is the first of
//!   them with the same probability, since a partner takes the first. Park; the commit opens the latches.
//! * S4 awake: the case whose record says how it ended was chosen, by whoever claimed the wait. The records of the
//!   others are taken out of their lists, under the latch of each channel.
//!
//! # Invariants
//! * I1 one case: a partner moves a value after it has claimed the wait, and one claim succeeds.
//! * I2 the cases belong to the select until it returns: every record is out of every list then.
//! * I3 the commit reads no case once the latch is open whose owner is last in the order: S4 waits for that latch, or
//!   comes from a claim under it.
//!
//! # Why it ends
//! A try in S2 that fails has found only records of ended waits in that queue, and has emptied it.
//!
//! # Rejected
//! A random order in which the cases are tried, as Go has it: n random numbers and room for n places, where one pass
//! that chooses among the ready needs a number for the second that is ready, and for each further one.
//!
//! # Differences from Go
//! S1: a select that need not wait takes one lock. A default (timeout 0) is taken only when nothing is ready under all
//! latches, as in Go: two glances one after the other would miss a value that goes from the one channel to the other.
//! There is a deadline.

use super::chan::{Case, Chan, Did, Op, wait_for_nothing};
use super::claim::{Locks, Wait};
use super::watch::Told;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason};
use crate::gmp::m::MRef;
use std::ffi::c_void;

/// The cases of one select. Those without a channel are never ready.
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

    /// One of the cases that may be ready.
    #[inline(always)]
    fn pick(self, m: MRef) -> Option<usize> {
        self.pick_if(m, |c, op| c.may(op))
    }

    /// One of the cases that are ready since a timer is due that has not fired yet. No latch is held.
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

    /// Tries a case. The latch of its channel is held.
    #[inline(always)]
    fn attempt(self, i: usize) -> Did {
        let case = &self.0[i];
        self.chan(i).map_or(Did::Not, |c| match case.watches() {
            // V1
            true if c.ready(case.wants()) => Did::Moved,
            true => Did::Not,
            false => c.attempt(case.wants(), case.elem()),
        })
    }

    fn key(self, place: usize) -> usize {
        self.0[self.at(place)].chan() as usize
    }

    /// The case at a place of the order.
    fn at(self, place: usize) -> usize {
        self.0[place].order.get() as usize
    }

    fn swap(self, a: usize, b: usize) {
        let (x, y) = (&self.0[a].order, &self.0[b].order);
        x.set(y.replace(x.get()));
    }

    /// Orders the cases by the addresses of their channels, in place and in n log n steps.
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

    /// Lets a place of the heap sink to where it belongs.
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

    /// S2.
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

    /// S3: a record in each queue. The nth of one queue goes before the others of it with a probability of 1/n.
    /// Returns the watchers that are told of it.
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
        // Cases of one channel follow each other.
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

    /// Opens every latch. The last thing that it reads of the cases comes before the last latch is open (I3).
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

    /// S4: the case that was chosen, if one was; all records are out of their lists afterwards.
    fn leave(self) -> Option<usize> {
        let mut chosen = None;
        let mut held: Option<&Chan> = None;
        for place in 0..self.0.len() {
            let i = self.at(place);
            let Some(c) = self.chan(i) else { continue };
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

/// Sends or receives at one of the cases; waits for that as long as `timeout`; not at all if that has passed.
/// Ok: the case that was chosen, and how that went.
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
    // S1
    if let Some(i) = cases.pick(m).or_else(|| cases.pick_timer(m))
        && let Some(c) = cases.chan(i)
    {
        c.latch.lock();
        let did = cases.attempt(i);
        c.latch.unlock();
        if !matches!(did, Did::Not) {
            return chosen(i, did.done(m, c, cases.0[i].elem()));
        }
    }
    select_slow(m, cases, timeout)
}

/// A case was chosen. If it sends, to a channel without a bound, and there is no memory for its value, none was done.
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
    // S2
    let wait = if timeout <= 0 { None } else { Some(Wait::begin(m, timeout)?) };
    cases.sort();
    cases.lock();
    while let Some(i) = cases.pick(m) {
        match cases.attempt(i) {
            Did::Not => {}
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
    // S3
    let Some(wait) = wait else {
        cases.unlock();
        return Err(Error::TimedOut);
    };
    let told = cases.enqueue(m, &wait);
    let mut all = Opening { cases, m, told: Told::of(&told) };
    let locks = Locks { open: open_all, arg: (&raw mut all).cast() };
    let (_, end) = wait.park(m, WaitReason::SELECT, locks);
    // S4
    match (cases.leave(), end) {
        (Some(i), _) => Ok((i, cases.0[i].ended().unwrap_or(Ok(())))),
        (None, Err(e)) => Err(e),
        (None, Ok(())) => crate::gmp::fatal::throw(m.sched(), "a select was ended by none of its cases"),
    }
}

unsafe fn open_all(arg: *mut c_void) {
    // SAFETY: `select_slow` passes this, and the latches of its cases are held; it is copied, and the cases stay until
    // S4 (I3).
    let Opening { cases, m, told } = unsafe { arg.cast::<Opening<'_>>().read() };
    cases.unlock();
    // V4 in watch.rs
    if let Some(told) = told {
        told.ready(m);
    }
}

struct Opening<'a> {
    cases: Cases<'a>,
    m: MRef,
    told: Option<Told>,
}
