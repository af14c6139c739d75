//! Channels of one type, and select over several.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const Error = status.Error;

/// What `Channel.waiters` tells. A select counts once for each of its cases.
pub const Waiters = struct { senders: usize, receivers: usize };

/// A capacity: sends never wait for room; `error.OutOfMemory` if there is no memory for a value.
pub const unbounded: usize = c.GMX_UNBOUNDED;

/// A channel of `T`, which is copied by its bytes. Copies of this handle are the same channel; there is one reference
/// for each `init` and `ref`, to be given back by `deinit`.
pub fn Channel(comptime T: type) type {
    return struct {
        const Self = @This();
        raw: ?*c.Chan,

        /// Room for so many values; 0: sender and receiver meet; `unbounded`.
        pub fn init(capacity: usize) Error!Self {
            var raw: ?*c.Chan = null;
            try status.check(c.gmx_chan_new(@sizeOf(T), capacity, &raw));
            return .{ .raw = raw };
        }

        /// One more reference, for another who will call `deinit`.
        pub fn ref(ch: Self) Error!Self {
            try status.check(c.gmx_chan_ref(ch.raw));
            return ch;
        }

        /// Gives a reference back; the last one frees the channel. Nothing happens while somebody waits there.
        pub fn deinit(ch: Self) void {
            _ = c.gmx_chan_free(ch.raw);
        }

        pub fn send(ch: Self, value: T) Error!void {
            return status.check(c.gmx_chan_send(ch.raw, @ptrCast(&value)));
        }
        /// Waits at most so many nanoseconds: `error.Timeout`.
        pub fn sendTimeout(ch: Self, value: T, ns: ?i64) Error!void {
            return status.check(c.gmx_chan_send_timeout(ch.raw, @ptrCast(&value), c.limit(ns)));
        }
        /// `error.WouldBlock` if it would have to wait.
        pub fn trySend(ch: Self, value: T) Error!void {
            return status.check(c.gmx_chan_try_send(ch.raw, @ptrCast(&value)));
        }

        /// `error.Closed` when it is closed and empty.
        pub fn recv(ch: Self) Error!T {
            var value: T = undefined;
            try status.check(c.gmx_chan_recv(ch.raw, @ptrCast(&value)));
            return value;
        }
        pub fn recvTimeout(ch: Self, ns: ?i64) Error!T {
            var value: T = undefined;
            try status.check(c.gmx_chan_recv_timeout(ch.raw, @ptrCast(&value), c.limit(ns)));
            return value;
        }
        pub fn tryRecv(ch: Self) Error!T {
            var value: T = undefined;
            try status.check(c.gmx_chan_try_recv(ch.raw, @ptrCast(&value)));
            return value;
        }

        /// The next value, or null when the channel is closed and empty: `while (try ch.next()) |value|`.
        pub fn next(ch: Self) Error!?T {
            return ch.recv() catch |err| if (err == error.Closed) null else err;
        }

        /// Nothing can be sent any more; what is in it can be received. A second close has no effect.
        pub fn close(ch: Self) void {
            _ = c.gmx_chan_close(ch.raw);
        }

        /// Closes it from the receivers' side: each value that is left in it goes to `drop` (null: is forgotten), and
        /// receivers get `error.Closed` at once. So it is with one that is closed already.
        pub fn closeDrop(ch: Self, comptime drop: ?fn (value: T) void) void {
            const each = struct {
                fn f(_: ?*anyopaque, elem: ?*anyopaque) callconv(.c) void {
                    drop.?(@as(*align(1) const T, @ptrCast(elem.?)).*);
                }
            };
            _ = c.gmx_chan_close_drop(ch.raw, if (drop == null) null else each.f, null);
        }

        pub fn len(ch: Self) usize {
            return c.gmx_chan_len(ch.raw);
        }
        pub fn cap(ch: Self) usize {
            return c.gmx_chan_cap(ch.raw);
        }
        /// Values that are left in a closed channel can still be received.
        pub fn isClosed(ch: Self) bool {
            return c.gmx_chan_is_closed(ch.raw);
        }
        /// How many goroutines and threads wait there: for tests and metrics.
        pub fn waiters(ch: Self) Error!Waiters {
            var n: Waiters = undefined;
            try status.check(c.gmx_chan_waiters(ch.raw, &n.senders, &n.receivers));
            return n;
        }

        /// Cases for `select`.
        pub fn onRecv(ch: Self) Recv(T) {
            return .{ .raw = ch.raw };
        }
        pub fn onSend(ch: Self, value: T) Send(T) {
            return .{ .raw = ch.raw, .value = value };
        }
    };
}

fn Recv(comptime T: type) type {
    return struct {
        raw: ?*c.Chan,
        const op = c.GMX_CASE_RECV;
        const Value = T;
        /// null: the channel is closed
        const Outcome = ?T;
    };
}

fn Send(comptime T: type) type {
    return struct {
        raw: ?*c.Chan,
        value: T,
        const op = c.GMX_CASE_SEND;
        const Value = T;
        const Outcome = error{Closed}!void;
    };
}

/// What select over a struct of cases gives: a union with a field for each.
pub fn Chosen(comptime Cases: type) type {
    const info = @typeInfo(Cases).@"struct";
    var outcomes: [info.field_names.len]type = undefined;
    for (info.field_types, &outcomes) |Case, *outcome| outcome.* = Case.Outcome;
    const Tag = std.meta.FieldEnum(Cases);
    return @Union(.auto, Tag, info.field_names, &outcomes, &@splat(.{}));
}

/// Does one of the cases, waiting until one can be done:
///
///     switch (try gomax.select(.{ .job = jobs.onRecv(), .out = results.onSend(r) })) {
///         .job => |job| ..., // null: jobs is closed
///         .out => |sent| try sent, // error.Closed: results is closed
///     }
pub fn select(cases: anytype) Error!Chosen(@TypeOf(cases)) {
    return selectTimeout(null, cases);
}

/// As `select`, without waiting: `error.WouldBlock` if no case can be done.
pub fn trySelect(cases: anytype) Error!Chosen(@TypeOf(cases)) {
    return selectTimeout(0, cases) catch |err| if (err == error.Timeout) error.WouldBlock else err;
}

/// As `select`, for at most so many nanoseconds: `error.Timeout`.
pub fn selectTimeout(ns: ?i64, cases: anytype) Error!Chosen(@TypeOf(cases)) {
    const Cases = @TypeOf(cases);
    const info = @typeInfo(Cases).@"struct";
    const names = info.field_names;

    // A place for each value, to be sent or to be received, that stays where it is during the wait.
    const Values = comptime values: {
        var types: [names.len]type = undefined;
        for (info.field_types, &types) |Case, *T| T.* = Case.Value;
        break :values @Struct(.auto, null, names, &types, &@splat(.{}));
    };
    var values: Values = undefined;
    var raw: [names.len]c.gmx_select_case = undefined;
    inline for (names, info.field_types, 0..) |name, Case, i| {
        const case = @field(cases, name);
        if (Case.op == c.GMX_CASE_SEND) @field(values, name) = case.value;
        raw[i] = .{ .chan = case.raw, .elem = @ptrCast(&@field(values, name)), .op = Case.op };
    }

    var chosen: usize = undefined;
    const result = c.gmx_select(&raw, raw.len, c.limit(ns), &chosen);
    const closed = result == c.GMX_ECLOSED;
    if (!closed) try status.check(result);
    inline for (names, info.field_types, 0..) |name, Case, i| {
        if (i == chosen) return @unionInit(Chosen(Cases), name, if (Case.op == c.GMX_CASE_SEND)
            (if (closed) error.Closed else {})
        else
            (if (closed) null else @field(values, name)));
    }
    unreachable; // the library says which of the cases it did
}

/// A channel that gets the time of `now` once, after so many nanoseconds; null: never. `deinit` at any moment ends its timer too.
pub fn afterChannel(delay: ?i64) Error!Channel(i64) {
    var raw: ?*c.Chan = null;
    try status.check(c.gmx_after(c.limit(delay), &raw));
    return .{ .raw = raw };
}

/// A timer with a channel, which gets the time of `now` when it fires.
pub const Timer = struct {
    raw: c.Timer,
    ch: Channel(i64),

    /// Fires once, after so many nanoseconds; null: not before `reset`.
    pub fn init(delay: ?i64) Error!Timer {
        return create(c.limit(delay), 0);
    }

    /// Fires every so many nanoseconds. Who is slow loses some.
    pub fn ticker(period: i64) Error!Timer {
        if (period <= 0) return error.Invalid;
        return create(period, period);
    }

    fn create(delay: i64, period: i64) Error!Timer {
        var raw: c.Timer = 0;
        var ch: ?*c.Chan = null;
        try status.check(c.gmx_timer_new(delay, period, &raw, &ch));
        return .{ .raw = raw, .ch = .{ .raw = ch } };
    }

    pub fn deinit(timer: Timer) void {
        _ = c.gmx_timer_free(timer.raw, null);
        timer.ch.deinit();
    }

    /// Both return whether they prevented something: no time of before can be received afterwards.
    pub fn stop(timer: Timer) Error!bool {
        var stopped = false;
        try status.check(c.gmx_timer_stop(timer.raw, &stopped));
        return stopped;
    }
    pub fn reset(timer: Timer, delay: ?i64, period: i64) Error!bool {
        var stopped = false;
        try status.check(c.gmx_timer_reset(timer.raw, c.limit(delay), period, &stopped));
        return stopped;
    }
};
