"""Finds files with the same content: a pipeline of goroutines that ends early when told to.

    python duplicates.py [--jobs N] [--timeout SECONDS] DIRECTORY...

Walkers list the directories, one goroutine sorts the files by size, hashers read those whose size is not the only one
of its kind, and the main thread shows how far it is and collects. hashlib lets go of the GIL, so hashers run in
parallel. Ctrl-C or the timeout cancel the scope: every wait ends, and what was found until then is printed.
"""

import argparse
import hashlib
import os
import sys
from collections import defaultdict

import gomax

BLOCK = 1 << 20


def walk(directory, files):
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                files.send((os.path.getsize(path), path))


def same_size(files, candidates):
    """Passes on each file that has the size of another one."""
    first = {}
    with candidates:
        for size, path in files:
            if size not in first:
                first[size] = path
                continue
            if first[size]:
                candidates.send(first[size])
                first[size] = None
            candidates.send(path)


def digest(path):
    hash_ = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            gomax.check_canceled()  # a large file waits for nothing: it asks
            hash_.update(block)
    return hash_.hexdigest()


def hash_all(candidates, found):
    for path in candidates:
        try:
            found.send((digest(path), path))
        except OSError as e:
            print(f"{path}: {e.strerror}", file=sys.stderr)


def when_all_ended(group, channel):
    group.wait()
    channel.close()


def duplicates(directories, jobs, timeout, show):
    """Digest -> paths, for all that occur more than once; and whether that is all."""
    same = defaultdict(list)
    files, candidates, found = gomax.Channel(1000), gomax.Channel(1000), gomax.Channel(100)
    walkers, hashers = gomax.WaitGroup(len(directories)), gomax.WaitGroup(jobs)

    def counted(group, fn, *args):
        try:
            fn(*args)
        finally:
            group.done()

    complete = False
    try:
        with gomax.scope(timeout) as scope:
            for directory in directories:
                scope.go(counted, walkers, walk, directory, files)
            scope.go(when_all_ended, walkers, files)
            scope.go(same_size, files, candidates)
            for _ in range(jobs):
                scope.go(counted, hashers, hash_all, candidates, found)
            scope.go(when_all_ended, hashers, found)

            progress, hashed = gomax.Ticker(0.5), 0
            while True:
                chosen = gomax.select(found, progress)
                if chosen.case == 1:
                    show(f"{hashed} hashed, {len(candidates)} to do")
                elif chosen.ok:
                    hashed += 1
                    same[chosen.value[0]].append(chosen.value[1])
                else:
                    break
        complete = True
    except (TimeoutError, KeyboardInterrupt):
        pass
    return {k: sorted(v) for k, v in same.items() if len(v) > 1}, complete


def main():
    parser = argparse.ArgumentParser(description="Finds files with the same content.")
    parser.add_argument("directories", nargs="+", metavar="DIRECTORY")
    parser.add_argument("--jobs", type=int, default=4 * gomax.num_cpu())
    parser.add_argument("--timeout", type=float)
    options = parser.parse_args()
    show = (lambda text: print(text, file=sys.stderr)) if sys.stderr.isatty() else lambda text: None
    found, complete = duplicates(options.directories, options.jobs, options.timeout, show)
    for paths in sorted(found.values()):
        print("\n".join(paths), end="\n\n")
    if not complete:
        print("incomplete: it was interrupted", file=sys.stderr)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
