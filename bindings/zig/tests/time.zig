//! Sleep, timers, functions that run later.
const std = @import("std");
const gomax = @import("gomax");
const onG = @import("check.zig").onG;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

fn fired(ch: gomax.Channel(u32), n: u32) void {
    ch.send(n) catch {};
}

fn time() !void {
    const before = gomax.now();
    try gomax.sleep(2 * ms);
    try expect(gomax.now() - before >= 2 * ms);

    const once_only = try gomax.Timer.init(ms);
    defer once_only.deinit();
    try expect(try once_only.ch.recv() >= before + 3 * ms);
    try expectEqual(false, try once_only.stop());
    try expectEqual(false, try once_only.reset(3600 * s, 0));
    try expectEqual(true, try once_only.reset(ms, 0));
    _ = try once_only.ch.recv();
    const ticker = try gomax.Timer.ticker(ms);
    defer ticker.deinit();
    for (0..3) |_| _ = try ticker.ch.recv();
    try expectEqual(true, try ticker.stop());
    try expectError(error.WouldBlock, ticker.ch.tryRecv());

    const moment = try gomax.afterChannel(ms);
    defer moment.deinit();
    _ = try moment.recv();
    try expectError(error.WouldBlock, moment.tryRecv());
    const not_yet = try gomax.afterChannel(null);
    defer not_yet.deinit();
    const soon_comes = try gomax.afterChannel(ms);
    defer soon_comes.deinit();
    switch (try gomax.select(.{ .not_yet = not_yet.onRecv(), .soon = soon_comes.onRecv() })) {
        .not_yet => return error.TestUnexpectedResult,
        .soon => |when| try expect(when.? > before),
    }

    const ch = try gomax.Channel(u32).init(1);
    defer ch.deinit();
    var soon = try gomax.after(ms, fired, .{ ch, 1 });
    try expectEqual(1, try ch.recv());
    try expectEqual(false, soon.stop());
    var late = try gomax.after(3600 * s, fired, .{ ch, 2 });
    try expectEqual(true, late.stop());
    try gomax.afterDetached(0, fired, .{ ch, 3 });
    try expectEqual(3, try ch.recv());
}

test "time" {
    try onG(time);
}

test "durations and moments" {
    try expectEqual(5 * ms, gomax.ns(.fromMilliseconds(5)));
    try expectEqual(-1, gomax.ns(.fromNanoseconds(-1)));
    try expectEqual(std.math.maxInt(i64), gomax.ns(.max));
    try expectEqual(std.math.minInt(i64), gomax.ns(.{ .nanoseconds = std.math.minInt(i96) }));
    try expect(gomax.deadline(s) > gomax.now());
    try expectEqual(0, gomax.timeLeft(gomax.deadline(0)));
    try expectEqual(0, gomax.timeLeft(std.math.minInt(i64)));
    const ch = try gomax.Channel(u32).init(0);
    defer ch.deinit();
    try expectError(error.Timeout, ch.recvTimeout(gomax.ns(.{ .nanoseconds = std.math.minInt(i96) })));
    try gomax.shutdown(10 * s);
}
