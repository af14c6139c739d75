//! Counting semaphores on a plain `uint32_t`.
//!
//! A release adds 1 first and then wakes a waiter. The woken waiter competes with newcomers (barging), and goes to the
//! front of the queue when it loses. With a hand-off the permit goes straight to the first waiter: FIFO order, for the
//! world lock and for callers that ask for it.
//!
//! # Differences from Go
//! Go's `semrelease` with a hand-off adds 1, and then takes the permit back for the waiter that it wakes, unless
//! another G was faster. Here the permit does not show in the count if there is a waiter. So no other caller can be
//! faster, and the waker need not touch the word after the addition, when the word may belong to another object already
//! (WAITQ-M4).

use super::cancel::Kind;
use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake, gflag};
use crate::gmp::m::{Ctx, MRef};
use crate::protocol::park;
use crate::protocol::seize::Inside;
use crate::sync::{AtomicU32, Ordering, fence_after_rmw};

/// Takes a permit if there is one; does not wait.
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

/// Takes a permit, and waits for it if necessary.
///
/// # Migrates
#[inline]
pub fn acquire(m: MRef, s: &AtomicU32, deadline: Option<i64>, reason: WaitReason) -> (MRef, Result<()>) {
    // No token ends a wait for the world lock.
    let kind = if reason.is(WaitReason::WORLD) { Kind::Own } else { Kind::Event };
    acquire_by(m, s, How::new(kind, reason, deadline))
}

/// As [`acquire`], and says what else ends the wait.
///
/// # Migrates
#[inline]
pub fn acquire_by(m: MRef, s: &AtomicU32, how: How) -> (MRef, Result<()>) {
    if try_acquire(s) {
        return (m, Ok(()));
    }
    acquire_slow(m, s, how)
}

fn acquire_slow(mut m: MRef, s: &AtomicU32, mut how: How) -> (MRef, Result<()>) {
    let addr = std::ptr::from_ref(s) as u64;
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

/// Releases a permit. Busy if the count would overflow.
#[inline(always)]
pub fn release(m: MRef, s: &AtomicU32) -> Result<()> {
    release_by(m, s, |addr| wake(m, addr))
}

/// As [`release`], with another way to wake a waiter at this address.
#[inline(always)]
pub fn release_by(m: MRef, s: &AtomicU32, wake: impl FnOnce(u64)) -> Result<()> {
    let addr = std::ptr::from_ref(s) as u64;
    // Looked up before: the processor executes no load until the compare-and-swap is through.
    let root = m.sched().sems.root(addr);
    // SeqCst, and a fence: WAITQ-B1.
    add(s)?;
    fence_after_rmw();
    if root.has_waiters() {
        wake(addr);
    }
    Ok(())
}

/// Adds a permit. Busy if the count would overflow.
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

/// A function of its own, so that a release without a waiter needs no stack frame.
#[inline(never)]
fn wake(m: MRef, addr: u64) {
    waitq::wake_one(m, addr, |_, _| Wake::Ready);
}

/// As `wake`, for a caller that is outside.
#[inline(never)]
pub fn wake_inside(m: MRef, addr: u64) {
    let m = Inside::enter(m);
    waitq::wake_one(*m, addr, |_, _| Wake::Ready);
    m.end();
}

/// Releases a permit, to the first waiter if there is one. For semaphores whose count never overflows.
pub fn release_handoff(m: MRef, s: &AtomicU32) {
    let given = give(m, s);
    debug_assert!(given.is_ok());
}

/// Releases a permit, to the first of those that wait now. A waiter that comes meanwhile competes with newcomers for
/// it.
#[inline]
pub fn pass_on(m: MRef, s: &AtomicU32) {
    if waitq::has_waiters(m.sched(), std::ptr::from_ref(s) as u64) {
        release_handoff(m, s);
    } else {
        let released = release(m, s);
        debug_assert!(released.is_ok());
    }
}

/// Releases a permit. If there is a waiter, it gets the permit and the P as well: it runs next, in the caller's time
/// slice, and the caller goes to the end of the queue. The waiter gets only the permit if the caller may not leave its
/// P, or if either of them is not a G on a P.
///
/// # Migrates
pub fn hand_over(m: MRef, s: &AtomicU32) -> Result<()> {
    // A waiter that arrives meanwhile need not be seen.
    if !waitq::has_waiters(m.sched(), std::ptr::from_ref(s) as u64) {
        return release(m, s);
    }
    if give(m, s)? == Given::ToG && m.ctx() == Ctx::G && m.pins() == 0 {
        // The G that was readied last runs next (PARK-N1).
        park::gosched(m);
    }
    Ok(())
}

/// The receiver of a permit.
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
            // Under the lock: a caller that is about to wait tests the word after this.
            None => add(s).map(|()| Given::ToCount),
        };
        Wake::Handoff
    });
    given
}
