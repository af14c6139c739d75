//! The event: it happens again and again, and many threads may wait for the next time.
//!
//! The word counts how often it happened. A waiter:
//! * EVENT-V1 reads the count, and then checks whether it must wait;
//! * EVENT-V2 sleeps while the count is what it read. The futex compares and sleeps in one step, so the waiter misses
//!   no event after EVENT-V1.
//!
//! The cause of the event:
//! * EVENT-N1 makes true what the waiters check, and counts;
//! * EVENT-N2 wakes all that sleep.
//!
//! The count of EVENT-N1 is a Release, and each look of a waiter an Acquire: a waiter that sees the count sees what
//! came before it. (They are SeqCst: protocol/quiet.rs compares the count with other words.)

use super::prim::{AtomicU32, Ordering, futex};
use super::widen::widen;

/// See the module.
#[derive(Default)]
pub struct Event(AtomicU32);

impl Event {
    pub fn new() -> Self {
        Event(AtomicU32::new(0))
    }

    /// The present count. A waiter reads it before it checks whether it must wait.
    pub fn now(&self) -> u32 {
        // EVENT-V1
        self.0.load(Ordering::SeqCst)
    }

    /// Counts the event without waking any waiter.
    pub fn count(&self) {
        // EVENT-N1
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub fn happen(&self) {
        self.count();
        widen!();
        // EVENT-N2
        futex::wake(&self.0, i32::MAX);
    }

    /// Waits until the event has happened after `seen`. False if the deadline came first.
    pub fn wait(&self, seen: u32, deadline: Option<i64>) -> bool {
        while self.now() == seen {
            // EVENT-V2
            if !futex::wait(&self.0, seen, deadline) {
                return self.now() != seen;
            }
        }
        true
    }
}
