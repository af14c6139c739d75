//! The live page: a second library, `libgomax-debug.so.0`, serves it (inside/page). This file loads that library when
//! it is asked for, and tells it what there is.
//!
//! # What holds
//! * Without a call or a setting nothing is loaded, and there is no socket.
//! * The threads of the second library are no Ms, except for one that records a trace. What they call here takes locks
//!   of the library only, under which no code of the host runs, and waits for no P: so the page is served while every
//!   P hangs.
//! * The child of a fork serves nothing. It closes its copies of the descriptors.
//!
//! # Rejected
//! * The server in this library: it would need crates, and libgomax needs the C library alone.
//! * The second library calls the exported functions: they are not found in a program that contains libgomax, and they
//!   would make its threads Ms.

use super::stacks::{self, Form};
use super::table::{self, GRow, Library, MRow, PRow, Page, SchedRow, Take, Write, g_status, m_state};
use super::{config, metrics, report, trace};
use crate::block::spawn;
use crate::gmp::error::Error;
use crate::gmp::g::{GStatus, WaitReason, gflag};
use crate::gmp::m::{Ctx, Kind, MRef};
use crate::gmp::p::PStatus;
use crate::protocol::seize::Inside;
use crate::sched::tracing;
use crate::sync::{Ordering, RawMutex, now};
use crate::sys::{self, elf};
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_void};
use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

/// The second library, once it is loaded.
struct Second(UnsafeCell<Option<Page>>);

// SAFETY: guarded by LOCK; the child of a fork has one thread.
unsafe impl Sync for Second {}

/// Held while the page begins or ends: over the loader's lock, system calls and threads that begin. A raw mutex,
/// because a child of fork may have to open it.
static LOCK: RawMutex = RawMutex::new();
/// Guarded by [`LOCK`]. The second library is never unloaded.
static SECOND: Second = Second(UnsafeCell::new(None));
/// [`at_exit`] is registered.
static AT_EXIT: AtomicBool = AtomicBool::new(false);

/// While this value lives, no other thread begins or ends the page.
struct Locked;

impl Locked {
    fn new() -> Locked {
        LOCK.lock();
        Locked
    }

    fn page(&mut self) -> &mut Option<Page> {
        // SAFETY: LOCK is held as long as the reference lives.
        unsafe { &mut *SECOND.0.get() }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        LOCK.unlock();
    }
}

const FILE: &CStr = c"libgomax-debug.so.0";

/// Serves the page at an address. Writes where it is to `url`, terminated. Returns a status of the interface.
///
/// # Safety
/// `url` is null or has room for `url_size` bytes.
unsafe fn serve(address: &CStr, flags: u32, url: *mut c_char, url_size: usize) -> i32 {
    let mut room = [0; config::ADDRESS_BYTES];
    let (address, flags) = match address.to_bytes() {
        b"unix" => match config::socket_path(&mut room) {
            Some(path) => (path, flags | table::OWN_DIRECTORY),
            None => return -libc::ENOENT,
        },
        _ => (address, flags),
    };
    let _errno = sys::KeepErrno::new();
    let mut locked = Locked::new();
    let page = match *locked.page() {
        Some(page) => page,
        None => match load() {
            Some(page) => *locked.page().insert(page),
            None => return -libc::ENOTSUP,
        },
    };
    if !AT_EXIT.swap(true, Ordering::Relaxed) && !sys::at_exit(at_exit) {
        AT_EXIT.store(false, Ordering::Relaxed);
        return -libc::ENOMEM;
    }
    (page.serve)(address.as_ptr(), flags, url, url_size)
}

/// As `serve`; without room for the place of the page, stderr gets it.
///
/// # Safety
/// As for `serve`.
pub unsafe fn serve_for(address: &CStr, flags: u32, url: *mut c_char, url_size: usize) -> i32 {
    if !url.is_null() {
        // SAFETY: the caller's promise.
        return unsafe { serve(address, flags, url, url_size) };
    }
    let mut room = [0; URL_BYTES];
    // SAFETY: the room is as long as said.
    let status = unsafe { serve(address, flags, room.as_mut_ptr().cast(), room.len()) };
    if status == 0 {
        tell(&room);
    }
    status
}

/// Serves no more. False: it did not serve.
pub fn stop() -> bool {
    let _errno = sys::KeepErrno::new();
    let mut locked = Locked::new();
    locked.page().is_some_and(|page| (page.stop)())
}

extern "C" fn at_exit() {
    // A thread that is held must not have the lock.
    let _inside = MRef::current().filter(|m| !m.is_inside()).map(Inside::enter);
    let mut locked = Locked::new();
    if let Some(page) = *locked.page() {
        (page.at_exit)();
    }
}

/// A fork waits until no page begins or ends.
pub fn before_fork() {
    LOCK.lock();
}

pub fn after_fork() {
    LOCK.unlock();
}

/// In a child of fork, whose parent held `LOCK` for it.
pub fn forget() {
    // SAFETY: the child has one thread.
    if let Some(page) = unsafe { *SECOND.0.get() } {
        (page.in_child)();
    }
    LOCK.reopen();
}

/// Serves what `GMXDEBUG=http` asks for, and reports where, or why not. For the start of the runtime.
pub fn by_setting(address: &CStr) {
    // SAFETY: no room for the place.
    match unsafe { serve_for(address, 0, std::ptr::null_mut(), 0) } {
        0 => {}
        // An earlier start of the runtime serves it.
        e if e == -libc::EBUSY => {}
        e => {
            let (at, mut out) = (report::Words(address.to_bytes()), report::Text::new());
            let _ = writeln!(out, "libgomax: no live page at {at}: errno {}", -e);
            report::emit(out.as_bytes());
        }
    }
}

/// Room for the place of the page.
const URL_BYTES: usize = config::ADDRESS_BYTES;

/// Says on stderr where the page is. Not by the host's function for reports: that may keep what it gets, and the place
/// has the token in it.
fn tell(url: &[u8]) {
    let url = &url[..url.iter().position(|&b| b == 0).unwrap_or(url.len())];
    let mut line = report::Text::new();
    let _ = writeln!(line, "libgomax: the live page is at {}", report::Words(url));
    sys::stderr::say(line.as_bytes());
}

/// Loads the second library. None: there is none, or it is of another version.
fn load() -> Option<Page> {
    // A program without a loader would get a second C library.
    if !sys::has_loader() {
        return None;
    }
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE;
    let mut room = [0; 4096];
    // SAFETY: a terminated name.
    let open = |name: &CStr| unsafe { libc::dlopen(name.as_ptr(), flags) };
    let near = beside(&mut room).map_or(std::ptr::null_mut(), open);
    let handle = if near.is_null() { open(FILE) } else { near };
    if handle.is_null() {
        return None;
    }
    // SAFETY: the handle is good, and the name terminated.
    let f = unsafe { libc::dlsym(handle, table::ENTRY.as_ptr()) };
    // SAFETY: by its name it is a function of this type, or null.
    let begin = unsafe { std::mem::transmute::<*mut c_void, Option<table::Open>>(f) }?;
    let mut page = std::mem::MaybeUninit::uninit();
    // SAFETY: as `Open` says.
    if !unsafe { begin(&raw const LIBRARY, page.as_mut_ptr()) } {
        return None;
    }
    // SAFETY: it has been written.
    Some(unsafe { page.assume_init() })
}

/// The second library in the directory where this code lies. None if that is not known by its whole path: the current
/// directory is not asked.
fn beside(room: &mut [u8; 4096]) -> Option<&CStr> {
    // SAFETY: this code is not unloaded while it runs.
    let file = unsafe { elf::place_of(beside as *const () as usize) }?.file.to_bytes();
    let directory = &file[..=file.iter().rposition(|&b| b == b'/')?];
    let whole = directory.len() + FILE.to_bytes_with_nul().len();
    if directory[0] != b'/' || whole > room.len() {
        return None;
    }
    room[..directory.len()].copy_from_slice(directory);
    room[directory.len()..whole].copy_from_slice(FILE.to_bytes_with_nul());
    CStr::from_bytes_with_nul(&room[..whole]).ok()
}

// ---- what the second library calls ----------------------------------------------------------------------------------

static LIBRARY: Library = Library {
    version: table::VERSION,
    reserved: 0,
    sched,
    ps,
    ms,
    gs,
    metrics,
    trace_start,
    trace_stop,
    trace_snapshot,
    dump_goroutines,
};

extern "C" fn sched(out: *mut SchedRow) -> bool {
    let Some(sched) = super::up() else { return false };
    let (threads, idle_threads, stopping) = {
        let lk = sched.lock.lock();
        (lk.nm, lk.nmidle, lk.stopping)
    };
    let row = SchedRow {
        now: now(),
        started: sched.started.get(),
        procs: sched.procs(),
        idle_procs: sched.npidle.load(Ordering::Relaxed),
        global_queue: sched.globq_len(),
        spinning: sched.nmspinning.load(Ordering::Relaxed),
        threads: threads.max(0) as u32,
        idle_threads: idle_threads.max(0) as u32,
        stopping,
        traced: sched.trace.on.get(),
        ..SchedRow::default()
    };
    // SAFETY: the caller's place for it.
    unsafe { out.write(row) };
    true
}

fn m_id(m: Option<MRef>) -> u32 {
    m.map_or(table::NONE, |m| m.id)
}

extern "C" fn ps(take: Take<PRow>, arg: *mut c_void) {
    let Some(sched) = super::up() else { return };
    for p in sched.live_ps() {
        let status = p.seen_status();
        // SAFETY: null or an M, and Ms are never freed.
        let m = unsafe { MRef::from_ptr(p.m()) }.filter(|_| matches!(status, PStatus::Running | PStatus::Syscall));
        let gp = m.and_then(|m| m.g());
        let since = p.slice_began().filter(|_| gp.is_some() && status == PStatus::Running);
        let row = PRow {
            id: p.id,
            status: status as u32,
            m: m_id(m),
            queue: p.runq_len() as u32,
            timers: p.timers.count() as u32,
            goid: gp.map_or(0, |gp| gp.goid.get()),
            since: since.unwrap_or(0),
            ..PRow::default()
        };
        take(arg, &raw const row);
    }
}

extern "C" fn ms(take: Take<MRow>, arg: *mut c_void) {
    let Some(sched) = super::up() else { return };
    for m in sched.every_m().filter(|m| m.alive.get()) {
        let gp = m.g().filter(|_| m.ctx() != Ctx::Foreign);
        let state = match (m.held.get(), m.out.get(), m.ctx()) {
            (true, ..) => m_state::HELD,
            (_, true, _) => m_state::WITHOUT_P,
            (.., Ctx::Foreign) => m_state::OUTSIDE,
            (.., Ctx::Syscall) => m_state::SYSCALL,
            _ if m.spinning.get() => m_state::SPINNING,
            _ if m.parked.get() => m_state::SLEEPING,
            _ if gp.is_some() => m_state::RUNNING,
            _ => m_state::SCHEDULING,
        };
        let goid = gp.map_or(0, |gp| gp.goid.get());
        let foreign = m.kind == Kind::Extra;
        let row = MRow { id: m.id, tid: m.tid.get(), state, foreign, goid, ..MRow::default() };
        take(arg, &raw const row);
    }
}

extern "C" fn gs(take: Take<GRow>, arg: *mut c_void) {
    let Some(sched) = super::up() else { return };
    let now = now();
    for gp in report::live_gs(sched) {
        let status = gp.status();
        // SAFETY: null or an M, and Ms are never freed.
        let locked = unsafe { MRef::from_ptr(gp.lockedm.get()) };
        // SAFETY: as above.
        let on = unsafe { MRef::from_ptr(gp.m.get()) };
        let is_held = status == GStatus::Runnable && locked.is_some_and(|m| m.held.get());
        let waits = status.waits() || status == GStatus::Parking;
        // A text of the host's may be gone by now.
        let reason = WaitReason::own_text(gp.wait_reason.get()).unwrap_or("park");
        let on_m = matches!(status, GStatus::Running | GStatus::Syscall);
        let mut name = [0; 32];
        let words = gp.name();
        name[..words.bytes().len()].copy_from_slice(words.bytes());
        let goid = gp.goid.get();
        let row = GRow {
            goid,
            name,
            status: if is_held { g_status::HELD } else { g_state(status) },
            m: m_id(if on_m { on } else { locked }),
            foreign: gp.has(gflag::FOREIGN),
            locked: locked.is_some() && !is_held,
            reserved: [0; 6],
            entry: if gp.has(gflag::FOREIGN) { 0 } else { spawn::call_of(gp).0 as u64 },
            reason: if waits { reason.as_ptr().cast() } else { std::ptr::null() },
            reason_len: reason.len(),
            waits_since: if waits { gp.wait_since.get() } else { 0 },
            computes_since: if waits { 0 } else { sched.hogs.streak(goid, now).unwrap_or(0) },
        };
        take(arg, &raw const row);
    }
}

fn g_state(status: GStatus) -> u32 {
    match status {
        GStatus::Runnable => g_status::RUNNABLE,
        GStatus::Running => g_status::RUNNING,
        GStatus::Syscall => g_status::SYSCALL,
        _ => g_status::WAITING,
    }
}

extern "C" fn metrics(write: Write, arg: *mut c_void) -> i32 {
    let Some(text) = super::up().and_then(metrics::text) else { return -libc::ENOMEM };
    write(arg, text.as_bytes().as_ptr().cast(), text.as_bytes().len())
}

// The following are for a thread that may wait: it becomes an M.

extern "C" fn trace_start(ring_bytes: usize) -> i32 {
    let bytes = if ring_bytes == 0 { trace::RING_BYTES } else { ring_bytes };
    as_m(|m| tracing::begin(m, bytes.clamp(trace::LEAST_RING_BYTES, trace::MOST_RING_BYTES)))
}

extern "C" fn trace_stop(fd: i32) -> i32 {
    let written = trace_snapshot(fd);
    match as_m(tracing::end) {
        0 => written,
        e => e,
    }
}

extern "C" fn trace_snapshot(fd: i32) -> i32 {
    let Some(sched) = super::up() else { return -libc::EPERM };
    match trace::snapshot(sched) {
        Ok(file) => sys::write_quietly(fd, file.as_bytes()).map_or_else(|errno| -errno, |()| 0),
        Err(e) => -errno(e),
    }
}

fn as_m(f: impl FnOnce(MRef) -> crate::gmp::Result<()>) -> i32 {
    // It does not start a runtime.
    if super::up().is_none() {
        return -libc::EPERM;
    }
    let done = super::enter().and_then(|m| f(*Inside::enter(m)));
    done.map_or_else(|e| -errno(e), |()| 0)
}

fn errno(e: Error) -> i32 {
    match e {
        Error::Perm | Error::ShutDown => libc::EPERM,
        Error::Busy => libc::EBUSY,
        Error::NoMemory => libc::ENOMEM,
        Error::Os(errno) => errno,
        _ => libc::EINVAL,
    }
}

extern "C" fn dump_goroutines(write: Write, arg: *mut c_void, flags: u32) -> i32 {
    let form = Form { json: flags & table::JSON != 0, groups: flags & table::GROUPS != 0 };
    let Some(text) = super::up().and_then(|sched| stacks::text(sched, form)) else { return -libc::ENOMEM };
    write(arg, text.as_bytes().as_ptr().cast(), text.as_bytes().len())
}
