"""Every wait of this package goes through `wait`.

The caller is one of three:

- A G of `gomax.go`. It is in a syscall while it runs Python, so that it holds no P while it computes, waits for the
  GIL or sits in a read: a wait leaves the syscall for as long as it lasts.
- The main thread. Python's signal handlers run there and only between two calls, so Ctrl-C would come after the wait.
  Therefore it waits under a token of cancellation. The handler in C writes to a pipe (signal.set_wakeup_fd), a thread
  that reads it cancels the token, the wait returns, and Python runs its handler. If that raises nothing, the wait
  continues. Nothing polls. A handler may wait itself: then there is a wait within another. A wait for a lock or an end,
  which no scope ends, is under a token too, but under one that has no parent.
- Any other thread: it just waits.

What comes between two steps. A signal handler runs on the main thread and may raise, KeyboardInterrupt for instance, or
use this package. CPython runs it when a call of a C function has returned, before its result is stored; where a
function of Python begins; and where a loop turns. A finaliser (`__del__`, the callback of a weak reference, a coroutine
that is collected) may use this package too, and runs on any thread, wherever memory is allocated. So that nothing is
left taken, stopped or waiting, and no thread waits for a lock of its own:

WAITS-R1. A C call that takes something tells so before anything else runs. Either it writes to memory that is there
          before the call, or one statement both calls it and stores its status: `record[:] = starmap(f, (arguments,))`.
WAITS-R2. The `try` that undoes begins before that call. Its `except` or `finally` begins with the one C call that
          undoes; or else the steps that it does can be done twice, and it does them again if an exception comes out of
          them.
WAITS-R3. `__exit__` of a lock, a stopped world or a shield is a C function (`exit_method`). One in Python could be left
          where it begins. Where the end of a block is Python (a scope, an executor, on_cancel), the C function resumes
          a generator that is suspended within its `try` (`resume_method`). `__aexit__` does the same, and returns the
          generator to be awaited (`resume_async_method`).
WAITS-R4. No plain lock is held. What threads share changes by single operations of a list, dict, deque or SimpleQueue,
          which are atomic, without the GIL too, and the thread that pops an entry owns it. Only what coroutines wait
          for has a lock (_channels.py): a reentrant one, under which all is whole at each point where something may
          come.
WAITS-R5. A finaliser of this package waits for no lock: it leaves its work where the holder finds it.
"""

import math
import os
import signal
import threading
import time
from functools import partial
from itertools import starmap
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, Type

from . import _abi
from ._errors import check, error
from ._library import ASYNC_LEFT, async_rest, exit_method, gmx, process, resume_async_method

FOREVER = 2**63 - 1
OK = _abi.GMX_OK
_EINSYSCALL, _ECANCELED = _abi.GMX_EINSYSCALL, _abi.GMX_ECANCELED
_exit_syscall, _enter_syscall = gmx.gmx_exit_syscall, gmx.gmx_enter_syscall
_current, _use, _is_canceled = gmx.gmx_cancel_current, gmx.gmx_cancel_use, gmx.gmx_cancel_is_canceled
_set_wakeup_fd = partial(signal.set_wakeup_fd, warn_on_full_buffer=False)


def nanoseconds(timeout: Optional[float]) -> int:
    """Seconds, or None for forever, as the library's count of nanoseconds."""
    if timeout is None or timeout == math.inf:
        return FOREVER
    try:
        timeout = timeout * 1.0
    except TypeError:
        raise TypeError(f"a time is a number of seconds, not {type(timeout).__name__}") from None
    if timeout != timeout:
        raise ValueError("a time that is not a number")
    return min(max(0, int(timeout * 1e9)), 2**62)


class Interrupts:
    """Ends waits of the main thread when a signal comes."""

    def __init__(self) -> None:
        self.main: Optional[int] = threading.main_thread().ident
        self.reader = self.writer = -1
        self.forward = -1  # the descriptor that is set aside while we wait, asyncio's for instance
        self.waiting = False
        self.token = 0  # the wait of the main thread is under this one; the watcher cancels it
        self.parent = 0
        self.own = False  # whether the token has no parent: for a lock, an end, or within a shield
        self.parents: Dict[int, int] = {}  # of each token of ours the one that it was made under
        self.trash: List[int] = []  # tokens to be freed
        self.entered = False
        self.shields: "List[_abi.c_uint32]" = []  # of each shield a word that is 0 until its block ends

    def start(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        if self.writer >= 0:  # a handler has come between, and waited
            os.close(reader)
            os.close(writer)
            return
        self.reader, self.writer = reader, writer
        threading.Thread(target=self.watch, args=(self.reader,), name="gomax-signals", daemon=True).start()

    def watch(self, reader: int) -> None:
        while data := os.read(reader, 4096):
            if self.forward >= 0:
                try:
                    os.write(self.forward, data)
                except OSError:
                    pass  # full: its owner has enough to read
            gmx.gmx_cancel_now(self.token)  # a wait that is over already costs the next one a second try

    def fresh(self, parent: int, own: bool) -> int:
        """A token under the parent, or under none of its own, that is not canceled, as far as one can know."""
        self.free()
        token = _abi.c_uint64()
        try:
            check(gmx.gmx_cancel_new(0 if own else parent, FOREVER, _abi.byref(token)))
            self.parents[token.value] = parent
            self.token, self.parent, self.own = token.value, parent, own
            return token.value
        except BaseException:
            gmx.gmx_cancel_free(token)
            raise

    def free(self) -> None:
        self.trash += [self.token]
        self.token = 0
        self.sweep()

    def sweep(self) -> None:
        while self.trash:
            token = self.trash[-1]
            gmx.gmx_cancel_free(token)
            self.parents.pop(token, None)
            if token in self.trash:  # a handler may have swept
                self.trash.remove(token)

    def shielded(self) -> bool:
        while self.shields and self.shields[-1].value:
            self.shields.pop()
        return bool(self.shields)

    def current(self) -> int:
        """The token of the scope around the main thread. A handler that has interrupted a wait finds that one's in
        use."""
        token = gmx.gmx_cancel_current()
        return self.parents.get(token, token)

    def wait(self, timeout: int, call: Callable[..., int], rest: Tuple[Any, ...], lock: bool, record: List[int]) -> int:
        if self.writer < 0:
            self.start()
        if not self.entered:
            self.entered = True
            try:
                return self.wait_under(timeout, call, rest, lock, record)
            finally:
                self.entered = False
        interrupted = self.token, self.parent, self.own, self.forward, self.waiting
        self.token = 0
        try:
            return self.wait_under(timeout, call, rest, lock, record)
        finally:
            self.trash += [self.token]
            self.token, self.parent, self.own, self.forward, self.waiting = interrupted
            self.sweep()

    def wait_under(
        self, timeout: int, call: Callable[..., int], rest: Tuple[Any, ...], lock: bool, record: List[int]
    ) -> int:
        outer, current = self.forward, _current()
        parent = self.parents.get(current, current)
        own = lock or (bool(self.shields) and self.shielded())
        end = time.monotonic_ns() + timeout if timeout != FOREVER else 0
        before: List[int] = []
        while True:
            token = self.token
            if not token or self.parent != parent or self.own != own or _is_canceled(token):
                token = self.fresh(parent, own)
            try:
                try:
                    before[:] = map(_set_wakeup_fd, (self.writer,))
                except ValueError:  # signals are handled by another thread than threading believes
                    record[:] = starmap(call, ((timeout, *rest),))
                    return record[0]
                self.forward, self.waiting = outer if before[0] == self.writer else before[0], True
                _use(token, None)
                if lock:
                    gmx.gmx_cancel_locks(True)
                record[:] = starmap(call, ((timeout, *rest),))
            finally:
                try:
                    self.leave(lock, current, before)
                except BaseException:
                    self.leave(lock, current, before)
                    raise
            status = record[0]
            if status != _ECANCELED or (parent and not own and _is_canceled(parent)):
                return status
            if 0 <= timeout != FOREVER:
                timeout = max(0, end - time.monotonic_ns())

    def leave(self, lock: bool, current: int, before: List[int]) -> None:
        """What must be when a wait is over; it can be done twice."""
        if lock:
            gmx.gmx_cancel_locks(False)
        _use(current, None)
        if before:
            _set_wakeup_fd(before[0])
        self.forward, self.waiting = -1, False

    def forked(self) -> None:
        if self.waiting:  # another thread has forked: the child must not write to a descriptor that is closed
            signal.set_wakeup_fd(self.forward, warn_on_full_buffer=False)
        for descriptor in (self.reader, self.writer):
            if descriptor >= 0:
                os.close(descriptor)
        self.__init__()  # type: ignore[misc]


_interrupts = Interrupts()
process.resets.append(_interrupts.forked)

# The lock under which coroutines and threads meet at channels (_channels.py). A handler or finaliser that interrupts
# its thread while the thread holds the lock waits without it.
meeting: Any = threading.RLock()
_meets = meeting._is_owned
process.resets.append(meeting._at_fork_reinit)


def wait(
    timeout: int,
    call: Callable[..., int],
    lock: bool = False,
    *,
    record: Optional[List[int]] = None,
    rest: Tuple[Any, ...] = (),
) -> int:
    """What call(timeout, *rest) returns, which may wait for so many nanoseconds. `lock`: for a lock or an end, which
    only a signal ends early. If `call` is a C function, `record` holds what it has returned, also if an exception has
    come between that and the end of this function (WAITS-R1)."""
    if record is None:
        record = []
    if _meets():
        return _wait_apart(timeout, call, lock, record, rest)
    if get_ident() == _interrupts.main:
        return _interrupts.wait(timeout, call, rest, lock, record)
    left = _EINSYSCALL  # OK: it was in a syscall. A goroutine is, unless C calls Python or the world is stopped
    try:
        (left,) = starmap(_exit_syscall, _NO_ARGUMENTS)
        record[:] = starmap(call, ((timeout, *rest),))
    finally:
        if left == OK:
            _enter_syscall()
    return record[0]


_NO_ARGUMENTS: Tuple[Tuple[()]] = ((),)


def _wait_apart(timeout: int, call: Callable[..., int], lock: bool, record: List[int], rest: Tuple[Any, ...]) -> int:
    saved: List[Any] = []
    try:
        saved[:] = starmap(meeting._release_save, ((),))
        return wait(timeout, call, lock, record=record, rest=rest)
    finally:
        if saved:
            meeting._acquire_restore(saved[0])


def current_token() -> int:
    """That of the scope around the caller; 0 if there is none."""
    return _interrupts.current() if get_ident() == _interrupts.main else gmx.gmx_cancel_current()


def under_own_token(call: Callable[[], int]) -> int:
    """What call() returns, which uses the caller's current token: not that of a wait which its handler has
    interrupted."""
    token, current = current_token(), gmx.gmx_cancel_current()
    if token == current:
        return call()
    try:
        gmx.gmx_cancel_use(token, None)
        return call()
    finally:
        gmx.gmx_cancel_use(current, None)


def _unshielded(status: int, function: Any, arguments: Any) -> None:
    check(status, "a shield")


class Shield:
    """with gomax.shield(): no scope ends what the caller waits for. For code that cleans up and has to wait for that.
    Shields nest. A signal still ends a wait of the main thread, to run its handler. In a coroutine it is `async with`:
    no scope cancels the task within the block; on asyncio `task.cancel()` does."""

    _async_rest = ASYNC_LEFT

    def __enter__(self) -> None:
        record: List[int] = []
        try:
            record[:] = starmap(gmx.gmx_cancel_shield, ((),))
            check(record[0])
        except BaseException:
            if record == [OK]:
                gmx.gmx_cancel_unshield()
            raise

    if TYPE_CHECKING:

        def __exit__(self, *_: object) -> None: ...

    else:
        __exit__ = exit_method("gmx_cancel_unshield", after=_unshielded)

    async def __aenter__(self) -> None:
        from ._scopes_async import ShieldBlock

        block = ShieldBlock(self)
        try:
            self._async_rest = async_rest(block)
            block.begin()
        except BaseException:
            self._async_rest = ASYNC_LEFT
            block.end(None, True)
            raise

    if TYPE_CHECKING:

        async def __aexit__(
            self, kind: Optional[Type[BaseException]], e: Optional[BaseException], where: Optional[TracebackType]
        ) -> bool: ...

    else:
        __aexit__ = resume_async_method()


class MainShield(Shield):
    """That of the main thread, whose waits for signals are under tokens of their own (Interrupts.fresh)."""

    def __init__(self) -> None:
        self._word = _abi.c_uint32(0)
        self._at = _abi.c_void_p(_abi.addressof(self._word))

    def __enter__(self) -> None:
        _interrupts.shields += [self._word]

    if not TYPE_CHECKING:
        __exit__ = exit_method("gmx_sema_release", "_at", _unshielded)  # from 0 to 1


def shield() -> Shield:
    """A shield for a with statement of the caller's thread."""
    return MainShield() if get_ident() == _interrupts.main else Shield()


def at_once(call: Callable[[], int]) -> int:
    """What call() returns, which needs to be out of a syscall but does not honour cancellation."""
    status = call()
    if status != _EINSYSCALL:
        return status
    try:
        gmx.gmx_exit_syscall()
        return call()
    finally:
        gmx.gmx_enter_syscall()


def sleep(seconds: float) -> None:
    """Waits so long. Ends early with CanceledError when the scope around it is canceled."""
    ns = nanoseconds(seconds)
    status = wait(ns if ns >= 0 else 2**62, gmx.gmx_sleep)
    if status < 0:
        raise error(status)
