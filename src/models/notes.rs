//! The lock, the note and the event that ship (`src/sync`), step by step over a modeled futex. All other models use
//! simpler ones.

use super::*;
use crate::sync::event::Event;
use crate::sync::lock::RawMutex;
use crate::sync::note::Note;
use crate::sync::{AtomicU32, futex, give_away};

/// The size of most models here.
const SMALL: Size = Size { preemptions: 3, schedules: 2000 };

/// The sleeper sees all that the setter wrote before it set the note (NOTE-I1, NOTE-O1).
fn published(set: fn(&Note)) -> impl Fn() {
    move || {
        futex::reset();
        let (note, what) = (Arc::new(Note::new()), Arc::new(Sole::default()));
        let (n, x) = (note.clone(), what.clone());
        let t = thread::spawn(move || {
            x.touch();
            set(&n);
        });
        if note.is_set() {
            what.look();
        }
        note.sleep();
        what.touch();
        assert!(note.is_set());
        t.join().unwrap();
    }
}

#[test]
fn note_wakes_and_publishes() {
    check(SMALL, published(|n| _ = n.wakeup()));
}

#[test]
fn note_is_nudged() {
    check(
        SMALL,
        published(|n| {
            if n.set().is_some() {
                n.nudge();
            }
        }),
    );
}

/// Two threads set the note. The sleeper clears it between the two and sleeps again, as an idle M does: it sees both
/// reasons at once, or is woken a second time.
fn used_again() {
    futex::reset();
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
}

#[test]
fn note_is_used_again() {
    check(SMALL, used_again);
}

/// The deadline passes at any moment. True means that the note was set. False means that a later setter need not wake a
/// thread (NOTE-I2), and that a later sleep sees the note.
fn timed_out() {
    futex::reset();
    let (note, what) = (Arc::new(Note::new()), Arc::new(Sole::default()));
    let (n, x) = (note.clone(), what.clone());
    let setter = thread::spawn(move || {
        x.touch();
        n.wakeup();
    });
    let clock = thread::spawn(futex::time_out);
    if note.sleep_exactly(Some(1)) {
        what.look();
        assert!(note.is_set());
    } else {
        note.sleep();
    }
    setter.join().unwrap();
    clock.join().unwrap();
}

#[test]
fn note_times_out() {
    check(SMALL, timed_out);
}

/// The sleeper writes before it clears the note and sleeps, the setter before it sets the note: one of them sees what
/// the other wrote, and a setter that finds a sleeper sees what it wrote (NOTE-O2).
fn told_both_ways() {
    futex::reset();
    let note = Arc::new(Note::new());
    let _ = note.set();
    let (mine, others) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (n, m, o) = (note.clone(), mine.clone(), others.clone());
    let setter = thread::spawn(move || {
        o.store(1, Ordering::Relaxed);
        let sleeper = n.set();
        let seen = m.load(Ordering::Relaxed);
        assert!(!sleeper.is_some() || seen == 2, "the setter has woken a sleeper, and does not see what it wrote");
        sleeper.wake();
        seen
    });
    mine.store(1, Ordering::Relaxed);
    note.clear();
    let seen = others.load(Ordering::Relaxed);
    mine.store(2, Ordering::Relaxed);
    if seen == 0 {
        note.sleep();
    }
    assert!(setter.join().unwrap() != 0 || seen != 0, "neither sees what the other wrote");
}

#[test]
fn note_tells_its_setter() {
    check(SMALL, told_both_ways);
}

/// The sleeper frees the note as soon as it has seen that the note is set: the setter does not touch it after that
/// (NOTE-I3).
fn note_goes(set: fn(&Note)) -> impl Fn() {
    move || {
        futex::reset();
        let note = Arc::new(Note::new());
        let n = note.clone();
        let t = thread::spawn(move || set(&n));
        note.sleep();
        give_away(&*note);
        t.join().unwrap();
    }
}

#[test]
fn note_goes_when_its_sleeper_returns() {
    check(SMALL, note_goes(|n| _ = n.wakeup()));
}

#[test]
fn finds_note_touched_after_its_end() {
    finds(&["behind the end of its life"], || {
        check(
            Size::default(),
            note_goes(|n| {
                n.set().wake();
                n.is_set();
            }),
        );
    });
}

/// A wake that was meant for another word at this address: the sleeper and the thread that waits for the lock sleep
/// again.
#[test]
fn a_stray_wake_is_no_event() {
    check(SMALL, || {
        futex::reset();
        let note = Arc::new(Note::new());
        let both = Arc::new((RawMutex::new(), Sole::default()));
        let stray = {
            let (n, b) = (note.clone(), both.clone());
            thread::spawn(move || {
                // Each is one word.
                futex::wake(std::ptr::from_ref(&*n).cast(), 1);
                futex::wake(std::ptr::from_ref(&b.0).cast(), 1);
            })
        };
        let (n, b) = (note.clone(), both.clone());
        let t = thread::spawn(move || {
            b.0.lock();
            b.1.touch();
            b.0.unlock();
            n.wakeup();
        });
        both.0.lock();
        both.1.touch();
        both.0.unlock();
        note.sleep();
        assert!(note.is_set());
        stray.join().unwrap();
        t.join().unwrap();
    });
}

/// Two threads wait for an event, and see what came before it. The deadline of one may pass first.
fn event_waits() {
    futex::reset();
    let both = Arc::new((Event::new(), Sole::default()));
    let ts: Vec<_> = [None, Some(1)]
        .map(|deadline| {
            let both = both.clone();
            thread::spawn(move || {
                let (event, what) = &*both;
                if event.now() == 0 && !event.wait(0, deadline) {
                    event.wait(0, None);
                }
                what.look();
            })
        })
        .into();
    both.1.touch();
    both.0.happen();
    futex::time_out();
    for t in ts {
        t.join().unwrap();
    }
}

#[test]
fn event_wakes_all() {
    check(SMALL, event_waits);
}

/// Several threads take and release a lock, several times each: the lock has one holder at a time, and no thread sleeps
/// forever (LOCK-I1).
fn through_lock<L: Send + Sync + 'static>(
    threads: u32,
    times: u32,
    new: fn() -> L,
    lock: fn(&L),
    unlock: fn(&L),
) -> impl Fn() {
    move || {
        futex::reset();
        let both = Arc::new((new(), Sole::default()));
        let go = move |(mutex, inside): &(L, Sole)| {
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
        // It is free.
        lock(&both.0);
    }
}

fn through_raw_mutex(threads: u32, times: u32) -> impl Fn() {
    through_lock(threads, times, RawMutex::new, RawMutex::lock, RawMutex::unlock)
}

#[test]
fn lock_of_two() {
    check(SMALL, through_raw_mutex(2, 2));
}

#[test]
fn lock_of_three() {
    check(Size { preemptions: 2, ..Size::default() }, through_raw_mutex(3, 1));
}

/// The second holder frees the lock after its unlock: the first does not touch the lock after its own (LOCK-I2).
#[test]
fn lock_goes_after_the_last_unlock() {
    check(SMALL, || {
        futex::reset();
        let mutex = Arc::new(RawMutex::new());
        mutex.lock();
        let m = mutex.clone();
        let t = thread::spawn(move || {
            m.lock();
            m.unlock();
            give_away(&*m);
        });
        mutex.unlock();
        t.join().unwrap();
    });
}

// Broken locks over the same states.

const OPEN: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

fn take(word: &AtomicU32, as_what: u32) -> bool {
    word.compare_exchange(OPEN, as_what, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

fn release(word: &AtomicU32) {
    if word.swap(OPEN, Ordering::Release) == AWAITED {
        futex::wake(word, 1);
    }
}

/// A woken waiter takes the lock as if no other thread slept for it.
fn lock_as_held(word: &AtomicU32) {
    while !take(word, HELD) {
        if word.load(Ordering::Relaxed) == AWAITED
            || word.compare_exchange(HELD, AWAITED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            futex::wait(word, AWAITED, None);
        }
    }
}

#[test]
fn finds_lock_that_forgets_who_sleeps() {
    finds(&["deadlock"], || {
        let broken = through_lock(3, 1, || AtomicU32::new(OPEN), lock_as_held, release);
        check(Size { preemptions: 3, schedules: 50_000 }, broken);
    });
}

fn lock_as_awaited(word: &AtomicU32) {
    while !take(word, HELD) && word.swap(AWAITED, Ordering::Acquire) != OPEN {
        futex::wait(word, AWAITED, None);
    }
}

/// A load, and then a store.
fn unlock_in_two_steps(word: &AtomicU32) {
    let awaited = word.load(Ordering::Relaxed) == AWAITED;
    word.store(OPEN, Ordering::Release);
    if awaited {
        futex::wake(word, 1);
    }
}

#[test]
fn finds_unlock_in_two_steps() {
    finds(&["deadlock"], || {
        let broken = through_lock(2, 1, || AtomicU32::new(OPEN), lock_as_awaited, unlock_in_two_steps);
        check(Size { preemptions: 3, schedules: 50_000 }, broken);
    });
}

/// Each ordering of the files that ship: a model fails if the line has none. (`ci/mutations.py` takes away halves of
/// those that are two.)
#[cfg(loom)]
mod finds_without_order {
    use super::*;

    fn lock(function: &str, what: &str) {
        finds(TWO_OWNERS, || {
            relaxed("sync/lock.rs", function, what);
            check(SMALL, through_raw_mutex(2, 2));
        });
    }

    #[test]
    fn finds_first_exchange() {
        lock("try_lock", "compare_exchange");
    }

    #[test]
    fn finds_later_exchange() {
        lock("lock_slow", "compare_exchange");
    }

    #[test]
    fn finds_swap_of_awaited() {
        lock("lock_slow", "swap(AWAITED");
    }

    #[test]
    fn finds_unlock() {
        lock("unlock", "swap(OPEN");
    }

    #[test]
    fn finds_set() {
        finds(TWO_OWNERS, || {
            relaxed("sync/note.rs", "set", "swap(SET");
            check(SMALL, published(|n| _ = n.wakeup()));
        });
    }

    #[test]
    fn finds_is_set() {
        finds(TWO_OWNERS, || {
            relaxed("sync/note.rs", "is_set", "load(");
            check(SMALL, published(|n| _ = n.wakeup()));
        });
    }

    #[test]
    fn finds_sleep() {
        finds(TWO_OWNERS, || {
            relaxed("sync/note.rs", "sleep_until", "compare_exchange(CLEAR");
            check(SMALL, published(|n| _ = n.wakeup()));
        });
    }

    #[test]
    fn finds_end_of_deadline() {
        finds(TWO_OWNERS, || {
            relaxed("sync/note.rs", "sleep_until", "compare_exchange(SLEEPING");
            check(SMALL, timed_out);
        });
    }

    #[test]
    fn finds_clear() {
        finds(DEADLOCK, || {
            relaxed("sync/note.rs", "clear", "swap(CLEAR");
            check(SMALL, used_again);
        });
    }

    #[test]
    fn finds_count_of_event() {
        finds(TWO_OWNERS, || {
            relaxed("sync/event.rs", "count", "fetch_add");
            check(SMALL, event_waits);
        });
    }

    #[test]
    fn finds_look_at_event() {
        finds(TWO_OWNERS, || {
            relaxed("sync/event.rs", "now", "load(");
            check(SMALL, event_waits);
        });
    }
}
