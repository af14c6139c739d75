//! class.rs: a class runs at most its number of calls at a time, each call gets its turn, and no call is inside a class
//! that is freed.

use super::*;
use crate::block::class;
use crate::gmp::error::Error;
use crate::gmp::g::GName;

/// Several calls in a class with room for one. Some of them have a deadline, which passes at any moment.
fn turns(calls: usize, late: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let ms: Vec<MRef> = (0..calls + late).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let handle = class::make(ms[0], 1, GName::NONE).unwrap();
        let inside = Arc::new(Sole::default());
        let turns = Arc::new(AtomicUsize::new(0));
        for (i, &m) in ms.iter().enumerate() {
            let (inside, turns) = (inside.clone(), turns.clone());
            let deadline = (i >= calls).then_some(1);
            w.host_as(m, move |_, m| match class::enter(m, handle, deadline) {
                Ok((m, c)) => {
                    inside.touch();
                    turns.fetch_add(1, SeqCst);
                    class::leave(Some(m), c);
                }
                Err(e) => assert!(deadline.is_some() && e == Error::TimedOut),
            });
        }
        ms[calls..].iter().for_each(|m| m.park.time_out());
        w.finish();
        assert!(turns.load(SeqCst) >= calls);
        assert_eq!(class::free(ms[0], handle), Ok(()));
        assert_eq!(class::enter(ms[0], handle, None).err(), Some(Error::Stale));
    }
}

#[test]
fn turns_of_two() {
    check(Size::default(), turns(2, 0));
}

#[test]
fn turns_with_a_deadline() {
    check(Size { preemptions: 1, ..Size::default() }, turns(1, 1));
}

#[cfg(shuttle)]
#[test]
fn turns_of_many() {
    check(Size::default(), turns(4, 2));
}

/// A thread calls in a class while another frees the class and makes the next one, perhaps in the same memory, with a
/// call of its own.
#[test]
fn a_call_against_free() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let handle = class::make(ms[1], 1, GName::NONE).unwrap();
        let what = Arc::new(Sole::default());
        let (a, b) = (what.clone(), what.clone());
        w.host_as(ms[0], move |_, m| match class::enter(m, handle, None) {
            Ok((m, c)) => {
                a.touch();
                class::leave(Some(m), c);
            }
            Err(e) => assert_eq!(e, Error::Stale),
        });
        w.host_as(ms[1], move |_, m| match class::free(m, handle) {
            Ok(()) => {
                // No call is inside the former class, so this call owns what that class guarded.
                b.touch();
                let next = class::make(m, 1, GName::NONE).unwrap();
                assert_ne!(next, handle);
                let (m, c) = class::enter(m, next, None).unwrap();
                b.touch();
                class::leave(Some(m), c);
            }
            Err(e) => assert_eq!(e, Error::Busy),
        });
        w.finish();
    });
}
