"""Processors, the barrier over all of them, the stopped world, and what there is to see in it."""

import atexit
import ctypes
from _ctypes import CFuncPtr
from itertools import starmap
from threading import RLock
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Union

from . import _abi
from ._errors import ForkedError, check, integer
from ._goroutines import CFunction, address, pointer
from ._library import Process, after_method, exit_method, gmx, process
from ._waits import FOREVER, OK, at_once, nanoseconds

_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_EACH_G = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_abi.gmx_g_info))
STATUS = {
    _abi.GMX_G_RUNNABLE: "runnable",
    _abi.GMX_G_RUNNING: "running",
    _abi.GMX_G_SYSCALL: "syscall",
    _abi.GMX_G_WAITING: "waiting",
    _abi.GMX_G_PARKED: "parked",
    _abi.GMX_G_HELD: "held",
}


def init(
    *,
    maxprocs: int = 0,
    stack_size: int = 0,
    g0_stack_size: int = 0,
    slice: float = 0.0,
    max_threads: int = 0,
    preempt: bool = True,
) -> None:
    """Starts the runtime with these options, before anything else does: gomax.Error GMX_EBUSY if it is up. 0 is the
    default of each: the number of Ps; bytes of the stacks of C functions, and of those that functions of for_each_p run
    on; seconds after which a C function gives way to others; how many threads C functions may have. Without preempt a C
    function that calls nothing of the library keeps its P for as long as it runs."""
    config = _abi.gmx_config()
    for value, what, most in (
        (maxprocs, "maxprocs", 2**31 - 1),
        (max_threads, "max_threads", 2**31 - 1),
        (stack_size, "stack_size", 2**63 - 1),
        (g0_stack_size, "g0_stack_size", 2**63 - 1),
    ):
        integer(value, what, 0, most)
    check(gmx.gmx_config_default(_abi.byref(config)))
    config.maxprocs, config.max_threads = maxprocs, max_threads
    config.stack_size, config.g0_stack_size = stack_size, g0_stack_size
    config.slice_ns = nanoseconds(slice)
    config.flags = 0 if preempt else _abi.GMX_CONFIG_PREEMPT_OFF
    check(gmx.gmx_init(_abi.byref(config)), "the runtime with these options")


def set_default_gomaxprocs() -> None:
    """As many Ps as the machine offers, followed while that changes: what it is before gomaxprocs is called with a
    number."""
    check(at_once(gmx.gmx_set_default_gomaxprocs))


def gomaxprocs(n: Optional[int] = None) -> int:
    """How many Ps there are; with a number above 0 that many from now on. Returns what it was. Python code needs none:
    Ps are for C functions."""
    if n is not None:
        integer(n, "the number of Ps", 1, 2**31 - 1)
    return check(at_once(lambda: gmx.gmx_gomaxprocs(n or 0)), f"{n} Ps")


def num_cpu() -> int:
    """What the machine offers: affinity and control groups counted in."""
    return gmx.gmx_num_cpu()


class PLocal:
    """A word for each P, NULL at first, which C functions reach by `key` (gmx_p_set, gmx_p_get): counters without
    contention, for example. The caller that sets an address keeps its object alive."""

    key = 0

    def __init__(self) -> None:
        self._epoch = process.epoch
        key = _abi.c_uint32()
        check(gmx.gmx_p_key_create(_abi.byref(key)), "a key for each P")
        self.key = key.value

    def __del__(self, process: Process = process, delete: Callable[[Any], int] = gmx.gmx_p_key_delete) -> None:
        if self.key and self._epoch is process.epoch:
            delete(self.key)

    def _mine(self) -> int:
        if self._epoch is not process.epoch:
            raise ForkedError()
        return self.key

    def get(self) -> Optional[int]:
        """That of the caller's P: for functions of for_each_p. None where there is no P, and for NULL."""
        return gmx.gmx_p_get(self._mine())

    def set(self, value: Any) -> None:
        """Sets that of the caller's P, within a function of for_each_p: None, a number, or the address of a ctypes
        object."""
        check(gmx.gmx_p_set(self._mine(), pointer(value)))

    def all(self) -> List[Optional[int]]:
        """Those of all Ps, also of Ps that gomaxprocs has put aside. A glance, unless the world is stopped."""
        key = self._mine()
        return [gmx.gmx_p_get_of(key, p) for p in range(gmx.gmx_p_count())]


class _Barriers:
    """Python functions of a barrier run on the library's threads. At exit no such call may be under way: a thread that
    wants the interpreter when it is gone ends, and takes the barrier with it. A handler may begin one where it has
    interrupted another: the library runs one after the other."""

    def __init__(self) -> None:
        self.lock = RLock()

    def end(self) -> None:
        self.lock.acquire(timeout=1)


_barriers = _Barriers()
process.resets.append(_barriers.__init__)  # type: ignore[misc]
atexit.register(_barriers.end)


def for_each_p(fn: Union[CFunction, Callable[[int], Any]], arg: Any = None) -> None:
    """A ragged barrier: runs a function once for every P, on it or for it, without stopping the world. A Python
    function gets the number of the P, must be short and must not wait; the first error is raised. A C function gets
    arg."""
    if isinstance(fn, (int, CFuncPtr)):
        target = address(fn, "for_each_p")
        argument = pointer(arg)
        check(at_once(lambda: gmx.gmx_for_each_p(target, argument)))
        return
    errors: List[BaseException] = []

    def each(_: Any) -> None:
        try:
            pinned: List[int] = []
            try:
                pinned[:] = starmap(gmx.gmx_pin, ((),))
                fn(pinned[0])
            finally:
                if pinned:
                    gmx.gmx_unpin()
        except BaseException as e:
            errors.append(e)

    callback = _FN(each)
    with _barriers.lock:
        check(at_once(lambda: gmx.gmx_for_each_p(callback, None)))
    if errors:
        raise errors[0]


class GInfo(NamedTuple):
    """A goroutine as the stopped world shows it."""

    goid: int
    name: str
    status: str
    wait_reason: Optional[str]
    thread: int
    since: Optional[float]
    """When it began to wait, as time.monotonic() counts, to 10 ms or so; None if it does not."""


class World:
    """The stopped world."""

    def goroutines(self) -> List[GInfo]:
        """Every goroutine; those of Python functions are in a syscall unless they wait."""
        found: List[GInfo] = []
        errors: List[BaseException] = []  # ctypes would forget what a callback raises

        def each(_: Any, info: Any) -> None:
            try:
                g = info.contents
                reason = g.wait_reason.decode() if g.wait_reason else None
                since = g.since_ns / 1e9 if g.since_ns else None
                status = STATUS.get(g.status, "?")
                found.append(GInfo(g.goid, (g.name or b"").decode(), status, reason, g.thread, since))
            except BaseException as e:
                errors.append(e)

        callback = _EACH_G(each)
        check(gmx.gmx_for_each_g(callback, None))
        if errors:
            raise errors[0]
        return found


def _started(status: int, function: Any, arguments: Any) -> None:
    pass


class StoppedWorld:
    """What `stopped_world` gives, for one with statement."""

    def __init__(self, reason: str, timeout: Optional[float]) -> None:
        self._reason, self._limit = reason.encode(), nanoseconds(timeout)
        self._out: List[int] = []

    def __enter__(self) -> World:
        stopped: List[int] = []
        try:
            self._out[:] = starmap(gmx.gmx_exit_syscall, ((),))
            if self._limit == FOREVER:
                stopped[:] = starmap(gmx.gmx_stop_the_world, ((self._reason,),))
            else:
                stopped[:] = starmap(gmx.gmx_stop_the_world_timeout, ((self._reason, self._limit),))
            check(stopped[0])
            return World()
        except BaseException:
            try:
                if stopped == [OK]:
                    gmx.gmx_start_the_world()
            finally:
                if self._out == [OK]:
                    gmx.gmx_enter_syscall()
            raise

    if TYPE_CHECKING:

        def __exit__(self, *_: object) -> None: ...

    else:
        __exit__ = exit_method("gmx_start_the_world", after=_started)


class StoppedByGoroutine(StoppedWorld):
    """For a goroutine, which goes back into its syscall."""

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_start_the_world", after=after_method("gmx_enter_syscall"))


def stopped_world(reason: str = "stopped by Python", timeout: Optional[float] = None) -> StoppedWorld:
    """Within the block no goroutine runs but the caller: C functions stand at safe points, those of Python stay in
    their Python code at most until they next wait. The caller must not wait either. TimeoutError if some goroutine does
    not come to a safe point in time."""
    if gmx.gmx_enter_syscall() == _abi.GMX_EINSYSCALL:
        return StoppedByGoroutine(reason, timeout)
    gmx.gmx_exit_syscall()  # of the line above, if the caller is a goroutine that was in none
    return StoppedWorld(reason, timeout)


def _numbers(found: Any) -> Dict[str, int]:
    return {name: getattr(found, name) for name, *_ in found._fields_ if name not in ("struct_size", "reserved")}


def stats() -> Dict[str, int]:
    """The numbers of the scheduler."""
    found = _abi.gmx_sched_stats(struct_size=ctypes.sizeof(_abi.gmx_sched_stats))
    check(gmx.gmx_read_sched_stats(_abi.byref(found)))
    return _numbers(found)


_WRITE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def metrics() -> Dict[str, int]:
    """All metrics by their names, those of docs/metrics.md. Times are in nanoseconds; of a histogram it is the number
    of durations."""
    found: Dict[str, int] = {}
    i = 0
    while at := gmx.gmx_metric_info(i):
        name = _abi.gmx_metric_desc.from_address(at).name or b""
        metric = _abi.gmx_metric(name=name)
        check(gmx.gmx_metrics_read(_abi.byref(metric), 1))
        found[name.decode()] = metric.value
        i += 1
    return found


def metrics_text() -> str:
    """All metrics as OpenMetrics text: what an exporter answers to Prometheus."""
    found: List[bytes] = []

    def write(_: Any, text: int, n: int) -> int:
        found.append(ctypes.string_at(text, n))
        return OK

    check(gmx.gmx_metrics_text(_WRITE(write), None))
    return found[0].decode()


def mem_stats() -> Dict[str, int]:
    """The memory of the library: stacks, and descriptors of goroutines, threads and Ps. Stops the world for a
    moment."""
    found = _abi.gmx_mem_stats(struct_size=ctypes.sizeof(_abi.gmx_mem_stats))
    check(at_once(lambda: gmx.gmx_read_mem_stats(_abi.byref(found))))
    return _numbers(found)


def release_memory() -> None:
    """Gives the memory of all stacks that the library keeps for the next goroutines to the system at once."""
    check(at_once(lambda: gmx.gmx_release_memory()))


def dump(fd: int = 2) -> None:
    """Writes what every P, thread and goroutine does to a file descriptor."""
    integer(fd, "a file descriptor", 0, 2**31 - 1)
    check(at_once(lambda: gmx.gmx_write_heap_dump(fd)), f"a dump to descriptor {fd}")
