//! Time: what happens later, and how long a wait may last.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const boxes = @import("box.zig");
const chan = @import("chan.zig");
const Error = status.Error;
const Args = boxes.Args;
const Allocator = std.mem.Allocator;

/// A duration of the standard library as the nanoseconds of a timeout:
/// `ch.recvTimeout(gomax.ns(.fromMilliseconds(5)))`. What does not fit becomes the longest, or the shortest.
pub fn ns(duration: std.Io.Duration) i64 {
    return std.math.lossyCast(i64, duration.nanoseconds);
}

pub fn sleep(nanoseconds: i64) Error!void {
    return status.check(c.gmx_sleep(nanoseconds));
}

/// The monotonic clock, in nanoseconds.
pub fn now() i64 {
    return c.gmx_now();
}

/// The moment at which a timeout ends that begins now; and what is left until then, 0 if it has passed. For several
/// waits that share one end.
pub fn deadline(timeout: ?i64) i64 {
    return c.gmx_deadline(status.limit(timeout));
}
pub fn timeLeft(moment: i64) i64 {
    return c.gmx_time_left(moment);
}

/// A function that runs once on a G of its own, after a time. `stop` frees its timer.
pub const After = boxes.Pending(c.Timer, c.gmx_timer_free);

/// Runs `func(args...)` after so many nanoseconds. It returns nothing, or an error or nothing: an error is reported
/// by `std.log`. End it with `stop`, also when it has run.
pub fn after(delay: i64, comptime func: anytype, args: Args(func)) Error!After {
    return afterAlloc(boxes.default_allocator, delay, func, args);
}

/// As `after`; the arguments are in memory of `allocator`: see `Options.allocator`.
pub fn afterAlloc(allocator: Allocator, delay: i64, comptime func: anytype, args: Args(func)) Error!After {
    return After.start(allocator, func, args, delay, begin);
}

/// As `after`, for what is never stopped.
pub fn afterDetached(delay: i64, comptime func: anytype, args: Args(func)) Error!void {
    return afterDetachedAlloc(boxes.default_allocator, delay, func, args);
}

pub fn afterDetachedAlloc(allocator: Allocator, delay: i64, comptime func: anytype, args: Args(func)) Error!void {
    _ = try boxes.Loose(func).start(allocator, args, delay, beginDetached);
}

fn begin(delay: i64, entry: c.Fn, box: *anyopaque, timer: ?*c.Timer) c.Status {
    return c.gmx_after_func(@max(delay, 0), entry, box, timer);
}
fn beginDetached(delay: i64, entry: c.Fn, box: *anyopaque) c.Status {
    return begin(delay, entry, box, null);
}

/// A channel that gets the time of `now` once, after so many nanoseconds; null: never. `deinit` at any moment ends
/// its timer too.
pub fn afterChannel(delay: ?i64) Error!chan.Channel(i64) {
    var raw: ?*c.Chan = null;
    try status.check(c.gmx_after(status.limit(delay), &raw));
    return .{ .raw = raw };
}

/// A timer with a channel, which gets the time of `now` when it fires.
pub const Timer = struct {
    raw: c.Timer,
    ch: chan.Channel(i64),

    /// Fires once, after so many nanoseconds; null: not before `reset`.
    pub fn init(delay: ?i64) Error!Timer {
        return create(status.limit(delay), 0);
    }

    /// Fires every so many nanoseconds. A receiver that is slow misses some.
    pub fn ticker(period: i64) Error!Timer {
        if (period <= 0) return error.Invalid;
        return create(period, period);
    }

    fn create(delay: i64, period: i64) Error!Timer {
        var raw: c.Timer = 0;
        var ch: ?*c.Chan = null;
        try status.check(c.gmx_timer_new(delay, period, &raw, &ch));
        return .{ .raw = raw, .ch = .{ .raw = ch } };
    }

    pub fn deinit(timer: Timer) void {
        status.must("Timer.deinit", c.gmx_timer_free(timer.raw, null));
        timer.ch.deinit();
    }

    /// Both return whether they prevented something: no time of before can be received afterwards.
    pub fn stop(timer: Timer) Error!bool {
        var stopped = false;
        try status.check(c.gmx_timer_stop(timer.raw, &stopped));
        return stopped;
    }
    pub fn reset(timer: Timer, delay: ?i64, period: i64) Error!bool {
        var stopped = false;
        try status.check(c.gmx_timer_reset(timer.raw, status.limit(delay), period, &stopped));
        return stopped;
    }
};
