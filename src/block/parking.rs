//! Parks of the host: `gmx_park`, also with a timeout or under a token, and `gmx_ready`.
//!
//! # Problem
//! A G parks; its commit, which runs off its stack and is the host's, makes its handle known. Whoever knows the handle may
//! ready the G, from then on or long before. Its deadline may pass and its token may be cancelled at any moment, also while
//! the commit runs. Exactly one of them ends the park, the others learn that they did not, and one that is late must not
//! end the next park of the same G.
//!
//! # Words
//! `gp.wait`, the number and the state of a claimed wait (claim.rs). The status of the G: Interruptible from before the
//! commit runs until the park has ended. A park without a timeout and a token has neither: the status alone decides, as
//! Parking and Parked (K5 in park.rs).
//!
//! # Protocol
//! The parking G:
//! * P1 a new number, PREPARING (C1 in claim.rs), then into the list of its token. If that is cancelled already:
//!   EARLY_CANCELED. The commit runs all the same, since the caller may rely on what it does.
//! * P2 off its stack, by way of g0: status Interruptible. From here on a readier may claim the wait.
//! * P3 the commit of the host runs.
//! * P4 it says not to park: TAKEN, whatever the state was. No claim succeeds any more, and the G goes on.
//! * P5 it says to park: if the state still is PREPARING the timer is armed, then PREPARING becomes OPEN by CAS. If that
//!   fails the park has ended early, and the G goes on. With no time left PREPARING becomes TIMED_OUT instead.
//! * P6 awake: stop the timer, leave the token (C4 in claim.rs).
//!
//! A readier, with a handle:
//! * R1 read the word of the wait;
//! * R2 read the status: Interruptible, and of the G that the handle names. Otherwise it is not parked;
//! * R3 CAS of the word from what was read: OPEN becomes TAKEN, and the readier readies the G; PREPARING becomes
//!   EARLY_TAKEN, and P5 lets it go on. Any other state: another was faster. If the CAS fails look again, from R1.
//!
//! The timer and the canceller: E1 and E2 in claim.rs.
//!
//! # Invariants
//! * J1 one end: the word leaves PREPARING and OPEN once, and each park has a number of its own. An interruption that is
//!   late finds another number, or a state that is not to be claimed.
//! * J2 a readier that succeeds in R3 has ended a park by `gmx_park`, of the G that its handle names. For if the status of
//!   R2 was of a later wait than the word of R1, the word has changed, and R3 fails; of an earlier wait it cannot be (see
//!   Orderings); and of the same wait it is Interruptible only if that is a park.
//! * J3 the G runs again only when its commit has returned (K5 in park.rs): before OPEN those who end the park leave the G
//!   to its M.
//! * J4 a park that comes to nothing leaves no timer: it is armed behind the commit only, and P6 stops one that has not
//!   fired. It is in the list of no token either, by P6.
//!
//! # Orderings
//! * PREPARING is a Release, R1 an Acquire: R2 sees no status of before P1.
//! * The status of P2 is a Release, R2 an Acquire: R3 sees no word of before P1 (J2).
//! * EARLY_TAKEN is a Release, the look behind the failed CAS of P5 an Acquire: what the readier did before is seen by the
//!   G. Behind OPEN the run queue, or the note of a thread, does that.
//!
//! # Rejected
//! * The status alone, with interruptions that change it from Parked to Runnable by CAS. It has no number, so one that is
//!   late ends the next park; unless the G, when it is back, waits until all that may know of its park are through. They
//!   may have lost their CPU for a long time.
//! * To arm the timer before the commit: one that refuses, as most do where the event is there already, would pay for it.
//!
//! # Differences from Go
//! `gopark` has neither a timeout nor a cancellation: there timers and contexts come by channels.

use super::claim::{self, EARLY_CANCELED, EARLY_TAKEN, OPEN, PREPARING, TAKEN, TIMED_OUT, Wait};
use super::{cancel, vain, waitq};
use crate::gmp::error::Result;
use crate::gmp::g::{GRef, GStatus, WaitReason};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::gmp::timers::{Alarm, Timers};
use crate::protocol::{park, wake};
use crate::sync::Ordering;
use crate::sync::widen::widen;
use std::ffi::c_void;

/// A commit of the host, in the frame of the caller.
struct Host {
    commit: Option<extern "C" fn(*mut c_void, u64) -> bool>,
    arg: *mut c_void,
}

impl Host {
    /// Whether to park. The G goes on only when this has returned (J3, K5), so what it uses may lie on its stack.
    #[inline(always)]
    fn commit(&self, m: MRef, gp: GRef) -> bool {
        let handle = gp.handle();
        let ctx = m.swap_ctx(Ctx::Sched);
        let (curg, pins) = (m.curg.take(), m.pins());
        m.set_pins(0);
        let parks = self.commit.is_none_or(|f| crate::sys::call::commit(f, self.arg, handle));
        m.set_pins(pins);
        m.curg.set(curg);
        m.set_ctx(ctx);
        parks
    }
}

/// Whether only `gmx_ready` can end a park of the G that runs here without a timeout. For code that is free to go.
#[inline(always)]
pub fn is_alone(m: MRef) -> bool {
    m.free_g().cancel.is_null()
}

/// Parks the caller, a G or a thread of the host. Ok: it was readied, or its commit said not to park.
///
/// # Migrates
pub fn park(
    m: MRef,
    commit: Option<extern "C" fn(*mut c_void, u64) -> bool>,
    arg: *mut c_void,
    reason: WaitReason,
    timeout: i64,
) -> Result<()> {
    if timeout != waitq::FOREVER || cancel::ends(waitq::waiter(m), waitq::Kind::Event).is_some() {
        return park_interruptibly(m, Host { commit, arg }, reason, timeout);
    }
    park_alone(m, commit, arg, reason);
    Ok(())
}

/// As [`park()`], for a caller whose park only `gmx_ready` ends.
///
/// # Migrates
#[inline(always)]
pub fn park_alone(
    m: MRef,
    commit: Option<extern "C" fn(*mut c_void, u64) -> bool>,
    arg: *mut c_void,
    reason: WaitReason,
) {
    let mut alone = Alone { host: Host { commit, arg }, at_once: false };
    let commit = Commit { host: true, f: Some(commit_alone), arg: (&raw mut alone).cast() };
    let m = park::gopark_host(m, reason, commit);
    if alone.at_once {
        vain::in_vain(m);
    }
}

/// What the commit of a park needs that only `gmx_ready` ends.
struct Alone {
    host: Host,
    /// It was not parked: the commit said so, or had readied it.
    at_once: bool,
}

unsafe fn commit_alone(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `park` passes this; it lives until the G goes on (K5 in park.rs).
    let alone = unsafe { &mut *arg.cast::<Alone>() };
    let parks = alone.host.commit(m, gp);
    alone.at_once = !parks || gp.status() != GStatus::Parking;
    parks
}

/// What the commit of an interruptible park needs, in the frame of the caller, which lasts until OPEN.
struct Leaving {
    host: Host,
    seq: u64,
    /// For the timer of a G.
    deadline: Option<i64>,
    /// There is no time to wait.
    past: bool,
    /// It is a thread of the host without a deadline.
    sticks: bool,
    armed: bool,
    /// It was not parked, and no error says so.
    at_once: bool,
}

#[cold]
#[inline(never)]
fn park_interruptibly(m: MRef, host: Host, reason: WaitReason, timeout: i64) -> Result<()> {
    // P1
    let past = timeout <= 0;
    let mut wait = Wait::number(m, if past { waitq::FOREVER } else { timeout })?;
    let (gp, seq, foreign, deadline) = (wait.gp, wait.seq, wait.foreign, wait.deadline);
    if !past && wait.register().is_err() {
        // No readier looks at the word before P2.
        let early = claim::change(&gp, seq, PREPARING, EARLY_CANCELED);
        debug_assert!(early);
    }
    widen!();
    let mut leaving = Leaving {
        host,
        seq,
        deadline: deadline.filter(|_| !foreign),
        past,
        sticks: foreign && deadline.is_none(),
        armed: false,
        at_once: false,
    };
    let arg = (&raw mut leaving).cast();
    let m = if foreign {
        let expire = |gp| claim::expire(m, gp, seq);
        // SAFETY: the commit expects this.
        park::thread_waits(m, reason, deadline, expire, |gp| unsafe { commit_or_end(m, gp, arg) });
        m
    } else {
        park::gopark_by_g0(m, reason, Commit { host: false, f: Some(commit_or_end), arg })
    };
    // P6
    let end = wait.over(leaving.armed);
    if leaving.at_once {
        vain::in_vain(m);
    }
    end
}

/// P2 to P5. True: it is parked.
unsafe fn commit_or_end(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `park_interruptibly` passes this; it lives until the G goes on.
    let leaving = unsafe { &mut *arg.cast::<Leaving>() };
    // P2
    gp.set_status(GStatus::Interruptible);
    // P3
    let parks = leaving.host.commit(m, gp);
    widen!();
    if parks && !leaving.past && leaving.open(m, gp) {
        return true;
    }
    if leaving.deadline.is_some() && !leaving.armed {
        m.must_p().timers.unreserve();
    }
    if !parks {
        // P4
        gp.wait.store(claim::word(leaving.seq, TAKEN), Ordering::Relaxed);
    } else if leaving.past {
        // P5. If it fails it has been readied.
        let _ = claim::change(&gp, leaving.seq, PREPARING, TIMED_OUT);
    }
    // Acquire: pairs with EARLY_TAKEN.
    let early = claim::parts(gp.wait.load(Ordering::Acquire)).1;
    leaving.at_once = !parks || early == EARLY_TAKEN;
    gp.set_status(GStatus::Runnable);
    false
}

impl Leaving {
    /// P5. False: the park has ended early. Otherwise the G may run, and this be gone (K2 in park.rs).
    fn open(&mut self, m: MRef, gp: GRef) -> bool {
        let seq = self.seq;
        if gp.wait.load(Ordering::Relaxed) != claim::word(seq, PREPARING) {
            return false;
        }
        let mut first = None;
        if let Some(when) = self.deadline {
            self.armed = true;
            let alarm = Alarm { when, fire: claim::fire, arg: gp.as_ptr().cast(), seq };
            // SAFETY: the G's timer is in no heap: its last wait took it out, or it fired. The G does not run yet.
            first = unsafe { Timers::add(m.must_p().p(), &gp.timer, alarm) }.then_some(when);
        }
        if self.sticks {
            park::thread_sticks(m);
        }
        widen!();
        let open = claim::change(&gp, seq, PREPARING, OPEN);
        if let Some(when) = first {
            wake::timer_added_on_the_way(m.sched(), m, when);
        }
        open
    }
}

/// Readies the G that `handle` names, if it is parked by [`park()`] and no other has ended that.
#[inline(always)]
#[must_use]
pub fn ready(m: MRef, gp: GRef, handle: u64) -> bool {
    park::ready_parked(m, gp, handle) || claim_park(m, gp, handle)
}

/// R1 to R3.
#[cold]
#[inline(never)]
fn claim_park(m: MRef, gp: GRef, handle: u64) -> bool {
    loop {
        // R1. Acquire: pairs with PREPARING.
        let (seq, state) = claim::parts(gp.wait.load(Ordering::Acquire));
        widen!();
        // R2
        if gp.status_of(handle) != Some(GStatus::Interruptible) {
            return false;
        }
        widen!();
        // R3
        match state {
            OPEN if claim::change(&gp, seq, OPEN, TAKEN) => {
                park::goready(m, gp);
                return true;
            }
            PREPARING if claim::change(&gp, seq, PREPARING, EARLY_TAKEN) => return true,
            OPEN | PREPARING => {}
            _ => return false,
        }
    }
}
