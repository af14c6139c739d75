//! gmp/orphans.rs: a child ends, and several parties deliver that (PROC-D2, PROC-D3). One of them takes the orphan, and
//! none uses the number of the pidfd after it was closed, since it may be another child's by then (PROC-I5).

use super::*;
use crate::ds::leak::try_leak;
use crate::gmp::orphans::{Orphan, Orphans};
use checker::sync::Mutex;
use checker::sync::atomic::{AtomicBool, AtomicUsize};

// SAFETY: the list has a lock, and the orphan's links belong to the list.
unsafe impl Send for Child {}
// SAFETY: as above.
unsafe impl Sync for Child {}

/// The child, and the number of its pidfd.
struct Child {
    orphans: Orphans,
    orphan: &'static Orphan,
    /// The system's: an end, and a question for it, are in an order.
    ended: Mutex<bool>,
    closed: AtomicBool,
    taken: AtomicUsize,
}

const PIDFD: u64 = 7;

impl Child {
    fn new() -> Arc<Child> {
        Arc::new(Child {
            orphans: Orphans::default(),
            orphan: try_leak(Orphan::default()).unwrap(),
            ended: Mutex::new(false),
            closed: AtomicBool::new(false),
            taken: AtomicUsize::new(0),
        })
    }

    fn has_ended(&self) -> bool {
        assert!(!self.closed.load(SeqCst), "the number is another child's");
        *self.ended.lock().unwrap()
    }

    fn took(&self, orphan: Option<&'static Orphan>) {
        if let Some(orphan) = orphan {
            assert!(std::ptr::eq(orphan, self.orphan));
            self.closed.store(true, SeqCst);
            self.taken.fetch_add(1, SeqCst);
        }
    }

    /// process.rs `event`.
    fn event(&self) {
        self.took(self.orphans.take_ended(PIDFD, || self.has_ended()));
    }

    /// process.rs `release`.
    fn let_go(&self) {
        self.orphans.add(self.orphan, 1, PIDFD);
        self.event();
    }
}

/// The host lets go of the child, which ends meanwhile. `event` is delivered so many times.
fn meet(times: usize, event: fn(&Child)) -> impl Fn() {
    move || {
        let child = Child::new();
        let ends = {
            let child = child.clone();
            thread::spawn(move || {
                *child.ended.lock().unwrap() = true;
                event(&child);
            })
        };
        let others: Vec<_> = (1..times)
            .map(|_| {
                let child = child.clone();
                // Events come when it has ended, or for nothing.
                thread::spawn(move || event(&child))
            })
            .collect();
        child.let_go();
        ends.join().unwrap();
        others.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(child.taken.load(SeqCst), 1, "PROC-I3: it is reaped, once");
    }
}

#[test]
fn end_beside_letting_go() {
    check(Size { preemptions: 3, ..Size::default() }, meet(1, Child::event));
}

#[test]
fn two_events_beside_letting_go() {
    check(Size::default(), meet(2, Child::event));
}

/// PROC-I5 without the turns.
#[cfg(loom)]
#[test]
fn finds_deliverers_that_take_no_turns() {
    fn at_once(child: &Child) {
        if child.orphans.find(PIDFD, false).is_some() && child.has_ended() {
            child.took(child.orphans.find(PIDFD, true));
        }
    }
    finds(&["another child's"], || check(Size::default(), meet(2, at_once)));
}
