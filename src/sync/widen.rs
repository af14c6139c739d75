//! Race wideners: a short random pause at places where another thread might come in between.
//!
//! `widen!()` stands in the protocols between any two steps where a race was considered, and in this module at every
//! fence, lock and note. It is empty unless the library is built with `--cfg gmx_widen`. Then one in a few dozen yields
//! the thread, spins a little or sleeps, so that a race that happens once in a million runs happens once in a test.

/// See the module.
macro_rules! widen {
    () => {
        #[cfg(all(gmx_widen, not(any(loom, shuttle))))]
        $crate::sync::widen::pause();
    };
}
pub(crate) use widen;

/// Never inlined, and uses no thread-local: a caller may leave its stack.
#[cfg(all(gmx_widen, not(any(loom, shuttle))))]
#[inline(never)]
pub fn pause() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static TURN: AtomicU64 = AtomicU64::new(0);
    // splitmix64: one counter for all is as good as a state for each thread.
    let mut x = TURN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    match x % 64 {
        0 => crate::sys::yield_thread(),
        1..=3 => (0..x >> 8 & 0x3ff).for_each(|_| std::hint::spin_loop()),
        4 if x >> 8 & 7 == 0 => crate::sys::sleep_until(crate::sys::now() + (x >> 16 & 0xffff) as i64),
        _ => {}
    }
}
