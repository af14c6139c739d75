//! Threads, Ps, the world, numbers.
const std = @import("std");
const gomax = @import("gomax");
const check = @import("check.zig");
const onG = check.onG;
const add = check.add;
const half = check.half;
const Odd = check.Odd;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const ms = gomax.ns_per_ms;
const s = gomax.ns_per_s;

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
    var scope: gomax.Scope(anyerror) = try .init(null);
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

test "a loop that polls can be stopped" {
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
    var scope: gomax.Scope(anyerror) = try .init(null);
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

fn parksAndTells(parked: *std.atomic.Value(gomax.c.G)) !void {
    try gomax.park("the test", parked, struct {
        fn commit(to: *std.atomic.Value(gomax.c.G), g: gomax.c.G) bool {
            to.store(g, .release);
            return true;
        }
    }.commit);
    try expectEqual(parked.load(.monotonic), gomax.self());
}

fn parks() !void {
    for (0..200) |_| { // the caller of ready may be faster than the park
        var parked: std.atomic.Value(gomax.c.G) = .init(0);
        var waiter = try gomax.go(parksAndTells, .{&parked});
        while (parked.load(.acquire) == 0) try gomax.yield();
        try expectEqual(waiter.g, parked.load(.acquire));
        try gomax.ready(parked.load(.acquire));
        try waiter.join();
        try expectError(error.Stale, gomax.ready(parked.load(.acquire)));
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
    var parked: std.atomic.Value(gomax.c.G) = .init(0);
    var waiter = try gomax.goWith(.{ .inherit = true }, struct {
        fn body(mine: gomax.Token, to: *std.atomic.Value(gomax.c.G)) !void {
            const before = try mine.use();
            defer before.restore();
            try parksAndTells(to);
        }
    }.body, .{ token, &parked });
    while (parked.load(.acquire) == 0) try gomax.yield();
    token.cancel();
    try expectError(error.Canceled, waiter.join());
    try expectError(error.Stale, gomax.ready(parked.load(.acquire)));
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
    var scope: gomax.Scope(anyerror) = try .init(null);
    defer scope.deinit();
    for (0..8) |_| try scope.go(walks, .{});
    try scope.wait();
}

test "allocators that walk the stack" {
    try onG(walkers);
}
