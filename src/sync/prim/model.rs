//! The seam over loom or shuttle.
//!
//! Time stands still unless a model moves it: a sleep with a deadline ends by its event, or when the model says that
//! the deadline has passed. So each moment at which a real sleep could time out is a schedule of its own, and a sleep
//! that no thread ends is a deadlock that the checker reports.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::sync::Arc;

#[cfg(loom)]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

pub use checker::sync::atomic::Ordering;

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

thread_local! {
    /// Whether the system refuses the heavy fence, and whether a thread has found that out.
    static LOST: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Of an execution that begins: whether the system refuses the heavy fence, from its first use.
#[cfg(test)]
pub fn refuse_heavy_fence(refuse: bool) {
    LOST.set(refuse.then(|| Arc::new(AtomicBool::new(false))));
}

fn lost() -> Option<Arc<AtomicBool>> {
    LOST.with_borrow(Clone::clone)
}

/// A full fence. That is stronger than a light fence, but loom and shuttle have nothing weaker. Where the system
/// refuses the heavy fence, no fence at all until this thread sees that it is lost.
#[track_caller]
pub fn asymmetric_fence_light() -> bool {
    let full = fence_is_lost();
    if full || lost().is_none() {
        fence(Ordering::SeqCst);
    }
    full
}

pub fn fence_is_lost() -> bool {
    lost().is_some_and(|lost| lost.load(Ordering::Relaxed))
}

pub fn has_asymmetric_fence() -> bool {
    !fence_is_lost()
}

/// As [`asymmetric_fence_light`], but never a fence where the system refuses the heavy one.
#[track_caller]
pub fn light_fence() {
    if lost().is_none() {
        fence(Ordering::SeqCst);
    }
}

/// A full fence. If the system refuses it, one of the caller alone.
#[track_caller]
pub fn asymmetric_fence_heavy() {
    if let Some(lost) = lost() {
        lost.store(true, Ordering::Relaxed);
    }
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
impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        Self::new(std::ptr::null_mut())
    }
}
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

/// The kernel's part of a sleep.
pub mod futex {
    use super::checker::sync::{Condvar, Mutex};
    use super::{AtomicU32, Ordering};
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// The sleepers at one address, and how many of them have been woken.
    #[derive(Default)]
    struct Sleepers {
        asleep: u32,
        woken: u32,
    }

    struct Futex {
        sleepers: Mutex<BTreeMap<usize, Sleepers>>,
        changed: Condvar,
    }

    thread_local! {
        static FUTEX: RefCell<Option<Arc<Futex>>> = const { RefCell::new(None) };
        /// The deadline of every sleep has passed.
        static LATE: Cell<bool> = const { Cell::new(false) };
    }

    /// Begins another execution: no thread sleeps.
    #[cfg(test)]
    pub fn reset() {
        FUTEX.set(Some(Arc::new(Futex { sleepers: Mutex::default(), changed: Condvar::new() })));
        LATE.set(false);
    }

    fn futex() -> Arc<Futex> {
        FUTEX.with_borrow(|f| f.clone().expect("a model of futexes resets them first"))
    }

    pub fn wake(word: *const AtomicU32, n: i32) -> i32 {
        let f = futex();
        let mut all = f.sleepers.lock().unwrap();
        let s = all.entry(word.addr()).or_default();
        let before = s.woken;
        s.woken = s.asleep.min(before.saturating_add(n as u32));
        f.changed.notify_all();
        (s.woken - before) as i32
    }

    /// False: the deadline passed.
    pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<i64>) -> bool {
        let (f, at) = (futex(), std::ptr::from_ref(word).addr());
        let mut all = f.sleepers.lock().unwrap();
        // The kernel sees the newest value, as a read-modify-write does, and orders nothing for its caller.
        if word.fetch_add(0, Ordering::Relaxed) != expected {
            return true;
        }
        all.entry(at).or_default().asleep += 1;
        let woken = loop {
            let s = all.entry(at).or_default();
            if s.woken > 0 {
                s.woken -= 1;
                break true;
            }
            if deadline.is_some() && LATE.get() {
                break false;
            }
            all = f.changed.wait(all).unwrap();
        };
        all.entry(at).or_default().asleep -= 1;
        woken
    }

    pub fn lock_wait(word: &AtomicU32, expected: u32) {
        wait(word, expected, None);
    }

    pub fn lock_wake(word: *const AtomicU32) {
        wake(word, 1);
    }

    /// How late a sleeper may notice its deadline is not modeled.
    pub fn wake_on_time(_: bool) {}

    /// The deadline passes for all sleepers.
    #[cfg(test)]
    pub fn time_out() {
        let f = futex();
        let _all = f.sleepers.lock().unwrap();
        LATE.set(true);
        f.changed.notify_all();
    }
}
