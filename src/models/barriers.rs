//! ragged.rs: the function runs once for each P, by a thread that owns the P meanwhile. Also the barrier beside a stop
//! of the world (LEGACY-S2, LEGACY-S5).

use super::*;
use crate::sched::world;
use std::ffi::c_void;

/// The barrier's function. A panic in an `extern "C"` frame would abort, so the checks of RAGGED-F1 come later, from
/// `served`. RAGGED-F2 is checked here by the P's `Sole`, which ends the process under loom and shuttle alike.
pub unsafe extern "C" fn serve(_: *mut c_void) {
    let w = super::world();
    let p = w.me().current_p().unwrap();
    w.own(p);
    w.served[p.id as usize].fetch_add(1, SeqCst);
}

/// A barrier, from any context.
pub fn barrier(_: &Arc<World>, m: MRef) {
    assert!(world::for_each_p(m, serve, std::ptr::null_mut()).is_ok());
}

fn served(w: &World, times: u32) {
    for p in w.sched.live_ps() {
        assert_eq!(w.served[p.id as usize].load(SeqCst), times, "RAGGED-F1: P {}", p.id);
    }
}

fn one_barrier(steps: fn() -> Vec<Step>, ps: u32) -> impl Fn() {
    move || {
        let mut mk = Maker::new(ps, ps);
        let g = mk.token(steps());
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(|w, m| {
            barrier(w, m);
            served(w, 1);
        });
        w.finish();
    }
}

#[test]
fn barrier_against_syscall() {
    check(Size::default(), one_barrier(|| vec![in_and_out()], 1));
}

#[test]
fn barrier_against_going_idle() {
    check(Size::default(), one_barrier(|| vec![does(|_, _, _| ())], 1));
}

#[test]
fn barrier_against_going_idle_beside_idle() {
    check(Size { preemptions: 1, ..Size::default() }, one_barrier(|| vec![does(|_, _, _| ())], 2));
}

#[test]
fn barrier_against_safepoint() {
    check(Size::default(), one_barrier(|| vec![safepoint(), does(|_, _, _| ())], 1));
}

/// A G calls the barrier and serves its own P first, while another G enters and exits a syscall.
#[test]
fn barrier_of_a_g() {
    check(Size::default(), || {
        let mut mk = Maker::new(2, 2);
        let g = mk.token(vec![in_and_out()]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(|w, m| {
            visit(w, m, |_| {
                barrier(w, m);
                served(w, 1);
            });
        });
        w.finish();
    });
}

/// The barrier owns the idle Ps while their function runs: a thread that returns from a syscall meanwhile finds no idle
/// P.
fn barrier_against_return(freeze: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        w.host(|w, m| visit(w, m, |_| ()));
        w.host(move |w, m| {
            if freeze {
                barrier(w, m);
                served(w, 1);
            } else {
                barrier_without_idle(w);
            }
        });
        w.finish();
    }
}

/// RAGGED-R2 and RAGGED-R3, broken: the barrier leaves the idle Ps in the idle list, whose lock no thread holds
/// meanwhile.
fn barrier_without_idle(w: &World) {
    let idle: Vec<PRef> = {
        let _lk = w.sched.lock.lock();
        w.sched.live_ps().filter(|p| p.status() == PStatus::Idle).collect()
    };
    for p in idle {
        w.own(p);
    }
}

#[test]
fn barrier_against_return_from_syscall() {
    check(Size::default(), barrier_against_return(true));
}

#[cfg(loom)]
#[test]
fn finds_barrier_that_leaves_idle_ps() {
    finds(TWO_OWNERS, || check(Size::default(), barrier_against_return(false)));
}

/// LEGACY-S5: a stop of the world and a barrier one after the other, in any order, while one M enters a syscall slowly
/// on a P that another M may take over.
fn both(steps: fn() -> Vec<Step>, ps: u32, visitor: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(ps, ps);
        let g = mk.token(steps());
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        if visitor {
            w.host(|w, m| visit(w, m, |_| ()));
        }
        w.host(|w, m| {
            stop_and_start(w, m, FOREVER);
            barrier(w, m);
            served(w, 1);
        });
        w.finish();
    }
}

#[test]
fn stop_then_barrier_against_syscall() {
    check(Size::default(), both(|| vec![in_and_out()], 1, false));
}

#[test]
fn stop_then_barrier_against_syscall_and_return() {
    check(Size { preemptions: 1, ..Size::default() }, both(|| vec![in_and_out()], 1, true));
}

/// Two barriers at once: each waits for the world's lock.
fn in_turn(timeout: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![in_and_out()]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |w, m| {
            stop_and_start(w, m, if timeout { 1 } else { FOREVER });
        });
        w.host(|w, m| {
            barrier(w, m);
            served(w, 1);
        });
        if timeout {
            w.sched.stopnote.time_out();
        }
        w.finish();
    }
}

#[test]
fn stop_and_barrier_in_turn() {
    check(Size { preemptions: 1, ..Size::default() }, in_turn(false));
}

#[cfg(shuttle)]
#[test]
fn stop_with_deadline_and_barrier_in_turn() {
    check(Size::default(), in_turn(true));
}

/// Stops, barriers, syscalls, returns and retakes all at once.
#[cfg(shuttle)]
#[test]
fn everything_at_once() {
    check(Size::default(), || {
        let mut mk = Maker::new(3, 3);
        let mut gs = Vec::new();
        for i in 0..4 {
            gs.push(mk.token(match i {
                0 => vec![in_and_out(), yields(), in_and_out()],
                1 => vec![safepoint(), yields(), in_and_out()],
                2 => vec![readies(4), in_and_out(), safepoint()],
                _ => vec![yields(), in_and_out(), yields()],
            }));
        }
        mk.token(vec![yields(), in_and_out()]);
        let w = mk.make();
        w.sched.cfg.slice_ns.set(0);
        let (a, b) = (w.worker_with(&gs[..2]), w.worker_with(&gs[2..]));
        w.go(a);
        w.go(b);
        w.host(|w, m| {
            barrier(w, m);
            visit(w, m, |_| barrier(w, m));
        });
        w.host(|w, m| {
            stop_and_start(w, m, FOREVER);
            barrier(w, m);
        });
        w.host(|w, m| {
            visit(w, m, |_| ());
            stop_and_start(w, m, 1);
        });
        w.watcher(|w, m| {
            for p in w.sched.live_ps() {
                syscall::retake(w.sched, m, std::iter::once(p), 0);
                syscall::retake(w.sched, m, std::iter::once(p), 0);
            }
        });
        w.sched.stopnote.time_out();
        let seen = w.clone();
        w.finish();
        served(&seen, 3);
    });
}
