//! A connection to a name: one of its addresses answers, and which one is known only when it does.
//!
//! # Problem
//! A host has addresses of two families, and one of them may lead nowhere: no refusal comes, only silence. A caller
//! that tries one after the other waits for each silence; a caller that tries all at once burdens each server with
//! connections that are closed at once. RFC 8305 ("happy eyeballs") is between the two.
//!
//! # Protocol
//! * DIAL-A1 asks for the addresses, and orders them: the family of the first address begins, and the families take
//!   turns while both have addresses;
//! * DIAL-A2 begins to connect to the next address, when the attempt before is as old as the delay, or when an attempt
//!   has failed, or when none is under way;
//! * DIAL-A3 waits for all attempts at once (fd/many.rs), until it is time for DIAL-A2 or the time is over;
//! * DIAL-A4 looks at each attempt that has ended. The first that has succeeded is the connection. The others are
//!   closed, whatever comes of them.
//!
//! If all have failed, the error is that of the earliest address in the order, as in Go: the others were a way out.
//!
//! # Invariants
//! * DIAL-I1 each descriptor is in `attempts` or is the result. `attempts` closes its own when the call ends, in
//!   whichever way.
//!
//! # Rejected
//! A G for each attempt, as in Go: each has to be canceled and waited for, and a late success has to be closed.

use super::fd::{self, many};
use super::listen::{Found, Own};
use super::names::Names;
use super::waitq::{FOREVER, deadline_of};
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::sync::now;
use crate::sys::io::{self, pollfd};
use crate::sys::net::{self, Hints, UnixAddress, addrinfo};
use crate::sys::poll::OUT;
use std::ffi::CStr;
use std::ptr::null;

/// The delay between attempts that RFC 8305 recommends.
pub const DELAY: i64 = 250_000_000;

/// The most addresses that are tried.
const MOST: usize = 64;

/// What is asked for by the name of a network: a family of addresses, and a kind of socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub family: i32,
    pub kind: i32,
}

impl Network {
    /// As Go names them.
    pub fn named(name: &CStr) -> Option<Network> {
        let (family, kind) = match name.to_bytes() {
            b"tcp" => (net::ANY_FAMILY, net::STREAM),
            b"tcp4" => (net::IPV4, net::STREAM),
            b"tcp6" => (net::IPV6, net::STREAM),
            b"udp" => (net::ANY_FAMILY, net::DATAGRAM),
            b"udp4" => (net::IPV4, net::DATAGRAM),
            b"udp6" => (net::IPV6, net::DATAGRAM),
            b"unix" => (net::UNIX, net::STREAM),
            b"unixgram" => (net::UNIX, net::DATAGRAM),
            b"unixpacket" => (net::UNIX, net::PACKETS),
            _ => return None,
        };
        Some(Network { family, kind })
    }

    pub fn is_unix(self) -> bool {
        self.family == net::UNIX
    }
}

/// Connects to a socket of the Unix domain. It never waits: the system takes the connection, or says why not.
pub fn unix(m: MRef, network: Network, path: &CStr) -> Result<u64> {
    let at = UnixAddress::new(path).ok_or(Error::Os(libc::ENAMETOOLONG))?;
    let socket = Own::new(net::UNIX, network.kind, 0)?;
    let (addr, len) = at.raw();
    // SAFETY: the address is as long as it says.
    match unsafe { io::connect(socket.number(), addr, len) } {
        0 => socket.into_handle(m, false),
        e => Err(Error::Os(-e)),
    }
}

/// Connects to one of the addresses of a name.
///
/// # Migrates
pub fn dial(m: MRef, network: Network, names: Names<'_>, delay: i64, timeout: i64) -> Result<u64> {
    let until = deadline_of(timeout);
    let Network { family, kind } = network;
    // DIAL-A1
    let found = Found::look_up(m, names, Hints { family, kind, passive: false }, timeout)?;
    let mut order = [null(); MOST];
    let n = order_of(&found, &mut order);
    let mut attempts = Attempts { at: [pollfd { fd: -1, events: 0, revents: 0 }; MOST], begun: 0, live: 0 };
    let mut errors = FirstError { place: MOST, error: Error::Os(libc::EADDRNOTAVAIL) };
    let mut next_at = now();
    let number = loop {
        // DIAL-A2
        if attempts.begun < n && (attempts.live == 0 || now() >= next_at) {
            let place = attempts.begun;
            // SAFETY: `found` has it.
            match attempts.begin(kind, unsafe { &*order[place] }) {
                Ok(true) => break attempts.take(place),
                Ok(false) => next_at = now().saturating_add(delay),
                Err(e) => errors.note(place, e),
            }
            continue;
        }
        if attempts.live == 0 {
            return Err(errors.error);
        }
        // DIAL-A3
        let turn = if attempts.begun < n { Some(next_at) } else { None };
        let end = [until, turn].into_iter().flatten().min();
        let left = end.map_or(FOREVER, |end| end.saturating_sub(now()));
        // SAFETY: the entries are this function's.
        match unsafe { many::poll(m.by_now(), attempts.at.as_mut_ptr(), attempts.begun, left) } {
            Ok(_) => {}
            Err(Error::TimedOut) if until.is_none_or(|until| now() < until) => continue,
            Err(e) => return Err(e),
        }
        // DIAL-A4
        if let Some(place) = attempts.winner(&mut errors, &mut next_at) {
            break attempts.take(place);
        }
    };
    fd::open(m.by_now(), number, false, false).inspect_err(|_| io::close(number))
}

/// The order of DIAL-A1; returns how many there are.
fn order_of(found: &Found, order: &mut [*const addrinfo; MOST]) -> usize {
    let first = found.iter().next().map(|a| a.ai_family);
    let mut turns =
        [true, false].map(|is_first| found.iter().filter(move |a| (Some(a.ai_family) == first) == is_first));
    let mut n = 0;
    let mut before = 1;
    while n < MOST {
        // The other family has its turn, if it has an address left.
        let turn = 1 - before;
        let (turn, next) = match turns[turn].next() {
            Some(a) => (turn, a),
            None => match turns[before].next() {
                Some(a) => (before, a),
                None => break,
            },
        };
        order[n] = next;
        n += 1;
        before = turn;
    }
    n
}

/// DIAL-I1.
struct Attempts {
    /// By their places in the order; a number below 0: it has ended.
    at: [pollfd; MOST],
    begun: usize,
    live: usize,
}

impl Attempts {
    /// Begins the next attempt. True: it has succeeded already.
    fn begin(&mut self, kind: i32, to: &addrinfo) -> Result<bool> {
        let place = self.begun;
        self.begun += 1;
        let socket = Own::new(to.ai_family, kind, to.ai_protocol)?;
        // SAFETY: the address is the resolver's.
        let r = unsafe { io::connect(socket.number(), to.ai_addr, to.ai_addrlen) };
        if r != 0 && r != -libc::EINPROGRESS && r != -libc::EINTR {
            return Err(Error::Os(-r));
        }
        self.at[place] = pollfd { fd: socket.into_number(), events: OUT as i16, revents: 0 };
        self.live += 1;
        Ok(r == 0)
    }

    /// DIAL-A4: the place of an attempt that has succeeded. Those that have failed are over.
    fn winner(&mut self, errors: &mut FirstError, next_at: &mut i64) -> Option<usize> {
        for place in 0..self.begun {
            let a = self.at[place];
            if a.fd < 0 || a.revents == 0 {
                continue;
            }
            match -io::connected(a.fd) as i32 {
                0 => return Some(place),
                libc::EAGAIN => {}
                e => {
                    io::close(self.take(place));
                    errors.note(place, Error::Os(e));
                    *next_at = now();
                }
            }
        }
        None
    }

    /// The descriptor of an attempt, which is the caller's from here on.
    fn take(&mut self, place: usize) -> i32 {
        self.live -= 1;
        std::mem::replace(&mut self.at[place].fd, -1)
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        self.at.iter().filter(|a| a.fd >= 0).for_each(|a| io::close(a.fd));
    }
}

/// The error of the earliest address that has failed.
struct FirstError {
    place: usize,
    error: Error,
}

impl FirstError {
    fn note(&mut self, place: usize, error: Error) {
        if place < self.place {
            *self = FirstError { place, error };
        }
    }
}
