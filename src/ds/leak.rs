//! Memory that is never freed, and what a model frees of it.

use crate::sys::heap;
use std::alloc::Layout;

/// Moves a value to memory that is never freed. None if there is no memory (a box would abort).
pub fn try_leak<T>(v: T) -> Option<&'static T> {
    // SAFETY: the memory has the layout of a T, and no reference to it exists yet.
    let write = |p: *mut T| unsafe { p.write(v) };
    // SAFETY: it writes all of the value.
    unsafe { try_leak_in_place(write) }
}

/// As [`try_leak`], for a value that `write` makes in its final place.
///
/// # Safety
/// `write` writes all of the value.
pub unsafe fn try_leak_in_place<T>(write: impl FnOnce(*mut T)) -> Option<&'static T> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return None;
    }
    // SAFETY: the layout is not empty.
    let p = unsafe { heap::alloc(layout) }.cast::<T>();
    if p.is_null() {
        return None;
    }
    write(p);
    #[cfg(any(loom, shuttle))]
    leaked::note(move || {
        // SAFETY: `free` is called when no reference is left; nothing else drops the value.
        unsafe { p.drop_in_place() };
        // SAFETY: allocated above, with this layout.
        unsafe { heap::dealloc(p.cast(), layout) };
    });
    // SAFETY: written, by the caller's promise; nothing frees or moves it while a reference is left.
    Some(unsafe { &*p })
}

/// As [`try_leak`], for a value that is all zeros: it is made in its final place.
///
/// # Safety
/// Zeros are a `T`.
pub unsafe fn try_leak_zeroed<T>() -> Option<&'static T> {
    let layout = Layout::new::<T>();
    // SAFETY: no T here is empty.
    let p = unsafe { heap::alloc_zeroed(layout) }.cast::<T>();
    #[cfg(any(loom, shuttle))]
    // SAFETY: `free` is called when no reference is left; the memory has this layout.
    leaked::note(move || unsafe { heap::dealloc(p.cast(), layout) });
    // SAFETY: null, or zeros, which are a T by the caller's promise, and which nothing frees while a reference is left.
    unsafe { p.as_ref() }
}

/// Frees a value of [`try_leak`] that was leaked in vain. (A model frees what it leaks.)
///
/// # Safety
/// No reference to it is left.
#[cfg(not(any(loom, shuttle)))]
pub unsafe fn free<T>(p: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { p.drop_in_place() };
    // SAFETY: allocated with this layout.
    unsafe { heap::dealloc(p.cast(), Layout::new::<T>()) };
}

/// A list of leaked memory. A model frees it at the end of each execution, since there are very many executions.
#[cfg(any(loom, shuttle))]
pub mod leaked {
    use std::cell::RefCell;

    thread_local! {
        static LEAKED: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
    }

    pub fn note(free: impl FnOnce() + 'static) {
        LEAKED.with_borrow_mut(|l| l.push(Box::new(free)));
    }

    /// Frees everything, the newest first. No reference to it may be left.
    pub fn free() {
        while let Some(f) = LEAKED.with_borrow_mut(Vec::pop) {
            f();
        }
    }
}
