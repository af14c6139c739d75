//! Many readers or one writer.
//!
//! ```text
//!  state   63            32 31     3    2       1       0
//!         +----------------+--------+-------+-------+--------+
//!         |    readers     |  zero  | ALONE | QUEUE | WRITER |
//!         +----------------+--------+-------+-------+--------+
//! ```
//!
//! # Problem
//! Readers do not hinder each other; neither readers nor writers wait for ever, whoever comes, gives up or is
//! cancelled. Where nobody else is there, each call is one instruction at one word.
//!
//! # Words
//! `state`: `readers` count those inside, and those who are about to see that they are not (R2). ALONE: a writer is
//! inside. WRITER: a writer is the next one, and waits for those inside to leave. QUEUE: readers wait behind either.
//! Any caller changes it, by one instruction that reads and writes; QUEUE is set and cleared, and ALONE cleared while
//! there is more than it, under the root's lock. `owner`: the writer inside, or 0. Written by that writer alone.
//! `writers`: a mutex that a writer takes before it sets WRITER, and unlocks when it is inside. So one writer at a time
//! has to do with readers, and who is next among writers is what it is among those who lock a mutex.
//!
//! # Protocol
//! Reader:
//! * R1 readers + 1; inside if there was no WRITER and no ALONE.
//! * R2 otherwise, if there still is one, readers - 1, as in R4; inside if there is none any more.
//! * R3 under the lock, if it is still so: QUEUE, into the queue at the odd address; when it is woken it is counted.
//! * R4 leaves: readers - 1. The reader that makes them 0 with WRITER set, and no ALONE, wakes the writer at the even
//!   address, which looks again. The reader does not look: from its subtraction on the writer may be inside, out again,
//!   and gone with the memory.
//! * R5 a call too many, which makes them negative: readers + 1, if they still are. If they are not, a reader that came
//!   meanwhile was taken for the one that left, and what is seen is what would be had it come before. So R2 takes
//!   nothing away where nothing is left.
//!
//! Writer:
//! * A1 nothing is set and no reader counted: ALONE, then `owner`.
//! * Where A1 fails: X1 the mutex; X2 WRITER: from here on no new readers, and no other writer; X3 while there are
//!   readers or ALONE: under the lock, if it is still so, into the queue at the even address; X4 inside: ALONE in place
//!   of WRITER, in one step; then `owner`, and the mutex is unlocked.
//! * A2 leaves: `owner` 0, ALONE off if there is nothing else. Otherwise, under the lock and in one step, ALONE off and
//!   all who wait at the odd address counted and woken; if no reader is counted then, the writer that waits has its
//!   turn handed over. Behind that step the lock is not touched: the next one inside may be the last.
//! * X5 a writer that gives up in X3 takes WRITER off, under the lock. Readers in the queue are counted and woken in
//!   the same step, but go on waiting for ALONE. Then it unlocks the mutex.
//!
//! # Invariants
//! * B1 a writer is inside only with ALONE set by itself. No reader is inside then: readers come to be inside while
//!   neither WRITER nor ALONE is set, or by A2 or X5.
//! * B2 readers that waited go before the next writer, which finds them counted (A2).
//! * B3 a reader that is counted while neither WRITER nor ALONE is set is inside, or finds that it is: nobody is
//!   refused in vain.
//! * B4 a call too many that finds nobody inside leaves no trace: while `readers` are negative no writer comes to be
//!   inside. One that meets a reader may be taken for that reader's own, as it would be in any order; of all calls as
//!   many are right as readers came.
//! * B5 leaving ends with one instruction at the lock (R4, A2). So the one that leaves last may give the memory away as
//!   soon as it is back, whoever else is still on the way out.
//!
//! # Orderings
//! R4's Release and the Acquire of A1, X2 and X3: what readers read is before what the writer writes. The Release of A2
//! and X5 and the Acquire of R1, R2, R3, A1 and X2: the other way round. Test and queue are under one lock in R3 and
//! X3, and the other side takes it before it looks for waiters, so no fence is needed: R4 that sees WRITER takes the
//! lock always, and A2 that sees anything else.
//!
//! # Rejected
//! R4 by a compare-and-swap, so that a call too many changes nothing at all: where readers are many each of them needs
//! several, and a reader between R1 and R2 is taken for one inside all the same. R5 by an addition: a reader that came
//! meanwhile finds itself one too many as well, and both add one. A hand-off to the writer in R4, which would save it a
//! look: whether it is still its turn stands in the lock. The mutex held until the writer leaves: it would be unlocked
//! behind the step that lets others in, or WRITER taken off behind the unlock.

use super::mutex::{Mutex, Spin};
use super::waitq::{self, How, Waited};
use crate::gmp::error::{Error, Result};
use crate::gmp::g::{WaitReason, Wake};
use crate::gmp::m::MRef;
use crate::gmp::sched::Sched;
use crate::sync::{AtomicU64, Ordering};

const WRITER: u64 = 1;
const QUEUE: u64 = 2;
const ALONE: u64 = 4;
const READER: u64 = 1 << 32;

/// No readers are to come.
#[inline(always)]
fn shut(s: u64) -> bool {
    s & (WRITER | ALONE) != 0
}

/// There are readers. The number has a sign (R5).
#[inline(always)]
fn counted(s: u64) -> bool {
    s as i64 >= READER as i64
}

/// The writer that set WRITER may go inside.
#[inline(always)]
fn empty(s: u64) -> bool {
    s < READER && s & ALONE == 0
}

/// As the C struct lays it out; zero is unlocked.
#[repr(C)]
#[derive(Default)]
pub struct RwMutex {
    writers: Mutex,
    state: AtomicU64,
    owner: AtomicU64,
}

/// Where a report finds who holds one whose waiter waits at `addr`: the word of ALONE's owner, and that of the writers'
/// mutex.
pub fn owner_words(addr: u64) -> Option<(u64, u64)> {
    // A reader waits at the odd address.
    let base = (addr & !1).checked_sub(std::mem::offset_of!(RwMutex, state) as u64)?;
    Some((base + std::mem::offset_of!(RwMutex, owner) as u64, base))
}

/// How many wait for the one at `base`.
pub fn waiters(sched: &Sched, base: u64) -> u32 {
    let state = base + std::mem::offset_of!(RwMutex, state) as u64;
    [base, state, state | 1].iter().map(|&addr| waitq::count(sched, addr)).sum()
}

impl RwMutex {
    /// Where the writer waits; readers wait at the next byte, which has the same root.
    fn addr(&self) -> u64 {
        std::ptr::from_ref(&self.state) as u64
    }

    /// Whether `me` has it for writing. For `me` alone.
    fn is_owner(&self, me: u64) -> bool {
        self.owner.load(Ordering::Relaxed) == me
    }

    // ---- readers -----------------------------------------------------------------------------------------------------

    /// R1, for one who goes on with [`RwMutex::read_entered`] if it is false.
    #[inline(always)]
    #[must_use]
    pub fn enter(&self) -> bool {
        !shut(self.state.fetch_add(READER, Ordering::Acquire))
    }

    /// As R1, but leaves no trace. That nobody has it is guessed: a look before costs as much as half of a
    /// compare-and-swap, which looks anyway.
    #[inline(always)]
    pub fn try_read(&self) -> Result<()> {
        let mut s = 0;
        while !shut(s) {
            match self.state.compare_exchange(s, s.wrapping_add(READER), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => s = now,
            }
        }
        Err(Error::Busy)
    }

    /// # Migrates
    #[inline]
    pub fn read(&self, m: MRef, deadline: Option<i64>) -> Result<()> {
        if self.enter() { Ok(()) } else { self.read_entered(m, deadline) }
    }

    /// # Migrates
    #[cold]
    pub fn read_entered(&self, m: MRef, deadline: Option<i64>) -> Result<()> {
        // R2
        let mut s = self.state.load(Ordering::Acquire);
        loop {
            if !shut(s) {
                return Ok(());
            }
            if !counted(s) {
                break;
            }
            // Nothing has been read. Acquire: it may be inside now.
            match self.state.compare_exchange_weak(s, s - READER, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => {
                    s -= READER;
                    break;
                }
                Err(now) => s = now,
            }
        }
        self.after_reader(m, s);
        if self.is_owner(waitq::self_id(m)) {
            return Err(Error::Deadlock);
        }
        // R3
        let how = How::lock(WaitReason::RWMUTEX_R, deadline);
        let (_, waited) = waitq::wait(m, self.addr() | 1, how, || {
            let mut s = self.state.load(Ordering::Relaxed);
            loop {
                let (to, waits) = if shut(s) { (s | QUEUE, true) } else { (s.wrapping_add(READER), false) };
                match self.state.compare_exchange_weak(s, to, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return waits,
                    Err(now) => s = now,
                }
            }
        });
        waited.error().map_or(Ok(()), Err)
    }

    /// R4. `Err`: go on with [`RwMutex::left`].
    #[inline(always)]
    pub fn leave(&self) -> std::result::Result<(), u64> {
        let s = self.state.fetch_sub(READER, Ordering::Release);
        if counted(s) && s & WRITER == 0 { Ok(()) } else { Err(s) }
    }

    /// Behind R4; `s` was there before.
    pub fn left(&self, m: MRef, s: u64) -> Result<()> {
        if counted(s) {
            self.after_reader(m, s - READER);
            return Ok(());
        }
        // R5
        let mut s = self.state.load(Ordering::Relaxed);
        while (s as i64) < 0 {
            let to = s.wrapping_add(READER);
            match self.state.compare_exchange_weak(s, to, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.after_reader(m, to);
                    return Err(Error::Perm);
                }
                Err(now) => s = now,
            }
        }
        Ok(())
    }

    pub fn read_unlock(&self, m: MRef) -> Result<()> {
        self.leave().or_else(|s| self.left(m, s))
    }

    /// `readers` has changed, and `s` was there then. Only the address is used: the lock may be gone.
    #[inline(always)]
    fn after_reader(&self, m: MRef, s: u64) {
        if s & WRITER != 0 && empty(s) {
            wake_writer(m, self.addr());
        }
    }

    // ---- the writer --------------------------------------------------------------------------------------------------

    /// A1. False: somebody has it, or waits for it.
    #[inline(always)]
    #[must_use]
    pub fn write_alone(&self, me: u64) -> bool {
        let got = self.state.compare_exchange(0, ALONE, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if got {
            self.owner.store(me, Ordering::Relaxed);
        }
        got
    }

    /// # Migrates
    pub fn write(&self, mut m: MRef, deadline: Option<i64>) -> Result<()> {
        let me = waitq::self_id(m);
        if self.write_alone(me) {
            return Ok(());
        }
        if self.is_owner(me) {
            return Err(Error::Deadlock);
        }
        // X1
        let locked;
        (m, locked) = self.writers.lock(m, deadline);
        locked?;
        // X2. Added, since that is one instruction: it is not set, writers being one at a time.
        let s = self.state.fetch_add(WRITER, Ordering::Acquire);
        let mut turn = Ok(());
        if !empty(s) {
            (m, turn) = self.wait_for_turn(m, deadline);
        }
        if turn.is_ok() {
            // X4: nobody is inside, and nobody comes. Acquire: as X2.
            self.state.fetch_add(ALONE - WRITER, Ordering::Acquire);
            self.owner.store(me, Ordering::Relaxed);
        } else {
            // X5
            self.open(m, WRITER);
        }
        let unlocked = if self.writers.unlock_fast(me) { Ok(()) } else { self.writers.unlock(m) };
        debug_assert!(unlocked.is_ok());
        turn
    }

    /// X3.
    ///
    /// # Migrates
    fn wait_for_turn(&self, mut m: MRef, deadline: Option<i64>) -> (MRef, Result<()>) {
        let is_turn = || empty(self.state.load(Ordering::Acquire));
        // Who is inside may be about to leave, and nobody else comes.
        let mut spin = Spin::new(m);
        while spin.once(m) {
            if is_turn() {
                return (m, Ok(()));
            }
        }
        let how = How::lock(WaitReason::RWMUTEX_W, deadline);
        loop {
            let waited;
            (m, waited) = waitq::wait(m, self.addr(), how, || !is_turn());
            match waited {
                Waited::Not | Waited::Handoff => return (m, Ok(())),
                waited => {
                    if let Some(e) = waited.error() {
                        return (m, Err(e));
                    }
                }
            }
        }
    }

    /// A2, if there is nothing else. False: nothing is changed.
    #[inline(always)]
    #[must_use]
    pub fn leave_alone(&self, me: u64) -> bool {
        if self.owner.load(Ordering::Relaxed) != me {
            return false;
        }
        // Before: behind it the next one writes there.
        self.owner.store(0, Ordering::Relaxed);
        let left = self.state.compare_exchange(ALONE, 0, Ordering::Release, Ordering::Relaxed).is_ok();
        if !left {
            self.owner.store(me, Ordering::Relaxed);
        }
        left
    }

    pub fn write_unlock(&self, m: MRef) -> Result<()> {
        let me = waitq::self_id(m);
        if self.leave_alone(me) {
            return Ok(());
        }
        if !self.is_owner(me) {
            return Err(Error::Perm);
        }
        self.owner.store(0, Ordering::Relaxed);
        self.open(m, ALONE);
        Ok(())
    }

    /// A2 or X5 beside others: `mine` off.
    #[cold]
    fn open(&self, m: MRef, mine: u64) {
        let (addr, readers) = (self.addr(), self.addr() | 1);
        waitq::wake_some(m, addr, |w| {
            let mut s = self.state.load(Ordering::Relaxed);
            // With WRITER set ALONE does not come, and goes under this lock.
            let (off, n) = match mine == WRITER && s & ALONE != 0 {
                true => (WRITER, 0),
                false => (mine | QUEUE, w.take_all(readers, Wake::Handoff) as u64),
            };
            let waits = loop {
                let to = (s & !off).wrapping_add(n * READER);
                match self.state.compare_exchange_weak(s, to, Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => break to & WRITER != 0 && empty(to),
                    Err(now) => s = now,
                }
            };
            if waits {
                w.take(addr, Wake::Handoff);
            }
        });
    }
}

/// R4: the writer whose turn it may be looks again.
#[cold]
fn wake_writer(m: MRef, addr: u64) {
    waitq::wake_one(m, addr, |_, _| Wake::Ready);
}
