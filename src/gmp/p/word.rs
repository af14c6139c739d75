//! The P word: the status of a P, and the requests to its owner.
//!
//! ```text
//!  P word   63            32 31      13 12     11     10      9     8     7      0
//!          +----------------+----------+------+------+-------+----+------+--------+
//!          |      tick      |   zero   |NUDGE | TAKE |PREEMPT| FN | STOP | status |
//!          +----------------+----------+------+------+-------+----+------+--------+
//! ```
//!
//! An owner that looks for a request and then becomes idle could miss a request that comes between the two steps. So
//! one word holds the status and the requests to the owner, and every change of it is a read-modify-write. The owner
//! leaves `Running` by a compare-and-swap from a word without requests, and a thread sets a request by a
//! compare-and-swap from `Running`: the second of the two sees the first. (Go keeps status, safe-point flag and stop
//! flag apart, and needs a second look at each transition.) STOP and FN are two bits, each with its own count and note:
//! a step for one of them never counts for the other (see `Barrier` in gmp/sched.rs).
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

use super::{OwnedP, P, PRef};
use crate::gmp::m::{M, Outside};
use crate::sync::widen::widen;
use crate::sync::{Ordering, has_asymmetric_fence};

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

/// With PREEMPT: the owner has not answered. If it runs the host's code it is to be held, and if it comes in, to step
/// aside (SEIZE-N4).
const NUDGE: u64 = 1 << 12;

/// The bits that say that a thread may be about to take the P.
const MUST_SEE: u64 = STOP | FN | TAKE;
/// The bits that come and go while the P has one owner, except PREEMPT: an owner that has seen one of them in the word
/// looks at it each time.
pub const LOOK_AGAIN: u64 = MUST_SEE | NUDGE;

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

impl P {
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
        let with = if bit == PREEMPT { NUDGE } else { 0 };
        let had = self.word.fetch_and(!(bit | with), Ordering::AcqRel) & bit != 0;
        widen!();
        if had {
            self.poll.fetch_sub(1, Ordering::SeqCst);
        }
        had
    }

    /// SEIZE-W5: adds NUDGE to the request for the end of the slice, if that is not served yet.
    pub fn nudge(&self) {
        let mut w = self.word();
        while w.status() == PStatus::Running && w.0 & PREEMPT != 0 && w.0 & NUDGE == 0 {
            match self.cas(w, PWord(w.0 | NUDGE)) {
                Ok(()) => return,
                Err(now) => w = now,
            }
        }
    }

    /// For the owner: whether it was nudged and is still to end its slice. Only the first call says so.
    pub fn take_nudge(&self) -> bool {
        self.word().0 & NUDGE != 0 && {
            let w = self.word.fetch_and(!NUDGE, Ordering::AcqRel);
            w & NUDGE != 0 && w & PREEMPT != 0
        }
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
            && unsafe { crate::gmp::MRef::from_ptr(self.m()) }
                .is_some_and(|m| m.outside(self.id, w) == Some(Outside::Left))
    }

    /// Whether the M of a P with this word runs the host's code: a guess.
    pub fn in_host(&self, w: PWord) -> bool {
        // SAFETY: m is null or an M, and Ms are never freed.
        w.status() == PStatus::Running
            && unsafe { crate::gmp::MRef::from_ptr(self.m()) }
                .is_some_and(|m| m.outside(self.id, w) == Some(Outside::Host))
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

    /// Takes an announced P if its M is in a syscall (or, with `host`, in the host's code); then the caller owns it.
    #[must_use]
    pub fn try_retake(&self, host: bool) -> Option<Taken> {
        let taken = self.take(TAKE, host);
        if taken.is_none() && self.word().0 & TAKE != 0 {
            self.word.fetch_and(!TAKE, Ordering::AcqRel);
        }
        taken
    }

    /// Takes a P that has the request `bit`, if its M is in a syscall (or, with `host`, in the host's code). The caller
    /// answers the request in the owner's place, and the request is cleared here.
    #[must_use]
    pub fn try_take_requested(&self, bit: u64, host: bool) -> Option<Taken> {
        let taken = self.take(bit, host)?;
        self.poll.fetch_sub(1, Ordering::SeqCst);
        Some(taken)
    }

    /// Takes a P that has this bit, and clears the bit, if its M is outside.
    fn take(&self, bit: u64, host: bool) -> Option<Taken> {
        loop {
            let w = self.word();
            if w.0 & bit == 0 || w.status() != PStatus::Running {
                return None;
            }
            // SAFETY: m is null or an M, and Ms are never freed.
            let m = unsafe { crate::gmp::MRef::from_ptr(self.m()) }?;
            let reached = m.is_reached();
            // insys has the tick, so a P that has passed to another M since is not taken (SYSCALL-Y4).
            let from = match m.outside(self.id, w)? {
                Outside::Left if reached => None,
                // SEIZE-W3. The way in has no fence of its own, so HEAVY must have worked (SEIZE-G1).
                Outside::Host if host && has_asymmetric_fence() && m.may_lose_p() => Some(m),
                _ => return None,
            };
            let goid = from.and_then(|m| m.g()).map_or(0, |gp| gp.goid.get());
            // It may fail because another thread sets or clears another bit: the M is outside all the same.
            if self.cas(w, PWord(w.ticked().0 & !bit)).is_ok() {
                return Some(Taken { pp: OwnedP(self.as_ref()), from, goid });
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
}

/// A P that its taker owns from here on.
#[must_use]
pub struct Taken {
    pub pp: OwnedP,
    /// The M that runs code of the host and does not know of it yet. None: the M was in a syscall.
    pub from: Option<crate::gmp::MRef>,
    /// The G that runs there.
    pub goid: u64,
}

impl OwnedP {
    /// The P that the caller left at `left` (a word without the bits of [`LOOK_AGAIN`]), if its word is unchanged.
    /// After `asymmetric_fence_light`.
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
            if (w.0 ^ left.0) & !(PREEMPT | NUDGE) == 0 {
                // No thread is about to take it.
                return Some(OwnedP(p));
            }
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
}
