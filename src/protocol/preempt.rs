//! Requests to a running P: the time slice is over.
//!
//! # Problem
//! A G that runs for long must let others run, and nothing may interrupt C code at an arbitrary instruction: a lock of
//! the host's C library might be held there.
//!
//! # Words
//! The request bits in the P word (gmp/p.rs); `poll`, the number of bits set in all words, which `gmx_safepoint` reads in
//! the host's code.
//!
//! # Protocol
//! * Q1 whoever wants something sets a bit in the word of a Running P, and counts it in `poll`.
//! * Q2 the owner looks at its word at every way through the scheduler, at every way into a syscall, and when `poll` is
//!   not zero in `gmx_safepoint`. It goes to the scheduler's stack, serves the bit and clears it.
//!
//! # Invariants
//! * P1 a bit once set stays until it is served or the P leaves Running; so nobody has to ask twice (Go re-sends).
//!
//! # Why it ends
//! It does not: a G that never polls runs on. Stops have a time-out for that, and name it.

use crate::gmp::p::{PREEMPT, PRef};

/// Asks a P to go through its scheduler. True if that is news.
pub fn preempt_one(p: PRef) -> bool {
    p.request(PREEMPT).1
}
