//! Cancellation, and Gs that belong together.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const task = @import("task.zig");
const chan = @import("chan.zig");
const Error = status.Error;

/// A token of cancellation: whoever waits under it goes on with `error.Canceled` when it is cancelled.
pub const Token = struct {
    raw: c.Cancel,

    /// Is cancelled after so many nanoseconds (null: never), or when `parent` is.
    pub fn init(parent: ?Token, timeout: ?i64) Error!Token {
        var raw: c.Cancel = 0;
        try status.check(c.gmx_cancel_new(if (parent) |p| p.raw else 0, c.limit(timeout), &raw));
        return .{ .raw = raw };
    }
    /// Does not cancel it.
    pub fn deinit(token: Token) void {
        _ = c.gmx_cancel_free(token.raw);
    }

    pub fn cancel(token: Token) void {
        _ = c.gmx_cancel_now(token.raw);
    }
    pub fn isCanceled(token: Token) bool {
        return c.gmx_cancel_is_cancelled(token.raw);
    }
    /// With a reason of one's own, a status below 0.
    pub fn cancelBecause(token: Token, why: c.Status) Error!void {
        return status.check(c.gmx_cancel_now_because(token.raw, why));
    }
    /// Nothing if it is not cancelled; `error.Canceled` by hand, `error.Timeout` by its deadline, `error.Unexpected` for a
    /// reason of one's own: see `reasonStatus`.
    pub fn reason(token: Token) Error!void {
        return status.check(try token.reasonStatus());
    }
    /// `c.GMX_OK` if it is not cancelled.
    pub fn reasonStatus(token: Token) Error!c.Status {
        var why: c.Status = c.GMX_OK;
        try status.check(c.gmx_cancel_reason(token.raw, &why));
        return why;
    }
    /// The earliest of its deadline and those above it, on the clock of `now`; null if there is none.
    pub fn deadline(token: Token) Error!?i64 {
        var when: i64 = 0;
        try status.check(c.gmx_cancel_deadline(token.raw, &when));
        return if (when == c.GMX_FOREVER) null else when;
    }
    /// Is closed when the token is cancelled, for `select`; nothing is ever sent there. The caller has a reference.
    pub fn done(token: Token) Error!chan.Channel(void) {
        var raw: ?*c.Chan = null;
        try status.check(c.gmx_cancel_chan(token.raw, &raw));
        return .{ .raw = raw };
    }
    /// Runs `func(args...)` on a G of its own when the token is cancelled. End it with `stop`, also when it has run.
    pub fn after(token: Token, comptime func: anytype, args: task.Args(func)) Error!task.Hook {
        return task.afterCancel(token.raw, func, args);
    }

    /// Makes it what the caller waits under, until `restore`.
    pub fn use(token: Token) Error!Previous {
        var previous: c.Cancel = 0;
        try status.check(c.gmx_cancel_use(token.raw, &previous));
        return .{ .raw = previous };
    }
    pub const Previous = struct {
        raw: c.Cancel,
        pub fn restore(previous: Previous) void {
            _ = c.gmx_cancel_use(previous.raw, null);
        }
    };

    pub fn current() ?Token {
        const raw = c.gmx_cancel_current();
        return if (raw == 0) null else .{ .raw = raw };
    }
};

/// No token ends what the caller waits for, until `end`: for what has to be tidied up after a cancellation. Shields nest.
///
///     const shielded = try gomax.shield();
///     defer shielded.end();
pub fn shield() Error!Shield {
    try status.check(c.gmx_cancel_shield());
    return .{};
}
pub const Shield = struct {
    pub fn end(_: Shield) void {
        _ = c.gmx_cancel_unshield();
    }
};

/// Gs that are waited for together. The first error of one of them cancels the others, and is what `wait` returns. Between
/// `init` and `wait` (or `deinit`) the maker's own waits end with them, with `error.Canceled`.
///
///     var scope: gomax.Scope = try .init(null);
///     defer scope.deinit();
///     try scope.go(fetch, .{url});
///     try scope.wait();
///
/// It must not be moved while Gs are in it. The G or thread that makes it ends it.
pub const Scope = struct {
    raw: c.Scope,
    first: std.atomic.Value(u16) = .init(0),

    comptime {
        std.debug.assert(@sizeOf(anyerror) == @sizeOf(u16));
    }

    /// Cancels the Gs after so many nanoseconds; null: never. Made under the caller's token.
    pub fn init(timeout: ?i64) Error!Scope {
        var raw: c.Scope = 0;
        try status.check(c.gmx_scope_new(c.limit(timeout), &raw));
        errdefer _ = c.gmx_scope_leave(raw, 0, null);
        try status.check(c.gmx_scope_enter(raw));
        return .{ .raw = raw };
    }

    /// Starts a G. The function returns nothing, or an error or nothing.
    pub fn go(scope: *Scope, comptime func: anytype, args: task.Args(func)) Error!void {
        const Box = struct {
            scope: *Scope,
            args: task.Args(func),

            fn entry(arg: ?*anyopaque) callconv(.c) c.Status {
                const box: *@This() = @ptrCast(@alignCast(arg));
                const mine = box.*;
                std.heap.c_allocator.destroy(box);
                const result: anyerror!void = @call(.auto, func, mine.args);
                result catch |err| {
                    mine.scope.keep(err);
                    return status.toStatus(err);
                };
                return c.GMX_OK;
            }
        };
        const box = try std.heap.c_allocator.create(Box);
        errdefer std.heap.c_allocator.destroy(box);
        box.* = .{ .scope = scope, .args = args };
        try status.check(c.gmx_scope_spawn(scope.raw, Box.entry, box));
    }

    fn keep(scope: *Scope, err: anyerror) void {
        // monotonic: whoever reads it has left the scope, which comes after all of its Gs
        _ = scope.first.cmpxchgStrong(0, @intFromError(err), .monotonic, .monotonic);
    }

    /// Waits for all of them and ends the scope: `error.Stale` from then on.
    pub fn wait(scope: *Scope) anyerror!void {
        return scope.waitTimeout(null);
    }

    /// As `wait`, but gives up with `error.Timeout` after so many nanoseconds: the scope goes on then.
    pub fn waitTimeout(scope: *Scope, ns: ?i64) anyerror!void {
        try status.check(c.gmx_scope_leave(scope.raw, c.limit(ns), null));
        const first = scope.first.load(.monotonic);
        if (first != 0) return @errorFromInt(first);
    }

    /// As `waitTimeout`, but says by what the scope ended (`c.GMX_SCOPE_*`) where that returns the first error.
    pub fn waitWhy(scope: *Scope, ns: ?i64) Error!c.gmx_scope_end {
        var end: c.gmx_scope_end = .{};
        try status.check(c.gmx_scope_leave_why(scope.raw, c.limit(ns), &end));
        return end;
    }

    /// Cancels the Gs and waits for them, unless `wait` has been there.
    pub fn deinit(scope: *Scope) void {
        scope.cancel();
        _ = c.gmx_scope_leave(scope.raw, c.GMX_FOREVER, null);
    }

    pub fn cancel(scope: *Scope) void {
        _ = c.gmx_scope_cancel(scope.raw);
    }

    /// The token that its Gs run under; it ends with the scope.
    pub fn token(scope: *Scope) Error!Token {
        var raw: c.Cancel = 0;
        try status.check(c.gmx_scope_token(scope.raw, &raw));
        return .{ .raw = raw };
    }
};
