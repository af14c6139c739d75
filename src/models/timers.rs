//! timers.rs, timer.rs: an armed timer fires or is stopped, once, on any P; no earlier firing arrives after a stop.

use super::*;
use crate::block::chan::{Chan, Op};
use crate::block::timer::{self, What};
use crate::gmp::timers::{Alarm, Timer, Timers};
use crate::sync::give_away;
use std::ptr::NonNull;

unsafe fn happens(_: MRef, _: PRef, arg: *mut std::ffi::c_void, _: u64) -> bool {
    // SAFETY: the model passes an Event that outlives it.
    unsafe { &*arg.cast::<Event>() }.happen();
    false
}

/// A thread without a P arms a timer while the only worker goes idle.
fn arm_against_idle() -> impl Fn() {
    || {
        let w = Maker::new(1, 1).make();
        let m = w.worker_with(&[]);
        w.go(m);
        w.host(move |w, m| {
            let timer: &'static Timer = crate::ds::leak::try_leak(Timer::default()).unwrap();
            let fired: &'static Event = crate::ds::leak::try_leak(Event::new()).unwrap();
            let arg = std::ptr::from_ref(fired).cast_mut().cast();
            let alarm = Alarm { when: 0, fire: happens, arg, seq: 0 };
            // SAFETY: it is armed once, and leaked.
            let (_, first) = unsafe { Timers::add_somewhere(w.sched, m, timer, alarm) }.unwrap();
            if first {
                wake::timer_added(w.sched, m, 0);
            }
            fired.wait(0, None);
        });
        w.finish();
    }
}

#[test]
fn arm_without_p_against_idle() {
    check(Size::default(), arm_against_idle());
}

#[cfg(loom)]
#[test]
fn finds_timer_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/wake.rs", "timer_added");
        check(Size { preemptions: 3, ..Size::default() }, arm_against_idle());
    });
}

/// A channel timer.
struct Timed {
    handle: u64,
    c: NonNull<Chan>,
}

// SAFETY: channels are for all threads.
unsafe impl Send for Timed {}
// SAFETY: as above.
unsafe impl Sync for Timed {}

impl Timed {
    fn new(w: &World, delay: i64, period: i64) -> Arc<Timed> {
        let m = foreign::needm(w.sched, 1).unwrap();
        let c = Chan::make(w.sched, 8, 1).unwrap();
        // SAFETY: just made.
        unsafe { c.as_ref() }.add_ref().unwrap();
        Arc::new(Timed { handle: timer::after(m, delay, period, What::Send(c), false).unwrap(), c })
    }

    fn is_empty(&self) -> bool {
        // SAFETY: we are one of its users.
        unsafe { self.c.as_ref() }.is_empty()
    }

    fn take(&self, m: MRef) -> bool {
        let mut at = 0i64;
        // SAFETY: as above.
        unsafe { self.c.as_ref() }.try_transfer(m, Op::Recv, (&raw mut at).cast()).is_ok()
    }

    fn end(&self, w: &World) {
        let m = foreign::needm(w.sched, 1).unwrap();
        timer::free(m, self.handle).unwrap();
        // SAFETY: as above, and not used afterwards.
        unsafe { Chan::free(self.c) }.unwrap();
    }
}

/// The timer is due, and one or two workers may fire it: the worker of its P or a thief. Another thread stops it. With
/// `takes` it would receive the time before that, and so fires the timer itself (TIMER-T1).
fn stop_against_fire(workers: u32, takes: bool) -> impl Fn() {
    move || {
        let w = Maker::new(workers, workers).make();
        for _ in 1..workers {
            let m = w.worker_with(&[]);
            w.go(m);
        }
        // A thread without a P arms it, and calls for a worker.
        let t = Timed::new(&w, 0, 0);
        let x = t.clone();
        w.host(move |_, m| {
            let taken = takes && x.take(m);
            let prevented = timer::stop(m, x.handle).unwrap();
            assert!(x.is_empty(), "a time of before");
            assert_eq!(usize::from(taken) + usize::from(prevented), 1, "it fired, or was prevented");
        });
        let again = w.clone();
        w.finish();
        assert!(t.is_empty(), "a time of before");
        t.end(&again);
    }
}

#[test]
fn stop_against_fire_on_its_p() {
    check(Size { preemptions: 3, ..Size::default() }, stop_against_fire(1, true));
    check(Size { preemptions: 3, ..Size::default() }, stop_against_fire(1, false));
}

#[test]
fn stop_against_fire_and_thief() {
    check(Size { preemptions: 1, ..Size::default() }, stop_against_fire(2, true));
}

/// TIMER-T1: the timer is due, so a receiver gets the time, whichever thread fires it.
#[test]
fn due_is_seen_by_a_receiver() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let t = Timed::new(&w, 0, 0);
        let x = t.clone();
        w.host(move |_, m| {
            assert!(x.take(m), "TIMER-T1");
            assert!(!x.take(m) && !timer::stop(m, x.handle).unwrap());
        });
        let again = w.clone();
        w.finish();
        assert!(t.is_empty(), "it came twice");
        t.end(&again);
    });
}

/// A periodic timer and a receiver, at a time at which the timer is due, or late by some periods: the time comes once
/// (TIMER-T2), and the timer is armed for `next` (TIMER-F3).
fn due_again_and_again(now: i64, next: i64) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let t = Timed::new(&w, 0, 100);
        set_now(now);
        let x = t.clone();
        w.host(move |_, m| {
            assert!(x.take(m), "TIMER-T1");
            assert!(!x.take(m), "TIMER-T2, TIMER-F3");
        });
        let again = w.clone();
        w.finish();
        assert!(t.is_empty(), "it came twice");
        let m = foreign::needm(again.sched, 1).unwrap();
        let timers = &again.sched.p_at(0).unwrap().timers;
        assert_eq!((timers.count(), timers.first(), timers.reserved()), (1, next, 0));
        assert!(timer::stop(m, t.handle).unwrap());
        t.end(&again);
    }
}

#[test]
fn due_again_and_again_is_seen_by_a_receiver() {
    check(Size { preemptions: 3, ..Size::default() }, due_again_and_again(0, 100));
}

#[test]
fn late_by_periods_is_seen_once_by_a_receiver() {
    check(Size { preemptions: 3, ..Size::default() }, due_again_and_again(250, 300));
}

/// Reset while the timer fires: the time of the first arm is prevented, or was received before; the time of the second
/// comes once.
#[test]
fn reset_against_fire() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let t = Timed::new(&w, 0, 0);
        let x = t.clone();
        w.host(move |_, m| {
            let taken = x.take(m);
            assert_eq!(timer::reset(m, x.handle, 0, 0), Ok(!taken));
            let mut at = 0i64;
            // SAFETY: we are one of its users.
            assert!(unsafe { x.c.as_ref() }.recv(m, (&raw mut at).cast(), FOREVER).is_ok());
            assert!(!timer::stop(m, x.handle).unwrap());
        });
        let again = w.clone();
        w.finish();
        assert!(t.is_empty(), "a time of before");
        t.end(&again);
    });
}

/// Reset to a later time while the timer fires: no time comes before that. `takes` is as in [`stop_against_fire`].
fn reset_to_later(takes: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let t = Timed::new(&w, 0, 0);
        let x = t.clone();
        w.host(move |_, m| {
            let taken = takes && x.take(m);
            assert_eq!(timer::reset(m, x.handle, 100, 0), Ok(!taken));
        });
        let again = w.clone();
        w.finish();
        assert!(t.is_empty(), "it came early");
        t.end(&again);
    }
}

#[test]
fn reset_to_later_against_fire() {
    check(Size::default(), reset_to_later(true));
    check(Size::default(), reset_to_later(false));
}

/// TIMER-O1 to TIMER-O3: a thread frees the channel that owns its timer while the timer fires, from a worker or from a
/// receiver that looks. The next timer in its place belongs to another channel.
fn free_against_fire(look: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let m = foreign::needm(w.sched, 1).unwrap();
        set_now(-1);
        let c = timer::after_chan(m, 1).unwrap();
        set_now(0);
        let shared = Arc::new(Timed { handle: 0, c });
        w.host_as(m, move |w, m| {
            if look {
                let _ = shared.take(m);
            }
            // SAFETY: made above; we are its only user, and do not use it afterwards.
            assert_eq!(unsafe { Chan::free(shared.c) }, Ok(()));
            // SAFETY: as a range of addresses only.
            give_away(unsafe { shared.c.as_ref() });
            assert_eq!(w.sched.p_at(0).unwrap().timers.count(), 0, "a timer of a channel that is gone");
            // Its place in the slab is free again, and no earlier firing reaches the next owner of that place.
            let next = timer::after(m, 100, 0, What::Nothing, false).unwrap();
            assert_eq!(timer::free(m, next), Ok(true), "TIMER-O2");
        });
        w.finish();
    }
}

#[test]
fn free_of_an_owner_against_fire() {
    check(Size { preemptions: 3, ..Size::default() }, free_against_fire(false));
    check(Size { preemptions: 3, ..Size::default() }, free_against_fire(true));
}

unsafe fn never(_: MRef, _: PRef, _: *mut std::ffi::c_void, _: u64) -> bool {
    unreachable!("it was not due")
}

/// A P goes, with its timers, while threads without a P stop one and arm another.
#[test]
fn stop_and_arm_against_resize() {
    check(Size::default(), || {
        let w = Maker::new(2, 2).make();
        let m = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).find(|m| m.id % 2 == 1).unwrap();
        let timers: [&'static Timer; 2] = [0, 1].map(|_| crate::ds::leak::try_leak(Timer::default()).unwrap());
        let arm = |m: MRef, t: &'static Timer, when: i64| {
            let alarm = Alarm { when, fire: never, arg: std::ptr::null_mut(), seq: 0 };
            // SAFETY: it is stopped, and leaked.
            unsafe { Timers::add_somewhere(m.sched(), m, t, alarm) }.unwrap().0.id
        };
        assert_eq!(arm(m, timers[0], 5), 1);
        assert_eq!(arm(m, timers[1], 6), 1);
        w.host_as(m, move |_, m| {
            assert!(Timers::remove(timers[0]));
            arm(m, timers[0], 7);
            assert!(Timers::remove(timers[1]));
            assert!(!Timers::remove(timers[1]));
        });
        w.watcher(|w, _| assert!(Timers::move_all(w.sched.p_at(1).unwrap(), w.sched.p_at(0).unwrap())));
        let sched = w.sched;
        w.finish();
        assert_eq!(sched.p_at(0).unwrap().timers.count(), 1);
        assert_eq!(sched.p_at(0).unwrap().timers.first(), 7);
        assert_eq!(sched.p_at(1).unwrap().timers.first(), crate::gmp::timers::NEVER);
        assert!(Timers::remove(timers[0]));
    });
}

unsafe fn comes_back(m: MRef, pp: PRef, arg: *mut std::ffi::c_void, _: u64) -> bool {
    // SAFETY: the model passes its timer, which is leaked, and has just fired from the heap of `pp`.
    unsafe { Timers::put_back(m.sched(), pp, &*arg.cast::<Timer>(), Alarm { when: 50, fire: never, arg, seq: 0 }) };
    true
}

/// sysmon runs a periodic timer of a P that a resize removes meanwhile: the timer is armed again in a heap that stays.
#[test]
fn fire_and_come_back_against_resize() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(2, 2).make();
        let [stays, goes] = [0, 1].map(|i| w.sched.p_at(i).unwrap());
        let m = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).find(|m| m.id % 2 == 1).unwrap();
        let t: &'static Timer = crate::ds::leak::try_leak(Timer::default()).unwrap();
        t.comes_back.set(true);
        let alarm = Alarm { when: 5, fire: comes_back, arg: std::ptr::from_ref(t).cast_mut().cast(), seq: 0 };
        // SAFETY: it is armed once, and leaked.
        assert!(unsafe { Timers::add_somewhere(w.sched, m, t, alarm) }.unwrap().0 == goes);
        w.watcher(move |_, m| {
            // SAFETY: no G runs here.
            unsafe { Timers::run(goes, m, 5) };
        });
        w.watcher(move |_, _| assert!(Timers::move_all(goes, stays)));
        w.finish();
        assert_eq!(goes.timers.first(), crate::gmp::timers::NEVER);
        assert!(matches!(stays.timers.first(), 5 | 50));
        assert_eq!(stays.timers.count(), 1);
    });
}

/// Two threads free a timer, and another timer takes its place: only the maker of that timer owns it.
#[test]
fn free_against_the_next_in_its_place() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let never = |m| timer::after(m, FOREVER, 0, What::Nothing, false).unwrap();
        let old = never(ms[0]);
        w.host_as(ms[1], move |_, m| {
            let _ = timer::free(m, old);
        });
        w.host_as(ms[0], move |_, m| {
            let _ = timer::free(m, old);
            let new = never(m);
            assert!(timer::free(m, new).is_ok(), "another has freed it");
        });
        w.finish();
    });
}
