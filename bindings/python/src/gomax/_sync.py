"""Wait groups and semaphores: the library's own, so Gs in C may use them too, by `address`."""

import ctypes
from types import TracebackType
from typing import Any, Callable, Optional, Type

from . import _abi
from ._errors import ForkedError, check
from ._goroutines import G, start
from ._library import gmx, process
from ._waits import nanoseconds, wait


class WaitGroup:
    """Counts what is under way; `wait` returns when nothing is."""

    def __init__(self, count: int = 0) -> None:
        self._group = _abi.gmx_waitgroup()
        self._epoch = process.epoch
        self.address = ctypes.addressof(self._group)
        self.add(count)

    def add(self, delta: int = 1) -> None:
        check(gmx.gmx_waitgroup_add(self.address, delta), "a wait group below zero or above its limit")

    def done(self) -> None:
        self.add(-1)

    def wait(self, timeout: Optional[float] = None) -> None:
        if self._epoch is not process.epoch:
            raise ForkedError()
        check(wait(nanoseconds(timeout), lambda left: gmx.gmx_waitgroup_wait_timeout(self.address, left)))

    def go(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> "G[Any]":
        """Runs fn as a goroutine that counts here until it has ended. Its errors are reported as those of a thread,
        unless it is joined."""
        self.add(1)
        return start(fn, args, kwargs, then=lambda _: self.done())


class Semaphore:
    """A count that `acquire` takes one from, waiting while it is 0."""

    def __init__(self, count: int = 0) -> None:
        if not 0 <= count < 2**32:
            raise ValueError("a semaphore counts from 0 to 2**32-1")
        self._count = _abi.c_uint32(count)
        self._epoch = process.epoch
        self.address = ctypes.addressof(self._count)

    def acquire(self, timeout: Optional[float] = None) -> None:
        if gmx.gmx_sema_try_acquire(self.address) == _abi.GMX_OK:
            return
        if self._epoch is not process.epoch:
            raise ForkedError()
        check(wait(nanoseconds(timeout), lambda left: gmx.gmx_sema_acquire_timeout(self.address, left)))

    def release(self) -> None:
        check(gmx.gmx_sema_release(self.address))

    def __enter__(self) -> "Semaphore":
        self.acquire()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        self.release()
