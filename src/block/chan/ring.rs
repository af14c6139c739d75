//! The places of a channel's values: the ring, or the segments (segments.rs). [`chan`](super) has the protocol.

use super::words::{Attempt, Chan, UNBOUNDED};
use crate::block::segments::{Segment, Segments};
use crate::sync::Ordering;
use std::ptr::{copy_nonoverlapping, write_bytes};

/// Whether the values of a channel with these sizes lie in segments.
pub(super) fn has_segments(elem_size: usize, cap: usize) -> bool {
    cap == UNBOUNDED && elem_size != 0
}

/// Copies a value. Most values are a word.
///
/// # Safety
/// Both sides have `n` bytes and do not overlap.
#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, n: usize) {
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
    /// The address of the ring or of the segments.
    #[inline(always)]
    pub(super) fn behind(&self) -> *mut u8 {
        // SAFETY: in the same allocation.
        unsafe { std::ptr::from_ref(self).cast_mut().add(1).cast::<u8>() }
    }

    pub(super) fn segments(&self) -> Option<&Segments> {
        // SAFETY: they lie behind a channel that has segments.
        has_segments(self.elem_size, self.cap).then(|| unsafe { &*self.behind().cast::<Segments>() })
    }

    /// The place in the ring that follows `at`.
    #[inline(always)]
    pub(super) fn after(&self, at: *mut u8) -> *mut u8 {
        // SAFETY: a place of the ring.
        let next = unsafe { at.add(self.elem_size) };
        if next == self.end.get() { self.behind() } else { next }
    }

    /// CHAN-U1. The caller holds the latch.
    #[inline(never)]
    pub(super) fn put_unbounded(&self, elem: *const u8, n: usize) -> Attempt {
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

    /// SEGMENTS-G4 and SEGMENTS-G5: the oldest of `n` values was received, and lay in the last place of the head. The
    /// caller holds the latch.
    #[cold]
    #[inline(never)]
    pub(super) fn got_last(&self, n: usize) -> Attempt {
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
    pub(super) fn drop_head(&self, segments: &Segments) {
        let empty = segments.behead();
        let (first, end) = segments.again();
        self.recvx.set(first);
        self.end.set(end);
        if let Some(s) = empty {
            // SAFETY: it was taken out of the chain (SEGMENTS-I2).
            unsafe { Segment::free(s) };
        }
    }

    pub(super) fn zero(&self, elem: *mut u8) {
        if !elem.is_null() {
            // SAFETY: a receiver's element has room for a value.
            unsafe { write_bytes(elem, 0, self.elem_size) };
        }
    }

    /// As [`Chan::zero`], for values of one word. False, and nothing is written, for values of another size.
    #[inline(always)]
    pub(super) fn zero_word(&self, elem: *mut u8) -> bool {
        if self.elem_size != size_of::<u64>() {
            return false;
        }
        if !elem.is_null() {
            // SAFETY: a receiver's element has room for a value.
            unsafe { elem.cast::<u64>().write_unaligned(0) };
        }
        true
    }

    /// Empties the ring. For a timer's channel, which has a ring, and to which only the timer sends.
    pub fn clear(&self) {
        self.latch.lock();
        self.count.store(0, Ordering::Release);
        self.sendx.set(self.behind());
        self.recvx.set(self.behind());
        self.latch.unlock();
    }
}
