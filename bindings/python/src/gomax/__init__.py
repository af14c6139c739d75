"""The scheduler of the Go runtime for Python: goroutines, channels, select, scopes. See docs/python.md of libgomax."""

from ._abi import VERSION as __version__
from ._channels import Channel, Selected, select
from ._errors import CanceledError, ClosedError, Error, ForkedError
from ._goroutines import CG, G, go, go_c, goid, num_g
from ._library import gmx
from ._scopes import Scope, canceled, check_canceled, scope
from ._sync import Semaphore, WaitGroup
from ._timers import Ticker, Timer, after, sleep_async
from ._waits import sleep
from ._world import GInfo, World, dump, for_each_p, gomaxprocs, num_cpu, stats, stopped_world

__all__ = [
    "CG",
    "CanceledError",
    "Channel",
    "ClosedError",
    "Error",
    "ForkedError",
    "G",
    "GInfo",
    "Scope",
    "Selected",
    "Semaphore",
    "Ticker",
    "Timer",
    "WaitGroup",
    "World",
    "__version__",
    "after",
    "canceled",
    "check_canceled",
    "dump",
    "for_each_p",
    "gmx",
    "go",
    "go_c",
    "goid",
    "gomaxprocs",
    "num_cpu",
    "num_g",
    "scope",
    "select",
    "sleep",
    "sleep_async",
    "stats",
    "stopped_world",
]
