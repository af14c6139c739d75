//! claim.rs, chan.rs, segments.rs: a value moves once or not at all, and no waiter misses its partner.

use super::cancels::{token, under};
use super::*;
use crate::block::cancel::{self, Reason};
use crate::block::chan::{Chan, Op, UNBOUNDED};
use crate::block::claim;
use crate::gmp::error::{Error, Result};
use std::ptr::NonNull;

/// A channel that the threads of a model share; the last of them frees it.
pub(super) struct Shared(NonNull<Chan>);

// SAFETY: a channel may be used from all threads.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl std::ops::Deref for Shared {
    type Target = Chan;
    fn deref(&self) -> &Chan {
        // SAFETY: it lives as long as this.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the last user; that no thread waits any more is checked.
            assert!(unsafe { Chan::free(self.0) } == Ok(()), "a waiter is left in a queue");
        }
    }
}

pub(super) type C = Arc<Shared>;

pub(super) fn chan(w: &World, cap: usize) -> C {
    Arc::new(Shared(Chan::make(w.sched, 8, cap).unwrap()))
}

/// Two channels, the first at the smaller address: every execution of a model must lock in the same order.
pub(super) fn two(w: &World) -> (C, C) {
    let (a, b) = (chan(w, 0), chan(w, 0));
    if a.0 < b.0 { (a, b) } else { (b, a) }
}

pub(super) fn send(m: MRef, c: &C, v: u64, timeout: i64) -> Result<()> {
    let elem = (&raw const v).cast::<u8>();
    // As the exported functions do.
    if c.try_word(Op::Send, elem.cast_mut()) { Ok(()) } else { c.send(m, elem, timeout) }
}

pub(super) fn recv(m: MRef, c: &C, timeout: i64) -> Result<u64> {
    let mut v = u64::MAX;
    let elem = (&raw mut v).cast::<u8>();
    let r = if c.try_word(Op::Recv, elem) { Ok(()) } else { c.recv(m, elem, timeout) };
    match r {
        Ok(()) => assert!(v != u64::MAX && v != 0, "received, but nothing came"),
        Err(Error::Closed) => assert_eq!(v, 0, "a closed channel gives zero"),
        Err(_) => assert_eq!(v, u64::MAX, "nothing was received, but something came"),
    }
    r.map(|()| v)
}

/// The values that were sent and received.
#[derive(Default)]
pub(super) struct Book {
    pub(super) sent: AtomicUsize,
    pub(super) received: AtomicUsize,
}

impl Book {
    pub(super) fn send(&self, m: MRef, c: &C, v: u64, timeout: i64) -> Result<()> {
        let r = send(m, c, v, timeout);
        if r.is_ok() {
            self.sent.fetch_add(v as usize, SeqCst);
        }
        r
    }
    pub(super) fn recv(&self, m: MRef, c: &C, timeout: i64) -> Result<u64> {
        let r = recv(m, c, timeout);
        if let Ok(v) = r {
            self.received.fetch_add(v as usize, SeqCst);
        }
        r
    }
    /// Values are powers of ten. Each was sent as often as it was received, or is still in the ring.
    pub(super) fn balanced(&self, m: MRef, cs: &[&C]) {
        for c in cs {
            while let Ok(v) = try_recv(m, c) {
                self.received.fetch_add(v as usize, SeqCst);
            }
        }
        assert_eq!(self.sent.load(SeqCst), self.received.load(SeqCst), "lost or doubled");
    }
}

pub(super) fn try_recv(m: MRef, c: &C) -> Result<u64> {
    let mut v = 0u64;
    c.try_transfer(m, Op::Recv, (&raw mut v).cast()).map(|()| v)
}

/// A sender and a receiver.
fn send_against_recv(cap: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, cap);
        let d = c.clone();
        w.host(move |_, m| assert_eq!(recv(m, &d, FOREVER), Ok(10)));
        let d = c.clone();
        w.host(move |_, m| assert_eq!(send(m, &d, 10, FOREVER), Ok(())));
        w.finish();
        assert_eq!(c.len(), 0);
    }
}

#[test]
fn sends_against_receives() {
    check(Size { preemptions: 3, ..Size::default() }, send_against_recv(0));
    check(Size { preemptions: 3, ..Size::default() }, send_against_recv(1));
}

/// Two values through a channel with room for one: the sender may have to wait between them.
#[test]
fn two_values_through_one_place() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 1);
        let d = c.clone();
        w.host(move |_, m| {
            assert_eq!(recv(m, &d, FOREVER), Ok(1));
            assert_eq!(recv(m, &d, FOREVER), Ok(10));
            assert_eq!(recv(m, &d, FOREVER), Err(Error::Closed));
        });
        let d = c.clone();
        w.host(move |_, m| {
            assert_eq!(send(m, &d, 1, FOREVER), Ok(()));
            assert_eq!(send(m, &d, 10, FOREVER), Ok(()));
            assert_eq!(d.close(m), Ok(()));
        });
        w.finish();
    });
}

/// A receiver, a sender and a closer: the receiver and the sender meet, or are told that the channel is closed.
#[test]
fn close_against_both() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let book = Arc::new(Book::default());
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            let _ = b.recv(m, &d, FOREVER);
        });
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            let _ = b.send(m, &d, 10, FOREVER);
        });
        let d = c.clone();
        w.host(move |_, m| assert_eq!(d.close(m), Ok(())));
        let m = foreign::needm(w.sched, 1).unwrap();
        w.finish();
        book.balanced(m, &[&c]);
    });
}

/// CHAN-D1 and CHAN-D2: a sender and a receiver while the receivers' side closes, with values in the ring or none,
/// after the senders' side has closed or not: each value that was sent is received or dropped.
fn drop_against_both(cap: usize, closes: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, cap);
        let book = Arc::new(Book::default());
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            if b.recv(m, &d, FOREVER) == Err(Error::Closed) {
                assert_eq!(recv(m, &d, FOREVER), Err(Error::Closed));
            }
        });
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            if b.send(m, &d, 1, FOREVER).is_ok() && b.send(m, &d, 10, FOREVER).is_ok() && closes {
                let _ = d.close(m);
            }
        });
        let m = foreign::needm(w.sched, 1).unwrap();
        let (d, b) = (c.clone(), book.clone());
        w.host_as(m, move |_, m| {
            d.close_drop(m, |elem| {
                // SAFETY: values of these channels are words.
                let v = unsafe { elem.cast::<u64>().read() };
                b.received.fetch_add(v as usize, SeqCst);
            });
            assert!(d.is_empty() && try_recv(m, &d) == Err(Error::Closed), "CHAN-D1");
        });
        w.finish();
        book.balanced(m, &[&c]);
    }
}

#[test]
fn drop_against_send_and_receive() {
    check(Size::default(), drop_against_both(0, false));
    check(Size::default(), drop_against_both(2, true));
}

/// CHAN-U1: senders that need segments, each of which holds two values here, against a receiver that empties them and a
/// closer. Two senders may both allocate, though one segment is enough.
fn segments(senders: usize, each: usize, drops: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, UNBOUNDED);
        let book = Arc::new(Book::default());
        for i in 0..senders {
            let (d, b) = (c.clone(), book.clone());
            w.host(move |_, m| {
                for k in 0..each {
                    let v = 10u64.pow((i * each + k) as u32);
                    match b.send(m, &d, v, 1) {
                        Ok(()) => {}
                        r => return assert_eq!(r, Err(Error::Closed)),
                    }
                }
                if !drops {
                    let _ = d.close(m);
                }
            });
        }
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            let mut last = 0;
            while let Ok(v) = b.recv(m, &d, FOREVER) {
                assert!(senders > 1 || v > last, "out of order");
                last = v;
            }
        });
        let m = foreign::needm(w.sched, 1).unwrap();
        if drops {
            let (d, b) = (c.clone(), book.clone());
            w.host_as(m, move |_, m| {
                d.close_drop(m, |elem| {
                    // SAFETY: values of these channels are words.
                    let v = unsafe { elem.cast::<u64>().read() };
                    b.received.fetch_add(v as usize, SeqCst);
                });
            });
        }
        w.finish();
        book.balanced(m, &[&c]);
    }
}

#[test]
fn segments_against_receive() {
    check(Size::default(), segments(1, 5, false));
}

#[test]
fn segments_against_receive_and_drop() {
    check(Size::default(), segments(1, 3, true));
}

#[test]
fn two_who_need_a_segment() {
    check(Size::default(), segments(2, 1, false));
}

/// A receiver whose deadline passes at any moment, and a sender that does not wait forever either.
#[test]
fn deadline_against_partner() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let book = Arc::new(Book::default());
        let late = foreign::needm(w.sched, 1).unwrap();
        let (d, b) = (c.clone(), book.clone());
        w.host_as(late, move |_, m| {
            let _ = b.recv(m, &d, 1);
        });
        let later = foreign::needm(w.sched, 1).unwrap();
        let (d, b) = (c.clone(), book.clone());
        w.host_as(later, move |_, m| {
            let _ = b.send(m, &d, 10, 1);
        });
        late.park.time_out();
        later.park.time_out();
        w.finish();
        book.balanced(late, &[&c]);
    });
}

/// Deadline, close and a sender meet a receiver.
#[test]
fn deadline_against_partner_and_close() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let book = Arc::new(Book::default());
        let late = foreign::needm(w.sched, 1).unwrap();
        let (d, b) = (c.clone(), book.clone());
        w.host_as(late, move |_, m| {
            let _ = b.recv(m, &d, 1);
        });
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            if b.send(m, &d, 10, FOREVER).is_err() {
                assert_eq!(d.close(m), Err(Error::Closed));
            }
        });
        let d = c.clone();
        w.host(move |_, m| assert_eq!(d.close(m), Ok(())));
        late.park.time_out();
        w.finish();
        book.balanced(late, &[&c]);
    });
}

/// CLAIM-E2: a thread claims a wait as a canceller does, at any moment after the wait has begun, while a sender meets
/// it. (A deadline that never comes makes it a wait that must be claimed.)
fn cancel_against_partner() -> impl Fn() {
    || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let book = Arc::new(Book::default());
        let own = foreign::needm(w.sched, 1).unwrap();
        let gp = own.own_g();
        let (d, b) = (c.clone(), book.clone());
        w.host_as(own, move |_, m| {
            let r = b.recv(m, &d, 1);
            assert!(matches!(r, Ok(10) | Err(Error::Canceled)), "{r:?}");
        });
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            let v = 10u64;
            if d.try_transfer(m, Op::Send, (&raw const v).cast_mut().cast()).is_ok() {
                b.sent.fetch_add(10, SeqCst);
            }
            // The claim concerns the first wait of the receiver, and so comes after the beginning of that wait.
            while gp.wait.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            claim::cancel(m, gp, 1);
        });
        w.finish();
        book.balanced(own, &[&c]);
    }
}

#[test]
fn cancel_against_partner_of_threads() {
    check(Size::default(), cancel_against_partner());
}

/// Without CLAIM-E2: a cancel that comes before the commit is lost.
#[cfg(loom)]
#[test]
fn finds_cancel_that_is_too_early() {
    finds(DEADLOCK, || {
        check(Size::default(), || {
            let w = Maker::new(1, 1).make();
            let c = chan(&w, 0);
            let own = foreign::needm(w.sched, 1).unwrap();
            let gp = own.own_g();
            let d = c.clone();
            w.host_as(own, move |_, m| assert_eq!(recv(m, &d, 1), Err(Error::Canceled)));
            w.host(move |_, m| {
                while gp.wait.load(Ordering::Relaxed) == 0 {
                    thread::yield_now();
                }
                if gp.wait.load(Ordering::Relaxed) & 7 == 2 {
                    claim::cancel(m, gp, 1);
                }
            });
            w.finish();
        });
    });
}

/// The receiver waits under a token, so its wait must be claimed. The wait begins without the latch, and must see a
/// partner that came meanwhile. There are two waits, since the receiver may abandon the first before it parks.
fn recv_under_a_token(how: Partner) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let t = token(&w, None);
        let (d, l) = (c.clone(), t.clone());
        w.host(move |_, m| {
            under(m, &l, || match how {
                Partner::Sends => {
                    assert_eq!(recv(m, &d, FOREVER), Ok(1));
                    assert_eq!(recv(m, &d, FOREVER), Ok(10));
                }
                Partner::Closes => assert_eq!(recv(m, &d, FOREVER), Err(Error::Closed)),
                Partner::Cancels => assert_eq!(recv(m, &d, FOREVER), Err(Error::Canceled)),
            });
        });
        w.host(move |_, m| match how {
            Partner::Sends => {
                assert_eq!(send(m, &c, 1, FOREVER), Ok(()));
                assert_eq!(send(m, &c, 10, FOREVER), Ok(()));
            }
            Partner::Closes => assert_eq!(c.close(m), Ok(())),
            Partner::Cancels => assert!(cancel::cancel(m, &t, Reason::BY_HAND)),
        });
        w.finish();
    }
}

#[derive(Clone, Copy)]
enum Partner {
    Sends,
    Closes,
    Cancels,
}

#[test]
fn recv_under_a_token_against_send() {
    check(Size::default(), recv_under_a_token(Partner::Sends));
}

#[test]
fn recv_under_a_token_against_close() {
    check(Size { preemptions: 3, ..Size::default() }, recv_under_a_token(Partner::Closes));
}

#[test]
fn recv_under_a_token_against_cancel() {
    check(Size { preemptions: 3, ..Size::default() }, recv_under_a_token(Partner::Cancels));
}

/// A channel with room for one. The second sender waits for the place, and gets it though no thread receives its value.
#[test]
fn place_for_who_waits() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 1);
        let d = c.clone();
        w.host(move |_, m| assert_eq!(recv(m, &d, FOREVER), Ok(1)));
        let d = c.clone();
        w.host(move |_, m| {
            assert_eq!(send(m, &d, 1, FOREVER), Ok(()));
            assert_eq!(send(m, &d, 10, FOREVER), Ok(()));
        });
        w.finish();
        assert_eq!(c.len(), 1);
    });
}

/// A G with a deadline reserves room for its timer, looks again, and need not wait after all.
#[test]
fn room_for_a_timer_is_given_back() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let d = c.clone();
        w.host(move |w, m| {
            visit(w, m, |_| {
                if recv(m, &d, 0) != Ok(10) {
                    assert_eq!(recv(m, &d, FOREVER), Ok(10));
                }
            });
        });
        w.host(move |_, m| assert_eq!(send(m, &c, 10, FOREVER), Ok(())));
        w.finish();
    });
}

/// A receiver whose deadline passes waits ahead of another receiver. The sender finds its record; whether the sender or
/// the deadline claims it, the record leaves the queue.
#[test]
fn late_one_before_another() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let book = Arc::new(Book::default());
        let late = foreign::needm(w.sched, 1).unwrap();
        let (d, b) = (c.clone(), book.clone());
        w.host_as(late, move |_, m| {
            let _ = b.recv(m, &d, 1);
        });
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            let _ = b.recv(m, &d, FOREVER);
        });
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            assert_eq!(b.send(m, &d, 10, FOREVER), Ok(()));
            assert_eq!(d.close(m), Ok(()));
        });
        late.park.time_out();
        w.finish();
        book.balanced(late, &[&c]);
    });
}

/// All that the waiter does before its wait can be claimed happens before the claim, though the two share no lock.
#[test]
fn claim_comes_after_the_park() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        unsafe fn nothing(_: *mut std::ffi::c_void) {}
        let w = Maker::new(1, 1).make();
        let own = foreign::needm(w.sched, 1).unwrap();
        let gp = own.own_g();
        let context = Arc::new(Sole::default());
        let x = context.clone();
        w.host_as(own, move |_, m| {
            let wait = claim::Wait::begin(m, 1).ok().unwrap();
            x.touch();
            let locks = claim::Locks { open: nothing, arg: std::ptr::null_mut() };
            let (_, end) = wait.park(m, crate::gmp::g::WaitReason::CHAN_RECV, locks);
            assert!(matches!(end, Ok(()) | Err(Error::TimedOut)));
            x.touch();
        });
        w.host(move |_, m| {
            if claim::take(&gp, 1) {
                context.touch();
                park::goready(m, gp);
            }
        });
        own.park.time_out();
        w.finish();
    });
}

/// The receiver is a G that holds a P. Its deadline is a timer of that P, which a thread must run. The timer fires
/// while the commit runs, or beside a partner.
#[test]
fn timer_against_partner() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let book = Arc::new(Book::default());
        let (d, b) = (c.clone(), book.clone());
        w.host(move |w, m| {
            visit(w, m, |_| {
                for _ in 0..2 {
                    let r = b.recv(m, &d, 0);
                    assert!(matches!(r, Ok(10) | Err(Error::TimedOut)));
                }
            });
        });
        let (d, b) = (c.clone(), book.clone());
        w.host(move |_, m| {
            let v = 10u64;
            if d.try_transfer(m, Op::Send, (&raw const v).cast_mut().cast()).is_ok() {
                b.sent.fetch_add(10, SeqCst);
            }
        });
        let m = foreign::needm(w.sched, 1).unwrap();
        w.finish();
        book.balanced(m, &[&c]);
    });
}
