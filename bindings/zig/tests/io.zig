//! std.Io on goroutines: what a backend promises. tests/std.zig has the standard library's own tests.
const std = @import("std");
const gomax = @import("gomax");
const check = @import("check.zig");
const onG = check.onG;
const onIo = check.onIo;
const onOneAndTwo = check.onOneAndTwo;
const Io = std.Io;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const expectEqualStrings = std.testing.expectEqualStrings;
const forever: Io.Duration = .fromSeconds(3600);

// ---- Tasks

fn square(n: u64) u64 {
    return n * n;
}

fn squareLater(io: Io, n: u64) Io.Cancelable!u64 {
    try io.sleep(.fromMicroseconds(10), .awake);
    return n * n;
}

fn manyTasks(io: Io) !void {
    var futures: [1000]Io.Future(Io.Cancelable!u64) = undefined;
    for (&futures, 0..) |*f, n| f.* = io.async(squareLater, .{ io, n });
    for (&futures, 0..) |*f, n| try expectEqual(n * n, try f.await(io));
    var quick = try io.concurrent(square, .{7});
    try expectEqual(49, quick.await(io));
    try expectEqual(49, quick.await(io)); // again
    try expectEqual(49, quick.cancel(io));
}

test "async: 1,000 tasks" {
    try onOneAndTwo(manyTasks);
}

const Wide = struct { a: u128 align(64), b: [100]u8 };

fn wide(w: Wide) Wide {
    std.debug.assert(std.mem.isAligned(@intFromPtr(&w), 64));
    return .{ .a = w.a + 1, .b = w.b };
}

fn alignedTasks(io: Io) !void {
    var f = io.async(wide, .{Wide{ .a = 5, .b = @splat(9) }});
    const w = f.await(io);
    try expectEqual(6, w.a);
    try expectEqual(9, w.b[99]);
}

test "async: large and aligned arguments and results" {
    try onOneAndTwo(alignedTasks);
}

fn waitsForever(io: Io, begun: *Io.Event) Io.Cancelable!void {
    begun.set(io);
    try io.sleep(forever, .awake);
}

/// After the request is acknowledged no other wait ends, until the task asks for it again.
fn acknowledges(io: Io, begun: *Io.Event) !u32 {
    waitsForever(io, begun) catch {};
    try io.checkCancel();
    try io.sleep(.fromMicroseconds(1), .awake);
    io.recancel();
    try expectError(error.Canceled, io.checkCancel());
    try io.checkCancel();
    return 3;
}

/// Until a request has come for the caller, which this call does not acknowledge.
fn untilRequested() void {
    while (!gomax.Token.current().?.isCanceled()) gomax.yield() catch {};
}

fn protects(io: Io, begun: *Io.Event, go_on: *Io.Event) !void {
    try expectEqual(.unblocked, io.swapCancelProtection(.blocked));
    begun.set(io);
    untilRequested();
    go_on.waitUncancelable(io);
    try io.sleep(.fromMicroseconds(1), .awake);
    try io.checkCancel();
    try expectEqual(.blocked, io.swapCancelProtection(.unblocked));
    try expectError(error.Canceled, io.checkCancel());
    try io.checkCancel();
}

fn cancels(io: Io) !void {
    var begun: Io.Event = .unset;
    var f = try io.concurrent(waitsForever, .{ io, &begun });
    try begun.wait(io);
    try expectError(error.Canceled, f.cancel(io));
    var not_begun: Io.Event = .unset;
    var g = try io.concurrent(waitsForever, .{ io, &not_begun });
    try expectError(error.Canceled, g.cancel(io));

    begun = .unset;
    var acknowledging = try io.concurrent(acknowledges, .{ io, &begun });
    try begun.wait(io);
    try expectEqual(3, try acknowledging.cancel(io));

    begun = .unset;
    var go_on: Io.Event = .unset;
    var protecting = try io.concurrent(protects, .{ io, &begun, &go_on });
    var other = try io.concurrent(Io.Event.set, .{ &go_on, io });
    try begun.wait(io);
    try protecting.cancel(io);
    other.await(io);
    try expectEqual(.unblocked, io.swapCancelProtection(.unblocked));
}

test "cancel, recancel, protection" {
    try onOneAndTwo(cancels);
}

fn awaits(io: Io, begun: *Io.Event, inner_seen: *bool) !void {
    var inner = try io.concurrent(waitsForever, .{ io, begun });
    inner.await(io) catch |err| {
        inner_seen.* = err == error.Canceled;
    };
    try io.checkCancel(); // the task inside has acknowledged the request
}

fn awaitsWhatNeedsNone(io: Io) !void {
    var inner = try io.concurrent(untilRequested, .{});
    inner.await(io);
    try expectError(error.Canceled, io.checkCancel()); // the task has not acknowledged the request: it is the caller's
}

fn awaitUnderCancel(io: Io) !void {
    var begun: Io.Event = .unset;
    var seen = false;
    var outer = try io.concurrent(awaits, .{ io, &begun, &seen });
    try begun.wait(io);
    try outer.cancel(io);
    try expect(seen);

    var quiet = try io.concurrent(awaitsWhatNeedsNone, .{io});
    try quiet.cancel(io);
}

test "a request reaches the task that is waited for" {
    try onOneAndTwo(awaitUnderCancel);
}

// ---- Groups, Select, Queue

fn counts(io: Io, n: *std.atomic.Value(u32)) Io.Cancelable!void {
    try io.sleep(.fromMicroseconds(1), .awake);
    _ = n.fetchAdd(1, .monotonic);
}

fn spawns(io: Io, group: *Io.Group, n: *std.atomic.Value(u32)) Io.Cancelable!void {
    for (0..10) |_| group.async(io, counts, .{ io, n });
}

fn waitsInGroup(io: Io, canceled: *std.atomic.Value(u32)) Io.Cancelable!void {
    io.sleep(forever, .awake) catch |err| {
        _ = canceled.fetchAdd(1, .monotonic);
        return err;
    };
}

fn awaitsGroup(io: Io, canceled: *std.atomic.Value(u32), begun: *Io.Event) !void {
    var group: Io.Group = .init;
    for (0..10) |_| try group.concurrent(io, waitsInGroup, .{ io, canceled });
    begun.set(io);
    try expectError(error.Canceled, group.await(io));
    try io.checkCancel();
}

fn groups(io: Io) !void {
    var n: std.atomic.Value(u32) = .init(0);
    var group: Io.Group = .init;
    try group.await(io); // nothing is in it
    for (0..2) |_| { // it can be used again
        n.store(0, .monotonic);
        for (0..20) |_| group.async(io, spawns, .{ io, &group, &n });
        try group.await(io);
        try expectEqual(200, n.load(.monotonic));
    }
    n.store(0, .monotonic);
    for (0..100) |_| try group.concurrent(io, waitsInGroup, .{ io, &n });
    group.cancel(io);
    group.cancel(io);
    try expectEqual(100, n.load(.monotonic));

    n.store(0, .monotonic);
    var begun: Io.Event = .unset;
    var outer = try io.concurrent(awaitsGroup, .{ io, &n, &begun });
    try begun.wait(io);
    try outer.cancel(io);
    try expectEqual(10, n.load(.monotonic));
}

test "groups" {
    try onOneAndTwo(groups);
}

fn never(io: Io) Io.Cancelable!void {
    try io.sleep(forever, .awake);
}

const Either = union(enum) { number: u64, never: Io.Cancelable!void };

fn selects(io: Io) !void {
    var buffer: [3]Either = undefined;
    var select: Io.Select(Either) = .init(io, &buffer);
    defer select.cancelDiscard();
    try select.concurrent(.never, never, .{io});
    select.async(.number, square, .{3});
    select.async(.number, square, .{3});
    for (0..2) |_| switch (try select.await()) {
        .number => |n| try expectEqual(9, n),
        .never => return error.TestUnexpectedResult,
    };
}

fn puts(io: Io, queue: *Io.Queue(u32), from: u32) !void {
    for (0..1000) |n| try queue.putOne(io, from + @as(u32, @intCast(n)));
}

fn queues(io: Io) !void {
    var buffer: [4]u32 = undefined;
    var queue: Io.Queue(u32) = .init(&buffer);
    var first = try io.concurrent(puts, .{ io, &queue, 0 });
    var second = try io.concurrent(puts, .{ io, &queue, 1000 });
    var sum: u64 = 0;
    for (0..2000) |_| sum += try queue.getOne(io);
    try expectEqual(1999 * 2000 / 2, sum);
    try first.await(io);
    try second.await(io);
    queue.close(io);
    try expectError(error.Closed, queue.getOne(io));
}

test "Select and Queue" {
    try onOneAndTwo(selects);
    try onOneAndTwo(queues);
}

// ---- Futexes, locks, time

const Shared = struct { mutex: Io.Mutex = .init, cond: Io.Condition = .init, turn: u32 = 0, n: u64 = 0 };

fn addsLocked(io: Io, shared: *Shared) !void {
    for (0..500) |_| {
        try shared.mutex.lock(io);
        defer shared.mutex.unlock(io);
        const n = shared.n;
        try gomax.yield();
        shared.n = n + 1;
    }
}

fn takesTurns(io: Io, shared: *Shared, mine: u32) !void {
    for (0..200) |_| {
        try shared.mutex.lock(io);
        defer shared.mutex.unlock(io);
        while (shared.turn != mine) try shared.cond.wait(io, &shared.mutex);
        shared.turn = (mine + 1) % 3;
        shared.cond.broadcast(io);
    }
}

fn locks(io: Io) !void {
    var shared: Shared = .{};
    var adders: [4]Io.Future(anyerror!void) = undefined;
    for (&adders) |*f| f.* = io.async(anyAdds, .{ io, &shared });
    for (&adders) |*f| try f.await(io);
    try expectEqual(2000, shared.n);
    var players: [3]Io.Future(anyerror!void) = undefined;
    for (&players, 0..) |*f, n| f.* = try io.concurrent(anyTurns, .{ io, &shared, @as(u32, @intCast(n)) });
    for (&players) |*f| try f.await(io);
    try expectEqual(0, shared.turn);
}

fn anyAdds(io: Io, shared: *Shared) anyerror!void {
    return addsLocked(io, shared);
}

fn anyTurns(io: Io, shared: *Shared, mine: u32) anyerror!void {
    return takesTurns(io, shared, mine);
}

test "Mutex and Condition" {
    try onOneAndTwo(locks);
}

fn waitsForWord(io: Io, word: *u32) Io.Cancelable!void {
    while (@atomicLoad(u32, word, .acquire) == 0) try io.futexWait(u32, word, 0);
}

fn futexes(io: Io) !void {
    var word: u32 = 1;
    try io.futexWait(u32, &word, 0); // it differs
    word = 0;
    try io.futexWaitTimeout(u32, &word, 0, .{ .duration = .{ .raw = .fromMicroseconds(1), .clock = .awake } });
    var waiter = try io.concurrent(waitsForWord, .{ io, &word });
    @atomicStore(u32, &word, 1, .release);
    io.futexWake(u32, &word, 1);
    try waiter.await(io);
    word = 0;
    var canceled = try io.concurrent(waitsForWord, .{ io, &word });
    try expectError(error.Canceled, canceled.cancel(io));
}

test "futexes" {
    try onOneAndTwo(futexes);
}

fn sleepsUntil(io: Io, at: Io.Clock.Timestamp) !void {
    try at.wait(io);
    try expect(at.untilNow(io).raw.nanoseconds >= 0);
}

fn sleepers(io: Io) !void {
    var long = try io.concurrent(never, .{io});
    const start: Io.Clock.Timestamp = .now(io, .awake);
    for ([_]i64{ 3, 1, 2, 0, -1 }) |n| {
        try sleepsUntil(io, start.addDuration(.{ .raw = .fromMilliseconds(n), .clock = .awake }));
    }
    try expectError(error.Canceled, long.cancel(io)); // it sleeps still
    for ([_]Io.Clock{ .real, .awake, .boot, .cpu_process, .cpu_thread }) |clock| {
        try expect((try clock.resolution(io)).nanoseconds > 0);
        try expect(clock.now(io).nanoseconds > 0);
    }
    try io.sleep(.fromMilliseconds(1), .real);
    try io.sleep(.fromNanoseconds(-1), .awake);
}

test "sleep and clocks" {
    try onOneAndTwo(sleepers);
}

fn onThread(io: Io, result: *anyerror!void) void {
    result.* = manyTasks(io);
}

fn foreign(io: Io) !void {
    var result: anyerror!void = error.TestUnexpectedResult;
    const thread = try std.Thread.spawn(.{}, onThread, .{ io, &result });
    try gomax.blocking(std.Thread.join, .{thread});
    try result;
}

test "a plain thread" {
    try onIo(2, foreign);
}

// ---- Beside the rest of gomax

fn withoutMemory() !void {
    var none: std.testing.FailingAllocator = .init(std.testing.allocator, .{ .fail_index = 0 });
    var backend: gomax.Io = try .init(none.allocator(), .{});
    defer backend.deinit();
    const io = backend.io();
    var f = io.async(square, .{3}); // in the caller
    try expectEqual(9, f.await(io));
    try expectError(error.ConcurrencyUnavailable, io.concurrent(square, .{3}));
    var n: std.atomic.Value(u32) = .init(0);
    var group: Io.Group = .init;
    group.async(io, counts, .{ io, &n });
    try expectEqual(1, n.load(.monotonic));
    try expectError(error.ConcurrencyUnavailable, group.concurrent(io, counts, .{ io, &n }));
    try group.await(io);
}

test "tasks without memory" {
    try onG(withoutMemory);
}

/// A token of gomax ends one wait of std.Io, and each wait of gomax.
fn underToken(io: Io) !void {
    for (0..2) |_| { // the next token is another one
        const token: gomax.Token = try .init(null, null);
        defer token.deinit();
        const before = try token.use();
        defer before.restore();
        try io.checkCancel();
        token.cancel();
        try expectError(error.Canceled, io.sleep(forever, .awake));
        try io.sleep(.fromMicroseconds(1), .awake);
        try expectError(error.Canceled, gomax.sleep(1));
        try io.checkCancel();
    }
}

test "tokens and std.Io" {
    try onOneAndTwo(underToken);
}

fn sendsTo(ch: gomax.Channel(u64), n: u64) gomax.Error!void {
    try ch.send(n);
}

fn channelsInTasks(io: Io) !void {
    const ch: gomax.Channel(u64) = try .init(0);
    defer ch.deinit();
    var sending = try io.concurrent(sendsTo, .{ ch, 7 });
    try expectEqual(7, try ch.recv());
    try sending.await(io);
    sending = try io.concurrent(sendsTo, .{ ch, 8 }); // no receiver comes
    try expectError(error.Canceled, sending.cancel(io));
}

test "channels in tasks" {
    try onOneAndTwo(channelsInTasks);
}
