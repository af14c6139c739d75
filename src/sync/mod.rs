//! The words through which threads agree: atomics, ranked locks, one-shot notes.
//!
//! The layers above take these from here only, so that the protocols that ship are the protocols that loom and shuttle
//! check. (`tests/layers.rs` holds them to it, and lists the few exceptions with their reasons.) There are two kinds of
//! words:
//!
//! * atomics are part of a protocol, and a model tries every order of their accesses;
//! * [`own`] words have one writer at a time, and any thread may read them. They are relaxed atomics, so a read is
//!   never a data race, and a model does not schedule around them.

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
    Watched, asymmetric_fence_heavy, asymmetric_fence_light, fence, fence_after_rmw, fence_is_lost, give_way, now,
    spin_loop,
};
#[cfg(all(test, any(loom, shuttle)))]
pub use imp::{give_away, nothing_is_gone, set_now, touch, without_order};
pub use rank::{Rank, holding_any, list as rank_list, record_holds, step, tell_holds};

/// A mutual exclusion lock with a place in the lock order.
///
/// A thread may take a lock only while every lock that it holds has a smaller [`Rank`]; debug builds check it. No lock
/// is held when a G leaves its stack, except the one lock that a park hands to its commit.
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

    /// Takes the lock while another lock of its rank is held. The caller must say why no threads can wait for each
    /// other in a circle.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_beside(&self) -> Guard<'_, T> {
        rank::acquire_unordered(self.rank);
        Guard { lock: self, inner: std::mem::ManuallyDrop::new(self.inner.lock()) }
    }

    /// Takes the lock only if it is free. It cannot wait, so the caller may hold any other locks.
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

/// The lock of a channel. It is released in another function than it was taken, perhaps on another stack, and a thread
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

    /// The caller holds the lock. Once another thread may take the lock this function does not touch it, since it may
    /// be freed then.
    #[inline(always)]
    pub fn unlock(&self) {
        self.0.unlock();
        rank::release_chan();
    }
}
