//! Sleeping: a timer that readies its G. The commit arms the timer when the G is off its stack; otherwise it might fire
//! before.
//!
//! Under a token of cancellation a sleep is a timed wait at an address that no waker uses.

use super::cancel::{self, Kind};
use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GRef, WaitReason};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::gmp::p::PRef;
use crate::gmp::timers::{Alarm, Timers};
use crate::protocol::park;
use std::ffi::c_void;

/// Sleeps until `deadline`.
///
/// # Migrates
pub fn sleep_until(m: MRef, deadline: i64) -> (MRef, Result<()>) {
    let gp = waitq::waiter(m);
    if cancel::ends(gp, Kind::Event).is_some() {
        let addr = std::ptr::from_ref(&gp.timer) as u64;
        let (m, waited) = waitq::wait(m, addr, How::event(WaitReason::SLEEP, Some(deadline)), || true);
        return match waited {
            Waited::Canceled | Waited::Refused => (m, Err(Error::Canceled)),
            Waited::NoMemory => (m, Err(Error::NoMemory)),
            _ => (m, Ok(())),
        };
    }
    if m.ctx() == Ctx::Foreign {
        crate::sys::sleep_until(deadline);
        return (m, Ok(()));
    }
    if m.must_p().timers.reserve().is_err() {
        return (m, Err(Error::NoMemory));
    }
    let mut when = deadline;
    let m = park::gopark(m, WaitReason::SLEEP, Commit { host: false, f: Some(arm), arg: (&raw mut when).cast() });
    (m, Ok(()))
}

unsafe fn arm(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `sleep_until` passes its deadline, which stays on the G's stack until the G runs.
    let when = unsafe { *arg.cast::<i64>() };
    let alarm = Alarm { when, fire: wake, arg: gp.as_ptr().cast(), seq: 0 };
    // SAFETY: the G's timer is not armed. After `add` the G may run (PARK-K2).
    if unsafe { Timers::add(m.must_p().p(), &gp.timer, alarm) } {
        crate::protocol::wake::timer_added_on_the_way(m.sched(), m, when);
    }
    true
}

unsafe fn wake(m: MRef, _: PRef, arg: *mut c_void, _: u64) -> bool {
    // SAFETY: `arm` passed its G, which waits for this timer alone.
    if let Some(gp) = unsafe { GRef::from_ptr(arg.cast()) } {
        park::goready(m, gp);
    }
    false
}
