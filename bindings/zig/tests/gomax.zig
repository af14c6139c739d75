//! What the module promises, from Gs, from plain threads, and from threads that the library did not make.
const std = @import("std");
const gomax = @import("gomax");
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

/// Runs a test's body as the main G, with all that the test allocator has to say about leaks.
fn onG(comptime body: anytype) !void {
    try gomax.run(body, .{});
    try gomax.shutdown(10 * s); // no G is left behind
}

// ---- Gs

fn add(a: u32, b: u32) u32 {
    return a + b;
}

const Odd = error{Odd};
fn half(n: u32) Odd!u32 {
    if (n % 2 == 1) return error.Odd;
    return n / 2;
}

fn resultsAndErrors() !void {
    var sum = try gomax.go(add, .{ 2, 3 });
    defer sum.deinit();
    try expectEqual(5, try sum.join());
    try expect(sum.joined());
    try expectError(error.Stale, sum.join());

    var even = try gomax.goWith(.{ .name = "even", .stack_size = 64 * 1024, .allocator = std.testing.allocator }, half, .{8});
    try expectEqual(4, try even.join());
    var odd = try gomax.goWith(.{ .child_first = true, .wipe = true, .allocator = std.testing.allocator }, half, .{7});
    try expectError(error.Odd, odd.join());

    // the error set says what can come: the library's, and the function's own
    const Join = @typeInfo(@TypeOf(gomax.Task(Odd!u32).join)).@"fn".return_type.?;
    comptime std.debug.assert(@typeInfo(Join).error_union.error_set == (gomax.Error || Odd));
}

test "a G returns its value or its error" {
    try onG(resultsAndErrors);
}

fn waits(sema: *gomax.Semaphore) void {
    sema.acquire() catch {};
}

fn timesOut() !void {
    var sema: gomax.Semaphore = .{};
    var t = try gomax.go(waits, .{&sema});
    try expectError(error.Timeout, t.joinTimeout(ms));
    try expect(!t.joined());
    try sema.release();
    try t.join();

    // given up: the G runs on and frees what it shared with the handle
    var up = try gomax.goWith(.{ .allocator = std.testing.allocator }, waits, .{&sema});
    up.deinit();
    try sema.release();
    try gomax.goDetachedWith(.{ .name = "nobody's" }, waits, .{&sema});
    try sema.release();
    while (gomax.numG() > 1) try gomax.yield();
}

test "a join may time out, a handle may be given up" {
    try onG(timesOut);
}

fn count(n: *std.atomic.Value(u32), wg: *gomax.WaitGroup) void {
    _ = n.fetchAdd(1, .monotonic);
    wg.done();
}

fn tenThousand() !void {
    var n: std.atomic.Value(u32) = .init(0);
    var wg: gomax.WaitGroup = .{};
    for (0..10_000) |_| {
        try wg.add(1);
        try gomax.goDetached(count, .{ &n, &wg });
    }
    try wg.wait();
    try expectEqual(10_000, n.load(.monotonic));
}

test "ten thousand Gs" {
    try onG(tenThousand);
}

test "a plain thread spawns and joins, without a main G" {
    var t = try gomax.go(add, .{ 40, 2 });
    try expectEqual(42, try t.join());
    try gomax.shutdown(10 * s);
}

var never: gomax.Channel(u8) = undefined;

fn deadlocks() !u8 {
    return never.recv();
}

fn quiet(_: ?*anyopaque, _: [*]const u8, _: usize) callconv(.c) void {}

test "a deadlock is an error, and what waits goes on when it can" {
    try gomax.init(.{ .report = quiet });
    never = try .init(0);
    defer never.deinit();
    try expectError(error.Deadlock, gomax.run(deadlocks, .{}));
    try expectError(error.Timeout, gomax.shutdown(0));
    never.close();
    try gomax.shutdown(10 * s);
}

fn failsAtOnce() !void {
    return error.Mine;
}

test "run returns the error of its function" {
    try expectError(error.Mine, gomax.run(failsAtOnce, .{}));
    try expectError(error.NotOnG, struct { // no main G within a callback of the scheduler
        var said: gomax.Error!void = {};
        fn inBarrier() void {
            said = gomax.sleep(1);
        }
        fn from() !void {
            try gomax.forEachP(inBarrier, .{});
            return said;
        }
    }.from());
    try gomax.shutdown(10 * s);
}

// ---- channels

const Message = struct { id: u32, text: []const u8, odd: ?u8 };

fn produce(out: gomax.Channel(Message), n: u32) !void {
    defer out.close();
    for (0..n) |i| {
        try out.send(.{ .id = @intCast(i), .text = "hello", .odd = if (i % 2 == 1) @intCast(i % 256) else null });
    }
}

var dropped: u64 = 0;
fn countDropped(value: u64) void {
    dropped += value;
}

fn recvsOne(from: gomax.Channel(u64)) !u64 {
    return from.recv();
}

fn channels() !void {
    for ([_]usize{ 0, 1, 16 }) |room| {
        const ch = try gomax.Channel(Message).init(room);
        defer ch.deinit();
        try expectEqual(room, ch.cap());
        var t = try gomax.go(produce, .{ ch, 100 });
        var i: u32 = 0;
        while (try ch.next()) |m| : (i += 1) {
            try expectEqual(i, m.id);
            try std.testing.expectEqualStrings("hello", m.text);
            try expectEqual(i % 2 == 1, m.odd != null);
        }
        try expectEqual(100, i);
        try t.join();
        try expectError(error.Closed, ch.recv());
        try expectError(error.Closed, ch.send(.{ .id = 0, .text = "", .odd = null }));
    }

    const ch = try gomax.Channel(u64).init(1);
    defer ch.deinit();
    try expectError(error.WouldBlock, ch.tryRecv());
    try ch.trySend(7);
    try expectError(error.WouldBlock, ch.trySend(8));
    try expectError(error.Timeout, ch.sendTimeout(8, ms));
    try expectEqual(1, ch.len());
    const again = try ch.ref();
    again.deinit();
    try expectEqual(7, try ch.recvTimeout(s));
    try expectError(error.Timeout, ch.recvTimeout(ms));

    try expect(!ch.isClosed());
    const meet = try gomax.Channel(u64).init(0);
    defer meet.deinit();
    var receiver = try gomax.go(recvsOne, .{meet});
    while ((try meet.waiters()).receivers != 1) try gomax.yield();
    try expectEqual(gomax.Waiters{ .senders = 0, .receivers = 1 }, try meet.waiters());
    try meet.send(3);
    try expectEqual(3, try receiver.join());
    meet.close();
    try expect(meet.isClosed());

    const left = try gomax.Channel(u64).init(3);
    defer left.deinit();
    for (1..4) |n| try left.send(n);
    left.closeDrop(countDropped);
    try expectEqual(6, dropped);
    try expectError(error.Closed, left.recv());
    left.closeDrop(null);

    const many = try gomax.Channel(u64).init(gomax.unbounded);
    defer many.deinit();
    try expectEqual(gomax.unbounded, many.cap());
    for (0..1000) |n| try many.trySend(n);
    for (0..900) |n| try expectEqual(n, try many.recv());

    const ticks = try gomax.Channel(void).init(2); // tells only that something happened
    defer ticks.deinit();
    try ticks.send({});
    try ticks.recv();
}

test "channels" {
    try onG(channels);
}

fn selects() !void {
    const a = try gomax.Channel(u32).init(1);
    defer a.deinit();
    const b = try gomax.Channel([]const u8).init(1);
    defer b.deinit();

    try expectError(error.WouldBlock, gomax.trySelect(.{ .a = a.onRecv(), .b = b.onRecv() }));
    try expectError(error.Timeout, gomax.selectTimeout(ms, .{ .a = a.onRecv() }));

    try b.send("b");
    switch (try gomax.select(.{ .a = a.onRecv(), .b = b.onRecv() })) {
        .a => return error.TestUnexpectedResult,
        .b => |text| try std.testing.expectEqualStrings("b", text.?),
    }
    switch (try gomax.select(.{ .out = a.onSend(5), .in = b.onRecv() })) {
        .out => |sent| try sent,
        .in => return error.TestUnexpectedResult,
    }
    try expectEqual(5, try a.recv());

    a.close();
    switch (try gomax.select(.{ .a = a.onRecv() })) {
        .a => |value| try expectEqual(null, value),
    }
    switch (try gomax.select(.{ .a = a.onSend(1) })) {
        .a => |sent| try expectError(error.Closed, sent),
    }

    // both come through, whatever comes first
    const left = try gomax.Channel(Message).init(0);
    defer left.deinit();
    const right = try gomax.Channel(Message).init(0);
    defer right.deinit();
    var one = try gomax.go(produce, .{ left, 200 });
    var other = try gomax.go(produce, .{ right, 300 });
    var lefts: u32 = 0;
    var rights: u32 = 0;
    while (lefts < 200 or rights < 300) {
        switch (try gomax.select(.{ .left = left.onRecv(), .right = right.onRecv() })) {
            .left => |m| lefts += @intFromBool(m != null),
            .right => |m| rights += @intFromBool(m != null),
        }
    }
    try one.join();
    try other.join();
}

test "select" {
    try onG(selects);
}

// ---- locks

const Guarded = struct {
    m: gomax.Mutex = .{},
    rw: gomax.RwMutex = .{},
    more: gomax.Condition = .{},
    n: u32 = 0,

    fn add(g: *Guarded) void {
        for (0..100) |_| {
            g.m.lock() catch return;
            defer g.m.unlock();
            g.n += 1;
            g.more.signal();
        }
    }

    fn read(g: *Guarded, sum: *std.atomic.Value(u32)) void {
        g.rw.lockShared() catch return;
        defer g.rw.unlockShared();
        _ = sum.fetchAdd(g.n, .monotonic);
    }
};

fn locks() !void {
    var g: Guarded = .{};
    var wg: gomax.WaitGroup = .{};
    for (0..50) |_| try wg.go(Guarded.add, .{&g});
    {
        try g.m.lock();
        defer g.m.unlock();
        while (g.n < 5000) try g.more.wait(&g.m);
    }
    try wg.wait();

    try g.m.lock();
    try expectError(error.Deadlock, g.m.lock());
    var other = try gomax.go(struct {
        fn tries(m: *gomax.Mutex) !bool {
            try expectError(error.Timeout, m.lockTimeout(ms));
            m.unlock(); // of another: no effect
            return m.tryLock();
        }
    }.tries, .{&g.m});
    try expectEqual(false, try other.join());
    try expectError(error.Timeout, g.more.waitTimeout(&g.m, ms));
    g.m.unlock();

    var sum: std.atomic.Value(u32) = .init(0);
    try g.rw.lockShared();
    for (0..10) |_| try wg.go(Guarded.read, .{ &g, &sum });
    try wg.waitTimeout(10 * s);
    try expectEqual(50_000, sum.load(.monotonic));
    try expectEqual(false, g.rw.tryLock());
    try expectError(error.Timeout, g.rw.lockTimeout(ms));
    g.rw.unlockShared();
    try g.rw.lock();
    try expectEqual(false, g.rw.tryLockShared());
    var reader = try gomax.go(gomax.RwMutex.lockSharedTimeout, .{ &g.rw, ms });
    try expectError(error.Timeout, reader.join());
    g.rw.unlock();

    var s3: gomax.Semaphore = .{ .count = 1 };
    try s3.acquire();
    try expectEqual(false, s3.tryAcquire());
    try expectError(error.Timeout, s3.acquireTimeout(ms));
    try s3.release();
    try expectEqual(true, s3.tryAcquire());
    try expectEqual(0, s3.waiters());
    var third = try gomax.go(gomax.Semaphore.acquire, .{&s3});
    while (s3.waiters() == 0) try gomax.yield();
    try s3.releaseHandoff();
    try expectEqual(false, s3.tryAcquire());
    try third.join();
    try expectEqual(0, g.m.waiters());
    try expectEqual(0, g.rw.waiters());
    try expectEqual(0, g.more.waiters());

    var meeting: gomax.Barrier = .init(11);
    var serials: std.atomic.Value(u32) = .init(0);
    for (0..10) |_| try wg.go(meets, .{ &meeting, &serials });
    while (meeting.waiters() < 10) try gomax.yield();
    try expectEqual(true, try meeting.waitTimeout(0));
    try expectError(error.Timeout, meeting.waitTimeout(ms));
    try wg.wait();
    try expectEqual(0, serials.load(.monotonic));

    // all at once: whoever waits is under the mutex until it does
    var waiting: u32 = 0;
    for (0..10) |_| try wg.go(waitsForAll, .{ &g, &waiting });
    while (true) {
        try g.m.lock();
        defer g.m.unlock();
        if (waiting == 10) break;
        try g.more.waitTimeout(&g.m, null);
    }
    g.n = 0;
    g.more.broadcast();
    try wg.wait();
}

fn meets(b: *gomax.Barrier, serials: *std.atomic.Value(u32)) void {
    const serial = b.wait() catch return;
    _ = serials.fetchAdd(@intFromBool(serial), .monotonic);
}

fn waitsForAll(g: *Guarded, waiting: *u32) void {
    g.m.lock() catch return;
    defer g.m.unlock();
    waiting.* += 1;
    g.more.broadcast();
    while (g.n != 0) g.more.wait(&g.m) catch return;
}

test "locks" {
    try onG(locks);
}

fn once() !void {
    const first = struct {
        fn first(n: *u32, by: u32) void {
            gomax.sleep(ms) catch {};
            n.* += by;
        }
    }.first;
    const all = struct {
        fn all(o: *gomax.Once, n: *u32) !void {
            try o.do(first, .{ n, 1 });
            try expectEqual(1, n.*);
        }
    }.all;
    var o: gomax.Once = .{};
    var n: u32 = 0;
    var scope: gomax.Scope = try .init(null);
    defer scope.deinit();
    for (0..10) |_| try scope.go(all, .{ &o, &n });
    try scope.wait();

    var slow: gomax.Once = .{};
    var begun: gomax.Semaphore = .{};
    var end: gomax.Semaphore = .{};
    const waitsFor = struct {
        fn waitsFor(b: *gomax.Semaphore, e: *gomax.Semaphore) void {
            b.release() catch {};
            e.acquire() catch {};
        }
    }.waitsFor;
    var at_it = try gomax.go(struct {
        fn run(o2: *gomax.Once, b: *gomax.Semaphore, e: *gomax.Semaphore) !void {
            try o2.do(waitsFor, .{ b, e });
        }
    }.run, .{ &slow, &begun, &end });
    try begun.acquire();
    try expectError(error.Timeout, slow.doTimeout(ms, first, .{ &n, 1 }));
    try end.release();
    try at_it.join();
    try expectEqual(1, n);
}

test "once" {
    try onG(once);
}

// ---- scopes, tokens

fn forever() !void {
    while (true) try gomax.sleep(s);
}

fn fails(ns: i64, err: anyerror) !void {
    try gomax.sleep(ns);
    return err;
}

fn scopes() !void {
    {
        var scope: gomax.Scope = try .init(null);
        defer scope.deinit();
        for (0..10) |_| try scope.go(forever, .{});
        try scope.go(fails, .{ ms, error.First });
        try expectError(error.First, scope.wait());
        try expectError(error.Stale, scope.wait());
        try expectError(error.Stale, scope.go(forever, .{}));
    }
    { // a deadline
        var scope: gomax.Scope = try .init(5 * ms);
        defer scope.deinit();
        try scope.go(forever, .{});
        try expectError(error.Canceled, scope.wait());
    }
    { // left by an error of the one who made it: deinit cancels and waits
        var scope: gomax.Scope = try .init(null);
        defer scope.deinit();
        try scope.go(forever, .{});
        try expectError(error.Timeout, scope.waitTimeout(ms));
        try expectEqual(false, (try scope.token()).isCanceled());
    }
    { // what the body waits for ends with the rest: at the deadline, by the first error, by hand
        var nothing = try gomax.Channel(u8).init(0);
        defer nothing.deinit();
        for (0..3) |way| {
            var scope: gomax.Scope = try .init(if (way == 0) 5 * ms else null);
            defer scope.deinit();
            try scope.go(forever, .{});
            if (way == 1) try scope.go(fails, .{ ms, error.First });
            if (way == 2) scope.cancel();
            try expectError(error.Canceled, nothing.recv());
            try expectError(error.Canceled, gomax.sleep(s));
            try expectError(if (way == 1) error.First else error.Canceled, scope.wait());
            try expectEqual(null, gomax.Token.current());
            try gomax.sleep(1);
        }
        var outer: gomax.Scope = try .init(5 * ms);
        defer outer.deinit();
        var inner: gomax.Scope = try .init(null);
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
fn sleepsOn() !void {
    try expectError(error.Canceled, gomax.sleep(s));
}

fn ended() !void {
    var scope: gomax.Scope = try .init(1);
    defer scope.deinit();
    try scope.go(sleepsOn, .{});
    const end = try scope.waitWhy(null);
    try expectEqual(gomax.c.GMX_SCOPE_DEADLINE, end.by);
    try expectEqual(gomax.c.GMX_ETIMEDOUT, end.status);
}

test "by what a scope ended" {
    try onG(ended);
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
        break :blk try gomax.goWith(.{ .inherit = true }, sleepsOn, .{});
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

fn tasksAreCancelled() !void {
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

test "a task is cancelled" {
    try onG(tasksAreCancelled);
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

// ---- time

fn fired(ch: gomax.Channel(u32), n: u32) void {
    ch.send(n) catch {};
}

fn time() !void {
    const before = gomax.now();
    try gomax.sleep(2 * ms);
    try expect(gomax.now() - before >= 2 * ms);

    const once_only = try gomax.Timer.init(ms);
    defer once_only.deinit();
    try expect(try once_only.ch.recv() >= before + 3 * ms);
    try expectEqual(false, try once_only.stop());
    try expectEqual(false, try once_only.reset(3600 * s, 0));
    try expectEqual(true, try once_only.reset(ms, 0));
    _ = try once_only.ch.recv();
    const ticker = try gomax.Timer.ticker(ms);
    defer ticker.deinit();
    for (0..3) |_| _ = try ticker.ch.recv();
    try expectEqual(true, try ticker.stop());
    try expectError(error.WouldBlock, ticker.ch.tryRecv());

    const moment = try gomax.afterChannel(ms);
    defer moment.deinit();
    _ = try moment.recv();
    try expectError(error.WouldBlock, moment.tryRecv());
    const not_yet = try gomax.afterChannel(null);
    defer not_yet.deinit();
    const soon_comes = try gomax.afterChannel(ms);
    defer soon_comes.deinit();
    switch (try gomax.select(.{ .not_yet = not_yet.onRecv(), .soon = soon_comes.onRecv() })) {
        .not_yet => return error.TestUnexpectedResult,
        .soon => |when| try expect(when.? > before),
    }

    const ch = try gomax.Channel(u32).init(1);
    defer ch.deinit();
    var soon = try gomax.after(ms, fired, .{ ch, 1 });
    try expectEqual(1, try ch.recv());
    try expectEqual(false, soon.stop());
    var late = try gomax.after(3600 * s, fired, .{ ch, 2 });
    try expectEqual(true, late.stop());
    try gomax.afterDetached(0, fired, .{ ch, 3 });
    try expectEqual(3, try ch.recv());
}

test "time" {
    try onG(time);
}

// ---- threads, Ps, the world

fn onForeign(ch: gomax.Channel(u32), sum: *u32) void {
    sum.* = gomax.callback(struct {
        fn body(in: gomax.Channel(u32)) !u32 {
            try expect(gomax.goid() != 0);
            return try in.recv() + try in.recv();
        }
    }.body, .{ch}) catch 0;
    const here = gomax.attach() catch return;
    defer here.detach();
    gomax.sleep(ms) catch {
        sum.* = 0;
    };
}

fn foreign() !void {
    const ch = try gomax.Channel(u32).init(0);
    defer ch.deinit();
    var sum: u32 = 0;
    const thread = try std.Thread.spawn(.{}, onForeign, .{ ch, &sum });
    try ch.send(3);
    try ch.send(4);
    try gomax.blocking(std.Thread.join, .{thread});
    try expectEqual(7, sum);
}

test "threads of the host" {
    try onG(foreign);
}

extern fn close(fd: c_int) c_int;

// errno is the G's own: the address of it, which Zig asks for anew each time, may be another after each wait
fn errnos(n: usize) !void {
    for (0..50) |i| {
        if (n % 2 == 0) {
            try expectEqual(-1, close(-1));
            try expectEqual(@intFromEnum(std.posix.E.BADF), std.c._errno().*);
        } else {
            std.c._errno().* = @intCast(n);
        }
        if (i % 4 == 0) try gomax.sleep(1000) else try gomax.yield();
        const want: c_int = if (n % 2 == 0) @intFromEnum(std.posix.E.BADF) else @intCast(n);
        try expectEqual(want, std.c._errno().*);
    }
}

fn errnoOfMany() !void {
    var scope: gomax.Scope = try .init(null);
    defer scope.deinit();
    for (0..40) |n| try scope.go(errnos, .{n});
    try scope.wait();
}

test "errno goes with the G" {
    try onG(errnoOfMany);
}

const Local = struct { hits: u32 = 0 };
var locals: [64]Local = @splat(.{});

fn processors() !void {
    try gomax.setDefaultMaxprocs();
    try expectEqual(gomax.numCpu(), gomax.maxprocs());
    _ = try gomax.setMaxprocs(3);
    try expectEqual(3, gomax.maxprocs());
    const per_p = try gomax.PerP(Local).init();
    defer per_p.deinit();

    const hit = struct {
        fn hit(key: gomax.PerP(Local)) void {
            const p = gomax.currentP() catch return;
            if (key.get() == null) key.set(&locals[p]) catch return;
            key.get().?.hits += 1;
        }
    }.hit;
    try gomax.forEachP(hit, .{per_p});
    try gomax.forEachP(hit, .{per_p});
    {
        const pinned = try gomax.pin();
        defer pinned.unpin();
        try expectEqual(&locals[pinned.p], per_p.get().?);
        try expectError(error.NotOnG, gomax.sleep(1));
    }
    const world = try gomax.stopTheWorld("test");
    defer world.start();
    for (0..3) |p| try expectEqual(2, per_p.of(@intCast(p)).?.hits);
    var seen: u32 = 0;
    try world.forEachG(&seen, struct {
        fn look(n: *u32, info: *const gomax.c.gmx_g_info) void {
            std.debug.assert(info.goid != 0);
            n.* += 1;
        }
    }.look);
    try expectEqual(1, seen);
}

test "Ps and the world" {
    try onG(processors);
}

fn polls(stop: *std.atomic.Value(bool)) void {
    while (!stop.load(.monotonic)) gomax.safepoint();
}

fn safepoints() !void {
    var stop: std.atomic.Value(bool) = .init(false);
    var t = try gomax.go(polls, .{&stop});
    for (0..20) |_| {
        const world = try gomax.stopTheWorldTimeout("test", 10 * s);
        world.start();
    }
    stop.store(true, .monotonic);
    try t.join();
}

test "a loop that polls makes way" {
    try onG(safepoints);
}

var destroyed: std.atomic.Value(u32) = .init(0);

fn perG(key: gomax.PerG(u32), n: u32) !void {
    var mine = n;
    try expectEqual(null, key.get());
    try key.set(&mine);
    try gomax.sleep(1000);
    try expectEqual(n, key.get().?.*);
}

fn ends(_: *u32) void {
    _ = destroyed.fetchAdd(1, .monotonic);
}

fn ofGs() !void {
    const key = try gomax.PerG(u32).init(ends);
    defer key.deinit();
    var scope: gomax.Scope = try .init(null);
    defer scope.deinit();
    for (0..100) |n| try scope.go(perG, .{ key, @as(u32, @intCast(n)) });
    try scope.wait();
    try expectEqual(100, destroyed.load(.monotonic));

    const tied = try gomax.lockOsThread();
    defer tied.unlock();
    const id = std.Thread.getCurrentId();
    try gomax.sleep(ms);
    try expectEqual(id, std.Thread.getCurrentId());
    const call = try gomax.enterSyscall();
    try expectError(error.InSyscall, gomax.sleep(1));
    call.exit();
    const sure = try gomax.enterSyscallBlocking();
    try expectError(error.InSyscall, gomax.enterSyscall());
    sure.exit();
    try expectEqual(9, try gomax.blocking(add, .{ 4, 5 }));
}

test "values of Gs, threads, syscalls" {
    try onG(ofGs);
}

fn parksAndTells(who: *std.atomic.Value(gomax.c.G)) !void {
    try gomax.park("the test", who, struct {
        fn commit(to: *std.atomic.Value(gomax.c.G), g: gomax.c.G) bool {
            to.store(g, .release);
            return true;
        }
    }.commit);
    try expectEqual(who.load(.monotonic), gomax.self());
}

fn parks() !void {
    for (0..200) |_| { // the one who readies may be faster than the park
        var who: std.atomic.Value(gomax.c.G) = .init(0);
        var waiter = try gomax.go(parksAndTells, .{&who});
        while (who.load(.acquire) == 0) try gomax.yield();
        try expectEqual(waiter.g, who.load(.acquire));
        try gomax.ready(who.load(.acquire));
        try waiter.join();
        try expectError(error.Stale, gomax.ready(who.load(.acquire)));
    }
    try expectError(error.Timeout, gomax.parkTimeout(ms, null, {}, struct {
        fn commit(_: void, _: gomax.c.G) bool {
            return true;
        }
    }.commit));
    try gomax.park(null, {}, struct {
        fn commit(_: void, g: gomax.c.G) bool {
            return g == 0;
        }
    }.commit);
    try expectError(error.NotPermitted, gomax.ready(gomax.self()));
}

test "park and ready" {
    try onG(parks);
}

fn parksUnderAToken() !void {
    const token: gomax.Token = try .init(null, null);
    defer token.deinit();
    var who: std.atomic.Value(gomax.c.G) = .init(0);
    var waiter = try gomax.goWith(.{ .inherit = true }, struct {
        fn body(mine: gomax.Token, to: *std.atomic.Value(gomax.c.G)) !void {
            const before = try mine.use();
            defer before.restore();
            try parksAndTells(to);
        }
    }.body, .{ token, &who });
    while (who.load(.acquire) == 0) try gomax.yield();
    token.cancel();
    try expectError(error.Canceled, waiter.join());
    try expectError(error.Stale, gomax.ready(who.load(.acquire)));
}

test "a token ends a park" {
    try onG(parksUnderAToken);
}

const Computing = struct {
    inside: std.atomic.Value(u32) = .init(0),
    most: std.atomic.Value(u32) = .init(0),
    calls: std.atomic.Value(u32) = .init(0),
    gate: std.atomic.Value(bool) = .init(false),

    fn compute(it: *Computing) Odd!u32 {
        _ = it.most.fetchMax(it.inside.fetchAdd(1, .seq_cst) + 1, .seq_cst);
        while (!it.gate.load(.acquire)) {}
        _ = it.inside.fetchSub(1, .seq_cst);
        const n = it.calls.fetchAdd(1, .seq_cst);
        return half(n);
    }
    fn inTurn(it: *Computing, class: gomax.BlockingClass) !u32 {
        return class.run(compute, .{it});
    }
};

fn soManyAtATime() !void {
    const class: gomax.BlockingClass = try .init(2, "tests");
    defer class.deinit();
    try expectError(error.Invalid, gomax.BlockingClass.init(0, null));
    var it: Computing = .{};
    var tasks: [6]gomax.Task(@typeInfo(@TypeOf(Computing.inTurn)).@"fn".return_type.?) = undefined;
    for (&tasks) |*t| t.* = try gomax.go(Computing.inTurn, .{ &it, class });
    while (it.inside.load(.seq_cst) < 2) try gomax.sleep(10_000);
    try expectError(error.Timeout, class.runTimeout(0, half, .{2}));
    try expectError(error.Timeout, class.runTimeout(ms, half, .{2}));
    const token: gomax.Token = try .init(null, 0);
    defer token.deinit();
    const before = try token.use();
    try expectError(error.Canceled, class.run(half, .{2}));
    before.restore();
    it.gate.store(true, .release);
    var sum: u32 = 0;
    var odd: u32 = 0;
    for (&tasks) |*t| {
        if (t.join()) |n| sum += n else |err| {
            try expectEqual(error.Odd, err);
            odd += 1;
        }
    }
    try expectEqual(3, sum); // halves of 0, 2, 4
    try expectEqual(3, odd);
    try expectEqual(2, it.most.load(.seq_cst));
    try expectEqual(1, try class.run(half, .{2}));
    try expectError(error.Odd, class.run(half, .{3}));
}

test "so many at a time" {
    try onG(soManyAtATime);
    const class: gomax.BlockingClass = try .init(1, null); // a plain thread
    defer class.deinit();
    try expectEqual(4, try class.run(half, .{8}));
}

fn numbers() !void {
    try expectEqual(0, gomax.version() >> 16);
    const before = try gomax.schedStats();
    var t = try gomax.go(add, .{ 1, 2 });
    _ = try t.join();
    const after = try gomax.schedStats();
    try expect(after.spawned > before.spawned);
    try expect((try gomax.memStats()).stacks_inuse >= 1);
    try gomax.releaseMemory();
    const bounds = try gomax.stackBounds();
    try expect(@intFromPtr(bounds.lo) < @frameAddress() and @frameAddress() < @intFromPtr(bounds.hi));
    var ends_of: [2]c_int = undefined;
    try expectEqual(0, std.c.pipe(&ends_of));
    try gomax.writeHeapDump(ends_of[1]);
    _ = close(ends_of[1]);
    try expectError(error.BadDescriptor, gomax.writeHeapDump(ends_of[1]));
    var text: [4096]u8 = undefined;
    const n = std.c.read(ends_of[0], &text, text.len);
    _ = close(ends_of[0]);
    try expect(n > 0 and std.mem.indexOf(u8, text[0..@intCast(n)], "goroutine") != null);
}

test "numbers and dumps" {
    try onG(numbers);
}

fn deep(n: u32) u64 {
    if (n == 0) return 0;
    if (n % 16 == 0) gomax.yield() catch {};
    return n + deep(n - 1);
}

// DebugAllocator walks the stack at each allocation: it must find its end
fn walks() !void {
    const gpa = std.testing.allocator;
    for (0..20) |i| {
        const some = try gpa.alloc(u8, i + 1);
        defer gpa.free(some);
        try gomax.yield();
        try expectEqual(64 * 65 / 2, deep(64));
    }
}

fn walkers() !void {
    var scope: gomax.Scope = try .init(null);
    defer scope.deinit();
    for (0..8) |_| try scope.go(walks, .{});
    try scope.wait();
}

test "allocators that walk the stack" {
    try onG(walkers);
}

// ---- generators, loops, addresses

fn countTo(out: *gomax.Generator(u32), n: u32) !void {
    for (0..n) |i| try out.yield(@intCast(i));
    if (n == 3) return error.Three;
}

fn generators() !void {
    var all = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator, .name = "count" }, countTo, .{10});
    var sum: u32 = 0;
    while (try all.next()) |v| sum += v;
    try expectEqual(45, sum);
    try expectEqual(null, try all.next());
    all.deinit();

    var some = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator }, countTo, .{1000});
    try expectEqual(0, try some.next());
    try expectEqual(1, try some.next());
    some.deinit(); // in the middle

    var three = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator }, countTo, .{3});
    for (0..3) |i| try expectEqual(@as(u32, @intCast(i)), try three.next());
    try expectError(error.Three, three.next());
    three.deinit();
    var unbegun = try gomax.Generator(u32).init(.{ .allocator = std.testing.allocator }, countTo, .{3});
    unbegun.deinit();
}

test "generators" {
    try onG(generators);
    try generators();
    try gomax.shutdown(10 * s);
}

fn addRange(begin: i64, end: i64, sum: *std.atomic.Value(i64)) void {
    _ = sum.fetchAdd(end - begin, .monotonic);
}

fn loops() !void {
    var sum: std.atomic.Value(i64) = .init(0);
    try gomax.parallelFor(1000, 7, addRange, .{&sum});
    try gomax.parallelFor(1000, 0, addRange, .{&sum});
    try expectEqual(2000, sum.load(.monotonic));
    try expectError(error.Invalid, gomax.parallelFor(-1, 0, addRange, .{&sum}));
}

test "parallel loops" {
    try onG(loops);
}

var futex: u32 = 0;
fn waitForFutex() !void {
    while (@atomicLoad(u32, &futex, .acquire) == 0) try gomax.waitOnAddress(u32, &futex, 0);
}

fn addresses() !void {
    var t = try gomax.go(waitForFutex, .{});
    try expectError(error.Timeout, gomax.waitOnAddressTimeout(u32, &futex, 0, ms));
    @atomicStore(u32, &futex, 1, .release);
    _ = try gomax.wakeAddress(&futex, 1);
    try t.join();
    try gomax.waitOnAddress(u32, &futex, 0); // it differs

    var m: gomax.RecursiveMutex = .{};
    try m.lock();
    try m.lockTimeout(ms);
    try expect(m.tryLock());
    for (0..3) |_| m.unlock();
}

test "waits at an address, recursive mutexes" {
    try onG(addresses);
}
