//! The cases of bench.c in Zig.
const std = @import("std");
const gomax = @import("gomax");

const n = 100_000;

fn nothing() void {}

fn per(begin: i64) f64 {
    return @as(f64, @floatFromInt(gomax.now() - begin)) / n;
}

fn spawnJoin() !void {
    const begin = gomax.now();
    for (0..n) |_| {
        var t = try gomax.go(nothing, .{});
        try t.join();
    }
    _ = std.c.printf("spawn %.1f\n", per(begin));
}

fn echo(ping: gomax.Channel(i64), pong: gomax.Channel(i64)) !void {
    while (try ping.next()) |v| try pong.send(v);
}

fn pingPong() !void {
    const ping = try gomax.Channel(i64).init(0);
    defer ping.deinit();
    const pong = try gomax.Channel(i64).init(0);
    defer pong.deinit();
    var t = try gomax.go(echo, .{ ping, pong });
    const begin = gomax.now();
    for (0..n) |i| {
        try ping.send(@intCast(i));
        _ = try pong.recv();
    }
    _ = std.c.printf("pingpong %.1f\n", per(begin));
    ping.close();
    try t.join();
}

fn foreign() !void {
    try gomax.callback(nothing, .{});
    const begin = gomax.now();
    for (0..n) |_| try gomax.callback(nothing, .{});
    _ = std.c.printf("callback %.1f\n", per(begin));
}

fn start() !void {
    try spawnJoin();
    try pingPong();
}

pub fn main() !void {
    try gomax.init(.{ .maxprocs = 1 });
    try gomax.run(start, .{});
    const t = try std.Thread.spawn(.{}, foreign, .{});
    t.join();
}
