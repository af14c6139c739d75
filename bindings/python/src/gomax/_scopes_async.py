"""Scopes for coroutines: `async with gomax.scope()`. Imported when it is used.

The goroutines of such a scope wait under its token, as those of other scopes do. Its block is a coroutine, whose waits
are those of a loop: so the scope cancels it by the loop's own means, which is what the host of the scope does.

- asyncio: `task.cancel()`. The CancelledError that comes out of the block may be the scope's or that of another caller
  of `cancel`: the task counts them (Python 3.11), and the scope takes back its own.
- trio: a CancelScope around the block.

A cancellation from outside the scope cancels its goroutines, and is raised again when they have ended.
"""

import contextlib
import sys
from itertools import starmap
from threading import get_ident
from typing import Any, ContextManager, Dict, Generator, List, Optional, Tuple, Type, Union

from . import _abi, _loops
from ._errors import CanceledError
from ._library import ASYNC_LEFT, AsyncBlock, async_rest, gmx
from ._scopes import AROUND, ENTERED, LEFT, NEW, Scope, around
from ._waits import FOREVER, current_token

# The error of a block without cancellations, and whether the scope's own cancellation was there. (A cancellation from
# outside is `outside` of the host.)
Left = Tuple[Optional[BaseException], bool]


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
        self.outside: Optional[BaseException] = None
        self.count: List[int] = []  # when the scope has taken back its request
        self.shields: "Dict[object, None]" = {}
        self.timer: List[asyncio.TimerHandle] = []

    def begin(self) -> None:
        pass

    def limit(self, seconds: float) -> None:
        self.timer[:] = starmap(self.loop.call_later, ((seconds, self.time_is_up),))

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
        """May be called twice."""
        self.over = True
        for timer in self.timer:
            timer.cancel()
        canceled, others = isinstance(e, self.cancellation), True
        if self.requested:
            if self.counts:
                if not self.count:
                    self.count[:] = starmap(self.task.uncancel, ((),))
                others = self.count[0] > self.before
            else:  # another caller of `cancel` is not seen, but another scope is
                others = any(host.requested and not host.over for host in hosts(self.scope._around) if host.task is self.task)
        if not canceled:
            return e, False  # also if the block has handled it
        if others:
            self.outside = self.outside or e
        return None, not others

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
        self.outside: Optional[BaseException] = None
        self.entered = self.late = False
        self.left: List[Optional[BaseException]] = []  # what came out of the block, once it was left

    def begin(self) -> None:
        self.block.__enter__()
        self.entered = True

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
        """May be called twice."""
        if self.entered:
            self.late = self.trio.current_time() >= self.block.deadline
            kind, where = type(e) if e else None, e.__traceback__ if e else None
            self.entered = False
            try:
                self.left = [None if self.block.__exit__(kind, e, where) else e]
            except BaseException as rest:  # what else was in a group
                self.left = [rest]
        for e in self.left:
            pass
        own = self.block.cancelled_caught
        if own and self.late:
            gmx.gmx_cancel_now_because(self.scope._token, _abi.GMX_ETIMEDOUT)
        if isinstance(e, self.cancellation):
            self.outside = self.outside or e
            return None, own
        return e, own

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


class ShieldBlock(AsyncBlock):
    """Within it no scope cancels the task that the caller is."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.hosts: "List[AsyncioHost]" = []
        self.manager: Any = None  # which the loop has for the same, when it was entered

    def begin(self) -> None:
        if _loops.in_trio():
            host: Any = sys.modules["trio"]
        else:
            import asyncio

            task, host = asyncio.current_task(), sys.modules.get("anyio")
            self.hosts = [host for host in hosts(around()) if host.task is task]
            for mine in self.hosts:
                mine.shields[self] = None
        if host:
            manager = host.CancelScope(shield=True)
            self.manager = manager.__enter__()

    def leave(self, e: Optional[BaseException], late: List[BaseException]) -> Generator[Any, Any, Optional[BaseException]]:
        yield from ()
        self.end(e, False)
        return late[0] if late else e

    def end(self, e: Optional[BaseException], gave_up: bool) -> None:
        for host in self.hosts:
            host.shields.pop(self, None)
            if host.scope.canceled:
                host.request()
        manager, kind, where = self.manager, type(e) if e else None, e.__traceback__ if e else None
        if manager:
            self.manager = None
            manager.__exit__(kind, e, where)

    def forgotten(self) -> None:
        self.manager = None  # which is for its task alone
        self.end(None, True)


async def enter(scope: Scope) -> None:
    if scope._state != NEW:
        raise RuntimeError("a scope is entered once")
    outer, thread = around(), current_token()
    if "trio" in sys.modules:
        await _loops.checkpoint()
    host: Host = TrioHost(scope) if _loops.in_trio() else AsyncioHost(scope)
    block, before = ScopeBlock(scope, host), gmx.gmx_cancel_current()
    try:
        scope._host, scope._around, scope._thread_token, scope._thread = host, outer, thread, get_ident()
        scope._async_rest = async_rest(block)
        host.begin()
        scope._outer = outer._token.value if outer else thread
        gmx.gmx_cancel_use(scope._outer, None)
        scope._make()
        gmx.gmx_cancel_use(before, None)
        if thread and outer is None:  # a scope of threads around the whole loop
            from ._tokens import Cancellation, Hook

            scope._hook = Hook(Cancellation(thread), host.request, (), {})
        if scope._timeout != FOREVER:
            host.limit(scope._timeout / 1e9)
        scope._state = ENTERED
        AROUND.set(scope)
    except BaseException:
        gmx.gmx_cancel_use(before, None)
        scope._async_rest = ASYNC_LEFT
        block.end(None, True)
        raise


class ScopeBlock(AsyncBlock):
    """That of `async with gomax.scope()`."""

    owner: Scope

    def __init__(self, owner: Scope, host: Host) -> None:
        self.owner = owner
        self.host = host

    def leave(self, e: Optional[BaseException], late: List[BaseException]) -> Generator[Any, Any, Optional[BaseException]]:
        """A first exception from outside cancels the goroutines; a second one gives up the wait for them."""
        scope, host = self.owner, self.host
        AROUND.set(scope._around)
        for interrupt in late:
            scope._failed(interrupt)
        e, own = host.leave(e)
        if own:
            gmx.gmx_scope_cancel(scope._scope)
            scope._ended_waits.append(CanceledError(what="the block of a scope"))
        if host.outside is not None:
            gmx.gmx_scope_cancel(scope._scope)
        scope._body_ended(e)
        if isinstance(e, GeneratorExit):
            return e  # the coroutine is closed: it cannot wait
        while not scope._close():
            scope._waker = _loops.future()
            try:
                if scope._running:  # asked when the waker is there, so that one of the two sides finds the other
                    with host.ignores_outside() if host.outside is not None else contextlib.nullcontext():
                        yield from scope._waker.__await__()
            except host.cancellation as outside:
                host.outside = host.outside or outside
                gmx.gmx_scope_cancel(scope._scope)
            scope._leave_c()
        outcome = scope._why(e, scope._outer)
        if host.outside is None:
            return outcome
        if not scope._errors:
            return host.outside
        host.again()
        return outcome

    def end(self, e: Optional[BaseException], gave_up: bool) -> None:
        scope = self.owner
        scope._state = LEFT
        self.host.leave(e)
        if gave_up:
            AROUND.set(scope._around)
            gmx.gmx_scope_cancel(scope._scope)
        if scope._hook:
            scope._hook.stop()
        scope._free()

    def forgotten(self) -> None:
        self.owner._forgotten()
