//! Barriers: a fixed number of Gs and threads meet, again and again.
//!
//! # Problem
//! `n` callers arrive, and none continues before all have arrived. One of them is told that it is the serial one. The
//! barrier is ready for the next round at once, while callers of the last round are still on their way out: the first
//! one that returns may arrive again, or free the memory. A caller may give up, at its deadline or when its token is
//! canceled. The others must then neither continue without it, nor wait for one arrival more than will come.
//!
//! # Words
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `n` | callers in a round | the host, while there is no waiter |
//! | `arrived` | waiters in this round | under the lock of the address's root |
//! | the queue | the waiters, at the barrier's address | under the lock of the address's root |
//!
//! # Protocol
//! An arrival, under the lock:
//! * BARRIER-R1 the last arrival of a round, which finds that `n` - 1 have arrived, sets `arrived` to 0 and takes all
//!   waiters out of the queue, by hand-off (WAITQ-M4). It is the serial one and does not wait. With the lock open it
//!   readies the others.
//! * BARRIER-R2 any other arrival gets into the queue and adds itself to `arrived`.
//!
//! Giving up:
//! * BARRIER-R3 the timer or the canceller that ends a wait takes the waiter out of the queue and subtracts it from
//!   `arrived` in one step (WAITQ-M5). The caller may arrive again.
//!
//! # Invariants
//! * BARRIER-R4 `arrived` is the number of waiters in the queue. So a round ends when `n` callers are there that have
//!   not given up, and a caller that returns for another reason is not one of them. Where the two numbers differ, the
//!   barrier is a copy of one that is in use, or other memory: the call is wrong.
//! * BARRIER-R5 After BARRIER-R1 no caller of the round touches the barrier. The waiters return without another look at
//!   it, and the last arrival only readies Gs. So the first caller that returns may free or reuse the memory.
//!
//! # Orderings
//! The lock orders each arrival before BARRIER-R1. The run queue, or the note of a thread, orders BARRIER-R1 before the
//! return. So every caller that returns sees what each caller did before it arrived.
//!
//! # Rejected
//! * A wait that no token ends, as the waits for a lock or a wait group. There the end comes from callers that do other
//!   work meanwhile, whatever is canceled. A caller that is canceled before it arrives at a barrier never comes. The
//!   others would wait for good, and with them the scope that was to end all of them.
//! * A barrier that is broken for all when one caller gives up, as in Java and Python. Callers under the same token
//!   give up as well; callers that are not under it may get a substitute.
//! * Count and round in one word, without the lock: all arrivals except one need the lock to wait.

use super::waitq::{self, How, Waker};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::{AtomicU32, Ordering};

/// Laid out as the C struct.
#[repr(C)]
#[derive(Default)]
pub struct Barrier {
    n: AtomicU32,
    arrived: AtomicU32,
    reserved: u64,
}

/// The result of an arrival's look under the lock.
enum Seen {
    Waits,
    Last(GList),
    /// It is not the last arrival, and may not wait.
    Early,
    Wrong,
}

impl Barrier {
    #[cfg(test)]
    pub fn new(n: u32) -> Barrier {
        Barrier { n: AtomicU32::new(n), ..Barrier::default() }
    }

    /// Returns whether the caller is the serial one. Without `waits` only the last arrival of a round gets through.
    ///
    /// # Migrates
    pub fn wait(&self, m: MRef, deadline: Option<i64>, waits: bool) -> Result<bool> {
        let addr = std::ptr::from_ref(self) as u64;
        let root = m.sched().sems.root(addr);
        let how = How::event(WaitReason::BARRIER, deadline);
        let mut seen = Seen::Waits;
        // BARRIER-R2 and BARRIER-R3
        let (m, waited) = waitq::wait_counted(m, addr, how, &self.arrived, |q| {
            let (n, arrived) = (self.n.load(Ordering::Relaxed), self.arrived.load(Ordering::Relaxed));
            let mut waker = Waker::of(q);
            // BARRIER-R4
            seen = if arrived >= n || waker.any(addr) != (arrived != 0) {
                Seen::Wrong
            } else if arrived + 1 == n {
                // BARRIER-R1
                self.arrived.store(0, Ordering::Relaxed);
                waker.take_all(addr, Wake::Handoff);
                Seen::Last(waker.end(root))
            } else if waits {
                Seen::Waits
            } else {
                Seen::Early
            };
            matches!(seen, Seen::Waits)
        });
        // BARRIER-R5: from here on this caller does not touch the barrier.
        match seen {
            Seen::Last(others) => {
                waitq::ready_all(m, others);
                Ok(true)
            }
            Seen::Early => Err(Error::TimedOut),
            Seen::Wrong => Err(Error::Invalid),
            Seen::Waits => waited.error().map_or(Ok(false), Err),
        }
    }
}
