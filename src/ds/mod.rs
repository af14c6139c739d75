//! Data structures that know nothing of the scheduler.

pub mod escape;
pub mod histogram;
pub mod leak;
pub mod line;
pub mod mask;
pub mod rng;
pub mod runq;
pub mod slab;
