#!/usr/bin/env python3
"""Takes a part of the protocols away, one at a time: each fence, each wake, each second look. Says which test fails then.

ci/mutations.py [WORD...]    runs the mutations whose name contains a word; without one, all. Prints a table; fails if no
                             test finds a mutation that is not explained below.
             --models        without tests of real threads
             --real          only tests of real threads
             --near          of the C programs only those about the same subject: decides some mutations quickly
             --loom          only loom, and only mutations without a known result
             --missed        only mutations that no test found in their last run
             --list          prints the names only

It works in a copy of the tree below target/. One build holds all mutations, each behind a look at GMX_MUTATION. For each
mutation it runs the loom and the shuttle models of its module, its unit tests, and a few C tests against a library with
wideners, until one of them fails. Tests that have found other mutations of the same file come first. The models that take
a part away themselves (finds_*) are left out. A model that runs into its limit decides nothing. ci/models.sh shows that
the models pass without mutations.

GMX_MUTATION_SLOW=60         the most seconds of processor time for one model
GMX_MUTATION_BUDGET          the most seconds for all models of one mutation
GMX_JOBS=1                   mutations at a time"""

import json, os, re, shutil, signal, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TREE = TARGET / "mutations"

OPTIONS = {"--models", "--real", "--near", "--loom", "--missed", "--list"}
SLOW = float(os.environ.get("GMX_MUTATION_SLOW", 60))
BUDGET = float(os.environ.get("GMX_MUTATION_BUDGET", 1e9))

# The models of a file, the nearest first.
MODELS = {
    "sync/lock.rs": "notes",
    "sync/note.rs": "notes",
    "sync/event.rs": "notes",
    "protocol/wake.rs": "wakes polls timer_waiters timers stops locked syscalls closes seizes",
    "protocol/park.rs": "parks wakes waits closes locked asks glances",
    "protocol/thread.rs": "parks waits closes",
    "protocol/store.rs": "parks closes cancels",
    "protocol/idle.rs": "wakes timer_waiters stops barriers",
    "protocol/preempt.rs": "asks stops barriers",
    "protocol/ragged.rs": "barriers asks",
    "protocol/seize.rs": "seizes anywhere",
    "protocol/stw.rs": "stops barriers asks seizes anywhere",
    "protocol/rescue.rs": "rescues",
    "protocol/syscall.rs": "syscalls seizes barriers stops locked closes",
    "protocol/resize.rs": "resizes",
    "protocol/lockedm.rs": "locked seizes stops anywhere",
    "protocol/quiet.rs": "quiets",
    "protocol/foreign.rs": "foreigns closes",
    "protocol/tidy.rs": "tidies",
    "block/waitq.rs": "waits mutexes parks cancels timer_waiters rounds",
    "block/sema.rs": "waits",
    "block/barrier.rs": "rounds lifetimes",
    "block/mutex.rs": "mutexes lifetimes",
    "block/waitgroup.rs": "mutexes lifetimes",
    "block/join.rs": "parks",
    "block/sleep.rs": "timer_waiters",
    "block/chan.rs": "chans selects watches",
    "block/chan/ring.rs": "chans selects watches",
    "block/chan/record.rs": "chans selects watches",
    "block/chan/life.rs": "chans selects watches",
    "block/chan/words.rs": "chans selects watches",
    "block/chan/watch.rs": "watches",
    "block/segments.rs": "chans",
    "block/select.rs": "selects chans",
    "block/claim.rs": "chans selects cancels parkings",
    "block/parking.rs": "parkings",
    "block/cancel.rs": "cancels chans selects",
    "block/cancel/hooks.rs": "cancels",
    "block/done.rs": "cancels",
    "block/hook.rs": "cancels",
    "block/class.rs": "classes",
    "block/edges.rs": "polls fds",
    "block/fd.rs": "fds",
    "block/fd/call.rs": "fds",
    "block/fd/epoll.rs": "fds",
    "block/fd/ready.rs": "fds",
    "block/fd/connect.rs": "",
    "block/fd/stream.rs": "",
    "block/fd/many.rs": "",
    "block/fd/message.rs": "",
    "block/disk.rs": "",
    "block/file.rs": "",
    "block/copy.rs": "copies",
    "block/names.rs": "offloads",
    "block/offload.rs": "offloads",
    "block/post.rs": "posts",
    "block/process.rs": "",
    "block/dial.rs": "",
    "block/listen.rs": "",
    "sys/linux_net.rs": "",
    "sys/linux_io.rs": "",
    "block/timer.rs": "timers",
    "block/rwmutex.rs": "rw lifetimes",
    "block/cond.rs": "rw lifetimes",
    "block/once.rs": "onces lifetimes",
    "block/scope.rs": "scopes closes",
    "gmp/timers.rs": "timers timer_waiters",
    "ds/runq.rs": "runqs",
    "block/vain.rs": "",
    "gmp/g.rs": "asks glances",
    "gmp/glance.rs": "glances",
    "gmp/m.rs": "seizes syscalls stops parkings",
    "gmp/p.rs": "queues syscalls stops barriers",
    "gmp/p/stacks.rs": "queues syscalls stops barriers",
    "gmp/p/to_run.rs": "queues syscalls stops barriers",
    "gmp/p/word.rs": "queues syscalls seizes stops barriers",
    "gmp/queue.rs": "queues",
    "gmp/sched.rs": "closes",
    "gmp/record.rs": "",
    "trace/ring.rs": "rings",
    "sched/tracing.rs": "",
}
# The C tests of a file, which run before the others.
C_NEAR = {
    "block/chan.rs": "chan chan_drop chan_cancel chan_unbounded chan_memory select timers",
    "block/chan/ring.rs": "chan chan_drop chan_cancel chan_unbounded chan_memory select timers",
    "block/chan/record.rs": "chan chan_drop chan_cancel chan_unbounded chan_memory select timers",
    "block/chan/life.rs": "chan chan_drop chan_cancel chan_unbounded chan_memory select timers",
    "block/chan/words.rs": "chan chan_drop chan_cancel chan_unbounded chan_memory select timers",
    "block/segments.rs": "chan_unbounded chan_memory",
    "block/chan/watch.rs": "chan_ready",
    "block/select.rs": "select chan_cancel",
    "block/claim.rs": "chan_cancel select chan",
    "block/cancel.rs": "cancel tokens chan_cancel scope",
    "block/cancel/hooks.rs": "tokens",
    "block/done.rs": "tokens",
    "block/hook.rs": "tokens",
    "block/timer.rs": "timers timers_memory after",
    "block/edges.rs": "fd_wait fd_smoke fd_race",
    "block/fd.rs": "file_direct fd_wait fd_close fd_deadlines fd_streams fd_seen fd_net fd_smoke fd_race fd_lost net_listen",
    "block/fd/call.rs": "fd_wait fd_close fd_deadlines fd_streams fd_seen fd_net fd_smoke fd_race fd_lost net_listen",
    "block/fd/epoll.rs": "fd_wait fd_close fd_deadlines fd_streams fd_seen fd_net fd_smoke fd_race fd_lost net_listen",
    "block/fd/ready.rs": "fd_wait fd_close fd_deadlines fd_streams fd_seen fd_net fd_smoke fd_race fd_lost net_listen",
    "block/fd/connect.rs": "fd_net net_faults",
    "block/fd/stream.rs": "fd_smoke fd_streams fd_many fd_messages",
    "block/fd/many.rs": "fd_many",
    "block/fd/message.rs": "fd_messages",
    "block/copy.rs": "file_copy",
    "block/disk.rs": "files file_batch file_direct",
    "block/file.rs": "files",
    "block/names.rs": "net_names",
    "block/offload.rs": "files net_names",
    "block/post.rs": "post",
    "block/process.rs": "process",
    "block/dial.rs": "net_dial fd_net",
    "block/listen.rs": "net_listen",
    "sys/linux_net.rs": "fd_messages net_listen",
    "sys/linux_io.rs": "fd_smoke",
    "block/rwmutex.rs": "rwmutex last_user",
    "block/cond.rs": "cond vain last_user",
    "block/vain.rs": "vain",
    "block/once.rs": "once last_user",
    "block/scope.rs": "scope scope_body",
    "block/join.rs": "handles",
    "protocol/tidy.rs": "memory",
    "block/waitgroup.rs": "waitgroup last_user",
    "block/waitq.rs": "cancel sema cond",
    "gmp/timers.rs": "timers timers_ps sleep procs",
    "gmp/p/to_run.rs": "deaf",
    "protocol/seize.rs": "hog_locks hogs hog_kinds blocking_calls",
    "protocol/resize.rs": "procs",
    "protocol/lockedm.rs": "lock_thread foreign hog_locks",
    "protocol/quiet.rs": "deadlock lack lifecycle",
    "protocol/foreign.rs": "foreign",
    "protocol/ragged.rs": "barrier",
    "protocol/preempt.rs": "barrier world safepoint",
    "protocol/stw.rs": "world watchdog",
    "protocol/rescue.rs": "deaf hog_locks",
    "protocol/syscall.rs": "syscalls watchdog sched_order deaf",
    "protocol/park.rs": "handles steal random",
    "protocol/thread.rs": "foreign deadlock lifecycle",
    "protocol/store.rs": "handles limits random",
    "protocol/wake.rs": "timers_ps watchdog lifecycle deadlock random",
    "gmp/record.rs": "trace",
    "trace/ring.rs": "trace",
    "sched/tracing.rs": "trace",
}
UNITS_NEAR = {
    "ds/runq.rs": "ds::runq",
    "gmp/p.rs": "gmp::p",
    "gmp/p/stacks.rs": "gmp::p",
    "gmp/p/to_run.rs": "gmp::p",
    "gmp/p/word.rs": "gmp::p",
    "gmp/queue.rs": "gmp::p",
    "gmp/timers.rs": "gmp::timers",
}
C_TESTS = "smoke sema sleep mutex waitgroup idle stop_barrier_syscall world_lock syscalls lock_thread limits deadlock lifecycle sched_order timers_ps"

# Statements that execute a fence or wake a thread: each is left out once.
GENERATED = re.compile(
    r"^(\s*)((?:let _ = )?(?:\w+(?:::|\.))*"
    r"(?:fence|fence_after_rmw|asymmetric_fence_light|asymmetric_fence_heavy|count_wake|wakep\w*|wakeup|look_again|kick_timer_waiter|timer_added\w*|tell_watchers|count_for_watchers|tell|wake_after|startm)\(.*\);)$"
)

# File, function, text, text instead (@ is true in the mutant), what it is.
BY_HAND = [
    ("sync/lock.rs", "try_lock", "HELD, Ordering::Acquire", "HELD, if @ { Ordering::Relaxed } else { Ordering::Acquire }", "LOCK-A1: Acquire"),
    ("sync/lock.rs", "lock_slow", "taken, Ordering::Acquire", "taken, if @ { Ordering::Relaxed } else { Ordering::Acquire }", "LOCK-A2: Acquire"),
    ("sync/lock.rs", "lock_slow", "swap(AWAITED, Ordering::Acquire)", "swap(AWAITED, if @ { Ordering::Relaxed } else { Ordering::Acquire })", "LOCK-A3: Acquire"),
    ("sync/lock.rs", "lock_slow", "            taken = AWAITED;", "            if !@ { taken = AWAITED; }", "LOCK-I1: a thread that has slept expects others to sleep"),
    ("sync/lock.rs", "unlock", "swap(OPEN, Ordering::Release)", "swap(OPEN, if @ { Ordering::Relaxed } else { Ordering::Release })", "LOCK-R1: Release"),
    ("sync/lock.rs", "unlock", "            wake(word);", "            if !@ { wake(word); }", "LOCK-R2: the wake"),
    ("sync/note.rs", "wake", "_ = futex::wake(word, 1),", "_ = if !@ { futex::wake(word, 1) } else { 0 },", "NOTE-W2: the wake"),
    ("sync/note.rs", "nudge", "        futex::wake(&self.word, 1);", "        if !@ { futex::wake(&self.word, 1); }", "NOTE-W2: the wake by a caller that kept no sleeper"),
    ("sync/note.rs", "set", "SLEEPING => Sleeper::At(word),", "SLEEPING if !@ => Sleeper::At(word),", "NOTE-W2: the setter finds the sleeper"),
    ("sync/note.rs", "set", "Ordering::AcqRel", "if @ { Ordering::Acquire } else { Ordering::AcqRel }", "NOTE-W1: Release"),
    ("sync/note.rs", "clear", "Ordering::AcqRel", "if @ { Ordering::Acquire } else { Ordering::AcqRel }", "NOTE-S4: Release"),
    ("sync/note.rs", "is_set", "Ordering::Acquire", "if @ { Ordering::Relaxed } else { Ordering::Acquire }", "Acquire of a look"),
    ("sync/note.rs", "sleep_until", "CLEAR, SLEEPING, Ordering::Release", "CLEAR, SLEEPING, if @ { Ordering::Relaxed } else { Ordering::Release }", "NOTE-S1: Release"),
    ("sync/note.rs", "sleep_until", "CLEAR, Ordering::Relaxed, Ordering::Acquire", "CLEAR, Ordering::Relaxed, if @ { Ordering::Relaxed } else { Ordering::Acquire }", "NOTE-S3: Acquire"),
    ("sync/note.rs", "sleep_until", ".is_err();", ".is_err() || @;", "NOTE-S3: a note that was not set"),
    ("sync/event.rs", "count", "        self.0.fetch_add(1, Ordering::SeqCst);", "        if !@ { self.0.fetch_add(1, Ordering::SeqCst); }", "EVENT-N1"),
    ("sync/event.rs", "happen", "        futex::wake(&self.0, i32::MAX);", "        if !@ { futex::wake(&self.0, i32::MAX); }", "EVENT-N2: the wake"),
    ("sync/event.rs", "now", "Ordering::SeqCst", "if @ { Ordering::Relaxed } else { Ordering::SeqCst }", "Acquire of a look"),
    ("trace/ring.rs", "put", "self.written.store(n + 1, Ordering::Release);", "self.written.store(n + 1, if @ { Ordering::Relaxed } else { Ordering::Release });", "RING-W2: Release"),
    ("trace/ring.rs", "copy", "let n = self.written.load(Ordering::Acquire);", "let n = self.written.load(if @ { Ordering::Relaxed } else { Ordering::Acquire });", "RING-R1: Acquire"),
    ("trace/ring.rs", "copy", "let now = self.written.load(Ordering::Relaxed);", "let now = if @ { n } else { self.written.load(Ordering::Relaxed) };", "RING-R2: what was overwritten"),
    ("gmp/record.rs", "g_seq", "gp.trace_seq.set(seq);", "if !@ { gp.trace_seq.set(seq); }", "RECORD-2: the number goes with the G"),
    ("gmp/record.rs", "p_seq", "p.trace_seq.set(seq);", "if !@ { p.trace_seq.set(seq); }", "RECORD-2: the number goes with the P"),
    ("gmp/record.rs", "settle", "if on != m.is_traced() {", "if on != m.is_traced() && !(@ && on) {", "TRACE-3: an M that gets a P looks for its ring"),
    ("sched/tracing.rs", "settle", "record::settle(&m);", "if !@ { record::settle(&m); }", "TRACE-3: an M that has a P looks for its ring"),
    ("protocol/park.rs", "goready_with_care", "if m.ring().is_some() {", "if m.ring().is_some() && !@ {", "RECORD-3: a G is readied"),
    ("protocol/syscall.rs", "take", "if let Some(taken) = &taken {", "if let Some(taken) = &taken && !@ {", "RECORD-3: a P is taken from the host's code"),
    ("protocol/wake.rs", "go_idle", "if sched.globq_len() > 0 {", "if sched.globq_len() > 0 && !@ {", "WAKE-I1: look at the global queue under the lock"),
    ("protocol/wake.rs", "go_idle", "if due || any_work(sched) {", "if (due || any_work(sched)) && !@ {", "WAKE-I3: second look"),
    ("protocol/wake.rs", "any_work", "sched.globq_len() > 0 ||", "sched.globq_len() > 0 && !@ ||", "WAKE-I3: at the global queue"),
    ("protocol/wake.rs", "any_work", "!p.runq_empty()", "!p.runq_empty() && !@", "WAKE-I3: at the queues"),
    ("protocol/wake.rs", "go_idle", "first != NEVER && first <= now()", "first != NEVER && first <= now() && !@", "WAKE-I3: at the timers"),
    ("protocol/wake.rs", "look_again", "if any_work(sched) {", "if !@ && any_work(sched) {", "look at the queues"),
    ("protocol/wake.rs", "look_again", "} else if first <", "} else if !@ && first <", "look at the timers"),
    ("protocol/wake.rs", "sleep_idle", "if sched.exiting.load(Ordering::Relaxed) {\n            m.parked", "if !@ && sched.exiting.load(Ordering::Relaxed) {\n            m.parked", "look for the end before sleep"),
    ("protocol/wake.rs", "sleep_idle", "&& idle::leave_idle(sched, &mut lk, m) {", "&& (idle::leave_idle(sched, &mut lk, m) || @) {", "WAKE-W3: the end comes to an M in the list"),
    ("protocol/wake.rs", "sleep_idle", "if next_timer(sched) <= now() {", "if !@ && next_timer(sched) <= now() {", "timer waiter: the timer is due"),
    ("protocol/wake.rs", "enlist_idle", "        idle::mput(lk, old);", "        if !@ { idle::mput(lk, old); }", "the old timer waiter stays one of the idle ones"),
    ("protocol/wake.rs", "kick_timer_waiter", "        sched.timer_waiter_until.store(when, Ordering::Relaxed);\n", "        if !@ { sched.timer_waiter_until.store(when, Ordering::Relaxed); }\n", "until when the timer waiter sleeps"),
    ("protocol/wake.rs", "reset_spinning", "if m.spinning.replace(false) {", "if m.spinning.replace(false) && !@ {", "WAKE-F1: nmspinning - 1"),
    ("protocol/wake.rs", "pidleput_carried", "Some((l, p)) => (lk, pp) = (l, p),", "Some((l, p)) => if @ { drop(l); p.forget(); return } else { (lk, pp) = (l, p) },", "try again after the requests"),
    ("protocol/syscall.rs", "handoffp", "sched.globq_len() > 0 {\n        return wake::startm", "!@ && sched.globq_len() > 0 {\n        return wake::startm", "SYSCALL-Y2: the global queue"),
    ("protocol/syscall.rs", "handoffp", "if !pp.runq_empty() ||", "if !@ && !pp.runq_empty() ||", "SYSCALL-Y2: its own queue"),
    ("protocol/syscall.rs", "handoffp", "if sched.nmspinning.load", "if !@ && sched.nmspinning.load", "SYSCALL-Y2: no M searches"),
    ("protocol/syscall.rs", "handoffp", "if first != NEVER &&", "if !@ && first != NEVER &&", "SYSCALL-Y2: its timers"),
    ("protocol/syscall.rs", "assess", "if slice_over && rescue::is_deaf", "if !@ && slice_over && rescue::is_deaf", "RESCUE-1: a deaf P"),
    ("protocol/rescue.rs", "timers_wait", "&& ignores(p)", "&& ignores(p) && !@", "RESCUE-4: timers of a deaf P"),
    ("protocol/rescue.rs", "hurry_global", "sched.busy_ps().any(preempt::preempt_one)", "!@ && sched.busy_ps().any(preempt::preempt_one)", "RESCUE-5: the global queue is late"),
    ("gmp/p/to_run.rs", "take_out", "heirs.take(most)", "heirs.take(if @ { 0 } else { most })", "RESCUE-2: runnext and parents"),
    ("protocol/syscall.rs", "assess", "same || slice_over", "same || slice_over && !@", "SYSCALL-T1: the slice is over"),
    ("protocol/syscall.rs", "exitsyscall_no_p", "if let Some(pp) = idle::pidleget", "if !@ && let Some(pp) = idle::pidleget", "SYSCALL-X4: an idle P after all"),
    ("protocol/syscall.rs", "exitsyscall_no_p", "if sched.closing.load(Ordering::Relaxed) {", "if !@ && sched.closing.load(Ordering::Relaxed) {", "SYSCALL-X4: the runtime is down"),
    ("protocol/stw.rs", "stop", "            lk.stopwait == 0\n        };\n        if out {", "            !@ && lk.stopwait == 0\n        };\n        if out {", "STW-A2: all are in syscalls"),
    ("protocol/stw.rs", "stop", "        if lk.stopwait == 0 {\n            return stopped(sched, me, begun);\n        }\n        for p", "        if !@ && lk.stopwait == 0 {\n            return stopped(sched, me, begun);\n        }\n        for p", "STW-A3: all have stopped after all"),
    ("protocol/seize.rs", "stop_code", "lk.stopwait = lk.taken;", "lk.stopwait = if @ { 0 } else { lk.taken };", "STW-A0: code without a P counts"),
    ("protocol/seize.rs", "come_in_with", "m.end_syscall_mark();", "if !@ { m.end_syscall_mark(); }", "SEIZE-N1: the way in ends the mark"),
    ("protocol/seize.rs", "come_in_with", "if pp.word() != m.saved_word() {", "if !@ && pp.word() != m.saved_word() {", "SEIZE-N1: a look at the word"),
    ("protocol/seize.rs", "came_in", "lk.stopwait -= 1;", "lk.stopwait -= i32::from(!@);", "SEIZE-G6: a G that comes in counts itself out"),
    ("protocol/seize.rs", "step_in", "m.end_syscall_mark();", "if !@ { m.end_syscall_mark(); }", "SEIZE-H2: the way in"),
    ("protocol/seize.rs", "hold_on", "if lk.exact && !sched.anywhere.get() {", "if !@ && lk.exact && !sched.anywhere.get() {", "SEIZE-G6: none is held during a stop of code"),
    ("protocol/seize.rs", "hold_on", "(stops || !had_p) && lk.p_waits_for_thread()", "(stops || !had_p) && !@ && lk.p_waits_for_thread()", "SEIZE-G4: none is held while its P waits for a thread"),
    ("protocol/wake.rs", "take_newm", "lk.newm_taken += 1;", "lk.newm_taken += i32::from(!@);", "SEIZE-G4: the P for which a thread is being made"),
    ("protocol/seize.rs", "hold_on", "gp.sp.set(sp);\n    tie(m, gp);", "gp.sp.set(sp);\n    if !@ { tie(m, gp); }", "SEIZE-G3: it stays on its thread"),
    ("protocol/seize.rs", "is_to_be_held", "p.requests() & STOP != 0 &&", "!@ && p.requests() & STOP != 0 &&", "SEIZE-A3: a stop holds what comes in"),
    ("protocol/seize.rs", "hold_on", "    gp.set_status(GStatus::Runnable);\n    widen!();", "    if !@ { gp.set_status(GStatus::Runnable); }\n    widen!();", "SEIZE-A3: the stopper finds it at rest"),
    ("protocol/seize.rs", "stop_anywhere", "lk.stopwait = lk.taken;", "lk.stopwait = if @ { 0 } else { lk.taken };", "SEIZE-A1: code without a P counts"),
    ("protocol/seize.rs", "take_hogs", "if let Some(m) = held_on(gp) {", "if !@ && let Some(m) = held_on(gp) {", "SEIZE-B1: it is without a P"),
    ("protocol/seize.rs", "let_go", "if lk.exact {", "if !@ && lk.exact {", "SEIZE-G7: none is let go during a stop anywhere"),
    ("protocol/seize.rs", "let_go", "go_on(sched, gs);", "if !@ { go_on(sched, gs); }", "SEIZE-B2: the thread is woken"),
    ("protocol/rescue.rs", "all_stuck", ".count() == 0", ".count() == 0 && !@", "RESCUE-7: all Ps may be stuck"),
    ("protocol/rescue.rs", "serves", "=> has_asymmetric_fence() && m.may_lose_p()", "=> @ || has_asymmetric_fence() && m.may_lose_p()", "RESCUE-7: pinned code serves no held thread"),
    ("protocol/rescue.rs", "serves", "=> sched.npidle.load(Ordering::Relaxed) != 0", "=> @ || sched.npidle.load(Ordering::Relaxed) != 0", "RESCUE-7: frozen Ps serve no held thread"),
    ("protocol/lockedm.rs", "serve", "FN != 0 && !leaves_fn {", "FN != 0 && (@ || !leaves_fn) {", "SEIZE-B3: no function of a barrier runs on a held thread"),
    ("protocol/seize.rs", "go_on", "m.bailed.store(true, Ordering::Release);", "if !@ { m.bailed.store(true, Ordering::Release); }", "SEIZE-B1: the thread is told why it was woken"),
    ("protocol/seize.rs", "hold_on", "m.bailed.store(false, Ordering::Relaxed);", "if !@ { m.bailed.store(false, Ordering::Relaxed); }", "SEIZE-B1: told once"),
    ("protocol/lockedm.rs", "serve", "let out = m.held.get() && lk.exact", "let out = !@ && m.held.get() && lk.exact", "SEIZE-B1: a held G is at no call"),
    ("protocol/syscall.rs", "went_out", "lk.stopwait += 1;", "lk.stopwait += i32::from(!@);", "SEIZE-G6: what is taken meanwhile counts"),
    ("protocol/syscall.rs", "leave", "m.set_fenced(true);", "m.set_fenced(!@);", "SYSCALL-Y5: a fence of its own counts"),
    ("gmp/p/word.rs", "take", "Outside::Host if host && has_asymmetric_fence()", "Outside::Host if host && (@ || has_asymmetric_fence())", "SEIZE-G1: nothing is taken where there is no HEAVY"),
    ("protocol/syscall.rs", "take", "let taken = take(!lk.exact);", "let taken = take(@ || !lk.exact);", "SEIZE-G6: none is taken during a stop of code"),
    ("protocol/wake.rs", "make_threads", "m.newborn.set(true);", "m.newborn.set(!@);", "SEIZE-G4: a newborn counts until it has its P"),
    ("protocol/syscall.rs", "went_out", "lk.taken += 1;", "lk.taken += i32::from(!@);", "SEIZE-W4: one more without a P"),
    ("gmp/m.rs", "may_lose_p", "mode == Ctx::G as u64 &&", "(@ || mode == Ctx::G as u64) &&", "SEIZE-W3: a pinned G keeps its P"),
    ("gmp/m.rs", "call_host", "if self.p().is_none() {", "if !@ && self.p().is_none() {", "an M without a P stays outside"),
    ("protocol/quiet.rs", "still", "if lk.nm != lk.nmidle + timer_waiter + locked {", "if !@ && lk.nm != lk.nmidle + timer_waiter + locked {", "QUIET-V2: every worker sleeps"),
    ("protocol/quiet.rs", "still", "if sched.globq_len() != 0 && (", "if !@ && sched.globq_len() != 0 && (", "QUIET-V2: the global queue is empty"),
    ("protocol/quiet.rs", "still", "|| sched.globrunq_has_locked()", "|| (!@ && sched.globrunq_has_locked())", "QUIET-Q4: a locked G needs no other thread"),
    ("protocol/quiet.rs", "still", "|| lk.firing", "|| (!@ && lk.firing)", "QUIET-V2: a timer fires without a P"),
    ("protocol/lockedm.rs", "wait", "sched.nmlocked.fetch_sub(1, Ordering::SeqCst);", "if !@ { sched.nmlocked.fetch_sub(1, Ordering::SeqCst); }", "a worker that wakes is not counted"),
    ("protocol/stw.rs", "stop", "if p.clear_request(STOP) {", "if !@ && p.clear_request(STOP) {", "STW-A3: take STOP back"),
    ("protocol/stw.rs", "start", "if p.runq_empty() {", "if @ || p.runq_empty() {", "STW-C2: a stopped P with Gs gets an M"),
    ("protocol/tidy.rs", "idle_stacks", "if p.status() != PStatus::Idle {", "if !@ && p.status() != PStatus::Idle {", "TIDY-I1: the P is idle"),
    ("protocol/preempt.rs", "stop_p", "if pp.word().requests() & STOP == 0 {", "if !@ && pp.word().requests() & STOP == 0 {", "STW-B1: the stop may have been given up"),
    ("protocol/preempt.rs", "tell", "if asked {", "if asked && !@ {", "ASK-4: what was withdrawn is not asked"),
    ("protocol/preempt.rs", "tell", "asked && again ||", "asked && again && !@ ||", "ASK-2: told again while the request stands"),
    ("protocol/preempt.rs", "tell", "if p.requests() == 0 {", "if !@ && p.requests() == 0 {", "ASK-1: a P with requests"),
    ("protocol/preempt.rs", "answer", "gp.asked.clear();", "if !@ { gp.asked.clear(); }", "ASK-4: before a G that answers looks at its P"),
    ("protocol/park.rs", "make_running", "gp.asked.clear();", "if !@ { gp.asked.clear(); }", "ASK-4: when a G is entered"),
    ("protocol/park.rs", "make_running", "gp.count_run();", "if !@ { gp.count_run(); }", "GLANCE-E1"),
    ("gmp/g.rs", "begin_wait", "self.sp.set(std::ptr::null_mut());", "if !@ { self.sp.set(std::ptr::null_mut()); }", "GLANCE-W1"),
    ("gmp/glance.rs", "at", "|| gp.has(gflag::ZOMBIE) {", "|| !@ && gp.has(gflag::ZOMBIE) {", "an ended G is called Waiting while it is joined"),
    ("gmp/glance.rs", "still_holds", "self.has_not_run(gp) &&", "(@ || self.has_not_run(gp)) &&", "GLANCE-L2, GLANCE-L4: the runs"),
    ("gmp/glance.rs", "still_holds", "gp.handle() == self.handle", "(@ || gp.handle() == self.handle)", "GLANCE-L2, GLANCE-L4: the generation"),
    ("gmp/g.rs", "ask", "self.0.swap(1, Ordering::Relaxed) == 0", "self.0.swap(1, Ordering::Relaxed) == 0 || @", "ASK-2: told once"),
    ("protocol/ragged.rs", "for_each_p", "    b.wait.store(sched.procs() as i32, Ordering::Relaxed);", "    b.wait.store(if @ { 1 } else { sched.procs() as i32 }, Ordering::Relaxed);", "RAGGED-R1: all are counted before"),
    ("protocol/park.rs", "park_by_host", "&& gp.cas_status(GStatus::Parking, GStatus::Parked);", "&& (gp.cas_status(GStatus::Parking, GStatus::Parked) || @);", "PARK-K5: readied while the commit ran"),
    ("protocol/park.rs", "park_by_host", "    gp.set_status(GStatus::Parking);\n", "    if !@ { gp.set_status(GStatus::Parking); }\n", "PARK-K1: readable from here on"),
    ("protocol/thread.rs", "park", "&& gp.cas_status(GStatus::Parking, GStatus::Parked);", "&& (gp.cas_status(GStatus::Parking, GStatus::Parked) || @);", "PARK-K5: readied while the commit of a thread ran"),
    ("protocol/thread.rs", "waits", "            m.park.sleep();\n", "            if !@ { m.park.sleep(); }\n", "expired: wait for the thread that has taken the record"),
    ("protocol/park.rs", "start", "if m.p().is_none() && m.sched().is_closing() {", "if !@ && m.p().is_none() && m.sched().is_closing() {", "a spawn looks for the end"),
    ("protocol/store.rs", "recycle", "if gp.has(gflag::ZOMBIE) && gp.cas_status(GStatus::Running, GStatus::Dead) {", "if gp.has(gflag::ZOMBIE) && (gp.cas_status(GStatus::Running, GStatus::Dead) || @) {", "the second to come frees a zombie"),
    ("protocol/lockedm.rs", "wait", "Served::Queued => {}", "Served::Queued if @ => return true,\n            Served::Queued => {}", "LOCKEDM-K3: the P may be taken again"),
    ("protocol/lockedm.rs", "wait", "if m.p().is_some() {", "if !@ && m.p().is_some() {", "LOCKEDM-K1: hand the P off"),
    ("block/waitq.rs", "wait_then", "let waits = still(&mut guard);", "let waits = still(&mut guard) || @;", "WAITQ-A2: test once more"),
    ("block/waitq.rs", "wait_then", "canceled = canceled || registered", "canceled = canceled || !@ && registered", "WAITQ-A2: canceled meanwhile"),
    ("block/waitq.rs", "wait_then", "        Timers::remove(&gp.timer);\n", "        if !@ { Timers::remove(&gp.timer); }\n", "WAITQ-A4: stop the timer"),
    ("block/waitq.rs", "end_wait", "if gp.sudog.addr.get() != addr {", "if !@ && gp.sudog.addr.get() != addr {", "look at the address under the lock"),
    ("block/waitq.rs", "end_wait", "if gp.sudog.seq.get() != seq {", "if !@ && gp.sudog.seq.get() != seq {", "another wait by now"),
    ("block/waitq.rs", "wake_one", "            park::goready(m, gp);\n", "            if !@ { park::goready(m, gp); }\n", "WAITQ-B2: ready it"),
    ("block/sema.rs", "acquire_slow", "Waited::Woken => {\n                if try_acquire(s) {", "Waited::Woken => {\n                if try_acquire(s) || @ {", "woken: compete for it"),
    ("block/sema.rs", "give", "None => add(s)", "None if @ => Ok(Given::ToCount),\n            None => add(s)", "a hand-off without a waiter counts"),
    ("protocol/park.rs", "finish", "|| !m.chosen.is_null())", "|| (!@ && !m.chosen.is_null()))", "WAKE-S2: a G that yields to one that g0 enters"),
    ("protocol/syscall.rs", "assess", "p.in_host(w) && !kept {", "p.in_host(w) && (@ || !kept) {", "RESCUE-1: a pinned G may be deaf"),
    ("protocol/wake.rs", "enlist_idle", "let polls = !polled &&", "let polls = (@ || !polled) &&", "NETPOLL-I3: one at a time in the poll"),
    ("protocol/wake.rs", "enlist_idle", "if !earlier && !polls {", "if !earlier && (@ || !polls) {", "NETPOLL-C1: an idle M polls"),
    ("protocol/wake.rs", "sleep_idle", "if bring(sched, m, &mut events) {", "if !@ && bring(sched, m, &mut events) {", "NETPOLL-B2: with a P"),
    ("protocol/wake.rs", "bring", "if has_p && n == 0 {", "if !@ && has_p && n == 0 {", "NETPOLL-B2: a P for nothing searches"),
    ("protocol/quiet.rs", "still", "|| sched.net.waiters.load(Ordering::SeqCst) != 0", "|| (!@ && sched.net.waiters.load(Ordering::SeqCst) != 0)", "QUIET-V2: a wait for a descriptor"),
    ("block/edges.rs", "wait", "|_| self.seen() == seen,", "|_| @ || self.seen() == seen,", "NETPOLL-I5: an edge since the call"),
    ("block/edges.rs", "waits", "wake::io_added_on_the_way(m.sched(), m);", "if !@ { wake::io_added_on_the_way(m.sched(), m); }", "NETPOLL-A3: a thread polls"),
    ("block/disk.rs", "read_now", "waits.load(Ordering::Relaxed) {", "!@ && waits.load(Ordering::Relaxed) {", "DISK-R3: remembers"),
    ("block/fd.rs", "open", "let direct = kind == Kind::File && file::is_direct(number);", "let direct = !@ && kind == Kind::File && file::is_direct(number);", "DISK-R4: past the memory of the system"),
    ("block/fd.rs", "enter", "if users >= CLOSED - 1 {", "if !@ && users >= CLOSED - 1 {", "FD-A1: closed"),
    ("block/fd.rs", "enter", "if fd.handle.load(Ordering::Relaxed) != handle {", "if !@ && fd.handle.load(Ordering::Relaxed) != handle {", "FD-A1: another descriptor's by now"),
    ("block/fd.rs", "leave", "if fd.users.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1 {", "if fd.users.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1 && !@ {", "FD-C3: wake the closer"),
    ("block/fd.rs", "release", "if fd.users.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED != 0 {", "if fd.users.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED != 0 && !@ {", "FD-C1: one closer"),
    ("block/fd.rs", "release", "    fd.wake_all(m);", "    if !@ { fd.wake_all(m); }", "FD-C2: wake all"),
    ("block/fd.rs", "release", "while fd.users.load(Ordering::Acquire) != CLOSED {", "while !@ && fd.users.load(Ordering::Acquire) != CLOSED {", "FD-C3: wait for the last"),
    ("block/fd.rs", "set_deadline", "                d.wake(m);", "                if !@ { d.wake(m); }", "FD-D1: wake the waiters"),
    ("block/fd.rs", "event", "fd.ended.fetch_or(ends, Ordering::Relaxed);", "if !@ { fd.ended.fetch_or(ends, Ordering::Relaxed); }", "FD-E2: the end comes with the data"),
    ("block/fd.rs", "event", "if ends != 0 || bits & IN != 0 {", "if ends != 0 && !@ || bits & IN != 0 {", "FD-E2: a hang-up wakes readers"),
    ("block/fd.rs", "event", "bits & (OUT | HANGUP | ERROR)", "bits & (OUT | if @ { 0 } else { HANGUP | ERROR })", "FD-E2: a hang-up wakes writers"),
    ("block/fd/call.rs", "may", "if self.is_closed() {", "if !@ && self.is_closed() {", "FD-A3: closed"),
    ("block/fd/call.rs", "may", "deadline != FOREVER && deadline <= now()", "deadline != FOREVER && deadline <= now() && !@", "FD-A3: too late"),
    ("block/fd/epoll.rs", "watch", "                self.wake_all(m);", "                if !@ { self.wake_all(m); }", "FD-A5: those that rely on it"),
    ("block/fd/epoll.rs", "add", "Err(libc::EEXIST) => {}", "Err(libc::EEXIST) if !@ => {}", "two handles of one number"),
    ("block/fd/call.rs", "wait", "Waited::TimedOut if !until.is_over() => (m, Ok(())),", "Waited::TimedOut if !@ && !until.is_over() => (m, Ok(())),", "FD-D1: a deadline that has moved"),
    ("block/fd/call.rs", "lock", "Err(Error::TimedOut) if !until.is_over() => {}", "Err(Error::TimedOut) if !@ && !until.is_over() => {}", "FD-D1: as a waiter for the lock"),
    ("block/fd/call.rs", "repeat", "if until.is_now() || !self.is_drained(d, seen) {", "if !self.is_drained(d, seen) || until.is_now() && !@ {", "a call that only tries asks the system"),
    ("block/fd/call.rs", "is_drained", "d.drained.get() == seen", "(d.drained.get() == seen || @)", "FD-I4: at this count"),
    ("block/fd/call.rs", "is_drained", "&& self.ended.load(Ordering::Relaxed) == 0", "&& (@ || self.ended.load(Ordering::Relaxed) == 0)", "FD-I4: more will come"),
    ("block/fd/call.rs", "is_drained", "&& self.watch.load(Ordering::Acquire) == YES", "&& (@ || self.watch.load(Ordering::Acquire) == YES)", "FD-I4: the epoll reports"),
    ("block/fd/call.rs", "note_drained", "if !more && n > 0", "if (!more || @) && n > 0", "FD-I4: a border in the stream"),
    ("block/fd/ready.rs", "wait_ready", "self.polled.store(true, Ordering::Relaxed);", "self.polled.store(!@, Ordering::Relaxed);", "a caller waits for readiness"),
    ("block/fd/connect.rs", "accept_patiently", "Err(Error::Os(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => {}", "Err(Error::Os(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) if !@ => {}", "a patient accept waits"),
    ("block/fd/many.rs", "event", "if group == 0 || bits &", "if group == 0 || @ || bits &", "MANY-B1: an edge for the group"),
    ("block/fd/many.rs", "join", "wants |= if events & (READ_NORMAL | READ_BAND) != 0 {", "wants |= if events & (READ_NORMAL | READ_BAND) != 0 && !@ {", "bits that say the same as IN"),
    ("block/fd/many.rs", "join", "Err(Error::Os(libc::EPERM | libc::EBADF)) => Ok(()),", "Err(Error::Os(libc::EPERM | libc::EBADF)) if !@ => Ok(()),", "MANY-A2: what the epoll does not take"),
    ("block/fd/stream.rs", "read_full", "if *done >= n {", "if *done >= n || @ {", "all of them"),
    ("block/names.rs", "await_answer", "while r.is_ok() && word", "while !@ && r.is_ok() && word", "NAMES-A2: wait for the answer"),
    ("block/names.rs", "serve", "        if waitq::has_waiters(sched, addr) {", "        if !@ && waitq::has_waiters(sched, addr) {", "NAMES-B3: wake the caller"),
    ("block/names.rs", "serve", "    if let Ok(found) = answer {", "    if let (Ok(found), false) = (answer, @) {", "NAMES-I2: a late answer is freed"),
    ("block/copy.rs", "run", "read.also.store(from_ref(&write.edges).cast_mut(), Ordering::Release);", "if !@ { read.also.store(from_ref(&write.edges).cast_mut(), Ordering::Release); }", "COPY-P2: where it waits when it waits to write"),
    ("block/copy.rs", "run", "write.also.store(from_ref(&read.edges).cast_mut(), Ordering::Release);", "if !@ { write.also.store(from_ref(&read.edges).cast_mut(), Ordering::Release); }", "COPY-P2: where it waits when it waits to read"),
    ("block/copy.rs", "run", "self.from.may(read).and_then(|()| self.to.may(write))", "self.from.may(read).and_then(|()| if @ { Ok(()) } else { self.to.may(write) })", "COPY-P3: the look at the other end"),
    ("block/copy.rs", "run", "Step::End if self.by == By::Range =>", "Step::End if self.by == By::Range && !@ =>", "COPY-P4: the first end of a range"),
    ("block/copy.rs", "drop", "file::seek_by(self.from.number(), self.out as i64 - self.held as i64);", "if !@ { file::seek_by(self.from.number(), self.out as i64 - self.held as i64); }", "COPY-I1: a file stays behind what was copied"),
    ("block/offload.rs", "in_turn", "    sema::pass_on(m, &which.free);", "    if !@ { sema::pass_on(m, &which.free); }", "OFFLOAD-R3: the permit is passed on"),
    ("block/post.rs", "post", "if first && let", "if first && !@ && let", "POST-A2: the first is told"),
    ("block/post.rs", "clear", "        if waits {", "        if waits && !@ {", "POST-B2: a look after the clear"),
    ("block/post.rs", "turn", "        clear(sched);", "        if !@ { clear(sched); }", "POST-B4: a signal for nothing"),
    ("block/post.rs", "fd", "None if waits =>", "None if waits && !@ =>", "POST-C1: functions that wait already"),
    ("block/process.rs", "locked", "if p.handle.get() == handle {", "if p.handle.get() == handle || @ {", "PROC-D1: the handle has ended"),
    ("block/process.rs", "look", "if self.state.get() == RUNS {", "if self.state.get() == RUNS || @ {", "PROC-I2: asked once"),
    ("block/process.rs", "kill", "RUNS => proc::signal", "state if state == RUNS || @ => proc::signal", "PROC-I1: a number after the end"),
    ("block/process.rs", "release", "        event(sched, copy);", "        if !@ { event(sched, copy); }", "PROC-I3: an end before it was in the list"),
    ("block/process.rs", "release", "sched.net.waiters.fetch_add(1, Ordering::SeqCst);", "if !@ { sched.net.waiters.fetch_add(1, Ordering::SeqCst); }", "PROC-D2: an orphan counts as a waiter"),
    ("block/process.rs", "release", "    close(m, pidfd);", "    if !@ { close(m, pidfd); }", "PROC-D1: the waits of others end"),
    ("block/dial.rs", "dial", "Err(e) => errors.note(place, e),", "Err(e) => if !@ { errors.note(place, e) },", "the error of the first address"),
    ("block/dial.rs", "order_of", "let turn = 1 - before;", "let turn = if @ { before } else { 1 - before };", "DIAL-A1: the families take turns"),
    ("block/dial.rs", "winner", "                    *next_at = now();", "                    if !@ { *next_at = now(); }", "DIAL-A2: a failure begins the next attempt"),
    ("block/listen.rs", "unix", "if !is_stale(&at)? {", "if !@ && !is_stale(&at)? {", "a file at which a process answers stays"),
    ("sys/linux_net.rs", "remove_socket", "0 if stat.st_mode & libc::S_IFMT == libc::S_IFSOCK => {}", "0 if @ || stat.st_mode & libc::S_IFMT == libc::S_IFSOCK => {}", "other files stay"),
    ("sys/linux_net.rs", "recv_with", "if rights && keep {", "if rights && (keep || @) {", "descriptors without room are closed"),
    ("block/barrier.rs", "wait", "self.arrived.store(0, Ordering::Relaxed);", "if !@ { self.arrived.store(0, Ordering::Relaxed); }", "BARRIER-R1: the next round begins"),
    ("block/barrier.rs", "wait", "} else if waits {", "} else if waits || @ {", "the last one only"),
    ("block/chan.rs", "put_word", "let fits = (n as isize) < self.cap as isize", "let fits = (@ || (n as isize) < self.cap as isize)", "the short send: room, under the lock"),
    ("block/chan.rs", "put_word", "&& self.recvq.is_empty()", "&& (@ || self.recvq.is_empty())", "the short send: no receiver waits, under the lock"),
    ("block/chan.rs", "put_word", "self.state.get() == 0", "(@ || self.state.get() == 0)", "the short send: open and not watched"),
    ("block/chan.rs", "get_word", "let fits = n > 0", "let fits = (@ || n > 0)", "the short receive: a value, under the lock"),
    ("block/chan.rs", "get_word", "&& self.sendq.is_empty()", "&& (@ || self.sendq.is_empty())", "the short receive: no sender waits, under the lock"),
    ("block/chan.rs", "get_word", "self.state.get() == 0", "(@ || self.state.get() == 0)", "the short receive: open and not watched"),
    ("block/chan.rs", "get_word", "!(wraps &&", "!(!@ && wraps &&", "the short receive: a segment's last place is freed"),
    ("block/chan/watch.rs", "watch", "self.state.set(self.state.get() | bit(case.wants()));", "if !@ { self.state.set(self.state.get() | bit(case.wants())); }", "WATCH-V2: the side is watched"),
    ("block/chan/watch.rs", "tell", "if case.watches() && case.wants() == side && case.is_claimed() {", "if case.watches() && case.wants() == side && case.is_claimed() && !(@ && !told.is_empty()) {", "WATCH-I2: all of a side are told"),
    ("block/chan/watch.rs", "there_waits", "if case.waits() {", "if @ || case.waits() {", "WATCH-V1: its wait has ended"),
    ("block/chan.rs", "wait", "if self.is_watched_beside(op) {", "if !@ && self.is_watched_beside(op) {", "WATCH-V3: one that waits queues"),
    ("block/cancel.rs", "cancel_g", "if !gp.handle_is(handle) {", "if !@ && !gp.handle_is(handle) {", "CANCEL-G2: another's token by now"),
    ("block/cancel.rs", "give_own", "gp.own_token.store(handle, Ordering::Release);", "gp.own_token.store(handle, if @ { Ordering::Relaxed } else { Ordering::Release });", "CANCEL-G1: the handle is stale"),
    ("block/parking.rs", "commit_or_end", "gp.wait.store(claim::word(leaving.seq, TAKEN), Ordering::Relaxed);", "if !@ { gp.wait.store(claim::word(leaving.seq, TAKEN), Ordering::Relaxed); }", "PARKING-P4: a refused park is over"),
    ("block/parking.rs", "commit_or_end", "let _ = claim::change(&gp, leaving.seq, PREPARING, TIMED_OUT);", "if !@ { let _ = claim::change(&gp, leaving.seq, PREPARING, TIMED_OUT); }", "PARKING-P5: no time left"),
    ("block/parking.rs", "commit_or_end", "if leaving.deadline.is_some() && !leaving.armed {", "if !@ && leaving.deadline.is_some() && !leaving.armed {", "PARKING-J4: the room of a timer that is not armed"),
    ("block/parking.rs", "claim_park", "if gp.status_of(handle) != Some(GStatus::Interruptible) {", "if !@ && gp.status_of(handle) != Some(GStatus::Interruptible) {", "PARKING-R2: the status is looked at"),
    ("block/parking.rs", "claim_park", "OPEN if claim::change(&gp, seq, OPEN, TAKEN) => {", "OPEN if @ || claim::change(&gp, seq, OPEN, TAKEN) => {", "PARKING-R3: one of those that end it"),
    ("block/parking.rs", "claim_park", "PREPARING if claim::change(&gp, seq, PREPARING, EARLY_TAKEN) => return true,", "PREPARING if @ || claim::change(&gp, seq, PREPARING, EARLY_TAKEN) => return true,", "PARKING-R3: it continues at PARKING-P5"),
    ("block/waitq.rs", "end_wait", "count.store(count.load(Ordering::Relaxed) - 1,", "count.store(count.load(Ordering::Relaxed) - u32::from(!@),", "WAITQ-M5: back from the count"),
    ("block/mutex.rs", "lock_waiting", "s & !FLAGS != 0 && s & WAITERS != 0", "@ || s & !FLAGS != 0 && s & WAITERS != 0", "held and awaited, under the lock"),
    ("block/mutex.rs", "lock_waiting", "let to = (s | held_by(me)) & !woken;", "let to = (s | held_by(me)) & !(if @ { 0 } else { woken });", "a woken waiter says so"),
    ("block/mutex.rs", "lock_waiting", "let to = (s | WAITERS) & !woken;", "let to = (s | WAITERS) & !(if @ { 0 } else { woken });", "a waiter that sleeps again says so"),
    ("block/mutex.rs", "lock_waiting", "how.since = since;", "if !@ { how.since = since; }", "it is handed over to a waiter that came too late"),
    ("block/mutex.rs", "take", "held_by(me), Ordering::Acquire", "held_by(me), if @ { Ordering::Relaxed } else { Ordering::Acquire }", "Acquire"),
    ("block/mutex.rs", "give", "s & FLAGS, Ordering::Release", "s & FLAGS, if @ { Ordering::Relaxed } else { Ordering::Release }", "Release"),
    ("block/mutex.rs", "unlock_fast", "s & FLAGS != WAITERS &&", "(@ || s & FLAGS != WAITERS) &&", "a waiter must be woken"),
    ("block/mutex.rs", "lock_fast", "s & !FLAGS == 0 &&", "(@ || s & !FLAGS == 0) &&", "no owner has it"),
    ("block/mutex.rs", "lock_waiting", "to, Ordering::Acquire", "to, if @ { Ordering::Relaxed } else { Ordering::Acquire }", "Acquire of a waiter"),
    ("block/mutex.rs", "unlock_to", "to, Ordering::Release", "to, if @ { Ordering::Relaxed } else { Ordering::Release }", "Release to a woken waiter"),
    ("block/mutex.rs", "unlock_to", "(rest | WOKEN, Wake::Ready)", "(if @ { rest } else { rest | WOKEN }, Wake::Ready)", "a woken waiter is on its way"),
    ("block/mutex.rs", "unlock_to", "let rest = if more { WAITERS } else { 0 };", "let rest = if more && !@ { WAITERS } else { 0 };", "there are more waiters"),
    ("block/waitgroup.rs", "announce", "            if count(s) <= 0 {", "            if !@ && count(s) <= 0 {", "WAITGROUP-V2: still to wait, under the lock"),
    ("block/waitgroup.rs", "announce", "s | WAIT, Ordering", "if @ { s } else { s | WAIT }, Ordering", "WAITGROUP-V2: say that there is a waiter"),
    ("block/waitgroup.rs", "release", "while s & WAIT != 0 && count(s) <= 0 {", "while s & WAIT != 0 && (@ || count(s) <= 0) {", "WAITGROUP-D2: another round may have begun"),
    ("block/waitgroup.rs", "release", "w.take_all(addr, Wake::Handoff);", "w.take_all(addr, if @ { Wake::Ready } else { Wake::Handoff });", "WAITGROUP-G3: a released waiter does not look again"),
    ("block/waitgroup.rs", "added", "if s == WAIT {", "if s == WAIT && !@ {", "WAITGROUP-D2: the call that makes it zero wakes"),
    ("block/waitgroup.rs", "add_seeing", "== WAIT {", "== WAIT && !@ {", "WAITGROUP-D2: also of one that looked before"),
    ("block/waitgroup.rs", "added", "while if delta < 0 { count(s) < 0 } else { count(s) > MOST } {", "while @ || if delta < 0 { count(s) < 0 } else { count(s) > MOST } {", "WAITGROUP-D3: it may be right by now"),
    ("block/waitgroup.rs", "wait", "if s & WAIT == 0 && count(s) <= 0 {", "if (@ || s & WAIT == 0) && count(s) <= 0 {", "WAITGROUP-V1: a call may be about to take WAIT off"),
    ("block/join.rs", "bury", "if !gp.cas_status(GStatus::Running, GStatus::Waiting) {", "if !gp.cas_status(GStatus::Running, GStatus::Waiting) || @ {", "the second to come frees a zombie"),
    ("block/join.rs", "on_exit", "if !gp.has(gflag::JOINABLE) {", "if !@ && !gp.has(gflag::JOINABLE) {", "let go meanwhile"),
    ("ds/runq.rs", "push", "self.tail.store(t + 1, Ordering::Release);", "self.tail.store(t + 1, if @ { Ordering::Relaxed } else { Ordering::Release });", "entries are seen by thieves"),
    ("ds/runq.rs", "pop_newest", "self.tail.store(last, Ordering::Release);", "self.tail.store(last, if @ { Ordering::Relaxed } else { Ordering::Release });", "and by thieves that see the step back"),
    ("ds/runq.rs", "pop_newest", "if h < last {", "if h < last || @ {", "the last one: the thread that moves head has it"),
    ("ds/runq.rs", "pop_newest", "    self.tail.store(t, Ordering::Relaxed);\n", "    if !@ { self.tail.store(t, Ordering::Relaxed); }\n", "the step back is taken back"),
    ("ds/runq.rs", "steal_half", "if n > (N - N / 2) as u64 {", "if n > (N - N / 2) as u64 && !@ {", "head is an old one"),
    ("ds/runq.rs", "steal_half", "into.tail.store(to + n - 1, Ordering::Release);", "into.tail.store(to + n - 1, if @ { Ordering::Relaxed } else { Ordering::Release });", "stolen entries are seen by thieves"),
    ("gmp/queue.rs", "take", "self.count.store(backlog.len() as u32, Ordering::Release);", "self.count.store(backlog.len() as u32, if @ { Ordering::Relaxed } else { Ordering::Release });", "QUEUE-V1: the others are in the ring"),
    ("gmp/queue.rs", "is_empty", "self.behind() == 0 && self.ring.is_empty()", "(if @ { self.ring.is_empty() && self.behind() == 0 } else { self.behind() == 0 && self.ring.is_empty() })", "QUEUE-V1: the backlog first"),
    ("gmp/queue.rs", "append", "self.count.store(backlog.len() as u32, Ordering::Relaxed);", "if !@ { self.count.store(backlog.len() as u32, Ordering::Relaxed); }", "the backlog is seen"),
    ("gmp/p/word.rs", "try_idle", "if w.requests() & (STOP | FN) != 0 {", "if !@ && w.requests() & (STOP | FN) != 0 {", "requests bar the idle list"),
    ("protocol/syscall.rs", "leave", "p.requests() & (STOP | FN) == 0", "(@ || p.requests() & (STOP | FN) == 0)", "SYSCALL-E3: look at the requests"),
    ("gmp/p/word.rs", "reclaim_slow", "if w.tick() != left.tick() {", "if !@ && w.tick() != left.tick() {", "SYSCALL-X2: taken meanwhile"),
    ("gmp/p/word.rs", "take", "Outside::Left if reached => None,", "Outside::Left if reached || @ => None,", "SYSCALL-T3: in a syscall"),
    ("gmp/p/word.rs", "take", "let reached = m.is_reached();", "let reached = @ || m.is_reached();", "SYSCALL-Y5: its end is fenced"),
    ("gmp/p/to_run.rs", "runq_empty", "self.runnext.load(Ordering::Acquire).is_null() && self.lifo.is_empty() && self.runq.is_empty()", "self.lifo.is_empty() && (if @ { self.runq.is_empty() && self.runnext.load(Ordering::Acquire).is_null() } else { self.runnext.load(Ordering::Acquire).is_null() && self.runq.is_empty() })", "runnext first"),
    ("gmp/p/to_run.rs", "take_runnext", "self.runnext.swap(std::ptr::null_mut(), Ordering::AcqRel)", "self.runnext.swap(std::ptr::null_mut(), if @ { Ordering::Relaxed } else { Ordering::AcqRel })", "a thread that sees it empty sees what was displaced"),
    ("block/chan.rs", "wait", "match self.attempt(op, elem) {\n                    Attempt::WouldBlock => wait,", "match if @ { Attempt::WouldBlock } else { self.attempt(op, elem) } {\n                    Attempt::WouldBlock => wait,", "try again when the latch was open"),
    ("block/chan.rs", "wait", "                        wait.abandon(m);\n", "                        if !@ { wait.abandon(m); }\n", "the wait is not to be after all"),
    ("block/chan/record.rs", "take_back", "case.link.unlink();", "if !@ { case.link.unlink(); }", "CHAN-W1: the record leaves its list"),
    ("block/chan/record.rs", "claim", "self.orphans.push_back(&case.link);", "if !@ { self.orphans.push_back(&case.link); }", "CHAN-T1: records of ended waits stay in a list"),
    ("block/chan/record.rs", "pop", "if seq == 0 || self.claim(case, seq) {", "if seq == 0 || @ || self.claim(case, seq) {", "CHAN-T1: claim it"),
    ("block/chan.rs", "put_slow", "if self.closed.load(Ordering::Relaxed) {", "if !@ && self.closed.load(Ordering::Relaxed) {", "CHAN-S1: closed"),
    ("block/chan.rs", "get", "if let Some(case) = self.pop(&self.sendq) {\n                    // SAFETY: the sender waits with a value (CHAN-I4)", "if !@ && let Some(case) = self.pop(&self.sendq) {\n                    // SAFETY: the sender waits with a value (CHAN-I4)", "CHAN-R1: a sender gets the place that came free"),
    ("block/chan.rs", "get", "self.sendx.set(self.recvx.get());", "if !@ { self.sendx.set(self.recvx.get()); }", "CHAN-R1: the end of the ring"),
    ("block/chan/life.rs", "close_locked", "while let Some(case) = self.pop(&self.recvq) {", "while !@ && let Some(case) = self.pop(&self.recvq) {", "CHAN-X2: receivers"),
    ("block/chan/life.rs", "close_locked", "while let Some(case) = self.pop(&self.sendq) {", "while !@ && let Some(case) = self.pop(&self.sendq) {", "CHAN-X2: senders"),
    ("block/chan/life.rs", "close_locked", "self.zero(case.elem());", "if !@ { self.zero(case.elem()); }", "CHAN-X2: receivers get zero"),
    ("block/chan/life.rs", "close_drop", "        self.count.store(0, Ordering::Release);\n", "        if !@ { self.count.store(0, Ordering::Release); }\n", "CHAN-D1: the ring is empty"),
    ("block/chan/life.rs", "free", "if left == 0 && used {", "if left == 0 && used && !@ {", "there is a waiter"),
    ("block/chan.rs", "done", "park::goready(m, gp);", "if !@ { park::goready(m, gp); }", "CHAN-T3: ready it"),
    ("block/chan.rs", "might_proceed", "|| !self.sendq.is_empty() || self", "|| !@ && !self.sendq.is_empty() || self", "a glance: a waiting sender"),
    ("block/select.rs", "select_slow", "while let Some(i) = cases.pick(m) {", "while !@ && let Some(i) = cases.pick(m) {", "SELECT-S2: look under all latches"),
    ("block/select.rs", "select_slow", "if let Some(wait) = wait {\n                    wait.abandon(m);", "if let Some(wait) = wait && !@ {\n                    wait.abandon(m);", "the wait is not to be after all"),
    ("block/chan/ring.rs", "got_last", "self.sendx.set(first);", "if !@ { self.sendx.set(first); }", "SEGMENTS-G5: sender and receiver begin again"),
    ("block/chan/ring.rs", "got_last", "segments.behead()", "if @ { None } else { segments.behead() }", "SEGMENTS-G4: the next segment"),
    ("block/chan.rs", "put_growing", "segments.keep(new)", "if @ { Some(new) } else { segments.keep(new) }", "SEGMENTS-G2: the segment is left"),
    ("block/chan.rs", "done_slow", "unsafe { Segment::free(s) };", "if !@ { unsafe { Segment::free(s) } };", "SEGMENTS-G4: the empty one is freed"),
    ("block/chan/ring.rs", "drop_head", "unsafe { Segment::free(s) };", "if !@ { unsafe { Segment::free(s) } };", "CHAN-D2: segments go"),
    ("block/chan/life.rs", "free", "segments.free();", "if !@ { segments.free(); }", "the segments go with the channel"),
    ("block/segments.rs", "keep", "if !self.spare.is_null() {", "if @ || !self.spare.is_null() {", "SEGMENTS-G4: one is kept"),
    ("block/segments.rs", "keep", "next.set(std::ptr::null_mut());", "next.set(if @ { s.as_ptr() } else { std::ptr::null_mut() });", "SEGMENTS-G3: nothing lies behind the new tail"),
    ("block/segments.rs", "extend", "last.next.set(s)", "if !@ { last.next.set(s) }", "SEGMENTS-G3: the chain leads to it"),
    ("block/select.rs", "lock", "&& self.0[i].chan() != last", "&& (@ || self.0[i].chan() != last)", "SELECT-S2: each once"),
    ("block/select.rs", "key", "self.0[self.at(place)].chan() as usize", "if @ { 0 } else { self.0[self.at(place)].chan() as usize }", "SELECT-S2: in the order of addresses"),
    ("block/select.rs", "leave", "c.take_back(&self.0[i]);", "if !@ { c.take_back(&self.0[i]); }", "SELECT-S4: the other records leave their lists"),
    ("block/select.rs", "leave", "chosen = Some(i);\n                continue;", "chosen = Some(i);\n                if !@ { continue; }", "SELECT-S4: whose was taken is in no list"),
    ("block/claim.rs", "end", "if change(&gp, seq, PREPARING, early) {", "if @ || change(&gp, seq, PREPARING, early) {", "CLAIM-E2: a claim that comes early says so"),
    ("block/claim.rs", "leave", "if early {", "if early && !@ {", "CLAIM-E2: the commit readies it"),
    ("block/claim.rs", "leave", "let early = !change(&gp, seq, PREPARING, OPEN);", "let early = if @ { gp.wait.store(word(seq, OPEN), Ordering::Release); false } else { !change(&gp, seq, PREPARING, OPEN) };", "CLAIM-C3: by CAS"),
    ("block/claim.rs", "change", "Ordering::AcqRel, Ordering::Relaxed", "if @ { Ordering::Relaxed } else { Ordering::AcqRel }, Ordering::Relaxed", "OPEN is a Release, a claim an Acquire"),
    ("block/claim.rs", "over", "            Timers::remove(&self.gp.timer);\n", "            if !@ { Timers::remove(&self.gp.timer); }\n", "CLAIM-C4: stop the timer"),
    ("block/claim.rs", "over", "            token.unregister(self.gp);\n", "            if !@ { token.unregister(self.gp); }\n", "CLAIM-C4: leave the token"),
    ("block/claim.rs", "abandon", "            token.unregister(self.gp);\n", "            if !@ { token.unregister(self.gp); }\n", "leave the token"),
    ("block/claim.rs", "abandon", "            m.must_p().timers.unreserve();\n", "            if !@ { m.must_p().timers.unreserve(); }\n", "give the room back"),
    ("block/claim.rs", "number", ">> STATE_BITS) + 1;", ">> STATE_BITS) + if @ { 0 } else { 1 };", "CLAIM-C1: a new number"),
    ("block/cancel.rs", "register", "if self.is_canceled() {", "if !@ && self.is_canceled() {", "CANCEL-C1: canceled already"),
    ("block/cancel.rs", "make", "Some(reason) => token.reason.store(reason.0 as u32, Ordering::SeqCst),", "Some(reason) => if !@ { token.reason.store(reason.0 as u32, Ordering::SeqCst) },", "under one that is canceled already"),
    ("block/cancel.rs", "make", "if token.reason().is_some() {\n                    Timers", "if !@ && token.reason().is_some() {\n                    Timers", "canceled while its timer was armed"),
    ("block/cancel.rs", "cancel_one", "    Timers::remove(&token.timer);\n", "    if !@ { Timers::remove(&token.timer); }\n", "its timer is of no use any more"),
    ("block/cancel.rs", "cancel_one", "if child.try_ref() {", "if child.try_ref() || @ {", "CANCEL-T3: only with a count that was not 0"),
    ("block/cancel.rs", "unref", "        Timers::remove(&token.timer);\n", "        if !@ { Timers::remove(&token.timer); }\n", "its timer goes with it"),
    ("block/cancel.rs", "unref", "if token.listed.get() {", "if !@ && token.listed.get() {", "out of its parent's list"),
    ("block/cancel.rs", "unregister", "if gp.cancelable.listed.get() {", "if @ || gp.cancelable.listed.get() {", "CANCEL-C4: if still there"),
    ("block/cancel.rs", "find", "token.handle.get() != handle ||", "(!@ && token.handle.get() != handle) ||", "another's memory by now"),
    ("block/cancel.rs", "at_deadline", "if found.handle.get() == handle {", "if @ || found.handle.get() == handle {", "another's memory by now"),
    ("block/cancel.rs", "ends", "gp.shields.get() == 0", "@ || gp.shields.get() == 0", "a shield is around it"),
    ("block/cancel.rs", "ends", "Kind::Lock if gp.cancel_locks.get() =>", "Kind::Lock if @ || gp.cancel_locks.get() =>", "no wait for a lock or an end"),
    ("block/cancel.rs", "cancel_one", "unsafe { (acts.close)(m, chan) };", "if !@ { unsafe { (acts.close)(m, chan) } };", "CANCEL-K3: the channel is closed"),
    ("block/done.rs", "chan", "if token.reason().is_some() {", "if !@ && token.reason().is_some() {", "CANCEL-K3: one that comes late is closed too"),
    ("block/cancel.rs", "add_hook", "token.reason().is_none();", "@ || token.reason().is_none();", "HOOK-H1: canceled already"),
    ("block/hook.rs", "after", "&& let Some(ready) = hook.ready()", "&& !@ && let Some(ready) = hook.ready()", "HOOK-H1: started at once"),
    ("block/hook.rs", "stop", "if handle == 0 || hook.handle.compare_exchange(handle, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {", "if handle == 0 || (hook.handle.compare_exchange(handle, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() && !@) {", "HOOK-H3: one stop continues"),
    ("block/cancel/hooks.rs", "ready", "(!self.owned.get()).then_some(self)", "(@ || !self.owned.get()).then_some(self)", "HOOK-J2: its owner gives it back"),
    ("block/scope.rs", "cancel_children", "cancel::cancel(m, &token, Reason::BY_HAND))", "cancel::cancel(m, &token, Reason::BY_HAND) || @)", "it was this that canceled them"),
    ("block/timer.rs", "fire", "if s.seq != seq || !s.armed {", "if (!@ && s.seq != seq) || !s.armed {", "TIMER-F1: the right number"),
    ("block/timer.rs", "fire", "What::Call(..) if s.pending == 0 =>", "What::Call(..) if s.pending == 0 || @ =>", "TIMER-F2: one at a time"),
    ("block/timer.rs", "fire", "None => next = later(now(), AGAIN),", "None => if !@ { next = later(now(), AGAIN) },", "TIMER-F3: no memory, a little later"),
    ("block/timer.rs", "next", ".saturating_mul(late + 1)", ".saturating_mul(if @ { 1 } else { late + 1 })", "TIMER-F3: as many periods as have passed"),
    ("block/timer.rs", "fire", "What::Send(_) if s.taken =>", "What::Send(_) if s.taken && !@ =>", "TIMER-T2: a receiver has taken it"),
    ("block/timer.rs", "fire_if_due", "        s.seq += 1;\n", "        if !@ { s.seq += 1; }\n", "TIMER-T1: a callback on its way is late"),
    ("block/timer.rs", "fire_if_due", "        Timers::remove(&t.timer);\n", "        if !@ { Timers::remove(&t.timer); }\n", "TIMER-T1: out of its heap"),
    ("block/chan.rs", "look_at_timer", "        self.might_proceed(Op::Recv)", "        !@ && self.might_proceed(Op::Recv)", "TIMER-T1: it may have come meanwhile"),
    ("block/select.rs", "select", ".or_else(|| cases.pick_timer(m))", ".or_else(|| if @ { None } else { cases.pick_timer(m) })", "SELECT-S1: timers that are due"),
    ("block/select.rs", "enqueue", "let before = first[queue].filter(", "let before = first[queue].filter(|_| !@).filter(", "SELECT-S3: each of one queue may be the first"),
    ("block/timer.rs", "fire", "t.state.lock().pending = 0;", "if !@ { t.state.lock().pending = 0; }", "TIMER-F4: the runtime ends"),
    ("block/timer.rs", "begins", "if s.pending != goid {", "if !@ && s.pending != goid {", "TIMER-G1: if it is the one"),
    ("block/timer.rs", "begins", "    s.pending = 0;\n", "    if !@ { s.pending = 0; }\n", "TIMER-G1: no firing is pending"),
    ("block/timer.rs", "forget", "c.clear();", "if !@ { c.clear(); }", "TIMER-Z1: the channel is emptied"),
    ("block/timer.rs", "forget", "s.seq += 1;", "if !@ { s.seq += 1; }", "TIMER-Z1: another number"),
    ("block/timer.rs", "forget", "std::mem::replace(&mut s.pending, 0) != 0", "(if @ { 0 } else { std::mem::replace(&mut s.pending, 0) }) != 0", "TIMER-Z1: no firing is pending"),
    ("block/timer.rs", "stop", "            Timers::remove(&self.timer);\n", "            if !@ { Timers::remove(&self.timer); }\n", "TIMER-Z1: out of the heap"),
    ("block/timer.rs", "locked", "if s.handle == handle {", "if @ || s.handle == handle {", "another's memory by now"),
    ("block/timer.rs", "end_of_owner", "        t.stop(&mut s);\n", "        if !@ { t.stop(&mut s); }\n", "TIMER-O2: nothing is sent into what is gone"),
    ("block/timer.rs", "end_of_owner", "        give_back(timers, &mut s);\n", "        if !@ { give_back(timers, &mut s); }\n", "TIMER-O2: the place is given back"),
    ("block/timer.rs", "reset", "t.forget(&mut s);", "if !@ { t.forget(&mut s); }", "TIMER-A1: stop"),
    ("block/rwmutex.rs", "wait_for_turn", "Waited::Not | Waited::Handoff =>", "waited if matches!(waited, Waited::Not | Waited::Handoff) || @ && waited == Waited::Woken =>", "RWMUTEX-X3: a writer that is woken looks again"),
    ("block/rwmutex.rs", "after_reader", "&& writer_may_enter(s) {", "&& writer_may_enter(s) && !@ {", "RWMUTEX-R4: the last one wakes the writer"),
    ("block/rwmutex.rs", "leave", "&& s & WRITER == 0 {", "&& (@ || s & WRITER == 0) {", "RWMUTEX-R4: no writer waits"),
    ("block/rwmutex.rs", "leave", "(READER, Ordering::Release)", "(READER, if @ { Ordering::Relaxed } else { Ordering::Release })", "RWMUTEX-R4: Release"),
    ("block/rwmutex.rs", "left", "                    self.after_reader(m, to);\n", "                    if !@ { self.after_reader(m, to); }\n", "RWMUTEX-R5: it may be the last one"),
    ("block/rwmutex.rs", "left", "while (s as i64) < 0 {", "while @ || (s as i64) < 0 {", "RWMUTEX-R5: if they still are negative"),
    ("block/rwmutex.rs", "read_entered", "            if !has_readers(s) {\n", "            if !@ && !has_readers(s) {\n", "RWMUTEX-R2: takes nothing away where nothing is left"),
    ("block/rwmutex.rs", "enter", "fetch_add(READER, Ordering::Acquire)", "fetch_add(READER, if @ { Ordering::Relaxed } else { Ordering::Acquire })", "RWMUTEX-R1: Acquire"),
    ("block/rwmutex.rs", "read_entered", "if !bars_readers(s) {", "if !@ && !bars_readers(s) {", "RWMUTEX-R2: inside after all"),
    ("block/rwmutex.rs", "read_entered", "let mut s = self.state.load(Ordering::Acquire);", "let mut s = self.state.load(if @ { Ordering::Relaxed } else { Ordering::Acquire });", "RWMUTEX-R2: Acquire"),
    ("block/rwmutex.rs", "read_entered", "Ordering::Relaxed, Ordering::Acquire)", "Ordering::Relaxed, if @ { Ordering::Relaxed } else { Ordering::Acquire })", "RWMUTEX-R2: Acquire of a reader that looks again"),
    ("block/rwmutex.rs", "read_entered", "        self.after_reader(m, s);\n", "        if !@ { self.after_reader(m, s); }\n", "RWMUTEX-R2: the last one wakes the writer"),
    ("block/rwmutex.rs", "read_entered", "if bars_readers(s) { (s | QUEUE, true) }", "if bars_readers(s) { (if @ { s } else { s | QUEUE }, true) }", "RWMUTEX-R3: say that there is a waiter"),
    ("block/rwmutex.rs", "read_entered", "to, Ordering::Acquire, Ordering::Relaxed", "to, if @ { Ordering::Relaxed } else { Ordering::Acquire }, Ordering::Relaxed", "RWMUTEX-R3: Acquire"),
    ("block/rwmutex.rs", "write_alone", "0, ALONE, Ordering::Acquire", "0, ALONE, if @ { Ordering::Relaxed } else { Ordering::Acquire }", "RWMUTEX-A1: Acquire"),
    ("block/rwmutex.rs", "leave_alone", "ALONE, 0, Ordering::Release", "ALONE, 0, if @ { Ordering::Relaxed } else { Ordering::Release }", "RWMUTEX-A2: Release"),
    ("block/rwmutex.rs", "write", "self.state.fetch_add(WRITER, Ordering::Acquire)", "self.state.fetch_add(WRITER, if @ { Ordering::Relaxed } else { Ordering::Acquire })", "RWMUTEX-X2: Acquire"),
    ("block/rwmutex.rs", "wait_for_turn", "|| !is_turn());", "|| @ || !is_turn());", "RWMUTEX-X3: under the lock"),
    ("block/rwmutex.rs", "write", "            self.open(m, WRITER);\n", "            if !@ { self.open(m, WRITER); }\n", "RWMUTEX-X5: a writer that gives up"),
    ("block/rwmutex.rs", "write", "fetch_add(ALONE - WRITER,", "fetch_add(if @ { 0 } else { ALONE - WRITER },", "RWMUTEX-X4: ALONE in place of WRITER"),
    ("block/rwmutex.rs", "write", "let unlocked = if ", "let unlocked = if @ || ", "RWMUTEX-X4: the mutex is unlocked"),
    ("block/rwmutex.rs", "open", "mine == WRITER && s & ALONE != 0", "!@ && mine == WRITER && s & ALONE != 0", "RWMUTEX-X5: readers go on waiting for ALONE"),
    ("block/rwmutex.rs", "open", "(mine | QUEUE,", "(if @ { mine } else { mine | QUEUE },", "RWMUTEX-A2 and RWMUTEX-X5: no G waits any more"),
    ("block/rwmutex.rs", "open", ".wrapping_add(n * READER);", ".wrapping_add(if @ { 0 } else { n * READER });", "RWMUTEX-A2 and RWMUTEX-X5: they are counted"),
    ("block/rwmutex.rs", "open", "s, to, Ordering::Release", "s, to, if @ { Ordering::Relaxed } else { Ordering::Release }", "RWMUTEX-A2 and RWMUTEX-X5: Release"),
    ("block/rwmutex.rs", "open", "if waits {", "if waits && !@ {", "RWMUTEX-A2: the writer that waits"),
    ("block/cond.rs", "wait", "mutex.lock_again(m);", "if !@ { mutex.lock_again(m); }", "COND-W3: take the mutex again"),
    ("block/cond.rs", "wait", "(q.peek(addr).is_none() || self.mutex.get() == with)", "(@ || q.peek(addr).is_none() || self.mutex.get() == with)", "COND-W1: no G waits with another mutex"),
    ("block/cond.rs", "wait", "            mutex.unlock_for(m);\n", "            if !@ { mutex.unlock_for(m); }\n", "COND-W4: a refused wait unlocks"),
    ("block/cond.rs", "wait", "            m = vain::give_way(m);\n", "            if !@ { m = vain::give_way(m); }\n", "COND-W4: and lets others run"),
    ("block/vain.rs", "in_vain", "n.is_multiple_of(PATIENCE)", "!@ && n.is_multiple_of(PATIENCE)", "VAIN-N1: every so often others run"),
    ("block/vain.rs", "in_vain", "asked ||", "!@ && asked ||", "VAIN-N1: a request is served"),
    ("block/vain.rs", "rest", "if m.ctx() != Ctx::G || m.pins() != 0 {", "if m.ctx() != Ctx::G || !@ && m.pins() != 0 {", "VAIN-N2: not where the caller may not leave"),
    ("block/once.rs", "end", "w.take_all(addr, Wake::Handoff);", "w.take_all(addr, if @ { Wake::Ready } else { Wake::Handoff });", "the waiters do not look again"),
    ("block/once.rs", "begin", "let _ = self.state.compare_exchange(RUNS, WAITED, Ordering::Relaxed, Ordering::Relaxed);", "let _ = @ || self.state.compare_exchange(RUNS, WAITED, Ordering::Relaxed, Ordering::Relaxed).is_ok();", "say that there is a waiter"),
    ("block/once.rs", "begin", "self.state.load(Ordering::Relaxed) == WAITED", "(@ || self.state.load(Ordering::Relaxed) == WAITED)", "still to wait, under the lock"),
    ("block/once.rs", "is_done", "Ordering::Acquire", "if @ { Ordering::Relaxed } else { Ordering::Acquire }", "what was done is seen"),
    ("block/once.rs", "end", "DONE, Ordering::Release, ", "DONE, if @ { Ordering::Relaxed } else { Ordering::Release }, ", "what was done is seen"),
    ("block/scope.rs", "leave_why", "if state.leaving {", "if !@ && state.leaving {", "one leaves at a time"),
    ("block/scope.rs", "leave_why", "s.state.lock().leaving = false;", "if !@ { s.state.lock().leaving = false; }", "it may be left again"),
    ("block/scope.rs", "leave_why", "if s.open.is_zero() {", "if @ || s.open.is_zero() {", "SCOPE-L1: no children"),
    ("block/scope.rs", "find", "if s.handle.load(Ordering::Relaxed) == handle {", "if @ || s.handle.load(Ordering::Relaxed) == handle {", "another's memory by now"),
    ("block/scope.rs", "leave_why", "s.handle.store(0, Ordering::Relaxed);", "if !@ { s.handle.store(0, Ordering::Relaxed); }", "SCOPE-L2: the handle is stale"),
    ("block/scope.rs", "leave_why", "s.handle.store(handle, Ordering::Relaxed);", "if !@ { s.handle.store(handle, Ordering::Relaxed); }", "SCOPE-L2: the handle is put back"),
    ("block/scope.rs", "spawn", "if s.handle.load(Ordering::Relaxed) != handle {", "if !@ && s.handle.load(Ordering::Relaxed) != handle {", "SCOPE-S1: the handle is looked at again"),
    ("block/scope.rs", "spawn", "count_locked(m, handle)?;", "if @ { return Err(Error::Stale); } count_locked(m, handle)?;", "SCOPE-S1: SCOPE-L2 takes the handle away for a moment"),
    ("block/scope.rs", "leave_why", "!state.inside.is_null() && state.inside != gp.as_ptr()", "!@ && !state.inside.is_null() && state.inside != gp.as_ptr()", "SCOPE-L1: the one inside leaves"),
    ("block/scope.rs", "leave_why", "if inside {", "if inside && !@ {", "SCOPE-L3: the token from before"),
    ("block/scope.rs", "enter", "state.leaving || !state.inside.is_null()", "!@ && (state.leaving || !state.inside.is_null())", "SCOPE-E1: one is inside"),
    ("block/scope.rs", "leave_all", "s.state.lock().inside = null_mut();", "if !@ { s.state.lock().inside = null_mut(); }", "SCOPE-X1: it may be left"),
    ("block/scope.rs", "step_out", "later.before.get() == s.token.get()", "!@ && later.before.get() == s.token.get()", "SCOPE-L3: back past what was left"),
    ("block/scope.rs", "returned", "&& cancel_children(m, s)", "&& !@ && cancel_children(m, s)", "SCOPE-S2: the first error cancels"),
    ("protocol/store.rs", "newproc_to_start", "if m.p().is_none() && m.sched().is_closing() {", "if !@ && m.p().is_none() && m.sched().is_closing() {", "a spawn looks for the end"),
    ("gmp/timers.rs", "arm", "Timers::advertise(pp);", "if !@ { Timers::advertise(pp); }", "its P shows that it has timers"),
    ("gmp/timers.rs", "move_all", "Timers::advertise(to);", "if !@ { Timers::advertise(to); }", "the other P shows that it has timers"),
    ("gmp/timers.rs", "retract", "if h.entries.is_empty() {", "if @ || h.entries.is_empty() {", "look again under the lock"),
    ("gmp/timers.rs", "remove", "if t.heap.0.load(Ordering::Relaxed) != pp.as_ptr() {", "if !@ && t.heap.0.load(Ordering::Relaxed) != pp.as_ptr() {", "in another heap by now"),
    ("gmp/timers.rs", "remove", "pp.timers.publish(&h);", "if !@ { pp.timers.publish(&h); }", "the earliest is another"),
    ("gmp/timers.rs", "remove", "h.bury(pp, t);", "if !@ { h.bury(pp, t); }", "a dead top is taken out"),
    ("gmp/timers.rs", "postpone", "if t.heap.0.load(Ordering::Relaxed) != pp.as_ptr() ||", "if (!@ && t.heap.0.load(Ordering::Relaxed) != pp.as_ptr()) ||", "in another heap by now"),
    ("gmp/timers.rs", "postpone", "|| when < t.entry.get() {", "|| !@ && when < t.entry.get() {", "earlier than its entry"),
    ("gmp/timers.rs", "run", "if when > e.when {", "if !@ && when > e.when {", "it was put off"),
    ("gmp/timers.rs", "run", "                            t.entry.set(when);\n", "                            if !@ { t.entry.set(when); }\n", "its entry moves with it"),
    ("gmp/timers.rs", "run", "                        h.pop();\n                        h.skim(pp);", "                        h.pop();\n                        if !@ { h.skim(pp); }", "the top is alive"),
    ("gmp/timers.rs", "run", "                        t.heap.0.store(std::ptr::null_mut(), Ordering::Release);\n", "                        if !@ { t.heap.0.store(std::ptr::null_mut(), Ordering::Release); }\n", "not armed any more"),
    ("gmp/timers.rs", "run", "timers.publish(&h);\n                        what", "if !@ { timers.publish(&h); }\n                        what", "the earliest is another"),
    ("gmp/timers.rs", "run", "h.reserved += usize::from(what.3);", "h.reserved += usize::from(what.3 && !@);", "room to come back"),
    ("gmp/timers.rs", "move_all", ".heap.0.store(to.as_ptr(), Ordering::Release);", ".heap.0.store(if @ { from.as_ptr() } else { to.as_ptr() }, Ordering::Release);", "they know their heap"),
    ("gmp/timers.rs", "move_all", "old.closed = true;", "old.closed = !@;", "no timer is armed in a P that is gone"),
    ("gmp/timers.rs", "move_all", "from.timers.publish(&old);", "if !@ { from.timers.publish(&old); }", "a P that is gone has none"),
    ("gmp/timers.rs", "move_all", "to.timers.publish(&h);", "if !@ { to.timers.publish(&h); }", "the earliest is another"),
    ("gmp/timers.rs", "put_back", "if !h.closed {", "if @ || !h.closed {", "the P is gone meanwhile"),
    ("gmp/timers.rs", "add_somewhere", "if !h.closed {", "if @ || !h.closed {", "the P is gone"),
    ("gmp/timers.rs", "is_alive", "t.entry.get() == self.when", "(@ || t.entry.get() == self.when)", "dead: an entry of another time"),
    ("gmp/timers.rs", "arm", "pp.timers.first.store(first, Ordering::Release);", "if !@ { pp.timers.first.store(first, Ordering::Release); }", "the earliest is another"),
]

# Mutations that no test finds, by the name in the table, and why the code is there all the same.
EXPLAINED = {
    "protocol/wake.rs start_searcher: wakep_slow(sched, me);": "an M that goes idle keeps the timers (WAKE-I4); this only spares the watchdog the work",
    "protocol/wake.rs no_thread: sched.sysmon_note.wakeup();": "the watchdog does not sleep deeply while a thread is needed; this makes it look sooner",
    "protocol/wake.rs no_thread: quiet::notify_if_all_idle(sched);": "the watchdog asks for the thread again, and tells the watchers then",
    "protocol/wake.rs look_again: wakep_slow(sched, me); (2)": "the watchdog finds timers that have no timer waiter, only later",
    "protocol/wake.rs go_idle: WAKE-I1: look at the global queue under the lock": "WAKE-I3 looks again; this saves the M the way into the idle list and back",
    "protocol/wake.rs go_idle: WAKE-I3: at the timers": "the M that becomes the timer waiter of a due timer does not sleep",
    "protocol/seize.rs hold_on: wake::wakep(sched, m);": "an M that goes idle later looks at the global queue under the lock that was held here (WAKE-I1)",
    "block/timer.rs fire_if_due: TIMER-T1: a callback on its way is late": "the callback finds the timer not armed, and each way to arm it again adds 1 to seq first",
    "block/timer.rs fire: TIMER-F4: the runtime ends": "stop_all, which follows, forgets the timer too",
    "protocol/wake.rs kick_timer_waiter: until when the timer waiter sleeps": "the timer waiter is told once more, and looks at the timers itself",
    "protocol/syscall.rs handoffp: SYSCALL-Y2: the global queue": "look_again sees it; this saves the P the way into the idle list and back",
    "protocol/syscall.rs handoffp: SYSCALL-Y2: no M searches": "look_again sees it; this saves the P the way into the idle list and back",
    "protocol/syscall.rs handoffp: SYSCALL-Y2: its timers": "look_again sees it; this saves the P the way into the idle list and back",
    "protocol/syscall.rs exitsyscall_no_p: wake::wakep(sched, m);": "an M that goes idle later looks at the global queue under the lock that was held here (WAKE-I1)",
    "protocol/syscall.rs exitsyscall_no_p: SYSCALL-X4: an idle P after all": "the wake-up that follows finds the P, and another thread runs the G",
    "block/waitq.rs open: wake::timer_added_on_the_way(m.sched(), m, when);": "late, not lost: the P is not idle, so sysmon looks at its timers",
    "block/sleep.rs arm: crate::protocol::wake::timer_added_on_the_way(m.sched(), m, when);": "as in waitq.rs",
    "block/claim.rs leave: wake::timer_added_on_the_way(m.sched(), m, when);": "as in waitq.rs",
    "block/timer.rs fire: wake::timer_added_on_the_way(sched, m, when);": "as in waitq.rs",
    "block/cancel.rs make: canceled while its timer was armed": "the timer fires without effect, or goes with the token",
    "block/cancel.rs cancel_one: its timer is of no use any more": "the timer fires without effect, or goes with the token",
    "ds/runq.rs steal_half: head is an old one": "the exchange fails then; this only bounds how much the thief copies before it",
    "block/dial.rs winner: DIAL-A2: a failure begins the next attempt": "the next attempt begins after the delay; this saves that time while others are under way",
    "block/fd.rs wake: fence(Ordering::SeqCst);": "`end_all`, just before it, has one between the same accesses",
    "block/fd.rs is_drained: FD-I4: the epoll reports": "what came before the descriptor was in the epoll is reported then; this saves the way through it",
    "block/mutex.rs unlock_to: a woken waiter is on its way": "more waiters are woken, without effect",
}


def functions(text):
    """Name, begin and end of each function."""
    for m in re.finditer(r"^( *)(?:pub(?:\([a-z: ]+\))? )?(?:const )?(?:unsafe )?fn (\w+)", text, re.M):
        end = text.find("\n" + m[1] + "}", m.end())
        yield m[2], m.start(), end if end > 0 else len(text)


class Mutation:
    def __init__(self, file, function, at, old, new, what):
        self.file, self.function, self.at, self.old, self.new, self.what = file, function, at, old, new, what


def mutations():
    out = []
    if strays := {b[0] for b in BY_HAND} - MODELS.keys():
        sys.exit(f"no line of MODELS names {strays}")
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


def mutated(text, here):
    """A file with its mutations."""
    # From the last to the first, so that positions stay valid. Of two mutations at one place the second is applied
    # inside the text that the first has left.
    for m in sorted(here, key=lambda m: (m.at, m.n), reverse=True):
        new = m.new.replace("@", f"crate::mutated({m.n})")
        if text[m.at : m.at + len(m.old)] != m.old:
            sys.exit(f"{m.name}: overlaps with another")
        text = text[: m.at] + new + text[m.at + len(m.old) :]
    return text


def make_tree(all_of_them):
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    for file in filter(None, files):
        text = (ROOT / file).read_text(errors="surrogateescape")
        text = mutated(text, [m for m in all_of_them if "src/" + m.file == file])
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


def build(args, target, flags):
    env = dict(os.environ, RUSTFLAGS=flags, CARGO_TARGET_DIR=str(TARGET / target))
    p = subprocess.run(["cargo", *args, "--quiet", "--message-format=json"], cwd=TREE, env=env, stdout=subprocess.PIPE, text=True)
    if p.returncode:
        for l in p.stdout.splitlines():
            print(((json.loads(l).get("message") or {}).get("rendered") or ""), end="")
        sys.exit("the copy does not build")
    return [json.loads(l) for l in p.stdout.splitlines()]


def run(cmd, n, limit, **more):
    """None: passed. Otherwise how it failed. The limit is in seconds of real time."""
    env = dict(os.environ, GMX_MUTATION=str(n), **more)
    p = subprocess.Popen(cmd, cwd=TREE, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        p.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        return "hangs"
    return None if p.returncode == 0 else "fails"


def compute(cmd, n, limit, **more):
    """As run, with a limit of processor time, which does not depend on the load of the machine. Also returns the time."""
    env = dict(os.environ, GMX_MUTATION=str(n), **more)
    cmd = ["prlimit", f"--cpu={limit:.0f}", *cmd]
    p = subprocess.Popen(cmd, cwd=TREE, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    took = used.ru_utime + used.ru_stime
    if p.returncode in (-signal.SIGKILL, -signal.SIGXCPU):
        return "hangs", took
    return None if p.returncode == 0 else "fails", took


class Memory:
    """The results of earlier runs, in a file."""

    def __init__(self, name):
        self.file = TARGET / f"mutations-{name}.json"
        self.known = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.lock = threading.Lock()

    def put(self, key, value):
        with self.lock:
            self.known[key] = value
            self.file.write_text(json.dumps(self.known, indent=0))


class Models:
    """Built when they are needed first."""

    def __init__(self, checker, **env):
        self.checker, self.env, self.exe, self.lock = checker, env, None, threading.Lock()
        # The seconds that each test takes.
        self.took = Memory(checker)

    def make(self):
        made = build(["test", "--profile", "models", "--lib", "--no-run"], self.checker, f"--cfg {self.checker}")
        exe = TARGET / f"mutations-{self.checker}.exe"
        # A copy, since ci/models.sh builds to the same path.
        shutil.copy2([m["executable"] for m in made if m.get("executable")][-1], exe)
        names = subprocess.run([exe, "--list"], capture_output=True, text=True, check=True).stdout.splitlines()
        names = [n[: -len(": test")] for n in names if n.startswith("models::") and n.endswith(": test")]
        self.names = [n for n in names if "::finds_" not in n and not n.endswith("every_fence_has_a_model")]
        self.exe = exe

    def modules(self, words):
        return [n for w in words for n in self.names if n.startswith(f"models::{w}::")]

    def missed_by(self, m):
        with self.lock:
            if self.exe is None:
                self.make()
        names = self.modules(MODELS[m.file].split())
        same_file = [by for name, by in list(FOUND.known.items()) if name.startswith(m.file)]

        def worth(name):
            """Tests that have found others of this file quickly come first."""
            found = sum(by.endswith(name[len("models::") :]) for by in same_file)
            return found / (1 + self.took.known.get(name, 1)), -self.took.known.get(name, 1)

        left = BUDGET
        for name in sorted(names, key=worth, reverse=True):
            if left < 0:
                break
            how, took = compute([self.exe, "--exact", name, "--test-threads", "1"], m.n, SLOW, **self.env)
            if how == "fails":
                return f"{self.checker} {name[len('models::'):]}"
            self.took.put(name, took)
            left -= took
        return None


class Programs:
    """The tests of real threads: unit tests and C programs. It builds one at a time, in the directories of the builds
    before."""

    def __init__(self):
        self.lock, self.exe = threading.Lock(), None

    def make(self):
        made = build(["test", "--lib", "--no-run"], "mutations-c", "")
        self.units = [m["executable"] for m in made if m.get("executable")][-1]
        made = build(["test", "--test", "ctests", "--no-run"], "mutations-c", "")
        self.exe = [m["executable"] for m in made if m.get("executable")][-1]
        made = build(["rustc", "--lib", "--crate-type", "cdylib"], "mutations-lib", "--cfg gmx_widen")
        self.lib = [f for m in made for f in m.get("filenames", []) if f.endswith(".so") and "gomax" in f][-1]

    def one(self, name, n):
        return run([self.exe, "--exact", name], n, 300, GMX_LIB=self.lib)

    def missed_by(self, m):
        with self.lock:
            if self.exe is None:
                self.make()
            if near := UNITS_NEAR.get(m.file):
                if run([self.units, near], m.n, 120) and not run([self.units, near], 0, 120):
                    return f"unit {near}"
            far = "" if "--near" in sys.argv else C_TESTS
            for name in dict.fromkeys(f"{C_NEAR.get(m.file, '')} {far}".split()):
                # A failure for another reason does not count.
                if self.one(name, m.n) and not self.one(name, 0):
                    return f"C {name}"
        return None


# The test that has found each mutation, by name.
FOUND = None


def main():
    global FOUND
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    if {a for a in sys.argv[1:] if a.startswith("-")} - OPTIONS:
        sys.exit(__doc__)
    all_of_them = mutations()
    FOUND = Memory("found")
    chosen = [m for m in all_of_them if not words or any(w in m.name for w in words)]
    if "--missed" in sys.argv:
        chosen = [m for m in chosen if FOUND.known.get(m.name, "nothing").lower().startswith("nothing")]
    if "--near" in sys.argv:
        chosen = [m for m in chosen if m.name not in EXPLAINED]
    if "--loom" in sys.argv:
        chosen = [m for m in chosen if m.name not in FOUND.known]
    if "--list" in sys.argv:
        for file in MODELS:
            mutated((ROOT / "src" / file).read_text(), [m for m in all_of_them if m.file == file])
        print(*(m.name for m in chosen), sep="\n")
        return
    make_tree(all_of_them)
    loom, shuttle, programs = Models("loom"), Models("shuttle", GMX_SCHEDULES="300"), Programs()

    def one(m):
        by = "--real" not in sys.argv and (loom.missed_by(m) or ("--loom" not in sys.argv and shuttle.missed_by(m)))
        if not by and "--loom" in sys.argv:
            print(f"{m.name} -> not by loom", flush=True)
            return m.name, "-"
        if not by and "--models" not in sys.argv:
            by = programs.missed_by(m)
        why = EXPLAINED.get(m.name)
        by = by or (f"nothing: {why}" if why else "NOTHING")
        if by == "NOTHING" and "--near" in sys.argv:
            print(f"{m.name} -> not by those near", flush=True)
            return m.name, "-"
        FOUND.put(m.name, by)
        print(f"{m.name} -> {by}", flush=True)
        return m.name, by

    with ThreadPoolExecutor(int(os.environ.get("GMX_JOBS", 1))) as pool:
        rows = list(pool.map(one, chosen))
    width = max((len(r[0]) for r in rows), default=0)
    print("\n" + "\n".join(f"{name:{width}}  {by}" for name, by in rows))
    bad, explained = (sum(by.startswith(word) for _, by in rows) for word in ("NOTHING", "nothing"))
    print(f"\n{len(rows)} mutations: {len(rows) - bad - explained} found, {explained} explained, {bad} not explained")
    sys.exit(1 if bad else 0)


main()
