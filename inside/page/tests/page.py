"""Tests the live page of libgomax by its sockets: page.py SCENE GOMAXCTL [BROWSER].

SCENE is scene.c, a program to look at. Ends with `N passed, N failed`.
"""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time

SCENE, CTL = sys.argv[1:3]
BROWSER = sys.argv[3] if len(sys.argv) > 3 else None
WORK = tempfile.mkdtemp(prefix="gomax-page-")
LIMIT = 60 * float(os.environ.get("GMX_TIMEOUT_SCALE", "1"))
PS = 2


class Scene:
    """A running program. Its answers to lines of input are lines."""

    def __init__(self, address, *args, **env):
        env = {**os.environ, "GMX_MAXPROCS": str(PS), "XDG_RUNTIME_DIR": WORK, **env}
        self.process = subprocess.Popen([SCENE, address, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, text=True)
        self.status = self.url = None
        while (line := self.line()) != "ready":
            self.status, self.url = line.split(" ", 1)

    def line(self):
        line = self.process.stdout.readline()
        assert line, "the program has ended: " + self.process.stderr.read()
        return line.rstrip("\n")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.line()

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        self.process.stdin.close()
        self.errors = self.process.stderr.read()
        status = self.process.wait(LIMIT)
        self.process.stdout.close()
        self.process.stderr.close()
        assert kind or status in (0, -9), (status, self.errors)


def connect(url):
    if url.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(url[5:])  # a socket with a time limit would not wait for its place in the queue
        s.settimeout(LIMIT)
        return s
    host, port = url.split("/")[2].rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), timeout=LIMIT)


def say(s, text):
    """What comes back, to the end: status, head, body."""
    s.sendall(text if isinstance(text, bytes) else text.encode())
    return hear(s)


def hear(s):
    got = b""
    while part := s.recv(65536):
        got += part
    s.close()
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), got[:200]
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n"), head
    return int(head[9:12]), head.decode(), body


def token_of(url):
    return url.split("token=")[1] if "token=" in url else None


def get(url, path, **headers):
    """With the token of the place, if it has one."""
    if token := token_of(url):
        path += ("&" if "?" in path else "?") + "token=" + token
    lines = [f"GET {path} HTTP/1.1", "Host: " + headers.pop("Host", "localhost")]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return say(connect(url), "\r\n".join(lines) + "\r\n\r\n")


def state(url):
    status, head, body = get(url, "/debug/state.json")
    assert status == 200 and "Content-Type: application/json" in head, head
    return json.loads(body)


def eventually(true):
    """For what another process does by itself."""
    until = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.01)


def at(name):
    return "unix:" + os.path.join(WORK, name)


def test_no_socket_without_a_call():
    with Scene("-") as s:
        assert s.ask("sockets") == "sockets 0"
        assert s.ask("stop") == "GMX_EPERM -"


def test_the_socket_is_for_its_user():
    with Scene(at("mode.sock"), umask="0") as s:
        mode = os.stat(os.path.join(WORK, "mode.sock")).st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600, oct(mode)
        assert state(s.url)["pid"] == s.pid
    assert not os.path.exists(os.path.join(WORK, "mode.sock")), "it is left at the end"


def test_another_user_is_refused():
    if os.getuid() != 0:
        return
    with Scene(at("user.sock")) as s:
        os.chmod(WORK, 0o711)
        code = f"""if True:
            import os, socket
            os.setgid(65534); os.setuid(65534)
            try:
                socket.socket(socket.AF_UNIX).connect({s.url[5:]!r})
            except PermissionError:
                os._exit(7)"""
        assert subprocess.run([sys.executable, "-c", code]).returncode == 7
        # and if the mode lets it in: by what the connection says of its user
        os.chmod(s.url[5:], 0o666)
        code = f"""if True:
            import os, socket
            os.setgid(65534); os.setuid(65534)
            s = socket.socket(socket.AF_UNIX); s.connect({s.url[5:]!r})
            os._exit(7 if s.recv(100).startswith(b"HTTP/1.1 403") else 1)"""
        assert subprocess.run([sys.executable, "-c", code]).returncode == 7
        os.chmod(WORK, 0o700)


def test_what_lies_there_already():
    path = os.path.join(WORK, "there.sock")
    with Scene(at("there.sock")) as s:
        with Scene(at("there.sock")) as second:  # it is in use
            assert second.status == "EADDRINUSE", second.status
        assert s.ask("serve " + at("other.sock")) == "GMX_EBUSY -"
        try:
            s.ask("abort")
        except AssertionError:
            pass
    assert os.path.exists(path), "kill -9 leaves it"
    with Scene(at("there.sock")) as s:
        assert s.status == "GMX_OK" and state(s.url)["pid"] == s.pid
    with open(path, "w") as f:
        f.write("of value")
    with Scene(at("there.sock")) as s:
        assert s.status == "EEXIST", s.status
    assert open(path).read() == "of value"


def test_addresses():
    with Scene("-") as s:
        for wrong in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", "localhost:0", "127.0.0.1", "unix:relative", "x"):
            assert s.ask("serve " + wrong) == "GMX_EINVAL -", wrong
        assert s.ask("narrow 127.0.0.1:0") == "GMX_EINVAL -"
        assert s.ask("sockets") == "sockets 0", "what is refused leaves nothing"
        assert s.ask("serve " + at("no/such/dir.sock")) == "ENOENT -"
        assert s.ask("serve " + at("x" * 200)) == "ENAMETOOLONG -"
        for good in ("127.0.0.1:0", "[::1]:0", "127.0.0.1:0"):
            status, url = s.ask("serve " + good).split()
            if status != "GMX_OK":
                assert good == "[::1]:0" and status == "EADDRNOTAVAIL", status
                continue
            assert state(url)["pid"] == s.pid and len(token_of(url)) == 32
            assert s.ask("stop") == "GMX_OK -"
            try:
                connect(url)
                raise AssertionError("it is still served")
            except ConnectionRefusedError:
                pass
        status, url = s.ask("anywhere 0.0.0.0:0").split()
        assert status == "GMX_OK" and get(url, "/", Host="example.com")[0] == 200
        assert say(connect(url), "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")[0] == 401
        assert s.ask("stop") == "GMX_OK -"


def test_wrong_requests():
    with Scene("127.0.0.1:0") as s:
        url = s.url
        assert get(url, "/")[0] == 200
        bearer = f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token_of(url)}\r\n\r\n"
        assert say(connect(url), bearer)[0] == 200
        assert say(connect(url), "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")[0] == 401
        for path in ("/debug/state.json", "/metrics", "/debug/pprof/trace", "/nothing"):
            assert say(connect(url), f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")[0] == 401, path
        assert get(url, "/", Host="rebound.example.com")[0] == 403
        assert get(url, "/", Origin="http://127.0.0.1")[0] == 403
        for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
            status, head, _ = say(connect(url), f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status == 405 and "Allow: GET" in head, method
        assert say(connect(url), "nonsense\r\n\r\n")[0] == 400
        for length in (64 << 10, 1 << 20):
            assert say(connect(url), b"GET / HTTP/1.1\r\nX: ".ljust(length, b"x"))[0] == 431, length
        assert get(url, "/nothing")[0] == 404
        assert get(url, "/debug/pprof/trace?seconds=0")[0] == 400
        assert get(url, "/debug/pprof/trace?format=zip")[0] == 400
        assert get(url, "/debug/pprof/goroutine")[0] == 501
        assert get(url, "/debug/flight")[0] == 409
        assert state(url)["pid"] == s.pid


def test_idle_connections_keep_none_from_an_answer():
    with Scene(at("idle.sock")) as s:
        idle = []
        for _ in range(1000):
            c = connect(s.url)
            c.sendall(b"GET / HTTP")
            idle.append(c)
        assert state(s.url)["pid"] == s.pid
        for c in idle:
            c.close()


def test_a_request_in_pieces():
    with Scene(at("pieces.sock")) as s:
        c = connect(s.url)
        for byte in b"GET /debug/state.json HTTP/1.1\r\nHost: x\r\n\r":
            c.sendall(bytes([byte]))
        assert say(c, "\n")[0] == 200


def test_a_child_of_fork_serves_nothing():
    with Scene(at("parent.sock")) as s:
        assert s.ask("fork " + at("child.sock")) == "child 0"
        assert state(s.url)["pid"] == s.pid
    assert os.listdir(WORK) == [f for f in os.listdir(WORK) if not f.endswith("child.sock")]


def test_the_state():
    with Scene(at("state.sock")) as s:
        eventually(lambda: state(s.url)["goroutines"]["waiting"] == 22)
        now = state(s.url)
        assert [p["id"] for p in now["ps"]] == list(range(PS)) and now["procs"] == PS
        assert now["goroutines"]["all"] == 22 and now["gs_left_out"] == 0
        alpha, = [g for g in now["gs"] if g["name"] == "alpha"]
        assert (alpha["function"], alpha["state"], alpha["reason"]) == ("waits", "waiting", "chan receive"), alpha
        assert now["waits"][0]["reason"] == "chan receive" and now["waits"][0]["count"] == 22
        tids = {int(t) for t in os.listdir(f"/proc/{s.pid}/task")}
        assert now["ms"] and {m["tid"] for m in now["ms"]} <= tids
        few = json.loads(get(s.url, "/debug/state.json?gs=3")[2])
        assert few["gs_left_out"] == 19 and len(few["gs"]) == 3 and few["goroutines"]["all"] == 22
        status, head, body = get(s.url, "/metrics")
        assert status == 200 and "application/openmetrics-text" in head and body.endswith(b"# EOF\n")
        assert b'gomax_goroutines{state="waiting"} 22\n' in body
        assert s.ask("down") == "GMX_OK -"
        assert get(s.url, "/debug/state.json")[0] == 503
        assert b"not up" in get(s.url, "/")[2]


def hogged(*how):
    with Scene(at("hogs.sock"), "3", *how) as s:
        eventually(lambda: len(state(s.url)["hogs"]) >= (PS if how else 3))
        begun = time.monotonic()
        page = get(s.url, "/")[2].decode()
        assert page.count("running for ") >= PS and "alpha" in page
        now = state(s.url)
        assert {h["name"] for h in now["hogs"]} == {"hog"}, now["hogs"]
        assert len(now["ps"]) == PS and any(p["status"] == "running" for p in now["ps"]), now["ps"]
        longest = max(h["running_ns"] for h in now["hogs"])
        eventually(lambda: max(h["running_ns"] for h in state(s.url)["hogs"]) > longest)
        status, _, body = get(s.url, "/debug/pprof/goroutine?debug=2")
        assert status == 200 and b"alpha" in body
        assert time.monotonic() - begun < LIMIT


def test_all_ps_are_hogged():
    hogged()


def test_all_ps_are_hogged_and_none_can_be_taken():
    hogged("nopreempt")


def test_stacks():
    with Scene(at("stacks.sock")) as s:
        # The scene is ready when its goroutines are made: they may wait a moment later.
        def stacks(form):
            status, _, body = get(s.url, "/debug/pprof/goroutine?" + form)
            assert status == 200, body
            return body

        eventually(lambda: any(g["name"] == "alpha" and g["reason"] == "chan receive" for g in json.loads(stacks("format=json"))))
        assert b'"alpha" [chan receive]:' in stacks("debug=2")
        assert b"[chan receive], the longest is goroutine" in stacks("debug=1")


def test_traces():
    with Scene(at("trace.sock"), "1") as s:
        first = connect(s.url)
        first.sendall(b"GET /debug/pprof/trace?seconds=2&format=go HTTP/1.1\r\n\r\n")
        eventually(lambda: state(s.url)["traced"])
        assert get(s.url, "/debug/pprof/trace?seconds=1")[0] == 429
        assert get(s.url, "/debug/pprof/goroutine?debug=2")[0] == 200, "stacks come meanwhile"
        status, head, body = hear(first)
        assert status == 200 and body.startswith(b"go 1.23 trace\0\0\0"), body[:300]
        open(os.path.join(WORK, "first.trace"), "wb").write(body)
        assert not state(s.url)["traced"]
        for form, begin in (("go1.26", b"go 1.26 trace"), ("perfetto", b"\n"), ("json", b"{"), ("gomax", b"")):
            status, head, body = get(s.url, f"/debug/pprof/trace?seconds=1&format={form}")
            assert status == 200 and body.startswith(begin) and len(body) > 100, (form, body[:300])
        assert "attachment" in head


def test_the_end_does_not_wait_for_a_trace():
    with Scene(at("end.sock")) as s:
        c = connect(s.url)
        c.sendall(b"GET /debug/pprof/trace?seconds=300 HTTP/1.1\r\n\r\n")
        eventually(lambda: state(s.url)["traced"])
        begun = time.monotonic()
        assert s.ask("stop") == "GMX_OK -"
        said = c.recv(100)
        assert said == b"", said
        assert time.monotonic() - begun < LIMIT


def test_what_a_running_program_has_recorded():
    trace = os.path.join(WORK, "own.gmxtrace")
    with Scene(at("flight.sock"), "1", GMXDEBUG="trace=" + trace) as s:
        assert get(s.url, "/debug/flight?format=go")[2].startswith(b"go 1.23 trace")
        status, _, body = get(s.url, "/debug/pprof/trace?seconds=1")
        assert status == 200 and body.startswith(b"go 1.23 trace"), body[:300]
        assert state(s.url)["traced"], "the program records still"


def test_the_setting():
    with Scene("-", GMXDEBUG="http=unix") as s:
        path = os.path.join(WORK, "gomax", f"{s.pid}.sock")
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        assert state("unix:" + path)["pid"] == s.pid
    assert s.errors == f"libgomax: the live page is at unix:{path}\n", s.errors
    with Scene("-", GMXDEBUG="http=127.0.0.1:0") as s:
        pass
    assert "http://127.0.0.1:" in s.errors and "token=" in s.errors, s.errors
    with Scene("-", GMXDEBUG="http=example.com:80") as s:
        assert s.ask("sockets") == "sockets 0"
    assert s.errors == "libgomax: no live page at example.com:80: errno 22\n", s.errors


def ctl(*args, **more):
    env = {**os.environ, "XDG_RUNTIME_DIR": WORK}
    env.pop("LD_LIBRARY_PATH", None)
    return subprocess.run([CTL, *args], env=env, capture_output=True, timeout=LIMIT, **more)


def test_the_command():
    with Scene("unix", "1") as s:
        pid = str(s.pid)
        assert ctl("list").stdout.decode() == f"{pid} scene\n"
        for of in (pid, os.path.join(WORK, "gomax", pid + ".sock")):
            top = ctl(of, "top")
            assert top.returncode == 0 and b"alpha" in top.stdout and b"\x1b" not in top.stdout, top
        assert json.loads(ctl(pid, "state").stdout)["pid"] == s.pid
        assert ctl(pid, "metrics").stdout.endswith(b"# EOF\n")
        stacks = ctl(pid, "stacks")
        assert stacks.returncode == 0 and b"alpha" in stacks.stdout, stacks
        assert ctl(pid, "trace", "1").stdout.startswith(b"go 1.23 trace")
        out = os.path.join(WORK, "ctl.pftrace")
        assert ctl(pid, "trace", "1", "--format", "perfetto", "--output", out).returncode == 0
        assert os.path.getsize(out) > 100
        refused = ctl(pid, "flight")
        assert refused.returncode == 1 and b"nothing is recorded" in refused.stderr, refused
    gone = ctl(pid, "top")
    assert gone.returncode == 2 and gone.stderr.startswith(b"gomaxctl: "), gone
    for wrong in ((), (pid,), (pid, "nothing"), (pid, "trace", "x"), ("--nothing",)):
        assert ctl(*wrong).returncode == 2, wrong


def shown(url):
    """The page as it is after its scripts have run, and what the browser has asked for."""
    log = os.path.join(WORK, "net.json")
    run = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000",
                          "--user-data-dir=" + os.path.join(WORK, "browser"), "--log-net-log=" + log,
                          "--dump-dom", url], capture_output=True, text=True, timeout=4 * LIMIT)
    return run.stdout, open(log).read()


def has_all(page):
    ps = page.split('<table id="ps">')[1].split("</table>")[0]
    assert [f"<td>P{n}</td>" in ps for n in range(PS + 1)] == [True] * PS + [False], ps
    assert "<td>alpha</td>" in page and "<script>beta" not in page and "&lt;script&gt;beta" in page


def test_without_scripts():
    with Scene("127.0.0.1:0") as s:
        status, head, body = get(s.url, "/")
        page = body.decode()
        has_all(page)
        assert "default-src 'self';" in head and '<noscript><meta http-equiv="refresh"' in page
        nonce, = set(re.findall("'nonce-([0-9a-f]{32})'", head))
        assert set(re.findall("<(?:script|style)[^>]*>", page)) == {f'<script nonce="{nonce}">', f'<style nonce="{nonce}">'}
        assert not re.search(nonce, get(s.url, "/")[1]), "each page has another mark"
        for link in re.findall('(?:href|src)="([^"]*)"', page):
            assert link == "data:," or link.startswith("/"), link


def test_in_a_browser():
    with Scene("127.0.0.1:0") as s:
        dom, log = shown(s.url)
        has_all(dom)
        assert 'id="live" hidden' not in dom, "the script has run"
        own = s.url.split("/?")[0]
        asked = {u for u in log.split('"') if re.match("(https?|wss?|ftp)://[^/ ]+/", u)}
        # what the browser asks its maker for by itself
        others = [u for u in asked if not u.startswith(own) and not re.search("//[^/]*(google|gvt1)", u)]
        assert any(u.startswith(own) for u in asked) and not others, others


def main():
    failed = passed = 0
    only = os.environ.get("ONLY", "")
    for name, test in list(globals().items()):
        if not name.startswith("test_") or only not in name:
            continue
        if name == "test_in_a_browser" and not BROWSER:
            print("left out: there is no browser (chromium)")
            continue
        try:
            begun = time.monotonic()
            test()
            passed += 1
            if "-v" in os.environ.get("GMX_PAGE", ""):
                print(f"{name} {time.monotonic() - begun:.1f} s")
        except Exception:
            import traceback
            failed += 1
            print(f"FAILED: {name}")
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
