//! A ring of records: one thread writes, others copy.
//!
//! # Problem
//! The thread that writes a record waits for no reader: when the ring is full, the oldest record goes. A reader copies
//! the ring meanwhile, and may find a record half old and half new.
//!
//! # Words
//! * `written`: how many records the ring has ever got. Record n lies in slot n modulo the size. Written by the one
//!   writer.
//! * slot: the four words of a record.
//!
//! # Protocol
//! Writer, for record n:
//! * RING-W1 fence; store the words into the slot;
//! * RING-W2 `written` = n + 1.
//!
//! Reader:
//! * RING-R1 read `written`, n, and copy the slots of the records before n that the ring may still hold;
//! * RING-R2 fence; read `written` again, and drop each record that the writer may have overwritten since: all up to
//!   the one whose slot the writer fills now.
//!
//! # Invariants
//! * RING-V1 a record that the reader keeps is whole, and the records that it keeps are consecutive.
//!
//! # Orderings
//! The Release of RING-W2 pairs with the Acquire of RING-R1: the reader sees the words of the records before n. The
//! fences pair with each other: if the reader has copied a word that RING-W1 stored for record n, RING-R2 reads at
//! least n, which was stored before the fence of RING-W1.
//!
//! # Rejected
//! * A mark of its number in each record, by which the reader knows a torn one: a fifth word, and a record that is torn
//!   twice may look whole.
//! * A lock, or a stop of the writer: the reader would hold up what it watches.

use super::raw::Record;
use crate::sync::{AtomicU64, Ordering, fence};
use crate::sys::array::{Array, Full};

/// See the module.
pub struct Ring {
    written: AtomicU64,
    slots: Array<[AtomicU64; 4]>,
}

impl Ring {
    /// A ring for at least one record, and for a power of two. None if there is no memory.
    pub fn new(records: usize) -> Option<Ring> {
        let size = records.max(1).checked_next_power_of_two()?;
        let slots = Array::of(size, |_| std::array::from_fn(|_| AtomicU64::new(0)))?;
        Some(Ring { written: AtomicU64::new(0), slots })
    }

    /// How many records it has ever got.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// How many records it holds at most.
    pub fn size(&self) -> usize {
        self.slots.len()
    }

    /// For the one writer.
    #[inline(always)]
    pub fn put(&self, r: Record) {
        let n = self.written.load(Ordering::Relaxed);
        // RING-W1
        fence(Ordering::Release);
        let slot = &self.slots[n as usize & (self.slots.len() - 1)];
        for (word, v) in slot.iter().zip([r.time, r.head, r.goid, r.aux]) {
            word.store(v, Ordering::Relaxed);
        }
        // RING-W2
        self.written.store(n + 1, Ordering::Release);
    }

    /// Adds the records to `to`, the oldest first, and returns how many the ring had got. Any thread may call it.
    pub fn copy(&self, to: &mut Array<Record>) -> Result<u64, Full> {
        let size = self.slots.len() as u64;
        to.reserve(self.slots.len())?;
        let begin = to.len();
        // RING-R1
        let n = self.written.load(Ordering::Acquire);
        let first = n.saturating_sub(size);
        for i in first..n {
            let [time, head, goid, aux] = &self.slots[(i & (size - 1)) as usize];
            let word = |w: &AtomicU64| w.load(Ordering::Relaxed);
            to.put(Record { time: word(time), head: word(head), goid: word(goid), aux: word(aux) });
        }
        // RING-R2
        fence(Ordering::Acquire);
        let now = self.written.load(Ordering::Relaxed);
        let whole = (now + 1).saturating_sub(size).clamp(first, n);
        to.copy_within(begin + (whole - first) as usize.., begin);
        to.truncate(begin + (n - whole) as usize);
        Ok(n)
    }
}
