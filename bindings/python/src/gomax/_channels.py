"""Channels of Python objects, select, and the awaitable halves of both.

What travels through the library's channel is a number: the address of a box, a list of one, which the table of the
channel keeps alive until it is received. So an object in a channel belongs to the channel as an element belongs to a
list: the garbage collector sees it, and it goes when the channel does.

Threads wait in the library, coroutines wait here. A channel at which no coroutine has waited takes no lock. From the first
one on (`_waiting` is there) both meet under one lock, `meeting`, which is reentrant: a signal handler or a finaliser may
use a channel in the midst of an operation on it (WAITS-R4).

CHAN-1. Every attempt to send or receive is made under it, and first with coroutines of the other side that wait. A thread
        that has sent or received without it, and sees `_waiting` afterwards, settles (CHAN-4).
CHAN-2. A coroutine enlists under it, after `_waiting` is there and an attempt has failed. If threads wait at the other side
        (`_blocked`), it rings their bell.
CHAN-3. A thread enters itself in `_blocked` and makes another attempt. Then it waits in one gmx_select for its channels and
        their bells. A bell is a channel with room for one: a thread on the way to its wait hears it too. A thread that hears
        it makes another attempt.
CHAN-4. When its wait is over a thread takes itself out and settles: values that have come meanwhile go to coroutines that
        wait, and if there is still something for the other threads, it rings for the next one.

So the second that comes sees the first: a coroutine by the attempt or by `_blocked`, a thread by `_waiting`, the attempt, the
bell or, when its own wait went well, by settling.

CHAN-5. A value is in one box at a time. A box of a receiver that has something in it was received, and what moves a value
        from one to the other calls nothing between the two, so nothing can come there (WAITS-R1). An exception from outside
        that comes when a receiver has its value, or a coroutine that ends then, gives it back: to `returned`, from where it
        is the next to be received.
CHAN-6. A coroutine is served once: the first to set `chosen` of its turn serves it. If its loop is closed nothing has
        happened.
CHAN-7. A coroutine that is collected does not wait for the lock (WAITS-R5). It leaves its entries in `left`, and each holder
        of the lock looks there when it has released it.
"""

import random
from collections import OrderedDict, deque
from functools import partial
from itertools import starmap
from sys import modules
from types import TracebackType
from typing import (
    Any,
    AsyncIterator,
    Callable,
    Deque,
    Dict,
    Generic,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from . import _abi, _loops
from ._errors import ClosedError, ForkedError, WouldBlockError, check, error, integer
from ._goroutines import CG, G
from ._library import Process, gmx, process
from ._waits import meeting, nanoseconds, wait

T = TypeVar("T")
OK, EAGAIN, ECLOSED = _abi.GMX_OK, _abi.GMX_EAGAIN, _abi.GMX_ECLOSED
RECV, SEND = _abi.GMX_CASE_RECV, _abi.GMX_CASE_SEND
_try_send, _try_recv = gmx.gmx_chan_try_send, gmx.gmx_chan_try_recv
_byref, _word = _abi.byref, _abi.c_uint64
_chance = random.Random().random  # of our own: the program may seed that of the module, and rely on what follows


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
        """Ends its wait. A receiver takes the first of the values, a sender puts its own into a box. False if it does not wait
        any more, or its loop is closed: then nothing has changed."""
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
    """The coroutines that wait at a channel: never both kinds at a time, but for one that selects among both. And values that
    were received and given back, which are received before all others."""

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
    """A coroutine waits there no longer. `gone`: and does not take what it was given. `dying`: and must not wait for a lock."""
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


UNBOUNDED = 2**64 - 1
"""A capacity: sends never wait for room. MemoryError if there is no memory for a value."""


def new_channel(cell: "_abi.c_void_p", size: int, capacity: int) -> int:
    """Writes it to the cell, which its owner has already, and frees what is there."""
    if capacity != UNBOUNDED:
        integer(capacity, "the capacity of a channel", 0, 2**63 - 1)
    check(gmx.gmx_chan_new(size, capacity, _byref(cell)), f"a channel for {capacity} values")
    assert cell.value
    return cell.value


class Source:
    """What select can wait for: a channel of the library, and what this package does around it."""

    _chan: int
    _epoch: object
    _sends = False

    def _attempt(self, op: int, box: List[Any]) -> int:
        """Sends what is in the box, or puts what it receives there, without waiting."""
        raise NotImplementedError

    def _again(self, op: int, box: List[Any]) -> int:
        """An attempt of a thread that is about to wait in the library, for what that does not see."""
        return EAGAIN

    def _block(self, op: int, ticket: object) -> Optional[int]:
        """The caller is going to wait. A channel that tells it to try again."""
        return None

    def _unblock(self, op: int, ticket: object) -> None:
        """The caller's wait is over. May be called twice."""

    def _word(self, op: int, box: List[Any]) -> Any:
        """What the library sends, or where it puts what it receives."""
        return _word()

    def _done(self, op: int, box: List[Any], word: Any) -> None:
        """The library has sent or received this word. May be called twice."""

    def _undone(self, op: int, word: Any) -> None:
        """The library has not."""

    def _give_back(self, box: List[Any]) -> None:
        """What is in the box was received, and nothing will take it."""


class Waiters(NamedTuple):
    """How many wait at a channel. A select counts once for each of its cases."""

    senders: int
    receivers: int


class Channels(Source):
    """What channels of objects and of C values have in common."""

    _chan = 0
    _cell = _abi.c_void_p()  # NULL, until there is one
    _sends = True

    def _mine(self) -> None:
        if self._epoch is not process.epoch:
            raise ForkedError()

    def close(self, drop: bool = False) -> None:
        """Nothing can be sent any more. ClosedError if it was closed before. With drop=True what is left in it is dropped,
        also if it was closed before."""
        raise NotImplementedError

    def send_nowait(self, value: Any) -> None:
        """Sends a value if that needs no wait. WouldBlockError: nothing was sent. ClosedError."""
        self._mine()
        check(self._attempt(SEND, [value]), "the channel is full, or nothing receives")

    def recv_nowait(self) -> Any:
        """Receives a value if there is one. WouldBlockError if there is none; ClosedError."""
        self._mine()
        box: List[Any] = []
        try:
            check(self._attempt(RECV, box), "nothing is in the channel")
            return box[0]
        except BaseException:
            if box:
                self._give_back(box)
            raise

    def __len__(self) -> int:
        return gmx.gmx_chan_len(self._chan)

    def __bool__(self) -> bool:
        return True  # an empty channel is one all the same

    @property
    def closed(self) -> bool:
        """Whether it is closed. Values that are left in it can still be received."""
        self._mine()
        return gmx.gmx_chan_is_closed(self._chan)

    @property
    def waiters(self) -> "Waiters":
        """How many goroutines, threads and coroutines wait there: for tests and metrics."""
        self._mine()
        senders, receivers = _abi.c_size_t(), _abi.c_size_t()
        check(gmx.gmx_chan_waiters(self._chan, _byref(senders), _byref(receivers)))
        return Waiters(senders.value, receivers.value)

    @property
    def capacity(self) -> int:
        """For how many values there is room; len() tells how many are in it."""
        return gmx.gmx_chan_cap(self._chan)

    def __enter__(self: "C") -> "C":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
    ) -> None:
        try:
            self.close()
        except ClosedError:
            pass


C = TypeVar("C", bound=Channels)


class Channel(Channels, Generic[T]):
    """Values from whoever sends to whoever receives, first in first out, with room for capacity of them; 0: sender and
    receiver meet; gomax.UNBOUNDED. For goroutines, threads and coroutines alike. Iterate over it to receive until it is closed; as a
    context manager it is closed at the end of the block."""

    def __init__(self, capacity: int = 0) -> None:
        self._cell = _abi.c_void_p()
        self._bells: "Dict[int, _abi.c_void_p]" = {}
        self._spare: "List[_abi.c_void_p]" = []
        self._blocked: Tuple[Dict[object, None], Dict[object, None]] = ({}, {})
        self._waiting: Optional[Waiting[T]] = None
        self._boxes: Dict[int, List[T]] = {}
        self._epoch = process.epoch
        self._chan = new_channel(self._cell, 8, capacity)

    def __del__(self, process: Process = process, free: Callable[[Any], int] = gmx.gmx_chan_free) -> None:
        # No thread waits here: it would keep the channel alive. What is in it goes with the table. The defaults are there
        # still when the interpreter has taken the module apart.
        if self._cell.value and self._epoch is process.epoch:
            for cell in (self._cell, *self._spare):
                if cell.value:
                    free(cell)

    # ---- for everybody ----

    def close(self, drop: bool = False) -> None:
        """Nothing can be sent any more. What is in it can still be received; who waits is told. ClosedError if it was
        closed before. With drop=True, for the side that receives, what is left in it is dropped: receivers get
        ClosedError at once, and one that was closed before is no error."""
        self._mine()
        dropped: List[List[T]] = []  # what they hold ends without the lock
        try:
            status = gmx.gmx_chan_close(self._chan)
        finally:
            if self._waiting is not None:
                try:
                    meet(self._tell_closed)
                except BaseException:
                    meet(self._tell_closed)
                    raise
        if not (drop and status == ECLOSED):
            check(status)
        while drop:
            box: List[T] = []
            if self._attempt(RECV, box) != OK:
                break
            dropped.append(box)

    def _tell_closed(self) -> None:
        """Ends the waits of coroutines, if it is closed."""
        waiting = self._waiting
        if waiting and gmx.gmx_chan_is_closed(self._chan):
            self._settle(waiting)
            for entries in (waiting.receivers, waiting.senders):
                while entries:
                    coroutine = first(entries)
                    if coroutine is not None:
                        coroutine.serve(ECLOSED)
                        entries.pop(coroutine, None)

    def __len__(self) -> int:
        waiting = self._waiting
        return gmx.gmx_chan_len(self._chan) + (len(waiting.returned) if waiting else 0)

    @property
    def waiters(self) -> Waiters:
        """How many goroutines, threads and coroutines wait there: for tests and metrics."""
        self._mine()
        threads, waiting = super().waiters, self._waiting
        if waiting is None:
            return threads
        return Waiters(threads.senders + len(waiting.senders), threads.receivers + len(waiting.receivers))

    # ---- for goroutines and threads ----

    def send(self, value: T, timeout: Optional[float] = None) -> None:
        """Sends a value, waiting until there is room for it or somebody receives it. ClosedError, TimeoutError (with a
        timeout of 0 if it would have to wait), CanceledError: nothing was sent."""
        status = self._do(SEND, [value], timeout)
        if status < 0:
            raise error(status)

    def recv(self, timeout: Optional[float] = None) -> T:
        """Receives a value, waiting until there is one. ClosedError when it is closed and nothing is left in it,
        TimeoutError, CanceledError."""
        box: List[T] = []
        try:
            status = self._do(RECV, box, timeout)
            if status < 0:
                raise error(status)
            return box[0]
        except BaseException:
            if box:
                self._give_back(box)
            raise

    def send_nowait(self, value: T) -> None:
        """Sends a value if that needs no wait. WouldBlockError: nothing was sent. ClosedError."""
        super().send_nowait(value)

    def recv_nowait(self) -> T:
        """Receives a value if there is one. WouldBlockError if there is none; ClosedError."""
        value: T = super().recv_nowait()
        return value

    def _do(self, op: int, box: List[T], timeout: Optional[float]) -> int:
        if self._epoch is not process.epoch:
            raise ForkedError()
        if self._waiting is None:  # as _attempt, at less cost
            status = self._put(box) if op == SEND else self._get(box)
            if self._waiting is not None and status == OK:
                meet(self._settle_if_waiting)
        else:
            status = meet(self._attempt_locked, op, box)
        if status != EAGAIN:
            return status
        limit = nanoseconds(timeout)
        return _wait([(self, op, box)], limit)[0] if limit else _abi.GMX_ETIMEDOUT

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                value = self.recv()
            except ClosedError:
                return
            yield value

    # ---- for coroutines ----

    async def send_async(self, value: T) -> None:
        """`send` for coroutines. A wait costs a future, no thread and no goroutine."""
        self._mine()
        if "trio" in modules:
            await _loops.checkpoint()
        coroutine = Alone([value])
        try:
            status = meet(self._attempt_or_enlist, SEND, coroutine)
            if status == EAGAIN:
                await coroutine.future
                status = coroutine.status
            if status < 0:
                raise error(status)
        except BaseException as e:
            leave([(self, SEND, coroutine)], True, isinstance(e, GeneratorExit))
            raise

    async def recv_async(self) -> T:
        """`recv` for coroutines. A wait costs a future, no thread and no goroutine."""
        self._mine()
        if "trio" in modules:
            await _loops.checkpoint()
        coroutine: Alone[T] = Alone([])
        try:
            status = meet(self._attempt_or_enlist, RECV, coroutine)
            if status == EAGAIN:
                await coroutine.future
                status = coroutine.status
            if status < 0:
                raise error(status)
            return coroutine.box[0]
        except BaseException as e:
            leave([(self, RECV, coroutine)], True, isinstance(e, GeneratorExit))
            raise

    def _attempt_or_enlist(self, op: int, coroutine: Alone[T]) -> int:
        before = meetings[0]
        status = self._attempt_locked(op, coroutine.box)
        if status == EAGAIN:
            coroutine.future = _loops.future()
            self._enlist(op, coroutine, before)
        return status

    def _enlist(self, op: int, coroutine: Coroutine[T], before: int) -> None:
        """It waits from now on. `before`: how many meetings there were before the attempt that has failed."""
        waiting = self._enter()
        (waiting.senders if op == SEND else waiting.receivers)[coroutine] = None
        if meetings[0] == before:
            self._ring(RECV if op == SEND else SEND)
        else:  # a handler has come between the attempt and this
            self._settle(waiting)
            self._tell_closed()

    def __aiter__(self) -> AsyncIterator[T]:
        return self._values()

    async def _values(self) -> AsyncIterator[T]:
        while True:
            try:
                value = await self.recv_async()
            except ClosedError:
                return
            yield value

    # ---- without the lock ----

    def _attempt(self, op: int, box: List[T]) -> int:
        if self._epoch is not process.epoch:
            raise ForkedError()
        if self._waiting is None:
            status = self._put(box) if op == SEND else self._get(box)
            if self._waiting is not None and status == OK:
                meet(self._settle_if_waiting)
            return status
        status = meet(self._attempt_locked, op, box)
        return status  # type: ignore[no-any-return]

    def _put(self, box: List[T]) -> int:
        stored = box[:]
        key = id(stored)
        status = EAGAIN
        try:
            self._boxes[key] = stored
            (status,) = map(_try_send, (self._chan,), (_byref(_word(key)),))
        finally:
            if status != OK:
                self._boxes.pop(key, None)
        return status

    def _get(self, box: List[T]) -> int:
        word = _word()
        (status,) = map(_try_recv, (self._chan,), (_byref(word),))
        if status == OK:
            key = word.value
            box[:] = self._boxes[key]
            del self._boxes[key]
        return status

    # ---- under the lock ----

    def _attempt_locked(self, op: int, box: List[T]) -> int:
        waiting = self._enter()
        if op == SEND:
            values = [box]
            if waiting.receivers and not gmx.gmx_chan_is_closed(self._chan):
                self._give(waiting, values)
            return self._put(box) if values else OK
        returned = waiting.returned
        if returned:
            box[:] = returned[0]
            del returned[0]
            return OK
        status = self._get(box)
        if status == OK:
            if waiting.senders:
                self._settle(waiting)
            return status
        while waiting.senders:
            sender = first(waiting.senders)
            if sender is not None:
                served = sender.serve(OK, into=box)
                waiting.senders.pop(sender, None)
                if served:
                    return OK
        return status

    def _give(self, waiting: Waiting[T], values: List[List[T]]) -> None:
        """Gives values, from the first on, to coroutines that wait for one. Those that are left in the list it has not given."""
        while values and waiting.receivers:
            receiver = first(waiting.receivers)
            if receiver is not None:
                receiver.serve(OK, values)
                waiting.receivers.pop(receiver, None)

    def _give_back(self, box: List[T]) -> None:
        meet(self._give_back_locked, box)

    def _give_back_locked(self, box: List[T]) -> None:
        waiting = self._enter()
        if box:
            waiting.returned[:0] = [box[:]]
            del box[:]
        self._settle(waiting)

    def _settle_if_waiting(self) -> None:
        if self._waiting is not None:
            self._settle(self._waiting)

    def _settle(self, waiting: Waiting[T]) -> None:
        """Values that are in the channel go to coroutines that wait for one, and those of coroutines into it."""
        while waiting.receivers:
            if not waiting.returned:
                word = _word()
                (status,) = map(_try_recv, (self._chan,), (_byref(word),))
                if status != OK:
                    break
                key = word.value
                waiting.returned += [self._boxes[key]]
                del self._boxes[key]
            self._give(waiting, waiting.returned)
        while waiting.senders and gmx.gmx_chan_len(self._chan) < gmx.gmx_chan_cap(self._chan):
            sender = first(waiting.senders)
            if sender is not None:
                self._take_in(waiting, sender)
        if waiting.receivers:
            self._ring(SEND)
        if waiting.senders or waiting.returned:
            self._ring(RECV)

    def _take_in(self, waiting: Waiting[T], sender: Coroutine[T]) -> None:
        """Its value goes into the channel, or if a thread was faster and there is no room it is the next to be received."""
        box: List[T] = []
        status = EAGAIN
        try:
            sender.serve(OK, into=box)
            waiting.senders.pop(sender, None)
            if box:
                status = self._put(box)
        finally:
            if box and status != OK:
                waiting.returned += [box]

    def _enter(self) -> Waiting[T]:
        if self._waiting is None:
            self._waiting = Waiting()
        return self._waiting

    def _leave(self, op: int, coroutine: Coroutine[T], gone: bool) -> None:
        """The coroutine waits no longer. May be called twice."""
        waiting = self._enter()
        turn: Any = coroutine.shared or coroutine
        if turn.chosen is None:
            turn.chosen = OVER
        (waiting.senders if op == SEND else waiting.receivers).pop(coroutine, None)
        if gone and op == RECV and coroutine.box:
            self._give_back_locked(coroutine.box)

    def _ring(self, op: int) -> None:
        bell = self._bells.get(op)
        if bell and self._blocked[op]:
            _try_send(bell, _byref(_word()))  # if there is no room it has been rung

    # ---- for select ----

    def _again(self, op: int, box: List[T]) -> int:
        return EAGAIN if self._waiting is None else self._attempt(op, box)

    def _block(self, op: int, ticket: object) -> Optional[int]:
        if op not in self._bells:
            cell = _abi.c_void_p()
            self._spare += [cell]
            new_channel(cell, 0, 1)
            self._bells.setdefault(op, cell)  # another thread may have been faster
        self._blocked[op][ticket] = None
        return self._bells[op].value

    def _unblock(self, op: int, ticket: object) -> None:
        self._blocked[op].pop(ticket, None)
        if self._waiting is not None:
            meet(self._settle, self._waiting)

    def _word(self, op: int, box: List[T]) -> "_abi.c_uint64":
        if op == RECV:
            return _word()
        stored = box[:]
        word = _word(id(stored))
        self._boxes[word.value] = stored
        return word

    def _done(self, op: int, box: List[T], word: Any) -> None:
        if op == RECV and not box:
            key = word.value
            box[:] = self._boxes[key]
            del self._boxes[key]

    def _undone(self, op: int, word: Any) -> None:
        if op == SEND:
            self._boxes.pop(word.value, None)


Case = Tuple[Source, int, List[Any]]
NONE = 2**64 - 1


def _select(cases: List[Case], timeout: int) -> Tuple[int, int]:
    """Does one of the cases. A status, and which one. What was received is in the box of a case, also if an exception comes
    from outside."""
    for i, (source, op, box) in enumerate(cases):
        status = source._attempt(op, box)
        if status != EAGAIN:
            return status, i
    return _wait(cases, timeout) if timeout else (_abi.GMX_ETIMEDOUT, -1)


class Wait:
    """The wait of a thread for one of the cases."""

    def __init__(self, cases: List[Case]) -> None:
        self.cases = cases
        self.tickets = [object() for _ in cases]
        self.array = (_abi.gmx_select_case * (2 * len(cases)))()  # each channel, and behind them each bell
        self.words: List[Any] = []
        self.which = _word(NONE)
        self.record: List[int] = []

    def begin(self) -> None:
        for i, (source, op, box) in enumerate(self.cases):
            self.array[len(self.cases) + i].chan = source._block(op, self.tickets[i])
            self.array[len(self.cases) + i].op = RECV
        for i, (source, op, box) in enumerate(self.cases):
            self.words += [source._word(op, box)]
            case = self.array[i]
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
        end = gmx.gmx_now() + timeout
        while True:
            found = self.again()
            if found:
                return found
            self.record[:] = []
            self.which.value = NONE
            select = partial(gmx.gmx_select, self.array, 2 * n)
            status = wait(timeout, select, record=self.record, rest=(_byref(self.which),))
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
            if timeout > 0:
                timeout = max(0, end - gmx.gmx_now())

    def end(self) -> None:
        """Puts everything in order. May be called twice."""
        chosen = self.which.value if self.record == [OK] else NONE
        for i, (source, op, box) in enumerate(self.cases):
            if i < len(self.words):
                if i == chosen:
                    source._done(op, box, self.words[i])
                else:
                    source._undone(op, self.words[i])
            source._unblock(op, self.tickets[i])


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
    """Does one of the cases, the first that can be done, or one at random if several can: a channel or a timer to receive
    from, (channel, value) to send, a Token to be canceled or a goroutine to have ended (`ok` is False), or None, which is never
    ready. For a C function that costs a goroutine of Python. TimeoutError when
    the time is up, with a timeout of 0 if none can be done at once; ClosedError for a channel to send to that is closed."""
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
        if isinstance(case, (G, CG)):
            case = case._over()
        if isinstance(case, Source):
            ready.append((case, RECV, []))
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
