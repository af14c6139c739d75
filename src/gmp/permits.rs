//! How many calls of a kind may block a thread at the same time: block/offload.rs has the paper.

use crate::sync::{AtomicU32, Ordering};

/// A semaphore, of which each call holds a permit. The permits go from one call to the next in the order of arrival.
pub struct Permits {
    pub free: AtomicU32,
}

impl Permits {
    fn new(n: u32) -> Permits {
        Permits { free: AtomicU32::new(n) }
    }

    /// While the runtime is down: no call holds a permit.
    pub fn reset(&self, n: u32) {
        self.free.store(n, Ordering::Relaxed);
    }
}

/// The permits of a runtime.
pub struct Offload {
    /// Calls on files.
    pub files: Permits,
    /// Names of hosts that are looked up.
    pub names: Permits,
}

/// As many as a fast disk wants at a time. A call on a file that is in memory has a permit, too; so it is not fewer
/// than a large machine has processors to copy with.
pub const FILES: u32 = 32;
const NAMES: u32 = 16;

impl Default for Offload {
    fn default() -> Offload {
        Offload { files: Permits::new(FILES), names: Permits::new(NAMES) }
    }
}
