//! What the tests share.
const gomax = @import("gomax");

/// Runs a test's body as the main G, and sees that no G is left behind.
pub fn onG(comptime body: anytype) !void {
    try gomax.run(body, .{});
    try gomax.shutdown(10 * gomax.ns_per_s);
}

pub fn add(a: u32, b: u32) u32 {
    return a + b;
}

pub const Odd = error{Odd};
pub fn half(n: u32) Odd!u32 {
    if (n % 2 == 1) return error.Odd;
    return n / 2;
}
