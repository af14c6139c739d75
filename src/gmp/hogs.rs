//! The goroutines from which the watchdog has to take many slices, so that each can be named once.
//!
//! The watchdog alone counts, in a table of fixed size. When a goroutine has lost so many slices the watchdog copies
//! what is to be said into a place of its own, and the template thread says it: the host's report function may take
//! its time.

use crate::gmp::g::{GName, GRef};
use crate::sync::Ordering;
use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::AtomicBool;

/// How many slices are taken from a goroutine before it is named.
const MANY: u32 = 200;
/// How many goroutines are watched at a time.
const WATCHED: usize = 16;

/// What is known of a goroutine that computes.
#[derive(Clone, Copy)]
pub struct Hog {
    pub goid: u64,
    pub name: GName,
    /// How many slices were taken from it, since when, and until when.
    pub slices: u32,
    pub since: i64,
    pub last: i64,
}

impl Hog {
    const NONE: Hog = Hog { goid: 0, name: GName::NONE, slices: 0, since: 0, last: 0 };
}

/// See the module.
pub struct Hogs {
    /// Set before the runtime is up.
    wanted: Cell<bool>,
    /// Owner: the watchdog.
    watched: UnsafeCell<[Hog; WATCHED]>,
    /// Owner: the watchdog while `open` is false, otherwise the template thread.
    to_tell: UnsafeCell<Hog>,
    open: AtomicBool,
}

// SAFETY: every cell has one owner at a time, as its comment says.
unsafe impl Sync for Hogs {}

impl Hogs {
    #[expect(clippy::new_without_default, reason = "there is one, in the Sched")]
    pub const fn new() -> Hogs {
        Hogs {
            wanted: Cell::new(false),
            watched: UnsafeCell::new([Hog::NONE; WATCHED]),
            to_tell: UnsafeCell::new(Hog::NONE),
            open: AtomicBool::new(false),
        }
    }

    /// Before the watchdog begins.
    pub fn want(&self, yes: bool) {
        self.wanted.set(yes);
        // SAFETY: the watchdog does not run.
        unsafe { *self.watched.get() = [Hog::NONE; WATCHED] };
        self.open.store(false, Ordering::Relaxed);
    }

    /// The watchdog takes a slice from `gp`.
    pub fn took(&self, gp: GRef, now: i64) {
        if !self.wanted.get() {
            return;
        }
        let goid = gp.goid.get();
        // SAFETY: the caller is the watchdog.
        let watched = unsafe { &mut *self.watched.get() };
        let at = match watched.iter().position(|h| h.goid == goid) {
            Some(at) => at,
            None => {
                // The one that was met longest ago makes room.
                let at = (0..WATCHED).min_by_key(|&i| watched[i].last).unwrap_or(0);
                watched[at] = Hog { goid, since: now, ..Hog::NONE };
                at
            }
        };
        let hog = &mut watched[at];
        hog.slices = hog.slices.saturating_add(1);
        hog.last = now;
        if hog.slices < MANY || hog.since == TOLD || self.open.load(Ordering::Acquire) {
            return;
        }
        // SAFETY: closed, so it is the watchdog's.
        unsafe { *self.to_tell.get() = Hog { name: gp.name(), ..*hog } };
        hog.since = TOLD;
        // Release: pairs with the Acquire in `to_tell`.
        self.open.store(true, Ordering::Release);
    }

    /// Whether the template thread is to ask [`Hogs::to_tell`].
    pub fn has_news(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// The goroutine to be named, if there is one. For the template thread.
    pub fn to_tell(&self) -> Option<Hog> {
        if !self.open.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: open, so it is the template thread's.
        let hog = unsafe { *self.to_tell.get() };
        // Release: pairs with the Acquire in `took`.
        self.open.store(false, Ordering::Release);
        Some(hog)
    }
}

/// In `since`: the goroutine was named.
const TOLD: i64 = i64::MAX;
