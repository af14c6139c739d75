//! What the runtime is started with: the caller's options, then the environment, then defaults.

use crate::gmp::sched::Sched;
use crate::sys;
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Where reports go: the host's function, or stderr.
pub type Report = extern "C" fn(arg: *mut c_void, text: *const std::ffi::c_char, len: usize);

/// Zero everywhere is the default.
#[derive(Clone, Copy, Default)]
pub struct Options {
    pub maxprocs: i32,
    pub stack_size: usize,
    pub g0_stack_size: usize,
    pub slice_ns: i64,
    pub max_threads: i32,
    pub report: Option<Report>,
    pub report_arg: usize,
}

/// The number of Ps to begin with, and whether it follows the machine.
pub struct Procs {
    pub n: i32,
    pub follow: bool,
}

static REPORT: AtomicUsize = AtomicUsize::new(0);
static REPORT_ARG: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

const DEFAULT_STACK: usize = 256 << 10;
const DEFAULT_SLICE: i64 = 10_000_000;
const DEFAULT_THREADS: i32 = 10_000;

fn or<T: Default + PartialEq>(v: T, default: T) -> T {
    if v == T::default() { default } else { v }
}

impl Options {
    pub fn apply(&self, sched: &Sched) {
        sched.cfg.stack_size.set(or(self.stack_size, DEFAULT_STACK));
        sched.cfg.g0_stack_size.set(or(self.g0_stack_size, DEFAULT_STACK));
        sched.cfg.slice_ns.set(or(self.slice_ns, DEFAULT_SLICE));
        sched.cfg.max_threads.set(or(self.max_threads, DEFAULT_THREADS));
        REPORT_ARG.store(self.report_arg as *mut c_void, Ordering::Relaxed);
        REPORT.store(self.report.map_or(0, |f| f as usize), Ordering::Release);
        let debug = Debug::from_env();
        sched.schedtrace_ms.set(debug.schedtrace_ms);
        sched.scheddetail.set(debug.scheddetail);
    }

    pub fn procs(&self) -> Procs {
        if self.maxprocs > 0 {
            return Procs { n: self.maxprocs, follow: false };
        }
        match Env::of(c"GMX_MAXPROCS").text().trim().parse::<i32>().ok().filter(|&n| n > 0) {
            Some(n) => Procs { n, follow: false },
            None => Procs { n: sys::ncpu::default_procs().max(1), follow: true },
        }
    }
}

/// The host's function for reports.
pub fn report_to() -> Option<(Report, *mut c_void)> {
    let f = REPORT.load(Ordering::Acquire);
    if f == 0 {
        return None;
    }
    // SAFETY: `apply` stored a function of this type.
    let f = unsafe { std::mem::transmute::<usize, Report>(f) };
    Some((f, REPORT_ARG.load(Ordering::Relaxed)))
}

/// What `GMXDEBUG` asks for: `name=value` with commas between.
pub struct Debug {
    schedtrace_ms: u64,
    scheddetail: bool,
    /// 0: every way into a syscall has its own fence.
    pub membarrier: bool,
}

impl Debug {
    pub fn from_env() -> Debug {
        let mut d = Debug { schedtrace_ms: 0, scheddetail: false, membarrier: true };
        for part in Env::of(c"GMXDEBUG").text().split(',') {
            match part.split_once('=') {
                Some(("schedtrace", v)) => d.schedtrace_ms = v.parse().unwrap_or(0),
                Some(("scheddetail", v)) => d.scheddetail = v != "0",
                Some(("membarrier", v)) => d.membarrier = v != "0",
                // What a newer version knows is no error.
                _ => {}
            }
        }
        d
    }
}

/// A short variable of the environment. Without memory of its own: an empty one is as none, and so is a long one.
struct Env {
    text: [u8; 256],
    len: usize,
}

impl Env {
    fn of(name: &CStr) -> Env {
        let mut env = Env { text: [0; 256], len: 0 };
        // SAFETY: the name is terminated; so is what comes back, which stays while nobody changes the environment, and who
        // does so beside other threads has broken their rules.
        let found = unsafe { libc::getenv(name.as_ptr()).as_ref().map(|p| CStr::from_ptr(p).to_bytes()) };
        if let Some(found) = found
            && let Some(room) = env.text.get_mut(..found.len())
        {
            room.copy_from_slice(found);
            env.len = found.len();
        }
        env
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or("")
    }
}
