"""Statuses of the library as exceptions."""

import builtins
import operator
from typing import Any, Optional

from . import _abi
from ._library import gmx


class _Status(BaseException):
    """What the exceptions of this package have in common."""

    status: int
    name: str

    def __init__(self, status: int, what: str = "") -> None:
        self.status = status
        self.name = gmx.gmx_err_name(status).decode()
        self._what = what
        text = f"{gmx.gmx_strerror(status).decode()} ({self.name})"
        super().__init__(f"{what}: {text}" if what else text)

    def __reduce__(self) -> "tuple[type[_Status], tuple[int, str]]":
        return type(self), (self.status, self._what)


class Error(_Status, Exception):
    """A call of the library that did not do what it should. `status` is its number, `name` such as "GMX_ENOTG"."""


class ClosedError(Error):
    """The channel is closed."""

    def __init__(self, status: int = _abi.GMX_ECLOSED, what: str = "") -> None:
        super().__init__(status, what)


class CanceledError(_Status):
    """The scope or the token around this wait was canceled. It derives from BaseException, as those of asyncio and trio
    do: an `except Exception` that tries again must not swallow it. Code that cleans up uses `finally`, or raises it
    again."""

    def __init__(self, status: int = _abi.GMX_ECANCELED, what: str = "") -> None:
        super().__init__(status, what)


class WouldBlockError(Error):
    """What ends in `_nowait` cannot be done now: it would have to wait."""

    def __init__(self, status: int = _abi.GMX_EAGAIN, what: str = "") -> None:
        super().__init__(status, what)


class ForkedError(Error):
    """The object belongs to the parent: a child of fork starts afresh, with objects of its own."""

    def __init__(self, status: int = _abi.GMX_ESTALE, what: str = "made before the fork") -> None:
        super().__init__(status, what)


def integer(value: Any, what: str, least: int, most: int) -> int:
    """The value, if it is a whole number within the bounds: ctypes would cut off what does not fit."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is a whole number, not {type(value).__name__}") from None
    if not least <= number <= most:
        raise ValueError(f"{what} is from {least} to {most}, not {number}")
    return number


def error(status: int, what: str = "") -> BaseException:
    """The exception for a negative status."""
    if status == _abi.GMX_ETIMEDOUT:
        return TimeoutError(what or "timed out")
    if status == _abi.GMX_EINVAL:
        return ValueError(what or "an argument is not valid")
    if status == _abi.GMX_ENOMEM:
        return MemoryError(f"no memory for {what}" if what else "no memory")
    if status == _abi.GMX_ECLOSED:
        return ClosedError(status, what)
    if status == _abi.GMX_ECANCELED:
        return CanceledError(status, what)
    if status == _abi.GMX_EAGAIN:
        return WouldBlockError(status, what)
    return Error(status, what)


def check(status: int, what: str = "") -> int:
    """The status, if it is no error."""
    if status < 0:
        raise error(status, what)
    return status


def is_cancellation(e: Optional[BaseException]) -> bool:
    """Whether it is a CanceledError, or a group of nothing else."""
    if isinstance(e, CanceledError):
        return True
    group = getattr(builtins, "BaseExceptionGroup", None)
    return group is not None and isinstance(e, group) and all(is_cancellation(one) for one in e.exceptions)
