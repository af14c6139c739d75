//! Linux: child processes. The contract is in [`crate::sys`].
//!
//! A child begins with posix_spawn: it shares the memory of its parent until it executes, so that nothing is copied,
//! and no handler of pthread_atfork runs. The caller is told of an exec that failed. Signals are at their defaults in
//! the child, and none is blocked, since most threads of the library block all.
//!
//! A child is known by a pidfd where there is one (Linux 5.3): its number may go to another process as soon as it was
//! reaped. Without one the caller makes sure that a number is used only before that.

use super::linux::KeepErrno;
use super::{c, held};
use core::ffi::{CStr, c_char, c_int, c_short};
use core::mem::MaybeUninit;
use core::ptr;

/// What a descriptor of a child is, from 0 to 2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// The parent's.
    Inherit,
    /// /dev/null
    Null,
    /// A descriptor of the parent's, which is 3 or more.
    Fd(c_int),
    /// The child's descriptor 1.
    Output,
}

/// A child to be.
pub struct Spawn {
    pub path: *const c_char,
    /// Both end with null; `envp` may be null: the parent's.
    pub argv: *const *const c_char,
    pub envp: *const *const c_char,
    /// Null: the parent's.
    pub cwd: *const c_char,
    pub stdio: [Stdio; 3],
    /// Look for a path without a slash in PATH.
    pub search: bool,
    pub group: bool,
    pub session: bool,
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

const DEV_NULL: &CStr = c"/dev/null";

/// A list of what the child does before it executes.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> Result<Actions, c_int> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: writable.
        match unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) } {
            // SAFETY: initialized.
            0 => Ok(Actions(unsafe { actions.assume_init() })),
            e => Err(e),
        }
    }

    fn add(&mut self, fd: c_int, what: Stdio) -> c_int {
        match what {
            Stdio::Inherit => 0,
            // SAFETY: initialized; it copies the path.
            Stdio::Null => unsafe {
                libc::posix_spawn_file_actions_addopen(&mut self.0, fd, DEV_NULL.as_ptr(), libc::O_RDWR, 0)
            },
            // SAFETY: initialized.
            Stdio::Fd(from) => unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, fd) },
            // SAFETY: as above.
            Stdio::Output => unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, 1, fd) },
        }
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialized.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new(what: &Spawn) -> Result<Attributes, c_int> {
        let mut made = MaybeUninit::uninit();
        // SAFETY: writable.
        let e = unsafe { libc::posix_spawnattr_init(made.as_mut_ptr()) };
        if e != 0 {
            return Err(e);
        }
        // SAFETY: initialized.
        let mut made = Attributes(unsafe { made.assume_init() });
        let mut flags = (libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK) as c_short;
        if what.group {
            flags |= libc::POSIX_SPAWN_SETPGROUP as c_short;
        }
        if what.session {
            flags |= libc::POSIX_SPAWN_SETSID as c_short;
        }
        let none = c::signals([]);
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        // With the signals of the C library, which sigfillset leaves out, and which a child would ignore otherwise.
        // SAFETY: as many bytes as it has.
        unsafe { all.as_mut_ptr().write_bytes(0xff, 1) };
        // SAFETY: initialized, as in the next three.
        let set = unsafe { libc::posix_spawnattr_setflags(&mut made.0, flags) };
        // SAFETY: written above.
        let defaults = unsafe { libc::posix_spawnattr_setsigdefault(&mut made.0, all.as_ptr()) };
        // SAFETY: the set is readable.
        let mask = unsafe { libc::posix_spawnattr_setsigmask(&mut made.0, &none) };
        match set | defaults | mask {
            0 => Ok(made),
            e => Err(e),
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialized.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// Starts a child, and returns its number, or an errno. It waits until the child executes.
///
/// # Safety
/// The pointers of `what` are as it says.
pub unsafe fn spawn(what: &Spawn) -> Result<c_int, c_int> {
    held::nothing_for("posix_spawn");
    let _errno = KeepErrno::new();
    let attributes = Attributes::new(what)?;
    let mut actions = Actions::new()?;
    for (fd, &stdio) in (0..).zip(&what.stdio) {
        match actions.add(fd, stdio) {
            0 => {}
            e => return Err(e),
        }
    }
    if !what.cwd.is_null() {
        // SAFETY: initialized; it copies the path.
        match unsafe { libc::posix_spawn_file_actions_addchdir_np(&mut actions.0, what.cwd) } {
            0 => {}
            e => return Err(e),
        }
    }
    // SAFETY: the C library's word. What the host does to it meanwhile is its own affair, as for exec.
    let envp = if what.envp.is_null() { unsafe { environ } } else { what.envp };
    let begin = if what.search { libc::posix_spawnp } else { libc::posix_spawn };
    let mut pid = 0;
    // SAFETY: the caller's promise; the lists are initialized.
    match unsafe { begin(&mut pid, what.path, &actions.0, &attributes.0, what.argv.cast(), envp.cast()) } {
        0 => Ok(pid),
        e => Err(e),
    }
}

/// A pipe: its reading end and its writing end, both 3 or more, closed by exec; or an errno.
pub fn pipe() -> Result<[c_int; 2], c_int> {
    held::nothing_for("pipe2");
    let errno = KeepErrno::new();
    let mut ends = [0; 2];
    // SAFETY: room for two.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(errno.now());
    }
    let [reads, writes] = ends;
    match (lifted(reads), lifted(writes)) {
        (Ok(reads), Ok(writes)) => Ok([reads, writes]),
        (reads, writes) => {
            let e = reads.err().or(writes.err()).unwrap_or(libc::EMFILE);
            [reads, writes].into_iter().flatten().for_each(c::close);
            Err(e)
        }
    }
}

/// The descriptor, or if it is one of 0 to 2 a copy in its place: the host may have closed these, and open them again.
fn lifted(fd: c_int) -> Result<c_int, c_int> {
    if fd > 2 {
        return Ok(fd);
    }
    let errno = KeepErrno::new();
    // SAFETY: makes a descriptor.
    let high = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    let e = errno.now();
    c::close(fd);
    if high < 0 { Err(e) } else { Ok(high) }
}

/// A pidfd of a child that was not reaped; or an errno.
pub fn pidfd(pid: c_int) -> Result<c_int, c_int> {
    held::nothing_for("pidfd_open");
    let errno = KeepErrno::new();
    // SAFETY: takes numbers.
    match unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } {
        -1 => Err(errno.now()),
        fd => lifted(fd as c_int),
    }
}

/// What became of a child.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Child {
    Runs,
    /// With this status, as waitpid tells it. The child is reaped.
    Ended(c_int),
    /// The system has given its status away: to another wait of the process, or to none since SIGCHLD is ignored.
    Lost,
}

/// Reaps a child, if it has ended. It does not wait.
pub fn reap(pid: c_int, pidfd: Option<c_int>) -> Child {
    held::nothing_for("waitid");
    let errno = KeepErrno::new();
    let (kind, id) = pidfd.map_or((libc::P_PID, pid), |fd| (libc::P_PIDFD, fd));
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let how = libc::WEXITED | libc::WNOHANG;
    let none = ptr::null_mut::<libc::rusage>();
    let at = info.as_mut_ptr();
    // By number: the function of the C library is a cancellation point.
    // SAFETY: `info` is writable.
    while unsafe { libc::syscall(libc::SYS_waitid, kind, id, at, how, none) } != 0 {
        if errno.now() != libc::EINTR {
            return Child::Lost;
        }
    }
    // SAFETY: zeros are a value, and the kernel has written one.
    let info = unsafe { info.assume_init() };
    // SAFETY: of a child it has this field.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    match info.si_code {
        _ if pid == 0 => Child::Runs,
        libc::CLD_EXITED => Child::Ended((status & 0xff) << 8),
        libc::CLD_DUMPED => Child::Ended(status | 0x80),
        _ => Child::Ended(status),
    }
}

/// Sends a signal to a child that was not reaped. 0 or an errno.
pub fn signal(pid: c_int, pidfd: Option<c_int>, sig: c_int) -> c_int {
    held::nothing_for("kill");
    let errno = KeepErrno::new();
    let sent = match pidfd {
        // SAFETY: takes numbers; without more the kernel makes the rest.
        Some(fd) => unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, sig, 0usize, 0) as c_int },
        // SAFETY: takes numbers.
        None => unsafe { libc::kill(pid, sig) },
    };
    if sent == 0 { 0 } else { errno.now() }
}
