//! Where a thread sleeps until a descriptor is ready: an epoll that is made at its first use, and replaced if the host
//! has closed it.

use super::now;
use crate::sys::poll::{self as os, Fds};
// Written when the epoll is made, when it is replaced, and in a child.
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

pub use crate::sys::poll::Events;

/// Closer than this to its time, a sleeper asks for the exact time.
const NEAR: i64 = 2_000_000;
/// How long a sleeper trusts that the descriptors are what they were (NETPOLL-L1).
const TRUST: i64 = 1_000_000_000;

/// See the module.
pub struct Poll {
    /// Both descriptors + 1; 0: not open.
    fds: AtomicU64,
    /// The system refuses to wait.
    broken: AtomicBool,
    /// The host has closed one of them.
    lost: AtomicBool,
    /// How often they were replaced.
    turn: AtomicU32,
    /// When a sleeper found last that they are what they were.
    checked: AtomicI64,
    /// A number that is reported.
    kicks: AtomicU64,
}

fn word(fds: Fds) -> u64 {
    ((fds.epoll + 1) as u64) << 32 | (fds.kick + 1) as u64
}

impl Default for Poll {
    fn default() -> Self {
        Self::new()
    }
}

impl Poll {
    /// No system call.
    pub const fn new() -> Poll {
        Poll {
            fds: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            turn: AtomicU32::new(0),
            checked: AtomicI64::new(0),
            kicks: AtomicU64::new(0),
        }
    }

    /// Whether it can be waited for, as far as is known.
    pub fn works(&self) -> bool {
        !self.is_lost() && !self.broken.load(Ordering::Relaxed) && self.fds().is_some()
    }

    /// Whether it is to be replaced (NETPOLL-L1).
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Another number after each replacement. What was added before is unknown after it.
    pub fn turn(&self) -> u32 {
        // Acquire: pairs with the Release in `replace`.
        self.turn.load(Ordering::Acquire)
    }

    /// A call has shown that the descriptors of this turn are not what they were.
    fn lose(&self, turn: u32) {
        if self.turn() == turn {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    /// A wait of this turn has failed.
    fn failed(&self, turn: u32, errno: i32) {
        match errno {
            libc::EBADF | libc::EINVAL => self.lose(turn),
            _ => self.broken.store(true, Ordering::Relaxed),
        }
    }

    /// Makes a new epoll that knows no descriptor yet (NETPOLL-L2). The old numbers may be the host's by now: they are
    /// left alone (NETPOLL-I6). For one thread at a time.
    pub fn replace(&self) -> Result<(), i32> {
        let new = os::open()?;
        self.checked.store(now(), Ordering::Relaxed);
        self.fds.store(word(new), Ordering::Release);
        self.turn.fetch_add(1, Ordering::Release);
        self.lost.store(false, Ordering::Relaxed);
        // Pairs with the fence in `Fd::watch` (block/fd/epoll.rs).
        fence(Ordering::SeqCst);
        Ok(())
    }

    fn fds(&self) -> Option<Fds> {
        // Acquire: pairs with the Release in `open`.
        match self.fds.load(Ordering::Acquire) {
            0 => None,
            w => Some(Fds { epoll: (w >> 32) as i32 - 1, kick: w as u32 as i32 - 1 }),
        }
    }

    /// Makes the epoll, unless there is one. Errno if the system has none to give; the next call tries again.
    pub fn open(&self) -> Result<(), i32> {
        if self.fds().is_some() {
            return Ok(());
        }
        let new = os::open()?;
        self.checked.store(now(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `fds`.
        if self.fds.compare_exchange(0, word(new), Ordering::Release, Ordering::Relaxed).is_err() {
            // Another thread was first.
            os::close(new);
        }
        Ok(())
    }

    /// In a child of fork, which has copies of its parent's descriptors.
    pub fn close_copies(&self) {
        if let Some(fds) = self.fds() {
            self.fds.store(0, Ordering::Relaxed);
            if !self.lost.swap(false, Ordering::Relaxed) {
                os::close(fds);
            }
        }
    }

    /// Reports what becomes of `fd` as events with this key, which is not 0. [`Poll::open`] has succeeded.
    pub fn add(&self, fd: i32, key: u64) -> Result<(), i32> {
        let added = os::add(self.fds().ok_or(libc::EBADF)?, fd, key);
        if let Err(libc::EBADF | libc::EINVAL) = added {
            // Which of the two descriptors is to blame?
            self.check();
        }
        added
    }

    pub fn remove(&self, fd: i32) {
        if let Some(fds) = self.fds() {
            os::remove(fds, fd);
        }
    }

    /// Fetches events without waiting.
    pub fn look(&self, events: &mut Events) {
        events.clear();
        if let Some(fds) = self.fds() {
            let turn = self.turn();
            if let Err(errno) = os::wait(fds, Some(0), events) {
                self.failed(turn, errno);
            }
        }
    }

    /// Waits until there are events, a kick came or the time has passed; returns earlier at times. False: this epoll
    /// cannot be waited for.
    pub fn wait(&self, until: Option<i64>, events: &mut Events) -> bool {
        events.clear();
        let turn = self.turn();
        let Some(fds) = self.fds() else { return false };
        let begin = now();
        if begin - self.checked.load(Ordering::Relaxed) >= TRUST {
            self.checked.store(begin, Ordering::Relaxed);
            // It ends the wait at once.
            self.check();
        }
        if self.is_lost() {
            return false;
        }
        let left = until.map_or(TRUST, |at| (at - begin).clamp(0, TRUST));
        // The kernel ends a wait up to a thousandth of it late: so a long one ends before its time, and a short one
        // follows.
        let near = left < NEAR;
        if near {
            crate::sys::wake_on_time(true);
        }
        let done = os::wait(fds, Some(if near { left } else { left - left / 512 }), events);
        if near {
            crate::sys::wake_on_time(false);
        }
        os::take_kick(fds, events);
        if let Err(errno) = done {
            self.failed(turn, errno);
        }
        done.is_ok()
    }

    /// Ends the wait of the thread that sleeps here, or else the next wait.
    pub fn kick(&self) {
        self.kicks.fetch_add(1, Ordering::Relaxed);
        self.check();
    }

    /// How many kicks there were.
    pub fn kicks(&self) -> u64 {
        self.kicks.load(Ordering::Relaxed)
    }

    /// A kick that tells whether the descriptors are what they were.
    fn check(&self) {
        let turn = self.turn();
        if let Some(fds) = self.fds()
            && !os::kick(fds)
        {
            self.lose(turn);
        }
    }
}
