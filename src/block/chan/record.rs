//! The records of a channel, one for each wait, and the lists of them: [`chan`](super) has the protocol.

use super::words::{Chan, Link, Op};
use crate::block::claim::{self, Wait};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GRef};
use crate::sync::own::{OwnPtr, OwnU32, OwnU64};
use crate::sync::{Ordering, step};
use std::mem::offset_of;

/// The bit of `op` that makes a record a watcher.
pub(super) const WATCHES: u32 = 2;

/// The state of a record's wait, for its owner.
const WAITS: u32 = 0;
pub(super) const MOVED: u32 = 1;
pub(super) const CLOSED: u32 = 2;

/// One operation on a channel, and the record by which a G waits for it. Laid out as `gmx_select_case`.
#[repr(C)]
pub struct Case {
    pub(in crate::block) chan: OwnPtr<Chan>,
    /// The value to send, or the place for the received one; null for a receiver that drops the value.
    elem: OwnPtr<u8>,
    pub(in crate::block) op: OwnU32,
    state: OwnU32,
    pub(super) link: Link,
    pub(in crate::block) gp: OwnPtr<G>,
    /// The number of its wait; 0: no claim is needed.
    pub(in crate::block) seq: OwnU64,
    /// For a select: place i of the lock order holds here the number of the case with that place.
    pub(in crate::block) order: OwnU32,
    reserved: OwnU32,
}

impl Case {
    pub fn new(c: &Chan, op: Op, elem: *mut u8) -> Case {
        let case = Case {
            chan: OwnPtr::null(),
            elem: OwnPtr::null(),
            op: OwnU32::new(op as u32),
            state: OwnU32::new(WAITS),
            link: Link::new(),
            gp: OwnPtr::null(),
            seq: OwnU64::new(0),
            order: OwnU32::new(0),
            reserved: OwnU32::new(0),
        };
        case.chan.set(std::ptr::from_ref(c).cast_mut());
        case.elem.set(elem);
        case
    }

    #[inline(always)]
    pub(in crate::block) fn wants(&self) -> Op {
        if self.op.get() & Op::Send as u32 != 0 { Op::Send } else { Op::Recv }
    }

    /// The operation it asks for, if `op` holds a known value.
    #[inline(always)]
    pub fn op(&self) -> Option<Op> {
        match self.op.get() {
            op if op <= WATCHES | Op::Send as u32 => Some(self.wants()),
            _ => None,
        }
    }

    #[inline(always)]
    pub fn chan(&self) -> *mut Chan {
        self.chan.get()
    }

    #[inline(always)]
    pub fn elem(&self) -> *mut u8 {
        self.elem.get()
    }

    /// How its wait ended; None if another record or no record ended it.
    #[inline(always)]
    pub(in crate::block) fn ended(&self) -> Option<Result<()>> {
        match self.state.get() {
            WAITS => None,
            MOVED => Some(Ok(())),
            _ => Some(Err(Error::Closed)),
        }
    }

    /// Makes it a record of this wait.
    #[inline(always)]
    pub(in crate::block) fn stands_for(&self, wait: &Wait) {
        self.gp.set(wait.gp.as_ptr());
        self.seq.set(wait.seq);
        self.state.set(WAITS);
    }

    /// # Safety
    /// `l` is the link of a case.
    #[inline(always)]
    unsafe fn of<'a>(l: *mut Link) -> &'a Case {
        // SAFETY: the link is in a case, by the caller's promise. (A wrapping_byte_sub might give null.)
        let case = unsafe { l.byte_sub(offset_of!(Case, link)) }.cast::<Case>();
        // SAFETY: as above.
        unsafe { &*case }
    }

    /// Whether its wait has not ended yet. The caller holds the latch of its queue.
    pub(super) fn waits(&self) -> bool {
        let seq = self.seq.get();
        // SAFETY: a queued record has its G.
        seq == 0 || unsafe { GRef::from_ptr(self.gp.get()) }.is_some_and(|gp| claim::is_open(&gp, seq))
    }

    /// CHAN-T2. Returns the G to ready.
    #[inline(always)]
    pub(super) fn end(&self, how: u32) -> GRef {
        self.state.set(how);
        // SAFETY: Gs are never freed.
        let gp = unsafe { GRef::from_ptr(self.gp.get()) };
        // SAFETY: a queued record has its G.
        unsafe { gp.unwrap_unchecked() }
    }
}

impl Chan {
    #[inline(always)]
    pub(super) fn queue(&self, op: Op) -> &Link {
        if op == Op::Send { &self.sendq } else { &self.recvq }
    }

    /// The first record of a list. The caller holds the latch.
    pub(super) fn first(&self, list: &Link) -> Option<&Case> {
        let l = list.next.load(Ordering::Relaxed);
        // SAFETY: an entry of a list is the link of a case (CHAN-I3).
        (!std::ptr::eq(l, list)).then(|| unsafe { Case::of(l) })
    }

    /// The record that follows `case` in a list. The caller holds the latch.
    pub(super) fn behind_in(&self, list: &Link, case: &Case) -> Option<&Case> {
        let l = case.link.next.load(Ordering::Relaxed);
        // SAFETY: as above.
        (!std::ptr::eq(l, list)).then(|| unsafe { Case::of(l) })
    }

    /// CLAIM-C2. Puts a record into its queue: at the end, or before another record of the same caller. The caller
    /// holds the latch.
    #[inline(always)]
    pub(in crate::block) fn enqueue(&self, case: &Case, wait: &Wait, before: Option<&Case>) {
        case.stands_for(wait);
        before.map_or(self.queue(case.wants()), |other| &other.link).push_back(&case.link);
    }

    /// CHAN-T1. The caller holds the latch.
    #[inline(always)]
    pub(super) fn pop(&self, q: &Link) -> Option<&Case> {
        while !q.is_empty() {
            let l = q.next.load(Ordering::Relaxed);
            // SAFETY: an entry of a queue is the link of a case (CHAN-I3).
            let case = unsafe { Case::of(l) };
            case.link.unlink();
            let seq = case.seq.get();
            if seq == 0 || self.claim(case, seq) {
                return Some(case);
            }
        }
        None
    }

    #[inline(never)]
    fn claim(&self, case: &Case, seq: u64) -> bool {
        // SAFETY: a queued record has its G.
        let taken = unsafe { GRef::from_ptr(case.gp.get()) }.is_some_and(|gp| claim::take(&gp, seq));
        if !taken {
            self.orphans.push_back(&case.link);
        }
        taken
    }

    /// CHAN-W1: takes out of its list a record that no other party has taken. The caller holds the latch.
    #[inline(always)]
    pub(in crate::block) fn take_back(&self, case: &Case) {
        case.link.unlink();
    }

    /// How many records wait to send and to receive. A record whose wait has ended does not count.
    pub fn waiters(&self) -> (usize, usize) {
        self.latch.lock();
        let n = (self.waiting(&self.sendq), self.waiting(&self.recvq));
        self.latch.unlock();
        n
    }

    /// The latch is held.
    fn waiting(&self, q: &Link) -> usize {
        let (mut n, mut l) = (0, q.next.load(Ordering::Relaxed));
        while !std::ptr::eq(l, q) {
            step();
            // SAFETY: an entry of a queue is the link of a case (CHAN-I3).
            let case = unsafe { Case::of(l) };
            n += usize::from(case.waits());
            l = case.link.next.load(Ordering::Relaxed);
        }
        n
    }
}
