//! Children and the standard error of std.Io.
const std = @import("std");
const c = @import("../c.zig");
const cancel = @import("cancel.zig");
const delegate = @import("delegate.zig");
const status = @import("../status.zig");
const Io = std.Io;
const Child = std.process.Child;
const linux = std.os.linux;

/// Waits until the child has ended, and leaves it to be reaped. Where the system has no descriptors for processes the
/// caller reaps it at once, on a thread of its own for so long.
fn waitForEnd(child: *const Child, waiting: cancel.Wait) Io.Cancelable!void {
    const rc = linux.pidfd_open(child.id.?, 0);
    if (linux.errno(rc) != .SUCCESS) return waiting.end();
    const fd: i32 = @intCast(rc);
    defer Io.Threaded.closeFd(fd);
    var ready: u32 = 0;
    _ = try waiting.ended(c.gmx_wait_fd(fd, c.GMX_POLL_IN, c.GMX_FOREVER, &ready));
}

/// After `error.Canceled` the child is as it was: `kill` or `wait` ends it.
pub fn wait(u: ?*anyopaque, child: *Child) Child.WaitError!Child.Term {
    try waitForEnd(child, try .begin());
    const old = cancel.swapProtection(.blocked); // it has ended: nothing is waited for
    defer _ = cancel.swapProtection(old);
    return delegate.call("childWait", .{ u, child });
}

pub fn kill(u: ?*anyopaque, child: *Child) void {
    if (child.id) |pid| {
        _ = linux.kill(pid, .TERM);
        waitForEnd(child, .shield()) catch unreachable; // no request ends it
    }
    delegate.call("childKill", .{ u, child });
}

/// The standard error, for one goroutine or thread at a time, which may lock it again.
pub const Stderr = struct {
    mutex: c.gmx_rmutex = .{},
    writer: Io.File.Writer = undefined,
    mode: Io.Terminal.Mode = .no_color,
    known: bool = false,

    pub fn lock(stderr: *Stderr, io: Io, threaded: *Io.Threaded, mode: ?Io.Terminal.Mode) Io.Cancelable!Io.LockedStderr {
        try cancel.check();
        const s = c.gmx_rmutex_lock(&stderr.mutex, c.GMX_FOREVER);
        if (s != c.GMX_OK) status.wrong("Io.lockStderr", s);
        return stderr.locked(io, threaded, mode);
    }

    pub fn tryLock(stderr: *Stderr, io: Io, threaded: *Io.Threaded, mode: ?Io.Terminal.Mode) Io.Cancelable!?Io.LockedStderr {
        if (c.gmx_rmutex_try_lock(&stderr.mutex) != c.GMX_OK) return null;
        return try stderr.locked(io, threaded, mode);
    }

    fn locked(stderr: *Stderr, io: Io, threaded: *Io.Threaded, mode: ?Io.Terminal.Mode) Io.Cancelable!Io.LockedStderr {
        errdefer _ = c.gmx_rmutex_unlock(&stderr.mutex);
        if (!stderr.known) {
            stderr.writer = .initStreaming(.stderr(), io, &.{});
            _ = threaded.environString("PATH"); // reads the environment
            const exist = threaded.environ.exist;
            stderr.mode = mode orelse try .detect(io, stderr.writer.file, exist.NO_COLOR, exist.CLICOLOR_FORCE);
            stderr.known = true;
        }
        return .{ .file_writer = &stderr.writer, .terminal_mode = mode orelse stderr.mode };
    }

    pub fn unlock(stderr: *Stderr) void {
        const w = &stderr.writer;
        if (w.err == null) w.interface.flush() catch {};
        if (w.err) |err| if (err == error.Canceled) cancel.recancel();
        w.err = null;
        w.interface.end = 0;
        w.interface.buffer = &.{};
        status.must("Io.unlockStderr", c.gmx_rmutex_unlock(&stderr.mutex));
    }
};
