//! Writes a trace as track events of Perfetto: a row for each P and for each M, counters, and arrows from what made a G
//! runnable to where it ran. The encoding is that of protocol buffers, and small enough to be written by hand; the
//! numbers are those of protos/perfetto/trace.

use std::collections::HashMap;
use std::io::{self, Write};

use crate::begin::{Begin, Tail};
use crate::go::{Failure, Names, uv};
use crate::input::Trace;
use crate::order::Source;
use crate::picture::{Item, Row, draw};
use crate::symbols::Symbols;

/// A message, field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u32, value: u64) -> Message {
        uv(&mut self.0, u64::from(field) << 3);
        uv(&mut self.0, value);
        self
    }
    fn fixed(mut self, field: u32, value: u64) -> Message {
        uv(&mut self.0, u64::from(field) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    fn bytes(mut self, field: u32, value: &[u8]) -> Message {
        uv(&mut self.0, u64::from(field) << 3 | 2);
        uv(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }
    fn text(self, field: u32, value: &str) -> Message {
        self.bytes(field, value.as_bytes())
    }
    fn message(self, field: u32, value: Message) -> Message {
        let bytes = value.0;
        self.bytes(field, &bytes)
    }
}

mod packet {
    pub const TIMESTAMP: u32 = 8;
    pub const SEQUENCE: u32 = 10;
    pub const TRACK_EVENT: u32 = 11;
    pub const INTERNED: u32 = 12;
    pub const FLAGS: u32 = 13;
    pub const CLOCK: u32 = 58;
    pub const DESCRIPTOR: u32 = 60;
}

mod event {
    pub const ANNOTATIONS: u32 = 4;
    pub const TYPE: u32 = 9;
    pub const NAME_IID: u32 = 10;
    pub const TRACK: u32 = 11;
    pub const NAME: u32 = 23;
    pub const COUNTER: u32 = 30;
    pub const FLOWS: u32 = 47;
    pub const ENDING_FLOWS: u32 = 48;
}

mod descriptor {
    pub const UUID: u32 = 1;
    pub const NAME: u32 = 2;
    pub const PROCESS: u32 = 3;
    pub const THREAD: u32 = 4;
    pub const PARENT: u32 = 5;
    pub const COUNTER: u32 = 8;
}

const BEGIN: u64 = 1;
const END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;
/// CLOCK_MONOTONIC.
const MONOTONIC: u64 = 3;
const SEQUENCE: u64 = 1;
/// The names that were interned before are forgotten; this packet needs those since.
const CLEARED: u64 = 1;
const NEEDS: u64 = 2;

/// Numbers of tracks.
const PROCESS: u64 = 1;
const COUNTERS: u64 = 2;
const PS: u64 = 0x100;
const P: u64 = 1 << 32;
const M: u64 = 2 << 32;

fn track(row: Row) -> u64 {
    match row {
        Row::P(p) => P + u64::from(p),
        Row::M(m) => M + m as u64,
        Row::G(g) => (3 << 32) + g,
    }
}

struct Packets<W> {
    out: W,
    failed: io::Result<()>,
    names: HashMap<String, u64>,
}

impl<W: Write> Packets<W> {
    fn packet(&mut self, packet: Message) {
        if self.failed.is_ok() {
            let packet = packet.number(packet::SEQUENCE, SEQUENCE);
            self.failed = self.out.write_all(&Message::default().message(1, packet).0);
        }
    }

    fn describe(&mut self, message: Message) {
        self.packet(Message::default().message(packet::DESCRIPTOR, message));
    }

    fn event(&mut self, ts: u64, kind: u64, row: u64, name: Option<&str>, rest: Message) {
        let mut packet = Message::default().number(packet::TIMESTAMP, ts).number(packet::CLOCK, MONOTONIC);
        let mut event = Message::default().number(event::TYPE, kind).number(event::TRACK, row);
        if let Some(name) = name {
            let next = self.names.len() as u64 + 1;
            let id = match self.names.get(name) {
                Some(id) => *id,
                None => {
                    self.names.insert(name.into(), next);
                    let entry = Message::default().number(1, next).text(2, name);
                    packet = packet.message(packet::INTERNED, Message::default().message(2, entry));
                    next
                }
            };
            event = event.number(event::NAME_IID, id);
            packet = packet.number(packet::FLAGS, NEEDS);
        }
        event.0.extend(rest.0);
        self.packet(packet.message(packet::TRACK_EVENT, event));
    }
}

/// # Errors
///
/// The trace is refused, or `out` cannot be written.
pub fn write(trace: &Trace, begin: Begin, symbols: &mut Symbols, out: &mut impl Write) -> Result<Tail, Failure> {
    let names = Names::new(trace);
    let process = u64::from(trace.header.process);
    let mut packets = Packets { out: &mut *out, failed: Ok(()), names: HashMap::new() };
    packets.packet(Message::default().number(packet::FLAGS, CLEARED));
    let describe = || Message::default();
    let about = Message::default().number(1, process).text(6, "libgomax");
    packets.describe(describe().number(descriptor::UUID, PROCESS).message(descriptor::PROCESS, about));
    packets.describe(
        describe().number(descriptor::UUID, PS).text(descriptor::NAME, "Ps").number(descriptor::PARENT, PROCESS),
    );
    for p in 0..trace.header.procs {
        let of = describe().number(descriptor::UUID, track(Row::P(p))).text(descriptor::NAME, &format!("P{p}"));
        packets.describe(of.number(descriptor::PARENT, PS));
    }
    for m in 0..trace.threads() {
        let row = &trace.ms[m].row;
        let name = format!("M{}", row.id);
        let of = describe().number(descriptor::UUID, track(Row::M(m)));
        let tid = u64::try_from(row.tid).unwrap_or(0);
        packets.describe(if tid == 0 {
            of.text(descriptor::NAME, &name).number(descriptor::PARENT, PROCESS)
        } else {
            of.message(descriptor::THREAD, Message::default().number(1, process).number(2, tid).text(5, &name))
        });
    }
    const STATES: [&str; 4] = ["runnable", "running", "in a syscall", "waiting"];
    for (n, name) in (0..).zip(STATES) {
        let of =
            describe().number(descriptor::UUID, COUNTERS + n).text(descriptor::NAME, &format!("goroutines {name}"));
        packets.describe(of.number(descriptor::PARENT, PROCESS).message(descriptor::COUNTER, Message::default()));
    }
    let mut counts = [u64::MAX; 4];
    // The ends of arrows belong to the slice that begins or is open there.
    let tail = draw(trace, begin, |item| match item {
        Item::Begin { row, ts, what } => {
            let name = what.text(&names, symbols);
            packets.event(ts, BEGIN, track(row), Some(&name), Message::default());
        }
        Item::End { row, ts, why } => {
            let mut rest = Message::default();
            if !why.is_empty() {
                rest = rest.message(event::ANNOTATIONS, Message::default().text(10, "then").text(6, &why));
            }
            packets.event(ts, END, track(row), None, rest);
        }
        Item::Mark { row, ts, text } => {
            packets.event(ts, INSTANT, track(row), None, Message::default().text(event::NAME, &text));
        }
        Item::ArrowFrom { row, ts, id } => {
            packets.event(ts, INSTANT, track(row), Some("ready"), Message::default().fixed(event::FLOWS, id));
        }
        Item::ArrowTo { row, ts, id } => {
            packets.event(ts, INSTANT, track(row), Some("start"), Message::default().fixed(event::ENDING_FLOWS, id));
        }
        Item::Counts { ts, runnable, running, syscall, waiting } => {
            for (n, now) in [runnable, running, syscall, waiting].into_iter().enumerate() {
                if counts[n] != now {
                    counts[n] = now;
                    let rest = Message::default().number(event::COUNTER, now);
                    packets.event(ts, COUNTER, COUNTERS + n as u64, None, rest);
                }
            }
        }
    })
    .map_err(Failure::Refused)?;
    packets.failed?;
    Ok(tail)
}
