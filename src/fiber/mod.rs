//! The switch between stacks, the stacks themselves, and the rest of a C thread's state that travels with a goroutine.
//!
//! Invariants: one G owns a stack from [`stack::StackPool::alloc`] to [`stack::StackPool::free`], and the thread that
//! frees it runs on another stack. Between [`HostState::restore`](host::HostState::restore) and
//! [`HostState::save`](host::HostState::save) a G stays on one thread.

pub mod host;
pub mod overflow;
pub mod sanitize;
mod signals;
pub mod stack;
pub mod text;

pub use crate::sys::arch::{Sp, prepare, switch};
