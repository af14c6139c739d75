//! Announces stacks to AddressSanitizer and ThreadSanitizer, under `--cfg gmx_sanitize` (ci/sanitize.sh). Otherwise
//! every function here is empty.
//!
//! The sanitizers' runtime comes with the host's program, and is looked up once, by name. Each switch is announced
//! right before and right after it. A stack that is used again may still be marked with the frames of a G that ended
//! without unwinding, so the marks are removed.

#[cfg(not(gmx_sanitize))]
mod imp {
    /// The stack, as a sanitizer knows it.
    #[derive(Clone, Copy)]
    pub struct Fiber;

    impl Fiber {
        pub const NONE: Fiber = Fiber;
        /// Whether switches are announced to a sanitizer.
        pub const TOLD: bool = false;
        #[inline(always)]
        pub fn of_this_thread() -> Fiber {
            Fiber
        }
        #[inline(always)]
        pub fn begin(&mut self, _: *mut u8, _: *mut u8) {}
        #[inline(always)]
        pub fn leave_for(&mut self, _: &Fiber) {}
        #[inline(always)]
        pub fn arrived(&mut self) {}
        #[inline(always)]
        pub fn end(&mut self) {}
    }
}

#[cfg(gmx_sanitize)]
mod imp {
    use core::ffi::{CStr, c_uint, c_void};
    use core::sync::atomic::{AtomicPtr, Ordering};
    use core::{mem, ptr};

    type Start = unsafe extern "C" fn(*mut *mut c_void, *const c_void, usize);
    type Finish = unsafe extern "C" fn(*mut c_void, *mut *const c_void, *mut usize);
    type Unpoison = unsafe extern "C" fn(*const c_void, usize);
    type Create = unsafe extern "C" fn(c_uint) -> *mut c_void;
    type Current = unsafe extern "C" fn() -> *mut c_void;
    type Switch = unsafe extern "C" fn(*mut c_void, c_uint);
    type Destroy = unsafe extern "C" fn(*mut c_void);

    struct Runtime {
        start: Option<Start>,
        finish: Option<Finish>,
        unpoison: Option<Unpoison>,
        create: Option<Create>,
        current: Option<Current>,
        switch: Option<Switch>,
        destroy: Option<Destroy>,
    }

    fn find(name: &CStr) -> *mut c_void {
        // SAFETY: a lookup by a constant name.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
    }

    fn runtime() -> &'static Runtime {
        // Not `OnceLock`: std is not instrumented, so ThreadSanitizer would not see its ordering.
        static FOUND: AtomicPtr<Runtime> = AtomicPtr::new(ptr::null_mut());
        // SAFETY: null, or leaked below.
        if let Some(found) = unsafe { FOUND.load(Ordering::Acquire).as_ref() } {
            return found;
        }
        // SAFETY: null is None, and the functions of these names have these types (sanitizer/*_interface.h).
        let found = Box::leak(Box::new(unsafe {
            Runtime {
                start: mem::transmute::<*mut c_void, Option<Start>>(find(c"__sanitizer_start_switch_fiber")),
                finish: mem::transmute::<*mut c_void, Option<Finish>>(find(c"__sanitizer_finish_switch_fiber")),
                unpoison: mem::transmute::<*mut c_void, Option<Unpoison>>(find(c"__asan_unpoison_memory_region")),
                create: mem::transmute::<*mut c_void, Option<Create>>(find(c"__tsan_create_fiber")),
                current: mem::transmute::<*mut c_void, Option<Current>>(find(c"__tsan_get_current_fiber")),
                switch: mem::transmute::<*mut c_void, Option<Switch>>(find(c"__tsan_switch_to_fiber")),
                destroy: mem::transmute::<*mut c_void, Option<Destroy>>(find(c"__tsan_destroy_fiber")),
            }
        }));
        FOUND.store(found, Ordering::Release);
        found
    }

    /// The stack, as a sanitizer knows it.
    #[derive(Clone, Copy)]
    pub struct Fiber {
        lo: *mut u8,
        size: usize,
        /// AddressSanitizer's own, while the stack is left.
        fake: *mut c_void,
        tsan: *mut c_void,
    }

    impl Fiber {
        pub const TOLD: bool = true;
        pub const NONE: Fiber = Fiber { lo: ptr::null_mut(), size: 0, fake: ptr::null_mut(), tsan: ptr::null_mut() };

        /// The calling thread's own stack.
        pub fn of_this_thread() -> Fiber {
            let mut fiber = Fiber::NONE;
            // SAFETY: asks for the attributes of this thread, which are destroyed again.
            unsafe {
                let mut attr: libc::pthread_attr_t = mem::zeroed();
                if libc::pthread_getattr_np(libc::pthread_self(), &mut attr) == 0 {
                    let mut lo = ptr::null_mut();
                    libc::pthread_attr_getstack(&attr, &mut lo, &mut fiber.size);
                    fiber.lo = lo.cast();
                    libc::pthread_attr_destroy(&mut attr);
                }
                fiber.tsan = runtime().current.map_or(ptr::null_mut(), |f| f());
            }
            fiber
        }

        /// Announces a stack on which a new G begins.
        pub fn begin(&mut self, lo: *mut u8, hi: *mut u8) {
            *self = Fiber { lo, size: hi as usize - lo as usize, ..Fiber::NONE };
            // SAFETY: the stack is the G's, and no code runs on it.
            unsafe {
                if let Some(f) = runtime().unpoison {
                    f(lo.cast(), self.size);
                }
                self.tsan = runtime().create.map_or(ptr::null_mut(), |f| f(0));
            }
        }

        /// Right before the switch from this stack to another.
        #[inline(always)]
        pub fn leave_for(&mut self, to: &Fiber) {
            // SAFETY: as the interface requires; `to` is a stack that begins or was left.
            unsafe {
                if let Some(f) = runtime().start {
                    f(&mut self.fake, to.lo.cast(), to.size);
                }
                if let Some(f) = runtime().switch
                    && !to.tsan.is_null()
                {
                    f(to.tsan, 0);
                }
            }
        }

        /// Right after the switch to this stack.
        #[inline(always)]
        pub fn arrived(&mut self) {
            // SAFETY: as above.
            unsafe {
                if let Some(f) = runtime().finish {
                    f(self.fake, ptr::null_mut(), ptr::null_mut());
                }
            }
        }

        /// The G has ended and is off its stack.
        pub fn end(&mut self) {
            if let Some(f) = runtime().destroy
                && !self.tsan.is_null()
            {
                // SAFETY: made in `begin`, and no thread switches to it any more.
                unsafe { f(self.tsan) };
            }
            if let Some(f) = runtime().unpoison
                && !self.lo.is_null()
            {
                // SAFETY: no code runs on it.
                unsafe { f(self.lo.cast(), self.size) };
            }
            *self = Fiber::NONE;
        }
    }
}

pub use imp::Fiber;
