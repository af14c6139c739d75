//! Signals of the process as values in channels.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const Channel = @import("chan.zig").Channel;

/// `signo` is the signal's number; `count` is how many have come in quick succession.
pub const SignalInfo = c.gmx_siginfo;

/// Has the channel get each of these signals from now on, also where its default would end the process. The library
/// does not wait: give the channel room for one of each, or `gomax.unbounded`.
///
///     const stop: gomax.Channel(gomax.SignalInfo) = try .init(2);
///     defer stop.deinit();
///     try gomax.notify(stop, &.{ .INT, .TERM });
///     defer gomax.stopNotify(stop);
///     _ = try stop.recv();
pub fn notify(ch: Channel(SignalInfo), signals: []const std.posix.SIG) status.Error!void {
    comptime std.debug.assert(@sizeOf(std.posix.SIG) == @sizeOf(i32));
    return status.check(c.gmx_signal_notify(ch.raw, @ptrCast(signals.ptr), signals.len));
}

/// The channel gets no more; what has come before is in it. The host's handler, or the default, is back where no other
/// channel gets the signal.
pub fn stopNotify(ch: Channel(SignalInfo)) void {
    status.must("stopNotify", c.gmx_signal_stop(ch.raw));
}
