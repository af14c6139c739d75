//! Builds files of records.

#![allow(dead_code)]

use gomax_inside::begin::{begin, in_order};
use gomax_inside::input::Trace;
use gomax_inside::raw::{self, NO_P, Record, kind, section};
use gomax_inside::symbols::Symbols;
use gomax_inside::{go, goread};

/// A file in the making. Each record comes a microsecond after the one before it, in whichever thread.
#[derive(Clone, Default)]
pub struct File {
    pub ms: Vec<(raw::Thread, Vec<Record>)>,
    pub gs: Vec<raw::GRow>,
    pub strings: Vec<(u32, String)>,
    pub now: u64,
    pub began: u64,
}

pub const CHAN: u32 = 7;

impl File {
    /// With so many Ms, from M0 on.
    pub fn new(ms: u32) -> File {
        let row = |id| raw::Thread { id, tid: 100 + id as i32, pid: NO_P, ..raw::Thread::default() };
        let ms = (0..ms).map(|id| (row(id), Vec::new())).collect();
        File { ms, now: 1_000_000, began: 1_000_000, strings: vec![(CHAN, "chan receive".into())], ..File::default() }
    }

    pub fn put(&mut self, m: usize, kind: u8, pid: u32, seq: u32, goid: u64, aux: u64) -> &mut File {
        self.now += 1000;
        let record = Record::new(self.now, kind, pid, seq, goid, aux);
        self.ms[m].1.push(record);
        self
    }

    pub fn text(&mut self, m: usize, text: &str) -> &mut File {
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(24).collect();
        for (n, chunk) in chunks.iter().enumerate() {
            let mut bytes = [0; 24];
            bytes[..chunk.len()].copy_from_slice(chunk);
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            self.ms[m].1.push(Record::new(word(0), kind::TEXT, chunks.len() as u32, n as u32, word(8), word(16)));
        }
        self
    }

    pub fn proc_start(&mut self, m: usize, p: u32, seq: u32) -> &mut File {
        self.put(m, kind::PROC_START, p, seq, 0, 0)
    }
    pub fn proc_stop(&mut self, m: usize, p: u32) -> &mut File {
        self.put(m, kind::PROC_STOP, p, 0, 0, 0)
    }
    pub fn steal(&mut self, m: usize, p: u32, seq: u32, victim: u64) -> &mut File {
        self.put(m, kind::PROC_STEAL, p, seq, 0, victim)
    }
    pub fn seize(&mut self, m: usize, p: u32, seq: u32, g: u64, victim: u64) -> &mut File {
        self.put(m, kind::SEIZE, p, seq, g, victim)
    }
    pub fn create(&mut self, m: usize, p: u32, g: u64) -> &mut File {
        self.put(m, kind::CREATE, p, 0, g, 0)
    }
    pub fn start(&mut self, m: usize, p: u32, g: u64, seq: u32) -> &mut File {
        self.put(m, kind::START, p, seq, g, 0)
    }
    pub fn block(&mut self, m: usize, p: u32, g: u64) -> &mut File {
        self.put(m, kind::BLOCK, p, CHAN, g, 0)
    }
    pub fn stop(&mut self, m: usize, p: u32, g: u64) -> &mut File {
        self.put(m, kind::STOP, p, 0, g, raw::stop::YIELD)
    }
    pub fn unblock(&mut self, m: usize, p: u32, g: u64, seq: u32) -> &mut File {
        self.put(m, kind::UNBLOCK, p, seq, g, 0)
    }
    pub fn destroy(&mut self, m: usize, p: u32, g: u64) -> &mut File {
        self.put(m, kind::DESTROY, p, 0, g, 0)
    }
    pub fn enter(&mut self, m: usize, p: u32, seq: u32, g: u64) -> &mut File {
        self.put(m, kind::SYS_BEGIN, p, seq, g, 0)
    }
    pub fn exit(&mut self, m: usize, p: u32, g: u64) -> &mut File {
        self.put(m, kind::SYS_END, p, 0, g, 0)
    }
    pub fn exit_blocked(&mut self, m: usize, g: u64) -> &mut File {
        self.put(m, kind::SYS_BLOCKED, NO_P, 0, g, 0)
    }

    /// The ring of this M has lost what came before `keep` records.
    pub fn forget(&mut self, m: usize, keep: usize) -> &mut File {
        let (row, records) = &mut self.ms[m];
        let lost = records.len() - keep;
        row.written = records.len() as u64;
        records.drain(..lost);
        // (the time of a TEXT is text)
        row.lost_before = records.iter().find(|r| r.kind() != kind::TEXT).map_or(self.now + 1, |r| r.time);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(raw::MAGIC);
        let small = [raw::VERSION, 32, 4711, 2, raw::flag::NANOSECONDS, 256 << 10];
        out.extend(small.iter().flat_map(|n| n.to_le_bytes()));
        let ended = self.now + 1_000_000;
        let moment = |ticks: u64| [ticks, ticks, ticks + 1_700_000_000_000_000_000];
        let mut words: Vec<u64> = [moment(self.began), moment(ended)].concat();
        words.extend([0; 6]);
        out.extend(words.iter().flat_map(|n| n.to_le_bytes()));
        for (row, records) in &self.ms {
            let mut body = Vec::new();
            let written = row.written.max(records.len() as u64);
            body.extend(row.id.to_le_bytes());
            body.extend(row.tid.to_le_bytes());
            let then = if row.written_then != 0 { row.written_then } else { written };
            for n in [written, records.len() as u64, row.lost_before, then, row.goid] {
                body.extend(n.to_le_bytes());
            }
            body.extend(row.pid.to_le_bytes());
            body.extend(row.flags.to_le_bytes());
            for r in records {
                for n in [r.time, r.head, r.goid, r.aux] {
                    body.extend(n.to_le_bytes());
                }
            }
            put_section(&mut out, section::M, &body);
        }
        let mut body = Vec::new();
        for row in &self.gs {
            for n in [row.goid, row.entry, row.wait_since] {
                body.extend(n.to_le_bytes());
            }
            for n in [row.status, row.m, row.reason, row.seq] {
                body.extend(n.to_le_bytes());
            }
            body.extend(row.name);
        }
        put_section(&mut out, section::GS, &body);
        let mut body = Vec::new();
        for (number, text) in &self.strings {
            body.extend(number.to_le_bytes());
            body.extend((text.len() as u32).to_le_bytes());
            body.extend(text.as_bytes());
            body.resize(body.len().next_multiple_of(8), 0);
        }
        put_section(&mut out, section::STRINGS, &body);
        put_section(&mut out, 99, &[0; 16]); // a section that no reader knows
        put_section(&mut out, section::END, &[]);
        out
    }

    pub fn trace(&self) -> Trace {
        Trace::parse(self.bytes()).unwrap()
    }

    /// Fails unless the records are in order, and what is written in Go's formats passes Go's rules. How many records.
    pub fn passes(&self) -> usize {
        self.passes_last(None)
    }

    pub fn passes_last(&self, last: Option<u64>) -> usize {
        let trace = self.trace();
        let mut state = begin(&trace, last);
        let mut count = 0;
        let mut machine = std::mem::take(&mut state.machine);
        match in_order(&trace, &state.from, &mut machine, |_, _| count += 1) {
            Ok(tail) => assert_eq!(tail, 0, "records were left out"),
            Err(refusals) => panic!("{refusals:#?}"),
        }
        for version in go::VERSIONS {
            let mut out = Vec::new();
            go::write(&trace, begin(&trace, last), version, &mut Symbols::new(""), &mut out).unwrap();
            if let Err(refusals) = goread::check(&out).unwrap() {
                panic!("as 1.{version}: {refusals:#?}");
            }
        }
        count
    }

    /// The reasons why the trace is refused. None: it is accepted.
    pub fn refusals(&self) -> Vec<String> {
        let trace = self.trace();
        let mut state = begin(&trace, None);
        let mut machine = std::mem::take(&mut state.machine);
        match in_order(&trace, &state.from, &mut machine, |_, _| {}) {
            Ok(_) => Vec::new(),
            Err(refusals) => refusals.into_iter().map(|r| r.text).collect(),
        }
    }
}

fn put_section(out: &mut Vec<u8>, tag: u32, body: &[u8]) {
    let length = body.len().next_multiple_of(8);
    out.extend(tag.to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    out.extend((length as u64).to_le_bytes());
    out.extend(body);
    out.resize(out.len() + length - body.len(), 0);
}
