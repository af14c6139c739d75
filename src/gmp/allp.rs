//! The table of all Ps.

use crate::ds::leak::try_leak;
use crate::ds::mask::Mask;
use crate::gmp::p::{Durations, P, PRef};
use crate::gmp::sched::Sched;
use crate::gmp::timers::{NEVER, TimerMask};
use crate::sync::{AtomicPtr, Ordering, step};
use crate::sys::array::Array;

/// All Ps ever made. Those from gomaxprocs on are Dead, and are kept because an M in a syscall may still look at one.
///
/// Tables only grow, and older tables are kept, so a reader without a P needs no lock (Go takes allpLock). At worst it
/// sees a Dead P, or a table that ends early. A table grows under `allp_lock`.
pub struct AllP {
    pub(super) ps: Array<AtomicPtr<P>>,
    /// Which Ps are idle, so that a search need not touch thousands of empty queues. Changed under `sched.lock`. For
    /// the holder of that lock a set bit is exact, also while the P is frozen (wake.rs). A clear bit proves nothing: a
    /// grown table starts empty.
    pub idle: Mask,
}

/// Entries of the first table of Ps. (Each costs a model time, and models want to see the table grow.)
const FIRST_ALLP: usize = if cfg!(any(loom, shuttle)) { 1 } else { 8 };

impl AllP {
    pub fn capacity(&self) -> usize {
        self.ps.len()
    }
}

impl Sched {
    /// The current table. None before the first resize.
    #[inline]
    pub fn allp(&self) -> Option<&'static AllP> {
        // SAFETY: tables are never freed. Acquire: pairs with the Release in `grow_allp`.
        unsafe { self.allp.load(Ordering::Acquire).as_ref() }
    }

    #[inline]
    pub fn procs(&self) -> u32 {
        self.gomaxprocs.load(Ordering::Acquire) as u32
    }

    /// The P with the number `i`, if it was ever made.
    #[inline]
    pub fn p_at(&self, i: u32) -> Option<PRef> {
        step();
        let t = self.allp()?;
        // SAFETY: entries are null or Ps.
        unsafe { PRef::from_ptr(t.ps.get(i as usize)?.load(Ordering::Acquire)) }
    }

    /// The Ps below gomaxprocs. For readers without a P: the number is read once, and may be older than the table.
    pub fn live_ps(&self) -> impl Iterator<Item = PRef> + Clone + '_ {
        (0..self.procs()).filter_map(|i| self.p_at(i))
    }

    /// The Ps below gomaxprocs that may have timers. It contains every P that has one, if the thread that arms and the
    /// thread that asks do as wake.rs says.
    pub fn timed_ps(&self) -> impl Iterator<Item = PRef> + Clone + '_ {
        let n = self.procs();
        (0..n)
            .step_by(TimerMask::PS as usize)
            .filter_map(|i| Some((i, self.p_at(i)?)))
            .flat_map(|(i, p)| p.timers.mask().iter().map(move |bit| i + bit))
            .take_while(move |&i| i < n)
            .filter_map(|i| self.p_at(i))
    }

    /// The time at which the next timer fires, without a lock.
    pub fn next_timer(&self) -> i64 {
        self.timed_ps().map(|p| p.timers.first()).min().unwrap_or(NEVER)
    }

    /// The Ps below gomaxprocs except idle ones; a few idle ones may be among them. For the holder of `sched.lock`;
    /// without the lock a P that was idle a moment ago may be missing.
    pub fn busy_ps(&self) -> impl Iterator<Item = PRef> + Clone + '_ {
        let n = self.procs();
        self.allp().into_iter().flat_map(move |t| t.idle.iter_clear(n)).filter_map(|i| self.p_at(i))
    }

    /// Every P ever made.
    pub fn every_p(&self) -> impl Iterator<Item = PRef> + '_ {
        (0..self.allp().map_or(0, |t| t.capacity() as u32)).map_while(|i| self.p_at(i))
    }

    /// Makes sure that the Ps `0..n` exist. New Ps are Dead. False if there is no memory; then nothing changes, except
    /// for Ps beyond gomaxprocs.
    #[must_use]
    pub fn grow_allp(&self, n: u32) -> bool {
        let mut made = self.allp_lock.lock();
        let old = self.allp();
        if old.is_none_or(|t| t.capacity() < n as usize) {
            let capacity = (n as usize).max(old.map_or(0, |t| t.capacity() * 2)).max(FIRST_ALLP);
            let same =
                |i: usize| old.and_then(|t| t.ps.get(i)).map_or(std::ptr::null_mut(), |p| p.load(Ordering::Relaxed));
            let Some(ps) = Array::of(capacity, |i| AtomicPtr::new(same(i))) else { return false };
            // It starts empty: Ps go idle and busy meanwhile, and looking at an idle P costs less than passing over a
            // busy one.
            let Some(idle) = Mask::new(capacity) else { return false };
            let Some(table) = try_leak(AllP { ps, idle }) else { return false };
            // Release: pairs with the Acquire in `allp`. The old table stays for its readers.
            self.allp.store(std::ptr::from_ref(table).cast_mut(), Ordering::Release);
        }
        let table = self.allp().expect("just stored");
        for i in *made as u32..n {
            let neighbour = self.p_at(i - i % TimerMask::PS).map(|p| p.timers.mask());
            let Some(mask) = neighbour.or_else(|| try_leak(TimerMask::default())) else { return false };
            let Some(durations) = Durations::new() else { return false };
            let Some(p) = try_leak(P::new(i, self.poll, mask, durations)) else { return false };
            table.ps[i as usize].store(std::ptr::from_ref(p).cast_mut(), Ordering::Release);
            *made = i as i32 + 1;
        }
        true
    }
}
