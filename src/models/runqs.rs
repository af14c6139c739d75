//! ds/runq.rs: the ring that ships, by itself and small, so that its places are used again and again.

use super::*;
use crate::ds::runq::RunQ;
use crate::sync::AtomicU32 as Word;
use std::ptr::NonNull;

struct Entry {
    /// Written before the push, by an access that orders nothing.
    payload: Word,
    out: AtomicU32,
}

/// One queue, and what goes through it.
struct Ring<const N: usize> {
    q: RunQ<Entry, N>,
    entries: Vec<Entry>,
    pushed: AtomicUsize,
    /// The owner takes the newest.
    newest: bool,
}

impl<const N: usize> Ring<N> {
    fn new(newest: bool) -> Arc<Self> {
        let entries = (0..5).map(|_| Entry { payload: Word::new(0), out: AtomicU32::new(0) }).collect();
        Arc::new(Ring { q: RunQ::default(), entries, pushed: AtomicUsize::new(0), newest })
    }

    /// As the owner: `+` pushes the next entry, if there is room, `-` takes one, `/` takes half.
    fn own(&self, script: &str) {
        for step in script.bytes() {
            if step == b'-' {
                self.pop();
                continue;
            }
            if step == b'/' {
                // SAFETY: this thread is the owner.
                unsafe { self.q.pop_half(|v| assert!(took(Some(v)))) };
                continue;
            }
            let e = &self.entries[self.pushed.load(SeqCst)];
            e.payload.store(1, Ordering::Relaxed);
            // SAFETY: this thread is the owner.
            if unsafe { self.q.push(NonNull::from(e)) } {
                self.pushed.fetch_add(1, SeqCst);
            }
        }
    }

    fn pop(&self) -> bool {
        // SAFETY: the caller is the owner.
        took(unsafe { if self.newest { self.q.pop_newest() } else { self.q.pop_oldest() } })
    }

    /// As a thief: takes one, or half of them into a queue of its own.
    fn steal(&self, into: &RunQ<Entry, N>) -> bool {
        if self.newest {
            return took(self.q.steal());
        }
        // SAFETY: `into` is the caller's.
        took(unsafe { self.q.steal_half(into) })
    }

    /// Checks the end. All other threads have ended.
    fn end(&self) {
        while self.pop() {}
        assert!(self.q.is_empty() && self.q.len() == 0);
        for e in &self.entries[..self.pushed.load(SeqCst)] {
            assert_eq!(e.out.load(SeqCst), 1, "an entry was lost");
        }
    }
}

fn took(v: Option<NonNull<Entry>>) -> bool {
    let Some(v) = v else { return false };
    // SAFETY: the entries live as long as the ring.
    let e = unsafe { v.as_ref() };
    assert_eq!(e.payload.load(Ordering::Relaxed), 1, "what an entry points to is not seen");
    assert_eq!(e.out.fetch_add(1, SeqCst), 0, "an entry came out twice");
    true
}

/// Takes all entries out of a thief's own queue, while another thief may steal from it.
fn empty<const N: usize>(into: &RunQ<Entry, N>) {
    // SAFETY: the caller is the owner.
    while took(unsafe { into.pop_oldest() }) {}
}

/// An owner against thieves. `thieves`: how often each of them steals.
fn against<const N: usize>(newest: bool, script: &'static str, thieves: &'static [usize]) -> impl Fn() {
    move || {
        let ring = Ring::<N>::new(newest);
        let ts: Vec<_> = thieves
            .iter()
            .map(|&times| {
                let ring = ring.clone();
                thread::spawn(move || {
                    let into = RunQ::default();
                    for _ in 0..times {
                        ring.steal(&into);
                        empty(&into);
                    }
                })
            })
            .collect();
        ring.own(script);
        for t in ts {
            t.join().unwrap();
        }
        ring.end();
    }
}

/// A thief steals half, and another steals from the thief.
fn from_thief() -> impl Fn() {
    || {
        let ring = Ring::<4>::new(false);
        let second = Arc::new(RunQ::<Entry, 4>::default());
        let (r, s) = (ring.clone(), second.clone());
        let thief = thread::spawn(move || {
            r.steal(&s);
            s
        });
        let s = second.clone();
        let thief_of_thief = thread::spawn(move || {
            let into = RunQ::default();
            // SAFETY: `into` is this thread's.
            took(unsafe { s.steal_half(&into) });
            empty(&into);
        });
        ring.own("++++");
        thief_of_thief.join().unwrap();
        empty(&thief.join().unwrap());
        ring.end();
    }
}

const MORE: Size = Size { preemptions: 3, schedules: 5000 };

#[test]
fn oldest_against_a_thief() {
    check(MORE, against::<4>(false, "++-+-+-", &[2]));
}

#[test]
fn oldest_against_two_thieves() {
    check(MORE, against::<4>(false, "+++-", &[1, 1]));
}

/// Every place is used again, also while a thief reads it.
#[test]
fn oldest_round_a_tiny_ring() {
    check(MORE, against::<1>(false, "+-+-+", &[2]));
    check(MORE, against::<2>(false, "++-+-+", &[2]));
    check(Size { preemptions: 2, ..MORE }, against::<2>(false, "++-+", &[1, 1]));
}

/// The owner takes half while thieves do, and fills the places again.
#[test]
fn half_against_thieves() {
    check(MORE, against::<4>(false, "++++/+-", &[2]));
    check(Size { preemptions: 2, ..MORE }, against::<4>(false, "+++/+", &[1, 1]));
}

#[test]
fn thief_of_a_thief() {
    check(MORE, from_thief());
}

#[test]
fn newest_against_a_thief() {
    check(MORE, against::<4>(true, "++--+-", &[2]));
}

#[test]
fn newest_against_two_thieves() {
    check(MORE, against::<4>(true, "++-", &[1, 1]));
    check(MORE, against::<4>(true, "+++--", &[1, 1]));
}

#[test]
fn newest_round_a_tiny_ring() {
    check(MORE, against::<1>(true, "+-+-+", &[2]));
    check(MORE, against::<2>(true, "++-+-", &[2]));
}

#[cfg(loom)]
const TWICE: &[&str] = &["an entry came out twice"];
#[cfg(loom)]
const NOT_SEEN: &[&str] = &["what an entry points to is not seen"];

#[cfg(loom)]
#[test]
fn finds_pop_without_fence() {
    finds(TWICE, || {
        without("ds/runq.rs", "pop_newest");
        check(MORE, against::<4>(true, "++-", &[2]));
    });
}

#[cfg(loom)]
#[test]
fn finds_steal_without_fence() {
    finds(TWICE, || {
        without("ds/runq.rs", "steal");
        check(MORE, against::<4>(true, "++-", &[2]));
    });
}

#[cfg(loom)]
#[test]
fn finds_push_without_release() {
    finds(NOT_SEEN, || {
        relaxed("ds/runq.rs", "push", "self.tail.store");
        check(MORE, against::<4>(false, "+", &[1]));
    });
}

/// A thief sees the step back, too.
#[cfg(loom)]
#[test]
fn finds_pop_without_release() {
    finds(NOT_SEEN, || {
        relaxed("ds/runq.rs", "pop_newest", "self.tail.store(last");
        check(MORE, against::<4>(true, "+++--", &[1, 1]));
    });
}

#[cfg(loom)]
#[test]
fn finds_steal_half_without_release() {
    finds(NOT_SEEN, || {
        relaxed("ds/runq.rs", "steal_half", "into.tail.store");
        check(MORE, from_thief());
    });
}

#[cfg(loom)]
#[test]
fn finds_steal_half_without_acquire() {
    finds(NOT_SEEN, || {
        relaxed("ds/runq.rs", "steal_half", "self.tail.load");
        check(MORE, against::<4>(false, "+", &[1]));
    });
}

#[cfg(loom)]
#[test]
fn finds_steal_without_acquire() {
    finds(NOT_SEEN, || {
        relaxed("ds/runq.rs", "steal", "self.tail.load");
        check(MORE, against::<4>(true, "++", &[1, 1]));
    });
}
