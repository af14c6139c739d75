//! Sched: everything that is neither a G, an M nor a P.
//!
//! One instance stands for one runtime. It is an argument of every protocol, never a static, so a model can have
//! several.
//!
//! * SCHED-I1 Gs, Ms and Ps are made by a Sched and never freed; a reference to one stays valid forever. (They are
//!   reused.)

use crate::ds::histogram::Histogram;
use crate::ds::leak::try_leak;
use crate::ds::line::Line;
use crate::fiber::stack::{Stack, StackPool};
use crate::gmp::allg::{AllgInner, G_DIRS, GDir};
use crate::gmp::allp::AllP;
use crate::gmp::config::{Config, Hooks};
use crate::gmp::g::GList;
use crate::gmp::globq::GlobalQ;
use crate::gmp::handles::Slabs;
use crate::gmp::hogs::Hogs;
use crate::gmp::keys::Keys;
use crate::gmp::lock::SchedLock;
use crate::gmp::m::{Kind, M, MRef};
use crate::gmp::netpoll::NetPoll;
use crate::gmp::orphans::Orphans;
use crate::gmp::permits::Offload;
use crate::gmp::posts::Posts;
use crate::gmp::record::Trace;
use crate::gmp::timers::NEVER;
use crate::sync::fence;
use crate::sync::own::{OwnBool, OwnI32, OwnI64, OwnPtr, OwnU64};
use crate::sync::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Event, Lock, Note, Ordering, Rank, step,
};
use crate::sys::array::Array;
use crate::trace::ring::Ring;
use std::ffi::c_void;
use std::sync::atomic::AtomicU64 as StdAtomicU64;

/// The counts that are not per P.
#[derive(Default)]
pub struct SchedStats {
    pub wakes: StdAtomicU64,
    pub handoffs: StdAtomicU64,
    pub retakes: StdAtomicU64,
    pub preempts: StdAtomicU64,
    /// protocol/seize.rs: threads that were held, Ps that were taken from the host's code, held threads that went on
    /// without a P, and timers that were armed.
    pub seized: StdAtomicU64,
    pub taken: StdAtomicU64,
    pub bailed: StdAtomicU64,
    pub nudges: StdAtomicU64,
    /// These: owner: the holder of worldsema.
    pub stops: OwnU64,
    pub stop_ns_total: OwnU64,
    pub stop_ns_max: OwnU64,
    pub barriers: OwnU64,
    /// When the last stop began; how long stops took until all had stopped, and until the world ran again; and how long
    /// barriers took.
    pub stop_began: OwnI64,
    pub stopping: Histogram,
    pub stopped: Histogram,
    pub barrier: Histogram,
    /// Turns that the watchdog saw (sched/turns.rs). Owner: the watchdog.
    pub turns: Histogram,
    /// Gs that were spawned, and that ended, where there was no P to count at.
    pub spawned: AtomicU64,
    pub ended: AtomicU64,
}

/// The ragged barrier, with its own count and note (Go's issue 10618).
pub struct Barrier {
    /// Ps that have not run the function yet.
    pub wait: AtomicI32,
    pub note: Note,
    /// The function, while a barrier is under way.
    pub f: OwnPtr<c_void>,
    pub arg: OwnPtr<c_void>,
}

/// The scheduler: see the module.
///
/// The fields in a [`Line`] are written while Gs run, some of them in every idle and wake. The other fields are written
/// at most when the runtime begins or ends, a thread is made, or Ps or tables change: every ready, yield and end reads
/// some of them.
pub struct Sched {
    pub cfg: Config,
    pub hooks: Hooks,
    /// The word that `gmx_safepoint` polls: see [`crate::gmp::P`].
    pub poll: &'static std::sync::atomic::AtomicU32,
    pub lock: Line<SchedLock>,
    /// Length of the idle list of Ps. Written under `sched.lock`; read in the idle dance (wake.rs).
    pub npidle: Line<AtomicU32>,
    /// The number of Ms that look for work. See wake.rs.
    pub nmspinning: Line<AtomicU32>,
    pub gomaxprocs: AtomicI32,
    pub(super) globq: Line<Lock<GlobalQ>>,
    pub(super) globq_len: Line<AtomicU32>,
    /// How many of these are hogs: see globq.rs.
    pub(super) nhogs: AtomicU32,
    /// The head of the global queue has waited for two slices: see rescue.rs.
    pub globq_late: AtomicBool,
    /// Whether Gs are told that they are asked: the host polls their words, or has a function for it. Never reset.
    pub tells: AtomicBool,
    pub(super) allp: AtomicPtr<AllP>,
    pub(super) allp_lock: Lock<i32>,
    pub(super) allg: Array<std::sync::atomic::AtomicPtr<GDir>>,
    pub(super) allg_lock: Line<Lock<AllgInner>>,
    /// The number of descriptors ever made. Changed under `allg_lock`.
    pub(super) allg_len: std::sync::atomic::AtomicU32,
    pub(super) goid: Line<StdAtomicU64>,
    pub(super) allm: AtomicPtr<M>,
    allm_lock: Lock<u32>,
    /// The wait table: the waiters of each address.
    pub sems: crate::gmp::semtable::SemTable,
    /// Spare extra Ms.
    pub extram: Line<Lock<*mut M>>,
    pub stacks: Line<StackPool>,
    /// Gs for which there was no memory for a stack.
    pub stackwait: Line<Lock<GList>>,
    pub stackwait_len: AtomicU32,
    /// How often unused memory was looked at: protocol/tidy.rs.
    pub tidy: StdAtomicU64,
    /// Memory may be returned to the system later. Written by the tidier, and by sysmon when it wakes from a deep
    /// sleep.
    pub untidy: std::sync::atomic::AtomicBool,
    /// Every stopper of the world, and every caller that wants all Ps, takes it: 1 is free. A semaphore, so Gs park on
    /// it.
    pub worldsema: Line<AtomicU32>,
    pub stopnote: Line<Note>,
    pub barrier: Line<Barrier>,
    /// sysmon's sleep, and whether it is a deep one.
    pub sysmon_note: Line<Note>,
    pub sysmon_parked: Line<AtomicBool>,
    /// The M of sysmon.
    pub sysmon: OwnPtr<M>,
    /// A thread could not be made: sysmon has the template thread try again.
    pub thread_wanted: AtomicBool,
    /// A stop of all code is under way. Written under `sched.lock`.
    pub code_stops: OwnBool,
    /// That stop holds threads where they are (SEIZE-A1). Written under `sched.lock`.
    pub anywhere: OwnBool,
    /// Gs run the host's code without Ps: the watchdog has their threads held.
    pub hold_wanted: std::sync::atomic::AtomicBool,
    /// A held thread needs an idle M beside it: the template thread makes one.
    pub reserve_wanted: std::sync::atomic::AtomicBool,
    pub hogs: Hogs,
    /// The template thread's sleep, and its tasks besides making threads: `sched::template::Errand`.
    pub template_note: Line<Note>,
    pub errands: Line<AtomicU32>,
    /// When the template thread wants to look again whether all threads wait for good. Written by it, and by sysmon,
    /// which asks.
    pub look_when: std::sync::atomic::AtomicI64,
    /// The signals that workers block while they run Gs: the signals that the main thread blocked when the runtime
    /// began.
    pub signals: OwnU64,
    /// The runtime is ending, or down: no G may begin any more. Set under `sched.lock` in a stopped world.
    pub closing: AtomicBool,
    /// The end is decided: threads leave.
    pub exiting: AtomicBool,
    /// The idle M that sleeps until the next timer (the timer_waiter), and the time until which it sleeps. See wake.rs.
    pub timer_waiter: Line<AtomicPtr<M>>,
    pub timer_waiter_until: Line<AtomicI64>,
    /// gomaxprocs follows the machine.
    pub procs_follow: OwnBool,
    pub procs_default: OwnI32,
    /// A clock that costs nothing to read: sysmon advances it, and so does each thread that reads the real clock.
    pub coarse: Line<OwnI64>,
    pub started: OwnI64,
    /// Since when a stop of the world or a barrier waits; 0: none. Owner: the holder of worldsema.
    pub world_waits: OwnI64,
    pub stats: Line<SchedStats>,
    pub mid: StdAtomicU64,
    pub schedtrace_ms: OwnU64,
    pub scheddetail: OwnBool,
    /// Workers that sleep without a P for their locked G. See protocol/quiet.rs.
    pub nmlocked: Line<AtomicI32>,
    /// Workers that have obtained everything from the system that they need to run Gs, since the runtime began.
    pub seated: AtomicI32,
    /// The reason why the last thread that was wanted could not be made: an errno, or 0 for `max_threads`.
    pub thread_errno: OwnI32,
    /// The number of threads that wait for the last G or for a deadlock.
    pub watchers: AtomicU32,
    pub watch: Line<Event>,
    pub net: Line<NetPoll>,
    /// What was posted to the host's loop.
    pub posts: Line<Posts>,
    /// The children that the host has let go of.
    pub orphans: Line<Orphans>,
    pub offload: Line<Offload>,
    pub gkeys: Keys,
    pub pkeys: Keys,
    /// The objects that the host holds by handles.
    pub(super) slabs: Slabs,
    pub trace: Trace,
}

// SAFETY: the fields that are not Sync by themselves are raw pointers inside locks, to objects that are never freed.
unsafe impl Sync for Sched {}
// SAFETY: as above.
unsafe impl Send for Sched {}

/// A model repeats its executions, so its trees are the same in each.
fn wait_table_seed() -> u64 {
    if cfg!(any(loom, shuttle)) { 1 } else { crate::sys::random_seed() }
}

impl Sched {
    /// A runtime without Ps; None if there is no memory.
    pub fn new(
        hooks: Hooks,
        stacks: StackPool,
        poll: &'static std::sync::atomic::AtomicU32,
        now: i64,
    ) -> Option<&'static Sched> {
        let s = try_leak(Sched {
            cfg: Config::default(),
            hooks,
            poll,
            lock: Line::new(SchedLock::new()),
            npidle: Line::new(AtomicU32::new(0)),
            nmspinning: Line::new(AtomicU32::new(0)),
            gomaxprocs: AtomicI32::new(0),
            globq: Line::new(Lock::new(Rank::GlobalQ, GlobalQ::default())),
            globq_len: Line::new(AtomicU32::new(0)),
            nhogs: AtomicU32::new(0),
            globq_late: AtomicBool::new(false),
            tells: AtomicBool::new(false),
            allp: AtomicPtr::new(std::ptr::null_mut()),
            allp_lock: Lock::new(Rank::Allp, 0),
            allg: Array::of(G_DIRS, |_| Default::default())?,
            allg_lock: Line::new(Lock::new(Rank::Allg, AllgInner::new())),
            allg_len: std::sync::atomic::AtomicU32::new(0),
            goid: Line::new(StdAtomicU64::new(1)),
            allm: AtomicPtr::new(std::ptr::null_mut()),
            allm_lock: Lock::new(Rank::Allm, 0),
            sems: crate::gmp::semtable::SemTable::new(wait_table_seed())?,
            extram: Line::new(Lock::new(Rank::Allm, std::ptr::null_mut())),
            stacks: Line::new(stacks),
            stackwait: Line::new(Lock::new(Rank::StackWait, GList::new())),
            stackwait_len: AtomicU32::new(0),
            tidy: StdAtomicU64::new(0),
            untidy: std::sync::atomic::AtomicBool::new(true),
            worldsema: Line::new(AtomicU32::new(1)),
            stopnote: Line::new(Note::new()),
            barrier: Line::new(Barrier {
                wait: AtomicI32::new(0),
                note: Note::new(),
                f: OwnPtr::null(),
                arg: OwnPtr::null(),
            }),
            sysmon_note: Line::new(Note::new()),
            sysmon_parked: Line::new(AtomicBool::new(false)),
            sysmon: OwnPtr::null(),
            thread_wanted: AtomicBool::new(false),
            code_stops: OwnBool::new(false),
            anywhere: OwnBool::new(false),
            hold_wanted: std::sync::atomic::AtomicBool::new(false),
            reserve_wanted: std::sync::atomic::AtomicBool::new(false),
            hogs: Hogs::new(),
            template_note: Line::new(Note::new()),
            errands: Line::new(AtomicU32::new(0)),
            look_when: std::sync::atomic::AtomicI64::new(NEVER),
            signals: OwnU64::new(0),
            closing: AtomicBool::new(false),
            exiting: AtomicBool::new(false),
            timer_waiter: Line::new(AtomicPtr::new(std::ptr::null_mut())),
            timer_waiter_until: Line::new(AtomicI64::new(i64::MAX)),
            procs_follow: OwnBool::new(true),
            procs_default: OwnI32::new(0),
            coarse: Line::new(OwnI64::new(now)),
            started: OwnI64::new(now),
            world_waits: OwnI64::new(0),
            stats: Line::default(),
            mid: StdAtomicU64::new(0),
            schedtrace_ms: OwnU64::new(0),
            scheddetail: OwnBool::new(false),
            nmlocked: Line::new(AtomicI32::new(0)),
            seated: AtomicI32::new(0),
            thread_errno: OwnI32::new(0),
            watchers: AtomicU32::new(0),
            watch: Line::new(Event::new()),
            net: Line::default(),
            posts: Line::default(),
            orphans: Line::default(),
            offload: Line::default(),
            gkeys: Keys::new(),
            pkeys: Keys::new(),
            slabs: Slabs::new(),
            trace: Trace::default(),
        })?;
        Some(s)
    }

    /// The number of live Gs; exact while no thread runs.
    pub fn num_g(&self) -> i64 {
        // Sums the ends first: the beginning of an end that is counted came before it, so the result is never too low.
        let mut ended = self.stats.ended.load(Ordering::Acquire);
        for p in self.every_p() {
            ended = ended.wrapping_add(p.stats.ended.get());
        }
        fence(Ordering::SeqCst);
        let mut spawned = self.stats.spawned.load(Ordering::Acquire);
        for p in self.every_p() {
            spawned = spawned.wrapping_add(p.stats.spawned.get());
        }
        spawned.wrapping_sub(ended) as i64
    }

    // ---- allm -------------------------------------------------------------------------------------------------------

    /// A new M in the list of all; None if there is no memory.
    pub fn malloc(&self, kind: Kind) -> Option<MRef> {
        let id = self.mid.fetch_add(1, Ordering::Relaxed) as u32;
        let m = try_leak(M::new(self, id, kind))?;
        // SAFETY: just leaked.
        let m = unsafe { MRef::from_ptr(std::ptr::from_ref(m).cast_mut()) }?;
        let mut n = self.allm_lock.lock();
        // TRACE-2
        while self.trace.on.get() && m.kept_ring.is_null() {
            drop(n);
            self.keep_ring(m)?;
            n = self.allm_lock.lock();
        }
        m.set_ring(self.trace.on.get());
        *n += 1;
        m.all_link.set(self.allm.load(Ordering::Relaxed));
        // Release: pairs with the Acquire in `every_m`.
        self.allm.store(m.as_ptr(), Ordering::Release);
        Some(m)
    }

    /// Makes a ring for an M that has none. None if there is no memory.
    fn keep_ring(&self, m: MRef) -> Option<()> {
        if m.kept_ring.is_null() {
            let ring = try_leak(Ring::new(self.trace.records.get() as usize)?)?;
            m.kept_ring.set(std::ptr::from_ref(ring).cast_mut());
        }
        Some(())
    }

    /// TRACE-1 and TRACE-2: from here on each M has a ring. None if there is no memory: then none has. For the holder
    /// of worldsema, or before the runtime is up.
    pub fn give_rings(&self) -> Option<()> {
        loop {
            self.every_m().try_for_each(|m| self.keep_ring(m))?;
            let _list = self.allm_lock.lock();
            if self.every_m().all(|m| !m.kept_ring.is_null()) {
                self.trace.on.set(true);
                self.every_m().for_each(|m| m.set_ring(true));
                return Some(());
            }
        }
    }

    /// TRACE-4: no M has a ring any more.
    pub fn take_rings(&self) {
        let _list = self.allm_lock.lock();
        self.trace.on.set(false);
        self.every_m().for_each(|m| m.set_ring(false));
    }

    /// Every M ever made.
    pub fn every_m(&self) -> impl Iterator<Item = MRef> + '_ {
        // SAFETY: the list holds Ms, which are never freed.
        std::iter::successors(unsafe { MRef::from_ptr(self.allm.load(Ordering::Acquire)) }, |m| unsafe {
            step();
            MRef::from_ptr(m.all_link.get())
        })
    }

    /// Whether the caller must not begin what it has just counted.
    pub fn is_closing(&self) -> bool {
        // EXIT: pairs with the fence in `close`: at least one of the two sees what the other wrote.
        fence(Ordering::SeqCst);
        self.closing.load(Ordering::SeqCst)
    }

    /// Forbids further beginnings, if there is no G and the queue is empty. The world is stopped.
    pub fn close(&self) -> bool {
        if self.num_g() != 0 {
            return false;
        }
        let lk = self.lock.lock();
        self.closing.store(true, Ordering::SeqCst);
        // EXIT: pairs with the fence in `is_closing`.
        fence(Ordering::SeqCst);
        let over = self.num_g() == 0 && self.globq_len() == 0 && lk.no_newm();
        self.closing.store(over, Ordering::SeqCst);
        over
    }

    /// Tells the threads that wait for an end (of the last G, or by a deadlock) to look again.
    #[inline]
    pub fn tell_watchers(&self) {
        if self.watchers.load(Ordering::SeqCst) != 0 {
            self.watch.happen();
        }
    }

    /// As [`Sched::tell_watchers`], but does not wake sleeping threads: the caller holds a lock, and tells them later.
    pub fn count_for_watchers(&self) {
        if self.watchers.load(Ordering::SeqCst) != 0 {
            self.watch.count();
        }
        // Pairs with the fence of QUIET-V5 in rt/main_g.rs: a thread that sees the caller's next step sees the count.
        fence(Ordering::SeqCst);
    }

    /// The stack size for a new G that asks for `asked` bytes. If all stacks were made at the start, they have one
    /// size, which serves a G that asks for a smaller one.
    pub fn stack_size_for(&self, asked: u32) -> u32 {
        if self.cfg.sealed.get() && asked as usize <= self.cfg.stack_size.get() { 0 } else { asked }
    }

    pub fn free_stack(&self, s: Stack) {
        self.stacks.free(s);
    }

    /// The cheap clock; at most one round of sysmon late.
    #[inline(always)]
    pub fn coarse_now(&self) -> i64 {
        self.coarse.get()
    }
}
