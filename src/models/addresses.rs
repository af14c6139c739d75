//! address.rs: a wake after a change of the word is not lost, and two waiters take two wakes.

use super::*;
use crate::block::address;
use crate::gmp::error::Error;
use crate::sync::AtomicU32;

const ADDR: usize = 8;

/// Waits in a loop until the word has changed, as `std::atomic::wait` does.
fn wait_for_change(m: MRef, word: &AtomicU32) {
    while word.load(Ordering::Acquire) == 0 {
        match address::wait(m, ADDR, None, || word.load(Ordering::Acquire) == 0) {
            Ok(()) | Err(Error::Again) => {}
            Err(e) => panic!("{e:?}"),
        }
    }
}

fn wait_against_wake(waiters: u32) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let word = Arc::new(AtomicU32::new(0));
        for _ in 0..waiters {
            let word = word.clone();
            w.host(move |_, m| wait_for_change(m, &word));
        }
        w.host(move |_, m| {
            word.store(1, Ordering::Release);
            assert!(address::wake(m, ADDR, u32::MAX) <= waiters);
        });
        w.finish();
    }
}

#[test]
fn wait_against_wake_of_threads() {
    check(Size { preemptions: 3, ..Size::default() }, wait_against_wake(1));
}

#[test]
fn two_wait_against_one_wake() {
    check(Size { preemptions: 1, ..Size::default() }, wait_against_wake(2));
}

/// The deadline passes at any moment.
#[test]
fn wait_against_wake_and_deadline() {
    check(Size { preemptions: 2, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let word = Arc::new(AtomicU32::new(0));
        let late = foreign::needm(w.sched, 1).unwrap();
        let seen = word.clone();
        w.host_as(late, move |_, m| {
            let waited = address::wait(m, ADDR, Some(1), || seen.load(Ordering::Acquire) == 0);
            assert!(matches!(waited, Ok(()) | Err(Error::Again | Error::TimedOut)), "{waited:?}");
        });
        w.host(move |_, m| {
            word.store(1, Ordering::Release);
            address::wake(m, ADDR, 1);
        });
        late.park.time_out();
        w.finish();
    });
}

#[cfg(loom)]
#[test]
fn finds_wake_without_fence() {
    finds(DEADLOCK, || {
        without("block/address.rs", "wake");
        check(Size::default(), wait_against_wake(1));
    });
}
