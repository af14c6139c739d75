//! gmp/queue.rs: the queue of a P that ships, with a small ring, so that Gs go to the backlog and come back.

use super::*;
use crate::gmp::P;
use crate::gmp::g::GRef;
use crate::gmp::p::Durations;
use crate::gmp::queue::Queue;
use crate::gmp::timers::TimerMask;

/// One queue, and the Gs that go through it.
struct Line {
    q: Queue<4>,
    gs: Vec<GRef>,
    out: Vec<AtomicU32>,
    pushed: AtomicUsize,
}

impl Line {
    fn new() -> Arc<Self> {
        let gs = (0..8).map(GRef::for_test).collect();
        let out = (0..8).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Line { q: Queue::default(), gs, out, pushed: AtomicUsize::new(0) })
    }

    /// As the owner: `+` puts the next G in, `y` puts it in as a G that yields, `-` takes the oldest of the ring, `b`
    /// the oldest of the backlog.
    fn own(&self, script: &str) {
        for step in script.bytes() {
            // SAFETY: this thread is the owner.
            unsafe {
                match step {
                    b'-' => _ = self.took(self.q.pop()),
                    b'b' => _ = self.took(self.q.pop_behind()),
                    _ => {
                        let gp = self.gs[self.pushed.fetch_add(1, SeqCst)];
                        if step == b'y' { self.q.push_last(gp) } else { self.q.push(gp) }
                    }
                }
            }
        }
    }

    fn took(&self, gp: Option<GRef>) -> bool {
        let Some(gp) = gp else { return false };
        assert_eq!(self.out[gp.index as usize].fetch_add(1, SeqCst), 0, "a G came out twice");
        true
    }

    /// As a thief: steals into a queue of its own, and takes all Gs out of that.
    fn steal(&self) {
        let into = Queue::default();
        // SAFETY: `into` is ours.
        unsafe {
            self.took(self.q.steal(&into));
            while self.took(into.pop()) {}
        }
    }

    /// As a thief without a queue.
    fn take_out(&self) {
        self.q.take_out(3, |gp| assert!(self.took(Some(gp))));
    }

    /// Checks the end. All other threads have ended.
    fn end(&self) {
        // SAFETY: this thread is the only one left.
        while self.took(unsafe { self.q.pop() }) {}
        assert!(self.q.is_empty() && self.q.len() == 0);
        for out in &self.out[..self.pushed.load(SeqCst)] {
            assert_eq!(out.load(SeqCst), 1, "a G was lost");
        }
    }
}

/// An owner, which has done `before`, against thieves. `thieves`: how often each of them steals.
fn against(before: &'static str, script: &'static str, thieves: &'static [usize]) -> impl Fn() {
    move || {
        let line = Line::new();
        line.own(before);
        let ts: Vec<_> = thieves
            .iter()
            .map(|&times| {
                let line = line.clone();
                thread::spawn(move || (0..times).for_each(|_| line.steal()))
            })
            .collect();
        line.own(script);
        for t in ts {
            t.join().unwrap();
        }
        line.end();
    }
}

/// An owner, which has done `before`, against a thief without a queue and `thieves` thieves with one.
fn taken_out(before: &'static str, script: &'static str, thieves: usize) -> impl Fn() {
    move || {
        let line = Line::new();
        line.own(before);
        let ts: Vec<_> = (0..=thieves)
            .map(|i| {
                let line = line.clone();
                thread::spawn(move || if i == 0 { line.take_out() } else { line.steal() })
            })
            .collect();
        line.own(script);
        for t in ts {
            t.join().unwrap();
        }
        line.end();
    }
}

/// QUEUE-V1: a searcher sees a G in the queue, whatever the owner does meanwhile.
fn seen(before: &'static str, script: &'static str) -> impl Fn() {
    move || {
        let line = Line::new();
        line.own(before);
        let l = line.clone();
        let searcher = thread::spawn(move || assert!(!l.q.is_empty(), "it looks empty"));
        line.own(script);
        searcher.join().unwrap();
        line.end();
    }
}

const MORE: Size = Size { preemptions: 3, schedules: 5000 };

/// From the full ring into the backlog, and back.
#[test]
fn over_the_ring_against_a_thief() {
    check(MORE, against("++++", "+-", &[1]));
    check(MORE, against("+++++", "---", &[2]));
}

/// The ring is empty, and the owner and the thieves all take from the backlog.
#[test]
fn backlog_against_thieves() {
    check(MORE, against("+++++--", "--", &[1]));
    check(Size { preemptions: 2, ..MORE }, against("+++++--", "b-", &[1, 1]));
}

#[test]
fn taken_out_against_the_owner() {
    check(MORE, taken_out("+++", "-+-", 0));
    check(MORE, taken_out("++++", "+-", 0));
    check(MORE, taken_out("+++++--", "b-", 0));
    check(Size { preemptions: 2, ..MORE }, taken_out("+++++-", "--", 1));
}

#[test]
fn yields_against_a_thief() {
    check(MORE, against("yyyyy", "y-b", &[1]));
}

#[test]
fn one_is_always_seen() {
    // Half of the ring goes to the backlog.
    check(MORE, seen("++++", "+"));
    // The owner takes the last G of the ring, and the backlog moves up.
    check(MORE, seen("+++++--", "--"));
    check(MORE, seen("+++++---", "-y"));
}

/// The G in runnext goes to the queue when another G displaces it: a searcher sees it in one of the two places
/// (`P::runq_empty`).
#[test]
fn who_was_next_is_always_seen() {
    check(MORE, || {
        let [a, b] = [0, 1].map(GRef::for_test);
        let pp = crate::ds::leak::try_leak(P::new(
            0,
            &POLL,
            crate::ds::leak::try_leak(TimerMask::default()).unwrap(),
            Durations::new().unwrap(),
        ))
        .unwrap()
        .acquire_from(PStatus::Dead);
        assert!(!pp.put_next(a));
        let p = pp.p();
        let searcher = thread::spawn(move || assert!(!p.runq_empty(), "it looks empty"));
        assert!(pp.put_next(b));
        assert!(pp.get() == Some((b, true)));
        searcher.join().unwrap();
        assert!(pp.get() == Some((a, false)) && p.runq_empty());
        pp.forget();
    });
}

#[cfg(loom)]
const LOOKS_EMPTY: &[&str] = &["it looks empty"];

#[cfg(loom)]
#[test]
fn finds_take_without_release() {
    finds(LOOKS_EMPTY, || {
        relaxed("gmp/queue.rs", "take", "self.count.store");
        check(MORE, seen("+++++--", "--"));
    });
}

#[cfg(loom)]
#[test]
fn finds_look_without_acquire() {
    finds(LOOKS_EMPTY, || {
        relaxed("gmp/queue.rs", "behind", "self.count.load");
        check(MORE, seen("+++++--", "--"));
    });
}
