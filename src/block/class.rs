//! Classes of blocking calls: at most `limit` calls of a class run at a time, and the others wait their turn.
//!
//! # Problem
//! A long computation in foreign code is neither short nor asleep. As an ordinary call it holds up the Gs that wait on
//! its P. As a blocking call it has a thread of its own, and hundreds of such threads compete for the CPUs with
//! everything else.
//!
//! # Words
//! * `free`: a semaphore with the permits of the class, handed over in the order of arrival.
//! * `users`: the calls that wait or run; `CLOSED` when no more calls may come.
//! * `handle`: 0 while the memory serves no class.
//!
//! # Protocol
//! * CLASS-T1 A call adds itself to `users`, unless the class is closed, and checks that the class is still the one
//!   that its handle names.
//! * CLASS-T2 It takes a permit of `free`, runs, and releases the permit. If the goroutine ends in the middle, its
//!   cleanup releases it. Then the call leaves `users`.
//! * CLASS-T3 The free of the class closes it, if it has no users.
//!
//! # Invariants
//! * CLASS-I1 A class with users remains the class of its handle: CLASS-T1 and CLASS-T3 change the same word.

use super::cleanup::{self, Cleanup};
use super::sema;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GName, WaitReason};
use crate::gmp::handles::{self, Object};
use crate::gmp::m::MRef;
use crate::protocol::seize;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ptr::from_ref;

/// A class. Its memory is reused for later classes.
#[derive(Default)]
pub struct Class {
    handle: AtomicU64,
    users: AtomicU32,
    free: AtomicU32,
    /// Shown as the reason of waits. Fixed while the class exists.
    name: UnsafeCell<GName>,
}

const CLOSED: u32 = 1 << 31;

// SAFETY: the name is written by the maker, before the handle is known.
unsafe impl Sync for Class {}

// SAFETY: the only type of this kind.
unsafe impl Object for Class {
    const KIND: handles::Kind = handles::Kind::Class;
}

/// A new class.
pub fn make(m: MRef, limit: u32, name: GName) -> Result<u64> {
    let (handle, c) = m.sched().slab_to_fill::<Class>()?.make(m.id).ok_or(Error::NoMemory)?;
    // SAFETY: no other thread has the handle yet, and a former class has no users (CLASS-I1).
    unsafe { *c.name.get() = name };
    c.free.store(limit, Ordering::Relaxed);
    c.handle.store(handle, Ordering::Relaxed);
    // Release: pairs with CLASS-T1.
    c.users.store(0, Ordering::Release);
    Ok(handle)
}

/// CLASS-T1.
fn find(m: MRef, handle: u64) -> Result<&'static Class> {
    let c = m.sched().slab::<Class>()?.get(handle).ok_or(Error::Stale)?;
    let mut users = c.users.load(Ordering::Relaxed);
    loop {
        if users >= CLOSED - 1 {
            return Err(Error::Stale);
        }
        match c.users.compare_exchange_weak(users, users + 1, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => users = now,
        }
    }
    if c.handle.load(Ordering::Relaxed) != handle {
        c.users.fetch_sub(1, Ordering::AcqRel);
        return Err(Error::Stale);
    }
    Ok(c)
}

/// CLASS-T3.
pub fn free(m: MRef, handle: u64) -> Result<()> {
    let classes = m.sched().slab::<Class>()?;
    let c = classes.get(handle).ok_or(Error::Stale)?;
    if c.handle.load(Ordering::Relaxed) != handle {
        return Err(Error::Stale);
    }
    match c.users.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Relaxed) {
        Ok(_) => {}
        Err(CLOSED) => return Err(Error::Stale),
        Err(_) => return Err(Error::Busy),
    }
    c.handle.store(0, Ordering::Relaxed);
    classes.free(handle);
    Ok(())
}

/// CLASS-T1, and CLASS-T2 up to the caller's turn.
///
/// # Migrates
pub fn enter(m: MRef, handle: u64, deadline: Option<i64>) -> Result<(MRef, &'static Class)> {
    let c = find(m, handle)?;
    // SAFETY: CLASS-I1.
    let name = unsafe { &*c.name.get() };
    let reason = if name.bytes().is_empty() { WaitReason::CLASS } else { WaitReason::host(name.as_ptr()) };
    let (m, got) = sema::acquire(m, &c.free, deadline, reason);
    if let Err(e) = got {
        c.users.fetch_sub(1, Ordering::AcqRel);
        return Err(e);
    }
    Ok((m, c))
}

/// The end of CLASS-T2. `m`: None in a child of fork that has no runtime.
pub fn leave(m: Option<MRef>, c: &Class) {
    if let Some(m) = m {
        sema::release_handoff(m, &c.free);
    }
    c.users.fetch_sub(1, Ordering::AcqRel);
}

/// Calls `f` when it is the caller's turn.
///
/// # Migrates
pub fn run_in(m: MRef, handle: u64, deadline: Option<i64>, f: impl FnOnce()) -> Result<()> {
    let (m, c) = enter(m, handle, deadline)?;
    let mut node = Cleanup { f: Some(give_back), arg: from_ref(c).cast_mut().cast(), below: std::ptr::null_mut() };
    // A thread of the host does not end in the middle as a goroutine may.
    let gp = m.g().filter(|_| !m.is_extra());
    if let Some(gp) = gp {
        cleanup::push(gp, &mut node);
    }
    f();
    if let Some(gp) = gp {
        // Nodes that f has left on the list lie in frames that are gone.
        gp.cleanups.set(node.below.cast());
    }
    give_back(node.arg);
    Ok(())
}

extern "C" fn give_back(c: *mut c_void) {
    // It may come as a cleanup, which is a call of the host's code.
    seize::come_back();
    // SAFETY: `run_in` passes a class that counts the call.
    leave(cleanup::here(), unsafe { &*c.cast::<Class>() });
}
