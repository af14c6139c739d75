"""Connections as files and as sockets of others: io, http.client, ssl, and copies by the system."""

import http.client
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

import gomax
from gomax import net
from nets import pair, reading, server

LIMIT = 600  # seconds that only a fault takes


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


if __name__ == "__main__":
    unittest.main()
