"""What the wheel believes about the interface is what the header says and the compiler makes of it."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from gomax import _abi

HERE = os.path.dirname(os.path.abspath(__file__))
INCLUDE = os.path.join(HERE, "..", "..", "..", "include")
sys.path.insert(0, os.path.join(HERE, "..", "backend"))

from gomax_abi import Header, module  # noqa: E402

with open(os.path.join(INCLUDE, "gomax.h")) as f:
    TEXT = f.read()


class Abi(unittest.TestCase):
    def test_made_from_this_header(self):
        with open(_abi.__file__) as f:
            self.assertEqual(f.read(), module(Header(TEXT)))

    def test_layouts(self):
        if not shutil.which("cc"):
            self.skipTest("no C compiler")
        expressions, expected = [], []
        for name, fields in Header(TEXT).structs.items():
            struct = getattr(_abi, name)
            expressions.append(f"sizeof(struct {name})")
            expected.append(ctypes.sizeof(struct))
            for field, _ in fields:
                expressions.append(f"offsetof(struct {name}, {field})")
                expected.append(getattr(struct, field).offset)
        prints = "".join(f'printf("%zu\\n", (size_t){e});' for e in expressions)
        with tempfile.TemporaryDirectory() as directory:
            source, program = os.path.join(directory, "a.c"), os.path.join(directory, "a")
            with open(source, "w") as f:
                f.write(f"#include <stdio.h>\n#include <gomax.h>\nint main(void) {{ {prints} return 0; }}\n")
            subprocess.run(["cc", "-I", INCLUDE, "-o", program, source], check=True)
            got = subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout.split()
        self.assertEqual(dict(zip(expressions, map(int, got))), dict(zip(expressions, expected)))

    def test_what_may_wait_is_called_without_the_gil(self):
        header = Header(TEXT)
        for name in ("gmx_chan_len", "gmx_spawn_with", "gmx_cancel_now"):
            self.assertIn(name, header.quick)
        # (One that failed may pass a safe point, and a stopped world may wait for a thread that wants the GIL.)
        for name in ("gmx_chan_try_send", "gmx_select", "gmx_exit_syscall", "gmx_detach_thread", "gmx_unpin", "gmx_for_each_p"):
            self.assertNotIn(name, header.quick)


class Types(unittest.TestCase):
    def test_strict(self):
        mypy = shutil.which(os.environ.get("GMX_MYPY", "mypy"))
        if not mypy:
            self.skipTest("no mypy")
        package = os.path.dirname(_abi.__file__)
        with tempfile.TemporaryDirectory() as directory:
            copy = shutil.copytree(package, os.path.join(directory, "gomax"))  # away from what is installed beside it
            subprocess.run(
                [mypy, "--strict", "--python-version", "3.10", "--cache-dir", directory, copy],
                check=True,
                cwd=directory,
                stdout=subprocess.PIPE,
            )

    def test_wrong_calls_are_refused(self):
        """What a program gets from the type checker, line by line."""
        mypy = shutil.which(os.environ.get("GMX_MYPY", "mypy"))
        if not mypy:
            self.skipTest("no mypy")
        program = """
import concurrent.futures
from typing import List, Optional
import gomax
from gomax import net
def f(a: int, b: str = "") -> float: return 1.0
g = gomax.go(f, 1, b="x")
x: float = g.join()
y: str = g.join()  # error
gomax.go(len, 3)  # error
gomax.go(f)  # error
gomax.go(f, "a")  # error
gomax.go(f, 1, 2)  # error
gomax.go(f, 1, c=2)  # error
gomax.go(3)  # error
gomax.go(lambda: 1).join() + 1
with gomax.scope() as s:
    z: float = s.go(f, 1).join()
    s.go(len, 3)  # error
    s.go(f, b=1)  # error
w: int = gomax.WaitGroup().go(len, "abc").join()
gomax.WaitGroup().go(len, 3)  # error
gomax.Once().do(f, 1, timeout=1)
gomax.Once().do(print, timeout=1)
gomax.Once().do(f, "a")  # error
gomax.Once().do(f)  # error
gomax.Channel("a")  # error
gomax.gomaxprocs("a")  # error
n: int = gomax.go(len, "a").result(timeout=1)
e: Optional[BaseException] = gomax.go(f, 1).exception()
gomax.go(f, 1).add_done_callback(lambda g: print(g.result() + 1.0))
gomax.go(f, 1).add_done_callback(lambda g: g.result() + "")  # error
while not gomax.go(f, 1).done:  # error
    pass
m: concurrent.futures.Future[float] = gomax.go(f, 1).future()
with gomax.Executor(4) as executor:
    o: concurrent.futures.Future[float] = executor.submit(f, 1, b="x")
    executor.submit(f, "a")  # error
    executor.submit(f)  # error
    p: List[float] = list(executor.map(f, [1, 2]))
executor_: concurrent.futures.Executor = gomax.Executor()
gomax.Executor("4")  # error
with gomax.move_on_after(1) as moved:
    q: bool = moved.timed_out
gomax.scope("soon")  # error
async def main() -> None:
    async with gomax.scope(timeout=5) as s, gomax.shield():
        r: float = await s.go(f, 1)
        await s.go(f, "a")  # error
    async with gomax.fail_after("soon"):  # error
        pass
    t: int = await gomax.Queue[int]().get_async()
jobs: gomax.Queue[int] = gomax.Queue(maxsize=2)
jobs.put(1, timeout=0.5)
jobs.put("a")  # error
u: str = jobs.get()  # error
taken: bool = gomax.Mutex().acquire(timeout=1)
taken = gomax.Semaphore(2).acquire(blocking=False)
gomax.Mutex().acquire(0.5)  # error
gomax.RWMutex().acquire_read(0.5)  # error
with gomax.Mutex() as mutex:
    v: bool = mutex.locked()
channel: gomax.Channel[int] = gomax.Channel(1)
channel.send_nowait(1)
channel.send_nowait("a")  # error
w2: int = channel.recv_nowait()
x2: gomax.Selected = gomax.select_nowait(channel, (channel, 1), None, gomax.after(1), gomax.Token())
gomax.select_nowait(5)  # error
with net.dial("tcp", "host", "http", timeout=5) as conn:
    data: bytes = conn.read(5, timeout=1)
    text: str = conn.read(5)  # error
    conn.read("5")  # error
    count: int = conn.writev([b"a", bytearray(1)])
    conn.accept()  # error
listener: net.Listener = net.listen_tcp(port=80, patient=True)
net.listen_tcp(80)  # error
for accepted in listener:
    accepted.shutdown(1)
async def reads(conn: net.Conn) -> bytes:
    conn.write_async(b"x") + 1  # error
    return await conn.read_async(5)
try:
    pass
except gomax.CanceledError as canceled:
    y2: Exception = canceled  # error
"""
        wanted = [n for n, line in enumerate(program.splitlines(), 1) if line.endswith("# error")]
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "program.py")
            with open(path, "w") as f:
                f.write(program)
            command = [mypy, "--strict-equality", "--check-untyped-defs", "--enable-error-code", "truthy-bool", "--python-version", "3.10", "--python-executable", sys.executable, "--cache-dir", directory, path]
            said = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE).stdout.decode()
        got = [int(n) for n in re.findall(r"^program\.py:(\d+): error", said, re.M)]
        self.assertEqual(sorted(set(got)), wanted, said)


class Library(unittest.TestCase):
    def start(self, library, *flags):
        """The library that is loaded where the environment names one, or what is said instead."""
        done = subprocess.run(
            [sys.executable, *flags, "-c", "import gomax; print(gomax.LIBRARY)"],
            env={**os.environ, "GOMAX_LIBRARY": library},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        return done.stdout.decode().strip() or done.stderr.decode().strip().splitlines()[-1]

    def test_from_the_environment(self):
        own = os.path.join(os.path.dirname(_abi.__file__), "libgomax.so.0")
        with tempfile.TemporaryDirectory() as directory:
            other = os.path.join(directory, "libgomax.so.0")
            shutil.copy(own, other)
            self.assertEqual(self.start(""), own)
            self.assertEqual(self.start(other), other)
            for flag in ("-I", "-E", "-EI"):
                self.assertEqual(self.start(other, flag), own)
                self.assertEqual(self.start("relative.so", flag), own)
            for relative in ("libgomax.so.0", "./libgomax.so.0", "dir/libgomax.so.0"):
                self.assertIn("absolute", self.start(relative))


if __name__ == "__main__":
    unittest.main()
