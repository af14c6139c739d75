//! The verbs of the scheduler: one protocol a file, with both sides of it and its paper at the head.
//!
//! A file uses only files above it in this list, and no layer above this one:
//!
//! 1. [`preempt`] requests to a running P, and how its owner answers them
//! 2. [`quiet`] how a waiter learns that nothing runs and nothing will run
//! 3. [`idle`] the lists of idle Ps and Ms
//! 4. [`netpoll`] how the Gs that wait for descriptors come back
//! 5. [`wake`] when an M searches, when it sleeps, and what wakes it
//! 6. [`rescue`] Gs and timers that wait behind a P that does not answer
//! 7. [`syscall`] enter, exit, handoffp, retake
//! 8. [`lockedm`] a G locked to its M
//! 9. [`seize`] Ps of Gs that run the host's code and do not come back
//! 10. [`stw`] stop-the-world and start-the-world
//! 11. [`ragged`] forEachP
//! 12. [`resize`] procresize
//! 13. [`store`] descriptors and stacks
//! 14. [`thread`] a thread of the host waits
//! 15. [`park`] gopark, goready, gosched, goexit
//! 16. [`coro`] coroutines: two Gs that hand a thread to each other
//! 17. [`foreign`] extra Ms, for threads that the host made
//! 18. [`tidy`] gives the memory of unused stacks back to the system

pub mod coro;
pub mod foreign;
pub mod idle;
pub mod lockedm;
pub mod netpoll;
pub mod park;
pub mod preempt;
pub mod quiet;
pub mod ragged;
pub mod rescue;
pub mod resize;
pub mod seize;
pub mod store;
pub mod stw;
pub mod syscall;
pub mod thread;
pub mod tidy;
pub mod wake;
