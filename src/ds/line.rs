//! A value that shares its cache lines with nothing else.
//!
//! A word that all threads read must not lie beside one that some thread writes often: each write takes the line from
//! all readers. 128 bytes and not 64, because the prefetcher of many processors fetches lines in pairs.

use std::ops::Deref;

/// See the module.
#[derive(Default)]
#[repr(align(128))]
pub struct Line<T>(T);

/// What a [`Line`] is aligned to, and a multiple of which it occupies.
pub const LINE: usize = std::mem::align_of::<Line<u8>>();

impl<T> Line<T> {
    pub const fn new(v: T) -> Line<T> {
        Line(v)
    }
}

impl<T> Deref for Line<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
