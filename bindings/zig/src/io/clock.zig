//! Times of std.Io as those of the library: nanoseconds from now.
const std = @import("std");
const c = @import("../c.zig");
const cancel = @import("cancel.zig");
const delegate = @import("delegate.zig");
const Io = std.Io;

/// What is left of a timeout. `GMX_FOREVER` if it has no end.
pub fn left(timeout: Io.Timeout) i64 {
    return switch (timeout) {
        .none => c.GMX_FOREVER,
        .duration => |d| std.math.lossyCast(i64, d.raw.nanoseconds),
        .deadline => |d| std.math.lossyCast(i64, d.raw.nanoseconds - delegate.now(d.clock).nanoseconds),
    };
}

/// The same timeout as a moment of its clock, for what waits several times.
pub fn deadline(timeout: Io.Timeout) Io.Timeout {
    return switch (timeout) {
        .none, .deadline => timeout,
        .duration => |d| .{ .deadline = .{ .clock = d.clock, .raw = .{ .nanoseconds = delegate.now(d.clock).nanoseconds +| d.raw.nanoseconds } } },
    };
}

/// A clock that can be set, or that counts the time of a processor, is looked at again when the time is over.
pub fn sleep(_: ?*anyopaque, timeout: Io.Timeout) Io.Cancelable!void {
    const end = deadline(timeout);
    while (true) {
        const wait: cancel.Wait = try .begin();
        cancel.waited(try wait.ended(c.gmx_sleep(@max(left(end), 0))));
        if (left(end) <= 0) return;
    }
}
