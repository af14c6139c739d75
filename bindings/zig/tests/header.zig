//! Holds src/c.zig to the header, which translate-c has read: every function, struct and number of either is in the
//! other and looks the same to a linker.
const std = @import("std");
const c = @import("gomax").c;
const header = @import("header");

/// The same to the ABI: pointers are pointers, integers have one size and sign.
fn same(comptime A: type, comptime B: type) bool {
    if (A == B) return true;
    if (isPointer(A) and isPointer(B)) return true;
    if (@sizeOf(A) != @sizeOf(B)) return false;
    const a = @typeInfo(A);
    const b = @typeInfo(B);
    if (a == .int and b == .int) return a.int.signedness == b.int.signedness;
    return a == .@"struct" and b == .@"struct" or a == .array and b == .array;
}

fn isPointer(comptime T: type) bool {
    return switch (@typeInfo(T)) {
        .pointer => true,
        .optional => |o| @typeInfo(o.child) == .pointer,
        else => false,
    };
}

test "functions" {
    @setEvalBranchQuota(1_000_000);
    inline for (@typeInfo(header).@"struct".decl_names) |name| {
        // gmx_safepoint is inline in C, which translate-c takes for a function of the library
        const looked_at = comptime std.mem.startsWith(u8, name, "gmx_") and !std.mem.eql(u8, name, "gmx_safepoint");
        if (looked_at and @TypeOf(@field(header, name)) != type) {
            const H = @TypeOf(@field(header, name));
            if (@typeInfo(H) != .@"fn") continue;
            if (!@hasDecl(c, name)) @compileError("src/c.zig lacks " ++ name);
            const h = @typeInfo(H).@"fn";
            const z = @typeInfo(@TypeOf(@field(c, name))).@"fn";
            if (h.param_types.len != z.param_types.len) @compileError(name ++ ": another number of parameters");
            inline for (h.param_types, z.param_types) |A, B| if (comptime !same(A.?, B.?)) @compileError(name ++ ": another parameter");
            if (comptime !same(h.return_type.?, z.return_type.?)) @compileError(name ++ ": another result");
            // and the library has it
            try std.testing.expect(@intFromPtr(&@field(c, name)) != 0);
        }
    }
}

test "nothing that is not in the header, and the structs and numbers" {
    @setEvalBranchQuota(1_000_000);
    inline for (@typeInfo(c).@"struct".decl_names) |name| {
        const ours = comptime std.mem.startsWith(u8, name, "gmx_") or std.mem.startsWith(u8, name, "GMX_");
        if (ours) {
            if (!@hasDecl(header, name)) @compileError("gomax.h has no " ++ name);
            const here = @field(c, name);
            const there = @field(header, name);
            if (@TypeOf(here) == type) {
                const h = @typeInfo(there).@"struct";
                const z = @typeInfo(here).@"struct";
                if (@sizeOf(here) != @sizeOf(there)) @compileError(name ++ ": another size");
                if (@alignOf(here) != @alignOf(there)) @compileError(name ++ ": another alignment");
                if (@hasField(here, "words")) continue; // what is inside is the library's
                if (h.field_names.len != z.field_names.len) @compileError(name ++ ": another number of fields");
                inline for (h.field_names, h.field_types, z.field_names, z.field_types) |hn, H, zn, Z| {
                    if (comptime !std.mem.eql(u8, hn, zn) or @offsetOf(there, hn) != @offsetOf(here, zn) or !same(H, Z))
                        @compileError(name ++ "." ++ zn ++ ": not as in the header");
                }
            } else if (@TypeOf(here) == comptime_int) {
                if (here != there) @compileError(name ++ ": another number");
            }
        }
    }
}
