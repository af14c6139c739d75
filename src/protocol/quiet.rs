//! How a waiter learns that nothing runs and that nothing will run.
//!
//! # Problem
//! `gmx_main` waits for its G or for a deadlock, `gmx_shutdown` for the last G, the watchdog for a reason to sleep. All
//! Ps may go idle a hundred thousand times a second. One of these times is the last, since nothing runs again after it,
//! and the watchers must not miss that one. A look at every G each time would take the longer, the more Gs there are.
//! So the watchers count threads instead.
//!
//! # Words
//! | word | meaning | written by |
//! |---|---|---|
//! | idle lists, `nm`, `newm`, `stopping` | see wake.rs and stw.rs | the holder of `sched.lock` |
//! | `nmlocked` | workers that sleep without a P until their locked G runs (lockedm.rs) | each such worker (RMW) |
//! | `parked` of an extra M | its thread waits in the library, without a deadline | the thread sets, its waker clears |
//! | `watchers` | the number of threads that wait for quiet | each watcher |
//! | `watch` | a count of the events that the watchers wait for | the threads of QUIET-N1 and QUIET-N2 |
//!
//! # Protocol
//! Watcher:
//! * QUIET-V1 remember the value of `watch`;
//! * QUIET-V2 ([`still`]) check under `sched.lock` that no stop is under way, nothing waits for a descriptor, the
//!   template thread fires no timers, every P is idle, no M searches, and no thread is about to be made; that no G is
//!   in the global queue or waits for a stack; and that nm equals the workers in the idle list, plus nmlocked, plus the
//!   timer waiter;
//! * QUIET-V3 check, still under this lock, that no timer is armed. (If the watcher unlocked first, the timer waiter
//!   might fire a timer in between: the watcher would see no timer, and miss the G that the timer has made.)
//! * QUIET-V4 check that every known thread of the host is parked, and that the process has no threads except these,
//!   the nm workers, the watchdog and the template thread. (A thread that the library never saw tells no watcher when
//!   it ends. So a watcher that finds only this check not fulfilled looks again after a while.)
//! * QUIET-V5 check that `watch` has not changed since QUIET-V1. If all hold, nothing will ever run again. Otherwise
//!   the watcher sleeps until `watch` changes.
//!
//! The others:
//! * QUIET-N1 an M that has made a P idle, has joined the idle list or nmlocked, or is no longer counted in nm, calls
//!   [`notify_if_all_idle`] after that: if every P is idle and there is a watcher, add 1 to watch;
//! * QUIET-N2 a thread of the host that is about to wait without a deadline, or ends, adds 1 to watch if there is a
//!   watcher;
//! * QUIET-N3 the template thread, which fires timers without a P, sets `firing` under the lock before it fires them,
//!   and clears it afterwards. Then it does QUIET-N1.
//!
//! # Invariants
//! * QUIET-Q1 QUIET-V2 to QUIET-V4 give the same answer as a look at every G:
//!
//!   | G | what QUIET-V2 to QUIET-V4 find |
//!   |---|---|
//!   | running, or its commit runs (Parking) | its M has a P: not every P is idle |
//!   | in the queue of a P | that P is not idle (WAKE-W1) |
//!   | in the global queue, or waiting for a stack | QUIET-V2 |
//!   | about to get a P (nextp, a locked G's M) | that P is in no list: not every P is idle |
//!   | in a syscall, or back from one without a P | its worker is awake: nm is larger; on a host's thread: QUIET-V4 |
//!   | of a thread of the host outside of any call | QUIET-V4 |
//!   | waits for a descriptor | QUIET-V2 |
//!   | waits with a deadline | QUIET-V3; on a thread of the host: QUIET-V4, since that thread is not parked |
//!   | waits without a deadline; a zombie, dead, free | it changes nothing by itself |
//!
//! * QUIET-Q2 the counts of QUIET-V2 belong to one moment: while the lock is held no worker joins or leaves the idle
//!   lists or nm. None leaves nmlocked either, since with every P idle there is no P to wake it with. So nmlocked is
//!   never too high.
//! * QUIET-Q3 QUIET-V4 reads its counts after the unlock. That is correct all the same: only threads of the host can be
//!   awake meanwhile. Such a thread is either still there (QUIET-V4), or it has begun to wait or has ended since
//!   QUIET-V1 (QUIET-N2, QUIET-V5).
//! * QUIET-Q4 a G in the global queue will not run either if each worker waits for its locked G and no further worker
//!   may be made (`max_threads`). A locked G in that queue is the exception: the worker that waits for it runs it.
//!
//! # Orderings
//! TELL (the fence in [`notify_if_all_idle`]) pairs with itself: of two threads that have each changed something, the
//! one whose fence is second sees both changes, finds every P idle, and changes `watch`. Through this change the
//! watcher sees what that thread has seen.
//!
//! # Why it ends
//! A watcher sleeps until `watch` changes, and each event that may be the last one changes it.
//!
//! # Differences from Go
//! `checkdead` also counts threads, each time that an M goes idle, and ends the process at a deadlock. Go has no
//! threads of a host to count.

use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sync::{Ordering, fence};

/// QUIET-V2 and QUIET-V3. Returns the number of workers if nothing runs and nothing is about to run.
pub fn still(sched: &Sched) -> Option<i32> {
    let lk = sched.lock.lock();
    let busy = lk.stopping
        || lk.firing
        || sched.npidle.load(Ordering::Relaxed) < sched.procs()
        || sched.nmspinning.load(Ordering::SeqCst) != 0
        || sched.stackwait_len.load(Ordering::SeqCst) != 0
        || sched.net.waiters.load(Ordering::SeqCst) != 0
        || !lk.no_newm();
    if busy {
        return None;
    }
    // QUIET-Q2: these counts belong to one moment.
    let locked = sched.nmlocked.load(Ordering::SeqCst);
    let timer_waiter = i32::from(!sched.timer_waiter.load(Ordering::Relaxed).is_null());
    if lk.nm != lk.nmidle + timer_waiter + locked {
        return None;
    }
    // QUIET-Q4
    let all_taken = locked == lk.nm && sched.cfg.no_more_threads(lk.nm);
    if sched.globq_len() != 0 && (!all_taken || sched.globrunq_has_locked()) {
        return None;
    }
    // QUIET-V3. To fire a timer a worker needs a P, and no worker gets a P meanwhile; the template thread has set
    // `firing` under the lock (QUIET-N3).
    (sched.next_timer() == NEVER).then_some(lk.nm)
}

/// QUIET-N1.
pub fn notify_if_all_idle(sched: &Sched) {
    // TELL: pairs with the TELL of any thread that changes something at the same time.
    fence(Ordering::SeqCst);
    if sched.npidle.load(Ordering::Relaxed) < sched.procs() || sched.watchers.load(Ordering::SeqCst) == 0 {
        return;
    }
    // While a timer is armed there is no deadlock, and this code runs again after the timer has fired; and so it is
    // while a G waits for a descriptor. So then the watchers are woken only if no G is left.
    let waits = sched.net.waiters.load(Ordering::Relaxed) != 0 || sched.next_timer() != NEVER;
    if !waits || sched.num_g() == 0 {
        sched.tell_watchers();
    }
}
