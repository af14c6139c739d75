//! Scopes and tokens.
const std = @import("std");
const gomax = @import("gomax");
const onG = @import("check.zig").onG;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

fn forever() !void {
    while (true) try gomax.sleep(s);
}

fn fails(ns: i64, err: anyerror) !void {
    try gomax.sleep(ns);
    return err;
}

fn scopes() !void {
    {
        var scope: gomax.Scope(anyerror) = try .init(null);
        defer scope.deinit();
        for (0..10) |_| try scope.go(forever, .{});
        try scope.go(fails, .{ ms, error.First });
        try expectError(error.First, scope.wait());
        try expectError(error.Stale, scope.wait());
        try expectError(error.Stale, scope.go(forever, .{}));
    }
    { // a deadline
        var scope: gomax.Scope(anyerror) = try .init(5 * ms);
        defer scope.deinit();
        try scope.go(forever, .{});
        try expectError(error.Timeout, scope.wait());
        try expectEqual(gomax.c.GMX_SCOPE_DEADLINE, scope.end.by);
    }
    { // left by an error of its maker: deinit cancels and waits
        var scope: gomax.Scope(anyerror) = try .init(null);
        defer scope.deinit();
        try scope.go(forever, .{});
        try expectEqual(false, try scope.waitTimeout(ms));
        try expectEqual(false, (try scope.token()).isCanceled());
    }
    { // an error.Timeout of a G is not the one of a wait that gives up
        var scope: gomax.Scope(anyerror) = try .init(null);
        defer scope.deinit();
        try scope.go(fails, .{ 0, error.Timeout });
        try expectError(error.Timeout, scope.waitTimeout(10 * s));
        try expectError(error.Stale, scope.waitTimeout(ms));
    }
    { // what the body waits for ends with the rest: at the deadline, by the first error, by hand
        var nothing = try gomax.Channel(u8).init(0);
        defer nothing.deinit();
        for (0..3) |way| {
            var scope: gomax.Scope(anyerror) = try .init(if (way == 0) 5 * ms else null);
            defer scope.deinit();
            try scope.go(forever, .{});
            if (way == 1) try scope.go(fails, .{ ms, error.First });
            if (way == 2) scope.cancel();
            try expectError(error.Canceled, nothing.recv());
            try expectError(error.Canceled, gomax.sleep(s));
            switch (way) {
                0 => try expectError(error.Timeout, scope.wait()),
                1 => try expectError(error.First, scope.wait()),
                else => try scope.wait(),
            }
            try expectEqual(null, gomax.Token.current());
            try gomax.sleep(1);
        }
        var outer: gomax.Scope(anyerror) = try .init(5 * ms);
        defer outer.deinit();
        var inner: gomax.Scope(anyerror) = try .init(null);
        defer inner.deinit();
        try expectError(error.Canceled, nothing.recv());
    }
    try expectEqual(null, gomax.Token.current());
    while (gomax.numG() > 1) try gomax.yield(); // the last one may be on its way out
}

test "scopes" {
    try onG(scopes);
}

fn counts(n: *std.atomic.Value(u32)) void {
    _ = n.fetchAdd(1, .monotonic);
}
fn expectsCanceled() !void {
    try expectError(error.Canceled, gomax.sleep(s));
}

// the error set of a scope says what can come: the library's, its own, and the body's
const Refused = error{Refused};
const Narrow = gomax.Scope(Refused);

fn refuses(yes: bool) Refused!void {
    if (yes) return error.Refused;
}
fn starts(scope: *Narrow, yes: bool) error{Mine}!void {
    scope.go(refuses, .{yes}) catch return error.Mine;
}
fn failsItself(scope: *Narrow) error{Mine}!void {
    scope.go(sleepsOn, .{}) catch {};
    return error.Mine;
}
fn leavesItself(scope: *Narrow) !void {
    try scope.go(refuses, .{true});
    try scope.wait();
}
fn three() u32 {
    return 3;
}
fn refusesThree() Refused!u32 {
    return error.Refused;
}

fn typed() !void {
    comptime std.debug.assert(Narrow.Failure == gomax.Error || Refused);
    const Out = @typeInfo(@TypeOf(Narrow.run(null, starts, .{false}))).error_union;
    comptime std.debug.assert(Out.error_set == (gomax.Error || error{ Refused, Mine }) and Out.payload == void);
    try Narrow.run(null, starts, .{false});
    try expectError(error.Refused, Narrow.run(null, starts, .{true}));
    try expectError(error.Mine, Narrow.run(null, failsItself, .{}));
    try expectError(error.Refused, Narrow.run(null, leavesItself, .{}));

    var scope: Narrow = try .init(null);
    defer scope.deinit();
    var n: u32 = 0;
    var m: ?u64 = null;
    var none: u32 = 0;
    try scope.goInto(&n, three, .{});
    try scope.goInto(&m, three, .{});
    try scope.goInto(&none, refusesThree, .{});
    try expectError(error.Refused, scope.wait());
    try expectEqual(3, n);
    try expectEqual(3, m);
    try expectEqual(0, none);
}

test "results and errors of a scope have their types" {
    try onG(typed);
}

fn sleepsOn() !void {
    expectError(error.Canceled, gomax.sleep(s)) catch @panic("not canceled");
}

fn canceledBy(token: gomax.Token) !void {
    const previous = try token.use();
    defer previous.restore();
    try gomax.sleep(s);
}

// error.Canceled is a failure where another token than the scope's has caused it
fn foreign() !void {
    const other: gomax.Token = try .init(null, 0);
    defer other.deinit();
    var scope: gomax.Scope(error{}) = try .init(null);
    defer scope.deinit();
    try scope.go(canceledBy, .{other});
    try expectError(error.Canceled, scope.wait());
    try expectEqual(gomax.c.GMX_SCOPE_FAILURE, scope.end.by);
}

test "another token cancels a G of a scope" {
    try onG(foreign);
}

fn told() !void {
    const top = try gomax.Token.init(null, s * 3600);
    defer top.deinit();
    const low = try gomax.Token.init(top, null);
    defer low.deinit();
    try expectEqual((try top.deadline()).?, (try low.deadline()).?);
    const done = try low.done();
    defer done.deinit();
    var ran: std.atomic.Value(u32) = .init(0);
    var hook = try low.after(counts, .{&ran});
    var unused = try low.after(counts, .{&ran});
    try expect(unused.stop());
    var sleeper = blk: {
        const previous = try low.use();
        defer previous.restore();
        break :blk try gomax.goWith(.{ .inherit = true }, expectsCanceled, .{});
    };
    try top.cancelBecause(-2001);
    try expectError(error.Closed, done.recv());
    try expectEqual(-2001, try low.reasonStatus());
    try sleeper.join();
    while (ran.load(.monotonic) == 0) try gomax.yield();
    try expect(!hook.stop());
}

test "told of a cancellation" {
    try onG(told);
}

fn waitsAt(sema: *gomax.Semaphore) gomax.Error!void {
    try sema.acquire();
}

fn tasksAreCanceled() !void {
    var sema: gomax.Semaphore = .{};
    var one = try gomax.goWith(.{ .cancellable = true }, waitsAt, .{&sema});
    var plain = try gomax.go(waitsAt, .{&sema});
    try one.cancel();
    try expectError(error.Canceled, one.join());
    try expectError(error.Stale, one.cancel());
    try expectError(error.NotPermitted, plain.cancel());
    try sema.release();
    try plain.join();
}

test "a task is canceled" {
    try onG(tasksAreCanceled);
}

fn tokens() !void {
    const parent = try gomax.Token.init(null, null);
    defer parent.deinit();
    const child = try gomax.Token.init(parent, null);
    defer child.deinit();
    try child.reason();
    parent.cancel();
    try expect(child.isCanceled());
    try expectError(error.Canceled, child.reason());
    {
        const previous = try child.use();
        defer previous.restore();
        try expectEqual(child.raw, gomax.Token.current().?.raw);
        try expectError(error.Canceled, gomax.sleep(s));
        const shielded = try gomax.shield();
        defer shielded.end();
        try gomax.sleep(1);
    }
    try expectEqual(null, gomax.Token.current());
    const deadline = try gomax.Token.init(null, 0);
    defer deadline.deinit();
    try expectError(error.Timeout, deadline.reason());
}

test "tokens" {
    try onG(tokens);
}
