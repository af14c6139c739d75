//! The seam under all words: what the library takes from std and the system, and the models from a checker.
//!
//! Both sides export the same names:
//!
//! * atomics, fences, asymmetric fences, `spin_loop`, `give_way` and the clock;
//! * [`futex`]: to sleep while a word has a value, and to wake the sleepers at an address. A futex compares the word
//!   and lets the caller sleep in one step: no wake comes in between. A wake only takes an address, since the word may
//!   be gone. A sleep may end without a wake (a spurious wake-up). The calls order nothing.
//!
//! The lock, the note and the event are written over these names, so the models run the files that ship.

#[cfg(any(loom, shuttle))]
mod model;
#[cfg(not(any(loom, shuttle)))]
mod real;

#[cfg(any(loom, shuttle))]
pub use model::*;
#[cfg(not(any(loom, shuttle)))]
pub use real::*;
