//! Counting semaphores on a plain `uint32_t`.
//!
//! A release adds first and wakes then; who is woken competes with whoever comes by (barging), and goes to the front of
//! the queue when it loses. With a hand-off the count goes straight to the first waiter: FIFO, for the world lock, and for
//! callers that ask for it.
//!
//! # Differences from Go
//! Go's `semrelease` with a hand-off adds, and takes the permit back for the waiter that it wakes if no other was faster.
//! Here the permit does not show in the count when there is a waiter: no caller can be faster, and the waker need not touch
//! the word behind the addition, when it may be part of another object already (M4 in waitq.rs).

use super::waitq::{self, How, Kind, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake, gflag};
use crate::gmp::m::{Ctx, MRef};
use crate::protocol::park;
use crate::sync::{AtomicU32, Ordering, fence_after_rmw};

/// Takes one without waiting.
#[inline(always)]
pub fn try_acquire(s: &AtomicU32) -> bool {
    let mut n = s.load(Ordering::Relaxed);
    while n > 0 {
        match s.compare_exchange_weak(n, n - 1, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => n = now,
        }
    }
    false
}

/// Takes one, waiting for it if need be.
///
/// # Migrates
#[inline]
pub fn acquire(m: MRef, s: &AtomicU32, deadline: Option<i64>, reason: WaitReason) -> (MRef, Result<()>) {
    if try_acquire(s) {
        return (m, Ok(()));
    }
    acquire_slow(m, s, deadline, reason)
}

fn acquire_slow(mut m: MRef, s: &AtomicU32, deadline: Option<i64>, reason: WaitReason) -> (MRef, Result<()>) {
    let addr = std::ptr::from_ref(s) as u64;
    // The world lock is nobody's to give up.
    let kind = if reason.is(WaitReason::WORLD) { Kind::Own } else { Kind::Event };
    let mut how = How::new(kind, reason, deadline);
    loop {
        let waited;
        (m, waited) = waitq::wait(m, addr, how, || !try_acquire(s));
        match waited {
            Waited::Not | Waited::Handoff => return (m, Ok(())),
            Waited::TimedOut => return (m, Err(Error::TimedOut)),
            Waited::Canceled | Waited::Refused => return (m, Err(Error::Canceled)),
            Waited::NoMemory => return (m, Err(Error::NoMemory)),
            Waited::Woken => {
                if try_acquire(s) {
                    return (m, Ok(()));
                }
                how.first = true;
            }
        }
    }
}

/// Gives one back. Busy when the count is at its end.
#[inline(always)]
pub fn release(m: MRef, s: &AtomicU32) -> Result<()> {
    let addr = std::ptr::from_ref(s) as u64;
    // Found before, since nothing is read until the compare-and-swap is through.
    let root = m.sched().sems.root(addr);
    // SeqCst, and a fence: B1 in waitq.rs.
    add(s)?;
    fence_after_rmw();
    if root.anybody() {
        wake(m, addr);
    }
    Ok(())
}

/// One more. Busy when the count is at its end.
#[inline(always)]
fn add(s: &AtomicU32) -> Result<()> {
    let mut n = s.load(Ordering::Relaxed);
    loop {
        let more = n.checked_add(1).ok_or(Error::Busy)?;
        match s.compare_exchange_weak(n, more, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(now) => n = now,
        }
    }
}

/// Apart, so that a release that nobody waits for needs no stack.
#[inline(never)]
fn wake(m: MRef, addr: u64) {
    waitq::wake_one(m, addr, |_, _| Wake::Ready);
}

/// Gives one back, to the first waiter if there is one, where the count is never at its end.
pub fn release_handoff(m: MRef, s: &AtomicU32) {
    let given = give(m, s);
    debug_assert!(given.is_ok());
}

/// Gives one back, and to the first waiter, if there is one, the P as well: it runs next, in the caller's slice, and the
/// caller goes behind all others. Only the permit where the caller may not leave its P, or either of them has none.
///
/// # Migrates
pub fn hand_over(m: MRef, s: &AtomicU32) -> Result<()> {
    // Who comes to wait meanwhile need not be seen.
    if !waitq::anybody(m.sched(), std::ptr::from_ref(s) as u64) {
        return release(m, s);
    }
    if give(m, s)? == Given::ToG && m.ctx() == Ctx::G && m.pins() == 0 {
        // What was readied last runs next (N1 in park.rs).
        park::gosched(m);
    }
    Ok(())
}

/// Where a permit went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    ToG,
    ToThread,
    ToCount,
}

fn give(m: MRef, s: &AtomicU32) -> Result<Given> {
    let mut given = Ok(Given::ToCount);
    waitq::wake_one(m, std::ptr::from_ref(s) as u64, |first, _| {
        given = match first {
            Some(gp) if gp.has(gflag::THREAD_WAIT) => Ok(Given::ToThread),
            Some(_) => Ok(Given::ToG),
            // Under the lock: who is about to wait tests the word after us.
            None => add(s).map(|()| Given::ToCount),
        };
        Wake::Handoff
    });
    given
}
