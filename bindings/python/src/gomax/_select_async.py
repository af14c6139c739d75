"""select for coroutines.

A coroutine that selects waits at several channels, once in each list, with one turn: it is served once (CHAN-6). Attempts and
entries are made under the lock, so that no case is served while it tries another.
"""

from sys import modules
from typing import List, Optional, Tuple

from . import _abi, _loops
from ._channels import EAGAIN, Channel
from ._coroutines import Coroutine, Entries, Turn, leave, meet, meetings
from ._select import Case, Selectable, Selected, _cases, _selected, give_back
from ._waits import FOREVER, nanoseconds


async def select_async(*cases: Selectable, timeout: Optional[float] = None) -> Selected:
    """`select` for coroutines: (channel, value) to send, a Channel to receive from, or a goroutine to have ended. Another wait
    can be such a goroutine, `gomax.go(timer.recv)`, and there is `timeout`. One that is canceled loses no value."""
    if "trio" in modules:
        await _loops.checkpoint()
    ready, numbers = _cases(cases)
    for channel, _, _ in ready:
        if not isinstance(channel, Channel):
            raise TypeError("a case of select_async is a Channel, (channel, value), a goroutine or None")
    turn, limit = Turn(), nanoseconds(timeout)
    entries: Entries = []
    try:
        status, i = meet(_attempt_or_enlist, ready, turn, entries, limit)
        if status == EAGAIN:
            await _loops.wait_at_most(turn.future, None if limit == FOREVER else limit / 1e9)
            leave(entries, False, False)
            status, i = _outcome(turn, entries)
        return _selected(ready, numbers, status, i)
    except BaseException as e:
        leave(entries, True, isinstance(e, GeneratorExit))
        if not isinstance(e, GeneratorExit):
            give_back(ready)
        raise


def _attempt_or_enlist(ready: List[Case], turn: Turn, entries: Entries, limit: int) -> Tuple[int, int]:
    before = meetings[0]
    for i, (channel, op, box) in enumerate(ready):
        status = channel._attempt_locked(op, box)  # type: ignore[attr-defined]
        if status != EAGAIN:
            return status, i
    if limit == 0:
        return _abi.GMX_ETIMEDOUT, -1
    for source, op, box in ready:
        entries += [(source, op, Coroutine(turn, box))]  # type: ignore[list-item]
    for entry in entries:
        entry[0]._enlist(entry[1], entry[2], before)
    return EAGAIN, -1


def _outcome(turn: Turn, entries: Entries) -> Tuple[int, int]:
    for i, (_, _, coroutine) in enumerate(entries):
        if turn.chosen is coroutine:
            return coroutine.status, i
    return _abi.GMX_ETIMEDOUT, -1
