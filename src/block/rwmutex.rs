//! Many readers or one writer.
//!
//! # Problem
//! Readers do not hinder each other. Neither a reader nor a writer waits forever, whatever other callers come, give up
//! or are canceled. A call that meets no other caller is one instruction on one word.
//!
//! # Words
//! ```text
//!  state   63            32 31     3    2       1       0
//!         +----------------+--------+-------+-------+--------+
//!         |    readers     |  zero  | ALONE | QUEUE | WRITER |
//!         +----------------+--------+-------+-------+--------+
//! ```
//!
//! | word | meaning | written by |
//! |---|---|---|
//! | `readers` | the readers inside, and those that are about to see that they are not (RWMUTEX-R2) | any caller |
//! | ALONE | a writer is inside | that writer; cleared under the root's lock unless it is the only content |
//! | WRITER | a writer is the next one, and waits for those inside to leave | the writer that holds `writers` |
//! | QUEUE | readers wait behind ALONE or WRITER | set and cleared under the root's lock |
//! | `owner` | the writer inside, or 0 | that writer alone |
//! | `writers` | a mutex: a writer locks it before it sets WRITER, and unlocks it when it is inside | writers |
//!
//! Each change of `state` is one instruction that reads and writes. Because of `writers`, one writer at a time deals
//! with the readers, and the order among writers is the order of a mutex.
//!
//! | ALONE | WRITER | `readers` | state of the lock | a reader | a writer |
//! |---|---|---|---|---|---|
//! | - | - | 0 | free | enters | enters by RWMUTEX-A1 |
//! | - | - | n | n readers inside | enters | sets WRITER (RWMUTEX-X2) |
//! | - | set | n | n readers inside, a writer is next | waits | waits for `writers` |
//! | - | set | 0 | the next writer's turn | waits | waits for `writers` |
//! | set | - | 0 | a writer inside | waits | sets WRITER (RWMUTEX-X2) |
//! | set | set | 0 | a writer inside, another one is next | waits | waits for `writers` |
//!
//! For a moment `readers` may be more than the table says, between RWMUTEX-R1 and RWMUTEX-R2, or negative, before
//! RWMUTEX-R5.
//!
//! # Protocol
//! The reader:
//! * RWMUTEX-R1 adds 1 to readers. It is inside if neither WRITER nor ALONE was set.
//! * RWMUTEX-R2 otherwise, while one of them is set, it subtracts 1 from readers, as in RWMUTEX-R4. If it finds neither
//!   set any more, it is inside.
//! * RWMUTEX-R3 waits: under the root's lock, if WRITER or ALONE is still set, it sets QUEUE and gets into the queue at
//!   the odd address. The G that wakes it has counted it.
//! * RWMUTEX-R4 leaves: it subtracts 1 from readers. If that makes them 0 while WRITER is set and ALONE is not, it
//!   wakes the writer at the even address, which looks again. The reader itself does not look: after its subtraction
//!   the writer may be inside, outside again, and have freed the memory.
//! * RWMUTEX-R5 one read unlock too many, which makes readers negative, adds 1 again if they still are negative. If
//!   they are not, a reader that arrived meanwhile has absorbed the extra unlock, and the result is as if it had
//!   arrived first. For this reason RWMUTEX-R2 subtracts nothing where no reader is counted any more.
//!
//! The writer:
//! * RWMUTEX-A1 if no bit is set and no reader is counted: sets ALONE, then `owner`.
//! * RWMUTEX-X1 where RWMUTEX-A1 fails: locks `writers`.
//! * RWMUTEX-X2 sets WRITER. From here on no new reader enters, and no other writer.
//! * RWMUTEX-X3 while there are readers, or ALONE is set: under the root's lock, if that is still so, gets into the
//!   queue at the even address.
//! * RWMUTEX-X4 enters: replaces WRITER by ALONE in one step, writes `owner`, and unlocks `writers`.
//! * RWMUTEX-A2 leaves: sets `owner` to 0, and clears ALONE if the word contains nothing else. Otherwise it takes the
//!   root's lock, and in one step clears ALONE, and counts and wakes all readers at the odd address. If no reader is
//!   counted then, it hands the turn over to the writer that waits. After that step it does not touch the lock: the
//!   next caller inside may be the last one.
//! * RWMUTEX-X5 gives up in RWMUTEX-X3: clears WRITER under the root's lock, and counts and wakes the readers in the
//!   queue in the same step; if ALONE is set, they keep waiting. Then it unlocks `writers`.
//!
//! # Invariants
//! * RWMUTEX-B1 A writer is inside only with ALONE set by itself. No reader is inside then: readers enter while neither
//!   WRITER nor ALONE is set, or by RWMUTEX-A2 or RWMUTEX-X5.
//! * RWMUTEX-B2 Readers that waited go before the next writer, which finds them counted (RWMUTEX-A2).
//! * RWMUTEX-B3 A reader that is counted while neither WRITER nor ALONE is set is inside, or will find that it is. So
//!   no reader is refused in vain.
//! * RWMUTEX-B4 A read unlock too many that finds no reader inside leaves no trace: while `readers` is negative no
//!   writer enters. One that meets a reader may be taken for that reader's own, as could happen in any order; as many
//!   unlocks succeed as readers entered.
//! * RWMUTEX-B5 Leaving ends with one instruction on the lock (RWMUTEX-R4, RWMUTEX-A2). So the last caller to leave may
//!   free the memory as soon as its call returns, even while others are still on their way out.
//!
//! # Orderings
//! * The Release of RWMUTEX-R4 pairs with the Acquire of RWMUTEX-A1, RWMUTEX-X2 and RWMUTEX-X3: the readers' reads
//!   happen before the writer's writes.
//! * The Release of RWMUTEX-A2 and RWMUTEX-X5 pairs with the Acquire of RWMUTEX-R1, RWMUTEX-R2, RWMUTEX-R3, RWMUTEX-A1
//!   and RWMUTEX-X2: the writer's writes happen before the next caller's accesses.
//! * No fence is needed between a change and a look for waiters: RWMUTEX-R3 and RWMUTEX-X3 test and queue under one
//!   lock, and the other side takes that lock before it looks for waiters. RWMUTEX-R4 takes it whenever it sees WRITER,
//!   and RWMUTEX-A2 whenever it sees anything besides ALONE.
//!
//! # Rejected
//! * A compare-and-swap in RWMUTEX-R4, so that an unlock too many changes nothing at all: with many readers each of
//!   them needs several tries, and a reader between RWMUTEX-R1 and RWMUTEX-R2 is still taken for one inside.
//! * An addition in RWMUTEX-R5: a reader that arrived meanwhile finds itself one too many as well, and both add 1.
//! * A hand-off to the writer in RWMUTEX-R4, which would save the writer a look: only the lock itself tells whether it
//!   is still the writer's turn.
//! * `writers` held until the writer leaves: it would be unlocked after the step that lets others in, or WRITER would
//!   be cleared after the unlock.

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

/// No reader may enter.
#[inline(always)]
fn bars_readers(s: u64) -> bool {
    s & (WRITER | ALONE) != 0
}

/// There are readers. The number has a sign (RWMUTEX-R5).
#[inline(always)]
fn has_readers(s: u64) -> bool {
    s as i64 >= READER as i64
}

/// The writer that set WRITER may enter.
#[inline(always)]
fn writer_may_enter(s: u64) -> bool {
    s < READER && s & ALONE == 0
}

/// Laid out as the C struct; zero is unlocked.
#[repr(C)]
#[derive(Default)]
pub struct RwMutex {
    writers: Mutex,
    state: AtomicU64,
    owner: AtomicU64,
}

/// The two words that name the holder, for a report about a waiter at `addr`: ALONE's owner, and the state of the
/// writers' mutex.
pub fn owner_words(addr: u64) -> Option<(u64, u64)> {
    // A reader waits at the odd address.
    let base = (addr & !1).checked_sub(std::mem::offset_of!(RwMutex, state) as u64)?;
    Some((base + std::mem::offset_of!(RwMutex, owner) as u64, base))
}

/// The number of waiters of the lock at `base`.
pub fn waiters(sched: &Sched, base: u64) -> u32 {
    let state = base + std::mem::offset_of!(RwMutex, state) as u64;
    [base, state, state | 1].iter().map(|&addr| waitq::count(sched, addr)).sum()
}

impl RwMutex {
    /// Where the writer waits; readers wait at the next byte, which has the same root.
    fn addr(&self) -> u64 {
        std::ptr::from_ref(&self.state) as u64
    }

    /// Whether `me` is the writer inside. Only `me` may ask.
    fn is_owner(&self, me: u64) -> bool {
        self.owner.load(Ordering::Relaxed) == me
    }

    // ---- readers ----------------------------------------------------------------------------------------------------

    /// RWMUTEX-R1. If it is false, the caller continues with [`RwMutex::read_entered`].
    #[inline(always)]
    #[must_use]
    pub fn enter(&self) -> bool {
        !bars_readers(self.state.fetch_add(READER, Ordering::Acquire))
    }

    /// As RWMUTEX-R1, but leaves no trace. The first try guesses that the lock is free: a look before the
    /// compare-and-swap costs half as much as the compare-and-swap, which looks anyway (docs/measurements.md).
    #[inline(always)]
    pub fn try_read(&self) -> Result<()> {
        let mut s = 0;
        while !bars_readers(s) {
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
        // RWMUTEX-R2
        let mut s = self.state.load(Ordering::Acquire);
        loop {
            if !bars_readers(s) {
                return Ok(());
            }
            if !has_readers(s) {
                break;
            }
            // Relaxed: the reader has read nothing yet. Acquire on failure: the reader may be inside now.
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
        // RWMUTEX-R3
        let how = How::lock(WaitReason::RWMUTEX_R, deadline);
        let (_, waited) = waitq::wait(m, self.addr() | 1, how, || {
            let mut s = self.state.load(Ordering::Relaxed);
            loop {
                let (to, waits) = if bars_readers(s) { (s | QUEUE, true) } else { (s.wrapping_add(READER), false) };
                match self.state.compare_exchange_weak(s, to, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return waits,
                    Err(now) => s = now,
                }
            }
        });
        waited.error().map_or(Ok(()), Err)
    }

    /// RWMUTEX-R4. `Err`: the caller continues with [`RwMutex::left`].
    #[inline(always)]
    pub fn leave(&self) -> std::result::Result<(), u64> {
        // RWMUTEX-B5: after this step the lock may be gone.
        let s = self.state.fetch_sub(READER, Ordering::Release);
        if has_readers(s) && s & WRITER == 0 { Ok(()) } else { Err(s) }
    }

    /// The rest of RWMUTEX-R4; `s` is the word before the subtraction.
    pub fn left(&self, m: MRef, s: u64) -> Result<()> {
        if has_readers(s) {
            self.after_reader(m, s - READER);
            return Ok(());
        }
        // RWMUTEX-R5
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

    /// `readers` has changed, and `s` is the word after the change. Only the address is used: the lock may be gone.
    #[inline(always)]
    fn after_reader(&self, m: MRef, s: u64) {
        if s & WRITER != 0 && writer_may_enter(s) {
            wake_writer(m, self.addr());
        }
    }

    // ---- the writer -------------------------------------------------------------------------------------------------

    /// RWMUTEX-A1. False: another caller holds the lock or waits for it.
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
        // RWMUTEX-X1
        let locked;
        (m, locked) = self.writers.lock(m, deadline);
        locked?;
        // RWMUTEX-X2. An addition, since that is one instruction: WRITER is clear, because writers come here one at a
        // time.
        let s = self.state.fetch_add(WRITER, Ordering::Acquire);
        let mut turn = Ok(());
        if !writer_may_enter(s) {
            (m, turn) = self.wait_for_turn(m, deadline);
        }
        if turn.is_ok() {
            // RWMUTEX-X4: no caller is inside, and none can enter. Acquire: as RWMUTEX-X2.
            self.state.fetch_add(ALONE - WRITER, Ordering::Acquire);
            self.owner.store(me, Ordering::Relaxed);
        } else {
            // RWMUTEX-X5
            self.open(m, WRITER);
        }
        let unlocked = if self.writers.unlock_fast(me) { Ok(()) } else { self.writers.unlock(m) };
        debug_assert!(unlocked.is_ok());
        turn
    }

    /// RWMUTEX-X3.
    ///
    /// # Migrates
    fn wait_for_turn(&self, mut m: MRef, deadline: Option<i64>) -> (MRef, Result<()>) {
        let is_turn = || writer_may_enter(self.state.load(Ordering::Acquire));
        // The callers inside may be about to leave, and no other enters.
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

    /// RWMUTEX-A2, if ALONE is the only content of the word. False: nothing has changed.
    #[inline(always)]
    #[must_use]
    pub fn leave_alone(&self, me: u64) -> bool {
        if self.owner.load(Ordering::Relaxed) != me {
            return false;
        }
        // Cleared before the step that opens: after it the next writer writes there.
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

    /// RWMUTEX-A2 or RWMUTEX-X5 while others wait or are counted: clears the bit `mine`.
    #[cold]
    fn open(&self, m: MRef, mine: u64) {
        let (addr, readers) = (self.addr(), self.addr() | 1);
        waitq::wake_some(m, addr, |w| {
            let mut s = self.state.load(Ordering::Relaxed);
            // While WRITER is set no writer sets ALONE, and ALONE is cleared under this lock.
            let (off, n) = match mine == WRITER && s & ALONE != 0 {
                true => (WRITER, 0),
                false => (mine | QUEUE, w.take_all(readers, Wake::Handoff) as u64),
            };
            // RWMUTEX-B2: a writer keeps waiting if readers are counted in this step.
            let waits = loop {
                let to = (s & !off).wrapping_add(n * READER);
                match self.state.compare_exchange_weak(s, to, Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => break to & WRITER != 0 && writer_may_enter(to),
                    Err(now) => s = now,
                }
            };
            if waits {
                w.take(addr, Wake::Handoff);
            }
        });
    }
}

/// RWMUTEX-R4: the writer whose turn it may be looks again.
#[cold]
fn wake_writer(m: MRef, addr: u64) {
    waitq::wake_one(m, addr, |_, _| Wake::Ready);
}
