//! A trace as things that have a beginning and an end: which G ran on which P and M from when to when, the time in
//! syscalls, in stops of the world, in regions; and which event made a G runnable that ran later. `perfetto`, `chrome`
//! and `svg` show this.

use std::collections::HashMap;

use crate::begin::{Begin, Tail, in_order};
use crate::go::Names;
use crate::input::Trace;
use crate::order::{Event, GStatus, Goid, Machine, PStatus, Pid, Refusal, Seen, Thread};
use crate::raw;
use crate::symbols::Symbols;

/// Where something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    P(Pid),
    M(Thread),
    G(Goid),
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A G runs.
    Runs(Goid),
    Syscall,
    /// The world is stopped, or is being stopped.
    Stop(String),
    Region(String),
}

impl What {
    pub fn text(self, names: &Names, symbols: &mut Symbols) -> String {
        match self {
            What::Runs(g) => names.of(g, symbols),
            What::Syscall => "syscall".into(),
            What::Stop(why) => why,
            What::Region(name) => name,
        }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC everywhere.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Begin {
        row: Row,
        ts: u64,
        what: What,
    },
    /// Of the innermost one of the row. `why`: what the G did next.
    End {
        row: Row,
        ts: u64,
        why: String,
    },
    /// A moment.
    Mark {
        row: Row,
        ts: u64,
        text: String,
    },
    /// The G was readied here (`from`), and runs there. The two ends of an arrow have one number.
    ArrowFrom {
        row: Row,
        ts: u64,
        id: u64,
    },
    ArrowTo {
        row: Row,
        ts: u64,
        id: u64,
    },
    /// Of all: how many Gs are runnable, run, are in syscalls, wait.
    Counts {
        ts: u64,
        runnable: u64,
        running: u64,
        syscall: u64,
        waiting: u64,
    },
}

#[derive(Default)]
struct Rows {
    /// What is open in each row, the innermost last.
    open: HashMap<Row, Vec<What>>,
}

pub struct Picture<'a, F> {
    trace: &'a Trace,
    put: F,
    rows: Rows,
    /// The arrow to each G that is runnable.
    arrows: HashMap<Goid, u64>,
    next_arrow: u64,
    counts: [u64; 4],
    last: u64,
}

/// Shows everything to `put`, in the order of time. Begins and ends of a row nest, and all have ended at the end.
///
/// # Errors
///
/// Why the records cannot have happened.
pub fn draw(trace: &Trace, mut begin: Begin, put: impl FnMut(Item)) -> Result<Tail, Vec<Refusal>> {
    let mut machine = std::mem::take(&mut begin.machine);
    let ts = trace.mono(begin.cut);
    let mut picture =
        Picture { trace, put, rows: Rows::default(), arrows: HashMap::new(), next_arrow: 1, counts: [0; 4], last: ts };
    let mut gs: Vec<Goid> = machine.gs.keys().copied().collect();
    gs.sort_unstable();
    for g in gs {
        let gp = &machine.gs[&g];
        picture.counts[slot(gp.status)] += 1;
        if matches!(gp.status, GStatus::Running | GStatus::Syscall) {
            let p = machine.ms[gp.on].p;
            picture.runs(ts, gp.on, p, g);
            if gp.status == GStatus::Syscall {
                picture.begin(Row::M(gp.on), ts, What::Syscall);
                if let Some(p) = p.filter(|p| machine.ps[p].status == PStatus::Syscall) {
                    picture.begin(Row::P(p), ts, What::Syscall);
                }
            }
        }
    }
    let tail = in_order(trace, &begin.from, &mut machine, |seen, machine| picture.see(seen, machine))?;
    let ts = picture.last;
    let rows: Vec<Row> = picture.rows.open.keys().copied().collect();
    for row in rows {
        picture.end_all(row, ts, "");
    }
    Ok(tail)
}

fn slot(status: GStatus) -> usize {
    match status {
        GStatus::Runnable => 0,
        GStatus::Running => 1,
        GStatus::Syscall => 2,
        GStatus::Waiting => 3,
    }
}

impl<F: FnMut(Item)> Picture<'_, F> {
    fn begin(&mut self, row: Row, ts: u64, what: What) {
        self.rows.open.entry(row).or_default().push(what.clone());
        (self.put)(Item::Begin { row, ts, what });
    }

    /// Ends the innermost one, if it is of the kind.
    fn end(&mut self, row: Row, ts: u64, of: impl Fn(&What) -> bool, why: &str) {
        if self.rows.open.get(&row).and_then(|open| open.last()).is_some_and(of) {
            self.rows.open.get_mut(&row).expect("see above").pop();
            (self.put)(Item::End { row, ts, why: why.into() });
        }
    }

    fn end_all(&mut self, row: Row, ts: u64, why: &str) {
        while self.rows.open.get_mut(&row).is_some_and(|open| open.pop().is_some()) {
            (self.put)(Item::End { row, ts, why: why.into() });
        }
    }

    fn runs(&mut self, ts: u64, m: Thread, p: Option<Pid>, g: Goid) {
        for row in [Some(Row::M(m)), p.map(Row::P)].into_iter().flatten() {
            self.end_all(row, ts, "");
            self.begin(row, ts, What::Runs(g));
        }
    }

    fn rest(&mut self, ts: u64, m: Thread, p: Option<Pid>, why: &str) {
        for row in [Some(Row::M(m)), p.map(Row::P)].into_iter().flatten() {
            self.end_all(row, ts, why);
        }
    }

    fn arrow(&mut self, g: Goid, row: Row, ts: u64) {
        let id = self.next_arrow;
        self.next_arrow += 1;
        self.arrows.insert(g, id);
        (self.put)(Item::ArrowFrom { row, ts, id });
    }

    fn mark(&mut self, row: Row, ts: u64, text: String) {
        (self.put)(Item::Mark { row, ts, text });
    }

    fn see(&mut self, seen: &Seen, machine: &Machine) {
        let (m, at) = seen.at;
        let ts = self.trace.mono(seen.ts).max(self.last);
        self.last = ts;
        let (p, g) = (seen.before.p, seen.before.g);
        // Where it happens, as far as pictures know: on the P, if the thread has one.
        let here = seen.after.p.or(p).map_or(Row::M(m), Row::P);
        let text = || self.trace.text(m, at).unwrap_or_default();
        let before = self.counts;
        match seen.step.event {
            Event::GoCreate { g: new } | Event::CreateOutside { g: new } => {
                self.counts[0] += 1;
                self.arrow(new, here, ts);
            }
            Event::GoCreateBlocked { .. } | Event::CreateOutsideBlocked { .. } => self.counts[3] += 1,
            Event::GoUnblock { g: readied, .. } => {
                self.step(GStatus::Waiting, GStatus::Runnable);
                self.arrow(readied, here, ts);
            }
            Event::GoStart { g: starts, .. } => {
                self.step(GStatus::Runnable, GStatus::Running);
                self.runs(ts, m, seen.after.p, starts);
                if let Some(id) = self.arrows.remove(&starts) {
                    (self.put)(Item::ArrowTo { row: here, ts, id });
                }
            }
            Event::GoStop { .. } => {
                self.step(GStatus::Running, GStatus::Runnable);
                let why = raw::stop::text(self.trace.get(m, at).aux);
                self.rest(ts, m, p, why);
            }
            Event::GoBlock => {
                self.step(GStatus::Running, GStatus::Waiting);
                let why = self.trace.reason(m, at);
                self.rest(ts, m, p, &why);
            }
            Event::GoDestroy => {
                self.counts[1] -= 1;
                self.rest(ts, m, p, "ended");
            }
            Event::GoCreateSyscall { g } => {
                self.counts[2] += 1;
                self.runs(ts, m, None, g);
                self.begin(Row::M(m), ts, What::Syscall);
            }
            Event::GoDestroySyscall => {
                self.counts[2] -= 1;
                self.rest(ts, m, p, "left");
            }
            Event::SyscallBegin { .. } => {
                self.step(GStatus::Running, GStatus::Syscall);
                self.begin(Row::M(m), ts, What::Syscall);
                if let Some(p) = p {
                    self.begin(Row::P(p), ts, What::Syscall);
                }
            }
            Event::SyscallEnd => {
                self.step(GStatus::Syscall, GStatus::Running);
                for row in [Some(Row::M(m)), p.map(Row::P)].into_iter().flatten() {
                    self.end(row, ts, |what| *what == What::Syscall, "");
                }
            }
            // (the G that was held is runnable already)
            Event::SyscallEndBlocked if g.is_some() => {
                self.step(GStatus::Syscall, GStatus::Runnable);
                self.end_all(Row::M(m), ts, "lost its P");
            }
            Event::ProcSteal { p, victim, .. } => {
                self.end_all(Row::P(p), ts, "taken");
                self.mark(Row::P(p), ts, format!("taken from a syscall on {}", self.name(victim)));
            }
            Event::Seize { p, victim, .. } => {
                self.step(GStatus::Running, GStatus::Syscall);
                self.end_all(Row::P(p), ts, "seized");
                self.mark(Row::P(p), ts, format!("seized from {}", self.name(victim)));
                self.begin(Row::M(victim), ts, What::Syscall);
            }
            // A P that is let go in a syscall.
            Event::ProcStop => {
                if let Some(p) = p {
                    self.end_all(Row::P(p), ts, "");
                }
            }
            Event::StopBegin => {
                let why = text();
                let colon = if why.is_empty() { "" } else { ": " };
                self.begin(here, ts, What::Stop(format!("stop the world{colon}{why}")));
            }
            Event::StopEnd => self.end(here, ts, |what| matches!(what, What::Stop(_)), ""),
            Event::RegionBegin { .. } => {
                let name = text();
                self.begin(here, ts, What::Region(name));
            }
            Event::RegionEnd { .. } => self.end(here, ts, |what| matches!(what, What::Region(_)), ""),
            Event::Note => {
                let line = text();
                self.mark(here, ts, line);
            }
            Event::TaskBegin { task, .. } => {
                let name = text();
                self.mark(here, ts, format!("task {task} begins: {name}"));
            }
            Event::TaskEnd { task } => self.mark(here, ts, format!("task {task} ends")),
            Event::ProcsChange { n } => self.mark(here, ts, format!("{n} Ps")),
            _ => {}
        }
        let _ = machine;
        if before != self.counts {
            let [runnable, running, syscall, waiting] = self.counts;
            (self.put)(Item::Counts { ts, runnable, running, syscall, waiting });
        }
    }

    fn name(&self, m: Thread) -> String {
        self.trace.ms.get(m).map_or(String::new(), |m| format!("M{}", m.row.id))
    }

    fn step(&mut self, from: GStatus, to: GStatus) {
        self.counts[slot(from)] -= 1;
        self.counts[slot(to)] += 1;
    }
}
