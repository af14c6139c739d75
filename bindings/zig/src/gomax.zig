//! Goroutines for Zig, on libgomax. docs/zig.md is the introduction; what a call blocks and from where it may be made
//! is in gomax.h.
//!
//! A call that waits may return on another thread. Nothing of Zig minds but `threadlocal` variables and what asks for
//! the current thread: do not keep the address of one, or `std.Thread.getCurrentId()`, over such a call.
const std = @import("std");

/// The C interface, for what has no function here.
pub const c = @import("c.zig");

const status = @import("status.zig");
pub const Error = status.Error;
pub const check = status.check;

const task = @import("task.zig");
pub const Options = task.Options;
pub const Task = task.Task;
pub const go = task.go;
pub const goWith = task.goWith;
pub const goDetached = task.goDetached;
pub const goDetachedWith = task.goDetachedWith;
pub const run = task.run;
pub const runAlloc = task.runAlloc;

const call = @import("call.zig");
pub const blocking = call.blocking;
pub const BlockingClass = call.BlockingClass;
pub const callback = call.callback;
pub const forEachP = call.forEachP;
pub const parallelFor = call.parallelFor;
pub const Once = call.Once;
pub const park = call.park;
pub const parkTimeout = call.parkTimeout;
pub const ready = call.ready;

pub const Generator = @import("generator.zig").Generator;

const chan = @import("chan.zig");
pub const Channel = chan.Channel;
pub const unbounded = chan.unbounded;
pub const Waiters = chan.Waiters;

const selects = @import("select.zig");
pub const Chosen = selects.Chosen;
pub const select = selects.select;
pub const trySelect = selects.trySelect;
pub const selectTimeout = selects.selectTimeout;
pub const Case = selects.Case;
pub const Index = selects.Index;
pub const selectSlice = selects.selectSlice;
pub const trySelectSlice = selects.trySelectSlice;
pub const selectSliceTimeout = selects.selectSliceTimeout;

const time = @import("time.zig");
pub const ns = time.ns;
pub const sleep = time.sleep;
pub const now = time.now;
pub const deadline = time.deadline;
pub const timeLeft = time.timeLeft;
pub const After = time.After;
pub const after = time.after;
pub const afterAlloc = time.afterAlloc;
pub const afterDetached = time.afterDetached;
pub const afterDetachedAlloc = time.afterDetachedAlloc;
pub const Timer = time.Timer;
pub const afterChannel = time.afterChannel;

const sync = @import("sync.zig");
pub const Mutex = sync.Mutex;
pub const RecursiveMutex = sync.RecursiveMutex;
pub const RwMutex = sync.RwMutex;
pub const waitOnAddress = sync.waitOnAddress;
pub const waitOnAddressTimeout = sync.waitOnAddressTimeout;
pub const wakeAddress = sync.wakeAddress;
pub const Condition = sync.Condition;
pub const WaitGroup = sync.WaitGroup;
pub const Barrier = sync.Barrier;
pub const Semaphore = sync.Semaphore;

pub const Scope = @import("scope.zig").Scope;

const tokens = @import("token.zig");
pub const Token = tokens.Token;
pub const Hook = tokens.Hook;
pub const Shield = tokens.Shield;
pub const shield = tokens.shield;

const world = @import("world.zig");
pub const World = world.World;
pub const stopTheWorld = world.stopTheWorld;
pub const stopTheWorldTimeout = world.stopTheWorldTimeout;
pub const Pin = world.Pin;
pub const pin = world.pin;
pub const currentP = world.currentP;
pub const PerP = world.PerP;
pub const PerG = world.PerG;
pub const Attached = world.Attached;
pub const attach = world.attach;
pub const Syscall = world.Syscall;
pub const enterSyscall = world.enterSyscall;
pub const enterSyscallBlocking = world.enterSyscallBlocking;
pub const OsThread = world.OsThread;
pub const lockOsThread = world.lockOsThread;

pub const Io = @import("io.zig").Io;

const conn = @import("conn.zig");
pub const ConnError = @import("errors.zig").ConnError;
pub const Conn = conn.Conn;
pub const Listener = conn.Listener;

const signals = @import("signals.zig");
pub const SignalInfo = signals.SignalInfo;
pub const notify = signals.notify;
pub const stopNotify = signals.stopNotify;

/// Starts the runtime with other than the defaults: `.{ .maxprocs = 4 }`. Optional.
pub fn init(config: c.gmx_config) Error!void {
    return check(c.gmx_init(&config));
}

/// Waits until no G is alive, and ends the threads of the library.
pub fn shutdown(timeout: ?i64) Error!void {
    return check(c.gmx_shutdown(status.limit(timeout)));
}

pub fn yield() Error!void {
    return check(c.gmx_yield());
}

pub const ns_per_ms = 1_000_000;
pub const ns_per_s = 1_000_000_000;

/// For loops that call nothing of the library: a load and a branch while nothing is asked of the P.
pub inline fn safepoint() void {
    // By way of a variable: the compiler's own x86 backend cannot encode an atomic load of an extern one (0.17.1).
    var word: *u32 = &c.gmx_poll_word;
    _ = &word;
    if (@atomicLoad(u32, word, .monotonic) != 0) _ = c.gmx_safepoint_slow();
}

/// The handle of the calling G, for `ready`; 0 outside of Gs.
pub fn self() c.G {
    return c.gmx_self();
}

/// The number of the calling G; 0 outside of Gs.
pub fn goid() u64 {
    return c.gmx_goid();
}

/// How many Gs are alive.
pub fn numG() i64 {
    return c.gmx_num_g();
}

/// How many Gs run at the same time.
pub fn maxprocs() u31 {
    return @intCast(c.gmx_gomaxprocs(0));
}

/// Sets it, and returns the previous number.
pub fn setMaxprocs(n: u31) Error!u31 {
    if (n == 0) return error.Invalid;
    return status.count(c.gmx_gomaxprocs(n));
}

/// Lets it follow the machine, as at the beginning.
pub fn setDefaultMaxprocs() Error!void {
    return check(c.gmx_set_default_gomaxprocs());
}

/// What the default for it is: the CPUs that this process may use, and no more than its quota.
pub fn numCpu() u31 {
    return @intCast(c.gmx_num_cpu());
}

/// Of the library: major << 16 | minor << 8 | patch.
pub fn version() u32 {
    return c.gmx_version();
}

/// The scheduler in numbers; nothing stops for it.
pub fn schedStats() Error!c.gmx_sched_stats {
    var stats: c.gmx_sched_stats = .{};
    try check(c.gmx_read_sched_stats(&stats));
    return stats;
}

/// The library's memory, read in a world that is stopped for the moment.
pub fn memStats() Error!c.gmx_mem_stats {
    var stats: c.gmx_mem_stats = .{};
    try check(c.gmx_read_mem_stats(&stats));
    return stats;
}

/// Gives the memory of all stacks that are kept for the next Gs to the system at once.
pub fn releaseMemory() Error!void {
    return check(c.gmx_release_memory());
}

/// The bounds of the stack that the caller runs on: its G's, or its thread's.
pub fn stackBounds() Error!struct { lo: *anyopaque, hi: *anyopaque } {
    var lo: ?*anyopaque = null;
    var hi: ?*anyopaque = null;
    try check(c.gmx_stack_bounds(&lo, &hi));
    return .{ .lo = lo.?, .hi = hi.? };
}

/// Writes what every P, thread and G does to a file, as text. `error.Unexpected`: the file does not take it.
pub fn writeHeapDump(fd: i32) Error!void {
    return check(c.gmx_write_heap_dump(fd));
}
