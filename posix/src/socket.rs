//! recv, send and their like, accept and connect.
//!
//! MSG_DONTWAIT makes each of them without waiting. accept has no such flag: it is made after poll has found a
//! connection, and no two Gs do both at the same time, since the second would find the connection gone. connect has
//! none either: it takes the thread, and gives the P away.

use crate::wait::{End, Limits, wait};
use crate::{api, gmx, held, next, sys};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::ptr;
use libc::{iovec, msghdr, sockaddr, socklen_t};

const EAGAIN: isize = -(libc::EAGAIN as isize);
/// A call with one of these does not wait, or waits for something else.
const NOT_OURS: c_int = libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE | libc::MSG_OOB;

/// A direction of a descriptor: the event that a call waits for, and the option with its timeout.
#[derive(Clone, Copy)]
pub struct Way {
    pub events: u32,
    pub timeout: c_int,
}

pub const IN: Way = Way { events: gmx::POLL_IN, timeout: libc::SO_RCVTIMEO };
pub const OUT: Way = Way { events: gmx::POLL_OUT, timeout: libc::SO_SNDTIMEO };

/// What a call that would wait does next.
pub enum Then {
    Again,
    /// It ends with this.
    Ends(isize),
    /// The function behind this one is called.
    Next,
}

/// SHIM-A3 to SHIM-A6. `until` keeps the moment of the caller's timeout between two waits of a call.
///
/// # Migrates
pub fn would_wait(fd: c_int, way: Way, until: &mut Option<i64>) -> Then {
    let moment = match *until {
        Some(moment) => moment,
        None => match Limits::of(fd, way.timeout) {
            Ok(Limits::Until(moment)) => moment,
            Ok(Limits::NonBlocking) => return Then::Ends(EAGAIN),
            Err(e) => return Then::Ends(e),
        },
    };
    *until = Some(moment);
    if held::is_held() {
        return Then::Next;
    }
    match wait(fd, way.events, moment) {
        // SHIM-I5
        End::Ready => Then::Again,
        End::TimedOut => Then::Ends(EAGAIN),
        End::Closed => Then::Ends(-(libc::EBADF as isize)),
        End::Canceled => Then::Ends(-(libc::ECANCELED as isize)),
        End::Cannot => Then::Next,
    }
}

/// A call that ends with its first result: `now` does not wait, `next` may.
///
/// # Migrates
pub fn once(fd: c_int, way: Way, now: impl Fn() -> isize, next: impl Fn() -> isize) -> isize {
    let mut until = None;
    loop {
        let r = now();
        if r != EAGAIN {
            return sys::result(r);
        }
        match would_wait(fd, way, &mut until) {
            Then::Again => {}
            Then::Ends(r) => return sys::result(r),
            Then::Next => return held::on_thread(&next),
        }
    }
}

/// A call that moves all of `n` bytes, unless an error or the time ends it. `now` and `next` are told how many have
/// been moved.
///
/// # Migrates
pub fn all(fd: c_int, way: Way, n: usize, now: impl Fn(usize) -> isize, next: impl Fn(usize) -> isize) -> isize {
    let (mut until, mut done) = (None, 0);
    // What has been moved counts more than how it ended.
    let ends = |done: usize, r: isize| if done > 0 { done as isize } else { r };
    loop {
        let r = now(done);
        if r >= 0 {
            done += r as usize;
            if done >= n || r == 0 {
                return done as isize;
            }
            continue;
        }
        match if r == EAGAIN { would_wait(fd, way, &mut until) } else { Then::Ends(r) } {
            Then::Again => {}
            Then::Ends(_) if done > 0 => return done as isize,
            Then::Ends(r) => return sys::result(r),
            Then::Next => {
                let r = held::on_thread(|| next(done));
                return if r > 0 { (done as isize) + r } else { ends(done, r) };
            }
        }
    }
}

/// recvfrom that does not wait.
///
/// # Safety
/// As for recvfrom(2).
pub unsafe fn receive(fd: c_int, buf: usize, n: usize, flags: c_int, addr: usize, len: usize) -> isize {
    let flags = (flags | libc::MSG_DONTWAIT) as usize;
    // SAFETY: the caller's promise.
    unsafe { sys::call(libc::SYS_recvfrom, [fd as usize, buf, n, flags, addr, len]) }
}

/// sendto that does not wait; a part after the first raises no signal, since the call then ends with a number.
///
/// # Safety
/// As for sendto(2).
pub unsafe fn transmit(
    fd: c_int,
    buf: *const c_void,
    n: usize,
    flags: c_int,
    done: usize,
    to: (usize, usize),
) -> isize {
    let quiet = if done > 0 { libc::MSG_NOSIGNAL } else { 0 };
    let flags = (flags | libc::MSG_DONTWAIT | quiet) as usize;
    // SAFETY: the caller's promise; `done` is not more than `n`.
    unsafe { sys::call(libc::SYS_sendto, [fd as usize, buf as usize + done, n - done, flags, to.0, to.1]) }
}

/// # Safety
/// As for recv(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(fd: c_int, buf: *mut c_void, n: usize, flags: c_int) -> isize {
    if flags & NOT_OURS != 0 || !api::is_active(api::SOCKETS) {
        // SAFETY: the caller's promise.
        return unsafe { next::recv(fd, buf, n, flags) };
    }
    // SAFETY: the caller's promise.
    unsafe { receive_on_g(fd, buf, n, flags, ptr::null_mut(), ptr::null_mut()) }
}

/// # Safety
/// As for recvfrom(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    n: usize,
    flags: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
) -> isize {
    if flags & NOT_OURS != 0 || !api::is_active(api::SOCKETS) {
        // SAFETY: the caller's promise.
        return unsafe { next::recvfrom(fd, buf, n, flags, addr, len) };
    }
    // SAFETY: the caller's promise.
    unsafe { receive_on_g(fd, buf, n, flags, addr, len) }
}

/// # Migrates
///
/// # Safety
/// As for recvfrom(2).
unsafe fn receive_on_g(
    fd: c_int,
    buf: *mut c_void,
    n: usize,
    flags: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
) -> isize {
    let (to, addr_at, len_at) = (buf as usize, addr as usize, len as usize);
    // SAFETY: the caller's promise.
    let next = |done: usize| unsafe { next::recvfrom(fd, buf.wrapping_byte_add(done), n - done, flags, addr, len) };
    if flags & libc::MSG_WAITALL == 0 {
        // SAFETY: the caller's promise.
        return once(fd, IN, || unsafe { receive(fd, to, n, flags, addr_at, len_at) }, || next(0));
    }
    if flags & libc::MSG_PEEK != 0 || sys::option(fd, libc::SO_TYPE, 0) != Ok(libc::SOCK_STREAM) {
        return held::on_thread(|| next(0));
    }
    // SAFETY: the caller's promise; `done` is not more than `n`.
    all(fd, IN, n, |done| unsafe { receive(fd, to + done, n - done, flags, addr_at, len_at) }, next)
}

/// # Safety
/// As for recvmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> isize {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::recvmsg(fd, msg, flags) };
    if flags & NOT_OURS != 0 || !api::is_active(api::SOCKETS) {
        return next();
    }
    if flags & libc::MSG_WAITALL != 0 {
        return held::on_thread(next);
    }
    let at_once = (flags | libc::MSG_DONTWAIT) as usize;
    // SAFETY: the caller's promise.
    once(fd, IN, || unsafe { sys::call(libc::SYS_recvmsg, [fd as usize, msg as usize, at_once, 0, 0, 0]) }, next)
}

/// # Safety
/// As for send(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, buf: *const c_void, n: usize, flags: c_int) -> isize {
    if flags & NOT_OURS != 0 || !api::is_active(api::SOCKETS) {
        // SAFETY: the caller's promise.
        return unsafe { next::send(fd, buf, n, flags) };
    }
    // SAFETY: the caller's promise.
    unsafe { send_on_g(fd, buf, n, flags) }
}

/// # Migrates
///
/// # Safety
/// As for send(2).
unsafe fn send_on_g(fd: c_int, buf: *const c_void, n: usize, flags: c_int) -> isize {
    let next = |done: usize| {
        let quiet = if done > 0 { libc::MSG_NOSIGNAL } else { 0 };
        // SAFETY: the caller's promise; `done` is not more than `n`.
        unsafe { next::send(fd, buf.wrapping_byte_add(done), n - done, flags | quiet) }
    };
    // SAFETY: the caller's promise.
    all(fd, OUT, n, |done| unsafe { transmit(fd, buf, n, flags, done, (0, 0)) }, next)
}

/// With an address, a call that would wait takes the thread: poll does not know for which receiver.
///
/// # Safety
/// As for sendto(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    fd: c_int,
    buf: *const c_void,
    n: usize,
    flags: c_int,
    addr: *const sockaddr,
    len: socklen_t,
) -> isize {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::sendto(fd, buf, n, flags, addr, len) };
    if flags & (NOT_OURS | libc::MSG_FASTOPEN) != 0 || !api::is_active(api::SOCKETS) {
        return next();
    }
    if addr.is_null() {
        // SAFETY: the caller's promise.
        return unsafe { send_on_g(fd, buf, n, flags) };
    }
    // SAFETY: the caller's promise.
    match unsafe { transmit(fd, buf, n, flags, 0, (addr as usize, len as usize)) } {
        EAGAIN => held::on_thread(next),
        r if r >= 0 && (r as usize) < n => {
            // A stream socket ignores the address.
            // SAFETY: the caller's promise.
            let more =
                unsafe { send_on_g(fd, buf.wrapping_byte_add(r as usize), n - r as usize, flags | libc::MSG_NOSIGNAL) };
            r + more.max(0)
        }
        r => sys::result(r),
    }
}

/// # Safety
/// As for sendmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> isize {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::sendmsg(fd, msg, flags) };
    if flags & (NOT_OURS | libc::MSG_FASTOPEN) != 0 || msg.is_null() || !api::is_active(api::SOCKETS) {
        return next();
    }
    // SAFETY: the caller's promise.
    let m = unsafe { msg.read() };
    let at_once = (flags | libc::MSG_DONTWAIT) as usize;
    // SAFETY: the caller's promise.
    let now = || unsafe { sys::call(libc::SYS_sendmsg, [fd as usize, msg as usize, at_once, 0, 0, 0]) };
    if !m.msg_name.is_null() {
        match now() {
            EAGAIN => return held::on_thread(next),
            // SAFETY: the caller's promise.
            r => return unsafe { rest(fd, m.msg_iov, m.msg_iovlen, flags, sys::result(r)) },
        }
    }
    let sent = once(fd, OUT, now, next);
    // SAFETY: the caller's promise.
    unsafe { rest(fd, m.msg_iov, m.msg_iovlen, flags, sent) }
}

/// Sends what is left after the first `sent` bytes of a vector, without control data, which went with these. A message
/// that does not wait has gone as a whole already, or its socket is one of a stream.
///
/// # Safety
/// As for sendmsg(2).
pub unsafe fn rest(fd: c_int, v: *const iovec, n: usize, flags: c_int, sent: isize) -> isize {
    let Ok(mut skip) = usize::try_from(sent) else { return sent };
    let mut done = sent;
    for i in 0..n {
        // SAFETY: the caller's promise.
        let part = unsafe { v.wrapping_add(i).read() };
        let here = skip.min(part.iov_len);
        skip -= here;
        if here == part.iov_len {
            continue;
        }
        if sent == 0 {
            return 0;
        }
        let (from, n) = (part.iov_base.wrapping_byte_add(here), part.iov_len - here);
        // SAFETY: the caller's promise.
        match unsafe { send_on_g(fd, from, n, flags | libc::MSG_NOSIGNAL) } {
            r if r < 0 => return done,
            r => {
                done += r;
                if (r as usize) < n {
                    return done;
                }
            }
        }
    }
    done
}

/// The next one to look for a connection and take it, for each number modulo their count.
static TURNS: [Turn; 16] = [const { Turn(UnsafeCell::new(gmx::Mutex::new())) }; 16];

struct Turn(UnsafeCell<gmx::Mutex>);

// SAFETY: only libgomax uses the mutex, by atomic operations.
unsafe impl Sync for Turn {}

/// # Migrates
///
/// # Safety
/// As for accept4(2).
unsafe fn accept_on_g(
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
    next: impl Fn() -> c_int,
) -> c_int {
    // What is no listener gets its error from the system.
    if sys::option(fd, libc::SO_ACCEPTCONN, 0) != Ok(1) {
        return next();
    }
    let turn = TURNS[fd as usize % TURNS.len()].0.get();
    let now = || {
        // SAFETY: the mutex lives as long as the program.
        let locked = !held::is_held() && unsafe { gmx::gmx_mutex_lock(turn) } == gmx::OK;
        let mut r = EAGAIN;
        if sys::is_ready(fd, libc::POLLIN) {
            let (addr, len) = (addr as usize, len as usize);
            // SAFETY: the caller's promise.
            r = unsafe { sys::call(libc::SYS_accept4, [fd as usize, addr, len, flags as usize, 0, 0]) };
        }
        if locked {
            // SAFETY: as above.
            unsafe { gmx::gmx_mutex_unlock(turn) };
        }
        r
    };
    once(fd, IN, now, || next() as isize) as c_int
}

/// # Safety
/// As for accept(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::accept(fd, addr, len) };
    if !api::is_active(api::SOCKETS) {
        return next();
    }
    // SAFETY: the caller's promise.
    unsafe { accept_on_g(fd, addr, len, 0, next) }
}

/// # Safety
/// As for accept4(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::accept4(fd, addr, len, flags) };
    if !api::is_active(api::SOCKETS) {
        return next();
    }
    // SAFETY: the caller's promise.
    unsafe { accept_on_g(fd, addr, len, flags, next) }
}

/// # Safety
/// As for connect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the caller's promise.
    let next = || unsafe { next::connect(fd, addr, len) };
    if !api::is_active(api::SOCKETS) || !matches!(sys::is_nonblocking(fd), Ok(false)) {
        return next();
    }
    // SHIM-I2: without O_NONBLOCK the system waits until the connection is there.
    held::on_thread(next)
}

/// # Safety
/// As for recv(2), with the size of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recv_chk(fd: c_int, buf: *mut c_void, n: usize, room: usize, flags: c_int) -> isize {
    if n <= room && api::is_active(api::SOCKETS) {
        // SAFETY: the caller's promise.
        return unsafe { recv(fd, buf, n, flags) };
    }
    // SAFETY: the caller's promise.
    unsafe { next::__recv_chk(fd, buf, n, room, flags) }
}

/// # Safety
/// As for recvfrom(2), with the size of the buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buf: *mut c_void,
    n: usize,
    room: usize,
    flags: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
) -> isize {
    if n <= room && api::is_active(api::SOCKETS) {
        // SAFETY: the caller's promise.
        return unsafe { recvfrom(fd, buf, n, flags, addr, len) };
    }
    // SAFETY: the caller's promise.
    unsafe { next::__recvfrom_chk(fd, buf, n, room, flags, addr, len) }
}
