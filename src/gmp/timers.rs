//! The timers of one P: a four-ary heap of deadlines, each with its timer.
//!
//! # Problem
//! A thread that goes idle must know when the next timer of any P fires, without taking every heap's lock. Most timers
//! are stopped before they fire, and some are postponed again and again; neither should move entries about. A timer may
//! be stopped while it fires on another M.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | `first` | the earliest deadline of a heap, readable without the lock |
//! | `heap` (of a timer) | the P in whose heap it is armed, or null |
//! | `when`, `entry` (of a timer) | its deadline, and the time in its heap entry, which is not after `when` |
//! | alive | an entry whose timer is armed in this heap, with an `entry` of the same time |
//! | dead | any other entry: its timer is disarmed, armed in another heap, or has an entry with another time |
//! | room | space in the heap for entries that must not fail later (`reserved`) |
//!
//! | `heap` | `entry`, `when` | the timer | its entries |
//! |---|---|---|---|
//! | null | - | disarmed: new, stopped, or firing | none, or dead ones |
//! | a P | equal | armed | one alive, in the heap of that P; perhaps dead ones |
//! | a P | `entry` before `when` | armed, and postponed | as above; the alive one is moved on when it is due |
//!
//! # How it works
//! * A timer is armed in at most one heap, until it fires or is stopped.
//! * `first` tells sysmon and idle threads when the next timer fires. So no thread needs `sched.lock` and a heap's lock
//!   together.
//! * A callback runs with the heap unlocked, on the scheduler stack of an M. The sequence number that it gets tells it
//!   whether the wait that it was armed for still lasts.
//! * A timer does not know its place in the heap, so moving an entry touches only the heap. A stopped timer leaves a
//!   dead entry behind. (Of two entries with the same timer and time, either serves.) A dead entry that comes to the
//!   top is removed, so the top is always alive. When more than half of a heap is dead, the heap is swept. So stopped
//!   timers cost nothing that grows.
//! * A timer that is set to a later time stays where it is. Its entry then has a time that is too early, and is moved
//!   on when it comes to the top and is due ([`Timers::postpone`]). Deadlines that are postponed again and again cost
//!   no more than that.
//! * Room: a caller that must not fail later reserves before ([`Timers::reserve`]). A timer that may have to go back
//!   after it fired (`comes_back`) keeps its room until its callback has returned.
//!
//! # Which Ps have timers
//! A thread that asks for the next timer of all looks only at the Ps that have shown that they may have timers: a bit
//! in a word that up to 64 Ps share. A P's bit is set, under the heap's lock, before its first timer can be seen. It is
//! cleared when the P goes idle without timers, not whenever the heap is empty: otherwise all Ps would write to one
//! word all the time.
//!
//! # Resize
//! A resize, in a stopped world, moves the timers of a P that goes. Threads without a P arm and stop timers meanwhile.
//! Therefore the resize holds both heaps' locks and closes the heap of the P that goes. It is the only thread that ever
//! holds two heaps' locks, so it cannot be part of a deadlock.

use crate::ds::histogram::Histogram;
use crate::ds::line::Line;
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::gmp::p::{P, PRef};
use crate::gmp::sched::Sched;
use crate::sync::own::{OwnBool, OwnI64, OwnPtr, OwnU64};
use crate::sync::{AtomicI64, AtomicPtr, AtomicU64, Guard, Lock, Ordering, Rank};
use crate::sys::array::Array;
use std::ffi::c_void;

/// No timer.
pub const NEVER: i64 = i64::MAX;

/// The time `delay` after `from`. A sum that is too large becomes the last possible time, which never comes and is not
/// [`NEVER`]: a timer that is set to it counts as set.
#[inline]
pub fn later(from: i64, delay: i64) -> i64 {
    from.saturating_add(delay).min(NEVER - 1)
}

/// The callback of a timer from the heap of `pp`. True: it has put the timer back ([`Timers::put_back`]).
pub type Fire = unsafe fn(m: MRef, pp: PRef, arg: *mut c_void, seq: u64) -> bool;

/// A timer. While it is armed, the heap's lock guards its fields; otherwise they belong to the thread that arms it. Its
/// memory is never freed: dead entries may point to it.
#[derive(Default)]
pub struct Timer {
    /// The P in whose heap it is armed.
    heap: AtomicPtrP,
    pub when: OwnI64,
    /// The time in its entry: not after `when`.
    entry: OwnI64,
    fire: OwnPtr<c_void>,
    arg: OwnPtr<c_void>,
    seq: OwnU64,
    /// It keeps its room while its callback runs. Fixed from birth.
    pub comes_back: OwnBool,
}

struct AtomicPtrP(AtomicPtr<P>);

impl Default for AtomicPtrP {
    fn default() -> Self {
        AtomicPtrP(AtomicPtr::new(std::ptr::null_mut()))
    }
}

/// The action of an armed timer, and its time.
#[derive(Clone, Copy)]
pub struct Alarm {
    pub when: i64,
    pub fire: Fire,
    pub arg: *mut c_void,
    pub seq: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    when: i64,
    timer: *const Timer,
}

/// Which of up to 64 Ps with consecutive numbers may have timers.
#[derive(Default)]
pub struct TimerMask(Line<AtomicU64>);

impl TimerMask {
    /// The number of Ps that share one.
    pub const PS: u32 = 64;

    /// Their numbers, counted from the first. Relaxed, as `first` is, and set before it: the fences of the thread that
    /// arms and of the thread that asks order both (wake.rs).
    pub fn iter(&self) -> impl Iterator<Item = u32> + Clone + use<> {
        let mut bits = self.0.load(Ordering::Relaxed);
        std::iter::from_fn(move || {
            let next = (bits != 0).then(|| bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
            next
        })
    }

    #[inline]
    pub fn has(&self, i: u32) -> bool {
        self.0.load(Ordering::Relaxed) >> (i % TimerMask::PS) & 1 == 1
    }
}

/// The timers of a P: see the module.
pub struct Timers {
    heap: Lock<Heap>,
    first: AtomicI64,
    /// Where this P and its neighbours show that they may have timers.
    mask: &'static TimerMask,
    /// How late timers of this heap fired. Owner: the holder of the heap's lock.
    pub late: &'static Histogram,
}

struct Heap {
    entries: Array<Entry>,
    /// Entries for which there must be room.
    reserved: usize,
    /// The number of dead entries, or a little more.
    dead: usize,
    /// The P is going, or is gone.
    closed: bool,
}

// SAFETY: the pointers are to timers, which are never freed.
unsafe impl Send for Heap {}

/// The most timers that are looked at in one batch.
pub const BATCH: usize = if cfg!(any(loom, shuttle)) { 2 } else { 64 };

/// A heap with fewer entries is not swept.
const SWEEP_FROM: usize = if cfg!(any(loom, shuttle)) { 2 } else { 64 };

impl Timers {
    pub fn new(mask: &'static TimerMask, late: &'static Histogram) -> Timers {
        let mut entries = Array::new();
        // Best effort: a timer that finds no room later gets a status.
        let _ = entries.reserve(FIRST);
        Timers {
            mask,
            heap: Lock::new(Rank::Timers, Heap { entries, reserved: 0, dead: 0, closed: false }),
            first: AtomicI64::new(NEVER),
            late,
        }
    }

    /// The earliest deadline, without the lock.
    #[inline(always)]
    pub fn first(&self) -> i64 {
        self.first.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub fn mask(&self) -> &'static TimerMask {
        self.mask
    }

    /// Sets the P's bit. The caller holds the lock of the P's heap, and is about to publish a timer.
    fn advertise(pp: PRef) {
        let mask = pp.timers.mask;
        if !mask.has(pp.id) {
            mask.0.fetch_or(1 << (pp.id % TimerMask::PS), Ordering::Relaxed);
        }
    }

    /// For the thread that makes the P idle: clears the P's bit if the heap is empty.
    pub fn retract(pp: PRef) {
        let timers = &pp.timers;
        if timers.first() == NEVER && timers.mask.has(pp.id) {
            let h = timers.heap.lock();
            if h.entries.is_empty() {
                timers.mask.0.fetch_and(!(1 << (pp.id % TimerMask::PS)), Ordering::Relaxed);
            }
        }
    }

    /// The number of armed timers, or a little less.
    pub fn count(&self) -> usize {
        let h = self.heap.lock();
        h.entries.len().saturating_sub(h.dead)
    }

    /// The number of entries for which room is kept: for models, which check that it is 0 at their end.
    #[cfg(test)]
    pub fn reserved(&self) -> usize {
        self.heap.lock().reserved
    }

    /// Makes sure that one more [`Timers::add`] finds room. A sleeper reserves before it parks, since afterwards it
    /// cannot return an error.
    pub fn reserve(&self) -> Result<()> {
        let mut h = self.heap.lock();
        h.room()?;
        h.reserved += 1;
        Ok(())
    }

    /// Gives up a reservation.
    pub fn unreserve(&self) {
        self.heap.lock().less_reserved();
    }

    /// Arms a timer for which room was reserved. True if it is now the first to fire.
    ///
    /// # Safety
    /// `t` is not armed; its memory is never freed. The caller holds the P of this heap.
    pub unsafe fn add(pp: PRef, t: &Timer, alarm: Alarm) -> bool {
        let mut h = pp.timers.heap.lock();
        debug_assert!(!h.closed);
        h.less_reserved();
        h.arm(pp, t, alarm)
    }

    /// Arms a timer, on the P of `m`, or on another P if `m` has none. Returns that P, and whether the timer is now the
    /// first to fire there.
    ///
    /// # Safety
    /// `t` is not armed; its memory is never freed.
    pub unsafe fn add_somewhere(sched: &Sched, m: MRef, t: &Timer, alarm: Alarm) -> Result<(PRef, bool)> {
        let own = m.p().map(|pp| pp.p());
        let any = || sched.p_at(m.id % sched.procs().max(1));
        // P 0 never goes.
        for pp in own.or_else(any).into_iter().chain(sched.p_at(0)) {
            let mut h = pp.timers.heap.lock();
            if !h.closed {
                h.room()?;
                return Ok((pp, h.arm(pp, t, alarm)));
            }
        }
        Err(Error::NoMemory)
    }

    /// Arms a timer again from its callback, in the room that it has kept.
    ///
    /// # Safety
    /// `pp` is the P that the callback was given, `t` the timer that fired, and not armed.
    pub unsafe fn put_back(sched: &Sched, pp: PRef, t: &Timer, alarm: Alarm) -> (PRef, bool) {
        debug_assert!(t.comes_back.get());
        let mut h = pp.timers.heap.lock();
        if !h.closed {
            h.less_reserved();
            return (pp, h.arm(pp, t, alarm));
        }
        drop(h);
        // sysmon ran it, and the P has gone meanwhile: its room has moved to P 0.
        let Some(first) = sched.p_at(0) else { crate::gmp::fatal::throw(sched, "there is no P 0") };
        let mut h = first.timers.heap.lock();
        h.less_reserved();
        let is_first = h.arm(first, t, alarm);
        (first, is_first)
    }

    /// Stops a timer before it fires; false if it is not armed (it fired, or its callback is on its way).
    pub fn remove(t: &Timer) -> bool {
        loop {
            // SAFETY: Ps are never freed.
            let Some(pp) = (unsafe { PRef::from_ptr(t.heap.0.load(Ordering::Acquire)) }) else { return false };
            let mut h = pp.timers.heap.lock();
            if t.heap.0.load(Ordering::Relaxed) != pp.as_ptr() {
                continue;
            }
            t.heap.0.store(std::ptr::null_mut(), Ordering::Release);
            h.bury(pp, t);
            pp.timers.publish(&h);
            return true;
        }
    }

    /// Sets an armed timer to a later time, with another number; false if it is not armed, or if the time is before its
    /// entry's.
    pub fn postpone(t: &Timer, when: i64, seq: u64) -> bool {
        // SAFETY: Ps are never freed.
        let Some(pp) = (unsafe { PRef::from_ptr(t.heap.0.load(Ordering::Acquire)) }) else { return false };
        let _h = pp.timers.heap.lock();
        if t.heap.0.load(Ordering::Relaxed) != pp.as_ptr() || when < t.entry.get() {
            return false;
        }
        t.when.set(when);
        t.seq.set(seq);
        true
    }

    /// Runs the timers that are due at `now`, at most a batch: the caller has requests to look at, and Gs that wait.
    /// Returns how many fired.
    ///
    /// # Safety
    /// The caller is on the scheduler's stack of `m`.
    pub unsafe fn run(pp: PRef, m: MRef, now: i64) -> usize {
        let timers = &pp.timers;
        let mut fired = 0;
        // The last timer has kept room that it does not need.
        let mut kept = false;
        for _ in 0..BATCH {
            if timers.first() > now {
                break;
            }
            let (fire, arg, seq, comes_back) = {
                let mut h = timers.heap.lock();
                if std::mem::take(&mut kept) {
                    h.less_reserved();
                }
                match h.entries.first() {
                    Some(e) if e.when <= now => {
                        // SAFETY: timers are never freed.
                        let t = unsafe { &*e.timer };
                        let when = t.when.get();
                        if when > e.when {
                            // It was postponed.
                            t.entry.set(when);
                            h.entries[0].when = when;
                            h.down(0);
                            h.skim(pp);
                            timers.publish(&h);
                            continue;
                        }
                        timers.late.record(now - when);
                        let what = (t.fire.get(), t.arg.get(), t.seq.get(), t.comes_back.get());
                        // Release: a thread that finds null in `remove` knows that the callback is on its way.
                        t.heap.0.store(std::ptr::null_mut(), Ordering::Release);
                        h.pop();
                        h.skim(pp);
                        h.reserved += usize::from(what.3);
                        timers.publish(&h);
                        what
                    }
                    _ => break,
                }
            };
            // SAFETY: `arm` stored a Fire.
            let fire = unsafe { std::mem::transmute::<*mut c_void, Fire>(fire) };
            // SAFETY: the caller is where callbacks may run.
            let back = unsafe { fire(m, pp, arg, seq) };
            kept = comes_back && !back;
            fired += 1;
        }
        if kept {
            timers.unreserve();
        }
        fired
    }

    /// Moves all timers of `from` to the heap of `to`, and closes the heap of `from`. False if there is no memory;
    /// nothing has changed then. The world is stopped.
    pub fn move_all(from: PRef, to: PRef) -> bool {
        let mut old = from.timers.heap.lock();
        let mut h = to.timers.heap.lock_beside();
        let n = h.reserved + old.reserved + old.entries.len();
        if h.entries.reserve(n).is_err() {
            return false;
        }
        let entries = std::mem::take(&mut old.entries);
        for e in entries.iter().filter(|e| e.is_alive(from)) {
            // SAFETY: timers are never freed.
            unsafe { &*e.timer }.heap.0.store(to.as_ptr(), Ordering::Release);
            h.push(*e);
        }
        h.reserved += std::mem::take(&mut old.reserved);
        old.dead = 0;
        old.closed = true;
        Timers::advertise(to);
        from.timers.publish(&old);
        to.timers.publish(&h);
        true
    }

    /// Opens the heap of a P that is new or comes back.
    pub fn open(&self) {
        let mut h = self.heap.lock();
        h.closed = false;
        // As in `new`: the former memory went with the timers.
        let _ = h.entries.reserve(FIRST);
    }

    fn publish(&self, h: &Guard<'_, Heap>) {
        self.first.store(h.entries.first().map_or(NEVER, |e| e.when), Ordering::Release);
    }
}

impl Entry {
    /// Whether the timer is still armed as this entry says. The caller holds the lock of the heap. A timer that is
    /// armed elsewhere may change at any moment, but the entry is dead all the same.
    #[inline(always)]
    fn is_alive(&self, pp: PRef) -> bool {
        // SAFETY: timers are never freed.
        let t = unsafe { &*self.timer };
        t.heap.0.load(Ordering::Relaxed) == pp.as_ptr() && t.entry.get() == self.when
    }
}

const ARITY: usize = 4;
/// The entries for which a new P has room: a program with few timers does not allocate when it sleeps.
const FIRST: usize = if cfg!(any(loom, shuttle)) { 1 } else { 64 };

impl Heap {
    fn room(&mut self) -> Result<()> {
        let n = self.reserved + 1;
        self.entries.reserve(n).map_err(|_| Error::NoMemory)
    }

    fn less_reserved(&mut self) {
        // Room that was kept for a callback may have gone to another heap with its timers.
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Arms a timer, for which there is room. True if it is the first now.
    fn arm(&mut self, pp: PRef, t: &Timer, alarm: Alarm) -> bool {
        debug_assert!(t.heap.0.load(Ordering::Relaxed).is_null());
        t.when.set(alarm.when);
        t.entry.set(alarm.when);
        t.fire.set(alarm.fire as *mut c_void);
        t.arg.set(alarm.arg);
        t.seq.set(alarm.seq);
        // Release: pairs with the Acquire in `remove`.
        t.heap.0.store(pp.as_ptr(), Ordering::Release);
        self.push(Entry { when: alarm.when, timer: t });
        let first = self.entries.first().map_or(NEVER, |e| e.when);
        Timers::advertise(pp);
        pp.timers.first.store(first, Ordering::Release);
        self.entries.first().is_some_and(|e| std::ptr::eq(e.timer, t))
    }

    /// Counts the entry of a timer that was just stopped as dead.
    fn bury(&mut self, pp: PRef, t: &Timer) {
        self.dead += 1;
        if self.entries.last().is_some_and(|e| std::ptr::eq(e.timer, t) && e.when == t.entry.get()) {
            self.entries.pop();
            self.dead -= 1;
        }
        self.skim(pp);
        if self.dead > SWEEP_FROM && self.dead > self.entries.len() / 2 {
            self.sweep(pp);
        }
    }

    /// Removes dead entries from the top.
    fn skim(&mut self, pp: PRef) {
        while self.entries.first().is_some_and(|e| !e.is_alive(pp)) {
            self.pop();
            self.dead = self.dead.saturating_sub(1);
        }
    }

    /// Removes all dead entries.
    #[cold]
    fn sweep(&mut self, pp: PRef) {
        self.entries.retain(|e| e.is_alive(pp));
        self.dead = 0;
        let n = self.entries.len();
        for at in (0..n.div_ceil(ARITY)).rev() {
            self.down(at);
        }
    }

    /// Adds an entry, for which there is room.
    fn push(&mut self, e: Entry) {
        let at = self.entries.len();
        self.entries.put(e);
        self.up(at);
    }

    fn up(&mut self, mut at: usize) {
        let e = self.entries[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.entries[parent].when <= e.when {
                break;
            }
            self.entries[at] = self.entries[parent];
            at = parent;
        }
        self.entries[at] = e;
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
            self.entries[at] = self.entries[least];
            at = least;
        }
        self.entries[at] = e;
    }

    /// Removes the top.
    fn pop(&mut self) {
        self.entries.swap_remove(0);
        if !self.entries.is_empty() {
            self.down(0);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::ds::leak::try_leak;
    use crate::ds::rng::{Rng, rounds, seeds};
    use crate::gmp::m::{Kind, M};
    use crate::gmp::p::Durations;
    use std::cell::RefCell;

    static POLL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

    fn a_p(id: u32) -> PRef {
        let mask = try_leak(TimerMask::default()).unwrap();
        let p = try_leak(P::new(id, &POLL, mask, Durations::new().unwrap())).unwrap();
        // SAFETY: just leaked.
        unsafe { PRef::from_ptr(std::ptr::from_ref(p).cast_mut()) }.unwrap()
    }

    /// The firings, by the number of the timer and the number of its arm.
    type Fired = RefCell<Vec<(usize, u64)>>;

    struct One {
        number: usize,
        comes_back: bool,
        fired: *const Fired,
    }

    unsafe fn fire(_: MRef, pp: PRef, arg: *mut c_void, seq: u64) -> bool {
        // SAFETY: the tests pass a One, which lives until they end.
        let one = unsafe { &*arg.cast::<One>() };
        assert_eq!(pp.timers.reserved(), usize::from(one.comes_back), "room to come back");
        // SAFETY: it lives as long as the Ones that refer to it.
        let fired = unsafe { &*one.fired };
        fired.borrow_mut().push((one.number, seq));
        false
    }

    /// The model's view of a timer: the P in whose heap it is, its time, and the number of its arm.
    type Armed = Option<(usize, i64, u64)>;

    fn is_heap(pp: PRef) {
        let h = pp.timers.heap.lock();
        let e = &h.entries;
        assert!((1..e.len()).all(|i| e[(i - 1) / ARITY].when <= e[i].when), "a heap");
        assert!(e.first().is_none_or(|e| e.is_alive(pp)), "the top is alive");
        assert_eq!(h.reserved, 0);
    }

    /// Timers are armed, stopped, postponed, fire, and move to another P, and behave as a list of armed timers.
    #[test]
    fn behaves_as_a_list() {
        seeds(6).for_each(against_a_list);
    }

    fn against_a_list(seed: u64) {
        const N: usize = 150;
        let rng = Rng::new(seed);
        let random = |n: usize| rng.next() as usize % n;
        let ps = [a_p(0), a_p(1)];
        let m = try_leak(M::new(std::ptr::null(), 0, Kind::Worker)).unwrap();
        // SAFETY: just leaked.
        let m = unsafe { MRef::from_ptr(std::ptr::from_ref(m).cast_mut()) }.unwrap();
        let fired: Fired = RefCell::default();
        let ones: Vec<One> = (0..N).map(|number| One { number, comes_back: number % 3 == 0, fired: &fired }).collect();
        let timers: Vec<&Timer> = (0..N).map(|_| try_leak(Timer::default()).unwrap()).collect();
        timers.iter().zip(&ones).for_each(|(t, one)| t.comes_back.set(one.comes_back));
        let mut model: Vec<Armed> = vec![None; N];
        let (mut now, mut seq) = (0, 0);
        for _ in 0..rounds(10_000) {
            let (i, p) = (random(N), random(2));
            seq += 1;
            match random(100) {
                0..50 => {
                    let when = now + random(1000) as i64;
                    let alarm = Alarm { when, fire, arg: std::ptr::from_ref(&ones[i]).cast_mut().cast(), seq };
                    if model[i].is_some() {
                        let later = Timers::postpone(timers[i], when, seq);
                        let (home, old, _) = model[i].unwrap();
                        assert!(later || when < old, "one that is armed can be put off");
                        if later {
                            model[i] = Some((home, when, seq));
                        }
                    } else {
                        assert!(!Timers::postpone(timers[i], when, seq));
                        ps[p].timers.reserve().unwrap();
                        // SAFETY: the timer is not armed, and was leaked; one thread has both Ps.
                        unsafe { Timers::add(ps[p], timers[i], alarm) };
                        model[i] = Some((p, when, seq));
                    }
                }
                50..90 => {
                    assert_eq!(Timers::remove(timers[i]), model[i].take().is_some());
                }
                90..99 => {
                    now += random(50) as i64;
                    // SAFETY: the callback needs no scheduler stack.
                    let n = unsafe { Timers::run(ps[p], m, now) };
                    let got = fired.take();
                    assert_eq!(n, got.len());
                    let mut last = i64::MIN;
                    for (i, seq) in got {
                        let (home, when, armed) = model[i].take().expect("it was armed");
                        assert_eq!((home, armed), (p, seq));
                        assert!(when <= now && last <= when, "in the order of their times");
                        last = when;
                    }
                    let due = |a: &Armed| a.is_some_and(|(home, when, _)| home == p && when <= now);
                    assert!(!model.iter().any(due), "whatever is due fires");
                }
                _ => {
                    assert!(Timers::move_all(ps[p], ps[1 - p]));
                    ps[p].timers.open();
                    model.iter_mut().flatten().for_each(|a| a.0 = 1 - p);
                }
            }
            for (p, pp) in ps.iter().enumerate() {
                let all = model.iter().flatten().filter(|a| a.0 == p);
                assert_eq!(pp.timers.count(), all.clone().count());
                let first = pp.timers.first();
                // The entry of a postponed timer still has the old time.
                assert!(first <= all.map(|a| a.1).min().unwrap_or(NEVER));
                assert_eq!(first == NEVER, pp.timers.count() == 0);
                if random(4) == 0 {
                    Timers::retract(*pp);
                    assert_eq!(pp.timers.mask().has(pp.id), first != NEVER);
                }
                assert!(first == NEVER || pp.timers.mask().iter().eq([pp.id]));
            }
            if seq % 64 == 0 {
                ps.into_iter().for_each(is_heap);
            }
        }
    }
}
