//! malloc that fails: channels, tokens and timers, with each allocation of the library failed in turn. The call is
//! error.OutOfMemory, and has changed nothing; the next one is well. The functions here take the place of those of
//! the C library, for libgomax.so too (build.zig makes them visible to it, and has the library take its memory there).
//! Gs and scopes take none.
const std = @import("std");
const gomax = @import("gomax");
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const gpa = std.testing.allocator;
const s = gomax.ns_per_s;

extern "c" fn __libc_malloc(size: usize) ?*anyopaque;
extern "c" fn __libc_calloc(n: usize, size: usize) ?*anyopaque;
extern "c" fn __libc_realloc(old: ?*anyopaque, size: usize) ?*anyopaque;
extern "c" fn __libc_memalign(alignment: usize, size: usize) ?*anyopaque;

/// How many allocations of this thread succeed before one fails; null: all do.
threadlocal var left: ?usize = null;
threadlocal var failed = false;

fn fails() bool {
    const n = left orelse return false;
    left = if (n == 0) null else n - 1;
    if (n == 0) failed = true;
    return n == 0;
}
export fn malloc(size: usize) callconv(.c) ?*anyopaque {
    return if (fails()) null else __libc_malloc(size);
}
export fn calloc(n: usize, size: usize) callconv(.c) ?*anyopaque {
    return if (fails()) null else __libc_calloc(n, size);
}
export fn realloc(old: ?*anyopaque, size: usize) callconv(.c) ?*anyopaque {
    return if (fails()) null else __libc_realloc(old, size);
}
export fn aligned_alloc(alignment: usize, size: usize) callconv(.c) ?*anyopaque {
    return if (fails()) null else __libc_memalign(alignment, size);
}
export fn posix_memalign(out: *?*anyopaque, alignment: usize, size: usize) callconv(.c) c_int {
    const p = (if (fails()) null else __libc_memalign(alignment, size)) orelse return @intFromEnum(std.c.E.NOMEM);
    out.* = p;
    return 0;
}

/// Which allocation of the calls fails that are made through it, counted over all of them.
const Failing = struct {
    after: usize,

    fn call(failing: *Failing, comptime func: anytype, args: anytype) @TypeOf(@call(.auto, func, args)) {
        failing.begin();
        defer failing.end();
        return @call(.auto, func, args);
    }
    /// Around a call that `call` cannot make, as its arguments are known at compile time.
    fn begin(failing: *Failing) void {
        left = failing.after;
    }
    fn end(failing: *Failing) void {
        failing.after = left orelse std.math.maxInt(usize);
        left = null;
    }
};

/// The fewest failures that are plausible, so that a call which takes no memory any more is noticed.
fn eachFails(least: usize, comptime operation: fn (*Failing) anyerror!void) !void {
    try operation(&never_fails); // what is made once is there
    var failures: usize = 0;
    for (0..1000) |n| {
        var failing: Failing = .{ .after = n };
        failed = false;
        if (operation(&failing)) {
            if (failed) continue; // the library had another way
            break;
        } else |err| {
            if (err != error.OutOfMemory or !failed) return err;
            failures += 1;
        }
        try operation(&never_fails);
    } else return error.NeverSucceeds;
    try expect(failures >= least);
    try gomax.shutdown(10 * s);
}
var never_fails: Failing = .{ .after = std.math.maxInt(usize) };

fn returns() void {}

fn channel(f: *Failing) !void {
    const ch = try f.call(gomax.Channel(u64).init, .{4});
    ch.deinit();
}
fn sends(f: *Failing) !void {
    const ch = try f.call(gomax.Channel(u64).init, .{gomax.unbounded});
    defer ch.deinit();
    for (0..1000) |i| f.call(gomax.Channel(u64).trySend, .{ ch, i }) catch |err| {
        try expectEqual(i, ch.len());
        ch.close();
        for (0..i) |j| try expectEqual(j, try ch.recv());
        return err;
    };
}
fn timesOut(result: anytype) !void {
    if (result) |_| return error.Received else |err| if (err != error.Timeout) return err;
}
fn receives(f: *Failing) !void {
    const ch = try f.call(gomax.Channel(u64).init, .{1});
    defer ch.deinit();
    try timesOut(f.call(gomax.Channel(u64).recvTimeout, .{ ch, 1 }));
    try timesOut(f.call(gomax.selectTimeout, .{ 1, .{ .in = ch.onRecv() } }));
}
fn tokens(f: *Failing) !void {
    const token = try f.call(gomax.Token.init, .{ null, 3600 * s });
    defer token.deinit();
    const done = try f.call(gomax.Token.done, .{token});
    defer done.deinit();
    f.begin();
    var result = token.afterAlloc(gpa, returns, .{});
    f.end();
    if (result) |*hook| try expect(hook.stop()) else |err| {
        try expectEqual(false, token.isCanceled());
        return err;
    }
}
fn timers(f: *Failing) !void {
    const ch = try f.call(gomax.afterChannel, .{3600 * s});
    defer ch.deinit();
    const timer = try f.call(gomax.Timer.init, .{null});
    defer timer.deinit();
    f.begin();
    var result = gomax.afterAlloc(gpa, 3600 * s, returns, .{});
    f.end();
    if (result) |*later| try expect(later.stop()) else |err| return err;
}
test "channels, when malloc fails" {
    try eachFails(1, channel);
    try eachFails(4, sends);
    try eachFails(1, receives);
}
test "tokens and timers, when malloc fails" {
    try eachFails(1, tokens);
    try eachFails(1, timers);
}
