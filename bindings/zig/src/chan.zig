//! Channels of one type.
const c = @import("c.zig");
const status = @import("status.zig");
const selects = @import("select.zig");
const Error = status.Error;

/// What `Channel.waiters` tells. A select counts once for each of its cases.
pub const Waiters = struct { senders: usize, receivers: usize };

/// A capacity: sends never wait for room; `error.OutOfMemory` if there is no memory for a value.
pub const unbounded: usize = c.GMX_UNBOUNDED;

/// A channel of `T`, which is copied by its bytes. Copies of this handle are the same channel; there is one reference
/// for each `init` and `ref`, to be given back by `deinit`. The handle `.{ .raw = null }` is a channel that is never
/// ready.
///
/// A value that owns something belongs to its receiver once it was received, and stays the sender's where a send
/// fails. A channel that is freed forgets what is in it, so what owns memory has to be taken out before:
///
///     ch.close();
///     while (try ch.next()) |value| gpa.free(value); // does not wait: the channel is closed
///     ch.deinit();
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

        /// One more reference, for another user of the channel, which calls `deinit` too.
        pub fn ref(ch: Self) Error!Self {
            status.defined("Channel.ref", &ch);
            try status.check(c.gmx_chan_ref(ch.raw));
            return ch;
        }

        /// Gives a reference back; the last one frees the channel, and forgets the values in it. It is a wrong call
        /// while a goroutine or thread waits there that relies on this reference: nothing is freed then.
        pub fn deinit(ch: Self) void {
            status.defined("Channel.deinit", &ch);
            status.must("Channel.deinit", c.gmx_chan_free(ch.raw));
        }

        pub fn send(ch: Self, value: T) Error!void {
            status.defined("Channel.send", &ch);
            return status.check(c.gmx_chan_send(ch.raw, @ptrCast(&value)));
        }
        /// Waits at most so many nanoseconds: `error.Timeout`.
        pub fn sendTimeout(ch: Self, value: T, ns: ?i64) Error!void {
            status.defined("Channel.sendTimeout", &ch);
            return status.check(c.gmx_chan_send_timeout(ch.raw, @ptrCast(&value), status.limit(ns)));
        }
        /// `error.WouldBlock` if it would have to wait.
        pub fn trySend(ch: Self, value: T) Error!void {
            status.defined("Channel.trySend", &ch);
            return status.check(c.gmx_chan_try_send(ch.raw, @ptrCast(&value)));
        }

        /// `error.Closed` when it is closed and empty.
        pub fn recv(ch: Self) Error!T {
            status.defined("Channel.recv", &ch);
            var value: T = undefined;
            try status.check(c.gmx_chan_recv(ch.raw, @ptrCast(&value)));
            return value;
        }
        pub fn recvTimeout(ch: Self, ns: ?i64) Error!T {
            status.defined("Channel.recvTimeout", &ch);
            var value: T = undefined;
            try status.check(c.gmx_chan_recv_timeout(ch.raw, @ptrCast(&value), status.limit(ns)));
            return value;
        }
        pub fn tryRecv(ch: Self) Error!T {
            status.defined("Channel.tryRecv", &ch);
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
            ch.tryClose() catch {};
        }

        /// As `close`, for the caller that has to know whether it was the first: `error.Closed` if it was not.
        pub fn tryClose(ch: Self) error{Closed}!void {
            status.defined("Channel.close", &ch);
            const s = c.gmx_chan_close(ch.raw);
            if (s == c.GMX_ECLOSED) return error.Closed;
            status.must("Channel.close", s);
        }

        /// Closes it from the receivers' side: `drop(context, value)` gets each value that is left in it, and
        /// receivers get `error.Closed` at once. So it is with one that is closed already. `drop` must not use the
        /// channel.
        ///
        ///     defer ch.closeDrop(gpa, std.mem.Allocator.free);
        pub fn closeDrop(ch: Self, context: anytype, comptime drop: anytype) void {
            const Context = @TypeOf(context);
            const each = struct {
                fn f(arg: ?*anyopaque, elem: ?*anyopaque) callconv(.c) void {
                    const at: *const Context = @ptrCast(@alignCast(arg));
                    drop(at.*, @as(*align(1) const T, @ptrCast(elem.?)).*);
                }
            };
            status.defined("Channel.closeDrop", &ch);
            var copy = context;
            status.must("Channel.closeDrop", c.gmx_chan_close_drop(ch.raw, each.f, @ptrCast(&copy)));
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
        pub fn onRecv(ch: Self) selects.Recv(T) {
            status.defined("Channel.onRecv", &ch);
            return .{ .raw = ch.raw };
        }
        pub fn onSend(ch: Self, value: T) selects.Send(T) {
            status.defined("Channel.onSend", &ch);
            return .{ .raw = ch.raw, .value = value };
        }

        /// Cases for `selectSlice`, with a place for the value that the caller keeps as long as the case.
        pub fn onRecvInto(ch: Self, value: *T) selects.Case {
            status.defined("Channel.onRecvInto", &ch);
            return .{ .raw = .{ .chan = ch.raw, .elem = @ptrCast(value), .op = c.GMX_CASE_RECV } };
        }
        pub fn onSendFrom(ch: Self, value: *const T) selects.Case {
            status.defined("Channel.onSendFrom", &ch);
            return .{ .raw = .{ .chan = ch.raw, .elem = @ptrCast(@constCast(value)), .op = c.GMX_CASE_SEND } };
        }
    };
}
