//! quiet.rs: a watcher is told when nothing runs any more, and not before.

use super::*;
use crate::ds::leak::try_leak;
use crate::gmp::g::G;
use crate::gmp::m::Commit;
use crate::gmp::timers::{Alarm, Timer, Timers};
use crate::protocol::{lockedm, quiet};
use crate::sched::template;
use crate::sync::own::OwnPtr;

/// QUIET-V1 to QUIET-V5, except QUIET-V4, which asks the system.
fn await_quiet(w: &World) {
    loop {
        let seen = w.sched.watch.now();
        if quiet::still(w.sched).is_some() && w.sched.watch.now() == seen {
            return;
        }
        w.sched.watch.wait(seen, None);
    }
}

/// Checks QUIET-Q1 for a G whose waits all end: it has ended. The touch makes the checker try this look before and
/// after each run of the G.
fn has_ended(w: &World, token: usize) {
    let token = &w.tokens[token];
    token.sole.touch();
    assert!(token.at.load(SeqCst) == usize::MAX, "QUIET-Q1: it was said that nothing runs");
}

fn waits() -> Step {
    Box::new(|_, _, gp| {
        gp.set_status(GStatus::Waiting);
        Mcall::Park(Commit { host: false, f: None, arg: std::ptr::null_mut() })
    })
}

fn ready(w: &World, m: MRef, token: usize) {
    assert!(w.gp(token).status() == GStatus::Waiting, "QUIET-Q1: it was said that nothing runs");
    w.gp(token).set_status(GStatus::Runnable);
    park::ready_queue(m, w.gp(token));
}

/// A worker runs two Gs, the first with these steps, and goes to sleep.
fn worker(steps: fn() -> Vec<Step>) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let first = mk.token(steps());
        let second = mk.token(vec![waits()]);
        let w = mk.make();
        w.sched.watchers.store(1, SeqCst);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        w.host(move |w, m| {
            await_quiet(w);
            has_ended(w, first);
            ready(w, m, second);
        });
        w.finish();
    }
}

#[test]
fn quiet_after_work() {
    check(Size::default(), worker(Vec::new));
}

#[test]
fn quiet_after_a_syscall() {
    check(Size { preemptions: 1, ..Size::default() }, worker(|| vec![in_and_out()]));
}

/// A G waits for a timer of the only P, whose worker is the timer waiter. `rest` starts the other threads.
fn timer(rest: fn(&Arc<World>)) -> impl Fn() {
    move || {
        let bell: &'static Bell = try_leak(Bell::default()).unwrap();
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![Box::new(move |_, m, gp| {
            let p = m.must_p().p();
            assert!(p.timers.reserve().is_ok());
            bell.gp.set(gp.as_ptr());
            let alarm = Alarm { when: 1, fire: rings, arg: std::ptr::from_ref(bell).cast_mut().cast(), seq: 0 };
            gp.set_status(GStatus::Waiting);
            // SAFETY: it is armed once, and lasts until the end of the execution.
            unsafe { Timers::add(p, &bell.timer, alarm) };
            Mcall::Park(Commit { host: false, f: None, arg: std::ptr::null_mut() })
        })]);
        let second = mk.token(vec![waits()]);
        let w = mk.make();
        w.sched.watchers.store(1, SeqCst);
        let m = w.worker_with(&[first, second]);
        w.go(m);
        rest(&w);
        w.host(move |w, m| {
            await_quiet(w);
            has_ended(w, first);
            ready(w, m, second);
        });
        w.finish();
    }
}

/// The timer fires while the watcher looks, and is no longer armed then.
#[test]
fn quiet_against_a_timer() {
    check(Size::default(), timer(|w| w.host(|w, _| w.set_clock(1))));
}

/// The template thread fires the timer, if it is the first to look: no P is busy then.
#[test]
fn quiet_against_a_timer_that_is_fired_without_a_p() {
    let fires = |w: &Arc<World>| {
        w.host(|w, m| {
            w.set_clock(1);
            template::try_again(w.sched, m);
        });
    };
    check(Size::default(), timer(fires));
}

#[derive(Default)]
struct Bell {
    timer: Timer,
    gp: OwnPtr<G>,
}

// SAFETY: the lock of its heap guards the timer; the G is set before the timer is armed.
unsafe impl Sync for Bell {}
// SAFETY: as above.
unsafe impl Send for Bell {}

unsafe fn rings(m: MRef, _: PRef, arg: *mut std::ffi::c_void, _: u64) -> bool {
    // SAFETY: the model passed it.
    let gp = unsafe { GRef::from_ptr((*arg.cast::<Bell>()).gp.get()) }.unwrap();
    gp.set_status(GStatus::Runnable);
    park::ready_queue(m, gp);
    false
}

/// One worker waits with its locked G while another goes idle: the later of the two tells the watcher.
fn locked_beside_idle() -> impl Fn() {
    || {
        let mut mk = Maker::new(2, 2);
        let locked =
            mk.token(vec![does(|_, m, gp| lockedm::lock(m, gp)), waits(), does(|_, m, gp| lockedm::unlock(m, gp))]);
        let w = mk.make();
        w.sched.watchers.store(1, SeqCst);
        let (a, b) = (w.worker_with(&[locked]), w.worker_with(&[]));
        w.go(a);
        w.go(b);
        w.host(move |w, m| {
            await_quiet(w);
            ready(w, m, locked);
        });
        w.finish();
    }
}

#[test]
fn quiet_with_a_locked_g() {
    check(Size { preemptions: 1, ..Size::default() }, locked_beside_idle());
}

#[cfg(loom)]
#[test]
fn finds_quiet_told_without_fence() {
    finds(DEADLOCK, || {
        without("protocol/quiet.rs", "notify_if_all_idle");
        check(Size { preemptions: 1, ..Size::default() }, locked_beside_idle());
    });
}

/// QUIET-Q4: the only worker that `max_threads` allows waits for its locked G, and the other G has no thread to run on.
#[test]
fn quiet_when_every_thread_is_taken() {
    check(Size { preemptions: 1, ..Size::default() }, || {
        let mut mk = Maker::new(1, 1);
        let locked =
            mk.token(vec![does(|_, m, gp| lockedm::lock(m, gp)), waits(), does(|_, m, gp| lockedm::unlock(m, gp))]);
        let other = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        w.sched.cfg.max_threads.set(1);
        w.sched.watchers.store(1, SeqCst);
        let m = w.worker_with(&[locked, other]);
        w.go(m);
        w.host(move |w, m| {
            await_quiet(w);
            assert!(w.tokens[other].at.load(SeqCst) == 0 && w.sched.globq_len() == 1, "it ran");
            ready(w, m, locked);
            // As the watchdog does: it asks again for the missing thread.
            w.sched.thread_wanted.store(false, SeqCst);
            wake::look_again(w.sched, m);
        });
        w.finish();
    });
}
