//! Cancelation points of std.Io on tokens of the library.
//!
//! The two count differently. A token that is canceled ends every wait under it from then on. A request of std.Io ends
//! one wait, the next; later ones last until their event, unless the task asks for the request again (`recancel`).
//! So a goroutine remembers for which token it has returned `error.Canceled`: it has acknowledged that token. Waits
//! under a token that is acknowledged, and those of a goroutine that is protected, are made behind a shield.
//!
//! The two values are goroutine's own, under keys of the library, and so each is read and written by one goroutine
//! only. They concern calls of std.Io: the other calls of the library keep to the token, as they do without std.Io.
//!
//! Invariant: each `begin` and `shielded` is followed by one `end` or `ended` on the same goroutine.
const std = @import("std");
const c = @import("../c.zig");
const status = @import("../status.zig");
const Io = std.Io;

var once: c.gmx_once = .{};
var made: c.Status = c.GMX_OK;
/// Of the token that the goroutine has acknowledged.
var acknowledged_key: c.Key = 0;
/// Is not null in a goroutine that is protected.
var protected_key: c.Key = 0;

/// Makes the keys, once in a process.
pub fn prepare() status.Error!void {
    try status.check(c.gmx_once_do(&once, make, null));
    return status.check(made);
}

fn make(_: ?*anyopaque) callconv(.c) void {
    made = c.gmx_key_create(null, &acknowledged_key);
    if (made == c.GMX_OK) made = c.gmx_key_create(null, &protected_key);
}

fn acknowledged(token: c.Cancel) bool {
    return @intFromPtr(c.gmx_key_get(acknowledged_key)) == token;
}

fn acknowledge(token: c.Cancel) void {
    // Where there is no memory for it, the next wait returns error.Canceled once more.
    _ = c.gmx_key_set(acknowledged_key, @ptrFromInt(token));
}

fn protected() bool {
    return c.gmx_key_get(protected_key) != null;
}

/// Whether the calling goroutine has returned `error.Canceled` for its token.
pub fn isAcknowledged() bool {
    const token = c.gmx_cancel_current();
    return token != 0 and acknowledged(token);
}

/// One wait of the caller.
pub const Wait = struct {
    shielded: bool,

    /// Begins a wait that is a cancelation point: a request that is there already ends it before it begins.
    pub fn begin() Io.Cancelable!Wait {
        const token = c.gmx_cancel_current();
        if (token == 0) return .{ .shielded = false };
        if (protected() or acknowledged(token)) return shield();
        if (c.gmx_cancel_is_canceled(token)) {
            acknowledge(token);
            return error.Canceled;
        }
        return .{ .shielded = false };
    }

    /// Begins a wait that no request ends.
    pub fn shield() Wait {
        return .{ .shielded = c.gmx_cancel_shield() == c.GMX_OK };
    }

    pub fn end(wait: Wait) void {
        if (wait.shielded) status.must("Io", c.gmx_cancel_unshield());
    }

    /// Ends it. `error.Canceled`: a request did.
    pub fn ended(wait: Wait, s: c.Status) Io.Cancelable!c.Status {
        wait.end();
        if (s != c.GMX_ECANCELED or wait.shielded) return s;
        acknowledge(c.gmx_cancel_current());
        return error.Canceled;
    }
};

pub fn check() Io.Cancelable!void {
    const wait: Wait = try .begin();
    wait.end();
}

pub fn recancel() void {
    _ = c.gmx_key_set(acknowledged_key, null);
}

pub fn swapProtection(new: Io.CancelProtection) Io.CancelProtection {
    const old: Io.CancelProtection = if (protected()) .blocked else .unblocked;
    const value: ?*anyopaque = if (new == .blocked) @ptrCast(&protected_key) else null;
    if (old != new) _ = c.gmx_key_set(protected_key, value); // a thread without a goroutine is never canceled
    return old;
}

/// After a wait whose caller looks again in any case. A caller that cannot wait would do so forever.
pub fn waited(s: c.Status) void {
    switch (s) {
        c.GMX_OK, c.GMX_EAGAIN, c.GMX_ETIMEDOUT => {},
        c.GMX_ENOMEM => _ = c.gmx_yield(), // until there is some
        else => status.wrong("Io", s),
    }
}
