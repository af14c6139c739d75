#!/usr/bin/env python3
"""Each call of the modules after which the goroutine may be on another thread goes through `waits`, which shows the block of
thread variables to that thread. gomax.h says of each function that it may migrate."""

import re
import sys
from pathlib import Path

root = Path(__file__).parent.parent.parent.parent
header = (root / "include/gomax.h").read_text()
assert "Migrates: no." in header.split("/**")[0], "gomax.h has another default"
migrates = {}
for doc, name in re.findall(r"/\*\*((?:(?!\*/).)*)\*/[^;/]*?\b(gmx_\w+)\(", header, re.S):
    said = re.search(r"Migrates: (.*)", doc)
    migrates[name] = said is not None and said[1] != "no."
assert len(migrates) > 100 and sum(migrates.values()) > 30, "gomax.h is written otherwise"
bad = 0
for module in sorted((root / "bindings/nim/src/gomax").glob("*.nim")):
    if module.name == "abi.nim":
        continue
    for number, line in enumerate(module.read_text().splitlines(), 1):
        for before, name in re.findall(r"(.{0,6})\b(gmx_\w+)\(", line.split("##")[0]):
            if migrates.get(name) and before not in ("waits ", "waits("):
                print(f"{module.name}:{number}: {name} is not in waits")
                bad += 1
sys.exit(bad > 0)
