//! Linux: what a descriptor is called, for reports. The contract is in [`crate::sys`].

use super::linux::KeepErrno;
use core::ffi::c_int;
use core::mem::{MaybeUninit, offset_of, size_of};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address of a socket.
pub enum Name {
    Ip(SocketAddr),
    /// A path, or an abstract name behind a zero; empty if the socket has none.
    Unix(UnixName),
}

/// See [`Name::Unix`].
pub struct UnixName {
    bytes: [u8; 108],
    len: usize,
}

impl UnixName {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The address of the peer of a socket.
pub fn of_peer(fd: c_int) -> Option<Name> {
    // SAFETY: `ask` passes room for a name.
    ask(|name, len| unsafe { libc::getpeername(fd, name, len) })
}

/// The address of the socket itself.
pub fn of_socket(fd: c_int) -> Option<Name> {
    // SAFETY: as above.
    ask(|name, len| unsafe { libc::getsockname(fd, name, len) })
}

/// `call` writes a name, which has room for as many bytes as the length says.
fn ask(call: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> c_int) -> Option<Name> {
    let _errno = KeepErrno::new();
    let mut name = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    if call(name.as_mut_ptr().cast(), &mut len) != 0 {
        return None;
    }
    // SAFETY: numbers, which are zero where the system has written nothing.
    let name = unsafe { name.assume_init() };
    let at = core::ptr::from_ref(&name);
    match c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: it is one, by its family.
            let v4 = unsafe { &*at.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some(Name::Ip(SocketAddr::new(ip.into(), u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*at.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(Name::Ip(SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port))))
        }
        libc::AF_UNIX => {
            // SAFETY: as above.
            let unix = unsafe { &*at.cast::<libc::sockaddr_un>() };
            let bytes = unix.sun_path.map(|c| c as u8);
            let most = (len as usize).saturating_sub(offset_of!(libc::sockaddr_un, sun_path)).min(bytes.len());
            // A path may end with a zero.
            let end = bytes[..most].iter().skip(1).position(|&c| c == 0).map_or(most, |n| n + 1);
            Some(Name::Unix(UnixName { bytes, len: if most == 0 || bytes[0] == 0 { most } else { end } }))
        }
        _ => None,
    }
}
