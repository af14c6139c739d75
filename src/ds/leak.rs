//! Memory that is never freed, and what a model frees of it.

/// Moves a value to memory that is never freed. None if there is no memory (a box would abort).
pub fn try_leak<T>(v: T) -> Option<&'static T> {
    // SAFETY: it is written.
    unsafe { try_leak_in_place(|p: *mut T| p.write(v)) }
}

/// As [`try_leak`], for a value that `write` makes in its final place.
///
/// # Safety
/// `write` writes all of the value.
pub unsafe fn try_leak_in_place<T>(write: impl FnOnce(*mut T)) -> Option<&'static T> {
    let layout = std::alloc::Layout::new::<T>();
    if layout.size() == 0 {
        return None;
    }
    // SAFETY: the layout is not empty; the memory is written, by the caller's promise, before it is referred to.
    unsafe {
        let p = std::alloc::alloc(layout).cast::<T>();
        if p.is_null() {
            return None;
        }
        write(p);
        #[cfg(any(loom, shuttle))]
        leaked::note(move || {
            p.drop_in_place();
            std::alloc::dealloc(p.cast(), layout);
        });
        Some(&*p)
    }
}

/// As [`try_leak`], for a value that is all zeros: it is made in its final place.
///
/// # Safety
/// Zeros are a `T`.
pub unsafe fn try_leak_zeroed<T>() -> Option<&'static T> {
    let layout = std::alloc::Layout::new::<T>();
    // SAFETY: no T here is empty; zeros are one, by the caller's promise.
    unsafe {
        let p = std::alloc::alloc_zeroed(layout).cast::<T>();
        #[cfg(any(loom, shuttle))]
        leaked::note(move || std::alloc::dealloc(p.cast(), layout));
        p.as_ref()
    }
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
