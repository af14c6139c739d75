//! Gs: results, errors, handles.
const std = @import("std");
const gomax = @import("gomax");
const check = @import("check.zig");
const onG = check.onG;
const add = check.add;
const half = check.half;
const Odd = check.Odd;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

fn resultsAndErrors() !void {
    var sum = try gomax.go(add, .{ 2, 3 });
    defer sum.deinit();
    try expectEqual(5, try sum.join());
    try expect(sum.joined());
    try expectError(error.Stale, sum.join());

    var even = try gomax.goWith(.{ .name = "even", .stack_size = 64 * 1024, .allocator = std.testing.allocator }, half, .{8});
    try expectEqual(4, try even.join());
    var odd = try gomax.goWith(.{ .child_first = true, .wipe = true, .allocator = std.testing.allocator }, half, .{7});
    try expectError(error.Odd, odd.join());

    // the error set says what can come: the library's, and the function's own
    const Join = @typeInfo(@TypeOf(gomax.Task(Odd!u32).join)).@"fn".return_type.?;
    comptime std.debug.assert(@typeInfo(Join).error_union.error_set == (gomax.Error || Odd));
}

test "a G returns its value or its error" {
    try onG(resultsAndErrors);
}

fn waits(sema: *gomax.Semaphore) void {
    sema.acquire() catch {};
}

fn timesOut() !void {
    var sema: gomax.Semaphore = .{};
    var t = try gomax.go(waits, .{&sema});
    try expectError(error.Timeout, t.joinTimeout(ms));
    try expect(!t.joined());
    try sema.release();
    try t.join();

    // given up: the G runs on and frees what it shared with the handle
    var up = try gomax.goWith(.{ .allocator = std.testing.allocator }, waits, .{&sema});
    up.deinit();
    try sema.release();
    try gomax.goDetachedWith(.{ .name = "alone" }, waits, .{&sema});
    try sema.release();
    while (gomax.numG() > 1) try gomax.yield();
}

test "a join may time out, a handle may be given up" {
    try onG(timesOut);
}

fn count(n: *std.atomic.Value(u32), wg: *gomax.WaitGroup) void {
    _ = n.fetchAdd(1, .monotonic);
    wg.done();
}

fn tenThousand() !void {
    var n: std.atomic.Value(u32) = .init(0);
    var wg: gomax.WaitGroup = .{};
    for (0..10_000) |_| {
        try wg.add(1);
        try gomax.goDetached(count, .{ &n, &wg });
    }
    try wg.wait();
    try expectEqual(10_000, n.load(.monotonic));
}

test "ten thousand Gs" {
    try onG(tenThousand);
}

test "a plain thread spawns and joins, without a main G" {
    var t = try gomax.go(add, .{ 40, 2 });
    try expectEqual(42, try t.join());
    try gomax.shutdown(10 * s);
}

var never: gomax.Channel(u8) = undefined;

fn deadlocks() !u8 {
    return never.recv();
}

fn quiet(_: ?*anyopaque, _: [*]const u8, _: usize) callconv(.c) void {}

test "a deadlock is an error, and what waits runs when it can" {
    try gomax.init(.{ .report = quiet });
    never = try .init(0);
    defer never.deinit();
    try expectError(error.Deadlock, gomax.run(deadlocks, .{}));
    try expectError(error.Timeout, gomax.shutdown(0));
    never.close();
    try gomax.shutdown(10 * s);
}

fn failsAtOnce() !void {
    return error.Mine;
}

test "run returns the error of its function" {
    try expectError(error.Mine, gomax.run(failsAtOnce, .{}));
    try expectError(error.NotOnG, struct { // no main G within a callback of the scheduler
        var said: gomax.Error!void = {};
        fn inBarrier() void {
            said = gomax.sleep(1);
        }
        fn from() !void {
            try gomax.forEachP(inBarrier, .{});
            return said;
        }
    }.from());
    try gomax.shutdown(10 * s);
}
