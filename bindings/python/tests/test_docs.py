"""The programs of docs/python.md and README.md: each fence marked ```python gomax is one, and runs by itself. The one of
docs/start.md. And what docs/python.md says of functions that the package does not use."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import gomax
import gomax.net

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
                    env={**os.environ, "GOMAX_INCLUDE": os.path.abspath(os.path.join(ROOT, "include"))},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                self.assertEqual(done.returncode, 0, done.stdout.decode())
                said = re.findall(r"#\s*prints:? (.*)", program)
                if said:
                    self.assertEqual(done.stdout.decode().splitlines(), said)

    def test_start(self):
        with open(os.path.join(ROOT, "docs", "start.md")) as f:
            (program,) = re.findall(r"^```python gomax\n(.*?)^```", f.read(), re.M | re.S)
        command = [sys.executable, os.path.join(ROOT, "ci", "start.py"), sys.executable, "-c", program]
        done = subprocess.run(command, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout.decode())


class Interface(unittest.TestCase):
    def test_everything_public_is_documented(self):
        missing = []
        for module, name in [(module, name) for module in (gomax, gomax.net) for name in module.__all__]:
            found = getattr(module, name)
            if not callable(found) or name == "gmx":
                continue
            if not found.__doc__ or found.__doc__.startswith(name + "("):  # (what a NamedTuple has of itself)
                missing.append(name)
            if not isinstance(found, type):
                continue
            for attribute in dir(found):
                value = getattr(found, attribute)
                ours = getattr(value, "__module__", None) or getattr(getattr(value, "fget", None), "__module__", "")
                if not attribute.startswith("_") and str(ours).startswith("gomax") and not value.__doc__:
                    missing.append(f"{name}.{attribute}")
        self.assertEqual(missing, [])

    def test_each_function_is_used_or_left_out_for_a_reason(self):
        used = set()
        for name in os.listdir(gomax.__path__[0]):
            if name.endswith(".py") and name != "_abi.py":
                with open(os.path.join(gomax.__path__[0], name)) as f:
                    used.update(re.findall(r"\bgmx\.(gmx_\w+)", f.read()))
        with open(os.path.join(ROOT, "docs", "python.md")) as f:
            table = f.read().split("## What has no wrapper")[1].split("\n## ")[0]
        left_out = []
        for names, why in re.findall(r"^\| (`gmx_.*?) \| (.*) \|$", table, re.M):
            left_out += re.findall(r"`(gmx_\w+)`", names)
            self.assertGreater(len(why), 10, names)
        self.assertEqual(len(left_out), len(set(left_out)))
        self.assertEqual(sorted(used & set(left_out)), [], "used after all")
        self.assertEqual(sorted(used | set(left_out)), sorted(name for name in vars(gomax.gmx)))


if __name__ == "__main__":
    unittest.main()
