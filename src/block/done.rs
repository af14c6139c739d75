//! The channel of a token, which is closed when the token is canceled: cancel.rs has the protocol.
//!
//! A token knows its channel only as a pointer with two functions (`cancel::Done`), so tokens work without channels.

use super::cancel::{self, Acts, Done, Ref};
use super::chan::Chan;
use crate::gmp::error::Result;
use crate::gmp::m::MRef;
use std::ffi::c_void;
use std::ptr::NonNull;

const ACTS: &Acts = &Acts { close, free };

/// CANCEL-K3.
unsafe fn close(m: MRef, chan: NonNull<c_void>) {
    // SAFETY: the token is one of its users.
    let chan = unsafe { chan.cast::<Chan>().as_ref() };
    // If it fails, the channel is closed already: by the caller of `chan`, or by the host.
    let _ = chan.close(m);
}

unsafe fn free(chan: NonNull<c_void>) {
    // SAFETY: the token was one of its users. Busy: a G waits there without being a user.
    let _ = unsafe { Chan::free(chan.cast()) };
}

/// The channel that a cancellation closes. The caller becomes one more user of it.
pub fn chan(m: MRef, token: &Ref) -> Result<NonNull<Chan>> {
    // A token above may be canceled already: see `reason`.
    let _ = cancel::reason(m, token);
    let mut made: Option<NonNull<Chan>> = None;
    let chan = loop {
        let found = cancel::with_done(token, |done| {
            if done.is_none() {
                *done = made.take().map(|new| Done { chan: new.cast(), acts: ACTS });
            }
            done.map(|done| done.chan.cast::<Chan>())
        });
        match found {
            Some(chan) => break chan,
            None => made = Some(Chan::make(m.sched(), 0, 0)?),
        }
    };
    if let Some(unused) = made {
        // SAFETY: made above, and no other thread knows it.
        unsafe { Chan::free(unused) }?;
    }
    // SAFETY: the token is one of its users, and the caller holds a count for the token.
    let c = unsafe { chan.as_ref() };
    c.add_ref()?;
    // The canceller has looked before the channel was there, or will see it; if both close it, no harm is done.
    if token.reason().is_some() {
        let _ = c.close(m);
    }
    Ok(chan)
}
