"""Memory of Python objects that the system reads and writes.

A call that waits uses the memory itself, not a copy, and holds no GIL meanwhile. So the memory must stay where it is
until the call has returned:

VIEW-1. `bytes` never move. The caller keeps the object.
VIEW-2. Of any other object a buffer is taken (PEP 3118), and released behind the call. While it is held a bytearray
        refuses to change its size, and an mmap refuses to be closed. A buffer is released once, also if an exception
        comes between its taking and the `try` of the caller: then by `__del__`.
VIEW-3. What is read into new bytes is a bytes object that nothing else knows before the call has returned.
"""

import ctypes
from typing import Any, Callable, List, Sequence

from . import _abi

_api = ctypes.PyDLL(None)
_SIMPLE, _WRITABLE = 0, 1
LONGEST = 1 << 30  # what one call of the library moves at most


class Buffer(ctypes.Structure):
    """A Py_buffer (VIEW-2). It is empty, and may be released, until `_take` has filled it."""

    buf: int
    len: int
    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]

    def __del__(self, release: Callable[[Any], None] = _api["PyBuffer_Release"], at: Any = ctypes.byref) -> None:
        release(at(self))


_take = _api["PyObject_GetBuffer"]
_take.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
_release = _api["PyBuffer_Release"]
_release.argtypes, _release.restype = [ctypes.c_void_p], None
_new_bytes = _api["PyBytes_FromStringAndSize"]
_new_bytes.argtypes, _new_bytes.restype = [ctypes.c_void_p, ctypes.c_ssize_t], ctypes.py_object
_address_of_bytes = _api["PyBytes_AsString"]
_address_of_bytes.argtypes, _address_of_bytes.restype = [ctypes.py_object], ctypes.c_void_p


class iovec(ctypes.Structure):
    """That of readv and writev."""

    iov_base: int
    iov_len: int
    _fields_ = [("iov_base", ctypes.c_void_p), ("iov_len", ctypes.c_size_t)]


class View:
    """The memory of an object, until `release`: `address` and `size`. A TypeError or BufferError says that it has none,
    or none in one piece, or none that can be written to."""

    __slots__ = ("address", "size", "_keep")

    def __init__(self, memory: Any, writable: bool = False) -> None:
        self.address, self.size = 0, 0
        if not writable and type(memory) is bytes:  # (VIEW-1)
            self._keep: Any = memory
            self.address, self.size = _address_of_bytes(memory), len(memory)
            return
        self._keep = buffer = Buffer()
        _take(memory, _abi.byref(buffer), _WRITABLE if writable else _SIMPLE)
        self.address, self.size = buffer.buf or 0, buffer.len

    def release(self) -> None:
        """May be called twice."""
        if type(self._keep) is Buffer:
            _release(_abi.byref(self._keep))


class Views:
    """The memory of several objects, as an array of iovec."""

    def __init__(self, memories: Sequence[Any], writable: bool = False) -> None:
        self.views: List[View] = []
        try:
            for memory in memories:
                self.views.append(View(memory, writable))
        except BaseException:
            self.release()
            raise
        self.size = sum(view.size for view in self.views)

    def vector(self, done: int) -> Any:
        """The array without its first `done` bytes."""
        parts = []
        for view in self.views:
            if view.size > done:
                parts.append(iovec(view.address + done, view.size - done))
            done = max(0, done - view.size)
        return (iovec * len(parts))(*parts)

    def release(self) -> None:
        """May be called twice."""
        for view in self.views:
            view.release()


def new_bytes(size: int) -> bytes:
    """Bytes whose content is arbitrary, to be read into (VIEW-3)."""
    return _new_bytes(None, size)  # type: ignore[no-any-return]


def address_of(memory: bytes) -> int:
    """Where bytes are."""
    return _address_of_bytes(memory)  # type: ignore[no-any-return]
