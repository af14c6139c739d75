"""Tokens of cancellation, for work that no block of a scope can hold, and functions that run when one is canceled."""

import ctypes
import threading
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type, TypeVar

from . import _abi
from ._cchannels import CChannel
from ._channels import Source
from ._errors import ClosedError, ForkedError, check, error, integer
from ._goroutines import G, start
from ._library import Process, ending, exit_method, gmx, process, rest, resume_method
from ._scopes import token_around
from ._select import select
from ._waits import FOREVER, current_token, nanoseconds

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")


class Cancellation(Source):
    """The channel of a token, which is closed when the token is canceled."""

    _channel = _abi.c_void_p()  # NULL, until there is one

    def __init__(self, handle: int) -> None:
        self._epoch = process.epoch
        self._channel = _abi.c_void_p()
        check(gmx.gmx_cancel_chan(handle, _abi.byref(self._channel)), "the channel of a token")
        assert self._channel.value
        self._chan = self._channel.value

    def __del__(self, process: Process = process, gmx: _abi.Library = gmx) -> None:
        if self._channel.value and self._epoch is process.epoch:
            gmx.gmx_chan_free(self._channel.value)

    def _attempt(self, op: int, box: List[Any]) -> int:
        return gmx.gmx_chan_try_recv(self._chan, None)


class Token(Cancellation):
    """A token of cancellation: what waits under it ends with CanceledError when `cancel` is called, when timeout
    seconds have passed, or when the scope or token is canceled in which it was made. A block waits under it by `with
    token.use():`, a goroutine by `token.go`. A scope has one of its own: this is for work that begins and ends in
    different places.

    In a `select` it is a case that is done once it is canceled."""

    _token = _abi.c_uint64()  # none, until there is one

    def __init__(self, timeout: Optional[float] = None) -> None:
        self._token = _abi.c_uint64()
        self._epoch = process.epoch
        limit = nanoseconds(timeout)
        check(gmx.gmx_cancel_new(token_around(), limit, _abi.byref(self._token)), "a token")
        super().__init__(self._token.value)

    def __del__(self, process: Process = process, gmx: _abi.Library = gmx) -> None:
        if self._token.value and self._epoch is process.epoch:
            gmx.gmx_cancel_free(self._token.value)
        super().__del__(process, gmx)

    @property
    def handle(self) -> int:
        """The token for C functions: a gmx_cancel. It is theirs for as long as this object lives."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        return self._token.value

    def cancel(self, reason: Optional[int] = None) -> None:
        """Cancels it, and the scopes and tokens that were made under it. `reason`: a number below 0, which C functions
        get by gmx_cancel_reason; the first one stays."""
        if reason is None:
            check(gmx.gmx_cancel_now(self.handle))
        else:
            integer(reason, "a reason", -(2**31), -1)
            check(gmx.gmx_cancel_now_because(self.handle, reason))

    @property
    def canceled(self) -> bool:
        """Whether it is canceled."""
        return gmx.gmx_cancel_is_canceled(self.handle)

    @property
    def reason(self) -> Optional[BaseException]:
        """Why it is canceled, None while it is not: a TimeoutError for its timeout, a CanceledError for `cancel()`, and
        what the number given to `cancel` raises elsewhere: an Error with that `status` for a number of your own."""
        reason = _abi.c_int32()
        check(gmx.gmx_cancel_reason(self.handle, _abi.byref(reason)))
        return error(reason.value) if reason.value < 0 else None

    @property
    def deadline(self) -> Optional[float]:
        """When it is canceled at the latest, as time.monotonic() counts: the earliest of its own time and of those
        above it. None if there is none."""
        return _deadline(self.handle)

    def use(self) -> "Use":
        """`with token.use():` the block waits under the token, and no longer under what it waited under before."""
        return Use(self)

    def go(self, fn: "Callable[P, T]", *args: "P.args", **kwargs: "P.kwargs") -> "G[T]":
        """Runs fn(*args, **kwargs) as a goroutine that waits under the token."""
        return start(fn, args, kwargs, self.handle, then=self._ended)  # which keeps the token until then

    def _ended(self, g: "G[Any]") -> None:
        pass

    def on_cancel(self, fn: "Callable[P, object]", *args: "P.args", **kwargs: "P.kwargs") -> "Hook":
        """As gomax.on_cancel, for this token instead of the caller's."""
        self.handle  # not in a child of fork
        return Hook(self, fn, args, kwargs)


class Use:
    """What `Token.use` gives, for one with statement at a time."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._outer = _abi.c_uint64()

    def __enter__(self) -> Token:
        self._outer.value = current_token()
        try:
            check(gmx.gmx_cancel_use(self._token.handle, None))
            return self._token
        except BaseException:  # Ctrl-C: the block will not run, and nothing else puts back what was
            gmx.gmx_cancel_use(self._outer, None)
            raise

    if TYPE_CHECKING:

        def __exit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> None: ...

    else:
        __exit__ = exit_method("gmx_cancel_use", "_outer")


class Hook:
    """A function that is called when a token is canceled, unless it is stopped before: by `stop`, at the end of a with
    statement, or because nothing refers to this object any more."""

    _over: Optional[CChannel] = None

    def __init__(self, token: Optional[Cancellation], fn: Callable[..., object], args: Any, kwargs: Any) -> None:
        if not callable(fn):
            raise TypeError(f"on_cancel wants a function, not {fn!r}")
        self._first = threading.Lock()  # whichever side takes it decides whether the function is called
        self._over = CChannel(ctypes.c_uint8)  # (closing it takes no lock of Python: __del__ may come in the midst of anything)
        if token is not None:
            # the goroutine does not refer to this object, so that it goes when the caller forgets it
            start(_call_when_canceled, (token, self._first, self._over, fn, args, kwargs), {})

    def __del__(self, process: Process = process, close: Callable[[Any], int] = gmx.gmx_chan_close) -> None:
        over = self._over
        if over is not None and over._epoch is process.epoch:
            self._first.acquire(blocking=False)
            close(over._chan)

    def stop(self) -> bool:
        """Whether this kept the function from being called. If not it is being called, or was, or was stopped before.
        It is not waited for."""
        return _stop(self._first, self._over)

    def __enter__(self) -> "Hook":
        self._rest = rest(ending(partial(_stop, self._first, self._over)))  # which does not refer to this object either
        return self

    if TYPE_CHECKING:

        def __exit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> None: ...

    else:
        __exit__ = resume_method()


def _stop(first: threading.Lock, over: Optional[CChannel]) -> bool:
    try:
        return first.acquire(blocking=False)
    finally:
        if over is not None:
            try:
                over.close()
            except (ClosedError, ForkedError):
                pass


def _call_when_canceled(
    token: Cancellation, first: threading.Lock, over: CChannel, fn: Callable[..., object], args: Any, kwargs: Any
) -> None:
    case, _, _ = select(token, over)
    if case == 0 and first.acquire(blocking=False):
        fn(*args, **kwargs)


def on_cancel(fn: "Callable[P, object]", *args: "P.args", **kwargs: "P.kwargs") -> Hook:
    """Calls fn(*args, **kwargs) on a goroutine when the scope around the caller, or the token that it uses, is
    canceled: for waits that the library does not know of, which something else has to end. At once if it is canceled
    already; never if there is none. Keep what this returns: in a with statement, whose end stops it.

        with gomax.on_cancel(connection.shutdown, socket.SHUT_RDWR):
            data = connection.recv(4096)

    Each one has a goroutine, and so a thread, that waits. What fn raises is reported as an error of a goroutine."""
    handle = token_around()
    return Hook(Cancellation(handle) if handle else None, fn, args, kwargs)


def _deadline(handle: int) -> Optional[float]:
    at = _abi.c_int64()
    check(gmx.gmx_cancel_deadline(handle, _abi.byref(at)))
    return None if at.value == FOREVER else at.value / 1e9


def deadline() -> Optional[float]:
    """When the scope around the caller, or the token that it uses, is canceled at the latest, as time.monotonic()
    counts. None if there is no such moment."""
    handle = token_around()
    return _deadline(handle) if handle else None
