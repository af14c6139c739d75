//! rwmutex.rs, cond.rs: a writer is alone, readers that were kept out continue later, and no signal is lost.

use super::cancels::{token, under};
use super::*;
use crate::block::cancel::{self, Reason};
use crate::block::cond::Cond;
use crate::block::mutex::Mutex;
use crate::block::rwmutex::RwMutex;
use crate::block::waitq;
use crate::gmp::error::Error;

/// The lock, with the number of threads inside and the data that readers look at and writers change.
struct Guarded {
    rw: RwMutex,
    readers: AtomicUsize,
    writers: AtomicUsize,
    what: Sole,
}

impl Guarded {
    fn new() -> Arc<Guarded> {
        let (readers, writers) = Default::default();
        Arc::new(Guarded { rw: RwMutex::default(), readers, writers, what: Sole::default() })
    }

    fn read(&self, m: MRef, deadline: Option<i64>) -> bool {
        if self.rw.read(m, deadline).is_err() {
            return false;
        }
        self.readers.fetch_add(1, SeqCst);
        self.what.look();
        thread::yield_now();
        assert_eq!(self.writers.load(SeqCst), 0, "RWMUTEX-B1");
        self.readers.fetch_sub(1, SeqCst);
        assert!(self.rw.read_unlock(m).is_ok());
        true
    }

    fn write(&self, m: MRef, deadline: Option<i64>) -> bool {
        if self.rw.write(m, deadline).is_err() {
            return false;
        }
        assert_eq!(self.writers.fetch_add(1, SeqCst), 0, "RWMUTEX-B1");
        self.what.touch();
        assert_eq!(self.readers.load(SeqCst), 0, "RWMUTEX-B1");
        self.writers.fetch_sub(1, SeqCst);
        assert!(self.rw.write_unlock(m).is_ok());
        true
    }

    fn is_free(&self, w: &World) {
        let m = foreign::needm(w.sched, 1).unwrap();
        assert!(self.rw.write_alone(waitq::self_id(m)));
    }
}

/// Readers, writers, and writers whose deadline passes at any moment.
fn readers_and_writers(readers: usize, writers: usize, late: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let g = Guarded::new();
        for _ in 0..readers {
            let x = g.clone();
            w.host(move |_, m| assert!(x.read(m, None)));
        }
        for _ in 0..writers {
            let x = g.clone();
            w.host(move |_, m| assert!(x.write(m, None)));
        }
        let late: Vec<MRef> = (0..late).map(|_| foreign::needm(w.sched, 1).unwrap()).collect();
        for &m in &late {
            let x = g.clone();
            w.host_as(m, move |_, m| {
                x.write(m, Some(1));
            });
        }
        late.iter().for_each(|m| {
            m.park.time_out();
        });
        let again = w.clone();
        w.finish();
        g.is_free(&again);
    }
}

#[test]
fn reader_and_writer() {
    check(Size { preemptions: 3, ..Size::default() }, readers_and_writers(1, 1, 0));
}

#[test]
fn two_readers_and_a_writer() {
    check(Size { preemptions: 2, ..Size::default() }, readers_and_writers(2, 1, 0));
}

#[test]
fn reader_and_two_writers() {
    check(Size { preemptions: 2, ..Size::default() }, readers_and_writers(1, 2, 0));
}

#[test]
fn reader_and_a_writer_that_gives_up() {
    check(Size::default(), readers_and_writers(1, 0, 1));
}

#[test]
fn readers_and_writers_of_which_one_gives_up() {
    check(Size { preemptions: 2, ..Size::default() }, readers_and_writers(1, 1, 1));
}

/// The last reader is slow to wake the writer that waits for it. That writer times out meanwhile and reads, and a
/// second writer waits, for which the wake is not meant.
#[test]
fn slow_last_reader() {
    check(Size::default(), || {
        let w = Maker::new(1, 1).make();
        let g = Guarded::new();
        let first = foreign::needm(w.sched, 1).unwrap();
        assert!(g.rw.try_read().is_ok());
        let x = g.clone();
        w.host_as(first, move |_, m| assert!(x.rw.read_unlock(m).is_ok()));
        let x = g.clone();
        w.host(move |_, m| {
            x.write(m, Some(0));
            assert!(x.read(m, None));
        });
        let x = g.clone();
        w.host(move |_, m| assert!(x.write(m, None)));
        let again = w.clone();
        w.finish();
        g.is_free(&again);
    });
}

/// RWMUTEX-B3: after a writer has left, an attempt fails only if a reader is inside. The reader has arrived by then,
/// and is still inside at the next attempt.
#[test]
fn nobody_is_refused_in_vain() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let g = Guarded::new();
        let (first, late) = (foreign::needm(w.sched, 1).unwrap(), foreign::needm(w.sched, 1).unwrap());
        assert!(g.rw.write_alone(waitq::self_id(first)));
        let (reads, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (x, n) = (g.clone(), reads.clone());
        w.host_as(late, move |_, m| n.store(usize::from(x.rw.read(m, Some(0)).is_ok()), SeqCst));
        let (x, n) = (g.clone(), refused.clone());
        w.host_as(first, move |_, m| {
            assert!(x.rw.write_unlock(m).is_ok());
            let alone = || x.rw.write_alone(waitq::self_id(m));
            if !alone() {
                n.store(1, SeqCst);
                assert!(!alone(), "RWMUTEX-B3");
            }
        });
        late.park.time_out();
        w.finish();
        assert!(refused.load(SeqCst) <= reads.load(SeqCst), "RWMUTEX-B3");
    });
}

/// RWMUTEX-R5: an unlock by a thread that holds nothing is refused, and no thread waits because of it at the end.
#[test]
fn a_call_too_many_against_writers() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let g = Guarded::new();
        let x = g.clone();
        w.host(move |_, m| assert!(x.rw.read_unlock(m).is_err()));
        for _ in 0..2 {
            let x = g.clone();
            w.host(move |_, m| assert!(x.write(m, None)));
        }
        let again = w.clone();
        w.finish();
        g.is_free(&again);
    });
}

/// RWMUTEX-B4: surplus unlocks beside readers and a writer. The lock cannot tell a surplus unlock from that of a
/// reader: as many unlocks succeed as readers came, and no thread waits at the end.
fn calls_too_many(readers: usize, wrong: usize, writers: usize) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let g = Guarded::new();
        let right = Arc::new(AtomicUsize::new(0));
        for i in 0..readers + wrong {
            let (x, n) = (g.clone(), right.clone());
            w.host(move |_, m| {
                if i < readers {
                    assert!(x.rw.read(m, None).is_ok());
                }
                n.fetch_add(usize::from(x.rw.read_unlock(m).is_ok()), SeqCst);
            });
        }
        for _ in 0..writers {
            let x = g.clone();
            w.host(move |_, m| {
                assert!(x.rw.write(m, None).is_ok());
                assert!(x.rw.write_unlock(m).is_ok());
            });
        }
        let again = w.clone();
        w.finish();
        let right = right.load(SeqCst);
        // A reader that a writer keeps out is counted twice, before and after the writer, and each time a surplus
        // unlock may be taken for its own.
        assert!(right >= readers && (right == readers || writers > 0), "RWMUTEX-B4");
        g.is_free(&again);
    }
}

#[test]
fn two_calls_too_many_beside_a_reader() {
    check(Size { preemptions: 3, ..Size::default() }, calls_too_many(1, 2, 0));
}

#[test]
fn a_call_too_many_beside_a_reader_and_a_writer() {
    check(Size { preemptions: 3, ..Size::default() }, calls_too_many(1, 1, 1));
}

#[cfg(shuttle)]
#[test]
fn many_calls_too_many() {
    check(Size::default(), calls_too_many(3, 3, 2));
}

/// Gs on two Ps, which spin before they wait.
#[cfg(shuttle)]
#[test]
fn many_gs_read_and_write() {
    check(Size::default(), || {
        let w = Maker::new(2, 2).make();
        let g = Guarded::new();
        for i in 0..4 {
            let x = g.clone();
            w.host(move |w, m| visit(w, m, |_| assert!(if i == 0 { x.read(m, None) } else { x.write(m, None) })));
        }
        let again = w.clone();
        w.finish();
        g.is_free(&again);
    });
}

#[cfg(shuttle)]
#[test]
fn many_readers_and_writers() {
    check(Size { schedules: 6000, ..Size::default() }, readers_and_writers(3, 2, 2));
}

/// COND-W4: a refused wait, beside a thread that needs the mutex: the wait released the mutex, and holds it again.
#[test]
fn refused_wait_against_another() {
    check(Size { preemptions: 3, ..Size::default() }, || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Mutex::default(), Cond::default(), Sole::default()));
        let t = token(&w, None);
        let m = foreign::needm(w.sched, 1).unwrap();
        assert!(cancel::cancel(m, &t, Reason::BY_HAND));
        let y = x.clone();
        w.host_as(m, move |_, m| {
            let (mutex, cond, what) = &*y;
            assert!(mutex.lock(m, None).1.is_ok());
            what.touch();
            assert!(under(m, &t, || cond.wait(m, mutex, None)) == Err(Error::Canceled));
            what.touch();
            assert!(mutex.unlock(m).is_ok(), "COND-N2");
        });
        let y = x.clone();
        w.host(move |_, m| {
            let (mutex, cond, what) = &*y;
            assert!(mutex.lock(m, None).1.is_ok());
            what.touch();
            assert!(cond.signal(m).is_ok() && mutex.unlock(m).is_ok());
        });
        w.finish();
        assert!(x.0.try_lock(1).is_ok());
    });
}

/// A thread waits for what another brings; perhaps a third waits too, until its deadline.
fn wait_against_signal(late: bool, broadcast: bool) -> impl Fn() {
    move || {
        let w = Maker::new(1, 1).make();
        let x = Arc::new((Mutex::default(), Cond::default(), AtomicUsize::new(0)));
        let m = foreign::needm(w.sched, 1).unwrap();
        let waits = |deadline: Option<i64>| {
            let x = x.clone();
            move |_: &Arc<World>, m: MRef| {
                let (mutex, cond, there) = &*x;
                assert!(mutex.lock(m, None).1.is_ok());
                let mut waited = Ok(());
                while there.load(SeqCst) == 0 && waited.is_ok() {
                    waited = cond.wait(m, mutex, deadline);
                }
                assert!(waited.is_ok() || (deadline.is_some() && waited == Err(Error::TimedOut)));
                assert!(mutex.unlock(m).is_ok(), "COND-N2");
            }
        };
        w.host(waits(None));
        if late {
            w.host_as(m, waits(Some(1)));
        }
        let y = x.clone();
        w.host(move |_, m| {
            let (mutex, cond, there) = &*y;
            assert!(mutex.lock(m, None).1.is_ok());
            there.store(1, SeqCst);
            assert!(mutex.unlock(m).is_ok());
            assert!(if broadcast { cond.broadcast(m) } else { cond.signal(m) }.is_ok());
            if late && !broadcast {
                // Otherwise the waiter with the deadline may rightly have taken the signal that the other waits for.
                assert!(cond.signal(m).is_ok());
            }
        });
        if late {
            m.park.time_out();
        }
        w.finish();
        assert!(x.0.try_lock(1).is_ok());
    }
}

#[test]
fn wait_against_signal_of_threads() {
    check(Size { preemptions: 3, ..Size::default() }, wait_against_signal(false, false));
}

#[test]
fn wait_against_signal_and_deadline() {
    check(Size { preemptions: 1, ..Size::default() }, wait_against_signal(true, false));
}

#[test]
fn wait_against_broadcast_and_deadline() {
    check(Size { preemptions: 1, ..Size::default() }, wait_against_signal(true, true));
}
