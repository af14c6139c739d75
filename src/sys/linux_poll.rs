//! Linux: what is ready, by epoll. The contract is in [`crate::sys`].
//!
//! No call blocks except [`wait`] with a time. All descriptors are closed by `exec`.
//!
//! # The kick
//! Beside the epoll there is an eventfd, which is always readable. A kick asks the epoll to report on it, and taking
//! the kick asks it not to. Nothing is ever written to the eventfd or read from it: if the host has closed our numbers
//! and the system has given them to its files, a kick fails, and changes nothing there.
//!
//! Both numbers are above those that the system gives next to a small program. So a host that has closed all and opens
//! an epoll and an eventfd of its own, in the same order, does not have them at just these two numbers.

use super::held;
use super::linux::KeepErrno;
use core::ffi::c_int;
use core::mem::MaybeUninit;

/// Ready to read; ready to write; the peer writes no more; both directions are at an end; an error; urgent data.
pub const IN: u32 = libc::EPOLLIN as u32;
pub const OUT: u32 = libc::EPOLLOUT as u32;
pub const PEER_DONE: u32 = libc::EPOLLRDHUP as u32;
pub const HANGUP: u32 = libc::EPOLLHUP as u32;
pub const ERROR: u32 = libc::EPOLLERR as u32;
pub const URGENT: u32 = libc::EPOLLPRI as u32;
/// What the standard has beside IN and OUT.
pub const READ_NORMAL: u32 = libc::EPOLLRDNORM as u32;
pub const READ_BAND: u32 = libc::EPOLLRDBAND as u32;
pub const WRITE_NORMAL: u32 = libc::EPOLLWRNORM as u32;
pub const WRITE_BAND: u32 = libc::EPOLLWRBAND as u32;

/// How many events one call fetches.
const MOST: usize = 128;

/// The key of the kick among the events.
const KICK: u64 = 0;

/// The lowest number of our descriptors, if the process may have such a number. Below 64: for a larger one the kernel
/// makes a larger table, for which a process with threads waits for 10 to 30 ms.
const HIGH: c_int = 40;

/// An epoll and its eventfd.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fds {
    pub epoll: c_int,
    pub kick: c_int,
}

/// Events that were fetched.
pub struct Events {
    n: usize,
    kicked: bool,
    all: [MaybeUninit<libc::epoll_event>; MOST],
}

impl Default for Events {
    #[inline]
    fn default() -> Events {
        Events { n: 0, kicked: false, all: [const { MaybeUninit::uninit() }; MOST] }
    }
}

impl Events {
    pub fn is_empty(&self) -> bool {
        self.n == usize::from(self.kicked)
    }

    pub fn clear(&mut self) {
        self.n = 0;
        self.kicked = false;
    }

    /// The key and the bits of each event, except for kicks.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        // SAFETY: `fetch` has written the first `n`.
        let all = self.all[..self.n].iter().map(|e| unsafe { e.assume_init() });
        all.map(|e| (e.u64, e.events)).filter(|&(key, _)| key != KICK)
    }
}

/// Makes an epoll and its eventfd, or returns an errno.
pub fn open() -> Result<Fds, i32> {
    held::nothing_for("epoll_create1");
    let errno = KeepErrno::new();
    // SAFETY: takes no memory of ours.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if epoll < 0 {
        return Err(errno.now());
    }
    // SAFETY: as above.
    let kick = unsafe { libc::eventfd(1, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    let mut error = if kick < 0 { errno.now() } else { 0 };
    let (epoll, kick) = (high(epoll), high(kick));
    if error == 0 {
        // Not edge triggered: a thread that fetches the event without being the one that sleeps leaves it there.
        error = control(epoll, libc::EPOLL_CTL_ADD, kick, 0, KICK);
    }
    if error == 0 {
        return Ok(Fds { epoll, kick });
    }
    close(Fds { epoll, kick });
    Err(error)
}

/// Closes both, also copies in a child of fork: that changes nothing in the parent.
pub fn close(fds: Fds) {
    let _errno = KeepErrno::new();
    for fd in [fds.epoll, fds.kick] {
        if fd >= 0 {
            // SAFETY: ours.
            unsafe { libc::close(fd) };
        }
    }
}

/// Another number for a descriptor of ours, or the same.
fn high(fd: c_int) -> c_int {
    if fd < 0 {
        return fd;
    }
    let _errno = KeepErrno::new();
    // SAFETY: makes a descriptor.
    match unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, HIGH) } {
        -1 => fd,
        other => {
            // SAFETY: ours.
            unsafe { libc::close(fd) };
            other
        }
    }
}

fn control(epoll: c_int, what: c_int, fd: c_int, bits: u32, key: u64) -> i32 {
    let errno = KeepErrno::new();
    let mut event = libc::epoll_event { events: bits, u64: key };
    // SAFETY: the event lives for the call.
    match unsafe { libc::epoll_ctl(epoll, what, fd, &raw mut event) } {
        0 => 0,
        _ => errno.now(),
    }
}

/// Reports each change of `fd` in the events, with this key, which is not 0; first of all its state now. Or an errno.
pub fn add(fds: Fds, fd: c_int, key: u64) -> Result<(), i32> {
    held::nothing_for("epoll_ctl");
    match control(fds.epoll, libc::EPOLL_CTL_ADD, fd, IN | OUT | PEER_DONE | URGENT | libc::EPOLLET as u32, key) {
        0 => Ok(()),
        errno => Err(errno),
    }
}

/// No more events of `fd`, which is still open.
pub fn remove(fds: Fds, fd: c_int) {
    held::nothing_for("epoll_ctl");
    control(fds.epoll, libc::EPOLL_CTL_DEL, fd, 0, 0);
}

/// Fetches what has happened, and waits for it up to `timeout` nanoseconds (0: not at all; None: forever), or until a
/// kick. It may return earlier. Errno if the descriptors are not what they were: the host has closed them.
pub fn wait(fds: Fds, timeout: Option<i64>, events: &mut Events) -> Result<(), i32> {
    held::nothing_for("epoll_pwait2");
    let errno = KeepErrno::new();
    let time = timeout.map(|ns| libc::timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 });
    let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let at = events.all.as_mut_ptr();
    // SAFETY: the buffer has room for as many events as it says; no signal mask is passed.
    let mut n = unsafe { libc::syscall(libc::SYS_epoll_pwait2, fds.epoll, at, MOST, time, 0usize, 0usize) } as isize;
    if n < 0 && (errno.now() == libc::ENOSYS || errno.now() == libc::EPERM) {
        let ms = timeout.map_or(-1, |ns| (ns.saturating_add(999_999) / 1_000_000).min(1_000_000_000) as c_int);
        // SAFETY: as above.
        n = unsafe { libc::epoll_wait(fds.epoll, at.cast(), MOST as c_int, ms) } as isize;
    }
    events.n = n.max(0) as usize;
    events.kicked = false;
    if n < 0 && errno.now() != libc::EINTR {
        return Err(errno.now());
    }
    // SAFETY: the kernel has written the first `n`.
    events.kicked = events.all[..events.n].iter().any(|e| unsafe { e.assume_init() }.u64 == KICK);
    Ok(())
}

/// The thread in [`wait`] returns from it, or the next one that begins it. False: the descriptors are not what they
/// were.
pub fn kick(fds: Fds) -> bool {
    control(fds.epoll, libc::EPOLL_CTL_MOD, fds.kick, IN, KICK) == 0
}

/// After [`wait`]: if there was a kick, later waits do not see it any more.
pub fn take_kick(fds: Fds, events: &Events) {
    if events.kicked {
        control(fds.epoll, libc::EPOLL_CTL_MOD, fds.kick, 0, KICK);
    }
}
