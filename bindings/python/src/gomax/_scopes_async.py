"""Scopes for coroutines: `async with gomax.scope()`. Imported when it is used.

The goroutines of such a scope wait under its token, as those of other scopes do. Its block is a coroutine, whose waits are
those of a loop: so the scope cancels it by the loop's own means, which is what the host of the scope does.

- asyncio: `task.cancel()`. The CancelledError that comes out of the block may be the scope's or that of another caller of
  `cancel`: the task counts them (Python 3.11), and the scope takes back its own.
- trio: a CancelScope around the block.

A cancellation from outside the scope cancels its goroutines, and is raised again when they have ended.
"""

import contextlib
import sys
from threading import get_ident
from typing import Any, ContextManager, Iterator, List, Optional, Tuple, Type, Union

from . import _abi, _loops
from ._errors import CanceledError
from ._library import gmx
from ._scopes import AROUND, ENTERED, LEFT, NEW, Scope, around
from ._waits import FOREVER, current_token

# What is left of the error of a block without the scope's own cancellation; whether there was that; and a cancellation from
# outside.
Left = Tuple[Optional[BaseException], bool, Optional[BaseException]]


class AsyncioHost:
    """The task that is in the block of a scope."""

    def __init__(self, scope: Scope) -> None:
        import asyncio

        task: Any = asyncio.current_task()
        if task is None:
            raise RuntimeError("a scope of a coroutine wants a task")
        self.asyncio = asyncio
        self.cancellation: Type[BaseException] = asyncio.CancelledError
        self.scope = scope
        self.task = task
        self.loop = asyncio.get_running_loop()
        self.counts = hasattr(task, "cancelling")
        self.before = self.task.cancelling() if self.counts else 0
        self.requested = self.over = False
        self.shields = 0
        self.timer: Optional[asyncio.TimerHandle] = None

    def limit(self, seconds: float) -> None:
        self.timer = self.loop.call_later(seconds, self.time_is_up)

    def time_is_up(self) -> None:
        gmx.gmx_cancel_now_because(self.scope._token, _abi.GMX_ETIMEDOUT)
        self.cancel()

    def request(self) -> None:
        """Cancels the block, from any thread."""
        try:
            if self.asyncio._get_running_loop() is self.loop:
                self.loop.call_soon(self.cancel)  # not at once: it would end the first wait behind a block that ends now
            else:
                self.loop.call_soon_threadsafe(self.cancel)
        except RuntimeError:
            pass  # the loop is closed

    def cancel(self) -> None:
        """Runs in the loop, when the task waits: so it ends that wait and no later one."""
        if not self.requested and not self.over and not self.shields:
            self.requested = True
            self.task.cancel()

    def leave(self, e: Optional[BaseException]) -> Left:
        self.over = True
        if self.timer:
            self.timer.cancel()
        canceled = isinstance(e, self.cancellation)
        if not self.requested:
            return (None, False, e) if canceled else (e, False, None)
        if self.counts:
            others = self.task.uncancel() > self.before
        else:  # another caller of `cancel` is not seen, but another scope is
            others = any(host.requested and not host.over for host in hosts(self.scope._around) if host.task is self.task)
        if not canceled:
            return e, False, None  # the block has handled it
        return (None, False, e) if others else (None, True, None)

    def ignores_outside(self) -> ContextManager[Any]:
        """anyio cancels a task again and again until its scope is left; the goroutines may take longer."""
        anyio: Any = sys.modules.get("anyio")
        return anyio.CancelScope(shield=True) if anyio else contextlib.nullcontext()

    def again(self) -> None:
        """A cancellation from outside, instead of which an error is raised, ends the next wait."""
        if self.counts and self.task.cancelling():
            self.task.uncancel()
        self.task.cancel()


class TrioHost:
    """The same of trio."""

    def __init__(self, scope: Scope) -> None:
        self.trio: Any = sys.modules["trio"]
        self.cancellation: Type[BaseException] = self.trio.Cancelled
        self.scope = scope
        self.loop = self.trio.lowlevel.current_trio_token()
        self.block = self.trio.CancelScope()
        self.block.__enter__()

    def limit(self, seconds: float) -> None:
        self.block.deadline = self.trio.current_time() + seconds

    def request(self) -> None:
        try:
            if _loops.in_trio() and self.trio.lowlevel.current_trio_token() is self.loop:
                self.block.cancel()
            else:
                self.loop.run_sync_soon(self.block.cancel)
        except self.trio.RunFinishedError:
            pass

    def leave(self, e: Optional[BaseException]) -> Left:
        late = self.trio.current_time() >= self.block.deadline
        try:
            if self.block.__exit__(type(e) if e else None, e, e.__traceback__ if e else None):
                e = None
        except BaseException as rest:  # what else was in a group
            e = rest
        own = self.block.cancelled_caught
        if own and late:
            gmx.gmx_cancel_now_because(self.scope._token, _abi.GMX_ETIMEDOUT)
        if isinstance(e, self.cancellation):
            return None, own, e
        return e, own, None

    def ignores_outside(self) -> ContextManager[Any]:
        return self.trio.CancelScope(shield=True)  # type: ignore[no-any-return]

    def again(self) -> None:
        pass  # it does so by itself


Host = Union[AsyncioHost, TrioHost]


def hosts(scope: Optional[Scope]) -> "List[AsyncioHost]":
    """Those of asyncio of this scope and the ones around it."""
    found = []
    while scope is not None:
        if scope._state == ENTERED and isinstance(scope._host, AsyncioHost):
            found.append(scope._host)
        scope = scope._around
    return found


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Within the block no scope cancels the task that the caller is."""
    if _loops.in_trio():
        trio: Any = sys.modules["trio"]
        with trio.CancelScope(shield=True):
            yield
        return
    import asyncio

    mine = [host for host in hosts(around()) if host.task is asyncio.current_task()]
    for host in mine:
        host.shields += 1
    try:
        anyio: Any = sys.modules.get("anyio")
        with anyio.CancelScope(shield=True) if anyio else contextlib.nullcontext():
            yield
    finally:
        for host in mine:
            host.shields -= 1
            if host.scope.canceled:
                host.request()


async def enter(scope: Scope) -> None:
    if scope._state != NEW:
        raise RuntimeError("a scope is entered once")
    outer, thread = around(), current_token()
    if "trio" in sys.modules:
        await _loops.checkpoint()
    host: Host = TrioHost(scope) if _loops.in_trio() else AsyncioHost(scope)
    before = gmx.gmx_cancel_current()
    try:
        scope._outer = outer._token.value if outer else thread
        gmx.gmx_cancel_use(scope._outer, None)
        scope._make()
        gmx.gmx_cancel_use(before, None)
        if thread and outer is None:  # a scope of threads around the whole loop
            from ._tokens import Cancellation, Hook

            scope._hook = Hook(Cancellation(thread), host.request, (), {})
        scope._around, scope._thread, scope._thread_token = outer, get_ident(), thread
        scope._host = host
        if scope._timeout != FOREVER:
            host.limit(scope._timeout / 1e9)
        scope._state = ENTERED
        AROUND.set(scope)
    except BaseException:
        gmx.gmx_cancel_use(before, None)
        end(scope)
        host.leave(None)
        raise


async def leave(scope: Scope, e: Optional[BaseException]) -> bool:
    host: Host = scope._host
    body = e
    AROUND.set(scope._around)
    try:
        e, own, outside = host.leave(e)
        if own:
            gmx.gmx_scope_cancel(scope._scope)
            scope._ended_waits.append(CanceledError(what="the block of a scope"))
        if outside is not None:
            gmx.gmx_scope_cancel(scope._scope)
        scope._body_ended(e)
        while not scope._close():
            scope._waker = _loops.future()
            try:
                if scope._running:  # asked when the waker is there, so that one of the two sides finds the other
                    with host.ignores_outside() if outside is not None else contextlib.nullcontext():
                        await scope._waker
            except host.cancellation as late:
                outside = outside or late
                gmx.gmx_scope_cancel(scope._scope)
            scope._leave_c()
        failed = bool(scope._errors)
        outcome = scope._why(e, scope._outer)
    except BaseException:  # the coroutine is closed: the goroutines are not waited for
        gmx.gmx_scope_cancel(scope._scope)
        raise
    finally:
        end(scope)
    if outside is not None:
        if failed:
            host.again()
        else:
            outcome = outside
    if outcome is None or outcome is body:
        return outcome is None
    try:
        raise outcome
    finally:
        del outcome, outside, body, e


def end(scope: Scope) -> None:
    """What the scope has is the library's again."""
    scope._state = LEFT
    if scope._hook:
        scope._hook.stop()
    scope._free()
