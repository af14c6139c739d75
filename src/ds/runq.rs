//! The run queue of one P: the owner pushes and takes, any thread steals.
//!
//! A ring of fixed size between two counts: `head`, where thieves take, and `tail`, where the owner pushes. Both only
//! grow, except for one step back of the owner (below). The queue never allocates and uses no thread-local: so a spawn
//! or a ready cannot fail because memory is short, a new thread needs no setup, and code on a migrating G may call it.
//! A full queue gives half of its entries away ([`RunQ::pop_half`]), so that the next ones fit.
//!
//! There are two kinds, which differ in the end where the owner takes:
//!
//! | kind | the owner takes | thieves take | how they agree |
//! |---|---|---|---|
//! | run queue | the oldest ([`RunQ::pop_oldest`]) | up to half | both move `head` by compare-and-swap |
//! | suspended parents | the newest ([`RunQ::pop_newest`]) | the oldest, one at a time | Chase and Lev's deque |
//!
//! In Chase and Lev's deque the owner takes one step back with `tail` and then reads `head`; a thief reads `head` and
//! then `tail`. The fences POP and STEAL stand between the two accesses: at least one of the two threads sees the
//! other, and for the last entry both must move `head`. A thief may not take many at once: it could take the entry that
//! the owner has.
//!
//! # Orderings
//! * `tail`: Release wherever a thief may find entries by it, Acquire in a steal: so the thief sees the entry and the
//!   data behind it.
//! * `head`: Release in each taking, Acquire in a push: so a slot is read before it is written again.
//! * A slot may be overwritten while a thief reads it. Then `head` has moved, and the thief discards what it read.
//! * Counts have 64 bits, so they never wrap.

use crate::sync::own::OwnPtr;
use crate::sync::widen::widen;
use crate::sync::{AtomicU64, Ordering, fence};
use std::ptr::NonNull;

/// See the module.
pub struct RunQ<T, const N: usize> {
    head: AtomicU64,
    /// Owner: the owner.
    tail: AtomicU64,
    /// The entries between the two, each at its count modulo N. Owner: the owner.
    slots: [OwnPtr<T>; N],
}

impl<T, const N: usize> Default for RunQ<T, N> {
    fn default() -> Self {
        RunQ { head: AtomicU64::new(0), tail: AtomicU64::new(0), slots: [const { OwnPtr::null() }; N] }
    }
}

impl<T, const N: usize> RunQ<T, N> {
    #[inline(always)]
    fn slot(&self, at: u64) -> &OwnPtr<T> {
        &self.slots[at as usize % N]
    }

    /// Where the owner pushes next. Only the owner writes it.
    #[inline(always)]
    fn own_tail(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// Appends. False if the queue is full.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn push(&self, v: NonNull<T>) -> bool {
        let t = self.own_tail();
        // Acquire: pairs with the Release of the thread that took the last entry out of this slot.
        let h = self.head.load(Ordering::Acquire);
        if t.wrapping_sub(h) >= N as u64 {
            return false;
        }
        self.slot(t).set(v.as_ptr());
        // Release: pairs with the Acquire of thieves.
        self.tail.store(t + 1, Ordering::Release);
        true
    }

    /// Takes the oldest. Not for a queue whose owner takes the newest.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn pop_oldest(&self) -> Option<NonNull<T>> {
        let t = self.own_tail();
        let mut h = self.head.load(Ordering::Relaxed);
        while h != t {
            let v = self.slot(h).get();
            // A thief may have been faster. Relaxed: slot and push are the owner's own.
            match self.head.compare_exchange(h, h + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return NonNull::new(v),
                Err(now) => h = now,
            }
        }
        None
    }

    /// Takes the oldest half, if no thief is faster. Not for a queue whose owner takes the newest.
    ///
    /// # Safety
    /// The caller is the owner, and `each` does not push.
    pub unsafe fn pop_half(&self, mut each: impl FnMut(NonNull<T>)) {
        let h = self.head.load(Ordering::Relaxed);
        let n = self.own_tail().wrapping_sub(h) / 2;
        // Relaxed: as in `pop_oldest`.
        if self.head.compare_exchange(h, h + n, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // They are taken, and only the owner writes their slots.
            (h..h + n).filter_map(|at| NonNull::new(self.slot(at).get())).for_each(&mut each);
        }
    }

    /// Takes the newest. Not for a queue whose owner takes the oldest, or whose thieves take many.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn pop_newest(&self) -> Option<NonNull<T>> {
        let t = self.own_tail();
        if self.head.load(Ordering::Relaxed) == t {
            return None;
        }
        let last = t - 1;
        // Release: a thief that sees this value also sees the entries pushed below it, though it does not see the store
        // of the push itself.
        self.tail.store(last, Ordering::Release);
        widen!();
        // POP: pairs with STEAL in `steal`.
        fence(Ordering::SeqCst);
        let h = self.head.load(Ordering::Relaxed);
        let v = self.slot(last).get();
        if h < last {
            return NonNull::new(v);
        }
        // The last entry: the thread that moves head has it.
        let won = h == last && self.head.compare_exchange(h, t, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // Relaxed: no thief finds an entry by this value.
        self.tail.store(t, Ordering::Relaxed);
        if won { NonNull::new(v) } else { None }
    }

    /// Takes the oldest. Any thread may call it, also at the same time as others, on either kind.
    pub fn steal(&self) -> Option<NonNull<T>> {
        while !self.is_empty() {
            let h = self.head.load(Ordering::Acquire);
            // STEAL: pairs with POP in `pop_newest`.
            fence(Ordering::SeqCst);
            if h >= self.tail.load(Ordering::Acquire) {
                return None;
            }
            let v = self.slot(h).get();
            widen!();
            if self.head.compare_exchange(h, h + 1, Ordering::Release, Ordering::Relaxed).is_ok() {
                return NonNull::new(v);
            }
        }
        None
    }

    /// Takes half of the entries, the oldest: the first is returned, the others go to `into`, which is empty. Not from
    /// a queue whose owner takes the newest.
    ///
    /// # Safety
    /// The caller is the owner of `into`.
    pub unsafe fn steal_half(&self, into: &RunQ<T, N>) -> Option<NonNull<T>> {
        let to = into.own_tail();
        debug_assert!(into.is_empty());
        // Thieves may have emptied `into`: their reads of its slots come before our writes.
        into.head.load(Ordering::Acquire);
        let mut h = self.head.load(Ordering::Acquire);
        loop {
            let n = self.tail.load(Ordering::Acquire).saturating_sub(h);
            if n == 0 {
                return None;
            }
            let n = n - n / 2;
            if n > (N - N / 2) as u64 {
                // Head is stale, and tail has moved on: the exchange would fail. Without this check the copy before it
                // would be as long as the number of entries pushed meanwhile.
                h = self.head.load(Ordering::Acquire);
                continue;
            }
            let first = self.slot(h).get();
            for i in 1..n {
                into.slot(to + i - 1).set(self.slot(h + i).get());
            }
            widen!();
            match self.head.compare_exchange(h, h + n, Ordering::Release, Ordering::Acquire) {
                Ok(_) => {
                    if n > 1 {
                        // Release: as in `push`.
                        into.tail.store(to + n - 1, Ordering::Release);
                    }
                    return NonNull::new(first);
                }
                Err(now) => h = now,
            }
        }
    }

    /// The number of entries at some moment.
    #[inline]
    pub fn len(&self) -> usize {
        // Head first: each entry between the two was there, or has been taken by now.
        let h = self.head.load(Ordering::Acquire);
        (self.tail.load(Ordering::Acquire).saturating_sub(h) as usize).min(N)
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        let h = self.head.load(Ordering::Acquire);
        self.tail.load(Ordering::Acquire) <= h
    }

    /// How many more entries fit, at least.
    ///
    /// # Safety
    /// The caller is the owner.
    pub unsafe fn room(&self) -> usize {
        N - self.len()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ds::rng::rounds;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    const N: usize = 8;

    fn entry(i: usize) -> NonNull<u8> {
        NonNull::new((i + 1) as *mut u8).unwrap()
    }

    fn number(v: Option<NonNull<u8>>) -> Option<usize> {
        v.map(|v| v.as_ptr() as usize - 1)
    }

    #[test]
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one reason for all: the test owns its queues")]
    fn orders_and_capacity() {
        let (f, l) = (RunQ::<u8, N>::default(), RunQ::<u8, N>::default());
        // Many times round the ring, from every place.
        for round in 0..3 * N {
            // SAFETY: this test owns all of them.
            unsafe {
                for i in 0..N {
                    assert_eq!((f.room(), f.len()), (N - i, i));
                    assert!(f.push(entry(i)) && l.push(entry(i)));
                }
                assert!(!f.push(entry(99)) && !l.push(entry(99)) && f.room() == 0);
                assert_eq!((number(f.pop_oldest()), number(l.pop_newest())), (Some(0), Some(N - 1)));
                assert_eq!((number(f.steal()), number(l.steal())), (Some(1), Some(0)));
                let into = RunQ::default();
                assert_eq!(number(f.steal_half(&into)), Some(2));
                assert_eq!((into.len(), f.len()), (2, 3));
                assert_eq!((number(into.pop_oldest()), number(into.pop_oldest())), (Some(3), Some(4)));
                assert!(into.pop_oldest().is_none() && into.is_empty());
                for i in 0..3 {
                    assert_eq!(number(f.pop_oldest()), Some(5 + i));
                }
                for i in (1..N - 1).rev() {
                    assert_eq!(number(l.pop_newest()), Some(i));
                }
                assert!(
                    f.pop_oldest().is_none() && l.pop_newest().is_none() && f.steal().is_none() && l.steal().is_none()
                );
                assert!(f.steal_half(&into).is_none());
                let mut half = Vec::new();
                f.pop_half(|_| panic!("there is none"));
                for i in 0..5 {
                    assert!(f.push(entry(i)));
                }
                f.pop_half(|v| half.push(number(Some(v)).unwrap()));
                assert_eq!((&half[..], f.len(), number(f.pop_oldest())), (&[0, 1][..], 3, Some(2)));
                assert_eq!((number(f.steal()), number(f.pop_oldest())), (Some(3), Some(4)));
                // The next round begins at another place.
                assert!(f.push(entry(round)) && f.pop_oldest().is_some());
            }
        }
    }

    /// The same random calls on both kinds of queue and on those of crossbeam-deque: the same entries in the same
    /// order.
    #[test]
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one reason for all: the test owns its queues")]
    fn does_as_crossbeams_deque() {
        use crate::ds::rng::{Rng, seeds};
        use crossbeam_deque::{Steal, Worker};

        fn taken(steal: Steal<usize>) -> Option<usize> {
            // One thread: no other call can be in the way.
            assert!(!steal.is_retry());
            steal.success()
        }
        seeds(16).for_each(|seed| {
            let rng = Rng::new(seed);
            let (fifo, lifo, into) = (RunQ::<u8, N>::default(), RunQ::<u8, N>::default(), RunQ::<u8, N>::default());
            let (fifos, lifos, intos) = (Worker::new_fifo(), Worker::new_lifo(), Worker::new_fifo());
            for i in 0..rounds(20_000) {
                // SAFETY: this thread owns all of them.
                unsafe {
                    match rng.next() % 8 {
                        0..3 => {
                            assert_eq!(fifo.push(entry(i)), fifos.len() < N);
                            assert_eq!(lifo.push(entry(i)), lifos.len() < N);
                            if fifos.len() < N {
                                fifos.push(i);
                            }
                            if lifos.len() < N {
                                lifos.push(i);
                            }
                        }
                        3 => assert_eq!(number(fifo.pop_oldest()), fifos.pop()),
                        4 => assert_eq!(number(lifo.pop_newest()), lifos.pop()),
                        5 => assert_eq!(number(lifo.steal()), taken(lifos.stealer().steal())),
                        6 => assert_eq!(number(fifo.steal()), taken(fifos.stealer().steal())),
                        _ => {
                            let got = taken(fifos.stealer().steal_batch_and_pop(&intos));
                            assert_eq!(number(fifo.steal_half(&into)), got);
                            while let Some(v) = intos.pop() {
                                assert_eq!(number(into.pop_oldest()), Some(v));
                            }
                            assert!(into.is_empty());
                        }
                    }
                }
                assert_eq!((fifo.len(), lifo.len()), (fifos.len(), lifos.len()));
            }
        });
    }

    /// An owner and two thieves: everything comes out once.
    fn race(newest: bool) {
        const MANY: usize = if cfg!(miri) { 200 } else { 200_000 };
        let q = RunQ::<u8, N>::default();
        let over = AtomicBool::new(false);
        let out = AtomicUsize::new(0);
        let mut all: Vec<Vec<usize>> = Vec::new();
        std::thread::scope(|s| {
            let thief = || {
                let (mut got, into) = (Vec::new(), RunQ::<u8, N>::default());
                while !over.load(SeqCst) || !q.is_empty() {
                    // SAFETY: `into` is this thread's.
                    let first = if newest { q.steal() } else { unsafe { q.steal_half(&into) } };
                    // SAFETY: as above.
                    let rest = std::iter::from_fn(|| unsafe { into.pop_oldest() });
                    for v in first.into_iter().chain(rest) {
                        got.push(number(Some(v)).unwrap());
                        out.fetch_add(1, SeqCst);
                    }
                }
                got
            };
            let thieves = [s.spawn(thief), s.spawn(thief)];
            let mut got = Vec::new();
            let pop = || match newest {
                // SAFETY: this thread is the owner.
                true => unsafe { q.pop_newest() },
                // SAFETY: this thread is the owner.
                false => unsafe { q.pop_oldest() },
            };
            for i in 0..MANY {
                // SAFETY: this thread is the owner.
                while !unsafe { q.push(entry(i)) } {
                    if !newest && i % 2 == 0 {
                        // SAFETY: as above.
                        unsafe { q.pop_half(|v| got.extend(number(Some(v)))) };
                    } else {
                        got.extend(number(pop()));
                    }
                }
                if i % 3 == 0 {
                    got.extend(number(pop()));
                }
            }
            got.extend(std::iter::from_fn(|| number(pop())));
            over.store(true, SeqCst);
            all.push(got);
            all.extend(thieves.map(|t| t.join().unwrap()));
        });
        let n: usize = all.iter().map(Vec::len).sum();
        let different: HashSet<usize> = all.into_iter().flatten().collect();
        assert_eq!((n, different.len()), (MANY, MANY));
    }

    #[test]
    fn each_comes_out_once() {
        race(false);
        race(true);
    }
}
