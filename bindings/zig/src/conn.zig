//! Connections and listeners of the library's own: with timeouts, deadlines and names, which std.Io's streams lack.
//!
//! A handle is a number, and copies of it are the same connection. `close` ends it for all of them: a call that waits
//! there, and each later one, returns `error.BadDescriptor`.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const errors = @import("errors.zig");
const Error = status.Error;
const ConnError = errors.ConnError;
const posix = std.posix;
const Address = std.Io.Threaded.PosixAddress;

fn check(s: c.Status) ConnError!void {
    if (s < 0) return errors.ofConn(s);
}

/// What of a connection is meant.
pub const Direction = enum {
    read,
    write,
    both,

    fn events(d: Direction) u32 {
        return switch (d) {
            .read => c.GMX_POLL_IN,
            .write => c.GMX_POLL_OUT,
            .both => c.GMX_POLL_IN | c.GMX_POLL_OUT,
        };
    }
};

/// A socket, a pipe, or another descriptor of which reads and writes wait. One reader and one writer at a time have
/// their turn; more of them wait for it.
///
///     const conn: gomax.Conn = try .dial("tcp", "example.org", "http", gomax.ns(.fromSeconds(5)));
///     defer conn.close();
///     try conn.write("GET / HTTP/1.0\r\n\r\n");
///     const n = try conn.read(&buffer);
pub const Conn = struct {
    raw: c.Poll,

    /// Of a descriptor, which belongs to the connection from here on.
    pub fn open(descriptor: posix.fd_t) ConnError!Conn {
        var raw: c.Poll = 0;
        try check(c.gmx_poll_open(descriptor, 0, &raw));
        return .{ .raw = raw };
    }

    /// Of a descriptor that stays the caller's, and outlives the connection.
    pub fn borrow(descriptor: posix.fd_t) ConnError!Conn {
        var raw: c.Poll = 0;
        try check(c.gmx_poll_open(descriptor, c.GMX_POLL_BORROW, &raw));
        return .{ .raw = raw };
    }

    /// Connects to a name. `network` is "tcp", "udp", these with a 4 or a 6, or "unix", whose host is a path. Several
    /// addresses of a name are tried in turns, and the first connection is the result.
    pub fn dial(network: [:0]const u8, host: [:0]const u8, service: ?[:0]const u8, ns: ?i64) ConnError!Conn {
        var raw: c.Poll = 0;
        const name = if (service) |s| s.ptr else null;
        try check(c.gmx_dial(network, host, name, null, status.limit(ns), &raw));
        return .{ .raw = raw };
    }

    pub fn close(conn: Conn) void {
        status.must("Conn.close", c.gmx_close(conn.raw));
    }

    /// Ends the handle as `close` does, and returns the descriptor, which stays open.
    pub fn release(conn: Conn) ConnError!posix.fd_t {
        var number: i32 = -1;
        try check(c.gmx_poll_release(conn.raw, &number));
        return number;
    }

    /// For calls of the system that are not here, such as setsockopt.
    pub fn fd(conn: Conn) ConnError!posix.fd_t {
        const s = c.gmx_poll_fd(conn.raw);
        try check(s);
        return s;
    }

    /// What is there, at least one byte; 0 at the end of the data.
    pub fn read(conn: Conn, buffer: []u8) ConnError!usize {
        return conn.readTimeout(buffer, null);
    }
    /// `error.Timeout` if nothing has come after so many nanoseconds.
    pub fn readTimeout(conn: Conn, buffer: []u8, ns: ?i64) ConnError!usize {
        const s = c.gmx_read(conn.raw, buffer.ptr, buffer.len, status.limit(ns));
        try check(s);
        return @intCast(s);
    }

    /// The whole buffer. `error.PeerClosed`: the data ends before.
    pub fn readFull(conn: Conn, buffer: []u8) ConnError!void {
        return conn.readFullTimeout(buffer, null);
    }
    pub fn readFullTimeout(conn: Conn, buffer: []u8, ns: ?i64) ConnError!void {
        return check(c.gmx_read_full(conn.raw, buffer.ptr, buffer.len, status.limit(ns), null));
    }

    /// All bytes. After an error some of them may be written.
    pub fn write(conn: Conn, bytes: []const u8) ConnError!void {
        return conn.writeTimeout(bytes, null);
    }
    pub fn writeTimeout(conn: Conn, bytes: []const u8, ns: ?i64) ConnError!void {
        return check(c.gmx_write(conn.raw, bytes.ptr, bytes.len, status.limit(ns), null));
    }

    /// Copies to another connection until the data ends, at most so many bytes, and returns their number. The bytes
    /// stay in the system where that is possible.
    pub fn copyTo(conn: Conn, to: Conn, limit: ?u64) ConnError!u64 {
        var done: u64 = 0;
        try check(c.gmx_copy(conn.raw, to.raw, limit orelse std.math.maxInt(u64), &done, c.GMX_FOREVER));
        return done;
    }

    /// Waits until it is ready, for a library that reads and writes the descriptor itself. An error or the end of the
    /// connection is ready too.
    pub fn wait(conn: Conn, direction: Direction, ns: ?i64) ConnError!void {
        var ready: u32 = 0;
        return check(c.gmx_poll_wait(conn.raw, direction.events(), status.limit(ns), &ready));
    }

    /// From this moment (of `gomax.deadline`) calls in the direction end with `error.Timeout`, those that wait as well
    /// as later ones; null: never.
    pub fn setDeadline(conn: Conn, direction: Direction, moment: ?i64) ConnError!void {
        return check(c.gmx_poll_set_deadline(conn.raw, direction.events(), status.limit(moment)));
    }

    /// Ends a direction for good; the other end reads the end of the data.
    pub fn shutdown(conn: Conn, direction: Direction) ConnError!void {
        const how: i32 = switch (direction) {
            .read => posix.SHUT.RD,
            .write => posix.SHUT.WR,
            .both => posix.SHUT.RDWR,
        };
        return check(c.gmx_poll_shutdown(conn.raw, how));
    }
};

/// Waits for connections.
pub const Listener = struct {
    raw: c.Poll,

    pub const Options = struct {
        /// How many connections wait to be accepted. 0: what the library chooses.
        backlog: u31 = 0,
        /// Several listeners share the port.
        reuse_port: bool = false,
        /// Connections of IPv6 only.
        v6_only: bool = false,
        /// `accept` waits while the process has no descriptors left, in the place of an error.
        patient: bool = false,
        /// Removes the file of a unix socket that no process listens at.
        unlink: bool = false,

        fn raw(o: Options) c.gmx_listen_opts {
            var flags: u32 = 0;
            if (o.reuse_port) flags |= c.GMX_LISTEN_REUSEPORT;
            if (o.v6_only) flags |= c.GMX_LISTEN_V6ONLY;
            if (o.patient) flags |= c.GMX_ACCEPT_PATIENT;
            if (o.unlink) flags |= c.GMX_LISTEN_UNLINK;
            return .{ .flags = flags, .backlog = o.backlog, .timeout = c.GMX_FOREVER };
        }
    };

    /// At a name or number of this machine, or at all of its addresses (null); `service` is a port or its name, "0"
    /// for one that is free.
    pub fn tcp(host: ?[:0]const u8, service: [:0]const u8, options: Options) ConnError!Listener {
        var raw: c.Poll = 0;
        const name = if (host) |h| h.ptr else null;
        try check(c.gmx_listen_tcp(name, service, &options.raw(), &raw));
        return .{ .raw = raw };
    }

    pub fn unix(path: [:0]const u8, options: Options) ConnError!Listener {
        var raw: c.Poll = 0;
        try check(c.gmx_listen_unix(path, &options.raw(), &raw));
        return .{ .raw = raw };
    }

    /// One of the sockets that systemd has started the process with, counted from 0. `error.FileNotFound`: there is
    /// none.
    pub fn inherit(index: usize) ConnError!Listener {
        var raw: c.Poll = 0;
        try check(c.gmx_listen_inherit(index, &raw));
        return .{ .raw = raw };
    }

    pub fn close(listener: Listener) void {
        status.must("Listener.close", c.gmx_close(listener.raw));
    }

    pub fn accept(listener: Listener) ConnError!Conn {
        return listener.acceptTimeout(null);
    }
    pub fn acceptTimeout(listener: Listener, ns: ?i64) ConnError!Conn {
        var raw: c.Poll = 0;
        try check(c.gmx_accept(listener.raw, &raw, null, null, status.limit(ns)));
        return .{ .raw = raw };
    }

    /// Where it listens, with the port that the system has chosen.
    pub fn address(listener: Listener) ConnError!std.Io.net.IpAddress {
        var storage: Address = undefined;
        var len: posix.socklen_t = @sizeOf(Address);
        const fd = c.gmx_poll_fd(listener.raw);
        try check(fd);
        if (posix.errno(posix.system.getsockname(fd, &storage.any, &len)) != .SUCCESS) return error.Unexpected;
        return std.Io.Threaded.addressFromPosix(&storage);
    }
};
