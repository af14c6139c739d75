//! Classes of blocking calls
//!
//! A class limits how many blocking calls of one kind run at a time, and so how many threads they take: eight for a
//! disk, two for a database. A call beyond the limit parks its goroutine and takes no thread.

use super::*;
use crate::block::{class, waitq};
use crate::protocol::seize;
use std::ffi::{c_char, c_void};

/// A class of blocking calls, of which so many run at a time. A handle is never used again, and 0 is no handle.
pub type gmx_class = u64;

/// Makes a class of calls of which no more than limit run at a time. It is for foreign code that computes for long,
/// such as a library for linear algebra with threads of its own: as ordinary calls they would take turns on the Ps, and
/// gmx_blocking would take a thread for each goroutine.
///
/// name: shown in dumps as what a call waits for until it is its turn; copied, 31 bytes are kept. NULL: none.
///
/// ```c
/// gmx_class blas;
/// gmx_status status = gmx_class_new(2, "blas", &blas);
/// if (status == GMX_OK) status = gmx_blocking_in(blas, multiply, &matrices, GMX_FOREVER);
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the class is the caller's until gmx_class_free.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL or limit is 0; GMX_ENOMEM; GMX_ESHUTDOWN.
/// Since: 0.2
///
/// # Safety
/// `out` is null or writable; `name` is null or terminated.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_class_new(limit: u32, name: *const c_char, out: *mut gmx_class) -> gmx_status {
    if out.is_null() || limit == 0 {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise.
    let name = unsafe { super::g::copy_name(name) };
    match started().and_then(|m| class::make(*m, limit, name).map_err(|e| status::from(e))) {
        Ok(handle) => {
            // SAFETY: as above.
            unsafe { *out = handle };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Ends a class.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the class is the library's again.
/// Returns: GMX_OK; GMX_EBUSY while calls of it run or wait; GMX_ESTALE.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_class_free(class: gmx_class) -> gmx_status {
    match any() {
        Ok(m) => map(class::free(*m, class)),
        Err(status) => status,
    }
}

/// As gmx_blocking, when it is the caller's turn: calls of a class run in the order in which they came, limit at a
/// time. A goroutine that ends in fn by gmx_goexit gives its turn back; a thread of the host that ends there keeps it.
///
/// timeout: how long the caller waits for its turn, in nanoseconds; GMX_FOREVER: without an end, 0: only looks.
///
/// Blocks: the goroutine, or the thread, until it is its turn, and as long as fn does.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: the wait for the turn.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK when fn has returned; and without a call of fn: GMX_EINVAL if fn is NULL; GMX_ESTALE; GMX_ETIMEDOUT;
/// GMX_ECANCELED; GMX_ENOMEM; GMX_EINSYSCALL, GMX_ENOTG.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_blocking_in(
    class: gmx_class,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
    timeout: i64,
) -> gmx_status {
    if r#fn.is_none() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        Ok(m) => tried(class::run_in(*m, class, waitq::deadline_of(timeout), || {
            seize::outside(|| gmx_blocking(r#fn, arg));
        })),
        Err(status) => status,
    }
}
