#!/usr/bin/env python3
"""Measures calls that the system cannot report as ready: reads of files, syncs, names, processes. Goroutines of gomax
beside those of Go, threads of C, and io_uring (benches/files).

    benches/run.sh --files [--rounds N] [--only WORD] [--data FILE] [--json FILE]

builds all and calls this. The programs of a row run in turn, several rounds, with one P where they have Ps. The table
shows medians: CPU time for each operation, operations in a second and their ratio to threads, and the most threads at
a time, among them those of the kernel that serve a ring. The rows with "waits beside" have 4 goroutines that wait in
epoll_wait, in a syscall, as a library of the host would, and count how many of their waits end with EINTR in a
second; the program has no signals.

FILE is read; it is written first if it does not exist (1 GiB, on a disk: in a file system in memory nothing is cold).
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time

# title, what, workers, goroutines that wait beside, programs
ROWS = [
    ("cold reads, 64", "cold", 64, 0, ["threads", "gomax", "batch", "go", "ring", "ring_gs", "ring_thread"]),
    ("cold reads, 1", "cold", 1, 0, ["threads", "gomax", "go", "ring", "ring_gs", "ring_thread"]),
    ("direct reads, 64", "direct", 64, 0, ["threads", "gomax", "batch", "ring", "ring_gs"]),
    ("cached reads, 1", "cached", 1, 0, ["threads", "nowait", "gomax", "go", "ring"]),
    ("write and fdatasync, 64", "sync", 64, 0, ["threads", "gomax", "batch", "go", "ring", "ring_gs"]),
    ("cold reads, 16, waits beside", "cold", 16, 4, ["gomax", "ring_gs", "ring_thread"]),
    ("getaddrinfo of localhost, 100", "names", 100, 0, ["threads", "gomax", "go"]),
    ("start of /bin/true, 32", "spawn", 32, 0, ["threads", "gomax", "go"]),
]


class Watch(threading.Thread):
    """How many threads a process has, at most."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.most, self.over = pid, 0, False

    def run(self):
        while not self.over:
            try:
                self.most = max(self.most, len(os.listdir(f"/proc/{self.pid}/task")))
            except FileNotFoundError:
                return
            time.sleep(0.02)


def measure(args, name, what, workers, beside):
    """CPU ns for an operation, operations in a second, threads, EINTR in a second; or what went wrong"""
    env = dict(os.environ, GOMAXPROCS="1")
    words = [what, str(workers), str(args.ms)] + ([] if what in ("names", "spawn") else [args.data])
    if name == "go":
        command = [os.path.join(args.work, "gofiles"), *words]
    else:
        command = [os.path.join(args.work, "files"), "gomax" if name == "base" else name, *words]
        env["LD_LIBRARY_PATH"] = args.base if name == "base" else args.lib
    if beside:
        env["BESIDE"] = str(beside)
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = Watch(process.pid)
    watch.start()
    out, error = process.communicate(timeout=120)
    watch.over = True
    watch.join()
    if process.returncode:
        return error.strip() or f"exit status {process.returncode}"
    done, ns, cpu, interrupted = map(int, out.split())
    return cpu / done, done / ns * 1e9, watch.most, interrupted / ns * 1e9


def row(args, title, what, workers, beside, names):
    got = {name: [] for name in names}
    for number in range(args.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            if not (got[name] and isinstance(got[name][-1], str)):
                got[name].append(measure(args, name, what, workers, beside))
    floor = got[names[0]]
    print(f"\n{title:<34}{'CPU us':>10}{'of ' + names[0]:>12}{'1/s':>10}{'of ' + names[0]:>12}{'threads':>10}" + ("EINTR/s".rjust(10) if beside else ""))
    medians = {}
    for name, runs in got.items():
        if isinstance(runs[-1], str):
            print(f"  {name}: {runs[-1]}")
            continue
        cpu, rate, threads, interrupted = medians[name] = [statistics.median(column) for column in zip(*runs)]
        # of the same round, since the disk and the machine change
        ratios = [statistics.median(run[i] / other[i] for run, other in zip(runs, floor)) for i in (0, 1)]
        print(f"  {name:<32}{cpu / 1e3:>10.2f}{ratios[0]:>12.2f}{rate:>10,.0f}{ratios[1]:>12.2f}{threads:>10.0f}"
              + (f"{interrupted:>10.0f}" if beside else ""), flush=True)
    return {"row": title, "medians": medians, "columns": ["cpu_ns", "rate", "threads", "eintr_rate"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="the folder of the programs")
    parser.add_argument("--lib", required=True)
    parser.add_argument("--base", help="another library to compare with")
    parser.add_argument("--peer", action="append", default=[], help="go")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ms", type=int, default=1000, help="length of a round")
    parser.add_argument("--data", help="the file that is read (default: one in the folder of the programs)")
    parser.add_argument("--only", help="rows whose titles contain this word")
    parser.add_argument("--json")
    args = parser.parse_args()
    args.data = args.data or os.path.join(args.work, "files.data")
    if not os.path.exists(args.data):
        with open(args.data, "wb") as file:
            piece = os.urandom(1 << 20)
            for _ in range(1 << 10):
                file.write(piece)
            os.fsync(file.fileno())
    results = []
    for title, what, workers, beside, names in ROWS:
        if args.only and args.only not in title:
            continue
        names = [name for name in names if name != "go" or "go" in args.peer]
        if args.base and "gomax" in names:
            names.insert(names.index("gomax") + 1, "base")
        results.append(row(args, title, what, workers, beside, names))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": platform.processor() or platform.machine(), "kernel": platform.release(), "rows": results}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
