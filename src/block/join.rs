//! Waiting for the end of a G.
//!
//! A joinable G ends, while a joiner comes or a detach lets it go. The lock is the lock of the wait table's root for
//! the G's address; JOINABLE and ZOMBIE change only under it.
//!
//! | JOINABLE | ZOMBIE | the G | a joiner | a detach |
//! |---|---|---|---|---|
//! | set | - | runs | waits | clears JOINABLE; Busy if a joiner waits |
//! | - | - | runs, not joinable | Invalid | Invalid |
//! | set | set | has ended without a joiner: only its descriptor is left | clears JOINABLE, buries | the same |
//! | - | set | is over | Stale | Stale |
//!
//! If a joiner waits when the G ends, the G wakes it, and the handle becomes stale.
//!
//! A zombie may be joined before its M has left its stack. Both ends of that race move the status by one CAS, and the
//! side that comes second frees the descriptor (see `recycle` in protocol/store.rs).

use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GRef, GStatus, WaitReason, gflag};
use crate::gmp::m::MRef;
use crate::protocol::store;

fn addr(gp: GRef) -> u64 {
    gp.as_ptr() as u64
}

/// The G behind a handle, as seen under the root's lock.
enum Found {
    Runs,
    Zombie,
    NotJoinable,
    Stale,
}

fn look(gp: GRef, handle: u64) -> Found {
    if !gp.handle_is(handle) {
        Found::Stale
    } else if gp.has(gflag::ZOMBIE) {
        if gp.has(gflag::JOINABLE) { Found::Zombie } else { Found::Stale }
    } else if gp.has(gflag::JOINABLE) {
        Found::Runs
    } else {
        Found::NotJoinable
    }
}

/// Whether `gmx_main` waits for this G: only `gmx_main` may join or detach it.
fn is_main(m: MRef, handle: u64) -> bool {
    m.sched().g_of(handle).is_some_and(|gp| gp.has(gflag::WATCHED))
}

/// # Migrates
pub fn join(m: MRef, handle: u64, deadline: Option<i64>) -> Result<()> {
    if is_main(m, handle) { Err(Error::Invalid) } else { join_any(m, handle, deadline) }
}

/// As [`join`], also for `gmx_main`.
///
/// # Migrates
pub fn join_any(mut m: MRef, handle: u64, deadline: Option<i64>) -> Result<()> {
    let Some(gp) = m.sched().g_of(handle) else { return Err(Error::Stale) };
    if m.g() == Some(gp) {
        return Err(if gp.has(gflag::JOINABLE) { Error::Deadlock } else { Error::Invalid });
    }
    let mut found = Found::Runs;
    let waited;
    (m, waited) = waitq::wait(m, addr(gp), How::lock(WaitReason::JOIN, deadline), || {
        found = look(gp, handle);
        if let Found::Zombie = found {
            gp.set_flag(gflag::JOINABLE, false);
        }
        matches!(found, Found::Runs)
    });
    match (waited, found) {
        (Waited::Woken | Waited::Handoff, _) => Ok(()),
        (Waited::TimedOut, _) => Err(Error::TimedOut),
        (Waited::Canceled | Waited::Refused, _) => Err(Error::Canceled),
        (Waited::NoMemory, _) => Err(Error::NoMemory),
        (Waited::Not, Found::Zombie) => {
            bury(m, gp);
            Ok(())
        }
        (Waited::Not, Found::NotJoinable) => Err(Error::Invalid),
        (Waited::Not, _) => Err(Error::Stale),
    }
}

/// Gives up the right to join.
pub fn detach(m: MRef, handle: u64) -> Result<()> {
    if is_main(m, handle) { Err(Error::Invalid) } else { detach_any(m, handle) }
}

/// As [`detach`], also for `gmx_main`.
pub fn detach_any(m: MRef, handle: u64) -> Result<()> {
    let Some(gp) = m.sched().g_of(handle) else { return Err(Error::Stale) };
    let found = {
        let mut q = m.sched().sems.root(addr(gp)).queue.lock();
        let found = look(gp, handle);
        match found {
            Found::Runs if q.peek(addr(gp)).is_some() => return Err(Error::Busy),
            Found::Runs | Found::Zombie => gp.set_flag(gflag::JOINABLE, false),
            _ => {}
        }
        found
    };
    match found {
        Found::Runs => Ok(()),
        Found::Zombie => {
            bury(m, gp);
            Ok(())
        }
        Found::NotJoinable => Err(Error::Invalid),
        Found::Stale => Err(Error::Stale),
    }
}

/// Whether it has ended and was joined or detached. It may not have left its stack yet.
pub fn is_over(gp: GRef) -> bool {
    gp.has(gflag::ZOMBIE) && !gp.has(gflag::JOINABLE)
}

/// Frees a zombie, or leaves it to its M if that has not left the zombie's stack yet.
fn bury(m: MRef, gp: GRef) {
    if !gp.cas_status(GStatus::Running, GStatus::Waiting) {
        store::recycle_now(m, gp);
    }
}

/// The end of a joinable G, on its own stack.
pub fn on_exit(m: MRef, gp: GRef) {
    waitq::wake_all(m, addr(gp), |joiners| {
        if !gp.has(gflag::JOINABLE) {
            // Detached meanwhile.
        } else if joiners {
            // Under the lock: a joiner that comes after the waiting ones finds a stale handle.
            gp.set_flag(gflag::JOINABLE, false);
            gp.set_flag(gflag::RETIRED, true);
            gp.retire();
        } else {
            gp.set_flag(gflag::ZOMBIE, true);
        }
    });
    if gp.has(gflag::WATCHED) {
        m.sched().tell_watchers();
    }
}
