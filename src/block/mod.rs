//! The objects that a G can wait for. Everything here blocks by `gopark` and wakes by `goready`, and by no other means.
//! So each object works for Gs, for attached threads, and for threads of the host that hold no P.

pub mod address;
pub mod barrier;
pub mod batch;
pub mod cancel;
pub mod chan;
pub mod claim;
pub mod class;
pub mod cleanup;
pub mod cond;
pub mod copy;
pub mod dial;
pub mod disk;
pub mod done;
pub mod edges;
pub mod fd;
pub mod file;
pub mod hook;
pub mod join;
pub mod listen;
pub mod mutex;
pub mod names;
pub mod offload;
pub mod once;
pub mod parallel;
pub mod parking;
pub mod post;
// A model has no children.
#[cfg(not(any(loom, shuttle)))]
pub mod process;
pub mod rmutex;
pub mod rwmutex;
pub mod scope;
pub mod segments;
pub mod select;
pub mod sema;
pub mod sleep;
pub mod spawn;
pub mod timer;
pub mod vain;
pub mod waitgroup;
pub mod waitq;
