//! The settings that a runtime starts with, and the functions that the layers above pass down to it.

use crate::gmp::g::GList;
use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::sync::own::{OwnBool, OwnI32, OwnI64, OwnPtr, OwnUsize};
use std::ffi::c_void;

/// The settings that a runtime starts with. Written while it is down.
pub struct Config {
    pub stack_size: OwnUsize,
    pub g0_stack_size: OwnUsize,
    pub slice_ns: OwnI64,
    pub max_threads: OwnI32,
    /// All threads are made at the start, and none later.
    pub sealed: OwnBool,
    /// Ps are taken from the host's code (protocol/seize.rs), and its threads are held by a signal.
    pub seizes: OwnBool,
    pub nudges: OwnBool,
    /// The host's callbacks, null if there is none: `on_preempt(arg, g)`, `on_thread_start(arg)`, `on_thread_end(arg)`.
    pub on_preempt: OwnPtr<c_void>,
    pub on_thread_start: OwnPtr<c_void>,
    pub on_thread_end: OwnPtr<c_void>,
    pub on_arg: OwnPtr<c_void>,
}

impl Config {
    /// Whether no further worker may be made if there are `n` already.
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
            seizes: OwnBool::new(false),
            nudges: OwnBool::new(false),
            on_preempt: OwnPtr::null(),
            on_thread_start: OwnPtr::null(),
            on_thread_end: OwnPtr::null(),
            on_arg: OwnPtr::null(),
        }
    }
}

/// The functions that the layers above pass down: how a thread is made, and how reports are made.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Makes the thread of a worker M; an errno if that is not possible.
    pub start_thread: unsafe fn(m: MRef) -> Result<(), i32>,
    /// The first function of a G.
    pub g_entry: unsafe extern "C" fn(usize) -> !,
    /// A descriptor that is watched with this key has these events: puts the Gs whose waits they end into the list. May
    /// be called with a key whose descriptor is no longer watched.
    pub io_event: fn(&Sched, key: u64, bits: u32, &mut GList),
    /// Reports an event to the host (a deadlock, a stop that timed out).
    pub report: fn(&Sched, &str),
    /// For a broken invariant: reports the state, and aborts.
    pub fatal: fn(&Sched, &str) -> !,
}
