//! Files of std.Io: opening, reading, writing, asking, syncing and closing. The other functions are
//! std.Io.Threaded's (delegate.zig).
//!
//! What was opened here has a handle, by which the library reads and writes it as fits the file: at once what is in
//! memory, and otherwise without keeping the P. A pipe or a terminal parks the goroutine.
const std = @import("std");
const c = @import("../c.zig");
const delegate = @import("delegate.zig");
const errors = @import("../errors.zig");
const handles = @import("handles.zig");
const Scatter = @import("vectors.zig").Scatter;
const Gather = @import("vectors.zig").Gather;
const Io = std.Io;
const Dir = Io.Dir;
const File = Io.File;
const linux = std.os.linux;

pub fn open(u: ?*anyopaque, dir: Dir, path: []const u8, options: Dir.OpenFileOptions) File.OpenError!File {
    const file = try delegate.call("dirOpenFile", .{ u, dir, path, options });
    handles.open(file.handle, c.GMX_POLL_BORROW);
    return file;
}

pub fn create(u: ?*anyopaque, dir: Dir, path: []const u8, options: Dir.CreateFileOptions) File.OpenError!File {
    const file = try delegate.call("dirCreateFile", .{ u, dir, path, options });
    handles.open(file.handle, c.GMX_POLL_BORROW);
    return file;
}

pub fn createAtomic(u: ?*anyopaque, dir: Dir, path: []const u8, options: Dir.CreateFileAtomicOptions) Dir.CreateFileAtomicError!File.Atomic {
    const atomic = try delegate.call("dirCreateFileAtomic", .{ u, dir, path, options });
    handles.open(atomic.file.handle, c.GMX_POLL_BORROW);
    return atomic;
}

pub fn close(_: ?*anyopaque, files: []const File) void {
    for (files) |file| handles.close(file.handle);
}

pub fn readStreaming(o: Io.Operation.FileReadStreaming) Io.Cancelable!Io.Operation.FileReadStreaming.Result {
    var scatter: Scatter = undefined;
    scatter.init(o.data);
    if (scatter.n == 0) return 0;
    const s = try handles.on(o.file.handle, c.gmx_readv, .{ @as(?*const anyopaque, &scatter.v), scatter.n, c.GMX_FOREVER });
    if (s < 0) return @as(Io.Operation.FileReadStreaming.Result, errors.of(Io.Operation.FileReadStreaming.Error, s));
    if (s == 0) return @as(Io.Operation.FileReadStreaming.Result, error.EndOfStream);
    return @as(usize, @intCast(s));
}

pub fn writeStreaming(o: Io.Operation.FileWriteStreaming) Io.Cancelable!Io.Operation.FileWriteStreaming.Result {
    var gather: Gather = undefined;
    gather.init(o.header, o.data, o.splat);
    if (gather.n == 0) return 0;
    var done: usize = 0;
    const s = try handles.onPartly(o.file.handle, c.gmx_writev, .{
        @as(?*const anyopaque, &gather.v), gather.n, c.GMX_FOREVER, &done,
    }, &done);
    if (s < 0 and done == 0) return @as(Io.Operation.FileWriteStreaming.Result, errors.of(Io.Operation.FileWriteStreaming.Error, s));
    return done;
}

pub fn readPositional(_: ?*anyopaque, file: File, data: []const []u8, offset: u64) File.ReadPositionalError!usize {
    var scatter: Scatter = undefined;
    scatter.init(data);
    if (scatter.n == 0) return 0;
    const at: i64 = @bitCast(offset);
    const s = try handles.on(file.handle, c.gmx_preadv, .{ @as(?*const anyopaque, &scatter.v), scatter.n, at });
    if (s < 0) return errors.of(File.ReadPositionalError, s);
    return @intCast(s);
}

pub fn writePositional(_: ?*anyopaque, file: File, header: []const u8, data: []const []const u8, splat: usize, offset: u64) File.WritePositionalError!usize {
    var gather: Gather = undefined;
    gather.init(header, data, splat);
    if (gather.n == 0) return 0;
    const at: i64 = @bitCast(offset);
    var done: usize = 0;
    const s = try handles.onPartly(file.handle, c.gmx_pwritev, .{ @as(?*const anyopaque, &gather.v), gather.n, at, &done }, &done);
    if (s < 0 and done == 0) return errors.of(File.WritePositionalError, s);
    return done;
}

fn isRegular(file: File) bool {
    var stx: linux.Statx = undefined;
    const s = handles.on(file.handle, c.gmx_statx, .{ null, 0, @as(u32, 1), @as(?*anyopaque, &stx) }) catch return false; // STATX_TYPE
    return s == c.GMX_OK and Io.Threaded.statxKind(stx.mode) == .file;
}

/// From file to file the system copies. Elsewhere that would keep a thread: std.Io's writers read and write then.
pub fn writeFileStreaming(u: ?*anyopaque, file: File, header: []const u8, reader: *File.Reader, limit: Io.Limit) File.Writer.WriteFileError!usize {
    if (!isRegular(file)) return error.Unimplemented;
    askBefore(reader);
    return delegate.call("fileWriteFileStreaming", .{ u, file, header, reader, limit });
}

pub fn writeFilePositional(u: ?*anyopaque, file: File, header: []const u8, reader: *File.Reader, limit: Io.Limit, offset: u64) File.WriteFilePositionalError!usize {
    askBefore(reader);
    return delegate.call("fileWriteFilePositional", .{ u, file, header, reader, limit, offset });
}

/// The reader asks for its size by its own Io, which could not wait in the delegated call; it keeps the answer.
fn askBefore(reader: *File.Reader) void {
    _ = reader.getSize() catch {};
}

/// All that File.Stat has.
const basic_stats = 0x7ff;

fn ask(file: File, mask: u32, stx: *linux.Statx) File.StatError!void {
    const s = try handles.on(file.handle, c.gmx_statx, .{ null, 0, mask, @as(?*anyopaque, stx) });
    if (s < 0) return errors.of(File.StatError, s);
}

pub fn stat(_: ?*anyopaque, file: File) File.StatError!File.Stat {
    var stx: linux.Statx = undefined;
    try ask(file, basic_stats, &stx);
    return Io.Threaded.statFromLinux(&stx);
}

pub fn length(_: ?*anyopaque, file: File) File.LengthError!u64 {
    var stx: linux.Statx = undefined;
    try ask(file, 0x200, &stx); // STATX_SIZE
    return stx.size;
}

pub fn sync(_: ?*anyopaque, file: File) File.SyncError!void {
    const s = try handles.on(file.handle, c.gmx_fsync, .{});
    if (s < 0) return errors.of(File.SyncError, s);
}
