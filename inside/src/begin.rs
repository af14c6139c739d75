//! What there was when a trace begins.
//!
//! # The cut
//! Each ring has lost its oldest records, and each begins at another time. The trace begins at the latest of these
//! times: the cut. From there on every record is there. The records before it are left out, but looked at once: times
//! of two threads may differ a little, so a record may be left out although an earlier one of the same G stays. And a
//! thief writes that it has taken a P after it took it, so the victim's next record may be left out although the theft
//! stays. Then the cut moves up.
//!
//! # The state at the cut
//! No list tells it, but the first record of each G and P does: a G that starts was runnable, a G that is readied
//! waited, a G that blocks ran on that thread. A P that is started was idle, a P that is taken was in a syscall on the
//! victim. The first number of each, less one, is the number that it had.
//!
//! A G without any record is known by the tables of the file, which were read later than the records: it is as they
//! say if nothing has happened to it since.

use std::collections::{HashMap, HashSet};

use crate::input::Trace;
use crate::order::{
    BEGIN, Event, GStatus, Goid, Has, Machine, NO_G, NO_P, PStatus, Pid, Refusal, Seen, Source, Step, Thread, distance,
    order,
};
use crate::raw;

/// The first record of each thread, and the state before them.
pub struct Begin {
    /// In ticks.
    pub cut: u64,
    pub from: Vec<usize>,
    /// The machine, as it is before the first record.
    pub machine: Machine,
    /// The Gs that are known only by the tables, or ran before the cut.
    pub known_g: Vec<Goid>,
    pub known_p: Vec<Pid>,
}

/// The lowest number and the record that has it, and the highest one.
struct Numbers {
    low: u32,
    event: Event,
    at: u64,
}

/// `last`: what is older than so many nanoseconds at the end of the file is left out, too.
pub fn begin(trace: &Trace, last: Option<u64>) -> Begin {
    let (began, ended) = (trace.header.began.ticks, trace.header.ended.ticks);
    let mut cut = trace.ms.iter().map(|m| m.row.lost_before).fold(began, u64::max);
    if let Some(last) = last {
        cut = cut.max(ended.saturating_sub(trace.ticks(last)));
    }
    loop {
        let from: Vec<usize> = (0..trace.threads()).map(|m| first_since(trace, m, cut)).collect();
        match misplaced(trace, &from) {
            Some(time) => cut = cut.max(time) + 1,
            None => return state(trace, cut, from),
        }
    }
}

fn first_since(trace: &Trace, m: Thread, cut: u64) -> usize {
    // Times of a thread rise.
    let (mut low, mut high) = (0, trace.len(m));
    while low < high {
        let middle = low.midpoint(high);
        if trace.time(m, middle) < cut { low = middle + 1 } else { high = middle }
    }
    low
}

/// The G that a thread runs and the P that it has, each with its number.
type Own = (Option<(Goid, u32)>, Option<(Pid, u32)>);

/// The time of a record that stays although a later one, by its number, is left out; the latest, if there are several.
fn misplaced(trace: &Trace, from: &[usize]) -> Option<u64> {
    let mut gs: HashMap<Goid, u32> = HashMap::new();
    let mut ps: HashMap<Pid, u32> = HashMap::new();
    let rise = |n: &mut u32, to: u32| {
        if distance(*n, to) > 0 {
            *n = to;
        }
    };
    // What is left out. The last start of each G on its thread, and the last number of each P there, too.
    let mut own: Vec<Own> = vec![(None, None); from.len()];
    // The P that each thread has then; None if nothing tells.
    let mut had: Vec<Option<Option<Pid>>> = vec![None; from.len()];
    for m in 0..trace.threads() {
        let mut has_taken_one = false;
        for at in 0..from[m] {
            let step = trace.step(m, at);
            if let Some((g, seq)) = step.numbers_g() {
                rise(gs.entry(g).or_insert(seq), seq);
            }
            if let Some((p, seq)) = step.numbers_p() {
                rise(ps.entry(p).or_insert(seq), seq);
            }
            match step.event {
                Event::GoStart { g, seq } => own[m].0 = Some((g, seq)),
                Event::GoStop { .. } | Event::GoBlock | Event::GoDestroy | Event::SyscallEndBlocked => own[m].0 = None,
                Event::ProcStart { p, seq } => own[m].1 = Some((p, seq)),
                Event::SyscallBegin { seq } if step.p != NO_P => own[m].1 = Some((step.p, seq)),
                Event::ProcStop => own[m].1 = None,
                _ => {}
            }
            if let Some(p) = p_after(m, &step, has_taken_one) {
                had[m] = Some(p);
                has_taken_one = matches!(step.event, Event::ProcStart { .. });
            }
        }
    }
    let mut latest = None;
    let mut first_of: HashMap<Pid, Numbers> = HashMap::new();
    for m in 0..trace.threads() {
        let (mut g_open, mut p_open) = own[m];
        for at in from[m]..trace.len(m) {
            let step = trace.step(m, at);
            let mut wrong = step.numbers_g().is_some_and(|(g, seq)| gs.get(&g).is_some_and(|n| distance(*n, seq) <= 0));
            if let Some((p, seq)) = step.numbers_p() {
                wrong |= ps.get(&p).is_some_and(|n| distance(*n, seq) <= 0);
                note_p(&mut first_of, p, seq, &step);
            }
            // It ran when the cut came, and its end stays; what came after that end must stay, too.
            match step.event {
                Event::GoStop { .. } | Event::GoBlock | Event::SyscallEndBlocked => {
                    if let Some((g, seq)) = g_open.take() {
                        wrong |= step.g == g && gs.get(&g).is_some_and(|n| distance(seq, *n) > 0);
                    }
                }
                Event::ProcStop => {
                    if let Some((p, seq)) = p_open.take() {
                        wrong |= step.p == p && ps.get(&p).is_some_and(|n| distance(seq, *n) > 0);
                    }
                }
                Event::GoStart { .. } => g_open = None,
                Event::ProcStart { .. } | Event::SyscallBegin { .. } => p_open = None,
                _ => {}
            }
            if wrong {
                latest = latest.max(Some(step.ts));
            }
        }
    }
    for (&p, first) in &first_of {
        if let Event::ProcSteal { victim, .. } | Event::Seize { victim, .. } = first.event
            && had.get(victim).is_some_and(|had| had.is_some_and(|had| had != Some(p)))
        {
            latest = latest.max(Some(first.at));
        }
    }
    latest
}

/// The P that the thread has after this record of it. None: the record does not tell. `has_taken_one`: its last record
/// that told was the start of a P.
fn p_after(m: Thread, step: &Step, has_taken_one: bool) -> Option<Option<Pid>> {
    use Event::*;
    match step.event {
        ProcStart { p, .. } => Some(Some(p)),
        ProcSteal { victim, .. } if victim == m => Some(None),
        ProcStop | GoDestroySyscall => Some(None),
        // It has lost the P with which it went, and perhaps got another one.
        SyscallEndBlocked => (!has_taken_one).then_some(None),
        _ => (step.event.has_p() && step.p != NO_P).then_some(Some(step.p)),
    }
}

fn state(trace: &Trace, cut: u64, from: Vec<usize>) -> Begin {
    let mut gs: HashMap<Goid, Numbers> = HashMap::new();
    let mut ps: HashMap<Pid, Numbers> = HashMap::new();
    let mut born: HashSet<Goid> = HashSet::new();
    let mut named: HashSet<Goid> = HashSet::new();
    // The first look at the G and the P of each thread.
    let mut first: Vec<Option<(Goid, GStatus)>> = vec![None; from.len()];
    let mut had: Vec<Has> = vec![Has::default(); from.len()];
    let mut back_from_host: Vec<Option<Goid>> = vec![None; from.len()];
    let mut silent: Vec<bool> = vec![false; from.len()];
    let mut in_syscall: HashSet<Pid> = HashSet::new();
    for m in 0..trace.threads() {
        let (mut g_known, mut p_known) = (false, false);
        // Its G is back from a syscall without its P; it may have got another one before the cut.
        let mut came_back = false;
        for at in from[m]..trace.len(m) {
            let step = trace.step(m, at);
            if let Some(g) = step.creates() {
                born.insert(g);
            }
            if step.g != NO_G {
                named.insert(step.g);
            }
            if let Some((g, seq)) = step.numbers_g() {
                note(&mut gs, g, seq, step.event, step.ts);
            }
            if let Some((p, seq)) = step.numbers_p() {
                note_p(&mut ps, p, seq, &step);
            }
            if !g_known {
                use Event::*;
                g_known = true;
                match step.event {
                    GoStart { .. } | GoCreateSyscall { .. } => {}
                    SyscallEnd | GoDestroySyscall => first[m] = Some((step.g, GStatus::Syscall)),
                    SyscallEndBlocked => {
                        first[m] = Some((step.g, GStatus::Syscall));
                        back_from_host[m] = Some(step.g);
                    }
                    _ if step.event.is_of_current() && step.g != NO_G => first[m] = Some((step.g, GStatus::Running)),
                    _ => g_known = false,
                }
            }
            if !p_known {
                use Event::*;
                match step.event {
                    ProcStart { .. } => p_known = true,
                    ProcSteal { p, victim, .. } if victim == m => {
                        (p_known, had[m].p) = (true, Some(p));
                        in_syscall.insert(p);
                    }
                    _ if step.event.has_p() && step.p != NO_P => {
                        (p_known, had[m].p) = (true, Some(step.p));
                        let in_one = first[m].is_some_and(|(_, status)| status == GStatus::Syscall);
                        if in_one && !came_back {
                            in_syscall.insert(step.p);
                        }
                    }
                    SyscallEndBlocked => came_back = true,
                    _ => {}
                }
            }
        }
        silent[m] = !g_known;
    }

    let mut begin = Begin { cut, from, machine: Machine::default(), known_g: Vec::new(), known_p: Vec::new() };
    let machine = &mut begin.machine;
    machine.ms = vec![Has::default(); trace.threads()];
    // A P whose first record is its theft was with the victim.
    for (&p, numbers) in &ps {
        match numbers.event {
            Event::ProcSteal { victim, .. } if victim < had.len() => {
                had[victim].p = Some(p);
                in_syscall.insert(p);
            }
            Event::Seize { victim, g, .. } if victim < had.len() => {
                had[victim].p = Some(p);
                in_syscall.remove(&p);
                if silent[victim] || back_from_host[victim] == Some(g) {
                    first[victim] = Some((g, GStatus::Running));
                }
            }
            _ => {}
        }
    }
    tables(trace, &begin.from, &named, &ps, &mut first, &mut had, &mut in_syscall);

    let mut owners: Vec<(Pid, Thread)> = had.iter().enumerate().filter_map(|(m, has)| has.p.map(|p| (p, m))).collect();
    owners.sort_by_key(|&(p, m)| (p, trace.len(m) > begin.from[m] && first[m].is_none(), m));
    owners.dedup_by_key(|(p, _)| *p);
    for (p, m) in owners {
        let seq = ps.get(&p).map_or(0, |n| n.low.wrapping_sub(1));
        let status = if in_syscall.contains(&p) { PStatus::Syscall } else { PStatus::Running };
        machine.set_p(p, status, Some(m), seq, BEGIN);
        begin.known_p.push(p);
    }
    for (&p, numbers) in &ps {
        if !machine.ps.contains_key(&p) {
            machine.set_p(p, PStatus::Idle, None, numbers.low.wrapping_sub(1), BEGIN);
            begin.known_p.push(p);
        }
    }
    for (m, known) in first.iter().enumerate() {
        if let Some((g, status)) = *known
            && !born.contains(&g)
            && !machine.gs.contains_key(&g)
        {
            let seq = gs.get(&g).map_or(0, |n| n.low.wrapping_sub(1));
            machine.set_g(g, status, Some(m), seq, BEGIN);
            begin.known_g.push(g);
        }
    }
    for (&g, numbers) in &gs {
        if !born.contains(&g) && !machine.gs.contains_key(&g) {
            let starts = matches!(numbers.event, Event::GoStart { .. });
            let status = if starts { GStatus::Runnable } else { GStatus::Waiting };
            machine.set_g(g, status, None, numbers.low.wrapping_sub(1), BEGIN);
            begin.known_g.push(g);
        }
    }
    // Those that waited all the time.
    for row in &trace.gs {
        let waits = matches!(row.status, raw::status::WAITING | raw::status::PARKED);
        if waits && row.wait_since < trace.mono(cut) && !born.contains(&row.goid) && !machine.gs.contains_key(&row.goid)
        {
            machine.set_g(row.goid, GStatus::Waiting, None, row.seq, BEGIN);
            begin.known_g.push(row.goid);
        }
    }
    begin.known_g.sort_unstable();
    begin.known_p.sort_unstable();
    begin
}

fn note_p(all: &mut HashMap<Pid, Numbers>, p: Pid, seq: u32, step: &Step) {
    // A seizure takes two numbers.
    let low = if let Event::Seize { .. } = step.event { seq.wrapping_sub(1) } else { seq };
    note(all, p, low, step.event, step.ts);
}

fn note<K: std::hash::Hash + Eq>(all: &mut HashMap<K, Numbers>, key: K, seq: u32, event: Event, at: u64) {
    let entry = all.entry(key).or_insert(Numbers { low: seq, event, at });
    // (of two records with one number the check tells later)
    if distance(seq, entry.low) > 0 || seq == entry.low && at < entry.at {
        *entry = Numbers { low: seq, event, at };
    }
}

/// Threads without a record since the cut: the tables tell what they had all the time.
fn tables(
    trace: &Trace,
    from: &[usize],
    named: &HashSet<Goid>,
    ps: &HashMap<Pid, Numbers>,
    first: &mut [Option<(Goid, GStatus)>],
    had: &mut [Has],
    in_syscall: &mut HashSet<Pid>,
) {
    for (m, thread) in trace.ms.iter().enumerate() {
        if from[m] < trace.len(m) || thread.row.written_then != thread.row.written {
            continue;
        }
        let syscall = thread.row.flags & raw::thread::SYSCALL != 0;
        if thread.row.goid != 0 && first[m].is_none() && !named.contains(&thread.row.goid) {
            first[m] = Some((thread.row.goid, if syscall { GStatus::Syscall } else { GStatus::Running }));
        }
        let p = thread.row.pid;
        if p != raw::NO_P && had[m].p.is_none() && !ps.contains_key(&p) && !had.iter().any(|has| has.p == Some(p)) {
            had[m].p = Some(p);
            if syscall {
                in_syscall.insert(p);
            }
        }
    }
}

/// What could not be put in order at the end of the file, in records: what it rests on happened after the file was
/// copied.
pub type Tail = usize;

/// Shows all records in order.
///
/// # Errors
///
/// Why they cannot have happened, the earliest first.
pub fn in_order(
    trace: &Trace,
    from: &[usize],
    machine: &mut Machine,
    see: impl FnMut(&Seen, &Machine),
) -> Result<Tail, Vec<Refusal>> {
    let Err(broken) = order(trace, from, machine, see) else { return Ok(0) };
    // A record that rests on another was written after it. So it is in the file without that one only if the times of
    // both are at the end; and clocks of two processors differ by less than this.
    let end = trace.header.ended.ticks.saturating_sub(trace.ticks(10_000));
    let is_tail = broken.waits && broken.stuck.iter().all(|&(m, at)| trace.time(m, at) >= end);
    if !is_tail {
        return Err(broken.refusals);
    }
    Ok(broken.stuck.iter().map(|&(m, at)| trace.len(m) - at).sum())
}
