//! Tasks of std.Io: futures and groups.
//!
//! A task is a goroutine with a token of its own. Its context and its result are in one piece of memory, behind the
//! header. Where there is no memory for a task, `async` runs the function in the caller, as std.Io allows.
//!
//! A future. The goroutine is joinable. `await` and `cancel` join it, copy the result, and free the memory; so the
//! goroutine writes nothing there after its end.
//!
//! A group. Its token points to the members, which the first task makes, and `await` and `cancel` free.
//!   G1 A task is linked and its goroutine started under the lock, so that every linked task has its handle.
//!   G2 A task that ends unlinks itself under the lock, frees itself, and then takes one from the count. From there
//!      on it has only the address of the count, for the wake.
//!   G3 The caller that waits for the group sees the count at 0, takes the token from the group, and frees the members.
//!   G4 A cancelation sets `canceled` under the lock and cancels the linked tasks; a task that is started later finds
//!      `canceled` and is canceled at once.
//! A task may be added while another caller waits only as long as the group cannot end meanwhile: this is std.Io's
//! rule, and so the count does not rise from 0 in a group that is waited for.
const std = @import("std");
const c = @import("../c.zig");
const status = @import("../status.zig");
const cancelation = @import("cancel.zig");
const Io = std.Io;
const Wait = cancelation.Wait;
const Allocator = std.mem.Allocator;
const Alignment = std.mem.Alignment;

/// Where tasks are made.
pub const Spawner = struct {
    gpa: Allocator,
    stack_size: usize,

    fn spawn(by: Spawner, flags: u32, entry: c.Fn, arg: *anyopaque, g: *c.G) Io.ConcurrentError!void {
        const opts: c.gmx_spawn_opts = .{ .flags = flags | c.GMX_SPAWN_CANCELLABLE, .stack_size = by.stack_size };
        if (c.gmx_spawn_with(&opts, entry, arg, g) != c.GMX_OK) return error.ConcurrencyUnavailable;
    }
};

/// Where the parts of a task are, behind a header `H`.
fn Layout(comptime H: type) type {
    return struct {
        const Self = @This();
        context: usize,
        result: usize,
        size: usize,
        alignment: Alignment,

        fn of(context: []const u8, context_alignment: Alignment, result_len: usize, result_alignment: Alignment) Self {
            const at_context = context_alignment.forward(@sizeOf(H));
            const at_result = result_alignment.forward(at_context + context.len);
            return .{
                .context = at_context,
                .result = at_result,
                .size = at_result + result_len,
                .alignment = context_alignment.max(result_alignment).max(.of(H)),
            };
        }

        fn create(l: Self, gpa: Allocator, context: []const u8) Io.ConcurrentError!*H {
            const memory = gpa.rawAlloc(l.size, l.alignment, @returnAddress()) orelse return error.ConcurrencyUnavailable;
            @memcpy(memory[l.context..][0..context.len], context);
            return @ptrCast(@alignCast(memory));
        }

        fn destroy(l: Self, gpa: Allocator, header: *H) void {
            gpa.rawFree(bytes(header)[0..l.size], l.alignment, @returnAddress());
        }

        fn bytes(header: *H) [*]u8 {
            return @ptrCast(header);
        }
    };
}

pub const Future = struct {
    const Parts = Layout(Future);
    gpa: Allocator,
    parts: Parts,
    start: *const fn (context: *const anyopaque, result: *anyopaque) void,
    g: c.G,
    /// Whether the task has returned `error.Canceled` from one of its waits.
    acknowledged: bool,

    pub fn create(
        by: Spawner,
        result_len: usize,
        result_alignment: Alignment,
        context: []const u8,
        context_alignment: Alignment,
        start: *const fn (context: *const anyopaque, result: *anyopaque) void,
    ) Io.ConcurrentError!*Future {
        const parts: Parts = .of(context, context_alignment, result_len, result_alignment);
        const future = try parts.create(by.gpa, context);
        errdefer parts.destroy(by.gpa, future);
        future.* = .{ .gpa = by.gpa, .parts = parts, .start = start, .g = 0, .acknowledged = false };
        try by.spawn(c.GMX_SPAWN_JOINABLE, entry, future, &future.g);
        return future;
    }

    fn entry(arg: ?*anyopaque) callconv(.c) void {
        const future: *Future = @ptrCast(@alignCast(arg));
        const memory = Parts.bytes(future);
        future.start(memory + future.parts.context, memory + future.parts.result);
        future.acknowledged = cancelation.isAcknowledged();
    }

    /// A request that reaches the caller meanwhile is passed to the task. If the task does not acknowledge it, the next
    /// cancelation point of the caller does.
    pub fn await(future: *Future, result: []u8) void {
        const joined = future.joinOrCancel();
        if (!joined) {
            future.request();
            future.join();
            if (!future.acknowledged) cancelation.recancel();
        }
        future.finish(result);
    }

    pub fn cancel(future: *Future, result: []u8) void {
        future.request();
        future.join();
        future.finish(result);
    }

    fn joinOrCancel(future: *Future) bool {
        const wait = Wait.begin() catch return false;
        const locks = c.gmx_cancel_locks(true); // so that a token ends the join
        const s = c.gmx_join(future.g, c.GMX_FOREVER);
        _ = c.gmx_cancel_locks(locks);
        const t = wait.ended(s) catch return false;
        if (t != c.GMX_OK) status.wrong("Io.Future.await", t);
        return true;
    }

    fn join(future: *Future) void {
        const s = c.gmx_join(future.g, c.GMX_FOREVER);
        if (s != c.GMX_OK) status.wrong("Io.Future.cancel", s);
    }

    fn request(future: *Future) void {
        _ = c.gmx_cancel_g(future.g, c.GMX_ECANCELED); // GMX_ESTALE: it has ended
    }

    fn finish(future: *Future, result: []u8) void {
        @memcpy(result, Parts.bytes(future)[future.parts.result..][0..result.len]);
        future.parts.destroy(future.gpa, future);
    }
};

const Members = struct {
    gpa: Allocator,
    lock: c.gmx_mutex = .{},
    first: ?*Member = null,
    canceled: bool = false,
    /// Tasks that have not ended.
    count: std.atomic.Value(u32) = .init(0),

    /// Of the group; made by the caller that comes first.
    fn of(by: Spawner, group: *Io.Group) Io.ConcurrentError!*Members {
        // acquire: the members that another caller has made
        if (group.token.load(.acquire)) |token| return @ptrCast(@alignCast(token));
        const members = by.gpa.create(Members) catch return error.ConcurrencyUnavailable;
        members.* = .{ .gpa = by.gpa };
        // release: for the acquire above and that of Io.Group.await
        const other = group.token.cmpxchgStrong(null, members, .acq_rel, .acquire) orelse return members;
        by.gpa.destroy(members);
        return @ptrCast(@alignCast(other.?));
    }

    fn acquire(m: *Members) void {
        const s = c.gmx_mutex_lock(&m.lock);
        if (s != c.GMX_OK) status.wrong("Io.Group", s);
    }

    fn release(m: *Members) void {
        status.must("Io.Group", c.gmx_mutex_unlock(&m.lock));
    }

    fn request(m: *Members) void {
        m.acquire();
        defer m.release();
        m.canceled = true;
        var next = m.first;
        while (next) |member| : (next = member.next) _ = c.gmx_cancel_g(member.g, c.GMX_ECANCELED);
    }
};

const Member = struct {
    const Parts = Layout(Member);
    members: *Members,
    parts: Parts,
    start: *const fn (context: *const anyopaque) void,
    g: c.G = 0,
    previous: ?*Member = null,
    next: ?*Member = null,

    fn entry(arg: ?*anyopaque) callconv(.c) void {
        const member: *Member = @ptrCast(@alignCast(arg));
        const members = member.members;
        member.start(Parts.bytes(member) + member.parts.context);
        {
            members.acquire();
            defer members.release();
            member.unlink();
        }
        member.parts.destroy(members.gpa, member);
        // release: what the task did is there for the caller that sees 0 (G2)
        const count = &members.count;
        if (count.fetchSub(1, .release) == 1) _ = c.gmx_wake_address(count, c.GMX_WAKE_ALL);
    }

    fn link(member: *Member) void {
        const m = member.members;
        member.next = m.first;
        if (m.first) |first| first.previous = member;
        m.first = member;
    }

    fn unlink(member: *Member) void {
        if (member.next) |next| next.previous = member.previous;
        if (member.previous) |previous| previous.next = member.next else member.members.first = member.next;
    }
};

pub fn groupConcurrent(
    by: Spawner,
    group: *Io.Group,
    context: []const u8,
    context_alignment: Alignment,
    start: *const fn (context: *const anyopaque) void,
) Io.ConcurrentError!void {
    const members = try Members.of(by, group);
    const parts: Member.Parts = .of(context, context_alignment, 0, .@"1");
    const member = try parts.create(by.gpa, context);
    errdefer parts.destroy(by.gpa, member);
    member.* = .{ .members = members, .parts = parts, .start = start };
    members.acquire(); // G1
    defer members.release();
    // monotonic: the lock, and std.Io's rule, order it before each look at the count
    _ = members.count.fetchAdd(1, .monotonic);
    errdefer _ = members.count.fetchSub(1, .monotonic);
    member.link();
    errdefer member.unlink();
    try by.spawn(0, Member.entry, member, &member.g);
    if (members.canceled) _ = c.gmx_cancel_g(member.g, c.GMX_ECANCELED); // G4
}

pub fn groupAwait(group: *Io.Group, token: *anyopaque) Io.Cancelable!void {
    const members: *Members = @ptrCast(@alignCast(token));
    var canceled = false;
    while (true) {
        const count = members.count.load(.acquire); // of the release in Member.entry
        if (count == 0) break;
        const wait = Wait.begin() catch {
            canceled = true;
            break;
        };
        const s = c.gmx_wait_on_address(&members.count, &count, @sizeOf(u32), c.GMX_FOREVER);
        cancelation.waited(wait.ended(s) catch {
            canceled = true;
            break;
        });
    }
    if (canceled) {
        groupCancel(group, token);
        return error.Canceled;
    }
    end(group, members);
}

pub fn groupCancel(group: *Io.Group, token: *anyopaque) void {
    const members: *Members = @ptrCast(@alignCast(token));
    members.request();
    const wait: Wait = .shield();
    defer wait.end();
    while (true) {
        const count = members.count.load(.acquire); // of the release in Member.entry
        if (count == 0) break;
        cancelation.waited(c.gmx_wait_on_address(&members.count, &count, @sizeOf(u32), c.GMX_FOREVER));
    }
    end(group, members);
}

fn end(group: *Io.Group, members: *Members) void { // G3
    group.token.store(null, .monotonic); // only the caller has the group
    members.gpa.destroy(members);
}
