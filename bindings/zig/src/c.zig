//! The interface of include/gomax.h, with the pointers that may be null marked as such. tests/header.py holds every
//! line to the header. Where `gomax.zig` has a function for it use that.

const std = @import("std");

pub const Status = i32;
pub const G = u64;
pub const Key = u32;
pub const PKey = u32;
pub const Coro = u64;
pub const Class = u64;
pub const Cancel = u64;
pub const Hook = u64;
pub const Scope = u64;
pub const Timer = u64;
pub const Chan = opaque {};
pub const Fn = *const fn (?*anyopaque) callconv(.c) void;

pub const GMX_OK = 0;
pub const GMX_EPERM = -1;
pub const GMX_EINTR = -4;
pub const GMX_EBADF = -9;
pub const GMX_EAGAIN = -11;
pub const GMX_ENOMEM = -12;
pub const GMX_EBUSY = -16;
pub const GMX_EINVAL = -22;
pub const GMX_EPIPE = -32;
pub const GMX_EDEADLK = -35;
pub const GMX_ENOTSUP = -95;
pub const GMX_ETIMEDOUT = -110;
pub const GMX_ECANCELED = -125;
pub const GMX_ENOTG = -1001;
pub const GMX_EINSYSCALL = -1002;
pub const GMX_ESHUTDOWN = -1003;
pub const GMX_ESTALE = -1004;
pub const GMX_ECLOSED = -1005;
/// As a timeout: none.
pub const GMX_FOREVER = std.math.maxInt(i64);
/// A timeout as the library counts: null is none.
pub fn limit(ns: ?i64) i64 {
    return ns orelse GMX_FOREVER;
}

pub const GMX_SPAWN_JOINABLE = 1;
pub const GMX_SPAWN_CHILD_FIRST = 2;
pub const GMX_SPAWN_WIPE = 4;
pub const GMX_SPAWN_LAST = 8;
pub const GMX_SPAWN_INHERIT = 16;
pub const GMX_SPAWN_CANCELLABLE = 32;
pub const GMX_SPAWN_COPY_MAX = 128;
pub const GMX_WAKE_ALL = 4294967295;
pub const GMX_UNBOUNDED = std.math.maxInt(usize);
pub const GMX_CASE_RECV = 0;
pub const GMX_CASE_SEND = 1;
pub const GMX_CASE_RECV_READY = 2;
pub const GMX_CASE_SEND_READY = 3;

pub const gmx_config = extern struct {
    struct_size: usize = @sizeOf(gmx_config),
    maxprocs: i32 = 0,
    flags: u32 = 0,
    stack_size: usize = 0,
    g0_stack_size: usize = 0,
    slice_ns: i64 = 0,
    max_threads: i32 = 0,
    report: ?*const fn (?*anyopaque, [*]const u8, usize) callconv(.c) void = null,
    report_arg: ?*anyopaque = null,
    max_goroutines: usize = 0,
    on_preempt: ?*const fn (?*anyopaque, G) callconv(.c) void = null,
    on_thread_start: ?Fn = null,
    on_thread_end: ?Fn = null,
    on_arg: ?*anyopaque = null,
};

pub const gmx_spawn_opts = extern struct {
    struct_size: usize = @sizeOf(gmx_spawn_opts),
    flags: u32 = 0,
    reserved: u32 = 0,
    stack_size: usize = 0,
    name: ?[*:0]const u8 = null,
};

pub const gmx_g_info = extern struct {
    struct_size: usize,
    g: G,
    goid: u64,
    name: [*:0]const u8,
    status: i32,
    wait_reason: ?[*:0]const u8,
    since_ns: i64,
    stack_lo: ?*anyopaque,
    stack_hi: ?*anyopaque,
    sp: ?*anyopaque,
    @"fn": ?Fn,
    arg: ?*anyopaque,
    thread: i32,
    reserved: u32,
};

pub const gmx_select_case = extern struct {
    chan: ?*Chan,
    elem: ?*anyopaque,
    op: u32,
    reserved0: u32 = 0,
    reserved: [5]u64 = @splat(0),
};

/// What is in these is the library's; zero is ready.
fn Words(comptime n: usize) type {
    return extern struct { words: [n]u64 = @splat(0) };
}
pub const gmx_mutex = Words(2);
pub const gmx_rmutex = Words(3);
pub const gmx_rwmutex = Words(4);
pub const gmx_cond = Words(2);
pub const gmx_waitgroup = Words(2);
pub const gmx_once = Words(2);
pub const gmx_barrier = extern struct {
    n: u32,
    arrived: u32 = 0,
    reserved: u64 = 0,
};
pub const gmx_cleanup = Words(3);

pub const gmx_mem_stats = extern struct {
    struct_size: usize = @sizeOf(gmx_mem_stats),
    stacks_reserved_bytes: u64 = 0,
    stacks_inuse_bytes: u64 = 0,
    stacks_cached_bytes: u64 = 0,
    stacks_inuse: u64 = 0,
    stacks_cached: u64 = 0,
    g_descriptors: u64 = 0,
    g_live: u64 = 0,
    m_total: u64 = 0,
    p_total: u64 = 0,
    descriptor_bytes: u64 = 0,
    guard_kind: u32 = 0,
    reserved: u32 = 0,
    stacks_warm: u64 = 0,
    stacks_released: u64 = 0,
    stacks_unguarded: u64 = 0,
};

pub const gmx_sched_stats = extern struct {
    struct_size: usize = @sizeOf(gmx_sched_stats),
    uptime_ns: i64 = 0,
    gomaxprocs: i32 = 0,
    idleprocs: i32 = 0,
    threads: i32 = 0,
    idlethreads: i32 = 0,
    spinning: i32 = 0,
    extra_threads: i32 = 0,
    g_live: i64 = 0,
    g_running: i64 = 0,
    g_runnable: i64 = 0,
    g_waiting: i64 = 0,
    g_syscall: i64 = 0,
    spawned: u64 = 0,
    ended: u64 = 0,
    switches: u64 = 0,
    steals: u64 = 0,
    parks: u64 = 0,
    wakes: u64 = 0,
    handoffs: u64 = 0,
    retakes: u64 = 0,
    preempts: u64 = 0,
    stops: u64 = 0,
    stop_ns_total: u64 = 0,
    stop_ns_max: u64 = 0,
    barriers: u64 = 0,
    runqueue: i64 = 0,
};

pub extern var gmx_poll_word: u32;

pub extern fn gmx_strerror(status: Status) [*:0]const u8;
pub extern fn gmx_err_name(status: Status) [*:0]const u8;
pub extern fn gmx_config_default(out: ?*gmx_config) Status;
pub extern fn gmx_init(config: ?*const gmx_config) Status;
pub extern fn gmx_main(f: ?Fn, arg: ?*anyopaque) Status;
pub extern fn gmx_shutdown(timeout: i64) Status;
pub extern fn gmx_preempt_word() *const volatile u32;
pub extern fn gmx_class_new(limit: u32, name: ?[*:0]const u8, out: ?*Class) Status;
pub extern fn gmx_class_free(class: Class) Status;
pub extern fn gmx_blocking_in(class: Class, f: ?Fn, arg: ?*anyopaque, timeout: i64) Status;
pub extern fn gmx_version() u32;

pub extern fn gmx_spawn(f: ?Fn, arg: ?*anyopaque) Status;
pub extern fn gmx_spawn_copy(f: ?Fn, args: ?*const anyopaque, size: usize) Status;
pub extern fn gmx_spawn_with(opts: ?*const gmx_spawn_opts, f: ?Fn, arg: ?*anyopaque, g: ?*G) Status;
pub extern fn gmx_join(g: G, timeout: i64) Status;
pub extern fn gmx_detach(g: G) Status;
pub extern fn gmx_yield() Status;
pub extern fn gmx_goexit() Status;
pub extern fn gmx_self() G;
pub extern fn gmx_goid() u64;
pub extern fn gmx_stack_bounds(lo: ?*?*anyopaque, hi: ?*?*anyopaque) Status;
pub extern fn gmx_num_g() i64;
pub extern fn gmx_park_timeout(commit: ?*const fn (?*anyopaque, G) callconv(.c) bool, arg: ?*anyopaque, reason: ?[*:0]const u8, timeout: i64) Status;
pub extern fn gmx_park(commit: ?*const fn (?*anyopaque, G) callconv(.c) bool, arg: ?*anyopaque, reason: ?[*:0]const u8) Status;
pub extern fn gmx_ready(g: G) Status;
pub extern fn gmx_lock_os_thread() Status;
pub extern fn gmx_unlock_os_thread() Status;
pub extern fn gmx_cleanup_push(node: ?*gmx_cleanup, f: ?Fn, arg: ?*anyopaque) Status;
pub extern fn gmx_cleanup_pop(node: ?*gmx_cleanup, run: bool) Status;
pub extern fn gmx_key_create(destructor: ?Fn, out: ?*Key) Status;
pub extern fn gmx_key_delete(key: Key) Status;
pub extern fn gmx_key_set(key: Key, value: ?*anyopaque) Status;
pub extern fn gmx_key_get(key: Key) ?*anyopaque;

pub extern fn gmx_coro_new(f: ?Fn, arg: ?*anyopaque, opts: ?*const gmx_spawn_opts, co: ?*Coro) Status;
pub extern fn gmx_coro_switch(co: Coro) Status;
pub extern fn gmx_coro_free(co: Coro) Status;

pub extern fn gmx_gomaxprocs(n: i32) i32;
pub extern fn gmx_num_cpu() i32;
pub extern fn gmx_set_default_gomaxprocs() Status;
pub extern fn gmx_pin() i32;
pub extern fn gmx_unpin() Status;
pub extern fn gmx_p_key_create(out: ?*PKey) Status;
pub extern fn gmx_p_key_delete(key: PKey) Status;
pub extern fn gmx_p_set(key: PKey, value: ?*anyopaque) Status;
pub extern fn gmx_p_get(key: PKey) ?*anyopaque;
pub extern fn gmx_p_get_of(key: PKey, p: i32) ?*anyopaque;
pub extern fn gmx_p_count() i32;

pub extern fn gmx_enter_syscall() Status;
pub extern fn gmx_exit_syscall() Status;
pub extern fn gmx_enter_syscall_blocking() Status;
pub extern fn gmx_blocking(f: ?Fn, arg: ?*anyopaque) Status;

pub extern fn gmx_stop_the_world(reason: ?[*:0]const u8) Status;
pub extern fn gmx_stop_the_world_timeout(reason: ?[*:0]const u8, timeout: i64) Status;
pub extern fn gmx_start_the_world() Status;
pub extern fn gmx_for_each_p(f: ?Fn, arg: ?*anyopaque) Status;
pub extern fn gmx_for_each_g(f: ?*const fn (?*anyopaque, *const gmx_g_info) callconv(.c) void, arg: ?*anyopaque) Status;
pub extern fn gmx_safepoint() void;
pub extern fn gmx_safepoint_slow() Status;

pub extern fn gmx_attach_thread() Status;
pub extern fn gmx_detach_thread() Status;
pub extern fn gmx_callback(f: ?Fn, arg: ?*anyopaque) Status;

pub extern fn gmx_sema_acquire(s: ?*u32) Status;
pub extern fn gmx_sema_acquire_timeout(s: ?*u32, timeout: i64) Status;
pub extern fn gmx_sema_try_acquire(s: ?*u32) Status;
pub extern fn gmx_sema_release(s: ?*u32) Status;
pub extern fn gmx_sema_release_handoff(s: ?*u32) Status;
pub extern fn gmx_sema_waiters(s: ?*const u32) u32;

pub extern fn gmx_wait_on_address(addr: ?*const anyopaque, expected: ?*const anyopaque, size: usize, timeout: i64) Status;
pub extern fn gmx_wake_address(addr: ?*const anyopaque, n: u32) Status;

pub extern fn gmx_mutex_lock(m: ?*gmx_mutex) Status;
pub extern fn gmx_mutex_lock_timeout(m: ?*gmx_mutex, timeout: i64) Status;
pub extern fn gmx_mutex_try_lock(m: ?*gmx_mutex) Status;
pub extern fn gmx_mutex_unlock(m: ?*gmx_mutex) Status;
pub extern fn gmx_mutex_waiters(m: ?*const gmx_mutex) u32;

pub extern fn gmx_rmutex_lock(m: ?*gmx_rmutex, timeout: i64) Status;
pub extern fn gmx_rmutex_try_lock(m: ?*gmx_rmutex) Status;
pub extern fn gmx_rmutex_unlock(m: ?*gmx_rmutex) Status;
pub extern fn gmx_rmutex_waiters(m: ?*const gmx_rmutex) u32;

pub extern fn gmx_rwmutex_lock(m: ?*gmx_rwmutex) Status;
pub extern fn gmx_rwmutex_lock_timeout(m: ?*gmx_rwmutex, timeout: i64) Status;
pub extern fn gmx_rwmutex_try_lock(m: ?*gmx_rwmutex) Status;
pub extern fn gmx_rwmutex_unlock(m: ?*gmx_rwmutex) Status;
pub extern fn gmx_rwmutex_rlock(m: ?*gmx_rwmutex) Status;
pub extern fn gmx_rwmutex_rlock_timeout(m: ?*gmx_rwmutex, timeout: i64) Status;
pub extern fn gmx_rwmutex_try_rlock(m: ?*gmx_rwmutex) Status;
pub extern fn gmx_rwmutex_runlock(m: ?*gmx_rwmutex) Status;
pub extern fn gmx_rwmutex_waiters(m: ?*const gmx_rwmutex) u32;

pub extern fn gmx_cond_wait(c: ?*gmx_cond, m: ?*gmx_mutex) Status;
pub extern fn gmx_cond_wait_timeout(c: ?*gmx_cond, m: ?*gmx_mutex, timeout: i64) Status;
pub extern fn gmx_cond_signal(c: ?*gmx_cond) Status;
pub extern fn gmx_cond_broadcast(c: ?*gmx_cond) Status;
pub extern fn gmx_cond_waiters(c: ?*const gmx_cond) u32;

pub extern fn gmx_waitgroup_add(wg: ?*gmx_waitgroup, delta: i32) Status;
pub extern fn gmx_waitgroup_go(wg: ?*gmx_waitgroup, f: ?Fn, arg: ?*anyopaque) Status;
pub extern fn gmx_waitgroup_done(wg: ?*gmx_waitgroup) Status;
pub extern fn gmx_waitgroup_wait(wg: ?*gmx_waitgroup) Status;
pub extern fn gmx_waitgroup_wait_timeout(wg: ?*gmx_waitgroup, timeout: i64) Status;

pub extern fn gmx_barrier_wait(b: ?*gmx_barrier, serial: ?*bool) Status;
pub extern fn gmx_barrier_wait_timeout(b: ?*gmx_barrier, timeout: i64, serial: ?*bool) Status;
pub extern fn gmx_barrier_waiters(b: ?*const gmx_barrier) u32;

pub extern fn gmx_once_do(once: ?*gmx_once, f: ?Fn, arg: ?*anyopaque) Status;
pub extern fn gmx_once_do_timeout(once: ?*gmx_once, f: ?Fn, arg: ?*anyopaque, timeout: i64) Status;

pub extern fn gmx_cancel_new(parent: Cancel, timeout: i64, out: ?*Cancel) Status;
pub extern fn gmx_cancel_now(token: Cancel) Status;
pub extern fn gmx_cancel_now_because(token: Cancel, reason: Status) Status;
pub extern fn gmx_cancel_g(g: G, reason: Status) Status;
pub extern fn gmx_cancel_reason(token: Cancel, reason: ?*Status) Status;
pub extern fn gmx_cancel_deadline(token: Cancel, deadline: ?*i64) Status;
pub extern fn gmx_cancel_chan(token: Cancel, out: ?*?*Chan) Status;
pub extern fn gmx_cancel_after(token: Cancel, f: ?Fn, arg: ?*anyopaque, hook: ?*Hook) Status;
pub extern fn gmx_cancel_hook_stop(hook: Hook, stopped: ?*bool) Status;
pub extern fn gmx_cancel_is_canceled(token: Cancel) bool;
pub extern fn gmx_cancel_locks(too: bool) bool;
pub extern fn gmx_cancel_shield() Status;
pub extern fn gmx_cancel_unshield() Status;
pub extern fn gmx_cancel_use(token: Cancel, previous: ?*Cancel) Status;
pub extern fn gmx_cancel_current() Cancel;
pub extern fn gmx_cancel_free(token: Cancel) Status;

pub extern fn gmx_scope_new(timeout: i64, out: ?*Scope) Status;
pub extern fn gmx_scope_spawn(scope: Scope, f: ?*const fn (?*anyopaque) callconv(.c) Status, arg: ?*anyopaque) Status;
pub extern fn gmx_scope_enter(scope: Scope) Status;
pub const gmx_scope_end = extern struct {
    struct_size: usize = @sizeOf(gmx_scope_end),
    by: u32 = 0,
    status: Status = 0,
    g: G = 0,
};
pub const GMX_SCOPE_ITSELF = 0;
pub const GMX_SCOPE_FAILURE = 1;
pub const GMX_SCOPE_DEADLINE = 2;
pub const GMX_SCOPE_CANCEL = 3;
pub extern fn gmx_scope_leave_why(scope: Scope, timeout: i64, end: ?*gmx_scope_end) Status;
pub extern fn gmx_scope_leave(scope: Scope, timeout: i64, result: ?*Status) Status;
pub extern fn gmx_scope_cancel(scope: Scope) Status;
pub extern fn gmx_scope_token(scope: Scope, out: ?*Cancel) Status;

pub extern fn gmx_parallel_for(n: i64, grain: i64, f: ?*const fn (?*anyopaque, i64, i64) callconv(.c) void, arg: ?*anyopaque) Status;

pub extern fn gmx_chan_new(elem_size: usize, capacity: usize, chan: ?*?*Chan) Status;
pub extern fn gmx_chan_new_refs(elem_size: usize, capacity: usize, refs: u32, chan: ?*?*Chan) Status;
pub extern fn gmx_chan_ref(chan: ?*Chan) Status;
pub extern fn gmx_chan_free(chan: ?*Chan) Status;
pub extern fn gmx_chan_send(chan: ?*Chan, elem: ?*const anyopaque) Status;
pub extern fn gmx_chan_recv(chan: ?*Chan, elem: ?*anyopaque) Status;
pub extern fn gmx_chan_try_send(chan: ?*Chan, elem: ?*const anyopaque) Status;
pub extern fn gmx_chan_try_recv(chan: ?*Chan, elem: ?*anyopaque) Status;
pub extern fn gmx_chan_send_timeout(chan: ?*Chan, elem: ?*const anyopaque, timeout: i64) Status;
pub extern fn gmx_chan_recv_timeout(chan: ?*Chan, elem: ?*anyopaque, timeout: i64) Status;
pub extern fn gmx_chan_close(chan: ?*Chan) Status;
pub extern fn gmx_chan_close_drop(chan: ?*Chan, drop: ?*const fn (?*anyopaque, ?*anyopaque) callconv(.c) void, arg: ?*anyopaque) Status;
pub extern fn gmx_chan_len(chan: ?*Chan) usize;
pub extern fn gmx_chan_cap(chan: ?*Chan) usize;
pub extern fn gmx_chan_is_closed(chan: ?*Chan) bool;
pub extern fn gmx_chan_waiters(chan: ?*Chan, senders: ?*usize, receivers: ?*usize) Status;
pub extern fn gmx_select(cases: ?[*]gmx_select_case, n: usize, timeout: i64, chosen: ?*usize) Status;

pub extern fn gmx_now() i64;
pub extern fn gmx_deadline(timeout: i64) i64;
pub extern fn gmx_time_left(deadline: i64) i64;
pub extern fn gmx_sleep(ns: i64) Status;
pub extern fn gmx_after(delay: i64, out: ?*?*Chan) Status;
pub extern fn gmx_after_func(delay: i64, f: ?Fn, arg: ?*anyopaque, out: ?*Timer) Status;
pub extern fn gmx_timer_new(delay: i64, period: i64, out: ?*Timer, chan: ?*?*Chan) Status;
pub extern fn gmx_ticker_new(period: i64, out: ?*Timer, chan: ?*?*Chan) Status;
pub extern fn gmx_timer_reset(timer: Timer, delay: i64, period: i64, stopped: ?*bool) Status;
pub extern fn gmx_ticker_reset(timer: Timer, period: i64, stopped: ?*bool) Status;
pub extern fn gmx_timer_stop(timer: Timer, stopped: ?*bool) Status;
pub extern fn gmx_timer_free(timer: Timer, stopped: ?*bool) Status;

pub extern fn gmx_read_mem_stats(out: ?*gmx_mem_stats) Status;
pub extern fn gmx_release_memory() Status;
pub extern fn gmx_read_sched_stats(out: ?*gmx_sched_stats) Status;
pub extern fn gmx_write_heap_dump(fd: i32) Status;
