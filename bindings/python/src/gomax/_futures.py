"""Goroutines for what knows concurrent.futures. Imported when it is used: concurrent.futures takes longer than the
package."""

import contextvars
import threading
from collections import deque
from concurrent import futures
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Generic, Optional, Type, TypeVar

from ._errors import ForkedError, integer
from ._goroutines import G, start
from ._library import ending, process, rest, resume_method
from ._tokens import Token

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")


def future_of(g: "G[T]") -> "futures.Future[T]":
    """See G.future."""
    if not g.done() and g._epoch is not process.epoch:
        raise ForkedError()
    future: "futures.Future[T]" = futures.Future()
    future.set_running_or_notify_cancel()
    g._told = True

    def settle(g: "G[T]") -> None:
        if g._error is not None:
            future.set_exception(g._error)
        else:
            future.set_result(g._result)  # type: ignore[arg-type]

    g._when_finished(settle)
    return future


class Work(Generic[T]):
    """A call that waits for its turn."""

    def __init__(self, fn: Callable[..., T], args: Any, kwargs: Any) -> None:
        self.future: "futures.Future[T]" = futures.Future()
        self.call = fn, args, kwargs
        self.context = contextvars.copy_context()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        fn, args, kwargs = self.call
        try:
            result = self.context.run(fn, *args, **kwargs)
        except BaseException as e:
            self.future.set_exception(e.with_traceback(e.__traceback__ and e.__traceback__.tb_next))
            del self  # the traceback holds this frame
        else:
            self.future.set_result(result)

    def cancel(self) -> None:
        if self.future.cancel():
            self.future.set_running_or_notify_cancel()  # futures.wait looks for that


class Executor(futures.Executor):
    """A concurrent.futures.Executor whose calls run as goroutines: at most max_workers at a time, as many as there are
    calls if it is None. They run under the scope or token in which the executor was made, whose cancellation ends their
    waits, and with the context variables of the caller of submit.

        with gomax.Executor(8) as executor:
            for size in executor.map(fetch, urls):
                total += size

    A future is canceled while its call waits for its turn, as futures are. The end of the main thread ends what still
    runs, as it does with all goroutines: use it in a with statement, or call `shutdown`."""

    def __init__(self, max_workers: Optional[int] = None) -> None:
        self._most = None if max_workers is None else integer(max_workers, "how many calls run at a time", 1, 2**31 - 1)
        self._token = Token()
        self._work: "Deque[Work[Any]]" = deque()
        self._workers: "Dict[G[None], None]" = {}
        self._gate = threading.RLock()  # reentrant: a signal handler may submit
        self._shut = False

    def submit(self, fn: "Callable[P, T]", /, *args: "P.args", **kwargs: "P.kwargs") -> "futures.Future[T]":
        """Calls fn(*args, **kwargs) when it is its turn. RuntimeError behind `shutdown`."""
        if not callable(fn):
            raise TypeError("submit wants a function")
        self._token.handle  # not in a child of fork
        work = Work(fn, args, kwargs)
        try:
            with self._gate:
                if self._shut:
                    raise RuntimeError("the executor was shut down")
                self._work.append(work)
            self._begin_worker()
        except BaseException as e:  # no thread, or Ctrl-C: the caller gets no future for it
            if work in self._work:
                self._forget(work)
                if isinstance(e, Exception):
                    self._no_worker(e)
                elif self._work:
                    self._begin_worker()
            raise
        return work.future

    def _forget(self, work: Work[Any]) -> None:
        try:
            self._work.remove(work)
        except ValueError:
            pass  # a worker has taken it

    def _begin_worker(self) -> None:
        """Starts a goroutine, unless there are as many as there may be."""
        if self._most is None or len(self._workers) < self._most:
            try:
                start(self._works, (), {}, self._token.handle, then=self._ended, told=True, register=self._registers)
            except TooMany:
                pass  # these look for work when they have done theirs

    def _registers(self, g: "G[None]") -> None:
        with self._gate:
            self._workers[g] = None
            if self._most is not None and len(self._workers) > self._most:
                raise TooMany()

    def _works(self) -> None:
        while True:
            try:
                work = self._work.popleft()
            except IndexError:
                return
            work.run()
            del work

    def _ended(self, g: "G[None]") -> None:
        self._workers.pop(g, None)
        if g._thread is not None:  # it has run
            # For a call that came when this one had looked for the last time, and was still counted.
            if self._work:
                try:
                    self._begin_worker()
                except Exception as e:
                    self._no_worker(e)
        elif g._error is not None:
            self._no_worker(g._error)

    def _no_worker(self, e: BaseException) -> None:
        """There is no thread for another worker. Without any the calls fail."""
        while self._work and not self._workers:
            try:
                work = self._work.popleft()
            except IndexError:
                return
            if work.future.set_running_or_notify_cancel():
                work.future.set_exception(e)

    def __enter__(self) -> "Executor":
        self._rest = rest(ending(self._stop, self.shutdown))
        return self

    if TYPE_CHECKING:

        def __exit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> None: ...

    else:
        __exit__ = resume_method()

    def _stop(self) -> None:
        self._shut = True  # what looks at it under the gate, and begins before, is counted before `shutdown` waits

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No call is accepted any more; with cancel_futures those that have not begun are canceled. With `wait` it
        returns when all have ended."""
        with self._gate:
            self._stop()
        while cancel_futures:
            try:
                self._work.popleft().cancel()
            except IndexError:
                break
        while wait and self._workers:
            for g in list(self._workers):
                g._wait()


class TooMany(Exception):
    """As many goroutines work as may."""
