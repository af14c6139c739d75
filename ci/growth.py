#!/usr/bin/env python3
"""Measures how the cost of one operation grows with the number of objects that merely exist beside it.

    ci/growth.py [--time] [CROWD...]      GMX_LIB: another libgomax.so than the release build's; CC

ctests/growth/growth.c does each operation beside N parked Gs, timers, channels and so on, for several N. The costs are
instructions, counted by valgrind's callgrind, which do not depend on the load of the machine; with --time they are CPU
times, and N is larger. The script fits a power law, cost = a * N^e, and an operation fails if e is above a limit: an
object that merely exists must cost nothing.
"""
import argparse
import glob
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

MANY, LARGE = [100, 1000, 10000], [1000, 10000, 100000]
FEW = [10, 50, 200]
CROWDS = {  # N for instructions, and for CPU time
    "parked": (MANY, LARGE), "receiving": (MANY, LARGE), "sleeping": (MANY, LARGE), "elsewhere": (MANY, LARGE),
    "timers": (MANY, LARGE), "channels": (MANY, LARGE), "tokens": (MANY, LARGE), "keys": ([4, 16, 60], [4, 16, 60]),
    "attached": (FEW, [20, 100, 500]), "known": (FEW, [20, 100, 500]), "ps": ([8, 64, 512], [8, 64, 512]),
}
LIMIT, LIMIT_TIME = 0.1, 0.25  # caches count in CPU time
# Threads meet in these, and spin for a while first: more or less of it, whatever N is.
MEET, LIMIT_MEET = ("P given away", "callback", "idle"), 0.3

# What grows for a reason: (crowd, operation): the most that its exponent may be, and why
GROWS = {
    ("ps", "stop+start"): (1.1, "visits every P"),
    ("ps", "for each P"): (1.1, "visits every P"),
    ("ps", "num_g"): (1.1, "adds up what each P counts"),
    **{("elsewhere", op): (0.25, "a tree of the addresses that share a bucket") for op in ("sema", "sema hand-off", "condition", "wait group")},
}
# By time only: the instructions are the same, what they read lies further apart.
GROWS_IN_TIME = {("attached", "for each P"): (0.5, "caches"), ("known", "for each P"): (0.5, "caches")}


def exponent(points):
    xs, ys = [math.log(x) for x, _ in points], [math.log(max(y, 1e-9)) for _, y in points]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)


def instructions(exe, crowd, n, work):
    """The totals of callgrind's dumps, each named by what asked for it."""
    for old in glob.glob(f"{work}/cg.*"):
        os.unlink(old)
    run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={work}/cg.%p", "-q", exe, crowd, str(n)])
    costs = {}
    for name in sorted(glob.glob(f"{work}/cg.*.*"), key=lambda name: int(name.rsplit(".", 1)[1])):
        with open(name, encoding="utf-8") as file:
            text = file.read()
        about, total = re.search("Client Request: (.*)", text), re.search(r"^totals: (\d+)", text, re.M)
        if about and total:
            costs[about[1]] = min(int(total[1]), costs.get(about[1], sys.maxsize))
    return costs


def cpu_time(exe, crowd, n, _):
    return {name: float(ns) for name, ns in (line.split("\t") for line in run([exe, crowd, str(n)]).splitlines())}


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true", help="CPU time instead of instructions")
    parser.add_argument("crowd", nargs="*", help=f"some of: {' '.join(CROWDS)}")
    args = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    if not args.time and not shutil.which("valgrind"):
        print("there is no valgrind, which counts the instructions (--time does without)")
        return 77
    lib = os.path.realpath(os.environ.get("GMX_LIB") or
                           os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "release/libgomax.so"))
    measure, limit = (cpu_time, LIMIT_TIME) if args.time else (instructions, LIMIT)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as work:
        for name in ("libgomax.so", "libgomax.so.0"):
            os.symlink(lib, f"{work}/{name}")
        exe = f"{work}/growth"
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Iinclude", "-Ictests",
                        "-pthread", "-o", exe, "ctests/growth/growth.c", f"-L{work}", "-lgomax", f"-Wl,-rpath,{work}"],
                       check=True)
        for crowd in args.crowd or CROWDS:
            sizes = CROWDS[crowd][args.time]
            costs = [measure(exe, crowd, n, work) for n in sizes]
            print(f"\n{crowd:<18}" + "".join(f"{n:>12,}" for n in sizes) + "    exponent")
            for operation in costs[0]:
                points = [(n, cost[operation]) for n, cost in zip(sizes, costs)]
                e = exponent(points)
                grows = {**GROWS, **GROWS_IN_TIME} if args.time else GROWS
                most, why = grows.get((crowd, operation), (limit, ""))
                if operation in MEET:
                    most, why = (math.inf, "not judged by time") if args.time else (LIMIT_MEET, "")
                bad = e > most
                passed, failed = passed + (not bad), failed + bad
                print(f"  {operation:<16}" + "".join(f"{cost:>12,.0f}" for _, cost in points) + f"{e:>12.3f}" +
                      (f"    FAILED: above {most}" if bad else f"    {why}" if why else ""))
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
