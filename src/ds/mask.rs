//! A set of small numbers that one thread at a time changes, and many threads read.
//!
//! Bits are hints: a reader must check the object behind the number. Changes order nothing; the fences of the writers
//! and of the readers do (wake.rs).

use crate::ds::line::{LINE, Line};
use crate::sync::{AtomicU64, Ordering};
use crate::sys::array::Array;

/// Words in one cache line.
const WORDS: usize = LINE / std::mem::size_of::<u64>();
/// Numbers in one cache line.
const NUMBERS: usize = WORDS * 64;

/// See the module. Its words are written often, so they share their lines with nothing else.
pub struct Mask(Array<Line<[AtomicU64; WORDS]>>);

impl Mask {
    /// An empty set of numbers below `n`. None if there is no memory.
    pub fn new(n: usize) -> Option<Mask> {
        let line = |_| Line::new(std::array::from_fn(|_| AtomicU64::new(0)));
        Array::of(n.div_ceil(NUMBERS), line).map(Mask)
    }

    #[inline(always)]
    fn word(&self, i: u32) -> &AtomicU64 {
        &self.0[i as usize / NUMBERS][i as usize / 64 % WORDS]
    }

    #[inline]
    pub fn get(&self, i: u32) -> bool {
        self.word(i).load(Ordering::Relaxed) >> (i % 64) & 1 == 1
    }

    /// The caller excludes other callers of this and of `clear`.
    #[inline]
    pub fn set(&self, i: u32) {
        let word = self.word(i);
        word.store(word.load(Ordering::Relaxed) | 1 << (i % 64), Ordering::Relaxed);
    }

    #[inline]
    pub fn clear(&self, i: u32) {
        let word = self.word(i);
        word.store(word.load(Ordering::Relaxed) & !(1 << (i % 64)), Ordering::Relaxed);
    }

    /// The numbers in the set. Each word is read once, when the iterator comes to it.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits(0)
    }

    /// The numbers below `n` that are not in the set.
    pub fn iter_clear(&self, n: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        self.bits(!0).take_while(move |&i| i < n)
    }

    fn bits(&self, flip: u64) -> impl Iterator<Item = u32> + Clone + '_ {
        self.0.iter().flat_map(|line| line.iter()).enumerate().flat_map(move |(w, word)| {
            let mut bits = word.load(Ordering::Relaxed) ^ flip;
            std::iter::from_fn(move || {
                if bits == 0 {
                    return None;
                }
                let b = bits.trailing_zeros();
                bits &= bits - 1;
                Some(w as u32 * 64 + b)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let m = Mask::new(2000).unwrap();
        for i in [0, 63, 64, 127, 1999] {
            m.set(i);
            assert!(m.get(i));
        }
        assert_eq!(m.iter().collect::<Vec<_>>(), [0, 63, 64, 127, 1999]);
        m.clear(64);
        assert_eq!(m.iter().collect::<Vec<_>>(), [0, 63, 127, 1999]);
        assert_eq!(m.iter_clear(66).count(), 64);
        assert!(m.iter_clear(2000).all(|i| !m.get(i)));
    }
}
