//! Linux: messages with more than one run of bytes. The contract is in [`crate::sys`].
//!
//! A result is a number, or a negative errno. Every descriptor is closed by `exec`. No call here switches stacks, and
//! none waits.

use super::held;
use super::io::{NO_WAIT, call};
use core::ffi::{c_int, c_void};
use core::{mem, ptr};

pub use libc::{iovec, mmsghdr, msghdr};

// ---- several messages at a time -------------------------------------------------------------------------------------

/// Received descriptors are closed by exec.
///
/// # Safety
/// As for the call of the system.
pub unsafe fn recvmmsg(fd: c_int, msgs: *mut mmsghdr, n: usize, flags: c_int) -> isize {
    held::nothing_for("recvmmsg");
    let flags = flags | NO_WAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the caller's promise.
    unsafe { call(libc::SYS_recvmmsg, fd, [msgs as usize, n, flags as usize, 0, 0]) }
}

/// # Safety
/// As for the call of the system.
pub unsafe fn sendmmsg(fd: c_int, msgs: *mut mmsghdr, n: usize, flags: c_int) -> isize {
    held::nothing_for("sendmmsg");
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

impl Control {
    pub fn new() -> Control {
        Control([0; 1536])
    }

    /// A message of these bytes with this control data; `len` bytes of it count.
    fn message(&mut self, v: *mut iovec, len: usize) -> msghdr {
        let mut msg: msghdr = super::c::zeros();
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
    let mut control = Control::new();
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
            // SAFETY: computes a number.
            let bytes = h.cmsg_len as usize - unsafe { libc::CMSG_LEN(0) } as usize;
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
