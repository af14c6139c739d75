//! The wait table: the waiters of each address.
//!
//! The table has 251 roots, chosen by address. Each root is a treap of addresses, and each address has a list of
//! waiters. So a lookup costs the logarithm of the number of addresses that collide, and does not grow with the number
//! of waiters of one address (Go's issue 17953). The nodes are the wait records in the Gs, so nothing is allocated.
//!
//! A remote peer of the host's program may be able to choose which addresses Gs wait at, and in which order. If it knew
//! the priorities in the treaps, it could choose an order that turns a tree into a list. So the priorities come from a
//! seed that the peer does not know.

use crate::ds::leak::try_leak_in_place;
use crate::ds::rng::Rng;
use crate::gmp::g::{GRef, Sudog};
use crate::sync::own::OwnPtr;
use crate::sync::{AtomicU32, Lock, Ordering, Rank, step};
use std::ptr::null_mut;

/// A prime, so that strides in addresses spread. (Each root costs a model time.)
const ROOTS: usize = if cfg!(any(loom, shuttle)) { 2 } else { 251 };

/// The wait table: see the module.
pub struct SemTable(&'static [Root; ROOTS]);

/// One root, on its own cache line.
#[repr(align(128))]
pub struct Root {
    pub queue: Lock<Queue>,
    /// How many Gs wait here or are about to, for a waker that need not take the lock. Written under the lock only. See
    /// block/waitq.rs.
    pub nwait: AtomicU32,
}

impl Root {
    /// Whether a G may wait here.
    #[inline(always)]
    pub fn has_waiters(&self) -> bool {
        self.nwait.load(Ordering::SeqCst) != 0
    }

    /// The caller holds the lock.
    pub fn less_waiting(&self, n: u32) {
        self.nwait.store(self.nwait.load(Ordering::Relaxed) - n, Ordering::Relaxed);
    }
}

/// The part of a root that its lock guards.
pub struct Queue {
    tree: Link,
    priorities: Rng,
}

impl SemTable {
    /// None if there is no memory. `seed` is a secret of the process.
    pub fn new(seed: u64) -> Option<SemTable> {
        let seeds = Rng::new(seed);
        let write = |roots: *mut [Root; ROOTS]| {
            for i in 0..ROOTS {
                let priorities = Rng::new(u64::from(seeds.next()) << 32 | u64::from(seeds.next()));
                let queue = Lock::new(Rank::WaitRoot, Queue::new(priorities));
                // SAFETY: an array of that many roots.
                unsafe { roots.cast::<Root>().wrapping_add(i).write(Root { queue, nwait: AtomicU32::new(0) }) };
            }
        };
        // In place: the caller's stack may be small.
        // SAFETY: `write` writes every root.
        unsafe { try_leak_in_place(write) }.map(SemTable)
    }

    #[inline(always)]
    pub fn root(&self, addr: u64) -> &Root {
        &self.0[(addr >> 3) as usize % ROOTS]
    }
}

/// A place that holds a record of the queue, or null: the root, or a link of a record.
type Link = OwnPtr<Sudog>;

/// The record that a link holds. The caller holds the root's lock.
fn record<'a>(link: &Link) -> Option<&'a Sudog> {
    // SAFETY: only this file sets links, and to records only. Records are in Gs, which are never freed.
    unsafe { link.get().as_ref() }
}

/// The G of a record in the queue.
fn waiter(s: &Sudog) -> Option<GRef> {
    // SAFETY: `push` has stored a G there; Gs are never freed.
    unsafe { GRef::from_ptr(s.gp.get()) }
}

fn ptr(s: &Sudog) -> *mut Sudog {
    std::ptr::from_ref(s).cast_mut()
}

impl Queue {
    fn new(priorities: Rng) -> Queue {
        Queue { tree: Link::null(), priorities }
    }

    /// The link that holds the head of an address, or would, and the record that it holds.
    fn find(&self, addr: u64) -> (&Link, Option<&Sudog>) {
        let mut at = &self.tree;
        loop {
            let head = record(at);
            let Some(s) = head else { return (at, head) };
            step();
            let here = s.addr.get();
            if addr == here {
                return (at, head);
            }
            at = if addr < here { &s.left } else { &s.right };
        }
    }

    /// Adds a waiter: last, or first if it was woken in vain.
    pub fn push(&mut self, gp: GRef, addr: u64, first: bool) {
        let s = &gp.sudog;
        debug_assert!(s.addr.get() == 0);
        s.addr.set(addr);
        s.gp.set(gp.as_ptr());
        s.next.set(null_mut());
        s.prev.set(null_mut());
        s.tail.set(ptr(s));
        let (at, head) = self.find(addr);
        match head {
            None => self.insert(s, addr),
            Some(head) if first => {
                replace_head(at, head, s);
                s.tail.set(head.tail.get());
                s.next.set(ptr(head));
                head.prev.set(ptr(s));
            }
            Some(head) => {
                if let Some(last) = record(&head.tail) {
                    last.next.set(ptr(s));
                    s.prev.set(ptr(last));
                }
                head.tail.set(ptr(s));
            }
        }
    }

    /// Takes the first waiter of an address; also returns whether there are more.
    pub fn pop(&mut self, addr: u64) -> Option<(GRef, bool)> {
        let (at, head) = self.find(addr);
        let s = head?;
        let next = record(&s.next);
        remove_head(at, s, next);
        clear(s);
        Some((waiter(s)?, next.is_some()))
    }

    /// The first waiter of an address.
    pub fn peek(&mut self, addr: u64) -> Option<GRef> {
        waiter(self.find(addr).1?)
    }

    /// The number of waiters of an address: walks over them.
    pub fn count(&mut self, addr: u64) -> usize {
        std::iter::successors(self.find(addr).1, |s| record(&s.next)).inspect(|_| step()).count()
    }

    /// Takes one waiter out, at any position of the list.
    pub fn remove(&mut self, gp: GRef) {
        let s = &gp.sudog;
        let (at, head) = self.find(s.addr.get());
        let next = record(&s.next);
        match record(&s.prev) {
            None => remove_head(at, s, next),
            Some(prev) => {
                prev.next.set(next.map_or(null_mut(), ptr));
                match (next, head) {
                    (Some(next), _) => next.prev.set(ptr(prev)),
                    (None, Some(head)) => head.tail.set(ptr(prev)),
                    (None, None) => {}
                }
            }
        }
        clear(s);
    }

    fn insert(&self, s: &Sudog, addr: u64) {
        let ticket = self.priorities.next();
        s.ticket.set(ticket);
        let mut at = &self.tree;
        let below = loop {
            match record(at) {
                Some(node) if node.ticket.get() <= ticket => {
                    at = if addr < node.addr.get() { &node.left } else { &node.right };
                }
                below => break below,
            }
        };
        split(below, addr, &s.left, &s.right);
        at.set(ptr(s));
    }
}

/// Takes `s`, the head of its address, out of the tree and the list. `at` is the link to it, and `next` comes after it.
fn remove_head(at: &Link, s: &Sudog, next: Option<&Sudog>) {
    match next {
        None => merge(at, record(&s.left), record(&s.right)),
        Some(next) => {
            next.prev.set(null_mut());
            next.tail.set(s.tail.get());
            replace_head(at, s, next);
        }
    }
}

/// Leaves a record that is in no queue any more as `push` wants it.
fn clear(s: &Sudog) {
    s.next.set(null_mut());
    s.prev.set(null_mut());
    s.addr.set(0);
}

/// Puts `new`, which is not in the tree, into the place of `old`. `at` is the link to `old`.
fn replace_head(at: &Link, old: &Sudog, new: &Sudog) {
    new.left.set(old.left.take());
    new.right.set(old.right.take());
    new.ticket.set(old.ticket.get());
    at.set(ptr(new));
}

/// Splits a tree into the addresses below `addr` and those above, and overwrites the links `below` and `above`.
fn split<'a>(mut tree: Option<&'a Sudog>, addr: u64, mut below: &'a Link, mut above: &'a Link) {
    while let Some(s) = tree {
        if s.addr.get() < addr {
            below.set(ptr(s));
            below = &s.right;
            tree = record(below);
        } else {
            above.set(ptr(s));
            above = &s.left;
            tree = record(above);
        }
    }
    below.set(null_mut());
    above.set(null_mut());
}

/// Joins two trees and overwrites the link `at` with the result; all addresses of the first are below those of the
/// second.
fn merge<'a>(mut at: &'a Link, mut below: Option<&'a Sudog>, mut above: Option<&'a Sudog>) {
    while let (Some(b), Some(a)) = (below, above) {
        if b.ticket.get() <= a.ticket.get() {
            at.set(ptr(b));
            at = &b.right;
            below = record(at);
        } else {
            at.set(ptr(a));
            at = &a.left;
            above = record(at);
        }
    }
    at.set(below.or(above).map_or(null_mut(), ptr));
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ds::rng::rounds;
    use std::collections::{BTreeMap, VecDeque};

    fn gs(n: u32) -> Vec<GRef> {
        (0..n).map(GRef::for_test).collect()
    }

    fn depth(at: &Link) -> usize {
        record(at).map_or(0, |s| 1 + depth(&s.left).max(depth(&s.right)))
    }

    /// Addresses of the tests of depth.
    const MANY: usize = if cfg!(miri) { 200 } else { 2000 };

    /// The depth of the tree after so many addresses have come, in the order of the priorities that the seed `assumed`
    /// gives.
    fn depth_of_chosen_order(assumed: u64, seed: u64) -> usize {
        const N: u32 = MANY as u32;
        let gs = gs(N);
        let guess = Rng::new(assumed);
        let mut q = Queue::new(Rng::new(seed));
        // An address as large as its priority: each is below all of its successors, or above.
        for g in &gs {
            q.push(*g, u64::from(guess.next()) << 3 | 8, false);
        }
        depth(&q.tree)
    }

    #[test]
    fn an_order_chosen_for_another_seed_makes_no_list() {
        assert_eq!(depth_of_chosen_order(7, 7), MANY, "with the seed known the tree is a list");
        for seed in crate::ds::rng::seeds(8).filter(|&seed| seed != 7) {
            let depth = depth_of_chosen_order(7, seed);
            assert!(depth < 60, "seed {seed}: {depth}; 25 is usual");
        }
    }

    #[test]
    fn roots_do_not_share_their_priorities() {
        let table = SemTable::new(1).unwrap();
        let first: std::collections::BTreeSet<u32> =
            table.0.iter().map(|root| root.queue.lock().priorities.next()).collect();
        assert_eq!(first.len(), ROOTS);
    }

    /// Random pushes, pops and removals against the obvious model.
    #[test]
    fn behaves_as_a_map_of_queues() {
        crate::ds::rng::seeds(4).for_each(against_a_map);
    }

    fn against_a_map(seed: u64) {
        let gs = gs(300);
        let mut q = Queue::new(Rng::new(seed));
        let mut model: BTreeMap<u64, VecDeque<u32>> = BTreeMap::new();
        let mut free: Vec<u32> = (0..300).collect();
        let rng = crate::ds::rng::Rng::new(seed);
        for _ in 0..rounds(30_000) {
            let addr = u64::from(rng.next() % 40) * 8 + 8;
            assert_eq!(q.count(addr), model.get(&addr).map_or(0, VecDeque::len));
            match rng.next() % 4 {
                0 | 1 => {
                    let Some(i) = free.pop() else { continue };
                    let first = rng.next().is_multiple_of(5);
                    q.push(gs[i as usize], addr, first);
                    let list = model.entry(addr).or_default();
                    if first { list.push_front(i) } else { list.push_back(i) }
                }
                2 => {
                    let got = q.pop(addr).map(|(g, more)| (g.index, more));
                    let list = model.entry(addr).or_default();
                    let want = list.pop_front().map(|i| (i, !list.is_empty()));
                    assert_eq!(got, want);
                    free.extend(got.map(|g| g.0));
                }
                _ => {
                    let list = model.entry(addr).or_default();
                    if list.is_empty() {
                        continue;
                    }
                    let i = list.remove(rng.next() as usize % list.len()).unwrap();
                    q.remove(gs[i as usize]);
                    free.push(i);
                }
            }
            for g in &gs {
                debug_assert!(g.sudog.addr.get() != 0 || g.sudog.next.is_null());
            }
        }
    }
}
