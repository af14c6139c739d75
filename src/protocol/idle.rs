//! The lists of idle Ps and idle Ms, and the timer waiter: the idle M that sleeps only until the next timer is due.
//! [`super::wake`] says when a P or an M enters a list, and which thread takes it out.

use crate::gmp::lock::SchedLocked;
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sync::widen::widen;
use crate::sync::{Ordering, now, step};
use std::ptr::null_mut;

/// Puts a P into the idle list. If requests came first, the P comes back with them: the caller serves them and tries
/// again.
pub fn pidleput(sched: &Sched, lk: &mut SchedLocked<'_>, pp: OwnedP) -> Result<(), (OwnedP, u64)> {
    debug_assert!(pp.runq_empty(), "WAKE-W1");
    let p = pp.try_idle()?;
    pidle_link(sched, lk, p);
    Ok(())
}

/// Links a P whose status is Idle already.
pub fn pidle_link(sched: &Sched, lk: &mut SchedLocked<'_>, p: PRef) {
    p.set_m(null_mut());
    p.idle_link.set(lk.pidle);
    lk.pidle = p.as_ptr();
    if let Some(t) = sched.allp() {
        t.idle.set(p.id);
    }
    widen!();
    add_npidle(sched, 1);
}

/// `npidle` and the mask of idle Ps are written under `sched.lock` only, and these stores order nothing. The order
/// comes from fences: a thread that makes a P idle does the fence of WAKE-I3 before its second look, and a thread that
/// takes a P does the fence of WAKE-S2 before it skips a wake.
pub fn add_npidle(sched: &Sched, n: i32) {
    sched.npidle.store(sched.npidle.load(Ordering::Relaxed).wrapping_add_signed(n), Ordering::Relaxed);
}

/// Takes the whole idle list. Its Ps stay Idle, but no thread finds them, so they do not change until they are thawed.
pub fn pidle_freeze(sched: &Sched, lk: &mut SchedLocked<'_>) -> *mut crate::gmp::P {
    sched.npidle.store(0, Ordering::Relaxed);
    std::mem::replace(&mut lk.pidle, null_mut())
}

/// Puts a frozen list of `n` Ps back. `last` is its last P.
pub fn pidle_thaw(sched: &Sched, lk: &mut SchedLocked<'_>, first: *mut crate::gmp::P, last: PRef, n: u32) {
    last.idle_link.set(lk.pidle);
    lk.pidle = first;
    widen!();
    add_npidle(sched, n as i32);
}

/// Takes a P from the idle list and owns it.
pub fn pidleget(sched: &Sched, lk: &mut SchedLocked<'_>) -> Option<OwnedP> {
    let p = pidle_unlink(sched, lk)?;
    let pp = p.acquire_from(PStatus::Idle);
    end_deep_sleep(sched, lk);
    Some(pp)
}

/// A P is about to be used. If all Ps were idle, sysmon sleeps until this moment (`sysmon_parked`): wake it, and set
/// the cheap clock, which has stood still meanwhile.
#[inline]
pub fn end_deep_sleep(sched: &Sched, lk: &mut SchedLocked<'_>) {
    if sched.sysmon_parked.load(Ordering::Relaxed) {
        sched.coarse.set(now());
        sched.sysmon_parked.store(false, Ordering::Relaxed);
        lk.wake_after(sched.sysmon_note.set());
    }
}

/// Unlinks an idle P whose status the caller changes.
pub fn pidle_unlink(sched: &Sched, lk: &mut SchedLocked<'_>) -> Option<PRef> {
    // SAFETY: the list holds Ps.
    let p = unsafe { PRef::from_ptr(lk.pidle) }?;
    lk.pidle = p.idle_link.take();
    if let Some(t) = sched.allp() {
        t.idle.clear(p.id);
    }
    add_npidle(sched, -1);
    Some(p)
}

pub fn mput(lk: &mut SchedLocked<'_>, m: MRef) {
    m.link.set(lk.midle);
    lk.midle = m.as_ptr();
    lk.nmidle += 1;
}

/// Takes a sleeping M: the M that fell asleep last. If only the timer waiter sleeps, takes the timer waiter; then there
/// is no timer waiter any more.
pub fn mget(sched: &Sched, lk: &mut SchedLocked<'_>) -> Option<MRef> {
    // SAFETY: the list holds Ms.
    if let Some(m) = unsafe { MRef::from_ptr(lk.midle) } {
        lk.midle = m.link.take();
        lk.nmidle -= 1;
        return Some(m);
    }
    take_timer_waiter(sched)
}

pub fn any_idle_m(sched: &Sched, lk: &SchedLocked<'_>) -> bool {
    !lk.midle.is_null() || !sched.timer_waiter.load(Ordering::Relaxed).is_null()
}

/// Takes the M that is the timer waiter, if there is one. The caller holds `sched.lock`.
pub fn take_timer_waiter(sched: &Sched) -> Option<MRef> {
    // SAFETY: the word holds null or an M.
    let m = unsafe { MRef::from_ptr(sched.timer_waiter.load(Ordering::Relaxed)) }?;
    sched.timer_waiter.store(null_mut(), Ordering::Relaxed);
    sched.timer_waiter_until.store(NEVER, Ordering::Relaxed);
    Some(m)
}

/// Takes `m` out of its list, or ends its time as the timer waiter. False if a waker has already taken it out.
pub fn leave_idle(sched: &Sched, lk: &mut SchedLocked<'_>, m: MRef) -> bool {
    if sched.timer_waiter.load(Ordering::Relaxed) == m.as_ptr() {
        take_timer_waiter(sched);
        return true;
    }
    let mut before: Option<MRef> = None;
    // SAFETY: the list holds Ms, and ends with null.
    while let Some(at) = unsafe { MRef::from_ptr(before.map_or(lk.midle, |m| m.link.get())) } {
        step();
        if at.as_ptr() == m.as_ptr() {
            let rest = m.link.take();
            match before {
                Some(before) => before.link.set(rest),
                None => lk.midle = rest,
            }
            lk.nmidle -= 1;
            return true;
        }
        before = Some(at);
    }
    false
}
