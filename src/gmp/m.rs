//! M: a thread that runs Gs.
//!
//! A worker is a thread that the library made; its scheduler stack (g0) is the thread's own stack. An extra M stands
//! for a thread of the host. Its G runs on the thread's own stack, and the scheduler's work for it does too: that G is
//! the only one that the M ever runs, so it has no other stack to switch to (lockedm.rs). Ms are never freed; the Ms of
//! ended threads are reused.
//!
//! Every field of an M belongs to its thread, unless its comment says otherwise.

use super::probes;
use crate::fiber::Sp;
use crate::fiber::host::HostThread;
use crate::fiber::sanitize;
use crate::gmp::g::{G, GRef};
use crate::gmp::p::{LOOK_AGAIN, OwnedP, P, PRef, PWord};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::sync::own::{OwnBool, OwnI32, OwnPtr, OwnU32, OwnU64};
use crate::sync::widen::widen;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, Note, Ordering, fence_is_lost, light_fence};
use crate::trace::ring::Ring;
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_void;
use std::sync::atomic::AtomicPtr as StdAtomicPtr;

/// The context of the code on this thread, which decides what the code may call (Contexts, at the head of `gomax.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ctx {
    /// On a G (of any kind) with a P.
    G = 0,
    /// A G between enter and exit of a syscall.
    Syscall = 1,
    /// A thread of the host outside of any call that made it a G.
    Foreign = 2,
    /// The scheduler itself, or a callback that it runs.
    Sched = 3,
    /// The caller has stopped the world.
    Stopped = 4,
}

/// The bits of an M's mode beside the context.
pub mod mode {
    /// An extra M.
    pub const EXTRA: u64 = 1 << 9;
    /// Locked to one G.
    pub const LOCKED: u64 = 1 << 10;
    /// It has a ring for records (gmp/record.rs).
    pub const TRACED: u64 = 1 << 11;
    /// A worker whose switches are announced to a sanitizer (fiber/sanitize.rs).
    pub const TOLD: u64 = 1 << 12;
    /// One pin to the P; the mode counts in these.
    pub const PIN: u64 = 1 << 32;
}

/// The action that a G asks for, to be done once the G is off its stack.
#[derive(Clone, Copy)]
#[repr(C, u64)]
pub enum Mcall {
    /// It stays: there is no action.
    Stay,
    /// It waits. The commit publishes it; false keeps it running.
    Park(Commit),
    /// It is a coroutine that has yielded (protocol/coro.rs).
    Suspend,
    /// It runs again later.
    Yield(Place),
    /// It is the suspended parent of a child-first spawn.
    Parent,
    /// It is back from a syscall and found no P.
    ExitSyscallNoP,
    /// It has ended.
    Exit,
}

/// The place for a G that could continue.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Place {
    /// Next on its P: it was stopped for the sake of others.
    Next,
    /// The end of its P's queue.
    Tail,
    /// The end of the global queue: behind every other G.
    Global,
}

/// The function of a commit; false refuses the park.
pub type CommitFn = unsafe fn(m: MRef, gp: GRef, arg: *mut c_void) -> bool;

/// A function that runs after a parking G has left its stack. Once it has published the G, the G may run elsewhere;
/// from then on the commit must not touch the G, nor the object that the G waits for.
#[derive(Clone, Copy)]
pub struct Commit {
    /// It is the host's: it may refuse, and any thread may ready the G.
    pub host: bool,
    pub f: Option<CommitFn>,
    pub arg: *mut c_void,
}

/// An [`Mcall`], word by word: every switch writes and reads it, and a copy of the whole costs more than the rest.
struct Pending {
    gp: *mut G,
    what: What,
    f: Option<CommitFn>,
    arg: *mut c_void,
}

#[derive(Clone, Copy)]
#[repr(u64)]
enum What {
    Stay,
    Park,
    ParkHost,
    Suspend,
    YieldNext,
    YieldTail,
    YieldGlobal,
    Parent,
    ExitSyscallNoP,
    Exit,
}

/// The mark of a P whose M is outside the library: the P, its tick, and [`LEFT`] if the M has left it for a syscall.
#[inline(always)]
fn mark_of(id: u32, w: PWord) -> u64 {
    u64::from(w.tick()) << 32 | u64::from(id) << 2 | 1
}

/// In a mark: the M has left the P for a syscall. Otherwise it runs code of the host and keeps the P.
const LEFT: u64 = 2;

/// A mark that fits no P: code of the host runs on an M whose P belongs to another owner.
const NOT_ITS_OWN: u64 = u64::MAX;

/// Where an M is with its P, if it is outside the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    /// In a syscall, for which it has left the P.
    Left,
    /// In the host's code, with the P.
    Host,
}

/// The kind of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Worker,
    Extra,
}

/// An M: see the module.
#[repr(C, align(128))]
pub struct M {
    pub sched: *const Sched,
    p: UnsafeCell<Option<OwnedP>>,
    /// The G that runs on this M.
    pub curg: OwnPtr<G>,
    /// The context, in the low byte, and the bits that keep its code from the fast paths ([`mode`]). 0 is a G on a
    /// worker that may leave its M, and of which nothing is recorded.
    mode: OwnU64,
    /// The one G that this M may run, once it is locked.
    lockedg: OwnPtr<G>,
    /// Where the scheduler's stack of a worker continues.
    pub g0_sp: OwnPtr<u8>,
    /// The G that left its stack last, and the action that it asks for.
    pending: UnsafeCell<Pending>,
    pub host: UnsafeCell<HostThread>,
    /// The P with which the last syscall began. Null: there is none to come back to.
    pub oldp: OwnPtr<P>,
    /// The word of the P of this M, or of the P that it left last, when this M looked at it last; without the bits that
    /// the M looks at each time ([`LOOK_AGAIN`]).
    left: Cell<u64>,
    /// The mark of that P; 0 once the M has given it to another owner. It is in `insys` while the M is outside. (No
    /// `Cell`: the compiler would change one byte of it, just before all of it is read.)
    mark: OwnU64,
    /// While the code of the library runs: 0. Otherwise `mark`. Written by the M.
    insys: AtomicU64,
    /// Its light fences are full ones (SYSCALL-Y5). Written by the M, and while the runtime is down.
    fenced: AtomicBool,
    /// The P that an idle M is to run, set by its waker.
    nextp: AtomicPtr<P>,
    pub park: Note,
    /// It looks for work, and is counted in `sched.nmspinning`. Set by the waker or by itself.
    pub spinning: OwnBool,
    /// It waits without a P for its locked G, or in the idle list. Read by the deadlock check.
    pub parked: OwnBool,
    /// For an extra M whose thread sleeps for `sched.watch`: the value that the thread saw there, and [`M::WATCHING`].
    /// Otherwise 0.
    pub watching: OwnU64,
    pub id: u32,
    pub kind: Kind,
    pub tid: OwnI32,
    /// The bounds of the thread's own stack; null until the thread asks for them. Owner: the thread.
    pub stack_lo: OwnPtr<u8>,
    pub stack_hi: OwnPtr<u8>,
    /// The thread handle, for the join at shutdown.
    pub thread: OwnU64,
    /// Link in the idle list, the list of spare extra Ms, or of threads to be made.
    pub link: OwnPtr<M>,
    /// Link in the list of all Ms.
    pub all_link: OwnPtr<M>,
    /// Whether it has a thread now.
    pub alive: OwnBool,
    /// Its thread is being made for a P, and counts in `newm_taken`.
    pub newborn: OwnBool,
    /// The G of an extra M; null for workers.
    pub own_g: OwnPtr<G>,
    /// An extra M: attached by `gmx_attach_thread`.
    pub attached: OwnBool,
    /// An extra M: its G is in a callback, and counts among the live ones (foreign.rs).
    pub counted: OwnBool,
    /// The P for which a barrier function runs here.
    pub fnp: OwnPtr<P>,
    /// The next G for g0: chosen on a G's stack, but not to be entered from there.
    pub chosen: OwnPtr<G>,
    /// The thread ends at the next turn of its loop.
    pub exiting: OwnBool,
    pub rng: crate::ds::rng::Rng,
    /// The next G that becomes ready by this thread and is timed is this many Gs away (gmp/latency.rs).
    pub untimed: OwnU32,
    /// Calls without success (block/vain.rs).
    pub vain: OwnU32,
    /// Its thread is held in the middle of its G.
    pub held: OwnBool,
    /// Where the registers lie with which a held thread continues. Good while `held` is set.
    pub regs: OwnPtr<u8>,
    pub regs_end: OwnPtr<u8>,
    /// Its G runs the host's code without a P: one of `taken`. Written under `sched.lock`.
    pub out: OwnBool,
    /// Its held thread is to go on without a P (SEIZE-B1, SEIZE-B2). Set under `sched.lock` before its note.
    pub bailed: AtomicBool,
    /// The timer on its thread's CPU clock, and that thread; 0: none. Owner: the watchdog.
    pub timer: OwnI32,
    pub timer_tid: OwnI32,
    /// Its ring, while records are written. Written under the lock of the list of Ms.
    ring: StdAtomicPtr<Ring>,
    /// The ring that it has had, for the next time. Owner: the maker of the M, then the holder of worldsema.
    pub kept_ring: OwnPtr<Ring>,
}

/// An M. Its memory lives as long as the process.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct MRef(std::ptr::NonNull<M>);

// SAFETY: other threads touch only fields of an M that are atomic or ordered by its note; only its thread reaches the
// cells.
unsafe impl Send for MRef {}
// SAFETY: as above.
unsafe impl Sync for MRef {}
// SAFETY: as above.
unsafe impl Send for M {}
// SAFETY: as above.
unsafe impl Sync for M {}

impl std::ops::Deref for MRef {
    type Target = M;
    #[inline(always)]
    fn deref(&self) -> &M {
        // SAFETY: Ms are never freed.
        unsafe { self.0.as_ref() }
    }
}

impl MRef {
    /// The M of this thread.
    #[inline(always)]
    pub fn current() -> Option<MRef> {
        // SAFETY: the slot holds null or an M.
        unsafe { MRef::from_ptr(crate::sys::arch::current_m().cast()) }
    }

    /// The M of a caller that was on this one, and may have migrated since.
    #[inline]
    pub fn by_now(self) -> MRef {
        MRef::current().unwrap_or(self)
    }

    /// # Safety
    /// `p` is null or points to an M.
    #[inline(always)]
    pub unsafe fn from_ptr(p: *mut M) -> Option<MRef> {
        std::ptr::NonNull::new(p).map(MRef)
    }
    /// # Safety
    /// `p` points to an M.
    #[inline(always)]
    pub unsafe fn from_payload(p: usize) -> MRef {
        // SAFETY: the caller's promise.
        MRef(unsafe { std::ptr::NonNull::new_unchecked(p as *mut M) })
    }
    #[inline(always)]
    pub fn as_ptr(self) -> *mut M {
        self.0.as_ptr()
    }
}

impl M {
    pub fn new(sched: *const Sched, id: u32, kind: Kind) -> M {
        M {
            sched,
            p: UnsafeCell::new(None),
            curg: OwnPtr::null(),
            mode: OwnU64::new(match kind {
                Kind::Worker if sanitize::is_there() => Ctx::Sched as u64 | mode::TOLD,
                Kind::Worker => Ctx::Sched as u64,
                Kind::Extra => Ctx::Foreign as u64 | mode::EXTRA | mode::LOCKED,
            }),
            lockedg: OwnPtr::null(),
            g0_sp: OwnPtr::null(),
            pending: UnsafeCell::new(Pending {
                gp: std::ptr::null_mut(),
                what: What::Stay,
                f: None,
                arg: std::ptr::null_mut(),
            }),
            host: UnsafeCell::new(HostThread::NONE),
            oldp: OwnPtr::null(),
            left: Cell::new(0),
            mark: OwnU64::new(0),
            insys: AtomicU64::new(0),
            fenced: AtomicBool::new(false),
            nextp: AtomicPtr::new(std::ptr::null_mut()),
            park: Note::new(),
            spinning: OwnBool::new(false),
            parked: OwnBool::new(false),
            watching: OwnU64::new(0),
            id,
            kind,
            tid: OwnI32::new(0),
            stack_lo: OwnPtr::null(),
            stack_hi: OwnPtr::null(),
            thread: OwnU64::new(0),
            link: OwnPtr::null(),
            all_link: OwnPtr::null(),
            alive: OwnBool::new(false),
            newborn: OwnBool::new(false),
            own_g: OwnPtr::null(),
            attached: OwnBool::new(false),
            counted: OwnBool::new(false),
            fnp: OwnPtr::null(),
            chosen: OwnPtr::null(),
            exiting: OwnBool::new(false),
            rng: crate::ds::rng::Rng::new(u64::from(id) + 1),
            untimed: OwnU32::new(1),
            vain: OwnU32::new(0),
            held: OwnBool::new(false),
            regs: OwnPtr::null(),
            regs_end: OwnPtr::null(),
            out: OwnBool::new(false),
            bailed: AtomicBool::new(false),
            timer: OwnI32::new(0),
            timer_tid: OwnI32::new(0),
            ring: StdAtomicPtr::new(std::ptr::null_mut()),
            kept_ring: OwnPtr::null(),
        }
    }

    /// See [`M::watching`].
    pub const WATCHING: u64 = 1 << 32;

    #[inline(always)]
    pub fn sched(&self) -> &'static Sched {
        // SAFETY: a Sched is never freed.
        unsafe { &*self.sched }
    }

    /// Whether the code here is on a G of a worker, not pinned and not locked, writes no records, and has no
    /// sanitizer to announce switches to: such a G may leave its stack by the fast paths.
    #[inline(always)]
    pub fn is_free(&self) -> bool {
        self.mode.get() == 0
    }

    /// Whether the code here is in a syscall of a G that [`M::is_free`] otherwise.
    #[inline(always)]
    pub fn is_free_in_syscall(&self) -> bool {
        self.mode.get() == Ctx::Syscall as u64
    }

    /// Whether this M writes records. For its own thread.
    #[inline(always)]
    pub fn is_traced(&self) -> bool {
        self.mode.get() & mode::TRACED != 0
    }

    /// Whether its switches are announced to a sanitizer.
    #[inline(always)]
    pub fn is_told(&self) -> bool {
        self.mode.get() & mode::TOLD != 0
    }

    /// Whether the code here is free, except that it writes records.
    #[inline(always)]
    pub fn is_free_but_traced(&self) -> bool {
        self.mode.get() == mode::TRACED
    }

    /// For [`record::settle`].
    pub fn set_traced(&self, on: bool) {
        let mode = self.mode.get() & !mode::TRACED;
        self.mode.set(if on { mode | mode::TRACED } else { mode });
    }

    /// Its ring, if records are wanted. Rings are never freed.
    #[inline(always)]
    pub fn ring(&self) -> Option<&'static Ring> {
        // SAFETY: null or a ring. Acquire: pairs with the Release in `set_ring`.
        unsafe { self.ring.load(Ordering::Acquire).as_ref() }
    }

    /// For the holder of the lock of the list of Ms.
    pub fn set_ring(&self, on: bool) {
        self.ring.store(if on { self.kept_ring.get() } else { std::ptr::null_mut() }, Ordering::Release);
    }

    /// Whether there is no request to the P. For code that [`M::is_free`].
    #[inline(always)]
    pub fn is_calm(&self) -> bool {
        self.free_p().requests() == 0
    }

    /// The P with which the code here came in or is about to: it may have been taken since (SEIZE-N1). For code that
    /// [`M::is_free`].
    #[inline(always)]
    pub fn free_p(&self) -> &OwnedP {
        debug_assert!(self.is_free());
        // SAFETY: code that is free is on a G, whose M holds a P.
        unsafe { self.p().unwrap_unchecked() }
    }

    /// The G that runs here. For code that [`M::is_free`].
    #[inline(always)]
    pub fn free_g(&self) -> GRef {
        debug_assert!(self.is_free());
        // SAFETY: code that is free is on a G.
        unsafe { self.g().unwrap_unchecked() }
    }

    /// The number of the G that runs here. For code that [`M::is_free`].
    #[inline(always)]
    pub fn free_goid(&self) -> u64 {
        debug_assert!(self.is_free());
        // SAFETY: code that is free is on a G.
        unsafe { self.g().unwrap_unchecked() }.goid.get()
    }

    #[inline(always)]
    pub fn ctx(&self) -> Ctx {
        match self.mode.get() as u8 {
            0 => Ctx::G,
            1 => Ctx::Syscall,
            2 => Ctx::Foreign,
            3 => Ctx::Sched,
            _ => Ctx::Stopped,
        }
    }

    #[inline(always)]
    pub fn set_ctx(&self, c: Ctx) {
        self.mode.set(self.mode.get() & !0xff | c as u64);
    }

    /// Nested pins to the P.
    #[inline(always)]
    pub fn pins(&self) -> u32 {
        (self.mode.get() / mode::PIN) as u32
    }

    /// Adds a pin of a G; false, and nothing changes, in another context.
    #[inline(always)]
    pub fn pin(&self) -> bool {
        let mode = self.mode.get();
        let is_g = mode as u8 == Ctx::G as u8;
        if is_g {
            self.mode.set(mode + mode::PIN);
        }
        is_g
    }

    /// Removes a pin of a G, and returns how many are left. None if there was none, and in another context.
    #[inline(always)]
    pub fn unpin(&self) -> Option<u32> {
        let less = self.mode.get().checked_sub(mode::PIN)?;
        if less as u8 != Ctx::G as u8 {
            return None;
        }
        self.mode.set(less);
        Some((less / mode::PIN) as u32)
    }

    pub fn set_pins(&self, n: u32) {
        self.mode.set(self.mode.get() % mode::PIN + u64::from(n) * mode::PIN);
    }

    /// The one G that this M may run, if it is locked to one.
    #[inline(always)]
    pub fn lockedg(&self) -> Option<GRef> {
        // SAFETY: lockedg is null or a G.
        unsafe { GRef::from_ptr(self.lockedg.get()) }
    }

    pub fn set_lockedg(&self, gp: Option<GRef>) {
        self.lockedg.set(gp.map_or(std::ptr::null_mut(), GRef::as_ptr));
        let mode = self.mode.get() & !mode::LOCKED;
        self.mode.set(if gp.is_some() { mode | mode::LOCKED } else { mode });
    }

    /// Sets the context, and returns the former one, which the caller restores.
    pub fn swap_ctx(&self, c: Ctx) -> Ctx {
        let old = self.ctx();
        self.set_ctx(c);
        old
    }

    /// The P that this M owns. For its own thread.
    #[inline(always)]
    pub fn p(&self) -> Option<&OwnedP> {
        debug_assert!(
            cfg!(any(loom, shuttle)) || MRef::current().is_none_or(|m| std::ptr::eq(&*m, self)),
            "the P of another thread: the caller has migrated"
        );
        // SAFETY: only the M's thread calls this, and `acquirep`/`releasep` are not called while the reference is used.
        unsafe { (*self.p.get()).as_ref() }
    }

    /// The P of an M that must own one here.
    #[inline(always)]
    pub fn must_p(&self) -> &OwnedP {
        debug_assert!(self.is_inside() || self.ctx() != Ctx::G, "SEIZE-G2: the P of the host's code");
        match self.p() {
            Some(pp) => pp,
            None => no_p(self),
        }
    }

    /// Ties a P to this M. For its own thread.
    #[inline(always)]
    pub fn acquirep(&self, pp: OwnedP) {
        let p = pp.p();
        // The calls of the host are over that the last owner had left it for.
        p.shown_idle.set(false);
        self.retie(pp);
        record::settle(self);
        if self.is_traced() {
            record::proc_start(self, p);
        }
    }

    /// As [`M::acquirep`], for a P that was this M's in the eyes of others all the time.
    #[inline(always)]
    pub fn retie(&self, pp: OwnedP) {
        pp.set_m(self as *const M as *mut M);
        // SAFETY: as in `p`.
        let slot = unsafe { &mut *self.p.get() };
        debug_assert!(slot.is_none());
        // The mark of a P that is gone may be there still.
        self.end_syscall_mark();
        self.note_word(pp.p(), pp.word());
        probes::proc_start(self, pp.p());
        *slot = Some(pp);
    }

    /// As [`M::acquirep`], for the P that this M left last, whose word is as it was.
    #[inline(always)]
    pub fn reacquirep(&self, pp: OwnedP) {
        // SAFETY: as in `p`.
        let slot = unsafe { &mut *self.p.get() };
        debug_assert!(slot.is_none());
        self.mark.set(self.mark.get() & !LEFT);
        *slot = Some(pp);
    }

    /// Notes the word of the P of this M.
    pub fn note_word(&self, p: PRef, w: PWord) {
        self.left.set(w.0 & !LOOK_AGAIN);
        self.mark.set(mark_of(p.id, w));
    }

    /// Unties the P. For its own thread.
    #[inline(always)]
    pub fn releasep(&self) -> OwnedP {
        if self.is_traced() {
            record::proc_stop(self, self.must_p().p());
        }
        self.releasep_silently()
    }

    /// As [`M::releasep`], where the caller writes the record.
    #[inline(always)]
    pub fn releasep_silently(&self) -> OwnedP {
        // SYSCALL-Y4: its next owner may get it with the same tick.
        self.mark.set(0);
        probes::proc_stop(self, self.must_p().p());
        self.untie()
    }

    #[inline(always)]
    fn untie(&self) -> OwnedP {
        // SAFETY: as in `p`.
        match unsafe { (*self.p.get()).take() } {
            Some(pp) => pp,
            None => no_p(self),
        }
    }

    /// Forgets the P that another thread has taken from the host's code here.
    pub fn forget_taken(&self) {
        self.mark.set(0);
        self.untie().forget();
    }

    /// The code of the host continues here without a P, and finds out at its next call (SEIZE-B1, SEIZE-B2): as if `p`,
    /// which belongs to another owner, had been taken from it.
    pub fn go_on_without(&self, p: PRef) {
        self.mark.set(NOT_ITS_OWN);
        // No word of a P: each way in looks closer.
        self.left.set(u64::MAX);
        // SAFETY: as in `p`. No code uses the token: each way in looks at `mark` first (`has_p`).
        let slot = unsafe { &mut *self.p.get() };
        debug_assert!(slot.is_none());
        // SAFETY: as above.
        *slot = Some(unsafe { OwnedP::remember(p) });
    }

    /// Whether the P that is tied to this M may be its own still: false if the M knows that it is not.
    pub fn has_p(&self) -> bool {
        self.mark.get() != NOT_ITS_OWN
    }

    /// The G of an extra M.
    pub fn own_g(&self) -> GRef {
        // SAFETY: an extra M has its G from birth.
        match unsafe { GRef::from_ptr(self.own_g.get()) } {
            Some(gp) => gp,
            None => crate::gmp::fatal::throw(self.sched(), "an extra M without a G"),
        }
    }

    /// The G that runs here.
    #[inline(always)]
    pub fn g(&self) -> Option<GRef> {
        // SAFETY: curg is null or a G.
        unsafe { GRef::from_ptr(self.curg.get()) }
    }

    #[inline(always)]
    pub fn set_pending(&self, gp: GRef, call: Mcall) {
        // SAFETY: only the M's thread touches it.
        let p = unsafe { &mut *self.pending.get() };
        p.gp = gp.as_ptr();
        p.what = match call {
            Mcall::Stay => What::Stay,
            Mcall::Park(c) => {
                (p.f, p.arg) = (c.f, c.arg);
                if c.host { What::ParkHost } else { What::Park }
            }
            Mcall::Suspend => What::Suspend,
            Mcall::Yield(Place::Next) => What::YieldNext,
            Mcall::Yield(Place::Tail) => What::YieldTail,
            Mcall::Yield(Place::Global) => What::YieldGlobal,
            Mcall::Parent => What::Parent,
            Mcall::ExitSyscallNoP => What::ExitSyscallNoP,
            Mcall::Exit => What::Exit,
        };
    }

    /// The G that left its stack last; only the first call returns it.
    #[inline(always)]
    pub fn take_left(&self) -> Option<GRef> {
        // SAFETY: as in `set_pending`.
        let left = std::mem::replace(unsafe { &mut (*self.pending.get()).gp }, std::ptr::null_mut());
        // SAFETY: null or the G that `set_pending` stored.
        unsafe { GRef::from_ptr(left) }
    }

    /// The G that left its stack last, if it has ended and was not taken yet.
    pub fn ended(&self) -> Option<GRef> {
        // SAFETY: as in `set_pending`.
        let p = unsafe { &*self.pending.get() };
        // SAFETY: null or the G that `set_pending` stored.
        matches!(p.what, What::Exit).then(|| unsafe { GRef::from_ptr(p.gp) }).flatten()
    }

    /// The action that the G asks for that left its stack last.
    #[inline(always)]
    pub fn pending(&self) -> Mcall {
        // SAFETY: as in `set_pending`.
        let p = unsafe { &*self.pending.get() };
        match p.what {
            What::Stay => Mcall::Stay,
            What::Park => Mcall::Park(Commit { host: false, f: p.f, arg: p.arg }),
            What::ParkHost => Mcall::Park(Commit { host: true, f: p.f, arg: p.arg }),
            What::Suspend => Mcall::Suspend,
            What::YieldNext => Mcall::Yield(Place::Next),
            What::YieldTail => Mcall::Yield(Place::Tail),
            What::YieldGlobal => Mcall::Yield(Place::Global),
            What::Parent => Mcall::Parent,
            What::ExitSyscallNoP => Mcall::ExitSyscallNoP,
            What::Exit => Mcall::Exit,
        }
    }

    /// Hands a P to this M, which sleeps or does not run yet; the M finds it when its note is set. For the waker.
    pub fn set_nextp(&self, pp: OwnedP) {
        widen!();
        // Release: pairs with `take_nextp`; another thread may have set the note.
        let before = self.nextp.swap(pp.forget().as_ptr(), Ordering::Release);
        assert!(before.is_null(), "an M was given two Ps");
    }

    /// The P that the waker left here. After the note was set.
    pub fn take_nextp(&self) -> Option<OwnedP> {
        // SAFETY: nextp holds null or a P.
        let pp = unsafe { PRef::from_ptr(self.nextp.swap(std::ptr::null_mut(), Ordering::Acquire)) }?;
        // SAFETY: `set_nextp` forgot the token of this P, and the swap took the P out for this thread alone.
        Some(unsafe { OwnedP::remember(pp) })
    }

    /// The word of the P that this M left.
    #[inline(always)]
    pub fn saved_word(&self) -> PWord {
        PWord(self.left.get())
    }

    /// Leaves the P for a syscall. `asymmetric_fence_light` and a look at the P's requests follow.
    #[inline(always)]
    pub fn leave_p(&self) -> PRef {
        let p = self.untie().forget();
        self.oldp.set(p.as_ptr());
        self.mark.set(self.mark.get() | LEFT);
        self.go_outside();
        p
    }

    /// From here on the code of the host runs, or the M is in a syscall.
    #[inline(always)]
    pub fn go_outside(&self) {
        // Release: pairs with the Acquire in `outside`: the thread that takes the P sees everything that was done with
        // it.
        self.insys.store(self.mark.get(), Ordering::Release);
    }

    /// Calls a function of the host in the middle of the scheduler's work: a call of the library that it makes must not
    /// leave an M marked as outside that has its P.
    pub fn call_host<R>(&self, f: impl FnOnce() -> R) -> R {
        debug_assert!(self.ctx() != Ctx::G, "a goroutine's function");
        if self.p().is_none() {
            // It stays outside, so that the P of its last syscall can be taken: a thread of the host may sleep next.
            return f();
        }
        let mark = self.mark.replace(0);
        let r = f();
        // As in SEIZE-N1: a thread may be looking at this P. It does not take the P from the scheduler.
        self.end_syscall_mark();
        light_fence();
        self.mark.set(mark);
        if mark != 0
            && let Some(p) = self.p().map(|pp| pp.p())
        {
            if p.word() != self.saved_word() {
                OwnedP::reclaim_slow(p, self.saved_word()).map(OwnedP::forget);
            }
            self.note_word(p, p.word());
        }
        r
    }

    /// Calls a function of the host that is told something in the middle of a call: as a callback of the scheduler.
    pub fn tell_host(&self, f: impl FnOnce()) {
        if !self.is_inside() {
            // A signal handler in the host's code, or a thread without a P.
            return f();
        }
        let ctx = self.swap_ctx(Ctx::Sched);
        self.call_host(f);
        self.set_ctx(ctx);
    }

    /// Whether the code of the library runs here.
    #[inline(always)]
    pub fn is_inside(&self) -> bool {
        self.insys.load(Ordering::Relaxed) == 0
    }

    /// SYSCALL-Y5: whether a heavy fence of the caller's reaches this M. Asked before [`M::outside`].
    pub fn is_reached(&self) -> bool {
        // Acquire: pairs with the Release in `set_fenced`.
        !fence_is_lost() || self.fenced.load(Ordering::Acquire)
    }

    /// Notes that a light fence of this M, after its insys was written, was a full one.
    pub fn set_fenced(&self, fenced: bool) {
        self.fenced.store(fenced, Ordering::Release);
    }

    /// Notes that the M is back. `asymmetric_fence_light` and a look at the P follow.
    #[inline(always)]
    pub fn end_syscall_mark(&self) {
        self.insys.store(0, Ordering::Relaxed);
    }

    /// Whether this M is outside with that P, and how.
    pub fn outside(&self, id: u32, w: PWord) -> Option<Outside> {
        let mark = self.insys.load(Ordering::Acquire);
        match mark ^ mark_of(id, w) {
            0 => Some(Outside::Host),
            LEFT => Some(Outside::Left),
            _ => None,
        }
    }

    /// SEIZE-W3: whether the P may be taken from the host's code here. For a thread that has seen [`Outside::Host`] and
    /// takes the P only if its word is unchanged: until then everything that is read here stays.
    pub fn may_lose_p(&self) -> bool {
        let mode = self.mode.get() & !(mode::EXTRA | mode::LOCKED | mode::TRACED | mode::TOLD);
        mode == Ctx::G as u64 && self.g().is_some_and(|gp| !gp.has(crate::gmp::g::gflag::NO_PREEMPT))
    }

    #[inline(always)]
    pub fn g0(&self) -> Sp {
        Sp(self.g0_sp.get())
    }

    #[inline(always)]
    pub fn is_extra(&self) -> bool {
        self.kind == Kind::Extra
    }

    /// The P for which code runs here: its own, or that of a barrier function.
    pub fn current_p(&self) -> Option<PRef> {
        // SAFETY: fnp is null or a P.
        if let Some(p) = unsafe { PRef::from_ptr(self.fnp.get()) } {
            return Some(p);
        }
        self.p().map(|p| p.p())
    }
}

#[cold]
#[inline(never)]
fn no_p(m: &M) -> ! {
    crate::gmp::fatal::throw(m.sched(), "an M that must hold a P holds none")
}
