//! G: a stackful task.
//!
//! ```text
//!  state word   63            28 27     8 7      0
//!              +----------------+--------+--------+
//!              |   generation   |  zero  | status |
//!              +----------------+--------+--------+
//!  handle       63            28 27              0
//!              +----------------+-----------------+
//!              |   generation   |  index in allg  |
//!              +----------------+-----------------+
//! ```
//!
//! A descriptor serves one G after another. Each G has its own generation, so a handle names one G forever. Generations
//! begin with 1 (handle 0 names no G), and a descriptor whose generations are used up is not used again (after 2^36
//! Gs).
//!
//! The status, and which thread may change it:
//!
//! | from | to | by |
//! |---|---|---|
//! | Idle | Runnable | the spawner |
//! | Runnable | Running | the M that took it from a queue |
//! | Running | Runnable, Waiting, Syscall, Dead | its M |
//! | Syscall | Running, Runnable | its M |
//! | Waiting | Runnable | the thread that ended its wait |
//! | Waiting | Interruptible | its M, when it is off its stack |
//! | Interruptible | Runnable | the thread that claimed the wait; its M, if the G is not parked after all |
//! | Running | Suspended | its M, if it is a coroutine |
//! | Suspended | Waiting | the G that claims the coroutine (protocol/coro.rs) |
//! | Dead | Idle | its M, or the G that joins it |
//!
//! A thread ends a wait by taking the wait record from where it lies, or by claiming the wait (`wait`); for `gmx_park`
//! one CAS of the status decides.

use super::probes;
use crate::fiber::host::HostState;
use crate::fiber::sanitize::Fiber;
use crate::fiber::stack::Stack;
use crate::gmp::m::{M, MRef};
use crate::gmp::timers::Timer;
use crate::sync::own::{OwnBool, OwnI64, OwnPtr, OwnU8, OwnU16, OwnU32, OwnU64};
use crate::sync::widen::widen;
use crate::sync::{AtomicU32, AtomicU64, Ordering, step};
use crate::sys::arch::prefetch;
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_void};
use std::mem::offset_of;

/// The status of a G. The numbers are those of dumps (`GMX_G_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum GStatus {
    /// A free descriptor.
    Idle = 0,
    /// In a run queue.
    Runnable = 1,
    /// On an M with a P.
    Running = 2,
    /// Between enter and exit of a syscall, or a foreign thread outside of any call.
    Syscall = 3,
    /// Off its stack until a waker readies it.
    Waiting = 4,
    /// As Waiting, by `gmx_park`: any caller may ready it.
    Parked = 5,
    /// Ended; a joinable G stays so until it is joined.
    Dead = 6,
    /// Its commit runs, and then it is Parked, unless it was readied before (PARK-K5). No stopped world shows it.
    Parking = 7,
    /// As Waiting: a coroutine off its stack, which any G may resume (protocol/coro.rs). Dumps of the host call it
    /// Waiting.
    Suspended = 8,
    /// As Parking and then Parked, but a deadline or a token may end it too: the first party to claim it does
    /// (block/parking.rs). Dumps of the host call it Parked.
    Interruptible = 9,
}

impl GStatus {
    fn from_word(w: u64) -> GStatus {
        match w as u8 {
            0 => GStatus::Idle,
            1 => GStatus::Runnable,
            2 => GStatus::Running,
            3 => GStatus::Syscall,
            4 => GStatus::Waiting,
            5 => GStatus::Parked,
            7 => GStatus::Parking,
            8 => GStatus::Suspended,
            9 => GStatus::Interruptible,
            _ => GStatus::Dead,
        }
    }

    /// Whether it is off its stack with a reason to wait. For a G that stands still.
    pub fn waits(self) -> bool {
        matches!(self, GStatus::Waiting | GStatus::Parked | GStatus::Suspended | GStatus::Interruptible)
    }

    /// Its name in dumps, Go's where Go has one.
    pub fn text(self) -> &'static str {
        match self {
            GStatus::Idle => "idle",
            GStatus::Runnable => "runnable",
            GStatus::Running => "running",
            GStatus::Syscall => "syscall",
            GStatus::Waiting | GStatus::Parked | GStatus::Parking | GStatus::Suspended | GStatus::Interruptible => {
                "waiting"
            }
            GStatus::Dead => "dead",
        }
    }
}

/// The reason why a G waits: a NUL-terminated text that outlives the wait.
#[derive(Clone, Copy)]
pub struct WaitReason(*const c_char);

macro_rules! reasons {
    ($($name:ident = $text:literal,)*) => {
        impl WaitReason {
            $(pub const $name: WaitReason = WaitReason(concat!($text, "\0").as_ptr().cast());)*

            /// The text at `p` if it is one of the library's, which last forever.
            pub fn own_text(p: *const c_char) -> Option<&'static str> {
                $(if p == Self::$name.0 {
                    return Some($text);
                })*
                None
            }

            /// The library's texts.
            pub const OWN: &[(WaitReason, &str)] = &[$((WaitReason::$name, $text)),*];
        }
    };
}

reasons! {
    NONE = "",
    PARK = "park",
    SEMACQUIRE = "semacquire",
    MUTEX = "mutex lock",
    RWMUTEX_R = "rwmutex read lock",
    RWMUTEX_W = "rwmutex write lock",
    COND = "condition variable",
    ONCE = "once",
    SCOPE = "scope",
    CLASS = "turn in a class",
    OFFLOAD = "turn for a blocking call",
    WAITGROUP = "wait group",
    JOIN = "join",
    SLEEP = "sleep",
    IO_READ = "IO wait: read",
    IO_WRITE = "IO wait: write",
    IO_WAIT = "IO wait",
    NAMES = "name lookup",
    WORLD = "world lock",
    MAIN = "main",
    STACK = "memory for a stack",
    CHAN_RECV = "chan receive",
    CHAN_SEND = "chan send",
    CHAN_RECV_NIL = "chan receive (nil chan)",
    CHAN_SEND_NIL = "chan send (nil chan)",
    SELECT = "select",
    SELECT_NONE = "select (no cases)",
    COROUTINE = "coroutine",
    BARRIER = "barrier",
    ADDRESS = "address",
}

impl WaitReason {
    /// A text of the host.
    pub fn host(text: *const c_char) -> WaitReason {
        if text.is_null() { WaitReason::PARK } else { WaitReason(text) }
    }
    pub fn as_ptr(self) -> *const c_char {
        self.0
    }
    pub fn is(self, other: WaitReason) -> bool {
        self.0 == other.0
    }
}

pub const INDEX_BITS: u32 = 28;
pub const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const STATUS_MASK: u64 = 0xff;
const LAST_GENERATION: u64 = (1 << (64 - INDEX_BITS)) - 1;

/// Flags of a G, fixed from spawn to end unless said otherwise.
pub mod gflag {
    /// A joiner may join it.
    pub const JOINABLE: u32 = 1;
    /// The G of an extra M: it runs on a thread of the host and owns no stack.
    pub const FOREIGN: u32 = 2;
    /// Waits as a thread (set and cleared around the wait): ready wakes the thread, no P is involved.
    pub const THREAD_WAIT: u32 = 4;
    /// Ended, waiting to be joined.
    pub const ZOMBIE: u32 = 8;
    /// Its generation ended before the G did: its joiners were told.
    pub const RETIRED: u32 = 16;
    /// A watcher waits for its end.
    pub const WATCHED: u32 = 32;
    /// Its stack is wiped at its end. Such a G has a stack size of its own ([`super::G::stack_size`]): stacks of such
    /// Gs go through the pool, so that the path of other stacks through the P's cache needs no check.
    pub const WIPE: u32 = 64;
    /// A coroutine (protocol/coro.rs).
    pub const CORO: u32 = 128;
    /// A coroutine that is to end. Set by the G that has claimed it.
    pub const CLOSING: u32 = 256;
    /// It has a token of its own (`own_token`).
    pub const CANCELLABLE: u32 = 512;
    /// Its P is not taken while it runs code of the host.
    pub const NO_PREEMPT: u32 = 1024;
}

/// The parts of [`Cold`] that the end of a G has to look at. Most Gs have none of them, and their end touches no line
/// of [`Cold`].
pub mod extra {
    /// `name`. It stays until the descriptor serves another G.
    pub const NAME: u8 = 1;
    /// `cancel`, and the G holds a count for it.
    pub const TOKEN: u8 = 2;
    /// `shields` or `cancel_locks`.
    pub const SHIELD: u8 = 4;
    /// `once` or `entered`: it is in the middle of one.
    pub const INSIDE: u8 = 8;
    /// `scope`; and `cancel`, which is the scope's token, unless TOKEN says otherwise.
    pub const SCOPE: u8 = 16;
    /// `group`.
    pub const GROUP: u8 = 32;
    /// `cleanups`.
    pub const CLEANUP: u8 = 64;
    /// `keys`.
    pub const KEYS: u8 = 128;
    /// Everything that an end has to look at.
    pub const ALL: u8 = !NAME;
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Wake {
    /// The wait has not ended yet.
    None = 0,
    /// Woken; the event may have come.
    Ready = 1,
    /// Woken, and the permit, the lock or the end was handed to it.
    Handoff = 2,
    /// The deadline passed.
    TimedOut = 3,
    /// The token under which it waited was canceled.
    Canceled = 4,
}

/// The record by which a G stands in the wait table. The lock of the address's root guards all of it; the G reads
/// `wake` after it was readied. The fields that a search through a tree reads lie on one cache line.
#[derive(Default)]
#[repr(C)]
pub struct Sudog {
    /// The address waited for; 0 when in no queue.
    pub addr: OwnU64,
    /// In the head of an address: tree of addresses.
    pub left: OwnPtr<Sudog>,
    pub right: OwnPtr<Sudog>,
    /// In the head of an address: heap priority in the tree.
    pub ticket: OwnU32,
    pub wake: OwnU8,
    /// Next waiter for the same address.
    pub next: OwnPtr<Sudog>,
    /// The waiter before.
    pub prev: OwnPtr<Sudog>,
    /// In the head of an address: the last waiter.
    pub tail: OwnPtr<Sudog>,
    /// The G that waits.
    pub gp: OwnPtr<G>,
    /// The number of the wait: a timer that is late finds another number.
    pub seq: OwnU64,
    /// When it began to wait; set only where fairness asks for it.
    pub since: OwnI64,
    /// The count of its object that includes this waiter, if the party that takes the waiter out must correct it
    /// (WAITQ-M5); null if there is none. Owner: the G.
    pub counted: OwnPtr<AtomicU32>,
}

const _: () = assert!(offset_of!(Cold, sudog).is_multiple_of(64) && offset_of!(Sudog, seq) == 64);

/// The function that a canceller calls for a G that waits under its token, with the number of the wait and the argument
/// that the waiter has registered.
pub type Interrupt = unsafe fn(m: MRef, gp: GRef, seq: u64, arg: u64);

/// The record by which a G stands in a token of cancellation (block/cancel.rs), whose lock guards it.
#[derive(Default)]
pub struct Cancelable {
    pub next: OwnPtr<G>,
    pub prev: OwnPtr<G>,
    pub listed: OwnBool,
    pub seq: OwnU64,
    pub arg: OwnU64,
    /// An [`Interrupt`].
    pub interrupt: OwnPtr<c_void>,
}

/// A G: see the module. It occupies two cache lines, shared with no other G, with everything that a G needs to be
/// spawned, run and end. A spawn touches only the first line. [`Cold`] has the fields that a G needs to wait; they are
/// reached as if they were fields of this struct.
#[repr(C, align(128))]
pub struct G {
    pub(super) state: AtomicU64,
    /// Saved stack pointer while it is off its stack. Owner: its M.
    pub sp: OwnPtr<u8>,
    /// The M that it runs on, or ran on last. Owner: that M.
    pub m: OwnPtr<M>,
    /// Its function. Owner: the spawner.
    pub entry: OwnPtr<c_void>,
    pub arg: OwnPtr<c_void>,
    /// Link in a run queue or free list. Owner: the queue.
    pub link: OwnPtr<G>,
    /// A small number for reports. Owner: the spawner.
    pub goid: OwnU64,
    /// The usable bytes of stack that the spawner asked for; 0 is the default. Owner: the spawner.
    pub stack_size: OwnU32,
    pub(super) stack_class: OwnU8,
    /// The parts of [`Cold`] that it may have ([`extra`]). Owner: the G, its spawner before.
    extras: OwnU8,
    pub(super) flags: OwnU16,
    /// The end of its stack, by which the pool identifies it; null if it has no stack. Owner: its M.
    pub(super) stack: OwnPtr<u8>,
    /// errno and the C++ exceptions in flight. Owner: its M.
    pub host: UnsafeCell<HostState>,
    /// Owner: its M; from ready to start the readier, then the M that enters it. Read by the thread that takes it from
    /// a queue.
    pub lockedm: LockedM,
    pub(super) cold: &'static Cold,
    pub index: u32,
    /// How often it was entered (GLANCE-E1).
    pub(super) runs: AtomicU32,
    /// Nested callbacks of the host that it runs. Owner: the G.
    pub callbacks: OwnU32,
    /// Not zero while it is asked to give up its P: the host polls it (ASK-3).
    pub asked: Asked,
}

#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<G>() == 128 && offset_of!(G, stack) == 64);

/// The M that a G is locked to, if there is one; and whether the G is timed (gmp/latency.rs). Both in one word, because
/// the path into every G has to ask for both.
#[repr(transparent)]
pub struct LockedM(OwnPtr<M>);

impl LockedM {
    const TIMED: usize = 1;

    pub fn get(&self) -> *mut M {
        self.0.get().map_addr(|at| at & !Self::TIMED)
    }

    pub fn is_null(&self) -> bool {
        self.get().is_null()
    }

    /// For a G that runs, or does not exist yet: hence one that is not timed.
    pub fn set(&self, m: *mut M) {
        debug_assert!(!self.is_timed());
        self.0.set(m);
    }

    /// Neither locked nor timed: it can be entered from the stack of another G.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.0.is_null()
    }

    pub fn is_timed(&self) -> bool {
        self.0.get().addr() & Self::TIMED != 0
    }

    pub fn set_timed(&self, on: bool) {
        self.0.set(self.get().map_addr(|at| at | usize::from(on)));
    }
}

/// Arguments that travel with a G until it begins (block/spawn.rs). Owner: the spawner, then the G.
#[repr(C, align(64))]
pub struct Copied(pub [u128; 8]);

/// The rest of a G. It begins as zeros, in memory that no thread touches before the G first waits.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Cold {
    /// The token under which it waits; null if there is none. The G holds a count for it, unless its scope lends it.
    /// Owner: the G, its spawner before.
    pub cancel: OwnPtr<c_void>,
    /// The scope that waits for its end; null if there is none. Owner: the G, its spawner before.
    pub scope: OwnPtr<c_void>,
    /// Its function as the child of a scope. Owner: the spawner.
    pub child: OwnPtr<c_void>,
    /// The wait group that counts it; null if there is none. Owner: the G, its spawner before.
    pub group: OwnPtr<c_void>,
    /// The scope that it entered last and has not left (block/scope.rs); null if there is none. Owner: the G.
    pub entered: OwnPtr<c_void>,
    /// The innermost once that it is in the middle of (block/once.rs). Owner: the G.
    pub once: OwnPtr<c_void>,
    /// The cleanups that it runs at its end (block/cleanup.rs), the last one first. Owner: the G.
    pub cleanups: OwnPtr<c_void>,
    /// Values of G-local keys, made at the first set. Owner: the G.
    pub keys: OwnPtr<c_void>,
    pub sudog: Sudog,
    pub wait_reason: OwnPtr<c_char>,
    /// The channel that it waits at, if it waits at a channel.
    pub wait_on: OwnPtr<c_void>,
    /// [`crate::gmp::Sched::coarse_now`] when it began to wait.
    pub wait_since: OwnI64,
    /// A token also ends its waits for locks and ends. Owner: the G.
    pub cancel_locks: OwnBool,
    /// The number of shields around it; within a shield no token ends a wait. Owner: the G.
    pub shields: OwnU32,
    /// A wait that several parties may end: its number and its state (block/claim.rs).
    pub wait: AtomicU64,
    pub timer: Timer,
    pub cancelable: Cancelable,
    /// While it is in the global queue and locked to its M: its turn (gmp/globq.rs). Owner: the queue.
    pub globq_turn: OwnU64,
    /// While its latency is measured: when it became ready. Owner: the readier, then the M that enters it.
    pub ready_at: OwnI64,
    /// Its stack, where switches are announced. Owner: its M.
    pub fiber: UnsafeCell<Fiber>,
    /// How often `gmx_lock_os_thread` was called. Not zero only while it is locked to its M. Owner: the G.
    pub locks: OwnU32,
    /// How often the library itself has tied it to its thread. Owner: its M.
    pub ties: OwnU32,
    /// The number of its last record (RECORD-2). Owner: the owner of the G.
    pub trace_seq: OwnU32,
    /// As a coroutine: the G that waits for it (protocol/coro.rs); null while it is Suspended.
    pub resumer: OwnPtr<G>,
    /// As the resumer of a coroutine: how the wait ended. Owner: the coroutine.
    pub told: OwnU8,
    /// With [`gflag::CANCELLABLE`]: the handle of its own token (block/cancel.rs); 0 once the G has ended. Written by
    /// its spawner and at its end.
    pub own_token: AtomicU64,
    /// Name, made at spawn. Owner: the spawner.
    pub(super) name: [OwnU64; 4],
}

/// A name as dumps print it: at most 31 bytes and a NUL. In words, so that a report may read it while the G ends; at
/// worst the report gets a mixture of two names.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct GName([u64; 4]);

impl GName {
    pub const NONE: GName = GName([0; 4]);

    /// The first 31 bytes.
    pub fn new(text: &[u8]) -> GName {
        let mut words = [0; 4];
        for (i, &b) in text.iter().take(31).enumerate() {
            words[i / 8] |= u64::from(b) << (8 * (i % 8));
        }
        GName(words.map(u64::to_le))
    }

    /// Without its NUL.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: four words are 32 bytes.
        let bytes = unsafe { &*self.0.as_ptr().cast::<[u8; 32]>() };
        let n = bytes.iter().position(|&b| b == 0).unwrap_or(31).min(31);
        &bytes[..n]
    }

    /// With its NUL.
    pub fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

/// A G. Its memory lives as long as the process.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct GRef(pub(super) std::ptr::NonNull<G>);

// SAFETY: a GRef only gives shared access to a G, whose fields are atomics, or cells with one owner at a time as their
// comments say.
unsafe impl Send for GRef {}
// SAFETY: as above.
unsafe impl Sync for GRef {}
// SAFETY: as above; the cells are reached through unsafe functions only.
unsafe impl Sync for G {}
// SAFETY: as above.
unsafe impl Send for G {}

impl std::ops::Deref for GRef {
    type Target = G;
    #[inline(always)]
    fn deref(&self) -> &G {
        // SAFETY: Gs are made in `gmp::allg` and never freed (SCHED-I1).
        unsafe { self.0.as_ref() }
    }
}

impl std::ops::Deref for G {
    type Target = Cold;
    #[inline(always)]
    fn deref(&self) -> &Cold {
        self.cold
    }
}

impl GRef {
    /// The G at `p`, or none for null.
    ///
    /// # Safety
    /// `p` is null or points to a G of allg.
    #[inline(always)]
    pub unsafe fn from_ptr(p: *mut G) -> Option<GRef> {
        std::ptr::NonNull::new(p).map(GRef)
    }

    /// A G that is in no table.
    #[cfg(test)]
    pub fn for_test(index: u32) -> GRef {
        let g = Box::leak(Box::new(G::new(index, Box::leak(Box::default()))));
        GRef(std::ptr::NonNull::from(g))
    }

    #[inline(always)]
    pub fn as_ptr(self) -> *mut G {
        self.0.as_ptr()
    }
}

/// Whether a G is asked to give up its P. Relaxed everywhere: it is a hint, and the request is in the P word
/// (PREEMPT-P2).
pub struct Asked(AtomicU32);

impl Asked {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// ASK-2, for every thread that asks. True for the thread that changes it.
    #[must_use]
    pub fn ask(&self) -> bool {
        self.0.swap(1, Ordering::Relaxed) == 0
    }

    /// ASK-4, for the M of the G, and for sysmon.
    #[inline(always)]
    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The word that the host reads.
    #[cfg(not(any(loom, shuttle)))]
    pub fn as_ptr(&self) -> *const u32 {
        self.0.as_ptr()
    }
}

impl G {
    /// A free descriptor.
    pub fn new(index: u32, cold: &'static Cold) -> G {
        G {
            state: AtomicU64::new(1 << INDEX_BITS),
            sp: OwnPtr::null(),
            m: OwnPtr::null(),
            entry: OwnPtr::null(),
            arg: OwnPtr::null(),
            link: OwnPtr::null(),
            goid: OwnU64::new(0),
            stack_size: OwnU32::new(0),
            asked: Asked(AtomicU32::new(0)),
            stack: OwnPtr::null(),
            host: UnsafeCell::new(HostState::NEW),
            lockedm: LockedM(OwnPtr::null()),
            cold,
            index,
            runs: AtomicU32::new(0),
            callbacks: OwnU32::new(0),
            stack_class: OwnU8::new(0),
            flags: OwnU16::new(0),
            extras: OwnU8::new(0),
        }
    }

    #[inline(always)]
    pub fn status(&self) -> GStatus {
        GStatus::from_word(self.state.load(Ordering::Acquire))
    }

    /// For dumps: why the G waits, and since when.
    #[inline(always)]
    pub fn note_wait(&self, reason: WaitReason, since: i64) {
        self.wait_reason.set(reason.as_ptr().cast_mut());
        self.wait_since.set(since);
        probes::go_park(self);
    }

    /// [`G::note_wait`] for a G that is about to leave its stack.
    #[inline(always)]
    pub fn begin_wait(&self, reason: WaitReason, since: i64) {
        // GLANCE-W1
        self.sp.set(std::ptr::null_mut());
        self.note_wait(reason, since);
    }

    /// Changes the status. For the thread that may (see the table).
    #[inline(always)]
    pub fn set_status(&self, to: GStatus) {
        widen!();
        let w = self.state.load(Ordering::Relaxed);
        // Release: pairs with the Acquire of `status` and of `handle_is`.
        self.state.store(w & !STATUS_MASK | to as u64, Ordering::Release);
    }

    /// Changes the status if it still is `from`.
    #[must_use]
    pub fn cas_status(&self, from: GStatus, to: GStatus) -> bool {
        widen!();
        let w = self.state.load(Ordering::Relaxed) & !STATUS_MASK;
        // Acquire: the thread that comes second frees the descriptor (block/join.rs), after everything that the first
        // did with it.
        self.state.compare_exchange(w | from as u64, w | to as u64, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// As [`G::cas_status`], if it still is the G that the handle names.
    #[must_use]
    pub fn cas_status_of(&self, handle: u64, from: GStatus, to: GStatus) -> bool {
        widen!();
        let w = handle & !INDEX_MASK;
        self.state.compare_exchange(w | from as u64, w | to as u64, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The handle of the G that the descriptor serves now.
    #[inline(always)]
    pub fn handle(&self) -> u64 {
        self.state.load(Ordering::Relaxed) & !INDEX_MASK | u64::from(self.index)
    }

    /// The status of the G that `handle` names; None if it has ended.
    #[inline(always)]
    pub fn status_of(&self, handle: u64) -> Option<GStatus> {
        let w = self.state.load(Ordering::Acquire);
        ((w ^ handle) >> INDEX_BITS == 0).then(|| GStatus::from_word(w))
    }

    /// Whether `handle` names the G that the descriptor serves now.
    #[inline]
    pub fn handle_is(&self, handle: u64) -> bool {
        let w = self.state.load(Ordering::Acquire);
        (w ^ handle) >> INDEX_BITS == 0 && GStatus::from_word(w) != GStatus::Idle
    }

    /// Ends the G's generation: every handle to it is stale from here on. False if there is no further generation.
    #[must_use]
    pub fn next_generation(&self) -> bool {
        let generation = self.state.load(Ordering::Relaxed) >> INDEX_BITS;
        if generation == LAST_GENERATION {
            self.state.store(LAST_GENERATION << INDEX_BITS, Ordering::Release);
            return false;
        }
        self.state.store((generation + 1) << INDEX_BITS, Ordering::Release);
        true
    }

    /// Whether its generations are used up.
    pub fn is_last_generation(&self) -> bool {
        self.state.load(Ordering::Relaxed) >> INDEX_BITS == LAST_GENERATION
    }

    /// As [`G::next_generation`] for a G that still runs: its handle is stale, and it continues to its end.
    pub fn retire(&self) {
        let generation = self.state.load(Ordering::Relaxed) >> INDEX_BITS;
        if generation < LAST_GENERATION {
            self.state.store((generation + 1) << INDEX_BITS | GStatus::Running as u64, Ordering::Release);
        }
    }

    /// Prefetches the lines that a switch to it needs, beside the line with `sp` and `link`. For a G that will run
    /// soon.
    #[inline(always)]
    pub fn prefetch(&self) {
        let sp = self.sp.get();
        prefetch(std::ptr::from_ref(&self.host).cast());
        if !sp.is_null() {
            prefetch(sp);
            prefetch(sp.wrapping_add(64));
        }
    }

    #[inline(always)]
    pub fn has(&self, flag: u32) -> bool {
        u32::from(self.flags.get()) & flag != 0
    }

    pub fn set_flag(&self, flag: u32, on: bool) {
        let f = u32::from(self.flags.get());
        self.set_flags(if on { f | flag } else { f & !flag });
    }

    /// For a descriptor that begins to serve another G.
    #[inline(always)]
    pub fn set_flags(&self, flags: u32) {
        debug_assert!(flags <= u32::from(u16::MAX));
        self.flags.set(flags as u16);
    }

    /// The stack that it owns.
    ///
    /// # Safety
    /// The caller is the M that runs the G, holds it in a status that only the caller may end, or has stopped the
    /// world.
    #[inline(always)]
    pub unsafe fn stack(&self) -> Option<Stack> {
        let hi = self.stack.get();
        (!hi.is_null()).then(|| Stack { hi, class: self.stack_class.get() })
    }

    /// Gives it a stack.
    ///
    /// # Safety
    /// As for [`G::stack`]; it has none.
    #[inline(always)]
    pub unsafe fn give_stack(&self, s: Stack) {
        self.stack.set(s.hi);
        self.stack_class.set(s.class);
    }

    /// Takes its stack away.
    ///
    /// # Safety
    /// As for [`G::stack`].
    #[inline(always)]
    pub unsafe fn take_stack(&self) -> Option<Stack> {
        // SAFETY: the caller's promise.
        let stack = unsafe { self.stack() };
        self.stack.set(std::ptr::null_mut());
        stack
    }

    /// Takes over the stack of another G.
    ///
    /// # Safety
    /// As for [`G::stack`], for both; this one has none.
    #[inline(always)]
    pub unsafe fn take_stack_of(&self, other: &G) {
        self.stack.set(other.stack.take());
        self.stack_class.set(other.stack_class.get());
    }

    /// Whether it may have one of these ([`extra`]).
    #[inline(always)]
    pub fn may_have(&self, extras: u8) -> bool {
        self.extras.get() & extras != 0
    }

    /// Notes the bit before the first of the fields of `extra` is set.
    #[inline(always)]
    pub fn note_extra(&self, extra: u8) {
        self.extras.set(self.extras.get() | extra);
    }

    /// At the end of a G, which has looked at all of them.
    pub fn forget_extras(&self) {
        self.extras.set(self.extras.get() & extra::NAME);
    }

    /// The name given at spawn.
    pub fn name(&self) -> GName {
        GName([0, 1, 2, 3].map(|i| self.name[i].get()))
    }

    /// For a descriptor that begins to serve another G.
    #[inline(always)]
    pub fn set_name(&self, name: &GName) {
        // The first word tells whether there is one.
        let named = name.0[0] != 0;
        if named || self.extras.get() != 0 {
            (0..4).for_each(|i| self.name[i].set(name.0[i]));
            self.extras.set(if named { extra::NAME } else { 0 });
        }
    }
}

/// An intrusive first-in-first-out list of Gs, through `link`. The thread that holds the list owns the links.
#[derive(Default)]
pub struct GList {
    head: Option<GRef>,
    tail: Option<GRef>,
    len: usize,
}

impl GList {
    pub const fn new() -> GList {
        GList { head: None, tail: None, len: 0 }
    }
    pub fn of(gp: GRef) -> GList {
        gp.link.set(std::ptr::null_mut());
        GList { head: Some(gp), tail: Some(gp), len: 1 }
    }
    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    pub fn first(&self) -> Option<GRef> {
        self.head
    }
    pub fn push_back(&mut self, gp: GRef) {
        gp.link.set(std::ptr::null_mut());
        match self.tail {
            None => self.head = Some(gp),
            Some(t) => t.link.set(gp.as_ptr()),
        }
        self.tail = Some(gp);
        self.len += 1;
    }
    pub fn push_front(&mut self, gp: GRef) {
        gp.link.set(self.head.map_or(std::ptr::null_mut(), GRef::as_ptr));
        if self.head.is_none() {
            self.tail = Some(gp);
        }
        self.head = Some(gp);
        self.len += 1;
    }
    pub fn pop_front(&mut self) -> Option<GRef> {
        step();
        let gp = self.head?;
        // SAFETY: links of Gs in the list are null or Gs.
        self.head = unsafe { GRef::from_ptr(gp.link.take()) };
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        Some(gp)
    }
    /// Moves the whole of `other` behind this list.
    pub fn append(&mut self, other: &mut GList) {
        let Some(first) = other.head.take() else { return };
        match self.tail {
            None => self.head = Some(first),
            Some(t) => t.link.set(first.as_ptr()),
        }
        self.tail = other.tail.take();
        self.len += std::mem::take(&mut other.len);
    }
    pub fn iter(&self) -> impl Iterator<Item = GRef> + '_ {
        // SAFETY: as in `pop_front`.
        std::iter::successors(self.head, |gp| unsafe {
            step();
            GRef::from_ptr(gp.link.get())
        })
    }
}
