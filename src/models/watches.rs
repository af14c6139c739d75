//! chan/watch.rs: a watcher is told that a side is ready, and takes no value.

use super::chans::{C, chan, recv, send, try_recv};
use super::selects::select_recv;
use super::*;
use crate::block::chan::{Case, Op, UNBOUNDED};
use crate::block::select::{self, Cases};
use crate::gmp::error::{Error, Result};

fn ready(m: MRef, c: &C, side: Op, timeout: i64) -> Result<()> {
    let cases = [Case::watcher(c, side)];
    let r = select::select(m, Cases(&cases), timeout)?;
    assert_eq!(r, (0, Ok(())), "a watcher is told that it is ready, and nothing else");
    Ok(())
}

/// Watches as a caller does: until its own attempt succeeds, or the channel is closed.
fn watch_and_do(m: MRef, c: &C, side: Op, v: u64) -> Result<u64> {
    let mut v = v;
    loop {
        ready(m, c, side, FOREVER)?;
        match c.try_transfer(m, side, (&raw mut v).cast()) {
            Err(Error::Again) => {}
            r => return r.map(|()| v),
        }
    }
}

/// A watcher of one side against a thread that makes that side ready: with a value, with a free place, or as a waiter.
fn watch_against_partner(cap: usize, side: Op, by_select: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, cap);
        let m = foreign::needm(w.sched, 1).unwrap();
        let full = side == Op::Send && cap == 1;
        if full {
            assert_eq!(send(m, &c, 1, 0), Ok(()));
        }
        let d = c.clone();
        w.host(move |_, m| assert_eq!(watch_and_do(m, &d, side, 10), Ok(10)));
        let d = c.clone();
        w.host_as(m, move |_, m| {
            if side == Op::Send {
                let got = if by_select {
                    select_recv(m, &[&d, &d], FOREVER).unwrap().1
                } else {
                    recv(m, &d, FOREVER).unwrap()
                };
                assert_eq!(got, if full { 1 } else { 10 });
            } else if by_select {
                let mut v = 10u64;
                let cases = [0, 1].map(|_| Case::new(&d, Op::Send, (&raw mut v).cast()));
                assert!(matches!(select::select(m, Cases(&cases), FOREVER), Ok((_, Ok(())))));
            } else {
                assert_eq!(send(m, &d, 10, FOREVER), Ok(()));
            }
        });
        w.finish();
        assert_eq!(c.len(), usize::from(full));
    }
}

#[test]
fn watch_against_a_value() {
    check(Size { preemptions: 3, ..Size::default() }, watch_against_partner(1, Op::Recv, false));
    check(Size::default(), watch_against_partner(UNBOUNDED, Op::Recv, false));
}

#[test]
fn watch_against_a_place() {
    check(Size { preemptions: 3, ..Size::default() }, watch_against_partner(1, Op::Send, false));
}

#[test]
fn watch_against_one_that_queues() {
    for side in [Op::Recv, Op::Send] {
        check(Size::default(), watch_against_partner(0, side, false));
    }
}

#[test]
fn watch_against_a_select_that_queues() {
    for side in [Op::Recv, Op::Send] {
        check(Size::default(), watch_against_partner(0, side, true));
    }
}

/// Both sides are watched when the channel is closed.
#[test]
fn watch_against_close() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        for side in [Op::Recv, Op::Send] {
            let d = c.clone();
            w.host(move |_, m| assert_eq!(watch_and_do(m, &d, side, 10), Err(Error::Closed)));
        }
        w.host(move |_, m| assert_eq!(c.close(m), Ok(())));
        w.finish();
    });
}

/// WATCH-I2: two watchers, one value. One watcher receives it, and the other watches until the channel is closed.
#[test]
fn two_watch_one_value() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 1);
        let got = Arc::new(AtomicUsize::new(0));
        for _ in 0..2 {
            let (d, got) = (c.clone(), got.clone());
            w.host(move |_, m| {
                match watch_and_do(m, &d, Op::Recv, 0) {
                    Ok(v) => {
                        assert_eq!((v, got.fetch_add(1, SeqCst)), (10, 0));
                        assert_eq!(d.close(m), Ok(()));
                    }
                    Err(e) => assert_eq!((e, got.load(SeqCst)), (Error::Closed, 1)),
                };
            });
        }
        w.host(move |_, m| assert_eq!(send(m, &c, 10, FOREVER), Ok(())));
        w.finish();
        assert_eq!(got.load(SeqCst), 1);
    });
}

/// WATCH-I2: of two watchers the first one told does not take the value. (The second does; otherwise it would sleep
/// forever.)
#[test]
fn a_watcher_that_takes_nothing() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 1);
        let d = c.clone();
        w.host(move |_, m| assert_eq!(ready(m, &d, Op::Recv, FOREVER), Ok(())));
        let d = c.clone();
        w.host(move |_, m| {
            assert_eq!(ready(m, &d, Op::Recv, FOREVER), Ok(()));
            assert_eq!(try_recv(m, &d), Ok(10));
            assert_eq!(d.close(m), Ok(())); // the other may come after that
        });
        w.host(move |_, m| assert_eq!(send(m, &c, 10, FOREVER), Ok(())));
        w.finish();
    });
}

/// WATCH-I3: a receiver and a watcher, one value. The receiver gets the value; the watcher is told of the close.
#[test]
fn watch_beside_a_receiver() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 1);
        let d = c.clone();
        w.host(move |_, m| {
            let _ = ready(m, &d, Op::Recv, FOREVER);
        });
        let d = c.clone();
        w.host(move |_, m| {
            assert_eq!(recv(m, &d, FOREVER), Ok(10));
            assert_eq!(d.close(m), Ok(()));
        });
        w.host(move |_, m| assert_eq!(send(m, &c, 10, FOREVER), Ok(())));
        w.finish();
    });
}

/// The deadline of a watcher passes while a value comes: the watcher is told or times out, and is in no list then.
#[test]
fn watch_with_a_deadline() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 1);
        let late = foreign::needm(w.sched, 1).unwrap();
        let d = c.clone();
        w.host_as(late, move |_, m| match ready(m, &d, Op::Recv, 1) {
            Ok(()) => assert_eq!(try_recv(m, &d), Ok(10)),
            r => assert_eq!(r, Err(Error::TimedOut)),
        });
        w.host(move |_, m| assert_eq!(send(m, &c, 10, FOREVER), Ok(())));
        late.park.time_out();
        w.finish();
    });
}
