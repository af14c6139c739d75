//! waitq.rs and sema.rs: no wake between the test and the queue is lost, and a wait ends once.

use super::*;
use crate::block::sema;
use crate::gmp::g::WaitReason;
use crate::sync::AtomicU32;

type Sema = Arc<AtomicU32>;

fn acquire(m: MRef, s: &Sema, deadline: Option<i64>) -> bool {
    sema::acquire(m, s, deadline, WaitReason::SEMACQUIRE).1.is_ok()
}

fn release(m: MRef, s: &Sema) {
    assert!(sema::release(m, s).is_ok());
}

/// One thread acquires and one releases; neither has a P.
fn acquire_against_release() -> impl Fn() {
    || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let t = s.clone();
        w.host(move |_, m| assert!(acquire(m, &t, None)));
        let t = s.clone();
        w.host(move |_, m| release(m, &t));
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn acquire_against_release_of_threads() {
    check(Size { preemptions: 3, ..Size::default() }, acquire_against_release());
}

#[cfg(loom)]
#[test]
fn finds_waiter_without_fence() {
    finds(DEADLOCK, || {
        without("block/waitq.rs", "wait_then");
        check(Size::default(), acquire_against_release());
    });
}

#[cfg(loom)]
#[test]
fn finds_release_without_fence() {
    finds(DEADLOCK, || {
        without("block/sema.rs", "release_by");
        check(Size::default(), acquire_against_release());
    });
}

/// The deadline passes at any moment: the waiter has taken the count, or the count is still there.
#[test]
fn acquire_against_release_and_deadline() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let got = Arc::new(AtomicUsize::new(0));
        let late = foreign::needm(w.sched, 1).unwrap();
        let (t, n) = (s.clone(), got.clone());
        w.host_as(late, move |_, m| {
            n.store(usize::from(acquire(m, &t, Some(1))), SeqCst);
        });
        let t = s.clone();
        w.host(move |_, m| release(m, &t));
        late.park.time_out();
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst) as usize + got.load(SeqCst), 1);
    });
}

/// Two threads wait, the first with a deadline. A release that finds the first timed out goes to the second.
#[test]
fn one_waits_in_vain() {
    check(Size { preemptions: 2, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let late = foreign::needm(w.sched, 1).unwrap();
        let t = s.clone();
        w.host_as(late, move |_, m| {
            if acquire(m, &t, Some(1)) {
                release(m, &t);
            }
        });
        let t = s.clone();
        w.host(move |_, m| assert!(acquire(m, &t, None)));
        let t = s.clone();
        w.host(move |_, m| release(m, &t));
        late.park.time_out();
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst), 0);
    });
}

/// With a hand-off no newcomer overtakes the first waiter, and no thread sees the count.
#[test]
fn handed_from_one_to_the_next() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(1));
        let inside = Arc::new(Sole::default());
        for _ in 0..2 {
            let (t, x) = (s.clone(), inside.clone());
            w.host(move |_, m| {
                assert!(acquire(m, &t, None));
                x.touch();
                sema::release_handoff(m, &t);
            });
        }
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst), 1);
    });
}

/// As before, with Gs and one P: the G that hands the semaphore over also hands its P over, and gets one again later.
/// No waiter is missed, also beside newcomers.
fn handed_over(gs: usize, threads: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(1));
        let inside = Arc::new(Sole::default());
        for i in 0..gs + threads {
            let (t, x) = (s.clone(), inside.clone());
            let turn = move |m: MRef| {
                assert!(acquire(m, &t, None));
                x.touch();
                assert!(sema::hand_over(m, &t).is_ok());
            };
            w.host(move |w, m| if i < gs { visit(w, m, |_| turn(m)) } else { turn(m) });
        }
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn handed_over_with_the_p() {
    check(Size { preemptions: 1, ..Size::default() }, handed_over(2, 0));
    check(Size { preemptions: 2, ..Size::default() }, handed_over(1, 1));
}

#[cfg(shuttle)]
#[test]
fn handed_over_among_many() {
    check(Size::default(), handed_over(3, 2));
}

/// The waiter is a G that holds a P: it parks, and its P runs other Gs. Its deadline is a timer of that P, which a
/// thread must run.
fn parked_g(deadline: Option<i64>, released: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let got = Arc::new(AtomicUsize::new(0));
        let (t, n) = (s.clone(), got.clone());
        w.host(move |w, m| {
            visit(w, m, |_| {
                n.store(usize::from(acquire(m, &t, deadline)), SeqCst);
            });
        });
        if released {
            let t = s.clone();
            w.host(move |_, m| release(m, &t));
        }
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst) as usize + got.load(SeqCst), usize::from(released));
    }
}

#[test]
fn g_parks_and_is_released() {
    check(Size { preemptions: 1, ..Size::default() }, parked_g(None, true));
}

#[test]
fn g_parks_and_times_out() {
    check(Size { preemptions: 1, ..Size::default() }, parked_g(Some(0), false));
}

#[test]
fn g_parks_and_is_released_or_times_out() {
    check(Size { preemptions: 1, ..Size::default() }, parked_g(Some(0), true));
}

#[cfg(shuttle)]
#[test]
fn many_take_and_give() {
    check(Size::default(), || {
        let w = Maker::new(2, 2).make();
        let s: Sema = Arc::new(AtomicU32::new(1));
        let ms: Vec<MRef> = (0..5).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (i, &m) in ms.iter().enumerate() {
            let t = s.clone();
            w.host_as(m, move |w, m| {
                let turn = || {
                    if acquire(m, &t, [None, Some(1), Some(0)][i % 3]) {
                        release(m, &t);
                    }
                };
                if i % 2 == 0 {
                    visit(w, m, |_| turn())
                } else {
                    turn()
                }
                turn();
            });
        }
        ms.iter().for_each(|m| m.park.time_out());
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst), 1);
    });
}
