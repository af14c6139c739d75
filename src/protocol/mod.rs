//! The verbs: one protocol a file, both sides of it, its paper at the head.
//!
//! A file uses the files above it in this list, and nothing of the layers above:
//!
//! 1. [`preempt`] requests to a running P, and how an owner answers them
//! 2. [`wake`] who sleeps, who searches, who is woken
//! 3. [`rescue`] what waits with a P that does not answer
//! 4. [`syscall`] enter, exit, handoffp, retake
//! 5. [`stw`] stop-the-world and start-the-world
//! 6. [`ragged`] forEachP
//! 7. [`resize`] procresize
//! 8. [`lockedm`] a G locked to its M
//! 9. [`park`] gopark, goready, gosched, goexit, spawn
//! 10. [`foreign`] extra Ms
//! 11. [`tidy`] what a spike leaves behind goes back to the system

pub mod foreign;
pub mod lockedm;
pub mod park;
pub mod preempt;
pub mod ragged;
pub mod rescue;
pub mod resize;
pub mod stw;
pub mod syscall;
pub mod tidy;
pub mod wake;
