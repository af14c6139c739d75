//! Runtime
//!
//! Most programs call nothing of this section but gmx_main: it starts the runtime, runs a function as the first
//! goroutine and returns when that has ended. A library, or a program whose main thread belongs to another framework,
//! calls gmx_spawn and leaves the rest to the defaults. gmx_init is for other options, gmx_shutdown for hosts that
//! unload the library or want its threads ended.

use super::*;
use crate::gmp::m::{Ctx, MRef};
use crate::rt::config::{Guards, Options, Preempt};
use std::ffi::{c_char, c_void};

/// gmx_config.flags: the library does not handle SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT. So it reports no stack
/// overflow, and no other fault in a goroutine. GMXDEBUG=sigsegv=0 does the same.
pub const GMX_CONFIG_NO_SIGSEGV: u32 = 1;
/// gmx_config.flags: the library does not call membarrier. Instead each goroutine executes a fence when it enters and
/// when it leaves a syscall. GMXDEBUG=membarrier=0 does the same.
pub const GMX_CONFIG_NO_MEMBARRIER: u32 = 4;
/// gmx_config.flags: the library opens no file of /proc or of a cgroup. So it does not read the CPU quota, reports no
/// deadlock, and uses up to a quarter of 65530 mappings for guards of stacks; gmx_stack_bounds returns GMX_ENOTSUP on
/// the stack of the main thread; and if gmx_init is called on another thread, the library's threads get the signal mask
/// of that thread.
pub const GMX_CONFIG_NO_FILES: u32 = 8;
/// gmx_config.flags: gmx_init makes all threads, and the stacks and descriptors of all goroutines. From then on to the
/// end of gmx_shutdown the library makes no thread and no mapping: it calls none of clone, mmap, mremap, mprotect,
/// prctl and sigaltstack. (If its memory is used up it calls malloc, which may map: it is the host's, see mallopt.)
/// maxprocs, max_threads and max_goroutines must be given. max_threads is at least maxprocs, and one more for each
/// goroutine that is in a blocking call or locked to its thread at the same time. Beyond these numbers gmx_spawn
/// returns GMX_ENOMEM, and goroutines wait for a thread or a stack. A stack_size of gmx_spawn_with above that of
/// gmx_config gets GMX_ENOMEM.
pub const GMX_CONFIG_ALL_AT_START: u32 = 16;

/// gmx_config.flags: code that calls nothing of the library holds others up, for as long as it runs.
///
/// Without the flag another thread takes the P from it, at the end of its slice, and when a resize or a barrier needs
/// that P; a pinned goroutine keeps its P. The goroutine stays on its thread. While it sleeps in the system the thread
/// is left alone, so a call that blocks needs no gmx_enter_syscall; if it computes, the thread is held between two
/// instructions until it has a P again. The signal for that (SIGURG, from a timer on the thread's own CPU clock)
/// interrupts no system call. On one P, other goroutines may so run between two calls of the library, as they do on
/// several. Values of gmx_p_get stay this goroutine's only while it is pinned. A stop of the world waits for a safe
/// point.
///
/// With the flag goroutines on one P take turns only inside calls of the library. That is also so without membarrier.
/// GMXDEBUG=preempt=0 does the same, and preempt=1 the opposite.
pub const GMX_CONFIG_PREEMPT_OFF: u32 = 256;
/// gmx_config.flags: no thread is held, and no signal is used. A goroutine that computes on at the end of its slice
/// loses its P all the same, so more threads compute than there are Ps. It is also so where the system has no such
/// timers, before Linux 5.10, and with GMX_CONFIG_ALL_AT_START. GMXDEBUG=preempt=nosignal does the same.
pub const GMX_CONFIG_PREEMPT_NO_SIGNAL: u32 = 512;

const CONFIG_FLAGS: u32 = GMX_CONFIG_NO_SIGSEGV
    | GMX_CONFIG_NO_MEMBARRIER
    | GMX_CONFIG_NO_FILES
    | GMX_CONFIG_ALL_AT_START
    | GUARD_FLAGS
    | GMX_CONFIG_NO_STACK_DUMP
    | GMX_CONFIG_ADDRESSES
    | GMX_CONFIG_PREEMPT_OFF
    | GMX_CONFIG_PREEMPT_NO_SIGNAL;

/// As many as handles can name.
const MOST_GOROUTINES: usize = crate::gmp::g::INDEX_MASK as usize;

/// gmx_config.flags: no goroutine runs on a stack without a guard. Before Linux 6.13, and in a process that locks its
/// memory, guards cost mappings, of which the library takes a share (a quarter of vm.max_map_count). When that share is
/// used up, or the system makes no mappings, a spawn returns GMX_ENOMEM and changes nothing, and a timer that starts
/// goroutines tries again later. A goroutine that was spawned before guards became scarce (the host locked its memory
/// meanwhile) waits for a stack that has one. GMXDEBUG=guard=none has no effect.
///
/// It is the default in a process that has more rights than its starter (set-user-ID, file capabilities; AT_SECURE).
pub const GMX_CONFIG_GUARD_REQUIRED: u32 = 2;
/// gmx_config.flags: goroutines run on stacks without a guard if there are no more guards;
/// gmx_mem_stats.stacks_unguarded counts such stacks, and the first one is reported. The default, except in a process
/// that has more rights than its starter.
pub const GMX_CONFIG_GUARD_OPTIONAL: u32 = 32;

/// gmx_config.flags: cores of this process do not contain the stacks of goroutines (MADV_DONTDUMP). They contain the
/// registers of each thread, and the stacks of threads, on which callbacks of the scheduler run.
pub const GMX_CONFIG_NO_STACK_DUMP: u32 = 64;
/// gmx_config.flags: dumps and reports contain addresses: of stacks, arguments, channels and locks. Without the flag a
/// short name stands for each address (#3f9a1c): the reader sees which objects are the same, and not where they are.
/// GMXDEBUG=addresses=1 does the same. A report of a fault contains its address in any case.
pub const GMX_CONFIG_ADDRESSES: u32 = 128;

const GUARD_FLAGS: u32 = GMX_CONFIG_GUARD_REQUIRED | GMX_CONFIG_GUARD_OPTIONAL;

/// The options of the runtime. Zero is the default everywhere; struct_size is sizeof(gmx_config) or 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_config {
    /// sizeof(gmx_config) of the caller. A smaller struct of an older header is fine.
    pub struct_size: usize,
    /// Number of Ps. 0: GMX_MAXPROCS of the environment, at most 16 times gmx_num_cpu; else what the machine offers
    /// (see gmx_num_cpu), followed while it changes.
    pub maxprocs: i32,
    /// GMX_CONFIG_*.
    pub flags: u32,
    /// Usable bytes of a goroutine's stack. 0: 262144.
    pub stack_size: usize,
    /// Bytes of the stack of each thread that the library makes; barrier functions and commits run there. 0: 262144.
    pub g0_stack_size: usize,
    /// Time slice in nanoseconds after which a goroutine yields at its next safe point. 0: 10000000.
    pub slice_ns: i64,
    /// The highest number of worker threads. Beyond it a goroutine waits until a thread is free. 0: 10000.
    pub max_threads: i32,
    /// Called with what the library has to tell on its own, from any thread: a deadlock, a lack of threads or of memory
    /// for stacks while nothing moves, gomaxprocs that cannot follow the machine, a stop-the-world that timed out, a
    /// stack overflow or a fault in a goroutine (then in a signal handler), a broken invariant, a variable of the
    /// environment that was not understood; and once for each goroutine that computes without calling the library, when
    /// 200 slices were taken from it. text is not terminated. NULL: written to stderr, except the last one, for which
    /// GMXDEBUG=hogs=1 asks.
    pub report: Option<extern "C" fn(arg: *mut c_void, text: *const c_char, len: usize)>,
    /// Passed to report.
    pub report_arg: *mut c_void,
    /// With GMX_CONFIG_ALL_AT_START: goroutines, and threads of the host that call in, at the same time. Otherwise 0.
    pub max_goroutines: usize,
    /// Called with a goroutine that is asked to yield, for a stop, a barrier or the end of its slice: for a host whose
    /// interpreter looks at a flag of its own (lua_sethook, sqlite3_interrupt), and not at gmx_preempt_word. The call
    /// comes once, and again every tenth of a second until the goroutine has yielded; gmx_safepoint_slow, gmx_yield and
    /// every wait yield. The call may come late: the goroutine may have yielded already, or have ended.
    ///
    /// Called by the watchdog and by callers of gmx_stop_the_world, gmx_gomaxprocs and gmx_for_each_p, several at a
    /// time, as a callback of the scheduler: it may call what never blocks. It must not wait for anything, not for a
    /// lock of the host's either: slices, timers and stops would wait with it. NULL: none.
    pub on_preempt: Option<extern "C" fn(arg: *mut c_void, g: u64)>,
    /// Called on each thread that the library makes for goroutines, before the first one runs there: to name it, to
    /// register it with a collector, to set its affinity, to unblock a signal. It may call what never blocks. It may
    /// take its time, because no goroutine waits for it. Not called on the library's watchdog, on the thread that makes
    /// the others, and on threads of the host. NULL: none.
    pub on_thread_start: Option<extern "C" fn(arg: *mut c_void)>,
    /// Called on such a thread after its last goroutine, before the thread ends; gmx_shutdown waits for it. NULL: none.
    pub on_thread_end: Option<extern "C" fn(arg: *mut c_void)>,
    /// Passed to these three.
    pub on_arg: *mut c_void,
    /// The number of the signal by which threads are held that call nothing of the library. The library puts its
    /// handler before that of the host, and passes on what is not from its timers. 0: SIGURG, which debuggers pass on
    /// silently.
    pub preempt_signal: i32,
    /// 0.
    pub reserved: i32,
}

/// Fills a gmx_config with the defaults: zeros, and its struct_size.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL.
/// Since: 0.1
///
/// # Safety
/// `out` is null or points to a `gmx_config`.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_config_default(out: *mut gmx_config) -> gmx_status {
    if out.is_null() {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise. All bytes are set, those between the fields too.
    unsafe { out.write_bytes(0, 1) };
    // SAFETY: zero is a value of each field.
    unsafe { (*out).struct_size = std::mem::size_of::<gmx_config>() };
    GMX_OK
}

/// Starts the runtime with these options. Optional: the first call that needs the runtime starts it with the defaults.
///
/// Blocks: never; with GMX_CONFIG_ALL_AT_START the thread, until all threads have begun.
/// Call from: foreign threads.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: config is read during the call; its functions and their arguments stay in use until gmx_shutdown.
/// Returns: GMX_OK; GMX_EBUSY if the runtime is up; GMX_EINVAL for options that are not valid; GMX_ENOMEM or GMX_EAGAIN
/// if there is no memory or no thread for it, GMX_ENOMEM too if guards are required and the runtime made stacks without
/// one before gmx_shutdown; GMX_ESHUTDOWN while its threads are ending (see gmx_shutdown).
/// Since: 0.1
///
/// # Safety
/// `config` is null or points to as many bytes as its `struct_size` says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_init(config: *const gmx_config) -> gmx_status {
    // SAFETY: the caller's promise.
    let options = match unsafe { read_sized(config) } {
        Ok(None) => Options::default(),
        Ok(Some(c)) => {
            if c.reserved != 0 || c.preempt_signal != 0 && !crate::sys::cpu_timer::may_use(c.preempt_signal) {
                return wrong(GMX_EINVAL);
            }
            let guards = match c.flags & GUARD_FLAGS {
                0 => Guards::ByRights,
                GMX_CONFIG_GUARD_REQUIRED => Guards::Required,
                GMX_CONFIG_GUARD_OPTIONAL => Guards::Optional,
                _ => return wrong(GMX_EINVAL),
            };
            if c.flags & !CONFIG_FLAGS != 0 || c.maxprocs < 0 || c.slice_ns < 0 || c.max_threads < 0 {
                return wrong(GMX_EINVAL);
            }
            if c.stack_size > g::MAX_STACK || c.g0_stack_size > g::MAX_STACK {
                return wrong(GMX_EINVAL);
            }
            let all_at_start = c.flags & GMX_CONFIG_ALL_AT_START != 0;
            let given = c.maxprocs > 0 && c.max_threads >= c.maxprocs && c.max_goroutines > 0;
            if all_at_start != (c.max_goroutines != 0) || all_at_start && !given || c.max_goroutines > MOST_GOROUTINES {
                return wrong(GMX_EINVAL);
            }
            Options {
                maxprocs: c.maxprocs,
                stack_size: c.stack_size,
                g0_stack_size: c.g0_stack_size,
                slice_ns: c.slice_ns,
                max_threads: c.max_threads,
                report: c.report,
                report_arg: c.report_arg as usize,
                no_sigsegv: c.flags & GMX_CONFIG_NO_SIGSEGV != 0,
                preempt: if c.flags & GMX_CONFIG_PREEMPT_OFF != 0 {
                    Preempt::Off
                } else if c.flags & GMX_CONFIG_PREEMPT_NO_SIGNAL != 0 {
                    Preempt::NoSignal
                } else {
                    Preempt::On
                },
                preempt_signal: c.preempt_signal,
                no_membarrier: c.flags & GMX_CONFIG_NO_MEMBARRIER != 0,
                no_files: c.flags & GMX_CONFIG_NO_FILES != 0,
                all_at_start: c.max_goroutines,
                guards,
                no_stack_dump: c.flags & GMX_CONFIG_NO_STACK_DUMP != 0,
                addresses: c.flags & GMX_CONFIG_ADDRESSES != 0,
                on_preempt: c.on_preempt.map_or(0, |f| f as usize),
                on_thread_start: c.on_thread_start.map_or(0, |f| f as usize),
                on_thread_end: c.on_thread_end.map_or(0, |f| f as usize),
                on_arg: c.on_arg as usize,
            }
        }
        Err(status) => return status,
    };
    map(rt::begin(&options, true).map(drop))
}

/// Runs fn(arg) as the main goroutine and returns when it has ended. The calling thread waits, and holds no P. Other
/// goroutines live on afterwards; a further gmx_main may follow.
///
/// When nothing can ever run again (every goroutine waits, or needs a thread while goroutines that wait are locked to
/// all max_threads of them; no timer is armed; no goroutine is in a syscall; and no thread is left that might call in)
/// it reports which goroutine waits where, and returns. The goroutines keep waiting.
///
/// Blocks: thread.
/// Call from: foreign threads.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: arg stays the caller's.
/// Returns: GMX_OK; GMX_EDEADLK; GMX_EINVAL if fn is NULL; GMX_EPERM on a goroutine, GMX_EINSYSCALL in a syscall,
/// GMX_ENOTG in a scheduler's callback or a stopped world; GMX_ENOMEM; GMX_ESHUTDOWN.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_main(r#fn: Option<extern "C" fn(*mut c_void)>, arg: *mut c_void) -> gmx_status {
    let Some(f) = r#fn else { return wrong(GMX_EINVAL) };
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    match m.ctx() {
        Ctx::Foreign => rt::main_g::run(*m, f as *mut c_void, arg).map_or_else(status::plain, |()| GMX_OK),
        Ctx::G => wrong(GMX_EPERM),
        _ => why_not(*m),
    }
}

/// Waits until no goroutine is alive, then ends every thread of the library and frees the stacks that it kept. The next
/// call that needs the runtime starts it again; calls that only end something (free, close, stop, unlock, release, a
/// try) work without it.
///
/// The ending threads run what the host left there: destructors of thread_local objects and of POSIX keys. These may
/// call the library. Until all threads have ended a call that needs the runtime returns GMX_ESHUTDOWN.
///
/// timeout: nanoseconds; GMX_FOREVER; 0 only looks, which may take 10 ms. Threads that were told to end get at least a
/// second for that.
///
/// Blocks: thread.
/// Call from: foreign threads.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK, also when the runtime is not up; GMX_ETIMEDOUT if goroutines are still alive: the runtime continues
/// then; or if threads have not ended: another gmx_shutdown waits for them, and a call that needs the runtime succeeds
/// once they have ended; GMX_ESHUTDOWN on a thread of the library that is ending; GMX_EDEADLK on a goroutine or an
/// attached thread; GMX_EINSYSCALL in a syscall; GMX_ENOTG in a scheduler's callback or a stopped world.
/// Since: 0.1
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_shutdown(timeout: i64) -> gmx_status {
    match MRef::current().map(|m| (m, m.ctx())) {
        None | Some((_, Ctx::Foreign)) => map(rt::shutdown(timeout)),
        Some((m, Ctx::G)) if m.pins() == 0 => wrong(GMX_EDEADLK),
        Some((m, _)) => why_not(m),
    }
}

/// The version of the library: major << 16 | minor << 8 | patch. GMX_VERSION is that of the header.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: the version.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_version() -> u32 {
    const fn number(s: &str) -> u32 {
        let (bytes, mut n, mut i) = (s.as_bytes(), 0, 0);
        while i < bytes.len() {
            n = n * 10 + (bytes[i] - b'0') as u32;
            i += 1;
        }
        n
    }
    number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"))
}
