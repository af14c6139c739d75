//! Debug builds: no system call is made while a ranked lock is held.
//!
//! A thread that holds `sched.lock` or a channel and goes to the system keeps all others from it for as long as the
//! system takes, which may be milliseconds: a wake-up of a sleeping thread, a fence on every CPU, a mapping. So a waker
//! sets its note under the lock and wakes the sleeper when the lock is open (`SchedLocked::wake_after`), a stopper
//! opens the lock for its fence, and memory is mapped before the lock is taken.
//!
//! The ranks are those of [`crate::sync`], which tells here how many locks a thread holds; the calls of this layer
//! look. What does not look, and why:
//!
//! | call | reason |
//! |---|---|
//! | the wait for a contended lock, and the wake of its waiter (`lock_wait`, `lock_wake`) | they are the lock: whoever holds another meanwhile has a smaller rank, and the order of ranks says that this is short |
//! | the wake-up of a receiver by a timer of the host that sends ([`except`] in block/timer.rs) | the lock is that of the one timer, and what it sent must be there to be taken back when a stop has the lock |
//! | a chunk of descriptors (`gmp::sched`) | no lock that all need is held; the maker may hold that of the one timer or scope whose goroutine it makes, and it is one in a thousand |
//! | the pool of stacks, under the lock of a size class (`StackPool`) | it maps, guards and gives back in batches, and the Ps' own stacks stand between it and the Gs |
//! | malloc | the C library's: it goes to the system seldom, and growth under a lock is amortized (timer heaps, slabs) |
//! | the wideners of `--cfg gmx_widen` | they are there to hold threads up |

#[cfg(all(debug_assertions, not(any(loom, shuttle, gmx_widen))))]
mod imp {
    use core::cell::Cell;

    std::thread_local! {
        /// Ranked locks that this thread holds.
        static HELD: Cell<usize> = const { Cell::new(0) };
        static EXCEPTED: Cell<bool> = const { Cell::new(false) };
    }

    #[inline(never)]
    pub fn except(on: bool) -> bool {
        EXCEPTED.replace(on)
    }

    // Never inlined: a caller may leave its stack later on, and must not keep the address of HELD.
    #[inline(never)]
    pub fn locks(n: usize) {
        HELD.set(n);
    }

    #[inline(never)]
    pub fn nothing_for(call: &str) {
        if HELD.get() != 0 && !EXCEPTED.get() {
            HELD.set(0);
            eprintln!("system call under a lock: {call}, at\n{}", std::backtrace::Backtrace::force_capture());
            std::process::abort();
        }
    }
}

/// The caller holds so many ranked locks now.
#[inline(always)]
pub fn locks(n: usize) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle, gmx_widen))))]
    imp::locks(n);
    let _ = n;
}

/// What `f` calls is one of the exceptions in the table above. `f` does not leave its stack.
#[inline(always)]
pub fn except<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(all(debug_assertions, not(any(loom, shuttle, gmx_widen))))]
    let before = imp::except(true);
    let r = f();
    #[cfg(all(debug_assertions, not(any(loom, shuttle, gmx_widen))))]
    imp::except(before);
    r
}

/// The caller is about to make this call of the system, and must hold no ranked lock.
#[inline(always)]
pub(super) fn nothing_for(call: &str) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle, gmx_widen))))]
    imp::nothing_for(call);
    let _ = call;
}
