"""`scope`: goroutines that end before the block does."""

import builtins
import contextvars
import ctypes
import threading
from itertools import starmap
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, Type, TypeVar

from . import _abi, _loops
from ._errors import CanceledError, ForkedError, check, error, is_cancellation
from ._goroutines import G, CFunction, address, leftovers, pointer, start, sweep
from ._library import ASYNC_LEFT, Rest, gmx, process, resume_async_method, resume_method, rest
from ._library import LEFT as BLOCK_LEFT
from ._waits import FOREVER, at_once, current_token, nanoseconds

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")
NEW, ENTERED, LEFT = range(3)

# The tokens of scopes that were left before one within them was, and what to go back to instead of each.
_left_early: Dict[int, int] = {}


class Scope:
    """with gomax.scope(timeout=...) as s: s.go(fn, ...)

    The block is left when all its goroutines have ended. The first error, of a goroutine or of the block itself,
    cancels the rest: their waits end with CanceledError, and so do those of the block. What the block raises when all
    have ended:

    1. The errors: the first one, or an ExceptionGroup if others have failed too (before Python 3.11 each error is the
       `__context__` of the one before). A CanceledError that comes from the scope's own cancellation is no error.
    2. Else CanceledError, if a wait was ended and the scope or token around this scope is canceled.
    3. Else TimeoutError, if a wait was ended because the time of this scope is up.
    4. Else nothing: also if it was canceled by `cancel`, or its time is up and no wait was ended.

    C functions belong to the library's own scope, and Python's wait under a token below that one's.

    A generator that is suspended within the block leaves its caller under the scope. Such a block has to end on the
    thread and in the order in which it began, as that of a `contextlib.contextmanager` does; otherwise it raises
    RuntimeError.
    """

    def __init__(self, timeout: Optional[float] = None) -> None:
        self._timeout = nanoseconds(timeout)
        self._scope = _abi.c_uint64()
        self._token = _abi.c_uint64()
        self._outer = 0
        self._state = NEW
        self._errors: List[BaseException] = []  # in their order
        self._ended_waits: List[BaseException] = []
        self._by_hand = False
        self._moves_on = False
        self._timed_out = False
        self._gate = threading.RLock()  # reentrant: a signal handler may start goroutines
        self._running: "Dict[G[Any], None]" = {}  # in Python, since Ctrl-C may come between any two steps
        self._kept: Dict[object, Tuple[CFunction, Any]] = {}  # what C functions use
        self._leaving = False
        self._result = ctypes.c_int32()
        self._in_order: Optional[bool] = None
        self._rest, self._async_rest = BLOCK_LEFT, ASYNC_LEFT
        self._epoch: Optional[object] = process.epoch
        # Of an `async with` (_scopes_async.py): what cancels the block, the scope around it, and where it is.
        self._host: Any = None
        self._around: "Optional[Scope]" = None
        self._hook: Any = None
        self._waker: "Optional[_loops.Future]" = None
        self._thread = self._thread_token = 0

    def __enter__(self) -> "Scope":
        if self._state != NEW:
            raise RuntimeError("a scope is entered once")
        self._outer = current_token()
        if leftovers:
            sweep()
        try:
            self._rest = rest(self._block())
            check(gmx.gmx_cancel_use(self._outer, None))
            self._make()
            check(gmx.gmx_cancel_use(self._token, None))
            self._state = ENTERED
            return self
        except BaseException:  # Ctrl-C: the block will not run, and nothing else puts back what was
            self._in_order = True
            self._restore()
            raise

    def _make(self) -> None:
        """The scope of the library, below the caller's current token."""
        check(gmx.gmx_scope_new(self._timeout, _abi.byref(self._scope)), "a scope")
        token = _abi.c_uint64()
        check(gmx.gmx_scope_token(self._scope, _abi.byref(token)))
        check(gmx.gmx_cancel_new(token, FOREVER, _abi.byref(self._token)), "a scope")

    def go(self, fn: "Callable[P, T]", *args: "P.args", **kwargs: "P.kwargs") -> "G[T]":
        """Runs fn(*args, **kwargs) as a goroutine of this scope. `join` of what it returns gives the result, also when
        the scope was left. RuntimeError if it was left before, or not entered."""
        return start(fn, args, kwargs, self._token.value, self._ended, told=True, register=self._begins)

    def _begins(self, g: "G[Any]") -> None:
        with self._gate:
            if self._state != ENTERED:
                raise RuntimeError("the scope is not entered, or left")
            self._running[g] = None

    def go_c(self, fn: CFunction, arg: Any = None) -> None:
        """Runs a C function, gmx_status (*)(void *), as a goroutine of this scope, as gomax.go_c does; what waits in it
        is canceled with the rest. If it returns a negative number, the scope raises the error of that status."""
        target, argument, key = address(fn), pointer(arg), object()
        with self._gate:
            if self._state != ENTERED:
                raise RuntimeError("the scope is not entered, or left")
            record: List[int] = []
            try:
                self._kept[key] = fn, arg
                record[:] = starmap(gmx.gmx_scope_spawn, ((self._scope, target, argument),))
                check(record[0], "a goroutine of the scope")
            except BaseException:
                if record != [_abi.GMX_OK]:
                    self._kept.pop(key, None)
                raise

    def _ended(self, g: "G[Any]") -> None:
        e = g._error
        if e is not None and not g._meant:
            self._failed(e)
        elif e is not None and self.canceled:
            self._ended_waits.append(e)  # (otherwise this one alone was canceled, by its handle)
        self._running.pop(g, None)
        if self._waker:
            _loops.wake(self._waker)

    def _failed(self, e: BaseException) -> None:
        self._errors.append(e)
        self._cancel()

    def _cancel(self) -> None:
        gmx.gmx_scope_cancel(self._scope)
        if self._host:
            self._host.request()

    def cancel(self) -> None:
        """Ends the waits of all its goroutines, and of the block, with CanceledError. The scope does not raise that."""
        self._by_hand = True
        self._cancel()

    @property
    def canceled(self) -> bool:
        """For loops that wait for nothing: whether to give up."""
        return self._state == ENTERED and gmx.gmx_cancel_is_canceled(self._token)

    @property
    def timed_out(self) -> bool:
        """Whether the scope was left because its time was up. For `move_on_after`, which raises nothing then."""
        return self._timed_out

    if TYPE_CHECKING:

        def __exit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> bool: ...

    else:
        __exit__ = resume_method()

    def _block(self) -> Rest:
        """What `__exit__` resumes."""
        e: Optional[BaseException] = None
        outcome: Any = None
        try:
            try:
                try:
                    e = yield
                    outcome = self._left(e)
                except GeneratorExit:
                    return self._forgotten()
                except BaseException as late:  # Ctrl-C cancels them and waits on; a second one gives up the wait
                    outcome = self._left(e, late)
            finally:
                try:
                    self._restore()
                except BaseException:
                    self._restore()
                    raise
            if outcome is None and not self._in_order:
                outcome = RuntimeError("a scope has to be left on its thread, and before those around it: see Scope")
            if outcome is None or outcome is e:
                outcome = outcome is None and e is not None
        except BaseException as late:
            outcome = late
        found = [outcome]
        del outcome, e, self  # a traceback may hold this frame
        yield found.pop()

    def _left(self, e: Optional[BaseException], late: Optional[BaseException] = None) -> Optional[BaseException]:
        """What the scope raises when all have ended. `late` came out of this function, or before it."""
        if self._epoch is not process.epoch:
            return late or e or ForkedError()
        if late is not None:
            self._failed(late)
        else:
            self._body_ended(e)
        self._wait_for_all()
        return self._why(e, self._outer)

    async def __aenter__(self) -> "Scope":
        """For coroutines of asyncio, trio and anyio: the scope cancels the block as those cancel a task."""
        from ._scopes_async import enter

        await enter(self)
        return self

    if TYPE_CHECKING:

        async def __aexit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> bool: ...

    else:
        __aexit__ = resume_async_method()

    def _body_ended(self, e: Optional[BaseException]) -> None:
        if e is None:
            return
        if is_cancellation(e) and self.canceled:
            self._ended_waits.append(e)
        else:
            self._failed(e)

    def _why(self, e: Optional[BaseException], outer: int) -> Optional[BaseException]:
        """What the scope raises: see the list at the class."""
        errors, waits = self._errors, self._ended_waits
        if errors:
            return together(errors)
        if not waits:
            return None
        late = self._late()
        if outer and gmx.gmx_cancel_is_canceled(outer):
            return e if is_cancellation(e) else waits[0]
        if late:
            self._timed_out = True
            if not self._moves_on:
                timeout = TimeoutError("the time of the scope is up")
                timeout.__cause__ = waits[0]
                return timeout
        return None

    def _late(self) -> bool:
        reason = ctypes.c_int32()
        check(gmx.gmx_cancel_reason(self._token, ctypes.byref(reason)))
        return reason.value == _abi.GMX_ETIMEDOUT

    def _restore(self) -> None:
        """The caller is under the token of before. May be called again if Ctrl-C has interrupted it."""
        self._state = LEFT
        if self._epoch is not process.epoch:
            return
        if self._in_order is None:
            self._in_order = current_token() == self._token.value
        if self._in_order:
            outer, passed = self._outer, []
            while outer in _left_early:
                passed += [outer]
                outer = _left_early[outer]
            gmx.gmx_cancel_use(outer, None)
            for token in passed:
                _left_early.pop(token, None)
        elif self._token:
            _left_early[self._token.value] = self._outer
        self._free(self._in_order)  # otherwise some thread may be under its token
        self._errors, self._ended_waits, self._rest = [], [], BLOCK_LEFT

    def _free(self, token_too: bool = True) -> None:
        if self._kept:  # the wait for C functions was given up
            leftovers.append((gmx.gmx_scope_leave, (self._scope.value, 0, None), self._kept))
        elif self._scope:
            self._leave()
        if token_too:
            gmx.gmx_cancel_free(self._token)
        self._token = _abi.c_uint64()

    def _leave(self) -> None:
        """Until all C functions have ended. If there are any, on a goroutine: Ctrl-C does not end this wait. May be
        called twice."""
        status = at_once(lambda: gmx.gmx_scope_leave(self._scope, FOREVER, ctypes.byref(self._result)))
        if status != _abi.GMX_ESTALE:
            check(status)
        self._kept.clear()
        result, self._result = self._result, ctypes.c_int32()
        if result.value < 0:
            self._c_failed(error(result.value, "a C function of the scope"))

    def _c_failed(self, e: BaseException) -> None:
        # The library has canceled the scope for it already, unless something else had.
        outer = self._outer and gmx.gmx_cancel_is_canceled(self._outer)
        if is_cancellation(e) and (self._by_hand or self._errors or outer or self._late()):
            self._ended_waits.append(e)
        else:
            self._failed(e)

    def _wait_for_all(self) -> None:
        while not self._close():
            for g in list(self._running):
                if g in self._running:
                    g._wait()
            self._leave_c()

    def _leave_c(self) -> None:
        """A goroutine waits for the C functions, behind those of Python. If that could not be, the caller does."""
        if not self._kept or self._running:
            return
        if self._leaving:
            self._leave()
        else:
            self._leaving = True
            start(self._leave, (), {}, then=self._ended, told=True, register=self._begins)

    def _close(self) -> bool:
        """Whether all have ended. Then no other begins."""
        with self._gate:
            if self._running or self._kept:
                return False
            self._state = LEFT
            return True

    def _forgotten(self) -> None:
        """The block never ends: it was one of a generator that was collected, say. Nothing waits here (WAITS-R5)."""
        entered = self._epoch is process.epoch and self._state == ENTERED
        self._state, self._epoch = LEFT, None  # nothing of it is used any more
        if entered:
            gmx.gmx_scope_cancel(self._scope)
            leftovers.append((gmx.gmx_scope_leave, (self._scope.value, 0, None), self._kept))


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
    """A scope for a with statement, or for `async with`; after timeout seconds it is canceled, and raises TimeoutError
    if that ended a wait."""
    return Scope(timeout)


def fail_after(seconds: float) -> Scope:
    """As `scope(seconds)`, by the name that trio and anyio have for it."""
    return Scope(seconds)


def move_on_after(seconds: float) -> Scope:
    """As `scope(seconds)`, but it raises nothing when its time is up: `timed_out` tells it.

    with gomax.move_on_after(0.5) as s:
        answer = answers.recv()
    if s.timed_out:
        answer = None"""
    scope = Scope(seconds)
    scope._moves_on = True
    return scope


AROUND: "contextvars.ContextVar[Optional[Scope]]" = contextvars.ContextVar("gomax scope", default=None)


def around() -> Optional[Scope]:
    """The scope of the coroutine that the caller is, or is called by."""
    scope = AROUND.get()
    while scope is not None and scope._state != ENTERED:
        scope = scope._around
    # A goroutine has the context of the coroutine that started it, but is no part of it.
    return scope if scope is not None and scope._thread == threading.get_ident() else None


def token_around() -> int:
    """That of the innermost scope around the caller, be it of threads or of coroutines."""
    scope, token = around(), current_token()
    return scope._token.value if scope is not None and token == scope._thread_token else token


def canceled() -> bool:
    """Whether the scope around the caller is canceled: for loops that wait for nothing."""
    token = token_around()
    return token != 0 and gmx.gmx_cancel_is_canceled(token)


def check_canceled() -> None:
    """Raises CanceledError if the scope around the caller is canceled."""
    if canceled():
        raise CanceledError()
