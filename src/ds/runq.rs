//! The run queue of one P: one owner pushes and takes, anybody steals.
//!
//! A ring of fixed size between two counts that only grow (but for one step back, below): `head`, where thieves take,
//! and `tail`, where the owner pushes. It never allocates and touches no thread-local: a spawn or a ready cannot fail
//! for want of memory, a new thread needs nothing, and code that runs on a migrating G may call it. One that is full
//! gives half away ([`RunQ::pop_half`]), so that the next ones fit.
//!
//! Two kinds, which differ in the end that the owner takes from:
//!
//! * the queue proper ([`RunQ::pop_oldest`]): owner and thieves move `head` by compare-and-swap; thieves may take many
//!   at once;
//! * suspended parents ([`RunQ::pop_newest`]): Chase and Lev's deque. The owner takes one step back with `tail` and
//!   then looks at `head`; a thief looks at `head` and then at `tail`. POP and STEAL are the fences between, one of the
//!   two sees the other, and for the last entry both go through `head`. Thieves take one at a time: many at once could
//!   take what the owner has.
//!
//! # Orderings
//! `tail`: Release wherever a thief may find entries by it, Acquire in a steal: the entry and what it points to.
//! `head`: Release in every taking, Acquire in a push: the slot was read before it is written again. A slot may be
//! overwritten while a thief reads it: then `head` has moved, and what he read is thrown away. Counts have 64 bits, so
//! they never come round.

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

    /// Where the owner pushes next. He alone writes it.
    #[inline(always)]
    fn own_tail(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// Appends; false if it is full.
    ///
    /// # Safety
    /// The caller is the owner.
    #[inline(always)]
    pub unsafe fn push(&self, v: NonNull<T>) -> bool {
        let t = self.own_tail();
        // Acquire: pairs with the Release of whoever took the last entry out of this slot.
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
            // Thieves may have been faster. Relaxed: slot and push are the owner's own.
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
            // They are out; their slots are written by the owner only.
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
        // Release: a thief who sees this value sees what was pushed below it, though not the push that said so.
        self.tail.store(last, Ordering::Release);
        widen!();
        // POP: pairs with STEAL in `steal`.
        fence(Ordering::SeqCst);
        let h = self.head.load(Ordering::Relaxed);
        let v = self.slot(last).get();
        if h < last {
            return NonNull::new(v);
        }
        // The last one: whoever moves head has it.
        let won = h == last && self.head.compare_exchange(h, t, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // Relaxed: by this value nothing is to be found.
        self.tail.store(t, Ordering::Relaxed);
        if won { NonNull::new(v) } else { None }
    }

    /// Takes the oldest, whoever asks: one thread at a time or many, from either kind.
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
        // `into` may have been emptied by thieves, whose reads of its slots come before our writes.
        into.head.load(Ordering::Acquire);
        let mut h = self.head.load(Ordering::Acquire);
        loop {
            let n = self.tail.load(Ordering::Acquire).saturating_sub(h);
            if n == 0 {
                return None;
            }
            let n = n - n / 2;
            if n > (N - N / 2) as u64 {
                // Head is an old one, and tail has gone on: the exchange would fail. Without this the copying before it
                // would be as long as what was pushed meanwhile.
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

    /// How many there were at some moment.
    #[inline]
    pub fn len(&self) -> usize {
        // Head first: what is between the two was there, or is taken by now.
        let h = self.head.load(Ordering::Acquire);
        (self.tail.load(Ordering::Acquire).saturating_sub(h) as usize).min(N)
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        let h = self.head.load(Ordering::Acquire);
        self.tail.load(Ordering::Acquire) <= h
    }

    /// How many more fit, at least.
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

    /// An owner and two thieves: everything comes out once.
    fn race(newest: bool) {
        const MANY: usize = 200_000;
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
            // SAFETY: this thread is the owner.
            let pop = || unsafe { if newest { q.pop_newest() } else { q.pop_oldest() } };
            for i in 0..MANY {
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
