//! The words through which threads agree: atomics, ranked locks, one-shot notes.
//!
//! The layers above take these from here only, so that the protocols that ship are the protocols that loom and shuttle
//! check. (`tests/layers.rs` holds them to it, and lists the few exceptions with their reasons.) There are two kinds of
//! words:
//!
//! * atomics are part of a protocol, and a model tries every order of their accesses;
//! * [`own`] words have one writer at a time, and any thread may read them. They are relaxed atomics, so a read is
//!   never a data race, and a model does not schedule around them.

pub mod event;
pub mod lock;
pub mod note;
pub mod own;
#[cfg(not(any(loom, shuttle)))]
mod poll;
mod prim;
mod rank;
#[cfg(any(loom, shuttle))]
mod simple;
pub mod widen;

pub use lock::{Guard, Latch, Lock};
pub use prim::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, Watched,
    asymmetric_fence_heavy, asymmetric_fence_light, fence, fence_after_rmw, fence_is_lost, give_way,
    has_asymmetric_fence, light_fence, now, spin_loop,
};
#[cfg(all(test, any(loom, shuttle)))]
pub use prim::{futex, give_away, nothing_is_gone, refuse_heavy_fence, set_now, touch, without_order};
pub use rank::{Rank, holding_any, list as rank_list, locks_need, record_holds, step, tell_holds};

#[cfg(any(loom, shuttle))]
use simple as poll;
#[cfg(not(any(loom, shuttle)))]
pub use {
    event::Event,
    lock::RawMutex,
    note::{Note, Sleeper},
    poll::{Events, Poll},
};
#[cfg(any(loom, shuttle))]
pub use {simple::Event, simple::Events, simple::Note, simple::Poll, simple::SimpleMutex as RawMutex, simple::Sleeper};

/// The mutex inside each [`Lock`] and [`Latch`].
#[cfg(not(any(loom, shuttle)))]
use lock::RawMutex as Inner;
#[cfg(any(loom, shuttle))]
use simple::SimpleMutex as Inner;
