//! Memory that is not there: each operation that allocates, with each of its allocations failed in turn. It is
//! error.OutOfMemory, and nothing has changed. Everything is given back.
const std = @import("std");
const gomax = @import("gomax");
const check = @import("check.zig");
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const Allocator = std.mem.Allocator;
const s = gomax.ns_per_s;

/// More than travels with a G.
const Big = [100]u64;

fn sum(numbers: Big) u64 {
    var all: u64 = 0;
    for (numbers) |n| all += n;
    return all;
}
fn addTo(total: *std.atomic.Value(u64), numbers: Big) void {
    _ = total.fetchAdd(sum(numbers), .monotonic);
}
const big: Big = @splat(3);

/// FailingAllocator counts without a lock: one P runs its users in turn, as the last Gs free on their way out.
fn underFailures(comptime operation: fn (Allocator) anyerror!void) !void {
    const before = gomax.maxprocs();
    _ = try gomax.setMaxprocs(1);
    try gomax.run(struct {
        fn body() !void {
            try std.testing.checkAllAllocationFailures(std.testing.allocator, struct {
                fn once(gpa: Allocator) !void {
                    try operation(gpa);
                }
            }.once, .{});
        }
    }.body, .{});
    try gomax.shutdown(10 * s);
    _ = try gomax.setMaxprocs(before);
}

/// Waits until all other Gs have ended, and freed what they have.
fn alone() !void {
    while (gomax.numG() > 1) try gomax.yield();
}

fn goes(gpa: Allocator) !void {
    defer alone() catch {};
    var first = try gomax.goWith(.{ .allocator = gpa }, sum, .{big});
    errdefer first.deinit();
    var second = try gomax.goWith(.{ .allocator = gpa, .child_first = true }, sum, .{big});
    try expectEqual(300, try first.join());
    try expectEqual(300, try second.join());
    var up = try gomax.goWith(.{ .allocator = gpa }, sum, .{big});
    up.deinit();
}

test "go without memory" {
    try underFailures(goes);
}

fn detaches(gpa: Allocator) !void {
    var total: std.atomic.Value(u64) = .init(0);
    defer alone() catch {}; // before total goes
    const spawned = (try gomax.schedStats()).spawned;
    gomax.goDetachedWith(.{ .allocator = gpa }, addTo, .{ &total, big }) catch |err| {
        try expectEqual(spawned, (try gomax.schedStats()).spawned);
        return err;
    };
    try alone();
    try expectEqual(300, total.load(.monotonic));
}

test "goDetached without memory" {
    try underFailures(detaches);
}

fn inScope(gpa: Allocator) !void {
    var scope: gomax.Scope(error{}) = try .init(null);
    scope.allocator = gpa;
    defer scope.deinit();
    var total: std.atomic.Value(u64) = .init(0);
    var result: u64 = 0;
    try scope.go(addTo, .{ &total, big });
    scope.goInto(&result, sum, .{big}) catch |err| { // the scope is as it was
        try expectEqual(false, (try scope.token()).isCanceled());
        try scope.wait();
        try expectEqual(300, total.load(.monotonic));
        return err;
    };
    try scope.wait();
    try expectEqual(300, result);
}

test "a scope without memory" {
    try underFailures(inScope);
}

fn inScopeRun(gpa: Allocator) !void {
    const body = struct {
        fn body(scope: *gomax.Scope(error{}), allocator: Allocator) !void {
            scope.allocator = allocator;
            var total: std.atomic.Value(u64) = .init(0);
            try scope.go(addTo, .{ &total, big });
            try scope.wait();
        }
    }.body;
    try gomax.Scope(error{}).run(null, body, .{gpa});
}

test "a scope with a body, without memory" {
    try underFailures(inScopeRun);
}

fn inGroup(gpa: Allocator) !void {
    var wg: gomax.WaitGroup = .{};
    var total: std.atomic.Value(u64) = .init(0);
    wg.goAlloc(gpa, addTo, .{ &total, big }) catch |err| {
        try wg.waitTimeout(0); // it counts nothing
        return err;
    };
    try wg.wait();
    try expectEqual(300, total.load(.monotonic));
}

test "a wait group without memory" {
    try underFailures(inGroup);
}

fn later(gpa: Allocator) !void {
    defer alone() catch {};
    var wg: gomax.WaitGroup = .{};
    try wg.add(2);
    const done = struct {
        fn done(group: *gomax.WaitGroup, _: Big) void {
            group.done();
        }
    }.done;
    var never = try gomax.afterAlloc(gpa, 3600 * s, done, .{ &wg, big });
    defer _ = never.stop();
    var soon = try gomax.afterAlloc(gpa, 0, done, .{ &wg, big });
    defer if (!soon.stop()) alone() catch {}; // it runs, or has run
    try gomax.afterDetachedAlloc(gpa, 0, done, .{ &wg, big });
    try wg.wait();
    try expect(!soon.stop());
}

test "functions after a time, without memory" {
    try underFailures(later);
}

fn hooks(gpa: Allocator) !void {
    defer alone() catch {};
    const token: gomax.Token = try .init(null, null);
    defer token.deinit();
    var total: std.atomic.Value(u64) = .init(0);
    var one = try token.afterAlloc(gpa, addTo, .{ &total, big });
    var other = token.afterAlloc(gpa, addTo, .{ &total, big }) catch |err| {
        try expect(one.stop());
        token.cancel();
        try alone();
        try expectEqual(0, total.load(.monotonic));
        return err;
    };
    try expect(one.stop());
    token.cancel();
    try alone();
    try expect(!other.stop());
    try expectEqual(300, total.load(.monotonic));
}

test "hooks without memory" {
    try underFailures(hooks);
}

fn generates(gpa: Allocator) !void {
    const count = struct {
        fn count(out: *gomax.Generator(u64), all: Big) !void {
            for (all) |n| try out.yield(n);
        }
    }.count;
    var whole = try gomax.Generator(u64).init(.{ .allocator = gpa }, count, .{big});
    defer whole.deinit();
    var total: u64 = 0;
    while (try whole.next()) |n| total += n;
    try expectEqual(300, total);
    var half = try gomax.Generator(u64).init(.{ .allocator = gpa }, count, .{big});
    defer half.deinit();
    try expectEqual(3, try half.next());
}

test "generators without memory" {
    try underFailures(generates);
}

fn mainG(gpa: Allocator) !void {
    try expectEqual(300, try gomax.runAlloc(gpa, sum, .{big}));
}

test "run without memory" {
    try std.testing.checkAllAllocationFailures(std.testing.allocator, mainG, .{});
    try gomax.shutdown(10 * s);
}

fn drains(gpa: Allocator) !void {
    const ch = try gomax.Channel([]u8).init(gomax.unbounded);
    defer ch.deinit();
    defer ch.closeDrop(gpa, Allocator.free);
    for (0..4) |i| {
        const text = try gpa.dupe(u8, "a text");
        errdefer gpa.free(text);
        if (i == 3) ch.close();
        ch.send(text) catch |err| {
            try expectError(error.Closed, @as(gomax.Error!void, err));
            gpa.free(text); // not sent: still ours
        };
    }
    if (try ch.next()) |text| gpa.free(text);
}

test "values that own memory are drained, without memory" {
    try underFailures(drains);
}

fn returns() void {}
fn yieldsNothing(_: *gomax.Generator(u64)) !void {}

// What the library refuses has taken no memory along: std.testing.allocator tells.
fn refused() !void {
    const gpa = std.testing.allocator;
    const bad: gomax.Options = .{ .allocator = gpa, .last = true, .child_first = true };
    try expectError(error.Invalid, gomax.goWith(bad, returns, .{}));
    try expectError(error.Invalid, gomax.goDetachedWith(bad, returns, .{}));
    try expectError(error.Invalid, gomax.Generator(u64).init(.{ .allocator = gpa, .stack_size = 1 << 40 }, yieldsNothing, .{}));
    var full: gomax.WaitGroup = .{};
    try full.add(std.math.maxInt(i32));
    try expectError(error.Invalid, full.goAlloc(gpa, returns, .{}));
    const token: gomax.Token = try .init(null, null);
    token.deinit();
    try expectError(error.Stale, token.afterAlloc(gpa, returns, .{}));
    if (gomax.runAlloc(gpa, returns, .{})) return error.Nested else |_| {} // there is a main G already
    var scope: gomax.Scope(error{}) = try .init(null);
    defer scope.deinit();
    scope.allocator = gpa;
    const raw = scope.raw;
    scope.raw = 0;
    try expectError(error.Stale, scope.go(returns, .{}));
    scope.raw = raw;
}

test "what is refused takes no memory along" {
    try check.onG(refused);
}

test "an allocator that is known not to be thread-safe is refused" {
    var buffer: [1024]u8 = undefined;
    var fixed: std.heap.FixedBufferAllocator = .init(&buffer);
    try expectError(error.Invalid, gomax.goWith(.{ .allocator = fixed.allocator() }, returns, .{}));
    var task = try gomax.goWith(.{ .allocator = fixed.threadSafeAllocator() }, returns, .{});
    try task.join();
    try gomax.shutdown(10 * s);
}

// Gs free into one allocator on all threads at once.
fn many() !void {
    const gpa = std.testing.allocator;
    var scope: gomax.Scope(anyerror) = try .init(null);
    scope.allocator = gpa;
    defer scope.deinit();
    for (0..4) |_| try scope.go(struct {
        fn spawns(in: Allocator) !void {
            for (0..300) |i| {
                var task = try gomax.goWith(.{ .allocator = in }, sum, .{big});
                if (i % 3 == 0) task.deinit() else try expectEqual(300, try task.join());
                if (i % 16 == 0) try gomax.yield();
            }
        }
    }.spawns, .{gpa});
    try scope.wait();
}

test "one allocator for Gs on all threads" {
    try check.onG(many);
}
