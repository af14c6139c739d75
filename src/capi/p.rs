//! Processors
//!
//! A processor is the right to run goroutines; there are as many as CPUs by default, and the number changes while the
//! program runs. Values that belong to a processor need no lock while a goroutine is pinned to it. gmx_for_each_p runs
//! a function once for each processor without stopping them all: for caches, counters and epochs of the host.

use super::*;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::p::PRef;
use crate::gmp::sched::Sched;
use crate::sched::{keys, world};
use crate::sync::Ordering;
use crate::sync::own::OwnPtr;
use std::ffi::c_void;

/// A key for P-local values. 0 is no key.
pub type gmx_p_key = u32;

/// Sets the number of Ps: how many goroutines run at the same time. Memory is the only limit. From then on the number
/// does not follow the machine, until gmx_set_default_gomaxprocs. n <= 0 only asks.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread, until every running goroutine has passed a safe
/// point; n <= 0 never.
/// Call from: G, attached thread, foreign thread; n <= 0 from every context.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing. Values of P-local keys stay with a P that goes, and come back with it.
/// Returns: the previous number, or a negative status: GMX_ENOMEM (nothing is changed), GMX_ENOTG, GMX_EINSYSCALL,
/// GMX_ESHUTDOWN.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_gomaxprocs(n: i32) -> i32 {
    if n <= 0 {
        return started().map_or_else(|status| status, |m| m.sched().gomaxprocs.load(Ordering::Acquire));
    }
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let sched = m.sched();
    let before = sched.procs_follow.replace(false);
    world::gomaxprocs(*m, n).unwrap_or_else(|e| {
        sched.procs_follow.set(before);
        status::from(e)
    })
}

/// The default for the number of Ps: the CPUs that this process may use (its affinity), and no more than the tightest
/// CPU quota of its control group and all visible ancestors, rounded up and at least 2.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number, at least 1.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_num_cpu() -> i32 {
    crate::rt::machine_procs()
}

/// Sets the number of Ps to the default, and lets it follow the machine again: it is looked up once a second.
///
/// Blocks: as gmx_gomaxprocs.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ENOMEM, GMX_ENOTG, GMX_EINSYSCALL, GMX_ESHUTDOWN.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_set_default_gomaxprocs() -> gmx_status {
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    m.sched().procs_follow.set(true);
    map(world::gomaxprocs(*m, gmx_num_cpu()).map(drop))
}

/// Keeps the calling goroutine on its P until gmx_unpin: no other goroutine uses this P meanwhile. For short stretches:
/// a stop or a barrier waits for the unpin. Pins nest. In a function of gmx_for_each_p the result is the P for which
/// the function runs.
///
/// Blocks: never.
/// Call from: G, attached thread, a function of gmx_for_each_p, a caller that has stopped the world.
/// Safepoint: no.
/// Migrates: no, and not until gmx_unpin.
/// Cancellable: no.
/// Owns: the P. While pinned, calls that may block, gmx_yield and gmx_enter_syscall give GMX_ENOTG.
/// Returns: the number of the P, 0 or more; GMX_ENOTG without a P; GMX_EINSYSCALL.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_pin() -> i32 {
    match MRef::current() {
        Some(m) if m.ctx() == Ctx::G => {
            // Its P may have been taken.
            let m = Inside::enter(m);
            m.pin();
            let id = m.must_p().id as i32;
            m.end();
            id
        }
        _ => pin_slow(),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn pin_slow() -> i32 {
    let m = match MRef::current() {
        Some(m) if m.ctx() == Ctx::Syscall => return wrong(GMX_EINSYSCALL),
        Some(m) => m,
        None => return wrong(GMX_ENOTG),
    };
    match m.current_p() {
        Some(p) => {
            m.set_pins(m.pins() + 1);
            p.id as i32
        }
        None => wrong(GMX_ENOTG),
    }
}

/// Takes one gmx_pin back.
///
/// Blocks: never.
/// Call from: where gmx_pin was called.
/// Safepoint: the last one is.
/// Migrates: the last one may.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if it is not pinned; GMX_EINSYSCALL.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_unpin() -> gmx_status {
    let Some(m) = MRef::current() else { return unpin_slow() };
    // It comes in although it needs no P: the way out publishes what the caller has written on this P (SEIZE-N2).
    let m = Inside::enter(m);
    match m.unpin() {
        Some(0) if m.p().is_none_or(|pp| pp.requests() != 0) => unpinned(m),
        Some(_) => {
            m.end();
            GMX_OK
        }
        None => {
            m.end();
            unpin_slow()
        }
    }
}

#[cold]
#[inline(never)]
fn unpinned(m: Inside) -> gmx_status {
    m.then(crate::protocol::park::safepoint).end();
    GMX_OK
}

#[cold]
#[inline(never)]
#[track_caller]
fn unpin_slow() -> gmx_status {
    let m = match any() {
        Ok(m) if m.ctx() == Ctx::Syscall => return wrong(GMX_EINSYSCALL),
        Ok(m) => m,
        Err(status) => return status,
    };
    let Some(n) = m.pins().checked_sub(1) else { return wrong(GMX_EPERM) };
    m.set_pins(n);
    GMX_OK
}

/// Makes a key under which each P has a value of its own, NULL at first.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the key is the caller's until gmx_p_key_delete.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_EAGAIN when 64 keys are in use.
/// Since: 0.1
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_p_key_create(out: *mut gmx_p_key) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    match started().and_then(|m| keys::p_key_create(m.sched()).map_err(|e| status::from(e))) {
        Ok(key) => {
            // SAFETY: the caller's promise.
            unsafe { *out = key };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Ends a key; the values under it are forgotten.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: what the values point to stays the caller's.
/// Returns: GMX_OK; GMX_EINVAL for a key that is not valid.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_p_key_delete(key: gmx_p_key) -> gmx_status {
    match any() {
        Ok(m) if m.sched().pkeys.delete(key) => GMX_OK,
        Ok(_) => wrong(GMX_EINVAL),
        Err(status) => status,
    }
}

fn slot<'a>(sched: &Sched, p: &'a PRef, key: gmx_p_key) -> Option<&'a OwnPtr<c_void>> {
    Some(&p.slots[sched.pkeys.place(key)?])
}

/// Sets the value of the current P under a key. Pin first, or be in a function of gmx_for_each_p: otherwise the P may
/// be another one by the next line.
///
/// Blocks: never.
/// Call from: G, attached thread, a function of gmx_for_each_p, a caller that has stopped the world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the value stays the caller's.
/// Returns: GMX_OK; GMX_EINVAL for a key that is not valid; GMX_ENOTG without a P; GMX_EINSYSCALL.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_p_set(key: gmx_p_key, value: *mut c_void) -> gmx_status {
    let Some(m) = MRef::current().map(Inside::enter) else { return wrong(GMX_ENOTG) };
    if m.ctx() == Ctx::Syscall {
        return wrong(GMX_EINSYSCALL);
    }
    let Some(p) = m.current_p() else { return wrong(GMX_ENOTG) };
    // The caller runs on this P, or for it: no other thread uses its slots.
    match slot(m.sched(), &p, key) {
        Some(slot) => {
            slot.set(value);
            GMX_OK
        }
        None => wrong(GMX_EINVAL),
    }
}

/// The value of the current P under a key.
///
/// Blocks: never.
/// Call from: as gmx_p_set.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the value; NULL if none was set, for a key that is not valid, and without a P.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_p_get(key: gmx_p_key) -> *mut c_void {
    match started() {
        Ok(m) if m.ctx() != Ctx::Syscall => value_of(m.sched(), m.current_p(), key),
        _ => std::ptr::null_mut(),
    }
}

fn value_of(sched: &Sched, p: Option<PRef>, key: gmx_p_key) -> *mut c_void {
    p.and_then(|p| slot(sched, &p, key).map(OwnPtr::get)).unwrap_or(std::ptr::null_mut())
}

/// The value of P number p under a key, also of a P beyond the present number. For a stopped world or a function of
/// gmx_for_each_p for that P; elsewhere it is a glance.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the value; NULL if there is none.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_p_get_of(key: gmx_p_key, p: i32) -> *mut c_void {
    match rt::up() {
        Some(sched) => value_of(sched, u32::try_from(p).ok().and_then(|i| sched.p_at(i)), key),
        None => std::ptr::null_mut(),
    }
}

/// How many Ps were ever made. Those from number gmx_gomaxprocs(0) on are not in use, and keep their values.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the count; 0 when the runtime is not up.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_p_count() -> i32 {
    rt::up().map_or(0, |sched| sched.every_p().count() as i32)
}
