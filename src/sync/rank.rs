//! The order in which locks may be taken, outermost first, and its check in debug builds.
//!
//! `Sched` and `Timers` deserve a word: a timer callback readies Gs, which may take `Sched`, and whoever asks when the
//! next timer fires must therefore not hold `Sched` (Go's #35375). `Timers` comes first, so the wrong order panics.

macro_rules! ranks {
    ($($(#[$doc:meta])* $name:ident = $n:literal,)*) => {
        /// Place of a lock in the order. See the module.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Rank { $($(#[$doc])* $name = $n,)* }

        /// Every rank with its number, for documents.
        pub fn list() -> &'static [(&'static str, u8)] {
            &[$((stringify!($name), $n),)*]
        }
    };
}

ranks! {
    /// A scope.
    Scope = 1,
    /// A token of cancellation.
    Cancel = 2,
    /// A timer of the host.
    Timer = 3,
    /// A channel.
    Chan = 4,
    /// A bucket of the wait table (semaphores, mutexes, joins).
    WaitRoot = 5,
    /// The timer heap of one P. Only a resize holds two (gmp/timers.rs).
    Timers = 6,
    /// Idle lists, counts and everything that decides who runs.
    Sched = 7,
    /// The global run queue.
    GlobalQ = 8,
    /// Gs that wait for memory for a stack.
    StackWait = 9,
    /// Growth of the table of Ps.
    Allp = 10,
    /// Growth of the table of Gs, and the free Gs that no P keeps.
    Allg = 11,
    /// The list of all Ms, and of the spare extra ones.
    Allm = 12,
    /// Tables of G-local and P-local keys.
    Keys = 13,
    /// Free places of a slab.
    Slab = 14,
}

#[cfg(all(debug_assertions, not(any(loom, shuttle))))]
mod check {
    use super::Rank;
    use std::cell::Cell;

    const MOST: usize = 12;

    thread_local! {
        static HELD: Cell<([u8; MOST], usize)> = const { Cell::new(([0; MOST], 0)) };
        /// How many locks of rank Chan are held (one entry in HELD), and the address of the last one taken.
        static CHANS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }

    #[inline(never)]
    pub fn acquire_chan(addr: usize) {
        let (n, last) = CHANS.get();
        if n == 0 {
            acquire(Rank::Chan, true);
        } else {
            let (held, held_n) = HELD.get();
            assert!(
                held[held_n - 1] == Rank::Chan as u8,
                "lock order: Chan taken while rank {} is held",
                held[held_n - 1]
            );
            assert!(last < addr, "lock order: a channel taken while one of a higher address is held");
        }
        CHANS.set((n + 1, addr));
    }

    #[inline(never)]
    pub fn release_chan() {
        let (n, last) = CHANS.get();
        assert!(n > 0, "lock order: Chan released but not held");
        CHANS.set((n - 1, last));
        if n == 1 {
            release(Rank::Chan);
        }
    }

    // Never inlined: a caller may leave its stack later on, and must not keep the address of HELD.
    #[inline(never)]
    pub fn acquire(rank: Rank, ordered: bool) {
        let (mut held, n) = HELD.get();
        if ordered {
            for &h in &held[..n] {
                assert!(h < rank as u8, "lock order: {rank:?} taken while rank {h} is held");
            }
        }
        assert!(n < MOST, "lock order: more than {MOST} locks held");
        held[n] = rank as u8;
        HELD.set((held, n + 1));
    }

    #[inline(never)]
    pub fn release(rank: Rank) {
        let (mut held, n) = HELD.get();
        let Some(at) = held[..n].iter().rposition(|&h| h == rank as u8) else {
            panic!("lock order: {rank:?} released but not held");
        };
        held.copy_within(at + 1..n, at);
        HELD.set((held, n - 1));
    }

    #[inline(never)]
    pub fn any() -> bool {
        HELD.get().1 > 0
    }
}

#[inline]
pub fn acquire(rank: Rank) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::acquire(rank, true);
    let _ = rank;
}

#[inline]
pub fn acquire_unordered(rank: Rank) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::acquire(rank, false);
    let _ = rank;
}

/// As [`acquire`] with [`Rank::Chan`], of which one thread may hold several: in the order of their addresses.
#[inline]
pub fn acquire_chan(addr: usize) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::acquire_chan(addr);
    let _ = addr;
}

#[inline]
pub fn release_chan() {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::release_chan();
}

#[inline]
pub fn release(rank: Rank) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::release(rank);
    let _ = rank;
}

/// Whether this thread holds a ranked lock. Always false in release builds.
#[inline]
pub fn holding_any() -> bool {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    return check::any();
    #[cfg(not(all(debug_assertions, not(any(loom, shuttle)))))]
    false
}
