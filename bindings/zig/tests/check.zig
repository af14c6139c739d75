//! What the tests share.
const std = @import("std");
const gomax = @import("gomax");

/// Runs a test's body as the main G, and sees that no G is left behind.
pub fn onG(comptime body: anytype) !void {
    try gomax.run(body, .{});
    try gomax.shutdown(10 * gomax.ns_per_s);
}

/// Runs `body(io)` on a goroutine, on so many Ps.
pub fn onIo(ps: u31, comptime body: fn (std.Io) anyerror!void) !void {
    const Main = struct {
        fn main(n: u31) !void {
            const before = try gomax.setMaxprocs(n);
            defer _ = gomax.setMaxprocs(before) catch {};
            var backend: gomax.Io = try .init(std.testing.allocator, .{});
            defer backend.deinit();
            try body(backend.io());
        }
    };
    try gomax.run(Main.main, .{ps});
    try gomax.shutdown(10 * gomax.ns_per_s);
}

pub fn onOneAndTwo(comptime body: fn (std.Io) anyerror!void) !void {
    try onIo(1, body);
    try onIo(2, body);
}

pub fn add(a: u32, b: u32) u32 {
    return a + b;
}

pub const Odd = error{Odd};
pub fn half(n: u32) Odd!u32 {
    if (n % 2 == 1) return error.Odd;
    return n / 2;
}
