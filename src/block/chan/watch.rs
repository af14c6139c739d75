//! Waiting until a channel is ready, without sending or receiving.
//!
//! # Problem
//! A sender may want to make its value only when there is a place for it, and a receiver may have to do something else
//! before it takes a value. So a case of a select may watch a side of a channel: the select chooses the case when a
//! receive (a send) would not wait at that moment. Another G may be faster than the caller's own attempt after that. So
//! the caller makes an attempt that does not wait, and selects again if the attempt fails. Sends and receives must not
//! pay for watchers that do not exist, and no watcher may sleep while its channel is ready.
//!
//! # Words
//! * watcher: a record ([`Case`]) of a select whose `op` has the bit [`WATCHES`]. It stands in the channel's list
//!   `orphans`, because the queues contain only records that move values.
//! * `Chan::state`, under the latch: a bit for each side that is watched, and a bit for closed. A side's bit may stay
//!   set for a while after its last watcher has left.
//!
//! # Protocol
//! The watcher, a select:
//! * WATCH-V1 Under the latches of all channels it asks whether the side is ready. If it is, the select ends here. The
//!   answer is exact, because the watcher first takes records of ended waits out of the queue of the other side.
//! * WATCH-V2 Otherwise it puts the record into `orphans`, sets the side's bit, and parks.
//!
//! A send, a receive or a close that makes a side ready, under the latch:
//! * WATCH-V3 If the side's bit is set, the G clears it, and claims and ends the wait of every watcher of the side.
//!   These events make a side ready: a value that is put into an empty ring or segment; a place that becomes free in a
//!   full ring; a sender or a receiver that gets into the queue of a channel with a capacity of 0, which makes the
//!   other side ready; a close, which makes both sides ready.
//! * WATCH-V4 The G opens the latch, and then readies the watchers. A G that gets into a queue has left its stack by
//!   then, so its commit does both.
//!
//! # Invariants
//! * WATCH-I1 A side that is ready has no watchers: a select that finds it ready does not begin to watch (WATCH-V1 and
//!   WATCH-V2 are under one latch), and WATCH-V3 leaves no watcher behind. The exception is a select that makes a side
//!   ready itself and watches that side too. So senders and receivers look for watchers only where they make a side
//!   ready.
//! * WATCH-I2 WATCH-V3 releases all watchers of a side, not one: a watcher may leave the value where it is. Were it the
//!   only one that is told, the others would sleep beside a ready channel.
//! * WATCH-I3 A value goes to a receiver that waits before any watcher is told of it, since receivers in the queue come
//!   first.
//! * WATCH-I4 A select does not wake itself: it does WATCH-V3 for the records that it puts into queues before it does
//!   WATCH-V2 for those that watch.
//!
//! # Rejected
//! * Watchers in the queues: each send and receive would have to step over them.
//! * Passing the news from watcher to watcher: a watcher that has lost interest, or whose deadline has passed, would
//!   still have to pass it on.
//!
//! # Differences from Go
//! Go has no such operation.

use super::record::{Case, MOVED, WATCHES};
use super::words::{Attempt, Chan, Link, Op, Told};
use crate::block::claim::{self, Wait};
use crate::gmp::g::{GList, GRef};
use crate::gmp::m::MRef;
use crate::protocol::park;
use crate::sync::{Ordering, step};

/// The bits of `Chan::state`.
pub(super) const CLOSED: u8 = 1;
const RECV_WATCHED: u8 = 2;
const SEND_WATCHED: u8 = 4;

#[inline(always)]
fn bit(side: Op) -> u8 {
    if side == Op::Recv { RECV_WATCHED } else { SEND_WATCHED }
}

#[inline(always)]
fn other(side: Op) -> Op {
    if side == Op::Send { Op::Recv } else { Op::Send }
}

impl Told {
    pub(in crate::block) fn of(list: &GList) -> Option<Told> {
        list.first().map(Told)
    }

    /// WATCH-V4. The caller holds no latch.
    pub(in crate::block) fn ready(self, m: MRef) {
        let mut next = Some(self.0);
        while let Some(gp) = next {
            // SAFETY: links of Gs in a list are null or Gs. After goready the G belongs to the thread that runs it.
            next = unsafe { GRef::from_ptr(gp.link.take()) };
            park::goready(m, gp);
        }
    }
}

impl Chan {
    /// WATCH-V1. The caller holds the latch.
    pub(in crate::block) fn ready(&self, side: Op) -> bool {
        let partners = if side == Op::Send { &self.recvq } else { &self.sendq };
        self.may_at_once(side) || self.there_waits(partners)
    }

    /// Whether an attempt would succeed without a waiter on the other side. The caller holds the latch.
    fn may_at_once(&self, op: Op) -> bool {
        let n = self.count.load(Ordering::Relaxed);
        self.closed.load(Ordering::Relaxed) || if op == Op::Send { n < self.cap } else { n > 0 }
    }

    /// Whether a record of a queue still waits. Records of ended waits leave the queue (CHAN-T1).
    fn there_waits(&self, q: &Link) -> bool {
        while let Some(case) = self.first(q) {
            if case.waits() {
                return true;
            }
            case.link.unlink();
            self.orphans.push_back(&case.link);
        }
        false
    }

    /// WATCH-V2. The caller holds the latch.
    pub(in crate::block) fn watch(&self, case: &Case, wait: &Wait) {
        case.stands_for(wait);
        self.orphans.push_back(&case.link);
        self.state.set(self.state.get() | bit(case.wants()));
    }

    /// WATCH-V3, for a side that has become ready. The caller holds the latch.
    #[cold]
    #[inline(never)]
    pub(super) fn tell(&self, side: Op, told: &mut GList) {
        self.state.set(self.state.get() & !bit(side));
        let mut next = self.first(&self.orphans);
        while let Some(case) = next {
            step();
            next = self.behind_in(&self.orphans, case);
            if case.watches() && case.wants() == side && case.is_claimed() {
                case.link.unlink();
                told.push_back(case.end(MOVED));
            }
        }
    }

    /// WATCH-V3, for a G that queues at this side: collects the watchers that its commit is to ready. The caller holds
    /// the latch, and has no watcher at this channel yet (WATCH-I4).
    #[inline(always)]
    pub(in crate::block) fn tell_of(&self, side: Op, told: &mut GList) {
        if self.is_watched_beside(side) {
            self.tell(other(side), told);
        }
    }

    /// Whether the other side is watched. The caller holds the latch.
    #[inline(always)]
    pub(super) fn is_watched_beside(&self, side: Op) -> bool {
        self.state.get() & bit(other(side)) != 0
    }

    /// WATCH-V3 for a value in the ring, or for a place that became free. The caller holds the latch.
    #[cold]
    #[inline(never)]
    pub(super) fn moved(&self, side: Op) -> Attempt {
        if self.state.get() & bit(side) == 0 {
            return Attempt::Moved;
        }
        let mut told = GList::new();
        self.tell(side, &mut told);
        Told::of(&told).map_or(Attempt::Moved, Attempt::Told)
    }

    /// WATCH-V3 for a close. The caller holds the latch.
    pub(super) fn tell_all(&self, told: &mut GList) {
        for side in [Op::Recv, Op::Send] {
            if self.state.get() & bit(side) != 0 {
                self.tell(side, told);
            }
        }
    }
}

impl Case {
    /// Whether the case only asks if the channel is ready.
    #[inline(always)]
    pub fn watches(&self) -> bool {
        self.op.get() & WATCHES != 0
    }

    /// Claims the watcher's wait for the caller. False: another party has claimed it before.
    fn is_claimed(&self) -> bool {
        // SAFETY: a record in a list has its G.
        unsafe { GRef::from_ptr(self.gp.get()) }.is_some_and(|gp| claim::take(&gp, self.seq.get()))
    }
}

#[cfg(test)]
impl Case {
    /// A watcher of a side.
    pub fn watcher(c: &Chan, side: Op) -> Case {
        let case = Case::new(c, side, std::ptr::null_mut());
        case.op.set(side as u32 | WATCHES);
        case
    }
}
