//! parking_lot.
#![allow(dead_code)]

mod cases;

use cases::{LOCK, Mutex, common, lock};

impl Mutex for parking_lot::Mutex<i64> {
    fn new() -> Self {
        parking_lot::Mutex::new(0)
    }
    fn add(&self) {
        *self.lock() += 1;
    }
    fn sum(&self) -> i64 {
        *self.lock()
    }
}

fn main() {
    if let Some(args) = common::args(&LOCK) {
        lock::<parking_lot::Mutex<i64>>(&args);
    }
}
