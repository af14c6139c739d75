//! Sched: everything that is neither a G, an M nor a P.
//!
//! One instance stands for one runtime. It is an argument of every protocol, never a static, so a model can have as
//! many as it likes.
//!
//! I1: Gs, Ms and Ps are made here and never freed; a reference to one may be kept for ever. (They are reused.)

use crate::ds::line::Line;
use crate::ds::mask::Mask;
use crate::fiber::stack::{Stack, StackPool};
use crate::gmp::g::{Cold, Copied, G, GList, GRef, INDEX_BITS, INDEX_MASK};
use crate::gmp::m::{Kind, M, MRef};
use crate::gmp::p::{MAX_KEYS, P, PRef};
use crate::gmp::timers::{NEVER, Shown};
use crate::sync::fence;
use crate::sync::own::{OwnBool, OwnI32, OwnI64, OwnPtr, OwnU32, OwnU64, OwnUsize};
use crate::sync::widen::widen;
use crate::sync::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Event, Guard, Lock, Note, Ordering, Rank,
    Sleeper, step,
};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicU64 as StdAtomicU64;

/// What a runtime is started with. Written while it is down.
pub struct Config {
    pub stack_size: OwnUsize,
    pub g0_stack_size: OwnUsize,
    pub slice_ns: OwnI64,
    pub max_threads: OwnI32,
    /// All threads are made at the start, and none later.
    pub sealed: OwnBool,
    /// What the host wants to be told, null for nothing: `on_preempt(arg, g)`, `on_thread_start(arg)`, `on_thread_end(arg)`.
    pub on_preempt: OwnPtr<c_void>,
    pub on_thread_start: OwnPtr<c_void>,
    pub on_thread_end: OwnPtr<c_void>,
    pub on_arg: OwnPtr<c_void>,
}

impl Config {
    /// Whether no further worker may be made, beside `n` of them.
    pub fn no_more_threads(&self, n: i32) -> bool {
        n >= self.max_threads.get() || self.sealed.get()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            stack_size: OwnUsize::new(256 << 10),
            g0_stack_size: OwnUsize::new(256 << 10),
            slice_ns: OwnI64::new(10_000_000),
            max_threads: OwnI32::new(10_000),
            sealed: OwnBool::new(false),
            on_preempt: OwnPtr::null(),
            on_thread_start: OwnPtr::null(),
            on_thread_end: OwnPtr::null(),
            on_arg: OwnPtr::null(),
        }
    }
}

/// What the layers above lend to the protocols: how a thread is made, and how something is told.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Makes the thread of a worker M; an errno if there is none to be had.
    pub start_thread: unsafe fn(m: MRef) -> Result<(), i32>,
    /// Where a G begins.
    pub g_entry: unsafe extern "C" fn(usize) -> !,
    /// Tells the host about something (deadlock, a stop that timed out).
    pub report: fn(&Sched, &str),
    /// A broken invariant: tells what there is to tell, and aborts.
    pub fatal: fn(&Sched, &str) -> !,
}

/// The idle lists and what else `sched.lock` guards.
pub struct SchedInner {
    /// Idle Ms, last in first out.
    pub midle: *mut M,
    pub nmidle: i32,
    /// Idle Ps, last in first out.
    pub pidle: *mut P,
    /// Threads of workers, made or about to be made.
    pub nm: i32,
    /// A stop of the world is under way or in force.
    pub stopping: bool,
    /// The template thread fires timers, without a P: what they ready may be in no queue yet.
    pub firing: bool,
    /// Ps that have not stopped yet.
    pub stopwait: i32,
    /// gomaxprocs after the next start of the world; 0 keeps it.
    pub newprocs: i32,
    /// Ps for which the template thread is to make a thread: to run Gs, and to search (wake.rs, N1).
    pub newm: [*mut P; 2],
    /// Worker Ms without a thread, to be used again.
    pub mfree: *mut M,
}

// SAFETY: the pointers are to Ms and Ps, which are never freed.
unsafe impl Send for SchedInner {}

impl SchedInner {
    /// Whether no thread is to be made.
    pub fn no_newm(&self) -> bool {
        self.newm.iter().all(|p| p.is_null())
    }
}

/// `sched.lock`.
pub struct SchedLock(Lock<SchedInner>);

impl SchedLock {
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> SchedLocked<'_> {
        SchedLocked { guard: ManuallyDrop::new(self.0.lock()), sleepers: [const { Sleeper::NONE }; 2] }
    }
}

/// Proof that `sched.lock` is held. What is to be woken because of what happened under it is woken when it is open: all
/// need this lock, and a wake-up takes as long as a hundred of its holds.
pub struct SchedLocked<'a> {
    guard: ManuallyDrop<Guard<'a, SchedInner>>,
    sleepers: [Sleeper; 2],
}

impl SchedLocked<'_> {
    /// The sleeper of a note that was set is woken when the lock is open. (One hold wakes the watchdog and one other at
    /// most.)
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
        // SAFETY: the guard is dropped here and nowhere else.
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

/// All Ps ever made; those from gomaxprocs on are Dead and kept, because an M in a syscall may still look at one.
///
/// Tables only grow, and older ones are kept, so that a reader without a P needs no lock (Go takes allpLock): what it
/// sees at worst is a Dead P, or a table that ends early. Growth itself is under `allp_lock`.
pub struct AllP {
    pub(super) ps: Box<[AtomicPtr<P>]>,
    /// Which Ps are idle, so that a search need not touch thousands of empty queues. Changed under `sched.lock`; for
    /// who holds it a bit that is set is right, also while the P is frozen (wake.rs). One that is not says nothing: a
    /// larger table begins empty.
    pub idle: Mask,
}

/// Entries of the first table of Ps. (A model pays for each, and wants to see the table grow.)
const FIRST_ALLP: usize = if cfg!(any(loom, shuttle)) { 1 } else { 8 };

impl AllP {
    pub fn capacity(&self) -> usize {
        self.ps.len()
    }
}

// A model makes few Gs, and pays for each of a chunk.
pub(super) const G_CHUNK_BITS: u32 = if cfg!(any(loom, shuttle)) { 3 } else { 10 };
const G_CHUNK: usize = 1 << G_CHUNK_BITS;
pub(super) const G_DIR_BITS: u32 = if cfg!(any(loom, shuttle)) { 3 } else { 10 };
const G_DIRS: usize = if cfg!(any(loom, shuttle)) { 1 } else { 1 << (INDEX_BITS - G_CHUNK_BITS - G_DIR_BITS) };

type GDir = [std::sync::atomic::AtomicPtr<G>; 1 << G_DIR_BITS];

/// The global run queue: first in, first out. Those that are locked to their Ms stand in a list of their own, since a P
/// without a thread looks for them alone.
#[derive(Default)]
struct GlobalQ {
    free: GList,
    locked: GList,
    /// How many were ever put into `free`, and taken out of it. A locked one keeps how many came before it.
    put: u64,
    taken: u64,
}

impl GlobalQ {
    fn len(&self) -> usize {
        self.free.len() + self.locked.len()
    }

    fn put(&mut self, gp: GRef) {
        if gp.lockedm.is_null() {
            self.free.push_back(gp);
            self.put += 1;
        } else {
            gp.globq_turn.set(self.put);
            self.locked.push_back(gp);
        }
    }

    /// Locked ones count from the first of these so far.
    fn put_all(&mut self, free: &mut GList, locked: &mut GList) {
        while let Some(gp) = locked.pop_front() {
            gp.globq_turn.set(self.put + gp.globq_turn.get());
            self.locked.push_back(gp);
        }
        self.put += free.len() as u64;
        self.free.append(free);
    }

    /// Whether it is a locked one's turn.
    fn locked_is_next(&self) -> bool {
        self.locked.first().is_some_and(|gp| gp.globq_turn.get() <= self.taken)
    }

    fn head(&self) -> Option<GRef> {
        if self.locked_is_next() { self.locked.first() } else { self.free.first() }
    }

    fn get(&mut self) -> Option<GRef> {
        if self.locked_is_next() {
            return self.locked.pop_front();
        }
        let gp = self.free.pop_front();
        self.taken += u64::from(gp.is_some());
        gp
    }

    fn get_locked(&mut self) -> Option<GRef> {
        self.locked.pop_front()
    }
}

/// The free Gs that no P keeps, and the end of allg.
pub struct AllgInner {
    free: GList,
    /// Where the next descriptor is made, in a chunk that has room for it.
    next: *mut G,
    next_cold: *mut Cold,
    /// `next` begins a chunk of which nothing is used.
    grown: bool,
    directories: usize,
}

// SAFETY: the pointers are into chunks, which are never freed.
unsafe impl Send for AllgInner {}

/// The room for arguments that travel with a G. It is of the G's own, and no memory before it is used.
#[inline(always)]
pub fn copied(gp: GRef) -> *mut Copied {
    const AT: usize = match (size_of::<G>() * G_CHUNK, size_of::<Cold>() * G_CHUNK) {
        (hot, cold) if hot.is_multiple_of(align_of::<Cold>()) && cold.is_multiple_of(align_of::<Copied>()) => {
            hot + cold
        }
        _ => panic!("`Chunk::layout` has a gap"),
    };
    let n = gp.index as usize % G_CHUNK;
    // SAFETY: descriptors are made in chunks, each at the place of its index (`galloc_one`).
    unsafe { gp.as_ptr().sub(n).byte_add(AT).cast::<Copied>().add(n) }
}

/// Memory for a chunk of descriptors. Goes back to the system if it is not used.
struct Chunk {
    memory: *mut u8,
    /// For the first chunk of a directory, if it is that.
    directory: Option<&'static GDir>,
}

impl Chunk {
    /// Its layout, and where the cold halves lie. Behind them is the room for arguments ([`copied`]).
    fn layout() -> Option<(std::alloc::Layout, usize)> {
        let hot = std::alloc::Layout::array::<G>(G_CHUNK).ok()?;
        let (halves, cold_at) = hot.extend(std::alloc::Layout::array::<Cold>(G_CHUNK).ok()?).ok()?;
        let (all, _) = halves.extend(std::alloc::Layout::array::<Copied>(G_CHUNK).ok()?).ok()?;
        Some((all, cold_at))
    }

    /// For descriptors from `index` on.
    #[cold]
    fn new(index: u32) -> Option<Chunk> {
        if u64::from(index) + G_CHUNK as u64 > INDEX_MASK {
            return None;
        }
        let (layout, cold_at) = Chunk::layout()?;
        let directory = match (index >> G_CHUNK_BITS).is_multiple_of(1 << G_DIR_BITS) {
            // In place: a table of 8 KiB would pass over the spawner's stack, which may be small.
            // SAFETY: zeros are null pointers.
            true => Some(unsafe { try_leak_zeroed()? }),
            false => None,
        };
        // Zeros that the system gives: of all but the hot half only what is used becomes memory.
        #[cfg(not(any(loom, shuttle)))]
        // (The maker may hold the lock of the one timer or scope whose G this will be: sys/held.rs.)
        let memory = crate::sys::held::except(|| {
            let memory = crate::sys::mem::reserve(layout.size()).ok()?;
            // Who has many wants more: one call instead of a fault for each page.
            if index as usize >= 4 * G_CHUNK {
                // SAFETY: our fresh mapping.
                unsafe { crate::sys::mem::populate(memory, cold_at) };
            }
            Some(memory)
        })?;
        #[cfg(any(loom, shuttle))]
        let memory = {
            let _ = cold_at;
            // SAFETY: the layout is not empty; nobody uses a G after the end of an execution.
            unsafe { std::alloc::alloc(layout) }
        };
        Some(Chunk { memory, directory })
    }

    /// It is used for good: where its two halves begin.
    fn take(self) -> (*mut G, *mut Cold) {
        let memory = ManuallyDrop::new(self).memory;
        let (layout, cold_at) = Chunk::layout().expect("it was made");
        #[cfg(any(loom, shuttle))]
        // SAFETY: made with this layout.
        leaked::note(move || unsafe { std::alloc::dealloc(memory, layout) });
        let _ = layout;
        // SAFETY: it lies in the block.
        (memory.cast(), unsafe { memory.add(cold_at).cast() })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Some((layout, _)) = Chunk::layout() else { return };
        // SAFETY: ours, made with this layout, and never used. (A directory made in vain stays: 8 KiB at the worst,
        // once in a million descriptors.)
        unsafe {
            #[cfg(not(any(loom, shuttle)))]
            crate::sys::held::except(|| crate::sys::mem::release(self.memory, layout.size()));
            #[cfg(any(loom, shuttle))]
            std::alloc::dealloc(self.memory, layout);
        }
    }
}

/// Counts that are not per P.
#[derive(Default)]
pub struct SchedStats {
    pub wakes: StdAtomicU64,
    pub handoffs: StdAtomicU64,
    pub retakes: StdAtomicU64,
    pub preempts: StdAtomicU64,
    /// These four: owner: who holds worldsema.
    pub stops: OwnU64,
    pub stop_ns_total: OwnU64,
    pub stop_ns_max: OwnU64,
    pub barriers: OwnU64,
    /// Spawned and ended where there was no P to count at.
    pub spawned: AtomicU64,
    pub ended: AtomicU64,
}

/// The ragged barrier: its own count and note (Go's #10618).
pub struct Barrier {
    /// Ps that have not run the function yet.
    pub wait: AtomicI32,
    pub note: Note,
    /// The function, while a barrier is under way.
    pub f: OwnPtr<std::ffi::c_void>,
    pub arg: OwnPtr<std::ffi::c_void>,
}

/// The keys of G-local or P-local values. A key is a place and a generation: how many keys had the place before. So a
/// deleted key is never mistaken for its successor, and a value that was set under it is never found under another. A
/// place whose generations are used up is retired.
pub struct Keys {
    /// Generation * 2, + 1 while in use. Written under the lock, read by all threads.
    words: [OwnU32; MAX_KEYS],
    destructors: Line<Lock<[Option<Destructor>; MAX_KEYS]>>,
}

/// What is called with a value when its G ends.
pub type Destructor = extern "C" fn(*mut std::ffi::c_void);

/// A place has so many keys in its life: a key has 24 bits for the generation.
const KEY_GENERATIONS: u32 = 1 << 24;

impl Keys {
    fn new() -> Keys {
        Keys {
            words: [const { OwnU32::new(0) }; MAX_KEYS],
            destructors: Line::new(Lock::new(Rank::Keys, [None; MAX_KEYS])),
        }
    }

    /// The place of a key that is in use.
    #[inline]
    pub fn place(&self, key: u32) -> Option<usize> {
        let at = (key & 0xff).wrapping_sub(1) as usize;
        (self.words.get(at)?.get() == key >> 8 << 1 | 1).then_some(at)
    }

    /// A new key and its place; None when all places are in use or retired.
    pub fn create(&self, destructor: Option<Destructor>) -> Option<(u32, usize)> {
        let mut destructors = self.destructors.lock();
        let at = self.words.iter().position(|w| w.get() & 1 == 0 && w.get() >> 1 < KEY_GENERATIONS)?;
        let word = self.words[at].get() | 1;
        destructors[at] = destructor;
        self.words[at].set(word);
        Some((word >> 1 << 8 | (at as u32 + 1), at))
    }

    /// False for a number that is not a key in use.
    pub fn delete(&self, key: u32) -> bool {
        let _destructors = self.destructors.lock();
        let Some(at) = self.place(key) else { return false };
        self.words[at].set(((key >> 8) + 1) << 1);
        true
    }

    pub fn destructor(&self, key: u32) -> Option<Destructor> {
        let destructors = self.destructors.lock();
        destructors[self.place(key)?]
    }
}

/// See the module.
///
/// What is in a [`Line`] is written while Gs run, some of it in every idle and wake. The other fields are written at
/// most when the runtime begins or ends, a thread is made, or Ps or tables change: every ready, yield and end reads
/// some of them.
pub struct Sched {
    pub cfg: Config,
    pub hooks: Hooks,
    /// What `gmx_safepoint` polls: see [`P`].
    pub poll: &'static std::sync::atomic::AtomicU32,
    pub lock: Line<SchedLock>,
    /// Length of the idle list of Ps. Written under `sched.lock`; read in the idle dance (wake.rs).
    pub npidle: Line<AtomicU32>,
    /// Ms that look for work. See wake.rs.
    pub nmspinning: Line<AtomicU32>,
    pub gomaxprocs: AtomicI32,
    globq: Line<Lock<GlobalQ>>,
    globq_len: Line<AtomicU32>,
    /// The head of the global queue has waited for two slices: see rescue.rs.
    pub globq_late: AtomicBool,
    /// Whether Gs are told that they are asked: the host polls their words, or has a function for it. Never taken back.
    pub tells: AtomicBool,
    pub(super) allp: AtomicPtr<AllP>,
    allp_lock: Lock<i32>,
    pub(super) allg: Box<[std::sync::atomic::AtomicPtr<GDir>]>,
    allg_lock: Line<Lock<AllgInner>>,
    /// Descriptors ever made. Changed under `allg_lock`.
    allg_len: std::sync::atomic::AtomicU32,
    goid: Line<StdAtomicU64>,
    pub(super) allm: AtomicPtr<M>,
    allm_lock: Lock<u32>,
    /// Who waits for which address.
    pub sems: crate::gmp::semtable::SemTable,
    /// Spare extra Ms.
    pub extram: Line<Lock<*mut M>>,
    pub stacks: Line<StackPool>,
    /// Gs for which there was no memory for a stack.
    pub stackwait: Line<Lock<GList>>,
    pub stackwait_len: AtomicU32,
    /// How often what lies unused was looked at: protocol/tidy.rs.
    pub tidy: StdAtomicU64,
    /// Something may go back to the system later. Written by the tidier, and by sysmon when it wakes from a deep sleep.
    pub untidy: std::sync::atomic::AtomicBool,
    /// Taken by everybody who stops the world or wants every P: 1 is free. A semaphore, so Gs park on it.
    pub worldsema: Line<AtomicU32>,
    pub stopnote: Line<Note>,
    pub barrier: Line<Barrier>,
    /// sysmon's sleep, and whether it is a deep one.
    pub sysmon_note: Line<Note>,
    pub sysmon_deep: Line<AtomicBool>,
    /// The M of sysmon.
    pub sysmon: OwnPtr<M>,
    /// A thread could not be made: sysmon has it tried again.
    pub thread_wanted: AtomicBool,
    /// The template thread's sleep, and what it is asked for beside threads: `sched::template::Errand`.
    pub template_note: Line<Note>,
    pub errands: Line<AtomicU32>,
    /// When the template thread wants to look again whether all wait for good. Written by it, and by sysmon that asks.
    pub look_when: std::sync::atomic::AtomicI64,
    /// The signals that workers block while they run Gs: those that the main thread blocked when the runtime began.
    pub signals: OwnU64,
    /// The runtime is ending, or down: nothing new may begin. Set under `sched.lock` in a stopped world.
    pub closing: AtomicBool,
    /// It has been decided: threads leave.
    pub exiting: AtomicBool,
    /// The idle M that sleeps until the next timer, and until when. See wake.rs.
    pub keeper: Line<AtomicPtr<M>>,
    pub keeper_until: Line<AtomicI64>,
    /// gomaxprocs follows the machine.
    pub procs_follow: OwnBool,
    pub procs_default: OwnI32,
    /// A clock that costs nothing to read: sysmon moves it, and whoever reads the real one.
    pub coarse: Line<OwnI64>,
    pub started: OwnI64,
    pub stats: Line<SchedStats>,
    pub mid: StdAtomicU64,
    pub schedtrace_ms: OwnU64,
    pub scheddetail: OwnBool,
    /// Workers that sleep without a P for their locked G. See protocol/quiet.rs.
    pub nmlocked: Line<AtomicI32>,
    /// Workers whose threads need nothing more of the system before they run Gs, since the runtime began.
    pub seated: AtomicI32,
    /// Why no thread could be made when one was last wanted: an errno, or 0 for `max_threads`.
    pub thread_errno: OwnI32,
    /// How many threads wait for the last G or for a deadlock.
    pub watchers: AtomicU32,
    pub watch: Line<Event>,
    pub gkeys: Keys,
    pub pkeys: Keys,
    /// What the host holds by handles: block/objects.rs. Made at the first use.
    pub objects: AtomicPtr<std::ffi::c_void>,
}

// SAFETY: what is not Sync by itself are raw pointers inside of locks, to things that are never freed.
unsafe impl Sync for Sched {}
// SAFETY: as above.
unsafe impl Send for Sched {}

/// A model repeats its executions, so its trees are the same in each.
fn wait_table_seed() -> u64 {
    if cfg!(any(loom, shuttle)) { 1 } else { crate::sys::random_seed() }
}

/// Reports a broken invariant and aborts.
#[cold]
#[inline(never)]
pub fn throw(sched: &Sched, what: &str) -> ! {
    (sched.hooks.fatal)(sched, what)
}

impl Sched {
    /// A runtime without Ps; none if there is no memory.
    pub fn new(
        hooks: Hooks,
        stacks: StackPool,
        poll: &'static std::sync::atomic::AtomicU32,
        now: i64,
    ) -> Option<&'static Sched> {
        let mut dirs = Vec::new();
        dirs.try_reserve_exact(G_DIRS).ok()?;
        dirs.resize_with(dirs.capacity(), Default::default);
        let s = try_leak(Sched {
            cfg: Config::default(),
            hooks,
            poll,
            lock: Line::new(SchedLock(Lock::new(
                Rank::Sched,
                SchedInner {
                    midle: std::ptr::null_mut(),
                    nmidle: 0,
                    pidle: std::ptr::null_mut(),
                    nm: 0,
                    stopping: false,
                    firing: false,
                    stopwait: 0,
                    newprocs: 0,
                    newm: [std::ptr::null_mut(); 2],
                    mfree: std::ptr::null_mut(),
                },
            ))),
            npidle: Line::new(AtomicU32::new(0)),
            nmspinning: Line::new(AtomicU32::new(0)),
            gomaxprocs: AtomicI32::new(0),
            globq: Line::new(Lock::new(Rank::GlobalQ, GlobalQ::default())),
            globq_len: Line::new(AtomicU32::new(0)),
            globq_late: AtomicBool::new(false),
            tells: AtomicBool::new(false),
            allp: AtomicPtr::new(std::ptr::null_mut()),
            allp_lock: Lock::new(Rank::Allp, 0),
            allg: dirs.into_boxed_slice(),
            allg_lock: Line::new(Lock::new(
                Rank::Allg,
                AllgInner {
                    free: GList::new(),
                    next: std::ptr::null_mut(),
                    next_cold: std::ptr::null_mut(),
                    grown: false,
                    directories: 0,
                },
            )),
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
            sysmon_deep: Line::new(AtomicBool::new(false)),
            sysmon: OwnPtr::null(),
            thread_wanted: AtomicBool::new(false),
            template_note: Line::new(Note::new()),
            errands: Line::new(AtomicU32::new(0)),
            look_when: std::sync::atomic::AtomicI64::new(NEVER),
            signals: OwnU64::new(0),
            closing: AtomicBool::new(false),
            exiting: AtomicBool::new(false),
            keeper: Line::new(AtomicPtr::new(std::ptr::null_mut())),
            keeper_until: Line::new(AtomicI64::new(i64::MAX)),
            procs_follow: OwnBool::new(true),
            procs_default: OwnI32::new(0),
            coarse: Line::new(OwnI64::new(now)),
            started: OwnI64::new(now),
            stats: Line::default(),
            mid: StdAtomicU64::new(0),
            schedtrace_ms: OwnU64::new(0),
            scheddetail: OwnBool::new(false),
            nmlocked: Line::new(AtomicI32::new(0)),
            seated: AtomicI32::new(0),
            thread_errno: OwnI32::new(0),
            watchers: AtomicU32::new(0),
            watch: Line::new(Event::new()),
            gkeys: Keys::new(),
            pkeys: Keys::new(),
            objects: AtomicPtr::new(std::ptr::null_mut()),
        })?;
        Some(s)
    }

    // ---- the global queue -------------------------------------------------------------------------------------

    pub fn globrunqput(&self, gp: GRef) {
        let mut q = self.globq.lock();
        q.put(gp);
        widen!();
        self.globq_len.store(q.len() as u32, Ordering::Release);
    }

    /// Puts all of these behind the others.
    pub fn globrunqput_all(&self, gs: &mut GList) {
        // They are told apart before the lock is taken: there may be many.
        let (mut free, mut locked) = (GList::new(), GList::new());
        while let Some(gp) = gs.pop_front() {
            if gp.lockedm.is_null() {
                free.push_back(gp);
            } else {
                gp.globq_turn.set(free.len() as u64);
                locked.push_back(gp);
            }
        }
        let mut q = self.globq.lock();
        q.put_all(&mut free, &mut locked);
        widen!();
        self.globq_len.store(q.len() as u32, Ordering::Release);
    }

    /// The oldest, for a comparison.
    pub fn globrunq_head(&self) -> Option<GRef> {
        if self.globq_len() == 0 {
            return None;
        }
        self.globq.lock().head()
    }

    /// Takes up to `n`, the oldest first.
    pub fn globrunqget(&self, n: usize, mut each: impl FnMut(GRef)) {
        if self.globq_len() == 0 {
            return;
        }
        let mut q = self.globq.lock();
        for _ in 0..n {
            let Some(gp) = q.get() else { break };
            each(gp);
        }
        self.globq_len.store(q.len() as u32, Ordering::Release);
    }

    /// Takes the oldest one that is locked to its M.
    pub fn globrunqget_locked(&self) -> Option<GRef> {
        let mut q = self.globq.lock();
        let gp = q.get_locked();
        self.globq_len.store(q.len() as u32, Ordering::Release);
        gp
    }

    /// Whether one is there that is locked to its M.
    pub fn globrunq_has_locked(&self) -> bool {
        !self.globq.lock().locked.is_empty()
    }

    #[inline(always)]
    pub fn globq_len(&self) -> u32 {
        self.globq_len.load(Ordering::Acquire)
    }

    // ---- allp -------------------------------------------------------------------------------------------------

    /// The table as it is now. Before the first resize there is none.
    #[inline]
    pub fn allp(&self) -> Option<&'static AllP> {
        // SAFETY: tables are never freed. Acquire: pairs with the Release in `grow_allp`.
        unsafe { self.allp.load(Ordering::Acquire).as_ref() }
    }

    #[inline]
    pub fn procs(&self) -> u32 {
        self.gomaxprocs.load(Ordering::Acquire) as u32
    }

    /// P number `i`, if it was ever made.
    #[inline]
    pub fn p_at(&self, i: u32) -> Option<PRef> {
        step();
        let t = self.allp()?;
        // SAFETY: entries are null or Ps.
        unsafe { PRef::from_ptr(t.ps.get(i as usize)?.load(Ordering::Acquire)) }
    }

    /// The Ps below gomaxprocs. For readers without a P: the number is read once, and may be older than the table.
    pub fn live_ps(&self) -> impl Iterator<Item = PRef> + Clone + '_ {
        (0..self.procs()).filter_map(|i| self.p_at(i))
    }

    /// Of the Ps below gomaxprocs those that may have timers: of all that have, if who arms one and who asks do as
    /// wake.rs says.
    pub fn timed_ps(&self) -> impl Iterator<Item = PRef> + Clone + '_ {
        let n = self.procs();
        (0..n)
            .step_by(Shown::PS as usize)
            .filter_map(|i| Some((i, self.p_at(i)?)))
            .flat_map(|(i, p)| p.timers.shown().iter().map(move |bit| i + bit))
            .take_while(move |&i| i < n)
            .filter_map(|i| self.p_at(i))
    }

    /// When the next timer fires, without a lock.
    pub fn next_timer(&self) -> i64 {
        self.timed_ps().map(|p| p.timers.first()).min().unwrap_or(NEVER)
    }

    /// The Ps below gomaxprocs but for idle ones, of which some may be there too. For who holds `sched.lock`;
    /// without it one that was idle a moment ago may be left out.
    pub fn busy_ps(&self) -> impl Iterator<Item = PRef> + Clone + '_ {
        let n = self.procs();
        self.allp().into_iter().flat_map(move |t| t.idle.iter_clear(n)).filter_map(|i| self.p_at(i))
    }

    /// Every P ever made.
    pub fn every_p(&self) -> impl Iterator<Item = PRef> + '_ {
        (0..self.allp().map_or(0, |t| t.capacity() as u32)).map_while(|i| self.p_at(i))
    }

    /// Makes sure that Ps `0..n` exist. New ones are Dead. False if there is no memory; nothing is changed then, but
    /// for Ps beyond gomaxprocs.
    #[must_use]
    pub fn grow_allp(&self, n: u32) -> bool {
        let mut made = self.allp_lock.lock();
        let old = self.allp();
        if old.is_none_or(|t| t.capacity() < n as usize) {
            let capacity = (n as usize).max(old.map_or(0, |t| t.capacity() * 2)).max(FIRST_ALLP);
            let mut ps: Vec<AtomicPtr<P>> = Vec::new();
            if ps.try_reserve_exact(capacity).is_err() {
                return false;
            }
            for i in 0..capacity {
                let p = old.and_then(|t| t.ps.get(i)).map_or(std::ptr::null_mut(), |p| p.load(Ordering::Relaxed));
                ps.push(AtomicPtr::new(p));
            }
            // Empty: Ps come and go meanwhile, and to look at an idle one costs less than to pass over a busy one.
            let Some(idle) = Mask::new(capacity) else { return false };
            let Some(table) = try_leak(AllP { ps: ps.into_boxed_slice(), idle }) else { return false };
            // Release: pairs with the Acquire in `allp`. The old table stays for those who read it.
            self.allp.store(std::ptr::from_ref(table).cast_mut(), Ordering::Release);
        }
        let table = self.allp().expect("just stored");
        for i in *made as u32..n {
            let neighbour = self.p_at(i - i % Shown::PS).map(|p| p.timers.shown());
            let Some(shown) = neighbour.or_else(|| try_leak(Shown::default())) else { return false };
            let Some(p) = try_leak(P::new(i, self.poll, shown)) else { return false };
            table.ps[i as usize].store(std::ptr::from_ref(p).cast_mut(), Ordering::Release);
            *made = i as i32 + 1;
        }
        true
    }

    // ---- allg -------------------------------------------------------------------------------------------------

    /// A free descriptor from the common store; None if there is no memory.
    pub fn galloc(&self) -> Option<GRef> {
        let mut got = None;
        self.galloc_batch(1, |gp| got = Some(gp));
        got
    }

    /// Up to `n` free descriptors, at least one unless there is no memory.
    pub fn galloc_batch(&self, n: usize, mut each: impl FnMut(GRef)) -> bool {
        let mut chunk = None;
        loop {
            let mut inner = self.allg_lock.lock();
            if let Some(new) = chunk.take() {
                let unused = self.allg_grow(&mut inner, new);
                if unused.is_some() {
                    drop(inner);
                    drop(unused);
                    inner = self.allg_lock.lock();
                }
            }
            let mut got = 0;
            while got < n
                && let Some(gp) = self.galloc_one(&mut inner)
            {
                each(gp);
                got += 1;
            }
            if got != 0 {
                return true;
            }
            let index = self.allg_len.load(Ordering::Relaxed);
            drop(inner);
            // The system is asked without the lock, which all need that spawn; another thread may do so at the same
            // time.
            match Chunk::new(index) {
                Some(new) => chunk = Some(new),
                None => return false,
            }
        }
    }

    /// None if the last chunk is used up.
    fn galloc_one(&self, inner: &mut AllgInner) -> Option<GRef> {
        if let Some(gp) = inner.free.pop_front() {
            return Some(gp);
        }
        let index = self.allg_len.load(Ordering::Relaxed);
        if (index as usize).is_multiple_of(G_CHUNK) && !inner.grown {
            return None;
        }
        inner.grown = false;
        // SAFETY: the chunk has room for it, and is never freed (I1). A Cold is made of numbers and pointers, whose
        // defaults are zeros; under a model it is made properly.
        unsafe {
            let (gp, cold) = (inner.next, inner.next_cold);
            #[cfg(any(loom, shuttle))]
            cold.write(Cold::default());
            gp.write(G::new(index, &*cold));
            (inner.next, inner.next_cold) = (gp.add(1), cold.add(1));
            // Release: pairs with the Acquire in `g_at`.
            self.allg_len.store(index + 1, Ordering::Release);
            GRef::from_ptr(gp)
        }
    }

    pub fn gfree(&self, gp: GRef) {
        self.allg_lock.lock().free.push_front(gp);
    }

    pub fn gfree_list(&self, list: &mut GList) {
        self.allg_lock.lock().free.append(list);
    }

    /// Makes a chunk the place of the next descriptors. It comes back if another thread was first, or there are
    /// descriptors enough.
    #[cold]
    fn allg_grow(&self, inner: &mut AllgInner, mut chunk: Chunk) -> Option<Chunk> {
        let index = self.allg_len.load(Ordering::Relaxed);
        if inner.grown || !(index as usize).is_multiple_of(G_CHUNK) || !inner.free.is_empty() {
            return Some(chunk);
        }
        let d = (index >> (G_CHUNK_BITS + G_DIR_BITS)) as usize;
        if d >= inner.directories {
            let Some(dir) = chunk.directory.take() else { return Some(chunk) };
            self.allg[d].store(std::ptr::from_ref(dir).cast_mut(), Ordering::Release);
            inner.directories = d + 1;
        }
        let (gs, colds) = chunk.take();
        (inner.next, inner.next_cold, inner.grown) = (gs, colds, true);
        let c = (index >> G_CHUNK_BITS) as usize & ((1 << G_DIR_BITS) - 1);
        // SAFETY: the directory was made above or before.
        let dir = unsafe { &*self.allg[d].load(Ordering::Relaxed) };
        // Relaxed: it is found by `allg_len`, which is stored with Release after this.
        dir[c].store(gs, Ordering::Relaxed);
        None
    }

    fn g_at(&self, index: u32) -> Option<GRef> {
        step();
        // Acquire: pairs with the Release in `galloc_one`.
        if index >= self.allg_len.load(Ordering::Acquire) {
            return None;
        }
        let d = (index >> (G_CHUNK_BITS + G_DIR_BITS)) as usize;
        let c = (index >> G_CHUNK_BITS) as usize & ((1 << G_DIR_BITS) - 1);
        // SAFETY: below `allg_len` there are directories, chunks and descriptors, which are never freed.
        unsafe {
            let dir = self.allg.get(d)?.load(Ordering::Relaxed).as_ref()?;
            GRef::from_ptr(dir[c].load(Ordering::Relaxed).add(index as usize & (G_CHUNK - 1)))
        }
    }

    /// The G that a handle names; None if it is stale or was never given out.
    pub fn g_of(&self, handle: u64) -> Option<GRef> {
        let gp = self.g_at((handle & INDEX_MASK) as u32)?;
        gp.handle_is(handle).then_some(gp)
    }

    /// Every descriptor ever made. Statuses are only stable in a stopped world.
    pub fn every_g(&self) -> impl Iterator<Item = GRef> + '_ {
        (0..self.allg_len.load(Ordering::Acquire)).filter_map(|i| self.g_at(i))
    }

    pub fn descriptors(&self) -> u64 {
        u64::from(self.allg_len.load(Ordering::Relaxed))
    }

    /// A block of ids for people.
    pub fn goids(&self, n: u64) -> u64 {
        self.goid.fetch_add(n, Ordering::Relaxed)
    }

    /// Gives out no number below `first`. Before any is given out.
    pub fn begin_goids_at(&self, first: u64) {
        self.goid.fetch_max(first, Ordering::Relaxed);
    }

    /// Makes descriptors until there are `n` of them. False if there is no memory.
    pub fn reserve_gs(&self, n: usize) -> bool {
        let mut made = GList::new();
        let enough = loop {
            if self.allg_len.load(Ordering::Relaxed) as usize >= n {
                break true;
            }
            if !self.galloc_batch(G_CHUNK, |gp| made.push_back(gp)) {
                break false;
            }
        };
        self.gfree_list(&mut made);
        enough
    }

    /// Gs that live, exactly so while nothing runs.
    pub fn num_g(&self) -> i64 {
        // All ends first: an end that is counted has its beginning before it, so the result is never too low.
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

    // ---- allm -------------------------------------------------------------------------------------------------

    /// A new M in the list of all; None if there is no memory.
    pub fn malloc(&self, kind: Kind) -> Option<MRef> {
        let id = self.mid.fetch_add(1, Ordering::Relaxed) as u32;
        let m = try_leak(M::new(self, id, kind))?;
        // SAFETY: just leaked.
        let m = unsafe { MRef::from_ptr(std::ptr::from_ref(m).cast_mut()) }?;
        let mut n = self.allm_lock.lock();
        *n += 1;
        m.all_link.set(self.allm.load(Ordering::Relaxed));
        // Release: pairs with the Acquire in `every_m`.
        self.allm.store(m.as_ptr(), Ordering::Release);
        Some(m)
    }

    /// Every M ever made.
    pub fn every_m(&self) -> impl Iterator<Item = MRef> + '_ {
        // SAFETY: the list holds Ms, which are never freed.
        std::iter::successors(unsafe { MRef::from_ptr(self.allm.load(Ordering::Acquire)) }, |m| unsafe {
            step();
            MRef::from_ptr(m.all_link.get())
        })
    }

    /// Whether something that the caller has just counted may not begin any more.
    pub fn is_closing(&self) -> bool {
        // EXIT: pairs with the fence in `close`: one of us sees what the other wrote.
        fence(Ordering::SeqCst);
        self.closing.load(Ordering::SeqCst)
    }

    /// Ends all beginnings, if nothing is there: no G, nothing queued. The world is stopped.
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

    /// Tells those who wait for an end (the last G, a deadlock) to look again.
    #[inline]
    pub fn tell_watchers(&self) {
        if self.watchers.load(Ordering::SeqCst) != 0 {
            self.watch.happen();
        }
    }

    /// As [`Sched::tell_watchers`], but those that sleep sleep on: the caller holds a lock, and tells later.
    pub fn count_for_watchers(&self) {
        if self.watchers.load(Ordering::SeqCst) != 0 {
            self.watch.count();
        }
        // Pairs with the fence of V5 in rt/main.rs: whoever sees what the caller does next sees the count.
        fence(Ordering::SeqCst);
    }

    /// The stack size for a new G that was asked for. Where all stacks are made at the start they have one size, which does for a
    /// smaller one.
    pub fn stack_size_for(&self, asked: u32) -> u32 {
        if self.cfg.sealed.get() && asked as usize <= self.cfg.stack_size.get() { 0 } else { asked }
    }

    pub fn free_stack(&self, s: Stack) {
        self.stacks.free(s);
    }

    /// The cheap clock; at most one round of sysmon behind.
    #[inline(always)]
    pub fn coarse_now(&self) -> i64 {
        self.coarse.get()
    }
}

/// Boxes and leaks; None if there is no memory (a box would abort).
pub fn try_leak<T>(v: T) -> Option<&'static T> {
    let layout = std::alloc::Layout::new::<T>();
    if layout.size() == 0 {
        return None;
    }
    // SAFETY: the layout is not empty; the memory is written before it is referred to.
    unsafe {
        let p = std::alloc::alloc(layout).cast::<T>();
        if p.is_null() {
            return None;
        }
        p.write(v);
        #[cfg(any(loom, shuttle))]
        leaked::note(move || {
            p.drop_in_place();
            std::alloc::dealloc(p.cast(), layout);
        });
        Some(&*p)
    }
}

/// As [`try_leak`] for a value that is all zeros, which is made where it stays.
///
/// # Safety
/// Zeros are a `T`.
unsafe fn try_leak_zeroed<T>() -> Option<&'static T> {
    let layout = std::alloc::Layout::new::<T>();
    // SAFETY: no T here is empty; zeros are one, by the caller's promise.
    unsafe {
        let p = std::alloc::alloc_zeroed(layout).cast::<T>();
        #[cfg(any(loom, shuttle))]
        leaked::note(move || std::alloc::dealloc(p.cast(), layout));
        p.as_ref()
    }
}

/// What was leaked, for a model to take back at the end of an execution, of which there are very many.
#[cfg(any(loom, shuttle))]
pub mod leaked {
    use std::cell::RefCell;

    thread_local! {
        static LEAKED: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
    }

    pub fn note(free: impl FnOnce() + 'static) {
        LEAKED.with_borrow_mut(|l| l.push(Box::new(free)));
    }

    /// Frees everything, the newest first, when nothing refers to it any more.
    pub fn free() {
        while let Some(f) = LEAKED.with_borrow_mut(Vec::pop) {
            f();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn no_key_comes_twice() {
        let keys = Keys::new();
        for (at, word) in keys.words.iter().enumerate() {
            word.set(if at == 5 { (KEY_GENERATIONS - 2) << 1 } else { KEY_GENERATIONS << 1 });
        }
        for _ in 0..2 {
            let (key, at) = keys.create(None).unwrap();
            assert_eq!((at, keys.place(key)), (5, Some(5)));
            assert!(keys.delete(key));
            assert_eq!(keys.place(key), None);
            assert!(!keys.delete(key));
        }
        assert!(keys.create(None).is_none(), "its 2^24 keys are used up");
        assert_eq!(keys.place(6), None, "its first key");
    }

    /// Random puts and gets against one plain list.
    #[test]
    fn the_global_queue_is_first_in_first_out() {
        crate::ds::rng::seeds(8).for_each(|seed| {
            let rng = crate::ds::rng::Rng::new(seed);
            let all: Vec<GRef> = (0..200).map(GRef::for_test).collect();
            // Any address will do: what is locked is all that the queue asks.
            all.iter().step_by(3).for_each(|gp| gp.lockedm.set(std::ptr::dangling_mut()));
            let (mut q, mut model) = (GlobalQ::default(), VecDeque::new());
            let mut out = all.clone();
            for _ in 0..5000 {
                match rng.next() % 8 {
                    0..4 => {
                        if let Some(gp) = (!out.is_empty()).then(|| out.swap_remove(rng.next() as usize % out.len())) {
                            q.put(gp);
                            model.push_back(gp);
                        }
                    }
                    4..7 => {
                        assert!(q.head() == model.front().copied());
                        let got = q.get();
                        assert!(got == model.pop_front());
                        out.extend(got);
                    }
                    _ => {
                        let at = model.iter().position(|gp| !gp.lockedm.is_null());
                        let got = q.get_locked();
                        assert!(got == at.and_then(|at| model.remove(at)));
                        out.extend(got);
                    }
                }
                assert_eq!(q.len(), model.len());
            }
        });
    }
}
