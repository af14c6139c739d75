//! A file of records, as the library writes it, and as a [`Source`] of events.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::order::{Event, Goid, NO_G, NO_P, Pid, Source, Step, Thread};
use crate::raw::{self, kind, section};

/// One M.
pub struct M {
    pub row: raw::Thread,
    /// Where its records are in the file.
    at: usize,
    pub held: usize,
}

impl M {
    /// The number of a record since the M's first one, of those that are in the file.
    pub fn number(&self, at: usize) -> u64 {
        self.row.written - self.held as u64 + at as u64
    }
}

pub struct Trace {
    bytes: Vec<u8>,
    pub header: raw::Header,
    pub ms: Vec<M>,
    by_id: HashMap<u32, Thread>,
    pub gs: Vec<raw::GRow>,
    pub ps: Vec<raw::PRow>,
    strings: HashMap<u32, String>,
    /// Lines of /proc/self/maps.
    pub maps: String,
}

/// Reads words one after another.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn u64(&mut self) -> u64 {
        let (word, rest) = self.0.split_at(8);
        self.0 = rest;
        u64::from_le_bytes(word.try_into().expect("8 bytes"))
    }
    fn u32(&mut self) -> u32 {
        let (word, rest) = self.0.split_at(4);
        self.0 = rest;
        u32::from_le_bytes(word.try_into().expect("4 bytes"))
    }
    fn moment(&mut self) -> raw::Moment {
        raw::Moment { ticks: self.u64(), mono: self.u64(), real: self.u64() }
    }
}

const RECORD: usize = size_of::<raw::Record>();

impl Trace {
    /// # Errors
    ///
    /// A sentence about the file.
    pub fn load(path: &Path) -> Result<Trace, String> {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Trace::parse(bytes).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// # Errors
    ///
    /// A sentence about the bytes.
    pub fn parse(bytes: Vec<u8>) -> Result<Trace, String> {
        let head = size_of::<raw::Header>();
        if bytes.len() < head || bytes[..8] != raw::MAGIC {
            return Err("this is no trace of libgomax".into());
        }
        let mut words = Words(&bytes[8..head]);
        let mut header = raw::Header { magic: raw::MAGIC, version: words.u32(), ..raw::Header::default() };
        if header.version != raw::VERSION {
            return Err(format!("its format is {}, and this program reads {}", header.version, raw::VERSION));
        }
        header.record_size = words.u32();
        header.process = words.u32();
        header.procs = words.u32();
        header.flags = words.u32();
        header.ring_bytes = words.u32();
        (header.began, header.ended) = (words.moment(), words.moment());
        if header.record_size as usize != RECORD {
            return Err(format!("its records have {} bytes, and {RECORD} are expected", header.record_size));
        }
        let mut trace = Trace {
            header,
            ms: Vec::new(),
            by_id: HashMap::new(),
            gs: Vec::new(),
            ps: Vec::new(),
            strings: HashMap::new(),
            maps: String::new(),
            bytes: Vec::new(),
        };
        let mut at = head;
        loop {
            if bytes.len() < at + size_of::<raw::Section>() {
                return Err("it was cut off: the last section is not there".into());
            }
            let mut words = Words(&bytes[at..]);
            let tag = words.u32();
            words.u32();
            let length = words.u64();
            at += size_of::<raw::Section>();
            if tag == section::END {
                break;
            }
            let end = usize::try_from(length).ok().and_then(|n| at.checked_add(n)).filter(|end| *end <= bytes.len());
            let Some(end) = end else { return Err("it was cut off in the middle of a section".into()) };
            trace.section(tag, &bytes[at..end], at)?;
            at = end;
        }
        // It would begin after its end.
        if let Some(m) = trace.ms.iter().find(|m| m.row.lost_before > trace.header.ended.ticks) {
            let id = m.row.id;
            return Err(format!(
                "nothing is left: the ring of M{id} was overwritten while it was copied; make rings larger"
            ));
        }
        trace.bytes = bytes;
        Ok(trace)
    }

    fn section(&mut self, tag: u32, bytes: &[u8], at: usize) -> Result<(), String> {
        let mut words = Words(bytes);
        match tag {
            section::M => {
                let size = size_of::<raw::Thread>();
                if bytes.len() < size {
                    return Err("a section of an M is too short".into());
                }
                let row = raw::Thread {
                    id: words.u32(),
                    tid: words.u32() as i32,
                    written: words.u64(),
                    held: words.u64(),
                    lost_before: words.u64(),
                    written_then: words.u64(),
                    goid: words.u64(),
                    pid: words.u32(),
                    flags: words.u32(),
                };
                let held = (bytes.len() - size) / RECORD;
                if held as u64 != row.held || row.held > row.written {
                    return Err(format!("M{} has {held} records, and says {} of {}", row.id, row.held, row.written));
                }
                if self.by_id.insert(row.id, self.ms.len()).is_some() {
                    return Err(format!("M{} is there twice", row.id));
                }
                self.ms.push(M { row, at: at + size, held });
            }
            section::GS => {
                for _ in 0..bytes.len() / size_of::<raw::GRow>() {
                    let mut row = raw::GRow {
                        goid: words.u64(),
                        entry: words.u64(),
                        wait_since: words.u64(),
                        status: words.u32(),
                        m: words.u32(),
                        reason: words.u32(),
                        seq: words.u32(),
                        name: [0; 32],
                    };
                    row.name.copy_from_slice(&words.0[..32]);
                    words.0 = &words.0[32..];
                    self.gs.push(row);
                }
            }
            section::PS => {
                for _ in 0..bytes.len() / size_of::<raw::PRow>() {
                    let row = raw::PRow { id: words.u32(), status: words.u32(), m: words.u32(), seq: words.u32() };
                    self.ps.push(row);
                }
            }
            section::STRINGS => {
                while words.0.len() >= 8 {
                    let (number, length) = (words.u32(), words.u32() as usize);
                    let Some(text) = words.0.get(..length) else {
                        return Err("a string is longer than its section".into());
                    };
                    self.strings.insert(number, String::from_utf8_lossy(text).into_owned());
                    let padded = length.next_multiple_of(8).min(words.0.len());
                    words.0 = &words.0[padded..];
                }
            }
            section::MAPS => {
                self.maps = String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string();
            }
            _ => {}
        }
        Ok(())
    }

    pub fn get(&self, m: Thread, at: usize) -> raw::Record {
        let begin = self.ms[m].at + at * RECORD;
        let mut words = Words(&self.bytes[begin..begin + RECORD]);
        raw::Record { time: words.u64(), head: words.u64(), goid: words.u64(), aux: words.u64() }
    }

    /// The M with this number in records.
    pub fn m(&self, id: u64) -> Option<Thread> {
        u32::try_from(id).ok().and_then(|id| self.by_id.get(&id).copied())
    }

    pub fn string(&self, number: u32) -> &str {
        self.strings.get(&number).map_or("", String::as_str)
    }

    /// The text in the TEXT records before a record.
    pub fn text(&self, m: Thread, at: usize) -> Option<String> {
        let before = (0..at).rev().take_while(|&at| self.get(m, at).kind() == kind::TEXT).count();
        // (the ring may have lost the beginning of it)
        if before == 0 || self.get(m, at - before).seq() != 0 {
            return None;
        }
        let mut bytes = Vec::new();
        for at in at - before..at {
            let record = self.get(m, at);
            for word in [record.time, record.goid, record.aux] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// Why a G waits, from its BLOCK record.
    pub fn reason(&self, m: Thread, at: usize) -> String {
        self.text(m, at).unwrap_or_else(|| self.string(self.get(m, at).seq()).to_string())
    }

    /// Ticks as nanoseconds of CLOCK_MONOTONIC.
    pub fn mono(&self, ticks: u64) -> u64 {
        let (began, ended) = (self.header.began, self.header.ended);
        let span = i128::from(ended.ticks) - i128::from(began.ticks);
        let nanos = i128::from(ended.mono) - i128::from(began.mono);
        let (nanos, span) = if span <= 0 || nanos <= 0 { (1, 1) } else { (nanos, span) };
        let at = i128::from(began.mono) + (i128::from(ticks) - i128::from(began.ticks)) * nanos / span;
        u64::try_from(at).unwrap_or(0)
    }

    /// Nanoseconds as ticks: a length.
    pub fn ticks(&self, nanos: u64) -> u64 {
        let (began, ended) = (self.header.began, self.header.ended);
        let span = ended.ticks.saturating_sub(began.ticks);
        let of = ended.mono.saturating_sub(began.mono);
        if span == 0 || of == 0 { nanos } else { (u128::from(nanos) * u128::from(span) / u128::from(of)) as u64 }
    }

    /// The P of a record.
    pub fn p(record: &raw::Record) -> Pid {
        if record.pid() == raw::NO_P { NO_P } else { record.pid() }
    }

    /// Whether the record is about a G that runs on its thread, and not about another.
    fn own_g(record: &raw::Record) -> Goid {
        use kind::*;
        match record.kind() {
            DESTROY | STOP | BLOCK | SYS_BEGIN | SYS_END | SYS_BLOCKED | FOREIGN_OUT | LOG | TASK_BEGIN
            | REGION_BEGIN | REGION_END => record.goid,
            _ => NO_G,
        }
    }
}

/// The name of a kind of records, as raw.rs has it.
pub fn kind_name(number: u8) -> &'static str {
    use kind::*;
    match number {
        PROC_START => "PROC_START",
        PROC_STOP => "PROC_STOP",
        PROC_STEAL => "PROC_STEAL",
        SEIZE => "SEIZE",
        CREATE => "CREATE",
        CREATE_NO_P => "CREATE_NO_P",
        CREATE_WAITING => "CREATE_WAITING",
        START => "START",
        DESTROY => "DESTROY",
        STOP => "STOP",
        BLOCK => "BLOCK",
        UNBLOCK => "UNBLOCK",
        SYS_BEGIN => "SYS_BEGIN",
        SYS_END => "SYS_END",
        SYS_BLOCKED => "SYS_BLOCKED",
        FOREIGN_IN => "FOREIGN_IN",
        FOREIGN_OUT => "FOREIGN_OUT",
        THREAD => "THREAD",
        STW_BEGIN => "STW_BEGIN",
        STW_END => "STW_END",
        PROCS => "PROCS",
        TEXT => "TEXT",
        LOG => "LOG",
        TASK_BEGIN => "TASK_BEGIN",
        TASK_END => "TASK_END",
        REGION_BEGIN => "REGION_BEGIN",
        REGION_END => "REGION_END",
        _ => "of an unknown kind",
    }
}

/// A number that equal names share.
fn name_number(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |n, b| (n ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

impl Source for Trace {
    fn threads(&self) -> usize {
        self.ms.len()
    }

    fn len(&self, thread: Thread) -> usize {
        self.ms[thread].held
    }

    fn step(&self, thread: Thread, at: usize) -> Step {
        let record = self.get(thread, at);
        let (p, g, seq, aux) = (Trace::p(&record), record.goid, record.seq(), record.aux);
        let name = || name_number(&self.text(thread, at).unwrap_or_default());
        // An M that is not in the file has no records. Its number stands for itself: no thread has it.
        let victim = self.m(aux).unwrap_or(Thread::MAX);
        let event = match record.kind() {
            kind::PROC_START => Event::ProcStart { p, seq },
            kind::PROC_STOP => Event::ProcStop,
            kind::PROC_STEAL => Event::ProcSteal { p, seq, victim },
            kind::SEIZE => Event::Seize { p, seq, victim, g },
            kind::CREATE => Event::GoCreate { g },
            kind::CREATE_NO_P => Event::CreateOutside { g },
            kind::CREATE_WAITING if p == NO_P => Event::CreateOutsideBlocked { g },
            kind::CREATE_WAITING => Event::GoCreateBlocked { g },
            kind::START => Event::GoStart { g, seq },
            kind::DESTROY => Event::GoDestroy,
            kind::STOP => Event::GoStop { held: aux == raw::stop::HELD },
            kind::BLOCK => Event::GoBlock,
            kind::UNBLOCK => Event::GoUnblock { g, seq },
            kind::SYS_BEGIN => Event::SyscallBegin { seq },
            kind::SYS_END => Event::SyscallEnd,
            kind::SYS_BLOCKED => Event::SyscallEndBlocked,
            kind::FOREIGN_IN => Event::GoCreateSyscall { g },
            kind::FOREIGN_OUT => Event::GoDestroySyscall,
            kind::STW_BEGIN => Event::StopBegin,
            kind::STW_END => Event::StopEnd,
            kind::PROCS => Event::ProcsChange { n: aux as u32 },
            kind::LOG => Event::Note,
            kind::TASK_BEGIN => Event::TaskBegin { task: aux, parent: u64::from(seq) },
            kind::TASK_END => Event::TaskEnd { task: aux },
            kind::REGION_BEGIN => Event::RegionBegin { task: aux, name: name() },
            kind::REGION_END => Event::RegionEnd { of: None },
            kind::THREAD | kind::TEXT => Event::Mark,
            other => Event::Unknown { kind: other },
        };
        // The time of a TEXT is text: it comes with the record behind it.
        let ts = if record.kind() == kind::TEXT { self.time(thread, at) } else { record.time };
        Step { ts, event, g: Trace::own_g(&record), p }
    }

    fn thread(&self, thread: Thread) -> String {
        self.ms.get(thread).map_or("an M that is not in the file".into(), |m| format!("M{}", m.row.id))
    }

    fn record(&self, thread: Thread, at: usize) -> String {
        format!("record {} ({})", self.ms[thread].number(at), self.say(thread, at))
    }
}

impl Trace {
    /// The time of a record; of a TEXT that of the record which it belongs to.
    pub fn time(&self, thread: Thread, at: usize) -> u64 {
        (at..self.ms[thread].held)
            .map(|at| self.get(thread, at))
            .find(|record| record.kind() != kind::TEXT)
            .map_or(self.header.ended.ticks, |record| record.time)
    }

    /// A record in words: `START G4 P1 seq 5`.
    pub fn say(&self, thread: Thread, at: usize) -> String {
        let record = self.get(thread, at);
        let mut said = kind_name(record.kind()).to_string();
        if record.kind() == kind::TEXT {
            return said;
        }
        if record.goid != 0 {
            let _ = write!(said, " G{}", record.goid);
        }
        if record.pid() != raw::NO_P {
            let _ = write!(said, " P{}", record.pid());
        }
        match record.kind() {
            kind::BLOCK => _ = write!(said, " '{}'", self.reason(thread, at)),
            kind::STOP => _ = write!(said, " '{}'", raw::stop::text(record.aux)),
            kind::PROC_STEAL | kind::SEIZE => _ = write!(said, " seq {} from M{}", record.seq(), record.aux),
            kind::PROC_START | kind::START | kind::UNBLOCK | kind::SYS_BEGIN => {
                let _ = write!(said, " seq {}", record.seq());
            }
            kind::PROCS => _ = write!(said, " {}", record.aux),
            kind::THREAD | kind::FOREIGN_IN => _ = write!(said, " thread {}", record.aux),
            kind::TASK_BEGIN | kind::TASK_END => _ = write!(said, " task {}", record.aux),
            _ => {}
        }
        if record.kind() != kind::BLOCK
            && let Some(text) = self.text(thread, at)
        {
            let _ = write!(said, " '{text}'");
        }
        said
    }
}
