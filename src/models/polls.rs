//! netpoll.rs and wake.rs: Gs and threads that wait for descriptors, against Ms that go idle, timers and wakers.

use super::*;
use crate::block::edges::Edges;
use crate::block::waitq::How;
use crate::ds::leak::try_leak;
use crate::gmp::g::WaitReason;
use crate::gmp::timers::{Alarm, Timer, Timers};
use crate::protocol::netpoll;
use crate::sync::AtomicBool;
use std::ffi::c_void;

/// A descriptor of the model's kernel.
#[derive(Default)]
struct Pipe {
    data: AtomicBool,
    edges: Edges,
}

impl Pipe {
    fn new() -> &'static Pipe {
        try_leak(Pipe::default()).unwrap()
    }

    /// Another process writes.
    fn write(&'static self, w: &World) {
        self.data.store(true, SeqCst);
        w.sched.net.poll.happens(std::ptr::from_ref(&self.edges) as u64, 0);
    }

    /// The call that would block, and the wait.
    fn read(&'static self, m: MRef) {
        loop {
            let seen = self.edges.seen();
            if self.data.load(SeqCst) {
                return;
            }
            self.edges.wait(m, seen, How::event(WaitReason::IO_READ, None));
        }
    }
}

/// Only this one thread is outside of the scheduler's; no G runs.
fn reads(w: &Arc<World>, pipe: &'static Pipe) {
    w.host(move |_, m| pipe.read(m));
}

/// A thread looks without waiting, as the watchdog does.
fn looks(w: &Arc<World>) {
    w.watcher(|w, me| {
        if netpoll::look(w.sched, me) > 0 {
            wake::wakep(w.sched, me);
        }
    });
}

const FEW: Size = Size { preemptions: 1, schedules: 2000 };

/// A thread of the host waits while the only M goes idle: that M polls (NETPOLL-I2).
fn waiter_against_idle() -> impl Fn() {
    || {
        let pipe = Pipe::new();
        let w = Maker::new(1, 1).make();
        let m = w.worker_with(&[]);
        w.go(m);
        reads(&w, pipe);
        pipe.write(&w);
        w.finish();
    }
}

#[test]
fn waiter_beside_one_that_idles() {
    check(Size { preemptions: 2, ..FEW }, waiter_against_idle());
}

#[cfg(loom)]
#[test]
fn finds_waiter_without_fence() {
    finds(DEADLOCK, || {
        without("block/waitq.rs", "wait_then");
        check(Size { preemptions: 2, ..FEW }, waiter_against_idle());
    });
}

unsafe fn counts(_: MRef, _: PRef, arg: *mut c_void, _: u64) -> bool {
    // SAFETY: leaked by the model.
    unsafe { &*arg.cast::<AtomicUsize>() }.fetch_add(1, SeqCst);
    false
}

/// Arms a timer that counts; true if it is the first one.
fn arm(p: PRef, when: i64, fired: &'static AtomicUsize) -> bool {
    let timer = try_leak(Timer::default()).unwrap();
    assert!(p.timers.reserve().is_ok());
    let alarm = Alarm { when, fire: counts, arg: std::ptr::from_ref(fired).cast_mut().cast(), seq: 0 };

    // SAFETY: it is armed once.
    unsafe { Timers::add(p, timer, alarm) }
}

/// As before, and that M watches a timer: it is told to poll.
#[test]
fn waiter_beside_a_timer_waiter() {
    check(FEW, || {
        let (pipe, fired) = (Pipe::new(), try_leak(AtomicUsize::new(0)).unwrap());
        let mut mk = Maker::new(1, 1);
        let arms = mk.token(vec![does(move |_, m, _| {
            arm(m.must_p().p(), 100, fired);
        })]);
        let w = mk.make();
        let m = w.worker_with(&[arms]);
        w.go(m);
        reads(&w, pipe);
        pipe.write(&w);
        w.finish();
        assert_eq!(fired.load(SeqCst), 0);
    });
}

/// The M polls, and a thread arms a timer: that fires.
#[test]
fn timer_is_armed_beside_one_that_polls() {
    check(FEW, || {
        let (pipe, fired) = (Pipe::new(), try_leak(AtomicUsize::new(0)).unwrap());
        let w = Maker::new(1, 1).make();
        let m = w.worker_with(&[]);
        w.go(m);
        reads(&w, pipe);
        w.host(move |w, m| {
            if arm(w.sched.p_at(0).unwrap(), 50, fired) {
                wake::timer_added(w.sched, m, 50);
            }
            set_now(60);
            w.set_clock(60);
            while fired.load(SeqCst) == 0 {
                thread::yield_now();
            }
            pipe.write(w);
        });
        w.finish();
    });
}

/// G 0 readies G 1, waits for it on its thread and keeps its P. The only other M polls: it takes G 1, and no event is
/// lost by that.
#[test]
fn one_that_polls_is_given_a_p() {
    check(Size { preemptions: 0, ..FEW }, || {
        let pipe = Pipe::new();
        let mut mk = Maker::new(2, 2);
        let waiter = mk.token(vec![readies(1), awaits(1)]);
        let _ = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let searcher = w.searcher();
        let m = w.worker_with(&[waiter]);
        w.go(searcher);
        w.go(m);
        reads(&w, pipe);
        pipe.write(&w);
        w.finish();
    });
}

/// A thread looks without waiting, as the watchdog does, while another polls.
#[test]
fn a_look_beside_one_that_polls() {
    check(FEW, || {
        let pipe = Pipe::new();
        let w = Maker::new(1, 1).make();
        let m = w.worker_with(&[]);
        w.go(m);
        reads(&w, pipe);
        looks(&w);
        pipe.write(&w);
        w.finish();
    });
}

/// The edge comes while the wait for it begins.
fn edge_against_wait() -> impl Fn() {
    || {
        let pipe = Pipe::new();
        let w = Maker::new(1, 1).make();
        w.host(move |_, m| _ = pipe.edges.wait(m, 0, How::event(WaitReason::IO_READ, None)));
        w.watcher(move |w, _| {
            let mut list = GList::new();
            pipe.edges.happen(w.sched, &mut list);
            assert!(list.is_empty(), "a thread of the host waits, and no G");
        });
        w.finish();
    }
}

#[test]
fn edge_beside_a_wait() {
    check(Size { preemptions: 2, ..FEW }, edge_against_wait());
}

#[cfg(loom)]
#[test]
fn finds_edge_without_fence() {
    finds(DEADLOCK, || {
        without("block/waitq.rs", "end_all");
        check(Size { preemptions: 2, ..FEW }, edge_against_wait());
    });
}
