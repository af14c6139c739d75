"""Connections: reading and writing.

A call that waits on the main thread is made again when a signal has come (_waits.py). A read has read nothing by then.
A write may have written something:

CONN-1. Each attempt of a write, and of a read of a whole length, has a cell of its own for what it has moved, which the
        library writes before anything else can come (WAITS-R1). What is done is the sum of the cells; the next attempt
        begins there, and an exception says it, whatever it is: `characters_written`, or `partial`.
"""

import io
import os
from functools import partial
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import _abi
from ._addresses import ROOM, Address, pack, unpack
from ._descriptors import Descriptor
from ._errors import CanceledError, integer
from ._library import gmx
from ._polls import attempt_async
from ._views import LONGEST, View, Views, address_of, new_bytes
from ._waits import nanoseconds, wait

_EPIPE = _abi.GMX_EPIPE
_MOST_FDS = 253


class Cells:
    """How much a transfer has moved, attempt by attempt (CONN-1)."""

    __slots__ = ("cells",)

    def __init__(self) -> None:
        self.cells: "List[_abi.c_size_t]" = []

    def done(self) -> int:
        return sum([cell.value for cell in self.cells])

    def next(self) -> Any:
        cell = _abi.c_size_t()
        self.cells.append(cell)
        return _abi.byref(cell)


class Conn(Descriptor):
    """A connection, or any other descriptor that is read and written: a pipe, a terminal, a datagram socket.
    Goroutines, threads and coroutines may use it at the same time; those that read take turns, and so do those that
    write.

    Each call waits for no longer than its timeout in seconds: TimeoutError. A scope or token that is canceled ends it
    with CanceledError, `close` with gomax.net.ClosedError, and an error of the system is its OSError. What is read into
    or written from is any object with a buffer; it is not copied, and its size cannot change meanwhile."""

    _files: "Dict[int, None]"
    _ending = False

    def _begin(self) -> None:
        super()._begin()
        self._files = {}  # of `makefile`, that are open

    # ---- a stream ----

    def read(self, n: int, timeout: Optional[float] = None) -> bytes:
        """Reads what is there, at most n bytes, and waits while there is nothing. b"" at the end of the data. An
        exception from outside (Ctrl-C) that comes when the bytes are read loses them, as with socket.recv."""
        size = min(integer(n, "how much to read", 0, 2**63 - 1), LONGEST)
        handle, data = self.handle, new_bytes(size)
        status = wait(nanoseconds(timeout), partial(gmx.gmx_read, handle, address_of(data), size))
        if status < 0:
            raise self._error(status)
        return data[:status]

    def readinto(self, buffer: Any, timeout: Optional[float] = None) -> int:
        """As `read`, into memory that can be written. How many bytes they are: 0 at the end of the data."""
        handle, view = self.handle, View(buffer, True)
        try:
            status = wait(nanoseconds(timeout), partial(gmx.gmx_read, handle, view.address, view.size))
        finally:
            view.release()
        if status < 0:
            raise self._error(status)
        return status

    def read_full(self, n: int, timeout: Optional[float] = None) -> bytes:
        """Reads n bytes, and waits until all are there. EOFError if the data ends before. What comes out of it has the
        bytes that were read as `partial`."""
        size, cells = integer(n, "how much to read", 0, 2**63 - 1), Cells()
        handle, data = self.handle, new_bytes(size)
        address = address_of(data)

        def call(limit: int) -> int:
            done = cells.done()
            return gmx.gmx_read_full(handle, address + done, size - done, limit, cells.next())

        try:
            status = wait(nanoseconds(timeout), call)
            if status == _EPIPE:
                raise EOFError(f"the data ends after {cells.done()} of {size} bytes")
            if status < 0:
                raise self._error(status)
            return data
        except BaseException as e:
            e.partial = data[: cells.done()]  # type: ignore[attr-defined]
            raise

    def readv(self, buffers: Sequence[Any], timeout: Optional[float] = None) -> int:
        """As `readinto`, into one memory after the other."""
        handle, views = self.handle, Views(buffers, True)
        try:
            parts = views.vector(0)
            status = wait(nanoseconds(timeout), partial(gmx.gmx_readv, handle, parts, len(parts)))
        finally:
            views.release()
        if status < 0:
            raise self._error(status)
        return status

    def write(self, data: Any, timeout: Optional[float] = None) -> int:
        """Writes all of it, and waits where the other end takes no more. How many bytes that are. What comes out of it
        says how many were written before: `characters_written`. BrokenPipeError: the other end is closed."""
        handle, cells, view = self.handle, Cells(), View(data)
        address, size = view.address, view.size

        def call(limit: int) -> int:
            done = cells.done()
            return gmx.gmx_write(handle, address + done, size - done, limit, cells.next())

        try:
            status = wait(nanoseconds(timeout), call)
            if status < 0:
                raise self._error(status)
            return size
        except BaseException as e:
            e.characters_written = cells.done()  # type: ignore[attr-defined]
            raise
        finally:
            view.release()

    def writev(self, buffers: Sequence[Any], timeout: Optional[float] = None) -> int:
        """As `write`, from one memory after the other, without putting them together first."""
        handle, cells, views = self.handle, Cells(), Views(buffers)

        def call(limit: int) -> int:
            parts = views.vector(cells.done())
            return gmx.gmx_writev(handle, parts, len(parts), limit, cells.next())

        try:
            status = wait(nanoseconds(timeout), call)
            if status < 0:
                raise self._error(status)
            return views.size
        except BaseException as e:
            e.characters_written = cells.done()  # type: ignore[attr-defined]
            raise
        finally:
            views.release()

    def shutdown(self, how: int) -> None:
        """Ends a direction for good: socket.SHUT_RD, SHUT_WR or SHUT_RDWR."""
        status = gmx.gmx_poll_shutdown(self.handle, integer(how, "a direction", 0, 2))
        if status < 0:
            raise self._error(status)

    # ---- messages ----

    def recvfrom(self, n: int, timeout: Optional[float] = None) -> Tuple[bytes, Optional[Address]]:
        """Receives a message, of which at most n bytes are kept, and says from where it comes."""
        size = min(integer(n, "how much to receive", 0, 2**63 - 1), LONGEST)
        handle, data, address, length = self.handle, new_bytes(size), new_bytes(ROOM), _abi.c_uint32(ROOM)
        at, room = address_of(address), _abi.byref(length)
        call = partial(gmx.gmx_recvfrom, handle, address_of(data), size, 0, at, room)
        status = wait(nanoseconds(timeout), call)
        if status < 0:
            raise self._error(status)
        return data[:status], unpack(address[: min(length.value, ROOM)])

    def sendto(self, data: Any, address: Address, timeout: Optional[float] = None) -> int:
        """Sends a message to an address whose host is a number. How many bytes it has."""
        handle, to, view = self.handle, pack(address), View(data)
        try:
            call = partial(gmx.gmx_sendto, handle, view.address, view.size, 0, address_of(to), len(to))
            status = wait(nanoseconds(timeout), call)
        finally:
            view.release()
        if status < 0:
            raise self._error(status)
        return status

    def send_fds(self, data: Any, fds: Sequence[int], timeout: Optional[float] = None) -> int:
        """Sends bytes, at least one, and with them descriptors, by a socket of the Unix domain. How many bytes were
        sent: of a stream there may be a rest, for `write`. The descriptors stay the caller's."""
        numbers = [integer(fd, "a descriptor", 0, 2**31 - 1) for fd in fds]
        array = (_abi.c_int32 * len(numbers))(*numbers)
        handle, view = self.handle, View(data)
        try:
            call = partial(gmx.gmx_send_fds, handle, array, len(numbers), view.address, view.size)
            status = wait(nanoseconds(timeout), call)
        finally:
            view.release()
        if status < 0:
            raise self._error(status)
        return status

    def recv_fds(self, n: int, maxfds: int, timeout: Optional[float] = None) -> Tuple[bytes, List[int]]:
        """Receives at most n bytes, and at most maxfds descriptors with them. OSError EMSGSIZE: more have come, and all
        are closed."""
        size = min(integer(n, "how much to receive", 1, 2**63 - 1), LONGEST)
        room = integer(maxfds, "how many descriptors", 0, _MOST_FDS)
        handle, data, record = self.handle, new_bytes(size), [-1]
        array, count = (_abi.c_int32 * max(room, 1))(), _abi.c_size_t(room)
        call = partial(gmx.gmx_recv_fds, handle, array, _abi.byref(count), address_of(data), size)
        try:
            status = wait(nanoseconds(timeout), call, record=record)
            if status < 0:
                raise self._error(status)
            return data[:status], array[: count.value]
        except BaseException:
            if record[0] >= 0:  # an exception from outside: they have come, and nothing will take them
                for fd in array[: count.value]:
                    os.close(fd)
            raise

    # ---- as sockets have it ----

    def sendall(self, data: Any, flags: int = 0) -> None:
        """`write`, by the name of socket.socket."""
        if flags:
            raise ValueError("flags are not supported")
        self.write(data)

    def makefile(
        self,
        mode: str = "r",
        buffering: Optional[int] = None,
        *,
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Any:
        """A file of the module io, as that of socket.socket: `close` waits until the files are closed too. So
        http.client and what else wants a socket to read and write works with a Conn. `timeout` is that of each read and
        write."""
        if not mode or set(mode) - set("rwb"):
            raise ValueError(f"a mode is of r, w and b, not {mode!r}")
        reads, writes = "r" in mode or "w" not in mode, "w" in mode
        raw = RawConn(self, reads, writes, timeout)
        try:
            if buffering == 0:
                if "b" not in mode:
                    raise ValueError("a text file has a buffer")
                return raw
            size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
            file: Any
            if reads and writes:
                file = io.BufferedRWPair(raw, raw, size)
            else:
                file = io.BufferedReader(raw, size) if reads else io.BufferedWriter(raw, size)
            if "b" in mode:
                return file
            text = io.TextIOWrapper(file, encoding, errors, newline)
            text.mode = mode  # type: ignore[misc]
            return text
        except BaseException:
            raw.close()
            raise

    def close(self) -> None:
        """Closes it. Calls that wait there end with ClosedError, and so does each later one. No error if it is closed
        already. If files of `makefile` are open, the last of them closes it."""
        self._ending = True
        if not self._files:
            super().close()

    # ---- for coroutines ----

    async def read_async(self, n: int) -> bytes:
        """`read` for coroutines. A wait costs a future, no thread and no goroutine. One that is canceled reads
        nothing."""
        size = min(integer(n, "how much to read", 0, 2**63 - 1), LONGEST)
        data = new_bytes(size)
        status = await attempt_async(self, 0, partial(gmx.gmx_read, self.handle, address_of(data), size, 0))
        if status < 0:
            raise self._error(status)
        return data[:status]

    async def read_full_async(self, n: int) -> bytes:
        """`read_full` for coroutines. The exception of one that is canceled has `partial` too. Goroutines that read the
        same connection may get bytes in between, other coroutines of this loop do not."""
        size, cells = integer(n, "how much to read", 0, 2**63 - 1), Cells()
        handle, data = self.handle, new_bytes(size)
        address = address_of(data)

        def attempt() -> int:
            done = cells.done()
            return gmx.gmx_read_full(handle, address + done, size - done, 0, cells.next())

        try:
            status = await attempt_async(self, 0, attempt)
            if status == _EPIPE:
                raise EOFError(f"the data ends after {cells.done()} of {size} bytes")
            if status < 0:
                raise self._error(status)
            return data
        except BaseException as e:
            e.partial = data[: cells.done()]  # type: ignore[attr-defined]
            raise

    async def write_async(self, data: Any) -> int:
        """`write` for coroutines. The exception of one that is canceled has `characters_written` too. What goroutines
        write to the same connection may come in between, what other coroutines of this loop write does not."""
        handle, cells, view = self.handle, Cells(), View(data)
        address, size = view.address, view.size

        def attempt() -> int:
            done = cells.done()
            return gmx.gmx_write(handle, address + done, size - done, 0, cells.next())

        try:
            status = await attempt_async(self, 1, attempt)
            if status < 0:
                raise self._error(status)
            return size
        except BaseException as e:
            e.characters_written = cells.done()  # type: ignore[attr-defined]
            raise
        finally:
            view.release()


class RawConn(io.RawIOBase):
    """What `Conn.makefile` gives to the buffers of io."""

    def __init__(self, conn: Conn, reads: bool, writes: bool, timeout: Optional[float]) -> None:
        self._conn, self._reads, self._writes, self._timeout = conn, reads, writes, timeout
        conn.handle  # not in a child of fork
        conn._files[id(self)] = None

    def readable(self) -> bool:
        """Whether it was made for reading."""
        return self._reads and not self.closed

    def writable(self) -> bool:
        """Whether it was made for writing."""
        return self._writes and not self.closed

    def readinto(self, buffer: Any) -> int:
        """Conn.readinto"""
        self._check(self._reads, "reading")
        return self._conn.readinto(buffer, self._timeout)

    def write(self, data: Any) -> int:
        """Conn.write. If that has written a part and failed, the part is no failure: a buffer keeps the rest, and would
        write all of it again otherwise."""
        self._check(self._writes, "writing")
        try:
            return self._conn.write(data, self._timeout)
        except (OSError, CanceledError) as e:
            written: int = e.characters_written  # type: ignore[union-attr]
            if written:
                return written
            raise

    def _check(self, meant: bool, what: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if not meant:
            raise io.UnsupportedOperation(f"not made for {what}")

    def fileno(self) -> int:
        """Conn.fileno"""
        self._check(True, "")
        return self._conn.fileno()

    def close(self) -> None:
        """Closes this file; and the connection, if that was closed before and this is its last file."""
        if self.closed:
            return
        super().close()
        self._conn._files.pop(id(self), None)
        if self._conn._ending:
            self._conn.close()
