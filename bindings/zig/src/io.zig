//! std.Io on goroutines: the standard library's interface for what waits, so that code that is written for it runs as
//! goroutines. docs/zig.md has the introduction.
//!
//! `vtable` names the function for each entry. What waits is the library's: tasks and groups (io/tasks.zig),
//! cancelation (io/cancel.zig), futexes, time (io/clock.zig), the network (io/net.zig), reading and writing of files
//! (io/files.zig), children (io/process.zig), several operations at once (io/batch.zig). The other entries are
//! std.Io.Threaded's functions, which block the thread and not the P (io/delegate.zig).
//!
//! Linux only, as the library.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const batch = @import("io/batch.zig");
const cancel = @import("io/cancel.zig");
const clock = @import("io/clock.zig");
const delegate = @import("io/delegate.zig");
const files = @import("io/files.zig");
const net = @import("io/net.zig");
const process = @import("io/process.zig");
const tasks = @import("io/tasks.zig");
const Alignment = std.mem.Alignment;
const Threaded = std.Io.Threaded;
const function = delegate.function;

/// A backend for std.Io. Its tasks are goroutines, on as many threads as there are Ps.
///
///     var backend: gomax.Io = try .init(gpa, .{});
///     defer backend.deinit();
///     try gomax.run(serve, .{backend.io()});
///
/// Goroutines of other origin, and plain threads, may use it as well. It must not be moved, and outlives its tasks.
pub const Io = struct {
    spawner: tasks.Spawner,
    threaded: Threaded,
    stderr: process.Stderr = .{},

    pub const Options = struct {
        /// Usable bytes of a task's stack. 0: 256 KiB, or what `gomax.init` was told.
        stack_size: usize = 0,
        /// For children, and for what std.Io finds out about the terminal.
        environ: std.process.Environ = .empty,
    };

    /// `gpa` must be thread-safe; tasks are in its memory.
    pub fn init(gpa: std.mem.Allocator, options: Options) status.Error!Io {
        try cancel.prepare();
        var threaded: Threaded = .init_single_threaded; // without its signal handlers
        threaded.allocator = gpa;
        threaded.environ_initialized = options.environ.block.isEmpty();
        threaded.environ = .{ .process_environ = options.environ };
        return .{ .spawner = .{ .gpa = gpa, .stack_size = options.stack_size }, .threaded = threaded };
    }

    /// When its tasks have ended.
    pub fn deinit(backend: *Io) void {
        backend.threaded.deinit();
        backend.* = undefined;
    }

    pub fn io(backend: *Io) std.Io {
        return .{ .userdata = backend, .vtable = &vtable };
    }
};

fn of(userdata: ?*anyopaque) *Io {
    return @ptrCast(@alignCast(userdata));
}

fn crashHandler(_: ?*anyopaque) void {
    _ = cancel.swapProtection(.blocked);
}

fn async(
    userdata: ?*anyopaque,
    result: []u8,
    result_alignment: Alignment,
    context: []const u8,
    context_alignment: Alignment,
    start: *const fn (context: *const anyopaque, result: *anyopaque) void,
) ?*std.Io.AnyFuture {
    return concurrent(userdata, result.len, result_alignment, context, context_alignment, start) catch {
        start(context.ptr, result.ptr);
        return null;
    };
}

fn concurrent(
    userdata: ?*anyopaque,
    result_len: usize,
    result_alignment: Alignment,
    context: []const u8,
    context_alignment: Alignment,
    start: *const fn (context: *const anyopaque, result: *anyopaque) void,
) std.Io.ConcurrentError!*std.Io.AnyFuture {
    return @ptrCast(try tasks.Future.create(of(userdata).spawner, result_len, result_alignment, context, context_alignment, start));
}

fn future(any: *std.Io.AnyFuture) *tasks.Future {
    return @ptrCast(@alignCast(any));
}

fn await(_: ?*anyopaque, any: *std.Io.AnyFuture, result: []u8, _: Alignment) void {
    future(any).await(result);
}

fn cancelFuture(_: ?*anyopaque, any: *std.Io.AnyFuture, result: []u8, _: Alignment) void {
    future(any).cancel(result);
}

fn groupAsync(
    userdata: ?*anyopaque,
    group: *std.Io.Group,
    context: []const u8,
    context_alignment: Alignment,
    start: *const fn (context: *const anyopaque) void,
) void {
    groupConcurrent(userdata, group, context, context_alignment, start) catch start(context.ptr);
}

fn groupConcurrent(
    userdata: ?*anyopaque,
    group: *std.Io.Group,
    context: []const u8,
    context_alignment: Alignment,
    start: *const fn (context: *const anyopaque) void,
) std.Io.ConcurrentError!void {
    return tasks.groupConcurrent(of(userdata).spawner, group, context, context_alignment, start);
}

fn groupAwait(_: ?*anyopaque, group: *std.Io.Group, token: *anyopaque) std.Io.Cancelable!void {
    return tasks.groupAwait(group, token);
}

fn groupCancel(_: ?*anyopaque, group: *std.Io.Group, token: *anyopaque) void {
    tasks.groupCancel(group, token);
}

fn recancel(_: ?*anyopaque) void {
    cancel.recancel();
}

fn swapCancelProtection(_: ?*anyopaque, new: std.Io.CancelProtection) std.Io.CancelProtection {
    return cancel.swapProtection(new);
}

fn checkCancel(_: ?*anyopaque) std.Io.Cancelable!void {
    return cancel.check();
}

fn futexWait(_: ?*anyopaque, ptr: *const u32, expected: u32, timeout: std.Io.Timeout) std.Io.Cancelable!void {
    const wait: cancel.Wait = try .begin();
    cancel.waited(try wait.ended(c.gmx_wait_on_address(ptr, &expected, @sizeOf(u32), clock.left(timeout))));
}

fn futexWaitUncancelable(_: ?*anyopaque, ptr: *const u32, expected: u32) void {
    const wait: cancel.Wait = .shield();
    defer wait.end();
    cancel.waited(c.gmx_wait_on_address(ptr, &expected, @sizeOf(u32), c.GMX_FOREVER));
}

fn futexWake(_: ?*anyopaque, ptr: *const u32, max_waiters: u32) void {
    _ = c.gmx_wake_address(ptr, max_waiters);
}

fn operate(userdata: ?*anyopaque, operation: std.Io.Operation) std.Io.Cancelable!std.Io.Operation.Result {
    return switch (operation) {
        .file_read_streaming => |o| .{ .file_read_streaming = try files.readStreaming(o) },
        .file_write_streaming => |o| .{ .file_write_streaming = try files.writeStreaming(o) },
        .device_io_control => delegate.call("operate", .{ userdata, operation }),
        .net_receive => |o| .{ .net_receive = try net.receive(o) },
        .net_send => |o| .{ .net_send = try net.send(o) },
        .net_read => |o| .{ .net_read = try net.read(o) },
        .net_write => |o| .{ .net_write = try net.write(o) },
    };
}

fn batchAwaitAsync(userdata: ?*anyopaque, b: *std.Io.Batch) std.Io.Cancelable!void {
    return batch.awaitAsync(of(userdata).io(), of(userdata).spawner.gpa, b);
}

fn batchAwaitConcurrent(userdata: ?*anyopaque, b: *std.Io.Batch, timeout: std.Io.Timeout) std.Io.Batch.AwaitConcurrentError!void {
    return batch.awaitConcurrent(of(userdata).io(), of(userdata).spawner.gpa, b, timeout);
}

fn now(_: ?*anyopaque, of_clock: std.Io.Clock) std.Io.Timestamp {
    return delegate.now(of_clock);
}

fn batchCancel(_: ?*anyopaque, _: *std.Io.Batch) void {}

fn netLookup(
    userdata: ?*anyopaque,
    host: std.Io.net.HostName,
    resolved: *std.Io.Queue(std.Io.net.HostName.LookupResult),
    options: std.Io.net.HostName.LookupOptions,
) std.Io.net.HostName.LookupError!void {
    return net.lookup(of(userdata).io(), host, resolved, options);
}

fn lockStderr(userdata: ?*anyopaque, mode: ?std.Io.Terminal.Mode) std.Io.Cancelable!std.Io.LockedStderr {
    const backend = of(userdata);
    return backend.stderr.lock(backend.io(), &backend.threaded, mode);
}

fn tryLockStderr(userdata: ?*anyopaque, mode: ?std.Io.Terminal.Mode) std.Io.Cancelable!?std.Io.LockedStderr {
    const backend = of(userdata);
    return backend.stderr.tryLock(backend.io(), &backend.threaded, mode);
}

fn unlockStderr(userdata: ?*anyopaque) void {
    of(userdata).stderr.unlock();
}

pub const vtable: std.Io.VTable = .{
    .crashHandler = crashHandler,
    .async = async,
    .concurrent = concurrent,
    .await = await,
    .cancel = cancelFuture,
    .groupAsync = groupAsync,
    .groupConcurrent = groupConcurrent,
    .groupAwait = groupAwait,
    .groupCancel = groupCancel,
    .recancel = recancel,
    .swapCancelProtection = swapCancelProtection,
    .checkCancel = checkCancel,
    .futexWait = futexWait,
    .futexWaitUncancelable = futexWaitUncancelable,
    .futexWake = futexWake,
    .operate = operate,
    .batchAwaitAsync = batchAwaitAsync,
    .batchAwaitConcurrent = batchAwaitConcurrent,
    .batchCancel = batchCancel,
    .dirCreateDir = function("dirCreateDir"),
    .dirCreateDirPath = function("dirCreateDirPath"),
    .dirCreateDirPathOpen = function("dirCreateDirPathOpen"),
    .dirOpenDir = function("dirOpenDir"),
    .dirStat = function("dirStat"),
    .dirStatFile = function("dirStatFile"),
    .dirAccess = function("dirAccess"),
    .dirCreateFile = files.create,
    .dirCreateFileAtomic = files.createAtomic,
    .dirOpenFile = files.open,
    .dirClose = function("dirClose"),
    .dirRead = function("dirRead"),
    .dirRealPath = function("dirRealPath"),
    .dirRealPathFile = function("dirRealPathFile"),
    .dirDeleteFile = function("dirDeleteFile"),
    .dirDeleteDir = function("dirDeleteDir"),
    .dirRename = function("dirRename"),
    .dirRenamePreserve = function("dirRenamePreserve"),
    .dirSymLink = function("dirSymLink"),
    .dirReadLink = function("dirReadLink"),
    .dirSetOwner = function("dirSetOwner"),
    .dirSetFileOwner = function("dirSetFileOwner"),
    .dirSetPermissions = function("dirSetPermissions"),
    .dirSetFilePermissions = function("dirSetFilePermissions"),
    .dirSetTimestamps = function("dirSetTimestamps"),
    .dirHardLink = function("dirHardLink"),
    .fileStat = files.stat,
    .fileLength = files.length,
    .fileClose = files.close,
    .fileWritePositional = files.writePositional,
    .fileWriteFileStreaming = files.writeFileStreaming,
    .fileWriteFilePositional = files.writeFilePositional,
    .fileReadPositional = files.readPositional,
    .fileSeekBy = function("fileSeekBy"),
    .fileSeekTo = function("fileSeekTo"),
    .fileSync = files.sync,
    .fileIsTty = function("fileIsTty"),
    .fileEnableAnsiEscapeCodes = function("fileEnableAnsiEscapeCodes"),
    .fileSupportsAnsiEscapeCodes = function("fileSupportsAnsiEscapeCodes"),
    .fileSetLength = function("fileSetLength"),
    .fileSetOwner = function("fileSetOwner"),
    .fileSetPermissions = function("fileSetPermissions"),
    .fileSetTimestamps = function("fileSetTimestamps"),
    .fileLock = function("fileLock"),
    .fileTryLock = function("fileTryLock"),
    .fileUnlock = function("fileUnlock"),
    .fileDowngradeLock = function("fileDowngradeLock"),
    .fileRealPath = function("fileRealPath"),
    .fileHardLink = function("fileHardLink"),
    .fileMemoryMapCreate = function("fileMemoryMapCreate"),
    .fileMemoryMapDestroy = function("fileMemoryMapDestroy"),
    .fileMemoryMapSetLength = function("fileMemoryMapSetLength"),
    .fileMemoryMapRead = function("fileMemoryMapRead"),
    .fileMemoryMapWrite = function("fileMemoryMapWrite"),
    .processExecutableOpen = function("processExecutableOpen"),
    .processExecutablePath = function("processExecutablePath"),
    .lockStderr = lockStderr,
    .tryLockStderr = tryLockStderr,
    .unlockStderr = unlockStderr,
    .processCurrentPath = function("processCurrentPath"),
    .processSetCurrentDir = function("processSetCurrentDir"),
    .processSetCurrentPath = function("processSetCurrentPath"),
    .processReplace = function("processReplace"),
    .processSpawn = function("processSpawn"),
    .childWait = process.wait,
    .childKill = process.kill,
    .progressParentFile = function("progressParentFile"),
    .inheritParentDir = function("inheritParentDir"),
    .inheritParentFile = function("inheritParentFile"),
    .now = now,
    .clockResolution = function("clockResolution"),
    .sleep = clock.sleep,
    .random = function("random"),
    .randomSecure = function("randomSecure"),
    .netListenIp = net.listenIp,
    .netAccept = net.accept,
    .netBindIp = net.bindIp,
    .netConnectIp = net.connectIp,
    .netListenUnix = net.listenUnix,
    .netConnectUnix = net.connectUnix,
    .netSocketCreatePair = net.createPair,
    .netWriteFile = net.writeFile,
    .netClose = net.close,
    .netShutdown = function("netShutdown"),
    .netInterfaceNameResolve = function("netInterfaceNameResolve"),
    .netInterfaceName = function("netInterfaceName"),
    .netLookup = netLookup,
};
