//! Gs that belong together.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const boxes = @import("box.zig");
const Token = @import("token.zig").Token;
const Error = status.Error;
const Allocator = std.mem.Allocator;

/// Gs that are waited for together, and may fail with an error of `E` or of the library: `Scope(error{})` for the
/// library's alone, `Scope(anyerror)` for all.
///
///     var scope: gomax.Scope(error{Refused}) = try .init(null);
///     defer scope.deinit();
///     try scope.go(fetch, .{url});
///     try scope.wait();
///
/// The first error of a G cancels the others, and what the maker of the scope waits for before it leaves the scope:
/// these waits end with `error.Canceled`. `wait` leaves it, and says what came of it:
///
/// 1. The first error of a G. `error.Canceled` is none where the scope's own token was canceled, else as any other.
/// 2. Else, if a G let `error.Canceled` out and the token around the scope is canceled: `error.Canceled`.
/// 3. Else, if one did and it was the deadline of this scope: `error.Timeout`.
/// 4. Else nothing: also when `cancel` has ended the scope.
///
/// The body between `init` and `wait` may let an error out too; only `run`, which calls the body, can hold it to
/// these rules.
///
/// A scope must not be moved while Gs are in it. The G or thread that makes it ends it.
pub fn Scope(comptime E: type) type {
    return struct {
        const Self = @This();
        pub const Failure = Error || E;

        raw: c.Scope,
        /// Holds the arguments of a G until it has returned: to be set before the first `go`, see `Options.allocator`.
        allocator: Allocator = boxes.default_allocator,
        around: c.Cancel,
        left: bool = false,
        /// By what it ended (`c.GMX_SCOPE_*`), once it was left.
        end: c.gmx_scope_end = .{},
        first: std.atomic.Value(u16) = .init(0),
        /// A wait that the scope's token has ended came out of a G or of the body.
        ended: std.atomic.Value(bool) = .init(false),

        comptime {
            std.debug.assert(@sizeOf(anyerror) == @sizeOf(u16));
        }

        /// Cancels the Gs after so many nanoseconds; null: never. Made under the caller's token.
        pub fn init(timeout: ?i64) Error!Self {
            var raw: c.Scope = 0;
            const around = c.gmx_cancel_current();
            try status.check(c.gmx_scope_new(status.limit(timeout), &raw));
            errdefer _ = c.gmx_scope_leave(raw, 0, null);
            try status.check(c.gmx_scope_enter(raw));
            return .{ .raw = raw, .around = around };
        }

        /// Calls `body(&scope, args...)` in a new scope and leaves that: the body is as one of its Gs, so its errors
        /// come out by the rules of `wait`. It returns nothing, or an error or nothing. Its Gs may end after the body:
        /// what they refer to must lie outside of the body's frame.
        ///
        ///     fn both(scope: *gomax.Scope(error{Refused}), url: []const u8) !void {
        ///         try scope.go(fetch, .{url});
        ///         try listen();
        ///     }
        ///     try gomax.Scope(error{Refused}).run(gomax.ns(.fromSeconds(5)), both, .{url});
        pub fn run(
            timeout: ?i64,
            comptime body: anytype,
            args: boxes.ArgsAfterFirst(body),
        ) (Failure || boxes.Errors(boxes.Return(body)))!void {
            const Result = (Failure || boxes.Errors(boxes.Return(body)))!void;
            var scope: Self = try .init(timeout);
            const result: Result = @call(.auto, body, .{&scope} ++ args);
            if (scope.left) return result;
            if (scope.settle(result) != c.GMX_OK) scope.cancel();
            scope.mustLeave("Scope.run");
            return @errorCast(scope.outcome());
        }

        /// Starts a G. The function returns nothing, or an error or nothing. `error.Stale`: the scope was left.
        pub fn go(scope: *Self, comptime func: anytype, args: boxes.Args(func)) Error!void {
            return scope.start({}, func, args);
        }

        /// Starts a G whose function returns a value, or an error or a value. The value is in `result.*` when the
        /// scope was left without an error.
        pub fn goInto(scope: *Self, result: anytype, comptime func: anytype, args: boxes.Args(func)) Error!void {
            return scope.start(result, func, args);
        }

        fn start(scope: *Self, result: anytype, comptime func: anytype, args: boxes.Args(func)) Error!void {
            const Box = struct {
                scope: *Self,
                result: @TypeOf(result),
                args: boxes.Args(func),

                fn entry(arg: ?*anyopaque) callconv(.c) c.Status {
                    const box: *@This() = @ptrCast(@alignCast(arg));
                    const in = box.scope;
                    defer in.allocator.destroy(box); // before the scope hears of the end
                    return in.settle(box.call());
                }
                fn call(box: *@This()) Failure!void {
                    const Value = boxes.Payload(boxes.Return(func));
                    const value = @as(Failure!Value, @call(.auto, func, box.args));
                    if (@TypeOf(result) == void) {
                        if (Value != void) @compileError("the result would be lost: use goInto");
                        return value;
                    }
                    box.result.* = try value;
                }
            };
            status.defined("Scope.go", &scope.raw);
            if (scope.left) return error.Stale;
            const box = try boxes.create(Box, scope.allocator);
            errdefer scope.allocator.destroy(box);
            box.* = .{ .scope = scope, .result = result, .args = args };
            try status.check(c.gmx_scope_spawn(scope.raw, Box.entry, box));
        }

        /// What a G or the body came to: GMX_OK, or a failure that cancels the others.
        fn settle(scope: *Self, result: anyerror!void) c.Status {
            result catch |err| {
                // monotonic: the reader of these has left the scope, which comes after all of its Gs
                if (err == error.Canceled and scope.isCanceled()) {
                    scope.ended.store(true, .monotonic);
                    return c.GMX_OK;
                }
                _ = scope.first.cmpxchgStrong(0, @intFromError(err), .monotonic, .monotonic);
                return status.toStatus(err);
            };
            return c.GMX_OK;
        }

        fn isCanceled(scope: *Self) bool {
            var raw: c.Cancel = 0;
            return c.gmx_scope_token(scope.raw, &raw) == c.GMX_OK and c.gmx_cancel_is_canceled(raw);
        }

        fn leave(scope: *Self, timeout: i64) c.Status {
            const s = c.gmx_scope_leave_why(scope.raw, timeout, &scope.end);
            if (s == c.GMX_OK) scope.left = true;
            return s;
        }

        /// Gs write to the scope, which is in the caller's frame: a caller that cannot wait for them cannot go on.
        fn mustLeave(scope: *Self, comptime call: []const u8) void {
            const s = scope.leave(c.GMX_FOREVER);
            if (s != c.GMX_OK) status.wrong(call ++ ": the caller cannot wait for the goroutines, which refer to the scope", s);
        }

        /// The rules, once it was left.
        fn outcome(scope: *Self) anyerror!void {
            const first = scope.first.load(.monotonic);
            if (first != 0) return @errorFromInt(first);
            if (!scope.ended.load(.monotonic)) return;
            // there is no reason to ask for where no token was around: 0 would be the current one
            if (scope.around != 0 and c.gmx_cancel_is_canceled(scope.around)) return error.Canceled;
            if (scope.end.by == c.GMX_SCOPE_DEADLINE) return error.Timeout;
        }

        /// Waits for all of them and leaves the scope: `error.Stale` from then on. An error of the call itself
        /// (`NotOnG`, `InSyscall`) leaves it as it was.
        pub fn wait(scope: *Self) Failure!void {
            _ = try scope.waitTimeout(null);
        }

        /// As `wait` for so many nanoseconds. False: some have not ended, and go on; the scope was not left.
        pub fn waitTimeout(scope: *Self, ns: ?i64) Failure!bool {
            status.defined("Scope.wait", &scope.raw);
            if (scope.left) return error.Stale;
            const s = scope.leave(status.limit(ns));
            if (s == c.GMX_ETIMEDOUT) return false;
            try status.check(s);
            try @as(Failure!void, @errorCast(scope.outcome()));
            return true;
        }

        /// Cancels the Gs and waits for them, unless the scope was left. Their frames refer to this one: where the
        /// caller cannot wait (pinned, in a syscall, in a stopped world, as a G of this scope) the process ends.
        pub fn deinit(scope: *Self) void {
            status.defined("Scope.deinit", &scope.raw);
            if (!scope.left) {
                scope.cancel();
                scope.mustLeave("Scope.deinit");
            }
            scope.* = undefined;
        }

        /// Cancels what its Gs and its body wait for. Nothing happens to a scope that was left.
        pub fn cancel(scope: *Self) void {
            _ = c.gmx_scope_cancel(scope.raw);
        }

        /// By what its token was canceled, while it was not left: nothing; `error.Canceled`, by hand or by a failure;
        /// `error.Timeout`, by its deadline or one above it.
        pub fn reason(scope: *Self) Error!void {
            return (try scope.token()).reason();
        }

        /// The token that its Gs run under; it ends with the scope.
        pub fn token(scope: *Self) Error!Token {
            var raw: c.Cancel = 0;
            try status.check(c.gmx_scope_token(scope.raw, &raw));
            return .{ .raw = raw };
        }
    };
}
