//! block/fd.rs: a closer against the calls that are inside, events, a new deadline, and the next descriptor in the same
//! place.
//!
//! The callers are threads of the host, and the only P is taken: no M polls unless the model has a thread that looks.

use super::*;
use crate::block::fd::{self, Way};
use crate::gmp::error::{Error, Result};
use crate::protocol::netpoll;
use crate::sync::AtomicBool;
use crate::sys::io::Kind;
use crate::sys::poll::{IN, OUT};

pub(super) const STALE: Error = Error::Os(libc::EBADF);

/// The handle was closed before the call, or while it waited.
pub(super) fn is_closed<T>(r: Result<T>) -> bool {
    matches!(r, Err(STALE | Error::Gone))
}

const AGAIN: isize = -(libc::EAGAIN as isize);

/// A file of the model's kernel, at a number of its own.
#[derive(Default)]
struct File {
    number: i32,
    data: AtomicBool,
    /// Calls look, and the close touches (FD-I1).
    open: Sole,
    closed: std::sync::atomic::AtomicBool,
}

impl File {
    fn new(number: i32) -> Arc<File> {
        Arc::new(File { number, ..File::default() })
    }

    fn handle(&self, m: MRef) -> u64 {
        fd::make(m, self.number, Kind::Socket, true, || true).unwrap()
    }

    fn close(&self) {
        self.open.touch();
        assert!(!self.closed.swap(true, SeqCst), "closed twice");
    }

    /// The read of the kernel.
    fn try_read(&self, number: i32) -> isize {
        assert_eq!(self.number, number, "the descriptor of another handle");
        self.open.look();
        assert!(!self.closed.load(SeqCst), "a call on a closed descriptor");
        if self.data.load(SeqCst) { 1 } else { AGAIN }
    }

    fn read(&self, m: MRef, handle: u64) -> Result<usize> {
        fd::call::on_socket(m, handle, Way::Read, FOREVER, |number| self.try_read(number))
    }

    /// FD-C1 to FD-C4.
    fn close_of(&self, m: MRef, handle: u64) -> Result<()> {
        let (number, borrowed) = fd::release(m, handle)?;
        assert_eq!((number, borrowed), (self.number, true));
        self.close();
        Ok(())
    }
}

/// What a thread of the host does.
pub(super) type Does = Box<dyn FnOnce(&Arc<World>, MRef) + Send>;

pub(super) fn host(f: impl FnOnce(&Arc<World>, MRef) + Send + 'static) -> Does {
    Box::new(f)
}

pub(super) fn world_of_fds() -> Arc<World> {
    Maker::with_events(1, 1, fd::event).make()
}

/// Runs all, with the P taken.
pub(super) fn together(w: Arc<World>, all: Vec<Does>) {
    let pp = idle::pidleget(w.sched, &mut w.sched.lock.lock()).unwrap();
    let (ended, n) = (Arc::new(Event::new()), all.len() as u32);
    for f in all {
        let ended = ended.clone();
        w.host(move |w, m| {
            f(w, m);
            ended.happen();
        });
    }
    loop {
        let seen = ended.now();
        if seen == n {
            break;
        }
        ended.wait(seen, None);
    }
    assert!(idle::pidleput(w.sched, &mut w.sched.lock.lock(), pp).is_ok());
    w.finish();
}

/// A thread that makes the handles of the model, before the others begin.
pub(super) fn maker(w: &World) -> MRef {
    foreign::needm(w.sched, 1).unwrap()
}

const TWO: Size = Size { preemptions: 2, schedules: 2000 };
const FEW: Size = Size { preemptions: 1, schedules: 2000 };

/// A reader without data ends by the close, and the descriptor is closed behind it.
fn close_against_readers(n: usize) -> impl Fn() {
    move || {
        let w = world_of_fds();
        let file = File::new(7);
        let handle = file.handle(maker(&w));
        let mut all = Vec::new();
        for _ in 0..n {
            let file = file.clone();
            all.push(host(move |_, m| assert!(is_closed(file.read(m, handle)))));
        }
        all.push(host(move |_, m| {
            assert_eq!(file.close_of(m, handle), Ok(()));
            assert_eq!(file.read(m, handle), Err(STALE), "a stale handle");
        }));
        together(w, all);
    }
}

#[test]
fn close_beside_a_reader() {
    check(TWO, close_against_readers(1));
}

/// One of them waits for the lock of the direction.
#[test]
fn close_beside_two_readers() {
    check(FEW, close_against_readers(2));
}

/// FD-C2: the edge of the close is not lost.
#[cfg(loom)]
#[test]
fn finds_close_without_fence() {
    finds(DEADLOCK, || {
        without("block/waitq.rs", "end_all");
        check(TWO, close_against_readers(1));
    });
}

/// FD-C3: the closer waits for the last to leave.
#[cfg(loom)]
#[test]
fn finds_leave_without_fence() {
    finds(DEADLOCK, || {
        without("block/fd.rs", "leave");
        check(TWO, close_against_readers(1));
    });
}

/// One of two closers succeeds.
#[test]
fn close_beside_a_close() {
    check(TWO, || {
        let w = world_of_fds();
        let file = File::new(7);
        let handle = file.handle(maker(&w));
        let closed = Arc::new(AtomicUsize::new(0));
        let all = (0..2).map(|_| {
            let (file, closed) = (file.clone(), closed.clone());
            host(move |_, m| match file.close_of(m, handle) {
                Ok(()) => _ = closed.fetch_add(1, SeqCst),
                Err(e) => assert!(is_closed::<()>(Err(e))),
            })
        });
        let all = all.collect();
        together(w, all);
        assert_eq!(closed.load(SeqCst), 1);
    });
}

/// A reader with the old handle against the next descriptor in the same place: it reads the first one or none.
fn stale_against_next() -> impl Fn() {
    || {
        let w = world_of_fds();
        let (file, next) = (File::new(7), File::new(8));
        file.data.store(true, SeqCst);
        let handle = file.handle(maker(&w));
        let reads = {
            let file = file.clone();
            host(move |_, m| assert!(matches!(file.read(m, handle), Ok(1) | Err(STALE | Error::Gone))))
        };
        let closes = host(move |_, m| {
            assert_eq!(file.close_of(m, handle), Ok(()));
            let other = next.handle(m);
            assert_ne!(handle, other);
            assert_eq!(next.close_of(m, other), Ok(()));
        });
        together(w, vec![reads, closes]);
    }
}

#[test]
fn stale_handle_beside_the_next() {
    check(TWO, stale_against_next());
}

/// FD-A1: a caller that finds the next descriptor in the place sees its handle.
#[cfg(loom)]
#[test]
fn finds_make_without_release() {
    finds(&["the descriptor of another handle"], || {
        relaxed("block/fd.rs", "make", "fd.users.store");
        check(TWO, stale_against_next());
    });
}

/// An event of a descriptor that is closed meanwhile changes nothing, and the reader gets its data or the close.
#[test]
fn close_beside_an_event() {
    check(FEW, || {
        let w = world_of_fds();
        let file = File::new(7);
        let handle = file.handle(maker(&w));
        let reads = {
            let file = file.clone();
            host(move |_, m| assert!(matches!(file.read(m, handle), Ok(1) | Err(STALE | Error::Gone))))
        };
        let closes = {
            let file = file.clone();
            host(move |_, m| assert_eq!(file.close_of(m, handle), Ok(())))
        };
        let looks = host(move |w, m| {
            file.data.store(true, SeqCst);
            w.sched.net.poll.happens(handle, IN | OUT);
            netpoll::look(w.sched, m);
        });
        together(w, vec![reads, closes, looks]);
    });
}

/// A reader waits, and a thread looks: the reader gets its data.
#[test]
fn event_beside_a_reader() {
    check(TWO, || {
        let w = world_of_fds();
        let file = File::new(7);
        let handle = file.handle(maker(&w));
        let reads = {
            let file = file.clone();
            host(move |_, m| assert_eq!(file.read(m, handle), Ok(1)))
        };
        let looks = host(move |w, m| {
            file.data.store(true, SeqCst);
            w.sched.net.poll.happens(handle, IN);
            netpoll::look(w.sched, m);
        });
        together(w, vec![reads, looks]);
    });
}

/// FD-D1: a deadline that has passed ends the wait that is under way.
#[test]
fn deadline_beside_a_reader() {
    check(TWO, || {
        let w = world_of_fds();
        let file = File::new(7);
        let handle = file.handle(maker(&w));
        let reads = host(move |_, m| assert_eq!(file.read(m, handle), Err(Error::TimedOut)));
        let sets = host(move |_, m| assert_eq!(fd::set_deadline(m, handle, IN, -1), Ok(())));
        together(w, vec![reads, sets]);
    });
}

/// A descriptor of the system that runs the model: the waiter of [`fd::ready::wait`] asks it what is ready.
pub(super) struct Real(pub i32);

impl Real {
    pub fn new() -> Real {
        // SAFETY: makes a descriptor.
        Real(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
    }

    pub fn write(&self) {
        let one = 1u64;
        // SAFETY: 8 bytes.
        assert_eq!(unsafe { libc::write(self.0, (&raw const one).cast(), 8) }, 8);
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        crate::sys::io::close(self.0);
    }
}

/// The epoll reports on the descriptor from here on. (To add it takes a fence, which would do for that of the wait.)
pub(super) fn watch(m: MRef, handle: u64) {
    let ends = |_| {
        assert_eq!(fd::set_deadline(m, handle, IN, -1), Ok(()));
        AGAIN
    };
    assert_eq!(fd::call::on_socket(m, handle, Way::Read, FOREVER, ends), Err(Error::TimedOut));
    assert_eq!(fd::set_deadline(m, handle, IN, FOREVER), Ok(()));
}

/// A wait for readiness begins while the event is delivered.
fn wait_against_event() -> impl Fn() {
    || {
        let w = world_of_fds();
        let real = Arc::new(Real::new());
        let m = maker(&w);
        let handle = fd::make(m, real.0, Kind::Other, true, || true).unwrap();
        watch(m, handle);
        let waits = host(move |_, m| assert_eq!(fd::ready::wait(m, handle, IN, FOREVER), Ok(IN)));
        let writer = real.clone();
        let happens = host(move |w, _| {
            writer.write();
            let mut list = GList::new();
            fd::event(w.sched, handle, IN, &mut list);
            assert!(list.is_empty(), "a thread of the host waits, and no G");
        });
        together(w, vec![waits, happens]);
        drop(real);
    }
}

#[test]
fn event_beside_a_wait() {
    check(TWO, wait_against_event());
}

#[cfg(loom)]
#[test]
fn finds_wait_without_fence() {
    finds(DEADLOCK, || {
        without("block/fd/ready.rs", "wait_ready");
        check(TWO, wait_against_event());
    });
}

/// The epoll is replaced while a call adds its descriptor (FD-L3).
fn replace_against_add() -> impl Fn() {
    || {
        let w = world_of_fds();
        let file = File::new(7);
        let handle = file.handle(maker(&w));
        let reads = host(move |_, m| assert_eq!(file.read(m, handle), Err(Error::TimedOut)));
        let replaces = host(move |w, m| {
            assert_eq!(w.sched.net.poll.replace(), Ok(()));
            fd::epoll::watch_again(m);
            assert_eq!(fd::set_deadline(m, handle, IN, -1), Ok(()));
        });
        let sched = w.sched;
        together(w, vec![reads, replaces]);
        assert!(sched.net.poll.knows_all(), "unknown to the new epoll");
    }
}

#[test]
fn replaced_epoll_beside_an_add() {
    check(TWO, replace_against_add());
}

#[cfg(loom)]
#[test]
fn finds_add_without_fence() {
    finds(&["unknown to the new epoll"], || {
        without("block/fd/epoll.rs", "watch");
        check(TWO, replace_against_add());
    });
}
