//! A set of small numbers that one thread at a time changes, and many read.
//!
//! Bits are hints: whoever reads them follows up with the thing itself. Changes order nothing; the fences of those who change
//! and of those who read do (wake.rs).

use crate::sync::{AtomicU64, Ordering};

pub struct Mask(Box<[AtomicU64]>);

impl Mask {
    /// An empty set of numbers below `n`; none if there is no memory.
    pub fn new(n: usize) -> Option<Mask> {
        let words = n.div_ceil(64);
        let mut v = Vec::new();
        v.try_reserve_exact(words).ok()?;
        v.resize_with(words, || AtomicU64::new(0));
        Some(Mask(v.into_boxed_slice()))
    }

    #[inline]
    pub fn get(&self, i: u32) -> bool {
        self.0[i as usize / 64].load(Ordering::Relaxed) >> (i % 64) & 1 == 1
    }

    /// Callers of this and of `clear` exclude each other.
    #[inline]
    pub fn set(&self, i: u32) {
        let word = &self.0[i as usize / 64];
        word.store(word.load(Ordering::Relaxed) | 1 << (i % 64), Ordering::Relaxed);
    }

    #[inline]
    pub fn clear(&self, i: u32) {
        let word = &self.0[i as usize / 64];
        word.store(word.load(Ordering::Relaxed) & !(1 << (i % 64)), Ordering::Relaxed);
    }

    /// The numbers in the set, word by word as they are when it comes to them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bits(0)
    }

    /// The numbers below `n` that are not in the set.
    pub fn iter_clear(&self, n: u32) -> impl Iterator<Item = u32> + Clone + '_ {
        self.bits(!0).take_while(move |&i| i < n)
    }

    fn bits(&self, flip: u64) -> impl Iterator<Item = u32> + Clone + '_ {
        self.0.iter().enumerate().flat_map(move |(w, word)| {
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
        let m = Mask::new(200).unwrap();
        for i in [0, 63, 64, 127, 199] {
            m.set(i);
            assert!(m.get(i));
        }
        assert_eq!(m.iter().collect::<Vec<_>>(), [0, 63, 64, 127, 199]);
        m.clear(64);
        assert_eq!(m.iter().collect::<Vec<_>>(), [0, 63, 127, 199]);
        assert_eq!(m.iter_clear(66).count(), 64);
        assert!(m.iter_clear(200).all(|i| !m.get(i)));
    }
}
