//! A thread of the host waits: it sleeps on the note of its M, without a P.
//!
//! A thread that has no G of its own calls a function that parks: a lock, a channel, a sleep. Its extra M has a G that
//! stands for it in the lists of waiters, so wakers find a thread as they find a G; the flag THREAD_WAIT tells them to
//! set the note of the M instead of queueing the G. The steps and rules of the park are those of park.rs (PARK-K5 for a
//! commit of the host); QUIET-N2 says when the thread counts as one that sleeps.

use crate::gmp::g::{GRef, GStatus, WaitReason, gflag};
use crate::gmp::m::{Commit, Ctx, MRef};
use crate::sync::now;
use crate::sync::widen::widen;

/// Parks a thread of the host, without a P. At the deadline `expire` is called once: it either takes the wait record
/// back and readies the thread, or leaves the wake-up to the waker that has taken the record.
pub fn park(m: MRef, reason: WaitReason, commit: Commit, deadline: Option<i64>, expire: impl FnOnce(GRef)) {
    waits(m, reason, deadline, expire, |gp| {
        // SAFETY: the commit came with its argument. Only this thread runs the G, so the G may be readied from now on.
        let parks = || commit.f.is_none_or(|f| unsafe { f(m, gp, commit.arg) });
        if !commit.host {
            gp.set_status(GStatus::Waiting);
            if deadline.is_none() {
                sticks(m);
            }
            return parks();
        }
        gp.set_status(GStatus::Parking);
        // PARK-K5: no waker wakes the thread before the status is Parked.
        let parked = parks() && gp.cas_status(GStatus::Parking, GStatus::Parked);
        if parked && deadline.is_none() {
            sticks(m);
        }
        parked
    });
}

/// QUIET-N2, for a thread that waits without a deadline. It is counted before it is seen as parked; the watchers
/// are told when the commit has released its locks.
pub fn sticks(m: MRef) {
    m.sched().count_for_watchers();
    m.parked.set(true);
}

/// As [`park`]. `commit` says whether the thread is parked; if it is and has no deadline, `commit` has called
/// [`sticks`].
pub fn waits(
    m: MRef,
    reason: WaitReason,
    deadline: Option<i64>,
    expire: impl FnOnce(GRef),
    commit: impl FnOnce(GRef) -> bool,
) {
    let gp = m.own_g();
    gp.set_flag(gflag::THREAD_WAIT, true);
    // While no P is used sysmon does not move the cheap clock.
    gp.note_wait(reason, now());
    let old = m.swap_ctx(Ctx::Sched);
    let parked = commit(gp);
    m.set_ctx(old);
    if parked {
        if deadline.is_none() {
            m.sched().tell_watchers();
        }
        if !m.park.sleep_until(deadline) {
            expire(gp);
            m.park.sleep();
        }
        m.park.clear();
    }
    m.parked.set(false);
    gp.set_flag(gflag::THREAD_WAIT, false);
    gp.set_status(GStatus::Syscall);
}

#[cold]
pub fn ready(gp: GRef) {
    // SAFETY: a G that waits as a thread has its M. The note comes last: after it the M may serve another thread.
    if let Some(m) = unsafe { MRef::from_ptr(gp.m.get()) } {
        // The thread's wait has ended, though it may take a while until the thread gets a CPU.
        m.parked.set(false);
        widen!();
        m.park.wakeup();
    }
}
