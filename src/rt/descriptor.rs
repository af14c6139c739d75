//! The descriptors in reports: `fd 7 tcp 127.0.0.1:80`. The system is asked for the names only when a report is
//! written, and no memory is taken for them.

use super::report::Words;
use crate::block::fd;
use crate::gmp::g::{GRef, WaitReason};
use crate::gmp::sched::Sched;
use crate::sys::io::{self, Kind};
use crate::sys::name::{self, Name};
use std::fmt;

/// Whether a G waits for a descriptor.
pub fn is_waited_for(gp: GRef) -> bool {
    let reasons = [WaitReason::IO_READ, WaitReason::IO_WRITE, WaitReason::IO_WAIT];
    reasons.iter().any(|reason| std::ptr::eq(gp.wait_reason.get(), reason.as_ptr()))
}

/// The descriptor for which a G waits.
pub fn of(sched: &Sched, gp: GRef) -> Option<Descriptor> {
    let addr = is_waited_for(gp).then(|| gp.sudog.addr.get())?;
    fd::at_address(sched, addr).map(|(number, kind)| Descriptor { number, kind })
}

/// A descriptor as the system knows it now: `fd 7 tcp 127.0.0.1:80`. Its peer, or itself if it has no peer.
pub struct Descriptor {
    number: i32,
    kind: Kind,
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd {}", self.number)?;
        // The host may have closed it, or given the number to another file.
        if io::kind(self.number) != Ok(self.kind) {
            return Ok(());
        }
        match self.kind {
            Kind::Tcp => f.write_str(" tcp")?,
            Kind::UnixStream => f.write_str(" unix")?,
            Kind::Socket => f.write_str(" socket")?,
            Kind::Pipe => return f.write_str(" pipe"),
            Kind::File => return f.write_str(" file"),
            Kind::Other => return Ok(()),
        }
        match name::of_peer(self.number) {
            Some(Name::Ip(at)) => return write!(f, " {at}"),
            Some(Name::Unix(path)) if !path.bytes().is_empty() => return write!(f, " {}", Words(path.bytes())),
            _ => {}
        }
        match name::of_socket(self.number) {
            Some(Name::Ip(at)) => write!(f, " at {at}"),
            Some(Name::Unix(path)) if !path.bytes().is_empty() => write!(f, " at {}", Words(path.bytes())),
            _ => Ok(()),
        }
    }
}
