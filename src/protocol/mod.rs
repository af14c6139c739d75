//! The verbs: one protocol a file, both sides of it, its paper at the head.
//!
//! A file uses the files above it in this list, and nothing of the layers above:
//!
//! 1. [`preempt`] requests to a running P, and how an owner answers them
//! 2. [`wake`] who sleeps, who searches, who is woken
//! 3. [`syscall`] enter, exit, handoffp, retake
//! 4. [`stw`] stop-the-world and start-the-world
//! 5. [`ragged`] forEachP
//! 6. [`resize`] procresize
//! 7. [`lockedm`] a G locked to its M
//! 8. [`park`] gopark, goready, gosched, goexit, spawn
//! 9. [`foreign`] extra Ms
//! 10. [`tidy`] what a spike leaves behind goes back to the system

pub mod foreign;
pub mod lockedm;
pub mod park;
pub mod preempt;
pub mod ragged;
pub mod resize;
pub mod stw;
pub mod syscall;
pub mod tidy;
pub mod wake;
