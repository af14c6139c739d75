//! Calls that come back with nothing, and at once.
//!
//! # Problem
//! A loop of `try_` calls, or of waits that are refused since a token is canceled, a channel closed or a timeout past,
//! waits nowhere. With one P the G that would end the loop never runs, and a stop of the world waits for the loop.
//!
//! # Protocol
//! * N1 Each such call is counted at its M, by [`in_vain`], when all that it has to do is done. A request to the P is
//!   served then, as in `gmx_safepoint`; and every [`PATIENCE`]th call lets others run, as `gmx_yield` does.
//! * N2 A call in a context that may not be left (pinned, in a syscall, in a stopped world, in a callback of the
//!   scheduler) is counted only, and so is one of a thread that has no G.
//! * N3 A wait that gives a lock away and takes it again (cond.rs) lets others run in between, each time
//!   ([`give_way`]).
//!
//! * N4 A call that locks a mutex, or an rwmutex for writing, serves requests before ([`serve`]), also where it need
//!   not wait. So a G that does nothing but lock and unlock gives its P away at the end of its slice. (Not the unlock:
//!   then the loop would be preempted between two locks only by chance, and an unlock is called where a switch is not
//!   expected.)
//!
//! A call that succeeds is not counted: it costs nothing.
//!
//! # Rejected
//! To yield each time: a loop that polls between work of its own would pay a switch for each look.

use crate::gmp::m::{Ctx, MRef};
use crate::protocol::park;

/// Every so many calls in vain others run.
pub const PATIENCE: u32 = 64;

/// Counts a call that comes to nothing, if that is all there is to do for it. False: [`in_vain`] is to be called, and
/// nothing has changed.
#[inline(always)]
pub fn counts(m: MRef) -> bool {
    let n = m.vain.get().wrapping_add(1);
    if !m.is_free() || !m.is_calm() || n.is_multiple_of(PATIENCE) {
        return false;
    }
    m.vain.set(n);
    true
}

/// A call is about to return, and has come to nothing.
///
/// # Migrates
#[inline]
pub fn in_vain(m: MRef) -> MRef {
    let n = m.vain.get().wrapping_add(1);
    m.vain.set(n);
    let asked = m.p().is_some_and(|pp| pp.requests() != 0);
    if asked || n.is_multiple_of(PATIENCE) { rest(m, asked) } else { m }
}

/// Serves what is asked of the caller's P, if it may leave that.
///
/// # Migrates
#[inline]
pub fn serve(m: MRef) -> MRef {
    if m.p().is_some_and(|pp| pp.requests() != 0) { rest(m, true) } else { m }
}

/// Lets others run, on whatever kind of thread, if the caller may leave.
///
/// # Migrates
#[cold]
pub fn give_way(m: MRef) -> MRef {
    if m.ctx() == Ctx::Foreign {
        crate::sync::give_way();
        return m;
    }
    rest(m, false)
}

#[cold]
fn rest(m: MRef, asked: bool) -> MRef {
    // N2
    if m.ctx() != Ctx::G || m.pins() != 0 {
        return m;
    }
    if asked { park::safepoint(m) } else { park::gosched(m) }
}
