//! The library's own memory: blocks over mmap, which no thread ever waits for the host to get.
//!
//! # Problem
//! The host's malloc has locks, and a thread of the host may hold one of them for any time: it may be stopped inside
//! malloc, at any instruction. A thread that holds a P, the watchdog and the template thread must not wait for that
//! thread, because the thread may be waiting for them. So nothing that they allocate comes from malloc.
//!
//! # Words
//! * block: what a caller gets. It has no head, because the caller frees it with its [`Layout`].
//! * class: the size of a small block. From 16 to 128 bytes there is a class each 16 bytes, and above that there are
//!   four classes for each power of two, up to [`MOST_SMALL`]. So a block is at most a quarter larger than what was
//!   asked for.
//! * span: `SPAN` bytes, aligned to their size. A span that is in use has blocks of one class. It begins with a
//!   `Span`, which the address of a block leads to.
//! * chunk: the memory for some spans, from one mmap. Chunks stay mapped.
//! * large block: more than [`MOST_SMALL`] bytes, a mapping of its own. It has a `Head` in front of it.
//!
//! ```text
//!  chunk  |....|SPAN              |SPAN              |SPAN              |..|
//!              |Span|b|b|b|b|b|b| |Span|  b  |  b  | |    not in use    |
//! ```
//!
//! # What holds
//! * HEAP-1 An allocation fails with null, and changes nothing then. Nothing here aborts without memory.
//! * HEAP-2 A thread holds the lock for a few instructions, whatever there is to do, and makes no system call
//!   meanwhile. It maps a chunk before it takes the lock, and adds it afterwards. It takes a span out before it returns
//!   the span's memory to the system.
//! * HEAP-3 The lock is the last of all: its holder calls no other module. So it may be taken under any other lock, and
//!   needs no rank. A fork takes it, so a child finds the lists whole.
//! * HEAP-4 A span in a list of its class has a free block. A span whose blocks are all in use is in no list; one whose
//!   blocks are all free is in no list of a class, unless it is the only one there.
//! * HEAP-5 At most `MOST_DIRTY` unused spans keep their memory. The others read as zeroes and cost address space
//!   only.
//!
//! # Speed
//! Each P keeps some small blocks (`gmp/p/blocks.rs`), which its owner takes and frees without the lock. Objects with
//! handles are in slabs, and Gs in chunks: both come here only to grow.
//!
//! # When malloc is used all the same
//! * A memory checker (AddressSanitizer, LeakSanitizer, ThreadSanitizer, MemorySanitizer, valgrind) knows only the
//!   blocks of malloc. It would not see that a freed channel is used, and it would report what only a channel refers to
//!   as a leak. So under a checker every block comes from malloc. `GMXDEBUG=malloc=1` does the same, for other tools.
//!   The choice is made once, before the first allocation.
//! * A sealed runtime may not map memory ([`super::without`]). A chunk comes from malloc then; the host has promised
//!   that its malloc works.
//! * Models, and tests under Miri: both check memory themselves.
//!
//! # Rejected
//! * A list of blocks per class without spans: memory of a spike would stay with its class for good.
//! * A lock per class: the caches of the Ps make the lock rare, and a fork would have to take all of them.
//! * `sync::Lock`: it is in the layer above, and this layer needs memory itself.

mod class;
mod lists;
mod lock;

use super::{held, mem, without};
use class::CLASSES;
pub use class::Class;
use core::alloc::Layout;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU8, Ordering};
use lists::{Block, Head, Heap, Span, pop, push};
use lock::Locked;
use std::alloc::{GlobalAlloc, System};

/// The size of a span, and its alignment.
const SPAN: usize = 256 << 10;
/// The size of the largest class.
pub const MOST_SMALL: usize = 32 << 10;
/// How many unused spans keep their memory.
const MOST_DIRTY: usize = 4;
/// Spans of the first chunk. Later ones have an eighth of all spans, within bounds.
const FIRST_CHUNK: usize = 4;
const MOST_CHUNK: usize = 256;
/// Of the large blocks up to this size, the last [`KEPT`] that were freed are kept for the next caller.
const MOST_KEPT: usize = 1 << 20;
const KEPT: usize = 4;

// ---- the heap of this process ---------------------------------------------------------------------------------------

static HEAP: Locked<Heap> = Locked::new(Heap::new());

/// Where blocks come from. Relaxed: it is written before the first allocation.
static CHOICE: AtomicU8 = AtomicU8::new(NO_CHOICE);
const NO_CHOICE: u8 = 0;
const OURS: u8 = 1;
const HOSTS: u8 = 2;

/// Decides where blocks come from. Only the first call counts. `hosts`: from malloc.
pub fn choose(hosts: bool) {
    let choice = if hosts { HOSTS } else { OURS };
    let _ = CHOICE.compare_exchange(NO_CHOICE, choice, Ordering::Relaxed, Ordering::Relaxed);
}

/// Whether blocks come from malloc.
#[inline(always)]
fn is_hosts() -> bool {
    cfg!(any(loom, shuttle, miri)) || CHOICE.load(Ordering::Relaxed) == HOSTS
}

/// A block. Null if there is no memory. Alignments above 128 are not served.
///
/// # Safety
/// The layout is not empty.
pub unsafe fn alloc(layout: Layout) -> *mut u8 {
    if is_hosts() {
        // SAFETY: the caller's promise.
        return unsafe { System.alloc(layout) };
    }
    match Class::of(layout) {
        Some(class) => small(class),
        None => large(layout),
    }
}

/// As [`alloc`], and all of it zero.
///
/// # Safety
/// As for [`alloc`].
pub unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promise.
    let p = unsafe { alloc(layout) };
    if !p.is_null() {
        // SAFETY: a new block of that size.
        unsafe { p.write_bytes(0, layout.size()) };
    }
    p
}

/// Frees a block.
///
/// # Safety
/// `alloc` returned it for this layout, and no code uses it.
pub unsafe fn dealloc(p: *mut u8, layout: Layout) {
    if is_hosts() {
        // SAFETY: the caller's promise.
        return unsafe { System.dealloc(p, layout) };
    }
    match Class::of(layout) {
        Some(class) => {
            // SAFETY: the caller's promise.
            unsafe { spoil(p, class) };
            // SAFETY: the caller's promise.
            let unused = HEAP.with(|h| unsafe { h.give(p.cast()) });
            if let Some(s) = unused {
                return_span(s);
            }
        }
        // SAFETY: the caller's promise.
        None => unsafe { free_large(p) },
    }
}

/// Debug builds overwrite what is freed.
///
/// # Safety
/// A block of the class, which no code uses.
#[inline(always)]
pub unsafe fn spoil(p: *mut u8, class: Class) {
    if cfg!(debug_assertions) {
        // SAFETY: the caller's promise.
        unsafe { p.write_bytes(0xfd, class.size()) };
    }
}

fn small(class: Class) -> *mut u8 {
    loop {
        let (block, n) = HEAP.with(|h| (h.take(class), h.next_chunk()));
        match block {
            Some(block) => return block.cast(),
            None if grow(n) => {}
            None => return null_mut(),
        }
    }
}

/// HEAP-2: a chunk. False if there is no memory (HEAP-1).
#[cold]
fn grow(n: usize) -> bool {
    // The caller may hold a lock, under which a table grows: held.rs.
    let chunk = if without::may_map() {
        held::except(|| mem::reserve((n + 1) * SPAN)).map(|p| (p.wrapping_add(p.align_offset(SPAN)), n))
    } else {
        // SAFETY: the layout is not empty.
        let p = Layout::from_size_align(SPAN, SPAN).map_or(null_mut(), |layout| unsafe { System.alloc_zeroed(layout) });
        if p.is_null() { Err(libc::ENOMEM) } else { Ok((p, 1)) }
    };
    let Ok((first, n)) = chunk else { return false };
    // SAFETY: fresh memory, which is never given up.
    HEAP.with(|h| unsafe { h.add_chunk(first, n) });
    true
}

/// HEAP-5: returns the memory of an unused span to the system, without the lock (HEAP-2).
#[cold]
fn return_span(s: *mut Span) {
    // SAFETY: the span is in no list, so it is the caller's.
    held::except(|| unsafe { mem::discard(&[s.cast()], SPAN) });
    HEAP.with(|h| push(&mut h.clean, s));
}

fn large(layout: Layout) -> *mut u8 {
    const HEAD: usize = size_of::<Head>();
    let page = super::page_size();
    let fits = layout.align() <= align_of::<Head>() && layout.size() <= isize::MAX as usize - HEAD - page;
    if !fits {
        debug_assert!(layout.align() <= align_of::<Head>(), "{layout:?}");
        return null_mut();
    }
    let len = (HEAD + layout.size()).next_multiple_of(page);
    if len <= MOST_KEPT
        && let Some(head) = HEAP.with(|h| h.take_kept(len))
    {
        return head.wrapping_add(1).cast();
    }
    let hosts = !without::may_map();
    let p = if hosts {
        // SAFETY: the layout is not empty.
        large_layout(len).map_or(null_mut(), |layout| unsafe { System.alloc(layout) })
    } else {
        held::except(|| mem::reserve(len)).unwrap_or(null_mut())
    };
    let head = p.cast::<Head>();
    if head.is_null() {
        return null_mut();
    }
    // SAFETY: new memory, of at least that size.
    unsafe { head.write(Head { len, hosts, next: null_mut() }) };
    head.wrapping_add(1).cast()
}

fn large_layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len, align_of::<Head>()).ok()
}

/// # Safety
/// A block of [`large`], which no code uses.
unsafe fn free_large(p: *mut u8) {
    let head = p.cast::<Head>().wrapping_sub(1);
    // SAFETY: the caller's promise.
    if let Some(head) = HEAP.with(|h| unsafe { h.keep(head) }) {
        // SAFETY: out of the list of blocks that no code uses.
        unsafe { release(head) };
    }
}

/// # Safety
/// A large block, which no code uses and which is not kept.
unsafe fn release(head: *mut Head) {
    // SAFETY: the caller's promise.
    let &Head { len, hosts, .. } = unsafe { &*head };
    if !hosts {
        // SAFETY: mapped with this length by `large`.
        return held::except(|| unsafe { mem::release(head.cast(), len) });
    }
    if let Some(layout) = large_layout(len) {
        // SAFETY: from `System`, with this layout.
        unsafe { System.dealloc(head.cast(), layout) };
    }
}

/// Returns to the system the memory that no block uses.
pub fn trim() {
    if without::is_sealed() {
        return;
    }
    while let Some(s) = HEAP.with(|h| {
        let s = pop(&mut h.dirty)?;
        h.dirty_len -= 1;
        Some(s)
    }) {
        return_span(s);
    }
    for class in 0..CLASSES {
        let unused = HEAP.with(|h| {
            let s = h.partial[class];
            // SAFETY: null, or a span in use.
            let is_unused = unsafe { s.as_ref() }.is_some_and(|s| s.used == 0);
            is_unused.then(|| h.unlink(s)).map(|()| s)
        });
        if let Some(s) = unused {
            return_span(s);
        }
    }
    while let Some(head) = HEAP.with(Heap::oldest_kept) {
        // SAFETY: out of the list of blocks that no code uses.
        unsafe { release(head) };
    }
}

// ---- for caches -----------------------------------------------------------------------------------------------------

/// Free blocks of one class, which a cache takes from the heap and returns to it.
pub struct Blocks {
    first: *mut Block,
    len: usize,
}

impl Blocks {
    pub const NONE: Blocks = Blocks { first: null_mut(), len: 0 };

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    pub fn pop(&mut self) -> Option<*mut u8> {
        let block = self.first;
        // SAFETY: null, or a free block, which `push` has written.
        self.first = unsafe { block.as_ref() }?.next;
        self.len -= 1;
        Some(block.cast())
    }

    /// # Safety
    /// A block of the class of this list, which no code uses.
    #[inline(always)]
    pub unsafe fn push(&mut self, p: *mut u8) {
        let block = p.cast::<Block>();
        // SAFETY: the caller's promise.
        unsafe { block.write(Block { next: self.first }) };
        self.first = block;
        self.len += 1;
    }
}

/// The class of a layout, if blocks may be cached: they do not come from malloc.
#[inline(always)]
pub fn class_for_cache(layout: Layout) -> Option<Class> {
    if is_hosts() { None } else { Class::of(layout) }
}

/// Takes up to `n` blocks of a class, under one lock; at least one, unless there is no memory.
#[cold]
pub fn fill(class: Class, n: usize, blocks: &mut Blocks) {
    HEAP.with(|h| {
        for _ in 0..n {
            let Some(block) = h.take(class) else { break };
            // SAFETY: a new block.
            unsafe { blocks.push(block.cast()) };
        }
    });
    if blocks.len == 0 {
        let p = small(class);
        if !p.is_null() {
            // SAFETY: a new block.
            unsafe { blocks.push(p) };
        }
    }
}

/// Takes back the blocks of a list except the `keep` that were pushed last.
#[cold]
pub fn spill(blocks: &mut Blocks, keep: usize) {
    let mut kept = Blocks::NONE;
    while kept.len < keep
        && let Some(p) = blocks.pop()
    {
        // SAFETY: a free block of the same class.
        unsafe { kept.push(p) };
    }
    loop {
        // HEAP-2: a few at a time, and a span is returned without the lock.
        let unused = HEAP.with(|h| {
            (0..AT_ONCE).map_while(|_| blocks.pop()).find_map(|p| {
                // SAFETY: a block that no code uses.
                unsafe { h.give(p.cast()) }
            })
        });
        match unused {
            Some(s) => return_span(s),
            None if blocks.len == 0 => break,
            None => {}
        }
    }
    while let Some(p) = kept.pop() {
        // SAFETY: as above.
        unsafe { blocks.push(p) };
    }
}

/// How many blocks [`spill`] returns under one lock.
const AT_ONCE: usize = 16;

// ---- fork -----------------------------------------------------------------------------------------------------------

/// HEAP-3: to be called before a fork, by its thread.
pub fn before_fork() {
    HEAP.lock();
}

/// To be called after a fork, in the parent.
pub fn after_fork() {
    HEAP.unlock();
}

/// To be called after a fork, in the child.
pub fn in_child() {
    HEAP.reopen();
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
