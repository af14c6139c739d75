//! The verbs: one protocol a file, both sides of it, its paper at the head.
//!
//! A file uses the files above it in this list, and nothing of the layers above:
//!
//! 1. [`preempt`] requests to a running P, and how an owner answers them
//! 2. [`quiet`] nothing runs, and nothing will
//! 3. [`idle`] the lists of idle Ps and Ms
//! 4. [`wake`] who sleeps, who searches, who is woken
//! 5. [`rescue`] what waits with a P that does not answer
//! 6. [`syscall`] enter, exit, handoffp, retake
//! 7. [`stw`] stop-the-world and start-the-world
//! 8. [`ragged`] forEachP
//! 9. [`resize`] procresize
//! 10. [`lockedm`] a G locked to its M
//! 11. [`store`] descriptors and stacks
//! 12. [`park`] gopark, goready, gosched, goexit
//! 13. [`coro`] coroutines: two Gs that hand a thread to each other
//! 14. [`foreign`] extra Ms
//! 15. [`tidy`] what a spike leaves behind goes back to the system

pub mod coro;
pub mod foreign;
pub mod idle;
pub mod lockedm;
pub mod park;
pub mod preempt;
pub mod quiet;
pub mod ragged;
pub mod rescue;
pub mod resize;
pub mod store;
pub mod stw;
pub mod syscall;
pub mod tidy;
pub mod wake;
