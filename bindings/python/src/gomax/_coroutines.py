"""Coroutines that wait at channels, and the lock under which they meet threads.

What holds (the rest of CHAN is in _channels.py):

CHAN-6. A coroutine is served once: the first to set `chosen` of its turn serves it. If its loop is closed nothing has
        happened.
CHAN-7. A coroutine that is collected does not wait for the lock (WAITS-R5). It leaves its entries in `left`, and each
        holder of the lock looks there when it has released it.
"""

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Generic, List, Optional, Tuple, TypeVar

from . import _abi, _loops
from ._library import process
from ._waits import meeting

if TYPE_CHECKING:
    from ._channels import Channel

T = TypeVar("T")
EAGAIN = _abi.GMX_EAGAIN


class Turn:
    """What one wait of a coroutine, perhaps at several channels, has in common."""

    __slots__ = ("future", "chosen")

    def __init__(self) -> None:
        self.future = _loops.future()
        self.chosen: Optional[object] = None  # the entry that was served, or OVER


OVER = object()


class Coroutine(Generic[T]):
    """An entry of a coroutine that waits at a channel. `status` is EAGAIN until it is served, under the lock."""

    __slots__ = ("shared", "status", "box")

    def __init__(self, shared: Optional[Turn], box: List[T]) -> None:
        self.shared = shared
        self.status = EAGAIN
        self.box = box

    def serve(self, status: int, values: "Optional[List[List[T]]]" = None, into: Optional[List[T]] = None) -> bool:
        """Ends its wait. A receiver takes the first of the values, a sender puts its own into a box. False if it does
        not wait any more, or its loop is closed: then nothing has changed."""
        turn: Any = self.shared or self
        if turn.chosen is not None:
            return False
        if values is not None:
            if not values:
                return False
            self.box[:] = values[0]
            del values[0]
        if into is not None:
            into[:] = self.box
        turn.chosen, self.status = self, status
        try:
            alive = _loops.wake(turn.future)
        except BaseException:
            _loops.wake(turn.future)  # which may be done twice
            raise
        if not alive:
            self.status = EAGAIN
            if values is not None:
                values[:0] = [self.box[:]]
                del self.box[:]
            if into is not None:
                del into[:]
        return alive


class Alone(Coroutine[T]):
    """That of a coroutine which waits at one channel: it is its own turn."""

    __slots__ = ("future", "chosen")
    future: _loops.Future  # from when it enlists

    def __init__(self, box: List[T]) -> None:
        self.shared = None
        self.status = EAGAIN
        self.box = box
        self.chosen: Optional[object] = None


class Waiting(Generic[T]):
    """The coroutines that wait at a channel. Receivers and senders do not wait at the same time, except a coroutine
    whose select has both. Also the values that a receiver has put back; they are received before all others."""

    __slots__ = ("receivers", "senders", "returned")

    def __init__(self) -> None:
        self.receivers: "OrderedDict[Coroutine[T], None]" = OrderedDict()
        self.senders: "OrderedDict[Coroutine[T], None]" = OrderedDict()
        self.returned: List[List[T]] = []


Entries = List[Tuple["Channel[Any]", int, "Coroutine[Any]"]]
left: "Deque[Tuple[Entries, bool]]" = deque()  # of coroutines whose wait is over, and whether they are gone
process.resets.append(left.clear)


meetings = [0]  # how many times; written under the lock


def meet(f: Callable[..., Any], *args: Any) -> Any:
    """Calls it under the lock. What it does is seen by its arguments, if an exception from outside takes the result."""
    try:
        with meeting:
            meetings[0] += 1
            result = f(*args)
    finally:
        if left:
            sweep()
    return result


def leave(entries: Entries, gone: bool, dying: bool) -> None:
    """A coroutine waits there no longer. `gone`: and does not take what it was given. `dying`: and must not wait for a
    lock."""
    left.append((entries, gone))
    if dying:
        sweep()
    else:
        meet(_sweep_locked)


def sweep() -> None:
    while left and not meeting._is_owned():
        taken: List[bool] = []
        try:
            taken[:] = map(meeting.acquire, (False,))
            if taken == [False]:
                return  # the holder will do it
            _sweep_locked()
        finally:
            if taken == [True]:
                meeting.release()


def _sweep_locked() -> None:
    while left:
        first = left[0]
        for channel, op, coroutine in first[0]:
            channel._leave(op, coroutine, first[1])
        if left and left[0] is first:  # a handler may have done it
            left.popleft()


def first(entries: "OrderedDict[Coroutine[T], None]") -> Optional[Coroutine[T]]:
    for entry in entries:  # (next(iter(entries)) are two calls: what comes between them may change the entries)
        return entry
    return None
