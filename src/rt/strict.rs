//! `GMXDEBUG=strict`: reports of calls that use the interface in a wrong way.
//!
//! A wrong call returns its status, as always. With the setting it is reported first: the function, the status, what
//! its manual says about it, and the goroutine and the thread that called. All statuses of wrong calls come out of
//! `wrong` in src/capi/mod.rs, which is off every fast path, so that the setting costs nothing while it is off.
//!
//! The place of a `wrong` in the sources says which function was called: build.rs has written down in which lines each
//! function of src/capi stands, and what its documentation says.

use super::config::Strict;
use super::report::{self, Text};
use crate::gmp::m::{Ctx, MRef};
use crate::sys;
use std::fmt::{self, Write};
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

static ON: AtomicU8 = AtomicU8::new(0);

/// The functions of src/capi, in the order of their lines. A line of this text is a file, a line of it, the name of the
/// exported function that begins there (empty for any other function), from where it may be called, and the statuses of
/// its documentation.
const FUNCTIONS: &str = include_str!(concat!(env!("OUT_DIR"), "/functions.txt"));

/// The kinds of wrong calls that were reported: for each function of the list a bit for each status.
static TOLD: [AtomicU8; 512] = [const { AtomicU8::new(0) }; 512];
/// A wrong call has aborted the process: other threads report no more.
static ABORTS: AtomicBool = AtomicBool::new(false);

pub fn set(strict: Strict) {
    ON.store(strict as u8, Ordering::Relaxed);
}

pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed) != Strict::Off as u8
}

/// The statuses of wrong calls. Each has a bit in [`TOLD`].
const STATUSES: [&str; 7] =
    ["GMX_EINVAL", "GMX_EPERM", "GMX_EBADF", "GMX_EDEADLK", "GMX_ESTALE", "GMX_ENOTG", "GMX_EINSYSCALL"];

/// A function of the interface.
struct Function {
    index: usize,
    name: &'static str,
    /// The contexts that its documentation allows.
    from: &'static str,
    /// What its documentation says of the statuses of wrong calls, divided by ';'.
    returns: &'static str,
}

impl Function {
    /// The function whose lines contain this place; None if it stands in a function of another kind.
    fn at(file: &str, line: u32) -> Option<Function> {
        let file = file.rsplit('/').next().unwrap_or(file);
        let mut found = None;
        for (index, row) in FUNCTIONS.lines().enumerate() {
            let mut fields = row.split('\t');
            let mut field = || fields.next().unwrap_or_default();
            let (of, begins) = (field(), field().parse().unwrap_or(u32::MAX));
            if of == file && begins <= line {
                found = Some(Function { index, name: field(), from: field(), returns: field() });
            }
        }
        found.filter(|f| !f.name.is_empty())
    }

    /// The words that follow the name of a status in the documentation, such as "if m is NULL".
    fn why(&self, status: &str) -> Option<&'static str> {
        self.returns.split(';').find_map(|words| words.strip_prefix(status)?.strip_prefix(' '))
    }
}

/// Reports a wrong call by the name and the text of its status, and aborts if `GMXDEBUG=strict=2` asks for it.
pub fn wrong(status: &str, text: &str, place: &Location<'static>) {
    let aborts = ON.load(Ordering::Relaxed) == Strict::Abort as u8;
    let function = Function::at(place.file(), place.line());
    if aborts {
        if ABORTS.swap(true, Ordering::Relaxed) {
            // Another thread is about to abort.
            return;
        }
    } else {
        let index = function.as_ref().map_or(TOLD.len() - 1, |f| f.index);
        let bit = 1 << STATUSES.iter().position(|&s| s == status).unwrap_or(STATUSES.len());
        if TOLD[index.min(TOLD.len() - 1)].fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
    }
    let mut out = Text::new();
    let _ = describe(&mut out, status, text, function, place);
    report::emit(out.as_bytes());
    if aborts {
        std::process::abort();
    }
}

fn describe(out: &mut Text, name: &str, text: &str, f: Option<Function>, place: &Location<'static>) -> fmt::Result {
    let Some(f) = f else {
        // tests/errors.rs finds such a place.
        return writeln!(out, "libgomax: wrong call: {name} ({text}) at {place}");
    };
    write!(out, "libgomax: wrong call: {} returns {name} ({text})", f.name)?;
    match f.why(name) {
        Some(why) => write!(out, ": {why}")?,
        None if name == "GMX_ENOTG" || name == "GMX_EINSYSCALL" => write!(out, "; may be called from: {}", f.from)?,
        None => {}
    }
    out.write_str("\n  by ")?;
    match MRef::current().map(|m| (m.ctx(), m.g())) {
        Some((Ctx::G | Ctx::Syscall | Ctx::Stopped, Some(gp))) => report::g_name(out, gp)?,
        Some((Ctx::Sched, _)) => out.write_str("a callback of the scheduler")?,
        _ => out.write_str("a thread that is on no goroutine")?,
    }
    writeln!(out, ", thread {}; see: man 3 {}", sys::gettid(), f.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_every_function() {
        assert!(FUNCTIONS.lines().count() < TOLD.len());
        let mut names: Vec<_> = FUNCTIONS.lines().map(|row| row.split('\t').nth(2).unwrap()).collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert!(names.len() == all && all > 200, "{all}");
    }

    #[test]
    fn a_place_is_found_in_its_function() {
        let rows: Vec<Vec<&str>> = FUNCTIONS.lines().map(|row| row.split('\t').collect()).collect();
        let row = rows.iter().position(|row| row[2] == "gmx_mutex_unlock").unwrap();
        let line = |row: usize| rows[row][1].parse::<u32>().unwrap();
        let f = Function::at("src/capi/mutex.rs", line(row) + 1).unwrap();
        assert_eq!((f.name, f.from), ("gmx_mutex_unlock", "every context"));
        assert_eq!(f.why("GMX_EPERM"), Some("if it is not locked, or locked by another"));
        assert_eq!(f.why("GMX_EINVAL"), Some("if m is NULL or not aligned"));
        assert_eq!(f.why("GMX_ESTALE"), None);
        // The next one is not exported.
        assert!(rows[row + 1][2].is_empty() && Function::at("mutex.rs", line(row + 1)).is_none());
        assert!(Function::at("no_such_file.rs", 1).is_none());
    }
}
