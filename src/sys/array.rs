//! An array that grows, over [`heap`]: what `Vec` is over malloc. It grows only if it is asked to, and may fail.

use super::heap;
use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::{NonNull, slice_from_raw_parts_mut};
use core::{mem, slice};

/// There is no memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// See the module.
pub struct Array<T> {
    at: NonNull<T>,
    len: usize,
    cap: usize,
    owns: PhantomData<T>,
}

// SAFETY: it owns its values.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: a shared array only shares its values.
unsafe impl<T: Sync> Sync for Array<T> {}

/// The least number of values that an array has room for when it grows by itself.
const LEAST: usize = 4;

impl<T> Array<T> {
    pub const fn new() -> Array<T> {
        const { assert!(size_of::<T>() != 0) };
        Array { at: NonNull::dangling(), len: 0, cap: 0, owns: PhantomData }
    }

    /// An array of `n` values. None if there is no memory.
    pub fn of(n: usize, mut each: impl FnMut(usize) -> T) -> Option<Array<T>> {
        let mut array = Array::new();
        array.reserve_exact(n).ok()?;
        (0..n).for_each(|i| array.put(each(i)));
        Some(array)
    }

    pub fn capacity(&self) -> usize {
        self.cap
    }

    /// Makes room for `more` values, and for as many again as there are.
    #[inline]
    pub fn reserve(&mut self, more: usize) -> Result<(), Full> {
        if self.cap - self.len >= more {
            return Ok(());
        }
        let least = self.len.checked_add(more).ok_or(Full)?;
        self.grow(least.max(self.cap * 2).max(LEAST))
    }

    /// Makes room for `more` values.
    pub fn reserve_exact(&mut self, more: usize) -> Result<(), Full> {
        if self.cap - self.len >= more {
            return Ok(());
        }
        self.grow(self.len.checked_add(more).ok_or(Full)?)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, cap: usize) -> Result<(), Full> {
        let layout = Layout::array::<T>(cap).map_err(|_| Full)?;
        // SAFETY: the layout is not empty: more room is wanted than there is.
        let new = NonNull::new(unsafe { heap::alloc(layout) }.cast::<T>()).ok_or(Full)?;
        // SAFETY: both have room for the values, and the new block is no part of the old one.
        unsafe { new.copy_from_nonoverlapping(self.at, self.len) };
        self.free();
        (self.at, self.cap) = (new, cap);
        Ok(())
    }

    /// Frees the memory, whose values have been moved or dropped.
    fn free(&mut self) {
        if self.cap != 0
            && let Ok(layout) = Layout::array::<T>(self.cap)
        {
            // SAFETY: allocated by `grow`, with this layout.
            unsafe { heap::dealloc(self.at.as_ptr().cast(), layout) };
        }
    }

    /// Appends a value, for which there is room.
    #[inline]
    pub fn put(&mut self, v: T) {
        assert!(self.len < self.cap);
        // SAFETY: within the room.
        let place = unsafe { self.at.add(self.len) };
        // SAFETY: as above; there is no value in the place.
        unsafe { place.write(v) };
        self.len += 1;
    }

    pub fn push(&mut self, v: T) -> Result<(), Full> {
        self.reserve(1)?;
        self.put(v);
        Ok(())
    }

    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: within the room.
        let place = unsafe { self.at.add(self.len) };
        // SAFETY: there was a value, which is now the caller's.
        Some(unsafe { place.read() })
    }

    pub fn truncate(&mut self, len: usize) {
        let Some(n) = self.len.checked_sub(len) else { return };
        self.len = len;
        // SAFETY: within the room.
        let rest = unsafe { self.at.add(len) };
        // SAFETY: these values are no longer the array's.
        unsafe { slice_from_raw_parts_mut(rest.as_ptr(), n).drop_in_place() };
    }

    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Removes a value, and puts the last one into its place.
    pub fn swap_remove(&mut self, i: usize) -> Option<T> {
        let last = self.pop()?;
        Some(if i == self.len { last } else { mem::replace(&mut self[i], last) })
    }
}

impl<T: Copy> Array<T> {
    pub fn extend(&mut self, values: &[T]) -> Result<(), Full> {
        self.reserve(values.len())?;
        values.iter().for_each(|&v| self.put(v));
        Ok(())
    }

    /// Appends copies of a value, for which there is room, until there are `len` values.
    pub fn pad(&mut self, len: usize, v: T) {
        (self.len..len).for_each(|_| self.put(v));
    }

    /// Removes the values for which `keeps` is false.
    pub fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        let mut kept = 0;
        for i in 0..self.len {
            let v = self[i];
            if keeps(&v) {
                self[kept] = v;
                kept += 1;
            }
        }
        self.truncate(kept);
    }
}

impl<T: PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Array<T>) -> bool {
        **self == **other
    }
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Array::new()
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: so many values were written.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Array<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        self.clear();
        self.free();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ds::rng::{Rng, rounds, seeds};
    use std::rc::Rc;

    /// Random steps beside a `Vec`. Each value is dropped once: the counts of its `Rc` tell.
    #[test]
    fn does_as_a_vec() {
        seeds(3).for_each(|seed| {
            let rng = Rng::new(seed);
            let alive = Rc::new(());
            let (mut array, mut model) = (Array::<(u32, Rc<()>)>::new(), Vec::<u32>::new());
            for _ in 0..rounds(5000) {
                let v = rng.next();
                match v % 8 {
                    0..4 => {
                        assert_eq!(array.push((v, alive.clone())), Ok(()));
                        model.push(v);
                    }
                    4 => assert_eq!(array.pop().map(|v| v.0), model.pop()),
                    5 if !model.is_empty() => {
                        let i = v as usize / 8 % model.len();
                        assert_eq!(array.swap_remove(i).map(|v| v.0), Some(model.swap_remove(i)));
                    }
                    6 if v.is_multiple_of(64) => {
                        array.truncate(v as usize % 100);
                        model.truncate(v as usize % 100);
                    }
                    _ => {
                        let least = model.len() + v as usize % 50;
                        assert_eq!(array.reserve(v as usize % 50), Ok(()));
                        assert!(array.capacity() >= least);
                    }
                }
                assert!(array.iter().map(|v| v.0).eq(model.iter().copied()));
                assert_eq!(Rc::strong_count(&alive), model.len() + 1);
            }
            drop(array);
            assert_eq!(Rc::strong_count(&alive), 1);
        });
    }

    #[test]
    fn bytes_are_added_removed_and_compared() {
        let mut a = Array::<u8>::new();
        assert_eq!(a.extend(b"some"), Ok(()));
        assert_eq!(a.extend(b" more words"), Ok(()));
        a.retain(|b| *b != b' ');
        assert_eq!(&*a, b"somemorewords");
        assert_eq!(a.reserve_exact(3), Ok(()));
        a.pad(16, b'.');
        assert!(&*a == b"somemorewords..." && Array::of(16, |i| a[i]).is_some_and(|b| b == a));
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let mut a = Array::<u64>::new();
        assert_eq!(a.push(7), Ok(()));
        for more in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8] {
            assert_eq!((a.reserve(more), a.reserve_exact(more)), (Err(Full), Err(Full)));
        }
        assert_eq!(&*a, [7]);
        assert!(Array::<u64>::of(usize::MAX / 16, |_| 0).is_none());
    }
}
