//! The library's queue and lock by themselves, beside those of crossbeam-deque and parking_lot: the same cases for all,
//! with the same entries in the same order.

#[path = "../../rust/src/common.rs"]
pub mod common;

use common::{Args, check, start};
use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

/// A batch. crossbeam-deque begins with 64 places, so neither queue grows.
const BATCH: i64 = 32;

/// A queue of numbers that are not 0. Its owner has it, its thieves have handles.
pub trait Queue {
    type Thief: Send + 'static;
    fn new() -> Self;
    fn thief(&self) -> Self::Thief;
    fn push(&self, v: usize);
    fn pop(&self) -> Option<usize>;
    fn steal(thief: &Self::Thief) -> Option<usize>;
    /// The first is returned, the others go to `into`.
    fn steal_half(thief: &Self::Thief, into: &Self) -> Option<usize>;
}

pub trait Mutex: Sync {
    fn new() -> Self;
    /// Adds one under the lock.
    fn add(&self);
    fn sum(&self) -> i64;
}

/// `Fifo`: its owner takes the oldest. `Lifo`: its owner takes the newest.
pub fn queue<Fifo: Queue, Lifo: Queue>(args: &Args) {
    let rounds = args.n / BATCH;
    match args.case.as_str() {
        "queue_oldest" => push_pop::<Fifo>(rounds),
        "queue_newest" => push_pop::<Lifo>(rounds),
        "queue_steal" => steal::<Fifo>(rounds),
        "queue_steal_half" => steal_half::<Fifo>(rounds),
        "queue_thief" => thief::<Fifo>(rounds),
        _ => unreachable!(),
    }
}

pub const QUEUE: [(&str, u64); 5] =
    [("queue_oldest", 0), ("queue_newest", 0), ("queue_steal", 0), ("queue_steal_half", 0), ("queue_thief", 0)];

fn fill(queue: &impl Queue) {
    for v in 1..=BATCH {
        queue.push(black_box(v as usize));
    }
}

/// Takes all that is there; returns how much.
fn drain(queue: &impl Queue) -> i64 {
    let mut taken = 0;
    while let Some(v) = queue.pop() {
        black_box(v);
        taken += 1;
    }
    taken
}

fn push_pop<Q: Queue>(rounds: i64) {
    let queue = Q::new();
    let mut taken = 0;
    let begin = start();
    for _ in 0..rounds {
        fill(&queue);
        taken += drain(&queue);
    }
    begin.each(rounds * BATCH);
    check(taken, rounds * BATCH);
}

/// The thief is the same thread: what a theft costs while no other thread is at the queue.
fn steal<Q: Queue>(rounds: i64) {
    let queue = Q::new();
    let thief = queue.thief();
    let mut taken = 0;
    let begin = start();
    for _ in 0..rounds {
        fill(&queue);
        while let Some(v) = Q::steal(&thief) {
            black_box(v);
            taken += 1;
        }
    }
    begin.each(rounds * BATCH);
    check(taken, rounds * BATCH);
}

fn take_halves<Q: Queue>(thief: &Q::Thief, mine: &Q) -> i64 {
    let mut taken = 0;
    while let Some(v) = Q::steal_half(thief, mine) {
        black_box(v);
        taken += 1;
        while let Some(v) = mine.pop() {
            black_box(v);
            taken += 1;
        }
    }
    taken
}

fn steal_half<Q: Queue>(rounds: i64) {
    let (queue, mine) = (Q::new(), Q::new());
    let thief = queue.thief();
    let mut taken = 0;
    let begin = start();
    for _ in 0..rounds {
        fill(&queue);
        taken += take_halves(&thief, &mine);
    }
    begin.each(rounds * BATCH);
    check(taken, rounds * BATCH);
}

/// The owner pushes a batch and takes what the thief, another thread, has left of it.
fn thief<Q: Queue>(rounds: i64) {
    let queue = Q::new();
    let handle = queue.thief();
    let (ready, over) = (&Barrier::new(2), &AtomicBool::new(false));
    std::thread::scope(|scope| {
        let thief = scope.spawn(move || {
            let (mine, mut taken) = (Q::new(), 0);
            ready.wait();
            loop {
                // (before the look at the queue: what the owner has left behind is taken too)
                let last = over.load(Ordering::Acquire);
                taken += take_halves(&handle, &mine);
                if last {
                    return taken;
                }
                spin_loop();
            }
        });
        ready.wait();
        let mut taken = 0;
        let begin = start();
        for _ in 0..rounds {
            fill(&queue);
            taken += drain(&queue);
        }
        begin.each(rounds * BATCH);
        over.store(true, Ordering::Release);
        check(taken + thief.join().unwrap(), rounds * BATCH);
    });
}

pub const LOCK: [(&str, u64); 2] = [("lock_uncontended", 0), ("lock_contended", 0)];

/// `workers` threads take the lock in turn.
pub fn lock<M: Mutex>(args: &Args) {
    let (mutex, workers) = (M::new(), args.workers as i64);
    let (each, ready) = (args.n / workers, Barrier::new(args.workers));
    let begin = std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(|| {
                ready.wait();
                (0..each).for_each(|_| black_box(&mutex).add());
            });
        }
        ready.wait();
        let begin = start();
        (0..each).for_each(|_| black_box(&mutex).add());
        begin
    });
    begin.each(each * workers);
    check(mutex.sum(), each * workers);
}
