//! Goroutines
//!
//! A goroutine is a function that runs beside others, on a stack of its own, and costs a fraction of a microsecond and
//! a few KiB. Start one for each task rather than a pool of workers. gmx_spawn starts one whose end no caller waits
//! for; use a wait group, a scope or gmx_join where the end matters. gmx_park and gmx_ready are the means to build
//! objects that this library does not have.

use super::*;
use crate::block::{cancel, join, parking, spawn, waitq};
use crate::gmp::g::{GName, GRef, WaitReason, gflag};
use crate::gmp::m::{Ctx, MRef};
use crate::protocol::{lockedm, park, store};
use crate::sched::{keys, run};
use std::ffi::{c_char, c_void};

/// A goroutine: a handle is never used again, and 0 is no goroutine.
pub type gmx_g = u64;

/// A key for goroutine-local values. 0 is no key.
pub type gmx_key = u32;

/// gmx_spawn_opts.flags: the goroutine can be joined, and must be joined or detached.
pub const GMX_SPAWN_JOINABLE: u32 = 1;
/// gmx_spawn_opts.flags: the new goroutine begins at once, on the caller's P. The caller continues when the new
/// goroutine waits or ends; or at the same time as it, from the moment at which another P steals the caller. This makes
/// fork-join fast, and keeps the queues short.
///
/// The caller continues first, and the new goroutine runs next, in these cases: the caller is a thread of the host or a
/// goroutine that is locked to its thread, since that thread runs no other goroutine; it is pinned, in a syscall, in a
/// callback of the scheduler or has stopped the world, since it may not leave its P then; or there is no memory for the
/// new stack yet.
pub const GMX_SPAWN_CHILD_FIRST: u32 = 2;
/// gmx_spawn_opts.flags: when the goroutine has ended, however it ended, its stack is wiped before another goroutine
/// gets it: what is in memory is overwritten with zeros, and pages on a swap device are dropped.
///
/// It costs two calls of the system and the overwriting of the pages that the stack has in memory. Not wiped are
/// registers (the thread keeps those that a goroutine leaves until others overwrite them, and the system saves them
/// where it likes), what was written to a swap device, alternate signal stacks, and what the goroutine wrote elsewhere.
/// The descriptor keeps fn and arg until the next goroutine.
pub const GMX_SPAWN_WIPE: u32 = 4;
/// gmx_spawn_opts.flags: the new goroutine goes behind all others in the run queue of the caller's P, and not before
/// them. For a caller that spawns many and wants them to run in this order, or not yet. Not together with
/// GMX_SPAWN_CHILD_FIRST.
pub const GMX_SPAWN_LAST: u32 = 8;
/// gmx_spawn_opts.flags: the new goroutine is under the caller's current token from its start, until gmx_cancel_use
/// says otherwise, and the token lives as long as that. Without this flag a goroutine begins under no token, except in
/// a scope.
pub const GMX_SPAWN_INHERIT: u32 = 16;

/// gmx_spawn_opts.flags: the goroutine has a token of its own, which gmx_cancel_g cancels by the goroutine's handle. It
/// is the current token at the start, and it is freed when the goroutine ends. With GMX_SPAWN_INHERIT it is below the
/// caller's current token, otherwise below none.
pub const GMX_SPAWN_CANCELLABLE: u32 = 32;
/// gmx_spawn_opts.flags: the goroutine keeps its P while it calls nothing of the library, as with
/// GMX_CONFIG_PREEMPT_OFF. Others wait for it.
pub const GMX_SPAWN_NO_PREEMPT: u32 = 64;

/// The most bytes that gmx_spawn_copy copies.
pub const GMX_SPAWN_COPY_MAX: u32 = 128;
const _: () = assert!(GMX_SPAWN_COPY_MAX as usize == size_of::<crate::gmp::g::Copied>());

/// Usable bytes of the largest stack.
pub(super) const MAX_STACK: usize = 1 << 30;

/// How a goroutine is made. Zero is the default everywhere; struct_size is sizeof(gmx_spawn_opts) or 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_spawn_opts {
    /// sizeof(gmx_spawn_opts) of the caller.
    pub struct_size: usize,
    /// GMX_SPAWN_*.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Usable bytes of its stack, at most 1 GiB. 0: that of gmx_config. The library itself uses up to 2 KiB of them at
    /// any time (also for another goroutine, when this one is entered after it), and 8 KiB in gmx_gomaxprocs and
    /// gmx_set_default_gomaxprocs; a library built without optimization eight times as much. Room for the C library
    /// comes on top, and for the host's signal handlers without SA_ONSTACK: each needs 1 to 11 KiB for the registers of
    /// the CPU.
    pub stack_size: usize,
    /// Its name in dumps and reports, copied; 31 bytes are kept. NULL: none.
    pub name: *const c_char,
}

/// Starts a goroutine that runs fn(arg). It runs next on the caller's P, in the caller's time slice, or elsewhere if
/// there is an idle P. Only when the slice is over do goroutines that waited longer come before it.
///
/// The goroutine gets its stack when it first runs. While there is no memory for a stack, it waits.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ENOMEM; GMX_ESHUTDOWN from a thread of the host while the runtime
/// ends.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_spawn(r#fn: Option<extern "C" fn(*mut c_void)>, arg: *mut c_void) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let what = store::Spawn { entry: f as *mut c_void, arg, flags: 0, stack_size: 0, name: GName::NONE };
    match store::newproc(*m, &what) {
        Some(gp) => submit(*m, gp),
        None => GMX_ENOMEM,
    }
}

/// Starts a goroutine that runs fn with the address of a copy of the size bytes at args. The copy lies on the
/// goroutine's stack, is aligned to 16 bytes and lasts until fn has returned; nothing needs to be freed. Otherwise as
/// gmx_spawn.
///
/// ```c
/// struct job job = {.from = 0, .to = 100};
/// gmx_status status = gmx_spawn_copy(work, &job, sizeof job);
/// ```
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: args stays the caller's, and may go when the call is over.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL, size exceeds GMX_SPAWN_COPY_MAX, or args is NULL and size is not 0;
/// GMX_ENOMEM; GMX_ESHUTDOWN from a thread of the host while the runtime ends.
/// Since: 0.2
///
/// # Safety
/// `args` is readable for `size` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_spawn_copy(
    r#fn: Option<extern "C" fn(*mut c_void)>,
    args: *const c_void,
    size: usize,
) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    if size > GMX_SPAWN_COPY_MAX as usize || (args.is_null() && size != 0) {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise; size was checked.
    match unsafe { spawn::copying(*m, f, args.cast(), size) } {
        Some(gp) => submit(*m, gp),
        None => GMX_ENOMEM,
    }
}

/// Puts a new G where it will run.
#[inline(always)]
fn submit(m: MRef, gp: GRef) -> gmx_status {
    if park::start(m, gp) { GMX_OK } else { GMX_ESHUTDOWN }
}

/// As gmx_spawn, with options; NULL options are the defaults. Writes the handle to *g unless g is NULL.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no; yes with GMX_SPAWN_CHILD_FIRST.
/// Migrates: with GMX_SPAWN_CHILD_FIRST on a goroutine.
/// Cancellable: no.
/// Owns: a joinable goroutine's descriptor is the caller's until gmx_join or gmx_detach.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL, for unknown flags, for GMX_SPAWN_LAST with GMX_SPAWN_CHILD_FIRST, or for
/// a stack of more than 1 GiB; GMX_ENOMEM; GMX_ESHUTDOWN.
/// Since: 0.1
///
/// # Safety
/// `opts` is null or points to as many bytes as its `struct_size` says; `g` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_spawn_with(
    opts: *const gmx_spawn_opts,
    r#fn: Option<extern "C" fn(*mut c_void)>,
    arg: *mut c_void,
    g: *mut gmx_g,
) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    // SAFETY: the caller's promise.
    let opts = match unsafe { read_sized(opts) } {
        Ok(opts) => opts,
        Err(status) => return status,
    };
    let (mut flags, mut stack_size, mut name, mut child_first) = (0, 0, std::ptr::null(), false);
    if let Some(o) = opts {
        if o.flags & !(GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST) != 0 || o.reserved != 0 || o.stack_size > MAX_STACK {
            // SAFETY: the caller's promise.
            return unsafe { spawn_rarely(&o, f, arg, g) };
        }
        flags = if o.flags & GMX_SPAWN_JOINABLE != 0 { gflag::JOINABLE } else { 0 };
        child_first = o.flags & GMX_SPAWN_CHILD_FIRST != 0;
        stack_size = o.stack_size as u32;
        name = o.name;
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // SAFETY: `name` is null or terminated, by the caller's promise.
    let gp = match unsafe { new_g(*m, f, arg, flags, stack_size, name) } {
        Ok(gp) => gp,
        Err(status) => return status,
    };
    // SAFETY: the caller's promise.
    unsafe { send_off(*m, gp, g, child_first, submit) }
}

/// With options that most spawns do without, or wrong ones.
///
/// # Safety
/// As for gmx_spawn_with.
#[cold]
#[inline(never)]
#[track_caller]
unsafe fn spawn_rarely(
    o: &gmx_spawn_opts,
    f: extern "C" fn(*mut c_void),
    arg: *mut c_void,
    g: *mut gmx_g,
) -> gmx_status {
    let known = GMX_SPAWN_JOINABLE
        | GMX_SPAWN_CHILD_FIRST
        | GMX_SPAWN_WIPE
        | GMX_SPAWN_LAST
        | GMX_SPAWN_INHERIT
        | GMX_SPAWN_CANCELLABLE
        | GMX_SPAWN_NO_PREEMPT;
    let asked = |flag| o.flags & flag != 0;
    let (child_first, last) = (asked(GMX_SPAWN_CHILD_FIRST), asked(GMX_SPAWN_LAST));
    if o.flags & !known != 0 || child_first && last || o.reserved != 0 || o.stack_size > MAX_STACK {
        return wrong(GMX_EINVAL);
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let mut flags = if asked(GMX_SPAWN_JOINABLE) { gflag::JOINABLE } else { 0 };
    let mut stack_size = o.stack_size as u32;
    if asked(GMX_SPAWN_NO_PREEMPT) {
        flags |= gflag::NO_PREEMPT;
    }
    if asked(GMX_SPAWN_WIPE) {
        flags |= gflag::WIPE;
        // Its stack is not one of those that all have, though it may be as large.
        stack_size = match m.sched().stack_size_for(stack_size) {
            0 => m.sched().cfg.stack_size.get() as u32,
            size => size,
        };
    }
    let own = asked(GMX_SPAWN_CANCELLABLE);
    if own {
        flags |= gflag::CANCELLABLE;
    }
    // SAFETY: the caller's promise.
    let gp = match unsafe { new_g(*m, f, arg, flags, stack_size, o.name) } {
        Ok(gp) => gp,
        Err(status) => return status,
    };
    let mut submit: fn(MRef, GRef) -> gmx_status = if last { submit_last } else { submit };
    let above = if asked(GMX_SPAWN_INHERIT) { super::cancel::holder(*m) } else { None };
    if own || above.is_some() {
        // Checked here alone: a G that is forgotten later would leave its token to the next one.
        if m.p().is_none() {
            if m.sched().is_closing() {
                store::unmake(*m, gp);
                return GMX_ESHUTDOWN;
            }
            submit = |m, gp| {
                park::ready_queue(m, gp);
                GMX_OK
            };
        }
        let given = match above {
            above if own => cancel::give_own(*m, above, gp),
            Some(spawner) => {
                cancel::inherit(*m, spawner, gp);
                Ok(())
            }
            None => Ok(()),
        };
        if let Err(e) = given {
            store::unmake(*m, gp);
            return status::from(e);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { send_off(*m, gp, g, child_first, submit) }
}

fn submit_last(m: MRef, gp: GRef) -> gmx_status {
    if park::start_last(m, gp) { GMX_OK } else { GMX_ESHUTDOWN }
}

/// A new G, in no queue yet.
///
/// # Safety
/// `name` is null or terminated.
#[inline(always)]
unsafe fn new_g(
    m: MRef,
    f: extern "C" fn(*mut c_void),
    arg: *mut c_void,
    flags: u32,
    mut stack_size: u32,
    name: *const c_char,
) -> Result<GRef, gmx_status> {
    if stack_size != 0 {
        stack_size = own_size(m, stack_size, flags).ok_or(GMX_ENOMEM)?;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { copy_name(name) };
    let what = store::Spawn { entry: f as *mut c_void, arg, flags, stack_size, name };
    store::newproc(m, &what).ok_or(GMX_ENOMEM)
}

/// The size of a stack that is not as the others are; 0 if it may be. None: there is no memory for one.
#[inline(never)]
fn own_size(m: MRef, asked: u32, flags: u32) -> Option<u32> {
    let size = if flags & gflag::WIPE != 0 { asked } else { m.sched().stack_size_for(asked) };
    // One that is accepted can run some day.
    (size == 0 || m.sched().stacks.ensure(size as usize).is_ok()).then_some(size)
}

/// Starts a new G, and tells its handle before.
///
/// # Safety
/// `g` is null or writable.
#[inline(always)]
unsafe fn send_off(
    m: MRef,
    gp: GRef,
    g: *mut gmx_g,
    child_first: bool,
    submit: impl FnOnce(MRef, GRef) -> gmx_status,
) -> gmx_status {
    if child_first && m.ctx() == Ctx::G && m.pins() == 0 {
        if !g.is_null() {
            // SAFETY: writable by the caller's promise.
            unsafe { *g = gp.handle() };
        }
        park::run_child_first(m, gp);
        return GMX_OK;
    }
    if g.is_null() {
        return submit(m, gp);
    }
    // Written first: the goroutine may look at it as soon as it runs.
    // SAFETY: as above; what was there may be uninitialised, and is only put back.
    let before = unsafe { g.cast::<std::mem::MaybeUninit<gmx_g>>().replace(std::mem::MaybeUninit::new(gp.handle())) };
    let status = submit(m, gp);
    if status != GMX_OK {
        // SAFETY: as above.
        unsafe { g.cast::<std::mem::MaybeUninit<gmx_g>>().write(before) };
    }
    status
}

/// # Safety
/// `name` is null or terminated.
pub(super) unsafe fn copy_name(name: *const c_char) -> GName {
    if name.is_null() {
        return GName::NONE;
    }
    // SAFETY: the caller's promise; nothing behind the terminator is read.
    let len = unsafe { libc::strnlen(name, 31) };
    // SAFETY: the name has so many bytes before its terminator.
    GName::new(unsafe { std::slice::from_raw_parts(name.cast(), len) })
}

/// Waits until a joinable goroutine has ended. Its handle is stale then. Several callers may wait for the same
/// goroutine while it runs. If it has ended before, one caller gets GMX_OK, and the handle is stale for all others.
///
/// timeout: nanoseconds; GMX_FOREVER; 0 only looks.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: only by gmx_cancel_locks.
/// Owns: on GMX_OK the goroutine's descriptor is the library's again.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ESTALE for a handle that was joined or never was; GMX_EINVAL if the
/// goroutine cannot be joined; GMX_EDEADLK for itself; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_join(g: gmx_g, timeout: i64) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(join::join(*m, g, waitq::deadline_of(timeout))),
        Err(status) => status,
    }
}

/// Gives up the right to join a goroutine.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the goroutine's descriptor is the library's again.
/// Returns: GMX_OK; GMX_ESTALE; GMX_EINVAL if it cannot be joined; GMX_EBUSY while another caller waits for it.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_detach(g: gmx_g) -> gmx_status {
    match any() {
        Ok(m) => map(join::detach(*m, g)),
        Err(status) => status,
    }
}

/// Lets other goroutines of this P run first. From a thread of the host it yields the thread.
///
/// Blocks: the goroutine, for a moment.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_yield() -> gmx_status {
    if let Some(m) = free() {
        m.then(park::gosched_free).end();
        return GMX_OK;
    }
    yield_slow()
}

#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn yield_slow() -> gmx_status {
    match may_wait() {
        Ok(m) if m.ctx() == Ctx::G => {
            m.then(park::gosched).end();
            GMX_OK
        }
        Ok(_) => {
            crate::sys::yield_thread();
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Ends the calling goroutine from wherever it is; its stack is not unwound. What it held (a pin, a stopped world, a
/// syscall) is ended; its key destructors run.
///
/// Blocks: never.
/// Call from: G, also in a syscall, pinned or with the world stopped. Not an attached thread's, nor in a callback.
/// Safepoint: yes.
/// Migrates: does not return.
/// Cancellable: no.
/// Owns: what the goroutine had allocated stays allocated.
/// Returns: only if it may not: GMX_EPERM on an attached or a foreign thread or within gmx_callback, GMX_ENOTG in a
/// scheduler's callback.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_goexit() -> gmx_status {
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    if m.ctx() == Ctx::Sched {
        return wrong(GMX_ENOTG);
    }
    if m.is_extra() || park::running(*m).callbacks.get() != 0 {
        return wrong(GMX_EPERM);
    }
    run::goexit_now(park::running(*m))
}

/// The goroutine that the caller runs on.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: its handle; 0 on a foreign thread and in a scheduler's callback.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_self() -> gmx_g {
    own().map_or(0, |gp| gp.handle())
}

/// The number of the calling goroutine: small, counts up, for people and logs.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the number; 0 on a foreign thread and in a scheduler's callback.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_goid() -> u64 {
    own().map_or(0, |gp| gp.goid.get())
}

/// The bounds of the stack that the caller runs on, for a collector that scans it or an interpreter that guards its
/// recursion: [*lo, *hi), without the guard below. A goroutine has a stack of its own, and keeps it to its end.
/// Attached threads, callbacks on threads of the host, and foreign threads run on the stack of their thread; a
/// scheduler's callback may run on either.
///
/// Blocks: never. The first call on a thread of the host asks the C library, which reads a file of /proc on the main
/// thread and may allocate; later ones are some loads.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if lo or hi is NULL; GMX_ENOTSUP on a stack that belongs to neither the thread nor the
/// calling goroutine (coroutines of the host, sigaltstack, a child of fork on a goroutine's stack), and where the C
/// library does not know the thread's.
/// Since: 0.2
///
/// # Safety
/// `lo` and `hi` are null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_stack_bounds(lo: *mut *mut c_void, hi: *mut *mut c_void) -> gmx_status {
    if lo.is_null() || hi.is_null() {
        return wrong(GMX_EINVAL);
    }
    let Some((from, to)) = run::stack_bounds() else { return GMX_ENOTSUP };
    // SAFETY: the caller's promise.
    unsafe { lo.write(from.cast()) };
    // SAFETY: the caller's promise.
    unsafe { hi.write(to.cast()) };
    GMX_OK
}

/// The G of the caller, if it is on one.
#[inline]
pub(super) fn own() -> Option<GRef> {
    let m = MRef::current()?;
    match m.ctx() {
        Ctx::G | Ctx::Syscall => m.g(),
        Ctx::Stopped if m.p().is_some() => m.g(),
        _ => None,
    }
}

/// How many goroutines are alive: attached threads and threads in gmx_callback count, other threads of the host do not.
/// A glance, unless the world is stopped.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the count; 0 when the runtime is not up.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_num_g() -> i64 {
    rt::up().map_or(0, |sched| sched.num_g())
}

/// Parks the calling goroutine until gmx_ready. When the goroutine is off its stack, commit(arg, g) runs on the
/// scheduler's stack and publishes g to its future waker. The waker may ready g at once: the goroutine continues only
/// after commit has returned, so what commit uses may lie on its stack. If commit returns false the goroutine is not
/// parked. commit must not block. A NULL commit parks unconditionally.
///
/// One of gmx_ready and the token ends a park. commit runs in any case, also if the token is canceled already. After
/// GMX_ECANCELED a gmx_ready may still be on its way: take g back from where commit has put it before you park again,
/// otherwise it ends the next park.
///
/// reason: shown in dumps; must outlive the wait. NULL: "park".
///
/// Blocks: the calling goroutine; on a foreign thread, the thread.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK when it was readied, or was not parked; GMX_ECANCELED; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_park(
    commit: Option<extern "C" fn(*mut c_void, gmx_g) -> bool>,
    arg: *mut c_void,
    reason: *const c_char,
) -> gmx_status {
    match MRef::current() {
        Some(m) if m.is_free() && parking::is_alone(m) => {
            let m = Inside::enter(m);
            parking::park_alone(*m, commit, arg, WaitReason::host(reason));
            GMX_OK
        }
        _ => park_for(commit, arg, reason, FOREVER),
    }
}

#[inline(never)]
#[track_caller]
fn park_for(
    commit: Option<extern "C" fn(*mut c_void, gmx_g) -> bool>,
    arg: *mut c_void,
    reason: *const c_char,
    timeout: i64,
) -> gmx_status {
    match may_wait() {
        Ok(m) => tried(parking::park(*m, commit, arg, WaitReason::host(reason), timeout)),
        Err(status) => status,
    }
}

/// As gmx_park, but gives up after timeout nanoseconds: one of gmx_ready, the timeout and the token ends the park. With
/// 0 or less it returns GMX_OK only if commit returns false or readies g, or another does before commit returns.
///
/// ```c
/// gmx_status s = gmx_park_timeout(enqueue, &w, "reply", timeout);
/// if (s != GMX_OK) dequeue(&w);
/// return s;
/// ```
///
/// Blocks: as gmx_park, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: yes.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK when it was readied, or was not parked; GMX_ETIMEDOUT; GMX_ECANCELED; GMX_ENOMEM, and then commit
/// has not run; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_park_timeout(
    commit: Option<extern "C" fn(*mut c_void, gmx_g) -> bool>,
    arg: *mut c_void,
    reason: *const c_char,
    timeout: i64,
) -> gmx_status {
    park_for(commit, arg, reason, timeout)
}

/// Makes a goroutine runnable that gmx_park or gmx_park_timeout has parked.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if it is not parked (it runs, it waits for something else, or its park has ended
/// otherwise); GMX_ESTALE.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_ready(g: gmx_g) -> gmx_status {
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // Neither is a mistake: the goroutine may have ended, or its park may have ended otherwise, just now.
    let Some(gp) = m.sched().g_of(g) else { return GMX_ESTALE };
    if parking::ready(*m, gp, g) {
        GMX_OK
    } else if gp.handle_is(g) && !join::is_over(gp) {
        GMX_EPERM
    } else {
        GMX_ESTALE
    }
}

/// Ties the calling goroutine to its thread: the goroutine runs nowhere else, and no other goroutine runs there, until
/// gmx_unlock_os_thread was called once for each lock. If the goroutine ends before that, the thread ends too.
///
/// Blocks: never.
/// Call from: G, attached thread (which is tied already; calls are counted); also pinned, and with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the thread.
/// Returns: GMX_OK; GMX_EAGAIN after 2^32-1 locks; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_lock_os_thread() -> gmx_status {
    let m = match on_g_pinned() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let gp = park::running(*m);
    let Some(n) = gp.locks.get().checked_add(1) else { return GMX_EAGAIN };
    gp.locks.set(n);
    if n == 1 {
        lockedm::lock(*m, gp);
    }
    GMX_OK
}

/// Takes one gmx_lock_os_thread back.
///
/// Blocks: never.
/// Call from: G, attached thread; also pinned, and with the world stopped.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM without a lock; GMX_ENOTG, GMX_EINSYSCALL.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_unlock_os_thread() -> gmx_status {
    let m = match on_g_pinned() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let gp = park::running(*m);
    let Some(n) = gp.locks.get().checked_sub(1) else { return wrong(GMX_EPERM) };
    gp.locks.set(n);
    if n == 0 {
        lockedm::unlock(*m, gp);
    }
    GMX_OK
}

/// The M of a G with a P, pinned or not, also when it has stopped the world.
#[track_caller]
pub(super) fn on_g_pinned() -> Result<Inside, gmx_status> {
    let Some(m) = MRef::current() else { return Err(wrong(GMX_ENOTG)) };
    match m.ctx() {
        Ctx::G => Ok(Inside::enter(m)),
        Ctx::Stopped if m.p().is_some() => Ok(Inside::enter(m)),
        _ => Err(why_not(m)),
    }
}

/// Makes a key under which each goroutine has a value of its own, NULL at first. destructor, unless NULL, is called on
/// the goroutine at its end with a value that is not NULL.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the key is the caller's until gmx_key_delete.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL; GMX_EAGAIN when 64 keys are in use.
/// Since: 0.1
///
/// # Safety
/// `out` is null or writable.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_key_create(
    destructor: Option<extern "C" fn(*mut c_void)>,
    out: *mut gmx_key,
) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    match started().and_then(|m| m.sched().gkeys.create(destructor).ok_or(GMX_EAGAIN)) {
        Ok((key, _)) => {
            // SAFETY: the caller's promise.
            unsafe { *out = key };
            GMX_OK
        }
        Err(status) => status,
    }
}

/// Ends a key. Values that goroutines still have under it are forgotten, without the destructor.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: what the values point to stays the caller's.
/// Returns: GMX_OK; GMX_EINVAL for a key that is not valid.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_key_delete(key: gmx_key) -> gmx_status {
    match any() {
        Ok(m) if m.sched().gkeys.delete(key) => GMX_OK,
        Ok(_) => wrong(GMX_EINVAL),
        Err(status) => status,
    }
}

/// Sets the calling goroutine's value under a key.
///
/// Blocks: never.
/// Call from: G, attached thread, also in a syscall or a stopped world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the destructor gets the value at the goroutine's end; a value that is replaced stays the caller's.
/// Returns: GMX_OK; GMX_EINVAL for a key that is not valid; GMX_ENOMEM; GMX_ENOTG on a foreign thread or in a
/// scheduler's callback.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_key_set(key: gmx_key, value: *mut c_void) -> gmx_status {
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match own() {
        Some(gp) => map(keys::key_set(gp, m.sched(), key, value)),
        None => wrong(GMX_ENOTG),
    }
}

/// The calling goroutine's value under a key.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the value; NULL if none was set, for a key that is not valid, and where there is no goroutine.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_key_get(key: gmx_key) -> *mut c_void {
    match (MRef::current(), own()) {
        (Some(m), Some(gp)) => keys::key_get(gp, m.sched(), key),
        _ => std::ptr::null_mut(),
    }
}
