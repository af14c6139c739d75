//! Functions of std.Io.Threaded, which block their thread, on goroutines.
//!
//! Such a function runs between gmx_enter_syscall and gmx_exit_syscall: it stays on its thread, and if it lasts,
//! another thread takes the P. Threaded's own tasks, locks and cancelations are not used: what is called here neither
//! waits for a task nor asks which thread it is on. Where std.Io lets it return `error.Canceled`, the call is a
//! cancelation point before it begins; the system call itself is not ended.
const std = @import("std");
const c = @import("../c.zig");
const cancel = @import("cancel.zig");
const Io = std.Io;
const Threaded = Io.Threaded;

const vtable: *const Io.VTable = Threaded.global_single_threaded.io().vtable;

/// It neither blocks nor uses its instance.
pub fn now(clock: Io.Clock) Io.Timestamp {
    return vtable.now(Threaded.global_single_threaded, clock);
}

fn Signature(comptime name: []const u8) std.lang.Type.Fn {
    return @typeInfo(@typeInfo(@FieldType(Io.VTable, name)).pointer.child).@"fn";
}

fn Return(comptime name: []const u8) type {
    return Signature(name).return_type.?;
}

fn cancelable(comptime T: type) bool {
    const Errors = switch (@typeInfo(T)) {
        .error_union => |u| u.error_set,
        .error_set => T,
        else => return false,
    };
    for (@typeInfo(Errors).error_set.error_names.?) |n| if (std.mem.eql(u8, n, "Canceled")) return true;
    return false;
}

/// `name(args...)` of std.Io.Threaded. The first argument is the backend.
pub fn call(comptime name: []const u8, args: anytype) Return(name) {
    if (comptime cancelable(Return(name))) try cancel.check();
    var copy = args;
    const backend: *@import("../io.zig").Io = @ptrCast(@alignCast(args[0]));
    copy[0] = @as(?*anyopaque, &backend.threaded);
    // It fails on a thread that has no goroutine, where nothing has to be said.
    const entered = c.gmx_enter_syscall() == c.GMX_OK;
    defer if (entered) {
        _ = c.gmx_exit_syscall();
    };
    return @call(.auto, @field(vtable, name), copy);
}

/// `call` as a function for the table.
pub fn function(comptime name: []const u8) @FieldType(Io.VTable, name) {
    const P = Signature(name).param_types;
    const U = ?*anyopaque;
    const R = Return(name);
    return switch (P.len) {
        1 => &struct {
            fn f(u: U) R {
                return call(name, .{u});
            }
        }.f,
        2 => &struct {
            fn f(u: U, a: P[1].?) R {
                return call(name, .{ u, a });
            }
        }.f,
        3 => &struct {
            fn f(u: U, a: P[1].?, b: P[2].?) R {
                return call(name, .{ u, a, b });
            }
        }.f,
        4 => &struct {
            fn f(u: U, a: P[1].?, b: P[2].?, d: P[3].?) R {
                return call(name, .{ u, a, b, d });
            }
        }.f,
        5 => &struct {
            fn f(u: U, a: P[1].?, b: P[2].?, d: P[3].?, e: P[4].?) R {
                return call(name, .{ u, a, b, d, e });
            }
        }.f,
        6 => &struct {
            fn f(u: U, a: P[1].?, b: P[2].?, d: P[3].?, e: P[4].?, g: P[5].?) R {
                return call(name, .{ u, a, b, d, e, g });
            }
        }.f,
        else => @compileError(name),
    };
}
