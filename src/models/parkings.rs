//! parking.rs: a park ends once, by the party that is told so, and nothing of it reaches the next wait of the G.

use super::cancels::token;
use super::*;
use crate::block::cancel::{self, Reason, Ref};
use crate::block::chan::Chan;
use crate::block::{parking, waitq};
use crate::gmp::error::Error;
use crate::gmp::g::WaitReason;
use crate::gmp::timers::Timers;
use std::ffi::c_void;

type Outcome = Result<(), Error>;

/// What a parker shares with the threads that may end its park.
#[derive(Default)]
struct Shared {
    published: Event,
    handle: std::sync::atomic::AtomicU64,
    refuses: bool,
    /// The commit returns when this has happened.
    late: Option<Event>,
    /// Written by the readier, read by the parker when its park has ended.
    brought: Sole,
    readied: AtomicUsize,
}

extern "C" fn publish(arg: *mut c_void, handle: u64) -> bool {
    // SAFETY: the model keeps it until its end.
    let shared = unsafe { &*arg.cast::<Shared>() };
    shared.handle.store(handle, SeqCst);
    shared.published.happen();
    if let Some(late) = &shared.late {
        late.wait(0, None);
    }
    !shared.refuses
}

fn park(m: MRef, shared: &Arc<Shared>, timeout: i64) -> Outcome {
    parking::park(m, Some(publish), Arc::as_ptr(shared).cast_mut().cast(), WaitReason::PARK, timeout)
}

/// Calls `f`, under the token if there is one.
fn under(m: MRef, token: &Option<Arc<Ref>>, f: impl FnOnce() -> Outcome) -> Outcome {
    match token {
        Some(token) => super::cancels::under(m, token, f),
        None => f(),
    }
}

#[derive(Clone, Copy, Default)]
struct Case {
    /// The parker is a G with the only P; otherwise a foreign thread.
    g: bool,
    readiers: usize,
    timed: bool,
    canceled: bool,
    refuses: bool,
    /// The commit runs until a readier has tried.
    late: bool,
    /// The parker parks again, without any of these, and is readied once.
    again: bool,
    /// The parker, a thread, has left its P as in a syscall, and the readier needs that P first, for a stop.
    left: bool,
}

fn case(c: Case) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let late = c.late.then(Event::new);
        let shared = Arc::new(Shared { refuses: c.refuses, late, ..Shared::default() });
        let next = Arc::new(Shared::default());
        let t = c.canceled.then(|| token(&w, None));
        let m = foreign::needm(w.sched, 1).unwrap();
        let gp = m.own_g();
        // A foreign thread is a G only during its call, so the model gets the handle from the commit.
        let ended = Arc::new(AtomicUsize::new(0));
        let (s, n, u, e) = (shared.clone(), next.clone(), t.clone(), ended.clone());
        w.host_as(m, move |w, m| {
            if c.left {
                let gp = foreign::enter_go(m).expect("the runtime is up");
                w.own_p(m);
                foreign::leave_go(m, gp, std::ptr::dangling_mut());
            }
            let body = |m: MRef| {
                let timeout = if c.timed { 1 } else { FOREVER };
                let end = under(m, &u, || park(m, &s, timeout));
                match end {
                    Ok(()) if !c.refuses => {
                        e.fetch_add(1, SeqCst);
                        if c.readiers == 1 {
                            s.brought.touch();
                        }
                    }
                    Ok(()) => {}
                    Err(Error::TimedOut) => assert!(c.timed),
                    Err(error) => assert!(error == Error::Canceled && c.canceled),
                }
                let gp = waitq::waiter(m);
                assert!(!gp.cancelable.listed.get(), "it is left in the list of its token");
                assert!(!Timers::remove(&gp.timer), "its timer is left");
                if c.again {
                    assert!(park(m, &n, FOREVER).is_ok());
                    n.brought.touch();
                }
            };
            if c.g { visit(w, m, |_| body(m)) } else { body(m) }
        });
        for _ in 0..c.readiers {
            let s = shared.clone();
            w.host(move |w, m| {
                s.published.wait(0, None);
                if c.readiers == 1 {
                    s.brought.touch();
                }
                if c.left {
                    stop_and_start(w, m, FOREVER);
                }
                s.readied.fetch_add(usize::from(parking::ready(m, gp, s.handle.load(SeqCst))), SeqCst);
                s.late.iter().for_each(Event::happen);
            });
        }
        if c.again {
            let n = next.clone();
            w.host(move |_, m| {
                n.published.wait(0, None);
                n.brought.touch();
                assert!(parking::ready(m, gp, n.handle.load(SeqCst)), "another has ended its next park");
            });
        }
        if let Some(t) = t {
            w.host(move |_, m| assert!(cancel::cancel(m, &t, Reason::BY_HAND)));
        }
        if c.timed && c.g {
            let s = shared.clone();
            w.host(move |w, _| {
                s.published.wait(0, None);
                w.set_clock(2);
            });
        } else if c.timed {
            m.park.time_out();
        }
        w.finish();
        let readied = shared.readied.load(SeqCst);
        if c.refuses {
            assert!(readied <= 1);
        } else {
            assert_eq!(readied, ended.load(SeqCst), "as many were told that they ended the park");
        }
    }
}

/// With at most two preemptions, or one more.
fn every(c: Case, preemptions: usize) {
    check(Size { preemptions, ..Size::default() }, case(c));
}

const THREAD: Case = Case {
    g: false,
    readiers: 1,
    timed: false,
    canceled: false,
    refuses: false,
    late: false,
    again: false,
    left: false,
};
const G: Case = Case { g: true, ..THREAD };

#[test]
fn ready_against_timeout() {
    every(Case { timed: true, ..THREAD }, 3);
    // (loom has too few threads for these cases, and for those below.)
    #[cfg(shuttle)]
    every(Case { timed: true, ..G }, 1);
}

#[test]
fn ready_against_cancel() {
    every(Case { canceled: true, ..THREAD }, 2);
    #[cfg(shuttle)]
    every(Case { canceled: true, ..G }, 1);
}

#[test]
fn ready_against_timeout_and_cancel() {
    every(Case { timed: true, canceled: true, ..THREAD }, 1);
}

#[test]
fn two_ready_against_timeout() {
    every(Case { timed: true, readiers: 2, ..THREAD }, 1);
}

#[test]
fn timeout_alone() {
    every(Case { timed: true, readiers: 0, ..THREAD }, 3);
    every(Case { timed: true, readiers: 0, ..G }, 2);
}

#[test]
fn cancel_alone() {
    every(Case { canceled: true, readiers: 0, ..THREAD }, 3);
    every(Case { canceled: true, readiers: 0, ..G }, 1);
}

#[test]
fn refused_against_all() {
    every(Case { canceled: true, refuses: true, ..THREAD }, 2);
    every(Case { timed: true, refuses: true, ..G }, 1);
}

/// PARKING-J3: the park ends while its commit runs.
#[test]
fn ready_while_the_commit_runs() {
    every(Case { timed: true, late: true, ..THREAD }, 2);
    every(Case { canceled: true, late: true, ..THREAD }, 2);
    every(Case { canceled: true, late: true, refuses: true, ..THREAD }, 2);
}

/// PARKING-J1: a late readier does not reach the next park.
#[test]
fn the_next_park_is_left_alone() {
    every(Case { canceled: true, readiers: 0, again: true, ..THREAD }, 2);
    every(Case { timed: true, readiers: 0, again: true, ..THREAD }, 2);
    every(Case { timed: true, canceled: true, readiers: 0, again: true, ..THREAD }, 1);
}

/// A thread that sleeps holds no P, whatever the host's code has done in the commit.
#[test]
fn ready_after_a_stop() {
    every(Case { left: true, ..THREAD }, 2);
}

#[cfg(shuttle)]
#[test]
fn all_at_once() {
    for g in [false, true] {
        every(Case { g, readiers: 2, timed: true, canceled: true, ..THREAD }, 0);
        every(Case { g, readiers: 2, timed: true, canceled: true, refuses: true, ..THREAD }, 0);
    }
    every(Case { readiers: 0, timed: true, canceled: true, again: true, ..G }, 0);
}

/// PARKING-J2: a readier that comes late finds the G in a claimed wait for something else, and leaves that alone.
fn late_ready_against_receive() -> impl Fn() {
    || {
        struct Channel(std::ptr::NonNull<Chan>);
        // SAFETY: a channel may be used from all threads.
        unsafe impl Send for Channel {}
        // SAFETY: as above.
        unsafe impl Sync for Channel {}
        let w = Maker::new(1, 1).make();
        let shared = Arc::new(Shared::default());
        let c = Arc::new(Channel(Chan::make(w.sched, 8, 0).unwrap()));
        let m = foreign::needm(w.sched, 1).unwrap();
        let gp = m.own_g();
        let handle = gp.handle();
        let (s, d) = (shared.clone(), c.clone());
        w.host_as(m, move |_, m| {
            // A park without time to wait ends when its commit has returned, unless it is readied before.
            let end = park(m, &s, 0);
            let mut v = 0u64;
            // SAFETY: the model is its user to the end.
            let got = unsafe { d.0.as_ref() }.recv(m, (&raw mut v).cast(), 1);
            assert!(got == Err(Error::TimedOut), "a park's readier has ended a receive");
            assert_eq!(s.readied.load(SeqCst), usize::from(end.is_ok()));
        });
        let s = shared.clone();
        w.host(move |_, m| {
            // A thread may have known its handle for long.
            s.readied.fetch_add(usize::from(parking::ready(m, gp, handle)), SeqCst);
        });
        m.park.time_out();
        w.finish();
        // SAFETY: the only user.
        assert!(unsafe { Chan::free(c.0) }.is_ok());
    }
}

#[test]
fn late_ready_ends_no_receive() {
    check(Size { preemptions: 3, ..Size::default() }, late_ready_against_receive());
}
