//! Writes a trace as JSON of Chrome's trace viewer: chrome://tracing, ui.perfetto.dev and speedscope read it. Two
//! processes: the Ps, and the threads.

use std::io::{self, Write};

use crate::begin::{Begin, Tail};
use crate::go::{Failure, Names};
use crate::input::Trace;
use crate::picture::{Item, Row, draw};
use crate::symbols::Symbols;

/// The process that the Ps are shown in. The threads are in that of the program.
const PS: u32 = 0;

/// A string as JSON has it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

struct Json<'a, W> {
    out: W,
    trace: &'a Trace,
    first: bool,
    failed: io::Result<()>,
    begins: u64,
}

impl<W: Write> Json<'_, W> {
    fn place(&self, row: Row) -> String {
        let (process, thread) = match row {
            Row::P(p) => (PS, i64::from(p)),
            Row::M(m) => (self.trace.header.process, i64::from(self.trace.ms[m].row.id)),
            Row::G(g) => (PS, g as i64),
        };
        format!("\"pid\":{process},\"tid\":{thread}")
    }

    /// Nanoseconds as microseconds.
    fn us(&self, ts: u64) -> String {
        let nanos = ts.saturating_sub(self.begins);
        format!("{}.{:03}", nanos / 1000, nanos % 1000)
    }

    fn put(&mut self, fields: &str) {
        if self.failed.is_ok() {
            let comma = if std::mem::take(&mut self.first) { "" } else { ",\n" };
            self.failed = write!(self.out, "{comma}{{{fields}}}");
        }
    }
}

/// # Errors
///
/// The trace is refused, or `out` cannot be written.
pub fn write(trace: &Trace, begin: Begin, symbols: &mut Symbols, out: &mut impl Write) -> Result<Tail, Failure> {
    let names = Names::new(trace);
    let begins = trace.mono(begin.cut);
    out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
    let mut json = Json { out: &mut *out, trace, first: true, failed: Ok(()), begins };
    let process = trace.header.process;
    json.put(&format!("\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{PS},\"args\":{{\"name\":\"Ps\"}}"));
    json.put(&format!("\"ph\":\"M\",\"name\":\"process_name\",\"pid\":{process},\"args\":{{\"name\":\"threads\"}}"));
    for p in 0..trace.header.procs {
        json.put(&format!(
            "\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":{PS},\"tid\":{p},\"args\":{{\"name\":\"P{p}\"}}"
        ));
    }
    for m in &trace.ms {
        let (id, tid) = (m.row.id, m.row.tid);
        json.put(&format!(
            "\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":{process},\"tid\":{id},\"args\":{{\"name\":\"M{id} (thread {tid})\"}}"
        ));
    }
    let tail = draw(trace, begin, |item| {
        let line = match item {
            Item::Begin { row, ts, what } => {
                let name = what.text(&names, symbols);
                format!("\"ph\":\"B\",\"name\":{},{},\"ts\":{}", quoted(&name), json.place(row), json.us(ts))
            }
            Item::End { row, ts, why } => {
                let args = if why.is_empty() { String::new() } else { format!(",\"args\":{{\"then\":{}}}", quoted(&why)) };
                format!("\"ph\":\"E\",{},\"ts\":{}{args}", json.place(row), json.us(ts))
            }
            Item::Mark { row, ts, text } => {
                format!("\"ph\":\"i\",\"s\":\"t\",\"name\":{},{},\"ts\":{}", quoted(&text), json.place(row), json.us(ts))
            }
            Item::ArrowFrom { row, ts, id } => {
                format!("\"ph\":\"s\",\"name\":\"ready\",\"cat\":\"ready\",\"id\":{id},{},\"ts\":{}", json.place(row), json.us(ts))
            }
            Item::ArrowTo { row, ts, id } => format!(
                "\"ph\":\"f\",\"bp\":\"e\",\"name\":\"ready\",\"cat\":\"ready\",\"id\":{id},{},\"ts\":{}",
                json.place(row),
                json.us(ts)
            ),
            Item::Counts { ts, runnable, running, syscall, waiting } => format!(
                "\"ph\":\"C\",\"name\":\"goroutines\",\"pid\":{PS},\"ts\":{},\"args\":{{\"runnable\":{runnable},\"running\":{running},\
                 \"in a syscall\":{syscall},\"waiting\":{waiting}}}",
                json.us(ts)
            ),
        };
        json.put(&line);
    })
    .map_err(Failure::Refused)?;
    json.failed?;
    out.write_all(b"\n]}\n")?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_string_of_json() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000ad\"");
    }
}
