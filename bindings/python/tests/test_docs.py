"""The programs of docs/python.md and README.md: each fence marked ```python gomax is one, and runs by itself."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")


class Documents(unittest.TestCase):
    def test_programs(self):
        programs = []
        for document in ("README.md", os.path.join("docs", "python.md")):
            with open(os.path.join(ROOT, document)) as f:
                programs += re.findall(r"^```python gomax\n(.*?)^```", f.read(), re.M | re.S)
        self.assertGreater(len(programs), 5)
        for program in programs:
            with self.subTest(program=program), tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, "program.py")
                with open(path, "w") as f:
                    f.write(program)
                done = subprocess.run(
                    [sys.executable, path],
                    cwd=directory,
                    timeout=120,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                self.assertEqual(done.returncode, 0, done.stdout.decode())
                said = re.findall(r"#\s*prints:? (.*)", program)
                if said:
                    self.assertEqual(done.stdout.decode().splitlines(), said)


if __name__ == "__main__":
    unittest.main()
