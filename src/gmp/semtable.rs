//! The wait table: the waiters of each address.
//!
//! The table has 251 roots, chosen by address. Each root is a treap of addresses, and each address has a list of
//! waiters. So a lookup costs the logarithm of the number of addresses that collide, and does not grow with the number
//! of waiters of one address (Go's issue 17953). The nodes are the wait records in the Gs, so nothing is allocated.
//!
//! A remote peer of the host's program may be able to choose which addresses Gs wait at, and in which order. If it knew
//! the priorities in the treaps, it could choose an order that turns a tree into a list. So the priorities come from a
//! seed that the peer does not know.

use crate::ds::rng::Rng;
use crate::gmp::g::{GRef, Sudog};
use crate::sync::{AtomicU32, Lock, Ordering, Rank, step};
use std::ptr::null_mut;

/// A prime, so that strides in addresses spread. (Each root costs a model time.)
const ROOTS: usize = if cfg!(any(loom, shuttle)) { 2 } else { 251 };

/// The wait table: see the module.
pub struct SemTable(Box<[Root; ROOTS]>);

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
    tree: *mut Sudog,
    priorities: Rng,
}

// SAFETY: the records are in Gs, which are never freed.
unsafe impl Send for Queue {}

impl SemTable {
    /// None if there is no memory. `seed` is a secret of the process.
    pub fn new(seed: u64) -> Option<SemTable> {
        let mut v = Vec::new();
        v.try_reserve_exact(ROOTS).ok()?;
        let seeds = Rng::new(seed);
        for _ in 0..ROOTS {
            let priorities = Rng::new(u64::from(seeds.next()) << 32 | u64::from(seeds.next()));
            v.push(Root {
                queue: Lock::new(Rank::WaitRoot, Queue { tree: null_mut(), priorities }),
                nwait: AtomicU32::new(0),
            });
        }
        Some(SemTable(v.into_boxed_slice().try_into().ok()?))
    }

    #[inline(always)]
    pub fn root(&self, addr: u64) -> &Root {
        &self.0[(addr >> 3) as usize % ROOTS]
    }
}

/// A place in a tree that points to a record.
type Link = *mut *mut Sudog;

/// The record that `at` names.
///
/// # Safety
/// The record is in the queue, whose lock the caller holds.
unsafe fn sudog(at: *mut Sudog) -> &'static Sudog {
    // SAFETY: records are in Gs, which are never freed; the rest is the caller's promise.
    unsafe { &*at }
}

fn ptr(s: &Sudog) -> *mut Sudog {
    std::ptr::from_ref(s).cast_mut()
}

impl Queue {
    /// The link that points to the head of an address, or would.
    fn find(&mut self, addr: u64) -> Link {
        let mut at: Link = &mut self.tree;
        // SAFETY: links point to the tree's root or into records of the queue, which this lock guards.
        unsafe {
            while !(*at).is_null() {
                step();
                let s = sudog(*at);
                at = match addr.cmp(&s.addr.get()) {
                    std::cmp::Ordering::Equal => break,
                    std::cmp::Ordering::Less => s.left.as_ptr(),
                    std::cmp::Ordering::Greater => s.right.as_ptr(),
                };
            }
        }
        at
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
        let at = self.find(addr);
        // SAFETY: as in `find`.
        unsafe {
            let head = *at;
            if head.is_null() {
                self.insert(s, addr);
            } else if first {
                self.replace_head(at, head, ptr(s));
                s.tail.set(sudog(head).tail.get());
                s.next.set(head);
                sudog(head).prev.set(ptr(s));
            } else {
                let last = sudog(head).tail.get();
                sudog(last).next.set(ptr(s));
                s.prev.set(last);
                sudog(head).tail.set(ptr(s));
            }
        }
    }

    /// Takes the first waiter of an address; also returns whether there are more.
    pub fn pop(&mut self, addr: u64) -> Option<(GRef, bool)> {
        let at = self.find(addr);
        // SAFETY: as in `find`.
        unsafe {
            if (*at).is_null() {
                return None;
            }
            let s = sudog(*at);
            let more = !s.next.get().is_null();
            self.remove_at(at, s);
            Some((GRef::from_ptr(s.gp.get())?, more))
        }
    }

    /// The first waiter of an address.
    pub fn peek(&mut self, addr: u64) -> Option<GRef> {
        let at = self.find(addr);
        // SAFETY: as in `find`.
        unsafe { if (*at).is_null() { None } else { GRef::from_ptr(sudog(*at).gp.get()) } }
    }

    /// The number of waiters of an address: walks over them.
    pub fn count(&mut self, addr: u64) -> usize {
        let at = self.find(addr);
        // SAFETY: as in `find`.
        let head = unsafe { (*at).as_ref() };
        // SAFETY: as above.
        std::iter::successors(head, |s| unsafe { s.next.get().as_ref() }).inspect(|_| step()).count()
    }

    /// Takes one waiter out, at any position of the list.
    pub fn remove(&mut self, gp: GRef) {
        let s = &gp.sudog;
        let at = self.find(s.addr.get());
        // SAFETY: gp is in the queue, so its address has a head.
        unsafe { self.remove_at(at, s) };
    }

    /// # Safety
    /// `at` is the link to the head of the address of `s`, and `s` is in the queue.
    unsafe fn remove_at(&mut self, at: Link, s: &Sudog) {
        let (prev, next) = (s.prev.get(), s.next.get());
        // SAFETY: as in `find`, and the caller's promise.
        unsafe {
            if prev.is_null() {
                if next.is_null() {
                    *at = merge(s.left.get(), s.right.get());
                } else {
                    sudog(next).prev.set(null_mut());
                    sudog(next).tail.set(s.tail.get());
                    self.replace_head(at, ptr(s), next);
                }
            } else {
                sudog(prev).next.set(next);
                if next.is_null() {
                    sudog(*at).tail.set(prev);
                } else {
                    sudog(next).prev.set(prev);
                }
            }
        }
        s.next.set(null_mut());
        s.prev.set(null_mut());
        s.addr.set(0);
    }

    /// # Safety
    /// `at` is the link to `old`; `new` is not in the tree.
    unsafe fn replace_head(&mut self, at: Link, old: *mut Sudog, new: *mut Sudog) {
        // SAFETY: the caller's promise.
        unsafe {
            let (o, n) = (sudog(old), sudog(new));
            n.left.set(o.left.take());
            n.right.set(o.right.take());
            n.ticket.set(o.ticket.get());
            *at = new;
        }
    }

    fn insert(&mut self, s: &Sudog, addr: u64) {
        let ticket = self.priorities.next();
        s.ticket.set(ticket);
        let mut at: Link = &mut self.tree;
        // SAFETY: as in `find`.
        unsafe {
            while !(*at).is_null() && sudog(*at).ticket.get() <= ticket {
                at = if addr < sudog(*at).addr.get() { sudog(*at).left.as_ptr() } else { sudog(*at).right.as_ptr() };
            }
            split(*at, addr, s.left.as_ptr(), s.right.as_ptr());
            *at = ptr(s);
        }
    }
}

/// Splits a tree into the addresses below `addr` and those above.
///
/// # Safety
/// The caller overwrites the links.
unsafe fn split(mut tree: *mut Sudog, addr: u64, mut below: Link, mut above: Link) {
    // SAFETY: the caller's promise; nodes are records of the queue.
    unsafe {
        while !tree.is_null() {
            let s = sudog(tree);
            if s.addr.get() < addr {
                *below = tree;
                below = s.right.as_ptr();
                tree = *below;
            } else {
                *above = tree;
                above = s.left.as_ptr();
                tree = *above;
            }
        }
        *below = null_mut();
        *above = null_mut();
    }
}

/// Joins two trees; all addresses of the first are below those of the second.
fn merge(mut below: *mut Sudog, mut above: *mut Sudog) -> *mut Sudog {
    let mut tree = null_mut();
    let mut at: Link = &mut tree;
    // SAFETY: nodes are records of the queue.
    unsafe {
        while !below.is_null() && !above.is_null() {
            if sudog(below).ticket.get() <= sudog(above).ticket.get() {
                *at = below;
                at = sudog(below).right.as_ptr();
                below = *at;
            } else {
                *at = above;
                at = sudog(above).left.as_ptr();
                above = *at;
            }
        }
        *at = if below.is_null() { above } else { below };
    }
    tree
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, VecDeque};

    fn gs(n: u32) -> Vec<GRef> {
        (0..n).map(GRef::for_test).collect()
    }

    fn depth(at: *mut Sudog) -> usize {
        if at.is_null() {
            return 0;
        }
        // SAFETY: nodes are records of the queue.
        let s = unsafe { sudog(at) };
        1 + depth(s.left.get()).max(depth(s.right.get()))
    }

    /// The depth of the tree after so many addresses have come, in the order of the priorities that the seed `assumed`
    /// gives.
    fn depth_of_chosen_order(assumed: u64, seed: u64) -> usize {
        const N: u32 = 2000;
        let gs = gs(N);
        let guess = Rng::new(assumed);
        let mut q = Queue { tree: null_mut(), priorities: Rng::new(seed) };
        // An address as large as its priority: each is below all of its successors, or above.
        for g in &gs {
            q.push(*g, u64::from(guess.next()) << 3 | 8, false);
        }
        depth(q.tree)
    }

    #[test]
    fn an_order_chosen_for_another_seed_makes_no_list() {
        assert_eq!(depth_of_chosen_order(7, 7), 2000, "with the seed known the tree is a list");
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
        let mut q = Queue { tree: null_mut(), priorities: Rng::new(seed) };
        let mut model: BTreeMap<u64, VecDeque<u32>> = BTreeMap::new();
        let mut free: Vec<u32> = (0..300).collect();
        let rng = crate::ds::rng::Rng::new(seed);
        for _ in 0..30_000 {
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
