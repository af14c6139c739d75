//! The end of a runtime against a thread of the host that spawns (`Sched::close`, `park::start`).

use super::*;
use crate::protocol::park::Spawn;
use crate::sched::world;

/// Either the G is seen and the runtime stays up, or the spawn is refused.
fn spawn_against_close() -> impl Fn() {
    || {
        let mut mk = Maker::new(1, 1);
        let token = mk.token(vec![does(|_, m, _| m.must_p().stats.ended.bump())]);
        let w = mk.make();
        let started = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicUsize::new(0));
        let s = started.clone();
        w.host(move |w, m| {
            let null = std::ptr::null_mut();
            let what = Spawn { entry: null, arg: token as *mut _, flags: 0, stack_size: 0, name: Default::default() };
            let gp = park::newproc(m, &what).unwrap();
            gp.sp.set(std::ptr::dangling_mut());
            if park::start(m, gp) {
                s.store(1, SeqCst);
            } else {
                w.will_not_run(token);
            }
        });
        let c = closed.clone();
        w.host(move |w, m| {
            let over = world::close(m, None, |_| c.store(1, SeqCst));
            if over.ok() == Some(true) && c.load(SeqCst) == 1 {
                // It may have run and ended before.
                let ran = w.tokens[token].at.load(SeqCst) != 0;
                assert!(ran || started.load(SeqCst) == 0, "a G was started in a runtime that has ended");
                assert_eq!(w.sched.globq_len(), 0, "a G in a runtime that has ended");
                w.sched.lock.lock().stopping = false;
                world::open(w.sched);
            }
        });
        w.finish();
    }
}

#[test]
fn close_against_spawn() {
    check(Size::default(), spawn_against_close());
}

#[cfg(loom)]
#[test]
fn finds_spawn_without_fence() {
    finds(&["in a runtime that has ended", "deadlock"], || {
        without("gmp/sched.rs", "is_closing");
        check(Size::default(), spawn_against_close());
    });
}

/// `num_g` has a fence between the same two accesses, so the one in `close` is missed only together with it.
#[cfg(loom)]
#[test]
fn finds_close_without_fences() {
    finds(&["in a runtime that has ended", "deadlock"], || {
        without("gmp/sched.rs", "close");
        without("gmp/sched.rs", "num_g");
        check(Size::default(), spawn_against_close());
    });
}
