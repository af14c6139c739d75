//! The host may free or reuse its own object (a mutex, a semaphore, a channel ..) as soon as the last user has
//! returned: no other caller, still inside its call, touches the object after that. [`give_away`] stands for the free.
//! Joins, scopes, timers and tokens lie in no memory of the host.

use super::*;
use crate::block::barrier::Barrier;
use crate::block::cancel::Kind;
use crate::block::chan::Chan;
use crate::block::cond::Cond;
use crate::block::mutex::Mutex;
use crate::block::once::{Begun, Once};
use crate::block::rwmutex::RwMutex;
use crate::block::waitgroup::WaitGroup;
use crate::block::{sema, waitq};
use crate::gmp::g::WaitReason;
use crate::sync::{AtomicU32, give_away};
use std::ptr::NonNull;

/// Whether `n` waiters are queued at an address, the only address in use with its root.
fn wait_there(w: &World, addr: u64, n: usize) -> bool {
    let root = w.sched.sems.root(addr);
    let _lock = root.queue.lock();
    root.nwait.load(Ordering::SeqCst) as usize == n
}

fn address<T>(v: &T) -> u64 {
    std::ptr::from_ref(v) as u64
}

/// Each user holds a mutex once. A user that finds itself the last while it holds the mutex gives it away after the
/// unlock.
fn mutex(users: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Mutex::default(), AtomicUsize::new(users)));
        for _ in 0..users {
            let x = x.clone();
            w.host(move |_, m| {
                let me = waitq::self_id(m);
                // As in the C interface.
                if !x.0.lock_fast(me) {
                    assert!(x.0.lock(m, None).1.is_ok());
                }
                let last = x.1.fetch_sub(1, SeqCst) == 1;
                if !x.0.unlock_fast(me) {
                    assert!(x.0.unlock(m).is_ok());
                }
                if last {
                    give_away(&x.0);
                }
            });
        }
        w.finish();
    }
}

#[test]
fn mutex_of_two() {
    check(Size { preemptions: 3, ..Size::default() }, mutex(2));
}

#[test]
fn mutex_of_three() {
    check(Size { preemptions: 1, ..Size::default() }, mutex(3));
}

/// As [`mutex`]: the last user is a writer that finds that all others have been inside.
fn rwmutex(readers: usize, writers: usize, late: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((RwMutex::default(), AtomicUsize::new(0)));
        let all = readers + writers;
        let ms: Vec<MRef> = (0..all).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (i, &m) in ms.iter().enumerate() {
            let x = x.clone();
            // The first one may time out, and comes again.
            let deadline = (late && i == 0).then_some(1);
            w.host_as(m, move |_, m| {
                let (rw, been) = &*x;
                if i < readers {
                    if rw.read(m, deadline).is_err() {
                        assert!(rw.read(m, None).is_ok());
                    }
                    been.fetch_add(1, SeqCst);
                    assert!(rw.read_unlock(m).is_ok());
                } else {
                    if rw.write(m, deadline).is_err() {
                        assert!(rw.write(m, None).is_ok());
                    }
                    let last = been.fetch_add(1, SeqCst) == all - 1;
                    assert!(rw.write_unlock(m).is_ok());
                    if last {
                        give_away(rw);
                    }
                }
            });
        }
        if late {
            ms[0].park.time_out();
        }
        w.finish();
    }
}

#[test]
fn rwmutex_of_a_reader_and_a_writer() {
    check(Size { preemptions: 3, ..Size::default() }, rwmutex(1, 1, false));
    check(Size { preemptions: 2, ..Size::default() }, rwmutex(1, 1, true));
}

#[test]
fn rwmutex_of_two_writers() {
    check(Size { preemptions: 3, ..Size::default() }, rwmutex(0, 2, false));
    check(Size { preemptions: 2, ..Size::default() }, rwmutex(0, 2, true));
}

#[test]
fn rwmutex_of_three() {
    check(Size { preemptions: 1, ..Size::default() }, rwmutex(2, 1, false));
    check(Size { preemptions: 1, ..Size::default() }, rwmutex(1, 2, false));
}

#[cfg(shuttle)]
#[test]
fn rwmutex_of_many() {
    check(Size::default(), rwmutex(2, 3, true));
}

/// Several threads acquire one each, and as many release or hand it over. The last thread to acquire gives the
/// semaphore away.
fn semaphore(n: usize, hand_over: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((AtomicU32::new(0), AtomicUsize::new(n)));
        for i in 0..2 * n {
            let x = x.clone();
            w.host(move |_, m| {
                if i >= n {
                    let released = if hand_over { sema::hand_over(m, &x.0) } else { sema::release(m, &x.0) };
                    assert!(released.is_ok());
                    return;
                }
                assert!(sema::acquire(m, &x.0, None, WaitReason::SEMACQUIRE).1.is_ok());
                if x.1.fetch_sub(1, SeqCst) == 1 {
                    give_away(&x.0);
                }
            });
        }
        w.finish();
    }
}

#[test]
fn semaphore_of_one() {
    check(Size { preemptions: 3, ..Size::default() }, semaphore(1, false));
    check(Size { preemptions: 3, ..Size::default() }, semaphore(1, true));
}

#[test]
fn semaphore_of_two() {
    check(Size { preemptions: 1, ..Size::default() }, semaphore(2, false));
    check(Size { preemptions: 1, ..Size::default() }, semaphore(2, true));
}

/// Several waiters wait for two calls of `done`. If all waiters were queued before the last `done`, the first waiter to
/// return gives the group away, or begins the next round, which ends when the others have returned. Otherwise the last
/// waiter to return gives it away.
fn wait_group(waiters: usize, again: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((WaitGroup::default(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let others = Arc::new(Event::new());
        let ms: Vec<MRef> = (0..waiters + 2).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        assert!(x.0.add(ms[0], 2).is_ok());
        for (i, &m) in ms.iter().enumerate() {
            let (x, others) = (x.clone(), others.clone());
            w.host_as(m, move |w, m| {
                let (group, all_waited, back) = &*x;
                if i < 2 {
                    if wait_there(w, address(group), waiters) {
                        all_waited.store(1, SeqCst);
                    }
                    assert!(group.add(m, -1).is_ok());
                    return;
                }
                assert!(group.wait(m, None, Kind::Lock).1.is_ok());
                let nth = back.fetch_add(1, SeqCst) + 1;
                if nth == waiters {
                    others.happen();
                }
                if all_waited.load(SeqCst) == 1 && nth == 1 {
                    if again {
                        assert!(group.add(m, 1).is_ok());
                        if waiters > 1 {
                            others.wait(0, None);
                        }
                        assert!(group.add(m, -1).is_ok());
                    } else {
                        give_away(group);
                    }
                } else if all_waited.load(SeqCst) == 0 && nth == waiters {
                    give_away(group);
                }
            });
        }
        w.finish();
    }
}

#[test]
fn wait_group_of_one() {
    check(Size { preemptions: 3, ..Size::default() }, wait_group(1, false));
}

#[test]
fn wait_group_of_two() {
    check(Size { preemptions: 1, ..Size::default() }, wait_group(2, false));
}

#[test]
fn wait_group_that_is_used_again() {
    check(Size { preemptions: 1, ..Size::default() }, wait_group(2, true));
}

#[cfg(shuttle)]
#[test]
fn wait_group_of_many() {
    check(Size::default(), wait_group(4, false));
    check(Size::default(), wait_group(4, true));
}

/// Several threads meet at a barrier. The first to return gives the barrier away, or begins the next round. One of them
/// may time out, and comes again.
fn barrier(n: usize, again: bool, late: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Barrier::new(n as u32), AtomicUsize::new(0)));
        let ms: Vec<MRef> = (0..n).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (i, &m) in ms.iter().enumerate() {
            let x = x.clone();
            let deadline = (late && i == 0).then_some(1);
            w.host_as(m, move |_, m| {
                if x.0.wait(m, deadline, true).is_err() {
                    assert!(x.0.wait(m, None, true).is_ok());
                }
                if again {
                    assert!(x.0.wait(m, None, true).is_ok());
                }
                if x.1.fetch_add(1, SeqCst) == 0 {
                    give_away(&x.0);
                }
            });
        }
        if late {
            ms[0].park.time_out();
        }
        w.finish();
    }
}

#[test]
fn barrier_of_two() {
    check(Size { preemptions: 3, ..Size::default() }, barrier(2, false, false));
    check(Size { preemptions: 2, ..Size::default() }, barrier(2, true, false));
    check(Size { preemptions: 2, ..Size::default() }, barrier(2, false, true));
}

#[test]
fn barrier_of_three() {
    check(Size { preemptions: 1, ..Size::default() }, barrier(3, false, false));
    check(Size { preemptions: 1, ..Size::default() }, barrier(3, false, true));
}

#[cfg(shuttle)]
#[test]
fn barrier_of_many() {
    check(Size::default(), barrier(5, true, true));
}

/// One thread runs the once while several others call it. If all of them waited, the first to return gives the once
/// away; otherwise the last does.
fn once(waiters: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Once::default(), AtomicUsize::new(0), AtomicUsize::new(0)));
        let ms: Vec<MRef> = (0..waiters + 1).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for (i, &m) in ms.iter().enumerate() {
            let x = x.clone();
            if i == 0 {
                assert!(x.0.begin(m, None).1 == Ok(Begun::Yes));
            }
            w.host_as(m, move |w, m| {
                let (once, all_waited, back) = &*x;
                if i == 0 {
                    all_waited.store(usize::from(wait_there(w, address(once), waiters)), SeqCst);
                    once.end(m);
                    return;
                }
                assert!(once.begin(m, None).1 == Ok(Begun::Done));
                let nth = back.fetch_add(1, SeqCst) + 1;
                if nth == if all_waited.load(SeqCst) == 1 { 1 } else { waiters } {
                    give_away(once);
                }
            });
        }
        w.finish();
    }
}

#[test]
fn once_of_one() {
    check(Size { preemptions: 3, ..Size::default() }, once(1));
}

#[test]
fn once_of_two() {
    check(Size { preemptions: 1, ..Size::default() }, once(2));
}

/// Several threads wait at a condition, which one thread signals. The last holder of the mutex gives both away.
fn condition(waiters: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Mutex::default(), Cond::default(), AtomicUsize::new(waiters + 1), AtomicUsize::new(0)));
        for i in 0..waiters + 1 {
            let x = x.clone();
            w.host(move |_, m| {
                let (mutex, cond, left, there) = &*x;
                assert!(mutex.lock(m, None).1.is_ok());
                if i == 0 {
                    there.store(1, SeqCst);
                    assert!(cond.broadcast(m).is_ok());
                }
                while there.load(SeqCst) == 0 {
                    assert!(cond.wait(m, mutex, None).is_ok());
                }
                let last = left.fetch_sub(1, SeqCst) == 1;
                assert!(mutex.unlock(m).is_ok());
                if last {
                    give_away(mutex);
                    give_away(cond);
                }
            });
        }
        w.finish();
    }
}

#[test]
fn condition_of_one() {
    check(Size { preemptions: 2, ..Size::default() }, condition(1));
}

#[test]
fn condition_of_two() {
    check(Size { preemptions: 1, ..Size::default() }, condition(2));
}

/// A receiver that has got the value, or has been told of the close, owns the channel alone.
fn channel(cap: usize, close: bool) -> impl Fn() {
    struct Shared(NonNull<Chan>);
    // SAFETY: a channel may be used from all threads.
    unsafe impl Send for Shared {}
    // SAFETY: as above.
    unsafe impl Sync for Shared {}
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new(Shared(Chan::make(w.sched, 8, cap).unwrap()));
        // SAFETY: one user never gives it back.
        let c = |x: &Arc<Shared>| unsafe { &*x.0.as_ptr() };
        assert!(c(&x).add_ref().is_ok());
        let y = x.clone();
        w.host(move |_, m| {
            let mut v = 0u64;
            let got = c(&y).recv(m, (&raw mut v).cast(), FOREVER);
            assert_eq!(got.is_ok(), !close);
            // SAFETY: the receiver is one of its users, and does not use it afterwards.
            assert!(unsafe { Chan::free(y.0) }.is_ok());
            give_away(c(&y));
        });
        let y = x.clone();
        w.host(move |_, m| {
            let v = 7u64;
            let done = if close { c(&y).close(m) } else { c(&y).send(m, (&raw const v).cast(), FOREVER) };
            assert!(done.is_ok());
        });
        w.finish();
        crate::sync::nothing_is_gone();
        // SAFETY: as above.
        assert!(unsafe { Chan::free(x.0) }.is_ok());
    }
}

#[test]
fn channel_of_two() {
    check(Size { preemptions: 3, ..Size::default() }, channel(0, false));
    check(Size { preemptions: 3, ..Size::default() }, channel(1, false));
    check(Size { preemptions: 3, ..Size::default() }, channel(0, true));
}
