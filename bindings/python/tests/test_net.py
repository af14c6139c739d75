"""Connections, for goroutines and threads: reading and writing, and what ends a wait."""

import errno
import mmap
import os
import pickle
import select
import socket
import sys
import tempfile
import threading
import time
import unittest

import gomax
from gomax import net
from nets import fill, pair, reading, server
from programs import run

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


if __name__ == "__main__":
    unittest.main()
