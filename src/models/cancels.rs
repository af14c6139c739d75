//! cancel.rs: a wait under a token ends once, by the canceller or by the waker. The waiter then has what it waited for,
//! or has left it where it was.

use super::*;
use crate::block::cancel::{self, Reason, Ref};
use crate::block::chan::Chan;
use crate::block::mutex::Mutex;
use crate::block::{done, hook};
use crate::block::{sema, waitq};
use crate::gmp::error::Error;
use crate::gmp::g::WaitReason;
use crate::protocol::store::Spawn;
use crate::protocol::{idle, store};
use crate::sync::AtomicU32;

type Sema = Arc<AtomicU32>;

pub(super) fn token(w: &World, parent: Option<&Ref>) -> Arc<Ref> {
    let m = foreign::needm(w.sched, 1).unwrap();
    Arc::new(cancel::make(m, parent, None).unwrap())
}

/// Calls `f` with `t` as the current token.
pub(super) fn under<R>(m: MRef, token: &Ref, f: impl FnOnce() -> R) -> R {
    let gp = waitq::waiter(m);
    let again = cancel::find(m.sched(), token.handle.get(), true).unwrap();
    assert!(cancel::replace(gp, Some(again)).is_none());
    let r = f();
    cancel::on_exit(m.sched(), waitq::waiter(m));
    r
}

fn acquire(m: MRef, s: &Sema, deadline: Option<i64>) -> Result<(), Error> {
    sema::acquire(m, s, deadline, WaitReason::SEMACQUIRE).1
}

/// A thread waits under a token. A second thread cancels the token or its parent, and perhaps a third releases.
fn acquire_against_cancel(above: bool, released: bool, timed: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let got = Arc::new(AtomicUsize::new(0));
        let top = token(&w, None);
        let low = token(&w, Some(&top));
        let late = foreign::needm(w.sched, 1).unwrap();
        let (t, n, l) = (s.clone(), got.clone(), low.clone());
        w.host_as(late, move |_, m| match under(m, &l, || acquire(m, &t, timed.then_some(1))) {
            Ok(()) => n.store(1, SeqCst),
            Err(Error::Canceled) => assert!(l.reason() == Some(Reason::BY_HAND)),
            Err(e) => assert!(timed && e == Error::TimedOut),
        });
        let c = if above { top.clone() } else { low.clone() };
        w.host(move |_, m| assert!(cancel::cancel(m, &c, Reason::BY_HAND)));
        if released {
            let t = s.clone();
            w.host(move |_, m| assert!(sema::release(m, &t).is_ok()));
        }
        if timed {
            late.park.time_out();
        }
        w.finish();
        assert_eq!(s.load(Ordering::SeqCst) as usize + got.load(SeqCst), usize::from(released));
    }
}

#[test]
fn acquire_against_cancel_of_its_token() {
    check(Size { preemptions: 3, ..Size::default() }, acquire_against_cancel(false, false, false));
}

#[test]
fn acquire_against_cancel_of_the_token_above() {
    check(Size::default(), acquire_against_cancel(true, false, false));
}

#[test]
fn acquire_against_cancel_and_release() {
    check(Size::default(), acquire_against_cancel(false, true, false));
}

#[test]
fn acquire_against_cancel_and_deadline() {
    check(Size::default(), acquire_against_cancel(false, false, true));
}

#[cfg(shuttle)]
#[test]
fn acquire_against_all_three() {
    check(Size::default(), acquire_against_cancel(true, true, true));
}

extern "C" fn function(_: *mut std::ffi::c_void) {
    unreachable!("the steps of a token are what runs")
}

/// A hook runs when its token is canceled, or at once if the token is canceled already. One or two other threads stop
/// the hook: either it runs, or exactly one stop says that it does not.
fn after_against_stop(stoppers: usize, late: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let ran = Arc::new(AtomicUsize::new(0));
        let r = ran.clone();
        let t = mk.token(vec![does(move |_, _, _| {
            r.fetch_add(1, SeqCst);
        })]);
        let w = mk.make();
        let m = foreign::needm(w.sched, 1).unwrap();
        let again = |c: &Ref| cancel::find(w.sched, c.handle.get(), true).unwrap();
        let c = token(&w, None);
        let stopped = Arc::new(AtomicUsize::new(0));
        let stale = Arc::new(AtomicUsize::new(0));
        let stop = move |s: &AtomicUsize, n: &AtomicUsize, w: &World, m: MRef, handle: u64| match hook::stop(m, handle)
        {
            Ok(true) => {
                s.fetch_add(1, SeqCst);
                w.will_not_run(t);
            }
            Ok(false) => {}
            Err(e) => {
                assert!(e == Error::Stale);
                n.fetch_add(1, SeqCst);
            }
        };
        if late {
            let (c, s, n) = (again(&c), stopped.clone(), stale.clone());
            w.host(move |w, m| {
                let handle = hook::after(m, c, function, t as *mut _, true).unwrap();
                stop(&s, &n, w, m, handle);
            });
        } else {
            let handle = hook::after(m, again(&c), function, t as *mut _, true).unwrap();
            for _ in 0..stoppers {
                let (s, n) = (stopped.clone(), stale.clone());
                w.host(move |w, m| stop(&s, &n, w, m, handle));
            }
        }
        let (sched, handle) = (w.sched, c.handle.get());
        w.host(move |_, m| assert!(cancel::cancel(m, &c, Reason::BY_HAND)));
        w.finish();
        assert_eq!(ran.load(SeqCst) + stopped.load(SeqCst), 1);
        assert_eq!(stale.load(SeqCst), stoppers - 1);
        // No count leaks: `c` drops the count of `token`, and the hook drops its own.
        assert!(cancel::find(sched, handle, true).is_err(), "the hook still counts for it");
    }
}

#[test]
fn after_against_stop_and_cancel() {
    check(Size { preemptions: 3, ..Size::default() }, after_against_stop(1, false));
}

#[test]
fn after_against_two_stops_and_cancel() {
    check(Size { preemptions: 1, ..Size::default() }, after_against_stop(2, false));
}

#[test]
fn after_begins_against_cancel() {
    check(Size { preemptions: 3, ..Size::default() }, after_against_stop(1, true));
}

/// A thread asks for the channel of a token and waits at it, while others cancel the token and free its handle.
#[test]
fn chan_against_cancel_and_free() {
    check(Size { preemptions: 2, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let m = foreign::needm(w.sched, 1).unwrap();
        let handle = cancel::make(m, None, None).unwrap().forget().handle.get();
        let [mine, c] = [0, 1].map(|_| cancel::find(w.sched, handle, true).unwrap());
        w.host(move |_, m| {
            let chan = done::chan(m, &mine).unwrap();
            // SAFETY: this thread is one of its users.
            assert!(unsafe { chan.as_ref() }.recv(m, std::ptr::null_mut(), FOREVER) == Err(Error::Closed));
            drop(mine);
            // SAFETY: as above, and it does not use it afterwards.
            assert!(unsafe { Chan::free(chan) }.is_ok());
        });
        w.host(move |_, m| {
            assert!(cancel::cancel(m, &c, Reason::BY_HAND));
            assert!(cancel::free(m.sched(), handle).is_ok());
        });
        w.finish();
    });
}

/// Within a shield a wait ignores the token; the next wait after the shield is canceled.
#[test]
fn shielded_acquire_against_cancel_and_release() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let c = token(&w, None);
        let (t, l) = (s.clone(), c.clone());
        let over = Arc::new(Event::new());
        let o = over.clone();
        w.host(move |_, m| {
            under(m, &l, || {
                let gp = waitq::waiter(m);
                assert!(cancel::shield(gp).is_ok());
                assert!(acquire(m, &t, None) == Ok(()));
                assert!(cancel::unshield(gp).is_ok() && cancel::unshield(gp).is_err());
                o.wait(0, None);
                assert!(acquire(m, &t, None) == Err(Error::Canceled));
            });
        });
        w.host(move |_, m| {
            assert!(cancel::cancel(m, &c, Reason::BY_HAND));
            over.happen();
        });
        w.host(move |_, m| assert!(sema::release(m, &s).is_ok()));
        w.finish();
    });
}

/// A canceller that is late for one wait must not end the next wait, which is under no token.
#[test]
fn late_cancel_spares_the_next_wait() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let c = token(&w, None);
        let over = Arc::new(Event::new());
        let (t, l, o) = (s.clone(), c.clone(), over.clone());
        w.host(move |_, m| {
            assert!(under(m, &l, || acquire(m, &t, None)) == Err(Error::Canceled));
            o.happen();
            assert!(acquire(m, &t, None) == Ok(()));
        });
        w.host(move |_, m| assert!(cancel::cancel(m, &c, Reason::BY_HAND)));
        w.host(move |_, m| {
            over.wait(0, None);
            assert!(sema::release(m, &s).is_ok());
        });
        w.finish();
    });
}

/// The same for a G that parks.
#[test]
fn g_parks_and_is_canceled() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let s: Sema = Arc::new(AtomicU32::new(0));
        let c = token(&w, None);
        let (t, l) = (s.clone(), c.clone());
        w.host(move |w, m| {
            visit(w, m, |_| assert!(under(m, &l, || acquire(m, &t, None)) == Err(Error::Canceled)));
        });
        w.host(move |_, m| assert!(cancel::cancel(m, &c, Reason::BY_HAND)));
        w.finish();
    });
}

/// A mutex is unlocked while one of its two waiters is canceled: the other waiter gets it. Without `locks` no waiter is
/// canceled, and both get the mutex.
fn lock_against_cancel_and_unlock(locks: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let mutex = Arc::new(Mutex::default());
        let inside = Arc::new(Sole::default());
        let c = token(&w, None);
        for cancelable in [true, false] {
            let (x, i, l) = (mutex.clone(), inside.clone(), c.clone());
            w.host(move |_, m| {
                let lock = || {
                    cancel::set_locks(waitq::waiter(m), locks);
                    x.lock(m, None).1
                };
                let locked = if cancelable { under(m, &l, lock) } else { lock() };
                assert!(locked.is_ok() || (cancelable && locks && locked == Err(Error::Canceled)));
                if locked.is_ok() {
                    i.touch();
                    assert!(x.unlock(m).is_ok());
                }
            });
        }
        w.host(move |_, m| assert!(cancel::cancel(m, &c, Reason::BY_HAND)));
        w.finish();
        assert!(mutex.try_lock(1).is_ok());
    }
}

#[test]
fn lock_is_canceled_against_unlock() {
    check(Size { preemptions: 1, ..Size::default() }, lock_against_cancel_and_unlock(true));
}

#[test]
fn lock_is_had_in_spite_of_cancel() {
    check(Size { preemptions: 1, ..Size::default() }, lock_against_cancel_and_unlock(false));
}

/// A thread makes a child token while another cancels the parent: in the end the child is canceled. Another child is
/// freed meanwhile.
#[test]
fn make_and_let_go_against_cancel() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let sched = w.sched;
        let top = token(&w, None);
        let old = token(&w, Some(&top));
        let handle = old.handle.get();
        let made = Arc::new(std::sync::Mutex::new(None));
        let (t, n) = (top.clone(), made.clone());
        w.host(move |_, m| {
            *n.lock().unwrap() = Some(cancel::make(m, Some(&t), None).unwrap());
            drop(old);
        });
        let t = top.clone();
        w.host(move |_, m| assert!(cancel::cancel(m, &t, Reason::BY_HAND)));
        w.finish();
        assert!(made.lock().unwrap().take().unwrap().reason() == Some(Reason::BY_HAND));
        assert!(cancel::find(sched, handle, true).is_err());
    });
}

/// Two threads wait under a token. One is released, or the token is canceled: what a waiter does with its own record
/// leaves the other's record alone.
fn two_wait_under_one(canceled: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let s: [Sema; 2] = [0, 1].map(|_| Arc::new(AtomicU32::new(0)));
        let c = token(&w, None);
        for t in &s {
            let (t, l) = (t.clone(), c.clone());
            w.host(move |_, m| {
                let got = under(m, &l, || acquire(m, &t, None));
                assert!(got.is_ok() || canceled && got == Err(Error::Canceled));
            });
        }
        w.host(move |_, m| {
            assert!(sema::release(m, &s[0]).is_ok());
            if canceled {
                assert!(cancel::cancel(m, &c, Reason::BY_HAND));
            } else {
                assert!(sema::release(m, &s[1]).is_ok());
            }
        });
        w.finish();
    }
}

#[test]
fn two_wait_and_are_canceled() {
    check(Size { preemptions: 1, ..Size::default() }, two_wait_under_one(true));
}

#[test]
fn two_wait_and_are_released() {
    check(Size { preemptions: 0, ..Size::default() }, two_wait_under_one(false));
}

/// A thread makes a token with a deadline and waits under it, while the only worker goes to sleep: a thread is awake
/// when the deadline passes.
#[test]
fn deadline_while_all_sleep() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let m = w.worker_with(&[]);
        w.go(m);
        w.host(move |_, m| {
            let c = cancel::make(m, None, Some(10)).unwrap();
            let s: Sema = Arc::new(AtomicU32::new(0));
            assert!(under(m, &c, || acquire(m, &s, None)) == Err(Error::Canceled));
            assert!(c.reason() == Some(Reason::DEADLINE));
        });
        w.host(|w, _| w.set_clock(20));
        w.finish();
    });
}

/// The next token in the memory of an ended token finds no armed timer, and the parent of the ended token has no entry
/// for it in its list.
#[test]
fn a_token_ends_with_its_timer_and_its_place() {
    check(Size { schedules: 1, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let m = foreign::needm(w.sched, 1).unwrap();
        // So that no worker is called for a timer.
        let pp = idle::pidleget(w.sched, &mut w.sched.lock.lock()).unwrap();
        let (top, other) = (token(&w, None), token(&w, None));
        let old = cancel::make(m, Some(&top), Some(5)).unwrap();
        let place = std::ptr::from_ref(&*old);
        drop(old);
        let new = cancel::make(m, Some(&other), Some(9)).unwrap();
        assert!(std::ptr::eq(place, &*new), "the model is for one place");
        assert!(cancel::cancel(m, &top, Reason::BY_HAND));
        assert!(new.reason().is_none(), "canceled in its predecessor's place");
        drop(new);
        assert!(w.sched.p_at(0).unwrap().timers.first() == crate::gmp::timers::NEVER);
        assert!(idle::pidleput(w.sched, &mut w.sched.lock.lock(), pp).is_ok());
        w.host(|_, _| ());
        w.finish();
    });
}

/// A thread asks for a token by its handle while the token ends and its memory becomes another token's.
#[test]
fn find_against_the_next_in_its_place() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let sched = w.sched;
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let handle = cancel::make(ms[0], None, None).unwrap().forget().handle.get();
        w.host_as(ms[1], move |_, m| {
            if let Ok(found) = cancel::find(m.sched(), handle, true) {
                assert_eq!(found.handle.get(), handle, "another's");
            }
        });
        w.host_as(ms[0], move |_, m| {
            assert!(cancel::free(m.sched(), handle).is_ok());
            cancel::make(m, None, None).unwrap();
        });
        w.finish();
        assert!(cancel::find(sched, handle, true).is_err());
    });
}

/// A thread cancels a G by its handle while the G ends. Its descriptor and the memory of its token go to another G,
/// which must not be canceled.
#[test]
fn cancel_g_against_the_next_in_its_place() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let with_own_token = |m| {
            let null = std::ptr::null_mut();
            let what =
                Spawn { entry: null, arg: null, flags: gflag::CANCELLABLE, stack_size: 0, name: Default::default() };
            let gp = store::newproc(m, &what).unwrap();
            cancel::give_own(m, None, gp).unwrap();
            gp
        };
        let first = with_own_token(ms[0]);
        let handle = first.handle();
        let second = Arc::new(std::sync::Mutex::new(None));
        let s = second.clone();
        w.host_as(ms[1], move |_, m| match cancel::cancel_g(m, handle, Reason::BY_HAND) {
            Ok(did) => assert!(did),
            Err(e) => assert_eq!(e, Error::Stale),
        });
        w.host_as(ms[0], move |_, m| {
            first.set_status(GStatus::Dead);
            cancel::on_exit(m.sched(), first);
            first.forget_extras();
            store::recycle_now(m, first);
            let second = with_own_token(m);
            assert!(second == first && second.handle() != handle);
            *s.lock().unwrap() = Some(second);
        });
        w.finish();
        let second = second.lock().unwrap().take().unwrap();
        assert!(cancel::current(second).unwrap().token().reason().is_none(), "another's");
    });
}

/// The deadline of a token has passed. Its timer fires while the token ends and its memory goes to another token, which
/// must not be canceled.
#[test]
fn deadline_against_the_next_in_its_place() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        // While no P is idle, so that no worker is called for the timer.
        let pp = idle::pidleget(w.sched, &mut w.sched.lock.lock()).unwrap();
        let old = cancel::make(ms[0], None, Some(5)).unwrap();
        assert!(idle::pidleput(w.sched, &mut w.sched.lock.lock(), pp).is_ok());
        set_now(5);
        w.watcher(|w, m| {
            for p in w.sched.live_ps() {
                // SAFETY: no G runs here.
                unsafe { crate::gmp::timers::Timers::run(p, m, 5) };
            }
        });
        w.host_as(ms[0], move |_, m| {
            drop(old);
            let new = cancel::make(m, None, None).unwrap();
            thread::yield_now();
            assert!(new.reason().is_none(), "canceled in its predecessor's place");
        });
        w.finish();
    });
}
