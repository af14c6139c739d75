//! Channels and select.
const std = @import("std");
const gomax = @import("gomax");
const onG = @import("check.zig").onG;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

const Message = struct { id: u32, text: []const u8, odd: ?u8 };

fn produce(out: gomax.Channel(Message), n: u32) !void {
    defer out.close();
    for (0..n) |i| {
        try out.send(.{ .id = @intCast(i), .text = "hello", .odd = if (i % 2 == 1) @intCast(i % 256) else null });
    }
}

fn sumUp(sum: *u64, value: u64) void {
    sum.* += value;
}

fn recvsOne(from: gomax.Channel(u64)) !u64 {
    return from.recv();
}

fn channels() !void {
    for ([_]usize{ 0, 1, 16 }) |room| {
        const ch = try gomax.Channel(Message).init(room);
        defer ch.deinit();
        try expectEqual(room, ch.cap());
        var t = try gomax.go(produce, .{ ch, 100 });
        var i: u32 = 0;
        while (try ch.next()) |m| : (i += 1) {
            try expectEqual(i, m.id);
            try std.testing.expectEqualStrings("hello", m.text);
            try expectEqual(i % 2 == 1, m.odd != null);
        }
        try expectEqual(100, i);
        try t.join();
        try expectError(error.Closed, ch.recv());
        try expectError(error.Closed, ch.send(.{ .id = 0, .text = "", .odd = null }));
    }

    const ch = try gomax.Channel(u64).init(1);
    defer ch.deinit();
    try expectError(error.WouldBlock, ch.tryRecv());
    try ch.trySend(7);
    try expectError(error.WouldBlock, ch.trySend(8));
    try expectError(error.Timeout, ch.sendTimeout(8, ms));
    try expectEqual(1, ch.len());
    const again = try ch.ref();
    again.deinit();
    try expectEqual(7, try ch.recvTimeout(s));
    try expectError(error.Timeout, ch.recvTimeout(ms));

    try expect(!ch.isClosed());
    const meet = try gomax.Channel(u64).init(0);
    defer meet.deinit();
    var receiver = try gomax.go(recvsOne, .{meet});
    while ((try meet.waiters()).receivers != 1) try gomax.yield();
    try expectEqual(gomax.Waiters{ .senders = 0, .receivers = 1 }, try meet.waiters());
    try meet.send(3);
    try expectEqual(3, try receiver.join());
    meet.close();
    try expect(meet.isClosed());

    const left = try gomax.Channel(u64).init(3);
    defer left.deinit();
    for (1..4) |n| try left.send(n);
    var dropped: u64 = 0;
    left.closeDrop(&dropped, sumUp);
    try expectEqual(6, dropped);
    try expectError(error.Closed, left.recv());
    left.closeDrop(&dropped, sumUp); // again
    try expectEqual(6, dropped);
    try expectError(error.Closed, left.tryClose());
    left.close();

    const many = try gomax.Channel(u64).init(gomax.unbounded);
    defer many.deinit();
    try expectEqual(gomax.unbounded, many.cap());
    for (0..1000) |n| try many.trySend(n);
    for (0..900) |n| try expectEqual(n, try many.recv());

    const ticks = try gomax.Channel(void).init(2); // tells only that something happened
    defer ticks.deinit();
    try ticks.send({});
    try ticks.recv();
}

test "channels" {
    try onG(channels);
}

fn selects() !void {
    const a = try gomax.Channel(u32).init(1);
    defer a.deinit();
    const b = try gomax.Channel([]const u8).init(1);
    defer b.deinit();

    try expectError(error.WouldBlock, gomax.trySelect(.{ .a = a.onRecv(), .b = b.onRecv() }));
    try expectError(error.Timeout, gomax.selectTimeout(ms, .{ .a = a.onRecv() }));

    try b.send("b");
    switch (try gomax.select(.{ .a = a.onRecv(), .b = b.onRecv() })) {
        .a => return error.TestUnexpectedResult,
        .b => |text| try std.testing.expectEqualStrings("b", text.?),
    }
    switch (try gomax.select(.{ .out = a.onSend(5), .in = b.onRecv() })) {
        .out => |sent| try sent,
        .in => return error.TestUnexpectedResult,
    }
    try expectEqual(5, try a.recv());

    a.close();
    switch (try gomax.select(.{ .a = a.onRecv() })) {
        .a => |value| try expectEqual(null, value),
    }
    switch (try gomax.select(.{ .a = a.onSend(1) })) {
        .a => |sent| try expectError(error.Closed, sent),
    }

    // both come through, whatever comes first
    const left = try gomax.Channel(Message).init(0);
    defer left.deinit();
    const right = try gomax.Channel(Message).init(0);
    defer right.deinit();
    var one = try gomax.go(produce, .{ left, 200 });
    var other = try gomax.go(produce, .{ right, 300 });
    var lefts: u32 = 0;
    var rights: u32 = 0;
    while (lefts < 200 or rights < 300) {
        switch (try gomax.select(.{ .left = left.onRecv(), .right = right.onRecv() })) {
            .left => |m| lefts += @intFromBool(m != null),
            .right => |m| rights += @intFromBool(m != null),
        }
    }
    try one.join();
    try other.join();
}

test "select" {
    try onG(selects);
}

fn slices() !void {
    var some: [3]gomax.Channel(u32) = undefined;
    for (&some) |*ch| ch.* = try .init(1);
    defer for (some) |ch| ch.deinit();
    var values: [3]u32 = @splat(0);
    var cases: [3]gomax.Case = undefined;
    for (some, &values, &cases) |ch, *value, *case| case.* = ch.onRecvInto(value);
    try expectError(error.WouldBlock, gomax.trySelectSlice(&cases));
    try expectError(error.Timeout, gomax.selectSliceTimeout(ms, &cases));
    try some[1].send(5);
    try expectEqual(gomax.Index{ .index = 1, .closed = false }, try gomax.selectSlice(&cases));
    try expectEqual(5, values[1]);

    const seven: u32 = 7;
    cases[2] = some[2].onSendFrom(&seven);
    try expectEqual(2, (try gomax.selectSlice(&cases)).index);
    try expectEqual(7, try some[2].recv());

    some[0].close();
    cases[2] = .never;
    try expectEqual(gomax.Index{ .index = 0, .closed = true }, try gomax.selectSlice(&cases));
    cases[0] = .never;
    try expectError(error.WouldBlock, gomax.trySelectSlice(&cases));
    some[1].close();
    cases[1] = some[1].onSendFrom(&seven);
    try expectEqual(gomax.Index{ .index = 1, .closed = true }, try gomax.selectSlice(&cases));
    try expectError(error.WouldBlock, gomax.trySelectSlice(&.{})); // none is ready
}

test "select over a slice" {
    try onG(slices);
}
