//! How recording begins and ends.
//!
//! # Problem
//! When the first record is written, Gs and Ps are on their way from thread to thread, and threads are in the middle of
//! steps that they began without a ring. A G that is readied without a record and starts with one cannot be put in
//! order. And the world must not stop for this.
//!
//! # Protocol
//! Begin, by the holder of worldsema:
//! * TRACE-1 make a ring for each M that has none;
//! * TRACE-2 under the lock of the list of Ms: `on`, and each M gets its ring. An M that is made later gets its ring
//!   under the same lock, before it is in the list;
//! * TRACE-3 a ragged barrier: each M that has a P looks for its ring ([`record::settle`]) where it is in the middle of
//!   no step, and each M that takes a P later looks for it then. When the barrier is over recording has begun.
//!
//! End:
//! * TRACE-4 under the lock of the list: `on` is taken away, and from each M its ring; then a barrier as before, after
//!   which no M goes the slow ways any more. Rings stay with their Ms, for the next time.
//!
//! # Why no record is left out (RECORD-3)
//! A step on a G or P after the barrier, by an M with a P, finds the ring: the M has looked for it in the barrier or
//! later. A step by an M without a P (it readies a G, is back from a syscall, or has taken a P) follows a step of
//! another M that is ordered before it by what hands the G or P over; if that step was recorded, its M had found its
//! ring after TRACE-2, and so does this one. If that step came before the barrier, so that this one may miss its ring,
//! the next step is the first of this G or P in the file, which is as good.
//!
//! # Rejected
//! * A stop of the world: programs that are to be watched are those that cannot stand one.
//! * Records from the moment at which the first ring is there: each reader would have to guess which are missing.

use super::world::acquire;
use crate::block::{scope, sema, spawn};
use crate::gmp::error::{Error, Result};
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::protocol::ragged;
use crate::sync::now;
use crate::sys::arch;
use crate::trace::raw::Record;
use std::ffi::c_void;

/// TRACE-3, for one P.
unsafe extern "C" fn settle_for_p(_: *mut c_void) {
    settle();
}

fn settle() {
    if let Some(m) = MRef::current() {
        record::settle(&m);
    }
}

/// Begins to record, with room for so many bytes of records in each ring that is new. Busy: it has begun before.
///
/// # Migrates
pub fn begin(m: MRef, bytes: usize) -> Result<()> {
    let sched = m.sched();
    let m = acquire(m, None)?;
    let begun = if sched.trace.on.get() { Err(Error::Busy) } else { give_rings(sched, bytes) };
    if begun.is_ok() {
        barrier(sched, m);
        has_begun(sched);
    }
    sema::release_handoff(m, &sched.worldsema);
    begun
}

/// As [`begin`], before the runtime is up: no M has a P.
pub fn begin_early(sched: &Sched, bytes: usize) -> Result<()> {
    if sched.trace.on.get() {
        return Ok(());
    }
    give_rings(sched, bytes)?;
    has_begun(sched);
    Ok(())
}

fn give_rings(sched: &Sched, bytes: usize) -> Result<()> {
    let trace = &sched.trace;
    trace.by_clock.set(!arch::ticks_are_time());
    trace.copied.set(spawn::begin_copied_entry());
    trace.scoped.set(scope::begin as *mut c_void);
    trace.records.set((bytes / size_of::<Record>()).max(1) as u32);
    sched.give_rings().ok_or(Error::NoMemory)
}

fn has_begun(sched: &Sched) {
    sched.trace.set_began(sched.trace.now());
    sched.trace.turns.set(sched.trace.turns.get() + 1);
}

/// Ends it (TRACE-4). Perm: it has not begun.
///
/// # Migrates
pub fn end(m: MRef) -> Result<()> {
    let sched = m.sched();
    let m = acquire(m, None)?;
    let ended = if sched.trace.on.get() { Ok(()) } else { Err(Error::Perm) };
    if ended.is_ok() {
        sched.trace.turns.set(sched.trace.turns.get() + 1);
        sched.take_rings();
        barrier(sched, m);
    }
    sema::release_handoff(m, &sched.worldsema);
    ended
}

/// TRACE-3. The caller holds worldsema.
fn barrier(sched: &Sched, m: MRef) {
    let ctx: Ctx = m.ctx();
    m.set_ctx(Ctx::Sched);
    sched.world_waits.set(now());
    ragged::for_each_p(sched, m, settle_for_p, std::ptr::null_mut());
    sched.world_waits.set(0);
    m.set_ctx(ctx);
}
