//! Where a thread sleeps until a descriptor is ready: an epoll that is made at its first use.

use super::now;
use crate::sys::poll::{self as os, Fds};
// Written once in a process, and again only in its child.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use crate::sys::poll::Events;

/// Closer than this to its time, a sleeper asks for the exact time.
const NEAR: i64 = 2_000_000;

/// See the module.
pub struct Poll {
    /// Both descriptors + 1; 0: not open.
    fds: AtomicU64,
    /// A wait failed: the host has closed them.
    broken: AtomicBool,
}

impl Default for Poll {
    fn default() -> Self {
        Self::new()
    }
}

impl Poll {
    /// No system call.
    pub const fn new() -> Poll {
        Poll { fds: AtomicU64::new(0), broken: AtomicBool::new(false) }
    }

    /// Whether it can be waited for, as far as is known.
    pub fn works(&self) -> bool {
        !self.broken.load(Ordering::Relaxed) && self.fds().is_some()
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
        let word = ((new.epoll + 1) as u64) << 32 | (new.kick + 1) as u64;
        // Release: pairs with the Acquire in `fds`.
        if self.fds.compare_exchange(0, word, Ordering::Release, Ordering::Relaxed).is_err() {
            // Another thread was first.
            os::close(new);
        }
        Ok(())
    }

    /// In a child of fork, which has copies of its parent's descriptors.
    pub fn close_copies(&self) {
        if let Some(fds) = self.fds() {
            self.fds.store(0, Ordering::Relaxed);
            os::close(fds);
        }
    }

    /// Reports what becomes of `fd` as events with this key, which is not 0. [`Poll::open`] has succeeded.
    pub fn add(&self, fd: i32, key: u64) -> Result<(), i32> {
        os::add(self.fds().ok_or(libc::EBADF)?, fd, key)
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
            let _ = os::wait(fds, Some(0), events);
        }
    }

    /// Waits until there are events, a kick came or the time has passed; returns earlier at times. False: this epoll
    /// cannot be waited for.
    pub fn wait(&self, until: Option<i64>, events: &mut Events) -> bool {
        events.clear();
        let Some(fds) = self.fds() else { return false };
        let left = until.map(|at| (at - now()).max(0));
        // The kernel ends a wait up to a thousandth of it late: so a long one ends before its time, and a short one
        // follows.
        let near = left.is_some_and(|ns| ns < NEAR);
        if near {
            crate::sys::wake_on_time(true);
        }
        let done = os::wait(fds, left.map(|ns| if near { ns } else { ns - ns / 512 }), events);
        if near {
            crate::sys::wake_on_time(false);
        }
        os::take_kick(fds, events);
        if done.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
        done.is_ok()
    }

    /// Ends the wait of the thread that sleeps here, or else the next wait.
    pub fn kick(&self) {
        if let Some(fds) = self.fds() {
            os::kick(fds);
        }
    }
}
