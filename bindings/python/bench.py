"""What things cost: python bench.py [--only NAME] [--rounds N]. The best of some rounds, alternating, in one run."""

import argparse
import asyncio
import concurrent.futures
import ctypes
import platform
import queue
import select
import socket
import sys
import threading
import time

import gomax
from gomax import net

PAIRS, SPAWNS, VALUES, AWAITS = 500, 200, 5000, 100_000  # short, so that some fall into a quiet moment
ECHOES, MESSAGE = 100, b"x" * 32


def timed(n, fn):
    begin = time.perf_counter()
    fn()
    return (time.perf_counter() - begin) / n * 1e6


def spawn_go():
    return timed(SPAWNS, lambda: [gomax.go(int).join() for _ in range(SPAWNS)])


def spawn_thread():
    def one():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    return timed(SPAWNS, lambda: [one() for _ in range(SPAWNS)])


def spawn_executor():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        pool.submit(int).result()
        return timed(SPAWNS, lambda: [pool.submit(int).result() for _ in range(SPAWNS)])


def spawn_c():
    word = gomax.WaitGroup(SPAWNS)
    done = gomax.gmx.gmx_waitgroup_done

    def all_():
        for _ in range(SPAWNS):
            gomax.go_c(done, word.address)
        word.wait()

    return timed(SPAWNS, all_)


def ping_pong(new, get, put, start):
    a, b = new(), new()

    def pong():
        for _ in range(PAIRS):
            put(b, get(a))

    join = start(pong)

    def ping():
        for _ in range(PAIRS):
            put(a, None)
            get(b)

    try:
        return timed(PAIRS, ping)
    finally:
        join()


def start_go(fn):
    return gomax.go(fn).join


def start_thread(fn):
    thread = threading.Thread(target=fn)
    thread.start()
    return thread.join


def ping_pong_channel():
    # both ends goroutines
    return gomax.go(ping_pong, gomax.Channel, gomax.Channel.recv, gomax.Channel.send, start_go).join()


def ping_pong_buffered():
    return gomax.go(ping_pong, lambda: gomax.Channel(1), gomax.Channel.recv, gomax.Channel.send, start_go).join()


def ping_pong_queue():
    return ping_pong(queue.Queue, queue.Queue.get, queue.Queue.put, start_thread)


def ping_pong_simple_queue():
    return ping_pong(queue.SimpleQueue, lambda q: q.get(), lambda q, v: q.put(v), start_thread)


def stream(new, get, put, start):
    c = new()
    join = start(lambda: [put(c, i) for i in range(VALUES)])
    try:
        return timed(VALUES, lambda: [get(c) for _ in range(VALUES)])
    finally:
        join()


def stream_channel():
    return stream(lambda: gomax.Channel(1000), gomax.Channel.recv, gomax.Channel.send, start_go)


def stream_queue():
    return stream(lambda: queue.Queue(1000), queue.Queue.get, queue.Queue.put, start_thread)


def alone(new, get, put):
    """Put and get again, by one thread."""
    c = new()

    def all_():
        for _ in range(VALUES):
            put(c, None)
            get(c)

    return timed(VALUES, all_)


def alone_channel():
    return alone(lambda: gomax.Channel(1), gomax.Channel.recv, gomax.Channel.send)


def alone_queue():
    return alone(queue.Queue, queue.Queue.get, queue.Queue.put)


def callback_foreign():
    fn = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda arg: None)
    call, result = gomax.gmx.gmx_callback, []
    start_thread(lambda: result.append(timed(VALUES, lambda: [call(fn, None) for _ in range(VALUES)])))()
    return result[0]


def callback_plain():
    fn = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda arg: None)
    result = []
    start_thread(lambda: result.append(timed(VALUES, lambda: [fn(None) for _ in range(VALUES)])))()
    return result[0]


def awaits(new, get, put):
    async def main():
        queues = [new() for _ in range(AWAITS)]
        begin = time.perf_counter()
        tasks = [asyncio.ensure_future(get(q)) for q in queues]
        await asyncio.sleep(0)
        for q in queues:
            await put(q, 1)
        await asyncio.gather(*tasks)
        return (time.perf_counter() - begin) / AWAITS * 1e6

    return asyncio.run(main())


def await_channel():
    return awaits(gomax.Channel, gomax.Channel.recv_async, gomax.Channel.send_async)


def await_queue():
    return awaits(asyncio.Queue, asyncio.Queue.get, asyncio.Queue.put)


def echoes(connections, start):
    """Each connection there and back, one after the other on each, all at the same time."""
    read, write, pairs = connections
    joins = []

    def echo(conn):
        while data := read(conn, 100):
            write(conn, data)

    def ask(conn):
        for _ in range(ECHOES):
            write(conn, MESSAGE)
            read(conn, 100)

    for _, there in pairs:
        joins.append(start(lambda conn=there: echo(conn)))

    def all_():
        for join in [start(lambda conn=here: ask(conn)) for here, _ in pairs]:
            join()

    try:
        return timed(ECHOES * len(pairs), all_)
    finally:
        for here, _ in pairs:
            here.close()
        for join in joins:
            join()
        for _, there in pairs:
            there.close()


def sockets(n):
    return socket.socket.recv, socket.socket.sendall, [socket.socketpair() for _ in range(n)]


def conns(n):
    pairs = [tuple(map(net.Conn.from_socket, socket.socketpair())) for _ in range(n)]
    return net.Conn.read, net.Conn.write, pairs


def echo_net():
    return echoes(conns(1), start_go)


def echo_threads():
    return echoes(sockets(1), start_thread)


def echo_net_20():
    return echoes(conns(20), start_go)


def echo_threads_20():
    return echoes(sockets(20), start_thread)


def echoes_async(n, new, read, write):
    async def echo(conn):
        while data := await read(conn, 100):
            await write(conn, data)

    async def ask(conn):
        for _ in range(ECHOES):
            await write(conn, MESSAGE)
            await read(conn, 100)

    async def main():
        pairs = [[await new(sock) for sock in socket.socketpair()] for _ in range(n)]
        servers = [asyncio.ensure_future(echo(there)) for _, there in pairs]
        begin = time.perf_counter()
        await asyncio.gather(*[ask(here) for here, _ in pairs])
        taken = time.perf_counter() - begin
        for here, _ in pairs:
            (here[1] if isinstance(here, tuple) else here).close()
        await asyncio.gather(*servers)
        for _, there in pairs:
            (there[1] if isinstance(there, tuple) else there).close()
        return taken / ECHOES / n * 1e6

    return asyncio.run(main())


async def new_conn(sock):
    return net.Conn.from_socket(sock)


async def new_sock(sock):
    sock.setblocking(False)
    return sock


def echo_net_async():
    return echoes_async(20, new_conn, net.Conn.read_async, net.Conn.write_async)


def echo_sock_async():
    def read(sock, n):
        return asyncio.get_running_loop().sock_recv(sock, n)

    def write(sock, data):
        return asyncio.get_running_loop().sock_sendall(sock, data)

    return echoes_async(20, new_sock, read, write)


def echo_streams():
    async def write(stream, data):
        stream[1].write(data)

    return echoes_async(20, lambda sock: asyncio.open_connection(sock=sock), lambda stream, n: stream[0].read(n), write)


def waits_async(begin, end):
    """CPU time of a coroutine's wait for a descriptor, and of what makes it ready."""

    async def main():
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(20)]
        futures, epoll = {}, select.epoll()

        def ready():
            for fd, _ in epoll.poll(0):
                futures[fd].set_result(None)

        async def one(here, there):
            fd = there.fileno()
            epoll.register(fd, 0)
            for _ in range(ECHOES):
                futures[fd] = loop.create_future()
                begin(loop, epoll, fd, futures[fd])
                here.send(b"x")
                await futures[fd]
                end(loop, fd)
                there.recv(1)
            here.close()
            there.close()

        loop.add_reader(epoll.fileno(), ready)
        before = time.process_time()
        await asyncio.gather(*[one(*pair) for pair in pairs])
        return (time.process_time() - before) / ECHOES / len(pairs) * 1e6

    return asyncio.run(main())


def wait_epoll():
    def begin(loop, epoll, fd, future):
        epoll.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)

    return waits_async(begin, lambda loop, fd: None)


def wait_add_reader():
    def begin(loop, epoll, fd, future):
        loop.add_reader(fd, future.set_result, None)

    return waits_async(begin, lambda loop, fd: loop.remove_reader(fd))


CASES = [
    ("start a function and wait for it: gomax.go", spawn_go),
    ("    threading.Thread", spawn_thread),
    ("    ThreadPoolExecutor", spawn_executor),
    ("    a C function, gomax.go_c", spawn_c),
    ("there and back, two threads: gomax.Channel()", ping_pong_channel),
    ("    gomax.Channel(1)", ping_pong_buffered),
    ("    queue.Queue", ping_pong_queue),
    ("    queue.SimpleQueue", ping_pong_simple_queue),
    ("a value through a buffer of 1000: gomax.Channel(1000)", stream_channel),
    ("    queue.Queue(1000)", stream_queue),
    ("put and get by one thread: gomax.Channel(1)", alone_channel),
    ("    queue.Queue", alone_queue),
    ("C calls Python, as a goroutine: gmx_callback", callback_foreign),
    ("    a ctypes callback as such", callback_plain),
    ("100,000 waits of coroutines, each: gomax.Channel", await_channel),
    ("    asyncio.Queue", await_queue),
    ("echo of 32 bytes, two threads: gomax.net", echo_net),
    ("    socket", echo_threads),
    ("echo, 20 connections with two threads each: gomax.net", echo_net_20),
    ("    socket", echo_threads_20),
    ("echo, 20 connections with two coroutines each: gomax.net", echo_net_async),
    ("    loop.sock_recv, loop.sock_sendall", echo_sock_async),
    ("    streams of asyncio", echo_streams),
    ("CPU of a coroutine's wait for a descriptor: an epoll of its own", wait_epoll),
    ("    loop.add_reader and remove_reader", wait_add_reader),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    cases = [c for c in CASES if options.only in c[1].__name__]
    best = {}
    for i in range(options.rounds):
        for name, fn in cases:
            if i >= 2 and "100,000" in name:
                continue  # long enough
            best[fn] = min(best.get(fn, float("inf")), fn())
    print(f"Python {sys.version.split()[0]}, {platform.machine()}, {gomax.num_cpu()} CPUs; microseconds, best of {options.rounds}")
    for name, fn in cases:
        print(f"{name:<66}{best[fn]:>9.2f}")


if __name__ == "__main__":
    main()
