//! coro.rs: either the coroutine or its resumer runs, on one thread, whichever thread resumes it and whatever stops
//! the world meanwhile.

use super::*;
use crate::gmp::error::Error;
use crate::gmp::m::Commit;
use crate::protocol::coro;

/// How the switch from one G to the other is done: directly, or through the scheduler.
#[derive(Clone, Copy)]
enum Way {
    Direct,
    Scheduler,
    /// Directly, but broken: the coroutine is Suspended while it still runs on its stack.
    #[cfg(loom)]
    Early,
}

/// Makes `gp` the current G of `m`, in place of the switch to its stack.
fn enters(m: MRef, to: GRef) {
    to.set_status(GStatus::Runnable);
    m.chosen.set(to.as_ptr());
}

/// Resumes the coroutine, unless another thread has claimed it.
fn resumes(co: usize, handle: u64, way: Way) -> Step {
    Box::new(move |w, m, gp| {
        let co = w.gp(co);
        match coro::claim(co, handle) {
            Ok(()) => {}
            Err(Error::Busy | Error::Stale) => return Mcall::Stay,
            Err(e) => panic!("{e:?}"),
        }
        coro::note_resumer(gp, co);
        gp.set_status(GStatus::Waiting);
        if let Way::Scheduler = way {
            return Mcall::Park(coro::resumed(co));
        }
        enters(m, co);
        Mcall::Park(Commit { host: false, f: None, arg: std::ptr::null_mut() })
    })
}

/// A step of the coroutine.
fn suspends(way: Way) -> Step {
    Box::new(move |_, m, co| {
        if co.has(gflag::CLOSING) {
            return Mcall::Stay;
        }
        let (to, commit) = coro::yielding(m, co);
        co.set_status(GStatus::Waiting);
        match way {
            Way::Scheduler => return Mcall::Park(commit),
            Way::Direct => {}
            #[cfg(loom)]
            Way::Early => co.set_status(GStatus::Suspended),
        }
        enters(m, to);
        Mcall::Suspend
    })
}

/// A coroutine yields once. Some Gs, each on an M of its own, resume it at most twice each; then a foreign thread frees
/// it. `freed`: a second foreign thread does so too.
fn pair(resumers: u32, way: Way, freed: bool, beside: impl Fn(&Arc<World>) + Send + Sync + 'static) -> impl Fn() {
    move || {
        let mut mk = Maker::new(resumers, resumers);
        let co = mk.token(vec![suspends(way)]);
        let gp = mk.0.tokens[co].gp;
        gp.set_flag(gflag::CORO, true);
        gp.set_status(GStatus::Suspended);
        let handle = gp.handle();
        // Under loom two resumers resume once each: more would take too long.
        let times = if resumers > 1 && cfg!(loom) { 1 } else { 2 };
        let twice = |_| resumes(co, handle, way);
        let gs: Vec<usize> = (0..resumers).map(|_| mk.token((0..times).map(twice).collect())).collect();
        let w = mk.make();
        let ms: Vec<MRef> = gs.iter().map(|&g| w.worker_with(&[g])).collect();
        ms.into_iter().for_each(|m| w.go(m));
        let last = foreign::needm(w.sched, 1).unwrap();
        w.host_as(last, move |w, m| {
            gs.iter().for_each(|&g| w.ended(g));
            while coro::switch(m, handle).is_ok() {}
            if coro::switch(m, handle) == Err(Error::Busy) {
                // Another thread is about to free it.
                assert!(freed);
                return;
            }
            assert!(coro::switch(m, handle) == Err(Error::Stale) && coro::close(m, handle) == Err(Error::Stale));
        });
        beside(&w);
        w.finish();
    }
}

#[test]
fn one_resumer() {
    check(Size::default(), pair(1, Way::Direct, false, |_| ()));
    check(Size::default(), pair(1, Way::Scheduler, false, |_| ()));
}

/// A resumer finds all that the resumer before it left behind: CO-R1 and CO-Y2.
#[test]
fn two_resumers() {
    check(Size { preemptions: 1, ..Size::default() }, pair(2, Way::Direct, false, |_| ()));
}

/// The switch goes through a queue, where the other M may find the G. (loom takes minutes for it.)
#[cfg(shuttle)]
#[test]
fn two_resumers_through_the_scheduler() {
    check(Size { preemptions: 1, ..Size::default() }, pair(2, Way::Scheduler, false, |_| ()));
}

#[test]
fn switch_against_stop() {
    let beside = |w: &Arc<World>| {
        w.host(|w, m| {
            stop_and_start(w, m, FOREVER);
        })
    };
    check(Size { preemptions: 1, ..Size::default() }, pair(1, Way::Direct, false, beside));
    check(Size { preemptions: 1, ..Size::default() }, pair(1, Way::Scheduler, false, beside));
}

/// A foreign thread frees the coroutine while a G resumes it: one of the two is refused, or comes too late.
#[test]
fn switch_against_free() {
    let beside = |w: &Arc<World>| {
        let handle = w.gp(0).handle();
        w.host(move |_, m| match coro::close(m, handle) {
            Ok(()) => assert!(coro::close(m, handle) == Err(Error::Stale)),
            Err(e) => assert!(matches!(e, Error::Busy | Error::Stale), "{e:?}"),
        })
    };
    check(Size { preemptions: 1, ..Size::default() }, pair(1, Way::Direct, true, beside));
}

/// CO-I2, broken: a resumer claims the coroutine before it has left its stack.
#[cfg(loom)]
#[test]
fn finds_yield_that_is_published_early() {
    finds(&["Causality violation", "a step ran twice", "a G in a queue is", "two owners"], || {
        check(Size { preemptions: 1, ..Size::default() }, pair(2, Way::Early, false, |_| ()));
    });
}
