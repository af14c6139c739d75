//! The note and the lock that ship, step by step over a modeled futex. All other models use simpler ones.
//!
//! The code of `Note` and of `RawMutex` stands here a second time, since the real ones call the system.
//! [`it_is_what_ships`] keeps the two copies the same.

use super::*;
use crate::sync::{AtomicU32, spin_loop};
use checker::sync::{Condvar, Mutex};

/// The kernel's part: for a waker, the sleeper's look at the word and its sleep are one step.
mod sys {
    use super::*;

    /// The sleepers at the one word of the model, and how many of them have been woken.
    #[derive(Default)]
    struct Sleepers {
        asleep: u32,
        woken: u32,
    }

    pub struct Futex {
        sleepers: Mutex<Sleepers>,
        changed: Condvar,
    }

    thread_local! {
        pub static FUTEX: RefCell<Option<Arc<Futex>>> = const { RefCell::new(None) };
        /// The deadline of every sleep has passed.
        pub static LATE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    pub fn reset() {
        FUTEX.set(Some(Arc::new(Futex { sleepers: Mutex::default(), changed: Condvar::new() })));
        LATE.set(false);
    }

    fn futex() -> Arc<Futex> {
        FUTEX.with_borrow(|f| f.clone().unwrap())
    }

    pub fn futex_wake(_: *const AtomicU32, n: i32) {
        let f = futex();
        let mut s = f.sleepers.lock().unwrap();
        s.woken = s.asleep.min(s.woken + n as u32);
        f.changed.notify_all();
    }

    pub fn lock_wait(word: &AtomicU32, expected: u32) {
        futex_wait(word, expected, None);
    }

    pub fn lock_wake(word: *const AtomicU32) {
        futex_wake(word, 1);
    }

    /// How late a sleeper may notice its deadline is not modeled.
    pub fn wake_on_time(_: bool) {}

    /// False: the deadline passed.
    pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<i64>) -> bool {
        let f = futex();
        let mut s = f.sleepers.lock().unwrap();
        // The kernel's look is ordered by its own lock, and sees the newest value: a read-modify-write says so.
        if word.fetch_add(0, Ordering::SeqCst) != expected {
            return true;
        }
        s.asleep += 1;
        let woken = loop {
            if s.woken > 0 {
                s.woken -= 1;
                break true;
            }
            if deadline.is_some() && LATE.get() {
                break false;
            }
            s = f.changed.wait(s).unwrap();
        };
        s.asleep -= 1;
        woken
    }

    /// The deadline passes for all sleepers.
    pub fn time_out() {
        let f = futex();
        let _sleepers = f.sleepers.lock().unwrap();
        LATE.set(true);
        f.changed.notify_all();
    }
}

const CLEAR: u32 = 0;
const SLEEPING: u32 = 1;
const SET: u32 = 2;

struct Sleeper(*const AtomicU32);

impl Sleeper {
    #[expect(dead_code)]
    const NONE: Sleeper = Sleeper(std::ptr::null());

    fn is_some(&self) -> bool {
        !self.0.is_null()
    }

    /// Wakes it. True if there is one.
    fn wake(self) -> bool {
        if self.is_some() {
            // The sleeper and its note may be gone by now: only the address goes to the system.
            sys::futex_wake(self.0, 1);
        }
        self.is_some()
    }
}

struct Note(AtomicU32);

impl Note {
    fn new() -> Self {
        Note(AtomicU32::new(CLEAR))
    }

    /// Makes the note usable again, for its sleeper. It is a swap, so that the sleeper also sees what a second setter
    /// wrote before it set the note.
    fn clear(&self) {
        self.0.swap(CLEAR, Ordering::AcqRel);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) == SET
    }

    /// Sets the note; true if a sleeping thread had to be woken through the system.
    fn wakeup(&self) -> bool {
        self.set().wake()
    }

    /// Sets the note; its sleeper, if there is one, still has to be woken.
    fn set(&self) -> Sleeper {
        let slept = self.0.swap(SET, Ordering::AcqRel) == SLEEPING;
        Sleeper(if slept { &self.0 } else { std::ptr::null() })
    }

    /// Has the system wake the sleeper, after [`Note::set`] by a caller that kept no [`Sleeper`].
    #[expect(dead_code)]
    fn nudge(&self) {
        sys::futex_wake(&self.0, 1);
    }

    /// Sleeps until the note is set.
    fn sleep(&self) {
        self.sleep_until(None);
    }

    /// As [`Note::sleep_until`], but as punctual as possible: for the thread that runs timers.
    fn sleep_exactly(&self, deadline: Option<i64>) -> bool {
        if deadline.is_none() {
            return self.sleep_until(None);
        }
        sys::wake_on_time(true);
        let set = self.sleep_until(deadline);
        sys::wake_on_time(false);
        set
    }

    /// Sleeps until the note is set or the deadline (of [`now`]) has passed; true if it was set.
    fn sleep_until(&self, deadline: Option<i64>) -> bool {
        let mut timed_out = false;
        loop {
            match self.0.compare_exchange(CLEAR, SLEEPING, Ordering::Acquire, Ordering::Acquire) {
                Err(SET) => return true,
                _ if timed_out => {
                    // Otherwise a later setter believes that a thread still sleeps here.
                    return self.0.compare_exchange(SLEEPING, CLEAR, Ordering::Acquire, Ordering::Acquire).is_err();
                }
                _ => timed_out = !sys::futex_wait(&self.0, SLEEPING, deadline),
            }
        }
    }
}

struct RawMutex(AtomicU32);

const OPEN: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;
/// Fewer than in the code that ships: more would only multiply schedules.
const LOOKS: u32 = 1;
const LONGEST_PAUSE: u32 = 1;

impl RawMutex {
    fn new() -> Self {
        RawMutex(AtomicU32::new(OPEN))
    }

    fn try_lock(&self) -> bool {
        // Acquire: pairs with the Release of `unlock`.
        self.0.compare_exchange(OPEN, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn lock(&self) {
        if !self.try_lock() {
            self.lock_slow();
        }
    }

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

    /// For the holder.
    fn unlock(&self) {
        let word: *const AtomicU32 = &self.0;
        if self.0.swap(OPEN, Ordering::Release) == AWAITED {
            // The lock may be gone by now: only the address goes to the system.
            sys::lock_wake(word);
        }
    }

    /// In a child of fork: the holder does not exist there.
    #[expect(dead_code)]
    fn reopen(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }
}

/// The code alone: no comments, attributes or spaces.
fn code(text: &str, of: &str) -> String {
    let begin = text.find(&format!("impl {of} {{")).unwrap();
    let end = begin + text[begin..].find("\n}\n").unwrap();
    text[begin..end]
        .lines()
        .map(|l| l.split("//").next().unwrap())
        .filter(|l| !l.trim().starts_with("#["))
        .flat_map(str::split_whitespace)
        .collect::<String>()
        .replace("pub", "")
        .replace("constfn", "fn")
        // A `widen!` pauses at random, so that other threads come between. A checker comes between at every step.
        .replace("widen!();", "")
}

#[test]
fn it_is_what_ships() {
    for of in ["Note", "Sleeper", "RawMutex"] {
        assert_eq!(code(include_str!("notes.rs"), of), code(include_str!("../sync/real.rs"), of));
    }
}

/// The sleeper sees all that the setter wrote before it set the note.
#[test]
fn note_wakes_and_publishes() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        sys::reset();
        let (note, what) = (Arc::new(Note::new()), Arc::new(Sole::default()));
        let (n, x) = (note.clone(), what.clone());
        let t = thread::spawn(move || {
            x.touch();
            n.wakeup();
        });
        note.sleep();
        what.touch();
        assert!(note.is_set());
        t.join().unwrap();
    });
}

/// Two threads set the note. The sleeper clears it between the two and sleeps again, as an idle M does: it sees both
/// reasons at once, or is woken a second time.
#[test]
fn note_is_used_again() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        sys::reset();
        let note = Arc::new(Note::new());
        let reasons = Arc::new(AtomicU32::new(0));
        let ts: Vec<_> = (0..2)
            .map(|i| {
                let (n, r) = (note.clone(), reasons.clone());
                thread::spawn(move || {
                    r.fetch_or(1 << i, Ordering::Relaxed);
                    n.wakeup();
                })
            })
            .collect();
        while reasons.load(Ordering::Relaxed) != 3 {
            note.sleep();
            note.clear();
        }
        for t in ts {
            t.join().unwrap();
        }
    });
}

/// The deadline passes at any moment. True means that the note was set. False means that a later setter need not wake a
/// thread, and that a later sleep sees the note.
#[test]
fn note_times_out() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        sys::reset();
        let note = Arc::new(Note::new());
        let n = note.clone();
        let setter = thread::spawn(move || {
            n.wakeup();
        });
        let clock = thread::spawn(sys::time_out);
        if note.sleep_exactly(Some(1)) {
            assert!(note.is_set());
        } else {
            note.sleep();
        }
        setter.join().unwrap();
        clock.join().unwrap();
    });
}

/// Several threads take and release a lock, several times each: the lock has one holder at a time, and no thread sleeps
/// forever.
fn through_lock(threads: u32, times: u32, lock: fn(&RawMutex), unlock: fn(&RawMutex)) -> impl Fn() {
    move || {
        sys::reset();
        let both = Arc::new((RawMutex::new(), Sole::default()));
        let go = move |(mutex, inside): &(RawMutex, Sole)| {
            for _ in 0..times {
                lock(mutex);
                inside.touch();
                unlock(mutex);
            }
        };
        let ts: Vec<_> = (1..threads)
            .map(|_| {
                let both = both.clone();
                thread::spawn(move || go(&both))
            })
            .collect();
        go(&both);
        for t in ts {
            t.join().unwrap();
        }
        assert!(both.0.try_lock(), "it has an owner at the end");
    }
}

#[test]
fn lock_of_two() {
    check(Size { preemptions: 3, ..Size::default() }, through_lock(2, 2, RawMutex::lock, RawMutex::unlock));
}

#[test]
fn lock_of_three() {
    check(Size { preemptions: 2, ..Size::default() }, through_lock(3, 1, RawMutex::lock, RawMutex::unlock));
}

/// A broken `lock`: a woken waiter takes the lock as if no other thread slept for it.
fn lock_as_held(m: &RawMutex) {
    while !m.try_lock() {
        if m.0.load(Ordering::Relaxed) == AWAITED
            || m.0.compare_exchange(HELD, AWAITED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            sys::futex_wait(&m.0, AWAITED, None);
        }
    }
}

#[test]
fn finds_lock_that_forgets_who_sleeps() {
    finds(&["deadlock"], || {
        check(Size { preemptions: 3, schedules: 50_000 }, through_lock(3, 1, lock_as_held, RawMutex::unlock));
    });
}

/// A broken `unlock`: a load, and then a store.
fn unlock_in_two_steps(m: &RawMutex) {
    let awaited = m.0.load(Ordering::Relaxed) == AWAITED;
    m.0.store(OPEN, Ordering::Release);
    if awaited {
        sys::futex_wake(&m.0, 1);
    }
}

#[test]
fn finds_unlock_in_two_steps() {
    finds(&["deadlock"], || {
        check(Size { preemptions: 3, schedules: 50_000 }, through_lock(2, 1, RawMutex::lock, unlock_in_two_steps));
    });
}

#[cfg(loom)]
#[test]
fn finds_lock_without_order() {
    finds(TWO_OWNERS, || {
        let line = include_str!("notes.rs").lines().position(|l| l.contains("self.0.swap(OPEN, Ordering::Release)"));
        crate::sync::without_order("models/notes.rs", line.unwrap() as u32 + 1);
        check(Size::default(), through_lock(2, 1, RawMutex::lock, RawMutex::unlock));
    });
}
