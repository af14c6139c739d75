//! Nothing runs, and nothing will: how those who wait for that learn of it.
//!
//! # Problem
//! `gmx_main` waits for its G or for a deadlock, `gmx_shutdown` for the last G, the watchdog for a reason to sleep.
//! They must learn of it whenever all Ps go idle, which may be a hundred thousand times a second. A look at every G
//! would cost more, the more there are. So they count.
//!
//! # Words
//! * what `sched.lock` guards: the idle lists of Ps and Ms, `nm`, `newm`, `stopping` (wake.rs, stw.rs).
//! * `nmlocked`: workers that sleep without a P for their locked G (lockedm.rs). Each counts itself, by
//!   read-modify-write.
//! * `parked` of an extra M: its thread waits in the library, without a deadline. Set by the thread; its waker takes it
//!   back.
//! * `watchers`: how many threads wait for quiet. `watch`: counts what they wait for.
//!
//! # Protocol
//! Watcher:
//! * V1 seen = watch;
//! * V2 ([`still`]) under `sched.lock`: no stop, no timers that the template thread fires, every P idle, no searcher, no thread to be made; no G in the global
//!   queue, nor in wait for a stack; and nm is the number of workers in the idle list, in nmlocked, and the keeper;
//! * V3 under the same lock: no timer is armed. (Behind it the keeper might have fired one, and its G be about to run.)
//! * V4 every known thread of the host is parked, and the process has no other threads than these, the nm workers, the
//!   watchdog and the template thread. (A thread that the library never saw tells no watcher of its end, so a watcher
//!   that fails here alone looks again after a while.)
//! * V5 watch is still what was seen. Then nothing will ever run again. Otherwise the watcher sleeps until watch
//!   changes.
//!
//! The others:
//! * N1 an M that has made a P idle, has joined the idle list or nmlocked, or is not counted in nm any more, calls
//!   [`tell`] then: if every P is idle and there is a watcher, watch + 1;
//! * N2 a thread of the host that is about to wait without a deadline, or ends: watch + 1, if there is a watcher.
//! * N3 the template thread, which fires timers without a P, sets `firing` under the lock before and takes it back behind; then
//!   as N1.
//!
//! # Invariants
//! * Q1 V2 to V4 say the same as a look at every G:
//!
//!   | G | what V2 to V4 find |
//!   |---|---|
//!   | running, or its commit runs (Parking) | its M has a P: not every P is idle |
//!   | in the queue of a P | that P is not idle (W1 in wake.rs) |
//!   | in the global queue, in wait for a stack | V2 |
//!   | about to get a P (nextp, a locked G's M) | that P is in no list: not every P is idle |
//!   | in a syscall, or back from one without a P | its worker is awake: nm is larger; its thread is the host's: V4 |
//!   | of a thread of the host outside of any call | V4 |
//!   | waits with a deadline | V3; as a thread of the host: V4, since that is not parked |
//!   | waits without one, is a zombie, dead, free | it changes nothing by itself |
//!
//! * Q2 the counts of V2 are those of one moment: while the lock is held no worker joins or leaves the idle lists or
//!   nm, and none leaves nmlocked, since with every P idle there is none to wake it with. So nmlocked is never too
//!   high.
//! * Q3 what V4 reads later does not spoil it: whatever is awake meanwhile is a thread of the host. It is there
//!   still (V4), or it waits or has ended since V1 (N2, V5).
//! * Q4 a G in the global queue will not run either, if no worker is free, no further one may be made (`max_threads`),
//!   and each of them waits for its locked G, unless one in the queue is locked itself: that would need no other
//!   thread.
//!
//! # Orderings
//! TELL (the fence in [`tell`]) pairs with itself: of two threads that have each changed something, the one whose fence
//! is second sees both changes, finds every P idle, and tells; and the watcher sees by `watch` what it has seen.
//!
//! # Why it ends
//! A watcher sleeps until it is told. Each change that may be the last one tells.
//!
//! # Differences from Go
//! `checkdead` counts as well, whenever an M goes idle, and ends the process. There is no thread of the host there.

use crate::gmp::sched::Sched;
use crate::gmp::timers::NEVER;
use crate::sync::{Ordering, fence};

/// V2 and V3: the number of workers, if nothing runs and nothing is to run.
pub fn still(sched: &Sched) -> Option<i32> {
    let lk = sched.lock.lock();
    let busy = lk.stopping
        || lk.firing
        || sched.npidle.load(Ordering::Relaxed) < sched.procs()
        || sched.nmspinning.load(Ordering::SeqCst) != 0
        || sched.stackwait_len.load(Ordering::SeqCst) != 0
        || !lk.no_newm();
    if busy {
        return None;
    }
    let locked = sched.nmlocked.load(Ordering::SeqCst);
    let keeper = i32::from(!sched.keeper.load(Ordering::Relaxed).is_null());
    if lk.nm != lk.nmidle + keeper + locked {
        return None;
    }
    // Q4
    let all_taken = locked == lk.nm && sched.cfg.no_more_threads(lk.nm);
    if sched.globq_len() != 0 && (!all_taken || sched.globrunq_has_locked()) {
        return None;
    }
    // V3. Who fires one needs a P, which no worker gets meanwhile, or has said so under the lock (N3).
    (sched.next_timer() == NEVER).then_some(lk.nm)
}

/// N1.
pub fn tell(sched: &Sched) {
    // TELL: pairs with that of whichever thread changed something at the same time.
    fence(Ordering::SeqCst);
    if sched.npidle.load(Ordering::Relaxed) < sched.procs() || sched.watchers.load(Ordering::SeqCst) == 0 {
        return;
    }
    // With a timer there is no deadlock, and it will be quiet again when it has fired: not a thread woken for each.
    if sched.next_timer() == NEVER || sched.num_g() == 0 {
        sched.tell_watchers();
    }
}
