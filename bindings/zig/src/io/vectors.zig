//! The buffers of std.Io as those of the system.
const std = @import("std");
const posix = std.posix;

/// So many buffers go into one call; the caller makes another for the rest.
const most = 8;

/// For reading.
pub const Scatter = struct {
    v: [most]posix.iovec,
    n: i32,

    pub fn init(s: *Scatter, data: []const []u8) void {
        s.n = 0;
        for (data) |bytes| {
            if (s.n == most) break;
            if (bytes.len == 0) continue;
            s.v[@intCast(s.n)] = .{ .base = bytes.ptr, .len = bytes.len };
            s.n += 1;
        }
    }
};

/// For writing: a header, then the data, of which the last is repeated `splat` times. It points into itself: not to be
/// moved.
pub const Gather = struct {
    v: [most]posix.iovec_const,
    n: i32,
    /// Of a single byte that is repeated.
    repeated: [64]u8,

    pub fn init(g: *Gather, header: []const u8, data: []const []const u8, splat: usize) void {
        g.n = 0;
        _ = g.add(header);
        for (data[0 .. data.len - 1]) |bytes| _ = g.add(bytes);
        const pattern = data[data.len - 1];
        if (pattern.len == 1 and splat > 1) {
            @memset(&g.repeated, pattern[0]);
            var left = splat;
            while (left > 0) {
                const part = g.repeated[0..@min(left, g.repeated.len)];
                if (!g.add(part)) break;
                left -= part.len;
            }
        } else for (0..splat) |_| {
            if (!g.add(pattern)) break;
        }
    }

    fn add(g: *Gather, bytes: []const u8) bool {
        if (bytes.len == 0) return false;
        if (g.n == most) return false;
        g.v[@intCast(g.n)] = .{ .base = bytes.ptr, .len = bytes.len };
        g.n += 1;
        return true;
    }
};
