//! Condition variables.
//!
//! # Problem
//! Give a mutex back and wait, so that no signal between the two is lost; who waited first is woken first, and nobody
//! who came later takes that wake away.
//!
//! # Words
//! The queue at the condition's address. `mutex`: the one that is used with it while somebody waits; `home`: its own
//! address from the first wait on. Both under the lock of the root.
//!
//! # Protocol
//! Waiter, which holds the mutex:
//! * W1 under the lock: it is no copy, and nobody waits with another mutex; into the queue: the place there is its
//!   ticket.
//! * W2 off its stack and with the lock open it unlocks the mutex ([`waitq::After`]).
//! * W3 woken, timed out or canceled: it takes the mutex again; nothing ends that wait. (It may be there before W2, and
//!   still be noted as the owner: then it waits for itself, which W2 ends.)
//! * W4 a waiter that is refused in W1, since its token is canceled or there is no memory, unlocks the mutex all the
//!   same, lets others run, and takes it again: otherwise the usual loop around a wait keeps out whoever would end it.
//!
//! Signal: V1 is anybody there? V2 under the lock: the first out of the queue, or all.
//!
//! # Invariants
//! * N1 a wake is for a waiter that was in the queue; a deadline that comes later finds it gone and changes nothing,
//!   one that comes before has taken it out, and the signal goes to the next. So no signal is lost on one that gives
//!   up.
//! * N2 a waiter holds the mutex when it comes back, and was without it meanwhile, unless the call was wrong.
//!
//! # Orderings
//! Whoever changes what is waited for holds the mutex meanwhile: before the waiter had it, and then the waiter has seen
//! the change; or after W2, and then V1 sees what W1 wrote. (A signal for a change without the mutex may come too early
//! in any case.) So V1 needs no fence.
//!
//! # Rejected
//! Tickets of their own (Go's notifyList): the mutex is given back before the waiter is in the list, so a ticket whose
//! owner gives up must be passed on by whoever draws it.

use super::mutex::Mutex;
use super::vain;
use super::waitq::{self, After, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::gmp::semtable::Queue;
use crate::sync::own::OwnU64;
use std::ffi::c_void;

/// As the C struct lays it out; zero is ready.
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
        // W1
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
            // W4
            mutex.unlock_for(m);
            m = vain::give_way(m);
        }
        // W3
        mutex.lock_again(m);
        waited.error().map_or(Ok(()), Err)
    }

    /// Wakes the first of those who wait. Invalid: a copy.
    pub fn signal(&self, m: MRef) -> Result<()> {
        self.wake(m, |w, addr| {
            w.take(addr, Wake::Ready);
        })
    }

    /// Wakes all who wait. Invalid: a copy.
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
        // V1
        if waitq::anybody(m.sched(), addr) {
            // V2
            waitq::wake_some(m, addr, |w| f(w, addr));
        }
        Ok(())
    }
}

/// W2.
unsafe fn unlock(m: MRef, arg: *mut c_void) {
    // SAFETY: `wait` passes its mutex; the waiter comes back by it only when it has been unlocked.
    unsafe { &*arg.cast::<Mutex>() }.unlock_for(m);
}
