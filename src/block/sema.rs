//! Counting semaphores on a plain `uint32_t`.
//!
//! A release adds first and wakes then; who is woken competes with whoever comes by (barging), and goes to the front of
//! the queue when it loses. With a hand-off the count goes straight to the first waiter: FIFO, for the world lock.

use super::waitq::{self, How, Kind, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
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
    let mut n = s.load(Ordering::Relaxed);
    loop {
        let Some(more) = n.checked_add(1) else { return Err(Error::Busy) };
        // SeqCst, and a fence: B1 in waitq.rs.
        match s.compare_exchange_weak(n, more, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => n = now,
        }
    }
    fence_after_rmw();
    if root.anybody() {
        wake(m, addr);
    }
    Ok(())
}

/// Apart, so that a release that nobody waits for needs no stack.
#[inline(never)]
fn wake(m: MRef, addr: u64) {
    waitq::wake_one(m, addr, |_, _| Wake::Ready);
}

/// Gives one back, to the first waiter if there is one.
pub fn release_handoff(m: MRef, s: &AtomicU32) {
    let addr = std::ptr::from_ref(s) as u64;
    waitq::wake_one(m, addr, |gp, _| {
        if gp.is_none() {
            // Under the lock: who is about to wait tests the word after us.
            s.fetch_add(1, Ordering::SeqCst);
        }
        Wake::Handoff
    });
}
