//! Ps, threads, and the world: what runtimes and bindings need.
const c = @import("c.zig");
const status = @import("status.zig");
const Error = status.Error;

/// A stopped world. The caller must not wait until `start`.
pub const World = struct {
    pub fn start(_: World) void {
        status.must("World.start", c.gmx_start_the_world());
    }

    /// Calls `func(context, info)` for every G. Pointers in `info` are good during the call.
    pub fn forEachG(_: World, context: anytype, comptime func: fn (@TypeOf(context), *const c.gmx_g_info) void) Error!void {
        const Context = @TypeOf(context);
        const Call = struct {
            fn entry(arg: ?*anyopaque, info: *const c.gmx_g_info) callconv(.c) void {
                const at: *const Context = @ptrCast(@alignCast(arg));
                func(at.*, info);
            }
        };
        var copy = context;
        return status.check(c.gmx_for_each_g(Call.entry, @ptrCast(&copy)));
    }
};

/// `const world = try gomax.stopTheWorld("why"); defer world.start();`
pub fn stopTheWorld(reason: ?[*:0]const u8) Error!World {
    return stopTheWorldTimeout(reason, null);
}

/// Gives up with `error.Timeout`, and a report names those that came to no safe point.
pub fn stopTheWorldTimeout(reason: ?[*:0]const u8, ns: ?i64) Error!World {
    try status.check(c.gmx_stop_the_world_timeout(reason, status.limit(ns)));
    return .{};
}

/// `const p = try gomax.pin(); defer p.unpin();` keeps the G on its P, for short stretches in which it does not wait.
pub const Pin = struct {
    p: u31,
    pub fn unpin(_: Pin) void {
        status.must("Pin.unpin", c.gmx_unpin());
    }
};

pub fn pin() Error!Pin {
    return .{ .p = try status.count(c.gmx_pin()) };
}

/// The number of the P: for a function of `forEachP`, where it cannot change.
pub fn currentP() Error!u31 {
    const pinned = try pin();
    defer pinned.unpin();
    return pinned.p;
}

/// A pointer that every P has for itself, null at first. Pin before you use it.
pub fn PerP(comptime T: type) type {
    return struct {
        const Self = @This();
        key: c.PKey,

        pub fn init() Error!Self {
            var key: c.PKey = 0;
            try status.check(c.gmx_p_key_create(&key));
            return .{ .key = key };
        }
        pub fn deinit(self: Self) void {
            status.must("PerP.deinit", c.gmx_p_key_delete(self.key));
        }
        pub fn get(self: Self) ?*T {
            return @ptrCast(@alignCast(c.gmx_p_get(self.key)));
        }
        pub fn set(self: Self, value: ?*T) Error!void {
            return status.check(c.gmx_p_set(self.key, value));
        }
        /// That of another P, up to `count`: for a stopped world.
        pub fn of(self: Self, p: u31) ?*T {
            return @ptrCast(@alignCast(c.gmx_p_get_of(self.key, p)));
        }
        pub fn count() u31 {
            return @intCast(c.gmx_p_count());
        }
    };
}

/// A pointer that every G has for itself: what `threadlocal` is to threads.
pub fn PerG(comptime T: type) type {
    return struct {
        const Self = @This();
        key: c.Key,

        /// `destructor` is called at the end of a G that has one.
        pub fn init(comptime destructor: ?fn (*T) void) Error!Self {
            const entry = if (destructor) |d| &struct {
                fn entry(value: ?*anyopaque) callconv(.c) void {
                    d(@ptrCast(@alignCast(value.?)));
                }
            }.entry else null;
            var key: c.Key = 0;
            try status.check(c.gmx_key_create(entry, &key));
            return .{ .key = key };
        }
        pub fn deinit(self: Self) void {
            status.must("PerG.deinit", c.gmx_key_delete(self.key));
        }
        pub fn get(self: Self) ?*T {
            return @ptrCast(@alignCast(c.gmx_key_get(self.key)));
        }
        pub fn set(self: Self, value: ?*T) Error!void {
            return status.check(c.gmx_key_set(self.key, value));
        }
    };
}

/// `const here = try gomax.attach(); defer here.detach();` makes a thread of the host a G until then.
pub const Attached = struct {
    pub fn detach(_: Attached) void {
        status.must("Attached.detach", c.gmx_detach_thread());
    }
};

pub fn attach() Error!Attached {
    try status.check(c.gmx_attach_thread());
    return .{};
}

/// `const call = try gomax.enterSyscall(); defer call.exit();` around what may block the thread.
pub const Syscall = struct {
    pub fn exit(_: Syscall) void {
        status.must("Syscall.exit", c.gmx_exit_syscall());
    }
};

pub fn enterSyscall() Error!Syscall {
    try status.check(c.gmx_enter_syscall());
    return .{};
}

/// For what is sure to block: the P goes to others at once.
pub fn enterSyscallBlocking() Error!Syscall {
    try status.check(c.gmx_enter_syscall_blocking());
    return .{};
}

/// `const tied = try gomax.lockOsThread(); defer tied.unlock();` keeps the G on its thread.
pub const OsThread = struct {
    pub fn unlock(_: OsThread) void {
        status.must("OsThread.unlock", c.gmx_unlock_os_thread());
    }
};

pub fn lockOsThread() Error!OsThread {
    try status.check(c.gmx_lock_os_thread());
    return .{};
}
