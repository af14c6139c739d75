"""Channels of C values, for C functions and Python together."""

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
from ._library import Process, gmx, process
from ._waits import nanoseconds, wait


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
    """Values of one ctypes type, from whoever sends to whoever receives, first in first out, with room for capacity of
    them; 0: sender and receiver meet; gomax.UNBOUNDED. C functions use it by its `address` (gmx_chan_send, gmx_chan_recv, gmx_select) for
    as long as this object lives. Numbers and addresses arrive in Python as numbers, structures and arrays as they are.
    Iterate over it to receive until it is closed; as a context manager it is closed at the end of the block.

    What travels is bytes, which keep no object alive: types that point to memory of a Python object (py_object, c_char_p,
    c_wchar_p, POINTER, CFUNCTYPE, and structures, unions and arrays with such) are a TypeError. Send an address that you keep
    valid as c_void_p."""

    def __init__(self, type: Any, capacity: int = 0) -> None:
        owned = _owned(type)
        if owned:
            raise TypeError(
                f"a CChannel carries bytes and keeps no object alive: {owned} points to memory of one; send an array, or an"
                " address that stays valid as c_void_p"
            )
        self._type = type
        self._back: Deque[Any] = deque()  # what Ctrl-C has kept a receiver from taking
        self._epoch = process.epoch
        self._cell = _abi.c_void_p()
        self.address = self._chan = new_channel(self._cell, ctypes.sizeof(type), capacity)

    def __del__(self, process: Process = process, free: Callable[[Any], int] = gmx.gmx_chan_free) -> None:
        if self._cell.value and self._epoch is process.epoch:
            free(self._cell)

    def send(self, value: Any, timeout: Optional[float] = None) -> None:
        """Sends a value, waiting until there is room for it or somebody receives it. ClosedError, TimeoutError,
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
                self._give_back(box)
            raise

    def close(self, drop: bool = False) -> None:
        """Nothing can be sent any more. What is in it can still be received; who waits is told. ClosedError if it was
        closed before. With drop=True, for the side that receives, the bytes that are left in it are forgotten: receivers
        get ClosedError at once, and one that was closed before is no error."""
        self._mine()
        if not drop:
            check(gmx.gmx_chan_close(self._chan))
            return
        check(gmx.gmx_chan_close_drop(self._chan, None, None))
        self._back.clear()

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
            box[:] = starmap(self._back.popleft, ((),))
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

    def _give_back(self, box: List[Any]) -> None:
        if box:
            self._back += [self._value(box[0])]
            del box[:]
