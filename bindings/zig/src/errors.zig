//! What the system says, as errors in the names of std.Io.
const std = @import("std");
const c = @import("c.zig");
const status = @import("status.zig");
const E = std.posix.E;

fn errno(e: E) c.Status {
    return -@as(c.Status, @backingInt(e));
}

/// Each errno with the names that functions have for it. The first that is in a function's error set is its error; an
/// errno that has none there is `error.Unexpected`.
const table = [_]struct { c.Status, []const anyerror }{
    .{ errno(.ACCES), &.{error.AccessDenied} },
    .{ errno(.PERM), &.{ error.BlockedByFirewall, error.PermissionDenied, error.AccessDenied } },
    .{ errno(.BADF), &.{ error.NotOpenForReading, error.NotOpenForWriting } },
    .{ errno(.AGAIN), &.{error.WouldBlock} },
    .{ errno(.NOMEM), &.{error.SystemResources} },
    .{ errno(.NOBUFS), &.{error.SystemResources} },
    .{ errno(.MFILE), &.{error.ProcessFdQuotaExceeded} },
    .{ errno(.NFILE), &.{error.SystemFdQuotaExceeded} },
    .{ errno(.INVAL), &.{ error.SocketNotListening, error.ProtocolUnsupportedBySystem } },
    .{ errno(.PIPE), &.{ error.BrokenPipe, error.SocketUnconnected } },
    .{ errno(.NOTCONN), &.{error.SocketUnconnected} },
    .{ errno(.CONNRESET), &.{error.ConnectionResetByPeer} },
    .{ errno(.CONNREFUSED), &.{ error.ConnectionRefused, error.PortUnreachable } },
    .{ errno(.CONNABORTED), &.{error.ConnectionAborted} },
    .{ errno(.TIMEDOUT), &.{ error.Timeout, error.ConnectionTimedOut } },
    .{ errno(.ALREADY), &.{ error.ConnectionPending, error.FastOpenAlreadyInProgress } },
    .{ errno(.HOSTUNREACH), &.{error.HostUnreachable} },
    .{ errno(.NETUNREACH), &.{error.NetworkUnreachable} },
    .{ errno(.NETDOWN), &.{error.NetworkDown} },
    .{ errno(.ADDRINUSE), &.{error.AddressInUse} },
    .{ errno(.ADDRNOTAVAIL), &.{error.AddressUnavailable} },
    .{ errno(.AFNOSUPPORT), &.{error.AddressFamilyUnsupported} },
    .{ errno(.PROTONOSUPPORT), &.{ error.ProtocolUnsupportedByAddressFamily, error.ProtocolUnsupportedBySystem } },
    .{ errno(.PROTOTYPE), &.{error.SocketModeUnsupported} },
    .{ errno(.PROTO), &.{error.ProtocolFailure} },
    .{ errno(.MSGSIZE), &.{error.MessageOversize} },
    .{ errno(.IO), &.{error.InputOutput} },
    .{ errno(.ISDIR), &.{error.IsDir} },
    .{ errno(.NOSPC), &.{error.NoSpaceLeft} },
    .{ errno(.DQUOT), &.{error.DiskQuota} },
    .{ errno(.FBIG), &.{error.FileTooBig} },
    .{ errno(.BUSY), &.{error.DeviceBusy} },
    .{ errno(.TXTBSY), &.{error.FileBusy} },
    .{ errno(.NXIO), &.{ error.NoDevice, error.Unseekable } },
    .{ errno(.SPIPE), &.{error.Unseekable} },
    .{ errno(.OVERFLOW), &.{error.Unseekable} },
    .{ errno(.LOOP), &.{error.SymLinkLoop} },
    .{ errno(.NOENT), &.{error.FileNotFound} },
    .{ errno(.NOTDIR), &.{error.NotDir} },
    .{ errno(.ROFS), &.{error.ReadOnlyFileSystem} },
    .{ c.GMX_EAI_NONAME, &.{error.UnknownHostName} },
    .{ c.GMX_EAI_NODATA, &.{error.UnknownHostName} },
    .{ c.GMX_EAI_SERVICE, &.{error.UnknownService} },
    .{ c.GMX_EAI_AGAIN, &.{error.NameServerFailure} },
    .{ c.GMX_EAI_FAIL, &.{error.NameServerFailure} },
    .{ c.GMX_EAI_FAMILY, &.{error.AddressFamilyUnsupported} },
    .{ c.GMX_EAI_ADDRFAMILY, &.{error.AddressFamilyUnsupported} },
};

fn has(comptime Set: type, comptime err: anyerror) bool {
    for (@typeInfo(Set).error_set.error_names.?) |name| if (std.mem.eql(u8, name, @errorName(err))) return true;
    return false;
}

fn Row(comptime Set: type) type {
    return struct { c.Status, Set };
}

fn rows(comptime Set: type) []const Row(Set) {
    comptime {
        @setEvalBranchQuota(100_000);
        var list: []const Row(Set) = &.{};
        for (table) |row| for (row[1]) |err| if (has(Set, err)) {
            list = list ++ .{.{ row[0], @as(Set, @errorCast(err)) }};
            break;
        };
        return list;
    }
}

/// The error of `Set` for a status below 0.
pub fn of(comptime Set: type, s: c.Status) Set {
    for (comptime rows(Set)) |row| if (row[0] == s) return row[1];
    return error.Unexpected;
}

/// What a call on a connection can come to: the library's errors, and those of the system.
pub const ConnError = status.Error || error{
    AccessDenied,
    AddressFamilyUnsupported,
    AddressInUse,
    AddressUnavailable,
    ConnectionRefused,
    ConnectionResetByPeer,
    FileNotFound,
    HostUnreachable,
    InputOutput,
    NameServerFailure,
    NetworkDown,
    NetworkUnreachable,
    ProcessFdQuotaExceeded,
    SocketUnconnected,
    SystemFdQuotaExceeded,
    UnknownHostName,
    UnknownService,
};

/// Of a status that may be the library's or the system's.
pub fn ofConn(s: c.Status) ConnError {
    const err = status.fromStatus(s);
    return if (err == error.Unexpected) of(ConnError, s) else err;
}
