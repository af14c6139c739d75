//! once.rs: one caller runs the function, all others see what it did, and no caller waits forever.

use super::*;
use crate::block::once::{Begun, Once};
use crate::gmp::error::Error;

/// Several callers run the function or wait for it, some with a deadline that passes at any moment; one only looks
/// whether it is done.
fn all_do(threads: usize, late: usize, looks: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Once::default(), Sole::default(), AtomicUsize::new(0)));
        let ms: Vec<MRef> = (0..threads + late).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (i, &m) in ms.iter().enumerate() {
            let x = x.clone();
            let deadline = (i >= threads).then_some(1);
            w.host_as(m, move |_, m| {
                let (once, what, times) = &*x;
                match once.begin(m, deadline).1 {
                    Ok(Begun::Yes) => {
                        times.fetch_add(1, SeqCst);
                        what.touch();
                        once.end(m);
                    }
                    Ok(Begun::Done) => what.look(),
                    Err(e) => assert!(deadline.is_some() && e == Error::TimedOut),
                }
            });
        }
        if looks {
            let x = x.clone();
            w.host(move |_, _| {
                if x.0.is_done() {
                    x.1.look();
                }
            });
        }
        ms[threads..].iter().for_each(|m| m.park.time_out());
        w.finish();
        assert_eq!(x.2.load(SeqCst), 1, "done so often");
        assert!(x.0.is_done());
    }
}

#[test]
fn once_of_two() {
    check(Size { preemptions: 3, ..Size::default() }, all_do(2, 0, false));
}

#[test]
fn once_of_three() {
    check(Size { preemptions: 1, ..Size::default() }, all_do(3, 0, false));
}

#[test]
fn once_with_deadline() {
    check(Size::default(), all_do(1, 1, false));
}

#[test]
fn once_is_looked_at() {
    check(Size { preemptions: 3, ..Size::default() }, all_do(1, 0, true));
}

#[cfg(loom)]
#[test]
fn finds_once_without_release() {
    finds(TWO_OWNERS, || {
        relaxed("block/once.rs", "end", "DONE");
        check(Size::default(), all_do(1, 0, true));
    });
}

#[cfg(shuttle)]
#[test]
fn once_of_many() {
    check(Size::default(), all_do(4, 2, true));
}
