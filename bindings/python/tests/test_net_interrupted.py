"""Signals and connections: Ctrl-C ends each wait, another signal none, and an exception from outside, at whichever
point of an operation it comes (points.py), leaves no descriptor open and no memory held."""

import gc
import os
import socket
import sys
import tempfile
import unittest
import warnings

import gomax
from gomax import net
from nets import descriptors, pair
from points import everywhere, inject
from programs import run
from test_process import INTERRUPT

BEGIN = f"import sys\nsys.path[:0] = [{os.path.dirname(os.path.abspath(__file__))!r}]\n"


class Interrupt(unittest.TestCase):
    def test_waits_end(self):
        prepare = """
import os, select, socket, tempfile
from gomax import net
from nets import fill, pair
a, b = pair()
c, d = pair()
fill(c)
listener = net.listen_tcp("127.0.0.1")
"""
        for wait in (
            "a.read, 1",
            "a.readinto, bytearray(1)",
            "a.readv, [bytearray(1)]",
            "a.read_full, 10",
            "c.write, b'x'",
            "c.writev, [b'x']",
            "a.recvfrom, 1",
            "a.recv_fds, 1, 1",
            "c.send_fds, b'x', [0]",
            "a.wait, select.POLLIN",
            "net.wait_fd, a.fileno()",
            "listener.accept",
            "next, iter(listener)",
            "a.makefile('rb').read, 1",
            "net.copy, a, b",
        ):
            with self.subTest(wait=wait):
                text = BEGIN + prepare + INTERRUPT + f"interrupted({wait})\nos._exit(sys.stdout.flush() or 0)\n"
                self.assertEqual(run(text), "interrupted\n")

    def test_a_dial_ends(self):
        """To a listener whose queue is full, so that the system does not answer."""
        text = BEGIN + INTERRUPT + """
import socket
from gomax import net
sock = socket.socket()
sock.bind(("127.0.0.1", 0))
sock.listen(0)
conns = []
def dials():
    while True:
        conns.append(net.dial("tcp", *sock.getsockname()))
interrupted(dials)
os._exit(sys.stdout.flush() or 0)
"""
        self.assertEqual(run(text), "interrupted\n")

    def test_handlers_that_raise_nothing(self):
        """What is interrupted again and again, between any two parts, moves each byte once."""
        text = BEGIN + """
import gomax, os, signal
from gomax import _waits, net
from nets import pair
n, size, data, got = 0, 1 << 15, os.urandom(1 << 20), bytearray()
def handler(number, frame):
    global n
    n += 1
signal.signal(signal.SIGUSR1, handler)
def disturb():
    while True:
        if _waits._interrupts.waiting:
            os.kill(os.getpid(), signal.SIGUSR1)
        gomax.sleep(0.0005)
def slow(part, done):
    for at in range(0, len(data), size):
        part(at)
        before = n
        while n == before and not done:
            gomax.sleep(0.0001)
def disturbed(part, call, *arguments):
    done = []
    g = gomax.go(slow, part, done)
    result = call(*arguments)
    done.append(True)
    g.join()
    return result
def receives(at):
    got.extend(b.read_full(size))
def sends(at):
    b.write(data[at : at + size])
    if at + size == len(data):
        b.shutdown(1)
gomax.go(disturb)
a, b = pair()
assert disturbed(receives, a.write, data) == len(data) and got == data
del got[:]
assert disturbed(receives, a.writev, [data[:7], data[7:]]) == len(data) and got == data
assert disturbed(sends, a.read_full, len(data)) == data
(a, b), (c, d) = pair(), pair()
g = gomax.go(d.read_full, len(data))
assert disturbed(sends, net.copy, a, c) == len(data) and g.join() == data
print("done", n > 20)
os._exit(sys.stdout.flush() or 0)
"""
        self.assertEqual(run(text), "done True\n")


class Points(unittest.TestCase):
    def setUp(self):
        with net.listen_tcp("127.0.0.1") as listener, self.assertRaises(TimeoutError):
            listener.accept(0.001)  # the library has its own descriptors from here on
        gc.collect()
        warnings.simplefilter("ignore", ResourceWarning)
        self.addCleanup(warnings.resetwarnings)

    def everywhere(self, begin, least=2, allowed=(), part=3):
        """On the main thread, and on a goroutine."""
        everywhere(self, inject, begin, least, allowed, part)
        gomax.go(everywhere, self, inject, begin, least, allowed, part).join()

    def test_accept(self):
        def begin():
            listener = net.listen_tcp("127.0.0.1")
            client = socket.create_connection(listener.getsockname())
            before = descriptors()

            def check(result, raised):
                if result is not None:
                    result.close()
                if raised is not None:
                    raised.__traceback__ = None
                self.assertLessEqual(descriptors(), before)
                client.close()
                listener.close()

            return listener.accept, check

        self.everywhere(begin)

    def opens(self, call):
        def begin():
            before = descriptors()

            def check(result, raised):
                if result is not None:
                    result.close()
                if raised is not None:
                    raised.__traceback__ = None
                self.assertLessEqual(descriptors(), before)

            return call, check

        self.everywhere(begin)

    def test_dial_and_listen(self):
        listener = net.listen_tcp("127.0.0.1")
        address = listener.getsockname()
        self.opens(lambda: net.dial("tcp", *address))
        self.opens(lambda: net.listen_tcp("127.0.0.1"))
        self.opens(lambda: net.listen_unix(f"\0gomax-points-{os.getpid()}"))
        self.opens(lambda: net.udp_open("127.0.0.1"))
        listener.close()

    def test_from_a_socket_and_back(self):
        def begin():
            a, b = socket.socketpair()
            fd = a.fileno()

            def check(result, raised):
                if result is not None:
                    result.close()
                if raised is not None:
                    raised.__traceback__ = None
                a.close()
                with self.assertRaises(OSError):
                    os.fstat(fd)
                b.close()

            return lambda: net.Conn.from_socket(a), check

        self.everywhere(begin)

        def begin_back():
            a, b = pair()
            fd = a.fileno()

            def check(result, raised):
                a.close()
                if result is not None:
                    os.close(result)
                with self.assertRaises(OSError):
                    os.fstat(fd)
                b.close()

            return a.detach, check

        self.everywhere(begin_back)

    def test_block(self):
        def begin():
            a, b = pair()
            began = []

            def operation():
                with a:
                    began.append(True)

            def check(result, raised):
                self.assertEqual(a.closed, bool(began))
                a.close()
                b.close()

            return operation, check

        self.everywhere(begin)

    def test_memory_is_released(self):
        data = bytearray(b"x" * 100)

        def begin_with(call):
            def begin():
                a, b = pair()
                a.write(b"y" * 50)

                def check(result, raised):
                    if raised is not None:
                        raised.__traceback__ = None
                    data.append(1)  # a BufferError, if it is held
                    data.pop()
                    if result is None and hasattr(raised, "characters_written"):
                        self.assertEqual(raised.characters_written, count(a))
                    a.close()
                    b.close()

                return lambda: call(b), check

            return begin

        def count(conn):
            try:
                return len(conn.read(1000, timeout=0))
            except TimeoutError:
                return 0

        for call in (
            lambda conn: conn.write(data),
            lambda conn: conn.writev([data, b"z", data]),
            lambda conn: conn.readinto(data),
            lambda conn: conn.readv([data, bytearray(1)]),
        ):
            self.everywhere(begin_with(call))

    def test_copy(self):
        """What is left of one that was interrupted ends too."""

        def begin():
            (a, b), (c, d) = pair(), pair()
            a.write(b"x" * 100)
            a.shutdown(socket.SHUT_WR)

            def check(result, raised):
                if raised is None:
                    self.assertEqual((result, len(d.read_full(100))), (100, 100))
                for conn in (a, b, c, d):
                    conn.close()

            return lambda: net.copy(b, c), check

        self.everywhere(begin)

    def test_descriptors_that_come(self):
        file = tempfile.TemporaryFile()
        self.addCleanup(file.close)

        def begin():
            a, b = pair()
            a.send_fds(b"x", [file.fileno()])
            before = descriptors()

            def check(result, raised):
                for fd in result[1] if result else ():
                    os.close(fd)
                self.assertLessEqual(descriptors(), before)
                a.close()
                b.close()

            return lambda: b.recv_fds(10, 2), check

        self.everywhere(begin)


if sys.version_info < (3, 11):
    del Points  # there exceptions come at further points (points.py)


if __name__ == "__main__":
    unittest.main()
