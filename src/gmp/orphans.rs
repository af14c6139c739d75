//! Children that the host has let go of while they ran: block/process.rs has the paper.

use crate::sync::own::{OwnPtr, OwnU64};
use crate::sync::{AtomicU32, Lock, Ordering, Rank};
use std::ptr::{from_ref, null_mut};

/// The place of such a child in the list. It lies in the child's object.
#[derive(Default)]
pub struct Orphan {
    next: OwnPtr<Orphan>,
    /// The handle of its pidfd.
    pidfd: OwnU64,
    /// The handle of the object.
    pub process: OwnU64,
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

    /// The one with this pidfd, which is taken out of the list if `take` is set. One of several takers gets it.
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
