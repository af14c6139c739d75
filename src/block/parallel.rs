//! A parallel loop over numbers, run by as many Ps as have nothing else to do.
//!
//! # Problem
//! The time that one number takes is unknown. Cutting the range into pieces beforehand pays for each piece, even when
//! every P is busy. Not cutting it leaves Ps idle.
//!
//! # Protocol
//! A worker is the caller, or a G that a worker made for a part of its range. Each worker repeats:
//! * PF-P1 It calls the function for some numbers, then looks at the clock. How many numbers adapts, so that a look
//!   comes about every `LOOK`.
//! * PF-P2 At a look it serves requests; if the caller's token is canceled, it stops.
//! * PF-P3 At a look it may make a G for the upper half of the rest of its range, put it into this P's queue, and call
//!   for a searcher (`wakep`). It does so if more than one grain is left, this P has no other G that a thief could
//!   take, and either some P searches, or some P is idle and the wake pays (`PAYS`).
//! * PF-P4 It cuts a range of few grains (`LONG`) in the same way before each call, whether or not a P is idle. The
//!   calls of such a range are long, or the caller would not need a loop. A P that becomes idle meanwhile finds the
//!   parts in the queue.
//!
//! The caller then waits until the Gs that were made have ended, whatever happens to its token: the record of the loop
//! lies on its stack. A thread of the host runs nothing itself: it makes one G for the whole range, and waits.
//!
//! # Invariants
//! * PF-I1 Each number is in the range of exactly one worker, and is passed to the function once, or never if the loop
//!   was canceled.
//! * PF-I2 `open` is above zero as long as a worker other than the caller may touch the record: a worker counts the G
//!   that it makes before it ends itself.
//! * PF-I3 The function returns: `gmx_goexit` is refused in it (`callbacks`).
//!
//! # Rejected
//! * A wake at the start of every loop: it costs as much as ten thousand empty calls (docs/measurements.md).
//! * A list of ranges that idle Ps look at: one more place to search for every P, with a wake-up protocol of its own. A
//!   G in the run queue is found without either.

use super::cancel::{self, Kind};
use super::vain;
use super::waitgroup::WaitGroup;
use super::waitq;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::GName;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::blocks;
use crate::gmp::sched::Sched;
use crate::protocol::{park, seize, store, wake};
use crate::sync::{AtomicBool, Ordering, now};
use crate::sys::call::RangeFn;
use std::alloc::Layout;
use std::ffi::c_void;

/// About how much time, in ns, a worker lets pass between two looks.
const LOOK: i64 = 4_000;
/// How long, in ns, a worker must have run alone before it wakes a sleeping thread: as long as the wake takes
/// (docs/measurements.md).
const PAYS: i64 = 20_000;
/// PF-P4: up to this many grains for each P are few.
const LONG: i64 = 4;

/// A loop that runs. It lives on its caller's stack.
struct Loop {
    f: RangeFn,
    arg: *mut c_void,
    /// 0: as many numbers in a call as come between two looks.
    grain: i64,
    /// The handle of the caller's token, for which the caller holds a count; 0 if there is none.
    token: u64,
    /// Gs that were made and have not ended.
    open: WaitGroup,
    /// A worker left numbers out.
    canceled: AtomicBool,
}

/// The range of a G. Made by the worker that cut it off; freed by the G.
struct Part {
    of: *const Loop,
    begin: i64,
    end: i64,
}

/// Runs `f(arg, begin, end)` over all of 0..n. Canceled: numbers were left out.
///
/// # Migrates
pub fn run(mut m: MRef, n: i64, grain: i64, f: RangeFn, arg: *mut c_void) -> Result<()> {
    if n <= 0 {
        return Ok(());
    }
    let gp = waitq::waiter(m);
    let token = cancel::ends(gp, Kind::Event).map_or(0, |t| t.token().handle.get());
    let all = Loop { f, arg, grain, token, open: WaitGroup::default(), canceled: AtomicBool::new(false) };
    if m.ctx() == Ctx::Foreign {
        start(m, &all, 0, n)?;
    } else {
        m = all.work(m, 0, n);
    }
    let (_, waited) = all.open.wait(m, None, Kind::Own);
    debug_assert!(waited.is_ok());
    if all.canceled.load(Ordering::Acquire) { Err(Error::Canceled) } else { Ok(()) }
}

/// The M of a G after a function of the host.
fn back(m: MRef) -> MRef {
    // SAFETY: null or an M.
    unsafe { MRef::from_ptr(crate::sys::arch::current_m().cast()) }.unwrap_or(m)
}

/// Makes the G for a part.
fn start(m: MRef, of: &Loop, begin: i64, end: i64) -> Result<()> {
    let sched = m.sched();
    let part = make_part(Part { of, begin, end }).ok_or(Error::NoMemory)?;
    let entry = part_entry as extern "C" fn(*mut c_void) as *mut c_void;
    let what = store::Spawn { entry, arg: part.cast(), flags: 0, stack_size: 0, name: GName::NONE };
    let made = store::newproc_to_start(m, &what)
        .and_then(|gp| of.open.add(m, 1).inspect_err(|_| store::unmake(m, gp)).map(|()| gp));
    let gp = match made {
        Ok(gp) => gp,
        Err(e) => {
            // SAFETY: made above, and no other thread has it.
            unsafe { free_part(part) };
            return Err(e);
        }
    };
    // The caller holds a count for its token as long as the loop runs.
    if of.token != 0
        && let Ok(token) = cancel::find(sched, of.token, true)
    {
        let old = cancel::replace(gp, Some(token));
        debug_assert!(old.is_none());
    }
    match m.p() {
        Some(pp) => {
            // Not in runnext: a thief looks there last.
            m.note_ready(&gp);
            pp.put_tail(gp);
            wake::wakep(sched, m);
        }
        None => park::ready_queue(m, gp),
    }
    Ok(())
}

/// None if there is no memory.
fn make_part(part: Part) -> Option<*mut Part> {
    // SAFETY: the layout is not empty.
    let p = unsafe { blocks::alloc(Layout::new::<Part>()) }.cast::<Part>();
    if p.is_null() {
        return None;
    }
    // SAFETY: a new block for a part.
    unsafe { p.write(part) };
    Some(p)
}

/// # Safety
/// A part of [`make_part`], which no code uses.
unsafe fn free_part(part: *mut Part) {
    // SAFETY: allocated with this layout.
    unsafe { blocks::dealloc(part.cast(), Layout::new::<Part>()) };
}

extern "C" fn part_entry(arg: *mut c_void) {
    let at = arg.cast::<Part>();
    // SAFETY: `start` made it for this G.
    let part = unsafe { at.read() };
    // SAFETY: as above, and just read.
    unsafe { free_part(at) };
    // SAFETY: PF-I2.
    let of = unsafe { &*part.of };
    seize::come_back();
    // SAFETY: a G runs on an M.
    let Some(m) = (unsafe { MRef::from_ptr(crate::sys::arch::current_m().cast()) }) else { return };
    let m = of.work(m, part.begin, part.end);
    // The last access to the loop's record.
    let done = of.open.add(m, -1);
    debug_assert!(done.is_ok());
}

impl Loop {
    /// PF-P1 to PF-P3.
    ///
    /// # Migrates
    fn work(&self, mut m: MRef, mut begin: i64, mut end: i64) -> MRef {
        let gp = park::running(m);
        let grain = self.grain.max(1);
        let few = LONG * i64::from(m.sched().procs());
        let mut looked = now();
        // When this worker began, or last cut a part off.
        let mut since = looked;
        let mut steps: i64 = 1;
        let mut first = true;
        loop {
            let grains = (end - begin - 1) / grain + 1;
            let cuts =
                if grains <= few { m.sched().procs() > 1 } else { !first && wants_part(m, looked - since >= PAYS) };
            if grains > 1 && cuts {
                let middle = begin + grains / 2 * grain;
                // PF-I1: the new G has the numbers from `middle` on.
                if start(m, self, middle, end).is_ok() {
                    end = middle;
                    since = looked;
                }
            }
            first = false;
            // PF-P1
            let stop = begin.saturating_add(steps.saturating_mul(grain)).min(end);
            // PF-I3
            gp.callbacks.set(gp.callbacks.get() + 1);
            let grains = if self.grain == 0 { i64::MAX } else { grain };
            seize::host(m, || crate::sys::call::ranges(self.f, self.arg, begin, stop, grains));
            begin = stop;
            gp.callbacks.set(gp.callbacks.get() - 1);
            m = back(m);
            if begin >= end {
                return m;
            }
            // PF-P2
            m = vain::serve(m);
            if cancel::ends(gp, Kind::Event).is_some_and(|t| t.is_canceled()) {
                self.canceled.store(true, Ordering::Release);
                return m;
            }
            let at = now();
            let took = at - std::mem::replace(&mut looked, at);
            if took < LOOK / 2 {
                steps = steps.saturating_mul(2);
            } else if took > 2 * LOOK {
                steps = (steps / 2).max(1);
            }
        }
    }
}

/// PF-P3: whether another P would take a part of this worker's range. `pays`: waking a sleeping thread pays.
fn wants_part(m: MRef, pays: bool) -> bool {
    let sched: &Sched = m.sched();
    let Some(pp) = m.p() else { return false };
    sched.procs() > 1
        && pp.runq_empty()
        && (sched.nmspinning.load(Ordering::Relaxed) != 0 || (pays && sched.npidle.load(Ordering::Relaxed) != 0))
}
