//! Where the page is served: `unix:PATH`, `127.0.0.1:PORT`, `[::1]:PORT`, and with a flag any `IP:PORT`.
//!
//! A socket in a directory is for its user alone: the file has the mode 0600 from its first moment on, and each
//! connection tells its user. A socket that is left there by a process that has ended makes room; every other file
//! stays, and so does the socket of another user.

use std::ffi::OsStr;
use std::fs;
use std::io::Error;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::table::{ANYWHERE, OWN_DIRECTORY};

/// An errno.
pub type Errno = i32;

#[derive(Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl Address {
    /// # Errors
    /// EINVAL: it is no address, or one that the flags forbid.
    pub fn parse(text: &[u8], flags: u32) -> Result<Address, Errno> {
        if let Some(path) = text.strip_prefix(b"unix:") {
            let whole = path.first() == Some(&b'/');
            return whole.then(|| Address::Unix(OsStr::from_bytes(path).into())).ok_or(libc::EINVAL);
        }
        let at: SocketAddr = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(libc::EINVAL)?;
        let here = match at.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        if here || flags & ANYWHERE != 0 { Ok(Address::Tcp(at)) } else { Err(libc::EINVAL) }
    }
}

/// A socket that listens.
pub struct Listener {
    pub fd: OwnedFd,
    /// Where a connection reaches it: None for a file.
    pub at: Option<SocketAddr>,
    /// Its file, with its device and number.
    pub file: Option<(PathBuf, u64, u64)>,
}

fn errno_of(e: &Error) -> Errno {
    e.raw_os_error().unwrap_or(libc::EIO)
}

pub fn last_errno() -> Errno {
    errno_of(&Error::last_os_error())
}

/// # Errors
/// Why there is no such socket.
pub fn listen(address: &Address, flags: u32) -> Result<Listener, Errno> {
    match address {
        Address::Tcp(at) => {
            let listener = TcpListener::bind(at).map_err(|e| errno_of(&e))?;
            listener.set_nonblocking(true).map_err(|e| errno_of(&e))?;
            let at = listener.local_addr().map_err(|e| errno_of(&e))?;
            Ok(Listener { fd: apart(listener.into())?, at: Some(at), file: None })
        }
        Address::Unix(path) => {
            if flags & OWN_DIRECTORY != 0 {
                make_directory(path)?;
            }
            make_room(path)?;
            let fd = bind_file(path)?;
            let meta = fs::symlink_metadata(path).map_err(|e| errno_of(&e))?;
            Ok(Listener { fd, at: None, file: Some((path.clone(), meta.dev(), meta.ino())) })
        }
    }
}

/// The directory of the file, for the user alone.
fn make_directory(path: &Path) -> Result<(), Errno> {
    let Some(directory) = path.parent() else { return Err(libc::EINVAL) };
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => Err(errno_of(&e)),
        _ => Ok(()),
    }
}

/// Removes the socket of a process that has ended.
fn make_room(path: &Path) -> Result<(), Errno> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    if !meta.file_type().is_socket() {
        return Err(libc::EEXIST);
    }
    if meta.uid() != own_uid() {
        return Err(libc::EPERM);
    }
    match UnixStream::connect(path) {
        Err(e) if e.raw_os_error() == Some(libc::ECONNREFUSED) => fs::remove_file(path).map_err(|e| errno_of(&e)),
        _ => Err(libc::EADDRINUSE),
    }
}

pub fn own_uid() -> u32 {
    // SAFETY: takes nothing.
    unsafe { libc::geteuid() }
}

/// The descriptor with a number of at least 3: where the program has closed its standard output, what it prints must
/// not come here.
///
/// # Errors
/// There is no such descriptor left.
pub fn apart(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() >= 3 {
        return Ok(fd);
    }
    // SAFETY: takes numbers.
    let other = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: just made, and not closed elsewhere.
    Ok(unsafe { OwnedFd::from_raw_fd(other) })
}

fn checked(n: i32) -> Result<i32, Errno> {
    if n < 0 { Err(last_errno()) } else { Ok(n) }
}

fn bind_file(path: &Path) -> Result<OwnedFd, Errno> {
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: zeros are an address.
    let mut at: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    if bytes.len() >= at.sun_path.len() {
        return Err(libc::ENAMETOOLONG);
    }
    at.sun_family = libc::AF_UNIX as u16;
    for (to, from) in at.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes numbers.
    let fd = checked(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: just made, and not closed elsewhere.
    let fd = apart(unsafe { OwnedFd::from_raw_fd(fd) })?;
    // Before it has a file: that one gets the mode of the socket.
    // SAFETY: takes numbers.
    checked(unsafe { libc::fchmod(fd.as_raw_fd(), 0o600) })?;
    let size = size_of::<libc::sockaddr_un>() as u32;
    // SAFETY: an address of this size.
    checked(unsafe { libc::bind(fd.as_raw_fd(), (&raw const at).cast(), size) })?;
    // SAFETY: takes numbers.
    checked(unsafe { libc::listen(fd.as_raw_fd(), 128) })?;
    Ok(fd)
}

/// The user of the process that has connected to a socket with a file.
pub fn peer(fd: RawFd) -> Option<u32> {
    let mut cred = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut size = size_of::<libc::ucred>() as u32;
    // SAFETY: the room is as large as said.
    let got =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut cred).cast(), &raw mut size) };
    (got == 0).then_some(cred.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_alone() {
        let good = ["127.0.0.1:0", "127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080"];
        for text in good {
            assert_eq!(Address::parse(text.as_bytes(), 0), Ok(Address::Tcp(text.parse().unwrap())), "{text}");
        }
        for text in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[2001:db8::1]:80"] {
            assert_eq!(Address::parse(text.as_bytes(), 0), Err(libc::EINVAL), "{text}");
            assert!(Address::parse(text.as_bytes(), ANYWHERE).is_ok(), "{text}");
        }
        let bad =
            ["", "unix", "unix:", "unix:here.sock", "127.0.0.1", "127.0.0.1:", "localhost:80", ":80", "x", "1:2:3"];
        for text in bad {
            assert_eq!(Address::parse(text.as_bytes(), ANYWHERE), Err(libc::EINVAL), "{text}");
        }
        assert_eq!(Address::parse(b"unix:/a/b", 0), Ok(Address::Unix("/a/b".into())));
    }
}
