//! seize.rs: code of the host that does not call the library loses its P, and gets one again.

use super::*;
use crate::protocol::seize;
use crate::sched::world;
use crate::sync::asymmetric_fence_heavy;

/// A step that runs code of the host: a part of its G that the library does not see.
fn host(f: impl Fn(&World, MRef) + Send + Sync + 'static) -> Step {
    does(move |w, m, _| {
        m.go_outside();
        f(w, m);
        seize::come_in(m);
        w.own_p(m);
    })
}

/// As [`host`], and the nudge comes in the middle of it: a signal handler that runs between two instructions.
fn nudged(f: impl Fn(&World, MRef) + Send + Sync + 'static) -> Step {
    host(move |w, m| {
        seize::hold(m, std::ptr::dangling_mut());
        f(w, m);
    })
}

fn eager(w: &World) {
    w.sched.cfg.slice_ns.set(0);
    w.sched.cfg.seizes.set(true);
}

/// SEIZE-W2 to SEIZE-W4 for P 0, which was asked to end its slice. (Whether there is a thread for it is nothing to
/// these steps: the model makes one.)
fn look(w: &World, me: MRef) {
    let p = w.sched.p_at(0).unwrap();
    p.request(PREEMPT);
    p.announce();
    asymmetric_fence_heavy();
    if let Some(taken) = syscall::take(w.sched, p, |host| p.try_retake(host)) {
        taken.pp.clear_request(PREEMPT);
        syscall::handoffp(w.sched, me, taken.pp);
    }
}

/// SEIZE-G1: G 0 goes out and comes back, with G 1 behind it on the only P, while the watchdog looks. The P has one
/// owner, whichever side is first; both Gs run to their ends.
fn out_against_take(looks: usize) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![host(|_, _| ()), safepoint()]);
        let second = mk.token(vec![does(|_, _, _| ()), safepoint()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(move |w, me| (0..looks).for_each(|_| look(w, me)));
        w.finish();
    }
}

#[test]
fn out_and_back_against_one_look() {
    check(Size::default(), out_against_take(1));
}

#[test]
fn out_and_back_against_two_looks() {
    check(Size { preemptions: 1, ..Size::default() }, out_against_take(2));
}

#[cfg(loom)]
#[test]
fn finds_way_in_without_fence() {
    finds(TWO_OWNERS, || {
        without("protocol/seize.rs", "come_in_with");
        check(Size::default(), out_against_take(1));
    });
}

#[cfg(loom)]
#[test]
fn finds_way_out_that_releases_nothing() {
    finds(TWO_OWNERS, || {
        relaxed("gmp/m.rs", "go_outside", "Release");
        check(Size::default(), out_against_take(1));
    });
}

/// G 0 waits in the host's code for G 1, which needs its P (a read without a bracket).
#[test]
fn out_for_as_long_as_another_needs() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![host(|w, _| w.ended(1)), safepoint()]);
        let second = mk.token(vec![safepoint()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(move |w, me| {
            let p = w.sched.p_at(0).unwrap();
            while !p.in_host(p.word()) {
                thread::yield_now();
            }
            look(w, me);
        });
        w.finish();
    });
}

/// A pinned G keeps its P.
#[test]
fn pinned_code_keeps_its_p() {
    check(Size::default(), || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![
            does(|_, m, _| assert!(m.pin())),
            host(|w, _| w.own(w.sched.p_at(0).unwrap())),
            does(|_, m, _| assert!(m.unpin() == Some(0))),
            safepoint(),
        ]);
        let second = mk.token(vec![safepoint()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(|w, me| look(w, me));
        w.finish();
    });
}

/// G 0 stays in the host's code until `act` is over, which needs its P.
fn over_beside_code(act: fn(&Arc<World>, MRef)) -> impl Fn() {
    move || {
        let over = Arc::new(Event::new());
        let seen = over.clone();
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![host(move |_, _| {
            seen.wait(0, None);
        })]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |w, m| {
            let p = w.sched.p_at(0).unwrap();
            while !p.in_host(p.word()) {
                thread::yield_now();
            }
            act(w, m);
            over.happen();
        });
        w.finish();
    }
}

/// A stop that needs the Ps waits for no code.
#[test]
fn stop_for_the_ps_waits_for_no_code() {
    let stop = |w: &Arc<World>, m| world::with_stopped_world(m, |_, _| w.own_all()).unwrap();
    check(Size { preemptions: 1, ..Size::default() }, over_beside_code(stop));
}

/// The same for a barrier (RAGGED-F1: its function runs once for each P).
#[test]
fn barrier_waits_for_no_code() {
    check(Size { preemptions: 1, ..Size::default() }, over_beside_code(super::barriers::barrier));
}

/// SEIZE-G6: code that has lost its P counts for a stop of all code. `code` stands for what a collector looks at.
fn stop_of_code() -> impl Fn() {
    move || {
        let code = Arc::new(Sole::default());
        let (one, two) = (code.clone(), code);
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![host(move |_, _| one.touch()), safepoint()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[g]);
        w.go(m);
        w.watcher(|w, me| look(w, me));
        w.host(move |_, m| {
            world::stop_the_world(m, FOREVER, |_| ()).unwrap();
            two.touch();
            world::start_the_world(m);
        });
        w.finish();
    }
}

#[test]
fn stop_of_code_waits_for_what_has_no_p() {
    check(Size { preemptions: 1, ..Size::default() }, stop_of_code());
}

/// Two workers, one P: G 0 is nudged in the host's code, with G 1 behind it. The P goes to the other worker, and comes
/// back to the held thread.
fn held(watches: bool, also: fn(&Arc<World>), steps: fn() -> Vec<Step>) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let mut all = vec![nudged(|_, _| ())];
        all.extend(steps());
        let first = mk.token(all);
        let second = mk.token(vec![safepoint()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        // Asked before it runs, so that the nudge finds it asked.
        let p = w.sched.p_at(0).unwrap();
        p.request(PREEMPT);
        p.nudge();
        w.go(w.new_worker());
        w.go(m);
        if watches {
            w.watcher(|w, me| look(w, me));
        }
        also(&w);
        w.finish();
    }
}

#[test]
fn held_and_resumed() {
    check(Size { preemptions: 1, ..Size::default() }, held(false, |_| (), Vec::new));
}

/// SEIZE-H2: the thread is to be held while the watchdog takes its P.
#[test]
fn held_against_take() {
    check(Size { preemptions: 1, ..Size::default() }, held(true, |_| (), Vec::new));
}

/// SEIZE-G4: G 0 has a lock of the host that a new thread needs. The watchdog takes its only P, for which there is no
/// thread, and then the thread of G 0 is to be held.
#[test]
fn none_is_held_while_its_p_waits_for_a_thread() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let unlocked = Arc::new(Event::new());
        let unlocks = unlocked.clone();
        let mut mk = Maker::new(1, 1);
        mk.0.thread_needs = Some(unlocked);
        let first = mk.token(vec![nudged(move |_, _| unlocks.happen()), safepoint()]);
        let second = mk.token(vec![safepoint()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(|w, me| look(w, me));
        w.finish();
    });
}

#[cfg(loom)]
#[test]
fn finds_hold_without_fence() {
    // Both make the P idle.
    finds(&["two owners", "Causality violation", "assertion failed: w.status()"], || {
        without("protocol/seize.rs", "step_in");
        check(Size::default(), held(true, |_| (), Vec::new));
    });
}

/// SEIZE-B1: a stop of all code has the held thread go on, until it reaches a call.
#[test]
fn held_against_stop_of_code() {
    check(
        Size { preemptions: 1, ..Size::default() },
        held(
            false,
            |w| {
                w.host(|w, m| {
                    stop_and_start(w, m, FOREVER);
                });
            },
            || vec![safepoint()],
        ),
    );
}
