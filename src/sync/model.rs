//! The facade over loom or shuttle: what the models run.
//!
//! Time stands still unless a model moves it; a sleep with a deadline is a sleep that may end early, which covers
//! every moment at which a real one could time out.

#[cfg(loom)]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

#[cfg(loom)]
pub use loom::hint::spin_loop;
#[cfg(all(shuttle, not(loom)))]
pub use shuttle::hint::spin_loop;

pub use checker::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use checker::sync::{Condvar, Mutex, MutexGuard};

pub struct RawLock<T>(Mutex<T>);
pub type RawGuard<'a, T> = MutexGuard<'a, T>;

impl<T> RawLock<T> {
    pub fn new(v: T) -> Self {
        RawLock(Mutex::new(v))
    }
    pub fn lock(&self) -> RawGuard<'_, T> {
        self.0.lock().unwrap()
    }
    pub fn try_lock(&self) -> Option<RawGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

pub fn fence_after_rmw() {
    fence(Ordering::SeqCst);
}

pub fn now() -> i64 {
    0
}

/// See the real one.
pub struct Note {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Default for Note {
    fn default() -> Self {
        Self::new()
    }
}

impl Note {
    pub fn new() -> Self {
        Note { set: Mutex::new(false), changed: Condvar::new() }
    }
    pub fn clear(&self) {
        *self.set.lock().unwrap() = false;
    }
    pub fn is_set(&self) -> bool {
        *self.set.lock().unwrap()
    }
    pub fn wakeup(&self) -> bool {
        *self.set.lock().unwrap() = true;
        self.changed.notify_one();
        true
    }
    pub fn sleep(&self) {
        let mut set = self.set.lock().unwrap();
        while !*set {
            set = self.changed.wait(set).unwrap();
        }
    }
    pub fn sleep_until(&self, deadline: Option<i64>) -> bool {
        if deadline.is_none() {
            self.sleep();
            return true;
        }
        checker::thread::yield_now();
        self.is_set()
    }
}

/// See the real one.
pub struct Event(Mutex<u32>, Condvar);

impl Event {
    pub fn new() -> Self {
        Event(Mutex::new(0), Condvar::new())
    }
    pub fn now(&self) -> u32 {
        *self.0.lock().unwrap()
    }
    pub fn happen(&self) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }
    pub fn wait(&self, seen: u32, deadline: Option<i64>) -> bool {
        let mut now = self.0.lock().unwrap();
        while *now == seen {
            if deadline.is_some() {
                return false;
            }
            now = self.1.wait(now).unwrap();
        }
        true
    }
}
