//! `sched.lock`, and the lists and counts that it guards.

use crate::gmp::m::M;
use crate::gmp::p::P;
use crate::sync::{Guard, Lock, Rank, Sleeper};
use std::mem::ManuallyDrop;
use std::ptr::null_mut;

/// The idle lists, and the other fields that `sched.lock` guards.
pub struct SchedInner {
    /// Idle Ms, last in first out.
    pub midle: *mut M,
    pub nmidle: i32,
    /// Idle Ps, last in first out.
    pub pidle: *mut P,
    /// Threads of workers that exist or are about to be made.
    pub nm: i32,
    /// A stop of the world is under way or in force.
    pub stopping: bool,
    /// The template thread fires timers, without a P: Gs that they ready may be in no queue yet.
    pub firing: bool,
    /// Ps that have not stopped yet.
    pub stopwait: i32,
    /// The stop waits until no G runs the host's code, with or without a P.
    pub exact: bool,
    /// Gs that run the host's code after another thread has taken their P (protocol/seize.rs).
    pub taken: i32,
    /// gomaxprocs after the next start of the world; 0 keeps it.
    pub newprocs: i32,
    /// Ps for which the template thread is to make a thread: one to run Gs, and one to search (WAKE-N1).
    pub newm: [*mut P; 2],
    /// Ps that the template thread has taken from `newm`, and whose threads have not begun yet.
    pub newm_taken: i32,
    /// Worker Ms without a thread, for reuse.
    pub mfree: *mut M,
}

// SAFETY: the pointers are to Ms and Ps, which are never freed.
unsafe impl Send for SchedInner {}

impl SchedInner {
    /// Whether there is no request for a thread.
    pub fn no_newm(&self) -> bool {
        self.newm.iter().all(|p| p.is_null())
    }

    /// Whether a P waits until the template thread has made a thread for it.
    pub fn p_waits_for_thread(&self) -> bool {
        !self.no_newm() || self.newm_taken > 0
    }
}

/// `sched.lock`.
pub struct SchedLock(Lock<SchedInner>);

impl SchedLock {
    pub(super) fn new() -> SchedLock {
        let inner = SchedInner {
            midle: null_mut(),
            nmidle: 0,
            pidle: null_mut(),
            nm: 0,
            stopping: false,
            firing: false,
            stopwait: 0,
            exact: false,
            taken: 0,
            newprocs: 0,
            newm: [null_mut(); 2],
            newm_taken: 0,
            mfree: null_mut(),
        };
        SchedLock(Lock::new(Rank::Sched, inner))
    }

    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> SchedLocked<'_> {
        SchedLocked { guard: ManuallyDrop::new(self.0.lock()), sleepers: [const { Sleeper::NONE }; 2] }
    }
}

/// Proof that `sched.lock` is held. Sleepers that are to be woken because of a change under it are woken after it is
/// open: every thread needs this lock, and a wake-up takes as long as a hundred of its holds (docs/measurements.md).
pub struct SchedLocked<'a> {
    guard: ManuallyDrop<Guard<'a, SchedInner>>,
    sleepers: [Sleeper; 2],
}

impl SchedLocked<'_> {
    /// Has the sleeper of a note that was set woken when the lock is open. (One hold wakes at most the watchdog and one
    /// other thread.)
    #[inline]
    pub fn wake_after(&mut self, sleeper: Sleeper) {
        if sleeper.is_some() {
            let free = self.sleepers.iter().position(|s| !s.is_some());
            debug_assert!(free.is_some(), "one hold of sched.lock has more to wake than there is room for");
            if let Some(free) = free {
                self.sleepers[free] = sleeper;
            }
        }
    }
}

impl std::ops::Deref for SchedLocked<'_> {
    type Target = SchedInner;
    #[inline]
    fn deref(&self) -> &SchedInner {
        &self.guard
    }
}

impl std::ops::DerefMut for SchedLocked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut SchedInner {
        &mut self.guard
    }
}

impl Drop for SchedLocked<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: only this drops the guard.
        unsafe { ManuallyDrop::drop(&mut self.guard) };
        if self.sleepers.iter().any(Sleeper::is_some) {
            wake_all(std::mem::replace(&mut self.sleepers, [const { Sleeper::NONE }; 2]));
        }
    }
}

#[cold]
#[inline(never)]
fn wake_all(sleepers: [Sleeper; 2]) {
    for sleeper in sleepers {
        sleeper.wake();
    }
}
