//! stw.rs: the world stops, no G runs until it is started, and it runs again.

use super::*;
use crate::gmp::p::{STOP, Taken};
use crate::protocol::stw::Stop;
use crate::sched::world;
use crate::sync::asymmetric_fence_heavy;

/// One P runs a G with these steps (syscalls, yields, polls); a second P, if there is one, is idle. A foreign thread
/// stops the world.
fn stop(steps: fn() -> Vec<Step>, ps: u32, timeout: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(ps, ps);
        let g = mk.token(steps());
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |w, m| {
            if !timeout {
                stop_and_start(w, m, FOREVER);
                return;
            }
            // STW-A3: a stop that times out names the Ps that held it up.
            let mut late = 0;
            let stopped = world::stop_the_world(m, 1, |_| late += 1).is_ok();
            assert_eq!(stopped, late == 0, "a stop fails exactly if it names a P that was late");
            if stopped {
                w.own_all();
                world::start_the_world(m);
            }
        });
        if timeout {
            w.sched.stopnote.time_out();
        }
        w.finish();
    }
}

fn through_a_syscall() -> Vec<Step> {
    vec![in_and_out()]
}

fn going_idle() -> Vec<Step> {
    vec![does(|_, _, _| ())]
}

fn polling() -> Vec<Step> {
    vec![safepoint(), does(|_, _, _| ())]
}

pub fn stop_against_a_syscall() -> impl Fn() {
    stop(through_a_syscall, 1, false)
}

#[test]
fn stop_against_syscall() {
    check(Size::default(), stop_against_a_syscall());
}

/// A G enters a syscall and stays there until the stop (or barrier) is over. Either the stopper sees the P in the
/// syscall, or the entering thread sees the request (SYSCALL-Y3).
fn asked_on_the_way_in(ask: fn(&Arc<World>, MRef)) -> impl Fn() {
    move || {
        let over = Arc::new(Event::new());
        let seen = over.clone();
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![calls(move |_, _| {
            seen.wait(0, None);
        })]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |w, m| {
            ask(w, m);
            over.happen();
        });
        w.finish();
    }
}

fn a_stop(w: &Arc<World>, m: MRef) {
    stop_and_start(w, m, FOREVER);
}

#[test]
fn stop_against_the_way_into_a_syscall() {
    check(Size::default(), asked_on_the_way_in(a_stop));
}

#[test]
fn barrier_against_the_way_into_a_syscall() {
    check(Size::default(), asked_on_the_way_in(super::barriers::barrier));
}

#[test]
fn both_against_the_way_into_a_syscall() {
    check(
        Size::default(),
        asked_on_the_way_in(|w, m| {
            super::barriers::barrier(w, m);
            stop_and_start(w, m, FOREVER);
        }),
    );
}

/// sysmon looks at the P at the same moment: it or the stopper takes the P, and the stop is answered. (Too many threads
/// for loom.)
#[cfg(shuttle)]
fn stop_beside_retake() -> impl Fn() {
    move || {
        let over = Arc::new(Event::new());
        let seen = over.clone();
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![calls(move |_, _| {
            seen.wait(0, None);
        })]);
        let w = mk.make();
        w.sched.cfg.slice_ns.set(0);
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |w, m| {
            a_stop(w, m);
            over.happen();
        });
        w.watcher(|w, me| {
            let p = w.sched.p_at(0).unwrap();
            p.watch.syscalltick.set(p.stats.syscalls.get());
            syscall::retake(w.sched, me, std::iter::once(p), 0);
        });
        w.finish();
    }
}

#[cfg(shuttle)]
#[test]
fn stop_and_retake_against_a_syscall() {
    check(Size::default(), stop_beside_retake());
}

#[cfg(loom)]
#[test]
fn finds_enter_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/syscall.rs", "leave");
        check(Size::default(), asked_on_the_way_in(a_stop));
    });
}

#[cfg(loom)]
#[test]
fn finds_stop_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/stw.rs", "stop");
        check(Size::default(), asked_on_the_way_in(a_stop));
    });
}

#[cfg(loom)]
#[test]
fn finds_barrier_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/ragged.rs", "take_outside");
        check(Size::default(), asked_on_the_way_in(super::barriers::barrier));
    });
}

#[test]
fn stop_against_going_idle() {
    check(Size::default(), stop(going_idle, 1, false));
}

#[test]
fn stop_against_going_idle_beside_idle() {
    check(Size { preemptions: 1, ..Size::default() }, stop(going_idle, 2, false));
}

#[test]
fn stop_against_safepoint() {
    check(Size::default(), stop(polling, 1, false));
}

#[test]
fn stop_given_up_against_syscall() {
    check(Size::default(), stop(through_a_syscall, 1, true));
}

#[test]
fn stop_given_up_against_going_idle() {
    check(Size::default(), stop(going_idle, 1, true));
}

#[test]
fn stop_given_up_against_safepoint() {
    check(Size::default(), stop(polling, 1, true));
}

/// A thread enters the runtime while the world is stopped: it must not find a P.
fn stop_against_return(freeze: bool) -> impl Fn() {
    move || {
        let w = Maker::new(2, 2).make();
        w.host(|w, m| visit(w, m, |_| ()));
        w.host(move |w, m| {
            if freeze {
                stop_and_start(w, m, FOREVER);
            } else {
                stop_without_idle(w, m);
            }
        });
        w.finish();
    }
}

/// STW-A1 without its first half: the stopper leaves the idle Ps in the idle list.
fn stop_without_idle(w: &World, m: MRef) {
    let sched = w.sched;
    {
        let mut lk = sched.lock.lock();
        sched.stopnote.clear();
        lk.stopping = true;
        lk.stopwait = 0;
        for p in sched.live_ps() {
            if p.request(STOP) == (PStatus::Running, true) {
                lk.stopwait += 1;
            }
        }
        asymmetric_fence_heavy();
        for p in sched.live_ps() {
            if let Some(Taken { pp, .. }) = p.try_take_requested(STOP, false) {
                pp.stop();
                lk.stopwait -= 1;
            }
        }
        if lk.stopwait == 0 {
            sched.stopnote.wakeup();
        }
    }
    sched.stopnote.sleep();
    w.own_all();
    crate::protocol::stw::start(sched, m);
}

#[test]
fn stop_against_return_from_syscall() {
    check(Size::default(), stop_against_return(true));
}

#[cfg(loom)]
#[test]
fn finds_stop_that_leaves_idle_ps() {
    finds(TWO_OWNERS, || check(Size::default(), stop_against_return(false)));
}

/// STW-C3: while the world is stopped no P is idle, so a thread that readies a G wakes no M. The start must.
fn submit_against_start(by_barrier: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        w.host(move |w, m| park::ready_queue(m, w.gp(g)));
        w.host(move |w, m| {
            if by_barrier {
                super::barriers::barrier(w, m);
            } else {
                stop_and_start(w, m, FOREVER);
            }
        });
        w.finish();
    }
}

#[test]
fn submit_against_start_of_the_world() {
    check(Size::default(), submit_against_start(false));
}

#[test]
fn submit_against_barrier() {
    check(Size::default(), submit_against_start(true));
}

#[cfg(loom)]
#[test]
fn finds_start_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/wake.rs", "look_again");
        check(Size::default(), submit_against_start(false));
    });
}

/// LEGACY-S3: two Gs stop the world, and each waits for its turn by parking. `on_g0`, broken: each blocks its thread,
/// as a wait on the scheduler's stack would. A G that waits so keeps its P, which never stops.
fn two_gs_stop(on_g0: bool) -> impl Fn() {
    move || {
        let w = Maker::new(2, 2).make();
        for _ in 0..2 {
            w.host(move |w, m| {
                visit(w, m, |_| {
                    if on_g0 {
                        m.set_ctx(Ctx::Foreign);
                        let reason = crate::gmp::g::WaitReason::WORLD;
                        assert!(crate::block::sema::acquire(m, &w.sched.worldsema, None, reason).1.is_ok());
                        m.set_ctx(Ctx::Sched);
                        assert!(crate::protocol::stw::stop(w.sched, m, Stop::Code, None, |_| ()));
                        crate::sched::world::start_the_world(m);
                    } else {
                        stop_and_start(w, m, FOREVER);
                    }
                });
            });
        }
        w.finish();
    }
}

#[test]
fn two_gs_stop_the_world() {
    check(Size { preemptions: 1, ..Size::default() }, two_gs_stop(false));
}

#[cfg(loom)]
#[test]
fn finds_world_lock_on_the_schedulers_stack() {
    finds(DEADLOCK, || check(Size { preemptions: 1, ..Size::default() }, two_gs_stop(true)));
}

/// A larger case: workers with Gs of many kinds, and two stoppers of the world, one of them with a deadline.
#[cfg(shuttle)]
#[test]
fn two_stops_against_many() {
    check(Size::default(), || {
        let mut mk = Maker::new(3, 3);
        let mut gs = Vec::new();
        for i in 0..4 {
            gs.push(mk.token(match i % 4 {
                0 => vec![in_and_out(), yields(), in_and_out()],
                1 => vec![safepoint(), yields(), safepoint()],
                2 => vec![does(|w, m, _| park::ready_queue(m, w.gp(4))), in_and_out()],
                _ => vec![yields(), in_and_out(), safepoint()],
            }));
        }
        mk.token(vec![yields(), in_and_out()]);
        let w = mk.make();
        let (a, b) = (w.worker_with(&gs[..2]), w.worker_with(&gs[2..]));
        w.go(a);
        w.go(b);
        w.host(|w, m| {
            stop_and_start(w, m, FOREVER);
        });
        w.host(|w, m| {
            stop_and_start(w, m, 1);
            visit(w, m, |_| ());
        });
        w.sched.stopnote.time_out();
        w.finish();
    });
}
