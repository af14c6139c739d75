//! Draws a trace: a row for each P, with the goroutines that ran there over time; arrows from what made a goroutine
//! runnable to where it ran; marks where a P was taken; a band while the world was stopped.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write;

use crate::begin::{Begin, Tail};
use crate::go::{Failure, Names};
use crate::input::Trace;
use crate::order::{Goid, Pid, Source, Thread};
use crate::picture::{Item, Row, What, draw};
use crate::symbols::Symbols;

pub struct Options {
    /// Nanoseconds since the first goroutine ran.
    pub from: u64,
    pub to: u64,
    pub width: u32,
    pub title: String,
}

/// Something with a length in the row of a P.
struct Slice {
    p: Pid,
    from: u64,
    to: u64,
    g: Goid,
    m: Thread,
    syscall: bool,
}

struct Arrow {
    from: (Row, u64),
    to: Option<(Row, u64)>,
}

#[derive(Default)]
struct Found {
    slices: Vec<Slice>,
    arrows: BTreeMap<u64, Arrow>,
    /// When the world stopped and started, and why.
    stops: Vec<(u64, u64, String)>,
    marks: Vec<(Pid, u64, String)>,
}

const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const ROW: f64 = 30.0;
const GAP: f64 = 26.0;
/// The width of a letter of 11 px, about.
const LETTER: f64 = 6.1;
/// So many Ps have a row each, also those that ran nothing.
const FEW: u32 = 8;
/// Fills of goroutines: dark text can be read on each, on a light page and on a dark one.
const COLORS: [&str; 8] = ["#8ecae6", "#ffb703", "#95d5b2", "#f4978e", "#cdb4db", "#d4d700", "#f6bd60", "#a0c4ff"];

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// # Errors
///
/// The trace is refused, or `out` cannot be written.
pub fn write(
    trace: &Trace,
    begin: Begin,
    options: &Options,
    symbols: &mut Symbols,
    out: &mut impl Write,
) -> Result<Tail, Failure> {
    let names = Names::new(trace);
    let zero = trace.mono(begin.cut);
    let (found, tail) = collect(trace, begin, zero).map_err(Failure::Refused)?;
    let first = found.slices.iter().map(|s| s.from).min().unwrap_or(0);
    let end = found.slices.iter().map(|s| s.to).chain(found.stops.iter().map(|s| s.1)).max().unwrap_or(1);
    let from = first + options.from.min(u64::MAX / 4);
    let to = (first + options.to.min(u64::MAX / 4)).min(end).max(from + 1);
    let seen = |a: u64, b: u64| a < to && b > from;

    let mut ps: Vec<Pid> = found.slices.iter().filter(|s| seen(s.from, s.to)).map(|s| s.p).collect();
    if trace.header.procs <= FEW {
        ps.extend(0..trace.header.procs);
    }
    ps.sort_unstable();
    ps.dedup();
    // Colors in the order of appearance.
    let mut colors: HashMap<Goid, &str> = HashMap::new();
    for slice in found.slices.iter().filter(|s| seen(s.from, s.to)) {
        let next = COLORS[colors.len() % COLORS.len()];
        colors.entry(slice.g).or_insert(next);
    }
    let width = f64::from(options.width.max(200));
    let top = if options.title.is_empty() { 20.0 } else { 40.0 };
    let x = |ts: u64| LEFT + (ts.clamp(from, to) - from) as f64 * (width - LEFT - RIGHT) / (to - from) as f64;
    let y = |p: Pid| ps.iter().position(|q| *q == p).map(|n| top + n as f64 * (ROW + GAP));
    let bottom = top + ps.len() as f64 * (ROW + GAP) - GAP;
    let height = bottom + 42.0;

    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" role=\"img\">\n<title>{}</title>\n\
         <style>.t{{fill:#24292f}}.l{{stroke:#8c959f;fill:none}}.a{{stroke:#57606a;fill:none;marker-end:url(#h)}}.h{{fill:#57606a}}\
         .w{{fill:#cf222e;fill-opacity:.14}}.k{{stroke:#cf222e;stroke-width:2}}.r{{fill:#cf222e}}.d{{fill:#1f2328}}\
         @media(prefers-color-scheme:dark){{.t{{fill:#e6edf3}}.l{{stroke:#6e7681}}.a{{stroke:#adbac7}}.h{{fill:#adbac7}}\
         .w{{fill:#ff7b72;fill-opacity:.22}}.k{{stroke:#ff7b72}}.r{{fill:#ff7b72}}}}</style>\n\
         <defs><marker id=\"h\" viewBox=\"0 0 6 6\" refX=\"6\" refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\">\
         <path class=\"h\" d=\"M0 0L6 3L0 6z\"/></marker>\
         <pattern id=\"s\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect width=\"6\" height=\"6\" fill=\"#fff\" fill-opacity=\".55\"/><rect width=\"2\" height=\"6\" fill=\"#1f2328\" fill-opacity=\".45\"/>\
         </pattern></defs>\n",
        escaped(if options.title.is_empty() { "a trace of libgomax" } else { &options.title })
    );
    if !options.title.is_empty() {
        let _ = writeln!(
            svg,
            "<text class=\"t\" x=\"8\" y=\"16\" font-size=\"13\" font-weight=\"600\">{}</text>",
            escaped(&options.title)
        );
    }
    for &p in &ps {
        let y = y(p).unwrap_or(top);
        let line = y + ROW;
        let _ = writeln!(
            svg,
            "<text class=\"t\" x=\"8\" y=\"{:.1}\" font-weight=\"600\">P{p}</text><path class=\"l\" d=\"M{LEFT} {line:.1}H{:.1}\"/>",
            y + ROW / 2.0 + 4.0,
            width - RIGHT
        );
    }
    // A P that more than one thread had: then a slice names its thread.
    let several = |p: Pid| {
        let mut ms = found.slices.iter().filter(|s| s.p == p && seen(s.from, s.to)).map(|s| s.m);
        ms.next().is_some_and(|first| ms.any(|m| m != first))
    };
    let mut labels = String::new();
    for slice in found.slices.iter().filter(|s| seen(s.from, s.to)) {
        let (Some(y), a, b) = (y(slice.p), x(slice.from), x(slice.to)) else { continue };
        let name = names.of(slice.g, symbols);
        let mut label = name.clone();
        if several(slice.p) {
            let _ = write!(label, " on {}", trace.thread(slice.m));
        }
        let fill = if slice.syscall { "url(#s)" } else { colors[&slice.g] };
        let what = if slice.syscall { format!("{label}: syscall") } else { label.clone() };
        let _ = writeln!(
            svg,
            "<rect x=\"{a:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{ROW}\" rx=\"2\" fill=\"{fill}\"><title>{}</title></rect>",
            (b - a).max(0.6),
            escaped(&what)
        );
        // (what lies on it must not hide the name)
        let room = ((b - a - 6.0).max(0.0) / LETTER) as usize;
        let short = name.split_once(' ').map_or(name.as_str(), |(_, short)| short);
        let fits = [label.as_str(), name.as_str(), short].into_iter().find(|text| text.chars().count() <= room);
        if let Some(text) = fits.filter(|_| !slice.syscall) {
            let (x, y) = (a + 3.0, y + ROW / 2.0 + 4.0);
            let _ = writeln!(labels, "<text class=\"d\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
        }
    }
    svg.push_str(&labels);
    for (a, b, why) in found.stops.iter().filter(|(a, b, _)| seen(*a, *b)) {
        let (a, b) = (x(*a), x(*b));
        let _ = writeln!(
            svg,
            "<rect class=\"w\" x=\"{a:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>\
             <text class=\"r\" x=\"{a:.1}\" y=\"{:.1}\">{}</text>",
            top - 4.0,
            (b - a).max(1.0),
            bottom - top + 8.0,
            escaped(why),
            top - 7.0,
            escaped(why)
        );
    }
    for Arrow { from: (row, since), to: end } in found.arrows.values() {
        let Some((Row::P(p), until)) = *end else { continue };
        let Some(target) = y(p) else { continue };
        if until < from || until > to || *since < from {
            continue;
        }
        let (a, b) = (x(*since), x(until));
        let path = match row {
            Row::P(q) if *q != p => y(*q).map(|source| {
                // from the nearer edge of one row to that of the other
                if source < target {
                    format!("M{a:.1} {:.1}L{b:.1} {target:.1}", source + ROW)
                } else {
                    format!("M{a:.1} {source:.1}L{b:.1} {:.1}", target + ROW)
                }
            }),
            Row::P(_) => {
                let under = target + ROW;
                Some(format!("M{a:.1} {under:.1}Q{:.1} {:.1} {b:.1} {under:.1}", (a + b) / 2.0, under + 14.0))
            }
            // A thread without a P.
            _ => Some(format!("M{a:.1} {:.1}L{b:.1} {target:.1}", target - 12.0)),
        };
        if let Some(path) = path {
            let _ = writeln!(svg, "<path class=\"a\" d=\"{path}\"/>");
        }
    }
    for (p, ts, text) in found.marks.iter().filter(|(_, ts, _)| (from..=to).contains(ts)) {
        let (Some(y), x) = (y(*p), x(*ts)) else { continue };
        let _ = writeln!(
            svg,
            "<path class=\"k\" d=\"M{x:.1} {:.1}V{:.1}\"/><text class=\"r\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            y - 3.0,
            y + ROW + 3.0,
            x + 3.0,
            y + ROW + 13.0,
            escaped(text)
        );
    }
    axis(&mut svg, (from - first, to - first), bottom + 18.0, |ts| x(first + ts));
    svg.push_str("</svg>\n");
    out.write_all(svg.as_bytes())?;
    Ok(tail)
}

fn collect(trace: &Trace, begin: Begin, zero: u64) -> Result<(Found, Tail), Vec<crate::order::Refusal>> {
    let mut found = Found::default();
    let mut open: HashMap<Row, Vec<(What, u64)>> = HashMap::new();
    let mut thread: HashMap<Goid, Thread> = HashMap::new();
    let tail = draw(trace, begin, |item| match item {
        Item::Begin { row, ts, what } => {
            if let (Row::M(m), What::Runs(g)) = (row, &what) {
                thread.insert(*g, m);
            }
            open.entry(row).or_default().push((what, ts - zero));
        }
        Item::End { row, ts, .. } => {
            let Some((what, since)) = open.get_mut(&row).and_then(Vec::pop) else { return };
            let ts = ts - zero;
            let under = open.get(&row).and_then(|o| {
                o.iter().rev().find_map(|(what, _)| if let What::Runs(g) = what { Some(*g) } else { None })
            });
            let slice = |p, g: Goid, syscall| Slice {
                p,
                from: since,
                to: ts,
                g,
                m: thread.get(&g).copied().unwrap_or(0),
                syscall,
            };
            match (row, what, under) {
                (Row::P(p), What::Runs(g), _) => found.slices.push(slice(p, g, false)),
                (Row::P(p), What::Syscall, Some(g)) => found.slices.push(slice(p, g, true)),
                (_, What::Stop(why), _) => found.stops.push((since, ts, why)),
                _ => {}
            }
        }
        Item::ArrowFrom { row, ts, id } => _ = found.arrows.insert(id, Arrow { from: (row, ts - zero), to: None }),
        Item::ArrowTo { row, ts, id } => {
            if let Some(arrow) = found.arrows.get_mut(&id) {
                arrow.to = Some((row, ts - zero));
            }
        }
        Item::Mark { row: Row::P(p), ts, text } if text.contains(" from ") => {
            let word = if text.starts_with("seized") { "seized" } else { "taken" };
            found.marks.push((p, ts - zero, word.into()));
        }
        _ => {}
    })?;
    // A slice before what lies on it: its syscalls.
    found.slices.sort_by_key(|s| (s.from, s.syscall));
    Ok((found, tail))
}

/// A line with about eight times on it.
fn axis(svg: &mut String, (from, to): (u64, u64), y: f64, x: impl Fn(u64) -> f64) {
    let steps = (0..19).flat_map(|n| [1, 2, 5].map(|digit| digit * 10_u64.pow(n)));
    let step = steps.into_iter().find(|step| (to - from) / step <= 8).unwrap_or(u64::MAX);
    let (unit, name) = match step {
        ..1_000 => (1.0, "ns"),
        1_000..1_000_000 => (1e3, "us"),
        _ => (1e6, "ms"),
    };
    let mut at = from.next_multiple_of(step);
    while at <= to {
        let x = x(at);
        // (the last one must not reach out of the picture)
        let anchor = if at + step > to { "end" } else { "middle" };
        let _ = write!(
            svg,
            "<path class=\"l\" d=\"M{x:.1} {y:.1}v4\"/><text class=\"t\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{} {name}</text>",
            y + 16.0,
            (at as f64 / unit * 1000.0).round() / 1000.0
        );
        at = at.saturating_add(step);
    }
    svg.push('\n');
}
