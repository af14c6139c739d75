//! A value that shares its cache lines with no other.
//!
//! A word that all threads read must not lie beside a word that some thread writes often: each write takes the cache
//! line from all readers. The size is 128 bytes and not 64, because the prefetcher of many processors fetches lines in
//! pairs.

use std::ops::Deref;

/// See the module.
#[derive(Default)]
#[repr(align(128))]
pub struct Line<T>(T);

/// The alignment of a [`Line`]; its size is a multiple of it.
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
