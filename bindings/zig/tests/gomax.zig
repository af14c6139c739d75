//! What the module promises, from Gs, from plain threads, and from threads that the library did not make.
test {
    _ = @import("goroutines.zig");
    _ = @import("channels.zig");
    _ = @import("locks.zig");
    _ = @import("scopes.zig");
    _ = @import("time.zig");
    _ = @import("world.zig");
    _ = @import("generators.zig");
    _ = @import("memory.zig");
    _ = @import("model.zig");
    _ = @import("conn.zig");
    _ = @import("io.zig");
    _ = @import("io_net.zig");
    _ = @import("io_files.zig");
}
