//! The one runtime of this process: its beginning and its end, how a thread enters it, and fork.
//!
//! The statics of the library are in this layer, and in no layer below it. A runtime that was shut down keeps its
//! memory and is reused: a thread of the host may still hold one of its Ms. Only the child of a fork begins with a new
//! runtime.

pub mod apart;
pub mod config;
mod descriptor;
pub mod dump;
#[cfg(not(any(loom, shuttle)))]
pub mod gdb;
pub mod main_g;
pub mod metrics;
pub mod notify;
mod nudge;
pub mod page;
pub mod report;
pub mod stacks;
pub mod strict;
pub mod table;
pub mod trace;
pub mod trouble;

use crate::block::{fd, post, process};
use crate::fiber::host;
use crate::fiber::overflow::{self, Fault, Seen};
use crate::fiber::sanitize;
use crate::fiber::stack::{PoolOptions, Stack, StackPool};
use crate::fiber::text::Line;
use crate::gmp::config::Hooks;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GList, GRef, gflag};
use crate::gmp::m::{Ctx, Kind, M, MRef};
use crate::gmp::p::STACK_CACHE;
use crate::gmp::sched::Sched;
use crate::protocol::{foreign, seize, store, wake};
use crate::sched::run;
use crate::sched::sysmon;
use crate::sched::template::{self, Duties};
use crate::sched::{life, world};
use crate::sync::{Note, Ordering, RawMutex, now};
use crate::sys;
pub use config::inherited;
use config::{Debug, Environment, Options, Preempt};
use report::{Text, Words};
use std::ffi::c_void;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};

/// The number of pending requests to Ps, which `gmx_safepoint` polls. The symbol has the size of its cache line: a
/// program into which the linker copies it (a copy relocation) then gives it a line of its own too.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static gmx_poll_word: crate::ds::line::Line<AtomicU32> = crate::ds::line::Line::new(AtomicU32::new(0));

static SCHED: AtomicPtr<Sched> = AtomicPtr::new(std::ptr::null_mut());
/// The runtime is up. Written under [`BEGIN_END`].
static UP: AtomicBool = AtomicBool::new(false);
/// The runtime has ended and its threads are leaving. Written under [`BEGIN_END`].
static ENDING: AtomicBool = AtomicBool::new(false);
/// A thread joins the threads that are leaving.
static JOINING: AtomicBool = AtomicBool::new(false);
/// Held while the runtime begins, and where an end begins and is completed; never while a thread is joined or the
/// host's code runs. A raw mutex, because a child of fork may have to open it.
static BEGIN_END: RawMutex = RawMutex::new();
/// The threads that run no Gs.
static TEMPLATE: Service = Service::new();
static SYSMON: Service = Service::new();

/// While this value lives, no beginning and no end of the runtime can run elsewhere.
struct Excluded;

impl Excluded {
    fn new() -> Excluded {
        BEGIN_END.lock();
        Excluded
    }
}

impl Drop for Excluded {
    fn drop(&mut self) {
        BEGIN_END.unlock();
    }
}

// ---- entering -------------------------------------------------------------------------------------------------------

/// The M of the calling thread, in whatever context it is. Starts the runtime if it is not up, and gives the thread an
/// M if it has none.
#[inline(always)]
pub fn enter() -> Result<MRef> {
    match MRef::current() {
        Some(m) if m.ctx() != Ctx::Foreign || UP.load(Ordering::Acquire) => Ok(m),
        known => enter_slow(known),
    }
}

#[cold]
#[inline(never)]
fn enter_slow(known: Option<MRef>) -> Result<MRef> {
    let sched = begin(&Options::default(), false)?;
    known.map_or_else(|| make_known(sched), Ok)
}

/// The M of the calling thread, for a call that needs no runtime: it starts none, and does not wait for one that ends.
pub fn enter_without() -> Result<MRef> {
    match MRef::current() {
        Some(m) => Ok(m),
        None => make_known(sched_of_process()?),
    }
}

fn make_known(sched: &'static Sched) -> Result<MRef> {
    let tid = sys::gettid();
    let m = foreign::needm(sched, tid).ok_or(Error::NoMemory)?;
    let survivor = SURVIVOR.load(Ordering::Relaxed);
    if survivor != 0 && tid == sys::main_tid() {
        // The thread keeps the ownership of what it locked before the fork.
        m.own_g().goid.set(survivor);
    }
    sys::arch::set_current_m(m.as_ptr().cast());
    if exit_key().is_none_or(|key| key.set(m.as_ptr().cast()).is_err()) {
        sys::arch::set_current_m(std::ptr::null_mut());
        foreign::dropm(m);
        return Err(Error::NoMemory);
    }
    Ok(m)
}

/// The key whose destructor reports the end of a foreign thread. Made when the first one enters; if all keys of the
/// process are in use, the next thread tries again. It needs no lock: a child of fork could find a lock held for good.
fn exit_key() -> Option<sys::ThreadExitKey> {
    const NONE: u32 = u32::MAX;
    static KEY: AtomicU32 = AtomicU32::new(NONE);
    match KEY.load(Ordering::Relaxed) {
        NONE => {
            let new = sys::ThreadExitKey::create(thread_exit).ok()?;
            // Relaxed: the number alone is shared.
            match KEY.compare_exchange(NONE, new.number(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => Some(new),
                Err(first) => {
                    new.delete();
                    Some(sys::ThreadExitKey::of(first))
                }
            }
        }
        made => Some(sys::ThreadExitKey::of(made)),
    }
}

unsafe extern "C" fn thread_exit(p: *mut c_void) {
    // SAFETY: the key holds the M of this thread.
    let Some(m) = (unsafe { MRef::from_ptr(p.cast()) }) else { return };
    // In a child of fork the slot was emptied, and the M belongs to the parent's runtime.
    if MRef::current() != Some(m) {
        return;
    }
    run::thread_exit(m);
    sys::arch::set_current_m(std::ptr::null_mut());
    m.sched().tell_watchers();
}

/// The runtime, if it is up.
pub fn up() -> Option<&'static Sched> {
    if !UP.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: a Sched is never freed.
    unsafe { SCHED.load(Ordering::Acquire).as_ref() }
}

// ---- when the library is loaded -------------------------------------------------------------------------------------

/// A C++ runtime that cannot be found was reported; once in the process.
static CXX_TOLD: AtomicBool = AtomicBool::new(false);
/// [`load`] has run.
static LOADED: AtomicBool = AtomicBool::new(false);

/// Runs when the library is loaded, or when a program starts that contains it, before a thread can be inside the
/// library. Otherwise a child of fork could find the lock of another thread's first call held. (Miri knows only some of
/// the functions of the C library that this calls. What runs under Miri needs none of them.)
#[cfg(not(any(loom, shuttle)))]
#[used]
#[cfg_attr(not(miri), unsafe(link_section = ".init_array"))]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    load();
}

/// False if there is no memory. (A host that calls the library in a constructor of its own may do so before this
/// constructor has run.)
fn load() -> bool {
    if LOADED.load(Ordering::Relaxed) {
        return true;
    }
    sys::stderr::remember();
    let debug = Environment::read().debug;
    strict::set(debug.strict);
    sys::heap::choose(debug.malloc.unwrap_or_else(sys::checker::is_there));
    host::look_for_cxx(debug.cxx);
    sys::at_load();
    let done = sys::at_fork(before_fork, after_fork, forked);
    LOADED.store(done, Ordering::Relaxed);
    done
}

// ---- beginning ------------------------------------------------------------------------------------------------------

/// Starts the runtime. `strict`: it must not be up yet.
pub fn begin(options: &Options, strict: bool) -> Result<&'static Sched> {
    // Before the lock is taken: the loader may hold its own lock for as long as the host likes.
    if !load() {
        return Err(Error::NoMemory);
    }
    let mut excluded = Excluded::new();
    loop {
        if let Some(sched) = up() {
            return if strict { Err(Error::Busy) } else { Ok(sched) };
        }
        if !ENDING.load(Ordering::Relaxed) {
            break;
        }
        drop(excluded);
        // Its threads may have left since a shutdown that ran out of time. This call does not wait for them: its caller
        // could be a thread that they wait for.
        if !end_if_left(now()) {
            return Err(Error::ShutDown);
        }
        excluded = Excluded::new();
    }
    sys::stderr::remember();
    let env = Environment::read();
    let sched = begin_excluded(options, &env).inspect_err(|_| sys::without::nothing())?;
    let procs = sched.procs_default.get();
    drop(excluded);
    let mut name = [0; 256];
    let hidden = if CXX_TOLD.load(Ordering::Relaxed) { None } else { hidden_cxx(&mut name) };
    // Not before: the host's report function may call the library.
    let mut remark = Text::new();
    let _ = env.remark(&mut remark, options, procs);
    if let Some(len) = hidden {
        CXX_TOLD.store(true, Ordering::Relaxed);
        let _ = writeln!(
            remark,
            "libgomax: {} holds a C++ runtime that cannot be found: exceptions that it throws do not go with goroutines; link \
             it with the shared libstdc++",
            Words(&name[..len]),
        );
    }
    if !remark.as_bytes().is_empty() {
        report::emit(remark.as_bytes());
    }
    if let Some(address) = env.http(&mut [0; config::ADDRESS_BYTES]) {
        page::by_setting(address);
    }
    Ok(sched)
}

/// Held while the caller may hold a lock of the loader.
static IN_LOADER: RawMutex = RawMutex::new();

fn hidden_cxx(name: &mut [u8]) -> Option<usize> {
    IN_LOADER.lock();
    let found = host::hidden_cxx(name);
    IN_LOADER.unlock();
    found
}

fn begin_excluded(options: &Options, env: &Environment) -> Result<&'static Sched> {
    sys::without::open_files(!options.no_files);
    let sched = sched_excluded(&env.debug)?;
    lend_fence(sched, env.debug.membarrier && !options.no_membarrier);
    options.apply(sched, env);
    if !sched.stacks.set_rules(options.rules()) {
        return Err(Error::NoMemory);
    }
    if sched.stacks.ensure(sched.cfg.stack_size.get()).is_err() {
        return Err(Error::NoMemory);
    }
    let procs = options.procs(env);
    sched.procs_follow.set(procs.follow);
    sched.procs_default.set(procs.n);
    if !world::fits(procs.n) {
        return Err(Error::NoMemory);
    }
    if sched.procs() == 0 {
        if !life::first_procs(sched, procs.n as u32) {
            return Err(Error::NoMemory);
        }
    } else if sched.procs() != procs.n as u32 && !life::procs_while_down(sched, procs.n as u32) {
        return Err(Error::NoMemory);
    }
    if sched.stacks.bind_at_spawn() {
        // Numbers left from an earlier run would let spawns skip the check.
        sched.every_p().for_each(|p| p.goid_end.set(p.goid_next.get()));
    }
    sched.exiting.store(false, Ordering::Release);
    sched.started.set(now());
    sched.coarse.set(now());
    sched.signals.set(sys::Signals::blocked_by_main().0);
    sched.hogs.want(options.report.is_some() || env.debug.hogs);
    sys::cpu_timer::set_signal(options.preempt_signal);
    if let Some(path) = env.trace() {
        // Without memory for it there is no trace.
        let _ = trace::until_exit(sched, path, (env.debug.trace_kb << 10) as usize);
    }
    start_threads(sched)?;
    if options.all_at_start != 0 && !make_all(sched, options.all_at_start) {
        stop_threads(sched);
        return Err(Error::NoMemory);
    }
    life::open(sched);
    if !options.no_sigsegv && env.debug.sigsegv {
        // SAFETY: `describe_fault` and `emit` only read and write; beginnings and ends exclude each other. An error is
        // ignored: without the handler an overflow is a bare fault.
        let _ = unsafe { overflow::install(describe_fault, report::emit) };
    }
    let preempt = env.debug.preempt.unwrap_or(options.preempt);
    // Without such a fence no thread can tell from outside where another one is.
    sched.cfg.seizes.set(preempt != Preempt::Off && crate::sync::has_asymmetric_fence());
    let nudges = preempt == Preempt::On && sched.cfg.seizes.get() && options.all_at_start == 0;
    // SAFETY: beginnings and ends exclude each other.
    sched.cfg.nudges.set(nudges && sys::cpu_timer::is_sound() && unsafe { nudge::install() });
    crate::sync::locks_need(seize::may_lock);
    UP.store(true, Ordering::Release);
    Ok(sched)
}

/// Called before the first thread of this runtime is in a syscall of the library.
fn lend_fence(sched: &Sched, wanted: bool) {
    sys::register_membarrier(wanted);
    // An earlier runtime, which had no such fence, may have marked threads of the host.
    sched.every_m().for_each(|m| m.set_fenced(false));
}

/// Makes everything that this many goroutines need, and seals the runtime: nothing is made later. Each P keeps free
/// descriptors and stacks that other Ps do not get, so it makes as many more as all Ps keep. False if there is no
/// memory.
fn make_all(sched: &Sched, goroutines: usize) -> bool {
    let procs = sched.procs() as usize;
    let stacks = goroutines.saturating_add(procs * 2 * STACK_CACHE);
    if !sched.reserve_gs(goroutines.saturating_add(procs * 2 * store::G_KEEP as usize)) {
        return false;
    }
    let mut made: Vec<Stack> = Vec::new();
    if made.try_reserve_exact(stacks).is_err() {
        return false;
    }
    let size = sched.cfg.stack_size.get();
    made.extend((0..stacks).map_while(|_| sched.stacks.alloc(size).ok()));
    let enough = made.len() == stacks;
    // Uses up the rest of the last arena: stacks that are not cut yet would need a guard later.
    sys::without::end_mappings();
    while enough
        && made.try_reserve(1).is_ok()
        && let Ok(stack) = sched.stacks.alloc(size)
    {
        made.push(stack);
    }
    sys::without::seal();
    sched.stacks.free_batch(&made);
    enough
}

/// Ends the threads of a start that failed. They have run no G.
fn stop_threads(sched: &'static Sched) {
    sched.exiting.store(true, Ordering::Release);
    wake::wake_all(sched);
    sched.sysmon_note.wakeup();
    sched.template_note.wakeup();
    join_all(sched, None);
}

/// The Sched of this process, which need not be up.
fn sched_of_process() -> Result<&'static Sched> {
    // SAFETY: a Sched is never freed.
    if let Some(sched) = unsafe { SCHED.load(Ordering::Acquire).as_ref() } {
        return Ok(sched);
    }
    if !load() {
        return Err(Error::NoMemory);
    }
    let debug = Environment::read().debug;
    let _excluded = Excluded::new();
    sched_excluded(&debug)
}

/// As [`sched_of_process`], under [`BEGIN_END`].
fn sched_excluded(debug: &Debug) -> Result<&'static Sched> {
    // SAFETY: a Sched is never freed.
    if let Some(sched) = unsafe { SCHED.load(Ordering::Relaxed).as_ref() } {
        return Ok(sched);
    }
    let sched = new_sched(debug)?;
    SCHED.store(std::ptr::from_ref(sched).cast_mut(), Ordering::Release);
    Ok(sched)
}

/// An event of a descriptor. It wakes the callers that wait, and some events are the library's own.
fn io_event(sched: &Sched, key: u64, bits: u32, list: &mut GList) {
    fd::event(sched, key, bits, list);
    process::event(sched, key);
    notify::event(sched, key);
}

fn new_sched(debug: &Debug) -> Result<&'static Sched> {
    #[cfg(not(any(loom, shuttle)))]
    gdb::keep();
    std::hint::black_box(&AT_LOAD);
    sys::arch::keep::look_at_registers();
    let g_entry = if sanitize::is_there() { run::g_entry_told } else { run::g_entry };
    let hooks = Hooks { start_thread, g_entry, io_event, report: report::tell, fatal: report::fatal };
    let stacks = StackPool::new(PoolOptions { force_guard: debug.guard, ..PoolOptions::default() });
    let sched = Sched::new(hooks, stacks, &gmx_poll_word, now()).ok_or(Error::NoMemory)?;
    sched.begin_goids_at(FIRST_GOID.load(Ordering::Relaxed));
    Ok(sched)
}

unsafe fn start_thread(m: MRef) -> std::result::Result<(), i32> {
    let stack = m.sched().cfg.g0_stack_size.get();
    // SAFETY: `mstart` takes the M over.
    unsafe { sys::spawn_thread(stack, "gomax", run::mstart, m.as_ptr().cast()) }?;
    Ok(())
}

/// A thread that runs no Gs, and its M.
struct Service {
    m: AtomicPtr<M>,
    /// The thread's handle; 0 if there is none.
    thread: AtomicU64,
}

impl Service {
    const fn new() -> Service {
        Service { m: AtomicPtr::new(std::ptr::null_mut()), thread: AtomicU64::new(0) }
    }

    /// Its M: the one of its last run, or a new one.
    fn m(&self, sched: &'static Sched) -> Result<MRef> {
        // SAFETY: the word holds null or an M.
        if let Some(m) = unsafe { MRef::from_ptr(self.m.load(Ordering::Relaxed)) } {
            return Ok(m);
        }
        let m = sched.malloc(Kind::Worker).ok_or(Error::NoMemory)?;
        self.m.store(m.as_ptr(), Ordering::Relaxed);
        Ok(m)
    }

    /// # Safety
    /// `entry(arg)` is sound on another thread.
    unsafe fn start(
        &self,
        name: &str,
        entry: extern "C" fn(*mut c_void) -> *mut c_void,
        arg: *mut c_void,
    ) -> Result<()> {
        // SAFETY: the caller's promise.
        let t = unsafe { sys::spawn_thread(SERVICE_STACK, name, entry, arg) }.map_err(|_| Error::Again)?;
        self.thread.store(t, Ordering::Relaxed);
        Ok(())
    }

    /// Joins the thread. False: it has not ended by the deadline.
    fn join(&self, deadline: Option<i64>) -> bool {
        let t = self.thread.load(Ordering::Relaxed);
        let joined = t == 0 || sys::join_thread_until(t, deadline);
        if joined {
            self.thread.store(0, Ordering::Relaxed);
        }
        joined
    }

    /// In a child of fork, whose parent's runtime owns the M.
    fn forget(&self) {
        self.m.store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

const SERVICE_STACK: usize = 256 << 10;

/// The arguments of the template thread at its start, and its answer. They live until the answer.
struct Launch {
    template: MRef,
    sysmon: MRef,
    began: AtomicBool,
    answered: Note,
}

/// Starts the template thread, which makes the watchdog and the first worker: from then on there is always a thread
/// that can make progress.
fn start_threads(sched: &'static Sched) -> Result<()> {
    let launch = Launch {
        template: TEMPLATE.m(sched)?,
        sysmon: SYSMON.m(sched)?,
        began: AtomicBool::new(false),
        answered: Note::new(),
    };
    // SAFETY: `launch` lives until the thread has answered, and the thread does not look at it afterwards.
    unsafe { TEMPLATE.start("gomax-template", template_start, (&raw const launch).cast_mut().cast()) }?;
    launch.answered.sleep();
    if launch.began.load(Ordering::Acquire) {
        return Ok(());
    }
    // Workers may have been made before one was refused.
    stop_threads(sched);
    Err(Error::Again)
}

extern "C" fn template_start(arg: *mut c_void) -> *mut c_void {
    // SAFETY: `start_threads` passes a `Launch` and waits for the answer.
    let launch = unsafe { &*arg.cast::<Launch>() };
    let (m, sysmon_m) = (launch.template, launch.sysmon);
    let sched = m.sched();
    sys::become_like_main_thread();
    run::minit(m);
    sched.seated.store(0, Ordering::Relaxed);
    // SAFETY: `sysmon_start` takes the M over.
    let watched = unsafe { SYSMON.start("gomax-sysmon", sysmon_start, sysmon_m.as_ptr().cast()) }.is_ok();
    let began = watched && wake::first_workers(sched);
    if began && sched.cfg.sealed.get() {
        wait_until_seated(sched);
    }
    launch.began.store(began, Ordering::Release);
    launch.answered.wakeup();
    if began {
        let mut counter = sys::ncpu::Procs::of(0);
        let mut trouble = trouble::Trouble::default();
        let mut duties = Duties {
            procs: &mut || counter.current(),
            resize: &mut |_| main_g::spawn_resizer(m),
            trace: &mut dump::schedtrace,
            hog: &mut report::hog,
            watch_again: &mut |m| {
                let (watched, lost) = fd::epoll::watch_again(m);
                report::poll_was_lost(watched, lost);
            },
            trouble: &mut |sched| trouble.look(sched),
        };
        template::template(sched, m, &mut duties);
    }
    sys::arch::set_current_m(std::ptr::null_mut());
    std::ptr::null_mut()
}

/// Waits until the watchdog and each worker have obtained what they need from the system.
fn wait_until_seated(sched: &Sched) {
    loop {
        let seen = sched.watch.now();
        // Acquire: pairs with the Release of `take_seat`.
        if sched.seated.load(Ordering::Acquire) > sched.cfg.max_threads.get() {
            return;
        }
        sched.watch.wait(seen, None);
    }
}

extern "C" fn sysmon_start(arg: *mut c_void) -> *mut c_void {
    // SAFETY: `template_start` passes the M.
    let Some(m) = (unsafe { MRef::from_ptr(arg.cast()) }) else { return std::ptr::null_mut() };
    run::minit(m);
    run::take_seat(m.sched());
    sysmon::sysmon(m.sched(), m);
    sys::arch::set_current_m(std::ptr::null_mut());
    std::ptr::null_mut()
}

/// The number of Ps that the machine offers, by the affinity of the threads that run Gs. That is the affinity of the
/// main thread when the runtime begins.
pub fn machine_procs() -> i32 {
    // SAFETY: the word holds null or an M.
    let template = unsafe { MRef::from_ptr(TEMPLATE.m.load(Ordering::Relaxed)) }.filter(|_| up().is_some());
    sys::ncpu::default_procs(template.map_or_else(sys::main_tid, |m| m.tid.get())).max(1)
}

// ---- end ------------------------------------------------------------------------------------------------------------

/// Waits until no G lives, then ends every thread of the library.
///
/// A thread that ends runs destructors of the host, which may call the library, or wait for a thread that does. So no
/// lock is held while threads leave, and only this call waits for them. Meanwhile calls that need a runtime are
/// refused, and calls that need none work.
pub fn shutdown(timeout: i64) -> Result<()> {
    // SAFETY: a Sched is never freed.
    let Some(sched) = (unsafe { SCHED.load(Ordering::Acquire).as_ref() }) else { return Ok(()) };
    let deadline = crate::block::waitq::deadline_of(timeout);
    let mut ended = Ok(());
    if up().is_some() {
        let m = enter_without()?;
        sched.watchers.fetch_add(1, Ordering::SeqCst);
        ended = wait_for_end(sched, m, deadline);
        sched.watchers.fetch_sub(1, Ordering::SeqCst);
    }
    if ENDING.load(Ordering::Acquire) {
        sched.watchers.fetch_add(1, Ordering::SeqCst);
        ended = wait_until_left(sched, deadline);
        sched.watchers.fetch_sub(1, Ordering::SeqCst);
    }
    ended
}

/// The time that threads have at least to leave after they were told. Most need far less.
const LEAVE_PATIENCE: i64 = 1_000_000_000;

fn wait_until_left(sched: &'static Sched, deadline: Option<i64>) -> Result<()> {
    let until = deadline.map(|d| d.max(now() + LEAVE_PATIENCE));
    let me = sys::this_thread();
    if sched.every_m().any(|m| m.kind == Kind::Worker && m.alive.get() && m.thread.get() == me) {
        // A destructor calls: it would wait for its own thread.
        return Err(Error::ShutDown);
    }
    loop {
        let seen = sched.watch.now();
        if end_if_left_until(sched, until) || !ENDING.load(Ordering::Acquire) {
            return Ok(());
        }
        if until.is_some_and(|u| now() >= u) {
            return Err(Error::TimedOut);
        }
        // Another thread is joining them.
        sched.watch.wait(seen, until);
    }
}

/// Completes an end whose threads have left. False: they have not, or another thread is about to complete it.
fn end_if_left(deadline: i64) -> bool {
    // SAFETY: a Sched is never freed.
    unsafe { SCHED.load(Ordering::Acquire).as_ref() }.is_some_and(|sched| end_if_left_until(sched, Some(deadline)))
}

fn end_if_left_until(sched: &'static Sched, deadline: Option<i64>) -> bool {
    // Acquire: pairs with the Release below, so that the joins of the last joiner are seen.
    if JOINING.swap(true, Ordering::Acquire) {
        return false;
    }
    let left = ENDING.load(Ordering::Acquire) && join_all(sched, deadline);
    if left {
        let _excluded = Excluded::new();
        life::tidy_while_down(sched);
        report::lock_holds();
        // SAFETY: beginnings and ends exclude each other.
        unsafe { overflow::uninstall() };
        // SAFETY: as above.
        unsafe { nudge::uninstall() };
        sys::without::nothing();
        ENDING.store(false, Ordering::Release);
    }
    JOINING.store(false, Ordering::Release);
    sched.tell_watchers();
    left
}

/// Joins every thread of the library. False: some have not ended by the deadline; another call continues with them.
fn join_all(sched: &'static Sched, deadline: Option<i64>) -> bool {
    if !SYSMON.join(deadline) || !TEMPLATE.join(deadline) {
        return false;
    }
    for m in sched.every_m().filter(|m| m.kind == Kind::Worker && m.alive.get()) {
        while m.thread.get() == 0 {
            // The thread has not begun yet, and will.
            if deadline.is_some_and(|d| now() >= d) {
                return false;
            }
            sys::yield_thread();
        }
        if !sys::join_thread_until(m.thread.get() as _, deadline) {
            return false;
        }
        m.thread.set(0);
        m.alive.set(false);
        m.exiting.set(false);
        if m.timer_tid.replace(0) != 0 {
            sys::cpu_timer::delete(m.timer.get());
        }
        let mut lk = sched.lock.lock();
        m.link.set(lk.mfree);
        lk.mfree = m.as_ptr();
    }
    true
}

/// How often to look whether a thread of the host is still in a callback: its end is not reported.
const LOOK_EVERY: i64 = 10_000_000;

fn wait_for_end(sched: &'static Sched, m: MRef, deadline: Option<i64>) -> Result<()> {
    loop {
        let seen = sched.watch.now();
        let mut until = deadline;
        if sched.num_g() == 0 {
            if life::close(m, deadline, |_| tell_to_leave(sched))? {
                return Ok(());
            }
            let next = now() + LOOK_EVERY;
            until = Some(deadline.map_or(next, |d| d.min(next)));
        }
        if until.is_none() {
            // This thread is one that a deadlock may leave waiting.
            m.watching.set(M::WATCHING | u64::from(seen));
        }
        let told = sched.watch.wait(seen, until);
        m.watching.set(0);
        if !told && deadline.is_some_and(|d| now() >= d) {
            return Err(Error::TimedOut);
        }
    }
}

/// Tells all threads to leave. The world is stopped and no G lives.
fn tell_to_leave(sched: &'static Sched) {
    let _excluded = Excluded::new();
    // Set before the runtime stops being up: otherwise a beginning could come in between.
    ENDING.store(true, Ordering::Relaxed);
    UP.store(false, Ordering::Release);
    // A thread on its way to sleep sees it under the lock; sleeping threads are woken.
    sched.exiting.store(true, Ordering::Release);
    wake::wake_all(sched);
    sched.sysmon_note.wakeup();
    sched.template_note.wakeup();
}

// ---- fork -----------------------------------------------------------------------------------------------------------

/// The number of the first G that a child of fork makes: after all numbers that its parent used. Numbers identify the
/// owners of locks, and locks that were held when the process forked still name their owners in the child's memory.
static FIRST_GOID: AtomicU64 = AtomicU64::new(1);
/// In a child of fork, the number that its one thread had as an owner, and keeps. That thread is the child's main
/// thread.
static SURVIVOR: AtomicU64 = AtomicU64::new(0);

/// A fork waits until no thread of the library holds a lock of the loader, or changes the heap: the child would find
/// the lock held forever.
unsafe extern "C" fn before_fork() {
    // No thread may be held while it has this lock.
    seize::come_back();
    page::before_fork();
    IN_LOADER.lock();
    sys::heap::before_fork();
}

unsafe extern "C" fn after_fork() {
    sys::heap::after_fork();
    IN_LOADER.unlock();
    page::after_fork();
    seize::end_of_call();
}

/// The child of a fork has only the calling thread, and no runtime. The next call makes a new one.
unsafe extern "C" fn forked() {
    sys::heap::in_child();
    // SAFETY: a Sched is never freed, and its memory is in the child as well.
    if let Some(sched) = unsafe { SCHED.load(Ordering::Relaxed).as_ref() } {
        FIRST_GOID.store(sched.goids(0), Ordering::Relaxed);
        sched.net.poll.close_copies();
        post::close_copy(sched);
    }
    let survivor = MRef::current().and_then(|m| m.g()).map_or(0, |gp| gp.goid.get());
    SURVIVOR.store(survivor, Ordering::Relaxed);
    SCHED.store(std::ptr::null_mut(), Ordering::Relaxed);
    TEMPLATE.forget();
    SYSMON.forget();
    UP.store(false, Ordering::Relaxed);
    ENDING.store(false, Ordering::Relaxed);
    JOINING.store(false, Ordering::Relaxed);
    gmx_poll_word.store(0, Ordering::Relaxed);
    sys::without::nothing();
    main_g::forget();
    notify::forget();
    apart::forget();
    page::forget();
    sys::arch::set_current_m(std::ptr::null_mut());
    BEGIN_END.reopen();
    IN_LOADER.reopen();
}

// ---- faults ---------------------------------------------------------------------------------------------------------

/// Names the G in which a fault or an abort happened: always if its stack has overflowed, otherwise if the process
/// dies. Runs in a signal handler, and only reads.
unsafe fn describe_fault(fault: &Fault, line: &mut Line) -> Seen {
    let Some(m) = MRef::current() else { return Seen::default() };
    let nothing = Seen { told: false, ours: !m.is_extra() };
    let Some(gp) = m.g().filter(|_| m.ctx() != Ctx::Foreign) else { return nothing };
    // SAFETY: the G runs on this very thread.
    let stack = unsafe { gp.stack() }.filter(|_| !gp.has(gflag::FOREIGN));
    let overflowed = stack.zip(fault.addr).filter(|(stack, at)| stack.in_guard(*at));
    match overflowed {
        Some((stack, at)) => {
            g_words(line.text("libgomax: stack overflow in "), gp);
            let sched = m.sched();
            let (asked, by) = match gp.stack_size.get() as usize {
                0 => (sched.cfg.stack_size.get(), "gmx_config.stack_size, or gmx_spawn_opts.stack_size for this one"),
                asked => (asked, "gmx_spawn_opts.stack_size"),
            };
            line.text(": its stack of ").dec(asked as u64).text(" bytes is full");
            if asked != stack.size() {
                line.text(" (rounded up to ").dec(stack.size() as u64).text(")");
            }
            line.text("; raise ").text(by).text("; stack [").hex(stack.lo() as u64).text(", ").hex(stack.hi as u64);
            line.text("), fault at ").hex(at as u64).text("\n");
        }
        None if fault.dies => {
            line.text(match fault.signal {
                libc::SIGBUS => "libgomax: SIGBUS in ",
                libc::SIGFPE => "libgomax: SIGFPE in ",
                libc::SIGILL => "libgomax: SIGILL in ",
                libc::SIGABRT => "libgomax: SIGABRT in ",
                _ => "libgomax: SIGSEGV in ",
            });
            g_words(line, gp);
            if let Some(at) = fault.addr {
                line.text(" (fault at ").hex(at as u64).text(")");
            }
            line.text("\n");
        }
        None => return nothing,
    }
    Seen { told: true, ..nothing }
}

fn g_words(line: &mut Line, gp: GRef) {
    line.text("goroutine ").dec(gp.goid.get());
    let name = gp.name();
    if !name.bytes().is_empty() {
        line.text(" \"").name(name.bytes()).text("\"");
    }
}
