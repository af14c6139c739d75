//! The run queue of one P: one owner pushes and pops, anybody steals.
//!
//! Both kinds are crossbeam's deque. It is kept below its first buffer's size, for then it never allocates: a spawn
//! or a ready cannot fail for want of memory, and the owner's side touches no thread-local, which code that runs on a
//! migrating G must not. What does not fit goes to the global queue, as it does in Go.

/// Most entries that a queue takes. crossbeam's first buffer has 64 slots; it would shrink never and grow at 64.
pub const CAPACITY: usize = 63;

#[cfg(not(any(loom, shuttle)))]
mod imp {
    use super::CAPACITY;
    use crossbeam_deque::{Steal, Stealer, Worker};

    /// See the module.
    pub struct RunQ<T: Copy> {
        worker: Worker<T>,
        stealer: Stealer<T>,
    }

    // SAFETY: the owner's side (`push`, `pop`) is unsafe to call from anyone but the one owner.
    unsafe impl<T: Copy + Send> Sync for RunQ<T> {}

    impl<T: Copy> RunQ<T> {
        /// The owner gets the oldest first.
        pub fn fifo() -> Self {
            let worker = Worker::new_fifo();
            RunQ { stealer: worker.stealer(), worker }
        }

        /// The owner gets the newest first, thieves the oldest.
        pub fn lifo() -> Self {
            let worker = Worker::new_lifo();
            RunQ { stealer: worker.stealer(), worker }
        }

        /// Appends, or hands the value back when full.
        ///
        /// # Safety
        /// The caller is the owner.
        #[inline(always)]
        pub unsafe fn push(&self, v: T) -> Result<(), T> {
            if self.worker.len() >= CAPACITY {
                return Err(v);
            }
            self.worker.push(v);
            Ok(())
        }

        /// # Safety
        /// The caller is the owner.
        #[inline(always)]
        pub unsafe fn pop(&self) -> Option<T> {
            self.worker.pop()
        }

        /// The owner's look: what it sees it may pop, but for thieves.
        ///
        /// # Safety
        /// The caller is the owner.
        #[inline(always)]
        pub unsafe fn is_empty_here(&self) -> bool {
            self.worker.is_empty()
        }

        #[inline]
        pub fn len(&self) -> usize {
            self.stealer.len()
        }

        #[inline]
        pub fn is_empty(&self) -> bool {
            self.stealer.is_empty()
        }

        /// Takes the oldest entry. Only on a scheduler's stack: crossbeam pins its epoch in a thread-local.
        pub fn steal(&self) -> Option<T> {
            loop {
                match self.stealer.steal() {
                    Steal::Success(v) => return Some(v),
                    Steal::Empty => return None,
                    Steal::Retry => std::hint::spin_loop(),
                }
            }
        }

        /// Takes half of the entries, the oldest: the first is returned, the others go to `into`, an empty queue.
        /// Only on a scheduler's stack.
        ///
        /// # Safety
        /// The caller is the owner of `into`.
        pub unsafe fn steal_half(&self, into: &RunQ<T>) -> Option<T> {
            loop {
                match self.stealer.steal_batch_and_pop(&into.worker) {
                    Steal::Success(v) => return Some(v),
                    Steal::Empty => return None,
                    Steal::Retry => std::hint::spin_loop(),
                }
            }
        }
    }

    /// Makes this thread ready to steal and to wait for a lock: the first pin of an epoch allocates, and so does the first
    /// wait.
    pub fn warm_up_thread() {
        let lock = parking_lot::Mutex::new(());
        let held = lock.lock();
        drop(lock.try_lock_for(std::time::Duration::from_nanos(1)));
        drop(held);
        let worker: Worker<u8> = Worker::new_fifo();
        let _ = worker.stealer().steal();
    }
}

#[cfg(any(loom, shuttle))]
mod imp {
    use super::CAPACITY;
    use crate::sync::{AtomicI64, Ordering};
    #[cfg(loom)]
    use loom::sync::atomic::fence;
    #[cfg(all(shuttle, not(loom)))]
    use shuttle::sync::atomic::fence;
    use std::cell::Cell;
    use std::sync::Mutex;

    thread_local! {
        static PARENTS: Cell<bool> = const { Cell::new(false) };
    }

    /// For models: whether anything is ever put into a last-in-first-out queue. Where not, looking at one takes no step.
    pub fn use_lifo(on: bool) {
        PARENTS.set(on);
    }

    /// crossbeam's deque by its two ends, with its orderings and not one fence more than it needs for itself: what the
    /// protocols around it rely on must be their own.
    pub struct RunQ<T: Copy> {
        /// The end that thieves take from, and the owner of a first-in-first-out queue.
        front: AtomicI64,
        /// The end that the owner pushes to. Owner: the owner.
        back: AtomicI64,
        /// What was pushed, from 0 on. What may be read here is decided by the ends.
        places: Mutex<Vec<T>>,
        lifo: bool,
    }

    impl<T: Copy> RunQ<T> {
        pub fn fifo() -> Self {
            RunQ { front: AtomicI64::new(0), back: AtomicI64::new(0), places: Mutex::new(Vec::new()), lifo: false }
        }
        pub fn lifo() -> Self {
            RunQ { lifo: true, ..Self::fifo() }
        }
        fn unused(&self) -> bool {
            self.lifo && !PARENTS.get()
        }
        /// A guess until the end was moved.
        fn at(&self, i: i64) -> Option<T> {
            self.places.lock().unwrap().get(i as usize).copied()
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn push(&self, v: T) -> Result<(), T> {
            assert!(!self.unused());
            let b = self.back.load(Ordering::Relaxed);
            {
                let mut places = self.places.lock().unwrap();
                if places.len() >= CAPACITY {
                    return Err(v);
                }
                places.truncate(b as usize);
                places.push(v);
            }
            self.back.store(b + 1, Ordering::Release);
            Ok(())
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn pop(&self) -> Option<T> {
            if self.unused() {
                return None;
            }
            let b = self.back.load(Ordering::Relaxed);
            if b - self.front.load(Ordering::Relaxed) <= 0 {
                return None;
            }
            if !self.lifo {
                let f = self.front.fetch_add(1, Ordering::SeqCst);
                if b - (f + 1) < 0 {
                    self.front.store(f, Ordering::Relaxed);
                    return None;
                }
                return self.at(f);
            }
            let b = b - 1;
            self.back.store(b, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let f = self.front.load(Ordering::Relaxed);
            if b < f {
                self.back.store(b + 1, Ordering::Relaxed);
                return None;
            }
            let v = self.at(b);
            if b > f {
                return v;
            }
            let won = self.front.compare_exchange(f, f + 1, Ordering::SeqCst, Ordering::Relaxed).is_ok();
            self.back.store(b + 1, Ordering::Relaxed);
            if won { v } else { None }
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn is_empty_here(&self) -> bool {
            self.is_empty()
        }
        pub fn len(&self) -> usize {
            if self.unused() {
                return 0;
            }
            let f = self.front.load(Ordering::Acquire);
            (self.back.load(Ordering::Acquire) - f).max(0) as usize
        }
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
        pub fn steal(&self) -> Option<T> {
            if self.unused() {
                return None;
            }
            loop {
                let f = self.front.load(Ordering::Acquire);
                fence(Ordering::SeqCst);
                if self.back.load(Ordering::Acquire) - f <= 0 {
                    return None;
                }
                let v = self.at(f);
                if self.front.compare_exchange(f, f + 1, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                    return v;
                }
            }
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn steal_half(&self, into: &RunQ<T>) -> Option<T> {
            assert!(!self.lifo && !into.lifo);
            loop {
                let f = self.front.load(Ordering::Acquire);
                fence(Ordering::SeqCst);
                let n = self.back.load(Ordering::Acquire) - f;
                if n <= 0 {
                    return None;
                }
                let to = f + (n + 1) / 2;
                let taken: Vec<T> = (f..to).filter_map(|i| self.at(i)).collect();
                if self.front.compare_exchange(f, to, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                    for &v in &taken[1..] {
                        // SAFETY: the caller owns `into`.
                        assert!(unsafe { into.push(v) }.is_ok());
                    }
                    return Some(taken[0]);
                }
            }
        }
    }

    pub fn warm_up_thread() {}
}

#[cfg(all(test, any(loom, shuttle)))]
pub use imp::use_lifo;
pub use imp::{RunQ, warm_up_thread};

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn orders_and_capacity() {
        let (f, l) = (RunQ::fifo(), RunQ::lifo());
        // SAFETY: this test owns both.
        unsafe {
            for i in 0..CAPACITY {
                assert!(f.push(i).is_ok() && l.push(i).is_ok());
            }
            assert_eq!(f.push(99), Err(99));
            assert_eq!((f.pop(), l.pop()), (Some(0), Some(CAPACITY - 1)));
            assert_eq!((f.steal(), l.steal()), (Some(1), Some(0)));
            let into = RunQ::fifo();
            let n = f.len();
            assert_eq!(f.steal_half(&into), Some(2));
            assert_eq!(into.len() + 1 + f.len(), n);
            assert!(into.len() + 1 >= n / 2 || into.len() == 31);
        }
    }
}
