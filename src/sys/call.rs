//! Every call of a function that the host gave the library.
//!
//! No exception may pass through the library. It would leave the library in the middle of its work: a context that is
//! never restored, a once that never ends, a barrier that waits forever. [`gmx_arch_call`] ends such an unwind at the
//! throw, so that the report and the core show the stack that threw. It costs a call and a return.
//!
//! The function of a G is called directly (`sched/run.rs`): it is the last frame of its stack, where every search ends.
//! The host's signal handlers are called by `fiber/signals.rs`, which holds nothing that an unwind would have to undo.

use super::arch::gmx_arch_call;
use core::ffi::{c_char, c_void};

/// `fn(arg)`.
#[inline(always)]
pub fn plain(f: extern "C" fn(*mut c_void), arg: *mut c_void) {
    // SAFETY: a function of one argument; it ignores the registers of the others.
    unsafe { gmx_arch_call(arg as usize, 0, 0, f as *const ()) };
}

/// The function of a scope: `fn(arg)`, which returns a status.
#[inline(always)]
pub fn child(f: extern "C" fn(*mut c_void) -> i32, arg: *mut c_void) -> i32 {
    // SAFETY: as in `plain`. The upper half of the register is not part of the result.
    unsafe { gmx_arch_call(arg as usize, 0, 0, f as *const ()) as i32 }
}

/// The function of a parallel loop: `fn(arg, begin, end)`.
pub type RangeFn = extern "C" fn(*mut c_void, i64, i64);

/// A series of calls of it.
struct Ranges {
    f: RangeFn,
    arg: *mut c_void,
    begin: i64,
    end: i64,
    grain: i64,
}

/// Calls it for all of `begin..end`, with `grain` numbers at a time. One barrier against unwinding stands before all of
/// these calls: an unwind out of one of them passes `each_range` in its search, and ends at the barrier.
pub fn ranges(f: RangeFn, arg: *mut c_void, begin: i64, end: i64, grain: i64) {
    let mut all = Ranges { f, arg, begin, end, grain };
    // SAFETY: as in `plain`.
    unsafe { gmx_arch_call((&raw mut all) as usize, 0, 0, each_range as *const ()) };
}

extern "C" fn each_range(all: *const Ranges) {
    // SAFETY: `ranges` passes its own.
    let &Ranges { f, arg, mut begin, end, grain } = unsafe { &*all };
    while begin < end {
        let to = begin.saturating_add(grain).min(end);
        f(arg, begin, to);
        begin = to;
    }
}

/// The commit of a park: `commit(arg, g)`.
#[inline(always)]
pub fn commit(f: extern "C" fn(*mut c_void, u64) -> bool, arg: *mut c_void, g: u64) -> bool {
    // SAFETY: as in `plain`. A bool is the lowest byte of the register.
    unsafe { gmx_arch_call(arg as usize, g as usize, 0, f as *const ()) as u8 != 0 }
}

/// A notice about a goroutine: `tell(arg, g)`.
pub fn tell(f: extern "C" fn(*mut c_void, u64), arg: *mut c_void, g: u64) {
    // SAFETY: as in `plain`.
    unsafe { gmx_arch_call(arg as usize, g as usize, 0, f as *const ()) };
}

/// A function that is shown something: `fn(arg, info)`.
#[inline(always)]
pub fn look<T>(f: extern "C" fn(*mut c_void, *const T), arg: *mut c_void, info: &T) {
    // SAFETY: as in `plain`.
    unsafe { gmx_arch_call(arg as usize, core::ptr::from_ref(info) as usize, 0, f as *const ()) };
}

/// The end of a value that no receiver takes: `drop(arg, elem)`.
pub fn dropped(f: extern "C" fn(*mut c_void, *mut c_void), arg: *mut c_void, elem: *mut c_void) {
    // SAFETY: as in `plain`.
    unsafe { gmx_arch_call(arg as usize, elem as usize, 0, f as *const ()) };
}

/// The function for reports: `report(arg, text, len)`.
#[inline(always)]
pub fn report(f: extern "C" fn(*mut c_void, *const c_char, usize), arg: *mut c_void, text: &[u8]) {
    // SAFETY: as in `plain`.
    unsafe { gmx_arch_call(arg as usize, text.as_ptr() as usize, text.len(), f as *const ()) };
}

/// The taker of a text, which returns a status: `write(arg, text, len)`.
#[inline(always)]
pub fn text(f: extern "C" fn(*mut c_void, *const c_char, usize) -> i32, arg: *mut c_void, text: &[u8]) -> i32 {
    // SAFETY: as in `plain`. The upper half of the register is not part of the result.
    unsafe { gmx_arch_call(arg as usize, text.as_ptr() as usize, text.len(), f as *const ()) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr::{null_mut, without_provenance_mut};

    extern "C" fn adds(arg: *mut c_void) {
        // SAFETY: the tests pass a number of theirs.
        unsafe { *arg.cast::<u32>() += 1 };
    }

    extern "C" fn negative(arg: *mut c_void) -> i32 {
        -(arg as usize as i32)
    }

    extern "C" fn odd(arg: *mut c_void, g: u64) -> bool {
        assert!(arg.is_null());
        g % 2 == 1
    }

    extern "C" fn copies(arg: *mut c_void, info: *const u64) {
        // SAFETY: the tests pass two numbers of theirs.
        unsafe { arg.cast::<u64>().copy_from(info, 1) };
    }

    extern "C" fn moves(arg: *mut c_void, elem: *mut c_void) {
        // SAFETY: the tests pass a number of theirs.
        let elem = unsafe { elem.cast::<u64>().replace(0) };
        // SAFETY: the tests pass another number of theirs.
        unsafe { *arg.cast::<u64>() = elem };
    }

    extern "C" fn spans(arg: *mut c_void, begin: i64, end: i64) {
        // SAFETY: the tests pass a number of theirs.
        unsafe { *arg.cast::<i64>() = end - begin };
    }

    extern "C" fn length(arg: *mut c_void, text: *const c_char, len: usize) {
        // SAFETY: the tests pass a text.
        let first = unsafe { *text };
        // SAFETY: the tests pass a number of theirs.
        unsafe { *arg.cast::<usize>() = len + first as usize };
    }

    #[test]
    fn arguments_and_results_arrive() {
        let (mut n, mut m, mut len) = (1u32, 0u64, 0usize);
        plain(adds, (&raw mut n).cast());
        assert_eq!(n, 2);
        assert_eq!(child(negative, without_provenance_mut(7)), -7);
        assert!(commit(odd, null_mut(), u64::MAX) && !commit(odd, null_mut(), 1 << 60));
        look(copies, (&raw mut m).cast(), &u64::MAX);
        assert_eq!(m, u64::MAX);
        let mut elem = 8u64;
        dropped(moves, (&raw mut m).cast(), (&raw mut elem).cast());
        assert_eq!((m, elem), (8, 0));
        let mut span = 0i64;
        ranges(spans, (&raw mut span).cast(), 1, i64::MAX, i64::MAX);
        assert_eq!(span, i64::MAX - 1);
        ranges(spans, (&raw mut span).cast(), 0, 10, 4);
        assert_eq!(span, 2);
        report(length, (&raw mut len).cast(), b"abc");
        assert_eq!(len, 3 + usize::from(b'a'));
    }
}
