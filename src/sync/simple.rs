//! A lock, a note and an event for models that are about something else: each call is one step of the checker.
//!
//! They keep the promises of the files that ship, which have models of their own (`models/notes.rs`). Those would
//! multiply the schedules of every other model.

#[cfg(loom)]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

use super::prim::{AtomicU32, Ordering, fence, now, touch};
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

/// What a model's kernel reports: keys with bits.
#[derive(Default)]
pub struct Events(Vec<(u64, u32)>);

impl Events {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.0.iter().copied()
    }
}

#[derive(Default)]
struct PollState {
    ready: Vec<(u64, u32)>,
    kicked: bool,
    late: bool,
}

/// The kernel's part: each event is fetched once, and a kick stays until a sleeper takes it.
pub struct Poll {
    state: Mutex<PollState>,
    changed: Condvar,
    turn: AtomicU32,
    /// The descriptors that were added, each with the turn of then.
    known: std::sync::Mutex<Vec<(u32, i32)>>,
}

impl Default for Poll {
    fn default() -> Self {
        Self::new()
    }
}

impl Poll {
    pub fn new() -> Poll {
        Poll {
            state: Mutex::default(),
            changed: Condvar::new(),
            turn: AtomicU32::new(0),
            known: std::sync::Mutex::default(),
        }
    }
    pub fn works(&self) -> bool {
        true
    }
    pub fn is_lost(&self) -> bool {
        false
    }
    pub fn turn(&self) -> u32 {
        self.turn.load(Ordering::Acquire)
    }
    pub fn replace(&self) -> Result<(), i32> {
        self.turn.fetch_add(1, Ordering::Release);
        fence(Ordering::SeqCst);
        Ok(())
    }
    pub fn open(&self) -> Result<(), i32> {
        Ok(())
    }
    pub fn add(&self, fd: i32, _: u64) -> Result<(), i32> {
        let turn = self.turn();
        self.known.lock().unwrap().push((turn, fd));
        Ok(())
    }
    pub fn remove(&self, _: i32) {}
    /// For models: whether the present epoll reports on each descriptor that was ever added.
    pub fn knows_all(&self) -> bool {
        let (turn, known) = (self.turn(), self.known.lock().unwrap());
        known.iter().all(|&(_, fd)| known.contains(&(turn, fd)))
    }
    pub fn look(&self, events: &mut Events) {
        events.0 = std::mem::take(&mut self.state.lock().unwrap().ready);
    }
    pub fn wait(&self, until: Option<i64>, events: &mut Events) -> bool {
        let mut state = self.state.lock().unwrap();
        while state.ready.is_empty() && !state.kicked && !until.is_some_and(|when| when <= now() || state.late) {
            state = self.changed.wait(state).unwrap();
        }
        state.kicked = false;
        events.0 = std::mem::take(&mut state.ready);
        true
    }
    pub fn kick(&self) {
        self.state.lock().unwrap().kicked = true;
        self.changed.notify_one();
    }
    pub fn kicks(&self) -> u64 {
        0
    }
    /// For models: a descriptor is ready.
    pub fn happens(&self, key: u64, bits: u32) {
        self.state.lock().unwrap().ready.push((key, bits));
        self.changed.notify_one();
    }
    /// For models: the clock has moved.
    pub fn look_at_clock(&self) {
        let _state = self.state.lock().unwrap();
        self.changed.notify_one();
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
    /// The sleeper sleeps there.
    polls: Option<&'static Poll>,
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
        let poll = {
            let mut state = self.state.lock().unwrap();
            state.set = true;
            state.polls.take()
        };
        match poll {
            Some(poll) => poll.kick(),
            None => self.changed.notify_one(),
        }
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
    pub fn sleep_polling(&self, poll: &'static Poll, deadline: Option<i64>, events: &mut Events) -> bool {
        events.clear();
        loop {
            {
                let mut state = self.state.lock().unwrap();
                if state.set {
                    return true;
                }
                state.polls = Some(poll);
            }
            poll.wait(deadline, events);
            let mut state = self.state.lock().unwrap();
            state.polls = None;
            if state.set {
                return true;
            }
            if !events.is_empty() || deadline.is_some_and(|when| when <= now() || state.late) {
                return false;
            }
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
