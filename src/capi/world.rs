//! The world
//!
//! Stopping the world is for what must see every goroutine at rest: a collector, a checkpoint, a change of tables that
//! all read. It costs what the slowest goroutine needs to its next safe point. Where each processor may be served at
//! its own time, gmx_for_each_p costs less.

use super::*;
use crate::block::spawn;
use crate::fiber::stack::Stack;
use crate::gmp::g::{GRef, GStatus, gflag};
use crate::gmp::m::{Ctx, MRef};
use crate::protocol::{park, preempt, seize};
use crate::rt::report;
use crate::sched::world;
use crate::sync::{Ordering, now};
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
/// gmx_g_info.status: held at an instruction of the host's code, by a stop with GMX_STOP_ANYWHERE or before it.
pub const GMX_G_HELD: i32 = 10;

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
    /// its thread lie in it too; those of a held one lie in [regs_lo, regs_hi). In a syscall the used part begins at
    /// the caller of gmx_enter_syscall, and the callee-saved registers need not lie in it: under a collector that
    /// caller spills them first (setjmp, __builtin_unwind_init). NULL without a stack, and for the caller's own.
    pub sp: *mut c_void,
    pub r#fn: Option<extern "C" fn(*mut c_void)>,
    pub arg: *mut c_void,
    /// The system's id of the thread that it is tied to, or that is in its syscall; 0 if there is none.
    pub thread: i32,
    pub reserved: u32,
    /// GMX_G_HELD: its registers, with the vectors, lie at multiples of 8 in [regs_lo, regs_hi), to be scanned like a
    /// stack. Otherwise NULL.
    pub regs_lo: *mut c_void,
    pub regs_hi: *mut c_void,
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
    unsafe { stop(reason, FOREVER, false) }
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
    // SAFETY: the caller's promise.
    unsafe { stop(reason, timeout, false) }
}

/// gmx_stop_opts.flags: goroutines that compute in the host's code are held where they are, at any instruction.
pub const GMX_STOP_ANYWHERE: u32 = 1;

/// How the world is stopped. Zero is the default everywhere; struct_size is sizeof(gmx_stop_opts) or 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_stop_opts {
    /// sizeof(gmx_stop_opts) of the caller.
    pub struct_size: usize,
    /// GMX_STOP_*.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
    /// For reports. NULL: none.
    pub reason: *const c_char,
    /// In nanoseconds; a negative one has passed already. 0: no limit, as GMX_FOREVER.
    pub timeout: i64,
}

/// Stops the world as gmx_stop_the_world_timeout does, with options. With GMX_STOP_ANYWHERE it does not wait for safe
/// points: a goroutine that computes is held where it is at its next tick of the system's clock, some milliseconds
/// later, without EINTR, and continues at the same instruction when the world starts. gmx_for_each_g shows it as
/// GMX_G_HELD, with its registers.
///
/// A held goroutine may hold every lock of the host, that of malloc too. So until gmx_start_the_world the caller does
/// nothing that locks or allocates: what it may do is what the child of a fork may do. It makes what it needs before.
///
/// These are not held. The call waits for them, and a report names them if the time is up:
/// - a goroutine that sleeps in the system without gmx_enter_syscall, until it wakes. It may wake at any moment, and
///   the system keeps its registers. If it sleeps for a lock that a held goroutine has, it would never wake: so the
///   call lets the world run every now and then, and begins again. Goroutines that compete for one lock of the host
///   may keep it from coming to an end, hence give it a timeout;
/// - a goroutine that is pinned, that was spawned with GMX_SPAWN_NO_PREEMPT, that blocks gmx_config.preempt_signal, or
///   that is a thread of the host: until its next call of the library.
///
/// opts: NULL for the defaults.
///
/// Blocks: as gmx_stop_the_world, no longer than the timeout of opts. With GMX_STOP_ANYWHERE for no safe point.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: the world, if GMX_OK.
/// Returns: GMX_OK; GMX_EINVAL for unknown flags; GMX_ENOTSUP for GMX_STOP_ANYWHERE where no thread is held: see
/// GMX_CONFIG_PREEMPT_NO_SIGNAL; GMX_ETIMEDOUT; GMX_ENOTG, GMX_EINSYSCALL; GMX_ENOMEM; GMX_ESHUTDOWN.
/// Since: 0.2
///
/// # Safety
/// `opts` is null or points to as many bytes as its `struct_size` says; its `reason` is null or terminated.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_stop_the_world_with(opts: *const gmx_stop_opts) -> gmx_status {
    // SAFETY: the caller's promise.
    let (flags, reserved, reason, timeout) = match unsafe { read_sized(opts) } {
        Ok(Some(o)) => (o.flags, o.reserved, o.reason, if o.timeout == 0 { FOREVER } else { o.timeout }),
        Ok(None) => (0, 0, std::ptr::null(), FOREVER),
        Err(status) => return status,
    };
    if flags & !GMX_STOP_ANYWHERE != 0 || reserved != 0 {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: as above.
    unsafe { stop(reason, timeout, flags & GMX_STOP_ANYWHERE != 0) }
}

/// # Safety
/// `reason` is null or terminated.
#[track_caller]
unsafe fn stop(reason: *const c_char, timeout: i64, anywhere: bool) -> gmx_status {
    let m = match may_wait() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let mut late = world::Latecomers::default();
    let begun = now();
    // SAFETY: the caller's promise.
    let reason = if reason.is_null() { c"" } else { unsafe { std::ffi::CStr::from_ptr(reason) } };
    let stopped = match anywhere {
        true if !m.sched().cfg.nudges.get() => return GMX_ENOTSUP,
        true => world::stop_the_world_anywhere_because(*m, reason.to_bytes(), timeout, &mut late),
        false => world::stop_the_world_because(*m, reason.to_bytes(), timeout, |one| late.add(one)),
    };
    if stopped.is_err() && late.n > 0 {
        report::stop_timed_out(reason.to_bytes(), now() - begun, &late, anywhere);
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
        _ => wrong(GMX_EPERM),
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
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
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
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    let m = match MRef::current() {
        Some(m) if m.ctx() == Ctx::Stopped => Inside::enter(m),
        _ => return wrong(GMX_EPERM),
    };
    // A thread of the host that only waits in here is no goroutine.
    for gp in report::live_gs(m.sched()).filter(|gp| !gp.has(gflag::THREAD_WAIT)) {
        let status = match gp.status() {
            GStatus::Suspended => GStatus::Waiting,
            GStatus::Interruptible => GStatus::Parked,
            status => status,
        };
        let held = seize::registers_of(gp);
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
            status: if held.is_some() { GMX_G_HELD } else { status as i32 },
            wait_reason: if waits { gp.wait_reason.get() } else { std::ptr::null() },
            since_ns: if waits { gp.wait_since.get() } else { 0 },
            stack_lo: stack.map_or(std::ptr::null_mut(), |s| s.lo().cast()),
            stack_hi: stack.map_or(std::ptr::null_mut(), |s| s.hi.cast()),
            sp: stack.filter(|_| !own).map_or(std::ptr::null_mut(), |stack| used_from(gp, stack, held.is_some())),
            // SAFETY: the spawner stored a function of this type, or nothing.
            r#fn: unsafe { std::mem::transmute::<*mut c_void, Option<extern "C" fn(*mut c_void)>>(f_run) },
            arg: f_arg,
            thread: if tied { on.map_or(0, |m| m.tid.get()) } else { 0 },
            reserved: 0,
            regs_lo: held.map_or(std::ptr::null_mut(), |(lo, _)| lo.cast()),
            regs_hi: held.map_or(std::ptr::null_mut(), |(_, hi)| hi.cast()),
        };
        m.call_host(|| crate::sys::call::look(f, arg, &info));
    }
    GMX_OK
}

/// Where the used part of a stack begins. A goroutine that was held on a stack of the host (in a handler of its
/// signals) may use all of its own.
fn used_from(gp: GRef, stack: Stack, held: bool) -> *mut c_void {
    let sp = gp.sp.get();
    if held && !(stack.lo()..=stack.hi).contains(&sp) { stack.lo().cast() } else { sp.cast() }
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
    // It fails where the caller is locked too often to count.
    let locked = MRef::current().is_some_and(|m| m.ctx() == Ctx::G) && gmx_lock_os_thread() == GMX_OK;
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
