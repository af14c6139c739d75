//! The lock of the heap: a word, on whose address its waiters sleep. The paper of `sync/lock.rs` describes it; that
//! lock is in the layer above.

use crate::sys::{lock_wait, lock_wake};
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, Ordering};

const OPEN: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;
/// How often a waiter looks at the word before it sleeps.
const LOOKS: u32 = 64;

/// A value, and its lock.
pub struct Locked<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, which holds the lock.
unsafe impl<T> Sync for Locked<T> {}

impl<T> Locked<T> {
    pub const fn new(value: T) -> Locked<T> {
        Locked { word: AtomicU32::new(OPEN), value: UnsafeCell::new(value) }
    }

    /// Calls `f` under the lock. `f` neither waits nor panics.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.lock();
        // SAFETY: the lock is held.
        let r = f(unsafe { &mut *self.value.get() });
        self.unlock();
        r
    }

    #[inline(always)]
    pub fn lock(&self) {
        // Pairs with the Release in `unlock`, as do the Acquires below.
        if self.word.compare_exchange(OPEN, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self) {
        let mut taken = HELD;
        loop {
            for _ in 0..LOOKS {
                if self.word.load(Ordering::Relaxed) == OPEN
                    && self.word.compare_exchange(OPEN, taken, Ordering::Acquire, Ordering::Relaxed).is_ok()
                {
                    return;
                }
                spin_loop();
            }
            if self.word.swap(AWAITED, Ordering::Acquire) == OPEN {
                return;
            }
            lock_wait(&self.word, AWAITED);
            // Other threads may sleep as well.
            taken = AWAITED;
        }
    }

    /// The caller holds the lock.
    #[inline(always)]
    pub fn unlock(&self) {
        if self.word.swap(OPEN, Ordering::Release) == AWAITED {
            lock_wake(&self.word);
        }
    }

    /// For a child of fork, whose one thread held the lock over the fork: there are no waiters.
    pub fn reopen(&self) {
        self.word.store(OPEN, Ordering::Relaxed);
    }
}
