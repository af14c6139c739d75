"""Where the library is, and what belongs to this process rather than to the one that forked it.

The library is the one in the wheel, or that of GOMAX_LIBRARY, an absolute path: a relative one would depend on where
the program is started. Python's -E and -I, for programs that do not trust their environment, count for it too. Loading
the library starts nothing: the first call that needs the runtime does.
"""

import ctypes
import operator
import os
import sys
import types
from collections import deque
from functools import partial
from typing import Any, Callable, Generator, List, Optional

from . import _abi


def _library() -> str:
    chosen = "" if sys.flags.ignore_environment else os.environ.get("GOMAX_LIBRARY", "")
    if chosen and not os.path.isabs(chosen):
        raise ImportError(f"GOMAX_LIBRARY must be an absolute path, not {chosen!r}")
    return chosen or os.path.join(os.path.dirname(os.path.abspath(__file__)), "libgomax.so.0")


def _main_interpreter() -> bool:
    api = ctypes.pythonapi
    api.PyInterpreterState_Get.restype = api.PyInterpreterState_Main.restype = ctypes.c_void_p
    return bool(api.PyInterpreterState_Get() == api.PyInterpreterState_Main())


if not _main_interpreter():  # which has the signals; threads that idle or wait in C would be left behind when another one ends
    raise ImportError("gomax works in the main interpreter only, not in a sub-interpreter")
LIBRARY = _library()
gmx = _abi.Library(LIBRARY)

if gmx.gmx_version() >> 8 != _abi.GMX_VERSION_MAJOR << 8 | _abi.GMX_VERSION_MINOR:
    raise ImportError(f"a libgomax of version {gmx.gmx_version():#x}, but the package is for {_abi.VERSION}")


_bind = ctypes.pythonapi.PyInstanceMethod_New
_bind.restype, _bind.argtypes = ctypes.py_object, [ctypes.py_object]


class _Attribute:
    """The type of an argument: of the object that is given this attribute. (A class of Python, a getter in C.)"""

    def __init__(self, name: str) -> None:
        self.from_param = operator.attrgetter(name)


class _Called:
    """The type of an argument: what this method of the object returns that is given."""

    def __init__(self, name: str) -> None:
        self.from_param = operator.methodcaller(name)


class _Null:
    """The type of an argument that is NULL, whatever is given. (This returns None and keeps nothing, in C.)"""

    from_param = deque(maxlen=0).append  # type: ignore[var-annotated]


class _Constant:
    """The type of an argument that is this, whatever is given. (A method of a dict.)"""

    def __init__(self, value: Any) -> None:
        self.from_param = partial({None: value}.get, None)


def exit_method(name: str, at: str = "", after: Optional[Callable[..., Any]] = None) -> Any:
    """An `__exit__` that is a C function of the library (WAITS-R3): it gets the attribute `at`, a ctypes object, of the
    object whose block ends, and NULLs. `after` gets its status and the arguments of `__exit__`."""
    return _bind(_with_null(name, [_Attribute(at) if at else _Null, _Null, _Null, _Null], after))


def after_method(name: str) -> Any:
    """An `after` of `exit_method` that is a C function too, without arguments."""
    function = _with_null(name, [_Null, _Null, _Null], None)
    function.restype = None
    return function


def _outcome(result: Any, function: Any, arguments: Any) -> Any:
    arguments[0]._rest = LEFT
    if not isinstance(result, BaseException):
        return result
    try:
        raise result
    finally:
        del result, arguments  # the traceback holds this frame


class _Left:
    """In place of the rest of a block that was left."""

    @staticmethod
    def send(e: Optional[BaseException]) -> bool:
        return False


Rest = Generator[Any, Optional[BaseException], None]
LEFT = ctypes.py_object(_Left)


def rest(steps: Rest) -> Any:
    """For the attribute `_rest` of an object with `resume_method`: a generator that has gone as far as to the block."""
    next(steps)
    return ctypes.py_object(steps)


def resume_method() -> Any:
    """An `__exit__` that is a C function (WAITS-R3) and resumes a generator, which is suspended within its `try` while
    the block runs: even what comes where it continues is handled there. The generator is `_rest` of the object, gets
    the exception of the block or None, and yields an exception to be raised, or whether the one of the block is not."""
    function = _send(_Attribute("_rest"))
    function.errcheck = _outcome
    return _bind(function)


def resume_close_method() -> Any:
    """The same for what is closed at the end of a block, on whichever thread that comes first: `_ends()` gives the
    generator."""
    function = _send(_Called("_ends"))
    function.errcheck = _closed
    return _bind(function)


def once(steps: Rest) -> Callable[[], Any]:
    """For the attribute `_ends`: the generator for the first that asks, and LEFT for others."""
    return partial({0: rest(steps)}.pop, 0, LEFT)


def _closed(result: Any, function: Any, arguments: Any) -> Any:
    arguments[0].__dict__.pop("_ends", None)
    if isinstance(result, BaseException):
        raise result
    return result


def _send(source: Any) -> Any:
    function = ctypes.PyDLL(None)["PyObject_CallMethodObjArgs"]
    function.restype = ctypes.py_object
    arguments: List[Any] = [source, _Constant(ctypes.py_object("send")), ctypes.py_object, _Null]
    function.argtypes = arguments
    return function


def resume_async_method() -> Any:
    """The same for `__aexit__`. It resumes the generator `_async_rest`, which yields itself to be awaited, and runs
    from there within its `try`. If an exception comes before it is awaited, the last reference to it goes, which closes
    it."""
    return _bind(_send(_Attribute("_async_rest")))


class AsyncBlock:
    """What runs at the end of an `async with`. `owner` has the attribute `_async_rest`."""

    owner: Any

    def leave(self, e: Optional[BaseException], late: List[BaseException]) -> Generator[Any, Any, Optional[BaseException]]:
        """What is to be raised behind the block that has raised e: e too, or None. `late` are exceptions from outside
        that have come since. Called again with one more that comes out of it."""
        raise NotImplementedError
        yield

    def end(self, e: Optional[BaseException], gave_up: bool) -> None:
        """Nothing of the block is left behind this. It waits for nothing, and may be called twice."""

    def forgotten(self) -> None:
        """The block never ends, and what it was in is collected, on any thread (WAITS-R5)."""


@types.coroutine
def _async_steps(block: AsyncBlock, me: List[Any]) -> Generator[Any, Any, bool]:
    """What `resume_async_method` is about."""
    e: Optional[BaseException] = None
    outcome: Optional[BaseException] = None
    late: List[BaseException] = []
    gave_up = True
    try:
        e = yield
    except GeneratorExit:
        block.forgotten()
        return False
    except BaseException as interrupt:
        late += [interrupt]
    block.owner._async_rest = ASYNC_LEFT
    try:  # (nothing comes between the two)
        try:
            try:
                yield me[0].value
                outcome = yield from block.leave(e, late)
            except GeneratorExit:
                raise
            except BaseException as interrupt:
                late += [interrupt]
                outcome = yield from block.leave(e, late)
            gave_up = False
        finally:
            try:
                block.end(e, gave_up)
            except BaseException:
                block.end(e, gave_up)
                raise
        if outcome is None or outcome is e:
            return outcome is None
        raise outcome
    finally:
        del outcome, e, late  # the traceback holds this frame


def _nothing() -> Generator[Any, Any, bool]:
    yield from ()
    return False


class _AsyncLeft:
    """In place of the rest of a block that was left."""

    @staticmethod
    def send(e: Optional[BaseException]) -> Any:
        return types.coroutine(_nothing)()


ASYNC_LEFT = ctypes.py_object(_AsyncLeft)


def async_rest(block: AsyncBlock) -> Any:
    """For the attribute `_async_rest`: a generator that has gone as far as to the block. What it knows of itself is no
    reference, so that it ends where the caller forgets it."""
    me: List[Any] = []
    steps = _async_steps(block, me)
    me += [ctypes.py_object.from_buffer(ctypes.c_void_p(id(steps)))]
    next(steps)
    return ctypes.py_object(steps)


def ending(end: Callable[[], Any], wait: Optional[Callable[[], Any]] = None) -> Rest:
    """The rest of a block: calls `end`, and again if an exception comes before it has returned. Then `wait`, which an
    exception gives up."""
    found: List[Any] = [False]
    try:
        try:
            yield
        except GeneratorExit:  # the object was forgotten, and the block never ends
            return
        end()
        if wait:
            wait()
    except BaseException as late:
        end()
        found[:] = [late]
    yield found.pop()


def _with_null(name: str, arguments: List[Any], after: Optional[Callable[..., Any]]) -> Any:
    function = ctypes.PyDLL(LIBRARY)[name]
    function.restype, function.argtypes = ctypes.c_int32, arguments
    if after:
        function.errcheck = after
    return function


class Process:
    """What a child of fork has anew. `epoch` is another object there: whatever keeps one can tell that it is stale."""

    def __init__(self) -> None:
        self.epoch = object()
        self.resets: List[Callable[[], None]] = []

    def forked(self) -> None:
        self.epoch = object()
        for reset in self.resets:
            reset()


process = Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=process.forked)
