//! Channels and select against models of them: step by step in one G, and by counting the values of many Gs and
//! threads. What is drawn at random is drawn from the seed of the run, which is printed where a test fails: `zig
//! build test --seed N`.
const std = @import("std");
const gomax = @import("gomax");
const onG = @import("check.zig").onG;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectError = std.testing.expectError;
const gpa = std.testing.allocator;
const s = gomax.ns_per_s;

const Ints = gomax.Channel(u64);

fn tellSeed() void {
    std.debug.print("--seed {d}\n", .{std.testing.random_seed});
}

// ---- step by step

/// What a channel should be.
const Model = struct {
    ch: Ints,
    room: usize,
    left: std.ArrayList(u64) = .empty,
    closed: bool = false,

    fn init(room: usize) !Model {
        return .{ .ch = try .init(room), .room = room };
    }
    fn deinit(m: *Model) void {
        m.ch.deinit();
        m.left.deinit(gpa);
    }

    /// What a send comes to that does not wait. There is never a receiver that waits.
    fn send(m: *Model, value: u64) !void {
        if (m.closed) return error.Closed;
        if (m.left.items.len >= m.room) return error.WouldBlock;
        try m.left.append(gpa, value);
    }
    fn recv(m: *Model) !u64 {
        if (m.left.items.len > 0) return m.left.orderedRemove(0);
        return if (m.closed) error.Closed else error.WouldBlock;
    }
    fn ready(m: *const Model, sends: bool) bool {
        if (m.closed) return true;
        return if (sends) m.left.items.len < m.room else m.left.items.len > 0;
    }
    fn close(m: *Model) !void {
        if (m.closed) return error.Closed;
        m.closed = true;
    }
    fn drop(m: *Model, value: u64) void {
        std.debug.assert(m.left.orderedRemove(0) == value);
    }
    fn agrees(m: *const Model) !void {
        try expectEqual(m.left.items.len, m.ch.len());
        try expectEqual(m.room, m.ch.cap());
        try expectEqual(m.closed, m.ch.isClosed());
    }
};

/// Both came to the same, value or error.
fn same(want: anytype, got: anytype) !void {
    if (want) |value| try expectEqual(value, try got) else |err| try expectError(err, got);
}
fn timedOut(result: anytype) @TypeOf(result) {
    return result catch |err| if (err == error.Timeout) error.WouldBlock else err;
}

fn oneSelect(models: []Model, random: std.Random, next: *u64) !void {
    var cases: [6]gomax.Case = undefined;
    var which: [6]usize = undefined;
    var sends: [6]bool = undefined;
    var values: [6]u64 = undefined;
    const n = random.intRangeAtMost(usize, 1, cases.len);
    var ready = false;
    for (0..n) |i| {
        which[i] = random.uintLessThan(usize, models.len);
        sends[i] = random.boolean();
        const m = &models[which[i]];
        values[i] = next.* + i;
        cases[i] = if (sends[i]) m.ch.onSendFrom(&values[i]) else m.ch.onRecvInto(&values[i]);
        ready = ready or m.ready(sends[i]);
    }
    const chosen = gomax.trySelectSlice(cases[0..n]) catch |err| {
        try expectEqual(error.WouldBlock, err);
        return expect(!ready);
    };
    const m = &models[which[chosen.index]];
    if (sends[chosen.index]) {
        const want = m.send(values[chosen.index]);
        try same(want, @as(anyerror!void, if (chosen.closed) error.Closed else {}));
        next.* += n;
    } else {
        const want = m.recv();
        try same(want, @as(anyerror!u64, if (chosen.closed) error.Closed else values[chosen.index]));
    }
}

/// The same for the form whose cases have names.
fn namedSelect(a: *Model, b: *Model, value: u64) !void {
    const ready = a.ready(false) or b.ready(true);
    const chosen = gomax.trySelect(.{ .in = a.ch.onRecv(), .out = b.ch.onSend(value) }) catch |err| {
        try expectEqual(error.WouldBlock, err);
        return expect(!ready);
    };
    switch (chosen) {
        .in => |got| try same(a.recv(), @as(anyerror!u64, got orelse error.Closed)),
        .out => |sent| try same(b.send(value), sent),
    }
}

fn steps() !void {
    var prng: std.Random.DefaultPrng = .init(std.testing.random_seed);
    const random = prng.random();
    errdefer tellSeed();
    for (0..60) |_| {
        var models: [4]Model = undefined;
        for (&models, [_]usize{ 0, 1, 3, gomax.unbounded }) |*m, room| m.* = try .init(room);
        defer for (&models) |*m| m.deinit();
        var next: u64 = 0;
        for (0..300) |_| {
            const m = &models[random.uintLessThan(usize, models.len)];
            next += 1;
            switch (random.uintLessThan(u32, 100)) {
                0...24 => try same(m.send(next), m.ch.trySend(next)),
                25...34 => try same(m.send(next), timedOut(m.ch.sendTimeout(next, 0))),
                35...54 => try same(m.recv(), m.ch.tryRecv()),
                55...64 => try same(m.recv(), timedOut(m.ch.recvTimeout(0))),
                65...84 => try oneSelect(&models, random, &next),
                85...97 => try namedSelect(m, &models[random.uintLessThan(usize, models.len)], next),
                98 => try same(m.close(), m.ch.tryClose()),
                else => if (random.boolean()) {
                    m.closed = true;
                    m.ch.closeDrop(m, Model.drop);
                },
            }
            for (&models) |*one| try one.agrees();
        }
        // what is left comes out in its order, and without waiting
        for (&models) |*m| {
            m.ch.close();
            m.closed = true;
            while (try m.ch.next()) |value| try expectEqual(try m.recv(), value);
            try expectError(error.Closed, m.recv());
        }
    }
}

test "channels and select, step by step" {
    try onG(steps);
}

// ---- many at once

const producers = 6; // the last two are threads
const consumers = 5; // the last one is a thread
const each = 1500;

/// Values are numbers from 0: the producer's times `each`, and which of its own it is.
const Many = struct {
    channels: [4]Ints,
    sent: [producers * each]std.atomic.Value(u32) = @splat(.init(0)),
    received: [producers * each]std.atomic.Value(u32) = @splat(.init(0)),
    taken: std.atomic.Value(u32) = .init(0),
    sending: gomax.WaitGroup = .{},
    /// Of the first failure in a thread or a G.
    failed: std.atomic.Value(bool) = .init(false),

    fn pick(many: *Many, random: std.Random) Ints {
        return many.channels[random.uintLessThan(usize, many.channels.len)];
    }

    fn sendOne(many: *Many, random: std.Random, value: u64) !void {
        const ch = many.pick(random);
        const some = random.intRangeLessThan(i64, 0, 50_000);
        switch (random.uintLessThan(u32, 7)) {
            0, 1 => try ch.send(value),
            2 => try ch.trySend(value),
            3 => try ch.sendTimeout(value, some),
            4 => switch (try gomax.select(.{ .a = ch.onSend(value), .b = many.pick(random).onSend(value) })) {
                inline else => |sent| try sent,
            },
            5 => {
                var cases: [3]gomax.Case = undefined;
                for (&cases) |*case| case.* = many.pick(random).onSendFrom(&value);
                if ((try gomax.selectSliceTimeout(some, &cases)).closed) return error.Closed;
            },
            else => { // may be canceled while it waits
                const token: gomax.Token = try .init(null, some);
                defer token.deinit();
                const previous = try token.use();
                defer previous.restore();
                try ch.send(value);
            },
        }
    }

    fn produces(many: *Many, producer: usize) !void {
        defer many.sending.done();
        var prng: std.Random.DefaultPrng = .init(std.testing.random_seed +% producer);
        for (producer * each..(producer + 1) * each) |value| {
            many.sendOne(prng.random(), value) catch |err| switch (err) {
                error.WouldBlock, error.Timeout, error.Canceled, error.Closed => continue, // so it must not be received
                else => return err,
            };
            many.sent[value].store(1, .monotonic);
        }
    }

    fn takes(many: *Many, value: u64) void {
        _ = many.received[value].fetchAdd(1, .monotonic);
        _ = many.taken.fetchAdd(1, .monotonic);
    }

    /// Until all channels are closed and empty. Values of one producer in one channel come in their order.
    fn consumes(many: *Many, consumer: usize) !void {
        var prng: std.Random.DefaultPrng = .init(std.testing.random_seed +% 1000 +% consumer);
        const random = prng.random();
        var last: [many_channels][producers]i64 = @splat(@splat(-1));
        var open: [many_channels]bool = @splat(true);
        while (std.mem.findScalar(bool, &open, true)) |first| {
            const at = if (random.boolean()) first else random.uintLessThan(usize, many_channels);
            const ch = many.channels[at];
            const some = random.intRangeLessThan(i64, 0, 50_000);
            var from = at;
            // two look at all channels each time, so that no sender waits forever
            const way = if (consumer == 0 or consumer == consumers - 1) 5 else random.uintLessThan(u32, 6);
            const got: gomax.Error!u64 = switch (way) {
                0, 1 => ch.recv(),
                2 => ch.tryRecv(),
                3 => ch.recvTimeout(some),
                4 => got: {
                    const chosen = gomax.selectTimeout(some, .{ .a = ch.onRecv(), .b = many.channels[first].onRecv() }) catch |err| break :got err;
                    switch (chosen) {
                        .a => |value| break :got value orelse error.Closed,
                        .b => |value| {
                            from = first;
                            break :got value orelse error.Closed;
                        },
                    }
                },
                else => got: {
                    var values: [many_channels]u64 = undefined;
                    var cases: [many_channels]gomax.Case = undefined;
                    for (many.channels, &values, &cases) |c, *value, *case| case.* = c.onRecvInto(value);
                    const chosen = gomax.selectSliceTimeout(some, &cases) catch |err| break :got err;
                    from = chosen.index;
                    break :got if (chosen.closed) error.Closed else values[from];
                },
            };
            const value = got catch |err| switch (err) {
                error.WouldBlock, error.Timeout => continue,
                error.Closed => {
                    open[from] = false;
                    continue;
                },
                else => return err,
            };
            many.takes(value);
            const producer = value / each;
            try expect(last[from][producer] < @as(i64, @intCast(value)));
            last[from][producer] = @intCast(value);
        }
    }

    /// Waits until a part of the values has come, or all that will.
    fn isUnderWay(many: *Many) !void {
        while (many.taken.load(.monotonic) < each) {
            if (many.sending.waitTimeout(0)) return else |err| if (err != error.Timeout) return err;
            try gomax.yield();
        }
    }

    fn noting(many: *Many, comptime func: anytype, which: usize) void {
        func(many, which) catch |err| {
            std.debug.print("{t}\n", .{err});
            many.failed.store(true, .monotonic);
        };
    }
    fn produce(many: *Many, which: usize) void {
        many.noting(produces, which);
    }
    fn consume(many: *Many, which: usize) void {
        many.noting(consumes, which);
    }
};
const many_channels = 4;

const End = enum { when_all_are_sent, early, from_the_receivers };

fn manyAtOnce(end: End) !void {
    errdefer tellSeed();
    const many = try gpa.create(Many);
    defer gpa.destroy(many);
    many.* = .{ .channels = undefined };
    for (&many.channels, [_]usize{ 0, 1, 7, gomax.unbounded }) |*ch, room| ch.* = try .init(room);
    defer for (many.channels) |ch| ch.deinit();

    var receiving: gomax.WaitGroup = .{};
    try many.sending.add(producers);
    var threads: [3]std.Thread = undefined;
    for (0..producers - 2) |i| try gomax.goDetached(Many.produce, .{ many, i });
    for (0..consumers - 1) |i| try receiving.go(Many.consume, .{ many, i });
    threads[0] = try .spawn(.{}, Many.produce, .{ many, producers - 2 });
    threads[1] = try .spawn(.{}, Many.produce, .{ many, producers - 1 });
    threads[2] = try .spawn(.{}, Many.consume, .{ many, consumers - 1 });

    switch (end) {
        .when_all_are_sent => {
            try many.sending.wait();
            for (many.channels) |ch| ch.close();
        },
        .early => {
            try many.isUnderWay();
            for (many.channels) |ch| ch.close();
        },
        .from_the_receivers => {
            try many.isUnderWay();
            for (many.channels) |ch| ch.closeDrop(many, Many.takes);
        },
    }
    try many.sending.wait();
    try receiving.wait();
    for (threads) |thread| try gomax.blocking(std.Thread.join, .{thread});

    try expect(!many.failed.load(.monotonic));
    for (&many.sent, &many.received) |*sent, *received|
        try expectEqual(sent.load(.monotonic), received.load(.monotonic)); // none lost, none twice
}

fn atAllEnds() !void {
    for (0..3) |_| for (std.enums.values(End)) |end| try manyAtOnce(end);
}

test "channels and select, many Gs and threads" {
    try onG(atAllEnds);
}
