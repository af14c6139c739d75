//! libgomax: the scheduler of the Go runtime behind a C interface.
//!
//! Layers, lowest first; a module imports only from layers below its own (and, inside `protocol`, from the files
//! listed above it in `protocol/mod.rs`):
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | 0 | [`sys`] | the operating system and the instruction set |
//! | 1 | [`sync`] | atomics, ranked locks, notes, the clock: one facade over std, loom and shuttle |
//! | 2 | [`ds`] | queues, masks, tables |
//! | 3 | [`fiber`] | entering and leaving a stack |
//! | 4 | [`trace`] | records of what happens, and the rings that hold them |
//! | 5 | [`gmp`] | the nouns: G, M, P, Sched |
//! | 6 | [`protocol`] | the verbs, one paper a file |
//! | 7 | [`block`] | what a G can wait on |
//! | 8 | [`sched`] | the loop, the watchdog, the world |
//! | 9 | [`rt`] | the one runtime of this process |
//! | 10 | [`capi`] | the C ABI |

pub mod block;
// The models need the protocols only; the C structs have no room for the checkers' atomics.
#[cfg(not(any(loom, shuttle)))]
pub mod capi;
pub mod ds;
pub mod fiber;
pub mod gmp;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
pub mod protocol;
#[cfg(not(any(loom, shuttle)))]
pub mod rt;
pub mod sched;
pub mod sync;
pub mod sys;
pub mod trace;
