"""Holds the wrong calls of tests/wrong.zig to their ends: `wrong.py checked|unchecked PROGRAM`. `N passed, N failed` is its last
line."""

import subprocess
import sys

ABORTED = -6
LIMIT = 60  # seconds for one call


def main():
    mode, program = sys.argv[1:]
    names = subprocess.run([program], capture_output=True, text=True, check=True, timeout=LIMIT).stdout.splitlines()
    assert len(names) > 30, names
    failed = 0
    for name in names:
        call = name.removeprefix("always ").split()[0].rstrip(",")
        dies = mode == "checked" or name.startswith("always ")
        try:
            ran = subprocess.run([program, name], capture_output=True, text=True, errors="replace", timeout=LIMIT)
            status, said = ran.returncode, ran.stderr
        except subprocess.TimeoutExpired as e:
            status, said = "none: it hangs", str(e.stderr)
        if status == (ABORTED if dies else 0) and (f"gomax: {call}" in said) == dies:
            continue
        failed += 1
        print(f"FAILED: {name}: status {status}, and it says:\n{said[-2000:]}")
    print(f"{len(names) - failed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
