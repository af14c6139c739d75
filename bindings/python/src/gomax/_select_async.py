"""select for coroutines.

A coroutine that selects waits at several channels, once in each list, and is served once: whoever comes to one of its
entries has to claim it (`Selecting.serve`). Attempts and entries are made with the locks of all its channels held, taken in
one order: so nobody serves one of its cases while it tries another.
"""

import contextlib
import threading
from sys import modules
from typing import Any, List, Optional, Tuple

from . import _abi, _loops
from ._channels import EAGAIN, OK, RECV, SEND, Channel, Coroutine, Selectable, Selected, _cases, _selected
from ._waits import FOREVER, nanoseconds


class Selecting:
    """What the cases of one select have in common."""

    def __init__(self) -> None:
        self.future = _loops.future()
        self.lock = threading.Lock()
        self.over = False
        self.chosen: Optional[Choice] = None

    def claim(self, case: "Optional[Choice]") -> bool:
        """For a case, or for nobody from now on. False if another was faster."""
        with self.lock:
            if self.over:
                return False
            self.over, self.chosen = True, case
        return True


class Choice(Coroutine[Any]):
    """One case of a select."""

    __slots__ = ("selecting",)
    sure = False

    def __init__(self, selecting: Selecting, box: List[Any]) -> None:
        self.selecting = selecting
        self.status = EAGAIN
        self.box = box

    def serve(self, status: int) -> bool:
        if not self.selecting.claim(self):
            return False
        self.status = status
        return _loops.wake(self.selecting.future)


async def select_async(*cases: Selectable, timeout: Optional[float] = None) -> Selected:
    """`select` for coroutines: (channel, value) to send, a Channel to receive from, or a goroutine to have ended. Another wait
    can be such a goroutine, `gomax.go(timer.recv)`, and there is `timeout`. One that is cancelled loses no value."""
    if "trio" in modules:
        await _loops.checkpoint()
    ready, numbers = _cases(cases)
    for channel, _, _ in ready:
        if not isinstance(channel, Channel):
            raise TypeError("a case of select_async is a Channel, (channel, value), a goroutine or None")
    selecting = Selecting()
    entries: List[Tuple[Channel[Any], int, Choice]] = []
    limit = nanoseconds(timeout)
    with contextlib.ExitStack() as locks:
        for channel in sorted({case[0] for case in ready}, key=id):
            locks.enter_context(channel._lock)  # type: ignore[attr-defined]
        for i, (channel, op, box) in enumerate(ready):
            status = channel._attempt_locked(op, box)  # type: ignore[attr-defined]
            if status != EAGAIN:
                return _selected(ready, numbers, status, i)
        if limit == 0:
            return _selected(ready, numbers, _abi.GMX_ETIMEDOUT, -1)
        for channel, op, box in ready:
            choice = Choice(selecting, box)
            channel._enlist_as(op, choice)  # type: ignore[attr-defined]
            entries.append((channel, op, choice))  # type: ignore[arg-type]
    gone = True
    try:
        await _loops.wait_at_most(selecting.future, None if limit == FOREVER else limit / 1e9)
        gone = False
    finally:
        selecting.claim(None)
        for channel, op, choice in entries:
            with channel._lock:
                if channel._waiting:
                    (channel._waiting.senders if op == SEND else channel._waiting.receivers).pop(choice, None)
                if gone and choice is selecting.chosen and op == RECV and choice.status == OK:
                    channel._give_back(choice.box)
    if selecting.chosen is None:
        return _selected(ready, numbers, _abi.GMX_ETIMEDOUT, -1)
    i = [choice for _, _, choice in entries].index(selecting.chosen)
    return _selected(ready, numbers, selecting.chosen.status, i)
