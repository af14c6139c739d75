//! Gs with typed arguments and results.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const Error = status.Error;
const Allocator = std.mem.Allocator;

/// What a function returns, and the same in two halves: its errors and what it returns without them.
pub fn Return(comptime func: anytype) type {
    return @typeInfo(@TypeOf(func)).@"fn".return_type.?;
}
pub fn Args(comptime func: anytype) type {
    return std.meta.ArgsTuple(@TypeOf(func));
}
fn Errors(comptime T: type) type {
    return switch (@typeInfo(T)) {
        .error_union => |u| u.error_set,
        else => error{},
    };
}
fn Payload(comptime T: type) type {
    return switch (@typeInfo(T)) {
        .error_union => |u| u.payload,
        else => T,
    };
}
/// `T` where the library may fail as well.
pub fn Fallible(comptime T: type) type {
    return (Error || Errors(T))!Payload(T);
}

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
    /// Holds arguments and result until both the G and its handle are done with them.
    allocator: Allocator = std.heap.c_allocator,
};

/// What a G and whoever joins it share: the one that comes last frees it.
fn Cell(comptime T: type) type {
    return struct {
        const Self = @This();
        refs: std.atomic.Value(u32),
        destroy: *const fn (*Self) void,
        result: T,

        fn release(cell: *Self) void {
            // acq_rel: what the other did with the cell is over when it is freed
            if (cell.refs.fetchSub(1, .acq_rel) == 1) cell.destroy(cell);
        }
    };
}

/// A function, its arguments and its result on the heap, and the entry that the library calls.
fn Box(comptime func: anytype) type {
    return struct {
        const Self = @This();
        const Result = Return(func);
        cell: Cell(Result),
        args: Args(func),
        allocator: Allocator,

        fn create(allocator: Allocator, args: Args(func), refs: u32) Error!*Self {
            const box = try allocator.create(Self);
            box.* = .{
                .cell = .{ .refs = .init(refs), .destroy = destroy, .result = undefined },
                .args = args,
                .allocator = allocator,
            };
            return box;
        }

        fn destroy(cell: *Cell(Result)) void {
            const box: *Self = @fieldParentPtr("cell", cell);
            box.allocator.destroy(box);
        }

        fn entry(arg: ?*anyopaque) callconv(.c) void {
            const box: *Self = @ptrCast(@alignCast(arg));
            box.cell.result = @call(.auto, func, box.args);
            box.cell.release();
        }
    };
}

/// A G that returns `T`. It must end in `join`, or in `deinit`, which lets it run on by itself.
pub fn Task(comptime T: type) type {
    return struct {
        const Self = @This();
        g: c.G,
        cell: ?*Cell(T),

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
            try status.check(c.gmx_cancel_g(task.g, c.GMX_ECANCELED));
        }

        pub fn joined(task: *const Self) bool {
            return task.cell == null;
        }

        fn wait(task: *Self, ns: ?i64) Error!void {
            if (task.joined()) return error.Stale;
            try status.check(c.gmx_join(task.g, c.limit(ns)));
        }

        fn take(task: *Self) T {
            const cell = task.cell.?;
            task.cell = null;
            defer cell.release();
            return cell.result;
        }

        /// Gives the handle up, unless it was joined; the G runs on.
        pub fn deinit(task: *Self) void {
            const cell = task.cell orelse return;
            task.cell = null;
            _ = c.gmx_detach(task.g);
            cell.release();
        }
    };
}

fn flagsOf(options: Options) u32 {
    const child_first: u32 = if (options.child_first) c.GMX_SPAWN_CHILD_FIRST else 0;
    const last: u32 = if (options.last) c.GMX_SPAWN_LAST else 0;
    const inherit: u32 = if (options.inherit) c.GMX_SPAWN_INHERIT else 0;
    const cancellable: u32 = if (options.cancellable) c.GMX_SPAWN_CANCELLABLE else 0;
    return child_first | last | inherit | cancellable | if (options.wipe) @as(u32, c.GMX_SPAWN_WIPE) else 0;
}

/// Starts a G that runs `func(args...)`.
pub fn go(comptime func: anytype, args: Args(func)) Error!Task(Return(func)) {
    return goWith(.{}, func, args);
}

pub fn goWith(options: Options, comptime func: anytype, args: Args(func)) Error!Task(Return(func)) {
    const box = try Box(func).create(options.allocator, args, 2);
    errdefer options.allocator.destroy(box);
    const opts: c.gmx_spawn_opts = .{
        .flags = c.GMX_SPAWN_JOINABLE | flagsOf(options),
        .stack_size = options.stack_size,
        .name = options.name,
    };
    var g: c.G = 0;
    try status.check(c.gmx_spawn_with(&opts, Box(func).entry, box, &g));
    return .{ .g = g, .cell = &box.cell };
}

/// Starts a G that nobody waits for. It returns nothing, so that no error is lost.
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

/// As `goDetached`, by another function of the library that takes a function and its argument.
pub fn goBy(comptime func: anytype, args: Args(func), context: anytype, comptime start: anytype) Error!void {
    if (Return(func) != void) @compileError("the result would be lost: use gomax.go, or a Scope for errors");
    const allocator = std.heap.c_allocator;
    const box = try Box(func).create(allocator, args, 1);
    errdefer allocator.destroy(box);
    try status.check(start(context, Box(func).entry, box));
}

pub fn goDetachedWith(options: Options, comptime func: anytype, args: Args(func)) Error!void {
    if (Return(func) != void) @compileError("the result of " ++ @typeName(@TypeOf(func)) ++ " would be lost: use go and join");
    const box = try Box(func).create(options.allocator, args, 1);
    errdefer options.allocator.destroy(box);
    const opts: c.gmx_spawn_opts = .{
        .flags = flagsOf(options),
        .stack_size = options.stack_size,
        .name = options.name,
    };
    try status.check(c.gmx_spawn_with(&opts, Box(func).entry, box, null));
}

/// Runs `func(args...)` as the main G and returns what it does; the calling thread waits. `error.Deadlock`: nothing
/// could ever run again, which a report on stderr explains.
pub fn run(comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
    // Not on this stack: after error.Deadlock the G still waits, and may be readied by a thread that comes later.
    const box = try Box(func).create(std.heap.c_allocator, args, 2);
    defer box.cell.release();
    status.check(c.gmx_main(Box(func).entry, box)) catch |err| {
        if (err != error.Deadlock) box.cell.release(); // it never ran
        return err;
    };
    return box.cell.result;
}

/// Calls `func(args...)` by way of the library, on this very stack.
fn OnStack(comptime func: anytype) type {
    return struct {
        const Self = @This();
        args: Args(func),
        result: Return(func) = undefined,

        fn entry(arg: ?*anyopaque) callconv(.c) void {
            const self: *Self = @ptrCast(@alignCast(arg));
            self.result = @call(.auto, func, self.args);
        }
    };
}

/// Runs `func(args...)`, which may block the thread: the P goes to others meanwhile.
pub fn blocking(comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
    var call: OnStack(func) = .{ .args = args };
    try status.check(c.gmx_blocking(OnStack(func).entry, @ptrCast(&call)));
    return call.result;
}

/// Calls that block or compute for long, of which no more than so many run at a time, in the order in which they come.
///
///     const blas: gomax.BlockingClass = try .init(2, "blas");
///     defer blas.deinit();
///     const product = try blas.run(multiply, .{ a, b });
pub const BlockingClass = struct {
    raw: c.Class,

    /// `limit` run at a time. The name is shown in dumps as what the others wait for; 31 bytes are kept.
    pub fn init(limit: u32, name: ?[*:0]const u8) Error!BlockingClass {
        var raw: c.Class = 0;
        try status.check(c.gmx_class_new(limit, name, &raw));
        return .{ .raw = raw };
    }

    /// When none of its calls runs or waits any more.
    pub fn deinit(class: BlockingClass) void {
        if (c.gmx_class_free(class.raw) == c.GMX_EBUSY) @panic("a class with calls that run or wait");
    }

    /// As `blocking`, when it is the caller's turn. `error.Canceled`: the caller's token has ended the wait for it, and nothing
    /// was called.
    pub fn run(class: BlockingClass, comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
        return class.runTimeout(null, func, args);
    }

    /// As `run`, but waits for the turn at most so many nanoseconds: `error.Timeout`, and nothing was called.
    pub fn runTimeout(class: BlockingClass, ns: ?i64, comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
        var call: OnStack(func) = .{ .args = args };
        try status.check(c.gmx_blocking_in(class.raw, OnStack(func).entry, @ptrCast(&call), c.limit(ns)));
        return call.result;
    }
};

/// Runs `func(args...)` as a G on this very thread, whatever the thread is: for callbacks from threads of others.
pub fn callback(comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
    var call: OnStack(func) = .{ .args = args };
    try status.check(c.gmx_callback(OnStack(func).entry, @ptrCast(&call)));
    return call.result;
}

/// Runs `func(args...)` once for every P, on several threads at the same time. It must be short and must not wait;
/// `currentP` tells for which P it runs.
pub fn forEachP(comptime func: anytype, args: Args(func)) Error!void {
    const Call = struct {
        args: Args(func),
        fn entry(arg: ?*anyopaque) callconv(.c) void {
            const self: *const @This() = @ptrCast(@alignCast(arg));
            @call(.auto, func, self.args);
        }
    };
    var call: Call = .{ .args = args };
    try status.check(c.gmx_for_each_p(Call.entry, @ptrCast(&call)));
}

/// Gives value after value, each when it is asked for, from a function with a stack of its own:
///
///     fn squares(out: *gomax.Generator(u32)) gomax.Error!void {
///         for (0..10) |i| try out.yield(@intCast(i * i));
///     }
///     var g = try gomax.Generator(u32).init(.{}, squares, .{});
///     defer g.deinit();
///     while (try g.next()) |v| ...
///
/// The function gets the generator in front of its arguments, and returns `error.Canceled` when `yield` does: then the
/// generator is being ended. It may wait for whatever a G waits for.
pub fn Generator(comptime T: type) type {
    return struct {
        const Self = @This();
        co: c.Coro = 0,
        value: ?T = null,
        failure: ?anyerror = null,
        destroy: *const fn (*Self) void,

        fn Coroutine(comptime func: anytype) type {
            return struct {
                gen: Self,
                args: ArgsAfterFirst(func),
                allocator: Allocator,

                fn entry(arg: ?*anyopaque) callconv(.c) void {
                    const self: *@This() = @ptrCast(@alignCast(arg));
                    @as(anyerror!void, @call(.auto, func, .{&self.gen} ++ self.args)) catch |err| {
                        self.gen.failure = err;
                    };
                    self.gen.value = null;
                }
                fn destroy(gen: *Self) void {
                    const self: *@This() = @fieldParentPtr("gen", gen);
                    self.allocator.destroy(self);
                }
            };
        }

        pub fn init(options: Options, comptime func: anytype, args: ArgsAfterFirst(func)) Error!*Self {
            const It = Coroutine(func);
            const it = try options.allocator.create(It);
            errdefer options.allocator.destroy(it);
            it.* = .{ .gen = .{ .destroy = It.destroy }, .args = args, .allocator = options.allocator };
            const opts: c.gmx_spawn_opts = .{ .stack_size = options.stack_size, .name = options.name };
            try status.check(c.gmx_coro_new(It.entry, it, &opts, &it.gen.co));
            return &it.gen;
        }

        /// For the function: `next` returns the value.
        pub fn yield(gen: *Self, value: T) Error!void {
            gen.value = value;
            return status.check(c.gmx_coro_switch(gen.co));
        }

        /// The next value; null: there are no more. What the function fails with comes out of here.
        pub fn next(gen: *Self) anyerror!?T {
            if (gen.co == 0) return null;
            const s = c.gmx_coro_switch(gen.co);
            if (s == c.GMX_ECLOSED) {
                gen.co = 0;
                if (gen.failure) |err| {
                    gen.failure = null;
                    return err;
                }
                return null;
            }
            try status.check(s);
            return gen.value;
        }

        /// Ends the function, if it has not ended, and frees the generator.
        pub fn deinit(gen: *Self) void {
            if (gen.co != 0 and c.gmx_coro_free(gen.co) != c.GMX_OK) @panic("a generator that runs, or cannot be waited for");
            gen.destroy(gen);
        }
    };
}

fn ArgsAfterFirst(comptime func: anytype) type {
    const params = @typeInfo(@TypeOf(func)).@"fn".param_types;
    var types: [params.len - 1]type = undefined;
    for (params[1..], &types) |param, *t| t.* = param.?;
    const all = types;
    return @Tuple(&all);
}

/// Calls `func(begin, end, args...)` for ranges that together are 0..n, on as many Gs as Ps have nothing else to do; returns
/// when all calls have. `grain`: the most numbers of one call; 0: found out. `error.Canceled`: numbers were left out.
pub fn parallelFor(n: i64, grain: i64, comptime func: anytype, args: anytype) Error!void {
    const Call = struct {
        args: @TypeOf(args),
        fn entry(arg: ?*anyopaque, begin: i64, end: i64) callconv(.c) void {
            const self: *const @This() = @ptrCast(@alignCast(arg));
            @call(.auto, func, .{ begin, end } ++ self.args);
        }
    };
    var call: Call = .{ .args = args };
    try status.check(c.gmx_parallel_for(n, grain, Call.entry, @ptrCast(&call)));
}

/// Something that is done once. Whoever comes while it is being done waits.
pub const Once = struct {
    raw: c.gmx_once = .{},

    pub fn do(once: *Once, comptime func: anytype, args: Args(func)) Error!void {
        return once.doTimeout(null, func, args);
    }

    /// Waits for another at most so many nanoseconds: `error.Timeout`.
    pub fn doTimeout(once: *Once, ns: ?i64, comptime func: anytype, args: Args(func)) Error!void {
        if (Return(func) != void) @compileError("only the first caller would get the result: keep it in a variable");
        var call: OnStack(func) = .{ .args = args };
        try status.check(c.gmx_once_do_timeout(&once.raw, OnStack(func).entry, @ptrCast(&call), c.limit(ns)));
    }
};

/// To build what waits: parks the caller until `ready`. As soon as it is off its stack `commit(context, g)` is called on the
/// scheduler's: it makes `g` known to whoever is to ready it, who may do so at once, or says false if there is nothing to
/// wait for. It must be short and must not wait. `reason` is shown in dumps.
pub fn park(reason: ?[*:0]const u8, context: anytype, comptime commit: fn (@TypeOf(context), c.G) bool) Error!void {
    return parkTimeout(null, reason, context, commit);
}

/// As `park`, for so many nanoseconds; null is for ever.
pub fn parkTimeout(ns: ?i64, reason: ?[*:0]const u8, context: anytype, comptime commit: fn (@TypeOf(context), c.G) bool) Error!void {
    const Context = @TypeOf(context);
    const Call = struct {
        fn entry(arg: ?*anyopaque, g: c.G) callconv(.c) bool {
            const at: *const Context = @ptrCast(@alignCast(arg));
            return commit(at.*, g);
        }
    };
    var copy = context;
    try status.check(c.gmx_park_timeout(Call.entry, @ptrCast(&copy), reason, c.limit(ns)));
}

/// `error.NotPermitted` if it is not parked by `park`: not yet, not any more, or it waits for something else.
pub fn ready(g: c.G) Error!void {
    return status.check(c.gmx_ready(g));
}

/// A function that runs once on a G of its own, after a time.
pub const After = struct {
    timer: c.Timer,
    box: *anyopaque,
    drop: *const fn (*anyopaque) void,

    /// Keeps it from running if it has not begun, and gives the timer back. Returns whether it did.
    pub fn stop(self: *After) bool {
        var stopped = false;
        if (c.gmx_timer_free(self.timer, &stopped) != c.GMX_OK or !stopped) return false;
        self.drop(self.box); // it will never run, so the box is ours
        return true;
    }
};

/// Runs `func(args...)` after so many nanoseconds. End it with `stop`, also when it has run.
pub fn after(ns: i64, comptime func: anytype, args: Args(func)) Error!After {
    if (Return(func) != void) @compileError("nobody would get the result");
    const box = try Box(func).create(std.heap.c_allocator, args, 1);
    errdefer std.heap.c_allocator.destroy(box);
    var timer: c.Timer = 0;
    try status.check(c.gmx_after_func(@max(ns, 0), Box(func).entry, box, &timer));
    const drop = struct {
        fn drop(p: *anyopaque) void {
            const mine: *Box(func) = @ptrCast(@alignCast(p));
            mine.cell.release();
        }
    }.drop;
    return .{ .timer = timer, .box = box, .drop = drop };
}

/// A function that runs on a G of its own when a token is cancelled.
pub const Hook = struct {
    hook: c.Hook,
    box: *anyopaque,
    drop: *const fn (*anyopaque) void,

    /// Keeps it from running if it was not started. Returns whether it did. Once.
    pub fn stop(self: *Hook) bool {
        var stopped = false;
        if (c.gmx_cancel_hook_stop(self.hook, &stopped) != c.GMX_OK or !stopped) return false;
        self.drop(self.box); // it will never run, so the box is ours
        return true;
    }
};

pub fn afterCancel(token: c.Cancel, comptime func: anytype, args: Args(func)) Error!Hook {
    if (Return(func) != void) @compileError("nobody would get the result");
    const box = try Box(func).create(std.heap.c_allocator, args, 1);
    errdefer std.heap.c_allocator.destroy(box);
    var hook: c.Hook = 0;
    try status.check(c.gmx_cancel_after(token, Box(func).entry, box, &hook));
    const drop = struct {
        fn drop(p: *anyopaque) void {
            const mine: *Box(func) = @ptrCast(@alignCast(p));
            mine.cell.release();
        }
    }.drop;
    return .{ .hook = hook, .box = box, .drop = drop };
}

/// As `after`, for what nobody will want to stop.
pub fn afterDetached(ns: i64, comptime func: anytype, args: Args(func)) Error!void {
    if (Return(func) != void) @compileError("nobody would get the result");
    const box = try Box(func).create(std.heap.c_allocator, args, 1);
    errdefer std.heap.c_allocator.destroy(box);
    try status.check(c.gmx_after_func(@max(ns, 0), Box(func).entry, box, null));
}
