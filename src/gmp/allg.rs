//! The descriptors of all goroutines: where they are made, found by a handle, and kept while they are free.
//!
//! Invariants: a descriptor is never freed, and every descriptor below `allg_len` is complete.

#[cfg(any(loom, shuttle))]
use crate::ds::leak::leaked;
use crate::ds::leak::try_leak_zeroed;
use crate::gmp::g::{Cold, Copied, G, GList, GRef, INDEX_BITS, INDEX_MASK};
use crate::gmp::sched::Sched;
use crate::sync::{Ordering, step};
use std::mem::ManuallyDrop;

// (A model makes few Gs, and each of a chunk costs it time.)
pub(super) const G_CHUNK_BITS: u32 = if cfg!(any(loom, shuttle)) { 3 } else { 10 };

pub(super) const G_CHUNK: usize = 1 << G_CHUNK_BITS;

pub(super) const G_DIR_BITS: u32 = if cfg!(any(loom, shuttle)) { 3 } else { 10 };

pub(super) const G_DIRS: usize =
    if cfg!(any(loom, shuttle)) { 1 } else { 1 << (INDEX_BITS - G_CHUNK_BITS - G_DIR_BITS) };

pub(super) type GDir = [std::sync::atomic::AtomicPtr<G>; 1 << G_DIR_BITS];

/// The free Gs that no P keeps, and the end of allg.
pub struct AllgInner {
    free: GList,
    /// Where the next descriptor is made, in a chunk that has room for it.
    next: *mut G,
    next_cold: *mut Cold,
    /// `next` begins a chunk of which no descriptor is used.
    grown: bool,
    directories: usize,
}

impl AllgInner {
    pub(super) fn new() -> AllgInner {
        AllgInner {
            free: GList::new(),
            next: std::ptr::null_mut(),
            next_cold: std::ptr::null_mut(),
            grown: false,
            directories: 0,
        }
    }
}

// SAFETY: the pointers are into chunks, which are never freed.
unsafe impl Send for AllgInner {}

/// The room for the arguments that travel with a G. It belongs to the G, and occupies no memory before it is used.
#[inline(always)]
pub fn copied(gp: GRef) -> *mut Copied {
    const AT: usize = match (size_of::<G>() * G_CHUNK, size_of::<Cold>() * G_CHUNK) {
        (hot, cold) if hot.is_multiple_of(align_of::<Cold>()) && cold.is_multiple_of(align_of::<Copied>()) => {
            hot + cold
        }
        _ => panic!("`Chunk::layout` has a gap"),
    };
    let n = gp.index as usize % G_CHUNK;
    // Descriptors are made in chunks, each at the place of its index (`galloc_one`): this stays inside the chunk.
    gp.as_ptr().wrapping_sub(n).wrapping_byte_add(AT).cast::<Copied>().wrapping_add(n)
}

/// Memory for a chunk of descriptors. Its drop returns it to the system, unless it is used.
struct Chunk {
    memory: *mut u8,
    /// The directory, if this is the first chunk of one.
    directory: Option<&'static GDir>,
}

impl Chunk {
    /// Its layout, and the offset of the cold halves. Behind them is the room for arguments ([`copied`]).
    fn layout() -> Option<(std::alloc::Layout, usize)> {
        let hot = std::alloc::Layout::array::<G>(G_CHUNK).ok()?;
        let (halves, cold_at) = hot.extend(std::alloc::Layout::array::<Cold>(G_CHUNK).ok()?).ok()?;
        let (all, _) = halves.extend(std::alloc::Layout::array::<Copied>(G_CHUNK).ok()?).ok()?;
        Some((all, cold_at))
    }

    /// A chunk for the descriptors from `index` on.
    #[cold]
    fn new(index: u32) -> Option<Chunk> {
        if u64::from(index) + G_CHUNK as u64 > INDEX_MASK {
            return None;
        }
        let (layout, cold_at) = Chunk::layout()?;
        let directory = match (index >> G_CHUNK_BITS).is_multiple_of(1 << G_DIR_BITS) {
            // In place: a table of 8 KiB as a value would pass over the spawner's stack, which may be small.
            // SAFETY: zeros are null pointers.
            true => Some(unsafe { try_leak_zeroed()? }),
            false => None,
        };
        // Zeros from the system: except for the hot half, only pages that are used become memory.
        #[cfg(not(any(loom, shuttle)))]
        // (The maker may hold the lock of the timer or scope for which it makes this G: sys/held.rs.)
        let memory = crate::sys::held::except(|| {
            let memory = crate::sys::mem::reserve(layout.size()).ok()?;
            // Past the first chunks, populate ahead: one call instead of a page fault for each page.
            if index as usize >= 4 * G_CHUNK {
                // SAFETY: the fresh mapping made above.
                unsafe { crate::sys::mem::populate(memory, cold_at) };
            }
            Some(memory)
        })?;
        #[cfg(any(loom, shuttle))]
        let memory = {
            let _ = cold_at;
            // SAFETY: the layout is not empty; no thread uses a G after the end of an execution.
            unsafe { std::alloc::alloc(layout) }
        };
        Some(Chunk { memory, directory })
    }

    /// Puts the chunk to use for good; returns the beginnings of its two halves.
    fn take(self) -> (*mut G, *mut Cold) {
        let memory = ManuallyDrop::new(self).memory;
        let (layout, cold_at) = Chunk::layout().expect("it was made");
        #[cfg(any(loom, shuttle))]
        // SAFETY: made with this layout.
        leaked::note(move || unsafe { std::alloc::dealloc(memory, layout) });
        let _ = layout;
        // SAFETY: it lies in the block.
        (memory.cast(), unsafe { memory.add(cold_at).cast() })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let Some((layout, _)) = Chunk::layout() else { return };
        // SAFETY: this chunk's memory, made with this layout and never used. (A directory made in vain stays: 8 KiB at
        // worst, once in a million descriptors.)
        unsafe {
            #[cfg(not(any(loom, shuttle)))]
            crate::sys::held::except(|| crate::sys::mem::release(self.memory, layout.size()));
            #[cfg(any(loom, shuttle))]
            std::alloc::dealloc(self.memory, layout);
        }
    }
}

impl Sched {
    /// A free descriptor from the common store; None if there is no memory.
    pub fn galloc(&self) -> Option<GRef> {
        let mut got = None;
        self.galloc_batch(1, |gp| got = Some(gp));
        got
    }

    /// Gets up to `n` free descriptors, and at least one unless there is no memory.
    pub fn galloc_batch(&self, n: usize, mut each: impl FnMut(GRef)) -> bool {
        let mut chunk = None;
        loop {
            let mut inner = self.allg_lock.lock();
            if let Some(new) = chunk.take() {
                let unused = self.allg_grow(&mut inner, new);
                if unused.is_some() {
                    drop(inner);
                    drop(unused);
                    inner = self.allg_lock.lock();
                }
            }
            let mut got = 0;
            while got < n
                && let Some(gp) = self.galloc_one(&mut inner)
            {
                each(gp);
                got += 1;
            }
            if got != 0 {
                return true;
            }
            let index = self.allg_len.load(Ordering::Relaxed);
            drop(inner);
            // Calls the system without the lock, which every spawner needs; another thread may do the same at the same
            // time.
            match Chunk::new(index) {
                Some(new) => chunk = Some(new),
                None => return false,
            }
        }
    }

    /// A free descriptor, or the next one of the last chunk; None if that chunk is used up.
    fn galloc_one(&self, inner: &mut AllgInner) -> Option<GRef> {
        if let Some(gp) = inner.free.pop_front() {
            return Some(gp);
        }
        let index = self.allg_len.load(Ordering::Relaxed);
        if (index as usize).is_multiple_of(G_CHUNK) && !inner.grown {
            return None;
        }
        inner.grown = false;
        let (gp, cold) = (inner.next, inner.next_cold);
        (inner.next, inner.next_cold) = (gp.wrapping_add(1), cold.wrapping_add(1));
        #[cfg(any(loom, shuttle))]
        // SAFETY: the chunk has room for it.
        unsafe {
            cold.write(Cold::default());
        }
        // SAFETY: the chunk is never freed (SCHED-I1). A Cold is made of numbers and pointers, whose defaults are
        // zeros; under a model it is made properly.
        let cold = unsafe { &*cold };
        // SAFETY: the chunk has room for it.
        unsafe { gp.write(G::new(index, cold)) };
        // Release: pairs with the Acquire in `g_at`.
        self.allg_len.store(index + 1, Ordering::Release);
        // SAFETY: just written, and never freed (SCHED-I1).
        unsafe { GRef::from_ptr(gp) }
    }

    pub fn gfree(&self, gp: GRef) {
        self.allg_lock.lock().free.push_front(gp);
    }

    pub fn gfree_list(&self, list: &mut GList) {
        self.allg_lock.lock().free.append(list);
    }

    /// Makes a chunk the place of the next descriptors. Returns it if another thread was first, or if there are enough
    /// descriptors.
    #[cold]
    fn allg_grow(&self, inner: &mut AllgInner, mut chunk: Chunk) -> Option<Chunk> {
        let index = self.allg_len.load(Ordering::Relaxed);
        if inner.grown || !(index as usize).is_multiple_of(G_CHUNK) || !inner.free.is_empty() {
            return Some(chunk);
        }
        let d = (index >> (G_CHUNK_BITS + G_DIR_BITS)) as usize;
        if d >= inner.directories {
            let Some(dir) = chunk.directory.take() else { return Some(chunk) };
            self.allg[d].store(std::ptr::from_ref(dir).cast_mut(), Ordering::Release);
            inner.directories = d + 1;
        }
        let (gs, colds) = chunk.take();
        (inner.next, inner.next_cold, inner.grown) = (gs, colds, true);
        let c = (index >> G_CHUNK_BITS) as usize & ((1 << G_DIR_BITS) - 1);
        // SAFETY: the directory was made above or before.
        let dir = unsafe { &*self.allg[d].load(Ordering::Relaxed) };
        // Relaxed: it is found by `allg_len`, which is stored with Release after this.
        dir[c].store(gs, Ordering::Relaxed);
        None
    }

    fn g_at(&self, index: u32) -> Option<GRef> {
        step();
        // Acquire: pairs with the Release in `galloc_one`.
        if index >= self.allg_len.load(Ordering::Acquire) {
            return None;
        }
        let d = (index >> (G_CHUNK_BITS + G_DIR_BITS)) as usize;
        let c = (index >> G_CHUNK_BITS) as usize & ((1 << G_DIR_BITS) - 1);
        // SAFETY: `allg_grow` stores directories, which are never freed.
        let dir = unsafe { self.allg.get(d)?.load(Ordering::Relaxed).as_ref() }?;
        // SAFETY: below `allg_len` there are chunks, and the index is below the size of a chunk.
        let gp = unsafe { dir[c].load(Ordering::Relaxed).add(index as usize & (G_CHUNK - 1)) };
        // SAFETY: below `allg_len` there are descriptors, which are never freed (SCHED-I1).
        unsafe { GRef::from_ptr(gp) }
    }

    /// The G that a handle names; None if the handle is stale or was never returned.
    pub fn g_of(&self, handle: u64) -> Option<GRef> {
        let gp = self.g_at((handle & INDEX_MASK) as u32)?;
        gp.handle_is(handle).then_some(gp)
    }

    /// Every descriptor ever made. Statuses are stable only in a stopped world.
    pub fn every_g(&self) -> impl Iterator<Item = GRef> + '_ {
        (0..self.allg_len.load(Ordering::Acquire)).filter_map(|i| self.g_at(i))
    }

    pub fn descriptors(&self) -> u64 {
        u64::from(self.allg_len.load(Ordering::Relaxed))
    }

    /// Reserves a block of ids for reports.
    pub fn goids(&self, n: u64) -> u64 {
        self.goid.fetch_add(n, Ordering::Relaxed)
    }

    /// Reserves all numbers below `first`. Called before any is used.
    pub fn begin_goids_at(&self, first: u64) {
        self.goid.fetch_max(first, Ordering::Relaxed);
    }

    /// Makes descriptors until there are `n` of them. False if there is no memory.
    pub fn reserve_gs(&self, n: usize) -> bool {
        let mut made = GList::new();
        let enough = loop {
            if self.allg_len.load(Ordering::Relaxed) as usize >= n {
                break true;
            }
            if !self.galloc_batch(G_CHUNK, |gp| made.push_back(gp)) {
                break false;
            }
        };
        self.gfree_list(&mut made);
        enough
    }
}
