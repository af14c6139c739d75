"""The scheduler of the Go runtime for Python: goroutines, channels, select, scopes. See docs/python.md of libgomax."""

from typing import TYPE_CHECKING, Any

from ._abi import VERSION as __version__
from ._cchannels import CChannel
from ._channels import UNBOUNDED, Channel, Waiters
from ._errors import CanceledError, ClosedError, Error, ForkedError, WouldBlockError
from ._goroutines import CG, G, go, go_c, goid, num_g
from ._library import LIBRARY, gmx
from ._queues import Queue, ShutDown
from ._scopes import Scope, canceled, check_canceled, fail_after, move_on_after, scope
from ._select import Selected, select, select_nowait
from ._select_async import select_async
from ._sync import (
    Barrier,
    BlockingClass,
    Cond,
    Mutex,
    Once,
    RMutex,
    RWMutex,
    Semaphore,
    WaitGroup,
    wait_on_address,
    wake_address,
)
from ._timers import Ticker, Timer, after, sleep_async
from ._tokens import Hook, Token, deadline, on_cancel
from ._waits import shield, sleep
from ._world import (
    GInfo,
    PLocal,
    World,
    dump,
    for_each_p,
    gomaxprocs,
    init,
    mem_stats,
    metrics,
    metrics_text,
    num_cpu,
    release_memory,
    set_default_gomaxprocs,
    stats,
    stopped_world,
)

if TYPE_CHECKING:
    from . import net
    from ._futures import Executor

__all__ = [
    "Barrier",
    "BlockingClass",
    "CChannel",
    "CG",
    "CanceledError",
    "Channel",
    "ClosedError",
    "Cond",
    "Error",
    "Executor",
    "ForkedError",
    "G",
    "GInfo",
    "Hook",
    "LIBRARY",
    "Mutex",
    "Once",
    "PLocal",
    "Queue",
    "RMutex",
    "RWMutex",
    "Scope",
    "Selected",
    "Semaphore",
    "ShutDown",
    "Ticker",
    "Timer",
    "Token",
    "UNBOUNDED",
    "WaitGroup",
    "Waiters",
    "World",
    "WouldBlockError",
    "__version__",
    "after",
    "canceled",
    "check_canceled",
    "deadline",
    "dump",
    "fail_after",
    "for_each_p",
    "gmx",
    "go",
    "go_c",
    "goid",
    "gomaxprocs",
    "init",
    "mem_stats",
    "metrics",
    "metrics_text",
    "move_on_after",
    "net",
    "num_cpu",
    "num_g",
    "on_cancel",
    "release_memory",
    "scope",
    "select",
    "select_async",
    "select_nowait",
    "set_default_gomaxprocs",
    "shield",
    "sleep",
    "sleep_async",
    "stats",
    "stopped_world",
    "wait_on_address",
    "wake_address",
]


def __getattr__(name: str) -> Any:
    """What imports much is imported when it is used."""
    if name == "Executor":
        from ._futures import Executor

        globals()[name] = Executor
        return Executor
    if name == "net":
        import gomax.net

        return gomax.net
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
