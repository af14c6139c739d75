//! Statuses of the C interface as errors of Zig.
const std = @import("std");
const builtin = @import("builtin");
const c = @import("c.zig");

/// What a call of the library can come to. `Unexpected` is a status that is not in the table: a newer library.
pub const Error = error{
    NotPermitted,
    Interrupted,
    BadDescriptor,
    WouldBlock,
    OutOfMemory,
    Busy,
    Invalid,
    PeerClosed,
    Closed,
    Deadlock,
    NotSupported,
    Timeout,
    Canceled,
    NotOnG,
    InSyscall,
    ShutDown,
    Stale,
    Unexpected,
};

const table = [_]struct { c.Status, Error }{
    .{ c.GMX_EPERM, error.NotPermitted },
    .{ c.GMX_EINTR, error.Interrupted },
    .{ c.GMX_EBADF, error.BadDescriptor },
    .{ c.GMX_EAGAIN, error.WouldBlock },
    .{ c.GMX_ENOMEM, error.OutOfMemory },
    .{ c.GMX_EBUSY, error.Busy },
    .{ c.GMX_EINVAL, error.Invalid },
    .{ c.GMX_EPIPE, error.PeerClosed },
    .{ c.GMX_EDEADLK, error.Deadlock },
    .{ c.GMX_ENOTSUP, error.NotSupported },
    .{ c.GMX_ETIMEDOUT, error.Timeout },
    .{ c.GMX_ECANCELED, error.Canceled },
    .{ c.GMX_ENOTG, error.NotOnG },
    .{ c.GMX_EINSYSCALL, error.InSyscall },
    .{ c.GMX_ESHUTDOWN, error.ShutDown },
    .{ c.GMX_ESTALE, error.Stale },
    .{ c.GMX_ECLOSED, error.Closed },
};

/// A timeout as the library counts: null is none.
pub fn limit(ns: ?i64) i64 {
    return ns orelse c.GMX_FOREVER;
}

pub fn fromStatus(status: c.Status) Error {
    inline for (table) |row| if (row[0] == status) return row[1];
    return error.Unexpected;
}

/// The status, if it is a count or GMX_OK, else its error.
pub fn count(status: c.Status) Error!u31 {
    if (status >= 0) return @intCast(status);
    return fromStatus(status);
}

pub fn check(status: c.Status) Error!void {
    if (status < 0) return fromStatus(status);
}

/// For a function of the host that answers with a status: what stands for this error.
pub fn toStatus(err: anyerror) c.Status {
    inline for (table) |row| if (row[1] == err) return row[0];
    return c.GMX_ECANCELED;
}

/// Whether wrong calls end the process: in builds with safety checks, Debug and ReleaseSafe.
pub const checked = builtin.mode.runtimeSafety();

/// For a call that returns nothing, and fails only if the call is wrong: in a checked build the process ends with its
/// name.
pub inline fn must(comptime call: []const u8, status: c.Status) void {
    if (checked and status < 0) wrong(call, status);
}

/// Ends the process in every build: what comes next would use memory that is gone.
pub fn wrong(comptime call: []const u8, status: c.Status) noreturn {
    @branchHint(.cold);
    std.debug.panic("gomax: {s}: {s} ({s})", .{ call, c.gmx_strerror(status), c.gmx_err_name(status) });
}

/// In a checked build the process ends if the object was never initialised, or was by `undefined`, or its `deinit`
/// has been.
pub inline fn defined(comptime call: []const u8, object: anytype) void {
    if (checked and std.mem.allEqual(u8, std.mem.asBytes(object), 0xaa))
        std.debug.panic("gomax: {s}: the object is undefined", .{call});
}
