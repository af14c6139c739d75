//! The verbs: one protocol a file, both sides of it, its paper at the head.
//!
//! A file uses the files above it in this list, and nothing of the layers above:
//!
//! 1. [`preempt`] requests to a running P, and how an owner answers them
//! 2. [`quiet`] nothing runs, and nothing will
//! 3. [`wake`] who sleeps, who searches, who is woken
//! 4. [`rescue`] what waits with a P that does not answer
//! 5. [`syscall`] enter, exit, handoffp, retake
//! 6. [`stw`] stop-the-world and start-the-world
//! 7. [`ragged`] forEachP
//! 8. [`resize`] procresize
//! 9. [`lockedm`] a G locked to its M
//! 10. [`park`] gopark, goready, gosched, goexit, spawn
//! 11. [`coro`] coroutines: two Gs that hand a thread to each other
//! 12. [`foreign`] extra Ms
//! 13. [`tidy`] what a spike leaves behind goes back to the system

pub mod coro;
pub mod foreign;
pub mod lockedm;
pub mod park;
pub mod preempt;
pub mod quiet;
pub mod ragged;
pub mod rescue;
pub mod resize;
pub mod stw;
pub mod syscall;
pub mod tidy;
pub mod wake;
