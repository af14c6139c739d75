//! Stacks of goroutines: much address space, little memory, a guard below each stack, the hottest stack first.
//!
//! Sizes come in classes, 16 KiB << 2n up to 1 GiB. A class cuts its slots from arenas, which are large NORESERVE
//! mappings:
//!
//! ```text
//!   arena    | header page | slot 0 | slot 1 | ...                    | slot n-1 |
//!
//!   slot     | guard 64 KiB | class size (usable)          | one page of slack   |
//!                           ^ lo                                  ^ hi    <-----> colour, 0..=960 bytes
//! ```
//!
//! Guard and slack come on top of the class size, so that a request for 64 KiB is served from the 64 KiB class and not
//! from the next one. That makes page tables a quarter larger (648 bytes for a 256 KiB stack) and costs no memory. `hi`
//! lies below the end of the slot by the slot's colour: otherwise the hot ends of all stacks would compete for the same
//! few cache sets. The first slot of an arena gets a random colour. A colour is far less than a page, so a G that parks
//! early costs one page.
//!
//! Invariants:
//!
//! - A slot is in exactly one state: not cut yet (from `cut` on), `warm` (free, its memory is still there), `clean`
//!   (free, its memory went back to the system, or it never had any), `bare`, or in use. Otherwise two Gs would run on
//!   one stack.
//! - A slot has its guard before it is handed out for the first time, and keeps it. Guards are made for the slots that
//!   are cut, a few at a time, not for whole arenas.
//! - If the system makes no guard, a G without a guard is better than no G: such slots are counted. If guards are
//!   required ([`Rules`]) such a slot is `bare`: it is not handed out, and it is the first to be tried again.
//! - To free a stack never fails, and touches neither the stack nor the allocator: the lists have room for every slot
//!   ever cut, made together with the arena.
//! - Arenas are unmapped only with the pool, so a signal handler may walk them.
//!
//! # How memory goes back
//!
//! A spike of load leaves thousands of warm stacks. The list of warm stacks is used from its young end only, so its old
//! end holds the stacks that no G has needed for the longest time. Each class keeps the smallest length that the list
//! had in each of the last periods (`Class::fewest`). The smallest of these marks is the number of stacks at the old
//! end that stayed untouched in all these periods. The caller calls [`StackPool::age`] once a period, and it returns
//! the memory of exactly these stacks to the system. A load that comes in pulses keeps its warm stacks as long as two
//! pulses are no further apart than the periods reach. A program whose load is over gets down to `KEPT_BYTES` a class.
//! [`StackPool::trim`] returns memory without waiting for periods.
//!
//! - No long system call is made under the lock, except the rare call that makes an arena.
//!
//! Rejected:
//!
//! - Links inside free stacks: a fault for each stack whose memory went back.
//! - A mapping per stack: 5.6 us each (docs/measurements.md), and the kernel's limit ends it at 32,754 stacks.
//! - One guard for two slots, to halve the mappings: all stacks grow down, so each needs a guard below it. N stacks
//!   with a guard between any two of them are N readable ranges and N guards, in any layout.
//! - MAP_GROWSDOWN: a mapping per stack again, with gaps of its own.

use crate::sync::{Guard, Lock, Rank};
use crate::sys::arch::valgrind;
use crate::sys::{self, mem};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};

/// The usable size of class 0; each class is four times as large as the one before. Frames are several times as large
/// under sanitizers.
const SMALLEST: usize = if cfg!(gmx_sanitize) { 64 << 10 } else { 16 << 10 };
/// Up to 1 GiB.
const CLASSES: usize = if cfg!(gmx_sanitize) { 8 } else { 9 };
/// A frame may be larger than a page and touch only its far end; a guard of 64 KiB catches nearly all. (Code that is
/// compiled with `-fstack-clash-protection` touches every page on its way down.)
const GUARD: usize = 64 << 10;
const COLOURS: usize = 16;
const COLOUR: usize = 64;
const FIRST_ARENA: usize = 4 << 20;
const LARGEST_ARENA: usize = 1 << 30;
/// How many fresh slots are cut, and how many ranges go back to the system, at a time. Arrays of this length lie on
/// stacks that may be small.
const BATCH: usize = 32;
/// How many periods a stack lies unused before its memory goes back.
pub const PERIODS: usize = 3;
/// Each class keeps so many usable bytes of warm stacks, however long they lie unused: a few Gs that come now and then
/// should not pay a page fault each time.
const KEPT_BYTES: usize = 1 << 20;

/// A stack that the holder owns. A copy only passes it on: it goes back to its pool exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// One past the highest usable byte; 16-aligned.
    pub hi: *mut u8,
    pub class: u8,
}

// SAFETY: the memory belongs to the holder of the value.
unsafe impl Send for Stack {}

impl Stack {
    /// The lowest usable byte. The colour is less than a page, so the end of the slot is the next page boundary.
    pub fn lo(&self) -> *mut u8 {
        let end = (self.hi as usize).next_multiple_of(sys::page_size());
        self.hi.with_addr(end - (slot_size(self.class as usize) - guard_size()))
    }

    /// Usable bytes; at least as many as were requested.
    pub fn size(&self) -> usize {
        self.hi as usize - self.lo() as usize
    }

    /// Whether the address is in the guard below this stack. Signal-safe.
    pub fn in_guard(&self, addr: usize) -> bool {
        let lo = self.lo() as usize;
        (lo - guard_size()..lo).contains(&addr)
    }
}

/// How overflows are caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GuardKind {
    /// Not at all.
    None = 0,
    /// MADV_GUARD_INSTALL, Linux 6.13: costs no mapping.
    Madvise = 1,
    /// mprotect: two mappings a stack. So it stops at a share of the mappings that the process may have; stacks beyond
    /// have no guard.
    Mprotect = 2,
}

impl GuardKind {
    fn from_u8(n: u8) -> GuardKind {
        match n {
            0 => GuardKind::None,
            1 => GuardKind::Madvise,
            _ => GuardKind::Mprotect,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct PoolOptions {
    /// Use this kind instead of the best one that the system has.
    pub force_guard: Option<GuardKind>,
    /// How many guards mprotect may make. 0: an eighth of the mappings that the process may have.
    pub mprotect_limit: usize,
}

/// The host's rules for all stacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// No stack without a guard is handed out.
    pub guard_required: bool,
    /// Core dumps do not contain stacks.
    pub no_dump: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct PoolStats {
    /// Address space of all arenas.
    pub reserved_bytes: usize,
    /// Stacks handed out, with the stacks in the callers' caches.
    pub inuse: usize,
    /// Free stacks: freed and not handed out again.
    pub cached: usize,
    /// The stacks of `cached` whose memory is still there.
    pub warm: usize,
    /// How often the memory of a free stack went back to the system.
    pub released: u64,
    /// Usable address space of the stacks. It is not memory: only the kernel knows how much of it was touched.
    pub inuse_bytes: usize,
    pub cached_bytes: usize,
    pub guard: GuardKind,
    /// Stacks that were cut without a guard though one was wanted.
    pub unguarded: usize,
}

/// Lies in the first page of its mapping. All fields except `vg_ids` are fixed before it is published.
struct Arena {
    next: *mut Arena,
    len: usize,
    slots: *mut u8,
    slot_size: usize,
    n: usize,
    /// valgrind's ids of the stacks, one a slot; none if valgrind does not run.
    vg_ids: *mut u32,
}

/// Addresses of free stacks (their `hi`), oldest first, in memory that is reserved for all slots of the class.
struct List {
    base: *mut *mut u8,
    bytes: usize,
    /// The entries are `start..end`; only `take_oldest` moves the start.
    start: usize,
    end: usize,
}

impl List {
    const EMPTY: List = List { base: ptr::null_mut(), bytes: 0, start: 0, end: 0 };

    fn len(&self) -> usize {
        self.end - self.start
    }

    /// The place of an entry.
    fn at(&self, i: usize) -> *mut *mut u8 {
        self.base.wrapping_add(i)
    }

    fn make_room(&mut self, entries: usize) -> Result<(), i32> {
        let bytes = (entries * size_of::<*mut u8>()).next_multiple_of(sys::page_size());
        if bytes > self.bytes {
            // SAFETY: ours alone; every access goes through `base`.
            self.base = unsafe { mem::grow(self.base.cast(), self.bytes, bytes) }?.cast();
            self.bytes = bytes;
        }
        Ok(())
    }

    fn push(&mut self, hi: *mut u8) {
        if self.end * size_of::<*mut u8>() >= self.bytes {
            assert!(self.start > 0, "a stack was given back twice");
            let n = self.len();
            // SAFETY: both ranges are inside the list.
            unsafe { ptr::copy(self.at(self.start), self.base, n) };
            (self.start, self.end) = (0, n);
        }
        // SAFETY: `end` is inside, as just seen.
        unsafe { self.at(self.end).write(hi) };
        self.end += 1;
    }

    fn pop(&mut self) -> Option<*mut u8> {
        if self.len() == 0 {
            (self.start, self.end) = (0, 0);
            return None;
        }
        self.end -= 1;
        // SAFETY: written by `push`.
        Some(unsafe { self.at(self.end).read() })
    }

    fn take_oldest(&mut self) -> Option<*mut u8> {
        if self.len() == 0 {
            return None;
        }
        self.start += 1;
        // SAFETY: written by `push`.
        Some(unsafe { self.at(self.start - 1).read() })
    }

    /// # Safety
    /// Nothing is pushed or popped afterwards.
    unsafe fn release(&mut self) {
        if !self.base.is_null() {
            // SAFETY: ours, and the last use.
            unsafe { mem::release(self.base.cast(), self.bytes) };
        }
        *self = List::EMPTY;
    }
}

struct Class {
    warm: List,
    clean: List,
    /// Cut, but without a guard while guards are required.
    bare: List,
    /// The arena that is being cut, and the number of slots cut so far.
    arena: *mut Arena,
    cut: usize,
    /// Slots of all arenas.
    slots: usize,
    handed_out: usize,
    next_arena: usize,
    reserved: usize,
    /// The smallest length that `warm` had in each period, the present period first. A mark counts stacks at the old
    /// end of the list that no G has taken since; [`StackPool::discard_oldest`] takes stacks there, and subtracts them
    /// from all marks.
    fewest: [usize; PERIODS],
    released: u64,
}

impl Class {
    const EMPTY: Class = Class {
        warm: List::EMPTY,
        clean: List::EMPTY,
        bare: List::EMPTY,
        arena: ptr::null_mut(),
        cut: 0,
        slots: 0,
        handed_out: 0,
        next_arena: FIRST_ARENA,
        reserved: 0,
        fewest: [0; PERIODS],
        released: 0,
    };
}

// SAFETY: the pointers are the class's own, reached under its lock only.
unsafe impl Send for Class {}

pub struct StackPool {
    classes: [Lock<Class>; CLASSES],
    /// All arenas, newest first. Release on publishing pairs with Acquire in [`StackPool::guard_of`].
    arenas: AtomicPtr<Arena>,
    /// [`GuardKind`]; goes from Madvise to Mprotect when the kernel refuses (memory that the host locks).
    guard: AtomicU8,
    protected: AtomicUsize,
    protect_limit: usize,
    unguarded: AtomicUsize,
    /// [`Rules::guard_required`].
    guard_required: AtomicBool,
    /// [`Rules::no_dump`].
    no_dump: AtomicBool,
    /// Guards are required and may run out.
    scarce: AtomicBool,
    valgrind: bool,
    /// The seed of the colours.
    seed: u64,
}

/// The best kind of guard that the system has. valgrind does not know guards that are not mappings, and reads memory
/// that it takes for readable.
fn best_guard(valgrind: bool) -> GuardKind {
    if !valgrind && mem::guards_work() { GuardKind::Madvise } else { GuardKind::Mprotect }
}

fn guard_size() -> usize {
    GUARD.max(sys::page_size())
}

fn class_size(class: usize) -> usize {
    SMALLEST << (2 * class)
}

fn slot_size(class: usize) -> usize {
    (guard_size() + class_size(class) + sys::page_size()).next_multiple_of(sys::page_size())
}

fn class_for(usable: usize) -> Result<usize, i32> {
    (0..CLASSES).find(|&c| class_size(c) >= usable).ok_or(libc::EINVAL)
}

/// The stack whose `hi` is in a list.
fn stack_at(hi: *mut u8, class: usize) -> Stack {
    Stack { hi, class: class as u8 }
}

/// Replaces the `hi` of each stack by its lowest usable byte, and returns the colours. [`to_his`] converts back. A
/// second array of addresses would do, but it would lie on a stack that may be small.
fn to_los(class: usize, his: &mut [*mut u8]) -> [u16; BATCH] {
    let mut colours = [0; BATCH];
    for (hi, colour) in his.iter_mut().zip(&mut colours) {
        let lo = stack_at(*hi, class).lo();
        *colour = (lo.addr() + slot_size(class) - guard_size() - hi.addr()) as u16;
        *hi = lo;
    }
    colours
}

fn to_his(class: usize, los: &mut [*mut u8], colours: &[u16; BATCH]) {
    for (lo, &colour) in los.iter_mut().zip(colours) {
        *lo = lo.wrapping_add(slot_size(class) - guard_size() - colour as usize);
    }
}

impl StackPool {
    pub fn new(opts: PoolOptions) -> StackPool {
        let valgrind = valgrind(0, &[VG_RUNNING, 0, 0, 0, 0, 0]) != 0;
        let guard = opts.force_guard.unwrap_or_else(|| best_guard(valgrind));
        let protect_limit = match opts.mprotect_limit {
            // Two mappings each: a quarter of the mappings that the process may have.
            0 => mem::map_count_limit() / 8,
            n => n,
        };
        StackPool {
            classes: std::array::from_fn(|_| Lock::new(Rank::StackPool, Class::EMPTY)),
            arenas: AtomicPtr::new(ptr::null_mut()),
            guard: AtomicU8::new(guard as u8),
            protected: AtomicUsize::new(0),
            protect_limit,
            unguarded: AtomicUsize::new(0),
            guard_required: AtomicBool::new(false),
            no_dump: AtomicBool::new(false),
            scarce: AtomicBool::new(false),
            valgrind,
            seed: crate::sys::random_seed(),
        }
    }

    /// Sets the rules. If guards are required and there are stacks that never had one, changes nothing and returns
    /// false. No stack may be in use.
    pub fn set_rules(&self, rules: Rules) -> bool {
        if rules.guard_required {
            let none = self.guard() == GuardKind::None;
            if self.unguarded() != 0 || none && (0..CLASSES).any(|class| self.class(class).slots != 0) {
                return false;
            }
            if none {
                // A requirement of the host overrides the environment.
                self.guard.store(best_guard(self.valgrind) as u8, Ordering::Relaxed);
            }
        }
        if self.no_dump.swap(rules.no_dump, Ordering::Relaxed) != rules.no_dump {
            let mut arena = self.arenas.load(Ordering::Acquire);
            while !arena.is_null() {
                let a = arena_ref(arena);
                // SAFETY: a mapping of the pool. To make it dumpable again cannot fail; to hide it was not refused when
                // the arena was made, and it is the same kind of memory.
                let _ = unsafe { mem::dump(arena.cast(), a.len, !rules.no_dump) };
                arena = a.next;
            }
        }
        self.guard_required.store(rules.guard_required, Ordering::Relaxed);
        self.note_scarcity();
        true
    }

    fn guard(&self) -> GuardKind {
        GuardKind::from_u8(self.guard.load(Ordering::Relaxed))
    }

    fn note_scarcity(&self) {
        let scarce = self.guard_required.load(Ordering::Relaxed) && self.guard() == GuardKind::Mprotect;
        self.scarce.store(scarce, Ordering::Relaxed);
    }

    /// Whether a new G must get its stack at once, so that its spawn fails if there is no guarded stack. Relaxed: a G
    /// that is made while this changes gets its stack when it first runs, or waits for one.
    pub fn bind_at_spawn(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }

    fn class(&self, class: usize) -> Guard<'_, Class> {
        self.classes[class].lock()
    }

    /// Makes sure that a stack of this size exists, in use or not: so a G that waits for one gets it some day.
    pub fn ensure(&self, usable: usize) -> Result<(), i32> {
        let c = self.class(class_for(usable)?);
        let none = c.handed_out + c.warm.len() + c.clean.len() == 0;
        drop(c);
        if none {
            self.free(self.alloc(usable)?);
        }
        Ok(())
    }

    /// Takes a stack with at least `usable` bytes. EINVAL: more than 1 GiB. ENOMEM: no address space.
    pub fn alloc(&self, usable: usize) -> Result<Stack, i32> {
        let mut out = [MaybeUninit::uninit()];
        match self.take(class_for(usable)?, &mut out) {
            // SAFETY: one was written.
            Ok(_) => Ok(unsafe { out[0].assume_init() }),
            Err(e) => Err(e),
        }
    }

    /// Takes as many stacks as `out` has room for, the hottest first. Fewer if there is no address space, none if
    /// `usable` is too large.
    pub fn alloc_batch(&self, usable: usize, out: &mut [MaybeUninit<Stack>]) -> usize {
        let Ok(class) = class_for(usable) else { return 0 };
        let mut n = 0;
        while n < out.len() {
            match self.take(class, &mut out[n..]) {
                Ok(got) => n += got,
                Err(_) => break,
            }
        }
        n
    }

    /// Takes at least one stack, unless `out` is empty.
    fn take(&self, class: usize, out: &mut [MaybeUninit<Stack>]) -> Result<usize, i32> {
        let mut c = self.class(class);
        let mut n = 0;
        while n < out.len()
            && let Some(hi) = c.warm.pop().or_else(|| c.clean.pop())
        {
            out[n].write(stack_at(hi, class));
            n += 1;
        }
        c.fewest[0] = c.fewest[0].min(c.warm.len());
        c.handed_out += n;
        if n > 0 || out.is_empty() {
            return Ok(n);
        }

        // No stack is free: cut some more, for later requests too. Few at first, since a small program needs few.
        let mut his = [ptr::null_mut(); BATCH];
        let want = out.len().max(c.handed_out / 4).min(BATCH);
        let mut k = 0;
        while k < want
            && let Some(hi) = c.bare.pop()
        {
            his[k] = hi;
            k += 1;
        }
        if k != 0 {
            drop(c);
        } else {
            if c.arena.is_null() || c.cut == arena_ref(c.arena).n {
                self.add_arena(&mut c, class)?;
            }
            let (arena, first) = (c.arena, c.cut);
            k = want.min(arena_ref(arena).n - first);
            c.cut += k;
            drop(c);
            self.cut(arena, class, first, &mut his[..k]);
        }

        let guarded = self.install_guards(class, &mut his[..k]);
        let n = guarded.min(out.len());
        for (o, &hi) in out[..n].iter_mut().zip(&his) {
            o.write(stack_at(hi, class));
        }
        let mut c = self.class(class);
        c.handed_out += n;
        // Backwards, so that they are taken in the order of their addresses.
        for &hi in his[n..guarded].iter().rev() {
            c.clean.push(hi);
        }
        for &hi in his[guarded..k].iter().rev() {
            c.bare.push(hi);
        }
        if n == 0 { Err(libc::ENOMEM) } else { Ok(n) }
    }

    /// Computes the stacks of the slots of an arena from `first` on. These slots belong to the caller.
    fn cut(&self, arena: *mut Arena, class: usize, first: usize, his: &mut [*mut u8]) {
        let a = arena_ref(arena);
        // Each arena begins with another colour, so that the address of one stack does not tell the neighbour's to the
        // byte.
        let begin = self.seed.wrapping_mul(a.slots.addr() as u64 | 1) >> 59;
        for (i, hi) in (first..).zip(his) {
            *hi = a.slots.wrapping_add((i + 1) * a.slot_size - (i + begin as usize) % COLOURS * COLOUR);
            if self.valgrind {
                let s = stack_at(*hi, class);
                // SAFETY: the ids have room for every slot; this one is ours.
                unsafe { a.vg_ids.wrapping_add(i).write(vg_register(s.lo(), s.hi)) };
            }
        }
    }

    /// Makes the guards of stacks that were never handed out. Sorts the stacks that may be handed out to the front, and
    /// returns their number.
    fn install_guards(&self, class: usize, his: &mut [*mut u8]) -> usize {
        let mut colours = to_los(class, his);
        let mut done = match self.guard() {
            GuardKind::None => his.len(),
            GuardKind::Madvise => {
                his.iter_mut().for_each(|lo| *lo = lo.wrapping_sub(guard_size()));
                // SAFETY: the low ends of slots that no G uses.
                let made = unsafe { mem::guard_each(his, guard_size()) };
                his.iter_mut().for_each(|slot| *slot = slot.wrapping_add(guard_size()));
                match made {
                    Ok(()) => his.len(),
                    Err((done, e)) => {
                        if e == libc::EINVAL {
                            // The host locks its memory, or the kernel does not know the call: do not try again.
                            self.guard.store(GuardKind::Mprotect as u8, Ordering::Relaxed);
                            self.note_scarcity();
                        }
                        done
                    }
                }
            }
            GuardKind::Mprotect => 0,
        };
        let rest = done..his.len();
        for i in rest {
            if self.may_be_handed_out(his[i].wrapping_sub(guard_size())) {
                his.swap(i, done);
                colours.swap(i, done);
                done += 1;
            }
        }
        to_his(class, his, &colours);
        done
    }

    /// Makes the guard of a slot by mprotect. False if that fails and guards are required.
    fn may_be_handed_out(&self, slot: *mut u8) -> bool {
        // Relaxed: a count.
        if self.protected.fetch_add(1, Ordering::Relaxed) < self.protect_limit {
            // SAFETY: the low end of a slot that no G uses.
            if unsafe { mem::protect(slot, guard_size()) }.is_ok() {
                return true;
            }
        }
        self.protected.fetch_sub(1, Ordering::Relaxed);
        if self.guard_required.load(Ordering::Relaxed) {
            return false;
        }
        self.unguarded.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Maps memory for an arena, as the rules require: a stack that would be dumped against the rules is not made.
    fn reserve(&self, len: usize) -> Result<*mut u8, i32> {
        let base = mem::reserve_stacks(len)?;
        if self.no_dump.load(Ordering::Relaxed) {
            // SAFETY: our fresh mapping.
            if let Err(e) = unsafe { mem::dump(base, len, false) } {
                // SAFETY: our fresh mapping, which nothing refers to.
                unsafe { mem::release(base, len) };
                return Err(e);
            }
        }
        Ok(base)
    }

    /// Adds an arena. Arenas double in size up to a limit; if there is no room for one, half of it will do, down to one
    /// slot.
    #[cold]
    fn add_arena(&self, c: &mut Class, class: usize) -> Result<(), i32> {
        let slot_size = slot_size(class);
        let page = sys::page_size();
        let mut n = (c.next_arena / slot_size).max(1);
        loop {
            let header = if self.valgrind { size_of::<Arena>() + n * 4 } else { size_of::<Arena>() };
            let header = header.next_multiple_of(page);
            let len = header + n * slot_size;
            let lists = [&mut c.warm, &mut c.clean, &mut c.bare];
            let made = lists.into_iter().try_for_each(|list| list.make_room(c.slots + n));
            match made.and_then(|()| self.reserve(len)) {
                Ok(base) => {
                    let arena: *mut Arena = base.cast();
                    let mut head = self.arenas.load(Ordering::Relaxed);
                    let (slots, vg_ids) = (base.wrapping_add(header), arena.wrapping_add(1).cast());
                    // SAFETY: the mapping is ours, has room for an Arena, and begins on a page.
                    unsafe { arena.write(Arena { next: head, len, slots, slot_size, n, vg_ids }) };
                    // Other classes publish at the same time, under other locks.
                    while let Err(now) =
                        self.arenas.compare_exchange_weak(head, arena, Ordering::Release, Ordering::Relaxed)
                    {
                        head = now;
                        // SAFETY: not published yet.
                        unsafe { (*arena).next = head };
                    }
                    (c.arena, c.cut) = (arena, 0);
                    c.slots += n;
                    c.reserved += len;
                    c.next_arena = (c.next_arena * 2).min(LARGEST_ARENA);
                    return Ok(());
                }
                Err(e) if n == 1 => return Err(e),
                Err(_) => {
                    n /= 2;
                    c.next_arena = n * slot_size;
                }
            }
        }
    }

    /// Frees a stack. No code may run on it.
    pub fn free(&self, s: Stack) {
        let mut c = self.class(s.class as usize);
        c.warm.push(s.hi);
        c.handed_out -= 1;
    }

    /// Erases all that was written to a stack that is about to be freed.
    pub fn wipe(&self, s: Stack) {
        let (lo, len) = (s.lo(), s.size().next_multiple_of(sys::page_size()));
        if self.valgrind {
            // valgrind takes the memory below the last frame for unused.
            valgrind(0, &[VG_MAKE_MEM_DEFINED, lo as usize, len, 0, 0, 0]);
        }
        // SAFETY: the caller's stack, from its lowest usable byte, where a page begins, to the end of its slot.
        unsafe { mem::wipe(lo, len) };
    }

    /// [`StackPool::free`] for many stacks, the hottest last.
    pub fn free_batch(&self, stacks: &[Stack]) {
        let mut rest = stacks;
        while let Some(first) = rest.first() {
            let n = rest.iter().take_while(|s| s.class == first.class).count();
            let mut c = self.class(first.class as usize);
            for s in &rest[..n] {
                c.warm.push(s.hi);
            }
            c.handed_out -= n;
            rest = &rest[n..];
        }
    }

    /// Frees stacks and returns their memory to the system at once. No code may run on them.
    pub fn free_cold(&self, stacks: &[Stack]) {
        let mut rest = stacks;
        while let Some(first) = rest.first() {
            let n = rest.iter().take_while(|s| s.class == first.class).count().min(BATCH);
            let mut his = [ptr::null_mut(); BATCH];
            for (hi, s) in his.iter_mut().zip(&rest[..n]) {
                *hi = s.hi;
            }
            self.discard(first.class as usize, &mut his[..n], |c| c.handed_out -= n);
            rest = &rest[n..];
        }
    }

    /// Returns the memory of warm stacks to the system, except of the `keep` hottest of each class. The address space
    /// stays, and with it the page tables.
    pub fn trim(&self, keep: usize) {
        for class in 0..CLASSES {
            // The number is fixed now: other threads may free stacks as fast as this loop goes.
            let surplus = self.class(class).warm.len().saturating_sub(keep);
            self.discard_oldest(class, surplus);
        }
    }

    /// Ends a period: returns the memory of those warm stacks to the system that no G has needed for [`PERIODS`]
    /// periods. True while the memory of more stacks will go back if they stay unused. One caller at a time.
    pub fn age(&self) -> bool {
        let mut more = false;
        for class in 0..CLASSES {
            let keep = KEPT_BYTES / class_size(class);
            let unneeded = {
                let mut c = self.class(class);
                let unneeded = c.fewest.iter().copied().min().unwrap_or(0);
                c.fewest.rotate_right(1);
                c.fewest[0] = c.warm.len();
                unneeded
            };
            self.discard_oldest(class, unneeded.saturating_sub(keep));
            more |= self.class(class).warm.len() > keep;
        }
        more
    }

    /// Returns the memory of the `most` oldest warm stacks of a class to the system, or of as many as there are.
    fn discard_oldest(&self, class: usize, most: usize) {
        let mut left = most;
        while left > 0 {
            let mut his = [ptr::null_mut(); BATCH];
            let mut n = 0;
            let mut c = self.class(class);
            while n < BATCH.min(left)
                && let Some(hi) = c.warm.take_oldest()
            {
                his[n] = hi;
                n += 1;
            }
            for mark in &mut c.fewest {
                *mark = mark.saturating_sub(n);
            }
            drop(c);
            if n == 0 {
                return;
            }
            left -= n;
            self.discard(class, &mut his[..n], |_| ());
        }
    }

    /// Returns the memory of free stacks that are in no list to the system, and lists them as clean. While the system
    /// works on them they belong to this caller, so the lock is free for others.
    fn discard(&self, class: usize, his: &mut [*mut u8], and: impl FnOnce(&mut Class)) {
        let colours = to_los(class, his);
        // SAFETY: free stacks, from the lowest usable byte to the end of the slot.
        unsafe { mem::discard(his, slot_size(class) - guard_size()) };
        to_his(class, his, &colours);
        let mut c = self.class(class);
        for &hi in his.iter() {
            c.clean.push(hi);
        }
        c.released += his.len() as u64;
        and(&mut c);
    }

    /// Stacks that were cut without a guard though one was wanted.
    #[inline(always)]
    pub fn unguarded(&self) -> usize {
        self.unguarded.load(Ordering::Relaxed)
    }

    pub fn stats(&self) -> PoolStats {
        let mut s = PoolStats {
            reserved_bytes: 0,
            inuse: 0,
            cached: 0,
            warm: 0,
            released: 0,
            inuse_bytes: 0,
            cached_bytes: 0,
            guard: self.guard(),
            unguarded: self.unguarded(),
        };
        for class in 0..CLASSES {
            let c = self.class(class);
            let cached = c.warm.len() + c.clean.len();
            s.reserved_bytes += c.reserved;
            s.inuse += c.handed_out;
            s.cached += cached;
            s.warm += c.warm.len();
            s.released += c.released;
            s.inuse_bytes += c.handed_out * class_size(class);
            s.cached_bytes += cached * class_size(class);
        }
        s
    }

    /// Whether the address is in the guard of one of the slots. Signal-safe.
    pub fn contains_guard(&self, addr: usize) -> bool {
        self.guard_of(addr).is_some()
    }

    /// The lowest usable byte of the stack in whose guard the address is. Signal-safe: no lock, and arenas stay.
    pub fn guard_of(&self, addr: usize) -> Option<*mut u8> {
        let mut arena = self.arenas.load(Ordering::Acquire);
        while !arena.is_null() {
            let a = arena_ref(arena);
            let off = addr.wrapping_sub(a.slots as usize);
            if off < a.n * a.slot_size {
                let in_slot = off % a.slot_size;
                return (in_slot < guard_size()).then(|| a.slots.wrapping_add(off - in_slot + guard_size()));
            }
            arena = a.next;
        }
        None
    }
}

/// Each stack has been freed, or its G never runs on it again.
impl Drop for StackPool {
    fn drop(&mut self) {
        for class in 0..CLASSES {
            let mut c = self.class(class);
            let Class { warm, clean, bare, .. } = &mut *c;
            for list in [warm, clean, bare] {
                // SAFETY: the pool is being dropped: nothing is pushed or popped any more.
                unsafe { list.release() };
            }
            if self.valgrind && !c.arena.is_null() {
                // Arenas before the last one are cut to the end; the uncut slots of the last one have no ids.
                // SAFETY: no other thread uses the pool.
                unsafe { (*c.arena).n = c.cut };
            }
        }
        let mut arena = *self.arenas.get_mut();
        while !arena.is_null() {
            let a = arena_ref(arena);
            let (next, len) = (a.next, a.len);
            if self.valgrind {
                for i in 0..a.n {
                    // SAFETY: every slot that was cut has its id.
                    vg_deregister(unsafe { a.vg_ids.wrapping_add(i).read() });
                }
            }
            // SAFETY: no code runs on these stacks, and this was the last read of the header.
            unsafe { mem::release(arena.cast(), len) };
            arena = next;
        }
    }
}

fn arena_ref<'a>(arena: *mut Arena) -> &'a Arena {
    // SAFETY: arenas live as long as their pool, and are not written once they are published.
    unsafe { &*arena }
}

const VG_RUNNING: usize = 0x1001;
/// A request of memcheck; other tools ignore it.
const VG_MAKE_MEM_DEFINED: usize = 0x4d43_0002;
const VG_STACK_REGISTER: usize = 0x1501;
const VG_STACK_DEREGISTER: usize = 0x1502;

fn vg_register(lo: *mut u8, hi: *mut u8) -> u32 {
    valgrind(0, &[VG_STACK_REGISTER, lo as usize, hi as usize - 1, 0, 0, 0]) as u32
}

fn vg_deregister(id: u32) {
    valgrind(0, &[VG_STACK_DEREGISTER, id as usize, 0, 0, 0, 0]);
}

// (The locks of a model can be made only inside a model.)
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::sys::mem as sys_mem;

    fn pool(force_guard: Option<GuardKind>) -> StackPool {
        StackPool::new(PoolOptions { force_guard, ..Default::default() })
    }

    fn touch(p: *mut u8) {
        // SAFETY: of a stack that the test owns; or the access is meant to fault, in a child.
        unsafe { p.write_volatile(0xa5) }
    }

    /// The wait status of a child that runs `f`. Threads of other tests are not in the child, so `f` takes no lock that
    /// those may hold.
    fn in_child(f: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child calls `f` and leaves without running anything else.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // The test harness prints where a Rust thread overflows. Here the system's disposition is needed.
            // SAFETY: the default is no function of ours.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            sys::exit_now(f());
        }
        let mut status = 0;
        // SAFETY: `status` is writable.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        status
    }

    fn faults(p: *mut u8) -> bool {
        let status = in_child(|| {
            touch(p);
            0
        });
        libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV
    }

    #[test]
    fn every_byte_is_usable_and_the_guard_faults() {
        for kind in [None, Some(GuardKind::Mprotect)] {
            let pool = pool(kind);
            for want in [0, 1, 16 << 10, (16 << 10) + 1, 256 << 10, 1 << 20] {
                let s = pool.alloc(want).unwrap();
                assert!(s.size() >= want && s.hi as usize & 15 == 0);
                touch(s.lo());
                touch(s.hi.wrapping_sub(1));
                assert!(faults(s.lo().wrapping_sub(1)));
                assert!(faults(s.lo().wrapping_sub(guard_size())));
                assert!(pool.contains_guard(s.lo() as usize - 1) && s.in_guard(s.lo() as usize - 1));
                assert_eq!(pool.guard_of(s.lo() as usize - guard_size()), Some(s.lo()));
                assert!(!pool.contains_guard(s.lo() as usize) && !s.in_guard(s.lo() as usize));
                assert!(!pool.contains_guard(s.hi as usize - 1));
                pool.free(s);
            }
            assert_eq!(pool.stats().unguarded, 0);
        }
    }

    #[test]
    fn no_guards_when_told_so() {
        let pool = pool(Some(GuardKind::None));
        let s = pool.alloc(1).unwrap();
        touch(s.lo().wrapping_sub(1));
        assert_eq!(pool.stats().guard, GuardKind::None);
        pool.free(s);
    }

    #[test]
    fn mprotect_stops_at_its_limit() {
        let pool = StackPool::new(PoolOptions { force_guard: Some(GuardKind::Mprotect), mprotect_limit: 10 });
        let all: Vec<Stack> = (0..200).map(|_| pool.alloc(1).unwrap()).collect();
        assert!(pool.stats().unguarded >= 190);
        pool.free_batch(&all);
    }

    #[test]
    fn no_stack_without_a_required_guard() {
        let pool = StackPool::new(PoolOptions { force_guard: Some(GuardKind::Mprotect), mprotect_limit: 10 });
        assert!(pool.set_rules(Rules { guard_required: true, ..Rules::default() }) && pool.bind_at_spawn());
        let mut all: Vec<Stack> = (0..10).map(|_| pool.alloc(1).unwrap()).collect();
        let before = pool.stats().reserved_bytes;
        for _ in 0..1000 {
            assert_eq!(pool.alloc(1), Err(libc::ENOMEM));
            assert_eq!(pool.ensure(1), Ok(()), "one that comes back will do");
            assert_eq!(pool.ensure(64 << 10), Err(libc::ENOMEM));
        }
        let s = pool.stats();
        assert_eq!((s.unguarded, s.inuse, s.cached), (0, 10, 0));
        assert!(s.reserved_bytes <= before + FIRST_ARENA, "what is refused is tried again");
        assert!(all.iter().all(|s| faults(s.lo().wrapping_sub(1))));
        pool.free(all[3]);
        assert_eq!(pool.alloc(1), Ok(all[3]));
        // Without the rule the refused slots are stacks like others.
        assert!(pool.set_rules(Rules::default()) && !pool.bind_at_spawn());
        all.extend((0..40).map(|_| pool.alloc(1).unwrap()));
        all.iter().for_each(|s| touch(s.lo()));
        assert!(pool.stats().unguarded >= 40);
        pool.free_batch(&all);
        all.sort_by_key(|s| s.lo());
        assert!(all.windows(2).all(|w| w[0].hi <= w[1].lo()));
        assert!(!pool.set_rules(Rules { guard_required: true, ..Rules::default() }) && !pool.bind_at_spawn());
    }

    #[test]
    fn what_is_required_comes_before_a_forced_guard() {
        let pool = pool(Some(GuardKind::None));
        assert!(pool.set_rules(Rules { guard_required: true, ..Rules::default() }));
        assert!(faults(pool.alloc(1).unwrap().lo().wrapping_sub(1)));
    }

    #[test]
    fn locked_memory_falls_back() {
        let status = in_child(|| {
            // SAFETY: this child's; where locking is not allowed there is nothing to see.
            if unsafe { libc::mlockall(libc::MCL_FUTURE | libc::MCL_ONFAULT) } != 0 {
                return 0;
            }
            let pool = pool(Some(GuardKind::Madvise));
            let Ok(s) = pool.alloc(1) else { return 2 };
            let ok = pool.stats().guard == GuardKind::Mprotect && pool.stats().unguarded == 0;
            touch(s.lo());
            if ok { 0 } else { 1 }
        });
        assert_eq!(status, 0);
    }

    #[test]
    fn the_last_one_back_is_the_first_one_out() {
        let pool = pool(None);
        let (a, b) = (pool.alloc(1).unwrap(), pool.alloc(1).unwrap());
        assert_ne!(a.lo(), b.lo());
        pool.free(a);
        pool.free(b);
        assert_eq!(pool.alloc(1), Ok(b));
        assert_eq!(pool.alloc(1), Ok(a));
        pool.free_batch(&[a, b]);
        let mut out = [MaybeUninit::uninit(); 2];
        assert_eq!(pool.alloc_batch(1, &mut out), 2);
        // SAFETY: two were written.
        assert_eq!(out.map(|s| unsafe { s.assume_init() }), [b, a]);
    }

    #[test]
    fn batches_cross_arenas_and_stacks_do_not_overlap() {
        let pool = pool(None);
        let mut out = vec![MaybeUninit::uninit(); 1000];
        assert_eq!(pool.alloc_batch(256 << 10, &mut out), 1000);
        // SAFETY: all were written.
        let mut all: Vec<Stack> = out.iter().map(|s| unsafe { s.assume_init() }).collect();
        all.sort_by_key(|s| s.lo());
        for w in all.windows(2) {
            assert!(w[0].hi as usize + guard_size() <= w[1].lo() as usize);
        }
        let s = pool.stats();
        assert_eq!((s.inuse, s.inuse_bytes), (1000, 1000 * (256 << 10)));
        pool.free_batch(&all);
        let s = pool.stats();
        assert_eq!((s.inuse, s.warm), (0, 1000));
        assert!(s.cached >= 1000);
    }

    #[test]
    fn the_first_colour_hangs_on_the_seed() {
        // Unrelated seeds: the seeds of an arithmetic series would go through the colours in steps, which may be small.
        let rng = crate::ds::rng::Rng::new(1);
        let first: std::collections::HashSet<usize> = (0..64)
            .map(|_| {
                let mut pool = pool(None);
                pool.seed = u64::from(rng.next()) << 32 | u64::from(rng.next());
                let s = pool.alloc(1).unwrap();
                let colour = s.hi as usize % 4096;
                pool.free(s);
                colour
            })
            .collect();
        assert!(first.len() > COLOURS / 2, "{first:?}");
    }

    #[test]
    fn colours_spread_and_stay_within_a_page() {
        let pool = pool(None);
        let all: Vec<Stack> = (0..64).map(|_| pool.alloc(1).unwrap()).collect();
        let mut colours: Vec<usize> = all.iter().map(|s| s.hi as usize % 4096).collect();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), COLOURS);
        pool.free_batch(&all);
    }

    #[test]
    fn trim_gives_memory_back_and_keeps_the_hottest() {
        let pool = pool(None);
        let all: Vec<Stack> = (0..300).map(|_| pool.alloc(1).unwrap()).collect();
        all.iter().for_each(|s| touch(s.hi.wrapping_sub(1)));
        pool.free_batch(&all);
        pool.trim(5);
        let s = pool.stats();
        assert_eq!((s.warm, s.inuse), (5, 0));
        for (i, want) in all.iter().rev().enumerate() {
            let got = pool.alloc(1).unwrap();
            // SAFETY: ours.
            let byte = unsafe { got.hi.wrapping_sub(1).read() };
            if i < 5 {
                assert_eq!((got, byte), (*want, 0xa5));
            } else {
                assert_eq!(byte, 0);
            }
        }
        // The list has been moved up by the trim; all of them still fit.
        pool.free_batch(&all);
        assert_eq!(pool.stats().warm, 300);
        assert!(faults(all[0].lo().wrapping_sub(1)), "guards survive");
    }

    fn touched(pool: &StackPool, n: usize, usable: usize) -> Vec<Stack> {
        let all: Vec<Stack> = (0..n).map(|_| pool.alloc(usable).unwrap()).collect();
        all.iter().for_each(|s| touch(s.hi.wrapping_sub(1)));
        all
    }

    /// Whether the memory of a stack is still there. The test owns the stack, and has touched it once.
    fn is_warm(s: &Stack) -> bool {
        // SAFETY: ours.
        unsafe { s.hi.wrapping_sub(1).read() == 0xa5 }
    }

    /// The memory that lay unused in all periods goes back; memory that was needed in one of them stays, and so do the
    /// few stacks that each class keeps.
    #[test]
    fn what_is_not_needed_for_long_goes_back() {
        for (usable, keep) in [(1, 64), (256 << 10, 4), (1 << 20, 1), (4 << 20, 0)] {
            let pool = pool(None);
            let all = touched(&pool, 200, usable);
            pool.free_batch(&all);
            // The period of the spike, and then as many as it takes.
            for _ in 0..PERIODS {
                assert!(pool.age());
                assert_eq!((pool.stats().warm, pool.stats().released), (200, 0));
            }
            // A pulse in each of the next periods: the 70 hottest stay.
            for _ in 0..2 * PERIODS {
                let pulse: Vec<Stack> = (0..70).map(|_| pool.alloc(usable).unwrap()).collect();
                assert!(pulse.iter().all(is_warm));
                pool.free_batch(&pulse);
                assert!(pool.age());
            }
            assert_eq!(pool.stats().warm, 70 + keep);
            for _ in 0..PERIODS - 1 {
                assert!(pool.age());
                assert_eq!(pool.stats().warm, 70 + keep);
            }
            assert!(!pool.age());
            let s = pool.stats();
            assert_eq!((s.warm, s.released, s.inuse), (keep, 200 - keep as u64, 0));
            assert!(faults(all[0].lo().wrapping_sub(1)), "guards survive");
            let got: Vec<Stack> = (0..200).map(|_| pool.alloc(usable).unwrap()).collect();
            assert_eq!(got.iter().filter(|s| is_warm(s)).count(), keep);
            pool.free_batch(&got);
        }
    }

    /// A pulse no rarer than the periods reach finds its stacks warm each time, though it comes at the end of a period
    /// once and at the beginning of another.
    #[test]
    fn rare_pulses_find_their_stacks() {
        let pool = pool(None);
        pool.free_batch(&touched(&pool, 100, 256 << 10));
        for _ in 0..5 {
            for _ in 0..PERIODS {
                pool.age();
            }
            let pulse: Vec<Stack> = (0..100).map(|_| pool.alloc(256 << 10).unwrap()).collect();
            assert!(pulse.iter().all(is_warm));
            pool.free_batch(&pulse);
        }
    }

    #[test]
    fn stacks_that_come_back_cold_have_no_memory() {
        let pool = pool(None);
        let mut all = touched(&pool, 150, 1);
        all.extend(touched(&pool, 3, 1 << 20));
        pool.free_cold(&all);
        let s = pool.stats();
        assert_eq!((s.warm, s.inuse, s.released), (0, 0, 153));
        assert!(!is_warm(&pool.alloc(1).unwrap()) && !is_warm(&pool.alloc(1 << 20).unwrap()));
    }

    #[test]
    fn too_large_is_invalid() {
        let pool = pool(None);
        assert_eq!(pool.alloc((1 << 30) + 1), Err(libc::EINVAL));
        assert_eq!(pool.alloc_batch(usize::MAX, &mut [MaybeUninit::uninit()]), 0);
        let s = pool.alloc(1 << 30).unwrap();
        touch(s.lo());
        pool.free(s);
    }

    #[test]
    fn a_hundred_thousand_stacks() {
        let pool = pool(None);
        let mut out = vec![MaybeUninit::uninit(); 100_000];
        assert_eq!(pool.alloc_batch(256 << 10, &mut out), out.len());
        for s in &out {
            // SAFETY: all were written.
            touch(unsafe { s.assume_init() }.hi.wrapping_sub(1));
        }
        assert_eq!(pool.stats().unguarded, 0);
        for s in &out {
            // SAFETY: all were written.
            pool.free(unsafe { s.assume_init() });
        }
    }

    #[test]
    fn a_limit_on_address_space_is_an_error() {
        let status = in_child(|| {
            let pool = pool(None);
            let used = {
                let mut buf = [0u8; 64];
                // SAFETY: a constant path.
                let fd = unsafe { libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY) };
                sys::c::read(fd, &mut buf);
                sys::c::close(fd);
                buf.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + (b - b'0') as u64) * 4096
            };
            let limit = libc::rlimit { rlim_cur: used + (64 << 20), rlim_max: libc::RLIM_INFINITY };
            // SAFETY: this child's.
            if unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } != 0 {
                return 3;
            }
            let mut n = 0;
            let e = loop {
                match pool.alloc(256 << 10) {
                    Ok(s) => {
                        touch(s.lo());
                        n += 1;
                    }
                    Err(e) => break e,
                }
            };
            // Halving gets close to the limit: 64 MiB hold some 202 slots.
            if e == libc::ENOMEM && n > 170 { 0 } else { 1 }
        });
        assert_eq!(status, 0);
    }

    #[test]
    fn threads_share_a_pool() {
        let pool = pool(None);
        std::thread::scope(|scope| {
            for t in 0..4usize {
                let pool = &pool;
                scope.spawn(move || {
                    for round in 0..200 {
                        let mut out = [MaybeUninit::uninit(); 17];
                        let n = pool.alloc_batch((16 << 10) << (2 * (t % 2)), &mut out);
                        assert_eq!(n, 17);
                        for s in &out {
                            // SAFETY: written.
                            let s = unsafe { s.assume_init() };
                            let top = s.hi.cast::<usize>().wrapping_sub(1);
                            // SAFETY: the stack is ours until it is freed.
                            unsafe { top.write_volatile(t) };
                            core::hint::spin_loop();
                            // SAFETY: the stack is ours until it is freed.
                            assert_eq!(unsafe { top.read_volatile() }, t);
                            pool.free(s);
                        }
                        // One thread at a time ages.
                        match (round % 50, t) {
                            (0, _) => pool.trim(3),
                            (_, 0) => _ = pool.age(),
                            _ => {}
                        }
                    }
                });
            }
        });
        assert_eq!(pool.stats().inuse, 0);
    }

    #[test]
    fn many_pools_come_and_go() {
        for _ in 0..100 {
            let pool = pool(None);
            touch(pool.alloc(1).unwrap().lo());
        }
        assert!(sys_mem::map_count_limit() >= 1024);
    }
}
