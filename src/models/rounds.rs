//! barrier.rs: a round ends once, when enough threads have arrived that have not timed out or been canceled, and it
//! ends for each of them.

use super::cancels::{token, under};
use super::*;
use crate::block::barrier::Barrier;
use crate::block::cancel::{self, Reason};
use crate::gmp::error::Error;

/// The barrier, and what the threads that meet there have seen.
struct Meeting {
    barrier: Barrier,
    arrived: AtomicUsize,
    serial: AtomicUsize,
    through: AtomicUsize,
}

impl Meeting {
    fn new(n: u32) -> Arc<Meeting> {
        let none = || AtomicUsize::new(0);
        Arc::new(Meeting { barrier: Barrier::new(n), arrived: none(), serial: none(), through: none() })
    }

    /// One arrival. When it returns, all threads of the round must have arrived.
    fn meet(&self, m: MRef, until: Option<i64>, round: usize) -> Result<(), Error> {
        self.arrived.fetch_add(1, SeqCst);
        match self.barrier.wait(m, until, true) {
            Ok(serial) => {
                self.serial.fetch_add(usize::from(serial), SeqCst);
                assert!(self.arrived.load(SeqCst) >= round, "it is back before all have arrived");
                self.through.fetch_add(1, SeqCst);
                Ok(())
            }
            Err(e) => {
                self.arrived.fetch_sub(1, SeqCst);
                Err(e)
            }
        }
    }
}

/// Several threads meet in several rounds.
fn rounds(n: u32, rounds: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let all = Meeting::new(n);
        for _ in 0..n {
            let all = all.clone();
            w.host(move |_, m| {
                for r in 1..=rounds {
                    assert!(all.meet(m, None, r * n as usize).is_ok());
                }
            });
        }
        w.finish();
        assert_eq!((all.serial.load(SeqCst), all.through.load(SeqCst)), (rounds, rounds * n as usize));
    }
}

#[test]
fn two_meet() {
    check(Size { preemptions: 3, ..Size::default() }, rounds(2, 1));
}

#[test]
fn two_meet_again() {
    check(Size { preemptions: 2, ..Size::default() }, rounds(2, 2));
}

#[test]
fn three_meet() {
    check(Size { preemptions: 1, ..Size::default() }, rounds(3, 1));
}

#[cfg(shuttle)]
#[test]
fn many_meet_again_and_again() {
    check(Size::default(), rounds(5, 3));
}

/// Each thread sees what the other did before it arrived.
#[test]
fn what_was_done_before_is_seen() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Barrier::new(2), [Sole::default(), Sole::default()]));
        for i in 0..2 {
            let x = x.clone();
            w.host(move |_, m| {
                x.1[i].touch();
                assert!(x.0.wait(m, None, true).is_ok());
                x.1[1 - i].touch();
            });
        }
        w.finish();
    });
}

/// One thread times out or is canceled just when the others arrive. If its wait was ended so, it arrives again. All
/// meet once.
fn one_gives_up(others: u32, canceled: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let all = Meeting::new(others + 1);
        let late = foreign::needm(w.sched, 1).unwrap();
        let c = token(&w, None);
        let (a, t) = (all.clone(), c.clone());
        w.host_as(late, move |_, m| {
            let n = others as usize + 1;
            let first = if canceled { under(m, &t, || a.meet(m, None, n)) } else { a.meet(m, Some(1), n) };
            match first {
                Ok(()) => {}
                Err(e) => {
                    assert!(e == if canceled { Error::Canceled } else { Error::TimedOut });
                    assert!(a.meet(m, None, n).is_ok());
                }
            }
        });
        for _ in 0..others {
            let a = all.clone();
            w.host(move |_, m| assert!(a.meet(m, None, others as usize + 1).is_ok()));
        }
        if canceled {
            w.host(move |_, m| assert!(cancel::cancel(m, &c, Reason::BY_HAND)));
        } else {
            late.park.time_out();
        }
        w.finish();
        assert_eq!((all.serial.load(SeqCst), all.through.load(SeqCst)), (1, others as usize + 1));
        assert_eq!(all.arrived.load(SeqCst), others as usize + 1);
    }
}

#[test]
fn one_is_late() {
    check(Size { preemptions: 3, ..Size::default() }, one_gives_up(1, false));
    check(Size { preemptions: 1, ..Size::default() }, one_gives_up(2, false));
}

#[test]
fn one_is_canceled() {
    check(Size { preemptions: 2, ..Size::default() }, one_gives_up(1, true));
}

#[cfg(shuttle)]
#[test]
fn one_of_many_gives_up() {
    check(Size::default(), one_gives_up(4, false));
    check(Size::default(), one_gives_up(4, true));
}

/// A thread times out and does not come again: the other waits for a third thread, which comes in its place.
#[test]
fn one_is_replaced() {
    check(Size { preemptions: 2, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let all = Meeting::new(2);
        let gone = Arc::new(Event::new());
        let late = foreign::needm(w.sched, 1).unwrap();
        let (a, g) = (all.clone(), gone.clone());
        w.host_as(late, move |_, m| {
            let met = a.meet(m, Some(1), 2).is_ok();
            g.happen();
            if met {
                // No thread is left for the third to meet.
                assert!(a.meet(m, None, 4).is_ok());
            }
        });
        let a = all.clone();
        w.host(move |_, m| assert!(a.meet(m, None, 2).is_ok()));
        let a = all.clone();
        w.host(move |_, m| {
            gone.wait(0, None);
            assert!(a.meet(m, None, 2).is_ok());
        });
        late.park.time_out();
        w.finish();
        assert_eq!(all.through.load(SeqCst), 2 * all.serial.load(SeqCst));
    });
}

/// The same with Gs that share the only P.
#[test]
fn gs_meet() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let all = Meeting::new(2);
        for _ in 0..2 {
            let a = all.clone();
            w.host(move |w, m| visit(w, m, |_| assert!(a.meet(m, None, 2).is_ok())));
        }
        w.finish();
        assert_eq!(all.serial.load(SeqCst), 1);
    });
}
