//! The world
//!
//! Stopping the world is for what must see every goroutine at rest: a collector, a checkpoint, a change of tables that
//! all read. It costs what the slowest goroutine needs to its next safe point. Where each processor may be served at
//! its own time, gmx_for_each_p costs less.

use super::*;
use crate::block::spawn;
use crate::gmp::g::{GStatus, gflag};
use crate::gmp::m::{Ctx, MRef};
use crate::protocol::stw::Late;
use crate::protocol::{park, preempt};
use crate::rt::report;
use crate::sched::world;
use crate::sync::Ordering;
use crate::sys::arch;
use std::ffi::{c_char, c_void};

/// gmx_g_info.status: in a run queue.
pub const GMX_G_RUNNABLE: i32 = 1;
/// gmx_g_info.status: on a thread, with a P.
pub const GMX_G_RUNNING: i32 = 2;
/// gmx_g_info.status: between enter and exit of a syscall.
pub const GMX_G_SYSCALL: i32 = 3;
/// gmx_g_info.status: waits.
pub const GMX_G_WAITING: i32 = 4;
/// gmx_g_info.status: parked by gmx_park.
pub const GMX_G_PARKED: i32 = 5;

/// A goroutine, as gmx_for_each_g shows it. Pointers in it are good during the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_g_info {
    /// sizeof(gmx_g_info) of the library.
    pub struct_size: usize,
    pub g: gmx_g,
    pub goid: u64,
    /// Never NULL; "" if it has none.
    pub name: *const c_char,
    /// GMX_G_*.
    pub status: i32,
    /// Why it waits; NULL if it does not.
    pub wait_reason: *const c_char,
    /// gmx_now() when it began to wait, to 10 ms or so; 0 if it does not.
    pub since_ns: i64,
    /// Its stack: [stack_lo, stack_hi). NULL if it has none: it never ran, or it runs on a thread of the host.
    pub stack_lo: *mut c_void,
    pub stack_hi: *mut c_void,
    /// The used part of the stack is [sp, stack_hi), which a collector scans. The registers of a goroutine that is off
    /// its thread lie in it too. In a syscall the used part begins at the caller of gmx_enter_syscall, and the
    /// callee-saved registers need not lie in it: under a collector that caller spills them first (setjmp,
    /// __builtin_unwind_init). NULL without a stack, and for the caller's own.
    pub sp: *mut c_void,
    pub r#fn: Option<extern "C" fn(*mut c_void)>,
    pub arg: *mut c_void,
    /// The system's id of the thread that it is tied to, or that is in its syscall; 0 if there is none.
    pub thread: i32,
    pub reserved: u32,
}

/// Stops the world: on return no goroutine runs but the caller, and none starts until gmx_start_the_world. Goroutines
/// in syscalls may be anywhere in the host's code, but wait at gmx_exit_syscall. The caller must not block meanwhile.
///
/// reason: for reports. NULL: none.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread, until every running goroutine has passed a safe
/// point.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the world, until gmx_start_the_world by the same caller.
/// Returns: GMX_OK; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM; GMX_ESHUTDOWN.
/// Since: 0.1
///
/// # Safety
/// `reason` is null or terminated.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_stop_the_world(reason: *const c_char) -> gmx_status {
    // SAFETY: the caller's promise.
    unsafe { gmx_stop_the_world_timeout(reason, FOREVER) }
}

/// As gmx_stop_the_world, but gives up after timeout nanoseconds: the world runs then, and a report names the
/// goroutines that did not come to a safe point.
///
/// Blocks: as gmx_stop_the_world, no longer than timeout.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the world, if GMX_OK.
/// Returns: GMX_OK; GMX_ETIMEDOUT; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM; GMX_ESHUTDOWN.
/// Since: 0.1
///
/// # Safety
/// `reason` is null or terminated.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_stop_the_world_timeout(reason: *const c_char, timeout: i64) -> gmx_status {
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    // Fixed room: nothing may be allocated while others hold still.
    let mut late: [Option<Late>; 64] = [None; 64];
    let mut n = 0;
    let stopped = world::stop_the_world(*m, timeout, |p| {
        if let Some(slot) = late.get_mut(n) {
            *slot = Some(p);
        }
        n += 1;
    });
    if stopped.is_err() && n > 0 {
        // SAFETY: the caller's promise.
        let reason = if reason.is_null() { c"" } else { unsafe { std::ffi::CStr::from_ptr(reason) } };
        report::stop_timed_out(reason.to_bytes(), late.iter().flatten().copied(), n);
    }
    map(stopped)
}

/// Starts the world that the caller has stopped.
///
/// Blocks: never.
/// Call from: the caller that stopped it.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if the caller has not stopped it.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_start_the_world() -> gmx_status {
    match MRef::current() {
        Some(m) if m.ctx() == Ctx::Stopped => {
            let m = Inside::enter(m);
            world::start_the_world(*m);
            GMX_OK
        }
        _ => GMX_EPERM,
    }
}

/// A ragged barrier: runs fn(arg) once for every P. The thread that holds the P runs it at a safe point; for an idle P
/// another thread does, and for one whose goroutine calls nothing of the library and may lose its P
/// (GMX_CONFIG_PREEMPT_OFF, GMX_SPAWN_NO_PREEMPT, gmx_pin). On return fn has run for every P. In fn gmx_pin returns the
/// number of the P, and P-local values are those of the P. fn must be short and must not block; it may spawn, ready and
/// release. A call waits for other calls, for gmx_gomaxprocs and for stops of the world to end.
///
/// Blocks: the calling goroutine; on a foreign thread, the thread, until every running goroutine that keeps its P has
/// passed a safe point.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: arg stays the caller's, and is used by several threads at the same time.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_for_each_p(r#fn: Option<unsafe extern "C" fn(*mut c_void)>, arg: *mut c_void) -> gmx_status {
    let Some(f) = r#fn else { return GMX_EINVAL };
    match may_wait() {
        Ok(m) => map(world::for_each_p(*m, f, arg)),
        Err(status) => status,
    }
}

/// Calls fn(arg, info) for every goroutine, in a world that the caller has stopped: for a collector that scans roots,
/// or for a look at everything. Attached threads and threads in a callback are among them; their stacks are the host's.
///
/// Blocks: never.
/// Call from: a caller that has stopped the world.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: info is the library's, good during the call.
/// Returns: GMX_OK; GMX_EINVAL if fn is NULL; GMX_EPERM if the caller has not stopped the world.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_for_each_g(
    r#fn: Option<extern "C" fn(*mut c_void, *const gmx_g_info)>,
    arg: *mut c_void,
) -> gmx_status {
    let Some(f) = r#fn else { return GMX_EINVAL };
    let m = match MRef::current() {
        Some(m) if m.ctx() == Ctx::Stopped => Inside::enter(m),
        _ => return GMX_EPERM,
    };
    // A thread of the host that only waits in here is no goroutine.
    for gp in report::live_gs(m.sched()).filter(|gp| !gp.has(gflag::THREAD_WAIT)) {
        let status = match gp.status() {
            GStatus::Suspended => GStatus::Waiting,
            GStatus::Interruptible => GStatus::Parked,
            status => status,
        };
        let waits = status.waits();
        let own = m.g() == Some(gp);
        let tied = status == GStatus::Syscall || own || !gp.lockedm.is_null();
        // SAFETY: the world is stopped.
        let stack = unsafe { gp.stack() };
        // SAFETY: the field holds null or an M.
        let on = unsafe { MRef::from_ptr(gp.m.get()) };
        let name = gp.name();
        let (f_run, f_arg) = spawn::call_of(gp);
        let info = gmx_g_info {
            struct_size: std::mem::size_of::<gmx_g_info>(),
            g: gp.handle(),
            goid: gp.goid.get(),
            name: name.as_ptr(),
            status: status as i32,
            wait_reason: if waits { gp.wait_reason.get() } else { std::ptr::null() },
            since_ns: if waits { gp.wait_since.get() } else { 0 },
            stack_lo: stack.map_or(std::ptr::null_mut(), |s| s.lo().cast()),
            stack_hi: stack.map_or(std::ptr::null_mut(), |s| s.hi.cast()),
            sp: if own || stack.is_none() { std::ptr::null_mut() } else { gp.sp.get().cast() },
            // SAFETY: the spawner stored a function of this type, or nothing.
            r#fn: unsafe { std::mem::transmute::<*mut c_void, Option<extern "C" fn(*mut c_void)>>(f_run) },
            arg: f_arg,
            thread: if tied { on.map_or(0, |m| m.tid.get()) } else { 0 },
            reserved: 0,
        };
        m.call_host(|| crate::sys::call::look(f, arg, &info));
    }
    GMX_OK
}

/// A safe point for loops that call nothing of this library: one load and a branch while there is no request. Inline,
/// unless GMX_NO_INLINE is defined or the compiler is neither GCC nor Clang.
///
/// Blocks: the goroutine, while the world is stopped or its time slice is over; else never.
/// Call from: every context; it does nothing where the caller cannot be asked to stop.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: nothing.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_safepoint() {
    if rt::gmx_poll_word.load(std::sync::atomic::Ordering::Relaxed) != 0 {
        gmx_safepoint_slow();
    }
}

/// What gmx_safepoint calls when a request is pending: yields to a stop, a barrier, or because the slice is over. Does
/// nothing where the caller cannot yield.
///
/// Blocks: the goroutine, until it runs again.
/// Call from: every context.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_safepoint_slow() -> gmx_status {
    if let Some(m) = MRef::current()
        && m.ctx() == Ctx::G
        && m.pins() == 0
    {
        let m = Inside::enter(m);
        if preempt::answer(*m, park::running(*m)) {
            park::safepoint(*m);
        }
    }
    GMX_OK
}

/// What code that was built with polls (the package gomax-poll) calls when gmx_poll_word is not zero. It does as
/// gmx_safepoint_slow, and keeps every register of the caller, except the flags and what SVE adds to the vectors: so a
/// loop that polls has nothing to save. It may be called with a stack that is not aligned, and on x86-64 with values on
/// the stack of the x87. LLVM's calling convention preserve_all asks for a part of this. Compilers call it by the
/// address in the GOT, because lazy binding loses registers. If the rounding mode or another mode of the caller's
/// floating-point unit is not the default, it does as gmx_poll_slow_tied.
///
/// Blocks: the goroutine, until it runs again.
/// Call from: every context; it does nothing where the caller cannot yield.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: nothing.
/// Since: 0.2
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_poll_slow() {
    arch::keep::keep_registers!(poll)
}

/// As gmx_poll_slow, but the goroutine continues on the same thread, as if it had been locked to it
/// (gmx_lock_os_thread). For code that holds the address of a thread-local variable across the poll.
///
/// Blocks: the goroutine, until it runs again.
/// Call from: every context; it does nothing where the caller cannot yield.
/// Safepoint: yes.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: nothing.
/// Since: 0.2
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_poll_slow_tied() {
    arch::keep::keep_registers!(poll_tied)
}

extern "C" fn poll() {
    if arch::keep::float_modes_are_default() {
        gmx_safepoint_slow();
    } else {
        poll_tied();
    }
}

extern "C" fn poll_tied() {
    // It fails where the caller cannot yield, or is locked too often to count.
    let locked = gmx_lock_os_thread() == GMX_OK;
    gmx_safepoint_slow();
    if locked {
        gmx_unlock_os_thread();
    }
}

/// A word of the calling goroutine: not zero while the goroutine is asked to yield, otherwise 0. It is for loops that a
/// compiler emits and for hooks of interpreters. The address stays the same to the end of the goroutine, whatever
/// thread it is on. The word is only read, as a volatile one; if it is not zero, call gmx_safepoint_slow.
///
/// ```c
/// const volatile uint32_t *asked = gmx_preempt_word();
/// for (size_t i = 0; i < n; i++) {
///   if (*asked) gmx_safepoint_slow();
///   work(i);
/// }
/// ```
///
/// gmx_poll_word is one word for all goroutines: it is not zero while there is a request to any of them, and then each
/// goroutine that polls it calls the library. The word of this function concerns its own goroutine only, and may be set
/// some milliseconds later, a slice at most.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: the word is the library's.
/// Returns: its address; on a foreign thread and in a scheduler's callback that of a word that is always 0. Never NULL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_preempt_word() -> *const u32 {
    static NEVER: u32 = 0;
    match (MRef::current(), super::g::own()) {
        (Some(m), Some(gp)) => {
            m.sched().tells.store(true, Ordering::Relaxed);
            gp.asked.as_ptr()
        }
        _ => &raw const NEVER,
    }
}
