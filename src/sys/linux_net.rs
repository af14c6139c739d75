//! Linux: names, sockets that the library makes itself, and messages with more than one run of bytes. The contract is
//! in [`crate::sys`].
//!
//! A result is a number, or a negative errno. Every descriptor is closed by `exec`. No call here switches stacks, and
//! none waits, except [`look_up`].

use super::io::{NO_WAIT, call, complete, once};
use super::linux::KeepErrno;
use super::{c, held};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::{mem, ptr};

pub use libc::{addrinfo, iovec, mmsghdr, msghdr, sockaddr};

// ---- names ----------------------------------------------------------------------------------------------------------

/// Why the resolver has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoAnswer {
    /// One of EAI_*, made positive.
    Name(i32),
    /// An errno.
    System(i32),
}

pub const NO_MEMORY: i32 = -libc::EAI_MEMORY;
pub const NO_NAME: i32 = -libc::EAI_NONAME;
pub const NO_SERVICE: i32 = -libc::EAI_SERVICE;

/// What a name is to stand for.
pub struct Hints {
    pub family: c_int,
    pub kind: c_int,
    /// For a socket that listens.
    pub passive: bool,
}

impl Hints {
    pub fn to_system(&self) -> addrinfo {
        let mut hints: addrinfo = c::zeros();
        hints.ai_family = self.family;
        hints.ai_socktype = self.kind;
        hints.ai_flags = if self.passive { libc::AI_PASSIVE } else { 0 };
        hints
    }
}

/// What the caller's hints (null: none) say, for numbers only.
///
/// # Safety
/// `hints` is null or readable.
pub unsafe fn numeric(hints: *const addrinfo) -> addrinfo {
    // SAFETY: the caller's promise.
    let given = unsafe { hints.as_ref() };
    let mut hints: addrinfo = c::zeros();
    if let Some(given) = given {
        hints.ai_flags = given.ai_flags;
        hints.ai_family = given.ai_family;
        hints.ai_socktype = given.ai_socktype;
        hints.ai_protocol = given.ai_protocol;
    }
    hints.ai_flags |= libc::AI_NUMERICHOST | libc::AI_NUMERICSERV;
    hints
}

/// Whether the caller's hints are for a host that is a number.
///
/// # Safety
/// As for [`numeric`].
pub unsafe fn wants_a_number(hints: *const addrinfo) -> bool {
    // SAFETY: the caller's promise.
    unsafe { hints.as_ref() }.is_some_and(|h| h.ai_flags & libc::AI_NUMERICHOST != 0)
}

/// getaddrinfo of the C library. It takes the thread for as long as it lasts.
///
/// # Safety
/// As for the function: names are null or terminated, `hints` is null or as it wants them.
pub unsafe fn look_up(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
) -> Result<*mut addrinfo, NoAnswer> {
    held::nothing_for("getaddrinfo");
    let errno = KeepErrno::new();
    let mut found = ptr::null_mut();
    // SAFETY: the caller's promise.
    match unsafe { libc::getaddrinfo(node, service, hints, &raw mut found) } {
        0 => Ok(found),
        libc::EAI_SYSTEM => Err(NoAnswer::System(errno.now())),
        e => Err(NoAnswer::Name(-e)),
    }
}

/// Frees what [`look_up`] has returned.
///
/// # Safety
/// As said; null is nothing.
pub unsafe fn free(found: *mut addrinfo) {
    let _errno = KeepErrno::new();
    if !found.is_null() {
        // SAFETY: the caller's promise.
        unsafe { libc::freeaddrinfo(found) };
    }
}

// ---- sockets --------------------------------------------------------------------------------------------------------

/// Families and kinds of sockets.
pub const ANY_FAMILY: c_int = libc::AF_UNSPEC;
pub const IPV4: c_int = libc::AF_INET;
pub const IPV6: c_int = libc::AF_INET6;
pub const UNIX: c_int = libc::AF_UNIX;
pub const STREAM: c_int = libc::SOCK_STREAM;
pub const DATAGRAM: c_int = libc::SOCK_DGRAM;
pub const PACKETS: c_int = libc::SOCK_SEQPACKET;

/// The longest queue of a listener.
pub const LONGEST_QUEUE: c_int = libc::SOMAXCONN;

/// A new socket with O_NONBLOCK, or a negative errno.
pub fn socket(family: c_int, kind: c_int, protocol: c_int) -> i32 {
    held::nothing_for("socket");
    // SAFETY: makes a descriptor.
    once(|| unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) })
}

/// 0 or a negative errno, as the next functions.
///
/// # Safety
/// `addr` has `len` bytes.
pub unsafe fn bind(fd: c_int, addr: *const sockaddr, len: u32) -> i32 {
    held::nothing_for("bind");
    // SAFETY: the caller's promise.
    once(|| unsafe { libc::bind(fd, addr, len) })
}

pub fn listen(fd: c_int, queue: c_int) -> i32 {
    held::nothing_for("listen");
    // SAFETY: takes numbers.
    once(|| unsafe { libc::listen(fd, queue) })
}

fn set(fd: c_int, level: c_int, name: c_int, on: bool) -> i32 {
    held::nothing_for("setsockopt");
    let value = c_int::from(on);
    let size = mem::size_of::<c_int>() as u32;
    // SAFETY: the value is readable, and as long as said.
    once(|| unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) })
}

/// A listener may take the address of one that has just ended.
pub fn reuse_address(fd: c_int) -> i32 {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, true)
}

/// Several sockets may have one address.
pub fn reuse_port(fd: c_int) -> i32 {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, true)
}

/// Whether a socket of IPv6 leaves IPv4 to others.
pub fn only_ipv6(fd: c_int, only: bool) -> i32 {
    set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, only)
}

/// The descriptor is closed by exec from here on.
pub fn close_by_exec(fd: c_int) -> i32 {
    held::nothing_for("fcntl");
    // SAFETY: sets flags.
    once(|| unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })
}

/// The address of a socket of the Unix domain.
pub struct UnixAddress {
    addr: libc::sockaddr_un,
    len: u32,
}

impl UnixAddress {
    /// A path; `@` at its begin: an abstract name. None: it is empty, or too long.
    pub fn new(path: &CStr) -> Option<UnixAddress> {
        let bytes = path.to_bytes();
        let mut addr: libc::sockaddr_un = c::zeros();
        addr.sun_family = libc::AF_UNIX as u16;
        // There is a zero behind a path.
        if bytes.is_empty() || bytes.len() >= addr.sun_path.len() {
            return None;
        }
        for (to, from) in addr.sun_path.iter_mut().zip(bytes) {
            *to = *from as c_char;
        }
        let is_abstract = bytes[0] == b'@';
        if is_abstract {
            addr.sun_path[0] = 0;
        }
        let len = mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + usize::from(!is_abstract);
        Some(UnixAddress { addr, len: len as u32 })
    }

    /// The address, and its length.
    pub fn raw(&self) -> (*const sockaddr, u32) {
        ((&raw const self.addr).cast(), self.len)
    }

    /// Whether it has no file.
    pub fn is_abstract(&self) -> bool {
        self.addr.sun_path[0] == 0
    }
}

/// Removes the file of a socket. ENOTSOCK: the path names another file.
pub fn remove_socket(path: &CStr) -> i32 {
    held::nothing_for("unlink");
    let mut stat: libc::stat = c::zeros();
    // SAFETY: the path is terminated, and `stat` is writable.
    match once(|| unsafe { libc::lstat(path.as_ptr(), &mut stat) }) {
        0 if stat.st_mode & libc::S_IFMT == libc::S_IFSOCK => {}
        0 => return -libc::ENOTSOCK,
        e => return e,
    }
    // SAFETY: the path is terminated.
    once(|| unsafe { libc::unlink(path.as_ptr()) })
}

// ---- several messages at a time -------------------------------------------------------------------------------------

/// Received descriptors are closed by exec.
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvmmsg(fd: c_int, msgs: *mut mmsghdr, n: usize, flags: c_int) -> isize {
    held::nothing_for("recvmmsg");
    let flags = flags | NO_WAIT | libc::MSG_CMSG_CLOEXEC;
    for i in 0..n {
        // SAFETY: the caller's promise; each begins with its header.
        unsafe { complete(msgs.wrapping_add(i).cast(), false) };
    }
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_recvmmsg, fd, [msgs as usize, n, flags as usize, 0, 0]) }
}

/// # Safety
/// As for the call of the system.
pub unsafe fn sendmmsg(fd: c_int, msgs: *mut mmsghdr, n: usize, flags: c_int) -> isize {
    held::nothing_for("sendmmsg");
    for i in 0..n {
        // SAFETY: the caller's promise; each begins with its header.
        unsafe { complete(msgs.wrapping_add(i).cast(), true) };
    }
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_sendmmsg, fd, [msgs as usize, n, (flags | NO_WAIT) as usize, 0, 0]) }
}

// ---- descriptors in messages ----------------------------------------------------------------------------------------

/// The most descriptors that a message carries (SCM_MAX_FD of the kernel).
pub const MOST_FDS: usize = 253;

/// As SCM_PIDFD of the kernel: a descriptor of the sender, which the host may have asked for.
const SCM_PIDFD: c_int = 4;

/// Control data: room for the descriptors, and for what else a host may have asked the system to tell.
#[repr(C, align(8))]
pub struct Control([u8; 1536]);

impl Default for Control {
    fn default() -> Control {
        Control([0; 1536])
    }
}

impl Control {
    /// A message of these bytes with this control data; `len` bytes of it count.
    fn message(&mut self, v: *mut iovec, len: usize) -> msghdr {
        let mut msg: msghdr = c::zeros();
        msg.msg_iov = v;
        msg.msg_iovlen = 1;
        msg.msg_control = (&raw mut self.0).cast();
        msg.msg_controllen = len as _;
        msg
    }

    /// Puts these descriptors, at most [`MOST_FDS`], into the control data, and returns its length.
    ///
    /// # Safety
    /// `fds` has `n` elements.
    pub unsafe fn put(&mut self, fds: *const c_int, n: usize) -> usize {
        let size = (n * mem::size_of::<c_int>()) as u32;
        // SAFETY: computes a number.
        let len = unsafe { libc::CMSG_SPACE(size) } as usize;
        let msg = self.message(ptr::null_mut(), len);
        // SAFETY: the message has control data, with room for a head.
        let head = unsafe { libc::CMSG_FIRSTHDR(&msg) };
        // SAFETY: as above; it is aligned as a head.
        let h = unsafe { &mut *head };
        h.cmsg_level = libc::SOL_SOCKET;
        h.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: computes a number.
        h.cmsg_len = unsafe { libc::CMSG_LEN(size) } as _;
        // SAFETY: the room is behind the head.
        let data = unsafe { libc::CMSG_DATA(head) };
        // SAFETY: there is room for MOST_FDS, and the caller's promise.
        unsafe { ptr::copy_nonoverlapping(fds.cast::<u8>(), data, size as usize) };
        len
    }
}

/// sendmsg of `n` bytes with control data.
///
/// # Safety
/// `buf` is the host's, with `n` bytes.
pub unsafe fn send_with(fd: c_int, control: &mut Control, len: usize, buf: *const c_void, n: usize) -> isize {
    let mut v = iovec { iov_base: buf.cast_mut(), iov_len: n };
    let msg = control.message(&raw mut v, len);
    // SAFETY: the message lives for the call, and the rest is the caller's promise.
    unsafe { super::io::sendmsg(fd, &msg, 0) }
}

/// recvmsg of at most `n` bytes. `got` says how many descriptors came, which are at `fds` then; if there were more than
/// `room`, or more than the system could give, all are closed, and the result is EMSGSIZE.
///
/// # Safety
/// `buf` is the host's with room for `n` bytes, and `fds` with room for `room` descriptors.
pub unsafe fn recv_with(fd: c_int, buf: *mut c_void, n: usize, fds: *mut c_int, room: usize, got: &mut usize) -> isize {
    let mut control = Control::default();
    let mut v = iovec { iov_base: buf, iov_len: n };
    let mut msg = control.message(&raw mut v, mem::size_of::<Control>());
    // SAFETY: the message lives for the call, and the rest is the caller's promise.
    let r = unsafe { super::io::recvmsg(fd, &mut msg, 0) };
    if r < 0 {
        return r;
    }
    let mut count = 0;
    each(&msg, |rights, _| count += usize::from(rights));
    let keep = count <= room && msg.msg_flags & libc::MSG_CTRUNC == 0;
    *got = 0;
    each(&msg, |rights, number| {
        if rights && keep {
            // SAFETY: the caller's promise: no more came than there is room for.
            unsafe { fds.wrapping_add(*got).write(number) };
            *got += 1;
        } else {
            super::io::close(number);
        }
    });
    if keep { r } else { -(libc::EMSGSIZE as isize) }
}

/// Each descriptor in the control data of a received message, and whether the sender has sent it (or the system).
fn each(msg: &msghdr, mut f: impl FnMut(bool, c_int)) {
    // SAFETY: the system has written the control data, and its length.
    let mut head = unsafe { libc::CMSG_FIRSTHDR(msg) };
    // SAFETY: null, or a head in the control data.
    while let Some(h) = unsafe { head.as_ref() } {
        let rights = h.cmsg_level == libc::SOL_SOCKET && h.cmsg_type == libc::SCM_RIGHTS;
        if rights || h.cmsg_level == libc::SOL_SOCKET && h.cmsg_type == SCM_PIDFD {
            // musl has another type.
            #[allow(clippy::unnecessary_cast)]
            let len = h.cmsg_len as usize;
            // SAFETY: computes a number.
            let bytes = len - unsafe { libc::CMSG_LEN(0) } as usize;
            for i in 0..bytes / mem::size_of::<c_int>() {
                // SAFETY: computes an address in the control data.
                let at = unsafe { libc::CMSG_DATA(head) }.cast::<c_int>().wrapping_add(i);
                // SAFETY: the system has written so many numbers.
                f(rights, unsafe { at.read_unaligned() });
            }
        }
        // SAFETY: as above.
        head = unsafe { libc::CMSG_NXTHDR(msg, head) };
    }
}
