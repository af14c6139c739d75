"""Channels of C values, for C functions and Python together.

A receiver that an exception from outside interrupts may have a value already. It goes back to where every receiver
finds it:

CCHAN-1. Into the library's channel, if there is room or a receiver waits.
CCHAN-2. Otherwise to `_back`, from where receivers in Python take it first. Those that wait in the library cannot look
         there: therefore a goroutine waits in the library until a value can be sent, and sends what `_back` has. So
         what lies there never waits for a receiver that waits for it, whether that waits already, is on the way, or
         comes later.
CCHAN-3. That goroutine keeps the library's channel, not this object. It ends when `_back` is empty, when the channel is
         closed (what is left is for Python alone: a C function is told that it is closed), or with this object
         (`_gone`).
"""

import builtins
import ctypes
import functools
from _ctypes import CFuncPtr
from collections import deque
from itertools import starmap
from typing import Any, Callable, Deque, Iterator, List, Optional

from . import _abi
from ._channels import EAGAIN, OK, RECV, SEND, Channels, new_channel
from ._errors import ClosedError, check, error
from ._goroutines import start
from ._library import Process, gmx, process
from ._waits import FOREVER, nanoseconds, wait


def _owned(type: Any) -> Optional[str]:
    """The name of the part of a ctypes type that points to memory which a Python object owns. None if there is none."""
    if not isinstance(type, builtins.type):
        return None  # ctypes.sizeof refuses it
    if issubclass(type, ctypes._SimpleCData):
        return type.__name__ if getattr(type, "_type_") in "OzZ" else None
    if issubclass(type, (ctypes._Pointer, CFuncPtr)):
        return type.__name__
    if issubclass(type, ctypes.Array):
        return _owned(type._type_)
    fields = [field[1] for base in type.__mro__ for field in base.__dict__.get("_fields_", ())]
    return next(filter(None, map(_owned, fields)), None)


class CChannel(Channels):
    """Values of one ctypes type, first in first out, with room for capacity of them. With a capacity of 0 sender and
    receiver meet; gomax.UNBOUNDED is allowed. C functions use the channel by its `address` (gmx_chan_send,
    gmx_chan_recv, gmx_select) for as long as this object lives. Numbers and addresses arrive in Python as numbers,
    structures and arrays as they are. Iterate over the channel to receive until it is closed; as a context manager it
    is closed at the end of the block.

    What travels is bytes, which keep no object alive: types that point to memory of a Python object (py_object,
    c_char_p, c_wchar_p, POINTER, CFUNCTYPE, and structures, unions and arrays with such) are a TypeError. Send an
    address that you keep valid as c_void_p.

    A receiver that an exception from outside interrupts, Ctrl-C for instance, puts back a value that it has already.
    Another receiver, in Python or C, gets that; it may come after values that were sent later."""

    def __init__(self, type: Any, capacity: int = 0) -> None:
        owned = _owned(type)
        if owned:
            raise TypeError(
                f"a CChannel carries bytes and keeps no object alive: {owned} points to memory of one; send an array, or an"
                " address that stays valid as c_void_p"
            )
        self._type = type
        self._back: Deque[Any] = deque()  # words that were received and given back
        self._turn: List[None] = [None]  # one goroutine delivers, the one that has popped this
        self._gone = _abi.c_void_p()  # a channel, once something was given back, which is closed with this object
        self._epoch = process.epoch
        self._cell = _abi.c_void_p()
        self.address = self._chan = new_channel(self._cell, ctypes.sizeof(type), capacity)

    def __del__(
        self,
        process: Process = process,
        free: Callable[[Any], int] = gmx.gmx_chan_free,
        close: Callable[[Any], int] = gmx.gmx_chan_close,
    ) -> None:
        if self._cell.value and self._epoch is process.epoch:
            free(self._cell)
            if self._gone.value:
                close(self._gone)
                free(self._gone)

    def send(self, value: Any, timeout: Optional[float] = None) -> None:
        """Sends a value, waiting until there is room for it or a receiver takes it. ClosedError, TimeoutError,
        CanceledError: nothing was sent."""
        self._mine()
        word = self._word(SEND, [value])
        status = gmx.gmx_chan_try_send(self._chan, ctypes.byref(word))
        if status == EAGAIN:
            send = functools.partial(gmx.gmx_chan_send_timeout, self._chan, ctypes.byref(word))
            status = wait(nanoseconds(timeout), send)
        check(_abi.GMX_ETIMEDOUT if status == EAGAIN else status)

    def recv(self, timeout: Optional[float] = None) -> Any:
        """Receives a value, waiting until there is one. ClosedError when it is closed and nothing is left in it,
        TimeoutError, CanceledError."""
        self._mine()
        box: List[Any] = []
        word, record = self._type(), [EAGAIN]
        try:
            status = self._attempt(RECV, box)
            if status == EAGAIN:
                receive = functools.partial(gmx.gmx_chan_recv_timeout, self._chan, ctypes.byref(word))
                status = wait(nanoseconds(timeout), receive, record=record)
                if status == OK:
                    self._done(RECV, box, word)
            if status < 0:
                raise error(_abi.GMX_ETIMEDOUT if status == EAGAIN else status)
            return box[0]
        except BaseException:
            if record == [OK]:
                self._done(RECV, box, word)
            if box:
                try:
                    self._give_back(box)
                except BaseException:
                    self._give_back(box)
                    raise
            raise

    def close(self, drop: bool = False) -> None:
        """Nothing can be sent any more. Values in the channel can still be received; senders that wait get ClosedError,
        and so do receivers once it is empty. ClosedError if the channel was closed before. With drop=True, for the side
        that receives, the values left in the channel are dropped: receivers get ClosedError at once, and a channel that
        was closed before is no error."""
        self._mine()
        if not drop:
            check(gmx.gmx_chan_close(self._chan))
            return
        check(gmx.gmx_chan_close_drop(self._chan, None, None))
        self._back.clear()

    def __len__(self) -> int:
        return super().__len__() + len(self._back)

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                value = self.recv()
            except ClosedError:
                return
            yield value

    @staticmethod
    def _value(word: Any) -> Any:
        return word.value if isinstance(word, ctypes._SimpleCData) else word  # (a value as such stays what it is)

    # ---- for select ----

    def _attempt(self, op: int, box: List[Any]) -> int:
        if op == SEND:
            return gmx.gmx_chan_try_send(self._chan, ctypes.byref(self._word(op, box)))
        try:
            if self._back:
                box[:] = starmap(self._back.popleft, ((),))
                box[:] = [self._value(box[0])]
                return OK
        except IndexError:
            pass
        word, record = self._type(), [EAGAIN]
        try:
            record[:] = map(gmx.gmx_chan_try_recv, (self._chan,), (ctypes.byref(word),))
        finally:
            if record == [OK]:
                box += [word]
        if record == [OK]:
            box[:] = [self._value(word)]
        return record[0]

    def _word(self, op: int, box: List[Any]) -> Any:
        if op == RECV:
            return self._type()
        return box[0] if isinstance(box[0], self._type) else self._type(box[0])

    def _done(self, op: int, box: List[Any], word: Any) -> None:
        if op == RECV and not box:
            box[:] = [word]  # before anything else can come
            box[:] = [self._value(word)]

    def _again(self, op: int, box: List[Any]) -> int:
        return self._attempt(op, box) if op == RECV and self._back else EAGAIN

    def _give_back(self, box: List[Any]) -> None:
        """May be called twice."""
        if box:
            value = box[0]
            self._back += [value if isinstance(value, self._type) else self._type(value)]
            del box[:]
        if not _deliver(self._chan, self._back):
            self._wait_to_deliver()

    def _wait_to_deliver(self) -> None:
        new = _abi.c_void_p()
        try:
            if not self._gone.value:
                new_channel(new, 0, 0)
                if not self._gone.value:  # a handler or another thread may have been faster
                    self._gone, new = new, self._gone
        finally:
            gmx.gmx_chan_free(new)
        try:
            self._turn.pop()
        except IndexError:
            return  # the one that delivers looks at `_back` again before it ends
        kept: List[_abi.c_void_p] = []
        try:
            for cell in (self._cell, self._gone):
                check(gmx.gmx_chan_ref(cell))
                kept += [_abi.c_void_p(cell.value)]
            start(_delivers, (kept, self._back, self._turn), {})
        except BaseException:
            self._turn += [None]
            _free(kept)
            raise


def _deliver(channel: Any, back: Deque[Any]) -> bool:
    """Sends what was given back. False if it has to wait."""
    while back:
        taken: List[Any] = []
        record: List[int] = []
        try:
            try:
                taken[:] = starmap(back.popleft, ((),))
            except IndexError:
                return True
            record[:] = map(gmx.gmx_chan_try_send, (channel,), (ctypes.byref(taken[0]),))
        finally:
            if taken and record != [OK]:
                back.extendleft(taken)
        if record != [OK]:
            return record[0] != EAGAIN
    return True


def _delivers(kept: List[_abi.c_void_p], back: Deque[Any], turn: List[None]) -> None:
    """The goroutine of CCHAN-2."""
    mine: List[_abi.c_void_p] = []
    try:
        while kept:
            mine += [kept.pop()]
        if len(mine) < 2:
            return
        gone, channel = mine
        cases = (_abi.gmx_select_case * 2)()
        cases[0].chan, cases[0].op = channel.value, _abi.GMX_CASE_SEND_READY
        cases[1].chan, cases[1].op = gone.value, RECV
        which = _abi.c_size_t()
        select = functools.partial(gmx.gmx_select, cases, 2)
        while True:
            while not _deliver(channel, back):
                if wait(FOREVER, select, rest=(ctypes.byref(which),)) != OK:
                    return  # either channel is closed
            turn += [None]
            if not back or gmx.gmx_chan_is_closed(channel):
                return
            try:
                turn.pop()
            except IndexError:
                return
    finally:
        _free(mine)


def _free(channels: List[_abi.c_void_p]) -> None:
    """The caller's references, each by the thread that pops it."""
    while channels:
        try:
            gmx.gmx_chan_free(channels.pop())
        except IndexError:
            pass
