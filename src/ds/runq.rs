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
    #[cfg(loom)]
    use loom::sync::Mutex;
    #[cfg(all(shuttle, not(loom)))]
    use shuttle::sync::Mutex;
    use std::collections::VecDeque;

    /// What crossbeam's deque promises, in the smallest number of steps.
    pub struct RunQ<T: Copy> {
        queue: Mutex<VecDeque<T>>,
        lifo: bool,
    }

    impl<T: Copy> RunQ<T> {
        pub fn fifo() -> Self {
            RunQ { queue: Mutex::new(VecDeque::new()), lifo: false }
        }
        pub fn lifo() -> Self {
            RunQ { queue: Mutex::new(VecDeque::new()), lifo: true }
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn push(&self, v: T) -> Result<(), T> {
            let mut q = self.queue.lock().unwrap();
            if q.len() >= CAPACITY {
                return Err(v);
            }
            q.push_back(v);
            Ok(())
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn pop(&self) -> Option<T> {
            let mut q = self.queue.lock().unwrap();
            if self.lifo { q.pop_back() } else { q.pop_front() }
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn is_empty_here(&self) -> bool {
            self.is_empty()
        }
        pub fn len(&self) -> usize {
            self.queue.lock().unwrap().len()
        }
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
        pub fn steal(&self) -> Option<T> {
            self.queue.lock().unwrap().pop_front()
        }
        /// # Safety
        /// As the real one.
        pub unsafe fn steal_half(&self, into: &RunQ<T>) -> Option<T> {
            let mut taken: VecDeque<T> = {
                let mut q = self.queue.lock().unwrap();
                let n = q.len().div_ceil(2);
                q.drain(..n).collect()
            };
            let first = taken.pop_front();
            into.queue.lock().unwrap().extend(taken);
            first
        }
    }

    pub fn warm_up_thread() {}
}

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
