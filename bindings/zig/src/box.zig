//! Functions with their arguments, as the library calls them. All memory that the binding allocates is allocated here.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const Error = status.Error;
const Allocator = std.mem.Allocator;

/// What a function returns.
pub fn Return(comptime func: anytype) type {
    return @typeInfo(@TypeOf(func)).@"fn".return_type.?;
}
pub fn Args(comptime func: anytype) type {
    return std.meta.ArgsTuple(@TypeOf(func));
}
pub fn ArgsAfterFirst(comptime func: anytype) type {
    const params = @typeInfo(@TypeOf(func)).@"fn".param_types;
    var types: [params.len - 1]type = undefined;
    for (params[1..], &types) |param, *t| t.* = param.?;
    const all = types;
    return @Tuple(&all);
}
/// The two halves of `T`: its errors, and what it is without them.
pub fn Errors(comptime T: type) type {
    return switch (@typeInfo(T)) {
        .error_union => |u| u.error_set,
        else => error{},
    };
}
pub fn Payload(comptime T: type) type {
    return switch (@typeInfo(T)) {
        .error_union => |u| u.payload,
        else => T,
    };
}
/// `T` where the library may fail as well.
pub fn Fallible(comptime T: type) type {
    return (Error || Errors(T))!Payload(T);
}

/// What holds the arguments and the result of a G where the caller gives no allocator.
///
/// An allocator that the caller gives is used by the caller and by the G, at the same time and on any thread: it must
/// be thread-safe, and must outlive the G. A task that was joined, a scope that was left and a wait group that was
/// waited for are done with it; of a G that no call waits for only `shutdown` knows the end.
pub const default_allocator = std.heap.c_allocator;

/// A place for a `T` that a G frees. `error.Invalid`: this allocator is known not to be thread-safe.
pub fn create(comptime T: type, allocator: Allocator) Error!*T {
    if (allocator.vtable.alloc == std.heap.FixedBufferAllocator.alloc) return error.Invalid;
    return allocator.create(T);
}

/// What a G and its handle share: the one that comes last frees it.
pub fn Cell(comptime T: type) type {
    return struct {
        const Self = @This();
        refs: std.atomic.Value(u32),
        destroy: *const fn (*Self) void,
        result: T,

        pub fn release(cell: *Self) void {
            // acq_rel: what the other did with the cell is over when it is freed
            if (cell.refs.fetchSub(1, .acq_rel) == 1) cell.destroy(cell);
        }
    };
}

/// A function whose result is asked for: its arguments and its result on the heap.
pub fn Box(comptime func: anytype) type {
    return struct {
        const Self = @This();
        const Result = Return(func);
        cell: Cell(Result),
        args: Args(func),
        allocator: Allocator,

        pub fn init(allocator: Allocator, args: Args(func)) Error!*Self {
            const box = try create(Self, allocator);
            box.* = .{
                .cell = .{ .refs = .init(2), .destroy = destroy, .result = undefined },
                .args = args,
                .allocator = allocator,
            };
            return box;
        }

        fn destroy(cell: *Cell(Result)) void {
            const box: *Self = @fieldParentPtr("cell", cell);
            box.allocator.destroy(box);
        }

        pub fn entry(arg: ?*anyopaque) callconv(.c) void {
            const box: *Self = @ptrCast(@alignCast(arg));
            box.cell.result = @call(.auto, func, box.args);
            box.cell.release();
        }
    };
}

/// A function that no caller waits for: its arguments on the heap until it has returned. Where it returns an error,
/// that is reported by `std.log`.
pub fn Loose(comptime func: anytype) type {
    if (Payload(Return(func)) != void) @compileError("the result of " ++ @typeName(@TypeOf(func)) ++ " would be lost");
    return struct {
        const Self = @This();
        args: Args(func),
        allocator: Allocator,

        /// Has `start(context, fn, arg)` hand it over. The box belongs to the G if that succeeds.
        pub fn start(allocator: Allocator, args: Args(func), context: anytype, comptime begin: anytype) Error!Kept {
            const box = try create(Self, allocator);
            errdefer allocator.destroy(box);
            box.* = .{ .args = args, .allocator = allocator };
            try status.check(begin(context, entry, box));
            return .{ .box = box, .drop = drop };
        }

        fn drop(arg: *anyopaque) void {
            const box: *Self = @ptrCast(@alignCast(arg));
            box.allocator.destroy(box);
        }

        fn entry(arg: ?*anyopaque) callconv(.c) void {
            defer drop(arg.?);
            const box: *Self = @ptrCast(@alignCast(arg));
            @as(Errors(Return(func))!void, @call(.auto, func, box.args)) catch |err|
                std.log.scoped(.gomax).err("error.{t} from a function that no caller waits for: {s}", .{ err, @typeName(@TypeOf(func)) });
        }
    };
}

/// A function that was handed over, as long as it can be taken back.
pub const Kept = struct {
    box: *anyopaque,
    drop: *const fn (*anyopaque) void,

    /// When it will never run.
    pub fn takeBack(kept: Kept) void {
        kept.drop(kept.box);
    }
};

/// A function that the library runs once on a G of its own, when what `Handle` stands for happens. `end` frees the
/// handle, and says whether that was before the function began.
pub fn Pending(comptime Handle: type, comptime end: anytype) type {
    return struct {
        const Self = @This();
        handle: Handle,
        func: Kept,

        /// Has `begin(context, fn, arg, &handle)` hand the function over.
        pub fn start(allocator: Allocator, comptime func: anytype, args: Args(func), context: anytype, comptime begin: anytype) Error!Self {
            const Begin = struct {
                context: @TypeOf(context),
                handle: Handle = 0,

                fn call(it: *@This(), entry: c.Fn, box: *anyopaque) c.Status {
                    return begin(it.context, entry, box, &it.handle);
                }
            };
            var it: Begin = .{ .context = context };
            const kept = try Loose(func).start(allocator, args, &it, Begin.call);
            return .{ .handle = it.handle, .func = kept };
        }

        /// Keeps the function from running if it has not begun. Returns whether it did. Once.
        pub fn stop(self: *Self) bool {
            var stopped = false;
            if (end(self.handle, &stopped) != c.GMX_OK or !stopped) return false;
            self.func.takeBack();
            return true;
        }
    };
}

/// Calls `func(args...)` by way of the library, on this very stack.
pub fn OnStack(comptime func: anytype) type {
    return struct {
        const Self = @This();
        args: Args(func),
        result: Return(func) = undefined,

        pub fn entry(arg: ?*anyopaque) callconv(.c) void {
            const self: *Self = @ptrCast(@alignCast(arg));
            self.result = @call(.auto, func, self.args);
        }
    };
}
