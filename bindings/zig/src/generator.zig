//! Functions that give value after value.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const boxes = @import("box.zig");
const task = @import("task.zig");
const Error = status.Error;
const Options = task.Options;
const Allocator = std.mem.Allocator;

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
                args: boxes.ArgsAfterFirst(func),
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

        pub fn init(options: Options, comptime func: anytype, args: boxes.ArgsAfterFirst(func)) Error!*Self {
            const It = Coroutine(func);
            const it = try boxes.create(It, options.allocator);
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

        /// Ends the function, if it has not ended, and frees the generator. Where the caller cannot wait for that
        /// (pinned, in a syscall, in a stopped world) the process ends, as the function would go on with memory that
        /// is gone.
        pub fn deinit(gen: *Self) void {
            const s = if (gen.co == 0) c.GMX_OK else c.gmx_coro_free(gen.co);
            if (s != c.GMX_OK) status.wrong("Generator.deinit: it runs, or the caller cannot wait for its end", s);
            gen.destroy(gen);
        }
    };
}
