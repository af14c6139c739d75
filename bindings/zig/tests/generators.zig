//! Generators, loops, addresses.
const std = @import("std");
const gomax = @import("gomax");
const onG = @import("check.zig").onG;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

fn countTo(out: *gomax.Generator(u32), n: u32) !void {
    for (0..n) |i| try out.yield(@intCast(i));
    if (n == 3) return error.Three;
}

fn generators() !void {
    var all = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator, .name = "count" }, countTo, .{10});
    var sum: u32 = 0;
    while (try all.next()) |v| sum += v;
    try expectEqual(45, sum);
    try expectEqual(null, try all.next());
    all.deinit();

    var some = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator }, countTo, .{1000});
    try expectEqual(0, try some.next());
    try expectEqual(1, try some.next());
    some.deinit(); // in the middle

    var three = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator }, countTo, .{3});
    for (0..3) |i| try expectEqual(@as(u32, @intCast(i)), try three.next());
    try expectError(error.Three, three.next());
    three.deinit();
    var unbegun = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator }, countTo, .{3});
    unbegun.deinit();
}

test "generators" {
    try onG(generators);
    try generators();
    try gomax.shutdown(10 * s);
}

fn addRange(begin: i64, end: i64, sum: *std.atomic.Value(i64)) void {
    _ = sum.fetchAdd(end - begin, .monotonic);
}

fn loops() !void {
    var sum: std.atomic.Value(i64) = .init(0);
    try gomax.parallelFor(1000, 7, addRange, .{&sum});
    try gomax.parallelFor(1000, 0, addRange, .{&sum});
    try expectEqual(2000, sum.load(.monotonic));
    try expectError(error.Invalid, gomax.parallelFor(-1, 0, addRange, .{&sum}));
}

test "parallel loops" {
    try onG(loops);
}

var futex: u32 = 0;
fn waitForFutex() !void {
    while (@atomicLoad(u32, &futex, .acquire) == 0) try gomax.waitOnAddress(u32, &futex, 0);
}

fn addresses() !void {
    var t = try gomax.go(waitForFutex, .{});
    try expectError(error.Timeout, gomax.waitOnAddressTimeout(u32, &futex, 0, ms));
    @atomicStore(u32, &futex, 1, .release);
    _ = try gomax.wakeAddress(&futex, 1);
    try t.join();
    try gomax.waitOnAddress(u32, &futex, 0); // it differs

    var m: gomax.RecursiveMutex = .{};
    try m.lock();
    try m.lockTimeout(ms);
    try expect(m.tryLock());
    for (0..3) |_| m.unlock();
}

test "waits at an address, recursive mutexes" {
    try onG(addresses);
}
