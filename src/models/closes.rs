//! The end of a runtime against a foreign thread that spawns (`Sched::close`, `park::start`).

use super::*;
use crate::block::cancel::Kind;
use crate::block::waitgroup::WaitGroup;
use crate::block::{scope, spawn};
use crate::gmp::error::Error;
use crate::protocol::store::Spawn;
use crate::protocol::{park, store};
use crate::sched::life;

/// Spawns. False: the spawn is refused.
type Spawns = fn(MRef, usize, &AtomicUsize) -> bool;

fn spawns(m: MRef, token: usize, started: &AtomicUsize) -> bool {
    let null = std::ptr::null_mut();
    let what = Spawn { entry: null, arg: token as *mut _, flags: 0, stack_size: 0, name: Default::default() };
    let gp = store::newproc(m, &what).unwrap();
    gp.sp.set(std::ptr::dangling_mut());
    let starts = park::start(m, gp);
    started.store(usize::from(starts), SeqCst);
    starts
}

extern "C" fn child(_: *mut std::ffi::c_void) -> i32 {
    unreachable!("the steps of a token are what runs")
}

/// SCOPE-S1.
fn spawns_in_a_scope(m: MRef, token: usize, started: &AtomicUsize) -> bool {
    let handle = scope::make(m, FOREVER).unwrap();
    let spawned = scope::spawn(m, handle, child, token as *mut _);
    assert!(matches!(spawned, Ok(()) | Err(Error::ShutDown)));
    started.store(usize::from(spawned.is_ok()), SeqCst);
    assert_eq!(scope::leave(m, handle, FOREVER), Ok(0));
    spawned.is_ok()
}

/// `counted` in spawn.rs.
fn spawns_in_a_group(m: MRef, token: usize, started: &AtomicUsize) -> bool {
    let group = Box::leak(Box::new(WaitGroup::default()));
    let spawned = spawn::counted(m, group, nothing, token as *mut _);
    assert!(matches!(spawned, Ok(()) | Err(Error::ShutDown)));
    started.store(usize::from(spawned.is_ok()), SeqCst);
    assert_eq!(group.wait(m, None, Kind::Own).1, Ok(()));
    spawned.is_ok()
}

extern "C" fn nothing(_: *mut std::ffi::c_void) {
    unreachable!("the steps of a token are what runs")
}

/// Either the closer sees the G and the runtime stays up, or the spawn is refused.
fn spawn_against_close(spawns: Spawns) -> impl Fn() {
    move || {
        let mut mk = Maker::new(1, 1);
        let token = mk.token(vec![does(|_, m, gp| {
            scope::on_exit(m, gp);
            spawn::on_exit(m, gp);
            m.must_p().stats.ended.bump();
        })]);
        let w = mk.make();
        let started = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicUsize::new(0));
        let s = started.clone();
        w.host(move |w, m| {
            if !spawns(m, token, &s) {
                w.will_not_run(token);
            }
        });
        let c = closed.clone();
        w.host(move |w, m| {
            let over = life::close(m, None, |_| c.store(1, SeqCst));
            if over.ok() == Some(true) && c.load(SeqCst) == 1 {
                // The G may have run and ended before.
                let ran = w.tokens[token].at.load(SeqCst) != 0;
                assert!(ran || started.load(SeqCst) == 0, "a G was started in a runtime that has ended");
                assert_eq!(w.sched.globq_len(), 0, "a G in a runtime that has ended");
                w.sched.lock.lock().stopping = false;
                life::open(w.sched);
            }
        });
        w.finish();
    }
}

#[test]
fn close_against_spawn() {
    check(Size::default(), spawn_against_close(spawns));
}

#[test]
fn close_against_spawn_in_a_scope() {
    check(Size { preemptions: 1, ..Size::default() }, spawn_against_close(spawns_in_a_scope));
}

#[test]
fn close_against_spawn_in_a_group() {
    check(Size { preemptions: 1, ..Size::default() }, spawn_against_close(spawns_in_a_group));
}

/// SYSCALL-X4: a thread that wants to run as a G while the runtime ends stays outside, and waits for nothing.
#[test]
fn close_against_visit() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        w.host(|w, m| {
            if let Some(gp) = foreign::enter_go(m) {
                w.own_p(m);
                foreign::leave_for_good(m, gp, std::ptr::dangling_mut());
            }
        });
        w.host(|w, m| {
            if life::close(m, None, |_| ()).ok() == Some(true) {
                w.sched.lock.lock().stopping = false;
                life::open(w.sched);
            }
        });
        w.finish();
    });
}

#[cfg(loom)]
#[test]
fn finds_spawn_without_fence() {
    finds(&["in a runtime that has ended", "deadlock"], || {
        without("gmp/sched.rs", "is_closing");
        check(Size::default(), spawn_against_close(spawns));
    });
}

/// `num_g` has a fence between the same two accesses, so the fence in `close` is missed only if both are gone.
#[cfg(loom)]
#[test]
fn finds_close_without_fences() {
    finds(&["in a runtime that has ended", "deadlock"], || {
        without("gmp/sched.rs", "close");
        without("gmp/sched.rs", "num_g");
        check(Size::default(), spawn_against_close(spawns));
    });
}
