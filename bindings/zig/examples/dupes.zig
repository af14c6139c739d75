//! dupes DIR: finds files below DIR that have the same content, and prints them in groups.
//!
//! One G walks the tree. Files of the same size go through a channel to Gs that read and hash them; reading blocks the
//! thread, so it stands in `gomax.blocking`, and other Gs run meanwhile. The first error (except files that cannot be
//! opened) ends all of them: they are in a scope.
const std = @import("std");
const gomax = @import("gomax");

const gpa = std.heap.c_allocator;
const Hash = [32]u8;
const File = struct { path: [:0]const u8, hash: Hash = @splat(0), read: bool = false };
const BySize = std.AutoArrayHashMapUnmanaged(u64, std.ArrayList(*File));


fn walk(dir: [:0]const u8, files: *BySize) !void {
    const d = std.c.opendir(dir) orelse return; // not ours to read
    defer _ = std.c.closedir(d);
    while (std.c.readdir(d)) |entry| {
        const name = std.mem.sliceTo(@as([*:0]const u8, @ptrCast(&entry.name)), 0);
        if (std.mem.eql(u8, name, ".") or std.mem.eql(u8, name, "..")) continue;
        const path = try std.fmt.allocPrintSentinel(gpa, "{s}/{s}", .{ dir, name }, 0);
        switch (entry.type) {
            std.c.DT.DIR => try walk(path, files),
            std.c.DT.REG => {
                const file = try gpa.create(File);
                file.* = .{ .path = path };
                const fd = std.c.open(path, .{});
                if (fd < 0) continue;
                defer _ = std.c.close(fd);
                const size = std.c.lseek64(fd, 0, std.c.SEEK.END);
                if (size <= 0) continue;
                const same = try files.getOrPutValue(gpa, @intCast(size), .empty);
                try same.value_ptr.append(gpa, file);
            },
            else => {},
        }
    }
}

/// Runs in a syscall: it may block, and must not wait for Gs.
fn hash(file: *File) void {
    const fd = std.c.open(file.path, .{});
    if (fd < 0) return;
    defer _ = std.c.close(fd);
    var h: std.crypto.hash.Blake3 = .init(.{});
    var buffer: [16 * 1024]u8 = undefined;
    while (true) {
        const n = std.c.read(fd, &buffer, buffer.len);
        if (n < 0) return;
        if (n == 0) break;
        h.update(buffer[0..@intCast(n)]);
    }
    h.final(&file.hash);
    file.read = true;
}

fn hasher(files: gomax.Channel(*File)) !void {
    while (try files.next()) |file| try gomax.blocking(hash, .{file});
}

fn feed(out: gomax.Channel(*File), files: *BySize) !void {
    defer out.close();
    for (files.values()) |same| {
        if (same.items.len > 1) for (same.items) |file| try out.send(file);
    }
}

fn less(_: void, a: *File, b: *File) bool {
    const by_hash = std.mem.order(u8, &a.hash, &b.hash);
    return by_hash == .lt or by_hash == .eq and std.mem.lessThan(u8, a.path, b.path);
}

fn dupes(dir: [:0]const u8) !void {
    var files: BySize = .empty;
    try gomax.blocking(walk, .{ dir, &files });

    const ch = try gomax.Channel(*File).init(64);
    defer ch.deinit();
    var scope: gomax.Scope(anyerror) = try .init(null);
    defer scope.deinit();
    try scope.go(feed, .{ ch, &files });
    for (0..2 * @as(usize, gomax.maxprocs())) |_| try scope.go(hasher, .{ch});
    try scope.wait();

    var extra: usize = 0;
    var bytes: u64 = 0;
    for (files.keys(), files.values()) |size, *same| {
        std.mem.sort(*File, same.items, {}, less);
        var from: usize = 0;
        for (same.items, 0..) |file, i| {
            if (!file.read) {
                from = i + 1;
                continue;
            }
            const next = if (i + 1 < same.items.len) same.items[i + 1] else null;
            if (next != null and next.?.read and std.mem.eql(u8, &next.?.hash, &file.hash)) continue;
            if (i > from) {
                for (same.items[from .. i + 1]) |one| _ = std.c.printf("%s\n", one.path.ptr);
                _ = std.c.printf("\n");
                extra += i - from;
                bytes += (i - from) * size;
            }
            from = i + 1;
        }
    }
    _ = std.c.printf("%zu files, %llu bytes are there more than once\n", extra, bytes);
}

pub fn main(init: std.process.Init) !void {
    const args = try init.minimal.args.toSlice(init.arena.allocator());
    try gomax.run(dupes, .{if (args.len > 1) args[1] else "."});
}
