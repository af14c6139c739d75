//! Entering and leaving a stack, the stacks themselves, and what else belongs to a thread in C and has to travel.
//!
//! What must hold: a stack is owned by one G from [`stack::StackPool::alloc`] to [`stack::StackPool::free`], and freed
//! only by somebody who runs on another one; between [`HostState::restore`](host::HostState::restore) and
//! [`HostState::save`](host::HostState::save) a G stays on one thread.

pub mod host;
pub mod overflow;
pub mod sanitize;
mod signals;
pub mod stack;
pub mod text;

pub use crate::sys::arch::{Sp, prepare, switch};
