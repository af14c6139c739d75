//! What threads agree through: atomics, ranked locks, one-shot notes.
//!
//! Everything above this module takes these from here and nowhere else, so that the protocols that ship are the
//! protocols that loom and shuttle check. Two kinds of words exist:
//!
//! * the atomics, which are part of a protocol and which a model schedules around;
//! * the [`own`] words, which one owner at a time writes and anybody may glance at. They are relaxed atomics, so a
//!   glance is never a data race, and a model does not pay for them.

pub mod own;
mod rank;
pub mod widen;

#[cfg(not(any(loom, shuttle)))]
#[path = "real.rs"]
mod imp;
#[cfg(any(loom, shuttle))]
#[path = "model.rs"]
mod imp;

#[cfg(not(any(loom, shuttle)))]
pub use imp::RawMutex;
pub use imp::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Event, Note, Ordering, Sleeper,
    Watched, fence, fence_after_rmw, fence_is_lost, give_way, heavy_fence, light_fence, now, spin_loop,
};
#[cfg(all(test, any(loom, shuttle)))]
pub use imp::{give_away, nothing_is_gone, set_now, touch, without_order};
pub use rank::{Rank, holding_any, list as rank_list, record_holds, step, tell_holds};

/// A mutual exclusion lock with a place in the lock order.
///
/// A thread may take a lock only while every lock that it holds has a smaller [`Rank`]; debug builds check it. No
/// lock is held when a G leaves its stack, but for the one lock that a park hands to its commit.
pub struct Lock<T> {
    rank: Rank,
    inner: imp::RawLock<T>,
}

/// Proof that a [`Lock`] is held, and the way to what it protects.
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
    inner: std::mem::ManuallyDrop<imp::RawGuard<'a, T>>,
}

impl<T> Lock<T> {
    pub fn new(rank: Rank, value: T) -> Self {
        Lock { rank, inner: imp::RawLock::new(value) }
    }

    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> Guard<'_, T> {
        rank::acquire(self.rank);
        Guard { lock: self, inner: std::mem::ManuallyDrop::new(self.inner.lock()) }
    }

    /// Takes the lock beside another of its rank. The caller says why nobody can wait for it in a circle.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_beside(&self) -> Guard<'_, T> {
        rank::acquire_unordered(self.rank);
        Guard { lock: self, inner: std::mem::ManuallyDrop::new(self.inner.lock()) }
    }

    /// Takes the lock only if nobody holds it. May be called whatever else is held: it cannot wait.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let inner = self.inner.try_lock()?;
        rank::acquire_unordered(self.rank);
        Some(Guard { lock: self, inner: std::mem::ManuallyDrop::new(inner) })
    }
}

impl<T> std::ops::Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> std::ops::DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the inner guard is dropped here and nowhere else.
        unsafe { std::mem::ManuallyDrop::drop(&mut self.inner) };
        rank::release(self.lock.rank);
    }
}

/// The lock of a channel: it is given back elsewhere than where it was taken, perhaps on another stack, and one thread
/// may hold several, taken in the order of their addresses.
pub struct Latch(imp::RawMutex);

impl Latch {
    #[expect(clippy::new_without_default, reason = "a lock is made where it is used")]
    pub fn new() -> Latch {
        Latch(imp::RawMutex::new())
    }

    #[inline(always)]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) {
        rank::acquire_chan(std::ptr::from_ref(self) as usize);
        self.0.lock();
    }

    /// For whoever holds it. Nothing of the lock is touched once others may have it: it may be gone then.
    #[inline(always)]
    pub fn unlock(&self) {
        self.0.unlock();
        rank::release_chan();
    }
}
