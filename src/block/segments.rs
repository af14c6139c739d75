//! The storage of an unbounded channel: a chain of segments of one size.
//!
//! # Problem
//! A send to an unbounded channel never waits for room. So the room must grow as values come, and the memory of a spike
//! must be freed when the values are gone. The allocator may take long, so no thread calls it under the channel's
//! latch. A channel that serves as a queue, with a few values in it at a time, should not call the allocator at all.
//!
//! # Words
//! All of them are written under the channel's latch:
//!
//! ```text
//!  head                               tail              spare
//!  +------+---------+    +------+     +------+-----+    +------+-----+
//!  | next | . . V V | -> | next | ... | next | V . |    | next | . . |
//!  +------+---------+    +------+     +------+-----+    +------+-----+
//!               ^recvx                          ^sendx
//! ```
//! * the chain: the oldest value lies at the channel's `recvx` in `head`; the next value goes to the channel's `sendx`
//!   in `tail`;
//! * `end` (of the channel) is the end of `head`, and [`Segments::send_end`] is the end of `tail`;
//! * `spare`: one empty segment, or null.
//!
//! # Protocol
//! * SEGMENTS-G1 A sender that finds `tail` full and no spare opens the latch and allocates a segment.
//! * SEGMENTS-G2 It takes the latch again, leaves the segment as the spare, and sends under the same latch. So it finds
//!   room, whatever happened in between. If another sender has left a spare by then, it opens the latch and frees its
//!   own segment.
//! * SEGMENTS-G3 A sender that finds `tail` full makes the spare the new tail.
//! * SEGMENTS-G4 A receiver that empties `head` makes the next segment the head. The empty segment becomes the spare.
//!   If there is a spare already, the receiver opens the latch and frees the empty segment.
//! * SEGMENTS-G5 If the head is also the tail, sender and receiver begin again at its first place.
//!
//! # Invariants
//! * SEGMENTS-I1 Every segment of a chain of two or more holds a value: a send follows SEGMENTS-G3, and SEGMENTS-G4
//!   takes the empty ones away. So an empty channel keeps one segment and the spare.
//! * SEGMENTS-I2 A segment that has left the chain and is not the spare belongs to the sender or receiver that took it
//!   out.
//!
//! # Why it ends
//! A sender allocates once, by SEGMENTS-G2.
//!
//! # Rejected
//! * A ring that doubles: it copies everything at once, under the latch, and needs the old and the new memory together.
//! * Allocating the next segment before the last one is full: that sender may fail although its own value has room.

use crate::gmp::error::{Error, Result};
use crate::gmp::p::blocks::{alloc, dealloc};
use crate::sync::own::{OwnPtr, OwnUsize};
use std::alloc::Layout;
use std::ptr::NonNull;

/// The size of a segment in bytes, unless one value is larger: what fits into an allocator's block of 1 KiB.
const SIZE: usize = if cfg!(any(loom, shuttle)) { 32 } else { 1024 - 8 };

/// The head of a segment. Its places lie behind it.
#[repr(C, align(16))]
pub struct Segment {
    next: OwnPtr<Segment>,
    elem_size: OwnUsize,
}

/// The chain of a channel, and its spare.
#[derive(Default)]
#[repr(C)]
pub struct Segments {
    head: OwnPtr<Segment>,
    tail: OwnPtr<Segment>,
    spare: OwnPtr<Segment>,
    /// Behind the last place of the tail.
    pub send_end: OwnPtr<u8>,
}

/// The alignment of a value, as far as its size tells it. A ring gives the same.
fn alignment(elem_size: usize) -> usize {
    1 << elem_size.trailing_zeros().clamp(align_of::<Segment>().trailing_zeros(), 6)
}

/// The number of places behind a segment's head.
fn places(elem_size: usize) -> usize {
    ((SIZE - alignment(elem_size).min(SIZE)) / elem_size).max(1)
}

/// The layout of a segment for values of this size, which is not 0. Invalid: no allocation can be so large.
pub fn layout(elem_size: usize) -> Result<Layout> {
    let align = alignment(elem_size);
    let size = elem_size.checked_mul(places(elem_size)).and_then(|n| n.checked_add(align)).ok_or(Error::Invalid)?;
    Layout::from_size_align(size, align).map_err(|_| Error::Invalid)
}

impl Segment {
    /// SEGMENTS-G1. The caller holds no latch.
    pub fn allocate(elem_size: usize) -> Result<NonNull<Segment>> {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc(layout(elem_size)?) };
        let s = NonNull::new(memory.cast::<Segment>()).ok_or(Error::NoMemory)?;
        // SAFETY: just allocated, with room for that.
        unsafe { s.write(Segment { next: OwnPtr::null(), elem_size: OwnUsize::new(elem_size) }) };
        Ok(s)
    }

    /// The caller holds no latch.
    ///
    /// # Safety
    /// The segment belongs to the caller (SEGMENTS-I2).
    #[cold]
    pub unsafe fn free(s: NonNull<Segment>) {
        // SAFETY: a whole segment, by the caller's promise.
        if let Ok(layout) = layout(unsafe { s.as_ref() }.elem_size.get()) {
            // SAFETY: allocated with this layout; no other thread knows it, by the caller's promise.
            unsafe { dealloc(s.as_ptr().cast(), layout) };
        }
    }

    /// Its first place, and the end of its last one.
    ///
    /// # Safety
    /// `s` is a segment.
    unsafe fn bounds(s: *mut Segment) -> (*mut u8, *mut u8) {
        // SAFETY: the caller's promise.
        let n = unsafe { &*s }.elem_size.get();
        // The places lie behind the head, in the same allocation.
        let first = s.cast::<u8>().wrapping_add(alignment(n));
        (first, first.wrapping_add(n * places(n)))
    }
}

impl Segments {
    /// SEGMENTS-G2. Returns the segment if there is a spare already. The caller holds the latch.
    pub fn keep(&self, s: NonNull<Segment>) -> Option<NonNull<Segment>> {
        if !self.spare.is_null() {
            return Some(s);
        }
        // SAFETY: the caller's segment, whose ownership it passes.
        unsafe { s.as_ref() }.next.set(std::ptr::null_mut());
        self.spare.set(s.as_ptr());
        None
    }

    /// SEGMENTS-G3: the first place of the new tail, and its end if it is also the head. None: there is no spare. The
    /// caller holds the latch.
    pub fn extend(&self) -> Option<(*mut u8, Option<*mut u8>)> {
        let s = NonNull::new(self.spare.take())?.as_ptr();
        let last = self.tail.get();
        self.tail.set(s);
        // SAFETY: null or a segment of the channel, which the latch keeps there.
        match unsafe { last.as_ref() } {
            Some(last) => last.next.set(s),
            None => self.head.set(s),
        }
        // SAFETY: the spare is a segment.
        let (first, end) = unsafe { Segment::bounds(s) };
        self.send_end.set(end);
        Some((first, last.is_null().then_some(end)))
    }

    /// SEGMENTS-G5: the first place of the head, and its end. The caller holds the latch, and there is a head.
    pub fn again(&self) -> (*mut u8, *mut u8) {
        // SAFETY: the head is a segment.
        unsafe { Segment::bounds(self.head.get()) }
    }

    /// SEGMENTS-G4, except for the spare: unlinks the head, which is not the tail. The caller holds the latch, or is
    /// the only thread that knows the chain.
    pub fn behead(&self) -> Option<NonNull<Segment>> {
        let old = NonNull::new(self.head.get())?;
        // SAFETY: the head is a segment.
        self.head.set(unsafe { old.as_ref() }.next.get());
        Some(old)
    }

    /// Frees all segments. The channel has no users any more.
    pub fn free(&self) {
        let (mut next, spare) = (self.head.take(), self.spare.take());
        while let Some(s) = NonNull::new(next) {
            // SAFETY: a segment of the channel.
            next = unsafe { s.as_ref() }.next.get();
            // SAFETY: out of the chain, of a channel that has no users any more.
            unsafe { Segment::free(s) };
        }
        if let Some(s) = NonNull::new(spare) {
            // SAFETY: as above.
            unsafe { Segment::free(s) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_hold_a_value_and_keep_to_their_size() {
        for size in (1..300).chain([1000, 1008, 1016, 4096, 1 << 20]) {
            let layout = layout(size).unwrap();
            assert_eq!(layout.size(), alignment(size) + places(size) * size);
            assert!(layout.size() <= SIZE || places(size) == 1, "{size}");
        }
        assert_eq!([1, 24, 48, 96, 192, 256].map(alignment), [16, 16, 16, 32, 64, 64]);
        assert_eq!(layout(isize::MAX as usize).err(), Some(Error::Invalid));
        assert_eq!(layout(usize::MAX).err(), Some(Error::Invalid));
    }
}
