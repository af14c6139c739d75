#!/usr/bin/env python3
"""Measures an echo over TCP connections: servers of gomax, Go, tokio and may beside one that only uses epoll; and servers of
files over HTTP, where wrk is installed.

    benches/run.sh --net [--rounds N] [--only WORD] [--json FILE]

builds all and calls this. The servers of a row run in turn, several rounds. A server of one P is alone on the first CPU, and the
client is on the second; with more than one CPU the server has all. The table shows medians: CPU time of the server for each
request, and its ratio to the server that uses epoll alone (1: as cheap); requests in a second; how long a request takes,
median and 99th percentile. CPU time says more than the others on a machine that is not quiet. Rows of idle connections show
the memory and the time of the first echo for each, and CPU time and context switches while nothing happens. The servers of
files are examples/httpd, Go's net/http and, where it is installed, nginx; a ratio is to net/http.
"""
import argparse
import json
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CPUS = sorted(os.sched_getaffinity(0))
# title, connections, Ps, what the server does beside
ROWS = [
    ("64 connections, 1 P", 64, 1, []),
    ("64 connections, 2 Ps", 64, 2, []),
    ("1 connection, 1 P", 1, 1, []),
    ("1 connection, 2 Ps", 1, 2, []),
    ("1 connection behind 100 that yield, 1 P", 1, 1, ["yields", "100"]),
    ("1 connection beside 2 that compute, 2 Ps", 1, 2, ["hogs", "2"]),
]
# title, bytes of the file, connections, Ps
HTTP = [
    ("HTTP, 1 KiB, 64 connections, 1 P", 1 << 10, 64, 1),
    ("HTTP, 1 KiB, 64 connections, 2 Ps", 1 << 10, 64, 2),
    ("HTTP, 1 MiB, 8 connections, 1 P", 1 << 20, 8, 1),
]
IDLE = "{n:,} idle connections, 2 Ps"
BYTES = 32
QUIET = 5


class Server:
    def __init__(self, command, env, cpus):
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        words = self.process.stdout.readline().split()
        if not words:
            raise RuntimeError(f"{command[0]} has not begun")
        self.port = words[-1]

    def of_threads(self, name):
        """The contents of this file of each thread."""
        texts = []
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                with open(f"/proc/{self.process.pid}/task/{thread}/{name}", encoding="ascii") as file:
                    texts.append(file.read())
            except FileNotFoundError:
                pass
        return texts

    def cpu(self):
        """CPU time so far, in seconds. (Threads that end meanwhile are not counted.)"""
        return sum(int(text.split()[0]) for text in self.of_threads("schedstat")) / 1e9

    def switches(self):
        return sum(int(line.split()[1]) for text in self.of_threads("status") for line in text.splitlines() if "ctxt" in line)

    def rss(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def peers(args):
    """name, command for so many Ps, environment; the floor first"""
    at = lambda name: os.path.join(args.work, name)
    all_of = [("epoll", lambda ps: [at("netepoll")], {}), ("gomax", lambda ps: [at("netecho"), str(ps)], {"LD_LIBRARY_PATH": args.lib})]
    if args.base:
        all_of.append(("base", lambda ps: [at("netecho"), str(ps)], {"LD_LIBRARY_PATH": args.base}))
    if "go" in args.peer:
        all_of.append(("go", lambda ps: [at("goecho")], {}))
    for name in ("tokio", "may"):
        if name in args.peer:
            all_of.append((name, lambda ps, name=name: [at(f"echo_{name}"), str(ps)], {}))
    return all_of


def environment(extra, ps):
    return dict(os.environ, GOMAXPROCS=str(ps), **extra)


def load(args, server, *arguments, **how):
    return subprocess.Popen([os.path.join(args.work, "netload"), server.port, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, {CPUS[-1]}), **how)


def echo(args, command, env, conns, ps):
    """CPU time for a request, requests in a second, median, 99th percentile; or what went wrong"""
    with Server(command, env, set(CPUS[:1] if ps == 1 else CPUS)) as server:
        cpu = server.cpu()
        client = load(args, server, conns, BYTES, args.ms, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        out, error = client.communicate(timeout=60)
        cpu = server.cpu() - cpu
        if client.returncode:
            return error.split(":")[0]
        every, count, p50, p99 = map(int, out.split())
        return cpu / every * 1e9, count / (args.ms / 1000), p50, p99


def idle(args, command, env, conns):
    """bytes for each, ns for the first echo of each, CPU ms and context switches in QUIET seconds"""
    with Server(command, env, set(CPUS)) as server:
        before = server.rss()
        client = load(args, server, conns, BYTES, 0, stdin=subprocess.PIPE)
        took = int(client.stdout.readline())
        time.sleep(0.5)
        cpu, switches = server.cpu(), server.switches()
        time.sleep(QUIET)
        cpu, switches = server.cpu() - cpu, server.switches() - switches
        size = (server.rss() - before) / conns
        client.communicate(timeout=60)
        return size, took / conns, cpu * 1e3, switches


def nginx(root, conf, ps):
    """The command of an nginx with so many workers that serves this folder, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(conf, "w", encoding="ascii") as file:
        file.write(f"daemon off; master_process off; worker_processes {ps}; pid {conf}.pid; error_log stderr crit;\n"
                   f"events {{ worker_connections 4096; }}\n"
                   f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n"
                   f"  server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n")
    # As the others, it says its port; sh is replaced by it.
    return ["sh", "-c", f"echo {port}; exec nginx -c {conf} -p {root}"]


def http(args, command, env, conns, ps):
    """As echo"""
    with Server(command, env, set(CPUS[:1] if ps == 1 else CPUS)) as server:
        time.sleep(0.2)
        cpu = server.cpu()
        out = subprocess.run(["wrk", "-t1", f"-c{conns}", f"-d{max(1, args.ms // 1000)}s", "--latency", f"http://127.0.0.1:{server.port}/file"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True,
                             preexec_fn=lambda: os.sched_setaffinity(0, {CPUS[-1]})).stdout
        cpu = server.cpu() - cpu
    if "Socket errors" in out or "Non-2xx" in out:
        return next(line.strip() for line in out.splitlines() if "errors" in line or "Non-2xx" in line)
    unit = {"us": 1e3, "ms": 1e6, "s": 1e9}
    at = {share: float(number) * unit[name] for share, number, name in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)", out)}
    return cpu / int(re.search(r"(\d+) requests in", out)[1]) * 1e9, float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), at["50"], at["99"]


def http_rows(args, results):
    rows = [row for row in HTTP if not args.only or args.only in row[0]]
    if rows and not shutil.which("wrk"):
        print("\nthere is no wrk: the rows of HTTP are skipped")
        return
    for title, size, conns, ps in rows:
        with tempfile.TemporaryDirectory() as root:
            os.chmod(root, 0o755)
            with open(os.path.join(root, "file"), "wb") as file:
                file.write(os.urandom(size))
            servers = [("gomax", [os.path.join(args.work, "httpd"), root, "--ps", str(ps)], {"LD_LIBRARY_PATH": args.lib})]
            if "go" in args.peer:
                servers.insert(0, ("go", [os.path.join(args.work, "gohttpd"), root], {}))
            if shutil.which("nginx") and ps == 1:
                servers.append(("nginx", nginx(root, os.path.join(root, "nginx.conf"), ps), {}))
            ratio = "of Go" if "go" in args.peer else ""
            compare(args, title, servers, results, ratio, lambda command, extra, conns=conns, ps=ps: http(args, command, environment(extra, ps), conns, ps))


def compare(args, title, servers, results, ratio, measure):
    """Measures these servers in turn, the first of which is the one to compare with, and shows the medians."""
    got = {name: [] for name, *_ in servers}
    for number in range(args.rounds):
        for name, command, extra in servers if number % 2 == 0 else reversed(servers):
            if not (got[name] and isinstance(got[name][-1], str)):
                got[name].append(measure(command, extra))
    failed = {name: next((run for run in runs if isinstance(run, str)), None) for name, runs in got.items()}
    medians = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in got.items() if not failed[name]}
    floor = medians.get(servers[0][0], [None])[0] if ratio else None
    show(title, ["CPU us", ratio, "1/s", "median us", "p99 us"], [
        (name, [f"{cpu / 1e3:.2f}", f"{cpu / floor:.2f}" if floor else "-", f"{rate:,.0f}", f"{p50 / 1e3:.1f}", f"{p99 / 1e3:.1f}"])
        for name, (cpu, rate, p50, p99) in medians.items()])
    for name, why in failed.items():
        if why:
            print(f"  {name}: {why}")
    results.append({"row": title, "medians": medians, "columns": ["cpu_ns", "rate", "p50_ns", "p99_ns"]})


def show(title, columns, table):
    print(f"\n{title:<44}" + "".join(f"{column:>14}" for column in columns))
    for name, values in table:
        print(f"  {name:<42}" + "".join(f"{value:>14}" for value in values), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="the folder of the programs")
    parser.add_argument("--lib", required=True)
    parser.add_argument("--base", help="another library to compare with")
    parser.add_argument("--peer", action="append", default=[], help="go, tokio, may")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ms", type=int, default=1000, help="length of a round")
    parser.add_argument("--idle", type=int, default=15000, help="how many connections are idle in the last row")
    parser.add_argument("--only", help="rows whose titles contain this word")
    parser.add_argument("--json")
    args = parser.parse_args()
    if len(CPUS) < 2:
        print("a server and a client on one CPU measure each other: skipped")
        return 0
    everyone = peers(args)
    results = []
    for title, conns, ps, beside in ROWS:
        if args.only and args.only not in title:
            continue
        here = [peer for peer in everyone if not beside or peer[0] != "epoll"]
        if beside and beside[0] == "hogs":
            here = [peer for peer in here if peer[0] in ("gomax", "base", "go")]  # the others never come back
        servers = [(name, command(ps) + beside, extra) for name, command, extra in here]
        compare(args, title, servers, results, "" if beside else "of epoll",
                lambda command, extra, conns=conns, ps=ps: echo(args, command, environment(extra, ps), conns, ps))
    http_rows(args, results)
    title = IDLE.format(n=args.idle)
    if not args.only or args.only in title:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        need = args.idle + 100
        if hard != resource.RLIM_INFINITY and hard < need:
            print(f"\n{title}: skipped, a process may have {hard} descriptors only")
        else:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
            table, medians = [], {}
            for name, command, extra in everyone:
                for beside in [[], ["late"]] if name in ("gomax", "base") else [[]]:
                    values = idle(args, command(2) + beside, environment(extra, 2), args.idle)
                    label = name + (", no buffer" if beside else "")
                    table.append((label, [f"{values[0]:,.0f}", f"{values[1] / 1e3:.1f}", f"{values[2]:.1f}", values[3]]))
                    medians[label] = values
            show(title, ["bytes", "echo us", f"CPU ms in {QUIET} s", "switches"], table)
            results.append({"row": title, "medians": medians, "columns": ["bytes", "echo_ns", "cpu_ms", "switches"]})
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": platform.processor() or platform.machine(), "kernel": platform.release(), "rows": results}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
