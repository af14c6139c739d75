//! The network of std.Io.
//!
//! Sockets are made by std.Io.Threaded's functions where those do not wait, and get a handle (handles.zig). What waits
//! is the library's.
const std = @import("std");
const builtin = @import("builtin");
const c = @import("../c.zig");
const cancel = @import("cancel.zig");
const clock = @import("clock.zig");
const delegate = @import("delegate.zig");
const errors = @import("../errors.zig");
const handles = @import("handles.zig");
const Scatter = @import("vectors.zig").Scatter;
const Gather = @import("vectors.zig").Gather;
const Io = std.Io;
const net = Io.net;
const posix = std.posix;
const Threaded = Io.Threaded;
const Address = Threaded.PosixAddress;
const IpAddress = net.IpAddress;
const HostName = net.HostName;

pub fn listenIp(u: ?*anyopaque, address: *const IpAddress, options: IpAddress.ListenOptions) IpAddress.ListenError!net.Socket {
    const socket = try delegate.call("netListenIp", .{ u, address, options });
    handles.open(socket.handle, 0);
    return socket;
}

pub fn bindIp(u: ?*anyopaque, address: *const IpAddress, options: IpAddress.BindOptions) IpAddress.BindError!net.Socket {
    const socket = try delegate.call("netBindIp", .{ u, address, options });
    handles.open(socket.handle, 0);
    return socket;
}

pub fn listenUnix(u: ?*anyopaque, address: *const net.UnixAddress, options: net.UnixAddress.ListenOptions) net.UnixAddress.ListenError!net.Socket.Handle {
    const fd = try delegate.call("netListenUnix", .{ u, address, options });
    handles.open(fd, 0);
    return fd;
}

pub fn createPair(u: ?*anyopaque, options: net.Socket.CreatePairOptions) net.Socket.CreatePairError![2]net.Socket {
    const pair = try delegate.call("netSocketCreatePair", .{ u, options });
    for (pair) |socket| handles.open(socket.handle, 0);
    return pair;
}

pub fn accept(_: ?*anyopaque, listener: net.Socket.Handle, _: net.Server.AcceptOptions) net.Server.AcceptError!net.Socket {
    var storage: Address = undefined;
    var len: u32 = @sizeOf(Address);
    var p: c.Poll = 0;
    const s = try handles.on(listener, c.gmx_accept, .{ &p, @as(?*anyopaque, &storage), &len, c.GMX_FOREVER });
    if (s < 0) return errors.of(net.Server.AcceptError, s);
    const fd = c.gmx_poll_fd(p);
    handles.keep(fd, p);
    return .{ .handle = fd, .address = Threaded.addressFromPosix(&storage) };
}

/// A socket that nothing is known of but its family. Not of an address: std.Io.Threaded connects in the same call.
fn open(comptime Error: type, family: u32, mode: u32, protocol: u32) Error!posix.fd_t {
    const rc = posix.system.socket(family, mode | posix.SOCK.CLOEXEC, protocol);
    const e = posix.errno(rc);
    if (e != .SUCCESS) return errors.of(Error, -@as(c.Status, @backingInt(e)));
    const fd: posix.fd_t = @intCast(rc);
    handles.open(fd, 0);
    return fd;
}

pub fn connectIp(_: ?*anyopaque, address: *const IpAddress, options: IpAddress.ConnectOptions) IpAddress.ConnectError!net.Socket {
    const family = Threaded.posixAddressFamily(address);
    const mode, const protocol = try Threaded.posixSocketModeProtocol(family, options.mode, options.protocol);
    const fd = try open(IpAddress.ConnectError, family, mode, protocol);
    errdefer handles.close(fd);
    var storage: Address = undefined;
    var len = Threaded.addressToPosix(address, &storage);
    const s = try handles.on(fd, c.gmx_connect, .{ @as(?*const anyopaque, &storage), len, clock.left(options.timeout) });
    if (s < 0) return errors.of(IpAddress.ConnectError, s);
    len = @sizeOf(Address);
    if (posix.errno(posix.system.getsockname(fd, &storage.any, &len)) != .SUCCESS) return error.Unexpected;
    return .{ .handle = fd, .address = Threaded.addressFromPosix(&storage) };
}

pub fn connectUnix(_: ?*anyopaque, address: *const net.UnixAddress) net.UnixAddress.ConnectError!net.Socket.Handle {
    const fd = try open(net.UnixAddress.ConnectError, posix.AF.UNIX, posix.SOCK.STREAM, 0);
    errdefer handles.close(fd);
    var storage: posix.sockaddr.un = .{ .family = posix.AF.UNIX, .path = @splat(0) };
    const path = address.path;
    @memcpy(storage.path[0..path.len], path);
    const end = @min(path.len + 1, storage.path.len); // with the 0 behind it, as std.Io.Threaded binds
    const len: u32 = @intCast(@offsetOf(posix.sockaddr.un, "path") + end);
    const s = try handles.on(fd, c.gmx_connect, .{ @as(?*const anyopaque, &storage), len, c.GMX_FOREVER });
    if (s < 0) return errors.of(net.UnixAddress.ConnectError, s);
    return fd;
}

pub fn close(_: ?*anyopaque, sockets: []const net.Socket) void {
    for (sockets) |socket| handles.close(socket.handle);
}

pub fn read(o: Io.Operation.NetRead) Io.Cancelable!Io.Operation.NetRead.Result {
    var scatter: Scatter = undefined;
    scatter.init(o.data);
    if (o.control.len == 0) {
        const s = try handles.on(o.socket_handle, c.gmx_readv, .{ @as(?*const anyopaque, &scatter.v), scatter.n, c.GMX_FOREVER });
        if (s < 0) return @as(Io.Operation.NetRead.Result, errors.of(Io.Operation.NetRead.Error, s));
        return .{ .data_len = @intCast(s) };
    }
    var msg: posix.msghdr = .{
        .name = null,
        .namelen = 0,
        .iov = &scatter.v,
        .iovlen = @intCast(scatter.n),
        .control = o.control.ptr,
        .controllen = @intCast(o.control.len),
        .flags = 0,
    };
    const s = try handles.on(o.socket_handle, c.gmx_recvmsg, .{ @as(?*anyopaque, &msg), 0, c.GMX_FOREVER });
    if (s < 0) return @as(Io.Operation.NetRead.Result, errors.of(Io.Operation.NetRead.Error, s));
    return .{
        .data_len = @intCast(s),
        .control_len = @intCast(msg.controllen),
        .control_truncated = msg.flags & posix.MSG.CTRUNC != 0,
    };
}

pub fn write(o: Io.Operation.NetWrite) Io.Cancelable!Io.Operation.NetWrite.Result {
    var gather: Gather = undefined;
    gather.init(o.header, o.data, o.splat);
    if (o.control.len == 0) {
        var done: usize = 0;
        const s = try handles.onPartly(o.socket_handle, c.gmx_writev, .{
            @as(?*const anyopaque, &gather.v), gather.n, c.GMX_FOREVER, &done,
        }, &done);
        // An error after a part was written comes again with the next call.
        if (s < 0 and done == 0) return @as(Io.Operation.NetWrite.Result, errors.of(Io.Operation.NetWrite.Error, s));
        return done;
    }
    const msg: posix.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = &gather.v,
        .iovlen = @intCast(gather.n),
        .control = @constCast(o.control.ptr),
        .controllen = @intCast(o.control.len),
        .flags = 0,
    };
    const s = try handles.on(o.socket_handle, c.gmx_sendmsg, .{ @as(?*const anyopaque, &msg), 0, c.GMX_FOREVER });
    if (s < 0) return @as(Io.Operation.NetWrite.Result, errors.of(Io.Operation.NetWrite.Error, s));
    return @as(usize, @intCast(s));
}

/// The first message is waited for; more are taken if they are there.
pub fn receive(o: Io.Operation.NetReceive) Io.Cancelable!Io.Operation.NetReceive.Result {
    const flags: i32 = @intCast(@as(u32, if (o.flags.oob) posix.MSG.OOB else 0) |
        @as(u32, if (o.flags.peek) posix.MSG.PEEK else 0) |
        @as(u32, if (o.flags.trunc) posix.MSG.TRUNC else 0));
    var rest = o.data_buffer;
    for (o.message_buffer, 0..) |*message, n| {
        if (n != 0 and (rest.len == 0 or o.flags.peek)) return .{ null, n };
        var storage: Address = undefined;
        var vec: posix.iovec = .{ .base = rest.ptr, .len = rest.len };
        var msg: posix.msghdr = .{
            .name = &storage.any,
            .namelen = @sizeOf(Address),
            .iov = (&vec)[0..1],
            .iovlen = 1,
            .control = message.control.ptr,
            .controllen = @intCast(message.control.len),
            .flags = 0,
        };
        const timeout: i64 = if (n == 0) c.GMX_FOREVER else 0;
        const s = handles.on(o.socket_handle, c.gmx_recvmsg, .{ @as(?*anyopaque, &msg), flags, timeout }) catch |err| {
            if (n == 0) return err;
            cancel.recancel(); // for the next cancelation point: this call has messages
            return .{ null, n };
        };
        if (s < 0) return if (n == 0) .{ errors.of(net.Socket.ReceiveError, s), 0 } else .{ null, n };
        const len: usize = @min(rest.len, @as(usize, @intCast(s))); // with MSG_TRUNC it is the message's own length
        message.* = .{
            .from = Threaded.addressFromPosix(&storage),
            .data = rest[0..len],
            .control = message.control[0..@intCast(msg.controllen)],
            .flags = .{
                .eor = msg.flags & posix.MSG.EOR != 0,
                .trunc = msg.flags & posix.MSG.TRUNC != 0,
                .ctrunc = msg.flags & posix.MSG.CTRUNC != 0,
                .oob = msg.flags & posix.MSG.OOB != 0,
                .errqueue = msg.flags & posix.MSG.ERRQUEUE != 0,
            },
        };
        rest = rest[len..];
    }
    return .{ null, o.message_buffer.len };
}

pub fn send(o: Io.Operation.NetSend) Io.Cancelable!Io.Operation.NetSend.Result {
    const flags: i32 = @intCast(@as(u32, if (o.flags.confirm) posix.MSG.CONFIRM else 0) |
        @as(u32, if (o.flags.dont_route) posix.MSG.DONTROUTE else 0) |
        @as(u32, if (o.flags.eor) posix.MSG.EOR else 0) |
        @as(u32, if (o.flags.oob) posix.MSG.OOB else 0) |
        @as(u32, if (o.flags.fastopen) posix.MSG.FASTOPEN else 0));
    for (o.messages, 0..) |*message, n| {
        var storage: Address = undefined;
        const vec: posix.iovec_const = .{ .base = message.data_ptr, .len = message.data_len };
        const msg: posix.msghdr_const = .{
            .name = &storage.any,
            .namelen = Threaded.addressToPosix(message.address, &storage),
            .iov = (&vec)[0..1],
            .iovlen = 1,
            .control = if (message.control.len == 0) null else @constCast(message.control.ptr),
            .controllen = @intCast(message.control.len),
            .flags = 0,
        };
        const s = handles.on(o.socket_handle, c.gmx_sendmsg, .{ @as(?*const anyopaque, &msg), flags, c.GMX_FOREVER }) catch |err| {
            if (n == 0) return err;
            cancel.recancel();
            return .{ null, n };
        };
        if (s < 0) return .{ errors.of(net.Socket.SendError, s), n };
        message.data_len = @intCast(s);
    }
    return .{ null, o.messages.len };
}

/// std.Io's writers copy by reading and writing then. The library's own copy takes a file from its place, and readers
/// of std.Io have a place of their own.
pub fn writeFile(_: ?*anyopaque, _: net.Socket.Handle, _: []const u8, _: *Io.File.Reader, _: Io.Limit) net.Stream.Writer.WriteFileError!usize {
    return error.Unimplemented;
}

pub fn lookup(io: Io, host: HostName, resolved: *Io.Queue(HostName.LookupResult), options: HostName.LookupOptions) HostName.LookupError!void {
    defer resolved.close(io);
    var name: [HostName.max_len:0]u8 = undefined;
    @memcpy(name[0..host.bytes.len], host.bytes);
    name[host.bytes.len] = 0;
    const hints: posix.addrinfo = .{
        .flags = .{ .CANONNAME = options.canonical_name_buffer != null },
        .family = if (options.family) |f| switch (f) {
            .ip4 => posix.AF.INET,
            .ip6 => posix.AF.INET6,
        } else posix.AF.UNSPEC,
        .socktype = posix.SOCK.STREAM,
        .protocol = posix.IPPROTO.TCP,
        .canonname = null,
        .addr = null,
        .addrlen = 0,
        .next = null,
    };
    var list: ?*anyopaque = null;
    const wait: cancel.Wait = try .begin();
    const s = try wait.ended(c.gmx_getaddrinfo(name[0..host.bytes.len :0], null, &hints, &list, c.GMX_FOREVER));
    if (s < 0) return errors.of(HostName.LookupError, s);
    const first: ?*posix.addrinfo = @ptrCast(@alignCast(list));
    defer if (first) |info| posix.system.freeaddrinfo(info);
    var next = first;
    while (next) |info| : (next = info.next) {
        const any = info.addr orelse continue;
        var address = Threaded.addressFromPosix(@ptrCast(@alignCast(any)));
        address.setPort(options.port);
        put(io, resolved, .{ .address = address }) catch |err| return err;
    }
    const buffer = options.canonical_name_buffer orelse return;
    const canonical = if (first) |info| std.mem.span(info.canonname orelse return) else return;
    if (canonical.len > buffer.len) return;
    @memcpy(buffer[0..canonical.len], canonical);
    try put(io, resolved, .{ .canonical_name = .{ .bytes = buffer[0..canonical.len] } });
}

fn put(io: Io, resolved: *Io.Queue(HostName.LookupResult), result: HostName.LookupResult) Io.Cancelable!void {
    resolved.putOne(io, result) catch |err| switch (err) {
        error.Closed => unreachable, // by the contract of lookup
        error.Canceled => |e| return e,
    };
}
