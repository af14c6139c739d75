"""Whose descriptors and connections are: sockets, C functions, children of fork, messages that carry them."""

import errno
import gc
import os
import socket
import tempfile
import unittest
import warnings

import gomax
from gomax import net
from nets import descriptors, pair, reading, server
from programs import c_library, run

LIMIT = 600  # seconds that only a fault takes


class Messages(unittest.TestCase):
    def test_udp(self):
        with net.udp_open("127.0.0.1") as a, net.udp_open("127.0.0.1") as b:
            self.assertEqual(a.sendto(b"hello", b.getsockname()), 5)
            self.assertEqual(b.recvfrom(100), (b"hello", a.getsockname()))
            a.sendto(b"", b.getsockname())
            a.sendto(b"longer", b.getsockname())
            self.assertEqual(b.recvfrom(100)[0], b"")
            self.assertEqual(b.recvfrom(3)[0], b"lon")
            with net.dial("udp", *a.getsockname()) as c:
                c.write(b"connected")
                self.assertEqual(a.recvfrom(100), (b"connected", c.getsockname()))

    def test_unix(self):
        with tempfile.TemporaryDirectory() as directory:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.bind(os.path.join(directory, "there"))
            a, b = pair(socket.SOCK_DGRAM)
            with a, b, net.Conn.from_socket(sock) as there:
                self.assertEqual(a.sendto(b"x", there.getsockname()), 1)
                self.assertEqual(there.recvfrom(5), (b"x", None))

    def test_addresses(self):
        from gomax._addresses import pack, unpack

        for address in (("127.0.0.1", 80), ("::1", 65535, 5, 7), ("fe80::1", 0, 0, 1), "/a/path", b"\0abstract"):
            self.assertEqual(unpack(pack(address)), address)
        self.assertEqual(unpack(pack(("::1", 1))), ("::1", 1, 0, 0))
        for address in (("localhost", 80), ("1.2.3", 1), ("1.2.3.4", 65536), ("1.2.3.4", -1), "", "x" * 108, "a\0b"):
            with self.assertRaises(ValueError):
                pack(address)
        for address in (5, None, ("1.2.3.4",), (b"1.2.3.4", 1), ("1.2.3.4", "http"), ["1.2.3.4", 1]):
            with self.assertRaises(TypeError):
                pack(address)

    def test_descriptors(self):
        a, b = pair()
        with a, b, tempfile.TemporaryFile() as file:
            with self.assertRaises(TimeoutError):
                b.read(1, timeout=0.001)  # the library has its own descriptors from here on
            before = descriptors()
            self.assertEqual(a.send_fds(b"abc", [file.fileno(), 0]), 3)
            data, fds = b.recv_fds(10, 5)
            self.assertEqual((data, len(fds)), (b"abc", 2))
            self.assertTrue(os.path.sameopenfile(fds[0], file.fileno()))
            self.assertFalse(os.get_inheritable(fds[0]))
            for fd in fds:
                os.close(fd)
            a.write(b"none")
            self.assertEqual(b.recv_fds(10, 5), (b"none", []))
            a.send_fds(b"too many", [0] * 3)
            with self.assertRaises(OSError) as raised:
                b.recv_fds(10, 2)
            self.assertEqual(raised.exception.errno, errno.EMSGSIZE)
            self.assertLessEqual(descriptors(), before)
            with self.assertRaises(OSError):
                a.send_fds(b"x", [1 << 20])


class Owners(unittest.TestCase):
    """Whose a descriptor is."""

    def test_from_a_socket(self):
        a, b = socket.socketpair()
        fd = a.fileno()
        conn = net.Conn.from_socket(a)
        self.assertEqual((a.fileno(), conn.fileno()), (-1, fd))
        conn.close()
        self.assertEqual(b.recv(1), b"")
        with self.assertRaises(OSError):
            os.fstat(fd)
        b.close()

    def test_borrowed(self):
        a, b = socket.socketpair()
        blocking = a.getblocking()
        with net.Conn.from_socket(a, borrow=True) as conn, b:
            self.assertEqual(conn.fileno(), a.fileno())
            self.assertTrue(os.get_blocking(a.fileno()))
            with self.assertRaises(TimeoutError):
                conn.read(1, timeout=0.001)
            b.send(b"x")
            self.assertEqual(conn.read(1), b"x")
            conn.close()
            self.assertEqual(a.getblocking(), blocking)
            a.send(b"y")
            self.assertEqual(b.recv(1), b"y")
        a.close()
        reader, writer = os.pipe()
        conn = net.Conn(reader, borrow=True)
        os.write(writer, b"x")
        self.assertEqual(conn.read(5), b"x")
        del conn
        os.close(reader)
        os.close(writer)

    def test_detach(self):
        a, b = pair()
        g = gomax.go(a.read, 1)
        reading(a)
        fd = a.detach()
        with self.assertRaises(net.ClosedError):
            g.join()
        self.assertTrue(a.closed)
        sock = socket.socket(fileno=fd)
        sock.setblocking(True)
        b.write(b"x")
        self.assertEqual(sock.recv(5), b"x")
        sock.close()
        b.close()

    def test_forgotten(self):
        gc.collect()  # what other tests have left
        before = descriptors()
        for borrow in (False, True):
            a, b = socket.socketpair()
            conn = net.Conn.from_socket(a, borrow)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                del conn
                gc.collect()
            self.assertEqual([w.category for w in said], [] if borrow else [ResourceWarning])
            if not borrow:
                self.assertEqual(b.recv(1), b"")
            a.close()
            b.close()
        text = """
import gomax, socket, sys, warnings
from gomax import net
a, b = socket.socketpair()
sys.unraisablehook = lambda hook: print(hook.exc_type.__name__)
warnings.simplefilter("error")
net.Conn.from_socket(a)
print(b.recv(1))
b.close()
"""
        self.assertEqual(run(text), "ResourceWarning\nb''\n")

        def on_a_goroutine():
            a, b = pair()
            del a
            with b:
                return b.read(1)

        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            self.assertEqual(gomax.go(on_a_goroutine).join(), b"")
        self.assertLessEqual(descriptors(), before)

    def test_forgotten_where_nothing_may_wait(self):
        """A finaliser that finds its thread at a channel leaves the handle to the next that makes one."""
        a, b = pair()

        def forget():
            nonlocal a
            with gomax._waits.meeting:
                del a
                with self.assertRaises(TimeoutError):
                    b.read(1, timeout=0)

        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            gomax.go(forget).join()
        c, d = pair()
        self.assertEqual(b.read(1), b"")
        for conn in (b, c, d):
            conn.close()

    def test_nothing_leaks(self):
        gc.collect()  # what other tests have left
        open_ = gomax.stats()["fds_open"] + 1
        listener, accepts = server()
        address = listener.getsockname()
        with net.dial("tcp", *address) as conn:
            conn.shutdown(socket.SHUT_WR)
            conn.read(1)
        while gomax.stats()["fds_open"] > open_:
            gomax.sleep(0.0001)  # the server's end
        before = len(descriptors())
        for _ in range(50):
            with net.dial("tcp", *address) as conn:
                conn.write(b"x")
                conn.read(1)
                conn.shutdown(socket.SHUT_WR)
                conn.read(1)
            with self.assertRaises(OSError):
                net.dial("tcp", "127.0.0.1", 1)
            with self.assertRaises(TimeoutError), net.listen_tcp("127.0.0.1", timeout=1) as other:
                other.accept(timeout=0)
        gc.collect()
        while gomax.stats()["fds_open"] > open_:
            gomax.sleep(0.0001)  # the server's ends
        self.assertLessEqual(len(descriptors()), before)
        listener.close()
        accepts.join()

    def test_block(self):
        a, b = pair()
        with self.assertRaises(ZeroDivisionError):
            with a:
                1 / 0
        self.assertTrue(a.closed)
        with b:
            b.close()
        self.assertTrue(b.closed)

    def test_for_c(self):
        a, b = pair()
        self.assertEqual(gomax.gmx.gmx_poll_fd(a.handle), a.fileno())
        gomax.go_c(gomax.gmx.gmx_close, a.handle).join()  # as C code would
        self.assertTrue(a.closed)
        with self.assertRaises(net.ClosedError):
            a.read(1)
        self.assertEqual(b.read(1), b"")
        b.close()

    def test_c_and_python_share_a_connection(self):
        source = """
#include <stdint.h>
gmx_status echo(void *handle) {
  gmx_poll conn = (gmx_poll)(uintptr_t)handle;
  char data[64];
  for (;;) {
    gmx_status n = gmx_read(conn, data, sizeof data, GMX_FOREVER);
    if (n <= 0) return n == GMX_EBADF ? GMX_OK : n;
    n = gmx_write(conn, data, (size_t)n, GMX_FOREVER, NULL);
    if (n != GMX_OK) return n;
  }
}
"""
        with c_library(source) as code:
            pairs = [pair() for _ in range(50)]
            with gomax.scope() as s:
                for a, _ in pairs:
                    s.go_c(code.echo, a.handle)
                for i, (_, b) in enumerate(pairs):
                    b.write(b"%d" % i)
                for i, (_, b) in enumerate(pairs):
                    self.assertEqual(b.read_full(len(b"%d" % i)), b"%d" % i)
                for a, _ in pairs[:25]:
                    a.close()  # ends the C function
                for _, b in pairs[:25]:
                    self.assertEqual(b.read(1), b"")
                s.cancel()  # and so does this
            for a, b in pairs:
                a.close()
                b.close()

    def test_wrong_calls(self):
        a, b = pair()
        for call in (
            lambda: a.read(-1),
            lambda: a.read("1"),
            lambda: a.read(1.5),
            lambda: a.read(1, "soon"),
            lambda: a.read(1, float("nan")),
            lambda: a.read_full(-1),
            lambda: a.shutdown(3),
            lambda: a.wait(0),
            lambda: a.wait(2),
            lambda: a.recv_fds(0, 1),
            lambda: a.recv_fds(1, 254),
            lambda: a.send_fds(b"", [0]),
            lambda: a.send_fds(b"x", []),
            lambda: a.makefile("x"),
            lambda: a.makefile("r", 0),
            lambda: a.sendall(b"x", 1),
            lambda: net.Conn(-1),
            lambda: net.Conn("a"),
            lambda: net.Conn(1 << 20),
            lambda: net.dial("smoke", "signals", 1),
            lambda: net.dial(5, "host", 1),
            lambda: net.dial("tcp", 5, 1),
            lambda: net.dial("tcp", "127.0.0.1", -1),
            lambda: net.dial("tcp", "127.0.0.1", 1.5),
            lambda: net.listen_tcp("127.0.0.1", 65536),
            lambda: net.listen_tcp("127.0.0.1", backlog=-1),
            lambda: net.listen_unix("x" * 200),
            lambda: net.listen_unix("a\0b"),
            lambda: net.listen_inherit(-1),
            lambda: net.wait_fd(-1),
            lambda: net.wait_fd(1 << 20),
            lambda: a.accept(),
        ):
            with self.assertRaises((TypeError, ValueError, OSError, AttributeError)) as raised:
                call()
            self.assertNotIsInstance(raised.exception, (TimeoutError, net.ClosedError))
        a.write(b"still there")
        self.assertEqual(b.read(20), b"still there")
        a.close()
        b.close()

    def test_in_a_stopped_world(self):
        a, b = pair()
        for call in (lambda: a.read(1), lambda: a.write(b"x"), a.close, a.detach):
            with gomax.stopped_world():
                with self.assertRaises(gomax.Error) as raised:
                    call()
            self.assertEqual((raised.exception.name, a.closed), ("GMX_ENOTG", False))
        a.close()
        b.close()


class Process(unittest.TestCase):
    def test_no_descriptors(self):
        """An accept is told, and that of a patient listener waits until there is one."""
        text = """
import errno, gomax, os, resource, socket
from gomax import net
plain, patient = net.listen_tcp("127.0.0.1"), net.listen_tcp("127.0.0.1", patient=True)
try:
    gomax.go(patient.accept, 0.001).join()  # the library has its own descriptors from here on
except TimeoutError:
    pass
clients = [socket.create_connection(l.getsockname()) for l in (plain, patient)]
taken = []
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
try:
    while True:
        taken.append(os.dup(0))
except OSError as e:
    assert e.errno == errno.EMFILE
try:
    plain.accept()
except OSError as e:
    print(e.errno == errno.EMFILE, type(e).__name__)
g = gomax.go(patient.accept)
try:
    g.join(timeout=0.05)
except TimeoutError:
    print("waits")
for fd in taken:
    os.close(fd)
conn = g.join()
clients[1].send(b"x")
print(conn.read(1), plain.accept().close())
conn.close()
plain.close()
patient.close()
os._exit(os.sys.stdout.flush() or 0)
"""
        self.assertEqual(run(text), "True OSError\nwaits\nb'x' None\n")

    def test_fork(self):
        text = """
import gomax, os, sys
sys.path[:0] = [%r]
from gomax import net
from nets import pair
a, b = pair()
c, d = pair()
g = gomax.go(b.read, 10)
listener = net.listen_tcp("127.0.0.1")
pid = os.fork()
if pid == 0:
    for use in (
        lambda: a.read(1),
        lambda: a.write(b"x"),
        lambda: a.handle,
        lambda: a.set_deadline(None),
        lambda: a.getsockname(),
        lambda: a.makefile(),
        listener.accept,
    ):
        try:
            use()
        except gomax.ForkedError:
            continue
        os._exit(1)
    fd = a.fileno()
    assert not a.closed and fd >= 0
    with net.Conn(a.detach()) as mine:
        mine.write(b"of a child")
    for one in (b, c, d, listener):
        one.close()
        one.close()
        assert one.closed
    for number in range(3, 50):
        try:
            assert not os.path.stat.S_ISSOCK(os.fstat(number).st_mode), number
        except OSError:
            pass
    e, f = pair()
    e.write(b"x")
    assert f.read(1) == b"x"
    e.close(), f.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print(g.join())
c.write(b"parent")
print(d.read(10), a.closed)
for one in (a, b, c, d, listener):
    one.close()
""" % os.path.dirname(os.path.abspath(__file__))
        self.assertEqual(run(text), "b'of a child'\nb'parent' False\n")

    def test_nothing_is_started_by_import(self):
        text = """
import gomax, sys, threading, os
print("gomax.net" in sys.modules, gomax.net.Conn.__name__, "gomax.net" in sys.modules)
print(threading.active_count(), len(os.listdir("/proc/self/task")))
"""
        self.assertEqual(run(text), "False Conn True\n1 1\n")

    def test_alive_at_the_end(self):
        text = """
import gomax, socket
from gomax import net
listener, other = net.listen_tcp("127.0.0.1"), net.listen_tcp("127.0.0.1")
conn = net.dial("tcp", *other.getsockname())
for wait in (listener.accept, lambda: conn.read(1), lambda: conn.write(bytes(1 << 24))):
    gomax.go(wait)
while gomax.stats()["io_waiting"] < 3:
    gomax.sleep(0.0001)
print("end")
"""
        for _ in range(3):
            self.assertEqual(run(text), "end\n")


if __name__ == "__main__":
    unittest.main()
