"""Runs programs in interpreters of their own: what ends, forks or interrupts one."""

import os
import subprocess
import sys
import textwrap

LIMIT = 300


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
