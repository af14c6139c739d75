//! Debug builds: no system call is made while a ranked lock is held.
//!
//! A thread that holds `sched.lock` or a channel during a system call keeps all others from it for as long as the
//! system takes, which may be milliseconds: a wake-up of a sleeping thread, a fence on every CPU, a mapping. So a waker
//! sets its note under the lock and wakes the sleeper after the unlock (`SchedLocked::wake_after`), a stopper releases
//! the lock for its fence, and memory is mapped before the lock is taken.
//!
//! The ranks are those of [`crate::sync`], which tells this module how many locks a thread holds; the calls of this
//! layer check the number. Exceptions, which do not check:
//!
//! * `lock_wait` and `lock_wake`, the wait for a contended lock and the wake of its waiter: they are the lock. A thread
//!   that holds another lock meanwhile holds one of a smaller rank, and the order of ranks makes sure that this is
//!   short.
//! * The wake-up of a receiver by a timer of the host that sends ([`except`] in block/timer.rs): the lock belongs to
//!   that timer only, and the sent value must be there to be taken back when a stop has the lock.
//! * A chunk of descriptors (`gmp::sched`): no lock is held that all threads need. The maker may hold the lock of the
//!   one timer or scope whose goroutine it makes, and that happens once in a thousand goroutines.
//! * The pool of stacks, under the lock of a size class (`StackPool`): it maps, guards and returns memory in batches,
//!   and the Ps' own stacks stand between it and the Gs.
//! * The heap ([`super::heap`]), which maps a chunk or a large block for a caller that may hold a lock, or returns one.
//!   It does so seldom, and growth under a lock is amortized (timer heaps, slabs). It holds no lock of its own
//!   meanwhile.
//! * The wideners of `--cfg gmx_widen`: they exist to hold threads up.

#[cfg(all(debug_assertions, not(any(loom, shuttle, gmx_widen))))]
mod imp {
    use core::cell::Cell;

    std::thread_local! {
        /// The number of ranked locks that this thread holds.
        static HELD: Cell<usize> = const { Cell::new(0) };
        static EXCEPTED: Cell<bool> = const { Cell::new(false) };
    }

    #[inline(never)]
    pub fn except(on: bool) -> bool {
        EXCEPTED.replace(on)
    }

    // Never inlined: a caller may leave its stack later, and must not keep the address of HELD.
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

/// Says how many ranked locks the caller holds now.
#[inline(always)]
pub fn locks(n: usize) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle, gmx_widen))))]
    imp::locks(n);
    let _ = n;
}

/// The calls of `f` are one of the exceptions listed above. `f` does not leave its stack.
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
