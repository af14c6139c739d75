//! Each fence of the protocols has a model that fails without it.

/// The files with protocols, as they are now, and the words under them that are protocols themselves.
const FILES: &[(&str, &str)] = &[
    ("sync/lock.rs", include_str!("../sync/lock.rs")),
    ("sync/note.rs", include_str!("../sync/note.rs")),
    ("sync/event.rs", include_str!("../sync/event.rs")),
    ("protocol/idle.rs", include_str!("../protocol/idle.rs")),
    ("protocol/wake.rs", include_str!("../protocol/wake.rs")),
    ("protocol/rescue.rs", include_str!("../protocol/rescue.rs")),
    ("protocol/quiet.rs", include_str!("../protocol/quiet.rs")),
    ("protocol/store.rs", include_str!("../protocol/store.rs")),
    ("protocol/park.rs", include_str!("../protocol/park.rs")),
    ("protocol/syscall.rs", include_str!("../protocol/syscall.rs")),
    ("protocol/seize.rs", include_str!("../protocol/seize.rs")),
    ("protocol/stw.rs", include_str!("../protocol/stw.rs")),
    ("protocol/ragged.rs", include_str!("../protocol/ragged.rs")),
    ("protocol/resize.rs", include_str!("../protocol/resize.rs")),
    ("protocol/lockedm.rs", include_str!("../protocol/lockedm.rs")),
    ("protocol/foreign.rs", include_str!("../protocol/foreign.rs")),
    ("protocol/preempt.rs", include_str!("../protocol/preempt.rs")),
    ("protocol/coro.rs", include_str!("../protocol/coro.rs")),
    ("block/waitq.rs", include_str!("../block/waitq.rs")),
    ("block/address.rs", include_str!("../block/address.rs")),
    ("block/sema.rs", include_str!("../block/sema.rs")),
    ("block/mutex.rs", include_str!("../block/mutex.rs")),
    ("block/join.rs", include_str!("../block/join.rs")),
    ("block/waitgroup.rs", include_str!("../block/waitgroup.rs")),
    ("block/sleep.rs", include_str!("../block/sleep.rs")),
    ("block/cancel.rs", include_str!("../block/cancel.rs")),
    ("block/rwmutex.rs", include_str!("../block/rwmutex.rs")),
    ("block/cond.rs", include_str!("../block/cond.rs")),
    ("block/barrier.rs", include_str!("../block/barrier.rs")),
    ("block/once.rs", include_str!("../block/once.rs")),
    ("block/timer.rs", include_str!("../block/timer.rs")),
    ("block/scope.rs", include_str!("../block/scope.rs")),
    ("block/claim.rs", include_str!("../block/claim.rs")),
    ("block/parking.rs", include_str!("../block/parking.rs")),
    ("block/chan.rs", include_str!("../block/chan.rs")),
    ("block/chan/life.rs", include_str!("../block/chan/life.rs")),
    ("block/chan/record.rs", include_str!("../block/chan/record.rs")),
    ("block/chan/ring.rs", include_str!("../block/chan/ring.rs")),
    ("block/chan/watch.rs", include_str!("../block/chan/watch.rs")),
    ("block/chan/words.rs", include_str!("../block/chan/words.rs")),
    ("block/select.rs", include_str!("../block/select.rs")),
    ("block/class.rs", include_str!("../block/class.rs")),
    ("block/cancel/hooks.rs", include_str!("../block/cancel/hooks.rs")),
    ("block/done.rs", include_str!("../block/done.rs")),
    ("block/fd.rs", include_str!("../block/fd.rs")),
    ("block/fd/epoll.rs", include_str!("../block/fd/epoll.rs")),
    ("block/fd/ready.rs", include_str!("../block/fd/ready.rs")),
    ("block/copy.rs", include_str!("../block/copy.rs")),
    ("block/names.rs", include_str!("../block/names.rs")),
    ("block/process.rs", include_str!("../block/process.rs")),
    ("block/hook.rs", include_str!("../block/hook.rs")),
    ("block/parallel.rs", include_str!("../block/parallel.rs")),
    ("ds/runq.rs", include_str!("../ds/runq.rs")),
    ("trace/ring.rs", include_str!("../trace/ring.rs")),
    ("gmp/glance.rs", include_str!("../gmp/glance.rs")),
    ("gmp/m.rs", include_str!("../gmp/m.rs")),
    ("gmp/p.rs", include_str!("../gmp/p.rs")),
    ("gmp/p/word.rs", include_str!("../gmp/p/word.rs")),
    ("gmp/p/to_run.rs", include_str!("../gmp/p/to_run.rs")),
    ("gmp/p/stacks.rs", include_str!("../gmp/p/stacks.rs")),
    ("gmp/queue.rs", include_str!("../gmp/queue.rs")),
    ("gmp/allg.rs", include_str!("../gmp/allg.rs")),
    ("gmp/allp.rs", include_str!("../gmp/allp.rs")),
    ("gmp/sched.rs", include_str!("../gmp/sched.rs")),
    ("gmp/timers.rs", include_str!("../gmp/timers.rs")),
    ("sched/find.rs", include_str!("../sched/find.rs")),
    ("sched/life.rs", include_str!("../sched/life.rs")),
    ("sched/world.rs", include_str!("../sched/world.rs")),
    ("sched/sysmon.rs", include_str!("../sched/sysmon.rs")),
];

/// Each fence: its file, its function, and the model that fails without it. A fence may be an instruction of its own or
/// ride on a read-modify-write.
const NEEDED: &[(&str, &str, &str)] = &[
    ("protocol/wake.rs", "wakep", "wakes::finds_submit_without_fence"),
    ("protocol/wake.rs", "go_idle", "wakes::finds_idle_without_fence"),
    ("protocol/wake.rs", "look_again", "stops::finds_start_without_fence"),
    ("protocol/wake.rs", "timer_added", "timer_waiters::finds_timer_without_fence"),
    ("protocol/wake.rs", "enlist_idle", "timer_waiters::finds_timer_waiter_without_fence"),
    ("protocol/quiet.rs", "notify_if_all_idle", "quiets::finds_quiet_told_without_fence"),
    ("protocol/park.rs", "ready_queue_with_p", "wakes::finds_ready_without_fence"),
    ("protocol/syscall.rs", "leave", "stops::finds_enter_without_fence"),
    ("protocol/syscall.rs", "come_back", "syscalls::finds_exit_without_fence"),
    ("protocol/syscall.rs", "retake", "syscalls::finds_retake_without_fence"),
    ("protocol/stw.rs", "stop", "stops::finds_stop_without_fence"),
    ("protocol/seize.rs", "come_in_with", "seizes::finds_way_in_without_fence"),
    ("protocol/seize.rs", "try_enter_free", "seizes::finds_way_in_of_free_code_without_fence"),
    ("protocol/seize.rs", "enter_to_leave", "seizes::finds_way_into_a_syscall_without_fence"),
    ("protocol/seize.rs", "step_in", "seizes::finds_hold_without_fence"),
    ("protocol/ragged.rs", "take_outside", "stops::finds_barrier_without_fence"),
    ("block/waitq.rs", "wait_then", "waits::finds_waiter_without_fence"),
    ("block/waitq.rs", "end_all", "polls::finds_edge_without_fence"),
    ("block/address.rs", "wake", "addresses::finds_wake_without_fence"),
    ("block/fd.rs", "leave", "fds::finds_leave_without_fence"),
    ("block/fd/epoll.rs", "watch", "fds::finds_add_without_fence"),
    ("block/fd/ready.rs", "wait_ready", "fds::finds_wait_without_fence"),
    ("block/copy.rs", "run", "copies::finds_copy_without_fence"),
    ("block/names.rs", "serve", "offloads::finds_answer_without_fence"),
    ("block/sema.rs", "release_by", "waits::finds_release_without_fence"),
    ("block/scope.rs", "spawn", "scopes::finds_spawn_without_fence"),
    ("block/scope.rs", "leave_why", "scopes::finds_leave_without_fence"),
    ("gmp/sched.rs", "is_closing", "closes::finds_spawn_without_fence"),
    ("gmp/glance.rs", "settle", "glances::finds_glance_without_fence"),
    ("ds/runq.rs", "pop_newest", "runqs::finds_pop_without_fence"),
    ("ds/runq.rs", "steal", "runqs::finds_steal_without_fence"),
    ("trace/ring.rs", "put", "rings::finds_record_without_fence"),
    ("trace/ring.rs", "copy", "rings::finds_copy_without_fence"),
];

/// Fences that no model can miss, and why.
const OPEN: &[(&str, &str, &str)] = &[
    ("gmp/sched.rs", "num_g", "between the counts of each P, which are words with one owner and no steps of a model"),
    ("gmp/sched.rs", "count_for_watchers", "before `parked`, a word with one owner and no step of a model"),
    ("gmp/m.rs", "call_host", "as in `come_in`; a taker meets it only if it reads the context after the callback"),
    ("block/fd.rs", "wake", "`end_all`, just before it, has one between the same accesses"),
    ("block/process.rs", "release", "as in `wait_then` of waitq.rs, of a waiter that is a child: a model has none"),
    ("gmp/sched.rs", "close", "num_g has one between the same accesses: closes::finds_close_without_fences"),
];

fn is_fence(code: &str) -> bool {
    let calls = ["fence(", "fence_after_rmw(", "fence_light(", "fence_heavy("];
    let code = code.replace("has_asymmetric_fence(", "");
    !code.trim_start().starts_with("use ") && calls.iter().any(|call| code.contains(call))
}

fn text_of(file: &str) -> &'static str {
    FILES.iter().find(|f| f.0 == file).unwrap_or_else(|| panic!("{file} is not in the list")).1
}

/// The lines of a file: number, function, code.
fn lines(file: &str) -> impl Iterator<Item = (u32, String, &'static str)> {
    let mut function = String::new();
    text_of(file).lines().enumerate().map(move |(i, line)| {
        let code = line.split("//").next().unwrap_or_default();
        if let Some(at) = code.find("fn ")
            && let Some(end) = code[at + 3..].find(['(', '<'])
        {
            function = code[at + 3..at + 3 + end].to_string();
        }
        (i as u32 + 1, function.clone(), code)
    })
}

/// The fences of a file: line and function.
fn of(file: &str) -> Vec<(u32, String)> {
    lines(file).filter(|l| is_fence(l.2)).map(|l| (l.0, l.1)).collect()
}

/// The lines of the fences in a function.
#[cfg(loom)]
pub fn within(file: &str, function: &str) -> Vec<u32> {
    of(file).into_iter().filter(|f| f.1 == function).map(|f| f.0).collect()
}

/// The lines in a function that hold `what`.
#[cfg(loom)]
pub fn lines_with(file: &str, function: &str, what: &str) -> Vec<u32> {
    lines(file).filter(|l| l.1 == function && l.2.contains(what)).map(|l| l.0).collect()
}

/// Each fence is in a list, and each entry of the lists is a fence.
#[test]
fn every_fence_has_a_model() {
    let there: Vec<(&str, String)> = FILES.iter().flat_map(|f| of(f.0).into_iter().map(|g| (f.0, g.1))).collect();
    for (file, function) in &there {
        let known = NEEDED.iter().chain(OPEN).any(|n| n.0 == *file && n.1 == function);
        assert!(known, "{file}, {function}: a fence without a model");
    }
    for n in NEEDED.iter().chain(OPEN) {
        assert!(there.iter().any(|t| t.0 == n.0 && t.1 == n.1), "{} {}: there is no fence", n.0, n.1);
    }
    let models = concat!(
        include_str!("wakes.rs"),
        include_str!("stops.rs"),
        include_str!("seizes.rs"),
        include_str!("syscalls.rs"),
        include_str!("waits.rs"),
        include_str!("closes.rs"),
        include_str!("runqs.rs"),
        include_str!("quiets.rs"),
        include_str!("timers.rs"),
        include_str!("timer_waiters.rs"),
        include_str!("addresses.rs"),
        include_str!("scopes.rs"),
        include_str!("polls.rs"),
        include_str!("fds.rs"),
        include_str!("copies.rs"),
        include_str!("offloads.rs"),
        include_str!("rings.rs"),
        include_str!("glances.rs")
    );
    for n in NEEDED {
        let name = n.2.rsplit("::").next().unwrap();
        assert!(models.contains(&format!("fn {name}()")), "there is no model {name}");
    }
}
