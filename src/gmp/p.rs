//! P: a processor, the right to run Gs.
//!
//! ```text
//!  P word   63            32 31      12 11     10      9     8     7      0
//!          +----------------+----------+------+-------+----+------+--------+
//!          |      tick      |   zero   | TAKE |PREEMPT| FN | STOP | status |
//!          +----------------+----------+------+-------+----+------+--------+
//! ```
//!
//! An owner that looks for a request and then becomes idle could miss a request that comes between the two steps. So
//! one word holds the status and the requests to the owner, and every change of it is a read-modify-write. The owner
//! leaves `Running` by a compare-and-swap from a word without requests, and a thread sets a request by a
//! compare-and-swap from `Running`: the second of the two sees the first. (Go keeps status, safe-point flag and stop
//! flag apart, and needs a second look at each transition.) STOP and FN are two bits, each with its own count and note:
//! a step for one of them never counts for the other (Go's issue 10618).
//!
//! | status | owned by | left by |
//! |---|---|---|
//! | Idle | no thread; in the idle list | the holder of `sched.lock`: to Running or Stopped |
//! | Running | an M, or the thread that has its [`OwnedP`] | the owner: to Idle, to Stopped (`sched.lock` held) |
//! | Stopped | the stopper of the world | the start of the world |
//! | Dead | no thread: beyond gomaxprocs | a resize, in a stopped world |
//!
//! A P whose M is in a syscall is Running, and `m.insys` says so. Such a P may be taken, by a compare-and-swap that
//! adds 1 to `tick`; the M that returns sees by the tick that its P is gone (protocol/syscall.rs).

use crate::ds::line::Line;
use crate::ds::runq::RunQ;
use crate::fiber::stack::Stack;
use crate::gmp::g::{G, GRef};
use crate::gmp::m::M;
use crate::gmp::queue::Queue;
use crate::gmp::timers::{TimerMask, Timers};
use crate::sync::Watched;
use crate::sync::own::{OwnBool, OwnI64, OwnPtr, OwnU32, OwnU64, OwnUsize};
use crate::sync::widen::widen;
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use std::cell::UnsafeCell;
use std::ffi::c_void;

/// The status of a P: see the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PStatus {
    Idle = 0,
    Running = 1,
    /// Running, with its M in a syscall. Never in the word: only [`P::seen_status`] returns it.
    Syscall = 2,
    Stopped = 3,
    Dead = 4,
}

/// The world is being stopped: the owner gives the P up.
pub const STOP: u64 = 1 << 8;
/// A ragged barrier is under way: the owner runs its function.
pub const FN: u64 = 1 << 9;
/// The time slice is over, or a timer is due: the owner goes through the scheduler.
pub const PREEMPT: u64 = 1 << 10;

/// A thread is deciding whether the P's M is in a syscall.
const TAKE: u64 = 1 << 11;

/// The bits that bar the short way back from a syscall.
pub const MUST_SEE: u64 = STOP | FN | TAKE;

const STATUS: u64 = 0xff;
const TICK: u64 = 1 << 32;

/// A value of the P word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PWord(pub u64);

impl PWord {
    #[inline(always)]
    pub fn status(self) -> PStatus {
        match self.0 & STATUS {
            0 => PStatus::Idle,
            1 => PStatus::Running,
            3 => PStatus::Stopped,
            _ => PStatus::Dead,
        }
    }
    #[inline(always)]
    pub fn requests(self) -> u64 {
        self.0 & (STOP | FN | PREEMPT)
    }
    #[inline(always)]
    pub fn tick(self) -> u32 {
        (self.0 >> 32) as u32
    }
    #[inline(always)]
    fn to(self, s: PStatus) -> PWord {
        PWord(self.0 & !STATUS | s as u64)
    }
    #[inline(always)]
    fn ticked(self) -> PWord {
        PWord(self.0.wrapping_add(TICK))
    }
}

/// The most stacks of the default size that a P keeps.
pub const STACK_CACHE: usize = 64;
/// The most Gs in the ring of a P's own queue, and the most suspended parents. Few under a model.
const RING: usize = if cfg!(any(loom, shuttle)) { 16 } else { 256 };
const PARENTS: usize = if cfg!(any(loom, shuttle)) { 16 } else { 64 };
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
    /// The next and the last of the ids that this P may use. Owner: the M.
    pub goid_next: OwnU64,
    pub goid_end: OwnU64,
    /// Free descriptors. Owner: the M.
    gfree: OwnPtr<G>,
    pub gfree_len: OwnU32,
    pub stats: PStats,
    /// The period and the release that it has seen: protocol/tidy.rs. Owner: the M.
    pub tidied: OwnU64,
    pub timers: Line<Timers>,
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

/// The results of sysmon's last look at this P. Owner: sysmon.
#[derive(Default)]
pub struct Watch {
    pub schedtick: OwnU64,
    pub sched_when: OwnI64,
    /// Its owner does not answer in this slice (protocol/rescue.rs).
    pub deaf: OwnBool,
    pub syscalltick: OwnU64,
    pub syscall_when: OwnI64,
    /// `schedtick` at the last look of the tidier, which owns this one.
    pub tidy_tick: OwnU64,
}

struct StackCache {
    /// The smallest `stacks_len` since the owner last looked: the entries below were not needed.
    fewest: usize,
    stacks: [std::mem::MaybeUninit<Stack>; STACK_CACHE],
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
    /// A dead P.
    pub fn new(id: u32, poll: &'static std::sync::atomic::AtomicU32, mask: &'static TimerMask) -> P {
        P {
            word: AtomicU64::new(PStatus::Dead as u64),
            poll,
            id,
            m: AtomicPtr::new(std::ptr::null_mut()),
            schedtick: OwnU64::new(0),
            runnext: AtomicPtr::new(std::ptr::null_mut()),
            turns: OwnU64::new(0),
            behind_tick: OwnU64::new(0),
            runq: Queue::default(),
            lifo: RunQ::default(),
            own_line: Line::default(),
            queue_line: Line::default(),
            timers: Line::new(Timers::new(mask)),
            gfree: OwnPtr::null(),
            gfree_len: OwnU32::new(0),
            stacks_len: OwnUsize::new(0),
            stacks: UnsafeCell::new(StackCache {
                fewest: 0,
                stacks: [const { std::mem::MaybeUninit::uninit() }; STACK_CACHE],
            }),
            stacks_watched: Watched::default(),
            goid_next: OwnU64::new(0),
            goid_end: OwnU64::new(0),
            stats: PStats::default(),
            slots: [const { OwnPtr::null() }; MAX_KEYS],
            idle_link: OwnPtr::null(),
            watch: Line::default(),
            tidied: OwnU64::new(0),
        }
    }

    /// The word as it is now. Acquire: pairs with the Release of every transition.
    #[inline(always)]
    pub fn word(&self) -> PWord {
        PWord(self.word.load(Ordering::Acquire))
    }

    #[inline(always)]
    pub fn status(&self) -> PStatus {
        self.word().status()
    }

    /// Requests to the owner, for the owner's fast path: an owner that misses one here sees it at the next
    /// transition (PREEMPT-Q2).
    #[inline(always)]
    pub fn requests(&self) -> u64 {
        PWord(self.word.load(Ordering::Relaxed)).requests()
    }

    #[inline(always)]
    fn cas(&self, from: PWord, to: PWord) -> Result<(), PWord> {
        widen!();
        // AcqRel: the old owner's writes come before, the new owner's reads after.
        self.word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire).map(drop).map_err(PWord)
    }

    /// PREEMPT-Q1: sets the request `bit` if the P is Running. Returns the status, and whether the bit is new.
    pub fn request(&self, bit: u64) -> (PStatus, bool) {
        let mut w = self.word();
        loop {
            if w.status() != PStatus::Running || w.0 & bit != 0 {
                return (w.status(), false);
            }
            match self.cas(w, PWord(w.0 | bit)) {
                Ok(()) => {
                    widen!();
                    // The owner may have served the request before this line. Then the count is one too low for a
                    // moment, which sends pollers through the slow path for nothing.
                    self.poll.fetch_add(1, Ordering::SeqCst);
                    return (PStatus::Running, true);
                }
                Err(now) => w = now,
            }
        }
    }

    /// Withdraws a request, or marks it as seen; true if it was set.
    pub fn clear_request(&self, bit: u64) -> bool {
        let had = self.word.fetch_and(!bit, Ordering::AcqRel) & bit != 0;
        widen!();
        if had {
            self.poll.fetch_sub(1, Ordering::SeqCst);
        }
        had
    }

    /// Announces that the caller is about to take the P if its M is in a syscall. `asymmetric_fence_heavy` and
    /// [`P::try_retake`] follow.
    pub fn announce(&self) {
        self.word.fetch_or(TAKE, Ordering::AcqRel);
    }

    /// Whether the M of a P with this word is in a syscall. After a request (or [`P::announce`]) and
    /// `asymmetric_fence_heavy` the answer is exact until that M has passed the slow way out; otherwise it is a guess.
    #[inline]
    pub fn in_syscall(&self, w: PWord) -> bool {
        // SAFETY: m is null or an M, and Ms are never freed.
        w.status() == PStatus::Running
            && unsafe { crate::gmp::MRef::from_ptr(self.m()) }.is_some_and(|m| m.is_in_syscall(self.id, w))
    }

    /// The M that owned it last.
    pub fn m(&self) -> *mut M {
        // Acquire: pairs with the Release in `set_m`: the M is initialized.
        self.m.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub fn set_m(&self, m: *mut M) {
        if self.m.load(Ordering::Relaxed) != m {
            self.m.store(m, Ordering::Release);
        }
    }

    /// The status for dumps.
    pub fn seen_status(&self) -> PStatus {
        let w = self.word();
        if self.in_syscall(w) { PStatus::Syscall } else { w.status() }
    }

    /// Takes an announced P if its M is in a syscall; then the caller owns it.
    #[must_use]
    pub fn try_retake(&self) -> Option<OwnedP> {
        let pp = self.take(TAKE);
        if pp.is_none() && self.word().0 & TAKE != 0 {
            self.word.fetch_and(!TAKE, Ordering::AcqRel);
        }
        pp
    }

    /// Takes a P that has the request `bit`, if its M is in a syscall. The caller answers the request in the owner's
    /// place, and the request is cleared here.
    #[must_use]
    pub fn try_take_requested(&self, bit: u64) -> Option<OwnedP> {
        let pp = self.take(bit)?;
        self.poll.fetch_sub(1, Ordering::SeqCst);
        Some(pp)
    }

    /// Takes a P that has this bit, and clears the bit, if its M is in a syscall.
    fn take(&self, bit: u64) -> Option<OwnedP> {
        loop {
            let w = self.word();
            if w.0 & bit == 0 || w.status() != PStatus::Running {
                return None;
            }
            // SAFETY: m is null or an M, and Ms are never freed.
            let m = unsafe { crate::gmp::MRef::from_ptr(self.m()) }?;
            // insys has the tick, so a P that has passed to another M since is not taken (SYSCALL-Y4).
            if !m.is_reached() || !m.is_in_syscall(self.id, w) {
                return None;
            }
            // It may fail because another thread sets or clears another bit: the M is in the syscall all the same.
            if self.cas(w, PWord(w.ticked().0 & !bit)).is_ok() {
                return Some(OwnedP(self.as_ref()));
            }
        }
    }

    /// Changes between statuses that only the caller may change: Idle and Stopped under `sched.lock` or in a stopped
    /// world, Dead in a resize.
    pub fn move_status(&self, from: PStatus, to: PStatus) {
        let mut w = self.word();
        loop {
            // Also in release builds: a P with two owners destroys everything, and this path is never hot.
            assert!(w.status() == from, "P {}: {:?}, expected {from:?}", self.id, w.status());
            match self.cas(w, w.to(to)) {
                Ok(()) if to == PStatus::Running => return,
                // The G that this preemption was meant for has left: drops the request.
                Ok(()) => {
                    self.clear_request(PREEMPT);
                    return;
                }
                Err(now) => w = now,
            }
        }
    }

    /// From a status that only the caller may end, to Running with the caller as the owner.
    pub fn acquire_from(&self, from: PStatus) -> OwnedP {
        self.move_status(from, PStatus::Running);
        OwnedP(self.as_ref())
    }

    #[inline(always)]
    fn as_ref(&self) -> PRef {
        PRef(std::ptr::NonNull::from(self))
    }

    /// Whether there is no G to run here. Runnext is read first, because a G goes from runnext to the queue and never
    /// back. The G that a newer one displaces is in the queue before the owner takes the newer one (Acquire: pairs with
    /// the swap there). A thief may take the newer one before that: then the P looks empty, and the owner calls for
    /// searchers after its push (`park::ready_queue`).
    pub fn runq_empty(&self) -> bool {
        self.runnext.load(Ordering::Acquire).is_null() && self.lifo.is_empty() && self.runq.is_empty()
    }

    pub fn runq_len(&self) -> usize {
        self.runq.len() + self.lifo.len() + usize::from(!self.runnext.load(Ordering::Relaxed).is_null())
    }

    /// Takes the oldest of the parents; or moves the oldest half of the queue to the thief's and returns one G of it.
    /// `last_parent`: also takes a parent that is the only one.
    pub fn steal(&self, thief: &OwnedP, last_parent: bool) -> Option<GRef> {
        if (last_parent || self.lifo.len() > 1)
            && let Some(gp) = self.lifo.steal()
        {
            return Some(GRef(gp));
        }
        // SAFETY: `thief` owns its queues.
        unsafe { self.runq.steal(&thief.runq) }
    }

    /// Takes up to `most` of the Gs that wait here, in the order in which they would run, for a thief without a P.
    pub fn take_out(&self, most: usize, mut each: impl FnMut(GRef)) {
        let mut left = most;
        let heirs = self.take_runnext().into_iter().chain(std::iter::from_fn(|| self.lifo.steal().map(GRef)));
        for gp in heirs.take(most) {
            each(gp);
            left -= 1;
        }
        self.runq.take_out(left, each);
    }

    /// The kept stacks, for the owner; while the P is Idle, for the holder of `sched.lock`.
    #[inline(always)]
    fn stack_cache(&self) -> *mut StackCache {
        self.stacks_watched.touch();
        self.stacks.get()
    }

    /// The number of stacks that it keeps. Exact in a stopped world.
    pub fn stacks_kept(&self) -> usize {
        self.stacks_len.get()
    }

    /// Takes as many kept stacks of a P without an owner as `out` has room for. Returns how many.
    ///
    /// # Safety
    /// The P is Idle, and the caller holds `sched.lock`.
    pub unsafe fn take_idle_stacks(&self, out: &mut [std::mem::MaybeUninit<Stack>]) -> usize {
        // SAFETY: no thread owns the P, and none can become its owner under the lock.
        let c = unsafe { &mut *self.stack_cache() };
        let len = self.stacks_len.get();
        let n = out.len().min(len);
        // The order is kept: the hottest stacks are the last.
        out[..n].copy_from_slice(&c.stacks[..n]);
        c.stacks.copy_within(n..len, 0);
        self.stacks_len.set(len - n);
        c.fewest = c.fewest.saturating_sub(n);
        n
    }

    /// Whether exactly one parent is suspended here: its child may be about to begin.
    pub fn has_one_parent(&self) -> bool {
        self.lifo.len() == 1
    }

    /// The next G, for an unlocked look.
    pub fn runnext(&self) -> *mut G {
        self.runnext.load(Ordering::Relaxed)
    }

    pub fn has_runnext(&self) -> bool {
        !self.runnext.load(Ordering::Relaxed).is_null()
    }

    /// Takes runnext, for the owner or a thief.
    pub fn take_runnext(&self) -> Option<GRef> {
        if self.runnext.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // AcqRel: pairs with the swap in `put_runnext`.
        // SAFETY: runnext holds null or a G.
        unsafe { GRef::from_ptr(self.runnext.swap(std::ptr::null_mut(), Ordering::AcqRel)) }
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

    /// The P that the caller left at `left` (without any bit of [`MUST_SEE`]), if its word is unchanged. After
    /// `asymmetric_fence_light`.
    #[inline(always)]
    pub fn reclaim(p: PRef, left: PWord) -> Option<OwnedP> {
        if p.word() == left { Some(OwnedP(p)) } else { None }
    }

    /// As [`OwnedP::reclaim`], in spite of requests. A thread that was about to take the P fails then.
    pub fn reclaim_slow(p: PRef, left: PWord) -> Option<OwnedP> {
        loop {
            let w = p.word();
            if w.tick() != left.tick() {
                return None;
            }
            debug_assert!(w.status() == PStatus::Running);
            if p.cas(w, w.ticked()).is_ok() {
                return Some(OwnedP(p));
            }
        }
    }

    /// Running to Idle; refused if requests came first, which it returns. The caller holds `sched.lock`.
    pub fn try_idle(self) -> Result<PRef, (OwnedP, u64)> {
        let mut w = self.word();
        loop {
            if w.requests() & (STOP | FN) != 0 {
                return Err((self, w.requests()));
            }
            match self.cas(w, w.to(PStatus::Idle)) {
                Ok(()) => {
                    self.clear_request(PREEMPT);
                    return Ok(self.forget());
                }
                Err(now) => w = now,
            }
        }
    }

    /// Running to Stopped, which answers the request. The caller holds `sched.lock`.
    pub fn stop(self) -> PRef {
        self.move_status(PStatus::Running, PStatus::Stopped);
        self.clear_request(STOP);
        self.forget()
    }

    /// Makes `gp` the next G to run in this slice; the former next one goes to the queue. Returns whether there was
    /// one. If not, the last step of this function is a locked read-modify-write.
    #[inline(always)]
    pub fn put_next(&self, gp: GRef) -> bool {
        // A swap, not a store: a thief may take the old G at the same moment. AcqRel: pairs with `take_runnext`.
        // SAFETY: runnext holds null or a G.
        let old = unsafe { GRef::from_ptr(self.runnext.swap(gp.as_ptr(), Ordering::AcqRel)) };
        if let Some(old) = old {
            widen!();
            self.put_tail(old);
        }
        old.is_some()
    }

    /// Appends to the queue.
    #[inline(always)]
    pub fn put_tail(&self, gp: GRef) {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.push(gp) }
    }

    /// Puts it after all others.
    #[inline(always)]
    pub fn put_last(&self, gp: GRef) {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.push_last(gp) }
    }

    /// Adds the suspended parent of a child-first spawn. If the deque is full, its oldest parent goes to the queue.
    pub fn put_parent(&self, gp: GRef) {
        // SAFETY: `self` owns the P.
        while !unsafe { self.lifo.push(gp.0) } {
            if let Some(oldest) = self.lifo.steal() {
                self.put_tail(GRef(oldest));
            }
        }
    }

    /// The next G to run, and whether it inherits the slice.
    #[inline(always)]
    pub fn get(&self) -> Option<(GRef, bool)> {
        if let Some(gp) = self.take_runnext() {
            return Some((gp, true));
        }
        if let Some(gp) = self.get_parent() {
            return Some((gp, true));
        }
        self.get_queued().map(|gp| (gp, false))
    }

    /// The newest of the suspended parents.
    #[inline(always)]
    pub fn get_parent(&self) -> Option<GRef> {
        // SAFETY: `self` owns the P.
        unsafe { self.lifo.pop_newest() }.map(GRef)
    }

    /// The oldest G of the queue, past runnext and the parents.
    #[inline(always)]
    pub fn get_queued(&self) -> Option<GRef> {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.pop() }
    }

    /// Whether parents are suspended here.
    #[inline(always)]
    pub fn has_parents(&self) -> bool {
        !self.lifo.is_empty()
    }

    /// Whether the running slice, as sysmon saw it begin, is over at `now`. False: another slice has begun since, or
    /// the request was made for a timer.
    pub fn slice_is_over(&self, now: i64, slice: i64) -> bool {
        self.watch.schedtick.get() == self.schedtick.get() && self.watch.sched_when.get().saturating_add(slice) <= now
    }

    /// The oldest G of the queue's backlog.
    pub fn get_behind(&self) -> Option<GRef> {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.pop_behind() }
    }

    /// Whether its queues are empty, for the owner.
    #[inline(always)]
    pub fn has_nothing(&self) -> bool {
        !self.has_runnext() && self.lifo.is_empty() && self.runq.is_empty()
    }

    pub fn room(&self) -> usize {
        // SAFETY: `self` owns the P.
        unsafe { self.runq.room() }
    }

    /// A stack of the default size, the hottest one.
    #[inline(always)]
    pub fn pop_stack(&self) -> Option<Stack> {
        // SAFETY: `self` owns the P, and calls nothing else while the reference lives.
        let c = unsafe { &mut *self.stack_cache() };
        let len = self.stacks_len.get().checked_sub(1)?;
        self.stacks_len.set(len);
        c.fewest = c.fewest.min(len);
        // SAFETY: entries below the old length were written by `push_stack`.
        Some(unsafe { c.stacks[len].assume_init_read() })
    }

    /// Keeps a stack. If there are too many, passes half of them to `spill`.
    #[inline(always)]
    pub fn push_stack(&self, s: Stack, spill: impl FnOnce(&[Stack])) {
        // SAFETY: as in `pop_stack`; `spill` gets a copy of the entries it is to take.
        let c = unsafe { &mut *self.stack_cache() };
        let mut len = self.stacks_len.get();
        if len == STACK_CACHE {
            len = Self::spill_stacks(c, spill);
        }
        c.stacks[len].write(s);
        self.stacks_len.set(len + 1);
    }

    /// Returns how many are left.
    #[cold]
    fn spill_stacks(c: &mut StackCache, spill: impl FnOnce(&[Stack])) -> usize {
        // The coldest half, which lies at the bottom.
        const HALF: usize = STACK_CACHE / 2;
        // SAFETY: all entries are written.
        spill(unsafe { std::slice::from_raw_parts(c.stacks.as_ptr().cast(), HALF) });
        c.stacks.copy_within(HALF.., 0);
        c.fewest = c.fewest.saturating_sub(HALF);
        STACK_CACHE - HALF
    }

    /// Passes the stacks that were not needed since the last time, or all, to `give`. Begins to watch anew.
    #[cold]
    pub fn take_unneeded(&self, all: bool, give: impl FnOnce(&[Stack])) {
        // SAFETY: as in `pop_stack`; `give` gets a copy of the entries that go.
        let c = unsafe { &mut *self.stack_cache() };
        let len = self.stacks_len.get();
        let n = if all { len } else { c.fewest };
        // SAFETY: entries below the length are written, and `fewest` is no larger.
        give(unsafe { std::slice::from_raw_parts(c.stacks.as_ptr().cast(), n) });
        c.stacks.copy_within(n..len, 0);
        self.stacks_len.set(len - n);
        c.fewest = len - n;
    }

    /// Takes every kept stack.
    pub fn drain_stacks(&self, mut each: impl FnMut(Stack)) {
        while let Some(s) = self.pop_stack() {
            each(s);
        }
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

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ds::leak::try_leak;
    use crate::ds::rng::{Rng, seeds};
    use std::collections::VecDeque;

    /// The Gs that a P has to run, in the obvious representation.
    #[derive(Default)]
    struct Model {
        next: Option<u32>,
        parents: Vec<u32>,
        ring: VecDeque<u32>,
        backlog: VecDeque<u32>,
    }

    impl Model {
        fn put_next(&mut self, g: u32) {
            if let Some(old) = self.next.replace(g) {
                self.put_tail(old);
            }
        }

        fn put_tail(&mut self, g: u32) {
            if self.ring.len() == RING {
                self.backlog.extend(self.ring.drain(..RING / 2));
            }
            self.ring.push_back(g);
        }

        fn put_last(&mut self, g: u32) {
            let to = if self.backlog.is_empty() && self.ring.len() < RING { &mut self.ring } else { &mut self.backlog };
            to.push_back(g);
        }

        fn get(&mut self) -> Option<(u32, bool)> {
            let inherits = self.next.take().or_else(|| self.parents.pop());
            inherits.map(|g| (g, true)).or_else(|| self.get_queued().map(|g| (g, false)))
        }

        fn get_queued(&mut self) -> Option<u32> {
            if self.ring.is_empty() {
                self.ring.extend(self.backlog.drain(..self.backlog.len().min(RING / 2)));
            }
            self.ring.pop_front()
        }

        fn steal(&mut self) -> Vec<u32> {
            if !self.parents.is_empty() {
                return vec![self.parents.remove(0)];
            }
            let (from, most) =
                if self.ring.is_empty() { (&mut self.backlog, RING / 2) } else { (&mut self.ring, RING) };
            let half = from.len().div_ceil(2).min(most);
            from.drain(..half).collect()
        }

        fn len(&self) -> usize {
            self.ring.len() + self.backlog.len() + self.parents.len() + usize::from(self.next.is_some())
        }
    }

    /// The run queue with runnext and the suspended parents, and a thief that steals, against deques.
    #[test]
    fn what_is_to_run_is_as_in_deques() {
        let gs: Vec<GRef> = (0..4 * RING as u32 + PARENTS as u32).map(GRef::for_test).collect();
        seeds(6).for_each(|seed| against_deques(&gs, seed));
    }

    fn against_deques(gs: &[GRef], seed: u64) {
        static POLL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let rng = Rng::new(seed);
        let [pp, thief] = [0, 1].map(|id| {
            try_leak(P::new(id, &POLL, try_leak(TimerMask::default()).unwrap())).unwrap().acquire_from(PStatus::Dead)
        });
        let mut model = Model::default();
        let mut free: Vec<u32> = (0..gs.len() as u32).collect();
        let number = |gp: GRef| gp.index;
        // Alternates between phases with more puts and phases with more takes.
        let mut more = 2;
        for i in 0..30_000 {
            if i % 3000 == 0 {
                more = 1 + rng.next() % 5;
            }
            let put = rng.next() % 6 < more;
            if let (true, Some(g)) = (put, free.pop()) {
                let gp = gs[g as usize];
                match rng.next() % 5 {
                    0 => {
                        assert_eq!(pp.put_next(gp), model.next.is_some());
                        model.put_next(g);
                    }
                    1 => {
                        pp.put_parent(gp);
                        if model.parents.len() == PARENTS {
                            let oldest = model.parents.remove(0);
                            model.put_tail(oldest);
                        }
                        model.parents.push(g);
                    }
                    2 => {
                        pp.put_last(gp);
                        model.put_last(g);
                    }
                    _ => {
                        pp.put_tail(gp);
                        model.put_tail(g);
                    }
                }
            } else {
                match rng.next() % 9 {
                    0..4 => {
                        let want = model.get();
                        assert_eq!(pp.get().map(|(gp, inherits)| (gp.index, inherits)), want);
                        free.extend(want.map(|w| w.0));
                    }
                    4 | 5 => {
                        let want = model.get_queued();
                        assert_eq!(pp.get_queued().map(number), want);
                        free.extend(want);
                    }
                    8 => {
                        let want = model.backlog.pop_front();
                        assert_eq!(pp.get_behind().map(number), want);
                        free.extend(want);
                    }
                    6 => {
                        let want = model.next.take();
                        assert_eq!(pp.take_runnext().map(number), want);
                        free.extend(want);
                    }
                    _ => {
                        let mut want = model.steal();
                        assert_eq!(pp.steal(&thief, true).map(number), want.first().copied());
                        free.append(&mut want.clone());
                        want.drain(..want.len().min(1));
                        for g in want {
                            assert_eq!(thief.get().map(|(gp, _)| gp.index), Some(g));
                        }
                        assert!(thief.has_nothing());
                    }
                }
            }
            let n = model.len();
            assert_eq!((pp.runq_len(), pp.runq_empty(), pp.has_nothing()), (n, n == 0, n == 0));
            assert_eq!(pp.room(), RING - model.ring.len());
        }
        for pp in [pp, thief] {
            pp.forget();
        }
    }
}
