//! Children that the host has let go of while they ran: block/process.rs has the paper.

use crate::sync::own::{OwnPtr, OwnU64};
use crate::sync::widen::widen;
use crate::sync::{AtomicU32, Lock, Ordering, Rank, RawMutex};
use std::ptr::{self, from_ref, null_mut};

/// The place of such a child in the list. It lies in the child's object.
pub struct Orphan {
    /// Its deliverers take turns. Held for a system call that does not wait, so it has no rank.
    turn: RawMutex,
    next: OwnPtr<Orphan>,
    /// The handle of its pidfd.
    pidfd: OwnU64,
    /// The handle of the object.
    pub process: OwnU64,
}

impl Default for Orphan {
    fn default() -> Orphan {
        Orphan { turn: RawMutex::new(), next: OwnPtr::default(), pidfd: OwnU64::new(0), process: OwnU64::new(0) }
    }
}

/// See the module.
pub struct Orphans {
    first: Lock<*mut Orphan>,
    /// How many there are, for those that only ask whether there is one. Written under the lock.
    n: AtomicU32,
}

impl Default for Orphans {
    fn default() -> Orphans {
        Orphans { first: Lock::new(Rank::Orphans, null_mut()), n: AtomicU32::new(0) }
    }
}

impl Orphans {
    pub fn add(&self, orphan: &'static Orphan, process: u64, pidfd: u64) {
        orphan.process.set(process);
        orphan.pidfd.set(pidfd);
        let mut first = self.first.lock();
        orphan.next.set(*first);
        *first = from_ref(orphan).cast_mut();
        self.n.store(self.n.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// PROC-D3. Takes the one with this pidfd out of the list, if `ended` says that it has ended. `ended` is asked
    /// while the orphan is in the list and no other party can take it out (PROC-I5).
    pub fn take_ended(&self, pidfd: u64, ended: impl FnOnce() -> bool) -> Option<&'static Orphan> {
        let orphan = self.find(pidfd, false)?;
        widen!();
        orphan.turn.lock();
        // Meanwhile another party may have taken it, and its object may be another child's.
        let here = self.find(pidfd, false).is_some_and(|there| ptr::eq(there, orphan));
        let taken = if here && ended() { self.find(pidfd, true) } else { None };
        orphan.turn.unlock();
        taken
    }

    /// The one with this pidfd, which is taken out of the list if `take` is set.
    pub fn find(&self, pidfd: u64, take: bool) -> Option<&'static Orphan> {
        if self.n.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut first = self.first.lock();
        let mut before: Option<&'static Orphan> = None;
        let mut at = *first;
        // SAFETY: null, or in an object of a slab, which is never freed.
        while let Some(orphan) = unsafe { at.as_ref() } {
            crate::sync::step();
            if orphan.pidfd.get() != pidfd {
                before = Some(orphan);
                at = orphan.next.get();
                continue;
            }
            if take {
                match before {
                    Some(before) => before.next.set(orphan.next.get()),
                    None => *first = orphan.next.get(),
                }
                self.n.store(self.n.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
            }
            return Some(orphan);
        }
        None
    }
}
