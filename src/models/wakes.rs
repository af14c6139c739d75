//! wake.rs and the queues: submitters against Ms that go idle, find a G or steal.

use super::*;

/// G 0 readies G 1 and waits for it on its thread, keeping its P; another M has found nothing and is about to sleep.
/// In every schedule an M other than G 0's must run G 1, since G 0 keeps its P.
fn submit_against_idle(queue: Queue) -> impl Fn() {
    move || {
        let mut mk = Maker::new(2, 2);
        let waiter = mk.token(vec![
            match queue {
                Queue::Next => readies(1),
                Queue::Tail => does(|w, m, _| {
                    m.must_p().put_tail(w.gp(1));
                    wake::wakep(w.sched, m);
                }),
                Queue::Global => does(|w, m, _| {
                    w.sched.globrunqput(w.gp(1));
                    wake::wakep(w.sched, m);
                }),
            },
            awaits(1),
        ]);
        let _ = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let searcher = w.searcher();
        let m = w.worker_with(&[waiter]);
        w.go(searcher);
        w.go(m);
        w.finish();
    }
}

#[derive(Clone, Copy)]
enum Queue {
    Next,
    Tail,
    Global,
}

#[test]
fn submit_next_against_idle() {
    check(Size::default(), submit_against_idle(Queue::Next));
}

#[test]
fn submit_tail_against_idle() {
    check(Size::default(), submit_against_idle(Queue::Tail));
}

#[test]
fn submit_global_against_idle() {
    check(Size::default(), submit_against_idle(Queue::Global));
}

#[cfg(loom)]
#[test]
fn finds_submit_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/wake.rs", "wakep");
        check(Size::default(), submit_against_idle(Queue::Global));
    });
}

#[cfg(loom)]
#[test]
fn finds_ready_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/park.rs", "ready_queue_with_p");
        check(Size::default(), submit_against_idle(Queue::Next));
    });
}

#[cfg(loom)]
#[test]
fn finds_idle_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/wake.rs", "go_idle");
        check(Size::default(), submit_against_idle(Queue::Global));
    });
}

/// G 0 has yielded straight to G 1, which puts it into the queue and waits for it on its thread, keeping the P.
fn yield_against_idle(put: impl Fn(&World, MRef) + Copy + Send + Sync + 'static) -> impl Fn() {
    move || {
        let mut mk = Maker::new(2, 2);
        let _ = mk.token(vec![does(|_, _, _| ())]);
        let other = mk.token(vec![
            does(move |w, m, _| {
                let ctx = m.swap_ctx(Ctx::G);
                put(w, m);
                m.set_ctx(ctx);
            }),
            awaits(0),
        ]);
        let w = mk.make();
        let searcher = w.searcher();
        let m = w.worker_with(&[other]);
        w.go(searcher);
        w.go(m);
        w.finish();
    }
}

#[test]
fn yield_to_another_against_idle() {
    check(
        Size::default(),
        yield_against_idle(|w, m| {
            park::finish(m, w.gp(0), Mcall::Yield(Place::Tail));
        }),
    );
}

/// G 0 has chosen G 1, which g0 is to enter, and yields. While it is on its way to g0 both are in no queue. G 1 keeps
/// the P until G 0 has run.
#[test]
fn yield_to_chosen_against_idle() {
    check(Size::default(), || {
        let mut mk = Maker::new(2, 2);
        let first = mk.token(vec![
            Box::new(|w, m, gp| {
                m.chosen.set(w.gp(1).as_ptr());
                gp.set_status(GStatus::Runnable);
                Mcall::Yield(Place::Tail)
            }),
            does(|_, _, _| ()),
        ]);
        let _ = mk.token(vec![awaits(0)]);
        let w = mk.make();
        let searcher = w.searcher();
        let m = w.worker_with(&[first]);
        w.go(searcher);
        w.go(m);
        w.finish();
    });
}

/// A load of npidle before the fence may be older than the G in the queue.
#[cfg(loom)]
#[test]
fn finds_yield_that_looks_before_the_fence() {
    finds(DEADLOCK, || {
        check(
            Size::default(),
            yield_against_idle(|w, m| {
                m.must_p().put_tail(w.gp(0));
                if w.sched.npidle.load(Ordering::Relaxed) != 0 {
                    wake::wakep(w.sched, m);
                }
            }),
        );
    });
}

/// The owner pops, a thief steals, also from runnext: each G runs once, and no M sleeps while a G waits.
fn steal(ps: u32, next: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(ps, ps);
        let first = mk.token(vec![does(move |w, m, _| {
            for t in 1..3 {
                if next {
                    let _ = m.must_p().put_next(w.gp(t));
                } else {
                    m.must_p().put_tail(w.gp(t));
                }
            }
            wake::wakep(w.sched, m);
        })]);
        for _ in 1..3 {
            let _ = mk.token(vec![does(|_, _, _| ())]);
        }
        let w = mk.make();
        let thief = w.searcher();
        let m = w.worker_with(&[first]);
        w.go(thief);
        w.go(m);
        w.finish();
    }
}

#[test]
fn steal_from_the_queue() {
    check(Size { preemptions: 1, ..Size::default() }, steal(2, false));
}

/// (With preemptions this model is too large for loom; shuttle runs those schedules.)
#[test]
fn steal_runnext() {
    check(Size { preemptions: 0, ..Size::default() }, steal(2, true));
}

/// G 2 waits for G 0, which G 1 displaces from runnext: a searcher that finds no G and sleeps is woken for G 0. (G 2
/// puts G 0 into runnext without a wake, so the one wake of G 1 must serve both.)
#[test]
fn submit_that_displaces_against_idle() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let mut mk = Maker::new(2, 2);
        for _ in 0..2 {
            let _ = mk.token(vec![does(|_, _, _| ())]);
        }
        let next = does(|w: &World, m: MRef, _| _ = m.must_p().put_next(w.gp(0)));
        let submits = mk.token(vec![next, readies(1), awaits(0)]);
        let w = mk.make();
        let searcher = w.searcher();
        let m = w.worker_with(&[submits]);
        w.go(searcher);
        w.go(m);
        w.finish();
    });
}

/// WAKE-F1: G 0 submits two Gs with one wake, and all wait on their threads for the last of them to end. The M that
/// finds the first must start a searcher for the other.
fn found_one_of_two() -> impl Fn() {
    || {
        let mut mk = Maker::new(3, 3);
        let first = mk.token(vec![
            does(|w, m, _| {
                for t in 1..3 {
                    m.must_p().put_tail(w.gp(t));
                }
                wake::wakep(w.sched, m);
            }),
            awaits(2),
        ]);
        let _ = mk.token(vec![awaits(2)]);
        let _ = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let m = w.worker_with(&[first]);
        w.go(m);
        w.finish();
    }
}

#[test]
fn whoever_finds_wakes_the_next() {
    check(Size { preemptions: 1, ..Size::default() }, found_one_of_two());
}

/// Six Ms, ten Gs.
#[cfg(shuttle)]
#[test]
fn many_submit_and_idle() {
    check(Size::default(), || {
        let mut mk = Maker::new(4, 4);
        for i in 0..10usize {
            mk.token(match i {
                0 => vec![readies(2), readies(3), yields(), readies(4), awaits(4)],
                1 => vec![readies(5), in_and_out(), readies(6), awaits(6)],
                2 => vec![yields(), readies(7), yields()],
                3 => vec![in_and_out(), readies(8)],
                7 => vec![readies(9), awaits(9)],
                _ => vec![yields()],
            });
        }
        let w = mk.make();
        let (a, b, c) = (w.worker_with(&[0]), w.worker_with(&[1]), w.searcher());
        for m in [c, a, b] {
            w.go(m);
        }
        w.finish();
    });
}
