//! The errors that a caller may get; capi gives them their C names.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The operation does not match the caller's state.
    Perm,
    /// The call would have to wait.
    Again,
    NoMemory,
    Busy,
    Invalid,
    Deadlock,
    TimedOut,
    Canceled,
    /// The handle's G has ended, or never existed.
    Stale,
    ShutDown,
    /// A channel is closed.
    Closed,
    /// A handle of a descriptor was closed while the call waited.
    Gone,
    /// An errno of the system.
    Os(i32),
    /// One of EAI_*, made positive: the resolver has no answer.
    Name(i32),
}

pub type Result<T> = std::result::Result<T, Error>;
