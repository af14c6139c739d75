"""`go`: Python functions as Gs, each on a thread of its own; `go_c`: C functions as Gs that any thread may run.

A Python function cannot run on a stack of the library and change threads: the interpreter keeps its frames per thread.
So its G is a thread that has come into the runtime (gmx_attach_thread). The threads are pooled: the last one that
became idle takes the next function, and one that was idle for ten seconds ends. They are daemons: the end of the main
thread ends the program, as in Go.
"""

import _thread
import collections
import contextvars
import ctypes
import functools
import itertools
import threading
from _ctypes import CFuncPtr
from itertools import starmap
from queue import Empty, SimpleQueue
from sys import modules
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Generator, Generic, List, Optional, Tuple, TypeVar, Union

from . import _abi, _loops
from ._errors import ForkedError, check, error, integer, is_cancellation
from ._library import Process, gmx, process
from ._waits import FOREVER, at_once, nanoseconds, under_own_token, wait

if TYPE_CHECKING:
    import concurrent.futures

    from typing_extensions import ParamSpec

    from ._channels import Channel

    P = ParamSpec("P")
T = TypeVar("T")
IDLE_SECONDS = 10.0


class Pool:
    """Threads that run goroutines. `run` takes no lock and starts no thread itself (WAITS-R4): a thread of its own does
    that, since threading.Thread.start holds a lock of its module."""

    def __init__(self) -> None:
        self.idle: "Deque[Worker]" = collections.deque()
        self.numbers = itertools.count(1)
        self.started = False
        self.wanted: "SimpleQueue[G[Any]]" = SimpleQueue()

    def run(self, g: "G[Any]") -> None:
        if not self.give(g):
            if not self.started:
                self.started = True
                try:
                    _thread.start_new_thread(self.start, ())
                except BaseException:  # no thread, or Ctrl-C: then it may have started, and two are as good
                    self.started = False
                    raise
            self.wanted.put(g)

    def give(self, g: "G[Any]") -> bool:
        """Has an idle worker run it. False if there is none."""
        try:
            worker = self.idle.pop()
        except IndexError:
            return False
        worker.inbox.put(g)
        return True

    def start(self) -> None:
        """Runs on the thread that starts the others."""
        while True:
            g = self.wanted.get()
            try:
                if not self.give(g):
                    Worker(g, f"gomax-{next(self.numbers)}").start()
            except BaseException as e:
                if g._begin():
                    g._error = e
                    g._finish()
            del g


class Worker(threading.Thread):
    def __init__(self, g: "G[Any]", name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.inbox: "SimpleQueue[G[Any]]" = SimpleQueue()
        self.inbox.put(g)

    def run(self) -> None:
        home = pool
        while True:
            try:
                g = self.inbox.get(timeout=IDLE_SECONDS)
            except Empty:
                try:
                    home.idle.remove(self)
                    return
                except ValueError:  # a caller of go has just taken this worker, or an exception kept it from using it
                    home.idle.append(self)
                    continue
            g._run()
            del g
            if home is not pool:
                return  # a child of fork has gone on here; in the parent this never happens
            home.idle.append(self)


pool = Pool()


def _forked() -> None:
    global pool
    pool = Pool()
    leftovers.clear()


process.resets.append(_forked)


def report(e: BaseException, thread: Optional[threading.Thread]) -> None:
    """Tells of an error that nothing else tells of, as that of a thread."""
    try:
        threading.excepthook(threading.ExceptHookArgs((type(e), e, e.__traceback__, thread)))
    except BaseException:
        pass  # the hook is the user's, and its caller has more to do


class G(Generic[T]):
    """A function that runs, or has run, as a goroutine. `join` or `await` gives what it returned or raises what it
    raised. An error that is never asked for is reported as an error of the goroutine's thread is; a CanceledError of
    the goroutine's own cancellation is not reported."""

    _error: Optional[BaseException] = None  # also if Ctrl-C comes in the midst of the next lines
    _told = False
    _ends: "Optional[Channel[Any]]" = None
    _meant = False  # whether the error is that of a cancellation which has reached it

    def __init__(
        self, call: Callable[[], T], token: int, then: "Optional[Callable[[G[Any]], None]]", told: bool
    ) -> None:
        self._call: List[Callable[[], T]] = [call]  # the first to pop it runs it
        self._parent = token
        self._token = _abi.c_uint64()  # its own, below the parent: `cancel` is for this one goroutine
        self._given_up = False
        self._thread: Optional[threading.Thread] = None
        self._then: "Dict[Callable[[G[Any]], None], None]" = {then: None} if then else {}
        self._result: Optional[T] = None
        self._told = told
        self._finished = False
        self._epoch = process.epoch
        self._running = _abi.gmx_waitgroup()
        gmx.gmx_waitgroup_add(_abi.byref(self._running), 1)

    def _run(self) -> None:
        call = self._begin()
        if not call:
            return
        try:
            self._thread = threading.current_thread()
            status = gmx.gmx_attach_thread()
            if status < 0:
                raise error(status, "a goroutine for this function")
            try:
                gmx.gmx_enter_syscall()
                check(gmx.gmx_cancel_new(self._parent, FOREVER, _abi.byref(self._token)), "a goroutine for this function")
                gmx.gmx_cancel_use(self._token, None)
                if self._given_up:
                    gmx.gmx_cancel_now(self._token)  # by a `cancel` that has found no token yet
                self._result = call()
            finally:
                gmx.gmx_detach_thread()  # out of the syscall too, and from under the token
        except BaseException as e:
            # without this frame, which would make a cycle
            self._error = e.with_traceback(e.__traceback__ and e.__traceback__.tb_next)
            self._meant = is_cancellation(e) and gmx.gmx_cancel_is_canceled(self._token)
        finally:
            del call
            gmx.gmx_cancel_free(self._token)
            if self._epoch is process.epoch:
                self._finish()
            del self  # the frames of an error lead to this one: it is reported when the last reference goes, without the collector

    def _begin(self) -> Optional[Callable[[], T]]:
        """What it runs, for the first that asks."""
        try:
            return self._call.pop()
        except IndexError:
            return None

    def _finish(self) -> None:
        self._finished = True
        try:
            self._call_back()
        finally:
            gmx.gmx_waitgroup_done(_abi.byref(self._running))

    def _call_back(self) -> None:
        """Calls what waits for the end. The one that pops a function calls it: this thread, or one that comes late."""
        for function in list(self._then):
            try:
                if self._then.pop(function, self) is None:
                    function(self)
            except BaseException as e:
                report(e, self._thread)

    def _when_finished(self, function: "Callable[[G[Any]], None]") -> None:
        self._then[function] = None
        if self._finished:  # asked after it is in the table, so that one of the two sides finds the other
            self._call_back()

    def done(self) -> bool:
        """Whether it has ended: join would not wait."""
        return self._finished

    def cancelled(self) -> bool:
        """Whether it has ended by a CanceledError."""
        return self._finished and is_cancellation(self._error)

    def cancel(self) -> bool:
        """Ends its waits for events, the one that it is in and those to come, with CanceledError. It is not stopped: it
        ends when its function does. False if it has ended. Unlike `cancel` of concurrent.futures this reaches one that
        runs."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        self._given_up = True
        if self._token:
            gmx.gmx_cancel_now(self._token)  # (a handle that is stale by now cancels nothing)
        return not self._finished

    def join(self, timeout: Optional[float] = None) -> T:
        """Waits until it has ended, and returns what it returned or raises what it raised. TimeoutError: it has not
        ended."""
        self._wait(timeout)
        return self._outcome()

    def _wait(self, timeout: Optional[float] = None) -> None:
        if not self._finished:
            if self._epoch is not process.epoch:
                raise ForkedError()
            group = _abi.byref(self._running)
            check(wait(nanoseconds(timeout), functools.partial(gmx.gmx_waitgroup_wait_timeout, group), lock=True))

    def result(self, timeout: Optional[float] = None) -> T:
        """As join."""
        return self.join(timeout)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """Waits until it has ended, and returns what it raised, None if it returned. A CanceledError is raised."""
        self._wait(timeout)
        self._told = True
        if self.cancelled():
            self._outcome()
        return self._error

    def add_done_callback(self, fn: "Callable[[G[T]], object]") -> None:
        """Calls fn(g) when it has ended, on its thread and before a join returns; at once if it has ended already. What
        fn raises is reported as an error of the thread."""
        if not callable(fn):
            raise TypeError("a callback is a function")


        def call(g: "G[Any]") -> None:  # one of its own, so that a function may be added twice
            fn(g)

        self._when_finished(call)

    def future(self) -> "concurrent.futures.Future[T]":
        """A concurrent.futures.Future with its outcome: for `wait` and `as_completed` of that module, and
        asyncio.wrap_future. It runs already, so the future's `cancel` says False; that of the goroutine ends its
        waits."""
        from ._futures import future_of

        return future_of(self)

    def _over(self) -> "Channel[Any]":
        """A channel that is closed when it has ended."""
        if self._ends is None:
            if not self._finished and self._epoch is not process.epoch:
                raise ForkedError()
            from ._channels import Channel

            ends: "Channel[Any]" = Channel()
            self._when_finished(lambda _: ends.close())
            self._ends = ends  # another thread may have made one too: each is closed
        return self._ends

    def _outcome(self) -> T:
        self._told = True
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the traceback holds this frame
        return self._result  # type: ignore[return-value]

    def __await__(self) -> Generator[Any, None, T]:
        if not self._finished:
            if self._epoch is not process.epoch:
                raise ForkedError()
            future = _loops.future()

            def finished(_: "G[Any]") -> None:
                _loops.wake(future)

            try:
                self._when_finished(finished)
                yield from future.__await__()
            finally:
                self._then.pop(finished, None)
        elif "trio" in modules:
            yield from _loops.checkpoint().__await__()
        return self._outcome()

    def __del__(self) -> None:
        e = self._error
        if e is not None and not self._told and not self._meant and not isinstance(e, SystemExit) and threading:  # None at the very end
            # whatever thread forgets it last: that of the error is the one on which it ran
            report(e, self._thread)

    def __repr__(self) -> str:
        state = "runs" if not self._finished else "failed" if self._error is not None else "returned"
        return f"<gomax.G {state}>"


def start(
    fn: Callable[..., T],
    args: Any,
    kwargs: Any,
    token: int = 0,
    then: "Optional[Callable[[G[Any]], None]]" = None,
    told: bool = False,
    register: "Optional[Callable[[G[Any]], None]]" = None,
) -> "G[T]":
    """`then` is called once: when the goroutine has ended, before a joiner continues, or when it cannot be started.
    `register` is called before the start. With `told` the goroutine's error is not reported: the caller handles it."""
    if not callable(fn):
        raise TypeError(f"a goroutine runs a function, not {fn!r}")
    context = contextvars.copy_context()
    g: G[T] = G(functools.partial(context.run, fn, *args, **kwargs), token, then, told)
    try:
        if register:
            register(g)
        pool.run(g)
    except BaseException:  # no thread, or Ctrl-C: it may run all the same
        if g._begin():
            g._finish()
        raise
    return g


def go(fn: "Callable[P, T]", *args: "P.args", **kwargs: "P.kwargs") -> "G[T]":
    """Runs fn(*args, **kwargs) as a goroutine, on a thread of its own."""
    return start(fn, args, kwargs)


def goid() -> int:
    """The number of the goroutine that the caller is; 0 if it is none."""
    return gmx.gmx_goid()


def num_g() -> int:
    """How many goroutines are alive."""
    return gmx.gmx_num_g()


# ---- C functions ----

CFunction = Union[int, Any]


def address(fn: CFunction, what: str = "go_c") -> int:
    """The address of a C function. One that ctypes has made of a Python function is refused: it would run on stacks and
    threads where the interpreter must not run."""
    if isinstance(fn, int):
        return fn
    if not isinstance(fn, CFuncPtr):
        raise TypeError(f"{what} wants a C function: one of a ctypes library, or an address")
    if any(type(o).__name__ == "CThunkObject" for o in (fn._objects or {}).values()):
        raise TypeError(f"{what} wants a C function; this one runs Python")
    found = ctypes.cast(fn, ctypes.c_void_p).value
    if not found:
        raise ValueError("a function that is NULL")
    return found


_CData: Any = ctypes._SimpleCData.__mro__[1]


def pointer(arg: Any) -> Optional[int]:
    """What a C function gets: None, an integer, or the address of a ctypes object, or of one of this package that C
    knows too."""
    if arg is None or isinstance(arg, int):
        return arg
    if isinstance(arg, (ctypes._Pointer, ctypes.c_void_p, ctypes.c_char_p)):
        return ctypes.cast(arg, ctypes.c_void_p).value
    if isinstance(arg, _CData):
        return ctypes.addressof(arg)
    if isinstance(getattr(arg, "address", None), int):
        return arg.address  # type: ignore[no-any-return]
    raise TypeError("a C function gets None, an address, a ctypes object, or one of gomax that has an address")


# What C functions use that nothing will wait for any more, and a call that says OK or ESTALE when they have ended.
leftovers: "Deque[Tuple[Callable[..., int], Tuple[Any, ...], Any]]" = collections.deque()


def sweep() -> None:
    """Lets go of what is used no more: two for each one that comes, so it does not pile up."""
    for _ in range(min(2, len(leftovers))):
        entry: "List[Tuple[Callable[..., int], Tuple[Any, ...], Any]]" = []
        try:
            entry[:] = starmap(leftovers.popleft, ((),))
            ended, arguments, _keep = entry[0]
            if at_once(lambda: ended(*arguments)) in (_abi.GMX_OK, _abi.GMX_ESTALE):
                entry.clear()
        except IndexError:
            pass  # another thread has taken it
        finally:
            leftovers.extend(entry)


class CG:
    """A C function that runs, or has run, as a goroutine. Keeps its argument alive until it has ended."""

    _handle = _abi.c_uint64()  # none, until there is one

    def __init__(self, keep: Any) -> None:
        self._handle = _abi.c_uint64()  # (written before an exception can come out of the call that starts it)
        self._keep = keep
        self._waits: "Optional[G[None]]" = None
        self._epoch = process.epoch

    def join(self, timeout: Optional[float] = None) -> None:
        """Waits until it has ended."""
        if not self._handle:
            return
        if self._epoch is not process.epoch:
            raise ForkedError()
        status = wait(nanoseconds(timeout), functools.partial(gmx.gmx_join, self._handle), lock=True)
        if status != _abi.GMX_ESTALE:  # another has joined it
            check(status)
        self._handle.value, self._keep = 0, None

    def cancel(self, reason: int = _abi.GMX_ECANCELED) -> bool:
        """Ends its waits for events by GMX_ECANCELED, if it was started with `cancellable`. False: it has ended."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        status: int = gmx.gmx_cancel_g(self._handle, integer(reason, "a reason", -(2**31), -1))
        if status != _abi.GMX_ESTALE:
            check(status)
        return status == _abi.GMX_OK

    def _over(self) -> "Channel[Any]":
        """A channel that is closed when it has ended, for which a goroutine waits."""
        if self._waits is None:
            self._waits = go(self.join)
        return self._waits._over()

    def __del__(
        self,
        process: Process = process,
        leftovers: "Deque[Any]" = leftovers,
        join: Callable[..., int] = gmx.gmx_join,
    ) -> None:
        if self._handle and self._epoch is process.epoch:
            leftovers.append((join, (self._handle.value, 0), self._keep))


def go_c(
    fn: CFunction,
    arg: Any = None,
    *,
    stack_size: int = 0,
    name: Optional[str] = None,
    inherit: bool = False,
    cancellable: bool = False,
) -> CG:
    """Runs a C function, void (*)(void *), as a goroutine on whichever thread there is: small, fast, without the GIL.
    arg is None, an address, or a ctypes object or one of this package, such as a CChannel, whose address it gets and
    which lives until it has ended. With `inherit` the scope around the caller, or the token that it uses, cancels its
    waits too; with `cancellable` the method `cancel` does."""
    if leftovers:
        sweep()
    integer(stack_size, "the size of a stack", 0, 2**63 - 1)
    options = _abi.gmx_spawn_opts(
        ctypes.sizeof(_abi.gmx_spawn_opts), _abi.GMX_SPAWN_JOINABLE, 0, stack_size, name.encode() if name else None
    )
    target, argument, g = address(fn), pointer(arg), CG((fn, arg))

    def spawn() -> int:
        return gmx.gmx_spawn_with(_abi.byref(options), target, argument, _abi.byref(g._handle))

    if cancellable:
        options.flags |= _abi.GMX_SPAWN_CANCELLABLE
    if inherit:
        options.flags |= _abi.GMX_SPAWN_INHERIT
        status = under_own_token(spawn)
    else:
        status = spawn()
    check(status, "a goroutine of this size")
    return g
