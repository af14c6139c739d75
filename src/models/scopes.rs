//! scope.rs: whoever leaves has all its children behind it, and one leaves.

use super::*;
use crate::block::scope;
use crate::gmp::error::Error;

extern "C" fn child(_: *mut std::ffi::c_void) -> i32 {
    unreachable!("the steps of a token are what runs")
}

/// A child comes to this, and ends.
fn comes_to(result: i32) -> impl Fn(&World, MRef, GRef) {
    move |_, m, gp| {
        scope::returned(m, gp, result);
        scope::on_exit(m, gp);
    }
}

/// So many children begin, each with something to do; one or more threads leave, the last of them perhaps until a deadline
/// that passes at any moment.
fn leave_against_children(children: usize, leavers: usize, late: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let done: Arc<Vec<Sole>> = Arc::new((0..children).map(|_| Sole::new()).collect());
        let tokens: Vec<usize> = (0..children)
            .map(|i| {
                let d = done.clone();
                let touches = does(move |_, _, _| d[i].touch());
                mk.token(vec![touches, does(comes_to(if i == 0 { -5 } else { 0 }))])
            })
            .collect();
        let w = mk.make();
        let ms: Vec<MRef> = (0..leavers).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let handle = scope::make(ms[0], -1).unwrap();
        for &t in &tokens {
            assert!(scope::spawn(ms[0], handle, child, t as *mut _).is_ok());
        }
        let left = Arc::new(AtomicUsize::new(0));
        for (i, &m) in ms.iter().enumerate() {
            let (d, l) = (done.clone(), left.clone());
            let until = late && i + 1 == leavers;
            w.host_as(m, move |_, m| match scope::leave(m, handle, if until { 1 } else { -1 }) {
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
            assert!(late, "nobody has left");
            assert!(tokens.iter().all(|&t| ended.tokens[t].at.load(SeqCst) == usize::MAX));
            assert_eq!(scope::leave(ms[0], handle, -1), Ok(-5), "it may be left again");
        }
        assert_eq!(scope::leave(ms[0], handle, 0), Err(Error::Stale));
    }
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
