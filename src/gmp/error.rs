//! What can go wrong for a caller, below the C names for it.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The operation does not match the caller's state.
    Perm,
    /// It would have to wait.
    Again,
    NoMemory,
    Busy,
    Invalid,
    Deadlock,
    TimedOut,
    Canceled,
    /// The handle's G is no more, or never was.
    Stale,
    ShutDown,
    /// A channel is closed.
    Closed,
}

pub type Result<T> = std::result::Result<T, Error>;
