//! Reads a trace in Go's format and checks it as Go's parser does: the second look at what `go` writes, where there is
//! no Go. It knows the events that this tool writes; those of a garbage collector are skipped.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::go::{NO_THREAD, ev};
use crate::order::{Event, GStatus, Machine, NO_G, NO_P, PStatus, Refusal, Source, Step, Thread, order};

pub fn is_go(bytes: &[u8]) -> bool {
    bytes.starts_with(b"go 1.") && bytes.get(7..16) == Some(b" trace\0\0\0")
}

/// How many arguments an event has, and which of them are strings and stacks. None: there is no such event.
fn arguments(number: u8) -> Option<(usize, &'static [usize], &'static [usize])> {
    Some(match number {
        ev::PROCS_CHANGE => (2, &[], &[1]),
        ev::PROC_START | ev::PROC_STATUS | ev::GO_START => (2, &[], &[]),
        ev::PROC_STEAL | ev::GO_STATUS => (3, &[], &[]),
        ev::GO_CREATE | ev::GO_CREATE_BLOCKED => (3, &[], &[1, 2]),
        ev::GO_CREATE_SYSCALL => (1, &[], &[]),
        ev::GO_STOP | ev::GO_BLOCK | ev::STW_BEGIN => (2, &[0], &[1]),
        ev::GO_UNBLOCK => (3, &[], &[2]),
        ev::SYSCALL_BEGIN | ev::TASK_END => (2, &[], &[1]),
        ev::PROC_STOP
        | ev::GO_DESTROY
        | ev::GO_DESTROY_SYSCALL
        | ev::SYSCALL_END
        | ev::SYSCALL_END_BLOCKED
        | ev::STW_END => (0, &[], &[]),
        ev::GO_LABEL => (1, &[0], &[]),
        ev::TASK_BEGIN => (4, &[2], &[3]),
        ev::REGION_BEGIN | ev::REGION_END => (3, &[1], &[2]),
        ev::LOG => (4, &[1, 2], &[3]),
        ev::GO_STATUS_STACK => (4, &[], &[3]),
        // The collector.
        28 | 30 | 31 | 34 | 37 | 38 => (1, &[], &[]),
        32 | 35 => (1, &[], &[0]),
        29 => (2, &[], &[1]),
        33 => (2, &[], &[]),
        36 => (0, &[], &[]),
        _ => return None,
    })
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.0.split_first().ok_or("it was cut off")?;
        self.0 = rest;
        Ok(*first)
    }
    fn uv(&mut self) -> Result<u64, String> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err("a number is longer than 64 bits".into())
    }
    fn take(&mut self, n: u64) -> Result<&'a [u8], String> {
        let n = usize::try_from(n).ok().filter(|n| *n <= self.0.len()).ok_or("it was cut off")?;
        let (part, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(part)
    }
}

#[derive(Default)]
struct Generation {
    events: Vec<Vec<(Step, u8)>>,
    strings: HashSet<u64>,
    stacks: HashSet<u64>,
    /// What events and stacks name.
    named: Vec<(&'static str, u64)>,
    frequency: bool,
    snapshot: bool,
    count: usize,
}

/// The events of a generation.
struct Events<'a> {
    generation: &'a Generation,
    threads: &'a [u64],
    number: u64,
}

impl Source for Events<'_> {
    fn threads(&self) -> usize {
        self.threads.len()
    }
    fn len(&self, thread: Thread) -> usize {
        self.generation.events.get(thread).map_or(0, Vec::len)
    }
    fn step(&self, thread: Thread, at: usize) -> Step {
        self.generation.events[thread][at].0
    }
    fn thread(&self, thread: Thread) -> String {
        match self.threads.get(thread) {
            None | Some(&NO_THREAD) => "no thread".into(),
            Some(id) => format!("thread {id}"),
        }
    }
    fn record(&self, thread: Thread, at: usize) -> String {
        format!("event {at} of generation {} ({:?})", self.number, self.step(thread, at).event)
    }
}

/// How many events there are.
///
/// # Errors
///
/// The bytes have not the form; or, inside, why the events cannot have happened.
pub fn check(bytes: &[u8]) -> Result<Result<usize, Vec<Refusal>>, String> {
    const OLD: u32 = 25;
    if !is_go(bytes) {
        return Err("this is no trace in Go's format".into());
    }
    let version: u32 = std::str::from_utf8(&bytes[5..7]).ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    if ![22, 23, 25, 26].contains(&version) {
        return Err(format!("its version is 1.{version}: 1.22, 1.23, 1.25 and 1.26 are known"));
    }
    let mut bytes = Bytes(&bytes[16..]);
    let mut threads: Vec<u64> = Vec::new();
    let mut by_id: HashMap<u64, Thread> = HashMap::new();
    let mut generations: BTreeMap<u64, Generation> = BTreeMap::new();
    let mut ended = true;
    while !bytes.0.is_empty() {
        let first = bytes.byte()?;
        if first == ev::END_OF_GENERATION && version >= 26 {
            ended = true;
            continue;
        }
        if first != ev::BATCH {
            return Err(format!("a batch begins with {first}"));
        }
        ended = version < 26;
        let (generation, thread, ts, size) = (bytes.uv()?, bytes.uv()?, bytes.uv()?, bytes.uv()?);
        if generation == 0 || size > 64 << 10 {
            return Err(format!("a batch of {size} bytes in generation {generation}"));
        }
        let data = bytes.take(size)?;
        let generation = generations.entry(generation).or_default();
        let thread = *by_id.entry(thread).or_insert_with(|| {
            threads.push(thread);
            threads.len() - 1
        });
        generation.batch(thread, ts, data, version >= OLD)?;
    }
    if !ended {
        return Err("it was cut off: the end of the generation is not there".into());
    }
    if generations.is_empty() {
        return Err("it has no events".into());
    }
    // Victims, and threads of Gs in a syscall: as a place in the table.
    for generation in generations.values_mut() {
        for step in generation.events.iter_mut().flatten() {
            let place = |id: Thread| by_id.get(&(id as u64)).copied().unwrap_or(Thread::MAX);
            match &mut step.0.event {
                Event::ProcSteal { victim, .. } => *victim = place(*victim),
                Event::GoStatus { on: Some(on), .. } => *on = place(*on),
                _ => {}
            }
        }
    }
    let mut machine = Machine::strict();
    let mut count = 0;
    for (&number, generation) in &generations {
        if !generation.frequency || version >= OLD && !generation.snapshot {
            return Err(format!("generation {number} has no clock"));
        }
        let unknown = generation.named.iter().find(|(what, id)| {
            let known = if *what == "string" { &generation.strings } else { &generation.stacks };
            *id != 0 && !known.contains(id)
        });
        if let Some((what, id)) = unknown {
            return Err(format!("generation {number} has no {what} {id}"));
        }
        let source = Events { generation, threads: &threads, number };
        if let Err(broken) = order(&source, &[], &mut machine, |_, _| count += 1) {
            return Ok(Err(broken.refusals));
        }
        if machine.stopped() && generations.range(number + 1..).next().is_some() {
            return Err(format!("the world is stopped at the end of generation {number}"));
        }
    }
    Ok(Ok(count))
}

impl Generation {
    fn batch(&mut self, thread: Thread, ts: u64, data: &[u8], sync: bool) -> Result<(), String> {
        let mut bytes = Bytes(data);
        match data.first() {
            Some(&ev::STRINGS) => {
                bytes.byte()?;
                while !bytes.0.is_empty() {
                    let (number, id, length) = (bytes.byte()?, bytes.uv()?, bytes.uv()?);
                    let text = bytes.take(length)?;
                    if number != ev::STRING || id == 0 || length > 1024 || std::str::from_utf8(text).is_err() {
                        return Err(format!("the string {id} of {length} bytes is not valid"));
                    }
                    if !self.strings.insert(id) {
                        return Err(format!("the string {id} is there twice"));
                    }
                }
            }
            Some(&ev::STACKS) => {
                bytes.byte()?;
                while !bytes.0.is_empty() {
                    let (number, id, frames) = (bytes.byte()?, bytes.uv()?, bytes.uv()?);
                    if number != ev::STACK || id == 0 || frames > 128 || !self.stacks.insert(id) {
                        return Err(format!("the stack {id} of {frames} frames is not valid, or is there twice"));
                    }
                    for _ in 0..frames {
                        let (_pc, function, file, _line) = (bytes.uv()?, bytes.uv()?, bytes.uv()?, bytes.uv()?);
                        self.named.extend([("string", function), ("string", file)]);
                    }
                }
            }
            Some(&ev::CPU_SAMPLES) => {}
            Some(&ev::FREQUENCY) if !sync => {
                bytes.byte()?;
                self.frequency = bytes.uv()? > 0;
            }
            Some(&ev::SYNC) if sync => {
                bytes.byte()?;
                while !bytes.0.is_empty() {
                    match bytes.byte()? {
                        ev::FREQUENCY => self.frequency = bytes.uv()? > 0,
                        ev::CLOCK_SNAPSHOT => {
                            for _ in 0..4 {
                                bytes.uv()?;
                            }
                            self.snapshot = true;
                        }
                        other => return Err(format!("there is a {other} among the clocks")),
                    }
                }
            }
            _ => self.events(thread, ts, bytes)?,
        }
        Ok(())
    }

    fn events(&mut self, thread: Thread, mut ts: u64, mut bytes: Bytes) -> Result<(), String> {
        while !bytes.0.is_empty() {
            let number = bytes.byte()?;
            let Some((count, strings, stacks)) = arguments(number) else {
                return Err(format!("there is no event {number}, or this program does not know it"));
            };
            ts = ts.wrapping_add(bytes.uv()?);
            let mut args = [0; 4];
            for arg in &mut args[..count] {
                *arg = bytes.uv()?;
            }
            self.named.extend(strings.iter().map(|at| ("string", args[*at])));
            self.named.extend(stacks.iter().map(|at| ("stack", args[*at])));
            let step = Step { ts, event: event(number, args)?, g: NO_G, p: NO_P };
            if self.events.len() <= thread {
                self.events.resize(thread + 1, Vec::new());
            }
            self.events[thread].push((step, number));
            self.count += 1;
        }
        Ok(())
    }
}

fn event(number: u8, args: [u64; 4]) -> Result<Event, String> {
    let [a, b, c, _] = args;
    let p = |n: u64| u32::try_from(n).map_err(|_| format!("there is no P{n}"));
    let (p, seq) = (p(a.min(u64::from(u32::MAX)))?, b as u32);
    Ok(match number {
        ev::PROCS_CHANGE => Event::ProcsChange { n: p },
        ev::PROC_START => Event::ProcStart { p, seq },
        ev::PROC_STOP => Event::ProcStop,
        // (a thread by its number, and later by its place)
        ev::PROC_STEAL => Event::ProcSteal { p, seq, victim: c as Thread },
        ev::PROC_STATUS => {
            let status = match b {
                1 => PStatus::Running,
                2 => PStatus::Idle,
                3 => PStatus::Syscall,
                4 => PStatus::Abandoned,
                _ => return Err(format!("P{p} has the status {b}")),
            };
            Event::ProcStatus { p, status }
        }
        ev::GO_CREATE => Event::GoCreate { g: a },
        ev::GO_CREATE_BLOCKED => Event::GoCreateBlocked { g: a },
        ev::GO_CREATE_SYSCALL => Event::GoCreateSyscall { g: a },
        ev::GO_START => Event::GoStart { g: a, seq },
        ev::GO_DESTROY => Event::GoDestroy,
        ev::GO_DESTROY_SYSCALL => Event::GoDestroySyscall,
        ev::GO_STOP => Event::GoStop { held: false },
        ev::GO_BLOCK => Event::GoBlock,
        ev::GO_UNBLOCK => Event::GoUnblock { g: a, seq },
        ev::SYSCALL_BEGIN => Event::SyscallBegin { seq: a as u32 },
        ev::SYSCALL_END => Event::SyscallEnd,
        ev::SYSCALL_END_BLOCKED => Event::SyscallEndBlocked,
        ev::GO_STATUS | ev::GO_STATUS_STACK => {
            let status = match c {
                1 => GStatus::Runnable,
                2 => GStatus::Running,
                3 => GStatus::Syscall,
                4 => GStatus::Waiting,
                _ => return Err(format!("G{a} has the status {c}")),
            };
            Event::GoStatus { g: a, status, on: (b != NO_THREAD).then_some(b as Thread) }
        }
        ev::STW_BEGIN => Event::StopBegin,
        ev::STW_END => Event::StopEnd,
        ev::GO_LABEL | ev::LOG => Event::Note,
        ev::TASK_BEGIN => Event::TaskBegin { task: a, parent: b },
        ev::TASK_END => Event::TaskEnd { task: a },
        ev::REGION_BEGIN => Event::RegionBegin { task: a, name: b },
        ev::REGION_END => Event::RegionEnd { of: Some((a, b)) },
        _ => Event::Mark,
    })
}
