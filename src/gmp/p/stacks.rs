//! The free stacks of the default size that a P keeps. The owner of the P takes and puts them without a lock.

use super::{OwnedP, P};
use crate::fiber::stack::Stack;

/// The most stacks of the default size that a P keeps.
pub const STACK_CACHE: usize = 64;

pub(super) struct StackCache {
    /// The smallest `stacks_len` since the owner last looked: the entries below were not needed.
    pub(super) fewest: usize,
    pub(super) stacks: [std::mem::MaybeUninit<Stack>; STACK_CACHE],
}

impl P {
    /// The kept stacks, for the owner; while the P is Idle, for the holder of `sched.lock`.
    #[inline(always)]
    fn stack_cache(&self) -> *mut StackCache {
        self.stacks_watched.touch();
        self.stacks.get()
    }

    /// The number of stacks that it keeps. Exact in a stopped world.
    pub fn stacks_kept(&self) -> usize {
        self.stacks_len.get()
    }

    /// Takes as many kept stacks of a P without an owner as `out` has room for. Returns how many.
    ///
    /// # Safety
    /// The P is Idle, and the caller holds `sched.lock`.
    pub unsafe fn take_idle_stacks(&self, out: &mut [std::mem::MaybeUninit<Stack>]) -> usize {
        // SAFETY: no thread owns the P, and none can become its owner under the lock.
        let c = unsafe { &mut *self.stack_cache() };
        let len = self.stacks_len.get();
        let n = out.len().min(len);
        // The order is kept: the hottest stacks are the last.
        out[..n].copy_from_slice(&c.stacks[..n]);
        c.stacks.copy_within(n..len, 0);
        self.stacks_len.set(len - n);
        c.fewest = c.fewest.saturating_sub(n);
        n
    }
}

impl OwnedP {
    /// A stack of the default size, the hottest one.
    #[inline(always)]
    pub fn pop_stack(&self) -> Option<Stack> {
        // SAFETY: `self` owns the P, and calls nothing else while the reference lives.
        let c = unsafe { &mut *self.stack_cache() };
        let len = self.stacks_len.get().checked_sub(1)?;
        self.stacks_len.set(len);
        c.fewest = c.fewest.min(len);
        // SAFETY: entries below the old length were written by `push_stack`.
        Some(unsafe { c.stacks[len].assume_init_read() })
    }

    /// Keeps a stack. If there are too many, passes half of them to `spill`.
    #[inline(always)]
    pub fn push_stack(&self, s: Stack, spill: impl FnOnce(&[Stack])) {
        // SAFETY: as in `pop_stack`; `spill` gets a copy of the entries it is to take.
        let c = unsafe { &mut *self.stack_cache() };
        let mut len = self.stacks_len.get();
        if len == STACK_CACHE {
            len = Self::spill_stacks(c, spill);
        }
        c.stacks[len].write(s);
        self.stacks_len.set(len + 1);
    }

    /// Returns how many are left.
    #[cold]
    fn spill_stacks(c: &mut StackCache, spill: impl FnOnce(&[Stack])) -> usize {
        // The coldest half, which lies at the bottom.
        const HALF: usize = STACK_CACHE / 2;
        // SAFETY: all entries are written.
        spill(unsafe { std::slice::from_raw_parts(c.stacks.as_ptr().cast(), HALF) });
        c.stacks.copy_within(HALF.., 0);
        c.fewest = c.fewest.saturating_sub(HALF);
        STACK_CACHE - HALF
    }

    /// Passes the stacks that were not needed since the last time, or all, to `give`. Begins to watch anew.
    #[cold]
    pub fn take_unneeded(&self, all: bool, give: impl FnOnce(&[Stack])) {
        // SAFETY: as in `pop_stack`; `give` gets a copy of the entries that go.
        let c = unsafe { &mut *self.stack_cache() };
        let len = self.stacks_len.get();
        let n = if all { len } else { c.fewest };
        // SAFETY: entries below the length are written, and `fewest` is no larger.
        give(unsafe { std::slice::from_raw_parts(c.stacks.as_ptr().cast(), n) });
        c.stacks.copy_within(n..len, 0);
        self.stacks_len.set(len - n);
        c.fewest = len - n;
    }

    /// Takes every kept stack.
    pub fn drain_stacks(&self, mut each: impl FnMut(Stack)) {
        while let Some(s) = self.pop_stack() {
            each(s);
        }
    }
}
