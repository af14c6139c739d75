#!/usr/bin/env python3
"""Runs the cases of gmxbench.c and of the peers in turn, and writes a table and JSON. benches/run.sh calls it.

In every round each case runs once for each peer, one after the other, so that what the machine does meanwhile meets all
of them; what is shown are medians. A run during which other processes took CPU time is thrown away and repeated, a few
times: where the machine is never quiet the median is marked with a ~.
"""
import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

# title, case, Ps, arguments (N and M), arguments when quick, value
CASES = [
    ("yield, 2 Gs, 1 P", "yield", 1, "5000000 2", "1000000 2", "ns"),
    ("yield, 1000 Gs, 1 P", "yield", 1, "5000000 1000", "1000000 1000", "ns"),
    ("yield, 1000 Gs, 2 Ps", "yield", 2, "5000000 1000", "1000000 1000", "ns"),
    ("spawn + run + end, batches of 1000, 1 P", "spawn_batches", 1, "3000000 1000", "500000 1000", "ns"),
    ("spawn + run + end, batches of 1000, 2 Ps", "spawn_batches", 2, "3000000 1000", "500000 1000", "ns"),
    ("spawn {n:,} at once, 1 P", "spawn_batches", 1, "1000000 1000000", "200000 200000", "ns"),
    ("spawn {n:,} at once, 2 Ps", "spawn_batches", 2, "1000000 1000000", "200000 200000", "ns"),
    ("spawn + join, one at a time, 1 P", "spawn_join", 1, "2000000", "500000", "ns"),
    ("skynet, {n:,} leaves, parent first, 1 P", "skynet", 1, "1000000", "100000", "ms"),
    ("skynet, {n:,} leaves, parent first, 2 Ps", "skynet", 2, "1000000", "100000", "ms"),
    ("skynet, {n:,} leaves, child first, 1 P", "skynet_child_first", 1, "1000000", "100000", "ms"),
    ("skynet, {n:,} leaves, child first, 2 Ps", "skynet_child_first", 2, "1000000", "100000", "ms"),
    ("fib({n}), child first, 1 P", "fib_child_first", 1, "30", "25", "ms"),
    ("fib({n}), child first, 2 Ps", "fib_child_first", 2, "30", "25", "ms"),
    ("semaphore ping-pong, 1 P", "sema_pingpong", 1, "1000000", "300000", "ns"),
    ("semaphore ping-pong, 2 Ps", "sema_pingpong", 2, "1000000", "300000", "ns"),
    ("mutex, {n} Gs x {m}, 1 P", "mutex_contended", 1, "1000 1000", "1000 1000", "ns"),
    ("mutex, {n} Gs x {m}, 2 Ps", "mutex_contended", 2, "1000 1000", "1000 1000", "ns"),
    ("channel ping-pong, unbuffered, 1 P", "chan_pingpong", 1, "1000000", "300000", "ns"),
    ("channel ping-pong, unbuffered, 2 Ps", "chan_pingpong", 2, "1000000", "300000", "ns"),
    ("channel ping-pong, buffered, 1 P", "chan_pingpong_buffered", 1, "1000000", "300000", "ns"),
    ("channel ping-pong, buffered, 2 Ps", "chan_pingpong_buffered", 2, "1000000", "300000", "ns"),
    ("channel, producer + consumer, unbuffered, 1 P", "chan_prod_cons", 1, "3000000 1", "500000 1", "ns"),
    ("channel, producer + consumer, unbuffered, 2 Ps", "chan_prod_cons", 2, "3000000 1", "500000 1", "ns"),
    ("channel, producer + consumer, room for 10, 1 P", "chan_prod_cons", 1, "5000000 11", "1000000 11", "ns"),
    ("channel, producer + consumer, room for 10, 2 Ps", "chan_prod_cons", 2, "5000000 11", "1000000 11", "ns"),
    ("channel, producer + consumer, room for 100, 1 P", "chan_prod_cons", 1, "5000000 101", "1000000 101", "ns"),
    ("channel, producer + consumer, room for 100, 2 Ps", "chan_prod_cons", 2, "5000000 101", "1000000 101", "ns"),
    ("channel, {m} Gs to one, 1 P", "chan_fan_in", 1, "3000000 100", "500000 100", "ns"),
    ("channel, {m} Gs to one, 2 Ps", "chan_fan_in", 2, "3000000 100", "500000 100", "ns"),
    ("channel, send + receive, one G", "chan_uncontended", 1, "10000000 100", "2000000 100", "ns"),
    ("channel, try to receive in vain", "chan_try_recv", 1, "50000000", "10000000", "ns"),
    ("channel, select of 2, one ready, + send", "chan_select_uncontended", 1, "10000000", "2000000", "ns"),
    ("channel, select of 2 with default", "chan_select_default", 1, "10000000", "2000000", "ns"),
    ("channel, select producer + consumer, unbuffered, 1 P", "chan_select_prod_cons", 1, "2000000 1", "300000 1", "ns"),
    ("channel, select producer + consumer, unbuffered, 2 Ps", "chan_select_prod_cons", 2, "2000000 1", "300000 1", "ns"),
    ("channel, select producer + consumer, room for 100, 1 P", "chan_select_prod_cons", 1, "3000000 101", "500000 101", "ns"),
    ("channel, select producer + consumer, room for 100, 2 Ps", "chan_select_prod_cons", 2, "3000000 101", "500000 101", "ns"),
    ("mutex, uncontended", "mutex_uncontended", 1, "20000000", "5000000", "ns"),
    ("read lock, uncontended", "rlock_uncontended", 1, "20000000", "5000000", "ns"),
    ("rwmutex, {n} Gs x {m}, 1 of 100 writes, 2 Ps", "rwmutex_read_mostly", 2, "1000 1000", "1000 1000", "ns"),
    ("rwmutex, {n} Gs x {m}, 1 of 100 writes, 1 P", "rwmutex_read_mostly", 1, "1000 1000", "1000 1000", "ns"),
    ("cond, broadcast to {m}, 2 Ps", "cond_broadcast", 2, "100000 16", "30000 16", "ns"),
    ("cond ping-pong, 1 P", "cond_pingpong", 1, "1000000", "300000", "ns"),
    ("cond ping-pong, 2 Ps", "cond_pingpong", 2, "1000000", "300000", "ns"),
    ("once that is done", "once_fast", 1, "50000000", "10000000", "ns"),
    ("timer start + stop, 1 P", "timer_start_stop", 1, "3000000", "1000000", "ns"),
    ("timer start + stop beside {m:,}, 1 P", "timer_start_stop", 1, "3000000 100000", "1000000 100000", "ns"),
    ("timer reset, {m} timers, 1 P", "timer_reset", 1, "3000000 1000", "1000000 1000", "ns"),
    ("{n:,} timers fire within {m} ms, 2 Ps", "timers_fire", 2, "1000000 1000", "300000 300", "ms"),
    ("{n:,} timers started, then stopped, 2 Ps", "timers_stopped", 2, "1000000", "300000", "ns"),
    ("ticker, every {m} us, 2 Ps", "ticker", 2, "30000 50", "10000 50", "ns"),
    ("sleep {m} us, 2 Ps", "sleep_short", 2, "5000 100", "2000 100", "ns"),
    ("enter + exit syscall", "syscall_bracket", 1, "10000000", "2000000", "ns"),
    ("enter + getppid + exit syscall", "syscall_getppid", 1, "3000000", "1000000", "ns"),
    ("{n} Gs x {m} blocking calls of 10 ms, 2 Ps", "syscall_blocking", 2, "64 10", "64 10", "ms"),
    ("P of a blocking call runs another G, 1 P", "handoff_retaken", 1, "500", "100", "ns"),
    ("P handed on before a blocking call, 1 P", "handoff_at_once", 1, "3000", "1000", "ns"),
    ("callback on a known foreign thread, 2 Ps", "callback_known_thread", 2, "5000000", "500000", "ns"),
    ("first callback on a foreign thread, 2 Ps", "callback_first", 2, "2000", "300", "ns"),
    ("attach + detach thread, 2 Ps", "attach_detach", 2, "1000000", "100000", "ns"),
    ("ping-pong with a locked thread, 1 P", "locked_thread_pingpong", 1, "30000", "10000", "ns"),
    ("ping-pong with a locked thread, 2 Ps", "locked_thread_pingpong", 2, "30000", "10000", "ns"),
    ("{n:,} Gs sleep 1 to 1000 ms, 1 P", "sleep_storm", 1, "100000", "20000", "ms"),
    ("{n:,} Gs sleep 1 to 1000 ms, 2 Ps", "sleep_storm", 2, "1000000", "100000", "ms"),
    ("{n:,} Gs park, 1 P", "parked", 1, "1000000", "100000", "ns"),
    ("stop + start the world, 2 Ps", "stop_start_world", 2, "30000", "10000", "ns"),
    ("stop + start the world, 1024 idle Ps", "stop_start_world", 1024, "2000", "500", "ns"),
    ("stop + start the world, 1 other P busy", "stop_start_busy_world", 2, "10000", "3000", "ns"),
    ("for each P, 2 Ps", "for_each_p", 2, "100000", "10000", "ns"),
    ("for each P, 1024 idle Ps", "for_each_p", 1024, "5000", "1000", "ns"),
    ("for each P, 1 other P busy", "for_each_busy_p", 2, "10000", "3000", "ns"),
    ("gomaxprocs 1 <-> 2", "gomaxprocs", 1, "30000 2", "10000 2", "ns"),
    ("gomaxprocs 2 <-> 1024", "gomaxprocs", 2, "500 1024", "100 1024", "ns"),
    ("read memory statistics, 2 Ps", "read_mem_stats", 2, "10000", "3000", "ns"),
    ("CPU when idle, 2 Ps", "idle_cpu", 2, "2000", "500", "us_per_s"),
    ("pin + unpin", "pin_unpin", 1, "20000000", "5000000", "ns"),
]
# what a peer runs instead, where it has only one order
GO_CASE = {"skynet_child_first": "skynet", "fib_child_first": "fib"}
GO_WITHOUT = {"spawn_join", "handoff_at_once", "attach_detach"}
GO_CALLBACK = {"callback_known_thread", "callback_first"}
EXTRA = ("cpu_ns", "cpu_ms", "rss_mb", "rss_b", "threads", "p50_us", "p99_us", "p99_ns", "thread_ns")  # shown beside the value
CPU_OF = {"ns": "cpu_ns", "ms": "cpu_ms"}  # the CPU time that belongs to a value
HZ, CPUS = os.sysconf("SC_CLK_TCK"), os.cpu_count()


def busy_seconds():
    """CPU time that all processes have taken"""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / HZ


def run(command, env, limit):
    """({key: value}, None) or (None, why not); the values have `_others`, the share of the machine others took"""
    before, begin = busy_seconds(), time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
        end = begin + limit
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                child.kill()
                os.wait4(child.pid, 0)
                return None, f"still running after {limit} s"
            time.sleep(0.002)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        out.seek(0)
        text = out.read().strip()
    values = {key: float(value) for key, value in re.findall(r"(\w+)=(-?[\d.]+)", text)}
    if child.returncode or not values:
        return None, f"exit status {child.returncode}: {text[-200:]}"
    others = busy_seconds() - before - usage.ru_utime - usage.ru_stime
    # two ticks of the clock are below what can be seen
    values["_others"] = max(0.0, others - 2 / HZ) / wall / CPUS
    return values, None


class Peer:
    def __init__(self, name, programs, env=None):
        self.name, self.programs, self.env = name, programs, {**os.environ, **(env or {})}

    def command(self, case, ps, arguments):
        if self.name == "go":
            if case in GO_WITHOUT:
                return None
            program = self.programs["gocallback" if case in GO_CALLBACK else "gobench"]
            return program and [program, GO_CASE.get(case, case), str(ps), *arguments.split()]
        return [self.programs["gmxbench"], case, str(ps), *arguments.split()]


def measure(peers, cases, args):
    """{title: {peer: {"runs": [values], "failed": [why]}}}"""
    results = {title: {} for title, *_ in cases}
    slow = set()
    for number in range(args.rounds):
        for title, case, ps, arguments, value in cases:
            if title in slow and number >= (1 if args.quick else 3):
                continue
            # every other round the other way round
            for peer in peers if number % 2 == 0 else reversed(peers):
                command = peer.command(case, ps, arguments)
                if not command:
                    continue
                result = results[title].setdefault(peer.name, {"runs": [], "failed": []})
                if len(result["failed"]) > 1:
                    continue
                begin = time.monotonic()
                for _ in range(1 if args.quick else 3):
                    values, failed = run(command, peer.env, args.limit)
                    if failed or values["_others"] < 0.05:
                        break
                if failed:
                    result["failed"].append(failed)
                    print(f"  {peer.name}: {' '.join(command[1:])}: {failed}", file=sys.stderr)
                else:
                    result["runs"].append(values)
                if time.monotonic() - begin > (0.7 if args.quick else 3):
                    slow.add(title)
            if sys.stderr.isatty():
                print(f"\r\033[Kround {number + 1} of {args.rounds}: {title}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return results


def summary(result, value):
    """medians, of the quiet runs if there are three"""
    if not result["runs"]:
        return {"failed": result["failed"]}
    quiet = [r for r in result["runs"] if r["_others"] < 0.05]
    taken = quiet if len(quiet) >= min(3, len(result["runs"])) else result["runs"]
    values = {key: statistics.median(r[key] for r in taken) for key in taken[0] if not key.startswith("_")}
    values |= {"min": min(r[value] for r in taken), "max": max(r[value] for r in taken), "rounds": len(taken)}
    values["noisy"] = taken is not quiet and len(quiet) < len(taken)
    if result["failed"]:
        values["failed"] = result["failed"]
    return values


def shown(values, key):
    if values is None:
        return "-"
    if key not in values:
        return "failed"
    v, unit = values[key], {"ns": "ns", "ms": "ms", "us_per_s": "us/s"}[key]
    if key == "ns" and v >= 10000:
        v, unit = (v / 1e3, "us") if v < 1e7 else (v / 1e6, "ms")
    digits = 0 if v >= 100 else 1 if v >= 10 else 2
    return f"{'~' if values['noisy'] else ''}{v:.{digits}f} {unit}"


def extras(values):
    if not values:
        return ""
    return " ".join(f"{key}={values[key]:.{0 if values[key] >= 100 else 1}f}" for key in EXTRA if values.get(key))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gmxbench", required=True, help="the program")
    parser.add_argument("--lib", required=True, help="directory of libgomax.so.0")
    parser.add_argument("--base", help="directory of another libgomax.so.0, to compare with")
    parser.add_argument("--go", help="directory of gobench and gocallback")
    parser.add_argument("--go-version", default="")
    parser.add_argument("--json", required=True)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="small sizes and three rounds: about a minute")
    parser.add_argument("--only", help="regular expression on titles and names of cases")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one run")
    args = parser.parse_args()
    args.rounds = args.rounds or (3 if args.quick else 7)

    peers = [Peer("gomax", {"gmxbench": args.gmxbench}, {"LD_LIBRARY_PATH": args.lib})]
    if args.base:
        peers.append(Peer("base", {"gmxbench": args.gmxbench}, {"LD_LIBRARY_PATH": args.base}))
    if args.go:
        programs = {p: os.path.join(args.go, p) for p in ("gobench", "gocallback")}
        peers.append(Peer("go", {p: path if os.path.exists(path) else None for p, path in programs.items()}))
    cases = []
    for title, case, ps, arguments, quick, value in CASES:
        arguments = quick if args.quick else arguments
        n, m = map(int, (arguments + " 1").split()[:2])
        title = title.format(n=n, m=m)
        if not args.only or re.search(args.only, title) or re.search(args.only, case):
            cases.append((title, case, ps, arguments, value))

    results = measure(peers, cases, args)
    table = {}
    others = [p.name for p in peers[1:]]
    width = max(len(c[0]) for c in cases)
    head = f"{'':{width}} {'gomax':>10}" + "".join(f" {name:>10} {'ratio':>7} {'CPU':>7}" for name in others)
    print(head + "   also (gomax; go)\n" + "-" * (len(head) + 20))
    failures = 0
    for title, case, ps, arguments, value in cases:
        by_peer = {name: summary(result, value) for name, result in results[title].items()}
        mine = by_peer["gomax"]
        failures += "failed" in mine
        line = f"{title:{width}} {shown(mine, value):>10}"
        for name in others:
            theirs = by_peer.get(name)
            line += f" {shown(theirs, value):>10}"
            for name, key in ("ratio", value), ("cpu_ratio", CPU_OF.get(value)):
                ratio = ""
                if theirs and theirs.get(key) and mine.get(key):
                    theirs[name] = theirs[key] / mine[key]
                    ratio = f"{theirs[name]:.2f}x"
                line += f" {ratio:>7}"
        also = [e for e in (extras(mine), extras(by_peer.get("go"))) if e]
        print(line + "   " + "; ".join(also))
        table[title] = {"case": case, "procs": ps, "arguments": arguments, "value": value, "peers": by_peer}
    print("\nratio: how many times as long the other takes; CPU: how many times as much CPU time. Medians.")
    print("~: the machine was never quiet: the CPU time says more then.")

    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    about = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "quick": args.quick,
        "rounds": args.rounds, "cpus": CPUS, "cpu": cpu.group(1) if cpu else platform.machine(), "kernel": platform.release(),
        "go": args.go_version, "load": os.getloadavg(),
    }
    with open(args.json, "w") as f:
        json.dump({"about": about, "cases": table}, f, indent=1)
    print(f"written: {args.json}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
