//! mutex.rs and waitgroup.rs: the mutex has one holder at a time, no waiter waits forever, and a holder sees all that
//! earlier holders wrote.

use super::*;
use crate::block::cancel::Kind;
use crate::block::mutex::Mutex;
use crate::block::waitgroup::WaitGroup;
use crate::gmp::error::Error;
use std::ops::RangeInclusive;

/// How a thread takes the mutex.
#[derive(Clone, Copy)]
enum By {
    /// As a foreign thread.
    Thread,
    /// As a foreign thread with a deadline, which may pass at any moment.
    Deadline,
    /// As a G that holds a P.
    G,
    /// Keeps it until the other waiters ask for a hand-off.
    Long,
    /// Does not wait.
    Try,
}

fn through(all: &'static [By]) -> impl Fn() {
    through_with(1, all)
}

/// Gs spin where there are several Ps.
fn through_with(procs: u32, all: &'static [By]) -> impl Fn() {
    move || {
        let w = Maker::new(procs, procs).make();
        let both = Arc::new((Mutex::default(), Sole::default()));
        let ms: Vec<MRef> = all.iter().map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (&m, &by) in ms.iter().zip(all) {
            let both = both.clone();
            w.host_as(m, move |w, m| {
                let (mutex, inside) = &*both;
                let go = || {
                    let me = crate::block::waitq::self_id(m);
                    // As in the C interface.
                    let got = match by {
                        By::Try => mutex.try_lock(me),
                        _ if mutex.lock_fast(me) => Ok(()),
                        By::Deadline => mutex.lock(m, Some(1)).1,
                        _ => mutex.lock(m, None).1,
                    };
                    match got {
                        Ok(()) => {
                            inside.touch();
                            if matches!(by, By::Long) {
                                set_now(2_000_000);
                            }
                            assert!(mutex.unlock_fast(me) || mutex.unlock(m).is_ok(), "another is its owner");
                        }
                        Err(e) => assert!(matches!((by, e), (By::Try, Error::Busy) | (By::Deadline, Error::TimedOut))),
                    }
                };
                if matches!(by, By::G) { visit(w, m, |_| go()) } else { go() }
            });
        }
        for (m, by) in ms.iter().zip(all) {
            if matches!(by, By::Deadline) {
                m.park.time_out();
            }
        }
        w.finish();
        assert!(both.0.try_lock(1).is_ok(), "it has an owner at the end");
    }
}

#[test]
fn mutex_of_two() {
    check(Size { preemptions: 3, ..Size::default() }, through(&[By::Thread, By::Thread]));
}

#[test]
fn mutex_of_three() {
    check(Size { preemptions: 1, ..Size::default() }, through(&[By::Thread, By::Thread, By::Thread]));
}

#[test]
fn mutex_with_deadline() {
    check(Size::default(), through(&[By::Thread, By::Deadline]));
}

#[test]
fn mutex_with_deadline_between_two() {
    check(Size { preemptions: 1, ..Size::default() }, through(&[By::Thread, By::Deadline, By::Thread]));
}

#[test]
fn mutex_is_handed_over() {
    check(Size { preemptions: 2, ..Size::default() }, through(&[By::Long, By::Thread, By::Try]));
}

#[test]
fn mutex_of_gs() {
    check(Size { preemptions: 1, ..Size::default() }, through(&[By::G, By::G]));
}

#[test]
fn mutex_of_spinners() {
    check(Size { preemptions: 1, ..Size::default() }, through_with(2, &[By::G, By::G]));
}

/// One waits, and of two newcomers one may spin.
#[cfg(shuttle)]
#[test]
fn mutex_of_a_waiter_and_spinners() {
    check(Size::default(), through_with(2, &[By::Thread, By::G, By::G]));
}

#[cfg(shuttle)]
#[test]
fn mutex_of_many_spinners() {
    check(Size::default(), through_with(3, &[By::G, By::Long, By::Deadline, By::G, By::Thread, By::G]));
}

#[cfg(shuttle)]
#[test]
fn mutex_of_many() {
    check(Size::default(), through(&[By::G, By::Long, By::Deadline, By::G, By::Thread, By::Try, By::Deadline]));
}

/// Two threads call `done`, and one or more wait for both. `again`: the first waiter to return uses the group a second
/// time, while other waiters may not have returned from the first round yet.
fn wait_group(waiters: usize, deadline: bool, again: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let what = Arc::new((WaitGroup::default(), [Sole::default(), Sole::default()], AtomicUsize::new(0)));
        let ms: Vec<MRef> = (0..waiters + 2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        assert!(what.0.add(ms[0], 2).is_ok());
        for (i, &m) in ms.iter().enumerate() {
            let what = what.clone();
            w.host_as(m, move |_, m| {
                let (group, done, through) = &*what;
                if i < 2 {
                    done[i].touch();
                    assert!(group.add(m, -1).is_ok());
                    return;
                }
                match group.wait(m, (deadline && i == 2).then_some(1), Kind::Lock).1 {
                    Ok(()) if through.fetch_add(1, SeqCst) == 0 => {
                        done.iter().for_each(Sole::touch);
                        if again {
                            assert!(group.add(m, 1).is_ok());
                            done[0].touch();
                            assert!(group.add(m, -1).is_ok());
                        }
                    }
                    Ok(()) => (),
                    Err(e) => assert!(deadline && e == Error::TimedOut),
                }
            });
        }
        if deadline {
            ms[2].park.time_out();
        }
        w.finish();
        assert!(what.0.add(ms[0], -1).is_err(), "the count is not 0");
    }
}

#[test]
fn wait_group_of_two() {
    check(Size { preemptions: 2, ..Size::default() }, wait_group(1, false, false));
}

#[test]
fn wait_group_with_deadline() {
    check(Size { preemptions: 1, ..Size::default() }, wait_group(1, true, false));
}

#[test]
fn wait_group_used_again() {
    check(Size { preemptions: 1, ..Size::default() }, wait_group(2, false, true));
}

/// Each thread changes the count once, by its entry of `changes`; perhaps another waits with a deadline. The count at
/// the end is the sum of the changes that were not refused, and the number of refusals is in `refused`.
fn counted(first: i32, changes: &'static [i32], refused: RangeInclusive<usize>, waits: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let what = Arc::new((WaitGroup::default(), AtomicUsize::new(0), AtomicUsize::new(first as usize)));
        let ms: Vec<MRef> = (0..changes.len() + 1).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        assert!(what.0.add(ms[0], first).is_ok());
        for (&m, &delta) in ms[1..].iter().zip(changes) {
            let what = what.clone();
            w.host_as(m, move |_, m| match what.0.add(m, delta) {
                Ok(()) => {
                    what.2.fetch_add(delta as usize, SeqCst);
                }
                Err(e) => {
                    assert!(e == Error::Invalid);
                    what.1.fetch_add(1, SeqCst);
                }
            });
        }
        if waits {
            let what = what.clone();
            w.host_as(ms[0], move |_, m| match what.0.wait(m, Some(1), Kind::Lock).1 {
                Ok(()) => (),
                Err(e) => assert!(e == Error::TimedOut),
            });
            ms[0].park.time_out();
        }
        w.finish();
        let n = what.1.load(SeqCst);
        assert!(refused.contains(&n), "{n} are refused");
        let left = what.2.load(SeqCst) as i32;
        assert!(what.0.add(ms[0], -left).is_ok() && what.0.is_zero(), "not {left} are left");
    }
}

#[test]
fn wait_group_that_is_done_too_often() {
    check(Size::default(), counted(1, &[-1, -1], 1..=1, false));
    check(Size { preemptions: 1, ..Size::default() }, counted(1, &[-1, -1], 1..=1, true));
}

/// One call too many, beside a change that makes it valid or takes its place.
#[test]
fn wait_group_that_is_done_too_often_beside_others() {
    check(Size { preemptions: 2, ..Size::default() }, counted(1, &[-1, -1, -1], 2..=2, false));
    check(Size { preemptions: 2, ..Size::default() }, counted(0, &[-1, -5000], 2..=2, false));
}

#[test]
fn wait_group_that_is_too_high() {
    check(Size::default(), counted(i32::MAX, &[1, 7], 2..=2, false));
    check(Size::default(), counted(i32::MAX, &[5000, 1], 2..=2, false));
    // A refused change does not make another change fail.
    check(Size::default(), counted(i32::MAX - 1, &[7, 1], 1..=1, false));
    check(Size { preemptions: 2, ..Size::default() }, counted(i32::MAX, &[1, -1, 1], 1..=2, false));
}

/// One thread waits. A second calls `done`; a third adds 1 and calls `done`, so that one of the two calls of `done` is
/// refused. The wait must end.
fn done_too_often_while_one_waits() -> impl Fn() {
    || {
        let w = Maker::new(1, 1).make();
        let group = Arc::new(WaitGroup::default());
        let ms: Vec<MRef> = (0..3).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let told = Arc::new(AtomicUsize::new(0));
        for (i, &m) in ms.iter().enumerate() {
            let (group, told) = (group.clone(), told.clone());
            w.host_as(m, move |_, m| match i {
                0 => {
                    told.fetch_add(usize::from(group.add(m, -1).is_ok()), SeqCst);
                }
                1 => {
                    assert!(group.add(m, 1).is_ok());
                    told.fetch_add(usize::from(group.add(m, -1).is_ok()), SeqCst);
                }
                _ => assert!(group.wait(m, None, Kind::Lock).1.is_ok()),
            });
        }
        w.finish();
        assert!(told.load(SeqCst) == 1 && group.is_zero());
    }
}

#[test]
fn wait_group_of_one_and_a_wrong_call() {
    check(Size { preemptions: 2, ..Size::default() }, done_too_often_while_one_waits());
}

/// A wait for a group at 0 ends at once, also beside a refused `done`.
#[test]
fn wait_group_for_nothing_beside_a_wrong_call() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let group = Arc::new(WaitGroup::default());
        let ms: Vec<MRef> = (0..2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        let wrong = group.clone();
        w.host_as(ms[0], move |_, m| assert!(wrong.add(m, -1).is_err()));
        w.host_as(ms[1], move |_, m| assert!(group.wait(m, Some(1), Kind::Lock).1.is_ok()));
        ms[1].park.time_out();
        w.finish();
    });
}

#[cfg(shuttle)]
#[test]
fn wait_group_of_many() {
    check(Size::default(), wait_group(5, true, true));
    check(Size::default(), counted(3, &[-1, 1, -1, -1, -1, 2, -5000], 1..=2, true));
}
