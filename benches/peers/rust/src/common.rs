//! What the cases of ../../../gmxbench.c need, for the peers in Rust: same names, same parameters, same output.
//!
//!     PROGRAM CASE WORKERS N [M]     prints key=value pairs
//!     PROGRAM --list                 the cases it has, and beside each the largest N that it can do (0: any)

use std::time::Instant;

pub struct Args {
    pub case: String,
    pub workers: usize,
    pub n: i64,
    pub m: i64,
}

/// None: the list was asked for and printed.
pub fn args(cases: &[(&str, u64)]) -> Option<Args> {
    let a: Vec<String> = std::env::args().collect();
    if a.get(1).is_some_and(|a| a == "--list") {
        for (name, most) in cases {
            println!("{name} {most}");
        }
        return None;
    }
    let number = |i: usize| a.get(i).and_then(|s| s.parse::<i64>().ok());
    match (a.get(1), number(2), number(3)) {
        (Some(case), Some(workers), Some(n)) if cases.iter().any(|c| c.0 == case) => {
            Some(Args { case: case.clone(), workers: workers as usize, n, m: number(4).unwrap_or(1) })
        }
        _ => {
            eprintln!("usage: {} CASE WORKERS N [M]; {0} --list", a[0]);
            std::process::exit(2)
        }
    }
}

pub fn cpu_ns() -> f64 {
    let mut u = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: it writes the whole struct.
    let u = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, u.as_mut_ptr());
        u.assume_init()
    };
    let ns = |t: libc::timeval| t.tv_sec as f64 * 1e9 + t.tv_usec as f64 * 1e3;
    ns(u.ru_utime) + ns(u.ru_stime)
}

pub fn status_kb(key: &str) -> i64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[derive(Clone, Copy)]
pub struct Begin(Instant, f64);

pub fn start() -> Begin {
    let cpu = cpu_ns();
    Begin(Instant::now(), cpu)
}

impl Begin {
    pub fn ns(self) -> f64 {
        self.0.elapsed().as_nanos() as f64
    }
    pub fn each(self, operations: i64) {
        let (ns, cpu) = (self.ns() / operations as f64, (cpu_ns() - self.1) / operations as f64);
        println!("ns={ns:.2} cpu_ns={cpu:.2} rss_mb={}", status_kb("VmHWM") / 1024);
    }
    pub fn whole(self) {
        let (ms, cpu) = (self.ns() / 1e6, (cpu_ns() - self.1) / 1e6);
        println!("ms={ms:.3} cpu_ms={cpu:.1} rss_mb={} threads={}", status_kb("VmHWM") / 1024, status_kb("Threads"));
    }
    pub fn parked(self, n: i64, rss_before: i64) {
        let (ns, cpu) = (self.ns() / n as f64, (cpu_ns() - self.1) / n as f64);
        println!(
            "ns={ns:.1} cpu_ns={cpu:.1} rss_b={:.0}",
            (status_kb("VmRSS") - rss_before) as f64 * 1024.0 / n as f64
        );
    }
    pub fn late(self, late: &mut [i64]) {
        let (ms, cpu) = (self.ns() / 1e6, (cpu_ns() - self.1) / 1e6);
        late.sort_unstable();
        let us = |i: usize| late[i] as f64 / 1e3;
        let (p50, p99) = (us(late.len() / 2), us(late.len() * 99 / 100));
        println!("ms={ms:.1} cpu_ms={cpu:.1} p50_us={p50:.1} p99_us={p99:.1} rss_mb={}", status_kb("VmHWM") / 1024);
    }
}

/// How long the sleeper with that number sleeps.
pub fn sleep_ms(i: i64) -> u64 {
    1 + (i as u64).wrapping_mul(2654435761) % 1000
}

pub fn check(is: i64, should: i64) {
    if is != should {
        eprintln!("{is} instead of {should}");
        std::process::exit(1);
    }
}

/// Ends the process. The leftovers of a case need not be freed.
pub fn finish() -> ! {
    use std::io::Write;
    let _ = std::io::stdout().flush();
    // SAFETY: nothing is needed any more.
    unsafe { libc::_exit(0) }
}
