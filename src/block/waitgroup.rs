//! Wait groups: a count, and those who wait for it to be zero.
//!
//! ```text
//!  state   63                  32 31            1    0
//!         +----------------------+---------------+-------+
//!         |       count          |     zero      | WAIT  |
//!         +----------------------+---------------+-------+
//! ```

use super::waitq::{self, How};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::WaitReason;
use crate::gmp::m::MRef;
use crate::sync::{AtomicU64, Ordering};

const WAIT: u64 = 1;

/// As the C struct lays it out; zero is ready.
#[repr(C)]
#[derive(Default)]
pub struct WaitGroup {
    state: AtomicU64,
    reserved: [u32; 2],
}

impl WaitGroup {
    /// Changes the count, if nobody is to be woken for it and it is right. False: nothing is changed.
    #[inline(always)]
    #[must_use]
    pub fn add_fast(&self, delta: i32) -> bool {
        self.change(delta, false) == Some(false)
    }

    /// Changes the count; below zero (or too high) is Invalid and changes nothing.
    pub fn add(&self, m: MRef, delta: i32) -> Result<()> {
        let wake = self.change(delta, true).ok_or(Error::Invalid)?;
        if wake {
            waitq::wake_all(m, std::ptr::from_ref(self) as u64, |_| ());
        }
        Ok(())
    }

    /// Whether somebody is to be woken now; if he is and the caller does not wake, or if the count would not be one, it is
    /// None and nothing is changed.
    #[inline(always)]
    fn change(&self, delta: i32, wakes: bool) -> Option<bool> {
        let mut s = self.state.load(Ordering::Relaxed);
        loop {
            let count = (s >> 32) as i64 + i64::from(delta);
            if !(0..=i64::from(i32::MAX)).contains(&count) {
                return None;
            }
            let wake = count == 0 && s & WAIT != 0;
            if wake && !wakes {
                return None;
            }
            let to = (count as u64) << 32 | if wake { 0 } else { s & WAIT };
            // Release: what was done before `done` comes before the waiter's return.
            match self.state.compare_exchange_weak(s, to, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return Some(wake),
                Err(now) => s = now,
            }
        }
    }

    pub fn is_zero(&self) -> bool {
        self.state.load(Ordering::Acquire) >> 32 == 0
    }

    /// `cancel`: the caller's token may end the wait.
    ///
    /// # Migrates
    pub fn wait(&self, mut m: MRef, deadline: Option<i64>, cancel: bool) -> (MRef, Result<()>) {
        let addr = std::ptr::from_ref(self) as u64;
        let how = How { cancel, ..How::new(WaitReason::WAITGROUP, deadline) };
        loop {
            let s = self.state.load(Ordering::Acquire);
            if s >> 32 == 0 {
                return (m, Ok(()));
            }
            if s & WAIT == 0 && self.state.compare_exchange(s, s | WAIT, Ordering::Relaxed, Ordering::Relaxed).is_err()
            {
                continue;
            }
            let waited;
            // WAIT is cleared before the wake: whoever still sees it is in time to be woken.
            (m, waited) = waitq::wait(m, addr, how, || self.state.load(Ordering::SeqCst) & WAIT != 0);
            // Also woken ones look again: the wake may be a late one, for those who waited the last time.
            if let Some(e) = waited.error() {
                return (m, Err(e));
            }
        }
    }
}
