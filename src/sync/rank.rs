//! The order in which locks may be taken, outermost first, and its check in debug builds.
//!
//! `Timers` comes before `Sched`: the callback of a timer readies Gs, which may take `Sched`. So a thread that asks
//! when the next timer is due must not hold `Sched` (golang/go#35375). In the wrong order the check panics.

macro_rules! ranks {
    ($($(#[$doc:meta])* $name:ident = $n:literal,)*) => {
        /// Place of a lock in the order. See the module.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Rank { $($(#[$doc])* $name = $n,)* }

        #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
        const ALL: &[Rank] = &[$(Rank::$name,)*];

        /// Every rank with its number, for documents.
        pub fn list() -> &'static [(&'static str, u8)] {
            &[$((stringify!($name), $n),)*]
        }
    };
}

ranks! {
    /// One scope.
    Scope = 1,
    /// One token of cancellation: its children, and the waits under it.
    Cancel = 2,
    /// One timer of the host.
    Timer = 3,
    /// One channel.
    Chan = 4,
    /// One bucket of the wait table: semaphores, mutexes, condition variables, wait groups, joins.
    WaitRoot = 5,
    /// The timer heap of one P; only a resize holds two.
    Timers = 6,
    /// `sched.lock`: idle lists, counts, and all else that decides which threads run.
    Sched = 7,
    /// The global run queue.
    GlobalQ = 8,
    /// The backlog of one P's queue: the Gs that have no place in its ring.
    Backlog = 9,
    /// The Gs that wait for memory for a stack.
    StackWait = 10,
    /// Growth of the table of Ps.
    Allp = 11,
    /// Growth of the table of Gs, and the free Gs that no P keeps.
    Allg = 12,
    /// The list of Ms, the spare extra Ms.
    Allm = 13,
    /// Tables of G-local and P-local keys.
    Keys = 14,
    /// Free places of a slab.
    Slab = 15,
    /// The free stacks of one size class.
    StackPool = 16,
    /// The functions that were posted to the host's loop.
    Posts = 17,
    /// The children that the host has let go of.
    Orphans = 18,
}

/// The check. The report of a violation says where each held lock was taken, and shows the stack that takes the wrong
/// lock. With `GMX_LOCK_STACKS=1` it also shows the stack on which each held lock was taken, which makes debug builds
/// slow.
#[cfg(all(debug_assertions, not(any(loom, shuttle))))]
mod check {
    use super::Rank;
    use std::backtrace::Backtrace;
    use std::cell::Cell;
    use std::panic::Location;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};

    const MOST: usize = 12;

    #[derive(Clone, Copy)]
    struct Held {
        rank: u8,
        place: Option<&'static Location<'static>>,
        /// The stack on which it was taken, if stacks are kept. Made and freed with the entry.
        stack: *mut Backtrace,
        /// [`STEPS`] and the clock when it was taken, while holds are recorded.
        steps: u64,
        since: i64,
    }

    const NONE: Held = Held { rank: 0, place: None, stack: std::ptr::null_mut(), steps: 0, since: 0 };

    thread_local! {
        /// Read in place: a copy would take kilobytes of a G's stack.
        static HELD: [Cell<Held>; MOST] = const { [const { Cell::new(NONE) }; MOST] };
        /// The number of entries in HELD.
        static COUNT: Cell<usize> = const { Cell::new(0) };
        /// How many locks of rank Chan are held (one entry in HELD), and the address of the last one taken.
        static CHANS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
        /// Elements of lists and tables that this thread has looked at.
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    /// The longest hold of a rank, in steps and in time, with where the lock was taken.
    struct Longest {
        times: AtomicU64,
        steps: AtomicU64,
        steps_at: AtomicPtr<Location<'static>>,
        ns: AtomicU64,
        ns_at: AtomicPtr<Location<'static>>,
    }

    const RANKS: usize = super::ALL[super::ALL.len() - 1] as usize + 1;

    static RECORD: AtomicBool = AtomicBool::new(false);
    static LONGEST: [Longest; RANKS] = [const {
        Longest {
            times: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            steps_at: AtomicPtr::new(std::ptr::null_mut()),
            ns: AtomicU64::new(0),
            ns_at: AtomicPtr::new(std::ptr::null_mut()),
        }
    }; RANKS];

    /// Whether the calling thread may take a lock: set by [`super::locks_need`].
    static MAY: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

    pub fn need(may: fn() -> bool) {
        MAY.store(may as *mut (), Ordering::Relaxed);
    }

    fn may_lock() -> bool {
        let may = MAY.load(Ordering::Relaxed);
        // SAFETY: `need` has stored such a function.
        may.is_null() || unsafe { std::mem::transmute::<*mut (), fn() -> bool>(may) }()
    }

    pub fn record(on: bool) {
        RECORD.store(on, Ordering::Relaxed);
    }

    #[inline(never)]
    fn held(at: usize) -> Held {
        HELD.with(|held| held[at].get())
    }

    #[inline(never)]
    fn put(at: usize, h: Held) {
        HELD.with(|held| held[at].set(h));
    }

    /// From now on `n` locks are held. Tells sys/held.rs how many of them must not be held during a system call.
    #[inline(never)]
    fn now_held(n: usize) {
        COUNT.set(n);
        let may = |at| held(at).rank == Rank::StackPool as u8;
        crate::sys::held::locks((0..n).filter(|&at| !may(at)).count());
    }

    #[inline(never)]
    pub fn step() {
        STEPS.set(STEPS.get() + 1);
    }

    /// A hold has ended. (If two end at once, the place of one may stand beside the length of the other.)
    fn note_hold(h: &Held) {
        let at = h.place.map_or(std::ptr::null_mut(), |p| std::ptr::from_ref(p).cast_mut());
        let longest = &LONGEST[h.rank as usize];
        longest.times.fetch_add(1, Ordering::Relaxed);
        let steps = STEPS.get() - h.steps;
        if longest.steps.fetch_max(steps, Ordering::Relaxed) < steps {
            longest.steps_at.store(at, Ordering::Relaxed);
        }
        let ns = (crate::sys::now() - h.since).max(0) as u64;
        if longest.ns.fetch_max(ns, Ordering::Relaxed) < ns {
            longest.ns_at.store(at, Ordering::Relaxed);
        }
    }

    pub fn holds(mut tell: impl FnMut(std::fmt::Arguments<'_>)) {
        if !RECORD.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: null or a place in the source, which is static.
        let place = |p: &AtomicPtr<Location<'static>>| unsafe { p.load(Ordering::Relaxed).as_ref() };
        for (name, rank) in super::list() {
            let longest = &LONGEST[*rank as usize];
            let (times, steps) = (longest.times.load(Ordering::Relaxed), longest.steps.load(Ordering::Relaxed));
            let ns = longest.ns.load(Ordering::Relaxed);
            if times == 0 {
                continue;
            }
            tell(format_args!("libgomax: lock {name}: held {times} times, at most {steps} steps"));
            place(&longest.steps_at).iter().for_each(|p| tell(format_args!(" ({p})")));
            tell(format_args!(", {} us", ns / 1000));
            place(&longest.ns_at).iter().for_each(|p| tell(format_args!(" ({p})")));
            tell(format_args!("\n"));
        }
    }

    fn stacks_wanted() -> bool {
        static WANTED: AtomicU8 = AtomicU8::new(2);
        match WANTED.load(Ordering::Relaxed) {
            2 => {
                let wanted = std::env::var_os("GMX_LOCK_STACKS").is_some_and(|v| v == "1");
                WANTED.store(wanted.into(), Ordering::Relaxed);
                wanted
            }
            wanted => wanted == 1,
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn violated(what: std::fmt::Arguments<'_>) -> ! {
        // The code below may take locks itself.
        let held: Vec<Held> = (0..COUNT.replace(0)).map(held).collect();
        eprintln!("lock order: {what}, at {}", Location::caller());
        for h in &held {
            let name = super::list().iter().find(|(_, rank)| *rank == h.rank).map_or("?", |(name, _)| name);
            eprintln!(
                "lock order: {name} ({}) was taken at {}",
                h.rank,
                h.place.map_or_else(String::new, |p| p.to_string())
            );
            // SAFETY: made in `acquire`, freed in `release`, which has not been.
            if let Some(stack) = unsafe { h.stack.as_ref() } {
                eprintln!("{stack}");
            }
        }
        eprintln!("lock order: the stack now\n{}", Backtrace::force_capture());
        panic!("lock order: {what}");
    }

    #[inline(never)]
    #[track_caller]
    pub fn acquire_chan(addr: usize) {
        let (n, last) = CHANS.get();
        if n == 0 {
            acquire(Rank::Chan, true);
        } else {
            let newest = held(COUNT.get() - 1).rank;
            if newest != Rank::Chan as u8 {
                violated(format_args!("Chan taken while rank {newest} is held"));
            }
            if last >= addr {
                violated(format_args!("a channel taken while one of a higher address is held"));
            }
        }
        CHANS.set((n + 1, addr));
    }

    #[inline(never)]
    #[track_caller]
    pub fn release_chan() {
        let (n, last) = CHANS.get();
        if n == 0 {
            violated(format_args!("Chan released but not held"));
        }
        CHANS.set((n - 1, last));
        if n == 1 {
            release(Rank::Chan);
        }
    }

    // Never inlined: a caller may leave its stack later, and must not keep the address of HELD.
    #[inline(never)]
    #[track_caller]
    pub fn acquire(rank: Rank, ordered: bool) {
        let n = COUNT.get();
        if !may_lock() {
            violated(format_args!("{rank:?} taken by code of the host"));
        }
        if ordered && let Some(at) = (0..n).find(|&at| held(at).rank >= rank as u8) {
            violated(format_args!("{rank:?} ({}) taken while rank {} is held", rank as u8, held(at).rank));
        }
        if n == MOST {
            violated(format_args!("more than {MOST} locks held"));
        }
        let stack = match stacks_wanted() {
            true => Box::into_raw(Box::new(Backtrace::force_capture())),
            false => std::ptr::null_mut(),
        };
        let (steps, since) = match RECORD.load(Ordering::Relaxed) {
            true => (STEPS.get(), crate::sys::now()),
            false => (0, 0),
        };
        put(n, Held { rank: rank as u8, place: Some(Location::caller()), stack, steps, since });
        now_held(n + 1);
    }

    #[inline(never)]
    #[track_caller]
    pub fn release(rank: Rank) {
        let n = COUNT.get();
        let Some(at) = (0..n).rfind(|&at| held(at).rank == rank as u8) else {
            violated(format_args!("{rank:?} released but not held"));
        };
        let entry = held(at);
        if !entry.stack.is_null() {
            // SAFETY: made in `acquire`; the entry goes.
            drop(unsafe { Box::from_raw(entry.stack) });
        }
        if entry.since != 0 {
            note_hold(&entry);
        }
        (at + 1..n).for_each(|i| put(i - 1, held(i)));
        now_held(n - 1);
    }

    #[inline(never)]
    pub fn any() -> bool {
        COUNT.get() > 0
    }
}

#[inline]
#[cfg_attr(debug_assertions, track_caller)]
pub fn acquire(rank: Rank) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::acquire(rank, true);
    let _ = rank;
}

#[inline]
#[cfg_attr(debug_assertions, track_caller)]
pub fn acquire_unordered(rank: Rank) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::acquire(rank, false);
    let _ = rank;
}

/// As [`acquire`] with [`Rank::Chan`]: a thread may hold several of this rank, in the order of their addresses.
#[inline]
#[cfg_attr(debug_assertions, track_caller)]
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

/// Counts an element of a list or table that the holder has read. Holds are measured in such steps, since time on a
/// busy machine says nothing. Debug builds only.
#[inline(always)]
pub fn step() {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::step();
}

/// Records the longest hold of each rank from now on. Debug builds only.
pub fn record_holds(on: bool) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::record(on);
    let _ = on;
}

/// Prints the longest hold of each rank, one a line, if they were recorded.
pub fn tell_holds(tell: impl FnMut(std::fmt::Arguments<'_>)) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::holds(tell);
    #[cfg(not(all(debug_assertions, not(any(loom, shuttle)))))]
    drop(tell);
}

/// In debug builds, each lock from here on asks `may` whether the calling thread may take it.
pub fn locks_need(may: fn() -> bool) {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    check::need(may);
    #[cfg(not(all(debug_assertions, not(any(loom, shuttle)))))]
    let _ = may;
}

/// Whether this thread holds a ranked lock. Always false in release builds.
#[inline]
pub fn holding_any() -> bool {
    #[cfg(all(debug_assertions, not(any(loom, shuttle))))]
    return check::any();
    #[cfg(not(all(debug_assertions, not(any(loom, shuttle)))))]
    false
}

#[cfg(all(test, debug_assertions, not(any(loom, shuttle))))]
mod tests {
    use crate::sync::{Lock, Rank};

    /// In a child process, which the panic ends.
    #[test]
    fn a_violation_tells_both_places() {
        if std::env::var_os("GMX_TEST_VIOLATES").is_some() {
            let (first, second) = (Lock::new(Rank::Sched, ()), Lock::new(Rank::Timers, ()));
            let _sched = first.lock();
            let _timers = second.lock();
            return;
        }
        let me = std::env::current_exe().unwrap();
        let test = "sync::rank::tests::a_violation_tells_both_places";
        let child = std::process::Command::new(me)
            .args(["--exact", test, "--nocapture"])
            .env("GMX_TEST_VIOLATES", "1")
            .env("GMX_LOCK_STACKS", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(!child.status.success(), "{said}");
        assert!(said.contains("Timers (6) taken while rank 7 is held, at src/sync/rank.rs"), "{said}");
        assert!(said.contains("Sched (7) was taken at src/sync/rank.rs"), "{said}");
        assert!(said.matches("a_violation_tells_both_places").count() >= 2, "two stacks: {said}");
    }

    /// In a child process, which the call ends.
    #[test]
    fn a_system_call_under_a_lock_is_told() {
        if let Ok(how) = std::env::var("GMX_TEST_CALLS") {
            let lock = Lock::new(Rank::Sched, ());
            let note = crate::sync::Note::new();
            match how.as_str() {
                "under" => {
                    let _held = lock.lock();
                    note.sleep_until(Some(0));
                }
                "excepted" => {
                    let _held = lock.lock();
                    crate::sys::held::except(|| note.sleep_until(Some(0)));
                }
                _ => {
                    drop(lock.lock());
                    note.sleep_until(Some(0));
                }
            }
            return;
        }
        let me = std::env::current_exe().unwrap();
        let test = "sync::rank::tests::a_system_call_under_a_lock_is_told";
        for (how, told) in [("under", true), ("excepted", false), ("after", false)] {
            let child = std::process::Command::new(&me)
                .args(["--exact", test, "--nocapture"])
                .env("GMX_TEST_CALLS", how)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stderr);
            assert_eq!(child.status.success(), !told, "{how}: {said}");
            assert_eq!(said.contains("system call under a lock: a wait"), told, "{how}: {said}");
        }
    }

    #[test]
    fn the_longest_hold_is_kept() {
        if std::env::var_os("GMX_TEST_HOLDS").is_some() {
            super::record_holds(true);
            let lock = Lock::new(Rank::Backlog, ());
            for n in [3, 40, 7] {
                let _held = lock.lock();
                (0..n).for_each(|_| super::step());
            }
            super::step();
            super::tell_holds(|words| eprint!("{words}"));
            return;
        }
        let me = std::env::current_exe().unwrap();
        let child = std::process::Command::new(me)
            .args(["--exact", "sync::rank::tests::the_longest_hold_is_kept", "--nocapture"])
            .env("GMX_TEST_HOLDS", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(said.contains("lock Backlog: held 3 times, at most 40 steps (src/sync/rank.rs:"), "{said}");
    }
}
