//! Designs that Go once had and had to give up. Each model is as small as the fault allows; the same steps pass on the
//! design of this library.
//!
//! * LEGACY-S1 A reader without a P walks the table of Ps while the table grows and moves.
//! * LEGACY-S2 A barrier leaves the idle Ps in the idle list, where other threads find them:
//!   `finds_barrier_that_leaves_idle_ps` in `barriers`.
//! * LEGACY-S3 A thread waits for the world's lock on the scheduler's stack, and keeps its P, which never stops:
//!   `finds_world_lock_on_the_schedulers_stack` in `stops`.
//! * LEGACY-S4 A thread asks for the next timer under `sched.lock`, while another, under the lock of the timer heap,
//!   readies a G: each waits for the other's lock.
//! * LEGACY-S5 A stop of the world and a barrier count down one word and set one note, so that an answer to the stop
//!   may reach the barrier, or the other way round.
//!
//! # LEGACY-S5
//! The race of golang/go#10618 takes eleven steps. It needs a design in which a stop of the world and a barrier count
//! down one word and set one note. With a count and a note for each of the two the same steps pass. The model
//! `stop_then_barrier_against_syscall_and_return` in `barriers` runs the case on the protocols of this library.
//!
//! The old design, as far as the race needs it: each P has a status word and a flag for the barrier. A thread that
//! enters a syscall writes that into the status and then looks whether the world is being stopped. If so, it takes
//! `sched.lock`. If the status still says "in a syscall" and the count is not 0, the thread stops its P and counts
//! down; otherwise the stopper has done so already.
//!
//!  1. S, the stopper, sets `stopping`.
//!  2. M1 writes that P1 is in a syscall.
//!  3. M1 sees `stopping`.
//!  4. M1 waits for the lock, which S holds.
//!  5. S stops P1 in M1's place.
//!  6. S starts the world again.
//!  7. P1 is idle.
//!  8. M2 returns from a syscall and takes P1.
//!  9. M2 runs on P1, while a barrier begins and counts P1.
//! 10. M2 enters a syscall on P1.
//! 11. M1 gets the lock. It finds P1 in a syscall and a count that is not 0, and answers the stop of step 1. But the
//!     count is the barrier's.

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
    /// `sched.lock`, which guards the counts: of a stop, and of a barrier if it has a count of its own.
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

    /// Enters a syscall on the P that the caller runs on.
    fn enter(&self, p: usize) {
        if self.enter_begin(p) {
            self.enter_end(p);
        }
    }

    /// Steps 2 and 3. True: the world is being stopped.
    fn enter_begin(&self, p: usize) -> bool {
        self.serve(p);
        self.status[p].store(SYSCALL, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.stopping.load(Ordering::SeqCst) != 0
    }

    /// Steps 4 and 11.
    fn enter_end(&self, p: usize) {
        let mut count = self.lock.lock().unwrap();
        if count[0] > 0 && self.cas(p, SYSCALL, STOPPED) {
            count[0] -= 1;
            if count[0] == 0 {
                self.notes[0].wakeup();
            }
        }
    }

    /// Takes an idle P; false: there is none.
    fn take(&self, p: usize) -> bool {
        let _count = self.lock.lock().unwrap();
        self.cas(p, IDLE, RUNNING)
    }

    /// Runs the barrier's function for a P, if the barrier has asked for it and no thread has run it yet.
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

    /// Stops P 0 and starts it again, as the owner of P 1.
    fn stop_and_start(&self) {
        let mut count = self.lock.lock().unwrap();
        self.stop_begin(&mut count);
        self.stop_take(&mut count);
        drop(count);
        self.notes[0].sleep();
        self.start();
    }

    /// Step 1.
    fn stop_begin(&self, count: &mut [i32; 2]) {
        self.notes[0].clear();
        count[0] = 1;
        self.stopping.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Step 5.
    fn stop_take(&self, count: &mut [i32; 2]) {
        if self.cas(0, SYSCALL, STOPPED) || self.cas(0, IDLE, STOPPED) {
            count[0] = 0;
            self.notes[0].wakeup();
        }
    }

    /// Steps 6 and 7.
    fn start(&self) {
        let _count = self.lock.lock().unwrap();
        self.stopping.store(0, Ordering::SeqCst);
        self.status[0].store(IDLE, Ordering::SeqCst);
    }

    /// The barrier, as the owner of P 1.
    fn barrier(&self) {
        self.barrier_begin();
        self.barrier_wait();
        self.barrier_end();
    }

    fn barrier_begin(&self) {
        let at = self.barrier_count();
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

    fn barrier_wait(&self) {
        // A P in a syscall is taken and served for its thread, by sysmon at the latest.
        while !self.notes[self.barrier_count()].is_set() {
            if self.cas(0, SYSCALL, IDLE) {
                self.serve(0);
            }
            thread::yield_now();
        }
    }

    fn barrier_end(&self) {
        assert_eq!(self.served[0].load(SeqCst), 1, "P did not run fn");
        assert_eq!(self.lock.lock().unwrap()[self.barrier_count()], 0, "not stopped");
    }
}

fn eleven_steps(shared: bool) -> impl Fn() {
    move || {
        let old = Arc::new(Old::new(shared));
        let (a, b) = (old.clone(), old.clone());
        // M1, on P 0.
        let m1 = thread::spawn(move || a.enter(0));
        // M2 has lost its P in a syscall. If it gets the idle P, it enters another syscall on it, and stays in the
        // scheduler after that until the barrier is over.
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

/// The eleven steps in the order above.
fn script(shared: bool) -> impl Fn() {
    move || {
        let old = Old::new(shared);
        {
            let mut count = old.lock.lock().unwrap();
            // 1 to 5: M1 sees `stopping`, and waits for the lock, which S holds.
            old.stop_begin(&mut count);
            assert!(old.enter_begin(0));
            old.stop_take(&mut count);
        }
        // 6, 7
        assert!(old.notes[0].is_set());
        old.start();
        // 8, 9: M2 has P1, and runs when the barrier begins.
        assert!(old.take(0));
        old.barrier_begin();
        // 10, without the look at the barrier: M2 looked before the barrier began.
        old.status[0].store(SYSCALL, Ordering::SeqCst);
        // 11: M1 gets the lock.
        old.enter_end(0);
        old.barrier_wait();
        old.barrier_end();
    }
}

#[test]
fn the_script_with_a_count_for_each() {
    check(Size { schedules: 1, ..Size::default() }, script(false));
}

#[test]
fn finds_the_script_with_one_count() {
    finds(&["P did not run fn", "not stopped"], || check(Size { schedules: 1, ..Size::default() }, script(true)));
}

// ---- LEGACY-S4 ------------------------------------------------------------------------------------------------------

/// An idle M asks when the next timer fires, while a callback that runs under its heap's lock readies a G.
/// `under_lock`: the M asks with the scheduler's lock held, and so takes the two locks in the opposite order.
fn ask_against_ready(under_lock: bool) -> impl Fn() {
    move || {
        let all = Arc::new((Mutex::new(0), Mutex::new(7), Word::new(7)));
        let other = all.clone();
        let callback = thread::spawn(move || {
            let (sched, heap, first) = &*other;
            let mut when = heap.lock().unwrap();
            *when = 9;
            first.store(9, Ordering::Release);
            *sched.lock().unwrap() += 1;
        });
        let (sched, heap, first) = &*all;
        let when = if under_lock {
            let _idle = sched.lock().unwrap();
            *heap.lock().unwrap()
        } else {
            let when = first.load(Ordering::Acquire);
            let _idle = sched.lock().unwrap();
            when
        };
        assert!(when == 7 || when == 9);
        callback.join().unwrap();
    }
}

#[test]
fn ask_for_timers_without_a_lock() {
    check(Size::default(), ask_against_ready(false));
}

#[test]
fn finds_asking_for_timers_under_the_schedulers_lock() {
    finds(&["deadlock"], || check(Size::default(), ask_against_ready(true)));
}

// ---- LEGACY-S1 ------------------------------------------------------------------------------------------------------

/// A reader without a P walks the table of Ps while the table grows and moves. The reader is safe if it holds the lock,
/// or if the old table stays, as in this library.
#[derive(Clone, Copy, PartialEq)]
enum Reads {
    /// Without the lock, as if the table could not move.
    Bare,
    UnderLock,
    OldStays,
}

fn read_against_growth(how: Reads) -> impl Fn() {
    move || {
        // Each table is a Sole. Readers touch it, and so does the grower when it throws the table away.
        let tables = Arc::new((Mutex::new(()), [Sole::default(), Sole::default()], Word::new(0)));
        let other = tables.clone();
        let grower = thread::spawn(move || {
            let (lock, place, current) = &*other;
            let _held = lock.lock().unwrap();
            place[1].touch();
            current.store(1, Ordering::Release);
            if how != Reads::OldStays {
                place[0].touch();
            }
        });
        let (lock, place, current) = &*tables;
        let held = (how == Reads::UnderLock).then(|| lock.lock().unwrap());
        place[current.load(Ordering::Acquire) as usize].touch();
        drop(held);
        grower.join().unwrap();
    }
}

#[test]
fn allp_under_its_lock_or_kept() {
    check(Size::default(), read_against_growth(Reads::UnderLock));
    check(Size::default(), read_against_growth(Reads::OldStays));
}

#[test]
fn finds_allp_read_while_it_moves() {
    finds(&["Causality violation", "two owners"], || check(Size::default(), read_against_growth(Reads::Bare)));
}
