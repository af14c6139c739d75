//! Select: waiting at several channels for what can be done first.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const Error = status.Error;

pub fn Recv(comptime T: type) type {
    return struct {
        raw: ?*c.Chan,
        const op = c.GMX_CASE_RECV;
        const Value = T;
        /// null: the channel is closed
        const Outcome = ?T;
    };
}

pub fn Send(comptime T: type) type {
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
    for (info.field_types, &outcomes) |Each, *outcome| outcome.* = Each.Outcome;
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
        for (info.field_types, &types) |Each, *T| T.* = Each.Value;
        break :values @Struct(.auto, null, names, &types, &@splat(.{}));
    };
    var values: Values = undefined;
    var raw: [names.len]c.gmx_select_case = undefined;
    inline for (names, info.field_types, 0..) |name, Each, i| {
        const case = @field(cases, name);
        if (Each.op == c.GMX_CASE_SEND) @field(values, name) = case.value;
        raw[i] = .{ .chan = case.raw, .elem = @ptrCast(&@field(values, name)), .op = Each.op };
    }

    const chosen = try selectRaw(ns, &raw);
    inline for (names, info.field_types, 0..) |name, Each, i| {
        if (i == chosen.index) return @unionInit(Chosen(Cases), name, if (Each.op == c.GMX_CASE_SEND)
            (if (chosen.closed) error.Closed else {})
        else
            (if (chosen.closed) null else @field(values, name)));
    }
    unreachable; // the library says which of the cases it did
}

/// A case of `selectSlice`: `Channel.onRecvInto` and `Channel.onSendFrom` make it. It may be used again, by one call
/// at a time.
pub const Case = extern struct {
    raw: c.gmx_select_case,

    /// Takes the place of a case whose channel is closed, so that the indices of the others stay.
    pub const never: Case = .{ .raw = .{ .chan = null, .elem = null, .op = c.GMX_CASE_RECV } };
};

/// Which case was done. `closed`: by its channel's end; nothing was received or sent.
pub const Index = struct { index: usize, closed: bool };

/// As `select`, over cases whose number is known at run time only:
///
///     for (channels, values, cases) |ch, *value, *case| case.* = ch.onRecvInto(value);
///     const chosen = try gomax.selectSlice(cases);
///     if (!chosen.closed) use(values[chosen.index]);
///
/// Without a case none is ready, ever.
pub fn selectSlice(cases: []Case) Error!Index {
    return selectSliceTimeout(null, cases);
}

/// As `selectSlice`, without waiting: `error.WouldBlock` if no case can be done.
pub fn trySelectSlice(cases: []Case) Error!Index {
    return selectSliceTimeout(0, cases) catch |err| if (err == error.Timeout) error.WouldBlock else err;
}

/// As `selectSlice`, for at most so many nanoseconds: `error.Timeout`.
pub fn selectSliceTimeout(ns: ?i64, cases: []Case) Error!Index {
    return selectRaw(ns, @ptrCast(cases));
}

fn selectRaw(ns: ?i64, cases: []c.gmx_select_case) Error!Index {
    var index: usize = undefined;
    const s = c.gmx_select(if (cases.len == 0) null else cases.ptr, cases.len, status.limit(ns), &index);
    if (s == c.GMX_ECLOSED) return .{ .index = index, .closed = true };
    try status.check(s);
    return .{ .index = index, .closed = false };
}
