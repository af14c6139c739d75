"""Handles of descriptors: what a connection and a listener have in common.

A handle is the library's (gmx_poll): each call on it waits without a thread of the library, and ends with its timeout,
its deadline, the token of its caller, or when the handle is closed. C functions use it by `handle`.

DESC-1. The object is there before the call that makes its handle, which writes it there (WAITS-R1). So a handle always
        has an owner: what an exception from outside leaves behind is closed by `__del__`.
DESC-2. A handle is a number that is never used again. A call on a closed one says so, whatever the system has made of
        its descriptor meanwhile. What uses the descriptor's number (options of sockets, the epoll of a loop) looks
        behind that whether the handle was still open.
DESC-3. `close` first lets go of the descriptor where coroutines wait for it, then closes the handle, and then wakes the
        coroutines, which try again and find it closed (POLL-3 in _polls.py). One thread at a time does so, and only if
        the handle is open: otherwise it would let go of another descriptor of the same number.
DESC-4. A child of fork has the descriptor, but no handle: `close` and `detach` do there what they say, by the number,
        and everything else raises ForkedError.
"""

import errno
import os
import select
import socket
import warnings
from functools import partial
from itertools import starmap
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Protocol, Type, TypeVar, Union

from . import _abi, _errors
from ._addresses import Address, net_error
from ._errors import ForkedError, integer
from ._goroutines import leftovers, sweep
from ._library import Process, ending, gmx, once, process, rest, resume_close_method
from ._waits import FOREVER, at_once, meeting, nanoseconds, wait

if TYPE_CHECKING:
    from ._polls import Place

D = TypeVar("D", bound="Descriptor")
IN, OUT = _abi.GMX_POLL_IN, _abi.GMX_POLL_OUT
EBADF = _abi.GMX_EBADF


class ClosedError(_errors.ClosedError, OSError):
    """The connection or listener was closed here. It is a gomax.ClosedError, and an OSError whose errno is EBADF."""

    def __init__(self, status: int = EBADF, what: str = "") -> None:
        super().__init__(status, what)
        self.errno = errno.EBADF


class Descriptor:
    """What a handle belongs to."""

    _handle = _abi.c_uint64()  # none, until there is one

    def __init__(self, fd: int, borrow: bool = False) -> None:
        """A handle for a descriptor that is open. It belongs to this object, which closes it, unless `borrow`. For
        coroutines a descriptor has one such object."""
        integer(fd, "a descriptor", 0, 2**31 - 1)
        self._begin()
        self._borrowed = borrow
        self._made(gmx.gmx_poll_open(fd, self._flags(borrow), _abi.byref(self._handle)), f"descriptor {fd}")

    def _begin(self) -> None:
        """What must be there before its handle."""
        if leftovers:
            sweep()
        self._epoch = process.epoch
        self._borrowed = False
        self._fd = -1
        self._limits = [FOREVER, FOREVER]  # the deadlines of reading and writing, for coroutines
        self._places: "List[Place]" = []  # where coroutines wait for it: one for each loop
        self._turn: List[None] = [None]  # the thread that has popped this ends the handle
        self._keep: Any = None  # what owns a borrowed descriptor
        self._handle = _abi.c_uint64()

    def _flags(self, borrow: bool) -> int:
        return _abi.GMX_POLL_BORROW if borrow else 0

    def _made(self: D, status: int, what: str) -> D:
        """This object, when its handle was to be made."""
        if status < 0:
            raise net_error(status, what)
        self._fd = gmx.gmx_poll_fd(self._handle)
        return self

    @classmethod
    def _new(cls: Type[D]) -> D:
        """An object without a handle."""
        made = cls.__new__(cls)
        made._begin()
        return made

    @classmethod
    def from_socket(cls: Type[D], sock: socket.socket, borrow: bool = False) -> D:
        """Takes the descriptor of a socket, which is closed as by its `detach`. With `borrow` the socket keeps it, and
        must not be closed before this object."""
        made = cls._new()
        fd = sock.fileno()
        try:
            made._borrowed = borrow
            made._made(gmx.gmx_poll_open(fd, made._flags(borrow), _abi.byref(made._handle)), "a socket")
            if borrow:
                made._keep = sock
            else:
                sock.detach()
            return made
        except BaseException:
            if not borrow and sock.fileno() >= 0 and made._handle:  # the socket has it still
                released = _abi.c_int32()
                at_once(lambda: gmx.gmx_poll_release(made._handle, _abi.byref(released)))
            raise

    # ---- for its owner ----

    @property
    def handle(self) -> int:
        """The handle for C functions: a gmx_poll. It is theirs until `close`; they do not close it while coroutines
        wait."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        return self._handle.value

    def fileno(self) -> int:
        """The number of the descriptor, for calls of the system that this package does not have; -1 when it is
        closed."""
        return -1 if self.closed else self._fd

    @property
    def closed(self) -> bool:
        """Whether it is closed, or was given away by `detach`."""
        if self._epoch is not process.epoch:
            return self._fd < 0
        return gmx.gmx_poll_fd(self._handle) < 0

    def close(self) -> None:
        """Closes it. Calls that wait there end with ClosedError, and so does each later one. No error if it is closed
        already."""
        if self._epoch is not process.epoch:
            self._close_of_parent()
            return
        status = self._end(lambda: gmx.gmx_close(self._handle))
        if status < 0 and status != EBADF:
            raise net_error(status)

    def _end(self, call: Callable[[], int]) -> int:
        """What call() returns, which ends the handle (DESC-3). EBADF if another thread does."""
        turn: List[None] = []
        try:
            try:
                turn[:] = starmap(self._turn.pop, ((),))
            except IndexError:
                return EBADF
            if self.closed:
                return EBADF
            for place in list(self._places):
                place.forget()
            try:
                return at_once(call)
            finally:
                if not self.closed:  # the world is stopped: coroutines wait on
                    for place in list(self._places):
                        place.poller.places[place.fd] = place
                self._wake()
        finally:
            self._turn.extend(turn)

    def detach(self) -> int:
        """Takes the descriptor out, which stays open and is the caller's. This object is closed."""
        fd = _abi.c_int32(-1)
        if self._epoch is not process.epoch:
            fd.value, self._fd = self._fd, -1
            if fd.value < 0:
                raise ClosedError()
            return fd.value
        try:
            status = self._end(lambda: gmx.gmx_poll_release(self._handle, _abi.byref(fd)))
            if status < 0:
                raise self._error(status)
            return fd.value
        except BaseException:
            if fd.value >= 0 and not self._borrowed:
                os.close(fd.value)
            raise

    def _close_of_parent(self) -> None:
        """In a child of fork (DESC-4)."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and not self._borrowed:
            os.close(fd)

    def __del__(
        self,
        process: Process = process,
        gmx: _abi.Library = gmx,
        at_once: Callable[[Callable[[], int]], int] = at_once,
        holds: Callable[[], bool] = meeting._is_owned,
        leftovers: Any = leftovers,
        warn: Any = warnings.warn,
    ) -> None:
        handle = self._handle
        if not handle or self._epoch is not process.epoch or gmx.gmx_poll_fd(handle) < 0:
            return
        said, late = repr(self), self._close_late
        for place in self._places:
            place.forget()
        if holds() or at_once(lambda: gmx.gmx_close(handle)) < 0:
            leftovers.append((late, (handle.value,), None))  # (WAITS-R5)
        if self._fd >= 0 and not self._borrowed:  # (without a number its caller never got it)
            warn(f"unclosed {said}", ResourceWarning, source=self)  # which may raise

    @staticmethod
    def _close_late(handle: int) -> int:
        """Closes the handle of an object that is gone: ESTALE if it was closed meanwhile."""
        status = gmx.gmx_close(handle)
        return _abi.GMX_ESTALE if status == EBADF else status

    def __enter__(self: D) -> D:
        self.__dict__["_ends"] = once(ending(self.close))
        return self

    if TYPE_CHECKING:

        def __exit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> None: ...

    else:
        __exit__ = resume_close_method()

    def _ends(self) -> Any:
        """What `__exit__` resumes if no block has begun, or one has ended meanwhile."""
        return rest(ending(self.close))

    def __repr__(self) -> str:
        return f"<gomax.net.{type(self).__name__} {'closed' if self.closed else f'fd={self._fd}'}>"

    # ---- for all that use it ----

    def set_deadline(self, when: Optional[float], *, read: bool = True, write: bool = True) -> None:
        """Sets the moment, as time.monotonic() counts, at which calls end with TimeoutError: those that wait now and
        all later ones, also if there is something to read. None: there is no such moment, as at the beginning. `read`
        and `write`: for which calls; accepts are reads."""
        at = nanoseconds(when)
        which = (IN if read else 0) | (OUT if write else 0)
        if not which:
            raise ValueError("a deadline is for reading, for writing, or for both")
        status = gmx.gmx_poll_set_deadline(self.handle, which, at)
        if status < 0:
            raise self._error(status)
        for direction, concerned in enumerate((read, write)):
            if concerned:
                self._limits[direction] = at
        self._wake()

    def wait(self, events: int = select.POLLIN, timeout: Optional[float] = None) -> int:
        """Waits until it is ready for one of the events, select.POLLIN, select.POLLOUT or both, and returns what is
        there, in the bits of select.poll. It may be gone when the caller uses it, if others use the descriptor too."""
        ready = _abi.c_uint32()
        call = partial(gmx.gmx_poll_wait, self.handle, integer(events, "events", 0, 2**32 - 1))
        status = wait(nanoseconds(timeout), call, rest=(_abi.byref(ready),))
        if status < 0:
            raise self._error(status)
        return ready.value

    def _error(self, status: int, what: str = "") -> BaseException:
        """For a status of a call on the handle. EBADF of the system (it is not open for this) is no ClosedError."""
        if status == EBADF and gmx.gmx_poll_fd(self._handle) < 0:
            return ClosedError(status, what)
        return net_error(status, what)

    # ---- what the system knows of it ----

    def _as_socket(self) -> socket.socket:
        """A socket for one call, with a descriptor of its own."""
        self.handle  # not in a child of fork
        try:
            fd = os.dup(self._fd)
        except OSError:
            if self.closed:
                raise ClosedError() from None
            raise
        if self.closed:  # asked behind the call (DESC-2): another thread may have closed it before
            os.close(fd)
            raise ClosedError()
        return socket.socket(fileno=fd)

    def getsockname(self) -> Address:
        """Its own address, as that of socket.socket."""
        with self._as_socket() as sock:
            return sock.getsockname()

    def getpeername(self) -> Address:
        """The address of the other end, as that of socket.socket."""
        with self._as_socket() as sock:
            return sock.getpeername()

    def setsockopt(self, *arguments: Any) -> None:
        """As that of socket.socket."""
        with self._as_socket() as sock:
            sock.setsockopt(*arguments)

    def getsockopt(self, *arguments: Any) -> Any:
        """As that of socket.socket."""
        with self._as_socket() as sock:
            return sock.getsockopt(*arguments)

    # ---- coroutines that wait for it ----

    def _wake(self) -> None:
        """Coroutines that wait for it try again."""
        for place in list(self._places):
            place.wake_all()


class HasFileno(Protocol):
    def fileno(self) -> int: ...


def wait_fd(fd: Union[int, HasFileno], events: int = select.POLLIN, timeout: Optional[float] = None) -> int:
    """Waits until a descriptor is ready for one of the events, as Descriptor.wait does; for one wait. Something that
    has `fileno()` will do. It must not be closed meanwhile."""
    number = fd if isinstance(fd, int) else fd.fileno()
    integer(number, "a descriptor", 0, 2**31 - 1)
    ready = _abi.c_uint32()
    call = partial(gmx.gmx_wait_fd, number, integer(events, "events", 0, 2**32 - 1))
    status = wait(nanoseconds(timeout), call, rest=(_abi.byref(ready),))
    if status < 0:
        raise net_error(status)
    return ready.value
