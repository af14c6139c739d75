//! resize.rs: Ps come and go while threads without a P read the table of Ps (LEGACY-S1).

use super::*;
use crate::protocol::idle;
use crate::sched::world;

/// Reads what sysmon and a searching M read without a P.
fn read(w: &World) {
    let sched = w.sched;
    wake::next_timer(sched);
    for p in sched.live_ps() {
        let _ = (p.status(), p.runq_empty(), p.timers.first());
    }
    for i in 0..2 {
        if let Some(p) = sched.p_at(i) {
            assert_eq!(p.id, i);
        }
    }
}

/// A resize from `from` to `to` Ps, while a reader without a P looks at all Ps. `idle`: all Ps are idle; otherwise the
/// last P runs a G with these steps.
fn resize(from: u32, to: u32, steps: fn() -> Vec<Step>, idle: bool) -> impl Fn() {
    move || {
        let most = from.max(to);
        let mut mk = Maker::new(from, most);
        let gs: Vec<usize> = if idle { Vec::new() } else { vec![mk.token(steps())] };
        let w = mk.make();
        if !idle {
            // The G runs on the last P, which the resize removes.
            let m = w.new_worker();
            let p = w.sched.p_at(from - 1).unwrap();
            let mut kept = Vec::new();
            loop {
                let mut lk = w.sched.lock.lock();
                let pp = idle::pidleget(w.sched, &mut lk).unwrap();
                if pp.p() == p {
                    for &g in &gs {
                        pp.put_tail(w.gp(g));
                    }
                    m.set_nextp(pp);
                    break;
                }
                kept.push(pp);
            }
            for pp in kept {
                let mut lk = w.sched.lock.lock();
                assert!(idle::pidleput(w.sched, &mut lk, pp).is_ok());
            }
            w.go(m);
        }
        w.host(move |w, m| {
            assert_eq!(world::gomaxprocs(m, to as i32).ok(), Some(from as i32));
            assert_eq!(w.sched.procs(), to);
            for p in w.sched.every_p().skip(to as usize) {
                assert!(p.status() == PStatus::Dead && p.runq_empty(), "RESIZE-V1");
            }
        });
        if idle {
            w.watcher(|w, _| read(w));
        }
        w.finish();
    }
}

#[test]
fn grow_against_reader() {
    check(Size { preemptions: 2, ..Size::default() }, resize(1, 2, Vec::new, true));
}

#[test]
fn shrink_against_reader() {
    check(Size { preemptions: 2, ..Size::default() }, resize(2, 1, Vec::new, true));
}

#[test]
fn grow_against_syscall() {
    check(Size { preemptions: 1, ..Size::default() }, resize(1, 2, || vec![in_and_out()], false));
}

/// The removed P has Gs, and its M is entering or exiting a syscall.
#[test]
fn shrink_against_syscall() {
    check(Size { preemptions: 1, ..Size::default() }, resize(2, 1, || vec![in_and_out()], false));
}

/// A resize beside a stop of the world or a barrier: they run in turn, and each sees one number of Ps.
fn beside(barrier: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 2).make();
        w.host(|_, m| assert!(world::gomaxprocs(m, 2).is_ok()));
        w.host(move |w, m| {
            if !barrier {
                stop_and_start(w, m, FOREVER);
                return;
            }
            super::barriers::barrier(w, m);
            let served: Vec<u32> = w.served.iter().map(|s| s.load(SeqCst)).collect();
            assert!(served == [1, 0] || served == [1, 1], "RAGGED-F1: {served:?}");
        });
        w.finish();
    }
}

#[test]
fn grow_beside_stop() {
    check(Size { preemptions: 2, ..Size::default() }, beside(false));
}

#[test]
fn grow_beside_barrier() {
    check(Size { preemptions: 2, ..Size::default() }, beside(true));
}

#[cfg(shuttle)]
#[test]
fn to_and_fro() {
    check(Size::default(), || {
        let mut mk = Maker::new(2, 5);
        let gs: Vec<usize> = (0..3).map(|_| mk.token(vec![yields(), in_and_out(), safepoint(), yields()])).collect();
        let w = mk.make();
        let m = w.worker_with(&gs);
        w.go(m);
        for way in [[1, 5], [3, 2]] {
            w.host(move |_, m| {
                for n in way {
                    assert!(world::gomaxprocs(m, n).is_ok());
                }
            });
        }
        w.watcher(|w, m| {
            read(w);
            for p in w.sched.live_ps() {
                p.watch.syscalltick.set(p.stats.syscalls.get());
                syscall::retake(w.sched, m, std::iter::once(p), 0);
            }
        });
        w.host(super::barriers::barrier);
        w.finish();
    });
}
