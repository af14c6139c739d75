//! The end of a process whose scheduler is broken.

use crate::gmp::sched::Sched;

/// Reports a broken invariant and aborts.
#[cold]
#[inline(never)]
pub fn throw(sched: &Sched, what: &str) -> ! {
    (sched.hooks.fatal)(sched, what)
}
