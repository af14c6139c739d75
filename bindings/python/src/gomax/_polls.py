"""Coroutines that wait for descriptors.

Each loop has an epoll of its own, a Poller, which the loop watches as one descriptor. A coroutine makes the call of the
library, which does not wait; if there is nothing to do, it arms the descriptor in the epoll, and waits for a future.
The event disarms it (EPOLLONESHOT), and the coroutine makes the call again. So a wait costs one system call beside that
of the loop, no thread and no goroutine, and works with every loop that can watch a descriptor.

Rejected: `loop.add_reader` for each descriptor. It adds and removes the descriptor for each wait, which costs twice as
much (docs/python.md). It has one reader for each descriptor. And the descriptor must be removed on the loop's own
thread before it is closed, but any thread may close it. Also rejected: a goroutine in C for each wait, which would need
a stack, and a call into the loop at its end.

POLL-1. The coroutines that wait at one place, to read or to write, take turns: only the first makes calls. When it
        leaves, the next one tries. An armed descriptor that is ready says so at once, so nothing is lost, whatever
        others have read meanwhile.
POLL-2. A coroutine that has found nothing makes its future and enters the place; then it looks at the deadline, arms
        the descriptor, and looks whether the handle is closed. The side that changes one of these does so first, and
        then wakes the futures that are there. So the second that comes sees the first.
POLL-3. The side that closes takes the descriptor out of the epolls (epoll_ctl may be called by any thread), closes the
        handle, and wakes all that wait by then. A coroutine enters a place, and arms, when it has seen its handle open
        since it last let others of its loop run. So its descriptor's number is no other's in this loop. If the handle
        is closed while it arms, it sees that behind it.
"""

import select
import weakref
from collections import deque
from sys import modules
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Optional, Tuple

from . import _abi, _loops
from ._library import gmx
from ._waits import FOREVER, at_once

if TYPE_CHECKING:
    from ._descriptors import Descriptor

ETIMEDOUT = _abi.GMX_ETIMEDOUT
_EVENTS = (select.EPOLLIN | select.EPOLLRDHUP, select.EPOLLOUT)
_ALWAYS = select.EPOLLERR | select.EPOLLHUP


class Ticket:
    """A coroutine that waits."""

    __slots__ = ("future", "failed")

    def __init__(self) -> None:
        self.future = _loops.future()
        self.failed = False  # whether the event was an error: then GMX_ETIMEDOUT is one of the system


class Place:
    """Where the coroutines of one loop wait for one descriptor, to read and to write."""

    def __init__(self, poller: "Poller", fd: int) -> None:
        self.poller = poller
        self.fd = fd
        self.waiting: "Tuple[Deque[Ticket], Deque[Ticket]]" = (deque(), deque())
        poller.places[fd] = self

    def arm(self, without: int = 0) -> None:
        """Asks for what the coroutines wait for."""
        events = select.EPOLLONESHOT
        for side, tickets in enumerate(self.waiting):
            if tickets and not without & _EVENTS[side]:
                events |= _EVENTS[side]
        try:
            self.poller.epoll.modify(self.fd, events)
        except FileNotFoundError:
            self.poller.epoll.register(self.fd, events)

    def ready(self, events: int) -> None:
        """An event has disarmed it. The first of each side that it concerns tries again, the other side is armed."""
        others = False
        for side, tickets in enumerate(self.waiting):
            if tickets and events & (_EVENTS[side] | _ALWAYS):
                tickets[0].failed |= bool(events & select.EPOLLERR)
                _loops.wake(tickets[0].future)
            else:
                others = others or bool(tickets)
        if others:
            try:
                self.arm(events)
            except OSError:  # it is closed by now, which those that wait will find
                self.wake_all()

    def wake_all(self) -> None:
        """All try again. From any thread."""
        for tickets in self.waiting:
            for ticket in tickets.copy():
                _loops.wake(ticket.future)

    def forget(self) -> None:
        """The descriptor is going to be closed. From any thread."""
        if self.poller.places.get(self.fd) is self:
            self.poller.places.pop(self.fd, None)
        self.poller.leave(self.fd)


class Poller:
    """The epoll of one loop."""

    def __init__(self, over: Callable[[], bool]) -> None:
        self.epoll = select.epoll()
        self.places: Dict[int, Place] = {}
        self.over = over  # whether the loop has ended

    def drain(self) -> None:
        """What the loop calls when there are events."""
        for fd, events in self.epoll.poll(0):
            place = self.places.get(fd)
            if place is not None:
                place.ready(events)
            else:
                self.leave(fd)

    def leave(self, fd: int) -> None:
        """Watches it no longer."""
        try:
            self.epoll.unregister(fd)
        except (OSError, ValueError):
            pass  # it was never armed, or is closed; or the epoll has ended with its loop

    def end(self) -> None:
        """Its loop has ended."""
        self.epoll.close()
        self.places.clear()


def _poller() -> Poller:
    """That of the loop that runs the caller. What the loop watches keeps it, until the loop is closed."""
    if "trio" in modules and _loops.in_trio():
        return _poller_of_trio()
    loop: Any = modules["asyncio"].get_running_loop()
    found: Optional[Poller] = getattr(loop, "_gomax_poller", _none)()
    if found is None:
        weak = weakref.ref(loop)
        found = Poller(lambda: getattr(weak(), "is_closed", _yes)())
        loop._gomax_poller = weakref.ref(found)
        loop.add_reader(found.epoll.fileno(), found.drain)
    return found


def _none() -> None:
    pass


def _yes() -> bool:
    return True


_of_trio: List[Any] = []


def _poller_of_trio() -> Poller:
    trio: Any = modules["trio"]
    if not _of_trio:
        _of_trio[:] = [trio.lowlevel.RunVar("gomax poller", None)]
    found: Optional[Poller] = _of_trio[0].get()
    if found is None:
        ended: List[bool] = []
        found = Poller(lambda: bool(ended))
        _of_trio[0].set(found)
        trio.lowlevel.spawn_system_task(_drain_in_trio, found, ended, name="gomax poller")
    return found


async def _drain_in_trio(poller: Poller, ended: List[bool]) -> None:
    trio: Any = modules["trio"]
    try:
        while True:
            await trio.lowlevel.wait_readable(poller.epoll.fileno())
            poller.drain()
    finally:
        ended.append(True)


def _place(descriptor: "Descriptor") -> Place:
    here = _poller()
    for place in descriptor._places:
        if place.poller is here:
            return place
    for place in list(descriptor._places):
        if place.poller.over():
            place.poller.end()
            try:
                descriptor._places.remove(place)
            except ValueError:
                pass  # another loop was faster
    place = Place(here, descriptor._fd)
    descriptor._places.append(place)
    return place


async def attempt_async(descriptor: "Descriptor", side: int, call: Callable[[], int]) -> int:
    """What call() returns when it does not return GMX_ETIMEDOUT any more, by which it says that it would have to wait;
    or that, when the deadline has come. `side`: 0 for reading, 1 for writing."""
    if "trio" in modules:
        await _loops.checkpoint()
    for place in descriptor._places:
        if place.waiting[side]:
            if descriptor.closed:
                return at_once(call)
            break
    else:
        status = at_once(call)
        if status != ETIMEDOUT:
            return status
    place, ticket = _place(descriptor), Ticket()  # (POLL-2)
    tickets = place.waiting[side]
    tickets.append(ticket)
    try:
        while True:  # here the handle was open a moment ago (POLL-3)
            left = _left(descriptor, side)
            if left == 0:
                return ETIMEDOUT
            if tickets[0] is ticket:
                try:
                    place.arm()
                except OSError:
                    if not descriptor.closed:
                        raise
                if descriptor.closed:
                    return at_once(call)
            await _loops.wait_at_most(ticket.future, left)
            if tickets[0] is ticket:
                status = at_once(call)
                if status != ETIMEDOUT or ticket.failed:
                    return status
            elif descriptor.closed:
                return at_once(call)
            ticket.future, ticket.failed = _loops.future(), False
    finally:
        first = tickets[0] is ticket  # (POLL-1)
        tickets.remove(ticket)
        if first and tickets:
            _loops.wake(tickets[0].future)


def _left(descriptor: "Descriptor", side: int) -> Optional[float]:
    """How many seconds there are to the deadline."""
    at = descriptor._limits[side]
    return None if at == FOREVER else max(0, at - gmx.gmx_now()) / 1e9
