//! The goroutines from which the watchdog has to take many slices, so that each can be named once.
//!
//! The watchdog alone counts, in a table of fixed size. When a goroutine has lost so many slices the watchdog copies
//! what is to be said into a place of its own, and the template thread says it: the host's report function may take
//! its time. The live page looks at the table at any time ([`Hogs::streak`]).

use crate::gmp::g::{GName, GRef};
use crate::sync::Ordering;
use crate::sync::own::{OwnI64, OwnU32, OwnU64};
use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::AtomicBool;

/// How many slices are taken from a goroutine before it is named.
const MANY: u32 = 200;
/// How many goroutines are watched at a time.
const WATCHED: usize = 16;
/// A goroutine that lost no slice for this long did something else meanwhile.
const PAUSE: i64 = 2_000_000_000;

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

/// A goroutine that is watched. Owner of all words: the watchdog; the live page glances at them.
struct Watched {
    goid: OwnU64,
    /// How many slices were taken from it, since when, and until when.
    slices: OwnU32,
    since: OwnI64,
    last: OwnI64,
    /// Since when it has not paused.
    streak: OwnI64,
}

impl Watched {
    const fn new() -> Watched {
        Watched {
            goid: OwnU64::new(0),
            slices: OwnU32::new(0),
            since: OwnI64::new(0),
            last: OwnI64::new(0),
            streak: OwnI64::new(0),
        }
    }

    fn forget(&self) {
        self.goid.set(0);
        self.slices.set(0);
        self.since.set(0);
        self.last.set(0);
        self.streak.set(0);
    }
}

/// See the module.
pub struct Hogs {
    /// Set before the runtime is up.
    wanted: Cell<bool>,
    watched: [Watched; WATCHED],
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
            watched: [const { Watched::new() }; WATCHED],
            to_tell: UnsafeCell::new(Hog::NONE),
            open: AtomicBool::new(false),
        }
    }

    /// Before the watchdog begins.
    pub fn want(&self, yes: bool) {
        self.wanted.set(yes);
        self.watched.iter().for_each(Watched::forget);
        self.open.store(false, Ordering::Relaxed);
    }

    /// The watchdog takes a slice from `gp`.
    pub fn took(&self, gp: GRef, now: i64) {
        let goid = gp.goid.get();
        let same = self.watched.iter().find(|w| w.goid.get() == goid);
        // Otherwise the one that was met longest ago makes room.
        let Some(hog) = same.or_else(|| self.watched.iter().min_by_key(|w| w.last.get())) else { return };
        if same.is_none() {
            hog.forget();
            hog.since.set(now);
            hog.goid.set(goid);
        }
        if same.is_none() || now - hog.last.get() > PAUSE {
            hog.streak.set(now);
        }
        hog.slices.set(hog.slices.get().saturating_add(1));
        hog.last.set(now);
        let told = hog.since.get() == TOLD;
        if !self.wanted.get() || hog.slices.get() < MANY || told || self.open.load(Ordering::Acquire) {
            return;
        }
        let tell = Hog { goid, name: gp.name(), slices: hog.slices.get(), since: hog.since.get(), last: now };
        // SAFETY: closed, so it is the watchdog's.
        unsafe { *self.to_tell.get() = tell };
        hog.since.set(TOLD);
        // Release: pairs with the Acquire in `to_tell`.
        self.open.store(true, Ordering::Release);
    }

    /// Since when slices have been taken from a goroutine, if it has not paused since. For any thread: a glance.
    pub fn streak(&self, goid: u64, now: i64) -> Option<i64> {
        let hog = self.watched.iter().find(|w| w.goid.get() == goid)?;
        (goid != 0 && now - hog.last.get() <= PAUSE).then(|| hog.streak.get())
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
