"""Runs programs in interpreters of their own: what ends, forks or interrupts one. And compiles C code for tests."""

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import textwrap
import time

LIMIT = 300
INCLUDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "include")


def run(text, expect=0):
    """Runs a program; it must end with this status and say nothing on stderr. Returns what it wrote to stdout."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(text)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=LIMIT,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    assert done.returncode == expect and not done.stderr, (done.returncode, done.stdout, done.stderr.decode())
    return done.stdout.decode()


def until_idle(worker):
    """A goroutine can be joined a moment before its worker has let go of it: longer where there is no GIL."""
    from gomax import _goroutines

    while worker not in _goroutines.pool.idle:
        time.sleep(0.0001)


@contextlib.contextmanager
def c_library(source):
    """A library made of C code that uses gomax.h and the libgomax of this process. It is never unloaded."""
    import gomax

    with tempfile.TemporaryDirectory() as directory:
        path, lib = os.path.join(directory, "code.c"), os.path.join(directory, "code.so")
        with open(path, "w") as f:
            f.write("#include <gomax.h>\n" + source)
        subprocess.run(["cc", "-Wall", "-Werror", "-I", INCLUDE, "-shared", "-fPIC", "-o", lib, path], check=True)
        ctypes.CDLL(gomax.LIBRARY, ctypes.RTLD_GLOBAL)
        yield ctypes.CDLL(lib)
