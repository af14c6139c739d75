"""Channels of Python objects, for threads and coroutines. (select is in _select.py and _select_async.py.)

What travels through the library's channel is a number: the address of a box, a list of one, which the table of the
channel keeps alive until it is received. So an object in a channel belongs to the channel as an element belongs to a
list: the garbage collector sees it, and it goes when the channel does.

Threads wait in the library, coroutines wait here. A channel at which no coroutine has waited takes no lock. From the
first one on (`_waiting` is there) both meet under one lock, `meeting`, which is reentrant: a signal handler or a
finaliser may use a channel in the midst of an operation on it (WAITS-R4).

CHAN-1. Every attempt to send or receive is made under it, and first with coroutines of the other side that wait. A
        thread that has sent or received without it, and sees `_waiting` afterwards, settles (CHAN-4).
CHAN-2. A coroutine enlists under it, after `_waiting` is there and an attempt has failed. If threads wait at the other
        side (`_blocked`), it rings their bell.
CHAN-3. A thread enters itself in `_blocked` and makes another attempt. Then it waits in one gmx_select for its channels
        and their bells. A bell is a channel with room for one: a thread on the way to its wait hears it too. A thread
        that hears it makes another attempt.
CHAN-4. When its wait is over a thread takes itself out and settles: values that have come meanwhile go to coroutines
        that wait, and if there is still something for the other threads, it rings for the next one.

So the second that comes sees the first: a coroutine by the attempt or by `_blocked`, a thread by `_waiting`, the
attempt, the bell or, when its own wait went well, by settling.

CHAN-5. A value is in one box at a time. A box of a receiver that has something in it was received, and what moves a
        value from one to the other calls nothing between the two, so nothing can come there (WAITS-R1). An exception
        from outside that comes when a receiver has its value, or a coroutine that ends then, gives it back: to
        `returned`, from where it is the next to be received. The box of a thread that sends is empty from when it was
        sent (a coroutine's `status` tells it).
CHAN-6 and CHAN-7 are about the coroutines (_coroutines.py).
"""

from collections import deque
from functools import partial
from sys import modules
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Callable,
    Deque,
    Dict,
    Generic,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Type,
    TypeVar,
)

from . import _abi, _loops
from ._coroutines import OVER, Alone, Coroutine, Waiting, first, leave, left, meet, meetings, sweep
from ._errors import ClosedError, ForkedError, check, error, integer
from ._library import Process, ending, gmx, once, process, rest, resume_close_method
from ._waits import FOREVER, meeting, nanoseconds, wait

T = TypeVar("T")
OK, EAGAIN, ECLOSED = _abi.GMX_OK, _abi.GMX_EAGAIN, _abi.GMX_ECLOSED
RECV, SEND = _abi.GMX_CASE_RECV, _abi.GMX_CASE_SEND
_try_send, _try_recv = gmx.gmx_chan_try_send, gmx.gmx_chan_try_recv
_byref, _word = _abi.byref, _abi.c_uint64
_DONE = [OK]
NONE = 2**64 - 1


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


class Place:
    """What a thread needs to wait at one channel. It costs more to make than to keep, so the next wait uses it
    again."""

    __slots__ = ("array", "channel", "bell", "word", "which", "select", "rest", "record")

    def __init__(self) -> None:
        self.array = (_abi.gmx_select_case * 2)()
        self.channel, self.bell = self.array
        self.word, self.which = _word(), _word()
        self.channel.elem, self.bell.op = _abi.addressof(self.word), RECV
        self.select = partial(gmx.gmx_select, self.array, 2)
        self.rest = (_byref(self.which),)
        self.record: List[int] = []


places: Deque[Place] = deque(maxlen=64)  # that are not in use: a wait takes one out, and brings it back as its last step


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
        """Nothing can be sent any more. ClosedError if it was closed before. With drop=True what is left in it is
        dropped, also if it was closed before."""
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
        self.__dict__["_ends"] = once(ending(self._end))
        return self

    if TYPE_CHECKING:

        def __exit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> None: ...

    else:
        __exit__ = resume_close_method()

    def _ends(self) -> Any:
        """What `__exit__` resumes if no block has begun, or one has ended meanwhile."""
        return rest(ending(self._end))

    def _end(self) -> None:
        try:
            self.close()
        except ClosedError:
            pass


C = TypeVar("C", bound=Channels)


class Channel(Channels, Generic[T]):
    """Values from senders to receivers, first in first out, with room for capacity of them. With a capacity of 0 sender
    and receiver meet; gomax.UNBOUNDED is allowed. For goroutines, threads and coroutines alike. Iterate over the
    channel to receive until it is closed; as a context manager it is closed at the end of the block."""

    def __init__(self, capacity: int = 0) -> None:
        self._cell = _abi.c_void_p()
        self._bells: "Dict[int, _abi.c_void_p]" = {}
        self._spare: "List[_abi.c_void_p]" = []
        self._blocked: Tuple[Dict[object, None], Dict[object, None]] = ({}, {})
        self._waiting: Optional[Waiting[T]] = None
        self._boxes: Dict[int, List[T]] = {}
        self._buffered = capacity != 0
        self._epoch = process.epoch
        self._chan = new_channel(self._cell, 8, capacity)

    def __del__(self, process: Process = process, free: Callable[[Any], int] = gmx.gmx_chan_free) -> None:
        # No thread waits here: it would keep the channel alive. The values in it end with the table of boxes. The
        # parameters' defaults exist even after the interpreter has cleared this module.
        if self._cell.value and self._epoch is process.epoch:
            for cell in (self._cell, *self._spare):
                if cell.value:
                    free(cell)

    # ---- for goroutines, threads and coroutines ----

    def close(self, drop: bool = False) -> None:
        """Nothing can be sent any more. Values in the channel can still be received; senders that wait get ClosedError,
        and so do receivers once it is empty. ClosedError if the channel was closed before. With drop=True, for the side
        that receives, the values left in the channel are dropped: receivers get ClosedError at once, and a channel that
        was closed before is no error."""
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
        """Sends a value, waiting until there is room for it or a receiver takes it. ClosedError, TimeoutError (with a
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
        limit = FOREVER if timeout is None else nanoseconds(timeout)
        return self._wait(op, box, limit) if limit else _abi.GMX_ETIMEDOUT

    def _wait(self, op: int, box: List[T], timeout: int) -> int:
        """Waits until that is done (CHAN-3). What a select of this one case would do."""
        try:
            place = places.pop()
        except IndexError:
            place = Place()
        place.record[:] = ()
        place.channel.chan, place.channel.op, which, which.value = self._chan, op, place.which, NONE
        stored = box[:]
        try:
            place.bell.chan = self._block(op, place)
            if op == SEND:
                place.word.value = id(stored)
                self._boxes[id(stored)] = stored
            end = 0 if timeout == FOREVER else gmx.gmx_now() + timeout
            while True:
                if self._waiting is not None:
                    status = self._attempt(op, box)
                    if status != EAGAIN:
                        break
                status = wait(timeout, place.select, record=place.record, rest=place.rest)
                if status == ECLOSED and op == RECV and self._waiting is not None:  # unless a value was given back
                    again = self._attempt(op, box)
                    status = status if again == EAGAIN else again
                if status != OK or which.value != 1:
                    break
                if end:
                    timeout = max(0, end - gmx.gmx_now())
        finally:
            try:
                self._leave_place(op, box, stored, place)
            except BaseException:
                self._leave_place(op, box, stored, place)
                raise
        places.append(place)
        return status

    def _leave_place(self, op: int, box: List[T], stored: List[T], place: Place) -> None:
        """Puts everything in order. May be called twice."""
        if place.record == _DONE and place.which.value == 0:
            if op == SEND:
                del box[:]
            elif not box:
                key = place.word.value
                box[:] = self._boxes[key]
                del self._boxes[key]
        elif op == SEND:
            self._boxes.pop(id(stored), None)
        self._blocked[op].pop(place, None)
        if self._waiting is not None:
            meet(self._settle, self._waiting)

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
        if self._epoch is not process.epoch:
            raise ForkedError()
        if "trio" in modules:
            await _loops.checkpoint()
        status = self._put([value]) if self._buffered and self._waiting is None else EAGAIN  # most need no wait
        if status == EAGAIN:
            coroutine = Alone([value])
            try:
                status = self._attempt_or_enlist(SEND, coroutine)
                if status == EAGAIN:
                    await coroutine.future
                    status = coroutine.status
            except BaseException as e:
                leave([(self, SEND, coroutine)], True, isinstance(e, GeneratorExit))
                raise
        elif self._waiting is not None:
            meet(self._settle_if_waiting)
        if status < 0:
            raise error(status)

    async def recv_async(self) -> T:
        """`recv` for coroutines. A wait costs a future, no thread and no goroutine."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        if "trio" in modules:
            await _loops.checkpoint()
        box: List[T] = []
        try:
            status = self._get(box) if self._buffered and self._waiting is None else EAGAIN
            if status == EAGAIN:
                coroutine = Alone(box)
                try:
                    status = self._attempt_or_enlist(RECV, coroutine)
                    if status == EAGAIN:
                        await coroutine.future
                        status = coroutine.status
                except BaseException as e:
                    leave([(self, RECV, coroutine)], True, isinstance(e, GeneratorExit))
                    raise
            elif self._waiting is not None:
                meet(self._settle_if_waiting)
            if status < 0:
                raise error(status)
            return box[0]
        except BaseException as e:
            if box and not isinstance(e, GeneratorExit):  # (then `leave` has it, which waits for no lock)
                self._give_back(box)
            raise

    def _attempt_or_enlist(self, op: int, coroutine: Alone[T]) -> int:
        try:
            with meeting:  # as meet(), with fewer calls
                meetings[0] += 1
                before = meetings[0]
                status = self._attempt_locked(op, coroutine.box)
                if status == EAGAIN:
                    coroutine.future = _loops.future()
                    self._enlist(op, coroutine, before)
        finally:
            if left:
                sweep()
        return status

    def _enlist(self, op: int, coroutine: Coroutine[T], before: int) -> None:
        """It waits from now on. `before`: how many meetings there were before the attempt that has failed."""
        waiting = self._enter()
        (waiting.senders if op == SEND else waiting.receivers)[coroutine] = None
        if meetings[0] == before:
            other = RECV if op == SEND else SEND
            if self._blocked[other]:
                self._ring(other)
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
            else:
                del box[:]
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
        waiting = self._waiting or self._enter()
        if op == SEND:
            if waiting.receivers and not gmx.gmx_chan_is_closed(self._chan):
                values = [box]
                try:
                    self._give(waiting, values)
                finally:
                    if not values:
                        del box[:]
                return self._put(box) if values else OK
            return self._put(box)
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
        """Gives values, from the first on, to coroutines that wait for one. Those that are left in the list it has not
        given."""
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
        """Its value goes into the channel, or if a thread was faster and there is no room it is the next to be
        received."""
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
        bell = self._bells.get(op)
        if bell is None:
            cell = _abi.c_void_p()
            self._spare += [cell]
            new_channel(cell, 0, 1)
            bell = self._bells.setdefault(op, cell)  # another thread may have been faster
        self._blocked[op][ticket] = None
        return bell.value

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
