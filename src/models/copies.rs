//! block/copy.rs: a copy waits at one of its two descriptors, and the other one is closed or gets a deadline (COPY-P2).
//!
//! The callers are threads of the host, and the only P is taken.

use super::fds::{Real, host, is_closed, maker, together, watch, world_of_fds};
use super::*;
use crate::block::{copy, fd};
use crate::gmp::error::{Error, Result};
use crate::sys::io::Kind;
use crate::sys::poll::OUT;

/// The copy waits for data, and what ends it happens where it would write.
fn copy_against(ends: fn(MRef, u64), wants: fn(Result<()>) -> bool) -> impl Fn() {
    move || {
        let w = world_of_fds();
        let (from, to) = (Real::new(), Real::new());
        let m = maker(&w);
        let [a, b] = [&from, &to].map(|real| fd::make(m, real.0, Kind::Other, true, || true).unwrap());
        watch(m, a);
        let copies = host(move |_, m| {
            let mut done = 7;
            assert!(wants(copy::copy(m, a, b, 8, FOREVER, &mut done)));
            assert_eq!(done, 0);
        });
        together(w, vec![copies, host(move |_, m| ends(m, b))]);
    }
}

fn closes(m: MRef, b: u64) {
    assert!(fd::release(m, b).is_ok());
}

fn dates(m: MRef, b: u64) {
    assert_eq!(fd::set_deadline(m, b, OUT, -1), Ok(()));
}

const SIZE: Size = Size { preemptions: 2, schedules: 2000 };

#[test]
fn copy_beside_a_close_of_its_other_end() {
    check(SIZE, copy_against(closes, is_closed));
}

#[test]
fn copy_beside_a_deadline_of_its_other_end() {
    check(SIZE, copy_against(dates, |r| r == Err(Error::TimedOut)));
}

/// The copy looks before it says where it waits.
#[cfg(loom)]
#[test]
fn finds_copy_without_fence() {
    finds(DEADLOCK, || {
        without("block/copy.rs", "run");
        check(SIZE, copy_against(closes, is_closed));
    });
}
