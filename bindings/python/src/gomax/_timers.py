"""Timers of the library, which threads and select wait for; and the loop's own, which coroutines wait for."""

import math
from collections import deque
from itertools import starmap
from typing import Any, AsyncIterator, Deque, Iterator, List, Optional

from . import _abi, _loops
from ._channels import EAGAIN, OK, RECV, Source
from ._errors import ForkedError, check, error
from ._library import Process, gmx, process
from ._select import _select
from ._waits import nanoseconds


class Timer(Source):
    """After delay seconds the time can be received from it once, and with a period again and again; a slow receiver
    loses some. Times are those of time.monotonic(). The timer stops when the last reference to it goes."""

    _timer: Any = None

    def __init__(self, delay: float, period: float = 0.0) -> None:
        self._epoch = process.epoch
        self.period = period
        self._back: Deque[float] = deque()  # what an exception has kept a receiver from taking
        self._timer, self._cell = _abi.c_uint64(), _abi.c_void_p()
        check(
            gmx.gmx_timer_new(
                nanoseconds(delay), nanoseconds(period), _abi.byref(self._timer), _abi.byref(self._cell)
            ),
            "a timer with this period",
        )
        assert self._cell.value
        self._chan = self._cell.value

    def __del__(self, process: Process = process, gmx: _abi.Library = gmx) -> None:
        if self._timer and self._epoch is process.epoch:
            gmx.gmx_timer_free(self._timer, None)
            gmx.gmx_chan_free(self._cell)

    def recv(self, timeout: Optional[float] = None) -> float:
        """Waits until it fires, and returns the time when it did."""
        box: List[float] = []
        if self._epoch is not process.epoch:
            raise ForkedError()
        try:
            status, _ = _select([(self, RECV, box)], nanoseconds(timeout))
            if status < 0:
                raise error(status)
            return box[0]
        except BaseException:
            self._give_back(box)
            raise

    def stop(self) -> bool:
        """Nothing comes any more. False if there was nothing to stop."""
        stopped = _abi.c_bool()
        check(gmx.gmx_timer_stop(self._timer, _abi.byref(stopped)))
        self._back.clear()
        return stopped.value

    def reset(self, delay: float, period: float = 0.0) -> bool:
        """Sets it anew; nothing of before comes any more."""
        self.period = period
        stopped = _abi.c_bool()
        first, then = nanoseconds(delay), nanoseconds(period)
        self._back.clear()
        check(gmx.gmx_timer_reset(self._timer, first, then, _abi.byref(stopped)))
        return stopped.value

    def __iter__(self) -> Iterator[float]:
        while True:
            yield self.recv()

    def _attempt(self, op: int, box: List[Any]) -> int:
        if self._back:
            try:
                box[:] = starmap(self._back.popleft, ((),))
                return OK
            except IndexError:
                pass  # another receiver was faster
        word, record = _abi.c_int64(), [EAGAIN]
        try:
            record[:] = map(gmx.gmx_chan_try_recv, (self._chan,), (_abi.byref(word),))
        finally:
            if record == [OK]:
                box[:] = [word.value / 1e9]
        return record[0]

    def _again(self, op: int, box: List[Any]) -> int:
        return self._attempt(op, box) if self._back else EAGAIN

    def _done(self, op: int, box: List[Any], word: Any) -> None:
        if not box:
            box[:] = [word.value / 1e9]

    def _give_back(self, box: List[Any]) -> None:
        if box:
            self._back += box
            del box[:]


def after(delay: float) -> Timer:
    """A timer that fires once: for select."""
    return Timer(delay)


class Ticker(Timer):
    """Fires every period seconds. In a coroutine `async for` counts on the loop's clock instead."""

    def __init__(self, period: float) -> None:
        if not 0 < period < math.inf:
            raise ValueError("a period above 0")
        super().__init__(period, period)

    async def __aiter__(self) -> AsyncIterator[float]:
        next_ = _loops.clock()
        while True:
            next_ = max(next_ + self.period, _loops.clock())
            await _loops.sleep(next_ - _loops.clock())
            yield _loops.clock()


async def sleep_async(seconds: float) -> None:
    """`sleep` for coroutines: a timer of the loop."""
    nanoseconds(seconds)  # refuses what is no time
    await _loops.sleep(seconds)
