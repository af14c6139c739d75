"""`copy`: from one descriptor to another, by the system.

What a copy has read from a connection, and cannot write any more when it ends early, is lost. A signal that comes to
the main thread ends its wait, which is made again (_waits.py): a copy must not be. So that of the main thread runs on a
goroutine, which no signal reaches, under the token of its caller. The main thread waits for its end.
"""

from functools import partial
from threading import get_ident
from typing import List, Optional

from . import _abi
from ._descriptors import ClosedError, Descriptor
from ._errors import integer
from ._goroutines import G, start
from ._library import gmx
from ._scopes import token_around
from ._waits import _interrupts, nanoseconds, wait

_ALL = 2**64 - 1


def copy(source: Descriptor, to: Descriptor, n: Optional[int] = None, timeout: Optional[float] = None) -> int:
    """Copies n bytes, or all until the end of the data, from a connection, a pipe or a file to another, and says how
    many there were. The bytes stay in the system where it can do that (sendfile, splice, copy_file_range). A file is a
    Conn of its descriptor, and is read and written at its place. What comes out of it says as `characters_written` how
    many bytes have come to the other end; what was read from a connection by then, and not written, is lost."""
    count = _ALL if n is None else integer(n, "how much to copy", 0, 2**63 - 1)
    limit = nanoseconds(timeout)
    if get_ident() != _interrupts.main:
        return _copy(source, to, count, limit)
    started: "List[G[int]]" = []
    try:
        arguments = source, to, count, limit
        return start(_copy, arguments, {}, token_around(), told=True, register=started.append).join()
    finally:
        for g in started:
            g.cancel()


def _copy(source: Descriptor, to: Descriptor, count: int, limit: int) -> int:
    done = _abi.c_uint64()
    try:
        status = wait(limit, partial(gmx.gmx_copy, source.handle, to.handle, count, _abi.byref(done)))
        if status == _abi.GMX_EBADF and (source.closed or to.closed):
            raise ClosedError(status)
        if status < 0:
            raise to._error(status)
        return done.value
    except BaseException as e:
        e.characters_written = done.value  # type: ignore[attr-defined]
        raise
