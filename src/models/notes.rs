//! The note that ships, step by step over a modelled futex; everywhere else the models use a simpler one.
//!
//! The code of `Note` stands here a second time, since the real one reaches for the system. [`it_is_the_note_that_ships`]
//! keeps the two the same.

use super::*;
use crate::sync::AtomicU32;
use checker::sync::{Condvar, Mutex};

/// What the kernel does: the look at the word and the sleep are one step for whoever wakes.
mod sys {
    use super::*;

    pub struct Futex {
        asleep: Mutex<u32>,
        woken: Condvar,
    }

    thread_local! {
        pub static FUTEX: RefCell<Option<Arc<Futex>>> = const { RefCell::new(None) };
        /// The deadline of every sleep has passed.
        pub static LATE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }

    pub fn reset() {
        FUTEX.set(Some(Arc::new(Futex { asleep: Mutex::new(0), woken: Condvar::new() })));
        LATE.set(false);
    }

    fn futex() -> Arc<Futex> {
        FUTEX.with_borrow(|f| f.clone().unwrap())
    }

    pub fn futex_wake(_: *const AtomicU32, _: i32) {
        let f = futex();
        let mut asleep = f.asleep.lock().unwrap();
        if *asleep > 0 {
            *asleep = 0;
            f.woken.notify_all();
        }
    }

    /// False: the deadline passed.
    pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<i64>) -> bool {
        let f = futex();
        let mut asleep = f.asleep.lock().unwrap();
        // The kernel's look is ordered by its own lock, and sees the newest value: a read-modify-write says so.
        if word.fetch_add(0, Ordering::SeqCst) != expected {
            return true;
        }
        if deadline.is_some() && LATE.get() {
            return false;
        }
        *asleep += 1;
        while *asleep != 0 {
            asleep = f.woken.wait(asleep).unwrap();
            if deadline.is_some() && LATE.get() {
                *asleep = 0;
                return false;
            }
        }
        true
    }

    /// The deadline passes for whoever sleeps.
    pub fn time_out() {
        let f = futex();
        let _asleep = f.asleep.lock().unwrap();
        LATE.set(true);
        f.woken.notify_all();
    }
}

const CLEAR: u32 = 0;
const SLEEPING: u32 = 1;
const SET: u32 = 2;

struct Note(AtomicU32);

impl Note {
    fn new() -> Self {
        Note(AtomicU32::new(CLEAR))
    }

    /// Makes the note usable again, for its sleeper. A swap: whoever set it a second time meanwhile left something to
    /// be found, and is seen now.
    fn clear(&self) {
        self.0.swap(CLEAR, Ordering::AcqRel);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) == SET
    }

    /// Sets the note; true if a sleeping thread had to be woken through the system.
    fn wakeup(&self) -> bool {
        let word: *const AtomicU32 = &self.0;
        let slept = self.0.swap(SET, Ordering::AcqRel) == SLEEPING;
        if slept {
            // The sleeper may be gone by now and its note with it: only the address is passed on.
            sys::futex_wake(word, 1);
        }
        slept
    }

    /// Sleeps until the note is set.
    fn sleep(&self) {
        self.sleep_until(None);
    }

    /// Sleeps until the note is set or the deadline (of [`now`]) has passed; true if it was set.
    fn sleep_until(&self, deadline: Option<i64>) -> bool {
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

/// Nothing but the code: no comments, no attributes, no spaces.
fn code(text: &str) -> String {
    let begin = text.find("impl Note {").unwrap();
    let end = begin + text[begin..].find("\n}\n").unwrap();
    text[begin..end]
        .lines()
        .map(|l| l.split("//").next().unwrap())
        .filter(|l| !l.trim().starts_with("#["))
        .flat_map(str::split_whitespace)
        .collect::<String>()
        .replace("pub", "")
        .replace("constfn", "fn")
}

#[test]
fn it_is_the_note_that_ships() {
    assert_eq!(code(include_str!("notes.rs")), code(include_str!("../sync/real.rs")));
}

/// What was written before the note was set is there when the sleeper is back.
#[test]
fn note_wakes_and_publishes() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        sys::reset();
        let (note, what) = (Arc::new(Note::new()), Arc::new(Sole::new()));
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

/// Two set it, the sleeper clears it in between and sleeps again, as an idle M does: it sees both reasons, or the one note
/// that was left.
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

/// The deadline passes at any moment. True means that it was set; false that whoever sets it later need not wake anybody,
/// and that a later sleep sees it.
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
        if note.sleep_until(Some(1)) {
            assert!(note.is_set());
        } else {
            note.sleep();
        }
        setter.join().unwrap();
        clock.join().unwrap();
    });
}
