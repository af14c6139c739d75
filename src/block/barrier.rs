//! Barriers: so many Gs and threads meet, again and again.
//!
//! # Problem
//! `n` callers arrive, and none continues before all have arrived. One of them is told that it is the serial one. The
//! barrier is ready for the next round at once, while callers of the last round are still on their way out: the first one
//! that is back may arrive again, or give the memory away. A caller may give up, at its deadline or when its token is
//! cancelled. The others must then neither go without it, nor wait for one arrival more than come.
//!
//! # Words
//! `n`: written by the host, while there is no waiter. `arrived`: how many wait in this round. The queue at the barrier's
//! address. `arrived` and the queue are under the lock of the address's root.
//!
//! # Protocol
//! An arrival, under the lock:
//! * R1 the last one of a round, which finds that `n` - 1 have arrived, sets `arrived` to 0 and takes all waiters out of the
//!   queue, by hand-off (M4 in waitq.rs). It is the serial one and does not wait. With the lock open it readies the others.
//! * R2 any other one gets into the queue and adds itself to `arrived`.
//!
//! Giving up:
//! * R3 the timer or the canceller that ends a wait takes the waiter out of the queue and back from `arrived` in one step
//!   (M5 in waitq.rs). The caller may arrive again.
//!
//! # Invariants
//! * R4 `arrived` is the number of waiters in the queue. So a round ends when `n` callers are there that have not given up,
//!   and a caller that returns for another reason is not one of them. Where the two differ, the barrier is a copy of one
//!   that is in use, or other memory: the call is wrong.
//! * R5 behind R1 no caller of the round touches the barrier. The waiters return without a look at it, and the last one
//!   readies Gs only. So the first one that is back may do with the memory what it likes.
//!
//! # Orderings
//! The lock orders each arrival before R1. The run queue, or the note of a thread, orders R1 before the return. So what
//! each caller did before it arrived is seen by all that are back.
//!
//! # Rejected
//! * A wait that no token ends, as those for other ends. The end of a wait group or a lock comes from callers that do
//!   something else meanwhile, whatever is cancelled. A caller that is cancelled before it arrives never comes, so the others
//!   wait for good, and the scope that was to end all of them with them.
//! * A barrier that is broken for all when one gives up, as in Java and Python. Others that are under the same token give up
//!   as well; others that are not may get a substitute.
//! * Count and round in one word, without the lock: all arrivals but one need the lock to wait.

use super::waitq::{self, How, Waker};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::{AtomicU32, Ordering};

/// As the C struct lays it out.
#[repr(C)]
#[derive(Default)]
pub struct Barrier {
    n: AtomicU32,
    arrived: AtomicU32,
    reserved: u64,
}

/// How an arrival is seen under the lock.
enum Seen {
    Waits,
    Last(GList),
    /// It is not the last one, and may not wait.
    Early,
    Wrong,
}

impl Barrier {
    #[cfg(test)]
    pub fn new(n: u32) -> Barrier {
        Barrier { n: AtomicU32::new(n), ..Barrier::default() }
    }

    /// Whether the caller is the serial one. `waits`: otherwise only the last one of a round gets through.
    ///
    /// # Migrates
    pub fn wait(&self, m: MRef, deadline: Option<i64>, waits: bool) -> Result<bool> {
        let addr = std::ptr::from_ref(self) as u64;
        let root = m.sched().sems.root(addr);
        let how = How::event(WaitReason::BARRIER, deadline);
        let mut seen = Seen::Waits;
        // R2 and R3
        let (m, waited) = waitq::wait_counted(m, addr, how, &self.arrived, |q| {
            let (n, arrived) = (self.n.load(Ordering::Relaxed), self.arrived.load(Ordering::Relaxed));
            let mut waker = Waker::of(q);
            seen = if arrived >= n || waker.any(addr) != (arrived != 0) {
                Seen::Wrong
            } else if arrived + 1 == n {
                // R1
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
        // R5: from here on the barrier is not touched.
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
