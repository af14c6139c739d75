//! echo [PORT]: sends each line back to the connection that it came from. Says on which port, and ends with its
//! standard input.
//!
//! All but `main` is std.Io as the standard library has it, and would run on any other backend. Here a connection is a
//! goroutine, and a hundred of them need no more threads than one.
const std = @import("std");
const gomax = @import("gomax");
const Io = std.Io;
const net = Io.net;

pub fn main(init: std.process.Init) !void {
    var backend: gomax.Io = try .init(init.gpa, .{ .environ = init.minimal.environ });
    defer backend.deinit();
    const args = try init.minimal.args.toSlice(init.arena.allocator());
    const port = if (args.len > 1) try std.fmt.parseInt(u16, args[1], 10) else 0;
    try gomax.run(run, .{ backend.io(), port });
    try gomax.shutdown(gomax.ns_per_s);
}

const Event = union(enum) { served: anyerror!void, input_ended: anyerror!void };

fn run(io: Io, port: u16) !void {
    const address: net.IpAddress = .{ .ip4 = .loopback(port) };
    var server = try address.listen(io, .{ .reuse_address = true });
    defer server.deinit(io);
    var out = Io.File.stdout().writerStreaming(io, &.{});
    try out.interface.print("{d}\n", .{server.socket.address.getPort()});

    var events: [2]Event = undefined;
    var select: Io.Select(Event) = .init(io, &events);
    defer select.cancelDiscard(); // ends the other task, and with it each connection
    try select.concurrent(.served, serve, .{ io, &server });
    try select.concurrent(.input_ended, readToEnd, .{io});
    switch (try select.await()) {
        inline else => |result| try result,
    }
}

fn serve(io: Io, server: *net.Server) anyerror!void {
    var connections: Io.Group = .init;
    defer connections.cancel(io);
    while (true) {
        const stream = try server.accept(io);
        connections.concurrent(io, echo, .{ io, stream }) catch stream.close(io); // there is no memory for a task
    }
}

fn echo(io: Io, stream: net.Stream) Io.Cancelable!void {
    defer stream.close(io);
    var in: [1024]u8 = undefined;
    var out: [1024]u8 = undefined;
    var reader = stream.reader(io, &in);
    var writer = stream.writer(io, &out);
    while (reader.interface.takeDelimiterInclusive('\n')) |line| {
        writer.interface.writeAll(line) catch return;
        writer.interface.flush() catch return;
    } else |_| {} // the end, or a line that is too long
}

fn readToEnd(io: Io) anyerror!void {
    var buffer: [64]u8 = undefined;
    var reader = Io.File.stdin().readerStreaming(io, &buffer);
    _ = try reader.interface.discardRemaining();
}
