//! How long goroutines that can run wait until they do.
//!
//! # Words
//! A G becomes ready when it is started, when its wait is over, and when it comes back from a syscall and finds no P.
//! It starts when an M enters it. The time between is its latency. A G that yields, or whose slice ends, is not
//! ready again in this sense: it had its turn.
//!
//! # What holds
//! * One of [`EVERY`] is timed, counted by the thread that makes it ready; the first of each thread is.
//! * A G that is timed has a mark in `lockedm`, from before others can find it in a queue until it starts. That word
//!   and `ready_at` pass from owner to owner with the G.
//! * A timed G is entered by g0 ([`LockedM::is_plain`](super::g::LockedM::is_plain)): so the path into all others has
//!   no test more.
//! * The latency is counted in the histogram of the P on which the G starts, by the owner of that P.
//! * A G that never starts, since the runtime ends, is not counted.
//!
//! # Rejected
//! * Each G: two looks at the clock (23 ns each) for a switch of some 30 ns.
//! * The watchdog looks at the queues: it sees Gs that wait for long, but not how many did not.
//! * The count in the P: a thread without one (the watchdog, a thread of the host) readies Gs as well.

use super::g::G;
use super::m::M;
use super::p::OwnedP;
use crate::sync::now;

/// One in this many Gs that become ready is timed.
pub const EVERY: u32 = 256;

impl M {
    /// For a G that becomes ready, before another thread can find it.
    #[inline(always)]
    pub fn note_ready(&self, gp: &G) {
        let left = self.untimed.get().wrapping_sub(1);
        self.untimed.set(left);
        if left == 0 {
            self.begin_timing(gp);
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_timing(&self, gp: &G) {
        self.untimed.set(EVERY);
        gp.ready_at.set(now());
        gp.lockedm.set_timed(true);
    }
}

/// For a G that g0 enters, or that its own M enters in place.
#[inline(always)]
pub fn note_start(pp: &OwnedP, gp: &G) {
    if gp.lockedm.is_timed() {
        end_timing(pp, gp);
    }
}

#[cold]
#[inline(never)]
fn end_timing(pp: &OwnedP, gp: &G) {
    gp.lockedm.set_timed(false);
    pp.latency.record(now() - gp.ready_at.get());
}
