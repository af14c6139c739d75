//! The parts of a channel: [`chan`](super) has the protocol. The other files of the folder build on this one.

use crate::block::segments::Segment;
use crate::gmp::g::GRef;
use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::sync::own::{OwnBool, OwnPtr, OwnU8, OwnUsize};
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Latch, Ordering};
use std::ptr::{NonNull, null_mut};

/// The capacity of an unbounded channel.
pub const UNBOUNDED: usize = usize::MAX;

/// A channel; its ring, or its [`Segments`](crate::block::segments::Segments), lies behind it.
#[repr(C, align(64))]
pub struct Chan {
    /// The runtime that it belongs to: the child of a fork has another one. Null after the free.
    pub(super) sched: OwnPtr<Sched>,
    pub(in crate::block) latch: Latch,
    pub(super) closed: AtomicBool,
    /// The channel frees its timer when it is freed (TIMER-O1).
    pub(super) owns_timer: OwnBool,
    /// The allocation begins this many bytes before the channel, which begins at a cache line. Set once.
    pub(super) offset: OwnU8,
    /// The bits that watch.rs describes, under the latch.
    pub(super) state: OwnU8,
    pub(super) count: AtomicUsize,
    /// The number of places in the ring. UNBOUNDED, which is negative as an isize, if values lie in segments.
    pub(super) cap: usize,
    pub(super) elem_size: usize,
    /// The place for the next value to be sent.
    pub(super) sendx: OwnPtr<u8>,
    /// The place of the oldest value.
    pub(super) recvx: OwnPtr<u8>,
    /// Behind the last place of the ring, or of the oldest segment; null if values have no size.
    pub(super) end: OwnPtr<u8>,
    /// The number of users.
    pub(super) refs: OwnUsize,
    pub(super) recvq: Link,
    pub(super) sendq: Link,
    pub(super) orphans: Link,
    /// The timer that sends here, or has sent; null if there is none. Unless the channel owns it, its place may serve
    /// another timer by now.
    pub(super) timer: OwnPtr<Sender>,
}

const _: () = assert!(size_of::<Chan>() == 128 || cfg!(any(loom, shuttle)));

// SAFETY: everything is atomic, or guarded by the latch.
unsafe impl Sync for Chan {}

/// The timer that sends to a channel, as the channel sees it: a timer of the host begins with it (timer.rs).
pub struct Sender {
    pub acts: &'static SenderActs,
}

/// What a channel asks of its timer. Both get the address of the timer's [`Sender`].
pub struct SenderActs {
    /// TIMER-T1. The caller holds no channel's lock.
    pub fire_if_due: unsafe fn(*mut Sender, MRef, &Chan),
    /// TIMER-O2, for a channel that ends and owns the timer. The caller holds no lock.
    pub end_of_owner: unsafe fn(*mut Sender, &Sched, NonNull<Chan>),
}

/// The operation of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Op {
    Recv = 0,
    Send = 1,
}

/// Links of a circular list. A link that is alone points to itself.
#[repr(C)]
pub(super) struct Link {
    pub(super) next: AtomicPtr<Link>,
    pub(super) prev: OwnPtr<Link>,
}

impl Link {
    pub(super) fn new() -> Link {
        Link { next: AtomicPtr::new(null_mut()), prev: OwnPtr::null() }
    }

    /// Makes it an empty list. The link must not move afterwards.
    pub(super) fn init(&self) {
        let this = std::ptr::from_ref(self).cast_mut();
        self.next.store(this, Ordering::Relaxed);
        self.prev.set(this);
    }

    /// Acquire: an unlocked look reads the other words after this one.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        std::ptr::eq(self.next.load(Ordering::Acquire), self)
    }

    #[inline(always)]
    pub(super) fn push_back(&self, l: &Link) {
        let (this, new) = (std::ptr::from_ref(self).cast_mut(), std::ptr::from_ref(l).cast_mut());
        let last = self.prev.get();
        l.next.store(this, Ordering::Relaxed);
        l.prev.set(last);
        // SAFETY: the links of a list are its entries and its head, which live while they are in it (CHAN-I3).
        unsafe { (*last).next.store(new, Ordering::Relaxed) };
        self.prev.set(new);
    }

    #[inline(always)]
    pub(super) fn unlink(&self) {
        let (next, prev) = (self.next.load(Ordering::Relaxed), self.prev.get());
        // SAFETY: the links of a list live while they are in it (CHAN-I3).
        unsafe { (*prev).next.store(next, Ordering::Relaxed) };
        // SAFETY: the links of a list live while they are in it (CHAN-I3).
        unsafe { (*next).prev.set(prev) };
    }
}

/// The outcome of an attempt.
pub(in crate::block) enum Attempt {
    /// The caller has to wait.
    WouldBlock,
    /// Done, between the caller and the ring.
    Moved,
    /// Done, and the caller is to free this segment (SEGMENTS-G4).
    Emptied(NonNull<Segment>),
    /// The segments have no room: SEGMENTS-G1.
    Lacks,
    /// Done, and the caller is to ready these watchers.
    Told(Told),
    /// Done with a partner, which the caller is to ready.
    With(GRef),
    Closed,
}

/// A list of Gs whose waits were ended, and which are not readied yet.
#[derive(Clone, Copy)]
pub(in crate::block) struct Told(pub(super) GRef);
