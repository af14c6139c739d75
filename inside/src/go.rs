//! Writes a trace in the format of Go, which `go tool trace` and gotraceui read.
//!
//! # The format
//! ```text
//!  file    "go 1.23 trace\0\0\0", then batches
//!  batch   1, generation, thread, time, length, data
//!  data    events; or one byte that names a table, and its entries
//!  event   its number (a byte), the time since the event before it in the batch, its arguments
//! ```
//! All numbers are LEB128. Strings and stacks have tables. Go's runtime writes a generation each second; here the whole
//! trace is one, because nothing has to be forgotten on the way.
//!
//! # What is not the same in libgomax
//! - A thread without a P creates a G: Go knows that only of a thread that calls into Go. So the G comes out of a
//!   syscall of a thread that exists for this purpose (`SHADOW`).
//! - A thief seizes the P of a G that runs code of the host: Go has no event for it. The G goes into a syscall just
//!   before.
//! - The numbers of Gs and Ps begin at 0 in a generation: the number that each had at the beginning is subtracted.
//! - A stop of the world by a thread without a G is left out.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use crate::begin::{Begin, Tail, in_order};
use crate::input::Trace;
use crate::order::{Event, GStatus, Goid, PStatus, Pid, Refusal, Seen, Source, Thread};
use crate::raw::{self, kind};
use crate::symbols::{Frame, Symbols};

/// Numbers of events and tables: tracev2/events.go of Go.
pub mod ev {
    pub const BATCH: u8 = 1;
    pub const STACKS: u8 = 2;
    pub const STACK: u8 = 3;
    pub const STRINGS: u8 = 4;
    pub const STRING: u8 = 5;
    pub const CPU_SAMPLES: u8 = 6;
    pub const FREQUENCY: u8 = 8;
    pub const PROCS_CHANGE: u8 = 9;
    pub const PROC_START: u8 = 10;
    pub const PROC_STOP: u8 = 11;
    pub const PROC_STEAL: u8 = 12;
    pub const PROC_STATUS: u8 = 13;
    pub const GO_CREATE: u8 = 14;
    pub const GO_CREATE_SYSCALL: u8 = 15;
    pub const GO_START: u8 = 16;
    pub const GO_DESTROY: u8 = 17;
    pub const GO_DESTROY_SYSCALL: u8 = 18;
    pub const GO_STOP: u8 = 19;
    pub const GO_BLOCK: u8 = 20;
    pub const GO_UNBLOCK: u8 = 21;
    pub const SYSCALL_BEGIN: u8 = 22;
    pub const SYSCALL_END: u8 = 23;
    pub const SYSCALL_END_BLOCKED: u8 = 24;
    pub const GO_STATUS: u8 = 25;
    pub const STW_BEGIN: u8 = 26;
    pub const STW_END: u8 = 27;
    pub const GO_LABEL: u8 = 39;
    pub const TASK_BEGIN: u8 = 40;
    pub const TASK_END: u8 = 41;
    pub const REGION_BEGIN: u8 = 42;
    pub const REGION_END: u8 = 43;
    pub const LOG: u8 = 44;
    pub const GO_CREATE_BLOCKED: u8 = 47;
    pub const GO_STATUS_STACK: u8 = 48;
    pub const SYNC: u8 = 50;
    pub const CLOCK_SNAPSHOT: u8 = 51;
    pub const END_OF_GENERATION: u8 = 52;
}

/// The versions that can be written. The first one is read by all of Go's tools since 1.23.
pub const VERSIONS: [u32; 2] = [23, 26];

/// The number of no thread.
pub const NO_THREAD: u64 = u64::MAX;
const MAX_BATCH: usize = 64 << 10;
const MAX_STRING: usize = 1024;
/// The numbers of threads that exist only to create Gs begin here.
const SHADOW: u64 = 1 << 33;
/// Of Ms without a number of their own in the system.
const UNKNOWN_TID: u64 = 1 << 32;

pub fn g_status(status: GStatus) -> u64 {
    match status {
        GStatus::Runnable => 1,
        GStatus::Running => 2,
        GStatus::Syscall => 3,
        GStatus::Waiting => 4,
    }
}

pub fn p_status(status: PStatus) -> u64 {
    match status {
        PStatus::Running => 1,
        PStatus::Idle => 2,
        PStatus::Syscall => 3,
        PStatus::Abandoned => 4,
    }
}

pub(crate) fn uv(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

struct Batch {
    thread: u64,
    begins: u64,
    last: u64,
    data: Vec<u8>,
}

/// One generation, as it is written.
#[derive(Default)]
struct Generation {
    done: Vec<Batch>,
    open: HashMap<u64, Batch>,
    strings: HashMap<String, u64>,
    stacks: HashMap<Vec<(u64, bool)>, u64>,
}

impl Generation {
    fn string(&mut self, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        let mut end = text.len().min(MAX_STRING);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let next = self.strings.len() as u64 + 1;
        *self.strings.entry(text[..end].to_string()).or_insert(next)
    }

    /// Addresses, the innermost first, each with whether it is that of an entry.
    fn stack(&mut self, pcs: &[(u64, bool)]) -> u64 {
        if pcs.is_empty() {
            return 0;
        }
        let next = self.stacks.len() as u64 + 1;
        *self.stacks.entry(pcs.to_vec()).or_insert(next)
    }

    fn event(&mut self, thread: u64, ts: u64, number: u8, args: &[u64]) {
        if self.open.get(&thread).is_some_and(|batch| batch.data.len() > MAX_BATCH - 128) {
            self.done.push(self.open.remove(&thread).expect("it is open"));
        }
        let batch = self.open.entry(thread).or_insert(Batch { thread, begins: ts, last: ts, data: Vec::new() });
        let ts = ts.max(batch.last);
        batch.data.push(number);
        uv(&mut batch.data, ts - batch.last);
        for arg in args {
            uv(&mut batch.data, *arg);
        }
        batch.last = ts;
    }

    /// `mono` and `real`: the clocks at `begins`.
    fn write(
        mut self,
        out: &mut impl Write,
        version: u32,
        begins: u64,
        real: u64,
        symbols: &mut Symbols,
    ) -> io::Result<()> {
        const NANOSECONDS: u64 = 1_000_000_000;
        let header = format!("go 1.{version} trace\0\0\0");
        out.write_all(header.as_bytes())?;
        let mut sync = Vec::new();
        if version >= 25 {
            sync.extend([ev::SYNC, ev::FREQUENCY]);
            uv(&mut sync, NANOSECONDS);
            sync.push(ev::CLOCK_SNAPSHOT);
            for n in [0, begins, real / NANOSECONDS, real % NANOSECONDS] {
                uv(&mut sync, n);
            }
        } else {
            sync.push(ev::FREQUENCY);
            uv(&mut sync, NANOSECONDS);
        }
        batch(out, NO_THREAD, begins, &sync)?;
        let mut open: Vec<Batch> = self.open.drain().map(|(_, batch)| batch).collect();
        open.sort_by_key(|batch| batch.thread);
        self.done.extend(open);
        for done in std::mem::take(&mut self.done) {
            batch(out, done.thread, done.begins, &done.data)?;
        }
        // Stacks before strings: names of functions are strings.
        let mut stacks: Vec<(Vec<(u64, bool)>, u64)> = self.stacks.drain().collect();
        stacks.sort_by_key(|(_, id)| *id);
        let mut entries = Vec::new();
        for (pcs, id) in stacks {
            let mut entry = vec![ev::STACK];
            uv(&mut entry, id);
            uv(&mut entry, pcs.len() as u64);
            for (pc, is_entry) in pcs {
                let Frame { function, file, line } = if is_entry { symbols.entry(pc) } else { symbols.caller(pc) };
                // One address may be the entry of one frame and the return of another: they need numbers of their own.
                let number = if is_entry { pc } else { pc | 1 << 63 };
                for n in [number, self.string(&function), self.string(&file), u64::from(line)] {
                    uv(&mut entry, n);
                }
            }
            entries.push(entry);
        }
        table(out, ev::STACKS, &entries, begins)?;
        let mut strings: Vec<(String, u64)> = self.strings.drain().collect();
        strings.sort_by_key(|(_, id)| *id);
        let entries: Vec<Vec<u8>> = strings
            .into_iter()
            .map(|(text, id)| {
                let mut entry = vec![ev::STRING];
                uv(&mut entry, id);
                uv(&mut entry, text.len() as u64);
                entry.extend_from_slice(text.as_bytes());
                entry
            })
            .collect();
        table(out, ev::STRINGS, &entries, begins)?;
        if version >= 26 {
            out.write_all(&[ev::END_OF_GENERATION])?;
        }
        Ok(())
    }
}

fn batch(out: &mut impl Write, thread: u64, ts: u64, data: &[u8]) -> io::Result<()> {
    let mut head = vec![ev::BATCH];
    for n in [1, thread, ts, data.len() as u64] {
        uv(&mut head, n);
    }
    out.write_all(&head)?;
    out.write_all(data)
}

fn table(out: &mut impl Write, number: u8, entries: &[Vec<u8>], ts: u64) -> io::Result<()> {
    let mut data = vec![number];
    for entry in entries {
        if data.len() + entry.len() > MAX_BATCH {
            batch(out, NO_THREAD, ts, &data)?;
            data.truncate(1);
        }
        data.extend_from_slice(entry);
    }
    if data.len() > 1 { batch(out, NO_THREAD, ts, &data) } else { Ok(()) }
}

/// The names that the host has given to Gs, and their functions.
#[derive(Default)]
pub struct Names {
    pub names: HashMap<Goid, String>,
    pub entries: HashMap<Goid, u64>,
}

impl Names {
    pub fn new(trace: &Trace) -> Names {
        let mut all = Names::default();
        for row in &trace.gs {
            let end = row.name.iter().position(|b| *b == 0).unwrap_or(row.name.len());
            if end > 0 {
                all.names.insert(row.goid, String::from_utf8_lossy(&row.name[..end]).into_owned());
            }
            if row.entry != 0 {
                all.entries.insert(row.goid, row.entry);
            }
        }
        for m in 0..trace.threads() {
            for at in 0..trace.len(m) {
                let record = trace.get(m, at);
                let creates = matches!(record.kind(), kind::CREATE | kind::CREATE_NO_P | kind::CREATE_WAITING);
                if (creates || record.kind() == kind::START) && record.aux != 0 {
                    all.entries.insert(record.goid, record.aux);
                }
                if creates && let Some(name) = trace.text(m, at) {
                    all.names.insert(record.goid, name);
                }
            }
        }
        all
    }

    /// As a picture shows it: its name, or that of its function.
    pub fn of(&self, g: Goid, symbols: &mut Symbols) -> String {
        match (self.names.get(&g), self.entries.get(&g)) {
            (Some(name), _) => format!("G{g} {name}"),
            (None, Some(pc)) => format!("G{g} {}", symbols.entry(*pc).function),
            (None, None) => format!("G{g}"),
        }
    }
}

/// The number of each M as a thread: that of the system, if no other M has had it.
fn thread_numbers(trace: &Trace) -> Vec<u64> {
    let mut taken = HashSet::new();
    let number = |m: &crate::input::M| {
        let tid = u64::try_from(m.row.tid).unwrap_or(0);
        if tid != 0 && taken.insert(tid) { tid } else { UNKNOWN_TID + u64::from(m.row.id) }
    };
    trace.ms.iter().map(number).collect()
}

struct Writer<'a> {
    trace: &'a Trace,
    names: Names,
    threads: Vec<u64>,
    base_g: HashMap<Goid, u32>,
    base_p: HashMap<Pid, u32>,
    labeled: HashSet<Goid>,
    /// The Gs that have stopped the world, with a P.
    stopped: HashSet<Goid>,
    /// The regions that Gs are in, with their tasks and names: Go's format wants these at the end too.
    regions: HashMap<Goid, Vec<(u64, String)>>,
    generation: Generation,
}

impl Writer<'_> {
    fn stack(&mut self, pc: u64, g: Option<Goid>) -> u64 {
        let entry = g.and_then(|g| self.names.entries.get(&g)).copied();
        let mut pcs = Vec::new();
        if pc != 0 {
            pcs.push((pc, false));
        }
        // The outermost function is the one that was spawned: Go's tools call the G so.
        pcs.extend(entry.map(|entry| (entry, true)));
        self.generation.stack(&pcs)
    }

    fn label(&mut self, ts: u64, m: Thread, g: Goid) {
        if self.labeled.insert(g)
            && let Some(name) = self.names.names.get(&g)
        {
            let name = self.generation.string(name);
            self.generation.event(self.threads[m], ts, ev::GO_LABEL, &[name]);
        }
    }

    fn begin(&mut self, begin: &Begin, ts: u64) {
        let machine = &begin.machine;
        for p in &begin.known_p {
            let pp = &machine.ps[p];
            let on = matches!(pp.status, PStatus::Running | PStatus::Syscall);
            let thread = if on { self.threads[pp.on] } else { NO_THREAD };
            self.base_p.insert(*p, pp.seq);
            self.generation.event(thread, ts, ev::PROC_STATUS, &[u64::from(*p), p_status(pp.status)]);
        }
        for g in &begin.known_g {
            let gp = &machine.gs[g];
            let on = matches!(gp.status, GStatus::Running | GStatus::Syscall);
            let thread = if on { self.threads[gp.on] } else { NO_THREAD };
            self.base_g.insert(*g, gp.seq);
            self.status(thread, ts, *g, gp.status);
            if gp.status == GStatus::Running && machine.ms[gp.on].p.is_some() {
                self.label(ts, gp.on, *g);
            }
        }
    }

    fn status(&mut self, thread: u64, ts: u64, g: Goid, status: GStatus) {
        let stack = self.stack(0, Some(g));
        let args = [g, thread, g_status(status), stack];
        if stack == 0 {
            self.generation.event(thread, ts, ev::GO_STATUS, &args[..3]);
        } else {
            self.generation.event(thread, ts, ev::GO_STATUS_STACK, &args);
        }
    }

    fn region(&mut self, thread: u64, ts: u64, number: u8, own: Option<Goid>, task: u64, name: &str) {
        let (name, stack) = (self.generation.string(name), self.stack(0, own));
        self.generation.event(thread, ts, number, &[task, name, stack]);
    }

    fn see(&mut self, seen: &Seen, ts: u64) {
        let (m, at) = seen.at;
        let record = self.trace.get(m, at);
        let thread = self.threads[m];
        let shadow = SHADOW + m as u64;
        let own = seen.before.g;
        let runs = own.is_some() && seen.before.p.is_some();
        let of_g =
            |writer: &Self, g: Goid, seq: u32| u64::from(seq.wrapping_sub(writer.base_g.get(&g).copied().unwrap_or(0)));
        let of_p =
            |writer: &Self, p: Pid, seq: u32| u64::from(seq.wrapping_sub(writer.base_p.get(&p).copied().unwrap_or(0)));
        let text = |writer: &mut Self| {
            let text = writer.trace.text(m, at).unwrap_or_default();
            writer.generation.string(&text)
        };
        match seen.step.event {
            Event::ProcStart { p, seq } => {
                let seq = of_p(self, p, seq);
                self.generation.event(thread, ts, ev::PROC_START, &[u64::from(p), seq]);
            }
            Event::ProcStop => self.generation.event(thread, ts, ev::PROC_STOP, &[]),
            Event::ProcSteal { p, seq, victim } => {
                let seq = of_p(self, p, seq);
                self.generation.event(thread, ts, ev::PROC_STEAL, &[u64::from(p), seq, self.threads[victim]]);
            }
            Event::Seize { p, seq, victim, g } => {
                let seq = of_p(self, p, seq);
                let stack = self.stack(0, Some(g));
                self.generation.event(self.threads[victim], ts, ev::SYSCALL_BEGIN, &[seq - 1, stack]);
                self.generation.event(thread, ts, ev::PROC_STEAL, &[u64::from(p), seq, self.threads[victim]]);
            }
            Event::ProcsChange { n } if runs => {
                let stack = self.stack(0, own);
                self.generation.event(thread, ts, ev::PROCS_CHANGE, &[u64::from(n), stack]);
            }
            Event::GoCreate { g } | Event::GoCreateBlocked { g } => {
                let blocked = matches!(seen.step.event, Event::GoCreateBlocked { .. });
                let number = if blocked { ev::GO_CREATE_BLOCKED } else { ev::GO_CREATE };
                let (entry, stack) = (self.stack(0, Some(g)), self.stack(0, own));
                self.generation.event(thread, ts, number, &[g, entry, stack]);
            }
            Event::CreateOutside { g } => {
                self.generation.event(shadow, ts, ev::GO_CREATE_SYSCALL, &[g]);
                self.generation.event(shadow, ts, ev::SYSCALL_END_BLOCKED, &[]);
            }
            Event::CreateOutsideBlocked { g } => self.status(NO_THREAD, ts, g, GStatus::Waiting),
            Event::GoCreateSyscall { g } => self.generation.event(thread, ts, ev::GO_CREATE_SYSCALL, &[g]),
            Event::GoStart { g, seq } => {
                let seq = of_g(self, g, seq);
                self.generation.event(thread, ts, ev::GO_START, &[g, seq]);
                self.label(ts, m, g);
            }
            Event::GoStop { .. } => {
                let why = self.generation.string(raw::stop::text(record.aux));
                let stack = self.stack(0, own);
                self.generation.event(thread, ts, ev::GO_STOP, &[why, stack]);
            }
            Event::GoBlock => {
                let why = self.trace.reason(m, at);
                let why = self.generation.string(&why);
                let stack = self.stack(record.aux, own);
                self.generation.event(thread, ts, ev::GO_BLOCK, &[why, stack]);
            }
            Event::GoDestroy => {
                own.and_then(|g| self.regions.remove(&g));
                self.generation.event(thread, ts, ev::GO_DESTROY, &[]);
            }
            Event::GoDestroySyscall => self.generation.event(thread, ts, ev::GO_DESTROY_SYSCALL, &[]),
            Event::GoUnblock { g, seq } => {
                let seq = of_g(self, g, seq);
                let stack = self.stack(0, own);
                self.generation.event(thread, ts, ev::GO_UNBLOCK, &[g, seq, stack]);
            }
            Event::SyscallBegin { seq } => {
                let p = seen.before.p.expect("a syscall begins with a P");
                let seq = of_p(self, p, seq);
                let stack = self.stack(record.aux, own);
                self.generation.event(thread, ts, ev::SYSCALL_BEGIN, &[seq, stack]);
            }
            Event::SyscallEnd => self.generation.event(thread, ts, ev::SYSCALL_END, &[]),
            // (a G that was held is runnable already)
            Event::SyscallEndBlocked if own.is_some() => {
                self.generation.event(thread, ts, ev::SYSCALL_END_BLOCKED, &[]);
            }
            Event::StopBegin if runs => {
                let why = self.trace.text(m, at);
                let why = self.generation.string(why.as_deref().unwrap_or("stop the world"));
                let stack = self.stack(0, own);
                self.generation.event(thread, ts, ev::STW_BEGIN, &[why, stack]);
                self.stopped.extend(own);
            }
            Event::StopEnd if runs && own.is_some_and(|g| self.stopped.remove(&g)) => {
                self.generation.event(thread, ts, ev::STW_END, &[])
            }
            Event::TaskBegin { task, parent } if runs => {
                let (name, stack) = (text(self), self.stack(0, own));
                self.generation.event(thread, ts, ev::TASK_BEGIN, &[task, parent, name, stack]);
            }
            Event::TaskEnd { task } if runs => {
                let stack = self.stack(0, own);
                self.generation.event(thread, ts, ev::TASK_END, &[task, stack]);
            }
            Event::RegionBegin { task, .. } if runs => {
                let name = self.trace.text(m, at).unwrap_or_default();
                self.regions.entry(own.expect("it runs")).or_default().push((task, name.clone()));
                self.region(thread, ts, ev::REGION_BEGIN, own, task, &name);
            }
            // (one that has begun before the trace has no name here)
            Event::RegionEnd { .. } if runs => {
                let last = own.and_then(|g| self.regions.get_mut(&g)).and_then(Vec::pop);
                if let Some((task, name)) = last {
                    self.region(thread, ts, ev::REGION_END, own, task, &name);
                }
            }
            Event::Note if runs => {
                let (line, stack) = (text(self), self.stack(0, own));
                self.generation.event(thread, ts, ev::LOG, &[record.aux, 0, line, stack]);
            }
            _ => {}
        }
    }
}

/// Why a trace was not converted.
#[derive(Debug)]
pub enum Failure {
    Refused(Vec<Refusal>),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Failure {
        Failure::Io(e)
    }
}

/// # Errors
///
/// The trace is refused, or `out` cannot be written.
pub fn write(
    trace: &Trace,
    mut begin: Begin,
    version: u32,
    symbols: &mut Symbols,
    out: &mut impl Write,
) -> Result<Tail, Failure> {
    let mut writer = Writer {
        trace,
        names: Names::new(trace),
        threads: thread_numbers(trace),
        base_g: HashMap::new(),
        base_p: HashMap::new(),
        labeled: HashSet::new(),
        stopped: HashSet::new(),
        regions: HashMap::new(),
        generation: Generation::default(),
    };
    let begins = trace.mono(begin.cut);
    writer.begin(&begin, begins);
    let mut machine = std::mem::take(&mut begin.machine);
    let see = |seen: &Seen, _: &_| writer.see(seen, trace.mono(seen.ts).max(begins));
    let tail = in_order(trace, &begin.from, &mut machine, see).map_err(Failure::Refused)?;
    let real = trace.header.began.real + begins.saturating_sub(trace.header.began.mono);
    writer.generation.write(out, version, begins, real, symbols)?;
    Ok(tail)
}
