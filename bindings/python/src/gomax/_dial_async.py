"""`dial` for coroutines."""

import os
import socket
from functools import partial
from typing import List, Union

from ._addresses import Address, pack
from ._conns import Conn
from ._goroutines import G, start
from ._library import gmx
from ._listeners import _drop, dial
from ._polls import attempt_async
from ._views import address_of

_FAMILIES = {"tcp": 0, "tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}


async def dial_async(
    network: str, host: "Union[str, bytes, os.PathLike[str]]", port: Union[str, int, None] = None
) -> Conn:
    """`dial` for coroutines. A host of TCP that is a number costs a future, as each wait of a Conn does. A name costs a
    goroutine, and so a thread, until the connection is there: the C library looks it up on one anyway."""
    if network in _FAMILIES and isinstance(host, str) and port is not None:
        try:
            flags = socket.AI_NUMERICHOST
            found = socket.getaddrinfo(host, port, _FAMILIES[network], socket.SOCK_STREAM, flags=flags)
        except OSError:
            found = []
        if len(found) == 1:
            return await _connect(found[0][0], found[0][4])
    return await _by_goroutine(network, host, port)


async def _connect(family: int, address: Address) -> Conn:
    to = pack(address)
    conn = Conn.from_socket(socket.socket(family, socket.SOCK_STREAM))
    try:
        status = await attempt_async(conn, 1, partial(gmx.gmx_connect, conn.handle, address_of(to), len(to), 0))
        if status < 0:
            raise conn._error(status, f"{address[0]}:{address[1]}")
        return conn
    except BaseException:
        _drop(conn)
        raise


async def _by_goroutine(network: str, host: "Union[str, bytes, os.PathLike[str]]", port: Union[str, int, None]) -> Conn:
    started: "List[G[Conn]]" = []
    try:
        return await start(dial, (network, host, port), {}, told=True, register=started.append)
    except BaseException:
        for g in started:
            if not g.done() or g._error is None:  # the coroutine is canceled, not the dial
                g.cancel()
                g.add_done_callback(_close_result)
        raise


def _close_result(g: "G[Conn]") -> None:
    if g._result is not None:
        _drop(g._result)
