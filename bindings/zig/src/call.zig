//! Functions that the library calls for the caller: where they may block, on other threads, once.
const c = @import("c.zig");
const status = @import("status.zig");
const boxes = @import("box.zig");
const Error = status.Error;
const Args = boxes.Args;
const OnStack = boxes.OnStack;
const Return = boxes.Return;
const Fallible = boxes.Fallible;

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
        const s = c.gmx_class_free(class.raw);
        if (s == c.GMX_EBUSY) status.wrong("BlockingClass.deinit", s); // of calls that run or wait
        status.must("BlockingClass.deinit", s);
    }

    /// As `blocking`, when it is the caller's turn. `error.Canceled`: the caller's token has ended the wait for it,
    /// and nothing was called.
    pub fn run(class: BlockingClass, comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
        return class.runTimeout(null, func, args);
    }

    /// As `run`, but waits for the turn at most so many nanoseconds: `error.Timeout`, and nothing was called.
    pub fn runTimeout(class: BlockingClass, ns: ?i64, comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
        var call: OnStack(func) = .{ .args = args };
        try status.check(c.gmx_blocking_in(class.raw, OnStack(func).entry, @ptrCast(&call), status.limit(ns)));
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

/// Calls `func(begin, end, args...)` for ranges that together are 0..n, on as many Gs as Ps have nothing else to do;
/// returns when all calls have. `grain`: the most numbers of one call; 0: found out. `error.Canceled`: numbers were
/// left out.
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

/// Something that is done once. A call that comes while it is being done waits.
pub const Once = struct {
    raw: c.gmx_once = .{},

    /// Runs `func(args...)`, which returns nothing, or an error or nothing, unless it was run before. An error comes
    /// out of the call that ran it; for later callers it is done.
    pub fn do(once: *Once, comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
        return once.doTimeout(null, func, args);
    }

    /// Waits for another at most so many nanoseconds: `error.Timeout`.
    pub fn doTimeout(once: *Once, ns: ?i64, comptime func: anytype, args: Args(func)) Fallible(Return(func)) {
        if (boxes.Payload(Return(func)) != void) @compileError("only the first caller would get the result: keep it in a variable");
        status.defined("Once.do", once);
        var call: OnStack(func) = .{ .args = args, .result = {} };
        try status.check(c.gmx_once_do_timeout(&once.raw, OnStack(func).entry, @ptrCast(&call), status.limit(ns)));
        return call.result;
    }
};

/// To build what waits: parks the caller until `ready`. As soon as it is off its stack `commit(context, g)` is called
/// on the scheduler's: it makes `g` known to the code that will ready it, which may do so at once, or returns false
/// if there is nothing to wait for. It must be short and must not wait. `reason` is shown in dumps.
pub fn park(reason: ?[*:0]const u8, context: anytype, comptime commit: fn (@TypeOf(context), c.G) bool) Error!void {
    return parkTimeout(null, reason, context, commit);
}

/// As `park`, for so many nanoseconds; null waits forever.
pub fn parkTimeout(ns: ?i64, reason: ?[*:0]const u8, context: anytype, comptime commit: fn (@TypeOf(context), c.G) bool) Error!void {
    const Context = @TypeOf(context);
    const Call = struct {
        fn entry(arg: ?*anyopaque, g: c.G) callconv(.c) bool {
            const at: *const Context = @ptrCast(@alignCast(arg));
            return commit(at.*, g);
        }
    };
    var copy = context;
    try status.check(c.gmx_park_timeout(Call.entry, @ptrCast(&copy), reason, status.limit(ns)));
}

/// `error.NotPermitted` if it is not parked by `park`: not yet, not any more, or it waits for something else.
pub fn ready(g: c.G) Error!void {
    return status.check(c.gmx_ready(g));
}
