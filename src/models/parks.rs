//! park.rs and join.rs: a parking G has left its stack before an M runs it again, is readied once, and is joined once.

use super::*;
use crate::block::join as joins;
use crate::gmp::error::Error;
use crate::gmp::m::Commit;
use crate::protocol::store;
use std::ffi::c_void;

/// What the commit of a park tells the readier.
#[derive(Default)]
struct Parked {
    published: Event,
    refuses: bool,
    /// The commit continues when a thread has tried to ready the G.
    goes_on_late: bool,
    tried: Event,
    /// How often the G was readied.
    readied: AtomicUsize,
}

impl Parked {
    /// As a thread that knows the handle.
    fn ready(&self, m: MRef, gp: GRef, handle: u64) {
        self.published.wait(0, None);
        self.readied.fetch_add(usize::from(park::ready_parked(m, gp, handle)), SeqCst);
        self.tried.happen();
    }
}

unsafe fn publish(_: MRef, _: GRef, arg: *mut c_void) -> bool {
    // SAFETY: the model keeps it until its end.
    let parked = unsafe { &*arg.cast::<Parked>() };
    parked.published.happen();
    if parked.goes_on_late {
        parked.tried.wait(0, None);
    }
    !parked.refuses
}

/// G 0 parks with a commit of the host, which publishes it and may refuse then. Some foreign threads try to ready it.
/// `early`: the G is published while it is still on its stack.
fn park_against_ready(threads: usize, refuses: bool, early: bool) -> impl Fn() {
    park_as(threads, early, move || Parked { refuses, ..Parked::default() })
}

fn park_as(threads: usize, early: bool, parked: impl Fn() -> Parked + Send + Sync + 'static) -> impl Fn() {
    move || {
        let ps = if early { 2 } else { 1 };
        let parked = Arc::new(parked());
        let refuses = parked.refuses;
        let mut mk = Maker::new(ps, ps);
        let p = parked.clone();
        let g = mk.token(vec![Box::new(move |_, _, gp| {
            if early {
                gp.set_status(GStatus::Parked);
                p.published.happen();
                return Mcall::Park(Commit { host: false, f: None, arg: std::ptr::null_mut() });
            }
            gp.set_status(GStatus::Waiting);
            Mcall::Park(Commit { host: true, f: Some(publish), arg: Arc::as_ptr(&p).cast_mut().cast() })
        })]);
        let w = mk.make();
        let handle = w.gp(g).handle();
        let m = w.worker_with(&[g]);
        w.go(m);
        for _ in 0..threads {
            let p = parked.clone();
            w.host(move |w, m| p.ready(m, w.gp(g), handle));
        }
        w.finish();
        let readied = parked.readied.load(SeqCst);
        assert!(readied == 1 || refuses && readied == 0, "readied {readied} times");
    }
}

#[test]
fn park_against_ready_of_a_thread() {
    check(Size::default(), park_against_ready(1, false, false));
}

#[test]
fn park_against_two_who_ready() {
    check(Size { preemptions: 1, ..Size::default() }, park_against_ready(2, false, false));
}

#[test]
fn refused_park_against_ready() {
    check(Size::default(), park_against_ready(1, true, false));
}

/// PARK-K5: readied while its commit runs.
fn late(refuses: bool) -> Parked {
    Parked { refuses, goes_on_late: true, ..Parked::default() }
}

#[test]
fn ready_while_the_commit_runs() {
    check(Size::default(), park_as(1, false, || late(false)));
    check(Size::default(), park_as(1, false, || late(true)));
}

/// A foreign thread has no stack to leave, and sleeps by its note: it needs no wake-up if it is readied while its
/// commit runs.
fn park_of_a_thread(parked: impl Fn() -> Parked + Send + Sync + 'static) -> impl Fn() {
    move || {
        let parked = Arc::new(parked());
        let refuses = parked.refuses;
        let w = Maker::new(1, 1).make();
        let waits = foreign::needm(w.sched, 1).unwrap();
        let gp = waits.own_g();
        let handle = gp.handle();
        let p = parked.clone();
        w.host_as(waits, move |_, m| {
            let commit = Commit { host: true, f: Some(publish), arg: Arc::as_ptr(&p).cast_mut().cast() };
            park::gopark_host(m, crate::gmp::g::WaitReason::SEMACQUIRE, commit);
            assert!(gp.status() == GStatus::Syscall && !gp.has(gflag::THREAD_WAIT));
        });
        let p = parked.clone();
        w.host(move |_, m| p.ready(m, gp, handle));
        w.finish();
        let readied = parked.readied.load(SeqCst);
        assert!(readied == 1 || refuses && readied == 0, "readied {readied} times");
    }
}

#[test]
fn park_of_a_thread_against_ready() {
    check(Size::default(), park_of_a_thread(Parked::default));
}

#[test]
fn ready_while_the_commit_of_a_thread_runs() {
    check(Size::default(), park_of_a_thread(|| late(false)));
    check(Size::default(), park_of_a_thread(|| late(true)));
}

/// A G waits for memory for its stack, and all Ms sleep. The thread that tells of new memory wakes an M.
#[test]
fn stack_comes_free_while_all_sleep() {
    check(Size::default(), || {
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        let m = w.worker_with(&[]);
        w.go(m);
        w.watcher(move |w, m| {
            store::wait_for_stack(m, w.gp(g));
            store::stack_came_free(m);
        });
        w.finish();
    });
}

/// PARK-K1, broken: the G may be readied before it has left its stack.
#[cfg(loom)]
#[test]
fn finds_park_that_is_published_early() {
    finds(&["Causality violation", "a step ran twice", "a G in a queue is"], || {
        check(Size::default(), park_against_ready(1, false, true));
    });
}

/// The descriptor of an ended G becomes free once.
fn is_free(w: &World, token: usize, handle: u64) {
    let gp = w.gp(token);
    assert!(!gp.handle_is(handle) && gp.status() == GStatus::Idle, "its descriptor is not free");
    let mut seen = false;
    let mut once = |found: GRef| {
        assert!(!seen || found != gp, "its descriptor is free twice");
        seen |= found == gp;
    };
    for p in w.sched.live_ps() {
        let pp = p.acquire_from(PStatus::Idle);
        (0..4).map_while(|_| pp.gfree_pop()).for_each(&mut once);
        pp.forget();
    }
    (0..2).map_while(|_| w.sched.galloc()).for_each(&mut once);
}

/// A joinable G ends while one or two threads join it: one of them is told, and sees what the G did.
fn end_against_join(joiners: usize, deadline: bool) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let result = Arc::new(Sole::default());
        let r = result.clone();
        let g = mk.token(vec![does(move |_, _, _| r.touch())]);
        let w = mk.make();
        w.gp(g).set_flag(gflag::JOINABLE, true);
        let handle = w.gp(g).handle();
        let joined = Arc::new(AtomicUsize::new(0));
        let m = w.worker_with(&[g]);
        let ms: Vec<MRef> = (0..joiners).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        w.go(m);
        for (i, &m) in ms.iter().enumerate() {
            let (n, r) = (joined.clone(), result.clone());
            let until = (deadline && i == 0).then_some(1);
            w.host_as(m, move |_, m| match joins::join(m, handle, until) {
                Ok(()) => {
                    if n.fetch_add(1, SeqCst) == 0 {
                        r.touch();
                    }
                    assert!(joins::join(m, handle, None) == Err(Error::Stale), "joined, and not stale");
                }
                Err(Error::TimedOut) => assert!(until.is_some()),
                // The other thread has joined it already.
                Err(e) => assert!(e == Error::Stale && joiners > 1),
            });
        }
        ms.iter().for_each(|m| {
            if deadline {
                m.park.time_out()
            }
        });
        let seen = w.clone();
        w.finish();
        if joined.load(SeqCst) == 0 {
            // All joiners timed out: the G is a zombie until a thread detaches it.
            assert!(deadline);
            assert!(joins::detach(ms[0], handle).is_ok());
        }
        is_free(&seen, g, handle);
    }
}

#[test]
fn end_against_join_of_a_thread() {
    check(Size::default(), end_against_join(1, false));
}

#[test]
fn end_against_join_with_deadline() {
    check(Size::default(), end_against_join(1, true));
}

#[test]
fn end_against_two_who_join() {
    check(Size { preemptions: 1, ..Size::default() }, end_against_join(2, false));
}

/// A thread detaches the G while another joins it, or the end of the G comes first.
#[test]
fn end_against_detach() {
    check(Size::default(), || {
        let mut mk = Maker::new(1, 1);
        let g = mk.token(vec![does(|_, _, _| ())]);
        let w = mk.make();
        w.gp(g).set_flag(gflag::JOINABLE, true);
        let handle = w.gp(g).handle();
        let m = w.worker_with(&[g]);
        w.go(m);
        w.host(move |_, m| assert!(joins::detach(m, handle).is_ok()));
        let seen = w.clone();
        w.finish();
        is_free(&seen, g, handle);
    });
}
