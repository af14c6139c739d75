//! Records of what happens, for a look at it afterwards.
//!
//! `raw.rs` says what a record means and how the file is laid out that holds them; the tool that reads the file
//! includes it. `ring.rs` is where each thread leaves its records. Where the scheduler writes them, and the rules for
//! that, is gmp/record.rs; how recording begins and ends, sched/tracing.rs.

pub mod raw;
pub mod ring;
