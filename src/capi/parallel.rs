//! Parallel loops
//!
//! A loop over numbers, cut into pieces that run on several processors: for computation on arrays. The caller takes
//! part, and returns when all of it is done.

use super::*;
use crate::block::parallel;
use std::ffi::c_void;

/// Calls fn(arg, begin, end) for ranges that together are the numbers from 0 to n - 1, each once, on the caller and on
/// as many other goroutines as Ps have nothing else to do; returns when all calls have returned. The range of a
/// goroutine is cut in two only when it has run for a while and another P is idle, so a short loop costs little more
/// than its calls.
///
/// ```c
/// static void square(void *arg, int64_t begin, int64_t end) {
///   float *v = arg;
///   for (int64_t i = begin; i < end; i++) v[i] *= v[i];
/// }
/// ...
/// gmx_status status = gmx_parallel_for(count, 0, square, v);
/// ```
///
/// grain: the most numbers of one call, and the fewest that are worth a goroutine. 0: as many as take some
/// microseconds, found out while the loop runs. A range of no more than four grains for each P is cut at once.
///
/// fn always runs on a goroutine: the caller, or another one for which the same token of cancellation counts (a foreign
/// thread only waits). It may wait, and call gmx_parallel_for; while it waits, the rest of its goroutine's range waits
/// too. It must return: gmx_goexit is refused. When the token is canceled no further ranges are begun; the calls that
/// run are waited for. So in a scope whose other children have failed the loop ends early.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread, until all calls have returned.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: between calls of fn; the wait for calls that run is not.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK; GMX_ECANCELED if numbers were left out; GMX_EINVAL if fn is NULL, or n or grain is below 0;
/// GMX_ENOMEM and GMX_ESHUTDOWN on a foreign thread; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_parallel_for(
    n: i64,
    grain: i64,
    r#fn: Option<extern "C" fn(*mut c_void, i64, i64)>,
    arg: *mut c_void,
) -> gmx_status {
    let Some(f) = r#fn.filter(|_| n >= 0 && grain >= 0) else { return wrong(GMX_EINVAL) };
    match may_wait() {
        Ok(m) => tried(parallel::run(*m, n, grain, f, arg)),
        Err(status) => status,
    }
}
