//! What C and C++ keep per thread and a G has to carry along: `errno`, and the exceptions that C++ is in the middle of
//! handling. Otherwise a G that parks between a failing call and its look at `errno` reads another G's, and `throw;`
//! in a catch block that parked rethrows another G's exception.
//!
//! What must hold: a [`HostThread`] is used on the thread that made it only. The pair save + restore costs about a
//! nanosecond, since both addresses are looked up once per thread and not once per switch.
//!
//! Rejected: the floating-point control words. They cost 7.7 ns a switch and hardly anybody changes them.

use super::sanitize::Fiber;
use core::ffi::{CStr, c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

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

type GetGlobals = unsafe extern "C" fn() -> *mut EhGlobals;

/// Where this thread keeps them.
#[derive(Clone, Copy)]
pub struct HostThread {
    errno: *mut c_int,
    /// Null while no C++ runtime is loaded.
    eh: *mut EhGlobals,
    /// Its own stack.
    pub fiber: Fiber,
}

impl HostThread {
    /// Of no thread yet; to be replaced before a switch.
    pub const NONE: HostThread = HostThread { errno: ptr::null_mut(), eh: ptr::null_mut(), fiber: Fiber::NONE };

    /// The places of the calling thread.
    pub fn of_this_thread() -> Self {
        // SAFETY: gives an address.
        let errno = unsafe { libc::__errno_location() };
        let mut t = HostThread { errno, eh: ptr::null_mut(), fiber: Fiber::of_this_thread() };
        t.refresh();
        t
    }

    /// Takes note of a C++ runtime that was found since ([`look_for_cxx`]). Only on the thread that made `self`.
    pub fn refresh(&mut self) {
        if self.eh.is_null()
            && let Some(get) = get_globals()
        {
            // SAFETY: the C++ runtime's own accessor.
            self.eh = unsafe { get() };
        }
    }

    /// Whether exceptions are carried.
    pub fn has_exceptions(&self) -> bool {
        !self.eh.is_null()
    }
}

/// The C++ runtime's accessor, once somebody has found it.
static FOUND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

fn get_globals() -> Option<GetGlobals> {
    // SAFETY: null is None; else the ABI fixes the signature.
    unsafe { core::mem::transmute::<*mut c_void, Option<GetGlobals>>(FOUND.load(Ordering::Relaxed)) }
}

/// Looks for a C++ runtime in this process, unless one was found. It costs tens of microseconds, so it is for a beginning
/// and for every now and then: a host may load one later.
pub fn look_for_cxx() {
    const NAME: &CStr = c"__cxa_get_globals";
    if !FOUND.load(Ordering::Relaxed).is_null() {
        return;
    }
    // SAFETY: a lookup by a constant name.
    let mut p = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NAME.as_ptr()) };
    // A host without C++ that loads plugins (Python) keeps their runtime out of the global scope.
    for lib in [c"libstdc++.so.6", c"libc++abi.so.1"] {
        if p.is_null() {
            // SAFETY: loads nothing. The handle is kept, so that the function stays mapped.
            let h = unsafe { libc::dlopen(lib.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
            if !h.is_null() {
                // SAFETY: as above.
                p = unsafe { libc::dlsym(h, NAME.as_ptr()) };
            }
        }
    }
    // Relaxed: everybody finds the same.
    FOUND.store(p, Ordering::Relaxed);
}

/// A G's own values while it does not run.
#[derive(Clone, Copy)]
pub struct HostState {
    errno: c_int,
    eh: EhGlobals,
    /// Its stack.
    pub fiber: Fiber,
}

impl HostState {
    /// What a G starts with.
    pub const NEW: HostState = HostState { errno: 0, eh: EhGlobals::NONE, fiber: Fiber::NONE };

    /// Takes the values off the thread.
    ///
    /// # Safety
    /// `t` is of the calling thread.
    #[inline]
    pub unsafe fn save(&mut self, t: &HostThread) {
        // SAFETY: the addresses are those of this thread.
        unsafe {
            self.errno = *t.errno;
            if !t.eh.is_null() {
                self.eh = *t.eh;
            }
        }
    }

    /// Puts them onto the thread.
    ///
    /// # Safety
    /// `t` is of the calling thread, and whoever ran there before has saved.
    #[inline]
    pub unsafe fn restore(&self, t: &HostThread) {
        // SAFETY: the addresses are those of this thread.
        unsafe {
            *t.errno = self.errno;
            if !t.eh.is_null() {
                *t.eh = self.eh;
            }
        }
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

    #[test]
    fn errno_travels() {
        let t = HostThread::of_this_thread();
        let (mut a, b) = (HostState::NEW, HostState::NEW);
        // SAFETY: this thread's.
        unsafe {
            *libc::__errno_location() = libc::EBADF;
            a.save(&t);
            b.restore(&t);
            assert_eq!(*libc::__errno_location(), 0);
            a.restore(&t);
            assert_eq!(*libc::__errno_location(), libc::EBADF);
        }
    }

    #[test]
    fn exceptions_travel() {
        let mut here = EhGlobals { caught: ptr::dangling_mut(), uncaught: 3 };
        let mut errno = 7;
        let t = HostThread { errno: &raw mut errno, eh: &raw mut here, fiber: Fiber::NONE };
        let mut a = HostState::NEW;
        // SAFETY: the places are those above.
        unsafe {
            a.save(&t);
            HostState::NEW.restore(&t);
            assert!(here.caught.is_null() && here.uncaught == 0 && errno == 0);
            a.restore(&t);
            assert!(here.caught == ptr::dangling_mut() && here.uncaught == 3 && errno == 7);
        }
    }

    #[test]
    fn finds_a_runtime_that_is_loaded_later() {
        // SAFETY: a library by name; the test has nothing to say where there is none.
        if unsafe { libc::dlopen(c"libstdc++.so.6".as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) }.is_null() {
            return;
        }
        let mut t = HostThread::of_this_thread();
        look_for_cxx();
        t.refresh();
        assert!(t.has_exceptions());
    }
}
