//! The lists of the heap: its spans, and the large blocks that are kept. Everything here is guarded by the lock.

use super::class::{CLASSES, Class};
use super::{FIRST_CHUNK, KEPT, MOST_CHUNK, MOST_DIRTY, MOST_KEPT, SPAN};
use crate::sys::without;
use core::ptr::{self, null_mut};

/// A free block.
pub struct Block {
    pub(super) next: *mut Block,
}

/// The beginning of a span. Its blocks lie behind it. Guarded by the lock.
#[repr(C, align(128))]
pub(super) struct Span {
    /// Neighbours in the list of the class, or of unused spans.
    pub(super) next: *mut Span,
    prev: *mut Span,
    free: *mut Block,
    /// Where the blocks begin that were never used.
    fresh: usize,
    /// The number of blocks in use.
    pub(super) used: usize,
    class: Class,
}

/// In front of a large block, whose alignment it has.
#[repr(C, align(128))]
pub(super) struct Head {
    pub(super) len: usize,
    /// From malloc, not from mmap.
    pub(super) hosts: bool,
    /// The next large block that is kept.
    pub(super) next: *mut Head,
}

/// The lists. Guarded by the lock.
pub(super) struct Heap {
    /// The spans of each class that have a free block (HEAP-4).
    pub(super) partial: [*mut Span; CLASSES],
    /// Unused spans with memory, and how many there are.
    pub(super) dirty: *mut Span,
    pub(super) dirty_len: usize,
    /// Unused spans that have no memory except for their first page.
    pub(super) clean: *mut Span,
    /// The rest of the newest chunk: spans that were never touched.
    run: *mut u8,
    run_len: usize,
    /// Spans in all chunks.
    pub(super) spans: usize,
    pub(super) kept: *mut Head,
    pub(super) kept_len: usize,
}

// SAFETY: the pointers are to memory that the holder of the lock owns.
unsafe impl Send for Heap {}

/// The span of a small block.
#[inline(always)]
fn span_of(block: *mut Block) -> *mut Span {
    // `add_chunk` exposes each chunk: the caller's pointer may reach no further than its block.
    ptr::with_exposed_provenance_mut(block.addr() & !(SPAN - 1))
}

impl Span {
    fn new(class: Class) -> Span {
        Span { next: null_mut(), prev: null_mut(), free: null_mut(), fresh: size_of::<Span>(), used: 0, class }
    }

    fn is_full(&self) -> bool {
        self.free.is_null() && self.fresh + self.class.size() > SPAN
    }

    /// A block of a span that is not full. `this` is where the span lies.
    ///
    /// # Safety
    /// `this` is this span, which the caller holds the lock for.
    unsafe fn take(&mut self, this: *mut Span) -> *mut Block {
        self.used += 1;
        if self.free.is_null() {
            let at = self.fresh;
            self.fresh += self.class.size();
            return this.wrapping_byte_add(at).cast();
        }
        let block = self.free;
        // SAFETY: a free block of this span, which `give` has written.
        self.free = unsafe { (*block).next };
        block
    }
}

impl Heap {
    pub(super) const fn new() -> Heap {
        Heap {
            partial: [null_mut(); CLASSES],
            dirty: null_mut(),
            dirty_len: 0,
            clean: null_mut(),
            run: null_mut(),
            run_len: 0,
            spans: 0,
            kept: null_mut(),
            kept_len: 0,
        }
    }

    /// A block of a class. None: a chunk is needed.
    pub(super) fn take(&mut self, class: Class) -> Option<*mut Block> {
        let mut s = self.partial[class.number()];
        if s.is_null() {
            s = self.unused_span()?;
            // SAFETY: an unused span is the heap's.
            unsafe { s.write(Span::new(class)) };
            self.link(s);
        }
        // SAFETY: a span in use, and the only reference to it.
        let span = unsafe { &mut *s };
        // SAFETY: HEAP-4: it is not full.
        let block = unsafe { span.take(s) };
        if span.is_full() {
            self.unlink(s);
        }
        Some(block)
    }

    /// Takes a block back. Returns the span that has become unused, if its memory is to be returned to the system.
    ///
    /// # Safety
    /// A block in use, which the caller does not use afterwards.
    pub(super) unsafe fn give(&mut self, block: *mut Block) -> Option<*mut Span> {
        let s = span_of(block);
        // SAFETY: the block's span is in use; this is the only reference to it.
        let span = unsafe { &mut *s };
        let was_full = span.is_full();
        // SAFETY: the block is no longer the caller's.
        unsafe { block.write(Block { next: span.free }) };
        span.free = block;
        span.used -= 1;
        let used = span.used;
        if was_full {
            self.link(s);
        }
        if used != 0 || self.is_alone(s) {
            return None;
        }
        self.unlink(s);
        if self.dirty_len == MOST_DIRTY && !without::is_sealed() {
            return Some(s);
        }
        push(&mut self.dirty, s);
        self.dirty_len += 1;
        None
    }

    /// Whether a span in use is the only one in the list of its class.
    fn is_alone(&self, s: *mut Span) -> bool {
        // SAFETY: a span in use.
        let span = unsafe { &*s };
        span.next.is_null() && span.prev.is_null()
    }

    /// Puts a span in use into the list of its class.
    fn link(&mut self, s: *mut Span) {
        // SAFETY: a span in use, in no list; this is the only reference to it.
        let span = unsafe { &mut *s };
        let first = &mut self.partial[span.class.number()];
        (span.next, span.prev) = (*first, null_mut());
        // SAFETY: null, or another span in use.
        if let Some(first) = unsafe { first.as_mut() } {
            first.prev = s;
        }
        *first = s;
    }

    /// Takes a span in use out of the list of its class.
    pub(super) fn unlink(&mut self, s: *mut Span) {
        // SAFETY: a span in use; this is the only reference to it.
        let span = unsafe { &mut *s };
        let (next, prev) = (span.next, span.prev);
        // SAFETY: null, or another span in use.
        if let Some(next) = unsafe { next.as_mut() } {
            next.prev = prev;
        }
        // SAFETY: as above.
        match unsafe { prev.as_mut() } {
            Some(prev) => prev.next = next,
            None => self.partial[span.class.number()] = next,
        }
        (span.next, span.prev) = (null_mut(), null_mut());
    }

    fn unused_span(&mut self) -> Option<*mut Span> {
        if let Some(s) = pop(&mut self.dirty) {
            self.dirty_len -= 1;
            return Some(s);
        }
        if let Some(s) = pop(&mut self.clean) {
            return Some(s);
        }
        self.run_len = self.run_len.checked_sub(1)?;
        let s = self.run;
        self.run = s.wrapping_add(SPAN);
        Some(s.cast())
    }

    /// Adds a chunk of `n` spans.
    ///
    /// # Safety
    /// The memory is aligned, zero, and the heap's for good.
    pub(super) unsafe fn add_chunk(&mut self, first: *mut u8, n: usize) {
        first.expose_provenance();
        // Another thread may have added a chunk meanwhile.
        while let Some(left) = self.run_len.checked_sub(1) {
            push(&mut self.clean, self.run.cast());
            self.run = self.run.wrapping_add(SPAN);
            self.run_len = left;
        }
        (self.run, self.run_len) = (first, n);
        self.spans += n;
    }

    /// How many spans the next chunk has.
    pub(super) fn next_chunk(&self) -> usize {
        (self.spans / 8).clamp(FIRST_CHUNK, MOST_CHUNK)
    }

    /// A large block that is kept, of exactly this length.
    pub(super) fn take_kept(&mut self, len: usize) -> Option<*mut Head> {
        let mut at = &raw mut self.kept;
        loop {
            // SAFETY: the head of the list, or the link of a block in it.
            let head = unsafe { *at };
            // SAFETY: null, or a block in the list.
            let found = unsafe { head.as_mut() }?;
            if found.len == len {
                // SAFETY: as for `head`.
                unsafe { *at = found.next };
                self.kept_len -= 1;
                return Some(head);
            }
            at = &raw mut found.next;
        }
    }

    /// Keeps a large block for the next caller. Returns a block that is to be returned to the system: this one if it is
    /// too large, or the one that has been kept for the longest time.
    ///
    /// # Safety
    /// The block is not in use.
    pub(super) unsafe fn keep(&mut self, head: *mut Head) -> Option<*mut Head> {
        // SAFETY: the caller's promise; this is the only reference to it.
        let block = unsafe { &mut *head };
        // A sealed runtime may not unmap.
        let sealed = without::is_sealed();
        if block.len > MOST_KEPT && !sealed {
            return Some(head);
        }
        block.next = core::mem::replace(&mut self.kept, head);
        self.kept_len += 1;
        if self.kept_len <= KEPT || sealed { None } else { self.oldest_kept() }
    }

    pub(super) fn oldest_kept(&mut self) -> Option<*mut Head> {
        let mut at = &raw mut self.kept;
        loop {
            // SAFETY: the head of the list, or the link of a block in it.
            let head = unsafe { *at };
            // SAFETY: null, or a block in the list.
            let block = unsafe { head.as_mut() }?;
            if block.next.is_null() {
                // SAFETY: as for `head`.
                unsafe { *at = null_mut() };
                self.kept_len -= 1;
                return Some(head);
            }
            at = &raw mut block.next;
        }
    }
}

/// Puts an unused span into a list.
pub(super) fn push(list: &mut *mut Span, s: *mut Span) {
    // `next` is the first field: an unused span has no other.
    let link = s.cast::<*mut Span>();
    // SAFETY: an unused span is the heap's, and has room for its link.
    unsafe { link.write(*list) };
    *list = s;
}

/// Takes an unused span out of a list.
pub(super) fn pop(list: &mut *mut Span) -> Option<*mut Span> {
    let s = *list;
    // SAFETY: null, or an unused span, whose link `push` has written.
    *list = *unsafe { s.cast::<*mut Span>().as_ref() }?;
    Some(s)
}
