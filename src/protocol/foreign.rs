//! Threads that the library never made.
//!
//! # Problem
//! A thread of the host calls in: for a moment (a callback), for longer (attached), or only to wait. It needs an M to
//! be known by, a G while it runs as one, and must leave nothing behind when it ends.
//!
//! # Words
//! `extram`: spare extra Ms, each with its G; under its lock. The thread's slot for its M (sys/arch).
//!
//! # Protocol
//! * U1 the first call from a thread takes an extra M (or makes one) and notes it in the thread's slot, and in a key
//!   whose destructor runs when the thread ends. From then on the thread is Foreign: its G is as in a syscall, it has
//!   no P, and holds nothing up;
//! * U2 in: the way out of a syscall (syscall.rs), with whose help it gets a P. The last P is often still there. While
//!   the runtime ends there is none, and the thread stays outside. While it has the P it counts its G as one that lives
//!   ([`enter_counted`]), which keeps the runtime up: a stopped world shows every G that came in;
//! * U3 out: the way into a syscall;
//! * U4 the thread ends: the P of its last call goes to others, its G's generation ends, the M goes back to the spare
//!   ones.
//!
//! # Invariants
//! * J1 an extra M runs its own G only, on the thread's own stack (lockedm.rs).
//! * J2 an extra M without P and outside of a call is not counted as running by anybody, nor as a thread that might
//!   block.
//!
//! # Differences from Go
//! A thread keeps its M between calls on every platform, and may wait without ever being a G. There is no limit and no
//! spare that must exist, since nothing here runs in a signal handler.

use super::{lockedm, park, syscall};
use crate::fiber::host::HostThread;
use crate::gmp::g::{GName, GRef, GStatus, gflag};
use crate::gmp::m::{Ctx, Kind, MRef};
use crate::gmp::sched::Sched;
use crate::sync::Ordering;

/// U1, but for the slot and the key. None: no memory.
pub fn needm(sched: &Sched, tid: i32) -> Option<MRef> {
    let spare = {
        let mut list = sched.extram.lock();
        // SAFETY: the list holds Ms.
        let m = unsafe { MRef::from_ptr(*list) };
        if let Some(m) = m {
            *list = m.link.take();
        }
        m
    };
    let m = match spare {
        Some(m) => m,
        None => {
            let gp = sched.galloc()?;
            let Some(m) = sched.malloc(Kind::Extra) else {
                sched.gfree(gp);
                return None;
            };
            m.own_g.set(gp.as_ptr());
            m
        }
    };
    let gp = park::own_g(m);
    gp.goid.set(sched.goids(1));
    gp.set_flags(gflag::FOREIGN);
    gp.set_name(&GName::NONE);
    gp.callbacks.set(0);
    gp.locks.set(0);
    gp.m.set(m.as_ptr());
    gp.lockedm.set(m.as_ptr());
    gp.set_status(GStatus::Syscall);
    m.curg.set(gp.as_ptr());
    m.set_lockedg(Some(gp));
    m.oldp.set(std::ptr::null_mut());
    m.tid.set(tid);
    m.stack_hi.set(std::ptr::null_mut());
    m.alive.set(true);
    m.set_ctx(Ctx::Foreign);
    // SAFETY: the M is this thread's.
    unsafe { *m.host.get() = HostThread::of_a_host_thread() };
    Some(m)
}

/// U4. The thread is Foreign.
pub fn dropm(m: MRef) {
    let sched = m.sched();
    let gp = park::own_g(m);
    debug_assert!(m.ctx() == Ctx::Foreign && m.p().is_none());
    syscall::give_up_p(m);
    m.alive.set(false);
    gp.set_status(GStatus::Dead);
    if !gp.next_generation() {
        // Its descriptor is used up; so is the M.
        return;
    }
    let mut list = sched.extram.lock();
    m.link.set(*list);
    *list = m.as_ptr();
}

/// U2: the thread runs as a G from here on. None: the runtime is down.
#[inline]
pub fn enter_go(m: MRef) -> Option<GRef> {
    let gp = park::own_g(m);
    (syscall::exitsyscall(m, gp) || lockedm::enter_in_place(m, gp)).then_some(gp)
}

/// U2 for a callback: the thread's G counts as one that lives until [`count_end`].
#[inline]
pub fn enter_counted(m: MRef) -> Option<GRef> {
    let gp = enter_go(m)?;
    m.must_p().stats.spawned.bump();
    m.counted.set(true);
    Some(gp)
}

/// The G of a callback does not count any more.
#[inline]
pub fn count_end(m: MRef) {
    if m.counted.replace(false) {
        match m.p() {
            Some(pp) => pp.stats.ended.bump(),
            None => _ = m.sched().stats.ended.fetch_add(1, Ordering::SeqCst),
        }
    }
}

/// U3: the thread is the host's again.
#[inline]
pub fn leave_go(m: MRef, gp: GRef, sp: *mut u8) {
    if m.ctx() != Ctx::Syscall {
        syscall::entersyscall(m, gp, sp);
    }
    m.set_ctx(Ctx::Foreign);
}

/// As [`leave_go`] for a thread that will not be back soon: its P goes to others at once, that of its syscall too.
pub fn leave_for_good(m: MRef, gp: GRef, sp: *mut u8) {
    if m.p().is_some() {
        syscall::entersyscallblock(m, gp, sp);
    } else {
        syscall::give_up_p(m);
    }
    m.set_ctx(Ctx::Foreign);
}
