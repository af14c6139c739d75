//! The facade over loom or shuttle: the code that the models run.
//!
//! Time stands still unless a model moves it: a sleep with a deadline ends by its event, or when the model calls
//! [`Note::time_out`] or [`Event::time_out`]. So each moment at which a real sleep could time out is a schedule of its
//! own, and a sleep that no thread ends is a deadlock that the checker reports.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::panic::Location;

#[cfg(loom)]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

pub use checker::sync::atomic::Ordering;
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

/// Stands beside data that has one owner at a time. loom reports two accesses that no happens-before orders, shuttle
/// two accesses that overlap.
pub struct Watched {
    #[cfg(loom)]
    cell: loom::cell::UnsafeCell<u64>,
    #[cfg(not(loom))]
    busy: std::sync::atomic::AtomicBool,
}

// SAFETY: loom checks every access to the cell.
unsafe impl Sync for Watched {}
// SAFETY: as above.
unsafe impl Send for Watched {}

impl Default for Watched {
    fn default() -> Watched {
        Watched {
            #[cfg(loom)]
            cell: loom::cell::UnsafeCell::new(0),
            #[cfg(not(loom))]
            busy: std::sync::atomic::AtomicBool::new(false),
        }
    }
}

impl Watched {
    pub fn touch(&self) {
        #[cfg(loom)]
        // SAFETY: loom reports a second access at the same time.
        self.cell.with_mut(|c| unsafe { *c += 1 });
        #[cfg(not(loom))]
        {
            assert!(!self.busy.swap(true, std::sync::atomic::Ordering::SeqCst), "two owners");
            checker::thread::yield_now();
            self.busy.store(false, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// A read: several threads may look while none touches.
    #[cfg(test)]
    pub fn look(&self) {
        #[cfg(loom)]
        self.cell.with(|_| ());
        #[cfg(not(loom))]
        assert!(!self.busy.load(std::sync::atomic::Ordering::SeqCst), "two owners");
    }
}

/// A lock without a guard for the caller: the guard is kept inside it.
pub struct RawMutex {
    guard: UnsafeCell<Option<MutexGuard<'static, ()>>>,
    mutex: Mutex<()>,
}

// SAFETY: only the holder of the mutex touches the guard.
unsafe impl Send for RawMutex {}
// SAFETY: as above.
unsafe impl Sync for RawMutex {}

impl RawMutex {
    pub fn new() -> Self {
        RawMutex { guard: UnsafeCell::new(None), mutex: Mutex::new(()) }
    }
    pub fn lock(&self) {
        touch(self);
        let guard = self.mutex.lock().unwrap();
        // SAFETY: we hold the mutex; the guard does not outlive it, being in the same place and dropped before it.
        unsafe { *self.guard.get() = Some(std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard)) };
    }
    pub fn unlock(&self) {
        touch(self);
        // SAFETY: we hold the mutex, until the guard is dropped.
        let guard = unsafe { (*self.guard.get()).take() };
        assert!(guard.is_some(), "unlocked, but not held");
        drop(guard);
    }
}

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    /// Fences that are left out, and lines whose accesses are all Relaxed, by file and line: so a test can show that a
    /// model needs them.
    static WITHOUT: RefCell<Vec<(String, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Removes the ordering from a line of `file`: its fence is left out, its accesses are Relaxed.
#[cfg(test)]
pub fn without_order(file: &str, line: u32) {
    WITHOUT.with_borrow_mut(|w| w.push((file.to_string(), line)));
}

thread_local! {
    /// Memory that a model has given away.
    static GONE: RefCell<Vec<std::ops::Range<usize>>> = const { RefCell::new(Vec::new()) };
}

/// The owner of `v` gives its memory away: from now on each access to a word of it is a defect.
#[cfg(test)]
pub fn give_away<T>(v: &T) {
    let at = std::ptr::from_ref(v) as usize;
    GONE.with_borrow_mut(|gone| gone.push(at..at + size_of::<T>()));
}

/// Begins another execution: nothing is given away yet.
#[cfg(test)]
pub fn nothing_is_gone() {
    GONE.with_borrow_mut(Vec::clear);
}

/// Called before each access to a word.
pub fn touch<T>(word: &T) {
    let at = std::ptr::from_ref(word) as usize;
    let gone = GONE.try_with(|gone| gone.borrow().iter().any(|r| r.contains(&at)));
    assert!(!gone.unwrap_or(false), "touched behind the end of its life");
}

fn is_without(at: &Location<'_>) -> bool {
    WITHOUT.with_borrow(|w| w.iter().any(|(f, l)| *l == at.line() && at.file().ends_with(f)))
}

#[track_caller]
fn order(order: Ordering) -> Ordering {
    if is_without(Location::caller()) { Ordering::Relaxed } else { order }
}

#[track_caller]
pub fn fence(order: Ordering) {
    if !is_without(Location::caller()) {
        checker::sync::atomic::fence(order);
    }
}

checker::thread_local! {
    /// The thread's last write to an atomic was a plain store.
    static STORED: Cell<bool> = Cell::new(false);
}

fn stored(plain: bool) {
    STORED.with(|s| s.set(plain));
}

/// In a model a full fence, as on every machine; where the read-modify-write before it is a full fence already it costs
/// nothing. A store between the two would come after that fence, and nothing would order it before the loads that
/// follow.
#[track_caller]
pub fn fence_after_rmw() {
    STORED.with(|s| assert!(!s.get(), "a store between the read-modify-write and its fence"));
    fence(Ordering::SeqCst);
}

/// A full fence. That is stronger than a light fence, but loom and shuttle have nothing weaker.
#[track_caller]
pub fn asymmetric_fence_light() -> bool {
    fence(Ordering::SeqCst);
    false
}

pub fn fence_is_lost() -> bool {
    false
}

#[track_caller]
pub fn asymmetric_fence_heavy() {
    fence(Ordering::SeqCst);
}

macro_rules! atomic {
    ($name:ident $(<$g:ident>)?, $t:ty) => {
        pub struct $name$(<$g>)?(checker::sync::atomic::$name$(<$g>)?);

        impl$(<$g>)? $name$(<$g>)? {
            pub fn new(v: $t) -> Self {
                Self(checker::sync::atomic::$name::new(v))
            }
            #[track_caller]
            pub fn load(&self, o: Ordering) -> $t {
                touch(self);
                self.0.load(order(o))
            }
            #[track_caller]
            pub fn store(&self, v: $t, o: Ordering) {
                touch(self);
                stored(true);
                self.0.store(v, order(o));
            }
            #[track_caller]
            pub fn swap(&self, v: $t, o: Ordering) -> $t {
                touch(self);
                stored(false);
                self.0.swap(v, order(o))
            }
            #[track_caller]
            pub fn compare_exchange(&self, old: $t, new: $t, o: Ordering, e: Ordering) -> Result<$t, $t> {
                touch(self);
                stored(false);
                self.0.compare_exchange(old, new, order(o), order(e))
            }
            #[track_caller]
            pub fn compare_exchange_weak(&self, old: $t, new: $t, o: Ordering, e: Ordering) -> Result<$t, $t> {
                touch(self);
                stored(false);
                self.0.compare_exchange_weak(old, new, order(o), order(e))
            }
        }
    };
    ($name:ident, $t:ty, $($op:ident)*) => {
        atomic!($name, $t);
        impl $name {$(
            #[track_caller]
            pub fn $op(&self, v: $t, o: Ordering) -> $t {
                touch(self);
                stored(false);
                self.0.$op(v, order(o))
            }
        )*}
        impl Default for $name {
            fn default() -> Self {
                Self::new(Default::default())
            }
        }
    };
}

atomic!(AtomicPtr<T>, *mut T);
atomic!(AtomicBool, bool, fetch_or fetch_and);
atomic!(AtomicI32, i32, fetch_add fetch_sub);
atomic!(AtomicI64, i64, fetch_add fetch_sub fetch_max);
atomic!(AtomicU32, u32, fetch_add fetch_sub fetch_or fetch_and);
atomic!(AtomicU64, u64, fetch_add fetch_sub fetch_or fetch_and fetch_max);
atomic!(AtomicUsize, usize, fetch_add);

/// Empty: each loop that calls it counts its rounds.
pub fn spin_loop() {}

/// Empty: a model tries every order anyway.
pub fn give_way() {}

pub fn now() -> i64 {
    NOW.get()
}

/// For models: sets the clock.
#[cfg(test)]
pub fn set_now(now: i64) {
    NOW.set(now);
}

/// See the real one.
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

/// See the real one. (The steps of the real one have a model of their own.)
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

/// See the real one.
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
