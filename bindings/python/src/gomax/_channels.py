"""Channels of Python objects, select, and the awaitable halves of both.

What travels through the library's channel is a number: the address of a box, a list of one, which the table of the
channel keeps alive until it is received. So an object in a channel belongs to the channel as an element belongs to a
list: the garbage collector sees it, and it goes when the channel does.

Threads wait in the library, coroutines wait here, and both meet under the lock of the channel:

1. Every attempt to send or receive is made under it, and first with coroutines of the other side that wait.
2. A coroutine enlists under it, after an attempt that failed. If threads wait at the other side (`blocked`), it rings
   their bell.
3. A thread adds itself to `blocked` under it, after an attempt that failed. Then it waits in one gmx_select for its
   channels and their bells. A bell is a channel with room for one: who is on the way to wait hears it too. Who hears it
   makes another attempt.
4. When its wait is over a thread takes itself out and settles: values that have come meanwhile go to coroutines that
   wait, and if there is still somebody for the other threads, it rings for the next one.

So whoever comes second sees the first: a coroutine by the attempt or by `blocked`, a thread by the attempt, the bell or,
when its own wait went well, by settling.
"""

import random
from collections import OrderedDict
from sys import modules
from threading import Lock
from types import TracebackType
from typing import (
    Any,
    AsyncIterator,
    Callable,
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
from ._waits import nanoseconds, wait

T = TypeVar("T")
OK, EAGAIN, ECLOSED = _abi.GMX_OK, _abi.GMX_EAGAIN, _abi.GMX_ECLOSED
RECV, SEND = _abi.GMX_CASE_RECV, _abi.GMX_CASE_SEND
_try_send, _try_recv = gmx.gmx_chan_try_send, gmx.gmx_chan_try_recv
_byref, _word = _abi.byref, _abi.c_uint64
_chance = random.Random().random  # of our own: the program may seed that of the module, and rely on what follows


class Coroutine(Generic[T]):
    """A coroutine that waits at a channel. `status` is EAGAIN until a thread has served it, under the channel's lock."""

    __slots__ = ("future", "status", "box")
    sure = True  # that nobody else has served it

    def __init__(self, box: List[T]) -> None:
        self.future = _loops.future()
        self.status = EAGAIN
        self.box = box

    def serve(self, status: int) -> bool:
        """False if nobody waits there: its loop is closed, or (_select_async.py) another case was faster."""
        self.status = status
        return _loops.wake(self.future)


class Returned(Coroutine[T]):
    """A value that was given to a coroutine which was cancelled before it could take it: it goes to the next one."""

    def __init__(self, box: List[T]) -> None:
        self.status = EAGAIN
        self.box = box

    def serve(self, status: int) -> bool:
        return True


class Waiting(Generic[T]):
    """The coroutines that wait at a channel: never both kinds at a time, but for one that selects among both."""

    __slots__ = ("receivers", "senders")

    def __init__(self) -> None:
        self.receivers: "OrderedDict[Coroutine[T], None]" = OrderedDict()
        self.senders: "OrderedDict[Coroutine[T], None]" = OrderedDict()


UNBOUNDED = 2**64 - 1
"""A capacity: sends never wait for room. MemoryError if there is no memory for a value."""


def new_channel(size: int, capacity: int) -> int:
    pointer = _abi.c_void_p()
    if capacity != UNBOUNDED:
        integer(capacity, "the capacity of a channel", 0, 2**63 - 1)
    check(gmx.gmx_chan_new(size, capacity, _byref(pointer)), f"a channel for {capacity} values")
    assert pointer.value
    return pointer.value


class Source:
    """What select can wait for: a channel of the library, and what this package does around it."""

    _chan: int
    _epoch: object
    _sends = False

    def _attempt(self, op: int, box: List[Any]) -> int:
        """Sends what is in the box, or puts what it receives there, without waiting."""
        raise NotImplementedError

    def _block(self, op: int, box: List[Any]) -> int:
        """As _attempt; and if that gives EAGAIN the caller is going to wait."""
        raise NotImplementedError

    def _unblock(self, op: int) -> None:
        """The caller's wait is over."""

    def _word(self, op: int, box: List[Any]) -> Any:
        """What the library sends, or where it puts what it receives."""
        return _word()

    def _done(self, op: int, box: List[Any], word: Any) -> None:
        """The library has received this word."""

    def _undone(self, op: int, box: List[Any]) -> None:
        """The library has not sent it."""

    def _lost(self, op: int, box: List[Any], word: Any) -> None:
        """The library has received this word, and nobody will take it."""

    def _bell(self, op: int) -> Optional[int]:
        """A channel that tells the caller to try again."""
        return None


class Waiters(NamedTuple):
    """How many wait at a channel. A select counts once for each of its cases."""

    senders: int
    receivers: int


class Channels(Source):
    """What channels of objects and of C values have in common."""

    _chan = 0
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
        check(self._attempt(RECV, box), "nothing is in the channel")
        return box[0]

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
        self._bells: List[Optional[int]] = [None, None]
        self._blocked = [0, 0]
        self._waiting: Optional[Waiting[T]] = None
        self._boxes: Dict[int, List[T]] = {}
        self._lock = Lock()
        self._epoch = process.epoch
        self._chan = new_channel(8, capacity)

    def __del__(self, process: Process = process, free: Callable[[Any], int] = gmx.gmx_chan_free) -> None:
        # Nobody waits here: whoever does keeps it alive. What is in it goes with the table. The defaults are there
        # still when the interpreter has taken the module apart.
        if self._chan and self._epoch is process.epoch:
            free(self._chan)
            for bell in self._bells:
                if bell:
                    free(bell)

    # ---- for everybody ----

    def close(self, drop: bool = False) -> None:
        """Nothing can be sent any more. What is in it can still be received; who waits is told. ClosedError if it was
        closed before. With drop=True, for the side that receives, what is left in it is dropped: receivers get
        ClosedError at once, and one that was closed before is no error."""
        self._mine()
        dropped = []  # what they hold ends without the lock
        with self._lock:
            status = gmx.gmx_chan_close(self._chan)
            if not (drop and status == ECLOSED):
                check(status)
            waiting = self._waiting
            if waiting:
                while waiting.receivers:
                    waiting.receivers.popitem(last=False)[0].serve(ECLOSED)
                for sender in list(waiting.senders):
                    if not isinstance(sender, Returned):
                        del waiting.senders[sender]
                        sender.serve(ECLOSED)
            while drop:
                box: List[T] = []
                if self._attempt_locked(RECV, box) != OK:
                    break
                dropped.append(box)

    @property
    def waiters(self) -> Waiters:
        """How many goroutines, threads and coroutines wait there: for tests and metrics."""
        self._mine()
        with self._lock:
            threads, waiting = super().waiters, self._waiting
            if waiting is None:
                return threads
            senders = sum(not isinstance(sender, Returned) for sender in waiting.senders)
            return Waiters(threads.senders + senders, threads.receivers + len(waiting.receivers))

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
        status = self._do(RECV, box, timeout)
        if status < 0:
            raise error(status)
        return box[0]

    def send_nowait(self, value: T) -> None:
        """Sends a value if that needs no wait. WouldBlockError: nothing was sent. ClosedError."""
        super().send_nowait(value)

    def recv_nowait(self) -> T:
        """Receives a value if there is one. WouldBlockError if there is none; ClosedError."""
        value: T = super().recv_nowait()
        return value

    def _do(self, op: int, box: List[T], timeout: Optional[float]) -> int:
        if self._epoch is not process.epoch:
            raise ForkedError()  # before the lock, which a thread of the parent may have
        with self._lock:
            status = self._attempt_locked(op, box)
            if status != EAGAIN:
                return status
            limit = nanoseconds(timeout)
            if limit == 0:
                return _abi.GMX_ETIMEDOUT
            self._block_locked(op)
        try:
            return _wait([(self, op, box)], limit)[0]
        finally:
            self._unblock(op)

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
        box = [value]
        with self._lock:
            status = self._attempt_locked(SEND, box)
            if status == EAGAIN:
                coroutine = self._enlist(SEND, box)
        if status == EAGAIN:
            try:
                await coroutine.future
            except BaseException:
                with self._lock:
                    if coroutine.status == EAGAIN and self._waiting:
                        del self._waiting.senders[coroutine]
                raise
            status = coroutine.status
        if status < 0:
            raise error(status)

    async def recv_async(self) -> T:
        """`recv` for coroutines. A wait costs a future, no thread and no goroutine."""
        self._mine()
        if "trio" in modules:
            await _loops.checkpoint()
        box: List[T] = []
        with self._lock:
            status = self._attempt_locked(RECV, box)
            if status == EAGAIN:
                coroutine = self._enlist(RECV, box)
        if status == EAGAIN:
            try:
                await coroutine.future
            except BaseException:
                with self._lock:
                    if coroutine.status == EAGAIN and self._waiting:
                        del self._waiting.receivers[coroutine]
                    elif coroutine.status == OK:
                        self._give_back(box)
                raise
            status = coroutine.status
        if status < 0:
            raise error(status)
        return box[0]

    def __aiter__(self) -> AsyncIterator[T]:
        return self._values()

    async def _values(self) -> AsyncIterator[T]:
        while True:
            try:
                value = await self.recv_async()
            except ClosedError:
                return
            yield value

    # ---- under the lock ----

    def _attempt_locked(self, op: int, box: List[T]) -> int:
        waiting = self._waiting
        if op == SEND:
            if waiting and self._give(waiting, box):
                self._boxes.pop(id(box), None)  # from _word, if this is another attempt of a select
                return OK
            key = id(box)
            self._boxes[key] = box  # before anybody can receive its key
            status = _try_send(self._chan, _byref(_word(key)))
            if status < 0:
                del self._boxes[key]
            return status
        word = _word()
        status = _try_recv(self._chan, _byref(word))
        if status == OK:
            box.append(self._boxes.pop(word.value)[0])
            if waiting and waiting.senders:
                self._settle(waiting)
        elif waiting and (status == EAGAIN or status == ECLOSED):
            while waiting.senders:
                sender, _ = waiting.senders.popitem(last=False)
                if sender.serve(OK):
                    box.append(sender.box[0])
                    return OK
        return status

    def _give(self, waiting: Waiting[T], box: List[T]) -> bool:
        """Gives a value to the first coroutine that waits for one."""
        while waiting.receivers:
            receiver, _ = waiting.receivers.popitem(last=False)
            receiver.box.append(box[0])
            if receiver.serve(OK):
                return True
        return False

    def _give_back(self, box: List[T]) -> None:
        waiting = self._enter()
        if not self._give(waiting, box):
            returned = Returned(box)
            waiting.senders[returned] = None
            waiting.senders.move_to_end(returned, last=False)
            self._ring(RECV)

    def _settle(self, waiting: Waiting[T]) -> None:
        """Values that are in the channel go to coroutines that wait for one, and those of coroutines into it."""
        while waiting.receivers:
            word = _word()
            if _try_recv(self._chan, _byref(word)) != OK:
                break
            box = self._boxes.pop(word.value)
            if not self._give(waiting, box):
                self._give_back(box)
        while waiting.senders:
            sender = next(iter(waiting.senders))
            if not sender.sure:
                if len(self) >= self.capacity:
                    break  # a receiver takes it from there
                del waiting.senders[sender]
                if sender.serve(OK) and not self._put(sender.box):
                    self._give_back(sender.box)  # there was room a moment ago: now it is the first to be received
                    break
                continue
            if not self._put(sender.box):
                break
            del waiting.senders[sender]
            sender.serve(OK)
        if waiting.receivers:
            self._ring(SEND)
        if waiting.senders:
            self._ring(RECV)

    def _put(self, box: List[T]) -> bool:
        key = id(box)
        self._boxes[key] = box
        if _try_send(self._chan, _byref(_word(key))) == OK:
            return True
        del self._boxes[key]
        return False

    def _enter(self) -> Waiting[T]:
        if self._waiting is None:
            self._waiting = Waiting()
        return self._waiting

    def _enlist(self, op: int, box: List[T]) -> Coroutine[T]:
        coroutine = Coroutine(box)
        self._enlist_as(op, coroutine)
        return coroutine

    def _enlist_as(self, op: int, coroutine: Coroutine[T]) -> None:
        waiting = self._enter()
        (waiting.senders if op == SEND else waiting.receivers)[coroutine] = None
        self._ring(RECV if op == SEND else SEND)

    def _ring(self, op: int) -> None:
        bell = self._bells[op]
        if bell and self._blocked[op]:
            _try_send(bell, _byref(_word()))  # if there is no room it has been rung

    # ---- for select ----

    def _attempt(self, op: int, box: List[T]) -> int:
        if self._epoch is not process.epoch:
            raise ForkedError()
        with self._lock:
            return self._attempt_locked(op, box)

    def _block(self, op: int, box: List[T]) -> int:
        with self._lock:
            status = self._attempt_locked(op, box)
            if status == EAGAIN:
                self._block_locked(op)
            return status

    def _block_locked(self, op: int) -> None:
        if self._bells[op] is None:
            self._bells[op] = new_channel(0, 1)
        self._blocked[op] += 1

    def _unblock(self, op: int) -> None:
        with self._lock:
            self._blocked[op] -= 1
            if self._waiting:
                self._settle(self._waiting)

    def _word(self, op: int, box: List[T]) -> "_abi.c_uint64":
        if op == RECV:
            return _word()
        key = id(box)
        self._boxes[key] = box
        return _word(key)

    def _done(self, op: int, box: List[T], word: Any) -> None:
        if op == RECV:
            box.append(self._boxes.pop(word.value)[0])

    def _undone(self, op: int, box: List[T]) -> None:
        if op == SEND:
            self._boxes.pop(id(box), None)

    def _lost(self, op: int, box: List[T], word: Any) -> None:
        if op == RECV and word.value in self._boxes:
            with self._lock:
                self._give_back(self._boxes.pop(word.value))

    def _bell(self, op: int) -> Optional[int]:
        return self._bells[op]


Case = Tuple[Source, int, List[Any]]
NONE = 2**64 - 1


def _select(cases: List[Case], timeout: int) -> Tuple[int, int]:
    """Does one of the cases. A status, and which one."""
    blocked = 0
    try:
        for i, (source, op, box) in enumerate(cases):
            status = source._block(op, box) if timeout else source._attempt(op, box)
            if status != EAGAIN:
                return status, i
            if timeout:
                blocked += 1
        return _wait(cases, timeout) if timeout else (_abi.GMX_ETIMEDOUT, -1)
    finally:
        for source, op, _ in cases[:blocked]:
            source._unblock(op)


def _wait(cases: List[Case], timeout: int) -> Tuple[int, int]:
    n = len(cases)
    array = (_abi.gmx_select_case * (2 * n))()  # each channel, and behind them each bell
    words: List[Any] = []
    which = _word(NONE)
    done = False
    try:
        for i, (source, op, box) in enumerate(cases):
            words.append(source._word(op, box))
            case, bell = array[i], array[n + i]
            case.chan, case.elem, case.op = source._chan, _abi.addressof(words[i]), op
            bell.chan, bell.op = source._bell(op), RECV
        end = gmx.gmx_now() + timeout
        while True:
            status = wait(timeout, lambda left: gmx.gmx_select(array, 2 * n, left, _byref(which)))
            if status != OK and status != ECLOSED:
                return status, -1
            i = which.value
            if i < n:
                if status == OK:
                    source, op, box = cases[i]
                    source._done(op, box, words[i])
                else:
                    which.value = NONE
                done = True
                return status, i
            i, which.value = i - n, NONE
            source, op, box = cases[i]
            status = source._attempt(op, box)
            if status != EAGAIN:
                which.value, done = i if status == OK else NONE, True
                return status, i
            source._word(op, box)
            if timeout > 0:
                timeout = max(0, end - gmx.gmx_now())
    finally:
        for i in range(len(words)):
            source, op, box = cases[i]
            if i != which.value:
                source._undone(op, box)
            elif not done:  # Ctrl-C came between the library's return and ours
                source._lost(op, box, words[i])


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
    ready, numbers = _cases(cases)
    status, i = _select(ready, nanoseconds(timeout))
    return _selected(ready, numbers, status, i)


def select_nowait(*cases: Selectable) -> Selected:
    """`select` if one of the cases can be done at once. WouldBlockError if none can."""
    ready, numbers = _cases(cases)
    status, i = _select(ready, 0)
    if status == _abi.GMX_ETIMEDOUT:
        raise WouldBlockError(what="no case is ready")
    return _selected(ready, numbers, status, i)


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
