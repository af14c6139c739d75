"""What coroutines wait by: futures of asyncio or events of trio, whichever runs the caller. anyio runs on one of them.

Neither is imported here: a coroutine that calls this is run by one that is loaded. A wait of asyncio costs nothing for
the sake of trio until trio is loaded.
"""

from sys import modules
from typing import TYPE_CHECKING, Any, Generator, Optional, Union

if TYPE_CHECKING:
    import asyncio


def in_trio() -> bool:
    """Whether the caller is a task of trio. (With trio as a guest of asyncio, both may run.)"""
    trio = modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


class Event:
    """A future for a task of trio, which any thread may end."""

    __slots__ = ("event", "token")

    def __init__(self) -> None:
        trio: Any = modules["trio"]
        self.token = trio.lowlevel.current_trio_token()
        self.event = trio.Event()

    def __await__(self) -> Generator[Any, None, None]:
        return self.event.wait().__await__()  # type: ignore[no-any-return]

    def wake(self) -> bool:
        trio: Any = modules["trio"]
        try:
            self.token.run_sync_soon(self.event.set)
        except trio.RunFinishedError:
            return False
        return True


Future = Union["asyncio.Future[None]", Event]


def future() -> Future:
    """Something that the calling coroutine can wait for, until `wake`."""
    if "trio" in modules and in_trio():
        return Event()
    return modules["asyncio"].get_running_loop().create_future()  # type: ignore[no-any-return]


def wake(future: Future) -> bool:
    """Ends a coroutine's wait, from any thread. False if its loop is closed."""
    if isinstance(future, Event):
        return future.wake()
    loop = future.get_loop()
    try:
        if modules["asyncio"]._get_running_loop() is loop:
            _end(future)
        else:
            loop.call_soon_threadsafe(_end, future)
    except RuntimeError:
        return False
    return True


def _end(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def checkpoint() -> None:
    """What trio wants of every asynchronous function, also of one that does not wait. Before it does anything: what
    comes out here has lost nothing. Called if trio is loaded."""
    if in_trio():
        trio: Any = modules["trio"]
        await trio.lowlevel.checkpoint()


async def wait_at_most(future: Future, seconds: Optional[float]) -> None:
    """Waits until `wake`, or so long. None: forever."""
    if seconds is None:
        await future
    elif isinstance(future, Event):
        trio: Any = modules["trio"]
        with trio.move_on_after(seconds):
            await future
    else:
        timer = future.get_loop().call_later(seconds, _end, future)
        try:
            await future
        finally:
            timer.cancel()


def clock() -> float:
    """That of the loop that runs."""
    if in_trio():
        trio: Any = modules["trio"]
        return trio.current_time()  # type: ignore[no-any-return]
    import asyncio

    return asyncio.get_running_loop().time()


async def sleep(seconds: float) -> None:
    """By a timer of the loop."""
    if in_trio():
        trio: Any = modules["trio"]
        await trio.sleep(max(0, seconds))
    else:
        import asyncio

        await asyncio.sleep(seconds)
