//! A state as JSON for programs, as text for a terminal, and as a page for a browser.

use std::fmt::{self, Display, Write as _};

use crate::names::Names;
use crate::state::{G_STATUS, M_STATE, P_STATUS, State, name, reason};
use crate::table::{GRow, NONE, g_status};

/// `1.5 s` and the like; `-` for none.
struct For(i64);

impl Display for For {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.max(0);
        let text = match ns {
            0..1_000_000 => format!("{} µs", ns / 1000),
            1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
            1_000_000_000..60_000_000_000 => format!("{:.1} s", ns as f64 / 1e9),
            60_000_000_000..3_600_000_000_000 => format!("{} min {} s", ns / 60_000_000_000, ns / 1_000_000_000 % 60),
            _ => format!("{} h {} min", ns / 3_600_000_000_000, ns / 60_000_000_000 % 60),
        };
        f.pad(&text)
    }
}

/// A number, or `-`.
struct Id(u32);

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == NONE { f.pad("-") } else { f.pad(&self.0.to_string()) }
    }
}

fn word(words: &'static [&'static str], n: u32) -> &'static str {
    words.get(n as usize).copied().unwrap_or("?")
}

/// What to call a goroutine: by its name, or by its function.
fn called(g: &GRow, names: &Names) -> String {
    match (name(g), g.foreign) {
        (name, _) if !name.is_empty() => name,
        (_, true) => "thread of the program".into(),
        _ => names.of(g.entry).into(),
    }
}

fn seconds(state: &State, since: i64) -> f64 {
    (state.sched.now - since).max(0) as f64 / 1e9
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

struct Json<'a>(&'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\0'..' ' | '\u{7f}' | '<' | '>' | '&' => write!(f, "\\u{:04x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// `[a,b]`, each written by a function.
fn list<T>(out: &mut String, items: impl Iterator<Item = T>, mut each: impl FnMut(&mut String, T)) {
    out.push('[');
    for (i, item) in items.enumerate() {
        out.push_str(if i == 0 { "\n  " } else { ",\n  " });
        each(out, item);
    }
    out.push(']');
}

/// `,"m":3`, or nothing.
fn json_id(out: &mut String, key: &str, id: u32) {
    if id != NONE {
        let _ = write!(out, ",\"{key}\":{id}");
    }
}

fn json_g(out: &mut String, state: &State, names: &Names, g: &GRow) {
    let _ = write!(out, "{{\"goid\":{},\"name\":{}", g.goid, Json(&name(g)));
    let _ = write!(out, ",\"function\":{},\"state\":\"{}\"", Json(names.of(g.entry)), word(&G_STATUS, g.status));
    if g.status == g_status::WAITING {
        let ns = (state.sched.now - g.waits_since).max(0);
        let _ = write!(out, ",\"reason\":{},\"wait_ns\":{ns}", Json(reason(g)));
    }
    json_id(out, "m", g.m);
    let _ = write!(out, ",\"thread_of_host\":{},\"locked\":{}}}", g.foreign, g.locked);
}

pub fn json(state: &State, names: &Names) -> String {
    let s = &state.sched;
    let mut out = String::new();
    let o = &mut out;
    let _ = write!(
        o,
        "{{\"version\":1,\"pid\":{},\"uptime_ns\":{},\"procs\":{},\"idle_procs\":{},\"global_queue\":{},\"threads\":{},\
         \"idle_threads\":{},\"spinning_threads\":{},\"stopping\":{},\"traced\":{},\n\"goroutines\":{{\"all\":{}",
        std::process::id(),
        s.now - s.started,
        s.procs,
        s.idle_procs,
        s.global_queue,
        s.threads,
        s.idle_threads,
        s.spinning,
        s.stopping,
        s.traced,
        state.total(),
    );
    for (status, n) in G_STATUS.iter().zip(state.counts) {
        let _ = write!(o, ",\"{status}\":{n}");
    }
    o.push_str("},\n\"ps\":");
    list(o, state.ps.iter(), |o, p| {
        let _ = write!(o, "{{\"id\":{},\"status\":\"{}\"", p.id, word(&P_STATUS, p.status));
        let _ = write!(o, ",\"queue\":{},\"timers\":{}", p.queue, p.timers);
        json_id(o, "m", p.m);
        if p.goid != 0 {
            let running = if p.since == 0 { 0 } else { (s.now - p.since).max(0) };
            let _ = write!(o, ",\"goid\":{},\"running_ns\":{running}", p.goid);
        }
        o.push('}');
    });
    o.push_str(",\n\"ms\":");
    list(o, state.ms.iter(), |o, m| {
        let _ = write!(o, "{{\"id\":{},\"tid\":{},\"state\":\"{}\"", m.id, m.tid, word(&M_STATE, m.state));
        let _ = write!(o, ",\"thread_of_host\":{}", m.foreign);
        if m.goid != 0 {
            let _ = write!(o, ",\"goid\":{}", m.goid);
        }
        o.push('}');
    });
    o.push_str(",\n\"hogs\":");
    list(o, state.hogs.iter(), |o, h| {
        let _ = write!(o, "{{\"goid\":{},\"running_ns\":{}", h.g.goid, (s.now - h.since).max(0));
        let _ = write!(o, ",\"name\":{},\"function\":{}}}", Json(&name(&h.g)), Json(names.of(h.g.entry)));
    });
    o.push_str(",\n\"waits\":");
    list(o, state.waits.iter(), |o, w| {
        let ns = (s.now - w.since).max(0);
        let _ = write!(o, "{{\"reason\":{},\"count\":{},\"longest_ns\":{ns}}}", Json(w.reason), w.count);
    });
    let left_out = state.total() - state.listed().count() as u64;
    let _ = write!(o, ",\n\"gs_left_out\":{left_out},\"gs\":");
    list(o, state.listed(), |o, g| json_g(o, state, names, g));
    o.push_str("}\n");
    out
}

// ---- tables ---------------------------------------------------------------------------------------------------------

/// The same tables are text for a terminal and parts of the page.
struct Table {
    title: &'static str,
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

fn summary(state: &State) -> String {
    let s = &state.sched;
    let n = state.total();
    let mut text = format!("process {}, up {}: {n} goroutines", std::process::id(), For(s.now - s.started));
    for (status, n) in G_STATUS.iter().zip(state.counts).filter(|(_, n)| *n > 0) {
        let _ = write!(text, ", {n} {status}");
    }
    let _ = write!(text, "; {} Ps, {} idle; {} worker threads", s.procs, s.idle_procs, s.threads);
    let _ = write!(text, "; global queue {}", s.global_queue);
    if s.stopping {
        text += "; the world is stopped, or about to be";
    }
    if s.traced {
        text += "; records are written";
    }
    text
}

fn tables(state: &State, names: &Names) -> Vec<Table> {
    let s = &state.sched;
    let hogs = state.hogs.iter().map(|h| {
        let running = format!("running for {:.1} s", seconds(state, h.since));
        vec![h.g.goid.to_string(), called(&h.g, names), running, word(&G_STATUS, h.g.status).into()]
    });
    let ps = state.ps.iter().map(|p| {
        let g = state.g(p.goid);
        let goid = if p.goid == 0 { "-".into() } else { p.goid.to_string() };
        let slice = if p.since == 0 || p.goid == 0 { "-".into() } else { For(s.now - p.since).to_string() };
        let called = g.map_or(String::new(), |g| called(g, names));
        let status = word(&P_STATUS, p.status).into();
        vec![
            format!("P{}", p.id),
            status,
            goid,
            called,
            slice,
            p.queue.to_string(),
            p.timers.to_string(),
            Id(p.m).to_string(),
        ]
    });
    let waits =
        state.waits.iter().map(|w| vec![w.reason.into(), w.count.to_string(), For(s.now - w.since).to_string()]);
    let gs = state.listed().map(|g| {
        let waits = g.status == g_status::WAITING;
        let since = if waits { For(s.now - g.waits_since).to_string() } else { String::new() };
        let what = if waits { reason(g).to_string() } else { String::new() };
        let called = called(g, names);
        let function = if g.foreign || called == names.of(g.entry) { "" } else { names.of(g.entry) };
        vec![
            g.goid.to_string(),
            called,
            function.into(),
            word(&G_STATUS, g.status).into(),
            what,
            since,
            Id(g.m).to_string(),
        ]
    });
    let ms = state.ms.iter().map(|m| {
        let goid = if m.goid == 0 { "-".into() } else { m.goid.to_string() };
        let kind = if m.foreign { "of the program" } else { "worker" };
        vec![format!("M{}", m.id), m.tid.to_string(), kind.into(), word(&M_STATE, m.state).into(), goid]
    });
    vec![
        Table { title: "Computing for long", head: &["goroutine", "name", "time", "state"], rows: hogs.collect() },
        Table {
            title: "Ps",
            head: &["P", "state", "goroutine", "name", "slice", "queue", "timers", "M"],
            rows: ps.collect(),
        },
        Table { title: "Waiting, by reason", head: &["reason", "goroutines", "longest"], rows: waits.collect() },
        Table {
            title: "Goroutines",
            head: &["goroutine", "name", "function", "state", "reason", "waits for", "M"],
            rows: gs.collect(),
        },
        Table { title: "Threads", head: &["M", "thread", "kind", "state", "goroutine"], rows: ms.collect() },
    ]
}

/// What is not listed, in words.
fn left_out(state: &State) -> Option<String> {
    let n = state.total() - state.listed().count() as u64;
    (n > 0).then(|| format!("{n} more; those that wait longest are shown"))
}

pub fn text(state: &State, names: &Names) -> String {
    let mut out = summary(state) + "\n";
    for table in tables(state, names).iter().filter(|t| !t.rows.is_empty()) {
        let width = |column: usize| {
            let cells = table.rows.iter().map(|row| row[column].chars().count());
            cells.chain([table.head[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
        let _ = write!(out, "\n{}\n", table.title);
        let head: Vec<String> = table.head.iter().map(|h| h.to_string()).collect();
        for row in std::iter::once(&head).chain(&table.rows) {
            let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{:w$}", plain(cell)));
            let line = cells.collect::<Vec<_>>().join("  ");
            let _ = writeln!(out, "  {}", line.trim_end());
        }
        if table.title == "Goroutines"
            && let Some(more) = left_out(state)
        {
            let _ = writeln!(out, "  {more}");
        }
    }
    out
}

/// Names are the program's, and a terminal obeys what is no text.
fn plain(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

// ---- the page -------------------------------------------------------------------------------------------------------

struct Html<'a>(&'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

const LINKS: [(&str, &str); 7] = [
    ("debug/pprof/goroutine?debug=2", "stacks"),
    ("debug/pprof/trace?seconds=1&format=go", "trace of a second, for go tool trace"),
    ("debug/pprof/trace?seconds=1&format=perfetto", "for ui.perfetto.dev"),
    ("debug/flight?format=perfetto", "what was recorded"),
    ("debug/state.json", "JSON"),
    ("debug/state.txt", "text"),
    ("metrics", "metrics"),
];

/// `state`: None if the runtime is not up. `nonce`: the mark of what this page may run.
pub fn page(state: Option<(&State, &Names)>, token: Option<&str>, nonce: &str) -> String {
    let mut out = String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n";
    let _ = write!(
        out,
        "<title>gomax: process {}</title>\n<style nonce=\"{nonce}\">\n{STYLE}</style>\n",
        std::process::id()
    );
    out += "<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>\n</head>\n<body>\n";
    out += "<nav>\n<label id=\"live\" hidden><input type=\"checkbox\" checked> live</label>\n";
    for (path, text) in LINKS {
        let with = if path.contains('?') { '&' } else { '?' };
        let path = token.map_or(path.to_string(), |token| format!("{path}{with}token={token}"));
        let _ = writeln!(out, "<a href=\"/{}\">{text}</a>", Html(&path));
    }
    out += "</nav>\n<main>\n";
    match state {
        None => out += "<p>The runtime is not up.</p>\n",
        Some((state, names)) => {
            let _ = writeln!(out, "<p>{}</p>", Html(&summary(state)));
            for table in tables(state, names).iter().filter(|t| !t.rows.is_empty()) {
                html_table(&mut out, table);
                if table.title == "Goroutines"
                    && let Some(more) = left_out(state)
                {
                    let _ = writeln!(out, "<p>{more}</p>");
                }
            }
        }
    }
    let _ = write!(out, "</main>\n<script nonce=\"{nonce}\">\n{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

fn html_table(out: &mut String, table: &Table) {
    let id = table.title.to_lowercase().replace([' ', ','], "-");
    let _ = write!(out, "<h2>{}</h2>\n<div><table id=\"{id}\">\n<tr>", table.title);
    for head in table.head {
        let _ = write!(out, "<th>{head}</th>");
    }
    out.push_str("</tr>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}</td>", Html(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::g;
    use crate::table::{PRow, SchedRow};

    fn state() -> State {
        let mut evil = g(7, g_status::WAITING, 1_000);
        evil.name[..18].copy_from_slice(b"<b>\"&'\\\n\x1b[2J\xff</b>x");
        let sched = SchedRow { now: 90_000_001_000, procs: 1, ..SchedRow::default() };
        State {
            sched,
            ps: vec![PRow { m: NONE, ..PRow::default() }],
            waiting: vec![evil],
            counts: [0, 0, 0, 1, 0],
            ..State::default()
        }
    }

    #[test]
    fn a_name_is_text_wherever_it_is_shown() {
        let (state, names) = (state(), Names::default());
        let page = page(Some((&state, &names)), Some("t"), "n");
        assert!(page.contains("&lt;b&gt;&quot;&amp;&#39;") && !page.contains("<b>"), "{page}");
        let json = json(&state, &names);
        assert!(json.contains(r#""\u003cb\u003e\"\u0026'\\\u000a\u001b[2J"#), "{json}");
        let text = text(&state, &names);
        assert!(text.contains("<b>\"&'\\??[2J") && !text.contains('\x1b'), "{text}");
        assert!(text.contains("1 min 30 s"), "{text}");
    }

    #[test]
    fn times_are_short() {
        let times = [0, 1_500, 1_500_000, 1_500_000_000, 61_000_000_000, 7_380_000_000_000];
        let texts = ["0 µs", "1 µs", "1 ms", "1.5 s", "1 min 1 s", "2 h 3 min"];
        assert_eq!(times.map(|ns| For(ns).to_string()), texts);
    }
}
