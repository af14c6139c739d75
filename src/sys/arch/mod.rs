//! What depends on the instruction set: leaving one stack for another, the slot that names the current M, and the
//! stack pointer.
//!
//! What must hold on every instruction set:
//!
//! - [`switch`] is inline assembly that tells the compiler every register is lost. So only what lives at the call is
//!   saved, where the compiler sees fit, and the two or three registers that cannot be named as lost are pushed by
//!   hand. Floating-point control words and vector state above what the ABI keeps are not saved.
//! - The switch into a G belongs inlined into the loop of g0, not into a function that returns when the G comes back:
//!   calls and returns on both sides then stay paired for the return predictor. Measured with Gs that park four calls
//!   deep: 6 to 7 ns a switch, against 20 from a function of its own. Both ways through `ret` cost 30 to 40 ns there,
//!   and call in with `ret` out 18 ns, though that looks good in a bench without call depth.
//! - A [`Sp`] that was saved is continued exactly once, and after the save. A switch on another thread therefore comes
//!   after an Acquire. It pairs with a Release that the stack to which the saving switch went has done.
//! - The address of a thread-local variable does not survive a switch. [`current_m`] therefore loads the slot anew
//!   with every call, by assembly that the compiler may not merge.
//! - Code entered through [`prepare`] ends the chain of frames: unwinders, debuggers and profilers stop there.
//! - An exception passes neither through [`gmx_arch_call`] nor beyond the bottom of a stack that [`prepare`] made: the
//!   unwinder asks the personality routine of such a frame while it still searches for a handler, and gets an error. So
//!   the throw itself fails, with the stack of the thrower intact, and the runtime of the language does what it does
//!   about exceptions that nothing catches: C++ calls `std::terminate`, Rust aborts. Neither side needs to know the
//!   other's runtime.
//!
//! Rejected: `.cfi_undefined rip` in the frame of [`gmx_arch_call`]. It ends the search as well, and every backtrace
//! too.

use core::ffi::{c_int, c_void};

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
use x86_64 as isa;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
use aarch64 as isa;

pub use isa::{
    gmx_arch_call, gmx_arch_signal, interrupted_sp, keep, kept_registers, prefetch, prepare, saved, signal,
    stack_pointer, switch, thread_vector, ticks, ticks_are_time, valgrind,
};
pub(crate) use isa::{probe_field, signal_entry};

/// Where the system has put the registers of the interrupted code: from the context to the end of the used part of the
/// stack on which the handler runs. The vectors lie above the context.
///
/// # Safety
/// `context` is what the system passed to a handler of signals, and `sp` is the [`interrupted_sp`] of it.
pub unsafe fn interrupted_registers(context: *mut c_void, sp: *mut u8) -> (*mut u8, *mut u8) {
    // SAFETY: the caller's promise.
    let alternate = unsafe { (*context.cast::<libc::ucontext_t>()).uc_stack };
    let lo = context.cast::<u8>();
    let stack = alternate.ss_sp.cast::<u8>();
    let end = stack.wrapping_add(alternate.ss_size);
    // A handler on the stack that it has interrupted: its frame ends where that code's part begins.
    (lo, if (stack..end).contains(&lo) { end } else { sp.max(lo) })
}

/// Whether no store of a thread overtakes an earlier one of it.
pub const STORES_IN_ORDER: bool = cfg!(all(target_arch = "x86_64", not(any(loom, shuttle))));

/// The saved stack pointer of something that does not run. NULL: there is none.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sp(pub *mut u8);

impl Sp {
    pub const NULL: Sp = Sp(core::ptr::null_mut());

    #[inline]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
}

/// The registers with which a debugger or a root scanner walks a context that does not run. Every other register that
/// lived at the switch is in the frames above `sp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    pub pc: usize,
    pub sp: usize,
    pub fp: usize,
    /// rbx or x19: the one callee-saved register that the compiler keeps for itself.
    pub extra: usize,
}

/// As [`saved`], of a context that may be continued meanwhile. `read` returns the word at an address, or None if that
/// is not in the stack.
pub fn saved_by(sp: usize, read: impl Fn(usize) -> Option<usize>) -> Option<super::cfi::Regs> {
    let word = |i: usize| read(sp.wrapping_add(i * size_of::<usize>()));
    let [pc, extra, fp, used] = if cfg!(target_arch = "x86_64") {
        [word(0)?, word(1)?, word(2)?, 3]
    } else {
        [word(1)?, word(2)?, word(0)?, 4]
    };
    Some(super::cfi::Regs { pc, sp: sp.wrapping_add(used * size_of::<usize>()), fp, extra })
}

/// The M that runs on this thread, as [`set_current_m`] left it; null on a thread that never set it.
#[inline(always)]
pub fn current_m() -> *mut c_void {
    slot::load()
}

/// Names the M of this thread.
#[inline(always)]
pub fn set_current_m(p: *mut c_void) {
    slot::store(p)
}

/// The registers with which a handler of signals was entered.
#[derive(Clone, Copy)]
pub struct Entry {
    pub sp: usize,
    /// x29 and x30; elsewhere they say nothing.
    pub fp: usize,
    pub lr: usize,
}

/// What an unwinder tells a personality routine in `actions`, and what it may be answered: of the Itanium C++ ABI,
/// which all systems on these instruction sets follow.
const FORCE_UNWIND: c_int = 8;
const FATAL_PHASE1_ERROR: c_int = 3;
const CONTINUE_UNWIND: c_int = 8;

/// The personality routine of [`gmx_arch_call`]. A thread of the host that ends within a callback (`pthread_exit`,
/// `pthread_cancel`: a forced unwind) goes through, and the library ends what it left open when the thread ends.
extern "C" fn no_way_through(_: c_int, actions: c_int, _: u64, _: *mut c_void, _: *mut c_void) -> c_int {
    if actions & FORCE_UNWIND != 0 { CONTINUE_UNWIND } else { FATAL_PHASE1_ERROR }
}

/// The personality routine of the frame at the bottom of a stack that [`prepare`] made. A forced unwind that came here
/// would end the thread below, with all that it owes to others: they would wait for it forever, and no report would say
/// so.
extern "C" fn bottom_of_stack(_: c_int, actions: c_int, _: u64, _: *mut c_void, _: *mut c_void) -> c_int {
    if actions & FORCE_UNWIND != 0 {
        let words =
            b"libgomax: fatal error: pthread_exit, pthread_cancel or another forced unwind leaves a goroutine\n";
        super::stderr::say(words);
        std::process::abort();
    }
    FATAL_PHASE1_ERROR
}

// musl cannot dlopen a library with an initial-exec slot.
#[cfg(not(target_env = "musl"))]
use isa::slot;

#[cfg(target_env = "musl")]
mod slot {
    use core::cell::Cell;
    use core::ffi::c_void;

    thread_local! {
        static M: Cell<*mut c_void> = const { Cell::new(core::ptr::null_mut()) };
    }

    // Not inlined, and giving the value rather than the address: otherwise the address would be kept across a switch.
    #[inline(never)]
    pub fn load() -> *mut c_void {
        M.with(Cell::get)
    }

    #[inline(never)]
    pub fn store(p: *mut c_void) {
        M.with(|m| m.set(p))
    }
}

#[cfg(test)]
mod tests;
