//! Connections, listeners, signals.
const std = @import("std");
const gomax = @import("gomax");
const onG = @import("check.zig").onG;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const expectEqualStrings = std.testing.expectEqualStrings;
const ms = gomax.ns_per_ms;

fn echo(conn: gomax.Conn) !void {
    defer conn.close();
    _ = try conn.copyTo(conn, null);
}

fn serve(listener: gomax.Listener, n: u32) !void {
    var scope: gomax.Scope(anyerror) = try .init(null);
    defer scope.deinit();
    for (0..n) |_| try scope.go(echo, .{try listener.accept()});
    try scope.wait();
}

fn talk(port: [:0]const u8) !void {
    const conn: gomax.Conn = try .dial("tcp", "localhost", port, 10 * gomax.ns_per_s);
    defer conn.close();
    for (0..10) |n| {
        var text: [16]u8 = undefined;
        const line = try std.fmt.bufPrint(&text, "line {d}", .{n});
        try conn.write(line);
        var back: [16]u8 = undefined;
        try conn.readFull(back[0..line.len]);
        try expectEqualStrings(line, back[0..line.len]);
    }
    try conn.shutdown(.write);
    var rest: [1]u8 = undefined;
    try expectEqual(0, try conn.read(&rest));
    try expectError(error.PeerClosed, conn.readFull(&rest));
}

fn connections() !void {
    const listener: gomax.Listener = try .tcp("localhost", "0", .{ .backlog = 100 });
    defer listener.close();
    var buffer: [8]u8 = undefined;
    const port = try std.fmt.bufPrintSentinel(&buffer, "{d}", .{(try listener.address()).getPort()}, 0);
    var scope: gomax.Scope(anyerror) = try .init(null);
    defer scope.deinit();
    try scope.go(serve, .{ listener, 20 });
    for (0..20) |_| try scope.go(talk, .{port});
    try scope.wait();
}

test "dial, accept, read, write" {
    try onG(connections);
}

fn reads(conn: gomax.Conn) !void {
    var byte: [1]u8 = undefined;
    _ = try conn.read(&byte);
}

fn endings() !void {
    var buffer: [32]u8 = undefined;
    const name = try std.fmt.bufPrintSentinel(&buffer, "@gomax-zig-{d}", .{std.c.getpid()}, 0);
    const listener: gomax.Listener = try .unix(name, .{});
    const here: gomax.Conn = try .dial("unix", name, null, null);
    const there = try listener.acceptTimeout(10 * gomax.ns_per_s);
    defer there.close();
    try expectError(error.AddressInUse, gomax.Listener.unix(name, .{}));
    try expectError(error.Timeout, listener.acceptTimeout(0));
    var byte: [1]u8 = undefined;
    try expectError(error.Timeout, here.readTimeout(&byte, ms));
    try expectError(error.Timeout, here.wait(.read, 0));
    try here.wait(.write, null);
    try here.setDeadline(.read, gomax.deadline(0));
    try expectError(error.Timeout, here.read(&byte));
    try here.setDeadline(.read, null);

    const token: gomax.Token = try .init(null, null);
    defer token.deinit();
    {
        const before = try token.use();
        defer before.restore();
        var reading = try gomax.goWith(.{ .inherit = true }, reads, .{here});
        token.cancel();
        try expectError(error.Canceled, reading.join());
    }
    var reading = try gomax.go(reads, .{here});
    try gomax.yield();
    here.close(); // before the read, or in it
    try expectError(error.BadDescriptor, reading.join());
    try expectError(error.BadDescriptor, here.write("x"));
    listener.close();
    try expectError(error.ConnectionRefused, gomax.Conn.dial("unix", name, null, null));
    try expectError(error.FileNotFound, gomax.Conn.dial("unix", "/does/not/exist", null, null));
    try expectError(error.FileNotFound, gomax.Listener.inherit(0));

    const fds = try std.Io.Threaded.pipe2(.{ .CLOEXEC = true });
    const from: gomax.Conn = try .open(fds[0]);
    const to: gomax.Conn = try .borrow(fds[1]);
    try expectEqual(fds[1], try to.fd());
    try to.write("ab");
    var two: [2]u8 = undefined;
    try from.readFull(&two);
    try expectEqualStrings("ab", &two);
    try expectEqual(fds[0], try from.release());
    std.Io.Threaded.closeFd(fds[0]);
    try expectError(error.PeerClosed, to.write("c"));
    to.close();
    std.Io.Threaded.closeFd(fds[1]);
}

test "timeouts, deadlines, cancellation, close" {
    try onG(endings);
}

fn signals() !void {
    const ch: gomax.Channel(gomax.SignalInfo) = try .init(2);
    defer ch.deinit();
    try expectError(error.Invalid, gomax.notify(ch, &.{.KILL}));
    try gomax.notify(ch, &.{ .USR1, .TERM });
    for ([_]std.posix.SIG{ .USR1, .TERM }) |sig| {
        try std.posix.raise(sig);
        const info = try ch.recv();
        try expectEqual(@as(i32, @intCast(@backingInt(sig))), info.signo);
        try expect(info.count >= 1);
    }
    gomax.stopNotify(ch);
    try expectError(error.WouldBlock, ch.tryRecv());
}

test "signals" {
    try onG(signals);
}
