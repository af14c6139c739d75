//! The state of the runtime as text: schedtrace lines, the dump, the counts.

use super::report::{self, Text, status_text};
use crate::block::spawn;
use crate::gmp::g::{GStatus, gflag};
use crate::gmp::m::{Kind, MRef};
use crate::gmp::p::{P, PStats};
use crate::gmp::sched::Sched;
use crate::sched::world;
use crate::sync::own::OwnU64;
use crate::sync::{Ordering, now};
use crate::sys;
use std::fmt::{self, Write};

/// Go's line for `schedtrace`, and with `scheddetail` one for each P, M and G.
pub fn schedtrace(sched: &Sched, now: i64) {
    let mut out = Text::new();
    let _ = schedtrace_text(sched, now, &mut out);
    sys::stderr::say(out.as_bytes());
}

fn schedtrace_text(sched: &Sched, now: i64, out: &mut Text) -> fmt::Result {
    let (threads, idle_threads, stopping) = {
        let lk = sched.lock.lock();
        (lk.nm, lk.nmidle, lk.stopping)
    };
    let extra = live_extra(sched);
    write!(
        out,
        "SCHED {}ms: gomaxprocs={} idleprocs={} threads={} spinningthreads={} needspinning=0 idlethreads={} runqueue={}",
        (now - sched.started.get()) / 1_000_000,
        sched.procs(),
        sched.npidle.load(Ordering::Relaxed),
        threads + extra + 2,
        sched.nmspinning.load(Ordering::Relaxed),
        idle_threads,
        sched.globq_len(),
    )?;
    if !sched.scheddetail.get() {
        out.write_str(" [")?;
        for p in sched.live_ps() {
            write!(out, " {}", p.runq_len())?;
        }
        return writeln!(out, " ]");
    }
    writeln!(out, " stopwait={}", i32::from(stopping))?;
    places(sched, out)?;
    for gp in report::live_gs(sched) {
        // The world runs: a reason of the host's may be gone by now, so only the library's own are shown.
        let reason = report::own_reason(gp);
        write!(out, "  G{}: status={}({})", gp.goid.get(), gp.status() as u8, reason.unwrap_or(""))?;
        writeln!(out, " m={} lockedm={}", m_id(gp.m.get()), m_id(gp.lockedm.get()))?;
    }
    Ok(())
}

/// A number, or Go's `nil` if there is none.
struct Id(Option<u64>);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(n) => write!(f, "{n}"),
            None => f.write_str("nil"),
        }
    }
}

fn m_id(m: *mut crate::gmp::M) -> Id {
    // SAFETY: null or an M.
    Id(unsafe { MRef::from_ptr(m) }.map(|m| u64::from(m.id)))
}

fn places(sched: &Sched, out: &mut Text) -> fmt::Result {
    for p in sched.live_ps() {
        writeln!(
            out,
            "  P{}: status={}({}) schedtick={} syscalltick={} m={} runqsize={} gfreecnt={} timerslen={}",
            p.id,
            p.seen_status() as u8,
            status_text(p.seen_status()),
            p.schedtick.get(),
            p.stats.syscalls.get(),
            m_id(p.m()),
            p.runq_len(),
            p.gfree_len.get(),
            p.timers.count(),
        )?;
    }
    for m in sched.every_m().filter(|m| m.alive.get()) {
        let g = |gp: Option<crate::gmp::GRef>| Id(gp.map(|gp| gp.goid.get()));
        let p = Id(sched.live_ps().find(|p| p.m() == m.as_ptr()).map(|p| u64::from(p.id)));
        writeln!(
            out,
            "  M{}: p={p} curg={} tid={} spinning={} blocked={} lockedg={}{}{}",
            m.id,
            g(m.g()),
            m.tid.get(),
            m.spinning.get(),
            m.parked.get(),
            g(m.lockedg()),
            if m.kind == Kind::Extra { " extra" } else { "" },
            match (m.held.get(), m.out.get()) {
                (true, _) => " held",
                (_, true) => " without-p",
                _ => "",
            },
        )?;
    }
    Ok(())
}

/// The text of a heap dump, taken in a stopped world.
///
/// # Migrates
pub fn heap_dump(m: MRef) -> crate::gmp::Result<Text> {
    world::with_stopped_world(m, |sched, _| {
        let mut out = Text::new();
        let _ = heap_dump_text(sched, &mut out);
        out
    })
}

fn heap_dump_text(sched: &Sched, out: &mut Text) -> fmt::Result {
    let now = now();
    writeln!(out, "gomax dump 1")?;
    writeln!(
        out,
        "sched: uptime_ms={} gomaxprocs={} goroutines={} runqueue={}",
        (now - sched.started.get()) / 1_000_000,
        sched.procs(),
        sched.num_g(),
        sched.globq_len(),
    )?;
    places(sched, out)?;
    for gp in report::live_gs(sched) {
        report::g_line(out, sched, gp)?;
        // SAFETY: the world is stopped.
        if let Some(s) = unsafe { gp.stack() } {
            let (f, arg) = spawn::call_of(gp);
            // No names: only the loader knows them, and it must not be asked while the world is stopped.
            if !report::shows_addresses() {
                let (f, arg) = (report::Place(f as u64), report::Place(arg as u64));
                writeln!(out, "  stack={} entry={f} arg={arg}", s.hi as usize - s.lo() as usize)?;
                continue;
            }
            writeln!(
                out,
                "  stack=[{:#x},{:#x}) sp={:#x} entry={:#x} arg={:#x}",
                s.lo() as usize,
                s.hi as usize,
                gp.sp.get() as usize,
                f as usize,
                arg as usize,
            )?;
        }
    }
    writeln!(out, "end")
}

/// The number of workers, and of those that sleep because there is no work.
pub fn threads(sched: &Sched) -> (i32, i32) {
    let lk = sched.lock.lock();
    (lk.nm, lk.nmidle + i32::from(!sched.timer_waiter.load(Ordering::Relaxed).is_null()))
}

/// The number of threads of the host that have an M.
pub fn live_extra(sched: &Sched) -> i32 {
    sched.every_m().filter(|m| m.kind == Kind::Extra && m.alive.get()).count() as i32
}

/// The number of Gs by status, by a walk over all: exact in a stopped world, otherwise an approximation.
#[derive(Default)]
pub struct GCounts {
    pub running: i64,
    pub runnable: i64,
    pub waiting: i64,
    pub syscall: i64,
}

pub fn g_counts(sched: &Sched) -> GCounts {
    let mut c = GCounts::default();
    for gp in sched.every_g() {
        match gp.status() {
            GStatus::Running => c.running += 1,
            GStatus::Runnable => c.runnable += 1,
            status if status.waits() && !gp.has(gflag::THREAD_WAIT) => c.waiting += 1,
            GStatus::Syscall if !gp.has(gflag::FOREIGN) => c.syscall += 1,
            _ => {}
        }
    }
    c
}

/// A count summed over the Ps.
pub fn sum(sched: &Sched, of: impl Fn(&PStats) -> &OwnU64) -> u64 {
    sched.every_p().map(|p| of(&p.stats).get()).fold(0, u64::wrapping_add)
}

/// The number of stacks in the caches of the Ps; in a stopped world.
pub fn stacks_in_ps(sched: &Sched) -> usize {
    sched.every_p().map(|p| P::stacks_kept(&p)).sum()
}
