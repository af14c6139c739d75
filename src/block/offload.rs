//! Calls that block their thread, and how many of them do so at a time.
//!
//! # Problem
//! A read from a disk, an fsync, a look-up of a name: the system has no way to say later that they are done, so a
//! thread waits for each of them. The G that makes such a call stays on its thread, and the P goes to another thread.
//! With a thousand Gs that would be a thousand threads.
//!
//! # Protocol
//! * OFFLOAD-R1 The G takes a permit of the kind of call. If there is none, it parks: it takes no thread.
//! * OFFLOAD-R2 It enters a syscall. If the call is sure to block ([`Lasts::Long`]), it gives its P away at once;
//!   otherwise it leaves the P behind, which sysmon takes if the call lasts (SYSCALL-E1 of syscall.rs).
//! * OFFLOAD-R3 It makes the call, leaves the syscall, and passes the permit on.
//!
//! A thread of the host makes its calls as they are: it blocks anyway.
//!
//! # Invariants
//! * OFFLOAD-I1 Of each kind, no more calls of Gs are in the system than there are permits. So there are at most as
//!   many threads as Ps and permits together, beside those that other calls of the host block.
//! * OFFLOAD-I2 A call that has begun runs to its end, on the frame of its G: no timeout and no token ends it. Only the
//!   wait for a permit may end earlier.
//!
//! # What the host must know
//! A call that ends only when another one has begun (the two ends of a FIFO that are opened) may hold the last permit
//! that the other one waits for.
//!
//! # Rejected
//! * A pool of helper threads: two switches between threads for each call, and a queue of its own. Here the G is on its
//!   thread already.
//! * No bound, as Go: ten thousand Gs that read a slow disk are ten thousand threads.
//! * io_uring. It spares threads and a part of the CPU time for cold reads, and for nothing else: the kernel serves
//!   writes, syncs, opens and statx by threads of its own, and they came out no faster. (docs/benchmarks.md, "Files";
//!   `benches/run.sh --files` has two rings to compare with.) And the kernel completes an operation on the thread that
//!   has submitted it, and interrupts what that thread does. If Gs submit, it is a thread on which the host waits, too:
//!   an epoll_wait of the host's ends with EINTR, without a signal. If one thread submits for all, a lone read costs
//!   more than here. Containers refuse io_uring by default, so all that is here would stay as well.

use super::cancel::Kind;
use super::sema;
use super::waitq::How;
use crate::gmp::error::Result;
use crate::gmp::g::WaitReason;
use crate::gmp::m::{Ctx, MRef};
use crate::gmp::permits::Permits;
use crate::protocol::{park, syscall};
use crate::sys::arch::stack_pointer;

/// How long a call is expected to block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// Most calls do not block.
    Short,
    Long,
}

/// Makes a call that blocks. An error: the deadline passed, or the caller's token was canceled, before there was a
/// permit; `f` was not called.
///
/// # Migrates
pub fn run<R>(m: MRef, which: &Permits, deadline: Option<i64>, f: impl FnOnce() -> R) -> (MRef, Result<R>) {
    in_turn(m, which, How::new(Kind::Event, WaitReason::OFFLOAD, deadline), Lasts::Long, f)
}

/// Makes a call on a file. No token ends the wait for a permit, either: it is short if the disk works.
///
/// # Migrates
pub fn file<R>(m: MRef, lasts: Lasts, f: impl FnOnce() -> R) -> (MRef, Result<R>) {
    in_turn(m, &m.sched().offload.files, How::new(Kind::Own, WaitReason::OFFLOAD, None), lasts, f)
}

/// OFFLOAD-R1 to OFFLOAD-R3.
fn in_turn<R>(m: MRef, which: &Permits, how: How, lasts: Lasts, f: impl FnOnce() -> R) -> (MRef, Result<R>) {
    if m.ctx() == Ctx::Foreign {
        return (m, Ok(f()));
    }
    // OFFLOAD-R1
    let (m, got) = sema::acquire_by(m, &which.free, how);
    if let Err(e) = got {
        return (m, Err(e));
    }
    // OFFLOAD-I1, OFFLOAD-I2: with the permit, to the end.
    let (m, r) = in_syscall(m, lasts, f);
    // OFFLOAD-R3
    sema::pass_on(m, &which.free);
    (m, Ok(r))
}

/// Makes a call in a syscall, without a permit.
///
/// # Migrates
#[inline(never)]
pub fn in_syscall<R>(m: MRef, lasts: Lasts, f: impl FnOnce() -> R) -> (MRef, R) {
    if m.ctx() == Ctx::Foreign {
        return (m, f());
    }
    let gp = park::running(m);
    // OFFLOAD-R2
    match lasts {
        Lasts::Short => syscall::entersyscall(m, gp, stack_pointer()),
        Lasts::Long => syscall::entersyscallblock(m, gp, stack_pointer()),
    }
    let r = f();
    (park::exit_syscall(m, gp), r)
}
