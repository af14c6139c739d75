//! lockedm.rs: a locked G runs on its own M only, and gets its P from the M that takes it from a queue.

use super::*;
use crate::protocol::lockedm;

/// The G of an extra M yields to another G. Its P goes to a worker, which runs the other G, finds the locked G in the
/// global queue and hands the P over to its M.
fn yield_to(beside: impl Fn(&Arc<World>) + Send + Sync + 'static, ps: u32) -> impl Fn() {
    move || {
        let mut mk = Maker::new(ps, ps);
        let other = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        w.host(move |w, m| {
            visit(w, m, |gp| {
                m.must_p().put_tail(w.gp(other));
                park::gosched(m);
                assert!(m.g() == Some(gp) && gp.status() == GStatus::Running);
            });
        });
        beside(&w);
        w.finish();
    }
}

#[test]
fn yield_and_come_back() {
    check(Size::default(), yield_to(|_| (), 1));
}

#[test]
fn yield_and_come_back_beside_an_idle_p() {
    check(Size { preemptions: 1, ..Size::default() }, yield_to(|_| (), 2));
}

/// LOCKEDM-K3 while a stop is under way: the stopper takes the P that was handed over.
#[test]
fn yield_against_stop() {
    check(
        Size { preemptions: 1, ..Size::default() },
        yield_to(
            |w| {
                w.host(|w, m| {
                    stop_and_start(w, m, FOREVER);
                });
            },
            1,
        ),
    );
}

#[test]
fn yield_against_barrier() {
    check(Size { preemptions: 1, ..Size::default() }, yield_to(|w| w.host(super::barriers::barrier), 1));
}

/// A G of a worker locks its thread, leaves its P in each possible way, and unlocks the thread. Another M runs the
/// other G meanwhile; the locked G runs on its own M only.
fn locked_worker(steps: fn() -> Vec<Step>, ps: u32) -> impl Fn() {
    move || {
        let mut mk = Maker::new(ps, ps);
        let mut all: Vec<Step> = vec![does(lockedm_lock)];
        all.extend(steps());
        all.push(does(|_, m, gp| {
            assert!(m.lockedg() == Some(gp), "a locked G on another M");
            lockedm::unlock(m, gp);
        }));
        let g = mk.token(all);
        let other = mk.token(vec![does(|_, m, _| assert!(m.lockedg().is_none(), "another G on a locked M"))]);
        let w = mk.make();
        let m = w.worker_with(&[g, other]);
        w.go(m);
        w.finish();
    }
}

fn lockedm_lock(_: &World, m: MRef, gp: GRef) {
    lockedm::lock(m, gp);
}

#[test]
fn locked_worker_yields() {
    check(Size::default(), locked_worker(|| vec![yields()], 1));
}

#[test]
fn locked_worker_calls() {
    check(Size::default(), locked_worker(|| vec![in_and_out(), yields()], 2));
}

#[cfg(shuttle)]
#[test]
fn locked_worker_does_everything() {
    check(Size::default(), locked_worker(|| vec![yields(), in_and_out(), safepoint(), yields(), in_and_out()], 2));
}

#[cfg(shuttle)]
#[test]
fn many_locked() {
    check(Size::default(), || {
        let mut mk = Maker::new(2, 2);
        let others: Vec<usize> = (0..3).map(|_| mk.token(vec![yields(), in_and_out(), safepoint()])).collect();
        let w = mk.make();
        for other in others {
            w.host(move |w, m| {
                visit(w, m, |_| {
                    park::ready_queue(m, w.gp(other));
                    park::gosched(m);
                    w.own_p(m);
                    park::gosched(m);
                });
            });
        }
        w.host(|w, m| {
            stop_and_start(w, m, 1);
            super::barriers::barrier(w, m);
        });
        w.watcher(|w, m| {
            w.sched.cfg.slice_ns.set(0);
            for p in w.sched.live_ps() {
                syscall::retake(w.sched, m, std::iter::once(p), 0);
            }
        });
        w.sched.stopnote.time_out();
        w.finish();
    });
}
