//! The facade over std, parking_lot and the futex: what ships.

use crate::sys;
pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

pub struct RawLock<T>(parking_lot::Mutex<T>);
pub type RawGuard<'a, T> = parking_lot::MutexGuard<'a, T>;

impl<T> RawLock<T> {
    pub fn new(v: T) -> Self {
        RawLock(parking_lot::Mutex::new(v))
    }
    #[inline]
    pub fn lock(&self) -> RawGuard<'_, T> {
        self.0.lock()
    }
    #[inline]
    pub fn try_lock(&self) -> Option<RawGuard<'_, T>> {
        self.0.try_lock()
    }
}

/// A sequentially consistent fence right behind a locked read-modify-write of the same thread, which on x86 already
/// orders earlier stores before later loads.
#[inline(always)]
pub fn fence_after_rmw() {
    #[cfg(target_arch = "x86_64")]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(target_arch = "x86_64"))]
    fence(Ordering::SeqCst);
}

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn now() -> i64 {
    sys::now()
}

const CLEAR: u32 = 0;
const SLEEPING: u32 = 1;
const SET: u32 = 2;

/// A one-shot event for one sleeper: a wake before the sleep is kept.
///
/// Set is a Release, the sleeper's return an Acquire.
pub struct Note(AtomicU32);

impl Default for Note {
    fn default() -> Self {
        Self::new()
    }
}

impl Note {
    pub const fn new() -> Self {
        Note(AtomicU32::new(CLEAR))
    }

    /// Makes the note usable again, for its sleeper. A swap: whoever set it a second time meanwhile left something to
    /// be found, and is seen now.
    pub fn clear(&self) {
        self.0.swap(CLEAR, Ordering::AcqRel);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) == SET
    }

    /// Sets the note; true if a sleeping thread had to be woken through the system.
    pub fn wakeup(&self) -> bool {
        let word: *const AtomicU32 = &self.0;
        let slept = self.0.swap(SET, Ordering::AcqRel) == SLEEPING;
        if slept {
            // The sleeper may be gone by now and its note with it: only the address is passed on.
            sys::futex_wake(word, 1);
        }
        slept
    }

    /// Sleeps until the note is set.
    pub fn sleep(&self) {
        self.sleep_until(None);
    }

    /// Sleeps until the note is set or the deadline (of [`now`]) has passed; true if it was set.
    pub fn sleep_until(&self, deadline: Option<i64>) -> bool {
        let mut timed_out = false;
        loop {
            match self.0.compare_exchange(CLEAR, SLEEPING, Ordering::Acquire, Ordering::Acquire) {
                Err(SET) => return true,
                _ if timed_out => {
                    // Nobody may believe later on that a thread still sleeps here.
                    return self.0.compare_exchange(SLEEPING, CLEAR, Ordering::Acquire, Ordering::Acquire).is_err();
                }
                _ => timed_out = !sys::futex_wait(&self.0, SLEEPING, deadline),
            }
        }
    }
}

/// Something happened: many may wait for the next time.
#[derive(Default)]
pub struct Event(AtomicU32);

impl Event {
    pub fn new() -> Self {
        Event(AtomicU32::new(0))
    }

    /// Where the count stands. Taken before one looks whether to wait.
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn happen(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        sys::futex_wake(&self.0, i32::MAX);
    }

    /// Waits for the event after `seen`, or the deadline: false.
    pub fn wait(&self, seen: u32, deadline: Option<i64>) -> bool {
        while self.now() == seen {
            if !sys::futex_wait(&self.0, seen, deadline) {
                return self.now() != seen;
            }
        }
        true
    }
}
