//! The network of std.Io on goroutines.
const std = @import("std");
const gomax = @import("gomax");
const onOneAndTwo = @import("check.zig").onOneAndTwo;
const Io = std.Io;
const net = Io.net;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const expectEqualStrings = std.testing.expectEqualStrings;

const loopback: net.IpAddress = .{ .ip4 = .loopback(0) };

fn echo(io: Io, stream: net.Stream) Io.Cancelable!void {
    defer stream.close(io);
    var in: [256]u8 = undefined;
    var out: [256]u8 = undefined;
    var reader = stream.reader(io, &in);
    var writer = stream.writer(io, &out);
    while (reader.interface.takeDelimiterInclusive('\n')) |line| {
        writer.interface.writeAll(line) catch return;
        writer.interface.flush() catch return;
    } else |_| {}
}

fn serve(io: Io, server: *net.Server, group: *Io.Group) anyerror!void {
    while (true) {
        const stream = try server.accept(io);
        group.async(io, echo, .{ io, stream });
    }
}

fn talk(io: Io, address: net.IpAddress, n: u32) anyerror!void {
    const stream = try address.connect(io, .{ .mode = .stream });
    defer stream.close(io);
    var in: [256]u8 = undefined;
    var out: [256]u8 = undefined;
    var reader = stream.reader(io, &in);
    var writer = stream.writer(io, &out);
    for (0..10) |round| {
        try writer.interface.print("{d} in round {d}\n", .{ n, round });
        try writer.interface.flush();
        var expected: [64]u8 = undefined;
        const line = try reader.interface.takeDelimiterExclusive('\n');
        try expectEqualStrings(try std.fmt.bufPrint(&expected, "{d} in round {d}", .{ n, round }), line);
        reader.interface.toss(1);
    }
    try stream.shutdown(io, .send);
    try expectError(error.EndOfStream, reader.interface.takeByte());
}

fn echoes(io: Io) !void {
    var server = try loopback.listen(io, .{});
    defer server.deinit(io);
    var group: Io.Group = .init;
    defer group.cancel(io);
    var serving = try io.concurrent(serve, .{ io, &server, &group });
    var clients: [100]Io.Future(anyerror!void) = undefined;
    for (&clients, 0..) |*f, n| f.* = try io.concurrent(talk, .{ io, server.socket.address, @as(u32, @intCast(n)) });
    for (&clients) |*f| try f.await(io);
    try expectError(error.Canceled, serving.cancel(io));
    try group.await(io);
    const stats = try gomax.schedStats();
    try expect(stats.threads < 16); // and not one for each connection
}

test "tcp echo with 100 connections" {
    try onOneAndTwo(echoes);
}

fn reads(io: Io, stream: net.Stream, begun: *Io.Event) anyerror!u8 {
    var in: [16]u8 = undefined;
    var reader = stream.reader(io, &in);
    begun.set(io);
    return reader.interface.takeByte() catch |err| switch (err) {
        error.ReadFailed => reader.err.?,
        else => err,
    };
}

/// A pair of connected streams.
const Pair = struct {
    here: net.Stream,
    there: net.Stream,

    fn init(io: Io) !Pair {
        var server = try loopback.listen(io, .{});
        defer server.deinit(io);
        const here = try server.socket.address.connect(io, .{ .mode = .stream });
        errdefer here.close(io);
        return .{ .here = here, .there = try server.accept(io) };
    }

    fn deinit(pair: Pair, io: Io) void {
        pair.here.close(io);
        pair.there.close(io);
    }
};

fn cancelsRead(io: Io) !void {
    const pair: Pair = try .init(io);
    defer pair.deinit(io);
    var begun: Io.Event = .unset;
    var reading = try io.concurrent(reads, .{ io, pair.here, &begun });
    try begun.wait(io);
    try expectError(error.Canceled, reading.cancel(io));
    begun = .unset;
    reading = try io.concurrent(reads, .{ io, pair.here, &begun }); // nothing is lost
    var writer = pair.there.writer(io, &.{});
    try writer.interface.writeByte('x');
    try expectEqual('x', try reading.await(io));
}

fn accepts(io: Io, server: *net.Server) anyerror!void {
    const stream = try server.accept(io);
    stream.close(io);
}

fn cancelsAccept(io: Io) !void {
    var server = try loopback.listen(io, .{});
    defer server.deinit(io);
    var accepting = try io.concurrent(accepts, .{ io, &server });
    try expectError(error.Canceled, accepting.cancel(io));
    accepting = try io.concurrent(accepts, .{ io, &server });
    const listener: net.Stream = .{ .socket = server.socket };
    try listener.shutdown(io, .both);
    try expectError(error.SocketNotListening, accepting.await(io));
}

test "cancel of a read and of an accept" {
    try onOneAndTwo(cancelsRead);
    try onOneAndTwo(cancelsAccept);
}

fn failures(io: Io) !void {
    var server = try loopback.listen(io, .{});
    const address = server.socket.address;
    try expectError(error.AddressInUse, address.listen(io, .{}));
    server.deinit(io);
    try expectError(error.ConnectionRefused, address.connect(io, .{ .mode = .stream }));
    const unix: net.UnixAddress = try .init("/does/not/exist");
    try expectError(error.FileNotFound, unix.connect(io));
    try expectError(error.FileNotFound, unix.listen(io, .{}));

    const pair: Pair = try .init(io);
    defer pair.here.close(io);
    pair.there.close(io);
    var in: [1]u8 = undefined;
    var reader = pair.here.reader(io, &in);
    try expectError(error.EndOfStream, reader.interface.takeByte());
    var writer = pair.here.writer(io, &.{});
    for (0..3) |_| writer.interface.writeByte(1) catch break; // the answer to the first is a reset
    while (writer.err == null) writer.interface.writeByte(1) catch {};
    try expect(writer.err.? == error.ConnectionResetByPeer or writer.err.? == error.SocketUnconnected);
}

test "what the system refuses" {
    try onOneAndTwo(failures);
}

fn sendsMuch(io: Io, stream: net.Stream, n: usize) anyerror!void {
    var writer = stream.writer(io, &.{});
    try writer.interface.splatByteAll('z', n);
    try stream.shutdown(io, .send);
}

fn much(io: Io) !void {
    const pair: Pair = try .init(io);
    defer pair.deinit(io);
    const n = 3_000_001;
    var sending = try io.concurrent(sendsMuch, .{ io, pair.there, n });
    var in: [4096]u8 = undefined;
    var reader = pair.here.reader(io, &in);
    try expectEqual(n, try reader.interface.discardRemaining());
    try sending.await(io);
}

test "more than the buffers of the system" {
    try onOneAndTwo(much);
}

/// A socket that this backend has not made, read and written at the same time.
fn foreignSocket(io: Io) !void {
    var fds: [2]std.posix.fd_t = undefined;
    try expectEqual(0, std.c.socketpair(std.posix.AF.UNIX, std.posix.SOCK.STREAM | std.posix.SOCK.CLOEXEC, 0, &fds));
    const nowhere: net.IpAddress = .{ .ip4 = .unspecified(0) };
    const pair: Pair = .{
        .here = .{ .socket = .{ .handle = fds[0], .address = nowhere } },
        .there = .{ .socket = .{ .handle = fds[1], .address = nowhere } },
    };
    defer pair.deinit(io);
    const n = 1_000_000;
    var sending = try io.concurrent(sendsMuch, .{ io, pair.there, n });
    var answering = try io.concurrent(sendsMuch, .{ io, pair.here, n });
    for ([_]net.Stream{ pair.here, pair.there }) |stream| {
        var in: [4096]u8 = undefined;
        var reader = stream.reader(io, &in);
        try expectEqual(n, try reader.interface.discardRemaining());
    }
    try sending.await(io);
    try answering.await(io);
}

test "a socket of other code" {
    try onOneAndTwo(foreignSocket);
}

fn datagrams(io: Io) !void {
    const here = try loopback.bind(io, .{ .mode = .dgram });
    defer here.close(io);
    const there = try loopback.bind(io, .{ .mode = .dgram });
    defer there.close(io);
    try here.send(io, &there.address, "one");
    try here.send(io, &there.address, "");
    var buffer: [64]u8 = undefined;
    const message = try there.receive(io, &buffer);
    try expectEqualStrings("one", message.data);
    try expect(message.from.eql(&here.address));
    try expectEqual(0, (try there.receive(io, &buffer)).data.len);
    const soon: Io.Timeout = .{ .duration = .{ .raw = .fromMilliseconds(1), .clock = .awake } };
    try expectError(error.Timeout, there.receiveTimeout(io, &buffer, soon));
    try here.send(io, &there.address, "two");
    try expectEqualStrings("two", (try there.receiveTimeout(io, &buffer, soon)).data);
}

test "datagrams" {
    try onOneAndTwo(datagrams);
}

fn unixSockets(io: Io) !void {
    var path: [64]u8 = undefined;
    var random: [8]u8 = undefined;
    io.random(&random);
    const name = try std.fmt.bufPrint(&path, "/tmp/gomax-zig-{x}", .{&random});
    const address: net.UnixAddress = try .init(name);
    var server = try address.listen(io, .{});
    defer server.deinit(io);
    defer Io.Dir.cwd().deleteFile(io, name) catch {};
    const here = try address.connect(io);
    defer here.close(io);
    const there = try server.accept(io);
    defer there.close(io);
    var writer = here.writer(io, &.{});
    try writer.interface.writeAll("hello");
    var in: [16]u8 = undefined;
    var reader = there.reader(io, &in);
    try expectEqualStrings("hello", try reader.interface.take(5));
}

test "unix sockets" {
    try onOneAndTwo(unixSockets);
}

fn names(io: Io) !void {
    var server = try loopback.listen(io, .{});
    defer server.deinit(io);
    const host: net.HostName = try .init("localhost");
    const stream = try host.connect(io, server.socket.address.getPort(), .{ .mode = .stream });
    stream.close(io);
    const nowhere: net.HostName = try .init("does-not-exist.invalid");
    try expect(std.meta.isError(nowhere.connect(io, 80, .{ .mode = .stream })));
    const numeric: net.HostName = try .init("127.0.0.1");
    const other = try numeric.connect(io, server.socket.address.getPort(), .{ .mode = .stream });
    other.close(io);
}

test "names of hosts" {
    try onOneAndTwo(names);
}

fn batches(io: Io) !void {
    const first: Pair = try .init(io);
    defer first.deinit(io);
    const second: Pair = try .init(io);
    defer second.deinit(io);
    var storage: [2]Io.Operation.Storage = undefined;
    var batch: Io.Batch = .init(&storage);
    defer batch.cancel(io);
    var a: [4]u8 = undefined;
    var b: [4]u8 = undefined;
    var into_a = [_][]u8{&a};
    var into_b = [_][]u8{&b};
    batch.addAt(0, .{ .net_read = .{ .socket_handle = first.here.socket.handle, .data = &into_a } });
    batch.addAt(1, .{ .net_read = .{ .socket_handle = second.here.socket.handle, .data = &into_b } });
    const soon: Io.Timeout = .{ .duration = .{ .raw = .fromMilliseconds(1), .clock = .awake } };
    try expectError(error.Timeout, batch.awaitConcurrent(io, soon));
    var writer = second.there.writer(io, &.{});
    try writer.interface.writeAll("x");
    try batch.awaitConcurrent(io, .none);
    const done = batch.next().?;
    try expectEqual(1, done.index);
    try expectEqual(1, (try done.result.net_read).data_len);
    try expectEqual(null, batch.next());
    var other = first.there.writer(io, &.{});
    try other.interface.writeAll("yz");
    try batch.awaitAsync(io);
    try expectEqual(2, (try batch.next().?.result.net_read).data_len);
    batch.addAt(0, .{ .net_read = .{ .socket_handle = first.here.socket.handle, .data = &into_a } });
}

test "batches" {
    try onOneAndTwo(batches);
}
