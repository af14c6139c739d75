//! What the library must do without, as the host has said (`gmx_config.flags`): files; and, after the start, new memory
//! and new threads.
//!
//! The host may have a filter that kills the process for such a call. So the call is not made at all: each function of
//! this layer that opens, maps, protects or makes a thread asks here first, and fails as if the system had refused.

use core::sync::atomic::{AtomicBool, Ordering};

// All of them are Relaxed: the start of the runtime orders them for every other thread.
static NO_FILES: AtomicBool = AtomicBool::new(false);
static NO_MAPPINGS: AtomicBool = AtomicBool::new(false);
static SEALED: AtomicBool = AtomicBool::new(false);

/// Whether files of /proc and of cgroups may be opened.
pub fn may_open() -> bool {
    !NO_FILES.load(Ordering::Relaxed)
}

pub fn open_files(yes: bool) {
    NO_FILES.store(!yes, Ordering::Relaxed);
}

/// Whether memory may still be mapped.
pub fn may_map() -> bool {
    !NO_MAPPINGS.load(Ordering::Relaxed)
}

/// To be called before [`seal`]: mapped memory may still get its guards.
pub fn end_mappings() {
    NO_MAPPINGS.store(true, Ordering::Relaxed);
}

/// Whether all memory, all guards and all threads exist that there will ever be.
pub fn is_sealed() -> bool {
    SEALED.load(Ordering::Relaxed)
}

pub fn seal() {
    SEALED.store(true, Ordering::Relaxed);
}

/// Withdraws all restrictions.
pub fn nothing() {
    for word in [&NO_FILES, &NO_MAPPINGS, &SEALED] {
        word.store(false, Ordering::Relaxed);
    }
}
