//! Locks and counts.
const std = @import("std");
const gomax = @import("gomax");
const onG = @import("check.zig").onG;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

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

    // all at once: a waiter has the mutex until it waits
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
    var scope: gomax.Scope(anyerror) = try .init(null);
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
