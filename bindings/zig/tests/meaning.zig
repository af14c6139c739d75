//! The scenarios of docs/meaning.md, as a user of this module would write them. Without an argument prints their
//! names; with one runs that, and prints its outcome. ci/meaning.py compares.
const std = @import("std");
const gomax = @import("gomax");
const ms = gomax.ns_per_ms;

/// The text of a panic is what counts here, and its stack takes a second.
pub const std_options: std.Options = .{ .allow_stack_tracing = false };

const Failed = error{ Failed1, Failed2 };
const Scope = gomax.Scope(Failed);
const Ints = gomax.Channel(u32);

// ---- outcomes

/// What an error is called in the table.
fn word(err: anyerror) []const u8 {
    return switch (err) {
        error.Failed1 => "failed 1",
        error.Failed2 => "failed 2",
        error.Timeout => "timeout",
        error.Canceled => "canceled",
        error.Closed => "closed",
        error.WouldBlock => "not now",
        error.Stale, error.Invalid => "misuse",
        else => @errorName(err),
    };
}

/// The outcomes of a scenario, parted by commas.
const Said = struct {
    text: [100]u8 = undefined,
    len: usize = 0,

    /// A value, an error, or an error union of a value.
    fn say(said: *Said, result: anytype) void {
        const T = @TypeOf(result);
        switch (@typeInfo(T)) {
            .error_union => if (result) |value| said.say(value) else |err| said.say(err),
            .error_set => said.print("{s}", .{word(result)}),
            .void => said.print("ok", .{}),
            .int => said.print("{d}", .{result}),
            else => said.print("{s}", .{result}),
        }
    }
    fn print(said: *Said, comptime format: []const u8, args: anytype) void {
        if (said.len > 0) said.append(", ", .{});
        said.append(format, args);
    }
    fn append(said: *Said, comptime format: []const u8, args: anytype) void {
        said.len += (std.fmt.bufPrint(said.text[said.len..], format, args) catch unreachable).len;
    }
};

// ---- what the scenarios share

/// Nothing is ever sent there.
var never: Ints = undefined;
var released: Ints = undefined;
var entered: gomax.Semaphore = .{};

fn waits() gomax.Error!void {
    entered.release() catch {};
    _ = try never.recv();
}
fn waitsThenFails(err: Failed) Failed!void {
    entered.release() catch {};
    _ = never.recv() catch return err;
}
fn waitsAndHandles() void {
    _ = never.recv() catch {};
}
fn failsWith(err: Failed) Failed!void {
    return err;
}
fn returns() void {}
fn seven() u32 {
    return 7;
}
/// Computes until a moment: waits for nothing.
fn computesUntil(moment: i64) void {
    while (gomax.now() < moment) {}
}
fn cancels(token: gomax.Token) void {
    token.cancel();
}
/// When a goroutine waits at a channel.
fn whenOneWaits(ch: Ints) gomax.Error!void {
    while ((try ch.waiters()).receivers == 0) try gomax.yield();
}
fn cancelsWhenOneWaits(token: gomax.Token, ch: Ints) gomax.Error!void {
    try whenOneWaits(ch);
    token.cancel();
}

// ---- scopes

fn threeEnd(scope: *Scope) !void {
    for (0..3) |_| try scope.go(returns, .{});
}
pub fn @"scope-all-end"(said: *Said) !void {
    said.say(Scope.run(null, threeEnd, .{}));
}

fn oneWaitsAnotherFails(scope: *Scope) !void {
    try scope.go(waits, .{});
    try entered.acquire();
    try scope.go(failsWith, .{error.Failed1});
}
pub fn @"scope-child-fails"(said: *Said) !void {
    said.say(Scope.run(null, oneWaitsAnotherFails, .{}));
}

fn failsBesideTheBody(scope: *Scope) !void {
    try scope.go(failsWith, .{error.Failed1});
    _ = try never.recv();
}
pub fn @"scope-child-fails-body-waits"(said: *Said) !void {
    said.say(Scope.run(null, failsBesideTheBody, .{}));
}

fn failsItself(scope: *Scope) !void {
    try scope.go(waits, .{});
    try entered.acquire();
    return error.Failed1;
}
pub fn @"scope-body-fails"(said: *Said) !void {
    said.say(Scope.run(null, failsItself, .{}));
}

fn twoFail(scope: *Scope) !void {
    try scope.go(waitsThenFails, .{error.Failed2});
    try entered.acquire();
    try scope.go(failsWith, .{error.Failed1});
}
pub fn @"scope-first-failure"(said: *Said) !void {
    said.say(Scope.run(null, twoFail, .{}));
}

fn cancelsItsChild(scope: *Scope) !void {
    try scope.go(waits, .{});
    try entered.acquire();
    scope.cancel();
}
pub fn @"scope-cancel-child"(said: *Said) !void {
    said.say(Scope.run(null, cancelsItsChild, .{}));
}

fn isCanceledByItsChild(scope: *Scope) !void {
    try scope.go(cancelsWhenOneWaits, .{ try scope.token(), never });
    _ = try never.recv();
}
pub fn @"scope-cancel-body"(said: *Said) !void {
    said.say(Scope.run(null, isCanceledByItsChild, .{}));
}

fn cancelsWhatFails(scope: *Scope) !void {
    try scope.go(waitsThenFails, .{error.Failed1});
    try entered.acquire();
    scope.cancel();
}
pub fn @"scope-cancel-then-failure"(said: *Said) !void {
    said.say(Scope.run(null, cancelsWhatFails, .{}));
}

fn childWaits(scope: *Scope) !void {
    try scope.go(waits, .{});
}
pub fn @"scope-deadline-child"(said: *Said) !void {
    said.say(Scope.run(ms, childWaits, .{}));
}

fn bodyWaits(_: *Scope) !void {
    _ = try never.recv();
}
pub fn @"scope-deadline-body"(said: *Said) !void {
    said.say(Scope.run(ms, bodyWaits, .{}));
}

fn childComputes(scope: *Scope) !void {
    const end = (try (try scope.token()).deadline()).?;
    try scope.go(computesUntil, .{end + ms});
}
pub fn @"scope-deadline-unneeded"(said: *Said) !void {
    said.say(Scope.run(ms, childComputes, .{}));
}

fn childHandles(scope: *Scope) !void {
    try scope.go(waitsAndHandles, .{});
}
pub fn @"scope-deadline-handled"(said: *Said) !void {
    said.say(Scope.run(ms, childHandles, .{}));
}

fn childFailsForIt(scope: *Scope) !void {
    try scope.go(waitsThenFails, .{error.Failed1});
}
pub fn @"scope-deadline-and-failure"(said: *Said) !void {
    said.say(Scope.run(ms, childFailsForIt, .{}));
}

fn bodyWaitsToo(scope: *Scope) !void {
    try scope.go(waits, .{});
    try childFailsForIt(scope);
    _ = try never.recv();
}
pub fn @"scope-deadline-meets-failure"(said: *Said) !void {
    said.say(Scope.run(ms, bodyWaitsToo, .{}));
}

/// Runs a scope in the one of the caller, and lets its outcome out.
fn runsInner(said: *Said, comptime inner: anytype) !void {
    const result = Scope.run(null, inner, .{});
    said.say(result);
    try result;
}
fn innerBodyWaits(_: *Scope, said: *Said) !void {
    try runsInner(said, bodyWaits);
}
fn innerChildWaits(_: *Scope, said: *Said) !void {
    try runsInner(said, childWaits);
}
fn innerBodyWaitsCanceled(outer: *Scope, said: *Said) !void {
    try outer.go(cancelsWhenOneWaits, .{ try outer.token(), never });
    try runsInner(said, bodyWaits);
}
pub fn @"scope-outer-canceled"(said: *Said) !void {
    said.say(Scope.run(null, innerBodyWaitsCanceled, .{said}));
}
pub fn @"scope-outer-deadline"(said: *Said) !void {
    said.say(Scope.run(ms, innerBodyWaits, .{said}));
}
pub fn @"scope-outer-deadline-child"(said: *Said) !void {
    said.say(Scope.run(ms, innerChildWaits, .{said}));
}

fn waitsUnder(token: gomax.Token) !void {
    const previous = try token.use();
    defer previous.restore();
    try waits();
}
fn anotherTokenCancels(scope: *Scope) !void {
    const other: gomax.Token = try .init(null, null);
    defer other.deinit();
    try scope.go(waitsUnder, .{other});
    try entered.acquire();
    other.cancel();
    try scope.wait();
}
pub fn @"scope-foreign-cancel"(said: *Said) !void {
    said.say(Scope.run(null, anotherTokenCancels, .{}));
}

pub fn @"scope-go-after-leave"(said: *Said) !void {
    var scope: Scope = try .init(null);
    defer scope.deinit();
    try scope.wait();
    said.say(scope.go(returns, .{}));
}

pub fn @"scope-leave-pinned"(said: *Said) !void {
    var scope: Scope = try .init(null);
    try scope.go(waits, .{});
    const pinned = try gomax.pin();
    defer pinned.unpin();
    scope.deinit();
    said.say({});
}

pub fn @"scope-result"(said: *Said) !void {
    var scope: Scope = try .init(null);
    defer scope.deinit();
    var n: u32 = undefined;
    try scope.goInto(&n, seven, .{});
    try scope.wait();
    said.say(n);
}

// ---- tasks

pub fn @"join-value"(said: *Said) !void {
    var task = try gomax.go(seven, .{});
    said.say(task.join());
}
pub fn @"join-failed"(said: *Said) !void {
    var task = try gomax.go(failsWith, .{error.Failed1});
    said.say(task.join());
}
pub fn @"join-canceled"(said: *Said) !void {
    var task = try gomax.goWith(.{ .cancellable = true }, waits, .{});
    try entered.acquire();
    try task.cancel();
    said.say(task.join());
}
fn receives(ch: Ints) !u32 {
    return ch.recv();
}
pub fn @"join-timeout"(said: *Said) !void {
    var task = try gomax.go(receives, .{released});
    said.say(task.joinTimeout(ms));
    try released.send(7);
    said.say(task.join());
}

// ---- channels

pub fn @"recv-zero-timeout"(said: *Said) !void {
    const ch = try Ints.init(1);
    defer ch.deinit();
    said.say(ch.recvTimeout(0));
    try ch.send(7);
    said.say(ch.recvTimeout(0));
}
pub fn @"recv-timeout"(said: *Said) !void {
    said.say(never.recvTimeout(ms));
}
pub fn @"recv-past-moment"(said: *Said) !void {
    said.say(never.recvTimeout(gomax.timeLeft(std.math.minInt(i64))));
}

/// Says what `func(args...)` comes to under a token that is canceled when it waits at `ch`.
fn sayCanceled(said: *Said, ch: Ints, comptime func: anytype, args: anytype) !void {
    const token: gomax.Token = try .init(null, null);
    defer token.deinit();
    var canceler = try gomax.go(cancelsWhenOneWaits, .{ token, ch });
    {
        const previous = try token.use();
        defer previous.restore();
        said.say(@call(.auto, func, args));
    }
    try canceler.join();
}
pub fn @"recv-canceled"(said: *Said) !void {
    try sayCanceled(said, never, Ints.recv, .{never});
}
pub fn @"recv-canceled-first"(said: *Said) !void {
    const token: gomax.Token = try .init(null, null);
    defer token.deinit();
    token.cancel();
    const previous = try token.use();
    defer previous.restore();
    said.say(never.recv());
}
pub fn @"recv-token-deadline"(said: *Said) !void {
    const token: gomax.Token = try .init(null, ms);
    defer token.deinit();
    const previous = try token.use();
    defer previous.restore();
    said.say(never.recv());
    said.say(token.reason());
}
pub fn @"recv-closed"(said: *Said) !void {
    never.close();
    said.say(never.recv());
}
pub fn @"recv-left"(said: *Said) !void {
    const ch = try Ints.init(1);
    defer ch.deinit();
    try ch.send(7);
    ch.close();
    said.say(ch.recv());
    said.say(ch.recv());
}
pub fn @"recv-iterate"(said: *Said) !void {
    const ch = try Ints.init(2);
    defer ch.deinit();
    try ch.send(3);
    try ch.send(4);
    ch.close();
    var sum: u32 = 0;
    while (try ch.next()) |n| sum += n;
    said.say(sum);
}
pub fn @"send-closed"(said: *Said) !void {
    never.close();
    said.say(never.send(1));
}
fn full() !Ints {
    const ch = try Ints.init(1);
    try ch.send(1);
    return ch;
}
pub fn @"send-timeout"(said: *Said) !void {
    const ch = try full();
    defer ch.deinit();
    said.say(ch.sendTimeout(2, ms));
}
pub fn @"close-twice"(said: *Said) !void {
    try never.tryClose();
    said.say(never.tryClose());
}
pub fn @"try-recv"(said: *Said) !void {
    said.say(never.tryRecv());
}
pub fn @"try-send"(said: *Said) !void {
    const ch = try full();
    defer ch.deinit();
    said.say(ch.trySend(2));
}

// ---- select

/// What a select came to whose cases receive.
fn chosen(result: anytype) gomax.Error!u32 {
    return switch (try result) {
        inline else => |value| value orelse error.Closed,
    };
}
pub fn @"select-default"(said: *Said) !void {
    said.say(chosen(gomax.trySelect(.{ .a = never.onRecv(), .b = released.onRecv() })));
}
pub fn @"select-timeout"(said: *Said) !void {
    said.say(chosen(gomax.selectTimeout(ms, .{ .a = never.onRecv(), .b = released.onRecv() })));
}
pub fn @"select-closed"(said: *Said) !void {
    released.close();
    said.say(chosen(gomax.select(.{ .a = never.onRecv(), .b = released.onRecv() })));
}
fn selects() gomax.Error!u32 {
    return chosen(gomax.select(.{ .a = never.onRecv(), .b = released.onRecv() }));
}
pub fn @"select-canceled"(said: *Said) !void {
    try sayCanceled(said, never, selects, .{});
}
pub fn @"select-even"(said: *Said) !void {
    var cases: [10]gomax.Case = undefined;
    var value: u32 = undefined;
    for (&cases) |*case| case.* = never.onRecvInto(&value);
    const ready = [2]usize{ 2, 7 };
    var channels: [2]Ints = undefined;
    for (&channels, ready) |*ch, i| {
        ch.* = try full();
        cases[i] = ch.onRecvInto(&value);
    }
    defer for (channels) |ch| ch.deinit();
    var taken = [2]u32{ 0, 0 };
    for (0..2000) |_| {
        const which = std.mem.findScalar(usize, &ready, (try gomax.selectSlice(&cases)).index).?;
        taken[which] += 1;
        try channels[which].send(1);
    }
    const even = @min(taken[0], taken[1]) >= 800;
    said.say(if (even) "even" else "uneven");
}

// ---- locks

pub fn @"lock-canceled"(said: *Said) !void {
    var m: gomax.Mutex = .{};
    const token: gomax.Token = try .init(null, 0);
    defer token.deinit();
    const previous = try token.use();
    defer previous.restore();
    {
        try m.lock();
        defer m.unlock();
    }
    said.say(if (m.tryLock()) "ok" else "locked");
}
fn failsLocked(m: *gomax.Mutex) !void {
    try m.lock();
    defer m.unlock();
    return error.Failed1;
}
pub fn @"lock-body-fails"(said: *Said) !void {
    var m: gomax.Mutex = .{};
    said.say(failsLocked(&m));
    said.say(if (m.tryLock()) "ok" else "locked");
}
pub fn @"unlock-free"(said: *Said) !void {
    var m: gomax.Mutex = .{};
    m.unlock();
    said.say({});
}
fn locks(m: *gomax.Mutex) !void {
    try m.lock();
    try waits();
}
pub fn @"unlock-foreign"(said: *Said) !void {
    var m: gomax.Mutex = .{};
    var task = try gomax.go(locks, .{&m});
    defer task.deinit();
    try entered.acquire();
    m.unlock();
    said.say({});
}
pub fn @"waitgroup-below-zero"(said: *Said) !void {
    var wg: gomax.WaitGroup = .{};
    said.say(wg.add(-1));
}
fn cancelsWhenOneAcquires(token: gomax.Token, sema: *gomax.Semaphore) !void {
    while (sema.waiters() == 0) try gomax.yield();
    token.cancel();
}
pub fn @"semaphore-canceled"(said: *Said) !void {
    var sema: gomax.Semaphore = .{};
    const token: gomax.Token = try .init(null, null);
    defer token.deinit();
    var canceler = try gomax.go(cancelsWhenOneAcquires, .{ token, &sema });
    {
        const previous = try token.use();
        defer previous.restore();
        said.say(sema.acquire());
    }
    try canceler.join();
}
pub fn @"shield"(said: *Said) !void {
    const token: gomax.Token = try .init(null, 0);
    defer token.deinit();
    const previous = try token.use();
    defer previous.restore();
    {
        const shielded = try gomax.shield();
        defer shielded.end();
        said.say(never.recvTimeout(ms));
    }
    said.say(never.recv());
}

// ---- the world, hooks, once

fn failsInStoppedWorld() !void {
    const world = try gomax.stopTheWorld("scenario");
    defer world.start();
    return error.Failed1;
}
pub fn @"world-body-fails"(said: *Said) !void {
    said.say(failsInStoppedWorld());
    var task = try gomax.go(returns, .{});
    said.say(task.join());
}

fn failsAsHook(ran: *gomax.Semaphore) !void {
    try ran.release();
    return error.Failed1;
}
pub fn @"hook-fails"(said: *Said) !void {
    const token: gomax.Token = try .init(null, null);
    defer token.deinit();
    var ran: gomax.Semaphore = .{};
    var hook = try token.after(failsAsHook, .{&ran});
    token.cancel();
    try ran.acquire();
    said.say(if (hook.stop()) "stopped" else "ok");
}

pub fn @"once-fails"(said: *Said) !void {
    var once: gomax.Once = .{};
    said.say(once.do(failsWith, .{error.Failed1}));
    said.say(once.do(failsWith, .{error.Failed2}));
}

// ---- the program

const scenarios = @This(); // the public functions but main

fn run(comptime name: []const u8, said: *Said) !void {
    const scenario = struct {
        fn scenario(to: *Said) !void {
            never = try .init(0);
            released = try .init(0);
            try @field(scenarios, name)(to);
        }
    }.scenario;
    try gomax.run(scenario, .{said});
}

pub fn main(init: std.process.Init) !void {
    const args = try init.minimal.args.toSlice(init.arena.allocator());
    inline for (comptime std.meta.declarations(scenarios)) |name| {
        if (comptime std.mem.eql(u8, name, "main") or std.mem.eql(u8, name, "std_options")) continue;
        if (args.len < 2) {
            _ = std.c.printf("%s\n", name.ptr);
        } else if (std.mem.eql(u8, args[1], name)) {
            var said: Said = .{};
            try run(name, &said);
            _ = std.c.printf("%.*s\n", @as(c_int, @intCast(said.len)), &said.text);
        }
    }
}
