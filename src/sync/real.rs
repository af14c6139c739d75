//! The facade over std and the futex: the code that ships.

use super::widen::widen;
use crate::sys;
use std::cell::UnsafeCell;
pub use std::hint::spin_loop;
#[cfg(not(gmx_widen))]
pub use std::sync::atomic::fence;
pub use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(gmx_widen)]
pub fn fence(order: Ordering) {
    widen!();
    std::sync::atomic::fence(order);
    widen!();
}

/// A lock of one word. A waiter takes no memory, no state is kept per thread, and a child of fork can reset it.
///
/// | word | meaning | left by |
/// |---|---|---|
/// | OPEN | free | a thread that takes it: to HELD, or to AWAITED if it has slept or is about to |
/// | HELD | held, and the unlock wakes no thread | the holder: to OPEN; a thread that is about to sleep: to AWAITED |
/// | AWAITED | held, and threads may sleep | the holder: to OPEN, and it wakes one sleeper |
pub struct RawMutex(AtomicU32);

const OPEN: u32 = 0;
const HELD: u32 = 1;
/// Held, and other threads may sleep until it is free.
const AWAITED: u32 = 2;
/// A thread reads a held lock so many times before it sleeps. Between two reads it pauses, each time twice as long as
/// before, so that the holder and the newcomer do not take the cache line from each other all the time. (It does not
/// give up the CPU between reads: the next thread would keep the CPU for longer than most locks are held.)
const LOOKS: u32 = 16;
const LONGEST_PAUSE: u32 = 32;

impl RawMutex {
    pub const fn new() -> Self {
        RawMutex(AtomicU32::new(OPEN))
    }

    #[inline(always)]
    pub fn try_lock(&self) -> bool {
        // Acquire: pairs with the Release of `unlock`.
        self.0.compare_exchange(OPEN, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    pub fn lock(&self) {
        widen!();
        if !self.try_lock() {
            self.lock_slow();
        }
    }

    /// A thread that has slept takes the lock as AWAITED: other sleepers may remain, and only it knows of them. It
    /// reads the lock again before it sleeps once more, and so does a newcomer while others sleep: a lock is held for
    /// less time than a sleep and a wake take.
    #[cold]
    #[inline(never)]
    fn lock_slow(&self) {
        let mut taken = HELD;
        loop {
            for look in 0..LOOKS {
                if self.0.load(Ordering::Relaxed) == OPEN
                    && self.0.compare_exchange(OPEN, taken, Ordering::Acquire, Ordering::Relaxed).is_ok()
                {
                    return;
                }
                (0..LONGEST_PAUSE.min(1 << look)).for_each(|_| spin_loop());
            }
            if self.0.swap(AWAITED, Ordering::Acquire) == OPEN {
                return;
            }
            sys::lock_wait(&self.0, AWAITED);
            taken = AWAITED;
        }
    }

    /// The caller holds the lock.
    #[inline(always)]
    pub fn unlock(&self) {
        let word: *const AtomicU32 = &self.0;
        if self.0.swap(OPEN, Ordering::Release) == AWAITED {
            // The lock may be gone by now: only the address is passed on.
            sys::lock_wake(word);
        }
        widen!();
    }

    /// For a child of fork: the thread that held the lock does not exist in the child.
    pub fn reopen(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

/// Stands beside data that has one owner at a time: a model reports two threads that touch it at the same time.
#[derive(Default)]
pub struct Watched(());

impl Watched {
    #[inline(always)]
    pub fn touch(&self) {}
}

pub struct RawLock<T> {
    mutex: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, which holds the mutex.
unsafe impl<T: Send> Sync for RawLock<T> {}

/// Its holder.
pub struct RawGuard<'a, T>(&'a RawLock<T>, std::marker::PhantomData<*mut T>);

impl<T> RawLock<T> {
    pub fn new(v: T) -> Self {
        RawLock { mutex: RawMutex::new(), value: UnsafeCell::new(v) }
    }
    #[inline(always)]
    pub fn lock(&self) -> RawGuard<'_, T> {
        self.mutex.lock();
        RawGuard(self, std::marker::PhantomData)
    }
    #[inline(always)]
    pub fn try_lock(&self) -> Option<RawGuard<'_, T>> {
        self.mutex.try_lock().then(|| RawGuard(self, std::marker::PhantomData))
    }
}

impl<T> std::ops::Deref for RawGuard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the mutex is held.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> std::ops::DerefMut for RawGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is held.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for RawGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.mutex.unlock();
    }
}

/// A sequentially consistent fence right after a locked read-modify-write of the same thread, which on x86 already
/// orders earlier stores before later loads.
#[inline(always)]
pub fn fence_after_rmw() {
    widen!();
    #[cfg(target_arch = "x86_64")]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(target_arch = "x86_64"))]
    fence(Ordering::SeqCst);
}

/// The cheap half of an asymmetric fence: see [`asymmetric_fence_heavy`]. True if it was a full fence: then each later
/// one of this thread is a full fence too, as long as the runtime is up.
#[inline(always)]
pub fn asymmetric_fence_light() -> bool {
    let full = !sys::has_asymmetric_fence();
    if full {
        fence(Ordering::SeqCst);
    } else {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    }
    full
}

/// The expensive half of an asymmetric fence. Each [`asymmetric_fence_light`] of another thread falls on one side of
/// it. If the light fence comes first, the loads after this heavy fence see the stores before the light fence. If it
/// comes second, the loads after the light fence see the stores before this heavy fence. Once the heavy fence [is
/// lost](fence_is_lost), this holds only for threads whose [`asymmetric_fence_light`] is a full fence.
pub fn asymmetric_fence_heavy() {
    sys::asymmetric_fence_heavy();
}

pub use sys::fence_is_lost;

/// Gives this CPU to another thread, if one waits for it.
pub fn give_way() {
    sys::yield_thread();
}

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn now() -> i64 {
    sys::now()
}

const CLEAR: u32 = 0;
const SLEEPING: u32 = 1;
const SET: u32 = 2;

/// The sleeper of a note that was set, if it must still be woken through the system.
#[must_use]
pub struct Sleeper(*const AtomicU32);

impl Sleeper {
    pub const NONE: Sleeper = Sleeper(std::ptr::null());

    pub fn is_some(&self) -> bool {
        !self.0.is_null()
    }

    /// Wakes the sleeper. True if there is one.
    pub fn wake(self) -> bool {
        if self.is_some() {
            // The sleeper and its note may be gone by now: only the address is passed on.
            sys::futex_wake(self.0, 1);
        }
        self.is_some()
    }
}

/// A one-shot event with one sleeper. A wake that comes before the sleep is kept.
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

    /// Makes the note usable again; for its sleeper. It is a swap, so that the sleeper sees the data of a thread that
    /// set the note a second time meanwhile.
    pub fn clear(&self) {
        self.0.swap(CLEAR, Ordering::AcqRel);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) == SET
    }

    /// Sets the note. True if a sleeping thread had to be woken through the system.
    pub fn wakeup(&self) -> bool {
        self.set().wake()
    }

    /// Sets the note. The sleeper, if there is one, must still be woken: a caller that holds a lock does so after the
    /// unlock.
    pub fn set(&self) -> Sleeper {
        widen!();
        let slept = self.0.swap(SET, Ordering::AcqRel) == SLEEPING;
        widen!();
        Sleeper(if slept { &self.0 } else { std::ptr::null() })
    }

    /// Has the system wake the sleeper, after a [`Note::set`] whose caller kept no [`Sleeper`].
    pub fn nudge(&self) {
        sys::futex_wake(&self.0, 1);
    }

    /// Sleeps until the note is set.
    pub fn sleep(&self) {
        self.sleep_until(None);
    }

    /// As [`Note::sleep_until`], with a wake-up as close to the deadline as the system can: for a thread that waits for
    /// timers.
    pub fn sleep_exactly(&self, deadline: Option<i64>) -> bool {
        if deadline.is_none() {
            return self.sleep_until(None);
        }
        sys::wake_on_time(true);
        let set = self.sleep_until(deadline);
        sys::wake_on_time(false);
        set
    }

    /// Sleeps until the note is set or the deadline (of [`now`]) has passed. True if it was set.
    pub fn sleep_until(&self, deadline: Option<i64>) -> bool {
        let mut timed_out = false;
        loop {
            widen!();
            match self.0.compare_exchange(CLEAR, SLEEPING, Ordering::Acquire, Ordering::Acquire) {
                Err(SET) => return true,
                _ if timed_out => {
                    // The word must not say SLEEPING from now on.
                    return self.0.compare_exchange(SLEEPING, CLEAR, Ordering::Acquire, Ordering::Acquire).is_err();
                }
                _ => timed_out = !sys::futex_wait(&self.0, SLEEPING, deadline),
            }
        }
    }
}

/// An event that happens again and again. Many threads may wait for the next time.
#[derive(Default)]
pub struct Event(AtomicU32);

impl Event {
    pub fn new() -> Self {
        Event(AtomicU32::new(0))
    }

    /// The present count. A waiter reads it before it checks whether it must wait.
    pub fn now(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts the event without waking any waiter.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub fn happen(&self) {
        self.count();
        widen!();
        sys::futex_wake(&self.0, i32::MAX);
    }

    /// Waits until the event has happened after `seen`. False if the deadline came first.
    pub fn wait(&self, seen: u32, deadline: Option<i64>) -> bool {
        while self.now() == seen {
            if !sys::futex_wait(&self.0, seen, deadline) {
                return self.now() != seen;
            }
        }
        true
    }
}
