//! The facade over std and the futex: what ships.

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

/// A lock of one word: no memory is taken for those who wait, nothing is kept for a thread, and a child of fork can
/// open it.
pub struct RawMutex(AtomicU32);

const OPEN: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may sleep for it.
const AWAITED: u32 = 2;
/// Looks at a held lock before one sleeps, with pauses between, each twice as long as the one before, so that who holds
/// it and who comes do not take its line from each other all the time. (Not with the CPU given up between: whoever has
/// it next keeps it for longer than most hold a lock.)
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

    /// Who has slept takes it as awaited: others may sleep beside it, and nobody else knows. It looks again before it
    /// sleeps once more, and so does who comes while others sleep: the lock is held for less time than a sleep and a
    /// wake take.
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

    /// For whoever holds it.
    #[inline(always)]
    pub fn unlock(&self) {
        let word: *const AtomicU32 = &self.0;
        if self.0.swap(OPEN, Ordering::Release) == AWAITED {
            // The lock may be gone by now: only the address is passed on.
            sys::lock_wake(word);
        }
        widen!();
    }

    /// In a child of fork: whoever held it is not here.
    pub fn reopen(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

/// Stands beside what has one owner at a time: a model sees two that come to it at the same time.
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

/// A sequentially consistent fence right behind a locked read-modify-write of the same thread, which on x86 already
/// orders earlier stores before later loads.
#[inline(always)]
pub fn fence_after_rmw() {
    widen!();
    #[cfg(target_arch = "x86_64")]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(target_arch = "x86_64"))]
    fence(Ordering::SeqCst);
}

/// The cheap half of a fence between two threads: see [`heavy_fence`]. True if it was a full fence; then each later one of
/// this thread is too, as long as the runtime is up.
#[inline(always)]
pub fn light_fence() -> bool {
    let full = !sys::has_heavy_fence();
    if full {
        fence(Ordering::SeqCst);
    } else {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    }
    full
}

/// The dear half. Every other thread's [`light_fence`] comes before it, and then the stores before that are seen by the
/// loads after this; or comes after it, and then the loads after that see the stores before this. Once it
/// [is lost](fence_is_lost) it reaches only threads whose [`light_fence`] is a full one.
pub fn heavy_fence() {
    sys::heavy_fence();
}

pub use sys::fence_is_lost;

/// Lets another thread have this CPU for a while, if one waits for it.
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

/// The sleeper of a note that was set, if it has to be woken through the system.
#[must_use]
pub struct Sleeper(*const AtomicU32);

impl Sleeper {
    pub const NONE: Sleeper = Sleeper(std::ptr::null());

    pub fn is_some(&self) -> bool {
        !self.0.is_null()
    }

    /// Wakes it. True if there is one.
    pub fn wake(self) -> bool {
        if self.is_some() {
            // It may be gone by now and its note with it: only the address is passed on.
            sys::futex_wake(self.0, 1);
        }
        self.is_some()
    }
}

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
        self.set().wake()
    }

    /// Sets the note; its sleeper, if there is one, still has to be woken. For a caller that holds a lock: the system
    /// is for when the lock is open.
    pub fn set(&self) -> Sleeper {
        widen!();
        let slept = self.0.swap(SET, Ordering::AcqRel) == SLEEPING;
        widen!();
        Sleeper(if slept { &self.0 } else { std::ptr::null() })
    }

    /// Has the system wake whoever sleeps, after [`Note::set`] by a caller that kept no [`Sleeper`].
    pub fn nudge(&self) {
        sys::futex_wake(&self.0, 1);
    }

    /// Sleeps until the note is set.
    pub fn sleep(&self) {
        self.sleep_until(None);
    }

    /// As [`Note::sleep_until`], but not later than need be: for who sees to timers.
    pub fn sleep_exactly(&self, deadline: Option<i64>) -> bool {
        if deadline.is_none() {
            return self.sleep_until(None);
        }
        sys::wake_on_time(true);
        let set = self.sleep_until(deadline);
        sys::wake_on_time(false);
        set
    }

    /// Sleeps until the note is set or the deadline (of [`now`]) has passed; true if it was set.
    pub fn sleep_until(&self, deadline: Option<i64>) -> bool {
        let mut timed_out = false;
        loop {
            widen!();
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

    /// It happens, but wakes nobody.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub fn happen(&self) {
        self.count();
        widen!();
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
