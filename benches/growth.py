#!/usr/bin/env python3
"""Measures how the cost of an operation grows with the number of Ps, and of Gs: gomax and Go in turn, as two charts.

    PEERS=go benches/run.sh --growth [--rounds N] [--quick]

builds both and calls this. Medians of CPU time, which says more than the clock where the machine has more to do than this.
"""
import argparse
import json
import math
import os
import statistics
import sys

from run import COLOURS, Go, Gomax, run

# (title of the chart, file, what x is, xs, [(title, case, Ps, arguments)]); {x} is put in
CHARTS = [
    ("Operations on all Ps", "growth-ps", "Ps", [1, 10, 100, 1000, 10000], [
        ("for each P, all others idle", "for_each_p", "{x}", "{n}"),
        ("stop + start the world, all others idle", "stop_start_world", "{x}", "{n}"),
        ("gomaxprocs 1 and back", "gomaxprocs", "1", "{n} {x}"),
        ("semaphore there and back, all others idle", "sema_pingpong", "{x}", "{n}"),
    ]),
    ("Operations among many Gs", "growth-gs", "Gs", [10, 100, 1000, 10000, 100000, 1000000], [
        ("yield, round and round, 1 P", "yield", "1", "{n} {x}"),
        ("spawn + run + end, so many at a time, 1 P", "spawn_batches", "1", "{n} {x}"),
        ("park for good: a G each", "parked", "1", "{x}"),
        ("timer start + stop beside so many", "timer_start_stop", "1", "{n} {x}"),
    ]),
]


def operations(case, x, quick):
    """Enough for about a tenth of a second, and no fewer than there are Gs."""
    if case in ("for_each_p", "stop_start_world", "gomaxprocs"):
        return max(10, (20000 if quick else 100000) // max(x, 10))
    if case == "sema_pingpong":
        return 30000 if quick else 200000
    return max(x, 300000 if quick else 2000000)


def measure(peers, charts, rounds, quick):
    results = {}
    for number in range(rounds):
        for _, name, _, xs, rows in charts:
            for title, case, ps, arguments in rows:
                for x in xs:
                    fill = {"x": x, "n": operations(case, x, quick)}
                    for peer in peers if number % 2 == 0 else reversed(peers):
                        command = peer.command(case, ps.format(**fill), arguments.format(**fill), "ns")
                        values, failed = run(command, peer.env, 120)
                        if failed:
                            print(f"  {peer.name}: {' '.join(command[1:])}: {failed}", file=sys.stderr)
                        else:
                            key = (name, title, peer.name, x)
                            results.setdefault(key, []).append(values.get("cpu_ns", values["ns"]))
    return {key: statistics.median(v) for key, v in results.items()}


def chart(title, what, xs, rows, peers, points):
    """SVG, both axes logarithmic: a line for each case and peer; ours whole, theirs broken."""
    dashes = {"go": "5,4"}
    shades = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd"]
    left, right, top, bottom = 70, 520, 40, 360
    ys = list(points.values())
    low, high = 10 ** math.floor(math.log10(min(ys))), 10 ** math.ceil(math.log10(max(ys)))

    def px(x):
        return left + (right - left) * math.log(x / xs[0]) / math.log(xs[-1] / xs[0])

    def py(y):
        return bottom - (bottom - top) * math.log(y / low) / math.log(high / low)

    width, height = right + 330, bottom + 50
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#fff"/><text x="8" y="20" font-size="13">{title}: CPU time of one</text>',
    ]
    for x in xs:
        out.append(f'<line x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{top}" y2="{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{px(x):.1f}" y="{bottom + 16}" text-anchor="middle">{x:,}</text>')
    out.append(f'<text x="{(left + right) / 2}" y="{bottom + 34}" text-anchor="middle">{what}</text>')
    y = low
    while y <= high:
        text = f"{y:g} ns" if y < 1e3 else f"{y / 1e3:g} us" if y < 1e6 else f"{y / 1e6:g} ms"
        out.append(f'<line x1="{left}" x2="{right}" y1="{py(y):.1f}" y2="{py(y):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 6}" y="{py(y) + 4:.1f}" text-anchor="end">{text}</text>')
        y *= 10
    at = top + 10
    for (row, *_), colour in zip(rows, shades):
        for peer in peers:
            line = [(px(x), py(points[row, peer, x])) for x in xs if (row, peer, x) in points]
            if not line:
                continue
            style = f'stroke="{colour}" stroke-width="2" fill="none" stroke-dasharray="{dashes.get(peer, "none")}"'
            out.append(f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in line)}" {style}/>')
            out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in line]
            out.append(f'<line x1="{right + 14}" x2="{right + 44}" y1="{at}" y2="{at}" {style}/>')
            out.append(f'<text x="{right + 50}" y="{at + 4}">{peer}: {row}</text>')
            at += 20
    return "\n".join([*out, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gmxbench", required=True)
    parser.add_argument("--lib", required=True)
    parser.add_argument("--go")
    parser.add_argument("--out", required=True, help="directory of the charts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    peers = [Gomax("gomax", args.gmxbench, args.lib)] + ([Go(args.go)] if args.go else [])
    names = [p.name for p in peers]
    results = measure(peers, CHARTS, args.rounds, args.quick)
    for title, name, what, xs, rows in CHARTS:
        points = {key[1:]: v for key, v in results.items() if key[0] == name}
        print(f"\n{title}: CPU ns of one" + "".join(f"{x:>12,}" for x in xs))
        for row, *_ in rows:
            for peer in names:
                cells = [points.get((row, peer, x)) for x in xs]
                print(f"{peer:>6} {row:42}" + "".join(f"{'-' if c is None else format(c, ',.0f'):>12}" for c in cells))
        with open(os.path.join(args.out, name + ".svg"), "w") as f:
            f.write(chart(title, what, xs, rows, names, points))
    with open(os.path.join(args.out, "growth.json"), "w") as f:
        json.dump([{"chart": k[0], "case": k[1], "peer": k[2], "x": k[3], "ns": v} for k, v in results.items()], f, indent=1)


if __name__ == "__main__":
    main()
