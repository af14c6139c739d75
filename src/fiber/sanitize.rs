//! Announces stacks to AddressSanitizer and ThreadSanitizer, where the process has one of them.
//!
//! A sanitizer's runtime comes with the host's program. It must be told of each switch, right before and right after
//! it: otherwise AddressSanitizer takes a goroutine's frames for stray memory, and ThreadSanitizer takes one goroutine
//! for another. A stack that is used again may still be marked with the frames of a G that ended without unwinding, so
//! the marks are removed.
//!
//! A process without a sanitizer pays nothing: where there is one, each M has the mode TOLD, so that no code there is
//! free (gmp/m.rs). The fast paths, which announce nothing, are never taken.

use crate::sys;
use core::arch::global_asm;
use core::ffi::{c_uint, c_void};
use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

// Of sanitizer/common_interface_defs.h, asan_interface.h and tsan_interface.h; null where there is none. As in
// sys/checker.rs, the linker or the loader finds them.
global_asm!(
    ".pushsection .data.rel.ro.gmx_sanitizer,\"aw\",@progbits",
    ".balign 8",
    ".weak __sanitizer_start_switch_fiber",
    ".weak __sanitizer_finish_switch_fiber",
    ".weak __asan_unpoison_memory_region",
    ".weak __tsan_create_fiber",
    ".weak __tsan_get_current_fiber",
    ".weak __tsan_switch_to_fiber",
    ".weak __tsan_destroy_fiber",
    ".hidden gmx_sanitizer",
    ".globl gmx_sanitizer",
    ".type gmx_sanitizer,@object",
    ".size gmx_sanitizer, 56",
    "gmx_sanitizer:",
    ".quad __sanitizer_start_switch_fiber",
    ".quad __sanitizer_finish_switch_fiber",
    ".quad __asan_unpoison_memory_region",
    ".quad __tsan_create_fiber",
    ".quad __tsan_get_current_fiber",
    ".quad __tsan_switch_to_fiber",
    ".quad __tsan_destroy_fiber",
    ".popsection",
);

unsafe extern "C" {
    #[link_name = "gmx_sanitizer"]
    static SANITIZER: [AtomicPtr<c_void>; 7];
}

type Start = unsafe extern "C" fn(*mut *mut c_void, *const c_void, usize);
type Finish = unsafe extern "C" fn(*mut c_void, *mut *const c_void, *mut usize);
type Unpoison = unsafe extern "C" fn(*const c_void, usize);
type Create = unsafe extern "C" fn(c_uint) -> *mut c_void;
type Current = unsafe extern "C" fn() -> *mut c_void;
type Switch = unsafe extern "C" fn(*mut c_void, c_uint);
type Destroy = unsafe extern "C" fn(*mut c_void);

fn function(i: usize) -> *mut c_void {
    // SAFETY: written by the linker or the loader, before any code.
    let table = unsafe { &SANITIZER };
    table[i].load(Ordering::Relaxed)
}

macro_rules! functions {
    ($($i:literal $name:ident: $kind:ty;)*) => {
        $(fn $name() -> Option<$kind> {
            // SAFETY: null is None, and the function of this name has this type.
            unsafe { transmute::<*mut c_void, Option<$kind>>(function($i)) }
        })*
    };
}

functions! {
    0 start: Start;
    1 finish: Finish;
    2 unpoison: Unpoison;
    3 create: Create;
    4 current: Current;
    5 switch: Switch;
    6 destroy: Destroy;
}

/// Whether switches are announced.
pub fn is_there() -> bool {
    !function(0).is_null() || !function(5).is_null()
}

/// A stack, as a sanitizer knows it. Zeros are a stack that it does not know.
#[derive(Debug)]
pub struct Fiber {
    lo: *mut u8,
    size: usize,
    /// AddressSanitizer's own, while the stack is left.
    fake: *mut c_void,
    tsan: *mut c_void,
}

impl Default for Fiber {
    fn default() -> Fiber {
        Fiber::NONE
    }
}

impl Fiber {
    pub const NONE: Fiber = Fiber { lo: null_mut(), size: 0, fake: null_mut(), tsan: null_mut() };

    /// The calling thread's own stack; nothing where there is no sanitizer.
    pub fn of_this_thread() -> Fiber {
        let mut fiber = Fiber::NONE;
        if is_there() {
            if let Some((lo, hi)) = sys::thread_stack() {
                (fiber.lo, fiber.size) = (lo, hi as usize - lo as usize);
            }
            // SAFETY: as the interface requires.
            fiber.tsan = current().map_or(null_mut(), |f| unsafe { f() });
        }
        fiber
    }

    /// For the stack of a G that begins, at each entry.
    pub fn begin(&mut self, lo: *mut u8, hi: *mut u8) {
        if self.lo == lo {
            return;
        }
        *self = Fiber { lo, size: hi as usize - lo as usize, ..Fiber::NONE };
        if let Some(f) = unpoison() {
            // SAFETY: the stack is the G's, and no code runs on it.
            unsafe { f(lo.cast(), self.size) };
        }
        // SAFETY: as the interface requires.
        self.tsan = create().map_or(null_mut(), |f| unsafe { f(0) });
    }

    /// Right before the switch from this stack to another. `ends`: the stack is left for good.
    #[inline(always)]
    pub fn leave_for(&mut self, to: &Fiber, ends: bool) {
        if let Some(f) = start() {
            let fake = if ends { null_mut() } else { &raw mut self.fake };
            // SAFETY: as the interface requires; `to` is a stack that begins or was left.
            unsafe { f(fake, to.lo.cast(), to.size) };
        }
        if let Some(f) = switch()
            && !to.tsan.is_null()
        {
            // SAFETY: as above.
            unsafe { f(to.tsan, 0) };
        }
    }

    /// Right after the switch to this stack.
    #[inline(always)]
    pub fn arrived(&mut self) {
        if let Some(f) = finish() {
            // SAFETY: as above.
            unsafe { f(self.fake, null_mut(), null_mut()) };
        }
    }

    /// The G has ended and is off its stack.
    pub fn end(&mut self) {
        if let Some(f) = destroy()
            && !self.tsan.is_null()
        {
            // SAFETY: made in `begin`, and no thread switches to it any more.
            unsafe { f(self.tsan) };
        }
        if let Some(f) = unpoison()
            && !self.lo.is_null()
        {
            // SAFETY: no code runs on it.
            unsafe { f(self.lo.cast(), self.size) };
        }
        *self = Fiber::NONE;
    }
}
