//! A lock, a note and an event for models that are about something else: each call is one step of the checker.
//!
//! They keep the promises of the files that ship, which have models of their own (`models/notes.rs`). Those would
//! multiply the schedules of every other model.

#[cfg(loom)]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

use super::prim::{now, touch};
use checker::sync::{Condvar, Mutex, MutexGuard};
use std::cell::UnsafeCell;

/// A lock without a guard for the caller: the guard is kept inside it.
pub struct SimpleMutex {
    guard: UnsafeCell<Option<MutexGuard<'static, ()>>>,
    mutex: Mutex<()>,
}

// SAFETY: only the holder of the mutex touches the guard.
unsafe impl Send for SimpleMutex {}
// SAFETY: as above.
unsafe impl Sync for SimpleMutex {}

impl SimpleMutex {
    pub fn new() -> Self {
        SimpleMutex { guard: UnsafeCell::new(None), mutex: Mutex::new(()) }
    }
    pub fn lock(&self) {
        touch(self);
        self.keep(self.mutex.lock().unwrap());
    }
    fn keep(&self, guard: MutexGuard<'_, ()>) {
        // SAFETY: we hold the mutex; the guard does not outlive it, being in the same place and dropped before it.
        unsafe { *self.guard.get() = Some(std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard)) };
    }
    pub fn try_lock(&self) -> bool {
        touch(self);
        let Ok(guard) = self.mutex.try_lock() else { return false };
        self.keep(guard);
        true
    }
    pub fn unlock(&self) {
        touch(self);
        // SAFETY: we hold the mutex, until the guard is dropped.
        let guard = unsafe { (*self.guard.get()).take() };
        assert!(guard.is_some(), "unlocked, but not held");
        drop(guard);
    }
}

#[must_use]
pub struct Sleeper(bool);

impl Sleeper {
    pub const NONE: Sleeper = Sleeper(false);
    pub fn is_some(&self) -> bool {
        self.0
    }
    pub fn wake(self) -> bool {
        self.0
    }
}

#[derive(Default)]
struct NoteState {
    set: bool,
    /// Every deadline has passed.
    late: bool,
}

pub struct Note {
    state: Mutex<NoteState>,
    changed: Condvar,
}

impl Default for Note {
    fn default() -> Self {
        Self::new()
    }
}

impl Note {
    pub fn new() -> Self {
        Note { state: Mutex::new(NoteState::default()), changed: Condvar::new() }
    }
    pub fn clear(&self) {
        self.state.lock().unwrap().set = false;
    }
    pub fn is_set(&self) -> bool {
        self.state.lock().unwrap().set
    }
    pub fn wakeup(&self) -> bool {
        self.set().wake()
    }
    /// Wakes the sleeper as well: it may run as soon as the note is set, and a later wake is a spurious wake-up.
    pub fn set(&self) -> Sleeper {
        self.state.lock().unwrap().set = true;
        self.changed.notify_one();
        Sleeper(true)
    }
    pub fn nudge(&self) {}
    pub fn sleep(&self) {
        self.sleep_until(None);
    }
    pub fn sleep_until(&self, deadline: Option<i64>) -> bool {
        let mut state = self.state.lock().unwrap();
        loop {
            if state.set {
                return true;
            }
            if deadline.is_some_and(|when| when <= now() || state.late) {
                return false;
            }
            state = self.changed.wait(state).unwrap();
        }
    }
    pub fn sleep_exactly(&self, deadline: Option<i64>) -> bool {
        self.sleep_until(deadline)
    }
    /// For models: the clock has moved.
    pub fn look_at_clock(&self) {
        let _state = self.state.lock().unwrap();
        self.changed.notify_one();
    }
    /// For models: each deadline of a sleeper here passes.
    pub fn time_out(&self) {
        self.state.lock().unwrap().late = true;
        self.changed.notify_one();
    }
}

pub struct Event {
    state: Mutex<(u32, bool)>,
    changed: Condvar,
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl Event {
    pub fn new() -> Self {
        Event { state: Mutex::new((0, false)), changed: Condvar::new() }
    }
    pub fn now(&self) -> u32 {
        self.state.lock().unwrap().0
    }
    pub fn count(&self) {
        self.state.lock().unwrap().0 += 1;
    }
    pub fn happen(&self) {
        self.state.lock().unwrap().0 += 1;
        self.changed.notify_all();
    }
    pub fn wait(&self, seen: u32, deadline: Option<i64>) -> bool {
        let mut state = self.state.lock().unwrap();
        while state.0 == seen {
            if deadline.is_some_and(|when| when <= now() || state.1) {
                return false;
            }
            state = self.changed.wait(state).unwrap();
        }
        true
    }
    /// For models: each deadline passes.
    pub fn time_out(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}
