//! The race of Go's #10618, eleven steps long, on the design that had it: a stop of the world and a barrier that count down
//! one word and set one note. The same steps with a count and a note for each pass; and on the protocols of this library the
//! case has a model in `barriers` (`stop_then_barrier_against_syscall_and_return`).
//!
//! The design, as far as the race needs it: a status word for each P, beside it a flag for the barrier; a thread that enters
//! a syscall first says so in the status, then looks whether the world is being stopped, and if so takes `sched.lock` and
//! hands its P in, unless somebody has done it for it: if the status still says "in a syscall" and something is counted.
//!
//!  1. S stops the world: `stopping` is set.
//!  2. M1 says that P1 is in a syscall, 3. sees `stopping`, 4. waits for the lock.
//!  5. S stops P1 for it, and 6. starts the world again: 7. P1 is idle.
//!  8. M2 comes back from a syscall and takes P1, 9. runs on it, 10. enters a syscall on it.
//! 11. M1 gets the lock, and finds P1 in a syscall and a count that is not 0: the barrier's.

use super::*;
use crate::sync::{AtomicU32 as Word, Note as Wake};
use checker::sync::Mutex;
use checker::sync::atomic::fence;

const IDLE: u32 = 0;
const RUNNING: u32 = 1;
const SYSCALL: u32 = 2;
const STOPPED: u32 = 3;

struct Old {
    shared: bool,
    status: [Word; 2],
    run_fn: [Word; 2],
    stopping: Word,
    /// `sched.lock`: what is counted, for a stop and (if it has a count of its own) for a barrier.
    lock: Mutex<[i32; 2]>,
    notes: [Wake; 2],
    served: [std::sync::atomic::AtomicU32; 2],
}

impl Old {
    fn new(shared: bool) -> Old {
        Old {
            shared,
            status: [Word::new(RUNNING), Word::new(RUNNING)],
            run_fn: [Word::new(0), Word::new(0)],
            stopping: Word::new(0),
            lock: Mutex::new([0, 0]),
            notes: [Wake::new(), Wake::new()],
            served: Default::default(),
        }
    }

    fn cas(&self, p: usize, from: u32, to: u32) -> bool {
        self.status[p].compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn barrier_count(&self) -> usize {
        usize::from(!self.shared)
    }

    /// Enters a syscall, on a P that the caller runs on.
    fn enter(&self, p: usize) {
        self.serve(p);
        self.status[p].store(SYSCALL, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.stopping.load(Ordering::SeqCst) != 0 {
            let mut count = self.lock.lock().unwrap();
            if count[0] > 0 && self.cas(p, SYSCALL, STOPPED) {
                count[0] -= 1;
                if count[0] == 0 {
                    self.notes[0].wakeup();
                }
            }
        }
    }

    /// Takes an idle P; false: there is none.
    fn take(&self, p: usize) -> bool {
        let _count = self.lock.lock().unwrap();
        self.cas(p, IDLE, RUNNING)
    }

    /// Runs the barrier's function for a P, if it is asked for and nobody did.
    fn serve(&self, p: usize) {
        if self.run_fn[p].compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.served[p].fetch_add(1, SeqCst);
            let at = self.barrier_count();
            let mut count = self.lock.lock().unwrap();
            count[at] -= 1;
            if count[at] == 0 {
                self.notes[at].wakeup();
            }
        }
    }

    /// Stops P 0, for whoever owns P 1, and starts it again.
    fn stop_and_start(&self) {
        {
            let mut count = self.lock.lock().unwrap();
            self.notes[0].clear();
            count[0] = 1;
            self.stopping.store(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if self.cas(0, SYSCALL, STOPPED) || self.cas(0, IDLE, STOPPED) {
                count[0] = 0;
            }
            if count[0] == 0 {
                self.notes[0].wakeup();
            }
        }
        self.notes[0].sleep();
        let _count = self.lock.lock().unwrap();
        self.stopping.store(0, Ordering::SeqCst);
        self.status[0].store(IDLE, Ordering::SeqCst);
    }

    /// The barrier, for whoever owns P 1.
    fn barrier(&self) {
        let at = self.barrier_count();
        {
            let mut count = self.lock.lock().unwrap();
            self.notes[at].clear();
            count[at] = 1;
            self.run_fn[0].store(1, Ordering::SeqCst);
            if self.status[0].load(Ordering::SeqCst) == IDLE
                && self.run_fn[0].compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
            {
                self.served[0].fetch_add(1, SeqCst);
                count[at] -= 1;
            }
            if count[at] == 0 {
                self.notes[at].wakeup();
            }
        }
        // The P of whoever is in a syscall, or will be, is taken and served for it, by sysmon at the latest.
        while !self.notes[at].is_set() {
            if self.cas(0, SYSCALL, IDLE) {
                self.serve(0);
            }
            thread::yield_now();
        }
        assert_eq!(self.served[0].load(SeqCst), 1, "P did not run fn");
        assert_eq!(self.lock.lock().unwrap()[at], 0, "not stopped");
    }
}

fn eleven_steps(shared: bool) -> impl Fn() {
    move || {
        let old = Arc::new(Old::new(shared));
        let (a, b) = (old.clone(), old.clone());
        // M1, on P 0.
        let m1 = thread::spawn(move || a.enter(0));
        // M2, which has lost its P in a syscall: if it gets the idle one it goes through another syscall on it, and then
        // through the scheduler until the barrier is over.
        let m2 = thread::spawn(move || {
            if b.take(0) {
                b.enter(0);
            }
        });
        old.stop_and_start();
        old.barrier();
        m1.join().unwrap();
        m2.join().unwrap();
    }
}

#[test]
fn a_count_and_a_note_for_each() {
    check(Size { preemptions: 3, ..Size::default() }, eleven_steps(false));
}

#[test]
fn finds_the_eleven_steps_with_one_count() {
    finds(&["P did not run fn", "not stopped"], || {
        check(Size { preemptions: 3, schedules: 200_000 }, eleven_steps(true));
    });
}
