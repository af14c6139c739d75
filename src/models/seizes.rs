//! seize.rs: code of the host that does not call the library loses its P, and gets one again.

use super::*;
#[cfg(loom)]
use crate::gmp::g::GList;
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

/// As [`host`], and the G comes in by a way for code that is free.
fn host_of_free_code() -> Step {
    does(|w, m, _| {
        m.go_outside();
        match seize::Inside::try_enter_free(m) {
            Some(call) => call.is_out(),
            None => seize::come_in(m),
        }
        w.own_p(m);
    })
}

/// As [`host`], and the G goes from there into a syscall (SEIZE-N5).
fn host_and_syscall() -> Step {
    Box::new(|w, m, gp| {
        let sp = std::ptr::dangling_mut();
        m.go_outside();
        if let Some(call) = seize::Inside::enter_to_leave(m, gp, sp) {
            call.is_out();
            w.own_p(m);
            syscall::entersyscall(m, gp, sp);
        }
        if syscall::exitsyscall(m, gp) { Mcall::Stay } else { Mcall::ExitSyscallNoP }
    })
}

/// The watchdog has asked for the end of the slice and nudges, just before the G leaves the library.
fn ask(m: MRef) {
    let p = m.must_p().p();
    p.request(PREEMPT);
    p.nudge();
}

/// As [`host`], and a signal handler runs between two instructions of it.
fn signaled(f: impl Fn(&World, MRef) + Send + Sync + 'static) -> Step {
    host(move |w, m| {
        seize::hold(m, std::ptr::dangling_mut());
        f(w, m);
    })
}

/// As [`signaled`], for a thread that is to be held.
fn nudged(f: impl Fn(&World, MRef) + Send + Sync + 'static) -> Step {
    let signaled = signaled(f);
    Box::new(move |w, m, gp| {
        ask(m);
        signaled(w, m, gp)
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
    if let Some(taken) = syscall::take(w.sched, me, p, |host| p.try_retake(host)) {
        taken.pp.clear_request(PREEMPT);
        syscall::handoffp(w.sched, me, taken.pp);
    }
}

/// The watchdog takes the P of G 0, which stays in the host's code until then.
fn take_from_host(w: &World, me: MRef) {
    let p = w.sched.p_at(0).unwrap();
    while !p.in_host(p.word()) {
        thread::yield_now();
    }
    look(w, me);
    assert_eq!(w.sched.lock.lock().taken, 1);
}

/// A thing that some schedule of a model is to meet, and how often one has met it.
type Meets = (&'static str, fn(&Sched) -> u64);

/// Runs a model, which returns its Sched, and asserts that the schedules have met each of these. Otherwise the bound on
/// preemptions may leave out just those that the model is about. (The schedules of shuttle are random.)
fn check_that_meets(size: Size, meets: &'static [Meets], f: impl Fn() -> &'static Sched + Send + Sync + 'static) {
    let met: Arc<Vec<AtomicU32>> = Arc::new(meets.iter().map(|_| AtomicU32::new(0)).collect());
    let counts = met.clone();
    check(size, move || {
        let sched = f();
        for (n, meets) in counts.iter().zip(meets) {
            n.fetch_add(meets.1(sched) as u32, SeqCst);
        }
    });
    for (n, meets) in met.iter().zip(meets) {
        eprintln!("met {} {} times", meets.0, n.load(SeqCst));
        assert!(cfg!(shuttle) || n.load(SeqCst) > 0, "no schedule has met {}", meets.0);
    }
}

/// SEIZE-G1: G 0 goes out and comes back (`out`), with G 1 behind it on the only P, while the watchdog looks. The P has
/// one owner, whichever side is first; both Gs run to their ends.
fn out_against_take(looks: usize, out: fn() -> Step) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![out(), safepoint()]);
        let second = mk.token(vec![does(|_, _, _| ()), safepoint()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(move |w, me| (0..looks).for_each(|_| look(w, me)));
        w.finish();
    }
}

fn plain() -> Step {
    host(|_, _| ())
}

#[test]
fn out_and_back_of_free_code_against_one_look() {
    check(Size::default(), out_against_take(1, host_of_free_code));
}

#[test]
fn out_and_into_a_syscall_against_one_look() {
    check(Size::default(), out_against_take(1, host_and_syscall));
}

#[cfg(loom)]
#[test]
fn finds_way_in_of_free_code_without_fence() {
    finds(TWO_OWNERS, || {
        without("protocol/seize.rs", "try_enter_free");
        check(Size::default(), out_against_take(1, host_of_free_code));
    });
}

#[cfg(loom)]
#[test]
fn finds_way_into_a_syscall_without_fence() {
    finds(TWO_OWNERS, || {
        without("protocol/seize.rs", "enter_to_leave");
        check(Size::default(), out_against_take(1, host_and_syscall));
    });
}

#[test]
fn out_and_back_against_one_look() {
    check(Size::default(), out_against_take(1, plain));
}

/// The system refuses the heavy fence: no look takes the P (SEIZE-G1).
#[test]
fn out_and_back_without_heavy() {
    check(Size::default(), || {
        refuse_heavy_fence(true);
        out_against_take(1, plain)();
    });
}

#[test]
fn out_and_back_against_two_looks() {
    check(Size { preemptions: 1, ..Size::default() }, out_against_take(2, plain));
}

#[cfg(loom)]
#[test]
fn finds_way_in_without_fence() {
    finds(TWO_OWNERS, || {
        without("protocol/seize.rs", "come_in_with");
        check(Size::default(), out_against_take(1, plain));
    });
}

#[cfg(loom)]
#[test]
fn finds_way_out_that_releases_nothing() {
    finds(TWO_OWNERS, || {
        relaxed("gmp/m.rs", "go_outside", "Release");
        check(Size::default(), out_against_take(1, plain));
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

/// SEIZE-G6: code that has lost its P counts for a stop of all code that comes later. `code` stands for what a
/// collector looks at.
#[test]
fn stop_of_code_waits_for_what_has_no_p() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let (code, lost) = (Arc::new(Sole::default()), Arc::new(Event::new()));
        let (one, two, seen) = (code.clone(), code, lost.clone());
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![host(move |_, _| {
            seen.wait(0, None);
            one.touch();
        })]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[g]);
        w.go(m);
        let watchdog = w.sched.malloc(Kind::Worker).unwrap();
        watchdog.set_ctx(Ctx::Sched);
        w.host(move |w, m| {
            take_from_host(w, watchdog);
            lost.happen();
            world::stop_the_world(m, FOREVER, |_| ()).unwrap();
            two.touch();
            world::start_the_world(m);
        });
        w.finish();
    });
}

/// The same while another thread takes the P just then: the stop counts the code, or has asked the P before.
#[test]
fn stop_of_code_against_take() {
    check_that_meets(Size { preemptions: 1, ..Size::default() }, &[TAKEN], || {
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
        let sched = w.sched;
        w.finish();
        sched
    });
}

/// Two workers, one P: G 0 begins with `first`, where it is nudged in the host's code, with G 1 behind it. The P goes
/// to the other worker, and comes back to the held thread.
fn held(first: Vec<Step>, also: impl FnOnce(&Arc<World>)) -> &'static Sched {
    held_by(first, vec![safepoint()], 0, also)
}

/// The same, with these steps of G 1, and slices of this length: if it is 0, the held thread has its turn before G 1.
fn held_by(first: Vec<Step>, second: Vec<Step>, slice: i64, also: impl FnOnce(&Arc<World>)) -> &'static Sched {
    let mut mk = Maker::new(1, 1);
    let first = mk.token(first);
    let second = mk.token(second);
    let w = mk.make();
    eager(&w);
    w.sched.cfg.slice_ns.set(slice);
    let m = w.worker_with(&[first, second]);
    w.go(w.new_worker());
    w.go(m);
    also(&w);
    let sched = w.sched;
    w.finish();
    let at_rest = |m: MRef| !m.held.get() && !m.out.get() && !m.bailed.load(Ordering::Relaxed);
    assert!(sched.every_m().all(at_rest) && sched.lock.lock().taken == 0, "a hold is under way at the end");
    sched
}

const SEIZED: Meets = ("a hold", |s| s.stats.seized.load(Ordering::Relaxed));
const TAKEN: Meets = ("a take", |s| s.stats.taken.load(Ordering::Relaxed));
const BAILED: Meets = ("a bail", |s| s.stats.bailed.load(Ordering::Relaxed));

#[test]
fn held_and_resumed() {
    let size = Size { preemptions: 2, ..Size::default() };
    check_that_meets(size, &[SEIZED], || held(vec![nudged(|_, _| ())], |_| ()));
}

/// `step` is the first step of G 0.
fn held_beside_a_look(step: Step) -> &'static Sched {
    held(vec![step], |w| w.watcher(|w, me| look(w, me)))
}

/// SEIZE-H2: the thread is to be held while the watchdog takes its P.
#[test]
fn held_against_take() {
    check_that_meets(Size { preemptions: 1, ..Size::default() }, &[SEIZED, TAKEN], || {
        held_beside_a_look(nudged(|_, _| ()))
    });
}

/// SEIZE-G4: G 0 has a lock of the host that a new thread needs. The watchdog takes its only P, for which there is no
/// thread, and then the thread of G 0 is to be held.
fn p_waits_for_a_thread(needs: Needs) {
    check(Size { preemptions: 1, ..Size::default() }, move || {
        let unlocked = Arc::new(Event::new());
        let unlocks = unlocked.clone();
        let mut mk = Maker::new(1, 1);
        mk.0.thread_needs = Some((needs, unlocked));
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

#[test]
fn none_is_held_while_its_p_waits_for_a_thread() {
    p_waits_for_a_thread(Needs::Maker);
}

/// The thread has been made, and asks the host for more before it takes the P.
#[test]
fn none_is_held_while_its_p_waits_for_a_newborn() {
    p_waits_for_a_thread(Needs::Newborn);
}

/// The watchdog has taken the P, or does so just then: its thread is held without one.
#[test]
fn held_after_a_take() {
    // One more than elsewhere: the new thread for the P has to begin before the other is held (SEIZE-G4).
    let size = Size { preemptions: 2, ..Size::default() };
    check_that_meets(size, &[SEIZED, TAKEN], || held_beside_a_look(signaled(|_, _| ())));
}

#[cfg(loom)]
#[test]
fn finds_hold_without_fence() {
    // Both make the P idle.
    finds(&["two owners", "Causality violation", "assertion failed: w.status()"], || {
        without("protocol/seize.rs", "step_in");
        check(Size::default(), || _ = held_beside_a_look(signaled(|_, _| ())));
    });
}

/// SEIZE-B1 against LOCKEDM-K2: a stop of all code takes the held G from the queue, or another M does and gives it a P
/// that is to stop. Either way its thread continues without a P, and the stop waits until it is at a call.
fn held_beside_a_stop(timeout: i64) -> &'static Sched {
    held_by_one_beside_a_stop(vec![safepoint()], 0, timeout)
}

/// The same, as [`held_by`].
fn held_by_one_beside_a_stop(second: Vec<Step>, slice: i64, timeout: i64) -> &'static Sched {
    // No step of the model.
    let in_code = Arc::new(AtomicU32::new(0));
    let (begin, end, seen) = (in_code.clone(), in_code.clone(), in_code);
    let first =
        vec![does(move |_, _, _| begin.store(1, SeqCst)), nudged(move |_, _| end.store(0, SeqCst)), safepoint()];
    held_by(first, second, slice, |w| {
        w.host(move |w, m| {
            if world::stop_the_world(m, timeout, |_| ()).is_ok() {
                assert_eq!(seen.load(SeqCst), 0, "SEIZE-B1: a thread in the middle of the host's code");
                w.own_all();
                world::start_the_world(m);
            }
        });
        if timeout != FOREVER {
            w.sched.stopnote.time_out();
        }
    })
}

#[test]
fn held_against_stop_of_code() {
    let size = Size { preemptions: 1, ..Size::default() };
    check_that_meets(size, &[SEIZED, TAKEN, BAILED], || held_beside_a_stop(FOREVER));
}

#[test]
fn held_against_stop_of_code_that_is_given_up() {
    let size = Size { preemptions: 1, ..Size::default() };
    check_that_meets(size, &[SEIZED, TAKEN, BAILED], || held_beside_a_stop(1));
}

/// Two hogs, one P, and a lock of the host. G 0 is held while it has the lock, and G 1 gets the P and sleeps in the
/// system until the lock is free. `watched`: the watchdog takes the P from the sleeper (SEIZE-W4) and gives it to G 0.
fn lock_of_the_host(watched: bool) -> &'static Sched {
    let (lock, soon) = (Arc::new(checker::sync::Mutex::new(())), Arc::new(Event::new()));
    let (one, two, seen) = (lock.clone(), lock, soon.clone());
    let mut mk = Maker::new(1, 1);
    let first = mk.token(vec![
        does(|_, m, _| ask(m)),
        host(move |_, m| {
            let _has = one.lock().unwrap();
            seize::hold(m, std::ptr::dangling_mut());
        }),
    ]);
    let second = mk.token(vec![host(move |_, _| {
        soon.happen();
        drop(two.lock().unwrap());
    })]);
    let w = mk.make();
    eager(&w);
    // Otherwise the held thread has its turn before G 1.
    w.sched.cfg.slice_ns.set(1_000);
    let m = w.worker_with(&[first, second]);
    w.go(w.new_worker());
    w.go(m);
    w.watcher(move |w, me| {
        seen.wait(0, None);
        if watched {
            look(w, me);
        }
    });
    let sched = w.sched;
    w.finish();
    sched
}

#[test]
fn sleeper_waits_for_a_lock_of_the_held() {
    let size = Size { preemptions: 1, ..Size::default() };
    check_that_meets(size, &[SEIZED, TAKEN], || lock_of_the_host(true));
}

#[cfg(loom)]
#[test]
fn finds_sleeper_that_keeps_its_p() {
    finds(DEADLOCK, || check(Size { preemptions: 1, ..Size::default() }, || _ = lock_of_the_host(false)));
}

/// SEIZE-B2 against LOCKEDM-K2: the watchdog takes the held G from the queue, or another M does and gives it a P.
#[test]
fn let_go_against_its_p() {
    check_that_meets(Size { preemptions: 2, ..Size::default() }, &[SEIZED, BAILED], || {
        held(vec![nudged(|_, _| ()), safepoint()], |w| w.watcher(|w, _| _ = seize::let_go(w.sched)))
    });
}

/// What was let go is nudged again: it is held again, or gets a P.
#[test]
fn let_go_and_held_again() {
    check_that_meets(Size { preemptions: 1, ..Size::default() }, &[SEIZED, BAILED], || {
        let again = |_: &World, m| seize::hold(m, std::ptr::dangling_mut());
        held(vec![nudged(again), safepoint()], |w| {
            w.watcher(|w, _| (0..2).for_each(|_| _ = seize::let_go(w.sched)));
        })
    });
}

/// SEIZE-B2 against a stop of all code, which counts what was let go just before, and lets go itself what was not. (G 1
/// does it in the watchdog's place: loom has no room for one more thread.)
fn let_go_beside_a_stop(lets_go: fn(&Sched)) -> &'static Sched {
    held_by_one_beside_a_stop(vec![does(move |w, _, _| lets_go(w.sched)), safepoint()], 1_000, FOREVER)
}

#[test]
fn let_go_against_stop_of_code() {
    check_that_meets(Size { preemptions: 1, ..Size::default() }, &[SEIZED, BAILED], || {
        let_go_beside_a_stop(|sched| _ = seize::let_go(sched))
    });
}

/// The same, and what is let go does not count.
#[cfg(loom)]
#[test]
fn finds_let_go_that_is_not_counted() {
    finds(&["SEIZE-B1: a thread in the middle", "assertion failed: lk.taken > 0"], || {
        check(Size { preemptions: 1, ..Size::default() }, || {
            let_go_beside_a_stop(|sched| {
                let mut gs = GList::new();
                sched.globrunqget_hog().into_iter().for_each(|gp| gs.push_back(gp));
                seize::go_on(sched, gs);
            });
        });
    });
}

/// RESCUE-7: G 0 is held while it has a lock of the host, and G 1, which is pinned to the only P, waits for the lock.
fn lock_of_the_held(lets_go: bool) -> &'static Sched {
    let (lock, soon) = (Arc::new(checker::sync::Mutex::new(())), Arc::new(Event::new()));
    let (one, two, seen) = (lock.clone(), lock, soon.clone());
    let mut mk = Maker::new(1, 1);
    let first = mk.token(vec![
        does(|_, m, _| ask(m)),
        host(move |_, m| {
            let _has = one.lock().unwrap();
            seize::hold(m, std::ptr::dangling_mut());
        }),
    ]);
    let second = mk.token(vec![
        does(|_, m, _| assert!(m.pin())),
        host(move |_, _| {
            soon.happen();
            drop(two.lock().unwrap());
        }),
        does(|_, m, _| assert!(m.unpin() == Some(0))),
    ]);
    let w = mk.make();
    eager(&w);
    // Otherwise the held thread has its turn before G 1.
    w.sched.cfg.slice_ns.set(1_000);
    let m = w.worker_with(&[first, second]);
    w.go(w.new_worker());
    w.go(m);
    w.watcher(move |w, _| {
        seen.wait(0, None);
        if lets_go {
            seize::let_go(w.sched);
        }
    });
    let sched = w.sched;
    w.finish();
    sched
}

#[test]
fn pinned_code_waits_for_a_lock_of_the_held() {
    let size = Size { preemptions: 1, ..Size::default() };
    check_that_meets(size, &[SEIZED, BAILED], || lock_of_the_held(true));
}

#[cfg(loom)]
#[test]
fn finds_held_thread_that_is_not_let_go() {
    finds(DEADLOCK, || check(Size { preemptions: 1, ..Size::default() }, || _ = lock_of_the_held(false)));
}
