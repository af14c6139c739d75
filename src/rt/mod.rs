//! The one runtime of this process: its beginning and end, what a thread must know to come in, fork.
//!
//! The statics of the library are here and nowhere below. A runtime that was shut down keeps its memory and serves again:
//! a thread of the host may still hold one of its Ms. Only a child of fork begins with a new one.

pub mod config;
pub mod dump;
#[cfg(not(any(loom, shuttle)))]
pub mod gdb;
pub mod main;
pub mod report;

use crate::fiber::host;
use crate::fiber::overflow::{self, Line};
use crate::fiber::stack::{PoolOptions, StackPool};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::gflag;
use crate::gmp::m::{Ctx, Kind, M, MRef};
use crate::gmp::sched::{Hooks, Sched};
use crate::protocol::{foreign, wake};
use crate::sched::run::{self, current};
use crate::sched::sysmon::{self, Duties};
use crate::sched::world;
use crate::sync::{Ordering, RawMutex, now};
use crate::sys;
use config::{Debug, Environment, Options};
use report::Text;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};

/// How many requests to Ps are pending: what `gmx_safepoint` polls. The symbol has the size of its line: a program into
/// which the linker copies it (a copy relocation) then gives it a line of its own too.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static gmx_poll_word: crate::ds::line::Line<AtomicU32> = crate::ds::line::Line::new(AtomicU32::new(0));

static SCHED: AtomicPtr<Sched> = AtomicPtr::new(std::ptr::null_mut());
/// The runtime is up. Written under [`BEGIN_END`].
static UP: AtomicBool = AtomicBool::new(false);
/// Held while the runtime begins or ends. A raw one, because a child of fork may have to open it.
static BEGIN_END: RawMutex = RawMutex::new();
static FORK_HANDLER: AtomicBool = AtomicBool::new(false);
static SYSMON: AtomicU64 = AtomicU64::new(0);
static SYSMON_M: AtomicPtr<M> = AtomicPtr::new(std::ptr::null_mut());

/// Beginning and end exclude each other.
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

// ---- coming in -------------------------------------------------------------------------------------------------------

/// The M of the calling thread, in whatever context it is. Starts the runtime if it is not up, and makes the thread known
/// if it is not.
#[inline(always)]
pub fn enter() -> Result<MRef> {
    match current() {
        Some(m) if m.ctx() != Ctx::Foreign || UP.load(Ordering::Acquire) => Ok(m),
        known => enter_slow(known),
    }
}

#[cold]
#[inline(never)]
fn enter_slow(known: Option<MRef>) -> Result<MRef> {
    let sched = begin(&Options::default(), false)?;
    if let Some(m) = known {
        return Ok(m);
    }
    let m = foreign::needm(sched, sys::gettid()).ok_or(Error::NoMemory)?;
    sys::arch::set_current_m(m.as_ptr().cast());
    if exit_key().is_none_or(|key| key.set(m.as_ptr().cast()).is_err()) {
        sys::arch::set_current_m(std::ptr::null_mut());
        foreign::dropm(m);
        return Err(Error::NoMemory);
    }
    Ok(m)
}

/// The key whose destructor tells of the end of a foreign thread. Made when the first one comes in; when all keys of the process
/// are in use, the next thread tries again. No lock: a child of fork could find it held for good.
fn exit_key() -> Option<sys::ThreadExitKey> {
    const NONE: u32 = u32::MAX;
    static KEY: AtomicU32 = AtomicU32::new(NONE);
    match KEY.load(Ordering::Relaxed) {
        NONE => {
            let new = sys::ThreadExitKey::create(thread_exit).ok()?;
            // Relaxed: the number is all there is.
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
    // In a child of fork the slot was emptied, and the M belongs to a runtime that is not here.
    if current() != Some(m) {
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

// ---- loading ---------------------------------------------------------------------------------------------------------

/// Runs when the library is loaded, or when a program starts that contains it.
extern "C" fn at_load() {
    host::look_for_cxx(Environment::read().debug.cxx);
}

#[cfg(not(any(loom, shuttle)))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

// ---- beginning -------------------------------------------------------------------------------------------------------

/// Starts the runtime. `strict`: it must not be up yet.
pub fn begin(options: &Options, strict: bool) -> Result<&'static Sched> {
    let excluded = Excluded::new();
    if let Some(sched) = up() {
        return if strict { Err(Error::Busy) } else { Ok(sched) };
    }
    let env = Environment::read();
    let sched = begin_excluded(options, &env)?;
    let procs = sched.procs_default.get();
    drop(excluded);
    // Not before: the host's function for reports may call the library.
    let mut remark = Text::new();
    let _ = env.remark(&mut remark, options, procs);
    if !remark.as_bytes().is_empty() {
        report::emit(remark.as_bytes());
    }
    Ok(sched)
}

fn begin_excluded(options: &Options, env: &Environment) -> Result<&'static Sched> {
    if !FORK_HANDLER.load(Ordering::Relaxed) {
        if !sys::at_fork(forked) {
            return Err(Error::NoMemory);
        }
        FORK_HANDLER.store(true, Ordering::Relaxed);
    }
    // SAFETY: a Sched is never freed.
    let old = unsafe { SCHED.load(Ordering::Relaxed).as_ref() };
    let sched = match old {
        Some(sched) => sched,
        None => new_sched(&env.debug)?,
    };
    options.apply(sched, env);
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
        if !world::first_procs(sched, procs.n as u32) {
            return Err(Error::NoMemory);
        }
    } else if sched.procs() != procs.n as u32 && !world::procs_while_down(sched, procs.n as u32) {
        return Err(Error::NoMemory);
    }
    // A program that is linked statically may leave out what runs at the load.
    at_load();
    sched.exiting.store(false, Ordering::Release);
    sched.started.set(now());
    sched.coarse.set(now());
    start_sysmon(sched)?;
    if !wake::first_worker(sched) {
        sched.exiting.store(true, Ordering::Release);
        sched.sysmon_note.wakeup();
        sys::join_thread(SYSMON.load(Ordering::Relaxed) as _);
        return Err(Error::Again);
    }
    world::open(sched);
    // SAFETY: `describe` and `emit` only read and write; beginnings and ends exclude each other. Without the handler an
    // overflow is a bare fault.
    let _ = unsafe { overflow::install(describe_overflow, report::emit) };
    SCHED.store(std::ptr::from_ref(sched).cast_mut(), Ordering::Release);
    UP.store(true, Ordering::Release);
    Ok(sched)
}

fn new_sched(debug: &Debug) -> Result<&'static Sched> {
    #[cfg(not(any(loom, shuttle)))]
    gdb::keep();
    let hooks = Hooks { start_thread, g_entry: run::g_entry, report: report::tell, fatal: report::fatal };
    let stacks = StackPool::new(PoolOptions::default());
    // Before the first thread of this process (or child of fork) is in a syscall of ours.
    sys::lend_heavy_fence(debug.membarrier);
    Sched::new(hooks, stacks, &gmx_poll_word, now()).ok_or(Error::NoMemory)
}

unsafe fn start_thread(m: MRef) -> std::result::Result<(), i32> {
    let stack = m.sched().cfg.g0_stack_size.get();
    // SAFETY: `mstart` takes the M over.
    unsafe { sys::spawn_thread(stack, "gomax", run::mstart, m.as_ptr().cast()) }?;
    Ok(())
}

fn start_sysmon(sched: &'static Sched) -> Result<()> {
    // SAFETY: the word holds null or an M.
    let m = match unsafe { MRef::from_ptr(SYSMON_M.load(Ordering::Relaxed)) } {
        Some(m) if std::ptr::eq(m.sched, sched) => m,
        _ => sched.malloc(Kind::Worker).ok_or(Error::NoMemory)?,
    };
    SYSMON_M.store(m.as_ptr(), Ordering::Relaxed);
    // SAFETY: `sysmon_start` takes the M over.
    let t = unsafe { sys::spawn_thread(256 << 10, "gomax-sysmon", sysmon_start, m.as_ptr().cast()) };
    let t = t.map_err(|_| Error::Again)?;
    SYSMON.store(t as u64, Ordering::Relaxed);
    Ok(())
}

extern "C" fn sysmon_start(arg: *mut c_void) -> *mut c_void {
    // SAFETY: `start_sysmon` passes the M.
    let Some(m) = (unsafe { MRef::from_ptr(arg.cast()) }) else { return std::ptr::null_mut() };
    run::minit(m);
    let sched = m.sched();
    let mut counter = sys::ncpu::Procs::new();
    let mut duties = Duties {
        procs: &mut || counter.current(),
        resize: &mut |_| main::spawn_resizer(m),
        trace: &mut dump::schedtrace,
    };
    sysmon::sysmon(sched, m, &mut duties);
    sys::arch::set_current_m(std::ptr::null_mut());
    std::ptr::null_mut()
}

// ---- end -------------------------------------------------------------------------------------------------------------

/// Waits until no G lives, then ends every thread of the library.
pub fn shutdown(timeout: i64) -> Result<()> {
    if up().is_none() {
        return Ok(());
    }
    let m = enter()?;
    let sched = m.sched();
    let deadline = crate::block::waitq::deadline_of(timeout);
    sched.watchers.fetch_add(1, Ordering::SeqCst);
    let ended = wait_for_end(sched, m, deadline);
    sched.watchers.fetch_sub(1, Ordering::SeqCst);
    ended
}

/// How often to look whether a thread of the host is still in a callback: nobody tells of its end.
const LOOK_EVERY: i64 = 10_000_000;

fn wait_for_end(sched: &'static Sched, m: MRef, deadline: Option<i64>) -> Result<()> {
    loop {
        let seen = sched.watch.now();
        let mut until = deadline;
        if sched.num_g() == 0 {
            if world::close(m, deadline, |_| end(sched))? {
                return Ok(());
            }
            let next = now() + LOOK_EVERY;
            until = Some(deadline.map_or(next, |d| d.min(next)));
        }
        if !sched.watch.wait(seen, until) && deadline.is_some_and(|d| now() >= d) {
            return Err(Error::TimedOut);
        }
    }
}

/// The end of all threads; the world is stopped and nothing lives.
fn end(sched: &'static Sched) {
    let _excluded = Excluded::new();
    UP.store(false, Ordering::Release);
    // Threads on their way to sleep see it under the lock; those asleep are woken.
    sched.exiting.store(true, Ordering::Release);
    wake::wake_all(sched);
    sched.sysmon_note.wakeup();
    sys::join_thread(SYSMON.load(Ordering::Relaxed) as _);
    for m in sched.every_m() {
        if m.kind == Kind::Worker && m.alive.get() {
            while m.thread.get() == 0 {
                // It has not begun yet, and will.
                sys::yield_thread();
            }
            sys::join_thread(m.thread.replace(0) as _);
            m.alive.set(false);
            m.exiting.set(false);
            let mut lk = sched.lock.lock();
            m.link.set(lk.mfree);
            lk.mfree = m.as_ptr();
        }
    }
    world::tidy_while_down(sched);
    // SAFETY: beginnings and ends exclude each other.
    unsafe { overflow::uninstall() };
}

// ---- fork ------------------------------------------------------------------------------------------------------------

/// In a child of fork only the calling thread is there: no runtime. The next call makes a new one.
unsafe extern "C" fn forked() {
    SCHED.store(std::ptr::null_mut(), Ordering::Relaxed);
    SYSMON_M.store(std::ptr::null_mut(), Ordering::Relaxed);
    UP.store(false, Ordering::Relaxed);
    gmx_poll_word.store(0, Ordering::Relaxed);
    main::forget_resize();
    sys::arch::set_current_m(std::ptr::null_mut());
    BEGIN_END.reopen();
}

// ---- overflow --------------------------------------------------------------------------------------------------------

/// Names the G whose stack's guard was hit. In a signal handler: reads only.
unsafe fn describe_overflow(addr: usize, line: &mut Line) -> bool {
    let Some(gp) = current().and_then(|m| m.g()) else { return false };
    // SAFETY: the G runs on this very thread.
    let Some(stack) = (unsafe { gp.stack() }) else { return false };
    if !stack.in_guard(addr) || gp.has(gflag::FOREIGN) {
        return false;
    }
    line.text("libgomax: stack overflow in goroutine ").dec(gp.goid.get());
    let name = gp.name();
    if !name.bytes().is_empty() {
        line.text(" \"").name(name.bytes()).text("\"");
    }
    line.text(": its stack of ").dec(stack.size() as u64).text(" bytes [").hex(stack.lo() as u64);
    line.text(", ").hex(stack.hi as u64).text(") is full (fault at ").hex(addr as u64).text(")\n");
    true
}
