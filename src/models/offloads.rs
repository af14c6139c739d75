//! block/offload.rs: a permit is given back while its first waiter is canceled, and another one waits. No permit is
//! lost, and the other waiter gets one. And block/names.rs: an answer against a caller whose time is over.

use super::cancels::{token, under};
use super::*;
use crate::block::cancel::{self, Kind, Reason};
use crate::block::names::parties;
use crate::block::sema;
use crate::block::waitq::How;
use crate::gmp::error::Error;
use crate::gmp::g::WaitReason;
use crate::sync::AtomicU32;

/// OFFLOAD-R1. A file's permit has [`Kind::Own`], for which no token counts.
fn takes(m: MRef, s: &AtomicU32) -> Result<(), Error> {
    sema::acquire_by(m, s, How::new(Kind::Event, WaitReason::OFFLOAD, None)).1
}

/// A caller gives its permit back by `gives`. Another one, under a token, and perhaps a third wait for one.
fn give_back_against_cancel(gives: fn(MRef, &AtomicU32), third: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let s = Arc::new(AtomicU32::new(0));
        let c = token(&w, None);
        let (t, own) = (s.clone(), c.clone());
        w.host(move |_, m| match under(m, &own, || takes(m, &t)) {
            Ok(()) => sema::pass_on(m, &t),
            Err(e) => assert_eq!(e, Error::Canceled),
        });
        if third {
            let t = s.clone();
            w.host(move |_, m| {
                assert_eq!(takes(m, &t), Ok(()));
                sema::pass_on(m, &t);
            });
        }
        w.host(move |_, m| assert!(cancel::cancel(m, &c, Reason::BY_HAND)));
        let t = s.clone();
        w.host(move |_, m| gives(m, &t));
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst), 1, "OFFLOAD-I1");
    }
}

#[test]
fn permit_against_a_canceled_waiter() {
    check(Size::default(), give_back_against_cancel(sema::pass_on, false));
}

#[test]
fn permit_against_a_canceled_waiter_before_another() {
    check(Size { preemptions: 1, ..Size::default() }, give_back_against_cancel(sema::pass_on, true));
}

/// OFFLOAD-R3 without a look for waiters.
#[cfg(loom)]
#[test]
fn finds_permit_that_only_counts() {
    fn counts(_: MRef, s: &AtomicU32) {
        s.fetch_add(1, Ordering::SeqCst);
    }
    finds(DEADLOCK, || check(Size { preemptions: 1, ..Size::default() }, give_back_against_cancel(counts, true)));
}

/// The asker answers, and the caller waits; perhaps its time is over.
fn answer_against_caller(late: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let q = parties::question();
        let m = foreign::needm(w.sched, 1).unwrap();
        w.host_as(m, move |_, m| {
            let got = parties::caller(m, q, if late { 1 } else { FOREVER });
            assert!(got == parties::ANSWER || late && got == Error::TimedOut, "{got:?}");
        });
        w.host(move |_, m| parties::asker(m, q));
        if late {
            m.park.time_out();
        }
        w.finish();
    }
}

#[test]
fn answer_beside_its_caller() {
    check(Size { preemptions: 3, ..Size::default() }, answer_against_caller(false));
}

#[test]
fn answer_beside_a_caller_whose_time_is_over() {
    check(Size { preemptions: 3, ..Size::default() }, answer_against_caller(true));
}

/// NAMES-B3: the asker looks for a waiter before the answer is there for it.
#[cfg(loom)]
#[test]
fn finds_answer_without_fence() {
    finds(DEADLOCK, || {
        without("block/names.rs", "serve");
        check(Size { preemptions: 3, ..Size::default() }, answer_against_caller(false));
    });
}

/// NAMES-I2: the caller sees what the asker has written.
#[cfg(loom)]
#[test]
fn finds_answer_without_release() {
    finds(TWO_OWNERS, || {
        relaxed("block/names.rs", "serve", "word.compare_exchange");
        check(Size { preemptions: 3, ..Size::default() }, answer_against_caller(false));
    });
}
