//! Condition variables.
//!
//! # Problem
//! A waiter unlocks a mutex and waits. If a signal comes between these two steps, it must not be lost. Waiters are
//! woken in the order of their waits, and a later waiter must not take a wake-up that came before its wait.
//!
//! # Words
//!
//! | word | meaning | guarded by |
//! |---|---|---|
//! | the queue | the waiters, at the condition's address | the root's lock |
//! | `mutex` | the mutex that is used with the condition while there are waiters | the root's lock |
//! | `home` | the condition's own address, from the first wait on; a copy is recognized by it | the root's lock |
//!
//! # Protocol
//! The waiter, which holds the mutex:
//! * COND-W1 Under the root's lock it checks that the condition is no copy, and that no G waits with another mutex.
//!   Then it gets into the queue; its place there is its ticket.
//! * COND-W2 Off its stack, with the root's lock open, its commit unlocks the mutex ([`waitq::After`]).
//! * COND-W3 Woken, timed out or canceled, it locks the mutex again, however long that takes; no deadline and no token
//!   ends this wait. The waiter may get here before COND-W2 has run. Then the mutex still names it as the owner, and it
//!   waits for itself until COND-W2 unlocks the mutex.
//! * COND-W4 A waiter that is refused in COND-W1, because its token is canceled or there is no memory, unlocks the
//!   mutex all the same, lets others run, and locks it again. Otherwise the usual loop around a wait would keep out the
//!   G that is to end the loop.
//!
//! A signal or a broadcast:
//! * COND-V1 reads whether there is a waiter.
//! * COND-V2 under the root's lock takes the first waiter out of the queue, or all of them, and wakes it.
//!
//! # Invariants
//! * COND-N1 A wake-up is for a waiter that is in the queue. A deadline that comes later finds the waiter taken out and
//!   changes nothing. A deadline that comes before has taken the waiter out, and the signal goes to the next one. So no
//!   signal is lost on a waiter that gives up.
//! * COND-N2 A waiter holds the mutex when its wait returns, and did not hold it in between, unless the call was wrong.
//!
//! # Orderings
//! COND-V1 needs no fence. The signaller changes the condition under the mutex. If it held the mutex before the waiter
//! did, the waiter has seen the change. If it held the mutex after COND-W2, COND-V1 sees the entry of COND-W1. (A
//! signal for a change that was made without the mutex may come too early anyway.)
//!
//! # Rejected
//! Separate tickets (Go's notifyList): there the waiter unlocks the mutex before it is in the list, so a ticket whose
//! owner gives up must be passed on by the G that draws it.

use super::mutex::Mutex;
use super::vain;
use super::waitq::{self, After, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::gmp::semtable::Queue;
use crate::sync::own::OwnU64;
use std::ffi::c_void;

/// Laid out as the C struct; zero is ready.
#[repr(C)]
#[derive(Default)]
pub struct Cond {
    mutex: OwnU64,
    home: OwnU64,
}

impl Cond {
    fn addr(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    /// # Migrates
    pub fn wait(&self, mut m: MRef, mutex: &Mutex, deadline: Option<i64>) -> Result<()> {
        if !mutex.is_owner(waitq::self_id(m)) {
            return Err(Error::Perm);
        }
        let (addr, with) = (self.addr(), std::ptr::from_ref(mutex) as u64);
        let after = After { f: unlock, arg: with as *mut c_void };
        let mut fits = true;
        let waited;
        // COND-W1
        let fit = |q: &mut Queue| {
            fits = [0, addr].contains(&self.home.get()) && (q.peek(addr).is_none() || self.mutex.get() == with);
            if fits {
                self.home.set(addr);
                self.mutex.set(with);
            }
            fits
        };
        let how = How::event(WaitReason::COND, deadline);
        (m, waited) = waitq::wait_then(m, addr, how, Some(after), fit, |_| ());
        if !fits {
            return Err(Error::Invalid);
        }
        if matches!(waited, Waited::NoMemory | Waited::Refused) {
            // COND-W4
            mutex.unlock_for(m);
            m = vain::give_way(m);
        }
        // COND-W3
        mutex.lock_again(m);
        waited.error().map_or(Ok(()), Err)
    }

    /// Wakes the first waiter. Invalid: a copy.
    pub fn signal(&self, m: MRef) -> Result<()> {
        self.wake(m, |w, addr| {
            w.take(addr, Wake::Ready);
        })
    }

    /// Wakes all waiters. Invalid: a copy.
    pub fn broadcast(&self, m: MRef) -> Result<()> {
        self.wake(m, |w, addr| {
            w.take_all(addr, Wake::Ready);
        })
    }

    #[inline]
    fn wake(&self, m: MRef, f: impl FnOnce(&mut waitq::Waker<'_>, u64)) -> Result<()> {
        let addr = self.addr();
        if ![0, addr].contains(&self.home.get()) {
            return Err(Error::Invalid);
        }
        // COND-V1
        if waitq::has_waiters(m.sched(), addr) {
            // COND-V2. A deadline that passes from here on comes too late (COND-N1).
            waitq::wake_some(m, addr, |w| f(w, addr));
        }
        Ok(())
    }
}

/// COND-W2.
unsafe fn unlock(m: MRef, arg: *mut c_void) {
    // SAFETY: `wait` passes its mutex; the waiter returns only with the mutex locked again, hence after this unlock.
    unsafe { &*arg.cast::<Mutex>() }.unlock_for(m);
}
