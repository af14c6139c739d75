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
//! * `orphans`: the records whose wait was ended from elsewhere, and watchers (chan/watch.rs). No send or receive steps
//!   over them. They stay listed, because a channel with a record in any of the three lists is in use;
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
//! The latch orders everything except the unlocked looks of `Chan::might_proceed`. There the second load must come
//! after the first (Acquire). A closed channel stays closed, so a channel that was seen empty and then open was both at
//! the first look. A closed channel does not fill, so a channel that was seen open and then full was both.
//!
//! # Why it ends
//! CHAN-T1 repeats once for each record whose wait has ended, and takes that record out of the queue.
//!
//! # Differences from Go
//! A wrong call gets a status, not a panic. Records are the caller's memory: nothing comes from a cache, and nothing is
//! allocated. The records of ended waits stay in `orphans` until their owner comes; Go drops them, since its collector
//! keeps a channel alive while any goroutine refers to it. There are deadlines.
//!
//! # Files
//! Here are the operations, the glances and the waits; `chan/words.rs` has the channel, `chan/record.rs` the records
//! and their lists, `chan/ring.rs` the places of the values, `chan/watch.rs` the watchers, `chan/life.rs` make, close
//! and free. They import each other in one direction only, and do not import the operations.

mod life;
mod record;
mod ring;
mod watch;
mod words;

use super::claim::{Locks, Wait};
use super::segments::Segment;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, WaitReason};
use crate::gmp::m::MRef;
use crate::protocol::park;
use crate::sync::Ordering;
pub use record::Case;
use record::MOVED;
use ring::copy;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
pub(super) use words::{Attempt, Told};
pub use words::{Chan, Op, Sender, SenderActs, UNBOUNDED};

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

impl Chan {
    /// Sets the timer, which is one of the channel's users, or its own, and the only sender. (A timer's memory is never
    /// freed.)
    pub fn set_timer(&self, t: *const Sender, own: bool) {
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
        let at = self.timer.get();
        // SAFETY: null, or a timer, whose memory is never freed.
        if let Some(timer) = unsafe { at.as_ref() } {
            // SAFETY: these are the functions of the timer there.
            unsafe { (timer.acts.fire_if_due)(at, m, self) };
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

    /// The fast path of [`Chan::send`] and [`Chan::recv`], of which one follows if this is false. `elem` is not null.
    #[inline(always)]
    pub fn try_word(&self, op: Op, elem: *mut u8) -> bool {
        match op {
            Op::Send => self.put_word(elem),
            Op::Recv => self.get_word(elem),
        }
    }

    /// CHAN-S2 for what is most frequent: a value of one word, an open channel with room, and neither a receiver nor a
    /// watcher. False: nothing has happened.
    #[inline(always)]
    fn put_word(&self, elem: *const u8) -> bool {
        let n = self.count.load(Ordering::Relaxed);
        let is_simple = self.elem_size == size_of::<u64>() && (n as isize) < self.cap as isize;
        if !is_simple || !self.recvq.is_empty() || !self.latch.try_lock() {
            return false;
        }
        let n = self.count.load(Ordering::Relaxed);
        let fits = (n as isize) < self.cap as isize && self.recvq.is_empty() && self.state.get() == 0;
        if fits {
            let at = self.sendx.get();
            // SAFETY: `elem` has a value, of one word.
            let value = unsafe { elem.cast::<u64>().read_unaligned() };
            // SAFETY: the slot is free, and has room for a value.
            unsafe { at.cast::<u64>().write(value) };
            self.sendx.set(self.after(at));
            self.count.store(n + 1, Ordering::Release);
        }
        self.latch.unlock();
        fits
    }

    /// CHAN-R1 for what is most frequent: a value of one word, and nothing to do for senders. False: nothing is done.
    #[inline(always)]
    fn get_word(&self, elem: *mut u8) -> bool {
        let n = self.count.load(Ordering::Relaxed);
        let is_simple = self.elem_size == size_of::<u64>() && n > 0;
        if !is_simple || !self.sendq.is_empty() || !self.latch.try_lock() {
            return false;
        }
        let n = self.count.load(Ordering::Relaxed);
        let slot = self.recvx.get();
        // SAFETY: the next place, or the end, is in the same allocation.
        let next = unsafe { slot.add(size_of::<u64>()) };
        let wraps = next == self.end.get();
        // The last place of a segment is freed.
        let fits = n > 0 && self.sendq.is_empty() && self.state.get() == 0 && !(wraps && (self.cap as isize) < 0);
        if fits {
            // SAFETY: the slot holds a value, of one word.
            let value = unsafe { slot.cast::<u64>().read() };
            // SAFETY: a receiver's element has room for a value.
            unsafe { elem.cast::<u64>().write_unaligned(value) };
            self.recvx.set(if wraps { self.behind() } else { next });
            self.count.store(n - 1, Ordering::Release);
        }
        self.latch.unlock();
        fits
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

    #[inline(never)]
    fn try_locked(&self, m: MRef, op: Op, elem: *mut u8) -> Result<()> {
        self.latch.lock();
        let did = self.attempt(op, elem);
        self.latch.unlock();
        did.done(m, self, elem)
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
