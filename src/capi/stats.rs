//! Seeing inside
//!
//! Numbers and lists for metrics, debuggers and tests. They cost the goroutines nothing until they are asked for, and
//! may be asked at any time.

use super::*;
use crate::block::fd;
use crate::gmp::m::{Ctx, Kind, MRef};
use crate::protocol::tidy;
use crate::rt::{self, dump, page};
use crate::sched::world;
use crate::sync::{Ordering, now};
use std::ffi::{CStr, c_char};

/// Memory of the library. struct_size is sizeof(gmx_mem_stats) or 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_mem_stats {
    /// sizeof(gmx_mem_stats) of the caller; what an older caller has no room for is left out.
    pub struct_size: usize,
    /// Address space set aside for stacks.
    pub stacks_reserved_bytes: u64,
    /// Address space of the stacks that goroutines own; the memory behind it is what they have touched.
    pub stacks_inuse_bytes: u64,
    /// Address space of the stacks that are kept for the next goroutines.
    pub stacks_cached_bytes: u64,
    /// Stacks that goroutines own.
    pub stacks_inuse: u64,
    /// Stacks that are kept.
    pub stacks_cached: u64,
    /// Goroutine descriptors ever made.
    pub g_descriptors: u64,
    /// Goroutines alive.
    pub g_live: u64,
    /// Ms ever made.
    pub m_total: u64,
    /// Ps ever made.
    pub p_total: u64,
    /// Bytes of all descriptors of goroutines, Ms and Ps.
    pub descriptor_bytes: u64,
    /// How stacks are guarded: 0 not at all, 1 by MADV_GUARD_INSTALL, 2 by mprotect.
    pub guard_kind: u32,
    /// 0.
    pub reserved: u32,
    /// Of the stacks that are kept, those that still have memory. The memory goes back to the system when a stack was
    /// not needed for some seconds, or by gmx_release_memory.
    pub stacks_warm: u64,
    /// How often the memory of a stack that was kept has gone back to the system.
    pub stacks_released: u64,
    /// Stacks that have no guard, because there was none left: an overflow of one runs into the stack of another
    /// goroutine.
    pub stacks_unguarded: u64,
}

/// The scheduler in numbers. struct_size is sizeof(gmx_sched_stats) or 0. Read while everything runs: sums of
/// counts that change meanwhile.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_sched_stats {
    /// sizeof(gmx_sched_stats) of the caller; what an older caller has no room for is left out.
    pub struct_size: usize,
    /// Since the runtime started.
    pub uptime_ns: i64,
    pub gomaxprocs: i32,
    pub idleprocs: i32,
    /// Worker threads.
    pub threads: i32,
    /// Of those, asleep because there is no work.
    pub idlethreads: i32,
    /// Of those, looking for work.
    pub spinning: i32,
    /// Threads of the host that are known.
    pub extra_threads: i32,
    /// Goroutines alive, and what they do.
    pub g_live: i64,
    pub g_running: i64,
    pub g_runnable: i64,
    pub g_waiting: i64,
    pub g_syscall: i64,
    /// Goroutines ever started and ended, those of callbacks on threads of the host among them.
    pub spawned: u64,
    pub ended: u64,
    /// Times that a goroutine was entered.
    pub switches: u64,
    /// Times that a P took work from another.
    pub steals: u64,
    /// Times that a goroutine parked.
    pub parks: u64,
    /// Idle threads woken through the system.
    pub wakes: u64,
    /// Ps handed on.
    pub handoffs: u64,
    /// Ps taken from syscalls that lasted.
    pub retakes: u64,
    /// Slices that were asked to end.
    pub preempts: u64,
    /// Stops of the world, and how long it took until all had stopped.
    pub stops: u64,
    pub stop_ns_total: u64,
    pub stop_ns_max: u64,
    /// Calls of gmx_for_each_p.
    pub barriers: u64,
    /// Length of the global run queue.
    pub runqueue: i64,
    /// Ps taken from code that calls nothing of the library: it sleeps in the system, or a stop or a barrier needed
    /// them.
    pub taken: u64,
    /// Times that a thread was held because the code on it computed on at the end of its slice; the timers that were
    /// armed for that; and held threads that went on without a P because the world was stopped, or because one of them
    /// could have a lock for which the owners of all Ps waited.
    pub seized: u64,
    pub nudges: u64,
    pub bailed: u64,
    /// Threads that are held now.
    pub held: i64,
    /// Goroutines and threads that wait for a descriptor.
    pub io_waiting: i64,
    /// Goroutines that were readied by an event of a descriptor; the looks at what is ready, the waits for it among
    /// them; and how often such a wait was ended for another reason.
    pub io_readied: u64,
    pub polls: u64,
    pub poll_breaks: u64,
    /// Handles of descriptors.
    pub fds_open: i64,
}

/// Reads the memory of the library, in a world stopped for the moment.
///
/// Blocks: as gmx_stop_the_world.
/// Call from: G, attached thread, foreign thread, a caller that has stopped the world.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL or its struct_size cannot be; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.1
///
/// # Safety
/// `out` is null or points to as many bytes as its `struct_size` says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_read_mem_stats(out: *mut gmx_mem_stats) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Err(status) = unsafe { check_size(out) } {
        return status;
    }
    let m = match may_wait_or_stopped() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let stats = world::with_stopped_world(*m, |sched, _| {
        let pool = sched.stacks.stats();
        let kept = dump::stacks_in_ps(sched);
        let each = sched.cfg.stack_size.get() as u64;
        let (g, m_total, p_total) =
            (sched.descriptors(), sched.every_m().count() as u64, sched.every_p().count() as u64);
        gmx_mem_stats {
            struct_size: 0,
            stacks_reserved_bytes: pool.reserved_bytes as u64,
            stacks_inuse_bytes: (pool.inuse_bytes as u64).saturating_sub(kept as u64 * each),
            stacks_cached_bytes: pool.cached_bytes as u64 + kept as u64 * each,
            stacks_inuse: (pool.inuse - kept) as u64,
            stacks_cached: (pool.cached + kept) as u64,
            g_descriptors: g,
            g_live: sched.num_g().max(0) as u64,
            m_total,
            p_total,
            descriptor_bytes: g * std::mem::size_of::<crate::gmp::G>() as u64
                + m_total * std::mem::size_of::<crate::gmp::M>() as u64
                + p_total * std::mem::size_of::<crate::gmp::P>() as u64,
            guard_kind: pool.guard as u32,
            reserved: 0,
            stacks_warm: (pool.warm + kept) as u64,
            stacks_released: pool.released,
            stacks_unguarded: pool.unguarded as u64,
        }
    });
    let stats = match stats {
        Ok(stats) => stats,
        Err(e) => return status::from(e),
    };
    // SAFETY: the caller's promise.
    unsafe { write_sized(out, &stats) }
}

/// Gives the memory of all stacks that are kept for the next goroutines to the system at once. Without this call the
/// memory of a stack returns to the system when the stack was not needed for 6 to 8 seconds, except 1 MiB of each size.
/// A P that runs other goroutines meanwhile frees the stacks that it keeps (at most 64) when it next looks at the
/// global queue. The address space stays reserved.
///
/// Blocks: the thread, while the system takes the memory: about a microsecond for each page that was used. A
/// goroutine's P runs others meanwhile, unless it is pinned.
/// Call from: every context; it does not start the runtime.
/// Safepoint: on a goroutine.
/// Migrates: on a goroutine.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_release_memory() -> gmx_status {
    let Some(sched) = rt::up() else { return GMX_OK };
    let m = MRef::current().map(Inside::enter);
    tidy::drain_own(sched, m.as_deref().copied());
    drop(m);
    if may_leave() && gmx_enter_syscall() == GMX_OK {
        tidy::release(sched);
        gmx_exit_syscall();
    } else {
        let _inside = MRef::current().map(Inside::enter);
        tidy::release(sched);
    }
    GMX_OK
}

/// The M of a caller that may wait, or need not because it has stopped the world.
#[track_caller]
fn may_wait_or_stopped() -> Result<Inside, gmx_status> {
    match MRef::current() {
        Some(m) if m.ctx() == Ctx::Stopped => Ok(Inside::enter(m)),
        _ => may_wait(),
    }
}

/// # Safety
/// `out` is null or points to a size.
#[track_caller]
unsafe fn check_size<T>(out: *mut T) -> Result<(), gmx_status> {
    if out.is_null() {
        return Err(wrong(GMX_EINVAL));
    }
    // SAFETY: the caller's promise.
    let size = unsafe { out.cast::<usize>().read_unaligned() };
    if size == 0 || (std::mem::size_of::<usize>()..=SIZE_LIMIT).contains(&size) {
        Ok(())
    } else {
        Err(wrong(GMX_EINVAL))
    }
}

/// Reads the numbers of the scheduler; nothing stops for it. The counts by status walk over all goroutines.
///
/// Blocks: never.
/// Call from: every context.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if out is NULL or its struct_size cannot be.
/// Since: 0.1
///
/// # Safety
/// `out` is null or points to as many bytes as its `struct_size` says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_read_sched_stats(out: *mut gmx_sched_stats) -> gmx_status {
    // SAFETY: the caller's promise.
    if let Err(status) = unsafe { check_size(out) } {
        return status;
    }
    let m = match started() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let sched = m.sched();
    let (threads, idlethreads) = dump::threads(sched);
    let g = dump::g_counts(sched);
    let s = &sched.stats;
    let get = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
    let stats = gmx_sched_stats {
        struct_size: 0,
        uptime_ns: now() - sched.started.get(),
        gomaxprocs: sched.procs() as i32,
        idleprocs: sched.npidle.load(Ordering::Relaxed) as i32,
        threads,
        idlethreads,
        spinning: sched.nmspinning.load(Ordering::Relaxed) as i32,
        extra_threads: sched.every_m().filter(|m| m.kind == Kind::Extra && m.alive.get()).count() as i32,
        g_live: sched.num_g(),
        g_running: g.running,
        g_runnable: g.runnable,
        g_waiting: g.waiting,
        g_syscall: g.syscall,
        spawned: get(&s.spawned) + dump::sum(sched, |p| &p.spawned),
        ended: get(&s.ended) + dump::sum(sched, |p| &p.ended),
        switches: dump::sum(sched, |p| &p.switches),
        steals: dump::sum(sched, |p| &p.steals),
        parks: dump::sum(sched, |p| &p.parks),
        wakes: get(&s.wakes),
        handoffs: get(&s.handoffs),
        retakes: get(&s.retakes),
        preempts: get(&s.preempts),
        stops: s.stops.get(),
        stop_ns_total: s.stop_ns_total.get(),
        stop_ns_max: s.stop_ns_max.get(),
        barriers: s.barriers.get(),
        runqueue: i64::from(sched.globq_len()),
        taken: get(&s.taken),
        seized: get(&s.seized),
        nudges: get(&s.nudges),
        bailed: get(&s.bailed),
        held: i64::from(sched.nhogs()),
        io_waiting: i64::from(sched.net.waiters.load(Ordering::Relaxed)),
        io_readied: get(&sched.net.readied),
        polls: get(&sched.net.polled),
        poll_breaks: sched.net.poll.kicks(),
        fds_open: fd::count(sched),
    };
    // SAFETY: the caller's promise.
    unsafe { write_sized(out, &stats) }
}

/// Writes what every P, thread and goroutine does, and where each goroutine waits and for how long, as text. Taken in a
/// stopped world, written to fd when it runs again.
///
/// Blocks: as gmx_stop_the_world; and the thread, while fd takes the text.
/// Call from: G, attached thread, foreign thread, a caller that has stopped the world.
/// Safepoint: yes.
/// Migrates: yes.
/// Cancellable: no.
/// Owns: fd stays the caller's.
/// Returns: GMX_OK; the negative errno of write; GMX_ENOMEM if there was no memory for all of it; GMX_ENOTG,
/// GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.1
#[unsafe(no_mangle)]
pub extern "C" fn gmx_write_heap_dump(fd: i32) -> gmx_status {
    let m = match may_wait_or_stopped() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let text = match dump::heap_dump(*m) {
        Ok(text) => text,
        Err(e) => return status::from(e),
    };
    if !text.whole() {
        return GMX_ENOMEM;
    }
    drop(m);
    let leaves = may_leave() && gmx_enter_syscall() == GMX_OK;
    let status = write(fd, text.as_bytes());
    if leaves {
        gmx_exit_syscall();
    }
    // A thread that is held in the host's code must not have the heap's lock.
    let _inside = MRef::current().map(Inside::enter);
    drop(text);
    status
}

/// gmx_dump_goroutines: JSON instead of text.
pub const GMX_DUMP_JSON: u32 = 1;
/// gmx_dump_goroutines: goroutines with the same stack are one entry with their number, the largest number first.
pub const GMX_DUMP_GROUPS: u32 = 2;

/// Calls write(arg, text, n) once, with the stacks of all goroutines as text in the shape that Go gives it. Nothing
/// stops for it, and nothing waits: a goroutine that runs while it is looked at is shown without its stack. Functions
/// are shown by name if their object exports them; otherwise addr2line knows them by the place in their file. Code
/// needs no frame pointers, but the tables for exceptions (-fasynchronous-unwind-tables, the default of compilers).
///
/// flags is 0 or a sum of GMX_DUMP_*. JSON is an array of objects with id, name, state, reason, waited_ms, thread,
/// frames and began_in; what is not known is null. A frame has function, offset, file and file_offset. In groups an
/// object also has count, and id, name and waited_ms are those of the goroutine that has waited longest.
///
/// write runs as the caller's own code, after the look: it may do what the caller may. It must return. The text is not
/// terminated. The loader keeps its list of objects for the look, so a dlopen or dlclose elsewhere may delay it.
///
/// Blocks: as write does.
/// Call from: every context; it does not start the runtime.
/// Safepoint: as write is.
/// Migrates: as write does.
/// Cancellable: as write is.
/// Owns: the text is the library's, good during the call.
/// Returns: what write returns, GMX_OK if all went well; GMX_EINVAL if write is NULL or flags is wrong; GMX_ENOMEM.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_dump_goroutines(
    write: Option<extern "C" fn(*mut std::ffi::c_void, *const std::ffi::c_char, usize) -> gmx_status>,
    arg: *mut std::ffi::c_void,
    flags: u32,
) -> gmx_status {
    let is_known = flags & !(GMX_DUMP_JSON | GMX_DUMP_GROUPS) == 0;
    let Some(write) = write.filter(|_| is_known) else { return wrong(GMX_EINVAL) };
    let form = rt::stacks::Form { json: flags & GMX_DUMP_JSON != 0, groups: flags & GMX_DUMP_GROUPS != 0 };
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let Some(text) = rt::stacks::text(m.sched(), form) else { return GMX_ENOMEM };
    drop(m);
    let status = crate::sys::call::text(write, arg, text.as_bytes());
    // The heap's lock must not be held by a thread that is held itself. (It may be another thread by now.)
    let _inside = MRef::current().map(Inside::enter);
    drop(text);
    status
}

fn write(fd: i32, bytes: &[u8]) -> gmx_status {
    crate::sys::write_all(fd, bytes).map_or_else(|errno| -errno, |()| GMX_OK)
}

/// gmx_debug_opts.flags: an address that other machines may reach. The token alone protects the page then, and it is
/// sent as plain text.
pub const GMX_DEBUG_ANYWHERE: u32 = 1;

const _: () = assert!(GMX_DEBUG_ANYWHERE == rt::table::ANYWHERE);
const _: () = assert!(GMX_DUMP_JSON == rt::table::JSON && GMX_DUMP_GROUPS == rt::table::GROUPS);

/// How the live page is served. Zero is the default everywhere; struct_size is sizeof(gmx_debug_opts) or 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_debug_opts {
    /// sizeof(gmx_debug_opts) of the caller.
    pub struct_size: usize,
    /// GMX_DEBUG_*.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Room for the place of the page, terminated: an URL with the token in it, or unix: and a path. NULL: it is
    /// written to stderr.
    pub url: *mut c_char,
    /// The bytes of that room. 256 are enough, except for a long path.
    pub url_size: usize,
}

/// Serves the live page: what every P, thread and goroutine does now, as a page for a browser, as JSON and as metrics;
/// the stacks of all goroutines; and traces. docs/inside.md lists the paths. A thread of its own serves it, which needs
/// no P: so the page comes while every goroutine hangs. Only GET is answered, and nothing of the program can be
/// changed. One page is served at a time, in this process: a child of fork serves none. It is served until
/// gmx_debug_stop, also after gmx_shutdown.
///
/// The second library, libgomax-debug.so.0, does this. It is loaded from the directory of libgomax, or else by its
/// name.
///
/// ```c
/// gmx_status status = gmx_debug_serve("unix", NULL);
/// if (status != GMX_OK) fprintf(stderr, "no live page: %s\n", gmx_strerror(status));
/// ```
///
/// address: "unix:PATH", a socket for the same user alone; "unix" for $XDG_RUNTIME_DIR/gomax/PID.sock, where the
/// command gomaxctl looks; "127.0.0.1:PORT", or ::1 in brackets before the port, where each request needs the token;
/// port 0 for any.
/// opts: NULL for the defaults.
///
/// Blocks: the thread, while the second library is loaded, for which the loader must be free, and the socket made. A
/// goroutine's P runs others meanwhile.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: on a goroutine.
/// Migrates: on a goroutine.
/// Cancellable: no.
/// Owns: address and opts stay the caller's.
/// Returns: GMX_OK; GMX_EINVAL if address is NULL or none of these, for flags, for another machine's address without
/// GMX_DEBUG_ANYWHERE, and if url_size is too small; GMX_ENOTSUP if the second library is not there or of another
/// version; GMX_EBUSY if a page is served already; the negative errno of what the socket needs, such as -EADDRINUSE,
/// -EEXIST for a file that is no socket, -EPERM for a socket of another user, -ENOENT for "unix" without
/// XDG_RUNTIME_DIR; GMX_ENOMEM; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.2
///
/// # Safety
/// `address` is null or terminated. `opts` is null or points to as many bytes as its `struct_size` says; its `url` is
/// null or has room for `url_size` bytes.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_debug_serve(address: *const c_char, opts: *const gmx_debug_opts) -> gmx_status {
    // SAFETY: the caller's promise.
    let (flags, url, size) = match unsafe { read_sized(opts) } {
        Ok(None) => (0, std::ptr::null_mut(), 0),
        Ok(Some(o)) if o.flags & !GMX_DEBUG_ANYWHERE != 0 || o.reserved != 0 => return wrong(GMX_EINVAL),
        Ok(Some(o)) if o.url.is_null() != (o.url_size == 0) => return wrong(GMX_EINVAL),
        Ok(Some(o)) => (o.flags, o.url, o.url_size),
        Err(status) => return status,
    };
    if address.is_null() {
        return wrong(GMX_EINVAL);
    }
    match may_wait() {
        Ok(m) => drop(m),
        Err(status) => return status,
    }
    // SAFETY: the caller's promise.
    let address = unsafe { CStr::from_ptr(address) };
    // SAFETY: as above.
    let status = apart(|| unsafe { page::serve_for(address, flags, url, size) });
    if status == GMX_EINVAL { wrong(status) } else { status }
}

/// Serves the live page no more. Connections are closed, and a trace that is being made is not finished.
///
/// Blocks: the thread, for a moment: while the thread of the page ends. A goroutine's P runs others meanwhile.
/// Call from: G, attached thread, foreign thread.
/// Safepoint: on a goroutine.
/// Migrates: on a goroutine.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EPERM if none is served; GMX_ENOTG, GMX_EINSYSCALL; GMX_ESHUTDOWN.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_debug_stop() -> gmx_status {
    match may_wait() {
        Ok(m) => drop(m),
        Err(status) => return status,
    }
    if apart(page::stop) { GMX_OK } else { wrong(GMX_EPERM) }
}

/// Calls `f` without the caller's P.
fn apart<T>(f: impl FnOnce() -> T) -> T {
    if may_leave() && gmx_enter_syscall() == GMX_OK {
        let done = f();
        gmx_exit_syscall();
        return done;
    }
    let _inside = MRef::current().map(Inside::enter);
    f()
}
