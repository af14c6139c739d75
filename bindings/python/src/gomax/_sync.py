"""Wait groups, semaphores and locks: the library's own, so Gs in C may use them too, by `address`."""

import ctypes
import time
from functools import partial
from itertools import starmap
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type, TypeVar

from . import _abi
from ._errors import ForkedError, check, error, integer
from ._goroutines import G, CFunction, address, pointer, start
from ._library import Process, exit_method, gmx, process
from ._waits import OK, nanoseconds, wait

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVarTuple, Unpack

    P = ParamSpec("P")
    Ts = TypeVarTuple("Ts")
T = TypeVar("T")
_EAGAIN = _abi.GMX_EAGAIN
_DONE = [OK]
_NOT_TAKEN: List[int] = []


class WaitGroup:
    """Counts what is under way; `wait` returns when nothing is."""

    def __init__(self, count: int = 0) -> None:
        self._group = _abi.gmx_waitgroup()
        self._epoch = process.epoch
        self.address = ctypes.addressof(self._group)
        self.add(count)

    def add(self, delta: int = 1) -> None:
        """Counts that many more, or fewer. Below zero is an error."""
        integer(delta, "what a wait group counts", -(2**31), 2**31 - 1)
        check(gmx.gmx_waitgroup_add(self.address, delta), "a wait group below zero or above its limit")

    def done(self) -> None:
        """Counts one fewer."""
        self.add(-1)

    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits until the count is zero. TimeoutError."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        check(wait(nanoseconds(timeout), partial(gmx.gmx_waitgroup_wait_timeout, self.address), lock=True))

    def go(self, fn: "Callable[P, T]", *args: "P.args", **kwargs: "P.kwargs") -> "G[T]":
        """Runs fn as a goroutine that counts here until it has ended. Its errors are reported as those of a thread,
        unless it is joined."""
        counted: List[int] = []

        def begins(_: "G[Any]") -> None:
            counted[:] = starmap(gmx.gmx_waitgroup_add, ((self.address, 1),))
            check(counted[0], "a wait group above its limit")

        def ended(_: "G[Any]") -> None:
            if counted == [OK]:
                self.done()

        return start(fn, args, kwargs, then=ended, register=begins)


class Barrier:
    """Where n goroutines and threads meet, again and again. Unlike threading.Barrier it is for C functions too, and one
    that gives up breaks it for none: it has not arrived."""

    def __init__(self, n: int) -> None:
        integer(n, "how many meet", 1, 2**32 - 1)
        self._barrier = _abi.gmx_barrier(n)
        self._epoch = process.epoch
        self.address = ctypes.addressof(self._barrier)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits until n have arrived. True for one of them in each round. TimeoutError, CanceledError: it is no
        arrival."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        serial = _abi.c_bool(False)
        at = _abi.byref(serial)
        check(wait(nanoseconds(timeout), partial(gmx.gmx_barrier_wait_timeout, self.address), rest=(at,)))
        return serial.value

    @property
    def waiters(self) -> int:
        """How many have arrived in this round."""
        return gmx.gmx_barrier_waiters(self.address)


def _released(status: int, function: Any, arguments: Any) -> None:
    if status < 0:
        if arguments[0]._epoch is not process.epoch:
            raise ForkedError()
        raise error(status)


class Taken:
    """What a with statement takes, and releases at its end. The functions are those of the library."""

    _try: Any
    _wait: Any
    _give: Any
    _is_lock = True
    _timeout: Optional[float] = None

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self._epoch = process.epoch
        self._taken = _abi.c_void_p(ctypes.addressof(memory))

    def _take(self, timeout: Optional[float] = None, asks: bool = False) -> Any:
        """This object, or None if `asks` and the time is up."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        record = _NOT_TAKEN
        status = _EAGAIN
        try:
            (status,) = map(self._try, (self._taken,))
            if status != OK:
                limit = nanoseconds(self._timeout if timeout is None else timeout)
                if asks and limit == 0 and status in (_abi.GMX_EBUSY, _EAGAIN):
                    return None
                record = []
                status = wait(limit, partial(self._wait, self._taken), lock=self._is_lock, record=record)
                if asks and status == _abi.GMX_ETIMEDOUT:
                    return None
                check(status)
            return self
        except BaseException:
            if status == OK or record == _DONE:  # an exception from outside: it is taken, and the block will not run
                self._give(self._taken)
            raise

    if TYPE_CHECKING:

        def __enter__(self: "Self") -> "Self": ...

    else:
        __enter__ = _take

    def acquire(self, blocking: bool = True, timeout: Optional[float] = -1) -> bool:
        """As that of threading: whether it was taken. It waits until that can be done, or no longer than timeout
        seconds; -1 and None are forever. With blocking=False it does not wait."""
        if blocking is not True or timeout != -1:
            return self._take(_limit(blocking, timeout), True) is not None
        status = _EAGAIN
        if self._epoch is process.epoch:
            (status,) = map(self._try, (self._taken,))  # (WAITS-R1: nothing comes between this and the end)
        return status == OK or self._take(None, True) is not None

    def _give_back(self) -> None:
        if self._epoch is not process.epoch:
            raise ForkedError()
        status = self._give(self._taken)
        if status < 0:
            raise error(status)

    if TYPE_CHECKING:

        def __exit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> None: ...


Self = TypeVar("Self", bound=Taken)


def _limit(blocking: bool, timeout: Optional[float]) -> Optional[float]:
    if type(blocking) is not bool and blocking not in (0, 1):
        raise TypeError(f"blocking is True or False, not {blocking!r}; a timeout is given by its name")
    if timeout is None or timeout == -1:
        return None if blocking else 0
    if not blocking:
        raise ValueError("a call that does not wait has no timeout")
    if timeout < 0:
        raise ValueError("a timeout is not below 0")
    return timeout


class Semaphore(Taken):
    """A count that `acquire` takes one from, waiting while it is 0. A scope that is canceled ends the wait:
    CanceledError."""

    _try, _wait, _give = gmx.gmx_sema_try_acquire, gmx.gmx_sema_acquire_timeout, gmx.gmx_sema_release
    _is_lock = False

    def __init__(self, count: int = 0) -> None:
        integer(count, "the count of a semaphore", 0, 2**32 - 1)
        super().__init__(_abi.c_uint32(count))
        self.address = ctypes.addressof(self._memory)

    def release(self, n: int = 1) -> None:
        """Gives one, or n, to the first that wait if there are any."""
        for _ in range(integer(n, "how many are given", 1, 2**32 - 1)):
            self._give_back()

    def locked(self) -> bool:
        """Whether the count is 0."""
        return bool(self._memory.value == 0)

    @property
    def waiters(self) -> int:
        """How many wait."""
        return gmx.gmx_sema_waiters(self.address)

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_sema_release", "_taken", _released)


class Lock(Taken):
    """What Mutex, RWMutex and Cond have in common: `with` takes it and gives it back."""

    def __init__(self, memory: Any) -> None:
        super().__init__(memory)
        self.address = ctypes.addressof(memory)

    def release(self) -> None:
        """Unlocks. An Error if it is not the caller's."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        status = self._give(self._taken)
        if status < 0:
            raise error(status)


class Mutex(Lock):
    """A lock that belongs to the goroutine or thread which has taken it: taking it twice, or releasing that of another,
    gets an Error. Unlike threading.Lock it is for C functions too."""

    _try, _wait, _give = gmx.gmx_mutex_try_lock, gmx.gmx_mutex_lock_timeout, gmx.gmx_mutex_unlock

    def __init__(self) -> None:
        super().__init__(_abi.gmx_mutex())

    def locked(self) -> bool:
        """Whether it is taken, by any goroutine or thread. At the next moment that may have changed."""
        return bool(self._memory.state != 0)

    @property
    def waiters(self) -> int:
        """How many wait for it."""
        return gmx.gmx_mutex_waiters(self.address)

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_mutex_unlock", "_taken", _released)


class RMutex(Lock):
    """A Mutex that its owner may take again, and then releases as often. Unlike threading.RLock it is for C functions
    too."""

    _try, _wait, _give = gmx.gmx_rmutex_try_lock, gmx.gmx_rmutex_lock, gmx.gmx_rmutex_unlock

    def __init__(self) -> None:
        super().__init__(_abi.gmx_rmutex())

    def locked(self) -> bool:
        """Whether it is taken, by any goroutine or thread. At the next moment that may have changed."""
        return bool(self._memory.mutex.state != 0)

    def release(self) -> None:
        """Unlocks it once. An Error if it is not the caller's."""
        self._give_back()

    @property
    def waiters(self) -> int:
        """How many wait for it."""
        return gmx.gmx_rmutex_waiters(self.address)

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_rmutex_unlock", "_taken", _released)


class RWMutex(Lock):
    """A lock for many readers or one writer: `with m:` writes, `with m.reading():` reads. A writer that waits keeps new
    readers out, so a reader that locks it a second time may deadlock."""

    _try, _wait, _give = gmx.gmx_rwmutex_try_lock, gmx.gmx_rwmutex_lock_timeout, gmx.gmx_rwmutex_unlock

    def __init__(self) -> None:
        super().__init__(_abi.gmx_rwmutex())

    def release(self) -> None:
        """Unlocks what was taken for writing, as `with` and `acquire` do."""
        self._give_back()

    def acquire_read(self, blocking: bool = True, timeout: Optional[float] = -1) -> bool:
        """As acquire, for reading, beside other readers."""
        return Reading(self, None).acquire(blocking, timeout)

    def release_read(self) -> None:
        """Unlocks what was taken for reading."""
        Reading(self, None)._give_back()

    def reading(self, timeout: Optional[float] = None) -> "Reading":
        """`with m.reading():` takes it for reading during the block."""
        return Reading(self, timeout)

    @property
    def waiters(self) -> int:
        """How many wait for it, to read or to write."""
        return gmx.gmx_rwmutex_waiters(self.address)

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_rwmutex_unlock", "_taken", _released)


class Reading(Taken):
    """What `RWMutex.reading` gives."""

    _try, _wait, _give = gmx.gmx_rwmutex_try_rlock, gmx.gmx_rwmutex_rlock_timeout, gmx.gmx_rwmutex_runlock

    def __init__(self, lock: RWMutex, timeout: Optional[float]) -> None:
        self._memory, self._epoch, self._taken, self._timeout = lock._memory, lock._epoch, lock._taken, timeout

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_rwmutex_runlock", "_taken", _released)


class Turn(Taken):
    """A Mutex with a timeout, for a with statement."""

    _try, _wait, _give = Mutex._try, Mutex._wait, Mutex._give

    def __init__(self, mutex: Mutex, timeout: Optional[float]) -> None:
        self._memory, self._epoch, self._taken, self._timeout = mutex._memory, mutex._epoch, mutex._taken, timeout

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_mutex_unlock", "_taken", _released)


class Cond(Lock):
    """Where to wait for something that a Mutex guards; `with` takes the mutex. Several may share one."""

    _try, _wait, _give = Mutex._try, Mutex._wait, Mutex._give

    def __init__(self, mutex: Optional[Mutex] = None) -> None:
        super().__init__(_abi.gmx_cond())
        self.mutex = mutex or Mutex()
        if self.mutex._epoch is not process.epoch:
            raise ForkedError()
        self._taken = self.mutex._taken

    def release(self) -> None:
        """Unlocks its mutex."""
        self._give_back()

    def wait(self, timeout: Optional[float] = None) -> None:
        """Unlocks the mutex and waits for notify. The mutex is locked again when the call ends, also by a TimeoutError
        or CanceledError. Test the condition in a loop around it, or use wait_for."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        waited = False

        def call(left: int) -> int:
            nonlocal waited
            if waited:  # and a signal handler has ended it: a notify since then has not found this waiter
                return _abi.GMX_OK
            status = gmx.gmx_cond_wait_timeout(self.address, self.mutex.address, left)
            waited = status != _abi.GMX_EINSYSCALL
            return status

        check(wait(nanoseconds(timeout), call))

    def wait_for(self, predicate: Callable[[], T], timeout: Optional[float] = None) -> T:
        """Waits until the predicate, which is asked with the mutex taken, says something true, and returns that."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            result = predicate()
            if result:
                return result
            self.wait(None if end is None else max(0, end - time.monotonic()))

    def notify(self, n: int = 1) -> None:
        """Wakes the waiter that has waited longest, or the n that have."""
        for _ in range(integer(n, "how many are woken", 0, 2**63 - 1)):
            self._wake(gmx.gmx_cond_signal)

    def notify_all(self) -> None:
        """Wakes all that wait."""
        self._wake(gmx.gmx_cond_broadcast)

    def _wake(self, wake: Callable[[Any], int]) -> None:
        if self._epoch is not process.epoch:
            raise ForkedError()
        check(wake(self.address))

    @property
    def waiters(self) -> int:
        """How many wait to be notified; with the mutex taken none is missed."""
        return gmx.gmx_cond_waiters(self.address)

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_mutex_unlock", "_taken", _released)


class Once:
    """Something that is done once, by the first caller; callers that come meanwhile wait until it is done."""

    def __init__(self) -> None:
        self._done = False
        self._mutex = Mutex()

    def do(self, fn: "Callable[[Unpack[Ts]], Any]", *args: "Unpack[Ts]", timeout: Optional[float] = None) -> None:
        """Calls fn(*args), unless another caller has. What fn raises is raised here, and the Once is done all the same.
        timeout: for the wait while another caller's function runs."""
        if self._done:
            return
        with Turn(self._mutex, timeout):
            if not self._done:
                try:
                    fn(*args)
                finally:
                    self._done = True


class BlockingClass:
    """C functions that block or compute for long, of which no more than limit run at a time, in the order in which they
    come: those that Python calls by `call` and those that C functions call by gmx_blocking_in with its `handle`. The
    name is shown in dumps as what the others wait for."""

    def __init__(self, limit: int, name: Optional[str] = None) -> None:
        self._class = _abi.c_uint64()
        self._epoch = process.epoch
        integer(limit, "how many run at a time", 1, 2**32 - 1)
        text = name.encode() if name is not None else None
        check(gmx.gmx_class_new(limit, text, _abi.byref(self._class)), "a class of calls")

    def __del__(self, process: Process = process, free: Callable[[Any], int] = gmx.gmx_class_free) -> None:
        if self._class.value and self._epoch is process.epoch:
            free(self._class.value)

    @property
    def handle(self) -> int:
        """The class for C functions: a gmx_class. It is theirs for as long as this object lives."""
        if self._epoch is not process.epoch:
            raise ForkedError()
        return self._class.value

    def call(self, fn: CFunction, arg: Any = None, timeout: Optional[float] = None) -> None:
        """Waits for the turn, and calls a C function, void (*)(void *), without the GIL. It returns when the function
        has. TimeoutError, CanceledError: it was not called. The timeout is for the turn."""
        handle, target, argument = self.handle, address(fn, "call"), pointer(arg)
        check(wait(nanoseconds(timeout), partial(gmx.gmx_blocking_in, handle, target, argument)))


def _size(word: Any) -> int:
    size = ctypes.sizeof(word) if isinstance(word, ctypes._SimpleCData) else 0
    if size not in (1, 2, 4, 8):
        raise TypeError("a word is a ctypes number of 1, 2, 4 or 8 bytes")
    return size


def wait_on_address(word: Any, expected: int, timeout: Optional[float] = None) -> None:
    """Waits until wake_address for a ctypes number, if that is `expected` now: what futex does, for words that Python
    shares with C functions. It may return without a reason: look at the word again, in a loop. TimeoutError,
    CanceledError."""
    size = _size(word)
    at, value = ctypes.addressof(word), type(word)(expected)
    same = _abi.byref(value)
    status = wait(nanoseconds(timeout), partial(gmx.gmx_wait_on_address, at, same, size))
    if status != _abi.GMX_EAGAIN:
        check(status)


def wake_address(word: Any, n: Optional[int] = None) -> int:
    """Wakes those that wait for the word, which was changed before: all, or at most n. How many were woken."""
    _size(word)
    most = 2**32 - 1 if n is None else integer(n, "how many are woken", 0, 2**32 - 1)
    return check(gmx.gmx_wake_address(ctypes.addressof(word), most))
