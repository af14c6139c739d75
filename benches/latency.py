#!/usr/bin/env python3
"""Measures how late timers, wakes, hand-offs and new Gs come while Gs compute: gomax and Go in turn, as distributions.

    PEERS=go benches/run.sh --latency [--rounds N] [--deaf]

builds both and calls this. It fails only on a wide ratio: a median or a 99th percentile above five times Go's and above a
floor. Both are measured in the same minute, in turn, and all rounds of a case go into one distribution. A round during which
other processes took CPU time is repeated, a few times; a case without quiet rounds is marked with a ~, and not judged.
"""
import argparse
import os
import resource
import subprocess
import sys
import time

from run import CPUS, busy_seconds

CASES = [
    ("timer", "sleep of 1 ms"), ("after_func", "function after 1 ms, armed by a G that computes on"),
    ("wake", "receive, the sender computes on"), ("hand_off", "G in the P of one in a blocking call"),
    ("first_run", "first run of a G, its parent computes on"),
]
HOGS = [0, 1, 2]
# Beside hogs that call nothing of the library: the numbers of Ps and of hogs, and what Go has none of.
DEAF = [
    ("timer", "sleep of 1 ms", 1, [1, 10, 100]), ("mem_stats", "statistics of memory, in a stopped world", 2, [1, 10, 100]),
    ("resize", "another number of Ps", 2, [1, 10, 100]), ("barrier", "a function on each P", 2, [1, 10, 100]),
    ("bracketed_read", "read of a pipe for which another G writes", 1, [0]),
    ("plain_read", "the same, without a bracket", 1, [0]), ("throughput", "turns of a hog beside a ticker, in millionths", 1, [1]),
]
NOT_IN_GO = {"barrier", "plain_read"}
RATIO = 5
FLOORS = [(0.5, 1_000_000), (0.99, 10_000_000)]  # a slice: a busy machine takes that much from either


def samples(command, env):
    """(times, whether the machine was quiet)"""
    for _ in range(3):
        own, before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), busy_seconds(), time.monotonic()
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        others = busy_seconds() - before - (now.ru_utime - own.ru_utime) - (now.ru_stime - own.ru_stime)
        quiet = others - 0.02 < 0.05 * CPUS * (time.monotonic() - begin)
        if quiet:
            break
    return [int(line) for line in done.stdout.split()], quiet


def at(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def text(ns):
    return f"{ns / 1e6:.2f} ms" if ns >= 1e6 else f"{ns / 1e3:.1f} us"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gmxlatency", required=True)
    parser.add_argument("--lib", required=True)
    parser.add_argument("--golatency", help="without it only our own times are shown")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=50, help="events in a round")
    parser.add_argument("--deaf", action="store_true", help="only beside hogs that call nothing of the library")
    args = parser.parse_args()
    peers = [("gomax", args.gmxlatency, dict(os.environ, LD_LIBRARY_PATH=args.lib))]
    if args.golatency:
        peers.append(("go", args.golatency, dict(os.environ)))
    else:
        print("there is no Go to compare with")
    passed = failed = skipped = 0
    print(f"{'how late, 2 Ps':<52}{'hogs':>5}" + "".join(f"{name + ' ' + what:>14}" for name, *_ in peers
                                                          for what in ("median", "p99", "max")))
    for case, title in CASES if not args.deaf else []:
        for hogs in HOGS:
            all_of, quiet = {name: [] for name, *_ in peers}, True
            for number in range(args.rounds):
                for name, exe, env in peers if number % 2 == 0 else reversed(peers):
                    times, undisturbed = samples([exe, case, str(hogs), str(args.count)], env)
                    all_of[name] += times
                    quiet &= undisturbed
            line = f"{title:<52}{hogs:>5}"
            for values in all_of.values():
                values.sort()
                line += "".join(f"{text(v):>14}" for v in (at(values, 0.5), at(values, 0.99), values[-1]))
            bad = quiet and "go" in all_of and any(at(all_of["gomax"], share) > RATIO * at(all_of["go"], share) + floor
                                         for share, floor in FLOORS)
            passed, failed, skipped = passed + (quiet and not bad), failed + bad, skipped + (not quiet)
            print(line + ("  FAILED" if bad else "" if quiet else "  ~"), flush=True)
    print(f"\n{'beside hogs that call nothing':<52}{'hogs':>5}")
    for case, title, ps, numbers in DEAF:
        for hogs in numbers:
            line, quiet = f"{f'{title}, {ps} P' + 's' * (ps > 1):<52}{hogs:>5}", True
            for name, exe, env in peers:
                if name == "go" and case in NOT_IN_GO:
                    continue
                values = []
                for _ in range(args.rounds):
                    times, undisturbed = samples([exe, case, str(hogs), str(args.count if case != "throughput" else 2), str(ps)], env)
                    values += times
                    quiet &= undisturbed
                values.sort()
                show = str if case == "throughput" else text
                line += "".join(f"{show(v):>14}" for v in (at(values, 0.5), at(values, 0.99), values[-1]))
            print(line + ("" if quiet else "  ~"), flush=True)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
