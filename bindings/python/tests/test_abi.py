"""What the wheel believes about the interface is what the header says and the compiler makes of it."""

import ctypes
import os
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
        for name in ("gmx_chan_try_send", "gmx_spawn_with", "gmx_cancel_now"):
            self.assertIn(name, header.quick)
        for name in ("gmx_select", "gmx_exit_syscall", "gmx_detach_thread", "gmx_unpin", "gmx_for_each_p"):
            self.assertNotIn(name, header.quick)


class Types(unittest.TestCase):
    def test_strict(self):
        mypy = shutil.which(os.environ.get("GMX_MYPY", "mypy"))
        if not mypy:
            self.skipTest("no mypy")
        package = os.path.dirname(_abi.__file__)
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(
                [mypy, "--strict", "--python-version", "3.10", "--cache-dir", directory, package],
                check=True,
                cwd=directory,
                stdout=subprocess.PIPE,
            )


if __name__ == "__main__":
    unittest.main()
