//! Several operations at once: poll(2) for goroutines, then each that is ready, as std.Io.Threaded does.
//!
//! An operation stays in the list `submitted` until it is done, and `pending` stays empty. So nothing has to be ended
//! by `batchCancel`: std.Io takes what is left in `submitted` itself.
const std = @import("std");
const c = @import("../c.zig");
const cancel = @import("cancel.zig");
const clock = @import("clock.zig");
const Io = std.Io;
const posix = std.posix;
const POLL = posix.POLL;

fn interest(operation: Io.Operation) posix.pollfd {
    return switch (operation) {
        .file_read_streaming => |o| .{ .fd = o.file.handle, .events = POLL.IN, .revents = 0 },
        .file_write_streaming => |o| .{ .fd = o.file.handle, .events = POLL.OUT, .revents = 0 },
        .device_io_control => |o| .{ .fd = o.file.handle, .events = POLL.IN | POLL.OUT, .revents = 0 },
        .net_receive => |o| .{ .fd = o.socket_handle, .events = POLL.IN, .revents = 0 },
        .net_send => |o| .{ .fd = o.socket_handle, .events = POLL.OUT, .revents = 0 },
        .net_read => |o| .{ .fd = o.socket_handle, .events = POLL.IN, .revents = 0 },
        .net_write => |o| .{ .fd = o.socket_handle, .events = POLL.OUT, .revents = 0 },
    };
}

/// Does an operation of `submitted`, and moves it to `completed`. `previous` is the one before it.
fn do(io: Io, b: *Io.Batch, index: Io.Operation.OptionalIndex, previous: Io.Operation.OptionalIndex) Io.Cancelable!void {
    const storage = &b.storage[index.toIndex()];
    const next = storage.submission.node.next;
    const result = try io.vtable.operate(io.userdata, storage.submission.operation);
    if (previous == .none) b.submitted.head = next else b.storage[previous.toIndex()].submission.node.next = next;
    if (next == .none) b.submitted.tail = previous;
    if (b.completed.tail == .none) b.completed.head = index else b.storage[b.completed.tail.toIndex()].completion.node.next = index;
    b.completed.tail = index;
    storage.* = .{ .completion = .{ .node = .{ .next = .none }, .result = result } };
}

fn waitFor(io: Io, b: *Io.Batch, fds: []posix.pollfd, timeout: Io.Timeout) Io.Batch.AwaitConcurrentError!void {
    var index = b.submitted.head;
    for (fds) |*fd| {
        const submission = &b.storage[index.toIndex()].submission;
        fd.* = interest(submission.operation);
        index = submission.node.next;
    }
    const wait: cancel.Wait = try .begin();
    const ns: i64 = if (b.completed.head != .none) 0 else clock.left(timeout);
    const s = try wait.ended(c.gmx_poll_many(fds.ptr, fds.len, ns));
    if (s == c.GMX_ETIMEDOUT) return if (b.completed.head != .none) {} else error.Timeout;
    if (s < 0) return error.ConcurrencyUnavailable;
    index = b.submitted.head;
    var previous: Io.Operation.OptionalIndex = .none;
    for (fds) |fd| {
        const next = b.storage[index.toIndex()].submission.node.next;
        if (fd.revents != 0) try do(io, b, index, previous) else previous = index;
        index = next;
    }
}

fn submitted(b: *const Io.Batch) usize {
    var n: usize = 0;
    var index = b.submitted.head;
    while (index != .none) : (index = b.storage[index.toIndex()].submission.node.next) n += 1;
    return n;
}

pub fn awaitConcurrent(io: Io, gpa: std.mem.Allocator, b: *Io.Batch, timeout: Io.Timeout) Io.Batch.AwaitConcurrentError!void {
    var few: [32]posix.pollfd = undefined;
    const n = submitted(b);
    if (n == 0) return cancel.check();
    if (n <= few.len) return waitFor(io, b, few[0..n], timeout);
    const many = gpa.alloc(posix.pollfd, n) catch return error.ConcurrencyUnavailable;
    defer gpa.free(many);
    return waitFor(io, b, many, timeout);
}

/// One operation, and all where the system cannot wait for several, are done one after the other.
pub fn awaitAsync(io: Io, gpa: std.mem.Allocator, b: *Io.Batch) Io.Cancelable!void {
    if (submitted(b) > 1) return awaitConcurrent(io, gpa, b, .none) catch |err| switch (err) {
        error.Timeout => unreachable, // there is none
        error.ConcurrencyUnavailable => all(io, b),
        error.Canceled => |e| e,
    };
    return all(io, b);
}

fn all(io: Io, b: *Io.Batch) Io.Cancelable!void {
    while (b.submitted.head != .none) try do(io, b, b.submitted.head, .none);
}
