//! Something that is done once; whoever comes meanwhile waits until it is done.
//!
//! `state`: NEW, RUNS, WAITED (it runs and others wait), DONE. From NEW to RUNS by CAS, by the one who does it and
//! writes `owner`; RUNS to WAITED by those who wait; to DONE by the one who does it. A G that ends inside counts as
//! having done it, as in Go: otherwise the others would wait for ever. So each G has a chain of what it is in the
//! middle of ([`Frame`]).
//!
//! The end hands over: a waiter that it takes out of the queue returns without a look at the once, and the end does not
//! touch the once behind DONE. So the first caller that sees it done may give its memory away.
//!
//! [`Once::is_done`] stands in the header too (cbindgen.toml), inline: that `state` comes first, and that DONE is 3, is
//! part of the ABI. Nothing changes a once that is done, so nothing but that look is needed there.

use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{GRef, WaitReason, Wake, extra};
use crate::gmp::m::MRef;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::ffi::c_void;

const NEW: u32 = 0;
const RUNS: u32 = 1;
const WAITED: u32 = 2;
pub const DONE: u32 = 3;

/// As the C struct lays it out; zero is ready.
#[repr(C)]
#[derive(Default)]
pub struct Once {
    state: AtomicU32,
    reserved: AtomicU32,
    owner: AtomicU64,
}

/// A once that a G is in the middle of. It lies on the G's stack.
pub struct Frame {
    once: *const Once,
    outer: *mut c_void,
}

/// What [`Once::begin`] came to.
#[derive(PartialEq, Eq, Debug)]
pub enum Begun {
    /// The caller is to do it.
    Yes,
    /// It is done.
    Done,
}

impl Once {
    #[inline(always)]
    pub fn is_done(&self) -> bool {
        // Acquire: pairs with the Release in `end`.
        self.state.load(Ordering::Acquire) == DONE
    }

    /// Becomes the one who does it, or waits until it is done.
    ///
    /// # Migrates
    pub fn begin(&self, mut m: MRef, deadline: Option<i64>) -> (MRef, Result<Begun>) {
        let (me, addr) = (waitq::self_id(m), std::ptr::from_ref(self) as u64);
        loop {
            match self.state.compare_exchange(NEW, RUNS, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => {
                    self.owner.store(me, Ordering::Relaxed);
                    return (m, Ok(Begun::Yes));
                }
                Err(DONE) => return (m, Ok(Begun::Done)),
                // Only we write our own id there.
                Err(_) if self.owner.load(Ordering::Relaxed) == me => return (m, Err(Error::Deadlock)),
                Err(_) => {}
            }
            let waited;
            (m, waited) = waitq::wait(m, addr, How::lock(WaitReason::ONCE, deadline), || {
                // Failing, it is waited for already, or done.
                let _ = self.state.compare_exchange(RUNS, WAITED, Ordering::Relaxed, Ordering::Relaxed);
                self.state.load(Ordering::Relaxed) == WAITED
            });
            match waited {
                Waited::Handoff => return (m, Ok(Begun::Done)),
                waited => {
                    if let Some(e) = waited.error() {
                        return (m, Err(e));
                    }
                }
            }
        }
    }

    /// It is done.
    pub fn end(&self, m: MRef) {
        self.owner.store(0, Ordering::Relaxed);
        if self.state.compare_exchange(RUNS, DONE, Ordering::Release, Ordering::Relaxed).is_err() {
            let addr = std::ptr::from_ref(self) as u64;
            waitq::wake_some(m, addr, |w| {
                // Under the lock, where those who wait test it.
                self.state.store(DONE, Ordering::Release);
                w.take_all(addr, Wake::Handoff);
            });
        }
    }

    /// The G is in the middle of it.
    pub fn enter(&self, gp: GRef, frame: &mut Frame) {
        *frame = Frame { once: self, outer: gp.once.get() };
        gp.note_extra(extra::INSIDE);
        gp.once.set(std::ptr::from_mut(frame).cast());
    }
}

impl Default for Frame {
    fn default() -> Frame {
        Frame { once: std::ptr::null(), outer: std::ptr::null_mut() }
    }
}

impl Frame {
    /// The G is out of it again.
    pub fn leave(&self, gp: GRef) {
        gp.once.set(self.outer);
    }
}

/// A G ends: whatever it is in the middle of counts as done.
#[inline]
pub fn on_exit(m: MRef, gp: GRef) {
    while !gp.once.is_null() {
        // SAFETY: frames lie on the G's stack, on which nothing has been written over since it ended in the middle.
        unsafe {
            let frame = &*gp.once.get().cast::<Frame>();
            gp.once.set(frame.outer);
            (*frame.once).end(m);
        }
    }
}
