"""Goroutines hand work to an asyncio loop: they post functions, and the loop calls them on its own thread.

The loop watches the descriptor of gmx_host_fd, as it watches a socket. Goroutines in C post with gmx_post; these here
are Python's, which could also use loop.call_soon_threadsafe.
"""

import asyncio
import ctypes
import itertools
import threading
from typing import Callable, Dict

import gomax

gmx = gomax.gmx
calls: Dict[int, Callable[[], None]] = {}  # what was posted, until it is called
numbers = itertools.count(1)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def call(number: int) -> None:
    calls.pop(number)()


def post(function: Callable[[], None]) -> None:
    """Has the loop call a function. From any goroutine or thread."""
    number = next(numbers)
    calls[number] = function
    status = gmx.gmx_post(call, number)
    if status != 0:
        del calls[number]
        raise MemoryError("gmx_post")


async def main() -> None:
    loop, mine = asyncio.get_running_loop(), threading.get_ident()
    all_done = loop.create_future()
    squares = []

    def took(square: int) -> None:
        assert threading.get_ident() == mine
        squares.append(square)
        if len(squares) == 20:
            all_done.set_result(None)

    def works(n: int) -> None:
        post(lambda: took(n * n))

    descriptor = gmx.gmx_host_fd()
    loop.add_reader(descriptor, gmx.gmx_host_run, 8)
    for n in range(20):
        gomax.go(works, n)
    await asyncio.wait_for(all_done, 60)
    loop.remove_reader(descriptor)
    assert sorted(squares) == [n * n for n in range(20)]
    print(f"{len(squares)} squares, on one thread")


asyncio.run(main())
