//! tidy.rs: the cache of stacks of a P has one user at a time, also while the tidier empties the cache of an idle P.

use super::*;
use crate::fiber::stack::Stack;
use crate::protocol::tidy;

/// A step that leaves a stack with the P.
fn leaves_a_stack() -> Step {
    does(|_, m, _| m.must_p().push_stack(Stack { hi: std::ptr::dangling_mut(), class: 0 }, |_| ()))
}

/// A G leaves a stack with its P, which goes idle; a foreign thread brings the P another G. Beside them `take` empties
/// the caches of idle Ps.
fn beside_work(take: fn(&World)) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![leaves_a_stack()]);
        let second = mk.token(vec![leaves_a_stack()]);
        let w = mk.make();
        let m = w.worker_with(&[first]);
        w.go(m);
        w.host(move |w, m| park::ready_queue(m, w.gp(second)));
        w.watcher(move |w, _| take(w));
        w.finish();
    }
}

fn as_the_tidier(w: &World) {
    for p in w.sched.live_ps() {
        tidy::idle_stacks(w.sched, p, |_| ());
    }
}

/// TIDY-I1, broken: the tidier looks whether the P is idle, and takes its stacks without the lock.
#[cfg(loom)]
fn without_the_lock(w: &World) {
    for p in w.sched.live_ps().filter(|p| p.status() == PStatus::Idle) {
        // SAFETY: none: the model shows it.
        unsafe { p.take_idle_stacks(&mut [const { std::mem::MaybeUninit::uninit() }; 4]) };
    }
}

#[test]
fn tidier_beside_work() {
    check(Size { preemptions: 2, ..Size::default() }, beside_work(as_the_tidier));
}

#[test]
#[cfg(loom)]
fn tidier_without_the_lock_is_found() {
    finds(TWO_OWNERS, || check(Size { preemptions: 2, ..Size::default() }, beside_work(without_the_lock)));
}

/// Two Ps, of which one idles while the other works and looks at its own cache (TIDY-T4).
#[test]
fn tidier_beside_an_owner_that_looks() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let mut mk = Maker::new(2, 2);
        let g = mk.token(vec![leaves_a_stack(), does(|w, m, _| tidy::look(w.sched, m.must_p()))]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.watcher(|w, _| {
            w.sched.tidy.fetch_add(1, SeqCst);
            as_the_tidier(w);
        });
        w.finish();
    });
}
