//! Calls that return at once and without success.
//!
//! # Problem
//! A loop of `try_` calls waits nowhere; nor does a loop of waits that are refused because a token is canceled, a
//! channel is closed or a timeout has passed. With one P, the G that would end the loop never runs, and a stop of the
//! world waits for the loop.
//!
//! # Protocol
//! * VAIN-N1 Each such call counts itself at its M, by [`in_vain`], as its last step. The call then serves a request to
//!   the P, as in `gmx_safepoint`; and every [`PATIENCE`]th call lets others run, as `gmx_yield` does.
//! * VAIN-N2 A call in a context that must not leave its M (pinned, in a syscall, in a stopped world, in a callback of
//!   the scheduler) only counts itself; so does a call of a thread without a G.
//! * VAIN-N3 A wait that unlocks a lock and locks it again (cond.rs) lets others run in between, each time
//!   ([`give_way`]).
//! * VAIN-N4 A call that locks a mutex, or an rwmutex for writing, first serves requests ([`serve`]), even where it
//!   need not wait. So a G that does nothing except lock and unlock gives up its P at the end of its time slice. (The
//!   unlock does not: then the loop would be preempted between two locks only by chance, and a caller does not expect a
//!   switch in an unlock.)
//!
//! A call that succeeds is not counted: it costs nothing.
//!
//! # Rejected
//! Yielding each time: a loop that polls between pieces of its own work would pay a switch for each look.

use crate::gmp::m::{Ctx, MRef};
use crate::protocol::park;

/// After so many calls in vain the caller lets others run.
pub const PATIENCE: u32 = 64;

/// Counts a call in vain, if counting is all that there is to do. False: nothing has changed, and the caller calls
/// [`in_vain`].
#[inline(always)]
pub fn counts(m: MRef) -> bool {
    let n = m.vain.get().wrapping_add(1);
    if !m.is_free() || !m.is_calm() || n.is_multiple_of(PATIENCE) {
        return false;
    }
    m.vain.set(n);
    true
}

/// For a call in vain that is about to return.
///
/// # Migrates
#[inline]
pub fn in_vain(m: MRef) -> MRef {
    let n = m.vain.get().wrapping_add(1);
    m.vain.set(n);
    let asked = m.p().is_some_and(|pp| pp.requests() != 0);
    if asked || n.is_multiple_of(PATIENCE) { rest(m, asked) } else { m }
}

/// Serves the requests to the caller's P, if the caller may leave the P (VAIN-N4).
///
/// # Migrates
#[inline]
pub fn serve(m: MRef) -> MRef {
    if m.p().is_some_and(|pp| pp.requests() != 0) { rest(m, true) } else { m }
}

/// Lets others run, on any kind of thread, if the caller may leave (VAIN-N3).
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
    // VAIN-N2
    if m.ctx() != Ctx::G || m.pins() != 0 {
        return m;
    }
    if asked { park::safepoint(m) } else { park::gosched(m) }
}
