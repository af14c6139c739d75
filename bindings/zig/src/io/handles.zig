//! Descriptors and their handles.
//!
//! std.Io names files and sockets by the number of their descriptor; the library waits by handles. A table leads from
//! the number to the handle of what this backend has opened. It is the process's, as the numbers are.
//!
//! - A descriptor that is not in the table (the standard streams, pipes of children, what other code has opened) gets
//!   a borrowed handle for the time of one call.
//! - Sockets in the table belong to their handle. Files are borrowed, so that their O_NONBLOCK stays as it is.
//! - A number is in the table from `keep` until `forget`, which closing it by this backend calls. A descriptor that
//!   was closed by other means leaves a handle that is not valid for the next descriptor of this number: `keep`
//!   replaces it, so that it matters only to a number that did not come from this backend.
const std = @import("std");
const c = @import("../c.zig");
const cancel = @import("cancel.zig");
const posix = std.posix;
const Io = std.Io;

const per_block = 1024;
const Slot = std.atomic.Value(c.Poll);
const Block = [per_block]Slot;
/// Blocks are made when the first number of theirs is kept, and stay.
var blocks: [4096]std.atomic.Value(?*Block) = @splat(.init(null));

fn slot(fd: posix.fd_t) ?*Slot {
    const n: usize = @intCast(fd);
    if (n / per_block >= blocks.len) return null;
    const block = blocks[n / per_block].load(.acquire) orelse return null; // of the release in made
    return &block[n % per_block];
}

fn made(fd: posix.fd_t) ?*Slot {
    if (slot(fd)) |there| return there;
    const n: usize = @intCast(fd);
    if (n / per_block >= blocks.len) return null;
    const block = std.heap.c_allocator.create(Block) catch return null;
    block.* = @splat(.init(0));
    if (blocks[n / per_block].cmpxchgStrong(null, block, .release, .monotonic) != null) std.heap.c_allocator.destroy(block);
    return slot(fd);
}

/// Opens a handle for a descriptor of this backend and keeps it. Where that fails, the descriptor has none, and its
/// calls borrow.
pub fn open(fd: posix.fd_t, flags: u32) void {
    forget(fd);
    var p: c.Poll = 0;
    if (c.gmx_poll_open(fd, flags, &p) == c.GMX_OK) keep(fd, p);
}

pub fn keep(fd: posix.fd_t, p: c.Poll) void {
    const s = made(fd) orelse return release(p);
    const old = s.swap(p, .acq_rel);
    if (old != 0) release(old);
}

/// Ends the handle of a descriptor, which stays open. Each call that waits there ends.
pub fn forget(fd: posix.fd_t) void {
    const s = slot(fd) orelse return;
    const old = s.swap(0, .acq_rel);
    if (old != 0) release(old);
}

fn release(p: c.Poll) void {
    var fd: i32 = 0;
    _ = c.gmx_poll_release(p, &fd);
}

pub fn close(fd: posix.fd_t) void {
    forget(fd);
    Io.Threaded.closeFd(fd);
}

/// `call(handle, args...)`, as a cancelation point. `error.Canceled`: it has done nothing.
pub fn on(fd: posix.fd_t, comptime call: anytype, args: anytype) Io.Cancelable!c.Status {
    return onPartly(fd, call, args, &0);
}

/// As `on`, for a call that writes to `done` what it has done. A request that ends it in the middle stays for the
/// next cancelation point.
pub fn onPartly(fd: posix.fd_t, comptime call: anytype, args: anytype, done: *const usize) Io.Cancelable!c.Status {
    const wait: cancel.Wait = try .begin();
    const s = callOn(fd, call, args);
    if (done.* != 0) {
        wait.end();
        return s;
    }
    return wait.ended(s);
}

fn callOn(fd: posix.fd_t, comptime call: anytype, args: anytype) c.Status {
    if (slot(fd)) |there| {
        const p = there.load(.acquire);
        if (p != 0) return @call(.auto, call, .{p} ++ args);
    }
    var p: c.Poll = 0;
    const s = c.gmx_poll_open(fd, c.GMX_POLL_BORROW, &p);
    if (s != c.GMX_OK) return s;
    defer release(p);
    return @call(.auto, call, .{p} ++ args);
}
