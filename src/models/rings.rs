//! trace/ring.rs: a writer that laps its readers.

use super::*;
use crate::sys::array::Array;
use crate::trace::raw::Record;
use crate::trace::ring::Ring;

/// The record with this number: each of its words has it.
fn record(n: u64) -> Record {
    Record { time: n, head: n, goid: n, aux: n }
}

/// RING-V1 for what a reader has copied: `got` were written when it began.
fn is_right(copied: &[Record], got: u64) {
    for (i, r) in copied.iter().enumerate() {
        let n = got - copied.len() as u64 + i as u64;
        assert_eq!(*r, record(n), "a record is torn");
    }
}

/// One writer of `n` records, and a reader.
fn copied_meanwhile(size: usize, n: u64) -> impl Fn() {
    move || {
        let ring = Arc::new(Ring::new(size).unwrap());
        let r = ring.clone();
        let reader = thread::spawn(move || {
            let mut to = Array::new();
            let got = r.copy(&mut to).unwrap();
            is_right(&to, got);
        });
        (0..n).for_each(|i| ring.put(record(i)));
        reader.join().unwrap();
        let mut to = Array::new();
        assert_eq!(ring.copy(&mut to).unwrap(), n);
        // The slot that would be filled next counts as lost.
        assert_eq!(to.len() as u64, n.min(size as u64 - 1));
        is_right(&to, n);
    }
}

/// A torn record takes two interruptions in the middle of it.
const SMALL: Size = Size { preemptions: 2, schedules: 4000 };

#[test]
fn records_are_whole() {
    check(SMALL, copied_meanwhile(2, 3));
}

#[test]
fn records_are_whole_in_a_larger_ring() {
    check(Size { preemptions: 1, schedules: 4000 }, copied_meanwhile(4, 6));
}

#[cfg(loom)]
#[test]
fn finds_record_without_fence() {
    finds(&["a record is torn"], || {
        without("trace/ring.rs", "put");
        check(SMALL, copied_meanwhile(2, 3));
    });
}

#[cfg(loom)]
#[test]
fn finds_copy_without_fence() {
    finds(&["a record is torn"], || {
        without("trace/ring.rs", "copy");
        check(SMALL, copied_meanwhile(2, 3));
    });
}

/// RING-W2: the records are there when their number is.
#[cfg(loom)]
#[test]
fn finds_records_counted_early() {
    finds(&["a record is torn"], || {
        relaxed("trace/ring.rs", "put", "Ordering::Release);");
        check(SMALL, copied_meanwhile(4, 2));
    });
}
