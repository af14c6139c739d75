//! Cancellation.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const boxes = @import("box.zig");
const chan = @import("chan.zig");
const Error = status.Error;
const Allocator = std.mem.Allocator;

/// A token of cancellation: a wait for an event under it ends with `error.Canceled` when it is canceled.
pub const Token = struct {
    raw: c.Cancel,

    /// Is canceled after so many nanoseconds (null: never), or when `parent` is.
    pub fn init(parent: ?Token, timeout: ?i64) Error!Token {
        var raw: c.Cancel = 0;
        try status.check(c.gmx_cancel_new(if (parent) |p| p.raw else 0, status.limit(timeout), &raw));
        return .{ .raw = raw };
    }
    /// Does not cancel it.
    pub fn deinit(token: Token) void {
        status.must("Token.deinit", c.gmx_cancel_free(token.raw));
    }

    pub fn cancel(token: Token) void {
        status.must("Token.cancel", c.gmx_cancel_now(token.raw));
    }
    pub fn isCanceled(token: Token) bool {
        return c.gmx_cancel_is_canceled(token.raw);
    }
    /// With a reason of the program, a status below 0.
    pub fn cancelBecause(token: Token, why: c.Status) Error!void {
        return status.check(c.gmx_cancel_now_because(token.raw, why));
    }
    /// Nothing if it is not canceled; `error.Canceled` by hand, `error.Timeout` by its deadline, `error.Unexpected`
    /// for a reason of the program: see `reasonStatus`.
    pub fn reason(token: Token) Error!void {
        return status.check(try token.reasonStatus());
    }
    /// `c.GMX_OK` if it is not canceled.
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
    /// Is closed when the token is canceled, for `select`; nothing is ever sent there. The caller has a reference.
    pub fn done(token: Token) Error!chan.Channel(void) {
        var raw: ?*c.Chan = null;
        try status.check(c.gmx_cancel_chan(token.raw, &raw));
        return .{ .raw = raw };
    }
    /// Runs `func(args...)` on a G of its own when the token is canceled. It returns nothing, or an error or nothing:
    /// an error is reported by `std.log`. End it with `stop`, also when it has run.
    pub fn after(token: Token, comptime func: anytype, args: boxes.Args(func)) Error!Hook {
        return token.afterAlloc(boxes.default_allocator, func, args);
    }

    /// As `after`; the arguments are in memory of `allocator`: see `Options.allocator`.
    pub fn afterAlloc(token: Token, allocator: Allocator, comptime func: anytype, args: boxes.Args(func)) Error!Hook {
        return Hook.start(allocator, func, args, token.raw, c.gmx_cancel_after);
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
            status.must("Token.Previous.restore", c.gmx_cancel_use(previous.raw, null));
        }
    };

    pub fn current() ?Token {
        const raw = c.gmx_cancel_current();
        return if (raw == 0) null else .{ .raw = raw };
    }
};

/// A function that runs on a G of its own when a token is canceled.
pub const Hook = boxes.Pending(c.Hook, c.gmx_cancel_hook_stop);

/// No token ends what the caller waits for, until `end`: for what has to be tidied up after a cancellation. Shields
/// nest.
///
///     const shielded = try gomax.shield();
///     defer shielded.end();
pub fn shield() Error!Shield {
    try status.check(c.gmx_cancel_shield());
    return .{};
}
pub const Shield = struct {
    pub fn end(_: Shield) void {
        status.must("Shield.end", c.gmx_cancel_unshield());
    }
};
