"""Listeners, and calls that give connections."""

import os
from functools import partial
from typing import Any, AsyncIterator, Iterator, Optional, TypeVar, Union

from . import _abi
from ._addresses import name, path, service
from ._conns import Conn
from ._descriptors import ClosedError, Descriptor
from ._errors import integer
from ._library import gmx
from ._polls import attempt_async
from ._waits import FOREVER, nanoseconds, wait

L = TypeVar("L", bound="Listener")


class Listener(Descriptor):
    """Where connections come in. Iterate over it to accept until it is closed."""

    def accept(self, timeout: Optional[float] = None) -> Conn:
        """Waits for a connection. TimeoutError, CanceledError; ClosedError if it is closed, also meanwhile. OSError
        EMFILE and the like if there is no descriptor for it, unless the listener is patient: then it waits for one."""
        conn = Conn._new()
        try:
            call = partial(gmx.gmx_accept, self.handle, _abi.byref(conn._handle), None, None)
            status = wait(nanoseconds(timeout), call)
            if status < 0:
                raise self._error(status)
            return conn._made(status, "a connection")
        except BaseException:
            _drop(conn)
            raise

    async def accept_async(self) -> Conn:
        """`accept` for coroutines. A wait costs a future, no thread and no goroutine. One that is canceled leaves the
        connection to the next."""
        conn = Conn._new()
        try:
            call = partial(gmx.gmx_accept, self.handle, _abi.byref(conn._handle), None, None, 0)
            status = await attempt_async(self, 0, call)
            if status < 0:
                raise self._error(status)
            return conn._made(status, "a connection")
        except BaseException:
            _drop(conn)
            raise

    def __iter__(self) -> Iterator[Conn]:
        while True:
            try:
                conn = self.accept()
            except ClosedError:
                return
            yield conn

    def __aiter__(self) -> AsyncIterator[Conn]:
        return self._conns()

    async def _conns(self) -> AsyncIterator[Conn]:
        while True:
            try:
                conn = await self.accept_async()
            except ClosedError:
                return
            yield conn


def _drop(conn: Conn) -> None:
    """Closes what nothing will take."""
    if conn._handle:
        conn.close()


def _options(backlog: int, timeout: Optional[float], **flags: bool) -> "_abi.gmx_listen_opts":
    options = _abi.gmx_listen_opts(struct_size=_abi.sizeof(_abi.gmx_listen_opts))
    options.backlog = integer(backlog, "a backlog", 0, 2**31 - 1)
    options.timeout = 0 if timeout is None else max(1, nanoseconds(timeout))
    for flag, wanted in flags.items():
        options.flags |= getattr(_abi, flag) if wanted else 0
    return options


def _said(host: Any, port: Any) -> str:
    """An address, for an error."""
    said = "" if host is None else os.fsdecode(host)
    return said if port is None else f"{said}:{port}"


D = TypeVar("D", bound=Descriptor)


def _open(made: D, what: str, call: Any, *arguments: Any) -> D:
    """The object, whose handle the call makes."""
    try:
        return made._made(wait(FOREVER, lambda _: call(*arguments, _abi.byref(made._handle))), what)
    except BaseException:
        if made._handle:
            made.close()
        raise


def listen_tcp(
    host: Union[str, bytes, None] = None,
    port: Union[str, int] = 0,
    *,
    backlog: int = 0,
    reuse_port: bool = False,
    v6only: bool = False,
    patient: bool = False,
    timeout: Optional[float] = None,
) -> Listener:
    """Listens for connections of TCP at an address of this machine: None for all of IPv6 and IPv4, port 0 for any that
    is free (`getsockname` tells it). `backlog`: how many connections may wait for `accept`, 0 for as many as the system
    allows. `reuse_port`: other sockets may have the address too. `v6only`: it leaves IPv4 to others. `patient`:
    `accept` waits while the system has no descriptor for a connection. A host that is a name is looked up, for no
    longer than timeout."""
    options = _options(
        backlog, timeout, GMX_LISTEN_REUSEPORT=reuse_port, GMX_LISTEN_V6ONLY=v6only, GMX_ACCEPT_PATIENT=patient
    )
    node, at_port = name(host, "a host"), service(port)
    return _open(Listener._new(), _said(host, port), gmx.gmx_listen_tcp, node, at_port, _abi.byref(options))


def listen_unix(
    path_: "Union[str, bytes, os.PathLike[str]]", *, backlog: int = 0, unlink: bool = False, patient: bool = False
) -> Listener:
    """Listens for connections of the Unix domain, as streams. A path that begins with "\\0" is an abstract name, which
    has no file. `unlink`: the file of a socket at which no process answers is removed first."""
    options = _options(backlog, None, GMX_LISTEN_UNLINK=unlink, GMX_ACCEPT_PATIENT=patient)
    return _open(Listener._new(), _said(path_, None), gmx.gmx_listen_unix, path(path_), _abi.byref(options))


def listen_inherit(index: int = 0) -> Listener:
    """One of the sockets that the process was started with, by systemd's protocol (LISTEN_FDS, LISTEN_PID): each of
    them once. FileNotFoundError if there is no such socket."""
    integer(index, "an index", 0, 2**31 - 1)
    return _open(Listener._new(), f"inherited socket {index}", gmx.gmx_listen_inherit, index)


def udp_open(
    host: Union[str, bytes, None] = None,
    port: Union[str, int] = 0,
    *,
    reuse_port: bool = False,
    v6only: bool = False,
    timeout: Optional[float] = None,
) -> Conn:
    """A socket for datagrams of UDP, at an address of this machine; as listen_tcp."""
    options = _options(0, timeout, GMX_LISTEN_REUSEPORT=reuse_port, GMX_LISTEN_V6ONLY=v6only)
    node, at_port = name(host, "a host"), service(port)
    return _open(Conn._new(), _said(host, port), gmx.gmx_udp_open, node, at_port, _abi.byref(options))


def dial(
    network: str,
    host: "Union[str, bytes, os.PathLike[str]]",
    port: Union[str, int, None] = None,
    timeout: Optional[float] = None,
) -> Conn:
    """Connects to a name. `network`: "tcp" or "udp", or one of them with a 4 or a 6 for one family only; "unix",
    "unixgram" or "unixpacket", whose host is a path. The addresses of a name are tried in turns of both families, 250
    ms apart, and the first connection counts (RFC 8305). ConnectionRefusedError and the like, socket.gaierror,
    TimeoutError, CanceledError."""
    if not isinstance(network, str):
        raise TypeError(f"a network is a str, not {type(network).__name__}")
    node = path(host) if network.startswith("unix") else name(host, "a host")  # type: ignore[arg-type]
    at_port = service(port)
    conn = Conn._new()
    try:
        call = partial(gmx.gmx_dial, network.encode("ascii"), node, at_port, None)
        status = wait(nanoseconds(timeout), call, rest=(_abi.byref(conn._handle),))
        if status == _abi.GMX_EINVAL:
            raise ValueError(f"no such network, or not this address: {network!r}, {host!r}, {port!r}")
        return conn._made(status, _said(host, port))
    except BaseException:
        _drop(conn)
        raise
