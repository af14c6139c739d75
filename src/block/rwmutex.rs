//! Many readers or one writer.
//!
//! ```text
//!  state   63            32 31        2     1       0
//!         +----------------+-----------+-------+--------+
//!         |    readers     |   zero    | QUEUE | WRITER |
//!         +----------------+-----------+-------+--------+
//! ```
//!
//! # Problem
//! Readers do not hinder each other; neither readers nor writers wait for ever, whoever comes, gives up or is cancelled.
//!
//! # Words
//! `state`: `readers` count those inside; WRITER: a writer is inside, or waits for the readers to leave; QUEUE: readers
//! wait behind it. Anybody, by CAS; QUEUE is set and cleared, and WRITER cleared while QUEUE is set, under the root's lock.
//! `writers`: a mutex that all writers take first, so one at a time has to do with readers, and who is next among writers
//! is what it is among those who lock a mutex. Its owner is the writer.
//!
//! # Protocol
//! Reader: R1 no WRITER: readers + 1. R2 otherwise under the lock, if it is still so: QUEUE, into the queue at the odd
//! address; when it is woken it is counted. R3 leaves: readers - 1; the last one with WRITER set wakes the writer.
//!
//! Writer: X1 the mutex; X2 WRITER, from here on no new readers; X3 under the lock, while there are readers: into the queue
//! at the even address. X4 leaves: WRITER off and, under the lock, all who wait at the odd address counted and woken, in
//! one step; then the mutex. A writer that gives up in X3 does X4.
//!
//! # Invariants
//! * B1 a writer is inside only with WRITER set and no readers; readers are counted only while WRITER is not set, or by X4.
//! * B2 readers who waited go before the next writer, which finds them counted (X4 before the mutex is given back).
//!
//! # Orderings
//! R3's Release and X2's Acquire: what readers read is before what the writer writes. X4's Release and R1's Acquire: the
//! other way round. Test and queue are under one lock in R2 and X3, and the other side takes it before it looks for waiters,
//! so no fence is needed: R3 that sees WRITER takes the lock always.

use super::mutex::Mutex;
use super::waitq::{self, How};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::sync::{AtomicU64, Ordering};

const WRITER: u64 = 1;
const QUEUE: u64 = 2;
const READER: u64 = 1 << 32;

/// As the C struct lays it out; zero is unlocked.
#[repr(C)]
#[derive(Default)]
pub struct RwMutex {
    writers: Mutex,
    state: AtomicU64,
    reserved: u64,
}

impl RwMutex {
    /// Where the writer waits; readers wait at the next byte, which has the same root.
    fn addr(&self) -> u64 {
        std::ptr::from_ref(&self.state) as u64
    }

    // ---- readers -----------------------------------------------------------------------------------------------------

    /// R1. That nobody has it is guessed: a look before costs as much as half of a compare-and-swap, which looks anyway.
    #[inline(always)]
    pub fn try_read(&self) -> Result<()> {
        let mut s = 0;
        while s & WRITER == 0 {
            match self.state.compare_exchange(s, s + READER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => s = now,
            }
        }
        Err(Error::Busy)
    }

    /// # Migrates
    #[inline]
    pub fn read(&self, m: MRef, deadline: Option<i64>) -> Result<()> {
        match self.try_read() {
            Ok(()) => Ok(()),
            Err(_) => self.read_slow(m, deadline),
        }
    }

    #[cold]
    fn read_slow(&self, m: MRef, deadline: Option<i64>) -> Result<()> {
        if self.writers.is_owner(waitq::self_id(m)) {
            return Err(Error::Deadlock);
        }
        // R2
        let how = How::new(WaitReason::RWMUTEX_R, deadline);
        let (_, waited) = waitq::wait(m, self.addr() | 1, how, || {
            let mut s = self.state.load(Ordering::Relaxed);
            loop {
                let (to, waits) = if s & WRITER == 0 { (s + READER, false) } else { (s | QUEUE, true) };
                match self.state.compare_exchange_weak(s, to, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return waits,
                    Err(now) => s = now,
                }
            }
        });
        waited.error().map_or(Ok(()), Err)
    }

    /// R3, if no writer waits. That the caller is the only reader is guessed, as in R1.
    #[inline(always)]
    pub fn leave(&self) -> bool {
        let mut s = READER;
        while s & WRITER == 0 && s >= READER {
            match self.state.compare_exchange(s, s - READER, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => s = now,
            }
        }
        false
    }

    pub fn read_unlock(&self, m: MRef) -> Result<()> {
        // R3
        let mut s = self.state.load(Ordering::Relaxed);
        loop {
            if s < READER {
                return Err(Error::Perm);
            }
            match self.state.compare_exchange_weak(s, s - READER, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => s = now,
            }
        }
        if s & WRITER != 0 && s < 2 * READER {
            self.last_reader(m);
        }
        Ok(())
    }

    #[cold]
    fn last_reader(&self, m: MRef) {
        let addr = self.addr();
        waitq::wake_some(m, addr, |w| {
            // Meanwhile that writer may have been and gone, and another may wait for other readers.
            if self.state.load(Ordering::Acquire) < READER {
                w.take(addr, Wake::Handoff);
            }
        });
    }

    // ---- the writer --------------------------------------------------------------------------------------------------

    pub fn try_write(&self, m: MRef) -> Result<()> {
        let me = waitq::self_id(m);
        self.writers.try_lock(me)?;
        let mut s = self.state.load(Ordering::Relaxed);
        while s < READER {
            match self.state.compare_exchange_weak(s, s | WRITER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => s = now,
            }
        }
        self.writers.unlock(m)?;
        Err(Error::Busy)
    }

    /// # Migrates
    #[inline]
    pub fn write(&self, mut m: MRef, deadline: Option<i64>) -> Result<()> {
        // X1
        if !self.writers.lock_fast(waitq::self_id(m)) {
            let locked;
            (m, locked) = self.writers.lock(m, deadline, true);
            locked?;
        }
        // X2. Added, since that is one instruction: it is not set, writers being one at a time.
        if self.state.fetch_add(WRITER, Ordering::Acquire) < READER {
            return Ok(());
        }
        // X3
        let how = How::new(WaitReason::RWMUTEX_W, deadline);
        let waited;
        (m, waited) = waitq::wait(m, self.addr(), how, || self.state.load(Ordering::Acquire) >= READER);
        match waited.error() {
            None => Ok(()),
            Some(e) => {
                self.write_unlock(m)?;
                Err(e)
            }
        }
    }

    #[inline]
    pub fn write_unlock(&self, m: MRef) -> Result<()> {
        let me = waitq::self_id(m);
        if !self.writers.is_owner(me) {
            return Err(Error::Perm);
        }
        // X4
        if self.state.compare_exchange(WRITER, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.write_unlock_slow(m);
        }
        if self.writers.unlock_fast(me) { Ok(()) } else { self.writers.unlock(m) }
    }

    #[cold]
    fn write_unlock_slow(&self, m: MRef) {
        let readers = self.addr() | 1;
        waitq::wake_some(m, readers, |w| {
            let n = w.take_all(readers, Wake::Handoff) as u64;
            let mut s = self.state.load(Ordering::Relaxed);
            while let Err(now) = self.state.compare_exchange_weak(
                s,
                (s & !(WRITER | QUEUE)) + n * READER,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                s = now;
            }
        });
    }
}
