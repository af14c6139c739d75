#!/usr/bin/env python3
"""Takes away, one at a time, what the protocols rest on: each fence, each wake, each second look. Says what misses it.

ci/mutations.py [WORD...]    those whose name contains a word; without one, all. Prints a table; fails if something that is
                             not explained below is missed by nobody.

Works in a copy of the tree below target/. All of them are built at once: each is behind a look at GMX_MUTATION, so one
build serves. Then, for each: the loom models of its module, the shuttle models, and a few C tests, until one fails (or
hangs). Models that have something taken away themselves (finds_*) are left out."""

import json, os, re, signal, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TREE = TARGET / "mutations"

# Models that take longer (in seconds) are left out.
SLOW = float(os.environ.get("GMX_MUTATION_SLOW", 60))

# The models that look at a file, the nearest first.
MODELS = {
    "protocol/wake.rs": "wakes keepers timers stops locked syscalls",
    "protocol/park.rs": "parks wakes waits closes locked",
    "protocol/preempt.rs": "stops barriers",
    "protocol/ragged.rs": "barriers",
    "protocol/stw.rs": "stops barriers",
    "protocol/syscall.rs": "syscalls barriers stops locked",
    "protocol/resize.rs": "resizes",
    "protocol/lockedm.rs": "locked stops",
    "protocol/foreign.rs": "foreigns closes",
    "block/waitq.rs": "waits mutexes parks cancels keepers",
    "block/sema.rs": "waits",
    "block/mutex.rs": "mutexes",
    "block/waitgroup.rs": "mutexes",
    "block/join.rs": "parks",
    "block/sleep.rs": "keepers",
    "ds/runq.rs": "runqs",
    "gmp/p.rs": "syscalls stops barriers",
    "gmp/sched.rs": "closes",
}
C_TESTS = "00_smoke sema sleep mutex waitgroup idle s5 s3 syscalls lock_thread limits deadlock lifecycle sched_order timers_ps"

# Statements that are a fence or wake somebody: each is left out.
GENERATED = re.compile(
    r"^(\s*)((?:let _ = )?(?:\w+(?:::|\.))*"
    r"(?:fence|fence_after_rmw|light_fence|heavy_fence|count_wake|wakep\w*|wakeup|look_again|kick_keeper|timer_added|tell_watchers|quiet|startm)\(.*\);)$"
)

# File, function, text, text instead (@ is true in the mutant), what it is.
BY_HAND = [
    ("protocol/wake.rs", "go_idle", "if sched.globq_len() > 0 {", "if sched.globq_len() > 0 && !@ {", "I1: look at the global queue under the lock"),
    ("protocol/wake.rs", "go_idle", "if any_work(sched, at) {", "if any_work(sched, at) && !@ {", "I3: second look"),
    ("protocol/wake.rs", "any_work", "if sched.globq_len() > 0 {", "if sched.globq_len() > 0 && !@ {", "I3: at the global queue"),
    ("protocol/wake.rs", "any_work", "&& !p.runq_empty()", "&& !p.runq_empty() && !@", "I3: at the queues"),
    ("protocol/wake.rs", "any_work", "next_timer(sched) <= at", "!@ && next_timer(sched) <= at", "I3: at the timers"),
    ("protocol/wake.rs", "look_again", "if any_work(sched, i64::MIN) {", "if !@ && any_work(sched, i64::MIN) {", "look at the queues"),
    ("protocol/wake.rs", "look_again", "} else if first <", "} else if !@ && first <", "look at the timers"),
    ("protocol/wake.rs", "stopm", "if sched.exiting.load(Ordering::Relaxed) {\n            m.parked", "if !@ && sched.exiting.load(Ordering::Relaxed) {\n            m.parked", "look for the end before sleep"),
    ("protocol/wake.rs", "stopm", "        if let Some(pp) = m.take_nextp() {\n            // A waker", "        if !@ && let Some(pp) = m.take_nextp() {\n            // A waker", "W3: look for a P under the lock"),
    ("protocol/wake.rs", "stopm", "            m.park.sleep();\n", "            if !@ { m.park.sleep(); }\n", "W3: wait for the note that is on its way"),
    ("protocol/wake.rs", "stopm", "if next_timer(sched) <= now() {", "if !@ && next_timer(sched) <= now() {", "keeper: the timer is due"),
    ("protocol/wake.rs", "settle", "        mput(lk, old);", "        if !@ { mput(lk, old); }", "the old keeper stays one of the idle ones"),
    ("protocol/wake.rs", "kick_keeper", "        sched.keeper_until.store(when, Ordering::Relaxed);\n", "        if !@ { sched.keeper_until.store(when, Ordering::Relaxed); }\n", "until when the keeper sleeps"),
    ("protocol/wake.rs", "reset_spinning", "if m.spinning.replace(false) {", "if m.spinning.replace(false) && !@ {", "F1: nmspinning - 1"),
    ("protocol/wake.rs", "pidleput_carried", "Some((l, p)) => (lk, pp) = (l, p),", "Some((l, p)) => if @ { drop(l); p.forget(); return } else { (lk, pp) = (l, p) },", "try again after the requests"),
    ("protocol/syscall.rs", "handoffp", "sched.globq_len() > 0 {\n        return wake::startm", "!@ && sched.globq_len() > 0 {\n        return wake::startm", "Y2: the global queue"),
    ("protocol/syscall.rs", "handoffp", "if !pp.runq_empty() ||", "if !@ && !pp.runq_empty() ||", "Y2: its own queue"),
    ("protocol/syscall.rs", "handoffp", "if sched.nmspinning.load", "if !@ && sched.nmspinning.load", "Y2: nobody searches"),
    ("protocol/syscall.rs", "handoffp", "if first != NEVER &&", "if !@ && first != NEVER &&", "Y2: its timers"),
    ("protocol/syscall.rs", "look", "same || slice_over", "same || slice_over && !@", "T1: the slice is over"),
    ("protocol/syscall.rs", "exitsyscall_no_p", "if let Some(pp) = wake::pidleget", "if !@ && let Some(pp) = wake::pidleget", "X3: an idle P after all"),
    ("protocol/syscall.rs", "exitsyscall_no_p", "if sched.closing.load(Ordering::Relaxed) {", "if !@ && sched.closing.load(Ordering::Relaxed) {", "X3: the runtime is down"),
    ("protocol/stw.rs", "stop", "        if lk.stopwait == 0 {\n            drop", "        if !@ && lk.stopwait == 0 {\n            drop", "A3: all have stopped after all"),
    ("protocol/stw.rs", "stop", "if p.clear_request(STOP) {", "if !@ && p.clear_request(STOP) {", "A3: take STOP back"),
    ("protocol/stw.rs", "stop", "            sched.stopnote.sleep();\n", "            if !@ { sched.stopnote.sleep(); }\n", "A3: wait for the note that is on its way"),
    ("protocol/stw.rs", "start", "if p.runq_empty() {", "if @ || p.runq_empty() {", "C2: a stopped P with Gs gets an M"),
    ("protocol/preempt.rs", "stop_p", "if pp.word().requests() & STOP == 0 {", "if !@ && pp.word().requests() & STOP == 0 {", "B1: the stop may have been given up"),
    ("protocol/preempt.rs", "run_safe_point_fn", "if p.clear_request(FN) {", "if p.clear_request(FN) || @ {", "O1: whoever cleared it runs it"),
    ("protocol/ragged.rs", "for_each_p", "    b.wait.store(sched.procs() as i32, Ordering::Relaxed);", "    b.wait.store(if @ { 1 } else { sched.procs() as i32 }, Ordering::Relaxed);", "R1: all are counted before"),
    ("protocol/park.rs", "park_by_host", "&& gp.cas_status(GStatus::Parking, GStatus::Parked);", "&& (gp.cas_status(GStatus::Parking, GStatus::Parked) || @);", "K5: readied while the commit ran"),
    ("protocol/park.rs", "park_by_host", "    gp.set_status(GStatus::Parking);\n", "    if !@ { gp.set_status(GStatus::Parking); }\n", "K1: readable from here on"),
    ("protocol/park.rs", "park_thread", "&& gp.cas_status(GStatus::Parking, GStatus::Parked);", "&& (gp.cas_status(GStatus::Parking, GStatus::Parked) || @);", "K5: readied while the commit of a thread ran"),
    ("protocol/park.rs", "park_thread", "            m.park.sleep();\n", "            if !@ { m.park.sleep(); }\n", "expired: wait for who has taken the record"),
    ("protocol/park.rs", "start", "if m.p().is_none() && m.sched().is_closing() {", "if !@ && m.p().is_none() && m.sched().is_closing() {", "a spawn looks for the end"),
    ("protocol/park.rs", "recycle", "if gp.has(gflag::ZOMBIE) && gp.cas_status(GStatus::Running, GStatus::Dead) {", "if gp.has(gflag::ZOMBIE) && (gp.cas_status(GStatus::Running, GStatus::Dead) || @) {", "who comes second frees a zombie"),
    ("protocol/lockedm.rs", "wait", "if serve(sched, m, gp) {", "if serve(sched, m, gp) || @ {", "K3: the P may be taken again"),
    ("protocol/lockedm.rs", "wait", "if m.p().is_some() {", "if !@ && m.p().is_some() {", "K1: hand the P off"),
    ("protocol/lockedm.rs", "startlockedm", "    wake::reset_spinning(sched, m);", "    if !@ { wake::reset_spinning(sched, m); }", "K2: it searches no more"),
    ("block/waitq.rs", "wait_then", "let waits = still(&mut guard);", "let waits = still(&mut guard) || @;", "A2: test once more"),
    ("block/waitq.rs", "wait_then", "canceled = canceled || registered", "canceled = canceled || !@ && registered", "A2: cancelled meanwhile"),
    ("block/waitq.rs", "wait_then", "        Timers::remove(&gp.timer);\n", "        if !@ { Timers::remove(&gp.timer); }\n", "A4: stop the timer"),
    ("block/waitq.rs", "end_wait", "if gp.sudog.addr.get() != addr {", "if !@ && gp.sudog.addr.get() != addr {", "look at the address under the lock"),
    ("block/waitq.rs", "end_wait", "if gp.sudog.seq.get() != seq {", "if !@ && gp.sudog.seq.get() != seq {", "another wait by now"),
    ("block/waitq.rs", "wake_one", "            park::goready(m, gp);\n", "            if !@ { park::goready(m, gp); }\n", "B2: ready it"),
    ("block/sema.rs", "acquire_slow", "Waited::Woken => {\n                if try_acquire(s) {", "Waited::Woken => {\n                if try_acquire(s) || @ {", "woken: compete for it"),
    ("block/sema.rs", "release_handoff", "if gp.is_none() {", "if gp.is_none() && !@ {", "a hand-off to nobody counts"),
    ("block/mutex.rs", "lock_waiting", "self.state.load(Ordering::Relaxed) & both == both", "(@ || self.state.load(Ordering::Relaxed) & both == both)", "held and awaited, under the lock"),
    ("block/mutex.rs", "lock_waiting", "let to = (s | LOCKED) & !woken;", "let to = (s | LOCKED) & !(if @ { 0 } else { woken });", "who was woken says so"),
    ("block/mutex.rs", "unlock_slow", "let rest = if more { WAITERS } else { 0 };", "let rest = if more && !@ { WAITERS } else { 0 };", "there are more who wait"),
    ("block/waitgroup.rs", "wait", "self.state.load(Ordering::SeqCst) & WAIT != 0", "(@ || self.state.load(Ordering::SeqCst) & WAIT != 0)", "still to wait, under the lock"),
    ("block/join.rs", "bury", "if !gp.cas_status(GStatus::Running, GStatus::Waiting) {", "if !gp.cas_status(GStatus::Running, GStatus::Waiting) || @ {", "who comes second frees a zombie"),
    ("block/join.rs", "on_exit", "if !gp.has(gflag::JOINABLE) {", "if !@ && !gp.has(gflag::JOINABLE) {", "let go meanwhile"),
    ("ds/runq.rs", "push", "self.tail.store(t + 1, Ordering::Release);", "self.tail.store(t + 1, if @ { Ordering::Relaxed } else { Ordering::Release });", "entries are seen by thieves"),
    ("ds/runq.rs", "pop_newest", "self.tail.store(last, Ordering::Release);", "self.tail.store(last, if @ { Ordering::Relaxed } else { Ordering::Release });", "and by those who see the step back"),
    ("ds/runq.rs", "pop_newest", "if h < last {", "if h < last || @ {", "the last one: whoever moves head has it"),
    ("ds/runq.rs", "pop_newest", "    self.tail.store(t, Ordering::Relaxed);\n", "    if !@ { self.tail.store(t, Ordering::Relaxed); }\n", "the step back is taken back"),
    ("ds/runq.rs", "steal_half", "if n > (N - N / 2) as u64 {", "if n > (N - N / 2) as u64 && !@ {", "head is an old one"),
    ("ds/runq.rs", "steal_half", "into.tail.store(to + n - 1, Ordering::Release);", "into.tail.store(to + n - 1, if @ { Ordering::Relaxed } else { Ordering::Release });", "stolen entries are seen by thieves"),
    ("gmp/p.rs", "try_idle", "if w.requests() & (STOP | FN) != 0 {", "if !@ && w.requests() & (STOP | FN) != 0 {", "requests bar the idle list"),
    ("protocol/syscall.rs", "leave", "p.requests() & (STOP | FN) == 0", "(@ || p.requests() & (STOP | FN) == 0)", "E3: look at the requests"),
    ("gmp/p.rs", "back_slow", "if w.tick() != left.tick() {", "if !@ && w.tick() != left.tick() {", "X2: taken meanwhile"),
    ("gmp/p.rs", "take", "|| !self.in_syscall(w) {", "|| !@ && !self.in_syscall(w) {", "T3: in a syscall"),
    ("gmp/p.rs", "runq_empty", "if self.runnext.load(Ordering::Acquire) == next {", "if @ || self.runnext.load(Ordering::Acquire) == next {", "runnext may be on its way to the queue"),
]

# What nothing misses, by the name in the table, and why it is there all the same.
EXPLAINED = {
}


def functions(text):
    """Name, begin and end of each function."""
    for m in re.finditer(r"^( *)(?:pub(?:\([a-z]+\))? )?(?:const )?(?:unsafe )?fn (\w+)", text, re.M):
        end = text.find("\n" + m[1] + "}", m.end())
        yield m[2], m.start(), end if end > 0 else len(text)


class Mutation:
    def __init__(self, file, function, at, old, new, what):
        self.file, self.function, self.at, self.old, self.new, self.what = file, function, at, old, new, what


def mutations():
    out = []
    for file in MODELS:
        text = (ROOT / "src" / file).read_text()
        if not file.startswith("gmp/"):
            for name, begin, end in functions(text):
                offset = begin
                for line in text[begin:end].splitlines(keepends=True):
                    m = GENERATED.match(line.rstrip("\n"))
                    if m:
                        new = f"{m[1]}if !@ {{ {m[2]} }}"
                        out.append(Mutation(file, name, offset, line.rstrip("\n"), new, m[2]))
                    offset += len(line)
        for f, function, old, new, what in BY_HAND:
            if f != file:
                continue
            places = [
                begin + m.start()
                for name, begin, end in functions(text)
                if name == function
                for m in re.finditer(re.escape(old), text[begin:end])
            ]
            if len(places) != 1:
                sys.exit(f"{file}, {function}: {len(places)} times, and not once: {old}")
            out.append(Mutation(file, function, places[0], old, new, what))
    seen = {}
    for i, m in enumerate(out):
        m.n = i + 1
        name = f"{m.file} {m.function}: {m.what}"
        seen[name] = seen.get(name, 0) + 1
        m.name = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return out


def put(path, text):
    """Writes only what differs, so that little is built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(errors="surrogateescape") != text:
        path.write_text(text, errors="surrogateescape")


def make_tree(all_of_them):
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    for file in filter(None, files):
        text = (ROOT / file).read_text(errors="surrogateescape")
        here = [m for m in all_of_them if "src/" + m.file == file]
        # From the last to the first, so that places stay. Of two at one place the second is inside of what the first left.
        for m in sorted(here, key=lambda m: (m.at, m.n), reverse=True):
            new = m.new.replace("@", f"crate::mutated({m.n})")
            if text[m.at : m.at + len(m.old)] != m.old:
                sys.exit(f"{m.name}: overlaps with another")
            text = text[: m.at] + new + text[m.at + len(m.old) :]
        if file == "src/lib.rs":
            text += """
/// Whether this one is to be left out.
pub(crate) fn mutated(n: u32) -> bool {
    static N: std::sync::LazyLock<u32> =
        std::sync::LazyLock::new(|| std::env::var("GMX_MUTATION").map_or(0, |n| n.parse().unwrap()));
    *N == n
}
"""
        put(TREE / file, text)
        os.chmod(TREE / file, os.stat(ROOT / file).st_mode)


def build_models(checker):
    env = dict(os.environ, RUSTFLAGS=f"--cfg {checker}", CARGO_TARGET_DIR=str(TARGET / checker))
    cmd = ["cargo", "test", "--quiet", "--profile", "models", "--lib", "--no-run", "--message-format=json"]
    p = subprocess.run(cmd, cwd=TREE, env=env, stdout=subprocess.PIPE, text=True)
    if p.returncode:
        sys.exit("the copy does not build")
    exes = [json.loads(l).get("executable") for l in p.stdout.splitlines()]
    return [e for e in exes if e][-1]


def run(cmd, n, limit, **more):
    """None: passed. Otherwise how it failed."""
    env = dict(os.environ, GMX_MUTATION=str(n), **more)
    p = subprocess.Popen(cmd, cwd=TREE, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        p.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        return "hangs"
    return None if p.returncode == 0 else "fails"


class Models:
    def __init__(self, checker, exe, **env):
        self.checker, self.exe, self.env = checker, exe, env
        names = subprocess.run([exe, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
        names = [n[: -len(": test")] for n in names if n.startswith("models::") and n.endswith(": test")]
        self.names = [n for n in names if "::finds_" not in n and not n.endswith(("every_fence_has_a_model", "it_is_what_ships"))]
        # What an earlier run has measured.
        self.known = TARGET / f"mutations-{checker}.json"
        self.took = json.loads(self.known.read_text()) if self.known.exists() else {}

    def one(self, name, n, limit):
        return run([self.exe, "--exact", name, "--test-threads", "1"], n, limit, **self.env)

    def modules(self, words):
        return [n for w in words for n in self.names if n.startswith(f"models::{w}::")]

    def measure(self, names):
        for name in names:
            if name not in self.took:
                begun = time.monotonic()
                if self.one(name, 0, 600):
                    sys.exit(f"{self.checker} {name} fails as it is")
                self.took[name] = time.monotonic() - begun
                self.known.write_text(json.dumps(self.took))

    def missed_by(self, n, names):
        self.measure(names)
        for name in sorted((m for m in names if self.took[m] < SLOW), key=lambda m: self.took[m]):
            how = self.one(name, n, 30 + 10 * self.took[name])
            if how:
                return f"{self.checker} {name[len('models::'):]} {how}"
        return None


def main():
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    all_of_them = mutations()
    chosen = [m for m in all_of_them if not words or any(w in m.name for w in words)]
    make_tree(all_of_them)
    loom, shuttle = Models("loom", build_models("loom")), Models("shuttle", build_models("shuttle"), GMX_SCHEDULES="300")
    lib = None
    rows, bad = [], 0
    for m in chosen:
        by = loom.missed_by(m.n, loom.modules(MODELS[m.file].split())) or shuttle.missed_by(m.n, shuttle.names)
        if not by and "--models" not in sys.argv:
            if lib is None:
                env = dict(os.environ, CARGO_TARGET_DIR=str(TARGET / "mutations-c"))
                if subprocess.run(["cargo", "test", "--quiet", "--test", "ctests", "--no-run"], cwd=TREE, env=env).returncode:
                    sys.exit("the copy does not build")
                lib = str(TARGET / "mutations-c")
            for test in C_TESTS.split():
                how = run(["cargo", "test", "--quiet", "--test", "ctests", "--", "--exact", test], m.n, 300, CARGO_TARGET_DIR=lib)
                if how:
                    by = f"C {test} {how}"
                    break
        why = EXPLAINED.get(m.name)
        if not by:
            bad += not why
            by = f"nobody: {why}" if why else "NOBODY"
        rows.append((m.name, by))
        print(f"{len(rows):3}/{len(chosen)} {m.name} -> {by}", flush=True)
    width = max((len(r[0]) for r in rows), default=0)
    print("\n" + "\n".join(f"{name:{width}}  {by}" for name, by in rows))
    missed = sum(not by.startswith(("nobody", "NOBODY")) for _, by in rows)
    print(f"\n{len(rows)} mutations: {missed} found, {len(rows) - missed - bad} explained, {bad} not explained")
    sys.exit(1 if bad else 0)


main()
