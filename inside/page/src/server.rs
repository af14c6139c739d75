//! The thread that reads requests and answers them, and what others may do to it.
//!
//! One thread has all connections. A client that says nothing costs a place among [`CONNECTIONS`]: where there is none
//! left, the connection that has waited longest for a request makes room. Each has [`PATIENCE`] for its request, and
//! again to take its answer.

use std::ffi::{CStr, CString};
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::address::{self, Address, Errno, apart, last_errno, listen, own_uid, peer};
use crate::answers::{self, Reply};
use crate::http::{self, Answer, Rules};
use crate::jobs::{Desk, Job, lock};
use crate::names::Names;
use crate::table::ANYWHERE;

const CONNECTIONS: usize = 128;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long, and how many bytes, a client may say on after its answer. If the socket were closed at once the system
/// would throw away what the client has not read yet.
const LINGER: Duration = Duration::from_secs(2);
const MOST_AFTER: usize = 16 << 20;

/// The descriptors that a child of fork closes: its copies of the connections, and of what listens and wakes.
static OPEN: [AtomicI32; CONNECTIONS + 2] = [const { AtomicI32::new(-1) }; CONNECTIONS + 2];
const LISTENER: usize = CONNECTIONS;
const WAKER: usize = CONNECTIONS + 1;

/// In a child of fork, which has one thread.
pub fn close_copies() {
    for fd in &OPEN {
        let fd = fd.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: this copy has no other owner: what owned it is not reached any more.
            unsafe { libc::close(fd) };
        }
    }
}

/// A descriptor that is listed in [`OPEN`].
struct Listed {
    fd: OwnedFd,
    place: usize,
}

impl Listed {
    fn new(fd: OwnedFd, place: usize) -> Listed {
        OPEN[place].store(fd.as_raw_fd(), Ordering::Relaxed);
        Listed { fd, place }
    }
    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // Before it is closed: a child of fork must not close what has the same number next.
        OPEN[self.place].store(-1, Ordering::Relaxed);
    }
}

/// What the threads have in common.
pub struct Shared {
    closed: AtomicBool,
    waker: Listed,
    answers: Mutex<Vec<(u64, Answer)>>,
    stacks: Desk,
    traces: Desk,
}

impl Shared {
    /// The answer of a job.
    pub fn answer(&self, connection: u64, answer: Answer) {
        lock(&self.answers).push((connection, answer));
        self.wake();
    }

    fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes. It fails only if it is awake already.
        unsafe { libc::write(self.waker.raw(), (&raw const one).cast(), 8) };
    }
}

pub struct Server {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    file: Option<(PathBuf, u64, u64)>,
    process: u32,
}

/// 128 random bits.
///
/// # Errors
/// The system has none.
pub fn random() -> Result<String, Errno> {
    let mut bytes = [0u8; 16];
    // SAFETY: the room is as long as said.
    let n = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if n != bytes.len() as isize {
        return Err(libc::EIO);
    }
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// While this value lives, the calling thread gets no signal, and neither do the threads that it makes.
struct NoSignals(libc::sigset_t);

impl NoSignals {
    fn new() -> NoSignals {
        // SAFETY: zeros are a set.
        let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
        let mut old = all;
        // SAFETY: a set.
        unsafe { libc::sigfillset(&raw mut all) };
        // A fault of this library must still end the process where it is.
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP] {
            // SAFETY: a set.
            unsafe { libc::sigdelset(&raw mut all, signal) };
        }
        // SAFETY: two sets.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old) };
        NoSignals(old)
    }
}

impl Drop for NoSignals {
    fn drop(&mut self) {
        // SAFETY: a set.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

fn spawn(name: &str, stack: usize, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Errno> {
    let made = thread::Builder::new().name(name.into()).stack_size(stack).spawn(f);
    made.map_err(|e| e.raw_os_error().unwrap_or(libc::EAGAIN))
}

impl Server {
    /// The place of the page comes with it.
    pub fn begin(address: &CStr, flags: u32, url_size: usize) -> Result<(Server, CString), Errno> {
        let address = Address::parse(address.to_bytes(), flags)?;
        let listener = listen(&address, flags)?;
        let mut server = None;
        let begun = Server::begin_with(&address, listener, flags, url_size, &mut server);
        // Nothing stays of what has not begun.
        if begun.is_err()
            && let Some(file) = server
        {
            remove(&file);
        }
        begun
    }

    fn begin_with(
        address: &Address,
        listener: address::Listener,
        flags: u32,
        url_size: usize,
        made: &mut Option<(PathBuf, u64, u64)>,
    ) -> Result<(Server, CString), Errno> {
        made.clone_from(&listener.file);
        let token = listener.at.map(|_| random()).transpose()?;
        let url = match (&listener.at, &token, address) {
            (Some(at), Some(token), _) => format!("http://{at}/?token={token}"),
            (.., Address::Unix(path)) => format!("unix:{}", path.to_str().ok_or(libc::EINVAL)?),
            _ => return Err(libc::EINVAL),
        };
        let url = CString::new(url).map_err(|_| libc::EINVAL)?;
        if url.as_bytes_with_nul().len() > url_size {
            return Err(libc::EINVAL);
        }
        // SAFETY: takes numbers.
        let waker = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if waker < 0 {
            return Err(last_errno());
        }
        // SAFETY: just made, and not closed elsewhere.
        let waker = Listed::new(apart(unsafe { OwnedFd::from_raw_fd(waker) })?, WAKER);
        let shared = Arc::new(Shared {
            closed: AtomicBool::new(false),
            waker,
            answers: Mutex::default(),
            stacks: Desk::default(),
            traces: Desk::default(),
        });
        let rules = Rules { token, anywhere: flags & ANYWHERE != 0 };
        let to_accept = Listed::new(listener.fd, LISTENER);
        let _signals = NoSignals::new();
        let close = |e: Errno| {
            shared.stacks.close();
            shared.traces.close();
            e
        };
        let (a, b, c) = (shared.clone(), shared.clone(), shared.clone());
        spawn("gomax-page-gs", 512 << 10, move || a.stacks.serve(&a))?;
        spawn("gomax-page-tr", 2 << 20, move || b.traces.serve(&b)).map_err(close)?;
        let by_file = listener.file.is_some();
        let thread =
            spawn("gomax-page", 512 << 10, move || Loop::new(to_accept, rules, by_file, c).run()).map_err(close)?;
        let server = Server { shared, thread, file: listener.file, process: std::process::id() };
        Ok((server, url))
    }

    /// The threads for jobs end by themselves: a job may wait for the program.
    pub fn end(self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.wake();
        self.shared.stacks.close();
        self.shared.traces.close();
        let file = self.file;
        let _ = self.thread.join();
        if let Some(file) = file {
            remove(&file);
        }
    }

    /// For the end of the process.
    pub fn remove_file(&self) {
        if let Some(file) = &self.file
            && self.process == std::process::id()
        {
            remove(file);
        }
    }
}

/// Removes the file of a socket, if it is still the same.
fn remove((path, device, number): &(PathBuf, u64, u64)) {
    use std::os::unix::fs::MetadataExt;
    if std::fs::symlink_metadata(path).is_ok_and(|m| (m.dev(), m.ino()) == (*device, *number)) {
        let _ = std::fs::remove_file(path);
    }
}

// ---- the thread -----------------------------------------------------------------------------------------------------

enum Stage {
    Reading(Vec<u8>),
    /// A job makes its answer.
    Waiting,
    Writing {
        bytes: Vec<u8>,
        sent: usize,
    },
    /// It has its answer. So many more bytes are read, and thrown away.
    Ending {
        left: usize,
    },
}

struct Connection {
    socket: Listed,
    /// Which job answers which connection.
    id: u64,
    until: Instant,
    stage: Stage,
}

impl Connection {
    fn answer(&mut self, answer: Answer) {
        self.stage = Stage::Writing { bytes: answer.into_bytes(), sent: 0 };
        self.until = Instant::now() + PATIENCE;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Also for the copies that a child of fork may have.
        // SAFETY: takes numbers.
        unsafe { libc::shutdown(self.socket.raw(), libc::SHUT_RDWR) };
    }
}

struct Loop {
    listener: Listed,
    rules: Rules,
    by_file: bool,
    shared: Arc<Shared>,
    connections: [Option<Connection>; CONNECTIONS],
    next_id: u64,
    names: Names,
    /// There were no descriptors: no look at the listener until then.
    rest: Option<Instant>,
}

impl Loop {
    fn new(listener: Listed, rules: Rules, by_file: bool, shared: Arc<Shared>) -> Loop {
        let connections = [const { None }; CONNECTIONS];
        Loop { listener, rules, by_file, shared, connections, next_id: 0, names: Names::default(), rest: None }
    }

    fn run(mut self) {
        while !self.shared.closed.load(Ordering::Acquire) {
            let _ = catch_unwind(AssertUnwindSafe(|| self.turn()));
        }
    }

    fn turn(&mut self) {
        let now = Instant::now();
        for place in &mut self.connections {
            if place.as_ref().is_some_and(|c| !matches!(c.stage, Stage::Waiting) && c.until <= now) {
                *place = None;
            }
        }
        self.rest = self.rest.filter(|until| *until > now);
        let mut polled = vec![poll_for(self.shared.waker.raw(), libc::POLLIN)];
        polled.push(poll_for(if self.rest.is_some() { -1 } else { self.listener.raw() }, libc::POLLIN));
        for c in self.connections.iter() {
            polled.push(match c {
                None => poll_for(-1, 0),
                Some(c) => poll_for(
                    c.socket.raw(),
                    match c.stage {
                        Stage::Reading(_) | Stage::Ending { .. } => libc::POLLIN,
                        Stage::Waiting => 0,
                        Stage::Writing { .. } => libc::POLLOUT,
                    },
                ),
            });
        }
        let waits = self.connections.iter().flatten().filter(|c| !matches!(c.stage, Stage::Waiting)).map(|c| c.until);
        let until = waits.chain(self.rest).min();
        let time = until.map_or(-1, |until| until.saturating_duration_since(now).as_millis() as i32 + 1);
        // SAFETY: the list is as long as said.
        if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, time) } <= 0 {
            return;
        }
        if polled[0].revents != 0 {
            self.take_answers();
        }
        for (i, entry) in polled[2..].iter().enumerate() {
            if entry.revents != 0 {
                self.serve(i);
            }
        }
        if polled[1].revents != 0 {
            self.accept();
        }
    }

    fn take_answers(&mut self) {
        let mut count = 0u64;
        // SAFETY: eight bytes.
        unsafe { libc::read(self.shared.waker.raw(), (&raw mut count).cast(), 8) };
        let answers = std::mem::take(&mut *lock(&self.shared.answers));
        for (id, answer) in answers {
            // It may have left meanwhile.
            if let Some(i) = self.connections.iter().position(|c| c.as_ref().is_some_and(|c| c.id == id)) {
                if let Some(c) = &mut self.connections[i] {
                    c.answer(answer);
                }
                self.serve(i);
            }
        }
    }

    fn accept(&mut self) {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let (none, no_size) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the address of the other side is not asked for.
        let fd = unsafe { libc::accept4(self.listener.raw(), none, no_size, flags) };
        if fd < 0 {
            if [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS].contains(&last_errno()) {
                // A connection that has nothing to say may be what is lacking.
                self.make_room();
                self.rest = Some(Instant::now() + Duration::from_millis(100));
            }
            return;
        }
        // SAFETY: just made, and not closed elsewhere.
        let Ok(fd) = apart(unsafe { OwnedFd::from_raw_fd(fd) }) else { return };
        let place = self.connections.iter().position(Option::is_none).unwrap_or_else(|| self.make_room());
        let known = !self.by_file || peer(fd.as_raw_fd()) == Some(own_uid());
        self.next_id += 1;
        let mut connection = Connection {
            socket: Listed::new(fd, place),
            id: self.next_id,
            until: Instant::now() + PATIENCE,
            stage: Stage::Reading(Vec::new()),
        };
        if !known {
            connection.answer(Answer::failed(403, "for another user"));
        }
        self.connections[place] = Some(connection);
        self.serve(place);
    }

    /// Ends the oldest connection that asks for nothing; if there is none, the oldest of all.
    fn make_room(&mut self) -> usize {
        let reads = |c: &&(usize, &Connection)| matches!(c.1.stage, Stage::Reading(_) | Stage::Ending { .. });
        let all: Vec<(usize, &Connection)> =
            self.connections.iter().enumerate().filter_map(|(i, c)| Some((i, c.as_ref()?))).collect();
        let oldest = all.iter().filter(reads).min_by_key(|c| c.1.id).or_else(|| all.iter().min_by_key(|c| c.1.id));
        let place = oldest.map_or(0, |c| c.0);
        self.connections[place] = None;
        place
    }

    /// Reads or writes as much as there is.
    fn serve(&mut self, i: usize) {
        let done = match catch_unwind(AssertUnwindSafe(|| self.go_on(i))) {
            Ok(done) => done,
            Err(_) => {
                if let Some(c) = &mut self.connections[i] {
                    c.answer(Answer::failed(500, "a fault of the page"));
                }
                false
            }
        };
        if done {
            self.connections[i] = None;
        }
    }

    /// True: the connection has ended.
    fn go_on(&mut self, i: usize) -> bool {
        loop {
            let Some(c) = &mut self.connections[i] else { return true };
            let fd = c.socket.raw();
            match &mut c.stage {
                // The other side has left.
                Stage::Waiting => return true,
                Stage::Writing { bytes, sent } => {
                    let rest = &bytes[*sent..];
                    if rest.is_empty() {
                        // SAFETY: takes numbers.
                        unsafe { libc::shutdown(fd, libc::SHUT_WR) };
                        c.stage = Stage::Ending { left: MOST_AFTER };
                        c.until = Instant::now() + LINGER;
                        continue;
                    }
                    // SAFETY: the bytes are there.
                    match result(unsafe { libc::send(fd, rest.as_ptr().cast(), rest.len(), libc::MSG_NOSIGNAL) }) {
                        Ok(n) => *sent += n,
                        Err(e) => return e != ErrorKind::WouldBlock,
                    }
                }
                Stage::Ending { left } => {
                    let mut room = [0u8; 4096];
                    // SAFETY: the room is as long as said.
                    match result(unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), 0) }) {
                        Ok(n) if n == 0 || n > *left => return true,
                        Ok(n) => *left -= n,
                        Err(e) => return e != ErrorKind::WouldBlock,
                    }
                }
                Stage::Reading(bytes) => {
                    let mut room = [0u8; 4096];
                    // SAFETY: the room is as long as said.
                    match result(unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), 0) }) {
                        Ok(0) => return true,
                        Ok(n) => bytes.extend_from_slice(&room[..n]),
                        Err(e) => return e != ErrorKind::WouldBlock,
                    }
                    let Some(read) = http::read(bytes, &self.rules) else { continue };
                    match read.map(|request| self.answer(&request, i)) {
                        Ok(true) => return false,
                        Ok(false) => {}
                        Err(answer) => {
                            if let Some(c) = &mut self.connections[i] {
                                c.answer(answer);
                            }
                        }
                    }
                }
            }
        }
    }

    /// True: a job answers.
    fn answer(&mut self, request: &http::Request, i: usize) -> bool {
        let Some(library) = crate::library() else { return false };
        let reply = answers::answer(request, &self.rules, library, &mut self.names);
        let Some(c) = &mut self.connections[i] else { return false };
        let answer = match reply {
            Reply::Now(answer) => answer,
            Reply::Later(job) => {
                let (desk, status) = match job {
                    Job::Trace { .. } | Job::Flight { .. } => (&self.shared.traces, 429),
                    Job::Stacks(_) => (&self.shared.stacks, 503),
                };
                // Before the job: its answer may come at once.
                c.stage = Stage::Waiting;
                if desk.give(job, c.id) {
                    return true;
                }
                Answer::failed(status, "one at a time: come again")
            }
        };
        c.answer(answer);
        false
    }
}

fn poll_for(fd: RawFd, events: i16) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

fn result(n: isize) -> Result<usize, ErrorKind> {
    usize::try_from(n).map_err(|_| Error::last_os_error().kind())
}
