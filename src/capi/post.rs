//! The host's loop
//!
//! A program with a loop of its own (libuv, asyncio, a window system) runs it on one thread, and much of what belongs
//! to it may be used on that thread only. A goroutine hands work to it: gmx_post(fn, arg), from anywhere. The loop
//! watches the descriptor of gmx_host_fd, which is readable as long as there is something to run, and then calls
//! gmx_host_run.
//!
//! ```c
//! void on_readable(void *loop, int fd) { // on the thread of the loop
//!   (void)loop, (void)fd;
//!   if (gmx_host_run(64) < 0) abort(); // what is left makes the descriptor readable again
//! }
//! ```
//!
//! The other way, a goroutine or an attached thread drives the loop: it waits for the descriptor of the loop with
//! gmx_wait_fd, no longer than the loop says, and lets the loop run once. examples/host_loop has both for libuv, and
//! the first for asyncio.

use super::*;
use crate::block::post;
use crate::gmp::m::Ctx;
use crate::sys::call;
use std::ffi::c_void;

/// Has the host's loop call fn(arg): the next gmx_host_run does, in the order of the posts. It works before the host
/// has asked for the descriptor and while the runtime is down. The functions of a process are not run in a child of
/// fork.
///
/// ```c
/// if (gmx_post(show, text) != GMX_OK) free(text);
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg is fn's.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ENOMEM, and fn is not called.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_post(r#fn: Option<extern "C" fn(*mut c_void)>, arg: *mut c_void) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    match any() {
        Ok(m) => map(post::post(m.sched(), f, arg)),
        Err(status) => status,
    }
}

/// A descriptor that is readable (EPOLLIN) while a function waits that was posted. The host only watches it:
/// gmx_host_run makes it not readable again. It is made by the first call, is the same at each call, and is closed by
/// exec. After fork the child asks for its own.
///
/// ```c
/// int fd = gmx_host_fd();
/// if (fd < 0) return fd;
/// watch(fd, on_readable);
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the descriptor is the library's, which keeps it: do not close, read or write it.
/// Returns: the descriptor; GMX_ENOTSUP after a start with GMX_CONFIG_ALL_AT_START, unless it was made before;
/// GMX_ENOMEM; another errno of the system, negated, if it has no descriptor: the next call tries again.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_host_fd() -> gmx_status {
    match any().and_then(|m| post::fd(m.sched()).map_err(|e| status::from(e))) {
        Ok(fd) => fd,
        Err(status) => status,
    }
}

/// Calls the functions that were posted, the oldest first, on the calling thread: at most max of them, and no more than
/// waited when it was called, so that functions that post others do not keep the host from its loop. A max of 0 or less
/// sets no other limit.
///
/// A function may call gmx_host_run itself, or run the host's loop within the loop. If several threads call it, each
/// function is called by one of them.
///
/// Blocks: as the functions do.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: no, except for what the functions do.
/// Migrates: as the functions do.
/// Cancellable: no, except for what the functions do.
/// Owns: nothing.
/// Returns: how many functions were called; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_host_run(max: i32) -> gmx_status {
    let waiting = match any() {
        Ok(m) if m.ctx() == Ctx::Foreign || m.ctx() == Ctx::G && m.pins() == 0 => post::turn(m.sched()),
        Ok(m) => return why_not(*m),
        Err(status) => return status,
    };
    let waiting = i32::try_from(waiting).unwrap_or(i32::MAX);
    let most = if max > 0 { max.min(waiting) } else { waiting };
    let mut n = 0;
    // A function may fork, or leave the caller on another thread: each round enters anew.
    while n < most
        && let Some((f, arg)) = any().ok().and_then(|m| post::take(m.sched()))
    {
        n += 1;
        call::plain(f, arg);
    }
    n
}
