//! The free blocks of memory that a P keeps, of the small classes. The owner of the P takes and frees them without a
//! lock: channels, their segments, and other objects that have no slab.
//!
//! A caller without a P goes to the heap ([`crate::sys::heap`]), and so does a P that has no block of a class or too
//! many. So do all callers if the heap takes its blocks from malloc.

use super::OwnedP;
use crate::gmp::m::MRef;
use crate::sys::heap::{self, Blocks, Class};
use std::alloc::Layout;

/// The classes of which a P keeps blocks: those up to 8 KiB.
const CLASSES: usize = 32;
/// The most blocks of each class that a P keeps: as many as fit into 8 KiB, from 2 to 32. (A table: a division costs as
/// much as the rest.)
const MOST: [u8; CLASSES] = {
    let mut most = [32; CLASSES];
    let mut n = 0;
    while n < CLASSES {
        let fit = (8 << 10) / Class::numbered(n as u8).size();
        if fit < 32 {
            most[n] = if fit < 2 { 2 } else { fit as u8 };
        }
        n += 1;
    }
    most
};

pub(super) struct BlockCache([Blocks; CLASSES]);

impl BlockCache {
    pub(super) const NONE: BlockCache = BlockCache([const { Blocks::NONE }; CLASSES]);
}

#[inline(always)]
fn most(class: Class) -> usize {
    usize::from(MOST[class.number()])
}

impl OwnedP {
    /// The kept blocks of a class, if some may be kept.
    #[inline(always)]
    fn with_blocks<R>(&self, class: Class, f: impl FnOnce(&mut Blocks) -> R) -> Option<R> {
        // SAFETY: `self` owns the P, and `f` calls the heap only.
        unsafe { &mut *self.blocks.get() }.0.get_mut(class.number()).map(f)
    }

    /// Returns every kept block to the heap.
    pub fn drain_blocks(&self) {
        // SAFETY: as in `with_blocks`.
        let cache = unsafe { &mut *self.blocks.get() };
        cache.0.iter_mut().for_each(|blocks| heap::spill(blocks, 0));
    }
}

#[inline(always)]
fn take(class: Class, blocks: &mut Blocks) -> *mut u8 {
    if blocks.is_empty() {
        heap::fill(class, most(class) / 2, blocks);
    }
    blocks.pop().unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// A block of the class, which no code uses.
#[inline(always)]
unsafe fn give(class: Class, blocks: &mut Blocks, p: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { heap::spoil(p, class) };
    // SAFETY: the caller's promise.
    unsafe { blocks.push(p) };
    if blocks.len() > most(class) {
        heap::spill(blocks, most(class) / 2);
    }
}

/// A block, as of [`heap::alloc`].
///
/// # Safety
/// The layout is not empty.
#[inline]
pub unsafe fn alloc(layout: Layout) -> *mut u8 {
    if let Some(class) = heap::class_for_cache(layout)
        && let Some(m) = MRef::current()
        && let Some(pp) = m.p()
        && let Some(p) = pp.with_blocks(class, |blocks| take(class, blocks))
    {
        return p;
    }
    // SAFETY: the caller's promise.
    unsafe { heap::alloc(layout) }
}

/// Frees a block, as [`heap::dealloc`].
///
/// # Safety
/// [`alloc`] returned it for this layout, and no code uses it.
#[inline]
pub unsafe fn dealloc(p: *mut u8, layout: Layout) {
    if let Some(class) = heap::class_for_cache(layout)
        && let Some(m) = MRef::current()
        && let Some(pp) = m.p()
        // SAFETY: a block of this class, by the caller's promise.
        && pp.with_blocks(class, |blocks| unsafe { give(class, blocks, p) }).is_some()
    {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { heap::dealloc(p, layout) };
}
