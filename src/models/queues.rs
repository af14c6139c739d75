//! gmp/queue.rs: the queue of a P that ships, with small rings, so that Gs go all the ways through it.

use super::*;
use crate::gmp::g::GRef;
use crate::gmp::queue::Queue;

/// One queue, and the Gs that go through it.
struct Line {
    q: Queue<4>,
    gs: Vec<GRef>,
    out: Vec<AtomicU32>,
    pushed: AtomicUsize,
}

impl Line {
    fn new() -> Arc<Self> {
        let gs = (0..10).map(GRef::for_test).collect();
        let out = (0..10).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Line { q: Queue::default(), gs, out, pushed: AtomicUsize::new(0) })
    }

    /// As the owner: `+` the next G comes in, `-` the oldest comes out.
    fn own(&self, script: &str) {
        for step in script.bytes() {
            // SAFETY: this thread is the owner.
            unsafe {
                match step {
                    b'+' => self.q.push(self.gs[self.pushed.fetch_add(1, SeqCst)]),
                    _ => drop(self.took(self.q.pop())),
                }
            }
        }
    }

    fn took(&self, gp: Option<GRef>) -> bool {
        let Some(gp) = gp else { return false };
        assert_eq!(self.out[gp.index as usize].fetch_add(1, SeqCst), 0, "a G came out twice");
        true
    }

    /// What a thief has got goes on to whoever asks, for whoever is there.
    fn steal(&self) {
        let into = Queue::default();
        // SAFETY: `into` is ours.
        unsafe {
            self.took(self.q.steal(&into));
            while self.took(into.pop()) {}
        }
    }

    /// Nobody else is left.
    fn end(&self) {
        // SAFETY: so it is our own.
        while self.took(unsafe { self.q.pop() }) {}
        assert!(self.q.is_empty() && self.q.len() == 0);
        for out in &self.out[..self.pushed.load(SeqCst)] {
            assert_eq!(out.load(SeqCst), 1, "a G was lost");
        }
    }
}

/// An owner, who has done `before`, and thieves that steal so many times each.
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

/// Whatever the owner does, there is one left to be seen.
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

/// Seven Gs are in the front and the back, nine in the backlog as well.
const SEVEN: &str = "+++++++";
const NINE: &str = "+++++++++";
/// What is left when the front is empty.
const BACK: &str = "+++++++----";
const BACKLOG: &str = "+++++++++----";

#[test]
fn push_against_a_thief() {
    check(MORE, against("+++", "+++-", &[1]));
    check(MORE, against(SEVEN, "++", &[2]));
}

#[test]
fn back_against_thieves() {
    check(MORE, against(BACK, "-+--", &[1]));
    check(Size { preemptions: 2, ..MORE }, against(BACK, "--", &[1, 1]));
}

#[test]
fn backlog_against_thieves() {
    check(MORE, against(BACKLOG, "-+--", &[1]));
    check(Size { preemptions: 2, ..MORE }, against(BACKLOG, "--", &[1, 1]));
}

#[test]
fn one_is_always_seen() {
    check(MORE, seen("++++", "+-"));
    check(MORE, seen(SEVEN, "++"));
    check(MORE, seen(NINE, "-----"));
    check(MORE, seen(BACK, "--"));
    check(MORE, seen(BACK, "-+-"));
    check(MORE, seen(BACKLOG, "----"));
}
