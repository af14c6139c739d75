//! seize.rs, SEIZE-A1 to SEIZE-A4: the stop that holds the host's code where it is.

use super::*;
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

/// The collector.
fn collects(w: &Arc<World>, heap: Heap) {
    w.host(move |w, m| {
        world::stop_the_world_anywhere(m, FOREVER, &mut Latecomers::default()).unwrap();
        heap.touch();
        w.own_all();
        heap.touch();
        world::start_the_world(m);
    });
}

/// SEIZE-W2 to SEIZE-W4 for P 0, which was asked to end its slice.
fn takes(w: &Arc<World>) {
    w.watcher(|w, me| {
        let p = w.sched.p_at(0).unwrap();
        p.request(PREEMPT);
        p.announce();
        asymmetric_fence_heavy();
        if let Some(taken) = syscall::take(w.sched, p, |host| p.try_retake(host)) {
            taken.pp.clear_request(PREEMPT);
            syscall::handoffp(w.sched, me, taken.pp);
        }
    });
}

fn may_lose_its_p(w: &World) {
    w.sched.cfg.slice_ns.set(0);
    w.sched.cfg.seizes.set(true);
}

/// One G on one P, with this step before a safe point.
fn stop_against(step: fn(&Heap) -> Step, taken: bool) -> impl Fn() {
    move || {
        let heap = Heap::default();
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![step(&heap), safepoint()]);
        let w = mk.make();
        may_lose_its_p(&w);
        let m = w.worker_with(&[g]);
        w.go(m);
        if taken {
            takes(&w);
        }
        collects(&w, heap);
        w.finish();
    }
}

/// SEIZE-A3: the P, or its lack, and the G are seen at rest together.
#[test]
fn stop_anywhere_against_a_nudge() {
    check(Size::default(), stop_against(computes, false));
}

#[test]
fn stop_anywhere_against_a_call() {
    check(Size::default(), stop_against(calls_in, false));
}

/// SEIZE-G7: code that has lost its P counts, and is held.
#[test]
fn stop_anywhere_against_code_without_a_p() {
    check(Size { preemptions: 1, ..Size::default() }, stop_against(computes, true));
}

/// Two Gs share one P. The first is held for the sake of the second, or its P is on its way back to it, when the stop
/// begins: it stays held.
fn stop_against_a_held_thread() -> impl Fn() {
    move || {
        let heap = Heap::default();
        let mut mk = Maker::new(1, 1);
        let first = mk.token(vec![computes(&heap), safepoint()]);
        let second = mk.token(vec![safepoint()]);
        let w = mk.make();
        may_lose_its_p(&w);
        let m = w.worker_with(&[first, second]);
        let p = w.sched.p_at(0).unwrap();
        p.request(PREEMPT);
        p.nudge();
        w.go(w.new_worker());
        w.go(m);
        collects(&w, heap);
        w.finish();
    }
}

#[test]
fn stop_anywhere_against_a_held_thread() {
    check(Size { preemptions: 1, ..Size::default() }, stop_against_a_held_thread());
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
