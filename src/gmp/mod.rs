//! The nouns: G, M, P and the scheduler that holds them together.
//!
//! * A [`g::G`] is a stackful task. Its memory is never given back while the process lives, so a [`g::GRef`] may always
//!   be read; who may write which field is said at the field.
//! * An [`m::M`] is a thread: one that the library made, or one of the host's that came in (an extra M).
//! * A [`p::P`] is the right to run Gs. Whoever holds its [`p::OwnedP`] owns it; there is one at most.
//! * [`sched::Sched`] is the rest: idle lists, the global queue, counts.
//!
//! Who holds a P shows in the status of its word ([`p::PWord`]): see there for the picture.

pub mod allg;
pub mod allp;
pub mod config;
pub mod error;
pub mod fatal;
pub mod g;
pub mod globq;
pub mod keys;
#[cfg(not(any(loom, shuttle)))]
pub mod layout;
pub mod lock;
pub mod m;
pub mod p;
pub mod queue;
pub mod sched;
pub mod semtable;
pub mod timers;

pub use error::{Error, Result};
pub use g::{G, GRef, GStatus, WaitReason};
pub use m::{Ctx, M, MRef, Mcall, Place};
pub use p::{OwnedP, P, PRef, PStatus};
pub use sched::Sched;
