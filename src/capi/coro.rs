//! Coroutines
//!
//! A coroutine runs only when it is resumed, on the thread of its resumer, and hands control back by a yield: for
//! generators, parsers and iterators. A switch is cheaper than one through a channel, since no scheduler is asked. Use
//! a goroutine where both sides are to run at the same time.

use super::*;
use crate::gmp::g::{GName, gflag};
use crate::protocol::{coro, store};
use std::ffi::c_void;

/// A coroutine: the handle of its goroutine, which gmx_self() returns inside. 0 is no coroutine.
pub type gmx_coro = u64;

/// Makes a coroutine: a goroutine that runs fn(arg), but only while another goroutine waits for it in gmx_coro_switch.
/// It begins with the first switch. What generators and iterators are made of:
///
/// ```c
/// struct squares { int n; }; // what both sides know
/// static void make(void *arg) {
///   struct squares *s = arg;
///   s->n = 0;
///   for (int i = 1; gmx_coro_switch(gmx_self()) == GMX_OK; i++) s->n = i * i; // yields
/// }
/// ...
/// if (gmx_coro_new(make, &s, NULL, &co) != GMX_OK) return;
/// while (gmx_coro_switch(co) == GMX_OK && s.n < 100) printf("%d\n", s.n);
/// gmx_coro_free(co);
/// ```
///
/// A coroutine is a goroutine: it may wait for whatever a goroutine waits for (its resumer waits with it), it counts in
/// gmx_num_g until it has ended, dumps show it, and one that is never resumed again keeps gmx_shutdown waiting. It runs
/// under no token of cancellation until it uses one.
///
/// opts: as for gmx_spawn_with; the only flag is GMX_SPAWN_WIPE. NULL: the defaults.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the coroutine is the caller's until its function has ended, or gmx_coro_free. arg stays the caller's.
/// Returns: GMX_OK; GMX_EINVAL if fn or co is NULL, for unknown flags, or for a stack of more than 1 GiB; GMX_ENOMEM;
/// GMX_ESHUTDOWN from a thread of the host while the runtime ends.
/// Since: 0.2
///
/// # Safety
/// `opts` is null or points to as many bytes as its `struct_size` says; `co` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_coro_new(
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
    opts: *const gmx_spawn_opts,
    co: *mut gmx_coro,
) -> gmx_status {
    let Some(f) = r#fn.filter(|_| !co.is_null()) else { return wrong(GMX_EINVAL) };
    let mut what = store::Spawn { entry: f as *mut c_void, arg, flags: 0, stack_size: 0, name: GName::NONE };
    // SAFETY: the caller's promise.
    match unsafe { read_sized(opts) } {
        Ok(None) => {}
        Ok(Some(o)) => {
            if o.flags & !GMX_SPAWN_WIPE != 0 || o.reserved != 0 || o.stack_size > MAX_STACK {
                return wrong(GMX_EINVAL);
            }
            what.flags = if o.flags & GMX_SPAWN_WIPE != 0 { gflag::WIPE } else { 0 };
            what.stack_size = o.stack_size as u32;
            // SAFETY: null or terminated, by the caller's promise.
            what.name = unsafe { copy_name(o.name) };
        }
        Err(status) => return status,
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    if what.flags & gflag::WIPE != 0 && what.stack_size == 0 {
        what.stack_size = m.sched().cfg.stack_size.get() as u32;
    }
    // One that is accepted can run some day.
    if what.stack_size != 0 && m.sched().stacks.ensure(what.stack_size as usize).is_err() {
        return GMX_ENOMEM;
    }
    match coro::make(*m, &what) {
        Ok(handle) => {
            // SAFETY: writable by the caller's promise.
            unsafe { *co = handle };
            GMX_OK
        }
        Err(e) => status::from(e),
    }
}

/// Resumes a coroutine: the caller waits until the coroutine yields or ends. Called by the coroutine itself (co is
/// gmx_self()), it yields: the coroutine stands still, and its resumer continues. What each side wrote to memory before
/// the switch, the other side sees.
///
/// Any goroutine or thread may resume a coroutine that stands still, each time another one. The coroutine runs in the
/// time slice of its resumer, on the resumer's thread if neither is locked to its own (gmx_lock_os_thread) and the
/// resumer is neither an attached nor a foreign thread; such a switch costs what gmx_yield does. Otherwise it goes
/// through the run queue.
///
/// If the coroutine waits for something else, its resumer waits too, and nothing ends that wait early. A C++ exception
/// that leaves the coroutine's function ends the process.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: with GMX_ECLOSED the coroutine is the library's again.
/// Returns: to the resumer GMX_OK when the coroutine has yielded, GMX_ECLOSED when its function has ended: the handle
/// is stale then. To the coroutine GMX_OK when it is resumed; GMX_ECANCELED when gmx_coro_free ends it, and then at
/// once for every later yield. GMX_EBUSY if the coroutine runs or waits, with another resumer; GMX_EINVAL for a
/// goroutine that is no coroutine; GMX_ESTALE; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_coro_switch(co: gmx_coro) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(coro::switch(*m, co)),
        Err(status) => status,
    }
}

/// Ends a coroutine that stands still. If it has begun, it is resumed once more, its yield returns GMX_ECANCELED, and
/// the caller waits until its function has ended; so the function can free what it owns. One that never began ends
/// without being run. A coroutine whose function has ended needs no gmx_coro_free.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread, until the coroutine's function has ended.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the coroutine is the library's again.
/// Returns: GMX_OK; GMX_ESTALE if it has ended, or never was; GMX_EBUSY if it runs or waits; GMX_EDEADLK for the
/// coroutine itself; GMX_EINVAL for a goroutine that is no coroutine; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_coro_free(co: gmx_coro) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(coro::close(*m, co)),
        Err(status) => status,
    }
}
