"""Addresses of sockets, as Python writes them and as the system does; and names.

Python has a tuple for IPv4 and IPv6, a str or bytes for the Unix domain. The system has a sockaddr: a family, then
what that family needs.
"""

import ctypes
import os
import socket
import struct
from functools import partial
from typing import Any, List, Optional, Tuple, Union

from . import _abi
from ._errors import error, integer
from ._library import gmx
from ._waits import nanoseconds, wait

Address = Any
"""(host, port) for IPv4, (host, port, flow, scope) for IPv6, a path for the Unix domain: as those of `socket`."""
ROOM = 128  # a sockaddr_storage
_PATH = 108
_EAI = {
    getattr(_abi, name): getattr(socket, name[4:])
    for name in dir(_abi)
    if name.startswith("GMX_EAI_") and hasattr(socket, name[4:])
}
_PASSED_ON = (_abi.GMX_ETIMEDOUT, _abi.GMX_ECANCELED, _abi.GMX_ENOMEM)


def net_error(status: int, what: str = "") -> BaseException:
    """The exception for a negative status of the network: an OSError for an errno, a gaierror for a name that is not
    found. TimeoutError, CanceledError, MemoryError and what only the library has are as elsewhere (_errors.py)."""
    if status in _EAI:
        text: str = gmx.gmx_strerror(status).decode()
        return socket.gaierror(_EAI[status], f"{what}: {text}" if what else text)
    if status <= -1000 or status in _PASSED_ON:
        return error(status, what if status != _abi.GMX_ENOMEM else "")
    return OSError(-status, os.strerror(-status), *([what] if what else []))


def unpack(memory: bytes) -> Optional[Address]:
    """The address in a sockaddr; None if there is none, bytes for a family that Python code has no form for."""
    if len(memory) < 2:
        return None
    (family,) = struct.unpack_from("=H", memory)
    if family == socket.AF_INET:
        (port,) = struct.unpack_from("!H", memory, 2)
        return socket.inet_ntop(family, memory[4:8]), port
    if family == socket.AF_INET6:
        port, flow = struct.unpack_from("!HI", memory, 2)
        (scope,) = struct.unpack_from("=I", memory, 24)
        return socket.inet_ntop(family, memory[8:24]), port, flow & 0xFFFFF, scope
    if family == socket.AF_UNIX:
        path = memory[2:]
        return path if path[:1] == b"\0" else os.fsdecode(path.split(b"\0")[0])
    return memory


def pack(address: Address) -> bytes:
    """The sockaddr of an address whose host is a number. ValueError: it is a name, or none of these."""
    if isinstance(address, (str, bytes)):
        path = os.fsencode(address)
        if not path or len(path) >= _PATH or (b"\0" in path and path[0] != 0):
            raise ValueError(f"a path has 1 to {_PATH - 1} bytes, not {address!r}")
        return struct.pack("=H", socket.AF_UNIX) + path + (b"" if path[0] == 0 else b"\0")
    if not isinstance(address, tuple) or not 2 <= len(address) <= 4 or not isinstance(address[0], str):
        raise TypeError(f"an address is (host, port), or a path, not {address!r}")
    host, port = address[0], integer(address[1], "a port", 0, 65535)
    if ":" not in host:
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + _number(socket.AF_INET, host) + bytes(8)
    flow = integer(address[2], "a flow", 0, 0xFFFFF) if len(address) > 2 else 0
    host, _, zone = host.partition("%")
    scope = integer(address[3], "a scope", 0, 2**32 - 1) if len(address) > 3 else _zone(zone)
    number = _number(socket.AF_INET6, host)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, flow) + number + struct.pack("=I", scope)


def _number(family: int, host: str) -> bytes:
    try:
        return socket.inet_pton(family, host)
    except OSError:
        raise ValueError(f"the host of an address is a number here, not {host!r}: see getaddrinfo") from None


def _zone(zone: str) -> int:
    if not zone:
        return 0
    return int(zone) if zone.isdigit() else socket.if_nametoindex(zone)


def name(value: Union[str, bytes, None], what: str) -> Optional[bytes]:
    """A host as C has it."""
    if value is None or isinstance(value, bytes):
        encoded = value
    elif isinstance(value, str):
        encoded = value.encode("ascii") if value.isascii() else value.encode("idna")
    else:
        raise TypeError(f"{what} is a str, not {type(value).__name__}")
    return _whole(encoded, what)


def service(value: Union[str, int, None]) -> Optional[bytes]:
    """A port as C has it."""
    if value is None:
        return None
    if isinstance(value, str):
        return _whole(value.encode("ascii"), "a port")
    return str(integer(value, "a port", 0, 65535)).encode()


def path(value: "Union[str, bytes, os.PathLike[str]]") -> bytes:
    """The path of a Unix socket as C has it. An abstract name begins with "\\0" in Python, with an at sign in C."""
    encoded = os.fsencode(value)
    found = _whole(b"@" + encoded[1:] if encoded[:1] == b"\0" else encoded, "a path")
    assert found is not None
    return found


def _whole(encoded: Optional[bytes], what: str) -> Optional[bytes]:
    if encoded is not None and b"\0" in encoded:
        raise ValueError(f"{what} has no NUL in it")
    return encoded


class _addrinfo(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_int),
        ("family", ctypes.c_int),
        ("type", ctypes.c_int),
        ("proto", ctypes.c_int),
        ("length", ctypes.c_uint32),
        ("address", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("next", ctypes.c_void_p),
    ]


_free = ctypes.PyDLL(None)["freeaddrinfo"]
_free.argtypes, _free.restype = [ctypes.c_void_p], None


def getaddrinfo(
    host: Union[str, bytes, None],
    port: Union[str, int, None],
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
    timeout: Optional[float] = None,
) -> "List[Tuple[int, int, int, str, Address]]":
    """socket.getaddrinfo, whose wait has a timeout, and ends with CanceledError when the scope around the caller is
    canceled. socket.gaierror."""
    hints = _addrinfo(flags, family, type, proto)
    list_ = _abi.c_void_p()
    try:
        node, at_port = name(host, "a host"), service(port)
        lookup = partial(gmx.gmx_getaddrinfo, node, at_port, _abi.byref(hints), _abi.byref(list_))
        status = wait(nanoseconds(timeout), lookup)
        if status < 0:
            raise net_error(status)
        found, at = [], list_.value
        while at:
            info = _addrinfo.from_address(at)
            memory = ctypes.string_at(info.address, info.length)
            canonical = info.name.decode() if info.name else ""
            kind = _enum(socket.AddressFamily, info.family), _enum(socket.SocketKind, info.type)
            found.append((*kind, info.proto, canonical, unpack(memory)))
            at = info.next
        return found
    finally:
        if list_.value:
            _free(list_)


def _enum(kind: Any, value: int) -> Any:
    try:
        return kind(value)
    except ValueError:
        return value
