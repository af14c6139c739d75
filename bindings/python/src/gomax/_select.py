"""select for threads: one wait for several cases.

It is made of what each case's Source tells (_channels.py): attempts first, in an order of chance, then a wait in one
gmx_select for all channels and their bells (CHAN-3). What a case has received is in its box (CHAN-5), and goes back if
an exception comes before the caller has it.
"""

import random
from functools import partial
from typing import Any, Iterable, List, NamedTuple, Optional, Tuple, Union

from . import _abi
from ._channels import EAGAIN, ECLOSED, NONE, OK, RECV, SEND, Source, _byref, _word
from ._errors import ForkedError, WouldBlockError, error
from ._goroutines import CG, G
from ._library import gmx, process
from ._waits import FOREVER, nanoseconds, wait

_chance = random.Random().random  # of our own: the program may seed that of the module, and rely on what follows
Case = Tuple[Source, int, List[Any]]


def _select(cases: List[Case], timeout: int) -> Tuple[int, int]:
    """Does one of the cases. A status, and which one. What was received is in the box of a case, also if an exception
    comes from outside."""
    for i, (source, op, box) in enumerate(cases):
        status = source._attempt(op, box)
        if status != EAGAIN:
            return status, i
    return _wait(cases, timeout) if timeout else (_abi.GMX_ETIMEDOUT, -1)


class Wait:
    """The wait of a thread for one of the cases."""

    def __init__(self, cases: List[Case]) -> None:
        self.cases = cases
        self.array = (_abi.gmx_select_case * (2 * len(cases)))()  # each channel, and behind them each bell
        self.tickets: List[object] = []
        self.words: List[Any] = []
        self.which = _word(NONE)
        self.record: List[int] = []

    def begin(self) -> None:
        array, n = self.array, len(self.cases)
        for i, (source, op, box) in enumerate(self.cases):
            self.tickets += [object()]
            bell, case = array[n + i], array[i]
            bell.chan, bell.op = source._block(op, self.tickets[i]), RECV
            self.words += [source._word(op, box)]
            case.chan, case.elem, case.op = source._chan, _abi.addressof(self.words[i]), op

    def again(self) -> Optional[Tuple[int, int]]:
        """Another attempt, if one may go well."""
        for i, (source, op, box) in enumerate(self.cases):
            status = source._again(op, box)
            if status != EAGAIN:
                return status, i
        return None

    def run(self, timeout: int) -> Tuple[int, int]:
        n = len(self.cases)
        end = 0 if timeout == FOREVER else gmx.gmx_now() + timeout
        select, rest = partial(gmx.gmx_select, self.array, 2 * n), (_byref(self.which),)
        while True:
            found = self.again()
            if found:
                return found
            status = wait(timeout, select, record=self.record, rest=rest)
            if status != OK and status != ECLOSED:
                return status, -1
            i = self.which.value
            if i < n:
                source, op, box = self.cases[i]
                if status == OK:
                    source._done(op, box, self.words[i])
                elif op == RECV:  # closed and empty, unless a value was given back
                    again = source._again(op, box)
                    status = status if again == EAGAIN else again
                return status, i
            if end:
                timeout = max(0, end - gmx.gmx_now())

    def end(self) -> None:
        """Puts everything in order. May be called twice."""
        chosen = self.which.value if self.record == [OK] else NONE
        for i, ticket in enumerate(self.tickets):
            source, op, box = self.cases[i]
            if i < len(self.words):
                if i == chosen:
                    source._done(op, box, self.words[i])
                else:
                    source._undone(op, self.words[i])
            source._unblock(op, ticket)


def _wait(cases: List[Case], timeout: int) -> Tuple[int, int]:
    waits = Wait(cases)
    try:
        waits.begin()
        found = waits.run(timeout)
    finally:
        try:
            waits.end()
        except BaseException:
            waits.end()
            raise
    return found


class Selected(NamedTuple):
    """What select did: the number of the case, and for a receive the value; `ok` is False, and the value None, if the
    channel is closed and empty."""

    case: int
    value: Any
    ok: bool


Selectable = Union[None, Source, Tuple[Source, Any], G[Any], CG]


def select(*cases: Selectable, timeout: Optional[float] = None) -> Selected:
    """Does one of the cases, the first that can be done, or one at random if several can: a channel or a timer to
    receive from, (channel, value) to send, a Token to be canceled or a goroutine to have ended (`ok` is False), or
    None, which is never ready. For a C function that costs a goroutine of Python. TimeoutError when the time is up,
    with a timeout of 0 if none can be done at once; ClosedError for a channel to send to that is closed."""
    return _select_among(cases, nanoseconds(timeout))


def _select_among(cases: Iterable[Selectable], timeout: int) -> Selected:
    ready, numbers = _cases(cases)
    try:
        status, i = _select(ready, timeout)
        return _selected(ready, numbers, status, i)
    except BaseException:
        try:
            give_back(ready)
        except BaseException:
            give_back(ready)
            raise
        raise


def give_back(cases: List[Case]) -> None:
    """What cases have received. May be called twice."""
    for source, op, box in cases:
        if op == RECV and box:
            source._give_back(box)


def select_nowait(*cases: Selectable) -> Selected:
    """`select` if one of the cases can be done at once. WouldBlockError if none can."""
    try:
        return _select_among(cases, 0)
    except TimeoutError:
        raise WouldBlockError(what="no case is ready") from None


def _cases(cases: Iterable[Selectable]) -> Tuple[List[Case], List[int]]:
    """The cases that can be ready, in an order of chance, and their numbers."""
    ready: List[Case] = []
    numbers: List[int] = []
    for number, case in enumerate(cases):
        if case is None:
            continue
        if isinstance(case, Source):
            ready.append((case, RECV, []))
        elif isinstance(case, (G, CG)):
            ready.append((case._over(), RECV, []))
        elif isinstance(case, tuple) and len(case) == 2 and isinstance(case[0], Source) and case[0]._sends:
            ready.append((case[0], SEND, [case[1]]))
        else:
            raise TypeError("a case of select is a channel, a timer, a token, a goroutine, (channel, value) or None")
        if ready[-1][0]._epoch is not process.epoch:
            raise ForkedError()
        numbers.append(number)
    for last in range(len(ready) - 1, 0, -1):  # shuffled, so that each that can be done is as likely as the others
        i = int(_chance() * (last + 1))
        ready[i], ready[last] = ready[last], ready[i]
        numbers[i], numbers[last] = numbers[last], numbers[i]
    return ready, numbers


def _selected(ready: List[Case], numbers: List[int], status: int, i: int) -> Selected:
    if status == OK or (status == ECLOSED and ready[i][1] == RECV):
        source, op, box = ready[i]
        return Selected(numbers[i], box[0] if op == RECV and box else None, status == OK)
    raise error(status)
