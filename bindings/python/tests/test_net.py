"""Connections, for goroutines and threads."""

import errno
import gc
import http.client
import mmap
import os
import pickle
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings

import gomax
from gomax import net
from nets import descriptors, fill, pair, reading, server
from programs import c_library, run

LIMIT = 600  # seconds that only a fault takes


class Echo(unittest.TestCase):
    def test_connections(self):
        listener, accepts = server()
        port = listener.getsockname()[1]

        def client(i):
            with net.dial("tcp", "127.0.0.1", port, timeout=LIMIT) as conn:
                for j in range(10):
                    message = b"%d %d" % (i, j) * 10
                    self.assertEqual(conn.write(message), len(message))
                    self.assertEqual(conn.read_full(len(message)), message)
                conn.shutdown(socket.SHUT_WR)
                self.assertEqual(conn.read(10), b"")

        with gomax.scope() as s:
            for i in range(200):
                s.go(client, i)
        listener.close()
        accepts.join()

    def test_on_the_main_thread_and_on_others(self):
        listener, accepts = server()

        def client():
            with net.dial("tcp", "localhost", listener.getsockname()[1]) as conn:
                conn.write(b"hello")
                self.got.append(conn.read_full(5))

        self.got = []
        client()
        thread = threading.Thread(target=client)
        thread.start()
        thread.join()
        gomax.go(client).join()
        self.assertEqual(self.got, [b"hello"] * 3)
        listener.close()
        accepts.join()

    def test_unix(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in (os.path.join(directory, "socket"), f"\0gomax-test-{os.getpid()}"):
                listener, accepts = server(net.listen_unix(name))
                with net.dial("unix", name) as conn:
                    conn.write(b"hello")
                    self.assertEqual(conn.read_full(5), b"hello")
                with self.assertRaises(OSError) as raised:
                    net.listen_unix(name)
                self.assertEqual(raised.exception.errno, errno.EADDRINUSE)
                listener.close()
                accepts.join()
            with self.assertRaises(OSError):
                net.listen_unix(os.path.join(directory, "socket"))
            net.listen_unix(os.path.join(directory, "socket"), unlink=True).close()

    def test_inherited(self):
        text = """
import os, socket
from gomax import net
sock = socket.socket()
sock.bind(("127.0.0.1", 0))
sock.listen()
os.dup2(sock.fileno(), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
with net.listen_inherit() as listener:
    conn = net.dial("tcp", *sock.getsockname())
    listener.accept().close()
    print(conn.read(1))
    try:
        net.listen_inherit(1)
    except FileNotFoundError as e:
        print("none")
conn.close()
os._exit(0 if os.sys.stdout.flush() is None else 1)
"""
        self.assertEqual(run(text), "b''\nnone\n")

    def test_names(self):
        for arguments in (("127.0.0.1", 80), ("localhost", "http"), ("::1", 443), (None, 1)):
            with self.subTest(arguments=arguments):
                expected = sorted(socket.getaddrinfo(*arguments, type=socket.SOCK_STREAM))
                self.assertEqual(sorted(net.getaddrinfo(*arguments, type=socket.SOCK_STREAM, timeout=LIMIT)), expected)
        for look in (net.getaddrinfo, lambda host, port: net.dial("tcp", host, port)):
            with self.assertRaises(socket.gaierror) as raised:
                look("no-such-host.invalid", 80)
            self.assertIn(raised.exception.errno, (socket.EAI_NONAME, socket.EAI_AGAIN))
        with self.assertRaises(ValueError):
            net.getaddrinfo("a\0b", 1)


class Reading(unittest.TestCase):
    def setUp(self):
        self.a, self.b = pair()
        self.addCleanup(self.a.close)
        self.addCleanup(self.b.close)

    def test_forms(self):
        a, b = self.a, self.b
        memory = bytearray(8)
        a.write(b"12345678")
        self.assertEqual(b.read(3), b"123")
        self.assertEqual(b.readinto(memoryview(memory)[2:5]), 3)
        self.assertEqual(memory, b"\0\x00456\0\0\0")
        first, second = bytearray(1), bytearray(5)
        self.assertEqual(b.readv([first, bytearray(), second]), 2)
        self.assertEqual((first, second[:1]), (b"7", b"8"))
        self.assertEqual((b.read(0), b.readinto(bytearray()), b.read_full(0)), (b"", 0, b""))
        a.writev([b"ab", bytearray(b"cd"), memoryview(b"efgh")[1:3], b""])
        self.assertEqual(b.read_full(6), b"abcdfg")
        self.assertEqual(a.writev([b"x"] * 3000), 3000)
        self.assertEqual(b.read_full(3000), b"x" * 3000)
        self.assertEqual((a.write(b""), a.writev([])), (0, 0))

    def test_memory_of_each_kind(self):
        import array

        with mmap.mmap(-1, 4096) as map_:
            map_[:4] = b"mmap"
            for memory in (b"data", bytearray(b"data"), memoryview(b"data"), array.array("i", [1, 2]), map_):
                size = memoryview(memory).nbytes
                self.assertEqual(self.a.write(memory), size)
                self.assertEqual(self.b.read_full(size), bytes(memory))
            self.a.write(b"mine")
            self.b.readinto(map_)
            self.assertEqual(map_[:4], b"mine")

    def test_memory_that_will_not_do(self):
        for memory in (b"bytes", "text", 5, None, memoryview(b"a"), memoryview(bytearray(8))[::2]):
            with self.assertRaises((TypeError, BufferError)):
                self.b.readinto(memory, timeout=0)
        for memory in ("text", 5, None, memoryview(b"12345678")[::2]):
            with self.assertRaises((TypeError, BufferError)):
                self.a.write(memory)
            with self.assertRaises((TypeError, BufferError)):
                self.a.writev([b"not written either", memory])
        with self.assertRaises(TimeoutError):
            self.b.read(100, timeout=0)

    def test_memory_stays_while_it_is_used(self):
        memory = bytearray(100)
        for wait in (self.b.readinto, lambda memory: self.b.readv([memory])):
            g = gomax.go(wait, memory)
            reading(self.b)
            with self.assertRaises(BufferError):
                memory.extend(b"x")
            self.a.write(b"12")
            self.assertEqual(g.join(), 2)
            memory.extend(b"x")
        memory = bytearray(fill(self.a))  # more than there is room for
        for wait in (self.a.write, lambda memory: self.a.writev([memory])):
            g = gomax.go(wait, memory)
            reading(self.a)
            with self.assertRaises(BufferError):
                memory.clear()
            g.cancel()
            with self.assertRaises(gomax.CanceledError):
                g.join()
            memory.extend(b"x")

    def test_references(self):
        memory, data = bytearray(5), b"some bytes"
        before = sys.getrefcount(memory), sys.getrefcount(data)
        for _ in range(100):
            self.a.write(data)
            self.a.writev([data, memory])
            self.b.readinto(memory)
            self.b.read(100)
            with self.assertRaises(TimeoutError):
                self.b.readinto(memory, timeout=0)
        self.assertEqual((sys.getrefcount(memory), sys.getrefcount(data)), before)

    def test_whole_length(self):
        g = gomax.go(self.b.read_full, 10)
        for _ in range(5):
            self.a.write(b"ab")
        self.assertEqual(g.join(), b"ab" * 5)
        self.a.write(b"abc")
        with self.assertRaises(TimeoutError) as raised:
            self.b.read_full(5, timeout=0.01)
        self.assertEqual(raised.exception.partial, b"abc")
        self.a.write(b"de")
        self.a.close()
        with self.assertRaises(EOFError) as raised:
            self.b.read_full(5)
        self.assertEqual(raised.exception.partial, b"de")

    def test_readers_take_turns(self):
        got = gomax.Channel(20)
        with gomax.scope() as s:
            for _ in range(20):
                s.go(lambda: got.send(self.b.read_full(3)))
            for i in range(60):
                self.a.write(b"%d" % (i % 3))
        self.assertEqual([got.recv() for _ in range(20)], [b"012"] * 20)

    def test_writers_take_turns(self):
        size, n = 200_000, 8
        with gomax.scope() as s:
            for i in range(n):
                s.go(self.a.write, bytes([i]) * size)
            got = [self.b.read_full(size) for _ in range(n)]
        self.assertEqual(sorted(got), [bytes([i]) * size for i in range(n)])

    def test_many_wait_and_others_run(self):
        with gomax.scope() as s:
            waits = [s.go(self.b.read_full, 1) for _ in range(50)]
            self.assertEqual(gomax.go(sum, range(10)).join(), 45)
            self.a.write(bytes(50))
        self.assertEqual([g.join() for g in waits], [b"\0"] * 50)


class Ends(unittest.TestCase):
    """What ends a wait."""

    def setUp(self):
        self.a, self.b = pair()
        self.addCleanup(self.a.close)
        self.addCleanup(self.b.close)

    def test_timeout(self):
        listener = net.listen_tcp("127.0.0.1")
        for wait in (
            lambda t: self.b.read(1, t),
            lambda t: self.b.readinto(bytearray(1), t),
            lambda t: self.b.readv([bytearray(1)], t),
            lambda t: self.b.read_full(1, t),
            lambda t: self.b.recvfrom(1, t),
            lambda t: self.b.recv_fds(1, 1, t),
            lambda t: self.b.wait(select.POLLIN, t),
            lambda t: net.wait_fd(self.b.fileno(), select.POLLIN, t),
            lambda t: listener.accept(t),
        ):
            for timeout in (0, -1, 0.001):
                with self.assertRaises(TimeoutError):
                    wait(timeout)
                with self.assertRaises(TimeoutError):
                    gomax.go(wait, timeout).join()
        listener.close()

    def test_write_says_how_much(self):
        for write in (self.a.write, lambda data, t: self.a.writev([data[:5], data[5:]], t)):
            data = os.urandom(1 << 22)
            with self.assertRaises(TimeoutError) as raised:
                write(data, 0.01)
            n = raised.exception.characters_written
            self.assertTrue(0 < n < len(data))
            self.assertEqual(self.b.read_full(n), data[:n])
            with self.assertRaises(TimeoutError):
                self.b.read(1, timeout=0)

    def test_write_to_a_slow_reader(self):
        data = os.urandom(3_000_000)
        g = gomax.go(self.a.write, data)
        got = bytearray()
        while len(got) < len(data):
            got += self.b.read(10_000)
        self.assertEqual(g.join(), len(data))
        self.assertEqual(got, data)

    def test_deadline_from_another_goroutine(self):
        for by in (lambda at: self.b.set_deadline(at), lambda at: self.b.set_deadline(at, write=False)):
            g = gomax.go(self.b.read, 1)
            reading(self.b)
            gomax.go(by, time.monotonic() - 1).join()
            with self.assertRaises(TimeoutError):
                g.join()
            self.a.write(b"x")
            with self.assertRaises(TimeoutError):
                self.b.read(1)  # also if there is something
            self.b.set_deadline(None)
            self.assertEqual(self.b.read(1), b"x")
        self.b.set_deadline(time.monotonic() - 1, read=False)
        self.a.write(b"x")
        self.assertEqual(self.b.read(1), b"x")
        with self.assertRaises(TimeoutError) as raised:
            self.b.write(b"x")
        self.assertEqual(raised.exception.characters_written, 0)
        for when, sides in ((None, {"read": False, "write": False}), (float("nan"), {})):
            with self.assertRaises(ValueError):
                self.b.set_deadline(when, **sides)
        with self.assertRaises(TypeError):
            self.b.set_deadline("tomorrow")

    def test_close(self):
        listener = net.listen_tcp("127.0.0.1")
        (other, _end), (third, _end_too) = pair(), pair()
        fill(self.b)
        for conn, wait in (
            (listener, listener.accept),
            (self.b, lambda: self.b.write(b"x")),
            (other, lambda: other.read_full(5)),
            (third, third.wait),
        ):
            g = gomax.go(wait)
            reading(conn)
            conn.close()
            with self.assertRaises(net.ClosedError) as raised:
                g.join()
            e = raised.exception
            self.assertIsInstance(e, gomax.ClosedError)
            self.assertIsInstance(e, OSError)
            self.assertEqual((e.errno, e.name), (errno.EBADF, "GMX_EBADF"))
            again = pickle.loads(pickle.dumps(e))
            self.assertEqual((type(again), again.errno, str(again)), (type(e), e.errno, str(e)))
            with self.assertRaises(net.ClosedError):
                wait()
            conn.close()
            self.assertTrue(conn.closed)
            self.assertEqual(conn.fileno(), -1)
        _end.close()
        _end_too.close()

    def test_everything_says_that_it_is_closed(self):
        conn = self.a
        conn.close()
        for call in (
            lambda: conn.read(1),
            lambda: conn.readinto(bytearray(1)),
            lambda: conn.readv([bytearray(1)]),
            lambda: conn.read_full(1),
            lambda: conn.write(b"x"),
            lambda: conn.writev([b"x"]),
            lambda: conn.shutdown(socket.SHUT_WR),
            lambda: conn.recvfrom(1),
            lambda: conn.sendto(b"x", "/path"),
            lambda: conn.send_fds(b"x", [0]),
            lambda: conn.recv_fds(1, 1),
            lambda: conn.wait(),
            lambda: conn.set_deadline(None),
            conn.detach,
            conn.getsockname,
            conn.getpeername,
            lambda: conn.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
        ):
            with self.assertRaises(net.ClosedError):
                call()

    def test_scope(self):
        def fails():
            reading(self.b)
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            with gomax.scope() as s:
                s.go(fails)
                self.b.read(1)
        with gomax.move_on_after(0.01) as s:
            self.b.read(1)
        self.assertTrue(s.timed_out)
        with self.assertRaises(TimeoutError):
            with gomax.fail_after(0.01), net.listen_tcp("127.0.0.1") as listener:
                listener.accept()
        self.a.write(b"x")
        self.assertEqual(self.b.read(1), b"x")

    def test_token(self):
        token = gomax.Token()
        g = token.go(self.b.read_full, 5)
        reading(self.b)
        self.a.write(b"abc")
        while self.b.wait(select.POLLIN | select.POLLOUT) & select.POLLIN:
            gomax.sleep(0.0001)  # until it has read that
        token.cancel()
        with self.assertRaises(gomax.CanceledError) as raised:
            g.join()
        self.assertEqual(raised.exception.partial, b"abc")
        with token.use(), self.assertRaises(gomax.CanceledError):
            self.b.read(1)
        data = bytes(1 << 22)
        g = gomax.go(self.a.write, data)
        reading(self.a)
        g.cancel()
        with self.assertRaises(gomax.CanceledError) as raised:
            g.join()
        n = raised.exception.characters_written
        self.assertEqual(len(self.b.read_full(n)), n)
        with self.assertRaises(TimeoutError):
            self.b.read(1, timeout=0)

    def test_other_end(self):
        self.a.close()
        self.assertEqual(self.b.read(1), b"")
        with self.assertRaises(BrokenPipeError) as raised:
            self.b.write(b"x")
        self.assertEqual(raised.exception.characters_written, 0)

    def test_errors_of_the_system(self):
        listener = net.listen_tcp("127.0.0.1")
        port = listener.getsockname()[1]
        with self.assertRaises(OSError) as raised:
            net.listen_tcp("127.0.0.1", port)
        self.assertEqual(raised.exception.errno, errno.EADDRINUSE)
        client = net.dial("tcp", "127.0.0.1", port)
        server = listener.accept()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.close()
        with self.assertRaises(ConnectionResetError):
            client.read(1)
        client.close()
        listener.close()
        with self.assertRaises(ConnectionRefusedError) as raised:
            net.dial("tcp", "127.0.0.1", port)
        self.assertIn(str(port), str(raised.exception))
        with self.assertRaises(FileNotFoundError):
            net.dial("unix", "/no/such/socket")
        reader, writer = map(net.Conn, os.pipe())
        with self.assertRaises(OSError) as raised:
            reader.write(b"x")
        self.assertEqual((raised.exception.errno, type(raised.exception)), (errno.EBADF, OSError))
        reader.close()
        writer.close()


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
            self.assertEqual(descriptors(), before)
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
        self.assertEqual(descriptors(), before)

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
        listener, accepts = server()
        address = listener.getsockname()
        with net.dial("tcp", *address) as conn:
            conn.shutdown(socket.SHUT_WR)
            conn.read(1)
        gc.collect()
        while gomax.stats()["fds_open"] > 1:
            gomax.sleep(0.0001)  # the server's end
        open_ = gomax.stats()["fds_open"]
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
        self.assertEqual(len(descriptors()), before)
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


class Files(unittest.TestCase):
    def test_lines(self):
        a, b = pair()
        with a.makefile("w", encoding="utf-8", newline="\n") as out, b.makefile("r", encoding="utf-8") as lines:
            print("first", "sécond", file=out)
            print("third", file=out)
            out.flush()
            a.shutdown(socket.SHUT_WR)
            self.assertEqual(list(lines), ["first sécond\n", "third\n"])
        a.close()
        b.close()

    def test_binary(self):
        a, b = pair()
        both, raw = a.makefile("rwb"), b.makefile("rb", 0)
        both.write(b"hello")
        both.flush()
        self.assertEqual(raw.read(10), b"hello")
        b.write(b"line\nrest")
        self.assertEqual(both.readline(), b"line\n")
        with self.assertRaises(OSError):
            raw.write(b"x")
        self.assertEqual((raw.readable(), raw.writable(), raw.seekable()), (True, False, False))
        raw.close()
        with self.assertRaises(ValueError):
            raw.read(1)
        both.close()
        a.close()
        b.close()

    def test_close_waits_for_files(self):
        a, b = pair()
        file = b.makefile("rb")
        b.close()
        self.assertFalse(b.closed)
        a.write(b"last words")
        a.close()
        self.assertEqual(file.read(), b"last words")
        file.close()
        self.assertTrue(b.closed)

    def test_timeout(self):
        a, b = pair()
        with a, b, b.makefile("rb", timeout=0.001) as file:
            with self.assertRaises(TimeoutError):
                file.read(1)

    def test_part_of_a_write(self):
        """It is counted, so that a buffer does not write it twice."""
        data = os.urandom(1 << 20)
        a, b = pair()
        with a, b, a.makefile("wb", 0, timeout=0.01) as raw:
            n = raw.write(data)
            self.assertTrue(0 < n < len(data))
            with self.assertRaises(TimeoutError):
                raw.write(data[n:])
            self.assertEqual(b.read_full(n), data[:n])
            with gomax.scope() as s:
                g = s.go(b.read_full, len(data))
                with a.makefile("wb", 10_000) as file:
                    file.write(data)
            self.assertEqual(g.join(), data)

    def test_http(self):
        def serve(conn):
            with conn, conn.makefile("rb") as requests:
                while line := requests.readline():
                    method, path, _ = line.split()
                    length = 0
                    while (header := requests.readline().strip()):
                        name, _, value = header.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    body = method + b" " + path + b" " + requests.read(length)
                    close = path == b"/last"
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n"
                    conn.writev([head % (len(body), b"Connection: close\r\n" if close else b""), body])
                    if close:
                        return

        class Connection(http.client.HTTPConnection):
            def connect(self):
                self.sock = net.dial("tcp", self.host, self.port, timeout=LIMIT)

        listener, accepts = server(serve=serve)
        client = Connection("127.0.0.1", listener.getsockname()[1])
        for method, path, body in (("GET", "/", None), ("POST", "/form", b"x" * 100_000), ("GET", "/last", None)):
            client.request(method, path, body)
            with client.getresponse() as response:
                self.assertEqual(response.read(), f"{method} {path} ".encode() + (body or b""))
        client.close()
        listener.close()
        accepts.join()


class Copies(unittest.TestCase):
    def everywhere(self, check):
        check()
        gomax.go(check).join()

    def test_file_to_connection(self):
        data = os.urandom(2_000_000)

        def check():
            a, b = pair()
            with tempfile.TemporaryFile() as file, a, b:
                file.write(data)
                file.seek(5)
                with net.Conn(file.fileno(), borrow=True) as source:
                    g = gomax.go(b.read_full, 100)
                    self.assertEqual(net.copy(source, a, 100), 100)
                    self.assertEqual(g.join(), data[5:105])
                    g = gomax.go(b.read_full, len(data) - 105)
                    self.assertEqual(net.copy(source, a), len(data) - 105)
                    self.assertEqual(g.join(), data[105:])
                    self.assertEqual((net.copy(source, a), net.copy(source, a, 0)), (0, 0))

        self.everywhere(check)

    def test_connection_to_connection(self):
        data = os.urandom(2_000_000)

        def check():
            (a, b), (c, d) = pair(), pair()

            def send():
                with a:
                    a.write(data)

            with b, c, d, gomax.scope() as s:
                s.go(send)
                got = s.go(d.read_full, len(data))
                self.assertEqual(net.copy(b, c), len(data))
            self.assertEqual(got.join(), data)

        self.everywhere(check)

    def test_ends(self):
        def check():
            (a, b), (c, d) = pair(), pair()
            with tempfile.TemporaryFile() as file:
                file.truncate(1 << 24)
                with net.Conn(file.fileno(), borrow=True) as source:
                    with self.assertRaises(TimeoutError) as raised:
                        net.copy(source, a, timeout=0.01)
                    n = raised.exception.characters_written
                    self.assertTrue(0 < n < 1 << 24)
                    self.assertEqual((os.lseek(file.fileno(), 0, os.SEEK_CUR), len(b.read_full(n))), (n, n))
                    b.close()
                    with self.assertRaises(BrokenPipeError) as raised:
                        net.copy(source, a)
                    self.assertEqual(raised.exception.characters_written, 0)
            with gomax.move_on_after(0.01) as s:
                net.copy(c, d)
            self.assertTrue(s.timed_out)
            g = gomax.go(net.copy, c, d)
            reading(c)
            c.close()
            with self.assertRaises(net.ClosedError):
                g.join()
            with self.assertRaises(net.ClosedError):
                net.copy(d, c)
            for wrong in (-1, 1.5, "all"):
                with self.assertRaises((TypeError, ValueError)):
                    net.copy(d, a, wrong)
            a.close()
            d.close()

        self.everywhere(check)


@unittest.skipUnless(shutil.which("openssl"), "no openssl, which makes a certificate")
class Tls(unittest.TestCase):
    """What docs/python.md says of ssl: a socket of it that does not wait, and wait_fd."""

    @staticmethod
    def waits(sock, call, *arguments):
        while True:
            try:
                return call(*arguments)
            except ssl.SSLWantReadError:
                net.wait_fd(sock, select.POLLIN, LIMIT)
            except ssl.SSLWantWriteError:
                net.wait_fd(sock, select.POLLOUT, LIMIT)

    def wrapped(self, conn, context, **more):
        sock = context.wrap_socket(socket.socket(fileno=conn.detach()), do_handshake_on_connect=False, **more)
        sock.setblocking(False)
        self.waits(sock, sock.do_handshake)
        return sock

    def test_echo(self):
        def serve(conn):
            with self.wrapped(conn, for_servers, server_side=True) as sock:
                while data := self.waits(sock, sock.recv, 65536):
                    while data:
                        data = data[self.waits(sock, sock.send, data) :]

        with tempfile.TemporaryDirectory() as directory:
            key, certificate = os.path.join(directory, "key"), os.path.join(directory, "certificate")
            command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext".split()
            files = ["subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
            subprocess.run(command + files, check=True, capture_output=True)
            for_servers = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            for_servers.load_cert_chain(certificate, key)
            for_clients = ssl.create_default_context(cafile=certificate)
        listener, accepts = server(serve=serve)
        data = os.urandom(300_000)

        def client():
            conn = net.dial("tcp", *listener.getsockname())
            with self.wrapped(conn, for_clients, server_hostname="localhost") as sock:
                sent, got = 0, bytearray()
                while len(got) < len(data):
                    if sent < len(data):
                        sent += self.waits(sock, sock.send, data[sent : sent + 10_000])
                    got += self.waits(sock, sock.recv, 65536)
                return bytes(got) == data

        with gomax.scope() as s:
            clients = [s.go(client) for _ in range(5)]
        self.assertEqual([g.join() for g in clients], [True] * 5)
        sock = self.wrapped(net.dial("tcp", *listener.getsockname()), for_clients, server_hostname="localhost")
        with gomax.move_on_after(0.01) as s:
            self.waits(sock, sock.recv, 1)
        self.assertTrue(s.timed_out)
        sock.close()
        listener.close()
        accepts.join()


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
