//! Objects of one kind with handles: for objects that the host refers to, perhaps after their end.
//!
//! ```text
//!  handle  63            28 27              0
//!         +----------------+-----------------+
//!         |   generation   |      place      |
//!         +----------------+-----------------+
//! ```
//!
//! A place holds one object after another and is never freed, so a reference to it stays usable forever. Its user must
//! find out, by the handle and under a lock of its own, whether the object there is still the same. Generations begin
//! with 1 (handle 0 names nothing), and a place whose generations are used up stays unused.
//!
//! The places are divided into a few parts, with a lock each. An object comes from the part that the caller names, and
//! goes back there.

use crate::ds::leak::try_leak_in_place;
use crate::sync::own::OwnU32;
use crate::sync::{AtomicU64, Lock, Ordering, Rank};
use crate::sys::heap::{alloc, dealloc};
use std::alloc::Layout;
use std::mem::offset_of;
// A pointer that is written once, together with all that it points to, need not be a step of a model.
use std::sync::atomic::AtomicPtr;

const PLACE_BITS: u32 = 28;
const LAST_GENERATION: u64 = (1 << (64 - PLACE_BITS)) - 1;
const NONE: u32 = u32::MAX;
// A model pays for each part and each place.
const PART_BITS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 3 };
const FIRST_BITS: u32 = if cfg!(any(loom, shuttle)) { 2 } else { 5 };
/// Each chunk is as large as all before it.
const CHUNKS: usize = (PLACE_BITS - PART_BITS - FIRST_BITS) as usize;

struct Place<T> {
    /// Generation * 2, + 1 while the place is in use. Written under the part's lock.
    word: AtomicU64,
    /// The next free place. Guarded by the part's lock.
    next: OwnU32,
    value: T,
}

struct Part<T> {
    chunks: [AtomicPtr<Place<T>>; CHUNKS],
    inner: Lock<Inner>,
}

struct Inner {
    free: u32,
    /// Places ever made.
    made: u32,
}

/// See the module.
#[repr(transparent)]
pub struct Slab<T>([Part<T>; 1 << PART_BITS]);

// SAFETY: the chunks hold Ts that are only ever shared.
unsafe impl<T: Sync + Send> Sync for Slab<T> {}
// SAFETY: as above.
unsafe impl<T: Sync + Send> Send for Slab<T> {}

/// The chunk of place `n` of a part, its index there, and the size of that chunk.
fn at(n: u32) -> (usize, usize, usize) {
    let chunk = ((n >> FIRST_BITS) + 1).ilog2();
    let chunk = chunk as usize;
    (chunk, (n - first_of(chunk)) as usize, 1 << (chunk as u32 + FIRST_BITS))
}

/// The first place of a chunk.
fn first_of(chunk: usize) -> u32 {
    ((1 << chunk) - 1) << FIRST_BITS
}

/// The handle of place `n` of a part whose word is this.
fn handle_of(word: u64, n: u32, part: u32) -> u64 {
    word >> 1 << PLACE_BITS | u64::from(n << PART_BITS | part)
}

impl<T> Slab<T> {
    /// For a reader of memory from outside: `packaging/gomax-gdb.py` names these in this order.
    pub const LAYOUT: [usize; 8] = [
        PLACE_BITS as usize,
        PART_BITS as usize,
        FIRST_BITS as usize,
        size_of::<Part<T>>(),
        offset_of!(Part<T>, chunks),
        size_of::<Place<T>>(),
        offset_of!(Place<T>, word),
        offset_of!(Place<T>, value),
    ];
}

impl<T: Default> Slab<T> {
    /// A slab that is never freed; None if there is no memory. It is written in its place, part by part: a slab is
    /// large, and the caller's stack may be small.
    pub fn try_leak() -> Option<&'static Slab<T>> {
        let write = |slab: *mut Slab<T>| {
            let parts = slab.cast::<Part<T>>();
            for i in 0..1 << PART_BITS {
                // SAFETY: a slab is an array of that many parts.
                unsafe { parts.wrapping_add(i).write(Part::new()) };
            }
        };
        // SAFETY: `write` writes every part.
        unsafe { try_leak_in_place(write) }
    }

    /// Makes an object with its handle. None if there is no memory. The object is as its last user left it.
    pub fn make(&'static self, part: u32) -> Option<(u64, &'static T)> {
        let number = part & ((1 << PART_BITS) - 1);
        let part = &self.0[number as usize];
        let mut inner = part.inner.lock();
        let n = match inner.free {
            NONE => {
                let n = inner.made;
                part.grow(n)?;
                inner.made = n + 1;
                n
            }
            n => n,
        };
        let place = part.place(n)?;
        if n == inner.free {
            inner.free = place.next.get();
        }
        let word = place.word.load(Ordering::Relaxed) | 1;
        place.word.store(word, Ordering::Release);
        Some((handle_of(word, n, number), &place.value))
    }

    /// The object that a handle names. None if the handle is stale or never existed.
    pub fn get(&'static self, handle: u64) -> Option<&'static T> {
        let (part, n) = self.split(handle);
        let place = part.place(n)?;
        (place.word.load(Ordering::Acquire) == handle >> PLACE_BITS << 1 | 1).then_some(&place.value)
    }

    /// Ends the handle: from here on `make` may return the object again. For the object's only owner.
    pub fn free(&'static self, handle: u64) {
        let (part, n) = self.split(handle);
        let mut inner = part.inner.lock();
        let Some(place) = part.place(n) else { return };
        let generation = handle >> PLACE_BITS;
        debug_assert!(place.word.load(Ordering::Relaxed) == generation << 1 | 1);
        if generation == LAST_GENERATION {
            place.word.store(0, Ordering::Release);
            return;
        }
        place.word.store((generation + 1) << 1, Ordering::Release);
        place.next.set(inner.free);
        inner.free = n;
    }

    /// Calls `f` for every object in use. One that is made or freed meanwhile is perhaps among them.
    pub fn each(&'static self, mut f: impl FnMut(u64, &'static T)) {
        for (number, part) in (0u32..).zip(&self.0) {
            let made = part.inner.lock().made;
            for n in 0..made {
                let Some(place) = part.place(n) else { continue };
                let word = place.word.load(Ordering::Acquire);
                if word & 1 != 0 {
                    f(handle_of(word, n, number), &place.value);
                }
            }
        }
    }

    /// The object in use that lies at this address, with its handle.
    pub fn at_address(&'static self, addr: usize) -> Option<(u64, &'static T)> {
        let size = size_of::<Place<T>>();
        (0u32..).zip(&self.0).find_map(|(number, part)| {
            (0..CHUNKS).find_map(|chunk| {
                let first = part.chunks[chunk].load(Ordering::Acquire);
                let i = addr.checked_sub(first as usize).filter(|_| !first.is_null())? / size;
                let n = u32::try_from(i).ok().filter(|i| i >> FIRST_BITS >> chunk == 0)? + first_of(chunk);
                let place = part.place(n)?;
                let word = place.word.load(Ordering::Acquire);
                (word & 1 != 0).then(|| (handle_of(word, n, number), &place.value))
            })
        })
    }

    fn split(&'static self, handle: u64) -> (&'static Part<T>, u32) {
        let place = handle as u32 & ((1 << PLACE_BITS) - 1);
        (&self.0[(place & ((1 << PART_BITS) - 1)) as usize], place >> PART_BITS)
    }
}

impl<T> Part<T> {
    fn new() -> Part<T> {
        Part {
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS],
            inner: Lock::new(Rank::Slab, Inner { free: NONE, made: 0 }),
        }
    }

    fn place(&'static self, n: u32) -> Option<&'static Place<T>> {
        let (chunk, i, _) = at(n);
        // Acquire: pairs with the Release in `grow`.
        let first = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        // SAFETY: `at` returns an index below the size of the chunk.
        let place = unsafe { first.add(i) };
        // SAFETY: all places are written before the chunk is stored, and it is never freed.
        Some(unsafe { &*place })
    }

    /// Makes sure that there is memory for place `n`; all places before it have theirs. The caller holds the lock.
    fn grow(&self, n: u32) -> Option<()>
    where
        T: Default,
    {
        let (chunk, _, size) = at(n);
        let slot = self.chunks.get(chunk)?;
        if !slot.load(Ordering::Relaxed).is_null() {
            return Some(());
        }
        let layout = Layout::array::<Place<T>>(size).ok()?;
        // SAFETY: the layout is not empty.
        let first = unsafe { alloc(layout) }.cast::<Place<T>>();
        if first.is_null() {
            return None;
        }
        for i in 0..size {
            // SAFETY: the chunk has that many places.
            let place = unsafe { first.add(i) };
            // SAFETY: memory for a place, which no other thread knows yet.
            unsafe { place.write(Place { word: AtomicU64::new(2), next: OwnU32::new(NONE), value: T::default() }) };
        }
        slot.store(first, Ordering::Release);
        Some(())
    }
}

/// Only the slabs of models are dropped, and a slab that was made while another thread made it too.
impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        for part in &mut self.0 {
            for (chunk, slot) in part.chunks.iter_mut().enumerate() {
                let (first, size) = (*slot.get_mut(), 1usize << (chunk as u32 + FIRST_BITS));
                if first.is_null() {
                    continue;
                }
                // SAFETY: all places of a chunk were written, and no reference to them is left.
                unsafe { std::ptr::slice_from_raw_parts_mut(first, size).drop_in_place() };
                if let Ok(layout) = Layout::array::<Place<T>>(size) {
                    // SAFETY: the layout is that of `grow`.
                    unsafe { dealloc(first.cast(), layout) };
                }
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn slab() -> &'static Slab<AtomicU64> {
        Slab::try_leak().unwrap()
    }

    #[test]
    fn places_come_in_order_and_fill_each_chunk() {
        let mut next = (0, 0);
        for n in 0..crate::ds::rng::rounds(100_000) as u32 {
            let (chunk, i, size) = at(n);
            assert_eq!((chunk, i), next);
            next = if i + 1 == size { (chunk + 1, 0) } else { (chunk, i + 1) };
        }
        assert_eq!(at((1 << (PLACE_BITS - PART_BITS)) - (1 << FIRST_BITS) - 1).0, CHUNKS - 1);
    }

    /// Random makes and frees against a map of what is there.
    #[test]
    fn a_handle_names_one_object() {
        crate::ds::rng::seeds(4).for_each(handles_against_a_map);
    }

    fn handles_against_a_map(seed: u64) {
        let slab = slab();
        let rng = crate::ds::rng::Rng::new(seed);
        let mut live: HashMap<u64, u64> = HashMap::new();
        let mut ended: Vec<u64> = Vec::new();
        for i in 0..crate::ds::rng::rounds(30_000) as u64 {
            if rng.next().is_multiple_of(2) || live.is_empty() {
                let (handle, v) = slab.make(rng.next()).unwrap();
                v.store(i, Ordering::Relaxed);
                assert!(handle != 0 && live.insert(handle, i).is_none());
            } else {
                let &handle = live.keys().next().unwrap();
                slab.free(handle);
                live.remove(&handle);
                ended.push(handle);
            }
            let &stale = ended.get(rng.next() as usize % ended.len().max(1)).unwrap_or(&0);
            assert!(slab.get(stale).is_none());
        }
        for (&handle, &i) in &live {
            assert_eq!(slab.get(handle).unwrap().load(Ordering::Relaxed), i);
        }
        let mut n = 0;
        slab.each(|handle, _| {
            assert!(live.contains_key(&handle));
            n += 1;
        });
        assert_eq!(n, live.len());
        assert!(
            [0, 1, u64::MAX, 1 << 28, u64::from(u32::MAX)]
                .iter()
                .all(|h| live.contains_key(h) || slab.get(*h).is_none())
        );
    }
}
