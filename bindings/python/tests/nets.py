"""What the tests of connections have in common."""

import os
import socket

import gomax
from gomax import net


def pair(kind=socket.SOCK_STREAM, family=socket.AF_UNIX):
    """Two connections that are each other's other end."""
    a, b = socket.socketpair(family, kind)
    return net.Conn.from_socket(a), net.Conn.from_socket(b)


def descriptors():
    """The descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))


def threads():
    """How many threads this process has, those of the library too."""
    return len(os.listdir("/proc/self/task"))


def echo(conn):
    with conn:
        while data := conn.read(65536):
            conn.write(data)


def server(listener=None, serve=echo):
    """A listener whose connections are served by goroutines, and the goroutine that accepts."""
    listener = listener or net.listen_tcp("127.0.0.1")

    def accepts():
        with gomax.scope() as s:
            for conn in listener:
                s.go(serve, conn)

    return listener, gomax.go(accepts)


def reading(conn):
    """Waits until a goroutine waits in the library, for IO."""
    while gomax.stats()["io_waiting"] < 1:
        gomax.sleep(0.0001)


def fill(conn):
    """Writes until nothing more goes. How many bytes that were."""
    n = 0
    while True:
        try:
            n += conn.write(bytes(65536), timeout=0)
        except TimeoutError as e:
            n += e.characters_written
            if not e.characters_written:
                return n
