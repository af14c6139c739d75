//! What a trace says, for people: `check`, `info` and `dump`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::begin::{Begin, Tail, in_order};
use crate::go::Names;
use crate::input::{Trace, kind_name};
use crate::order::{Event, GStatus, Goid, Machine, PStatus, Pid, Place, Refusal, Seen, Source};
use crate::raw::kind;
use crate::symbols::Symbols;

/// How long a G was runnable while a P was idle.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    pub g: Goid,
    pub p: Pid,
    /// The record that made it runnable.
    pub since: Place,
    pub nanos: u64,
}

/// Sums over a trace.
#[derive(Default)]
pub struct Sums {
    pub tail: Tail,
    pub records: usize,
    /// By the kind of the record.
    pub kinds: BTreeMap<u8, u64>,
    pub gs: HashSet<Goid>,
    pub ps: HashSet<Pid>,
    /// Why Gs waited: how often and how long.
    pub waits: BTreeMap<String, (u64, u64)>,
    /// From runnable to running, in nanoseconds, sorted.
    pub delays: Vec<u64>,
    /// How long each P ran Gs.
    pub busy: BTreeMap<Pid, u64>,
    /// The longest that a G was runnable while the same P was idle.
    pub latest: Option<Late>,
    /// Nanoseconds from the first record to the last.
    pub span: u64,
}

impl Sums {
    pub fn count(&self, kind: u8) -> u64 {
        self.kinds.get(&kind).copied().unwrap_or(0)
    }

    /// The delay that so many of a hundred do not exceed.
    pub fn delay(&self, percent: usize) -> u64 {
        match self.delays.len() {
            0 => 0,
            n => self.delays[(n * percent / 100).min(n - 1)],
        }
    }
}

/// # Errors
///
/// Why the records cannot have happened.
pub fn sums(trace: &Trace, mut begin: Begin) -> Result<Sums, Vec<Refusal>> {
    let mut sums = Sums::default();
    let mut machine = std::mem::take(&mut begin.machine);
    sums.gs.extend(machine.gs.keys());
    sums.ps.extend(machine.ps.keys());
    let first = trace.mono(begin.cut);
    let mut last = first;
    let mut reasons: HashMap<Goid, (String, u64)> = HashMap::new();
    let mut runnable: HashMap<Goid, (u64, Place)> = HashMap::new();
    let mut runs: HashMap<Pid, u64> = HashMap::new();
    for (p, pp) in &machine.ps {
        if pp.status == PStatus::Running && machine.ms[pp.on].g.is_some() {
            runs.insert(*p, first);
        }
    }
    let mut idle: HashMap<Pid, u64> = HashMap::new();
    let mut latest: Option<Late> = None;
    let see = |seen: &Seen, machine: &Machine| {
        let (m, at) = seen.at;
        let now = trace.mono(seen.ts).max(last);
        last = now;
        sums.records += 1;
        *sums.kinds.entry(trace.get(m, at).kind()).or_default() += 1;
        sums.gs.extend(seen.step.creates());
        sums.gs.extend(seen.after.g);
        sums.ps.extend(seen.after.p);
        let mut ready = |g: Goid| _ = runnable.insert(g, (now, seen.at));
        match seen.step.event {
            Event::GoCreate { g } | Event::CreateOutside { g } => ready(g),
            Event::GoStop { .. } => seen.before.g.into_iter().for_each(&mut ready),
            Event::SyscallEndBlocked => seen.before.g.into_iter().for_each(&mut ready),
            Event::GoUnblock { g, .. } => {
                ready(g);
                if let Some((why, since)) = reasons.remove(&g) {
                    let sum = sums.waits.entry(why).or_default();
                    *sum = (sum.0 + 1, sum.1 + now.saturating_sub(since));
                }
            }
            Event::GoStart { g, .. } => {
                if let Some((since, record)) = runnable.remove(&g) {
                    sums.delays.push(now.saturating_sub(since));
                    // Idle for all that time: the P that was so longest.
                    if let Some((&p, &from)) =
                        idle.iter().filter(|(p, _)| Some(**p) != seen.after.p).min_by_key(|(_, t)| **t)
                    {
                        let nanos = now.saturating_sub(from.max(since));
                        if latest.is_none_or(|l| nanos > l.nanos) {
                            latest = Some(Late { g, p, since: record, nanos });
                        }
                    }
                }
            }
            Event::GoBlock => {
                if let Some(g) = seen.before.g {
                    reasons.insert(g, (trace.reason(m, at), now));
                }
            }
            _ => {}
        }
        // Which P is idle, and which one runs a G?
        for p in [seen.before.p, seen.after.p, seen.step.numbers_p().map(|(p, _)| p)].into_iter().flatten() {
            let Some(pp) = machine.ps.get(&p) else { continue };
            if pp.status == PStatus::Idle {
                idle.entry(p).or_insert(now);
            } else {
                idle.remove(&p);
            }
            let busy = pp.status == PStatus::Running
                && machine.ms[pp.on]
                    .g
                    .is_some_and(|g| machine.gs.get(&g).is_some_and(|gp| gp.status == GStatus::Running));
            if busy {
                runs.entry(p).or_insert(now);
            } else if let Some(since) = runs.remove(&p) {
                *sums.busy.entry(p).or_default() += now - since;
            }
        }
    };
    let tail = in_order(trace, &begin.from, &mut machine, see)?;
    for (p, since) in runs {
        *sums.busy.entry(p).or_default() += last - since;
    }
    // Those that are runnable at the end.
    if let Some((&p, &from)) = idle.iter().min_by_key(|(_, since)| **since) {
        for (&g, &(since, record)) in &runnable {
            let nanos = last.saturating_sub(from.max(since));
            if latest.is_none_or(|l| nanos > l.nanos) {
                latest = Some(Late { g, p, since: record, nanos });
            }
        }
    }
    sums.delays.sort_unstable();
    (sums.tail, sums.latest, sums.span) = (tail, latest, last - first);
    Ok(sums)
}

fn late_of(trace: &Trace, late: &Late) -> String {
    let (m, at) = late.since;
    format!("G{}, P{}, since {} of {}", late.g, late.p, trace.record(m, at), trace.thread(m))
}

/// A sentence.
pub fn late(trace: &Trace, late: &Late) -> String {
    format!("a G was runnable for {} while a P was idle: {}", time(late.nanos), late_of(trace, late))
}

/// `1.234 ms`
pub fn time(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} us", nanos as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", nanos as f64 / 1e6),
        _ => format!("{:.3} s", nanos as f64 / 1e9),
    }
}

/// One line.
pub fn summary(sums: &Sums) -> String {
    let mut line =
        format!("{} records in order, {}: {} Gs on {} Ps", sums.records, time(sums.span), sums.gs.len(), sums.ps.len());
    if sums.tail > 0 {
        let _ = write!(line, "; {} at the end left out, which rest on later ones", sums.tail);
    }
    line
}

/// # Errors
///
/// `out` cannot be written.
pub fn info(trace: &Trace, begin: Begin, out: &mut impl Write) -> io::Result<Result<(), Vec<Refusal>>> {
    let cut = begin.cut;
    let lost = trace.ms.iter().filter(|m| m.row.lost_before != 0).count();
    writeln!(
        out,
        "process {}, {} Ps at the end, rings of {} KB",
        trace.header.process,
        trace.header.procs,
        trace.header.ring_bytes >> 10
    )?;
    let before = trace.mono(cut).saturating_sub(trace.header.began.mono);
    writeln!(
        out,
        "{} Ms, of which {lost} have lost records: the trace begins {} after its start",
        trace.ms.len(),
        time(before)
    )?;
    let sums = match sums(trace, begin) {
        Ok(sums) => sums,
        Err(refusals) => return Ok(Err(refusals)),
    };
    writeln!(out, "{}", summary(&sums))?;
    writeln!(out, "\nrecords")?;
    for (number, count) in sums.kinds.iter().filter(|(number, _)| **number != kind::TEXT) {
        writeln!(out, "{count:>12} {}", kind_name(*number))?;
    }
    writeln!(out, "\nfrom runnable to running")?;
    for percent in [50, 90, 99] {
        writeln!(out, "{:>12} {percent} %", time(sums.delay(percent)))?;
    }
    writeln!(out, "{:>12} at most", time(sums.delays.last().copied().unwrap_or(0)))?;
    if let Some(late) = sums.latest {
        writeln!(out, "{:>12} beside an idle P: {}", time(late.nanos), late_of(trace, &late))?;
    }
    if !sums.waits.is_empty() {
        writeln!(out, "\nwaits that ended, and their times together")?;
    }
    let mut waits: Vec<_> = sums.waits.iter().collect();
    waits.sort_by_key(|(why, (count, _))| (std::cmp::Reverse(*count), *why));
    for (why, (count, nanos)) in waits {
        writeln!(out, "{count:>12} {why} {}", time(*nanos))?;
    }
    writeln!(out, "\nPs, and how long they ran goroutines")?;
    for (p, nanos) in &sums.busy {
        let share = *nanos as f64 * 100.0 / sums.span.max(1) as f64;
        writeln!(out, "{:>12} P{p} {share:.1} %", time(*nanos))?;
    }
    Ok(Ok(()))
}

/// Each record in a line, in order: time in microseconds, M, P, number of the record, what it says.
///
/// # Errors
///
/// `out` cannot be written.
pub fn dump(
    trace: &Trace,
    mut begin: Begin,
    symbols: &mut Symbols,
    out: &mut impl Write,
) -> io::Result<Result<Tail, Vec<Refusal>>> {
    let names = Names::new(trace);
    let mut failed = Ok(());
    let first = trace.mono(begin.cut);
    let mut machine = std::mem::take(&mut begin.machine);
    let see = |seen: &Seen, _: &Machine| {
        let (m, at) = seen.at;
        if trace.get(m, at).kind() == kind::TEXT || failed.is_err() {
            return;
        }
        let nanos = trace.mono(seen.ts).saturating_sub(first);
        let p = seen.after.p.or(seen.before.p).map_or("-".into(), |p| format!("P{p}"));
        let mut line = format!(
            "{:>12}.{:03} {:<5} {p:<4} {:>9} {}",
            nanos / 1000,
            nanos % 1000,
            trace.thread(m),
            trace.ms[m].number(at),
            trace.say(m, at)
        );
        let shown = seen.step.creates().or(match seen.step.event {
            Event::GoStart { g, .. } => Some(g),
            _ => None,
        });
        if let Some(g) = shown {
            let name = names.of(g, symbols);
            if let Some((_, name)) = name.split_once(' ') {
                let _ = write!(line, " {name}");
            }
        }
        failed = writeln!(out, "{line}");
    };
    let done = in_order(trace, &begin.from, &mut machine, see);
    failed?;
    Ok(done)
}

/// Each record of each thread, as it is in the file.
///
/// # Errors
///
/// `out` cannot be written.
pub fn dump_threads(trace: &Trace, out: &mut impl Write) -> io::Result<()> {
    for m in 0..trace.threads() {
        let row = &trace.ms[m].row;
        writeln!(out, "{} thread {}, {} records, {} here", trace.thread(m), row.tid, row.written, row.held)?;
        for at in 0..trace.len(m) {
            writeln!(out, "{:>20} {:>9} {}", trace.time(m, at), trace.ms[m].number(at), trace.say(m, at))?;
        }
    }
    Ok(())
}
