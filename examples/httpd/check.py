#!/usr/bin/env python3
"""Tests httpd as its clients see it:  check.py PROGRAM

Ends with `N passed, N failed`.
"""
import contextlib
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

PROGRAM = sys.argv[1]
PS = "2"
rng = random.Random(int(os.environ.get("GMX_SEED", "1")))


@contextlib.contextmanager
def server(root, *options):
    with subprocess.Popen([PROGRAM, root, "--ps", PS, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("port "), "the server has not begun"
            process.port = int(line.split()[1])
            yield process
        finally:
            process.kill()


def connect(s):
    conn = socket.create_connection(("127.0.0.1", s.port), timeout=60)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return conn


def get(s, path, method="GET", **headers):
    conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    conn.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = conn.getresponse()
    body = answer.read()
    conn.close()
    return answer, body


def read_all(conn):
    data = b""
    while True:
        part = conn.recv(65536)
        if not part:
            return data
        data += part


def raw(s, data):
    """What comes back until the server closes."""
    with connect(s) as conn:
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        return read_all(conn)


def statuses(data):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", data)]


def request(path="/", *lines, version="1.1"):
    return f"GET {path} HTTP/{version}\r\nHost: here\r\n{''.join(line + chr(13) + chr(10) for line in lines)}\r\n".encode()


class Files:
    """A folder with files of all sizes."""

    def __init__(self, root):
        self.root, self.of = root, {}
        for size in [0, 1, 100, 4096, 65537, 3 << 20]:
            self.write(f"f{size}.txt", rng.randbytes(size))
        os.mkdir(os.path.join(root, "deep"))
        self.write("deep/index.html", b"<p>deep</p>")
        self.write("with space.html", b"a b")
        self.write(".hidden", b"secret")
        with open(os.path.join(os.path.dirname(root), "outside"), "wb") as file:
            file.write(b"outside")

    def write(self, name, data):
        with open(os.path.join(self.root, name), "wb") as file:
            file.write(data)
        self.of[name] = data


def files_are_whole(s, files):
    for name, data in files.of.items():
        if name.startswith("."):
            continue
        path = "/" + name.replace(" ", "%20")
        answer, body = get(s, path)
        assert (answer.status, body) == (200, data), name
        assert answer.headers["Content-Length"] == str(len(data))
        head, nothing = get(s, path, "HEAD")
        assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(data))), name
    answer, body = get(s, "/deep/?query")
    assert (body, answer.headers["Content-Type"]) == (b"<p>deep</p>", "text/html; charset=utf-8")
    assert get(s, "/with%20space.html")[1] == b"a b"


def parts_of_files(s, files):
    data = files.of["f65537.txt"]
    n = len(data)
    for want, first, last in [("0-0", 0, 0), ("5-9", 5, 9), ("65536-", n - 1, n - 1), ("-10", n - 10, n - 1), (f"-{2 * n}", 0, n - 1),
                              (f"100-{2 * n}", 100, n - 1)]:
        answer, body = get(s, "/f65537.txt", Range="bytes=" + want)
        assert (answer.status, body) == (206, data[first:last + 1]), want
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{n}", want
    for want in [f"{n}-", "-0"]:
        answer, _ = get(s, "/f65537.txt", Range="bytes=" + want)
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{n}"), want
    for want in ["bytes=1-0", "bytes=0-1,3-4", "lines=1-2", "bytes=x-y", "bytes=99999999999999999999-"]:
        answer, body = get(s, "/f65537.txt", Range=want)
        assert (answer.status, body) == (200, data), want
    etag = get(s, "/f65537.txt")[0].headers["ETag"]
    assert get(s, "/f65537.txt", Range="bytes=0-0", If_Range=etag)[0].status == 206
    assert get(s, "/f65537.txt", Range="bytes=0-0", If_Range='"other"')[0].status == 200


def unchanged_files(s, files):
    del files
    answer, _ = get(s, "/f100.txt")
    etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
    for headers in [{"If_None_Match": etag}, {"If_None_Match": f'"x", {etag}'}, {"If_None_Match": "*"}, {"If_Modified_Since": modified}]:
        answer, body = get(s, "/f100.txt", **headers)
        assert (answer.status, body) == (304, b""), headers
    assert get(s, "/f100.txt", If_None_Match='"other"', If_Modified_Since=modified)[0].status == 200
    assert get(s, "/f100.txt", If_Modified_Since="Thu, 01 Jan 1970 00:00:01 GMT")[0].status == 200


def wrong_requests(s, files):
    del files
    for path, status in [("/none", 404), ("/../outside", 400), ("/%2e%2e/outside", 400), ("/deep/../../outside", 400), ("/.hidden", 400),
                         ("/%00", 400), ("/%zz", 400), ("/%4", 400), ("/deep/..%2f..%2foutside", 400), ("/f1.txt/x", 404)]:
        answer = raw(s, request(path, "Connection: close"))
        assert statuses(answer) == [status], (path, answer)
    assert get(s, "/f1.txt", "DELETE")[0].status == 405
    for data, status in [(b"GET / HTTP/2.0\r\n\r\n", 505), (b"GET /\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (b" \r\n\r\n", 400),
                         (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
                         (b"GET / HTTP/1.1\r\nHost: a\r\n continued\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", 400),
                         (request("/", "Content-Length: 1", "Content-Length: 2"), 400), (request("/", "Content-Length: -1"), 400),
                         (request("/", "Content-Length: 99999999"), 413), (request("/", "Transfer-Encoding: chunked"), 501),
                         (request("/", "Transfer-Encoding: chunked", "Content-Length: 3"), 400), (request("/", "X: " + "x" * 9000), 431)]:
        answer = raw(s, data)
        assert statuses(answer) == [status], (data[:60], answer[:60])


def many_on_one_connection(s, files):
    data = files.of["f100.txt"]
    with connect(s) as conn:
        one = request("/f100.txt")
        conn.sendall(b"".join([one] * 50) + request("/f100.txt", "Content-Length: 5") + b"12345" + b"\r\n" + request("/f1.txt", "Connection: close"))
        answer = read_all(conn)
    assert statuses(answer) == [200] * 52, statuses(answer)
    assert answer.count(data) == 51
    old = raw(s, request("/f1.txt", version="1.0") * 2)
    assert statuses(old) == [200], old
    kept = raw(s, request("/f1.txt", "Connection: Keep-Alive", version="1.0") * 2)
    assert statuses(kept) == [200, 200], kept


def byte_by_byte(s, files):
    with connect(s) as conn:
        for byte in request("/f1.txt", "Connection: close"):
            conn.sendall(bytes([byte]))
        assert read_all(conn).endswith(files.of["f1.txt"])


def clients_that_leave(s, files):
    for _ in range(20):
        with connect(s) as conn:  # a large answer that the client does not read
            conn.sendall(request("/f3145728.txt"))
            conn.recv(rng.randrange(1, 4096))
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert get(s, "/f1.txt")[1] == files.of["f1.txt"]


def slow_clients(s, files):
    """They are told so, or closed, and hold nothing up."""
    conns = [connect(s) for _ in range(200)]
    for i, conn in enumerate(conns):
        conn.sendall(request("/f1.txt")[:1 + i % 20])
    assert get(s, "/f100.txt")[1] == files.of["f100.txt"]
    for conn in conns:
        assert statuses(read_all(conn)) == [408]
        conn.close()
    with connect(s) as conn:
        assert read_all(conn) == b"", "an idle connection ends without an answer"


def many_idle_connections(s, files):
    conns = [connect(s) for _ in range(800)]
    for conn in conns:
        conn.sendall(request("/f1.txt"))
    for conn in conns:
        assert statuses(conn.recv(4096)) == [200]
    threads = len(os.listdir(f"/proc/{s.pid}/task"))
    assert threads < 40, f"{threads} threads"
    assert get(s, "/f100.txt")[1] == files.of["f100.txt"]
    for conn in conns:
        conn.close()


def at_most_so_many(s, files):
    """With room for 10, others wait for their turn."""
    conns = [connect(s) for _ in range(30)]
    for conn in conns:
        conn.sendall(request("/f1.txt", "Connection: close"))
    for conn in conns:
        assert read_all(conn).endswith(files.of["f1.txt"])
        conn.close()


def nothing_is_lost_at_the_end(s, files):
    idle, half, large = connect(s), [connect(s) for _ in range(50)], connect(s)
    idle.sendall(request("/f1.txt"))
    assert statuses(idle.recv(4096)) == [200]
    for i, conn in enumerate(half):
        conn.sendall(request("/f100.txt")[:10 + i % 10])
    large.sendall(request("/f3145728.txt"))
    part = large.recv(1000)
    s.send_signal(signal.SIGSTOP)
    late = [connect(s) for _ in range(20)]  # the system has taken them, the server has not
    for conn in late:
        conn.sendall(request("/f100.txt"))
    s.send_signal(signal.SIGTERM)
    s.send_signal(signal.SIGCONT)
    assert read_all(idle) == b""
    for i, conn in enumerate(half):
        conn.sendall(request("/f100.txt")[10 + i % 10:])
    for conn in half + late:
        answer = read_all(conn)
        assert statuses(answer) == [200] and answer.endswith(files.of["f100.txt"]), answer
        assert b"Connection: close" in answer or conn in late, answer
    assert (part + read_all(large)).endswith(files.of["f3145728.txt"])
    for conn in [idle, large] + half + late:
        conn.close()
    assert s.wait(timeout=60) == 0


TESTS = [(files_are_whole, []), (parts_of_files, []), (unchanged_files, []), (wrong_requests, []), (many_on_one_connection, []), (byte_by_byte, []),
         (clients_that_leave, []), (slow_clients, ["--head-ms", "300", "--idle-ms", "300"]), (many_idle_connections, []),
         (at_most_so_many, ["--connections", "10"]), (nothing_is_lost_at_the_end, [])]


def main():
    passed = failed = 0
    for test, options in TESTS:
        name = test.__name__.replace("_", " ")
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            root = os.path.join(work, "root")
            os.mkdir(root)
            files = Files(root)
            try:
                with server(root, *options) as s:
                    test(s, files)
                passed += 1
                print(f"ok      {time.monotonic() - begin:6.1f} s  {name}", flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
