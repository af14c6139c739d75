//! Foreign threads: threads that the host made, and the extra Ms that stand for them.
//!
//! # Problem
//! A thread of the host calls the library: for a moment (a callback), for longer (attached), or only to wait. It needs
//! an M so that the scheduler knows it, and a G while it runs as one. It may end at any time, without telling the
//! library, and must then leave nothing behind: no P, no count, no M.
//!
//! # Words
//! * `extram`: the list of spare extra Ms, each with its G. Guarded by its lock.
//! * slot: the thread's own word that points to its M (sys/arch).
//!
//! # Protocol
//! * FOREIGN-U1 first call: the thread takes a spare extra M (or makes one), and stores it in its slot and in a key
//!   whose destructor runs when the thread ends. From then on the thread is Foreign: its G is as in a syscall, it has
//!   no P, and it holds nothing up;
//! * FOREIGN-U2 in: as the exit from a syscall (syscall.rs), which gets the thread a P; its last P is often still
//!   there. While the runtime ends there is no P, and the thread stays outside. While the thread has the P it counts
//!   its G as a live one ([`enter_counted`]), which keeps the runtime up: so a stopped world shows every G that came
//!   in;
//! * FOREIGN-U3 out: as the entry into a syscall;
//! * FOREIGN-U4 thread end: hand off the P of its last call, end the generation of its G, and put the M back into the
//!   list of spare ones.
//!
//! # Invariants
//! * FOREIGN-J1 an extra M runs its own G only, on the thread's own stack (lockedm.rs).
//! * FOREIGN-J2 an extra M without a P and outside of a call counts neither as running nor as a thread that might
//!   block.
//!
//! # Differences from Go
//! * A thread keeps its M between calls on every platform, and may wait without ever being a G.
//! * There is no limit, and no spare M that must exist, since nothing here runs in a signal handler.

use super::{lockedm, syscall};
use crate::fiber::host::HostThread;
use crate::gmp::g::{GName, GRef, GStatus, gflag};
use crate::gmp::m::{Ctx, Kind, MRef};
use crate::gmp::record;
use crate::gmp::sched::Sched;
use crate::sync::Ordering;

/// FOREIGN-U1, without the slot and the key. None if there is no memory.
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
            // In no count of workers: FOREIGN-J2.
            let Some(m) = sched.malloc(Kind::Extra) else {
                sched.gfree(gp);
                return None;
            };
            m.own_g.set(gp.as_ptr());
            m
        }
    };
    let gp = m.own_g();
    gp.goid.set(sched.goids(1));
    gp.set_flags(gflag::FOREIGN);
    gp.set_name(&GName::NONE);
    gp.callbacks.set(0);
    gp.locks.set(0);
    gp.m.set(m.as_ptr());
    // FOREIGN-J1
    gp.lockedm.set(m.as_ptr());
    gp.set_status(GStatus::Syscall);
    m.curg.set(gp.as_ptr());
    m.set_lockedg(Some(gp));
    m.oldp.set(std::ptr::null_mut());
    m.tid.set(tid);
    record::foreign_in(&m, gp);
    m.stack_hi.set(std::ptr::null_mut());
    m.alive.set(true);
    m.set_ctx(Ctx::Foreign);
    // SAFETY: the M is this thread's.
    unsafe { *m.host.get() = HostThread::of_a_host_thread() };
    Some(m)
}

/// FOREIGN-U4. The thread is Foreign.
pub fn dropm(m: MRef) {
    let sched = m.sched();
    let gp = m.own_g();
    debug_assert!(m.ctx() == Ctx::Foreign && m.p().is_none());
    syscall::give_up_p(m);
    record::foreign_out(&m, gp);
    m.alive.set(false);
    gp.set_status(GStatus::Dead);
    if !gp.next_generation() {
        // Its descriptor has no generations left, so the M is not used again either.
        return;
    }
    let mut list = sched.extram.lock();
    m.link.set(*list);
    *list = m.as_ptr();
}

/// FOREIGN-U2: the thread runs as a G from here on. None: the runtime is down.
#[inline]
pub fn enter_go(m: MRef) -> Option<GRef> {
    let gp = m.own_g();
    (syscall::exitsyscall(m, gp) || lockedm::enter_in_place(m, gp)).then_some(gp)
}

/// FOREIGN-U2 for a callback: the thread's G counts as one that lives until [`count_end`].
#[inline]
pub fn enter_counted(m: MRef) -> Option<GRef> {
    let gp = enter_go(m)?;
    m.must_p().stats.spawned.bump();
    m.counted.set(true);
    Some(gp)
}

/// The G of a callback no longer counts as live.
#[inline]
pub fn count_end(m: MRef) {
    if m.counted.replace(false) {
        match m.p() {
            Some(pp) => pp.stats.ended.bump(),
            None => _ = m.sched().stats.ended.fetch_add(1, Ordering::SeqCst),
        }
    }
}

/// FOREIGN-U3: the thread is the host's again.
#[inline]
pub fn leave_go(m: MRef, gp: GRef, sp: *mut u8) {
    if m.ctx() != Ctx::Syscall {
        syscall::entersyscall(m, gp, sp);
    }
    m.set_ctx(Ctx::Foreign);
}

/// As [`leave_go`], for a thread that will not come back soon: it hands off its P at once, also the P that it left at
/// its last syscall.
pub fn leave_for_good(m: MRef, gp: GRef, sp: *mut u8) {
    if m.p().is_some() {
        syscall::entersyscallblock(m, gp, sp);
    } else {
        syscall::give_up_p(m);
    }
    m.set_ctx(Ctx::Foreign);
}
