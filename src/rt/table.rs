//! What the live page gets from the library: functions, and rows that say what there is. The page is a library of its
//! own (inside/page), which uses this file as it is. Both have one [`VERSION`]; with another one there is no page.

#![allow(missing_docs)]

use core::ffi::{c_char, c_void};

/// Rises when anything here changes.
pub const VERSION: u32 = 1;

/// The name of the function of the second library, an [`Open`].
pub const ENTRY: &core::ffi::CStr = c"gmx_page_open";

/// No M, no P.
pub const NONE: u32 = u32::MAX;

/// Takes a row, with what the caller passed.
pub type Take<T> = extern "C" fn(arg: *mut c_void, row: *const T);
/// Takes a text, and returns a status.
pub type Write = extern "C" fn(arg: *mut c_void, text: *const c_char, n: usize) -> i32;

/// What the library offers. The rows are those of a running program: two of them may be some microseconds apart. None
/// of these functions waits for a P or for code of the host, except those that begin and end a trace, which are as
/// their namesakes of gomax.h. Statuses are 0, or an errno with a minus.
#[repr(C)]
pub struct Library {
    pub version: u32,
    pub reserved: u32,
    /// False if the runtime is not up.
    pub sched: extern "C" fn(out: *mut SchedRow) -> bool,
    pub ps: extern "C" fn(take: Take<PRow>, arg: *mut c_void),
    pub ms: extern "C" fn(take: Take<MRow>, arg: *mut c_void),
    pub gs: extern "C" fn(take: Take<GRow>, arg: *mut c_void),
    pub metrics: extern "C" fn(write: Write, arg: *mut c_void) -> i32,
    pub trace_start: extern "C" fn(ring_bytes: usize) -> i32,
    pub trace_stop: extern "C" fn(fd: i32) -> i32,
    pub trace_snapshot: extern "C" fn(fd: i32) -> i32,
    pub dump_goroutines: extern "C" fn(write: Write, arg: *mut c_void, flags: u32) -> i32,
}

/// What the second library offers. None of these functions is called by two threads at a time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Page {
    pub version: u32,
    pub reserved: u32,
    /// Serves from now on. Writes the place of the page to `url`, terminated. A status.
    pub serve: extern "C" fn(address: *const c_char, flags: u32, url: *mut c_char, url_size: usize) -> i32,
    /// Serves no more. False: it did not serve.
    pub stop: extern "C" fn() -> bool,
    /// The process ends: removes the file of the socket.
    pub at_exit: extern "C" fn(),
    /// In a child of fork: closes the copies of the descriptors. It allocates nothing and takes no lock.
    pub in_child: extern "C" fn(),
}

/// Gives both sides their functions. False: the versions differ. `library` and what is written to `page` stay good.
pub type Open = unsafe extern "C" fn(library: *const Library, page: *mut Page) -> bool;

/// In `flags` of [`Page::serve`]: the directory of the socket is made if it is not there.
pub const OWN_DIRECTORY: u32 = 2;
/// In `flags` of [`Page::serve`]: any address.
pub const ANYWHERE: u32 = 1;

/// In `flags` of [`Library::dump_goroutines`]: JSON instead of text; equal stacks as one entry.
pub const JSON: u32 = 1;
pub const GROUPS: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct SchedRow {
    /// The monotonic clock, as in all rows.
    pub now: i64,
    pub started: i64,
    pub procs: u32,
    pub idle_procs: u32,
    pub global_queue: u32,
    pub spinning: u32,
    pub threads: u32,
    pub idle_threads: u32,
    /// The world is being stopped, or is stopped.
    pub stopping: bool,
    /// Records are written.
    pub traced: bool,
    pub reserved: [u8; 6],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PRow {
    pub id: u32,
    /// 0 idle, 1 running, 2 syscall, 3 stopped, 4 dead.
    pub status: u32,
    /// The M that has it.
    pub m: u32,
    /// Gs in its run queue.
    pub queue: u32,
    /// Timers in its heap.
    pub timers: u32,
    pub reserved: u32,
    /// The G that runs on it, 0 if there is none.
    pub goid: u64,
    /// Since when its G runs in one piece, as the watchdog saw it; 0: not long.
    pub since: i64,
}

/// [`MRow::state`].
pub mod m_state {
    /// In the library, between two goroutines.
    pub const SCHEDULING: u32 = 0;
    pub const RUNNING: u32 = 1;
    pub const SYSCALL: u32 = 2;
    pub const SLEEPING: u32 = 3;
    pub const SPINNING: u32 = 4;
    /// Held in the middle of its goroutine, until it gets a P again.
    pub const HELD: u32 = 5;
    /// It runs the host's code, and its P was taken.
    pub const WITHOUT_P: u32 = 6;
    /// A thread of the host, outside of the library.
    pub const OUTSIDE: u32 = 7;
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct MRow {
    pub id: u32,
    pub tid: i32,
    pub state: u32,
    /// A thread of the host.
    pub foreign: bool,
    pub reserved: [u8; 3],
    /// Its G, 0 if there is none.
    pub goid: u64,
}

/// [`GRow::status`].
pub mod g_status {
    pub const RUNNABLE: u32 = 0;
    pub const RUNNING: u32 = 1;
    pub const SYSCALL: u32 = 2;
    pub const WAITING: u32 = 3;
    /// Held in the middle of what it computes.
    pub const HELD: u32 = 4;
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct GRow {
    pub goid: u64,
    /// Zeros behind it.
    pub name: [u8; 32],
    pub status: u32,
    /// The M that it runs on, or is locked to.
    pub m: u32,
    /// It stands for a thread of the host.
    pub foreign: bool,
    pub locked: bool,
    pub reserved: [u8; 6],
    /// Its function.
    pub entry: u64,
    /// Why it waits: static. Null if it does not.
    pub reason: *const c_char,
    pub reason_len: usize,
    /// Since when it waits. 0 if it does not.
    pub waits_since: i64,
    /// Since when it computes without a pause, so that slices are taken from it. 0 if it does not.
    pub computes_since: i64,
}
