//! The lists of idle Ps and idle Ms, and the M that keeps the timers while it sleeps. Who enters them and who is taken out
//! is told in [`super::wake`].

use crate::gmp::lock::SchedLocked;
use crate::gmp::m::MRef;
use crate::gmp::p::{OwnedP, PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sync::widen::widen;
use crate::sync::{Ordering, now, step};
use std::ptr::null_mut;

/// Puts a P into the idle list, or hands it back with the requests that came first: they are served before.
pub fn pidleput(sched: &Sched, lk: &mut SchedLocked<'_>, pp: OwnedP) -> Result<(), (OwnedP, u64)> {
    debug_assert!(pp.runq_empty(), "W1");
    let p = pp.try_idle()?;
    pidle_link(sched, lk, p);
    Ok(())
}

/// Links a P that is Idle already.
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

/// `npidle` and the mask are written under `sched.lock` only, and order nothing: who makes a P idle does the fence of
/// I3 before the second look, who takes one does that of S2 before others are told of work.
pub fn add_npidle(sched: &Sched, n: i32) {
    sched.npidle.store(sched.npidle.load(Ordering::Relaxed).wrapping_add_signed(n), Ordering::Relaxed);
}

/// Takes the whole idle list. Its Ps stay Idle, and nobody finds them, so nothing happens to them until they are
/// thawed.
pub fn pidle_freeze(sched: &Sched, lk: &mut SchedLocked<'_>) -> *mut crate::gmp::P {
    sched.npidle.store(0, Ordering::Relaxed);
    std::mem::replace(&mut lk.pidle, null_mut())
}

/// Puts a frozen list back: `n` Ps, of which `last` is the last.
pub fn pidle_thaw(sched: &Sched, lk: &mut SchedLocked<'_>, first: *mut crate::gmp::P, last: PRef, n: u32) {
    last.idle_link.set(lk.pidle);
    lk.pidle = first;
    widen!();
    add_npidle(sched, n as i32);
}

/// Takes a P from the idle list.
pub fn pidleget(sched: &Sched, lk: &mut SchedLocked<'_>) -> Option<OwnedP> {
    let p = pidle_unlink(sched, lk)?;
    let pp = p.own(PStatus::Idle);
    end_deep_sleep(sched, lk);
    Some(pp)
}

/// A P is about to be used: sysmon is called, if it sleeps until then. Its clock has stood still for as long.
#[inline]
pub fn end_deep_sleep(sched: &Sched, lk: &mut SchedLocked<'_>) {
    if sched.sysmon_deep.load(Ordering::Relaxed) {
        sched.coarse.set(now());
        sched.sysmon_deep.store(false, Ordering::Relaxed);
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

/// Takes a sleeping M: the one that slept last, or else the keeper, who then keeps nothing.
pub fn mget(sched: &Sched, lk: &mut SchedLocked<'_>) -> Option<MRef> {
    // SAFETY: the list holds Ms.
    if let Some(m) = unsafe { MRef::from_ptr(lk.midle) } {
        lk.midle = m.link.take();
        lk.nmidle -= 1;
        return Some(m);
    }
    take_keeper(sched)
}

pub fn any_idle_m(sched: &Sched, lk: &SchedLocked<'_>) -> bool {
    !lk.midle.is_null() || !sched.keeper.load(Ordering::Relaxed).is_null()
}

/// `sched.lock` is held.
pub fn take_keeper(sched: &Sched) -> Option<MRef> {
    // SAFETY: the word holds null or an M.
    let m = unsafe { MRef::from_ptr(sched.keeper.load(Ordering::Relaxed)) }?;
    sched.keeper.store(null_mut(), Ordering::Relaxed);
    sched.keeper_until.store(NEVER, Ordering::Relaxed);
    Some(m)
}

/// False: it is not there any more.
pub fn leave_idle(sched: &Sched, lk: &mut SchedLocked<'_>, m: MRef) -> bool {
    if sched.keeper.load(Ordering::Relaxed) == m.as_ptr() {
        take_keeper(sched);
        return true;
    }
    let mut at: *mut *mut crate::gmp::M = &mut lk.midle;
    // SAFETY: the list holds Ms, and is ours while the lock is held.
    unsafe {
        while !(*at).is_null() {
            step();
            if *at == m.as_ptr() {
                *at = m.link.take();
                lk.nmidle -= 1;
                return true;
            }
            at = (**at).link.as_ptr();
        }
    }
    false
}
