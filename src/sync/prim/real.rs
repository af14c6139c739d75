//! The seam over std and the system.

use crate::sync::widen::widen;
use crate::sys;
pub use std::hint::spin_loop;
#[cfg(not(gmx_widen))]
pub use std::sync::atomic::fence;
pub use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(gmx_widen)]
pub fn fence(order: Ordering) {
    widen!();
    std::sync::atomic::fence(order);
    widen!();
}

/// Stands beside data that has one owner at a time: a model reports two threads that touch it at the same time.
#[derive(Default)]
pub struct Watched(());

impl Watched {
    #[inline(always)]
    pub fn touch(&self) {}
}

/// A sequentially consistent fence right after a locked read-modify-write of the same thread, which on x86 already
/// orders earlier stores before later loads.
#[inline(always)]
pub fn fence_after_rmw() {
    widen!();
    #[cfg(target_arch = "x86_64")]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(target_arch = "x86_64"))]
    fence(Ordering::SeqCst);
}

/// The cheap half of an asymmetric fence: see [`asymmetric_fence_heavy`]. True if it was a full fence: then each later
/// one of this thread is a full fence too, as long as the runtime is up.
#[inline(always)]
pub fn asymmetric_fence_light() -> bool {
    let full = !sys::has_asymmetric_fence();
    if full {
        fence(Ordering::SeqCst);
    } else {
        std::sync::atomic::compiler_fence(Ordering::SeqCst);
    }
    full
}

/// The expensive half of an asymmetric fence. Each [`asymmetric_fence_light`] of another thread falls on one side of
/// it. If the light fence comes first, the loads after this heavy fence see the stores before the light fence. If it
/// comes second, the loads after the light fence see the stores before this heavy fence. Once the heavy fence [is
/// lost](fence_is_lost), this holds only for threads whose [`asymmetric_fence_light`] is a full fence.
pub fn asymmetric_fence_heavy() {
    sys::asymmetric_fence_heavy();
}

pub use sys::{fence_is_lost, has_asymmetric_fence};

/// [`asymmetric_fence_light`] for a thread whose counterpart acts only while [`has_asymmetric_fence`] after its heavy
/// fence: never a full fence.
#[inline(always)]
pub fn light_fence() {
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Gives this CPU to another thread, if one waits for it.
pub fn give_way() {
    sys::yield_thread();
}

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn now() -> i64 {
    sys::now()
}

/// To sleep on a word, and to wake the sleepers at an address.
pub mod futex {
    pub use crate::sys::{futex_wait as wait, futex_wake as wake, lock_wait, lock_wake, wake_on_time};
}
