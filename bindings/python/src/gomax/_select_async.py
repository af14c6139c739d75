"""select for coroutines.

A coroutine that selects waits at several channels, once in each list, with one turn: it is served once (CHAN-6).
Attempts and entries are made under the lock, so that no case is served while it tries another.

A coroutine cannot wait at what the library alone knows: a timer, a token, a CChannel. For these a goroutine waits until
one can be done, and takes nothing: its end, which is one more case, has the coroutine try again.
"""

from functools import partial
from sys import modules
from typing import List, Optional, Tuple

from . import _abi, _loops
from ._channels import EAGAIN, NONE, RECV, SEND, Channel
from ._coroutines import Coroutine, Entries, Turn, leave, meet, meetings
from ._goroutines import G, start
from ._library import gmx
from ._select import Case, Selectable, Selected, _cases, _selected, give_back
from ._waits import FOREVER, nanoseconds, wait

ETIMEDOUT = _abi.GMX_ETIMEDOUT


async def select_async(*cases: Selectable, timeout: Optional[float] = None) -> Selected:
    """`select` for coroutines, with the same cases. While it waits for a timer, a token or a CChannel, that costs a
    goroutine of Python. One that is canceled loses no value."""
    if "trio" in modules:
        await _loops.checkpoint()
    ready, numbers = _cases(cases)
    limit = nanoseconds(timeout)
    others = [case for case in ready if not isinstance(case[0], Channel)]
    try:
        status, i = await _among(ready, 0 if others else limit)
        if others and limit and status == ETIMEDOUT:
            status, i = await _wait(ready, others, limit)
        return _selected(ready, numbers, status, i)
    except BaseException as e:
        if not isinstance(e, GeneratorExit):
            give_back(ready)
        raise


async def _among(ready: List[Case], limit: int) -> Tuple[int, int]:
    """Does one of the cases. Only channels of objects are waited for."""
    turn = Turn()
    entries: Entries = []
    try:
        status, i = meet(_attempt_or_enlist, ready, turn, entries, limit)
        if status == EAGAIN:
            await _loops.wait_at_most(turn.future, None if limit == FOREVER else limit / 1e9)
            leave(entries, False, False)
            status, i = _outcome(ready, turn, entries)
        return status, i
    except BaseException as e:
        leave(entries, True, isinstance(e, GeneratorExit))
        raise


async def _wait(ready: List[Case], others: List[Case], limit: int) -> Tuple[int, int]:
    end = gmx.gmx_now() + limit if limit != FOREVER else 0
    while True:
        started: "List[G[None]]" = []
        try:
            g = start(_until_one_is_ready, (others,), {}, told=True, register=started.append)
            status, i = await _among([*ready, (g._over(), RECV, [])], limit)
        finally:
            for g in started:
                g.cancel()
        if i < len(ready):
            return status, i
        g.join(0)  # if it could not wait it raises why
        if end:
            limit = max(0, end - gmx.gmx_now())


def _until_one_is_ready(cases: List[Case]) -> None:
    array, which = (_abi.gmx_select_case * len(cases))(), _abi.c_uint64(NONE)
    for i, (source, op, _) in enumerate(cases):
        array[i].chan = source._chan
        array[i].op = _abi.GMX_CASE_SEND_READY if op == SEND else _abi.GMX_CASE_RECV_READY
    wait(FOREVER, partial(gmx.gmx_select, array, len(cases)), rest=(_abi.byref(which),))


def _attempt_or_enlist(ready: List[Case], turn: Turn, entries: Entries, limit: int) -> Tuple[int, int]:
    before = meetings[0]
    for i, (source, op, box) in enumerate(ready):
        status = source._attempt_locked(op, box) if isinstance(source, Channel) else source._attempt(op, box)
        if status != EAGAIN:
            return status, i
    if limit == 0:
        return ETIMEDOUT, -1
    for source, op, box in ready:
        if isinstance(source, Channel):
            entries += [(source, op, Coroutine(turn, box))]
    for entry in entries:
        entry[0]._enlist(entry[1], entry[2], before)
    return EAGAIN, -1


def _outcome(ready: List[Case], turn: Turn, entries: Entries) -> Tuple[int, int]:
    for _, _, coroutine in entries:
        if turn.chosen is coroutine:
            return coroutine.status, next(i for i, (_, _, box) in enumerate(ready) if box is coroutine.box)
    return ETIMEDOUT, -1
