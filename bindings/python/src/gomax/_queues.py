"""Queue: a Channel with the interface of queue.Queue."""

import queue
import sys
from functools import partial
from itertools import starmap
from sys import modules
from typing import Generic, List, Optional, TypeVar

from . import _abi, _loops
from ._channels import RECV, SEND, UNBOUNDED, Channel
from ._coroutines import EAGAIN, Alone, leave
from ._errors import ClosedError, ForkedError, check, error
from ._library import gmx, process
from ._waits import FOREVER, wait

T = TypeVar("T")

if sys.version_info >= (3, 13):

    class ShutDown(ClosedError, queue.ShutDown):
        """The queue was shut down. It is a ClosedError, and from Python 3.13 on a queue.ShutDown."""

else:

    class ShutDown(ClosedError):
        """The queue was shut down. It is a ClosedError, and from Python 3.13 on a queue.ShutDown."""


class Queue(Generic[T]):
    """queue.Queue for goroutines, threads and coroutines: the same methods with the same errors, queue.Full and
    queue.Empty. Its waits end with CanceledError when the scope around the caller is canceled, that of `join` too.
    `channel` can be received from in a `select`. maxsize: for how many values there is room; 0 or less: any number."""

    def __init__(self, maxsize: int = 0) -> None:
        self.maxsize = maxsize
        self._channel: Channel[T] = Channel(maxsize if maxsize > 0 else UNBOUNDED)
        self._unfinished = _abi.gmx_waitgroup()
        self._epoch = process.epoch

    @property
    def channel(self) -> "Channel[T]":
        """For `select`: what is received from it was got from the queue. Send by `put`, which counts."""
        return self._channel

    def put(self, item: T, block: bool = True, timeout: Optional[float] = None) -> None:
        """Puts a value into it, waiting for room. queue.Full: there was none in time, or at once if not `block`.
        ShutDown."""
        counted: List[int] = []
        box = [item]
        try:
            self._count(counted)
            status = self._channel._do(SEND, box, _limit(block, timeout))
            if status < 0:
                raise queue.Full if status == _abi.GMX_ETIMEDOUT else self._error(status)
        except BaseException:
            if counted == [_abi.GMX_OK] and box:  # otherwise an exception from outside has come when it was put
                gmx.gmx_waitgroup_add(_abi.byref(self._unfinished), -1)
            raise

    def get(self, block: bool = True, timeout: Optional[float] = None) -> T:
        """Takes a value, waiting until there is one. queue.Empty: there was none in time, or at once if not `block`.
        ShutDown."""
        box: List[T] = []
        try:
            status = self._channel._do(RECV, box, _limit(block, timeout))
            if status < 0:
                raise queue.Empty if status == _abi.GMX_ETIMEDOUT else self._error(status)
            return box[0]
        except BaseException:
            if box:  # an exception from outside has come when it was taken
                self._channel._give_back(box)
            raise

    def put_nowait(self, item: T) -> None:
        """put(item, block=False)"""
        self.put(item, block=False)

    def get_nowait(self) -> T:
        """get(block=False)"""
        return self.get(block=False)

    async def put_async(self, item: T) -> None:
        """`put` for coroutines."""
        counted: List[int] = []
        coroutine = Alone([item])
        try:
            self._count(counted)
            if "trio" in modules:
                await _loops.checkpoint()
            status = self._channel._attempt_or_enlist(SEND, coroutine)
            if status == EAGAIN:
                await coroutine.future
                status = coroutine.status
            if status < 0:
                raise self._error(status)
        except BaseException as e:
            leave([(self._channel, SEND, coroutine)], True, isinstance(e, GeneratorExit))
            if counted == [_abi.GMX_OK] and coroutine.status != _abi.GMX_OK and coroutine.box:  # as above
                gmx.gmx_waitgroup_add(_abi.byref(self._unfinished), -1)
            raise

    async def get_async(self) -> T:
        """`get` for coroutines."""
        try:
            return await self._channel.recv_async()
        except ClosedError as e:
            raise self._error(e.status) from None

    def task_done(self) -> None:
        """What was got is done with: `join` waits until that was said of all that was put. ValueError: it was said too
        often."""
        self._mine()
        check(gmx.gmx_waitgroup_add(_abi.byref(self._unfinished), -1), "task_done() called too many times")

    def join(self) -> None:
        """Waits until `task_done` was called for all that was put. A coroutine does it by `await
        gomax.go(queue.join)`."""
        self._mine()
        try:
            gmx.gmx_cancel_locks(True)  # a scope ends this wait: the workers may be canceled, and say nothing any more
            check(wait(FOREVER, partial(gmx.gmx_waitgroup_wait_timeout, _abi.byref(self._unfinished))))
        finally:
            gmx.gmx_cancel_locks(False)

    def qsize(self) -> int:
        """How many values are in it."""
        return len(self._channel)

    def empty(self) -> bool:
        """Whether none is in it. At the next moment that may have changed."""
        return len(self._channel) == 0

    def full(self) -> bool:
        """Whether there is no room. At the next moment that may have changed."""
        return 0 < self.maxsize <= len(self._channel)

    def shutdown(self, immediate: bool = False) -> None:
        """`put` raises ShutDown from now on, and `get` when it is empty. With `immediate` what is in it is dropped, as
        if `task_done` was called for it."""
        try:
            self._channel.close()
        except ClosedError:
            pass
        while immediate:
            try:
                self._channel.recv_nowait()
            except ClosedError:
                return
            self.task_done()

    def _mine(self) -> None:
        if self._epoch is not process.epoch:
            raise ForkedError()

    def _count(self, record: List[int]) -> None:
        self._mine()
        record[:] = starmap(gmx.gmx_waitgroup_add, ((_abi.byref(self._unfinished), 1),))
        check(record[0], "too many values that are not done with")

    @staticmethod
    def _error(status: int) -> BaseException:
        return ShutDown() if status == _abi.GMX_ECLOSED else error(status)

    def __repr__(self) -> str:
        return f"<gomax.Queue of {self.qsize()}>"


def _limit(block: bool, timeout: Optional[float]) -> Optional[float]:
    if not block:
        return 0
    if timeout is not None and timeout < 0:
        raise ValueError("a timeout is not below 0")
    return timeout
