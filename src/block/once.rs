//! Once: one caller does something, and callers that come meanwhile wait until it is done.
//!
//! # Words
//!
//! | `state` | meaning | written by |
//! |---|---|---|
//! | NEW | not begun | |
//! | RUNS | the owner is doing it | the owner, by CAS from NEW; then it writes `owner` |
//! | WAITED | as RUNS, and other callers wait | a waiter, under the root's lock |
//! | DONE | done | the owner |
//!
//! # Invariants
//! * A G that ends while it is the owner counts as having done it, as in Go: otherwise the waiters would wait forever.
//!   So each G has a chain of the onces that it is in the middle of ([`Frame`]).
//! * The end hands over: a waiter that the owner takes out of the queue returns without another look at the once, and
//!   the owner does not touch the once after DONE. So the first caller that sees DONE may free its memory.
//! * [`Once::is_done`] also stands in the header (cbindgen.toml), inline: the ABI fixes that `state` comes first and
//!   that DONE is 3. No call changes a once that is done, so that look is all that is needed there.

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

/// Laid out as the C struct; zero is ready.
#[repr(C)]
#[derive(Default)]
pub struct Once {
    state: AtomicU32,
    reserved: AtomicU32,
    owner: AtomicU64,
}

/// A once that a G is in the middle of. The frame lies on the G's stack.
pub struct Frame {
    once: *const Once,
    outer: *mut c_void,
}

/// The result of [`Once::begin`].
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

    /// Makes the caller the owner, or waits until it is done.
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
                // Only the caller writes its own number there.
                Err(_) if self.owner.load(Ordering::Relaxed) == me => return (m, Err(Error::Deadlock)),
                Err(_) => {}
            }
            let waited;
            (m, waited) = waitq::wait(m, addr, How::lock(WaitReason::ONCE, deadline), || {
                // If it fails, another caller waits already, or it is done.
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

    /// Marks it done, and wakes the waiters.
    pub fn end(&self, m: MRef) {
        self.owner.store(0, Ordering::Relaxed);
        if self.state.compare_exchange(RUNS, DONE, Ordering::Release, Ordering::Relaxed).is_err() {
            let addr = std::ptr::from_ref(self) as u64;
            waitq::wake_some(m, addr, |w| {
                // Under the lock, where callers that are about to wait test the word.
                self.state.store(DONE, Ordering::Release);
                w.take_all(addr, Wake::Handoff);
            });
        }
    }

    /// Notes that the G is in the middle of it.
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
    /// The G has left it.
    pub fn leave(&self, gp: GRef) {
        gp.once.set(self.outer);
    }
}

/// At the end of a G: every once that it is in the middle of counts as done.
#[inline]
pub fn on_exit(m: MRef, gp: GRef) {
    while !gp.once.is_null() {
        // SAFETY: frames lie on the G's stack, which nothing has overwritten since the G ended in the middle of them.
        let frame = unsafe { &*gp.once.get().cast::<Frame>() };
        gp.once.set(frame.outer);
        // SAFETY: the host keeps a once until its function has ended.
        let once = unsafe { &*frame.once };
        once.end(m);
    }
}
