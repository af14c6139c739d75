"""Every wait of this package goes through `wait`.

Who waits is one of three:

- A G of `gomax.go`. It is in a syscall while it runs Python, so that it holds no P while it computes, waits for the
  GIL or sits in a read: a wait leaves the syscall for as long as it lasts.
- The main thread. Python's signal handlers run there and only between two calls, so Ctrl-C would come after the wait.
  Therefore it waits under a token of cancellation. The handler in C writes to a pipe (signal.set_wakeup_fd), a thread
  that reads it cancels the token, the wait returns, and Python runs its handler. If that raises nothing, the wait goes
  on. Nothing polls. A handler may wait itself: then there is a wait within another. A wait for a lock or an end, which
  no scope ends, is under a token too, but under one that has no parent.
- Any other thread: it just waits.
"""

import math
import os
import signal
import threading
import time
from threading import get_ident
from typing import Callable, Dict, Optional

from . import _abi
from ._errors import check
from ._library import gmx, process

FOREVER = 2**63 - 1
_EINSYSCALL = _abi.GMX_EINSYSCALL


def nanoseconds(timeout: Optional[float]) -> int:
    """Seconds, or None for ever, as the library counts."""
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
        self.entered = False
        self.shields = 0

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
            gmx.gmx_cancel_now(self.token)  # a wait that is over already costs the next one a second try
            if self.forward >= 0:
                try:
                    os.write(self.forward, data)
                except OSError:
                    pass  # full: its owner has enough to read

    def fresh(self, parent: int, own: bool) -> int:
        """A token under the parent, or under none of its own, that is not cancelled, as far as one can know."""
        if self.token and self.parent == parent and self.own == own and not gmx.gmx_cancel_is_cancelled(self.token):
            return self.token
        self.free()
        token = _abi.c_uint64()
        check(gmx.gmx_cancel_new(0 if own else parent, FOREVER, _abi.byref(token)))
        self.parents[token.value] = parent
        self.token, self.parent, self.own = token.value, parent, own
        return token.value

    def free(self) -> None:
        token, self.token = self.token, 0
        if token:
            gmx.gmx_cancel_free(token)
            del self.parents[token]

    def current(self) -> int:
        """The token of the scope around the main thread. A handler that has interrupted a wait finds that one's in use."""
        token = gmx.gmx_cancel_current()
        return self.parents.get(token, token)

    def wait(self, timeout: int, call: Callable[[int], int], lock: bool) -> int:
        if self.writer < 0:
            self.start()
        parent = self.current()
        own = lock or self.shields > 0
        if not self.entered:
            self.entered = True
            try:
                return self.wait_under(parent, timeout, call, lock, own)
            finally:
                self.entered = False
        interrupted = self.token, self.parent, self.own, self.forward, self.waiting
        self.token = 0
        try:
            return self.wait_under(parent, timeout, call, lock, own)
        finally:
            self.free()
            self.token, self.parent, self.own, self.forward, self.waiting = interrupted

    def wait_under(self, parent: int, timeout: int, call: Callable[[int], int], lock: bool, own: bool) -> int:
        outer = self.forward
        end = time.monotonic_ns() + timeout
        while True:
            token = self.fresh(parent, own)
            try:
                before = signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
            except ValueError:  # signals are handled by another thread than threading believes
                return call(timeout)
            try:
                self.forward, self.waiting = outer if before == self.writer else before, True
                gmx.gmx_cancel_use(token, None)
                if lock:
                    gmx.gmx_cancel_locks(True)
                status = call(timeout)
            finally:
                if lock:
                    gmx.gmx_cancel_locks(False)
                gmx.gmx_cancel_use(parent, None)
                signal.set_wakeup_fd(before, warn_on_full_buffer=False)
                self.forward, self.waiting = -1, False
            if status != _abi.GMX_ECANCELED or (parent and not own and gmx.gmx_cancel_is_cancelled(parent)):
                return status
            if timeout >= 0:
                timeout = max(0, end - time.monotonic_ns())

    def forked(self) -> None:
        if self.waiting:  # another thread has forked: the child must not write to a descriptor that is closed
            signal.set_wakeup_fd(self.forward, warn_on_full_buffer=False)
        for descriptor in (self.reader, self.writer):
            if descriptor >= 0:
                os.close(descriptor)
        self.__init__()  # type: ignore[misc]


_interrupts = Interrupts()
process.resets.append(_interrupts.forked)


def wait(timeout: int, call: Callable[[int], int], lock: bool = False) -> int:
    """What call(timeout) returns, which may wait for so many nanoseconds. `lock`: for a lock or an end, which only a signal
    ends early."""
    if get_ident() == _interrupts.main:
        return _interrupts.wait(timeout, call, lock)
    status = call(timeout)
    if status != _EINSYSCALL:
        return status
    gmx.gmx_exit_syscall()
    try:
        return call(timeout)
    finally:
        gmx.gmx_enter_syscall()


def current_token() -> int:
    """That of the scope around the caller; 0 if there is none."""
    return _interrupts.current() if get_ident() == _interrupts.main else gmx.gmx_cancel_current()


def under_own_token(call: Callable[[], int]) -> int:
    """What call() returns, which uses the caller's current token: not that of a wait which its handler has interrupted."""
    token, current = current_token(), gmx.gmx_cancel_current()
    if token == current:
        return call()
    try:
        gmx.gmx_cancel_use(token, None)
        return call()
    finally:
        gmx.gmx_cancel_use(current, None)


class Shield:
    """with gomax.shield(): no scope ends what the caller waits for. For code that cleans up and has to wait for that. Shields
    nest. A signal still ends a wait of the main thread, to run its handler. A coroutine needs none: nothing of this package
    cancels it."""

    def __enter__(self) -> None:
        if get_ident() == _interrupts.main:
            _interrupts.shields += 1
        else:
            check(gmx.gmx_cancel_shield())

    def __exit__(self, *_: object) -> None:
        if get_ident() == _interrupts.main:
            _interrupts.shields -= 1
        else:
            check(gmx.gmx_cancel_unshield())


def shield() -> Shield:
    """A shield for a with statement."""
    return Shield()


def at_once(call: Callable[[], int]) -> int:
    """What call() returns, which needs to be out of a syscall but does not honour cancellation."""
    status = call()
    if status != _EINSYSCALL:
        return status
    gmx.gmx_exit_syscall()
    try:
        return call()
    finally:
        gmx.gmx_enter_syscall()


def sleep(seconds: float) -> None:
    """Waits so long. Ends early with CanceledError when the scope around it is cancelled."""
    ns = nanoseconds(seconds)
    check(wait(ns if ns >= 0 else 2**62, gmx.gmx_sleep))
