//! Linux: calls on the descriptors of the host. The contract is in [`crate::sys`].
//!
//! A result is a number, or a negative errno. A call that a signal has interrupted is made again. No call here switches
//! stacks, and none waits unless its descriptor makes it wait ([`Means::Plain`]).
//!
//! A pointer comes from the host. The system checks it, and writes no more there than the length says.

use super::linux::KeepErrno;
use super::{c, held};
use core::ffi::{c_int, c_long, c_void};
use core::sync::atomic::{AtomicBool, Ordering};
use core::{mem, ptr};

pub use libc::{iovec, msghdr, pollfd, sockaddr};

/// How a descriptor is read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Means {
    /// A socket, which does not wait.
    Socket,
    /// A stream socket of the Unix domain. As `Socket`, and a read says whether it ended at a border that is no end of
    /// the data: sent descriptors, another writer.
    UnixStream,
    /// A plain call: the descriptor does not wait, or the caller may.
    Plain,
    /// A plain call; of a write only as much as a pipe has room for when it is ready. It waits only if another process
    /// was faster.
    Part,
    /// As `Part`, of a terminal and the like, which may have less room when it is ready: then it waits for more.
    SmallPart,
    /// A call that does not wait although the descriptor does. Some files have none: EOPNOTSUPP.
    NoWait,
    /// As `Plain`, a write that raises no signal if nothing reads the pipe. Before Linux 6.18 there is none:
    /// EOPNOTSUPP.
    Quiet,
}

/// What a descriptor is, as far as that matters to its calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A regular file, a directory, a block device: always ready, as the system sees it.
    File,
    Tcp,
    UnixStream,
    Socket,
    Pipe,
    /// A terminal, an eventfd...
    Other,
}

const PART: usize = 4096;
const SMALL_PART: usize = 256;

/// Of pwritev2.
const RWF_NOSIGNAL: c_int = 0x100;

/// The system has no [`Means::Quiet`], and is not asked again.
static NO_QUIET: AtomicBool = AtomicBool::new(false);

pub(super) const NO_WAIT: c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Makes a call of the system until no signal interrupts it.
///
/// It is made directly: the functions of the C library for it are cancellation points, and a thread that ended there
/// would never leave its descriptor.
///
/// # Safety
/// As for the call.
pub(super) unsafe fn call(what: c_long, fd: c_int, [a, b, c, d, e]: [usize; 5]) -> isize {
    let errno = KeepErrno::new();
    loop {
        // SAFETY: the caller's promise.
        let n = unsafe { libc::syscall(what, fd as usize, a, b, c, d, e) } as isize;
        if n >= 0 {
            return n;
        }
        match errno.now() {
            libc::EINTR => {}
            e => return -(e as isize),
        }
    }
}

/// The result of a call, or its errno, negated.
pub(super) fn once(call: impl FnOnce() -> c_int) -> i32 {
    let errno = KeepErrno::new();
    let n = call();
    if n < 0 { -errno.now() } else { n }
}

/// The kind of a descriptor; EBADF if it is not open.
pub fn kind(fd: c_int) -> Result<Kind, i32> {
    held::nothing_for("getsockopt");
    match option(fd, libc::SO_TYPE) {
        Ok(libc::SOCK_STREAM) => {}
        Ok(_) => return Ok(Kind::Socket),
        Err(libc::ENOTSOCK) => return file_kind(fd),
        Err(e) => return Err(e),
    }
    Ok(match (option(fd, libc::SO_DOMAIN), option(fd, libc::SO_PROTOCOL)) {
        (Ok(libc::AF_UNIX), _) => Kind::UnixStream,
        (Ok(libc::AF_INET | libc::AF_INET6), Ok(libc::IPPROTO_TCP)) => Kind::Tcp,
        _ => Kind::Socket,
    })
}

/// EBADF if it is not open.
pub fn is_open(fd: c_int) -> Result<(), i32> {
    held::nothing_for("fstat");
    file_kind(fd).map(drop)
}

fn file_kind(fd: c_int) -> Result<Kind, i32> {
    let mut stat: libc::stat = c::zeros();
    // SAFETY: `stat` is writable.
    match once(|| unsafe { libc::fstat(fd, &mut stat) }) {
        0 => Ok(match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => Kind::File,
            libc::S_IFIFO => Kind::Pipe,
            _ => Kind::Other,
        }),
        e => Err(-e),
    }
}

/// A number that a socket tells of itself; or an errno.
fn option(fd: c_int, name: c_int) -> Result<c_int, i32> {
    let (mut value, mut size) = (0 as c_int, mem::size_of::<c_int>() as libc::socklen_t);
    // SAFETY: both are writable, and the size is that of the value.
    match once(|| unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut size) }) {
        0 => Ok(value),
        e => Err(-e),
    }
}

/// EINVAL if the socket does not listen.
pub fn listens(fd: c_int) -> Result<(), i32> {
    match option(fd, libc::SO_ACCEPTCONN)? {
        0 => Err(libc::EINVAL),
        _ => Ok(()),
    }
}

/// Whether calls on the descriptor do not wait (O_NONBLOCK).
pub fn is_nonblocking(fd: c_int) -> bool {
    // SAFETY: asks for flags.
    let flags = once(|| unsafe { libc::fcntl(fd, libc::F_GETFL, 0) });
    flags >= 0 && flags & libc::O_NONBLOCK != 0
}

/// Sets or clears O_NONBLOCK, which all descriptors of the same file have in common. Returns whether it was done.
pub fn set_nonblocking(fd: c_int, on: bool) -> bool {
    // SAFETY: asks for flags.
    let flags = once(|| unsafe { libc::fcntl(fd, libc::F_GETFL, 0) });
    if flags < 0 {
        return false;
    }
    let new = if on { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    // SAFETY: sets flags.
    once(|| unsafe { libc::fcntl(fd, libc::F_SETFL, new) }) == 0
}

/// Another number for the same file, or a negative errno.
pub fn duplicate(fd: c_int) -> i32 {
    held::nothing_for("fcntl");
    // SAFETY: makes a descriptor.
    once(|| unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })
}

/// Closes a descriptor that its owner has given away. It is closed also if the system reports an error.
pub fn close(fd: c_int) {
    held::nothing_for("close");
    let _errno = KeepErrno::new();
    c::close(fd);
}

/// Which of these events (as for poll) are there now; errors, hang-ups and a number that is not open always
/// count.
pub fn ready(fd: c_int, events: u32) -> u32 {
    held::nothing_for("poll");
    let mut p = libc::pollfd { fd, events: events as i16, revents: 0 };
    // SAFETY: one pollfd.
    let n = unsafe { ready_many(&raw mut p, 1) };
    if n > 0 { u32::from(p.revents as u16) } else { 0 }
}

/// As poll without a wait: how many of the entries are ready, or a negative errno. A signal interrupts even this call,
/// and it is made again: nothing is known then.
///
/// # Safety
/// As for the call of the system.
pub unsafe fn ready_many(fds: *mut pollfd, n: usize) -> isize {
    held::nothing_for("poll");
    let errno = KeepErrno::new();
    let none = ptr::null::<libc::sigset_t>();
    loop {
        let mut now: libc::timespec = c::zeros();
        // SAFETY: the caller's promise, and a time that the system may write to.
        let ready = unsafe { libc::syscall(libc::SYS_ppoll, fds, n, &raw mut now, none, 0usize) } as isize;
        if ready >= 0 {
            return ready;
        }
        match errno.now() {
            libc::EINTR => {}
            e => return -(e as isize),
        }
    }
}

/// In the result of [`ready`]: the number is not open.
pub const NOT_OPEN: u32 = libc::POLLNVAL as u32;

/// Bytes that were read, or a negative errno; and whether there may be more although they are fewer than wanted.
pub type Got = (isize, bool);

/// # Safety
/// `buf` is the host's, with room for `n` bytes.
pub unsafe fn read(fd: c_int, by: Means, buf: *mut c_void, n: usize) -> Got {
    held::nothing_for("a read");
    let v = iovec { iov_base: buf, iov_len: n };
    match by {
        // SAFETY: the caller's promise.
        Means::Socket => (unsafe { recv(fd, buf, n, 0) }, false),
        // SAFETY: the caller's promise.
        Means::Plain | Means::Part | Means::SmallPart | Means::Quiet => {
            // SAFETY: the caller's promise.
            let n = unsafe { call(libc::SYS_read, fd, [buf as usize, n, 0, 0, 0]) };
            (n, true)
        }
        // SAFETY: the caller's promise.
        Means::UnixStream | Means::NoWait => unsafe { readv(fd, by, &raw const v, 1) },
    }
}

/// # Safety
/// `v` is the host's, with `n` elements, as readv wants them.
pub unsafe fn readv(fd: c_int, by: Means, v: *const iovec, n: c_int) -> Got {
    held::nothing_for("a read");
    match by {
        Means::Socket | Means::UnixStream => {
            let mut msg = message(v, n);
            // SAFETY: the message lives for the call, and the rest is the caller's promise.
            let got = unsafe { recvmsg(fd, &mut msg, 0) };
            (got, msg.msg_flags & libc::MSG_CTRUNC != 0)
        }
        // SAFETY: the caller's promise.
        Means::Plain | Means::Part | Means::SmallPart | Means::Quiet => {
            // SAFETY: the caller's promise.
            let n = unsafe { call(libc::SYS_readv, fd, [v as usize, n as usize, 0, 0, 0]) };
            (n, true)
        }
        // SAFETY: the caller's promise.
        Means::NoWait => (unsafe { here(libc::SYS_preadv2, fd, v, n, libc::RWF_NOWAIT) }, true),
    }
}

/// # Safety
/// `buf` is the host's, with `n` bytes.
pub unsafe fn write(fd: c_int, by: Means, buf: *const c_void, n: usize) -> isize {
    held::nothing_for("a write");
    let v = iovec { iov_base: buf.cast_mut(), iov_len: n };
    match by {
        // SAFETY: the caller's promise.
        Means::Socket | Means::UnixStream => unsafe { send(fd, buf, n, 0) },
        // SAFETY: the caller's promise.
        Means::Plain => unsafe { call(libc::SYS_write, fd, [buf as usize, n, 0, 0, 0]) },
        // SAFETY: the caller's promise.
        Means::Part => unsafe { write(fd, Means::Plain, buf, n.min(PART)) },
        // SAFETY: the caller's promise.
        Means::SmallPart => unsafe { write(fd, Means::Plain, buf, n.min(SMALL_PART)) },
        // SAFETY: the caller's promise.
        Means::NoWait | Means::Quiet => unsafe { writev(fd, by, &raw const v, 1) },
    }
}

/// # Safety
/// `v` is the host's, with `n` elements, as writev wants them.
pub unsafe fn writev(fd: c_int, by: Means, v: *const iovec, n: c_int) -> isize {
    held::nothing_for("a write");
    match by {
        Means::Socket | Means::UnixStream => {
            let msg = message(v, n);
            // SAFETY: the message lives for the call, and the rest is the caller's promise.
            unsafe { sendmsg(fd, &msg, 0) }
        }
        // SAFETY: the caller's promise.
        Means::Plain => unsafe { call(libc::SYS_writev, fd, [v as usize, n as usize, 0, 0, 0]) },
        Means::Part | Means::SmallPart => {
            // SAFETY: the caller's promise: there is a first part.
            let first = unsafe { &*v };
            // SAFETY: as above.
            unsafe { write(fd, by, first.iov_base, first.iov_len) }
        }
        // SAFETY: the caller's promise.
        Means::NoWait => unsafe { here(libc::SYS_pwritev2, fd, v, n, libc::RWF_NOWAIT) },
        // SAFETY: the caller's promise.
        Means::Quiet => unsafe { here(libc::SYS_pwritev2, fd, v, n, RWF_NOSIGNAL) },
    }
}

/// Makes a write to a pipe, which raises no signal if there is no reader: the signal would end the process. `write`
/// makes it by the means that it is told.
pub fn to_pipe(by: Means, mut write: impl FnMut(Means) -> isize) -> isize {
    if by == Means::Plain && !NO_QUIET.load(Ordering::Relaxed) {
        let n = write(Means::Quiet);
        if n != -(libc::EOPNOTSUPP as isize) {
            return n;
        }
        NO_QUIET.store(true, Ordering::Relaxed);
    }
    without_sigpipe(|| write(by), |n| n == -(libc::EPIPE as isize))
}

/// As [`to_pipe`], for a call that may write some of its parts before it finds that there is no reader.
pub fn without_signal_in_parts(write: impl FnOnce() -> isize) -> isize {
    without_sigpipe(write, |_| c::has_signal(&c::pending_signals(), libc::SIGPIPE))
}

/// `raised`: whether the signal has come, if none was there before.
fn without_sigpipe(write: impl FnOnce() -> isize, raised: impl FnOnce(isize) -> bool) -> isize {
    let errno = KeepErrno::new();
    let pipe = c::signals([libc::SIGPIPE]);
    let before = c::mask_signals(libc::SIG_BLOCK, &pipe);
    // A signal that came for another reason stays.
    let earlier = c::has_signal(&before, libc::SIGPIPE) && c::has_signal(&c::pending_signals(), libc::SIGPIPE);
    let n = write();
    if !earlier && raised(n) {
        let now: libc::timespec = c::zeros();
        // SAFETY: the set and the time are readable, and nothing is written.
        while unsafe { libc::sigtimedwait(&pipe, ptr::null_mut(), &now) } < 0 && errno.now() == libc::EINTR {}
    }
    c::mask_signals(libc::SIG_SETMASK, &before);
    n
}

/// preadv2 or pwritev2, at the place where the file is.
///
/// # Safety
/// As for [`readv`] or [`writev`].
unsafe fn here(what: c_long, fd: c_int, v: *const iovec, n: c_int, flags: c_int) -> isize {
    const HERE: usize = usize::MAX;
    // The kernel takes the offset in two halves.
    // SAFETY: the caller's promise.
    let r = unsafe { call(what, fd, [v as usize, n as usize, HERE, HERE, flags as usize]) };
    // An older system says otherwise that it has no such call, and so may a filter. What is wrong with this call, the
    // next one says as well.
    match -r as i32 {
        libc::ENOSYS | libc::EINVAL | libc::EPERM if r < 0 => -(libc::EOPNOTSUPP as isize),
        _ => r,
    }
}

/// A message without an address and without control data.
fn message(v: *const iovec, n: c_int) -> msghdr {
    let mut msg: msghdr = c::zeros();
    msg.msg_iov = v.cast_mut();
    msg.msg_iovlen = n as _;
    msg
}

/// musl declares only a half of each word that is a length for the kernel, in messages and their control data.
const HALF_LENGTHS: bool = cfg!(target_env = "musl");

/// Sets the other halves of the lengths to zero, as musl's own functions do: a host may leave anything there.
///
/// # Safety
/// The message is as the call of the system wants it. With `control` its control data is to be sent.
pub(super) unsafe fn complete(msg: *mut msghdr, control: bool) {
    if !HALF_LENGTHS {
        return;
    }
    // SAFETY: the caller's promise.
    let msg = unsafe { &mut *msg };
    let (vectors, length) = (&raw mut msg.msg_iovlen, &raw mut msg.msg_controllen);
    // SAFETY: each has another half.
    unsafe { clear_upper_half(vectors.cast()) };
    // SAFETY: as above.
    unsafe { clear_upper_half(length.cast()) };
    if !control {
        return;
    }
    // SAFETY: the caller's promise.
    let mut head = unsafe { libc::CMSG_FIRSTHDR(msg) };
    while !head.is_null() {
        // SAFETY: a head in the control data, which begins with its length.
        unsafe { clear_upper_half(head.cast()) };
        // SAFETY: as above.
        head = unsafe { libc::CMSG_NXTHDR(msg, head) };
    }
}

/// # Safety
/// There is a word at `at`.
unsafe fn clear_upper_half(at: *mut u32) {
    let upper = at.wrapping_add(1);
    // Most are zero, and the host may have put those into memory that it cannot write to.
    // SAFETY: the caller's promise.
    if unsafe { upper.read() } != 0 {
        // SAFETY: as above.
        unsafe { upper.write(0) };
    }
}

/// # Safety
/// As for the call of the system.
pub unsafe fn recv(fd: c_int, buf: *mut c_void, n: usize, flags: c_int) -> isize {
    held::nothing_for("recv");
    // SAFETY: the caller's promise.
    unsafe { recvfrom(fd, buf, n, flags, ptr::null_mut(), ptr::null_mut()) }
}

/// # Safety
/// As for the call of the system.
pub unsafe fn send(fd: c_int, buf: *const c_void, n: usize, flags: c_int) -> isize {
    held::nothing_for("send");
    // SAFETY: the caller's promise.
    unsafe { sendto(fd, buf, n, flags, ptr::null(), 0) }
}

/// # Safety
/// As for the call of the system.
pub unsafe fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    n: usize,
    flags: c_int,
    addr: *mut sockaddr,
    len: *mut u32,
) -> isize {
    held::nothing_for("recvfrom");
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_recvfrom, fd, [buf as usize, n, (flags | NO_WAIT) as usize, addr as usize, len as usize]) }
}

/// # Safety
/// As for the call of the system.
pub unsafe fn sendto(fd: c_int, buf: *const c_void, n: usize, flags: c_int, addr: *const sockaddr, len: u32) -> isize {
    held::nothing_for("sendto");
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_sendto, fd, [buf as usize, n, (flags | NO_WAIT) as usize, addr as usize, len as usize]) }
}

/// Received descriptors are closed by exec.
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> isize {
    held::nothing_for("recvmsg");
    let flags = flags | NO_WAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the caller's promise.
    unsafe { complete(msg, false) };
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_recvmsg, fd, [msg as usize, flags as usize, 0, 0, 0]) }
}

/// # Safety
/// As for the call of the system.
pub unsafe fn sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> isize {
    held::nothing_for("sendmsg");
    let mut copy: msghdr;
    let msg = if HALF_LENGTHS {
        // SAFETY: the caller's promise.
        copy = unsafe { msg.read() };
        // SAFETY: a copy; what it points to is the caller's promise.
        unsafe { complete(&raw mut copy, true) };
        &raw const copy
    } else {
        msg
    };
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_sendmsg, fd, [msg as usize, (flags | NO_WAIT) as usize, 0, 0, 0]) }
}

/// Takes a connection. It waits if the descriptor does. EINTR: that connection has failed, and the next is to be tried.
///
/// # Safety
/// `addr` is null, or as long as `len` says.
pub unsafe fn accept(fd: c_int, addr: *mut sockaddr, len: *mut u32) -> isize {
    held::nothing_for("accept4");
    // SAFETY: the caller's promise.
    let n = unsafe { call(libc::SYS_accept4, fd, [addr as usize, len as usize, libc::SOCK_CLOEXEC as usize, 0, 0]) };
    match n {
        n if n == -(libc::ECONNABORTED as isize) || n == -(libc::EPROTO as isize) => -(libc::EINTR as isize),
        n => n,
    }
}

/// Begins to connect. EINPROGRESS: [`connected`] says later what came of it. A descriptor that waits is told not to for
/// the time of the call.
///
/// # Safety
/// `addr` is as long as `len` says.
pub unsafe fn connect(fd: c_int, addr: *const sockaddr, len: u32) -> i32 {
    held::nothing_for("connect");
    let waits = !is_nonblocking(fd);
    if waits {
        set_nonblocking(fd, true);
    }
    // SAFETY: the caller's promise.
    let r = once(|| unsafe { libc::syscall(libc::SYS_connect, fd, addr, len) } as c_int);
    if waits {
        set_nonblocking(fd, false);
    }
    r
}

/// What came of [`connect`]: 0, a negative errno, or EAGAIN while it is not known.
pub fn connected(fd: c_int) -> isize {
    if ready(fd, libc::POLLOUT as u32) == 0 {
        return -(libc::EAGAIN as isize);
    }
    let error = || match option(fd, libc::SO_ERROR) {
        Ok(e) | Err(e) => -(e as isize),
    };
    let before = error();
    if before != 0 {
        return before;
    }
    let mut name = mem::MaybeUninit::<libc::sockaddr_storage>::uninit();
    let mut len = mem::size_of_val(&name) as libc::socklen_t;
    // SAFETY: both are writable, and the length is that of the name.
    let named = once(|| unsafe { libc::getpeername(fd, name.as_mut_ptr().cast(), &mut len) }) as isize;
    // The other end may have reset the connection after the first look: the system tells that once, and only as an
    // error.
    let after = if named == 0 { 0 } else { error() };
    if after == 0 { named } else { after }
}

pub fn shutdown(fd: c_int, how: c_int) -> i32 {
    held::nothing_for("shutdown");
    // SAFETY: takes numbers.
    once(|| unsafe { libc::shutdown(fd, how) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EAGAIN: isize = -(libc::EAGAIN as isize);

    fn pair(kind: c_int) -> [c_int; 2] {
        let mut fds = [0; 2];
        // SAFETY: room for two.
        assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) }, 0);
        fds
    }

    fn pipe() -> [c_int; 2] {
        let mut fds = [0; 2];
        // SAFETY: room for two.
        assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
        fds
    }

    fn socket(domain: c_int, kind: c_int) -> c_int {
        // SAFETY: makes a descriptor.
        unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) }
    }

    /// Reads at most `n` bytes.
    fn get(fd: c_int, by: Means, n: usize) -> Got {
        let mut buf = [0u8; 16];
        // SAFETY: the buffer is as long as said.
        unsafe { read(fd, by, buf.as_mut_ptr().cast(), n.min(16)) }
    }

    fn put(fd: c_int, by: Means, text: &[u8]) -> isize {
        // SAFETY: the text is as long as said.
        unsafe { write(fd, by, text.as_ptr().cast(), text.len()) }
    }

    #[test]
    fn kinds() {
        let opened = |path: &core::ffi::CStr| {
            // SAFETY: a constant path.
            unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) }
        };
        let [near, far] = pair(libc::SOCK_STREAM);
        let [one, other] = pair(libc::SOCK_DGRAM);
        let [from, to] = pipe();
        let tcp = socket(libc::AF_INET, libc::SOCK_STREAM);
        let udp = socket(libc::AF_INET, libc::SOCK_DGRAM);
        let (null, dir, file) = (opened(c"/dev/null"), opened(c"/"), opened(c"/proc/self/exe"));
        for (fd, wanted) in [
            (near, Kind::UnixStream),
            (one, Kind::Socket),
            (from, Kind::Pipe),
            (tcp, Kind::Tcp),
            (udp, Kind::Socket),
            (null, Kind::Other),
            (dir, Kind::File),
            (file, Kind::File),
        ] {
            assert_eq!(kind(fd), Ok(wanted));
        }
        assert_eq!(listens(tcp), Err(libc::EINVAL));
        assert_eq!(listens(from), Err(libc::ENOTSOCK));
        [near, far, one, other, from, to, tcp, udp, null, dir, file].into_iter().for_each(close);
        assert_eq!(kind(-1), Err(libc::EBADF));
        assert_eq!(ready(1_000_000, 1), NOT_OPEN);
    }

    #[test]
    fn calls_that_do_not_wait_keep_errno() {
        c::set_errno(77);
        let [near, far] = pair(libc::SOCK_STREAM);
        assert_eq!(get(near, Means::Socket, 1).0, EAGAIN);
        assert_eq!(get(near, Means::UnixStream, 1).0, EAGAIN);
        assert_eq!((ready(near, 1), ready(near, 4)), (0, 4));
        assert_eq!(put(far, Means::Socket, b"abc"), 3);
        assert_eq!(get(near, Means::UnixStream, 9), (3, false));
        let [from, to] = pipe();
        if get(from, Means::NoWait, 1).0 != -(libc::EOPNOTSUPP as isize) {
            assert_eq!(get(from, Means::NoWait, 1).0, EAGAIN);
            assert_eq!(put(to, Means::NoWait, b"abc"), 3);
            assert_eq!(get(from, Means::NoWait, 2).0, 2);
            assert_eq!(get(from, Means::Plain, 2).0, 1);
        }
        assert_eq!(put(to, Means::Part, &[0; 5000]), 4096);
        assert!(!is_nonblocking(from) && set_nonblocking(from, true) && is_nonblocking(from));
        let own = duplicate(from);
        assert!(own >= 3 && is_nonblocking(own) && own != from);
        [from, own, near].into_iter().for_each(close);
        assert_eq!(put(far, Means::Socket, b"x"), -(libc::EPIPE as isize), "and no signal");
        for by in [Means::Plain, Means::Part] {
            assert_eq!(to_pipe(by, |by| put(to, by, b"x")), -(libc::EPIPE as isize), "and no signal");
        }
        close(far);
        close(to);
        assert_eq!(c::errno(), 77);
    }

    /// A read of a Unix stream ends behind sent descriptors, and says so.
    #[test]
    fn a_border_in_a_stream_is_told() {
        let [near, far] = pair(libc::SOCK_STREAM);
        let mut text = *b"ab";
        let part = iovec { iov_base: text.as_mut_ptr().cast(), iov_len: 2 };
        let mut msg = message(&part, 1);
        #[repr(C, align(8))]
        struct Control([u8; 24]);
        let mut control = Control([0; 24]);
        msg.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: computes a number.
        msg.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
        // SAFETY: the message has control data.
        let head = unsafe { libc::CMSG_FIRSTHDR(&msg) };
        // SAFETY: the control data has room for a head and one number.
        let head = unsafe { &mut *head };
        head.cmsg_level = libc::SOL_SOCKET;
        head.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: computes a number.
        head.cmsg_len = unsafe { libc::CMSG_LEN(4) } as _;
        // SAFETY: computes an address.
        let data = unsafe { libc::CMSG_DATA(head) }.cast::<c_int>();
        // SAFETY: as above.
        unsafe { data.write_unaligned(far) };
        // SAFETY: the message lives for the call.
        assert_eq!(unsafe { sendmsg(far, &msg, 0) }, 2);
        assert_eq!(put(far, Means::Socket, b"cd"), 2);
        assert_eq!(get(near, Means::UnixStream, 9), (2, true));
        assert_eq!(get(near, Means::UnixStream, 9), (2, false));
        [near, far].into_iter().for_each(close);
    }
}
