//! syscall.rs: enter and exit against retake and hand-off, and an exit that finds no P.

use super::*;
use crate::sync::asymmetric_fence_heavy;

/// Slices of length 0, so that retake takes each P that it may.
fn eager(w: &World) {
    w.sched.cfg.slice_ns.set(0);
}

/// G 0 enters and exits syscalls, with G 1 behind it on its P; sysmon looks at the P once or twice. SYSCALL-Y1: the P
/// has one owner, whether the exit or retake wins. SYSCALL-Y2: G 1 runs even if G 0 stays in its syscall until then.
fn retake_against_exit(stays: bool, looks: usize) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![
            calls(move |w, _| {
                if stays {
                    w.ended(1);
                }
            }),
            in_and_out(),
        ]);
        let second = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(move |w, me| {
            let p = w.sched.p_at(0).unwrap();
            if stays {
                // sysmon looks again and again, and so comes at the right moment in the end.
                while p.seen_status() != PStatus::Syscall {
                    thread::yield_now();
                }
                assert!(syscall::retake(w.sched, me, std::iter::once(p), 0).did);
            } else {
                for _ in 0..looks {
                    // As if sysmon had seen this syscall at an earlier look.
                    p.watch.syscalltick.set(p.stats.syscalls.get());
                    syscall::retake(w.sched, me, std::iter::once(p), 0);
                }
            }
        });
        w.finish();
    }
}

#[test]
fn retake_against_exit_in_time() {
    check(Size::default(), retake_against_exit(false, 1));
}

#[cfg(loom)]
#[test]
fn finds_exit_without_fence() {
    finds(TWO_OWNERS, || {
        without("protocol/syscall.rs", "come_back");
        check(Size::default(), retake_against_exit(false, 1));
    });
}

#[cfg(loom)]
#[test]
fn finds_retake_without_fence() {
    finds(TWO_OWNERS, || {
        without("protocol/syscall.rs", "retake");
        check(Size::default(), retake_against_exit(false, 1));
    });
}

/// SYSCALL-Y5: the system refuses the heavy fence while the M is in a syscall, or before it. `f` is a model.
fn without_heavy(f: impl Fn()) -> impl Fn() {
    move || {
        refuse_heavy_fence(true);
        f();
    }
}

#[test]
fn retake_without_heavy_against_exit() {
    check(Size::default(), without_heavy(retake_against_exit(false, 1)));
}

#[test]
fn stop_without_heavy_waits_for_a_syscall() {
    check(Size::default(), without_heavy(super::stops::stop_against_a_syscall()));
}

/// Each thread sees that the fence is lost. So retake takes the P from a call that began with a fence of its own, and
/// G 1 runs, for which that call waits.
#[test]
fn retake_after_the_loss_of_heavy() {
    let model = || {
        asymmetric_fence_heavy();
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![calls(|w, _| w.ended(1))]);
        let second = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(|w, me| {
            while w.sched.stats.retakes.load(Ordering::Relaxed) == 0 {
                syscall::retake(w.sched, me, std::iter::once(w.sched.p_at(0).unwrap()), 0);
                thread::yield_now();
            }
        });
        w.finish();
    };
    check(Size { preemptions: 1, ..Size::default() }, without_heavy(model));
}

#[test]
fn retake_twice_against_two_syscalls() {
    check(Size { preemptions: 2, ..Size::default() }, retake_against_exit(false, 2));
}

#[test]
fn retake_runs_what_waits_behind_a_syscall() {
    check(Size::default(), retake_against_exit(true, 0));
}

/// A chain of short syscalls, each of which sysmon sees for the first time: when the slice has passed, sysmon takes the
/// P all the same (SYSCALL-Y2 for G 1).
fn chain(slice_over: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let inside = Arc::new(Event::new());
        let i = inside.clone();
        let last = calls(move |w, _| {
            i.happen();
            w.ended(1);
        });
        let first = mk.token(vec![in_and_out(), last]);
        let second = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        w.sched.cfg.slice_ns.set(if slice_over { 0 } else { 1_000 });
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.watcher(move |w, me| {
            let p = w.sched.p_at(0).unwrap();
            // The last syscall, at which it looks for the first time: it has seen the one before.
            inside.wait(0, None);
            p.watch.syscalltick.set(1);
            p.watch.schedtick.set(p.schedtick.get());
            syscall::retake(w.sched, me, std::iter::once(p), 10);
        });
        w.finish();
    }
}

#[test]
fn retake_ends_a_chain_of_syscalls() {
    check(Size { preemptions: 1, ..Size::default() }, chain(true));
}

/// The earlier rule, broken: sysmon takes the P only from a syscall that it has seen twice.
#[cfg(loom)]
#[test]
fn finds_chain_that_goes_on() {
    finds(DEADLOCK, || check(Size::default(), chain(false)));
}

/// SYSCALL-Y2: a G enters a syscall that lasts until another G has run, and hands the only P off while a thread readies
/// that G. `looks`: as it ships; otherwise a P with empty queues goes idle without a second look.
fn submit_against_handoff(looks: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![Box::new(move |w: &World, m: MRef, gp: GRef| {
            if looks {
                syscall::entersyscallblock(m, gp, std::ptr::dangling_mut());
            } else {
                gp.set_status(GStatus::Syscall);
                m.set_ctx(Ctx::Syscall);
                m.oldp.set(std::ptr::null_mut());
                let pp = m.releasep();
                if pp.runq_empty() && w.sched.globq_len() == 0 {
                    wake::pidleput_carried(w.sched, w.sched.lock.lock(), m, pp);
                } else {
                    wake::startm(w.sched, m, pp, false);
                }
            }
            w.ended(1);
            if syscall::exitsyscall(m, gp) { Mcall::Stay } else { Mcall::ExitSyscallNoP }
        })]);
        let second = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let m = w.worker_with(&[first]);
        w.go(m);
        w.host(move |w, m| park::ready_queue(m, w.gp(second)));
        w.finish();
    }
}

#[test]
fn submit_against_handing_on() {
    check(Size { preemptions: 1, ..Size::default() }, submit_against_handoff(true));
}

#[cfg(loom)]
#[test]
fn finds_handoff_that_looks_once() {
    finds(DEADLOCK, || check(Size::default(), submit_against_handoff(false)));
}

/// A step that hands its P off, and waits in a syscall for the end of a G.
fn blocks_until(token: usize) -> Step {
    Box::new(move |w, m, gp| {
        syscall::entersyscallblock(m, gp, std::ptr::dangling_mut());
        w.ended(token);
        if syscall::exitsyscall(m, gp) { Mcall::Stay } else { Mcall::ExitSyscallNoP }
    })
}

/// SYSCALL-Y2, with another P that is idle at the hand-off of the first, so the hand-off need not start a searcher.
/// Before the first P is idle, a thread takes the other P, readies a G and keeps that P: it finds no idle P for the G.
#[test]
fn ready_against_handing_on_beside_an_idle_p() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let mut mk = Maker::new(2, 2);
        let first = mk.token(vec![blocks_until(1)]);
        let second = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let m = w.worker_with(&[first]);
        w.go(m);
        w.host(move |w, m| {
            visit(w, m, |_| {
                park::ready_queue(m, w.gp(second));
                w.ended(second);
            });
        });
        w.finish();
    });
}

/// A watcher waits until every P is idle, as `gmx_main` does. It is also told when a hand-off makes the last P idle.
#[test]
fn whoever_waits_for_quiet_is_told_of_a_hand_off() {
    check(Size::default(), || {
        let w = Maker::new(2, 2).make();
        w.sched.watchers.fetch_add(1, Ordering::SeqCst);
        w.host(|w, m| visit(w, m, |_| ()));
        w.stranger(|w| {
            loop {
                let seen = w.sched.watch.now();
                let quiet = {
                    let _lk = w.sched.lock.lock();
                    w.sched.npidle.load(Ordering::SeqCst) == w.sched.procs()
                };
                if quiet {
                    break;
                }
                w.sched.watch.wait(seen, None);
            }
        });
        w.finish();
    });
}

/// Two Gs on one P go through syscalls that hand it off at once, and come back through SYSCALL-X3 and SYSCALL-X4:
/// a G that finds no P goes to the global queue, and the other worker runs it.
fn blocking_calls(ps: u32) -> impl Fn() {
    move || {
        let mut mk = Maker::new(ps, ps);
        let blocks = || -> Step {
            Box::new(|_, m, gp| {
                syscall::entersyscallblock(m, gp, std::ptr::dangling_mut());
                if syscall::exitsyscall(m, gp) { Mcall::Stay } else { Mcall::ExitSyscallNoP }
            })
        };
        let a = mk.token(vec![blocks()]);
        let b = mk.token(vec![blocks()]);
        let w = mk.make();
        let m = w.worker_with(&[a, b]);
        w.go(m);
        w.finish();
    }
}

#[test]
fn blocking_calls_on_one_p() {
    check(Size::default(), blocking_calls(1));
}

#[cfg(shuttle)]
#[test]
fn blocking_calls_on_two_ps() {
    check(Size::default(), blocking_calls(2));
}

/// A foreign thread calls in and returns while a worker's G uses the only other P, and retake runs.
fn visitors(n: usize) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![in_and_out(), yields(), in_and_out()]);
        let w = mk.make();
        eager(&w);
        let m = w.worker_with(&[g]);
        w.go(m);
        for _ in 0..n {
            w.host(|w, m| visit(w, m, |_| ()));
        }
        w.finish();
    }
}

#[test]
fn visitor_and_worker_on_one_p() {
    check(Size::default(), visitors(1));
}

#[cfg(shuttle)]
#[test]
fn many_visitors_and_a_worker() {
    check(Size::default(), visitors(4));
}
