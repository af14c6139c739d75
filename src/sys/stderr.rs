//! Writes the library's reports to descriptor 2. No other file writes there.
//!
//! A report must not hold up the thread that makes it: the reader of a pipe or of a terminal may be gone, or may never
//! read again. So each piece is written only if that is possible at once. Otherwise the piece is dropped, its lines are
//! counted, and the next piece that is written comes after a remark with the number of missing lines.
//!
//! A host may close descriptor 2, and the next file that it opens, perhaps a database, gets the number. So the library
//! writes there only while the number names the same file as at the start of the runtime.
//!
//! Invariants: everything here is async-signal-safe and keeps errno; no SIGPIPE reaches the host.

use super::c;
use super::linux::KeepErrno;
use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const FD: c_int = 2;
/// A pipe with any room takes so many bytes at once: PIPE_BUF of Linux.
const PIECE: usize = 4096;

/// Lines that were not written, and are not in a remark yet.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Device and inode of the file at the start. An inode of 0, which no file has, means that there was none.
static DEVICE: AtomicU64 = AtomicU64::new(0);
static INODE: AtomicU64 = AtomicU64::new(0);

/// Remembers the file at descriptor 2 as the one to write to.
pub fn remember() {
    let _errno = KeepErrno::new();
    let (device, inode) = stat(FD).map_or((0, 0), |s| (s.st_dev, s.st_ino));
    // Relaxed: a report that comes between the two stores finds neither file, and is dropped.
    DEVICE.store(device, Ordering::Relaxed);
    INODE.store(inode, Ordering::Relaxed);
}

fn is_remembered() -> bool {
    let _errno = KeepErrno::new();
    let remembered = (DEVICE.load(Ordering::Relaxed), INODE.load(Ordering::Relaxed));
    remembered.1 != 0 && stat(FD).is_some_and(|s| (s.st_dev, s.st_ino) == remembered)
}

fn stat(fd: c_int) -> Option<libc::stat> {
    let mut stat = c::zeros();
    // SAFETY: `stat` is writable.
    (unsafe { libc::fstat(fd, &mut stat) } == 0).then_some(stat)
}

/// Counts a line that was not even built.
pub fn drop_line() {
    DROPPED.fetch_add(1, Ordering::Relaxed);
}

/// Writes lines, or drops them. Never waits.
pub fn say(text: &[u8]) {
    if is_remembered() {
        say_to(FD, text, &DROPPED);
    } else {
        DROPPED.fetch_add(lines(text), Ordering::Relaxed);
    }
}

fn say_to(fd: c_int, text: &[u8], dropped: &AtomicU32) {
    let _errno = KeepErrno::new();
    let missing = dropped.swap(0, Ordering::Relaxed);
    let mut room = [0; 64];
    if missing > 0 && !put(fd, remark(missing, &mut room)) {
        dropped.fetch_add(missing.saturating_add(lines(text)), Ordering::Relaxed);
        return;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_len(rest));
        if !put(fd, piece) {
            dropped.fetch_add(lines(rest), Ordering::Relaxed);
            return;
        }
        rest = after;
    }
}

fn lines(text: &[u8]) -> u32 {
    text.iter().filter(|&&b| b == b'\n').count().max(1) as u32
}

/// As many whole lines as fit into a piece, or the beginning of one that is too long.
fn piece_len(text: &[u8]) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    text[..PIECE].iter().rposition(|&b| b == b'\n').map_or(PIECE, |at| at + 1)
}

fn remark(missing: u32, room: &mut [u8; 64]) -> &[u8] {
    let mut digits = [0; 10];
    let mut at = digits.len();
    let mut n = missing;
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    let mut len = 0;
    for part in [&b"libgomax: "[..], &digits[at..], b" lines could not be written\n"] {
        room[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    &room[..len]
}

/// Writes the whole piece. False if that is not possible at once.
fn put(fd: c_int, mut piece: &[u8]) -> bool {
    while !piece.is_empty() {
        let mut p = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one pollfd.
        let ready = unsafe { libc::poll(&mut p, 1, 0) };
        if ready != 1 || p.revents != libc::POLLOUT {
            return false;
        }
        match write_now(fd, piece) {
            n @ 1.. => piece = &piece[n as usize..],
            n if n == -(libc::EINTR as isize) => {}
            _ => return false,
        }
    }
    true
}

/// Returns the number of bytes written, or a negative errno.
fn write_now(fd: c_int, piece: &[u8]) -> isize {
    let pipe = c::signals([libc::SIGPIPE]);
    let old = c::mask_signals(libc::SIG_BLOCK, &pipe);
    let pending = c::pending_signals();
    let n = write_without_waiting(fd, piece);
    if n == -(libc::EPIPE as isize) && !c::has_signal(&pending, libc::SIGPIPE) {
        // SAFETY: the set and the time, which is 0, are readable.
        unsafe { libc::sigtimedwait(&pipe, ptr::null_mut(), &c::zeros()) };
    }
    c::mask_signals(libc::SIG_SETMASK, &old);
    n
}

/// Writes without waiting. Between the poll and the write another writer may fill a pipe. Since Linux 6.4 a pipe can be
/// written to without waiting even then. Before that there is no way for a file description that is shared with the
/// host.
fn write_without_waiting(fd: c_int, piece: &[u8]) -> isize {
    let errno = KeepErrno::new();
    let fails = |n: isize| if n < 0 { -(errno.now() as isize) } else { n };
    let iov = libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() };
    if is_pipe(fd) {
        // The last argument is passed on the stack, where an int would leave half of its place unset.
        let flags = libc::RWF_NOWAIT as usize;
        // SAFETY: `iov` is one vector, whose slice is readable, and the file's own offset (-1) is used.
        let n = unsafe { libc::syscall(libc::SYS_pwritev2, fd, &raw const iov, 1usize, -1isize, -1isize, flags) };
        if n >= 0 || !matches!(errno.now(), libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::EPERM) {
            return fails(n as isize);
        }
    }
    // SAFETY: the slice is readable, and as long as said.
    fails(unsafe { libc::write(fd, piece.as_ptr().cast(), piece.len()) })
}

fn is_pipe(fd: c_int) -> bool {
    stat(fd).is_some_and(|s| s.st_mode & libc::S_IFMT == libc::S_IFIFO)
}

#[cfg(test)]
mod tests {
    use super::c::close;
    use super::*;

    fn pipe() -> [c_int; 2] {
        let mut fds = [0; 2];
        // SAFETY: room for two.
        assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
        // SAFETY: takes a number.
        unsafe { libc::fcntl(fds[1], libc::F_SETPIPE_SZ, 8192) };
        fds
    }

    fn read(fd: c_int) -> Vec<u8> {
        let mut buf = vec![0; 1 << 16];
        let n = c::read(fd, &mut buf);
        buf.truncate(n.max(0) as usize);
        buf
    }

    #[test]
    fn a_full_pipe_drops_lines_and_counts_them() {
        let [from, to] = pipe();
        let dropped = AtomicU32::new(0);
        for i in 0..10_000 {
            say_to(to, format!("line {i}\n").as_bytes(), &dropped);
        }
        let missing = dropped.load(Ordering::Relaxed);
        let first = String::from_utf8(read(from)).unwrap();
        assert_eq!(first.lines().count() as u32 + missing, 10_000);
        assert!(first.ends_with('\n'), "lines are whole");
        say_to(to, b"the last\n", &dropped);
        assert_eq!(read(from), format!("libgomax: {missing} lines could not be written\nthe last\n").as_bytes());
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        close(from);
        close(to);
    }

    #[test]
    fn a_long_text_is_cut_at_lines() {
        let [from, to] = pipe();
        let dropped = AtomicU32::new(0);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        say_to(to, &line.repeat(100), &dropped);
        let got = read(from);
        assert!(got.len() >= 4000 && got.len().is_multiple_of(1000), "{}", got.len());
        assert_eq!(got.len() / 1000 + dropped.load(Ordering::Relaxed) as usize, 100);
        close(from);
        close(to);
    }

    #[test]
    fn a_pipe_without_a_reader_and_no_descriptor_at_all() {
        let [from, to] = pipe();
        let dropped = AtomicU32::new(0);
        close(from);
        c::set_errno(77);
        say_to(to, b"one\n", &dropped);
        assert_eq!(write_now(to, b"two\n"), -(libc::EPIPE as isize), "and no SIGPIPE, which would end this test");
        assert!(!c::has_signal(&c::pending_signals(), libc::SIGPIPE));
        close(to);
        say_to(-1, b"three\n", &dropped);
        assert_eq!(c::errno(), 77);
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }
}
