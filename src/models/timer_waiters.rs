//! The timers of wake.rs: a timer fires once or is stopped, and a thread is awake when it is due.

use super::*;
use crate::block::sleep;
use crate::ds::leak::try_leak;
use crate::gmp::timers::{Alarm, Timer, Timers};
use crate::protocol::idle;
use std::ffi::c_void;

/// A timer that counts, and may ready a G.
#[derive(Default)]
struct Clock {
    timer: Timer,
    fired: AtomicUsize,
    readies: Option<usize>,
}

// SAFETY: the lock of its heap guards an armed timer; the thread that arms it owns it otherwise.
unsafe impl Sync for Clock {}
// SAFETY: as above.
unsafe impl Send for Clock {}

impl Clock {
    /// The clock lasts until the end of the execution, since a heap may keep a dead entry of its timer.
    fn new(readies: Option<usize>) -> &'static Clock {
        try_leak(Clock { readies, ..Clock::default() }).unwrap()
    }

    /// Arms the timer on the P of `m`. True if it is the earliest timer there.
    fn arm(&'static self, m: MRef, when: i64) -> bool {
        self.arm_at(m.must_p().p(), when)
    }

    fn arm_at(&'static self, p: PRef, when: i64) -> bool {
        assert!(p.timers.reserve().is_ok());
        let alarm = Alarm { when, fire: ring, arg: std::ptr::from_ref(self).cast_mut().cast(), seq: 0 };
        // SAFETY: it is armed once at a time; the P is ours, or stays.
        unsafe { Timers::add(p, &self.timer, alarm) }
    }
}

unsafe fn ring(m: MRef, _: PRef, arg: *mut c_void, _: u64) -> bool {
    // SAFETY: `arm` passed it.
    let clock = unsafe { &*arg.cast::<Clock>() };
    clock.fired.fetch_add(1, SeqCst);
    if let Some(token) = clock.readies {
        park::ready_queue(m, world().gp(token));
    }
    false
}

/// A G arms a timer that is due at once. Its P runs the timer, a searching M steals it, and a thread stops it: one of
/// the three wins. The thread that stopped it may arm it again.
fn stop_against_fire(again: bool, thief: bool) -> impl Fn() {
    move || {
        let clock = Clock::new(None);
        let ps = if thief { 2 } else { 1 };
        let mut mk = Maker::new(ps, ps);
        let g = mk.token(vec![does(move |_, m, _| {
            clock.arm(m, 0);
        })]);
        let w = mk.make();
        let m = w.worker_with(&[g]);
        if thief {
            let s = w.searcher();
            w.go(s);
        }
        w.go(m);
        let stopped = Arc::new(AtomicUsize::new(0));
        let n = stopped.clone();
        if again {
            w.host(move |w, m| {
                visit(w, m, |_| {
                    if Timers::remove(&clock.timer) {
                        clock.arm(m, 0);
                    }
                });
            });
        } else {
            w.host(move |_, _| n.store(usize::from(Timers::remove(&clock.timer)), SeqCst));
        }
        w.finish();
        assert_eq!(clock.fired.load(SeqCst) + stopped.load(SeqCst), 1, "fired, or was stopped");
    }
}

#[test]
fn stop_against_fire_on_its_p() {
    check(Size { preemptions: 3, ..Size::default() }, stop_against_fire(false, false));
}

#[test]
fn stop_against_fire_and_thief() {
    check(Size { preemptions: 1, ..Size::default() }, stop_against_fire(false, true));
}

#[test]
fn reset_against_fire() {
    check(Size { preemptions: 2, ..Size::default() }, stop_against_fire(true, false));
}

/// The other M when a timer is armed for 50.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    /// An M that is going idle.
    Idler,
    /// As before, with a P that has had a timer and whose bit in the mask of timers is still set.
    Hider,
    /// An M that is the timer waiter until 100, or is about to be.
    TimerWaiter,
    /// A timer waiter until 40 that wakes then, though its timer was stopped, and becomes the timer waiter of the next
    /// timer.
    Waking,
}

/// A thread without a P arms a timer, and waits for the G that the timer readies: an idle M must run the timer.
fn armed_by_a_thread(tells: bool, beside: Beside) -> impl Fn() {
    move || {
        let (early, other) = (Clock::new(Some(0)), Clock::new(None));
        let ps = if matches!(beside, Beside::Idler | Beside::Hider) { 1 } else { 2 };
        let mut mk = Maker::new(ps, ps);
        let readied = mk.token(vec![does(|_, _, _| ())]);
        let idles = mk.token(vec![does(move |_, m, _| match beside {
            Beside::Idler | Beside::Hider => (),
            Beside::TimerWaiter => assert!(other.arm(m, 100)),
            Beside::Waking => assert!(other.arm(m, 40)),
        })]);
        let w = mk.make();
        let m = w.worker_with(&[idles]);
        if beside == Beside::Hider {
            assert!(other.arm_at(w.sched.p_at(0).unwrap(), 40));
            assert!(Timers::remove(&other.timer));
        }
        w.go(m);
        w.host(move |w, m| {
            // With two Ps, the P that the other M does not hold.
            if early.arm_at(w.sched.p_at(ps - 1).unwrap(), 50) && tells {
                wake::timer_added(w.sched, m, 50);
            }
            w.ended(readied);
        });
        if beside == Beside::Waking {
            Timers::remove(&other.timer);
            w.set_clock(45);
        }
        w.set_clock(60);
        w.finish();
        assert_eq!(early.fired.load(SeqCst), 1);
        assert!(other.fired.load(SeqCst) == 0 || beside == Beside::Waking);
    }
}

const FEW: Size = Size { preemptions: 1, schedules: 2000 };

#[test]
fn armed_by_a_thread_beside_one_that_idles() {
    check(FEW, armed_by_a_thread(true, Beside::Idler));
}

#[test]
fn armed_by_a_thread_beside_one_that_hides() {
    check(FEW, armed_by_a_thread(true, Beside::Hider));
}

/// This model and the next are too large for preemptions: loom tries many values for each load of `npidle`.
#[test]
fn armed_by_a_thread_beside_a_timer_waiter() {
    check(Size { preemptions: 0, ..FEW }, armed_by_a_thread(true, Beside::TimerWaiter));
}

#[test]
fn armed_by_a_thread_beside_a_timer_waiter_that_wakes() {
    check(Size { preemptions: 0, ..FEW }, armed_by_a_thread(true, Beside::Waking));
}

#[cfg(loom)]
#[test]
fn finds_timer_that_nobody_is_told_of() {
    finds(DEADLOCK, || check(FEW, armed_by_a_thread(false, Beside::Idler)));
}

#[cfg(loom)]
#[test]
fn finds_timer_that_the_timer_waiter_is_not_told_of() {
    finds(DEADLOCK, || check(FEW, armed_by_a_thread(false, Beside::TimerWaiter)));
}

#[cfg(loom)]
#[test]
fn finds_timer_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/wake.rs", "timer_added");
        check(FEW, armed_by_a_thread(true, Beside::Idler));
    });
}

/// The timer waiter has slept until 40, and its timer was stopped. It looks for the next timer while a thread arms one
/// for 50: the timer waiter sleeps until 50, or a searcher is started. ([`Beside::Waking`] is the same case with more
/// threads, too large for preemptions.)
fn armed_beside_a_timer_waiter_that_looks() -> impl Fn() {
    || {
        let (early, other) = (Clock::new(None), Clock::new(None));
        let w = Maker::new(1, 1).make();
        let (sched, p) = (w.sched, w.sched.p_at(0).unwrap());
        let timer_waiter = w.new_worker();
        let armer = w.sched.malloc(Kind::Worker).unwrap();
        assert!(other.arm_at(p, 40));
        assert!(matches!(wake::enlist_idle(sched, &mut sched.lock.lock(), timer_waiter, None), wake::Sleep::Until(40)));
        Timers::remove(&other.timer);
        let t = thread::spawn(move || {
            if early.arm_at(p, 50) {
                wake::timer_added(sched, armer, 50);
            }
        });
        {
            // As `stopm` does when its sleep has timed out.
            let mut lk = sched.lock.lock();
            if idle::take_timer_waiter(sched).is_some() {
                wake::enlist_idle(sched, &mut lk, timer_waiter, None);
            }
        }
        t.join().unwrap();
        let kept = sched.timer_waiter_until.load(Ordering::Relaxed) == 50;
        assert!(kept || sched.nmspinning.load(Ordering::Relaxed) == 1, "no thread knows of the timer");
    }
}

#[test]
fn armed_while_the_timer_waiter_looks() {
    check(Size { preemptions: 3, ..Size::default() }, armed_beside_a_timer_waiter_that_looks());
}

#[cfg(loom)]
#[test]
fn finds_timer_waiter_without_fence() {
    finds(&["no thread knows of the timer"], || {
        without("protocol/wake.rs", "enlist_idle");
        check(Size { preemptions: 3, ..Size::default() }, armed_beside_a_timer_waiter_that_looks());
    });
}

/// The timer waiter has slept until its time. Before it has the lock, another thread gives it a P, and then the end of
/// the runtime begins. The P comes first.
fn started_against_the_end() -> impl Fn() {
    || {
        let clock = Clock::new(None);
        let w = Maker::new(1, 1).make();
        let (sched, p) = (w.sched, w.sched.p_at(0).unwrap());
        let timer_waiter = w.new_worker();
        let other = w.sched.malloc(Kind::Worker).unwrap();
        assert!(clock.arm_at(p, 40));
        set_now(50);
        let t = thread::spawn(move || matches!(wake::stopm(sched, timer_waiter), Idle::Search));
        let mut lk = sched.lock.lock();
        let there = sched.timer_waiter.load(Ordering::Relaxed) == timer_waiter.as_ptr();
        match if there { idle::pidleget(sched, &mut lk) } else { None } {
            Some(pp) => wake::startm_locked(sched, lk, other, pp, false),
            None => drop(lk),
        }
        sched.exiting.store(true, Ordering::SeqCst);
        wake::wake_all(sched);
        let searches = t.join().unwrap();
        assert!(searches || !there, "a P is lost");
        if searches {
            assert!(timer_waiter.releasep().forget() == p);
        }
    }
}

#[test]
fn timer_waiter_is_started_against_the_end() {
    check(Size { preemptions: 3, ..Size::default() }, started_against_the_end());
}

/// A G sleeps. The time passes at any moment: while the G arms its timer, or while its P goes to an M that becomes the
/// timer waiter.
fn sleeps(n: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        for _ in 0..n {
            w.host(|w, m| {
                visit(w, m, |_| {
                    assert!(sleep::sleep_until(m, 10).1.is_ok());
                    assert!(crate::sync::now() >= 10);
                });
            });
        }
        w.host(|w, _| w.set_clock(20));
        w.finish();
    }
}

#[test]
fn sleep_against_the_clock() {
    check(Size { preemptions: 2, ..Size::default() }, sleeps(1));
}

#[cfg(shuttle)]
#[test]
fn many_sleep() {
    check(Size::default(), sleeps(3));
}
