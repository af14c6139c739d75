//! A list of free stacks: taken from its young end, and aged from its old end. To push needs no memory.

use crate::sys::{self, mem};
use core::ptr;

/// Addresses of free stacks (their `hi`), oldest first, in memory that is reserved for all slots of the class.
pub(super) struct List {
    base: *mut *mut u8,
    bytes: usize,
    /// The entries are `start..end`; only `take_oldest` moves the start.
    start: usize,
    end: usize,
}

impl List {
    pub(super) const EMPTY: List = List { base: ptr::null_mut(), bytes: 0, start: 0, end: 0 };

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The place of an entry.
    fn at(&self, i: usize) -> *mut *mut u8 {
        self.base.wrapping_add(i)
    }

    pub(super) fn make_room(&mut self, entries: usize) -> Result<(), i32> {
        let bytes = (entries * size_of::<*mut u8>()).next_multiple_of(sys::page_size());
        if bytes > self.bytes {
            // SAFETY: ours alone; every access goes through `base`.
            self.base = unsafe { mem::grow(self.base.cast(), self.bytes, bytes) }?.cast();
            self.bytes = bytes;
        }
        Ok(())
    }

    pub(super) fn push(&mut self, hi: *mut u8) {
        if self.end * size_of::<*mut u8>() >= self.bytes {
            assert!(self.start > 0, "a stack was given back twice");
            let n = self.len();
            // SAFETY: both ranges are inside the list.
            unsafe { ptr::copy(self.at(self.start), self.base, n) };
            (self.start, self.end) = (0, n);
        }
        // SAFETY: `end` is inside, as just seen.
        unsafe { self.at(self.end).write(hi) };
        self.end += 1;
    }

    pub(super) fn pop(&mut self) -> Option<*mut u8> {
        if self.len() == 0 {
            (self.start, self.end) = (0, 0);
            return None;
        }
        self.end -= 1;
        // SAFETY: written by `push`.
        Some(unsafe { self.at(self.end).read() })
    }

    pub(super) fn take_oldest(&mut self) -> Option<*mut u8> {
        if self.len() == 0 {
            return None;
        }
        self.start += 1;
        // SAFETY: written by `push`.
        Some(unsafe { self.at(self.start - 1).read() })
    }

    /// # Safety
    /// Nothing is pushed or popped afterwards.
    pub(super) unsafe fn release(&mut self) {
        if !self.base.is_null() {
            // SAFETY: ours, and the last use.
            unsafe { mem::release(self.base.cast(), self.bytes) };
        }
        *self = List::EMPTY;
    }
}
