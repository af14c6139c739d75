//! The metrics: one table, and what reads it.
//!
//! A row of [`METRICS`] is a metric: its name, what kind it is, what it counts, and how it is read. The names are those
//! of the lines in the text, labels included, so that a dashboard and a program use the same ones; they stay. Rows of
//! one family stand together, since the text has one head for a family.
//!
//! # What holds
//! * A look stops nothing: it adds up words that others write meanwhile. So two numbers of one look may be some
//!   microseconds apart, and agree exactly only in a stopped world.
//! * A counter never falls, as long as the process is the same: its words never do, and Ps are never freed. A child of
//!   fork begins at 0.
//! * What a look computes for several rows (the walk over all goroutines, the sums over all Ps) it computes once, and
//!   only if a row that it was asked for needs it.
//! * No lock is held but the short ones that guard the numbers of threads and stacks, and none while the host's code
//!   runs: the text is complete before the host gets it.
//!
//! # Rejected
//! * A row for each P (`gomax_runq_length{p="3"}`): the set of names would change with gomaxprocs, and a series of each
//!   P costs more at the reader's than it tells.
//! * Stops by their reason: a text of the host, hence any number of series.
//! * The longest wait: some goroutine of every server waits for a connection since the start.
//! * The time that goroutines wait for locks: two looks at the clock for each wait.

use super::dump::{self, GCounts};
use super::report::Text;
use crate::block::fd;
use crate::ds::histogram::{self, BUCKETS, Counts, Histogram};
use crate::fiber::stack::PoolStats;
use crate::gmp::sched::Sched;
use crate::sync::{Ordering, now};
use crate::sys::array::Array;
use std::ffi::CStr;
use std::fmt::{self, Write};
use std::sync::atomic::AtomicU64;

/// The numbers are those of the interface (`GMX_METRIC_*`).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    /// It only rises.
    Counter = 1,
    Gauge = 2,
    /// Of durations in ns.
    Histogram = 3,
}

/// What a value is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    One,
    /// In the text: seconds.
    Ns,
    Bytes,
}

impl Unit {
    pub const fn text(self) -> &'static CStr {
        match self {
            Unit::One => c"",
            Unit::Ns => c"ns",
            Unit::Bytes => c"bytes",
        }
    }
}

/// A row of the table.
pub struct Metric {
    pub name: &'static CStr,
    pub kind: Kind,
    pub unit: Unit,
    pub help: &'static CStr,
    read: Read,
}

/// Calls a function with each histogram of a metric.
type Histograms = fn(&Sched, &mut dyn FnMut(&Histogram));

enum Read {
    Value(fn(&mut Look<'_>) -> u64),
    Durations(Histograms),
}

const fn row(name: &'static CStr, kind: Kind, unit: Unit, help: &'static CStr, read: Read) -> Metric {
    Metric { name, kind, unit, help, read }
}

const fn counter(name: &'static CStr, help: &'static CStr, read: fn(&mut Look<'_>) -> u64) -> Metric {
    row(name, Kind::Counter, Unit::One, help, Read::Value(read))
}

const fn gauge(name: &'static CStr, help: &'static CStr, read: fn(&mut Look<'_>) -> u64) -> Metric {
    row(name, Kind::Gauge, Unit::One, help, Read::Value(read))
}

const fn bytes(name: &'static CStr, help: &'static CStr, read: fn(&mut Look<'_>) -> u64) -> Metric {
    row(name, Kind::Gauge, Unit::Bytes, help, Read::Value(read))
}

const fn ns(name: &'static CStr, help: &'static CStr, read: fn(&mut Look<'_>) -> u64) -> Metric {
    row(name, Kind::Gauge, Unit::Ns, help, Read::Value(read))
}

const fn durations(name: &'static CStr, help: &'static CStr, read: Histograms) -> Metric {
    row(name, Kind::Histogram, Unit::Ns, help, Read::Durations(read))
}

const GS: &CStr = c"Goroutines alive, by what they do.";
const THREADS: &CStr = c"Worker threads, and threads of the host that are known.";
const STOPS: &CStr = c"Stops of the world: until all had stopped, and until the world ran again.";

/// The table. `docs/metrics.md` has it too, and a test compares them.
pub const METRICS: &[Metric] = &[
    ns(c"gomax_uptime_seconds", c"Time since the runtime started.", |l| at_least_0(now() - l.sched.started.get())),
    gauge(c"gomax_procs", c"Ps: how many goroutines run at a time.", |l| u64::from(l.sched.procs())),
    gauge(c"gomax_procs_idle", c"Ps that nothing uses.", |l| u64::from(l.sched.npidle.load(Ordering::Relaxed))),
    gauge(c"gomax_goroutines{state=\"running\"}", GS, |l| at_least_0(l.gs().running)),
    gauge(c"gomax_goroutines{state=\"runnable\"}", GS, |l| at_least_0(l.gs().runnable)),
    gauge(c"gomax_goroutines{state=\"waiting\"}", GS, |l| at_least_0(l.gs().waiting)),
    gauge(c"gomax_goroutines{state=\"syscall\"}", GS, |l| at_least_0(l.gs().syscall)),
    counter(
        c"gomax_goroutines_created_total",
        c"Goroutines ever started, with callbacks on threads of the host.",
        |l| l.sched.stats.spawned.load(Ordering::Relaxed) + l.ps().spawned,
    ),
    counter(c"gomax_goroutines_ended_total", c"Goroutines ever ended.", |l| {
        l.sched.stats.ended.load(Ordering::Relaxed) + l.ps().ended
    }),
    gauge(c"gomax_runq_length{queue=\"global\"}", c"Goroutines in run queues.", |l| u64::from(l.sched.globq_len())),
    gauge(c"gomax_runq_length{queue=\"local\"}", c"Goroutines in run queues.", |l| l.ps().queued),
    counter(c"gomax_switches_total", c"Times that a goroutine was entered.", |l| l.ps().switches),
    counter(c"gomax_parks_total", c"Times that a goroutine parked.", |l| l.ps().parks),
    counter(c"gomax_syscalls_total", c"Times that a goroutine entered a syscall.", |l| l.ps().syscalls),
    counter(c"gomax_steals_total", c"Times that a P took work from another.", |l| l.ps().steals),
    counter(c"gomax_handoffs_total", c"Ps handed on.", |l| get(&l.sched.stats.handoffs)),
    counter(c"gomax_retakes_total", c"Ps taken from syscalls that lasted.", |l| get(&l.sched.stats.retakes)),
    counter(c"gomax_preempts_total", c"Slices that were asked to end.", |l| get(&l.sched.stats.preempts)),
    counter(c"gomax_wakes_total", c"Idle threads woken through the system.", |l| get(&l.sched.stats.wakes)),
    counter(c"gomax_taken_total", c"Ps taken from code that calls nothing.", |l| get(&l.sched.stats.taken)),
    counter(c"gomax_seized_total", c"Threads held at the end of a slice.", |l| get(&l.sched.stats.seized)),
    counter(c"gomax_nudges_total", c"Timers armed to hold a thread.", |l| get(&l.sched.stats.nudges)),
    counter(c"gomax_bailed_total", c"Held threads that went on without a P.", |l| get(&l.sched.stats.bailed)),
    gauge(c"gomax_threads{kind=\"worker\"}", THREADS, |l| at_least_0(l.threads().0.into())),
    gauge(c"gomax_threads{kind=\"extra\"}", THREADS, |l| at_least_0(dump::live_extra(l.sched).into())),
    gauge(c"gomax_threads_idle", c"Worker threads that sleep because there is no work.", |l| {
        at_least_0(l.threads().1.into())
    }),
    gauge(c"gomax_threads_spinning", c"Worker threads that look for work.", |l| {
        u64::from(l.sched.nmspinning.load(Ordering::Relaxed))
    }),
    gauge(c"gomax_threads_held", c"Threads that are held.", |l| u64::from(l.sched.nhogs())),
    bytes(c"gomax_stack_reserved_bytes", c"Address space set aside for stacks.", |l| {
        l.stacks().pool.reserved_bytes as u64
    }),
    bytes(c"gomax_stack_bytes{state=\"inuse\"}", c"Address space of stacks, in use and kept.", |l| {
        let each = l.sched.cfg.stack_size.get() as u64;
        let stacks = l.stacks();
        (stacks.pool.inuse_bytes as u64).saturating_sub(stacks.kept * each)
    }),
    bytes(c"gomax_stack_bytes{state=\"cached\"}", c"Address space of stacks, in use and kept.", |l| {
        let each = l.sched.cfg.stack_size.get() as u64;
        let stacks = l.stacks();
        stacks.pool.cached_bytes as u64 + stacks.kept * each
    }),
    gauge(c"gomax_stacks{state=\"inuse\"}", c"Stacks, in use and kept.", |l| {
        let stacks = l.stacks();
        (stacks.pool.inuse as u64).saturating_sub(stacks.kept)
    }),
    gauge(c"gomax_stacks{state=\"cached\"}", c"Stacks, in use and kept.", |l| {
        let stacks = l.stacks();
        stacks.pool.cached as u64 + stacks.kept
    }),
    gauge(c"gomax_stacks_warm", c"Kept stacks that still have memory.", |l| {
        let stacks = l.stacks();
        stacks.pool.warm as u64 + stacks.kept
    }),
    counter(c"gomax_stacks_released_total", c"Times that the memory of a cached stack went back to the system.", |l| {
        l.stacks().pool.released
    }),
    gauge(c"gomax_stacks_unguarded", c"Stacks without a guard, because there was none left.", |l| {
        l.stacks().pool.unguarded as u64
    }),
    gauge(c"gomax_descriptors", c"Handles of descriptors.", |l| at_least_0(fd::count(l.sched))),
    gauge(c"gomax_io_waiting", c"Goroutines and threads that wait for a descriptor.", |l| {
        u64::from(l.sched.net.waiters.load(Ordering::Relaxed))
    }),
    counter(c"gomax_io_readied_total", c"Goroutines readied by a descriptor.", |l| get(&l.sched.net.readied)),
    counter(c"gomax_polls_total", c"Looks at what descriptors are ready.", |l| get(&l.sched.net.polled)),
    counter(c"gomax_poll_breaks_total", c"Waits for descriptors that were ended for another reason.", |l| {
        l.sched.net.poll.kicks()
    }),
    counter(c"gomax_stops_total", c"Stops of the world.", |l| l.sched.stats.stops.get()),
    ns(c"gomax_stop_max_seconds", c"The longest time until the world stopped.", |l| l.sched.stats.stop_ns_max.get()),
    counter(c"gomax_barriers_total", c"Calls of gmx_for_each_p.", |l| l.sched.stats.barriers.get()),
    durations(c"gomax_stw_seconds{phase=\"stopping\"}", STOPS, |sched, each| each(&sched.stats.stopping)),
    durations(c"gomax_stw_seconds{phase=\"total\"}", STOPS, |sched, each| each(&sched.stats.stopped)),
    durations(c"gomax_barrier_seconds", c"Calls of gmx_for_each_p, from their turn to their end.", |sched, each| {
        each(&sched.stats.barrier);
    }),
    durations(c"gomax_timer_lateness_seconds", c"How late timers, sleeps and deadlines were.", |sched, each| {
        sched.every_p().for_each(|p| each(p.timers.late));
    }),
    durations(
        c"gomax_sched_latency_seconds",
        c"How long goroutines that could run waited until they did.",
        |sched, each| sched.every_p().for_each(|p| each(p.latency)),
    ),
    durations(
        c"gomax_slice_seconds",
        c"How long goroutines ran in one piece, as the watchdog saw it.",
        |sched, each| each(&sched.stats.turns),
    ),
];

fn at_least_0(n: i64) -> u64 {
    n.max(0) as u64
}

fn get(n: &AtomicU64) -> u64 {
    n.load(Ordering::Relaxed)
}

/// The row of a name.
pub fn find(name: &CStr) -> Option<&'static Metric> {
    METRICS.iter().find(|m| m.name == name)
}

/// Sums over the Ps.
#[derive(Clone, Copy, Default)]
struct OfPs {
    spawned: u64,
    ended: u64,
    queued: u64,
    switches: u64,
    parks: u64,
    syscalls: u64,
    steals: u64,
}

#[derive(Clone, Copy)]
struct Stacks {
    pool: PoolStats,
    /// In the caches of the Ps.
    kept: u64,
}

/// One look: what several rows need is computed once.
pub struct Look<'a> {
    sched: &'a Sched,
    ps: Option<OfPs>,
    gs: Option<GCounts>,
    threads: Option<(i32, i32)>,
    stacks: Option<Stacks>,
}

impl Look<'_> {
    pub fn new(sched: &Sched) -> Look<'_> {
        Look { sched, ps: None, gs: None, threads: None, stacks: None }
    }

    /// The value of a counter or a gauge; of a histogram None.
    pub fn value(&mut self, metric: &Metric) -> Option<u64> {
        match metric.read {
            Read::Value(f) => Some(f(self)),
            Read::Durations(_) => None,
        }
    }

    /// The durations of a histogram: how many, and their sum. With `counts` they are written there, by their size.
    /// Otherwise none.
    pub fn durations(&self, metric: &Metric, counts: Option<&mut Counts>) -> (u64, u64) {
        let Read::Durations(each) = metric.read else { return (0, 0) };
        let (mut n, mut sum) = (0, 0);
        match counts {
            Some(counts) => {
                counts.fill(0);
                each(self.sched, &mut |h| sum += h.add_to(counts));
                n = counts.iter().sum();
            }
            None => each(self.sched, &mut |h| {
                let (more, ns) = h.count();
                (n, sum) = (n + more, sum + ns);
            }),
        }
        (n, sum)
    }

    fn ps(&mut self) -> OfPs {
        *self.ps.get_or_insert_with(|| {
            let mut all = OfPs::default();
            for p in self.sched.every_p() {
                let s = &p.stats;
                all.spawned += s.spawned.get();
                all.ended += s.ended.get();
                all.queued += p.runq_len() as u64;
                all.switches += s.switches.get();
                all.parks += s.parks.get();
                all.syscalls += s.syscalls.get();
                all.steals += s.steals.get();
            }
            all
        })
    }

    fn gs(&mut self) -> &GCounts {
        self.gs.get_or_insert_with(|| dump::g_counts(self.sched))
    }

    /// Workers, and those that are idle.
    fn threads(&mut self) -> (i32, i32) {
        *self.threads.get_or_insert_with(|| dump::threads(self.sched))
    }

    fn stacks(&mut self) -> Stacks {
        *self.stacks.get_or_insert_with(|| Stacks {
            pool: self.sched.stacks.stats(),
            kept: dump::stacks_in_ps(self.sched) as u64,
        })
    }
}

// ---- OpenMetrics ----------------------------------------------------------------------------------------------------

/// All metrics as OpenMetrics text. None if there is no memory.
pub fn text(sched: &Sched) -> Option<Text> {
    let mut out = Text::new();
    let mut look = Look::new(sched);
    // Not on the stack, which may be a small one.
    let mut counts = Array::of(BUCKETS, |_| 0)?;
    let counts: &mut Counts = (&mut *counts).try_into().ok()?;
    let mut last = "";
    for metric in METRICS {
        let name = Name::of(metric);
        if name.family != last {
            last = name.family;
            head(&mut out, last, metric).ok()?;
        }
        match look.value(metric) {
            Some(n) => sample(&mut out, metric, n).ok()?,
            None => {
                let (_, sum) = look.durations(metric, Some(counts));
                histogram(&mut out, &name, counts, sum).ok()?;
            }
        }
    }
    out.write_str("# EOF\n").ok()?;
    Some(out)
}

/// A name, taken apart.
struct Name {
    family: &'static str,
    /// As in `state="running"`; "" if it has none.
    labels: &'static str,
}

impl Name {
    fn of(metric: &Metric) -> Name {
        let name = words(metric.name);
        let (base, labels) = name.split_once('{').unwrap_or((name, ""));
        Name { family: base.strip_suffix("_total").unwrap_or(base), labels: labels.trim_end_matches('}') }
    }
}

fn words(text: &'static CStr) -> &'static str {
    text.to_str().unwrap_or("")
}

fn head(out: &mut Text, family: &str, metric: &Metric) -> fmt::Result {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    writeln!(out, "# TYPE {family} {kind}")?;
    match metric.unit {
        Unit::One => {}
        Unit::Ns => writeln!(out, "# UNIT {family} seconds")?,
        Unit::Bytes => writeln!(out, "# UNIT {family} bytes")?,
    }
    writeln!(out, "# HELP {family} {}", words(metric.help))
}

fn sample(out: &mut Text, metric: &Metric, n: u64) -> fmt::Result {
    let name = words(metric.name);
    match metric.unit {
        Unit::Ns => writeln!(out, "{name} {}", Seconds(n)),
        _ => writeln!(out, "{name} {n}"),
    }
}

/// With a bucket for each power of two: the others would make the text four times as long.
fn histogram(out: &mut Text, name: &Name, counts: &Counts, sum: u64) -> fmt::Result {
    let Name { family, labels } = name;
    let comma = if labels.is_empty() { "" } else { "," };
    for (bound, n) in histogram::at_powers(counts) {
        writeln!(out, "{family}_bucket{{{labels}{comma}le=\"{}\"}} {n}", Seconds(bound))?;
    }
    let count: u64 = counts.iter().sum();
    writeln!(out, "{family}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
    let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
    writeln!(out, "{family}_count{open}{labels}{close} {count}")?;
    writeln!(out, "{family}_sum{open}{labels}{close} {}", Seconds(sum))
}

/// A number of ns as seconds, with a decimal point and no zeros behind the last other digit but one.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, mut rest, mut digits) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000, 9);
        while digits > 1 && rest % 10 == 0 {
            rest /= 10;
            digits -= 1;
        }
        write!(f, "{seconds}.{rest:0digits$}")
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_different_and_families_stand_together() {
        let names: HashSet<_> = METRICS.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), METRICS.len());
        let (mut seen, mut last): (HashSet<&str>, Option<&Metric>) = (HashSet::new(), None);
        for metric in METRICS {
            let family = Name::of(metric).family;
            match last.filter(|last| Name::of(last).family == family) {
                Some(last) => assert!(
                    last.kind == metric.kind && last.unit == metric.unit && last.help == metric.help,
                    "{family} has two heads"
                ),
                None => assert!(seen.insert(family), "{family} is in two places"),
            }
            last = Some(metric);
        }
    }

    /// The rules of OpenMetrics for names.
    #[test]
    fn names_say_what_they_are() {
        for metric in METRICS {
            let (name, Name { family, labels }) = (words(metric.name), Name::of(metric));
            assert!(family.starts_with("gomax_"), "{name}");
            assert!(family.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.contains("_total"), "{name}");
            assert_eq!(metric.unit == Unit::Ns, family.ends_with("_seconds"), "{name}");
            assert_eq!(metric.unit == Unit::Bytes, family.ends_with("_bytes"), "{name}");
            assert!(labels.is_empty() || labels.ends_with('"') && labels.matches('=').count() == 1, "{name}");
            assert!(words(metric.help).ends_with('.') && !words(metric.help).contains(['\\', '\n']), "{name}");
            assert!(find(metric.name).is_some_and(|found| found.name == metric.name), "{name}");
        }
        assert!(find(c"gomax_none").is_none());
    }

    #[test]
    fn seconds_are_exact() {
        for (ns, text) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (128, "0.000000128"),
            (1 << 30, "1.073741824"),
            (1_000_000_000, "1.0"),
            (90_500_000_000, "90.5"),
        ] {
            assert_eq!(Seconds(ns).to_string(), text);
        }
    }

    /// docs/metrics.md has a row for each name, in the order of the table.
    #[test]
    fn the_page_has_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let page = std::fs::read_to_string(path).unwrap();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `gomax_")).collect();
        let kind = |kind| match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let wanted = METRICS.iter().map(|m| {
            let unit = words(m.unit.text());
            format!("| `{}` | {} | {unit} | {} |", words(m.name), kind(m.kind), words(m.help)).replace("|  |", "| |")
        });
        let wanted: Vec<String> = wanted.collect();
        if std::env::var("GMX_BLESS").is_ok() {
            let begin = page.find("| `gomax_").unwrap_or(page.len());
            let end = page.rfind("| `gomax_").map_or(page.len(), |at| at + page[at..].find('\n').unwrap() + 1);
            std::fs::write(path, page[..begin].to_string() + &wanted.join("\n") + "\n" + &page[end..]).unwrap();
            return;
        }
        assert_eq!(rows, wanted, "GMX_BLESS=1 writes the table");
    }
}
