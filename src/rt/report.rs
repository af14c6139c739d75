//! What the library says on its own: deadlocks, stops that timed out, broken invariants.

use super::config;
use crate::fiber::overflow::Line;
use crate::gmp::g::{GRef, GStatus, gflag};
use crate::gmp::p::{PRef, PStatus};
use crate::gmp::sched::Sched;
use crate::sync::now;
use crate::sys;
use std::fmt::{self, Write};

/// A text that grows while there is memory, and says when it stopped.
#[derive(Default)]
pub struct Text {
    bytes: Vec<u8>,
    full: bool,
}

impl Text {
    pub fn new() -> Text {
        Text::default()
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Whether everything found room.
    pub fn whole(&self) -> bool {
        !self.full
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.full || self.bytes.try_reserve(s.len()).is_err() {
            self.full = true;
            return Err(fmt::Error);
        }
        self.bytes.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

pub use crate::ds::escape::Escaped as Words;

/// To the host's function, or to stderr. Waits for neither a reader nor a lock of the library.
pub fn emit(bytes: &[u8]) {
    match config::report_to() {
        Some((f, arg)) => sys::call::report(f, arg, bytes),
        None => sys::stderr::say(bytes),
    }
}

pub fn tell(_: &Sched, text: &str) {
    emit(text.as_bytes());
}

/// A broken invariant: what is known, then the end. Nothing here waits for a lock or allocates.
pub fn fatal(sched: &Sched, what: &str) -> ! {
    let mut line = Line::new();
    line.text("libgomax: fatal error: ").text(what).text("\n");
    emit(line.as_bytes());
    for p in sched.live_ps() {
        let mut line = Line::new();
        line.text("  P").dec(u64::from(p.id)).text(": ").text(status_text(p.seen_status()));
        line.text(" queued=").dec(p.runq_len() as u64).text("\n");
        emit(line.as_bytes());
    }
    std::process::abort()
}

pub fn status_text(s: PStatus) -> &'static str {
    match s {
        PStatus::Idle => "idle",
        PStatus::Running => "running",
        PStatus::Syscall => "syscall",
        PStatus::Stopped => "stopped",
        PStatus::Dead => "dead",
    }
}

/// `goroutine 7 "name"`.
fn g_name(out: &mut Text, gp: GRef) -> fmt::Result {
    write!(out, "goroutine {}", gp.goid.get())?;
    let name = gp.name();
    if !name.bytes().is_empty() {
        write!(out, " \"{}\"", Words(name.bytes()))?;
    }
    Ok(())
}

/// One line about a G that stands still: `goroutine 7 "name" [semacquire, 1500ms]`.
pub fn g_line(out: &mut Text, gp: GRef) -> fmt::Result {
    g_name(out, gp)?;
    let status = gp.status();
    if matches!(status, GStatus::Waiting | GStatus::Parked) {
        let ms = (now() - gp.wait_since.get()).max(0) / 1_000_000;
        // SAFETY: it waits and goes on waiting meanwhile; reasons are NUL-terminated and outlive the wait.
        let reason = match gp.wait_reason.get() {
            p if p.is_null() => c"",
            p => unsafe { std::ffi::CStr::from_ptr(p) },
        };
        write!(out, " [{}, {ms}ms]", Words(reason.to_bytes()))?;
    } else {
        write!(out, " [{}]", status.text())?;
    }
    if !gp.lockedm.is_null() {
        out.write_str(if gp.has(gflag::FOREIGN) { " (thread of the host)" } else { " (locked to its thread)" })?;
    }
    writeln!(out)
}

/// Gs that live.
pub fn live_gs(sched: &Sched) -> impl Iterator<Item = GRef> + '_ {
    sched.every_g().filter(|gp| match gp.status() {
        GStatus::Idle | GStatus::Dead => false,
        // A thread of the host outside of any call.
        GStatus::Syscall => !gp.has(gflag::FOREIGN),
        _ => !gp.has(gflag::ZOMBIE),
    })
}

/// Most Gs that a report on a deadlock names.
const MOST: usize = 100;

pub fn deadlock(sched: &Sched) {
    let mut out = Text::new();
    let _ = out.write_str("libgomax: all goroutines are asleep: deadlock\n");
    let mut n = 0;
    for gp in live_gs(sched) {
        n += 1;
        if n <= MOST {
            let _ = g_line(&mut out, gp);
        }
    }
    if n > MOST {
        let _ = writeln!(out, "... and {} more", n - MOST);
    }
    emit(out.as_bytes());
}

/// A stop of the world that ran out of time: whose Ps did not come.
pub fn stop_timed_out(reason: &[u8], late: impl Iterator<Item = PRef>, n: usize) {
    let mut out = Text::new();
    let _ = writeln!(out, "libgomax: stop-the-world ({}) timed out: {n} Ps did not reach a safe point", Words(reason));
    for p in late {
        let _ = late_line(&mut out, p);
    }
    emit(out.as_bytes());
}

/// One line about a P that did not stop.
fn late_line(out: &mut Text, p: PRef) -> fmt::Result {
    write!(out, "  P{}: ", p.id)?;
    // SAFETY: m is null or an M.
    match unsafe { crate::gmp::MRef::from_ptr(p.m()) }.and_then(|m| m.g()) {
        // The world runs again: only what may be read of a G that runs.
        Some(gp) => g_name(out, gp).and_then(|()| writeln!(out, " [running]")),
        None => writeln!(out, "between two goroutines"),
    }
}

/// gomaxprocs does not follow the machine, because a G does not come to a safe point.
pub fn resize_put_off(from: u32, to: i32, tries: u32, late: Option<PRef>) {
    let mut out = Text::new();
    let _ = writeln!(
        out,
        "libgomax: gomaxprocs stays at {from} though the machine offers {to}: {tries} times the world did not stop in 5 ms"
    );
    if let Some(p) = late {
        let _ = late_line(&mut out, p);
    }
    emit(out.as_bytes());
}
