//! The values that C and C++ keep per thread, and that must travel with a G: `errno`, and the exceptions that C++ code
//! is handling. Otherwise a G that parks between a failing call and its read of `errno` reads another G's value; and a
//! `throw;` in a catch block that has parked rethrows another G's exception.
//!
//! Invariants:
//!
//! - A [`HostThread`] is used only on the thread that made it. Both addresses are looked up once per thread, not once
//!   per switch.
//! - HOST-H1 while no G runs on a worker, its thread has no exceptions: a leaving G takes its own along.
//! - HOST-H2 while a G runs, its `HostState` holds no exceptions. So a switch of a G that handles none costs two
//!   comparisons and stores nothing.
//! - HOST-H3 a C++ runtime is known before any of its code runs on a G. Otherwise an exception would stay with a
//!   thread, and the next G on that thread would rethrow it.
//!
//! HOST-H3 is the reason that [`look_for_cxx`] runs when the library is loaded, and that it loads the system's C++
//! runtime itself if there is none yet: a plugin that comes later uses the same one. Any later moment would be too
//! late. A thread may stay in the loader for any time (in a constructor, or waiting for a file), so no code that other
//! threads wait for may call the loader. Only the thread that loads this library may, since it is in the loader
//! already.
//!
//! If the C++ runtime was loaded late, its thread-local variables are made by malloc, when a thread touches them first.
//! A worker does not touch them before the code on it has done so: the C library ends the process if there is no memory
//! for them, and frees them twice in a child that is forked just while it takes a stack for a new thread from its
//! cache. The thread's vector of thread-local blocks shows whether code has touched them (`vector_slot`).
//!
//! Rejected:
//!
//! - The floating-point control words: 7.7 ns a switch (docs/measurements.md), and hardly any program changes them.
//! - The watchdog looks for a C++ runtime now and then: it would wait for the loader, and exceptions thrown before it
//!   looks are lost.
//! - Each switch checks whether an object was loaded: the loader has no count that can be read without its lock.
//! - A symbol that each object calls when it is loaded (`__gmon_start__`): it works only where this library is in the
//!   global scope, and takes the symbol from programs that are profiled.

use super::sanitize::Fiber;
use crate::sys;
use core::arch::global_asm;
use core::cell::Cell;
use core::ffi::{CStr, c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// `__cxa_eh_globals` of the Itanium C++ ABI.
#[repr(C)]
#[derive(Clone, Copy)]
struct EhGlobals {
    caught: *mut c_void,
    uncaught: u32,
}

impl EhGlobals {
    const NONE: EhGlobals = EhGlobals { caught: ptr::null_mut(), uncaught: 0 };
}

impl EhGlobals {
    #[inline(always)]
    fn is_none(&self) -> bool {
        self.caught.addr() | self.uncaught as usize == 0
    }
}

/// Thread-local variables of a C++ runtime: GNU's have 32 bytes.
const EH_BLOCK: usize = 32;

type GetGlobals = unsafe extern "C" fn() -> *mut EhGlobals;

/// The addresses at which a thread keeps these values.
pub struct HostThread {
    errno: *mut c_int,
    /// [`NOWHERE`] if there is no C++ runtime, or if no code on this thread has touched it.
    eh: Cell<*mut EhGlobals>,
    /// [`VECTOR_AT`], until code has touched the runtime and `eh` is looked up; then 0.
    untouched_at: Cell<usize>,
    /// Its own stack, if it is one that Gs are entered from.
    pub fiber: Fiber,
}

/// Never written: a G has exceptions only if there is a C++ runtime.
struct Nowhere(EhGlobals);
// SAFETY: never written.
unsafe impl Sync for Nowhere {}
static NOWHERE: Nowhere = Nowhere(EhGlobals::NONE);

impl HostThread {
    /// A thread's place before its thread exists. It is replaced before the first switch.
    #[expect(clippy::declare_interior_mutable_const, reason = "each use is a thread's own")]
    pub const NONE: HostThread = HostThread {
        errno: ptr::null_mut(),
        eh: Cell::new(ptr::null_mut()),
        untouched_at: Cell::new(0),
        fiber: Fiber::NONE,
    };

    /// Whether there is memory for [`HostThread::of_this_thread`]. If the C++ runtime was loaded late, the first read
    /// of its variables on a thread makes them, and the C library ends the process if there is no memory for that. So
    /// memory of that size is taken and freed first: the C library keeps it for the next request of this thread.
    pub fn has_room() -> bool {
        let made_later = VECTOR_AT.load(Ordering::Relaxed) != 0;
        if FOUND.load(Ordering::Relaxed).is_null() || made_later || IN_PLACE.load(Ordering::Relaxed) {
            return true;
        }
        let _errno = sys::KeepErrno::new();
        // SAFETY: plain allocations; the optimizer cannot leave them out.
        let [block, more] = [EH_BLOCK, 2 * EH_BLOCK].map(|n| core::hint::black_box(unsafe { libc::malloc(n) }));
        // SAFETY: from malloc, and freed once.
        [more, block].into_iter().for_each(|p| unsafe { libc::free(p) });
        !block.is_null() && !more.is_null()
    }

    /// The addresses of the calling worker. To be called after [`HostThread::has_room`].
    pub fn of_this_thread() -> Self {
        let t = HostThread { fiber: Fiber::of_this_thread(), ..HostThread::of_a_host_thread() };
        t.untouched_at.set(VECTOR_AT.load(Ordering::Relaxed));
        if t.untouched_at.get() == 0 {
            t.look_up();
        }
        t
    }

    /// The addresses of a thread of the host. It runs only its own G, so its exceptions stay where they are.
    pub fn of_a_host_thread() -> Self {
        let errno = sys::c::at_errno();
        let nowhere = Cell::new((&raw const NOWHERE.0).cast_mut());
        HostThread { errno, eh: nowhere, untouched_at: Cell::new(0), fiber: Fiber::NONE }
    }

    #[cold]
    fn look_up(&self) {
        self.untouched_at.set(0);
        if let Some(get) = get_globals() {
            // SAFETY: the C++ runtime's own accessor.
            self.eh.set(unsafe { get() });
        }
    }

    /// Whether this thread has no exceptions.
    #[inline(always)]
    fn has_none(&self) -> bool {
        let at = self.untouched_at.get();
        if at != 0 {
            if vector_slot(at) == UNALLOCATED {
                return true;
            }
            self.look_up();
        }
        // SAFETY: an address of this thread, or NOWHERE.
        unsafe { (*self.eh.get()).is_none() }
    }
}

// The program's symbols of these names, as the linker or the loader finds them; null if there are none. A statically
// linked program has no other way to tell.
global_asm!(
    ".pushsection .data.rel.ro.gmx_host_weak,\"aw\",@progbits",
    ".balign 8",
    ".weak __cxa_get_globals",
    ".weak gmx_without_cxx",
    ".hidden gmx_host_weak",
    ".globl gmx_host_weak",
    ".type gmx_host_weak,@object",
    ".size gmx_host_weak, 16",
    "gmx_host_weak:",
    ".quad __cxa_get_globals",
    ".quad gmx_without_cxx",
    ".popsection",
);

unsafe extern "C" {
    #[link_name = "gmx_host_weak"]
    static WEAK: [AtomicPtr<c_void>; 2];
    // libc leaves it out of musl.
    fn dlinfo(handle: *mut c_void, request: c_int, info: *mut c_void) -> c_int;
}

/// The C++ runtime's accessor, once it is known.
static FOUND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static LOOKED: AtomicBool = AtomicBool::new(false);

/// The offset of the C++ runtime's variables in a thread's vector of thread-local blocks, in bytes. If it is 0, `eh` is
/// looked up when a thread begins. It is set only if the C library keeps that vector as glibc does, which
/// [`find_vector`] checks.
static VECTOR_AT: AtomicUsize = AtomicUsize::new(0);
/// Those variables are part of each thread's own block, so that no thread makes them. (The loader has room there for
/// some objects that come late, and on AArch64 it takes that first.)
static IN_PLACE: AtomicBool = AtomicBool::new(false);
/// The entry of a block that this thread has not touched.
const UNALLOCATED: usize = usize::MAX;

/// A word of the calling thread's vector.
#[inline(always)]
fn vector_slot(at: usize) -> usize {
    // SAFETY: `find_vector` has found the vector where `thread_vector` looks. It has entries for all objects that were
    // loaded before the thread began, as the C++ runtime was.
    unsafe { *sys::arch::thread_vector().wrapping_byte_add(at) }
}

/// Sets [`VECTOR_AT`] for the C++ runtime `h`, if this thread has not touched it yet and the vector changes as expected
/// when it does; or [`IN_PLACE`].
///
/// # Safety
/// `h` is a handle of the loader, `get` the accessor in it.
unsafe fn find_vector(h: *mut c_void, get: GetGlobals) {
    const TLS_MODID: c_int = 9;
    const TLS_DATA: c_int = 10;
    // An entry of glibc: the block, and the pointer to free for it.
    const ENTRY: usize = 2 * size_of::<usize>();
    if !cfg!(target_env = "gnu") {
        return;
    }
    let ask = |what| {
        let mut word = 0usize;
        // SAFETY: the caller's handle; both questions have an answer of one word.
        (unsafe { dlinfo(h, what, (&raw mut word).cast()) } == 0).then_some(word)
    };
    let (Some(id @ 1..), Some(data)) = (ask(TLS_MODID), ask(TLS_DATA)) else { return };
    if data != 0 {
        // The vector has the entry, or there were no data. There is nothing to free for a part of the thread's block.
        let in_place = vector_slot(id * ENTRY) == data && vector_slot(id * ENTRY + size_of::<usize>()) == 0;
        IN_PLACE.store(in_place, Ordering::Relaxed);
        return;
    }
    // SAFETY: the C++ runtime's own accessor.
    let eh = unsafe { get() };
    match ask(TLS_DATA) {
        // It has not needed the vector.
        Some(0) => IN_PLACE.store(true, Ordering::Relaxed),
        Some(block) if vector_slot(id * ENTRY) == block && eh.addr().wrapping_sub(block) < 4096 => {
            VECTOR_AT.store(id * ENTRY, Ordering::Relaxed);
        }
        _ => {}
    }
}

fn get_globals() -> Option<GetGlobals> {
    accessor(FOUND.load(Ordering::Relaxed))
}

/// The accessor at an address that the loader or the linker has found by its name, or null.
fn accessor(p: *mut c_void) -> Option<GetGlobals> {
    // SAFETY: null is None; else the ABI fixes the signature.
    unsafe { core::mem::transmute::<*mut c_void, Option<GetGlobals>>(p) }
}

/// Looks for the C++ runtime of this process, and loads one if there is none and `may_load` (HOST-H3). Works once. To
/// be called by the thread that loads this library.
pub fn look_for_cxx(may_load: bool) {
    if LOOKED.swap(true, Ordering::Relaxed) {
        return;
    }
    // SAFETY: written by the linker or the loader, before any code.
    let [linked, without] = unsafe { &WEAK }.each_ref().map(|p| p.load(Ordering::Relaxed));
    let found =
        if linked.is_null() && sys::has_loader() { find_or_load(may_load && without.is_null()) } else { linked };
    // Relaxed: threads of the library start later, and others find the runtime up.
    FOUND.store(found, Ordering::Relaxed);
}

#[cold]
fn find_or_load(may_load: bool) -> *mut c_void {
    const NAME: &CStr = c"__cxa_get_globals";
    const GNU: &CStr = c"libstdc++.so.6";
    let _errno = sys::KeepErrno::new();
    let load = if may_load { [(GNU, 0)].as_slice() } else { &[] };
    // A host without C++ that loads plugins (Python) keeps their C++ runtime out of the global scope.
    let there = [(GNU, libc::RTLD_NOLOAD), (c"libc++abi.so.1", libc::RTLD_NOLOAD)];
    // SAFETY: a lookup by a constant name, in a handle of the loader.
    let find_in = |h| unsafe { libc::dlsym(h, NAME.as_ptr()) };
    let mut p = find_in(libc::RTLD_DEFAULT);
    for &(lib, flags) in there.iter().chain(load) {
        if !p.is_null() {
            break;
        }
        // SAFETY: a constant name. The handle is kept, so that the function stays mapped.
        let h = unsafe { libc::dlopen(lib.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL | flags) };
        if !h.is_null() {
            p = find_in(h);
            if let Some(get) = accessor(p) {
                // SAFETY: the accessor was found by the handle.
                unsafe { find_vector(h, get) };
            }
        }
    }
    p
}

/// Looks for an object with a C++ runtime that cannot be found, so that its exceptions stay with threads. Writes its
/// name, as [`sys::elf::importer`] does. Such a runtime was linked into its object with hidden names. The object gives
/// itself away by a function of the unwinder that no other language uses.
pub fn hidden_cxx(name: &mut [u8]) -> Option<usize> {
    let shared = |name: &[u8]| {
        let base = name.rsplit(|&b| b == b'/').next().unwrap_or(name);
        base.starts_with(b"libstdc++.so") || base.starts_with(b"libc++abi.so")
    };
    sys::elf::importer(c"_Unwind_Resume_or_Rethrow", &shared, FOUND.load(Ordering::Relaxed) as usize, name)
}

/// A G's own values while the G does not run.
#[derive(Clone, Copy)]
pub struct HostState {
    errno: c_int,
    eh: EhGlobals,
}

impl HostState {
    /// The values that a G starts with.
    pub const NEW: HostState = HostState { errno: 0, eh: EhGlobals::NONE };

    /// Moves the values from the thread into the G.
    ///
    /// # Safety
    /// `t` is of the calling thread.
    #[inline]
    pub unsafe fn save(&mut self, t: &HostThread) {
        // SAFETY: the address is of this thread.
        self.errno = unsafe { *t.errno };
        if !t.has_none() {
            // SAFETY: the address is of this thread; it is not NOWHERE, which has no exceptions.
            self.eh = unsafe { t.eh.get().replace(EhGlobals::NONE) }; // HOST-H1
        }
    }

    /// Moves the values from the G to the thread.
    ///
    /// # Safety
    /// `t` is of the calling thread, and the G or g0 that ran there before has saved its values.
    #[inline]
    pub unsafe fn restore(&mut self, t: &HostThread) {
        // SAFETY: the address is of this thread.
        unsafe { *t.errno = self.errno };
        if !self.eh.is_none() {
            if t.untouched_at.get() != 0 {
                t.look_up();
            }
            // SAFETY: the address is of this thread; it is not NOWHERE, since a G has exceptions.
            unsafe { *t.eh.get() = core::mem::replace(&mut self.eh, EhGlobals::NONE) }; // HOST-H2
        }
    }

    /// A G ends, perhaps in a catch block. Drops the values that it leaves, so that neither the G that begins next on
    /// this stack nor the next G of its descriptor gets them (HOST-H2).
    ///
    /// # Safety
    /// `t` is of the calling thread.
    #[inline]
    pub unsafe fn end(t: &HostThread) {
        let mut left = HostState::NEW;
        // SAFETY: the caller's promise.
        unsafe { left.save(t) };
        // SAFETY: the address is of this thread.
        unsafe { *t.errno = 0 };
    }
}

impl Default for HostState {
    fn default() -> Self {
        HostState::NEW
    }
}

// SAFETY: values that belong to the G; the exception list is the G's wherever it runs.
unsafe impl Send for HostState {}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::c::{errno, set_errno};

    #[test]
    fn errno_travels() {
        let t = HostThread::of_this_thread();
        let (mut a, mut b) = (HostState::NEW, HostState::NEW);
        set_errno(libc::EBADF);
        // SAFETY: this thread's.
        unsafe { a.save(&t) };
        // SAFETY: as above; `a` has the values.
        unsafe { b.restore(&t) };
        assert_eq!(errno(), 0);
        // SAFETY: as above; `b` has nothing to lose.
        unsafe { a.restore(&t) };
        assert_eq!(errno(), libc::EBADF);
        // SAFETY: as above.
        unsafe { HostState::end(&t) };
        assert_eq!(errno(), 0);
    }

    #[test]
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one reason for all: the places are the test's own")]
    fn exceptions_travel() {
        let mut here = EhGlobals { caught: ptr::dangling_mut(), uncaught: 3 };
        let mut errno = 7;
        let t = HostThread { errno: &raw mut errno, eh: Cell::new(&raw mut here), ..HostThread::NONE };
        let at = t.eh.get();
        let (mut a, mut b) = (HostState::NEW, HostState::NEW);
        // SAFETY: the places are those above.
        unsafe {
            a.save(&t);
            assert!((*at).is_none(), "HOST-H1");
            b.restore(&t);
            assert!((*at).is_none() && *t.errno == 0);
            // One of the two words is enough.
            (*at).uncaught = 1;
            b.save(&t);
            assert!((*at).is_none() && b.eh.uncaught == 1);
            a.restore(&t);
            assert!((*at).caught == ptr::dangling_mut() && (*at).uncaught == 3 && *t.errno == 7);
            assert!(a.eh.is_none(), "HOST-H2");
            HostState::end(&t);
            assert!((*at).is_none());
        }
    }

    #[test]
    fn a_thread_without_cxx_has_none() {
        let mut errno = 7;
        let nowhere = (&raw const NOWHERE.0).cast_mut();
        let t = HostThread { errno: &raw mut errno, eh: Cell::new(nowhere), ..HostThread::NONE };
        let mut a = HostState::NEW;
        // SAFETY: the places are those above; NOWHERE would fault if it were written.
        unsafe { a.save(&t) };
        // SAFETY: as for `save`.
        unsafe { a.restore(&t) };
        // SAFETY: as for `save`.
        unsafe { HostState::end(&t) };
        assert_eq!(errno, 0);
    }

    #[test]
    fn a_runtime_is_there_before_anything_needs_it() {
        // SAFETY: a library by name; without it the test checks nothing.
        let there = !unsafe { libc::dlopen(c"libstdc++.so.6".as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) }.is_null();
        look_for_cxx(true);
        assert_eq!(get_globals().is_some(), there);
    }
}
