//! What takes longer than a look: the stacks of all goroutines, and traces. Two threads do it, one for each, so that
//! stacks come while a trace is made. A thread takes one job at a time, and there is no queue: a client is
//! told to come again.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gomax_inside::begin::begin;
use gomax_inside::go::Failure;
use gomax_inside::input::Trace;
use gomax_inside::symbols::Symbols;
use gomax_inside::{chrome, go, perfetto};

use crate::answers::text_of;
use crate::http::{Answer, TEXT};
use crate::server::Shared;
use crate::table;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Go,
    Go26,
    Perfetto,
    Json,
    Gomax,
}

impl Format {
    pub fn of(name: &str) -> Option<Format> {
        Some(match name {
            "go" => Format::Go,
            "go1.26" => Format::Go26,
            "perfetto" => Format::Perfetto,
            "json" => Format::Json,
            "gomax" => Format::Gomax,
            _ => return None,
        })
    }

    fn file(self) -> &'static str {
        match self {
            Format::Go | Format::Go26 => "gomax.trace",
            Format::Perfetto => "gomax.pftrace",
            Format::Json => "gomax.json",
            Format::Gomax => "gomax.gmxtrace",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// With the flags of [`Library::dump_goroutines`](table::Library::dump_goroutines).
    Stacks(u32),
    Trace {
        seconds: u64,
        ring_bytes: usize,
        format: Format,
    },
    Flight {
        format: Format,
    },
}

/// A place for one job, and the thread that does it.
#[derive(Default)]
pub struct Desk {
    state: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    /// The job and the connection that asked for it, until the thread has answered.
    job: Option<(Job, u64)>,
    closed: bool,
}

pub fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// False: it has one.
    pub fn give(&self, job: Job, connection: u64) -> bool {
        let mut work = lock(&self.state);
        if work.job.is_some() {
            return false;
        }
        work.job = Some((job, connection));
        self.changed.notify_all();
        true
    }

    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// Waits so long. False: the server has ended.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut work = lock(&self.state);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if work.closed || left.is_zero() {
                return !work.closed;
            }
            work = self.changed.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The thread.
    pub fn serve(&self, shared: &Shared) {
        loop {
            let mut work = lock(&self.state);
            let (job, connection) = loop {
                if work.closed {
                    return;
                }
                match work.job {
                    Some(job) => break job,
                    None => work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(work);
            let answer = catch_unwind(AssertUnwindSafe(|| self.done(job)));
            let answer = answer.unwrap_or_else(|_| Answer::failed(500, "a fault of the page"));
            // Free before the client knows: it may ask at once for the next.
            let mut work = lock(&self.state);
            work.job = None;
            if work.closed {
                // The end may have cut it short.
                return;
            }
            drop(work);
            shared.answer(connection, answer);
        }
    }

    fn done(&self, job: Job) -> Answer {
        let answer = match job {
            Job::Stacks(flags) => stacks(flags),
            Job::Trace { seconds, ring_bytes, format } => self.trace(seconds, ring_bytes, format),
            Job::Flight { format } => flight(None, format),
        };
        answer.unwrap_or_else(|answer| answer)
    }

    fn trace(&self, seconds: u64, ring_bytes: usize, format: Format) -> Result<Answer, Answer> {
        let library = crate::library().ok_or_else(|| Answer::failed(503, "no library"))?;
        let time = Duration::from_secs(seconds);
        match (library.trace_start)(ring_bytes) {
            0 => {}
            // The program records by itself: this is about the last of it.
            e if e == -libc::EBUSY => {
                self.wait(time);
                return flight(Some(time), format);
            }
            e => return Err(failed(e)),
        }
        self.wait(time);
        let file = memory()?;
        match (library.trace_stop)(file.as_raw_fd()) {
            0 => converted(file, None, format),
            e => Err(failed(e)),
        }
    }
}

fn failed(status: i32) -> Answer {
    match -status {
        libc::EPERM => {
            Answer::failed(409, "nothing is recorded: gmx_trace_start, GMXDEBUG=trace=FILE, or /debug/pprof/trace")
        }
        libc::ENOTSUP => Answer::failed(501, "this libgomax cannot do it"),
        libc::ENOMEM => Answer::failed(503, "out of memory"),
        errno => Answer::failed(503, &format!("errno {errno}")),
    }
}

fn stacks(flags: u32) -> Result<Answer, Answer> {
    let library = crate::library().ok_or_else(|| Answer::failed(503, "no library"))?;
    let text = text_of(|write, arg| (library.dump_goroutines)(write, arg, flags)).map_err(failed)?;
    Ok(Answer::new(if flags & table::JSON != 0 { "application/json" } else { TEXT }, text))
}

/// What the rings hold, or the last of it.
fn flight(last: Option<Duration>, format: Format) -> Result<Answer, Answer> {
    let library = crate::library().ok_or_else(|| Answer::failed(503, "no library"))?;
    let file = memory()?;
    match (library.trace_snapshot)(file.as_raw_fd()) {
        0 => converted(file, last, format),
        e => Err(failed(e)),
    }
}

/// A file in memory.
fn memory() -> Result<OwnedFd, Answer> {
    // SAFETY: a terminated name.
    let fd = unsafe { libc::memfd_create(c"gomax-trace".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(failed(-crate::address::last_errno()));
    }
    // SAFETY: just made, and not closed elsewhere.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    crate::address::apart(fd).map_err(|errno| failed(-errno))
}

fn converted(file: OwnedFd, last: Option<Duration>, format: Format) -> Result<Answer, Answer> {
    let mut bytes = Vec::new();
    let mut file = File::from(file);
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(|e| Answer::failed(503, &e.to_string()))?;
    drop(file);
    let body = match format {
        Format::Gomax => bytes,
        format => convert(bytes, last, format)?,
    };
    let mut answer = Answer::new("application/octet-stream", body);
    answer.head = format!("Content-Disposition: attachment; filename=\"{}\"\r\n", format.file());
    Ok(answer)
}

fn convert(bytes: Vec<u8>, last: Option<Duration>, format: Format) -> Result<Vec<u8>, Answer> {
    let trace = Trace::parse(bytes).map_err(|why| Answer::failed(503, &why))?;
    let begin = begin(&trace, last.map(|last| last.as_nanos() as u64));
    let mut symbols = Symbols::new(&trace.maps);
    let mut out = Vec::new();
    let done = match format {
        Format::Go26 => go::write(&trace, begin, 26, &mut symbols, &mut out).err(),
        Format::Perfetto => perfetto::write(&trace, begin, &mut symbols, &mut out).err(),
        Format::Json => chrome::write(&trace, begin, &mut symbols, &mut out).err(),
        Format::Go | Format::Gomax => go::write(&trace, begin, 23, &mut symbols, &mut out).err(),
    };
    match done {
        None => Ok(out),
        Some(Failure::Io(e)) => Err(Answer::failed(503, &e.to_string())),
        Some(Failure::Refused(refusals)) => {
            let why: Vec<String> = refusals.iter().take(8).map(ToString::to_string).collect();
            Err(Answer::failed(500, &format!("the records have no order; format=gomax has them\n{}", why.join("\n"))))
        }
    }
}
