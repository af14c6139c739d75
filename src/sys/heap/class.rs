//! The classes of small blocks: their sizes, and which one serves a [`Layout`].

use super::MOST_SMALL;
use core::alloc::Layout;

/// Up to here there is a class each [`LEAST`] bytes.
const FINE: usize = 128;
const LEAST: usize = 16;
/// Classes for each power of two above [`FINE`], as a power of two.
const STEPS: u32 = 2;
/// How many classes there are.
pub const CLASSES: usize = FINE / LEAST + ((MOST_SMALL.ilog2() - FINE.ilog2()) << STEPS) as usize;
/// The largest alignment of a small block: the first block of a span has it.
pub const MOST_ALIGN: usize = 128;

/// The classes of blocks up to this size are in a table, which costs a third of the arithmetic.
const SHORT: usize = 1024;
/// The class of each size, in units of [`LEAST`].
const OF_SHORT: [u8; SHORT / LEAST + 1] = {
    let mut of = [0; SHORT / LEAST + 1];
    let mut n = 0;
    while n < of.len() {
        of[n] = Class::holding(n * LEAST).0;
        n += 1;
    }
    of
};

/// The number of a class, from the smallest on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class(u8);

impl Class {
    /// The smallest class that serves a layout. None: none does.
    #[inline(always)]
    pub fn of(layout: Layout) -> Option<Class> {
        if layout.size() <= SHORT && layout.align() <= LEAST {
            return Some(Class(OF_SHORT[layout.size().div_ceil(LEAST)]));
        }
        Class::of_any(layout)
    }

    fn of_any(layout: Layout) -> Option<Class> {
        let align = layout.align();
        if layout.size() > MOST_SMALL || align > MOST_ALIGN {
            return None;
        }
        let mut class = Class::holding(layout.size().max(align));
        // A power of two comes within the next 1 << STEPS classes.
        while !class.size().is_multiple_of(align) {
            class = Class(class.0 + 1);
        }
        Some(class)
    }

    const fn holding(size: usize) -> Class {
        if size <= FINE {
            return Class((size.saturating_sub(1) / LEAST) as u8);
        }
        let power = (size - 1).ilog2();
        let step = (size - 1 - (1 << power)) >> (power - STEPS);
        Class((FINE / LEAST) as u8 + (((power - FINE.ilog2()) << STEPS) as u8) + step as u8)
    }

    #[inline(always)]
    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// The class with this number, below `CLASSES`.
    pub const fn numbered(n: u8) -> Class {
        Class(n)
    }

    /// The size of its blocks.
    #[inline(always)]
    pub const fn size(self) -> usize {
        let n = self.0 as usize;
        match n.checked_sub(FINE / LEAST) {
            None => (n + 1) * LEAST,
            Some(n) => {
                let power = FINE.ilog2() as usize + (n >> STEPS);
                (1 << power) + (((n & ((1 << STEPS) - 1)) + 1) << (power - STEPS as usize))
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_smallest_that_serves() {
        let sizes: Vec<usize> = (0..CLASSES).map(|n| Class(n as u8).size()).collect();
        assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
        assert_eq!((sizes[0], sizes[CLASSES - 1]), (LEAST, MOST_SMALL));
        for align in (0..=MOST_ALIGN.ilog2()).map(|bit| 1 << bit) {
            for size in (1..2100).chain((2100..=MOST_SMALL).step_by(if cfg!(miri) { 997 } else { 13 })) {
                let class = Class::of(Layout::from_size_align(size, align).unwrap()).unwrap();
                let serves = |n: &usize| *n >= size && n.is_multiple_of(align);
                assert_eq!(Some(&class.size()), sizes.iter().find(|n| serves(n)), "{size} {align}");
                assert!(size < FINE || align > LEAST || class.size() <= size + size.div_ceil(4), "{size}");
            }
        }
        let none = |size, align| Class::of(Layout::from_size_align(size, align).unwrap()).is_none();
        assert!(none(MOST_SMALL + 1, 1) && none(1, 2 * MOST_ALIGN) && !none(MOST_SMALL, MOST_ALIGN));
    }
}
