//! The timers of one P: a heap of four children, its key beside the pointer.
//!
//! A timer is in one heap at most, that of the P on which it was armed, until it fires or is stopped; only a resize, in
//! a stopped world, moves timers. `first` is the earliest deadline, for anyone to read without the lock: that is how
//! sysmon and an idle thread ask when the next timer fires, and why nobody needs `sched.lock` and a heap's lock
//! together. A callback runs with the heap unlocked, on the scheduler's stack of an M that holds a P; it finds out by
//! the sequence number that it was given whether what it was armed for still waits.

use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::gmp::p::{P, PRef};
use crate::sync::own::{OwnI64, OwnPtr, OwnU32, OwnU64};
use crate::sync::{AtomicI64, AtomicPtr, Guard, Lock, Ordering, Rank};
use std::ffi::c_void;

/// No timer.
pub const NEVER: i64 = i64::MAX;

/// What a timer does when it fires.
pub type Fire = unsafe fn(m: MRef, arg: *mut c_void, seq: u64);

/// A timer. Fields are guarded by the heap's lock while it is in one, and belong to whoever arms it otherwise.
#[derive(Default)]
pub struct Timer {
    /// The P in whose heap it is.
    heap: AtomicPtrP,
    pos: OwnU32,
    pub when: OwnI64,
    fire: OwnPtr<c_void>,
    arg: OwnPtr<c_void>,
    seq: OwnU64,
}

struct AtomicPtrP(AtomicPtr<P>);

impl Default for AtomicPtrP {
    fn default() -> Self {
        AtomicPtrP(AtomicPtr::new(std::ptr::null_mut()))
    }
}

#[derive(Clone, Copy)]
struct Entry {
    when: i64,
    timer: *const Timer,
}

/// See the module.
pub struct Timers {
    heap: Lock<Heap>,
    first: AtomicI64,
}

struct Heap {
    entries: Vec<Entry>,
    /// Entries for which there must be room.
    reserved: usize,
}

// SAFETY: the pointers are to timers that stay where they are while they are in the heap.
unsafe impl Send for Heap {}

impl Default for Timers {
    fn default() -> Self {
        Self::new()
    }
}

impl Timers {
    pub fn new() -> Timers {
        Timers {
            heap: Lock::new(Rank::Timers, Heap { entries: Vec::new(), reserved: 0 }),
            first: AtomicI64::new(NEVER),
        }
    }

    /// The earliest deadline, without the lock.
    #[inline(always)]
    pub fn first(&self) -> i64 {
        self.first.load(Ordering::Relaxed)
    }

    pub fn count(&self) -> usize {
        self.heap.lock().entries.len()
    }

    /// Makes sure that one more [`Timers::add`] finds room: a sleeper asks before it parks, since afterwards there is
    /// nobody left to tell.
    pub fn reserve(&self) -> Result<()> {
        let mut h = self.heap.lock();
        let n = h.reserved + 1;
        h.entries.try_reserve(n).map_err(|_| Error::NoMemory)?;
        h.reserved = n;
        Ok(())
    }

    /// Takes a reservation back.
    pub fn unreserve(&self) {
        self.heap.lock().reserved -= 1;
    }

    /// Arms a timer, for which room was reserved. True if it is now the first to fire.
    ///
    /// # Safety
    /// `t` is in no heap and stays where it is until it has fired or was removed. The caller holds the P of this heap.
    pub unsafe fn add(pp: PRef, t: &Timer, when: i64, fire: Fire, arg: *mut c_void, seq: u64) -> bool {
        let mut h = pp.timers.heap.lock();
        debug_assert!(t.heap.0.load(Ordering::Relaxed).is_null());
        t.when.set(when);
        t.fire.set(fire as *mut c_void);
        t.arg.set(arg);
        t.seq.set(seq);
        h.reserved = h.reserved.saturating_sub(1);
        let at = h.entries.len();
        h.entries.push(Entry { when, timer: t });
        h.up(at);
        // Release: pairs with the Acquire in `remove`.
        t.heap.0.store(pp.as_ptr(), Ordering::Release);
        pp.timers.publish(&h);
        t.pos.get() == 0
    }

    /// Takes a timer out before it fires; false if it is not armed (it fired, or its callback is on its way).
    pub fn remove(t: &Timer) -> bool {
        loop {
            // SAFETY: Ps are never freed.
            let Some(pp) = (unsafe { PRef::from_ptr(t.heap.0.load(Ordering::Acquire)) }) else { return false };
            let mut h = pp.timers.heap.lock();
            if t.heap.0.load(Ordering::Relaxed) != pp.as_ptr() {
                continue;
            }
            h.remove(t.pos.get() as usize);
            t.heap.0.store(std::ptr::null_mut(), Ordering::Release);
            pp.timers.publish(&h);
            return true;
        }
    }

    /// Runs what is due at `now`. Returns how many fired.
    ///
    /// # Safety
    /// The caller is on the scheduler's stack of `m`, which holds a P (any).
    pub unsafe fn run(&self, m: MRef, now: i64) -> usize {
        let mut fired = 0;
        while self.first() <= now {
            let (fire, arg, seq) = {
                let mut h = self.heap.lock();
                match h.entries.first() {
                    Some(e) if e.when <= now => {
                        // SAFETY: a timer in the heap stays where it is.
                        let t = unsafe { &*e.timer };
                        let what = (t.fire.get(), t.arg.get(), t.seq.get());
                        h.remove(0);
                        // Release: whoever finds null in `remove` knows that the callback is on its way.
                        t.heap.0.store(std::ptr::null_mut(), Ordering::Release);
                        self.publish(&h);
                        what
                    }
                    _ => break,
                }
            };
            // SAFETY: `add` stored a Fire; the caller is where callbacks may run.
            unsafe { std::mem::transmute::<*mut c_void, Fire>(fire)(m, arg, seq) };
            fired += 1;
        }
        fired
    }

    /// Moves all timers to the heap of `to`; false if there is no memory for them (nothing is moved then). The world is
    /// stopped.
    pub fn move_all(&self, to: PRef) -> bool {
        // Two heaps' locks are never held together.
        let mut moved = std::mem::take(&mut self.heap.lock().entries);
        let mut h = to.timers.heap.lock();
        let n = h.reserved + moved.len();
        if h.entries.try_reserve(n).is_err() {
            drop(h);
            let mut back = self.heap.lock();
            back.entries = moved;
            return false;
        }
        for e in moved.drain(..) {
            let at = h.entries.len();
            h.entries.push(e);
            h.up(at);
            // SAFETY: a timer in the heap stays where it is.
            unsafe { &*e.timer }.heap.0.store(to.as_ptr(), Ordering::Release);
        }
        to.timers.publish(&h);
        drop(h);
        let h = self.heap.lock();
        self.publish(&h);
        true
    }

    fn publish(&self, h: &Guard<'_, Heap>) {
        self.first.store(h.entries.first().map_or(NEVER, |e| e.when), Ordering::Release);
    }
}

const ARITY: usize = 4;

impl Heap {
    #[inline(always)]
    fn put(&mut self, at: usize, e: Entry) {
        self.entries[at] = e;
        // SAFETY: a timer in the heap stays where it is.
        unsafe { &*e.timer }.pos.set(at as u32);
    }

    fn up(&mut self, mut at: usize) {
        let e = self.entries[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.entries[parent].when <= e.when {
                break;
            }
            let p = self.entries[parent];
            self.put(at, p);
            at = parent;
        }
        self.put(at, e);
    }

    fn down(&mut self, mut at: usize) {
        let e = self.entries[at];
        let n = self.entries.len();
        loop {
            let first = at * ARITY + 1;
            if first >= n {
                break;
            }
            let mut least = first;
            for c in first + 1..(first + ARITY).min(n) {
                if self.entries[c].when < self.entries[least].when {
                    least = c;
                }
            }
            if self.entries[least].when >= e.when {
                break;
            }
            let c = self.entries[least];
            self.put(at, c);
            at = least;
        }
        self.put(at, e);
    }

    fn remove(&mut self, at: usize) {
        let last = self.entries.pop().expect("a timer is in the heap");
        if at < self.entries.len() {
            let when = self.entries[at].when;
            self.entries[at] = last;
            if last.when < when {
                self.up(at);
            } else {
                self.down(at);
            }
        }
    }
}
