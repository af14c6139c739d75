//! Channels: values from G to G in order, without a buffer, with a bounded one, or with an unbounded one.
//!
//! # Problem
//! Senders and receivers wait for each other, and a partner, a close, a deadline and a cancellation may come to one
//! wait at the same moment. No value may be lost or arrive twice, the longest waiter is served first, and a value
//! should be copied once.
//!
//! # Words
//! All of it is guarded by the channel's latch. `closed`, `count` and the heads of the queues may also be read without
//! it.
//!
//! * the ring: `count` values, from `recvx` on; the next value goes to `sendx`; `end` is behind the last place. An
//!   unbounded channel has a chain of segments instead (segments.rs), and `end` is the end of the oldest segment;
//! * record: a [`Case`], which stands for one waiter. It lies on the waiter's stack, or in the array that the caller
//!   passed to a select;
//! * `recvq`, `sendq`: the records of the receivers and of the senders that wait;
//! * `orphans`: the records whose wait was ended from elsewhere, and watchers (watch.rs). No send or receive steps over
//!   them. They stay listed, because a channel with a record in any of the three lists is in use;
//! * `state` of the channel: closed, and which sides are watched.
//!
//! The owner writes a record until it is queued; after that it is written under the latch. The party that ends a wait
//! writes the record's `state`.
//!
//! # Protocol
//! Send:
//! * CHAN-S1 The channel is closed: an error. A receiver waits: the sender takes its record and copies the value to the
//!   receiver's place, from stack to stack.
//! * CHAN-S2 The ring has room: the sender copies the value there.
//! * CHAN-S3 Otherwise it waits: a record with the value's place goes to the end of `sendq`, and the sender parks; the
//!   commit opens the latch.
//!
//! Receive:
//! * CHAN-R1 A sender waits: without a ring the receiver copies the value from it. With a ring the receiver takes the
//!   oldest value of the ring, and the sender's value goes to the end of the ring.
//! * CHAN-R2 The ring has a value: the receiver takes the oldest one.
//! * CHAN-R3 The channel is closed: nothing comes any more, and the receiver gets zero.
//! * CHAN-R4 Otherwise it waits, as in CHAN-S3.
//!
//! Close:
//! * CHAN-X1 The channel becomes closed.
//! * CHAN-X2 The closer takes every waiter's record; receivers get zero, and each record says that the channel was
//!   closed.
//! * CHAN-X3 The closer opens the latch and readies the waiters.
//! * CHAN-D1 A close that drops empties the ring under the same latch.
//! * CHAN-D2 With the latch open it passes the dropped values to its caller. No send writes to the ring of a closed
//!   channel, and with a count of 0 no receive reads it. The same holds for segments, which are freed one by one.
//!
//! Taking a record:
//! * CHAN-T1 Unlink it. If several parties may end its wait, claim the wait (claim.rs). A party whose claim comes too
//!   late moves the record to `orphans` and takes the next one.
//! * CHAN-T2 Write in the record how its wait ended.
//! * CHAN-T3 Open the latch, and ready the record's G.
//!
//! Unbounded channels:
//! * CHAN-U1 A send does this instead of CHAN-S2 and CHAN-S3: the value goes to the youngest segment. If that has no
//!   room, the sender opens the latch to allocate more memory (SEGMENTS-G1 and SEGMENTS-G2). If there is none, nothing
//!   was sent.
//!
//! Awake again:
//! * CHAN-W1 If no party has written the record's state, the wait has timed out or was canceled. The waiter then takes
//!   the record out of its list, under the latch.
//!
//! # Invariants
//! * CHAN-I1 Receivers wait only while the ring is empty and no sender waits. Senders wait only while the ring is full
//!   and no receiver waits, and never at an unbounded channel. (A record whose wait has ended does not count.) A select
//!   that waits on both sides of one channel is not its own partner: it looked at both, under the latch, before it was
//!   queued.
//! * CHAN-I2 No G waits at a closed channel; otherwise it would never be woken.
//! * CHAN-I3 A record is in at most one list, and stays in it until a party takes it or its owner takes it out. A frame
//!   with a listed record does not end; otherwise the list would lead through a stack that is used for something else.
//! * CHAN-I4 The party that takes a record moves its value, writes its state and readies its G, and no other party
//!   does. A value moves exactly when a partner ends the wait, hence never for a wait that timed out.
//!
//! # Orderings
//! The latch orders everything except the unlocked looks of `Chan::may`. There the second load must come after the
//! first (Acquire). A closed channel stays closed, so a channel that was seen empty and then open was both at the first
//! look. A closed channel does not fill, so a channel that was seen open and then full was both.
//!
//! # Why it ends
//! CHAN-T1 repeats once for each record whose wait has ended, and takes that record out of the queue.
//!
//! # Differences from Go
//! A wrong call gets a status, not a panic. Records are the caller's memory: nothing comes from a cache, and nothing is
//! allocated. The records of ended waits stay in `orphans` until their owner comes; Go drops them, since its collector
//! keeps a channel alive while any goroutine refers to it. There are deadlines.

use super::claim::{self, Locks, Wait};
use super::segments::{self, Segment, Segments};
use super::timer::{self, HostTimer};
use super::watch::{self, Told};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{G, GList, GRef, WaitReason};
use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::protocol::park;
use crate::sync::own::{OwnBool, OwnPtr, OwnU8, OwnU32, OwnU64, OwnUsize};
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Latch, Ordering, step};
use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::{NonNull, copy_nonoverlapping, null_mut, write_bytes};

// ---- records --------------------------------------------------------------------------------------------------------

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
    next: AtomicPtr<Link>,
    prev: OwnPtr<Link>,
}

/// The state of a record's wait, for its owner.
const WAITS: u32 = 0;
pub(super) const MOVED: u32 = 1;
const CLOSED: u32 = 2;

/// One operation on a channel, and the record by which a G waits for it. Laid out as `gmx_select_case`.
#[repr(C)]
pub struct Case {
    pub(super) chan: OwnPtr<Chan>,
    /// The value to send, or the place for the received one; null for a receiver that drops the value.
    elem: OwnPtr<u8>,
    pub(super) op: OwnU32,
    state: OwnU32,
    pub(super) link: Link,
    pub(super) gp: OwnPtr<G>,
    /// The number of its wait; 0: no claim is needed.
    pub(super) seq: OwnU64,
    /// For a select: place i of the lock order holds here the number of the case with that place.
    pub(super) order: OwnU32,
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
    pub(super) fn wants(&self) -> Op {
        if self.op.get() & Op::Send as u32 != 0 { Op::Send } else { Op::Recv }
    }

    /// The operation it asks for, if `op` holds a known value.
    #[inline(always)]
    pub fn op(&self) -> Option<Op> {
        match self.op.get() {
            op if op <= watch::WATCHES | Op::Send as u32 => Some(self.wants()),
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
    pub(super) fn ended(&self) -> Option<Result<()>> {
        match self.state.get() {
            WAITS => None,
            MOVED => Some(Ok(())),
            _ => Some(Err(Error::Closed)),
        }
    }

    /// Makes it a record of this wait.
    #[inline(always)]
    pub(super) fn stands_for(&self, wait: &Wait) {
        self.gp.set(wait.gp.as_ptr());
        self.seq.set(wait.seq);
        self.state.set(WAITS);
    }

    /// # Safety
    /// `l` is the link of a case.
    #[inline(always)]
    unsafe fn of<'a>(l: *mut Link) -> &'a Case {
        let case = l.wrapping_byte_sub(offset_of!(Case, link)).cast::<Case>();
        // SAFETY: the link is in a case, by the caller's promise.
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

impl Link {
    fn new() -> Link {
        Link { next: AtomicPtr::new(null_mut()), prev: OwnPtr::null() }
    }

    /// Makes it an empty list. The link must not move afterwards.
    fn init(&self) {
        let this = std::ptr::from_ref(self).cast_mut();
        self.next.store(this, Ordering::Relaxed);
        self.prev.set(this);
    }

    /// Acquire: an unlocked look reads the other words after this one.
    #[inline(always)]
    fn is_empty(&self) -> bool {
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

// ---- channels -------------------------------------------------------------------------------------------------------

/// The capacity of an unbounded channel.
pub const UNBOUNDED: usize = usize::MAX;

/// A channel; its ring, or its [`Segments`], lies behind it.
#[repr(C, align(64))]
pub struct Chan {
    /// The runtime that it belongs to: the child of a fork has another one. Null after the free.
    sched: OwnPtr<Sched>,
    pub(super) latch: Latch,
    closed: AtomicBool,
    /// The channel frees its timer when it is freed (TIMER-O1).
    owns_timer: OwnBool,
    /// The allocation begins this many bytes before the channel, which begins at a cache line. Set once.
    offset: OwnU8,
    /// The bits that watch.rs describes, under the latch.
    pub(super) state: OwnU8,
    count: AtomicUsize,
    /// The number of places in the ring. UNBOUNDED, which is negative as an isize, if values lie in segments.
    cap: usize,
    elem_size: usize,
    /// The place for the next value to be sent.
    sendx: OwnPtr<u8>,
    /// The place of the oldest value.
    recvx: OwnPtr<u8>,
    /// Behind the last place of the ring, or of the oldest segment; null if values have no size.
    end: OwnPtr<u8>,
    /// The number of users.
    refs: OwnUsize,
    pub(super) recvq: Link,
    pub(super) sendq: Link,
    pub(super) orphans: Link,
    /// The timer that sends here, or has sent; null if there is none. Unless the channel owns it, its place may serve
    /// another timer by now.
    timer: OwnPtr<HostTimer>,
}

const _: () = assert!(size_of::<Chan>() == 128 || cfg!(any(loom, shuttle)));

/// The alignment that allocators give without being asked. They are slow with a larger one.
const PLAIN: usize = 16;

// SAFETY: everything is atomic, or guarded by the latch.
unsafe impl Sync for Chan {}

/// The outcome of an attempt.
pub(super) enum Attempt {
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

impl Attempt {
    /// CHAN-T3, CHAN-U1, and the result of an attempt with `elem` at `c`. The caller holds no latch.
    #[inline(always)]
    pub(super) fn done(self, m: MRef, c: &Chan, elem: *mut u8) -> Result<()> {
        match self {
            Attempt::With(gp) => {
                park::goready(m, gp);
                Ok(())
            }
            Attempt::Moved => Ok(()),
            Attempt::Closed => Err(Error::Closed),
            seldom => seldom.done_slow(m, c, elem),
        }
    }

    #[cold]
    #[inline(never)]
    fn done_slow(self, m: MRef, c: &Chan, elem: *mut u8) -> Result<()> {
        match self {
            Attempt::Emptied(s) => {
                // SAFETY: `Chan::got_last` has taken it out of the chain (SEGMENTS-I2).
                unsafe { Segment::free(s) };
                Ok(())
            }
            Attempt::Lacks => c.put_growing(m, elem),
            Attempt::Told(watchers) => {
                watchers.ready(m);
                Ok(())
            }
            _ => Err(Error::Again),
        }
    }
}

/// Copies a value. Most values are a word.
///
/// # Safety
/// Both sides have `n` bytes and do not overlap.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, n: usize) {
    match n {
        8 => {
            // SAFETY: the caller's promise.
            let value = unsafe { from.cast::<u64>().read_unaligned() };
            // SAFETY: the caller's promise.
            unsafe { to.cast::<u64>().write_unaligned(value) }
        }
        0 => {}
        // SAFETY: the caller's promise.
        n => unsafe { copy_nonoverlapping(from, to, n) },
    }
}

impl Chan {
    fn layout(elem_size: usize, cap: usize) -> Result<Layout> {
        let head = size_of::<Chan>() + align_of::<Chan>() - PLAIN;
        let places = if has_segments(elem_size, cap) {
            segments::layout(elem_size)?;
            Some(size_of::<Segments>())
        } else {
            elem_size.checked_mul(cap)
        };
        let size = places.and_then(|n| n.checked_add(head)).ok_or(Error::Invalid)?;
        Layout::from_size_align(size, PLAIN).map_err(|_| Error::Invalid)
    }

    /// A channel with one user.
    pub fn make(sched: &Sched, elem_size: usize, cap: usize) -> Result<NonNull<Chan>> {
        let layout = Chan::layout(elem_size, cap)?;
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc(layout) };
        if memory.is_null() {
            return Err(Error::NoMemory);
        }
        let offset = memory.align_offset(align_of::<Chan>());
        // SAFETY: just allocated, with room for an offset up to the alignment.
        let c = unsafe { memory.add(offset) }.cast::<Chan>();
        let new = Chan {
            sched: OwnPtr::null(),
            latch: Latch::new(),
            closed: AtomicBool::new(false),
            owns_timer: OwnBool::new(false),
            offset: OwnU8::new(offset as u8),
            state: OwnU8::new(0),
            count: AtomicUsize::new(0),
            cap,
            elem_size,
            sendx: OwnPtr::null(),
            recvx: OwnPtr::null(),
            end: OwnPtr::null(),
            refs: OwnUsize::new(1),
            recvq: Link::new(),
            sendq: Link::new(),
            orphans: Link::new(),
            timer: OwnPtr::null(),
        };
        // SAFETY: room for a Chan is allocated there, and aligned.
        unsafe { c.write(new) };
        // SAFETY: not null, and just written.
        let this = unsafe { &*c };
        [&this.recvq, &this.sendq, &this.orphans].into_iter().for_each(Link::init);
        if has_segments(elem_size, cap) {
            // SAFETY: room for it is allocated behind the channel.
            unsafe { this.behind().cast::<Segments>().write(Segments::default()) };
        } else {
            this.sendx.set(this.behind());
            this.recvx.set(this.behind());
            this.end.set(if elem_size == 0 { null_mut() } else { this.behind().wrapping_add(elem_size * cap) });
        }
        this.sched.set(std::ptr::from_ref(sched).cast_mut());
        Ok(NonNull::from(this))
    }

    /// Sets the timer, which is one of the channel's users, or its own, and the only sender. (A timer's memory is never
    /// freed.)
    pub fn set_timer(&self, t: *const HostTimer, own: bool) {
        self.timer.set(t.cast_mut());
        self.owns_timer.set(own);
    }

    /// Whether a receiver that would get nothing gets something after all, because the channel's timer is due and no
    /// thread has fired it yet. The caller holds no lock.
    #[inline(always)]
    pub(super) fn timer_came(&self, m: MRef, op: Op) -> bool {
        op == Op::Recv && !self.timer.is_null() && self.look_at_timer(m)
    }

    #[cold]
    #[inline(never)]
    fn look_at_timer(&self, m: MRef) -> bool {
        // SAFETY: null, or a timer, whose memory is never freed.
        if let Some(t) = unsafe { self.timer.get().as_ref() } {
            timer::fire_if_due(m, self, t);
        }
        // Also if another thread has just fired it.
        self.might_proceed(Op::Recv)
    }

    /// Whether it is a channel of this runtime. (For wrong calls: this may read memory that is no channel any more.)
    #[inline(always)]
    pub fn belongs(&self, m: MRef) -> bool {
        std::ptr::eq(self.sched.get(), m.sched)
    }

    pub fn elem_size(&self) -> usize {
        self.elem_size
    }

    /// Values in the ring.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn cap(&self) -> usize {
        self.cap
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
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

    /// Adds a user.
    pub fn add_ref(&self) -> Result<()> {
        self.add_refs(1)
    }

    /// Adds `more` users. Busy, and nothing changes, if the count would overflow.
    pub fn add_refs(&self, more: usize) -> Result<()> {
        self.latch.lock();
        let n = self.refs.get().checked_add(more);
        if let Some(n) = n {
            self.refs.set(n);
        }
        self.latch.unlock();
        n.map(drop).ok_or(Error::Busy)
    }

    /// Removes a user; the last one frees the channel. Busy if the caller is the last user and a record is listed.
    ///
    /// # Safety
    /// The caller is one of its users, and does not use it afterwards.
    pub unsafe fn free(c: NonNull<Chan>) -> Result<()> {
        // SAFETY: the caller's promise.
        let this = unsafe { c.as_ref() };
        this.latch.lock();
        let left = this.refs.get() - 1;
        let used = !(this.recvq.is_empty() && this.sendq.is_empty() && this.orphans.is_empty());
        if left == 0 && used {
            this.latch.unlock();
            return Err(Error::Busy);
        }
        this.refs.set(left);
        if left > 0 {
            this.latch.unlock();
            return Ok(());
        }
        let sched = this.sched.take();
        this.latch.unlock();
        // SAFETY: null, or the runtime, whose memory is never freed.
        let sched = unsafe { sched.as_ref() };
        // SAFETY: null, or a timer, whose memory is never freed.
        let timer = unsafe { this.timer.get().as_ref() };
        if let (true, Some(t), Some(sched)) = (this.owns_timer.get(), timer, sched) {
            timer::end_of_owner(sched, c, t);
        }
        if let Some(segments) = this.segments() {
            segments.free();
        }
        let offset = usize::from(this.offset.get());
        if let Ok(layout) = Chan::layout(this.elem_size, this.cap) {
            // SAFETY: this was its last user.
            unsafe { c.drop_in_place() };
            let memory = c.as_ptr().cast::<u8>().wrapping_sub(offset);
            // SAFETY: it was allocated with this layout, and begins `offset` bytes behind the allocation's beginning.
            unsafe { dealloc(memory, layout) };
        }
        Ok(())
    }

    /// The address of the ring or of the segments.
    #[inline(always)]
    fn behind(&self) -> *mut u8 {
        // SAFETY: in the same allocation.
        unsafe { std::ptr::from_ref(self).cast_mut().add(1).cast::<u8>() }
    }

    fn segments(&self) -> Option<&Segments> {
        // SAFETY: they lie behind a channel that has segments.
        has_segments(self.elem_size, self.cap).then(|| unsafe { &*self.behind().cast::<Segments>() })
    }

    /// The place in the ring that follows `at`.
    #[inline(always)]
    fn after(&self, at: *mut u8) -> *mut u8 {
        // SAFETY: a place of the ring.
        let next = unsafe { at.add(self.elem_size) };
        if next == self.end.get() { self.behind() } else { next }
    }

    #[inline(always)]
    fn queue(&self, op: Op) -> &Link {
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

    /// CHAN-T1. The caller holds the latch.
    #[inline(always)]
    fn pop(&self, q: &Link) -> Option<&Case> {
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

    /// CHAN-S1 and CHAN-S2. The caller holds the latch; `elem` has a value of this channel.
    #[inline(always)]
    pub(super) fn put(&self, elem: *const u8) -> Attempt {
        if self.state.get() != 0 {
            return self.put_slow(elem);
        }
        self.put_open(elem)
    }

    /// The channel is closed, or watched: WATCH-V3.
    #[cold]
    #[inline(never)]
    fn put_slow(&self, elem: *const u8) -> Attempt {
        if self.closed.load(Ordering::Relaxed) {
            return Attempt::Closed;
        }
        match self.put_open(elem) {
            Attempt::Moved => self.moved(Op::Recv),
            did => did,
        }
    }

    #[inline(always)]
    fn put_open(&self, elem: *const u8) -> Attempt {
        if let Some(case) = self.pop(&self.recvq) {
            if !case.elem().is_null() {
                // SAFETY: the receiver waits with room for a value (CHAN-I4).
                unsafe { copy(elem, case.elem(), self.elem_size) };
            }
            return Attempt::With(case.end(MOVED));
        }
        let n = self.count.load(Ordering::Relaxed);
        if (n as isize) < self.cap as isize {
            let at = self.sendx.get();
            // SAFETY: the slot is free.
            unsafe { copy(elem, at, self.elem_size) };
            self.sendx.set(self.after(at));
            self.count.store(n + 1, Ordering::Release);
            return Attempt::Moved;
        }
        if (self.cap as isize) < 0 { self.put_unbounded(elem, n) } else { Attempt::WouldBlock }
    }

    /// CHAN-U1. The caller holds the latch.
    #[inline(never)]
    fn put_unbounded(&self, elem: *const u8, n: usize) -> Attempt {
        if let Some(segments) = self.segments() {
            let mut at = self.sendx.get();
            if at == segments.send_end.get() {
                // SEGMENTS-G3
                let Some((first, end)) = segments.extend() else { return Attempt::Lacks };
                at = first;
                if let Some(end) = end {
                    self.recvx.set(first);
                    self.end.set(end);
                }
            }
            // SAFETY: the place is free, and has room for a value.
            unsafe { copy(elem, at, self.elem_size) };
            // The next place, or the end, is in the same allocation.
            self.sendx.set(at.wrapping_add(self.elem_size));
        }
        // (Values without a size need no segments, and their count cannot overflow in practice.)
        self.count.store(n + 1, Ordering::Release);
        Attempt::Moved
    }

    /// CHAN-U1: SEGMENTS-G1 and SEGMENTS-G2. The caller holds no latch.
    #[cold]
    #[inline(never)]
    fn put_growing(&self, m: MRef, elem: *mut u8) -> Result<()> {
        let new = Segment::allocate(self.elem_size)?;
        self.latch.lock();
        let left = self.segments().map_or(Some(new), |segments| segments.keep(new));
        let did = self.put(elem);
        self.latch.unlock();
        if let Some(s) = left {
            // SAFETY: the segment still belongs to this sender (SEGMENTS-I2).
            unsafe { Segment::free(s) };
        }
        match did {
            // (Cannot happen: there is a spare.)
            Attempt::Lacks => Err(Error::NoMemory),
            did => did.done(m, self, elem),
        }
    }

    /// SEGMENTS-G4 and SEGMENTS-G5: the oldest of `n` values was received, and lay in the last place of the head. The
    /// caller holds the latch.
    #[cold]
    #[inline(never)]
    fn got_last(&self, n: usize) -> Attempt {
        let Some(segments) = self.segments() else { return Attempt::Moved };
        // SEGMENTS-I1: the next segment holds the other values.
        let empty = if n > 1 { segments.behead() } else { None };
        let (first, end) = segments.again();
        self.recvx.set(first);
        self.end.set(end);
        if n == 1 {
            self.sendx.set(first);
        }
        self.count.store(n - 1, Ordering::Release);
        empty.and_then(|s| segments.keep(s)).map_or(Attempt::Moved, Attempt::Emptied)
    }

    /// CHAN-D2: every value of the head was dropped, and more values lie in the next segment. The latch is open.
    fn drop_head(&self, segments: &Segments) {
        let empty = segments.behead();
        let (first, end) = segments.again();
        self.recvx.set(first);
        self.end.set(end);
        if let Some(s) = empty {
            // SAFETY: it was taken out of the chain (SEGMENTS-I2).
            unsafe { Segment::free(s) };
        }
    }

    /// CHAN-R1 to CHAN-R3. The caller holds the latch; `elem` is null or has room for a value of this channel.
    #[inline(always)]
    pub(super) fn get(&self, elem: *mut u8) -> Attempt {
        let n = self.count.load(Ordering::Relaxed);
        if n > 0 {
            let slot = self.recvx.get();
            if !elem.is_null() {
                // SAFETY: the slot holds a value.
                unsafe { copy(slot, elem, self.elem_size) };
            }
            // SAFETY: the next place, or the end, is in the same allocation.
            let mut next = unsafe { slot.add(self.elem_size) };
            if next == self.end.get() {
                if (self.cap as isize) < 0 {
                    return self.got_last(n);
                }
                next = self.behind();
            }
            self.recvx.set(next);
            // (Only at a full ring do senders wait or watch: CHAN-I1, WATCH-I1.)
            if n == self.cap && (self.is_watched_beside(Op::Recv) || !self.sendq.is_empty()) {
                if let Some(case) = self.pop(&self.sendq) {
                    // SAFETY: the sender waits with a value (CHAN-I4); of a full ring the oldest slot is the next to
                    // fill.
                    unsafe { copy(case.elem(), slot, self.elem_size) };
                    self.sendx.set(self.recvx.get());
                    return Attempt::With(case.end(MOVED));
                }
                if self.is_watched_beside(Op::Recv) {
                    self.count.store(n - 1, Ordering::Release);
                    return self.moved(Op::Send);
                }
            }
            self.count.store(n - 1, Ordering::Release);
            return Attempt::Moved;
        }
        if let Some(case) = self.pop(&self.sendq) {
            if !elem.is_null() {
                // SAFETY: as above.
                unsafe { copy(case.elem(), elem, self.elem_size) };
            }
            return Attempt::With(case.end(MOVED));
        }
        if self.closed.load(Ordering::Relaxed) {
            self.zero(elem);
            return Attempt::Closed;
        }
        Attempt::WouldBlock
    }

    #[inline(always)]
    pub(super) fn attempt(&self, op: Op, elem: *mut u8) -> Attempt {
        match op {
            Op::Send => self.put(elem),
            Op::Recv => self.get(elem),
        }
    }

    fn zero(&self, elem: *mut u8) {
        if !elem.is_null() {
            // SAFETY: a receiver's element has room for a value.
            unsafe { write_bytes(elem, 0, self.elem_size) };
        }
    }

    /// As [`Chan::zero`], for values of one word. False, and nothing is written, for values of another size.
    #[inline(always)]
    fn zero_word(&self, elem: *mut u8) -> bool {
        if self.elem_size != size_of::<u64>() {
            return false;
        }
        if !elem.is_null() {
            // SAFETY: a receiver's element has room for a value.
            unsafe { elem.cast::<u64>().write_unaligned(0) };
        }
        true
    }

    /// Whether an attempt might succeed; callable without the latch. Under the latch the answer is exact, except that
    /// all waiters on the other side may be records whose wait has ended.
    #[inline(always)]
    pub(super) fn might_proceed(&self, op: Op) -> bool {
        match op {
            Op::Send => {
                self.closed.load(Ordering::Acquire)
                    || self.count.load(Ordering::Acquire) < self.cap
                    || !self.recvq.is_empty()
            }
            Op::Recv => {
                self.count.load(Ordering::Acquire) > 0 || !self.sendq.is_empty() || self.closed.load(Ordering::Acquire)
            }
        }
    }

    /// As [`Chan::may`], but leaves out the waiters on the other side. The caller holds the latch.
    pub(super) fn may_at_once(&self, op: Op) -> bool {
        let n = self.count.load(Ordering::Relaxed);
        self.closed.load(Ordering::Relaxed) || if op == Op::Send { n < self.cap } else { n > 0 }
    }

    /// Sends or receives, and waits for at most `timeout` to do so.
    ///
    /// # Migrates
    #[inline(always)]
    pub(super) fn transfer(&self, m: MRef, op: Op, elem: *mut u8, timeout: i64) -> Result<()> {
        self.latch.lock();
        match self.attempt(op, elem) {
            Attempt::WouldBlock => self.wait(m, op, elem, timeout),
            did => {
                self.latch.unlock();
                did.done(m, self, elem)
            }
        }
    }

    /// # Migrates
    #[inline]
    pub fn send(&self, m: MRef, elem: *const u8, timeout: i64) -> Result<()> {
        self.transfer(m, Op::Send, elem.cast_mut(), timeout)
    }

    /// # Migrates
    #[inline]
    pub fn recv(&self, m: MRef, elem: *mut u8, timeout: i64) -> Result<()> {
        self.transfer(m, Op::Recv, elem, timeout)
    }

    /// CHAN-S3 and CHAN-R4. The caller holds the latch.
    ///
    /// # Migrates
    #[inline(never)]
    fn wait(&self, m: MRef, op: Op, elem: *mut u8, timeout: i64) -> Result<()> {
        let wait = match Wait::plain(m, timeout) {
            Some(wait) => wait,
            None => {
                self.latch.unlock();
                let wait = Wait::begin(m, timeout)?;
                self.latch.lock();
                match self.attempt(op, elem) {
                    Attempt::WouldBlock => wait,
                    did => {
                        self.latch.unlock();
                        wait.abandon(m);
                        return did.done(m, self, elem);
                    }
                }
            }
        };
        let case = Case::new(self, op, elem);
        self.enqueue(&case, &wait, None);
        let reason = if op == Op::Send { WaitReason::CHAN_SEND } else { WaitReason::CHAN_RECV };
        let mut locks = Locks { open: open_one, arg: std::ptr::from_ref(self).cast_mut().cast() };
        wait.gp.wait_on.set(locks.arg);
        let mut opening = MaybeUninit::uninit();
        if self.is_watched_beside(op) {
            locks = self.tell_and_open(m, op, &mut opening);
        }
        let (_, end) = wait.park(m, reason, locks);
        case.ended().unwrap_or_else(|| {
            // CHAN-W1
            self.latch.lock();
            self.take_back(&case);
            self.latch.unlock();
            end
        })
    }

    /// WATCH-V3 for a G that queues, and the argument of its commit, which does WATCH-V4. The caller holds the latch.
    #[cold]
    #[inline(never)]
    fn tell_and_open(&self, m: MRef, op: Op, opening: &mut MaybeUninit<Opening>) -> Locks {
        let mut told = GList::new();
        self.tell_of(op, &mut told);
        let opening = opening.write(Opening { chan: self, m, told: Told::of(&told) });
        Locks { open: open_and_tell, arg: std::ptr::from_mut(opening).cast() }
    }

    /// CLAIM-C2. Puts a record into its queue: at the end, or before another record of the same caller. The caller
    /// holds the latch.
    #[inline(always)]
    pub(super) fn enqueue(&self, case: &Case, wait: &Wait, before: Option<&Case>) {
        case.stands_for(wait);
        before.map_or(self.queue(case.wants()), |other| &other.link).push_back(&case.link);
    }

    /// CHAN-W1: takes out of its list a record that no other party has taken. The caller holds the latch.
    #[inline(always)]
    pub(super) fn take_back(&self, case: &Case) {
        case.link.unlink();
    }

    /// The reason why the caller can neither send nor receive now, if an unlocked look tells it.
    #[inline(always)]
    pub fn glance(&self, op: Op, elem: *mut u8) -> Option<Error> {
        if !self.might_proceed(op) && (op == Op::Send || self.timer.is_null()) {
            return Some(Error::Again);
        }
        // CHAN-R3
        if op == Op::Recv && self.closed.load(Ordering::Acquire) && self.count.load(Ordering::Acquire) == 0 {
            return self.zero_word(elem).then_some(Error::Closed);
        }
        None
    }

    /// Sends or receives if that is possible without waiting.
    #[inline(always)]
    pub fn try_transfer(&self, m: MRef, op: Op, elem: *mut u8) -> Result<()> {
        if !self.might_proceed(op) && !self.timer_came(m, op) {
            return Err(Error::Again);
        }
        // CHAN-R3: no value is put into a closed channel, so a closed channel that is empty stays empty.
        if op == Op::Recv && self.closed.load(Ordering::Acquire) && self.count.load(Ordering::Acquire) == 0 {
            self.zero(elem);
            return Err(Error::Closed);
        }
        self.try_locked(m, op, elem)
    }

    #[inline(never)]
    fn try_locked(&self, m: MRef, op: Op, elem: *mut u8) -> Result<()> {
        self.latch.lock();
        let did = self.attempt(op, elem);
        self.latch.unlock();
        did.done(m, self, elem)
    }

    /// Empties the ring. For a timer's channel, which has a ring, and to which only the timer sends.
    pub fn clear(&self) {
        self.latch.lock();
        self.count.store(0, Ordering::Release);
        self.sendx.set(self.behind());
        self.recvx.set(self.behind());
        self.latch.unlock();
    }

    /// CHAN-X1 to CHAN-X3.
    pub fn close(&self, m: MRef) -> Result<()> {
        self.latch.lock();
        let closed = self.close_locked();
        self.latch.unlock();
        ready_all(m, closed?);
        Ok(())
    }

    /// CHAN-X1 to CHAN-X3, if the channel is open; CHAN-D1 and CHAN-D2: `drop` gets each remaining value, the oldest
    /// first.
    ///
    /// # Migrates
    /// If `drop` does.
    pub fn close_drop(&self, m: MRef, mut drop: impl FnMut(*mut u8)) {
        self.latch.lock();
        let told = self.close_locked().unwrap_or_default();
        // CHAN-D1
        let (n, mut at) = (self.count.load(Ordering::Relaxed), self.recvx.get());
        self.count.store(0, Ordering::Release);
        self.latch.unlock();
        ready_all(m, told);
        // CHAN-D2
        for left in (1..=n).rev() {
            drop(at);
            // SAFETY: the next place, or the end, is in the same allocation.
            let next = unsafe { at.add(self.elem_size) };
            at = if next != self.end.get() {
                next
            } else if let Some(segments) = self.segments() {
                if left > 1 {
                    self.drop_head(segments);
                }
                self.recvx.get()
            } else {
                self.behind()
            };
        }
    }

    /// CHAN-X1 and CHAN-X2. Returns the Gs to ready. The caller holds the latch.
    fn close_locked(&self) -> Result<GList> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let mut told = GList::new();
        self.closed.store(true, Ordering::Release);
        self.state.set(self.state.get() | watch::CLOSED);
        // CHAN-I2
        while let Some(case) = self.pop(&self.recvq) {
            self.zero(case.elem());
            told.push_back(case.end(CLOSED));
        }
        while let Some(case) = self.pop(&self.sendq) {
            told.push_back(case.end(CLOSED));
        }
        self.tell_all(&mut told);
        Ok(told)
    }
}

/// Whether the values of a channel with these sizes lie in segments.
fn has_segments(elem_size: usize, cap: usize) -> bool {
    cap == UNBOUNDED && elem_size != 0
}

/// CHAN-X3. The latch is open.
fn ready_all(m: MRef, mut told: GList) {
    while let Some(gp) = told.pop_front() {
        park::goready(m, gp);
    }
}

/// As [`open_one`], for a G that queues while the other side is watched: WATCH-V4.
unsafe fn open_and_tell(arg: *mut c_void) {
    // SAFETY: `wait` passes this, and the latch of its channel is held. It is copied here: with the latch open the
    // record may be gone.
    let Opening { chan, m, told } = unsafe { arg.cast::<Opening>().read() };
    // SAFETY: as above; the channel is not touched afterwards.
    unsafe { (*chan).latch.unlock() };
    if let Some(told) = told {
        told.ready(m);
    }
}

struct Opening {
    chan: *const Chan,
    m: MRef,
    told: Option<Told>,
}

unsafe fn open_one(arg: *mut c_void) {
    // SAFETY: `wait` passes its channel and holds its latch; the channel is not touched afterwards.
    unsafe { (*arg.cast::<Chan>()).latch.unlock() };
}

/// Waits where nothing will come: at no channel, or for no case.
///
/// # Migrates
pub fn wait_for_nothing(m: MRef, reason: WaitReason, timeout: i64) -> Result<()> {
    unsafe fn nothing(_: *mut c_void) {}
    let wait = Wait::begin(m, timeout)?;
    wait.park(m, reason, Locks { open: nothing, arg: null_mut() }).1
}
