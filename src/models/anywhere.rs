//! seize.rs, SEIZE-A1 to SEIZE-A4: the stop that holds the host's code where it is.

use super::*;
#[cfg(loom)]
use crate::gmp::g::GList;
use crate::gmp::p::STOP;
use crate::protocol::seize;
use crate::protocol::stw::{self, Stop};
use crate::sched::world::{self, Latecomers};
use crate::sync::asymmetric_fence_heavy;

/// What the host's code and a collector use in turn.
type Heap = Arc<Sole>;

/// A step that runs code of the host, which is interrupted by a nudge between its two uses of the heap.
fn computes(heap: &Heap) -> Step {
    let heap = heap.clone();
    does(move |w, m, _| {
        m.go_outside();
        heap.touch();
        seize::hold(m, std::ptr::dangling_mut());
        heap.touch();
        seize::come_in(m);
        w.own_p(m);
    })
}

/// As [`computes`], and no nudge meets the thread outside: it comes in by itself.
fn calls_in(heap: &Heap) -> Step {
    let heap = heap.clone();
    does(move |w, m, _| {
        m.go_outside();
        heap.touch();
        seize::come_in(m);
        w.own_p(m);
        m.go_outside();
        heap.touch();
        seize::come_in(m);
    })
}

/// As [`calls_in`], when the stop is under way: the call does not begin before the world has started again.
fn calls_in_late(heap: &Heap) -> Step {
    let heap = heap.clone();
    does(move |w, m, _| {
        let p = w.sched.p_at(0).unwrap();
        m.go_outside();
        while p.requests() & STOP == 0 {
            thread::yield_now();
        }
        heap.touch();
        seize::come_in(m);
        w.own_p(m);
        assert!(p.requests() & STOP == 0, "a call that begins in a world that is to stop");
    })
}

/// The collector, which does `first` before it stops the world.
fn collects(w: &Arc<World>, heap: Heap, first: fn(&World, MRef)) {
    w.host(move |w, m| {
        first(w, m);
        world::stop_the_world_anywhere(m, FOREVER, &mut Latecomers::default()).unwrap();
        heap.touch();
        w.own_all();
        // SEIZE-A3: what the collector is told of each G is that it does not run.
        assert!(w.tokens.iter().all(|t| t.gp.status() != GStatus::Running), "a G that runs in a stopped world");
        heap.touch();
        world::start_the_world(m);
    });
}

fn nothing(_: &World, _: MRef) {}

/// SEIZE-W2 to SEIZE-W4 for P 0, as the watchdog does it.
fn takes(w: &World, me: MRef) {
    let ctx = me.ctx();
    me.set_ctx(Ctx::Sched);
    let p = w.sched.p_at(0).unwrap();
    p.request(PREEMPT);
    p.announce();
    asymmetric_fence_heavy();
    if let Some(taken) = syscall::take(w.sched, me, p, |host| p.try_retake(host)) {
        taken.pp.clear_request(PREEMPT);
        syscall::handoffp(w.sched, me, taken.pp);
    }
    me.set_ctx(ctx);
}

fn waits_for_code(w: &World, _: MRef) {
    let p = w.sched.p_at(0).unwrap();
    while !p.in_host(p.word()) {
        thread::yield_now();
    }
}

fn may_lose_its_p(w: &World) {
    w.sched.cfg.slice_ns.set(0);
    w.sched.cfg.seizes.set(true);
}

/// One G on one P, with this step before a safe point.
fn stop_against(step: fn(&Heap) -> Step, first: fn(&World, MRef)) -> impl Fn() {
    move || {
        let heap = Heap::default();
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![step(&heap), safepoint()]);
        let w = mk.make();
        may_lose_its_p(&w);
        let m = w.worker_with(&[g]);
        w.go(m);
        collects(&w, heap, first);
        w.finish();
    }
}

/// SEIZE-A3: the P, or its lack, and the G are seen at rest together.
#[test]
fn stop_anywhere_against_a_nudge() {
    check(Size::default(), stop_against(computes, nothing));
}

#[test]
fn stop_anywhere_against_a_call() {
    check(Size::default(), stop_against(calls_in, nothing));
}

#[test]
fn stop_anywhere_against_a_call_that_comes_late() {
    check(Size::default(), stop_against(calls_in_late, waits_for_code));
}

/// SEIZE-G7: code that has lost its P counts, and is held.
#[test]
fn stop_anywhere_against_code_without_a_p() {
    check(Size::default(), stop_against(computes, takes));
}

/// Two Gs share one P. The first is held for the sake of the second, or its P is on its way back to it, when the stop
/// begins: it stays held. The second does `act` first.
fn stop_against_a_held_thread(act: fn(&Sched)) -> impl Fn() {
    move || {
        let heap = Heap::default();
        let mut mk = Maker::new(1, 1);
        let asked = does(|_, m, _| {
            let p = m.must_p().p();
            p.request(PREEMPT);
            p.nudge();
        });
        let first = mk.token(vec![asked, computes(&heap), safepoint()]);
        let second = mk.token(vec![does(move |w, _, _| act(w.sched)), safepoint()]);
        let w = mk.make();
        may_lose_its_p(&w);
        // Otherwise the held thread has its turn before the second G.
        w.sched.cfg.slice_ns.set(1_000);
        let m = w.worker_with(&[first, second]);
        w.go(w.new_worker());
        w.go(m);
        collects(&w, heap, nothing);
        w.finish();
    }
}

#[test]
fn stop_anywhere_against_a_held_thread() {
    check(Size { preemptions: 1, ..Size::default() }, stop_against_a_held_thread(|_| ()));
}

/// SEIZE-G7: what was let go before counts, and nothing is let go during the stop. (The second G does it in the
/// watchdog's place: loom has no room for one more thread.)
#[test]
fn stop_anywhere_against_let_go() {
    let lets_go = |sched: &Sched| _ = seize::let_go(sched);
    check(Size { preemptions: 1, ..Size::default() }, stop_against_a_held_thread(lets_go));
}

/// SEIZE-B2 without the look at `exact`: the code runs beside the collector.
#[cfg(loom)]
#[test]
fn finds_let_go_during_a_stop_anywhere() {
    finds(&["Causality violation", "concurrent", "a G that runs", "overflow"], || {
        let lets_go = |sched: &Sched| {
            let mut gs = GList::new();
            {
                let mut lk = sched.lock.lock();
                if let Some(gp) = sched.globrunqget_hog() {
                    lk.taken += 1;
                    // SAFETY: the M of a locked G.
                    unsafe { MRef::from_ptr(gp.lockedm.get()) }.unwrap().out.set(true);
                    gs.push_back(gp);
                }
            }
            seize::go_on(sched, gs);
        };
        check(Size { preemptions: 1, ..Size::default() }, stop_against_a_held_thread(lets_go));
    });
}

/// STW-A3: a stop that is given up, while a thread is held for it or about to be. The G continues.
fn stop_given_up(step: fn(&Heap) -> Step) -> impl Fn() {
    move || {
        let heap = Heap::default();
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![step(&heap), safepoint()]);
        let w = mk.make();
        may_lose_its_p(&w);
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |w, m| {
            let mut late = 0;
            let ctx = m.ctx();
            m.set_ctx(Ctx::Sched);
            let stopped = stw::stop(w.sched, m, Stop::Anywhere, Some(0), |_| late += 1);
            assert_eq!(stopped, late == 0, "a stop fails exactly if it names what was late");
            if stopped {
                heap.touch();
                stw::start(w.sched, m);
            }
            m.set_ctx(ctx);
        });
        w.sched.stopnote.time_out();
        w.finish();
    }
}

#[test]
fn stop_anywhere_given_up_against_a_nudge() {
    check(Size::default(), stop_given_up(computes));
}

#[test]
fn stop_anywhere_given_up_against_a_call() {
    check(Size::default(), stop_given_up(calls_in));
}
