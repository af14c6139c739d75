#!/usr/bin/env python3
"""Checks a binding against the scenarios of docs/meaning.md: `ci/meaning.py LANGUAGE PROGRAM [ARGUMENT...]`.

Without a further argument the program prints the names of its scenarios, one a line. With the name of a scenario as its last
argument it runs that scenario and prints the outcome. Each scenario runs in a process of its own. A process that ends by
SIGABRT or with a status above 0 has the outcome `dies`, or `misuse` if that is expected: a checked build may end a wrong call
so, if it says why. Ends with `N passed, N failed`."""

import re
import subprocess
import sys
from pathlib import Path

LIMIT = 60  # seconds for one scenario


def scenarios(language):
    """{name: outcome} for that language."""
    found = {}
    rows = False
    for line in (Path(__file__).parent.parent / "docs/meaning.md").read_text().splitlines():
        if line.startswith("## "):
            rows = line == "## Scenarios"
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not rows or not line.startswith("|") or cells[0] == "scenario" or set(cells[0]) == {"-"}:
            continue
        name, _, outcome, exceptions = cells
        assert name not in found, f"{name} stands there twice"
        for exception in filter(None, exceptions.split(";")):
            binding, other = exception.split(":")
            assert binding.strip() in ("C++", "Python", "Zig", "Nim"), exception
            if binding.strip() == language:
                outcome = other.strip()
        found[name] = outcome
    assert len(found) > 40, "docs/meaning.md has too few scenarios"
    return found


def outcome(program, name, wanted):
    """What the program says, and all that it printed."""
    try:
        ran = subprocess.run([*program, name], capture_output=True, text=True, errors="replace", timeout=LIMIT)
    except subprocess.TimeoutExpired as e:
        return "hangs", str(e.stderr)
    said = ran.stdout.strip()
    if ran.returncode == 0:
        return said, ran.stderr
    if (ran.returncode == -6 or ran.returncode > 0) and ran.stderr.strip():
        # a death without a word is none that a user could understand
        return ("misuse" if wanted == "misuse" else "dies"), said + ran.stderr
    return f"status {ran.returncode}", said + ran.stderr


def main():
    language, *program = sys.argv[1:]
    expected = scenarios(language)
    listed = subprocess.run(program, capture_output=True, text=True, check=True, timeout=LIMIT).stdout.split()
    failed = 0
    for name in sorted(set(expected) ^ set(listed)):
        where = "in docs/meaning.md only" if name in expected else "in the program only"
        print(f"FAILED: {name}: {where}")
        failed += 1
    passed = 0
    for name in listed:
        if name not in expected:
            continue
        got, said = outcome(program, name, expected[name])
        if got == expected[name]:
            passed += 1
            continue
        failed += 1
        print(f"FAILED: {name}: {got!r} instead of {expected[name]!r}")
        print(re.sub("^", "    | ", said.strip(), flags=re.M))
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
