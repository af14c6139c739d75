//! select.rs: a select takes one case, and no partner of another case misses it.

use super::cancels::{token, under};
use super::chans::{Book, C, chan, send, try_recv, two};
use super::*;
use crate::block::chan::{Case, Op};
use crate::block::select::{self, Cases};
use crate::gmp::error::{Error, Result};

/// A select of receives.
pub(super) fn select_recv(m: MRef, cs: &[&C], timeout: i64) -> Result<(usize, u64)> {
    let mut v = u64::MAX;
    let cases: Vec<Case> = cs.iter().map(|c| Case::new(c, Op::Recv, (&raw mut v).cast())).collect();
    let r = select::select(m, Cases(&cases), timeout);
    match r {
        Ok((i, Ok(()))) => {
            assert!(v != u64::MAX && v != 0, "chosen, but nothing came");
            Ok((i, v))
        }
        Ok((i, Err(e))) => {
            assert_eq!((e, v), (Error::Closed, 0));
            Ok((i, 0))
        }
        Err(e) => {
            assert_eq!(v, u64::MAX, "nothing was chosen, but something came");
            Err(e)
        }
    }
}

/// A thread selects from two channels, and two others send to one each. The select receives one of the values; the
/// other sender times out, or never waited.
fn select_against_two(wait: i64) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let (a, b) = two(&w);
        let book = Arc::new(Book::default());
        let (x, y, k) = (a.clone(), b.clone(), book.clone());
        let late = foreign::needm(w.sched, 1).unwrap();
        w.host_as(late, move |_, m| {
            if let Ok((i, v)) = select_recv(m, &[&x, &y], wait) {
                assert!(v == [1, 10][i] || (v == 0 && i == 1 && wait == FOREVER));
                k.received.fetch_add(v as usize, SeqCst);
            } else {
                assert!(wait != FOREVER);
            }
        });
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (i, c) in [&a, &b].into_iter().enumerate() {
            let (c, k) = (c.clone(), book.clone());
            w.host_as(ms[i], move |_, m| {
                // If the select receives the value of the first sender, that sender waits until then.
                let _ = k.send(m, &c, [1, 10][i], if i == 0 && wait == FOREVER { 1 } else { 0 });
                if wait == FOREVER && i == 1 {
                    let _ = c.close(m);
                }
            });
        }
        ms.iter().for_each(|m| m.park.time_out());
        late.park.time_out();
        w.finish();
        book.balanced(late, &[&a, &b]);
    }
}

#[test]
fn select_against_two_partners() {
    check(Size::default(), select_against_two(FOREVER));
}

#[test]
fn select_against_two_partners_and_deadline() {
    check(Size::default(), select_against_two(1));
}

/// As [`recv_under_a_token`]: a select that abandons its wait has also left the token.
#[test]
fn select_under_a_token() {
    check(Size { preemptions: 2, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let (a, b) = two(&w);
        let t = token(&w, None);
        let (x, y) = (a.clone(), b.clone());
        w.host(move |_, m| {
            under(m, &t, || {
                assert_eq!(select_recv(m, &[&x, &y], FOREVER), Ok((1, 1)));
                assert_eq!(select_recv(m, &[&x, &y], FOREVER), Ok((0, 10)));
            });
        });
        w.host(move |_, m| {
            assert_eq!(send(m, &b, 1, FOREVER), Ok(()));
            assert_eq!(send(m, &a, 10, FOREVER), Ok(()));
        });
        w.finish();
    });
}

/// Two selects, each of which may send to the other through one of two channels, named in opposite orders.
fn select_against_select() -> impl Fn() {
    || {
        let w = Maker::new(1, 1).make();
        let (a, b) = two(&w);
        let book = Arc::new(Book::default());
        for turn in 0..2 {
            let (x, y, k) = (a.clone(), b.clone(), book.clone());
            w.host(move |_, m| {
                let (out, mut got) = (if turn == 0 { 1u64 } else { 10 }, 0u64);
                let (send, recv) = if turn == 0 { (&x, &y) } else { (&y, &x) };
                let cases = [
                    Case::new(send, Op::Send, (&raw const out).cast_mut().cast()),
                    Case::new(recv, Op::Recv, (&raw mut got).cast()),
                ];
                match select::select(m, Cases(&cases), FOREVER) {
                    Ok((0, Ok(()))) => k.sent.fetch_add(out as usize, SeqCst),
                    Ok((1, Ok(()))) => k.received.fetch_add(got as usize, SeqCst),
                    other => panic!("{other:?}"),
                };
            });
        }
        let m = foreign::needm(w.sched, 1).unwrap();
        w.finish();
        book.balanced(m, &[&a, &b]);
    }
}

#[test]
fn selects_meet() {
    check(Size::default(), select_against_select());
}

/// The same channel in several cases, in both directions; the partner may take either direction.
#[test]
fn select_twice_at_one_channel() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let c = chan(&w, 0);
        let book = Arc::new(Book::default());
        let (d, k) = (c.clone(), book.clone());
        w.host(move |_, m| {
            let (out, mut got) = (1u64, 0u64);
            let place = (&raw mut got).cast();
            let cases = [
                Case::new(&d, Op::Recv, place),
                Case::new(&d, Op::Send, (&raw const out).cast_mut().cast()),
                Case::new(&d, Op::Recv, place),
            ];
            match select::select(m, Cases(&cases), FOREVER) {
                Ok((1, Ok(()))) => k.sent.fetch_add(1, SeqCst),
                Ok((0 | 2, Ok(()))) => k.received.fetch_add(got as usize, SeqCst),
                other => panic!("{other:?}"),
            };
        });
        let (d, k) = (c.clone(), book.clone());
        w.host(move |_, m| {
            if try_recv(m, &d).is_ok_and(|v| v == 1) {
                k.received.fetch_add(1, SeqCst);
            } else {
                assert_eq!(k.send(m, &d, 10, FOREVER), Ok(()));
            }
        });
        let m = foreign::needm(w.sched, 1).unwrap();
        w.finish();
        book.balanced(m, &[&c]);
    });
}

/// Many of everything.
#[cfg(shuttle)]
#[test]
fn many_channels() {
    check(Size::default(), || {
        let w = Maker::new(2, 2).make();
        let cs: Vec<C> = (0..3).map(|i| chan(&w, i)).collect();
        let book = Arc::new(Book::default());
        let ms: Vec<MRef> = (0..6).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (i, &m) in ms.iter().enumerate() {
            let (cs, k) = (cs.clone(), book.clone());
            w.host_as(m, move |w, m| {
                // The deadline of a G is a timer, and due. The deadline of a thread passes when the model says so.
                let turn = |t: usize, wait: i64| {
                    let c = &cs[(i + t) % 3];
                    match (i + t) % 4 {
                        0 => drop(k.send(m, c, 1, wait)),
                        1 => drop(k.recv(m, c, wait)),
                        2 => {
                            if let Ok((_, v)) = select_recv(m, &[&cs[0], &cs[2], &cs[1], &cs[0]], wait) {
                                k.received.fetch_add(v as usize, SeqCst);
                            }
                        }
                        _ => {
                            let v = 100u64;
                            let cases: Vec<Case> =
                                cs.iter().map(|c| Case::new(c, Op::Send, (&raw const v).cast_mut().cast())).collect();
                            if let Ok((_, Ok(()))) = select::select(m, Cases(&cases), wait) {
                                k.sent.fetch_add(100, SeqCst);
                            }
                        }
                    }
                };
                for t in 0..3 {
                    if t == i % 3 {
                        visit(w, m, |_| turn(t, 0));
                    } else {
                        turn(t, 1);
                    }
                }
                if i == 5 {
                    let _ = cs[1].close(m);
                }
            });
        }
        ms.iter().for_each(|m| m.park.time_out());
        w.finish();
        book.balanced(ms[0], &[&cs[0], &cs[1], &cs[2]]);
    });
}
