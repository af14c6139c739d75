//! What a runtime is started with, and what the layers above lend to it.

use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::sync::own::{OwnBool, OwnI32, OwnI64, OwnPtr, OwnUsize};
use std::ffi::c_void;

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
