//! Files and processes of std.Io on goroutines.
const std = @import("std");
const gomax = @import("gomax");
const onOneAndTwo = @import("check.zig").onOneAndTwo;
const Io = std.Io;
const File = Io.File;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const expectEqualStrings = std.testing.expectEqualStrings;

/// A directory of the test's own.
const Scratch = struct {
    dir: Io.Dir,
    buffer: [64]u8,
    len: usize,

    fn init(io: Io) !Scratch {
        var scratch: Scratch = undefined;
        var random: [8]u8 = undefined;
        io.random(&random);
        scratch.len = (try std.fmt.bufPrint(&scratch.buffer, "/tmp/gomax-zig-{x}", .{&random})).len;
        scratch.dir = try Io.Dir.cwd().createDirPathOpen(io, scratch.buffer[0..scratch.len], .{ .open_options = .{ .iterate = true } });
        return scratch;
    }

    fn deinit(scratch: *Scratch, io: Io) void {
        scratch.dir.close(io);
        Io.Dir.cwd().deleteTree(io, scratch.buffer[0..scratch.len]) catch {};
    }
};

fn roundTrip(io: Io) !void {
    var scratch: Scratch = try .init(io);
    defer scratch.deinit(io);
    const dir = scratch.dir;
    const file = try dir.createFile(io, "a", .{ .read = true });
    defer file.close(io);
    try file.writeStreamingAll(io, "hello, ");
    try file.writeStreamingAll(io, "world");
    try file.writePositionalAll(io, "W", 7);
    try file.sync(io);
    try expectEqual(12, try file.length(io));
    const stat = try file.stat(io);
    try expectEqual(12, stat.size);
    try expectEqual(.file, stat.kind);
    var buffer: [64]u8 = undefined;
    const n = try file.readPositionalAll(io, &buffer, 0);
    try expectEqualStrings("hello, World", buffer[0..n]);
    try expectEqual(0, try file.readPositionalAll(io, &buffer, 12));
    try file.setLength(io, 5);
    try expectEqualStrings("hello", try dir.readFile(io, "a", &buffer));
    try dir.rename("a", dir, "b", io);
    try expectError(error.FileNotFound, dir.openFile(io, "a", .{}));
    try expectEqual(5, (try dir.statFile(io, "b", .{})).size);

    try dir.createDir(io, "d", .default_dir);
    try expectError(error.PathAlreadyExists, dir.createDir(io, "d", .default_dir));
    var names: usize = 0;
    var iterator = dir.iterate();
    while (try iterator.next(io)) |entry| {
        try expect(std.mem.eql(u8, entry.name, "b") or std.mem.eql(u8, entry.name, "d"));
        names += 1;
    }
    try expectEqual(2, names);
    const only_read = try dir.openFile(io, "b", .{});
    defer only_read.close(io);
    try expectError(error.NotOpenForWriting, only_read.writeStreamingAll(io, "x"));
    const as_file = try dir.openFile(io, "d", .{});
    defer as_file.close(io);
    try expectError(error.IsDir, as_file.readPositionalAll(io, &buffer, 0));
}

test "files" {
    try onOneAndTwo(roundTrip);
}

fn buffered(io: Io) !void {
    var scratch: Scratch = try .init(io);
    defer scratch.deinit(io);
    const dir = scratch.dir;
    {
        var atomic = try dir.createFileAtomic(io, "lines", .{ .replace = true });
        defer atomic.deinit(io);
        var buffer: [100]u8 = undefined;
        var writer = atomic.file.writer(io, &buffer);
        for (0..1000) |n| try writer.interface.print("{d}\n", .{n});
        try writer.interface.splatByteAll('z', 1000);
        try writer.interface.flush();
        try atomic.replace(io);
    }
    const file = try dir.openFile(io, "lines", .{});
    defer file.close(io);
    var buffer: [64]u8 = undefined;
    var reader = file.reader(io, &buffer);
    for (0..1000) |n| {
        const line = try reader.interface.takeDelimiterExclusive('\n');
        reader.interface.toss(1);
        try expectEqual(n, try std.fmt.parseInt(usize, line, 10));
    }
    try expectEqual(1000, try reader.interface.discardRemaining());
    try dir.copyFile("lines", dir, "copy", io, .{});
    try expectEqual(try file.length(io), (try dir.statFile(io, "copy", .{})).size);
}

test "readers, writers and copies of files" {
    try onOneAndTwo(buffered);
}

fn writesOne(io: Io, dir: Io.Dir, n: usize) anyerror!void {
    var name: [16]u8 = undefined;
    const file = try dir.createFile(io, try std.fmt.bufPrint(&name, "{d}", .{n}), .{ .read = true });
    defer file.close(io);
    const bytes: [5000]u8 = @splat(@truncate(n));
    try file.writePositionalAll(io, &bytes, n);
    try file.sync(io);
    var back: [5000]u8 = undefined;
    try expectEqual(5000, try file.readPositionalAll(io, &back, n));
    try std.testing.expectEqualSlices(u8, &bytes, &back);
}

fn manyFiles(io: Io) !void {
    var scratch: Scratch = try .init(io);
    defer scratch.deinit(io);
    var futures: [50]Io.Future(anyerror!void) = undefined;
    for (&futures, 0..) |*f, n| f.* = io.async(writesOne, .{ io, scratch.dir, n });
    for (&futures) |*f| try f.await(io);
}

test "files by many tasks" {
    try onOneAndTwo(manyFiles);
}

fn canceledCall(io: Io, dir: Io.Dir, begun: *Io.Event) anyerror!void {
    begun.set(io);
    io.sleep(.fromSeconds(3600), .awake) catch io.recancel();
    try expectError(error.Canceled, dir.createFile(io, "a", .{})); // a cancelation point
    const file = try dir.createFile(io, "a", .{});
    file.close(io);
}

fn cancelsFiles(io: Io) !void {
    var scratch: Scratch = try .init(io);
    defer scratch.deinit(io);
    var begun: Io.Event = .unset;
    var f = try io.concurrent(canceledCall, .{ io, scratch.dir, &begun });
    try begun.wait(io);
    try f.cancel(io);
}

test "a call on files is a cancelation point" {
    try onOneAndTwo(cancelsFiles);
}

fn children(io: Io) !void {
    var child = try std.process.spawn(io, .{
        .argv = &.{ "/bin/sh", "-c", "read line; echo \"got $line\"; exit 3" },
        .stdin = .pipe,
        .stdout = .pipe,
    });
    defer child.kill(io);
    try child.stdin.?.writeStreamingAll(io, "a line\n");
    var buffer: [64]u8 = undefined;
    var reader = child.stdout.?.readerStreaming(io, &buffer);
    try expectEqualStrings("got a line", try reader.interface.takeDelimiterExclusive('\n'));
    reader.interface.toss(1);
    try expectError(error.EndOfStream, reader.interface.takeByte());
    try expectEqual(std.process.Child.Term{ .exited = 3 }, try child.wait(io));
}

fn waitsForChild(io: Io, child: *std.process.Child, begun: *Io.Event) anyerror!void {
    begun.set(io);
    _ = try child.wait(io);
}

fn killsChildren(io: Io) !void {
    var child = try std.process.spawn(io, .{ .argv = &.{ "/bin/sleep", "3600" } });
    var begun: Io.Event = .unset;
    var waiting = try io.concurrent(waitsForChild, .{ io, &child, &begun });
    try begun.wait(io);
    try expectError(error.Canceled, waiting.cancel(io));
    child.kill(io);
    try expectEqual(null, child.id);
    try expectError(error.FileNotFound, std.process.spawn(io, .{ .argv = &.{"/does/not/exist"} }));
}

test "children" {
    try onOneAndTwo(children);
    try onOneAndTwo(killsChildren);
}

fn runsMany(io: Io) !void {
    const Run = struct {
        fn f(i: Io, n: u8) anyerror!void {
            var code: [2]u8 = undefined;
            const result = try std.process.run(std.testing.allocator, i, .{
                .argv = &.{ "/bin/sh", "-c", "echo out; echo err >&2; exit $0", try std.fmt.bufPrint(&code, "{d}", .{n}) },
            });
            defer std.testing.allocator.free(result.stdout);
            defer std.testing.allocator.free(result.stderr);
            try expectEqualStrings("out\n", result.stdout);
            try expectEqualStrings("err\n", result.stderr);
            try expectEqual(std.process.Child.Term{ .exited = n }, result.term);
        }
    };
    var futures: [20]Io.Future(anyerror!void) = undefined;
    for (&futures, 0..) |*f, n| f.* = io.async(Run.f, .{ io, @as(u8, @intCast(n)) });
    for (&futures) |*f| try f.await(io);
}

test "many children" {
    try onOneAndTwo(runsMany);
}

fn standardError(io: Io) !void {
    const outer = try io.lockStderr(&.{}, .no_color);
    defer io.unlockStderr();
    const inner = try io.lockStderr(&.{}, .no_color); // again
    defer io.unlockStderr();
    try expectEqual(outer.file_writer, inner.file_writer);
    var other = try io.concurrent(struct {
        fn f(i: Io) anyerror!bool {
            return try i.tryLockStderr(&.{}, .no_color) == null;
        }
    }.f, .{io});
    try expect(try other.await(io));
}

test "standard error" {
    try onOneAndTwo(standardError);
}

fn readsPipe(io: Io, file: File, begun: *Io.Event) anyerror!usize {
    var buffer: [16]u8 = undefined;
    begun.set(io);
    return file.readStreaming(io, &.{&buffer});
}

/// Descriptors that this backend has not opened.
fn pipes(io: Io) !void {
    const fds = try Io.Threaded.pipe2(.{ .CLOEXEC = true });
    const from: File = .{ .handle = fds[0], .flags = .{ .nonblocking = false } };
    const to: File = .{ .handle = fds[1], .flags = .{ .nonblocking = false } };
    defer to.close(io);
    var begun: Io.Event = .unset;
    var reading = try io.concurrent(readsPipe, .{ io, from, &begun });
    try begun.wait(io);
    try expectError(error.Canceled, reading.cancel(io));
    begun = .unset;
    reading = try io.concurrent(readsPipe, .{ io, from, &begun });
    try to.writeStreamingAll(io, "four");
    try expectEqual(4, try reading.await(io));
    from.close(io);
    try expectError(error.BrokenPipe, to.writeStreamingAll(io, "x"));
}

test "pipes" {
    try onOneAndTwo(pipes);
}

/// The number of a file that was closed behind the back of the backend is another file's next.
fn reusedNumbers(io: Io) !void {
    var scratch: Scratch = try .init(io);
    defer scratch.deinit(io);
    const first = try scratch.dir.createFile(io, "a", .{ .read = true });
    try first.writePositionalAll(io, "a", 0);
    Io.Threaded.closeFd(first.handle);
    const second = try scratch.dir.createFile(io, "b", .{ .read = true });
    defer second.close(io);
    try second.writePositionalAll(io, "bb", 0);
    try expectEqual(2, try second.length(io));
}

test "numbers that are used again" {
    try onOneAndTwo(reusedNumbers);
}
