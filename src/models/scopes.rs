//! scope.rs: one caller leaves the scope, after all its children have ended.

use super::*;
use crate::block::{cancel, scope, sema, waitq};
use crate::gmp::error::Error;
use crate::gmp::g::WaitReason;
use crate::sync::AtomicU32;
use std::sync::atomic::AtomicU64;

extern "C" fn child(_: *mut std::ffi::c_void) -> i32 {
    unreachable!("the steps of a token are what runs")
}

/// A child returns this, and ends.
fn comes_to(result: i32) -> impl Fn(&World, MRef, GRef) {
    move |_, m, gp| {
        scope::returned(m, gp, result);
        scope::on_exit(m, gp);
    }
}

/// Several children begin and work. One or more threads leave the scope, the last of them perhaps with a deadline that
/// passes at any moment.
fn leave_against_children(children: usize, leavers: usize, late: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let done: Arc<Vec<Sole>> = Arc::new((0..children).map(|_| Sole::default()).collect());
        let tokens: Vec<usize> = (0..children)
            .map(|i| {
                let d = done.clone();
                let touches = does(move |_, _, _| d[i].touch());
                mk.token(vec![touches, does(comes_to(if i == 0 { -5 } else { 0 }))])
            })
            .collect();
        let w = mk.make();
        let ms: Vec<MRef> = (0..leavers).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let handle = scope::make(ms[0], FOREVER).unwrap();
        for &t in &tokens {
            assert!(scope::spawn(ms[0], handle, child, t as *mut _).is_ok());
        }
        let left = Arc::new(AtomicUsize::new(0));
        for (i, &m) in ms.iter().enumerate() {
            let (d, l) = (done.clone(), left.clone());
            let until = late && i + 1 == leavers;
            w.host_as(m, move |_, m| match scope::leave(m, handle, if until { 1 } else { FOREVER }) {
                Ok(error) => {
                    assert_eq!(error, -5, "the first error");
                    d.iter().for_each(Sole::touch);
                    assert_eq!(l.fetch_add(1, SeqCst), 0, "left twice");
                }
                Err(e) => {
                    assert!(matches!(e, Error::Busy | Error::Stale) && leavers > 1 || until && e == Error::TimedOut)
                }
            });
        }
        if late {
            ms[leavers - 1].park.time_out();
        }
        let ended = w.clone();
        w.finish();
        if left.load(SeqCst) == 0 {
            assert!(late, "no caller has left the scope");
            assert!(tokens.iter().all(|&t| ended.tokens[t].at.load(SeqCst) == usize::MAX));
            assert_eq!(scope::leave(ms[0], handle, FOREVER), Ok(-5), "it may be left again");
        }
        assert_eq!(scope::leave(ms[0], handle, 0), Err(Error::Stale));
    }
}

/// A thread spawns while another leaves. A child that started has ended when the leave returns; a spawn that comes too
/// late is refused. `first`: a child exists already, so the leaver may have to put the handle back and wait.
fn spawn_against_leave(first: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let done = Arc::new(Sole::default());
        let d = done.clone();
        let late = mk.token(vec![does(move |_, _, _| d.touch()), does(comes_to(0))]);
        let early = first.then(|| mk.token(vec![does(comes_to(0))]));
        let w = mk.make();
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let handle = scope::make(ms[0], FOREVER).unwrap();
        if let Some(t) = early {
            assert!(scope::spawn(ms[0], handle, child, t as *mut _).is_ok());
        }
        w.host_as(ms[0], move |w, m| {
            if let Err(e) = scope::spawn(m, handle, child, late as *mut _) {
                assert_eq!(e, Error::Stale);
                w.will_not_run(late);
            }
        });
        let d = done.clone();
        w.host_as(ms[1], move |_, m| {
            assert_eq!(scope::leave(m, handle, FOREVER), Ok(0));
            d.touch();
        });
        w.finish();
        assert_eq!(scope::spawn(ms[0], handle, child, late as *mut _), Err(Error::Stale));
    }
}

/// A leaver that only looks takes the handle away for a moment: a spawn in that moment is not told that the scope was
/// left.
#[test]
fn spawn_against_a_look() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let mut mk = Maker::new(1, 1);
        let (early, late) = (mk.token(vec![does(comes_to(0))]), mk.token(vec![does(comes_to(0))]));
        let w = mk.make();
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let handle = scope::make(ms[0], FOREVER).unwrap();
        assert!(scope::spawn(ms[0], handle, child, early as *mut _).is_ok());
        let (left, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (l, r) = (left.clone(), refused.clone());
        w.host_as(ms[0], move |w, m| {
            if scope::spawn(m, handle, child, late as *mut _).is_err() {
                r.store(1, SeqCst);
                w.will_not_run(late);
            }
        });
        w.host_as(ms[1], move |_, m| l.store(usize::from(scope::leave(m, handle, 0) == Ok(0)), SeqCst));
        w.finish();
        assert!(left.load(SeqCst) == 1 || refused.load(SeqCst) == 0, "refused, and not left");
    });
}

/// A child makes a scope in that moment: the new scope knows the one around it, by which a leave of that one from
/// within is told to be a deadlock.
#[test]
fn make_against_a_look() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let mut mk = Maker::new(1, 1);
        let handle = Arc::new(AtomicU64::new(0));
        let around = handle.clone();
        let makes = does(move |_, m, _| {
            let inner = scope::make(m, FOREVER).unwrap();
            assert_eq!(scope::outer_of(m, inner), Ok(around.load(SeqCst)), "the scope around it");
            assert_eq!(scope::leave(m, inner, 0), Ok(0));
        });
        let t = mk.token(vec![makes, does(comes_to(0))]);
        let w = mk.make();
        let m = foreign::needm(w.sched, 1).unwrap();
        let of = scope::make(m, FOREVER).unwrap();
        handle.store(of, SeqCst);
        assert!(scope::spawn(m, of, child, t as *mut _).is_ok());
        w.host_as(m, move |_, m| {
            if scope::leave(m, of, 0).is_err() {
                assert_eq!(scope::leave(m, of, FOREVER), Ok(0));
            }
        });
        w.finish();
    });
}

#[test]
fn spawn_against_leave_alone() {
    check(Size { preemptions: 3, ..Size::default() }, spawn_against_leave(false));
}

#[cfg(loom)]
#[test]
fn finds_spawn_without_fence() {
    finds(TWO_OWNERS, || {
        without("block/scope.rs", "spawn");
        check(Size { preemptions: 3, ..Size::default() }, spawn_against_leave(false));
    });
}

#[cfg(loom)]
#[test]
fn finds_leave_without_fence() {
    finds(TWO_OWNERS, || {
        without("block/scope.rs", "leave_why");
        check(Size { preemptions: 3, ..Size::default() }, spawn_against_leave(false));
    });
}

#[test]
fn spawn_against_leave_with_a_child() {
    check(Size { preemptions: 2, ..Size::default() }, spawn_against_leave(true));
}

/// The body waits inside the scope for an event that no thread brings; a child fails and so ends the wait. `other`: a
/// second thread tries to enter and to leave the scope, and is refused.
fn body_against_a_failure(other: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let t = mk.token(vec![does(comes_to(-5))]);
        let w = mk.make();
        let m = foreign::needm(w.sched, 1).unwrap();
        let handle = scope::make(m, FOREVER).unwrap();
        assert!(scope::enter(m, handle).is_ok());
        assert!(scope::spawn(m, handle, child, t as *mut _).is_ok());
        let left = Arc::new(AtomicUsize::new(0));
        let l = left.clone();
        w.host_as(m, move |_, m| {
            let (m, got) = sema::acquire(m, &AtomicU32::new(0), None, WaitReason::SEMACQUIRE);
            assert_eq!(got, Err(Error::Canceled));
            assert_eq!(scope::leave(m, handle, FOREVER), Ok(-5));
            assert!(cancel::current(waitq::waiter(m)).is_none(), "SCOPE-L3");
            l.store(1, SeqCst);
        });
        if other {
            w.host(move |_, m| {
                assert!(matches!(scope::enter(m, handle), Err(Error::Busy | Error::Stale)));
                assert!(matches!(scope::leave(m, handle, FOREVER), Err(Error::Perm | Error::Stale)), "it is inside");
            });
        }
        w.finish();
        assert_eq!(left.load(SeqCst), 1);
    }
}

#[test]
fn body_against_the_first_error() {
    check(Size { preemptions: 2, ..Size::default() }, body_against_a_failure(false));
}

#[test]
fn body_against_another_that_leaves() {
    check(Size { preemptions: 1, ..Size::default() }, body_against_a_failure(true));
}

/// SCOPE-X1: the G inside the scope ends; another thread can leave the scope after that.
#[test]
fn leave_against_the_end_inside() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let m = foreign::needm(w.sched, 1).unwrap();
        let handle = scope::make(m, FOREVER).unwrap();
        assert!(scope::enter(m, handle).is_ok());
        let done = Arc::new(Sole::default());
        let d = done.clone();
        w.host_as(m, move |_, m| {
            d.touch();
            let gp = waitq::waiter(m);
            scope::on_exit_inside(m, gp);
            cancel::on_exit(m.sched(), gp);
        });
        let (d, left) = (done.clone(), Arc::new(AtomicUsize::new(0)));
        let l = left.clone();
        w.host(move |_, m| match scope::leave(m, handle, FOREVER) {
            Ok(error) => {
                assert_eq!(error, 0);
                d.touch();
                l.store(1, SeqCst);
            }
            Err(e) => assert_eq!(e, Error::Perm),
        });
        w.finish();
        if left.load(SeqCst) == 0 {
            assert_eq!(scope::leave(m, handle, FOREVER), Ok(0));
        }
        assert_eq!(scope::leave(m, handle, 0), Err(Error::Stale));
    });
}

#[test]
fn leave_against_a_child() {
    check(Size { preemptions: 1, ..Size::default() }, leave_against_children(1, 1, false));
}

#[test]
fn leave_until_a_deadline() {
    check(Size { preemptions: 1, ..Size::default() }, leave_against_children(1, 1, true));
}

#[test]
fn two_leave() {
    check(Size { preemptions: 1, ..Size::default() }, leave_against_children(1, 2, false));
}

#[cfg(shuttle)]
#[test]
fn many_children() {
    check(Size::default(), leave_against_children(4, 2, true));
}
