//! P: a processor, the right to run Gs.
//!
//! `p/word.rs` has its status and the requests to its owner, `p/to_run.rs` the Gs that wait here for their turn,
//! `p/stacks.rs` the free stacks, `p/blocks.rs` the free blocks of memory.

pub mod blocks;
mod stacks;
mod to_run;
mod word;

use crate::ds::histogram::Histogram;
use crate::ds::leak::try_leak_zeroed;
use crate::ds::line::Line;
use crate::ds::runq::RunQ;
use crate::gmp::g::{G, GRef};
use crate::gmp::m::M;
use crate::gmp::queue::Queue;
use crate::gmp::timers::{TimerMask, Timers};
use crate::sync::Watched;
use crate::sync::own::{OwnBool, OwnI64, OwnPtr, OwnU32, OwnU64, OwnUsize};
use crate::sync::{AtomicPtr, AtomicU64};
use blocks::BlockCache;
pub use stacks::STACK_CACHE;
use stacks::StackCache;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use to_run::{PARENTS, RING};
pub use word::{FN, LOOK_AGAIN, PREEMPT, PStatus, PWord, STOP, Taken};

/// The most P-local and G-local keys.
pub const MAX_KEYS: usize = 64;

/// A P: see the module. Its fields lie on lines of [`LINE`](crate::ds::line::LINE) bytes, grouped by use: fields that
/// other threads read and seldom write; fields that the owner writes all the time; the timers; fields that sysmon
/// writes; the queues, with the counts that thieves look at in front.
#[repr(C, align(128))]
pub struct P {
    pub(super) word: AtomicU64,
    /// How many requests are set in all P words: `gmx_safepoint` polls it.
    poll: &'static std::sync::atomic::AtomicU32,
    pub id: u32,
    /// The M that owns it or sits in a syscall with it. Written by that M while it owns the P.
    pub(super) m: AtomicPtr<M>,
    /// Link in the idle list. Guarded by `sched.lock`.
    pub idle_link: OwnPtr<P>,
    own_line: Line<()>,
    /// Counts the Gs that began a slice here. Owner: the M; sysmon compares.
    pub schedtick: OwnU64,
    /// Counts the turns that its queue and the global one took (PARK-N2 and PARK-N4). Owner: the M.
    pub turns: OwnU64,
    /// The `schedtick` at which the backlog had its turn last. Owner: the M.
    pub behind_tick: OwnU64,
    /// When the last turn of a hog began here, or ended if it was held (SEIZE-C1). Owner: the M.
    pub hog_when: OwnI64,
    /// The next and the last of the ids that this P may use. Owner: the M.
    pub goid_next: OwnU64,
    pub goid_end: OwnU64,
    /// Free descriptors. Owner: the M.
    gfree: OwnPtr<G>,
    pub gfree_len: OwnU32,
    pub stats: PStats,
    /// The period and the release that it has seen: protocol/tidy.rs. Owner: the M.
    pub tidied: OwnU64,
    /// The number of its last record (RECORD-2). Owner: the owner of the P.
    pub trace_seq: OwnU32,
    /// Its M is in a call of the host without a G, and a record says that the P is idle. Owner: the owner of the P.
    pub shown_idle: OwnBool,
    pub timers: Line<Timers>,
    /// [`Durations::latency`].
    pub latency: &'static Histogram,
    pub watch: Line<Watch>,
    queue_line: Line<()>,
    /// The G that runs next, in the running slice.
    runnext: AtomicPtr<G>,
    runq: Queue<RING>,
    /// Suspended parents, whose child-first children run.
    lifo: RunQ<G, PARENTS>,
    /// Values of P-local keys. Owner: the M, or the thread that runs a barrier function for it.
    pub slots: [OwnPtr<c_void>; MAX_KEYS],
    /// The length of `stacks`. Owner: the owner of `stacks`; any thread reads.
    stacks_len: OwnUsize,
    stacks: UnsafeCell<StackCache>,
    stacks_watched: Watched,
    /// Owner: the M.
    blocks: UnsafeCell<BlockCache>,
}

// (A model's atomics are larger.)
#[cfg(not(any(loom, shuttle)))]
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(P, idle_link) < crate::ds::line::LINE && offset_of!(P, schedtick) >= crate::ds::line::LINE);
    assert!(
        offset_of!(P, runnext).is_multiple_of(crate::ds::line::LINE),
        "searches look here, and at the counts behind it"
    );
};

/// The counts of a P. Owner: the M; any thread reads.
#[derive(Default)]
pub struct PStats {
    pub spawned: OwnU64,
    pub ended: OwnU64,
    /// Also drives the periodic checks (FAIR_TICK, TIMER_TICK).
    pub switches: OwnU64,
    pub steals: OwnU64,
    pub parks: OwnU64,
    pub preempts: OwnU64,
    pub syscalls: OwnU64,
}

/// The histograms of a P. In memory of their own: they are large, seldom written, and a P is made on a stack.
pub struct Durations {
    /// How late timers of its heap fired. Owner: the holder of the heap's lock.
    pub late: Histogram,
    /// How long Gs were ready before they started on it (gmp/latency.rs). Owner: the owner of the P.
    pub latency: Histogram,
}

impl Durations {
    /// Empty ones, which are never freed; None if there is no memory.
    pub fn new() -> Option<&'static Durations> {
        // SAFETY: zeros are empty histograms.
        unsafe { try_leak_zeroed() }
    }
}

/// The results of sysmon's last look at this P. Owner: sysmon.
#[derive(Default)]
pub struct Watch {
    pub schedtick: OwnU64,
    pub sched_when: OwnI64,
    /// Its owner does not answer in this slice (protocol/rescue.rs).
    pub deaf: OwnBool,
    pub syscalltick: OwnU64,
    pub syscall_when: OwnI64,
    /// When it was asked last to end its slice; the CPU time of its thread then; how often the thread was nudged since.
    pub asked_when: OwnI64,
    pub cpu_then: OwnI64,
    pub nudges: OwnU32,
    /// The ticks of its owner at the last look at it for RESCUE-7, and since when they are the same and the P serves no
    /// held thread.
    pub stuck_tick: OwnU64,
    pub stuck_when: OwnI64,
    /// The turn that it saw last, since when, and whether that was not its first look at it (sched/turns.rs).
    pub turn: OwnU64,
    pub turn_since: OwnI64,
    pub turn_lasts: OwnBool,
    /// `schedtick` at the last look of the tidier, which owns this one.
    pub tidy_tick: OwnU64,
}

/// A P. Its memory lives as long as the process.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct PRef(std::ptr::NonNull<P>);

/// The right to be the one owner of a P, which is `Running`. Dropping it would lose the P; the holder passes it to an
/// M, to the idle list, or to the world.
#[repr(transparent)]
#[must_use]
pub struct OwnedP(PRef);

// SAFETY: shared access to a P is to atomics, or to cells through `OwnedP`, of which there is one.
unsafe impl Send for PRef {}
// SAFETY: as above.
unsafe impl Sync for PRef {}
// SAFETY: as above.
unsafe impl Send for P {}
// SAFETY: as above.
unsafe impl Sync for P {}

impl std::ops::Deref for PRef {
    type Target = P;
    #[inline(always)]
    fn deref(&self) -> &P {
        // SAFETY: Ps are made by a resize and never freed.
        unsafe { self.0.as_ref() }
    }
}

impl PRef {
    /// # Safety
    /// `p` is null or points to a P.
    #[inline(always)]
    pub unsafe fn from_ptr(p: *mut P) -> Option<PRef> {
        std::ptr::NonNull::new(p).map(PRef)
    }
    #[inline(always)]
    pub fn as_ptr(self) -> *mut P {
        self.0.as_ptr()
    }
}

impl std::ops::Deref for OwnedP {
    type Target = P;
    #[inline(always)]
    fn deref(&self) -> &P {
        &self.0
    }
}

impl Drop for OwnedP {
    fn drop(&mut self) {
        // A P without an owner would never run again, and every stop of the world would wait for it.
        debug_assert!(false, "P {} was dropped", self.id);
    }
}

impl P {
    /// When the running slice began, as sysmon saw it; None if it has not seen it.
    pub fn slice_began(&self) -> Option<i64> {
        let when = self.watch.sched_when.get();
        (when != 0 && self.watch.schedtick.get() == self.schedtick.get()).then_some(when)
    }

    /// A dead P.
    pub fn new(
        id: u32,
        poll: &'static std::sync::atomic::AtomicU32,
        mask: &'static TimerMask,
        durations: &'static Durations,
    ) -> P {
        P {
            word: AtomicU64::new(PStatus::Dead as u64),
            poll,
            id,
            m: AtomicPtr::new(std::ptr::null_mut()),
            schedtick: OwnU64::new(0),
            runnext: AtomicPtr::new(std::ptr::null_mut()),
            turns: OwnU64::new(0),
            behind_tick: OwnU64::new(0),
            hog_when: OwnI64::new(0),
            runq: Queue::default(),
            lifo: RunQ::default(),
            own_line: Line::default(),
            queue_line: Line::default(),
            timers: Line::new(Timers::new(mask, &durations.late)),
            latency: &durations.latency,
            gfree: OwnPtr::null(),
            gfree_len: OwnU32::new(0),
            stacks_len: OwnUsize::new(0),
            stacks: UnsafeCell::new(StackCache {
                fewest: 0,
                stacks: [const { std::mem::MaybeUninit::uninit() }; STACK_CACHE],
            }),
            stacks_watched: Watched::default(),
            blocks: UnsafeCell::new(BlockCache::NONE),
            goid_next: OwnU64::new(0),
            goid_end: OwnU64::new(0),
            stats: PStats::default(),
            slots: [const { OwnPtr::null() }; MAX_KEYS],
            idle_link: OwnPtr::null(),
            watch: Line::default(),
            tidied: OwnU64::new(0),
            trace_seq: OwnU32::new(0),
            shown_idle: OwnBool::new(false),
        }
    }
}

impl OwnedP {
    #[inline(always)]
    pub fn p(&self) -> PRef {
        self.0
    }

    /// Gives up the token without giving up the P: from here on the P's word says which thread owns it.
    #[inline(always)]
    pub fn forget(self) -> PRef {
        let p = self.0;
        std::mem::forget(self);
        p
    }

    /// The token of a P that the caller owns by the protocol.
    ///
    /// # Safety
    /// The P is Running and its one token was forgotten for the caller.
    #[inline(always)]
    pub unsafe fn remember(p: PRef) -> OwnedP {
        OwnedP(p)
    }

    /// Whether the running slice, as sysmon saw it begin, is over at `now`. False: another slice has begun since, or
    /// the request was made for a timer.
    pub fn slice_is_over(&self, now: i64, slice: i64) -> bool {
        self.watch.schedtick.get() == self.schedtick.get() && self.watch.sched_when.get().saturating_add(slice) <= now
    }

    #[inline(always)]
    pub fn gfree_pop(&self) -> Option<GRef> {
        // SAFETY: the free list holds Gs.
        let gp = unsafe { GRef::from_ptr(self.gfree.get()) }?;
        self.gfree.set(gp.link.take());
        self.gfree_len.set(self.gfree_len.get() - 1);
        Some(gp)
    }

    #[inline(always)]
    pub fn gfree_push(&self, gp: GRef) {
        gp.link.set(self.gfree.get());
        self.gfree.set(gp.as_ptr());
        self.gfree_len.set(self.gfree_len.get() + 1);
    }
}
