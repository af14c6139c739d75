//! What a runtime has for descriptors: protocol/netpoll.rs has the paper.

use crate::sync::own::OwnI64;
use crate::sync::{AtomicBool, AtomicU32, Poll};
use std::sync::atomic::AtomicU64 as StdAtomicU64;

/// See the module.
#[derive(Default)]
pub struct NetPoll {
    /// Where the kernel says what is ready.
    pub poll: Poll,
    /// Gs and threads that wait for descriptors, or are about to, or were a moment ago.
    pub waiters: AtomicU32,
    /// An M is in `poll`. Written by that M, under `sched.lock`.
    pub polls: AtomicBool,
    /// A thread looks without waiting.
    pub looking: AtomicBool,
    /// When a thread saw last what is ready.
    pub looked: OwnI64,
    /// The poll is lost, and the system had no descriptors for another: when to try again. Owner: the template thread.
    pub retry: OwnI64,
    /// Numbers that are reported: looks and waits, and the Gs that they have readied.
    pub polled: StdAtomicU64,
    pub readied: StdAtomicU64,
}
