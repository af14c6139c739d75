//! rescue.rs: each G that sysmon takes from a P that does not answer runs once, whichever threads look for it
//! meanwhile.

use super::*;
use crate::gmp::g::GList;
use crate::gmp::p::PREEMPT;
use crate::protocol::rescue;

/// G 0 puts G 1 into its queues, calls for no M, and keeps its P until G 1 has run. A searcher may go idle just when
/// sysmon holds G 1 outside of any queue.
fn take_out_against_idle(next: bool, tells: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(2, 2);
        let put = Arc::new((Event::new(), AtomicU32::new(0)));
        let said = put.clone();
        let first = mk.token(vec![
            does(move |w, m, _| {
                if next {
                    assert!(!m.must_p().put_next(w.gp(1)));
                } else {
                    m.must_p().put_tail(w.gp(1));
                }
                // A thief may have brought G 0 to another P.
                said.1.store(m.must_p().id, SeqCst);
                said.0.happen();
            }),
            awaits(1),
        ]);
        let _ = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let searcher = w.searcher();
        let m = w.worker_with(&[first]);
        w.go(searcher);
        w.go(m);
        w.watcher(move |w, me| {
            put.0.wait(0, None);
            let p = w.sched.p_at(put.1.load(SeqCst)).unwrap();
            if tells {
                rescue::take_out(w.sched, me, p);
            } else {
                let mut gs = GList::new();
                p.take_out(rescue::BATCH, |gp| gs.push_back(gp));
                w.sched.globrunqput_all(&mut gs);
            }
        });
        w.finish();
    }
}

/// (loom does not finish when the G is taken from runnext.)
#[cfg(shuttle)]
#[test]
fn take_next_against_idle() {
    check(Size { preemptions: 1, ..Size::default() }, take_out_against_idle(true, true));
}

#[test]
fn take_queued_against_idle() {
    check(Size { preemptions: 1, ..Size::default() }, take_out_against_idle(false, true));
}

#[cfg(loom)]
#[test]
fn finds_take_that_tells_nobody() {
    finds(DEADLOCK, || check(Size { preemptions: 1, ..Size::default() }, take_out_against_idle(false, false)));
}

/// The owner answers after all, and takes the waiting Gs while sysmon does. (This model and the next are too large for
/// loom.)
#[cfg(shuttle)]
#[test]
fn take_out_against_the_owner() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let mut mk = Maker::new(2, 2);
        let first = mk.token(vec![readies(1), readies(2)]);
        for _ in 1..3 {
            let _ = mk.token(vec![does(|_, _, _| ())]);
        }
        let w = mk.make();
        let m = w.worker_with(&[first]);
        let p = (0..2).map(|i| w.sched.p_at(i).unwrap()).find(|p| !p.runq_empty()).unwrap();
        w.go(m);
        w.watcher(move |w, me| _ = rescue::take_out(w.sched, me, p));
        w.finish();
    });
}

/// As before, against a stop of the world: the owner gives its P up while sysmon takes Gs from it.
#[cfg(shuttle)]
#[test]
fn take_out_against_a_stop() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let mut mk = Maker::new(2, 2);
        let first = mk.token(vec![safepoint()]);
        let behind = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let m = w.worker_with(&[first, behind]);
        let p = (0..2).map(|i| w.sched.p_at(i).unwrap()).find(|p| !p.runq_empty()).unwrap();
        w.go(m);
        w.watcher(move |w, me| _ = rescue::take_out(w.sched, me, p));
        w.host(|w, m| assert!(stop_and_start(w, m, FOREVER)));
        w.finish();
    });
}

/// RESCUE-6: sysmon withdraws a request while the owner answers it or leaves its P: the count of requests is right at
/// the end.
#[test]
fn withdraw_against_the_owner() {
    check(Size { preemptions: 2, ..Size::default() }, || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![safepoint()]);
        let w = mk.make();
        let before = w.sched.poll.load(SeqCst);
        let m = w.worker_with(&[first]);
        let p = w.sched.p_at(0).unwrap();
        w.go(m);
        w.watcher(move |_, _| {
            p.request(PREEMPT);
            p.clear_request(PREEMPT);
        });
        let poll = w.sched.poll;
        w.finish();
        assert_eq!(poll.load(SeqCst), before, "the count of requests");
    });
}
