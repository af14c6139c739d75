//! Waiting at an address
//!
//! These two calls are to goroutines what a futex is to threads: a wait for a word of memory to change. They are what
//! a lock or a queue of the host's is built from. Prefer the ready-made objects of the next sections.

use super::*;
use crate::block::{address, waitq};
use crate::gmp::error::Error;
use crate::sync::Ordering;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// For gmx_wake_address: all that wait.
pub const GMX_WAKE_ALL: u32 = 4294967295;

/// A word of the host, and what it is to differ from.
#[derive(Clone, Copy)]
enum Word<'a> {
    One(&'a AtomicU8, u8),
    Two(&'a AtomicU16, u16),
    Four(&'a AtomicU32, u32),
    Eight(&'a AtomicU64, u64),
}

impl<'a> Word<'a> {
    /// # Safety `addr` and `expected` are null or point to `size` bytes; those at `addr` live until the wait is over,
    /// and are changed by atomic operations only.
    unsafe fn at(addr: *const c_void, expected: *const c_void, size: usize) -> Option<Word<'a>> {
        if addr.is_null()
            || expected.is_null()
            || !matches!(size, 1 | 2 | 4 | 8)
            || !(addr as usize).is_multiple_of(size)
        {
            return None;
        }
        /// A word, and the value at `expected`.
        ///
        /// # Safety
        /// `addr` is the address of an A that lives as long as the result, `expected` that of a readable V.
        unsafe fn pair<'a, A, V>(addr: *const c_void, expected: *const c_void) -> (&'a A, V) {
            // SAFETY: the caller's promise.
            let word = unsafe { &*addr.cast::<A>() };
            // SAFETY: the caller's promise; it need not be aligned.
            (word, unsafe { expected.cast::<V>().read_unaligned() })
        }
        macro_rules! word {
            ($variant:ident) => {{
                // SAFETY: both have so many bytes, by the caller's promise, and `addr` is aligned.
                let (word, value) = unsafe { pair(addr.cast(), expected.cast()) };
                Word::$variant(word, value)
            }};
        }
        Some(match size {
            1 => word!(One),
            2 => word!(Two),
            4 => word!(Four),
            _ => word!(Eight),
        })
    }

    /// Acquire: what the waker wrote before it changed the word is seen by a caller that need not wait.
    fn is_as_expected(self) -> bool {
        match self {
            Word::One(word, expected) => word.load(Ordering::Acquire) == expected,
            Word::Two(word, expected) => word.load(Ordering::Acquire) == expected,
            Word::Four(word, expected) => word.load(Ordering::Acquire) == expected,
            Word::Eight(word, expected) => word.load(Ordering::Acquire) == expected,
        }
    }
}

/// Waits until gmx_wake_address is called for addr, if the size bytes there are those at expected: a futex for
/// goroutines and threads. Comparing and beginning to wait are one step, so a waker that changes the word first, and
/// wakes then, is never missed. The word is the host's: the library only reads it, atomically.
///
/// ```c
/// while (atomic_load(&word) == 0) {
///   uint32_t zero = 0;
///   gmx_status status = gmx_wait_on_address(&word, &zero, sizeof word, GMX_FOREVER);
///   if (status == GMX_ECANCELED) return status;
/// }
/// ...
/// atomic_store(&word, 1);
/// gmx_wake_address(&word, GMX_WAKE_ALL);
/// ```
///
/// A wait may end without a reason: look at the word again, in a loop. The memory may be freed when no caller waits
/// there any more; a late wake for memory that serves something else by then wakes a waiter there without a reason, and
/// does no other harm.
///
/// size: 1, 2, 4 or 8. timeout: nanoseconds.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: nothing.
/// Returns: GMX_OK when it was woken; GMX_EAGAIN if the word differed; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_EINVAL if addr
/// or expected is NULL, the size is another one, or addr is not a multiple of it; GMX_ENOMEM; GMX_ENOTG,
/// GMX_EINSYSCALL.
/// Since: 0.2
///
/// # Safety
/// `addr` and `expected` are null or point to `size` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_wait_on_address(
    addr: *const c_void,
    expected: *const c_void,
    size: usize,
    timeout: i64,
) -> gmx_status {
    // SAFETY: the caller's promise.
    let Some(word) = (unsafe { Word::at(addr, expected, size) }) else { return wrong(GMX_EINVAL) };
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    if !word.is_as_expected() {
        return failed(Error::Again);
    }
    tried(address::wait(*m, addr as usize, waitq::deadline_of(timeout), || word.is_as_expected()))
}

/// Wakes those that wait for addr in gmx_wait_on_address, at most n, in the order in which they began to wait. Change
/// the word before. addr is only a name here: the memory may be gone already.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: how many were woken, at most INT32_MAX; GMX_EINVAL if addr is NULL; GMX_ENOMEM from a thread that the
/// library did not know and has no memory to know.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_wake_address(addr: *const c_void, n: u32) -> gmx_status {
    if addr.is_null() {
        return wrong(GMX_EINVAL);
    }
    match any() {
        Ok(m) => i32::try_from(address::wake(*m, addr as usize, n)).unwrap_or(i32::MAX),
        Err(status) => status,
    }
}
