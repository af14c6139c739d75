//! Gs with typed arguments and results.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const boxes = @import("box.zig");
const Error = status.Error;
const Allocator = std.mem.Allocator;
const Args = boxes.Args;
const Return = boxes.Return;
const Fallible = boxes.Fallible;

pub const Options = struct {
    /// Shown in reports and dumps; 31 bytes are kept.
    name: ?[*:0]const u8 = null,
    /// Usable bytes of the stack. 0: 256 KiB, or what `init` was told.
    stack_size: usize = 0,
    /// The new G runs at once, and the caller can be stolen: for fork and join.
    child_first: bool = false,
    /// The new G goes behind all others of the caller's P. Not with `child_first`.
    last: bool = false,
    /// The G's stack is wiped at its end. Arguments and result are in memory of `allocator`.
    wipe: bool = false,
    /// Under the caller's token.
    inherit: bool = false,
    /// For `Task.cancel`.
    cancellable: bool = false,
    /// Holds arguments and result until both the G and its handle are done with them, and the G may be the one that
    /// frees them: it must be thread-safe, and outlive the G. `error.Invalid` for the plain interface of a
    /// `FixedBufferAllocator`.
    allocator: Allocator = boxes.default_allocator,

    fn flags(options: Options) u32 {
        const child_first: u32 = if (options.child_first) c.GMX_SPAWN_CHILD_FIRST else 0;
        const last: u32 = if (options.last) c.GMX_SPAWN_LAST else 0;
        const inherit: u32 = if (options.inherit) c.GMX_SPAWN_INHERIT else 0;
        const cancellable: u32 = if (options.cancellable) c.GMX_SPAWN_CANCELLABLE else 0;
        return child_first | last | inherit | cancellable | if (options.wipe) @as(u32, c.GMX_SPAWN_WIPE) else 0;
    }

    fn raw(options: Options, more: u32) c.gmx_spawn_opts {
        return .{ .flags = options.flags() | more, .stack_size = options.stack_size, .name = options.name };
    }
};

/// A G that returns `T`. It must end in `join`, or in `deinit`, which lets it run on by itself.
///
/// A task has one owner. A copy of it is the same handle: once one of them was joined or given up, `join` of the
/// other is `error.Stale` and its `deinit` is a wrong call. Two copies must not be joined at the same time.
pub fn Task(comptime T: type) type {
    return struct {
        const Self = @This();
        g: c.G,
        cell: ?*boxes.Cell(T),

        /// Waits for the G and takes what it returned: its value or its error. An error of the library
        /// (`NotOnG`) leaves the handle as it was; `joined` tells.
        pub fn join(task: *Self) Fallible(T) {
            try task.wait(null);
            return task.take();
        }

        /// As `join`, but gives up with `error.Timeout` after so many nanoseconds.
        pub fn joinTimeout(task: *Self, ns: ?i64) Fallible(T) {
            try task.wait(ns);
            return task.take();
        }

        /// Ends its waits for events by `error.Canceled`; `Options.cancellable` says that this may be, otherwise it is
        /// `error.NotPermitted`. `error.Stale`: it has ended.
        pub fn cancel(task: *const Self) Error!void {
            status.defined("Task.cancel", task);
            try status.check(c.gmx_cancel_g(task.g, c.GMX_ECANCELED));
        }

        pub fn joined(task: *const Self) bool {
            return task.cell == null;
        }

        fn wait(task: *Self, ns: ?i64) Error!void {
            status.defined("Task.join", task);
            if (task.joined()) return error.Stale;
            try status.check(c.gmx_join(task.g, status.limit(ns)));
        }

        fn take(task: *Self) T {
            const cell = task.cell.?;
            task.cell = null;
            defer cell.release();
            return cell.result;
        }

        /// Gives the handle up, unless it was joined; the G runs on.
        pub fn deinit(task: *Self) void {
            status.defined("Task.deinit", task);
            const cell = task.cell orelse return;
            task.cell = null;
            // The library lets a handle go once, so the cell is released once, whatever copies there are.
            const s = c.gmx_detach(task.g);
            if (s == c.GMX_OK) cell.release() else status.must("Task.deinit", s);
        }
    };
}

/// Starts a G that runs `func(args...)`.
pub fn go(comptime func: anytype, args: Args(func)) Error!Task(Return(func)) {
    return goWith(.{}, func, args);
}

pub fn goWith(options: Options, comptime func: anytype, args: Args(func)) Error!Task(Return(func)) {
    const Box = boxes.Box(func);
    const box = try Box.init(options.allocator, args);
    errdefer options.allocator.destroy(box);
    const opts = options.raw(c.GMX_SPAWN_JOINABLE);
    var g: c.G = 0;
    try status.check(c.gmx_spawn_with(&opts, Box.entry, box, &g));
    return .{ .g = g, .cell = &box.cell };
}

/// Starts a G that no caller waits for. Its function returns nothing, so that no error is lost.
pub fn goDetached(comptime func: anytype, args: Args(func)) Error!void {
    const Copy = struct {
        args: Args(func),

        fn entry(arg: ?*anyopaque) callconv(.c) void {
            const copy: *@This() = @ptrCast(@alignCast(arg));
            @call(.auto, func, copy.args);
        }
    };
    // Small arguments travel with the G.
    if (comptime Return(func) == void and @sizeOf(Copy) <= c.GMX_SPAWN_COPY_MAX and @alignOf(Copy) <= 16) {
        const copy: Copy = .{ .args = args };
        return status.check(c.gmx_spawn_copy(Copy.entry, &copy, @sizeOf(Copy)));
    }
    return goDetachedWith(.{}, func, args);
}

pub fn goDetachedWith(options: Options, comptime func: anytype, args: Args(func)) Error!void {
    if (Return(func) != void) @compileError("the result would be lost: use gomax.go, or a Scope for errors");
    const opts = options.raw(0);
    _ = try boxes.Loose(func).start(options.allocator, args, &opts, struct {
        fn begin(o: *const c.gmx_spawn_opts, entry: c.Fn, box: *anyopaque) c.Status {
            return c.gmx_spawn_with(o, entry, box, null);
        }
    }.begin);
}

/// Runs `func(args...)` as the main G and returns what it does; the calling thread waits. `error.Deadlock`: nothing
/// could ever run again, which a report on stderr explains.
pub fn run(comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
    return runAlloc(boxes.default_allocator, func, args);
}

/// As `run`; arguments and result are in memory of `allocator`: see `Options.allocator`.
pub fn runAlloc(allocator: Allocator, comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
    // Not on this stack: after error.Deadlock the G still waits, and may be readied by a thread that comes later.
    const box = try boxes.Box(func).init(allocator, args);
    defer box.cell.release();
    status.check(c.gmx_main(boxes.Box(func).entry, box)) catch |err| {
        if (err != error.Deadlock) box.cell.release(); // it never ran
        return err;
    };
    return box.cell.result;
}
