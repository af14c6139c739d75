//! Sockets that wait for others: listeners, and sockets for datagrams.
//!
//! A socket that is to have all addresses of the machine is one of IPv6 that takes IPv4 as well, where the system has
//! IPv6, and one of IPv4 elsewhere. So a server has one socket, as in Go.
//!
//! The file of a Unix socket outlives its listener: the next listener finds it there. It is stale if no process answers
//! at it. [`Wishes::unlink`] removes it only then. Two processes that do so at the same time may remove the file of the
//! other one; a lock beside the socket is the host's to have.

use super::fd;
use super::names::{self, Names};
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::sys::io;
use crate::sys::net::{self, Hints, UnixAddress, addrinfo};
use std::ffi::CStr;

/// What the caller wants beside an address.
#[derive(Clone, Copy)]
pub struct Wishes {
    /// The length of the queue of connections; 0: as long as the system has it.
    pub queue: i32,
    pub patient: bool,
    pub reuse_port: bool,
    pub only_ipv6: bool,
    /// Removes a stale file of a Unix socket.
    pub unlink: bool,
    /// How long the names may be looked up.
    pub timeout: i64,
}

/// A socket of ours, closed unless it is taken.
pub struct Own(i32);

impl Own {
    pub fn new(family: i32, kind: i32, protocol: i32) -> Result<Own> {
        let fd = net::socket(family, kind, protocol);
        if fd < 0 { Err(Error::Os(-fd)) } else { Ok(Own(fd)) }
    }

    pub fn number(&self) -> i32 {
        self.0
    }

    /// Its number; the caller closes it.
    pub fn into_number(self) -> i32 {
        let number = self.0;
        std::mem::forget(self);
        number
    }

    /// A handle for it.
    pub fn into_handle(self, m: MRef, patient: bool) -> Result<u64> {
        let handle = fd::open(m, self.0, false, patient)?;
        std::mem::forget(self);
        Ok(handle)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        io::close(self.0);
    }
}

fn ok(r: i32) -> Result<()> {
    if r == 0 { Ok(()) } else { Err(Error::Os(-r)) }
}

/// Addresses from the resolver.
pub struct Found(*mut addrinfo);

impl Found {
    /// # Migrates
    pub fn look_up(m: MRef, names: Names<'_>, hints: Hints, timeout: i64) -> Result<Found> {
        let hints = hints.to_system();
        // SAFETY: the hints are readable.
        unsafe { names::look_up(m, names, &raw const hints, timeout) }.map(Found)
    }

    pub fn iter(&self) -> impl Iterator<Item = &addrinfo> {
        // SAFETY: the list lives as long as this.
        let mut next = unsafe { self.0.as_ref() };
        std::iter::from_fn(move || {
            let this = next?;
            // SAFETY: as above.
            next = unsafe { this.ai_next.as_ref() };
            Some(this)
        })
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        // SAFETY: from the resolver, and freed once.
        unsafe { net::free(self.0) };
    }
}

/// A listener of TCP.
///
/// # Migrates
pub fn tcp(m: MRef, names: Names<'_>, wishes: Wishes) -> Result<u64> {
    inet(m, names, net::STREAM, wishes)
}

/// A socket for datagrams of UDP.
///
/// # Migrates
pub fn udp(m: MRef, names: Names<'_>, wishes: Wishes) -> Result<u64> {
    inet(m, names, net::DATAGRAM, wishes)
}

fn inet(m: MRef, names: Names<'_>, kind: i32, wishes: Wishes) -> Result<u64> {
    let families: &[i32] = match (names.node, wishes.only_ipv6) {
        (_, true) => &[net::IPV6],
        (Some(_), false) => &[net::ANY_FAMILY],
        // All addresses.
        (None, false) => &[net::IPV6, net::IPV4],
    };
    let mut first = None;
    let mut m = m;
    for &family in families {
        let found = Found::look_up(m, names, Hints { family, kind, passive: true }, wishes.timeout)?;
        m = m.by_now();
        for at in found.iter() {
            match one(at, kind, wishes).and_then(|socket| socket.into_handle(m, wishes.patient)) {
                Ok(handle) => return Ok(handle),
                // The system has no IPv6, or has switched it off.
                Err(Error::Os(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
                    if family == net::IPV6 && families.len() > 1 => {}
                Err(e) => first = first.or(Some(e)),
            }
        }
        if first.is_some() {
            break;
        }
    }
    Err(first.unwrap_or(Error::Os(libc::EAFNOSUPPORT)))
}

fn one(at: &addrinfo, kind: i32, wishes: Wishes) -> Result<Own> {
    let socket = Own::new(at.ai_family, kind, at.ai_protocol)?;
    let fd = socket.number();
    if at.ai_family == net::IPV6 {
        ok(net::only_ipv6(fd, wishes.only_ipv6))?;
    }
    if wishes.reuse_port {
        ok(net::reuse_port(fd))?;
    }
    // Two sockets for datagrams with one address would take them from each other.
    if kind == net::STREAM {
        ok(net::reuse_address(fd))?;
    }
    // SAFETY: the address is the resolver's.
    ok(unsafe { net::bind(fd, at.ai_addr, at.ai_addrlen) })?;
    if kind == net::STREAM {
        listen(fd, wishes)?;
    }
    Ok(socket)
}

fn listen(fd: i32, wishes: Wishes) -> Result<()> {
    ok(net::listen(fd, if wishes.queue > 0 { wishes.queue } else { net::LONGEST_QUEUE }))
}

/// A listener of the Unix domain, with a path or an abstract name.
pub fn unix(m: MRef, path: &CStr, wishes: Wishes) -> Result<u64> {
    let at = UnixAddress::new(path).ok_or(Error::Os(libc::ENAMETOOLONG))?;
    let socket = Own::new(net::UNIX, net::STREAM, 0)?;
    let fd = socket.number();
    let (addr, len) = at.raw();
    // SAFETY: the address is as long as it says.
    let bind = || ok(unsafe { net::bind(fd, addr, len) });
    match bind() {
        Err(Error::Os(libc::EADDRINUSE)) if wishes.unlink && !at.is_abstract() => {
            if !is_stale(&at)? {
                return Err(Error::Os(libc::EADDRINUSE));
            }
            match net::remove_socket(path) {
                0 => bind()?,
                e if e == -libc::ENOENT => bind()?,
                _ => return Err(Error::Os(libc::EADDRINUSE)),
            }
        }
        r => r?,
    }
    listen(fd, wishes)?;
    socket.into_handle(m, wishes.patient)
}

/// Whether no process answers at a path.
fn is_stale(at: &UnixAddress) -> Result<bool> {
    let socket = Own::new(net::UNIX, net::STREAM, 0)?;
    let (addr, len) = at.raw();
    // SAFETY: the address is as long as it says.
    let r = unsafe { io::connect(socket.number(), addr, len) };
    Ok(r == -libc::ECONNREFUSED || r == -libc::ENOENT)
}

/// A handle for a descriptor that the process was started with.
pub fn inherited(m: MRef, number: i32) -> Result<u64> {
    ok(net::close_by_exec(number))?;
    fd::open(m, number, false, false)
}
