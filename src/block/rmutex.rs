//! A mutex that its owner may lock again.
//!
//! It is a type of its own around [`Mutex`], which knows its owner anyway. So the plain mutex pays nothing for it, and
//! still refuses a second lock by its owner.

use super::mutex::Mutex;
use super::waitq;
use crate::gmp::error::{Error, Result};
use crate::gmp::m::MRef;
use crate::sync::own::OwnU64;

/// Laid out as the C struct; zero is unlocked.
#[repr(C)]
#[derive(Default)]
pub struct RMutex {
    mutex: Mutex,
    /// How often the owner has locked it beyond the first time. Only the mutex's owner accesses it.
    again: OwnU64,
}

impl RMutex {
    /// A further lock by the owner. Busy: the count would overflow.
    fn lock_again(&self) -> Result<()> {
        let again = self.again.get().checked_add(1).ok_or(Error::Busy)?;
        self.again.set(again);
        Ok(())
    }

    /// # Migrates
    pub fn lock(&self, m: MRef, deadline: Option<i64>) -> Result<()> {
        if self.mutex.is_owner(waitq::self_id(m)) { self.lock_again() } else { self.mutex.lock(m, deadline).1 }
    }

    pub fn try_lock(&self, m: MRef) -> Result<()> {
        let me = waitq::self_id(m);
        if self.mutex.is_owner(me) { self.lock_again() } else { self.mutex.try_lock(me) }
    }

    pub fn unlock(&self, m: MRef) -> Result<()> {
        if !self.mutex.is_owner(waitq::self_id(m)) {
            return Err(Error::Perm);
        }
        match self.again.get() {
            0 => self.mutex.unlock_for(m),
            n => self.again.set(n - 1),
        }
        Ok(())
    }
}
