//! Runs tests of the standard library that take an `Io`, with the one of gomax, each on a goroutine. ci/zig.sh copies
//! those that an installed Zig has and that stand alone, and makes `std.testing.io` in them `@import("root").io`: this
//! file, as the test runner, is the root. Its last line is `N passed, M failed`.
const std = @import("std");
const builtin = @import("builtin");
const gomax = @import("gomax");

var backend: gomax.Io = undefined;
pub const io: std.Io = backend.io();

pub fn main() !void {
    backend = try .init(std.heap.c_allocator, .{});
    var passed: usize = 0;
    var failed: usize = 0;
    for (builtin.test_functions) |t| {
        std.testing.allocator_instance = .init(std.heap.page_allocator, .{});
        const result = gomax.run(runs, .{t.func});
        const leaks = std.testing.allocator_instance.deinit();
        if (leaks != 0) std.debug.print("{s}: {d} leaks\n", .{ t.name, leaks });
        if (result) {
            passed += @intFromBool(leaks == 0);
            failed += @intFromBool(leaks != 0);
        } else |err| {
            std.debug.print("{s}: {t}\n", .{ t.name, err });
            failed += @intFromBool(err != error.SkipZigTest);
        }
    }
    try gomax.shutdown(10 * gomax.ns_per_s);
    backend.deinit();
    std.debug.print("{d} passed, {d} failed\n", .{ passed, failed });
    if (failed != 0) std.process.exit(1);
}

fn runs(func: *const fn () anyerror!void) anyerror!void {
    return func();
}
