"""`scope`: goroutines that end before the block does."""

import builtins
import ctypes
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Type, TypeVar

from . import _abi
from ._errors import CanceledError, ForkedError, check, error
from ._goroutines import G, CFunction, address, pointer, start
from ._library import gmx, process
from ._waits import FOREVER, at_once, current_token, nanoseconds, wait

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")


class Scope:
    """with gomax.scope(timeout=...) as s: s.go(fn, ...)

    The block is left when all its goroutines have ended. The first error, of one of them or of the block itself, cancels
    the rest: what they wait for ends with CanceledError, the block's own waits too. It is raised when all have ended. If
    others have failed too, all are raised as an ExceptionGroup, the first one first; Python before 3.11 has none: there
    each is the `__context__` of the one before. A scope whose time is up raises TimeoutError.

    C functions belong to the library's own scope, and Python's wait under a token below that one's.
    """

    _scope = 0

    def __init__(self, timeout: Optional[float] = None) -> None:
        self._timeout = nanoseconds(timeout)
        self._token = 0
        self._outer = 0
        self._errors: List[BaseException] = []  # in their order
        self._given_up = False
        self._lock = threading.Lock()
        self._running: "Dict[G[Any], None]" = {}  # in Python, since Ctrl-C may come between any two steps
        self._kept: List[Any] = []  # what C functions use
        self._leaving = False
        self._epoch = process.epoch

    def __enter__(self) -> "Scope":
        if self._token:
            raise RuntimeError("a scope is entered once")
        self._outer = current_token()
        check(gmx.gmx_cancel_use(self._outer, None))
        scope, token = _abi.c_uint64(), _abi.c_uint64()
        check(gmx.gmx_scope_new(self._timeout, _abi.byref(scope)))
        self._scope = scope.value
        check(gmx.gmx_scope_token(scope, _abi.byref(token)))
        check(gmx.gmx_cancel_new(token, FOREVER, _abi.byref(token)))
        check(gmx.gmx_cancel_use(token, None))
        self._token = token.value
        return self

    def go(self, fn: "Callable[P, T]", *args: "P.args", **kwargs: "P.kwargs") -> "G[T]":
        """Runs fn(*args, **kwargs) as a goroutine of this scope."""
        if not self._token:
            raise RuntimeError("the scope is not entered, or left")
        return start(fn, args, kwargs, self._token, self._ended, told=True, register=self._begins)

    def _begins(self, g: "G[Any]") -> None:
        self._running[g] = None

    def go_c(self, fn: CFunction, arg: Any = None) -> None:
        """Runs a C function, gmx_status (*)(void *), as a goroutine of this scope, as gomax.go_c does; what waits in it is
        cancelled with the rest. If it returns a negative number, the scope raises the error of that status."""
        if not self._token:
            raise RuntimeError("the scope is not entered, or left")
        self._kept.append((fn, arg))
        check(gmx.gmx_scope_spawn(self._scope, address(fn), pointer(arg)))

    def _ended(self, g: "G[Any]") -> None:
        if g._error is not None:
            self._failed(g._error)
        self._running.pop(g, None)

    def _failed(self, e: BaseException) -> None:
        with self._lock:
            self._errors.append(e)
        gmx.gmx_scope_cancel(self._scope)

    def cancel(self) -> None:
        """Ends the waits of all its goroutines, and of the block, with CanceledError. The scope does not raise that."""
        self._given_up = True
        gmx.gmx_scope_cancel(self._scope)

    @property
    def canceled(self) -> bool:
        """For loops that wait for nothing: whether to give up."""
        return self._token != 0 and gmx.gmx_cancel_is_cancelled(self._token)

    def __exit__(
        self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
    ) -> bool:
        if self._epoch is not process.epoch:
            if e is None:
                raise ForkedError()
            return False
        if not self._token:
            return False  # left before
        if e is not None:
            self._failed(e)
        gmx.gmx_cancel_use(0, None)  # the goroutines are cancelled, not the wait for them
        try:
            self._wait()
        finally:
            if not self._kept and not self._leaving:
                self._leave()
            gmx.gmx_cancel_use(self._outer, None)
            reason = ctypes.c_int32()
            gmx.gmx_cancel_reason(self._token, ctypes.byref(reason))
            late = reason.value == _abi.GMX_ETIMEDOUT
            if self._outer and gmx.gmx_cancel_is_cancelled(self._outer):
                late = False  # the outer one says what has happened
            gmx.gmx_cancel_free(self._token)
            self._token = 0
        errors, self._errors = self._errors, []
        failed = [error for error in errors if not isinstance(error, CanceledError)]
        if late and not failed:
            raise TimeoutError("the time of the scope is up") from None
        if not failed and errors and self._given_up:
            return isinstance(e, CanceledError)
        error = together(failed) if failed else errors[0] if errors else None
        if error is not None and error is not e:
            try:
                raise error
            finally:
                del error, errors, failed, self
        return False

    def _leave(self) -> None:
        """Until all C functions have ended. If there are any, on a goroutine: Ctrl-C does not end this wait."""
        result = ctypes.c_int32()
        check(at_once(lambda: gmx.gmx_scope_leave(self._scope, FOREVER, ctypes.byref(result))))
        self._kept.clear()
        if result.value < 0:
            with self._lock:
                self._errors.append(error(result.value, "a C function of the scope"))

    def _wait(self) -> None:
        """Until all have ended. Ctrl-C cancels them and waits on; a second one gives up the wait."""
        try:
            self._wait_for_all()
        except BaseException as e:
            self._failed(e)
            self._wait_for_all()

    def _wait_for_all(self) -> None:
        self._wait_for_python()
        if self._kept and not self._leaving:
            self._leaving = True
            start(self._leave, (), {}, then=self._ended, told=True, register=self._begins)
            self._wait_for_python()

    def _wait_for_python(self) -> None:
        while self._running:
            for g in list(self._running):
                if g in self._running:
                    group = _abi.byref(g._running)
                    check(wait(FOREVER, lambda left: gmx.gmx_waitgroup_wait_timeout(group, left), lock=True))


def together(errors: List[BaseException]) -> BaseException:
    """One exception for all."""
    # one that two goroutines have raised, or one and the block, is one
    distinct = list({id(e): e for e in errors}.values())
    for e in distinct:
        if len(distinct) == 1 or isinstance(e, (KeyboardInterrupt, SystemExit)):
            return e  # the program ends by it
    group = getattr(builtins, "BaseExceptionGroup", None)  # an ExceptionGroup, if all are Exceptions
    if group:
        made: BaseException = group("errors in a scope", distinct)
        return made
    seen, last = {id(distinct[0])}, distinct[0]
    for e in distinct[1:]:
        while last.__context__ is not None and id(last.__context__) not in seen:
            last = last.__context__
            seen.add(id(last))
        if id(e) not in seen:
            last.__context__ = e
            seen.add(id(e))
            last = e
    return distinct[0]


def scope(timeout: Optional[float] = None) -> Scope:
    """A scope for a with statement; after timeout seconds it is cancelled."""
    return Scope(timeout)


def canceled() -> bool:
    """Whether the scope around the caller is cancelled: for loops that wait for nothing."""
    token = current_token()
    return token != 0 and gmx.gmx_cancel_is_cancelled(token)


def check_canceled() -> None:
    """Raises CanceledError if the scope around the caller is cancelled."""
    if canceled():
        raise CanceledError()
