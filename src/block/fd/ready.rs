//! Waiting until a descriptor is ready, without a call on it.

use super::call::Until;
use super::{EBADF, FOREVER, Fd, close, enter, leave, open};
use crate::block::vain;
use crate::gmp::error::{Error, Result};
use crate::gmp::g::WaitReason;
use crate::gmp::m::MRef;
use crate::sync::{Ordering, fence};
use crate::sys::io;
use crate::sys::poll::{IN, OUT, PEER_DONE};

/// Waits until one of these events (of poll) is there, and returns those that are.
///
/// # Migrates
pub fn wait(m: MRef, handle: u64, events: u32, timeout: i64) -> Result<u32> {
    let fd = enter(m, handle)?;
    let (m, r) = fd.wait_ready(m, events, &mut Until::new(timeout));
    leave(m, fd);
    if r.is_ok() {
        // FD-A7
        vain::serve(m);
    }
    r
}

/// As [`wait`], for a number that has no handle.
///
/// # Migrates
pub fn wait_number(m: MRef, number: i32, events: u32, timeout: i64) -> Result<u32> {
    let handle = open(m, number, true, false)?;
    let r = wait(m, handle, events, timeout);
    // The caller may be on another thread by now.
    if let Some(m) = MRef::current() {
        let _ = close(m, handle);
    }
    r
}

impl Fd {
    fn wait_ready(&self, mut m: MRef, events: u32, until: &mut Until) -> (MRef, Result<u32>) {
        let events = if events & IN != 0 { events | PEER_DONE } else { events };
        self.polled.store(true, Ordering::Relaxed);
        // Pairs with the fence between the edges of `event` and its look at `polled`.
        fence(Ordering::SeqCst);
        loop {
            let seen = self.ready.seen();
            let mut deadline = FOREVER;
            for (_, d) in [(IN, &self.read), (OUT, &self.write)].iter().filter(|(bit, _)| events & bit != 0) {
                if let Err(e) = self.may(d) {
                    return (m, Err(e));
                }
                deadline = deadline.min(d.deadline.get());
            }
            match io::ready(self.number.get(), events) {
                0 => {}
                bits if bits & io::NOT_OPEN != 0 => return (m, Err(Error::Os(EBADF))),
                bits => return (m, Ok(bits)),
            }
            let waited;
            (m, waited) = self.wait(m, &self.ready, seen, WaitReason::IO_WAIT, until, deadline);
            if let Err(e) = waited {
                return (m, Err(e));
            }
        }
    }
}
