//! The library's own parts, built from its sources. The modules are those that they need: src/lib.rs lists the layers.
#![allow(dead_code, unused_imports, unused_macros)]

mod cases;
#[path = "../../../../src/ds/mod.rs"]
mod ds;
#[path = "../../../../src/sync/mod.rs"]
mod sync;
#[path = "../../../../src/sys/mod.rs"]
mod sys;

use cases::{LOCK, Mutex, QUEUE, Queue, common, lock, queue};
use ds::runq::RunQ;
use std::ptr::NonNull;
use std::sync::Arc;

/// As in a P.
type Ring = RunQ<u8, 256>;

/// `NEWEST`: its owner takes the newest.
struct Own<const NEWEST: bool>(Arc<Ring>);

fn number(v: NonNull<u8>) -> usize {
    v.as_ptr() as usize
}

impl<const NEWEST: bool> Queue for Own<NEWEST> {
    type Thief = Arc<Ring>;
    fn new() -> Self {
        Own(Arc::default())
    }
    fn thief(&self) -> Arc<Ring> {
        self.0.clone()
    }
    fn push(&self, v: usize) {
        let v = NonNull::new(v as *mut u8).expect("not 0");
        // SAFETY: one thread has the `Own`: it is the owner.
        assert!(unsafe { self.0.push(v) });
    }
    fn pop(&self) -> Option<usize> {
        // SAFETY: as in `push`, and the other way to take is not used.
        unsafe { if NEWEST { self.0.pop_newest() } else { self.0.pop_oldest() } }.map(number)
    }
    fn steal(thief: &Arc<Ring>) -> Option<usize> {
        thief.steal().map(number)
    }
    fn steal_half(thief: &Arc<Ring>, into: &Self) -> Option<usize> {
        // SAFETY: as in `push`, of `into`.
        unsafe { thief.steal_half(&into.0) }.map(number)
    }
}

impl Mutex for sync::Lock<i64> {
    fn new() -> Self {
        sync::Lock::new(sync::Rank::Sched, 0)
    }
    fn add(&self) {
        *self.lock() += 1;
    }
    fn sum(&self) -> i64 {
        *self.lock()
    }
}

fn main() {
    let cases: Vec<_> = QUEUE.into_iter().chain(LOCK).collect();
    let Some(args) = common::args(&cases) else { return };
    if args.case.starts_with("queue") { queue::<Own<false>, Own<true>>(&args) } else { lock::<sync::Lock<i64>>(&args) }
}
