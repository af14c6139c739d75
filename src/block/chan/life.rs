//! The life of a channel: make, users, close, free. [`chan`](super) has the protocol.

use super::record::CLOSED;
use super::ring::has_segments;
use super::watch;
use super::words::{Chan, Link};
use crate::block::segments::{self, Segments};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::GList;
use crate::gmp::m::MRef;
use crate::gmp::p::blocks::{alloc, dealloc};
use crate::gmp::sched::Sched;
use crate::protocol::park;
use crate::sync::own::{OwnBool, OwnPtr, OwnU8, OwnUsize};
use crate::sync::{AtomicBool, AtomicUsize, Latch, Ordering};
use std::alloc::Layout;
use std::ptr::{NonNull, null_mut};

/// The alignment that allocators give without being asked. They are slow with a larger one.
const PLAIN: usize = 16;

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
        let at = this.timer.get();
        // SAFETY: null, or a timer, whose memory is never freed.
        let timer = unsafe { at.as_ref() };
        if let (true, Some(timer), Some(sched)) = (this.owns_timer.get(), timer, sched) {
            // SAFETY: these are the functions of the timer there.
            unsafe { (timer.acts.end_of_owner)(at, sched, c) };
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

/// CHAN-X3. The latch is open.
fn ready_all(m: MRef, mut told: GList) {
    while let Some(gp) = told.pop_front() {
        park::goready(m, gp);
    }
}
