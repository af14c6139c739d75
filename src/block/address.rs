//! Waiting until a word of the host changes, as with futexes, `std::atomic::wait` and `std.Io.futexWait`.
//!
//! The protocol is waitq.rs's. The word is the host's, so the library only compares it (WAITQ-A2), under the lock of
//! its root. The waker has changed the word before it calls (WAITQ-B1); the call executes the fence and looks for
//! waiters.
//!
//! The addresses are separate names in the wait table: a semaphore or a mutex of the library may lie at the same place,
//! and neither sees the waiters of the other.

use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::{Ordering, fence};

/// No address of the host has this bit.
const OF_THE_HOST: u64 = 1 << 63;

/// Waits while `still` says that the word is as the caller saw it. Ok: a waker woke the caller. Again: the word had
/// changed.
///
/// # Migrates
pub fn wait(m: MRef, addr: usize, deadline: Option<i64>, still: impl FnOnce() -> bool) -> Result<()> {
    let how = How::event(WaitReason::ADDRESS, deadline);
    let (_, waited) = waitq::wait(m, addr as u64 | OF_THE_HOST, how, still);
    match waited {
        Waited::Not => Err(Error::Again),
        waited => waited.error().map_or(Ok(()), Err),
    }
}

/// Wakes at most `n` waiters of an address, in the order of their waits. Returns how many it woke.
pub fn wake(m: MRef, addr: usize, n: u32) -> u32 {
    let addr = addr as u64 | OF_THE_HOST;
    // WAITQ-B1: pairs with WAITQ-A1.
    fence(Ordering::SeqCst);
    if !waitq::has_waiters(m.sched(), addr) {
        return 0;
    }
    waitq::wake_some(m, addr, |w| (0..n).take_while(|_| w.take(addr, Wake::Ready).is_some()).count() as u32)
}
