//! Many calls on files at a time, for one caller.
//!
//! # Problem
//! A disk is fast only if it has many requests at a time. A caller with a thousand of them does not want to spawn a
//! goroutine for each, and most of them may be reads of what is in memory, which need none.
//!
//! # Protocol
//! * BATCH-B1 The caller makes all reads of what is in memory at once, one after the other.
//! * BATCH-B2 For the operations that are left it makes helpers: Gs, as many as may be in the system at a time
//!   ([`super::offload`]), less itself. Each, and the caller, takes the next operation until there are no more. A
//!   helper that cannot be made is done without.
//! * BATCH-B3 An operation whose turn comes after the deadline is not begun.
//! * BATCH-B4 The caller waits for the helpers, whatever happens: the operations are the host's, and the record of the
//!   batch lies on the caller's stack. A helper counts itself out with its last access to both.
//!
//! # Rejected
//! * A G for each operation: hundreds would wait for permits.

use super::cancel::Kind;
use super::file;
use super::waitgroup::WaitGroup;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::GName;
use crate::gmp::m::MRef;
use crate::gmp::permits::FILES;
use crate::protocol::{park, seize, store, wake};
use crate::sync::{AtomicU64, Ordering, now};
use crate::sys::file as system;
use std::ffi::c_void;

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Read,
    Write,
    Sync,
    DataSync,
}

/// An operation of the host's.
#[derive(Clone, Copy)]
pub struct Op {
    pub what: What,
    pub handle: u64,
    pub buf: *mut c_void,
    pub n: usize,
    pub at: i64,
}

/// The operations as the caller has them. `get`: one of them, or an error that is its result. `set`: its result.
pub trait Ops: Sync {
    fn count(&self) -> usize;
    fn get(&self, i: usize) -> Result<Op>;
    fn set(&self, i: usize, r: Result<()>, done: usize);
    /// Whether [`Ops::set`] was called for it.
    fn is_done(&self, i: usize) -> bool;
}

/// It lives on its caller's stack.
struct Batch<'a> {
    ops: &'a dyn Ops,
    next: AtomicU64,
    deadline: Option<i64>,
    late: AtomicU64,
    open: WaitGroup,
}

/// Does all of them. TimedOut: some were not begun.
///
/// # Migrates
pub fn run(mut m: MRef, ops: &dyn Ops, deadline: Option<i64>) -> Result<()> {
    let mut left = 0usize;
    for i in 0..ops.count() {
        // BATCH-B1
        match ops.get(i) {
            Err(e) => ops.set(i, Err(e), 0),
            Ok(op) if op.what == What::Read => {
                // SAFETY: the host's promise.
                match unsafe { file::read_now(m, op.handle, op.buf, op.n, op.at) } {
                    Some(Ok(n)) => ops.set(i, Ok(()), n),
                    Some(Err(e)) => ops.set(i, Err(e), 0),
                    None => left += 1,
                }
            }
            Ok(_) => left += 1,
        }
        m = m.by_now();
    }
    if left == 0 {
        return Ok(());
    }
    let (next, late) = (AtomicU64::new(0), AtomicU64::new(0));
    let batch = Batch { ops, next, deadline, late, open: WaitGroup::default() };
    // BATCH-B2
    for _ in 1..left.min(FILES as usize) {
        if start(m, &batch).is_err() {
            break;
        }
    }
    let m = batch.work(m);
    // BATCH-B4
    let (_, waited) = batch.open.wait(m, None, Kind::Own);
    debug_assert!(waited.is_ok());
    if batch.late.load(Ordering::Acquire) != 0 { Err(Error::TimedOut) } else { Ok(()) }
}

/// Makes a helper.
fn start(m: MRef, batch: &Batch<'_>) -> Result<()> {
    let entry = helper as extern "C" fn(*mut c_void) as *mut c_void;
    let arg = std::ptr::from_ref(batch).cast_mut().cast();
    let what = store::Spawn { entry, arg, flags: 0, stack_size: 0, name: GName::NONE };
    let gp = store::newproc_to_start(m, &what)?;
    batch.open.add(m, 1).inspect_err(|_| store::unmake(m, gp))?;
    match m.p() {
        Some(pp) => {
            m.note_ready(&gp);
            pp.put_tail(gp);
            wake::wakep(m.sched(), m);
        }
        None => park::ready_queue(m, gp),
    }
    Ok(())
}

extern "C" fn helper(arg: *mut c_void) {
    // SAFETY: BATCH-B4.
    let batch = unsafe { &*arg.cast::<Batch<'_>>() };
    seize::come_back();
    let Some(m) = MRef::current() else { return };
    let m = batch.work(m);
    // BATCH-B4
    let done = batch.open.add(m, -1);
    debug_assert!(done.is_ok());
}

impl Batch<'_> {
    /// # Migrates
    fn work(&self, mut m: MRef) -> MRef {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed) as usize;
            if i >= self.ops.count() {
                return m;
            }
            if self.ops.is_done(i) {
                continue;
            }
            // BATCH-B3
            let mut done = 0;
            let r = if self.deadline.is_some_and(|at| at <= now()) {
                self.late.fetch_add(1, Ordering::Release);
                Err(Error::TimedOut)
            } else {
                self.ops.get(i).and_then(|op| call(m, op, &mut done))
            };
            m = m.by_now();
            self.ops.set(i, r, done);
        }
    }
}

/// # Migrates
fn call(m: MRef, op: Op, done: &mut usize) -> Result<()> {
    let v = system::one(op.buf, op.n);
    match op.what {
        // SAFETY: the host's promise.
        What::Read => unsafe { file::read(m, op.handle, &raw const v, 1, op.at) }.map(|n| *done = n),
        // SAFETY: the host's promise.
        What::Write => unsafe { file::write(m, op.handle, &raw const v, 1, op.at, done) },
        What::Sync => file::sync(m, op.handle, false),
        What::DataSync => file::sync(m, op.handle, true),
    }
}
