//! Parks of the host: `gmx_park`, also with a timeout or under a token, and `gmx_ready`.
//!
//! # Problem
//! A G parks. Its commit, a function of the host that runs off the G's stack, makes the G's handle known. A thread that
//! knows the handle may ready the G, from then on or long before. The deadline may pass and the token may be canceled
//! at any moment, also while the commit runs. Exactly one of these parties ends the park, and the others learn that
//! they did not. A party that is late must not end the next park of the same G.
//!
//! # Words
//! * `gp.wait`: the number and the state of a claimed wait (claim.rs).
//! * the status of the G: Interruptible from before the commit runs until the park has ended.
//!
//! A park without a timeout and without a token uses neither: the status alone decides, as Parking and Parked
//! (PARK-K5).
//!
//! # Protocol
//! The parking G:
//! * PARKING-P1 It takes a new number and writes PREPARING (CLAIM-C1), and registers with its token. If the token is
//!   canceled already, it writes EARLY_CANCELED. The commit runs all the same, since the caller may rely on its effect.
//! * PARKING-P2 Off its stack, by way of g0: it sets the status Interruptible. From here on a readier may claim the
//!   wait.
//! * PARKING-P3 The host's commit runs.
//! * PARKING-P4 If the commit says not to park, it writes TAKEN, whatever the state was. No claim succeeds any more,
//!   and the G continues.
//! * PARKING-P5 If the commit says to park and the state still is PREPARING, it arms the timer and changes PREPARING to
//!   OPEN by CAS. If that fails, the park has ended early, and the G continues. With no time left it changes PREPARING
//!   to TIMED_OUT instead.
//! * PARKING-P6 Awake again: it stops the timer and unregisters from the token (CLAIM-C4).
//!
//! A readier, with a handle:
//! * PARKING-R1 reads the word of the wait.
//! * PARKING-R2 reads the status. Unless it is Interruptible, and the status of the G that the handle names, the G is
//!   not parked.
//! * PARKING-R3 changes the word by CAS from the value of PARKING-R1: OPEN becomes TAKEN, and the readier readies the
//!   G; PREPARING becomes EARLY_TAKEN, and PARKING-P5 lets the G continue. In any other state another party was faster.
//!   If the CAS fails, the readier repeats from PARKING-R1.
//!
//! The timer and the canceller do CLAIM-E1 and CLAIM-E2.
//!
//! # Invariants
//! * PARKING-J1 One end: the word leaves PREPARING and OPEN once, and each park has its own number. A late interruption
//!   finds another number, or a state that cannot be claimed.
//! * PARKING-J2 A readier that succeeds in PARKING-R3 has ended a park by `gmx_park`, of the G that its handle names.
//!   If the status of PARKING-R2 belonged to a later wait than the word of PARKING-R1, the word would have changed, and
//!   PARKING-R3 would fail. It cannot belong to an earlier wait (see Orderings). If both belong to the same wait, the
//!   status is Interruptible only if that wait is a park.
//! * PARKING-J3 The G runs again only after its commit has returned (PARK-K5): before OPEN the party that ends the park
//!   leaves the G to its M.
//! * PARKING-J4 A park that comes to nothing leaves no timer: PARKING-P5 arms it after the commit, and PARKING-P6 stops
//!   a timer that has not fired. After PARKING-P6 the G is in no token's list either.
//!
//! # Orderings
//! * PREPARING is a Release, PARKING-R1 an Acquire: PARKING-R2 sees no status from before PARKING-P1.
//! * The status of PARKING-P2 is a Release, PARKING-R2 an Acquire: PARKING-R3 sees no word from before PARKING-P1
//!   (PARKING-J2).
//! * EARLY_TAKEN is a Release, the look after the failed CAS of PARKING-P5 an Acquire: the G sees what the readier did
//!   before. After OPEN the run queue, or the note of a thread, does the same.
//!
//! # Rejected
//! * The status alone, with interruptions that change it from Parked to Runnable by CAS. It has no number, so a late
//!   interruption would end the next park. To prevent that, a woken G would have to wait until every thread that may
//!   know of its park is done, and such a thread may have lost its CPU for a long time.
//! * Arming the timer before the commit: a park whose commit refuses, which is frequent where the event has come
//!   already, would pay for it.
//!
//! # Differences from Go
//! `gopark` has neither a timeout nor a cancellation: Go's timers and contexts use channels.

use super::claim::{self, EARLY_CANCELED, EARLY_TAKEN, OPEN, PREPARING, TAKEN, TIMED_OUT, Wait};
use super::{cancel, vain, waitq};
use crate::gmp::error::Result;
use crate::gmp::g::{GRef, GStatus, WaitReason};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::gmp::timers::{Alarm, Timers};
use crate::protocol::{park, thread, wake};
use crate::sync::Ordering;
use crate::sync::widen::widen;
use std::ffi::c_void;

/// A commit of the host, in the frame of the caller.
struct Host {
    commit: Option<extern "C" fn(*mut c_void, u64) -> bool>,
    arg: *mut c_void,
}

impl Host {
    /// Returns whether to park. The G continues only after this has returned (PARKING-J3, PARK-K5), so its data may lie
    /// on the G's stack.
    #[inline(always)]
    fn commit(&self, m: MRef, gp: GRef) -> bool {
        let handle = gp.handle();
        let ctx = m.swap_ctx(Ctx::Sched);
        let (curg, pins) = (m.curg.take(), m.pins());
        m.set_pins(0);
        let parks = m.call_host(|| self.commit.is_none_or(|f| crate::sys::call::commit(f, self.arg, handle)));
        m.set_pins(pins);
        m.curg.set(curg);
        m.set_ctx(ctx);
        parks
    }
}

/// Whether only `gmx_ready` can end a park without a timeout of the G that runs here. For code that may leave its M.
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
    if timeout != waitq::FOREVER || cancel::ends(waitq::waiter(m), cancel::Kind::Event).is_some() {
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

/// The data of the commit of a park that only `gmx_ready` ends.
struct Alone {
    host: Host,
    /// The G was not parked: the commit said so, or had readied it.
    at_once: bool,
}

unsafe fn commit_alone(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `park` passes this; it lives until the G continues (PARK-K5).
    let alone = unsafe { &mut *arg.cast::<Alone>() };
    let parks = alone.host.commit(m, gp);
    alone.at_once = !parks || gp.status() != GStatus::Parking;
    parks
}

/// The data of the commit of an interruptible park, in the caller's frame, which lasts until OPEN.
struct Leaving {
    host: Host,
    seq: u64,
    /// For the timer of a G.
    deadline: Option<i64>,
    /// The timeout had passed at the call.
    past: bool,
    /// The caller is a thread of the host without a deadline.
    sticks: bool,
    armed: bool,
    /// The G was not parked, and the result is no error.
    at_once: bool,
}

#[cold]
#[inline(never)]
fn park_interruptibly(m: MRef, host: Host, reason: WaitReason, timeout: i64) -> Result<()> {
    // PARKING-P1
    let past = timeout <= 0;
    let mut wait = Wait::number(m, if past { waitq::FOREVER } else { timeout })?;
    let (gp, seq, foreign, deadline) = (wait.gp, wait.seq, wait.foreign, wait.deadline);
    if !past && wait.register().is_err() {
        // No readier looks at the word before PARKING-P2.
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
        // SAFETY: the commit expects this argument.
        thread::waits(m, reason, deadline, expire, |gp| unsafe { commit_or_end(m, gp, arg) });
        m
    } else {
        park::gopark_by_g0(m, reason, Commit { host: false, f: Some(commit_or_end), arg })
    };
    // PARKING-P6
    let end = wait.over(leaving.armed);
    if leaving.at_once {
        vain::in_vain(m);
    }
    end
}

/// PARKING-P2 to PARKING-P5. True: the G is parked.
unsafe fn commit_or_end(m: MRef, gp: GRef, arg: *mut c_void) -> bool {
    // SAFETY: `park_interruptibly` passes this; it lives until the G continues.
    let leaving = unsafe { &mut *arg.cast::<Leaving>() };
    // PARKING-P2
    gp.set_status(GStatus::Interruptible);
    // PARKING-P3
    let parks = leaving.host.commit(m, gp);
    widen!();
    if parks && !leaving.past && leaving.open(m, gp) {
        return true;
    }
    if leaving.deadline.is_some() && !leaving.armed {
        m.must_p().timers.unreserve();
    }
    if !parks {
        // PARKING-P4
        gp.wait.store(claim::word(leaving.seq, TAKEN), Ordering::Relaxed);
    } else if leaving.past {
        // PARKING-P5. If it fails, a readier was faster.
        let _ = claim::change(&gp, leaving.seq, PREPARING, TIMED_OUT);
    }
    // Acquire: pairs with EARLY_TAKEN.
    let early = claim::parts(gp.wait.load(Ordering::Acquire)).1;
    leaving.at_once = !parks || early == EARLY_TAKEN;
    gp.set_status(GStatus::Runnable);
    false
}

impl Leaving {
    /// PARKING-P5. False: the park has ended early. True: the G may run, and `self` may be gone (PARK-K2).
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
            thread::sticks(m);
        }
        widen!();
        let open = claim::change(&gp, seq, PREPARING, OPEN);
        if let Some(when) = first {
            wake::timer_added_on_the_way(m.sched(), m, when);
        }
        open
    }
}

/// Readies the G that `handle` names, if it is parked by [`park()`] and no other party has ended that park.
#[inline(always)]
#[must_use]
pub fn ready(m: MRef, gp: GRef, handle: u64) -> bool {
    park::ready_parked(m, gp, handle) || claim_park(m, gp, handle)
}

/// PARKING-R1 to PARKING-R3.
#[cold]
#[inline(never)]
fn claim_park(m: MRef, gp: GRef, handle: u64) -> bool {
    loop {
        // PARKING-R1. Acquire: pairs with PREPARING.
        let (seq, state) = claim::parts(gp.wait.load(Ordering::Acquire));
        widen!();
        // PARKING-R2
        if gp.status_of(handle) != Some(GStatus::Interruptible) {
            return false;
        }
        widen!();
        // PARKING-R3
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
