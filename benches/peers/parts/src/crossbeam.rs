//! crossbeam-deque.
#![allow(dead_code)]

mod cases;

use cases::{QUEUE, Queue, common, queue};
use crossbeam_deque::{Steal, Stealer, Worker};

/// `NEWEST`: its owner takes the newest.
struct Deque<const NEWEST: bool>(Worker<usize>);

/// A theft that lost against another is tried again, as the library does by itself.
fn until_done(mut steal: impl FnMut() -> Steal<usize>) -> Option<usize> {
    loop {
        match steal() {
            Steal::Success(v) => return Some(v),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}

impl<const NEWEST: bool> Queue for Deque<NEWEST> {
    type Thief = Stealer<usize>;
    fn new() -> Self {
        Deque(if NEWEST { Worker::new_lifo() } else { Worker::new_fifo() })
    }
    fn thief(&self) -> Stealer<usize> {
        self.0.stealer()
    }
    fn push(&self, v: usize) {
        self.0.push(v);
    }
    fn pop(&self) -> Option<usize> {
        self.0.pop()
    }
    fn steal(thief: &Stealer<usize>) -> Option<usize> {
        until_done(|| thief.steal())
    }
    fn steal_half(thief: &Stealer<usize>, into: &Self) -> Option<usize> {
        until_done(|| thief.steal_batch_and_pop(&into.0))
    }
}

fn main() {
    if let Some(args) = common::args(&QUEUE) {
        queue::<Deque<false>, Deque<true>>(&args);
    }
}
