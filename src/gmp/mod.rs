//! The nouns: G, M, P and the scheduler that holds them together.
//!
//! * A [`g::G`] is a stackful task. Its memory is never freed while the process lives, so a [`g::GRef`] may always be
//!   read; the comment at each field says which thread may write it.
//! * An [`m::M`] is a thread: one that the library made, or one of the host's that has entered the library (an extra
//!   M).
//! * A [`p::P`] is the right to run Gs. The holder of its [`p::OwnedP`] owns it; there is at most one.
//! * [`sched::Sched`] is the rest: idle lists, the global queue, counts.
//!
//! The status in a P's word ([`p::PWord`]) says which thread owns the P: see there for the picture.

pub mod allg;
pub mod allp;
pub mod config;
pub mod error;
pub mod fatal;
pub mod g;
pub mod glance;
pub mod globq;
pub mod handles;
pub mod hogs;
pub mod keys;
pub mod latency;
#[cfg(not(any(loom, shuttle)))]
pub mod layout;
pub mod lock;
pub mod m;
pub mod netpoll;
pub mod orphans;
pub mod p;
pub mod permits;
pub mod posts;
pub mod probes;
pub mod queue;
pub mod record;
pub mod sched;
pub mod semtable;
pub mod timers;

pub use error::{Error, Result};
pub use g::{G, GRef, GStatus, WaitReason};
pub use m::{Ctx, M, MRef, Mcall, Place};
pub use p::{OwnedP, P, PRef, PStatus};
pub use sched::Sched;
